<?php
/**
 * Routing over HTTP: branches, hostile requests, static files, and what PHP sees. The same tests run under PHP's built-in server,
 * which the router alone makes a server of sites, and under `forkpress serve`, which decides by itself what needs no PHP.
 *
 *     php -d "extension=$(pwd)/ext/branchfs.so" tests/test_router_static.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/served.php';

const ROUTER = ROOT . '/runtime/router_cow.php';

/**
 * Makes the branches main and marketing.
 *
 * @param bool $is_site Whether more than their folders says that they are branches.
 */
function make_branches( bool $is_site ): string {
	$site = temp_dir();
	mkdir( "$site/.forkpress/cow", 0755, true );
	if ( $is_site ) {
		make_site_of( $site, 'marketing' );
	}
	put( "$site/main/index.php", '<?php echo "front controller ", $_SERVER["REQUEST_URI"];' );
	put( "$site/main/style.css", 'body { color: red }' );
	put( "$site/main/big.bin", random_bytes( 3_000_001 ) );
	put( "$site/main/wp-includes/a.js", 'a' );
	put( "$site/main/wp-admin/index.php", '<?php echo "dashboard ", getcwd();' );
	put( "$site/main/server.php", '<?php echo json_encode( array( "server" => $_SERVER, "globals" => array_keys( $GLOBALS ), "cwd" => getcwd(), "branch" => branchfs_get_branch(), "lock" => branchfs_lock_status() ) );' );
	put( "$site/main/.git/config", 'secret' );
	put( "$site/main/wp-content/database/.ht.sqlite", 'secret' );
	put( "$site/main/wp-content/plugins/a.php.bak", '<?php // secret' );
	put( "$site/main/wp-content/plugins/a.phtml", '<?php // secret' );
	put( "$site/main/wp-content/plugins/a.PHP", '<?php // secret' );
	put( "$site/main/wp-content/plugins/a.inc", '<?php // secret' );
	put( "$site/marketing/style.css", 'body { color: blue }' );
	put( "$site/secret.txt", 'secret' );
	symlink( "$site/secret.txt", "$site/main/link.txt" );
	symlink( $site, "$site/main/up" );
	return $site;
}

/**
 * The tests that every server passes.
 *
 * @param string $where  What it is called.
 * @param bool   $by_fpm Whether it is `forkpress serve`.
 */
