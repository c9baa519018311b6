<?php
/**
 * A branch that was taken out is the same WordPress on MySQL: its tables, its rows, its pages.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_export.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/person.php';
require __DIR__ . '/mariadb.php';

/** A table with each type, as a plugin makes it. */
const KINDS = "CREATE TABLE wp_kinds (
	id bigint(20) unsigned NOT NULL AUTO_INCREMENT,
	i int(11) DEFAULT NULL,
	t tinyint(1) NOT NULL DEFAULT '1',
	u bigint(20) unsigned DEFAULT '0',
	f float DEFAULT NULL,
	d double DEFAULT NULL,
	m decimal(20,4) DEFAULT '1.5000',
	b bit(8) DEFAULT b'101',
	c char(5) DEFAULT NULL,
	v varchar(255) NOT NULL DEFAULT 'it''s a \\\\ \"default\"' COMMENT 'a ''comment''',
	x text,
	l longtext,
	e enum('a','b','it''s') DEFAULT 'b',
	s set('x','y') DEFAULT NULL,
	j json DEFAULT NULL,
	day date NOT NULL DEFAULT '0000-00-00',
	made datetime NOT NULL DEFAULT CURRENT_TIMESTAMP,
	seen timestamp NULL DEFAULT NULL,
	changed datetime(3) DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
	h time DEFAULT NULL,
	y year DEFAULT NULL,
	bi binary(4) DEFAULT NULL,
	vb varbinary(300) DEFAULT NULL,
	bl longblob,
	PRIMARY KEY (id),
	UNIQUE KEY v (v(100)),
	KEY i_t (i,t),
	KEY x (x(20)),
	FULLTEXT KEY words (l)
) COMMENT='of ''all'' kinds'";

/** Values of each of them that are odd. */
const ODD = array(
	array( 'i' => -2147483648, 'u' => PHP_INT_MAX, 'f' => 0.5, 'd' => 0.1, 'm' => -1234567890.1234, 'b' => 255, 'c' => 'ab', 'v' => "'\"\\\n\r\0\x1a%_", 'x' => '', 'l' => "🎉 é \\' -- /* */ ;\nDROP TABLE x;", 'e' => "it's", 's' => 'x,y', 'j' => '{"a": "é🎉"}', 'day' => '0000-00-00', 'made' => '0000-00-00 00:00:00', 'seen' => '2026-01-02 03:04:05', 'changed' => '2026-01-02 03:04:05.678', 'h' => '-12:30:00', 'y' => '1999' ),
	array( 'i' => null, 'u' => 0, 'f' => -1e30, 'd' => 1.7976931348623157e308, 'm' => 0.0001, 'b' => 0, 'c' => null, 'v' => 'b', 'x' => null, 'l' => null, 'e' => null, 's' => '', 'j' => null, 'day' => '2026-02-00', 'made' => '9999-12-31 23:59:59', 'seen' => null, 'changed' => null, 'h' => null, 'y' => null ),
	array( 'i' => 0, 'u' => 1, 'f' => 0.0, 'd' => 5.0E-324, 'm' => null, 'b' => null, 'c' => '     ', 'v' => 'ünïcödé', 'x' => ' x ', 'l' => "\t\u{200b}", 'e' => 'a', 's' => null, 'j' => '[]', 'day' => '1000-01-01', 'made' => '2026-06-07 08:09:10', 'seen' => '2026-06-07 08:09:10', 'changed' => '2026-06-07 08:09:10.000', 'h' => '838:59:59', 'y' => '2155' ),
);

$site = new Site();
$site->serve( 2 );
$maria = new MariaDB();

/**
 * Runs statements in a branch's WordPress, as a plugin does.
 *
 * @param string $branch     The branch.
 * @param string ...$queries The statements, as MySQL has them.
 */
$plugin = static function ( string $branch, string ...$queries ) use ( $site ): void {
	$failed = ask_wordpress( $site, $branch, 'global $wpdb; $failed = array(); foreach ( $given as $query ) { $wpdb->suppress_errors(); if ( false === $wpdb->query( $query ) ) { $failed[] = $wpdb->last_error; } } return $failed;', $queries );
	same( array(), $failed, 'what failed' );
};

/**
 * Exports a branch's database, loads it, and returns the database's name.
 *
 * @param string $branch     The branch.
 * @param string ...$options Further arguments.
 */
$loaded = static function ( string $branch, string ...$options ) use ( $site, $maria ): string {
	static $number = 0;
	$database      = 'db' . ++$number;
	$dump          = temp_dir() . '/dump.sql';
	$site->done( 'export', $branch, '--format', 'sql', '--to', $dump, ...$options );
	$maria->load( $database, $dump );
	return $database;
};

