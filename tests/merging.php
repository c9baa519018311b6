<?php
/**
 * What the tests of merges share: a site whose `main` is the same at the begin of each, merges, and what a branch has.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require_once __DIR__ . '/person.php';

/** A site with a `main` that somebody works on, and that can be had again as it was. */
final class Merging {
	/** @var Site The site. */
	public readonly Site $site;

	/**
	 * Makes a site with the plugins of the fixtures, in which somebody was before.
	 *
	 * @param callable|null $prepare What is done in `main`, by a person who is given.
	 */
	public function __construct( ?callable $prepare = null ) {
		$this->site = new Site();
		$plugins    = __DIR__ . '/fixtures/plugins';
		foreach ( array_diff( scandir( $plugins ), array( '.', '..' ) ) as $plugin ) {
			foreach ( array_diff( scandir( "$plugins/$plugin" ), array( '.', '..' ) ) as $file ) {
				put( "{$this->site->dir}/main/wp-content/plugins/$plugin/$file", file_get_contents( "$plugins/$plugin/$file" ) );
			}
		}
		// Two requests that write the list of events at once lose some, which is WordPress's. Here they run when they are asked for.
		$config = "{$this->site->dir}/main/wp-config.php";
		put( $config, str_replace( '// Add your own', "define( 'DISABLE_WP_CRON', true );\n\n// Add your own", file_get_contents( $config ) ) );
		$this->site->serve( 4 );
		$person = new Person( $this->site, 'main' );
		$person->visit();
		if ( null !== $prepare ) {
			$prepare( $person );
		}
		$this->site->done( 'branch', 'create', 'pristine' );
	}

	/**
	 * Gives `main` what it had at first, makes branches from it, and returns a person at `main` and one at each.
	 *
	 * @param string ...$branches The branches; all others go.
	 * @return Person[]
	 */
	public function part( string ...$branches ): array {
		foreach ( array_column( $this->site->json( 'branch', 'list' ), 'name' ) as $name ) {
			if ( ! in_array( $name, array( 'main', 'pristine' ), true ) ) {
				$this->site->done( 'branch', 'delete', '--purge', $name );
			}
		}
		$this->site->done( 'branch', 'reset', 'main', '--from', 'pristine', '--force' );
		$this->site->done( 'branch', 'create', ...$branches );
		return array_map( fn ( $branch ) => new Person( $this->site, $branch ), array( 'main', ...$branches ) );
	}

	/**
	 * Merges, and returns the exit status and what is printed as JSON.
	 *
	 * @param string   $from    The branch that comes home.
	 * @param string   $into    The branch that it comes home to.
	 * @param string[] $options Further arguments.
	 * @return array{int, array}
	 */
	public function run( string $from, string $into, array $options = array() ): array {
		$outcome = $this->site->run( '--json', 'branch', 'merge', $from, '--into', $into, ...$options );
		$said    = json_decode( $outcome->out, true );
		holds( is_array( $said ), "merging $from into $into prints JSON: {$outcome->text()}" );
		return array( $outcome->status, $said );
	}

	/**
	 * Merges, which must succeed, and returns what is printed as JSON.
	 *
	 * @param string $from       The branch that comes home.
	 * @param string $into       The branch that it comes home to.
	 * @param string ...$options Further arguments.
	 */
	public function merged( string $from, string $into, string ...$options ): array {
		list( $status, $said ) = $this->run( $from, $into, $options );
		same( array( 0, array() ), array( $status, $said['conflicts'] ), "merging $from into $into: exit status and conflicts" );
		same( array( $from, $into ), array( $said['merged'], $said['into'] ), 'what was merged' );
		return $said;
	}

	/**
	 * Merges, which must be refused and change nothing, and returns the conflicts.
	 *
	 * @param string $from       The branch that comes home.
	 * @param string $into       The branch that it comes home to.
	 * @param string ...$options Further arguments.
	 * @return array[]
	 */
	public function refused( string $from, string $into, string ...$options ): array {
		$before                = array( $this->contents( $into ), $this->log(), $this->generation() );
		list( $status, $said ) = $this->run( $from, $into, $options );
		same( 1, $status, "merging $from into $into: " . json_encode( $said ) . ': exit status' );
		same( null, $said['operation'], 'operation' );
		same( $before, array( $this->contents( $into ), $this->log(), $this->generation() ), "$into, the log and the generation after a refusal" );
		return $said['conflicts'];
	}

