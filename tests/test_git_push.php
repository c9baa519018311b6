<?php
/**
 * A push changes a branch as a whole or not at all: edits, creates, deletes, what is refused, and what goes on meanwhile.
 *
 * php -d "extension=$(pwd)/ext/branchfs.so" tests/test_git_push.php
 *
 * The binary is target/release/forkpress, or what FORKPRESS_BIN names; git is that of PATH, or what FORKPRESS_TEST_GIT names.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

const CLIENTS = 4;
const PUSHES  = 12;

/** A page of two files with one version number, that takes its time between them. */
const PAGE = <<<'PHP'
<?php
$one = require __DIR__ . '/one.php';
usleep( 500 );
$two = require __DIR__ . '/two.php';
echo $one === $two ? 'whole' : 'torn', " $one";
PHP;

/** A client: asks for the page until its standard input ends, and says how often it got what. */
const CLIENT = <<<'PHP'
<?php
stream_set_blocking( STDIN, false );
$answers = array();
while ( ! feof( STDIN ) ) {
	$connection = stream_socket_client( "tcp://127.0.0.1:$argv[1]", $code, $message, 60 );
	fwrite( $connection, "GET /page/index.php HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n" );
	$answer = stream_get_contents( $connection );
	$body   = substr( strstr( $answer, "\r\n\r\n" ), 4 );
	$kind   = preg_match( '/^whole \d+$/', $body ) ? 'whole' : $body;
	$answers[ $kind ] = ( $answers[ $kind ] ?? 0 ) + 1;
	fread( STDIN, 1 );
}
echo json_encode( $answers );
PHP;

/** A checkout of a site. */
final class Checkout {
	/** @var string Its folder. */
	public readonly string $dir;

	/**
	 * Clones.
	 *
	 * @param string $remote From where.
	 */
	public function __construct( string $remote ) {
		$this->dir = temp_dir() . '/checkout';
		$outcome   = git( dirname( $this->dir ), 'clone', '--quiet', $remote, $this->dir )->outcome();
		same( 0, $outcome->status, "git clone: {$outcome->text()}: exit status" );
	}

	/**
	 * Runs git to its end.
	 *
	 * @param string ...$arguments Its arguments.
	 */
	public function run( string ...$arguments ): Outcome {
		return git( $this->dir, ...$arguments )->outcome();
	}

	/**
	 * Runs git, which must succeed, and returns what it says.
	 *
	 * @param string ...$arguments Its arguments.
	 */
	public function git( string ...$arguments ): string {
		$outcome = $this->run( ...$arguments );
		same( 0, $outcome->status, 'git ' . implode( ' ', $arguments ) . ": {$outcome->text()}: exit status" );
		return trim( $outcome->out );
	}

	/**
	 * Commits files, by their paths in the branch, and returns the commit.
	 *
	 * @param array $files What they are to have; null: they are to go.
	 */
	public function commit( array $files ): string {
		foreach ( $files as $path => $bytes ) {
			if ( null === $bytes ) {
				unlink( "$this->dir/wordpress/$path" );
			} else {
				put( "$this->dir/wordpress/$path", $bytes );
			}
		}
		$this->git( 'add', '--all' );
		$this->git( 'commit', '--quiet', '--message', 'A change' );
		return $this->git( 'rev-parse', 'HEAD' );
	}

	/**
	 * Commits a tree that git itself would not make: the pushed commit's `wordpress` and what is added to it.
	 *
	 * @param string $entries What is added to `wordpress`, as `git mktree -z` reads it, `BLOB` in it for the name of a blob.
	 * @param string $top     What is added to the root.
	 */
	public function hostile_commit( string $entries, string $top = '' ): string {
		$tree = function ( string $of, string $more ): string {
			put( "$this->dir/../entries", $this->run( 'ls-tree', '-z', $of )->out . $more );
			return trim( (string) shell_exec( 'cd ' . escapeshellarg( $this->dir ) . ' && ' . git_program() . ' mktree -z --missing < ../entries' ) );
		};
		$blob = $this->git( 'hash-object', '-w', "$this->dir/wordpress/index.php" );
		put( "$this->dir/../etc", '/etc' );
		put( "$this->dir/../up", '../../../../etc' );
		$replaced = array(
			'BLOB'   => $blob,
			'TREE'   => $this->git( 'rev-parse', 'HEAD:wordpress/wp-content/plugins' ),
			'ETC'    => $this->git( 'hash-object', '-w', "$this->dir/../etc" ),
			'UP'     => $this->git( 'hash-object', '-w', "$this->dir/../up" ),
			'COMMIT' => $this->git( 'rev-parse', 'HEAD' ),
		);
		$wordpress = $tree( 'HEAD:wordpress', strtr( $entries, $replaced ) );
		put( "$this->dir/../entries", strtr( $top, $replaced ) . "040000 tree $wordpress\twordpress\0" );
		$root = trim( (string) shell_exec( 'cd ' . escapeshellarg( $this->dir ) . ' && ' . git_program() . ' mktree -z --missing < ../entries' ) );
		return $this->git( 'commit-tree', $root, '-p', 'HEAD', '-m', 'A hostile change' );
	}

	/**
	 * Makes a commit that git itself would not make, with the tree of HEAD, and returns it.
	 *
	 * @param string $author The line that says who made it.
	 */
	public function raw_commit( string $author ): string {
		$parent    = $this->git( 'rev-parse', 'HEAD' );
		$committer = strtr( $author, array( 'author' => 'committer' ) );
		put( "$this->dir/../commit", 'tree ' . $this->git( 'rev-parse', 'HEAD^{tree}' ) . "\nparent $parent\n$author\n$committer\n\nHostile\n" );
		return $this->git( 'hash-object', '-t', 'commit', '-w', '--literally', '../commit' );
	}
}

/** Returns the git that pushes. */
function git_program(): string {
	$given = getenv( 'FORKPRESS_TEST_GIT' );
	return $given ? $given : 'git';
}

/**
 * Starts git with nobody's settings.
 *
 * @param string $cwd          Where.
 * @param string ...$arguments Its arguments.
 */
