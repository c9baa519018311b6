<?php
/**
 * Answers for /site.git: hands the request to `forkpress __git-http`, as CGI, and its answer to the client.
 *
 * @package ForkPress
 */

/**
 * Answers a request to the site's Git repository, and ends it.
 *
 * @param string $path What follows /site.git in the path.
 */
function forkpress_serve_git( string $path ): void {
	// A clone or a push takes as long as it takes, and is no page.
	set_time_limit( 0 );
	ignore_user_abort( true );
	while ( ob_get_level() > 0 ) {
		ob_end_clean();
	}
	$body        = forkpress_request_body();
	$environment = forkpress_git_environment( $path, fstat( $body )['size'] );
	$program     = (string) getenv( 'FORKPRESS_BIN' );
	$command     = array( '' !== $program ? $program : 'forkpress', '--work-dir', dirname( forkpress_cow_dir() ), '__git-http' );
	$pipes       = array();
	$process     = @proc_open( $command, array( 0 => $body, 1 => array( 'pipe', 'w' ) ), $pipes, null, $environment );
	if ( ! is_resource( $process ) ) {
		forkpress_refuse( 500, "There is no $command[0] program that could answer for /site.git. Set FORKPRESS_BIN to its path." );
	}
	fclose( $body );
	if ( ! forkpress_send_cgi_headers( $pipes[1] ) ) {
		forkpress_refuse( 500, "$command[0] did not answer for /site.git. Set FORKPRESS_BIN to the path of the forkpress program." );
	}
	$chunked = forkpress_begin_chunks();
	while ( ! feof( $pipes[1] ) ) {
		$bytes = fread( $pipes[1], 65536 );
		// A push goes on when its client has gone: that nobody reads how it went does not undo it.
		if ( connection_aborted() ) {
			continue;
		}
		if ( $chunked && '' !== $bytes ) {
			$bytes = dechex( strlen( $bytes ) ) . "\r\n$bytes\r\n";
		}
		echo $bytes;
		flush();
		if ( connection_aborted() && '/git-receive-pack' !== $path ) {
			break;
		}
	}
	if ( $chunked ) {
		echo "0\r\n\r\n";
	}
	// Without a reader, it ends.
	fclose( $pipes[1] );
	proc_close( $process );
	exit;
}

/**
 * Has the answer sent in chunks where nothing else says where it ends, and returns whether it is to be: a client may not take the end
 * of the connection for that of the answer (libgit2 1.9 does not). Other servers than PHP's own see to it themselves, and so does the
 * one of ForkPress in front of that.
 */
function forkpress_begin_chunks(): bool {
	$has_length = preg_grep( '/^Content-Length:/i', headers_list() );
	$is_alone = 'cli-server' === PHP_SAPI && ! isset( $_SERVER['FORKPRESS_CONNECTION'] );
	if ( ! $is_alone || $has_length || 'HTTP/1.1' !== ( $_SERVER['SERVER_PROTOCOL'] ?? '' ) ) {
		return false;
	}
	header( 'Transfer-Encoding: chunked' );
	return true;
}

/**
 * Returns the request's body as a file. Git reads it as it writes its answer, and a pipe would have to be fed meanwhile.
 *
 * @return resource
 */
function forkpress_request_body() {
	$body  = tmpfile();
	$input = fopen( 'php://input', 'rb' );
	if ( ! $body || ! $input || false === stream_copy_to_stream( $input, $body ) || ! fflush( $body ) ) {
		forkpress_refuse( 500, 'This server can not keep the body of the request: ' . sys_get_temp_dir() . ' may be full.' );
	}
	fclose( $input );
	rewind( $body );
	return $body;
}

/**
 * Whether the client may push without the token: the person who runs the server may, unless FORKPRESS_GIT_PUSH is `token`.
 *
 * Only a push asks: the answer costs something.
 *
 * @param string $path What follows /site.git in the path.
 */
function forkpress_may_push( string $path ): bool {
	$pushes = '/git-receive-pack' === $path || str_contains( $_SERVER['QUERY_STRING'] ?? '', 'git-receive-pack' );
	return $pushes && 'token' !== getenv( 'FORKPRESS_GIT_PUSH' ) && null === forkpress_stranger();
}

/**
 * Returns the environment of a CGI program that answers the request.
 *
 * @param string $path   What follows /site.git in the path.
 * @param int    $length The length of the body.
 * @return string[] Values by name.
 */
function forkpress_git_environment( string $path, int $length ): array {
	$environment = getenv();
	foreach ( $_SERVER as $name => $value ) {
		if ( str_starts_with( $name, 'HTTP_' ) && is_string( $value ) ) {
			$environment[ $name ] = $value;
		}
	}
	// What would make every program a proxy's client (httpoxy).
	unset( $environment['HTTP_PROXY'] );
	return array(
		'REQUEST_METHOD'     => $_SERVER['REQUEST_METHOD'],
		'PATH_INFO'          => $path,
		'QUERY_STRING'       => $_SERVER['QUERY_STRING'] ?? '',
		'CONTENT_TYPE'       => $_SERVER['CONTENT_TYPE'] ?? $_SERVER['HTTP_CONTENT_TYPE'] ?? '',
		'CONTENT_LENGTH'     => (string) $length,
		'REMOTE_ADDR'        => $_SERVER['REMOTE_ADDR'] ?? '',
		'SERVER_PROTOCOL'    => $_SERVER['SERVER_PROTOCOL'] ?? 'HTTP/1.1',
		'FORKPRESS_GIT_PUSH' => forkpress_may_push( $path ) ? 'open' : 'token',
	) + $environment;
}

/**
 * Sends the status and the headers that a CGI program wrote.
 *
 * @param resource $out Its standard output.
 * @return bool Whether there were any.
 */
function forkpress_send_cgi_headers( $out ): bool {
	$headers = array();
	while ( true ) {
		$line = fgets( $out );
		if ( false === $line ) {
			return false;
		}
		$line = rtrim( $line, "\r\n" );
		if ( '' === $line ) {
			break;
		}
		$headers[] = $line;
	}
	foreach ( $headers as $header ) {
		if ( preg_match( '/^Status: *(\d{3})/i', $header, $match ) ) {
			http_response_code( (int) $match[1] );
		} else {
			header( $header );
		}
	}
	return true;
}