/**
 * Returns the rows of a branch's table as SQLite has them, bytes as digits.
 *
 * @param string $branch The branch.
 * @param string $table  The table.
 * @return array[]
 */
$rows = static function ( string $branch, string $table ) use ( $site ): array {
	return $site->database( $branch )->query( "SELECT * FROM `$table` ORDER BY rowid" )->fetchAll( \PDO::FETCH_ASSOC );
};

/**
 * Serves an export on MySQL, with PHP's own server, and returns its port.
 *
 * @param string $folder   The folder of the export's WordPress.
 * @param string $database The database.
 * @param int    $port     The port.
 */
$serve = static function ( string $folder, string $database, int $port ) use ( $maria ): void {
	$config = file_get_contents( "$folder/wp-config.php" );
	$here   = array( 'database_name_here' => $database, 'username_here' => 'root', 'password_here' => '', "'localhost'" => "'localhost:$maria->socket'" );
	put( "$folder/wp-config.php", str_replace( array_keys( $here ), $here, $config ) );
	$router = temp_dir() . '/router.php';
	put( $router, '<?php $path = parse_url( $_SERVER["REQUEST_URI"], PHP_URL_PATH ); if ( is_file( $_SERVER["DOCUMENT_ROOT"] . $path ) ) { return false; } if ( is_file( $_SERVER["DOCUMENT_ROOT"] . rtrim( $path, "/" ) . "/index.php" ) && "/" !== $path ) { return false; } $_SERVER["SCRIPT_NAME"] = $_SERVER["PHP_SELF"] = "/index.php"; chdir( $_SERVER["DOCUMENT_ROOT"] ); require $_SERVER["DOCUMENT_ROOT"] . "/index.php";' );
	$server = new Process( array( PHP_BINARY, '-d', 'display_errors=0', '-S', "127.0.0.1:$port", '-t', $folder, $router ), array( 'PHP_CLI_SERVER_WORKERS' => '2' ) );
	eventually(
		static function () use ( $server, $port ): bool {
			holds( $server->runs(), 'the server runs: ' . $server->output() );
			return false !== @fsockopen( '127.0.0.1', $port );
		},
		'the server answers'
	);
};

/**
 * Returns a page of a server.
 *
 * @param int    $port The port.
 * @param string $path The page.
 */
$page = static fn ( int $port, string $path ): string => (string) file_get_contents( "http://127.0.0.1:$port$path", false, stream_context_create( array( 'http' => array( 'ignore_errors' => true ) ) ) );

/**
 * Returns a page of a branch, as a stranger sees it.
 *
 * @param string $branch The branch.
 * @param string $path   The page.
 */
$branch_page = static fn ( string $branch, string $path ): string => $site->request( $path, array( 'Host' => $site->host( $branch ) ) )->body;