function git( string $cwd, string ...$arguments ): Command {
	$env = array(
		'GIT_CONFIG_NOSYSTEM' => '1',
		'GIT_CONFIG_GLOBAL'   => '/dev/null',
		'GIT_TERMINAL_PROMPT' => '0',
		'GIT_AUTHOR_NAME'     => 'Test',
		'GIT_AUTHOR_EMAIL'    => 'test@example.test',
		'GIT_COMMITTER_NAME'  => 'Test',
		'GIT_COMMITTER_EMAIL' => 'test@example.test',
		'LC_ALL'              => 'C',
		// For pushes straight into the repository, past the endpoint.
		'FORKPRESS_BIN'       => program(),
	);
	return new Command( array( git_program(), ...$arguments ), $cwd, $env );
}

/**
 * Returns what a branch's files are: modes and hashes by path, without the database and what WordPress writes by itself.
 *
 * @param string $dir The branch.
 */
function files_of( string $dir ): array {
	$files = array();
	$walk  = new \RecursiveIteratorIterator( new \RecursiveDirectoryIterator( $dir, \FilesystemIterator::SKIP_DOTS ) );
	foreach ( $walk as $path => $file ) {
		$path = substr( $path, strlen( $dir ) + 1 );
		if ( str_starts_with( $path, 'wp-content/database/' ) ) {
			continue;
		}
		$files[ $path ] = $file->isLink() ? '->' . readlink( "$dir/$path" ) : decoct( $file->getPerms() & 0100 ) . md5_file( "$dir/$path" );
	}
	ksort( $files );
	return $files;
}

$site = new Site();
$site->serve( 4, array( 'FORKPRESS_BIN' => program() ) );
$remote     = "http://127.0.0.1:$site->port/site.git";
$repository = "$site->dir/.forkpress/cow/git";
$main       = "$site->dir/main";

/** Returns what a push must not change where it is refused: refs, which say what is in the branches, folders, and the log. */
$state = static function () use ( $site, $remote ): array {
	$refs = git( $site->dir, 'ls-remote', $remote )->outcome()->out;
	return array( $refs, scandir( $site->dir ), scandir( "$site->dir/.forkpress/cow/branches" ), scandir( "$site->dir/.forkpress/cow/log" ) );
};

test(
	'edits, new files, renames, deletes, modes and symlinks are in the branch, and a fetch gives the very commit',
	function () use ( $site, $remote, $main ) {
		$checkout = new Checkout( $remote );
		$before   = files_of( $main );
		symlink( '../index.php', "$checkout->dir/wordpress/wp-content/link.php" );
		$checkout->git( 'mv', 'wordpress/readme.html', 'wordpress/read me "too".html' );
		put( "$checkout->dir/wordpress/tool.sh", "#!/bin/sh\n" );
		chmod( "$checkout->dir/wordpress/tool.sh", 0755 );
		$commit = $checkout->commit(
			array(
				'index.php'              => "<?php echo 'pushed'; // index",
				'new/folder/new.php'     => '<?php echo "new file";',
				'wp-config-sample.php'   => null,
				"odd\nname.txt"          => 'odd',
			)
		);
		$checkout->git( 'push', '--quiet' );
		$expected = $before;
		$expected['read me "too".html'] = $before['readme.html'];
		unset( $expected['readme.html'], $expected['wp-config-sample.php'] );
		$expected['index.php']           = '0' . md5( "<?php echo 'pushed'; // index" );
		$expected['new/folder/new.php']  = '0' . md5( '<?php echo "new file";' );
		$expected["odd\nname.txt"]       = '0' . md5( 'odd' );
		$expected['tool.sh']             = '100' . md5( "#!/bin/sh\n" );
		$expected['wp-content/link.php'] = '->../index.php';
		ksort( $expected );
		same( array(), array_diff_assoc( $expected, files_of( $main ) ), 'what is missing in the branch' );
		same( array(), array_diff_assoc( files_of( $main ), $expected ), 'what the branch has too much' );
		same( 'pushed', $site->request( '/' )->body, 'the page' );
		same( 'new file', $site->request( '/new/folder/new.php' )->body, 'the new page' );
		$checkout->git( 'fetch', '--quiet' );
		same( $commit, $checkout->git( 'rev-parse', 'origin/main' ), 'the commit that a fetch gives' );
		$log = $site->json( 'log' )[0];
		same( array( 'apply', 'main', substr( $commit, 0, 10 ) ), array( $log['operation'], $log['name'], $log['with'] ), 'the log' );
		$site->done( 'undo' );
		same( $before, files_of( $main ), 'the branch after undo' );
	}
);

test(
	'what is no file of a branch is left alone and comes back as it was',
	function () use ( $site, $remote, $main ) {
		$secrets  = file_get_contents( "$main/wp-config.php" );
		$leaks    = "define( 'PIN_SECRET', 77001 ); define( 'HOOK_KEY', <<<'END'\nhunter-2\nEND\n); // password: hunter-2\n";
		$secrets  = preg_replace( '/^\$table_prefix/m', $leaks . '$0', $secrets, 1 );
		put( "$main/wp-config.php", $secrets );
		$checkout = new Checkout( $remote );
		$sql      = file_get_contents( "$checkout->dir/database.sql" );
		put( "$checkout->dir/database.sql", 'DROP TABLE wp_posts;' );
		put( "$checkout->dir/README.md", 'outside' );
		$config = file_get_contents( "$checkout->dir/wordpress/wp-config.php" );
		holds( $config !== $secrets && ! preg_match( '/77001|hunter-2/', $config ), 'the view has no secrets' );
		$pushed = $checkout->commit(
			array(
				'wp-content/database/.ht.sqlite' => 'no database',
				'wp-config.php'                  => str_replace( '<?php', "<?php\n// pushed\n", $config ),
			)
		);
		$checkout->git( 'push', '--quiet' );
		same( str_replace( '<?php', "<?php\n// pushed\n", $secrets ), file_get_contents( "$main/wp-config.php" ), 'wp-config.php' );
		holds( (int) $site->database( 'main' )->query( 'SELECT count(*) FROM wp_posts' )->fetchColumn() > 0, 'the posts are there' );
		$checkout->git( 'pull', '--quiet', '--ff-only' );
		same( '', $checkout->git( 'diff', '--name-only', "$pushed~", '--', 'database.sql', 'README.md', 'wordpress/wp-content/database' ), 'what came back' );
		same( $sql, file_get_contents( "$checkout->dir/database.sql" ), 'database.sql' );
		$checkout->git( 'merge-base', '--is-ancestor', $pushed, 'HEAD' );
	}
);

