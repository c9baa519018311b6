<?php
/**
 * What the tests of a whole site share: the `forkpress` program, a site that it made and serves, and a browser.
 *
 * FORKPRESS_BIN names the program (default: target/release/forkpress). FORKPRESS_TEST_WORDPRESS names a WordPress with the
 * SQLite driver in it (default: target/wordpress, where there is one, else the one in the program).
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require_once __DIR__ . '/lib.php';

/** What a command that has ended said and returned. */
final class Outcome {
	/**
	 * Keeps it.
	 *
	 * @param int    $status The exit status.
	 * @param string $out    The standard output.
	 * @param string $errors The standard error.
	 */
	public function __construct( public readonly int $status, public readonly string $out, public readonly string $errors ) {}

	/** Returns all of it in a line or two, for messages. */
	public function text(): string {
		return trim( "exit $this->status\n$this->out\n$this->errors" );
	}
}

/** A `forkpress` command that runs. Its output() is what it says on standard error. */
final class Command {
	/** @var Process The command. */
	public readonly Process $process;

	/** @var string The file that gets its standard output. */
	private string $out;

	/**
	 * Starts a command.
	 *
	 * @param string[] $command The program and its arguments.
	 * @param string   $cwd     The folder it starts in.
	 * @param string[] $env     What its environment has beyond, or without (null), this process's.
	 */
	public function __construct( array $command, string $cwd, array $env = array() ) {
		$this->out     = temp_dir() . '/stdout';
		$script        = 'out=$1; shift; exec "$@" >"$out"';
		$this->process = new Process( array( 'sh', '-c', $script, 'sh', $this->out, ...$command ), $env, $cwd );
	}

	/** Returns what it has said on standard output. */
	public function out(): string {
		return (string) @file_get_contents( $this->out );
	}

	/** Waits for its end. */
	public function outcome(): Outcome {
		$status  = $this->process->wait();
		$outcome = new Outcome( $status, $this->out(), $this->process->output() );
		$this->process->stop();
		return $outcome;
	}
}

/** A site that `forkpress init` made, in a temporary folder, with a server registry of its own. */
final class Site {
	use Requests;

	/** @var string The public root. */
	public readonly string $dir;

	/** @var string The folder of the server registry. */
	public readonly string $state_dir;

	/** @var string The password of the user admin. */
	public readonly string $password;

	/**
	 * Makes a site.
	 *
	 * @param string|null $dir       An empty folder for it; null: a temporary one.
	 * @param string      ...$import What is brought in, and with which options. Nothing: a WordPress of its own is installed.
	 */
	public function __construct( ?string $dir = null, string ...$import ) {
		$this->dir       = $dir ?? temp_dir();
		$this->state_dir = temp_dir();
		$this->password  = bin2hex( random_bytes( 8 ) );
		$this->port      = free_port();
		Run::$at_end[]   = fn () => $this->stop();
		$port            = array( '--port', (string) $this->port );
		if ( array() === $import ) {
			$this->done( 'init', '--admin-password', $this->password, ...$port, ...self::wordpress() );
		} else {
			$this->done( 'import', ...$import, ...$port );
		}
	}

	/** Moves the branches into an XFS image. Says so where this machine has none: they stay in plain folders. */
	public function convert_to_image(): void {
		// The image is longer than what a test's other programs may write.
		$unlimited = array( 'sh', '-c', 'ulimit -S -f unlimited; exec "$@"', 'sh' );
		$outcome   = ( new Command( array( ...$unlimited, program(), 'storage', 'convert', '--to', 'linux-xfs-loop' ), $this->dir, $this->environment() ) )->outcome();
		Run::$at_end[] = fn () => $this->run( 'storage', 'detach', '--force' );
		if ( 0 !== $outcome->status ) {
			echo "SKIPPED: the branches in an XFS image: they stay in plain folders, slowly: {$outcome->text()}\n";
		}
	}

