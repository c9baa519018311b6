<?php
/**
 * A warm dashboard with all its assets in headless Chromium: as ForkPress serves it, against the same without the cache
 * headers of static files. One browser, the two in turn; the time is from the start of the navigation to the end of the
 * page's load event.
 *
 * php benches/dashboard.php [ROUNDS]
 *
 * FORKPRESS_CHROMIUM names the browser, where it is none of chromium, chromium-browser and google-chrome.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Bench;

require __DIR__ . '/lib.php';
require __DIR__ . '/browser.php';

/** They fill the caches of the browser and of PHP. */
const WARMING_ROUNDS = 3;

$program    = chromium();
$site       = site();
$env        = array( 'PHP_CLI_SERVER_WORKERS' => '4' );
$servers    = array(
	'headers' => Server::with_router( $site, $env ),
	'none'    => Server::with_router( $site, $env, __DIR__ . '/no_cache_headers.php' ),
);
$browser    = new Browser( $program );
$figures    = array();
$complaints = array();
foreach ( rounds( WARMING_ROUNDS + (int) ( $argv[1] ?? 25 ) ) as $round ) {
	foreach ( 0 === $round % 2 ? array( 'headers', 'none' ) : array( 'none', 'headers' ) as $name ) {
		$time = $browser->open( "http://wp.localhost:{$servers[ $name ]->port}/wp-admin/" );
		if ( $round >= WARMING_ROUNDS ) {
			list( $requests, $bytes ) = $browser->requests();

			$figures[ $name ]['time'][]      = $time;
			$figures[ $name ]['requests'][]  = $requests;
			$figures[ $name ]['kilobytes'][] = $bytes / 1000;
		}
		foreach ( array_diff( $browser->complaints(), $complaints ) as $complaint ) {
			$complaints[] = $complaint;
			fwrite( STDERR, "the browser: $complaint\n" );
		}
	}
}

$rows = array( array( 'dashboard, warm', sprintf( 'load event, milliseconds, median of %d', count( $figures['none']['time'] ) ), 'requests', 'kilobytes', 'ratio of times, median of pairs' ) );
foreach ( array( 'headers' => 'as served', 'none' => 'without cache headers' ) as $name => $title ) {
	$ratio  = 'none' === $name ? '1' : sprintf( '%.2f', median_ratio( $figures['headers']['time'], $figures['none']['time'] ) );
	$rows[] = array( $title, ...array_map( static fn ( $values ) => sprintf( '%.0f', median( $values ) ), array_values( $figures[ $name ] ) ), $ratio );
}
table( $rows );
