<?php
/**
 * A site's folder that `forkpress serve` serves, with php-fpm behind it. It needs no more of a site than the folder has.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require_once __DIR__ . '/lib.php';

/** The servers that the same tests run on: what each is called, and whether `forkpress serve` is it. */
const SERVERS = array( "PHP's built-in server" => false, 'forkpress serve' => true );

/**
 * Starts a server for a site.
 *
 * @param bool     $by_fpm  Whether it is `forkpress serve`, with php-fpm, or PHP's built-in server with the router.
 * @param string   $dir     The public root.
 * @param int      $workers How many processes of PHP's serve pages.
 * @param string[] $ini     PHP settings.
 * @param string[] $env     What its environment has beyond, or without (null), this process's.
 */
function server_of( bool $by_fpm, string $dir, int $workers = 1, array $ini = array(), array $env = array() ): Server|Served {
	if ( $by_fpm ) {
		return new Served( $dir, $workers, $ini, $env );
	}
	$env += array(
		'FORKPRESS_BRANCHES_DIR' => $dir,
		'FORKPRESS_COW_DIR'      => null,
		'FORKPRESS_ROOT_HOST'    => null,
		'PHP_CLI_SERVER_WORKERS' => $workers > 1 ? (string) $workers : null,
	);
	return new Server( ROOT . '/runtime/router_cow.php', $env, $ini );
}

/**
 * Makes a folder with branches a site that `forkpress serve` takes.
 *
 * @param string $dir       The public root.
 * @param string ...$others Which branches it has beside main.
 */
function make_site_of( string $dir, string ...$others ): void {
	put( "$dir/.forkpress/site.toml", "version = 1\nstrategy = \"cow\"\nfile_view = \"file-copy\"\nroot_host = \"wp.localhost\"\nport = 18080\n" );
	foreach ( array( 'main', ...$others ) as $branch ) {
		put( "$dir/.forkpress/cow/branches/$branch.toml", "created_at = \"2026-01-01T00:00:00Z\"\ngeneration = 7\n" );
	}
	put( "$dir/.forkpress/cow/operations.lock", sprintf( "generation %020d\n", 7 ) );
	@mkdir( "$dir/.forkpress/logs" );
}

/** A server of ForkPress's, ready for requests. */
final class Served {
	use Requests;

	/** @var string[] What its commands' environment has beyond, or without (null), this process's. */
	private array $env;

	/**
	 * Starts it. It is stopped when the tests end, if not before.
	 *
	 * @param string   $dir     The public root.
	 * @param int      $workers How many processes of PHP's serve pages.
	 * @param string[] $ini     PHP settings.
	 * @param string[] $env     What its environment has beyond, or without (null), this process's.
	 */
	public function __construct( private string $dir, int $workers, array $ini = array(), array $env = array() ) {
		$this->port = free_port();
		$this->env  = $env + array(
			'FORKPRESS_STATE_DIR' => temp_dir(),
			'FORKPRESS_EXTENSION' => extension_path(),
			'FORKPRESS_PHP'       => PHP_BINARY,
		);
		if ( $ini ) {
			$settings = temp_dir();
			put( "$settings/tests.ini", implode( "\n", $ini ) . "\n" );
			// Where a name is empty, PHP takes the folder that it was built with.
			$this->env['PHP_INI_SCAN_DIR'] = getenv( 'PHP_INI_SCAN_DIR' ) . ":$settings";
		}
		Run::$at_end[] = fn () => $this->stop();
		$serve         = $this->command( 'serve', '--port', (string) $this->port, '--workers', (string) $workers );
		holds( 0 === $serve->wait(), 'forkpress serve: ' . $serve->output() );
	}

	/** Stops it. */
	public function stop(): void {
		$this->command( 'stop', '--force' )->wait();
	}

	/**
	 * Starts a command in the folder.
	 *
	 * @param string ...$arguments Its arguments.
	 */
	private function command( string ...$arguments ): Process {
		return new Process( array( program(), ...$arguments ), $this->env, $this->dir );
	}
}
