<?php
/**
 * Who may do what: the person who runs the server, other accounts of the machine, clients behind proxies.
 *
 *     php -d "extension=$(pwd)/ext/branchfs.so" tests/test_access.php
 *
 * Another account is `nobody`, as which only root can run something: without root those claims are skipped.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';
require __DIR__ . '/accounts.php';

/** The refs, as a push asks for them. */
const PUSH = '/site.git/info/refs?service=git-receive-pack';

/**
 * Fails unless a client is, or is not, taken for the person who runs the server: in the dashboard, on the login page and in a push.
 *
 * @param bool     $may       Whether it is.
 * @param string   $address   Where the server is.
 * @param bool     $is_nobody Whether the client is another account's process.
 * @param string   $what      Who it is.
 * @param string[] $headers   Further headers, as lines.
 */
function is_owner( bool $may, string $address, bool $is_nobody, string $what, array $headers = array() ): void {
	$dashboard = ask( $address, '/wp-admin/', $is_nobody, $headers );
	same( $may ? 200 : 302, $dashboard->status, "the dashboard for $what" );
	same( $may, (bool) preg_grep( '/^wordpress_logged_in_/', $dashboard->cookies ), "a session for $what" );
	same( $may ? 302 : 200, ask( $address, '/wp-login.php', $is_nobody, $headers )->status, "the login page for $what" );
	same( $may ? 200 : 401, ask( $address, PUSH, $is_nobody, $headers )->status, "a push by $what" );
}

$site = new Site();
$site->serve( 1 );
$here = "tcp://127.0.0.1:$site->port";

test_as_root(
	'another account of the machine signs in and gives the token; the one that runs the server need not',
	function () use ( $site, $here ): void {
		is_owner( true, $here, false, 'the account of the server' );
		is_owner( false, $here, true, 'another account' );
		$said = ask( $here, '/wp-login.php', true )->body;
		holds( str_contains( $said, 'another account of this machine (user id ' . NOBODY . ')' ), 'the login page says why' );
		same( 200, ask( $here, '/site.git/info/refs?service=git-upload-pack', true )->status, 'a fetch by another account' );
		$token = trim( $site->done( 'git', 'token' ) );
		same( 200, ask( $here, PUSH, true, array( "Authorization: Bearer $token" ) )->status, 'a push by another account, with the token' );
	}
);

test_as_root(
	'another account that hangs up before its request is looked at is not taken for root',
	function () use ( $site, $here ): void {
		$sessions = static fn () => $site->database( 'main' )->query( "SELECT meta_value FROM wp_usermeta WHERE meta_key = 'session_tokens'" )->fetchColumn();
		$before   = $sessions();
		for ( $number = 0; $number < 5; $number++ ) {
			ask( $here, '/wp-admin/', true, array(), true );
		}
		// There is one worker: it has answered those before.
		same( 200, $site->request( '/' )->status, 'the front page' );
		same( $before, $sessions(), 'sessions' );
	}
);

test(
	'a client behind a proxy is nobody, whichever header says so, for the dashboard as for a push',
	function () use ( $site ): void {
		$headers = array( 'Forwarded', 'Via', 'X-Forwarded-For', 'X-Forwarded-Server', 'X-Real-IP', 'True-Client-IP', 'Cf-Connecting-Ip', 'X-Client-IP', 'Fly-Client-IP', 'X-Original-For', 'X-Envoy-Peer-Metadata', 'X-ProxyUser-Ip' );
		foreach ( $headers as $header ) {
			foreach ( array( 'for=192.0.2.1', '' ) as $value ) {
				$sent = array( $header => $value );
				same( 302, $site->request( '/wp-admin/', $sent )->status, "the dashboard with $header: $value" );
				same( 401, $site->request( PUSH, $sent )->status, "a push with $header: $value" );
			}
		}
		same( 200, $site->request( PUSH )->status, 'a push without' );
		same( 401, $site->request( PUSH, array( 'X-ForkPress-Loopback' => 'x' ) )->status, 'a push by the site itself' );
	}
);

test_as_root(
	'so it is over IPv6, and where one socket serves both',
	function () use ( $site ): void {
		if ( ! @stream_socket_server( 'tcp://[::1]:0' ) ) {
			echo "SKIPPED: this machine has no IPv6\n";
			return;
		}
		$site->stop();
		$site->done( 'serve', '--host', '::1', '--workers', '1' );
		is_owner( true, "tcp://[::1]:$site->port", false, 'the account of the server over IPv6' );
		is_owner( false, "tcp://[::1]:$site->port", true, 'another account over IPv6' );
		$site->stop();
		$site->done( 'serve', '--host', '::', '--workers', '1' );
		foreach ( array( '127.0.0.1', '[::1]' ) as $address ) {
			same( 200, ask( "tcp://$address:$site->port", '/wp-admin/', false )->status, "the dashboard at $address" );
			same( 302, ask( "tcp://$address:$site->port", '/wp-admin/', true )->status, "the dashboard at $address for another account" );
		}
		same( 401, ask( "tcp://127.0.0.1:$site->port", PUSH, false )->status, 'a push to a server that others reach' );
	}
);

