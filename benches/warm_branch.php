<?php
/**
 * The first page of a branch after `branch create --wait` against its tenth and against the first page of a branch that is
 * not warm, and what other clients notice of the warming.
 *
 * php benches/warm_branch.php [ROUNDS]
 *
 * Uses target/release/forkpress, with the WordPress that is packed into it.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Bench;

require __DIR__ . '/lib.php';

$site = temp_dir() . '/site';
$port = free_port();
mkdir( $site );
at_end( static fn () => is_dir( "$site/.forkpress" ) && forkpress( $site, 'stop', '--force' ) );
forkpress( $site, 'init', '--port', (string) $port );

/**
 * Asks for the front page of a branch and returns the milliseconds.
 *
 * @param string $branch The branch.
 */
$front_page = function ( string $branch ) use ( $port ): float {
	$begin      = hrtime( true );
	$connection = stream_socket_client( "tcp://127.0.0.1:$port", $code, $message, 60 );
	stream_set_timeout( $connection, 60 );
	$host = ( 'main' === $branch ? '' : "$branch." ) . "wp.localhost:$port";
	fwrite( $connection, "GET / HTTP/1.1\r\nHost: $host\r\nConnection: close\r\n\r\n" );
	$answer = stream_get_contents( $connection );
	str_starts_with( $answer, 'HTTP/1.1 200 ' ) || missing( "no front page of $branch" );
	return ( hrtime( true ) - $begin ) / 1e6;
};

/**
 * Has a client ask for the front page of main, over and over, until it is told to end; returns what ends it, which gives the
 * milliseconds of each.
 */
$client = function () use ( $front_page ): callable {
	list( $ours, $its ) = stream_socket_pair( STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0 );
	$pid                = pcntl_fork();
	if ( 0 === $pid ) {
		stream_set_blocking( $its, false );
		for ( $times = array(); '' === (string) fread( $its, 1 ); ) {
			$times[] = $front_page( 'main' );
		}
		stream_set_blocking( $its, true );
		fwrite( $its, json_encode( $times ) . "\n" );
		posix_kill( getmypid(), SIGKILL );
	}
	fclose( $its );
	return static function () use ( $ours, $pid ): array {
		fwrite( $ours, '.' );
		$times = json_decode( fgets( $ours ) );
		pcntl_waitpid( $pid, $status );
		return $times;
	};
};

$times = array( 'first' => array(), 'tenth' => array(), 'cold' => array(), 'beside' => array(), 'alone' => array() );
foreach ( rounds( (int) ( $argv[1] ?? 7 ) ) as $round ) {
	forkpress( $site, 'branch', 'create', "cold$round" );
	forkpress( $site, 'serve' );
	// What was made before the server started is not warmed.
	$front_page( 'main' );
	$times['cold'][] = $front_page( "cold$round" );
	forkpress( $site, 'branch', 'create', "warm$round", '--wait' );
	$pages            = array_map( static fn () => $front_page( "warm$round" ), range( 1, 10 ) );
	$times['first'][] = $pages[0];
	$times['tenth'][] = $pages[9];

	// A reset that is done has only its warming left to do.
	$end = $client();
	forkpress( $site, 'branch', 'reset', "warm$round", '--from', 'main', '--wait' );
	$times['beside'] = array_merge( $times['beside'], $end() );
	$end             = $client();
	usleep( 1000000 );
	$times['alone'] = array_merge( $times['alone'], $end() );
	forkpress( $site, 'stop' );
}
$tail = static function ( array $values ): float {
	sort( $values );
	return $values[ (int) ( count( $values ) * 0.95 ) ];
};
table(
	array(
		array( 'front page of a branch', sprintf( 'milliseconds, median of %d', count( $times['first'] ) ), 'by the tenth' ),
		array( 'first, not warm', sprintf( '%.1f', median( $times['cold'] ) ), sprintf( '%.2f', median_ratio( $times['cold'], $times['tenth'] ) ) ),
		array( 'first, after create --wait', sprintf( '%.1f', median( $times['first'] ) ), sprintf( '%.2f', median_ratio( $times['first'], $times['tenth'] ) ) ),
		array( 'tenth', sprintf( '%.1f', median( $times['tenth'] ) ), '1' ),
	)
);
echo "\n";
table(
	array(
		array( 'a client at main', 'median', '95 % under', 'slowest', 'pages' ),
		...array_map(
			static fn ( $what, $key ) => array( $what, sprintf( '%.1f', median( $times[ $key ] ) ), sprintf( '%.1f', $tail( $times[ $key ] ) ), sprintf( '%.1f', max( $times[ $key ] ) ), count( $times[ $key ] ) ),
			array( 'while a branch is reset and warmed', 'while nothing else goes on' ),
			array( 'beside', 'alone' )
		),
	)
);