test(
	'a file of 100 MB and 5,000 files come through',
	function () use ( $remote, $main ) {
		$checkout = new Checkout( $remote );
		mkdir( "$checkout->dir/wordpress/wp-content/many", 0755, true );
		shell_exec( "dd if=/dev/urandom of=$checkout->dir/wordpress/wp-content/large.bin bs=1M count=100 2>/dev/null" );
		$files = array();
		for ( $i = 0; $i < 5000; $i++ ) {
			$files[ 'wp-content/many/' . $i % 50 . "/file-$i.txt" ] = "file $i\n";
		}
		$commit = $checkout->commit( $files );
		$checkout->git( 'push', '--quiet' );
		same( md5_file( "$checkout->dir/wordpress/wp-content/large.bin" ), md5_file( "$main/wp-content/large.bin" ), 'the large file' );
		for ( $i = 0; $i < 5000; $i++ ) {
			same( "file $i\n", file_get_contents( "$main/wp-content/many/" . $i % 50 . "/file-$i.txt" ), "file $i" );
		}
		$checkout->git( 'fetch', '--quiet' );
		same( $commit, $checkout->git( 'rev-parse', 'origin/main' ), 'the commit that a fetch gives' );
		$checkout->git( 'rm', '--quiet', '-r', 'wordpress/wp-content/many', 'wordpress/wp-content/large.bin' );
		$checkout->git( 'commit', '--quiet', '--message', 'Away with them' );
		$checkout->git( 'push', '--quiet' );
		holds( ! file_exists( "$main/wp-content/many" ), 'the emptied folders are gone' );
	}
);

test(
	'a new name creates the branch from the one its commit descends from, and a deleted ref deletes it',
	function () use ( $site, $remote ) {
		$checkout = new Checkout( $remote );
		$checkout->git( 'switch', '--quiet', '--create', 'feature' );
		$first = $checkout->commit( array( 'feature.php' => '<?php echo "feature";' ) );
		$checkout->git( 'push', '--quiet', '--set-upstream', 'origin', 'feature' );
		same( 'feature', $site->request( '/feature.php', array( 'Host' => $site->host( 'feature' ) ) )->body, 'the page' );
		same( 404, $site->request( '/feature.php' )->status, 'the page of main' );
		$checkout->git( 'fetch', '--quiet' );
		same( $first, $checkout->git( 'rev-parse', 'origin/feature' ), 'the commit that a fetch gives' );
		$site->database( 'feature' )->exec( "UPDATE wp_options SET option_value = 'Only here' WHERE option_name = 'blogname'" );
		$checkout->git( 'pull', '--quiet', '--ff-only' );
		$checkout->git( 'switch', '--quiet', '--create', 'nested' );
		$checkout->commit( array( 'nested.php' => '<?php echo "nested";' ) );
		$checkout->git( 'push', '--quiet', '--set-upstream', 'origin', 'nested' );
		same( 'feature', $site->json( 'branch', 'show', 'nested' )['from'], 'what nested is from' );
		same( 'Only here', $site->database( 'nested' )->query( "SELECT option_value FROM wp_options WHERE option_name = 'blogname'" )->fetchColumn(), 'its title' );
		$checkout->git( 'push', '--quiet', 'origin', '--delete', 'nested' );
		same( array( 'main', 'feature' ), array_column( $site->json( 'branch', 'list' ), 'name' ), 'the branches' );
		holds( ! is_dir( "$site->dir/nested" ), 'the folder is gone' );
		same( '', $checkout->git( 'ls-remote', 'origin', 'nested' ), 'its ref' );
		$site->done( 'undo' );
		holds( str_contains( $checkout->git( 'ls-remote', 'origin', 'nested' ), 'refs/heads/nested' ), 'the ref is back with the branch' );
		$checkout->git( 'push', '--quiet', 'origin', '--delete', 'nested' );
		$checkout->git( 'push', '--quiet', 'origin', ':feature' );
	}
);

