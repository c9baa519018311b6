<?php
/**
 * Two random sequences of operations on two branches, both merged into `main`, are what both on one branch are.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_merge_model.php [SEEDS] [FIRST]
 *
 * Seeds are numbers from FIRST on. What the operations are: fixtures/operations.php.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/merging.php';

/** How many operations a sequence has. */
const OPERATIONS = 200;

/** How many seeds there are unless it is told. */
const SEEDS = 50;

$seeds    = (int) ( $argv[1] ?? SEEDS );
$first    = (int) ( $argv[2] ?? 1 );
$fixtures = __DIR__ . '/fixtures';
$site     = new Site();
foreach ( array( 'morning', 'evening' ) as $plugin ) {
	put( "$site->dir/main/wp-content/plugins/$plugin/$plugin.php", file_get_contents( "$fixtures/plugins/$plugin/$plugin.php" ) );
}

/**
 * Runs a script of the fixtures in branches, at once, and returns what each says.
 *
 * @param array $runs Arguments of each: the branch, the script, and what it is given.
 * @return string[]
 */
$run = static function ( array ...$runs ) use ( $site, $fixtures ): array {
	$commands = array();
	foreach ( $runs as $given ) {
		list( $branch, $script ) = $given;
		$commands[]              = $site->command( array( 'exec', $branch, '--', PHP_BINARY, "$fixtures/$script.php", ...array_slice( $given, 2 ) ) );
	}
	return array_map(
		static function ( Command $command ): string {
			$outcome = $command->outcome();
			same( array( 0, '' ), array( $outcome->status, $outcome->errors ), "{$outcome->text()}: exit status and errors" );
			return $outcome->out;
		},
		$commands
	);
};
$run( array( 'main', 'operations', 'prepare' ) );
// Four resets a seed: an image clones what a plain folder copies.
$site->convert_to_image();
$site->done( 'branch', 'create', 'pristine' );
$site->done( 'branch', 'create', 's', 'm', 'both' );

test(
	"main has what two branches made of it, in any order: $seeds seeds from $first",
	function () use ( $site, $run, $seeds, $first ) {
		for ( $seed = $first; $seed < $first + $seeds; $seed++ ) {
			$site->done( 'branch', 'reset', 'main', '--from', 'pristine', '--force' );
			$site->done( 'branch', 'reset', 's', '--from', 'main' );
			$site->done( 'branch', 'reset', 'm', '--from', 'main' );
			$run( array( 's', 'operations', (string) $seed, (string) OPERATIONS, 's' ), array( 'm', 'operations', (string) $seed, (string) OPERATIONS, 'm' ) );
			$site->done( 'branch', 'reset', 'both', '--from', 's' );
			foreach ( 0 === $seed % 2 ? array( 's', 'm' ) : array( 'm', 's' ) as $branch ) {
				$outcome = $site->run( '--json', 'branch', 'merge', $branch, '--into', 'main' );
				same( 0, $outcome->status, "seed $seed: merging $branch into main: {$outcome->text()}: exit status" );
			}
			$run( array( 'both', 'operations', (string) $seed, (string) OPERATIONS, 'm' ) );
			list( $right, $found ) = array_map( static fn ( $said ) => json_decode( $said, true, 512, JSON_THROW_ON_ERROR ), $run( array( 'both', 'describe' ), array( 'main', 'describe' ) ) );
			$lines                 = differences( $right, $found );
			same( array(), array_slice( $lines, 0, 10 ), "seed $seed: " . count( $lines ) . ' differences' );
			same( 'ok', $site->database( 'main' )->query( 'PRAGMA integrity_check' )->fetchColumn(), 'integrity of main' );
		}
	}
);
