<?php
/**
 * After a publish, the first request runs the new tree's code and no other, whatever OPcache has, in every worker: of PHP's
 * built-in server, of php-fpm by itself, and of php-fpm behind `forkpress serve`.
 *
 * php -d "extension=$(pwd)/ext/branchfs.so" tests/test_freshness.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/served.php';

if ( ! function_exists( 'opcache_get_status' ) ) {
	echo "SKIPPED: this PHP has no OPcache\n1 passed, 0 failed\n";
	exit;
}

/** A moment long ago: OPcache takes no file that was written within the last two seconds. */
const LONG_AGO = 1700000000;

/** A site with three branches, each of one page that includes a file, and of records. */
final class Site {
	public readonly string $dir;
	public readonly string $cow;
	private int $generation = 6;

	/** Makes it, of generation 6. */
	public function __construct() {
		$this->dir = temp_dir();
		$this->cow = "$this->dir/.forkpress/cow";
		make_site_of( $this->dir, 'marketing', 'other' );
		foreach ( array( 'main', 'marketing', 'other' ) as $branch ) {
			$this->tree( "$this->dir/$branch", 'old' );
			$this->record( $branch );
		}
		put( "$this->cow/operations.lock", sprintf( "generation %020d\n", $this->generation ) );
	}

	/**
	 * Writes a tree in which every file has the same size and time, whatever its version.
	 *
	 * @param string $dir     Where.
	 * @param string $version The version.
	 */
	private function tree( string $dir, string $version ): void {
		put( "$dir/version.php", "<?php return '$version';" );
		$page = '<?php $seen = opcache_is_script_cached( __DIR__ . "/version.php" ) ? "cached" : "compiled"; echo "%s ", require __DIR__ . "/version.php", " $seen";';
		put( "$dir/index.php", sprintf( $page, $version ) );
		touch( "$dir/version.php", LONG_AGO );
		touch( "$dir/index.php", LONG_AGO );
	}

	/**
	 * Writes the record of a branch.
	 *
	 * @param string $branch Its name.
	 */
	public function record( string $branch ): void {
		put( "$this->cow/branches/$branch.toml", "created_at = \"2026-01-01T00:00:00Z\"\nfrom = \"main\"\ngeneration = $this->generation\n" );
	}

	/**
	 * Publishes a new tree of a branch as a reset does: exclusively, by renames, with a new generation.
	 *
	 * @param string $branch  Its name.
	 * @param string $version The version.
	 */
	public function publish( string $branch, string $version ): void {
		$this->tree( "$this->dir/.forkpress/staged", $version );
		$locks = array();
		foreach ( array( 'operations.gate', 'operations.lock' ) as $file ) {
			$locks[] = $lock = fopen( "$this->cow/$file", 'c+e' );
			eventually( static fn () => flock( $lock, LOCK_EX | LOCK_NB ), "$file is free" );
		}
		fwrite( $lock, sprintf( "generation %020d\n", ++$this->generation ) );
		rename( "$this->dir/$branch", "$this->dir/.forkpress/old" );
		rename( "$this->dir/.forkpress/staged", "$this->dir/$branch" );
		$this->record( $branch );
		array_map( 'fclose', $locks );
		remove( "$this->dir/.forkpress/old" );
	}
}

/**
 * The tests of one way to serve.
 *
 * @param string   $name  What it is called.
 * @param callable $serve Starts it for a site with settings, and returns what asks a branch for its page.
 * @param bool     $warms Whether something beside requests compiles what was published.
 */
