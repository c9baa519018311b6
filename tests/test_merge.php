<?php
/**
 * A merge brings home what a branch changed, or says what stands against what and changes nothing.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_merge.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/merging.php';

/** Returns a PATH with the programs of this one, but for Git. */
function without_git(): string {
	$dir = temp_dir();
	foreach ( array_reverse( explode( ':', getenv( 'PATH' ) ) ) as $from ) {
		foreach ( glob( "$from/*" ) as $program ) {
			$name = basename( $program );
			if ( ! str_starts_with( $name, 'git' ) ) {
				@unlink( "$dir/$name" );
				symlink( $program, "$dir/$name" );
			}
		}
	}
	return $dir;
}

$merging = new Merging();
$site    = $merging->site;

test(
	'a branch in which nothing changed has nothing to merge',
	function () use ( $merging, $site ) {
		$merging->part( 's' );
		$merging->nothing_to_merge( 's', 'main' );
		holds( str_contains( $site->done( 'branch', 'diff', 's' ), 'nothing changed since' ), 'the diff says so' );
	}
);

test(
	'a branch that was only visited has nothing to merge: front page, dashboard and editor',
	function () use ( $merging, $site ) {
		list( , $person ) = $merging->part( 's' );
		$person->visit();
		$person->visit();
		$diff = $site->done( 'branch', 'diff', 's' );
		holds( str_contains( $diff, 'nothing changed since' ), "the diff says so: $diff" );
		$merging->nothing_to_merge( 's', 'main' );
	}
);

test(
	'two branches of a site in which nobody ever was have nothing to merge once both were visited',
	function () {
		$site = new Site();
		$site->serve( 2 );
		$site->done( 'branch', 'create', 's' );
		( new Person( $site, 's' ) )->visit();
		( new Person( $site, 'main' ) )->visit();
		$said = $site->json( 'branch', 'merge', 's', '--into', 'main' );
		same( array( array(), 0 ), array( $said['conflicts'], $said['rows'] ), 'conflicts and rows' );
		$site->stop();
	}
);

test(
	'the title of a post comes from one branch and its content from the other, and the later time',
	function () use ( $merging ) {
		list( $main, $person ) = $merging->part( 's' );
		$main->edit( 1, array( 'content' => 'What main wrote' ) );
		// The later one is that of the branch which comes home.
		sleep( 1 );
		$person->edit( 1, array( 'title' => 'What s called it' ) );
		list( $modified, $gmt ) = $merging->post( 's', 1, 'post_modified', 'post_modified_gmt' );
		$merging->merged( 's', 'main' );
		$right = array( 'What s called it', 'What main wrote', $modified, $gmt );
		same( $right, $merging->post( 'main', 1, 'post_title', 'post_content', 'post_modified', 'post_modified_gmt' ), 'the post' );
		$revisions = $merging->ask( 'main', 'return array_values( array_map( static fn ( $r ) => array( $r->post_title, $r->post_content ), wp_get_post_revisions( 1, array( "order" => "ASC", "orderby" => "ID" ) ) ) );' );
		holds( in_array( 'What s called it', array_column( $revisions, 0 ), true ), 'the revision of s is there' );
		holds( in_array( 'What main wrote', array_column( $revisions, 1 ), true ), 'the revision of main is there' );
	}
);

test(
	'a change of nothing but the case of letters is shown and comes home',
	function () use ( $merging, $site ) {
		list( , $person ) = $merging->part( 's' );
		$person->edit( 1, array( 'title' => 'hELLO WORLD!' ) );
		$diff = $site->done( 'branch', 'diff', 's' );
		holds( 1 === preg_match( '/^\s*~ post 1 "[^"]*": .*title/m', $diff ), "the diff shows it: $diff" );
		$merging->merged( 's', 'main' );
		same( array( 'hELLO WORLD!' ), $merging->post( 'main', 1, 'post_title' ), 'the title' );
	}
);

