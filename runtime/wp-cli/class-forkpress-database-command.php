<?php
/**
 * WP-CLI's `db` commands for a database in SQLite.
 *
 * @package ForkPress
 */

use WP_CLI\Utils;

require_once __DIR__ . '/class-forkpress-statements.php';
require_once __DIR__ . '/class-forkpress-database.php';
require_once __DIR__ . '/class-forkpress-rows.php';
require_once __DIR__ . '/class-forkpress-dump.php';
require_once __DIR__ . '/class-forkpress-loader.php';

/**
 * Queries, exports, imports and checks the database of the branch.
 *
 * The database is SQLite. Queries are in MySQL's dialect, which the SQLite driver translates.
 *
 * ## EXAMPLES
 *
 *     # Ask something
 *     $ forkpress wp main -- db query 'SELECT COUNT(*) FROM wp_posts'
 *
 *     # Take the database to a MySQL
 *     $ forkpress wp main -- db export site.sql
 *
 * @when after_wp_config_load
 */
final class ForkPress_Database_Command extends DB_Command {
	/** Options that are for MySQL's own programs, and mean nothing here. */
	const IGNORED = array( 'dbuser', 'dbpass', 'defaults', 'default-character-set', 'host', 'user', 'password', 'database', 'quick', 'single-transaction', 'no-tablespaces', 'include-tablespaces', 'skip-optimization', 'force' );

	/**
	 * Creates the database. A branch always has one.
	 *
	 * @param array $_          Not used.
	 * @param array $assoc_args Not used.
	 */
	public function create( $_, $assoc_args ) {
		if ( is_file( ForkPress_Database::path() ) ) {
			WP_CLI::error( 'The branch has its database: ' . ForkPress_Database::path() );
		}
		ForkPress_Database::connect();
		WP_CLI::success( 'Database created.' );
	}

	/**
	 * Refuses: a branch is never without a database.
	 *
	 * ## OPTIONS
	 *
	 * [--yes]
	 * : Not used.
	 *
	 * @param array $_          Not used.
	 * @param array $assoc_args Not used.
	 */
	public function drop( $_, $assoc_args ) {
		WP_CLI::error( 'A branch is never without a database. To remove all tables: wp db reset' );
	}

	/**
	 * Removes all tables from the database.
	 *
	 * ## OPTIONS
	 *
	 * [--dbuser=<value>]
	 * : Not used.
	 *
	 * [--dbpass=<value>]
	 * : Not used.
	 *
	 * [--yes]
	 * : Answer yes to the confirmation message.
	 *
	 * [--defaults]
	 * : Not used.
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp db reset --yes
	 *     Success: Database reset.
	 *
	 * @param array $_          Not used.
	 * @param array $assoc_args The options.
	 */
	public function reset( $_, $assoc_args ) {
		WP_CLI::confirm( 'Are you sure you want to remove all tables of this branch?', $assoc_args );
		ForkPress_Database::connect();
		ForkPress_Database::remove( ForkPress_Database::tables() );
		WP_CLI::success( 'Database reset.' );
	}

	/**
	 * Removes all tables with the prefix of this WordPress.
	 *
	 * ## OPTIONS
	 *
	 * [--dbuser=<value>]
	 * : Not used.
	 *
	 * [--dbpass=<value>]
	 * : Not used.
	 *
	 * [--yes]
	 * : Answer yes to the confirmation message.
	 *
	 * [--defaults]
	 * : Not used.
	 *
	 * @param array $_          Not used.
	 * @param array $assoc_args The options.
	 */
	public function clean( $_, $assoc_args ) {
		global $table_prefix;
		WP_CLI::confirm( "Are you sure you want to remove the tables with the prefix $table_prefix of this branch?", $assoc_args );
		ForkPress_Database::connect();
		ForkPress_Database::remove( array_filter( ForkPress_Database::tables(), static fn ( $table ) => str_starts_with( $table, $table_prefix ) ) );
		WP_CLI::success( 'Tables removed.' );
	}

	/**
	 * Checks the database: its pages, its indexes, its keys.
	 *
	 * ## OPTIONS
	 *
	 * [--dbuser=<value>]
	 * : Not used.
	 *
	 * [--dbpass=<value>]
	 * : Not used.
	 *
	 * [--defaults]
	 * : Not used.
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp db check
	 *     Success: Database checked.
	 *
	 * @param array $_          Not used.
	 * @param array $assoc_args The options.
	 */
	public function check( $_, $assoc_args ) {
		self::refuse_unknown( $assoc_args, array() );
		$problems = ForkPress_Database::problems();
		foreach ( $problems as $problem ) {
			WP_CLI::log( $problem );
		}
		if ( $problems ) {
			WP_CLI::error( 'The database is damaged. What the branch had before: forkpress log, forkpress undo' );
		}
		ForkPress_Database::connect();
		foreach ( ForkPress_Database::tables() as $table ) {
			WP_CLI::log( sprintf( '%-50s OK', DB_NAME . ".$table" ) );
		}
		WP_CLI::success( 'Database checked.' );
	}

