<?php
/**
 * What ForkPress adds to WordPress, in a real one: admin bar, auto-login, requests to itself, links. `forkpress serve` with php-fpm
 * serves it. What depends on the server is tested under PHP's built-in server with the router alone, too.
 *
 *     FORKPRESS_TEST_WORDPRESS=DIR php -d "extension=$(pwd)/ext/branchfs.so" tests/test_platform.php
 *
 * DIR is an unpacked WordPress with its SQLite driver; default: target/wordpress.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/served.php';

/** Copies a folder. */
function copy_tree( string $from, string $to ): void {
	$process = new Process( array( 'cp', '-R', $from, $to ) );
	same( 0, $process->wait(), "copying $from: " . $process->output() );
}

/**
 * Makes a site of two branches, each a real WordPress.
 *
 * @return string Its folder.
 */
function make_site(): string {
	$given = getenv( 'FORKPRESS_TEST_WORDPRESS' );
	$given = $given ? $given : ROOT . '/target/wordpress';
	if ( ! is_file( "$given/wp-content/db.php" ) ) {
		fwrite( STDERR, "no WordPress with a SQLite driver at $given: run scripts/fetch-wordpress.sh, or set FORKPRESS_TEST_WORDPRESS\n" );
		exit( 2 );
	}
	$site = temp_dir();
	mkdir( "$site/.forkpress/cow/branches", 0755, true );
	copy_tree( $given, "$site/main" );
	copy( ROOT . '/runtime/wp-config.php', "$site/main/wp-config.php" );
	$install = new Process( php( array( ROOT . '/runtime/install.php', "$site/main" ) ), array( 'FORKPRESS_ADMIN_PASSWORD' => 'secret', 'HTTP_HOST' => 'wp.localhost' ) );
	same( 0, $install->wait(), 'installing WordPress: ' . $install->output() );
	put( "$site/main/wp-content/mu-plugins/probe.php", PROBE );
	copy_tree( "$site/main", "$site/marketing" );
	make_site_of( $site, 'marketing' );
	return $site;
}