	/** Returns the arguments that give init a WordPress. */
	private static function wordpress(): array {
		$given = getenv( 'FORKPRESS_TEST_WORDPRESS' );
		$given = $given ? $given : ROOT . '/target/wordpress';
		return is_dir( $given ) ? array( '--wordpress', realpath( $given ) ) : array();
	}

	/**
	 * Starts a command in the site's folder.
	 *
	 * @param string[] $arguments Its arguments.
	 * @param string[] $env       What its environment has beyond, or without (null), this process's.
	 */
	public function command( array $arguments, array $env = array() ): Command {
		return new Command( array( program(), ...$arguments ), $this->dir, $env + $this->environment() );
	}

	/** Returns what the environment of its commands has beyond, or without (null), this process's. */
	private function environment(): array {
		$extension   = extension_path();
		$environment = array( 'FORKPRESS_STATE_DIR' => $this->state_dir, 'FORKPRESS_AUTO_LOGIN' => null, 'FORKPRESS_PHP' => PHP_BINARY );
		return $environment + ( null === $extension ? array() : array( 'FORKPRESS_EXTENSION' => $extension ) );
	}

	/**
	 * Runs a command to its end.
	 *
	 * @param string ...$arguments Its arguments.
	 */
	public function run( string ...$arguments ): Outcome {
		return $this->command( $arguments )->outcome();
	}

	/**
	 * Runs a command that must succeed, and returns its standard output.
	 *
	 * @param string ...$arguments Its arguments.
	 */
	public function done( string ...$arguments ): string {
		$outcome = $this->run( ...$arguments );
		same( 0, $outcome->status, 'forkpress ' . implode( ' ', $arguments ) . ": {$outcome->text()}: exit status" );
		return $outcome->out;
	}

	/**
	 * Runs a command that must succeed with --json, and returns what it printed.
	 *
	 * @param string ...$arguments Its arguments.
	 */
	public function json( string ...$arguments ): mixed {
		return json_decode( $this->done( '--json', ...$arguments ), true, 512, JSON_THROW_ON_ERROR );
	}

	/**
	 * Serves the site in the background.
	 *
	 * @param int      $workers How many requests at once.
	 * @param string[] $env     What the server's environment has beyond this process's.
	 */
	public function serve( int $workers, array $env = array() ): void {
		$outcome = $this->command( array( 'serve', '--workers', (string) $workers ), $env )->outcome();
		same( 0, $outcome->status, "forkpress serve: {$outcome->text()}: exit status" );
	}

	/** Stops the server, if there is one. */
	public function stop(): void {
		$this->run( 'stop', '--force' );
	}

	/**
	 * Returns a branch's host and port.
	 *
	 * @param string $branch The branch.
	 */
	public function host( string $branch ): string {
		return ( 'main' === $branch ? '' : "$branch." ) . "wp.localhost:$this->port";
	}

	/**
	 * Opens a branch's database, from outside, as another program would.
	 *
	 * @param string $branch The branch.
	 */
	public function database( string $branch ): \PDO {
		$path = "$this->dir/$branch/wp-content/database/.ht.sqlite";
		holds( is_file( $path ), "$branch has a database" );
		return new \PDO( "sqlite:$path", null, null, array( \PDO::ATTR_ERRMODE => \PDO::ERRMODE_EXCEPTION, \PDO::ATTR_TIMEOUT => 30 ) );
	}

	/**
	 * Fails unless nobody complained: neither WordPress nor PHP, in the site's logs.
	 *
	 * Left out is what WordPress says on a machine without a network, what PHP says of WordPress's code for a network of
	 * sites, and where two of its requests write its list of cron events at once, for which it has no lock.
	 */
	public function has_no_complaints(): void {
		$usual = '/^.*(Something may be wrong with WordPress\.org|could not establish a secure connection to WordPress\.org'
			. '|PHP Deprecated: .*\/wp-includes\/ms-functions\.php|Cron (re|un)schedule event error .* Error code: could_not_set).*\n/m';
		foreach ( array( 'wp-debug.log', 'php-errors.log' ) as $log ) {
			$said = (string) @file_get_contents( "$this->dir/.forkpress/logs/$log" );
			same( '', preg_replace( $usual, '', $said ), $log );
		}
	}

