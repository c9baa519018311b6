<?php
/**
 * A branch is ready when the command that makes it returns, and making it ready keeps nobody waiting.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_warm.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

if ( ! function_exists( 'opcache_get_status' ) ) {
	echo "SKIPPED: this PHP has no OPcache\n0 passed, 0 failed\n";
	exit( 0 );
}

if ( null === Fpm::binary() || 'none' === getenv( 'FORKPRESS_PHP_FPM' ) ) {
	echo "SKIPPED: without php-fpm and cgi-fcgi each process has an OPcache of its own, and nothing is compiled ahead\n0 passed, 0 failed\n";
	exit( 0 );
}

/** How often PHP's public processes had to compile a file. */
const MISSES = '<?php echo opcache_get_status( false )["opcache_statistics"]["misses"];';

/**
 * Stops whoever warms the branch, in the page that it visits, for as long as there is the file `stop`, and keeps in
 * `stopped` what was in `visit.lock`. Visitors start no cron jobs, so that there always are some to be started.
 */
const STOP = <<<'PHP'
<?php
if ( isset( $_SERVER['HTTP_X_FORKPRESS_WARM'] ) ) {
	if ( file_exists( ABSPATH . 'stop' ) ) {
		copy( dirname( ABSPATH ) . '/.forkpress/cow/visit.lock', ABSPATH . 'stopped' );
	}
	while ( file_exists( ABSPATH . 'stop' ) ) {
		usleep( 2000 );
		clearstatcache();
	}
} else {
	define( 'DISABLE_WP_CRON', true );
}
PHP;

/** Asks for a page again and again, until there is a file, and prints how each was answered. */
const CLIENT = <<<'PHP'
for ( [ , $port, $enough ] = $argv; ! file_exists( $enough ); clearstatcache() ) {
	$server = fsockopen( '127.0.0.1', $port );
	fwrite( $server, "GET /bulk.php?i=0 HTTP/1.0\r\nHost: wp.localhost:$port\r\n\r\n" );
	preg_match( '~^HTTP/1\S+ (\d+).*\r\n\r\n(.*)$~s', stream_get_contents( $server ), $answer );
	echo $answer[1] ?? 'none', ' ', $answer[2] ?? '', "\n";
	usleep( 5000 );
}
PHP;

$site = new Site();
foreach ( array( 'misses.php' => MISSES, 'wp-content/mu-plugins/stop.php' => STOP ) as $name => $code ) {
	put( "$site->dir/main/$name", $code );
	// OPcache takes no file that was written just now.
	touch( "$site->dir/main/$name", time() - 60 );
}

/**
 * Returns how many files were compiled for a page.
 *
 * @param string $branch The branch.
 * @param string $path   The page.
 */
$compiled_for = function ( string $branch, string $path ) use ( $site ): int {
	$browser = new Browser( $site, $branch );
	$misses  = static fn (): int => (int) $browser->request( '/misses.php' )->body;
	$misses();
	$before = $misses();
	same( 200, $browser->request( $path )->status, "$branch$path: status" );
	return $misses() - $before;
};

/**
 * Returns all that a branch's database holds, a line for each row. Left out are WordPress's caches, which
 * any visit may fill, and with them SQLite's own table of counters.
 *
 * @param string $branch The branch.
 */
$content = function ( string $branch ) use ( $site ): array {
	$database = $site->database( $branch );
	$content  = array();
	foreach ( $database->query( "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'sqlite_sequence'" )->fetchAll( \PDO::FETCH_COLUMN ) as $table ) {
		foreach ( $database->query( "SELECT * FROM \"$table\"" )->fetchAll( \PDO::FETCH_ASSOC ) as $row ) {
			$is_cache = preg_match( '/^_(site_)?transient_(?!doing_cron)/', $row['option_name'] ?? '' );
			$content += $is_cache ? array() : array( count( $content ) => "$table " . json_encode( $row, JSON_INVALID_UTF8_SUBSTITUTE ) );
		}
	}
	return $content;
};

/** Returns what the server has warmed. */
$warmed = static fn (): array => json_decode( (string) @file_get_contents( "$site->dir/.forkpress/cow/warm.json" ), true ) ?? array();

/**
 * Gives OPcache so much memory, from the next start of the server on, and the site files that fill it: 1 MB of compiled code each.
 *
 * @param int $megabytes How much.
 */
