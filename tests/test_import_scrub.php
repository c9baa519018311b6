<?php
/**
 * A site comes in without the people that it had: nothing of theirs is in its database, and it works.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_import_scrub.php
 *
 * WooCommerce and Wordfence are in no registry: their tables are made here as those plugins publish them, as far as it
 * matters.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/person.php';

/** What no byte of a database may have. */
const GONE = array( 'zwiebelfisch', 'grigorij', 'quastenflosser', 'wladimira', '203.0.113.77', '0301234567', 'irrweg', 'ponyhof', 'ch_3NverySecret', 'oldbrowser', 'hushhush' );

/** What makes the people, in WordPress. */
const PEOPLE = <<<'PHP'
	global $wpdb;
	$gz = wp_insert_user( array( 'user_login' => 'zwiebelfisch', 'user_pass' => 'hushhush', 'user_email' => 'gz@zwiebelfisch.example', 'display_name' => 'Grigorij Zwiebelfisch', 'first_name' => 'Grigorij', 'last_name' => 'Zwiebelfisch', 'user_url' => 'https://zwiebelfisch.example', 'description' => 'Hushhush', 'role' => 'editor' ) );
	$wq = wp_insert_user( array( 'user_login' => 'quastenflosser', 'user_pass' => 'hushhush', 'user_email' => 'wq@quastenflosser.example', 'display_name' => 'Wladimira Quastenflosser', 'role' => 'author' ) );
	WP_Session_Tokens::get_instance( $gz )->create( time() + 1000 );
	foreach ( array( 'billing_phone' => '0301234567', 'billing_address_1' => 'Irrweg 7', 'billing_city' => 'Ponyhof', 'billing_country' => 'DE', 'prefs' => array( 'mail_to' => 'gz@zwiebelfisch.example', 'size' => 3 ) ) as $key => $value ) { update_user_meta( $gz, $key, $value ); }
	$post = wp_insert_post( array( 'post_title' => 'Contact', 'post_content' => 'Write to gz@zwiebelfisch.example, see ' . home_url( '/author/zwiebelfisch/' ), 'post_status' => 'publish', 'post_author' => $gz, 'comment_status' => 'open' ) );
	foreach ( array( array( 'Grigorij Zwiebelfisch', 'gz@zwiebelfisch.example', $gz ), array( 'Wladimira', 'WQ@quastenflosser.example', 0 ) ) as list( $name, $email, $user ) ) {
		wp_insert_comment( array( 'comment_post_ID' => $post, 'comment_author' => $name, 'comment_author_email' => $email, 'comment_author_url' => 'https://zwiebelfisch.example', 'comment_author_IP' => '203.0.113.77', 'comment_agent' => 'OldBrowser', 'comment_content' => 'A fine page', 'comment_approved' => 1, 'user_id' => $user ) );
	}
	update_option( 'admin_email', 'gz@zwiebelfisch.example' );
	set_transient( 'copy', 'gz@zwiebelfisch.example' );
	foreach ( array(
		'wc_orders (id bigint unsigned NOT NULL, status varchar(20), total_amount decimal(26,8), customer_id bigint unsigned, billing_email varchar(320), ip_address varchar(100), user_agent text, customer_note text, transaction_id varchar(100), PRIMARY KEY (id))',
		'wc_order_addresses (id bigint unsigned NOT NULL AUTO_INCREMENT, order_id bigint unsigned NOT NULL, address_type varchar(20), first_name text, last_name text, company text, address_1 text, city text, postcode text, country text, email varchar(320), phone varchar(100), PRIMARY KEY (id))',
		'woocommerce_sessions (session_id bigint unsigned NOT NULL AUTO_INCREMENT, session_key char(32) NOT NULL, session_value longtext NOT NULL, session_expiry bigint unsigned NOT NULL, PRIMARY KEY (session_id), UNIQUE KEY session_key (session_key))',
		'wfhits (id int unsigned NOT NULL AUTO_INCREMENT, IP binary(16), URL text, PRIMARY KEY (id))',
		'waiting_list (id int NOT NULL AUTO_INCREMENT, mail varchar(190) NOT NULL, name varchar(100), seat varchar(10), answers json, PRIMARY KEY (id), UNIQUE KEY mail (mail))',
	) as $table ) { $wpdb->query( "CREATE TABLE {$wpdb->prefix}$table" ); }
	foreach ( array(
		"wc_orders VALUES (77, 'wc-completed', 12.5, $gz, 'gz@zwiebelfisch.example', '203.0.113.77', 'OldBrowser', 'Hushhush', 'ch_3NverySecret')",
		"wc_order_addresses VALUES (1, 77, 'billing', 'Grigorij', 'Zwiebelfisch', 'Zwiebelfisch AG', 'Irrweg 7', 'Ponyhof', '10115', 'DE', 'gz@zwiebelfisch.example', '0301234567'), (2, 77, 'shipping', 'Grigorij', 'Zwiebelfisch', '', 'Irrweg 7', 'Ponyhof', '10115', 'DE', NULL, NULL)",
		"woocommerce_sessions VALUES (1, '1', 'hushhush', 1)",
		"wfhits VALUES (1, x'00000000000000000000ffffcb00714d', '/?zwiebelfisch')",
		"waiting_list VALUES (1, 'gz@zwiebelfisch.example', 'Zwiebelfisch, G.', '7a', '{\"phone\":\"0301234567\",\"meal\":\"soup\"}'), (2, 'else@zwiebelfisch.example', '', '7b', NULL)",
	) as $row ) { $wpdb->query( "INSERT INTO {$wpdb->prefix}$row" ); }
	return array( $gz, $wq, $post );
