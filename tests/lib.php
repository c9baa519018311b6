<?php
/**
 * What the PHP tests share: claims, temporary folders, child processes with the same extension, and HTTP.
 *
 * A test file requires this file, states its claims with test(), and ends by itself: the count is printed, and everything
 * that was started or made here is ended or removed, when the script ends, however it ends.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

/** How long a test waits for something that must happen, in seconds. Nothing depends on its being short. */
const PATIENCE = 60.0;

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

/** Counts claims, and ends what the tests started. */
final class Run {
	/** @var int Claims that held. */
	public static int $passed = 0;

	/** @var int Claims that did not hold. */
	public static int $failed = 0;

	/** @var Process[] What was started and not stopped yet. */
	public static array $processes = array();

	/** @var string[] Temporary folders. */
	public static array $dirs = array();

	/** @var callable[] What else is to be done at the end, before processes are ended; the last of them first. */
	public static array $at_end = array();

	/** @var int The process that runs the tests: a forked child cleans nothing up. */
	public static int $pid;

	/** Ends the run: cleans up, prints the count, and makes a failure, or a run without claims, the exit status. */
	public static function end(): void {
		if ( getmypid() !== self::$pid ) {
			return;
		}
		foreach ( array_reverse( self::$at_end ) as $finish ) {
			$finish();
		}
		foreach ( self::$processes as $process ) {
			$process->stop();
		}
		array_map( __NAMESPACE__ . '\remove', self::$dirs );
		$error = error_get_last();
		if ( null !== $error && 0 !== ( $error['type'] & ( E_ERROR | E_PARSE | E_CORE_ERROR | E_COMPILE_ERROR ) ) ) {
			++self::$failed;
		}
		printf( "%d passed, %d failed\n", self::$passed, self::$failed );
		exit( 0 === self::$failed && self::$passed > 0 ? 0 : 1 );
	}
}
Run::$pid = getmypid();
register_shutdown_function( array( Run::class, 'end' ) );
foreach ( array( SIGINT, SIGTERM ) as $signal ) {
	pcntl_async_signals( true );
	pcntl_signal( $signal, static fn () => exit( 1 ) );
}

/** A claim that did not hold. */
final class Failure extends \Exception {}

/**
 * Runs one test. It fails by an exception.
 *
 * @param string   $claim What is true, as a sentence.
 * @param callable $test  Shows it.
 */
function test( string $claim, callable $test ): void {
	$only = getenv( 'FORKPRESS_TEST_ONLY' );
	if ( $only && ! str_contains( $claim, $only ) ) {
		return;
	}
	$before = Run::$processes;
	try {
		$test();
		++Run::$passed;
		echo "ok      $claim\n";
	} catch ( \Throwable $failure ) {
		++Run::$failed;
		$at = $failure instanceof Failure ? '' : ' (' . $failure->getFile() . ':' . $failure->getLine() . ')';
		echo "FAILED  $claim\n        " . get_class( $failure ) . ': ' . $failure->getMessage() . "$at\n";
		foreach ( array_diff_key( Run::$processes, $before ) as $process ) {
			$said = trim( $process->output() );
			echo '' === $said ? '' : '        | ' . str_replace( "\n", "\n        | ", substr( $said, -1500 ) ) . "\n";
		}
	}
}

/**
 * Fails unless two values are identical.
 *
 * @param mixed  $expected The value that is right.
 * @param mixed  $actual   The value that was found.
 * @param string $what     What it is the value of.
 */
function same( mixed $expected, mixed $actual, string $what = 'value' ): void {
	if ( $expected !== $actual ) {
		$show = static fn ( mixed $value ): string => substr( var_export( $value, true ), 0, 2000 );
		throw new Failure( "$what: expected " . $show( $expected ) . ', found ' . $show( $actual ) );
	}
}

/**
 * Fails unless something holds.
 *
 * @param bool   $holds Whether it does.
 * @param string $what  What should hold.
 */
