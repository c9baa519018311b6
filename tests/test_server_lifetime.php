<?php
/**
 * `forkpress serve` and what becomes of its processes and of the registry, however it ends.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_server_lifetime.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

/**
 * Returns the processes that have a folder in their command lines, or run in it: not this one, and not what goes on in the background.
 *
 * @param string $dir The folder.
 * @return int[]
 */
function processes_of( string $dir ): array {
	$found = array();
	foreach ( glob( '/proc/[0-9]*' ) as $process ) {
		$pid   = (int) basename( $process );
		$is_in = str_starts_with( (string) @readlink( "$process/cwd" ), $dir );
		if ( getmypid() !== $pid && ( $is_in || str_contains( (string) @file_get_contents( "$process/cmdline" ), $dir ) ) && ! is_of_background( $pid ) ) {
			$found[] = $pid;
		}
	}
	return $found;
}

/**
 * Returns whether a process is one of those that a command leaves to clean up or to read the site, which may outlive a server; or
 * what such a one runs.
 *
 * @param int $pid The process.
 */
function is_of_background( int $pid ): bool {
	while ( $pid > 1 ) {
		if ( preg_match( '/\0__(clean|read)\0/', (string) @file_get_contents( "/proc/$pid/cmdline" ) ) ) {
			return true;
		}
		$pid = preg_match( '/^PPid:\s+(\d+)$/m', (string) @file_get_contents( "/proc/$pid/status" ), $match ) ? (int) $match[1] : 0;
	}
	return false;
}

/**
 * Returns whether a process has ended, and closed what it had open. Before that, it has lost its command line.
 *
 * @param int $pid The process.
 */
function has_ended( int $pid ): bool {
	return 1 !== preg_match( '/^State:\s+[^ZX]/m', (string) @file_get_contents( "/proc/$pid/status" ) );
}

/**
 * Returns whether somebody listens at a port of 127.0.0.1.
 *
 * @param int $port The port.
 */
function listens( int $port ): bool {
	return false !== @fsockopen( '127.0.0.1', $port );
}

$site = new Site();
// Each process of the server has the site's folder in its command line, or runs in it.
$own = fn (): array => processes_of( $site->dir );
// A page that does not end before it may.
put( "$site->dir/main/slow.php", '<?php touch( __DIR__ . "/runs" ); while ( ! file_exists( __DIR__ . "/go" ) ) { usleep( 2000 ); clearstatcache(); } echo "done";' );

test(
	'serve reports success when the front page answers, and a second one finds the first',
	function () use ( $site ) {
		same( "forkpress: serving http://wp.localhost:$site->port/\n", $site->done( 'serve', '--workers', '3' ), 'what serve says' );
		same( 200, $site->request( '/' )->status, 'the front page' );
		same( "forkpress: already serving http://wp.localhost:$site->port/\n", $site->done( 'serve', '--workers', '3' ), 'what a second serve says' );
		$servers = $site->json( 'server', 'list' );
		same( array( $site->port ), array_column( $servers, 'port' ), 'servers' );
		same( array( "$site->dir/.forkpress" ), array_column( $servers, 'work_dir' ), 'their sites' );
	}
);

test(
	'a server that is killed leaves no worker, not even one that is serving, and the registry heals',
	function () use ( $site, $own ) {
		$pid  = $site->json( 'server', 'list' )[0]['pid'];
		$pids = $own();
		holds( in_array( $pid, $pids, true ), 'the server is among its processes' );
		holds( count( $pids ) >= 4, 'there are workers' );
		$slow = $site->open( '/slow.php' );
		eventually( static fn () => file_exists( "$site->dir/main/runs" ), 'a worker serves' );

		posix_kill( $pid, SIGKILL );
		eventually( static fn () => array() === $own(), 'no process of the server is left' );
		same( '', stream_get_contents( $slow ), 'what the page said' );
		// A process that ends has lost its command line before it closes its sockets.
		eventually( fn () => ! listens( $site->port ), 'nobody listens at its port' );
		$registry = "$site->state_dir/servers.json";
		holds( str_contains( file_get_contents( $registry ), (string) $pid ), 'the registry has the killed server, until somebody asks' );
		same( array(), $site->json( 'server', 'list' ), 'servers' );
		holds( ! str_contains( file_get_contents( $registry ), $site->dir ), 'the registry has forgotten it' );
		$site->done( 'branch', 'create', 'afterwards' );
	}
);