/** A must-use plugin that lets the tests ask WordPress for things. */
const PROBE = <<<'PHP'
<?php
add_action( 'init', static function () {
	$ask = $_GET['probe'] ?? '';
	if ( 'request' === $ask ) {
		if ( isset( $_GET['sockets'] ) ) {
			add_filter( 'requests-requests.before_request', static function ( $url, $headers, $data, $type, &$options ) {
				$options['transport'] = 'WpOrg\Requests\Transport\Fsockopen';
			}, 10, 5 );
		}
		$response = wp_remote_get( $_GET['url'], array( 'timeout' => 20 ) );
		wp_send_json( is_wp_error( $response ) ? $response->get_error_message() : json_decode( $response['body'] ) ?? $response['body'] );
	}
	if ( 'seen' === $ask ) {
		wp_send_json( array( 'branch' => branchfs_get_branch(), 'token' => $_SERVER['HTTP_X_FORKPRESS_LOOPBACK'] ?? null, 'port' => $_SERVER['SERVER_PORT'], 'user' => get_current_user_id() ) );
	}
	if ( 'redirect' === $ask ) {
		wp_redirect( $_GET['to'] );
		exit;
	}
	if ( 'cron' === $ask ) {
		wp_schedule_single_event( time() - 1, 'probe_event', array( $_GET['mark'] ) );
		delete_transient( 'doing_cron' );
		wp_send_json( spawn_cron() );
	}
	if ( 'marks' === $ask ) {
		wp_send_json( get_option( 'probe_marks', array() ) );
	}
	if ( 'post' === $ask ) {
		wp_send_json( get_permalink( wp_insert_post( array( 'post_status' => 'publish', 'post_title' => 'Links', 'post_content' => wp_unslash( $_GET['content'] ) ) ) ) );
	}
	if ( 'sessions' === $ask ) {
		$sessions = array();
		for ( $number = 0; $number < (int) ( $_GET['add'] ?? 0 ); $number++ ) {
			$sessions[ hash( 'sha256', (string) $number ) ] = array( 'expiration' => time() + 1000 );
		}
		if ( $sessions ) {
			update_user_meta( 1, 'session_tokens', $sessions + get_user_meta( 1, 'session_tokens', true ) );
		}
		wp_send_json( count( get_user_meta( 1, 'session_tokens', true ) ) );
	}
	if ( 'keep' === $ask ) {
		probe_keep( json_decode( file_get_contents( 'php://input' ), true ) );
		wp_send_json( true );
	}
	if ( 'raw' === $ask ) {
		global $wpdb;
		wp_send_json( md5( implode( "\n", $wpdb->get_col( "SELECT option_value FROM $wpdb->options WHERE option_name IN ( 'probe_urls', 'home', 'siteurl', 'widget_custom_html' ) ORDER BY option_name" ) ) ) );
	}
	if ( 'mail' === $ask ) {
		add_filter( 'pre_wp_mail', static function ( $sent, $mail ) {
			wp_send_json( base64_encode( json_encode( $mail ) ) );
		}, 10, 2 );
		wp_mail( 'me@wp.localhost', $_GET['url'], 'See ' . $_GET['url'], array( 'X-Page: ' . $_GET['url'] ) );
	}
	if ( 'print' === $ask ) {
		while ( ob_get_level() > 0 ) {
			ob_end_clean();
		}
		header( 'Content-Type: ' . $_GET['type'] );
		$text = wp_unslash( $_GET['text'] );
		header( 'Content-Length: ' . strlen( $text ) );
		header( 'X-Page: ' . $text );
		foreach ( str_split( $text, 3 ) as $piece ) {
			echo $piece;
			flush();
		}
		exit;
	}
	if ( 'zip' === $ask ) {
		ob_start( 'ob_gzhandler' );
		echo $_GET['text'];
		exit;
	}
	if ( 'safe' === $ask ) {
		wp_safe_redirect( $_GET['to'] );
		exit;
	}
	if ( 'uploads' === $ask ) {
		update_option( 'upload_path', $_GET['path'] );
		wp_send_json( wp_upload_dir( null, false, true )['basedir'] );
	}
	if ( 'apcu' === $ask ) {
		wp_send_json( array( extension_loaded( 'apcu' ), apcu_enabled(), apcu_store( 'probe', 1 ), apcu_fetch( 'probe' ) ) );
	}
	if ( 'rewrite' === $ask ) {
		require_once ABSPATH . 'wp-admin/includes/misc.php';
		wp_send_json( got_url_rewrite() );
	}
} );
add_action( 'after_setup_theme', static function () {
	add_theme_support( 'custom-background' );
} );
function probe_keep( $urls ) {
	$all = implode( ' ', $urls );
	$css = '';
	foreach ( $urls as $at => $url ) {
		$css .= ".probe-$at{background:url($url/x.png)}";
	}
	update_option( 'probe_urls', $urls );
	set_theme_mod( 'background_image', $urls[0] . '/background.png' );
	wp_update_custom_css_post( $css );
	$styles = WP_Theme_JSON_Resolver::get_user_global_styles_post_id();
	wp_update_post( array( 'ID' => $styles, 'post_content' => wp_slash( wp_json_encode( array( 'version' => 3, 'isGlobalStylesUserThemeJSON' => true, 'styles' => array( 'css' => $css ) ) ) ) ) );
	$menu = wp_create_nav_menu( 'probe' );
	foreach ( $urls as $url ) {
		wp_update_nav_menu_item( $menu, 0, array( 'menu-item-title' => $url, 'menu-item-url' => $url, 'menu-item-status' => 'publish' ) );
	}
	wp_insert_post( array( 'post_status' => 'publish', 'post_name' => 'kept', 'post_title' => 'kept', 'post_excerpt' => $all, 'post_content' => "<!-- wp:html -->$all<img srcset=\"{$urls[0]}/a.png 1x, {$urls[1]}/b.png 2x\"><!-- /wp:html -->" ) );
	update_option( 'widget_custom_html', array( 2 => array( 'title' => '', 'content' => $all ), '_multiwidget' => 1 ) );
}
add_action( 'wp_footer', static function () {
	$urls = get_option( 'probe_urls' );
	if ( $urls ) {
		wp_nav_menu( array( 'menu' => 'probe' ) );
		the_widget( 'WP_Widget_Custom_HTML', get_option( 'widget_custom_html' )[2] );
		echo '<script>probe = ', json_encode( $urls ), ', ', json_encode( json_encode( $urls ) ), ', ', json_encode( $urls, JSON_HEX_TAG | JSON_UNESCAPED_SLASHES ), '</script>';
		echo '<a href="/?', esc_attr( http_build_query( array( 'url' => $urls ) ) ), '"></a>', esc_html( str_replace( '/', '&#047;', $urls[0] ) );
		echo '<pre id="serialized">', serialize( $urls ), '</pre><textarea>', esc_textarea( serialize( array( serialize( $urls ) ) ) ), '</textarea>';
		foreach ( $urls as $url ) {
			echo '<img src="', preg_replace( '/^https?:/', '', $url ), '">';
		}
	}
} );
add_action( 'probe_event', static function ( $mark ) {
	update_option( 'probe_marks', array_merge( get_option( 'probe_marks', array() ), array( $mark ) ) );
} );
PHP;

/** A browser of sorts: keeps cookies, for one host. */
final class Browser {
	/** @var string[] Cookies by name. */
	public array $cookies = array();

	/**
	 * Opens a browser.
	 *
	 * @param Server|Served $server The server.
	 * @param string        $host   The host of all requests.
	 */
	public function __construct( private Server|Served $server, private string $host = 'wp.localhost' ) {}

	/**
	 * Sends a request.
	 *
	 * @param string   $target  The request target.
	 * @param string[] $headers Further headers.
	 * @param string   $method  The method.
	 * @param string   $body    The body, a form.
	 */
	public function request( string $target, array $headers = array(), string $method = 'GET', string $body = '' ): Response {
		$headers += array( 'Host' => "$this->host:{$this->server->port}" );
		$headers += '' === $body ? array() : array( 'Content-Type' => 'application/x-www-form-urlencoded' );
		$cookies  = array();
		foreach ( $this->cookies as $name => $value ) {
			$cookies[] = "$name=$value";
		}
		$headers += $cookies ? array( 'Cookie' => implode( '; ', $cookies ) ) : array();
		$response = $this->server->request( $target, $headers, $method, $body );
		foreach ( $response->cookies as $cookie ) {
			list( $name, $value ) = explode( '=', strtok( $cookie, ';' ), 2 );
			if ( preg_match( '/expires=([^;]+)/i', $cookie, $match ) && strtotime( $match[1] ) < time() ) {
				unset( $this->cookies[ $name ] );
			} else {
				$this->cookies[ $name ] = $value;
			}
		}
		return $response;
	}

