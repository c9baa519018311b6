<?php
/**
 * Random tables with random rows, as MariaDB takes them: the same for the same seed.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require_once __DIR__ . '/lib.php';

/** Makes up tables. What it is given to choose from is what MySQL and MariaDB both have, and what the SQLite driver keeps. */
final class RandomTables {
	/** Types, with the kind of their values. */
	private const TYPES = array(
		'tinyint(4)'                                    => 'int:-128:127',
		'tinyint(1)'                                    => 'int:0:1',
		'smallint(6)'                                   => 'int:-32768:32767',
		'mediumint(8) unsigned'                         => 'int:0:16777215',
		'int(11)'                                       => 'int:-2147483648:2147483647',
		'int(10) unsigned'                              => 'int:0:4294967295',
		'int(7) unsigned zerofill'                      => 'int:0:9999999',
		'bigint(20)'                                    => 'int:-9223372036854775808:9223372036854775807',
		'bigint(20) unsigned'                           => 'int:0:9223372036854775807',
		'float'                                         => 'real',
		'double'                                        => 'real',
		'decimal(10,3)'                                 => 'decimal',
		'decimal(5,0) unsigned'                         => 'int:0:99999',
		'bit(1)'                                        => 'bit:1',
		'bit(9)'                                        => 'bit:9',
		'bit(64)'                                       => 'bit:64',
		'date'                                          => 'date',
		'datetime'                                      => 'datetime:0',
		'datetime(6)'                                   => 'datetime:6',
		'timestamp'                                     => 'datetime:0',
		'time'                                          => 'time:0',
		'time(3)'                                       => 'time:3',
		'year(4)'                                       => 'year',
		'char(9)'                                       => 'text:9',
		'varchar(40)'                                   => 'text:40',
		'varchar(190)'                                  => 'text:100',
		'tinytext'                                      => 'text:40',
		'text'                                          => 'text:300',
		'mediumtext'                                    => 'text:300',
		'longtext'                                      => 'text:300',
		'binary(7)'                                     => 'bytes:7',
		'varbinary(40)'                                 => 'bytes:40',
		'tinyblob'                                      => 'bytes:200',
		'blob'                                          => 'bytes:200',
		'longblob'                                      => 'bytes:2000',
		"enum('a','it''s','b,c','','é')"                => "one of:'a':'it\\'s':'b,c':'é'",
		"set('x','y','it''s')"                          => "one of:'':'x':'x,it\\'s':'y'",
		'json'                                          => 'json',
	);

	/** Characters with a meaning in SQL, in a dump, in LIKE or in a shell come more often. */
	private const SPECIAL = array( "'", '"', '\\', "\0", "\n", "\r", "\t", "\x1a", "\x08", ';', '`', '%', '_', '/*', '*/', '-- ', '#', '(', ')', ',', '$', ' ', '\\\\', "\\'", "''", 'a', 'B', '0', 'NULL', 'É', 'é', '€' );

	/** Names of columns. */
	private const NAMES = array( 'a', 'select', 'a b', 'x`y', 'order-1', 'Key', "it's", 'q"q', '_2', '$5', 'naïve' );

	/** @var string[][] Tables that others may refer to: name, column, its definition. */
	private array $parents = array();

	/**
	 * Begins.
	 *
	 * @param int $seed The seed.
	 */
	public function __construct( int $seed ) {
		mt_srand( $seed );
	}

	/**
	 * Makes up statements.
	 *
	 * @param int $count How many tables.
	 * @return string[]
	 */
	public function statements( int $count ): array {
		return array_merge( ...array_map( fn ( int $number ) => $this->table( "t$number" ), range( 1, $count ) ) );
	}

	/**
	 * Picks one.
	 *
	 * @param array $of Of these.
	 */
	private function pick( array $of ): mixed {
		return $of[ array_keys( $of )[ mt_rand( 0, count( $of ) - 1 ) ] ];
	}

	/**
	 * Returns true one time in so many.
	 *
	 * @param int $often How many.
	 */
	private function one_in( int $often ): bool {
		return 1 === mt_rand( 1, $often );
	}

	/**
	 * Makes a name one in SQL.
	 *
	 * @param string $name The name.
	 */
	public static function quoted( string $name ): string {
		return '`' . str_replace( '`', '``', $name ) . '`';
	}