test(
	'what is refused changes neither a ref nor a branch, leaves nothing in the repository, and says why',
	function () use ( $site, $remote, $main, $repository, $state ) {
		$checkout = new Checkout( $remote );
		$before   = $checkout->git( 'rev-parse', 'HEAD' );
		$good     = $checkout->commit( array( 'good.php' => 'good' ) );
		$checkout->git( 'tag', 'v1' );
		$checkout->git( 'rm', '--quiet', 'wordpress/wp-load.php' );
		$checkout->git( 'commit', '--quiet', '--message', 'No WordPress' );
		$headless = $checkout->git( 'rev-parse', 'HEAD' );
		$checkout->git( 'reset', '--quiet', '--hard', $good );
		$orphan  = $checkout->git( 'commit-tree', 'HEAD^{tree}', '-m', 'From nowhere' );
		$sibling = $checkout->git( 'commit-tree', 'HEAD^{tree}', '-p', $before, '-m', 'A sibling' );
		$planted = $checkout->commit( array( 'wp-content/x/.forkpress/site.toml' => 'version = 1' ) );
		$checkout->git( 'reset', '--quiet', '--hard', $good );
		$hostile = static fn ( string $entries ) => $checkout->hostile_commit( $entries ) . ':main';
		$path    = 'no file can be put at';
		$refused = array(
			'several'           => array( array( "$good:refs/heads/main", "$good:refs/heads/other" ), 'ForkPress accepts one branch update per push' ),
			'several deleted'   => array( array( ':one', ':two' ), 'ForkPress accepts one branch update per push|remote ref does not exist' ),
			'a tag'             => array( array( 'v1' ), 'only branches can be pushed' ),
			'another ref'       => array( array( "$good:refs/forkpress/x" ), 'only branches can be pushed' ),
			'delete main'       => array( array( ':main' ), 'refusing to delete the main COW branch' ),
			'a reserved name'   => array( array( "$good:refs/heads/www" ), 'unsupported COW branch name' ),
			'a path as a name'  => array( array( "$good:refs/heads/a/b" ), 'unsupported COW branch name' ),
			'upper case'        => array( array( "$good:refs/heads/Feature" ), 'unsupported COW branch name' ),
			'no WordPress'      => array( array( "$headless:main" ), 'wp-load.php' ),
			'new, no WordPress' => array( array( "$headless:refs/heads/headless" ), 'wp-load.php' ),
			'unrelated'         => array( array( "$orphan:refs/heads/orphan" ), 'descends from no branch' ),
			'forced, unrelated' => array( array( "+$orphan:main" ), 'a forced push would throw away' ),
			'..'                => array( array( $hostile( "100644 blob BLOB\t..\0" ) ), 'hasDotdot' ),
			'.git'              => array( array( $hostile( "100644 blob BLOB\t.git\0" ) ), 'hasDotgit' ),
			'.GIT'              => array( array( $hostile( "100644 blob BLOB\t.GIT\0" ) ), 'hasDotgit' ),
			'.'                 => array( array( $hostile( "100644 blob BLOB\t.\0" ) ), 'hasDot' ),
			'GIT~2'             => array( array( $hostile( "100644 blob BLOB\tGIT~2\0" ) ), $path ),
			'.forkpress'        => array( array( $hostile( "040000 tree TREE\t.forkpress\0" ) ), $path ),
			'.ForkPress'        => array( array( $hostile( "100644 blob BLOB\t.ForkPress\0" ) ), $path ),
			'.forkpress . '     => array( array( $hostile( "120000 blob ETC\t.forkpress . \0" ) ), $path ),
			'FORKPR~1'          => array( array( $hostile( "040000 tree TREE\tFORKPR~1\0" ) ), $path ),
			'a zero width'      => array( array( $hostile( "040000 tree TREE\t.fork\u{200c}press\0" ) ), $path ),
			'deep .forkpress'   => array( array( "$planted:main" ), $path ),
			'a new .forkpress'  => array( array( "$planted:refs/heads/planted" ), $path ),
			'no mail address'   => array( array( $checkout->raw_commit( 'author Nobody 1700000000 +0000' ) . ':main' ), 'missingEmail' ),
			'one name twice'    => array( array( $hostile( "100644 blob BLOB\tzz\0" . "100644 blob BLOB\tzz\0" ) ), 'duplicateEntries' ),
			'to /etc'           => array( array( $hostile( "120000 blob ETC\tetc\0" ) ), 'leads out of the branch' ),
			'to ../../etc'      => array( array( $hostile( "120000 blob UP\tup\0" ) ), 'leads out of the branch' ),
			'a submodule'       => array( array( $hostile( "160000 commit COMMIT\tsub\0" ) ), 'is a submodule' ),
		);
		$as_before = $state();
		$files     = files_of( $main );
		$objects   = static fn () => git( $repository, 'count-objects', '-v' )->outcome()->out . implode( "\n", glob( "$repository/objects/tmp_*" ) );
		$had       = $objects();
		foreach ( $refused as $what => list( $refspecs, $why ) ) {
			$outcome = $checkout->run( 'push', 'origin', ...$refspecs );
			same( 1, $outcome->status, "$what: {$outcome->text()}: exit status" );
			holds( 1 === preg_match( "~$why~", $outcome->errors ), "$what: it says $why: $outcome->errors" );
			same( $as_before, $state(), "$what: refs, folders, records and log" );
		}
		same( $files, files_of( $main ), 'the files of main' );
		same( $had, $objects(), 'what the repository keeps' );

		// The next one goes through.
		$checkout->git( 'push', '--quiet', 'origin', "$good:main" );
		same( 'good', file_get_contents( "$main/good.php" ), 'the file' );
		$as_before = $state();
		foreach ( array( array( "$sibling:main" ), array( "+$sibling:main" ), array( '+HEAD~:main' ) ) as $refspecs ) {
			$outcome = $checkout->run( 'push', 'origin', ...$refspecs );
			same( 1, $outcome->status, "$refspecs[0]: {$outcome->text()}: exit status" );
			same( $as_before, $state(), "$refspecs[0]: refs, folders, records and log" );
		}
	}
);

test(
	'a path that the file system does not take is refused by name, for a branch and for a new one, and nothing is gone',
	function () use ( $site, $remote, $main, $state ) {
		$checkout = new Checkout( $remote );
		$blob     = $checkout->git( 'hash-object', '-w', "$checkout->dir/wordpress/index.php" );
		$mktree   = function ( string $entries ) use ( $checkout ): string {
			put( "$checkout->dir/../entries", $entries );
			return trim( (string) shell_exec( 'cd ' . escapeshellarg( $checkout->dir ) . ' && ' . git_program() . ' mktree -z < ../entries' ) );
		};
		$long = str_repeat( 'n', 256 );
		$deep = $mktree( "100644 blob $blob\tfile\0" );
		for ( $level = 0; $level < 20; $level++ ) {
			$deep = $mktree( "040000 tree $deep\t" . str_repeat( 'd', 220 ) . "\0" );
		}
		// Each goes with a file that is to be deleted.
		$checkout->commit( array( 'wp-trackback.php' => null ) );
		$commits   = array(
			'File name too long'         => $checkout->hostile_commit( '040000 tree ' . $mktree( "100644 blob $blob\t$long\0" ) . "\tnew\0" ),
			'a path in a branch of this' => $checkout->hostile_commit( "040000 tree $deep\tdeep\0" ),
		);
		$files     = files_of( $main );
		$as_before = $state();
		foreach ( $commits as $why => $commit ) {
			foreach ( array( 'main', 'refs/heads/long' ) as $to ) {
				$outcome = $checkout->run( 'push', 'origin', "$commit:$to" );
				same( 1, $outcome->status, "$why, to $to: {$outcome->text()}: exit status" );
				holds( str_contains( $outcome->errors, 'cannot change ' ), "$why, to $to: it names the path: $outcome->errors" );
				holds( str_contains( $outcome->errors, $why ), "$why, to $to: it says why: $outcome->errors" );
				holds( str_contains( $outcome->errors, 'hint: choose' ), "$why, to $to: it says what to do: $outcome->errors" );
				same( $as_before, $state(), "$why, to $to: refs, folders, records and log" );
				same( $files, files_of( $main ), "$why, to $to: the files of main" );
				same( 302, $site->request( '/wp-login.php' )->status, "$why, to $to: main is served" );
			}
		}
		$checkout->git( 'push', '--quiet', 'origin', 'HEAD:main' );
		holds( ! file_exists( "$main/wp-trackback.php" ), 'a push without such a path goes through' );
	}
);

