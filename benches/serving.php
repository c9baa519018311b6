<?php
/**
 * What it takes to serve: `forkpress serve`, nginx with php-fpm, and PHP's built-in server with the router and without, on the
 * same tree, with as many processes of PHP each. They take turns.
 *
 * php benches/serving.php [ROUNDS]
 *
 * Uses target/release/forkpress and target/release/examples/client; nginx and php-fpm where they are (Debian: nginx-light,
 * php-fpm), and Chromium.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Bench;

require __DIR__ . '/lib.php';
require __DIR__ . '/browser.php';

/** Processes of PHP, and milliseconds of a turn. */
const WORKERS = 4;
const TURN    = 1500;

/** What the site's wp-config.php begins with. Behind nginx nobody else tells WordPress its address. */
const CONFIG = <<<'PHP'
	<?php
	define( 'DISABLE_WP_CRON', true );
	if ( ! extension_loaded( 'branchfs' ) ) {
		define( 'WP_HOME', 'http://' . $_SERVER['HTTP_HOST'] );
		define( 'WP_SITEURL', WP_HOME );
	}
	PHP;

/** Connections that are idle. */
const IDLE = 2000;

/**
 * Runs the client to its end; returns how many requests a second were answered, and the milliseconds of the median, of the 99th of
 * a hundred and of the slowest.
 *
 * @param int    $port        The server's.
 * @param string $path        What is asked for.
 * @param int    $clients     How many clients.
 * @param string $connections `keep` or `close`.
 * @param int    $time        For how many milliseconds.
 * @return float[]
 */
function load( int $port, string $path, int $clients, string $connections, int $time = TURN ): array {
	$process = proc_open( array( client(), 'load', "127.0.0.1:$port", 'wp.localhost', $path, (string) $clients, (string) $time, $connections ), array( array( 'file', '/dev/null', 'r' ), array( 'pipe', 'w' ), STDERR ), $pipes );
	$said    = stream_get_contents( $pipes[1] );
	0 === proc_close( $process ) || missing( "the client of port $port failed" );
	return array_map( 'floatval', explode( ' ', trim( $said ) ) );
}

/** Returns the program that is the clients. */
function client(): string {
	$program = ROOT . '/target/release/examples/client';
	return is_executable( $program ) ? $program : missing( "target/release/examples/client is missing: 'make bench' makes it" );
}

/**
 * Starts a server of the benchmark's own and waits until it listens.
 *
 * @param string[] $command Its program and arguments.
 * @param string   $address Where it listens.
 */
function server( array $command, string $address ): Process {
	$log    = array( 'file', temp_dir() . '/log', 'a' );
	$server = new Process( $command, array( array( 'file', '/dev/null', 'r' ), $log, $log ) );
	while ( ! @stream_socket_client( $address ) ) {
		$server->runs() || missing( "$command[0] did not start: " . file_get_contents( $log[1] ) );
		usleep( 5000 );
	}
	return $server;
}

/**
 * Starts nginx with php-fpm on a tree; returns its port and process, or null where one of them is not there.
 *
 * @param string $tree The tree.
 * @return array{int, Process}|null
 */
function nginx( string $tree ): ?array {
	$find  = static fn ( string ...$names ) => trim( (string) shell_exec( 'PATH=$PATH:/usr/sbin command -v ' . implode( ' || PATH=$PATH:/usr/sbin command -v ', $names ) ) );
	$nginx = $find( 'nginx' );
	$fpm   = $find( sprintf( 'php-fpm%d.%d', PHP_MAJOR_VERSION, PHP_MINOR_VERSION ), 'php-fpm' );
	if ( '' === $nginx || '' === $fpm ) {
		fwrite( STDERR, "serving.php: no nginx or no php-fpm: it is not compared with them\n" );
		return null;
	}
	$dir  = temp_dir();
	$user = posix_getpwuid( posix_geteuid() )['name'];
	$root = 0 === posix_geteuid();
	file_put_contents(
		"$dir/fpm.conf",
		"[global]\ndaemonize = no\nerror_log = $dir/fpm.log\n[www]\nlisten = $dir/fpm.sock\npm = static\npm.max_children = " . WORKERS . "\n" . ( $root ? "user = root\ngroup = root\n" : '' )
	);
	server( array_merge( array( $fpm ), $root ? array( '-R' ) : array(), array( '-c', ROOT . '/php.ini.dist', '-y', "$dir/fpm.conf" ) ), "unix://$dir/fpm.sock" );
	$port = free_port();
	$temp = implode( "\n", array_map( static fn ( $kind ) => "{$kind}_temp_path $dir/$kind;", array( 'client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi' ) ) );
	file_put_contents(
		"$dir/nginx.conf",
		"daemon off;\n" . ( $root ? "user $user;\n" : '' ) . <<<CONF
		worker_processes auto;
		pid $dir/nginx.pid;
		error_log $dir/nginx.log;
		events { worker_connections 8192; }
		http {
			include /etc/nginx/mime.types;
			default_type application/octet-stream;
			sendfile on;
			tcp_nopush on;
			keepalive_timeout 600;
			keepalive_requests 100000000;
			access_log $dir/access.log;
			$temp
			server {
				listen 127.0.0.1:$port backlog=4096;
				root $tree;
				index index.php;
				location / { try_files \$uri \$uri/ /index.php?\$args; }
				location ~ \.php$ {
					include /etc/nginx/fastcgi.conf;
					fastcgi_pass unix:$dir/fpm.sock;
				}
			}
		}

		CONF
	);
	return array( $port, server( array( $nginx, '-c', "$dir/nginx.conf" ), "tcp://127.0.0.1:$port" ) );
}

