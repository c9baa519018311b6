<?php
/**
 * The installer and the configuration that it runs with, on a real WordPress, which `forkpress serve` then serves.
 *
 *     php -d "extension=$(pwd)/ext/branchfs.so" tests/test_wordpress_install.php
 *
 * Needs target/wordpress, which scripts/fetch-wordpress.sh makes.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/served.php';

const WORDPRESS = ROOT . '/target/wordpress';
// What a shell, SQL, PHP and WordPress's own habit of adding slashes could each spoil.
const PASSWORD = 'it\'s "a" \\word $HOME é';

if ( ! is_file( WORDPRESS . '/wp-content/db.php' ) ) {
	echo "target/wordpress is missing: run scripts/fetch-wordpress.sh\n";
	exit( 1 );
}

/**
 * Makes a folder of WordPress's files with a configuration, as `forkpress init` does.
 *
 * @param string $tree Where.
 */
function unpack_wordpress( string $tree ): void {
	same( 0, ( new Process( array( 'cp', '-R', WORDPRESS, $tree ) ) )->wait(), 'exit status of cp' );
	put( "$tree/wp-config.php", str_replace( '@SALT@', bin2hex( random_bytes( 32 ) ), file_get_contents( ROOT . '/runtime/wp-config.php' ) ) );
}

/**
 * Runs the installer to its end.
 *
 * @param string $tree The folder to install into.
 * @param array  $env  What its environment has beyond the usual.
 */
function install( string $tree, array $env = array() ): Process {
	$env    += array(
		'FORKPRESS_ADMIN_PASSWORD'  => PASSWORD,
		'FORKPRESS_SITE_TITLE'      => 'Tom & <i>Jerry</i>',
		'FORKPRESS_PHP_ERRORS_LOG'  => '/dev/null',
		'HTTP_HOST'                 => 'wp.localhost:12345',
	);
	$process = new Process( array( PHP_BINARY, '-c', ROOT . '/php.ini.dist', ROOT . '/runtime/install.php', $tree ), $env );
	$process->wait();
	return $process;
}

/**
 * Returns one value of a branch's database.
 *
 * @param string $tree The branch's folder.
 * @param string $sql  The question.
 */
function ask( string $tree, string $sql ): string {
	$database = new \PDO( "sqlite:$tree/wp-content/database/.ht.sqlite" );
	return (string) $database->query( $sql )->fetchColumn();
}

$site = temp_dir();
mkdir( "$site/.forkpress/cow", 0755, true );
unpack_wordpress( "$site/main" );
$installed = install( "$site/main" );

test(
	'it installs and says nothing',
	function () use ( $installed ) {
		same( array( 0, '' ), array( $installed->wait(), $installed->output() ), 'status and output' );
	}
);

test(
	'the database is in WAL mode, whole and closed',
	function () use ( $site ) {
		$files = array_values( array_diff( scandir( "$site/main/wp-content/database" ), array( '.', '..' ) ) );
		same( array( '.ht.sqlite', '.htaccess', 'index.php' ), $files, 'files' );
		same( 'wal', ask( "$site/main", 'PRAGMA journal_mode' ), 'journal mode' );
		same( 'ok', ask( "$site/main", 'PRAGMA integrity_check' ), 'integrity' );
	}
);

test(
	'title and permalinks are as asked for, and their rules are there',
	function () use ( $site ) {
		$option = static fn ( string $name ) => ask( "$site/main", "SELECT option_value FROM wp_options WHERE option_name = '$name'" );
		same( 'Tom &amp; &lt;i&gt;Jerry&lt;/i&gt;', $option( 'blogname' ), 'title' );
		same( '/%postname%/', $option( 'permalink_structure' ), 'permalinks' );
		holds( str_contains( $option( 'rewrite_rules' ), 'wp-json' ), 'the rewrite rules are stored' );
	}
);

test(
	'neither the database nor what else was written names a path of this machine',
	function () use ( $site ) {
		foreach ( array( 'wp-content/database/.ht.sqlite', 'wp-config.php', 'wp-content/db.php' ) as $file ) {
			$bytes = file_get_contents( "$site/main/$file" );
			holds( ! str_contains( $bytes, $site ) && ! str_contains( $bytes, ROOT ), "$file names no folder" );
		}
	}
);

