<?php
/**
 * The database of a branch, for WP-CLI's commands.
 *
 * @package ForkPress
 */

/** Asks the database: by the driver, in MySQL's dialect; and SQLite itself, for what the driver does not know. */
final class ForkPress_Database {
	/** Returns the database's file. */
	public static function path(): string {
		return getenv( 'FORKPRESS_WP_TREE' ) . '/wp-content/database/.ht.sqlite';
	}

	/** Opens the database without the driver. */
	public static function sqlite(): PDO {
		if ( ! is_file( self::path() ) ) {
			WP_CLI::error( 'The branch has no database at ' . self::path() );
		}
		return new PDO(
			'sqlite:' . self::path(),
			null,
			null,
			array(
				PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
				PDO::ATTR_TIMEOUT => 30,
			)
		);
	}

	/** Has WordPress open the database by its driver, and load nothing else of itself. */
	public static function connect(): void {
		if ( isset( $GLOBALS['wpdb'] ) ) {
			return;
		}
		define( 'SHORTINIT', true );
		( static function (): void {
			global $table_prefix, $wpdb, $wp_version, $wp_db_version, $required_php_version, $required_php_extensions, $required_mysql_version, $wp_local_package, $tinymce_version, $blog_id, $timestart;
			require ABSPATH . 'wp-settings.php';
		} )();
		// So that it is not shown as a page.
		$GLOBALS['wpdb']->suppress_errors();
		$GLOBALS['wpdb']->hide_errors();
		if ( ! $GLOBALS['wpdb'] instanceof WP_SQLite_DB ) {
			WP_CLI::error( 'The branch does not use the SQLite driver: wp-content/db.php is another one' );
		}
	}

	/**
	 * Asks the driver, and returns how many rows were found or changed.
	 *
	 * @param string $statement A statement.
	 * @return int|bool
	 * @throws RuntimeException When it fails.
	 */
	public static function ask( string $statement ) {
		$wpdb = $GLOBALS['wpdb'];
		$wpdb->flush();
		$count = $wpdb->query( $statement );
		if ( false === $count || '' !== $wpdb->last_error ) {
			throw new RuntimeException( self::reason( $wpdb->last_error ) );
		}
		return $count;
	}

	/**
	 * Returns why a query failed, out of the page that the driver makes of it: the last of what stands before the backtrace.
	 *
	 * @param string $page The page, or a plain message.
	 */
	private static function reason( string $page ): string {
		$parts = preg_split( '~</?(?:div|p|pre|ul|li)\b[^>]*>~', strstr( $page, '<p>Backtrace', true ) ?: $page );
		$parts = array_filter( array_map( static fn ( $part ) => trim( html_entity_decode( strip_tags( $part ), ENT_QUOTES ) ), $parts ) );
		return preg_replace( '/\s+/', ' ', (string) end( $parts ) );
	}

	/** Has the driver's connection take rows and tables in any order. It notes MySQL's setting for this, and does not do it. */
	public static function ignore_foreign_keys(): void {
		$driver = $GLOBALS['wpdb']->dbh;
		$pdo    = method_exists( $driver, 'get_connection' ) ? $driver->get_connection()->get_pdo() : $driver->get_pdo();
		$pdo->exec( 'PRAGMA foreign_keys = OFF' );
	}

	/**
	 * Removes tables: all, or none.
	 *
	 * @param string[] $tables Their names.
	 */
	public static function remove( array $tables ): void {
		try {
			self::ignore_foreign_keys();
			self::ask( 'START TRANSACTION' );
			foreach ( $tables as $table ) {
				self::ask( 'DROP TABLE `' . str_replace( '`', '``', $table ) . '`' );
			}
			self::ask( 'COMMIT' );
		} catch ( RuntimeException $failure ) {
			$GLOBALS['wpdb']->query( 'ROLLBACK' );
			WP_CLI::error( "Nothing was removed: {$failure->getMessage()}" );
		}
	}

	/** Returns the names of all tables, as MySQL would. */
	public static function tables(): array {
		self::ask( 'SHOW TABLES' );
		return array_map( static fn ( $row ) => current( get_object_vars( $row ) ), $GLOBALS['wpdb']->last_result );
	}

	/** Returns what is wrong with the database. */
	public static function problems(): array {
		try {
			$pdo   = self::sqlite();
			$found = $pdo->query( 'PRAGMA integrity_check' )->fetchAll( PDO::FETCH_COLUMN );
			foreach ( $pdo->query( 'PRAGMA foreign_key_check' )->fetchAll( PDO::FETCH_NUM ) as $row ) {
				$found[] = "$row[0]: row $row[1] refers to a row of $row[2] that is not there";
			}
		} catch ( PDOException $failure ) {
			return array( $failure->getMessage() );
		}
		return array_values( array_diff( $found, array( 'ok' ) ) );
	}

	/**
	 * Runs statements of SQLite's own.
	 *
	 * @param string[] $statements The statements.
	 */
	public static function maintain( array $statements ): void {
		try {
			$pdo = self::sqlite();
			array_map( array( $pdo, 'exec' ), $statements );
		} catch ( PDOException $failure ) {
			WP_CLI::error( $failure->getMessage() );
		}
	}

	/**
	 * Returns the size of a table with its indexes, or of the whole database.
	 *
	 * @param string|null $table The table.
	 */
	public static function bytes( ?string $table ): int {
		$pdo = self::sqlite();
		if ( null === $table ) {
			return $pdo->query( 'PRAGMA page_count' )->fetchColumn() * $pdo->query( 'PRAGMA page_size' )->fetchColumn();
		}
		try {
			$sum = $pdo->prepare( 'SELECT SUM(pgsize) FROM dbstat WHERE name IN (SELECT name FROM sqlite_master WHERE tbl_name = ?)' );
			$sum->execute( array( $table ) );
			return (int) $sum->fetchColumn();
		} catch ( PDOException $failure ) {
			WP_CLI::error( "This PHP's SQLite can not tell the size of a table (it lacks dbstat); wp db size without --tables works" );
		}
	}
}