	/** Returns what the probe answers. */
	public function probe( array $query ): mixed {
		$response = $this->request( '/?' . http_build_query( $query ) );
		same( 200, $response->status, 'the probe: ' . substr( $response->body, 0, 500 ) );
		return json_decode( $response->body, true );
	}
}

$site = make_site();
$ini  = array( 'opcache.enable_cli=1', 'apc.enabled=1' );
$env  = array(
	'FORKPRESS_AUTO_LOGIN' => null,
	'FORKPRESS_LOOPBACK'   => null,
	'FORKPRESS_DEBUG_LOG'  => "$site/debug.log",
);

$server  = server_of( true, $site, 4, $ini, $env );
$alone   = server_of( false, $site, 4, $ini, $env );
$servers = array(
	"PHP's built-in server" => $alone,
	'forkpress serve'       => $server,
);

foreach ( $servers as $where => $server ) {
	test(
		"$where: a front page and a permalink are served on every branch, with the links of that branch",
		function () use ( $server ) {
			foreach ( array( 'wp.localhost', 'marketing.wp.localhost' ) as $host ) {
				$browser = new Browser( $server, $host );
				foreach ( array( '/', '/hello-world/' ) as $path ) {
					$page = $browser->request( $path );
					same( 200, $page->status, "$host$path" );
					holds( str_contains( $page->body, "http://$host:$server->port/hello-world/" ), "$host$path links to its own branch" );
				}
				same( 404, $browser->request( '/no-such-page/' )->status, $host );
				same( true, $browser->probe( array( 'probe' => 'rewrite' ) ), 'permalinks need no index.php' );
			}
		}
	);
}

test(
	'the dashboard opens logged in, and its admin bar names the branch and links to the others',
	function () use ( $server, $alone, $site ) {
		$browser = new Browser( $server, 'marketing.wp.localhost' );
		$page    = $browser->request( '/wp-admin/' );
		same( 200, $page->status );
		holds( str_contains( $page->body, 'Branch: marketing' ), 'the branch is named' );
		foreach ( array( "wp.localhost:$server->port/wp-admin/", "marketing.wp.localhost:$server->port/wp-admin/" ) as $url ) {
			holds( str_contains( $page->body, "href='http://$url'" ), "$url is linked" );
		}
		holds( str_contains( $page->body, '✓ marketing' ), 'the branch is marked' );
		holds( str_contains( $browser->request( '/' )->body, 'Branch: marketing' ), 'the front page has the admin bar, too' );
		same( 1, $browser->probe( array( 'probe' => 'seen' ) )['user'], 'user' );
		same( array(), preg_grep( '/^wordpress_/', $browser->request( '/wp-admin/edit.php' )->cookies ), 'session cookies of the second page' );

		for ( $number = 1; $number <= 60; $number++ ) {
			mkdir( "$site/b$number" );
			put( "$site/.forkpress/cow/branches/b$number.toml", "created_at = '2026-01-01T00:00:00Z'\ngeneration = $number\n" );
		}
		put( "$site/.forkpress/cow/branches/<b>.toml", '' );
		$page = $browser->request( '/wp-admin/' )->body;
		same( 2, preg_match_all( "~id='wp-admin-bar-forkpress-branch-~", $page ), 'branches that a page lists, however many there are' );
		foreach ( array( '1' => 'wp-admin/', '0' => '' ) as $dashboard => $path ) {
			$answer = json_decode( $browser->request( "/wp-admin/admin-ajax.php?action=forkpress_branches&dashboard=$dashboard" )->body, true );
			same( array( 50, 12 ), array( count( $answer['branches'] ), $answer['more'] ), 'branches that are listed when the menu is opened, and how many more' );
			same( array( 'name' => 'main', 'url' => "http://wp.localhost:$server->port/$path" ), $answer['branches'][0], 'the first of them' );
			same( array( 'b60', 'b59' ), array_column( array_slice( $answer['branches'], 1, 2 ), 'name' ), 'the newest come first' );
			holds( ! preg_grep( '/</', array_column( $answer['branches'], 'name' ) ), 'a file with another name is no branch' );
		}
		$ask  = static fn ( Browser $browser, string $query = '' ): array => json_decode( $browser->request( "/wp-admin/admin-ajax.php?action=forkpress_branches$query" )->body, true );
		$find = static fn ( string $query ): array => array_column( $ask( $browser, $query )['branches'], 'name' );
		same( array( 'b60', 'b6' ), $find( '&search=B6' ), 'branches whose names have a text, be they listed or not' );
		same( array(), $find( '&search=%3Cb%3E' ), 'what is in no name' );
		same( 50, count( $find( '&search[]=b6' ) ), 'branches where the text is none' );

		$links = array_column( $ask( $browser )['links'], 'url', 'does' );
		same( array( 'create', 'changes', 'all' ), array_keys( $links ), 'links to the branch page of forkpress serve, for a branch that was made from none' );
		same( "http://admin.wp.localhost:$server->port/do/create?from=marketing", $links['create'], 'one of them' );
		$elsewhere = new Browser( $alone, 'marketing.wp.localhost' );
		$elsewhere->request( '/wp-admin/' );
		same( array(), $ask( $elsewhere )['links'], 'links where another server runs the router' );
		same( '0', ( new Browser( $server ) )->request( '/wp-admin/admin-ajax.php?action=forkpress_branches' )->body, 'what somebody who is not logged in gets' );
		array_map( 'unlink', glob( "$site/.forkpress/cow/branches/b*.toml" ) );
		array_map( 'rmdir', glob( "$site/b[0-9]*" ) );
		unlink( "$site/.forkpress/cow/branches/<b>.toml" );
	}
);

