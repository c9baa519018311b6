<?php
/**
 * The stream wrapper branchfs://: what code does to files through it is what it does to plain ones, within the branch. What
 * requests do is tested under PHP's built-in server and behind `forkpress serve`, the steps also under php-fpm by itself.
 *
 * php -d "extension=$(pwd)/ext/branchfs.so" tests/test_branchfs_stream.php
 *
 * FORKPRESS_FUZZ_SEED repeats a run of the random operations; FORKPRESS_FUZZ_STEPS says how many there are.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/served.php';
require __DIR__ . '/fixtures/stream_body.php';

// The process of fuzz_in_child().
if ( 'fuzz' === ( $argv[1] ?? null ) ) {
	list( , , $site, $plain, $user ) = $argv;
	if ( '' !== $user ) {
		posix_setgid( (int) $user );
		posix_setuid( (int) $user );
	}
	try {
		fuzz( $site, $plain );
		$told = 'ok';
	} catch ( \Throwable $failure ) {
		$told = $failure->getMessage();
	}
	file_put_contents( "$plain/told", $told );
	exit;
}

/** A site with the branches main and other, each with a few files, and with records. */
final class Site {
	/** @var string Its folder. */
	public readonly string $dir;

	/** @var string The folder of its lock. */
	public readonly string $cow;