	/** Returns bytes as SQL.
	 *
	 * @param string $bytes The bytes.
	 */
	private static function bytes( string $bytes ): string {
		return '' === $bytes ? "''" : '0x' . bin2hex( $bytes );
	}

	/**
	 * Makes up a text of so many characters at most.
	 *
	 * @param int    $most    How many.
	 * @param string $charset Of these.
	 */
	private function text( int $most, string $charset ): string {
		$wide = array( 'utf8mb4' => array( '😀', '日', '屜', "\u{2028}", '👩‍🚀' ), 'utf8mb3' => array( '日', '屜', "\u{2028}" ), 'latin1' => array( 'ÿ', 'ß', '—' ), 'ascii' => array( '~' ) )[ $charset ];
		$text = '';
		$to   = mt_rand( 0, $most );
		while ( mb_strlen( $text ) < $to ) {
			$next  = $this->pick( $this->one_in( 3 ) ? $wide : self::SPECIAL );
			$text .= 'ascii' === $charset && ! mb_check_encoding( $next, 'ASCII' ) ? '?' : $next;
		}
		return mb_substr( $text, 0, $to );
	}

	/**
	 * Makes up a value, as SQL.
	 *
	 * @param string $kind    What is right for the column.
	 * @param string $charset What the column can hold.
	 */
	private function value( string $kind, string $charset ): string {
		$parts = explode( ':', $kind );
		switch ( $parts[0] ) {
			case 'int':
				$some = array( $parts[1], $parts[2], '0', '1', (string) mt_rand( max( (int) $parts[1], -1000 ), min( (int) $parts[2], 1000 ) ) );
				return $this->pick( $some );
			case 'real':
				return $this->pick( array( '0', '-0.5', '1e10', '-2.5e-7', (string) ( mt_rand( -8000, 8000 ) / 8 ) ) );
			case 'decimal':
				return sprintf( '%s%d.%03d', $this->pick( array( '', '-' ) ), mt_rand( 0, 9999999 ), mt_rand( 0, 999 ) );
			case 'bit':
				$bits = (int) $parts[1];
				return "b'" . $this->pick( array( '0', '1', str_repeat( '1', $bits ), '1' . str_repeat( '0', $bits - 1 ) ) ) . "'";
			case 'date':
				return $this->pick( array( "'0000-00-00'", "'2024-02-29'", "'9999-12-31'", "'2024-00-10'", "'1000-01-01'" ) );
			case 'datetime':
				$fraction = '0' === $parts[1] ? '' : '.' . str_pad( (string) mt_rand( 0, 999999 ), 6, '0', STR_PAD_LEFT );
				return $this->pick( array( "'0000-00-00 00:00:00'", sprintf( "'%04d-%02d-%02d %02d:%02d:%02d%s'", mt_rand( 1971, 2037 ), mt_rand( 1, 12 ), mt_rand( 1, 28 ), mt_rand( 0, 23 ), mt_rand( 0, 59 ), mt_rand( 0, 59 ), $fraction ) ) );
			case 'time':
				$fraction = '0' === $parts[1] ? '' : sprintf( '.%03d', mt_rand( 0, 999 ) );
				return $this->pick( array( "'00:00:00'", "'838:59:59'", sprintf( "'%s%02d:%02d:%02d%s'", $this->pick( array( '', '-' ) ), mt_rand( 0, 837 ), mt_rand( 0, 59 ), mt_rand( 0, 59 ), $fraction ) ) );
			case 'year':
				return $this->pick( array( '0', '1901', '2024', '2155' ) );
			case 'text':
				return 'CONVERT(' . self::bytes( $this->text( (int) $parts[1], $charset ) ) . ' USING utf8mb4)';
			case 'bytes':
				$length = mt_rand( 0, (int) $parts[1] );
				$bytes  = '';
				while ( strlen( $bytes ) < $length ) {
					$bytes .= $this->one_in( 3 ) ? $this->pick( array( "\0", "'", '\\', "\x1a", "\xff", "\x80" ) ) : chr( mt_rand( 0, 255 ) );
				}
				return self::bytes( $bytes );
			case 'json':
				return $this->pick( array( "'{}'", "'[1, null, \"é\\\\\\\\ 😀\"]'", "'{\"a\":  {\"b\": \"it''s\"}}'", "'null'" ) );
			default:
				return $this->pick( array_slice( $parts, 1 ) );
		}
	}

