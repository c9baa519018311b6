<?php
/**
 * Branches do not wait for each other: while a request, or a program, runs long in one of them, everything can be done to the
 * others, and their pages do not notice.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_branches_apart.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

/** A script that runs until it is let go; what it is told to do first is done before it says that it runs. */
const LONG = <<<'PHP'
<?php
eval( $_GET['first'] ?? '' );
touch( __DIR__ . '/runs' );
while ( ! file_exists( __DIR__ . '/go' ) ) {
	usleep( 2000 );
	clearstatcache();
}
eval( $_GET['then'] ?? '' );
unlink( __DIR__ . '/runs' );
unlink( __DIR__ . '/go' );
echo 'done';
PHP;

$site = new Site();
put( "$site->dir/main/long.php", LONG );
put( "$site->dir/main/plain.php", '<?php echo basename( __DIR__ );' );
$site->serve( 4 );
foreach ( array( 'a', 'b' ) as $name ) {
	$site->done( 'branch', 'create', $name, '--wait' );
}

/**
 * Starts a request that runs in a branch until it is let go.
 *
 * @param string $name  The branch.
 * @param string $query What it does, if anything.
 * @return callable Lets it go on, and returns what it said.
 */
$begin = function ( string $name, string $query = '' ) use ( $site ): callable {
	$connection = $site->open( "/long.php?$query", array( 'Host' => $site->host( $name ) ) );
	eventually( static fn () => file_exists( "$site->dir/$name/runs" ), 'the request runs' );
	return function () use ( $site, $name, $connection ): string {
		put( "$site->dir/$name/go", '' );
		return Response::read( $connection )->body;
	};
};

/**
 * Returns what a page of a branch says.
 *
 * @param string $name The branch.
 */
$page = static fn ( string $name ): string => $site->request( '/plain.php', array( 'Host' => $site->host( $name ) ) )->body;

test(
	'beside a long request of one branch others are created, reset, deleted, pushed to and brought back, and their pages answer',
	function () use ( $site, $begin, $page ) {
		$checkout = temp_dir() . '/checkout';
		$site->done( 'clone', "http://127.0.0.1:$site->port/site.git", $checkout );
		$finish = $begin( 'a' );
		foreach ( array(
			array( 'branch', 'create', 'new', '--from', 'b' ),
			array( 'undo' ),
			array( 'branch', 'create', 'new', 'newer', '--from', 'b' ),
			array( 'branch', 'reset', 'b', '--from', 'main' ),
			array( 'branch', 'delete', 'new' ),
			array( 'branch', 'delete', 'newer' ),
			array( 'undo' ),
		) as $command ) {
			$site->done( ...$command, ...array( '--timeout', '30' ) );
			same( 'b', $page( 'b' ), implode( ' ', $command ) . ': a page of another branch' );
		}
		put( "$checkout/wordpress/pushed.php", '<?php echo "pushed";' );
		$site->done( 'commit', '-m', 'pushed', $checkout );
		same( 'pushed', $site->request( '/pushed.php' )->body, 'what was pushed to main' );
		same( 'a', $page( 'a' ), 'a page of the branch itself' );

		do {
			$own = $site->run( 'branch', 'delete', 'a', '--timeout', '0' );
			// The server may be warming what was just made.
		} while ( str_contains( $own->errors, 'visit.lock is held' ) );
		same( 75, $own->status, "{$own->text()}: its own branch waits for it" );
		holds( 1 === preg_match( '~a\.lock is held by process (\d+) \(serving GET a /long\.php\) for ~', $own->errors, $match ), "it says for whom: $own->errors" );
		holds( str_contains( $own->errors, "'kill $match[1]'" ), "and how to end it: $own->errors" );
		same( 75, $site->run( 'branch', 'create', 'of-a', '--from', 'a', '--timeout', '0' )->status, 'so does a clone of it' );
		$site->done( 'branch', 'create', 'of-a', '--from', 'a', '--beside', '--timeout', '30' );
		$site->done( 'branch', 'reset', 'of-a', '--from', 'a', '--beside', '--timeout', '30' );
		same( 'of-a', $page( 'of-a' ), 'a page of the clone that does not wait' );
		same( 2, preg_match_all( '~(create|reset) of-a from a beside its requests~', $site->done( 'log' ) ), 'the log says so' );
		$site->done( 'branch', 'delete', 'of-a', '--timeout', '30' );
		same( 'done', $finish(), 'what the long request said' );
		$site->done( 'branch', 'create', 'of-a', '--from', 'a' );
	}
);

