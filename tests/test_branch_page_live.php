<?php
/**
 * The branch page shows what there is and tells what changes, as it does, and lets the server end.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_branch_page_live.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

/** Somebody who has a place of the branch page open. */
final class Looking {
	/** @var resource The connection. */
	private $connection;

	/** @var string What came and was not read yet. */
	private string $rest = '';

	/**
	 * Opens it.
	 *
	 * @param Site   $site  The site.
	 * @param string $place The place.
	 */
	public function __construct( Site $site, string $place ) {
		$this->connection = $site->open( '/live?at=' . rawurlencode( $place ), array( 'Host' => "admin.wp.localhost:$site->port" ) );
		holds( str_contains( (string) fgets( $this->connection ), ' 200 ' ), "the news of $place are told" );
	}

	/**
	 * Waits for a fragment of a region in which there is something.
	 *
	 * @param string $region   The region.
	 * @param string $contains What is in it.
	 */
	public function until( string $region, string $contains ): void {
		$deadline = microtime( true ) + PATIENCE;
		while ( microtime( true ) < $deadline ) {
			$line = fgets( $this->connection );
			holds( false !== $line, "news of $region with $contains come before the connection ends" );
			if ( ! str_starts_with( $line, 'data: ' ) ) {
				continue;
			}
			$fragment = json_decode( substr( $line, 6 ), true, 512, JSON_THROW_ON_ERROR );
			if ( $region === $fragment['region'] && str_contains( $fragment['html'], $contains ) ) {
				return;
			}
		}
		holds( false, "news of $region with $contains come" );
	}

	/** Reads on until the connection ends. */
	public function to_end(): void {
		stream_get_contents( $this->connection );
		holds( feof( $this->connection ), 'the connection has ended' );
	}

	/** Hangs up. */
	public function close(): void {
		fclose( $this->connection );
	}
}

$site = new Site();
$site->serve( 2 );

/**
 * Returns a page.
 *
 * @param string $place The place.
 */
$page = function ( string $place ) use ( $site ): string {
	$answer = $site->request( $place, array( 'Host' => "admin.wp.localhost:$site->port" ) );
	same( 200, $answer->status, "$place: status" );
	holds( ! str_contains( $answer->body, 'style=' ), "$place has no style in it" );
	return $answer->body;
};

test(
	'a site with one branch says what to do next',
	function () use ( $page ) {
		$overview = $page( '/' );
		holds( str_contains( $overview, 'nothing else yet' ) && str_contains( $overview, 'forkpress branch create try' ), 'it does' );
	}
);

test(
	'who looks at the overview sees a branch come, what it changed and an undo, without asking again',
	function () use ( $site, $page ) {
		$looking = new Looking( $site, '/' );
		$looking->until( 'branches', 'nothing else yet' );
		$site->done( 'branch', 'create', 'sale' );
		$looking->until( 'branches', 'href="/branch/sale"' );
		$looking->until( 'branches', '>nothing</a>' );
		$drawn = $page( '/' );
		holds( str_contains( $drawn, '<svg' ) && str_contains( $drawn, '>sale</text>' ), 'the tree has it' );
		$site->done( 'branch', 'create', 'other', '--from', 'sale' );
		$looking->until( 'tree', '>other</text>' );
		$site->done( 'undo' );
		$looking->until( 'branches', 'sale' );
		$looking->close();
		holds( ! str_contains( $page( '/' ), '/branch/other' ), 'what was undone is not there' );
	}
);

test(
	'what a branch changed is found out and told',
	function () use ( $site ) {
		$site->done( 'branch', 'create', 'changed' );
		put( "$site->dir/changed/wp-content/themes/new/style.css", '/* Theme Name: New */' );
		$looking = new Looking( $site, '/?q=changed' );
		$looking->until( 'branches', '>1 file</a>' );
		$looking->close();
	}
);

test(
	'the log has each operation, whether it can be undone, and what is new as it comes',
	function () use ( $site, $page ) {
		$log = $page( '/log' );
		holds( str_contains( $log, 'create other from sale' ) && str_contains( $log, 'undone by' ), 'the undone one says by which' );
		$newest = $site->json( 'log' )[0]['id'];
		$looking = new Looking( $site, '/log' );
		$site->done( 'branch', 'create', 'third' );
		$looking->until( 'log', '/do/undo?id=' . ( $newest + 1 ) );
		$looking->close();
	}
);

