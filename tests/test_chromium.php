<?php
/**
 * A real browser at a site that is served by HTTPS: it trusts the authority that `forkpress trust` told it of, speaks HTTP/2, and
 * waits for nothing that it need not wait for.
 *
 *     php -d "extension=$(pwd)/ext/branchfs.so" tests/test_chromium.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

use ForkPress\Bench\Browser;

require __DIR__ . '/site.php';

$programs = array_filter( array( (string) getenv( 'FORKPRESS_CHROMIUM' ), 'chromium', 'chromium-browser', 'google-chrome' ) );
$found    = array_values( array_filter( array_map( static fn ( $name ) => trim( (string) shell_exec( 'command -v ' . escapeshellarg( $name ) ) ), $programs ) ) );
if ( ! $found ) {
	echo "SKIPPED: no Chromium is installed (Debian: chromium)\n0 passed, 0 failed\n";
	exit( 0 );
}

require ROOT . '/benches/browser.php';

/** What is asked of a page: six are on their way when the browser has no connection left by HTTP/1. */
const FAST = 40;

$home = temp_dir();
$site = new Site();
put( "$site->dir/main/slow.php", '<?php while ( ! file_exists( __DIR__ . "/go" ) ) { usleep( 1000 ); clearstatcache(); } echo "slow";' );
put( "$site->dir/main/fast.php", '<?php echo "fast", $_GET["n"];' );
put( "$site->dir/main/blank.html", '<!doctype html><title>blank</title>' );

/** Opens a browser whose home is that of the test. */
function browser(): Browser {
	global $found, $home;
	putenv( "HOME=$home" );
	return new Browser( $found[0] );
}

/**
 * Has a page ask for one that takes as long as the test likes, and for many others meanwhile.
 *
 * @param Browser $browser The browser, at the site.
 * @param Site    $site    The site.
 */
function ask_beside_a_slow_page( Browser $browser, Site $site ): void {
	$go = "$site->dir/main/go";
	$do = static fn ( string $script ) => $browser->call(
		'Runtime.evaluate',
		array(
			'expression'    => $script,
			'awaitPromise'  => true,
			'returnByValue' => true,
		)
	)['result']['value'] ?? null;
	try {
		$do( 'window.slow = null; fetch( "/slow.php" ).then( ( answer ) => answer.text() ).then( ( text ) => { window.slow = text; } ); 0' );
		$script = 'Promise.all( Array.from( { length: %d }, ( _, n ) => fetch( "/fast.php?n=" + n ).then( ( answer ) => answer.text() ) ) ).then( ( all ) => all.join() )';
		$expect = implode( ',', array_map( static fn ( $number ) => "fast$number", range( 0, FAST - 1 ) ) );
		same( $expect, $do( sprintf( $script, FAST ) ), 'the fast pages' );
		same( null, $do( 'window.slow' ), 'the slow page meanwhile' );
		put( $go, '' );
		eventually( static fn () => 'slow' === $do( 'window.slow' ), 'the slow page in the end' );
	} finally {
		@unlink( $go );
	}
}

test(
	'by HTTP, no fast page waits for a slow one, whichever of the browser\'s six connections it comes by',
	function () use ( $site ): void {
		$site->serve( 4 );
		$browser = browser();
		$browser->open( "http://wp.localhost:$site->port/blank.html" );
		ask_beside_a_slow_page( $browser, $site );
		same( array( 'http/1.1' ), protocols( $browser ), 'what they speak' );
		same( array(), $browser->complaints(), 'complaints' );
		$site->stop();
	}
);

/**
 * Returns what the browser and the servers of a page spoke.
 *
 * @param Browser $browser The browser.
 * @return string[]
 */
function protocols( Browser $browser ): array {
	$spoken = array_column( array_column( $browser->events( 'Network.responseReceived' ), 'response' ), 'protocol' );
	// What a page has in itself comes from no server.
	return array_values( array_diff( array_unique( $spoken ), array( 'data', 'blob' ) ) );
}

test(
	'by HTTPS, it accepts the authority once it is told of it, and speaks HTTP/2',
	function () use ( $site, $home ): void {
		$outcome = $site->run( 'serve', '--https', '--workers', '4' );
		same( 0, $outcome->status, $outcome->text() );
		$url     = "https://wp.localhost:$site->port";
		$browser = browser();
		$refused = $browser->call( 'Page.navigate', array( 'url' => "$url/" ) );
		same( 'net::ERR_CERT_AUTHORITY_INVALID', $refused['errorText'] ?? 'it was opened', 'before' );
		unset( $browser );

		// Not the machine's own store: root may change it, and is not shown it here.
		$hidden  = 0 === posix_geteuid() ? array( 'unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /usr/local/share && exec "$@"', 'sh' ) : array();
		$command = array( ...$hidden, 'env', "HOME=$home", "FORKPRESS_STATE_DIR=$site->state_dir", program(), 'trust' );
		$trusted = ( new Command( $command, $site->dir ) )->outcome();
		holds( 0 === $trusted->status && str_contains( $trusted->out, 'Chromium' ), $trusted->text() );

		$browser = browser();
		$browser->open( "$url/" );
		same( array( 'h2' ), protocols( $browser ), 'what they speak' );
		same( array(), $browser->complaints(), 'complaints about the front page' );
		$browser->open( "$url/wp-admin/" );
		same( array( 'h2' ), protocols( $browser ), 'what they speak in the dashboard' );
		same( array(), $browser->complaints(), 'complaints about the dashboard' );
		$browser->open( "$url/blank.html" );
		ask_beside_a_slow_page( $browser, $site );
		same( array( 'h2' ), protocols( $browser ), 'what they speak' );
	}
);
