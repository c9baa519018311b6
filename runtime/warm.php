<?php
/**
 * Compiles a branch's code before anybody asks for a page of it.
 *
 * The `forkpress` server asks for that after each publish. It asks the one process that visitors' connections do not
 * reach, with the site's secret in `X-ForkPress-Warm` and the name of a task in `X-ForkPress-Task`:
 *
 * - `compile` puts the code that the branch's pages will run into OPcache, and runs none of it. It compiles a file at a
 *   time, while requests leave a processor free, and ends as soon as a command waits to publish.
 * - `visit` is a visitor's request for a page, without the cron jobs.
 * - `status` says how full OPcache is.
 * - `used` says what of the branches is in it.
 *
 * @package ForkPress
 */

/** Of OPcache's memory, and of its table of files, this share is left for what visitors ask for. */
const FORKPRESS_WARM_RESERVE = 0.2;

/** What the login form and the dashboard run beyond what a front page does, and beyond what wp-admin/includes/admin.php names. */
const FORKPRESS_WARM_SCRIPTS = array(
	'wp-admin/admin-footer.php',
	'wp-admin/admin-header.php',
	'wp-admin/admin.php',
	'wp-admin/includes/admin-filters.php',
	'wp-admin/includes/admin.php',
	'wp-admin/includes/class-walker-category-checklist.php',
	'wp-admin/includes/class-wp-comments-list-table.php',
	'wp-admin/includes/class-wp-community-events.php',
	'wp-admin/includes/class-wp-internal-pointers.php',
	'wp-admin/includes/class-wp-site-health.php',
	'wp-admin/includes/dashboard.php',
	'wp-admin/includes/menu.php',
	'wp-admin/index.php',
	'wp-admin/menu-header.php',
	'wp-admin/menu.php',
	'wp-includes/block-editor.php',
	'wp-includes/class-wp-admin-bar.php',
	'wp-includes/class-wp-editor.php',
	'wp-login.php',
);

/**
 * Does what the server asks for; returns only from a visit, whose page is then to be run.
 *
 * @param array $answer What branchfs_resolve() returned.
 */
function forkpress_warm( array $answer ): void {
	$token = branchfs_loopback_token();
	if ( null === $token || ! hash_equals( $token, $_SERVER['HTTP_X_FORKPRESS_WARM'] ) ) {
		forkpress_refuse( 403, 'That is for the forkpress server to ask' );
	}
	switch ( $_SERVER['HTTP_X_FORKPRESS_TASK'] ?? '' ) {
		case 'visit':
			$GLOBALS['wp_filter']['muplugins_loaded'][10]['forkpress_warm'] = array(
				'function'      => static fn () => remove_action( 'init', 'wp_cron' ),
				'accepted_args' => 0,
			);
			return;
		case 'compile':
			$root    = $answer['root'] ?? '';
			$scripts = array_filter( explode( "\n", file_get_contents( 'php://input' ) ) );
			$found   = forkpress_compile( $root, $scripts ? $scripts : forkpress_scripts_of( $root, $answer['branch'] ) );
			break;
		case 'used':
			$found = (object) array_map( static fn ( $scripts ) => (object) $scripts, forkpress_used_scripts() );
			break;
		default:
			$found = forkpress_opcache();
	}
	// PHP has said that it failed if a file did, in a status line that a mere number does not replace.
	header( ( $_SERVER['SERVER_PROTOCOL'] ?? 'HTTP/1.1' ) . ' 200 OK', true, 200 );
	forkpress_send_headers( 200, array( 'Content-Type' => 'application/json' ) );
	echo json_encode( $found );
	exit;
}

/**
 * Tells how full OPcache is.
 *
 * @return array{enabled: bool, used_bytes: int, free_bytes: int, wasted_bytes: int, scripts: int, most_scripts: int, restarts: int, apcu: bool}
 */
function forkpress_opcache(): array {
	$status     = function_exists( 'opcache_get_status' ) ? opcache_get_status( false ) : false;
	$memory     = $status['memory_usage'] ?? array();
	$statistics = $status['opcache_statistics'] ?? array();
	return array(
		'enabled'      => false !== $status && $status['opcache_enabled'],
		'used_bytes'   => $memory['used_memory'] ?? 0,
		'free_bytes'   => $memory['free_memory'] ?? 0,
		'wasted_bytes' => $memory['wasted_memory'] ?? 0,
		'scripts'      => $statistics['num_cached_keys'] ?? 0,
		'most_scripts' => $statistics['max_cached_keys'] ?? 0,
		'restarts'     => ( $statistics['oom_restarts'] ?? 0 ) + ( $statistics['hash_restarts'] ?? 0 ),
		'apcu'         => extension_loaded( 'apcu' ),
	);
}

