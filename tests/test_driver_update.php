<?php
/**
 * A branch keeps its SQLite driver until it is given a newer one, which can be undone.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_driver_update.php
 *
 * The older driver is the one that is there, made to believe that it is older, with one file more.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

/** Where a branch has the driver. */
const PLACE = 'wp-content/mu-plugins/sqlite-database-integration';

$given  = (string) getenv( 'FORKPRESS_TEST_WORDPRESS' );
$given  = '' !== $given ? $given : ROOT . '/target/wordpress';
$newest = json_decode( (string) file_get_contents( "$given.json" ), true )['sqlite_driver'];
$tree   = temp_dir() . '/older';
same( 0, ( new Process( array( 'cp', '-R', $given, $tree ) ) )->wait(), 'copying WordPress' );
foreach ( array( 'load.php', 'wp-includes/database/version.php' ) as $file ) {
	put( "$tree/" . PLACE . "/$file", str_replace( $newest, '2.9.1', file_get_contents( "$tree/" . PLACE . "/$file" ) ) );
}
put( "$tree/" . PLACE . '/former.php', '<?php // The newer one has no such file.' );
putenv( "FORKPRESS_TEST_WORDPRESS=$tree" );
$site = new Site();
putenv( 'FORKPRESS_TEST_WORDPRESS' );
$site->done( 'branch', 'create', 'staging' );
$site->serve( 2 );

/**
 * Asks WP-CLI on a branch.
 *
 * @param string $branch       The branch.
 * @param string ...$arguments The arguments.
 */
$wp = static fn ( string $branch, string ...$arguments ): string => trim( $site->done( 'wp', $branch, '--', ...$arguments ) );

/** Returns which driver the database of a branch was brought up to date by. */
$database_of = static fn ( string $branch ): string => $site->database( $branch )->query( "SELECT value FROM _wp_sqlite_global_variables WHERE name = '_wp_sqlite_driver_version'" )->fetchColumn();

test(
	'the doctor says which branch has an older driver',
	function () use ( $site, $newest ) {
		$outcome = $site->run( 'doctor', 'driver' );
		same( 1, $outcome->status, $outcome->text() );
		holds( str_contains( $outcome->out, "newest:    $newest" ) && str_contains( $outcome->out, "older:     'staging' has 2.9.1 in " . PLACE ), $outcome->out );
		same( array( true, true ), array_column( json_decode( $site->run( '--json', 'doctor', 'driver' )->out, true )['branches'], 'older' ) );
	}
);

test(
	'one branch is given the newer driver: pages, content and tables of plugins are what they were',
	function () use ( $site, $wp, $newest, $given, $database_of ) {
		$wp( 'staging', 'db', 'query', 'CREATE TABLE wp_shop (id bigint(20) unsigned NOT NULL AUTO_INCREMENT, made datetime NOT NULL, note varchar(40), PRIMARY KEY (id), KEY made (made))' );
		$wp( 'staging', 'db', 'query', "INSERT INTO wp_shop VALUES (7, '2024-01-02 03:04:05', 'x')" );
		// The next id is none of the table's description: the branch begins ids of its own.
		$create = static fn (): string => preg_replace( '/ AUTO_INCREMENT=\d+/', '', $wp( 'staging', 'db', 'query', '--skip-column-names', 'SHOW CREATE TABLE wp_shop' ) );
		$before = $create();
		same( '2.9.1', $database_of( 'staging' ), 'of the database' );
		$said = $site->done( 'update', 'driver', '--branch', 'staging' );
		holds( str_contains( $said, "'staging' has SQLite driver $newest; it had 2.9.1" ), $said );
		same( 200, ( new Browser( $site, 'staging' ) )->request( '/' )->status );
		same( 200, ( new Browser( $site, 'staging' ) )->request( '/wp-admin/' )->status );
		same( $newest, $database_of( 'staging' ), 'of the database after a visit' );
		same( $before, $create() );
		same( "7\t2024-01-02 03:04:05\tx", $wp( 'staging', 'db', 'query', '--skip-column-names', 'SELECT * FROM wp_shop' ) );
		same( 0, ( new Process( array( 'diff', '-r', "$site->dir/staging/" . PLACE, "$given/" . PLACE ) ) )->wait(), 'the files' );
		holds( is_file( "$site->dir/main/" . PLACE . '/former.php' ), 'main keeps its own' );
	}
);

test(
	'an undo gives the branch its driver back, and what was written meanwhile stays',
	function () use ( $site, $wp ) {
		$wp( 'staging', 'option', 'update', 'blogname', 'Written by the newer one' );
		$site->done( 'undo' );
		holds( is_file( "$site->dir/staging/" . PLACE . '/former.php' ), 'the file is back' );
		same( 200, ( new Browser( $site, 'staging' ) )->request( '/' )->status );
		same( 'Written by the newer one', $wp( 'staging', 'option', 'get', 'blogname' ) );
		same( "7\t2024-01-02 03:04:05\tx", $wp( 'staging', 'db', 'query', '--skip-column-names', 'SELECT * FROM wp_shop' ) );
	}
);

test(
	'without a name all branches get it, each as an operation; then there is nothing to do',
	function () use ( $site ) {
		same( array( 'main', 'staging' ), array_column( $site->json( 'update', 'driver' ), 'branch' ) );
		same( 0, $site->run( 'doctor', 'driver' )->status );
		same( array(), $site->json( 'update', 'driver' ) );
		same( 200, ( new Browser( $site, 'main' ) )->request( '/' )->status );
	}
);

test(
	'a newer driver than the one that comes with forkpress stays',
	function () use ( $site, $newest ) {
		$file = "$site->dir/staging/" . PLACE . '/load.php';
		put( $file, str_replace( "Version: $newest", 'Version: 99.1', file_get_contents( $file ) ) );
		same( array(), $site->json( 'update', 'driver', '--branch', 'staging' ) );
		same( 0, $site->run( 'doctor', 'driver' )->status );
		holds( str_contains( file_get_contents( $file ), 'Version: 99.1' ), 'it is there' );
	}
);

test(
	'a branch without a driver of its own is told',
	function () use ( $site ) {
		$site->stop();
		rename( "$site->dir/staging/" . PLACE, "$site->dir/away" );
		$outcome = $site->run( 'update', 'driver', '--branch', 'staging' );
		holds( 1 === $outcome->status && str_contains( $outcome->errors, 'forkpress doctor driver' ), $outcome->text() );
		holds( str_contains( $site->run( 'doctor', 'driver' )->out, "missing:   'staging' has no driver" ), 'the doctor says so' );
	}
);
