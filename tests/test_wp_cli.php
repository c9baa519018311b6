<?php
/**
 * WP-CLI runs on a branch, and its db commands work with SQLite.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_wp_cli.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

$site = new Site();
$site->done( 'branch', 'create', 'shop' );

/**
 * Runs WP-CLI on the branch shop.
 *
 * @param string ...$arguments Its arguments.
 */
function wp( string ...$arguments ): Outcome {
	return $GLOBALS['site']->run( 'wp', 'shop', '--', ...$arguments );
}

/**
 * Runs WP-CLI on the branch shop, which must succeed, and returns its standard output without the last line's end.
 *
 * @param string ...$arguments Its arguments.
 */
function said( string ...$arguments ): string {
	return rtrim( $GLOBALS['site']->done( 'wp', 'shop', '--', ...$arguments ), "\n" );
}

/**
 * Runs WP-CLI in a folder, where no branch is named.
 *
 * @param string   $folder    The folder.
 * @param string[] $arguments Its arguments.
 * @param string[] $env       What its environment has beyond this process's.
 */
function wp_in( string $folder, array $arguments, array $env = array() ): Outcome {
	$env += array( 'FORKPRESS_STATE_DIR' => $GLOBALS['site']->state_dir, 'FORKPRESS_PHP' => PHP_BINARY );
	return ( new Command( array( program(), 'wp', '--', ...$arguments ), $folder, $env ) )->outcome();
}

/**
 * Fails unless WP-CLI failed, and said why.
 *
 * @param string  $reason  A part of what it says.
 * @param Outcome $outcome How it ended.
 */
function refused( string $reason, Outcome $outcome ): void {
	holds( 0 !== $outcome->status && str_contains( $outcome->errors, $reason ), "it says '$reason': {$outcome->text()}" );
}

test(
	'all versions are told, for people and for programs',
	function () use ( $site ) {
		$told = json_decode( $site->done( '--version', '--json' ), true, 8, JSON_THROW_ON_ERROR );
		holds( str_starts_with( $site->done( '--version' ), "forkpress {$told['forkpress']}\nWordPress {$told['bundle']['wordpress']}\n" ), 'for people' );
		same( array( 'blueprints', 'branchfs', 'importer', 'php', 'sqlite_driver', 'wordpress', 'wp_cli' ), array_keys( array_diff_key( $told['bundle'], array( 'files' => 1, 'parts' => 1 ) ) ), 'what is told' );
		foreach ( file( ROOT . '/scripts/wordpress.lock' ) as $line ) {
			list( $name, $version ) = explode( ' ', $line );
			if ( '#' !== $name ) {
				same( $version, $told['bundle'][ strtr( $name, '-', '_' ) ], $name );
			}
		}
		holds( 1 === preg_match( '/^\d{8}$/', $told['bundle']['branchfs']['php_api'] ), 'the API that branchfs is for' );
	}
);

test(
	'a command runs on the branch that is named, and on no other one',
	function () use ( $site ) {
		said( 'option', 'update', 'blogname', 'Of shop' );
		same( 'Of shop', said( 'option', 'get', 'blogname' ) );
		same( "ForkPress\n", $site->done( 'wp', 'main', '--', 'option', 'get', 'blogname' ) );
		refused( "branch 'gone' does not exist", $site->run( 'wp', 'gone', '--', 'option', 'get', 'blogname' ) );
	}
);

test(
	'without a name it is the branch of the current folder; elsewhere in the site a name is asked for',
	function () use ( $site ) {
		same( "Of shop\n", wp_in( "$site->dir/shop/wp-content", array( 'option', 'get', 'blogname' ) )->out );
		refused( 'forkpress wp main -- option get blogname', wp_in( $site->dir, array( 'option', 'get', 'blogname' ) ) );
		same( 0, wp_in( $site->dir, array( '--info' ) )->status );
	}
);

test(
	'outside of a site WP-CLI tells of itself, and leaves nothing behind',
	function () {
		$temp    = temp_dir();
		$outcome = wp_in( $temp, array( '--info' ), array( 'TMPDIR' => $temp ) );
		holds( 0 === $outcome->status && str_contains( $outcome->out, 'WP-CLI version:' ), $outcome->text() );
		same( array( '.', '..' ), scandir( $temp ) );
		refused( 'no site in', wp_in( $temp, array( 'option', 'get', 'home' ) ) );
	}
);

