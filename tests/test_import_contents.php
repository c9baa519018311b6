<?php
/**
 * Exports of contents (WXR) come in through WordPress's importer, into a new site and into a new branch. PHP's
 * built-in server is here only the site that media come from.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_import_contents.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

/** Makes types that a WordPress has not. */
const TYPES = '<?php add_action( "init", function () {
	register_post_type( "book", array( "public" => true, "supports" => array( "title", "editor", "custom-fields" ) ) );
	register_taxonomy( "genre", array( "book", "post" ), array( "hierarchical" => true, "public" => true ) );
} );';

/** Makes contents. */
const MAKE = <<<'PHP'
	$anna = wp_insert_user( array( "user_login" => "anna", "user_pass" => "x", "user_email" => "anna@example.com", "display_name" => "Anna Ä", "role" => "author" ) );
	$add  = static function ( array $post ) use ( $anna ): int {
		return wp_insert_post( wp_slash( $post + array( "post_status" => "publish", "post_author" => $anna, "post_date" => "2024-03-0" . ( strlen( $post["post_title"] ) % 9 + 1 ) . " 10:11:12" ) ), true );
	};
	$novel = wp_insert_term( "Novel", "genre", array( "description" => "Long & \"true\"" ) )["term_id"];
	$crime = wp_insert_term( "Crime 🔪", "genre", array( "parent" => $novel, "slug" => "crime" ) )["term_id"];
	add_term_meta( $crime, "colour", array( "red" => "é" ) );
	$news = wp_insert_term( "News", "category" )["term_id"];
	$blocks = "<!-- wp:group {\"layout\":{\"type\":\"constrained\"},\"x\":\"a\\u002d\\u002db\"} -->\n<div class=\"wp-block-group\"><!-- wp:paragraph -->\n<p>1 < 2 &amp; \\ back ]]> 🎉</p>\n<!-- /wp:paragraph --></div>\n<!-- /wp:group --><script>alert(1)</script>";
	$top  = $add( array( "post_title" => "Übersicht 🎉", "post_type" => "page", "post_content" => $blocks, "menu_order" => 3 ) );
	$sub  = $add( array( "post_title" => "Below it", "post_type" => "page", "post_parent" => $top, "post_excerpt" => "An excerpt" ) );
	$add( array( "post_title" => "Below that", "post_type" => "page", "post_parent" => $sub, "post_password" => "secret" ) );
	$post = $add( array( "post_title" => "It's <em>a</em> post", "post_content" => $blocks, "post_category" => array( $news ), "tags_input" => array( "red", "Blau ß" ) ) );
	$add( array( "post_title" => "A draft", "post_status" => "draft" ) );
	$book = $add( array( "post_title" => "A book", "post_type" => "book", "post_content" => "https://former.example.com/x" ) );
	wp_set_object_terms( $book, array( $crime ), "genre" );
	add_post_meta( $book, "isbn", "978-3" );
	add_post_meta( $book, "isbn", "978-4" );
	add_post_meta( $book, "nested", wp_slash( array( "a" => array( 1, true, null, "ü\\\"" ), "b" => "x" ) ) );
	$first = wp_insert_comment( array( "comment_post_ID" => $post, "comment_author" => "Ö 🎉", "comment_author_email" => "o@example.com", "comment_content" => "First & \"foremost\"", "comment_date" => "2024-04-01 00:00:00" ) );
	wp_insert_comment( array( "comment_post_ID" => $post, "comment_author" => "anna", "user_id" => $anna, "comment_content" => "Answer", "comment_parent" => $first, "comment_date" => "2024-04-02 00:00:00" ) );
	wp_insert_comment( array( "comment_post_ID" => $post, "comment_author" => "Spam", "comment_content" => "Waits", "comment_approved" => 0, "comment_date" => "2024-04-03 00:00:00" ) );
	add_comment_meta( $first, "rating", array( 5 ) );
PHP;

