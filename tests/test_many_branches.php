<?php
/**
 * Several branches in one command, and spares, on a served site.
 *
 *     php -d "extension=$(pwd)/ext/branchfs.so" tests/test_many_branches.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

/** Waits until the site has so many spares. */
function await_spares( Site $site, int $count ): void {
	$deadline = hrtime( true ) + 60 * 10 ** 9;
	while ( count( spares( $site ) ) !== $count ) {
		holds( hrtime( true ) < $deadline, "there are $count spares within a minute" );
		usleep( 20000 );
	}
}

/** Returns the spares that are ready. */
function spares( Site $site ): array {
	return preg_grep( '~/\d+$~', glob( "$site->dir/.forkpress/cow/spares/*" ) );
}

/** Returns the names of all branches. */
function names( Site $site ): array {
	return array_column( $site->json( 'branch', 'list' ), 'name' );
}

$site = new Site();

test(
	'several branches are created in one command, and undone in one',
	function () use ( $site ) {
		$out = $site->done( 'branch', 'create', 'red', 'green', 'blue' );
		foreach ( array( 'red', 'green', 'blue' ) as $branch ) {
			holds( str_contains( $out, "forkpress: COW cloned 'main' -> '$branch'\nhttp://$branch.wp.localhost:$site->port/\n" ), "$branch is told" );
		}
		same( array( 'main', 'blue', 'green', 'red' ), names( $site ), 'branches' );
		$log = $site->json( 'log' );
		same( array( 'red', 'green', 'blue' ), $log[0]['names'], 'what the log has as one operation' );
		holds( str_contains( $site->done( 'undo' ), '3 branches are gone' ), 'the undo tells' );
		same( array( 'main' ), names( $site ), 'branches after the undo' );
		holds( str_contains( $site->done( 'undo', (string) $site->json( 'log' )[0]['id'] ), '3 branches are back' ), 'the undo of the undo tells' );
		same( array( 'main', 'blue', 'green', 'red' ), names( $site ), 'branches after the undo of the undo' );
	}
);

test(
	'numbers go on after the highest there is',
	function () use ( $site ) {
		$made = $site->json( 'branch', 'create', '--count', '2', '--prefix', 'agent', '--from', 'red' );
		same( array( 'agent-1', 'agent-2' ), $made['created'], 'created' );
		same( "http://agent-2.wp.localhost:$site->port/", $made['urls'][1], 'the address of the second' );
		$site->done( 'branch', 'delete', 'agent-1' );
		same( array( 'agent-3', 'agent-4' ), $site->json( 'branch', 'create', '--count', '2', '--prefix', 'agent' )['created'], 'created next' );
	}
);

test(
	'all are refused where one cannot be created',
	function () use ( $site ) {
		$before = names( $site );
		foreach ( array(
			'exists'  => array( 1, "branch 'red' already exists", 'new', 'red' ),
			'invalid' => array( 2, "invalid branch name \"Not-One\"", 'new', 'Not-One' ),
			'twice'   => array( 1, "branch 'new' is named twice", 'new', 'new' ),
			'none'    => array( 2, '<NAME>' ),
			'both'    => array( 2, 'cannot be used with', 'new', '--count', '2', '--prefix', 'x' ),
		) as $why => $case ) {
			list( $status, $message ) = $case;
			$outcome                  = $site->run( 'branch', 'create', ...array_slice( $case, 2 ) );
			same( $status, $outcome->status, "$why: {$outcome->text()}: exit status" );
			holds( str_contains( $outcome->errors, $message ), "$why: {$outcome->errors}" );
		}
		same( $before, names( $site ), 'branches' );
	}
);

test(
	'a served site has a spare, which a create takes, and the server makes the next',
	function () use ( $site ) {
		if ( str_contains( file_get_contents( "$site->dir/.forkpress/site.toml" ), 'btrfs-snapshot' ) ) {
			fwrite( STDERR, "SKIPPED: branches are snapshots here, and need no spare\n" );
			return;
		}
		same( array(), spares( $site ), 'spares of a site that is not served' );
		$site->done( 'serve' );
		await_spares( $site, 1 );
		$spare = fileinode( current( spares( $site ) ) . '/tree' );
		put( "$site->dir/main/wp-content/late.txt", 'after the spare' );
		unlink( "$site->dir/main/readme.html" );
		$site->done( 'branch', 'create', 'from-spare' );
		same( $spare, fileinode( "$site->dir/from-spare" ), 'the tree of the branch' );
		same( 'after the spare', file_get_contents( "$site->dir/from-spare/wp-content/late.txt" ), 'what came after the spare' );
		holds( ! file_exists( "$site->dir/from-spare/readme.html" ), 'what went after the spare is not there' );
		$diff = new Process( array( 'diff', '-rq', '--exclude=database', "$site->dir/main", "$site->dir/from-spare" ) );
		same( 0, $diff->wait(), 'the branch against main: ' . $diff->output() );
		await_spares( $site, 1 );
		$site->done( 'stop' );
		// Not by a name that the shell of this very command has, too.
		same( '', trim( (string) shell_exec( 'pgrep -f ' . escapeshellarg( "[_]_spares $site->dir/" ) ) ), 'what makes spares, after the stop' );
	}
);