	/** Makes it. */
	public function __construct() {
		$this->dir = temp_dir();
		$this->cow = "$this->dir/.forkpress/cow";
		make_site_of( $this->dir );
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

foreach ( SERVERS as $where => $by_fpm ) {
	test(
		"$where: the same",
		function () use ( $told, $by_fpm ) {
			$site = new Site();
			put( "$site->dir/main/steps.php", '<?php ' . steps_script( $site ) );
			$server = server_of( $by_fpm, $site->dir );
			same_steps( ...$told( $server->request( '/steps.php' )->body ) );
		}
	);
}

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
 * @param string $site  The folder of the site.
 * @param string $plain A folder outside of it.
 */
function fuzz( string $site, string $plain ): void {
	$seed = (int) ( getenv( 'FORKPRESS_FUZZ_SEED' ) ?: random_int( 1, PHP_INT_MAX ) );
	putenv( "FORKPRESS_BRANCHES_DIR=$site" );
	putenv( 'FORKPRESS_BRANCH=main' );
	mt_srand( $seed );
	$rounds = 5;
	try {
		for ( $round = 0; $round < $rounds; $round++ ) {
			foreach ( array( "$plain/$round/q/r", "$site/main/$round/q/r" ) as $dir ) {
				mkdir( $dir, 0777, true );
			}
			$fuzz = new Fuzz( "$plain/$round/q/r", "branchfs://main/$round/q/r", "$site/main/$round/q/r" );
			$fuzz->run( intdiv( (int) ( getenv( 'FORKPRESS_FUZZ_STEPS' ) ?: 10000 ), $rounds ) );
		}
	} catch ( Failure $failure ) {
		throw new Failure( "FORKPRESS_FUZZ_SEED=$seed, round $round: " . $failure->getMessage() );
	}
}

/**
 * Takes random steps in a process of its own: a request knows one site. It has no realpath cache: the second look at a symlink to
 * where the user may not look tells something else with it.
 *
 * @param int|null $user The user that it becomes; null: none.
 */
function fuzz_in_child( ?int $user ): void {
	$site  = new Site();
	$plain = temp_dir();
	if ( null !== $user ) {
		exec( "chown -R $user:$user " . escapeshellarg( $site->dir ) . ' ' . escapeshellarg( $plain ) );
	}
	$child = new Process( php( array( __FILE__, 'fuzz', $site->dir, $plain, (string) $user ), array( 'realpath_cache_size=0' ) ) );
	// For as long as so many steps take.
	while ( $child->runs() ) {
		usleep( 20000 );
	}
	same( 'ok', @file_get_contents( "$plain/told" ), 'what it told' );
}

test( 'random operations on a URL and on a plain folder tell the same and leave the same', static fn() => fuzz_in_child( null ) );

if ( 0 !== posix_geteuid() ) {
	echo "SKIPPED: random operations as somebody who may not do all: this is not root, who can become such a one\n";
} else {
	test( 'the same for a user who may not do all', static fn() => fuzz_in_child( 65534 ) );
}

test(
	'no path, symlink or name leads out of a branch or to what is out of reach',
	function () {
		$site = new Site();
		foreach ( array(
			'out'         => '../secret.txt',
			'up'          => '..',
			'absolute'    => "$site->dir/secret.txt",
			'etc'         => '/etc',
			'own-real'    => "$site->dir/main/name.txt",
			'to-other'    => '../other/name.txt',
			'to-database' => 'wp-content/database',
			'to-content'  => 'wp-content',
		) as $link => $target ) {
			symlink( $target, "$site->dir/main/$link" );
		}
		$code = '
			$outside  = array( "../secret.txt", "a/../../secret.txt", "out", "up/secret.txt", "absolute", "etc/passwd", "own-real", "to-other", "wp-content/../../secret.txt" );
			$private  = array( "wp-content/database", "wp-content/database/.ht.sqlite", "to-database/.ht.sqlite", "to-content/database/.ht.sqlite", "wp-content/plugins/../database/.ht.sqlite", "WP-Content/../wp-content/DATABASE/x", ".forkpress/x" );
			$said     = array();
			set_error_handler( function ( $level, $message ) use ( &$said ) { $said[] = $message; return true; } );
			foreach ( array_merge( $outside, $private ) as $path ) {
				$u = "branchfs://main/$path";
				$got = array( file_get_contents( $u ), file_put_contents( $u, "x" ), file_put_contents( $u, "x", LOCK_EX ), fopen( $u, "c+" ), file_exists( $u ), stat( $u ), scandir( $u ), touch( $u ), chmod( $u, 0777 ), mkdir( "$u/d" ), mkdir( "$u/d/e", 0777, true ), rmdir( "$u/d" ), unlink( "$u/d" ), rename( "branchfs://main/name.txt", "$u/x" ), rename( "$u/x", "branchfs://main/x" ), copy( $u, "branchfs://main/x" ), copy( "branchfs://main/name.txt", $u ), @include $u, is_readable( $u ), is_writable( $u ) );
				foreach ( $got as $i => $value ) { if ( $value !== false ) { echo "$path: $i returned ", var_export( $value, true ), "\n"; } }
			}
			echo count( preg_grep( "/leads out of the branch/", $said ) ) > 50 ? "" : "no word of a path that leads out\n";
			echo count( preg_grep( "/out of reach/", $said ) ) > 50 ? "" : "no word of what is out of reach\n";
			echo count( preg_grep( "/secret|data/", array_map( fn( $line ) => preg_replace( "~branchfs:\S*|the database~", "", $line ), $said ) ) ) ? "a warning tells what is there\n" : "";
			foreach ( array( "rename" => array( "branchfs://main/wp-content", "branchfs://main/x" ), "rmdir" => array( "branchfs://main" ), "unlink" => array( "branchfs://main/" ), "mkdir" => array( "branchfs://other" ) ) as $function => $arguments ) {
				if ( $function( ...$arguments ) ) { echo "$function succeeded\n"; }
			}
			echo in_array( "database", scandir( "branchfs://main/wp-content" ), true ) ? "the database is listed\n" : "", "done";
		';
		same( 'done', $site->run( $code, 'main', array( 'branchfs.write=any' ) ), 'what a script finds' );
		same( array( 'secret', 'main', 'other', 'data' ), array_map( 'file_get_contents', array( "$site->dir/secret.txt", "$site->dir/main/name.txt", "$site->dir/other/name.txt", "$site->dir/main/wp-content/database/.ht.sqlite" ) ), 'what is on disk' );
	}
);

test(
	'a folder that another process swaps for a symlink meanwhile never leads out',
	function () {
		$site = new Site();
		put( "$site->dir/outside/file.txt", 'secret' );
		put( "$site->dir/main/swap/file.txt", 'inside' );
		symlink( "$site->dir/outside", "$site->dir/link" );
		// Swaps until it is told to stop, and says when it has begun.
		$swap    = '$d = $argv[1]; stream_set_blocking( STDIN, false ); for ( $i = 0; ; $i++ ) { rename( "$d/main/swap", "$d/aside" ); rename( "$d/link", "$d/main/swap" ); rename( "$d/main/swap", "$d/link" ); rename( "$d/aside", "$d/main/swap" ); if ( 3 === $i ) { echo "swapping\n"; } if ( 0 === $i % 50 && fgets( STDIN ) ) { exit; } }';
		$swapper = new Process( array( PHP_BINARY, '-n', '-r', $swap, $site->dir ) );
		$swapper->wait_for( 'swapping' );
		$code = '
			$seen = array();
			for ( $i = 0; $i < 20000 && ( $i < 4000 || count( $seen ) < 2 ); $i++ ) {
				$text = @file_get_contents( "branchfs://main/swap/file.txt" );
				$seen[ var_export( $text, true ) ] = true;
				@file_put_contents( "branchfs://main/swap/file.txt", "inside", LOCK_EX );
				@touch( "branchfs://main/swap/new.txt" );
				@rename( "branchfs://main/swap/new.txt", "branchfs://main/swap/newer.txt" );
				@unlink( "branchfs://main/swap/newer.txt" );
				@mkdir( "branchfs://main/swap/a/b", 0777, true );
				@chmod( "branchfs://main/swap/file.txt", 0777 );
				$names = @scandir( "branchfs://main/swap" );
				if ( $names && in_array( "outside-only", $names, true ) ) { $seen["the names outside"] = true; }
			}
			ksort( $seen ); echo implode( " ", array_keys( $seen ) );
		';
		put( "$site->dir/outside/outside-only", '' );
		chmod( "$site->dir/outside/file.txt", 0600 );
		$seen = $site->run( $code );
		fwrite( $swapper->stdin, "stop\n" );
		same( 0, $swapper->wait(), 'the swapper, with ' . $swapper->output() );
		// What it was at an empty moment, between truncating and writing, is inside too.
		same( "'inside' false", trim( preg_replace( "/''/", '', $seen ) ), 'what was read' );
		same( array( 'file.txt', 'outside-only' ), array_values( array_diff( scandir( "$site->dir/outside" ), array( '.', '..' ) ) ), 'the folder outside' );
		same( array( 'secret', 0600 ), array( file_get_contents( "$site->dir/outside/file.txt" ), fileperms( "$site->dir/outside/file.txt" ) & 0777 ), 'the file outside' );
	}
);

test(
	'odd arguments get a failure value and a warning',
	function () {
		$site = new Site();
		$code = '
			$said = array();
			set_error_handler( function ( $level, $message ) use ( &$said ) { $said[] = preg_replace( "/n{20,}/", "nn", $message ); return true; } );
			$try = function ( callable $call ) { try { return $call(); } catch ( Throwable $thrown ) { return get_class( $thrown ) . ": " . $thrown->getMessage(); } };
			$long = str_repeat( "n", 100000 );
			$deep = str_repeat( "n/", 50000 );
			$got = array();
			foreach ( array( "branchfs://nowhere/x", "branchfs://Main/x", "branchfs://\xff\n/x", "branchfs://$long/x", "branchfs:///x", "branchfs://..", "branchfs://main/$long", "branchfs://main/$deep", "branchfs://" ) as $url ) {
				foreach ( array( "fopen" => array( "r" ), "file_put_contents" => array( "x" ), "opendir" => array(), "stat" => array(), "mkdir" => array(), "rmdir" => array(), "unlink" => array(), "touch" => array(), "chmod" => array( 0700 ), "rename" => array( "branchfs://main/x" ), "copy" => array( "branchfs://main/x" ), "is_writable" => array(), "file_exists" => array(), "branchfs_path" => array(), "branchfs_glob" => array() ) as $function => $arguments ) {
					$value = $try( fn() => $function( $url, ...$arguments ) );
					if ( is_resource( $value ) || ( is_array( $value ) && in_array( $function, array( "stat", "branchfs_glob" ), true ) ) || ( true === $value && "file_exists" === $function ) ) { continue; }
					if ( "branchfs_path" === $function ) { continue; }
					if ( false !== $value && array() !== $value ) { $got[] = "$function " . substr( $url, 0, 30 ) . ": " . var_export( $value, true ); }
				}
			}
			foreach ( array( fn() => fopen( "branchfs://main/a\0b", "r" ), fn() => branchfs_path( "branchfs://main/a\0b" ), fn() => branchfs_path( "branchfs://nowhere/x" ), fn() => branchfs_path( "/etc/passwd" ), fn() => branchfs_path( "branchfs://main/../x" ), fn() => branchfs_path( "branchfs://main/wp-content/database" ), fn() => branchfs_glob( "/etc/*" ), fn() => branchfs_glob( "branchfs://main/*", 1 << 29 ), fn() => branchfs_path( "branchfs://./name.txt" ) ) as $call ) { $got[] = $try( $call ); }
			echo json_encode( array( $got, array_values( array_unique( $said ) ) ), JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_SLASHES );
		';
		list( $got, $said ) = json_decode( $site->run( $code ), true );
		same(
			array(
				'ValueError: fopen(): Argument #1 ($filename) must not contain any null bytes',
				'Branchfs\Exception: a URL has the form branchfs://BRANCH/path',
				'Branchfs\Exception: branch not found: nowhere',
				'Branchfs\Exception: a URL has the form branchfs://BRANCH/path',
				'Branchfs\Exception: the path leads out of the branch',
				"Branchfs\Exception: the database and ForkPress's own files are out of reach of branchfs://",
				false,
				false,
				"$site->dir/main/name.txt",
			),
			$got,
			'what calls return'
		);
		foreach ( array(
			'fopen(branchfs://nowhere/x): Failed to open stream: branch not found: nowhere',
			'opendir(branchfs://nowhere/x): Failed to open directory: branch not found: nowhere',
			'fopen(branchfs://main/nn): Failed to open stream: File name too long',
			'fopen(branchfs:///x): Failed to open stream: a URL has the form branchfs://BRANCH/path',
			'branchfs_glob(): The pattern has the form branchfs://BRANCH/path',
			'branchfs_glob(): At least one of the passed flags is invalid or not supported on this platform',
			'unlink(branchfs://): branches are made and removed with the command forkpress',
		) as $warning ) {
			holds( in_array( $warning, $said, true ), "PHP says '$warning', in " . implode( "\n", $said ) );
		}
		same( array(), array_values( preg_grep( '/panic|Rust/', $said ) ), 'panics' );
	}
);

test(
	'code cannot make another branch its own: whoever says first which it is has said it',
	function () {
		$try = '
			$writes = static fn() => array_map( static fn( $branch ) => (bool) @file_put_contents( "branchfs://$branch/w.txt", "x" ), array( "main", "other" ) );
			$resolve = static fn( $host ) => branchfs_resolve( $host, "/", "wp.localhost", SITE, SITE . "/.forkpress/cow", array() );
		';
		$ways = array(
			'resolve again'         => '$resolve( "wp.localhost" ); $resolve( "other.wp.localhost" );',
			'resolve after a write' => '$writes(); $resolve( "other.wp.localhost" );',
			'take the lock again'   => '$resolve( "wp.localhost" ); branchfs_unlock(); $resolve( "other.wp.localhost" ); branchfs_lock_shared( SITE . "/.forkpress/cow/operations.lock" );',
			'route'                 => '$resolve( "wp.localhost" ); branchfs_route( "other.wp.localhost", "/", "wp.localhost" );',
			'go elsewhere'          => 'chdir( SITE . "/other" );',
			'change the environment after a write' => '$writes(); putenv( "FORKPRESS_BRANCH=other" ); chdir( SITE . "/other" );',
			'change the setting'    => '$resolve( "wp.localhost" ); ini_set( "branchfs.write", "any" ); ini_restore( "branchfs.write" );',
		);
		foreach ( $ways as $how => $code ) {
			$site = new Site();
			$code = 'const SITE = ' . var_export( $site->dir, true ) . ";$try $code echo json_encode( array( \$writes(), branchfs_get_branch() ) );";
			same( '[[true,false],"main"]', $site->run( $code, 'main' ), $how );
			holds( ! file_exists( "$site->dir/other/w.txt" ), "$how: the other branch is as it was" );
		}
		$site = new Site();
		$code = 'const SITE = ' . var_export( $site->dir, true ) . ";$try putenv( 'FORKPRESS_BRANCH=main' ); \$resolve( 'wp.localhost' ); echo json_encode( \$writes() );";
		same( '[false,true]', $site->run( $code, 'main', array(), array( 'FORKPRESS_BRANCH' => 'other' ) ), 'in forkpress exec' );
	}
);

test(
	'branchfs.write says which branches may be changed, and code cannot give itself leave',
	function () {
		$code = '
			$write = fn( $u ) => array( @file_put_contents( "$u/w.txt", "x" ), @rename( "$u/w.txt", "$u/v.txt" ), @mkdir( "$u/d" ), @rmdir( "$u/d" ), @touch( "$u/t" ), @chmod( "$u/name.txt", 0600 ), @unlink( "$u/t" ), is_writable( "$u/name.txt" ), (bool) @fopen( "$u/name.txt", "r+" ), @copy( "$u/name.txt", "$u/c.txt" ), file_get_contents( "$u/name.txt" ) );
			ini_set( "branchfs.write", "any" );
			echo json_encode( array( $write( "branchfs://main" ), $write( "branchfs://other" ), @rename( "branchfs://main/index.php", "branchfs://other/moved.php" ), @copy( "branchfs://other/name.txt", "branchfs://main/copied" ) ) );
		';
		$all  = static fn( string $name ) => array( 1, true, true, true, true, true, true, true, true, true, $name );
		$none = static fn( string $name ) => array( ...array_fill( 0, 10, false ), $name );
		foreach ( array(
			'own'  => array( $all( 'main' ), $none( 'other' ), false, true ),
			'any'  => array( $all( 'main' ), $all( 'other' ), true, true ),
			'none' => array( $none( 'main' ), $none( 'other' ), false, false ),
			'nune' => array( $none( 'main' ), $none( 'other' ), false, false ),
		) as $setting => $expected ) {
			$site = new Site();
			same( json_encode( $expected ), $site->run( $code, 'main', array( "branchfs.write=$setting" ) ), $setting );
			same( 'any' === $setting, is_file( "$site->dir/other/moved.php" ), "moved with $setting" );
		}
		$site = new Site();
		same( '[false,"this code runs in no branch: name one, as in branchfs:\/\/main\/path"]', $site->run( 'echo json_encode( array( @file_get_contents( "branchfs://./name.txt" ), substr( strstr( error_get_last()["message"], "stream: " ), 8 ) ) );', '.' ), 'outside of every branch' );
		same( 'other', $site->run( 'echo file_get_contents( "branchfs://./name.txt" );', 'main', array(), array( 'FORKPRESS_BRANCH' => 'other' ) ), 'in forkpress exec' );
	}
);

test(
	'open_basedir holds for URLs, too',
	function () {
		$site = new Site();
		$code = 'echo json_encode( array( file_get_contents( "branchfs://main/name.txt" ), @file_get_contents( "branchfs://other/name.txt" ), @stat( "branchfs://other/name.txt" ), file_exists( "branchfs://other/name.txt" ), is_readable( "branchfs://other/name.txt" ), @opendir( "branchfs://other" ), @unlink( "branchfs://other/name.txt" ), @rename( "branchfs://main/name.txt", "branchfs://other/x" ), @copy( "branchfs://other/name.txt", "branchfs://main/x" ), is_readable( "branchfs://main/name.txt" ) ) );';
		same( '["main",false,false,false,false,false,false,false,false,true]', $site->run( $code, 'main', array( "open_basedir=$site->dir/main", 'branchfs.write=any' ) ), 'what is in reach' );
		same( 'other', file_get_contents( "$site->dir/other/name.txt" ), 'the other branch' );
	}
);

test(
	'branches are listed, with what their records say',
	function () {
		$site = new Site();
		mkdir( "$site->dir/no-branch" );
		$code     = 'echo json_encode( array( scandir( "branchfs://" ), is_dir( "branchfs://" ), is_dir( "branchfs://main" ), is_dir( "branchfs://no-branch" ), file_exists( "branchfs://nowhere" ), iterator_count( new RecursiveIteratorIterator( new RecursiveDirectoryIterator( "branchfs://", FilesystemIterator::SKIP_DOTS ) ) ), branchfs_branches() ) );';
		$branches = static fn( string $at ) => array(
			array( 'name' => 'main', 'created' => '2026-01-01T00:00:00Z', 'from' => null, 'generation' => 7, 'url' => "http://wp.localhost$at/" ),
			array( 'name' => 'other', 'created' => '2026-01-01T00:00:00Z', 'from' => 'main', 'generation' => 7, 'url' => "http://other.wp.localhost$at/" ),
		);
		// Each branch has three files within reach.
		$expected = static fn( string $at ) => array( array( '.', '..', 'main', 'other' ), true, true, false, false, 6, $branches( $at ) );
		same( $expected( ':18080' ), json_decode( $site->run( $code ), true ), 'what a script is told' );
		put( "$site->dir/main/list.php", "<?php $code" );
		put( "$site->dir/main/expected.txt", '' );
		foreach ( SERVERS as $where => $by_fpm ) {
			$server = server_of( $by_fpm, $site->dir );
			$told   = json_decode( $server->request( '/list.php' )->body, true );
			same( $branches( ":$server->port" ), $told[6], "what a request is told by $where" );
		}
	}
);

test(
	'a branch has an address before it is there, and what its record says is told one by one, too',
	function () {
		$site = new Site();
		put( "$site->cow/branches/broken.toml", 'generation = [' );
		mkdir( "$site->dir/.forkpress/linux-cow/mount/branches", 0755, true );
		$code = '$cow = getcwd() . "/../.forkpress/cow"; echo json_encode( array(
			array_map( "branchfs_branch_url", array( "main", "other", "to-come", "No Name" ) ),
			array_map( fn ( $name ) => branchfs_record( $cow, $name ), array( "main", "other", "broken", "none", "../other" ) ),
			branchfs_tree_roots( getcwd() . "/../", $cow ), branchfs_tree_roots( getcwd(), "/nowhere/cow" ), branchfs_tree_roots( "/nowhere", "/nowhere/cow" ),
		) );';
		$main  = array(
			'created'    => '2026-01-01T00:00:00Z',
			'from'       => null,
			'generation' => 7,
		);
		$other = array( 'from' => 'main' ) + $main;
		ksort( $other );
		$told = json_decode( $site->run( $code ), true );
		same( array( 'http://wp.localhost:18080/', 'http://other.wp.localhost:18080/', 'http://to-come.wp.localhost:18080/', null ), $told[0], 'addresses' );
		same( array( $main, $other, array_fill_keys( array_keys( $main ), null ), null, null ), $told[1], 'records' );
		same( array( "$site->dir/.forkpress/linux-cow/mount/branches/", "$site->dir/" ), $told[2], 'folders with a folder for each branch' );
		same( array( array( "$site->dir/main/" ), array() ), array( $told[3], $told[4] ), 'the same where there is no site, and no folder' );
	}
);