	/**
	 * Brings the database's statistics up to date and gives back the room of what was deleted.
	 *
	 * ## OPTIONS
	 *
	 * [--dbuser=<value>]
	 * : Not used.
	 *
	 * [--dbpass=<value>]
	 * : Not used.
	 *
	 * [--defaults]
	 * : Not used.
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp db optimize
	 *     Success: Database optimized.
	 *
	 * @param array $_          Not used.
	 * @param array $assoc_args The options.
	 */
	public function optimize( $_, $assoc_args ) {
		self::refuse_unknown( $assoc_args, array() );
		ForkPress_Database::maintain( array( 'PRAGMA optimize', 'VACUUM' ) );
		WP_CLI::success( 'Database optimized.' );
	}

	/**
	 * Makes the indexes of the database anew, and checks it.
	 *
	 * ## OPTIONS
	 *
	 * [--dbuser=<value>]
	 * : Not used.
	 *
	 * [--dbpass=<value>]
	 * : Not used.
	 *
	 * [--defaults]
	 * : Not used.
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp db repair
	 *     Success: Database repaired.
	 *
	 * @param array $_          Not used.
	 * @param array $assoc_args The options.
	 */
	public function repair( $_, $assoc_args ) {
		self::refuse_unknown( $assoc_args, array() );
		ForkPress_Database::maintain( array( 'REINDEX' ) );
		foreach ( ForkPress_Database::problems() as $problem ) {
			WP_CLI::error( "$problem. SQLite has no repair for this. What the branch had before: forkpress log, forkpress undo" );
		}
		WP_CLI::success( 'Database repaired.' );
	}

	/**
	 * Refuses: there is no MySQL whose console could be opened.
	 *
	 * @alias connect
	 *
	 * @param array $_          Not used.
	 * @param array $assoc_args Not used.
	 */
	public function cli( $_, $assoc_args ) {
		WP_CLI::error( "The database is SQLite, which MySQL's console can't open. One query: wp db query 'SELECT ...'; several: wp db query <FILE; PHP: wp shell" );
	}

	/**
	 * Executes SQL, in MySQL's dialect.
	 *
	 * On a terminal rows are shown as a table. Elsewhere tabs are between the values, as MySQL's own client does it.
	 *
	 * ## OPTIONS
	 *
	 * [<sql>]
	 * : One or several queries. If not passed, they are read from standard input.
	 *
	 * [--execute=<sql>]
	 * : The same.
	 *
	 * [--skip-column-names]
	 * : Leave out the names of the columns.
	 *
	 * [--table]
	 * : Show tables also elsewhere than on a terminal.
	 *
	 * [--batch]
	 * : Put tabs between values also on a terminal.
	 *
	 * [--<field>=<value>]
	 * : Options that say where MySQL is are not used.
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp db query 'SELECT option_value FROM wp_options WHERE option_name="blogname"' --skip-column-names
	 *     $ wp db query <queries.sql
	 *
	 * @param array $args       The query.
	 * @param array $assoc_args The options.
	 */
	public function query( $args, $assoc_args ) {
		self::refuse_unknown( $assoc_args, array( 'execute', 'skip-column-names', 'table', 'batch' ) );
		$sql   = $args[0] ?? $assoc_args['execute'] ?? null;
		$input = null === $sql ? STDIN : fopen( 'php://memory', 'w+b' );
		if ( null !== $sql ) {
			fwrite( $input, $sql );
			rewind( $input );
		}
		$names = ! Utils\get_flag_value( $assoc_args, 'skip-column-names', false );
		$table = Utils\get_flag_value( $assoc_args, 'table', ! Utils\get_flag_value( $assoc_args, 'batch', Utils\isPiped() ) );
		ForkPress_Database::connect();
		$changed = null;
		self::each_statement(
			$input,
			static function ( string $statement ) use ( $names, $table, &$changed ): void {
				$count = ForkPress_Database::ask( $statement );
				if ( preg_match( '/^\s*(?:INSERT|UPDATE|DELETE|REPLACE)\b/i', $statement ) ) {
					$changed = (int) $changed + (int) $count;
				} elseif ( is_array( $GLOBALS['wpdb']->last_result ) && $GLOBALS['wpdb']->last_result ) {
					ForkPress_Rows::show( array_map( 'get_object_vars', $GLOBALS['wpdb']->last_result ), $names, $table );
				}
			},
			'Query failed'
		);
		if ( null !== $changed ) {
			WP_CLI::success( "Query succeeded. Rows affected: $changed" );
		}
	}

