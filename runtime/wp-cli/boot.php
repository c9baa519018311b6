<?php
/**
 * Starts WP-CLI. Run by `forkpress wp`.
 *
 *     php -c php.ini boot.php ARGS
 *
 * Environment:
 * - FORKPRESS_WP_TREE: the branch's folder; none where there is no branch
 * - FORKPRESS_WP_URL: its address
 * - FORKPRESS_WP_PROGRAM, FORKPRESS_WP_SCRATCH: the forkpress program, which loads dumps, and a folder with room for them
 * - WP_CLI_CONFIG_PATH, WP_CLI_PACKAGES_DIR: where WP-CLI has the site's settings and packages.
 *
 * WP-CLI looks for its project's settings, wp-cli.yml, from the current folder upwards. The functions here end that at the
 * branch's folder: what lies above is somebody's own, and not of this site.
 *
 * @package ForkPress
 */

namespace {
	/**
	 * Whether WP-CLI may look at a file or folder: not at a folder that the branch lies in.
	 *
	 * @param string $path Its path.
	 */
	function forkpress_wp_cli_may_read( string $path ): bool {
		static $tree = null;
		$tree      ??= (string) realpath( (string) getenv( 'FORKPRESS_WP_TREE' ) );
		return \is_readable( $path ) && ( '' === $tree || ! str_starts_with( "$tree/", rtrim( $path, '/' ) . '/' ) || $tree === $path );
	}
}

namespace WP_CLI {
	/**
	 * Asked for each folder in which WP-CLI looks for WordPress.
	 *
	 * @param string $path The folder.
	 */
	function is_readable( $path ): bool {
		return \forkpress_wp_cli_may_read( $path );
	}
}

namespace WP_CLI\Utils {
	/**
	 * Asked for each folder in which WP-CLI looks for its settings.
	 *
	 * @param string $path The folder.
	 */
	function is_readable( $path ): bool {
		return \forkpress_wp_cli_may_read( $path );
	}
}

namespace {
	// An alias comes first, and leads elsewhere.
	if ( ! str_starts_with( $argv[1] ?? '', '@' ) ) {
		$forkpress_url = (string) getenv( 'FORKPRESS_WP_URL' );
		// What is typed comes later, and holds.
		array_splice( $argv, 1, 0, array( '--require=' . __DIR__ . '/site.php', ...( '' === $forkpress_url ? array() : array( "--url=$forkpress_url" ) ) ) );
		$argc            = count( $argv );
		$_SERVER['argv'] = $argv;
		$_SERVER['argc'] = $argc;
	}
	Phar::loadPhar( dirname( __DIR__ ) . '/wp-cli.phar', 'wp-cli.phar' );
	require 'phar://wp-cli.phar/php/boot-phar.php';
}