test(
	'a branch whose files a request of another one has looked at stays as it is until that request has ended',
	function () use ( $site, $begin ) {
		put( "$site->dir/b/mark.txt", 'of b' );
		$look   = 'echo file_get_contents( "branchfs://b/mark.txt" ), "; ";';
		$finish = $begin( 'a', http_build_query( array( 'first' => $look, 'then' => $look ) ) );
		$busy   = $site->run( 'branch', 'reset', 'b', '--from', 'main', '--timeout', '0' );
		same( 75, $busy->status, "{$busy->text()}: exit status of reset" );
		$site->done( 'branch', 'create', 'third', '--timeout', '30' );
		same( 'of b; of b; done', $finish(), 'what the request said' );
		$site->done( 'branch', 'reset', 'b', '--from', 'main' );
		holds( ! file_exists( "$site->dir/b/mark.txt" ), 'the branch was reset' );
	}
);

test(
	'code that was published beside a long request of another branch is what runs next, whoever looked through OPcache meanwhile',
	function () use ( $site, $begin, $page ) {
		$finish = $begin( 'a' );
		foreach ( range( 1, 5 ) as $round ) {
			put( "$site->dir/main/plain.php", "<?php echo '$round', basename( __DIR__ );" );
			touch( "$site->dir/main/plain.php", 1_700_000_000 );
			$site->done( 'branch', 'reset', 'b', '--from', 'main', '--timeout', '30' );
			same( array( 'x', "{$round}b" ), array( 'x', $page( 'b' ) ), "round $round" );
		}
		same( 'done', $finish(), 'what the long request said' );
	}
);

test(
	'a shell lock on the whole site is waited for, however the branches are used',
	function () use ( $site, $begin ) {
		$finish = $begin( 'a' );
		$flock  = fopen( "$site->dir/.forkpress/cow/operations.lock", 'r' );
		flock( $flock, LOCK_SH );
		$busy = $site->run( 'branch', 'reset', 'b', '--from', 'main', '--timeout', '0' );
		same( 75, $busy->status, "{$busy->text()}: exit status" );
		fclose( $flock );
		$site->done( 'branch', 'reset', 'b', '--from', 'main', '--timeout', '30' );
		same( 'done', $finish(), 'what the long request said' );
	}
);

test(
	'beside a program that runs in a branch the others are created, reset and deleted, and its own waits',
	function () use ( $site, $page ) {
		$wait    = 'touch runs; while ! [ -e go ]; do sleep 0.01; done; rm runs go';
		$program = $site->command( array( 'exec', 'a', '--', 'sh', '-c', "cd '$site->dir/a' && $wait" ) );
		eventually( static fn () => file_exists( "$site->dir/a/runs" ), 'the program runs' );
		foreach ( array(
			array( 'branch', 'create', 'beside', '--from', 'b' ),
			array( 'branch', 'reset', 'b', '--from', 'main' ),
			array( 'branch', 'delete', 'beside' ),
		) as $command ) {
			$site->done( ...$command, ...array( '--timeout', '30' ) );
			same( 'b', substr( $page( 'b' ), -1 ), implode( ' ', $command ) . ': a page of another branch' );
		}
		$own = $site->run( 'branch', 'reset', 'a', '--from', 'b', '--timeout', '0' );
		same( 75, $own->status, "{$own->text()}: its own branch waits for it" );
		put( "$site->dir/a/go", '' );
		same( 0, $program->outcome()->status, 'how the program ended' );
	}
);

test(
	'a client that downloads slowly from a branch holds up none of its mutations beside a request of another one, and gets the whole file',
	function () use ( $site, $begin ) {
		$bytes = random_bytes( 32 << 20 );
		put( "$site->dir/b/big.bin", $bytes );
		$finish   = $begin( 'a' );
		$download = $site->open( '/big.bin', array( 'Host' => $site->host( 'b' ) ) );
		$start    = fread( $download, 8192 );
		holds( '' !== $start, 'the file begins' );
		// The client has read 8 KiB, and reads no more until the mutations are done.
		$site->done( 'branch', 'reset', 'b', '--from', 'main', '--timeout', '30' );
		same( 404, $site->request( '/big.bin', array( 'Host' => $site->host( 'b' ) ) )->status, 'the file in the new branch' );
		$response = Response::parse( $start . stream_get_contents( $download ) );
		same( 200, $response->status, 'status' );
		holds( $bytes === $response->body, 'the whole old file arrived' );
		same( 'done', $finish(), 'what the long request said' );
	}
);

