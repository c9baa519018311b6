<?php
/**
 * Tells the server how much a slow page asked of its database, for the log of slow requests (FORKPRESS_SLOW_MS).
 *
 * It goes over the line by which PHP complains to the server: the headers may have gone long ago.
 *
 * @package ForkPress
 */

/**
 * Says how many queries there were and, where WordPress measures it (SAVEQUERIES), how many seconds they took.
 */
function forkpress_tell_queries(): void {
	global $wpdb;
	$milliseconds = 1000 * ( microtime( true ) - (float) forkpress_server_variables()['REQUEST_TIME_FLOAT'] );
	if ( ! isset( $wpdb->num_queries ) || $milliseconds < (int) getenv( 'FORKPRESS_SLOW_MS' ) ) {
		return;
	}
	$seconds = $wpdb->queries ? sprintf( ' %F', array_sum( array_column( $wpdb->queries, 1 ) ) ) : '';
	error_log( 'forkpress-queries ' . (int) $wpdb->num_queries . $seconds, 4 );
}
if ( getenv( 'FORKPRESS_SLOW_MS' ) && in_array( PHP_SAPI, array( 'fpm-fcgi', 'cgi-fcgi' ), true ) ) {
	add_action( 'shutdown', 'forkpress_tell_queries', PHP_INT_MAX );
}