test(
	'it is at the address of the branch, unless another one is asked for',
	function () use ( $site ) {
		same( 'http://' . $site->host( 'shop' ), said( 'option', 'get', 'home' ) );
		same( $site->host( 'shop' ), said( 'eval', 'echo $_SERVER["HTTP_HOST"];' ) );
		same( 'example.org', said( '--url=http://example.org', 'eval', 'echo $_SERVER["HTTP_HOST"];' ) );
	}
);

test(
	'the exit status is WP-CLI\'s, and standard input is passed on',
	function () use ( $site ) {
		same( 3, wp( 'eval', 'exit( 3 );' )->status );
		same( 1, wp( 'no-such-command' )->status );
		$command = new Process( array( 'sh', '-c', 'echo "<?php echo 3 + 4;" | "$0" wp shop -- eval-file -', program() ), array( 'FORKPRESS_STATE_DIR' => $site->state_dir ), $site->dir );
		same( 0, $command->wait() );
		same( '7', trim( $command->output() ) );
		holds( str_starts_with( said( 'post', 'list', '--json' ), '[{"ID":' ), 'options are those of WP-CLI' );
	}
);

test(
	'it holds the branch\'s lock while it runs: a mutation of the branch waits',
	function () use ( $site ) {
		$command = $site->command( array( 'wp', 'shop', '--', 'eval', 'fwrite( STDERR, "runs" ); fgets( fopen( "' . $site->dir . '/pipe", "r" ) );' ) );
		posix_mkfifo( "$site->dir/pipe", 0600 );
		$command->process->wait_for( 'runs' );
		$outcome = $site->run( 'branch', 'reset', 'shop', '--from', 'main', '--timeout', '0.2' );
		same( 75, $outcome->status, $outcome->text() );
		holds( str_contains( $outcome->errors, 'wp eval' ), "it names who holds it: {$outcome->errors}" );
		file_put_contents( "$site->dir/pipe", "end\n" );
		same( 0, $command->outcome()->status );
		unlink( "$site->dir/pipe" );
	}
);

test(
	'of settings only those of the branch and of the site are read, none from above or from the home folder',
	function () use ( $site ) {
		$home = temp_dir();
		mkdir( "$home/.wp-cli" );
		$settings = static fn ( string $name ): string => "require:\n  - $site->dir/$name.php\n";
		foreach ( array( 'home', 'above', 'site', 'branch', 'environment' ) as $name ) {
			put( "$site->dir/$name.php", "<?php fwrite( STDERR, 'read:$name ' );" );
		}
		put( "$home/.wp-cli/config.yml", $settings( 'home' ) );
		put( "$site->dir/wp-cli.yml", $settings( 'above' ) );
		$env = array( 'HOME' => $home, 'WP_CLI_REQUIRE' => "$site->dir/environment.php", 'WP_CLI_EARLY_REQUIRE' => "$site->dir/environment.php" );
		$run = static fn () => $site->command( array( 'wp', 'shop', '--', 'option', 'get', 'blogname' ), $env )->outcome();
		same( '', $run()->errors );
		put( "$site->dir/.forkpress/wp-cli.yml", $settings( 'site' ) );
		put( "$site->dir/shop/wp-cli.yml", $settings( 'branch' ) );
		same( 'read:site read:branch ', $run()->errors );
		$named = $site->command( array( 'wp', 'shop', '--', 'option', 'get', 'blogname' ), $env + array( 'WP_CLI_CONFIG_PATH' => "$home/.wp-cli/config.yml" ) );
		same( 'read:home read:branch ', $named->outcome()->errors );
		array_map( 'unlink', array( "$site->dir/wp-cli.yml", "$site->dir/.forkpress/wp-cli.yml", "$site->dir/shop/wp-cli.yml" ) );
	}
);

test(
	'settings of the branch do not lead to another WordPress, nor to another machine',
	function () use ( $site ) {
		put( "$site->dir/shop/wp-cli.yml", "path: $site->dir/main\n" );
		refused( 'is not in the branch', wp( 'option', 'get', 'blogname' ) );
		put( "$site->dir/shop/wp-cli.yml", "ssh: nowhere.invalid\n" );
		refused( 'on another machine', wp( 'option', 'get', 'blogname' ) );
		unlink( "$site->dir/shop/wp-cli.yml" );
		refused( 'is not in the branch', wp( "--path=$site->dir/main", 'option', 'get', 'blogname' ) );
		refused( 'comes with forkpress', wp( 'cli', 'update' ) );
	}
);

