<?php
/**
 * PHP ends a request by a jump over the extension's frames: the memory limit, a fatal error, a client that hangs up. What the
 * extension had taken is given back all the same, and the same process serves the next request. The same tests run under PHP's
 * built-in server and behind `forkpress serve` under php-fpm.
 *
 * php -d "extension=$(pwd)/ext/branchfs.so" tests/test_bailouts.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/served.php';

/** A site with one branch, and one process that serves it. */
final class Site {
	/** @var string Its folder. */
	public readonly string $dir;

	/** @var Server|Served The server. */
	public readonly Server|Served $server;

	/** @var int The id of the process. */
	private readonly int $pid;

	/**
	 * Makes it, and serves it.
	 *
	 * @param bool $by_fpm Whether `forkpress serve` does.
	 */
	public function __construct( bool $by_fpm ) {
		$this->dir = temp_dir();
		make_site_of( $this->dir );
		put( "$this->dir/main/name.txt", 'main' );
		put( "$this->dir/main/index.php", '<?php' );
		put( "$this->dir/main/well.php", '<?php echo getmypid(), " ", file_get_contents( "branchfs://main/name.txt" ), " ", json_encode( branchfs_lock_status()["branches"] );' );
		$this->server = server_of( $by_fpm, $this->dir, 1, array( 'display_errors=0', 'log_errors=0' ) );
		$this->pid    = (int) $this->server->request( '/well.php' )->body;
	}

	/**
	 * Asks for a script that PHP cuts short.
	 *
	 * @param string $code  What follows `<?php`.
	 * @param string $query The query.
	 */
	public function ask( string $code, string $query = '' ): Response {
		put( "$this->dir/main/cut.php", "<?php $code" );
		return $this->server->request( "/cut.php?$query" );
	}

	/** Fails unless nobody has the lock, and the process serves on. */
	public function is_well(): void {
		$lock = fopen( "$this->dir/.forkpress/cow/operations.lock", 'c' );
		eventually( static fn () => flock( $lock, LOCK_EX | LOCK_NB ), 'the lock is free' );
		fclose( $lock );
		same( "$this->pid main [\"main\"]", $this->server->request( '/well.php' )->body, 'the next request' );
	}

	/** Returns which files in the site its server has open; with one process, none while no request runs. */
	public function open_files(): array {
		$files = array();
		foreach ( glob( "/proc/$this->pid/fd/*" ) as $descriptor ) {
			$file = (string) @readlink( $descriptor );
			if ( str_starts_with( $file, "$this->dir/main" ) ) {
				$files[] = $file;
			}
		}
		return $files;
	}
}