/** Lets both branches give post 1 another title. */
$disagree = function () use ( $merging ): array {
	$people = $merging->part( 's' );
	$people[0]->edit( 1, array( 'title' => 'Title of main' ) );
	$people[1]->edit( 1, array( 'title' => 'Title of s' ) );
	return $people;
};

test(
	'two titles of one post are one conflict, and nothing has changed',
	function () use ( $merging, $site, $disagree ) {
		$disagree();
		$conflicts = $merging->refused( 's', 'main' );
		same( 1, count( $conflicts ), 'conflicts: ' . json_encode( $conflicts ) );
		list( $conflict ) = $conflicts;
		foreach ( array( 'base' => 'Hello world!', 'ours' => 'Title of main', 'theirs' => 'Title of s' ) as $side => $title ) {
			holds( str_contains( json_encode( $conflict[ $side ] ), $title ), "$side of " . json_encode( $conflict ) );
		}
		$listed = $site->json( 'branch', 'conflicts', 's', '--into', 'main' );
		same( array( $conflict['id'] ), array_column( $listed, 'id' ), 'the conflicts that are listed' );
		$text = $site->run( 'branch', 'conflicts', 's', '--into', 'main' )->out;
		foreach ( array( 'Hello world!', 'Title of main', 'Title of s', $conflict['id'] ) as $part ) {
			holds( str_contains( $text, $part ), "$part in what a person reads: $text" );
		}
	}
);

test(
	'--theirs takes what the branch that comes home has, --ours what the other one has',
	function () use ( $merging, $disagree ) {
		foreach ( array( '--theirs' => 'Title of s', '--ours' => 'Title of main' ) as $option => $title ) {
			$people = $disagree();
			$page   = $people[1]->publish( 'page', array( 'title' => 'Comes in either case' ) );
			$merging->merged( 's', 'main', $option );
			same( array( $title ), $merging->post( 'main', 1, 'post_title' ), "the title with $option" );
			same( array( 'Comes in either case' ), $merging->post( 'main', $page, 'post_title' ), "the page with $option" );
		}
	}
);

test(
	'a conflict that is answered by its id is none: ours, theirs, base, or a value',
	function () use ( $merging, $disagree ) {
		$answers = array(
			array( array( 'take' => 'ours' ), 'Title of main' ),
			array( array( 'take' => 'theirs' ), 'Title of s' ),
			array( array( 'take' => 'base' ), 'Hello world!' ),
			array( array( 'value' => "Title of 'both'" ), "Title of 'both'" ),
		);
		$disagree();
		foreach ( $answers as list( $answer, $title ) ) {
			$merging->merged( 's', 'main', '--resolve', $merging->answers( 's', 'main', $answer ) );
			same( array( $title ), $merging->post( 'main', 1, 'post_title' ), 'the title with ' . json_encode( $answer ) );
			$merging->site->done( 'undo' );
		}
	}
);

test(
	'answers may come from standard input, and without a conflict there is none to list',
	function () use ( $merging, $site, $disagree ) {
		$disagree();
		$answers = file_get_contents( $merging->answers( 's', 'main', array( 'take' => 'theirs' ) ) );
		$merge   = $site->command( array( 'branch', 'merge', 's', '--into', 'main', '--resolve', '-' ) );
		fwrite( $merge->process->stdin, $answers );
		fclose( $merge->process->stdin );
		$outcome = $merge->outcome();
		same( 0, $outcome->status, "merging with answers from standard input: {$outcome->text()}: exit status" );
		same( array( 'Title of s' ), $merging->post( 'main', 1, 'post_title' ), 'the title' );
		same( array(), $site->json( 'branch', 'conflicts', 's', '--into', 'main' ), 'conflicts that are left' );
		same( "forkpress: no conflicts: 's' can be merged into 'main'\n", $site->done( 'branch', 'conflicts', 's', '--into', 'main' ), 'what a person reads of them' );
	}
);

