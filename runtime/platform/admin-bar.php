<?php
/**
 * The admin bar says which branch this is, and leads to the others.
 *
 * @package ForkPress
 */

/** How many branches the menu lists at most. */
const FORKPRESS_MENU_BRANCHES = 50;

/**
 * Returns the names of all branches, the newest first, `main` before all others.
 *
 * @return string[]
 */
function forkpress_branches(): array {
	$is_site = file_exists( dirname( forkpress_cow_dir() ) . '/site.toml' );
	$paths   = $is_site ? glob( forkpress_cow_dir() . '/branches/*.toml' ) : glob( forkpress_branches_dir() . '/*', GLOB_ONLYDIR );
	$times   = array();
	foreach ( $paths ? $paths : array() as $path ) {
		$name = basename( $path, '.toml' );
		if ( preg_match( '/^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/D', $name ) ) {
			$times[ $name ] = (int) @filemtime( $path );
		}
	}
	$times['main'] = PHP_INT_MAX;
	arsort( $times );
	return array_map( 'strval', array_keys( $times ) );
}

/**
 * Returns the address of a branch: the dashboard where this page is one of the dashboard's, else the front page.
 *
 * @param string $branch Its name.
 */
function forkpress_branch_url( string $branch ): string {
	$port = wp_parse_url( "http://{$_SERVER['HTTP_HOST']}", PHP_URL_PORT );
	$host = ( 'main' === $branch ? '' : "$branch." ) . forkpress_root_host() . ( null === $port ? '' : ":$port" );
	return ( is_ssl() ? 'https' : 'http' ) . "://$host" . ( is_admin() ? '/wp-admin/' : '/' );
}

/**
 * Adds the menu.
 *
 * @param WP_Admin_Bar $bar The admin bar.
 */
function forkpress_add_branch_menu( $bar ): void {
	$current  = branchfs_get_branch();
	$branches = forkpress_branches();
	$bar->add_node(
		array(
			'id'    => 'forkpress',
			'title' => esc_html( "Branch: $current" ),
			'href'  => esc_url( forkpress_branch_url( $current ) ),
		)
	);
	foreach ( array_slice( $branches, 0, FORKPRESS_MENU_BRANCHES ) as $branch ) {
		$bar->add_node(
			array(
				'parent' => 'forkpress',
				'id'     => "forkpress-branch-$branch",
				'title'  => esc_html( ( $branch === $current ? '✓ ' : '' ) . $branch ),
				'href'   => esc_url( forkpress_branch_url( $branch ) ),
			)
		);
	}
	$more = count( $branches ) - FORKPRESS_MENU_BRANCHES;
	if ( $more > 0 ) {
		$bar->add_node(
			array(
				'parent' => 'forkpress',
				'id'     => 'forkpress-more',
				'title'  => esc_html( "and $more more" ),
			)
		);
	}
}
// After WordPress's own site menu (30), before its updates and comments.
add_action( 'admin_bar_menu', 'forkpress_add_branch_menu', 35 );

/**
 * Lets a menu that is longer than the window scroll.
 */
function forkpress_style_branch_menu(): void {
	wp_add_inline_style( 'admin-bar', '#wp-admin-bar-forkpress .ab-submenu{max-height:80vh;overflow-y:auto}' );
}
add_action( 'admin_enqueue_scripts', 'forkpress_style_branch_menu' );
add_action( 'wp_enqueue_scripts', 'forkpress_style_branch_menu' );
