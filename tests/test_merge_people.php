<?php
/**
 * What two people did on two branches of one site, in the dashboard and in the editor, is all in `main` afterwards.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_merge_people.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/merging.php';

$fifth   = 0;
$merging = new Merging(
	static function ( Person $person ) use ( &$fifth ): void {
		// In a category of its own: posts without one are counted below.
		$fifth = $person->publish( 'post', array( 'title' => 'The fifth', 'categories' => array( $person->category( 'Old' ) ) ) );
	}
);
$site    = $merging->site;

/** What a page with a picture refers to, as WordPress finds it. */
const PICTURES = '$found = array();
	foreach ( $given as $id ) {
		$page = get_post( $id );
		preg_match_all( "/wp-image-(\d+)/", $page->post_content, $images );
		preg_match_all( "/<img src=\"([^\"]+)\"/", $page->post_content, $sources );
		preg_match( "/gallery ids=\"(\d+)\"/", $page->post_content, $gallery );
		$image   = (int) $images[1][0];
		$found[] = array(
			"title"     => $page->post_title,
			"images"    => $images[1],
			"thumbnail" => get_post_thumbnail_id( $page ),
			"gallery"   => $gallery[1],
			"is_image"  => wp_attachment_is_image( $image ),
			"path"      => parse_url( wp_get_attachment_url( $image ), PHP_URL_PATH ),
			"sources"   => array_map( static fn ( $url ) => parse_url( $url, PHP_URL_PATH ), $sources[1] ),
			"file"      => is_file( get_attached_file( $image ) ),
			"sizes"     => array_map( static fn ( $size ) => is_file( dirname( get_attached_file( $image ) ) . "/" . $size["file"] ), array_column( wp_get_attachment_metadata( $image )["sizes"], null, "mime-type" ) ),
		);
	}
	return $found;';

test(
	'both add a page with a picture: both are there, with their own ids, and all that they name is found',
	function () use ( $merging ) {
		list( $main, $person ) = $merging->part( 's' );
		$of_s                  = $person->page_with_picture( 'Page of s', 's.png' );
		$of_main               = $main->page_with_picture( 'Page of main', 'main.png' );
		holds( min( $of_s ) >= 100000, 'ids of s are of its band: ' . json_encode( $of_s ) );
		$merging->merged( 's', 'main' );
		$found = $merging->ask( 'main', PICTURES, array( $of_s['page'], $of_main['page'] ) );
		foreach ( array( array( $of_s, 'Page of s', 's.png' ), array( $of_main, 'Page of main', 'main.png' ) ) as $at => list( $made, $title, $file ) ) {
			$image = (string) $made['image'];
			$path  = $found[ $at ]['path'];
			$right = array(
				'title'     => $title,
				'images'    => array( $image, $image ),
				'thumbnail' => $made['image'],
				'gallery'   => $image,
				'is_image'  => true,
				'path'      => $path,
				'sources'   => array( $path, $path ),
				'file'      => true,
				'sizes'     => array( 'image/png' => true ),
			);
			same( $right, $found[ $at ], "the page $title" );
			holds( str_ends_with( $path, "/$file" ), "$path is $file" );
			same( 200, $main->browser->request( $path )->status, "$path is served" );
		}
	}
);

test(
	'both activate a plugin: both are active, and the event of each is there',
	function () use ( $merging ) {
		list( $main, $person ) = $merging->part( 's' );
		$person->activate( 'morning/morning.php' );
		$main->activate( 'evening/evening.php' );
		$merging->merged( 's', 'main' );
		$found = $merging->ask( 'main', '$active = get_option( "active_plugins" ); sort( $active ); return array( $active, array_keys( $active ) === array_keys( get_option( "active_plugins" ) ), (bool) wp_next_scheduled( "morning_event", array( "morning" ) ), (bool) wp_next_scheduled( "evening_event", array( "evening" ) ) );' );
		same( array( array( 'evening/evening.php', 'morning/morning.php' ), true, true, true ), $found, 'active plugins, and events' );
	}
);

