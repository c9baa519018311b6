<?php
/**
 * The stream wrapper branchfs://: what code does to files through it is what it does to plain ones, within the branch.
 *
 * php -d "extension=$(pwd)/ext/branchfs.so" tests/test_branchfs_stream.php
 *
 * FORKPRESS_FUZZ_SEED repeats a run of the random operations; FORKPRESS_FUZZ_STEPS says how many there are.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/lib.php';
require __DIR__ . '/fixtures/stream_body.php';

/** A site with the branches main and other, each with a few files, and with records. */
final class Site {
	/** @var string Its folder. */
	public readonly string $dir;

	/** @var string The folder of its lock. */
	public readonly string $cow;

	public function __construct() {
		$this->dir = temp_dir();
		$this->cow = "$this->dir/.forkpress/cow";
		put( "$this->dir/.forkpress/site.toml", "version = 1\nroot_host = \"wp.localhost\"\nport = 18080\n" );
		put( "$this->cow/operations.lock", sprintf( "generation %020d\n", 7 ) );
		foreach ( array( 'main', 'other' ) as $branch ) {
			put( "$this->dir/$branch/name.txt", $branch );
			put( "$this->dir/$branch/index.php", '<?php echo "page of ' . $branch . '";' );
			put( "$this->dir/$branch/wp-content/plugins/p.php", '<?php return 1;' );
			put( "$this->dir/$branch/wp-content/database/.ht.sqlite", 'data' );
			put( "$this->cow/branches/$branch.toml", "created_at = \"2026-01-01T00:00:00Z\"\n" . ( 'main' === $branch ? '' : "from = \"main\"\n" ) . "generation = 7\n" );
		}
		put( "$this->dir/secret.txt", 'secret' );
	}

	/**
	 * Runs code in a PHP of its own, and returns what it echoed.
	 *
	 * @param string   $code What follows `<?php`.
	 * @param string   $cwd  The folder it starts in, within the site.
	 * @param string[] $ini  Settings.
	 * @param string[] $env  What its environment has beyond this process's.
	 */
	public function run( string $code, string $cwd = 'main', array $ini = array(), array $env = array() ): string {
		$process = new Process( php( array( '-r', $code ), array( 'display_errors=stderr', 'log_errors=0', ...$ini ) ), $env, "$this->dir/$cwd" );
		fclose( $process->stdin );
		same( 0, $process->wait(), 'exit status, with ' . $process->output() );
		return $process->output();
	}
}

/**
 * Fails unless two records of the same steps tell the same.
 *
 * @param array $plain What plain paths told.
 * @param array $urls  What URLs told.
 */
function same_steps( array $plain, array $urls ): void {
	holds( count( $plain ) > 300, 'the steps were taken' );
	same( array_keys( $plain ), array_keys( $urls ), 'the steps' );
	$differ = array();
	foreach ( $plain as $name => $told ) {
		if ( $told !== $urls[ $name ] ) {
			$show     = static fn ( $value ) => substr( json_encode( $value, JSON_PARTIAL_OUTPUT_ON_ERROR | JSON_UNESCAPED_SLASHES ), 0, 900 );
			$differ[] = "$name:\n          plain    " . $show( $told ) . "\n          branchfs " . $show( $urls[ $name ] );
		}
	}
	same( 0, count( $differ ), implode( "\n        ", array_slice( $differ, 0, 40 ) ) . "\n        steps that differ" );
}

/**
 * Code that takes the steps on plain paths and on URLs, and echoes both records.
 *
 * @param Site $site The site.
 */
function steps_script( Site $site ): string {
	$body = var_export( ROOT . '/tests/fixtures/stream_body.php', true );
	$dirs = var_export( array( temp_dir() . '/around/steps', "$site->dir/main/steps" ), true );
	// A web request echoes nothing else, whatever the steps do.
	return "require $body; list( \$plain, \$inside ) = $dirs; 
		@mkdir( \$plain, 0777, true ); @mkdir( \$inside ); ob_start();
		\$told = array( forkpress_stream_steps( \$plain, \$plain ), forkpress_stream_steps( 'branchfs://main/steps', \$inside ) );
		ob_end_clean(); echo base64_encode( serialize( \$told ) );";
}

$told = static fn ( string $output ): array => unserialize( base64_decode( $output ) );

test(
	'CLI: what code does to files it does to URLs, with the same answers and warnings',
	function () use ( $told ) {
		$site = new Site();
		same_steps( ...$told( $site->run( steps_script( $site ) ) ) );
	}
);

test(
	'the built-in server: the same',
	function () use ( $told ) {
		$site = new Site();
		put( "$site->dir/main/steps.php", '<?php ' . steps_script( $site ) );
		$server = new Server( ROOT . '/runtime/router_cow.php', array( 'FORKPRESS_BRANCHES_DIR' => $site->dir ) );
		same_steps( ...$told( $server->request( '/steps.php' )->body ) );
	}
);

if ( null === Fpm::binary() ) {
	echo "SKIPPED: php-fpm or cgi-fcgi is not installed (Debian: php-fpm, libfcgi-bin)\n";
} else {
	test(
		'php-fpm: the same, twice in one process',
		function () use ( $told ) {
			$site = new Site();
			$fpm  = new Fpm( temp_dir(), 1, array(), array( 'FORKPRESS_BRANCHES_DIR' => $site->dir ) );
			for ( $i = 0; $i < 2; $i++ ) {
				put( "$site->dir/main/steps.php", '<?php ' . steps_script( $site ) );
				remove( "$site->dir/main/steps" );
				$params = array(
					'HTTP_HOST'   => 'wp.localhost',
					'REQUEST_URI' => '/steps.php',
				);
				same_steps( ...$told( $fpm->request( ROOT . '/runtime/router_cow.php', $params )->body ) );
			}
		}
	);
}