	/**
	 * Exports the database as SQL that MySQL and MariaDB take.
	 *
	 * ## OPTIONS
	 *
	 * [<file>]
	 * : The file to write; '-' is standard output. Default: '{dbname}-{Y-m-d}-{random-hash}.sql'.
	 *
	 * [--tables=<tables>]
	 * : Only these tables, separated by commas.
	 *
	 * [--exclude_tables=<tables>]
	 * : All but these tables, separated by commas.
	 *
	 * [--[no-]create-info]
	 * : Whether to write how tables are made, or rows only.
	 *
	 * [--[no-]data]
	 * : Whether to write rows, or tables only.
	 *
	 * [--add-drop-table]
	 * : Not used: the export always removes a table before it makes it.
	 *
	 * [--porcelain]
	 * : Print the file's name only.
	 *
	 * [--<field>=<value>]
	 * : Options that say where MySQL is are not used.
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp db export site.sql
	 *     Success: Exported to 'site.sql'.
	 *
	 * @alias dump
	 *
	 * @param array $args       The file.
	 * @param array $assoc_args The options.
	 */
	public function export( $args, $assoc_args ) {
		self::refuse_unknown( $assoc_args, array( 'tables', 'exclude_tables', 'create-info', 'no-create-info', 'data', 'no-data', 'add-drop-table', 'porcelain', 'file' ) );
		$file = $args[0] ?? sprintf( '%s-%s-%s.sql', DB_NAME, gmdate( 'Y-m-d' ), bin2hex( random_bytes( 4 ) ) );
		ForkPress_Database::connect();
		$list   = static fn ( string $name ): array => isset( $assoc_args[ $name ] ) ? array_map( 'trim', explode( ',', $assoc_args[ $name ] ) ) : array();
		$all    = ForkPress_Database::tables();
		$lacks  = array_diff( $list( 'tables' ), $all );
		$tables = array_diff( isset( $assoc_args['tables'] ) ? array_intersect( $all, $list( 'tables' ) ) : $all, $list( 'exclude_tables' ) );
		if ( $lacks ) {
			WP_CLI::error( 'There is no table ' . implode( ', ', $lacks ) );
		}
		$output = '-' === $file ? fopen( 'php://stdout', 'wb' ) : @fopen( $file, 'wb' );
		if ( ! $output ) {
			WP_CLI::error( "Can not write to $file" );
		}
		$dump = new ForkPress_Dump( ForkPress_Database::sqlite(), $output );
		try {
			// WP-CLI takes --no-data for --data with the value false, and --no-data=true for what it says.
			$wanted = static fn ( string $name ): bool => Utils\get_flag_value( $assoc_args, $name, ! Utils\get_flag_value( $assoc_args, "no-$name", false ) );
			$dump->write( $tables, $wanted( 'create-info' ), $wanted( 'data' ) );
		} catch ( RuntimeException $failure ) {
			WP_CLI::error( "The export is not whole: {$failure->getMessage()}" );
		}
		if ( Utils\get_flag_value( $assoc_args, 'porcelain', false ) ) {
			WP_CLI::line( $file );
		} elseif ( '-' !== $file ) {
			WP_CLI::success( "Exported to '$file'." );
		}
	}

	/**
	 * Imports SQL that MySQL, MariaDB or `wp db export` wrote. All of it, or nothing.
	 *
	 * ## OPTIONS
	 *
	 * [<file>]
	 * : The file to read; '-' is standard input. Default: '{dbname}.sql'.
	 *
	 * [--<field>=<value>]
	 * : Options that say where MySQL is are not used.
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp db import site.sql
	 *     Success: Imported from 'site.sql'.
	 *
	 * @param array $args       The file.
	 * @param array $assoc_args The options.
	 */
	public function import( $args, $assoc_args ) {
		self::refuse_unknown( $assoc_args, array() );
		$file  = $args[0] ?? DB_NAME . '.sql';
		$input = '-' === $file ? STDIN : @fopen( $file, 'rb' );
		if ( ! $input || ( '-' !== $file && is_dir( $file ) ) ) {
			WP_CLI::error( "Import file missing or not readable: $file" );
		}
		if ( '-' === $file ) {
			$input = ForkPress_Loader::kept( STDIN );
		}
		// Makes the driver's tables where they lack, or are an older driver's.
		ForkPress_Database::connect();
		if ( ForkPress_Loader::load( $input ) ) {
			WP_CLI::success( sprintf( "Imported from '%s'.", '-' === $file ? 'STDIN' : $file ) );
			return;
		}
		ForkPress_Database::ignore_foreign_keys();
		ForkPress_Database::ask( "SET SQL_MODE = 'NO_AUTO_VALUE_ON_ZERO'" );
		ForkPress_Database::ask( 'START TRANSACTION' );
		self::each_statement(
			$input,
			static function ( string $statement ): void {
				if ( ! preg_match( self::NOT_IMPORTED, $statement ) ) {
					ForkPress_Database::ask( $statement );
				}
			},
			'Nothing was imported'
		);
		ForkPress_Database::ask( 'COMMIT' );
		WP_CLI::success( sprintf( "Imported from '%s'.", '-' === $file ? 'STDIN' : $file ) );
	}

