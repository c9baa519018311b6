<?php
/**
 * No click, no program and no broken update takes a branch's database driver away for longer than a request.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_driver.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

/** The driver as a plugin. */
const DRIVER = 'sqlite-database-integration/load.php';

/** A plugin with nearly the driver's name, which is none of ours. */
const NAMESAKE = 'sqlite-database-integration-tools/load.php';

$given = (string) getenv( 'FORKPRESS_TEST_WORDPRESS' );
$given = '' !== $given ? $given : ROOT . '/target/wordpress';
if ( ! is_dir( "$given/wp-content/mu-plugins/sqlite-database-integration" ) ) {
	fwrite( STDERR, "no WordPress with its SQLite driver as a must-use plugin in $given: scripts/fetch-wordpress.sh fetches one\n" );
	exit( 2 );
}

// A tree as other tools lay it out, with the driver among the plugins and a path that leads nowhere in its drop-in.
$tree    = temp_dir() . '/plain';
$copying = new Process( array( 'cp', '-R', $given, $tree ) );
same( 0, $copying->wait(), 'copying WordPress: ' . $copying->output() );
rename( "$tree/wp-content/mu-plugins/sqlite-database-integration", "$tree/wp-content/plugins/sqlite-database-integration" );
$drop_in = str_replace(
	array( '{SQLITE_IMPLEMENTATION_FOLDER_PATH}', '{SQLITE_PLUGIN}' ),
	array( '/srv/elsewhere/wp-content/plugins/sqlite-database-integration', DRIVER ),
	file_get_contents( "$tree/wp-content/plugins/sqlite-database-integration/db.copy" )
);
put( "$tree/wp-content/db.php", $drop_in );
put( "$tree/wp-content/plugins/" . NAMESAKE, "<?php // Plugin Name: Tools\nadd_action( 'init', static fn () => header( 'X-Tools: on' ) );" );

$new = new Site();
putenv( "FORKPRESS_TEST_WORDPRESS=$tree" );
$old = new Site();
putenv( 'FORKPRESS_TEST_WORDPRESS' . ( '' !== $given ? "=$given" : '' ) );
$new->serve( 2 );
$old->serve( 2 );

/**
 * Fails unless a branch's front page and dashboard are served.
 *
 * @param Site   $site   The site.
 * @param string $branch The branch.
 */
$works = static function ( Site $site, string $branch = 'main' ): void {
	$browser = new Browser( $site, $branch );
	same( array( 200, 200 ), array( $browser->request( '/' )->status, $browser->request( '/wp-admin/' )->status ), 'front page and dashboard' );
	holds( is_file( "$site->dir/$branch/wp-content/db.php" ), 'the drop-in is there' );
};

/**
 * Runs PHP code in WordPress, in a request to the main branch, and returns what it returns.
 *
 * @param Site   $site The site.
 * @param string $code The code.
 */
$run = static function ( Site $site, string $code ): mixed {
	static $number = 0;
	$name          = 'run-' . ++$number . '.php';
	$includes      = 'require __DIR__ . "/wp-load.php"; foreach ( array( "file", "plugin", "misc" ) as $f ) { require_once ABSPATH . "wp-admin/includes/$f.php"; }';
	put( "$site->dir/main/$name", "<?php $includes\necho json_encode( ( static function () { $code } )() );" );
	$response = ( new Browser( $site, 'main' ) )->request( "/$name" );
	unlink( "$site->dir/main/$name" );
	return json_decode( $response->body, true ) ?? "$response->status $response->body";
};

/**
 * Returns the address of a link in the list of plugins.
 *
 * @param string $page   The list.
 * @param string $action What the link does.
 * @param string $plugin The plugin.
 */
$link = static function ( string $page, string $action, string $plugin ): ?string {
	$pattern = '~href="(plugins\.php\?action=' . $action . '&amp;plugin=' . preg_quote( rawurlencode( $plugin ), '~' ) . '[^"]*)"~';
	return preg_match( $pattern, $page, $match ) ? '/wp-admin/' . html_entity_decode( $match[1] ) : null;
};

/**
 * Does something with plugins at once, as the list of plugins does.
 *
 * @param Browser $browser The browser.
 * @param string  $action  What.
 * @param string  ...$plugins With which.
 */
$bulk = static function ( Browser $browser, string $action, string ...$plugins ): void {
	$page = $browser->request( '/wp-admin/plugins.php' )->body;
	holds( 1 === preg_match( '~name="_wpnonce" value="([0-9a-f]+)"~', $page, $nonce ), 'the list of plugins has a form' );
	$fields = array( 'action' => $action, 'checked' => $plugins, '_wpnonce' => $nonce[1], 'verify-delete' => '1' );
	$browser->request( '/wp-admin/plugins.php', 'POST', http_build_query( $fields ), array( 'Content-Type' => 'application/x-www-form-urlencoded' ) );
};