test(
	'a session of one branch is none of another',
	function () use ( $server ) {
		$browser = new Browser( $server );
		$browser->request( '/wp-admin/' );
		$other          = new Browser( $server, 'marketing.wp.localhost' );
		$other->cookies = $browser->cookies;
		same( 0, $other->probe( array( 'probe' => 'seen' ) )['user'], 'user on the other branch' );
		foreach ( $browser->request( '/wp-login.php?loggedout=true' )->cookies as $cookie ) {
			holds( ! preg_match( '/;\s*domain=/i', $cookie ), "the cookie is for one host alone: $cookie" );
		}
	}
);

test(
	'the login page logs in and goes on, within the site',
	function () use ( $server ) {
		$here = "http://wp.localhost:$server->port/wp-admin/";
		foreach ( array(
			''                                                  => $here,
			'?redirect_to=' . rawurlencode( "{$here}edit.php" ) => "{$here}edit.php",
			'?redirect_to=' . rawurlencode( 'http://evil.example/' ) => $here,
			'?redirect_to[]=a'                                  => $here,
		) as $query => $location ) {
			$response = ( new Browser( $server ) )->request( "/wp-login.php$query" );
			same( array( 302, $location ), array( $response->status, $response->headers['location'] ?? null ), $query );
		}
	}
);

test(
	'a client that keeps no cookies does not pile up sessions',
	function () use ( $server ) {
		$browser = new Browser( $server );
		$browser->request( '/wp-admin/' );
		holds( $browser->probe( array( 'probe' => 'sessions', 'add' => 300 ) ) > 300, 'there are many sessions' );
		( new Browser( $server ) )->request( '/wp-admin/' );
		same( 101, $browser->probe( array( 'probe' => 'sessions' ) ), 'sessions' );
		same( 1, $browser->probe( array( 'probe' => 'seen' ) )['user'], 'the user of the youngest of them' );
	}
);

test(
	'who logged out stays logged out, and can log in again',
	function () use ( $server ) {
		$browser = new Browser( $server );
		$page    = $browser->request( '/wp-admin/' )->body;
		holds( 1 === preg_match( '~href=[\'"](http://[^\'"]*action=logout[^\'"]*)~', $page, $match ), 'there is a link to log out' );
		$url = html_entity_decode( $match[1] );
		$browser->request( substr( $url, strpos( $url, '/', 8 ) ) );
		same( 302, $browser->request( '/wp-admin/' )->status, 'the dashboard' );
		same( 200, $browser->request( '/wp-login.php' )->status, 'the login page' );
		$browser->request( '/wp-login.php', array(), 'POST', 'log=admin&pwd=secret' );
		same( 200, $browser->request( '/wp-admin/' )->status, 'the dashboard after logging in' );
		same( array(), preg_grep( '/^forkpress_/', array_keys( $browser->cookies ) ), 'the mark of logging out' );
	}
);

test(
	'nobody else is logged in',
	function () use ( $server ) {
		$cases = array(
			'through a proxy'           => array( '/wp-admin/', array( 'X-Forwarded-For' => '192.0.2.1' ) ),
			'from another site, hidden' => array( '/wp-admin/', array( 'Sec-Fetch-Site' => 'cross-site', 'Sec-Fetch-Mode' => 'no-cors', 'Sec-Fetch-Dest' => 'image' ) ),
			'from another site, framed' => array( '/wp-admin/', array( 'Sec-Fetch-Site' => 'cross-site', 'Sec-Fetch-Mode' => 'navigate', 'Sec-Fetch-Dest' => 'iframe' ) ),
			'from the site itself'      => array( '/wp-admin/', array( 'X-ForkPress-Loopback' => 'x' ) ),
			'by admin-ajax.php'         => array( '/wp-admin/admin-ajax.php?action=x', array() ),
			'by admin-post.php'         => array( '/wp-admin/admin-post.php', array() ),
			'by the REST API'           => array( '/wp-json/wp/v2/users/me', array() ),
			'by the front page'         => array( '/', array() ),
			'by cron'                   => array( '/wp-cron.php', array() ),
		);
		foreach ( $cases as $how => list( $target, $headers ) ) {
			same( array(), ( new Browser( $server ) )->request( $target, $headers )->cookies, "cookies $how" );
		}
		foreach ( array( 'POST', 'HEAD' ) as $method ) {
			$cookies = ( new Browser( $server ) )->request( '/wp-admin/', array(), $method, 'POST' === $method ? 'a=b' : '' )->cookies;
			same( array(), $cookies, "cookies by $method" );
		}
		$from_a_link = array( 'Sec-Fetch-Site' => 'cross-site', 'Sec-Fetch-Mode' => 'navigate', 'Sec-Fetch-Dest' => 'document' );
		same( 200, ( new Browser( $server ) )->request( '/wp-admin/', $from_a_link )->status, 'a link that somebody follows' );
		same( 421, $server->request( '/wp-admin/', array( 'Host' => "evil.example:$server->port" ) )->status, 'a rebound name' );
	}
);

