<?php
/**
 * A site from elsewhere comes in, as a branch or as a site of its own, whole or not at all.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_import.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/person.php';
require __DIR__ . '/mariadb.php';

/** What the site says that goes out and comes in. */
const TITLE = 'A résumé 🎉';

/** Where it was. */
const FORMER = 'https://shop.example.com';

$site = new Site();
// What runs by the clock would write meanwhile.
$config = "$site->dir/main/wp-config.php";
file_put_contents( $config, preg_replace( '/^<\\?php/', "<?php\ndefine( 'DISABLE_WP_CRON', true );", file_get_contents( $config ) ) );
$site->serve( 2 );
ask_wordpress(
	$site,
	'main',
	'foreach ( array( "siteurl", "home" ) as $name ) { $GLOBALS["wpdb"]->update( $GLOBALS["wpdb"]->options, array( "option_value" => $given[1] ), array( "option_name" => $name ) ); }
	update_option( "blogdescription", $given[0] );
	update_option( "nested", array( "page" => $given[1] . "/é", "inner" => serialize( array( $given[1] ) ) ) );
	return wp_insert_post( array( "post_title" => $given[0], "post_content" => "It was at " . $given[1] . "/about once.", "post_status" => "publish" ) );',
	array( TITLE, FORMER )
);
put( "$site->dir/main/wp-content/plugins/kept/kept.php", '<?php // Plugin Name: Kept' );
put( "$site->dir/main/wp-content/uploads/film.mp4", 'film' );

$out = temp_dir();
$site->done( 'export', 'main', '--to', "$out/site.zip" );
$site->done( 'export', 'main', '--to', "$out/folder" );
$site->done( 'export', 'main', '--format', 'sql', '--to', "$out/dump.sql" );

/**
 * Runs a command to its end.
 *
 * @param string[] $command The program and its arguments.
 * @param string   $cwd     The folder it runs in.
 */
$ran = static function ( array $command, string $cwd ) use ( $out ): void {
	$process = new Process( $command, array(), $cwd );
	same( 0, $process->wait(), implode( ' ', $command ) . ': ' . $process->output() );
};

/**
 * Returns all rows of WordPress's tables in a branch, a text each, but for what each visit writes.
 *
 * @param Site   $site   The site.
 * @param string $branch The branch.
 * @return string[]
 */
$rows = static function ( Site $site, string $branch ): array {
	$database = $site->database( $branch );
	$tables   = $database->query( "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'wp\\_%' ESCAPE '\\' ORDER BY name" )->fetchAll( \PDO::FETCH_COLUMN );
	$all      = array();
	foreach ( $tables as $table ) {
		$where         = 'wp_options' === $table ? "WHERE option_name NOT LIKE '%transient%' AND option_name NOT IN ('cron', 'recently_activated', 'recovery_keys')" : '';
		foreach ( $database->query( "SELECT * FROM $table $where ORDER BY 1" )->fetchAll( \PDO::FETCH_ASSOC ) as $row ) {
			$all[] = "$table " . json_encode( $row, JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR );
		}
	}
	return $all;
};

/**
 * Fails unless the branches of two sites have the same rows.
 *
 * @param string[] $right What is right.
 * @param string[] $found What there is.
 * @param string   $what  What came.
 */
$same_rows = static function ( array $right, array $found, string $what ): void {
	$shortened = static fn ( array $rows ): array => array_map( static fn ( $row ) => substr( $row, 0, 300 ), array_values( $rows ) );
	same( array(), $shortened( array_diff( $right, $found ) ), "rows that are missing or other ones of $what" );
	same( array(), $shortened( array_diff( $found, $right ) ), "rows that are too many of $what" );
};

/**
 * Returns the front page of a branch.
 *
 * @param Site   $site   The site.
 * @param string $branch The branch.
 */
$front = static fn ( Site $site, string $branch ): string => $site->request( '/', array( 'Host' => $site->host( $branch ) ) )->body;

