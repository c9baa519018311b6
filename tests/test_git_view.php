<?php
/**
 * A site through Git: what a clone has and has not, when a branch gets a new commit, who may ask, and who waits for whom.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_git_view.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

/** The `git` programs of this machine, each version once, by version. */
$gits = array();
foreach ( array( '/usr/bin/git', '/usr/local/bin/git', trim( (string) shell_exec( 'command -v git' ) ) ) as $program ) {
	if ( is_executable( $program ) ) {
		$gits[ trim( (string) shell_exec( escapeshellarg( $program ) . ' --version' ) ) ] ??= $program;
	}
}
if ( ! $gits ) {
	echo "FAILED  there is no git program\n";
	exit( 1 );
}
if ( count( $gits ) < 2 ) {
	echo 'SKIPPED: a second version of git: this machine has only ' . key( $gits ) . "\n";
}
$client = reset( $gits );

$site = new Site();
$url  = "http://wp.localhost:$site->port/site.git";

/**
 * Runs a git command to its end, with nothing of the user's settings.
 *
 * @param string ...$arguments The program's path, if it is to be another than the first, and its arguments.
 */
$git = function ( string ...$arguments ) use ( $client ): Outcome {
	$program = str_starts_with( $arguments[0], '/' ) ? array_shift( $arguments ) : $client;
	$env     = array( 'GIT_CONFIG_GLOBAL' => '/dev/null', 'GIT_CONFIG_NOSYSTEM' => '1', 'GIT_TERMINAL_PROMPT' => '0', 'LC_ALL' => 'C' );
	return ( new Command( array( $program, ...$arguments ), sys_get_temp_dir(), $env ) )->outcome();
};

/**
 * Runs a git command that must succeed, and returns what it wrote.
 *
 * @param string ...$arguments See above.
 */
$done = function ( string ...$arguments ) use ( $git ): string {
	$outcome = $git( ...$arguments );
	same( 0, $outcome->status, 'git ' . implode( ' ', $arguments ) . ": {$outcome->text()}: exit status" );
	return rtrim( $outcome->out, "\n" );
};

/** Returns what the refs of the site are now, by name. */
$refs = function () use ( $done, $url ): array {
	preg_match_all( '/^(\w+)\t(\S+)$/m', $done( 'ls-remote', $url ), $matches );
	return array_combine( $matches[2], $matches[1] );
};

put( "$site->dir/main/wp-content/uploads/script.sh", "#!/bin/sh\n" );
chmod( "$site->dir/main/wp-content/uploads/script.sh", 0755 );
put( "$site->dir/main/wp-content/uploads/ignored/.gitignore", "*\n" );
put( "$site->dir/main/wp-content/uploads/attributes/.gitattributes", "* text eol=crlf ident filter=none working-tree-encoding=UTF-16\n" );
put( "$site->dir/main/wp-content/uploads/attributes/lines.txt", "dos\r\nunix\n\$Id\$\n" );
put( "$site->dir/main/wp-content/uploads/lines.txt", "dos\r\nunix\n\$Id\$\n" );
put( "$site->dir/main/wp-content/uploads/a\nb é \xff.txt", "odd\n" );
put( "$site->dir/main/wp-content/plugins/nested/.git/HEAD", "ref: refs/heads/x\n" );
put( "$site->dir/main/wp-content/plugins/nested/.GIT/config", "secret\n" );
put( "$site->dir/main/wp-content/plugins/nested/code.php", "<?php\n" );
put( "$site->dir/main/wp-config.php.bak", 'a copy with secrets' );
put( "$site->dir/secret-outside.txt", 'outside' );
symlink( "$site->dir/secret-outside.txt", "$site->dir/main/wp-content/uploads/outside" );
symlink( 'lines.txt', "$site->dir/main/wp-content/uploads/inside" );
symlink( $site->dir, "$site->dir/main/wp-content/uploads/folder" );