/** Tells all of what MAKE makes, without numbers, which may be others. */
const TELL = <<<'PHP'
	$told = array();
	foreach ( get_posts( array( "post_type" => array( "post", "page", "book" ), "post_status" => "any", "numberposts" => -1, "author_name" => "anna", "orderby" => "title" ) ) as $post ) {
		$meta = array_diff_key( get_post_meta( $post->ID ), array( "_edit_last" => 1, "_pingme" => 1, "_encloseme" => 1 ) );
		ksort( $meta );
		$terms = array();
		foreach ( get_object_taxonomies( $post->post_type ) as $taxonomy ) {
			foreach ( wp_get_object_terms( $post->ID, $taxonomy ) as $term ) {
				$terms[] = array( $taxonomy, $term->name, $term->slug, $term->description, $term->parent ? get_term( $term->parent )->slug : "", get_term_meta( $term->term_id ) );
			}
		}
		$comments = array();
		foreach ( get_comments( array( "post_id" => $post->ID, "orderby" => "comment_date", "order" => "ASC" ) ) as $comment ) {
			$comments[] = array( $comment->comment_author, $comment->comment_author_email, $comment->comment_content, $comment->comment_date, $comment->comment_approved, $comment->comment_parent ? get_comment( $comment->comment_parent )->comment_content : "", $comment->user_id ? get_userdata( $comment->user_id )->user_login : "", get_comment_meta( $comment->comment_ID ) );
		}
		$told[] = array( $post->post_title, $post->post_content, $post->post_excerpt, $post->post_name, $post->post_type, $post->post_status, $post->post_date, $post->post_date_gmt, $post->post_password, $post->menu_order, $post->post_parent ? get_the_title( $post->post_parent ) : "", $meta, $terms, $comments );
	}
	$user = get_user_by( "login", "anna" );
	echo json_encode( array( $told, array( $user->user_email, $user->display_name ) ), JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_PRETTY_PRINT );
PHP;

/**
 * Runs PHP in the WordPress of a branch, and returns what it printed.
 *
 * @param Site   $site   The site.
 * @param string $branch The branch.
 * @param string $code   The code.
 */
function in_wordpress( Site $site, string $branch, string $code ): string {
	return $site->done( 'wp', $branch, '--', 'eval', $code );
}

$site = new Site();
put( "$site->dir/main/wp-content/mu-plugins/types.php", TYPES );
in_wordpress( $site, 'main', MAKE );
$out = temp_dir();
$site->done( 'export', 'main', '--format', 'wxr', '--to', "$out/site.xml" );
$wxr = file_get_contents( "$out/site.xml" );

/**
 * Returns an export with an attachment.
 *
 * @param string ...$urls Where media are.
 */
$with_media = static function ( string ...$urls ) use ( $wxr ): string {
	$items = '';
	foreach ( $urls as $number => $url ) {
		$items .= "<item><title>Medium $number</title><dc:creator>anna</dc:creator><guid isPermaLink=\"false\">$url</guid><content:encoded></content:encoded>"
			. '<excerpt:encoded></excerpt:encoded><wp:post_id>' . ( 900 + $number ) . '</wp:post_id><wp:post_date>2024-03-01 10:11:12</wp:post_date><wp:post_date_gmt>2024-03-01 10:11:12</wp:post_date_gmt>'
			. "<wp:post_name>medium-$number</wp:post_name><wp:status>inherit</wp:status><wp:post_parent>0</wp:post_parent><wp:menu_order>0</wp:menu_order><wp:post_type>attachment</wp:post_type>"
			. "<wp:post_password></wp:post_password><wp:is_sticky>0</wp:is_sticky><wp:attachment_url>$url</wp:attachment_url></item>\n";
	}
	return str_replace( '</channel>', "$items</channel>", $wxr );
};

/**
 * Imports into a folder, and returns what is told.
 *
 * @param string   $dir       The folder, an empty one.
 * @param string[] $arguments What, and with which options.
 */
$import_into = static fn ( string $dir, array $arguments ): Command => new Command( array( program(), '--json', 'import', ...$arguments ), $dir, array( 'FORKPRESS_STATE_DIR' => $site->state_dir, 'FORKPRESS_PHP' => PHP_BINARY ) );

// Another site, which has none of this but the types.
$other = new Site();
put( "$other->dir/main/wp-content/mu-plugins/types.php", TYPES );

