<?php
/**
 * Mutations of a site that is in use, one after another, chosen by PHP's random numbers, some of them killed; and what must
 * hold of the site after each.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/load.php';

/** The branches that come and go. */
const NAMES = array( 'a', 'b', 'c' );

/** The mutations of a site with its load, and the branches that there must be. */
final class Mutations {
	/** @var string[] The branches beside main, sorted. */
	public array $exist = array();

	/** @var int[] How many mutations there were, by what became of them. */
	public array $done = array( 'finished' => 0, 'killed' => 0 );

	/** @var int[] How many mutations were killed, by their kind. */
	public array $killed = array();

	/** How many things were made on branches to be merged into `main`. */
	private int $made = 0;

	/** @var float[] How long the last mutation of each kind took that was let finish, in microseconds. */
	private array $took = array();

	/**
	 * Begins with a site that has no branch beside main.
	 *
	 * @param Site $site The site.
	 * @param Load $load What is going on on it.
	 */
	public function __construct( private Site $site, private Load $load ) {}

	/**
	 * Returns a mutation that is possible: its arguments, what it makes of the branches, and the branch that it changes.
	 *
	 * @return array{string[], string[], string}
	 */
	private function choose(): array {
		if ( 0 === mt_rand( 0, 4 ) ) {
			$undone = $this->to_undo();
			if ( null !== $undone ) {
				$name = $undone['name'];
				return match ( $undone['operation'] ) {
					'create' => array( array( 'undo' ), $this->without( $name ), $name ),
					'delete' => array( array( 'undo' ), $this->with( $name ), $name ),
					'reset'  => array( array( 'undo' ), $this->exist, $name ),
				};
			}
		}
		$name = NAMES[ mt_rand( 0, count( NAMES ) - 1 ) ];
		if ( ! in_array( $name, $this->exist, true ) ) {
			return array( array( 'branch', 'create', $name ), $this->with( $name ), $name );
		}
		if ( 0 === mt_rand( 0, 2 ) ) {
			$this->make_something( $name );
			return array( array( 'branch', 'merge', $name, '--into', 'main' ), $this->exist, 'main' );
		}
		if ( 0 === mt_rand( 0, 1 ) ) {
			return array( array( 'branch', 'reset', $name, '--from', 'main' ), $this->exist, $name );
		}
		return array( array( 'branch', 'delete', $name ), $this->without( $name ), $name );
	}

	/**
	 * Makes a post and a file on a branch.
	 *
	 * @param string $branch The branch.
	 */
	private function make_something( string $branch ): void {
		$title = 'home-' . ++$this->made;
		$code  = "require 'wp-load.php'; file_put_contents( 'wp-content/$title', '' );"
			. "exit( (int) ! wp_insert_post( array( 'post_title' => '$title', 'post_status' => 'publish' ) ) );";
		$this->site->done( 'exec', $branch, '--', PHP_BINARY, '-r', $code );
	}

	/**
	 * Fails unless all that came to main by merges came with its post and its file.
	 *
	 * @param string|null $branch A branch of which everything came.
	 */
	private function comes_home_whole( ?string $branch ): void {
		$main  = $this->homes( 'main' );
		$files = array_map( 'basename', glob( "{$this->site->dir}/main/wp-content/home-*" ) );
		sort( $files );
		same( $main, $files, 'posts and files on main that came by merges' );
		if ( null !== $branch ) {
			same( array(), array_diff( $this->homes( $branch ), $main ), "posts of $branch, which was merged, that are not on main" );
		}
	}

	/**
	 * Returns the posts on a branch that were made to be merged.
	 *
	 * @param string $branch The branch.
	 * @return string[]
	 */
	private function homes( string $branch ): array {
		$query  = "SELECT post_title FROM wp_posts WHERE post_title LIKE 'home-%' AND post_type = 'post'";
		$titles = $this->site->database( $branch )->query( $query )->fetchAll( \PDO::FETCH_COLUMN );
		sort( $titles );
		return $titles;
	}

	/** Returns the operation that `forkpress undo` takes back, if there is one and it can. */
	private function to_undo(): ?array {
		foreach ( $this->site->json( 'log', '-n', '1000' ) as $operation ) {
			if ( null === $operation['undone_by'] && 'undo' !== $operation['operation'] ) {
				return 'main' !== $operation['name'] && $operation['kept'] ? $operation : null;
			}
		}
		return null;
	}

	/** Returns the branches with one more. */
	private function with( string $name ): array {
		$names = array( ...$this->exist, $name );
		sort( $names );
		return $names;
	}

	/** Returns the branches without one. */
	private function without( string $name ): array {
		return array_values( array_diff( $this->exist, array( $name ) ) );
	}