test(
	'a query is asked in MySQL\'s dialect; rows are shown as MySQL\'s client does it',
	function () {
		same( "a\tb\n1\tNULL", said( 'db', 'query', 'SELECT 1 AS a, NULL AS b' ) );
		same( "1\tx\\ty\\nz", said( 'db', 'query', '--skip-column-names', "SELECT 1, 'x\ty\nz'" ) );
		same( "+-----+------+\n| one | b    |\n+-----+------+\n| äö  | NULL |\n+-----+------+", said( 'db', 'query', '--table', "SELECT 'äö' AS one, NULL AS b" ) );
		same( 'Success: Query succeeded. Rows affected: 2', said( 'db', 'query', "INSERT INTO wp_options (option_name, option_value) VALUES ('a_one', 1), ('a_two', 2)" ) );
		same( 'Success: Query succeeded. Rows affected: 3', said( 'db', 'query', "UPDATE wp_options SET option_value = '3' WHERE option_name = 'a_one'; DELETE FROM wp_options WHERE option_name LIKE 'a\\_%'" ) );
		same( '', said( 'db', 'query', 'SELECT 1 FROM wp_links' ) );
		holds( str_starts_with( said( 'db', 'query', 'SHOW CREATE TABLE wp_links' ), "Table\tCreate Table\nwp_links\tCREATE TABLE `wp_links` (\\n" ), 'the driver answers' );
		refused( "Query failed: line 2: SQLSTATE[42S02]: Base table or view not found: 1146 Table 'nope' doesn't exist\n", wp( 'db', 'query', "SELECT 1;\nSELECT * FROM nope" ) );
		refused( 'Query failed: line 1: Failed to parse', wp( 'db', 'query', 'SELEC' ) );
		refused( 'has no option --xml', wp( 'db', 'query', '--xml', 'SELECT 1' ) );
	}
);

test(
	'what was exported comes back as it was, whatever the rows hold',
	function () use ( $site ) {
		$odd = "it's; -- \"no\" `end` \\ \0 \r\n \x1a /* x */ # ä 😀 \\' DELIMITER";
		said( 'db', 'query', 'CREATE TABLE wp_odd (id int NOT NULL AUTO_INCREMENT, t longtext, b longblob, f double, d datetime, PRIMARY KEY (id), KEY t (t(10)))' );
		$write = $site->database( 'shop' );
		$put   = $write->prepare( 'INSERT INTO wp_odd VALUES (?, ?, ?, ?, ?)' );
		foreach ( array( array( 1, $odd, "\0\xff'\\", 0.1, '0000-00-00 00:00:00' ), array( 9, '', '', 1e100, null ), array( 10, null, null, null, null ), array( 11, str_repeat( 'long ', 500000 ), 'x', -1.5, null ) ) as $row ) {
			foreach ( $row as $at => $value ) {
				$put->bindValue( $at + 1, $value, 2 === $at && null !== $value ? \PDO::PARAM_LOB : ( is_int( $value ) ? \PDO::PARAM_INT : ( null === $value ? \PDO::PARAM_NULL : \PDO::PARAM_STR ) ) );
			}
			$put->execute();
		}
		$state = static function () use ( $site ): array {
			$found = $site->database( 'shop' );
			return array_map( static fn ( $table ) => $found->query( "SELECT * FROM $table" )->fetchAll( \PDO::FETCH_NUM ), array( 'wp_odd', 'wp_posts', 'wp_users', 'wp_term_relationships' ) );
		};
		$before = $state();
		$create = said( 'db', 'query', 'SHOW CREATE TABLE wp_odd' );
		same( "Success: Exported to '$site->dir/out.sql'.", said( 'db', 'export', "$site->dir/out.sql" ) );
		same( 'Success: Database reset.', said( 'db', 'reset', '--yes' ) );
		refused( 'is not installed', wp( 'option', 'get', 'blogname' ) );
		same( "Success: Imported from '$site->dir/out.sql'.", said( 'db', 'import', "$site->dir/out.sql" ) );
		same( $before, $state(), 'rows' );
		// MariaDB does not know MySQL's newest collation.
		same( str_replace( '0900_ai_ci', 'unicode_520_ci', $create ), said( 'db', 'query', 'SHOW CREATE TABLE wp_odd' ) );
		same( 'Of shop', said( 'option', 'get', 'blogname' ) );
		holds( ! str_contains( file_get_contents( "$site->dir/out.sql" ), '_wp_sqlite_' ), 'no table of the driver' );
		same( 1, preg_match_all( '/^CREATE TABLE/m', said( 'db', 'export', '-', '--tables=wp_links' ) ) );
		same( 0, preg_match( '/^CREATE TABLE/m', said( 'db', 'export', '-', '--no-create-info', '--tables=wp_options' ) ) );
		same( 0, preg_match( '/^INSERT/m', said( 'db', 'export', '-', '--no-data=true' ) ) );
		refused( 'There is no table wp_nope', wp( 'db', 'export', '-', '--tables=wp_nope' ) );
	}
);