test(
	'one deactivates a plugin while the other activates one',
	function () use ( $merging ) {
		list( $main ) = $merging->part( 'other' );
		$main->activate( 'morning/morning.php' );
		$merging->site->done( 'branch', 'create', 's' );
		$person = new Person( $merging->site, 's' );
		$person->activate( 'morning/morning.php', 'deactivate' );
		$main->activate( 'evening/evening.php' );
		$merging->merged( 's', 'main' );
		$found = $merging->ask( 'main', 'return array( get_option( "active_plugins" ), wp_next_scheduled( "morning_event", array( "morning" ) ), (bool) wp_next_scheduled( "evening_event", array( "evening" ) ) );' );
		same( array( array( 'evening/evening.php' ), false, true ), $found, 'active plugins, and events' );
	}
);

test(
	'both add a user: there are two more, each with its role, who can log in, and WordPress counts three',
	function () use ( $merging, $site ) {
		list( $main, $person ) = $merging->part( 's' );
		$annas                 = $person->add_user( 'anna', 'editor' );
		$berts                 = $main->add_user( 'bert', 'author' );
		$merging->merged( 's', 'main' );
		$found = $merging->ask( 'main', '$roles = array(); foreach ( get_users( array( "orderby" => "login" ) ) as $user ) { $roles[ $user->user_login ] = $user->roles; } return array( $roles, (int) get_option( "user_count" ), count_users()["total_users"] );' );
		$roles = array( 'admin' => array( 'administrator' ), 'anna' => array( 'editor' ), 'bert' => array( 'author' ) );
		same( array( $roles, 3, 3 ), $found, 'roles, and the count' );
		( new Person( $site, 'main', 'anna', $annas ) )->publish( 'page', array( 'title' => 'Anna may' ) );
		( new Person( $site, 'main', 'bert', $berts ) )->publish( 'post', array( 'title' => 'Bert may' ) );
	}
);

test(
	'both make a user of one name: that is a conflict',
	function () use ( $merging ) {
		list( $main, $person ) = $merging->part( 's' );
		$person->add_user( 'anna', 'editor', 'anna@one.test' );
		$main->add_user( 'anna', 'author', 'anna@two.test' );
		same( 1, count( $merging->refused( 's', 'main' ) ), 'conflicts' );
	}
);

test(
	'both put a post into a new category: it is in three, and each counts it',
	function () use ( $merging ) {
		list( $main, $person ) = $merging->part( 's' );
		$person->edit( 1, array( 'categories' => array( 1, $person->category( 'Of s' ) ) ) );
		$main->edit( 1, array( 'categories' => array( 1, $main->category( 'Of main' ) ) ) );
		$merging->merged( 's', 'main' );
		$counts = $merging->ask( 'main', 'return array_column( array_map( static fn ( $term ) => array( $term->name, $term->count ), get_the_terms( 1, "category" ) ), 1, 0 );' );
		ksort( $counts );
		same( array( 'Of main' => 1, 'Of s' => 1, 'Uncategorized' => 1 ), $counts, 'categories of the post, with their counts' );
	}
);

test(
	'one deletes what the other comments on: that is one conflict, whichever way it is merged',
	function () use ( $merging, &$fifth ) {
		list( $main, $person ) = $merging->part( 's' );
		$person->remove( $fifth, true );
		$main->comment( '/the-fifth/', 'Still read' );
		same( 1, count( $merging->refused( 's', 'main' ) ), 'conflicts of a merge into main' );
		same( 1, count( $merging->refused( 'main', 's' ) ), 'conflicts of a merge into s' );
		$merging->merged( 's', 'main', '--theirs' );
		$found = $merging->ask( 'main', 'return array( get_post( $given ), get_comments( array( "post_id" => $given, "count" => true ) ) );', $fifth );
		same( array( null, 0 ), $found, 'the post and its comments after --theirs' );
		$merging->site->done( 'undo' );
		$merging->merged( 's', 'main', '--ours' );
		$found = $merging->ask( 'main', 'return array( get_post( $given )->post_title, get_post( $given )->comment_count, get_comments( array( "post_id" => $given, "count" => true ) ) );', $fifth );
		same( array( 'The fifth', '1', 1 ), $found, 'the post and its comments after --ours' );
	}
);

test(
	'one trashes what the other edits: that is one conflict',
	function () use ( $merging, &$fifth ) {
		list( $main, $person ) = $merging->part( 's' );
		$person->edit( $fifth, array( 'content' => 'New text' ) );
		$main->remove( $fifth );
		same( 1, count( $merging->refused( 's', 'main' ) ), 'conflicts' );
	}
);