function holds( bool $holds, string $what ): void {
	if ( ! $holds ) {
		throw new Failure( "not so: $what" );
	}
}

/**
 * Waits until a condition returns something truthy, and returns that.
 *
 * @param callable $condition Asked again and again.
 * @param string   $what      What is waited for.
 */
function eventually( callable $condition, string $what ): mixed {
	$deadline = microtime( true ) + PATIENCE;
	do {
		$value = $condition();
		if ( $value ) {
			return $value;
		}
		usleep( 5000 );
	} while ( microtime( true ) < $deadline );
	throw new Failure( "waited in vain until $what" );
}

/** Makes a folder that is removed when the tests end, and returns its real path. */
function temp_dir(): string {
	$dir = sys_get_temp_dir() . '/forkpress-test-' . bin2hex( random_bytes( 6 ) );
	mkdir( $dir, 0700 );
	$dir         = realpath( $dir );
	Run::$dirs[] = $dir;
	return $dir;
}

/**
 * Writes a file, and makes its folders.
 *
 * @param string $path  Where.
 * @param string $bytes What.
 */
function put( string $path, string $bytes ): void {
	if ( ! is_dir( dirname( $path ) ) ) {
		mkdir( dirname( $path ), 0755, true );
	}
	file_put_contents( $path, $bytes );
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
	// What a command cleans up in the background may be gone by now.
	foreach ( array_diff( @scandir( $path ) ?: array(), array( '.', '..' ) ) as $name ) {
		remove( "$path/$name" );
	}
	@rmdir( $path );
}

/** Returns the path of the `forkpress` program that is tested. */
function program(): string {
	$given   = getenv( 'FORKPRESS_BIN' );
	$program = realpath( $given ? $given : ROOT . '/target/release/forkpress' );
	if ( false === $program ) {
		fwrite( STDERR, "no forkpress program: run make build, or set FORKPRESS_BIN\n" );
		exit( 2 );
	}
	return $program;
}

/** Returns the path of the extension that this test runs with; null where php.ini loads it into every PHP. */
function extension_path(): ?string {
	if ( ! extension_loaded( 'branchfs' ) ) {
		fwrite( STDERR, "run this test with: php -d \"extension=\$(pwd)/ext/branchfs.so\" {$_SERVER['argv'][0]}\n" );
		exit( 2 );
	}
	$maps = @file_get_contents( '/proc/self/maps' );
	if ( is_string( $maps ) && preg_match( '~\s(/\S*branchfs\.so)$~m', $maps, $match ) ) {
		return $match[1];
	}
	$args = (string) shell_exec( 'ps -ww -o args= -p ' . getmypid() );
	return preg_match( '~extension=(\S*branchfs\.so)~', $args, $match ) ? realpath( $match[1] ) : null;
}

/**
 * Returns the command that runs PHP with the extension that this test runs with.
 *
 * @param string[] $arguments What follows.
 * @param string[] $ini       Settings, such as `memory_limit=32M`.
 * @param string   $binary    The program; null: the one that runs this test.
 * @return string[]
 */
function php( array $arguments, array $ini = array(), ?string $binary = null ): array {
	$extension = extension_path();
	$settings  = null === $extension ? $ini : array( "extension=$extension", ...$ini );
	$command   = array( $binary ?? PHP_BINARY );
	foreach ( $settings as $setting ) {
		array_push( $command, '-d', $setting );
	}
	return array( ...$command, ...$arguments );
}

/** A child process in a process group of its own, with its output in a file of a few gigabytes at most. */
final class Process {
	/** @var resource What proc_open() returned. */
	private $handle;

	/** @var resource The child's standard input. */
	public $stdin;

	/** @var int Its process id, and the id of its group. */
	public readonly int $pid;

	/** @var string The file that gets its output and its errors. */
	private string $log;

