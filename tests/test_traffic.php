<?php
/**
 * What the server knows of its requests: those that wait in it, the logs, and the metrics.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_traffic.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

$site = new Site();
put( "$site->dir/main/sapi.php", '<?php echo PHP_SAPI;' );

test(
	'the server knows its requests: those that wait in it, slow ones with their queries, and how many there were',
	function () use ( $site ) {
		if ( null === Fpm::binary() ) {
			echo "SKIPPED: php-fpm or cgi-fcgi is not installed (Debian: php-fpm, libfcgi-bin)\n";
			return;
		}
		$settings = "$site->dir/.forkpress/site.toml";
		put( $settings, "slow_ms = 200\n" . file_get_contents( $settings ) );
		put( "$site->dir/main/slow.php", '<?php require __DIR__ . "/wp-load.php"; touch( __DIR__ . "/runs" ); while ( ! file_exists( __DIR__ . "/go" ) ) { usleep( 2000 ); clearstatcache(); } usleep( 200000 ); echo "done";' );
		$site->done( 'branch', 'create', 'quiet' );
		$site->serve( 1 );
		$slow = $site->open( '/slow.php' );
		eventually( static fn () => file_exists( "$site->dir/main/runs" ), 'the page runs' );
		$queued = $site->open( '/sapi.php?second', array( 'Host' => $site->host( 'quiet' ) ) );
		$held   = eventually( static fn () => array_values( array_filter( $site->json( 'top' )['requests'], static fn ( $request ) => 'queued' === $request['state'] ) ), 'top sees it' )[0];
		same( array( null, 'quiet', 'GET', '/sapi.php?second' ), array( $held['pid'], $held['branch'], $held['method'], $held['path'] ), 'the request that waits' );
		holds( str_contains( $site->done( 'top' ), 'queued' ), 'top in words' );
		$metrics = $site->request( '/_forkpress/metrics' )->body;
		foreach ( array( 'forkpress_requests_in_flight{stage="queued"} 1', 'forkpress_requests_in_flight{stage="serving"} 1', 'forkpress_php_busy{pool="pages"} 1' ) as $line ) {
			holds( str_contains( $metrics, "\n$line\n" ), "$line in $metrics" );
		}
		// A site that is new calls its own cron.
		same( 1, preg_match( '/^forkpress_requests_total{branch="main",status="2xx"} [1-9]/m', $metrics ), "$metrics: requests that main has answered" );
		same( 403, $site->request( '/_forkpress/metrics', array( 'X-Forwarded-For' => '192.0.2.1' ) )->status, 'a stranger who asks for metrics' );
		touch( "$site->dir/main/go" );
		same( 'done', Response::read( $slow )->body, 'the slow page' );
		same( 'fpm-fcgi', Response::read( $queued )->body, 'the page that waited' );
		$site->request( '/', array( 'Host' => $site->host( 'nobody' ) ) );
		$site->done( 'stop' );

		$said = $site->done( 'logs', '--file', 'slow', 'main' );
		holds( 1 === preg_match( '~^main \S+ \d+\.\d+ s  200 GET /slow\.php  [1-9]\d* queries$~m', $said ), "the slow page is in $said" );
		$said = $site->done( 'logs', '--file', 'access', 'quiet' );
		same( 1, preg_match( '~^quiet 127\.0\.0\.1 - - \[[^]]+ \+0000\] "GET /sapi\.php\?second HTTP/1\.1" 200 8 "-" "-"\n$~D', $said ), "$said: the line of a request" );
		same( 1, preg_match_all( '~^nobody .* 404 ~m', $site->done( 'logs', '--file', 'access' ) ), 'a branch that there is not' );
		same( 1, $site->run( 'logs', '--file', 'php', 'quiet' )->status, 'a log of all branches together' );

		put( $settings, "access_log = \"json\"\n" . file_get_contents( $settings ) );
		$site->serve( 1 );
		$site->request( '/sapi.php?third', array( 'Host' => $site->host( 'quiet' ) ) );
		$site->done( 'stop' );
		$lines = explode( "\n", trim( $site->done( 'logs', '--file', 'access', 'quiet' ) ) );
		$line  = json_decode( end( $lines ), true, 512, JSON_THROW_ON_ERROR );
		same( array( 'quiet', '/sapi.php?third', 200 ), array( $line['branch'], $line['path'], $line['status'] ), 'a line in JSON' );
	}
);

test( 'nobody complained', fn () => $site->has_no_complaints() );
