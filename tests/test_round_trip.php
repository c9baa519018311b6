<?php
/**
 * A WordPress on MySQL comes in, is the same on a branch, goes out, and is the same on MySQL again: one site, and a network.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_round_trip.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';
require __DIR__ . '/mariadb.php';

/** What is written into the WordPress, as its owner would. $here is its address. */
const CONTENT = <<<'PHP'
	update_option( 'permalink_structure', '/%postname%/' );
	$media = wp_upload_bits( 'a "b" é.png', null, base64_decode( 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==' ) );
	$image = wp_insert_attachment( array( 'post_mime_type' => 'image/png', 'post_title' => 'Picture' ), $media['file'] );
	$post  = wp_insert_post( array( 'post_title' => '🎉 Party', 'post_name' => 'party', 'post_status' => 'publish', 'post_content' => "<!-- wp:image {\"url\":\"{$media['url']}\"} --><img src=\"{$media['url']}\" /><!-- /wp:image --> It's \\\\ <a href=\"$here/about/\">日本</a> me@example.com" ) );
	set_post_thumbnail( $post, $image );
	wp_set_post_terms( $post, array( 'Größe', "it's" ), 'post_tag' );
	$about = wp_insert_post( array( 'post_title' => 'About', 'post_name' => 'about', 'post_type' => 'page', 'post_status' => 'publish', 'post_content' => "[of_plugin] <a href=\"$here/party/\">party</a>" ) );
	wp_insert_comment( array( 'comment_post_ID' => $post, 'comment_content' => "Nice 😀, it's \"good\"", 'comment_author' => 'É', 'comment_approved' => 1 ) );
	$menu = wp_create_nav_menu( 'Main' );
	wp_update_nav_menu_item( $menu, 0, array( 'menu-item-title' => 'About', 'menu-item-object-id' => $about, 'menu-item-object' => 'page', 'menu-item-type' => 'post_type', 'menu-item-status' => 'publish' ) );
	update_option( 'widget_text', array( 2 => array( 'title' => 'é', 'text' => "<a href=\"$here/x\">" ), '_multiwidget' => 1 ) );
	update_option( 'blogdescription', "It's a résumé 🎉" );
	update_option( 'active_plugins', array( 'of-plugin/of-plugin.php' ) );
	of_plugin_install();
	update_option( 'rewrite_rules', '' );
PHP;

/** A plugin with a table and a shortcode of its own. The driver knows no zeros at the end of a decimal number. */
const PLUGIN = <<<'PHP'
<?php
/* Plugin Name: Of plugin */
function of_plugin_install() {
	global $wpdb;
	$wpdb->query( "CREATE TABLE {$wpdb->prefix}of_plugin (id bigint(20) unsigned NOT NULL AUTO_INCREMENT, made datetime NOT NULL DEFAULT '0000-00-00 00:00:00', price decimal(10,2) DEFAULT '1.50', raw varbinary(20) DEFAULT NULL, said text, PRIMARY KEY (id), KEY said (said(20)))" );
	$wpdb->query( "INSERT INTO {$wpdb->prefix}of_plugin (price, raw, said) VALUES (12.75, x'00ff27', 'first \\\\ \\'é\\''), (NULL, x'', '')" );
}
add_shortcode( 'of_plugin', static function () {
	global $wpdb;
	return esc_html( wp_json_encode( $wpdb->get_results( "SELECT id, made, price, HEX(raw) AS raw, said FROM {$wpdb->prefix}of_plugin ORDER BY id" ) ) );
} );
PHP;

$maria = new MariaDB();

/**
 * Runs a command to its end and returns what it says.
 *
 * @param string[] $command The program and its arguments.
 * @param string   $cwd     The folder it runs in.
 */
$ran = static function ( array $command, string $cwd ): string {
	$process = new Process( $command, array(), $cwd );
	same( 0, $process->wait(), implode( ' ', $command ) . ': ' . $process->output() );
	return $process->output();
};

/**
 * Serves a WordPress on MySQL with PHP's own server.
 *
 * @param string $folder The folder.
 * @param int    $port   The port.
 */
$serve = static function ( string $folder, int $port ): void {
	$router = temp_dir() . '/router.php';
	put( $router, '<?php $path = rawurldecode( parse_url( $_SERVER["REQUEST_URI"], PHP_URL_PATH ) ); $file = $_SERVER["DOCUMENT_ROOT"] . $path; if ( is_file( $file ) ) { return false; } $_SERVER["SCRIPT_NAME"] = $_SERVER["PHP_SELF"] = "/index.php"; chdir( $_SERVER["DOCUMENT_ROOT"] ); require $_SERVER["DOCUMENT_ROOT"] . "/index.php";' );
	$server = new Process( array( PHP_BINARY, '-d', 'display_errors=0', '-S', "127.0.0.1:$port", '-t', $folder, $router ), array( 'PHP_CLI_SERVER_WORKERS' => '2' ) );
	eventually( static fn () => ! $server->runs() || @fsockopen( '127.0.0.1', $port ), 'the server answers' );
	holds( $server->runs(), 'the server runs: ' . $server->output() );
};

/**
 * Makes a WordPress on MySQL with contents, and returns its folder.
 *
 * @param string $database   Its database.
 * @param int    $port       The port that it is served at.
 * @param bool   $is_network Whether it is a network of two sites.
 */
$make = static function ( string $database, int $port, bool $is_network ) use ( $maria, $ran ): string {
	$given  = getenv( 'FORKPRESS_TEST_WORDPRESS' );
	$folder = temp_dir() . '/www';
	$ran( array( 'cp', '-R', $given ? $given : ROOT . '/target/wordpress', $folder ), '/' );
	foreach ( array( 'db.php', 'database', 'mu-plugins' ) as $name ) {
		remove( "$folder/wp-content/$name" );
	}
	put( "$folder/wp-content/plugins/of-plugin/of-plugin.php", PLUGIN );
	put( "$folder/wp-content/themes/child/style.css", "/*\nTheme Name: Child\nTemplate: twentytwentyfive\n*/" );
	$maria->create( $database );
	$config = "<?php\ndefine( 'DB_NAME', '$database' );\ndefine( 'DB_USER', 'root' );\ndefine( 'DB_PASSWORD', '' );\ndefine( 'DB_HOST', 'localhost:$maria->socket' );\ndefine( 'DB_CHARSET', 'utf8mb4' );\ndefine( 'DB_COLLATE', '' );\ndefine( 'DISABLE_WP_CRON', true );\ndefine( 'WP_HTTP_BLOCK_EXTERNAL', true );\n/* constants */\n\$table_prefix = 'shop_';\nif ( ! defined( 'ABSPATH' ) ) {\n\tdefine( 'ABSPATH', __DIR__ . '/' );\n}\nrequire_once ABSPATH . 'wp-settings.php';\n";
	put( "$folder/wp-config.php", $config );
	$here   = "http://127.0.0.1:$port";
	$script = static function ( string $code, string $at = '/' ) use ( $ran, $folder, $port, $here ): string {
		$server = var_export( array( 'HTTP_HOST' => "127.0.0.1:$port", 'SERVER_NAME' => '127.0.0.1', 'REQUEST_URI' => $at, 'REQUEST_METHOD' => 'GET', 'REMOTE_ADDR' => '127.0.0.1' ), true );
		put( "$folder/../run.php", "<?php \$_SERVER = $server + \$_SERVER; \$here = '$here' . rtrim( '$at', '/' ); $code" );
		return $ran( array( PHP_BINARY, '-d', 'display_errors=stderr', '-d', 'sendmail_path=/bin/true', "$folder/../run.php" ), $folder );
	};
	$load = 'require "wp-load.php"; require_once ABSPATH . "wp-admin/includes/admin.php"; require_once ABSPATH . "wp-admin/includes/upgrade.php"; ';
	$script( "define( 'WP_INSTALLING', true ); $load wp_install( 'Shop', 'admin', 'admin@example.com', true, '', 'secret' ); update_option( 'siteurl', \$here ); update_option( 'home', \$here ); switch_theme( 'child' );" );
	$code = "$load require_once WP_PLUGIN_DIR . '/of-plugin/of-plugin.php'; " . CONTENT;
	if ( $is_network ) {
		// A network's address has no port, unless it is made so.
		$script( "define( 'WP_INSTALLING_NETWORK', true ); $load require_once ABSPATH . 'wp-admin/includes/network.php'; global \$wpdb; foreach ( \$wpdb->tables( 'ms_global' ) as \$name => \$table ) { \$wpdb->\$name = \$table; } install_network(); populate_network( 1, '127.0.0.1:$port', 'admin@example.com', 'Net', '/', false );" );
		$constants = "define( 'MULTISITE', true );\ndefine( 'SUBDOMAIN_INSTALL', false );\ndefine( 'DOMAIN_CURRENT_SITE', '127.0.0.1:$port' );\ndefine( 'PATH_CURRENT_SITE', '/' );\ndefine( 'SITE_ID_CURRENT_SITE', 1 );\ndefine( 'BLOG_ID_CURRENT_SITE', 1 );\n";
		put( "$folder/wp-config.php", str_replace( "/* constants */\n", $constants, $config ) );
		same( '2', $script( "$load update_site_option( 'allowedthemes', array( 'child' => true ) ); \$id = wp_insert_site( array( 'domain' => '127.0.0.1:$port', 'path' => '/two/', 'title' => 'The second', 'user_id' => 1 ) ); echo is_wp_error( \$id ) ? \$id->get_error_message() : \$id;" ), 'the second site' );
		$script( $code, '/two/' );
	}
	$script( $code );
	return $folder;
};

/**
 * Returns a page without what differs each time: its address, nonces, and guids, which stay as they were made.
 *
 * @param string $body What was answered.
 * @param string $host The host and port.
 */
$masked = static function ( string $body, string $host ): string {
	$body = str_replace( array( $host, rawurlencode( $host ) ), 'HOST', $body );
	return preg_replace( array( '~_wpnonce=[0-9a-f]+|"nonce":"[0-9a-f]+"|"guid":\{.*?\}|<guid.*?</guid>~', '~<lastBuildDate>.*?</lastBuildDate>~' ), '', $body );
};

/**
 * Returns pages by their paths.
 *
 * @param string[] $paths The paths.
 * @param int      $port  The port.
 * @param string   $host  The host and port that is asked for.
 * @return string[]
 */
$pages = static function ( array $paths, int $port, string $host ) use ( $masked ): array {
	$pages = array();
	foreach ( $paths as $path ) {
		$context        = stream_context_create( array( 'http' => array( 'header' => "Host: $host", 'ignore_errors' => true, 'follow_location' => 0, 'timeout' => PATIENCE ) ) );
		$body           = (string) file_get_contents( "http://127.0.0.1:$port$path", false, $context );
		$pages[ $path ] = $http_response_header[0] . "\n" . $masked( $body, $host );
	}
	return $pages;
};

/**
 * Fails unless pages are the same.
 *
 * @param string[] $right What is right.
 * @param string[] $found What there is.
 * @param string   $where Where.
 */
$same_pages = static function ( array $right, array $found, string $where ): void {
	foreach ( $right as $path => $page ) {
		list( $one, $other ) = array( explode( "\n", $page ), explode( "\n", $found[ $path ] ) );
		same( array_slice( array_diff( $one, $other ), 0, 3 ), array_slice( array_diff( $other, $one ), 0, 3 ), "lines of $path $where" );
		same( $page, $found[ $path ], "$path $where" );
	}
};

/**
 * Returns all rows of WordPress's tables in a branch, but for what each visit writes.
 *
 * @param Site   $site   The site.
 * @param string $branch The branch.
 * @return string[]
 */
$rows = static function ( Site $site, string $branch ): array {
	$database = $site->database( $branch );
	$rows     = array();
	foreach ( $database->query( "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'shop\\_%' ESCAPE '\\' ORDER BY name" )->fetchAll( \PDO::FETCH_COLUMN ) as $table ) {
		foreach ( $database->query( "SELECT * FROM $table" )->fetchAll( \PDO::FETCH_ASSOC ) as $row ) {
			if ( ! preg_match( '/transient|^cron$|^recovery_keys$/', (string) ( $row['option_name'] ?? $row['meta_key'] ?? '' ) ) ) {
				$rows[] = "$table " . serialize( $row );
			}
		}
	}
	sort( $rows );
	return $rows;
};

foreach ( array( 'one site' => false, 'a network of sites' => true ) as $what => $is_network ) {
	test(
		"$what goes from MySQL into ForkPress and back, and is the same",
		function () use ( $is_network, $maria, $ran, $serve, $make, $pages, $same_pages, $rows ) {
			$name   = $is_network ? 'net' : 'shop';
			$port   = free_port();
			$folder = $make( $name, $port, $is_network );
			$serve( $folder, $port );
			$paths = array( '/', '/party/', '/about/', '/hello-world/', '/nowhere/', '/wp-json/wp/v2/posts', '/?s=party', '/feed/', '/tag/its/', '/wp-content/themes/child/style.css' );
			if ( $is_network ) {
				array_push( $paths, '/two/', '/two/party/', '/two/about/', '/two/wp-json/wp/v2/posts' );
			}
			$right = $pages( $paths, $port, "127.0.0.1:$port" );
			$is_there = static fn ( string $path, string $text ) => holds( str_contains( $right[ $path ], $text ), "$path on MySQL has $text: " . strip_tags( strstr( $right[ $path ], '<body' ) ) );
			foreach ( $is_network ? array( '', '/two' ) : array( '' ) as $of ) {
				$is_there( "$of/party/", '🎉 Party' );
				$is_there( "$of/about/", '12.75' );
			}
			$ran( array( 'mariadb-dump', '--no-defaults', "--socket=$maria->socket", '--user=root', "--result-file=$folder/backup.sql", $name ), $folder );
			$ran( array( 'tar', '-czf', '../site.tar.gz', '.' ), $folder );

			$site = new Site( null, "$folder/../site.tar.gz" );
			$site->serve( 2 );
			$same_pages( $right, $pages( $paths, $site->port, $site->host( 'main' ) ), 'on the branch' );
			foreach ( glob( "$folder/wp-content/uploads/" . ( $is_network ? 'sites/2/' : '' ) . '*/*/*.png' ) as $file ) {
				same( md5_file( $file ), md5_file( "$site->dir/main/" . substr( $file, strlen( "$folder/" ) ) ), 'an upload' );
			}

			$there = free_port();
			$out   = temp_dir();
			$site->done( 'export', 'main', '--to', "$out/export", '--url', "http://127.0.0.1:$there" );
			$maria->load( "{$name}_again", "$out/export/database.sql" );
			$config = file_get_contents( "$out/export/wordpress/wp-config.php" );
			$filled = array( 'database_name_here' => "{$name}_again", 'username_here' => 'root', 'password_here' => '', "'localhost'" => "'localhost:$maria->socket'" );
			put( "$out/served/.keep", '' );
			$ran( array( 'cp', '-R', "$out/export/wordpress/.", "$out/served" ), $out );
			put( "$out/served/wp-config.php", str_replace( array_keys( $filled ), $filled, $config ) );
			$serve( "$out/served", $there );
			$same_pages( $right, $pages( $paths, $there, "127.0.0.1:$there" ), 'on MySQL again' );

			$site->done( 'export', 'main', '--to', "$out/plain" );
			$before = $rows( $site, 'main' );
			$site->done( 'import', "$out/plain", '--branch', 'again' );
			same( array(), array_slice( array_values( array_diff( $before, $rows( $site, 'again' ) ) ), 0, 3 ), 'rows that are missing' );
			same( count( $before ), count( $rows( $site, 'again' ) ), 'how many rows there are' );
			$same_pages( $right, $pages( $paths, $site->port, $site->host( 'again' ) ), 'on the second branch' );
			$site->has_no_complaints();
			$site->stop();
		}
	);
}
