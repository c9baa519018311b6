<?php
/**
 * Claims that a real browser makes, by the scripts in tests/browser/.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

/** Returns whether there are a Chromium, Node.js, and what npm has for the two. What npm has is fetched if it is not there. */
function has_browser(): bool {
	$chromium = array_filter( array( (string) getenv( 'FORKPRESS_CHROMIUM' ), 'chromium', 'chromium-browser', 'google-chrome' ) );
	$has      = static fn ( string $name ): bool => '' !== trim( (string) shell_exec( 'command -v ' . escapeshellarg( $name ) ) );
	if ( ! array_filter( $chromium, $has ) || ! $has( 'node' ) ) {
		return false;
	}
	if ( is_file( __DIR__ . '/browser/node_modules/playwright-core/package.json' ) ) {
		return true;
	}
	return 0 === ( new Process( array( 'npm', 'ci', '--silent', '--ignore-scripts', '--no-fund', '--no-audit' ), array(), __DIR__ . '/browser' ) )->wait();
}

/**
 * Has the browser make its claims, and counts them.
 *
 * @param string $script  The script in tests/browser/.
 * @param string $address Where the site is served.
 * @param string ...$more What else the script is told.
 */
function in_the_browser( string $script, string $address, string ...$more ): void {
	$browser = new Process( array( 'node', __DIR__ . "/browser/$script", $address, ...$more ) );
	// It waits for nothing without an end, and does so many times.
	while ( $browser->runs() ) {
		usleep( 50000 );
	}
	preg_match_all( '~^(ok|FAILED)  +(.*)$(?:\n +.*$)*~m', $browser->output(), $claims, PREG_SET_ORDER );
	foreach ( $claims as list( $said, $how, $claim ) ) {
		test( $claim, static fn () => 'ok' === $how ? null : throw new Failure( $said ) );
	}
	if ( ! $claims || ! preg_match( '/^\d+ passed, \d+ failed$/m', $browser->output() ) ) {
		test( "the claims of $script at $address", static fn () => throw new Failure( $browser->output() ) );
	}
}