test(
	'each type, each key and each value is in MariaDB as the branch has it',
	function () use ( $site, $maria, $plugin, $loaded, $rows ) {
		$plugin(
			'main',
			KINDS,
			'CREATE TABLE wp_parents (id int(11) NOT NULL, name varchar(50) CHARACTER SET latin1 COLLATE latin1_swedish_ci, PRIMARY KEY (id))',
			'CREATE TABLE wp_children (a int(11) NOT NULL, b varchar(20) NOT NULL, parent int(11), PRIMARY KEY (a,b), KEY parent (parent), CONSTRAINT of_parent FOREIGN KEY (parent) REFERENCES wp_parents (id) ON DELETE CASCADE)',
			'CREATE TABLE wp_empty (id int(11) NOT NULL)',
			"INSERT INTO wp_parents VALUES (1,'é'),(2,'🎉')",
			"INSERT INTO wp_children VALUES (1,'x',1),(1,'y',NULL)"
		);
		$all      = implode( '', array_map( 'chr', range( 0, 255 ) ) );
		$database = $site->database( 'main' );
		foreach ( ODD as $number => $values ) {
			$columns = implode( ', ', array_keys( $values ) );
			$insert  = $database->prepare( "INSERT INTO wp_kinds (id, $columns, bi, vb, bl) VALUES (?" . str_repeat( ', ?', count( $values ) + 3 ) . ')' );
			$bytes   = array( array( "\0\xff'\\", $all, '' ), array( null, null, null ), array( "abc\0", '', str_repeat( $all, 5000 ) ) )[ $number ];
			$insert->bindValue( 1, 10 * ( $number + 1 ), \PDO::PARAM_INT );
			foreach ( array_values( $values ) as $at => $value ) {
				$insert->bindValue( $at + 2, $value, is_int( $value ) ? \PDO::PARAM_INT : ( null === $value ? \PDO::PARAM_NULL : \PDO::PARAM_STR ) );
			}
			foreach ( $bytes as $at => $value ) {
				$insert->bindValue( count( $values ) + 2 + $at, $value, null === $value ? \PDO::PARAM_NULL : \PDO::PARAM_LOB );
			}
			$insert->execute();
		}
		$name = $loaded( 'main' );
		foreach ( $rows( 'main', 'wp_kinds' ) as $number => $right ) {
			$found = $maria->query( $name, 'SELECT *, b + 0 AS b FROM wp_kinds WHERE id = ' . $right['id'] )[0];
			foreach ( $right as $column => $value ) {
				$there = $found[ $column ];
				if ( in_array( $column, array( 'f', 'd', 'm' ), true ) && null !== $value ) {
					$value = (float) $value;
					$there = (float) $there;
				}
				if ( 'c' === $column && null !== $value ) {
					$value = rtrim( $value );
				}
				same( is_float( $value ) ? $value : ( null === $value ? null : (string) $value ), $there, "row $number, column $column" );
			}
		}
		same( array( array( 'id' => '1', 'name' => 'é' ), array( 'id' => '2', 'name' => '🎉' ) ), $maria->query( $name, 'SELECT * FROM wp_parents' ), 'a text that latin1 does not have' );
		same( array(), $maria->query( $name, 'SELECT * FROM wp_empty' ), 'an empty table' );
		$maria->connect( $name )->query( 'DELETE FROM wp_parents WHERE id = 1' );
		same( array( array( 'a' => '1' ) ), $maria->query( $name, 'SELECT a FROM wp_children' ), 'what a foreign key deletes' );
		$shown = $maria->query( $name, 'SHOW CREATE TABLE wp_kinds' )[0]['Create Table'];
		foreach ( array(
				"`v` varchar(255) NOT NULL DEFAULT 'it''s a \\\\ \"default\"' COMMENT 'a ''comment'''",
				"`b` bit(8) DEFAULT b'101'",
				"`e` enum('a','b','it''s') DEFAULT 'b'",
				'`made` datetime NOT NULL DEFAULT current_timestamp()',
				'`seen` timestamp NULL DEFAULT NULL',
				'`changed` datetime(3) DEFAULT current_timestamp(3) ON UPDATE current_timestamp(3)',
				'UNIQUE KEY `v` (`v`(100))',
				'KEY `i_t` (`i`,`t`)',
				'KEY `x` (`x`(20))',
				'FULLTEXT KEY `words` (`l`)',
				'AUTO_INCREMENT=31',
				"COMMENT='of ''all'' kinds'",
			) as $line
		) {
			holds( str_contains( $shown, $line ), "$line is in $shown" );
		}
	}
);