foreach ( SERVERS as $where => $by_fpm ) {
	test(
		"$where: memory that runs out while the extension makes an array lets the lock go",
		function () use ( $by_fpm ) {
			$site  = new Site( $by_fpm );
			$calls = array(
				'branchfs_lock_status()',
				'branchfs_branches()',
				'branchfs_glob( "branchfs://main/*" )',
				'branchfs_route( "wp.localhost", "/name.txt", "wp.localhost" )',
				'branchfs_resolve( "wp.localhost", "/name.txt", "wp.localhost", dirname( __DIR__ ), dirname( __DIR__ ) . "/.forkpress/cow", $_SERVER )',
			);
			foreach ( $calls as $call ) {
				// Each time at another place. Newer PHPs end the request only when the call has returned.
				for ( $left = 0; $left < 8; $left++ ) {
					$code = 'ini_set( "memory_limit", "4M" ); $fill = array();
						while ( memory_get_usage() < 4194304 - 300000 - 97 * $_GET["left"] ) { $fill[] = str_repeat( "x", 200 ); }
						while ( true ) { $fill = array( ' . $call . ', $fill ); }';
					same( 500, $site->ask( $code, "left=$left" )->status, "$call, $left" );
					$site->is_well();
				}
			}
			same( array(), $site->open_files(), 'files that the server has open' );
		}
	);

	test(
		"$where: memory that runs out while open_basedir is asked leaves no folder open",
		function () use ( $by_fpm ) {
			if ( ! is_dir( '/proc/self/fd' ) ) {
				echo "SKIPPED: no /proc to count open files in\n";
				return;
			}
			$site = new Site( $by_fpm );
			// PHP copies the setting as it asks, into memory of the kind that is filled: the copy is the first for which there is none.
			$code = 'ini_set( "open_basedir", dirname( __DIR__ ) . str_repeat( ":/nowhere", 100 ) );
				ini_set( "memory_limit", "4M" );
				$call = $_GET["call"]; $url = "branchfs://main/no/$call"; $fill = new SplFixedArray( 4000 );
				for ( $i = 0; true; $i++ ) {
					$fill[ $i ] = str_repeat( "x", 990 );
					switch ( $call ) {
						case "fopen": @fopen( $url, "c" ); break;
						case "put": @file_put_contents( $url, "x", LOCK_EX ); break;
						case "rename": @rename( $url, $url ); break;
						default: @$call( $url );
					}
				}';
			foreach ( array( 'fopen', 'opendir', 'stat', 'is_readable', 'unlink', 'mkdir', 'touch', 'put', 'rename', 'branchfs_glob' ) as $call ) {
				same( 500, $site->ask( $code, "call=$call" )->status, $call );
				$site->is_well();
				same( array(), $site->open_files(), "files that the server has open after $call" );
			}
		}
	);

	test(
		"$where: a fatal error in what an overridden function calls, and in an output callback of phpinfo(), ends one request only",
		function () use ( $by_fpm ) {
			$site  = new Site( $by_fpm );
			$fatal = 'eval( "class Fatal implements Countable {}" );';
			$cuts  = array(
				'the contents of a locked file' => "class Text { public function __toString(): string { $fatal } } file_put_contents( 'branchfs://main/new.txt', new Text(), LOCK_EX );",
				'an error handler'              => "set_error_handler( function () { $fatal } ); file_put_contents( 'branchfs://main/none/x', 'x', LOCK_EX );",
				'a wrapper that is asked'       => "class W { public \$context; public function url_stat(): array { $fatal } } stream_wrapper_register( 'w', 'W' ); is_readable( 'w://x' );",
				'a wrapper of its own'          => "class W { public \$context; public function stream_open(): bool { $fatal } } stream_wrapper_unregister( 'branchfs' ); stream_wrapper_register( 'branchfs', 'W' ); file_put_contents( 'branchfs://main/x', 'x', LOCK_EX );",
				'an output callback'            => "ob_start( function () { $fatal }, 1 ); phpinfo( INFO_MODULES );",
				'the end of the answer'         => "ob_start( function () { $fatal } ); echo 'http://wp.lo';",
			);
			foreach ( $cuts as $where => $code ) {
				// What it opens after its end is not emptied.
				$site->ask( "register_shutdown_function( function () { @stream_wrapper_restore( 'branchfs' ); fwrite( fopen( 'branchfs://main/kept.txt', 'c+' ), 'k' ); } ); file_put_contents( __DIR__ . '/kept.txt', 'kept' ); $code" );
				same( 'kept', file_get_contents( "$site->dir/main/kept.txt" ), "a file that is opened after $where" );
				$site->is_well();
				same( array(), $site->open_files(), "files that the server has open after $where" );
			}
		}
	);

	test(
		"$where: a file that is opened while PHP tells of a locked write that failed is not emptied",
		function () use ( $by_fpm ) {
			$site = new Site( $by_fpm );
			$site->ask(
				'set_error_handler( function () { fwrite( fopen( "branchfs://main/name.txt", "c+" ), "m" ); return true; } );
				file_put_contents( "branchfs://main/none/x", "x", LOCK_EX );'
			);
			same( 'main', file_get_contents( "$site->dir/main/name.txt" ), 'the file' );
			$site->is_well();
		}
	);

	test(
		"$where: a client that hangs up while the rest of an address waits to be sent lets the lock go",
		function () use ( $by_fpm ) {
			$site = new Site( $by_fpm );
			put( "$site->dir/main/long.php", '<?php while ( true ) { echo str_repeat( "x", 10000 ), "http://wp.lo"; flush(); }' );
			$connection = $site->server->open( '/long.php' );
			holds( '' !== fread( $connection, 100 ), 'the answer begins' );
			fclose( $connection );
			$site->is_well();
		}
	);
}
