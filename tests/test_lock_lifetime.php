<?php
/**
 * How long a request keeps the operations lock: to the last thing that PHP does, and no longer. The same tests run under
 * the command line, PHP's built-in server, php-fpm by itself, and behind `forkpress serve`, where the router has the lock before
 * the script begins: how a request waits for it there is in tests/test_cow_router_lock.php.
 *
 * php -d "extension=$(pwd)/ext/branchfs.so" tests/test_lock_lifetime.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/served.php';

/** What each script of a test begins with: the folder, the lock, and a log that says whether the lock is held. */
const PRELUDE = <<<'PHP'
<?php
$dir = __DIR__;
function note( string $what ): void {
	$other = fopen( '@LOCK', 'c' );
	$free  = flock( $other, LOCK_EX | LOCK_NB );
	file_put_contents( __DIR__ . '/log', $what . ( $free ? " free\n" : " held\n" ), FILE_APPEND );
}
function meet( string $name ): void {
	touch( __DIR__ . "/$name.here" );
	while ( ! file_exists( __DIR__ . "/$name.go" ) ) {
		usleep( 1000 );
		clearstatcache();
	}
}
branchfs_lock_shared( '@LOCK' );

PHP;

/** One way to run PHP. */
interface Sapi {
	/** Starts a request for a script, and returns what waits for its end and returns what it printed. */
	public function start( string $script ): callable;

	/** Starts a request and hangs up at once. */
	public function start_and_hang_up( string $script ): void;
}

/** `php SCRIPT`. */
final class Cli implements Sapi {
	/** Starts PHP. */
	public function start( string $script ): callable {
		$process = new Process( php( array( $script ) ) );
		return static function () use ( $process ): string {
			$process->wait();
			return $process->output();
		};
	}

	/** Hangs up with the signal for that. */
	public function start_and_hang_up( string $script ): void {
		$process = new Process( php( array( $script ) ) );
		$process->wait_for( 'sending' );
		$process->signal( SIGHUP );
	}
}

/** `php -S`, one process. */
final class BuiltIn implements Sapi {
	private ?Server $server = null;

	/** Writes its router. */
	public function __construct( private string $dir ) {
		put( "$dir/router.php", '<?php require __DIR__ . $_SERVER["REQUEST_URI"];' );
	}

	/** Starts it once. */
	private function server(): Server {
		return $this->server ??= new Server( "$this->dir/router.php" );
	}

	/** Sends a request. */
	public function start( string $script ): callable {
		$connection = $this->server()->open( '/' . basename( $script ) );
		return static fn (): string => Response::read( $connection )->body;
	}

	/** Closes the connection. */
	public function start_and_hang_up( string $script ): void {
		$connection = $this->server()->open( '/' . basename( $script ) );
		holds( '' !== fread( $connection, 1 ), 'the answer begins' );
		fclose( $connection );
	}
}

/** php-fpm with one worker. */
final class OneWorker implements Sapi {
	private ?Fpm $fpm = null;

	/** Takes a folder for its files. */
	public function __construct( private string $dir ) {}

	/** Starts a client, and php-fpm before the first. */
	private function client( string $script ): Process {
		$this->fpm ??= new Fpm( $this->dir );
		return $this->fpm->client( $script );
	}

	/** Starts a client. */
	public function start( string $script ): callable {
		$client = $this->client( $script );
		return static function () use ( $client ): string {
			$client->wait();
			return Response::parse( $client->output() )->body;
		};
	}

	/** Ends the client. */
	public function start_and_hang_up( string $script ): void {
		$client = $this->client( $script );
		$client->wait_for( 'sending' );
		$client->stop();
	}
}

/** `forkpress serve` with php-fpm, one process for pages. */
final class Behind implements Sapi {
	private Served $server;

	/** Makes a site, whose branch main is the folder. */
	public function __construct( string $dir ) {
		make_site_of( dirname( $dir ) );
		put( "$dir/index.php", '<?php' );
		$this->server = new Served( dirname( $dir ), 1 );
	}

	/** Sends a request. */
	public function start( string $script ): callable {
		$connection = $this->server->open( '/' . basename( $script ) );
		return static fn (): string => Response::read( $connection )->body;
	}

	/** Closes the connection. */
	public function start_and_hang_up( string $script ): void {
		$connection = $this->server->open( '/' . basename( $script ) );
		holds( '' !== fread( $connection, 1 ), 'the answer begins' );
		fclose( $connection );
	}
}

/**
 * Returns the lock that the scripts in a folder take: that of its site, or one beside them.
 *
 * @param string $dir The test's folder.
 */
