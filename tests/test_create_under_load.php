<?php
/**
 * Branches come and go while people work on `main`: no request fails, nothing that was saved is lost, and every branch is
 * a state in which `main` really was.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_create_under_load.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

/** How many clients save posts at once. */
const CLIENTS = 4;

/** How many posts each client saves between one mutation and the next, at least. */
const POSTS_BETWEEN = 2;

/** The clients, and what came of the posts that they saved. */
final class Load {
	/** @var Process[] */
	private array $clients = array();

	/** @var int[] When each post was sent, by its title. */
	public array $began = array();

	/** @var int[] When each post was acknowledged, by its title. */
	public array $saved = array();

	/** @var string[] What went wrong. */
	public array $failed = array();

	/**
	 * Starts the clients.
	 *
	 * @param Site   $site        The site, which is served.
	 * @param string $credentials What they put into the header Authorization.
	 */
	public function __construct( Site $site, string $credentials ) {
		for ( $client = 1; $client <= CLIENTS; $client++ ) {
			$script          = __DIR__ . '/fixtures/save_posts.php';
			$this->clients[] = new Process( array( PHP_BINARY, $script, (string) $site->port, $site->host( 'main' ), $credentials, "client$client" ) );
		}
	}

	/** Reads what the clients have said until now. */
	public function read(): void {
		foreach ( $this->clients as $at => $client ) {
			$client_name = 'client' . ( $at + 1 );
			preg_match_all( '/^(began|saved|failed) (\d+) (.*)\n/m', $client->output(), $lines, PREG_SET_ORDER );
			foreach ( $lines as list( , $step, $number, $rest ) ) {
				$title                   = "$client_name-$number";
				$this->{$step}[ $title ] = 'failed' === $step ? $rest : (int) $rest;
			}
		}
	}

	/** Waits until each client has saved some more posts. */
	public function goes_on(): void {
		$count = function (): array {
			$this->read();
			same( array(), $this->failed, 'requests that failed' );
			$clients = array_map( static fn ( $title ) => strtok( $title, '-' ), array_keys( $this->saved ) );
			return array_count_values( $clients );
		};
		$before = $count();
		eventually(
			static function () use ( $count, $before ) {
				$now = $count();
				for ( $client = 1; $client <= CLIENTS; $client++ ) {
					if ( ( $now[ "client$client" ] ?? 0 ) < ( $before[ "client$client" ] ?? 0 ) + POSTS_BETWEEN ) {
						return false;
					}
				}
				return true;
			},
			'each client has saved some more posts'
		);
	}

	/** Lets the clients finish the posts that they are at. */
	public function finish(): void {
		foreach ( $this->clients as $client ) {
			fclose( $client->stdin );
		}
		foreach ( $this->clients as $client ) {
			same( 0, $client->wait(), 'exit status of a client: ' . substr( $client->output(), -500 ) );
		}
		$this->read();
	}
}

/**
 * Returns what the clients' posts on a branch are, by their titles: each with everything that saving it writes.
 *
 * @param Site   $site   The site.
 * @param string $branch The branch.
 * @return array[]
 */
function posts( Site $site, string $branch ): array {
	$query = "SELECT post_title, post_content, post_status, guid <> '' AS has_address,
		( SELECT count(*) FROM wp_term_relationships WHERE object_id = ID ) AS categories
		FROM wp_posts WHERE post_title LIKE 'client%' AND post_type = 'post'";
	$posts = array();
	foreach ( $site->database( $branch )->query( $query, \PDO::FETCH_ASSOC ) as $post ) {
		$title = $post['post_title'];
		holds( ! isset( $posts[ $title ] ), "$title is on $branch once" );
		$posts[ $title ] = $post;
	}
	return $posts;
}

/**
 * Fails unless a branch is sound: its database is, its front page is served, and its posts are whole.
 *
 * @param Site   $site   The site.
 * @param string $branch The branch.
 * @return array[] Its posts.
 */
function sound( Site $site, string $branch ): array {
	same( 'ok', $site->database( $branch )->query( 'PRAGMA integrity_check' )->fetchColumn(), "integrity of $branch" );
	$page = $site->request( '/', array( 'Host' => $site->host( $branch ) ) );
	same( array( 200, $branch ), array( $page->status, $page->headers['x-forkpress-branch'] ?? null ), "the front page of $branch" );
	holds( str_ends_with( rtrim( $page->body ), '</html>' ), "the front page of $branch is whole" );
	$posts = posts( $site, $branch );
	foreach ( $posts as $title => $post ) {
		list( $client, $number ) = explode( '-', $title );
		$whole                   = array(
			'post_title'   => $title,
			'post_content' => "What $client said: $number",
			'post_status'  => 'publish',
			'has_address'  => 1,
			'categories'   => 1,
		);
		same( $whole, $post, "a post on $branch" );
	}
	return $posts;
}