test(
	'branchfs_glob() finds what glob() finds',
	function () {
		$site = new Site();
		foreach ( array( 'a.php', 'b.php', '.hidden', 'a[1].txt', 'sub/a.php', 'sub/deep/c.php', 'other/a.php', 'other/.x/y.php', 'ünï.txt', 'back\\slash', 'star*', 'x{y}', 'z,1' ) as $file ) {
			put( "$site->dir/main/g/$file", '' );
		}
		symlink( 'sub', "$site->dir/main/g/link" );
		symlink( 'nowhere', "$site->dir/main/g/broken" );
		$patterns = array( '*', '*.php', '*/*.php', '*/*/*.php', '**/*.php', '?.php', '[ab].php', '[!a]*', '[^a]*', '.*', '*.', 'a[[]1].txt', 'a\[1\].txt', 'sub', 'sub/', 'sub/a.php', 'none', 'none/*', '*/', 'link/*', 'link/deep/*', 'broken', 'b*', '{a,b}.php', '{sub,other}/*', '{a,{b,c}}.php', '{a', '{}', 'x{y}', 'x\{y\}', '{*.php,*}', 'z,1', '{z\,1,a.php}', 'back\\\\slash', 'back*', 'star\*', '[[:alpha:]]*', '[a-b]*', '[z-a]*', '[', '*[', 'a*p', '*/.x/*', 'sub/../*.php', './*.php', 'sub//a.php', '[]a]*', '*i.txt', '\\', '*\\', '' );
		$flags    = array( 0, GLOB_MARK, GLOB_NOSORT, GLOB_NOCHECK, GLOB_NOESCAPE, GLOB_BRACE, GLOB_ONLYDIR, GLOB_ERR, GLOB_BRACE | GLOB_MARK, GLOB_ONLYDIR | GLOB_MARK, GLOB_BRACE | GLOB_NOCHECK, GLOB_BRACE | GLOB_NOESCAPE, GLOB_NOCHECK | GLOB_ONLYDIR );
		$code     = 'list( $dir, $patterns, $flags ) = ' . var_export( array( "$site->dir/main/g", $patterns, $flags ), true ) . ';
			foreach ( $patterns as $pattern ) {
				foreach ( $flags as $flag ) {
					$bare = fn( $found, $base ) => is_array( $found ) ? array_map( fn( $path ) => str_replace( $base, "BASE", $path ), $found ) : $found;
					$plain = $bare( glob( "$dir/$pattern", $flag ), $dir );
					$urls  = $bare( branchfs_glob( "branchfs://main/g/$pattern", $flag ), "branchfs://main/g" );
					if ( $flag & GLOB_NOSORT ) { sort( $plain ); sort( $urls ); }
					if ( $plain !== $urls ) { echo "$pattern with $flag: glob() ", json_encode( $plain ), ", branchfs_glob() ", json_encode( $urls ), "\n"; }
				}
			}
			echo json_encode( array( branchfs_glob( "branchfs://*/name.txt" ), branchfs_glob( "branchfs://{main,nowhere}/*.txt", GLOB_BRACE ), branchfs_glob( "branchfs://./n*" ), branchfs_glob( "branchfs://*" ), branchfs_glob( "branchfs://main/wp-content/*" ), branchfs_glob( "branchfs://main/wp-content/database/*" ) ), JSON_UNESCAPED_SLASHES );';
		same(
			json_encode(
				array(
					array( 'branchfs://main/name.txt', 'branchfs://other/name.txt' ),
					array( 'branchfs://main/name.txt' ),
					array( 'branchfs://./name.txt' ),
					array( 'branchfs://main', 'branchfs://other' ),
					array( 'branchfs://main/wp-content/plugins' ),
					array(),
				),
				JSON_UNESCAPED_SLASHES
			),
			$site->run( $code ),
			'what differs, then what is found'
		);
	}
);