function lock_of( string $dir ): string {
	$cow = dirname( $dir ) . '/.forkpress/cow';
	return ( is_dir( $cow ) ? $cow : $dir ) . '/operations.lock';
}

/**
 * Writes a script of a test.
 *
 * @param string $dir  The test's folder.
 * @param string $code What it does once it has the lock.
 */
function script( string $dir, string $code ): string {
	static $count = 0;
	$path = "$dir/script-" . ( ++$count ) . '.php';
	put( $path, str_replace( '@LOCK', lock_of( $dir ), PRELUDE . $code ) );
	return $path;
}

/**
 * Starts an exclusive waiter that copies the log once it gets in, and returns once it waits.
 *
 * @param string $dir The test's folder.
 */
function waiter( string $dir ): Process {
	$lock   = lock_of( $dir );
	$waiter = new Process( array( 'flock', '--exclusive', $lock, 'cp', "$dir/log", "$dir/seen" ) );
	$inode  = fileinode( $lock );
	eventually(
		static fn () => preg_match( "/-> FLOCK +ADVISORY +WRITE .*:$inode /", file_get_contents( '/proc/locks' ) ),
		'the exclusive waiter waits'
	);
	return $waiter;
}

/**
 * Fails unless the lock can be had exclusively now, or soon: the client sees the end of an answer before the request is over.
 *
 * @param string $dir The test's folder.
 */
function becomes_free( string $dir ): void {
	$lock = fopen( lock_of( $dir ), 'c' );
	eventually( static fn () => flock( $lock, LOCK_EX | LOCK_NB ), 'the lock is free' );
	fclose( $lock );
}

/**
 * The tests of one SAPI.
 *
 * @param string   $name What it is called.
 * @param callable $make Makes it, given a folder.
 */