	/**
	 * Fails unless there is nothing to merge, and a merge says so and does nothing.
	 *
	 * @param string $from The branch that comes home.
	 * @param string $into The branch that it comes home to.
	 */
	public function nothing_to_merge( string $from, string $into ): void {
		$before  = array( $this->contents( $into ), $this->log(), $this->generation() );
		$outcome = $this->site->run( 'branch', 'merge', $from, '--into', $into );
		same( 0, $outcome->status, "merging $from into $into: {$outcome->text()}: exit status" );
		holds( str_contains( $outcome->text(), 'nothing to merge' ), "it says so: {$outcome->text()}" );
		$said = $this->merged( $from, $into );
		same( array( null, 0, 0 ), array( $said['operation'], $said['files'], $said['rows'] ), 'operation, files and rows' );
		same( $before, array( $this->contents( $into ), $this->log(), $this->generation() ), "$into, the log and the generation" );
	}

	/**
	 * Writes a file of answers for `--resolve`: the list that `branch conflicts` prints, filled in. Returns its path.
	 *
	 * @param string $from   The branch that comes home.
	 * @param string $into   The branch that it comes home to.
	 * @param array  $answer What is added to each conflict, such as `take`.
	 */
	public function answers( string $from, string $into, array $answer ): string {
		$list = $this->site->json( 'branch', 'conflicts', $from, '--into', $into );
		$path = temp_dir() . '/answers.json';
		put( $path, json_encode( array_map( static fn ( $conflict ) => $answer + $conflict, $list ) ) );
		return $path;
	}

	/**
	 * Returns what a branch has: a hash of each table's rows and of all files.
	 *
	 * @param string $branch The branch.
	 * @return string[]
	 */
	public function contents( string $branch ): array {
		$database = $this->site->database( $branch );
		$contents = array( 'files' => self::hash( "{$this->site->dir}/$branch" ) );
		foreach ( $database->query( "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name" )->fetchAll( \PDO::FETCH_COLUMN ) as $table ) {
			$rows               = $database->query( "SELECT * FROM \"$table\" ORDER BY rowid" )->fetchAll( \PDO::FETCH_NUM );
			$contents[ $table ] = hash( 'xxh128', serialize( $rows ) );
		}
		return $contents;
	}

	/**
	 * Returns a hash of a folder's files, with their names and modes, without the database.
	 *
	 * @param string $folder The folder.
	 */
	private static function hash( string $folder ): string {
		$hashes = array();
		foreach ( array_diff( scandir( $folder ), array( '.', '..', 'database' ) ) as $name ) {
			$hashes[] = "$name " . ( is_dir( "$folder/$name" ) ? self::hash( "$folder/$name" ) : fileperms( "$folder/$name" ) . hash_file( 'xxh128', "$folder/$name" ) );
		}
		return hash( 'xxh128', implode( "\n", $hashes ) );
	}

	/** Returns the operations of the log. */
	public function log(): array {
		return array_column( $this->site->json( 'log', '-n', '1000' ), 'id' );
	}

	/** Returns the site's generation. */
	public function generation(): string {
		return strtok( file_get_contents( "{$this->site->dir}/.forkpress/cow/operations.lock" ), "\n" );
	}

	/**
	 * Asks the WordPress of a branch.
	 *
	 * @param string $branch The branch.
	 * @param string $code   The body of a function that returns something that JSON can hold.
	 * @param mixed  $given  What the function finds as `$given`.
	 */
	public function ask( string $branch, string $code, mixed $given = null ): mixed {
		return ask_wordpress( $this->site, $branch, $code, $given );
	}

	/**
	 * Returns raw fields of a post.
	 *
	 * @param string $branch    The branch.
	 * @param int    $id        The post.
	 * @param string ...$fields The columns.
	 */
	public function post( string $branch, int $id, string ...$fields ): array {
		return $this->ask( $branch, '$post = get_post( $given[0], ARRAY_A ); return array_map( static fn ( $field ) => $post[ $field ] ?? null, $given[1] );', array( $id, $fields ) );
	}
}

/**
 * Returns where two values differ, a line for each place.
 *
 * @param mixed  $right The value that is right.
 * @param mixed  $found The value that was found.
 * @param string $place Where that is.
 * @return string[]
 */
function differences( mixed $right, mixed $found, string $place = '' ): array {
	if ( is_array( $right ) && is_array( $found ) ) {
		$lines = array();
		foreach ( array_unique( array_merge( array_keys( $right ), array_keys( $found ) ) ) as $key ) {
			$lines = array( ...$lines, ...differences( $right[ $key ] ?? null, $found[ $key ] ?? null, "$place/$key" ) );
		}
		return $lines;
	}
	return $right === $found ? array() : array( "$place: expected " . json_encode( $right ) . ', found ' . json_encode( $found ) );
}