	/** @var int|null Its exit status, once it has ended. */
	private ?int $status = null;

	/**
	 * Starts a command.
	 *
	 * @param string[] $command The program and its arguments.
	 * @param string[] $env     What its environment has beyond, or without (null), this process's.
	 * @param string   $cwd     The folder it starts in; null: this process's.
	 */
	public function __construct( array $command, array $env = array(), ?string $cwd = null ) {
		$this->log    = temp_dir() . '/output';
		$log          = array( 'file', $this->log, 'a' );
		$env          = array_filter( array_merge( getenv(), $env ), static fn ( $value ) => null !== $value );
		$setsid       = '' === (string) shell_exec( 'command -v setsid' ) ? '' : 'setsid ';
		// A child that runs away must not fill the disk with what it says.
		$limited      = array( 'sh', '-c', "ulimit -S -f 4194304; exec $setsid\"\$@\"", 'sh', ...$command );
		$this->handle = proc_open( $limited, array( array( 'pipe', 'r' ), $log, $log ), $pipes, $cwd, $env );
		$this->stdin  = $pipes[0];
		$status       = proc_get_status( $this->handle );
		$this->pid    = $status['pid'];
		$this->note( $status );

		Run::$processes[ $this->pid ] = $this;
	}

	/** Returns all that it has said. */
	public function output(): string {
		return (string) @file_get_contents( $this->log );
	}

	/** Returns whether it has not ended. */
	public function runs(): bool {
		if ( null === $this->status ) {
			$this->note( proc_get_status( $this->handle ) );
		}
		return null === $this->status;
	}

	/**
	 * Notes that it has ended, if so: before PHP 8.3, only the first to ask learns its exit status.
	 *
	 * @param array $status What proc_get_status() returned.
	 */
	private function note( array $status ): void {
		if ( ! $status['running'] ) {
			$this->status = $status['signaled'] ? 128 + $status['termsig'] : $status['exitcode'];
		}
	}

	/** Waits for its end, and returns its exit status; 128 and the signal's number if a signal ended it. */
	public function wait(): int {
		eventually( fn () => ! $this->runs(), "process $this->pid ends" );
		return $this->status;
	}

	/**
	 * Waits until it has said something.
	 *
	 * @param string $text What.
	 */
	public function wait_for( string $text ): void {
		eventually( fn () => str_contains( $this->output(), $text ) || ! $this->runs(), "it says $text" );
		holds( str_contains( $this->output(), $text ), "it says $text before it ends: " . $this->output() );
	}

	/**
	 * Sends it a signal.
	 *
	 * @param int $signal Which.
	 */
	public function signal( int $signal ): void {
		holds( $this->runs() && posix_kill( $this->pid, $signal ), "process $this->pid gets signal $signal" );
	}

	/** Ends it and its group, and waits for its end. */
	public function stop(): void {
		unset( Run::$processes[ $this->pid ] );
		@posix_kill( -$this->pid, SIGKILL );
		if ( $this->runs() ) {
			posix_kill( $this->pid, SIGKILL );
			$this->wait();
		}
	}
}

/** Sends requests to a port of 127.0.0.1. */
trait Requests {
	/** @var int The port. */
	public readonly int $port;

	/**
	 * Sends a request and returns the answer.
	 *
	 * @param string   $target  The request target.
	 * @param string[] $headers Header names and values; `Host` is `wp.localhost` and the port unless it is here.
	 * @param string   $method  The method.
	 * @param string   $body    The body.
	 */
	public function request( string $target, array $headers = array(), string $method = 'GET', string $body = '' ): Response {
		return Response::read( $this->open( $target, $headers, $method, $body ) );
	}

