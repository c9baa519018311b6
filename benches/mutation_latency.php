<?php
/**
 * What four clients notice of mutations: the slowest of their requests while twenty mutations run, against the slowest of as
 * many without, and against the longest time for which a mutation held the operations lock. Then the same while the server makes
 * spares, one right after the other, and as long beside nothing, in turn.
 *
 * php benches/mutation_latency.php
 *
 * Uses target/release/forkpress, with the WordPress that is packed into it.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Bench;

require __DIR__ . '/lib.php';

const CLIENTS = 4;

/** For how many seconds of a round spares are made, how many at most, and how many rounds there are. */
const SECONDS = 5;
const SPARES  = 60;
const ROUNDS  = 3;

if ( isset( $argv[1] ) ) {
	// A client: asks for a small page of main over and over, a millisecond apart, until its input ends; prints milliseconds.
	list( , $port ) = $argv;
	$times          = array();
	// Browsers are not in the session of the command; Linux shares processors out by sessions.
	posix_setsid();
	for ( $read = array( STDIN ), $none = null; 0 === stream_select( $read, $none, $none, 0, 1000 ); $read = array( STDIN ) ) {
		$times[] = page( (int) $port, '/small.php' )[0];
	}
	echo json_encode( $times );
	exit;
}

$site = temp_dir() . '/site';
$port = free_port();
mkdir( $site );
forkpress( $site, 'init', '--port', (string) $port );
// A page that takes little itself: what is left is waiting.
file_put_contents( "$site/main/small.php", '<?php echo "<html></html>";' );
at_end( static fn () => is_dir( $site ) && forkpress( $site, 'stop', '--force' ) );
forkpress( $site, 'serve', '--workers', (string) CLIENTS );
// A server that has just started compiles the code of main: that is not what is measured.
$warm = "$site/.forkpress/cow/warm.json";
while ( ! str_contains( (string) @file_get_contents( $warm ), '"main"' ) ) {
	usleep( 10000 );
}

/**
 * Runs something beside the clients, and returns how long each of their requests took, sorted.
 *
 * @param callable $beside What.
 * @return float[] Milliseconds.
 */
$clients = static function ( callable $beside ) use ( $port ): array {
	$processes = array();
	for ( $client = 0; $client < CLIENTS; $client++ ) {
		$processes[] = new Process( array( PHP_BINARY, __FILE__, (string) $port ), array( array( 'pipe', 'r' ), array( 'pipe', 'w' ), STDERR ) );
	}
	$beside();
	foreach ( $processes as $process ) {
		fclose( $process->pipes[0] );
	}
	$times = array_merge( ...array_map( static fn ( $process ) => json_decode( stream_get_contents( $process->pipes[1] ), true ), $processes ) );
	sort( $times );
	return $times;
};

$mutate = static function () use ( $site ): void {
	for ( $round = 0; $round < 5; $round++ ) {
		forkpress( $site, 'branch', 'create', 'x' );
		forkpress( $site, 'branch', 'reset', 'x', '--from', 'main' );
		forkpress( $site, 'branch', 'delete', 'x' );
		forkpress( $site, 'undo' );
		forkpress( $site, 'branch', 'delete', 'x', '--purge' );
	}
};
$begin    = hrtime( true );
$mutating = $clients( $mutate );
$took     = hrtime( true ) - $begin;
$holds    = array_column( json_decode( forkpress( $site, '--json', 'log', '-n', '25' )[1], true ), 'held_seconds' );
$quiet    = $clients( static fn () => usleep( intdiv( $took, 1000 ) ) );
forkpress( $site, 'stop' );

$ready  = static fn (): int => count( glob( "$site/.forkpress/cow/spares/[0-9]*" ) );
$making = array();
$beside = array();
$made   = 0;
$config = file_get_contents( "$site/.forkpress/site.toml" );
for ( $round = 0; $round < ROUNDS && ! str_contains( $config, 'btrfs-snapshot' ); $round++ ) {
	$keep = static fn ( int $spares ) => file_put_contents( "$site/.forkpress/site.toml", "spares = $spares\n" . preg_replace( '/^spares = .*\n/m', '', $config ) );
	$keep( SPARES );
	forkpress( $site, 'serve', '--workers', (string) CLIENTS );
	// A second without any change comes before the first.
	for ( $until = hrtime( true ) + 60e9; ! file_exists( "$site/.forkpress/cow/spares/making" ) && ! $ready(); usleep( 5000 ) ) {
		hrtime( true ) < $until || missing( 'no spare is made' );
	}
	$begin  = hrtime( true );
	$full   = static fn (): bool => hrtime( true ) - $begin > SECONDS * 1e9 || $ready() >= SPARES;
	$making = array_merge(
		$making,
		$clients(
			static function () use ( $full ): void {
				while ( ! $full() ) {
					usleep( 20000 );
				}
			}
		)
	);
	$took   = hrtime( true ) - $begin;
	$made  += $ready();
	forkpress( $site, 'stop' );
	// Which drops those that there are.
	$keep( 0 );
	forkpress( $site, 'serve', '--workers', (string) CLIENTS );
	$beside = array_merge( $beside, $clients( static fn () => usleep( intdiv( $took, 1000 ) ) ) );
	forkpress( $site, 'stop' );
}
sort( $making );
sort( $beside );

$row  = static fn ( string $what, array $times ): array => array(
	$what,
	(string) count( $times ),
	sprintf( '%.1f', median( $times ) ),
	sprintf( '%.1f', $times[ (int) ( 0.999 * count( $times ) ) ] ),
	sprintf( '%.1f', end( $times ) ),
);
$rows = $making ? array( $row( "while $made spares are made", $making ), $row( 'as long beside nothing', $beside ) ) : array();
table(
	array(
		array( 'a request, ' . CLIENTS . ' clients', 'requests', 'median, ms', '99.9 %, ms', 'slowest, ms' ),
		$row( 'while 25 mutations run', $mutating ),
		$row( 'without', $quiet ),
		array( 'longest exclusive hold', (string) count( $holds ), '', '', sprintf( '%.1f', max( $holds ) * 1000 ) ),
		...$rows,
	)
);
