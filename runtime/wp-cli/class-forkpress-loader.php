<?php
/**
 * Has the forkpress program load dumps, which is a hundred times as fast as the driver.
 *
 * @package ForkPress
 */

/** Loads what makes its tables itself, as dumps do. Whatever else a file of SQL does is for the driver. */
final class ForkPress_Loader {
	/**
	 * Loads a dump. False where it is for the driver; nothing was changed then. Ends the command where the dump is wrong.
	 *
	 * @param resource $input The dump, a file that is open at its begin.
	 */
	public static function load( $input ): bool {
		$program = (string) getenv( 'FORKPRESS_WP_PROGRAM' );
		$dump    = stream_get_meta_data( $input )['uri'];
		if ( '' === $program || ! is_file( $dump ) ) {
			return false;
		}
		$command = array(
			$program,
			'__load-dump',
			'--php',
			PHP_BINARY,
			'--tables',
			dirname( __DIR__ ) . '/tables.php',
			'--driver',
			self::driver(),
			'--scratch',
			(string) getenv( 'FORKPRESS_WP_SCRATCH' ),
			'--database',
			ForkPress_Database::path(),
			'--',
			realpath( $dump ),
		);
		$process = proc_open( $command, array( 1 => array( 'pipe', 'w' ) ), $pipes );
		$said    = json_decode( (string) stream_get_contents( $pipes[1] ), true );
		$status  = proc_close( $process );
		if ( 0 !== $status || 'refused' === ( $said['outcome'] ?? '' ) ) {
			WP_CLI::error( 'Nothing was imported' . ( isset( $said['why'] ) ? ": {$said['why']}" : '' ) );
		}
		if ( 'loaded' !== $said['outcome'] ) {
			WP_CLI::debug( "The driver imports it: {$said['why']}", 'forkpress' );
			return false;
		}
		array_map( array( 'WP_CLI', 'log' ), $said['notes'] );
		return true;
	}

	/**
	 * Returns a file with all that a stream has, which can be read twice.
	 *
	 * @param resource $input The stream.
	 * @return resource
	 */
	public static function kept( $input ) {
		$kept = tmpfile();
		stream_copy_to_stream( $input, $kept );
		rewind( $kept );
		return $kept;
	}

	/** Returns the folder of the driver that the branch runs. */
	private static function driver(): string {
		$file = ( new ReflectionClass( $GLOBALS['wpdb'] ) )->getFileName();
		return dirname( $file, 3 );
	}
}
