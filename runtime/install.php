<?php
/**
 * Installs WordPress into a tree that has its files, its wp-config.php and no database yet.
 *
 *     php -c php.ini install.php TREE
 *
 * Environment: FORKPRESS_ADMIN_PASSWORD (required), FORKPRESS_SITE_TITLE (default: "ForkPress"),
 * HTTP_HOST (the main branch's host and port, default wp.localhost).
 *
 * Afterwards the database in TREE/wp-content/database is in WAL mode and closed, with no -wal or -shm file
 * beside it. The user is `admin`, and permalinks are /%postname%/. It sends no mail and opens no connection.
 * Exits with 0, or prints one line to standard error and exits with 1. Throw the tree away then.
 *
 * @package ForkPress
 */

/**
 * Ends the installation as failed.
 *
 * @param string $message What went wrong; may hold HTML, as WordPress's own messages do.
 */
function forkpress_install_fail( string $message ): void {
	$text = trim( preg_replace( '/\s+/', ' ', html_entity_decode( strip_tags( str_replace( '<', ' <', $message ) ) ) ) );
	fwrite( STDERR, $text . PHP_EOL );
	exit( 1 );
}

/**
 * Hooks a callback before WordPress, and with it add_filter(), is there.
 *
 * @param string  $hook     Name of the filter or action.
 * @param Closure $callback What to call, without arguments.
 */
function forkpress_install_hook( string $hook, Closure $callback ): void {
	// phpcs:ignore WordPress.WP.GlobalVariablesOverride.Prohibited -- WordPress documents this way of hooking early.
	$GLOBALS['wp_filter'][ $hook ][10][] = array(
		'function'      => $callback,
		'accepted_args' => 0,
	);
}

$forkpress_tree = realpath( $argv[1] ?? '' );
if ( false === $forkpress_tree || ! is_file( $forkpress_tree . '/wp-config.php' ) ) {
	forkpress_install_fail( 'not a WordPress tree with a wp-config.php: ' . ( $argv[1] ?? '(none given)' ) );
}
if ( ! is_file( $forkpress_tree . '/wp-content/db.php' ) ) {
	forkpress_install_fail( 'the tree has no database driver: ' . $forkpress_tree . '/wp-content/db.php' );
}
// WordPress trims what is typed into its login form, so a password with blanks around it could never be entered.
$forkpress_password = trim( (string) getenv( 'FORKPRESS_ADMIN_PASSWORD' ) );
if ( '' === $forkpress_password ) {
	forkpress_install_fail( 'no password for the administrator: FORKPRESS_ADMIN_PASSWORD is empty' );
}
$forkpress_database = $forkpress_tree . '/wp-content/database/.ht.sqlite';
if ( file_exists( $forkpress_database ) ) {
	forkpress_install_fail( 'the tree has a database already: ' . $forkpress_database );
}

// wp_die() ends with exit status 0 on the command line, so success has to be said, not assumed.
$forkpress_installed = false;
ini_set( 'display_errors', '0' );
register_shutdown_function(
	static function () {
		if ( ! $GLOBALS['forkpress_installed'] ) {
			$error = error_get_last();
			$said  = (string) ob_get_clean();
			forkpress_install_fail( 'WordPress did not install: ' . ( $error['message'] ?? ( '' !== $said ? $said : 'it ended without a message' ) ) );
		}
	}
);
ob_start();

$forkpress_host = getenv( 'HTTP_HOST' );
$forkpress_host = is_string( $forkpress_host ) && '' !== $forkpress_host ? $forkpress_host : 'wp.localhost';
// The one request that WordPress believes to be in.
$_SERVER['HTTP_HOST']       = $forkpress_host;
$_SERVER['SERVER_NAME']     = preg_replace( '/:[0-9]+$/', '', $forkpress_host );
$_SERVER['SERVER_PROTOCOL'] = 'HTTP/1.1';
$_SERVER['REQUEST_METHOD']  = 'GET';
$_SERVER['REQUEST_URI']     = '/wp-admin/install.php';
$_SERVER['PHP_SELF']        = '/wp-admin/install.php';

define( 'WP_INSTALLING', true );

forkpress_install_hook(
	'pre_http_request',
	static function () {
		return new WP_Error( 'forkpress_installing', 'No connections while WordPress is being installed.' );
	}
);
forkpress_install_hook(
	'pre_wp_mail',
	static function () {
		return true;
	}
);
forkpress_install_hook(
	'wp_die_handler',
	static function () {
		return static function ( $message ) {
			forkpress_install_fail( 'WordPress did not install: ' . ( is_wp_error( $message ) ? $message->get_error_message() : (string) $message ) );
		};
	}
);

require $forkpress_tree . '/wp-config.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
require_once ABSPATH . 'wp-admin/includes/plugin.php';