PHP;

$site = new Site();
$site->serve( 2 );
$site->done( 'branch', 'create', 'shop' );
list( $gz, $wq, $page ) = ask_wordpress( $site, 'shop', PEOPLE );

$out = temp_dir();
$site->done( 'export', 'shop', '--to', "$out/site.zip" );
$site->done( 'export', 'shop', '--format', 'sql', '--to', "$out/dump.sql" );
$said = $site->json( 'import', "$out/site.zip", '--scrub', '--branch', 'clean' )['imported']['scrubbed'];

/**
 * Fails if anything of the people is in any file beside a branch's database.
 *
 * @param string $branch The branch.
 */
$is_clean = static function ( string $branch ) use ( $site ): void {
	foreach ( glob( "$site->dir/$branch/wp-content/database/{,.}*", GLOB_BRACE ) as $file ) {
		$bytes = is_file( $file ) ? file_get_contents( $file ) : '';
		foreach ( GONE as $word ) {
			$place = stripos( $bytes, $word );
			same( false, $place, "$word in " . basename( $file ) . ': ' . preg_replace( '/[^ -~]+/', '.', substr( $bytes, max( 0, (int) $place - 80 ), 200 ) ) );
		}
	}
};

/**
 * Returns the first column of what a query gives.
 *
 * @param string $branch The branch.
 * @param string $query  The query.
 */
$column = static fn ( string $branch, string $query ): array => $site->database( $branch )->query( $query )->fetchAll( \PDO::FETCH_COLUMN );

test(
	'nothing of the people is in any byte of the database',
	function () use ( $is_clean, $said ) {
		$is_clean( 'clean' );
		holds( $said['replaced']['names'] > 8 && $said['replaced']['passwords'] >= 3, json_encode( $said ) );
		same( array( 'wp_wfhits', 'wp_woocommerce_sessions' ), $said['emptied'], 'tables that are emptied' );
		same( array( 'wp_waiting_list' ), $said['by_names_only'], 'tables that no rule knows' );
	}
);

test(
	'one person is the same one in users, comments, orders and a table of nobody knows what',
	function () use ( $site, $gz, $column ) {
		list( $email, $name ) = $site->database( 'clean' )->query( "SELECT user_email, display_name FROM wp_users WHERE ID = $gz" )->fetch( \PDO::FETCH_NUM );
		same( array( $name ), $column( 'clean', "SELECT comment_author FROM wp_comments WHERE user_id = $gz" ), 'the comment' );
		same( array( $email, $email, $email ), $column( 'clean', 'SELECT billing_email FROM wp_wc_orders UNION ALL SELECT email FROM wp_wc_order_addresses WHERE email IS NOT NULL UNION ALL SELECT mail FROM wp_waiting_list WHERE id = 1' ), 'mailboxes' );
		same( array( $name, $name ), $column( 'clean', "SELECT first_name || ' ' || last_name FROM wp_wc_order_addresses" ), 'whom it is sent to' );
		same( array( 'DE', 'DE', '7a', '7b' ), $column( 'clean', 'SELECT country FROM wp_wc_order_addresses UNION ALL SELECT seat FROM wp_waiting_list' ), 'what is of nobody' );
		same( array( 'soup' ), array_column( array_map( 'json_decode', $column( 'clean', 'SELECT answers FROM wp_waiting_list WHERE id = 1' ) ), 'meal' ), 'the rest of JSON' );
		same( array( 'ok' ), $column( 'clean', 'PRAGMA integrity_check' ), 'integrity' );
	}
);

