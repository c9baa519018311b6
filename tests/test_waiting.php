<?php
/**
 * Who waits for whom: commands that change branches wait for requests and say so, commands that only read wait for nobody,
 * and a request that needs its own site never waits for a command that waits for it.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_waiting.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

/** A page that runs until it is let go, and then asks its own site for a page. Its writer waits for it meanwhile. */
const SLOW = <<<'PHP'
<?php
define( 'WP_USE_THEMES', false );
require __DIR__ . '/wp-load.php';
touch( __DIR__ . "/runs-{$_GET['name']}" );
while ( ! file_exists( __DIR__ . "/go-{$_GET['name']}" ) ) {
	usleep( 2000 );
	clearstatcache();
}
$response = wp_remote_get( home_url( '/hello-world/' ), array( 'timeout' => 60 ) );
echo is_wp_error( $response ) ? $response->get_error_message() : $response['response']['code'];
PHP;

$site = new Site();
put( "$site->dir/main/slow.php", SLOW );
$site->serve( 1 );

/**
 * Starts a request that holds the lock until the file `main/go-NAME` is there, and waits until it does.
 *
 * @param string $name Its name.
 * @return resource The connection.
 */
$start_slow = function ( string $name ) use ( $site ) {
	$connection = $site->open( "/slow.php?name=$name" );
	eventually( static fn () => file_exists( "$site->dir/main/runs-$name" ), 'the page runs' );
	return $connection;
};

/**
 * Lets a slow request go on, and returns what it says.
 *
 * @param resource $connection The connection.
 * @param string   $name       Its name.
 */
$finish_slow = function ( $connection, string $name ) use ( $site ): string {
	touch( "$site->dir/main/go-$name" );
	return Response::read( $connection )->body;
};

/** The files in the site's folder for branches' records and for what is not finished. */
$state = static fn (): array => array_map(
	static fn ( $folder ) => glob( "$site->dir/.forkpress/cow/$folder/*" ),
	array( 'branches', 'staging', 'trash', 'journal' )
);

test(
	'a mutation that waits in vain ends with 75, names the process and the request, and has changed nothing',
	function () use ( $site, $start_slow, $finish_slow, $state ) {
		// The page that warms a branch keeps mutations waiting for their own lock, and is no request of somebody's.
		$site->done( 'branch', 'create', 'there', '--wait' );
		put( "$site->dir/there/note.txt", 'mine' );
		$before = $state();
		$slow   = $start_slow( 'a' );
		foreach ( array(
			array( 'branch', 'create', 'new', '--timeout', '0.3' ),
			array( 'branch', 'reset', 'there', '--from', 'main', '--timeout', '0.3' ),
			array( 'branch', 'reset', 'main', '--from', 'there', '--force', '--timeout', '0' ),
		) as $command ) {
			$outcome = $site->run( ...$command );
			$what    = implode( ' ', $command ) . ": {$outcome->text()}";
			same( 75, $outcome->status, "$what: exit status" );
			holds( 1 === preg_match( '~process (\d+) \(serving GET main /slow\.php~', $outcome->errors, $match ), "$what: it names the request" );
			holds( str_starts_with( readlink( "/proc/$match[1]/cwd" ), $site->dir ), 'the process is one of the server' );
			holds( str_contains( $outcome->errors, "\nhint: try again when it has ended, end it with 'kill $match[1]'" ), "$what: it has a hint" );
			same( $before, $state(), "$what: records and leftovers" );
		}
		$failure = json_decode( $site->run( '--json', 'branch', 'create', 'new', '--timeout', '0' )->out, true, 512, JSON_THROW_ON_ERROR );
		same( 75, $failure['exit'], 'the status in JSON' );
		same( 'mine', file_get_contents( "$site->dir/there/note.txt" ), 'what is on the branch' );
		same( '200', $finish_slow( $slow, 'a' ), 'what the page got' );
		$site->done( 'branch', 'delete', 'there' );
	}
);

test(
	'a request that asks its own site while a mutation waits for it is answered, with one worker too, and the mutation gets in',
	function () use ( $site, $start_slow, $finish_slow ) {
		$slow   = $start_slow( 'b' );
		$create = $site->command( array( 'branch', 'create', 'patient', '--timeout', '60' ) );
		$create->process->wait_for( '(serving GET main /slow.php' );
		holds( ! is_dir( "$site->dir/patient" ), 'nothing is published yet' );
		same( '200', $finish_slow( $slow, 'b' ), 'what the page got' );
		same( 0, $create->outcome()->status, 'exit status of create' );
		same( 200, $site->request( '/', array( 'Host' => $site->host( 'patient' ) ) )->status, 'the front page of the new branch' );
	}
);

