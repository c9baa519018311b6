<?php
/**
 * Finds the database of a WordPress tree by asking its configuration, and copies one that may be in use.
 *
 *     php database.php find TREE         prints, as JSON, `path` and `set`
 *     php database.php copy FROM TO
 *
 * The tree's wp-config.php runs, and WordPress does not. `path` is the database that exists; null if there is none.
 * `set` is where the configuration says that it is; null if it does not say. The driver then looks into
 * wp-content/database, from 3.1 on for a folder with a random name.
 * Exits with 0, or prints one line to standard error and exits with 1.
 *
 * @package ForkPress
 */

/**
 * Ends the program as failed.
 *
 * @param string $message What went wrong.
 */
function forkpress_database_fail( string $message ): void {
	fwrite( STDERR, $message . PHP_EOL );
	exit( 1 );
}

/**
 * Copies a database, as of one moment.
 *
 * @param string $from The database.
 * @param string $to   Where to; nothing is there.
 */
function forkpress_copy_database( string $from, string $to ): void {
	try {
		$database = new PDO( 'sqlite:' . $from, null, null, array( PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_TIMEOUT => 30 ) );
		$database->exec( 'VACUUM INTO ' . $database->quote( $to ) );
		$copy = new PDO( 'sqlite:' . $to, null, null, array( PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION ) );
		$copy->query( 'PRAGMA journal_mode = WAL' )->fetchColumn();
		$found = $copy->query( 'PRAGMA quick_check' )->fetchColumn();
	} catch ( PDOException $error ) {
		forkpress_database_fail( "the database $from can not be copied: " . $error->getMessage() );
	}
	if ( 'ok' !== $found ) {
		forkpress_database_fail( "the database $from is damaged: $found" );
	}
}

/**
 * Prints where a tree's database is, by the constants that its configuration has defined.
 *
 * @param string $tree The tree.
 * @param string $stub The folder that stood for it.
 */
function forkpress_print_database( string $tree, string $stub ): void {
	$said = static function ( string $name ) use ( $tree, $stub ): ?string {
		$value = defined( $name ) ? constant( $name ) : null;
		return is_string( $value ) && '' !== $value ? str_replace( $stub, $tree, $value ) : null;
	};
	$content = rtrim( $said( 'WP_CONTENT_DIR' ) ?? "$tree/wp-content", '/' );
	$folder  = rtrim( $said( 'FQDBDIR' ) ?? $said( 'DB_DIR' ) ?? "$content/database", '/' );
	$path    = $said( 'DB_PATH' ) ?? $said( 'FQDB' ) ?? $folder . '/' . ( $said( 'DB_FILE' ) ?? '.ht.sqlite' );
	$is_set  = array_filter( array_map( $said, array( 'DB_PATH', 'FQDB', 'FQDBDIR', 'DB_DIR' ) ) );
	$paths   = array( $path );
	if ( ! $is_set && is_file( "$folder/db-path.php" ) ) {
		// Of drivers from 3.1 on: it returns the path, or defines it.
		$value = ( static fn () => @include "$folder/db-path.php" )();
		$value = is_string( $value ) ? $value : (string) $said( 'DB_PATH' );
		array_unshift( $paths, str_starts_with( $value, '/' ) ? $value : "$folder/$value" );
	}
	// Where a tree was moved, what its configuration names may be nowhere.
	array_push( $paths, "$tree/wp-content/database/.ht.sqlite", ...glob( "$tree/wp-content/database/.ht.*/.ht.sqlite" ) );
	$found = array_filter( $paths, 'is_file' );
	echo json_encode(
		array(
			'path' => $found ? realpath( reset( $found ) ) : null,
			'set'  => $is_set ? $path : null,
		),
		JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE
	);
}

if ( 'copy' === ( $argv[1] ?? '' ) ) {
	forkpress_copy_database( $argv[2], $argv[3] );
	exit( 0 );
}
$forkpress_tree = realpath( $argv[2] ?? '' );
if ( false === $forkpress_tree || ! is_file( "$forkpress_tree/wp-config.php" ) ) {
	forkpress_database_fail( 'not a WordPress tree with a wp-config.php: ' . ( $argv[2] ?? '(none given)' ) );
}

// A WordPress that does nothing, for the configuration to load.
$forkpress_stub = sys_get_temp_dir() . '/forkpress-' . bin2hex( random_bytes( 8 ) );
if ( ! mkdir( $forkpress_stub, 0700 ) || false === file_put_contents( "$forkpress_stub/wp-settings.php", '' ) ) {
	forkpress_database_fail( "can not write to $forkpress_stub" );
}
define( 'ABSPATH', "$forkpress_stub/" );
// A configuration that loads the real one by its own path gets as far as here, which is before the database.
$GLOBALS['wp_filter']['enable_wp_debug_mode_checks'][10][] = array(
	'function'      => static function () {
		exit( 0 );
	},
	'accepted_args' => 0,
);
$_SERVER['HTTP_HOST']   = 'wp.localhost';
$_SERVER['REQUEST_URI'] = '/';
ini_set( 'display_errors', '0' );
ini_set( 'log_errors', '0' );
ob_start();
register_shutdown_function(
	static function () use ( $forkpress_tree, $forkpress_stub ) {
		ob_end_clean();
		unlink( "$forkpress_stub/wp-settings.php" );
		rmdir( $forkpress_stub );
		forkpress_print_database( $forkpress_tree, $forkpress_stub );
	}
);
require "$forkpress_tree/wp-config.php";
