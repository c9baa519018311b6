<?php
/**
 * Keeps outside hosts that do not answer from delaying pages.
 *
 * WordPress asks its makers things while it builds an administrator's page: whether the browser is old, whether PHP is.
 * Without a network each question may wait for seconds, at every page, and so does whoever waits for the branch's lock.
 * So connecting may take two seconds, and a host that could not be reached is not tried again for a while.
 *
 * @package ForkPress
 */

/** How long connecting may take, name resolution and all, in milliseconds. */
const FORKPRESS_CONNECT_MS = 2000;

/** How long a host that could not be reached is left alone, in seconds. */
const FORKPRESS_UNREACHABLE_SECONDS = 300;

/**
 * Returns the name of the transient that says that a URL's host could not be reached.
 *
 * @param string $url The URL.
 * @return string|null Null for this site's own URLs and for what is none.
 */
function forkpress_unreachable_transient( string $url ): ?string {
	$host = wp_parse_url( $url, PHP_URL_HOST );
	if ( ! is_string( $host ) || null !== forkpress_own_address( $url ) ) {
		return null;
	}
	return 'forkpress_unreachable_' . md5( $host . ':' . wp_parse_url( $url, PHP_URL_PORT ) );
}

/**
 * Answers a request to a host that could not be reached lately in its place.
 *
 * @param mixed  $answer False, or another filter's answer, which stays.
 * @param array  $args   WordPress's settings of the request.
 * @param string $url    The URL.
 * @return mixed
 */
function forkpress_skip_unreachable( $answer, $args, $url ) {
	$transient = false === $answer ? forkpress_unreachable_transient( $url ) : null;
	$said      = null === $transient ? false : get_site_transient( $transient );
	return false === $said ? $answer : new WP_Error( 'http_request_failed', "$said (not tried again for some minutes)" );
}
add_filter( 'pre_http_request', 'forkpress_skip_unreachable', 10, 3 );

/**
 * Bounds how long a request waits for its connection.
 *
 * @param CurlHandle $handle The request.
 * @param array      $args   WordPress's settings of the request.
 * @param string     $url    The URL.
 */
function forkpress_bound_connecting( $handle, $args, $url ): void {
	curl_setopt( $handle, CURLOPT_CONNECTTIMEOUT_MS, FORKPRESS_CONNECT_MS );
}
add_action( 'http_api_curl', 'forkpress_bound_connecting', 10, 3 );

/**
 * Remembers a host that could not be reached.
 *
 * @param array|WP_Error $response  What came of the request.
 * @param string         $context   Not used.
 * @param string         $transport Not used.
 * @param array          $args      WordPress's settings of the request.
 * @param string         $url       The URL.
 */
function forkpress_remember_unreachable( $response, $context, $transport, $args, $url ): void {
	// A host that was reached and then was slow is not meant.
	if ( ! is_wp_error( $response ) || ! preg_match( '/resolv|connect|getaddrinfo/i', $response->get_error_message() ) ) {
		return;
	}
	$transient = forkpress_unreachable_transient( $url );
	if ( null !== $transient ) {
		set_site_transient( $transient, $response->get_error_message(), FORKPRESS_UNREACHABLE_SECONDS );
	}
}
add_action( 'http_api_debug', 'forkpress_remember_unreachable', 10, 5 );