$site->serve( 4 );
$browser = new Browser( $site, 'main' );
$browser->rest( 'GET', '/wp/v2/users/me' );
$password = $browser->rest( 'POST', '/wp/v2/users/1/application-passwords', array( 'name' => 'agent' ), 201 )['password'];
$database = $site->database( 'main' );
$hash     = $database->query( 'SELECT user_pass FROM wp_users' )->fetchColumn();
$sessions = $database->query( "SELECT meta_value FROM wp_usermeta WHERE meta_key = 'session_tokens'" )->fetchColumn();
$hashes   = $database->query( "SELECT meta_value FROM wp_usermeta WHERE meta_key = '_application_passwords'" )->fetchColumn();
$database->exec( "INSERT INTO wp_options (option_name, option_value, autoload) VALUES ('mailer', '" . serialize( array( 'smtp' => array( 'pass' => 'hunter-2-smtp', 'host' => 'mail.example' ), 'json' => '{"apiKey":"hunter-2-json"}' ) ) . "', 'off')" );
$database->exec( "INSERT INTO wp_options (option_name, option_value, autoload) VALUES ('shop_license', 'hunter-2-license', 'off')" );
$each = array(
	'broken'      => 'a:1:{s:9:"api_token";s:99:"hunter-2-broken";}',
	'spaced'      => ' {"auth_code":"hunter-2-spaced",}',
	'encoded'     => base64_encode( serialize( array( 'otp_seed' => 'hunter-2-encoded' ) ) ),
	'of_object'   => serialize( new \ArrayObject( array( 'signature' => 'hunter-2-object' ) ) ),
	'deep'        => str_repeat( '[', 70 ) . '{"login_cookie":"hunter-2-deep"}' . str_repeat( ']', 70 ),
	'shaped'      => 'mysql://root:hunter-2-url@db/wp ghp_hunter2hunter2hunter2',
	'pairs'       => '[{"name":"smtp_password","value":"hunter-2-pair"}]',
	'user_otp'    => 9182736450918,
);
foreach ( $each as $name => $value ) {
	$database->prepare( "INSERT INTO wp_options (option_name, option_value, autoload) VALUES (?, ?, 'off')" )->execute( array( "leak_$name", $value ) );
}
$database->exec( 'CREATE TABLE wp_settings (setting_name, setting_value); ' );
$database->exec( "INSERT INTO wp_settings VALUES ('gateway_password', 'hunter-2-setting')" );
$database->exec( "UPDATE wp_comments SET comment_author_IP = '192.0.2.77'" );
$config = "$site->dir/main/wp-config.php";
$leaks  = "define( 'MAIL_PASSWORD', base64_decode( 'hunter-2-call' ) ); define( 'PIN_SECRET', 9182736450918 );\n"
	. "define( 'HOOK_KEY', <<<'END'\nhunter-2-document\nEND\n); // was: define('HOOK_KEY', 'hunter-2-comment')\n";
put( $config, preg_replace( '/^\$table_prefix/m', $leaks . '$0', file_get_contents( $config ), 1 ) );
put( "$site->dir/main/.env", 'TOKEN=hunter-2-env' );

$clone = temp_dir() . '/clone';

/**
 * Returns a line for each file in a folder of a branch or of a checkout: its name, whether it is executable, and its bytes.
 *
 * @param string $dir The folder.
 */
$files = function ( string $dir ): array {
	$script = 'cd "$1" && find . \( -path ./wp-content/database -o -iname .git -o -name .env -o -name "wp-config.php*" -o -name attributes \) -prune -o'
		. ' \( -type l -printf "%p -> %l\0" -o -type f -executable -printf "%p is executable\0" -exec md5sum -z {} + -o -type f -exec md5sum -z {} + \)';
	$find   = new Command( array( 'sh', '-c', $script, 'sh', $dir ), $dir );
	$lines  = explode( "\0", $find->outcome()->out );
	sort( $lines );
	return $lines;
};

