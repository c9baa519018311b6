<?php
/**
 * An import that is interrupted leaves nothing, and what a killed one leaves, the next command removes.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_import_interrupted.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

$site = new Site();
$out  = temp_dir();
$temp = temp_dir();

// What does not become smaller by being packed, and more of it than is unpacked before a signal comes.
for ( $number = 0; $number < 40; $number++ ) {
	put( "$out/site/wp-content/uploads/$number.bin", random_bytes( 2 << 20 ) );
}
$dump = fopen( "$out/site/dump.sql", 'w' );
fwrite( $dump, "CREATE TABLE `wp_options` (`option_id` bigint(20) unsigned NOT NULL AUTO_INCREMENT, `option_name` varchar(191) NOT NULL, `option_value` longtext NOT NULL, `autoload` varchar(20) NOT NULL, PRIMARY KEY (`option_id`), UNIQUE KEY `option_name` (`option_name`));\nINSERT INTO `wp_options` VALUES (1,'siteurl','https://example.com','yes');\n" );
for ( $number = 2; $number < 40000; $number++ ) {
	fwrite( $dump, "INSERT INTO `wp_options` VALUES ($number,'name $number','" . base64_encode( random_bytes( 900 ) ) . "','no');\n" );
}
fclose( $dump );
same( 0, ( new Process( array( 'tar', '-czf', "$out/site.tar.gz", '-C', "$out/site", '.' ) ) )->wait(), 'tar' );

/** Steps of an import, and the step that must not begin once a signal came in it. */
$steps = array(
	'look at the source'  => 'unpack the files',
	'unpack the files'    => 'lay down WordPress',
	'unpacking WordPress' => 'unpack the files',
	'load the database'   => 'make the keys',
);

/**
 * Begins an import, and signals it as soon as a step has begun.
 *
 * @param string   $step      The step.
 * @param int      $signal    The signal.
 * @param string[] $arguments What follows the source.
 * @param string   $cwd       Where.
 * @return Outcome
 */
$signalled = static function ( string $step, int $signal, array $arguments, string $cwd ) use ( $site, $out, $temp ): Outcome {
	$env     = array( 'TMPDIR' => $temp, 'FORKPRESS_STATE_DIR' => $site->state_dir, 'FORKPRESS_EXTENSION' => (string) extension_path() );
	$command = new Command( array( program(), 'import', "$out/site.tar.gz", ...$arguments ), $cwd, $env );
	$command->process->wait_for( "forkpress: $step\n" );
	$command->process->signal( $signal );
	return $command->outcome();
};

/** Returns what there is of branches, of what is staged, and of operations. */
$state = static fn (): array => array( scandir( $site->dir ), scandir( "$site->dir/.forkpress/cow/staging" ), count( $site->json( 'log' ) ) );

test(
	'an import that is interrupted in any of its steps ends there and leaves nothing',
	function () use ( $site, $steps, $signalled, $state ) {
		$before = $state();
		foreach ( $steps as $step => $next ) {
			$outcome = $signalled( $step, SIGTERM, array( '--branch', 'x' ), $site->dir );
			same( 143, $outcome->status, "$step: {$outcome->text()}: exit status" );
			holds( str_contains( $outcome->errors, 'interrupted' ) && ! str_contains( $outcome->errors, $next ), "$step: {$outcome->text()}" );
			same( $before, $state(), "what there is after a signal in '$step'" );
			$folder  = temp_dir();
			$outcome = $signalled( $step, SIGINT, array(), $folder );
			same( 130, $outcome->status, "$step: {$outcome->text()}: exit status" );
			holds( ! str_contains( $outcome->errors, $next ), "$step: {$outcome->text()}" );
			same( array( '.', '..' ), scandir( $folder ), "what there is in the folder after a signal in '$step'" );
		}
	}
);

test(
	'what an import that was killed leaves is removed by the next command',
	function () use ( $site, $signalled, $state, $temp ) {
		$before = $state();
		foreach ( array( 'unpacking WordPress', 'load the database' ) as $step ) {
			same( 128 + SIGKILL, $signalled( $step, SIGKILL, array( '--branch', 'x' ), $site->dir )->status, "$step: exit status" );
			$folder = temp_dir();
			same( 128 + SIGKILL, $signalled( $step, SIGKILL, array(), $folder )->status, "$step: exit status" );
			$refused = ( new Command( array( program(), 'import', '/nowhere' ), $folder ) )->outcome();
			same( array( 1, array( '.', '..' ) ), array( $refused->status, scandir( $folder ) ), "a killed import into a folder, at '$step'" );
		}
		$site->done( 'branch', 'create', 'y' );
		$site->done( 'undo' );
		same( array_slice( $before, 0, 2 ), array_slice( $state(), 0, 2 ), 'what there is' );
		same( array( '.', '..' ), scandir( $temp ), 'what there is in the folder of temporary files' );
	}
);

test(
	'while it waits for a lock, it ends as well',
	function () use ( $site, $out, $state ) {
		put( "$out/small.sql", implode( "\n", array_slice( file( "$out/site/dump.sql", FILE_IGNORE_NEW_LINES ), 0, 2 ) ) . "\n" );
		$before  = $state();
		$locks   = $site->stuck( 'operations.lock' );
		$command = $site->command( array( 'import', "$out/small.sql", '--branch', 'x' ) );
		$command->process->wait_for( 'forkpress: waiting:' );
		$command->process->signal( SIGINT );
		same( 130, $command->outcome()->status, 'exit status' );
		array_map( 'fclose', $locks );
		same( $before, $state(), 'what there is' );
	}
);