$opcache_bytes = function ( int $megabytes ) use ( $site ) {
	$settings = "$site->dir/.forkpress/site.toml";
	$others   = explode( "\n[serve]\n", file_get_contents( $settings ) )[0];
	file_put_contents( $settings, "$others\n[serve]\nopcache_bytes = " . ( $megabytes << 20 ) . "\n" );
	$pages    = array(
		'bulk.php' => '<?php require __DIR__ . "/bulk/" . (int) $_GET["i"] . ".php"; echo "bulk ", posix_getppid();',
		'full.php' => '<?php $memory = opcache_get_status( false )["memory_usage"]; echo 1 - $memory["free_memory"] / array_sum( array_slice( $memory, 0, 3 ) );',
		'slow.php' => '<?php touch( __DIR__ . "/runs" ); while ( ! file_exists( __DIR__ . "/go" ) ) { usleep( 2000 ); clearstatcache(); } echo "slow ", posix_getppid(), " ", str_repeat( "x", 100000 );',
	);
	$code     = '<?php return ' . var_export( array_map( static fn ( $i ) => array( "a$i" => $i ), range( 1, 5400 ) ), true ) . ';';
	for ( $i = 0; $i < 120; $i++ ) {
		$pages[ "bulk/$i.php" ] = $code;
	}
	foreach ( $pages as $name => $code ) {
		put( "$site->dir/main/$name", $code );
		touch( "$site->dir/main/$name", time() - 60 );
	}
};

/**
 * Has one of these files compiled, and returns which php-fpm did it.
 *
 * @param int $i Which file.
 */
$bulk = function ( int $i ) use ( $site ): int {
	$answer = $site->request( "/bulk.php?i=$i" );
	same( 200, $answer->status, "file $i: $answer->body: status" );
	return (int) explode( ' ', $answer->body )[1];
};

/**
 * Fills OPcache a little if it is less full than that, and says whether it is so full. No fuller than it has to be: it may begin
 * anew otherwise.
 *
 * @param float $until How full.
 */
$fill = function ( float $until ) use ( $site, $bulk ): bool {
	static $i = 0;
	if ( (float) $site->request( '/full.php' )->body >= $until ) {
		return true;
	}
	$bulk( $i++ % 120 );
	return false;
};

/** Returns the ids of the php-fpms that the registry knows of the server. */
$registered = static fn (): array => array_column( json_decode( file_get_contents( "$site->state_dir/servers.json" ), true )[0]['php'], 'pid' );

test(
	'where no server runs, --wait says so and the branch is there',
	function () use ( $site ) {
		$outcome = $site->run( 'branch', 'create', 'cold', '--wait' );
		same( 0, $outcome->status, 'exit status' );
		holds( str_contains( $outcome->errors, 'no server runs' ), "it says so: $outcome->errors" );
		$reset = $site->json( 'branch', 'reset', 'cold', '--from', 'main', '--wait' );
		same( array( 'ready' => false, 'reason' => 'no server runs' ), $reset['ready']['cold'], 'what --json says' );
		same( 1, $site->run( 'doctor', 'php' )->status, 'the exit status of doctor php' );
	}
);

$site->serve( 1 );
eventually( static fn () => isset( $warmed()['branches']['main'] ), 'the server has warmed main' );

test(
	'after create --wait, the first pages of a branch compile next to nothing',
	function () use ( $site, $compiled_for ) {
		$out = $site->done( 'branch', 'create', 'x', '--wait' );
		$url = preg_quote( 'http://' . $site->host( 'x' ), '~' );
		holds( 1 === preg_match( "~^ready: $url/ in \\d+ ms \\(front page: status 200 in \\d+ ms\\)$~m", $out ), "it says so: $out" );
		same( 0, $compiled_for( 'x', '/' ), 'files compiled for the front page' );
		same( 0, $compiled_for( 'x', '/wp-login.php?action=lostpassword' ), 'files compiled for the login form' );
		// Which files a dashboard runs differs between WordPress's versions.
		$dashboard = $compiled_for( 'x', '/wp-admin/' );
		holds( $dashboard <= 10, "at most 10 files are compiled for the dashboard, not $dashboard" );
	}
);

