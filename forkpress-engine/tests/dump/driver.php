<?php
/**
 * Runs statements through the SQLite driver, as WordPress would: `php driver.php DRIVER DATABASE`.
 *
 * On standard input are statements as a JSON list, on standard output the results: for each a list of rows, or its error as a text.
 * Bytes are in Base64.
 *
 * @package ForkPress
 */

/**
 * Runs a statement.
 *
 * @param PDO    $driver    The driver.
 * @param string $statement The statement.
 * @return array|string Its rows, or its error.
 */
function forkpress_test_run( PDO $driver, string $statement ) {
	$encoded = static fn ( $cell ) => null === $cell ? null : base64_encode( $cell );
	try {
		$rows = $driver->query( $statement )->fetchAll( PDO::FETCH_NUM );
		return array_map( static fn ( $row ) => array_map( $encoded, $row ), $rows );
	} catch ( Throwable $error ) {
		return $error->getMessage();
	}
}

require $argv[1] . '/wp-includes/database/load.php';
$forkpress_driver = new WP_MySQL_On_SQLite( 'mysql-on-sqlite:path=' . $argv[2] . ';dbname=wordpress' );
$forkpress_driver->setAttribute( PDO::ATTR_STRINGIFY_FETCHES, true );
// As wpdb does.
$forkpress_driver->query( "SET SESSION sql_mode=''" );
$forkpress_results = array();
foreach ( json_decode( stream_get_contents( STDIN ), true ) as $forkpress_statement ) {
	$forkpress_results[] = forkpress_test_run( $forkpress_driver, base64_decode( $forkpress_statement ) );
}
echo json_encode( $forkpress_results, JSON_INVALID_UTF8_SUBSTITUTE );