test(
	'a script takes the lock with its first operation, and keeps it to its end',
	function () {
		$site   = new Site();
		$script = new Process( php( array( '-r', 'echo file_get_contents( "branchfs://main/name.txt" ), " ", json_encode( branchfs_lock_status()["held"] ), "\n"; fgets( STDIN );' ) ), array(), "$site->dir/main" );
		$lock   = fopen( "$site->cow/operations.lock", 'r' );
		$script->wait_for( 'main true' );
		same( false, flock( $lock, LOCK_EX | LOCK_NB ), 'a writer gets the lock while the script runs' );
		fwrite( $script->stdin, "\n" );
		same( 0, $script->wait(), 'exit status' );
		holds( flock( $lock, LOCK_EX | LOCK_NB ), 'a writer gets the lock afterwards' );

		$code = 'set_error_handler( function ( $level, $message ) { echo preg_replace( "/process \d+/", "process N", $message ), "\n"; return true; } ); var_dump( file_get_contents( "branchfs://main/name.txt" ), file_exists( "branchfs://main/name.txt" ), unlink( "branchfs://main/name.txt" ) );';
		$said = $site->run( $code, 'main', array( 'branchfs.lock_timeout=0' ) );
		holds( 1 === preg_match( '/^file_get_contents\(branchfs:\/\/main\/name.txt\): Failed to open stream: .*lock.*\nunlink\(branchfs:\/\/main\/name.txt\): .*lock.*\nbool\(false\)\nbool\(false\)\nbool\(false\)\n$/', $said ), "a script that can not have the lock is told so: $said" );
		same( 'main', file_get_contents( "$site->dir/main/name.txt" ), 'the file' );
	}
);