test(
	'reset --wait and undo --wait have the new code compiled, and --json says what was done',
	function () use ( $site, $compiled_for ) {
		foreach ( array( array( 'branch', 'reset', 'x', '--from', 'main' ), array( 'undo' ) ) as $command ) {
			$ready = $site->json( ...$command, ...array( '--wait' ) )['ready']['x'];
			same( array( true, 200, true ), array( $ready['ready'], $ready['status'], $ready['complete'] ), "$command[0]: ready" );
			holds( $ready['compiled'] > 100, "$command[0]: {$ready['compiled']} files were compiled" );
			same( 0, $compiled_for( 'x', '/' ), "$command[0]: files compiled for the front page" );
		}
	}
);

test(
	'merge --wait has what came compiled, and --json says what was done',
	function () use ( $site, $compiled_for ) {
		$site->done( 'branch', 'create', 'home', 'away' );
		put( "$site->dir/away/wp-content/mu-plugins/came.php", '<?php define( "CAME_HOME", 1 );' );
		touch( "$site->dir/away/wp-content/mu-plugins/came.php", time() - 60 );
		$said  = $site->json( 'branch', 'merge', 'away', '--into', 'home', '--wait' );
		$ready = $said['ready']['home'];
		same( array( true, 200, true ), array( $ready['ready'], $ready['status'], $ready['complete'] ), 'ready' );
		holds( null !== $said['operation'] && 1 === $said['files'], 'what was done: ' . json_encode( $said ) );
		holds( $ready['compiled'] > 0, "{$ready['compiled']} files were compiled" );
		// OPcache leaves out the file that came, which is younger than two seconds unless the machine is slow.
		holds( $compiled_for( 'home', '/' ) <= 1, 'no other file is compiled for the front page' );
		holds( is_file( "$site->dir/home/wp-content/mu-plugins/came.php" ), 'the file is there' );
		$site->done( 'branch', 'delete', '--purge', 'home' );
		$site->done( 'branch', 'delete', '--purge', 'away' );
	}
);

test(
	'files that declare the same function, and one that is not valid, are no reason for a branch not to be ready',
	function () use ( $site, $compiled_for ) {
		$twin    = '<?php if ( ! isset( $_GET["x"] ) ) { echo forkpress_twin(); } function forkpress_twin() { return 1; }';
		$files   = array( 'twin-1.php' => $twin, 'twin-2.php' => $twin, 'twin-3.php' => $twin, 'broken.php' => '<?php echo 1;' );
		$browser = new Browser( $site, 'main' );
		foreach ( $files as $name => $code ) {
			put( "$site->dir/main/$name", $code );
			touch( "$site->dir/main/$name", time() - 60 );
			same( '1', $browser->request( "/$name" )->body, $name );
		}
		foreach ( array( 'load-styles.php?c=1&load%5Bchunk_0%5D=dashicons', 'load-scripts.php?c=1&load%5Bchunk_0%5D=jquery-core' ) as $page ) {
			same( 200, $browser->request( "/wp-admin/$page" )->status, $page );
		}
		put( "$site->dir/main/broken.php", '<?php function strlen() {}' );
		touch( "$site->dir/main/broken.php", time() - 60 );
		$ready = $site->json( 'branch', 'create', 'twins', '--wait' )['ready']['twins'];
		same( array( true, 200, true ), array( $ready['ready'], $ready['status'], $ready['complete'] ), 'ready' );
		foreach ( array( '/', '/twin-1.php', '/twin-2.php', '/twin-3.php', '/wp-admin/load-styles.php?c=1&load%5Bchunk_0%5D=dashicons' ) as $page ) {
			same( 0, $compiled_for( 'twins', $page ), "files compiled for $page" );
		}
		array_map( static fn ( $name ) => unlink( "$site->dir/main/$name" ), array_keys( $files ) );
	}
);

test(
	'warming leaves nothing in the database but caches: it starts no cron job and no session',
	function () use ( $site, $content ) {
		$before = $content( 'main' );
		$site->done( 'branch', 'create', 'untouched', '--wait' );
		foreach ( array( 'main', 'untouched' ) as $branch ) {
			$after = $content( $branch );
			same( array(), array_values( array_diff( $before, $after ) ), "what is gone from the database of $branch" );
			same( array(), array_values( array_diff( $after, $before ) ), "what came into the database of $branch" );
		}
	}
);