test(
	'FORKPRESS_AUTO_LOGIN=0 asks everybody: for the password, and for the token in a push; nobody gets metrics',
	function () use ( $site ): void {
		same( 200, $site->request( '/_forkpress/metrics' )->status, 'metrics' );
		$site->stop();
		$site->serve( 1, array( 'FORKPRESS_AUTO_LOGIN' => '0' ) );
		same( 403, $site->request( '/_forkpress/metrics' )->status, 'metrics with FORKPRESS_AUTO_LOGIN=0' );
		is_owner( false, "tcp://127.0.0.1:$site->port", false, 'the account of the server' );
		$site->stop();
	}
);

test_as_root(
	'root signs in at the server of another account, which need not',
	function () use ( $site ): void {
		$tools = temp_dir();
		copy( program(), "$tools/forkpress" );
		copy( extension_path() ?? ini_get( 'extension_dir' ) . '/branchfs.so', "$tools/branchfs.so" );
		foreach ( array( $tools, $site->dir, $site->state_dir, "$tools/forkpress" ) as $path ) {
			chmod( $path, 0711 | fileperms( $path ) );
		}
		$chown = new Process( array( 'chown', '-R', NOBODY . ':' . NOBODY, $site->dir, $site->state_dir ) );
		same( 0, $chown->wait(), $chown->output() );
		$env     = array( 'FORKPRESS_STATE_DIR' => $site->state_dir, 'FORKPRESS_EXTENSION' => "$tools/branchfs.so", 'FORKPRESS_PHP' => PHP_BINARY, 'HOME' => $tools );
		$run     = static fn ( string ...$arguments ) => ( new Command( as_nobody( "$tools/forkpress", ...$arguments ), $site->dir, $env ) )->outcome();
		$outcome = $run( 'serve', '--workers', '1' );
		same( 0, $outcome->status, "serve: {$outcome->text()}: exit status" );
		is_owner( true, "tcp://127.0.0.1:$site->port", true, 'the account of the server' );
		is_owner( false, "tcp://127.0.0.1:$site->port", false, 'root' );
		same( 0, $run( 'stop' )->status, 'stop' );
		$chown = new Process( array( 'chown', '-R', '0:0', $site->dir, $site->state_dir ) );
		same( 0, $chown->wait(), $chown->output() );
	}
);

/**
 * Fails unless commands refuse the site, and returns what one of them says.
 *
 * @param Site     $site The site.
 * @param string   $what What is wrong.
 * @param string[] $env  What their environment has beyond this process's.
 */
function refused( Site $site, string $what, array $env = array() ): string {
	foreach ( array( array( 'gc' ), array( 'branch', 'create', 'x' ), array( 'serve' ) ) as $arguments ) {
		$outcome = $site->command( $arguments, $env )->outcome();
		same( 1, $outcome->status, "$what: {$arguments[0]}: {$outcome->text()}: exit status" );
	}
	return $outcome->errors;
}

test(
	'in a copied site no link in the place of what is ForkPress\'s own leads anywhere',
	function () use ( $site ): void {
		$outside = temp_dir();
		$own     = "$site->dir/.forkpress";
		put( "$outside/precious/file", 'precious' );
		$folders = array( 'cow', 'cow/trash', 'cow/staging', 'cow/kept', 'cow/spares', 'cow/log', 'cow/journal', 'cow/branches', 'cow/requests', 'logs', 'runtime', 'runtime/platform' );
		$files   = array( 'site.toml', 'logs/php-errors.log', 'logs/new.log', 'cow/operations.lock', 'cow/branches/main.toml', 'cow/requests/1', 'cow/loopback.token', 'runtime/router_cow.php' );
		foreach ( array( ...$folders, ...$files ) as $name ) {
			$there = file_exists( "$own/$name" );
			$there && rename( "$own/$name", "$site->dir/aside" );
			symlink( in_array( $name, $files, true ) ? "$outside/precious/file" : ( 'cow' === $name || 'runtime' === $name ? "$site->dir/aside" : $outside ), "$own/$name" );
			$said = refused( $site, $name );
			holds( str_contains( $said, "$own/$name" ) && str_contains( $said, 'hint:' ), "$name is named: $said" );
			unlink( "$own/$name" );
			$there && rename( "$site->dir/aside", "$own/$name" );
		}
		same( 'precious', file_get_contents( "$outside/precious/file" ), 'what is outside' );
		same( array( 'precious' ), array_values( array_diff( scandir( $outside ), array( '.', '..' ) ) ), 'what is outside' );
		$site->done( 'gc' );
	}
);

