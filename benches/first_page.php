<?php
/**
 * From an empty folder to the first page: `forkpress init`, `forkpress serve`, and a request for the front page.
 *
 * php benches/first_page.php [ROUNDS]
 *
 * Uses target/release/forkpress, with the WordPress that is packed into it.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Bench;

require __DIR__ . '/lib.php';

$times = array();
foreach ( rounds( (int) ( $argv[1] ?? 5 ) ) as $round ) {
	$site = temp_dir() . '/site';
	$port = free_port();
	mkdir( $site );
	$times['forkpress init'][] = forkpress( $site, 'init', '--port', (string) $port )[0];
	// Even where this script ends early, no server is left.
	at_end( static fn () => is_dir( $site ) && forkpress( $site, 'stop', '--force' ) );
	$times['forkpress serve'][] = forkpress( $site, 'serve' )[0];
	$times['front page'][]      = page( $port )[0];
	forkpress( $site, 'stop' );
	remove( dirname( $site ) );
}
$times['in all'] = array_map( static fn ( ...$steps ) => array_sum( $steps ), ...array_values( $times ) );

$rows = array( array( 'from an empty folder', sprintf( 'seconds, median of %d', count( $times['in all'] ) ), 'longest' ) );
foreach ( $times as $step => $values ) {
	$rows[] = array( $step, sprintf( '%.2f', median( $values ) / 1000 ), sprintf( '%.2f', max( $values ) / 1000 ) );
}
table( $rows );
