<?php
/**
 * Runs statements of MySQL through a WordPress tree's SQLite driver.
 *
 *     php tables.php DRIVER DATABASE
 *
 * DRIVER is the driver's folder, DATABASE the database, which is made if it is not there. On standard input are
 * statements, each after its length in bytes and a line feed. Each is answered by a line of JSON: `{"error":null}`, or why it
 * failed. The first line is about the driver itself.
 *
 * @package ForkPress
 */

/**
 * Opens a database with the driver, as WordPress does.
 *
 * @param string $folder   The driver's folder.
 * @param string $database The database.
 * @return WP_MySQL_On_SQLite|WP_SQLite_Driver
 */
function forkpress_tables_open( string $folder, string $database ) {
	$loader = "$folder/wp-includes/database/load.php";
	if ( ! is_file( $loader ) ) {
		throw new Exception( "no SQLite driver of version 3 or newer: $folder" );
	}
	require_once $loader;
	$driver = new WP_MySQL_On_SQLite( 'mysql-on-sqlite:path=' . str_replace( ';', ';;', $database ) . ';dbname=wordpress' );
	// Without this, it makes no key unique.
	$driver->setAttribute( PDO::ATTR_STRINGIFY_FETCHES, true );
	return $driver;
}

/**
 * Answers the statement that was read last.
 *
 * @param Throwable|null $error Why it failed.
 */
function forkpress_tables_answer( ?Throwable $error ): void {
	$answer = array( 'error' => null === $error ? null : $error->getMessage() );
	echo json_encode( $answer, JSON_INVALID_UTF8_SUBSTITUTE ), "\n";
	flush();
}

ini_set( 'display_errors', 'stderr' );
ini_set( 'memory_limit', '512M' );
try {
	$forkpress_driver = forkpress_tables_open( $argv[1], $argv[2] );
	forkpress_tables_answer( null );
} catch ( Throwable $forkpress_error ) {
	forkpress_tables_answer( $forkpress_error );
	exit( 1 );
}
while ( false !== ( $forkpress_line = fgets( STDIN ) ) ) {
	$forkpress_statement = (string) stream_get_contents( STDIN, (int) $forkpress_line );
	try {
		$forkpress_driver->query( $forkpress_statement );
		forkpress_tables_answer( null );
	} catch ( Throwable $forkpress_error ) {
		forkpress_tables_answer( $forkpress_error );
	}
}