test(
	'what a killed command leaves the server clears away, while requests go on and nobody types anything',
	function () use ( $site, $start_slow, $finish_slow, $state ) {
		$before = $state();
		$slow   = $start_slow( 'killed' );
		$create = $site->command( array( 'branch', 'create', 'never', '--timeout', '60' ) );
		$create->process->wait_for( '(serving GET main /slow.php' );
		// Between two tries it takes back what it has said.
		eventually( static fn () => file_exists( "$site->dir/.forkpress/cow/journal/intent.toml" ), 'it says what it is about to do' );
		$create->process->signal( SIGKILL );
		$create->process->wait();
		eventually( static fn () => $state() === $before, 'all of it has gone' );
		same( '200', $finish_slow( $slow, 'killed' ), 'what the page got' );
		$site->done( 'branch', 'create', 'never' );
		$site->done( 'branch', 'delete', 'never' );
	}
);

test(
	'commands that only read answer while somebody is stuck with every lock',
	function () use ( $site ) {
		$locks = $site->stuck( 'lifecycle.lock', 'mutation.lock', 'operations.gate', 'operations.lock' );
		same( array( 'main', 'patient' ), array_column( $site->json( 'branch', 'list' ), 'name' ), 'branches' );
		$show = $site->done( 'branch', 'show', 'patient' );
		holds( str_starts_with( $show, "forkpress cow branch patient\n" ), "branch show: $show" );
		same( array( $site->port ), array_column( $site->json( 'server', 'list' ), 'port' ), 'servers' );
		same( 0, $site->run( 'logs', '--paths' )->status, 'exit status of logs' );

		$busy = $site->run( 'branch', 'create', 'new', '--timeout', '0' );
		same( 75, $busy->status, 'exit status of create' );
		holds( str_contains( $busy->errors, 'process ' . getmypid() ), "it says who is stuck: $busy->errors" );
		if ( null !== Fpm::binary() ) {
			$page = $site->request( '/', array( 'Sec-Fetch-Mode' => 'navigate' ) );
			same( 503, $page->status, 'a person who waits: status' );
			holds( str_contains( $page->body, '(process ' . getmypid() ), "the page says for whom: $page->body" );
		}
		array_map( 'fclose', $locks );
		$site->done( 'branch', 'create', 'new' );
	}
);

test(
	'a program that exec runs in a branch holds the lock as a request does, and its children that stay do not',
	function () use ( $site ) {
		$dir    = temp_dir();
		$script = 'pwd >"$1/pwd"; echo "$HTTP_HOST $FORKPRESS_BRANCH" >"$1/env"; touch "$1/runs"; while [ ! -e "$1/go" ]; do sleep 0.01; done; exit 7';
		$exec   = $site->command( array( 'exec', 'patient', '--', 'sh', '-c', $script, 'sh', $dir ) );
		eventually( static fn () => file_exists( "$dir/runs" ), 'the program runs' );
		same( "$site->dir/patient\n", file_get_contents( "$dir/pwd" ), 'its folder' );
		same( "{$site->host( 'patient' )} patient\n", file_get_contents( "$dir/env" ), 'its environment' );
		$busy = $site->run( 'branch', 'delete', 'patient', '--timeout', '0' );
		same( 75, $busy->status, "{$busy->text()}: exit status of delete" );
		holds( str_contains( $busy->errors, "process {$exec->process->pid} " ), "it names forkpress exec: $busy->errors" );
		same( 200, $site->request( '/', array( 'Host' => $site->host( 'patient' ) ) )->status, 'a request beside it' );
		$site->done( 'branch', 'create', 'beside', '--timeout', '20' );
		$site->done( 'branch', 'delete', 'beside', '--timeout', '20' );
		same( 0, $site->run( 'exec', '--no-lock', 'patient', '--', 'true' )->status, 'without a lock' );
		touch( "$dir/go" );
		same( 7, $exec->outcome()->status, 'exit status of exec' );

		$site->run( 'exec', 'patient', '--', 'sh', '-c', 'sleep 600 >/dev/null 2>&1 & echo $! >"$1/child"', 'sh', $dir );
		$site->done( 'branch', 'delete', 'patient' );
		posix_kill( (int) file_get_contents( "$dir/child" ), SIGKILL );
	}
);

test(
	'a mutation that is killed while it waits keeps nobody waiting',
	function () use ( $site, $start_slow, $finish_slow ) {
		$slow   = $start_slow( 'c' );
		$create = $site->command( array( 'branch', 'create', 'killed', '--timeout', '600' ) );
		$create->process->wait_for( 'forkpress: waiting: ' );
		$create->process->stop();
		same( '200', $finish_slow( $slow, 'c' ), 'what the page got' );
		same( 200, $site->request( '/' )->status, 'the front page' );
		$site->done( 'branch', 'create', 'next' );
		same( array( 'main', 'new', 'next' ), array_column( $site->json( 'branch', 'list' ), 'name' ), 'branches' );
	}
);

test(
	'nobody complained',
	function () use ( $site ) {
		$site->has_no_complaints();
	}
);
