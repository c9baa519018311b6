<?php
/**
 * Sixteen branches with a client each, and eight mutations at once while a request runs in each of the eight others: nobody
 * waits for another branch. Then a mutation of each of the sixteen at once.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_sixteen_branches.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

if ( 'client' === ( $argv[1] ?? '' ) ) {
	// A client: asks for a page over and over until its input ends. Prints each answer that is not whole, that it has the first one, and
	// at last how many it got.
	list( , , $port, $host ) = $argv;
	$answers                 = 0;
	for ( $read = array( STDIN ), $none = null; 0 === stream_select( $read, $none, $none, 0, 1000 ); $read = array( STDIN ) ) {
		$connection = stream_socket_client( "tcp://127.0.0.1:$port", $code, $message, 60 );
		stream_set_timeout( $connection, 120 );
		fwrite( $connection, "GET /whole.php HTTP/1.1\r\nHost: $host\r\nConnection: close\r\n\r\n" );
		$answer = stream_get_contents( $connection );
		if ( ! preg_match( '~^HTTP/1\.1 200 .*\r\n\r\n(\w+) begins, (\w+) ends$~s', $answer, $match ) || $match[1] !== $match[2] || ! str_starts_with( $host, "$match[1]." ) ) {
			echo 'not whole: ', $answer, "\n";
		}
		if ( 1 === ++$answers ) {
			echo "answered\n";
		}
	}
	echo "$answers answers\n";
	exit;
}

require __DIR__ . '/site.php';

/** A page that another file ends, so that one which a publish comes between is not whole. */
const WHOLE = '<?php echo basename( __DIR__ ), " begins, "; usleep( 2000 ); require __DIR__ . "/end.php";';
const ENDS  = '<?php echo basename( __DIR__ ), " ends";';

/** A page that runs until it is let go. */
const LONG = '<?php touch( __DIR__ . "/runs" ); while ( ! file_exists( __DIR__ . "/go" ) ) { usleep( 2000 ); clearstatcache(); } unlink( __DIR__ . "/runs" ); unlink( __DIR__ . "/go" ); echo "done";';

$site = new Site();
// What a branch has otherwise is not what this is about, and takes long to clone.
foreach ( array( 'wp-admin', 'wp-includes', 'wp-content/themes' ) as $folder ) {
	remove( "$site->dir/main/$folder" );
}
foreach ( array( 'index.php' => '<?php echo "front";', 'wp-cron.php' => '<?php', 'whole.php' => WHOLE, 'end.php' => ENDS, 'long.php' => LONG ) as $file => $code ) {
	put( "$site->dir/main/$file", $code );
}
$site->serve( 16 );
$names = array_map( static fn ( $number ) => "b$number", range( 1, 16 ) );
$site->done( 'branch', 'create', ...$names );

/**
 * Changes some branches, all at once, while a request runs in each of the others. The mutations are done before any of those is
 * let go.
 *
 * @param string[] $changed The branches that are changed.
 * @param string[] $held    The branches in which a request runs.
 */
$change_beside = function ( array $changed, array $held ) use ( $site, $names ): void {
	$running = array();
	foreach ( $held as $name ) {
		$running[ $name ] = $site->open( '/long.php', array( 'Host' => $site->host( $name ) ) );
		eventually( static fn () => file_exists( "$site->dir/$name/runs" ), "a request runs in $name" );
	}
	$clients = array();
	foreach ( $names as $name ) {
		$clients[ $name ] = proc_open(
			array( PHP_BINARY, __FILE__, 'client', (string) $site->port, $site->host( $name ) ),
			array( array( 'pipe', 'r' ), array( 'pipe', 'w' ), STDERR ),
			$pipes[ $name ]
		);
	}
	foreach ( $names as $name ) {
		same( "answered\n", fgets( $pipes[ $name ][1] ), "the client of $name" );
	}
	$mutations = array();
	foreach ( $changed as $number => $name ) {
		$mutations[ $name ] = match ( $number % 3 ) {
			0 => $site->command( array( 'branch', 'reset', $name, '--from', 'main', '--timeout', '120' ) ),
			1 => $site->command( array( 'branch', 'create', "of-$name-" . count( $changed ), '--from', $name, '--timeout', '120' ) ),
			2 => $site->command( array( 'branch', 'reset', $name, '--from', $changed[0], '--timeout', '120' ) ),
		};
	}
	foreach ( $mutations as $name => $mutation ) {
		$outcome = $mutation->outcome();
		same( 0, $outcome->status, "the mutation of $name: {$outcome->text()}: exit status" );
	}
	foreach ( $held as $name ) {
		holds( file_exists( "$site->dir/$name/runs" ), "the request in $name still runs" );
	}
	foreach ( $names as $name ) {
		fclose( $pipes[ $name ][0] );
	}
	foreach ( $held as $name ) {
		put( "$site->dir/$name/go", '' );
		same( 'done', Response::read( $running[ $name ] )->body, "what the request in $name said" );
	}
	foreach ( $clients as $name => $client ) {
		$said = stream_get_contents( $pipes[ $name ][1] );
		holds( 1 === preg_match( '~^\d+ answers\n$~', $said ), "the client of $name said: $said" );
		same( 0, proc_close( $client ), "how the client of $name ended" );
	}
};

test(
	'eight branches are changed at once beside a request in each of eight others, and sixteen clients get whole pages',
	function () use ( $names, $change_beside ) {
		$change_beside( array_slice( $names, 0, 8 ), array_slice( $names, 8 ) );
	}
);

test(
	'so are those eight',
	function () use ( $names, $change_beside ) {
		$change_beside( array_slice( $names, 8 ), array_slice( $names, 0, 8 ) );
	}
);

test(
	'all sixteen are changed at once, each with its client',
	function () use ( $names, $change_beside ) {
		$change_beside( $names, array() );
	}
);

test(
	'nothing is left over, no writer waits, and nobody complained',
	function () use ( $site ) {
		foreach ( array( 'staging', 'trash', 'journal' ) as $folder ) {
			$path = "$site->dir/.forkpress/cow/$folder";
			same( array(), is_dir( $path ) ? array_diff( scandir( $path ), array( '.', '..' ) ) : array(), $folder );
		}
		same( ' ', file_get_contents( "$site->dir/.forkpress/cow/operations.lock" )[10], 'nobody waits' );
		$site->has_no_complaints();
	}
);
