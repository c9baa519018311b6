<?php
/**
 * A site's folder that `forkpress serve` serves, with php-fpm behind it. It needs no more of a site than the folder has.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require_once __DIR__ . '/lib.php';

/** A server of ForkPress's, ready for requests. */
final class Served {
	use Requests;

	/** @var string[] What its commands' environment has beyond this process's. */
	private array $env;

	/**
	 * Starts it. It is stopped when the tests end, if not before.
	 *
	 * @param string $dir     The public root.
	 * @param int    $workers How many processes of PHP's serve pages.
	 */
	public function __construct( private string $dir, int $workers ) {
		$this->port    = free_port();
		$this->env     = array(
			'FORKPRESS_STATE_DIR' => temp_dir(),
			'FORKPRESS_EXTENSION' => extension_path(),
			'FORKPRESS_PHP'       => PHP_BINARY,
		);
		Run::$at_end[] = fn () => $this->stop();
		$serve         = $this->command( 'serve', '--port', (string) $this->port, '--workers', (string) $workers );
		holds( 0 === $serve->wait(), 'forkpress serve: ' . $serve->output() );
	}

	/** Returns the path of the program. */
	public static function program(): string {
		$given = getenv( 'FORKPRESS_BIN' );
		return $given ? $given : ROOT . '/target/release/forkpress';
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
		return new Process( array( realpath( self::program() ), ...$arguments ), $this->env, $this->dir );
	}
}