test(
	'what is published while a script has let the lock go is what it sees then',
	function () {
		$site = new Site();
		$code = '
			$look = function () { echo json_encode( array( @file_get_contents( "branchfs://other/name.txt" ), file_exists( "branchfs://other/new.txt" ), @scandir( "branchfs://" ) ) ), "\n"; };
			$look(); branchfs_unlock(); echo "free\n"; fgets( STDIN ); $look(); branchfs_unlock(); echo "free again\n"; fgets( STDIN ); $look(); branchfs_unlock();
			$child = pcntl_fork();
			if ( 0 === $child ) { $look(); exit; }
			pcntl_waitpid( $child, $status );
		';
		$script = new Process( php( array( '-r', $code ) ), array(), "$site->dir/main" );
		$lock   = fopen( "$site->cow/operations.lock", 'c+' );
		$script->wait_for( "free\n" );
		holds( flock( $lock, LOCK_EX | LOCK_NB ), 'the script has let the lock go' );
		rename( "$site->dir/other", "$site->dir/old" );
		put( "$site->dir/other/new.txt", 'new' );
		fwrite( $lock, sprintf( "generation %020d\n", 8 ) );
		flock( $lock, LOCK_UN );
		fwrite( $script->stdin, "\n" );
		$script->wait_for( 'free again' );
		holds( flock( $lock, LOCK_EX | LOCK_NB ), 'the script has let the lock go again' );
		unlink( "$site->cow/branches/other.toml" );
		rewind( $lock );
		fwrite( $lock, sprintf( "generation %020d\n", 9 ) );
		flock( $lock, LOCK_UN );
		fwrite( $script->stdin, "\n" );
		same( 0, $script->wait(), 'exit status' );
		$gone = '[false,false,[".","..","main"]]';
		same(
			array( '["other",false,[".","..","main","other"]]', 'free', '[false,true,[".","..","main","other"]]', 'free again', $gone, $gone ),
			explode( "\n", trim( $script->output() ) ),
			'what the script saw'
		);
	}
);