test(
	'a new site has its driver where no plugin can be deactivated, and the dashboard knows that there is no MySQL',
	function () use ( $new, $works, $run, $bulk ) {
		$works( $new );
		holds( ! is_dir( "$new->dir/main/wp-content/plugins/sqlite-database-integration" ), 'it is none of the plugins' );
		holds( ! str_contains( (string) file_get_contents( "$new->dir/main/wp-content/db.php" ), $new->dir ), 'no path is in the drop-in' );
		$bulk( new Browser( $new, 'main' ), 'deactivate-selected', 'akismet/akismet.php', DRIVER );
		$works( $new );
		$seen = $run( $new, 'require_once ABSPATH . "wp-admin/includes/class-wp-debug-data.php"; require_once ABSPATH . "wp-admin/includes/update.php"; return WP_Debug_Data::debug_data()["wp-database"]["fields"]["db_engine"]["value"] ?? null;' );
		same( 'SQLite', $seen, 'the database in Site Health' );
	}
);

test(
	'an imported drop-in loads the driver of its own branch',
	function () use ( $old, $works, $run ) {
		$works( $old );
		$text = (string) file_get_contents( "$old->dir/main/wp-content/db.php" );
		holds( ! str_contains( $text, '/srv/elsewhere' ) && str_contains( $text, "__DIR__ . '/plugins/sqlite-database-integration'" ), "it has no path: $text" );
		$file = $run( $old, 'return ( new ReflectionClass( "WP_SQLite_DB" ) )->getFileName();' );
		holds( str_starts_with( $file, "$old->dir/main/" ), "the driver is the branch's: $file" );
	}
);

test(
	'in the dashboard, the driver is not to be deactivated or deleted, and other plugins are',
	function () use ( $old, $works, $run, $link, $bulk ) {
		same( true, $run( $old, 'return null === activate_plugin( "' . NAMESAKE . '" );' ), 'activating the namesake' );
		$browser = new Browser( $old, 'main' );
		$browser->request( '/wp-admin/' );
		$page = $browser->request( '/wp-admin/plugins.php' )->body;
		same( array( null, null ), array( $link( $page, 'deactivate', DRIVER ), $link( $page, 'delete-selected', DRIVER ) ), 'links of the driver' );
		holds( str_contains( $page, 'Required: it holds this site' ), 'the list says why' );
		holds( null !== $link( $page, 'deactivate', NAMESAKE ), 'the namesake has a link' );
		$may = $run( $old, 'wp_set_current_user( 1 ); return array_map( static fn ( $plugin ) => current_user_can( "deactivate_plugin", $plugin ), array( "' . DRIVER . '", "' . NAMESAKE . '" ) );' );
		same( array( false, true ), $may, 'an administrator may deactivate the driver, and the namesake' );
		$bulk( $browser, 'deactivate-selected', DRIVER, NAMESAKE );
		$works( $old );
		same( array( DRIVER ), $run( $old, 'return array_values( get_option( "active_plugins" ) );' ), 'active plugins' );
		same( null, $browser->request( '/' )->headers['x-tools'] ?? null, 'the namesake is off' );
		$bulk( $browser, 'delete-selected', DRIVER, NAMESAKE );
		$works( $old );
		holds( is_file( "$old->dir/main/wp-content/plugins/" . DRIVER ), 'the driver is there' );
		holds( ! is_file( "$old->dir/main/wp-content/plugins/" . NAMESAKE ), 'the namesake is gone' );
	}
);

test(
	'the REST API deactivates and deletes the driver no more than the dashboard does',
	function () use ( $old, $works ) {
		$browser = new Browser( $old, 'main' );
		$browser->rest( 'POST', '/wp/v2/plugins/sqlite-database-integration/load', array( 'status' => 'inactive' ), 403 );
		$works( $old );
		$browser->rest( 'DELETE', '/wp/v2/plugins/sqlite-database-integration/load', array(), 400 );
		$works( $old );
	}
);

test(
	'PHP code neither deactivates nor deletes the driver',
	function () use ( $old, $works, $run ) {
		$each = array(
			'deactivate_plugins( "' . DRIVER . '" );',
			'deactivate_plugins( array( "akismet/akismet.php", "' . DRIVER . '" ), true );',
			'update_option( "active_plugins", array() );',
			'delete_option( "active_plugins" );',
			'do_action( "deactivate_plugin", "' . DRIVER . '", false ); do_action( "deactivate_' . DRIVER . '", false );',
			'delete_plugins( array( "' . DRIVER . '" ) );',
		);
		foreach ( $each as $code ) {
			$run( $old, "require_once ABSPATH . 'wp-admin/includes/plugin.php'; $code return 1;" );
			holds( is_file( "$old->dir/main/wp-content/db.php" ), "$code: the drop-in is still there" );
			holds( is_file( "$old->dir/main/wp-content/plugins/" . DRIVER ), "$code: the driver is still there" );
			holds( $run( $old, 'return is_plugin_active( "' . DRIVER . '" );' ), "$code: the driver is active" );
			$works( $old );
		}
	}
);

