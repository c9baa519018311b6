<?php
/**
 * Four people save posts on `main` while merges into it are published: nothing that was acknowledged is lost or doubled.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_merge_traffic.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/load.php';
require __DIR__ . '/person.php';

/** How many merges there are. */
const MERGES = 6;

/** How long requests may be kept out by a merge, in seconds. It takes hundredths: this tells a copy of a database from none. */
const LONGEST_HOLD = 2;

/** The exit status of a merge into a branch that is written to so much that it never gets its turn. */
const BUSY = 75;

$site = new Site();
$site->serve( 5 );
$site->done( 'branch', 'create', 's' );
$person = new Person( $site, 's' );
$main   = new Person( $site, 'main' );
$load   = new Load( $site );

/**
 * Merges the branch into main, and tries again while main is busy.
 *
 * @return array What is printed as JSON.
 */
$merge = static function () use ( $site ): array {
	for ( $attempt = 1; ; $attempt++ ) {
		$outcome = $site->run( '--json', 'branch', 'merge', 's', '--into', 'main' );
		if ( BUSY !== $outcome->status || 10 === $attempt ) {
			same( 0, $outcome->status, "merge: {$outcome->text()}: exit status" );
			return json_decode( $outcome->out, true, 512, JSON_THROW_ON_ERROR );
		}
	}
};

test(
	'every post that was acknowledged on main is there once, and so is every one that came home, and no request failed',
	function () use ( $site, $person, $main, $load, $merge ) {
		$came = array();
		for ( $number = 1; $number <= MERGES; $number++ ) {
			$load->goes_on();
			$before = array_keys( $load->saved );
			$came[] = $person->publish( 'post', array( 'title' => "Home $number", 'content' => "Came home: $number", 'categories' => array( $person->category( "Home $number" ) ) ) );
			put( "$site->dir/s/wp-content/home-$number.txt", "$number" );
			// Each of the two has a field of its own of one post.
			$person->edit( 1, array( 'title' => "Title $number" ) );
			$main->edit( 1, array( 'content' => "Content $number" ) );
			$said = $merge();
			holds( $said['held_seconds'] > 0 && $said['held_seconds'] < LONGEST_HOLD, "requests were kept out for {$said['held_seconds']} s" );
			$load->read();
			is_a_state_of_main( $load, array_keys( posts( $site, 'main' ) ), $before );
			same( (string) $number, file_get_contents( "$site->dir/main/wp-content/home-$number.txt" ), 'the file' );
		}
		$load->goes_on();
		$load->finish();
		same( array(), $load->failed, 'requests that failed' );
		same( array(), array_values( array_diff( array_keys( $load->saved ), array_keys( sound( $site, 'main' ) ) ) ), 'posts that were acknowledged and are not there' );
		$found = ask_wordpress( $site, 'main', 'return array_map( static fn ( $id ) => array( get_the_title( $id ), wp_get_post_categories( $id, array( "fields" => "names" ) ) ), $given );', $came );
		same( array_map( static fn ( $number ) => array( "Home $number", array( "Home $number" ) ), range( 1, MERGES ) ), $found, 'what came home' );
		$homes = $site->database( 'main' )->query( "SELECT count(*) FROM wp_posts WHERE post_title LIKE 'Home %' AND post_type = 'post'" )->fetchColumn();
		same( MERGES, (int) $homes, 'posts that came home' );
		$post = ask_wordpress( $site, 'main', 'return array( get_post( 1 )->post_title, get_post( 1 )->post_content );' );
		same( array( 'Title ' . MERGES, 'Content ' . MERGES ), $post, 'the post of which each had a field' );
		$counts = ask_wordpress( $site, 'main', '$one = get_term( 1 )->count; wp_update_term_count_now( array( 1 ), "category" ); clean_term_cache( 1 ); return array( $one, get_term( 1 )->count );' );
		same( $counts[1], $counts[0], 'the number of posts without a category' );
		printf( "%d posts\n", count( $load->saved ) );
	}
);

test(
	'what came home a while ago does not come again, and what was written meanwhile goes the other way',
	function () use ( $site, $load ) {
		$site->done( 'branch', 'merge', 'main', '--into', 's' );
		same( array(), array_values( array_diff( array_keys( $load->saved ), array_keys( posts( $site, 's' ) ) ) ), 'posts of main that s has not' );
		$said = $site->json( 'branch', 'merge', 's', '--into', 'main' );
		same( array( null, 0 ), array( $said['operation'], $said['rows'] ), 'operation and rows of another merge' );
	}
);

test(
	'nobody complained',
	function () use ( $site ) {
		$site->has_no_complaints();
	}
);
