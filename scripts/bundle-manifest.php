<?php
/**
 * Prints the manifest of a runtime bundle. Run by scripts/build-bundle.sh with the PHP that branchfs.so was built for.
 *
 *     php -n bundle-manifest.php WORDPRESS.json VERSION FILES
 *
 * The first is what scripts/fetch-wordpress.sh wrote; then the extension's version, and how many files WordPress has.
 *
 * @package ForkPress
 */

list( , $forkpress_made, $forkpress_version, $forkpress_files ) = $argv;

$forkpress_made = json_decode( file_get_contents( $forkpress_made ), true, 8, JSON_THROW_ON_ERROR );

// No constant has the number of PHP's extension API.
ob_start();
phpinfo( INFO_GENERAL );
if ( ! preg_match( '/^PHP Extension => ([0-9]+)$/m', ob_get_clean(), $forkpress_api ) ) {
	fwrite( STDERR, "this PHP does not say the number of its extension API\n" );
	exit( 1 );
}

$forkpress_platform = php_uname( 'm' ) . '-' . strtolower( PHP_OS_FAMILY );
if ( 'Linux' === PHP_OS_FAMILY ) {
	$forkpress_platform .= str_contains( file_get_contents( PHP_BINARY ), '/ld-musl-' ) ? '-musl' : '-gnu';
}

echo json_encode(
	array(
		'wordpress'     => $forkpress_made['wordpress'],
		'sqlite_driver' => $forkpress_made['sqlite_driver'],
		'wp_cli'        => $forkpress_made['wp_cli'],
		'blueprints'    => $forkpress_made['blueprints'],
		'importer'      => $forkpress_made['importer'],
		'php'           => PHP_MAJOR_VERSION . '.' . PHP_MINOR_VERSION,
		'branchfs'      => array(
			'version'     => $forkpress_version,
			'php_api'     => $forkpress_api[1],
			'thread_safe' => (bool) PHP_ZTS,
			'debug'       => (bool) PHP_DEBUG,
			'platform'    => $forkpress_platform,
		),
		'files'         => (int) $forkpress_files,
		'parts'         => $forkpress_made['parts'],
	),
	JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES | JSON_THROW_ON_ERROR
), "\n";
