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

/** Takes random steps on a plain folder and on a URL, and compares each. */
final class Fuzz {
	private const NAMES = array( 'a', 'b', 'c', 'd.txt', 'e f', 'l1', 'l2' );

	/** @var string[] What was done last, for a message. */
	private array $done = array();

	/**
	 * Begins.
	 *
	 * @param string $plain  A folder, two folders deep in what nothing else uses.
	 * @param string $url    A URL as deep in a branch.
	 * @param string $inside The plain path of that.
	 */
	public function __construct( private string $plain, private string $url, private string $inside ) {}

	/** Returns a path that never leads above where it starts. */
	private function path(): string {
		$path  = '';
		$depth = 0;
		for ( $parts = mt_rand( 1, 4 ); $parts > 0; $parts-- ) {
			$kind = mt_rand( 0, 19 );
			if ( $depth > 0 && $kind < 2 ) {
				$path .= '/..';
				--$depth;
			} elseif ( 2 === $kind ) {
				$path .= '/.';
			} else {
				$path .= ( 3 === $kind ? '//' : '/' ) . self::NAMES[ mt_rand( 0, count( self::NAMES ) - 1 ) ];
				++$depth;
			}
		}
		return $path . ( 0 === mt_rand( 0, 9 ) ? '/' : '' );
	}

	/** Returns a step: its name, and what takes it in a folder. */
	private function step(): array {
		$p     = $this->path();
		$q     = $this->path();
		$n     = mt_rand( 0, 40 );
		$mode  = array( 'r', 'r+', 'w', 'w+', 'a', 'a+', 'x', 'x+', 'c', 'c+' )[ mt_rand( 0, 9 ) ];
		$perms = array( 0755, 0700, 0644, 0600, 0555, 0444 )[ mt_rand( 0, 5 ) ];
		$flags = array( 0, FILE_APPEND, LOCK_EX, FILE_APPEND | LOCK_EX )[ mt_rand( 0, 3 ) ];
		$steps = array(
			"open $mode $p $n"     => static function ( $b ) use ( $p, $n, $mode ) {
				$f = fopen( $b . $p, $mode );
				return ! $f ? $f : array( fwrite( $f, str_repeat( 'x', $n ) ), fseek( $f, $n, SEEK_CUR ), ftell( $f ), fread( $f, 10 ), ftruncate( $f, $n ), rewind( $f ), stream_get_contents( $f ), fstat( $f )['size'], fclose( $f ) );
			},
			"put $flags $p $n"     => static fn( $b ) => file_put_contents( $b . $p, str_repeat( 'y', $n ), $flags ),
			"put again $p $n"      => static fn( $b ) => file_put_contents( $b . $p, str_repeat( 'z', $n ) ),
			"get $p"               => static fn( $b ) => file_get_contents( $b . $p ),
			"unlink $p"            => static fn( $b ) => unlink( $b . $p ),
			"rename $p $q"         => static fn( $b ) => rename( $b . $p, $b . $q ),
			"copy $p $q"           => static fn( $b ) => copy( $b . $p, $b . $q ),
			"mkdir $p"             => static fn( $b ) => mkdir( $b . $p, $perms ),
			"mkdir again $p"       => static fn( $b ) => mkdir( $b . $p ),
			"mkdir -p $p"          => static fn( $b ) => mkdir( $b . $p, 0755, true ),
			"rmdir $p"             => static fn( $b ) => rmdir( $b . $p ),
			"scandir $p"           => static fn( $b ) => scandir( $b . $p ),
			"touch $p $n"          => static fn( $b ) => touch( $b . $p, $n * 1000 ),
			"chmod $p $perms"      => static fn( $b ) => chmod( $b . $p, $perms ),
			"ask $p"               => static fn( $b ) => array( file_exists( $b . $p ), is_file( $b . $p ), is_dir( $b . $p ), is_link( $b . $p ), is_readable( $b . $p ), is_writable( $b . $p ), is_executable( $b . $p ) ),
			"stat $p"              => static fn( $b ) => array_diff_key( (array) stat( $b . $p ), array_flip( array( 'dev', 'ino', 'atime', 'mtime', 'ctime', 'blocks', 0, 1, 8, 9, 10, 12 ) ) ),
			"lstat $p"             => static fn( $b ) => array( filetype( $b . $p ), lstat( $b . $p )['mode'] ?? null ),
			// Of a plain folder PHP says whatever went wrong before.
			"include $p"           => static fn( $b ) => is_dir( $b . $p ) || str_contains( $p, '/.' ) ? null : include $b . $p,
		);
		if ( 0 === mt_rand( 0, 12 ) ) {
			// Made by its plain path, as the wrapper makes none; it leads down, or nowhere.
			$target = array( 'a', 'b/c', 'c/d.txt', 'd.txt', 'l1', 'no/where' )[ mt_rand( 0, 5 ) ];
			$link   = array( '/l1', '/a/l1', '/b/l2' )[ mt_rand( 0, 2 ) ];
			return array( "symlink $link $target", fn( $b ) => symlink( $target, ( $b === $this->url ? $this->inside : $b ) . $link ) );
		}
		$name = array_rand( $steps );
		return array( $name, $steps[ $name ] );
	}

