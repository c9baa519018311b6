<?php
/**
 * Serves every request of a ForkPress site, PHP and static files alike, from the branch that its host names.
 *
 *     FORKPRESS_BRANCHES_DIR=/path/to/site php -d extension=branchfs.so -S 127.0.0.1:8080 router_cow.php
 *
 * Under php-fpm, this file is the SCRIPT_FILENAME of every request. The branchfs extension decides what answers a
 * request. It holds the locks of the site and of the branch from before the branch is looked up until nothing of the
 * request can run any more.
 *
 * Environment:
 * - FORKPRESS_BRANCHES_DIR (required): the folder with one folder for each branch
 * - FORKPRESS_COW_DIR: where operations.lock is; default: .forkpress/cow in that folder
 * - FORKPRESS_ROOT_HOST: the host name of the branch main; default: wp.localhost
 * - FORKPRESS_BIN: the forkpress program, which answers for /site.git; default: forkpress in PATH
 * - what platform/ reads.
 *
 * @package ForkPress
 */

/**
 * Ends the request with a line of text.
 *
 * @param int      $status  The HTTP status.
 * @param string   $message The line.
 * @param string[] $headers Further headers, by name.
 */
function forkpress_refuse( int $status, string $message, array $headers = array() ): void {
	$headers += array(
		'Content-Type'           => 'text/plain; charset=utf-8',
		'Cache-Control'          => 'no-store',
		'X-Content-Type-Options' => 'nosniff',
	);
	forkpress_send_headers( $status, $headers );
	echo $message, "\n";
	exit;
}

/**
 * Sends a status and headers.
 *
 * @param int      $status  The HTTP status.
 * @param string[] $headers Values by name.
 */
function forkpress_send_headers( int $status, array $headers ): void {
	http_response_code( $status );
	foreach ( $headers as $name => $value ) {
		header( "$name: $value" );
	}
}

/**
 * Returns $_SERVER as the web server made it, whatever a branch's code does to it later.
 */
function forkpress_server_variables(): array {
	static $variables = null;
	return $variables ??= $_SERVER;
}

/**
 * Drops from OPcache the scripts of every branch that was published since, and of those that are gone. OPcache itself goes by
 * a file's time, which a clone keeps.
 *
 * @param int $since The generation whose scripts are good still.
 */
function forkpress_drop_stale_scripts( int $since ): void {
	$status = function_exists( 'opcache_get_status' ) ? opcache_get_status() : false;
	$roots  = forkpress_tree_roots();
	$stale  = array();
	foreach ( array_keys( $status['scripts'] ?? array() ) as $script ) {
		// A branch whose folder is elsewhere, behind a link that is not ForkPress's, has no name here: it is dropped each time.
		$branch = '';
		foreach ( $roots as $root ) {
			if ( str_starts_with( $script, $root ) ) {
				$branch = strtok( substr( $script, strlen( $root ) ), '/' );
				break;
			}
		}
		if ( ! str_starts_with( $script, __DIR__ . '/' ) && $stale[ $branch ] ??= forkpress_generation( $branch ) > $since ) {
			opcache_invalidate( $script, true );
		}
	}
}

/**
 * Returns the generation at which a branch was published; one that no publish reaches where it has no record.
 *
 * @param string $branch Its name.
 */
function forkpress_generation( string $branch ): int {
	return branchfs_record( forkpress_cow_dir(), $branch )['generation'] ?? PHP_INT_MAX;
}

/**
 * Sees to it that no code of a branch runs that it had before it was published.
 *
 * @param string $branch Its name.
 */
function forkpress_freshen( string $branch ): void {
	$fresh_until = branchfs_fresh_until();
	if ( null === $fresh_until ) {
		return;
	}
	// Looking through all of OPcache takes its time: that is for the first request of a branch that was published.
	$generation = forkpress_generation( $branch );
	$since      = $generation > $fresh_until ? branchfs_stale_since( $generation ) : null;
	if ( null !== $since ) {
		forkpress_drop_stale_scripts( $since );
		branchfs_fresh( $generation );
	}
}