test(
	'the site can be served again at the same port, and stopping says so and ends everything',
	function () use ( $site, $own ) {
		$site->done( 'serve', '--workers', '1' );
		same( 200, $site->request( '/', array( 'Host' => $site->host( 'afterwards' ) ) )->status, 'a front page' );
		same( "forkpress: stopped http://wp.localhost:$site->port/\n", $site->done( 'stop' ), 'what stop says' );
		same( array(), $own(), 'processes' );
		same( false, listens( $site->port ), 'whether somebody listens at its port' );
		same( array(), $site->json( 'server', 'list' ), 'servers' );
	}
);

test(
	'a request that runs may end before its server does',
	function () use ( $site, $own ) {
		@unlink( "$site->dir/main/runs" );
		$site->done( 'serve', '--workers', '1' );
		$slow = $site->open( '/slow.php' );
		eventually( static fn () => file_exists( "$site->dir/main/runs" ), 'a worker serves' );
		$stop = $site->command( array( 'stop', '--timeout', '600' ) );
		eventually( static fn () => ! listens( $site->port ), 'the server takes nobody any more' );
		holds( $stop->process->runs(), 'stop waits for the request' );
		touch( "$site->dir/main/go" );
		same( 'done', Response::read( $slow )->body, 'the page' );
		same( 0, $stop->outcome()->status, 'exit status of stop' );
		same( array(), $own(), 'processes' );
	}
);

test(
	'a disk that takes no log for a while keeps no request waiting',
	function () use ( $site ) {
		// A file system of its own for the logs, which is frozen, stands for a disk that is busy for long.
		$logs  = escapeshellarg( "$site->dir/.forkpress/logs" );
		$image = escapeshellarg( temp_dir() . '/logs.img' );
		exec( "truncate -s 32M $image && mkfs.ext4 -q $image && mount -o loop $image $logs 2>&1", $said, $status );
		if ( 0 !== $status ) {
			echo 'SKIPPED: a disk that takes no log: this machine can not mount one: ' . implode( ' ', $said ) . "\n";
			return;
		}
		$frozen        = false;
		Run::$at_end[] = static function () use ( $logs, &$frozen ) {
			$frozen && exec( "fsfreeze --unfreeze $logs" );
			exec( "umount --lazy $logs 2>&1" );
		};
		$site->done( 'serve', '--workers', '2' );
		exec( "fsfreeze --freeze $logs", $said, $status );
		$frozen = 0 === $status;
		holds( $frozen, 'the disk takes nothing' );
		for ( $i = 0; $i < 100; $i++ ) {
			same( 200, $site->request( '/readme.html' )->status, 'a file: status' );
		}
		exec( "fsfreeze --unfreeze $logs", $said, $status );
		$frozen = 0 !== $status;
		$site->done( 'stop' );
		$said = file_get_contents( "$site->dir/.forkpress/logs/access.log" );
		holds( substr_count( $said, '/readme.html' ) >= 100, 'it has a word of each all the same' );
		exec( "umount --lazy $logs" );
	}
);

