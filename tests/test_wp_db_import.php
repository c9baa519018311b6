<?php
/**
 * `wp db import` loads dumps fast, and as the driver would; what is no dump the driver imports itself.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_wp_db_import.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

/** A dump of two tables, as mysqldump writes it, with what the driver and the loader note in several places. */
const DUMP = <<<'SQL'
-- MySQL dump 10.13
/*!40101 SET NAMES utf8mb4 */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
DROP TABLE IF EXISTS `wp_b`;
CREATE TABLE `wp_b` (
  `id` bigint(20) unsigned NOT NULL AUTO_INCREMENT,
  `a` int(11) DEFAULT NULL,
  `name` varchar(40) NOT NULL DEFAULT 'x' COMMENT 'A name',
  `price` decimal(10,2) NOT NULL DEFAULT '0.00',
  `kind` enum('one','two') DEFAULT 'one',
  `at` datetime NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  `bytes` longblob,
  PRIMARY KEY (`id`),
  UNIQUE KEY `name` (`name`),
  KEY `a_kind` (`a`,`kind`),
  FULLTEXT KEY `words` (`name`),
  CONSTRAINT `of_a` FOREIGN KEY (`a`) REFERENCES `wp_a` (`id`) ON DELETE CASCADE,
  CONSTRAINT `not_cheap` CHECK ((`price` >= 0))
) ENGINE=InnoDB AUTO_INCREMENT=77 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci COMMENT='Bees';
LOCK TABLES `wp_b` WRITE;
/*!40000 ALTER TABLE `wp_b` DISABLE KEYS */;
INSERT INTO `wp_b` VALUES (1,1,'it\'s; 🎉',1.50,'two','2024-01-02 03:04:05',0x00ff27),(3,NULL,'','0.00',NULL,'0000-00-00 00:00:00',NULL);
/*!40000 ALTER TABLE `wp_b` ENABLE KEYS */;
UNLOCK TABLES;
DROP TABLE IF EXISTS `wp_a`;
CREATE TABLE `wp_a` (`id` int(11) NOT NULL, `t` text, PRIMARY KEY (`id`)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci;
INSERT INTO `wp_a` VALUES (1,'one'),(2,NULL);
-- Dump completed on 2024-01-01  0:00:00

SQL;

/** What only the driver can do, and changes nothing. */
const FOR_DRIVER = "UPDATE wp_a SET t = 'never' WHERE id = -1;\n";

$site = new Site();
$site->done( 'branch', 'create', 'fast' );
$site->done( 'branch', 'create', 'slow' );

/**
 * Imports SQL into a branch.
 *
 * @param string $branch The branch.
 * @param string $sql    The SQL.
 */
function import( string $branch, string $sql ): Outcome {
	put( "{$GLOBALS['site']->dir}/in.sql", $sql );
	return $GLOBALS['site']->run( 'wp', $branch, '--', 'db', 'import', "{$GLOBALS['site']->dir}/in.sql", '--debug=forkpress' );
}

/**
 * Imports SQL into a branch, and fails unless that works, in the way that is expected.
 *
 * @param string $branch  The branch.
 * @param string $sql     The SQL.
 * @param bool   $is_fast Whether it is loaded, and not imported by the driver.
 */
function imported( string $branch, string $sql, bool $is_fast ): void {
	$outcome = import( $branch, $sql );
	same( 0, $outcome->status, $outcome->text() );
	same( $is_fast, ! str_contains( $outcome->errors, 'The driver imports it' ), "it is loaded: {$outcome->text()}" );
}

/**
 * Returns all that is in the database of a branch: what makes it, all rows, and what the driver has noted, but for when.
 *
 * @param string $branch The branch.
 * @return string[]
 */
function state( string $branch ): array {
	$database = $GLOBALS['site']->database( $branch );
	$state    = $database->query( "SELECT type || ' ' || name || ' ' || sql FROM sqlite_schema WHERE sql IS NOT NULL" )->fetchAll( \PDO::FETCH_COLUMN );
	foreach ( $database->query( "SELECT name FROM sqlite_schema WHERE type = 'table'" )->fetchAll( \PDO::FETCH_COLUMN ) as $table ) {
		foreach ( $database->query( "SELECT * FROM \"$table\"" )->fetchAll( \PDO::FETCH_ASSOC ) as $row ) {
			// The driver itself notes MySQL's own collation for columns that have the table's.
			unset( $row['CREATE_TIME'], $row['COLLATION_NAME'] );
			// What each start of WordPress may write; and each branch counts in a band of its own.
			$is_own = preg_match( '/^(cron|_(site_)?transient)/', (string) ( $row['option_name'] ?? '' ) ) || 'sqlite_sequence' === $table && ! in_array( $row['name'], array( 'wp_a', 'wp_b' ), true );
			if ( ! $is_own ) {
				$state[] = "$table " . json_encode( array_map( static fn ( $value ) => is_string( $value ) ? bin2hex( $value ) : $value, $row ) ) . ( isset( $row['name'] ) ? " $row[name]" : '' );
			}
		}
	}
	sort( $state );
	return $state;
}

/**
 * Fails unless two branches have the same database.
 *
 * @param string $what What was done to both.
 */
function are_same( string $what ): void {
	$fast = state( 'fast' );
	$slow = state( 'slow' );
	same( array( array(), array() ), array( array_values( array_diff( $fast, $slow ) ), array_values( array_diff( $slow, $fast ) ) ), "$what: what only the one or the other has" );
	same( array_diff_assoc( array_count_values( $slow ), array_count_values( $fast ) ), array_diff_assoc( array_count_values( $fast ), array_count_values( $slow ) ), "$what: rows that are there more often" );
}

test(
	'a dump that is loaded makes the database that the driver makes of it: tables, rows, keys, notes, next numbers',
	function () use ( $site ) {
		imported( 'fast', DUMP, true );
		imported( 'slow', DUMP . FOR_DRIVER, false );
		are_same( 'new tables' );
		foreach ( array( 'wp_a', 'wp_b' ) as $table ) {
			$create = static fn ( string $branch ): string => $site->done( 'wp', $branch, '--', 'db', 'query', "SHOW CREATE TABLE $table" );
			same( $create( 'slow' ), $create( 'fast' ), "SHOW CREATE TABLE $table" );
		}
		foreach ( array( 'fast', 'slow' ) as $branch ) {
			$site->done( 'wp', $branch, '--', 'db', 'query', "INSERT INTO wp_b (name) VALUES ('new'); UPDATE wp_b SET `at` = '2001-01-01 00:00:00'" );
			same( '77', trim( $site->done( 'wp', $branch, '--', 'db', 'query', '--skip-column-names', "SELECT id FROM wp_b WHERE name = 'new'" ) ), "the next number in $branch" );
		}
		same( "ok\n", implode( "\n", $site->database( 'fast' )->query( 'PRAGMA integrity_check' )->fetchAll( \PDO::FETCH_COLUMN ) ) . "\n", 'integrity' );
	}
);

test(
	'tables are replaced; those that it only drops go, and all others stay',
	function () use ( $site ) {
		// The driver keeps notes on keys and constraints whose table goes, and takes none of the constraints' names any more.
		$dump = preg_replace( '/,\n  CONSTRAINT `of_a`.*\n.*/', '', DUMP );
		$dump = str_replace( array( '`a` int(11)', "(3,NULL,'','0.00'", 'KEY `a_kind` (`a`,`kind`)' ), array( '`a` bigint(20)', "(4,2,'four','4.00'", 'KEY `kind` (`kind`)' ), $dump ) . "DROP TABLE IF EXISTS wp_links, wp_nowhere;\n";
		imported( 'fast', DUMP, true );
		imported( 'fast', $dump, true );
		$remove = static fn ( string $notes, string $of ) => $site->database( 'slow' )->exec( "DELETE FROM _wp_sqlite_mysql_information_schema_$notes WHERE $of" );
		$remove( 'key_column_usage', "TABLE_NAME IN ('wp_a', 'wp_b', 'wp_links')" );
		$remove( 'referential_constraints', "CONSTRAINT_NAME = 'of_a'" );
		$remove( 'check_constraints', "CONSTRAINT_NAME = 'not_cheap'" );
		imported( 'slow', $dump . FOR_DRIVER, false );
		are_same( 'replaced tables' );
		$tables = array_map( static fn ( $line ) => explode( ' ', $line )[1], preg_grep( '/^table /', state( 'fast' ) ) );
		holds( in_array( 'wp_posts', $tables, true ) && ! in_array( 'wp_links', $tables, true ), implode( ' ', $tables ) );
	}
);

test(
	'an export of a whole branch is loaded, also from standard input, and nothing is left beside it',
	function () use ( $site ) {
		$site->done( 'wp', 'fast', '--', 'db', 'export', "$site->dir/all.sql" );
		$before  = state( 'fast' );
		$folders = array( "$site->dir/.forkpress", "$site->dir/fast/wp-content/database" );
		$left    = array_map( 'scandir', $folders );
		$command = new Process( array( 'sh', '-c', '"$0" wp fast -- db import - --debug=forkpress <all.sql', program() ), array( 'FORKPRESS_STATE_DIR' => $site->state_dir ), $site->dir );
		same( 0, $command->wait(), $command->output() );
		holds( str_contains( $command->output(), "Success: Imported from 'STDIN'." ) && ! str_contains( $command->output(), 'The driver imports it' ), $command->output() );
		$rows = static fn ( array $state ): array => preg_grep( '/^(wp_|index )/', $state );
		same( array_values( $rows( $before ) ), array_values( $rows( state( 'fast' ) ) ), 'rows and keys' );
		same( $left, array_map( 'scandir', $folders ), 'what is there' );
	}
);

test(
	'rows for tables that are there are added by the driver, which refuses what MySQL refuses',
	function () use ( $site ) {
		imported( 'fast', "INSERT INTO `wp_a` VALUES (5,'five');\n", false );
		imported( 'fast', "CREATE TABLE IF NOT EXISTS `wp_a` (`id` int(11) NOT NULL);\nINSERT INTO `wp_a` VALUES (6,'six');\n", false );
		imported( 'fast', "-- Only words\nSET NAMES utf8mb4;\n", false );
		same( "5\n6", trim( $site->done( 'wp', 'fast', '--', 'db', 'query', '--skip-column-names', 'SELECT id FROM wp_a WHERE id > 4' ) ), 'rows' );
		$before = state( 'fast' );
		foreach ( array(
			"INSERT INTO `wp_a` VALUES (7,'seven');\nINSERT INTO `wp_a` VALUES (5,'again');\n" => 'line 2: ',
			"CREATE TABLE `wp_new` (`id` int NOT NULL);\nCREATE TABLE `wp_a` (`id` int(11) NOT NULL);\n" => 'line 2: ',
		) as $sql => $said ) {
			$outcome = import( 'fast', $sql );
			holds( 0 !== $outcome->status && str_contains( $outcome->errors, "Nothing was imported: $said" ), $outcome->text() );
			same( $before, state( 'fast' ), 'the database' );
		}
	}
);

test(
	'a dump that is wrong or cut off changes nothing and is told by its line, without asking the driver',
	function () {
		$before = state( 'fast' );
		foreach ( array(
			'cut'  => substr( DUMP, 0, strpos( DUMP, '0x00ff27' ) ),
			'lock' => substr( DUMP, 0, strpos( DUMP, '/*!40000 ALTER TABLE `wp_b` ENABLE' ) ),
			'same' => str_replace( '(2,NULL)', "(2,NULL),(1,'again')", DUMP ),
		) as $name => $dump ) {
			$outcome = import( 'fast', $dump );
			holds( 1 === $outcome->status && 1 === preg_match( '/Nothing was imported: .*line \d+/', $outcome->errors ), "$name: {$outcome->text()}" );
			holds( ! str_contains( $outcome->errors, 'The driver imports it' ), "$name: {$outcome->text()}" );
			same( $before, state( 'fast' ), "the database after $name" );
		}
	}
);
$site->has_no_complaints();
