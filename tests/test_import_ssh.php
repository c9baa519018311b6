<?php
/**
 * A site on another machine comes in by ssh: a real sshd, a real MariaDB, a WordPress that runs on it. Nothing is written there.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_import_ssh.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/person.php';
require __DIR__ . '/mariadb.php';
require __DIR__ . '/sshd.php';

/** What the site says. */
const TITLE = 'A résumé 🎉';

/** Where it is. */
const ORIGIN = 'https://shop.example.com';

/** With what it signs in. */
const PASSWORD = 'p\'a"s#s\\w; $(x)';

$site = new Site();
$site->serve( 2 );
ask_wordpress(
	$site,
	'main',
	'wp_insert_post( array( "post_title" => $given, "post_content" => "x", "post_status" => "publish" ) );
	global $wpdb;
	$wpdb->query( "CREATE TABLE {$wpdb->prefix}kinds (id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, n decimal(10,2), d double, t longtext, b blob, v varbinary(20), z datetime)" );',
	TITLE
);

// The other machine: a WordPress on MySQL, at a path that is no joke for a shell.
$maria  = new MariaDB();
$export = temp_dir();
$site->done( 'export', 'main', '--to', "$export/site", '--url', ORIGIN );
$maria->load( 'shop', "$export/site/database.sql" );
$there = "$export/it's \"my\" site; \$(touch x) -x/www";
mkdir( dirname( $there ) );
rename( "$export/site/wordpress", $there );
$maria->connect()->query( "CREATE USER 'shop'@'localhost' IDENTIFIED BY '" . addslashes( PASSWORD ) . "'" );
$maria->connect()->query( "GRANT SELECT, SHOW VIEW ON shop.* TO 'shop'@'localhost'" );
$rows = $maria->connect( 'shop' );
$rows->query( "SET sql_mode = ''" );
$rows->query( "INSERT INTO wp_kinds VALUES (NULL, 1.50, 1e100, 'it''s \\\\ \"q\"\nline \x1a é🎉', x'00ff27225c0a', '', '0000-00-00 00:00:00'), (NULL, NULL, NULL, NULL, NULL, NULL, NULL), (4000000000, -3, 0, '', '', 0x00, '2026-01-02 03:04:05')" );
for ( $batch = 0; $batch < 40; $batch++ ) {
	$rows->query( 'INSERT INTO wp_kinds (n, t) VALUES ' . implode( ',', array_fill( 0, 50, "($batch, '" . str_repeat( 'text ', 80 ) . "')" ) ) );
}
$config = "$there/wp-config.php";
put( $config, str_replace( array( 'database_name_here', 'username_here', "'password_here'", "'localhost'" ), array( 'shop', 'shop', var_export( PASSWORD, true ), "'localhost:$maria->socket'" ), file_get_contents( $config ) ) );
put( "$there/wp-content/uploads/2026/11/film & é.mp4", random_bytes( 3000000 ) );
put( "$there/wp-content/uploads/note.pdf", 'note' );
put( "$there/wp-content/cache/page.html", 'cached' );
put( "$there/wp-content/plugins/mine/mine.php", '<?php // Plugin Name: Mine' );
put( "$there/blog/wp-load.php", '<?php // Another one, in it.' );
put( "$there/old dump.sql", "CREATE TABLE `other_options` (`a` int);\n" );
symlink( '/etc', "$there/wp-content/etc" );

// What is found on that machine. `held` waits before tar ends, for as long as there is a file.
$tools = temp_dir();
$which = static fn ( string $name ): string => trim( (string) shell_exec( "command -v $name" ) );
mkdir( "$tools/php-only" );
foreach ( array( 'sh', 'dd', 'cat', 'tar', 'gzip', 'find', 'du' ) as $name ) {
	symlink( $which( 'busybox' ), "$tools/php-only/$name" );
}
symlink( PHP_BINARY, "$tools/php-only/php" );
put( "$tools/noted/mariadb-dump", "#!/bin/sh\ncat /proc/\$\$/cmdline >>$tools/arguments\nexec {$which( 'mariadb-dump' )} \"\$@\"\n" );
put( "$tools/held/tar", "#!/bin/sh\n{$which( 'tar' )} \"\$@\"\nstatus=\$?\ncase \"\$*\" in *' .') while [ -e $tools/hold ]; do sleep 0.1; done ;; esac\nexit \$status\n" );
chmod( "$tools/noted/mariadb-dump", 0755 );
chmod( "$tools/held/tar", 0755 );
$path = getenv( 'PATH' );
$sshd = new Sshd(
	array(
		'whole'    => "$tools/noted:$path",
		'php-only' => "$tools/php-only",
		'held'     => "$tools/held:$path",
	)
);

