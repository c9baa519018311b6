<?php
/**
 * What ForkPress adds to WordPress, as a person sees it in a real browser, at `forkpress serve`: tests/browser/wordpress.mjs. And
 * who sees it.
 *
 *     php -d "extension=$(pwd)/ext/branchfs.so" tests/test_page_wordpress.php
 *
 * The pictures that the browser makes go to target/screenshots, or where FORKPRESS_SCREENSHOTS says.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';
require __DIR__ . '/browser.php';

/** A must-use plugin that has the dashboard written from right to left. */
const RTL = <<<'PHP'
<?php
add_action( 'after_setup_theme', static function () {
	$GLOBALS['wp_locale']->text_direction = 'rtl';
} );
PHP;

/** A PNG of one pixel. */
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==';

$site = new Site();
$site->serve( 4 );

/**
 * Creates a branch, and waits until its database tells what was changed since from what was there.
 *
 * @param string $name The branch.
 * @param string $from The one that it is made from.
 */
$create = static function ( string $name, string $from = 'main' ) use ( $site ): Browser {
	$site->done( 'branch', 'create', $name, '--from', $from );
	$created = strtotime( $site->json( 'branch', 'show', $name )['created_at'] );
	eventually( static fn () => time() > $created, "$name is a second old" );
	return new Browser( $site, $name );
};

$marketing = $create( 'marketing' );
$marketing->rest( 'POST', '/wp/v2/posts/1', array( 'title' => 'Hello from marketing' ) );
$marketing->rest( 'POST', '/wp/v2/pages', array( 'title' => 'About', 'status' => 'publish' ), 201 );
$marketing->rest( 'POST', '/wp/v2/comments', array( 'post' => 1, 'content' => 'A comment' ), 201 );
$nonce  = trim( $marketing->request( '/wp-admin/admin-ajax.php?action=rest-nonce' )->body );
$upload = $marketing->request( '/wp-json/wp/v2/media', 'POST', base64_decode( PIXEL ), array( 'X-WP-Nonce' => $nonce, 'Content-Type' => 'image/png', 'Content-Disposition' => 'attachment; filename="pixel.png"' ) );
same( 201, $upload->status, 'uploading' );
foreach ( array( 'marketing-2' => 'marketing', 'rtl' => 'main', 'customized' => 'main' ) as $name => $from ) {
	$create( $name, $from );
}
put( "$site->dir/rtl/wp-content/mu-plugins/rtl.php", RTL );

/**
 * Returns what a branch answers to its own scripts.
 *
 * @param Browser $browser Who asks.
 * @param string  $action  What is asked.
 * @param array   $headers What the request says beside.
 */
$ask = static fn ( Browser $browser, string $action, array $headers = array() ): Response => $browser->request( "/wp-admin/admin-ajax.php?action=$action", 'GET', '', $headers );

test(
	'only the person who runs the server is led to the branch page',
	function () use ( $ask, $marketing ): void {
		$links = static fn ( array $headers = array() ): array => array_column( json_decode( $ask( $marketing, 'forkpress_branches', $headers )->body, true )['links'], 'does' );
		same( array( 'create', 'changes', 'merge', 'all' ), $links(), 'links' );
		same( array(), $links( array( 'X-Forwarded-For' => '192.0.2.1' ) ), 'links for somebody behind another server' );
		$difference = json_decode( $ask( $marketing, 'forkpress_difference', array( 'X-Forwarded-For' => '192.0.2.1' ) )->body, true )['data'];
		same( array(), $difference['links'], 'links of the notice' );
		holds( str_starts_with( $difference['text'], 'marketing was made from main on ' ), 'what the notice says all the same' );
	}
);

test(
	'a branch whose parent is gone can be merged into none that the menu knows',
	function () use ( $ask, $create, $site ): void {
		$create( 'parent' );
		$child = $create( 'child', 'parent' );
		$child->request( '/wp-admin/' );
		$links = static fn (): array => array_column( json_decode( $ask( $child, 'forkpress_branches' )->body, true )['links'], 'text' );
		holds( in_array( 'Merge into parent…', $links(), true ), 'it can be merged into its parent' );
		$site->done( 'branch', 'delete', 'parent' );
		same( array( 'New branch from this one…', 'What changed', 'All branches' ), $links(), 'links' );
		$site->done( 'branch', 'delete', 'child' );
	}
);

test(
	'an editor has the notice; who may write nothing has none, and is told nothing; main has none',
	function () use ( $ask, $marketing, $site ): void {
		foreach ( array( 'editor' => true, 'subscriber' => false ) as $role => $has ) {
			$marketing->rest( 'POST', '/wp/v2/users', array( 'username' => $role, 'password' => 'secret', 'email' => "$role@example.com", 'roles' => array( $role ) ), 201 );
			$user  = new Browser( $site, 'marketing' );
			$login = http_build_query( array( 'log' => $role, 'pwd' => 'secret', 'testcookie' => '1' ) );
			// Somebody else than the person who runs the server, who would be logged in as the administrator.
			$far = array( 'X-Forwarded-For' => '192.0.2.1' );
			$user->request( '/wp-login.php', 'GET', '', $far );
			$user->request( '/wp-login.php', 'POST', $login, array( 'Content-Type' => 'application/x-www-form-urlencoded' ) + $far );
			$page = $user->request( '/wp-admin/', 'GET', '', $far );
			same( 200, $page->status, "the dashboard of the $role" );
			holds( str_contains( $page->body, 'Branch: marketing<' ), "the $role has the menu" );
			same( $has, str_contains( $page->body, 'forkpress-notice' ), "whether the $role has the notice" );
			same( $has ? 200 : 403, $ask( $user, 'forkpress_difference', $far )->status, "what the $role is answered" );
		}
		$main = new Browser( $site, 'main' );
		holds( ! str_contains( $main->request( '/wp-admin/' )->body, 'forkpress-notice' ), 'main has none' );
		same( 403, $ask( $main, 'forkpress_difference' )->status, 'what main answers' );
		same( '0', $ask( new Browser( $site, 'marketing' ), 'forkpress_difference' )->body, 'what somebody who is not logged in gets' );
	}
);

// Older than all that were made, and too many for the menu.
foreach ( array( 'eldest', ...array_map( static fn ( $number ) => "b$number", range( 1, 60 ) ) ) as $name ) {
	mkdir( "$site->dir/$name" );
	put( "$site->dir/.forkpress/cow/branches/$name.toml", "created_at = '2026-01-01T00:00:00Z'\ngeneration = 0\n" );
}

if ( ! has_browser() ) {
	echo "SKIPPED: WordPress in a browser: no Chromium, no Node.js, or npm can't fetch Playwright\n";
} else {
	in_the_browser( 'wordpress.mjs', "http://wp.localhost:$site->port" );
	$site->stop();
	$site->done( 'serve', '--https', '--workers', '4' );
	in_the_browser( 'wordpress.mjs', "https://wp.localhost:$site->port" );
}

test( 'nobody complained', fn () => $site->has_no_complaints() );