test(
	'random tables of random types with random rows are in MariaDB as the branch has them',
	function () use ( $site, $maria, $plugin, $loaded, $rows ) {
		mt_srand( 7 );
		$number  = static fn ( int $bits ): \Closure => static fn (): int => mt_rand( 0, 3 ) ? mt_rand( -( 1 << ( $bits - 1 ) ), ( 1 << ( $bits - 1 ) ) - 1 ) : 0;
		$text    = static fn ( int $most ): \Closure => static function () use ( $most ): string {
			$text = '';
			for ( $length = mt_rand( 0, $most ); $length > 0; $length-- ) {
				$text .= array( 'a', 'B', 'é', '漢', '🎉', "'", '"', '\\', "\0", "\n", '%', ';', ' ' )[ mt_rand( 0, 12 ) ];
			}
			return $text;
		};
		$bytes   = static fn ( int $most ): \Closure => static function () use ( $most ): string {
			$length = mt_rand( 0, $most );
			return implode( '', array_map( static fn () => chr( mt_rand( 0, 255 ) ), 0 === $length ? array() : range( 1, $length ) ) );
		};
		$kinds   = array(
			'tinyint(4)'    => array( $number( 8 ), '' ),
			'int(11)'       => array( $number( 31 ), '' ),
			'bigint(20)'    => array( $number( 53 ), '' ),
			'double'        => array( static fn (): float => mt_rand() / 7 * 10 ** mt_rand( -200, 200 ), 'float' ),
			'decimal(18,3)' => array( static fn (): float => mt_rand( -1000000000, 1000000000 ) / 1000, 'float' ),
			'varchar(60)'   => array( $text( 60 ), '' ),
			'char(20)'      => array( $text( 20 ), 'blanks' ),
			'text'          => array( $text( 200 ), '' ),
			'longtext'      => array( $text( 3000 ), '' ),
			'varbinary(99)' => array( $bytes( 99 ), 'bytes' ),
			'longblob'      => array( $bytes( 9000 ), 'bytes' ),
			'datetime'      => array( static fn (): string => mt_rand( 0, 2 ) ? gmdate( 'Y-m-d H:i:s', mt_rand() ) : '0000-00-00 00:00:00', '' ),
			'date'          => array( static fn (): string => gmdate( 'Y-m-d', mt_rand() ), '' ),
			"enum('x','y')" => array( static fn (): string => array( 'x', 'y' )[ mt_rand( 0, 1 ) ], '' ),
		);
		$plain   = static fn ( mixed $value, string $how ): mixed => match ( null === $value ? 'null' : $how ) {
			'null'   => null,
			'float'  => (float) $value,
			'blanks' => rtrim( $value, ' ' ),
			default  => (string) $value,
		};
		$columns = array();
		foreach ( range( 1, 12 ) as $table ) {
			foreach ( (array) array_rand( $kinds, mt_rand( 2, 8 ) ) as $at => $kind ) {
				$columns[ "wp_random_$table" ][ "c $at`" ] = $kind;
			}
		}
		$site->done( 'branch', 'create', 'random' );
		$create = array();
		foreach ( $columns as $table => $of ) {
			$lines = array( 'id int(11) NOT NULL AUTO_INCREMENT', 'PRIMARY KEY (id)' );
			foreach ( $of as $column => $kind ) {
				$name    = '`' . str_replace( '`', '``', $column ) . '`';
				$lines[] = "$name $kind DEFAULT NULL";
				$lines[] = "KEY $name ($name" . ( preg_match( '/text|blob/', $kind ) ? '(10)' : '' ) . ')';
			}
			$create[] = "CREATE TABLE $table (" . implode( ', ', $lines ) . ')';
		}
		$plugin( 'random', ...$create );
		$database = $site->database( 'random' );
		$database->beginTransaction();
		foreach ( $columns as $table => $of ) {
			$insert = $database->prepare( "INSERT INTO $table (" . implode( ', ', array_map( static fn ( $name ) => '"' . $name . '"', array_keys( $of ) ) ) . ') VALUES (' . implode( ', ', array_fill( 0, count( $of ), '?' ) ) . ')' );
			foreach ( range( 1, 60 ) as $row ) {
				foreach ( array_values( $of ) as $at => $kind ) {
					$value = mt_rand( 0, 9 ) ? $kinds[ $kind ][0]() : null;
					$insert->bindValue(
						$at + 1, $value, match ( true ) {
						null === $value => \PDO::PARAM_NULL,
						is_int( $value ) => \PDO::PARAM_INT,
						'bytes' === $kinds[ $kind ][1] => \PDO::PARAM_LOB,
						default => \PDO::PARAM_STR,
						}
					);
				}
				$insert->execute();
			}
		}
		$database->commit();
		$name = $loaded( 'random' );
		foreach ( $columns as $table => $of ) {
			$there = $maria->query( $name, "SELECT * FROM $table ORDER BY id" );
			foreach ( $rows( 'random', $table ) as $at => $row ) {
				foreach ( $of as $column => $kind ) {
					$how = $kinds[ $kind ][1];
					same( $plain( $row[ $column ], $how ), $plain( $there[ $at ][ $column ], $how ), "$table, row $at, $kind" );
				}
			}
			same( 60, count( $there ), "rows of $table" );
		}
	}
);

