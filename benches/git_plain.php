<?php
/**
 * A plain bare repository behind `git http-backend`, as PHP's built-in server may serve it: what benches/git.php compares a
 * site's with. BENCH_GIT_ROOT is the folder that the repository is in.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

$body = tmpfile();
stream_copy_to_stream( fopen( 'php://input', 'rb' ), $body );
$length = fstat( $body )['size'];
rewind( $body );
$environment = array(
	'GIT_PROJECT_ROOT'      => getenv( 'BENCH_GIT_ROOT' ),
	'GIT_HTTP_EXPORT_ALL'   => '1',
	'REQUEST_METHOD'        => $_SERVER['REQUEST_METHOD'],
	'PATH_INFO'             => strtok( $_SERVER['REQUEST_URI'], '?' ),
	'QUERY_STRING'          => $_SERVER['QUERY_STRING'] ?? '',
	'CONTENT_TYPE'          => $_SERVER['CONTENT_TYPE'] ?? $_SERVER['HTTP_CONTENT_TYPE'] ?? '',
	'CONTENT_LENGTH'        => (string) $length,
	'HTTP_CONTENT_ENCODING' => $_SERVER['HTTP_CONTENT_ENCODING'] ?? '',
	'GIT_PROTOCOL'          => $_SERVER['HTTP_GIT_PROTOCOL'] ?? '',
	'REMOTE_ADDR'           => $_SERVER['REMOTE_ADDR'],
);
$process     = proc_open( array( 'git', 'http-backend' ), array( $body, array( 'pipe', 'w' ) ), $pipes, null, $environment + getenv() );
while ( '' !== trim( $line = (string) fgets( $pipes[1] ) ) ) {
	preg_match( '/^Status: *(\d+)/', $line, $status ) ? http_response_code( (int) $status[1] ) : header( trim( $line ) );
}
fpassthru( $pipes[1] );
proc_close( $process );