function tests_of( string $name, callable $make ): void {
	$dir = temp_dir() . '/main';
	mkdir( $dir );
	/** @var Sapi $sapi */
	$sapi = $make( $dir );

	$late = <<<'PHP'
	final class Late implements SessionHandlerInterface {
		public function __destruct() { note( 'destructor' ); }
		public function open( string $path, string $name ): bool { return true; }
		public function close(): bool { note( 'session close' ); return true; }
		public function read( string $id ): string { return ''; }
		public function write( string $id, string $data ): bool { note( 'session write' ); return true; }
		public function destroy( string $id ): bool { return true; }
		public function gc( int $max ): int { return 0; }
	}
	session_set_save_handler( new Late(), false );
	session_id( 'x' );
	ini_set( 'session.use_cookies', '0' );
	session_cache_limiter( '' );
	session_start();
	$_SESSION['a'] = 1;
	$object = new Late();
	ob_start( function ( $text ) { note( 'output callback' ); return $text; } );
	register_shutdown_function( fn () => note( 'shutdown function' ) );
	echo 'page';
	meet( 'late' );
	PHP;
	test(
		"$name: the lock outlives a shutdown function, a destructor, an output callback and a session handler that write late",
		function () use ( $dir, $sapi, $late ) {
			$finish = $sapi->start( script( $dir, $late ) );
			eventually( static fn () => file_exists( "$dir/late.here" ), 'the request runs' );
			$waiter = waiter( $dir );
			touch( "$dir/late.go" );
			same( 'page', $finish(), 'the page' );
			same( 0, $waiter->wait(), 'the waiter' );
			$seen = file( "$dir/seen", FILE_IGNORE_NEW_LINES );
			foreach ( array( 'shutdown function', 'destructor', 'output callback', 'session write', 'session close' ) as $step ) {
				holds( in_array( "$step held", $seen, true ), "$step wrote with the lock held, before the waiter got in: " . implode( ', ', $seen ) );
			}
			same( array(), preg_grep( '/free/', file( "$dir/log" ) ), 'writes without the lock' );
		}
	);

	$ends = array(
		'exit()'                 => 'exit( 3 );',
		'an uncaught exception'  => 'throw new Exception( "x" );',
		'a fatal error'          => 'eval( "class Fatal implements Countable {}" );',
		'the memory limit'       => 'ini_set( "memory_limit", "8M" ); $x = str_repeat( "x", 64 << 20 );',
		'the time limit'         => 'set_time_limit( 1 ); while ( true ) { }',
	);
	foreach ( $ends as $end => $code ) {
		test(
			"$name: $end lets the lock go, and the next request is served",
			function () use ( $dir, $sapi, $code ) {
				// The memory limit drops what was printed, so the process id goes into a file.
				$prefix = "ini_set( 'display_errors', '0' ); put_pid(); function put_pid() { file_put_contents( __DIR__ . '/pid', getmypid() ); }";
				$sapi->start( script( $dir, $prefix . $code . 'echo "still here";' ) )();
				$pid = file_get_contents( "$dir/pid" );
				unlink( "$dir/pid" );
				becomes_free( $dir );
				$next = $sapi->start( script( $dir, 'echo getmypid();' ) )();
				holds( ctype_digit( $next ), 'the next request is served' );
				same( ! $sapi instanceof Cli, $pid === $next, 'whether the same process serves the next request' );
			}
		);
	}

	test(
		"$name: a client that hangs up lets the lock go, and the next request is served",
		function () use ( $dir, $sapi ) {
			$sapi->start_and_hang_up(
				script( $dir, 'while ( ob_get_level() ) { ob_end_flush(); } while ( true ) { echo "sending ", str_repeat( "x", 1000 ); flush(); usleep( 1000 ); }' )
			);
			becomes_free( $dir );
			same( 'next', $sapi->start( script( $dir, 'echo "next";' ) )(), 'the next page' );
		}
	);

	test(
		"$name: a background child does not keep the lock",
		function () use ( $dir, $sapi ) {
			$body = $sapi->start( script( $dir, 'exec( "sleep 600 > /dev/null 2>&1 & echo \$!", $out ); note( "child" ); echo $out[0];' ) )();
			holds( ctype_digit( $body ) && posix_kill( (int) $body, 0 ), "the child runs: $body" );
			becomes_free( $dir );
			holds( posix_kill( (int) $body, 0 ), 'the child still runs' );
			posix_kill( (int) $body, SIGKILL );
		}
	);

	test(
		"$name: taking the lock twice is taking it once, and letting it go early lets it go",
		function () use ( $dir, $sapi ) {
			unlink( "$dir/log" );
			$code = 'var_export( branchfs_lock_shared( "@LOCK" ) ); note( "second" ); var_export( branchfs_unlock() ); note( "unlocked" ); var_export( branchfs_unlock() );';
			same( 'truetruefalse', $sapi->start( script( $dir, $code ) )(), 'what the calls returned' );
			same( "second held\nunlocked free\n", file_get_contents( "$dir/log" ), 'the log' );
		}
	);

	if ( $sapi instanceof Behind ) {
		return;
	}

	test(
		"$name: a request waits for an exclusive holder, and then runs",
		function () use ( $dir, $sapi ) {
			unlink( "$dir/log" );
			$holder = fopen( "$dir/operations.lock", 'c' );
			flock( $holder, LOCK_EX );
			put( "$dir/slow.php", '<?php touch( __DIR__ . "/slow.here" );' . str_replace( '@LOCK', lock_of( $dir ), substr( PRELUDE, 5 ) ) . 'note( "run" ); echo "ran";' );
			$finish = $sapi->start( "$dir/slow.php" );
			eventually( static fn () => file_exists( "$dir/slow.here" ), 'the request has begun' );
			holds( ! file_exists( "$dir/log" ), 'it has not run' );
			flock( $holder, LOCK_UN );
			same( 'ran', $finish(), 'the page' );
		}
	);

	test(
		"$name: a request gives up at its timeout, says who holds the lock, and its worker lives on",
		function () use ( $dir, $sapi ) {
			$holder = fopen( "$dir/operations.lock", 'c' );
			flock( $holder, LOCK_EX );
			put(
				"$dir/patient.php",
				'<?php ini_set( "branchfs.lock_timeout", "0.05" ); try { branchfs_lock_shared( __DIR__ . "/operations.lock" ); } catch ( Branchfs\LockTimeoutException $e ) { echo $e->getMessage(); }'
			);
			$message = $sapi->start( "$dir/patient.php" )();
			holds( str_contains( $message, 'operations.lock is held by process ' . getmypid() ), "the message names this test: $message" );
			flock( $holder, LOCK_UN );
			same( 'next', $sapi->start( script( $dir, 'echo "next";' ) )(), 'the next page' );
		}
	);
}

tests_of( 'command line', static fn () => new Cli() );
tests_of( 'built-in server', static fn ( $dir ) => new BuiltIn( $dir ) );
if ( null === Fpm::binary() ) {
	echo "SKIPPED: php-fpm or cgi-fcgi is not installed (Debian: php-fpm, libfcgi-bin)\n";
} else {
	tests_of( 'php-fpm', static fn ( $dir ) => new OneWorker( $dir ) );

}
tests_of( 'forkpress serve', static fn ( $dir ) => new Behind( $dir ) );

