<?php
/**
 * `forkpress top` tells who is served, who holds which lock and who waits for it, and nothing of processes that are gone.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_top.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

/** A page that runs until it is let go. */
const SLOW = <<<'PHP'
<?php
touch( __DIR__ . '/runs' );
while ( ! file_exists( __DIR__ . '/go' ) ) {
	usleep( 2000 );
	clearstatcache();
}
echo 'done';
PHP;

$site = new Site();
// Nothing but what the tests ask for is to be shown.
put( "$site->dir/main/wp-content/mu-plugins/cron.php", "<?php define( 'DISABLE_WP_CRON', true );" );
$site->done( 'branch', 'create', 'x' );
put( "$site->dir/x/slow.php", SLOW );
$site->serve( 3 );
$warm = "$site->dir/.forkpress/cow/warm.json";
eventually( static fn () => str_contains( (string) @file_get_contents( $warm ), '"main"' ), 'the server has warmed main' );

/** Returns what `forkpress top` says. */
$top = static fn (): array => $site->json( 'top' );

/**
 * Returns one lock of what `forkpress top` says.
 *
 * @param array  $sample What it says.
 * @param string $name   The lock.
 */
$lock = static fn ( array $sample, string $name ): array => array_column( $sample['locks'], null, 'name' )[ $name ];

/** Starts the slow page on the branch x, and returns the connection once it runs. */
$start_slow = function () use ( $site ) {
	$connection = $site->open( '/slow.php?a=b', array( 'Host' => $site->host( 'x' ) ) );
	eventually( static fn () => file_exists( "$site->dir/x/runs" ), 'the page runs' );
	return $connection;
};

test(
	'where nothing goes on, nothing is shown but branches and operations',
	function () use ( $top, $site ) {
		// What commands left to be done in the background ends by itself; the server looks after ids for a moment every two seconds.
		eventually(
			static function () use ( $top, &$sample ) {
				$sample = $top();
				$locks = $sample['locks'];
				return array() === array_merge( ...array_column( $locks, 'holders' ), ...array_column( $locks, 'waiters' ) );
			},
			'nobody holds a lock or waits for one'
		);
		same( array( 'at', 'url', 'generation', 'opcache_fullness', 'branches', 'requests', 'locks', 'operations' ), array_keys( $sample ), 'what there is' );
		same( array(), $sample['requests'], 'requests' );
		same( array( 'lifecycle.lock', 'prepare.gate', 'prepare.lock', 'mutation.lock', 'visit.lock', 'operations.gate', 'operations.lock' ), array_column( $sample['locks'], 'name' ), 'locks' );
		same( array( 'main', 'x' ), array_column( $sample['branches'], 'name' ), 'branches' );
		same( 'http://' . $site->host( 'main' ) . '/', $sample['url'], 'the address' );
		same( 'create x from main', $sample['operations'][0]['operation'], 'the newest operation' );
		holds( is_float( $sample['operations'][0]['held_seconds'] ), 'it says for how long it was exclusive' );
	}
);

