<?php
/**
 * Runs statements through the SQLite driver, as WordPress would: `php driver.php DRIVER DATABASE`.
 *
 * On standard input are statements as a JSON list, on standard output the results: for each a list of rows, or its error as a text.
 * Bytes are in Base64.
 *
 * @package ForkPress
 */

require $argv[1] . '/wp-includes/database/load.php';
$forkpress_driver = new WP_MySQL_On_SQLite( 'mysql-on-sqlite:path=' . $argv[2] . ';dbname=wordpress' );
$forkpress_driver->setAttribute( PDO::ATTR_STRINGIFY_FETCHES, true );
// As wpdb does.
$forkpress_driver->query( "SET SESSION sql_mode=''" );
$forkpress_results = array();
foreach ( json_decode( stream_get_contents( STDIN ), true ) as $forkpress_statement ) {
	try {
		$forkpress_rows      = $forkpress_driver->query( base64_decode( $forkpress_statement ) )->fetchAll( PDO::FETCH_NUM );
		$forkpress_text      = static fn ( $cell ) => null === $cell ? null : base64_encode( $cell );
		$forkpress_results[] = array_map( static fn ( $row ) => array_map( $forkpress_text, $row ), $forkpress_rows );
	} catch ( Throwable $forkpress_error ) {
		$forkpress_results[] = $forkpress_error->getMessage();
	}
}
echo json_encode( $forkpress_results, JSON_INVALID_UTF8_SUBSTITUTE );