/**
 * Returns what OPcache has of the branches.
 *
 * @return array<string, array<string, int[]>> By branch and by path in it: when it was used last, and its bytes.
 */
function forkpress_used_scripts(): array {
	$used = array();
	foreach ( ( function_exists( 'opcache_get_status' ) ? opcache_get_status() : false )['scripts'] ?? array() as $path => $script ) {
		foreach ( forkpress_tree_roots() as $root ) {
			if ( str_starts_with( $path, $root ) ) {
				list( $branch, $inside )    = explode( '/', substr( $path, strlen( $root ) ), 2 ) + array( '', '' );
				$used[ $branch ][ $inside ] = array( $script['last_used_timestamp'], $script['memory_consumption'] );
				break;
			}
		}
	}
	return $used;
}

/**
 * Whether OPcache is so full that the rest of it is better left to visitors.
 */
function forkpress_opcache_is_full(): bool {
	$opcache = forkpress_opcache();
	$memory  = $opcache['used_bytes'] + $opcache['free_bytes'] + $opcache['wasted_bytes'];
	return ! $opcache['enabled']
		|| $opcache['free_bytes'] < FORKPRESS_WARM_RESERVE * $memory
		|| $opcache['most_scripts'] - $opcache['scripts'] < FORKPRESS_WARM_RESERVE * $opcache['most_scripts'];
}

/**
 * Returns the files that pages of a branch are likely to run: what has been run of it, of the branch that it was made from
 * and of main, and what every WordPress runs to log somebody in and to show the dashboard.
 *
 * @param string $root   The branch's folder.
 * @param string $branch Its name.
 * @return string[] Paths inside the branch.
 */
function forkpress_scripts_of( string $root, string $branch ): array {
	$from     = branchfs_record( forkpress_cow_dir(), $branch )['from'] ?? 'main';
	$relative = array();
	foreach ( array_unique( array( $branch, $from, 'main' ) ) as $source ) {
		$folder = realpath( forkpress_branches_dir() . "/$source" );
		if ( false !== $folder ) {
			$relative[] = "$folder/";
		}
	}
	$scripts = array();
	foreach ( array_keys( ( function_exists( 'opcache_get_status' ) ? opcache_get_status() : false )['scripts'] ?? array() ) as $script ) {
		foreach ( $relative as $folder ) {
			if ( str_starts_with( $script, $folder ) ) {
				$scripts[ substr( $script, strlen( $folder ) ) ] = true;
			}
		}
	}
	$dashboard = (string) @file_get_contents( "$root/wp-admin/includes/admin.php" );
	preg_match_all( "~'(wp-admin/includes/[a-z-]+\.php)'~", $dashboard, $included );
	return array_keys( $scripts + array_fill_keys( array_merge( FORKPRESS_WARM_SCRIPTS, $included[1] ), true ) );
}

/**
 * Compiles files into OPcache that are not there yet.
 *
 * Compiling a file declares its functions, for the rest of this request. A second file that declares one of them, as the
 * dashboard's files for styles and scripts do, fails, and so does one that is not valid. That is no reason to end: in
 * another request, which declares nothing of what is compiled already, the second file has its turn.
 *
 * @param string   $root    The branch's folder.
 * @param string[] $scripts Paths inside of it; those that it has not are passed over.
 * @return array{compiled: int, outcome: string} The outcome is `done`, `again` where another request may compile files
 *         that failed in this one, `writer` where a command waits to publish, which goes first, or `full`.
 */
function forkpress_compile( string $root, array $scripts ): array {
	// A file that is not valid says so when it is run, to whom it may concern. PHP does not hold a fatal error back for an @.
	ini_set( 'log_errors', '0' );
	ini_set( 'display_errors', '0' );
	$tried    = 0;
	$compiled = 0;
	$outcome  = 'done';
	$failed   = false;
	foreach ( $scripts as $script ) {
		$path = "$root/$script";
		if ( ! is_file( $path ) || opcache_is_script_cached( $path ) ) {
			continue;
		}
		branchfs_yield();
		if ( $tried > 0 && branchfs_writer_waits() ) {
			$outcome = 'writer';
			break;
		}
		if ( 0 === $tried % 50 && forkpress_opcache_is_full() ) {
			$outcome = 'full';
			break;
		}
		++$tried;
		try {
			$failed = ! @opcache_compile_file( $path ) || $failed;
		} catch ( Throwable $failure ) {
			continue;
		}
		$compiled += (int) opcache_is_script_cached( $path );
	}
	if ( 'done' === $outcome && $failed && $compiled > 0 ) {
		$outcome = 'again';
	}
	return array( 'compiled' => $compiled, 'outcome' => $outcome );
}
