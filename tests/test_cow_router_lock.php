<?php
/**
 * Requests and the operations lock: no request runs, and no byte is sent, before the lock is had; and a mutation waits for none
 * longer than it must. The same tests run under PHP's built-in server with the router, and under `forkpress serve`.
 *
 * php -d "extension=$(pwd)/ext/branchfs.so" tests/test_cow_router_lock.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/served.php';

const ROUTER = ROOT . '/runtime/router_cow.php';

/** A folder with branches, without WordPress, and the lock files beside it. */
final class Site {
	public readonly string $dir;
	public readonly string $cow;

	/** @var Served|null The server, where `forkpress serve` is it: one serves requests that run at the same time. */
	private ?Served $served = null;

	/**
	 * Makes it.
	 *
	 * @param bool $by_fpm Whether `forkpress serve` serves it.
	 */
	public function __construct( private bool $by_fpm ) {
		$this->dir = temp_dir();
		$this->cow = "$this->dir/.forkpress/cow";
		mkdir( $this->cow, 0755, true );
		if ( $by_fpm ) {
			make_site_of( $this->dir, 'marketing' );
		}
		$this->put( 'main/index.php', '<?php echo "main page";' );
		$this->put( 'main/style.css', 'body { color: red }' );
		$this->put( 'marketing/index.php', '<?php touch( dirname( __DIR__ ) . "/ran" ); echo "marketing page";' );
		$this->put( 'marketing/style.css', 'body { color: blue }' );
	}

	/** Writes a file in it. */
	public function put( string $path, string $bytes ): void {
		put( "$this->dir/$path", $bytes );
	}

	/**
	 * Starts a server for this site. One process of PHP's built-in server takes a second connection while it serves the first, and
	 * then keeps it waiting: there, requests that run at the same time need a server each.
	 */
	public function serve( array $ini = array(), array $env = array() ): Server|Served {
		if ( $this->by_fpm ) {
			return $this->served ??= new Served( $this->dir, 2, $ini, $env );
		}
		return server_of( false, $this->dir, 1, $ini, $env );
	}

	/** Takes a lock file exclusively, as soon as it is free. */
	public function exclusive( string $file ) {
		$lock = fopen( "$this->cow/$file", 'c+' );
		eventually( static fn () => flock( $lock, LOCK_EX | LOCK_NB ), "$file is free" );
		return $lock;
	}

	/** Closes the gate, and says in the lock that a writer waits, as one does. */
	public function close_gate() {
		$gate = $this->exclusive( 'operations.gate' );
		$lock = fopen( "$this->cow/operations.lock", 'c+' );
		fwrite( $lock, sprintf( 'generation!%020d', 7 ) . "\n" );
		fclose( $lock );
		return $gate;
	}

	/** Returns whether a lock file can be had exclusively now. */
	public function is_free( string $file ): bool {
		$lock = fopen( "$this->cow/$file", 'c+' );
		$free = flock( $lock, LOCK_EX | LOCK_NB );
		fclose( $lock );
		return $free;
	}
}

/**
 * Waits until a server's worker has taken a request off its connection: only what it does with it is left.
 *
 * @param resource $connection The connection.
 */
function taken_by_worker( $connection ): void {
	// The worker has read the request when nothing of it waits in the receive queue of its end of the connection.
	list( , $client_port ) = explode( ':', stream_socket_get_name( $connection, false ) );
	$client                = sprintf( '0100007F:%04X', $client_port );
	eventually(
		static fn () => preg_match( "/^ *\\d+: \\S+ $client 01 [0-9A-F]{8}:00000000 .*? [1-9]\\d* \\d/m", file_get_contents( '/proc/net/tcp' ) ),
		'a worker reads the request'
	);
}

/**
 * Fails if a connection has anything to read now.
 *
 * @param resource $connection The connection.
 * @param string   $what       Whose.
 */
function silent( $connection, string $what ): void {
	$read = array( $connection );
	$none = null;
	same( 0, stream_select( $read, $none, $none, 0, 0 ), "bytes of $what" );
}