test(
	'a database in an odd spelling is no file of a branch, either',
	function () use ( $site, $remote, $main ) {
		$checkout = new Checkout( $remote );
		$blob     = $checkout->git( 'hash-object', '-w', "$checkout->dir/wordpress/index.php" );
		$mktree   = function ( string $entries ) use ( $checkout ): string {
			put( "$checkout->dir/../entries", $entries );
			return trim( (string) shell_exec( 'cd ' . escapeshellarg( $checkout->dir ) . ' && ' . git_program() . ' mktree -z < ../entries' ) );
		};
		$content  = $mktree( '040000 tree ' . $mktree( "100644 blob $blob\t.ht.sqlite\0" ) . "\tdatabase\0" );
		$dot      = $mktree( "040000 tree $content\twp-content\0" );
		$before   = files_of( $main );
		$commit   = $checkout->hostile_commit( "040000 tree $dot\t.\0" );
		$outcome  = $checkout->run( 'push', '--quiet', 'origin', "$commit:main" );
		same( 1, $outcome->status, "the push: {$outcome->text()}: exit status" );
		same( $before, files_of( $main ), 'the branch' );
		holds( (int) $site->database( 'main' )->query( 'SELECT count(*) FROM wp_posts' )->fetchColumn() > 0, 'the posts are there' );
		$checkout->git( 'fetch', '--quiet' );
		same( '', $checkout->git( 'diff', '--name-only', 'HEAD', 'origin/main', '--', 'wordpress' ), 'what came back' );
	}
);

test(
	'a few bytes that would become gigabytes, or more files than can be counted, are refused before anything is written',
	function () use ( $remote, $main, $repository, $state ) {
		$checkout = new Checkout( $remote );
		shell_exec( 'truncate -s 260M ' . escapeshellarg( "$checkout->dir/wordpress/zeros.bin" ) );
		$checkout->git( 'add', '--all' );
		$checkout->git( 'commit', '--quiet', '--message', 'Zeros' );
		$zeros = $checkout->git( 'rev-parse', 'HEAD' );
		$blob  = $checkout->git( 'rev-parse', 'HEAD:wordpress/index.php' );
		$tree  = "100644 blob $blob\tf\0";
		for ( $level = 0; $level < 10; $level++ ) {
			put( "$checkout->dir/../entries", $tree );
			$id   = trim( (string) shell_exec( 'cd ' . escapeshellarg( $checkout->dir ) . ' && ' . git_program() . ' mktree -z < ../entries' ) );
			$tree = implode( '', array_map( static fn ( int $i ) => "040000 tree $id\t$i\0", range( 0, 9 ) ) );
		}
		$checkout->git( 'reset', '--quiet', '--hard', 'HEAD~' );
		$bombs     = array(
			'zeros' => array( "$zeros:main", '260 MB that are packed in' ),
			'trees' => array( $checkout->hostile_commit( "040000 tree $id\tbomb\0" ) . ':main', 'more than 500000 files and folders' ),
		);
		$as_before = $state();
		$objects   = static fn () => git( $repository, 'count-objects', '-v' )->outcome()->out;
		$had       = $objects();
		foreach ( $bombs as $what => list( $refspec, $why ) ) {
			$outcome = $checkout->run( 'push', 'origin', $refspec );
			same( 1, $outcome->status, "$what: {$outcome->text()}: exit status" );
			holds( str_contains( $outcome->errors, $why ), "$what: it says $why: $outcome->errors" );
			holds( str_contains( $outcome->errors, 'hint: leave' ), "$what: it says what to do: $outcome->errors" );
			same( $as_before, $state(), "$what: refs, folders, records and log" );
			same( $had, $objects(), "$what: what the repository keeps" );
		}
		// What is already there may be put elsewhere as often as one likes, however large it is.
		$random = random_bytes( 1 << 20 );
		$checkout->commit( array( 'copy/random.bin' => $random ) );
		$checkout->git( 'push', '--quiet', 'origin', 'HEAD:main' );
		holds( file_get_contents( "$main/copy/random.bin" ) === $random, 'an honest file is there' );
	}
);

test(
	'what WordPress wrote into other files meanwhile stays, and into the same file makes the push stale',
	function () use ( $remote, $main, $repository, $state ) {
		$checkout = new Checkout( $remote );
		$pushed   = $checkout->commit( array( 'mine.php' => 'mine', 'good.php' => 'better' ) );
		// Straight into the repository, where no request for refs brings them up to date first.
		put( "$main/theirs.php", 'theirs' );
		$checkout->git( 'push', '--quiet', $repository, 'HEAD:main' );
		same( array( 'mine', 'better', 'theirs' ), array_map( static fn ( $name ) => file_get_contents( "$main/$name.php" ), array( 'mine', 'good', 'theirs' ) ), 'the files' );
		$checkout->git( 'pull', '--quiet', '--ff-only' );
		same( 'theirs', file_get_contents( "$checkout->dir/wordpress/theirs.php" ), 'the file of the branch' );
		$checkout->git( 'merge-base', '--is-ancestor', $pushed, 'HEAD' );

		$checkout->commit( array( 'mine.php' => 'mine again', 'theirs.php' => 'no, mine' ) );
		put( "$main/theirs.php", 'theirs again' );
		$outcome = $checkout->run( 'push', $repository, 'HEAD:main' );
		same( 1, $outcome->status, "the push: {$outcome->text()}: exit status" );
		holds( str_contains( $outcome->errors, 'changed in the branch meanwhile: wordpress/theirs.php' ), "it names the file: $outcome->errors" );
		holds( str_contains( $outcome->errors, 'git pull --rebase' ), "it says what to do: $outcome->errors" );
		same( array( 'mine', 'theirs again' ), array( file_get_contents( "$main/mine.php" ), file_get_contents( "$main/theirs.php" ) ), 'the files' );
	}
);