test(
	'a site inside a branch is none, whoever put it there',
	function () use ( $site ): void {
		$planted = "$site->dir/main/wp-content/.forkpress";
		mkdir( "$planted/cow/trash/1", 0755, true );
		copy( "$site->dir/.forkpress/site.toml", "$planted/site.toml" );
		$in_branch = static fn ( string ...$arguments ) => ( new Command( array( program(), ...$arguments ), dirname( $planted ), array( 'FORKPRESS_STATE_DIR' => $site->state_dir ) ) )->outcome();
		$list      = json_decode( $in_branch( '--json', 'branch', 'list' )->out, true );
		same( array( 'main' ), array_column( $list, 'name' ), 'the branches of the site around' );
		same( 0, $in_branch( 'gc' )->status, 'gc' );
		holds( is_dir( "$planted/cow/trash/1" ), 'gc did not empty the trash of what is no site' );
		$named = $site->run( '--work-dir', $planted, 'gc' );
		same( 1, $named->status, "gc in a branch: {$named->text()}" );
		holds( str_contains( $named->errors, "lies in a branch of the site $site->dir" ), $named->errors );
		remove( $planted );
		$made = $in_branch( 'init' );
		same( 1, $made->status, "init in a branch: {$made->text()}" );
		holds( ! file_exists( $planted ), 'init made nothing' );
	}
);

test(
	'nobody else reads or locks what is ForkPress\'s own, nor the secrets of a new site',
	function () use ( $site ): void {
		$mode = static fn ( string $path ): string => sprintf( '%o', fileperms( $path ) & 0777 );
		$cow  = "$site->dir/.forkpress/cow";
		clearstatcache();
		same( '700', $mode( "$site->dir/.forkpress" ), '.forkpress' );
		same( '700', $mode( $site->state_dir ), 'the folder of the servers' );
		same( '600', $mode( "$site->dir/main/wp-config.php" ), 'wp-config.php' );
		foreach ( array( ...glob( "$cow/*.{lock,gate,token}", GLOB_BRACE ), ...glob( "$site->dir/.forkpress/logs/*" ), ...glob( "$site->state_dir/servers.*" ) ) as $path ) {
			same( '600', $mode( $path ), $path );
		}
		// As the version before made them.
		foreach ( array( "$site->dir/.forkpress", $cow, $site->state_dir, "$site->dir/.forkpress/logs" ) as $folder ) {
			chmod( $folder, 0755 );
		}
		chmod( "$cow/operations.lock", 0644 );
		$site->done( 'branch', 'create', 'later' );
		clearstatcache();
		same( array( '700', '700', '700', '700', '600' ), array_map( $mode, array( "$site->dir/.forkpress", $cow, $site->state_dir, "$site->dir/.forkpress/logs", "$cow/operations.lock" ) ), 'after a mutation' );
		put( "$site->state_dir/other", '' );
		chmod( $site->state_dir, 0755 );
		$site->done( 'server', 'list' );
		clearstatcache();
		same( '755', $mode( $site->state_dir ), 'a folder that holds other things as well' );
	}
);

test_as_root(
	'a site of another user\'s is not opened, but for one that the user has named, and by sudo',
	function () use ( $site ): void {
		$config = temp_dir();
		$env    = array( 'XDG_CONFIG_HOME' => $config, 'SUDO_UID' => null, 'FORKPRESS_SAFE' => null );
		foreach ( array( '', '/.forkpress', '/.forkpress/site.toml', '/.forkpress/cow' ) as $path ) {
			chown( $site->dir . $path, NOBODY );
			$said = refused( $site, "$path is another's", $env );
			holds( str_contains( $said, $site->dir . $path ) && str_contains( $said, 'user ' . NOBODY . ' (nobody)' ), $said );
			holds( str_contains( $said, "add to $config/forkpress/config.toml: safe = [\"$site->dir\"]" ), $said );
			chown( $site->dir . $path, 0 );
		}
		chown( "$site->dir/.forkpress", NOBODY );
		$list = static fn ( array $more ) => $site->command( array( 'branch', 'list' ), $more + $env )->outcome()->status;
		same( 1, $list( array( 'FORKPRESS_SAFE' => dirname( $site->dir ) ) ), 'a folder above is named' );
		same( 0, $list( array( 'FORKPRESS_SAFE' => "/nowhere:$site->dir" ) ), 'FORKPRESS_SAFE names it' );
		same( 0, $list( array( 'SUDO_UID' => (string) NOBODY ) ), 'its user called sudo' );
		same( 1, $list( array( 'SUDO_UID' => '1234' ) ), 'another user called sudo' );
		put( "$config/forkpress/config.toml", "safe = [\"$site->dir\"]\n" );
		same( 0, $list( array() ), 'the user has named it' );
		chown( "$config/forkpress/config.toml", NOBODY );
		same( 1, $list( array() ), 'another user has' );
		chown( "$site->dir/.forkpress", 0 );
		same( 0, $list( array() ), 'root owns it' );
	}
);