/**
 * Decides what answers the request, under the lock, which the request then keeps.
 *
 * @return array What branchfs_resolve() returned.
 */
function forkpress_resolve(): array {
	$host   = $_SERVER['HTTP_HOST'] ?? '';
	$uri    = $_SERVER['REQUEST_URI'] ?? '';
	$target = branchfs_route( $host, $uri, forkpress_root_host(), $_SERVER['REQUEST_METHOD'] ?? null );
	if ( isset( $target['message'] ) ) {
		forkpress_refuse( $target['status'], $target['message'] );
	}
	// Without the lock: a push changes a branch, and a client may read slowly.
	if ( 'main' === $target['branch'] && preg_match( '#^/site\.git(?=/|$)#D', $target['path'] ) ) {
		// Who came by a loopback address can't tell it from that.
		header( 'X-ForkPress-Root-Host: ' . forkpress_root_host() );
		require_once __DIR__ . '/owner.php';
		require_once __DIR__ . '/git.php';
		forkpress_serve_git( substr( $target['path'], strlen( '/site.git' ) ) );
	}
	do {
		try {
			branchfs_lock_shared( forkpress_cow_dir() . '/operations.lock', null, $_SERVER['HTTP_X_FORKPRESS_LOOPBACK'] ?? null, $target['branch'] );
		} catch ( Branchfs\LockTimeoutException $busy ) {
			forkpress_refuse( 503, 'This site is busy: ' . $busy->getMessage(), array( 'Retry-After' => '5' ) );
		} catch ( Branchfs\Exception $failure ) {
			error_log( 'ForkPress: ' . $failure->getMessage() );
			forkpress_refuse( 500, 'This site can not be served: ' . $failure->getMessage() );
		}
		forkpress_freshen( $target['branch'] );
		$answer = branchfs_resolve( $host, $uri, forkpress_root_host(), forkpress_branches_dir(), forkpress_cow_dir(), $_SERVER );
	} while ( isset( $answer['again'] ) );
	if ( isset( $answer['message'] ) ) {
		forkpress_refuse( $answer['status'], $answer['message'], 503 === $answer['status'] ? array( 'Retry-After' => '5' ) : array() );
	}
	header( "X-ForkPress-Branch: {$answer['branch']}" );
	return $answer;
}

/**
 * Opens the file of an answer, if it is still the one that the answer's headers describe.
 *
 * @param array $answer What branchfs_resolve() returned.
 * @return resource|null
 */
function forkpress_open( array $answer ) {
	$file = @fopen( $answer['file'], 'rb' );
	$stat = $file ? fstat( $file ) : array();
	$same = $file
		&& $stat['ino'] === $answer['inode']
		&& $stat['size'] === $answer['size']
		&& max( 0, $stat['mtime'] ) === $answer['modified'];
	return $same ? $file : null;
}

/**
 * Sends bytes of a file, and ends the request.
 *
 * @param resource $file   The open file.
 * @param array    $answer What branchfs_resolve() returned.
 */
function forkpress_send_file( $file, array $answer ): void {
	// Buffers would hold the file in memory, and may compress it, which its length and its ranges do not allow for.
	while ( ob_get_level() > 0 ) {
		ob_end_clean();
	}
	forkpress_send_headers( $answer['status'], $answer['headers'] );
	fseek( $file, $answer['offset'] );
	// All that is left is to send bytes of an open file, which no publish changes: a waiting writer need not wait for that.
	branchfs_unlock_when_writer_waits();
	for ( $left = $answer['length']; $left > 0 && ! connection_aborted(); $left -= strlen( $bytes ) ) {
		$bytes = fread( $file, min( $left, 131072 ) );
		if ( false === $bytes || '' === $bytes ) {
			break;
		}
		echo $bytes;
		flush();
	}
	exit;
}

/** Text files of more bytes are sent as they are. */
const FORKPRESS_MOST_TEXT = 8388608;

