<?php
/**
 * Writes a database as SQL that MySQL and MariaDB take.
 *
 * @package ForkPress
 */

/** Writes tables, as the driver describes them, and their rows, as SQLite has them at one moment. */
final class ForkPress_Dump {
	/** The most bytes of an INSERT, but for one of a single long row. */
	const INSERT_BYTES = 1000000;

	/** @var PDO The database. */
	private PDO $sqlite;

	/** @var resource Where the SQL goes. */
	private $output;

	/**
	 * Begins.
	 *
	 * @param PDO      $sqlite The database, opened without the driver.
	 * @param resource $output Where the SQL goes.
	 */
	public function __construct( PDO $sqlite, $output ) {
		$this->sqlite = $sqlite;
		$this->output = $output;
	}

	/**
	 * Writes it.
	 *
	 * @param string[] $tables The tables.
	 * @param bool     $create Whether to write how they are made.
	 * @param bool     $rows   Whether to write their rows.
	 * @throws RuntimeException When it can't be written.
	 */
	public function write( array $tables, bool $create, bool $rows ): void {
		$this->say( "-- ForkPress\n\nSET NAMES utf8mb4;\nSET TIME_ZONE = '+00:00';\nSET FOREIGN_KEY_CHECKS = 0;\nSET SQL_MODE = 'NO_AUTO_VALUE_ON_ZERO';\n\n" );
		$this->sqlite->exec( 'BEGIN' );
		foreach ( $tables as $table ) {
			if ( $create ) {
				$this->say( 'DROP TABLE IF EXISTS ' . self::name( $table ) . ";\n" . self::creation( $table ) . ";\n\n" );
			}
			if ( $rows ) {
				$this->write_rows( $table );
			}
		}
		$this->sqlite->exec( 'COMMIT' );
		$this->say( sprintf( "SET FOREIGN_KEY_CHECKS = 1;\n-- Dump completed on %s\n", gmdate( 'Y-m-d H:i:s' ) ) );
	}

	/**
	 * Returns the statement that makes a table, in words that both know.
	 *
	 * @param string $table The table.
	 */
	private static function creation( string $table ): string {
		$said = $GLOBALS['wpdb']->get_row( 'SHOW CREATE TABLE ' . self::name( $table ), ARRAY_N );
		return preg_replace( '/\b(?:utf8mb4_0900_\w+|utf8mb4_uca1400_\w+)\b/', 'utf8mb4_unicode_520_ci', rtrim( (string) ( $said[1] ?? '' ), '; ' ) );
	}

	/**
	 * Writes the rows of a table.
	 *
	 * @param string $table The table.
	 */
	private function write_rows( string $table ): void {
		$is_binary = array();
		foreach ( $GLOBALS['wpdb']->get_results( 'SHOW COLUMNS FROM ' . self::name( $table ), ARRAY_A ) as $column ) {
			$is_binary[ $column['Field'] ] = (bool) preg_match( '/binary|blob/i', $column['Type'] );
		}
		$columns = implode( ', ', array_map( array( self::class, 'name' ), array_keys( $is_binary ) ) );
		$insert  = 'INSERT INTO ' . self::name( $table ) . " ($columns) VALUES\n";
		$found   = $this->sqlite->query( "SELECT $columns FROM " . self::name( $table ) );
		$bytes   = 0;
		while ( true ) {
			$row = $found->fetch( PDO::FETCH_NUM );
			if ( false === $row ) {
				break;
			}
			$values = '(' . implode( ',', array_map( array( $this, 'value' ), $row, $is_binary ) ) . ')';
			$is_new = 0 === $bytes || $bytes + strlen( $values ) > self::INSERT_BYTES;
			$this->say( ( $is_new ? ( 0 === $bytes ? '' : ";\n" ) . $insert : ",\n" ) . $values );
			$bytes = strlen( $values ) + ( $is_new ? strlen( $insert ) : $bytes );
		}
		$this->say( 0 === $bytes ? '' : ";\n\n" );
	}

	/**
	 * Returns a value as SQL.
	 *
	 * @param mixed $value     The value.
	 * @param bool  $is_binary Whether its bytes are no text.
	 */
	private function value( $value, bool $is_binary ): string {
		if ( null === $value ) {
			return 'NULL';
		}
		if ( is_int( $value ) ) {
			return (string) $value;
		}
		if ( is_float( $value ) ) {
			return var_export( $value, true );
		}
		if ( $is_binary ) {
			return '' === $value ? "''" : '0x' . bin2hex( $value );
		}
		return "'" . strtr( $value, array( "\0" => '\0', "\n" => '\n', "\r" => '\r', "\x1a" => '\Z', '\\' => '\\\\', "'" => "\\'" ) ) . "'";
	}

	/**
	 * Returns the name of a table or a column, quoted.
	 *
	 * @param string $name The name.
	 */
	private static function name( string $name ): string {
		return '`' . str_replace( '`', '``', $name ) . '`';
	}

	/**
	 * Writes text.
	 *
	 * @param string $text The text.
	 * @throws RuntimeException When that fails.
	 */
	private function say( string $text ): void {
		if ( strlen( $text ) !== @fwrite( $this->output, $text ) ) {
			throw new RuntimeException( 'it can not be written' );
		}
	}
}
