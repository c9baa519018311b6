<?php
/**
 * What the locks cost each request: the extension's two, of the site and of the branch, while no writer waits, against the same in plain PHP without a gate (open the
 * file, flock, unlock and close in a shutdown function), and against a bare flock pair on an open file.
 *
 * php -d "extension=$(pwd)/ext/branchfs.so" benches/lock_cost.php
 *
 * @package ForkPress
 */

/** How many rounds are measured. */
const ROUNDS = 101;

/** How many calls make a round of one kind: few, so that a busy machine seldom gives the processor to others meanwhile. */
const TIMES = 100;

$dir = sys_get_temp_dir() . '/forkpress-bench-' . getmypid();
mkdir( $dir );
$lock = "$dir/operations.lock";
touch( $lock );

/** One measurement: microseconds for each of TIMES calls. */
$measure = static function ( callable $request, ?callable $end = null ): float {
	$begin = hrtime( true );
	for ( $i = 0; $i < TIMES; $i++ ) {
		$request();
	}
	if ( $end ) {
		$end();
	}
	return ( hrtime( true ) - $begin ) / TIMES / 1000;
};

// A request's branch has a record.
mkdir( "$dir/branches" );
touch( "$dir/branches/main.toml" );
$native = static fn () => $measure(
	static function () use ( $lock ) {
		branchfs_lock_shared( $lock, null, null, 'main' );
		branchfs_unlock();
	}
);

// Shutdown functions run once a process, so each process measures itself, from its first lock to its last unlock. Eight
// locks at a time: the kernel walks a list of a file's holders, so a thousand would measure that list.
$php = static function () use ( $lock ): float {
	$code = <<<'PHP'
	[ , $lock, $times ] = $argv;
	$begin = hrtime( true );
	for ( $i = 0; $i < $times; $i++ ) {
		$file = fopen( $lock, 'c' );
		flock( $file, LOCK_SH );
		register_shutdown_function( static function () use ( $file ) { flock( $file, LOCK_UN ); fclose( $file ); } );
	}
	register_shutdown_function( static function () use ( $begin, $times ) { echo ( hrtime( true ) - $begin ) / $times / 1000; } );
	PHP;
	return (float) shell_exec( implode( ' ', array_map( 'escapeshellarg', array( PHP_BINARY, '-n', '-d', 'opcache.enable_cli=0', '-r', $code, $lock, '8' ) ) ) );
};

$open = fopen( $lock, 'c' );
$bare = static fn () => $measure(
	static function () use ( $open ) {
		flock( $open, LOCK_SH );
		flock( $open, LOCK_UN );
	}
);

$figures = array();
for ( $round = 0; $round < ROUNDS; $round++ ) {
	foreach ( array( 'native' => $native, 'php' => $php, 'bare' => $bare ) as $name => $run ) {
		$figures[ $name ][] = $run();
	}
}
array_map( 'unlink', array_filter( glob( "$dir/{,requests/,branches/,locks/}*", GLOB_BRACE ), 'is_file' ) );
array_map( 'rmdir', array( "$dir/requests", "$dir/branches", "$dir/locks", $dir ) );

$median = static function ( array $values ): float {
	sort( $values );
	return $values[ intdiv( count( $values ), 2 ) ];
};
$ratios = array_map( static fn ( $native, $php ) => $native / $php, $figures['native'], $figures['php'] );
echo "| the lock, a request | microseconds, median |\n| --- | --- |\n";
printf( "| extension, site and branch | %.2f |\n", $median( $figures['native'] ) );
printf( "| PHP's fopen, flock, shutdown function, no gate | %.2f |\n", $median( $figures['php'] ) );
printf( "| bare flock pair on an open file | %.2f |\n", $median( $figures['bare'] ) );
printf( "| extension : PHP | %.2f |\n", $median( $ratios ) );