/**
 * Runs a command of the site with that ssh.
 *
 * @param string ...$arguments Its arguments.
 */
$run = static fn ( string ...$arguments ): Outcome => $site->command( $arguments, $sshd->env() )->outcome();

/**
 * Returns what the other machine has: files with their times, rows.
 */
$state = static function () use ( $export, $maria ): array {
	$list   = array();
	$folder = new \RecursiveDirectoryIterator( $export, \FilesystemIterator::SKIP_DOTS );
	foreach ( new \RecursiveIteratorIterator( $folder, \RecursiveIteratorIterator::SELF_FIRST ) as $file ) {
		$list[] = $file->getPathname() . ' ' . $file->getMTime() . ' ' . ( $file->isFile() ? md5_file( $file->getPathname() ) : '' );
	}
	sort( $list );
	$tables = implode( ', ', array_column( $maria->query( 'shop', "SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'" ), 'Tables_in_shop' ) );
	return array( md5( implode( "\n", $list ) ), md5( json_encode( $maria->query( 'shop', "CHECKSUM TABLE $tables" ) ) ) );
};

/**
 * Returns what an import may leave: branches, operations, what is staged and what came.
 */
$traces = static fn (): array => array(
	scandir( $site->dir ),
	count( $site->json( 'log' ) ),
	scandir( "$site->dir/.forkpress/cow/staging" ),
	glob( "$site->dir/.forkpress/cow/incoming/*" ),
);

/**
 * Fails unless a branch has the rows of the table with all kinds of values.
 *
 * @param string $branch The branch.
 */
$same_rows = static function ( string $branch ) use ( $site, $maria ): void {
	$right = $maria->query( 'shop', 'SELECT id, n, d, t, hex(b) b, hex(v) v, z FROM wp_kinds ORDER BY id' );
	$found = $site->database( $branch )->query( 'SELECT id, n, d, t, CASE WHEN b IS NULL THEN NULL ELSE hex(b) END b, CASE WHEN v IS NULL THEN NULL ELSE hex(v) END v, z FROM wp_kinds ORDER BY id' )->fetchAll( \PDO::FETCH_ASSOC );
	same( count( $right ), count( $found ), 'rows' );
	$plain = static fn ( array $row ): array => array( ...$row, 'id' => (int) $row['id'], 'n' => null === $row['n'] ? null : (float) $row['n'], 'd' => null === $row['d'] ? null : (float) $row['d'] );
	foreach ( $right as $at => $row ) {
		same( $plain( $row ), $plain( $found[ $at ] ), "row $at" );
	}
};

/**
 * Answers a request for a branch.
 *
 * @param string $branch The branch.
 * @param string $target The request target.
 * @param string $method The method.
 */
$ask = static fn ( string $branch, string $target, string $method = 'GET' ): Response => $site->request( $target, array( 'Host' => $site->host( $branch ) ), $method );

$before = $state();

test(
	'a site comes whole, by one connection, and nothing is changed there',
	function () use ( $site, $sshd, $there, $run, $state, $before, $same_rows, $ask, $tools ) {
		$connections = $sshd->connections();
		$outcome     = $run( 'import', $sshd->url( 'whole', $there ), '--branch', 'whole' );
		same( 0, $outcome->status, $outcome->text() );
		same( $connections + 1, $sshd->connections(), 'connections' );
		foreach ( array( 'wp-content/uploads/2026/11/film & é.mp4', 'wp-content/plugins/mine/mine.php', 'blog/wp-load.php' ) as $file ) {
			same( md5_file( "$there/$file" ), md5_file( "$site->dir/whole/$file" ), $file );
		}
		holds( ! file_exists( "$site->dir/whole/wp-content/cache" ) && ! is_link( "$site->dir/whole/wp-content/etc" ), 'neither caches nor links' );
		holds( str_contains( $outcome->out, 'wp-content/cache (a cache)' ) && str_contains( $outcome->out, 'wp-content/etc (a symbolic link)' ), $outcome->text() );
		$same_rows( 'whole' );
		holds( str_contains( $ask( 'whole', '/' )->body, TITLE ), 'the page' );
		$config = file_get_contents( "$site->dir/whole/wp-config.php" );
		holds( ! str_contains( $config, PASSWORD ) && ! str_contains( $config, 'shop' ), 'no settings of the old database' );
		same( $before, $state(), 'files and rows there' );
		$arguments = file_get_contents( "$tools/arguments" );
		holds( str_contains( $arguments, '--defaults-file' ) && ! str_contains( $arguments, 's#s' ), "no list of processes has the password: $arguments" );
		same( array(), glob( "$site->dir/.forkpress/cow/incoming/*" ), 'what came is gone' );
	}
);