test(
	'what the driver says of all tables of WordPress, MariaDB says too',
	function () use ( $site, $maria, $loaded, $rows ) {
		$name = $loaded( 'main' );
		$said = ask_wordpress(
			$site,
			'main',
			'global $wpdb; $said = array(); foreach ( $wpdb->tables() as $table ) { $said[ $table ] = array( $wpdb->get_results( "SHOW COLUMNS FROM `$table`", ARRAY_A ), array_map( static fn ( $key ) => array( $key["Key_name"], (int) $key["Seq_in_index"], $key["Column_name"], (int) $key["Sub_part"], (int) $key["Non_unique"] ), $wpdb->get_results( "SHOW INDEX FROM `$table`", ARRAY_A ) ) ); } return $said;'
		);
		holds( count( $said ) >= 11, 'there are tables' );
		foreach ( $said as $table => list( $columns, $keys ) ) {
			// Of the columns of a unique key, MySQL calls none unique.
			$plain = static fn ( array $column ): array => array_diff_key( $column, array( 'Key' => true ) );
			same( array_map( $plain, $columns ), array_map( $plain, $maria->query( $name, "SHOW COLUMNS FROM `$table`" ) ), "columns of $table" );
			$found = array_map( static fn ( $key ) => array( $key['Key_name'], (int) $key['Seq_in_index'], $key['Column_name'], (int) $key['Sub_part'], (int) $key['Non_unique'] ), $maria->query( $name, "SHOW INDEX FROM `$table`" ) );
			sort( $keys );
			sort( $found );
			same( $keys, $found, "keys of $table" );
			$right = array_map( static fn ( $row ) => array_map( static fn ( $value ) => null === $value ? null : (string) $value, $row ), $rows( 'main', $table ) );
			$first = array_key_first( $right[0] ?? array( 'x' => 1 ) );
			$order = 'x' === $first ? '' : " ORDER BY `$first`" . ( str_ends_with( $table, '_relationships' ) ? ', term_taxonomy_id' : '' );
			same( $right, $maria->query( $name, "SELECT * FROM `$table`$order" ), "rows of $table" );
		}
	}
);

test(
	'the pages of an export on MySQL are those of the branch, at the address that was asked for',
	function () use ( $site, $maria, $serve, $page, $branch_page ) {
		$site->done( 'branch', 'create', 'shop' );
		$there = 'http://' . $site->host( 'shop' );
		$file  = "$site->dir/shop/wp-config.php";
		// Else each of the two would find the other post's link, each at a moment of its own.
		put( $file, str_replace( '// Add your own', "define( 'DISABLE_WP_CRON', true );\n\n// Add your own", file_get_contents( $file ) ) );
		$post = ask_wordpress(
			$site,
			'shop',
			'$uploads = wp_upload_bits( "a b.png", null, base64_decode( "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==" ) );
			update_option( "widget_text", array( 2 => array( "title" => "é", "text" => "<a href=\"$given/x\">" ), "_multiwidget" => 1 ) );
			update_post_meta( 1, "nested", serialize( array( "u" => (object) array( "v" => "$given/é" ) ) ) );
			return array( wp_insert_post( array( "post_title" => "🎉 Party", "post_content" => "<!-- wp:image {\"url\":\"" . $uploads["url"] . "\"} --><img src=\"" . $uploads["url"] . "\" /><!-- /wp:image --> <a href=\"$given/hello-world/\">first</a> me@wp.localhost", "post_status" => "publish", "post_name" => "party" ) ), $uploads["url"] );',
			$there
		);
		$port = free_port();
		$here = "http://127.0.0.1:$port";
		$zip  = temp_dir() . '/shop.zip';
		$said = $site->json( 'export', 'shop', '--to', $zip, '--url', $here );
		same( array( $here, 'wp_', 0 ), array( $said['home'], $said['table_prefix'], $said['database']['addresses']['broken'] ), 'what is said' );
		$folder = temp_dir();
		same( 0, ( new Process( array( 'unzip', '-q', $zip, '-d', $folder ) ) )->wait(), 'unzip' );
		$maria->load( 'shop', "$folder/database.sql" );
		$serve( "$folder/wordpress", 'shop', $port );
		$same = static function ( string $path ) use ( $page, $branch_page, $port, $there, $here ): string {
			$plain = static fn ( string $body ): string => preg_replace( '~_wpnonce=[0-9a-f]+|"nonce":"[0-9a-f]+"|"guid":\{.*?\}|<guid.*?</guid>~', '', str_replace( array( $there, str_replace( '/', '\/', $there ), rawurlencode( $there ) ), array( $here, str_replace( '/', '\/', $here ), rawurlencode( $here ) ), $body ) );
			$found = $plain( $page( $port, $path ) );
			same( array(), array_slice( array_diff( explode( "\n", $plain( $branch_page( 'shop', $path ) ) ), explode( "\n", $found ) ), 0, 3 ), "lines of $path that MySQL does not have" );
			same( $plain( $branch_page( 'shop', $path ) ), $found, $path );
			return $found;
		};
		holds( str_contains( $same( '/' ), '🎉 Party' ), 'the front page has the post' );
		holds( str_contains( $same( '/party/' ), 'me@wp.localhost' ), 'the post has the address of a mailbox' );
		$same( '/hello-world/' );
		$same( '/wp-json/wp/v2/posts?per_page=100' );
		$same( '/feed/?orderby=title' );
		same( file_get_contents( "$site->dir/shop" . rawurldecode( parse_url( $post[1], PHP_URL_PATH ) ) ), $page( $port, parse_url( $post[1], PHP_URL_PATH ) ), 'an upload' );
		same( array( array( 'option_value' => serialize( array( 2 => array( 'title' => 'é', 'text' => "<a href=\"$here/x\">" ), '_multiwidget' => 1 ) ) ) ), $maria->query( 'shop', "SELECT option_value FROM wp_options WHERE option_name = 'widget_text'" ), 'an option' );
		same( array( array( 'meta_value' => serialize( serialize( array( 'u' => (object) array( 'v' => "$here/é" ) ) ) ) ) ), $maria->query( 'shop', "SELECT meta_value FROM wp_postmeta WHERE meta_key = 'nested'" ), 'a value in a value' );
		same( 0, (int) $maria->query( 'shop', "SELECT count(*) AS n FROM wp_posts WHERE guid LIKE '$here%'" )[0]['n'], 'guids that changed' );
		$config = file_get_contents( "$folder/wordpress/wp-config.php" );
		holds( str_contains( $config, "define( 'DISABLE_WP_CRON', true );" ), 'what the user wrote into it is in it' );
		foreach ( array( 'sqlite', 'FORKPRESS', 'FQDB', 'WP_HOME' ) as $word ) {
			holds( ! str_contains( $config, $word ), "$word is in no $config" );
		}
		preg_match_all( "/'([A-Z_]+_(?:KEY|SALT))', '([^']{64})'/", file_get_contents( "$site->dir/shop/wp-config.php" ), $secrets );
		holds( 8 === count( $secrets[2] ), 'the branch has keys' );
		foreach ( $secrets[2] as $secret ) {
			holds( ! str_contains( $config, $secret ), 'the export has fresh keys' );
		}
		foreach ( array( 'wp-content/db.php', 'wp-content/database', 'wp-content/mu-plugins/sqlite-database-integration', '.forkpress' ) as $own ) {
			holds( ! file_exists( "$folder/wordpress/$own" ), "$own is left out" );
		}
	}
);

