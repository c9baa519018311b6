<?php
/**
 * What an export of a database takes, by what mysqldump takes for the same tables: a WordPress with 60,000 posts of 2 KB.
 * The dump is loaded into a MariaDB of the benchmark's own, which mysqldump then dumps. Both write into a file, in turn.
 *
 * php benches/export.php [ROUNDS]
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Bench;

require __DIR__ . '/lib.php';

$program = ROOT . '/target/release/forkpress';
$dump    = trim( (string) shell_exec( 'command -v mariadb-dump || command -v mysqldump' ) );
is_executable( $program ) || missing( "no $program: make build" );
'' !== $dump && is_executable( '/usr/sbin/mariadbd' ) || missing( 'no MariaDB: apt-get install mariadb-server' );

/** How many posts. */
const POSTS = 60000;

$state = temp_dir();
$dir   = temp_dir();
putenv( "FORKPRESS_STATE_DIR=$state" );
putenv( 'FORKPRESS_EXTENSION=' . ROOT . '/ext/branchfs.so' );
$run = static function ( string ...$command ) use ( $dir ): float {
	$began  = hrtime( true );
	$said   = tempnam( $dir, 'said' );
	$words  = implode( ' ', array_map( 'escapeshellarg', $command ) );
	$status = 0;
	passthru( "cd '$dir' && $words >'$said' 2>&1", $status );
	0 === $status || missing( "$words: " . file_get_contents( $said ) );
	return ( hrtime( true ) - $began ) / 1e9;
};
mkdir( "$dir/site" );
$run( $program, 'init', '--work-dir', "$dir/site/.forkpress", '--admin-password', 'secret', '--wordpress', ROOT . '/target/wordpress', '--file-view', 'file-copy' );
$database = new \PDO( "sqlite:$dir/site/main/wp-content/database/.ht.sqlite", null, null, array( \PDO::ATTR_ERRMODE => \PDO::ERRMODE_EXCEPTION ) );
$database->beginTransaction();
$post = $database->prepare( "INSERT INTO wp_posts (post_title, post_content, post_excerpt, to_ping, pinged, post_content_filtered, guid) VALUES (?, ?, '', '', '', '', ?)" );
$meta = $database->prepare( "INSERT INTO wp_postmeta (post_id, meta_key, meta_value) VALUES (?, 'settings', ?)" );
mt_srand( 7 );
for ( $number = 1; $number <= POSTS; $number++ ) {
	$text = '';
	while ( strlen( $text ) < 1900 ) {
		$text .= "<!-- wp:paragraph -->\n<p class=\"a\">" . bin2hex( pack( 'N', mt_rand() ) ) . " it's text</p>\n<!-- /wp:paragraph -->\n";
	}
	$post->execute( array( "Post $number", "$text<a href=\"http://wp.localhost:18080/?p=$number\">", "http://wp.localhost:18080/?p=$number" ) );
	$meta->execute( array( $number, serialize( array( 'u' => "http://wp.localhost:18080/$number", 'n' => $number ) ) ) );
}
$database->commit();
unset( $database, $post, $meta );

$maria = "$dir/maria";
$user  = posix_getpwuid( posix_geteuid() )['name'];
mkdir( $maria );
$run( 'mariadb-install-db', '--no-defaults', "--datadir=$maria/data", "--tmpdir=$maria", "--user=$user", '--auth-root-authentication-method=normal', '--skip-test-db' );
$server = proc_open( array( '/usr/sbin/mariadbd', '--no-defaults', "--datadir=$maria/data", "--tmpdir=$maria", "--user=$user", "--socket=$maria/s", '--skip-networking', '--innodb-buffer-pool-size=1G' ), array( array( 'file', '/dev/null', 'r' ), array( 'file', "$maria/log", 'w' ), array( 'file', "$maria/log", 'a' ) ), $pipes );
at_end(
	static function () use ( $server ): void {
		proc_terminate( $server );
		proc_close( $server );
	}
);
$client = array( '--no-defaults', "--socket=$maria/s", '--user=root' );
for ( $attempt = 0; $attempt < 600 && ! file_exists( "$maria/s" ); $attempt++ ) {
	usleep( 100000 );
}
$run( 'mariadb', ...array( ...$client, '-e', 'CREATE DATABASE wp CHARACTER SET utf8mb4' ) );
$export = array( $program, 'export', 'main', '--work-dir', "$dir/site/.forkpress", '--format', 'sql', '--force', '--to' );
$run( ...$export, ...array( "$dir/a.sql" ) );
$load = $run( 'mariadb', ...array( ...$client, '--database=wp', '-e', "SOURCE $dir/a.sql" ) );

$times = array();
foreach ( rounds( (int) ( $argv[1] ?? 7 ) ) as $round ) {
	$times['export'][]    = $run( ...$export, ...array( "$dir/a.sql" ) );
	$times['rewritten'][] = $run( ...$export, ...array( "$dir/b.sql", '--url', 'https://example.com' ) );
	$times['mysqldump'][] = $run( $dump, ...array( ...$client, '--single-transaction', '--hex-blob', "--result-file=$dir/c.sql", 'wp' ) );
}
$row = static function ( string $what, string $name, string $file ) use ( $times, $dir ): array {
	$megabytes = filesize( "$dir/$file" ) / 1e6;
	return array( $what, sprintf( '%.2f', median( $times[ $name ] ) ), sprintf( '%.0f', $megabytes ), sprintf( '%.0f', $megabytes / median( $times[ $name ] ) ), sprintf( '%.2f', median_ratio( $times[ $name ], $times['mysqldump'] ) ) );
};
table(
	array(
		array( POSTS . ' posts', sprintf( 'seconds, median of %d', count( $times['export'] ) ), 'MB', 'MB/s', 'by mysqldump' ),
		$row( 'forkpress export --format sql', 'export', 'a.sql' ),
		$row( 'the same with --url', 'rewritten', 'b.sql' ),
		$row( 'mysqldump --single-transaction', 'mysqldump', 'c.sql' ),
		array( 'loading it into MariaDB', sprintf( '%.2f', $load ), '', '', '' ),
	)
);