test(
	'an answer is to what it was given to: once main is edited, the conflict has another id',
	function () use ( $merging, $disagree ) {
		list( $main ) = $disagree();
		$answers      = $merging->answers( 's', 'main', array( 'take' => 'theirs' ) );
		$old          = json_decode( file_get_contents( $answers ), true )[0]['id'];
		$main->edit( 1, array( 'title' => 'Another title of main' ) );
		$before  = array( $merging->contents( 'main' ), $merging->log(), $merging->generation() );
		$outcome = $merging->site->run( 'branch', 'merge', 's', '--into', 'main', '--resolve', $answers );
		same( 1, $outcome->status, "a merge with an old answer: {$outcome->text()}: exit status" );
		holds( str_contains( $outcome->errors, $old ), "it says which answer fits nothing: {$outcome->text()}" );
		same( $before, array( $merging->contents( 'main' ), $merging->log(), $merging->generation() ), 'main, the log and the generation' );
		$conflicts = $merging->site->json( 'branch', 'conflicts', 's', '--into', 'main' );
		same( 1, count( $conflicts ), 'conflicts' );
		holds( $old !== $conflicts[0]['id'], 'its id is another one' );
	}
);

test(
	'a dry run says what a merge would do, and does nothing',
	function () use ( $merging ) {
		list( , $person ) = $merging->part( 's' );
		$person->publish( 'page', array( 'title' => 'New' ) );
		put( "{$merging->site->dir}/s/wp-content/new.txt", 'new' );
		$before = array( $merging->contents( 'main' ), $merging->log(), $merging->generation() );
		$said   = $merging->merged( 's', 'main', '--dry-run' );
		same( array( null, 1 ), array( $said['operation'], $said['files'] ), 'operation and files' );
		holds( $said['rows'] > 0, 'there are rows' );
		same( $before, array( $merging->contents( 'main' ), $merging->log(), $merging->generation() ), 'main, the log and the generation' );
		$really = $merging->merged( 's', 'main' );
		same( array( $said['files'], $said['rows'] ), array( $really['files'], $really['rows'] ), 'files and rows of the merge' );
	}
);

test(
	'a table that is left out stays as it is',
	function () use ( $merging ) {
		list( , $person ) = $merging->part( 's' );
		$person->comment( '/hello-world/', 'Stays in s' );
		$person->edit( 1, array( 'title' => 'Comes home' ) );
		$merging->merged( 's', 'main', '--exclude', 'wp_comments', '--exclude', 'wp_commentmeta' );
		$found = $merging->ask( 'main', 'return array( get_the_title( 1 ), get_comments( array( "count" => true ) ), get_post( 1 )->comment_count );' );
		same( array( 'Comes home', 1, '1' ), $found, 'the title, comments and their count' );
	}
);

test(
	'a table that is left out keeps its columns, whatever they are in the other branch, and stays in order',
	function () use ( $merging, $site ) {
		list( , $person ) = $merging->part( 's' );
		$person->edit( 1, array( 'title' => 'Comes home' ) );
		$merging->ask( 's', 'global $wpdb; $wpdb->query( "ALTER TABLE $wpdb->links ADD COLUMN mood varchar(20) DEFAULT \'fine\'" ); $wpdb->insert( $wpdb->links, array( "link_name" => "Of s", "mood" => "bad" ) );' );
		$links  = static function () use ( $site ): array {
			$ask = static fn ( string $query ): array => $site->database( 'main' )->query( $query )->fetchAll( \PDO::FETCH_NUM );
			return array(
				$ask( "SELECT sql FROM sqlite_master WHERE tbl_name = 'wp_links'" ),
				$ask( 'SELECT * FROM wp_links' ),
				$ask( "SELECT * FROM _wp_sqlite_mysql_information_schema_columns WHERE table_name = 'wp_links'" ),
			);
		};
		$before = $links();
		holds( array() !== $before[2], 'the driver has noted the columns' );
		$merging->merged( 's', 'main', '--exclude', 'wp_links' );
		same( $before, $links(), 'the table, its rows and what the driver noted of it' );
		$found = $merging->ask( 'main', 'global $wpdb; $made = $wpdb->insert( $wpdb->links, array( "link_name" => "Of main" ) ); return array( get_the_title( 1 ), $made, $wpdb->get_col( "SELECT link_name FROM $wpdb->links" ) );' );
		same( array( 'Comes home', 1, array( 'Of main' ) ), $found, 'the title, a new link, and the links' );
		// It counts as decided.
		$merging->nothing_to_merge( 's', 'main' );
	}
);