/**
 * Sends a text file with the branch's own address in place of any other that the site had, and ends the request. Does nothing
 * where the file names none: builders of pages write style sheets that do.
 *
 * @param resource $file   The open file.
 * @param array    $answer What branchfs_resolve() returned.
 */
function forkpress_send_mapped( $file, array $answer ): void {
	// WordPress's own name none.
	$is_core = preg_match( '#^/wp-(?:admin|includes)/#', $_SERVER['REQUEST_URI'] );
	$type    = $answer['headers']['Content-Type'] ?? '';
	if ( $is_core || $answer['size'] > FORKPRESS_MOST_TEXT || ! preg_match( '#^(?:text/|application/(?:json|xml|javascript)|[^;]*\+(?:json|xml))#', $type ) ) {
		return;
	}
	branchfs_serve_as( forkpress_base_url(), forkpress_root_host(), forkpress_cow_dir(), array(), false );
	$text   = (string) stream_get_contents( $file );
	$mapped = branchfs_own_addresses( $text );
	if ( $mapped === $text ) {
		return;
	}
	// A part of the file is none of this text: it is sent whole.
	unset( $answer['headers']['Accept-Ranges'], $answer['headers']['Content-Range'] );
	$answer['headers']['Content-Length'] = (string) strlen( $mapped );
	forkpress_send_headers( 200, $answer['headers'] );
	branchfs_unlock_when_writer_waits();
	echo $mapped;
	exit;
}

/**
 * Makes the request look to PHP as if the server had called the script directly.
 *
 * @param array $answer What branchfs_resolve() returned.
 * @return string The script.
 */
function forkpress_enter( array $answer ): string {
	// On the command line, the environment may hold no more than a host and an address.
	$_SERVER += array(
		'REQUEST_METHOD'  => 'GET',
		'QUERY_STRING'    => (string) parse_url( $_SERVER['REQUEST_URI'], PHP_URL_QUERY ),
		'SERVER_PROTOCOL' => 'HTTP/1.1',
		'SERVER_PORT'     => preg_match( '/:([0-9]+)$/D', $_SERVER['HTTP_HOST'], $port ) ? $port[1] : '80',
		'REMOTE_ADDR'     => '',
	);
	$_SERVER['DOCUMENT_ROOT']   = $answer['root'];
	$_SERVER['SERVER_NAME']     = preg_replace( '/:[0-9]+$/D', '', $_SERVER['HTTP_HOST'] );
	$_SERVER['SCRIPT_FILENAME'] = $answer['script'];
	$_SERVER['SCRIPT_NAME']     = $answer['script_name'];
	$_SERVER['PHP_SELF']        = $answer['script_name'] . $answer['path_info'];
	unset( $_SERVER['PATH_INFO'], $_SERVER['PATH_TRANSLATED'], $_SERVER['ORIG_PATH_INFO'], $_SERVER['ORIG_SCRIPT_NAME'] );
	if ( '' !== $answer['path_info'] ) {
		$_SERVER['PATH_INFO']       = $answer['path_info'];
		$_SERVER['PATH_TRANSLATED'] = $answer['root'] . $answer['path_info'];
	}
	chdir( dirname( $answer['script'] ) );
	forkpress_heal_driver( $answer['root'], false );
	register_shutdown_function( 'forkpress_heal_broken_driver', $answer['root'] );
	// What is compressed can not be mapped.
	unset( $_SERVER['HTTP_ACCEPT_ENCODING'] );
	if ( ini_get( 'zlib.output_compression' ) ) {
		ini_set( 'zlib.output_compression', '0' );
		while ( ob_get_level() > 0 ) {
			ob_end_clean();
		}
		ob_start( null, 4096 );
	}
	branchfs_serve_as( forkpress_base_url(), forkpress_root_host(), forkpress_cow_dir() );
	// WordPress takes hooks that are here before it is.
	$GLOBALS['wp_filter']['muplugins_loaded'][10]['forkpress'] = array(
		'function'      => 'forkpress_load_platform',
		'accepted_args' => 0,
	);
	forkpress_keep_own_address();
	return $answer['script'];
}