test(
	'a ZIP, a stream and a folder have the same files',
	function () use ( $site ) {
		$dir = temp_dir();
		$site->done( 'export', 'shop', '--to', "$dir/a.zip" );
		$site->done( 'export', 'shop', '--to', "$dir/folder" );
		$stream = $site->run( 'export', 'shop', '--to', '-' );
		same( 0, $stream->status, 'a stream' );
		put( "$dir/b.zip", $stream->out );
		foreach ( array( 'a', 'b' ) as $zip ) {
			same( 0, ( new Process( array( 'unzip', '-q', "$dir/$zip.zip", '-d', "$dir/$zip" ) ) )->wait(), "unzip $zip" );
			$diff = new Process( array( 'diff', '-r', '-x', 'forkpress-export.json', '-x', 'database.sql', '-x', 'wp-config.php', "$dir/$zip", "$dir/folder" ) );
			same( array( 0, '' ), array( $diff->wait(), $diff->output() ), "$zip.zip and the folder" );
		}
		$sql = static fn ( string $path ): string => preg_replace( '/^-- Date.*/m', '', file_get_contents( $path ) );
		same( $sql( "$dir/folder/database.sql" ), $sql( "$dir/b/database.sql" ), 'the dump' );
		same( 1, json_decode( file_get_contents( "$dir/b/forkpress-export.json" ), true )['version'], 'the version of the format' );
	}
);

