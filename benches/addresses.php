<?php
/**
 * What it costs that a branch serves its own address in place of every other: a front page through the router, against the same
 * through a router that lets the addresses be; and once more with a page that has 200 addresses of another branch in it. A second
 * server that lets them be says how far two equal servers are apart. One worker each, warm. What counts is how long the servers
 * compute: that is little disturbed by what else the machine does.
 *
 * php benches/addresses.php [ROUNDS]
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Bench;

require __DIR__ . '/lib.php';

$site = site();
$dir  = temp_dir();
copy_tree( ROOT . '/runtime', "$dir/runtime" );
$changed = 0;
foreach ( array( 'router_cow.php', 'platform/links.php' ) as $file ) {
	$code = file_get_contents( "$dir/runtime/$file" );
	$code = preg_replace( '/^\tbranchfs_serve_as\(.*\);$/m', '', $code, -1, $calls );
	file_put_contents( "$dir/runtime/$file", $code );
	$changed += $calls;
}
3 === $changed || missing( 'the calls that turn it on are not where they were' );

$servers = array(
	'mapped' => Server::with_router( $site ),
	'as is'  => Server::with_router( $site, array(), "$dir/runtime/router_cow.php" ),
	'again'  => Server::with_router( $site, array(), "$dir/runtime/router_cow.php" ),
);
$rows    = array( array( 'front page', 'mapped, ms', 'as is, ms', 'computing, ratio', 'of two as is' ) );
foreach ( array( 'its own addresses', '200 of another branch' ) as $number => $title ) {
	if ( 1 === $number ) {
		$links    = str_repeat( '<a href="http://gone.wp.localhost/hello-world/">there</a> ', 200 );
		$database = new \PDO( "sqlite:$site/main/wp-content/database/.ht.sqlite" );
		$database->prepare( "UPDATE wp_posts SET post_content = ? WHERE post_name = 'hello-world'" )->execute( array( $links ) );
		unset( $database );
	}
	$computed = array();
	foreach ( $servers as $name => $server ) {
		for ( $i = 0; $i < 20; $i++ ) {
			list( , $page ) = page( $server->port );
		}
		( 'mapped' === $name || 0 === $number ) !== str_contains( $page, 'gone.wp.localhost' ) || missing( "the page of '$name' is not what it should be" );
		$computed[ $name ] = -$server->computed();
	}
	$times = array();
	$order = array_keys( $servers );
	foreach ( rounds( (int) ( $argv[1] ?? 400 ) ) as $round ) {
		$order[] = array_shift( $order );
		foreach ( $order as $name ) {
			$times[ $name ][] = page( $servers[ $name ]->port )[0];
		}
	}
	foreach ( $servers as $name => $server ) {
		$computed[ $name ] += $server->computed();
	}
	$rows[] = array(
		$title,
		sprintf( '%.2f', median( $times['mapped'] ) ),
		sprintf( '%.2f', median( $times['as is'] ) ),
		sprintf( '%.3f', $computed['mapped'] / $computed['as is'] ),
		sprintf( '%.3f', $computed['again'] / $computed['as is'] ),
	);
}
table( $rows );
