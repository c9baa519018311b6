<?php
/**
 * No page is ever half of one version of a branch and half of another: two files and a row of the database carry one version
 * number, a page prints all three, and the branch is reset between two versions as fast as it goes. PHP's built-in server gives
 * the pages, and then `forkpress serve` with php-fpm.
 *
 * php -d "extension=$(pwd)/ext/branchfs.so" tests/test_torn_reads.php
 *
 * The binary is target/release/forkpress, or what FORKPRESS_BIN names.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/served.php';

const CLIENTS = 4;
const PAGES   = 5000;

/** A page that takes its time between the three. */
const PAGE = <<<'PHP'
<?php
$file = require __DIR__ . '/version.php';
usleep( 300 );
$text = file_get_contents( __DIR__ . '/wp-content/version.txt' );
usleep( 300 );
$database = new PDO( 'sqlite:' . __DIR__ . '/wp-content/database/.ht.sqlite' );
echo $file, ' ', $text, ' ', $database->query( 'SELECT version FROM versions' )->fetchColumn();
PHP;

/** A client: asks for the page again and again, and says how often it got what. */
const CLIENT = <<<'PHP'
<?php
[ , $port, $pages ] = $argv;
$answers            = array();
for ( $i = 0; $i < $pages; $i++ ) {
	$connection = stream_socket_client( "tcp://127.0.0.1:$port", $code, $message, 60 );
	fwrite( $connection, "GET /page.php HTTP/1.1\r\nHost: target.wp.localhost\r\nConnection: close\r\n\r\n" );
	$answer             = stream_get_contents( $connection );
	$body               = substr( strstr( $answer, "\r\n\r\n" ), 4 );
	$answers[ $body ] ??= 0;
	$answers[ $body ]++;
}
echo json_encode( $answers );
PHP;

foreach ( SERVERS as $where => $by_fpm ) {
	test(
		"$where: no page of " . PAGES . ' mixes two versions of a branch that is reset all the time',
		function () use ( $by_fpm ) {
			$dir      = temp_dir();
			$site     = "$dir/site";
			$forkpress = program();
			$run      = static function ( string ...$arguments ) use ( $forkpress, $site, $dir ): void {
				$env     = array(
					'FORKPRESS_STATE_DIR' => "$dir/state",
					'FORKPRESS_EXTENSION' => extension_path(),
				);
				$process = new Process( array( $forkpress, ...$arguments ), $env, $site );
				holds( 0 === $process->wait(), implode( ' ', $arguments ) . ' succeeds: ' . $process->output() );
			};
			$version = static function ( string $tree, string $version ): void {
				put( "$tree/version.php", "<?php return '$version';" );
				touch( "$tree/version.php", 1700000000 );
				put( "$tree/wp-content/version.txt", $version );
				$database = new \PDO( "sqlite:$tree/wp-content/database/.ht.sqlite" );
				$database->exec( 'PRAGMA journal_mode = WAL' );
				$database->exec( 'CREATE TABLE IF NOT EXISTS versions (version TEXT)' );
				$database->exec( 'DELETE FROM versions' );
				$database->exec( "INSERT INTO versions VALUES ('$version')" );
			};
			mkdir( $site );
			// The least that `init` takes for a WordPress that is installed.
			foreach ( array( 'wp-load.php', 'index.php', 'wp-config.php', 'wp-content/db.php' ) as $file ) {
				put( "$dir/wordpress/$file", '<?php' );
			}
			put( "$dir/wordpress/wp-includes/version.php", '<?php $wp_version = "6.8";' );
			put( "$dir/wordpress/page.php", PAGE );
			mkdir( "$dir/wordpress/wp-content/database" );
			$version( "$dir/wordpress", 'one' );
			$run( 'init', '--wordpress', "$dir/wordpress" );
			$run( 'branch', 'create', 'other' );
			$version( "$site/other", 'two' );
			$run( 'branch', 'create', 'target' );

			$server = server_of( $by_fpm, $site, CLIENTS, array( 'opcache.enable_cli=1' ) );
			put( "$dir/client.php", CLIENT );
			$clients = array();
			for ( $i = 0; $i < CLIENTS; $i++ ) {
				$clients[] = new Process( array( PHP_BINARY, "$dir/client.php", (string) $server->port, (string) ( PAGES / CLIENTS ) ) );
			}
			$resets = 0;
			while ( array_filter( $clients, static fn ( $client ) => $client->runs() ) ) {
				$run( 'branch', 'reset', 'target', '--from', $resets++ % 2 ? 'main' : 'other' );
			}
			$answers = array();
			foreach ( $clients as $client ) {
				foreach ( json_decode( $client->output(), true ) as $body => $times ) {
					$answers[ $body ] = ( $answers[ $body ] ?? 0 ) + $times;
				}
			}
			ksort( $answers );
			same( array( 'one one one', 'two two two' ), array_keys( $answers ), 'the pages: ' . json_encode( $answers ) );
			same( PAGES, array_sum( $answers ), 'how many pages' );
			holds( $resets > 10, "the branch was reset often: $resets times" );
		}
	);
}