test(
	'a php-fpm that is killed is started again, and a request that nobody listens to meanwhile waits for it',
	function () use ( $site, $own ) {
		$site->done( 'serve', '--workers', '2' );
		$masters = static fn (): array => array_values( array_filter( $own(), static fn ( $pid ) => str_starts_with( (string) @file_get_contents( "/proc/$pid/cmdline" ), 'php-fpm: master' ) ) );
		$first   = $masters();
		if ( array() === $first ) {
			echo "SKIPPED: this machine has no php-fpm (Debian: php-fpm)\n";
			$site->done( 'stop' );
			return;
		}
		// One that dies as soon as it was started is not started again.
		usleep( 2_100_000 );
		$workers   = array_diff( $own(), $first );
		$is_worker = static fn ( $pid ) => str_starts_with( (string) @file_get_contents( "/proc/$pid/cmdline" ), 'php-fpm: pool' );
		$workers   = array_filter( $workers, $is_worker );
		posix_kill( $first[0], SIGKILL );
		eventually( static fn () => $workers === array_filter( $workers, __NAMESPACE__ . '\\has_ended' ), 'its processes have ended' );
		same( 200, $site->request( '/' )->status, 'the front page' );
		$second = $masters();
		same( 1, count( $second ), 'masters' );
		holds( $first !== $second, 'it is another one' );
		$site->done( 'stop' );
		same( array(), $own(), 'processes' );
	}
);

test(
	'a process of php-cgi or of the built-in server that is killed is replaced, and the site is served meanwhile',
	function () use ( $site, $own ) {
		foreach ( array( 'php-cgi' => array(), 'php' => array( 'FORKPRESS_PHP_CGI' => 'none' ) ) as $program => $env ) {
			if ( null === shell_exec( "command -v $program" ) ) {
				echo "SKIPPED: this machine has no $program\n";
				continue;
			}
			$site->serve( 2, $env + array( 'FORKPRESS_PHP_FPM' => 'none' ) );
			$listens = static fn ( $pid ): bool => 1 === preg_match( '/\0-(?:b|S)\0/', (string) @file_get_contents( "/proc/$pid/cmdline" ) );
			$workers = static fn (): array => array_filter( $own(), $listens );
			$count   = static fn (): int => count( $workers() );
			eventually( static fn () => 10 === $count(), "$program: two for pages, three for calls, four for Git, one that warms" );
			foreach ( $workers() as $pid ) {
				posix_kill( $pid, SIGKILL );
				eventually( static fn () => ! in_array( $pid, $own(), true ), "$program: it has ended" );
				same( 200, $site->request( '/' )->status, "$program: the front page" );
			}
			eventually( static fn () => 10 === $count(), "$program: all are there again" );
			$site->done( 'stop' );
			same( array(), $own(), "$program: processes" );
		}
	}
);

test(
	'an entry whose process id now belongs to somebody else is dropped, and nobody is killed for it',
	function () use ( $site ) {
		$site->done( 'serve', '--workers', '1' );
		$registry = "$site->state_dir/servers.json";
		$entries  = file_get_contents( $registry );
		$site->done( 'stop' );
		$pid      = json_decode( $entries, true, 512, JSON_THROW_ON_ERROR );
		$stranger = new Process( array( 'sleep', '600' ) );
		$ids      = array();
		array_walk_recursive(
			$pid,
			static function ( $value, $key ) use ( &$ids ) {
				if ( 'pid' === $key ) {
					$ids[] = $value;
				}
			}
		);
		holds( count( $ids ) >= 2, 'the registry has process ids' );
		foreach ( $ids as $id ) {
			$entries = preg_replace( "/\\b$id\\b/", (string) $stranger->pid, $entries );
		}
		file_put_contents( $registry, $entries );
		$site->done( 'stop', '--force' );
		holds( $stranger->runs(), 'the stranger lives' );
		same( array(), $site->json( 'server', 'list' ), 'servers' );
		$stranger->stop();
	}
);

