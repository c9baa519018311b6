<?php
/**
 * The branch page: what it costs that others look on, and how long its first view takes beside `forkpress branch list --json`.
 *
 * php benches/branch_page.php [BRANCHES] [SECONDS] [ROUNDS]
 *
 * Uses target/release/forkpress, with the WordPress that is packed into it.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Bench;

require __DIR__ . '/lib.php';

/** How many look on. */
const PAGES = 100;

list( $branches, $seconds, $enough ) = array( (int) ( $argv[1] ?? 200 ), (int) ( $argv[2] ?? 10 ), (int) ( $argv[3] ?? 21 ) );

$site = temp_dir() . '/site';
$port = free_port();
$host = 'admin.wp.localhost';
mkdir( $site );
forkpress( $site, 'init', '--port', (string) $port, ...( is_dir( ROOT . '/target/wordpress' ) ? array( '--wordpress', ROOT . '/target/wordpress' ) : array() ) );
at_end( static fn () => is_dir( $site ) && forkpress( $site, 'stop', '--force' ) );
for ( $made = 1; $made < $branches; $made += 100 ) {
	forkpress( $site, 'branch', 'create', '--count', (string) min( 100, $branches - $made ), '--prefix', 'a' );
}
$server = json_decode( forkpress( $site, '--json', 'serve', '--workers', '2' )[1], true )['pid'] ?? missing( 'forkpress serve does not say which process serves the site' );

/** Returns the processor time that the server itself took so far, in milliseconds. */
$cpu = static function () use ( $server ): float {
	$stat = explode( ' ', substr( strrchr( (string) file_get_contents( "/proc/$server/stat" ), ')' ), 2 ) );
	return ( (int) $stat[11] + (int) $stat[12] ) * 10.0;
};

/**
 * Opens a page's news.
 *
 * @param string $place Where the page is.
 * @return resource
 */
$look = static function ( string $place ) use ( $port, $host ) {
	$connection = stream_socket_client( "tcp://127.0.0.1:$port" );
	fwrite( $connection, 'GET /live?at=' . rawurlencode( $place ) . " HTTP/1.1\r\nHost: $host:$port\r\n\r\n" );
	stream_set_blocking( $connection, false );
	return $connection;
};

/**
 * Reads what is told for a while, as a browser does.
 *
 * @param resource[] $connections The connections.
 * @param float      $seconds     For how long.
 */
$read = static function ( array $connections, float $seconds ): int {
	$bytes = 0;
	$until = microtime( true ) + $seconds;
	while ( microtime( true ) < $until ) {
		if ( ! $connections ) {
			usleep( 100_000 );
			continue;
		}
		$ready = $connections;
		$none  = null;
		stream_select( $ready, $none, $none, 0, 100_000 );
		foreach ( $ready as $connection ) {
			$bytes += strlen( (string) fread( $connection, 1 << 20 ) );
		}
	}
	return $bytes;
};

// What takes long is found out by then, and branches are warm.
page( $port, '/', $host );
for ( $before = -1.0; $cpu() > $before + 20; ) {
	$before = $cpu();
	$read( array(), 3 );
}

$times = array();
$size  = 0;
foreach ( rounds( $enough ) as $round ) {
	$times['forkpress branch list --json'][] = forkpress( $site, '--json', 'branch', 'list' )[0];
	list( $time, $html )                     = page( $port, '/', $host );
	$times['the overview'][]                 = $time;
	$size                                    = max( $size, strlen( $html ) );
}
$rows = array( array( "$branches branches", 'milliseconds, median of ' . count( $times['the overview'] ), 'longest' ) );
foreach ( $times as $what => $values ) {
	$rows[] = array( $what, sprintf( '%.1f', median( $values ) ), sprintf( '%.1f', max( $values ) ) );
}
table( $rows );
printf( "\nThe overview has %.1f KB with its headers.\n\n", $size / 1000 );

$rows = array( array( "the server's processor time", "milliseconds in $seconds s" ) );
foreach ( array( '/', '/now' ) as $place ) {
	foreach ( array( 0, 1, PAGES ) as $count ) {
		$connections = array_map( static fn () => $look( $place ), array_fill( 0, $count, null ) );
		// All of it comes once, and then only what changes.
		$read( $connections, 3 );
		$before = $cpu();
		$bytes  = $read( $connections, $seconds );
		$rows[] = array( "$count pages at $place", sprintf( '%d (%d bytes were told)', $cpu() - $before, $bytes ) );
		array_map( 'fclose', $connections );
		$read( array(), 1 );
	}
}
table( $rows );