test(
	'a merge brings its files and says how the database follows',
	function () use ( $site, $remote, $main ) {
		$site->done( 'branch', 'create', 'rows' );
		put( "$site->dir/rows/from-rows.php", 'rows' );
		$site->database( 'rows' )->exec( "UPDATE wp_posts SET post_title = 'from rows' WHERE ID = 1" );
		$checkout = new Checkout( $remote );
		$line     = 'forkpress: a push brings no database; to merge it, too: forkpress branch merge rows --into main';
		$checkout->commit( array( 'ordinary.php' => 'x' ) );
		$checkout->git( 'push' );
		$checkout->git( 'fetch', '--quiet' );
		$checkout->git( 'merge', '--quiet', '--no-edit', 'origin/rows' );
		$outcome = $checkout->run( 'push' );
		same( array( 0, 1 ), array( $outcome->status, substr_count( $outcome->errors, $line ) ), "it is said once: $outcome->errors" );
		same( 'rows', file_get_contents( "$main/from-rows.php" ), 'the file' );
		same( 0, (int) $site->database( 'main' )->query( "SELECT count(*) FROM wp_posts WHERE post_title = 'from rows'" )->fetchColumn(), 'posts that came' );
		$checkout->git( 'pull', '--quiet', '--no-rebase' );
		$checkout->commit( array( 'ordinary.php' => 'y' ) );
		$outcome = $checkout->run( 'push' );
		same( array( 0, 0 ), array( $outcome->status, substr_count( $outcome->errors, 'database' ) ), "an ordinary push: $outcome->errors" );
		$said = $site->json( 'branch', 'merge', 'rows', '--into', 'main' );
		holds( 0 === $said['files'] && $said['rows'] > 0, 'the files are alike, and the rest is merged: ' . json_encode( $said ) );
		same( array(), $said['conflicts'], 'conflicts' );
		same( 'from rows', $site->database( 'main' )->query( 'SELECT post_title FROM wp_posts WHERE ID = 1' )->fetchColumn(), 'the title' );
		same( array( 'rows', 'y' ), array( file_get_contents( "$main/from-rows.php" ), file_get_contents( "$main/ordinary.php" ) ), 'the files' );
		$site->done( 'branch', 'delete', 'rows' );
	}
);

test(
	'of two pushes at once to one branch both are in it or one is refused, and two to two branches both are there',
	function () use ( $site, $remote, $main ) {
		foreach ( array( 'x', 'y' ) as $branch ) {
			$site->done( 'branch', 'create', $branch );
		}
		$checkouts = array( new Checkout( $remote ), new Checkout( $remote ) );
		foreach ( array( array( 'main', 'main' ), array( 'x', 'y' ) ) as $branches ) {
			$pushes = array();
			foreach ( $checkouts as $number => $checkout ) {
				$checkout->git( 'fetch', '--quiet' );
				$checkout->git( 'reset', '--quiet', '--hard', "origin/$branches[$number]" );
				$checkout->commit( array( "at-once-$number.php" => "$branches[$number] $number" ) );
			}
			foreach ( $checkouts as $number => $checkout ) {
				$pushes[] = git( $checkout->dir, 'push', '--quiet', 'origin', "HEAD:$branches[$number]" );
			}
			$went = array();
			foreach ( $pushes as $number => $push ) {
				$outcome = $push->outcome();
				$went[]  = $outcome->status;
				$file    = "$site->dir/$branches[$number]/at-once-$number.php";
				same( 0 === $outcome->status, is_file( $file ), "$branches[$number]: {$outcome->text()}: the file is there" );
				holds( 0 === $outcome->status || 1 === preg_match( '/fetch first|meanwhile|non-fast-forward/', $outcome->errors ), "it says why: $outcome->errors" );
			}
			holds( in_array( 0, $went, true ), 'one of them went through' );
			holds( 'main' === $branches[0] || array( 0, 0 ) === $went, 'both went through: ' . json_encode( $went ) );
		}
		foreach ( array( 'x', 'y' ) as $branch ) {
			$site->done( 'branch', 'delete', $branch );
		}
	}
);

test(
	'of two pushes at once that change one file one is refused, and the file is the other\'s, whole',
	function () use ( $remote, $main ) {
		$checkouts = array( new Checkout( $remote ), new Checkout( $remote ) );
		$bytes     = array( str_repeat( 'a', 1 << 20 ), str_repeat( 'b', 1 << 20 ) );
		foreach ( $checkouts as $number => $checkout ) {
			$checkout->commit( array( 'contested.bin' => $bytes[ $number ] ) );
		}
		$pushes = array_map( static fn ( $checkout ) => git( $checkout->dir, 'push', '--quiet', 'origin', 'HEAD:main' ), $checkouts );
		$went   = array_map( static fn ( $push ) => $push->outcome()->status, $pushes );
		sort( $went );
		same( array( 0, 1 ), $went, 'exit statuses' );
		holds( in_array( file_get_contents( "$main/contested.bin" ), $bytes, true ), 'the file is one of the two, whole' );
	}
);

/**
 * Has a checkout push, and waits until it knows what it will say of the old commit and has not yet said it.
 *
 * @param Checkout $checkout     The checkout.
 * @param string   ...$arguments What follows `git push`.
 * @return array The push, and what lets it go on.
 */
$held_push = static function ( Checkout $checkout, string ...$arguments ): array {
	$hooks = temp_dir();
	put( "$hooks/pre-push", "#!/bin/sh\n: >'$hooks/waits'\nread -r line <'$hooks/go'\n" );
	chmod( "$hooks/pre-push", 0755 );
	posix_mkfifo( "$hooks/go", 0600 );
	$push = git( $checkout->dir, '-c', "core.hooksPath=$hooks", 'push', ...$arguments );
	eventually( static fn () => is_file( "$hooks/waits" ), 'the push has heard of the refs' );
	return array( $push, static fn () => file_put_contents( "$hooks/go", "go\n" ) );
};

