<?php
/**
 * What WordPress makes in two branches has two ids.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_id_bands.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

/** How many ids are a band. */
const BAND = 100000;

$site = new Site();
$site->serve( 2 );
$site->done( 'branch', 'create', 'one', 'two' );

/**
 * Runs PHP code in WordPress, in a request to a branch, and returns what it returns.
 *
 * @param string $branch The branch.
 * @param string $code   The code.
 */
$run = static function ( string $branch, string $code ) use ( $site ): mixed {
	static $number = 0;
	$name          = 'run-' . ++$number . '.php';
	put( "$site->dir/$branch/$name", "<?php require __DIR__ . '/wp-load.php'; global \$wpdb; echo json_encode( ( static function () use ( \$wpdb ) { $code } )() );" );
	$response = ( new Browser( $site, $branch ) )->request( "/$name" );
	unlink( "$site->dir/$branch/$name" );
	same( 200, $response->status, "running '$code' in $branch: $response->body: status" );
	return json_decode( $response->body, true );
};

/**
 * Returns what a branch's counter of a table is; none where it has none.
 *
 * @param string $branch The branch.
 * @param string $table  The table.
 */
$counter = static function ( string $branch, string $table ) use ( $site ): ?int {
	$found = $site->database( $branch )->query( "SELECT seq FROM sqlite_sequence WHERE name = '$table'" )->fetchColumn();
	return false === $found ? null : (int) $found;
};

/** Returns the band of an id. */
$band = static fn ( int $id ): int => intdiv( $id, BAND );

const MAKE = '$made = array(
	"post"    => wp_insert_post( array( "post_title" => "News", "post_content" => "Text", "post_status" => "publish" ) ),
	"term"    => wp_insert_term( "Category " . wp_rand(), "category" )["term_id"],
	"user"    => wp_create_user( "user" . wp_rand(), "secret", wp_rand() . "@example.org" ),
	"comment" => wp_insert_comment( array( "comment_post_ID" => 1, "comment_content" => "Well", "comment_approved" => 1 ) ),
	"meta"    => add_post_meta( 1, "mood", "fine" ),
);
add_option( "made" . wp_rand(), "here" );
$made["option"] = (int) $wpdb->get_var( "SELECT MAX(option_id) FROM $wpdb->options" );
return $made;';

test(
	'what is made in two branches and in main has different ids',
	static function () use ( $run, $band ): void {
		$bands = static fn ( string $branch ): array => array_map( $band, $run( $branch, MAKE ) );
		$kinds = array( 'post', 'term', 'user', 'comment', 'meta', 'option' );
		foreach ( array( 'main', 'one', 'two' ) as $number => $branch ) {
			same( array_fill_keys( $kinds, $number ), $bands( $branch ), "the bands of what was made in $branch" );
		}
	}
);

test(
	'what people make with the editor has, too',
	static function () use ( $site, $band ): void {
		$post = static fn ( string $branch ): int =>
			( new Browser( $site, $branch ) )->rest( 'POST', '/wp/v2/posts', array( 'title' => 'By hand', 'status' => 'publish' ), 201 )['id'];
		same( array( 0, 1, 2 ), array_map( $band, array( $post( 'main' ), $post( 'one' ), $post( 'two' ) ) ), 'bands' );
	}
);

test(
	'a counter that the driver loses is set anew by the server',
	static function () use ( $run, $counter ): void {
		$code = '$wpdb->query( "ALTER TABLE $wpdb->commentmeta ADD COLUMN mood int" ); $wpdb->query( "TRUNCATE TABLE $wpdb->links" );
			$pdo = new \PDO( "sqlite:" . FQDB );
			return $pdo->query( "SELECT count(*) FROM sqlite_sequence WHERE seq >= 100000 AND name IN (\'$wpdb->commentmeta\', \'$wpdb->links\')" )->fetchColumn();';
		same( 0, (int) $run( 'one', $code ), 'counters in a band, right after' );
		foreach ( array( 'wp_commentmeta', 'wp_links' ) as $table ) {
			eventually( static fn () => $counter( 'one', $table ) >= BAND, "$table of one is numbered apart" );
			holds( $counter( 'one', $table ) !== $counter( 'two', $table ), "$table of one and of two have two bands" );
		}
		holds( $run( 'one', 'return add_comment_meta( 1, "mood", "fine" );' ) > BAND, 'the next id' );
	}
);