/**
 * Fails unless posts are a state in which main really was: whatever was acknowledged before one of them was sent is among
 * them, too.
 *
 * @param Load     $load   The load.
 * @param string[] $titles The posts.
 * @param string[] $before What was acknowledged before the mutation began.
 */
function is_a_state_of_main( Load $load, array $titles, array $before ): void {
	same( array(), array_values( array_diff( $before, $titles ) ), 'posts that were saved before and are missing' );
	$sent = 0;
	foreach ( $titles as $title ) {
		holds( isset( $load->began[ $title ] ), "$title was sent" );
		$sent = max( $sent, $load->began[ $title ] );
	}
	$missing = array();
	foreach ( array_diff_key( $load->saved, array_flip( $titles ) ) as $title => $saved ) {
		if ( $saved < $sent ) {
			$missing[] = $title;
		}
	}
	same( array(), $missing, 'posts that were saved before others were sent, and are missing beside them' );
}

$site = new Site();
$site->serve( 4 );
$admin       = new Browser( $site, 'main' );
$password    = $admin->rest( 'POST', '/wp/v2/users/me/application-passwords', array( 'name' => 'load' ), 201 )['password'];
$credentials = 'Basic ' . base64_encode( "admin:$password" );
$load        = new Load( $site, $credentials );

/**
 * Runs a mutation that takes main's state, under load, and checks what became of the branch.
 *
 * @param string   $branch  The branch.
 * @param string[] $command The command.
 */
$takes_main = function ( string $branch, array $command ) use ( $site, $load ): void {
	$load->goes_on();
	$before = array_keys( $load->saved );
	$site->done( ...$command );
	$posts = sound( $site, $branch );
	$load->read();
	is_a_state_of_main( $load, array_keys( $posts ), $before );
};

test(
	'a branch that is created while four clients save posts is sound, and a state in which main really was',
	function () use ( $takes_main ) {
		foreach ( array( 'one', 'two', 'three' ) as $branch ) {
			$takes_main( $branch, array( 'branch', 'create', $branch ) );
		}
	}
);

test(
	'so is one that is reset meanwhile',
	function () use ( $takes_main ) {
		$takes_main( 'one', array( 'branch', 'reset', 'one', '--from', 'main' ) );
	}
);

test(
	'a branch of a branch has just that one\'s posts, whatever happens on main meanwhile',
	function () use ( $site, $load ) {
		$load->goes_on();
		$posts = posts( $site, 'two' );
		$site->done( 'branch', 'create', 'two-a', '--from', 'two' );
		same( $posts, sound( $site, 'two-a' ), 'posts' );
		same( $posts, posts( $site, 'two' ), 'posts of the other' );
	}
);

test(
	'branches are deleted meanwhile, and a name can be had again',
	function () use ( $site, $load, $takes_main ) {
		foreach ( array( 'two', 'one' ) as $branch ) {
			$load->goes_on();
			$site->done( 'branch', 'delete', $branch );
			same( 404, $site->request( '/', array( 'Host' => $site->host( $branch ) ) )->status, "the front page of $branch" );
			holds( ! file_exists( "$site->dir/$branch" ), "$branch is gone" );
		}
		$takes_main( 'two', array( 'branch', 'create', 'two' ) );
	}
);

test(
	'no request failed, and every post that was acknowledged is on main',
	function () use ( $site, $load ) {
		$load->finish();
		same( array(), $load->failed, 'requests that failed' );
		$on_main = array_keys( sound( $site, 'main' ) );
		same( array(), array_values( array_diff( array_keys( $load->began ), array_keys( $load->saved ) ) ), 'posts that were sent and not acknowledged' );
		same( array(), array_values( array_diff( array_keys( $load->saved ), $on_main ) ), 'posts that were acknowledged and are not on main' );
		same( count( $load->saved ), count( $on_main ), 'number of posts on main' );
	}
);

test(
	'nothing is left over, and nothing was complained of',
	function () use ( $site ) {
		same( array( 'main', 'three', 'two', 'two-a' ), array_column( $site->json( 'branch', 'list' ), 'name' ), 'branches' );
		foreach ( array( 'staging', 'trash', 'journal' ) as $folder ) {
			$path = "$site->dir/.forkpress/cow/$folder";
			same( array(), is_dir( $path ) ? array_diff( scandir( $path ), array( '.', '..' ) ) : array(), $folder );
		}
		$site->has_no_complaints();
	}
);
