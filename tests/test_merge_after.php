<?php
/**
 * What WordPress believes of `main` after a merge is right: counts, ids, menus, pictures, the editor, addresses, events.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_merge_after.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/merging.php';

$merging               = new Merging();
$site                  = $merging->site;
list( $main, $person ) = $merging->part( 's' );
$made                  = array();
foreach ( array( array( $person, 's' ), array( $main, 'main' ) ) as list( $who, $name ) ) {
	$of       = $who->page_with_picture( "Trip of $name", "$name.png" );
	$category = $who->category( "Category of $name" );
	$child    = $who->rest( 'POST', '/wp/v2/categories', array( 'name' => "Child of $name", 'parent' => $category ), 201 )['id'];
	$post     = $who->publish( 'post', array( 'title' => "Post of $name", 'content' => "<!-- wp:paragraph --><p>Text of $name</p><!-- /wp:paragraph -->", 'categories' => array( $child, 1 ) ) );
	$who->edit( 1, array( 'categories' => array( 1, $category, $child ) ) );
	$who->comment( '/hello-world/', "Comment of $name" );
	$who->comment( "/post-of-$name/", "Another comment of $name" );
	$under         = $who->publish( 'page', array( 'title' => "Under of $name", 'parent' => $of['page'] ) );
	$made[ $name ] = $of + array(
		'post'  => $post,
		'under' => $under,
		'menu'  => $who->menu( "Menu of $name", array( 2, $of['page'], $under ) ),
	);
}
$person->activate( 'morning/morning.php' );
$person->activate( 'books/books.php' );
$book = $person->publish( 'book', array( 'title' => 'A book', 'content' => 'Once upon a time' ) );
$main->activate( 'evening/evening.php' );
$merging->merged( 's', 'main' );

test(
	'the counts of terms, comments and users are those that WordPress counts',
	function () use ( $merging ) {
		$found = $merging->ask(
			'main',
			'global $wpdb;
			$counts = static fn () => array(
				$wpdb->get_results( "SELECT term_taxonomy_id, count FROM $wpdb->term_taxonomy ORDER BY 1", ARRAY_N ),
				$wpdb->get_results( "SELECT ID, comment_count FROM $wpdb->posts ORDER BY 1", ARRAY_N ),
				(int) get_option( "user_count" ),
			);
			$before = $counts();
			foreach ( get_taxonomies() as $taxonomy ) {
				wp_update_term_count_now( get_terms( array( "taxonomy" => $taxonomy, "hide_empty" => false, "fields" => "tt_ids" ) ), $taxonomy );
			}
			array_map( "wp_update_comment_count_now", $wpdb->get_col( "SELECT ID FROM $wpdb->posts" ) );
			wp_update_user_counts();
			return array( $before, $counts() );'
		);
		// Without users made since, there is no count of them.
		$found[0][2] = 0 === $found[0][2] ? $found[1][2] : $found[0][2];
		same( $found[1], $found[0], 'counts' );
	}
);

test(
	'what is written next gets an id that nothing has, on either branch',
	function () use ( $merging ) {
		$write = 'global $wpdb;
			$before = array( $wpdb->get_col( "SELECT ID FROM $wpdb->posts" ), $wpdb->get_col( "SELECT term_id FROM $wpdb->terms" ), $wpdb->get_col( "SELECT comment_ID FROM $wpdb->comments" ), $wpdb->get_col( "SELECT ID FROM $wpdb->users" ) );
			$new    = array(
				wp_insert_post( array( "post_title" => "New", "post_status" => "publish" ) ), wp_insert_term( "New", "category" )["term_id"],
				wp_insert_comment( array( "comment_post_ID" => 1, "comment_content" => "New" ) ), wp_insert_user( array( "user_login" => "new-$given", "user_email" => "new-$given@example.test", "user_pass" => "new" ) ),
			);
			return array( $new, array_map( static fn ( $id, $ids ) => in_array( (string) $id, $ids, true ), $new, $before ), get_post( $new[0] )->post_title );';
		$new   = array();
		foreach ( array( 'main', 's' ) as $branch ) {
			list( $new[ $branch ], $was, $title ) = $merging->ask( $branch, $write, $branch );
			same( array( array( false, false, false, false ), 'New' ), array( $was, $title ), "whether the ids of $branch were taken, and the new post" );
		}
		foreach ( $new['main'] as $at => $id ) {
			holds( $id !== $new['s'][ $at ], "an id of main, $id, is none of s" );
		}
	}
);

test(
	'menus lead to their pages, and pictures and galleries to their files',
	function () use ( $merging, $main, &$made ) {
		foreach ( $made as $name => $of ) {
			$found = $merging->ask(
				'main',
				'return array(
					array_map( static fn ( $item ) => array( $item->title, (int) $item->object_id, parse_url( $item->url, PHP_URL_PATH ) ), wp_get_nav_menu_items( $given["menu"] ) ),
					get_post_thumbnail_id( $given["page"] ), get_post( $given["image"] )->post_title, (int) wp_get_nav_menu_object( $given["menu"] )->count,
					has_post_thumbnail( $given["page"] ), array_map( static fn ( $gallery ) => array_map( "wp_basename", $gallery["src"] ), get_post_galleries( $given["page"], false ) ),
				);',
				$of
			);
			$items = array(
				array( 'Sample Page', 2, '/sample-page/' ),
				array( "Trip of $name", $of['page'], "/trip-of-$name/" ),
				array( "Under of $name", $of['under'], "/trip-of-$name/under-of-$name/" ),
			);
			same( array( $items, $of['image'], $name, 3, true ), array_slice( $found, 0, 5 ), "what belongs to $name" );
			$in_galleries = array_merge( ...$found[5] );
			holds( array() !== $in_galleries, "a gallery of $name has pictures" );
			foreach ( $in_galleries as $file ) {
				holds( str_starts_with( $file, $name ), "$file is a picture of $name" );
			}
			$page = $main->open( "/trip-of-$name/" );
			preg_match_all( '~(?:src|href)="(http://[^"]+\.png)"~', $page, $pictures );
			holds( count( $pictures[1] ) >= 2, "the page shows pictures: $page" );
			foreach ( array_unique( $pictures[1] ) as $picture ) {
				same( 200, $main->browser->request( $picture )->status, "$picture is served" );
			}
		}
	}
);

test(
	'the block editor opens what came over, with its title and content',
	function () use ( $merging, $site, $main, &$made ) {
		foreach ( array( 's', 'main' ) as $name ) {
			same( array( "Post of $name", "<!-- wp:paragraph --><p>Text of $name</p><!-- /wp:paragraph -->" ), $main->in_editor( 'post', $made[ $name ]['post'] ), "the post of $name in the editor" );
			// Addresses of the branch that a text came from are those of main in what is shown.
			$stored = str_replace( $site->host( 's' ), $site->host( 'main' ), $merging->post( 'main', $made[ $name ]['page'], 'post_title', 'post_content' ) );
			same( $stored, $main->in_editor( 'page', $made[ $name ]['page'] ), "the page of $name in the editor" );
			$main->edit( $made[ $name ]['post'], array( 'title' => "Edited post of $name" ) );
			same( array( "Edited post of $name" ), $merging->post( 'main', $made[ $name ]['post'], 'post_title' ), 'what was edited there' );
		}
	}
);

test(
	'every address answers: posts, pages under pages, categories, and a type of posts whose plugin came over',
	function () use ( $merging, $main, $book ) {
		$texts = array( '/shelf/a-book/' => 'Once upon a time', '/shelf/' => 'A book' );
		foreach ( array( 's', 'main' ) as $name ) {
			$texts += array(
				"/post-of-$name/"                                  => "Text of $name",
				"/trip-of-$name/"                                  => "$name.png",
				"/trip-of-$name/under-of-$name/"                   => "Under of $name",
				"/category/category-of-$name/"                     => 'Hello world!',
				"/category/category-of-$name/child-of-$name/"      => "ost of $name",
				"/?s=trip+of+$name"                                => "Trip of $name",
			);
		}
		foreach ( $texts as $address => $text ) {
			holds( str_contains( $main->open( $address ), $text ), "$text is at $address" );
		}
		same( array( 'A book' ), $merging->post( 'main', $book, 'post_title' ), 'the book' );
	}
);

test(
	'an event of a plugin that came over runs when it is due, and is scheduled again',
	function () use ( $merging, $main ) {
		foreach ( array( 'morning', 'evening' ) as $plugin ) {
			$merging->ask(
				'main',
				'$crons = _get_cron_array(); $next = wp_next_scheduled( "{$given}_event", array( $given ) );
				$crons[ time() - 1 ]["{$given}_event"] = $crons[ $next ]["{$given}_event"]; unset( $crons[ $next ]["{$given}_event"] );
				ksort( $crons );
				_set_cron_array( array_filter( $crons ) );',
				$plugin
			);
			$main->open( '/wp-cron.php' );
			same( 1, $merging->ask( 'main', 'return (int) get_option( "{$given}_ran" );', $plugin ), "how often the event of $plugin ran" );
			holds( $merging->ask( 'main', 'return wp_next_scheduled( "{$given}_event", array( $given ) ) > time();', $plugin ), 'it will again' );
		}
	}
);

test(
	'another structure of addresses comes over, and every address answers by it',
	function () use ( $merging, $main, $person ) {
		$person->submit( '/wp-admin/options-permalink.php', array( 'selection' => '/archive/%post_id%/%postname%/', 'permalink_structure' => '/archive/%post_id%/%postname%/' ) );
		$merging->merged( 's', 'main' );
		holds( str_contains( $main->open( '/archive/1/hello-world/' ), 'Hello world!' ), 'the first post is at its new address' );
		holds( str_contains( $main->open( '/shelf/a-book/' ), 'Once upon a time' ), 'the book is where it was' );
	}
);

test(
	'nobody complained',
	function () use ( $site ) {
		$site->has_no_complaints();
	}
);