	/**
	 * Makes up the default of a column, with the word before it.
	 *
	 * @param string $type     The type.
	 * @param string $kind     What is right for it.
	 * @param bool   $is_null  Whether there may be none.
	 * @param string $charset  What it can hold.
	 */
	private function default( string $type, string $kind, bool $is_null, string $charset ): string {
		if ( str_starts_with( $type, 'datetime' ) && $this->one_in( 3 ) ) {
			$now = 'CURRENT_TIMESTAMP' . strpbrk( $type, '(' );
			return " DEFAULT $now" . ( $this->one_in( 2 ) ? " ON UPDATE $now" : '' );
		}
		$has_literal = ! in_array( strtok( $kind, ':' ), array( 'text', 'bytes', 'json', 'bit' ), true );
		if ( $has_literal && $this->one_in( 2 ) ) {
			return ' DEFAULT ' . $this->value( $kind, $charset );
		}
		if ( str_starts_with( $type, 'bit' ) && $this->one_in( 2 ) ) {
			return " DEFAULT b'1'";
		}
		if ( str_contains( $type, 'char' ) && $this->one_in( 2 ) ) {
			return ' DEFAULT ' . $this->pick( array( "''", "'it''s'", "'a\\\\\\\\b'", "'NULL'", "'0'", "'\"q\" -- ;'", "'%s'" ) );
		}
		return $is_null && $this->one_in( 2 ) ? ' DEFAULT NULL' : '';
	}

