<?php
/**
 * What the benchmarks share: a WordPress site, servers, an HTTP client, medians and tables.
 *
 * What is started or made here is ended or removed when the script ends.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Bench;

/** The source tree. */
define( __NAMESPACE__ . '\ROOT', dirname( __DIR__ ) );

error_reporting( E_ALL );
set_error_handler(
	static function ( int $level, string $message, string $file, int $line ): bool {
		if ( 0 === ( error_reporting() & $level ) ) {
			return false;
		}
		throw new \ErrorException( $message, 0, $level, $file, $line );
	}
);
pcntl_async_signals( true );
foreach ( array( SIGINT, SIGTERM, SIGHUP ) as $signal ) {
	pcntl_signal( $signal, static fn () => exit( 1 ) );
}

/**
 * Ends the benchmark: it can not run here.
 *
 * @param string $message What is missing and how to get it.
 */
function missing( string $message ): never {
	fwrite( STDERR, basename( $_SERVER['argv'][0] ) . ": $message\n" );
	exit( 2 );
}

/**
 * Does something when the script ends, before all that was put off until then already.
 *
 * @param callable $step What.
 */
function at_end( callable $step ): void {
	static $steps = null;
	if ( null === $steps ) {
		$steps = array();
		register_shutdown_function(
			static function () use ( &$steps ): void {
				while ( $steps ) {
					array_pop( $steps )();
				}
			}
		);
	}
	$steps[] = $step;
}

/** Makes a folder that is removed when the script ends, and returns its real path. */
function temp_dir(): string {
	$dir = sys_get_temp_dir() . '/forkpress-bench-' . bin2hex( random_bytes( 6 ) );
	mkdir( $dir, 0700 );
	$dir = realpath( $dir );
	at_end( static fn () => remove( $dir ) );
	return $dir;
}

/**
 * Removes a file, or a folder with all that is in it. Follows no symlink.
 *
 * @param string $path What.
 */
function remove( string $path ): void {
	if ( is_link( $path ) || ! is_dir( $path ) ) {
		@unlink( $path );
		return;
	}
	foreach ( array_diff( scandir( $path ), array( '.', '..' ) ) as $name ) {
		remove( "$path/$name" );
	}
	@rmdir( $path );
}

/**
 * Copies a folder with all that is in it.
 *
 * @param string $from The folder.
 * @param string $to   Where; does not exist yet.
 */
function copy_tree( string $from, string $to ): void {
	mkdir( $to );
	foreach ( array_diff( scandir( $from ), array( '.', '..' ) ) as $name ) {
		is_dir( "$from/$name" ) ? copy_tree( "$from/$name", "$to/$name" ) : copy( "$from/$name", "$to/$name" );
	}
}

/** Returns the extension that the build left. */
function extension(): string {
	$path = ROOT . '/ext/branchfs.so';
	return is_file( $path ) ? $path : missing( "ext/branchfs.so is missing: 'make build' makes it" );
}

/** Returns a WordPress tree with the SQLite driver and no wp-config.php. */
function wordpress(): string {
	$set  = (string) getenv( 'FORKPRESS_TEST_WORDPRESS' );
	$path = '' !== $set ? $set : ROOT . '/target/wordpress';
	return is_file( "$path/wp-content/db.php" ) ? $path : missing( "no WordPress tree in $path: 'scripts/fetch-wordpress.sh' fetches one, FORKPRESS_TEST_WORDPRESS names another" );
}

/**
 * Makes the public root of a site whose branch `main` is a WordPress installed as `forkpress init` does, and returns it.
 *
 * It runs no cron jobs: they would run beside the pages that are measured.
 */
