<?php
/**
 * Keeps a branch's uploads in its own folder, even if an option names that of another branch by its absolute path.
 *
 * Constants in wp-config.php can not be changed any more: `forkpress doctor branches` lists them.
 *
 * @package ForkPress
 */

/**
 * Puts this branch's folder in place of that of any other.
 *
 * @param mixed $path A path; what is none stays as it is.
 * @return mixed
 */
function forkpress_own_path( $path ) {
	if ( ! is_string( $path ) || '/' !== substr( $path, 0, 1 ) ) {
		return $path;
	}
	foreach ( array( ...forkpress_tree_roots(), forkpress_branches_dir() . '/' ) as $root ) {
		if ( ! str_starts_with( $path, $root ) || ! preg_match( '~^[a-z0-9_][a-z0-9_-]*(?=/|$)~D', substr( $path, strlen( $root ) ), $branch ) ) {
			continue;
		}
		// A folder beside the branches that is none is somebody's own. A branch that was deleted has left nothing.
		if ( null !== branchfs_record( forkpress_cow_dir(), $branch[0] ) || ! file_exists( $root . $branch[0] ) ) {
			return $_SERVER['DOCUMENT_ROOT'] . substr( $path, strlen( $root . $branch[0] ) );
		}
	}
	return $path;
}

/**
 * Does so for a folder of uploads.
 *
 * @param mixed $uploads What wp_upload_dir() returns.
 * @return mixed
 */
function forkpress_own_upload_dir( $uploads ) {
	foreach ( array( 'path', 'basedir' ) as $folder ) {
		if ( is_array( $uploads ) && isset( $uploads[ $folder ] ) ) {
			$uploads[ $folder ] = forkpress_own_path( $uploads[ $folder ] );
		}
	}
	return $uploads;
}
// WordPress makes the folder before it lets anybody change its name.
add_filter( 'option_upload_path', 'forkpress_own_path', PHP_INT_MAX );
add_filter( 'upload_dir', 'forkpress_own_upload_dir', PHP_INT_MAX );
