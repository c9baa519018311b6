<?php
/**
 * What a request that runs for 30 seconds costs the other branches: how long their mutations wait and what their clients notice.
 * Beside it in one run: as long beside nothing, and as long beside a shell that has `operations.lock`, which is a stranger to
 * ForkPress. A mutation waits for a stranger as it waited for any request before branches had locks of their own.
 *
 * php benches/apart.php [SECONDS]
 *
 * Uses target/release/forkpress, with the WordPress that is packed into it.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Bench;

require __DIR__ . '/lib.php';

if ( 'client' === ( $argv[1] ?? '' ) ) {
	// A client: asks for a small page of a branch over and over, a millisecond apart, until its input ends; prints milliseconds.
	list( , , $port, $host ) = $argv;
	$times                   = array();
	posix_setsid();
	for ( $read = array( STDIN ), $none = null; 0 === stream_select( $read, $none, $none, 0, 1000 ); $read = array( STDIN ) ) {
		$times[] = page( (int) $port, '/small.php', $host )[0];
	}
	echo json_encode( $times );
	exit;
}

$seconds = (int) ( $argv[1] ?? 30 );
$site    = temp_dir() . '/site';
$port    = free_port();
mkdir( $site );
forkpress( $site, 'init', '--port', (string) $port );
file_put_contents( "$site/main/small.php", '<?php echo "<html></html>";' );
file_put_contents( "$site/main/long.php", '<?php set_time_limit( 0 ); touch( __DIR__ . "/runs" ); while ( ! file_exists( __DIR__ . "/go" ) ) { usleep( 5000 ); clearstatcache(); } unlink( __DIR__ . "/go" ); echo "</html>";' );
at_end( static fn () => is_dir( $site ) && forkpress( $site, 'stop', '--force' ) );
forkpress( $site, 'serve', '--workers', '5' );
forkpress( $site, 'branch', 'create', 'a', '--wait' );
forkpress( $site, 'branch', 'create', 'b', '--wait' );
forkpress( $site, 'branch', 'create', 'c', '--wait' );

/**
 * Deletes a branch and takes that back, over and over, beside a client of `main` and one of `c`, for some seconds.
 *
 * @param int      $seconds For how long.
 * @param callable $let_go  Called when that is over, or earlier, once a mutation has waited for as long.
 * @return array{array<string, float[]>, float[], float} The milliseconds that each kind of mutation took; those that each request of
 *                                                       the clients took; the longest exclusive hold.
 */
$measure = static function ( int $seconds, callable $let_go ) use ( $site, $port ): array {
	$clients = array();
	foreach ( array( 'wp.localhost', 'c.wp.localhost' ) as $host ) {
		$clients[] = new Process( array( PHP_BINARY, __FILE__, 'client', (string) $port, $host ), array( array( 'pipe', 'r' ), array( 'pipe', 'w' ), STDERR ) );
	}
	$times = array();
	$count = 0;
	$until = hrtime( true ) + $seconds * 1e9;
	// A child lets go in time, as this process may be waiting for a mutation.
	$child = pcntl_fork();
	if ( 0 === $child ) {
		usleep( $seconds * 1000000 );
		$let_go();
		posix_kill( getmypid(), SIGKILL );
	}
	while ( hrtime( true ) < $until ) {
		foreach ( array(
			'delete' => array( 'branch', 'delete', 'b' ),
			'undo'   => array( 'undo' ),
		) as $kind => $command ) {
			$times[ $kind ][] = forkpress( $site, ...$command, ...array( '--timeout', '120' ) )[0];
			++$count;
		}
	}
	pcntl_waitpid( $child, $status );
	foreach ( $clients as $process ) {
		fclose( $process->pipes[0] );
	}
	$pages = array_merge( ...array_map( static fn ( $process ) => json_decode( stream_get_contents( $process->pipes[1] ), true ), $clients ) );
	sort( $pages );
	$held = array_column( json_decode( forkpress( $site, '--json', 'log', '-n', (string) $count )[1], true ), 'held_seconds' );
	return array( $times, $pages, 1000 * max( $held ) );
};

$arms            = array();
$arms['nothing'] = $measure( $seconds, static fn () => null );

$request = stream_socket_client( "tcp://127.0.0.1:$port" );
fwrite( $request, "GET /long.php HTTP/1.1\r\nHost: a.wp.localhost:$port\r\nConnection: close\r\n\r\n" );
while ( ! file_exists( "$site/a/runs" ) ) {
	usleep( 5000 );
}
$arms['a request of another branch'] = $measure( $seconds, static fn () => touch( "$site/a/go" ) );
str_contains( stream_get_contents( $request ), '</html>' ) || missing( 'the long request failed' );

// Whoever has a file open shares its lock; `$let_go` runs in a child.
$stranger                            = fopen( "$site/.forkpress/cow/operations.lock", 'r' );
flock( $stranger, LOCK_SH );
$arms['a shell that has the lock'] = $measure( $seconds, static fn () => flock( $stranger, LOCK_UN ) );
forkpress( $site, 'stop' );

// What a mutation took beyond what one of its kind takes beside nothing.
$alone = array_map( median( ... ), $arms['nothing'][0] );
$rows  = array( array( "for $seconds s beside", 'mutations', 'longest wait, ms', 'requests', '99.9 %, ms', 'slowest, ms', 'longest hold, ms' ) );
foreach ( $arms as $name => list( $times, $pages, $held ) ) {
	$waits  = array_map( static fn ( $kind, $took ) => max( $took ) - $alone[ $kind ], array_keys( $times ), $times );
	$rows[] = array(
		$name,
		(string) array_sum( array_map( 'count', $times ) ),
		sprintf( '%.0f', max( $waits ) ),
		(string) count( $pages ),
		sprintf( '%.0f', $pages[ (int) ( 0.999 * count( $pages ) ) ] ),
		sprintf( '%.0f', end( $pages ) ),
		sprintf( '%.0f', $held ),
	);
}
table( $rows );
