<?php
/**
 * Comes before each PHP that a blueprint's runner starts, which it tells that it is at localhost: has WordPress be at the
 * address of the branch.
 *
 * Environment: FORKPRESS_WP_TREE, FORKPRESS_WP_URL.
 *
 * @package ForkPress
 */

/**
 * Makes the request that WordPress believes to be in one to the branch.
 *
 * @param bool $enabled What is asked at this hook, which stays.
 */
function forkpress_blueprint_be_at_branch( $enabled ) {
	$url                  = (string) getenv( 'FORKPRESS_WP_URL' );
	$_SERVER['HTTP_HOST'] = preg_replace( '~^https?://~', '', $url );
	if ( str_starts_with( $url, 'https://' ) ) {
		$_SERVER['HTTPS'] = 'on';
	}
	return $enabled;
}

require_once dirname( __DIR__ ) . '/address.php';
$_SERVER['DOCUMENT_ROOT'] = (string) realpath( (string) getenv( 'FORKPRESS_WP_TREE' ) );
// Before what looks for the site of a network.
$GLOBALS['wp_filter']['enable_loading_object_cache_dropin'][1]['forkpress'] = array(
	'function'      => 'forkpress_blueprint_be_at_branch',
	'accepted_args' => 1,
);
forkpress_keep_own_address();