test(
	'an export comes in again: the same rows, the same files, the same page',
	function () use ( $site, $out, $rows, $same_rows, $front ) {
		foreach ( array( 'zip' => 'site.zip', 'folder' => 'folder' ) as $branch => $source ) {
			$said = $site->done( 'import', "$out/$source", '--branch', $branch );
			holds( str_contains( $said, FORMER ), "$said names where it was" );
			$same_rows( $rows( $site, 'main' ), $rows( $site, $branch ), "rows that came from $source" );
			same( 'film', file_get_contents( "$site->dir/$branch/wp-content/uploads/film.mp4" ), 'an upload' );
			$page = $front( $site, $branch );
			holds( str_contains( $page, TITLE ) && ! str_contains( $page, FORMER ), "the page of $branch has its own address" );
			same( 'ok', $site->database( $branch )->query( 'PRAGMA integrity_check' )->fetchColumn(), 'integrity' );
		}
		$log = $site->json( 'log' )[0];
		same( array( 'create', 'folder', 'import of folder' ), array( $log['operation'], $log['name'], $log['with'] ), 'what the log says' );
		$site->done( 'undo' );
		holds( ! is_dir( "$site->dir/folder" ), 'an import is undone' );
	}
);

test(
	'a dump alone comes with the files of main, packed or not',
	function () use ( $site, $out, $rows, $same_rows, $ran ) {
		$ran( array( 'gzip', '-k', 'dump.sql' ), $out );
		$ran( array( 'zstd', '-q', 'dump.sql', '-o', 'odd-name' ), $out );
		foreach ( array( 'plain' => 'dump.sql', 'gzip' => 'dump.sql.gz', 'zstd' => 'odd-name' ) as $branch => $source ) {
			$site->done( 'import', "$out/$source", '--branch', $branch );
			$same_rows( $rows( $site, 'main' ), $rows( $site, $branch ), "rows that came from $source" );
			holds( is_file( "$site->dir/$branch/wp-content/plugins/kept/kept.php" ), 'the files of main' );
		}
	}
);

test(
	'what went through a real MariaDB is what it was',
	function () use ( $site, $out, $rows, $same_rows ) {
		$maria = new MariaDB();
		$maria->load( 'shop', "$out/dump.sql" );
		$dump    = new Process( array( 'sh', '-c', 'exec mariadb-dump --no-defaults --socket="$1" --user=root --hex-blob shop >"$2"', 'sh', $maria->socket, "$out/maria.sql" ) );
		same( 0, $dump->wait(), 'the dump: ' . $dump->output() );
		$site->done( 'import', "$out/maria.sql", '--branch', 'maria' );
		$same_rows( $rows( $site, 'main' ), $rows( $site, 'maria' ), 'rows' );
	}
);

test(
	'an import into an empty folder makes a site, with WordPress laid down and the constants kept',
	function () use ( $out, $ran, $front ) {
		$dir = temp_dir();
		$ran( array( 'cp', '-r', "$out/folder/wordpress/wp-content", $dir ), $dir );
		put( "$dir/wp-content/object-cache.php", '<?php die( "no such server" );' );
		put( "$dir/wp-config.php", "<?php\ndefine( 'DB_NAME', 'shop' );\ndefine( 'MINE', 'kept' );\ndefine( 'WP_CACHE', true );\n\$table_prefix = 'wp_';\n" );
		$ran( array( 'cp', "$out/dump.sql", "$dir/backup.sql" ), $dir );
		$ran( array( 'tar', '-czf', "$out/content.tar.gz", '.' ), $dir );
		$made = new Site( null, "$out/content.tar.gz" );
		holds( is_file( "$made->dir/main/wp-includes/version.php" ) && ! is_file( "$made->dir/main/wp-content/object-cache.php" ), 'WordPress, and no cache of the old host' );
		$config = file_get_contents( "$made->dir/main/wp-config.php" );
		holds( str_contains( $config, "define( 'MINE', 'kept' );" ) && ! str_contains( $config, 'WP_CACHE' ), "constants in $config" );
		$made->serve( 1 );
		$page = $front( $made, 'main' );
		holds( str_contains( $page, TITLE ) && ! str_contains( $page, FORMER ), 'the page' );
		$made->has_no_complaints();
	}
);

test(
	'a WordPress that is not whole is made whole',
	function () use ( $site, $out, $ran, $front ) {
		$dir = temp_dir();
		$ran( array( 'cp', '-r', "$out/folder/.", $dir ), $dir );
		remove( "$dir/wordpress/wp-includes/formatting.php" );
		put( "$dir/wordpress/wp-login.php", '<?php // Somebody was here.' );
		$said = $site->run( 'import', $dir, '--branch', 'whole' );
		same( 0, $said->status, $said->text() );
		holds( str_contains( $said->out, 'wp-includes/formatting.php' ) && str_contains( $said->out, 'wp-login.php' ), $said->text() );
		same( md5_file( "$site->dir/main/wp-login.php" ), md5_file( "$site->dir/whole/wp-login.php" ), 'a file that was changed' );
		holds( str_contains( $front( $site, 'whole' ), TITLE ), 'the page' );
	}
);

