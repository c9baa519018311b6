<?php
/**
 * Writes a database as mysqldump does, for where that is not installed. Reads only, in one transaction. Sent to the PHP of
 * another machine, of whatever version from 7.0 on; what it connects with stands before it in $forkpress_settings.
 *
 * @package ForkPress
 */

/** A statement of rows gets about so many bytes. */
const FORKPRESS_STATEMENT_BYTES = 500000;

/**
 * Quotes a name.
 *
 * @param string $name The name of a table or a column.
 */
function forkpress_name( $name ) {
	return '`' . str_replace( '`', '``', $name ) . '`';
}

/**
 * Writes to standard output, or ends where nobody reads it.
 *
 * @param string $text What is written.
 */
function forkpress_write( $text ) {
	static $out = null;
	if ( null === $out ) {
		$out = fopen( 'php://stdout', 'wb' );
	}
	if ( strlen( $text ) !== fwrite( $out, $text ) ) {
		throw new RuntimeException( 'what is written is not taken' );
	}
}

/**
 * Returns how the values of a table's columns are written, by the columns' names: as a number, as bits, as bytes or as a text. What
 * is generated is left out.
 *
 * @param mysqli $db    The connection.
 * @param string $table The table.
 * @return string[]
 */
function forkpress_columns( $db, $table ) {
	$columns = array();
	foreach ( $db->query( 'SHOW FULL COLUMNS FROM ' . forkpress_name( $table ) ) as $column ) {
		$type = strtolower( $column['Type'] );
		if ( preg_match( '/\b(?:VIRTUAL|STORED|PERSISTENT)\b/i', $column['Extra'] ) ) {
			continue;
		}
		if ( 0 === strpos( $type, 'bit' ) ) {
			$kind = 'bits';
		} elseif ( preg_match( '/^(?:(?:tiny|small|medium|big)?int|decimal|numeric|float|double|real|year)/', $type ) ) {
			$kind = 'number';
		} elseif ( preg_match( '/^(?:(?:var)?binary|(?:tiny|medium|long)?blob|geometry|(?:multi)?(?:point|linestring|polygon)|geom(?:etry)?collection)/', $type ) ) {
			$kind = 'bytes';
		} else {
			$kind = 'text';
		}
		$columns[ $column['Field'] ] = $kind;
	}
	return $columns;
}

/**
 * Writes a value.
 *
 * @param mysqli      $db    The connection.
 * @param string      $kind  How.
 * @param string|null $value The value.
 */
function forkpress_value( $db, $kind, $value ) {
	if ( null === $value ) {
		return 'NULL';
	}
	if ( 'number' === $kind || 'bits' === $kind ) {
		return (string) $value;
	}
	if ( 'bytes' === $kind && '' !== $value ) {
		return '0x' . bin2hex( $value );
	}
	return "'" . $db->real_escape_string( $value ) . "'";
}

/**
 * Writes a table.
 *
 * @param mysqli $db    The connection.
 * @param string $table The table.
 */
function forkpress_table( $db, $table ) {
	$name   = forkpress_name( $table );
	$create = $db->query( "SHOW CREATE TABLE $name" )->fetch_row();
	forkpress_write( "\nDROP TABLE IF EXISTS $name;\n{$create[1]};\n\n" );
	$columns = forkpress_columns( $db, $table );
	if ( ! $columns ) {
		return;
	}
	$names  = array_map( 'forkpress_name', array_keys( $columns ) );
	$kinds  = array_values( $columns );
	$select = array();
	foreach ( $names as $at => $column ) {
		$select[] = 'bits' === $kinds[ $at ] ? "$column + 0" : $column;
	}
	$insert = "INSERT INTO $name (" . implode( ', ', $names ) . ') VALUES ';
	$rows   = $db->query( 'SELECT ' . implode( ', ', $select ) . " FROM $name", MYSQLI_USE_RESULT );
	$bytes  = 0;
	while ( $row = $rows->fetch_row() ) {
		foreach ( $row as $at => $value ) {
			$row[ $at ] = forkpress_value( $db, $kinds[ $at ], $value );
		}
		$text = '(' . implode( ',', $row ) . ')';
		forkpress_write( ( 0 === $bytes ? $insert : ',' ) . $text );
		$bytes += strlen( $text );
		if ( $bytes > FORKPRESS_STATEMENT_BYTES ) {
			forkpress_write( ";\n" );
			$bytes = 0;
		}
	}
	// What ends too early says so here only.
	if ( $db->errno ) {
		throw new RuntimeException( $db->error );
	}
	$rows->free();
	if ( $bytes > 0 ) {
		forkpress_write( ";\n" );
	}
}

/**
 * Writes the database.
 *
 * @param string[] $settings What it connects with.
 */
function forkpress_dump( $settings ) {
	mysqli_report( MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT );
	$db = mysqli_init();
	$db->real_connect( $settings['host'], $settings['user'], $settings['password'], $settings['name'], (int) $settings['port'], '' === $settings['socket'] ? null : $settings['socket'] );
	$db->set_charset( 'utf8mb4' );
	$db->query( "SET SESSION sql_mode = '', time_zone = '+00:00', sql_quote_show_create = 1" );
	$db->query( 'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ' );
	$db->query( 'START TRANSACTION WITH CONSISTENT SNAPSHOT' );
	forkpress_write( "-- A dump by ForkPress\n\n/*!40101 SET NAMES utf8mb4 */;\n/*!40103 SET TIME_ZONE='+00:00' */;\n/*!40014 SET FOREIGN_KEY_CHECKS=0 */;\n/*!40101 SET SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;\n" );
	$tables = $db->query( "SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'" )->fetch_all();
	foreach ( $tables as $table ) {
		forkpress_table( $db, $table[0] );
	}
	$db->query( 'COMMIT' );
	forkpress_write( "\n-- Dump completed\n" );
}

try {
	forkpress_dump( $forkpress_settings );
} catch ( Throwable $failure ) {
	fwrite( fopen( 'php://stderr', 'wb' ), $failure->getMessage() . "\n" );
	exit( 1 );
}
