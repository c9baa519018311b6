<?php
/**
 * Requests that the site makes to itself: cron, REST, site health.
 *
 * Such a request may come from a page that is itself being served. So it goes to workers that are kept for it
 * (FORKPRESS_LOOPBACK, an address and a port), and needs no name resolution. It carries a token that lets it pass a
 * waiting writer, since the writer waits for the page, and the page for this request.
 *
 * Over HTTPS it goes there as well if the server speaks that itself. FORKPRESS_AUTHORITY then names the certificate by which the
 * server is checked. Where another server in front speaks HTTPS, the request goes the ordinary way.
 *
 * @package ForkPress
 */

/**
 * Returns the file with the certificate of the authority that signs for this server; an empty string where it speaks no HTTPS.
 */
function forkpress_authority(): string {
	return (string) getenv( 'FORKPRESS_AUTHORITY' );
}

/**
 * Returns the host and port of a URL if it is one of this site's, of whichever branch.
 *
 * @param string $url The URL.
 * @return string|null Null for any other URL.
 */
function forkpress_own_address( string $url ): ?string {
	$ports  = array(
		'http'  => 80,
		'https' => 443,
	);
	$parts  = wp_parse_url( $url );
	$scheme = is_array( $parts ) ? strtolower( $parts['scheme'] ?? '' ) : '';
	if ( ! isset( $ports[ $scheme ], $parts['host'] ) || '' === forkpress_authority() && ( 'https' === $scheme || is_ssl() ) ) {
		return null;
	}
	$here  = (int) ( wp_parse_url( "http://{$_SERVER['HTTP_HOST']}", PHP_URL_PORT ) ?? $ports[ is_ssl() ? 'https' : 'http' ] );
	$port  = $parts['port'] ?? $ports[ $scheme ];
	$route = branchfs_route( "{$parts['host']}:$port", '/', forkpress_root_host() );
	return $port === $here && isset( $route['branch'] ) ? "{$parts['host']}:$port" : null;
}

/**
 * Returns where this site's requests to itself connect to.
 *
 * @return string An address and a port.
 */
function forkpress_loopback_address(): string {
	$address = (string) getenv( 'FORKPRESS_LOOPBACK' );
	return '' !== $address ? $address : '127.0.0.1:' . (int) $_SERVER['SERVER_PORT'];
}

/**
 * Marks a request to this site, and takes the mark off any other: a redirect may lead from one to the other.
 *
 * @param string $url     The URL of the request, or of the redirect that it follows.
 * @param array  $headers The request's headers.
 * @param mixed  $data    What it sends.
 * @param string $type    Its method.
 * @param array  $options How it is made.
 */
function forkpress_mark_loopback( $url, &$headers, $data, $type, &$options ): void {
	unset( $headers['X-ForkPress-Loopback'] );
	$authority = forkpress_authority();
	$is_own    = null !== forkpress_own_address( $url );
	$token     = $is_own ? branchfs_loopback_token() : null;
	if ( null !== $token ) {
		$headers['X-ForkPress-Loopback'] = $token;
	}
	if ( $is_own && '' !== $authority && false !== ( $options['verify'] ?? null ) ) {
		$options['verify'] = $authority;
	} elseif ( ! $is_own && '' !== $authority && ( $options['verify'] ?? null ) === $authority ) {
		$options['verify'] = ABSPATH . WPINC . '/certificates/ca-bundle.crt';
	}
}
add_action( 'requests-requests.before_request', 'forkpress_mark_loopback', 10, 5 );

/**
 * Connects a request that cURL makes.
 *
 * @param CurlHandle $handle The request.
 * @param array      $args   WordPress's settings of the request.
 * @param string     $url    The URL.
 */
function forkpress_connect_curl( $handle, $args, $url ): void {
	$own = forkpress_own_address( $url );
	if ( null === $own ) {
		return;
	}
	curl_setopt( $handle, CURLOPT_CONNECT_TO, array( $own . ':' . forkpress_loopback_address() ) );
	curl_setopt( $handle, CURLOPT_PROXY, '' );
	if ( empty( $args['blocking'] ) ) {
		// WordPress waits for a whole second, for the sake of name resolution, before it lets go of a cron request.
		curl_setopt( $handle, CURLOPT_TIMEOUT_MS, 100 );
	}
}
add_action( 'http_api_curl', 'forkpress_connect_curl', 10, 3 );

/**
 * Connects a request that is made without cURL.
 *
 * @param string $socket The address to connect to, as `tcp://HOST:PORT` or `ssl://HOST:PORT`.
 */
function forkpress_connect_socket( &$socket ): void {
	$url = str_replace( array( 'tcp://', 'ssl://' ), array( 'http://', 'https://' ), $socket );
	if ( $url !== $socket && null !== forkpress_own_address( $url ) ) {
		$socket = substr( $socket, 0, 6 ) . forkpress_loopback_address();
	}
}
add_action( 'requests-fsockopen.remote_socket', 'forkpress_connect_socket' );
