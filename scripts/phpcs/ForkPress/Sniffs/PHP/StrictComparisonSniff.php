<?php
/**
 * Values are compared with their types.
 *
 * @package ForkPress
 */

namespace ForkPress\Sniffs\PHP;

use PHP_CodeSniffer\Files\File;
use PHP_CodeSniffer\Sniffs\Sniff;

/** Finds `==` and `!=`. */
class StrictComparisonSniff implements Sniff {

	/**
	 * Says which tokens it looks at.
	 *
	 * @return array
	 */
	public function register() {
		return array( T_IS_EQUAL, T_IS_NOT_EQUAL );
	}

	/**
	 * Looks at one.
	 *
	 * @param File $file The file.
	 * @param int  $at   The token's place in it.
	 */
	public function process( File $file, $at ) {
		$file->addError( 'Compare with the types: === or !==', $at, 'Found' );
	}
}
