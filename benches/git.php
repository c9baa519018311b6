<?php
/**
 * What Git costs: how soon the preview shows a commit, a fetch of a site in which nothing changed against one from a plain
 * bare repository behind `git http-backend`, pushes of many files, agents, and the memory that a site takes to be cloned while it has 500 MB of
 * uploads.
 *
 * php benches/git.php [ROUNDS]
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Bench;

require __DIR__ . '/lib.php';

/** The uploads: so many files of so many bytes. */
const UPLOADS      = 50;
const UPLOAD_BYTES = 10 << 20;

/** How many files are pushed at once. */
const MANY = 5000;

/** How long between two looks at a process's memory or at a page, in microseconds. */
const PAUSE = 2000;

/**
 * Starts a command with nobody's Git settings, and returns the process.
 *
 * @param string[] $command The program and its arguments.
 * @param string   $dir     The folder.
 * @param string[] $env     What its environment has beyond.
 * @return resource
 */
function start( array $command, string $dir, array $env = array() ) {
	$env    += array( 'GIT_CONFIG_GLOBAL' => '/dev/null', 'GIT_CONFIG_NOSYSTEM' => '1', 'GIT_TERMINAL_PROMPT' => '0' ) + getenv();
	$null    = array( 'file', '/dev/null', 'r' );
	$process = proc_open( $command, array( $null, array( 'file', '/dev/null', 'w' ), STDERR ), $pipes, $dir, $env );
	return is_resource( $process ) ? $process : missing( "cannot start $command[0]" );
}

/**
 * Runs a command to a good end, and returns how long it took, in milliseconds.
 *
 * @param string[] $command The program and its arguments.
 * @param string   $dir     The folder.
 */
function timed( array $command, string $dir ): float {
	$begin   = hrtime( true );
	$process = start( $command, $dir );
	0 === proc_close( $process ) || missing( implode( ' ', $command ) . ' failed' );
	return ( hrtime( true ) - $begin ) / 1e6;
}

/**
 * Returns what is at a path of main now; null where there is nothing.
 *
 * @param int    $port The port.
 * @param string $path The path.
 */
function content( int $port, string $path ): ?string {
	$context = stream_context_create( array( 'http' => array( 'header' => "Host: wp.localhost:$port", 'ignore_errors' => true ) ) );
	$content = file_get_contents( "http://127.0.0.1:$port$path", false, $context );
	return str_contains( $http_response_header[0], ' 200 ' ) ? $content : null;
}

/**
 * Returns the memory of a process and of all that it started, in bytes: what they have of their own, and with their parts of
 * the files that they have mapped.
 *
 * @param int $root The process.
 * @return int[] Two numbers.
 */
function memory( int $root ): array {
	$parents = array();
	foreach ( glob( '/proc/[0-9]*', GLOB_NOSORT ) as $dir ) {
		$stat = @file_get_contents( "$dir/stat" );
		if ( $stat ) {
			$parents[ (int) basename( $dir ) ] = (int) explode( ' ', substr( $stat, strrpos( $stat, ')' ) + 2 ), 3 )[1];
		}
	}
	$own = 0;
	$all = 0;
	foreach ( array_keys( $parents ) as $pid ) {
		for ( $above = $pid; $above !== $root && isset( $parents[ $above ] ); ) {
			$above = $parents[ $above ];
		}
		$rollup = $above === $root ? @file_get_contents( "/proc/$pid/smaps_rollup" ) : false;
		if ( $rollup && preg_match( '/^Pss: +(\d+).*^Pss_Anon: +(\d+)/ms', $rollup, $match ) ) {
			$all += 1024 * (int) $match[1];
			$own += 1024 * (int) $match[2];
		}
	}
	return array( $own, $all );
}

/**
 * Runs a command to its end, and returns the most memory that a server took meanwhile.
 *
 * @param string[] $command The program and its arguments.
 * @param string   $dir     The folder.
 * @param int      $server  The server's process.
 * @param string[] $env     What its environment has beyond.
 * @return int[] As memory() returns it.
 */
function peak_while( array $command, string $dir, int $server, array $env = array() ): array {
	$process = start( $command, $dir, $env );
	$peak    = array( 0, 0 );
	do {
		$peak   = array_map( 'max', $peak, memory( $server ) );
		$status = proc_get_status( $process );
		usleep( PAUSE );
	} while ( $status['running'] );
	0 === $status['exitcode'] || missing( implode( ' ', $command ) . ' failed' );
	proc_close( $process );
	return $peak;
}

/** Formats bytes as MB. */
function mb( int $bytes ): string {
	return sprintf( '%.0f', $bytes / 1e6 );
}

$rounds  = (int) ( $argv[1] ?? 30 );
$program = ROOT . '/target/release/forkpress';
$site    = temp_dir();
$work    = temp_dir();
$port    = free_port();
$remote  = "http://wp.localhost:$port/site.git";
$env     = array( 'FORKPRESS_STATE_DIR' => "$site.state" );
foreach ( $env as $name => $value ) {
	putenv( "$name=$value" );
}
at_end( static fn () => remove( "$site.state" ) );
at_end( static fn () => @forkpress( $site, 'stop', '--force' ) );
forkpress( $site, 'init', '--port', (string) $port, '--admin-password', 'bench', '--wordpress', wordpress() );
forkpress( $site, 'serve' );
$server = json_decode( forkpress( $site, 'server', 'list', '--json' )[1], true )[0]['pid'];
timed( array( $program, '--json', 'clone', $remote, "$work/checkout" ), $work );