function tests_of( string $where, bool $by_fpm ): void {
	$site   = make_branches( $by_fpm );
	$server = server_of( $by_fpm, $site, 3 );

	test(
		"$where: a host names its branch, and the answer names it too",
		function () use ( $server ) {
			$hosts = array(
				'wp.localhost'                        => array( 'main', 'red' ),
				"WP.LOCALHOST.:$server->port"         => array( 'main', 'red' ),
				'127.0.0.1'                           => array( 'main', 'red' ),
				"[::1]:$server->port"                 => array( 'main', 'red' ),
				'main.wp.localhost'                   => array( 'main', 'red' ),
				"Marketing.wp.localhost:$server->port" => array( 'marketing', 'blue' ),
			);
			foreach ( $hosts as $host => list( $branch, $colour ) ) {
				$response = $server->request( '/style.css', array( 'Host' => $host ) );
				same( 200, $response->status, $host );
				same( $branch, $response->headers['x-forkpress-branch'] ?? null, $host );
				same( "body { color: $colour }", $response->body, $host );
			}
		}
	);

	test(
		"$where: an unknown branch is not found, and any other host is misdirected",
		function () use ( $server ) {
			foreach ( array( 'nothing', 'www', 'forkpress' ) as $label ) {
				$response = $server->request( '/', array( 'Host' => "$label.wp.localhost" ) );
				same( 404, $response->status, $label );
				same( "Branch not found: $label\n", $response->body, $label );
			}
			$hosts = array( 'evil.example', 'a.b.wp.localhost', 'user@wp.localhost', 'wp.localhost@evil.example', '[::2]', '10.0.0.1', 'wp.localhost:x', str_repeat( 'a', 300 ) . '.wp.localhost', '..', '.wp.localhost', 'wp.localhost.evil.example' );
			foreach ( $hosts as $host ) {
				same( 421, $server->request( '/style.css', array( 'Host' => $host ) )->status, $host );
			}
			same( 421, Response::read( $server->send( "GET / HTTP/1.0\r\n\r\n" ) )->status, 'no host' );
			$two = Response::read( $server->send( "GET /style.css HTTP/1.1\r\nHost: evil.example\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n" ) );
			holds( 200 !== $two->status || 'main' === $two->headers['x-forkpress-branch'], 'two hosts are not two meanings' );
		}
	);

	test(
		"$where: no path leads out of the branch or to what is hidden",
		function () use ( $server ) {
			$paths = array(
				'/../secret.txt', '/wp-admin/../../secret.txt', '/%2e%2e/secret.txt', '/.%2e/secret.txt', '/..%2fsecret.txt',
				'/wp-admin/..%2f..%2fsecret.txt', '/..%5csecret.txt', '/..\\secret.txt', '/%252e%252e/secret.txt',
				'/%c0%ae%c0%ae/secret.txt', '/style.css%00.php', '/%00', '//../secret.txt', '/./../secret.txt', '/link.txt',
				'/up/secret.txt', '/up/marketing/style.css', '/.git/config', '/%2egit/config', '/wp-content/database/.ht.sqlite',
				'/WP-Content/Database/.ht.sqlite', '/wp-content/database/', '/wp-content/plugins/a.php.bak',
				'/wp-content/plugins/a.phtml', '/wp-content/plugins/a.PHP', '/wp-content/plugins/a.inc',
				'/wp-content/plugins/a.inc/', '/wp-content/plugins/a.inc/x.php', '/.forkpress/cow/operations.lock',
				'http://wp.localhost/../secret.txt', 'http://evil.example/.git/config', '/%', '/a%zz',
			);
			foreach ( $paths as $path ) {
				$response = $server->request( $path );
				holds( ! str_contains( $response->body, 'secret' ) || str_starts_with( $response->body, 'front controller' ), "$path is not sent" );
				holds( ! str_contains( $response->body, 'blue' ), "$path leads to no other branch" );
				holds( in_array( $response->status, array( 200, 400, 404 ), true ), "$path is answered, with $response->status" );
				holds( 200 !== $response->status || str_starts_with( $response->body, 'front controller' ), "$path sends nothing but the front controller" );
			}
		}
	);

	test(
		"$where: an upload is what its last ending says, and no source is sent whatever its name",
		function () use ( $server, $site ) {
			$uploads = 'wp-content/uploads/2026/11';
			$sent    = array(
				"$uploads/Intro.to.PHP.pdf"    => 'application/pdf',
				"$uploads/meeting.log_.pdf"    => 'application/pdf',
				"$uploads/plan.tmp.docx"       => 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
				"$uploads/site.sql.zip"        => 'application/zip',
				"$uploads/wp-config.png"       => 'image/png',
				"$uploads/notes.php_.txt"      => 'text/plain; charset=utf-8',
				"$uploads/evil.php.jpg"        => 'image/jpeg',
				'wp-content/themes/t/main.cjs' => 'text/javascript; charset=utf-8',
			);
			foreach ( $sent as $path => $type ) {
				put( "$site/main/$path", '<?php echo "run";' );
				$response = $server->request( "/$path" );
				same( array( 200, $type, '<?php echo "run";' ), array( $response->status, $response->headers['content-type'] ?? null, $response->body ), $path );
			}
			$refused = array( "$uploads/x.php.bak", "$uploads/x.php.txt", "$uploads/x.php~", "$uploads/wp-config.php.save", "$uploads/.x.php.swp", "$uploads/debug.log", "$uploads/site.sql", 'site.sql.zip', 'x.php.zip', 'wp-content/uploads/backups/site.sql.gz', 'wp-config.txt' );
			foreach ( $refused as $path ) {
				put( "$site/main/$path", '<?php // secret' );
				$response = $server->request( "/$path" );
				same( 404, $response->status, $path );
				holds( ! str_contains( $response->body, 'secret' ), $path );
			}
		}
	);

	test(
		"$where: an encoded slash or backslash is for WordPress to answer, and leads to no file",
		function () use ( $server ) {
			foreach ( array( '/search/and%2For/', '/search/a%5Cb/', '/%2Fstyle.css', '/wp-includes%2Fa.js', '/site.git%2Finfo/refs' ) as $uri ) {
				$response = $server->request( $uri );
				same( array( 200, "front controller $uri" ), array( $response->status, $response->body ), $uri );
			}
			foreach ( array( '/.git%2Fconfig', '/wp-content%2Fdatabase%5C.ht.sqlite' ) as $uri ) {
				same( 404, $server->request( $uri )->status, $uri );
			}
			foreach ( array( '/a%2F..%2Fstyle.css', '/a%5C..', '/a%2F%00' ) as $uri ) {
				same( 400, $server->request( $uri )->status, $uri );
			}
		}
	);

	test(
		"$where: a symlink leads out of a branch where the settings of the site name the folder",
		function () use ( $by_fpm, $site ) {
			$own     = temp_dir();
			$outside = temp_dir();
			put( "$own/main/index.php", '<?php echo "front controller";' );
			make_site_of( $own );
			$settings = file_get_contents( "$own/.forkpress/site.toml" );
			put( "$own/.forkpress/site.toml", "{$settings}links = [\"$outside/themes\"]\n" );
			put( "$outside/themes/mine/style.css", 'body { color: green }' );
			put( "$outside/themes/mine/ajax.php", '<?php echo "ajax ", $_SERVER["SCRIPT_NAME"];' );
			put( "$outside/themes/mine/.env", 'secret' );
			put( "$outside/other/style.css", 'secret' );
			mkdir( "$own/main/wp-content/themes", 0755, true );
			symlink( "$outside/themes/mine", "$own/main/wp-content/themes/mine" );
			symlink( "$outside/other", "$own/main/wp-content/themes/other" );
			$server = server_of( $by_fpm, $own );
			$themes = '/wp-content/themes';
			same( 'body { color: green }', $server->request( "$themes/mine/style.css" )->body, 'the style sheet' );
			same( "ajax $themes/mine/ajax.php", $server->request( "$themes/mine/ajax.php" )->body, 'the script' );
			same( 404, $server->request( "$themes/mine/.env" )->status, 'a dot file' );
			same( 404, $server->request( "$themes/other/style.css" )->status, 'a folder that is not named' );
			put( "$own/.forkpress/site.toml", $settings );
			same( 404, $server->request( "$themes/mine/style.css" )->status, 'no link' );
			$server->stop();
		}
	);

	test(
		"$where: a folder without its slash is redirected on the same host, with its query",
		function () use ( $server ) {
			foreach ( array( '/wp-admin?a=b', '//wp-admin?a=b' ) as $path ) {
				$response = $server->request( $path );
				same( 301, $response->status, $path );
				same( '/wp-admin/?a=b', $response->headers['location'], $path );
			}
		}
	);

	test(
		"$where: PHP sees the request as if the server had called its script, and nothing of the router",
		function () use ( $server, $site ) {
			$seen = json_decode( $server->request( '/server.php/a%20b/?x=%2F..' )->body, true );
			$root = realpath( "$site/main" );
			foreach ( array(
				'SCRIPT_NAME'     => '/server.php',
				'SCRIPT_FILENAME' => "$root/server.php",
				'PHP_SELF'        => '/server.php/a b/',
				'PATH_INFO'       => '/a b/',
				'DOCUMENT_ROOT'   => $root,
				'REQUEST_URI'     => '/server.php/a%20b/?x=%2F..',
				'QUERY_STRING'    => 'x=%2F..',
				'SERVER_NAME'     => 'wp.localhost',
			) as $name => $value ) {
				same( $value, $seen['server'][ $name ] ?? null, $name );
			}
			same( $root, $seen['cwd'], 'current folder' );
			same( 'main', $seen['branch'], 'branch' );
			same( true, $seen['lock']['held'], 'lock' );
			$own = array( '_GET', '_POST', '_COOKIE', '_FILES', '_SERVER', '_ENV', '_REQUEST', 'argv', 'argc', 'GLOBALS' );
			same( array( 'wp_filter' ), array_values( array_diff( $seen['globals'], $own ) ), 'globals' );
			same( "dashboard $root/wp-admin", $server->request( '/wp-admin/' )->body, '/wp-admin/' );
			same( 'front controller /hello-world/?a', $server->request( '/hello-world/?a' )->body, 'a permalink' );
			same( 'front controller /missing.png', $server->request( '/missing.png' )->body, 'a missing picture' );
		}
	);

	test(
		"$where: a file is sent whole, in part, or not again",
		function () use ( $server, $site ) {
			$bytes = file_get_contents( "$site/main/big.bin" );
			$whole = $server->request( '/big.bin' );
			same( 200, $whole->status );
			holds( $bytes === $whole->body, 'the whole file arrives' );
			same( '3000001', $whole->headers['content-length'] );
			same( 'application/octet-stream', $whole->headers['content-type'] );
			same( 'no-cache', $whole->headers['cache-control'] );
			same( 'nosniff', $whole->headers['x-content-type-options'] );
			$part = $server->request( '/big.bin', array( 'Range' => 'bytes=2999990-' ) );
			same( array( 206, 'bytes 2999990-3000000/3000001', substr( $bytes, -11 ) ), array( $part->status, $part->headers['content-range'], $part->body ) );
			same( 416, $server->request( '/big.bin', array( 'Range' => 'bytes=3000001-' ) )->status );
			foreach ( array( 'If-None-Match' => 'etag', 'If-Modified-Since' => 'last-modified' ) as $condition => $validator ) {
				$again = $server->request( '/big.bin', array( $condition => $whole->headers[ $validator ] ) );
				same( array( 304, '', null ), array( $again->status, $again->body, $again->headers['content-type'] ?? null ), $condition );
			}
			$head = $server->request( '/big.bin', array(), 'HEAD' );
			same( array( 200, '3000001', '' ), array( $head->status, $head->headers['content-length'], $head->body ), 'HEAD' );
			$post = $server->request( '/style.css', array(), 'POST', 'a=b' );
			same( array( 405, 'GET, HEAD' ), array( $post->status, $post->headers['allow'] ), 'POST' );
			same( 'text/css; charset=utf-8', $server->request( '/style.css' )->headers['content-type'] );
			same( 'public, max-age=86400', $server->request( '/wp-includes/a.js?ver=6.8' )->headers['cache-control'] );
			same( 'no-cache', $server->request( '/wp-includes/a.js' )->headers['cache-control'] );
		}
	);

	test(
		"$where: an edit shows at once, even one of the same size in the same second",
		function () use ( $server, $site ) {
			put( "$site/main/edit.css", 'one' );
			$etag = $server->request( '/edit.css' )->headers['etag'];
			put( "$site/main/edit.css", 'two' );
			touch( "$site/main/edit.css", filemtime( "$site/main/edit.css" ) );
			$again = $server->request( '/edit.css', array( 'If-None-Match' => $etag ) );
			same( array( 200, 'two' ), array( $again->status, $again->body ) );
		}
	);

	test(
		"$where: a file larger than the memory limit is sent, and a buffer of the settings does not hold it",
		function () use ( $by_fpm, $site ) {
			$file = fopen( "$site/main/large.bin", 'w' );
			ftruncate( $file, 64 << 20 );
			foreach ( array( 'output_buffering=On', 'zlib.output_compression=On' ) as $buffer ) {
				$small = server_of( $by_fpm, $site, 1, array( 'memory_limit=16M', $buffer ) );
				$large = $small->request( '/large.bin', array( 'Accept-Encoding' => 'gzip' ) );
				same( array( 200, 64 << 20, null ), array( $large->status, strlen( $large->body ), $large->headers['content-encoding'] ?? null ), $buffer );
				$small->stop();
			}
			unlink( "$site/main/large.bin" );
		}
	);

	test(
		"$where: a client that hangs up in the middle of a file leaves the worker free of it and of the lock",
		function () use ( $by_fpm, $site ) {
			$one        = server_of( $by_fpm, $site );
			$connection = $one->open( '/big.bin' );
			fread( $connection, 1000 );
			fclose( $connection );
			same( 200, $one->request( '/style.css' )->status, 'the next request' );
			$lock = fopen( "$site/.forkpress/cow/operations.lock", 're' );
			eventually( fn () => flock( $lock, LOCK_EX | LOCK_NB ), 'the lock is free' );
			fclose( $lock );
			$one->stop();
		}
	);

	test(
		"$where: in a site, a folder without a record is no branch",
		function () use ( $by_fpm ) {
			$site = temp_dir();
			make_site_of( $site );
			put( "$site/main/index.php", '<?php' );
			put( "$site/main/a.txt", 'a' );
			put( "$site/left-over/a.txt", 'a' );
			$server = server_of( $by_fpm, $site );
			same( 200, $server->request( '/a.txt' )->status );
			$response = $server->request( '/a.txt', array( 'Host' => 'left-over.wp.localhost' ) );
			same( array( 404, "Branch not found: left-over\n" ), array( $response->status, $response->body ) );
			$server->stop();
		}
	);

	test(
		"$where: another root host is served, and the usual one is not then",
		function () use ( $by_fpm ) {
			$site = make_branches( $by_fpm );
			if ( $by_fpm ) {
				put( "$site/.forkpress/site.toml", str_replace( 'wp.localhost', 'shop.test', file_get_contents( "$site/.forkpress/site.toml" ) ) );
			}
			$server = server_of( $by_fpm, $site, 1, array(), array( 'FORKPRESS_ROOT_HOST' => 'shop.test' ) );
			same( 200, $server->request( '/style.css', array( 'Host' => 'marketing.shop.test' ) )->status );
			same( 421, $server->request( '/style.css', array( 'Host' => 'wp.localhost' ) )->status );
			$server->stop();
		}
	);

	test(
		"$where: a request behind a stuck writer is told who it is and when to come again",
		function () use ( $by_fpm, $site ) {
			$server = server_of( $by_fpm, $site, 1, array( 'branchfs.lock_timeout=0' ) );
			$lock   = fopen( "$site/.forkpress/cow/operations.lock", 'ce' );
			eventually( static fn () => flock( $lock, LOCK_EX | LOCK_NB ), 'the lock is free' );
			// The setting is PHP's: who asks `forkpress serve` for a file waits for half a minute.
			foreach ( $by_fpm ? array( '/index.php' ) : array( '/style.css', '/index.php' ) as $path ) {
				$response = $server->request( $path );
				same( 503, $response->status, $path );
				same( '5', $response->headers['retry-after'] ?? null, $path );
				holds( str_contains( $response->body, (string) getmypid() ), "the holder's id is in: $response->body" );
			}
			fclose( $lock );
			same( 200, $server->request( '/style.css' )->status );
			$server->stop();
		}
	);
}

