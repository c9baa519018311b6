<?php
/**
 * What the router costs a WordPress front page: through it and the extension, against the same tree served by PHP's
 * built-in server without either. One worker each, PHP settings as ForkPress has them, warm. A second server without
 * the router says how far two equal servers are apart.
 *
 * php benches/front_page.php [ROUNDS]
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Bench;

require __DIR__ . '/lib.php';

$site    = site();
$servers = array(
	'router' => Server::with_router( $site ),
	'plain'  => new Server( array( '-t', "$site/main" ) ),
	'again'  => new Server( array( '-t', "$site/main" ) ),
);
foreach ( $servers as $name => $server ) {
	for ( $i = 0; $i < 20; $i++ ) {
		list( , $page ) = page( $server->port );
	}
	// The port is in the page, and where SERVER_NAME is not the host, as without the router, so is a hint about that.
	$pages[ $name ] = str_replace( array( (string) $server->port, "<link rel='dns-prefetch' href='//wp.localhost' />\n" ), '', $page );
}
1 === count( array_unique( $pages ) ) || missing( 'the servers do not answer with the same page' );

$times = array();
$order = array_keys( $servers );
foreach ( rounds( (int) ( $argv[1] ?? 400 ) ) as $round ) {
	// Each server is first, second and last as often as the others.
	$order[] = array_shift( $order );
	foreach ( $order as $name ) {
		$times[ $name ][] = page( $servers[ $name ]->port )[0];
	}
}
table(
	array(
		array( 'front page, warm', sprintf( 'milliseconds, median of %d', count( $times['router'] ) ), 'ratio, median of pairs' ),
		array( 'router and extension', sprintf( '%.2f', median( $times['router'] ) ), sprintf( '%.3f', median_ratio( $times['router'], $times['plain'] ) ) ),
		array( "PHP's built-in server alone", sprintf( '%.2f', median( $times['plain'] ) ), '1' ),
		array( 'the same a second time', sprintf( '%.2f', median( $times['again'] ) ), sprintf( '%.3f', median_ratio( $times['again'], $times['plain'] ) ) ),
	)
);