test(
	'a request has its own branch, in every worker and from request to request',
	function () {
		$site = new Site();
		foreach ( array( 'main', 'other' ) as $branch ) {
			put( "$site->dir/$branch/own.php", '<?php file_put_contents( "branchfs://./own.txt", $_GET["text"] ); echo json_encode( array( branchfs_path( "branchfs://./own.txt" ), file_get_contents( "branchfs://./own.txt" ), @file_put_contents( "branchfs://" . ( "main" === branchfs_get_branch() ? "other" : "main" ) . "/own.txt", "wrong" ) ) );' );
		}
		foreach ( SERVERS as $where => $by_fpm ) {
			$server = server_of( $by_fpm, $site->dir, 3 );
			for ( $i = 0; $i < 12; $i++ ) {
				foreach ( array( 'main' => 'wp.localhost', 'other' => 'other.wp.localhost' ) as $branch => $host ) {
					$body = $server->request( "/own.php?text=$branch$i", array( 'Host' => $host ) )->body;
					same( array( "$site->dir/$branch/own.txt", "$branch$i", false ), json_decode( $body, true ), "request $i to $branch at $where" );
				}
			}
		}
	}
);

/**
 * Returns which files a process has open; connections come and go.
 *
 * @param int $pid The process.
 */
function open_files( int $pid ): array {
	$files = array();
	foreach ( array_diff( scandir( "/proc/$pid/fd" ), array( '.', '..' ) ) as $number ) {
		$file = (string) @readlink( "/proc/$pid/fd/$number" );
		if ( ! str_starts_with( $file, 'socket:' ) ) {
			$files[] = $file;
		}
	}
	sort( $files );
	return $files;
}