function tests_of( string $name, callable $serve, bool $warms = false ): void {
	foreach ( array( 'on', 'off' ) as $validation ) {
		test(
			"$name, validate_timestamps $validation: every request after a publish runs the new code, and others keep theirs",
			function () use ( $serve, $validation, $warms ) {
				$site = new Site();
				$get  = $serve(
					$site,
					array( 'opcache.enable_cli=1', "opcache.validate_timestamps=$validation", 'opcache.revalidate_freq=0', 'opcache.file_cache=' )
				);
				foreach ( array( 'main', 'marketing' ) as $branch ) {
					eventually( static fn () => 'old old cached' === $get( $branch ), "$branch is cached" );
				}
				foreach ( array( 'new', 'old', 'etc' ) as $version ) {
					$site->publish( 'marketing', $version );
					same( 'old old cached', $get( 'main' ), 'the first page of the other branch' );
					$first = $get( 'marketing' );
					same( "$version $version compiled", $warms ? str_replace( 'cached', 'compiled', $first ) : $first, 'the first page' );
					for ( $i = 0; $i < 30; $i++ ) {
						same( "$version $version cached", $get( 'marketing' ), 'a later page' );
					}
				}
			}
		);
	}
}

/**
 * Returns the headers of a request for a branch.
 *
 * @param string $branch The branch.
 */
function host_of( string $branch ): array {
	return array( 'Host' => ( 'main' === $branch ? '' : "$branch." ) . 'wp.localhost' );
}

foreach ( SERVERS as $where => $by_fpm ) {
	tests_of(
		"$where with four workers",
		static function ( Site $site, array $ini ) use ( $by_fpm ): callable {
			$server = server_of( $by_fpm, $site->dir, 4, $ini );
			return static fn ( string $branch ): string => $server->request( '/', host_of( $branch ) )->body;
		},
		$by_fpm
	);
}

test(
	'while the old code of one branch is dropped, the others are served',
	function () {
		$site = new Site();
		$stop = "$site->dir/stop";
		// Whoever drops the code asks OPcache for its scripts, and stops at this pipe while it is there.
		$router = '<?php
			function opcache_get_status(): array {
				file_exists( "STOP" ) && file_get_contents( "STOP" );
				return array( "scripts" => array_flip( glob( "DIR/*/*.php" ) ) );
			}
			require "ROUTER";';
		put( "$site->dir/router.php", strtr( $router, array( 'STOP' => $stop, 'DIR' => $site->dir, 'ROUTER' => ROOT . '/runtime/router_cow.php' ) ) );
		// The router is a part of the test, so it is PHP's built-in server.
		$env    = array( 'FORKPRESS_BRANCHES_DIR' => $site->dir, 'PHP_CLI_SERVER_WORKERS' => '4' );
		$server = new Server( "$site->dir/router.php", $env, array( 'opcache.enable_cli=1', 'opcache.file_cache=', 'disable_functions=opcache_get_status' ) );
		$get    = static fn ( string $branch ): string => $server->request( '/', host_of( $branch ) )->body;
		foreach ( array( 'main', 'marketing', 'other' ) as $branch ) {
			eventually( static fn () => 'old old cached' === $get( $branch ), "$branch is cached" );
		}
		$site->publish( 'marketing', 'new' );
		posix_mkfifo( $stop, 0600 );
		$page = $server->open( '/', host_of( 'marketing' ) );
		$fifo = fopen( $stop, 'w' );
		for ( $i = 0; $i < 20; $i++ ) {
			same( 'old old cached', $get( 'main' ), 'the page of another branch' );
		}
		unlink( $stop );
		fclose( $fifo );
		same( 'new new compiled', Response::read( $page )->body, 'the page of the branch' );
		same( 'new new cached', $get( 'marketing' ), 'a later page' );
	}
);

if ( null === Fpm::binary() ) {
	echo "SKIPPED: php-fpm or cgi-fcgi is not installed (Debian: php-fpm, libfcgi-bin)\n";
} else {
	tests_of(
		'php-fpm with four workers',
		static function ( Site $site, array $ini ): callable {
			$fpm = new Fpm( temp_dir(), 4, $ini, array( 'FORKPRESS_BRANCHES_DIR' => $site->dir ) );
			return static function ( string $branch ) use ( $fpm ): string {
				$host = ( 'main' === $branch ? '' : "$branch." ) . 'wp.localhost';
				return $fpm->request( ROOT . '/runtime/router_cow.php', array( 'HTTP_HOST' => $host, 'REQUEST_URI' => '/' ) )->body;
			};
		}
	);
}
