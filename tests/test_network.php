<?php
/**
 * A network of sites in subfolders is whole on every branch, and nothing of it leads to another branch. One with
 * subdomains is refused.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_network.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

$site = new Site();
$site->serve( 2 );

/**
 * Runs PHP code in WordPress, in a request to a branch, and returns what it returns.
 *
 * @param string $branch The branch.
 * @param string $code   The code.
 * @param string $folder The folder of the network's site, such as `/two`.
 */
$run = static function ( string $branch, string $code, string $folder = '' ) use ( $site ): mixed {
	static $number = 0;
	$name          = 'run-' . ++$number . '.php';
	put( "$site->dir/$branch/$name", "<?php require __DIR__ . '/wp-load.php'; require_once ABSPATH . 'wp-admin/includes/upgrade.php'; echo json_encode( ( static function () { $code } )() );" );
	$response = ( new Browser( $site, $branch ) )->request( "$folder/$name" );
	unlink( "$site->dir/$branch/$name" );
	return json_decode( $response->body, true ) ?? "$response->status $response->body";
};

/**
 * Defines constants in a branch's wp-config.php, where WordPress tells users to.
 *
 * @param string $branch    The branch.
 * @param array  $constants Values by name.
 */
$define = static function ( string $branch, array $constants ) use ( $site ): void {
	$path  = "$site->dir/$branch/wp-config.php";
	$lines = '';
	foreach ( $constants as $name => $value ) {
		$lines .= "define( '$name', " . var_export( $value, true ) . " );\n";
	}
	file_put_contents( $path, str_replace( '// Add your own', "$lines\n// Add your own", file_get_contents( $path ) ) );
	touch( $path, time() - 60 );
};

/**
 * Fails unless all of a page's addresses of the site, and where it redirects to, are on the branch.
 *
 * @param Browser $browser The browser.
 * @param string  $path    The page.
 * @param int     $status  The status that is right, after redirects.
 */
$stays = static function ( Browser $browser, string $path, int $status = 200 ) use ( $site ): Response {
	$here = $site->host( $browser->branch );
	for ( $hops = 0; $hops < 5; $hops++ ) {
		$response = $browser->request( $path );
		$location = $response->headers['location'] ?? null;
		if ( null === $location ) {
			break;
		}
		holds( str_starts_with( $location, '/' ) || str_starts_with( $location, "http://$here/" ), "$browser->branch$path leads to $location" );
		$path = $location;
	}
	same( $status, $response->status, "$browser->branch$path: " . substr( strip_tags( $response->body ), 0, 300 ) . ': status' );
	// ForkPress's own menu leads to the other branches, and an item of a feed keeps its identity.
	$body = preg_replace( array( "~<li[^>]* id='wp-admin-bar-forkpress-branch-.*?</li>~s", '~<guid.*?</guid>~' ), '', $response->body );
	preg_match_all( '~https?:(?:\\\\?/){2}([a-z0-9_.-]*localhost(?::\d+)?)~i', $body, $found );
	$others = array_values( array_diff( array_unique( $found[1] ), array( $here ) ) );
	same( array(), $others, "$browser->branch$path names others" . ( $others ? ': ' . substr( $body, max( 0, preg_match( '~/' . preg_quote( $others[0], '~' ) . '~', $body, $at, PREG_OFFSET_CAPTURE ) ? $at[0][1] - 200 : 0 ), 500 ) : '' ) );
	return $response;
};