function site(): string {
	$root = temp_dir();
	copy_tree( wordpress(), "$root/main" );
	mkdir( "$root/.forkpress/cow", 0700, true );
	touch( "$root/.forkpress/cow/operations.lock" );
	$config = preg_replace_callback( '/@SALT@/', static fn () => bin2hex( random_bytes( 32 ) ), file_get_contents( ROOT . '/runtime/wp-config.php' ) );
	$config = str_replace( '// Add your own settings', "define( 'DISABLE_WP_CRON', true );\n\n// Add your own settings", $config );
	file_put_contents( "$root/main/wp-config.php", $config );
	$command = array( PHP_BINARY, '-c', ROOT . '/php.ini.dist', ROOT . '/runtime/install.php', "$root/main" );
	$install = proc_open( $command, array( array( 'file', '/dev/null', 'r' ), STDERR, STDERR ), $pipes, null, array( 'FORKPRESS_ADMIN_PASSWORD' => 'bench' ) + getenv() );
	0 === proc_close( $install ) || missing( 'WordPress did not install' );
	return $root;
}

/** A child process in a session of its own. */
final class Process {
	/** @var resource What proc_open() returned. */
	private $handle;

	/** @var int Its process id, and its group's. */
	public readonly int $pid;

	/** @var array Pipes, by the descriptor in the child. */
	public array $pipes = array();

	/**
	 * Starts a command. It ends when the script ends.
	 *
	 * @param string[] $command     The program, with its path, and its arguments.
	 * @param array    $descriptors As proc_open() takes them.
	 * @param string[] $env         What its environment has beyond this process's.
	 */
	public function __construct( array $command, array $descriptors, array $env = array() ) {
		$leader       = array( PHP_BINARY, '-r', 'posix_setsid(); pcntl_exec( $argv[1], array_slice( $argv, 2 ) );', '--', ...$command );
		$this->handle = proc_open( $leader, $descriptors, $this->pipes, null, $env + getenv() );
		$this->pid    = proc_get_status( $this->handle )['pid'];
		at_end( array( $this, 'stop' ) );
	}

	/** Whether it has not ended. */
	public function runs(): bool {
		return is_resource( $this->handle ) && proc_get_status( $this->handle )['running'];
	}

	/** Ends it and its group. */
	public function stop(): void {
		if ( is_resource( $this->handle ) ) {
			@posix_kill( -$this->pid, SIGKILL );
			proc_terminate( $this->handle, SIGKILL );
			proc_close( $this->handle );
		}
	}
}

/** PHP's built-in server. */
final class Server {
	/** @var int The port it listens at on 127.0.0.1. */
	public readonly int $port;

	/** @var string What it says goes to this file. */
	public readonly string $log;

	/** @var Process The server. */
	private Process $process;

	/**
	 * Starts a server, with the settings that ForkPress serves with, and waits until it accepts connections.
	 *
	 * @param string[] $arguments What follows `-S ADDRESS`.
	 * @param string[] $ini       Further PHP settings.
	 * @param string[] $env       What its environment has beyond this process's.
	 */
	public function __construct( array $arguments, array $ini = array(), array $env = array() ) {
		$this->port = free_port();
		$this->log  = temp_dir() . '/log';
		$command    = array( PHP_BINARY, '-c', ROOT . '/php.ini.dist' );
		foreach ( $ini as $setting ) {
			array_push( $command, '-d', $setting );
		}
		array_push( $command, '-q', '-S', "127.0.0.1:$this->port", ...$arguments );
		$log    = array( 'file', $this->log, 'a' );
		$server = new Process( $command, array( array( 'file', '/dev/null', 'r' ), $log, $log ), $env + array( 'FORKPRESS_PHP_ERRORS_LOG' => $this->log ) );
		while ( ! @fsockopen( '127.0.0.1', $this->port ) ) {
			$server->runs() || missing( 'the server did not start: ' . file_get_contents( $this->log ) );
			usleep( 5000 );
		}
		$this->process = $server;
	}

	/** Returns how long it has computed, in milliseconds: ten at a time. Linux only. */
	public function computed(): float {
		$fields = explode( ' ', explode( ') ', file_get_contents( "/proc/{$this->process->pid}/stat" ) )[1] );
		return 10.0 * ( (int) $fields[11] + (int) $fields[12] );
	}