	/**
	 * Makes up a table and its rows.
	 *
	 * @param string $name Its name.
	 * @return string[]
	 */
	private function table( string $name ): array {
		$charsets = array( 'utf8mb4' => array( 'utf8mb4_unicode_520_ci', 'utf8mb4_general_ci', 'utf8mb4_bin', 'utf8mb4_unicode_ci' ), 'utf8mb3' => array( 'utf8mb3_general_ci', 'utf8mb3_bin' ), 'latin1' => array( 'latin1_swedish_ci', 'latin1_bin', 'latin1_general_cs' ), 'ascii' => array( 'ascii_general_ci' ) );
		$of_table = $this->pick( array_keys( $charsets ) );
		$lines    = array();
		$columns  = array();
		$key      = $this->pick( array( 'auto', 'auto', 'plain', 'text', 'two', 'none' ) );
		$id       = 'auto' === $key ? $this->pick( array( 'bigint(20) unsigned', 'int(11)' ) ) . ' NOT NULL AUTO_INCREMENT' : ( 'text' === $key ? 'varchar(20) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL' : 'int(11) ' . ( 'none' === $key ? 'DEFAULT NULL' : 'NOT NULL' ) );
		$lines[]  = "`id` $id";
		foreach ( array_slice( self::NAMES, 0, mt_rand( 1, count( self::NAMES ) - 1 ) ) as $column ) {
			$type    = $this->pick( array_keys( self::TYPES ) );
			$kind    = self::TYPES[ $type ];
			$is_text = 1 === preg_match( '/char|text|^enum|^set/', $type );
			$charset = $is_text && $this->one_in( 3 ) ? $this->pick( array_keys( $charsets ) ) : $of_table;
			// All of its values have to be of its charset.
			$charset = str_starts_with( $type, 'enum' ) && 'ascii' === $charset ? 'utf8mb4' : $charset;
			$own     = $is_text && ( $charset !== $of_table || $this->one_in( 3 ) ) ? " CHARACTER SET $charset COLLATE " . $this->pick( $charsets[ $charset ] ) : '';
			$is_null = ! $this->one_in( 3 );
			$comment = $this->one_in( 5 ) ? ' COMMENT ' . $this->pick( array( "'it''s \\\\\\\\ a;'", "'é 日 😀'", "'-- \"x\" /* */'" ) ) : '';
			$default = $this->default( $type, $kind, $is_null, $charset );
			// The first timestamp would get defaults of its own.
			$null      = $is_null ? ' NULL' : ' NOT NULL';
			$default   = 'timestamp' === $type && ! $is_null && '' === $default ? " DEFAULT '2024-01-02 03:04:05'" : $default;
			$lines[]   = self::quoted( $column ) . " $type$own$null$default$comment";
			$columns[] = array( $column, $type, $kind, $charset, $is_null );
		}
		if ( 'none' !== $key ) {
			$lines[] = 'PRIMARY KEY (`id`' . ( 'two' === $key ? ', `second`)' : ')' );
		}
		if ( 'two' === $key ) {
			array_splice( $lines, 1, 0, '`second` varchar(20) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL' );
		}
		foreach ( $columns as $at => list( $column, $type, , $charset ) ) {
			if ( ! $this->one_in( 3 ) ) {
				continue;
			}
			$is_long = 1 === preg_match( '/text|blob|json/', $type );
			$length  = $is_long || ( str_contains( $type, 'var' ) && $this->one_in( 2 ) ) ? '(' . mt_rand( 1, 30 ) . ')' : '';
			$word    = $this->pick( array( 'KEY', 'KEY', 'UNIQUE KEY' ) );
			// Where case counts, a key of the driver may not tell texts apart; see tests/dump.
			$word    = preg_match( '/text|char/', $type ) && $this->one_in( 3 ) ? 'FULLTEXT KEY' : $word;
			$length  = 'FULLTEXT KEY' === $word ? '' : $length;
			$second  = 'FULLTEXT KEY' === $word || $this->one_in( 2 ) ? '' : ', `id`' . $this->pick( array( '', ' DESC' ) );
			$lines[] = "$word `k-$at` (" . self::quoted( $column ) . "$length$second)" . ( $this->one_in( 5 ) ? " COMMENT 'it''s \\\\\\\\ a key'" : '' );
		}
		if ( $this->one_in( 4 ) && in_array( $key, array( 'plain', 'text', 'two' ), true ) ) {
			$lines[] = '`made` int(11) GENERATED ALWAYS AS (' . ( 'text' === $key ? 'char_length(`id`)' : '`id` + 1' ) . ') ' . $this->pick( array( 'VIRTUAL', 'STORED' ) );
		}
		if ( 'plain' === $key || 'auto' === $key ) {
			$this->parents[] = array( $name, trim( strtok( $id, 'N' ) ) );
		}
		$parent = $this->one_in( 3 ) && $this->parents ? $this->pick( $this->parents ) : null;
		if ( null !== $parent && $parent[0] !== $name ) {
			$lines[] = "`parent` $parent[1] DEFAULT NULL";
			$lines[] = "CONSTRAINT `fk_$name` FOREIGN KEY (`parent`) REFERENCES `$parent[0]` (`id`)" . $this->pick( array( '', ' ON DELETE CASCADE', ' ON DELETE SET NULL ON UPDATE CASCADE' ) );
		}
		$comment    = $this->one_in( 3 ) ? " COMMENT='it''s \\\\\\\\ \"é\" 😀'" : '';
		$statements = array( "CREATE TABLE `$name` (" . implode( ', ', $lines ) . ") ENGINE=InnoDB DEFAULT CHARSET=$of_table COLLATE=" . $this->pick( $charsets[ $of_table ] ) . $comment );
		$names      = array( '`id`', ...( 'two' === $key ? array( '`second`' ) : array() ), ...array_map( static fn ( $column ) => self::quoted( $column[0] ), $columns ) );
		$number     = 0;
		for ( $rows = mt_rand( 0, 30 ); $rows > 0; $rows-- ) {
			$number += mt_rand( 1, 5 );
			$values  = array( 'text' === $key ? "'k$number'" : ( 'auto' === $key || 'none' === $key ? (string) $number : (string) ( $number - 20 ) ) );
			$values  = array( ...$values, ...( 'two' === $key ? array( "'s$number'" ) : array() ) );
			foreach ( $columns as list( , , $kind, $charset, $is_null ) ) {
				$values[] = $is_null && $this->one_in( 6 ) ? 'NULL' : $this->value( $kind, $charset );
			}
			// What a unique key has already stays out.
			$statements[] = "INSERT IGNORE INTO `$name` (" . implode( ', ', $names ) . ') VALUES (' . implode( ', ', $values ) . ')';
		}
		if ( isset( $parent ) && $parent[0] !== $name ) {
			$statements[] = "UPDATE `$name` SET `parent` = (SELECT min(`id`) FROM `$parent[0]`)";
		}
		return $statements;
	}
}