test(
	'a request, the command that waits for it, the command that waits for that one, and a request behind it are all shown',
	function () use ( $top, $site, $lock, $start_slow ) {
		$slow   = $start_slow();
		$sample = $top();
		same( 1, count( $sample['requests'] ), 'requests' );
		$request = $sample['requests'][0];
		same( array( 'x', 'GET', '/slow.php', 'serving' ), array( $request['branch'], $request['method'], $request['path'], $request['state'] ), 'the request' );
		holds( $request['age_seconds'] >= 0, 'it has an age' );
		$holders = $lock( $sample, 'operations.lock' )['holders'];
		same( array( $request['pid'] ), array_column( $holders, 'pid' ), 'who holds operations.lock' );
		same( 'serving GET x /slow.php', $holders[0]['doing'], 'what that one is doing' );
		same( array( 0, 1 ), array_column( $sample['branches'], 'requests' ), 'requests of each branch' );
		same( array( $request['pid'] ), array_column( $lock( $sample, 'x.lock' )['holders'], 'pid' ), "who holds the branch's lock" );

		// A command that clones main would not wait for a request of x alone.
		$stranger = fopen( "$site->dir/.forkpress/cow/operations.lock", 'r' );
		flock( $stranger, LOCK_SH );
		$create = $site->command( array( 'branch', 'create', 'y' ) );
		$waits  = static fn ( string $name, string $operation ) => static function () use ( $top, $lock, $name, $operation ) {
			$sample = $top();
			return in_array( $operation, array_column( $lock( $sample, $name )['waiters'], 'doing' ), true ) ? $sample : null;
		};
		$operation = 'branch create y from main';
		// It is stopped while it holds the gate, which it would let go after a while.
		$stopped = static function () use ( $create, $waits, $lock, $operation ) {
			if ( null === $waits( 'operations.lock', $operation )() ) {
				return null;
			}
			posix_kill( $create->process->pid, SIGSTOP );
			$sample = $waits( 'operations.lock', $operation )();
			if ( null !== $sample && array() !== $lock( $sample, 'operations.gate' )['holders'] ) {
				return $sample;
			}
			posix_kill( $create->process->pid, SIGCONT );
			return null;
		};
		$sample  = eventually( $stopped, 'the command waits for operations.lock and holds the gate' );
		$writer = array( $create->process->pid );
		same( $writer, array_column( $lock( $sample, 'operations.gate' )['holders'], 'pid' ), 'who holds operations.gate' );
		same( $writer, array_column( $lock( $sample, 'mutation.lock' )['holders'], 'pid' ), 'who holds mutation.lock' );
		same( $writer, array_column( $lock( $sample, 'y.mutation' )['holders'], 'pid' ), 'who changes the branch y' );
		same( $writer, array_column( $lock( $sample, 'operations.lock' )['waiters'], 'pid' ), 'who waits for operations.lock' );

		$second = $site->command( array( 'branch', 'create', 'z' ) );
		$sample = eventually( $waits( 'mutation.lock', 'branch create z from main' ), 'the second command waits for the first' );
		same( array( $second->process->pid ), array_column( $lock( $sample, 'mutation.lock' )['waiters'], 'pid' ), 'who waits for mutation.lock' );

		$behind = $site->open( '/hello-world/' );
		$sample = eventually( $waits( 'operations.lock', 'GET main /hello-world/' ), 'a request waits behind the command' );
		same( array( 'serving', 'waiting' ), array_column( ( static function ( array $rows ) { usort( $rows, static fn ( $a, $b ) => strcmp( $a['state'], $b['state'] ) ); return $rows; } )( $sample['requests'] ), 'state' ), 'states' );

		$words = $site->done( 'top' );
		holds( 1 === preg_match( '~^  operations\.lock  waits .* branch create y from main$~m', $words ), "it is in the words, too: $words" );

		// Not only closed: the commands have inherited it.
		flock( $stranger, LOCK_UN );
		posix_kill( $create->process->pid, SIGCONT );
		touch( "$site->dir/x/go" );
		same( 'done', Response::read( $slow )->body, 'the slow page' );
		same( array( 0, 0 ), array( $create->outcome()->status, $second->outcome()->status ), 'exit statuses' );
		Response::read( $behind );
		array_map( 'unlink', array( "$site->dir/x/go", "$site->dir/x/runs" ) );
	}
);

test(
	'a process that was killed is not shown, and its note goes: with the next command, if the server has not seen it before',
	function () use ( $top, $site, $lock, $start_slow ) {
		$start_slow();
		// The server may just be warming what was created above: its request is shown, too.
		$pid = array_column( $top()['requests'], 'pid', 'path' )['/slow.php'];
		posix_kill( $pid, SIGKILL );
		eventually( static fn () => ! preg_match( '/\) [^ZX] /', (string) @file_get_contents( "/proc/$pid/stat" ) ), 'it is gone' );
		$sample = $top();
		holds( ! in_array( $pid, array_column( $sample['requests'], 'pid' ), true ), 'its request is not shown' );
		holds( ! in_array( $pid, array_column( $lock( $sample, 'operations.lock' )['holders'], 'pid' ), true ), 'it holds no lock' );
		$note = "$site->dir/.forkpress/cow/requests/$pid";

		// A later process with the same id is another one.
		put( "$site->dir/.forkpress/cow/requests/" . getmypid(), 'serving since=1 started=1 GET x /' );
		holds( ! in_array( getmypid(), array_column( $top()['requests'], 'pid' ), true ), 'what an earlier process with an id that is used again says is not shown' );
		unlink( "$site->dir/.forkpress/cow/requests/" . getmypid() );

		$site->done( 'branch', 'delete', 'z' );
		eventually( static fn () => ! file_exists( $note ), 'its note goes' );
	}
);

test(
	'on a terminal it goes on until q is typed',
	function () use ( $site ) {
		if ( '' === (string) shell_exec( 'command -v script' ) ) {
			echo "SKIPPED: there is no script(1) to make a terminal with\n";
			return;
		}
		$program = escapeshellarg( program() ) . ' top';
		$command = new Process( array( 'script', '-qefc', $program, '/dev/null' ), array( 'FORKPRESS_STATE_DIR' => $site->state_dir ), $site->dir );
		$shows   = static fn ( int $times ) => substr_count( $command->output(), 'ForkPress top' ) >= $times;
		eventually( static fn () => $shows( 2 ), 'it refreshes' );
		fwrite( $command->stdin, 'q' );
		same( 0, $command->wait(), 'exit status' );
	}
);