test(
	'while a branch is being warmed, the one worker of a site serves everybody else',
	function () use ( $site, $warmed ) {
		touch( "$site->dir/main/stop" );
		$create = $site->command( array( 'branch', 'create', 'slow', '--wait' ) );
		eventually( static fn () => file_exists( "$site->dir/slow/stopped" ), 'the branch is being warmed' );
		unlink( "$site->dir/main/stop" );
		same( 200, $site->request( '/' )->status, 'the front page of main: status' );
		same( 200, $site->request( '/', array( 'Host' => $site->host( 'slow' ) ) )->status, 'the front page of the branch: status' );
		holds( $create->process->runs() && ! isset( $warmed()['branches']['slow'] ), 'the branch is still being warmed' );
		unlink( "$site->dir/slow/stop" );
		same( 0, $create->outcome()->status, 'exit status of create --wait' );
		$holder = file_get_contents( "$site->dir/slow/stopped" );
		holds( str_contains( $holder, "operation=warming 'slow'" ), "no mutation could close its gate meanwhile: $holder" );
	}
);

test(
	'compiling ends after the file at hand as soon as a writer waits',
	function () use ( $site ) {
		$code    = <<<'PHP'
		[ , $warm, $root ] = $argv;
		require $warm;
		branchfs_lock_shared();
		echo "locked\n";
		fgets( STDIN );
		echo json_encode( forkpress_compile( $root, array( 'wp-load.php', 'wp-settings.php', 'wp-cron.php' ) ) ), "\n";
		PHP;
		$ini     = array( 'opcache.enable_cli=1', 'opcache.file_update_protection=0' );
		$process = new Process( php( array( '-r', $code, '--', ROOT . '/runtime/warm.php', "$site->dir/main" ), $ini ), array(), $site->dir );
		$process->wait_for( 'locked' );
		$gate = $site->stuck( 'operations.gate' );
		fwrite( $process->stdin, "\n" );
		same( 0, $process->wait(), 'exit status' );
		array_map( 'fclose', $gate );
		same( "locked\n{\"compiled\":1,\"outcome\":\"writer\"}\n", $process->output(), 'what it says' );
	}
);

test(
	'who compiles waits for requests that leave no processor free, but not while a writer waits',
	function () use ( $site ) {
		// On one processor, this request itself leaves none.
		$code    = <<<'PHP'
		$pauses = static fn() => (int) preg_match( '/^voluntary_ctxt_switches:\s+(\d+)$/m', file_get_contents( '/proc/self/status' ), $match ) ? (int) $match[1] : 0;
		$yield  = static function () use ( $pauses ) {
			$before = $pauses();
			for ( $i = 0; $i < 20; $i++ ) {
				branchfs_yield();
			}
			echo $pauses() - $before, "\n";
		};
		branchfs_lock_shared();
		$yield();
		fgets( STDIN );
		$yield();
		PHP;
		$process = new Process( array( 'taskset', '-c', '0', ...php( array( '-r', $code ) ) ), array(), "$site->dir/main" );
		$process->wait_for( "\n" );
		$gate = $site->stuck( 'operations.gate' );
		fwrite( $process->stdin, "\n" );
		same( 0, $process->wait(), 'exit status' );
		array_map( 'fclose', $gate );
		list( $without, $with ) = explode( "\n", $process->output() );
		holds( (int) $without > 100, "pauses without a writer: $without" );
		holds( (int) $with < 40, "pauses while one waits: $with" );
	}
);

test(
	'the process that warms rests again and again while it runs a page, and no other does',
	function () use ( $site ) {
		$code = <<<'PHP'
		<?php
		$pauses = static fn() => preg_match( '/^voluntary_ctxt_switches:\s+(\d+)$/m', file_get_contents( '/proc/self/status' ), $match ) ? (int) $match[1] : 0;
		$before = $pauses();
		$begin  = hrtime( true );
		while ( $pauses() < $before + 20 && hrtime( true ) - $begin < 2e9 ) {
			for ( $i = 0; $i < 100000; $i++ ) {
				continue;
			}
		}
		file_put_contents( ABSPATH . ( isset( $_SERVER['HTTP_X_FORKPRESS_WARM'] ) ? 'rests' : 'others' ), (string) ( $pauses() - $before ) );
		PHP;
		$site->done( 'branch', 'create', 'rests' );
		put( "$site->dir/rests/wp-content/mu-plugins/rests.php", $code );
		$site->done( 'branch', 'create', 'resting', '--from', 'rests', '--wait' );
		$seen = (int) file_get_contents( "$site->dir/resting/rests" );
		holds( $seen >= 20, "pauses of the process that warms: $seen" );
		$site->request( '/', array( 'Host' => $site->host( 'resting' ) ) );
		$seen = (int) file_get_contents( "$site->dir/resting/others" );
		holds( $seen < 20, "pauses of another process: $seen" );
	}
);

