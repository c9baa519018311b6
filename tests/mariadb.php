<?php
/**
 * A real MariaDB of a test's own: its data and its socket are in a temporary folder, and it listens nowhere else.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require_once __DIR__ . '/lib.php';

/** A server that runs until the tests end. */
final class MariaDB {
	/** @var string The socket. */
	public readonly string $socket;

	/** @var string The folder of the socket and the data. */
	private string $dir;

	/** @var Process The server. */
	private Process $server;

	/** Makes a server's data and starts it. */
	public function __construct() {
		$this->dir    = temp_dir();
		$this->socket = "$this->dir/mysqld.sock";
		$user         = posix_getpwuid( posix_geteuid() )['name'];
		// A server that starts removes what others have in a folder for temporary tables that they share.
		$options      = array( '--no-defaults', "--datadir=$this->dir/data", "--tmpdir=$this->dir", "--user=$user" );
		$install      = new Process( array( 'mariadb-install-db', ...$options, '--auth-root-authentication-method=normal', '--skip-test-db' ) );
		same( 0, $install->wait(), 'making the data of MariaDB: ' . $install->output() );
		// No test needs its data to outlive a power cut.
		$fast         = array( '--innodb-flush-log-at-trx-commit=0', '--innodb-doublewrite=0', '--skip-log-bin', '--max-allowed-packet=64M' );
		$this->server = new Process( array( $this->program(), ...$options, "--socket=$this->socket", '--skip-networking', ...$fast ) );
		eventually(
			function (): bool {
				holds( $this->server->runs(), 'MariaDB runs: ' . $this->server->output() );
				return $this->answers();
			},
			'MariaDB answers'
		);
	}

	/** Returns the program: it is where only administrators look. */
	private function program(): string {
		foreach ( array( '/usr/sbin/mariadbd', '/usr/local/sbin/mariadbd', '/usr/libexec/mariadbd' ) as $program ) {
			if ( is_executable( $program ) ) {
				return $program;
			}
		}
		return 'mariadbd';
	}

	/** Returns whether the server takes connections. */
	private function answers(): bool {
		try {
			$this->connect();
			return true;
		} catch ( \mysqli_sql_exception $not_yet ) {
			return false;
		}
	}

	/** Ends the server. */
	public function stop(): void {
		$this->server->stop();
	}

	/**
	 * Connects to a database.
	 *
	 * @param string $database Its name; none: the server alone.
	 */
	public function connect( string $database = '' ): \mysqli {
		mysqli_report( MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT );
		$connection = @new \mysqli( null, 'root', '', $database, 0, $this->socket );
		$connection->set_charset( 'utf8mb4' );
		return $connection;
	}

	/**
	 * Returns the rows that a query gives, each by its columns.
	 *
	 * @param string $database The database.
	 * @param string $query    The query.
	 * @return array[]
	 */
	public function query( string $database, string $query ): array {
		$result = $this->connect( $database )->query( $query );
		return is_bool( $result ) ? array() : $result->fetch_all( MYSQLI_ASSOC );
	}

	/**
	 * Makes an empty database.
	 *
	 * @param string $database Its name.
	 */
	public function create( string $database ): void {
		$this->connect()->query( "CREATE DATABASE `$database` CHARACTER SET utf8mb4" );
	}

	/**
	 * Loads a dump into a new database, as `wp db import` does but for modes that are as strict as can be.
	 *
	 * @param string $database The database.
	 * @param string $dump     The file.
	 */
	public function load( string $database, string $dump ): void {
		$this->create( $database );
		$strict  = "SET GLOBAL sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,ONLY_FULL_GROUP_BY'";
		$this->connect()->query( $strict );
		$execute = "SET autocommit = 0; SET unique_checks = 0; SET foreign_key_checks = 0; SOURCE $dump; COMMIT;";
		$client  = new Process( array( 'mariadb', '--no-defaults', '--no-auto-rehash', "--socket=$this->socket", '--user=root', "--database=$database", "--execute=$execute" ) );
		$status  = $client->wait();
		same( array( 0, '' ), array( $status, $client->output() ), "loading $dump: exit status and what is said" );
	}
}