	/**
	 * Starts a server with the router.
	 *
	 * @param string   $site   The public root.
	 * @param string[] $env    What its environment has beyond this process's.
	 * @param string   $router The router script.
	 */
	public static function with_router( string $site, array $env = array(), string $router = ROOT . '/runtime/router_cow.php' ): self {
		return new self( array( $router ), array( 'extension=' . extension() ), $env + array( 'FORKPRESS_BRANCHES_DIR' => $site ) );
	}
}

/**
 * Runs forkpress in a site's folder, with a registry of its own, to a good end.
 *
 * @param string $site         The folder.
 * @param string ...$arguments Its arguments.
 * @return array{float, string} The milliseconds that it took, and what it said.
 */
function forkpress( string $site, string ...$arguments ): array {
	$program = ROOT . '/target/release/forkpress';
	is_executable( $program ) || missing( "target/release/forkpress is missing: 'make build' makes it" );
	$said    = tmpfile();
	$errors  = tmpfile();
	$begin   = hrtime( true );
	$process = proc_open( array( $program, ...$arguments ), array( array( 'file', '/dev/null', 'r' ), $said, $errors ), $pipes, $site, array( 'FORKPRESS_STATE_DIR' => "$site.state" ) + getenv() );
	$status  = proc_close( $process );
	$time    = ( hrtime( true ) - $begin ) / 1e6;
	array_map( 'rewind', array( $said, $errors ) );
	0 === $status || missing( "forkpress $arguments[0] failed: " . stream_get_contents( $errors ) );
	return array( $time, stream_get_contents( $said ) );
}

/** Returns a port of 127.0.0.1 that nobody listens at. */
function free_port(): int {
	$socket = stream_socket_server( 'tcp://127.0.0.1:0' );
	$name   = stream_socket_get_name( $socket, false );
	fclose( $socket );
	return (int) substr( strrchr( $name, ':' ), 1 );
}

/**
 * Asks a server for a page over a connection of its own; returns how long it took until the connection's end, in milliseconds, and
 * the page.
 *
 * @param int    $port The server's.
 * @param string $path The page.
 * @param string $host The branch's, without the port.
 * @return array{float, string}
 */
function page( int $port, string $path = '/', string $host = 'wp.localhost' ): array {
	$begin      = hrtime( true );
	$connection = stream_socket_client( "tcp://127.0.0.1:$port", $code, $message, 60 );
	stream_set_timeout( $connection, 60 );
	fwrite( $connection, "GET $path HTTP/1.1\r\nHost: $host:$port\r\nConnection: close\r\n\r\n" );
	$answer = stream_get_contents( $connection );
	$time   = ( hrtime( true ) - $begin ) / 1e6;
	fclose( $connection );
	str_starts_with( $answer, 'HTTP/1.1 200 ' ) && str_contains( $answer, '</html>' ) || missing( "no page $path: " . substr( $answer, 0, 500 ) );
	return array( $time, explode( "\r\n\r\n", $answer, 2 )[1] );
}

/**
 * Counts rounds from 0, until there were enough or 80 seconds are over, at least one.
 *
 * @param int $enough How many.
 * @return iterable<int>
 */
function rounds( int $enough ): iterable {
	$until = hrtime( true ) + 80e9;
	for ( $round = 0; 0 === $round || $round < $enough && hrtime( true ) < $until; $round++ ) {
		yield $round;
	}
}

/**
 * Returns the median.
 *
 * @param float[] $values At least one.
 */
function median( array $values ): float {
	sort( $values );
	return $values[ intdiv( count( $values ), 2 ) ];
}

/**
 * Returns the median of each value by the one beside it.
 *
 * @param float[] $these The values.
 * @param float[] $those As many.
 */
function median_ratio( array $these, array $those ): float {
	return median( array_map( static fn ( $this_one, $that_one ) => $this_one / $that_one, $these, $those ) );
}

/**
 * Prints a Markdown table.
 *
 * @param array[] $rows Rows of cells; the first is the header.
 */
function table( array $rows ): void {
	array_splice( $rows, 1, 0, array( array_fill( 0, count( $rows[0] ), '---' ) ) );
	foreach ( $rows as $row ) {
		echo '| ' . implode( ' | ', $row ) . " |\n";
	}
}
