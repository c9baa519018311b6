<?php
/**
 * A real sshd of a test's own on the loopback address, and the user's ssh as it is set up for it. Keys, settings and ports are
 * in a temporary folder: neither /etc/ssh nor ~/.ssh is read.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require_once __DIR__ . '/lib.php';

/** A server that runs until the tests end. Each port has another PATH behind it. */
final class Sshd {
	/** @var int[] The ports by the names of their PATHs. */
	public readonly array $ports;

	/** @var string The user. */
	public readonly string $user;

	/** @var string The folder. */
	private string $dir;

	/** @var Process The server. */
	private Process $server;

	/**
	 * Starts a server.
	 *
	 * @param string[] $paths PATHs by name.
	 */
	public function __construct( array $paths ) {
		$this->dir   = temp_dir();
		$this->user  = posix_getpwuid( posix_geteuid() )['name'];
		$this->ports = array_map( static fn () => free_port(), $paths );
		foreach ( array( 'host', 'user', 'stranger' ) as $key ) {
			$made = new Process( array( 'ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', "$this->dir/$key" ) );
			same( 0, $made->wait(), 'making a key: ' . $made->output() );
		}
		copy( "$this->dir/user.pub", "$this->dir/authorized_keys" );
		$known  = '';
		$config = "HostKey $this->dir/host\nAuthorizedKeysFile $this->dir/authorized_keys\nPidFile none\nStrictModes no\nUsePAM no\n"
			. "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nListenAddress 127.0.0.1\n";
		foreach ( $this->ports as $port ) {
			$config .= "Port $port\n";
			$known  .= "[127.0.0.1]:$port " . file_get_contents( "$this->dir/host.pub" );
		}
		foreach ( $this->ports as $name => $port ) {
			// The settings of a user's shell may print something first.
			$config .= "Match LocalPort $port\n\tSetEnv \"PATH={$paths[ $name ]}\"\n\tForceCommand echo Welcome; eval \"\$SSH_ORIGINAL_COMMAND\"\n";
		}
		put( "$this->dir/sshd_config", $config );
		put( "$this->dir/known_hosts", $known );
		$this->let_in( 'user' );
		// The program ssh that is found first reads these settings in place of the user's.
		mkdir( "$this->dir/bin" );
		$ssh = trim( (string) shell_exec( 'command -v ssh' ) );
		put( "$this->dir/bin/ssh", "#!/bin/sh\nexec $ssh -F $this->dir/config \"\$@\"\n" );
		chmod( "$this->dir/bin/ssh", 0755 );
		// It is where a server that root starts puts strangers.
		if ( 0 === posix_geteuid() && ! is_dir( '/run/sshd' ) ) {
			mkdir( '/run/sshd', 0755 );
		}
		$this->server = new Process( array( '/usr/sbin/sshd', '-D', '-e', '-f', "$this->dir/sshd_config" ) );
		foreach ( $this->ports as $port ) {
			eventually(
				function () use ( $port ): bool {
					holds( $this->server->runs(), 'sshd runs: ' . $this->server->output() );
					return false !== @fsockopen( '127.0.0.1', $port );
				},
				'sshd answers'
			);
		}
	}

	/**
	 * Has ssh sign in with another key, or trust other hosts.
	 *
	 * @param string $key   The key: user, or stranger.
	 * @param string $known The file of hosts, in the folder.
	 */
	public function let_in( string $key, string $known = 'known_hosts' ): void {
		put( "$this->dir/config", "Host *\n\tIdentityFile $this->dir/$key\n\tIdentitiesOnly yes\n\tUserKnownHostsFile $this->dir/$known\n\tGlobalKnownHostsFile none\n" );
	}

	/** Returns what the environment of a client has. */
	public function env(): array {
		return array(
			'PATH'          => "$this->dir/bin:" . getenv( 'PATH' ),
			'SSH_AUTH_SOCK' => null,
			'SSH_ASKPASS'   => null,
		);
	}

	/**
	 * Returns the address of a folder.
	 *
	 * @param string $name   Of the PATH.
	 * @param string $folder The folder.
	 */
	public function url( string $name, string $folder ): string {
		return "ssh://$this->user@127.0.0.1:{$this->ports[ $name ]}" . implode( '/', array_map( 'rawurlencode', explode( '/', $folder ) ) );
	}

	/** Ends all connections as a machine does that is switched off, and returns how many processes that were. */
	public function cut(): int {
		$parents = array();
		foreach ( glob( '/proc/[0-9]*/stat' ) as $file ) {
			if ( preg_match( '/^(\d+) \((sshd[^)]*)\) \S (\d+)/', (string) @file_get_contents( $file ), $found ) ) {
				$parents[ (int) $found[1] ] = (int) $found[3];
			}
		}
		$own  = array( $this->server->pid );
		$ends = array();
		do {
			$own  = array_keys( array_filter( $parents, static fn ( $parent ) => in_array( $parent, $own, true ) ) );
			$ends = array( ...$ends, ...$own );
		} while ( array() !== $own );
		array_map( static fn ( $pid ) => posix_kill( $pid, SIGKILL ), $ends );
		return count( $ends );
	}

	/** Returns how many connections there are. */
	public function connections(): int {
		return substr_count( $this->server->output(), 'Accepted publickey' );
	}
}