	/**
	 * Sends a request and returns the connection.
	 *
	 * @param string   $target  The request target.
	 * @param string[] $headers Header names and values.
	 * @param string   $method  The method.
	 * @param string   $body    The body.
	 * @return resource
	 */
	public function open( string $target, array $headers = array(), string $method = 'GET', string $body = '' ) {
		$headers += array( 'Host' => "wp.localhost:$this->port" );
		$headers += '' === $body ? array() : array( 'Content-Length' => (string) strlen( $body ) );
		$request  = "$method $target HTTP/1.1\r\nConnection: close\r\n";
		foreach ( $headers as $name => $value ) {
			$request .= "$name: $value\r\n";
		}
		return $this->send( "$request\r\n$body" );
	}

	/**
	 * Sends bytes, whatever they are, and returns the connection.
	 *
	 * @param string $bytes The bytes.
	 * @return resource
	 */
	public function send( string $bytes ) {
		$connection = stream_socket_client( "tcp://127.0.0.1:$this->port", $code, $message, PATIENCE );
		stream_set_timeout( $connection, (int) PATIENCE );
		fwrite( $connection, $bytes );
		return $connection;
	}
}

/** PHP's built-in server with a router, ready for requests. */
final class Server {
	use Requests;

	/** @var Process The server. */
	public readonly Process $process;

	/**
	 * Starts a server and waits until it accepts connections.
	 *
	 * @param string   $router The router script.
	 * @param string[] $env    What its environment has beyond this process's, such as `PHP_CLI_SERVER_WORKERS`.
	 * @param string[] $ini    PHP settings.
	 * @param bool     $bare   Whether to run it without the extension.
	 * @param string   $cwd    The folder it starts in, its own document root; null: this process's.
	 */
	public function __construct( string $router, array $env = array(), array $ini = array(), bool $bare = false, ?string $cwd = null ) {
		for ( $attempt = 1; ; $attempt++ ) {
			$port    = free_port();
			$serve   = array( '-S', "127.0.0.1:$port", $router );
			$process = new Process( $bare ? array( PHP_BINARY, ...$serve ) : php( $serve, $ini ), $env, $cwd );
			$accepts = static fn () => ! $process->runs() || @fsockopen( '127.0.0.1', $port );
			eventually( $accepts, "the server accepts connections at port $port" );
			if ( $process->runs() ) {
				break;
			}
			// Somebody else took the port in the meantime.
			holds( $attempt < 5, 'the server starts: ' . $process->output() );
		}
		$this->port    = $port;
		$this->process = $process;
	}

	/** Ends the server and its workers. */
	public function stop(): void {
		$this->process->stop();
	}
}

/** php-fpm on a socket, ready for requests. */
final class Fpm {
	/** @var string Its socket. */
	private string $socket;

	/**
	 * Starts php-fpm.
	 *
	 * @param string   $dir     An own folder for its files.
	 * @param int      $workers How many processes serve.
	 * @param string[] $ini     PHP settings.
	 * @param string[] $env     What its environment has beyond this process's.
	 */
	public function __construct( string $dir, int $workers = 1, array $ini = array(), array $env = array() ) {
		$this->socket = "$dir/fpm.sock";
		$user         = 0 === posix_geteuid() ? "user = root\ngroup = root\n" : '';
		put(
			"$dir/fpm.conf",
			"[global]\nerror_log = $dir/fpm.log\ndaemonize = no\n[www]\n{$user}listen = $this->socket\n"
			. "pm = static\npm.max_children = $workers\nclear_env = no\ncatch_workers_output = yes\n"
		);
		$arguments = array( '--nodaemonize', '--fpm-config', "$dir/fpm.conf", '--allow-to-run-as-root' );
		new Process( php( $arguments, $ini, self::binary() ), $env );
		eventually( fn () => @stream_socket_client( "unix://$this->socket" ), 'php-fpm listens' );
	}

