<?php
/**
 * A blueprint of WordPress Playground is run on a new tree before anybody sees it.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_blueprints.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

$site = new Site();

/**
 * Writes a blueprint, and returns its file.
 *
 * @param array[] $steps Its steps.
 */
function blueprint( array $steps ): string {
	$dir = temp_dir();
	put( "$dir/tiny/tiny.php", "<?php\n/* Plugin Name: Tiny */\nadd_action( 'init', fn () => define( 'TINY', 1 ) );\n" );
	$zip = new \ZipArchive();
	$zip->open( "$dir/tiny.zip", \ZipArchive::CREATE );
	$zip->addFile( "$dir/tiny/tiny.php", 'tiny/tiny.php' );
	$zip->close();
	put( "$dir/shop.json", json_encode( array( 'steps' => $steps ), JSON_THROW_ON_ERROR ) );
	return "$dir/shop.json";
}

/** The steps of a blueprint that works. */
const STEPS = array(
	array(
		'step'    => 'setSiteOptions',
		'options' => array( 'blogname' => 'From a blueprint' ),
	),
	array(
		'step' => 'runPHP',
		'code' => "<?php require '/wordpress/wp-load.php'; wp_insert_post( array( 'post_title' => 'At ' . home_url(), 'post_status' => 'publish' ) );",
	),
	array(
		'step' => 'writeFile',
		'path' => '/wordpress/wp-content/hello.txt',
		'data' => 'hello',
	),
	array(
		'step'       => 'installPlugin',
		'pluginData' => array(
			'resource' => 'bundled',
			'path'     => './tiny.zip',
		),
		'options'    => array( 'activate' => false ),
	),
	array(
		'step'       => 'activatePlugin',
		'pluginPath' => 'tiny/tiny.php',
	),
	array(
		'step'    => 'wp-cli',
		'command' => "wp option update blogdescription 'by WP-CLI'",
	),
);

test(
	'a branch has what its blueprint makes, at its own address, and its source has none of it',
	function () use ( $site ) {
		$site->done( 'branch', 'create', 'shop', '--blueprint', blueprint( STEPS ) );
		$get = static fn ( string ...$words ): string => trim( $site->done( 'wp', 'shop', '--', ...$words ) );
		same( 'From a blueprint', $get( 'option', 'get', 'blogname' ) );
		same( 'by WP-CLI', $get( 'option', 'get', 'blogdescription' ) );
		same( '1', $get( 'eval', 'echo TINY;' ) );
		holds( str_contains( $get( 'post', 'list', '--field=post_title' ), 'At http://' . $site->host( 'shop' ) ), 'the post names the address' );
		same( 'hello', file_get_contents( "$site->dir/shop/wp-content/hello.txt" ) );
		holds( ! file_exists( "$site->dir/shop/wp-content/plugins/sqlite-database-integration" ), 'no link stays' );
		holds( ! file_exists( "$site->dir/main/wp-content/hello.txt" ), 'main has no file' );
		same( 'ForkPress', trim( $site->done( 'wp', 'main', '--', 'option', 'get', 'blogname' ) ) );
	}
);

test(
	'the log names the blueprint, a diff shows what it made, and an undo takes the branch back',
	function () use ( $site ) {
		holds( str_contains( $site->done( 'log' ), 'create shop from main with blueprint shop.json' ), 'log' );
		$diff = $site->done( 'branch', 'diff', 'shop' );
		holds( str_contains( $diff, 'A wp-content/hello.txt' ) && str_contains( $diff, '~ option blogname: "ForkPress" -> "From a blueprint"' ), $diff );
		$site->done( 'undo' );
		holds( ! file_exists( "$site->dir/shop" ), 'it is gone' );
	}
);

test(
	'a blueprint that fails leaves no branch, and what failed is told',
	function () use ( $site ) {
		$bad     = array( ...STEPS, array( 'step' => 'runPHP', 'code' => "<?php throw new Exception( 'no such luck' );" ) );
		$outcome = $site->run( 'branch', 'create', 'bad', '--blueprint', blueprint( $bad ) );
		same( 1, $outcome->status, $outcome->text() );
		holds( str_contains( $outcome->errors, "forkpress: the blueprint failed\ncaused by: " ) && str_contains( $outcome->errors, 'no such luck' ), $outcome->text() );
		holds( ! file_exists( "$site->dir/bad" ), 'there is no folder' );
		same( array( 'main' ), array_column( $site->json( 'branch', 'list' ), 'name' ) );
		same( array( '.', '..' ), scandir( "$site->dir/.forkpress/cow/staging" ) );
		$site->done( 'branch', 'create', 'bad', '--blueprint', blueprint( STEPS ) );
		$site->done( 'branch', 'delete', 'bad' );
	}
);

test(
	'nobody sees the branch while the blueprint runs, and requests of main go on',
	function () use ( $site ) {
		$site->serve( 2 );
		posix_mkfifo( "$site->dir/pipe", 0600 );
		$wait    = array( array( 'step' => 'runPHP', 'code' => "<?php touch( '$site->dir/begun' ); file_get_contents( '$site->dir/pipe' );" ) );
		$command = $site->command( array( 'branch', 'create', 'slow', '--blueprint', blueprint( array( ...$wait, STEPS[0] ) ) ) );
		eventually( static fn () => file_exists( "$site->dir/begun" ), 'it runs' );
		same( 404, ( new Browser( $site, 'slow' ) )->request( '/' )->status );
		same( 200, ( new Browser( $site, 'main' ) )->request( '/' )->status );
		same( 0, $site->run( 'branch', 'create', 'other' )->status );
		file_put_contents( "$site->dir/pipe", 'go' );
		same( 0, $command->outcome()->status );
		holds( str_contains( ( new Browser( $site, 'slow' ) )->request( '/' )->body, 'From a blueprint' ), 'then it is there' );
		unlink( "$site->dir/pipe" );
	}
);

test(
	'what is no blueprint is refused before anything is made',
	function () use ( $site ) {
		$file = temp_dir() . '/x.json';
		foreach ( array( '{"steps":[' => 'cannot read the blueprint', '[]' => 'no JSON object', '{"steps":[{"step":"dance"}]}' => 'the blueprint failed' ) as $text => $reason ) {
			put( $file, $text );
			$outcome = $site->run( 'branch', 'create', 'x', '--blueprint', $file );
			holds( 1 === $outcome->status && str_contains( $outcome->errors, $reason ), $outcome->text() );
		}
		same( 2, $site->run( 'branch', 'create', 'x', 'y', '--blueprint', blueprint( STEPS ) )->status );
	}
);

test(
	'a site is made with a blueprint, or not at all',
	function () {
		$init = static function ( array $steps ): array {
			$dir     = temp_dir();
			$command = new Command( array( program(), 'init', '--blueprint', blueprint( $steps ) ), $dir, array( 'FORKPRESS_STATE_DIR' => $dir . '-state', 'FORKPRESS_PHP' => PHP_BINARY, 'FORKPRESS_EXTENSION' => extension_path() ) );
			return array( $dir, $command->outcome() );
		};
		list( $dir, $outcome ) = $init( STEPS );
		same( 0, $outcome->status, $outcome->text() );
		same( 'hello', file_get_contents( "$dir/main/wp-content/hello.txt" ) );
		list( $dir, $outcome ) = $init( array( array( 'step' => 'runPHP', 'code' => '<?php exit( 3 );' ) ) );
		same( 1, $outcome->status, $outcome->text() );
		same( array( '.', '..' ), scandir( $dir ) );
	}
);