test(
	'who looks at what goes on sees a request come and go',
	function () use ( $site, $page ) {
		put( "$site->dir/sale/slow.php", '<?php touch( __DIR__ . "/runs" ); while ( ! file_exists( __DIR__ . "/go" ) ) { usleep( 2000 ); clearstatcache(); }' );
		$looking = new Looking( $site, '/now' );
		$looking->until( 'now', 'None just now' );
		$request = $site->open( '/slow.php?a=%3Cb%3E', array( 'Host' => $site->host( 'sale' ) ) );
		$looking->until( 'now', '/slow.php' );
		holds( str_contains( $page( '/now' ), '/slow.php' ), 'the page itself has it' );
		put( "$site->dir/sale/go", '' );
		$looking->until( 'now', 'None just now' );
		fclose( $request );
		$looking->close();
	}
);

test(
	'an error of PHP is counted for its branch, and seen on its page, at once',
	function () use ( $site ) {
		put( "$site->dir/third/broken.php", '<?php echo $nothing_there;' );
		$looking = new Looking( $site, '/' );
		$looking->until( 'branches', 'href="/branch/third"' );
		$site->request( '/broken.php', array( 'Host' => $site->host( 'third' ) ) );
		$looking->until( 'branches', '/branch/third#errors' );
		$looking->close();
		$looking = new Looking( $site, '/branch/third' );
		$looking->until( 'branch', 'nothing_there' );
		$site->done( 'branch', 'create', 'fourth', '--from', 'third' );
		$looking->until( 'branch', 'create fourth from third' );
		$looking->close();
	}
);

test(
	'who looks at a job, or at the list of jobs, sees how far it is and how it ends',
	function () use ( $site, $page ) {
		// A delete waits for a request of its branch: it runs until the test has seen it.
		put( "$site->dir/third/held.php", '<?php touch( __DIR__ . "/holds" ); while ( ! file_exists( __DIR__ . "/let" ) ) { usleep( 2000 ); clearstatcache(); }' );
		$request = $site->open( '/held.php', array( 'Host' => $site->host( 'third' ) ) );
		eventually( static fn () => file_exists( "$site->dir/third/holds" ), 'the request runs' );
		$listed = new Looking( $site, '/jobs' );
		$listed->until( 'jobs', 'no job yet' );
		$host  = "admin.wp.localhost:$site->port";
		$form  = $site->request( '/do/delete?name=third', array( 'Host' => $host ) );
		$token = preg_match( '/name="token" value="([0-9a-f]+)"/', $form->body, $match ) ? $match[1] : '';
		$sent  = $site->request(
			'/do/delete',
			array(
				'Host'         => $host,
				'Origin'       => "http://$host",
				'Cookie'       => strtok( $form->headers['set-cookie'], ';' ),
				'Content-Type' => 'application/x-www-form-urlencoded',
			),
			'POST',
			"token=$token&name=third"
		);
		same( '/jobs/1', $sent->headers['location'] ?? $sent->body );
		$looking = new Looking( $site, '/jobs/1' );
		$looking->until( 'job', 'waiting: ' );
		$listed->until( 'jobs', '>running<' );
		holds( str_contains( $page( '/jobs/1' ), 'Stop it' ), 'it can be stopped' );
		put( "$site->dir/third/let", '' );
		$looking->until( 'job', '/do/undo?id=' );
		$listed->until( 'jobs', '>done<' );
		fclose( $request );
		$looking->close();
		$listed->close();
	}
);

test(
	'nobody else hears anything',
	function () use ( $site ) {
		$ask = static function ( string $at, array $headers = array() ) use ( $site ): int {
			// Only the first line: what is told has no end.
			$connection = $site->open( "/live?at=$at", $headers + array( 'Host' => "admin.wp.localhost:$site->port" ) );
			$status     = (int) substr( (string) fgets( $connection ), 9, 3 );
			fclose( $connection );
			return $status;
		};
		same( 403, $ask( '/', array( 'Sec-Fetch-Site' => 'same-site', 'Sec-Fetch-Mode' => 'cors', 'Sec-Fetch-Dest' => 'empty' ) ), 'a page of a branch' );
		same( 400, $ask( '//evil' ), 'a place that is none' );
	}
);

test(
	'the server ends at once, however many look',
	function () use ( $site ) {
		$looking = array_map( static fn () => new Looking( $site, '/' ), range( 1, 20 ) );
		end( $looking )->until( 'branches', 'sale' );
		// Without --force: it waits for requests that run as long as they take.
		$site->done( 'stop' );
		array_map( static fn ( Looking $one ) => $one->to_end(), $looking );
	}
);