test(
	'only who knows the secret of the site can ask for that',
	function () use ( $site ) {
		foreach ( array( '', 'x', str_repeat( '0', 64 ) ) as $token ) {
			$headers = array( 'X-ForkPress-Warm' => $token, 'X-ForkPress-Task' => 'status' );
			same( 403, $site->request( '/', $headers )->status, "status with the token '$token'" );
		}
	}
);

test(
	'doctor php tells how full OPcache is',
	function () use ( $site ) {
		$report = $site->json( 'doctor', 'php' );
		same( 'fits', $report['verdict'], 'verdict' );
		holds( $report['opcache']['scripts'] > 1000, 'the scripts of the branches are counted' );
		$words = $site->done( 'doctor', 'php' );
		holds( str_starts_with( $words, "ForkPress PHP report\n" ), 'how it opens' );
		$apcu = extension_loaded( 'apcu' ) ? 'off in requests of a branch' : 'not loaded';
		holds( 1 === preg_match( "~^apcu: +$apcu~m", $words ), "what it says of APCu: $words" );
	}
);

test(
	'where the process that warms was killed, another takes its place',
	function () use ( $site ) {
		$of_pool = array_filter(
			glob( '/proc/[0-9]*' ),
			static fn ( $process ) => str_starts_with( (string) @file_get_contents( "$process/cmdline" ), 'php-fpm: pool warm' )
				&& str_starts_with( (string) @readlink( "$process/cwd" ), $site->dir )
		);
		same( 1, count( $of_pool ), 'processes that warm' );
		posix_kill( (int) basename( reset( $of_pool ) ), SIGKILL );
		$site->done( 'branch', 'create', 'unready', '--wait' );
		same( 200, $site->request( '/', array( 'Host' => $site->host( 'unready' ) ) )->status, 'its front page: status' );
	}
);

test(
	'when OPcache is four fifths full, the server moves to a fresh php-fpm, and no request fails for it',
	function () use ( $site, $warmed, $opcache_bytes, $bulk, $fill, $registered ) {
		$site->done( 'stop' );
		$opcache_bytes( 128 );
		$site->serve( 4 );
		$master = $bulk( 0 );
		$slow   = $site->open( '/slow.php' );
		eventually( static fn () => file_exists( "$site->dir/main/runs" ), 'a long request runs' );
		// What was used last is warmed first. Nothing of the branch that is held can be: the change-over stands still there.
		$front_page = static fn () => same( 200, $site->request( '/', array( 'Host' => $site->host( 'untouched' ) ) )->status, 'the front page of the branch' );
		$front_page();
		while ( ! $fill( 0.75 ) ) {
			continue;
		}
		$front_page();
		$held    = $site->stuck( 'locks/untouched.lock' );
		$clients = array();
		for ( $i = 0; $i < 4; $i++ ) {
			$clients[] = new Process( php( array( '-r', CLIENT, '--', (string) $site->port, "$site->dir/enough" ) ) );
		}
		$answers  = static fn () => array_map( static fn ( $client ) => array_slice( explode( "\n", $client->output() ), 0, -1 ), $clients );
		$is_there = static fn () => 200 === $site->request( '/' )->status && $fill( 0.8 ) && 2 === count( $registered() );
		eventually( $is_there, 'a second php-fpm is there' );
		$so_far = array_map( 'count', $answers() );
		eventually( static fn () => min( array_map( static fn ( $now, $before ) => count( $now ) - $before, $answers(), $so_far ) ) > 20, 'all clients go on while it is warmed' );
		same( array( "200 bulk $master" ), array_values( array_unique( array_merge( ...$answers() ) ) ), 'all that clients were answered' );
		same( 0, $warmed()['change_overs'], 'change-overs' );
		array_map( 'fclose', $held );
		$has_moved = static fn ( $answers ) => "200 bulk $master" !== end( $answers );
		eventually( static fn () => 4 === count( array_filter( $answers(), $has_moved ) ), 'all clients get to the fresh one' );
		touch( "$site->dir/enough" );
		array_map( static fn ( $client ) => same( 0, $client->wait(), 'exit status of a client' ), $clients );
		$fresh = array_values( array_diff( $registered(), array( (int) $master ) ) )[0];
		foreach ( $answers() as $of_client ) {
			$moved = array_search( "200 bulk $fresh", $of_client, true );
			same( array( "200 bulk $fresh" ), array_values( array_unique( array_slice( $of_client, $moved ) ) ), 'what a client was answered by the fresh one and later' );
			same( array( "200 bulk $master" ), array_values( array_unique( array_slice( $of_client, 0, $moved ) ) ), 'and before' );
		}
		$doctor = $site->json( 'doctor', 'php' );
		same( 0, $doctor['opcache']['restarts'], 'OPcache was never so full that it began anew' );
		holds( $doctor['fullness'] < 0.7, "there is room: {$doctor['fullness']}" );
		$misses = static fn (): int => (int) $site->request( '/misses.php' )->body;
		$misses();
		$before = $misses();
		same( 200, $site->request( '/' )->status, 'the front page' );
		$compiled = $misses() - $before;
		holds( $compiled < 20, "for the front page, ForkPress's own files are compiled, and none of main: $compiled" );

		holds( posix_kill( (int) $master, 0 ), 'the former one is there while it has a request' );
		same( 2, count( $registered() ), 'masters that are registered' );
		touch( "$site->dir/main/go" );
		holds( str_starts_with( Response::read( $slow )->body, "slow $master x" ), 'a long request ends in the one where it began' );
		eventually( static fn () => ! posix_kill( (int) $master, 0 ), 'the former one ends' );
		eventually( static fn () => array( $fresh ) === $registered(), 'the registry has the current one' );
		same( 1, $site->json( 'doctor', 'php' )['change_overs'], 'change-overs' );
		holds( $site->json( 'top' )['opcache_fullness'] > 0, 'top says how full it is' );
		$site->done( 'stop' );
	}
);