test(
	'what one trashes or deletes is trashed or deleted, with all that belongs to it',
	function () use ( $merging, &$fifth ) {
		list( , $person ) = $merging->part( 's' );
		$person->remove( 1, true );
		$person->remove( $fifth );
		$merging->merged( 's', 'main' );
		$found = $merging->ask(
			'main',
			'global $wpdb; return array( get_post( 1 ), get_post_status( $given ), (int) $wpdb->get_var( "SELECT count(*) FROM $wpdb->comments" ),
			(int) $wpdb->get_var( "SELECT count(*) FROM $wpdb->term_relationships WHERE object_id = 1" ), get_term( 1 )->count );',
			$fifth
		);
		same( array( null, 'trash', 0, 0, 0 ), $found, 'the posts, comments, relationships, and posts of the category' );
	}
);

test(
	'a post that came home in the trash has its comments and their number once it is restored',
	function () use ( $merging ) {
		list( $main, $person ) = $merging->part( 's' );
		$person->remove( 1 );
		$merging->merged( 's', 'main' );
		$found = $merging->ask( 'main', 'wp_untrash_post( 1 ); wp_publish_post( 1 ); return array( get_post( 1 )->comment_count, get_comments( array( "post_id" => 1, "status" => "approve", "count" => true ) ) );' );
		same( array( '1', 1 ), $found, 'the number of comments, and how many there are' );
		holds( str_contains( $main->open( '/hello-world/' ), 'Hi, this is a comment' ), 'the page shows the comment' );
	}
);

test(
	'two pages of one name are two: what comes home gets another slug, and that is told',
	function () use ( $merging ) {
		list( $main, $person ) = $merging->part( 's' );
		$of_s                  = $person->publish( 'page', array( 'title' => 'About us', 'content' => 'Of s' ) );
		$of_main               = $main->publish( 'page', array( 'title' => 'About us', 'content' => 'Of main' ) );
		$said                  = $merging->merged( 's', 'main' );
		same( array( 'about-us', 'about-us-2' ), array( ...$merging->post( 'main', $of_main, 'post_name' ), ...$merging->post( 'main', $of_s, 'post_name' ) ), 'slugs' );
		holds( (bool) preg_grep( '/about-us-2/', $said['notes'] ), 'it is told: ' . json_encode( $said['notes'] ) );
		holds( str_contains( $main->open( '/about-us/' ), 'Of main' ) && str_contains( $main->open( '/about-us-2/' ), 'Of s' ), 'each is at its address' );
	}
);

test(
	'two categories of one name are two, with two slugs',
	function () use ( $merging ) {
		list( $main, $person ) = $merging->part( 's' );
		$of_s                  = $person->category( 'News' );
		$of_main               = $main->category( 'News' );
		$person->edit( 1, array( 'categories' => array( $of_s ) ) );
		$merging->merged( 's', 'main' );
		$found = $merging->ask( 'main', 'return array( get_term( $given[0] )->slug, get_term( $given[1] )->slug, wp_get_post_categories( 1 ) );', array( $of_main, $of_s ) );
		same( array( 'news', 'news-2', array( $of_s ) ), $found, 'the slugs, and the category of the post' );
	}
);

test(
	'both upload another picture under one name: that is a conflict of which both are named',
	function () use ( $merging ) {
		list( $main, $person ) = $merging->part( 's' );
		$of_s                  = $person->upload( 'pic.png', picture( 'of s' ) );
		$of_main               = $main->upload( 'pic.png', picture( 'of main' ) );
		$conflicts             = $merging->refused( 's', 'main' );
		$text                  = json_encode( $conflicts, JSON_UNESCAPED_SLASHES );
		foreach ( array( '/pic.png', (string) $of_s['id'], (string) $of_main['id'] ) as $part ) {
			holds( str_contains( $text, $part ), "$part is in $text" );
		}
	}
);

test(
	'settings of both are there, and the same one with two values is a conflict',
	function () use ( $merging ) {
		list( $main, $person ) = $merging->part( 's' );
		$person->settings( array( 'blogdescription' => 'Tagline of s' ) );
		$main->settings( array( 'posts_per_page' => '7' ), 'reading' );
		$merging->merged( 's', 'main' );
		same( array( 'Tagline of s', '7' ), $merging->ask( 'main', 'return array( get_option( "blogdescription" ), get_option( "posts_per_page" ) );' ), 'settings' );
		$person->settings( array( 'blogname' => 'Name of s' ) );
		$main->settings( array( 'blogname' => 'Name of main' ) );
		$conflicts = $merging->refused( 's', 'main' );
		same( 1, count( $conflicts ), 'conflicts' );
		holds( str_contains( json_encode( $conflicts ), 'blogname' ), 'the option is named' );
	}
);