test(
	'what comes home keeps its guid',
	function () use ( $merging ) {
		list( , $person ) = $merging->part( 's' );
		$guids            = static fn ( string $branch, array $ids ): array => array_map( static fn ( $id ) => $merging->post( $branch, $id, 'guid' )[0], $ids );
		$ids              = array( 1, $person->publish( 'post', array( 'title' => 'New' ) ), ...array_values( $person->page_with_picture( 'Page', 'page.png' ) ) );
		$before           = $guids( 's', $ids );
		same( array( 4, false ), array( count( array_unique( $before ) ), in_array( '', $before, true ) ), 'guids' );
		$merging->merged( 's', 'main' );
		same( $before, $guids( 'main', $ids ), 'guids in main' );
	}
);

test(
	'branches that know of nothing that both had say how to go on, and --base names it',
	function () use ( $merging, $site ) {
		list( $main, $person ) = $merging->part( 's' );
		$main->edit( 1, array( 'title' => 'Title of main', 'content' => 'Content of main' ) );
		$main->publish( 'page', array( 'title' => 'Of main' ) );
		$person->edit( 1, array( 'title' => 'Title of s' ) );
		put( "$site->dir/main/of-main.txt", 'main' );
		put( "$site->dir/s/of-s.txt", 's' );
		$record = "$site->dir/.forkpress/cow/branches/s.toml";
		// As a version left it that kept none.
		put( $record, preg_replace( '/^partings = .*\n/m', '', file_get_contents( $record ), -1, $count ) );
		same( 1, $count, 'lines of partings' );
		foreach ( array( 'merge', 'conflicts' ) as $command ) {
			$outcome = $site->run( 'branch', $command, 's', '--into', 'main' );
			same( 1, $outcome->status, "branch $command: {$outcome->text()}: exit status" );
			foreach ( array( '--base', 'branch reset s --from main' ) as $way ) {
				holds( str_contains( $outcome->errors, $way ), "branch $command says $way: {$outcome->errors}" );
			}
		}
		$conflicts = $site->json( 'branch', 'conflicts', 's', '--into', 'main', '--base', 'pristine' );
		same( array( 'Hello world!' ), array_column( $conflicts, 'base' ), 'what pristine had of what is in conflict' );
		same( array(), $site->json( 'branch', 'conflicts', 's', '--into', 'main', '--base', 'main' ), 'conflicts where s is right' );
		same( array( $conflicts[0]['id'] ), array_column( $merging->refused( 's', 'main', '--base', 'pristine' ), 'id' ), 'conflicts of a merge' );

		$state = static fn (): array => array(
			...$merging->post( 'main', 1, 'post_title', 'post_content' ),
			$merging->ask( 'main', 'return null !== get_page_by_path( "of-main" );' ),
			is_file( "$site->dir/main/of-main.txt" ),
			is_file( "$site->dir/main/of-s.txt" ),
		);
		$merging->merged( 's', 'main', '--base', 'pristine', '--theirs' );
		same( array( 'Title of s', 'Content of main', true, true, true ), $state(), 'main after a merge since pristine' );
		$site->done( 'undo' );
		$content = $merging->post( 's', 1, 'post_content' )[0];
		$merging->merged( 's', 'main', '--base', 'main' );
		same( array( 'Title of s', $content, false, false, true ), $state(), 'main after a merge in which s is right' );
		$merging->nothing_to_merge( 's', 'main' );
	}
);

