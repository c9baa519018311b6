<?php
/**
 * The admin bar says which branch this is, and leads to the others.
 *
 * A page has links to this branch and to `main`. The menu asks for the others when it is first opened, so many branches
 * make no page slower. It asks for the links to the branch page, too: who gets them is costly to find out.
 *
 * @package ForkPress
 */

/** How many branches an answer lists at most. */
const FORKPRESS_MENU_BRANCHES = 50;

/**
 * Returns the names of all branches, the newest first, `main` before all others.
 *
 * @return string[]
 */
function forkpress_branches(): array {
	$generations = array_column( branchfs_branches(), 'generation', 'name' );
	unset( $generations['main'] );
	arsort( $generations );
	return array( 'main', ...array_map( 'strval', array_keys( $generations ) ) );
}

/**
 * Returns the address of a branch.
 *
 * @param string $branch       Its name.
 * @param bool   $is_dashboard Whether of its dashboard; else of its front page.
 */
function forkpress_branch_url( string $branch, bool $is_dashboard ): string {
	return set_url_scheme( branchfs_branch_url( $branch ) . ( $is_dashboard ? 'wp-admin/' : '' ) );
}

/**
 * Adds the menu.
 *
 * @param WP_Admin_Bar $bar The admin bar.
 */
function forkpress_add_branch_menu( $bar ): void {
	$current = branchfs_get_branch();
	$bar->add_node(
		array(
			'id'    => 'forkpress',
			'title' => esc_html( "Branch: $current" ),
			'href'  => esc_url( forkpress_branch_url( $current, is_admin() ) ),
		)
	);
	foreach ( array_unique( array( 'main', $current ) ) as $branch ) {
		$bar->add_node(
			array(
				'parent' => 'forkpress',
				'id'     => "forkpress-branch-$branch",
				'title'  => esc_html( ( $branch === $current ? '✓ ' : '' ) . $branch ),
				'href'   => esc_url( forkpress_branch_url( $branch, is_admin() ) ),
			)
		);
	}
	$bar->add_node(
		array(
			'parent' => 'forkpress',
			'id'     => 'forkpress-more',
			'title'  => esc_html( '…' ),
		)
	);
}
// After WordPress's own site menu (30), before its updates and comments.
add_action( 'admin_bar_menu', 'forkpress_add_branch_menu', 35 );

/**
 * Answers which branches there are: the newest, and how many more; and where the branch page is, for whom it opens.
 *
 * With `search`, it answers those whose names have that in them.
 */
function forkpress_send_branches(): void {
	// phpcs:disable WordPress.Security.NonceVerification -- nothing is changed.
	$is_dashboard = '1' === ( $_GET['dashboard'] ?? '' );
	$search       = strtolower( is_string( $_GET['search'] ?? null ) ? $_GET['search'] : '' );
	// phpcs:enable
	$names    = array_filter( forkpress_branches(), static fn ( string $name ): bool => str_contains( $name, $search ) );
	$branches = array();
	foreach ( array_slice( $names, 0, FORKPRESS_MENU_BRANCHES ) as $name ) {
		$branches[] = array(
			'name' => $name,
			'url'  => forkpress_branch_url( $name, $is_dashboard ),
		);
	}
	wp_send_json(
		array(
			'branches' => $branches,
			'more'     => count( $names ) - count( $branches ),
			'links'    => forkpress_page_links( branchfs_get_branch() ),
		)
	);
}
add_action( 'wp_ajax_forkpress_branches', 'forkpress_send_branches' );

/**
 * Returns the address at which this branch answers a script of its pages.
 *
 * @param string   $action What is asked.
 * @param string[] $query  What else the address says.
 */
function forkpress_ajax_url( string $action, array $query = array() ): string {
	return add_query_arg( array( 'action' => $action ) + $query, admin_url( 'admin-ajax.php', 'relative' ) );
}

/**
 * Returns one of the scripts that are in this folder, which no server serves, called with what it is to know.
 *
 * @param string $name  Its name, without the suffix.
 * @param mixed  $given The argument of its function.
 */
function forkpress_script( string $name, $given ): string {
	$script = trim( (string) file_get_contents( __DIR__ . "/$name.js" ) );
	return "( $script\n)( " . wp_json_encode( $given, JSON_HEX_TAG ) . ' );';
}

/** What the menu looks like: its list scrolls where it is longer than the window, and it stays while it is used. */
const FORKPRESS_MENU_STYLE = '
#wp-admin-bar-forkpress-default{max-height:60vh;overflow-y:auto}
#wp-admin-bar-forkpress>.ab-sub-wrapper:focus-within{display:block}
#wp-admin-bar-forkpress [hidden]{display:none}
#wpadminbar #forkpress-filter{display:block;box-sizing:border-box;width:calc(100% - 20px);height:28px;min-height:0;min-width:180px;margin:8px 10px 0;padding:0 6px;border:1px solid #8c8f94;border-radius:3px;background:#fff;color:#1d2327;font:inherit;font-size:13px;line-height:26px;box-shadow:none}
#wpadminbar #forkpress-filter::placeholder{color:#646970;opacity:1}
#wpadminbar #forkpress-filter:focus{outline:2px solid #72aee6;outline-offset:1px}';

/**
 * Gives the menu its looks and its script.
 */
function forkpress_equip_branch_menu(): void {
	$url = forkpress_ajax_url( 'forkpress_branches', array( 'dashboard' => is_admin() ? '1' : '0' ) );
	wp_add_inline_style( 'admin-bar', FORKPRESS_MENU_STYLE );
	wp_add_inline_script( 'admin-bar', forkpress_script( 'branches', $url ) . forkpress_script( 'admin-bar', branchfs_get_branch() ) );
}
add_action( 'admin_enqueue_scripts', 'forkpress_equip_branch_menu' );
add_action( 'wp_enqueue_scripts', 'forkpress_equip_branch_menu' );