test(
	'FORKPRESS_AUTO_LOGIN=0 turns it off',
	function () use ( $env, $ini, $site ) {
		$server = server_of( false, $site, 4, $ini, array( 'FORKPRESS_AUTO_LOGIN' => '0' ) + $env );
		same( 302, ( new Browser( $server ) )->request( '/wp-admin/' )->status );
		same( 200, ( new Browser( $server ) )->request( '/wp-login.php' )->status );
		$server->stop();
	}
);

foreach ( $servers as $where => $server ) {
	test(
		"$where: a request of the site to itself reaches the branch it names, over cURL and over sockets, with the token",
		function () use ( $server ) {
			foreach ( array( array(), array( 'sockets' => '1' ) ) as $transport ) {
				foreach ( array( 'wp.localhost' => 'main', 'marketing.wp.localhost' => 'marketing' ) as $host => $branch ) {
					$query = array( 'probe' => 'request', 'url' => "http://$host:$server->port/?probe=seen" ) + $transport;
					$seen  = ( new Browser( $server, 'marketing.wp.localhost' ) )->probe( $query );
					holds( is_array( $seen ), "$host answers: " . var_export( $seen, true ) );
					same( $branch, $seen['branch'], 'branch' );
					same( 64, strlen( (string) $seen['token'] ), 'length of the token' );
					same( 0, $seen['user'], 'user' );
				}
			}
		}
	);
}

test(
	'the token goes to nobody else, not even by a redirect',
	function () use ( $server ) {
		$dir = temp_dir();
		put( "$dir/r.php", '<?php echo json_encode( $_SERVER["HTTP_X_FORKPRESS_LOOPBACK"] ?? "none" );' );
		$foreign = new Server( "$dir/r.php", array(), array(), true );
		foreach ( array( array(), array( 'sockets' => '1' ) ) as $transport ) {
			$there = "http://127.0.0.1:$foreign->port/";
			$via   = "http://wp.localhost:$server->port/?" . http_build_query( array( 'probe' => 'redirect', 'to' => $there ) );
			foreach ( array( $there, $via ) as $url ) {
				same( 'none', ( new Browser( $server ) )->probe( array( 'probe' => 'request', 'url' => $url ) + $transport ), $url );
			}
		}
		$foreign->stop();
	}
);

test(
	'requests to itself go to the workers kept for them, so one worker is enough',
	function () use ( $env, $ini, $site ) {
		// `forkpress serve` keeps such workers itself: tests/test_wordpress_branches.php.
		$loopback = server_of( false, $site, 1, $ini, $env );
		$public   = server_of( false, $site, 1, $ini, array( 'FORKPRESS_LOOPBACK' => "127.0.0.1:$loopback->port" ) + $env );
		foreach ( array( array(), array( 'sockets' => '1' ) ) as $transport ) {
			$query = array( 'probe' => 'request', 'url' => "http://marketing.wp.localhost:$public->port/?probe=seen" ) + $transport;
			$seen  = ( new Browser( $public ) )->probe( $query );
			same( array( 'marketing', (string) $loopback->port ), array( $seen['branch'] ?? $seen, $seen['port'] ?? null ) );
		}
		$public->stop();
		$loopback->stop();
	}
);

foreach ( $servers as $where => $server ) {
	test(
		"$where: cron runs on every branch",
		function () use ( $server ) {
			foreach ( array( 'wp.localhost', 'marketing.wp.localhost' ) as $host ) {
				$browser = new Browser( $server, $host );
				same( true, $browser->probe( array( 'probe' => 'cron', 'mark' => "$host:$server->port" ) ), 'cron starts' );
				eventually( fn () => in_array( "$host:$server->port", $browser->probe( array( 'probe' => 'marks' ) ), true ), "cron has run on $host" );
			}
		}
	);
}

/** Returns what of a text names a host of the site that is not this one, in whatever spelling. */
function foreign_hosts( string $text, string $own ): array {
	$text = str_ireplace( array( '%253A', '%3A' ), ':', $text );
	preg_match_all( '~[a-z0-9-]*\.?(?:wp\.localhost|example\.com)(?::\d+|/blog)?~', $text, $found );
	return array_values( array_diff( array_unique( $found[0] ), array( $own ), preg_grep( '/@/', $found[0] ) ) );
}