test(
	'where there is no Git, a diff and a merge say so',
	function () use ( $merging, $site ) {
		list( , $person ) = $merging->part( 's' );
		$person->edit( 1, array( 'title' => 'Title of s' ) );
		foreach ( array( array( 'branch', 'diff', 's' ), array( 'branch', 'merge', 's', '--into', 'main' ) ) as $command ) {
			$outcome = $site->command( $command, array( 'PATH' => without_git() ) )->outcome();
			same( 1, $outcome->status, implode( ' ', $command ) . ": {$outcome->text()}: exit status" );
			holds( str_contains( $outcome->errors, 'there is no git program in PATH' ), "it says so: $outcome->errors" );
		}
		same( array( 'Hello world!' ), $merging->post( 'main', 1, 'post_title' ), 'the title' );
	}
);

test(
	'undo takes a merge back whole, files and database, and can be undone itself',
	function () use ( $merging, $site ) {
		list( $main, $person ) = $merging->part( 's' );
		$main->publish( 'post', array( 'title' => 'Of main' ) );
		$person->page_with_picture( 'Of s', 's.png' );
		$person->remove( 2, true, 'page' );
		unlink( "$site->dir/s/readme.html" );
		$before = $merging->contents( 'main' );
		$merging->merged( 's', 'main' );
		holds( $before !== $merging->contents( 'main' ) && ! is_file( "$site->dir/main/readme.html" ), 'the merge changed main' );
		$site->done( 'undo' );
		same( $before, $merging->contents( 'main' ), 'main after undo' );
		$main->open( '/' );
		$undo = $site->json( 'log', '-n', '1' )[0]['id'];
		$site->done( 'undo', (string) $undo );
		holds( null !== $merging->post( 'main', 2, 'post_title' ) && ! is_file( "$site->dir/main/readme.html" ), 'undo of the undo merges again' );
		$main->open( '/of-s/' );
	}
);

test(
	'undo says that what was written since the merge is kept, and brings it back when it is asked to',
	function () use ( $merging, $site ) {
		list( $main, $person ) = $merging->part( 's' );
		$person->edit( 1, array( 'title' => 'Of s' ) );
		$merging->merged( 's', 'main' );
		$post = $main->publish( 'post', array( 'title' => 'Written since' ) );
		$undo = $site->run( 'undo' );
		same( 0, $undo->status, $undo->text() );
		holds( str_contains( $undo->text(), 'is kept' ), "it says so: {$undo->text()}" );
		same( array( 'Hello world!', null ), array( ...$merging->post( 'main', 1, 'post_title' ), ...$merging->post( 'main', $post, 'post_title' ) ), 'the titles after undo' );
		$site->done( 'undo', (string) $site->json( 'log', '-n', '1' )[0]['id'] );
		same( array( 'Of s', 'Written since' ), array( ...$merging->post( 'main', 1, 'post_title' ), ...$merging->post( 'main', $post, 'post_title' ) ), 'the titles once that is undone' );
	}
);

