<?php
/**
 * A real WordPress whose code, on one branch, works on the files of another through branchfs://, with WordPress's own functions,
 * behind `forkpress serve`.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_branchfs_wordpress.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';
require __DIR__ . '/served.php';

/** A page of main that does what the tests ask for, and tells what came of it. */
const PAGE = <<<'PHP'
<?php
require __DIR__ . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/plugin.php';
require_once ABSPATH . 'wp-admin/includes/file.php';
require_once ABSPATH . 'wp-admin/includes/class-wp-filesystem-base.php';
require_once ABSPATH . 'wp-admin/includes/class-wp-filesystem-direct.php';
const FS_CHMOD_DIR  = 0755;
const FS_CHMOD_FILE = 0644;
// What WordPress silences counts too.
$warnings = array();
set_error_handler( static function ( $level, $message ) use ( &$warnings ) { $warnings[] = $message; return true; } );
$wp_filesystem = new WP_Filesystem_Direct( null );
$answer        = require __DIR__ . "/{$_GET['do']}.inc";
echo wp_json_encode( array( $answer, $warnings ) );
PHP;

/** Edits a plugin of the branch workshop. */
const EDIT = <<<'PHP'
<?php
$plugin = 'branchfs://workshop/wp-content/plugins/greeting/greeting.php';
$before = get_plugin_data( $plugin )['Version'];
$source = str_replace( array( 'Version: 1.0', 'Hello from main' ), array( 'Version: 2.0', 'Hello, edited from main' ), $wp_filesystem->get_contents( $plugin ) );
$done   = array( wp_is_writable( $plugin ), $wp_filesystem->put_contents( $plugin, $source, FS_CHMOD_FILE ) );
return array( $before, $done, get_plugin_data( $plugin )['Version'], branchfs_get_branch() );
PHP;

/** Copies, lists, moves and deletes a theme, from main to workshop. */
const THEME = <<<'PHP'
<?php
$from  = 'branchfs://main/wp-content/themes/' . get_stylesheet();
$to    = 'branchfs://workshop/wp-content/themes/copied';
$count = static fn( $dir ) => count( list_files( $dir ) );
$plain = count( list_files( get_stylesheet_directory() ) );
$tell  = array( wp_mkdir_p( "$to/deeper" ), $wp_filesystem->rmdir( "$to/deeper" ), true === copy_dir( $from, $to ), $count( $from ) === $plain, $count( $to ) === $plain, $plain > 20 );
// WordPress adds the folder to the name of a copy of a theme of its own.
$theme = new WP_Theme( 'copied', 'branchfs://workshop/wp-content/themes' );
$tell  = array_merge( $tell, array( $theme->exists(), str_starts_with( $theme->get( 'Name' ), wp_get_theme()->get( 'Name' ) ) ) );
$list  = $wp_filesystem->dirlist( $to, true, true );
$tell  = array_merge( $tell, array( 'f' === $list['style.css']['type'], $wp_filesystem->move( "$to/style.css", "$to/moved.css", true ), $wp_filesystem->exists( "$to/moved.css" ) ) );
$tell  = array_merge( $tell, array( true === move_dir( $to, 'branchfs://main/wp-content/themes/back', true ), $count( 'branchfs://main/wp-content/themes/back' ) === $plain ) );
return array_merge( $tell, array( $wp_filesystem->delete( 'branchfs://main/wp-content/themes/back', true ), ! $wp_filesystem->exists( 'branchfs://main/wp-content/themes/back' ), ! is_dir( get_theme_root() . '/back' ) ) );
PHP;

/** A plugin with a visible effect. */
const PLUGIN = "<?php\n/* Plugin Name: Greeting\n * Version: 1.0 */\nadd_action( 'wp_footer', static function () {\n\techo '<p>Hello from main</p>';\n} );\n";

$site = new Site();
foreach ( array( 'do.php' => PAGE, 'edit.inc' => EDIT, 'theme.inc' => THEME, 'wp-content/plugins/greeting/greeting.php' => PLUGIN ) as $file => $content ) {
	put( "$site->dir/main/$file", $content );
}
$activate = new Process( array( ...php( array( '-r', 'require "wp-load.php"; require_once ABSPATH . "wp-admin/includes/plugin.php"; exit( null === activate_plugin( "greeting/greeting.php" ) ? 0 : 3 );' ) ) ), array( 'HTTP_HOST' => 'wp.localhost' ), "$site->dir/main" );
same( 0, $activate->wait(), 'activating the plugin: ' . $activate->output() );
$site->done( 'branch', 'create', 'workshop' );
$ini    = array( 'branchfs.write=any', 'opcache.validate_timestamps=1', 'opcache.revalidate_freq=0' );
$server = new Served( $site->dir, 2, $ini, array( 'FORKPRESS_AUTO_LOGIN' => '0' ) );
$page   = static fn( string $branch, string $target = '/' ): string => $server->request( $target, array( 'Host' => ( 'main' === $branch ? '' : "$branch." ) . "wp.localhost:$server->port" ) )->body;

test(
	'code of one branch edits a plugin of another, and only that one changes, at once',
	function () use ( $page, $site ) {
		foreach ( array( 'main', 'workshop' ) as $branch ) {
			holds( str_contains( $page( $branch ), 'Hello from main' ), "$branch greets" );
		}
		same( array( array( '1.0', array( true, true ), '2.0', 'main' ), array() ), json_decode( $page( 'main', '/do.php?do=edit' ), true ), 'what the page tells' );
		holds( str_contains( $page( 'workshop' ), 'Hello, edited from main' ), 'workshop greets anew' );
		holds( str_contains( $page( 'main' ), 'Hello from main' ), 'main greets as before' );
		same( PLUGIN, file_get_contents( "$site->dir/main/wp-content/plugins/greeting/greeting.php" ), "main's plugin" );
	}
);

test(
	'a theme is copied, looked at, moved and deleted across branches with WordPress\'s own functions',
	function () use ( $page, $site ) {
		list( $told, $warnings ) = json_decode( $page( 'main', '/do.php?do=theme' ), true );
		same( array_fill( 0, 16, true ), $told, 'what the page tells, with ' . implode( "\n", $warnings ) );
		holds( ! file_exists( "$site->dir/workshop/wp-content/themes/copied" ), 'nothing is left behind' );
	}
);

test(
	'a program in forkpress exec has its own branch, and branches where they are served',
	function () use ( $site ) {
		$code = 'file_put_contents( "branchfs://./made.txt", "by exec" ); echo json_encode( array( branchfs_path( "branchfs://./made.txt" ), @file_put_contents( "branchfs://main/made.txt", "x" ), array_column( branchfs_branches(), "url", "name" ) ) );';
		$told = json_decode( $site->done( 'exec', 'workshop', '--', ...php( array( '-r', $code ) ) ), true );
		$urls = array(
			'main'     => "http://wp.localhost:$site->port/",
			'workshop' => "http://workshop.wp.localhost:$site->port/",
		);
		same( array( "$site->dir/workshop/made.txt", false, $urls ), $told, 'what the program tells' );
	}
);
