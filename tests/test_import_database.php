<?php
/**
 * The database of a tree that is made into a site is found where the tree's configuration has it.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_import_database.php
 *
 * Drivers from 3.1 on come in no package yet that the tests can have. The tree that looks like theirs is built by hand.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

/** A configuration that says nothing of the database, as other tools write it. */
const PLAIN = "<?php\n%s\ndefine( 'DB_NAME', 'wordpress' );\n\$table_prefix = 'wp_';\ndefine( 'WP_HOME', 'http://' . \$_SERVER['HTTP_HOST'] );\ndefine( 'WP_SITEURL', WP_HOME );\nif ( ! defined( 'ABSPATH' ) ) {\n\tdefine( 'ABSPATH', __DIR__ . '/' );\n}\nrequire_once ABSPATH . 'wp-settings.php';\n";

$given = (string) getenv( 'FORKPRESS_TEST_WORDPRESS' );
$tree  = temp_dir() . '/tree';
same( 0, ( new Process( array( 'cp', '-R', '' !== $given ? $given : ROOT . '/target/wordpress', $tree ) ) )->wait(), 'copying WordPress' );
copy( ROOT . '/runtime/wp-config.php', "$tree/wp-config.php" );
$install = new Process( php( array( ROOT . '/runtime/install.php', $tree ) ), array( 'FORKPRESS_ADMIN_PASSWORD' => 'secret', 'HTTP_HOST' => 'example.com' ) );
same( 0, $install->wait(), 'installing WordPress: ' . $install->output() );

/**
 * Makes a site of the tree and returns it, and fails unless its database is in its place and nowhere else, and is the tree's.
 *
 * @param string $config   What its wp-config.php says of the database.
 * @param string $database Where the tree has it.
 */
$import = static function ( string $config, string $database ) use ( $tree ): Site {
	static $number = 0;
	$title         = 'Title ' . ++$number;
	put( "$tree/wp-config.php", sprintf( PLAIN, $config ) );
	// In use, with what was written last in the log only.
	$open = new \PDO( "sqlite:$database", null, null, array( \PDO::ATTR_ERRMODE => \PDO::ERRMODE_EXCEPTION ) );
	$open->exec( 'PRAGMA wal_autocheckpoint = 0' );
	$open->exec( "UPDATE wp_options SET option_value = '$title' WHERE option_name = 'blogname'" );
	putenv( "FORKPRESS_TEST_WORDPRESS=$tree" );
	$site = new Site();
	same( $title, $site->database( 'main' )->query( "SELECT option_value FROM wp_options WHERE option_name = 'blogname'" )->fetchColumn(), 'the title' );
	$found = array();
	foreach ( new \RecursiveIteratorIterator( new \RecursiveDirectoryIterator( "$site->dir/main", \FilesystemIterator::SKIP_DOTS ) ) as $file ) {
		if ( 'SQLite format 3' === file_get_contents( $file->getPathname(), false, null, 0, 15 ) ) {
			$found[] = substr( $file->getPathname(), strlen( "$site->dir/main/" ) );
		}
	}
	same( array( 'wp-content/database/.ht.sqlite' ), $found, 'the databases in main' );
	$text = (string) file_get_contents( "$site->dir/main/wp-config.php" );
	holds( ! preg_match( '~^[^/]*(' . preg_quote( $tree, '~' ) . '|/nowhere)~m', $text ), "no path of the tree is left: $text" );
	holds( str_contains( $text, 'DB_PATH' ), 'a driver from 3.1 on is told its place' );
	return $site;
};

test(
	'the database that a driver from 3.1 on has put into a folder with a random name is found',
	function () use ( $tree, $import ) {
		$folder = "$tree/wp-content/database";
		$random = '.ht.' . bin2hex( random_bytes( 16 ) );
		mkdir( "$folder/$random" );
		rename( "$folder/.ht.sqlite", "$folder/$random/.ht.sqlite" );
		put( "$folder/db-path.php", "<?php return __DIR__ . '/$random/.ht.sqlite';" );
		$site = $import( '', "$folder/$random/.ht.sqlite" );
		$site->serve( 1 );
		$site->done( 'branch', 'create', 'x' );
		$site->database( 'x' )->exec( "UPDATE wp_options SET option_value = 'Only x' WHERE option_name = 'blogname'" );
		holds( str_contains( ( new Browser( $site, 'x' ) )->request( '/' )->body, '<title>Only x' ), 'a branch has its own' );
		holds( str_contains( ( new Browser( $site, 'main' ) )->request( '/' )->body, '<title>Title' ), 'main has its own' );
		$site->stop();
		unlink( "$folder/db-path.php" );
		$import( '', "$folder/$random/.ht.sqlite" );
		rename( "$folder/$random/.ht.sqlite", "$folder/.ht.sqlite" );
		rmdir( "$folder/$random" );
	}
);

test(
	'a database elsewhere is found by its constants, and none of them leads out of the branch afterwards',
	function () use ( $tree, $import ) {
		$folder = "$tree/wp-content/database";
		$import( "define( 'DB_DIR', '$folder' );", "$folder/.ht.sqlite" );
		$import( "if ( ! defined( 'DB_PATH' ) ) {\n\tdefine( \"DB_PATH\", '/nowhere/.ht.sqlite' );\n}", "$folder/.ht.sqlite" );
		rename( "$folder/.ht.sqlite", "$tree/wp-content/my.db" );
		// What is at the standard place as well is not what the configuration means.
		copy( "$tree/wp-content/my.db", "$folder/.ht.sqlite" );
		$import( "define( 'DB_DIR', dirname( __FILE__ ) . '/wp-content' );\ndefine( 'DB_FILE', 'my.db' );", "$tree/wp-content/my.db" );
	}
);

test(
	'constants that a configuration defines in a way of its own do not lead out of the branch either',
	function () use ( $tree, $import ) {
		unlink( "$tree/wp-content/my.db" );
		$import( "foreach ( array( 'DB_DIR', 'FQDB' ) as \$name ) {\n\t@define( \$name, sys_get_temp_dir() . '/x.sqlite' );\n}", "$tree/wp-content/database/.ht.sqlite" );
	}
);

test(
	'a new configuration tells every driver, and WP-CLI, the same place, and that moves with the folder',
	function () {
		$dir = temp_dir();
		put( "$dir/wp-settings.php", '<?php echo json_encode( array( DB_DIR . DB_FILE, DB_PATH, FQDB, FQDBDIR . DB_FILE ), JSON_UNESCAPED_SLASHES );' );
		copy( ROOT . '/runtime/wp-config.php', "$dir/wp-config.php" );
		$said = new Process( array( PHP_BINARY, "$dir/wp-config.php" ) );
		same( 0, $said->wait(), 'exit status' );
		same( array_fill( 0, 4, "$dir/wp-content/database/.ht.sqlite" ), json_decode( $said->output(), true ), 'the paths' );
	}
);
