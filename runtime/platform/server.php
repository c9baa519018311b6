<?php
/**
 * Tells WordPress what the router can do. It would look for that in Apache's or nginx's settings.
 *
 * @package ForkPress
 */

// Every path that is no file reaches index.php, so permalinks need no index.php in them.
add_filter( 'got_url_rewrite', '__return_true' );