	/** What a dump says to a server, and not of the data: locks, transactions, settings, other databases; and what SQLite has not. */
	const NOT_IMPORTED = '~^(?:/\*!\d*\s*)?(?:LOCK\s|UNLOCK\s|SET\s|USE\s|COMMIT\b|START\s+TRANSACTION\b|BEGIN\b|ROLLBACK\b|(?:CREATE|DROP)\s+(?:DATABASE|SCHEMA)\b|ALTER\s+TABLE\s+\S+\s+(?:EN|DIS)ABLE\s+KEYS|(?:CREATE|DROP)\s[^(]*\b(?:TRIGGER|PROCEDURE|FUNCTION|EVENT|VIEW)\b)~i';

	/**
	 * Displays the size of the database, or of its tables.
	 *
	 * ## OPTIONS
	 *
	 * [--size_format=<format>]
	 * : Display the size in this unit: b, kb, mb, gb, tb, B, KB, KiB, MB, MiB, GB, GiB, TB, TiB.
	 *
	 * [--tables]
	 * : Display each table's name and size instead of the database's.
	 *
	 * [--human-readable]
	 * : Display sizes in the unit that fits.
	 *
	 * [--format=<format>]
	 * : table, csv, json or yaml.
	 *
	 * [--scope=<scope>]
	 * : all, global, ms_global, blog, or old.
	 *
	 * [--network]
	 * : All tables of a network.
	 *
	 * [--decimals=<decimals>]
	 * : Digits after the point.
	 *
	 * [--all-tables-with-prefix]
	 * : All tables with the prefix, also those that are not WordPress's.
	 *
	 * [--all-tables]
	 * : All tables.
	 *
	 * [--order=<order>]
	 * : asc or desc.
	 *
	 * [--orderby=<orderby>]
	 * : name or size.
	 *
	 * ## EXAMPLES
	 *
	 *     $ wp db size --human-readable
	 *     $ wp db size --tables
	 *
	 * @when after_wp_load
	 *
	 * @param array $args       The tables.
	 * @param array $assoc_args The options.
	 */
	public function size( $args, $assoc_args ) {
		// WP-CLI asks MySQL, and shows the answer; the answer is SQLite's.
		add_filter(
			'query',
			static function ( $query ) {
				if ( ! preg_match( '/^SELECT SUM\(data_length \+ index_length\) FROM information_schema\.TABLES where table_schema = \S+(?: and Table_Name = \'([^\']*)\')?/', $query, $found ) ) {
					return $query;
				}
				return 'SELECT ' . ForkPress_Database::bytes( $found[1] ?? null );
			}
		);
		parent::size( $args, $assoc_args );
	}

	/**
	 * Does something with each statement. At the first that fails nothing of what is in a transaction stays.
	 *
	 * @param resource $input  What is read.
	 * @param callable $act    What is done.
	 * @param string   $failed What to say then.
	 */
	private static function each_statement( $input, callable $act, string $failed ): void {
		$statements = new ForkPress_Statements( $input );
		try {
			foreach ( $statements->all() as $statement ) {
				$act( $statement );
			}
		} catch ( Exception $failure ) {
			$GLOBALS['wpdb']->query( 'ROLLBACK' );
			WP_CLI::error( "$failed: line $statements->began: {$failure->getMessage()}" );
		}
	}

	/**
	 * Fails at an option that is not known: to pass it over would be to do something else than what was asked.
	 *
	 * @param array    $given What was given.
	 * @param string[] $known What the command knows.
	 */
	private static function refuse_unknown( array $given, array $known ): void {
		$unknown = array_diff( array_keys( $given ), $known, self::IGNORED );
		if ( $unknown ) {
			WP_CLI::error( 'The database is SQLite: this command has no option --' . implode( ', --', $unknown ) );
		}
	}
}
