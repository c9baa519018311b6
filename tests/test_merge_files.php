<?php
/**
 * Files come home as Git merges them, and never with its markers.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_merge_files.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/merging.php';

/** A file with lines that are far enough from each other. */
const LINES = "<?php\n// one\n\n\n\n\n\n\n// two\n\n\n\n\n\n\n// three\nfunction theme_of_tests() {\n\treturn 'the theme of the tests';\n}\n";

$theme   = 'wp-content/themes/tests';
$merging = new Merging(
	static function ( Person $person ) use ( $theme ): void {
		$dir = "{$person->site->dir}/main/$theme";
		put( "$dir/style.css", "/*\nTheme Name: Tests\n*/\n" );
		put( "$dir/index.php", "<?php\necho 'index';\n" );
		put( "$dir/functions.php", LINES );
		put( "$dir/parts/header.php", str_replace( 'theme_of', 'header_of', LINES ) );
		put( "$dir/picture.png", picture( 'base' ) );
	}
);
$site    = $merging->site;

/**
 * Replaces text in a file of a branch.
 *
 * @param string $branch The branch.
 * @param string $path   The file.
 * @param string $from   The text.
 * @param string $to     What it becomes.
 */
$edit = static function ( string $branch, string $path, string $from, string $to ) use ( $site ): void {
	$file = "$site->dir/$branch/$path";
	put( $file, str_replace( $from, $to, file_get_contents( $file ) ) );
};

/**
 * Returns what a file of a branch has; null where it is not there.
 *
 * @param string $branch The branch.
 * @param string $path   The file.
 */
$read = static fn ( string $branch, string $path ): ?string => is_file( "$site->dir/$branch/$path" ) ? file_get_contents( "$site->dir/$branch/$path" ) : null;

test(
	'lines that two people changed in one PHP file are merged, where they are not the same ones',
	function () use ( $merging, $edit, $read, $theme ) {
		$merging->part( 's' );
		$edit( 's', "$theme/functions.php", '// one', '// one of s' );
		$edit( 'main', "$theme/functions.php", '// two', '// two of main' );
		$said = $merging->merged( 's', 'main' );
		same( array( 1, 0 ), array( $said['files'], $said['rows'] ), 'files and rows' );
		same( strtr( LINES, array( '// one' => '// one of s', '// two' => '// two of main' ) ), $read( 'main', "$theme/functions.php" ), 'the file' );
	}
);

test(
	'one line that both changed is a conflict, and so is a picture; main has no markers',
	function () use ( $merging, $site, $edit, $read, $theme ) {
		foreach ( array( 'functions.php', 'picture.png' ) as $name ) {
			$merging->part( 's' );
			foreach ( array( 's', 'main' ) as $branch ) {
				'picture.png' === $name ? put( "$site->dir/$branch/$theme/$name", picture( $branch ) ) : $edit( $branch, "$theme/$name", '// one', "// one of $branch" );
			}
			$right     = $read( 'main', "$theme/$name" );
			$conflicts = $merging->refused( 's', 'main' );
			same( 1, count( $conflicts ), "conflicts of $name" );
			holds( str_contains( json_encode( $conflicts, JSON_UNESCAPED_SLASHES ), "$theme/$name" ), "$name is named" );
			same( $right, $read( 'main', "$theme/$name" ), "$name of main" );
			$theirs = $read( 's', "$theme/$name" );
			$merging->merged( 's', 'main', '--theirs' );
			same( $theirs, $read( 'main', "$theme/$name" ), "$name of main after --theirs" );
			$site->done( 'undo' );
			same( $right, $read( 'main', "$theme/$name" ), "$name of main after undo" );
			$merging->merged( 's', 'main', '--resolve', $merging->answers( 's', 'main', array( 'take' => 'ours' ) ) );
			same( $right, $read( 'main', "$theme/$name" ), "$name of main after an answer" );
		}
	}
);

test(
	'a file that one renamed and the other edited has the edit under its new name',
	function () use ( $merging, $site, $edit, $read, $theme ) {
		$merging->part( 's' );
		rename( "$site->dir/s/$theme/parts/header.php", "$site->dir/s/$theme/parts/top.php" );
		$edit( 'main', "$theme/parts/header.php", '// three', '// three of main' );
		$merging->merged( 's', 'main' );
		$right = strtr( LINES, array( 'theme_of' => 'header_of', '// three' => '// three of main' ) );
		same( array( null, $right ), array( $read( 'main', "$theme/parts/header.php" ), $read( 'main', "$theme/parts/top.php" ) ), 'both names' );
	}
);

test(
	'a file that one removed and the other changed is a conflict',
	function () use ( $merging, $site, $edit, $theme ) {
		$merging->part( 's' );
		unlink( "$site->dir/s/$theme/functions.php" );
		$edit( 'main', "$theme/functions.php", '// two', '// two of main' );
		same( 1, count( $merging->refused( 's', 'main' ) ), 'conflicts' );
	}
);

test(
	'new files, removed files, modes and symlinks come home, and what only main has stays',
	function () use ( $merging, $site, $read, $theme ) {
		$merging->part( 's' );
		put( "$site->dir/s/$theme/new/deep.php", "<?php\n" );
		put( "$site->dir/main/$theme/own.php", "<?php\n" );
		unlink( "$site->dir/s/$theme/picture.png" );
		chmod( "$site->dir/s/$theme/index.php", 0755 );
		symlink( 'index.php', "$site->dir/s/$theme/link.php" );
		$merging->merged( 's', 'main' );
		same( array( "<?php\n", "<?php\n", null ), array( $read( 'main', "$theme/new/deep.php" ), $read( 'main', "$theme/own.php" ), $read( 'main', "$theme/picture.png" ) ), 'files' );
		clearstatcache();
		same( array( 0755, 'index.php' ), array( fileperms( "$site->dir/main/$theme/index.php" ) & 0777, readlink( "$site->dir/main/$theme/link.php" ) ), 'the mode and the link' );
	}
);

test(
	'code that came home runs in the very next request',
	function () use ( $merging, $site ) {
		list( $main ) = $merging->part( 's' );
		put( "$site->dir/main/answer.php", "<?php\necho 'old';\n" );
		$site->done( 'branch', 'reset', 's', '--from', 'main' );
		for ( $i = 0; $i < 8; $i++ ) {
			same( 'old', $main->open( '/answer.php' ), 'the answer before' );
		}
		put( "$site->dir/s/answer.php", "<?php\necho 'new';\n" );
		$merging->merged( 's', 'main' );
		for ( $i = 0; $i < 8; $i++ ) {
			same( 'new', $main->open( '/answer.php' ), 'the answer after' );
		}
	}
);