	/**
	 * Takes a step in one of the folders, and returns what it told.
	 *
	 * @param callable $step The step.
	 * @param string   $base The folder.
	 */
	private function told( callable $step, string $base ): array {
		$said = array();
		$real = $base === $this->url ? $this->inside : $base;
		set_error_handler(
			static function ( int $level, string $message ) use ( &$said ) {
				$said[] = "$level: $message";
				return true;
			}
		);
		clearstatcache( true );
		ob_start();
		try {
			$value = $step( $base );
		} catch ( \Throwable $thrown ) {
			$value = get_class( $thrown ) . $thrown->getMessage();
		} finally {
			$shown = ob_get_clean();
			restore_error_handler();
		}
		return array( $value, str_replace( array( $base, $real ), 'BASE', $said ), str_replace( $base, 'BASE', $shown ) );
	}

	/**
	 * Takes steps until two differ.
	 *
	 * @param int $steps How many at most.
	 */
	public function run( int $steps ): void {
		for ( $i = 0; $i < $steps; $i++ ) {
			list( $name, $step ) = $this->step();
			$this->done[]        = $name;
			$plain               = $this->told( $step, $this->plain );
			same( $plain, $this->told( $step, $this->url ), "step $i, after " . implode( '; ', array_slice( $this->done, -12 ) ) );
		}
		exec( 'chmod -R u+rwX ' . escapeshellarg( $this->plain ) . ' ' . escapeshellarg( $this->inside ) );
		same( self::tree( $this->plain ), self::tree( $this->inside ), 'the folders at the end' );
	}

	/**
	 * All that is in a folder.
	 *
	 * @param string $dir The folder.
	 */
	private static function tree( string $dir ): array {
		$tree = array();
		foreach ( array_diff( scandir( $dir ), array( '.', '..' ) ) as $name ) {
			$path          = "$dir/$name";
			$tree[ $name ] = match ( filetype( $path ) ) {
				'link'  => readlink( $path ),
				'dir'   => self::tree( $path ),
				default => file_get_contents( $path ),
			};
		}
		return $tree;
	}
}

/**
 * Takes random steps in folders of its own.
 *
 * @param Site   $site  The site.
 * @param string $plain A folder outside of it.
 */
function fuzz( Site $site, string $plain ): void {
	$seed = (int) ( getenv( 'FORKPRESS_FUZZ_SEED' ) ?: random_int( 1, PHP_INT_MAX ) );
	putenv( "FORKPRESS_BRANCHES_DIR=$site->dir" );
	putenv( 'FORKPRESS_BRANCH=main' );
	mt_srand( $seed );
	$rounds = 5;
	try {
		for ( $round = 0; $round < $rounds; $round++ ) {
			foreach ( array( "$plain/$round/q/r", "$site->dir/main/$round/q/r" ) as $dir ) {
				mkdir( $dir, 0777, true );
			}
			$fuzz = new Fuzz( "$plain/$round/q/r", "branchfs://main/$round/q/r", "$site->dir/main/$round/q/r" );
			$fuzz->run( intdiv( (int) ( getenv( 'FORKPRESS_FUZZ_STEPS' ) ?: 10000 ), $rounds ) );
		}
	} catch ( Failure $failure ) {
		throw new Failure( "FORKPRESS_FUZZ_SEED=$seed, round $round: " . $failure->getMessage() );
	} finally {
		putenv( 'FORKPRESS_BRANCHES_DIR' );
		putenv( 'FORKPRESS_BRANCH' );
		branchfs_unlock();
	}
}

/**
 * Takes random steps in a process of its own: a request knows one site.
 *
 * @param int|null $user The user that it becomes; null: none.
 */
function fuzz_in_child( ?int $user ): void {
	$site  = new Site();
	$plain = temp_dir();
	$told  = "$plain/told";
	if ( null !== $user ) {
		exec( "chown -R $user:$user " . escapeshellarg( $site->dir ) . ' ' . escapeshellarg( $plain ) );
	}
	$child = pcntl_fork();
	if ( 0 === $child ) {
		if ( null !== $user ) {
			posix_setgid( $user );
			posix_setuid( $user );
		}
		try {
			fuzz( $site, $plain );
			file_put_contents( $told, 'ok' );
		} catch ( \Throwable $failure ) {
			file_put_contents( $told, $failure->getMessage() );
		}
		exit;
	}
	pcntl_waitpid( $child, $status );
	same( 'ok', @file_get_contents( $told ), 'what it told' );
}

test( 'random operations on a URL and on a plain folder tell the same and leave the same', static fn() => fuzz_in_child( null ) );

if ( 0 !== posix_geteuid() ) {
	echo "SKIPPED: random operations as somebody who may not do all: this is not root, who can become such a one\n";
} else {
	test( 'the same for a user who may not do all', static fn() => fuzz_in_child( 65534 ) );
}