test(
	'settings that are a map are merged by their keys: theme, sidebars, widgets and a menu in its place',
	function () use ( $merging ) {
		$merging->part( 's' );
		$made = $merging->ask(
			's',
			'set_theme_mod( "of_s", "ä \"s\"" ); $widgets = get_option( "widget_text", array() ); $widgets[5] = array( "title" => "s" ); update_option( "widget_text", $widgets );
			$bars = wp_get_sidebars_widgets(); $bars["bar-s"] = array( "text-5" ); wp_set_sidebars_widgets( $bars ); add_role( "of_s", "Of s", array( "read" => true ) ); return true;'
		);
		same( true, $made, 's' );
		$made = $merging->ask(
			'main',
			'set_theme_mod( "of_main", array( 1, "m" ) ); $widgets = get_option( "widget_text", array() ); $widgets[6] = array( "title" => "main" ); update_option( "widget_text", $widgets );
			$bars = wp_get_sidebars_widgets(); $bars["bar-main"] = array( "text-6" ); wp_set_sidebars_widgets( $bars ); add_role( "of_main", "Of main", array( "read" => true ) ); return true;'
		);
		same( true, $made, 'main' );
		$merging->merged( 's', 'main' );
		$found = $merging->ask(
			'main',
			'$bars = wp_get_sidebars_widgets(); return array( get_theme_mod( "of_s" ), get_theme_mod( "of_main" ), get_option( "widget_text" )[5]["title"] ?? null, get_option( "widget_text" )[6]["title"] ?? null,
			$bars["bar-s"] ?? null, $bars["bar-main"] ?? null, null !== get_role( "of_s" ), null !== get_role( "of_main" ), null !== get_role( "editor" ) );'
		);
		same( array( 'ä "s"', array( 1, 'm' ), 's', 'main', array( 'text-5' ), array( 'text-6' ), true, true, true ), $found, 'settings' );
	}
);

test(
	'an ordinary day of two people has no conflict',
	function () use ( $merging, $site ) {
		list( $main, $person ) = $merging->part( 's' );
		foreach ( array( array( $person, 's', 'morning', 'anna', 'title' ), array( $main, 'main', 'evening', 'bert', 'content' ) ) as list( $who, $name, $plugin, $user, $field ) ) {
			$who->visit();
			$who->page_with_picture( "Trip of $name", "$name.png" );
			$category = $who->category( "Category of $name" );
			$who->edit( 1, array( $field => "$field of $name", 'categories' => array( 1, $category ) ) );
			$who->activate( "$plugin/$plugin.php" );
			$who->add_user( $user, 'editor' );
			$who->comment( '/hello-world/', "Comment of $name" );
			$who->menu( "Menu of $name", array( 2, $who->publish( 'page', array( 'title' => "Plain page of $name" ) ) ) );
			$who->publish( 'post', array( 'title' => "Sticky of $name", 'sticky' => true ) );
			$who->visit();
		}
		$merging->merged( 's', 'main' );
		$found = $merging->ask(
			'main',
			'return array(
				get_post( 1 )->post_title, get_post( 1 )->post_content, (int) get_post( 1 )->comment_count, count( get_the_terms( 1, "category" ) ), count( get_option( "active_plugins" ) ),
				count_users()["total_users"], (int) get_option( "user_count" ), count( get_option( "sticky_posts" ) ),
				array_map( static fn ( $menu ) => array( $menu->name, $menu->count, wp_list_pluck( wp_get_nav_menu_items( $menu ), "title" ) ), wp_get_nav_menus() ),
			);'
		);
		$menus = array(
			array( 'Menu of main', 2, array( 'Sample Page', 'Plain page of main' ) ),
			array( 'Menu of s', 2, array( 'Sample Page', 'Plain page of s' ) ),
		);
		same( array( 'title of s', 'content of main', 3, 3, 2, 3, 3, 2, $menus ), $found, 'what WordPress has' );
		$main->visit();
	}
);

test(
	'nobody complained',
	function () use ( $site ) {
		$site->has_no_complaints();
	}
);