test(
	'a machine with BusyBox and PHP, and without mysqldump, gives the same',
	function () use ( $site, $sshd, $there, $run, $state, $before, $same_rows ) {
		$outcome = $run( 'import', $sshd->url( 'php-only', $there ), '--branch', 'php', '--exclude', '*.mp4', '--exclude', 'wp-content/plugins/mine' );
		same( 0, $outcome->status, $outcome->text() );
		$same_rows( 'php' );
		foreach ( array( 'wp_posts', 'wp_options', 'wp_usermeta' ) as $table ) {
			$all = static fn ( string $branch ): array => $site->database( $branch )->query( "SELECT * FROM $table WHERE " . ( 'wp_options' === $table ? "option_name NOT LIKE '%transient%' AND option_name NOT IN ('cron', 'rewrite_rules', 'recovery_keys')" : '1' ) . ' ORDER BY 1' )->fetchAll( \PDO::FETCH_NUM );
			same( array(), array_diff( array_map( 'json_encode', $all( 'php' ) ), array_map( 'json_encode', $all( 'whole' ) ) ), "rows of $table" );
		}
		$create = static fn ( string $branch ): string => ask_wordpress( $site, $branch, 'return preg_replace( "/ AUTO_INCREMENT=\d+/", "", $GLOBALS["wpdb"]->get_row( "SHOW CREATE TABLE wp_kinds", ARRAY_N )[1] );' );
		same( $create( 'whole' ), $create( 'php' ), 'the definition' );
		holds( ! file_exists( "$site->dir/php/wp-content/uploads/2026/11/film & é.mp4" ) && ! file_exists( "$site->dir/php/wp-content/plugins/mine" ), 'what is excluded' );
		same( $before, $state(), 'files and rows there' );
	}
);

test(
	'a media library that stays there is asked there for what a branch lacks, from clones as well',
	function () use ( $site, $sshd, $there, $run, $ask, $before, $state ) {
		$outcome = $run( 'import', $sshd->url( 'whole', $there ), '--branch', 'light', '--without-uploads' );
		same( 0, $outcome->status, $outcome->text() );
		holds( ! file_exists( "$site->dir/light/wp-content/uploads" ), 'no uploads' );
		$site->done( 'branch', 'create', 'copy', '--from', 'light' );
		$site->done( 'branch', 'create', 'copy-of-copy', '--from', 'copy' );
		$site->done( 'branch', 'delete', 'copy' );
		$site->done( 'undo' );
		foreach ( array( 'light', 'copy', 'copy-of-copy' ) as $branch ) {
			foreach ( array( 'GET', 'HEAD' ) as $method ) {
				$answer = $ask( $branch, '/wp-content/uploads/2026/11/film%20&%20%C3%A9.mp4?v=1', $method );
				same( array( 302, ORIGIN . '/wp-content/uploads/2026/11/film%20%26%20%C3%A9.mp4?v=1' ), array( $answer->status, $answer->headers['location'] ?? null ), "$method of $branch" );
			}
			same( ORIGIN . '/wp-content/uploads', $site->json( 'branch', 'show', $branch )['uploads']['url'], "$branch says where they are" );
			foreach ( array( '/wp-content/plugins/none.png', '/wp-content/uploads/none.php', '/none.jpg' ) as $target ) {
				same( 404, $ask( $branch, $target )->status, "$target of $branch" );
			}
		}
		put( "$site->dir/copy/wp-content/uploads/note.pdf", 'own' );
		same( array( 200, 'own' ), array( $ask( 'copy', '/wp-content/uploads/note.pdf' )->status, $ask( 'copy', '/wp-content/uploads/note.pdf' )->body ), 'one that is here' );
		same( 404, $ask( 'main', '/wp-content/uploads/none.jpg' )->status, 'a branch that has its own' );
		holds( str_contains( $site->done( 'doctor', 'branches' ), "'copy' lacks are at " . ORIGIN ), 'doctor says it' );
		$site->done( 'branch', 'reset', 'copy', '--from', 'whole' );
		same( 404, $ask( 'copy', '/wp-content/uploads/none.jpg' )->status, 'a branch that got uploads' );
		$site->done( 'undo' );
		same( 302, $ask( 'copy', '/wp-content/uploads/none.jpg' )->status, 'a branch that lost them again' );
		same( $before, $state(), 'files and rows there' );
	}
);