foreach ( SERVERS as $where => $by_fpm ) {
	tests_of( $where, $by_fpm );
}

test(
	'a path that the server itself would have split is not split',
	function () {
		$site = make_branches( false );
		put( "$site/paths/index.php", '<?php echo json_encode( array( $_SERVER["SCRIPT_NAME"], $_SERVER["PATH_INFO"] ?? null ) );' );
		$server = new Server( ROUTER, array( 'FORKPRESS_BRANCHES_DIR' => $site ), array(), false, "$site/paths" );
		$seen   = $server->request( '/a/permalink', array( 'Host' => 'paths.wp.localhost' ) )->body;
		same( array( '/index.php', null ), json_decode( $seen, true ) );
		$server->stop();
	}
);

test(
	'without the extension, the router says how to load it',
	function () {
		$server   = new Server( ROUTER, array( 'FORKPRESS_BRANCHES_DIR' => make_branches( false ) ), array(), true );
		$response = $server->request( '/style.css' );
		same( 500, $response->status );
		holds( str_contains( $response->body, '-d extension=' ), $response->body );
		$server->stop();
	}
);

test(
	'without a folder of branches, the router says what to set',
	function () {
		foreach ( array( null, '/nowhere' ) as $dir ) {
			$server   = new Server( ROUTER, array( 'FORKPRESS_BRANCHES_DIR' => $dir ) );
			$response = $server->request( '/style.css' );
			same( 500, $response->status );
			holds( str_contains( $response->body, 'FORKPRESS_BRANCHES_DIR' ), $response->body );
			$server->stop();
		}
	}
);
