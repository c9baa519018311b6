<?php
/**
 * How many milliseconds `sqlite3session_diff` takes for all tables of two databases, and how many bytes of changes it
 * finds: `php benches/session_diff.php BASE SOURCE`. The system's SQLite has to be built with sessions, as Debian's is.
 *
 * @package ForkPress
 */

$functions = <<<'C'
typedef struct sqlite3 sqlite3;
typedef struct sqlite3_session sqlite3_session;
int sqlite3_open( const char *path, sqlite3 **database );
int sqlite3_exec( sqlite3 *database, const char *sql, void *callback, void *argument, char **error );
int sqlite3session_create( sqlite3 *database, const char *schema, sqlite3_session **session );
int sqlite3session_attach( sqlite3_session *session, const char *table );
int sqlite3session_diff( sqlite3_session *session, const char *schema, const char *table, char **error );
int sqlite3session_changeset( sqlite3_session *session, int *bytes, void **changes );
C;

list( , $base, $source ) = $argv;
$sqlite                  = FFI::cdef( $functions, 'libsqlite3.so.0' );

/**
 * Ends where SQLite says that something failed.
 *
 * @param int    $status What it said.
 * @param string $what   Of what.
 */
function check( int $status, string $what ): void {
	if ( 0 !== $status ) {
		fwrite( STDERR, "session_diff: $what: SQLite says $status\n" );
		exit( 1 );
	}
}

$tables   = ( new PDO( "sqlite:$source" ) )
	->query( "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'" )
	->fetchAll( PDO::FETCH_COLUMN );
$database = $sqlite->new( 'sqlite3 *' );
check( $sqlite->sqlite3_open( $source, FFI::addr( $database ) ), 'open' );
$attach = "ATTACH '" . str_replace( "'", "''", $base ) . "' AS base";
check( $sqlite->sqlite3_exec( $database, $attach, null, null, null ), 'attach' );

$since   = hrtime( true );
$session = $sqlite->new( 'sqlite3_session *' );
check( $sqlite->sqlite3session_create( $database, 'main', FFI::addr( $session ) ), 'create' );
check( $sqlite->sqlite3session_attach( $session, null ), 'attach a session' );
foreach ( $tables as $table ) {
	check( $sqlite->sqlite3session_diff( $session, 'base', $table, null ), $table );
}
$bytes   = $sqlite->new( 'int' );
$changes = $sqlite->new( 'void *' );
check( $sqlite->sqlite3session_changeset( $session, FFI::addr( $bytes ), FFI::addr( $changes ) ), 'changeset' );
printf( "%.1f %d\n", ( hrtime( true ) - $since ) / 1e6, $bytes->cdata );