	/** Lets a mutation finish, and checks what it made. */
	public function finish_one(): void {
		$this->requests_succeed();
		$before                        = array_keys( $this->load->saved );
		list( $command, $then, $name ) = $this->choose();
		$begin                         = hrtime( true );
		$this->site->done( ...$command );
		$this->took[ self::kind( $command ) ] = ( hrtime( true ) - $begin ) / 1000;
		same( $then, $this->found(), 'branches after ' . implode( ' ', $command ) );
		$this->exist = $then;
		++$this->done['finished'];
		$this->comes_home_whole( 'merge' === self::kind( $command ) ? $command[2] : null );
		if ( in_array( self::kind( $command ), array( 'create', 'reset' ), true ) ) {
			$this->is_sound( $name, $before );
		}
	}

	/** Kills a mutation at a random moment of the time that one of its kind takes, and checks what the next command makes of it. */
	public function kill_one(): void {
		$this->requests_succeed();
		list( $command, $then, $name ) = $this->choose();
		// The first of a kind is killed within a second, which is about what the slowest takes.
		$longest = $this->took[ self::kind( $command ) ] ?? 1000000;
		$process = new Process( array( program(), ...$command ), array( 'FORKPRESS_STATE_DIR' => $this->site->state_dir ), $this->site->dir );
		usleep( (int) ( $longest * mt_rand( 0, 1000 ) / 1000 ) );
		$process->stop();
		if ( 128 + SIGKILL === $process->wait() ) {
			++$this->done['killed'];
			$kind                  = self::kind( $command );
			$this->killed[ $kind ] = ( $this->killed[ $kind ] ?? 0 ) + 1;
		}
		$this->next_command_recovers( implode( ' ', $command ) );
		$found = $this->found();
		holds( $found === $this->exist || $found === $then, implode( ' ', $command ) . ' was killed, and the branches are as before or as after: ' . implode( ', ', $found ) );
		$this->exist = $found;
		$this->comes_home_whole( null );
		// A look at a whole branch takes longer than most mutations, and the end has one at each.
		if ( in_array( $name, $found, true ) && 0 === mt_rand( 0, 2 ) ) {
			$this->is_sound( $name );
		}
	}

	/**
	 * Fails unless the next command, even one that is refused, brings what died to its end.
	 *
	 * @param string $killed What died.
	 */
	private function next_command_recovers( string $killed ): void {
		$refused = $this->site->run( 'branch', 'delete', 'no-such-branch' );
		same( 1, $refused->status, "a command after the death of $killed: {$refused->text()}: exit status" );
		foreach ( array( 'staging', 'journal' ) as $folder ) {
			same( array(), $this->inside( $folder ), "what $killed, which died, left in $folder" );
		}
	}

	/**
	 * Returns what is in a folder of the site's own.
	 *
	 * @param string $folder The folder.
	 * @return string[]
	 */
	private function inside( string $folder ): array {
		return array_values( array_diff( scandir( "{$this->site->dir}/.forkpress/cow/$folder" ), array( '.', '..' ) ) );
	}

	/**
	 * Returns the branches beside main: those with a record. Each has its folder, and each folder its record.
	 *
	 * @return string[]
	 */
	private function found(): array {
		$records = array_map( static fn ( $file ) => basename( $file, '.toml' ), $this->inside( 'branches' ) );
		$folders = array_values( array_diff( scandir( $this->site->dir ), array( '.', '..', '.forkpress' ) ) );
		same( $folders, $records, 'branches with a record' );
		return array_values( array_diff( $records, array( 'main' ) ) );
	}

	/**
	 * Fails unless a branch is sound and a state in which main really was.
	 *
	 * @param string   $branch The branch.
	 * @param string[] $before The posts that must be there.
	 */
	private function is_sound( string $branch, array $before = array() ): void {
		$titles = array_keys( sound( $this->site, $branch ) );
		$this->load->read();
		is_a_state_of_main( $this->load, $titles, $before );
	}

	/** Fails unless every request succeeded until now. */
	private function requests_succeed(): void {
		$this->load->read();
		same( array(), $this->load->failed, 'requests that failed' );
	}

	/** Ends the load, and checks the whole site. */
	public function end(): void {
		$this->load->finish();
		$this->requests_succeed();
		$this->next_command_recovers( 'the last one' );
		same( array( 'main', ...$this->exist ), array_column( $this->site->json( 'branch', 'list' ), 'name' ), 'branches in the end' );
		$this->is_sound( 'main', array_keys( $this->load->saved ) );
		array_map( fn ( $branch ) => $this->is_sound( $branch ), $this->exist );
		$this->site->done( 'gc' );
		same( array(), $this->inside( 'trash' ), 'trash after gc' );
		$this->site->has_no_complaints();
		printf( "%d posts, %d mutations finished, %d killed: %s\n", count( $this->load->saved ), $this->done['finished'], $this->done['killed'], json_encode( $this->killed ) );
	}

	/**
	 * Returns the word that says what a command does.
	 *
	 * @param string[] $command Its arguments.
	 */
	private static function kind( array $command ): string {
		return 'undo' === $command[0] ? 'undo' : $command[1];
	}
}
