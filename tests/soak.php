<?php
/**
 * Traffic, mutations and kills for as long as it is told; then everything is checked against a model.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/soak.php [SECONDS] [SEED]
 *
 * Four clients save posts on `main` all the while. Branches are created, reset, deleted and brought back, one mutation after
 * another, every third of them killed at a random moment. The seed, which is printed, makes the same choices again.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/load.php';

/** The branches that come and go. */
const NAMES = array( 'a', 'b', 'c' );

/** The longest time after which a mutation is killed, in microseconds: about as long as one takes. */
const LONGEST_LIFE = 1500000;

$seconds = (int) ( $argv[1] ?? 60 );
$seed    = (int) ( $argv[2] ?? random_int( 0, PHP_INT_MAX ) );
mt_srand( $seed );
echo "soak: $seconds s, seed $seed\n";

$site = new Site();
$site->serve( 4 );
$load = new Load( $site );

/**
 * Returns the branches beside main, sorted.
 *
 * @return string[]
 */
$branches = static function () use ( $site ): array {
	$names = array_diff( array_column( $site->json( 'branch', 'list' ), 'name' ), array( 'main' ) );
	sort( $names );
	return $names;
};

/**
 * Returns a mutation that is possible, what it makes of the branches, and the branch that has main's state then.
 *
 * @param string[] $exist The branches there are.
 * @return array{string[], string[], ?string}
 */
$choose = static function ( array $exist ): array {
	$name = NAMES[ mt_rand( 0, count( NAMES ) - 1 ) ];
	if ( ! in_array( $name, $exist, true ) ) {
		$then = array( ...$exist, $name );
		sort( $then );
		return array( array( 'branch', 'create', $name ), $then, $name );
	}
	if ( 0 === mt_rand( 0, 1 ) ) {
		return array( array( 'branch', 'reset', $name, '--from', 'main' ), $exist, $name );
	}
	return array( array( 'branch', 'delete', $name ), array_values( array_diff( $exist, array( $name ) ) ), null );
};

test(
	"nothing is lost and nothing is torn in $seconds seconds of traffic, mutations and kills (seed $seed)",
	function () use ( $site, $load, $branches, $choose, $seconds ) {
		$until = hrtime( true ) + $seconds * 1000000000;
		$done  = array_fill_keys( array( 'finished', 'killed', 'undone' ), 0 );
		$exist = array();
		while ( hrtime( true ) < $until ) {
			$load->read();
			same( array(), $load->failed, 'requests that failed' );
			$before                        = array_keys( $load->saved );
			list( $command, $then, $name ) = $choose( $exist );
			if ( 0 === mt_rand( 0, 2 ) ) {
				$process = new Process( array( Site::program(), ...$command ), array( 'FORKPRESS_STATE_DIR' => $site->state_dir ), $site->dir );
				usleep( mt_rand( 0, LONGEST_LIFE ) );
				$process->stop();
				++$done['killed'];
				// The next command brings what died to its end. Until then it may be listed as before, and yet end as after.
				$site->done( 'branch', 'create', 'next' );
				$site->done( 'branch', 'delete', 'next' );
				$found = $branches();
				holds( $found === $exist || $found === $then, implode( ' ', $command ) . ' was killed, and the branches are as before or as after: ' . implode( ', ', $found ) );
				$exist = $found;
				continue;
			}
			$site->done( ...$command );
			++$done['finished'];
			same( $then, $branches(), 'branches after ' . implode( ' ', $command ) );
			if ( null !== $name ) {
				$titles = array_keys( sound( $site, $name ) );
				$load->read();
				is_a_state_of_main( $load, $titles, $before );
			}
			if ( 0 === mt_rand( 0, 2 ) ) {
				$site->done( 'undo' );
				++$done['undone'];
				same( $exist, $branches(), 'branches after the undo of ' . implode( ' ', $command ) );
				$then = $exist;
			}
			$exist = $then;
		}
		$load->finish();
		$load->read();
		same( array(), $load->failed, 'requests that failed' );
		// A last mutation, which finishes or takes back what the last kill has left.
		$site->done( 'branch', 'create', 'last' );
		foreach ( array( 'main', 'last', ...$exist ) as $branch ) {
			$titles = array_keys( sound( $site, $branch ) );
			is_a_state_of_main( $load, $titles, in_array( $branch, array( 'main', 'last' ), true ) ? array_keys( $load->saved ) : array() );
		}
		foreach ( array( 'staging', 'journal' ) as $folder ) {
			same( array(), array_diff( scandir( "$site->dir/.forkpress/cow/$folder" ), array( '.', '..' ) ), $folder );
		}
		$site->has_no_complaints();
		printf( "soak: %d posts, %d mutations finished, %d killed, %d undone\n", count( $load->saved ), ...array_values( $done ) );
	}
);