// --- Commit ----------------------------------------------------------------------------------------------------------------
$shown = array();
$ended = array();
foreach ( rounds( $rounds ) as $round ) {
	$text = "round $round " . bin2hex( random_bytes( 4 ) );
	file_put_contents( "$work/checkout/wordpress/bench.txt", $text );
	$begin   = hrtime( true );
	$process = start( array( $program, '--json', 'commit', '-m', "round $round" ), "$work/checkout" );
	while ( content( $port, '/bench.txt' ) !== $text ) {
		usleep( PAUSE );
	}
	$shown[] = ( hrtime( true ) - $begin ) / 1e6;
	0 === proc_close( $process ) || missing( 'forkpress commit failed' );
	$ended[] = ( hrtime( true ) - $begin ) / 1e6;
}
table(
	array(
		array( 'forkpress commit of one file', sprintf( 'milliseconds, median of %d', count( $shown ) ), 'longest' ),
		array( 'until the preview shows it', sprintf( '%.0f', median( $shown ) ), sprintf( '%.0f', max( $shown ) ) ),
		array( 'until the command ends', sprintf( '%.0f', median( $ended ) ), sprintf( '%.0f', max( $ended ) ) ),
	)
);

// --- Fetch -----------------------------------------------------------------------------------------------------------------
timed( array( 'git', 'clone', '--quiet', '--bare', $remote, "$work/plain/site.git" ), $work );
$plain = new Server( array( __DIR__ . '/git_plain.php' ), array(), array( 'PHP_CLI_SERVER_WORKERS' => '4', 'BENCH_GIT_ROOT' => "$work/plain" ) );
timed( array( 'git', 'clone', '--quiet', "http://127.0.0.1:$plain->port/site.git", "$work/of-plain" ), $work );
$times = array();
foreach ( rounds( $rounds ) as $round ) {
	$order = array( 'site' => "$work/checkout", 'plain' => "$work/of-plain" );
	foreach ( $round % 2 ? array_reverse( $order ) : $order as $name => $dir ) {
		$times[ $name ][] = timed( array( 'git', 'fetch', '--quiet', 'origin', 'main' ), $dir );
	}
}
echo "\n";
table(
	array(
		array( 'git fetch, nothing new', sprintf( 'milliseconds, median of %d', count( $times['site'] ) ), 'ratio, median of pairs' ),
		array( 'from a site', sprintf( '%.0f', median( $times['site'] ) ), sprintf( '%.2f', median_ratio( $times['site'], $times['plain'] ) ) ),
		array( 'from a plain bare repository', sprintf( '%.0f', median( $times['plain'] ) ), '1' ),
	)
);

// --- Many files -------------------------------------------------------------------------------------------------------------
$push = static function ( string $what, ?string $text ) use ( $site, $work, $program ): array {
	$many = "$work/checkout/wordpress/wp-content/many";
	for ( $i = 0; $i < MANY && null !== $text; $i++ ) {
		$folder = "$many/" . $i % 50;
		is_dir( $folder ) || mkdir( $folder, 0755, true );
		file_put_contents( "$folder/$i.txt", str_repeat( "$text $i\n", 200 ) );
	}
	null !== $text || remove( $many );
	$took = timed( array( $program, '--json', 'commit', '-m', $what ), "$work/checkout" );
	$held = json_decode( forkpress( $site, '--json', 'log', '-n', '1' )[1], true )[0]['held_seconds'];
	return array( $what, sprintf( '%.2f', $took / 1000 ), sprintf( '%.0f', $held * 1000 ) );
};
echo "\n";
table(
	array(
		array( sprintf( 'forkpress commit of %s files', number_format( MANY ) ), 'seconds', 'exclusive, ms' ),
		$push( 'new', 'first' ),
		$push( 'changed', 'second' ),
		$push( 'gone', null ),
	)
);

// --- Agents ----------------------------------------------------------------------------------------------------------------
$agents = timed( array( $program, '--json', 'agents', '--count', '10' ), "$work/checkout" );
$gone   = timed( array( $program, '--json', 'agents', '--remove' ), "$work/checkout" );
echo "\n";
table(
	array(
		array( 'ten agents', 'seconds' ),
		array( 'made', sprintf( '%.2f', $agents / 1000 ) ),
		array( 'removed', sprintf( '%.2f', $gone / 1000 ) ),
	)
);

// --- Memory ----------------------------------------------------------------------------------------------------------------
$idle    = memory( $server );
$uploads = "$site/main/wp-content/uploads/bench";
mkdir( $uploads, 0755, true );
for ( $i = 0; $i < UPLOADS; $i++ ) {
	file_put_contents( "$uploads/$i.bin", random_bytes( UPLOAD_BYTES ) );
}
$clone = peak_while( array( 'git', 'clone', '--quiet', $remote, "$work/big" ), $work, $server );
$fetch = peak_while( array( 'git', 'fetch', '--quiet', 'origin' ), "$work/big", $server );
file_put_contents( "$work/big/wordpress/bench.txt", 'with uploads' );
timed( array( 'git', '-C', "$work/big", 'config', 'user.name', 'Bench' ), $work );
timed( array( 'git', '-C', "$work/big", 'config', 'user.email', 'bench@localhost' ), $work );
$commit = peak_while( array( $program, '--json', 'commit', '-m', 'with uploads' ), "$work/big", $server );
echo "\n";
$row = static fn ( string $what, array $peak ) => array( $what, mb( $peak[0] ), mb( $peak[1] ) );
table(
	array(
		array( sprintf( 'the server and all it starts, %d MB of uploads', UPLOADS * UPLOAD_BYTES / 1e6 ), 'MB at most, of its own', 'with mapped files' ),
		$row( 'idle, before', $idle ),
		$row( 'a first clone', $clone ),
		$row( 'a fetch', $fetch ),
		$row( 'a commit', $commit ),
	)
);
