<?php
/**
 * Which PHP serves a site behind the server's own HTTP: php-fpm, php-cgi, or PHP's built-in server.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_serving.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

$site = new Site();
put( "$site->dir/main/sapi.php", '<?php echo PHP_SAPI;' );

/**
 * Serves the site, and fails unless all that a server does is done by this kind of PHP.
 *
 * @param string   $sapi What PHP calls itself.
 * @param string   $name The name of a branch that does not exist.
 * @param string[] $env  What the server's environment has beyond this process's.
 */
$serves_by = function ( string $sapi, string $name, array $env ) use ( $site ) {
	$site->serve( 2, $env );
	same( $sapi, $site->request( '/sapi.php' )->body, 'the PHP' );
	$site->done( 'branch', 'create', $name, '--wait', '--timeout', '60' );
	$browser = new Browser( $site, $name );
	same( 200, $browser->request( '/' )->status, 'the front page of a new branch' );
	$browser->rest( 'POST', '/wp/v2/posts', array( 'title' => "by $sapi", 'status' => 'publish' ), 201 );
	holds( in_array( "by $sapi", $browser->titles(), true ), 'a post that was made is there' );
	$site->done( 'stop' );
};

test(
	'php-fpm serves where there is one',
	function () use ( $serves_by ) {
		if ( null === Fpm::binary() ) {
			echo "SKIPPED: php-fpm or cgi-fcgi is not installed (Debian: php-fpm, libfcgi-bin)\n";
			return;
		}
		$serves_by( 'fpm-fcgi', 'one', array() );
	}
);

test(
	'php-cgi serves where there is no php-fpm',
	function () use ( $serves_by ) {
		if ( null === shell_exec( 'command -v php-cgi' ) ) {
			echo "SKIPPED: php-cgi is not installed (Debian: php-cgi)\n";
			return;
		}
		$serves_by( 'cgi-fcgi', 'two', array( 'FORKPRESS_PHP_FPM' => 'none' ) );
	}
);

test(
	'the built-in server of PHP serves where there is neither',
	fn () => $serves_by( 'cli-server', 'three', array( 'FORKPRESS_PHP_FPM' => 'none', 'FORKPRESS_PHP_CGI' => 'none' ) )
);

test(
	'a php-fpm that was asked for and is none is refused by its name',
	function () use ( $site ) {
		$outcome = $site->command( array( 'serve' ), array( 'FORKPRESS_PHP_FPM' => '/bin/true' ) )->outcome();
		same( 1, $outcome->status, "{$outcome->text()}: exit status" );
		holds( str_contains( $outcome->errors, '/bin/true cannot serve the site' ), "it names it: $outcome->errors" );
		holds( str_contains( $outcome->errors, 'FORKPRESS_PHP_FPM' ), "it says what to type: $outcome->errors" );
	}
);

test(
	'a server keeps to the limits in site.toml, and a request beyond its time gives its lock back',
	function () use ( $site ) {
		if ( null === Fpm::binary() ) {
			echo "SKIPPED: php-fpm or cgi-fcgi is not installed (Debian: php-fpm, libfcgi-bin)\n";
			return;
		}
		$settings = "$site->dir/.forkpress/site.toml";
		$text     = file_get_contents( $settings );
		file_put_contents( $settings, "$text\n[serve]\nbody_bytes = 1600000\nhead_bytes = 10000\nrequest_timeout = 2\n" );
		put( "$site->dir/one/endless.php", '<?php touch( __DIR__ . "/runs" ); while ( true ) { sleep( 60 ); }' );
		put( "$site->dir/main/limits.php", '<?php echo ini_get( "post_max_size" ), " ", ini_get( "upload_max_filesize" ), " ", $_POST["a"] ?? "";' );
		$site->serve( 2 );
		$form = array( 'Content-Type' => 'application/x-www-form-urlencoded' );
		same( '1600000 1500000 b', $site->request( '/limits.php', $form, 'POST', 'a=b' )->body, 'the limits of PHP' );
		same( 413, $site->request( '/limits.php', $form, 'POST', 'a=' . str_repeat( 'b', 1600000 ) )->status, 'a longer body' );
		same( 431, $site->request( '/limits.php', array( 'X-A' => str_repeat( 'b', 10000 ) ) )->status, 'a longer head' );

		$endless = $site->open( '/endless.php', array( 'Host' => $site->host( 'one' ) ) );
		eventually( static fn () => file_exists( "$site->dir/one/runs" ), 'it runs' );
		$delete = $site->command( array( 'branch', 'delete', 'one', '--timeout', '60' ) );
		$answer = Response::read( $endless );
		same( 504, $answer->status, 'the status after two seconds' );
		holds( str_contains( $answer->body, 'request_timeout' ), "it says why: $answer->body" );
		same( 0, $delete->outcome()->status, 'the command that waited for it: exit status' );
		$log = "$site->dir/.forkpress/logs/wp-debug.log";
		eventually( static fn () => str_contains( (string) @file_get_contents( $log ), "GET /endless.php of branch 'one'" ), 'the log says which it was' );
		unlink( $log );
		$site->done( 'stop' );

		file_put_contents( $settings, "$text\n[serve]\nrequest_time = 2\n" );
		$outcome = $site->run( 'serve' );
		same( 1, $outcome->status, 'a limit that nobody knows: exit status' );
		holds( str_contains( $outcome->errors, 'request_time' ) && str_contains( $outcome->errors, 'docs/site-layout.md' ), "it says which: $outcome->errors" );
		file_put_contents( $settings, $text );
	}
);

test( 'nobody complained', fn () => $site->has_no_complaints() );
