<?php
/**
 * Clients that save posts on `main`, and what must hold of every branch meanwhile.
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
	 * @param Site $site The site, which is served.
	 */
	public function __construct( Site $site ) {
		$admin       = new Browser( $site, 'main' );
		$password    = $admin->rest( 'POST', '/wp/v2/users/me/application-passwords', array( 'name' => 'load' ), 201 )['password'];
		$credentials = 'Basic ' . base64_encode( "admin:$password" );
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
