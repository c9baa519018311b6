<?php
/**
 * Which PHP serves a site: php-fpm behind the server's own HTTP, or PHP's built-in server where there is none.
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
	'the built-in server of PHP serves where there is none',
	fn () => $serves_by( 'cli-server', 'two', array( 'FORKPRESS_PHP_FPM' => 'none' ) )
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

/**
 * Asks for an address by HTTPS or HTTP, as curl does, which accepts what the site's authority signs and nothing else.
 *
 * @param string   $url       The address.
 * @param string[] $arguments Further arguments.
 * @return array The version of HTTP, the status and the body.
 */
$curl = function ( string $url, string ...$arguments ) use ( $site ): array {
	$host      = parse_url( $url, PHP_URL_HOST );
	$authority = "$site->state_dir/authorities/localhost.crt";
	$command   = array( 'curl', '-sS', '--noproxy', '*', '--cacert', $authority, '--resolve', "$host:$site->port:127.0.0.1", '-w', '\n%{http_version} %{response_code}', ...$arguments, $url );
	$outcome   = ( new Command( $command, $site->dir, array( 'CURL_CA_BUNDLE' => null ) ) )->outcome();
	same( 0, $outcome->status, "curl $url: {$outcome->text()}: exit status" );
	$last = strrpos( $outcome->out, "\n" );
	return array( ...explode( ' ', substr( $outcome->out, $last + 1 ) ), substr( $outcome->out, 0, $last ) );
};

test(
	'a site is served by HTTPS and by HTTP on one port, and its links follow',
	function () use ( $site, $curl ) {
		if ( null === Fpm::binary() ) {
			echo "SKIPPED: php-fpm or cgi-fcgi is not installed (Debian: php-fpm, libfcgi-bin)\n";
			return;
		}
		put(
			"$site->dir/main/probe.php",
			"<?php require 'wp-load.php';
			if ( isset( \$_GET['sockets'] ) ) {
				add_action(
					'requests-requests.before_request',
					function ( \$url, \$headers, \$data, \$type, &\$options ) {
						\$options['transport'] = 'WpOrg\\Requests\\Transport\\Fsockopen';
					},
					10,
					5
				);
			}
			\$answer = wp_remote_get( home_url( '/sapi.php' ) );
			echo is_ssl() ? 'ssl ' : 'plain ', home_url(), ' ', is_wp_error( \$answer ) ? \$answer->get_error_message() : \$answer['response']['code'];"
		);
		$outcome = $site->run( 'serve', '--https', '--workers', '2' );
		same( array( 0, "forkpress: serving https://wp.localhost:$site->port/\n" ), array( $outcome->status, $outcome->out ), $outcome->text() );
		same( "https://wp.localhost:$site->port/", $site->json( 'server', 'list' )[0]['url'], 'the address in the list' );
		$outcome = $site->run( 'serve', '--workers', '2' );
		holds( 1 === $outcome->status && str_contains( $outcome->errors, 'with other settings' ), "HTTP alone is another setting: {$outcome->text()}" );
		$site->json( 'branch', 'create', 'secure' );
		same( "https://secure.wp.localhost:$site->port/", $site->json( 'branch', 'show', 'secure' )['url'], 'the address of a branch' );
		same( "https://secure.wp.localhost:$site->port\n", $site->done( 'wp', 'secure', '--', 'option', 'get', 'home' ), 'what WP-CLI is at' );
		same( 'on', $site->done( 'exec', 'secure', '--', 'sh', '-c', 'printf %s "$HTTPS"' ), 'what a program is at' );

		foreach ( array( 'main', 'secure' ) as $branch ) {
			$host = $site->host( $branch );
			foreach ( array( 'http' => '1.1', 'https' => '2' ) as $scheme => $version ) {
				list( $http, $status, $page ) = $curl( "$scheme://$host/", '--http2' );
				// Where curl is asked for HTTP/2 over plain HTTP, it offers to change over, which the server does not.
				same( array( $version, '200' ), array( $http, $status ), "$scheme://$host/" );
				preg_match_all( '#(https?):\\\\?/\\\\?/[a-z.]*wp\.localhost#', $page, $links );
				same( array( $scheme ), array_values( array_unique( $links[1] ) ), "the schemes of the links of $scheme://$host/" );
				foreach ( array( '', '?sockets' ) as $transport ) {
					$said = $curl( "$scheme://$host/probe.php$transport" )[2];
					same( ( 'https' === $scheme ? 'ssl ' : 'plain ' ) . "$scheme://$host 200", $said, "what the site calls itself and gets from itself$transport" );
				}
			}
		}
		list( $http, $status, $page ) = $curl( "https://$host/wp-admin/", '-L', '-c', 'jar', '-b', 'jar' );
		same( array( '2', '200', true ), array( $http, $status, str_contains( $page, 'wp-admin-bar-my-account' ) ), 'the dashboard, without a password' );
		preg_match_all( '/^.*\t(TRUE|FALSE)\t[0-9]+\twordpress_(?:sec|logged_in)_/m', file_get_contents( "$site->dir/jar" ), $cookies );
		same( array( 'TRUE' ), array_values( array_unique( $cookies[1] ) ), 'its cookies are for HTTPS only' );
		put( "$site->dir/large", str_repeat( 'x', 3000000 ) );
		put( "$site->dir/main/length.php", "<?php echo strlen( file_get_contents( 'php://input' ) );" );
		same( array( '2', '200', '3000000' ), $curl( "https://{$site->host( 'main' )}/length.php", '--data-binary', '@large' ), 'a large body' );
		$site->done( 'stop' );
	}
);

test(
	'without php-fpm, HTTPS is refused before anything is started',
	function () use ( $site ) {
		$outcome = $site->command( array( 'serve', '--https' ), array( 'FORKPRESS_PHP_FPM' => 'none' ) )->outcome();
		same( 1, $outcome->status, "{$outcome->text()}: exit status" );
		holds( str_contains( $outcome->errors, 'install the php-fpm of this PHP' ), "it says what to do: $outcome->errors" );
	}
);

test( 'nobody complained', fn () => $site->has_no_complaints() );