test(
	'nothing is overwritten without --force, nothing is put into a branch, and what fails leaves nothing',
	function () use ( $site ) {
		$dir = temp_dir();
		put( "$dir/a.sql", 'mine' );
		put( "$dir/folder/mine.txt", 'mine' );
		mkdir( "$dir/empty" );
		foreach ( array( array( 'a.sql', '--format', 'sql' ), array( 'folder' ), array( 'folder', '--force' ) ) as $arguments ) {
			$outcome = $site->run( 'export', 'main', '--to', "$dir/{$arguments[0]}", ...array_slice( $arguments, 1 ) );
			same( 1, $outcome->status, implode( ' ', $arguments ) );
			holds( str_contains( $outcome->errors, 'hint:' ), $outcome->text() );
		}
		same( array( 'mine', 'mine' ), array( file_get_contents( "$dir/a.sql" ), file_get_contents( "$dir/folder/mine.txt" ) ), 'what was there' );
		$site->done( 'export', 'main', '--format', 'sql', '--to', "$dir/a.sql", '--force' );
		holds( str_ends_with( file_get_contents( "$dir/a.sql" ), "-- Dump completed\n" ), 'it is replaced with --force' );
		$site->done( 'export', 'main', '--to', "$dir/empty" );
		same( 1, $site->run( 'export', 'main', '--to', "$dir/empty" )->status, 'an earlier export stays' );
		$site->done( 'export', 'main', '--to', "$dir/empty", '--force' );
		foreach ( array( 'main/x.zip', 'shop/wp-content/x', '.forkpress/x.zip' ) as $place ) {
			holds( str_contains( $site->run( 'export', 'shop', '--to', "$site->dir/$place" )->errors, 'is in the branch or the work folder' ), $place );
		}
		holds( str_contains( $site->run( 'export', 'nobody' )->errors, 'nobody' ), 'a branch that is not there' );
		same( 1, $site->run( 'export', 'main', '--to', "$dir/c.zip", '--url', 'example.com' )->status, 'an address without a scheme' );
		$locks = $site->stuck( 'operations.lock' );
		same( 75, $site->run( 'export', 'main', '--to', "$dir/c.zip", '--timeout', '0' )->status, 'a publish is in the way' );
		array_map( 'fclose', $locks );
		$left = array_values( array_diff( scandir( $dir ), array( '.', '..' ) ) );
		same( array( 'a.sql', 'empty', 'folder' ), $left, 'what is there' );
		same( array(), glob( "$site->dir/{,.}*.{zip,tmp}", GLOB_BRACE ), 'what is in the site' );
	}
);

test(
	'tables and columns that were made past the driver are told and left out',
	function () use ( $site, $maria, $loaded ) {
		$site->done( 'branch', 'create', 'past' );
		$database = $site->database( 'past' );
		$database->exec( 'CREATE TABLE wp_search (a TEXT); CREATE VIRTUAL TABLE wp_fts USING fts5(a); CREATE VIEW wp_view AS SELECT a FROM wp_search; ALTER TABLE wp_links ADD COLUMN mine TEXT' );
		$said = $site->json( 'export', 'past', '--format', 'sql', '--to', temp_dir() . '/x.sql' );
		same( array( 'wp_fts', 'wp_search', 'wp_view' ), $said['database']['tables_left_out'], 'tables' );
		same( array( 'wp_links.mine' ), array_map( static fn ( $note ) => strtok( $note, ':' ), preg_grep( '/wp_links/', $said['database']['notes'] ) ), 'columns' );
		$name = $loaded( 'past' );
		same( array(), $maria->query( $name, "SHOW TABLES LIKE '%search'" ), 'what is in the dump' );
		same( array(), $maria->query( $name, "SHOW TABLES LIKE '\\_wp\\_sqlite%'" ), "the driver's tables" );
	}
);

test(
	'WXR is what WordPress itself exports, and has the address that was asked for',
	function () use ( $site ) {
		$script = 'ob_start(); define( "WP_ADMIN", true ); require "wp-load.php"; require_once ABSPATH . "wp-admin/includes/admin.php"; require_once ABSPATH . "wp-admin/includes/export.php"; ob_end_clean(); export_wp();';
		$right  = $site->done( 'exec', 'shop', '--', PHP_BINARY, '-d', 'display_errors=stderr', '-r', $script );
		$plain  = static fn ( string $text ): string => preg_replace( '/<!-- generator=.*?-->|<pubDate>.*?<\/pubDate>/', '', $text );
		holds( str_contains( $right, '🎉 Party' ), 'it has the post' );
		same( $plain( $right ), $plain( $site->done( 'export', 'shop', '--format', 'wxr', '--to', '-' ) ), 'WXR' );
		$there = 'http://' . $site->host( 'shop' );
		$file  = temp_dir() . '/shop.xml';
		$site->done( 'export', 'shop', '--format', 'wxr', '--to', $file, '--url', 'https://example.com' );
		$found = file_get_contents( $file );
		holds( str_contains( $found, '<link>https://example.com/party/</link>' ) && str_contains( $found, '"url":"https://example.com/wp-content/uploads/' ), 'addresses' );
		holds( ! str_contains( preg_replace( '~<guid.*?</guid>~', '', $found ), $there ), 'no address of the branch is left' );
		holds( str_contains( $found, "<guid isPermaLink=\"false\">$there/party/</guid>" ), 'guids stay' );
		same( $right !== '', simplexml_load_string( $found ) !== false, 'it is XML' );
		put( "$site->dir/shop/wp-content/mu-plugins/broken.php", '<?php add_action( "export_wp", static function () { exit( 3 ); } );' );
		same( 1, $site->run( 'export', 'shop', '--format', 'wxr', '--to', "$file.2" )->status, 'an export that ends too early' );
		holds( ! file_exists( "$file.2" ), 'it leaves nothing' );
		unlink( "$site->dir/shop/wp-content/mu-plugins/broken.php" );
	}
);