test(
	'where a fresh php-fpm is of no use, the server says so and goes on as before',
	function () use ( $site, $warmed, $opcache_bytes, $bulk, $fill, $registered ) {
		$opcache_bytes( 64 );
		$php_fpm = temp_dir() . '/php-fpm';
		put( $php_fpm, "#!/bin/sh\n[ -e '$php_fpm.broken' ] && set -- \"\$@\" -d 'auto_prepend_file=$php_fpm.broken'\nexec '" . Fpm::binary() . "' \"\$@\"\n" );
		chmod( $php_fpm, 0700 );
		$site->serve( 2, array( 'FORKPRESS_PHP_FPM' => $php_fpm ) );
		$master = $bulk( 0 );
		put( "$php_fpm.broken", '<?php http_response_code( 500 ); exit( "broken" );' );
		$log = "$site->dir/.forkpress/logs/forkpress-server.log";
		eventually( static fn () => $fill( 0.8 ) && str_contains( file_get_contents( $log ), 'warning: OPcache is not renewed: PHP\'s process for warming answers with status 500: broken' ), 'the server says so' );
		eventually( static fn () => array( $master ) === $registered(), 'the registry has the current one alone' );
		same( array( $master, 0 ), array( $bulk( 0 ), $warmed()['change_overs'] ), 'what serves' );
		$site->done( 'branch', 'create', 'later', '--wait' );
		$site->done( 'stop' );
	}
);

test(
	'a server that is killed while it has two php-fpms leaves no process of either',
	function () use ( $site, $opcache_bytes, $bulk, $fill, $registered ) {
		$opcache_bytes( 64 );
		array_map( 'unlink', glob( "$site->dir/main/{runs,go}", GLOB_BRACE ) );
		$site->serve( 2 );
		$slow = $site->open( '/slow.php' );
		eventually( static fn () => file_exists( "$site->dir/main/runs" ), 'a long request runs' );
		eventually( static fn () => $fill( 0.8 ) && 2 === count( $registered() ), 'there are two' );
		$masters = $registered();
		// Each leads the group that its processes are in. One that has ended may wait for somebody to take note of it.
		$left = static fn () => array_filter(
			array_map( static fn ( $stat ) => preg_match( '/^(\d+) \(.*\) ([^Z]) \d+ (\d+) /s', (string) @file_get_contents( $stat ), $match ) ? $match : array( 3 => 0 ), glob( '/proc/[0-9]*/stat' ) ),
			static fn ( $process ) => in_array( (int) $process[3], $masters, true )
		);
		eventually( static fn () => count( $left() ) > 10, 'they have processes' );
		posix_kill( $site->json( 'server', 'list' )[0]['pid'], SIGKILL );
		eventually( static fn () => array() === $left(), 'none is left' );
		fclose( $slow );
	}
);

test( 'nobody complained', fn () => $site->has_no_complaints() );
