<?php
/**
 * Logs the person who runs the server into the dashboard: see owner.php.
 *
 * FORKPRESS_AUTO_LOGIN=0 turns it off. Logging out turns it off until the browser is closed.
 *
 * @package ForkPress
 */

/**
 * Returns the name of the cookie that says that somebody logged out of this branch.
 */
function forkpress_logged_out_cookie(): string {
	return 'forkpress_logged_out_' . COOKIEHASH;
}

/** How many sessions a user keeps when another one begins. */
const FORKPRESS_SESSIONS = 100;

/**
 * Whether somebody opens this page, rather than another site's page asking for it in the background or in a frame.
 *
 * A client that does not say, such as curl, counts as somebody.
 */
function forkpress_page_is_opened(): bool {
	if ( in_array( $_SERVER['HTTP_SEC_FETCH_SITE'] ?? 'none', array( 'none', 'same-origin' ), true ) ) {
		return true;
	}
	return 'navigate' === ( $_SERVER['HTTP_SEC_FETCH_MODE'] ?? '' ) && 'document' === ( $_SERVER['HTTP_SEC_FETCH_DEST'] ?? '' );
}

/**
 * Whether this request is for a page to which auto-login applies.
 */
function forkpress_auto_login_applies(): bool {
	$page = $GLOBALS['pagenow'] ?? '';
	// phpcs:disable WordPress.Security.NonceVerification.Recommended -- Nothing is done at the request of the page's parameters.
	$asks_to_log_in = 'wp-login.php' === $page && 'login' === ( $_GET['action'] ?? 'login' ) && ! isset( $_GET['loggedout'] );
	// phpcs:enable
	$is_dashboard = is_admin() && ! wp_doing_ajax() && 'admin-post.php' !== $page;
	return ( $asks_to_log_in || $is_dashboard )
		&& 'GET' === $_SERVER['REQUEST_METHOD']
		&& ! isset( $_COOKIE[ forkpress_logged_out_cookie() ] )
		&& ! is_user_logged_in()
		&& forkpress_page_is_opened()
		&& null === forkpress_stranger();
}

/**
 * Logs the first administrator in, if this request is to be.
 */
function forkpress_auto_login(): void {
	if ( ! forkpress_auto_login_applies() ) {
		return;
	}
	$administrators = get_users(
		array(
			'role'    => 'administrator',
			'orderby' => 'ID',
			'number'  => 1,
			'fields'  => 'ID',
		)
	);
	if ( ! $administrators ) {
		return;
	}
	$user = (int) $administrators[0];
	// A client that keeps no cookies begins a session with each request.
	$sessions = get_user_meta( $user, 'session_tokens', true );
	if ( is_array( $sessions ) && count( $sessions ) > FORKPRESS_SESSIONS ) {
		update_user_meta( $user, 'session_tokens', array_slice( $sessions, -FORKPRESS_SESSIONS, null, true ) );
	}
	// This very request has the cookies, too, so that it is served and its nonces are good.
	$keep = static function ( string $cookie ): callable {
		return static function ( $value ) use ( $cookie ): void {
			$_COOKIE[ $cookie ] = $value;
		};
	};
	add_action( 'set_auth_cookie', $keep( is_ssl() ? SECURE_AUTH_COOKIE : AUTH_COOKIE ) );
	add_action( 'set_logged_in_cookie', $keep( LOGGED_IN_COOKIE ) );
	wp_set_auth_cookie( $user );
	wp_set_current_user( $user );
	if ( ! is_admin() ) {
		// phpcs:ignore WordPress.Security.NonceVerification.Recommended
		$target = isset( $_GET['redirect_to'] ) && is_string( $_GET['redirect_to'] ) ? wp_unslash( $_GET['redirect_to'] ) : admin_url();
		wp_safe_redirect( $target );
		exit;
	}
}
add_action( 'init', 'forkpress_auto_login', 0 );

/**
 * Says on the login page why somebody on this machine is not logged in.
 *
 * @param string $message What the page says above the form.
 */
function forkpress_explain_login( $message ) {
	$is_local = preg_match( '/^(?:(?:::ffff:)?127\.[0-9.]+|::1)$/D', $_SERVER['REMOTE_ADDR'] ?? '' );
	$why      = $is_local && ! isset( $_COOKIE[ forkpress_logged_out_cookie() ] ) ? forkpress_stranger() : null;
	if ( null === $why ) {
		return $message;
	}
	// phpcs:ignore WordPress.WP.I18n -- As all that ForkPress says.
	$text = "ForkPress logs in only the account that runs the server, and $why. Sign in with the password of a user of this branch; forkpress init showed the first one.";
	return $message . '<p class="message">' . esc_html( $text ) . '</p>';
}
add_filter( 'login_message', 'forkpress_explain_login' );

/**
 * Sets, or takes away, the cookie that says that somebody logged out. The browser drops it when it is closed.
 *
 * @param bool $logged_out Whether somebody did.
 */
function forkpress_remember_logout( bool $logged_out ): void {
	if ( headers_sent() || ! $logged_out && ! isset( $_COOKIE[ forkpress_logged_out_cookie() ] ) ) {
		return;
	}
	setcookie(
		forkpress_logged_out_cookie(),
		$logged_out ? '1' : '',
		array(
			'expires'  => $logged_out ? 0 : 1,
			'path'     => '/',
			'httponly' => true,
			'samesite' => 'Lax',
		)
	);
}
add_action(
	'wp_logout',
	static function (): void {
		forkpress_remember_logout( true );
	}
);
add_action(
	'wp_login',
	static function (): void {
		forkpress_remember_logout( false );
	}
);