	/**
	 * Takes the site's locks, as a publish that got stuck would, and returns them: they are let go when they are closed.
	 *
	 * @param string ...$names The locks, in their order.
	 * @return resource[]
	 */
	public function stuck( string ...$names ): array {
		$locks = array();
		foreach ( $names as $name ) {
			$lock = fopen( "$this->dir/.forkpress/cow/$name", 'c+' );
			eventually( static fn () => flock( $lock, LOCK_EX | LOCK_NB ), "$name is free" );
			$locks[] = $lock;
		}
		return $locks;
	}
}

/** A browser of sorts, for one branch: keeps cookies, and knows the REST nonce once it was in the dashboard. */
final class Browser {
	/** @var string[] Cookies by name. */
	public array $cookies = array();

	/** @var string|null The nonce of requests to the REST API, once it is known. */
	private ?string $nonce = null;

	/**
	 * Opens a browser.
	 *
	 * @param Site   $site   The site.
	 * @param string $branch The branch.
	 */
	public function __construct( private Site $site, public readonly string $branch ) {}

	/**
	 * Sends a request.
	 *
	 * @param string   $target  The request target, or the whole address of one on this branch.
	 * @param string   $method  The method.
	 * @param string   $body    The body.
	 * @param string[] $headers Further headers.
	 */
	public function request( string $target, string $method = 'GET', string $body = '', array $headers = array() ): Response {
		$here = 'http://' . $this->site->host( $this->branch );
		if ( str_starts_with( $target, "$here/" ) ) {
			$target = substr( $target, strlen( $here ) );
		}
		$headers += array( 'Host' => $this->site->host( $this->branch ) );
		$cookies  = array();
		foreach ( $this->cookies as $name => $value ) {
			$cookies[] = "$name=$value";
		}
		$headers += $cookies ? array( 'Cookie' => implode( '; ', $cookies ) ) : array();
		$response = $this->site->request( $target, $headers, $method, $body );
		foreach ( $response->cookies as $cookie ) {
			list( $name, $value ) = explode( '=', strtok( $cookie, ';' ), 2 );
			$this->cookies[ $name ] = $value;
		}
		return $response;
	}

	/**
	 * Asks the REST API, as the administrator that the dashboard opens for.
	 *
	 * @param string $method The method.
	 * @param string $route  The route, such as `/wp/v2/posts`, with its query.
	 * @param array  $data   What is sent, as JSON.
	 * @param int    $status The status that is right.
	 * @return array The answer.
	 */
	public function rest( string $method, string $route, array $data = array(), int $status = 200 ): array {
		if ( null === $this->nonce ) {
			same( 200, $this->request( '/wp-admin/' )->status, "the dashboard of $this->branch" );
			$this->nonce = trim( $this->request( '/wp-admin/admin-ajax.php?action=rest-nonce' )->body );
		}
		$headers  = array( 'X-WP-Nonce' => $this->nonce, 'Content-Type' => 'application/json' );
		$response = $this->request( "/wp-json$route", $method, $data ? json_encode( $data ) : '', $headers );
		same( $status, $response->status, "$method $route on $this->branch: " . substr( $response->body, 0, 300 ) . ': status' );
		return json_decode( $response->body, true, 512, JSON_THROW_ON_ERROR );
	}

	/** Returns the titles of the branch's published posts, as the REST API tells anybody. */
	public function titles(): array {
		$posts = json_decode( $this->request( '/wp-json/wp/v2/posts?per_page=100&_fields=title' )->body, true, 512, JSON_THROW_ON_ERROR );
		return array_column( array_column( $posts, 'title' ), 'rendered' );
	}
}