foreach ( SERVERS as $where => $by_fpm ) {
	test(
		"$where: a request that PHP cuts short leaves nothing behind, whatever it was doing",
		function () use ( $by_fpm ) {
			if ( ! is_dir( '/proc/self/fd' ) ) {
				echo "SKIPPED: no /proc to count open files in\n";
				return;
			}
			$site = new Site();
			// Each way to end within a warning of the wrapper's, and each call that warns.
			put(
				"$site->dir/main/warn.php",
				'<?php
				set_error_handler( function () {
					switch ( $_GET["end"] ) {
						case "memory": ini_set( "memory_limit", "8M" ); $x = array(); while ( true ) { $x[] = str_repeat( "x", 100000 ); }
						case "exit": exit( "ended" );
						case "throw": throw new Exception( "thrown" );
						case "again": restore_error_handler(); @unlink( "branchfs://main/none" ); @fopen( "branchfs://main/none", "r" ); return true;
					}
				} );
				$kept = array( fopen( "branchfs://main/name.txt", "r" ), opendir( "branchfs://main" ), opendir( "branchfs://" ) );
				$u    = "branchfs://main/none";
				switch ( $_GET["call"] ) {
					case "fopen": fopen( $u, "r" ); break;
					case "opendir": opendir( $u ); break;
					case "unlink": unlink( $u ); break;
					case "rename": rename( $u, $u . 2 ); break;
					case "mkdir": mkdir( "$u/x" ); break;
					case "rmdir": rmdir( $u ); break;
					case "touch": touch( "$u/x" ); break;
					case "chmod": chmod( $u, 0700 ); break;
					case "chown": chown( $u, "no-such-user" ); break;
					case "stat": stat( "branchfs://main/../x" ); break;
					case "put": file_put_contents( "$u/x", "x", LOCK_EX ); break;
					case "include": include $u; break;
					case "glob": branchfs_glob( "x" ); break;
				}
				echo "after";'
			);
			// Memory runs out while files are opened, each time at another place.
			put(
				"$site->dir/main/fill.php",
				'<?php ini_set( "memory_limit", "4M" );
				$fill = array();
				while ( memory_get_usage() < 4194304 - 60000 - 97 * $_GET["left"] ) { $fill[] = str_repeat( "x", 200 ); }
				$kept = array();
				for ( $i = 0; $i < 300; $i++ ) { $kept[] = fopen( "branchfs://main/name.txt", "r" ); $kept[] = opendir( "branchfs://main" ); $kept[] = @file_get_contents( "branchfs://main/name.txt" ); @stat( "branchfs://main/$i" ); }
				while ( true ) { $fill[] = str_repeat( "x", 200 ); }'
			);
			put( "$site->dir/main/well.php", '<?php file_put_contents( "branchfs://./well.txt", "kept" ); file_put_contents( "branchfs://./well.txt", "+", FILE_APPEND ); echo file_get_contents( "branchfs://./well.txt" ), count( scandir( "branchfs://" ) );' );
			put( "$site->dir/main/pid.php", '<?php echo getmypid();' );
			$server = server_of( $by_fpm, $site->dir, 1, array( 'display_errors=0', 'log_errors=0' ) );
			$pid    = (int) $server->request( '/pid.php' )->body;
			$well   = static fn() => same( 'kept+4', $server->request( '/well.php' )->body, 'the next request' );
			$well();
			$before = open_files( $pid );
			foreach ( array( 'memory', 'exit', 'throw', 'again' ) as $end ) {
				foreach ( array( 'fopen', 'opendir', 'unlink', 'rename', 'mkdir', 'rmdir', 'touch', 'chmod', 'chown', 'stat', 'put', 'include', 'glob' ) as $call ) {
					$body = $server->request( "/warn.php?end=$end&call=$call" )->body;
					same( array( 'memory' => '', 'exit' => 'ended', 'throw' => '', 'again' => 'after' )[ $end ], $body, "$end in $call" );
					$well();
				}
			}
			for ( $left = 0; $left < 120; $left++ ) {
				same( 500, $server->request( "/fill.php?left=$left" )->status, "memory runs out, $left" );
			}
			$well();
			same( $before, open_files( $pid ), 'files that the server has open' );
		}
	);
}

