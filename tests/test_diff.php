<?php
/**
 * What a branch changed is shown by objects, in words of WordPress.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_diff.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/merging.php';

$merging = new Merging();
$site    = $merging->site;

/**
 * Fails unless a text has a line.
 *
 * @param string $pattern The line, as a pattern.
 * @param string $text    The text.
 */
function has_line( string $pattern, string $text ): void {
	holds( 1 === preg_match( "#^\\s*$pattern\\s*$#m", $text ), "there is a line like $pattern: $text" );
}

test(
	'a branch that was only visited has changed nothing, and --all shows what visits wrote',
	function () use ( $merging, $site ) {
		list( , $person ) = $merging->part( 's' );
		$person->visit();
		holds( str_contains( $site->done( 'branch', 'diff', 's' ), 'nothing changed since' ), 'it says so' );
		$merging->ask( 's', 'set_transient( "weather", "sunny", 3600 ); update_post_meta( 1, "_edit_lock", "1:1" );' );
		$all = $site->done( 'branch', 'diff', 's', '--all' );
		holds( ! str_contains( $all, 'nothing changed since' ), "--all: $all" );
		foreach ( array( '\+ option _transient_weather', '~ post 1 "Hello world!": meta: ~ _edit_lock', '\+ post \d+ "Auto Draft"', '\d+ objects changed' ) as $line ) {
			has_line( $line, $all );
		}
	}
);

test(
	'added, changed and removed objects have a line each, with what changed in them',
	function () use ( $merging, $site ) {
		list( , $person ) = $merging->part( 's' );
		$page             = $person->publish( 'page', array( 'title' => 'About us' ) );
		$person->edit( 1, array( 'title' => 'Hello you' ) );
		$person->activate( 'akismet/akismet.php' );
		$person->settings( array( 'blogdescription' => 'Of s' ) );
		$person->add_user( 'anna', 'editor' );
		$person->remove( 2, true, 'page' );
		$diff = $site->done( 'branch', 'diff', 's' );
		has_line( "\\+ page $page \"About us\"", $diff );
		has_line( '~ post 1 "[^"]*": .*title.*', $diff );
		has_line( '~ option active_plugins: \+ akismet/akismet\.php', $diff );
		has_line( '~ option blogdescription.*', $diff );
		has_line( '\+ user \d+ anna.*', $diff );
		has_line( '- page 2 "Sample Page"', $diff );
		holds( ! str_contains( $diff, 'session_tokens' ), 'no secret of a session' );
	}
);

test(
	'files have their names, and with --patch their lines',
	function () use ( $merging, $site ) {
		$merging->part( 's' );
		put( "$site->dir/s/wp-content/new.txt", "one\ntwo\n" );
		unlink( "$site->dir/s/readme.html" );
		$index = "$site->dir/s/index.php";
		put( $index, file_get_contents( $index ) . "// The end.\n" );
		$diff = $site->done( 'branch', 'diff', 's' );
		foreach ( array( 'wp-content/new.txt', 'readme.html', 'index.php' ) as $name ) {
			holds( str_contains( $diff, $name ), "$name is in $diff" );
		}
		$patch = $site->done( 'branch', 'diff', 's', '--patch' );
		has_line( '\+// The end\.', $patch );
		has_line( '\+two', $patch );
		holds( ! str_contains( $diff, 'The end' ), 'without --patch no lines' );
	}
);

test(
	'--stat has a line for files, for content and for tables, with how much changed',
	function () use ( $merging, $site ) {
		$merging->part( 's' );
		put( "$site->dir/s/wp-content/new.txt", "one\ntwo\n" );
		$index = "$site->dir/s/index.php";
		put( $index, file_get_contents( $index ) . "// The end.\n" );
		$code = 'wp_update_post( array( "ID" => 1, "post_title" => "Hello you" ) );
			wp_insert_post( array( "post_title" => "About us", "post_type" => "page", "post_status" => "publish" ) );
			wp_delete_post( 2, true );
			update_option( "blogdescription", "Of s" );
			global $wpdb;
			$wpdb->query( "CREATE TABLE wp_gadgets (id bigint(20) NOT NULL AUTO_INCREMENT, word text, PRIMARY KEY (id))" );
			foreach ( array( "x", "y", "z" ) as $word ) {
				$wpdb->insert( "wp_gadgets", array( "word" => $word ) );
			}';
		$merging->ask( 's', $code );
		$stat = $site->done( 'branch', 'diff', 's', '--stat' );
		$right = "files     + 1 file   ~ 1 file   +3\n"
			. "content   + 1 page   ~ 1 option, 1 post   - 1 page\n"
			. "tables    + 1 table   3 rows added\n";
		same( $right, preg_replace( '/^left out  \d+ rows? that page views write\n/m', '', $stat, -1, $count ), 'the lines' );
		same( 1, $count, "lines of what is left out: $stat" );
	}
);