test(
	'a site becomes a network, with a second site in it, while it is served',
	function () use ( $site, $run, $define ) {
		$host    = $site->host( 'main' );
		$install = "global \$wpdb; foreach ( \$wpdb->tables( 'ms_global' ) as \$table => \$name ) { \$wpdb->\$table = \$name; }
			install_network(); return populate_network( 1, '$host', 'admin@wp.localhost', 'Network', '/', false );";
		same( true, $run( 'main', $install ), 'the network is installed' );
		$define( 'main', array( 'MULTISITE' => true, 'SUBDOMAIN_INSTALL' => false, 'DOMAIN_CURRENT_SITE' => $host, 'PATH_CURRENT_SITE' => '/', 'SITE_ID_CURRENT_SITE' => 1, 'BLOG_ID_CURRENT_SITE' => 1 ) );
		same( 2, $run( 'main', "return wpmu_create_blog( '$host', '/two/', 'Two', 1, array( 'public' => 1 ) );" ), 'the second site' );
		// What users write is the matter of other tests.
		same( true, $run( 'main', 'switch_to_blog( 2 ); return wp_delete_comment( 1, true );' ), 'the comment that names the first address is gone' );
		$site->done( 'branch', 'create', 'x', 'y' );
	}
);

test(
	'each site of the network, its dashboard and the network\'s own are on the branch that they are asked for on',
	function () use ( $site, $stays ) {
		foreach ( array( 'main', 'x' ) as $branch ) {
			$browser = new Browser( $site, $branch );
			$pages   = array( '/', '/two/', '/two', '/wp-admin/', '/two/wp-admin', '/two/wp-admin/edit.php', '/wp-admin/network/', '/wp-admin/network/sites.php', '/two/wp-admin/network/', '/wp-admin/my-sites.php', '/two/wp-json/', '/two/?feed=rss2', '/two/sample-page/', '/two/wp-login.php?action=lostpassword' );
			foreach ( $pages as $path ) {
				$stays( $browser, $path );
			}
			holds( str_contains( $stays( $browser, '/two/' )->body, '<title>Two' ), 'the second site is another one' );
			same( 200, $browser->request( '/two/wp-includes/css/dashicons.min.css' )->status, 'a style sheet below the second site' );
			same( 404, $browser->request( '/nowhere/' )->status, 'a site that is not there' );
		}
	}
);

test(
	'logging in by password works on each site of a branch',
	function () use ( $site ) {
		foreach ( array( '', '/two' ) as $folder ) {
			$browser = new Browser( $site, 'x' );
			$browser->cookies['wordpress_test_cookie'] = 'WP%20Cookie%20check';
			$fields   = http_build_query( array( 'log' => 'admin', 'pwd' => $site->password, 'testcookie' => '1' ) );
			$response = $browser->request( "$folder/wp-login.php", 'POST', $fields, array( 'Content-Type' => 'application/x-www-form-urlencoded' ) );
			same( array( 302, 'http://' . $site->host( 'x' ) . "$folder/wp-admin/" ), array( $response->status, $response->headers['location'] ?? null ), "$folder: log in" );
		}
	}
);

test(
	'what a branch stores names the network as the others do, and a site that is made on it is there on its clones',
	function () use ( $site, $run, $stays ) {
		$host = $site->host( 'x' );
		same( 100001, $run( 'x', "return wpmu_create_blog( get_network()->domain, '/three/', 'Three', 1 );" ), 'the third site' );
		$stored = static fn ( string $branch ): array => $site->database( $branch )->query( 'SELECT domain FROM wp_blogs UNION SELECT domain FROM wp_site' )->fetchAll( \PDO::FETCH_COLUMN );
		same( array( $site->host( 'main' ) ), $stored( 'x' ), 'the hosts that are stored' );
		same( array( $host, "http://$host/three", "http://$host/three/wp-admin/" ), $run( 'x', 'return array( get_site()->domain, home_url(), admin_url() );', '/three' ), 'the third site' );
		same( "http://$host/two", $run( 'x', 'return get_home_url( 2 );' ), 'another site' );
		same( array( $host ), $run( 'x', 'global $wpdb; return array_values( array_unique( array_merge( $wpdb->get_col( "SELECT b.domain FROM $wpdb->blogs AS b JOIN $wpdb->site s ON s.id = b.site_id" ), wp_list_pluck( get_sites(), "domain" ) ) ) );' ), 'what queries read' );
		$site->done( 'branch', 'create', 'z', '--from', 'x' );
		holds( str_contains( $stays( new Browser( $site, 'z' ), '/three/' )->body, '<title>Three' ), 'the third site on a clone' );
		same( 404, ( new Browser( $site, 'y' ) )->request( '/three/' )->status, 'the third site on a branch that has none' );
	}
);