test(
	'valgrind finds no error of the extension in any of the steps',
	function () use ( $told ) {
		if ( '' === (string) shell_exec( 'command -v valgrind' ) ) {
			echo "SKIPPED: valgrind is not installed\n";
			return;
		}
		$site = new Site();
		$xml  = temp_dir() . '/valgrind.xml';
		$env  = array(
			'USE_ZEND_ALLOC'           => '0',
			'ZEND_DONT_UNLOAD_MODULES' => '1',
		);
		// PHP's compiler of regular expressions reads ahead of its strings. Valgrind may not know openat2: then it sees walks only.
		$php     = php( array( '-r', steps_script( $site ) . 'foreach ( branchfs_glob( "branchfs://{main,other}/*/{*,*/*}", GLOB_BRACE | GLOB_MARK ) as $u ) { try { branchfs_path( $u ); } catch ( Branchfs\Exception $loop ) {} } branchfs_branches();' ), array( 'pcre.jit=0', 'opcache.enable_cli=0', 'display_errors=stderr' ) );
		$process = new Process( array( 'valgrind', '--quiet', '--xml=yes', "--xml-file=$xml", '--leak-check=full', '--show-leak-kinds=definite', '--num-callers=40', ...$php ), $env, "$site->dir/main" );
		fclose( $process->stdin );
		same( 0, $process->wait(), 'exit status, with ' . substr( $process->output(), 0, 2000 ) );
		$errors = array();
		foreach ( simplexml_load_file( $xml )->error as $error ) {
			$frames = array();
			foreach ( $error->stack as $stack ) {
				foreach ( $stack->frame as $frame ) {
					$frames[] = basename( (string) $frame->obj ) . ' ' . $frame->fn;
				}
			}
			if ( preg_grep( '/branchfs\.so/', $frames ) ) {
				$errors[] = $error->kind . ': ' . implode( ' < ', array_slice( $frames, 0, 12 ) );
			}
		}
		same( array(), $errors, 'errors' );
	}
);
