<?php
/**
 * Clients of a server that are processes of another account. Not a test.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

/** The user id of `nobody`, another account that every machine has. */
const NOBODY = 65534;

/**
 * Returns a command that runs another one as `nobody`.
 *
 * @param string ...$command The other one.
 * @return string[]
 */
function as_nobody( string ...$command ): array {
	return array( 'setpriv', '--reuid', (string) NOBODY, '--regid', (string) NOBODY, '--clear-groups', ...$command );
}

/** A client of a server, in a process of its own, which may be another account's. */
const CLIENT = <<<'PHP'
$connection = stream_socket_client( $argv[1], $code, $message, 60 ) or exit( 1 );
stream_set_timeout( $connection, 60 );
fwrite( $connection, stream_get_contents( STDIN ) );
if ( 'leave' !== $argv[2] ) {
	echo stream_get_contents( $connection );
}
PHP;

/**
 * Sends a request from a process of its own, and returns the answer.
 *
 * @param string   $address   Where to connect to, as `tcp://HOST:PORT`.
 * @param string   $target    The request target.
 * @param bool     $is_nobody Whether the process is another account's.
 * @param string[] $headers   Further headers, as lines.
 * @param bool     $leaves    Whether to hang up before the answer comes.
 * @param string   $label     What stands before the root host, with its dot.
 */
function ask( string $address, string $target, bool $is_nobody, array $headers = array(), bool $leaves = false, string $label = '' ): Response {
	$port    = (int) substr( strrchr( $address, ':' ), 1 );
	$command = array( PHP_BINARY, '-n', '-r', CLIENT, '--', $address, $leaves ? 'leave' : 'stay' );
	$client  = new Process( $is_nobody ? as_nobody( ...$command ) : $command, array(), '/' );
	fwrite( $client->stdin, implode( "\r\n", array( "GET $target HTTP/1.1", "Host: {$label}wp.localhost:$port", 'Connection: close', ...$headers, '', '' ) ) );
	fclose( $client->stdin );
	same( 0, $client->wait(), 'the client: ' . $client->output() );
	$response = Response::parse( $client->output() );
	$client->stop();
	return $response;
}

/**
 * Tests what takes two accounts, where this machine has them.
 *
 * @param string   $claim The claim.
 * @param callable $test  Shows it.
 */
function test_as_root( string $claim, callable $test ): void {
	if ( 0 !== posix_geteuid() || '' === (string) shell_exec( 'command -v setpriv' ) ) {
		echo "SKIPPED $claim: only root can run something as another account\n";
		return;
	}
	test( $claim, $test );
}