/**
 * Brings back what a branch's WordPress needs to reach its database and has lost.
 *
 * @param string $root     The branch's folder.
 * @param bool   $thorough Whether to look at every file.
 */
function forkpress_heal_driver( string $root, bool $thorough ): void {
	try {
		if ( branchfs_heal_driver( $root, __DIR__ . '/sqlite-database-integration', $thorough ) ) {
			error_log( "ForkPress: brought back the SQLite driver in $root/wp-content" );
		}
	} catch ( Branchfs\Exception $failure ) {
		error_log( 'ForkPress: ' . $failure->getMessage() );
	}
}

/**
 * Brings the driver back if PHP died of a file of it that is missing or cut short: the next request then has it.
 *
 * @param string $root The branch's folder.
 */
function forkpress_heal_broken_driver( string $root ): void {
	$error   = error_get_last() ?? array( 'type' => 0 );
	$missing = E_ERROR === $error['type'] && str_contains( $error['message'], 'Failed opening required' );
	if ( ! $missing && ! in_array( $error['type'], array( E_PARSE, E_COMPILE_ERROR ), true ) ) {
		return;
	}
	if ( str_contains( "{$error['message']} {$error['file']}", '/sqlite-database-integration/' ) ) {
		forkpress_heal_driver( $root, true );
	}
}

/**
 * Loads what ForkPress adds to WordPress. None of it lies in a branch's folder.
 */
function forkpress_load_platform(): void {
	require_once __DIR__ . '/owner.php';
	foreach ( array( 'driver', 'server', 'loopback', 'outside', 'auto-login', 'page', 'admin-bar', 'notice', 'palette', 'links', 'paths', 'queries' ) as $part ) {
		require __DIR__ . "/platform/$part.php";
	}
}

/**
 * Answers the request, or returns the script that does.
 *
 * @return string A PHP file, to be included in the global scope, which WordPress needs.
 */
function forkpress_serve(): string {
	if ( ! extension_loaded( 'branchfs' ) ) {
		forkpress_refuse( 500, 'The PHP extension branchfs is not loaded. Start PHP with it: php -d extension=/path/to/branchfs.so -S 127.0.0.1:8080 router_cow.php, or set extension=/path/to/branchfs.so in php.ini.' );
	}
	if ( ! is_dir( forkpress_branches_dir() ) ) {
		forkpress_refuse( 500, 'There are no branches to serve. Set FORKPRESS_BRANCHES_DIR to the folder that has a folder for each branch.' );
	}
	forkpress_server_variables();
	if ( branchfs_is_astray() ) {
		forkpress_refuse( 403, 'Only the server of ForkPress asks here' );
	}
	// An editor may replace a file between the look and the opening: then look again.
	for ( $attempt = 1; $attempt <= 3; $attempt++ ) {
		$answer = forkpress_resolve();
		if ( isset( $_SERVER['HTTP_X_FORKPRESS_WARM'] ) ) {
			require_once __DIR__ . '/warm.php';
			forkpress_warm( $answer );
		}
		if ( isset( $answer['script'] ) ) {
			return forkpress_enter( $answer );
		}
		if ( ! isset( $answer['length'] ) ) {
			// PHP calls an answer without a type text/html, and a cache would believe that of the file that it asked about.
			ini_set( 'default_mimetype', '' );
			forkpress_send_headers( $answer['status'], $answer['headers'] );
			exit;
		}
		$file = forkpress_open( $answer );
		if ( $file ) {
			forkpress_send_mapped( $file, $answer );
			forkpress_send_file( $file, $answer );
		}
	}
	forkpress_refuse( 503, 'This file is being written, or the server can not read it', array( 'Retry-After' => '1' ) );
	return '';
}

require_once __DIR__ . '/address.php';
require forkpress_serve();