test(
	'a table that a plugin makes in two branches is numbered apart, too',
	static function () use ( $run, $counter, $band ): void {
		foreach ( array( 'one', 'two' ) as $branch ) {
			$run( $branch, '$wpdb->query( "CREATE TABLE wp_plugin (id bigint(20) NOT NULL AUTO_INCREMENT, word text, PRIMARY KEY (id))" );' );
		}
		foreach ( array( 'one', 'two' ) as $branch ) {
			eventually( static fn () => $counter( $branch, 'wp_plugin' ) >= BAND, "wp_plugin of $branch is numbered apart" );
		}
		$insert = static fn ( string $branch ): int =>
			$run( $branch, '$wpdb->insert( "wp_plugin", array( "word" => "x" ) ); return $wpdb->insert_id;' );
		$bands  = array( $band( $insert( 'one' ) ), $band( $insert( 'two' ) ) );
		sort( $bands );
		same( array( 1, 2 ), $bands, 'bands' );
	}
);

test(
	'without a server the next mutation sees to it',
	static function () use ( $site, $counter ): void {
		$site->stop();
		$site->database( 'two' )->exec( "UPDATE sqlite_sequence SET seq = 0 WHERE name = 'wp_links'" );
		$site->done( 'branch', 'create', 'three' );
		holds( $counter( 'two', 'wp_links' ) >= BAND, 'wp_links of two is numbered apart' );
		same( BAND * 3, $counter( 'three', 'wp_posts' ), 'where the posts of the new branch begin' );
		$site->serve( 2 );
	}
);

test(
	'a branch that is reset gets another band, and one that is purged gives its own back',
	static function () use ( $site, $counter ): void {
		$site->done( 'branch', 'reset', 'three', '--from', 'one' );
		same( BAND * 4, $counter( 'three', 'wp_posts' ), 'after a reset' );
		$site->done( 'branch', 'create', 'four' );
		same( BAND * 5, $counter( 'four', 'wp_posts' ), 'of a new branch' );
		$site->done( 'branch', 'delete', '--purge', 'four' );
		$site->done( 'branch', 'create', 'five' );
		same( BAND * 5, $counter( 'five', 'wp_posts' ), 'of the next one' );
	}
);

test(
	'site.toml turns it off, and two things with one id are a conflict then',
	static function () use ( $site, $run ): void {
		$settings = "$site->dir/.forkpress/site.toml";
		// It may be about to look with the settings of before.
		$site->stop();
		file_put_contents( $settings, "id_bands = false\n" . file_get_contents( $settings ) );
		$site->serve( 2 );
		$site->done( 'branch', 'create', 'alike' );
		$post = static fn ( string $branch ): int => $run( $branch, "return wp_insert_post( array( 'post_title' => 'Twin of $branch', 'post_status' => 'publish' ) );" );
		$id   = $post( 'main' );
		same( $id, $post( 'alike' ), 'ids' );
		$outcome = $site->run( '--json', 'branch', 'merge', 'alike', '--into', 'main' );
		same( 1, $outcome->status, "a merge: {$outcome->text()}: exit status" );
		$conflicts = json_decode( $outcome->out, true )['conflicts'];
		$of_ids    = array_values( array_filter( $conflicts, static fn ( $conflict ) => 'id' === $conflict['kind'] ) );
		same( array( 1, 1 ), array( count( $of_ids ), count( $conflicts ) ), "conflicts: $outcome->out" );
		holds( str_contains( $of_ids[0]['what'], "post $id" ), "it names the post: $outcome->out" );
		foreach ( array( 'ours' => 'Twin of main', 'theirs' => 'Twin of alike' ) as $side => $title ) {
			holds( str_contains( $of_ids[0][ $side ], $title ), "$side is $title: $outcome->out" );
		}
		$title = static fn (): string => $run( 'main', "return get_post( $id )->post_title;" );
		same( 'Twin of main', $title(), 'the title in main' );
		$site->done( 'branch', 'merge', 'alike', '--into', 'main', '--theirs' );
		same( 'Twin of alike', $title(), 'the title in main after --theirs' );
	}
);

$site->has_no_complaints();