test(
	'a site is made of one in an empty folder, and sources on this machine leave uploads where they are, too',
	function () use ( $sshd, $there, $site, $export ) {
		$dir     = temp_dir();
		$port    = free_port();
		$outcome = $site->command( array( 'init', '--work-dir', "$dir/.forkpress", '--from', $sshd->url( 'whole', $there ), '--without-uploads', '--port', (string) $port ), $sshd->env() )->outcome();
		same( 0, $outcome->status, $outcome->text() );
		holds( str_contains( $outcome->out, ORIGIN . '/wp-content/uploads' ), $outcome->text() );
		holds( str_contains( file_get_contents( "$dir/.forkpress/cow/branches/main.toml" ), ORIGIN ), 'the record of main' );
		same( array(), glob( "$dir/.forkpress/cow/incoming/*" ), 'what came is gone' );
		$site->done( 'export', 'main', '--to', "$dir/again.zip", '--url', 'https://other.example' );
		$site->done( 'import', "$dir/again.zip", '--branch', 'again', '--without-uploads' );
		same( 'https://other.example/wp-content/uploads', $site->json( 'branch', 'show', 'again' )['uploads']['url'], 'of a ZIP' );
	}
);

test(
	'a site with SQLite comes with the database among its files',
	function () use ( $site, $sshd, $run, $ask, $traces ) {
		$outcome = $run( 'import', $sshd->url( 'whole', "$site->dir/main" ), '--branch', 'sqlite' );
		same( 0, $outcome->status, $outcome->text() );
		holds( str_contains( $ask( 'sqlite', '/' )->body, TITLE ), 'the page' );
		$left    = $traces();
		$outcome = $run( 'import', $sshd->url( 'whole', "$site->dir/main" ), '--branch', 'sqlite' );
		same( 1, $outcome->status, $outcome->text() );
		holds( ! str_contains( $outcome->errors, 'connecting' ), "a branch that is there is refused at once: {$outcome->text()}" );
		same( $left, $traces(), 'what is left' );
	}
);

test(
	'a dry run tells what is there, and copies nothing',
	function () use ( $sshd, $there, $run, $traces ) {
		$left = $traces();
		$said = json_decode( $run( '--json', 'import', $sshd->url( 'whole', $there ), '--dry-run' )->out, true );
		same( array( 'wp_', 'mariadb-dump', 'shop at localhost' ), array( $said['prefix'], $said['dump'], $said['database'] ), 'what is there' );
		holds( $said['bytes'] > 10000000 && $said['uploads_bytes'] >= 3000000, 'bytes' );
		same( $left, $traces(), 'what is left' );
	}
);

test(
	'a configuration that is code is run by the PHP there, and one in the folder above counts',
	function () use ( $site, $sshd, $there, $run, $config ) {
		$text = file_get_contents( $config );
		put( dirname( $there ) . '/secret', PASSWORD );
		put( dirname( $there ) . '/wp-config.php', str_replace( var_export( PASSWORD, true ), "file_get_contents( __DIR__ . '/secret' )", $text ) );
		unlink( $config );
		$outcome = $run( 'import', $sshd->url( 'php-only', $there ), '--branch', 'code', '--without-uploads' );
		put( $config, $text );
		unlink( dirname( $there ) . '/wp-config.php' );
		unlink( dirname( $there ) . '/secret' );
		same( 0, $outcome->status, $outcome->text() );
		holds( str_contains( $outcome->out, 'PHP ran that file there' ), $outcome->text() );
		holds( is_dir( "$site->dir/code" ), 'the branch' );
	}
);

