<?php
/**
 * Makes a branch serve its own address, whatever address is in its content, its options and its files.
 *
 * The extension maps what is sent: headers, and the body if it is text. Here it learns what WordPress calls the site. And
 * WordPress gets the branch's addresses where it acts on one before it is sent: where it looks for the post of an
 * address, where it refuses to redirect to strangers, and in mails. What is stored stays as it is.
 *
 * @package ForkPress
 */

/**
 * Tells the extension at which address this branch is served, and by which its database and wp-config.php know it.
 */
function forkpress_tell_addresses(): void {
	// A site in a folder of a network is not the network's root: its address becomes no branch's.
	$options = is_multisite() && ! is_main_site() ? array() : wp_load_alloptions();
	$homes   = array( $options['home'] ?? '', $options['siteurl'] ?? '', defined( 'WP_HOME' ) ? WP_HOME : '', defined( 'WP_SITEURL' ) ? WP_SITEURL : '' );
	$homes   = array_values( array_unique( array_filter( $homes, 'is_string' ) ) );
	branchfs_serve_as( forkpress_base_url(), forkpress_root_host(), forkpress_cow_dir(), $homes );
}
forkpress_tell_addresses();

/**
 * Puts this branch's address in place of every other that the site ever had.
 *
 * @param mixed $text A text or a list of texts; anything else stays as it is.
 * @return mixed
 */
function forkpress_own_addresses( $text ) {
	if ( is_array( $text ) ) {
		return array_map( 'forkpress_own_addresses', $text );
	}
	return is_string( $text ) ? branchfs_own_addresses( $text ) : $text;
}
// An embedded post of this site is embedded without a request, and the file of an attachment is found by its address.
foreach ( array( 'the_content', 'widget_text', 'widget_block_content', 'wp_get_attachment_url', 'url_to_postid' ) as $forkpress_filter ) {
	add_filter( $forkpress_filter, 'forkpress_own_addresses', 5 );
}
unset( $forkpress_filter );

/**
 * Maps what a mail says, not to whom it goes.
 *
 * @param mixed $mail The arguments of wp_mail().
 * @return mixed
 */
function forkpress_map_mail( $mail ) {
	foreach ( array( 'subject', 'message', 'headers' ) as $part ) {
		if ( is_array( $mail ) && isset( $mail[ $part ] ) ) {
			$mail[ $part ] = forkpress_own_addresses( $mail[ $part ] );
		}
	}
	return $mail;
}
add_filter( 'wp_mail', 'forkpress_map_mail', PHP_INT_MAX );

/**
 * Lets WordPress redirect to an address that the site had: such a one is sent as this branch's own.
 *
 * @param mixed $hosts The hosts that are allowed.
 * @param mixed $host  The one that is asked about.
 * @return mixed
 */
function forkpress_allow_former_hosts( $hosts, $host ) {
	if ( is_array( $hosts ) && is_string( $host ) && branchfs_is_own_host( $host ) ) {
		$hosts[] = $host;
	}
	return $hosts;
}
add_filter( 'allowed_redirect_hosts', 'forkpress_allow_former_hosts', 10, 2 );