test(
	'a clone has the files of main, with symlinks and modes, byte for byte',
	function () use ( $gits, $done, $url, $site, $clone, $files ): void {
		foreach ( $gits as $version => $program ) {
			remove( $clone );
			$done( $program, 'clone', '--quiet', '--no-checkout', $url, $clone );
			same( 'main', $done( $program, '-C', $clone, 'symbolic-ref', '--short', 'HEAD' ), "$version: the branch" );
			$done( $program, '-C', $clone, 'fsck', '--full', '--strict' );
		}
		$done( '-C', $clone, 'checkout', '--quiet' );
		same( array( '.', '..', '.git', 'database.sql', 'wordpress' ), scandir( $clone ), 'what is in it' );
		list( $theirs, $ours ) = array( $files( "$clone/wordpress" ), $files( "$site->dir/main" ) );
		holds( count( $theirs ) > 2000, 'there are files' );
		same( array(), array_values( array_diff( $ours, $theirs ) ), 'what the clone lacks' );
		same( array(), array_values( array_diff( $theirs, $ours ) ), 'what the branch lacks' );
		// A checkout does what these attributes say, but the bytes that Git has are those of the branch.
		$lines = 'wp-content/uploads/attributes/lines.txt';
		same( rtrim( file_get_contents( "$site->dir/main/$lines" ), "\n" ), $done( '-C', $clone, 'cat-file', 'blob', "HEAD:wordpress/$lines" ), 'the bytes' );
	}
);

test(
	'neither the database nor repositories nor copies of the configuration are in the view',
	function () use ( $clone ): void {
		foreach ( array( 'wp-content/database', 'wp-content/plugins/nested/.git', 'wp-content/plugins/nested/.GIT', 'wp-config.php.bak' ) as $path ) {
			holds( ! file_exists( "$clone/wordpress/$path" ), "no $path" );
		}
		holds( is_file( "$clone/wordpress/wp-content/plugins/nested/code.php" ), 'what is beside a repository is in the view' );
		holds( is_link( "$clone/wordpress/wp-content/uploads/outside" ), 'a symlink is a symlink' );
	}
);

test(
	'no secret of the site is anywhere in a clone',
	function () use ( $site, $clone, $done, $hash, $sessions, $hashes, $password ): void {
		$secrets = array( $hash, $password, 'hunter-2', 'hunter2', 'a copy with secrets', '9182736450918', '192.0.2.77' );
		$config  = file_get_contents( "$site->dir/main/wp-config.php" );
		holds( 8 === preg_match_all( "/_(?:KEY|SALT)', '(.{32,})' \);/", $config, $matches ), 'the configuration has eight keys' );
		array_push( $secrets, ...$matches[1] );
		holds( 0 < preg_match_all( '/[0-9a-f]{64}/', $sessions, $matches ), 'there is a session' );
		array_push( $secrets, ...$matches[0] );
		holds( 0 < preg_match_all( '/"(\$[^"]+)"/', $hashes, $matches ), 'there is an application password' );
		array_push( $secrets, ...$matches[1] );
		$all = $done( '-C', $clone, 'cat-file', '--batch-all-objects', '--batch' );
		holds( str_contains( $all, 'mail.example' ) && str_contains( $all, 'Snapshot of main' ), 'what is no secret is there' );
		foreach ( $secrets as $secret ) {
			holds( ! str_contains( $all, $secret ), "not in the clone: $secret" );
		}
	}
);

