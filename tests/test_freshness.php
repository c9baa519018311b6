<?php
/**
 * After a publish, the first request runs the new tree's code and no other, whatever OPcache has, in every worker.
 *
 * php -d "extension=$(pwd)/ext/branchfs.so" tests/test_freshness.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/lib.php';

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
		put( "$this->dir/.forkpress/site.toml", "version = 1\n" );
		put( "$this->cow/x", '' );
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
 */
function tests_of( string $name, callable $serve ): void {
	foreach ( array( 'on', 'off' ) as $validation ) {
		test(
			"$name, validate_timestamps $validation: every request after a publish runs the new code, and others keep theirs",
			function () use ( $serve, $validation ) {
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
					same( "$version $version compiled", $get( 'marketing' ), 'the first page' );
					for ( $i = 0; $i < 30; $i++ ) {
						same( "$version $version cached", $get( 'marketing' ), 'a later page' );
					}
				}
			}
		);
	}
}

/**
 * Starts a built-in server with four workers, and returns it.
 *
 * @param Site     $site   The site.
 * @param string[] $ini    PHP settings.
 * @param string   $router The router.
 */
function serve( Site $site, array $ini, string $router = ROOT . '/runtime/router_cow.php' ): Server {
	$env = array(
		'FORKPRESS_BRANCHES_DIR' => $site->dir,
		'FORKPRESS_COW_DIR'      => null,
		'FORKPRESS_ROOT_HOST'    => null,
		'PHP_CLI_SERVER_WORKERS' => '4',
	);
	return new Server( $router, $env, $ini );
}

/**
 * Returns the headers of a request for a branch.
 *
 * @param string $branch The branch.
 */
function host_of( string $branch ): array {
	return array( 'Host' => ( 'main' === $branch ? '' : "$branch." ) . 'wp.localhost' );
}

tests_of(
	'built-in server with four workers',
	static function ( Site $site, array $ini ): callable {
		$server = serve( $site, $ini );
		return static fn ( string $branch ): string => $server->request( '/', host_of( $branch ) )->body;
	}
);

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
		$server = serve( $site, array( 'opcache.enable_cli=1', 'opcache.file_cache=', 'disable_functions=opcache_get_status' ), "$site->dir/router.php" );
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