test(
	'a dump as MariaDB writes it is imported; one that is wrong or cut off changes nothing and is told by its line',
	function () use ( $site ) {
		$import = static function ( string $dump ) use ( $site ): Outcome {
			put( "$site->dir/in.sql", $dump );
			return wp( 'db', 'import', "$site->dir/in.sql" );
		};
		$dump = "/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19\n/*!40101 SET NAMES utf8mb4 */;\n/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;\n"
			. "DROP TABLE IF EXISTS `wp_b`;\n/*!40101 SET @saved_cs_client     = @@character_set_client */;\nCREATE TABLE `wp_b` (\n  `id` int(11) NOT NULL,\n  `a` int(11) DEFAULT NULL,\n  PRIMARY KEY (`id`),\n  CONSTRAINT `fk` FOREIGN KEY (`a`) REFERENCES `wp_a` (`id`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;\n"
			. "CREATE TABLE `wp_a` (`id` int(11) NOT NULL, `t` text, PRIMARY KEY (`id`));\nLOCK TABLES `wp_b` WRITE;\n/*!40000 ALTER TABLE `wp_b` DISABLE KEYS */;\nINSERT INTO `wp_b` VALUES (1,1);\n/*!40000 ALTER TABLE `wp_b` ENABLE KEYS */;\nUNLOCK TABLES;\n"
			. "INSERT INTO `wp_a` VALUES (1,'x;\\'y\\\\');\nDELIMITER ;;\n/*!50003 CREATE TRIGGER x BEFORE INSERT ON wp_a FOR EACH ROW BEGIN SET @x = 1; END */;;\nDELIMITER ;\nCOMMIT;\n";
		same( 0, $import( $dump )->status );
		same( "x;'y\\\\", said( 'db', 'query', '--skip-column-names', 'SELECT a.t FROM wp_b b JOIN wp_a a ON a.id = b.a' ) );
		refused( 'Nothing was imported: line 4: SQLSTATE[42S02]', $import( "DROP TABLE wp_b;\nCREATE TABLE wp_new (a int);\n\nINSERT INTO wp_nope VALUES (1);\n" ) );
		same( '1', said( 'db', 'query', '--skip-column-names', 'SELECT COUNT(*) FROM wp_b' ) );
		refused( 'Nothing was imported: line 2: the dump is cut off: it ends in a text in quotes', $import( "DROP TABLE wp_b;\nINSERT INTO wp_a VALUES (2, 'cut" ) );
		same( '1', said( 'db', 'query', '--skip-column-names', 'SELECT COUNT(*) FROM wp_b' ) );
		refused( 'missing or not readable', wp( 'db', 'import', 'nowhere.sql' ) );
	}
);

