<?php
/**
 * What the merge tests rest on: what a person does over HTTP is what WordPress then has.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_person.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/person.php';

$site = new Site();
$site->serve( 2 );
$site->done( 'branch', 'create', 's' );
$person = new Person( $site, 's' );

test(
	'a person visits, and WordPress knows the session',
	function () use ( $site, $person ) {
		$person->visit();
		$sessions = ask_wordpress( $site, 's', 'return count( get_user_meta( 1, "session_tokens", true ) );' );
		same( 1, $sessions, 'sessions' );
	}
);

test(
	'a page with an uploaded picture has it as a block, in a gallery and as its featured image',
	function () use ( $site, $person ) {
		$made  = $person->page_with_picture( 'A trip', 'trip.png' );
		$found = ask_wordpress(
			$site,
			's',
			'$page = get_post( $given["page"] );
			preg_match_all( "/wp-image-(\d+)/", $page->post_content, $images );
			return array( $page->post_title, $page->post_status, get_post_thumbnail_id( $page ), $images[1], get_post_type( $given["image"] ), array_keys( wp_get_attachment_metadata( $given["image"] )["sizes"] ) );',
			$made
		);
		$image = (string) $made['image'];
		same( array( 'A trip', 'publish', $made['image'], array( $image, $image ), 'attachment', array( 'medium', 'thumbnail' ) ), $found, 'the page' );
		list( $title, $content ) = $person->in_editor( 'page', $made['page'] );
		same( 'A trip', $title, 'the title in the editor' );
		holds( str_contains( $content, "wp-image-$image" ), 'the content in the editor has the picture' );
		holds( str_contains( $person->open( '/a-trip/' ), 'trip.png' ), 'the page shows the picture' );
	}
);

test(
	'edits, categories, settings, plugins, users, comments, menus and the trash are as the person made them',
	function () use ( $site, $person ) {
		$category = $person->category( 'News' );
		$post     = $person->publish( 'post', array( 'title' => 'Going' ) );
		$person->edit( 1, array( 'title' => 'Hello you', 'categories' => array( 1, $category ) ) );
		$person->settings( array( 'blogdescription' => 'Just another' ) );
		$person->settings( array( 'posts_per_page' => '7' ), 'reading' );
		$person->activate( 'akismet/akismet.php' );
		$password = $person->add_user( 'anna', 'editor' );
		$person->comment( '/hello-world/', 'Well said' );
		$person->remove( $post );
		$menu  = $person->menu( 'Main menu', array( 2 ) );
		$found = ask_wordpress(
			$site,
			's',
			'$names = static fn ( $terms ) => wp_list_pluck( $terms, "name" );
			$comments = get_comments( array( "post_id" => 1, "order" => "ASC", "type" => "comment" ) );
			return array(
				get_the_title( 1 ), $names( get_the_terms( 1, "category" ) ), get_option( "blogdescription" ), get_option( "posts_per_page" ),
				get_option( "active_plugins" ), get_user_by( "login", "anna" )->roles, end( $comments )->comment_content, get_post_status( $given["post"] ),
				wp_list_pluck( wp_get_nav_menu_items( $given["menu"] ), "title" ), get_option( "blogname" ),
			);',
			array( 'post' => $post, 'menu' => $menu )
		);
		$right = array( 'Hello you', array( 'News', 'Uncategorized' ), 'Just another', '7', array( 'akismet/akismet.php' ), array( 'editor' ), 'Well said', 'trash', array( 'Sample Page' ), 'ForkPress' );
		same( $right, $found, 'what WordPress has' );
		$anna = new Person( $site, 's', 'anna', $password );
		$anna->publish( 'post', array( 'title' => 'By Anna' ) );
		$person->remove( $post, true );
		same( null, ask_wordpress( $site, 's', 'return get_post( $given );', $post ), 'the deleted post' );
	}
);

test(
	'nobody complained',
	function () use ( $site ) {
		$site->has_no_complaints();
	}
);
