<?php
/**
 * A thousand branches of a site on btrfs: listed, routed and reset, and no request does more for there being so many.
 *
 *     php -d "extension=$(pwd)/ext/branchfs.so" tests/test_thousand_branches.php
 *
 * Needs root, for the mount, and strace. What a request costs is counted in system calls: a clock proves nothing.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

/** Tells which process answered, from which branch's folder. */
const SMALL = '<?php echo getmypid(), " ", basename( __DIR__ );';

/** How many requests are traced to find what one takes. */
const TRACES = 5;

/** How many branches there are in the end, with `main`. */
const MANY = 1000;

/** Returns a folder on btrfs; null, and a word on standard error, where the machine can't give one. */
function btrfs(): ?string {
	$memory = is_dir( '/dev/shm' ) && is_writable( '/dev/shm' ) ? '/dev/shm' : sys_get_temp_dir();
	$image  = "$memory/forkpress-test-" . bin2hex( random_bytes( 6 ) ) . '.btrfs';
	$mount  = temp_dir();
	// Each snapshot adds a reference to every node that the root of the tree points to: large nodes are few.
	$make          = 'truncate -s 3G %1$s && mkfs.btrfs -q -f -n 65536 -m single %1$s && mount -o loop,max_inline=0 %1$s %2$s';
	Run::$at_end[] = static fn () => remove( $image );
	exec( '(' . sprintf( $make, escapeshellarg( $image ), escapeshellarg( $mount ) ) . ') 2>&1', $said, $status );
	if ( 0 !== $status ) {
		fwrite( STDERR, 'SKIPPED: no btrfs to test on: ' . end( $said ) . "\n" );
		return null;
	}
	Run::$at_end[] = static fn () => exec( 'umount -l ' . escapeshellarg( $mount ) );
	mkdir( "$mount/site" );
	return "$mount/site";
}

/**
 * Asks for the small page of a branch, and returns the process that answered.
 *
 * @param Site   $site   The site.
 * @param string $branch The branch.
 */
function small_page( Site $site, string $branch ): int {
	$response = $site->request( '/small.php', array( 'Host' => $site->host( $branch ) ) );
	same( $branch, $response->headers['x-forkpress-branch'] ?? null, "the branch that answers for $branch" );
	list( $pid, $folder ) = explode( ' ', $response->body );
	same( $branch, $folder, "the folder of the page of $branch" );
	return (int) $pid;
}

/**
 * Returns the system calls of a warm request, by name, and how often each was made.
 *
 * Those of the request of several that made the fewest: while another process compiles, PHP keeps nothing in OPcache, and the
 * server compiles new branches just then.
 *
 * @param Site   $site   The site, whose public requests one process serves.
 * @param string $branch The branch whose page is asked for.
 * @return int[]
 */
function system_calls( Site $site, string $branch ): array {
	$traces = array_map( static fn () => trace( $site, $branch ), range( 1, TRACES ) );
	usort( $traces, static fn ( array $one, array $other ) => array_sum( $one ) <=> array_sum( $other ) );
	return $traces[0];
}

/**
 * Returns the system calls of one request after a few others.
 *
 * @param Site   $site   The site, whose public requests one process serves.
 * @param string $branch The branch whose page is asked for.
 * @return int[]
 */
function trace( Site $site, string $branch ): array {
	for ( $warm = 0; $warm < 5; $warm++ ) {
		$pid = small_page( $site, $branch );
	}
	$trace  = temp_dir() . '/trace';
	$strace = new Process( array( 'strace', '-f', '-o', $trace, '-p', (string) $pid ) );
	$strace->wait_for( 'attached' );
	same( $pid, small_page( $site, $branch ), 'the process that is traced' );
	// The answer is read before the request is over.
	eventually( static fn () => preg_match( '/^\d+ +close\(.*\n\d+ +pselect6/m', file_get_contents( $trace ) ), 'the request is over' );
	$strace->signal( SIGINT );
	$strace->wait();
	preg_match_all( '/^\d+ +(\w+)\(/m', file_get_contents( $trace ), $calls );
	$calls = array_count_values( $calls[1] );
	// How often it waits is not its doing.
	unset( $calls['pselect6'] );
	ksort( $calls );
	same( 1, $calls['accept'] ?? 0, 'requests that were traced' );
	return $calls;
}

$dir = btrfs();
if ( null === $dir ) {
	test( 'a machine that has no btrfs is told so', static fn () => null );
	exit;
}
$site = new Site( $dir );
put( "$site->dir/main/small.php", SMALL );
// OPcache takes no file that was written just now.
touch( "$site->dir/main/small.php", time() - 60 );
// In which calls a process waits for a request is known of PHP's built-in server.
$site->serve(
	1,
	array(
		'FORKPRESS_PHP_FPM' => 'none',
		'FORKPRESS_PHP_CGI' => 'none',
	)
);
$site->done( 'branch', 'create', '--count', '3', '--prefix', 'few', '--wait', '--timeout', '60' );
$with_few = system_calls( $site, 'few-2' );
$last     = 'agent-' . ( MANY - 4 );
$middle   = 'agent-' . intdiv( MANY, 2 );

test(
	'a thousand branches are created in two commands, on a site that is served, and listed',
	function () use ( $site, $last ) {
		$made = $site->json( 'branch', 'create', '--count', (string) ( MANY - 4 ), '--prefix', 'agent' );
		same( MANY - 4, count( $made['created'] ), 'created' );
		same( "http://$last.wp.localhost:$site->port/", end( $made['urls'] ), 'the address of the last' );
		$listed = array_column( $site->json( 'branch', 'list' ), 'name' );
		same( MANY, count( $listed ), 'listed' );
		same( MANY, count( array_unique( $listed ) ), 'names' );
		same( MANY, $site->json( 'storage', 'status' )['branches'], 'what storage status says' );
	}
);

test(
	'the first, a middle and the last of them answer from their own folders',
	function () use ( $site, $middle, $last ) {
		foreach ( array( 'main', 'agent-1', $middle, $last ) as $branch ) {
			small_page( $site, $branch );
		}
		same( 200, ( new Browser( $site, $last ) )->request( '/' )->status, 'the front page of the last' );
		same( 404, $site->request( '/small.php', array( 'Host' => $site->host( 'agent-' . MANY ) ) )->status, 'one that there is not' );
	}
);

test(
	'one of them is reset, and its neighbours are not',
	function () use ( $site, $middle, $last ) {
		$only = static fn ( string $branch ): Response => $site->request( '/only.txt', array( 'Host' => $site->host( $branch ) ) );
		foreach ( array( $middle, $last ) as $branch ) {
			put( "$site->dir/$branch/only.txt", $branch );
			same( $branch, $only( $branch )->body, "the file of $branch" );
		}
		$site->done( 'branch', 'reset', $middle, '--from', 'main' );
		same( 404, $only( $middle )->status, 'the file of the branch that was reset' );
		same( $last, $only( $last )->body, 'the file of the other' );
		small_page( $site, $middle );
	}
);

test(
	'a request makes the same system calls with a thousand branches as with four',
	function () use ( $site, $with_few, $last ) {
		holds( array_sum( $with_few ) > 20, 'the calls of a request are in the trace' );
		same( $with_few, system_calls( $site, 'few-2' ), 'calls' );
		same( $with_few, system_calls( $site, $last ), 'calls for the last branch' );
	}
);
