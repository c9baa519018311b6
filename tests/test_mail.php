<?php
/**
 * Mails that a branch sends are kept by branch, and nobody gets them.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_mail.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

/** Sends mails in every way that there is, as a plugin. */
const PLUGIN = <<<'PHP'
<?php
add_action( 'init', static function () {
	$how = $_GET['send'] ?? '';
	if ( 'attached' === $how ) {
		file_put_contents( get_temp_dir() . 'über.csv', "1,2\n" );
		wp_send_json( wp_mail( array( 'Jörg <j@example.com>', 'k@example.com' ), 'Grüße 🔑', '<p>See ' . home_url( '/x/' ) . '</p>', array( 'Content-Type: text/html', 'Bcc: secret@example.com' ), get_temp_dir() . 'über.csv' ) );
	}
	if ( 'sendmail' === $how ) {
		add_action( 'phpmailer_init', static fn ( $mailer ) => $mailer->isSendmail() );
		wp_send_json( wp_mail( 'j@example.com', 'by sendmail', 'x' ) );
	}
	if ( 'hostile' === $how ) {
		putenv( 'FORKPRESS_BRANCH=main' );
		putenv( 'FORKPRESS_SENDMAIL=touch /tmp/forkpress-escaped' );
		ini_set( 'sendmail_path', 'touch /tmp/forkpress-escaped' );
		wp_send_json( mail( 'j@example.com', "hostile \e[2J", "\e]0;x\x07text", "X-Branch: ../../main", '--branch main --work-dir /tmp -X/tmp/forkpress-escaped' ) );
	}
	if ( 'child' === $how ) {
		putenv( 'FORKPRESS_BRANCH=main' );
		wp_send_json( (string) shell_exec( escapeshellarg( PHP_BINDIR . '/php' ) . ' -r "var_dump(mail(\'j@example.com\', \'by a child\', \'x\'));"' ) );
	}
} );
PHP;

$site = new Site();
put( "$site->dir/main/wp-content/mu-plugins/sends.php", PLUGIN );
$site->done( 'branch', 'create', 'shop', '--beside' );

/**
 * Has a branch send a mail, and returns what the page says.
 *
 * @param string $branch The branch.
 * @param string $how    How.
 */
$send = static fn ( string $branch, string $how ): mixed => json_decode( $site->request( "/?send=$how", array( 'Host' => $site->host( $branch ) ) )->body, true );

/**
 * Returns what a branch's last mail is.
 *
 * @param string $branch The branch.
 */
$last = static function ( string $branch ) use ( $site ): array {
	$all = $site->json( 'mail', $branch );
	return $site->json( 'mail', $branch, (string) end( $all )['id'] );
};

/** Has the site do all that it can do, by the PHP that serves it. */
$sends = static function () use ( $site, $send, $last ) {
	$main = count( $site->json( 'mail', 'main' ) );
	$site->done( 'mail', 'shop', '--clear' );
	$browser = new Browser( $site, 'shop' );
	$answer  = $browser->request( '/wp-login.php?action=lostpassword', 'POST', 'user_login=admin&redirect_to=&wp-submit=x', array( 'Content-Type' => 'application/x-www-form-urlencoded' ) );
	same( 302, $answer->status, "a new password was asked for: $answer->body" );
	$mail = $last( 'shop' );
	holds( str_contains( $mail['subject'], 'Password Reset' ), $mail['subject'] );
	holds( str_contains( $mail['text'], 'http://' . $site->host( 'shop' ) . '/wp-login.php?' ), "the link is the branch's own: {$mail['text']}" );

	same( true, $send( 'shop', 'attached' ), 'wp_mail()' );
	$mail = $last( 'shop' );
	same( array( 'Grüße 🔑', array( 'Jörg <j@example.com>', 'k@example.com' ), array( 'secret@example.com' ) ), array( $mail['subject'], $mail['to'], $mail['bcc'] ), 'the headers' );
	same( array( array( 'bytes' => 4, 'kind' => 'text/csv', 'name' => 'über.csv' ) ), $mail['attachments'], 'what is attached' );
	holds( str_contains( $mail['html'], '<p>See http://' . $site->host( 'shop' ) . '/x/</p>' ), $mail['html'] );

	same( true, $send( 'shop', 'sendmail' ), 'PHPMailer by sendmail' );
	same( 'by sendmail', $last( 'shop' )['subject'], 'the subject' );

	same( true, $send( 'shop', 'hostile' ), 'mail()' );
	holds( ! file_exists( '/tmp/forkpress-escaped' ), 'no other program ran' );
	$shown = $site->done( 'mail', 'shop' ) . $site->done( 'mail', 'shop', '4' );
	holds( str_contains( $shown, 'hostile' ) && ! preg_match( '/[\x00-\x08\x0b-\x1f\x7f]/', $shown ), "it is harmless: $shown" );

	holds( str_contains( (string) $send( 'shop', 'child' ), 'true' ), 'a PHP that a page starts' );
	same( 'by a child', $last( 'shop' )['subject'], 'the subject' );
	same( $main, count( $site->json( 'mail', 'main' ) ), 'mails of the other branch' );
};

test(
	'what WordPress sends is in the box of its branch, and there alone',
	function () use ( $site, $sends ) {
		foreach ( array( array(), array( 'FORKPRESS_PHP_FPM' => 'none' ) ) as $env ) {
			$site->serve( 2, $env );
			$sends();
			$site->done( 'stop' );
		}
	}
);

test(
	'what a command on a branch sends is kept as well',
	function () use ( $site, $last ) {
		$site->done( 'wp', 'main', '--', 'eval', 'exit( (int) ! wp_mail( "j@example.com", "by wp", "x" ) );' );
		same( 'by wp', $last( 'main' )['subject'], 'the subject' );
		$site->done( 'exec', '--no-lock', 'main', '--', PHP_BINARY, '-r', 'exit( (int) ! mail( "j@example.com", "by exec", "x" ) );' );
		same( 'by exec', $last( 'main' )['subject'], 'the subject' );
	}
);

test(
	'a mail that no branch sends is refused',
	function () use ( $site ) {
		$outcome = $site->run( '__sendmail', "$site->dir/.forkpress", '--', '-t' );
		same( 67, $outcome->status, "{$outcome->text()}: exit status" );
	}
);

test(
	'a mail is printed as it was sent, and one that is not there is said to be missing',
	function () use ( $site ) {
		holds( str_contains( $site->done( 'mail', 'shop', '2', '--raw' ), "\nSubject: =?UTF-8?" ), 'the header as it was sent' );
		$outcome = $site->run( 'mail', 'shop', '999' );
		same( array( 1, true ), array( $outcome->status, str_contains( $outcome->errors, 'forkpress mail shop' ) ), $outcome->text() );
		same( 1, $site->run( 'mail', 'nobody' )->status, 'a branch that there is not' );
		$site->done( 'branch', 'delete', 'shop' );
		same( 5, count( $site->json( 'mail', 'shop' ) ), 'the mails of a branch that may come back' );
	}
);

test( 'nobody complained', fn () => $site->has_no_complaints() );