foreach ( array( 'php-fpm' => OneWorker::class, 'forkpress serve' => Behind::class ) as $where => $sapi ) {
	if ( OneWorker::class === $sapi && null === Fpm::binary() ) {
		continue;
	}
	test(
		"$where: fastcgi_finish_request() does not let the lock go early",
		function () use ( $sapi ) {
			$dir = temp_dir() . '/main';
			mkdir( $dir );
			$sapi   = new $sapi( $dir );
			$code   = 'echo "page"; fastcgi_finish_request(); note( "after the answer" ); meet( "finished" ); note( "at the end" );';
			$finish = $sapi->start( script( $dir, $code ) );
			same( 'page', $finish(), 'the page' );
			eventually( static fn () => file_exists( "$dir/finished.here" ), 'the request goes on' );
			$waiter = waiter( $dir );
			touch( "$dir/finished.go" );
			same( 0, $waiter->wait(), 'the waiter' );
			same( "after the answer held\nat the end held\n", file_get_contents( "$dir/seen" ), 'what the waiter saw' );
		}
	);
}

test(
	"a forked child's end does not release its parent's lock, and the child does not keep it when the parent ends",
	function () {
		$dir  = temp_dir();
		$code = <<<'PHP'
		$short = pcntl_fork();
		if ( 0 === $short ) { var_export( branchfs_lock_status()['held'] ); branchfs_unlock(); exit( 0 ); }
		pcntl_waitpid( $short, $status );
		note( 'after a child that ended' );
		$long = pcntl_fork();
		if ( 0 === $long ) { touch( "$dir/child" ); while ( true ) { sleep( 1 ); } }
		while ( ! file_exists( "$dir/child" ) ) { usleep( 1000 ); clearstatcache(); }
		note( 'beside a child that runs' );
		file_put_contents( "$dir/pid", $long );
		PHP;
		same( 'false', ( new Cli() )->start( script( $dir, $code ) )(), 'whether the child has the lock' );
		same( "after a child that ended held\nbeside a child that runs held\n", file_get_contents( "$dir/log" ), 'the log' );
		$child = (int) file_get_contents( "$dir/pid" );
		holds( posix_kill( $child, 0 ), 'the child outlives its parent' );
		becomes_free( $dir );
		posix_kill( $child, SIGKILL );
	}
);

test(
	'a request that only sends an open file keeps its lock until a writer waits, and then lets it go',
	function () {
		$dir    = temp_dir();
		$code   = 'var_export( branchfs_unlock_when_writer_waits() ); note( "no writer" ); meet( "sending" ); echo "|", getmypid();';
		$finish = ( new Cli() )->start( script( $dir, $code ) );
		eventually( static fn () => file_exists( "$dir/sending.here" ), 'the request sends' );
		same( "no writer held\n", file_get_contents( "$dir/log" ), 'the log' );
		$gate = fopen( "$dir/operations.gate", 'c' );
		eventually( static fn () => flock( $gate, LOCK_EX | LOCK_NB ), 'this test is the writer' );
		becomes_free( $dir );
		flock( $gate, LOCK_UN );
		touch( "$dir/sending.go" );
		holds( str_starts_with( $finish(), 'true|' ), 'the request ends well' );
	}
);

test(
	'the workers of the built-in server end with a master that is killed',
	function () {
		$dir = temp_dir();
		put( "$dir/router.php", '<?php echo getmypid();' );
		$server  = new Server( "$dir/router.php", array( 'PHP_CLI_SERVER_WORKERS' => '3' ) );
		$master  = $server->process->pid;
		$workers = static fn () => array_filter( explode( ' ', (string) @file_get_contents( "/proc/$master/task/$master/children" ) ) );
		eventually( static fn () => 3 === count( $workers() ), 'there are three workers' );
		$pids = $workers();
		$server->process->signal( SIGKILL );
		foreach ( $pids as $pid ) {
			eventually( static fn () => ! file_exists( "/proc/$pid/cmdline" ) || '' === file_get_contents( "/proc/$pid/cmdline" ), "worker $pid is gone" );
		}
	}
);

test(
	'a lock that is none is refused: another file name, a folder that does not exist, a folder in its place',
	function () {
		$dir     = temp_dir();
		$refused = static function ( string $path ): string {
			try {
				branchfs_lock_shared( $path );
			} catch ( \Branchfs\Exception $e ) {
				return $e->getMessage();
			}
			return 'taken';
		};
		holds( str_contains( $refused( "$dir/some.lock" ), 'must be named operations.lock' ), 'another name is refused' );
		holds( str_contains( $refused( "$dir/missing/operations.lock" ), 'No such file' ), 'a missing folder is refused' );
		mkdir( "$dir/cow/operations.lock", 0755, true );
		holds( str_contains( $refused( "$dir/cow/operations.lock" ), 'cannot open the lock file' ), 'a folder is refused' );
		same( false, branchfs_lock_status()['held'], 'held' );
		put( "$dir/a/x", '' );
		put( "$dir/b/x", '' );
		branchfs_lock_shared( "$dir/a/operations.lock" );
		holds( str_contains( $refused( "$dir/b/operations.lock" ), 'lock of another site' ), 'a second site is refused' );
		branchfs_unlock();
	}
);