test(
	'a writer that waits for a request of its branch is overtaken by no other one, beside a long request of another branch',
	function () use ( $site, $begin ) {
		$cow     = "$site->dir/.forkpress/cow";
		$waits   = static fn (): bool => '!' === ( file_get_contents( "$cow/operations.lock" )[10] ?? '' ) && '' !== file_get_contents( "$cow/locks/b.gate" );
		$queued  = static fn (): bool => array() !== preg_grep( '~^waiting .* GET b /plain\.php~', array_map( static fn ( $note ) => (string) @file_get_contents( $note ), glob( "$cow/requests/*" ) ) );
		// Each process of the server has served the branch, and so has its lock files open: none of them asks at a gate by itself.
		put( "$site->dir/b/meet.php", '<?php touch( __DIR__ . "/meets-" . getmypid() ); while ( count( glob( __DIR__ . "/meets-*" ) ) < 4 ) { usleep( 2000 ); } echo "met";' );
		$meetings = array();
		foreach ( range( 1, 4 ) as $number ) {
			$meetings[] = $site->open( '/meet.php', array( 'Host' => $site->host( 'b' ) ) );
			eventually( static fn () => count( glob( "$site->dir/b/meets-*" ) ) === $number, "$number processes serve the branch" );
		}
		foreach ( $meetings as $meeting ) {
			same( 'met', Response::read( $meeting )->body, 'a process of the server' );
		}
		$finish  = $begin( 'a' );
		$settled = 0;
		// A writer lets requests pass after two seconds, and leaves its gate open for a request that has run for as long. A round that is
		// slower than that has shown nothing.
		for ( $round = 1; $round <= 20 && $settled < 3; $round++ ) {
			$running = $begin( 'b' );
			$begun   = hrtime( true );
			$delete  = $site->command( array( 'branch', 'delete', 'b', '--timeout', '60' ) );
			eventually( static fn () => $waits() || hrtime( true ) - $begun > 3e9, 'the writer waits' );
			$gate = $waits() ? file_get_contents( "$cow/locks/b.gate" ) : '';
			$late = $site->open( '/plain.php', array( 'Host' => $site->host( 'b' ) ) );
			stream_set_blocking( $late, false );
			$said = '';
			eventually(
				static function () use ( $late, $queued, &$said ): bool {
					$said .= stream_get_contents( $late );
					return $queued() || feof( $late );
				},
				'the late request waits, or is answered'
			);
			$is_closed = '' !== $gate && $waits() && file_get_contents( "$cow/locks/b.gate" ) === $gate;
			same( 'done', $running(), 'what the running request said' );
			$outcome = $delete->outcome();
			same( 0, $outcome->status, "{$outcome->text()}: exit status" );
			stream_set_blocking( $late, true );
			$status = Response::parse( $said . stream_get_contents( $late ) )->status;
			if ( $is_closed ) {
				same( 404, $status, 'the late request is answered after the branch was deleted: status' );
				++$settled;
			}
			$site->done( 'undo', '--timeout', '60' );
		}
		same( 3, $settled, 'rounds in which the gate stayed closed' );
		same( ' ', file_get_contents( "$cow/operations.lock" )[10], 'nobody waits any longer' );
		same( 'done', $finish(), 'what the long request said' );
	}
);

test(
	'lock files are made for branches, and for no other name that is asked for',
	function () use ( $site ) {
		same( 404, $site->request( '/', array( 'Host' => $site->host( 'never' ) ) )->status, 'no such branch' );
		same( array(), glob( "$site->dir/.forkpress/cow/locks/never*" ), 'its lock files' );
		same( array( 'main.gate', 'main.lock', 'main.mutation' ), array_map( 'basename', glob( "$site->dir/.forkpress/cow/locks/main.*" ) ), 'those of main' );
	}
);

test(
	'nobody complained',
	function () use ( $site ) {
		$site->has_no_complaints();
	}
);