test(
	'a new branch gets the contents as they were: posts, hierarchies, terms, comments, their metadata and authors',
	function () use ( $site, $other, $out ) {
		$right = in_wordpress( $site, 'main', TELL );
		holds( 6 === count( json_decode( $right, true )[0] ), 'there are six posts of anna' );
		$told = $other->json( 'import', "$out/site.xml", '--branch', 'in' );
		same( $right, in_wordpress( $other, 'in', TELL ), 'what there is' );
		same( array( 'anna' ), $told['imported']['contents']['authors'], 'who was made' );
		same( 'subscriber', in_wordpress( $other, 'in', 'echo implode( get_user_by( "login", "anna" )->roles );' ), 'their role is the usual one' );
		same( '', in_wordpress( $other, 'main', 'echo get_page_by_path( "below-it" ) ? "there" : "";' ), 'a page in main' );
		same( '0', (string) $other->database( 'in' )->query( "SELECT COUNT(*) FROM wp_posts WHERE post_date LIKE '2024-03-0%' AND ID < 100000" )->fetchColumn(), 'posts with numbers that another branch may give' );
		same( array(), glob( "$other->dir/in/wp-content/plugins/*importer*" ), 'the importer is no plugin' );
		same( 'ok', $other->database( 'in' )->query( 'PRAGMA integrity_check' )->fetchColumn(), 'integrity' );
		$log = $other->json( 'log' )[0];
		same( array( 'create', 'in', 'import of site.xml' ), array( $log['operation'], $log['name'], $log['with'] ), 'what the log says' );
		$other->done( 'undo' );
		holds( ! is_dir( "$other->dir/in" ), 'an import is undone' );
	}
);

test(
	'what was imported before is not imported again, and that is told',
	function () use ( $site, $out ) {
		$before = $site->database( 'main' )->query( 'SELECT COUNT(*) FROM wp_posts' )->fetchColumn();
		$told   = $site->json( 'import', "$out/site.xml", '--branch', 'again' )['imported'];
		same( array( 0, 0 ), array( $told['contents']['posts'], $told['contents']['comments'] ), 'what is new' );
		same( 1, count( $told['notes'] ), implode( "\n", $told['notes'] ) );
		holds( str_starts_with( $told['notes'][0], 'posts that were there already: ' ), $told['notes'][0] );
		same( $before, $site->database( 'again' )->query( 'SELECT COUNT(*) FROM wp_posts' )->fetchColumn(), 'rows' );
	}
);

test(
	'an import into an empty folder makes a site with these contents and no others; what no plugin there knows is told',
	function () use ( $site, $out, $wxr, $import_into ) {
		// In two files, as WordPress cuts large exports, in a ZIP, and with what XML does not allow.
		preg_match_all( '~<item>.*?</item>~s', $wxr, $items );
		$zip = new \ZipArchive();
		$zip->open( "$out/parts.zip", \ZipArchive::CREATE );
		foreach ( array( 'blog.wordpress.10.xml' => array_slice( $items[0], 4 ), 'blog.wordpress.9.xml' => array_slice( $items[0], 0, 4 ) ) as $name => $part ) {
			$outer = explode( '<item>', $wxr, 2 )[0] . implode( "\n", $part ) . '</channel></rss>';
			$zip->addFromString( $name, str_replace( 'Answer', "Ans\x0bwer", $outer ) );
		}
		$zip->close();
		$made  = new Site( null, "$out/parts.zip", '--rewrite-urls' );
		$right = json_decode( in_wordpress( $site, 'main', TELL ), true );
		$found = json_decode( in_wordpress( $made, 'main', TELL ), true );
		$is_no = static fn ( array $post ): bool => 'book' !== $post[4];
		same( array_values( array_filter( $right[0], $is_no ) ), $found[0], 'posts' );
		$count = "SELECT GROUP_CONCAT(post_type || ' ' || number, ', ') FROM (SELECT post_type, COUNT(*) AS number FROM wp_posts WHERE post_type IN ('post', 'page', 'book') GROUP BY post_type ORDER BY post_type)";
		same( str_replace( 'book 1, ', '', $site->database( 'main' )->query( $count )->fetchColumn() ), $made->database( 'main' )->query( $count )->fetchColumn(), 'no other posts' );
		$ids = "SELECT GROUP_CONCAT(ID) FROM (SELECT ID FROM wp_posts WHERE post_type IN ('post', 'page') ORDER BY ID)";
		same( $site->database( 'main' )->query( $ids )->fetchColumn(), $made->database( 'main' )->query( $ids )->fetchColumn(), 'they keep their numbers' );
		$made->serve( 1 );
		$page = $made->database( 'main' )->query( "SELECT ID FROM wp_posts WHERE post_name = 'below-it'" )->fetchColumn();
		same( 301, $made->request( "/?page_id=$page" )->status, 'a page is served' );
		$outcome = $import_into( temp_dir(), array( "$out/parts.zip" ) )->outcome();
		same( 0, $outcome->status, $outcome->text() );
		$told  = json_decode( $outcome->out, true );
		$notes = implode( "\n", $told['imported']['notes'] );
		holds( str_contains( $notes, 'left out: 1 of the type book' ) && str_contains( $notes, 'left out: 2 of the type genre' ) && str_contains( $notes, 'were left out: 1' ), $notes );
		holds( 'admin' === $told['user'] && strlen( $told['password'] ) > 10, 'there is somebody who can log in' );
	}
);

