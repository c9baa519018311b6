<?php
/**
 * Small files through branchfs:// against their plain paths: written, read, looked at, listed and removed, in turns.
 *
 * php -d "extension=$(pwd)/ext/branchfs.so" benches/branchfs.php [FILES] [ROUNDS]
 *
 * @package ForkPress
 */

$files  = (int) ( $argv[1] ?? 10000 );
$rounds = (int) ( $argv[2] ?? 5 );
$dir    = ( is_dir( '/dev/shm' ) ? '/dev/shm' : sys_get_temp_dir() ) . '/forkpress-bench-' . getmypid();
foreach ( array( "$dir/.forkpress/cow", "$dir/main/plain", "$dir/main/urls" ) as $folder ) {
	mkdir( $folder, 0777, true );
}
touch( "$dir/.forkpress/cow/operations.lock" );
pcntl_async_signals( true );
pcntl_signal( SIGTERM, static fn() => exit( 143 ) );
register_shutdown_function( static fn() => exec( 'rm -rf ' . escapeshellarg( $dir ) ) );
putenv( "FORKPRESS_BRANCHES_DIR=$dir" );
// As in a request, which has its branch from the router.
putenv( 'FORKPRESS_BRANCH=main' );

// 100 files a folder, four folders deep, as in a plugin; a kilobyte each.
$bytes = str_repeat( 'ForkPress ', 100 );
$names = array();
for ( $i = 0; $i < $files; $i++ ) {
	$names[] = sprintf( 'wp-content/plugins/plugin-%d/file-%d.php', intdiv( $i, 100 ), $i % 100 );
}
$folders = array_unique( array_map( 'dirname', $names ) );

/** What is measured, in this order: each takes a base and leaves what the next one needs. */
$tasks = array(
	'mkdir, recursive'          => static function ( string $base ) use ( $folders ) {
		foreach ( $folders as $folder ) {
			mkdir( "$base/$folder", 0777, true );
		}
	},
	'file_put_contents'         => static function ( string $base ) use ( $names, $bytes ) {
		foreach ( $names as $name ) {
			file_put_contents( "$base/$name", $bytes );
		}
	},
	'file_put_contents LOCK_EX' => static function ( string $base ) use ( $names, $bytes ) {
		foreach ( $names as $name ) {
			file_put_contents( "$base/$name", $bytes, LOCK_EX );
		}
	},
	'file_get_contents'         => static function ( string $base ) use ( $names ) {
		foreach ( $names as $name ) {
			file_get_contents( "$base/$name" );
		}
	},
	'filemtime'                 => static function ( string $base ) use ( $names ) {
		foreach ( $names as $name ) {
			filemtime( "$base/$name" );
		}
	},
	'scandir'                   => static function ( string $base ) use ( $folders ) {
		foreach ( $folders as $folder ) {
			scandir( "$base/$folder" );
		}
	},
	'rename'                    => static function ( string $base ) use ( $names ) {
		foreach ( $names as $name ) {
			rename( "$base/$name", "$base/$name.new" );
		}
	},
	'unlink'                    => static function ( string $base ) use ( $names ) {
		foreach ( $names as $name ) {
			unlink( "$base/$name.new" );
		}
	},
);

$bases = array(
	'plain' => "$dir/main/plain",
	'urls'  => 'branchfs://main/urls',
);

/** Microseconds of processor time so far, which a busy neighbour does not change much. */
$processor = static function (): float {
	$usage = getrusage();
	return ( $usage['ru_utime.tv_sec'] + $usage['ru_stime.tv_sec'] ) * 1e6 + $usage['ru_utime.tv_usec'] + $usage['ru_stime.tv_usec'];
};
$times     = array();
$costs     = array();
for ( $round = -1; $round < $rounds; $round++ ) {
	// Each is as often first as last; the first round warms up.
	$order = $round % 2 ? $bases : array_reverse( $bases );
	foreach ( $tasks as $name => $task ) {
		foreach ( $order as $which => $base ) {
			clearstatcache( true );
			$begin = hrtime( true );
			$used  = $processor();
			$task( $base );
			if ( $round >= 0 ) {
				$times[ $name ][ $which ][] = ( hrtime( true ) - $begin ) / 1000;
				$costs[ $name ][ $which ][] = $processor() - $used;
			}
		}
	}
	foreach ( $bases as $which => $base ) {
		exec( 'rm -rf ' . escapeshellarg( "$dir/main/$which/wp-content" ) );
	}
}

$median = static function ( array $values ): float {
	sort( $values );
	return $values[ intdiv( count( $values ), 2 ) ];
};
$ratio  = static fn( array $taken ): float => $median( array_map( static fn( $urls, $plain ) => $urls / max( $plain, 1 ), $taken['urls'], $taken['plain'] ) );
echo "| $files files of 1 kB, a call | plain, microseconds | branchfs://, microseconds | ratio | ratio of processor time |\n| --- | --- | --- | --- | --- |\n";
foreach ( $times as $name => $taken ) {
	$calls = in_array( $name, array( 'mkdir, recursive', 'scandir' ), true ) ? count( $folders ) : $files;
	printf( "| %s | %.1f | %.1f | %.2f | %.2f |\n", $name, $median( $taken['plain'] ) / $calls, $median( $taken['urls'] ) / $calls, $ratio( $taken ), $ratio( $costs[ $name ] ) );
}