if ( is_blog_installed() ) {
	forkpress_install_fail( 'WordPress did not install: it says that it is installed already' );
}

$forkpress_title  = getenv( 'FORKPRESS_SITE_TITLE' );
$forkpress_result = wp_install(
	is_string( $forkpress_title ) && '' !== $forkpress_title ? $forkpress_title : 'ForkPress',
	'admin',
	// A name that leads nowhere: a site to work on must not write to a stranger.
	'admin@' . ( str_contains( $_SERVER['SERVER_NAME'], '.' ) ? $_SERVER['SERVER_NAME'] : 'wp.localhost' ),
	true,
	'',
	// The login form compares what is stored with a password that still has the slashes WordPress puts into all input.
	wp_slash( $forkpress_password )
);
if ( is_wp_error( $forkpress_result['user_id'] ) || ! wp_check_password( wp_slash( $forkpress_password ), get_userdata( $forkpress_result['user_id'] )->user_pass ) ) {
	forkpress_install_fail( 'WordPress did not install: the user admin could not be made' );
}

// wp_install() tries pretty permalinks over HTTP and falls back to plain ones; the router serves them on every branch.
$GLOBALS['wp_rewrite']->set_permalink_structure( '/%postname%/' );
// While links were plain, the archives of categories and tags had no address of their own.
create_initial_taxonomies();
$GLOBALS['wp_rewrite']->flush_rules( false );

// Where the driver is a plugin, the first page of the dashboard would activate it, and redirect.
if ( is_file( WP_PLUGIN_DIR . '/sqlite-database-integration/load.php' ) ) {
	update_option( 'active_plugins', array( 'sqlite-database-integration/load.php' ) );
}

// Else whoever opens an editor first would make the post with the theme's own styles, on each branch another.
wp_set_current_user( $forkpress_result['user_id'] );
WP_Theme_JSON_Resolver::get_user_global_styles_post_id();

/*
 * What WordPress asks its makers about before it shows an administrator's page, and in its first cron run. Where
 * they can't be reached each question costs seconds. "Asked just now" puts that off to the cron run in half a day.
 * Not set_site_transient(): while WordPress is being installed that only fills a cache.
 */
$forkpress_asked = array(
	'update_core'    => array(
		'updates'         => array(),
		'version_checked' => wp_get_wp_version(),
	),
	'update_plugins' => array( 'checked' => array_map( 'strval', wp_list_pluck( get_plugins(), 'Version' ) ) ),
	'update_themes'  => array( 'checked' => array() ),
);
foreach ( wp_get_themes() as $forkpress_theme ) {
	$forkpress_asked['update_themes']['checked'][ $forkpress_theme->get_stylesheet() ] = $forkpress_theme->get( 'Version' );
}
foreach ( $forkpress_asked as $forkpress_name => $forkpress_answer ) {
	$forkpress_answer += array(
		'last_checked' => time(),
		'response'     => array(),
		'translations' => array(),
	);
	update_option( '_site_transient_' . $forkpress_name, (object) $forkpress_answer, false );
}
foreach ( array( 'wp_version_check', 'wp_update_plugins', 'wp_update_themes' ) as $forkpress_event ) {
	wp_schedule_event( time() + 12 * HOUR_IN_SECONDS, 'twicedaily', $forkpress_event );
}

// What WordPress does at its end, such as its cron, needs the connection.
remove_all_actions( 'shutdown' );

// Close WordPress's own connection: the last one to close writes the log back into the database and removes it.
$GLOBALS['wpdb']->close();
unset( $GLOBALS['wpdb'], $wpdb );
gc_collect_cycles();

try {
	$forkpress_sqlite  = new PDO( 'sqlite:' . $forkpress_database, null, null, array( PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION ) );
	$forkpress_journal = $forkpress_sqlite->query( 'PRAGMA journal_mode = WAL' )->fetchColumn();
	$forkpress_check   = $forkpress_sqlite->query( 'PRAGMA quick_check' )->fetchColumn();
	$forkpress_busy    = $forkpress_sqlite->query( 'PRAGMA wal_checkpoint(TRUNCATE)' )->fetchColumn();
	unset( $forkpress_sqlite );
} catch ( PDOException $forkpress_error ) {
	forkpress_install_fail( 'the new database can not be used: ' . $forkpress_error->getMessage() );
}
if ( 'wal' !== $forkpress_journal || 'ok' !== $forkpress_check || 0 !== (int) $forkpress_busy ) {
	forkpress_install_fail( "the new database is not in order: journal mode $forkpress_journal, check $forkpress_check, busy $forkpress_busy" );
}
clearstatcache();
if ( file_exists( $forkpress_database . '-wal' ) ) {
	forkpress_install_fail( 'the new database was not closed: ' . $forkpress_database . '-wal is still there' );
}

$forkpress_installed = true;