test(
	'media are fetched from where they are, and posts show those; what can not be fetched is told and no failure',
	function () use ( $out, $with_media, $import_into ) {
		$web  = temp_dir();
		$dir  = temp_dir();
		put( "$web/pic.png", base64_decode( 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==' ) );
		put( "$web/router.php", '<?php file_put_contents( __DIR__ . "/asked", $_SERVER["REQUEST_URI"] . "\n", FILE_APPEND ); return false;' );
		$server = new Server( "$web/router.php", array(), array(), true, $web );
		// At the site's own address WordPress fetches also from this machine.
		$own = "http://wp.localhost:$server->port";
		put( "$out/media.xml", str_replace( 'An excerpt', "$own/pic.png", str_replace( '<p>1 ', "<p>$own/pic.png 1 ", $with_media( "$own/pic.png", "$own/gone.png", 'http://none.invalid/a.png' ) ) ) );
		$outcome = $import_into( $dir, array( "$out/media.xml", '--port', (string) $server->port ) )->outcome();
		same( 0, $outcome->status, $outcome->text() );
		$told = json_decode( $outcome->out, true )['imported'];
		same( array( 1, 2 ), array( $told['contents']['media'], $told['contents']['media_left_out'] ), implode( "\n", $told['notes'] ) );
		$notes = implode( "\n", $told['notes'] );
		holds( str_contains( $notes, 'Medium 1' ) && str_contains( $notes, '404' ) && str_contains( $notes, 'Medium 2' ), $notes );
		holds( is_file( "$dir/main/wp-content/uploads/2024/03/pic.png" ), 'the file' );
		$database = new \PDO( "sqlite:$dir/main/wp-content/database/.ht.sqlite" );
		holds( str_contains( $database->query( "SELECT post_content FROM wp_posts WHERE post_title LIKE 'Übersicht%'" )->fetchColumn(), '/uploads/2024/03/pic.png' ), 'the post shows it' );
		same( "/pic.png\n/gone.png\n", file_get_contents( "$web/asked" ), 'what was asked for' );
	}
);

test(
	'media are not fetched from this machine or its network, nor where that is not wanted',
	function () use ( $other, $out, $with_media ) {
		$web    = temp_dir();
		put( "$web/router.php", '<?php file_put_contents( __DIR__ . "/asked", "asked" ); return true;' );
		$server = new Server( "$web/router.php", array(), array(), true, $web );
		@unlink( "$web/asked" );
		$hosts = array( 'http://127.0.0.1', 'http://localhost', 'http://[::1]', 'http://0', 'http://2130706433', 'http://user@127.0.0.1', 'http://169.254.169.254', 'file://' );
		$urls  = array_merge( array_map( static fn ( $host ) => "$host:$server->port/a.png", $hosts ), array( "file://$out/site.xml", '/etc/passwd', 'phar:///x.phar/a', 'php://filter/resource=/etc/passwd' ) );
		put( "$out/inner.xml", $with_media( ...$urls ) );
		$told = $other->json( 'import', "$out/inner.xml", '--branch', 'inner' )['imported'];
		same( array( 0, count( $urls ) ), array( $told['contents']['media'], $told['contents']['media_left_out'] ), implode( "\n", $told['notes'] ) );
		holds( ! file_exists( "$web/asked" ), 'nobody asked' );
		same( array(), glob( "$other->dir/inner/wp-content/uploads/2024/03/*" ), 'files' );
		$own = 'http://' . $other->host( 'quiet' );
		put( "$out/own.xml", $with_media( "$own/a.png" ) );
		$told = $other->json( 'import', "$out/own.xml", '--branch', 'quiet', '--without-uploads' )['imported'];
		same( array( 0, 1 ), array( $told['contents']['media'], $told['contents']['media_left_out'] ), 'media' );
		same( array(), $told['notes'], 'notes' );
	}
);

test(
	'an export that is broken or hostile is refused with its line, and nothing changes',
	function () use ( $other, $out, $wxr, $import_into ) {
		$bomb = '<!DOCTYPE rss [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>';
		$file = "<!DOCTYPE rss [<!ENTITY x SYSTEM \"file://$out/secret\">]>";
		put( "$out/secret", 'Nobody may see this' );
		$at      = strpos( $wxr, '<rss' );
		$broken  = array(
			'cut'      => substr( $wxr, 0, intdiv( strlen( $wxr ), 2 ) ),
			'tag'      => str_replace( '<wp:status>draft', '<wp:statu>draft', str_replace( '<wp:status><![CDATA[draft', '<wp:statu><![CDATA[draft', $wxr ) ),
			'bomb'     => substr_replace( str_replace( '<generator>', '<generator>&c;', $wxr ), $bomb, $at, 0 ),
			'external' => substr_replace( str_replace( '<generator>', '<generator>&x;', $wxr ), $file, $at, 0 ),
		);
		$before = array( scandir( $other->dir ), count( $other->json( 'log' ) ) );
		foreach ( $broken as $name => $text ) {
			put( "$out/$name.xml", $text );
			$outcome = $other->run( 'import', "$out/$name.xml", '--branch', 'failed' );
			same( 1, $outcome->status, "$name: {$outcome->text()}" );
			same( 1, preg_match( "/$name\\.xml, line \\d+: /", $outcome->errors ), "$name names its line: {$outcome->text()}" );
			holds( ! str_contains( $outcome->text(), 'Nobody may' ), $outcome->text() );
			same( $before, array( scandir( $other->dir ), count( $other->json( 'log' ) ) ), "branches and operations after $name" );
			same( array(), array_values( array_diff( scandir( "$other->dir/.forkpress/cow/staging" ), array( '.', '..' ) ) ), "what $name left" );
		}
		$folder  = temp_dir();
		$outcome = $import_into( $folder, array( "$out/tag.xml" ) )->outcome();
		same( array( 1, array( '.', '..' ) ), array( $outcome->status, scandir( $folder ) ), "into a folder: {$outcome->text()}" );
	}
);

test(
	'an import that is interrupted leaves nothing',
	function () use ( $out, $with_media, $import_into ) {
		$web = temp_dir();
		$dir = temp_dir();
		put( "$web/router.php", '<?php file_put_contents( __DIR__ . "/asked", "asked" ); sleep( 300 );' );
		$server = new Server( "$web/router.php", array(), array(), true, $web );
		put( "$out/slow.xml", $with_media( "http://wp.localhost:$server->port/a.png" ) );
		$command = $import_into( $dir, array( "$out/slow.xml", '--port', (string) $server->port ) );
		eventually( static fn () => file_exists( "$web/asked" ), 'the medium is asked for' );
		$command->process->signal( SIGINT );
		same( 130, $command->outcome()->status, 'exit status' );
		same( array( '.', '..' ), scandir( $dir ), 'what is left' );
	}
);

test(
	'wp import needs no plugin that is installed',
	function () use ( $other, $out ) {
		$other->done( 'branch', 'create', 'by-hand' );
		$other->done( 'wp', 'by-hand', '--', 'import', "$out/site.xml", '--authors=create', '--quiet' );
		holds( str_contains( $other->done( 'wp', 'by-hand', '--', 'post', 'list', '--field=post_title' ), 'post' ), 'posts' );
	}
);
$other->has_no_complaints();