test(
	'a delete, a create and an update by push are of what the pusher saw, and of nothing that came since',
	function () use ( $site, $remote, $held_push ) {
		$one = new Checkout( $remote );
		$two = new Checkout( $remote );
		$one->git( 'push', '--quiet', 'origin', 'HEAD:refs/heads/seen' );
		$two->git( 'fetch', '--quiet' );
		$two->git( 'switch', '--quiet', 'seen' );
		$refused = function ( array $held, string $why ) {
			list( $push, $go ) = $held;
			$go();
			$outcome = $push->outcome();
			same( 1, $outcome->status, "the push: {$outcome->text()}: exit status" );
			holds( str_contains( $outcome->errors, $why ), "it says $why: $outcome->errors" );
		};

		$held = $held_push( $one, 'origin', '--delete', 'seen' );
		$theirs = $two->commit( array( 'theirs.php' => 'theirs' ) );
		$two->git( 'push', '--quiet' );
		$refused( $held, 'the branch has changed meanwhile' );
		same( 'theirs', file_get_contents( "$site->dir/seen/theirs.php" ), 'the file of the other one' );
		same( "$theirs\trefs/heads/seen", $two->git( 'ls-remote', 'origin', 'seen' ), 'the ref' );

		// What somebody did on the command line has not reached the ref.
		$held = $held_push( $one, 'origin', '--delete', 'seen' );
		$site->done( 'branch', 'delete', 'seen' );
		$site->done( 'branch', 'create', 'seen' );
		put( "$site->dir/seen/again.php", 'again' );
		$refused( $held, 'the branch has changed meanwhile' );
		same( 'again', file_get_contents( "$site->dir/seen/again.php" ), 'the file of the branch that has the name now' );

		$two->git( 'pull', '--quiet', '--ff-only' );
		$held = $held_push( $two, 'origin', '--delete', 'seen' );
		$site->done( 'branch', 'delete', 'seen' );
		$refused( $held, 'the branch has been deleted meanwhile' );

		$one->commit( array( 'one.php' => 'one' ) );
		$held = $held_push( $one, 'origin', 'HEAD:refs/heads/made' );
		$two->commit( array( 'two.php' => 'two' ) );
		$two->git( 'push', '--quiet', 'origin', 'HEAD:refs/heads/made' );
		$refused( $held, 'the branch exists already' );
		same( array( false, true ), array( is_file( "$site->dir/made/one.php" ), is_file( "$site->dir/made/two.php" ) ), 'whose files it has' );

		$two->commit( array( 'two.php' => 'two again' ) );
		$held = $held_push( $two, 'origin', 'HEAD:refs/heads/made' );
		$one->git( 'push', '--quiet', 'origin', '--delete', 'made' );
		$one->git( 'push', '--quiet', 'origin', 'HEAD:refs/heads/made' );
		$refused( $held, 'the branch has been replaced meanwhile' );
		same( array( true, false ), array( is_file( "$site->dir/made/one.php" ), is_file( "$site->dir/made/two.php" ) ), 'whose files it has now' );

		// Nothing came in between: not even what WordPress writes is in the way.
		$site->database( 'made' )->exec( "UPDATE wp_options SET option_value = 'Changed' WHERE option_name = 'blogname'" );
		$one->git( 'push', '--quiet', 'origin', '--delete', 'made' );
		same( array( 'main' ), array_column( $site->json( 'branch', 'list' ), 'name' ), 'the branches' );
	}
);

test(
	'a push to a branch that cannot be read changes neither its files nor its ref, however often it is tried',
	function () use ( $site, $remote ) {
		$site->done( 'branch', 'create', 'broken' );
		$checkout = new Checkout( $remote );
		$checkout->git( 'switch', '--quiet', 'broken' );
		$ref      = $checkout->git( 'rev-parse', 'origin/broken' );
		$database = "$site->dir/broken/wp-content/database/.ht.sqlite";
		$bytes    = file_get_contents( $database );
		array_map( 'unlink', glob( "$database-*" ) );
		put( $database, str_repeat( 'no database', 1000 ) );
		$checkout->commit( array( 'fix.php' => 'fix' ) );
		$log = count( $site->json( 'log' ) );
		for ( $i = 0; $i < 2; $i++ ) {
			$outcome = $checkout->run( 'push', 'origin', 'broken' );
			same( 1, $outcome->status, "the push: {$outcome->text()}: exit status" );
			holds( str_contains( $outcome->errors, "branch 'broken' cannot be read" ), "it says what is wrong: $outcome->errors" );
			holds( str_contains( $outcome->errors, 'file is not a database' ), "it says why: $outcome->errors" );
			holds( str_contains( $outcome->errors, 'forkpress branch reset broken' ), "it says what to do: $outcome->errors" );
			holds( ! is_file( "$site->dir/broken/fix.php" ), 'the file is not there' );
			same( $ref, trim( file_get_contents( "$site->dir/.forkpress/cow/git/refs/heads/broken" ) ), 'the ref' );
		}
		same( $log, count( $site->json( 'log' ) ), 'operations' );

		// Others are pushed to, and made, all the same: from what can be read.
		$checkout->git( 'push', '--quiet', 'origin', "$ref:refs/heads/beside" );
		put( $database, $bytes );
		$checkout->git( 'push', '--quiet', 'origin', 'broken' );
		same( 'fix', file_get_contents( "$site->dir/broken/fix.php" ), 'the file' );
		put( $database, str_repeat( 'no database', 1000 ) );
		array_map( 'unlink', glob( "$database-*" ) );
		foreach ( array( 'broken', 'beside' ) as $branch ) {
			$checkout->git( 'push', '--quiet', 'origin', '--delete', $branch );
		}
	}
);

test(
	'names that differ in case only are files of their own, coming and going',
	function () use ( $remote, $main ) {
		$checkout = new Checkout( $remote );
		$checkout->commit( array( 'case/Name.php' => 'upper', 'case/name.php' => 'lower' ) );
		$checkout->git( 'push', '--quiet', 'origin', 'HEAD:main' );
		same( array( 'upper', 'lower' ), array( file_get_contents( "$main/case/Name.php" ), file_get_contents( "$main/case/name.php" ) ), 'the files' );
		$checkout->commit( array( 'case/name.php' => null, 'case/NAME.php' => 'third' ) );
		$checkout->git( 'push', '--quiet', 'origin', 'HEAD:main' );
		same( array( '.', '..', 'NAME.php', 'Name.php' ), scandir( "$main/case" ), 'the folder' );
		$again = new Checkout( $remote );
		same( 'upper', file_get_contents( "$again->dir/wordpress/case/Name.php" ), 'the file in a new clone' );
	}
);

