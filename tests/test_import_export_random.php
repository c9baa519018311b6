<?php
/**
 * Random tables go from MariaDB into a branch and back, and are what they were.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_import_export_random.php [SEEDS] [FIRST SEED]
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';
require __DIR__ . '/mariadb.php';
require __DIR__ . '/random_tables.php';

/** How many tables of each seed. */
const TABLES = 16;

/** Without them it is no WordPress. */
const WORDPRESS = array(
	"CREATE TABLE wp_options (option_id bigint(20) unsigned NOT NULL AUTO_INCREMENT, option_name varchar(191) NOT NULL DEFAULT '', option_value longtext NOT NULL, autoload varchar(20) NOT NULL DEFAULT 'yes', PRIMARY KEY (option_id), UNIQUE KEY option_name (option_name)) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci",
	'CREATE TABLE wp_posts (ID bigint(20) unsigned NOT NULL AUTO_INCREMENT, PRIMARY KEY (ID))',
	'CREATE TABLE wp_users (ID bigint(20) unsigned NOT NULL AUTO_INCREMENT, PRIMARY KEY (ID))',
	"INSERT INTO wp_options (option_name, option_value) VALUES ('siteurl', 'https://example.com'), ('home', 'https://example.com')",
);

$seeds = (int) ( $argv[1] ?? 2 );
$first = (int) ( $argv[2] ?? 1 );
$site  = new Site();
// So that branches have the next numbers that their tables had.
put( "$site->dir/.forkpress/site.toml", "id_bands = false\n" . file_get_contents( "$site->dir/.forkpress/site.toml" ) );
$maria = new MariaDB();
$maria->connect()->query( "SET GLOBAL time_zone = '+05:30'" );

/**
 * Makes a database of statements.
 *
 * @param string   $database   Its name.
 * @param string[] $statements The statements.
 */
$make = static function ( string $database, array $statements ) use ( $maria ): void {
	$maria->create( $database );
	$connection = $maria->connect( $database );
	$connection->query( "SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00'" );
	foreach ( $statements as $statement ) {
		try {
			$connection->query( $statement );
		} catch ( \mysqli_sql_exception $error ) {
			throw new Failure( $error->getMessage() . ": $statement" );
		}
	}
};

/**
 * Returns the tables of a database: what MariaDB shows of each, and its rows in the order of their values.
 *
 * @param string $database Its name.
 * @return array{string, array}[]
 */
$tables = static function ( string $database ) use ( $maria ): array {
	$connection = $maria->connect( $database );
	$connection->query( "SET time_zone = '+00:00'" );
	$tables = array();
	foreach ( $connection->query( 'SHOW TABLES' )->fetch_all() as list( $name ) ) {
		$shown = $connection->query( "SHOW CREATE TABLE `$name`" )->fetch_row()[1];
		$rows  = array_map( 'serialize', $connection->query( "SELECT * FROM `$name`" )->fetch_all( MYSQLI_ASSOC ) );
		sort( $rows );
		$tables[ $name ] = array( $shown, $rows );
	}
	return $tables;
};

/**
 * Returns the lines of a definition without what a round trip changes: docs/import-export.md has it.
 *
 * @param string $shown What MariaDB shows.
 * @return string[]
 */
$lines = static function ( string $shown ): array {
	$changes = array(
		// Generated columns become ordinary ones.
		'/ GENERATED ALWAYS AS .*(?:VIRTUAL|STORED)/' => ' DEFAULT NULL',
		// That a column has JSON in it is said by the table instead of by the column.
		'/ CHECK \(json_valid\((`.*`)\)\)(,?)$/m'      => "\$2\n  JSON \$1",
		'/ CONSTRAINT `\w+_chk_\d+` CHECK \((`.*`) is null or json_valid\(\1\)\)/' => ' JSON $1',
		'/,$/m'                                      => '',
	);
	$lines   = explode( "\n", preg_replace( array_keys( $changes ), $changes, $shown ) );
	sort( $lines );
	return $lines;
};

for ( $seed = $first; $seed < $first + $seeds; $seed++ ) {
	test(
		"random tables of the seed $seed are what they were",
		function () use ( $seed, $site, $maria, $make, $tables, $lines ) {
			$make( "a$seed", array( ...WORDPRESS, ...( new RandomTables( $seed ) )->statements( TABLES ) ) );
			$out     = temp_dir();
			$options = array( '--hex-blob', '--complete-insert', '--skip-extended-insert', '--single-transaction', '--replace', '--skip-add-locks', '--skip-add-drop-table', '--skip-disable-keys', '--default-character-set=binary' );
			$options = array_filter( $options, static fn () => 0 === mt_rand( 0, 1 ) );
			$dump    = new Process( array( 'mariadb-dump', '--no-defaults', "--socket=$maria->socket", '--user=root', '--default-character-set=utf8mb4', ...$options, "--result-file=$out/a.sql", "a$seed" ) );
			same( 0, $dump->wait(), 'the dump: ' . $dump->output() );
			$site->done( 'import', "$out/a.sql", '--branch', "s$seed" );
			$site->done( 'export', "s$seed", '--format', 'sql', '--to', "$out/b.sql" );
			$maria->load( "b$seed", "$out/b.sql" );
			$right = $tables( "a$seed" );
			$found = $tables( "b$seed" );
			same( array_keys( $right ), array_keys( $found ), 'tables' );
			$wrong = array();
			foreach ( $right as $name => list( $shown, $rows ) ) {
				$pair = array( $lines( $shown ), $lines( $found[ $name ][0] ) );
				foreach ( array( 'lacks' => array_diff( $pair[0], $pair[1] ), 'has' => array_diff( $pair[1], $pair[0] ) ) as $what => $different ) {
					array_push( $wrong, ...array_map( static fn ( $line ) => "$name: $what $line", $different ) );
				}
				if ( count( $rows ) !== count( $found[ $name ][1] ) ) {
					$wrong[] = "$name: " . count( $found[ $name ][1] ) . ' rows instead of ' . count( $rows );
				}
				foreach ( array( 'lacks' => array_diff( $rows, $found[ $name ][1] ), 'has' => array_diff( $found[ $name ][1], $rows ) ) as $what => $different ) {
					foreach ( array_slice( $different, 0, 2 ) as $row ) {
						$wrong[] = "$name: $what the row " . json_encode( unserialize( $row ), JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_UNICODE );
					}
				}
			}
			holds( array() === $wrong, "the seed $seed gives the same tables, by these options: " . implode( ' ', $options ) . "\n        " . implode( "\n        ", array_slice( $wrong, 0, 40 ) ) );
			$site->done( 'branch', 'delete', "s$seed", '--purge' );
		}
	);
}