test(
	'check, size, optimize, repair and clean answer for SQLite; what has no answer is refused',
	function () use ( $site ) {
		holds( str_contains( said( 'db', 'check' ), "OK\nSuccess: Database checked." ), 'check' );
		same( 'Success: Database optimized.', said( 'db', 'optimize' ) );
		same( 'Success: Database repaired.', said( 'db', 'repair' ) );
		clearstatcache();
		same( (string) filesize( "$site->dir/shop/wp-content/database/.ht.sqlite" ), said( 'db', 'size', '--size_format=b' ) );
		$sizes = json_decode( said( 'db', 'size', '--tables', '--format=json' ), true );
		holds( count( $sizes ) >= 12 && ! array_filter( $sizes, static fn ( $row ) => (int) $row['Size'] < 4096 ), 'each table has a size' );
		holds( str_contains( said( 'db', 'tables' ), "wp_options\n" ), 'tables' );
		holds( str_contains( said( 'db', 'search', 'Hello' ), 'wp_posts:post_title' ), 'search' );
		holds( str_contains( said( 'db', 'columns', 'wp_posts' ), "ID\tbigint(20) unsigned" ), 'columns' );
		refused( "which MySQL's console can't open", wp( 'db', 'cli' ) );
		refused( 'never without a database', wp( 'db', 'drop', '--yes' ) );
		refused( 'has its database', wp( 'db', 'create' ) );
		said( 'db', 'query', 'CREATE TABLE other_x (a int)' );
		said( 'db', 'clean', '--yes' );
		same( 'other_x', said( 'db', 'query', '--skip-column-names', 'SHOW TABLES' ) );
		said( 'db', 'import', "$site->dir/out.sql" );
	}
);

test(
	'a damaged database is told by check',
	function () use ( $site ) {
		$site->done( 'branch', 'create', 'broken', '--from', 'shop' );
		$file = fopen( "$site->dir/broken/wp-content/database/.ht.sqlite", 'r+b' );
		for ( $page = 20; $page < 60; $page++ ) {
			fseek( $file, $page * 4096 );
			fwrite( $file, str_repeat( "\xff", 4096 ) );
		}
		fclose( $file );
		$outcome = $site->run( 'wp', 'broken', '--', 'db', 'check' );
		holds( 0 !== $outcome->status && str_contains( $outcome->errors, 'The database is damaged' ), $outcome->text() );
	}
);

test(
	'users, posts, cron, search-replace and plugins work',
	function () use ( $site ) {
		$user = said( 'user', 'create', 'anna', 'anna@example.org', '--role=editor', '--porcelain' );
		same( 'anna', said( 'user', 'get', $user, '--field=user_login' ) );
		said( 'post', 'create', '--post_title=See http://old.example', '--post_status=publish' );
		holds( in_array( 'See http://old.example', array_column( json_decode( said( 'post', 'list', '--format=json' ), true, 512, JSON_THROW_ON_ERROR ), 'post_title' ), true ), 'it is listed' );
		said( 'option', 'update', 'nested', '{"a":["http://old.example/x"]}', '--format=json' );
		said( 'search-replace', 'http://old.example', 'https://new.example.org', '--all-tables' );
		same( '{"a":["https:\/\/new.example.org\/x"]}', said( 'option', 'get', 'nested', '--format=json' ) );
		holds( str_contains( said( 'cron', 'event', 'run', '--all' ), 'Success: Executed a total of' ), 'cron' );
		put( "$site->dir/tiny/tiny.php", "<?php\n/* Plugin Name: Tiny */\nadd_action( 'init', fn () => define( 'TINY', 1 ) );\n" );
		$zip = new \ZipArchive();
		$zip->open( "$site->dir/tiny.zip", \ZipArchive::CREATE );
		$zip->addFile( "$site->dir/tiny/tiny.php", 'tiny/tiny.php' );
		$zip->close();
		said( 'plugin', 'install', "$site->dir/tiny.zip", '--activate' );
		same( '1', said( 'eval', 'echo TINY;' ) );
		holds( ! file_exists( "$site->dir/main/wp-content/plugins/tiny" ), 'main has none' );
	}
);

test(
	'the driver survives whatever WP-CLI deactivates',
	function () use ( $site ) {
		said( 'plugin', 'deactivate', '--all' );
		same( 'Of shop', said( 'option', 'get', 'blogname' ) );
		holds( is_file( "$site->dir/shop/wp-content/db.php" ), 'the drop-in is there' );
	}
);