test(
	'a diff is JSON with --json, can be of one file or table, and goes to any branch',
	function () use ( $merging, $site ) {
		list( $main, $person ) = $merging->part( 's', 't' );
		$person->edit( 1, array( 'title' => 'Hello you' ) );
		put( "$site->dir/s/wp-content/new.txt", 'new' );
		holds( is_array( $site->json( 'branch', 'diff', 's' ) ), 'it is JSON' );
		$file = $site->done( 'branch', 'diff', 's', '--', 'wp-content/new.txt' );
		holds( str_contains( $file, 'new.txt' ) && ! str_contains( $file, 'post 1' ), "of a file: $file" );
		$table = $site->done( 'branch', 'diff', 's', '--', 'wp_posts' );
		holds( ! str_contains( $table, 'new.txt' ) && str_contains( $table, 'post 1' ), "of a table: $table" );
		$main->publish( 'page', array( 'title' => 'Of main' ) );
		$to_t = $site->done( 'branch', 'diff', 's', 't' );
		holds( str_contains( $to_t, 'post 1' ) && ! str_contains( $to_t, 'Of main' ), "to another branch: $to_t" );
		$based = $site->done( 'branch', 'diff', 's', '--base', 'main' );
		holds( str_contains( $based, 'Of main' ), "against main as it is: $based" );
	}
);

test(
	'secrets are not shown',
	function () use ( $merging, $site ) {
		list( , $person ) = $merging->part( 's' );
		$password         = $person->add_user( 'anna', 'editor' );
		$merging->ask( 's', 'update_option( "shop_api_key", "very-secret-value" ); update_option( "mailserver_pass", "hush-hush" );' );
		$hash = $site->database( 's' )->query( "SELECT user_pass FROM wp_users WHERE user_login = 'anna'" )->fetchColumn();
		foreach ( array( array(), array( '--patch' ), array( '--json' ), array( '--json', '--patch' ), array( '--all', '--patch' ) ) as $options ) {
			$diff = $site->done( 'branch', 'diff', 's', ...$options );
			foreach ( array( $password, $hash, 'very-secret-value', 'hush-hush' ) as $secret ) {
				holds( ! str_contains( $diff, $secret ), "$secret is not in the diff with " . implode( ' ', $options ) );
			}
			holds( str_contains( $diff, 'anna' ), 'the user is' );
		}
	}
);

test(
	'requests are served while a diff is made, and a diff is made while a request runs',
	function () use ( $merging, $site ) {
		list( , $person ) = $merging->part( 's' );
		for ( $number = 1; $number <= 5; $number++ ) {
			$diff = $site->command( array( 'branch', 'diff', 's' ) );
			$person->publish( 'post', array( 'title' => "While $number" ) );
			$outcome = $diff->outcome();
			same( 0, $outcome->status, $outcome->text() );
		}
		put( "$site->dir/s/slow.php", '<?php touch( __DIR__ . "/runs" ); while ( ! file_exists( __DIR__ . "/go" ) ) { usleep( 2000 ); clearstatcache(); } echo "done";' );
		$slow = $site->open( '/slow.php', array( 'Host' => $site->host( 's' ) ) );
		eventually( static fn () => file_exists( "$site->dir/s/runs" ), 'the request runs' );
		$diff = $site->done( 'branch', 'diff', 's' );
		foreach ( range( 1, 5 ) as $number ) {
			has_line( "\\+ post \\d+ \"While $number\".*", $diff );
		}
		has_line( 'A runs.*', $diff );
		put( "$site->dir/s/go", '' );
		same( 'done', Response::read( $slow )->body, 'the request ends after the diff' );
	}
);