test(
	'the site works, and shows who people became',
	function () use ( $site, $gz, $page ) {
		$there = ask_wordpress( $site, 'clean', '$user = get_userdata( $given ); return array( $user->roles, $user->user_nicename, get_user_meta( $given, "prefs", true ), get_user_meta( $given, "billing_country", true ), $user->display_name, WP_Session_Tokens::get_instance( $given )->get_all(), get_author_posts_url( $given ) );', $gz );
		list( $roles, $nicename, $prefs, $country, $name, $sessions, $author ) = $there;
		same( array( array( 'editor' ), 3, 'DE', array() ), array( $roles, $prefs['size'], $country, $sessions ), 'role, value, country, sessions' );
		$browser = new Browser( $site, 'clean' );
		foreach ( array( "/?p=$page", "/?author=$gz" ) as $path ) {
			$answer = $browser->request( $path );
			$answer = 301 === $answer->status ? $browser->request( preg_replace( '~^https?://[^/]+~', '', $answer->headers['location'] ) ) : $answer;
			same( 200, $answer->status, $path );
			holds( str_contains( $answer->body, $name ), "$name on $path" );
			holds( str_contains( $path, 'author' ) || str_contains( $answer->body, "/author/$nicename/" ), "a link to $nicename on $path" );
			foreach ( GONE as $word ) {
				holds( false === stripos( $answer->body, $word ), "no $word on $path" );
			}
		}
		$users = json_decode( $site->done( 'wp', 'clean', '--', 'user', 'list', '--format=json', '--fields=ID,user_login,user_email,roles', '--orderby=ID' ), true );
		same( array( 'administrator', 'editor', 'author' ), array_column( $users, 'roles' ), 'roles' );
		same( 3, count( array_unique( array_column( $users, 'user_login' ) ) ), 'logins' );
	}
);

test(
	'nobody logs in with an old password, and whoever gets a new one does',
	function () use ( $site, $gz ) {
		$login = json_decode( $site->done( 'wp', 'clean', '--', 'user', 'get', '1', '--format=json' ), true )['user_login'];
		$form  = array( 'log' => $login, 'pwd' => $site->password );
		$tried = ( new Browser( $site, 'clean' ) )->request( '/wp-login.php', 'POST', http_build_query( $form ), array( 'Content-Type' => 'application/x-www-form-urlencoded' ) );
		same( 200, $tried->status, 'the form again, with the old password' );
		$site->done( 'wp', 'clean', '--', 'user', 'update', '1', '--user_pass=new-one', '--skip-email' );
		$admin = new Person( $site, 'clean', $login, 'new-one' );
		holds( str_contains( $admin->open( '/wp-admin/users.php' ), 'users' ), 'the list of users' );
	}
);

test(
	'the same people become the same, of a site and of a dump, and nobody is told who they were',
	function () use ( $site, $out, $column, $is_clean ) {
		holds( str_contains( file_get_contents( "$out/dump.sql" ), 'Grigorij Zwiebelfisch' ), 'the dump has people' );
		$outcome = $site->run( 'import', "$out/dump.sql", '--scrub', '--branch', 'dump' );
		same( 0, $outcome->status, $outcome->text() );
		holds( str_contains( $outcome->out, 'scrubbed:' ) && str_contains( $outcome->out, '--user_pass' ), "what is told: {$outcome->text()}" );
		foreach ( GONE as $word ) {
			holds( false === stripos( $outcome->text(), $word ), "$word is not told" );
		}
		$all = 'SELECT user_login || user_nicename || user_email || display_name FROM wp_users ORDER BY ID';
		same( $column( 'clean', $all ), $column( 'dump', $all ), 'users' );
		$is_clean( 'dump' );
	}
);

test(
	'an export of contents is refused: it is no database',
	function () use ( $site, $out ) {
		$site->done( 'export', 'shop', '--format', 'wxr', '--to', "$out/posts.xml" );
		$outcome = $site->run( 'import', "$out/posts.xml", '--scrub', '--branch', 'posts' );
		same( 1, $outcome->status, $outcome->text() );
		holds( str_contains( $outcome->errors, '--scrub' ) && ! is_dir( "$site->dir/posts" ), $outcome->text() );
	}
);

test(
	'an SQLite database is scrubbed, too, and a network keeps its super admins',
	function () use ( $site, $is_clean, $gz ) {
		$site->done( 'wp', 'shop', '--', 'core', 'multisite-convert' );
		$site->done( 'wp', 'shop', '--', 'super-admin', 'add', 'zwiebelfisch' );
		$site->done( 'wp', 'shop', '--', 'site', 'create', '--slug=two', '--email=wq@quastenflosser.example' );
		$network = new Site( null, $site->dir, '--from-branch', 'shop', '--scrub' );
		$bytes   = file_get_contents( "$network->dir/main/wp-content/database/.ht.sqlite" );
		foreach ( GONE as $word ) {
			same( false, stripos( $bytes, $word ), $word );
		}
		$login  = $network->database( 'main' )->query( "SELECT user_login FROM wp_users WHERE ID = $gz" )->fetchColumn();
		$admins = json_decode( $network->done( 'wp', 'main', '--', 'super-admin', 'list', '--format=json' ), true );
		holds( in_array( $login, array_column( $admins, 'user_login' ), true ), json_encode( $admins ) . " has $login" );
		same( 2, count( json_decode( $network->done( 'wp', 'main', '--', 'site', 'list', '--format=json' ), true ) ), 'sites' );
	}
);
$site->has_no_complaints();
