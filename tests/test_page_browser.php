<?php
/**
 * The branch page in a real browser, as a person uses it: tests/browser/page.mjs.
 *
 *     php -d "extension=$(pwd)/ext/branchfs.so" tests/test_page_browser.php
 *
 * The pictures that the browser makes go to target/screenshots, or where FORKPRESS_SCREENSHOTS says.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';
require __DIR__ . '/browser.php';

$site = new Site();
$site->serve( 4 );

if ( ! has_browser() ) {
	echo "SKIPPED: the branch page in a browser: no Chromium, no Node.js, or npm can't fetch Playwright\n";
} else {
	in_the_browser( 'page.mjs', "http://wp.localhost:$site->port", $site->dir );
}

test( 'nobody complained', fn () => $site->has_no_complaints() );