test(
	'port 0 is a free one, which is told and recorded, and two sites have two',
	function () use ( $site, $own ) {
		$other = new Site();
		$port  = static function ( Site $of ): int {
			$said = $of->done( 'serve', '--port', '0' );
			holds( 1 === preg_match( '#^forkpress: serving http://wp\.localhost:(\d+)/\n$#D', $said, $match ), "a port is told: $said" );
			return (int) $match[1];
		};
		$first  = $port( $site );
		$second = $port( $other );
		holds( ! in_array( 0, array( $first, $second ), true ) && $first !== $second, "two ports: $first, $second" );
		foreach ( array( array( $site, $first ), array( $other, $second ) ) as list( $of, $at ) ) {
			same( array( $at ), array_column( $of->json( 'server', 'list' ), 'port' ), 'the recorded port' );
			same( "forkpress: already serving http://wp.localhost:$at/\n", $of->done( 'serve', '--port', '0' ), 'what a second serve says' );
			$page = file_get_contents( "http://127.0.0.1:$at/", false, stream_context_create( array( 'http' => array( 'header' => "Host: wp.localhost:$at" ) ) ) );
			holds( str_contains( $page, "http://wp.localhost:$at/" ), 'its links lead to it' );
		}
		$site->done( 'stop' );
		$other->done( 'stop' );
		same( array(), $own(), 'processes' );
	}
);

test(
	'a server listens at an IPv6 address, and where it may at a port below 1024',
	function () use ( $site ) {
		if ( false === @stream_socket_server( 'tcp://[::1]:0' ) ) {
			echo "SKIPPED: an IPv6 address: this machine has none\n";
			return;
		}
		for ( $port = 1023; $port > 512 && ! ( $free = @stream_socket_server( "tcp://[::1]:$port" ) ); $port-- ) {
			continue;
		}
		$port = $free ? $port : 0;
		$free && fclose( $free );
		$said = $site->done( '--json', 'serve', '--host', '::1', '--port', (string) $port, '--workers', '1' );
		$port = json_decode( $said, true, 512, JSON_THROW_ON_ERROR )['port'];
		put( "$site->dir/main/stranger.php", '<?php echo json_encode( array( branchfs_stranger( $_SERVER, "wp.localhost" ), $_SERVER["REMOTE_ADDR"] ) );' );
		$page = stream_socket_client( "tcp://[::1]:$port", $code, $message, PATIENCE );
		fwrite( $page, "GET /stranger.php HTTP/1.1\r\nHost: wp.localhost:$port\r\nConnection: close\r\n\r\n" );
		same( '[null,"::1"]', Response::read( $page )->body, 'who asks is the person who runs the server' );
		$site->done( 'stop' );
	}
);

/**
 * Starts the server as systemd does, with sockets that listen already.
 *
 * @param Site   $site   The site.
 * @param string $notify The socket that hears how far the server is.
 * @param int    ...$ports The ports of the sockets.
 */
function activated( Site $site, string $notify, int ...$ports ): Command {
	$env     = array(
		'FORKPRESS_STATE_DIR' => $site->state_dir,
		'FORKPRESS_PHP'       => PHP_BINARY,
		'FORKPRESS_EXTENSION' => (string) extension_path(),
		'NOTIFY_SOCKET'       => $notify,
		'PATH'                => getenv( 'PATH' ),
	);
	$command = array( 'systemd-socket-activate' );
	foreach ( $ports as $port ) {
		array_push( $command, '-l', "127.0.0.1:$port" );
	}
	foreach ( $env as $name => $value ) {
		array_push( $command, '-E', "$name=$value" );
	}
	return new Command( array( ...$command, program(), '--work-dir', "$site->dir/.forkpress", 'start' ), $site->dir );
}

test(
	'a server takes the socket that systemd gives it, and says when it is ready and when it ends',
	function () use ( $site, $own ) {
		exec( 'command -v systemd-socket-activate', $said, $status );
		if ( 0 !== $status ) {
			echo "SKIPPED: this machine has no systemd-socket-activate (Debian: systemd)\n";
			return;
		}
		$path   = temp_dir() . '/notify';
		$notify = stream_socket_server( "udg://$path", $code, $message, STREAM_SERVER_BIND );
		stream_set_timeout( $notify, (int) PATIENCE );
		put( "$site->dir/main/env.php", '<?php echo json_encode( array_map( "getenv", array( "LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET" ) ) );' );
		$server = activated( $site, $path, $site->port );
		eventually( static fn () => listens( $site->port ), 'systemd listens' );
		same( '[false,false,false]', $site->request( '/env.php' )->body, 'what PHP knows of that' );
		same( "READY=1\nSTATUS=serving http://wp.localhost:$site->port/\n", fread( $notify, 1000 ), 'what systemd is told' );
		same( array( $site->port ), array_column( $site->json( 'server', 'list' ), 'port' ), 'its port' );
		$site->done( 'stop' );
		same( "STOPPING=1\nSTATUS=letting requests end\n", fread( $notify, 1000 ), 'what systemd is told in the end' );
		same( 0, $server->outcome()->status, 'its exit status' );
		// What cleans up in the background is nobody's child.
		eventually( static fn () => array() === $own(), 'no process is left' );

		$other  = free_port();
		$server = activated( $site, $path, $site->port, $other );
		eventually( static fn () => listens( $site->port ), 'systemd listens' );
		$outcome = $server->outcome();
		same( 1, $outcome->status, 'the exit status where it has two ports' );
		holds( str_contains( $outcome->errors, 'a site has one port' ) && str_contains( $outcome->errors, 'ListenStream' ), "it says so: $outcome->errors" );
	}
);