	/** Returns the program of the PHP that runs this test; null where it, or the client that the tests need, is missing. */
	public static function binary(): ?string {
		$version = PHP_MAJOR_VERSION . '.' . PHP_MINOR_VERSION;
		$found   = trim( (string) shell_exec( "PATH=\"\$PATH:/usr/sbin\" command -v php-fpm$version php-fpm | head -n 1" ) );
		$client  = (string) shell_exec( 'command -v cgi-fcgi' );
		return '' === $found || '' === $client ? null : $found;
	}

	/**
	 * Starts a client that asks for a script.
	 *
	 * @param string   $script The script.
	 * @param string[] $params Further FastCGI parameters.
	 */
	public function client( string $script, array $params = array() ): Process {
		$params += array(
			'SCRIPT_FILENAME' => $script,
			'REQUEST_METHOD'  => 'GET',
			'QUERY_STRING'    => '',
		);
		$client = new Process( array( 'cgi-fcgi', '-bind', '-connect', $this->socket ), $params );
		fclose( $client->stdin );
		return $client;
	}

	/**
	 * Asks for a script and returns the answer.
	 *
	 * @param string   $script The script.
	 * @param string[] $params Further FastCGI parameters.
	 */
	public function request( string $script, array $params = array() ): Response {
		$client = $this->client( $script, $params );
		$client->wait();
		return Response::parse( $client->output() );
	}
}

/** An HTTP answer. */
final class Response {
	/** @var int The status; 0 where there was no answer. */
	public int $status = 0;

	/** @var string[] Each header's last value, by its name in lower case. */
	public array $headers = array();

	/** @var string[] Every `Set-Cookie` value. */
	public array $cookies = array();

	/** @var string The body. */
	public string $body = '';

	/**
	 * Reads an answer to the end of the connection.
	 *
	 * @param resource $connection The connection.
	 */
	public static function read( $connection ): self {
		$bytes = stream_get_contents( $connection );
		holds( ! stream_get_meta_data( $connection )['timed_out'], 'the answer arrives' );
		return self::parse( $bytes );
	}

	/**
	 * Takes an answer apart. One that began with `Status:`, as CGI's do, is fine too.
	 *
	 * @param string $bytes The whole answer.
	 */
	public static function parse( string $bytes ): self {
		$response       = new self();
		list( $head )   = $parts = explode( "\r\n\r\n", $bytes, 2 );
		$response->body = $parts[1] ?? '';
		foreach ( explode( "\r\n", $head ) as $at => $line ) {
			if ( 0 === $at && preg_match( '~^HTTP/1\.[01] (\d{3})~', $line, $match ) ) {
				$response->status = (int) $match[1];
				continue;
			}
			list( $name, $value ) = array_map( 'trim', explode( ':', $line, 2 ) ) + array( '', '' );
			$name                 = strtolower( $name );
			if ( 'set-cookie' === $name ) {
				$response->cookies[] = $value;
			}
			$response->headers[ $name ] = $value;
		}
		if ( 'chunked' === strtolower( $response->headers['transfer-encoding'] ?? '' ) ) {
			$response->body = self::unchunked( $response->body );
		}
		return $response;
	}

	/**
	 * Returns what chunks hold. A body without its last chunk is cut short.
	 *
	 * @param string $chunks The chunks.
	 */
	private static function unchunked( string $chunks ): string {
		$body = '';
		for ( $at = 0; preg_match( '/\G([0-9a-f]+)\r\n/i', $chunks, $size, 0, $at ); $at += strlen( $size[0] ) + $length + 2 ) {
			$length = hexdec( $size[1] );
			if ( 0 === $length ) {
				return $body;
			}
			$body .= substr( $chunks, $at + strlen( $size[0] ), $length );
		}
		return $body . ' [the answer is cut short]';
	}
}

/** Returns a port of 127.0.0.1 that nobody listens at. */
function free_port(): int {
	$socket = stream_socket_server( 'tcp://127.0.0.1:0' );
	$name   = stream_socket_get_name( $socket, false );
	fclose( $socket );
	return (int) substr( strrchr( $name, ':' ), 1 );
}
