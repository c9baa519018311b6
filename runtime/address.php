<?php
/**
 * Where the branches are, and at which address the one at hand is: for the router and for WP-CLI.
 *
 * @package ForkPress
 */

/**
 * Returns the folder with the branches, without a slash at its end; an empty string where none is set.
 */
function forkpress_branches_dir(): string {
	return rtrim( (string) getenv( 'FORKPRESS_BRANCHES_DIR' ), '/' );
}

/**
 * Returns the folder of the operations lock and the branches' records.
 */
function forkpress_cow_dir(): string {
	$dir = rtrim( (string) getenv( 'FORKPRESS_COW_DIR' ), '/' );
	return '' !== $dir ? $dir : forkpress_branches_dir() . '/.forkpress/cow';
}

/**
 * Returns the host name of the branch main.
 */
function forkpress_root_host(): string {
	$host = (string) getenv( 'FORKPRESS_ROOT_HOST' );
	return '' !== $host ? $host : 'wp.localhost';
}

/**
 * Returns the address at which this request's branch is served, without a slash at its end.
 */
function forkpress_base_url(): string {
	$https    = strtolower( (string) ( $_SERVER['HTTPS'] ?? '' ) );
	$is_https = function_exists( 'is_ssl' ) ? is_ssl() : '' !== $https && 'off' !== $https;
	return ( $is_https ? 'https://' : 'http://' ) . strtolower( $_SERVER['HTTP_HOST'] );
}

/**
 * Returns the real folders that have a folder for each branch: in an image, where a site has one, and the one that is served.
 * Each ends in a slash; one inside of another comes before it.
 *
 * @return string[]
 */
function forkpress_tree_roots(): array {
	return branchfs_tree_roots( forkpress_branches_dir(), forkpress_cow_dir() );
}

/**
 * Returns the address of the site's front page, whatever the database or wp-config.php call it: an imported site's names its
 * former host, and a branch's the one that it came from.
 *
 * @param mixed $url What they call it.
 * @return mixed
 */
function forkpress_own_home( $url ) {
	return is_multisite() ? $url : forkpress_base_url();
}

/**
 * Returns the address of WordPress's own folder, likewise.
 *
 * @param mixed $url What they call it.
 * @return mixed
 */
function forkpress_own_siteurl( $url ) {
	$root   = $_SERVER['DOCUMENT_ROOT'] . '/';
	$folder = str_starts_with( ABSPATH, $root ) ? rtrim( '/' . substr( ABSPATH, strlen( $root ) ), '/' ) : '';
	return is_multisite() ? $url : forkpress_own_home( $url ) . $folder;
}

/**
 * Loads what ForkPress adds to a network of sites.
 *
 * @param bool $enabled What is asked at this hook, which stays.
 */
function forkpress_load_network( $enabled ) {
	if ( is_multisite() ) {
		require_once __DIR__ . '/platform/network.php';
	}
	return $enabled;
}

/**
 * Has WordPress, which is not loaded yet, be at the branch's own address.
 */
function forkpress_keep_own_address(): void {
	// The first hook after WordPress has its database, and the last before it looks for the site of a network.
	$GLOBALS['wp_filter']['enable_loading_object_cache_dropin'][10]['forkpress'] = array(
		'function'      => 'forkpress_load_network',
		'accepted_args' => 1,
	);
	// Before a must-use plugin makes constants of them, and after wp-config.php has said its own.
	foreach ( array( 'home', 'siteurl' ) as $option ) {
		$GLOBALS['wp_filter'][ "option_$option" ][ PHP_INT_MAX ]['forkpress'] = array(
			'function'      => "forkpress_own_$option",
			'accepted_args' => 1,
		);
	}
}