test(
	'a branch that lost its drop-in, its driver or a part of it has it again at the next request',
	function () use ( $new, $old, $works ) {
		foreach ( array( array( $new, 'mu-plugins' ), array( $old, 'plugins' ) ) as list( $site, $place ) ) {
			$content = "$site->dir/main/wp-content";
			$driver  = "$content/$place/sqlite-database-integration";
			unlink( "$content/db.php" );
			$works( $site );
			// A request dies of these; the next does not.
			foreach ( array( 'wp-includes/database/load.php', 'constants.php', 'wp-includes/sqlite/class-wp-sqlite-db.php' ) as $file ) {
				$text = file_get_contents( "$driver/$file" );
				unlink( "$driver/$file" );
				( new Browser( $site, 'main' ) )->request( '/' );
				same( $text, @file_get_contents( "$driver/$file" ), "$place: $file" );
				$works( $site );
				put( "$driver/$file", substr( $text, 0, (int) ( strlen( $text ) * 0.7 ) ) . '{{{' );
				touch( "$driver/$file", time() - 60 );
				( new Browser( $site, 'main' ) )->request( '/' );
				same( $text, @file_get_contents( "$driver/$file" ), "$place: $file, cut short" );
				$works( $site );
			}
			remove( $driver );
			$works( $site );
			remove( "$content/db.php" );
			remove( "$content/mu-plugins/sqlite-database-integration" );
			$works( $site );
			holds( is_file( "$content/mu-plugins/" . DRIVER ), "$place: it comes back as a must-use plugin" );
		}
	}
);

test(
	'an update of the driver that is killed half-way leaves a site that works',
	function () use ( $old, $works, $run ) {
		$content = "$old->dir/main/wp-content";
		// As WordPress leaves it where it was killed after it moved the old version out of the way.
		rename( "$content/mu-plugins/sqlite-database-integration", "$content/plugins/sqlite-database-integration" );
		mkdir( "$content/upgrade-temp-backup/plugins", 0755, true );
		rename( "$content/plugins/sqlite-database-integration", "$content/upgrade-temp-backup/plugins/sqlite-database-integration" );
		$works( $old );
		holds( is_file( "$content/plugins/" . DRIVER ), 'the driver is back where it was' );
		remove( "$content/upgrade-temp-backup" );

		$archive = new \ZipArchive();
		$archive->open( "$old->dir/main/driver.zip", \ZipArchive::CREATE );
		$files = new \RecursiveIteratorIterator( new \RecursiveDirectoryIterator( "$content/plugins/sqlite-database-integration", \FilesystemIterator::SKIP_DOTS ) );
		foreach ( $files as $file ) {
			$archive->addFile( $file->getPathname(), substr( $file->getPathname(), strlen( "$content/plugins/" ) ) );
		}
		$archive->close();
		$update = 'foreach ( array( "class-wp-upgrader", "class-automatic-upgrader-skin" ) as $f ) { require_once ABSPATH . "wp-admin/includes/$f.php"; }
			$offer = array( "response" => array( "' . DRIVER . '" => (object) array( "package" => ABSPATH . "driver.zip", "slug" => "x", "plugin" => "' . DRIVER . '", "new_version" => "9" ) ) );
			add_filter( "pre_site_transient_update_plugins", static fn () => (object) $offer );
			return ( new Plugin_Upgrader( new Automatic_Upgrader_Skin() ) )->upgrade( "' . DRIVER . '", array( "clear_update_cache" => false ) );';
		same( true, $run( $old, $update ), 'the update' );
		$works( $old );
		holds( $run( $old, 'return is_plugin_active( "' . DRIVER . '" );' ), 'the driver is active' );
	}
);

test(
	'what a command deletes in a branch is there again when the command ends',
	function () use ( $new, $works ) {
		$new->done( 'branch', 'create', 'cli' );
		$new->done( 'exec', 'cli', '--', 'rm', '-r', 'wp-content/db.php', 'wp-content/mu-plugins/sqlite-database-integration' );
		holds( is_file( "$new->dir/cli/wp-content/db.php" ) && is_file( "$new->dir/cli/wp-content/mu-plugins/" . DRIVER ), 'both are there' );
		$works( $new, 'cli' );
	}
);
