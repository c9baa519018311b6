<?php
/**
 * Prints what WordPress's own export has, of the WordPress in the current folder.
 *
 * @package ForkPress
 */

// What plugins print as they load is no part of it.
ob_start();
define( 'WP_ADMIN', true );
require './wp-load.php';
require_once ABSPATH . 'wp-admin/includes/admin.php';
require_once ABSPATH . 'wp-admin/includes/export.php';
while ( ob_get_level() > 0 ) {
	ob_end_clean();
}
export_wp();
