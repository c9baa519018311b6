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
	same( 'fpm-fcgi' === $sapi ? 'fits' : 'apart', $site->json( 'doctor', 'php' )['verdict'], 'what doctor says of OPcache' );
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
		file_put_contents( $settings, "access_log = \"json\"\n$text\n[serve]\nbody_bytes = 1600000\nhead_bytes = 10000\nrequest_timeout = 2\n" );
		put( "$site->dir/main/late.php", '<?php echo str_repeat( "x", 100000 ); flush(); while ( true ) { sleep( 60 ); }' );
		put( "$site->dir/one/endless.php", '<?php touch( __DIR__ . "/runs" ); while ( true ) { sleep( 60 ); }' );
		put( "$site->dir/main/limits.php", '<?php echo ini_get( "post_max_size" ), " ", ini_get( "upload_max_filesize" ), " ", $_POST["a"] ?? "";' );
		$site->serve( 2 );
		$form = array( 'Content-Type' => 'application/x-www-form-urlencoded' );
		same( '1600000 1500000 b', $site->request( '/limits.php', $form, 'POST', 'a=b' )->body, 'the limits of PHP' );
		same( 413, $site->request( '/limits.php', $form, 'POST', 'a=' . str_repeat( 'b', 1600000 ) )->status, 'a longer body' );
		same( 431, $site->request( '/limits.php', array( 'X-A' => str_repeat( 'b', 10000 ) ) )->status, 'a longer head' );

		$late    = $site->open( '/late.php' );
		$endless = $site->open( '/endless.php', array( 'Host' => $site->host( 'one' ) ) );
		eventually( static fn () => file_exists( "$site->dir/one/runs" ), 'it runs' );
		$delete = $site->command( array( 'branch', 'delete', 'one', '--timeout', '60' ) );
		$answer = Response::read( $endless );
		same( 504, $answer->status, 'the status after two seconds' );
		holds( str_contains( $answer->body, 'request_timeout' ), "it says why: $answer->body" );
		same( 0, $delete->outcome()->status, 'the command that waited for it: exit status' );
		$log = "$site->dir/.forkpress/logs/wp-debug.log";
		foreach ( array( "GET /endless.php of branch 'one'", "GET /late.php of branch 'main'" ) as $words ) {
			eventually( static fn () => str_contains( (string) @file_get_contents( $log ), $words ), "the log says which it was: $words" );
		}
		same( 200, Response::read( $late )->status, 'the status of an answer that had begun' );
		$logged = static fn ( $name ) => (string) @file_get_contents( "$site->dir/.forkpress/logs/$name.log" );
		eventually( static fn () => 1 === preg_match( '~ 200 GET /late\.php  cut short: request_timeout$~m', $logged( 'slow' ) ), 'the log of slow requests says that it was cut' );
		same( 1, preg_match( '~^.*"cut":"request_timeout".*"path":"/late\.php".*$~m', $logged( 'access' ) ), 'so does that of all' );
		same( 1, preg_match( '~"cut":null.*"path":"/limits\.php"~', $logged( 'access' ) ), 'and not of others' );
		unlink( $log );
		$site->done( 'stop' );

		file_put_contents( $settings, "$text\n[serve]\nrequest_time = 2\n" );
		$outcome = $site->run( 'serve' );
		same( 1, $outcome->status, 'a limit that nobody knows: exit status' );
		holds( str_contains( $outcome->errors, 'request_time' ) && str_contains( $outcome->errors, 'docs/site-layout.md' ), "it says which: $outcome->errors" );
		file_put_contents( $settings, $text );
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
	'HTTPS does not ask what kind of PHP there is',
	function () use ( $site, $curl ) {
		put( "$site->dir/main/secure.php", "<?php echo \$_SERVER['HTTPS'] ?? 'off', ' ', \$_SERVER['REQUEST_SCHEME'] ?? '';" );
		foreach ( array( array(), array( 'FORKPRESS_PHP_CGI' => 'none' ) ) as $env ) {
			$outcome = $site->command( array( 'serve', '--https', '--workers', '2' ), $env + array( 'FORKPRESS_PHP_FPM' => 'none' ) )->outcome();
			same( 0, $outcome->status, $outcome->text() );
			same( 'on https', $curl( "https://{$site->host( 'main' )}/secure.php" )[2], 'by HTTPS' );
			same( 'off http', $curl( "http://{$site->host( 'main' )}/secure.php" )[2], 'by HTTP' );
			$site->done( 'stop' );
		}
	}
);

