<?php
/**
 * Shows what a query found.
 *
 * @package ForkPress
 */

/** Shows rows as MySQL's own client does. */
final class ForkPress_Rows {
	/**
	 * Shows rows.
	 *
	 * @param array[] $rows  Rows, by column.
	 * @param bool    $names Whether to show the columns' names.
	 * @param bool    $table Whether to draw a table.
	 */
	public static function show( array $rows, bool $names, bool $table ): void {
		$head = array_keys( $rows[0] );
		$rows = array_map( static fn ( $row ) => array_map( static fn ( $value ) => $value ?? 'NULL', array_values( $row ) ), $rows );
		if ( ! $table ) {
			$text = static fn ( $value ) => strtr( (string) $value, array( '\\' => '\\\\', "\t" => '\t', "\n" => '\n', "\0" => '\0' ) );
			foreach ( $names ? array( $head, ...$rows ) : $rows as $row ) {
				WP_CLI::line( implode( "\t", array_map( $text, $row ) ) );
			}
			return;
		}
		$all    = $names ? array( $head, ...$rows ) : $rows;
		$widths = array_map( static fn ( $at ) => max( array_map( static fn ( $row ) => mb_strwidth( (string) $row[ $at ] ), $all ) ), array_keys( $head ) );
		$rule   = '+' . implode( '+', array_map( static fn ( $width ) => str_repeat( '-', $width + 2 ), $widths ) ) . '+';
		$draw   = static fn ( array $row ) => '|' . implode( '|', array_map( static fn ( $value, $width ) => " $value" . str_repeat( ' ', $width - mb_strwidth( (string) $value ) + 1 ), $row, $widths ) ) . '|';
		$lines  = array_map( $draw, $rows );
		array_unshift( $lines, ...( $names ? array( $rule, $draw( $head ), $rule ) : array( $rule ) ) );
		foreach ( array( ...$lines, $rule ) as $line ) {
			WP_CLI::line( $line );
		}
	}
}