test(
	'whatever address a branch has stored, what it serves names its own: on each page, in each spelling, in headers and mails',
	function () use ( $server, $site ) {
		put( "$site/.forkpress/cow/addresses", "# A comment.\nport 18079\nhome example.com/blog\n" );
		$host  = 'marketing.wp.localhost';
		$here  = "$host:$server->port";
		$urls  = array( "http://wp.localhost:$server->port/a", "http://gone.wp.localhost:$server->port/b", 'https://wp.localhost:18079/c', 'https://example.com/blog/d' );
		$owned = array_map( static fn ( $at ) => "http://$here/$at", array( 'a', 'b', 'c', 'd' ) );
		$page  = new Browser( $server, $host );
		$page->request( '/?probe=keep', array( 'Content-Type' => 'application/json' ), 'POST', json_encode( $urls ) );
		$before = $page->probe( array( 'probe' => 'raw' ) );

		$front = $page->request( '/' )->body;
		same( array(), foreign_hosts( $front, $here ), 'foreign hosts in the front page' );
		foreach ( array( "$owned[0]/background.png", ".probe-3{background:url($owned[3]/x.png)}", "href=\"$owned[1]\"", str_replace( '/', '\\/', $owned[2] ), urlencode( $owned[3] ), "src=\"//$here/d\"" ) as $expected ) {
			holds( str_contains( $front, $expected ), "$expected is in the front page" );
		}
		holds( 1 === preg_match( '~<pre id="serialized">(.*)</pre><textarea>(.*)</textarea>~', $front, $match ), 'serialized values are there' );
		same( $owned, unserialize( $match[1] ), 'a serialized value' );
		same( $owned, unserialize( unserialize( html_entity_decode( $match[2], ENT_QUOTES ) )[0] ), 'one inside of another, in HTML' );

		foreach ( array( '/feed/', '/kept/', '/wp-json/wp/v2/posts?search=kept', '/wp-sitemap-posts-post-1.xml', '/kept/embed/', '/wp-json/oembed/1.0/embed?url=' . urlencode( "http://$here/kept/" ) ) as $path ) {
			$answer = $page->request( $path );
			same( array( 200, array() ), array( $answer->status, foreign_hosts( $answer->body, $here ) ), "foreign hosts in $path" );
			holds( str_contains( $answer->body, str_contains( $answer->headers['content-type'], 'json' ) ? str_replace( '/', '\\/', "http://$here" ) : "http://$here" ), "$path names its own" );
		}
		same( array(), foreign_hosts( implode( "\n", $page->request( '/kept/' )->headers ), $here ), 'foreign hosts in headers' );

		// The editor gets the raw content, with its own addresses.
		$admin = new Browser( $server, $host );
		$admin->request( '/wp-admin/' );
		$nonce = trim( $admin->request( '/wp-admin/admin-ajax.php?action=rest-nonce' )->body );
		$post  = json_decode( $admin->request( '/wp-json/wp/v2/posts?slug=kept&context=edit', array( 'X-WP-Nonce' => $nonce ) )->body, true )[0];
		holds( str_contains( $post['content']['raw'], implode( ' ', $owned ) ), 'the editor has its own addresses' );
		$editor = $admin->request( "/wp-admin/post.php?post={$post['id']}&action=edit" );
		same( 200, $editor->status, 'the editor' );
		holds( str_contains( $editor->body, 'http:\/\/' . $here ) || str_contains( $editor->body, "http://$here" ), 'the editor names its own' );
		holds( ! str_contains( $editor->body, 'gone.wp.localhost' ) && ! str_contains( $editor->body, '18079' ), 'and no other' );

		foreach ( array( 'redirect', 'safe' ) as $ask ) {
			foreach ( $urls as $at => $url ) {
				same( $owned[ $at ], $page->request( '/?' . http_build_query( array( 'probe' => $ask, 'to' => $url ) ) )->headers['location'] ?? null, "where $ask to $url leads" );
			}
		}
		same( "http://$here/wp-admin/", $page->request( '/?probe=safe&to=http://evil.example/' )->headers['location'], 'a redirect to a stranger' );
		$mail = json_decode( base64_decode( $page->probe( array( 'probe' => 'mail', 'url' => $urls[3] ) ) ), true );
		same( array( 'me@wp.localhost', $owned[3], "See $owned[3]", array( "X-Page: $owned[3]" ) ), array( $mail['to'], $mail['subject'], $mail['message'], $mail['headers'] ), 'the mail' );
		same( $before, $page->probe( array( 'probe' => 'raw' ) ), 'what is stored' );
	}
);

