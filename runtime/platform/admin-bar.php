<?php
/**
 * The admin bar says which branch this is, and leads to the others.
 *
 * A page has links to this branch and to `main`. The menu asks for the others when it is first opened, so many branches
 * make no page slower.
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
 * Answers which branches there are: the newest, and how many more.
 */
function forkpress_send_branches(): void {
	// phpcs:ignore WordPress.Security.NonceVerification -- nothing is changed.
	$is_dashboard = '1' === ( $_GET['dashboard'] ?? '' );
	$names        = forkpress_branches();
	$branches     = array();
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
		)
	);
}
add_action( 'wp_ajax_forkpress_branches', 'forkpress_send_branches' );

/** Fills the menu when it is first opened. Where that fails, the next time. */
const FORKPRESS_MENU_SCRIPT = <<<'JS'
( function () {
	function prepare() {
		var menu = document.getElementById( 'wp-admin-bar-forkpress' );
		var more = document.getElementById( 'wp-admin-bar-forkpress-more' );
		var events = [ 'mouseenter', 'focusin', 'touchstart' ];
		if ( ! menu || ! more ) {
			return;
		}
		function add( branch ) {
			var id = 'wp-admin-bar-forkpress-branch-' + branch.name;
			if ( document.getElementById( id ) ) {
				return;
			}
			var link = document.createElement( 'a' );
			link.className = 'ab-item';
			link.setAttribute( 'role', 'menuitem' );
			link.href = branch.url;
			link.textContent = branch.name;
			var item = document.createElement( 'li' );
			item.id = id;
			item.setAttribute( 'role', 'group' );
			item.appendChild( link );
			more.parentNode.insertBefore( item, more );
		}
		function fill() {
			events.forEach( function ( event ) { menu.removeEventListener( event, fill ); } );
			window.fetch( FORKPRESS_BRANCHES_URL, { credentials: 'same-origin' } )
				.then( function ( response ) { return response.json(); } )
				.then( function ( answer ) {
					answer.branches.forEach( add );
					if ( answer.more > 0 ) {
						more.firstElementChild.textContent = 'and ' + answer.more + ' more';
					} else {
						more.remove();
					}
				} )
				.catch( wait );
		}
		function wait() {
			events.forEach( function ( event ) { menu.addEventListener( event, fill, { passive: true } ); } );
		}
		wait();
	}
	if ( 'loading' === document.readyState ) {
		document.addEventListener( 'DOMContentLoaded', prepare );
	} else {
		prepare();
	}
}() );
JS;

/**
 * Lets a menu that is longer than the window scroll, and be filled.
 */
function forkpress_equip_branch_menu(): void {
	$url = add_query_arg(
		array(
			'action'    => 'forkpress_branches',
			'dashboard' => is_admin() ? '1' : '0',
		),
		admin_url( 'admin-ajax.php', 'relative' )
	);
	wp_add_inline_style( 'admin-bar', '#wp-admin-bar-forkpress .ab-submenu{max-height:80vh;overflow-y:auto}' );
	wp_add_inline_script( 'admin-bar', str_replace( 'FORKPRESS_BRANCHES_URL', wp_json_encode( $url ), FORKPRESS_MENU_SCRIPT ) );
}
add_action( 'admin_enqueue_scripts', 'forkpress_equip_branch_menu' );
add_action( 'wp_enqueue_scripts', 'forkpress_equip_branch_menu' );