test(
	'what was merged once does not come again, and ids go on without a clash',
	function () use ( $merging ) {
		list( $main, $person ) = $merging->part( 's' );
		$titles                = static fn () => $merging->ask( 'main', 'return wp_list_pluck( get_posts( array( "numberposts" => -1, "orderby" => "title", "order" => "ASC" ) ), "post_title" );' );
		$write                 = static function ( Person $who, string $what, int $from, int $to ): array {
			return array_map( static fn ( $number ) => $who->publish( 'post', array( 'title' => sprintf( '%s %02d', $what, $number ) ) ), range( $from, $to ) );
		};
		$ids                   = $write( $person, 'S', 1, 2 );
		$merging->merged( 's', 'main' );
		$ids = array_merge( $ids, $write( $person, 'S', 3, 12 ), $write( $main, 'M', 1, 10 ) );
		same( array_unique( $ids ), $ids, 'ids' );
		$main->edit( $ids[0], array( 'content' => 'Edited at home' ) );
		$said = $merging->merged( 's', 'main' );
		holds( $said['rows'] < 60, "only what is new arrives: {$said['rows']} rows" );
		$right = array( 'Hello world!', ...array_map( static fn ( $n ) => sprintf( 'M %02d', $n ), range( 1, 10 ) ), ...array_map( static fn ( $n ) => sprintf( 'S %02d', $n ), range( 1, 12 ) ) );
		same( $right, $titles(), 'titles' );
		same( array( 'Edited at home' ), $merging->post( 'main', $ids[0], 'post_content' ), 'what was edited after the first merge' );
		$merging->nothing_to_merge( 's', 'main' );
	}
);

test(
	'one branch merges into two, each of which gets the same, and gets what is theirs by a merge back',
	function () use ( $merging ) {
		list( $main, $person ) = $merging->part( 's', 't2' );
		$page                  = $person->page_with_picture( 'Of s', 's.png' );
		$person->edit( 1, array( 'title' => 'Title of s' ) );
		$merging->merged( 's', 'main' );
		$own = $main->publish( 'post', array( 'title' => 'Own of main' ) );
		$main->edit( 1, array( 'content' => 'Content of main' ) );
		$merging->merged( 's', 't2' );
		foreach ( array( 'main', 't2' ) as $branch ) {
			same( array( 'Title of s' ), $merging->post( $branch, 1, 'post_title' ), "the title of $branch" );
			same( array( 'Of s' ), $merging->post( $branch, $page['page'], 'post_title' ), "the page on $branch" );
			holds( is_file( "{$merging->site->dir}/$branch" . parse_url( $merging->ask( $branch, 'return wp_get_attachment_url( $given );', $page['image'] ), PHP_URL_PATH ) ), "the picture on $branch" );
		}
		same( array( null ), $merging->post( 't2', $own, 'post_title' ), 'what is only of main on t2' );
		$merging->merged( 'main', 's' );
		same( array( 'Title of s', 'Content of main' ), $merging->post( 's', 1, 'post_title', 'post_content' ), 'post 1 of s' );
		same( array( 'Own of main' ), $merging->post( 's', $own, 'post_title' ), 'what main wrote, on s' );
		$merging->nothing_to_merge( 's', 'main' );
	}
);

test(
	'what a branch gives back stays given back: an edit that is taken back in main comes from s only if s edits again',
	function () use ( $merging ) {
		list( $main, $person ) = $merging->part( 's' );
		$person->edit( 1, array( 'title' => 'Of s' ) );
		$merging->merged( 's', 'main' );
		$main->edit( 1, array( 'title' => 'Hello world!' ) );
		$person->publish( 'post', array( 'title' => 'Another' ) );
		$merging->merged( 's', 'main' );
		same( array( 'Hello world!' ), $merging->post( 'main', 1, 'post_title' ), 'the title' );
	}
);

test(
	'a merge into a branch that is not there, or of one into itself, is refused',
	function () use ( $site, $merging ) {
		$merging->part( 's' );
		foreach ( array( array( 's', 'nowhere' ), array( 'nowhere', 'main' ), array( 's', 's' ) ) as list( $from, $into ) ) {
			$outcome = $site->run( 'branch', 'merge', $from, '--into', $into );
			same( 1, $outcome->status, "merging $from into $into: {$outcome->text()}: exit status" );
		}
	}
);

test(
	'nobody complained',
	function () use ( $site ) {
		$site->has_no_complaints();
	}
);
