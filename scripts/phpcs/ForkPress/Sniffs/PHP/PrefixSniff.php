<?php
/**
 * What is global has a prefix: ForkPress's PHP runs beside WordPress and its plugins.
 *
 * @package ForkPress
 */

namespace ForkPress\Sniffs\PHP;

use PHP_CodeSniffer\Files\File;
use PHP_CodeSniffer\Sniffs\Sniff;

/** Finds functions, constants and classes that are global and have no prefix. */
class PrefixSniff implements Sniff {

	/**
	 * Says which tokens it looks at.
	 *
	 * @return array
	 */
	public function register() {
		return array( T_FUNCTION, T_CONST, T_CLASS, T_INTERFACE, T_TRAIT );
	}

	/**
	 * Looks at one.
	 *
	 * @param File $file The file.
	 * @param int  $at   The token's place in it.
	 */
	public function process( File $file, $at ) {
		$tokens   = $file->getTokens();
		$name     = $file->findNext( T_STRING, $at );
		$is_inner = array_diff( $tokens[ $at ]['conditions'], array( T_NAMESPACE, T_IF, T_ELSE ) );
		if ( false === $name || array() !== $is_inner || false !== $file->findPrevious( T_NAMESPACE, $at ) ) {
			return;
		}
		if ( ! preg_match( '/^(?:forkpress|branchfs)_/i', $tokens[ $name ]['content'] ) ) {
			$file->addError( 'What is global begins with forkpress_: %s', $at, 'Missing', array( $tokens[ $name ]['content'] ) );
		}
	}
}