test(
	'an export is of one moment while the branch is written to',
	function () use ( $site, $maria, $plugin, $loaded ) {
		$plugin( 'main', 'CREATE TABLE wp_pairs (id int(11) NOT NULL, PRIMARY KEY (id))', 'CREATE TABLE wp_airs (id int(11) NOT NULL, PRIMARY KEY (id))' );
		$code   = '$d = new PDO( "sqlite:wp-content/database/.ht.sqlite", null, null, array( PDO::ATTR_TIMEOUT => 30 ) ); for ( $n = 1; ; $n++ ) { $d->exec( "BEGIN IMMEDIATE; INSERT INTO wp_airs VALUES ($n); INSERT INTO wp_pairs VALUES ($n); COMMIT" ); }';
		$writer = new Process( array( PHP_BINARY, '-n', '-d', 'extension=pdo.so', '-d', 'extension=pdo_sqlite.so', '-r', $code ), array(), "$site->dir/main" );
		eventually( static fn () => (int) $site->database( 'main' )->query( 'SELECT count(*) FROM wp_pairs' )->fetchColumn() > 10, 'the writer writes: ' . $writer->output() );
		$name = $loaded( 'main' );
		$writer->stop();
		$count = $maria->query( $name, 'SELECT (SELECT count(*) FROM wp_airs) AS a, (SELECT count(*) FROM wp_pairs) AS b' )[0];
		same( $count['a'], $count['b'], 'pairs' );
		holds( $count['a'] > 0, 'there are some' );
	}
);

test(
	'a network goes out with all of its sites',
	function () use ( $site, $maria, $serve, $page ) {
		$site->done( 'branch', 'create', 'net' );
		ask_wordpress( $site, 'net', 'define( "WP_INSTALLING_NETWORK", true ); global $wpdb; foreach ( $wpdb->tables( "ms_global" ) as $name => $table ) { $wpdb->$name = $table; } require_once ABSPATH . "wp-admin/includes/upgrade.php"; require_once ABSPATH . "wp-admin/includes/network.php"; install_network(); return populate_network( 1, $given, "admin@example.com", "Net", "/", false ) === true;', $site->host( 'net' ) );
		$config = "$site->dir/net/wp-config.php";
		$lines  = "define( 'MULTISITE', true );\ndefine( 'SUBDOMAIN_INSTALL', false );\ndefine( 'DOMAIN_CURRENT_SITE', '{$site->host( 'net' )}' );\ndefine( 'PATH_CURRENT_SITE', '/' );\ndefine( 'SITE_ID_CURRENT_SITE', 1 );\ndefine( 'BLOG_ID_CURRENT_SITE', 1 );\n\n";
		put( $config, str_replace( '// Add your own', "$lines// Add your own", file_get_contents( $config ) ) );
		$id = ask_wordpress( $site, 'net', '$id = wp_insert_site( array( "domain" => $given, "path" => "/two/", "title" => "The second", "user_id" => 1 ) ); return is_wp_error( $id ) ? $id->get_error_message() : $id;', $site->host( 'net' ) );
		holds( is_int( $id ), "the second site: $id" );
		$port   = free_port();
		$here   = "127.0.0.1:$port";
		$folder = temp_dir();
		$site->done( 'export', 'net', '--to', "$folder/net", '--url', "http://$here" );
		$maria->load( 'net', "$folder/net/database.sql" );
		same( array( array( 'domain' => $here, 'path' => '/' ), array( 'domain' => $here, 'path' => '/two/' ) ), $maria->query( 'net', 'SELECT domain, path FROM wp_blogs ORDER BY blog_id' ), 'sites' );
		same( array( array( 'domain' => $here, 'path' => '/' ) ), $maria->query( 'net', 'SELECT domain, path FROM wp_site' ), 'the network' );
		$serve( "$folder/net/wordpress", 'net', $port );
		foreach ( array( '/' => 'ForkPress', '/two/' => 'The second' ) as $path => $title ) {
			$body = $page( $port, $path );
			holds( 1 === preg_match( "~<title>$title~", $body ), "the title of $path: " . substr( $body, 0, 500 ) );
			holds( ! str_contains( $body, 'wp.localhost' ), "$path names no branch" );
		}
	}
);

test( 'nobody complained', static fn () => $site->has_no_complaints() );