test(
	'what a request serves is written where a waiting command reads it, and a clean end takes it away',
	function () {
		$dir    = temp_dir();
		$finish = ( new Cli() )->start( script( $dir, 'meet( "note" ); echo getmypid();' ) );
		eventually( static fn () => file_exists( "$dir/note.here" ), 'the request runs' );
		same( 1, count( glob( "$dir/requests/*" ) ), 'notes' );
		touch( "$dir/note.go" );
		$finish();
		same( array(), glob( "$dir/requests/*" ), 'notes' );
	}
);

test(
	'phpinfo() has a section',
	function () {
		$text = (string) shell_exec( implode( ' ', array_map( 'escapeshellarg', php( array( '--ri', 'branchfs' ) ) ) ) );
		holds( str_contains( $text, 'branchfs.lock_timeout => 30 => 30' ), 'it lists the timeout' );
	}
);

test(
	'the stub file for editors says what the extension has',
	function () {
		$stub = file_get_contents( ROOT . '/ext-branchfs/branchfs.stub.php' );
		preg_match_all( '/^\tfunction (\w+)\( ?(.*?) ?\): (\S+) \{\}$/m', $stub, $matches, PREG_SET_ORDER );
		$written = array_column( $matches, null, 1 );
		$present = ( new \ReflectionExtension( 'branchfs' ) )->getFunctions();
		same( array_keys( $present ), array_values( array_intersect( array_keys( $present ), array_keys( $written ) ) ), 'functions in the stub' );
		same( count( $present ), count( $written ), 'how many functions the stub has' );
		foreach ( $present as $name => $function ) {
			$parameters = array_map( static fn ( $parameter ) => $parameter->getType() . ' $' . $parameter->getName(), $function->getParameters() );
			$in_stub    = '' === $written[ $name ][2] ? array() : array_map( static fn ( $one ) => strstr( $one . ' =', ' =', true ), explode( ', ', $written[ $name ][2] ) );
			same( $in_stub, $parameters, "parameters of $name" );
			same( $written[ $name ][3], (string) $function->getReturnType(), "what $name returns" );
		}
	}
);

test(
	'odd arguments get an exception or an answer, and never end PHP',
	function () {
		$dir  = temp_dir();
		$odd  = array( '', "\0", "a\0b/operations.lock", str_repeat( 'x/', 20000 ) . 'operations.lock', "\xff\xfe/operations.lock", 'operations.lock', '/' );
		$code = 'foreach ( unserialize( base64_decode( $argv[1] ) ) as $odd ) {
			foreach ( array(
				fn () => branchfs_lock_shared( $odd, 0 ),
				fn () => branchfs_lock_shared( __DIR__ . "/operations.lock", NAN, $odd ),
				fn () => branchfs_lock_shared( __DIR__ . "/operations.lock", -INF, null ),
				fn () => branchfs_lock_shared( __DIR__ . "/operations.lock", INF, null ),
				fn () => branchfs_route( $odd, $odd, "wp.localhost" ),
				fn () => branchfs_route( "wp.localhost", $odd, $odd, $odd ),
				fn () => branchfs_resolve( $odd, $odd, $odd, $odd, $odd, array( $odd => $odd, "HTTP_RANGE" => $odd, "HTTP_IF_NONE_MATCH" => array() ) ),
				fn () => branchfs_resolve( "wp.localhost", "/" . $odd, "wp.localhost", $odd, $odd, array( "REQUEST_METHOD" => 1.5 ) ),
				fn () => branchfs_lock_shared( array() ),
			) as $call ) {
				try { $call(); } catch ( Throwable $e ) { $e->getMessage(); }
				branchfs_unlock();
			}
		}
		echo "alive";';
		$process = new Process( php( array( script( $dir, 'branchfs_unlock(); chdir( __DIR__ );' . $code ), base64_encode( serialize( $odd ) ) ) ) );
		same( 0, $process->wait(), 'the exit status: ' . substr( $process->output(), 0, 500 ) );
		same( 'alive', $process->output(), 'what it says last' );
	}
);