test(
	'what keeps WordPress from being installed is said in one line, with exit status 1',
	function () use ( $site ) {
		$dir = temp_dir();
		put( "$dir/bare/wp-config.php", '<?php' );
		put( "$dir/broken/wp-config.php", '<?php throw new Exception( "the configuration is broken" );' );
		put( "$dir/broken/wp-content/db.php", '<?php' );
		put( "$dir/dies/wp-config.php", '<?php die( "<h1>Sorry</h1>" );' );
		put( "$dir/dies/wp-content/db.php", '<?php' );
		$cases = array(
			'not a WordPress tree'         => install( "$dir/nothing" ),
			'no database driver'           => install( "$dir/bare" ),
			'the configuration is broken'  => install( "$dir/broken" ),
			'did not install: Sorry'       => install( "$dir/dies" ),
			'has a database already'       => install( "$site/main" ),
			'FORKPRESS_ADMIN_PASSWORD is empty' => install( "$dir/dies", array( 'FORKPRESS_ADMIN_PASSWORD' => ' ' ) ),
		);
		foreach ( $cases as $message => $process ) {
			same( 1, $process->wait(), "exit status of: $message" );
			holds( 1 === substr_count( $process->output(), "\n" ) && str_contains( $process->output(), $message ), "it says \"$message\": " . $process->output() );
		}
	}
);

// A page that asks a host outside, and a log of what WordPress asks by itself.
put(
	"$site/main/wp-content/mu-plugins/asks.php",
	'<?php
	add_filter( "pre_http_request", function ( $answer, $args, $url ) {
		file_put_contents( dirname( __DIR__ ) . "/asked.txt", "$url\n", FILE_APPEND );
		return $answer;
	}, 1, 3 );
	add_action( "wp_loaded", function () {
		if ( isset( $_GET["ask"] ) ) {
			$answer = wp_remote_get( $_GET["ask"] );
			wp_die( is_wp_error( $answer ) ? "no: " . $answer->get_error_message() : "yes: " . $answer["body"] );
		}
	} );'
);
same( 0, ( new Process( array( 'cp', '-R', "$site/main", "$site/marketing" ) ) )->wait(), 'exit status of cp' );
make_site_of( $site, 'marketing' );
$server = new Served( $site, 1, array(), array( 'FORKPRESS_AUTO_LOGIN' => '0' ) );

test(
	'a copy of the folder is a site of its own host, with pretty permalinks',
	function () use ( $server ) {
		foreach ( array( 'wp.localhost', 'marketing.wp.localhost' ) as $host ) {
			$host    .= ":$server->port";
			$response = $server->request( '/hello-world/', array( 'Host' => $host ) );
			same( 200, $response->status, "status at $host" );
			holds( str_contains( $response->body, "<link rel=\"canonical\" href=\"http://$host/hello-world/\"" ), "the page is at home at $host" );
		}
	}
);

test(
	'the administrator signs in with the password, and the first pages ask no update server',
	function () use ( $server, $site ) {
		$form     = http_build_query( array( 'log' => 'admin', 'pwd' => PASSWORD, 'testcookie' => '1' ) );
		$headers  = array( 'Content-Type' => 'application/x-www-form-urlencoded', 'Cookie' => 'wordpress_test_cookie=WP%20Cookie%20check' );
		$response = $server->request( '/wp-login.php', $headers, 'POST', $form );
		same( 302, $response->status, 'status of the sign-in' );
		$cookie = implode( '; ', array_map( static fn ( $cookie ) => explode( ';', $cookie )[0], $response->cookies ) );
		foreach ( array( '/wp-admin/', '/wp-admin/plugins.php', '/wp-admin/themes.php', '/wp-cron.php?doing_wp_cron' ) as $page ) {
			same( 200, $server->request( $page, array( 'Cookie' => $cookie ) )->status, $page );
		}
		$asked = (string) @file_get_contents( "$site/main/wp-content/asked.txt" );
		holds( ! preg_match( '~/(version|update)-check/~', $asked ), "no update server is asked: $asked" );
	}
);

test(
	'a host outside that could not be reached is not tried again at once',
	function () use ( $server ) {
		$port = free_port();
		$page = "/?ask=http://127.0.0.1:$port/";
		holds( str_contains( $server->request( $page )->body, 'no: cURL error 7' ), 'nobody listens there' );
		$listener = stream_socket_server( "tcp://127.0.0.1:$port" );
		holds( str_contains( $server->request( $page )->body, 'not tried again' ), 'the second answer comes from memory' );
		$nobody = array( $listener );
		$none   = null;
		same( 0, stream_select( $nobody, $none, $none, 0 ), 'connections that arrived' );
	}
);
