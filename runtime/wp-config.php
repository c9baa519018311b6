<?php
/**
 * The site's configuration: the same on every branch.
 *
 * Nothing here names a branch, a path or a host, so a copy of this folder is a working site wherever it
 * lies and at whatever host name it is asked for. Add what the site needs; it stays as you wrote it.
 *
 * @package WordPress
 */

// The database: one SQLite file inside this very folder.
define( 'DB_ENGINE', 'sqlite' );
define( 'DB_DIR', __DIR__ . '/wp-content/database/' );
define( 'DB_FILE', '.ht.sqlite' );
// The same for drivers from 3.1 on, and for WP-CLI's commands for SQLite.
define( 'DB_PATH', DB_DIR . DB_FILE );
define( 'FQDBDIR', DB_DIR );
define( 'FQDB', DB_PATH );
define( 'DB_NAME', 'wordpress' );
define( 'DB_USER', '' );
define( 'DB_PASSWORD', '' );
define( 'DB_HOST', '' );
define( 'DB_CHARSET', 'utf8mb4' );
define( 'DB_COLLATE', '' );
$table_prefix = 'wp_';

// The address: the one that this request came in on, so links stay on the branch that they are on.
( static function () {
	$host = strtolower( $_SERVER['HTTP_HOST'] ?? '' );
	if ( ! preg_match( '/^(?:[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?$/D', $host ) ) {
		$host = 'wp.localhost';
	}
	$https = $_SERVER['HTTPS'] ?? '';
	$home  = ( '' !== $https && 'off' !== strtolower( $https ) ? 'https://' : 'http://' ) . $host;
	defined( 'WP_HOME' ) || define( 'WP_HOME', $home );
	defined( 'WP_SITEURL' ) || define( 'WP_SITEURL', $home );
} )();

// Keys that sign cookies and nonces: this site's own, made when it was.
define( 'AUTH_KEY', '@SALT@' );
define( 'SECURE_AUTH_KEY', '@SALT@' );
define( 'LOGGED_IN_KEY', '@SALT@' );
define( 'NONCE_KEY', '@SALT@' );
define( 'AUTH_SALT', '@SALT@' );
define( 'SECURE_AUTH_SALT', '@SALT@' );
define( 'LOGGED_IN_SALT', '@SALT@' );
define( 'NONCE_SALT', '@SALT@' );

// A site to work on: application passwords work without HTTPS, and errors go to the log, never into a page.
defined( 'WP_ENVIRONMENT_TYPE' ) || define( 'WP_ENVIRONMENT_TYPE', 'local' );
defined( 'WP_DEBUG' ) || define( 'WP_DEBUG', (bool) getenv( 'FORKPRESS_DEBUG_LOG' ) );
defined( 'WP_DEBUG_LOG' ) || define( 'WP_DEBUG_LOG', getenv( 'FORKPRESS_DEBUG_LOG' ) );
defined( 'WP_DEBUG_DISPLAY' ) || define( 'WP_DEBUG_DISPLAY', false );

// Whoever works on a branch updates it there. Unattended, each branch would update itself at a time of its own.
defined( 'AUTOMATIC_UPDATER_DISABLED' ) || define( 'AUTOMATIC_UPDATER_DISABLED', true );

// Add your own settings above the next line, by which WP-CLI finds the place, too.
/* That's all, stop editing! Happy publishing. */

defined( 'ABSPATH' ) || define( 'ABSPATH', __DIR__ . '/' );

require_once ABSPATH . 'wp-settings.php';
