<?php
/**
 * Links and pictures in a page stay on the branch that the page is on.
 *
 * Content holds absolute addresses, with the host of the branch that it was written on. What is stored stays as it is;
 * what is shown has this branch's host.
 *
 * @package ForkPress
 */

/**
 * Puts this branch's host into addresses of the site's other branches.
 *
 * @param mixed $html What is shown.
 * @return mixed
 */
function forkpress_stay_on_branch( $html ) {
	if ( ! is_string( $html ) || false === stripos( $html, forkpress_root_host() ) ) {
		return $html;
	}
	$port  = wp_parse_url( "http://{$_SERVER['HTTP_HOST']}", PHP_URL_PORT );
	$host  = '(?:[a-z0-9_-]+\.)?' . preg_quote( forkpress_root_host(), '~' ) . ( null === $port ? '' : ":$port" );
	$shown = preg_replace( "~https?://$host(?![\\w.:@-])~i", home_url(), $html );
	return $shown ?? $html;
}
foreach ( array( 'the_content', 'render_block', 'widget_text', 'wp_get_attachment_url' ) as $forkpress_filter ) {
	add_filter( $forkpress_filter, 'forkpress_stay_on_branch', 5 );
}
unset( $forkpress_filter );