/**
 * Returns the kilobytes that a process and its children have of their own memory.
 *
 * @param int $pid The process.
 */
function memory( int $pid ): float {
	$kilobytes = 0.0;
	foreach ( array_merge( array( $pid ), explode( ' ', trim( (string) @file_get_contents( "/proc/$pid/task/$pid/children" ) ) ) ) as $one ) {
		if ( preg_match( '/^Pss_Anon:\s+(\d+)/m', (string) @file_get_contents( "/proc/$one/smaps_rollup" ), $match ) ) {
			$kilobytes += (float) $match[1];
		}
	}
	return $kilobytes;
}

/**
 * Prints a table of requests a second and of their times, each server's by those of the one that is compared with.
 *
 * @param string  $title   What is asked for.
 * @param array[] $results Of each server, what load() said each time.
 */
function rates( string $title, array $results ): void {
	$base = isset( $results['nginx and php-fpm'] ) ? 'nginx and php-fpm' : 'forkpress serve';
	$rows = array( array( $title, sprintf( 'requests a second, median of %d', count( $results[ $base ] ) ), "by $base", 'median, ms', '99 %, ms' ) );
	foreach ( $results as $name => $turns ) {
		$column = static fn ( int $at ) => array_column( $turns, $at );
		$rows[] = array(
			$name,
			sprintf( '%.0f', median( $column( 0 ) ) ),
			$name === $base ? '1' : sprintf( '%.2f', median_ratio( $column( 0 ), array_column( $results[ $base ], 0 ) ) ),
			sprintf( '%.2f', median( $column( 1 ) ) ),
			sprintf( '%.2f', median( $column( 2 ) ) ),
		);
	}
	table( $rows );
	echo "\n";
}

/**
 * Prints how long a browser takes to open the dashboard of each server, with nothing in its cache and with all of it.
 *
 * @param int[] $ports  The servers' ports.
 * @param int   $rounds How often.
 */
function dashboards( array $ports, int $rounds ): void {
	$browser = new Browser( chromium() );
	foreach ( $ports as $port ) {
		// Where nobody is signed in by the server.
		$browser->open( "http://wp.localhost:$port/sign-in.php" );
	}
	$times = array();
	$names = array_keys( $ports );
	// The first round fills the caches of PHP.
	for ( $round = 0; $round <= $rounds; $round++ ) {
		$names[] = array_shift( $names );
		foreach ( $names as $name ) {
			$browser->call( 'Network.clearBrowserCache' );
			foreach ( array( 'cold', 'warm' ) as $cache ) {
				$time = $browser->open( "http://wp.localhost:$ports[$name]/wp-admin/" );
				if ( $round > 0 ) {
					$times[ $cache ][ $name ][] = $time;
				}
			}
			array_map( static fn ( $complaint ) => fwrite( STDERR, "the browser at $name: $complaint\n" ), $browser->complaints() );
		}
	}
	$rows = array( array( 'dashboard in Chromium', 'cold, ms', 'by ' . array_key_last( $ports ), 'warm, ms', 'by ' . array_key_last( $ports ) ) );
	foreach ( array_keys( $ports ) as $name ) {
		$row = array( $name );
		foreach ( $times as $of_servers ) {
			$row[] = sprintf( '%.0f', median( $of_servers[ $name ] ) );
			$row[] = sprintf( '%.2f', median_ratio( $of_servers[ $name ], $of_servers[ array_key_last( $ports ) ] ) );
		}
		$rows[] = $row;
	}
	table( $rows );
	echo "\n";
}

client();
$rounds = (int) ( $argv[1] ?? 5 );
$site   = temp_dir() . '/site';
$port   = free_port();
mkdir( $site );
forkpress( $site, 'init', '--port', (string) $port );
file_put_contents( "$site/main/wp-config.php", preg_replace( '/^<\?php/', CONFIG, file_get_contents( "$site/main/wp-config.php" ) ) );
file_put_contents( "$site/main/slow.php", '<?php usleep( 3000000 ); echo "slow";' );
file_put_contents( "$site/main/fast.php", '<?php echo "fast";' );
file_put_contents( "$site/main/sign-in.php", '<?php require "wp-load.php"; wp_set_auth_cookie( 1 ); wp_safe_redirect( admin_url() );' );
at_end( static fn () => is_dir( $site ) && forkpress( $site, 'stop', '--force' ) );
forkpress( $site, 'serve', '--workers', (string) WORKERS );

