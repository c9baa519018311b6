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
			'invalid' => array( 2, 'invalid branch name "Not-One"', 'new', 'Not-One' ),
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

/** Returns the fields of a process's, or a thread's, line in /proc after its name: the first is its state, the 17th how nice it is. */
function state_of( int $pid, string $thread = '' ): array {
	$line = (string) @file_get_contents( "/proc/$pid" . ( '' === $thread ? '' : "/task/$thread" ) . '/stat' );
	return explode( ' ', ltrim( (string) strrchr( $line, ')' ), ') ' ) );
}

/**
 * Stops the process that makes spares while one is half made, and returns its id.
 *
 * Each create takes a spare, so that the next is made; it may be whole before it is noticed.
 */
function stop_in_the_making( Site $site ): int {
	$making = "$site->dir/.forkpress/cow/spares/making/tree";
	for ( $attempt = 1; $attempt <= 5; $attempt++ ) {
		await_spares( $site, 1 );
		$site->done( 'branch', 'create', "takes-it-$attempt" );
		$maker = (int) shell_exec( 'pgrep -f ' . escapeshellarg( "[_]_spares $site->dir/" ) );
		holds( $maker > 1, 'a process makes spares' );
		$deadline = hrtime( true ) + 60 * 10 ** 9;
		while ( ! is_dir( $making ) && array() === spares( $site ) ) {
			holds( hrtime( true ) < $deadline, 'the next spare is made within a minute' );
			usleep( 200 );
			clearstatcache();
		}
		posix_kill( $maker, SIGSTOP );
		eventually( static fn () => 'T' === state_of( $maker )[0], 'it has stopped' );
		clearstatcache();
		if ( is_dir( $making ) && array() === spares( $site ) ) {
			return $maker;
		}
		posix_kill( $maker, SIGCONT );
	}
	throw new Failure( 'each spare was made before it was noticed' );
}

test(
	'while a spare is made, its maker gives way to all others and holds no lock that anybody waits for',
	function () use ( $site ) {
		if ( str_contains( file_get_contents( "$site->dir/.forkpress/site.toml" ), 'btrfs-snapshot' ) || ! is_dir( '/proc/self/task' ) ) {
			fwrite( STDERR, "SKIPPED: no spares are made here, or there is no /proc to see by whom\n" );
			return;
		}
		$site->done( 'serve' );
		$maker = stop_in_the_making( $site );
		try {
			$threads = array_map( 'basename', glob( "/proc/$maker/task/*" ) );
			holds( count( $threads ) > 0, 'it has a thread' );
			foreach ( $threads as $thread ) {
				same( '19', state_of( $maker, $thread )[16], "how nice thread $thread is" );
				same( 'idle', strtok( (string) shell_exec( "ionice -p $thread" ), ":\n" ), "the I/O class of thread $thread" );
			}
			// Others hold each of them for a moment at most.
			array_map( 'fclose', $site->stuck( 'mutation.lock', 'operations.gate', 'operations.lock' ) );
			same( 200, $site->request( '/' )->status, 'the front page' );
			$site->done( 'branch', 'create', 'beside-it' );
			holds( 'T' === state_of( $maker )[0] && array() === spares( $site ), 'the spare is half made still' );
		} finally {
			posix_kill( $maker, SIGCONT );
		}
		await_spares( $site, 1 );
		$site->done( 'stop' );
	}
);