test(
	'what goes wrong there is told with what to do, and leaves nothing',
	function () use ( $sshd, $there, $run, $traces, $config, $maria, $export ) {
		$left  = $traces();
		$fails = static function ( string $source, string ...$words ) use ( $run, $traces, $left ): void {
			$outcome = $run( 'import', $source, '--branch', 'failed' );
			same( 1, $outcome->status, "$source: {$outcome->text()}" );
			foreach ( array( ...$words, 'hint: ' ) as $word ) {
				holds( str_contains( $outcome->errors, $word ), "$word in {$outcome->text()}" );
			}
			holds( ! str_contains( $outcome->text(), 's#s' ), 'no password' );
			same( $left, $traces(), "what $source leaves" );
		};
		$fails( $sshd->url( 'whole', "$export/none" ), 'no such folder' );
		$fails( $sshd->url( 'whole', "$there/index.php" ), 'no folder' );
		$fails( $sshd->url( 'whole', dirname( $there ) ), 'no WordPress', 'forkpress import', '/www' );
		$fails( 'ssh://-oProxyCommand=true/x', 'can not be used' );
		$fails( "ssh://$sshd->user@127.0.0.1:" . free_port() . '/x', 'cannot connect' );
		$sshd->let_in( 'stranger' );
		$fails( $sshd->url( 'whole', $there ), 'Permission denied', 'ssh-copy-id' );
		$sshd->let_in( 'user', 'none' );
		$fails( $sshd->url( 'whole', $there ), 'Host key verification failed', 'by hand' );
		$sshd->let_in( 'user' );
		$text = file_get_contents( $config );
		put( $config, str_replace( var_export( PASSWORD, true ), "'wrong'", $text ) );
		$fails( $sshd->url( 'whole', $there ), 'Access denied', 'wp-config.php' );
		$fails( $sshd->url( 'php-only', $there ), 'Access denied', 'wp-config.php' );
		put( $config, $text );
		// A dump that ends half-way.
		$maria->connect( 'shop' )->query( 'CREATE TABLE zz_gone (a int)' );
		$maria->connect( 'shop' )->query( 'CREATE VIEW zz_view AS SELECT * FROM zz_gone' );
		$maria->connect( 'shop' )->query( 'DROP TABLE zz_gone' );
		$fails( $sshd->url( 'whole', $there ), 'the database of', 'zz_view' );
		$maria->connect( 'shop' )->query( 'DROP VIEW zz_view' );
	}
);

test(
	'a connection that ends half-way, Ctrl-C and a kill leave nothing',
	function () use ( $site, $sshd, $there, $traces, $tools ) {
		$left    = $traces();
		$begun   = static function () use ( $site, $sshd, $there, $tools ): Command {
			put( "$tools/hold", '' );
			$command = $site->command( array( 'import', $sshd->url( 'held', $there ), '--branch', 'failed' ), $sshd->env() );
			eventually(
				static function () use ( $site, $command ): bool {
					holds( $command->process->runs(), 'it runs: ' . $command->process->output() );
					$came = glob( "$site->dir/.forkpress/cow/incoming/*/source/files.tar" );
					clearstatcache();
					return array() !== $came && filesize( $came[0] ) > 3000000;
				},
				'files come'
			);
			return $command;
		};
		$command = $begun();
		holds( $sshd->cut() > 0, 'there was a connection' );
		$outcome = $command->outcome();
		same( 1, $outcome->status, $outcome->text() );
		holds( str_contains( $outcome->errors, 'was lost while the files came' ), $outcome->text() );
		same( $left, $traces(), 'what is left' );
		unlink( "$tools/hold" );
		$command = $begun();
		$command->process->signal( SIGINT );
		$outcome = $command->outcome();
		same( 130, $outcome->status, $outcome->text() );
		same( $left, $traces(), 'what Ctrl-C left' );
		unlink( "$tools/hold" );
		$command = $begun();
		$command->process->signal( SIGKILL );
		same( 137, $command->outcome()->status, 'a kill' );
		unlink( "$tools/hold" );
		$site->done( 'branch', 'create', 'next' );
		$site->done( 'branch', 'delete', '--purge', 'next' );
		same( array(), glob( "$site->dir/.forkpress/cow/incoming/*" ), 'what the next command left of it' );
	}
);

$site->has_no_complaints();