/** What asks the REST API of the server that runs for posts, and writes one whose title is its argument. It prints what it was told. */
const ASKING = <<<'PHP'
	<?php
	$password = WP_Application_Passwords::create_new_application_password( get_user_by( 'login', 'admin' )->ID, array( 'name' => $args[0] ) )[0];
	$ask      = static function ( string $method, string $route, array $more = array() ) {
		$answer = wp_remote_request( rest_url( $route ), array( 'method' => $method, 'timeout' => 60 ) + $more );
		is_wp_error( $answer ) && WP_CLI::error( $answer );
		return array(
			'status' => wp_remote_retrieve_response_code( $answer ),
			'branch' => wp_remote_retrieve_header( $answer, 'X-ForkPress-Branch' ),
			'said'   => json_decode( wp_remote_retrieve_body( $answer ), true ),
		);
	};
	$titles   = static fn () => array_column( array_column( $ask( 'GET', '/wp/v2/posts?_fields=title' )['said'], 'title' ), 'rendered' );
	$post     = array( 'body' => array( 'title' => $args[0], 'status' => 'publish' ) );
	$headers  = array( 'Authorization' => 'Basic ' . base64_encode( "admin:$password" ) );
	$before   = $titles();
	$nobody   = $ask( 'POST', '/wp/v2/posts', $post );
	$admin    = $ask( 'POST', '/wp/v2/posts', $post + array( 'headers' => $headers ) );
	echo json_encode(
		array(
			'address' => rest_url(),
			'nobody'  => $nobody['status'],
			'admin'   => $admin['status'],
			'branch'  => $admin['branch'],
			'link'    => $admin['said']['link'] ?? null,
			'before'  => in_array( $args[0], $before, true ),
			'after'   => in_array( $args[0], $titles(), true ),
		)
	);
	PHP;

test(
	'a script asks the REST API of the server that runs, at the branch\'s own host, by HTTP and by HTTPS',
	function () use ( $site ) {
		put( "$site->dir/ask.php", ASKING );
		foreach ( array( 'http' => array(), 'https' => array( '--https' ) ) as $scheme => $options ) {
			$site->done( 'serve', '--workers', '2', ...$options );
			$told    = json_decode( said( 'eval-file', "$site->dir/ask.php", "Of $scheme" ), true, 512, JSON_THROW_ON_ERROR );
			$address = "$scheme://{$site->host( 'shop' )}/";
			holds( str_starts_with( (string) $told['link'], $address ), "the link of the post: {$told['link']}" );
			unset( $told['link'] );
			$expected = array( 'address' => "{$address}wp-json/", 'nobody' => 401, 'admin' => 201, 'branch' => 'shop', 'before' => false, 'after' => true );
			same( $expected, $told, $scheme );
			$titles = static fn ( string $branch ) => explode( "\n", $site->done( 'wp', $branch, '--', 'post', 'list', '--field=post_title' ) );
			same( array( true, false ), array( in_array( "Of $scheme", $titles( 'shop' ), true ), in_array( "Of $scheme", $titles( 'main' ), true ) ), 'the post is in the branch, and in no other' );
			$site->done( 'stop' );
		}
	}
);

test(
	'a branch becomes a network, and a branch of that is the network at its own host',
	function () use ( $site ) {
		said( 'core', 'multisite-convert' );
		said( 'site', 'create', '--slug=two' );
		same( 'http://' . $site->host( 'shop' ) . "/\nhttp://" . $site->host( 'shop' ) . '/two/', said( 'site', 'list', '--field=url' ) );
		$site->done( 'branch', 'create', 'net', '--from', 'shop' );
		same( 'http://' . $site->host( 'net' ) . "/two\n", $site->done( 'wp', 'net', '--', '--url=http://' . $site->host( 'net' ) . '/two', 'eval', 'echo home_url(), "\n";' ) );
		$site->serve( 2 );
		same( 200, ( new Browser( $site, 'net' ) )->request( '/two/' )->status );
	}
);

test(
	'wp-config.php of an older site gets the comment that WP-CLI looks for, and settings are written into it',
	function () use ( $site ) {
		$path = "$site->dir/main/wp-config.php";
		put( $path, preg_replace( '/^.*stop editing.*\n/m', '', file_get_contents( $path ) ) );
		$site->done( 'wp', 'main', '--', 'config', 'set', 'FORKPRESS_TEST', 'x' );
		same( "x\n", $site->done( 'wp', 'main', '--', 'eval', 'echo FORKPRESS_TEST, "\n";' ) );
	}
);
