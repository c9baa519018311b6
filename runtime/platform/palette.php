<?php
/**
 * WordPress's command palette (Ctrl-K) leads to the other branches, and to the branch page.
 *
 * @package ForkPress
 */

/**
 * Adds the commands where there is a palette.
 */
function forkpress_equip_palette(): void {
	if ( ! wp_script_is( 'wp-core-commands', 'enqueued' ) ) {
		return;
	}
	// The script of the admin bar knows how to ask which branches there are.
	wp_register_script( 'forkpress-palette', false, array( 'admin-bar', 'wp-commands', 'wp-data', 'wp-element' ), false, true );
	wp_add_inline_script( 'forkpress-palette', forkpress_script( 'palette', branchfs_get_branch() ) );
	wp_enqueue_script( 'forkpress-palette' );
}
// After WordPress has decided that there is one.
add_action( 'admin_enqueue_scripts', 'forkpress_equip_palette', 20 );
