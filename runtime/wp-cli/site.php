<?php
/**
 * What ForkPress adds to WP-CLI: the commands for SQLite, and the branch's own address and folders.
 *
 * WP-CLI requires this file before it looks for WordPress.
 *
 * @package ForkPress
 */

/**
 * Ends the command as failed. platform/network.php calls it.
 *
 * @param int    $status  Not used.
 * @param string $message Why.
 */
function forkpress_refuse( int $status, string $message ): void {
	WP_CLI::error( $message );
}

/**
 * Fails where WP-CLI is about to work on a WordPress that is not the branch's.
 */
function forkpress_wp_cli_stay_in_branch(): void {
	$tree = (string) realpath( (string) getenv( 'FORKPRESS_WP_TREE' ) );
	$root = defined( 'ABSPATH' ) ? realpath( ABSPATH ) : false;
	if ( false !== $root && ! str_starts_with( "$root/", "$tree/" ) ) {
		WP_CLI::error( "$root is not in the branch. Name another branch: forkpress wp BRANCH -- ...; a WordPress elsewhere needs a WP-CLI of its own" );
	}
}

/**
 * Loads what keeps the branch's driver and its folders, and leads requests to the site itself to its server. None of it lies in the
 * branch's folder.
 */
function forkpress_wp_cli_load_platform(): void {
	foreach ( array( 'driver', 'server', 'loopback', 'paths' ) as $forkpress_part ) {
		require_once dirname( __DIR__ ) . "/platform/$forkpress_part.php";
	}
}

/**
 * Puts the commands for SQLite in the place of WP-CLI's own, which are for MySQL and are there by now.
 */
function forkpress_wp_cli_add_database_command(): void {
	static $is_added = false;
	if ( ! $is_added ) {
		$is_added = true;
		require_once __DIR__ . '/class-forkpress-database-command.php';
		WP_CLI::add_command( 'db', 'ForkPress_Database_Command' );
	}
}

/**
 * Loads WordPress's importer for `wp import`, unless the branch has it among its plugins and in use.
 */
function forkpress_wp_cli_load_importer(): void {
	if ( ! class_exists( 'WP_Import' ) ) {
		defined( 'WP_LOAD_IMPORTERS' ) || define( 'WP_LOAD_IMPORTERS', true );
		require_once 'phar://' . dirname( __DIR__ ) . '/wordpress-importer.tar/wordpress-importer.php';
	}
}

/**
 * Puts the comment into wp-config.php by which WP-CLI finds the place for settings, where it lacks.
 */
function forkpress_wp_cli_mark_config(): void {
	$path = (string) WP_CLI\Utils\locate_wp_config();
	$text = is_writable( $path ) ? (string) file_get_contents( $path ) : '';
	if ( '' === $text || str_contains( $text, FORKPRESS_WP_CLI_MARK ) ) {
		return;
	}
	$place = "/^[ \t]*(?:if\s*\(\s*!\s*defined\(\s*['\"]ABSPATH|defined\(\s*['\"]ABSPATH|require.*wp-settings\.php)/m";
	$new   = preg_replace( $place, FORKPRESS_WP_CLI_MARK . " Happy publishing. */\n$0", $text, 1 );
	if ( is_string( $new ) && $new !== $text ) {
		file_put_contents( $path, $new, LOCK_EX );
	}
}

/** The begin of that comment. */
const FORKPRESS_WP_CLI_MARK = "/* That's all, stop editing!";

require_once dirname( __DIR__ ) . '/address.php';

WP_CLI::add_hook(
	'before_invoke:cli update',
	static function () {
		WP_CLI::error( 'This WP-CLI comes with forkpress, and is updated with it' );
	}
);

if ( '' !== (string) getenv( 'FORKPRESS_WP_TREE' ) ) {
	$_SERVER['DOCUMENT_ROOT'] = (string) realpath( (string) getenv( 'FORKPRESS_WP_TREE' ) );
	WP_CLI::add_hook(
		'before_ssh',
		static function () {
			if ( ! preg_grep( '/^(?:@|--ssh\b)/', $GLOBALS['argv'] ) ) {
				WP_CLI::error( 'wp-cli.yml has this command run on another machine (ssh:). Name it, if that is meant: --ssh=HOST' );
			}
		}
	);
	WP_CLI::add_hook( 'before_run_command', 'forkpress_wp_cli_stay_in_branch' );
	WP_CLI::add_hook( 'before_wp_load', 'forkpress_wp_cli_stay_in_branch' );
	WP_CLI::add_wp_hook( 'muplugins_loaded', 'forkpress_wp_cli_load_platform' );
	forkpress_keep_own_address();
	foreach ( array( 'core multisite-convert', 'core multisite-install', 'config set' ) as $forkpress_command ) {
		WP_CLI::add_hook( "before_invoke:$forkpress_command", 'forkpress_wp_cli_mark_config' );
	}
	WP_CLI::add_hook( 'before_invoke:import', 'forkpress_wp_cli_load_importer' );
	WP_CLI::add_hook( 'after_add_command:db', 'forkpress_wp_cli_add_database_command' );
}