$workers = array( 'PHP_CLI_SERVER_WORKERS' => (string) WORKERS );
$ports   = array( 'forkpress serve' => $port );
$nginx   = nginx( "$site/main" );
if ( null !== $nginx ) {
	$ports['nginx and php-fpm'] = $nginx[0];
}
$router = Server::with_router( $site, $workers + array( 'FORKPRESS_COW_DIR' => "$site/.forkpress/cow" ) );
$plain  = new Server( array( '-t', "$site/main" ), array(), $workers );

$ports['php -S with the router'] = $router->port;
$ports['php -S']                 = $plain->port;

$kinds   = array(
	array( 'front page, 1 client', '/', 1, 'keep' ),
	array( 'front page, 8 clients', '/', 8, 'keep' ),
	array( 'file of 9 kB, 8 clients that keep their connections', '/wp-includes/js/wp-emoji.js', 8, 'keep' ),
	array( 'file of 82 kB, 8 clients that keep their connections', '/wp-admin/css/common.css', 8, 'keep' ),
);
$results = array();
$names   = array_keys( $ports );
foreach ( $ports as $port_of ) {
	array_map( static fn ( $path ) => load( $port_of, $path, 8, 'close' ), array( '/', '/wp-admin/css/common.css' ) );
}
for ( $round = 0; $round < $rounds; $round++ ) {
	foreach ( $kinds as list( $title, $path, $clients, $kept ) ) {
		// Each server is first as often as the others.
		$names[] = array_shift( $names );
		foreach ( $names as $name ) {
			$keeps = str_starts_with( $name, 'php -S' ) ? 'close' : $kept;

			$results[ $title ][ $name ][] = load( $ports[ $name ], $path, $clients, $keeps );
		}
	}
}
foreach ( $results as $title => $of_servers ) {
	rates( $title, array_replace( array_fill_keys( array_keys( $ports ), array() ), $of_servers ) );
}

// A browser has six connections to a host: one waits for a page of three seconds, five ask for small ones.
$rows = array( array( 'small pages by five clients beside one page of 3 s', 'requests', '99 %, ms', 'slowest, ms' ) );
foreach ( $ports as $name => $port_of ) {
	$slowest = array();
	for ( $round = 0; $round < 3; $round++ ) {
		$slow = new Process( array( client(), 'load', "127.0.0.1:$port_of", 'wp.localhost', '/slow.php', '1', '1', 'close' ), array( array( 'file', '/dev/null', 'r' ), array( 'file', '/dev/null', 'w' ), STDERR ) );
		usleep( 200000 );
		list( $rate, , $most, $longest ) = load( $port_of, '/fast.php', 5, str_starts_with( $name, 'php -S' ) ? 'close' : 'keep', 2500 );
		$slowest[]                       = array( $rate * 2.5, $most, $longest );
		while ( $slow->runs() ) {
			usleep( 10000 );
		}
	}
	$rows[] = array( $name, sprintf( '%.0f', array_sum( array_column( $slowest, 0 ) ) ), sprintf( '%.1f', median( array_column( $slowest, 1 ) ) ), sprintf( '%.1f', max( array_column( $slowest, 2 ) ) ) );
}
table( $rows );
echo "\n";

dashboards( array_intersect_key( $ports, array( 'forkpress serve' => 0, 'nginx and php-fpm' => 0 ) ), 4 * $rounds );

$pids = array( 'forkpress serve' => (int) json_decode( forkpress( $site, 'server', 'list', '--json' )[1], true )[0]['pid'] );
if ( null !== $nginx ) {
	$pids['nginx and php-fpm'] = $nginx[1]->pid;
}
$rows = array( array( sprintf( '%d idle connections', IDLE ), 'kilobytes for each' ) );
foreach ( $pids as $name => $pid ) {
	$before = memory( $pid );
	$idle   = new Process( array( client(), 'idle', "127.0.0.1:$ports[$name]", 'wp.localhost', '/wp-includes/js/wp-emoji.js', (string) IDLE ), array( array( 'pipe', 'r' ), array( 'pipe', 'w' ), STDERR ) );
	"ready\n" === fgets( $idle->pipes[1] ) || missing( "$name does not keep so many connections" );
	$rows[] = array( $name, sprintf( '%.1f', ( memory( $pid ) - $before ) / IDLE ) );
	$idle->stop();
}
table( $rows );
forkpress( $site, 'stop' );