test(
	'database.sql can be loaded and has what the database has',
	function () use ( $site, $clone ): void {
		$text   = file_get_contents( "$clone/database.sql" );
		$loaded = new \PDO( 'sqlite::memory:', null, null, array( \PDO::ATTR_ERRMODE => \PDO::ERRMODE_EXCEPTION ) );
		$loaded->exec( $text );
		$live   = $site->database( 'main' );
		$all    = static function ( \PDO $database, string $sql ): array {
			$rows = $database->query( $sql )->fetchAll( \PDO::FETCH_NUM );
			sort( $rows );
			return $rows;
		};
		$schema = "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name";
		same( $all( $live, $schema ), $all( $loaded, $schema ), 'the schema' );
		same( 'ok', $loaded->query( 'PRAGMA integrity_check' )->fetchColumn(), 'the check' );
		$compared = 0;
		foreach ( $all( $live, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'" ) as list( $table ) ) {
			if ( ! in_array( $table, array( 'wp_options', 'wp_usermeta', 'wp_users', 'wp_posts', 'wp_postmeta', 'wp_comments', 'wp_settings' ), true ) ) {
				same( $all( $live, "SELECT * FROM `$table`" ), $all( $loaded, "SELECT * FROM `$table`" ), "the table $table" );
				++$compared;
			}
		}
		holds( $compared > 10, 'tables were compared' );
		$options = "SELECT * FROM wp_options WHERE option_name NOT LIKE 'leak_%' AND option_name NOT IN ('mailer', 'shop_license', 'cron', 'rewrite_rules', 'recovery_keys', 'finished_updating_comment_type') AND option_name NOT LIKE '\_%transient\_%' ESCAPE '\\'";
		same( $all( $live, $options ), $all( $loaded, $options ), 'the options' );
		same( '[redacted]', unserialize( $loaded->query( "SELECT option_value FROM wp_options WHERE option_name = 'mailer'" )->fetchColumn() )['smtp']['pass'], 'the password' );
		same( 1, preg_match_all( '/^INSERT INTO "wp_users"/m', $text ), 'one line a row' );
	}
);

test(
	'page views, logins and cron make no new commit; a post and a file do',
	function () use ( $site, $browser, $refs, $database ): void {
		// The first cron run writes an option, which a branch may have that its source has not.
		$keys = "FROM wp_options WHERE option_name = 'recovery_keys'";
		$database->exec( "DELETE $keys" );
		$first = $refs()['refs/heads/main'];
		$load  = "require 'wp-load.php'; do_action( 'recovery_mode_clean_expired_keys' );";
		$site->done( 'exec', 'main', '--', 'php', '-r', $load );
		same( 1, $database->query( "SELECT count(*) $keys" )->fetchColumn(), 'rows of the recovery mode' );
		$visitor = new Browser( $site, 'main' );
		foreach ( array( '/', '/hello-world/', '/?p=1', '/wp-login.php', '/wp-cron.php?doing_wp_cron' ) as $page ) {
			$visitor->request( $page );
		}
		$looked = array( '', 'edit.php', 'post-new.php', 'post.php?post=1&action=edit', 'upload.php', 'themes.php', 'site-editor.php', 'widgets.php', 'nav-menus.php' );
		$looked = array( ...$looked, 'customize.php', 'plugins.php', 'users.php', 'tools.php', 'site-health.php', 'options-permalink.php' );
		$admin  = new Browser( $site, 'main' );
		foreach ( $looked as $page ) {
			$status = $admin->request( "/wp-admin/$page" )->status;
			// The theme has no menus and no widgets.
			same( in_array( $page, array( 'widgets.php', 'nav-menus.php' ), true ) ? 500 : 200, $status, "wp-admin/$page: status" );
		}
		$admin->rest( 'POST', '/wp/v2/users/me', array( 'meta' => array( 'persisted_preferences' => array( 'core' => array( 'isComplementaryAreaVisible' => true ) ) ) ) );
		$database->exec( "INSERT INTO wp_options (option_name, option_value, autoload) VALUES ('_transient_x', hex(randomblob(8)), 'off')" );
		$database->exec( "UPDATE wp_options SET option_value = option_value || ' ' WHERE option_name = 'cron'" );
		same( $first, $refs()['refs/heads/main'], 'the commit after page views' );
		$browser->rest( 'POST', '/wp/v2/posts', array( 'title' => 'News', 'status' => 'publish' ), 201 );
		$second = $refs()['refs/heads/main'];
		holds( $second !== $first, 'a post makes a commit' );
		put( "$site->dir/main/wp-content/uploads/lines.txt", "DOS\r\nunix\n\$Id\$\n" );
		holds( $refs()['refs/heads/main'] !== $second, 'a file of the same size makes a commit' );
	}
);

test(
	'a fetch brings what was changed, added, removed and made executable',
	function () use ( $site, $done, $clone ): void {
		$uploads = "$site->dir/main/wp-content/uploads";
		$done( '-C', $clone, 'pull', '--quiet', '--ff-only' );
		put( "$uploads/new/deep/file.txt", 'new' );
		remove( "$uploads/inside" );
		chmod( "$uploads/lines.txt", 0755 );
		remove( "$uploads/ignored" );
		put( "$uploads/ignored", 'a file where a folder was' );
		remove( "$uploads/a\nb é \xff.txt" );
		put( "$uploads/a\nb é \xff.txt/x", 'a folder where a file was' );
		$done( '-C', $clone, 'pull', '--quiet', '--ff-only' );
		$changes = $done( '-C', $clone, '-c', 'core.quotePath=false', 'diff', '--name-status', '--no-renames', 'HEAD~', '--', 'wordpress' );
		foreach ( array( 'A	wordpress/wp-content/uploads/new/deep/file.txt', 'D	wordpress/wp-content/uploads/inside', 'M	wordpress/wp-content/uploads/lines.txt', 'D	wordpress/wp-content/uploads/ignored/.gitignore', 'A	wordpress/wp-content/uploads/ignored' ) as $line ) {
			holds( in_array( $line, explode( "\n", $changes ), true ), "$line in $changes" );
		}
		same( 'a folder where a file was', file_get_contents( "$clone/wordpress/wp-content/uploads/a\nb é \xff.txt/x" ), 'the odd name' );
	}
);

test(
	'a new branch that is as its source was has its commit; a deleted one has no ref, and one that comes back has one again',
	function () use ( $site, $refs, $browser ): void {
		$main = $refs()['refs/heads/main'];
		$site->done( 'branch', 'create', 'twin' );
		$now = $refs();
		same( $main, $now['refs/heads/twin'], 'the commit of the twin' );
		same( $main, $now['HEAD'], 'HEAD' );
		$site->done( 'branch', 'delete', 'twin' );
		same( array( 'HEAD', 'refs/heads/main' ), array_keys( $refs() ), 'the refs' );
		$site->done( 'undo' );
		same( $main, $refs()['refs/heads/twin'], 'the commit of the twin that is back' );
		put( "$site->dir/twin/wp-content/uploads/own.txt", 'own' );
		$changed = $refs();
		holds( $changed['refs/heads/twin'] !== $main && $changed['refs/heads/main'] === $main, 'each branch has its own commit' );
		$site->done( 'branch', 'reset', 'twin', '--from', 'main' );
		$reset = $refs()['refs/heads/twin'];
		holds( $reset !== $main && $reset !== $changed['refs/heads/twin'], 'a reset goes forward' );
	}
);

test(
	'a shallow clone and a partial clone work, and fetch what they lack',
	function () use ( $gits, $done, $url ): void {
		foreach ( $gits as $version => $program ) {
			$dir = temp_dir();
			$done( $program, 'clone', '--quiet', '--depth', '1', $url, "$dir/shallow" );
			same( '1', $done( $program, '-C', "$dir/shallow", 'rev-list', '--count', 'HEAD' ), "$version: commits of the shallow clone" );
			$done( $program, 'clone', '--quiet', '--no-checkout', '--filter=blob:none', $url, "$dir/partial" );
			holds( str_contains( $done( $program, '-C', "$dir/partial", 'show', 'HEAD:wordpress/wp-load.php' ), '<?php' ), "$version: a file of the partial clone" );
			$done( $program, '-c', 'protocol.version=0', 'clone', '--quiet', '--branch', 'twin', '--no-checkout', $url, "$dir/old" );
			same( 'twin', $done( $program, '-C', "$dir/old", 'symbolic-ref', '--short', 'HEAD' ), "$version: with the old protocol" );
		}
	}
);

test(
	'the repository is put right where somebody changed it or a process died in it',
	function () use ( $site, $refs ): void {
		$before = $refs();
		$git    = "$site->dir/.forkpress/cow/git";
		put( "$git/config", "[core]\n\tbare = false\n" );
		unlink( "$git/HEAD" );
		touch( "$git/snapshots/main.index.lock" );
		put( "$git/snapshots/twin.toml", 'garbage' );
		put( "$git/snapshots/main.index", 'garbage' );
		put( "$site->dir/main/wp-content/uploads/again.txt", 'again' );
		$after = $refs();
		holds( $before['refs/heads/main'] !== $after['refs/heads/main'], 'the file is there' );
		same( $before['refs/heads/twin'], $after['refs/heads/twin'], 'the commit of twin' );
	}
);

test(
	'nobody but git at the site\'s own host gets an answer',
	function () use ( $site ): void {
		$refs = '/site.git/info/refs?service=git-upload-pack';
		same( 421, $site->request( $refs, array( 'Host' => 'evil.example' ) )->status, 'another host' );
		same( 403, $site->request( $refs, array( 'Origin' => 'http://evil.example' ) )->status, 'a page of another site' );
		same( 403, $site->request( '/site.git/git-receive-pack', array( 'Sec-Fetch-Site' => 'cross-site' ), 'POST', '0000' )->status, 'a form of another site' );
		$answer = $site->request( $refs );
		same( 200, $answer->status, 'git' );
		holds( ! preg_grep( '/^access-control-/i', array_keys( $answer->headers ) ), 'no page may read it' );
		foreach ( array( '/site.git', '/site.git/config', '/site.git/HEAD', '/site.git/objects/info/packs', '/site.git/snapshots/main.index' ) as $path ) {
			same( 404, $site->request( $path )->status, $path );
		}
		same( 404, $site->request( $refs, array( 'Host' => $site->host( 'twin' ) ) )->status, 'the repository is at the root host only' );
	}
);

test(
	'a fetch waits for a mutation that publishes, and for nothing else of it',
	function () use ( $site, $refs, $client, $url ): void {
		$refs();
		$locks = $site->stuck( 'mutation.lock' );
		$refs();
		array_push( $locks, ...$site->stuck( 'operations.gate' ) );
		$fetch = new Process( array( $client, 'ls-remote', $url ) );
		// It is at the gate: it is what has a snapshot's lock.
		$lock = fopen( "$site->dir/.forkpress/cow/git/snapshots/main.lock", 'r' );
		eventually(
			static function () use ( $lock ): bool {
				$is_free = flock( $lock, LOCK_EX | LOCK_NB );
				flock( $lock, LOCK_UN );
				return ! $is_free;
			},
			'the fetch makes a snapshot'
		);
		holds( $fetch->runs(), 'the fetch waits' );
		// The fetch has inherited the open files.
		array_map( static fn ( $lock ) => flock( $lock, LOCK_UN ), $locks );
		same( 0, $fetch->wait(), 'the fetch: exit status' );
	}
);

test(
	'a client that reads slowly, or not at all, keeps no branch from being deleted',
	function () use ( $site, $refs ): void {
		$site->done( 'branch', 'create', 'short-lived' );
		$main       = $refs()['refs/heads/main'];
		$request    = sprintf( "%04xwant %s\n00000009done\n", 4 + 6 + strlen( $main ), $main );
		$connection = $site->open( '/site.git/git-upload-pack', array( 'Content-Type' => 'application/x-git-upload-pack-request' ), 'POST', $request );
		holds( str_contains( (string) fread( $connection, 1000 ), '200 OK' ), 'the clone has begun' );
		// The server may just be asking for a page of the new branch, and that ends. The client does not.
		eventually( static fn () => 0 === $site->run( 'branch', 'delete', 'short-lived', '--timeout', '0' )->status, 'the delete waits for no client' );
		holds( str_contains( (string) stream_get_contents( $connection ), 'PACK' ), 'the clone goes on' );
		fclose( $connection );
	}
);

test(
	'the first commit of a branch has what is in it, not what its source has in files that look the same',
	function () use ( $site, $refs, $done, $clone ): void {
		$repository = "$site->dir/.forkpress/cow/git";
		$file       = 'wp-includes/js/jquery/jquery.js';
		$refs();
		$packs = count( glob( "$repository/objects/pack/*.pack" ) );
		$site->done( 'branch', 'create', 'same', 'alike', 'more' );
		// The same size and time, other bytes; and so many new files that they are written in another way.
		$path = "$site->dir/alike/$file";
		$time = filemtime( $path );
		put( $path, strrev( file_get_contents( $path ) ) );
		touch( $path, $time );
		same( array( $time, filesize( "$site->dir/main/$file" ) ), array( filemtime( $path ), filesize( $path ) ), 'time and size' );
		for ( $i = 0; $i < 150; $i++ ) {
			put( "$site->dir/more/wp-content/uploads/more/$i.txt", "more $i" );
		}
		$now = $refs();
		same( $now['refs/heads/main'], $now['refs/heads/same'], 'the commit of the branch in which nothing was changed' );
		same( $packs + 1, count( glob( "$repository/objects/pack/*.pack" ) ), 'packs: one for the new files, none for those of clones' );
		$done( '-C', $clone, 'fetch', '--quiet', 'origin' );
		$differs = static fn ( string $branch ): array => explode( "\n", $done( '-C', $clone, 'diff', '--name-only', 'origin/main', "origin/$branch", '--', 'wordpress' ) );
		same( array( "wordpress/$file" ), $differs( 'alike' ), 'the changed file' );
		same( $done( 'hash-object', '--no-filters', $path ), $done( '-C', $clone, 'rev-parse', "origin/alike:wordpress/$file" ), 'its bytes' );
		same( 150, count( $differs( 'more' ) ), 'the new files' );
		foreach ( array( 'same', 'alike', 'more' ) as $branch ) {
			$site->done( 'branch', 'delete', $branch );
		}
	}
);

test(
	'a branch that cannot be read keeps its ref as it was, and the others get theirs',
	function () use ( $site, $refs, $git, $url ): void {
		$site->done( 'branch', 'create', 'unread' );
		$before = $refs();
		// Root may read every file, but nobody a database that is none.
		$odd = "$site->dir/unread/wp-content/database/.ht.sqlite";
		rename( $odd, "$odd.aside" );
		remove( "$odd-wal" );
		remove( "$odd-shm" );
		put( $odd, str_repeat( 'no database', 1000 ) );
		put( "$site->dir/unread/wp-content/uploads/new.txt", 'new' );
		put( "$site->dir/main/wp-content/uploads/new-in-main.txt", 'new' );
		$after = $refs();
		same( $before['refs/heads/unread'], $after['refs/heads/unread'], 'the ref of the branch that cannot be read' );
		holds( $before['refs/heads/main'] !== $after['refs/heads/main'], 'main has a new commit' );
		$log = implode( "\n", array_map( 'file_get_contents', glob( "$site->dir/.forkpress/logs/*.log" ) ) );
		holds( str_contains( $log, "the ref of branch 'unread' stays as it was" ), "the log says so: $log" );
		$dir     = temp_dir();
		$outcome = $git( 'clone', '--quiet', '--no-checkout', '--single-branch', '--branch', 'unread', $url, "$dir/x" );
		same( 0, $outcome->status, "a clone: {$outcome->text()}" );
		$outcome = $git( '-C', "$dir/x", 'fetch', 'origin', 'unread' );
		holds( 0 !== $outcome->status, 'a fetch of that very branch fails' );
		holds( str_contains( $outcome->errors, 'file is not a database' ), "it says why: $outcome->errors" );
		$log = file_get_contents( "$site->dir/.forkpress/logs/forkpress-server.log" );
		holds( 1 === preg_match( "/^forkpress: cannot make a snapshot of the database of branch 'unread'\n(caused by: .*\n)*.*file is not a database/m", $log ), "so does the server's log: $log" );
		rename( "$odd.aside", $odd );
		holds( $refs()['refs/heads/unread'] !== $after['refs/heads/unread'], 'the branch that can be read again has a new commit' );
		$site->done( 'branch', 'delete', 'unread' );
		// WordPress, which may have been asked for a page meanwhile, does not like it either.
		foreach ( glob( "$site->dir/.forkpress/logs/{wp-debug,php-errors}.log", GLOB_BRACE ) as $path ) {
			put( $path, implode( "\n", preg_grep( '#unread|^\#|^Stack trace|^  thrown|^$#', file( $path, FILE_IGNORE_NEW_LINES ), PREG_GREP_INVERT ) ) );
		}
	}
);

test(
	'a branch whose record is damaged or gone is in nobody else\'s way, and keeps its history',
	function () use ( $site, $refs, $git, $url ): void {
		$site->done( 'branch', 'create', 'torn' );
		$before = $refs();
		$clone  = temp_dir() . '/clone';
		same( 0, $git( 'clone', '--quiet', '--no-checkout', $url, $clone )->status, 'a clone' );
		$record = "$site->dir/.forkpress/cow/branches/torn.toml";
		$text   = file_get_contents( $record );
		foreach ( array( 'no record' => 'is not valid', null => 'has no record' ) as $bad => $why ) {
			'' === $bad ? unlink( $record ) : put( $record, $bad );
			put( "$site->dir/main/wp-content/uploads/beside-torn.txt", "$bad$why" );
			$outcome = $git( '-C', $clone, 'fetch', 'origin' );
			same( 0, $outcome->status, "a fetch: {$outcome->text()}" );
			$now = $refs();
			same( $before['refs/heads/torn'], $now['refs/heads/torn'], "$why: its ref" );
			holds( $now['refs/heads/main'] !== $before['refs/heads/main'], "$why: main has a new commit" );
			$before  = $now;
			$outcome = $git( '-C', $clone, 'fetch', 'origin', 'torn' );
			holds( 0 !== $outcome->status && str_contains( $outcome->errors, $why ), "$why: a fetch of it says so: {$outcome->text()}" );
		}
		put( $record, $text );
		$site->done( 'branch', 'delete', 'torn' );
		holds( ! isset( $refs()['refs/heads/torn'] ), 'deleted, it has no ref' );
	}
);

test(
	'lock files that a power cut left in the repository are in nobody\'s way',
	function () use ( $site, $refs ): void {
		$repository = "$site->dir/.forkpress/cow/git";
		$site->done( 'branch', 'create', 'stale' );
		$before = $refs()['refs/heads/main'];
		put( "$repository/refs/heads/main.lock", '' );
		put( "$repository/refs/heads/stale.lock", '' );
		put( "$repository/packed-refs.lock", '' );
		put( "$repository/snapshots/main.index.lock", '' );
		put( "$site->dir/main/wp-content/uploads/after.txt", 'after' );
		holds( $refs()['refs/heads/main'] !== $before, 'main has a new commit' );
		$site->done( 'branch', 'delete', 'stale' );
		holds( ! isset( $refs()['refs/heads/stale'] ), 'the deleted branch has no ref' );
		same( array(), glob( "$repository/{refs/heads/*,packed-refs}.lock", GLOB_BRACE ), 'lock files' );
	}
);

test(
	'who pushes to a server that others reach needs the token',
	function () use ( $site, $git ): void {
		$site->stop();
		same( 0, $site->command( array( 'serve', '--host', '0.0.0.0' ), array( 'FORKPRESS_AUTO_LOGIN' => '0' ) )->outcome()->status, 'serve' );
		$refs = static fn ( string $service, array $headers = array() ) => $site->request( "/site.git/info/refs?service=$service", $headers );
		same( 200, $refs( 'git-upload-pack' )->status, 'a fetch' );
		$refused = $refs( 'git-receive-pack' );
		same( 401, $refused->status, 'a push without the token' );
		same( 'Basic realm="ForkPress", charset="UTF-8"', $refused->headers['www-authenticate'] ?? null, 'what is asked for' );
		$token = trim( $site->done( 'git', 'token' ) );
		same( $token, $site->json( 'git', 'token' )['token'], 'the token' );
		same( 0600, fileperms( "$site->dir/.forkpress/cow/git.token" ) & 0777, 'who may read it' );
		same( 401, $refs( 'git-receive-pack', array( 'Authorization' => 'Bearer ' . strrev( $token ) ) )->status, 'a wrong token' );
		same( 200, $refs( 'git-receive-pack', array( 'Authorization' => "Bearer $token" ) )->status, 'the token' );
		same( 200, $refs( 'git-receive-pack', array( 'Authorization' => 'Basic ' . base64_encode( "any:$token" ) ) )->status, 'the token as a password' );
	}
);

test( 'nobody complained', fn () => $site->has_no_complaints() );
