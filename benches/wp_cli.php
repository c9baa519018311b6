<?php
/**
 * What `forkpress wp` costs beside the bare phar: `option get home` on one site, one after the other.
 *
 * php benches/wp_cli.php [ROUNDS]
 *
 * Uses target/release/forkpress. The bare phar runs with the machine's own PHP settings.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Bench;

require __DIR__ . '/lib.php';

$site = temp_dir() . '/site';
mkdir( $site );
forkpress( $site, 'init', '--port', (string) free_port() );
forkpress( $site, 'wp', 'main', '--', 'option', 'get', 'home' );

$times = array();
foreach ( rounds( (int) ( $argv[1] ?? 21 ) ) as $round ) {
	$begin = hrtime( true );
	exec( escapeshellarg( PHP_BINARY ) . " $site/.forkpress/runtime/wp-cli.phar --allow-root --path=$site/main option get home 2>&1", $said, $status );
	0 === $status || missing( 'the bare phar failed: ' . implode( "\n", $said ) );
	$times['php wp-cli.phar'][] = ( hrtime( true ) - $begin ) / 1e6;
	$times['forkpress wp'][]    = forkpress( $site, 'wp', 'main', '--', 'option', 'get', 'home' )[0];
}

$rows = array( array( 'option get home', sprintf( 'milliseconds, median of %d', count( $times['forkpress wp'] ) ), 'shortest', 'more than bare (aim: 30)' ) );
foreach ( $times as $what => $values ) {
	$rows[] = array( $what, sprintf( '%.0f', median( $values ) ), sprintf( '%.0f', min( $values ) ), sprintf( '%.0f', median( $values ) - median( $times['php wp-cli.phar'] ) ) );
}
table( $rows );