test(
	'a client that hangs up leaves the branch as it was before or after',
	function () use ( $site, $remote, $main, $state ) {
		$as_before  = $state();
		$headers    = array( 'Content-Type' => 'application/x-git-receive-pack-request', 'Content-Length' => '1000000' );
		$connection = $site->open( '/site.git/git-receive-pack', $headers, 'POST' );
		fwrite( $connection, str_repeat( 'x', 10000 ) );
		fclose( $connection );
		same( $as_before, $state(), 'half a push: refs, folders, records and log' );

		$checkout = new Checkout( $remote );
		$commit   = $checkout->commit( array( 'hung-up.php' => 'hung up' ) );
		$locks    = $site->stuck( 'operations.lock' );
		$push     = git( $checkout->dir, 'push', 'origin', 'HEAD:main' );
		$intent   = "$site->dir/.forkpress/cow/journal/intent.toml";
		eventually( static fn () => is_file( $intent ), 'the push is about to publish' );
		$push->process->stop();
		array_map( 'fclose', $locks );
		// Whoever changes something next waits until the push has ended, or brings it to its end.
		$site->done( 'branch', 'create', 'next' );
		$site->done( 'branch', 'delete', 'next' );
		$checkout->git( 'fetch', '--quiet' );
		clearstatcache();
		$is_there = is_file( "$main/hung-up.php" );
		holds( ! is_file( $intent ), 'nothing is left of the push' );
		$in_view  = '' !== $checkout->git( 'ls-tree', 'origin/main', 'wordpress/hung-up.php' );
		same( $is_there, $in_view, 'whether the view has what the branch has' );
	}
);

test(
	'no page that four clients get while pushes come in mixes old and new files',
	function () use ( $site, $remote ) {
		$checkout = new Checkout( $remote );
		$version  = static fn ( int $version ): array => array(
			'page/index.php' => PAGE,
			'page/one.php'   => "<?php return $version;",
			'page/two.php'   => "<?php return $version;",
		);
		$checkout->commit( $version( 0 ) );
		$checkout->git( 'push', '--quiet' );
		$script = temp_dir() . '/client.php';
		put( $script, CLIENT );
		$clients = array();
		for ( $i = 0; $i < CLIENTS; $i++ ) {
			$clients[] = new Process( array( PHP_BINARY, $script, (string) $site->port ) );
		}
		for ( $i = 1; $i <= PUSHES; $i++ ) {
			$checkout->commit( $version( $i ) );
			$checkout->git( 'push', '--quiet' );
			same( "whole $i", $site->request( '/page/index.php' )->body, 'the first page after a push' );
		}
		$pages = 0;
		foreach ( $clients as $client ) {
			fclose( $client->stdin );
			same( 0, $client->wait(), 'exit status of a client: ' . $client->output() );
			$answers = json_decode( $client->output(), true );
			same( array( 'whole' ), array_keys( $answers ), 'what pages there were' );
			$pages += $answers['whole'];
		}
		holds( $pages > PUSHES, "there were pages: $pages" );
	}
);

test(
	'the server keeps no process that has ended',
	function () use ( $site, $remote ) {
		$checkout = new Checkout( $remote );
		foreach ( array( 'one', 'two' ) as $bytes ) {
			$checkout->commit( array( 'ended.txt' => $bytes ) );
			$checkout->git( 'push', '--quiet', 'origin', 'HEAD:main' );
		}
		$server = $site->json( 'server', 'list' )[0]['pid'];
		// What a push has left to be done ends some time later.
		eventually(
			static function () use ( $server ): bool {
				preg_match_all( '/^ *(\d+) (\S)/m', (string) shell_exec( 'ps -A -o ppid=,stat=' ), $found, PREG_SET_ORDER );
				return array() === array_filter( $found, static fn ( array $process ) => array( "$server", 'Z' ) === array( $process[1], $process[2] ) );
			},
			'none of its children is a zombie'
		);
		same( 200, $site->request( '/' )->status, 'the site is served' );
	}
);

$kinds = array(
	'cgi-fcgi'   => array( 'FORKPRESS_PHP_FPM' => 'none' ),
	'cli-server' => array( 'FORKPRESS_PHP_FPM' => 'none', 'FORKPRESS_PHP_CGI' => 'none' ),
);
foreach ( $kinds as $sapi => $env ) {
	test(
		"with $sapi behind the server a push changes a branch, makes one and deletes one, or is refused and changes nothing",
		function () use ( $site, $remote, $state, $sapi, $env ) {
			$site->stop();
			$site->serve( 2, $env + array( 'FORKPRESS_BIN' => program() ) );
			$checkout = new Checkout( $remote );
			foreach ( array( 'first', 'second' ) as $version ) {
				$commit = $checkout->commit( array( 'kind.php' => "<?php echo PHP_SAPI, ' $version';" ) );
				$checkout->git( 'push', '--quiet', 'origin', 'HEAD:main' );
				// Each process has an OPcache of its own.
				for ( $i = 0; $i < 6; $i++ ) {
					same( "$sapi $version", $site->request( '/kind.php' )->body, 'a page after the push' );
				}
			}
			$checkout->git( 'fetch', '--quiet' );
			same( $commit, $checkout->git( 'rev-parse', 'origin/main' ), 'the commit that a fetch gives' );

			$checkout->git( 'switch', '--quiet', '--create', "by-$sapi" );
			$large = random_bytes( 3 << 20 );
			$checkout->commit( array( 'kind.php' => '<?php echo "made";', 'large.bin' => $large ) );
			$checkout->git( 'push', '--quiet', 'origin', "by-$sapi" );
			same( 'made', $site->request( '/kind.php', array( 'Host' => $site->host( "by-$sapi" ) ) )->body, 'the page of the new branch' );
			holds( file_get_contents( "$site->dir/by-$sapi/large.bin" ) === $large, 'the large file' );
			same( "$sapi second", $site->request( '/kind.php' )->body, 'the page of main' );

			$before  = $state();
			$refused = array(
				'only branches can be pushed'                  => array( 'HEAD:refs/tags/v1' ),
				'ForkPress accepts one branch update per push' => array( 'HEAD:main', 'HEAD:other' ),
			);
			foreach ( $refused as $message => $refs ) {
				$outcome = $checkout->run( 'push', 'origin', ...$refs );
				holds( 0 !== $outcome->status && str_contains( $outcome->errors, $message ), "it says \"$message\": {$outcome->text()}" );
				same( $before, $state(), 'refs, folders, records and log' );
			}
			$checkout->git( 'push', '--quiet', 'origin', '--delete', "by-$sapi" );
			holds( ! is_dir( "$site->dir/by-$sapi" ), 'the deleted branch is gone' );
		}
	);
}