foreach ( $servers as $where => $server ) {
	test(
		"$where: text is mapped below all buffers and in any pieces; what is no text, and a neighbour, is not touched",
		function () use ( $server ) {
			$page = new Browser( $server, 'marketing.wp.localhost' );
			$here = "http://marketing.wp.localhost:$server->port";
			$url  = "http://wp.localhost:$server->port";
			$ask  = static fn ( string $type, string $text ) => $page->request( '/?' . http_build_query( array( 'probe' => 'print', 'type' => $type, 'text' => $text ) ) );
			foreach ( array( 'text/html', 'application/json', 'text/css', 'application/atom+xml', 'text/plain' ) as $type ) {
				$answer = $ask( $type, "a $url/x b $url" );
				same( array( "a $here/x b $here", "a $here/x b $here" ), array( $answer->body, $answer->headers['x-page'] ), $type );
				same( (string) strlen( $answer->body ), $answer->headers['content-length'] ?? (string) strlen( $answer->body ), 'the length, if any is told' );
			}
			foreach ( array( 'application/octet-stream', 'image/png' ) as $type ) {
				$answer = $ask( $type, "a $url/x" );
				same( array( "a $url/x", (string) strlen( "a $url/x" ) ), array( $answer->body, $answer->headers['content-length'] ), $type );
			}
			foreach ( array( 'http://wp.localhost:3000/', "http://wp.localhost.example.com:$server->port/", "http://notwp.localhost:$server->port/", 'http://wp.localhost@evil.example/', 'me@wp.localhost', 'https://example.com/other' ) as $neighbour ) {
				same( "<a href=\"$neighbour\">", $ask( 'text/html', "<a href=\"$neighbour\">" )->body, $neighbour );
			}
			same( "$here/", $page->request( '/?' . http_build_query( array( 'probe' => 'zip', 'text' => "$url/" ) ), array( 'Accept-Encoding' => 'gzip' ) )->body, 'what would be compressed' );
			// By the loopback address, main's own address is that.
			$response = $server->request( '/?' . http_build_query( array( 'probe' => 'print', 'type' => 'text/html', 'text' => "$url/" ) ), array( 'Host' => "127.0.0.1:$server->port" ) );
			same( "http://127.0.0.1:$server->port/", $response->body, 'asked for by the loopback address' );
		}
	);
}

test(
	'style sheets and other text files of a branch name its own address, whole or in part; other files are sent as they are',
	function () use ( $server, $site ) {
		$url  = "http://wp.localhost:$server->port";
		$here = "http://marketing.wp.localhost:$server->port";
		foreach ( array( 'css', 'js', 'json', 'svg', 'bin' ) as $suffix ) {
			put( "$site/marketing/wp-content/uploads/page.$suffix", "a{b:url($url/c.png)}" );
			$expected = 'bin' === $suffix ? "a{b:url($url/c.png)}" : "a{b:url($here/c.png)}";
			foreach ( array( array(), array( 'Range' => 'bytes=0-3' ) ) as $headers ) {
				$answer   = $server->request( "/wp-content/uploads/page.$suffix", array( 'Host' => "marketing.wp.localhost:$server->port" ) + $headers );
				$expected = 'bin' === $suffix && $headers ? 'a{b:' : $expected;
				same( array( $expected, (string) strlen( $expected ) ), array( $answer->body, $answer->headers['content-length'] ), $suffix );
			}
		}
	}
);

test(
	'a site whose database and wp-config.php name a former host is served at its own address, each branch at its own',
	function () use ( $server, $site ) {
		$config = file_get_contents( "$site/marketing/wp-config.php" );
		put( "$site/marketing/wp-config.php", str_replace( '<?php', "<?php define( 'WP_HOME', 'https://shop.example.org/store' ); define( 'WP_SITEURL', WP_HOME );", $config ) );
		$page = new Browser( $server, 'marketing.wp.localhost' );
		$here = "http://marketing.wp.localhost:$server->port";
		try {
			$text = 'https://shop.example.org/store/x https://shop.example.org/';
			$said = fn () => $page->request( '/?' . http_build_query( array( 'probe' => 'print', 'type' => 'text/html', 'text' => $text ) ) )->body;
			// OPcache looks at files every two seconds.
			eventually( fn () => "$here/x https://shop.example.org/" === $said(), 'content of the former site names the branch' );
			$front = $page->request( '/hello-world/' );
			same( 200, $front->status, 'a page, which is not redirected' );
			holds( str_contains( $front->body, "$here/wp-includes/" ) && ! str_contains( $front->body, 'example.org' ), 'its files have its address' );
			same( 200, $page->request( '/wp-login.php?loggedout=true' )->status, 'the login page' );
		} finally {
			put( "$site/marketing/wp-config.php", $config );
		}
	}
);

test(
	'uploads stay in the branch, even where the option names the folder of another one',
	function () use ( $server, $site ) {
		$page = new Browser( $server, 'marketing.wp.localhost' );
		mkdir( "$site/shared" );
		foreach ( array(
			"$site/main/wp-content/uploads" => "$site/marketing/wp-content/uploads",
			"$site/gone/files"              => "$site/marketing/files",
			"$site/marketing/files"         => "$site/marketing/files",
			"$site/shared/files"            => "$site/shared/files",
			'/elsewhere/files'              => '/elsewhere/files',
			'files'                         => "$site/marketing/files",
		) as $stored => $served ) {
			same( $served, $page->probe( array( 'probe' => 'uploads', 'path' => $stored ) ), "where uploads go if the option says $stored" );
		}
		$page->probe( array( 'probe' => 'uploads', 'path' => '' ) );
	}
);

foreach ( $servers as $where => $server ) {
	test(
		"$where: APCu, which all branches would share, stores and finds nothing",
		function () use ( $server ) {
			holds( extension_loaded( 'apcu' ), 'PHP has APCu; scripts/install-deps.sh --tests installs it' );
			foreach ( array( 'wp.localhost', 'marketing.wp.localhost' ) as $host ) {
				same( array( true, false, false, false ), ( new Browser( $server, $host ) )->probe( array( 'probe' => 'apcu' ) ), 'loaded, on, stored, found' );
			}
		}
	);
}