test(
	'a port that somebody else has is refused, and nothing is left of the attempt',
	function () use ( $site, $own ) {
		$other = stream_socket_server( "tcp://127.0.0.1:$site->port" );
		$serve = $site->run( 'serve', '--workers', '1' );
		same( 1, $serve->status, "{$serve->text()}: exit status" );
		holds( str_contains( $serve->errors, (string) $site->port ), "the message names the port: $serve->errors" );
		same( array(), $own(), 'processes' );
		same( array(), $site->json( 'server', 'list' ), 'servers' );
		fclose( $other );
	}
);

test(
	'a request that PHP dies of is told in the debug log, with its branch and its address',
	function () use ( $site ) {
		$site->done( 'serve', '--workers', '3' );
		put( "$site->dir/afterwards/crash.php", '<?php exec( "kill -" . (int) basename( $_SERVER["PATH_INFO"] ) . " " . getmypid() ); sleep( 60 );' );
		$crash = static function ( int $signal ) use ( $site ) {
			$page = $site->open( "/crash.php/$signal?secret=1", array( 'Host' => $site->host( 'afterwards' ) ) );
			stream_get_contents( $page );
			return "GET /crash.php/$signal of branch 'afterwards'";
		};
		foreach ( array( SIGKILL, SIGSEGV ) as $signal ) {
			$line = $crash( $signal );
			$log  = "$site->dir/.forkpress/logs/wp-debug.log";
			eventually( static fn () => str_contains( (string) @file_get_contents( $log ), $line ), "the log has: $line" );
			$of_it = array_filter( file( $log ), static fn ( $of ) => str_contains( $of, $line ) );
			same( 1, count( $of_it ), 'lines of it' );
			same( 1, preg_match( '/^\[\d{4}-\d\d-\d\dT[\d:]+Z\] ForkPress: PHP process \d+ died while serving GET /', reset( $of_it ) ), 'how it begins' );
		}
		$site->done( 'stop' );
		$lines = substr_count( file_get_contents( $log ), 'ForkPress: PHP' );

		// In the log that the server was told.
		$log = temp_dir() . '/debug.log';
		$site->serve( 3, array( 'FORKPRESS_DEBUG_LOG' => $log ) );
		$line = $crash( SIGABRT );
		eventually( static fn () => str_contains( (string) @file_get_contents( $log ), $line ), "the other log has: $line" );
		$site->done( 'stop' );

		// Whoever is killed on purpose has not died of anything.
		unlink( "$site->dir/main/go" );
		unlink( "$site->dir/main/runs" );
		$site->done( 'serve', '--workers', '1' );
		$slow = $site->open( '/slow.php' );
		eventually( static fn () => file_exists( "$site->dir/main/runs" ), 'a worker serves' );
		$site->done( 'stop', '--force' );
		$site->done( 'serve', '--workers', '1' );
		$site->done( 'stop' );
		same( $lines, substr_count( file_get_contents( "$site->dir/.forkpress/logs/wp-debug.log" ), 'ForkPress: PHP' ), 'lines in the usual log' );
	}
);