test(
	'addresses are replaced for good where that is asked for, serialized lengths among them',
	function () use ( $site, $out ) {
		$site->done( 'import', "$out/site.zip", '--branch', 'rewritten', '--rewrite-urls', '--without-uploads', '--exclude', 'wp-content/plugins/kept' );
		$stored = $site->database( 'rewritten' )->query( "SELECT option_value FROM wp_options WHERE option_name = 'nested'" )->fetchColumn();
		$value  = unserialize( $stored );
		$own    = "http://{$site->host( 'rewritten' )}";
		same( array( 'page' => "$own/é", 'inner' => serialize( array( $own ) ) ), $value, 'a nested value' );
		same( $own, $site->database( 'rewritten' )->query( "SELECT option_value FROM wp_options WHERE option_name = 'home'" )->fetchColumn(), 'home' );
		foreach ( array( 'uploads/film.mp4', 'plugins/kept' ) as $left_out ) {
			holds( ! file_exists( "$site->dir/rewritten/wp-content/$left_out" ), "$left_out is left out" );
		}
	}
);

test(
	'a site of ForkPress comes in with the database that it has just now',
	function () use ( $site, $rows, $same_rows ) {
		$other = new Site( null, $site->dir, '--from-branch', 'zip' );
		$same_rows( $rows( $site, 'zip' ), $rows( $other, 'main' ), 'rows' );
	}
);

test(
	'a dry run tells what is there and changes nothing',
	function () use ( $site, $out ) {
		$before = array( scandir( $site->dir ), count( $site->json( 'log' ) ) );
		$found  = $site->json( 'import', "$out/site.zip", '--dry-run' );
		same( array( 'fork_press_export', 'wp_', FORMER ), array( $found['kind'], $found['facts']['prefix'], $found['facts']['home'] ), 'what is found' );
		same( $before, array( scandir( $site->dir ), count( $site->json( 'log' ) ) ), 'branches and operations' );
	}
);

test(
	'an import that fails leaves nothing and says what to do',
	function () use ( $site, $out, $ran ) {
		$dump = file_get_contents( "$out/dump.sql" );
		put( "$out/cut.sql", substr( $dump, 0, intdiv( strlen( $dump ), 2 ) ) );
		put( "$out/wrong.sql", str_replace( 'INSERT INTO `wp_posts`', 'INSERT INTO `wp_posts` SELECT', $dump ) );
		put( "$out/foreign.sql", "CREATE TABLE `songs` (`id` int NOT NULL, PRIMARY KEY (`id`));\nINSERT INTO `songs` VALUES (1);\n" );
		put( "$out/cut.zip", substr( file_get_contents( "$out/site.zip" ), 0, 1000000 ) );
		put( "$out/letter.txt", 'Dear all' );
		mkdir( "$out/empty" );
		$before = array( scandir( $site->dir ), count( $site->json( 'log' ) ) );
		foreach ( array( 'cut.sql', 'wrong.sql', 'foreign.sql', 'cut.zip', 'letter.txt', 'empty', 'no-such-file' ) as $source ) {
			$outcome = $site->run( 'import', "$out/$source", '--branch', 'failed' );
			same( 1, $outcome->status, "$source: {$outcome->text()}" );
			same( $before, array( scandir( $site->dir ), count( $site->json( 'log' ) ) ), "branches and operations after $source" );
			same( array(), array_values( array_diff( scandir( "$site->dir/.forkpress/cow/staging" ), array( '.', '..' ) ) ), "what $source left" );
			$folder  = temp_dir();
			$outcome = ( new Command( array( program(), 'import', "$out/$source" ), $folder, array( 'FORKPRESS_STATE_DIR' => $site->state_dir ) ) )->outcome();
			same( array( 1, array( '.', '..' ) ), array( $outcome->status, scandir( $folder ) ), "$source into a folder: {$outcome->text()}" );
		}
		$outcome = $site->run( 'import', "$out/cut.sql", '--branch', 'failed' );
		same( 1, preg_match( '/line \d+/', $outcome->errors ), "{$outcome->text()} names the line" );
		$outcome = $site->run( 'import', "$out/site.zip" );
		same( 2, $outcome->status, 'an import without a branch in a site' );
		holds( str_contains( $outcome->errors, '--branch NAME' ), $outcome->text() );
		same( 1, $site->run( 'import', "$out/site.zip", '--branch', 'zip' )->status, 'a branch that is there' );
	}
);
$site->has_no_complaints();
