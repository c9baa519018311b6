<?php
/**
 * The router, with the headers by which a browser may keep a static file, or ask whether it has changed, taken off.
 *
 * @package ForkPress
 */

header_register_callback(
	static function (): void {
		// WordPress sends some with its own pages; those stay.
		if ( ! defined( 'ABSPATH' ) ) {
			array_map( 'header_remove', array( 'Cache-Control', 'ETag', 'Last-Modified' ) );
		}
	}
);
require dirname( __DIR__ ) . '/runtime/router_cow.php';