if ( null === Fpm::binary() ) {
	echo "SKIPPED: php-fpm or cgi-fcgi is not installed (Debian: php-fpm, libfcgi-bin)\n";
} else {
	test(
		'under php-fpm an answer that ends in the middle of an address is whole, also where the script goes on after it',
		function () use ( $site ) {
			$dir = temp_dir();
			put( "$dir/s.php", "<?php branchfs_serve_as( 'http://a.wp.localhost:81', 'wp.localhost', '$site/.forkpress/cow' ); header( 'Link: <http://wp.localhost/>' ); echo 'x http://wp.lo'; flush(); echo 'calhost'; isset( \$_GET['on'] ) && fastcgi_finish_request(); isset( \$_GET['on'] ) && file_put_contents( '$dir/went-on', 'yes' );" );
			$fpm = new Fpm( $dir, 1, array( 'output_buffering=0' ) );
			foreach ( array( '', 'on=1' ) as $query ) {
				$answer = $fpm->request( "$dir/s.php", array( 'QUERY_STRING' => $query ) );
				same( array( 'x http://a.wp.localhost:81', '<http://a.wp.localhost:81/>' ), array( $answer->body, $answer->headers['link'] ?? null ), "the answer to ?$query" );
			}
			eventually( fn () => is_file( "$dir/went-on" ), 'the script goes on' );
		}
	);
}

test(
	'links and pictures in content stay on the branch, and foreign ones stay as they are',
	function () use ( $server ) {
		$main    = "http://wp.localhost:$server->port";
		$kept    = array( 'http://wp.localhost:1/x', "http://evilwp.localhost:$server->port/x", "http://wp.localhost:{$server->port}1/x", "http://wp.localhost.example:$server->port/x", "http://wp.localhost:$server->port@evil.example/" );
		$content = "<p><a href=\"$main/about/\">about</a> <img src=\"$main/wp-content/uploads/a.png\"> <a href=\"$main\">home</a> " . implode( ' ', array_map( fn ( $url ) => "<i title=\"$url\"></i>", $kept ) ) . '</p>';
		$browser = new Browser( $server, 'marketing.wp.localhost' );
		$browser->request( '/wp-admin/' );
		$url  = $browser->probe( array( 'probe' => 'post', 'content' => $content ) );
		$page = $browser->request( parse_url( $url, PHP_URL_PATH ) )->body;
		$here = "http://marketing.wp.localhost:$server->port";
		foreach ( array( "href=\"$here/about/\"", "src=\"$here/wp-content/uploads/a.png\"", "href=\"$here\"" ) as $link ) {
			holds( str_contains( $page, $link ), "$link is in the page" );
		}
		foreach ( $kept as $foreign ) {
			holds( str_contains( $page, "\"$foreign\"" ), "$foreign is as it was" );
		}
	}
);

test(
	'a page runs on the command line, with its request in CGI variables, and lacks none of those that are not there',
	function () use ( $site, $server ) {
		$complete = array( 'REQUEST_METHOD' => 'GET', 'QUERY_STRING' => '', 'SERVER_PROTOCOL' => 'HTTP/1.1', 'SERVER_PORT' => (string) $server->port, 'SERVER_NAME' => 'wp.localhost', 'REMOTE_ADDR' => '127.0.0.1' );
		foreach ( array( array(), $complete ) as $variables ) {
			foreach ( array( '/' => '<title>ForkPress', '/wp-login.php' => 'loginform', '/?probe=cron&mark=cli' => '' ) as $uri => $text ) {
				$log     = temp_dir() . '/debug.log';
				$request = $variables + array( 'HTTP_HOST' => "wp.localhost:$server->port", 'REQUEST_URI' => $uri, 'FORKPRESS_BRANCHES_DIR' => $site, 'FORKPRESS_DEBUG_LOG' => $log, 'FORKPRESS_LOOPBACK' => null, 'FORKPRESS_AUTO_LOGIN' => '0' );
				$cli     = new Process( php( array( ROOT . '/runtime/router_cow.php' ), array( 'display_errors=stderr', 'error_reporting=-1', 'log_errors=1', "error_log=$log" ) ), $request );
				same( 0, $cli->wait(), "$uri: exit status" );
				holds( str_contains( $cli->output(), $text ), "$uri is shown: " . substr( $cli->output(), 0, 500 ) );
				$complaints = preg_match_all( '/^.*(?:Warning|Notice|Deprecated|Fatal error).*$/m', $cli->output() . @file_get_contents( $log ), $found );
				same( array(), preg_grep( '/WordPress\.org/', $found[0], PREG_GREP_INVERT ), "$uri: what PHP says" );
			}
		}
	}
);

test(
	'nothing of it made WordPress or PHP complain',
	function () use ( $site, $alone ) {
		$log     = (string) @file_get_contents( "$site/debug.log" );
		$offline = '/^.*Something may be wrong with WordPress\.org.*\n/m';
		same( '', preg_replace( $offline, '', $log ), 'debug log, without what a machine without a network says' );
		$said = $alone->process->output() . @file_get_contents( "$site/.forkpress/logs/php-errors.log" ) . @file_get_contents( "$site/.forkpress/logs/php-server.log" );
		holds( ! preg_match( '/PHP (Warning|Notice|Deprecated|Fatal)/', $said ), 'the logs of the servers have no PHP errors' );
	}
);