foreach ( SERVERS as $where => $by_fpm ) {
	test(
		"$where: while the operations lock is held exclusively, no PHP of a branch runs and no byte of a file is sent; then both answer in full",
		function () use ( $by_fpm ) {
			$site    = new Site( $by_fpm );
			$server  = $site->serve();
			$other   = $site->serve();
			$headers = array( 'Host' => "marketing.wp.localhost:$server->port" );
			$lock    = $site->exclusive( 'operations.lock' );
			$page    = $server->open( '/', $headers );
			$file    = $other->open( '/style.css', $headers );
			taken_by_worker( $page );
			taken_by_worker( $file );
			// The requests try for the lock every 2 ms at least: a hundred times, here.
			usleep( 200000 );
			holds( ! file_exists( "$site->dir/ran" ), "the branch's PHP has not run" );
			silent( $page, 'the page' );
			silent( $file, 'the file' );

			flock( $lock, LOCK_UN );
			$page = Response::read( $page );
			$file = Response::read( $file );
			same( array( 200, 'marketing page' ), array( $page->status, $page->body ), 'the page' );
			same( array( 200, 'body { color: blue }' ), array( $file->status, $file->body ), 'the file' );
			same( 'marketing', $page->headers['x-forkpress-branch'] ?? null, 'the branch' );
			holds( file_exists( "$site->dir/ran" ), "the branch's PHP has run" );
		}
	);

	test(
		"$where: the branch is looked up after the lock is had: one that appears meanwhile is served, one that vanishes is not",
		function () use ( $by_fpm ) {
			$site   = new Site( $by_fpm );
			$server = $site->serve();
			$lock   = $site->exclusive( 'operations.lock' );
			$new    = $server->open( '/', array( 'Host' => "new.wp.localhost:$server->port" ) );
			$gone   = $site->serve()->open( '/', array( 'Host' => "marketing.wp.localhost:$server->port" ) );
			taken_by_worker( $new );
			taken_by_worker( $gone );
			rename( "$site->dir/marketing", "$site->dir/new" );
			if ( $by_fpm ) {
				rename( "$site->cow/branches/marketing.toml", "$site->cow/branches/new.toml" );
			}
			flock( $lock, LOCK_UN );
			same( 'marketing page', Response::read( $new )->body, 'the page of the new branch' );
			$gone = Response::read( $gone );
			same( array( 404, "Branch not found: marketing\n" ), array( $gone->status, $gone->body ), 'the answer of the old one' );
		}
	);

	test(
		"$where: what is refused for its host or its path is answered without the lock",
		function () use ( $by_fpm ) {
			$site   = new Site( $by_fpm );
			$server = $site->serve();
			$lock   = $site->exclusive( 'operations.lock' );
			same( 421, $server->request( '/', array( 'Host' => 'evil.example' ) )->status, 'a strange host' );
			same( 400, $server->request( '/%2e%2e/%00' )->status, 'a NUL' );
			flock( $lock, LOCK_UN );
		}
	);

	test(
		"$where: a request holds the lock to the end of its response, also of a file that PHP sends",
		function () use ( $by_fpm ) {
			$site = new Site( $by_fpm );
			$site->put( 'main/slow.php', '<?php echo "begin"; ob_flush(); flush(); while ( ! file_exists( __DIR__ . "/go" ) ) { usleep( 1000 ); clearstatcache(); } echo "end";' );
			$site->put( 'main/big.bin', str_repeat( random_bytes( 1 << 20 ), 32 ) );
			$server = $site->serve();
			$slow   = $server->open( '/slow.php' );
			eventually( static fn () => str_contains( (string) fread( $slow, 8192 ), 'begin' ), 'the page begins' );
			holds( ! $site->is_free( 'operations.lock' ), 'the page has the lock' );
			touch( "$site->dir/main/go" );
			stream_get_contents( $slow );
			eventually( static fn () => $site->is_free( 'operations.lock' ), 'the page has let go' );

			// 32 MiB do not fit into the buffers of a connection: the worker is still sending.
			$big = $server->open( '/big.bin' );
			holds( '' !== fread( $big, 8192 ), 'the file begins' );
			// `forkpress serve` has the file open, and needs the lock no more.
			same( $by_fpm, $site->is_free( 'operations.lock' ), 'whether the lock is free while the client downloads, and nobody waits' );
			stream_get_contents( $big );
			eventually( static fn () => $site->is_free( 'operations.lock' ), 'the download has let go' );
		}
	);

	test(
		"$where: a client that downloads slowly does not hold up a mutation, and gets the whole file as it was",
		function () use ( $by_fpm ) {
			$site  = new Site( $by_fpm );
			$bytes = random_bytes( 32 << 20 );
			$site->put( 'main/big.bin', $bytes );
			$server   = $site->serve();
			$download = $server->open( '/big.bin' );
			$begin    = fread( $download, 8192 );
			holds( '' !== $begin, 'the file begins' );
			$gate = $site->close_gate();
			$lock = $site->exclusive( 'operations.lock' );
			// The client has read 8 KiB, and reads no more until the mutation is done.
			put( "$site->dir/staged", 'another file' );
			rename( "$site->dir/staged", "$site->dir/main/big.bin" );
			flock( $lock, LOCK_UN );
			flock( $gate, LOCK_UN );
			$response = Response::parse( $begin . stream_get_contents( $download ) );
			same( 200, $response->status, 'the status' );
			holds( $bytes === $response->body, 'the whole old file arrived' );
			same( 'another file', $server->request( '/big.bin' )->body, 'the file of the next request' );
		}
	);

	test(
		"$where: a waiting writer is not overtaken: requests that arrive after it started waiting run after it",
		function () use ( $by_fpm ) {
			$site = new Site( $by_fpm );
			$site->put( 'main/slow.php', '<?php touch( __DIR__ . "/here" ); while ( ! file_exists( __DIR__ . "/go" ) ) { usleep( 1000 ); clearstatcache(); } echo "slow";' );
			$site->put( 'main/version.txt', 'old' );
			$server = $site->serve();
			$slow   = $server->open( '/slow.php' );
			eventually( static fn () => file_exists( "$site->dir/main/here" ), 'a request runs' );
			$gate = $site->close_gate();
			$late = $site->serve()->open( '/version.txt' );
			taken_by_worker( $late );
			touch( "$site->dir/main/go" );
			$lock = $site->exclusive( 'operations.lock' );
			silent( $late, 'the late request' );
			put( "$site->dir/main/version.txt", 'new' );
			flock( $lock, LOCK_UN );
			flock( $gate, LOCK_UN );
			same( 'new', Response::read( $late )->body, 'what the late request got' );
			same( 'slow', Response::read( $slow )->body, 'what the running request got' );
		}
	);

	test(
		"$where: a request that calls its own site while a writer waits is answered, and the writer then gets in; with one worker for it",
		function () use ( $by_fpm ) {
			$site = new Site( $by_fpm );
			$call = <<<'PHP'
			<?php
			touch( __DIR__ . '/here' );
			while ( ! file_exists( __DIR__ . '/go' ) ) { usleep( 1000 ); clearstatcache(); }
			$headers = "Host: {$_SERVER['HTTP_HOST']}\r\nX-ForkPress-Loopback: " . branchfs_loopback_token();
			$context = stream_context_create( array( 'http' => array( 'header' => $headers, 'timeout' => 30 ) ) );
			echo 'outer and ', file_get_contents( 'http://' . getenv( 'FORKPRESS_LOOPBACK' ) . '/style.css', false, $context );
			PHP;
			$site->put( 'main/call.php', $call );
			$inner  = $site->serve();
			$server = $site->serve( array(), array( 'FORKPRESS_LOOPBACK' => "127.0.0.1:$inner->port" ) );
			$outer  = $server->open( '/call.php' );
			eventually( static fn () => file_exists( "$site->dir/main/here" ), 'the outer request runs' );
			// The writer never lets its gate go: only the token can let the inner request pass.
			$gate = $site->close_gate();
			touch( "$site->dir/main/go" );
			$lock = $site->exclusive( 'operations.lock' );
			flock( $lock, LOCK_UN );
			flock( $gate, LOCK_UN );
			same( 'outer and body { color: red }', Response::read( $outer )->body, 'the page' );
		}
	);

	test(
		"$where: a forged loopback token passes nothing",
		function () use ( $by_fpm ) {
			$site   = new Site( $by_fpm );
			$server = $site->serve( array( 'branchfs.lock_timeout=0.1' ) );
			$gate   = $site->close_gate();
			foreach ( array( '', 'x', str_repeat( '0', 64 ) ) as $token ) {
				same( 503, $server->request( '/', array( 'X-ForkPress-Loopback' => $token ) )->status, "the answer to '$token'" );
			}
			flock( $gate, LOCK_UN );
		}
	);

	test(
		"$where: a request behind a stuck writer answers 503 with Retry-After after the timeout, and names the holder",
		function () use ( $by_fpm ) {
			$site   = new Site( $by_fpm );
			$server = $site->serve( array( 'branchfs.lock_timeout=0.1' ) );
			$lock   = $site->exclusive( 'operations.lock' );
			fwrite( $lock, sprintf( "generation %020d\nholder pid=%d since=%d operation=branch reset a from b\n", 7, getmypid(), time() * 1000 ) );
			// The setting is PHP's: who asks `forkpress serve` for a file waits for half a minute.
			foreach ( $by_fpm ? array( '/' ) : array( '/', '/style.css' ) as $target ) {
				$response = $server->request( $target );
				same( 503, $response->status, "the status of $target" );
				holds( ctype_digit( $response->headers['retry-after'] ?? '' ), 'there is a Retry-After' );
				holds( str_contains( $response->body, 'process ' . getmypid() . ' (branch reset a from b)' ), "it names the holder: $response->body" );
				same( 'no-store', $response->headers['cache-control'] ?? null, 'whether it may be cached' );
			}
			flock( $lock, LOCK_UN );
			same( 'main page', $server->request( '/' )->body, 'the page afterwards' );
		}
	);

	test(
		"$where: what a request serves is told to those who wait for it",
		function () use ( $by_fpm ) {
			$site = new Site( $by_fpm );
			$site->put( 'marketing/slow.php', '<?php touch( __DIR__ . "/here" ); while ( ! file_exists( __DIR__ . "/go" ) ) { usleep( 1000 ); clearstatcache(); }' );
			$server = $site->serve();
			$slow   = $server->open( '/slow.php?a=b', array( 'Host' => "marketing.wp.localhost:$server->port" ) );
			eventually( static fn () => file_exists( "$site->dir/marketing/here" ), 'a request runs' );
			$notes = array_map( static fn ( $file ) => strstr( file_get_contents( $file ), "\0", true ), glob( "$site->cow/requests/*" ) );
			$notes = array_values( preg_grep( '/^serving /', $notes ) );
			same( 1, count( $notes ), 'notes of workers that serve' );
			same( 1, preg_match( '~^serving since=\d{13} started=\d+ GET marketing /slow\.php$~', $notes[0] ), "the note $notes[0]" );
			touch( "$site->dir/marketing/go" );
			stream_get_contents( $slow );
		}
	);

	test(
		"$where: a site whose lock can not be opened is not served",
		function () use ( $by_fpm ) {
			$site = new Site( $by_fpm );
			$server = $site->serve();
			@unlink( "$site->cow/operations.lock" );
			mkdir( "$site->cow/operations.lock" );
			same( 500, $server->request( '/' )->status, 'the page' );
			same( 500, $server->request( '/style.css' )->status, 'the file' );
		}
	);
}

test(
	'without the extension the router answers 500 and says how to load it',
	function () {
		if ( null === extension_path() ) {
			echo "SKIPPED: php.ini loads the extension into every PHP\n";
			return;
		}
		$site   = new Site( false );
		$server = new Server( ROUTER, array( 'FORKPRESS_BRANCHES_DIR' => $site->dir ), array(), true );
		foreach ( array( '/', '/style.css' ) as $target ) {
			$response = $server->request( $target );
			same( 500, $response->status, "the status of $target" );
			holds( str_contains( $response->body, 'extension=/path/to/branchfs.so' ), "it says how: $response->body" );
		}
	}
);
