<?php
/**
 * Cuts SQL in MySQL's dialect into statements, as a stream.
 *
 * @package ForkPress
 */

/** Reads one statement after the other. What it holds in memory is the longest of them. */
final class ForkPress_Statements {
	/** What ends a plain stretch of text: a quote, a comment, or what may be a delimiter. */
	const STOPS = '\'"`#-/';

	/** How much is read at once, in bytes. */
	const READ_BYTES = 65536;

	/** @var resource What is read. */
	private $input;

	/** @var string What was read and is in no statement yet. */
	private string $buffer = '';

	/** @var string What ends a statement. */
	private string $delimiter = ';';

	/** @var int The line that the buffer begins in. */
	private int $line = 1;

	/** @var int The line that the newest statement begins in, also where it does not end. */
	public int $began = 1;

	/**
	 * Begins.
	 *
	 * @param resource $input What to read.
	 */
	public function __construct( $input ) {
		$this->input = $input;
	}

	/**
	 * Yields each statement, without what ends it. Comments before it are left out, except those that are code for MySQL.
	 *
	 * @return Generator<string>
	 * @throws RuntimeException Where a quote or a comment does not end.
	 */
	public function all(): Generator {
		while ( true ) {
			$this->skip_blanks_and_comments();
			if ( '' === $this->buffer ) {
				return;
			}
			$this->began = $this->line;
			if ( preg_match( '/^DELIMITER[ \t]+(\S+)[ \t]*(?:\r?\n|$)/i', $this->peek_line(), $found ) ) {
				$this->delimiter = $found[1];
				$this->take( strlen( $this->peek_line() ) );
				continue;
			}
			$statement = $this->statement();
			if ( '' !== trim( $statement ) ) {
				yield trim( $statement );
			}
		}
	}

	/** Returns the text up to the delimiter, which it takes away as well. */
	private function statement(): string {
		$at    = 0;
		$stops = self::STOPS . $this->delimiter[0];
		while ( true ) {
			$at += strcspn( $this->buffer, $stops, $at );
			// A delimiter, and what opens a comment, may be cut in two by the end of what was read.
			if ( $at + strlen( $this->delimiter ) + 2 > strlen( $this->buffer ) && $this->more() ) {
				continue;
			}
			if ( $at >= strlen( $this->buffer ) ) {
				return $this->take( $at );
			}
			if ( 0 === substr_compare( $this->buffer, $this->delimiter, $at, strlen( $this->delimiter ) ) ) {
				$statement = $this->take( $at );
				$this->take( strlen( $this->delimiter ) );
				return $statement;
			}
			$at = $this->after( $at );
		}
	}

	/**
	 * Returns where a quote or a comment that may begin at a place ends.
	 *
	 * @param int $at The place.
	 */
	private function after( int $at ): int {
		$char = $this->buffer[ $at ];
		if ( str_contains( '\'"`', $char ) ) {
			return $this->find_end( $at, '/\G' . $char . '(?:[^\\\\' . $char . ']++|' . ( '`' === $char ? '\\\\' : '\\\\.' ) . '|' . $char . $char . ')*+' . $char . '(?!' . $char . ')/s', 'a quote' );
		}
		if ( '#' === $char || preg_match( '/\G--(?:\s|$)/', $this->buffer, $found, 0, $at ) ) {
			return $this->find_end( $at, '/\G[^\n]*\n/', null );
		}
		if ( '/*' === substr( $this->buffer, $at, 2 ) ) {
			return $this->find_end( $at, '#\G/\*.*?\*/#s', 'a comment' );
		}
		return $at + 1;
	}

	/**
	 * Returns where what a pattern finds at a place ends.
	 *
	 * @param int         $at      The place.
	 * @param string      $pattern The pattern.
	 * @param string|null $what    What has to end; null if the end of the text ends it, too.
	 * @throws RuntimeException Where it does not end.
	 */
	private function find_end( int $at, string $pattern, ?string $what ): int {
		while ( true ) {
			$found = preg_match( $pattern, $this->buffer, $match, 0, $at );
			if ( false === $found ) {
				throw new RuntimeException( 'it is too long: ' . preg_last_error_msg() );
			}
			// At the end of the buffer a second quote may follow.
			if ( $found && ( $at + strlen( $match[0] ) < strlen( $this->buffer ) || feof( $this->input ) ) ) {
				return $at + strlen( $match[0] );
			}
			if ( ! $this->more() ) {
				if ( null === $what || $found ) {
					return strlen( $this->buffer );
				}
				throw new RuntimeException( "$what does not end" );
			}
		}
	}

	/** Takes away what stands before a statement. A comment that is code stays. */
	private function skip_blanks_and_comments(): void {
		do {
			while ( strlen( $this->buffer ) < 3 && $this->more() ) {
				continue;
			}
			$blank = strspn( $this->buffer, " \t\r\n\v\f" );
			if ( $blank > 0 ) {
				$this->take( $blank );
			} elseif ( preg_match( '~^(?:\#|--(?:\s|$)|/\*(?!!)|/\*!999999)~', $this->buffer ) ) {
				$this->take( $this->after( 0 ) );
			} else {
				return;
			}
		} while ( true );
	}

	/** Returns the buffer's first line, with its end. */
	private function peek_line(): string {
		while ( ! str_contains( $this->buffer, "\n" ) && $this->more() ) {
			continue;
		}
		$end = strpos( $this->buffer, "\n" );
		return false === $end ? $this->buffer : substr( $this->buffer, 0, $end + 1 );
	}

	/**
	 * Takes bytes from the begin of the buffer.
	 *
	 * @param int $bytes How many.
	 */
	private function take( int $bytes ): string {
		$taken        = substr( $this->buffer, 0, $bytes );
		$this->buffer = substr( $this->buffer, $bytes );
		$this->line  += substr_count( $taken, "\n" );
		return $taken;
	}

	/** Reads more into the buffer. False at the end. */
	private function more(): bool {
		$read = feof( $this->input ) ? false : fread( $this->input, max( self::READ_BYTES, strlen( $this->buffer ) ) );
		if ( false === $read || '' === $read ) {
			return ! feof( $this->input );
		}
		$this->buffer .= $read;
		return true;
	}
}