test(
	'a PHP is chosen by its name, and one that is not there is refused with those that are',
	function () use ( $site ) {
		$name = 'php' . PHP_MAJOR_VERSION . '.' . PHP_MINOR_VERSION;
		if ( null === shell_exec( "command -v $name" ) ) {
			echo "SKIPPED: there is no $name in PATH\n";
		} else {
			$site->done( 'serve', '--php', $name );
			same( $name, basename( $site->json( 'server', 'list' )[0]['program'] ), 'the PHP that serves' );
			same( 200, $site->request( '/' )->status, 'the front page' );
			$other = $site->command( array( 'serve', '--php', PHP_BINARY ) )->outcome();
			holds( PHP_BINARY === "/usr/bin/$name" || str_contains( $other->errors, 'with other settings' ), "another one is not there already: $other->errors" );
			$site->done( 'stop' );
		}
		$outcome = $site->command( array( 'serve', '--php', 'php9.9' ) )->outcome();
		same( 1, $outcome->status, 'exit status' );
		holds( str_contains( $outcome->errors, 'there is no PHP at php9.9' ), "it names it: $outcome->errors" );
		same( 1, preg_match( '/in PATH there is php\b/', $outcome->errors ), "it names those that there are: $outcome->errors" );
	}
);

/** The editor's end of Xdebug's protocol, DBGp. */
final class Debugger {
	/** @var int The number of the last command. */
	private int $commands = 0;

	/**
	 * Takes a connection.
	 *
	 * @param resource $stream The connection.
	 */
	public function __construct( private $stream ) {
		stream_set_timeout( $stream, 30 );
	}

	/** Reads a message: its length, a zero, XML, and a zero. */
	public function read(): \SimpleXMLElement {
		$length = (int) stream_get_line( $this->stream, 20, "\0" );
		holds( $length > 0, 'the debugger says something' );
		$xml = simplexml_load_string( stream_get_contents( $this->stream, $length ) );
		fread( $this->stream, 1 );
		return $xml;
	}

	/**
	 * Gives a command, and returns the answer.
	 *
	 * @param string $command Its name.
	 * @param string $rest    Its arguments.
	 */
	public function does( string $command, string $rest = '' ): \SimpleXMLElement {
		fwrite( $this->stream, rtrim( "$command -i " . ++$this->commands . " $rest" ) . "\0" );
		return $this->read();
	}
}

test(
	'an editor that listens is stopped at a breakpoint in the folder of a branch, where a request has the trigger',
	function () use ( $site ) {
		$editor = @stream_socket_server( 'tcp://127.0.0.1:9003' );
		if ( ! $editor ) {
			echo "SKIPPED: somebody else listens at port 9003\n";
			return;
		}
		put( "$site->dir/main/debug.php", "<?php\n\$a = 20;\n\$b = \$a + 1;\necho \"sum \$b\";\n" );
		$site->done( 'branch', 'create', 'debugged' );
		$kinds = array( array(), array( 'FORKPRESS_PHP_FPM' => 'none', 'FORKPRESS_PHP_CGI' => 'none' ) );
		foreach ( $kinds as $env ) {
			$served = $site->command( array( '--json', 'serve', '--xdebug' ), $env + array( 'XDEBUG_TRIGGER' => '1' ) )->outcome();
			if ( str_contains( $served->errors, 'has no Xdebug' ) ) {
				holds( str_contains( $served->errors, '-xdebug' ), "it says what to install: $served->errors" );
				echo "SKIPPED: this PHP has no Xdebug (Debian: php-xdebug)\n";
				return;
			}
			same( 0, $served->status, "serve --xdebug: {$served->text()}" );
			$launch = json_decode( $served->out, true )['launch_json']['configurations'][0];
			same( 'sum 21', $site->request( '/debug.php', array( 'Host' => $site->host( 'debugged' ) ) )->body, 'a page without the trigger' );
			$page     = $site->open( '/debug.php?XDEBUG_TRIGGER=1', array( 'Host' => $site->host( 'debugged' ) ) );
			$debugger = new Debugger( stream_socket_accept( $editor, 30 ) );
			same( 'PHP', (string) $debugger->read()['language'], 'the language' );
			// Where the branch's folder is a link, the editor maps it.
			$file = "$site->dir/debugged/debug.php";
			foreach ( $launch['pathMappings'] ?? array() as $real => $open ) {
				$file = str_replace( "$open/", "$real/", $file );
			}
			$debugger->does( 'breakpoint_set', "-t line -f file://$file -n 3" );
			same( 'break', (string) $debugger->does( 'run' )['status'], 'the page stands' );
			$place = $debugger->does( 'stack_get' )->stack[0];
			same( array( "file://$file", '3' ), array( (string) $place['filename'], (string) $place['lineno'] ), 'where' );
			same( '20', (string) $debugger->does( 'property_get', '-n $a' )->property, 'a variable' );
			$debugger->does( 'detach' );
			same( 'sum 21', Response::read( $page )->body, 'the page goes on' );
			$site->done( 'stop' );
		}
	}
);

test( 'nobody complained', fn () => $site->has_no_complaints() );