test(
	'the menu and the notice of each site of a branch know the branch',
	function () use ( $site ) {
		foreach ( array( '', '/two' ) as $folder ) {
			$browser = new Browser( $site, 'x' );
			$ask     = static fn ( string $action ): array => json_decode( $browser->request( "$folder/wp-admin/admin-ajax.php?action=$action" )->body, true );
			$page    = $browser->request( "$folder/wp-admin/" )->body;
			holds( str_contains( $page, 'id="forkpress-notice"' ), "$folder: the notice is on the dashboard" );
			holds( str_contains( $page, '"' . str_replace( '/', '\\/', "$folder/wp-admin/admin-ajax.php?action=forkpress_difference" ) . '"' ), "$folder: it asks its own site" );
			holds( ! str_contains( $browser->request( "$folder/wp-admin/network/" )->body, 'id="forkpress-notice"' ), "$folder: the network's own dashboard has none" );
			same( array( 'create', 'changes', 'merge', 'all' ), array_column( $ask( 'forkpress_branches' )['links'], 'does' ), "$folder: links" );
			holds( str_starts_with( $ask( 'forkpress_difference' )['data']['text'], 'x was made from main on ' ), "$folder: what the notice says" );
		}
	}
);

test( 'nobody complained', fn () => $site->has_no_complaints() );

test(
	'a network with subdomains is refused by its name, and redirects nowhere',
	function () use ( $site, $define ) {
		$define( 'y', array( 'NOBLOGREDIRECT' => 'http://' . $site->host( 'main' ) ) );
		$path = "$site->dir/y/wp-config.php";
		file_put_contents( $path, str_replace( "'SUBDOMAIN_INSTALL', false", "'SUBDOMAIN_INSTALL', true", file_get_contents( $path ) ) );
		touch( $path, time() - 50 );
		$refused = eventually(
			static function () use ( $site ) {
				$response = ( new Browser( $site, 'y' ) )->request( '/' );
				return 501 === $response->status ? $response : null;
			},
			'PHP sees the new configuration'
		);
		holds( str_contains( $refused->body, 'subdomains' ) && ! isset( $refused->headers['location'] ), "it says why: $refused->body" );
		same( 200, ( new Browser( $site, 'x' ) )->request( '/' )->status, 'another branch' );
		same( 0, $site->run( 'stop' )->status, 'stop' );
		$outcome = $site->command( array( 'serve' ) )->outcome();
		same( 0, $outcome->status, "serve: {$outcome->text()}" );
		$log = (string) file_get_contents( "$site->dir/.forkpress/logs/forkpress-server.log" );
		holds( str_contains( $log, "'y' is a WordPress network with subdomains" ), "the server warns: $log" );
		same( 0, $site->run( 'stop' )->status, 'stop' );
		copy( $path, "$site->dir/main/wp-config.php" );
		$outcome = $site->run( 'serve' );
		same( 1, $outcome->status, 'serve where main is one: exit status' );
		holds( str_contains( $outcome->errors, 'subdomains' ), "it says why: $outcome->errors" );
		$dir     = temp_dir();
		$outcome = $site->run( 'init', '--work-dir', "$dir/.forkpress", '--wordpress', "$site->dir/main" );
		same( 1, $outcome->status, 'init: exit status' );
		holds( str_contains( $outcome->errors, 'subdomains' ) && ! file_exists( "$dir/main" ), "init says why: $outcome->errors" );
	}
);
