<?php
/**
 * A real WordPress on several branches, made and served by the `forkpress` program, with a single worker.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_wordpress_branches.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

/** Names that occur nowhere in WordPress. */
const BRANCHES = array( 'main', 'zebrafish', 'quokka_2' );

/** A plugin with a visible effect. */
const PLUGIN = <<<'PHP'
<?php
/* Plugin Name: Greeting */
add_action( 'wp_footer', static function () {
	echo '<p>Greetings from the plugin</p>';
} );
PHP;

/** A must-use plugin that does what the tests ask for in an own request. */
const PROBE = <<<'PHP'
<?php
add_action( 'probe_event', static function ( $mark ) {
	add_option( "probe_mark_$mark", branchfs_get_branch() );
} );
add_action( 'rest_api_init', static function () {
	$route = static function ( string $name, callable $answer ): void {
		register_rest_route( 'probe', $name, array( 'callback' => $answer, 'permission_callback' => '__return_true' ) );
	};
	$route( 'schedule', static fn ( $request ) => wp_schedule_single_event( time() - 1, 'probe_event', array( $request['mark'] ) ) );
	$route( 'mark', static fn ( $request ) => get_option( "probe_mark_{$request['mark']}" ) );
	$route( 'here', static fn () => branchfs_get_branch() );
	$route( 'fetch', static function ( $request ) {
		if ( 'sockets' === $request['transport'] ) {
			add_filter( 'requests-requests.before_request', static function ( $url, $headers, $data, $type, &$options ) {
				$options['transport'] = 'WpOrg\Requests\Transport\Fsockopen';
			}, 10, 5 );
		}
		$response = wp_remote_get( rest_url( 'probe/here' ), array( 'timeout' => 30 ) );
		return is_wp_error( $response ) ? $response->get_error_message() : json_decode( $response['body'] );
	} );
} );
PHP;

/** A PNG of one pixel. */
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==';

/**
 * Returns every value of a database in which a text occurs, with its table and column.
 *
 * @param \PDO   $database The database.
 * @param string $text     The text.
 * @return string[]
 */
function values_with( \PDO $database, string $text ): array {
	$found  = array();
	$tables = $database->query( "SELECT name FROM sqlite_master WHERE type = 'table'" )->fetchAll( \PDO::FETCH_COLUMN );
	foreach ( $tables as $table ) {
		foreach ( $database->query( "SELECT * FROM \"$table\"", \PDO::FETCH_ASSOC ) as $row ) {
			foreach ( $row as $column => $value ) {
				if ( str_contains( (string) $value, $text ) ) {
					$found[] = "$table.$column: " . substr( (string) $value, 0, 300 );
				}
			}
		}
	}
	return $found;
}

/**
 * Returns the files of a tree in which a text occurs, without the database.
 *
 * @param string $tree The folder.
 * @param string $text The text.
 * @return string[]
 */
function files_with( string $tree, string $text ): array {
	$grep = new Process( array( 'grep', '-rlF', '--exclude-dir=database', '--', $text, $tree ) );
	$grep->wait();
	return array_filter( explode( "\n", trim( $grep->output() ) ) );
}

$site = new Site();
put( "$site->dir/main/wp-content/mu-plugins/probe.php", PROBE );
put( "$site->dir/main/wp-content/plugins/greeting/greeting.php", PLUGIN );
$site->serve( 1 );
$browsers = array( 'main' => new Browser( $site, 'main' ) );
foreach ( array_slice( BRANCHES, 1 ) as $branch ) {
	$site->done( 'branch', 'create', $branch );
	$browsers[ $branch ] = new Browser( $site, $branch );
}

test(
	'a branch names neither itself nor where it lies, neither in its files nor in its database',
	function () use ( $site ) {
		foreach ( BRANCHES as $branch ) {
			same( 200, $site->request( '/', array( 'Host' => $site->host( $branch ) ) )->status, "the front page of $branch" );
			foreach ( 'main' === $branch ? array( $site->dir ) : array( $site->dir, $branch ) as $text ) {
				same( array(), files_with( "$site->dir/$branch", $text ), "files of $branch with $text" );
				same( array(), values_with( $site->database( $branch ), $text ), "values in $branch's database with $text" );
			}
		}
	}
);

test(
	'the dashboard opens logged in on every branch, says which it is, and leads to the others',
	function () use ( $site, $browsers ) {
		foreach ( $browsers as $branch => $browser ) {
			$page = $browser->request( '/wp-admin/' );
			same( 200, $page->status, "the dashboard of $branch" );
			holds( str_contains( $page->body, "Branch: $branch<" ), "the admin bar names $branch" );
			// What the menu asks for when it is opened.
			$menu = json_decode( $browser->request( '/wp-admin/admin-ajax.php?action=forkpress_branches&dashboard=1' )->body, true );
			$urls = array_column( $menu['branches'], 'url', 'name' );
			foreach ( BRANCHES as $other ) {
				same( "http://{$site->host( $other )}/wp-admin/", $urls[ $other ] ?? null, "$branch has a link to $other" );
			}
		}
	}
);

test(
	'every link and every file of the front page and of a post is on the branch that the page is on, and answers',
	function () use ( $site ) {
		foreach ( BRANCHES as $branch ) {
			$visitor = new Browser( $site, $branch );
			$here    = 'http://' . $site->host( $branch );
			$checked = array();
			foreach ( array( '/', '/hello-world/' ) as $path ) {
				$page = $visitor->request( $path );
				same( array( 200, $branch ), array( $page->status, $page->headers['x-forkpress-branch'] ?? null ), "$path of $branch" );
				preg_match_all( '~\b(?:href|src|action)=["\'](https?://[^"\'#]*localhost[^"\'#]*)~', $page->body, $links );
				$links = array_unique( array_map( 'html_entity_decode', $links[1] ) );
				holds( count( $links ) > 5, "$path of $branch has links" );
				foreach ( array_diff( $links, $checked ) as $link ) {
					holds( "$here/" === $link || $here === $link || str_starts_with( $link, "$here/" ), "$link is on $branch" );
					$answer = $visitor->request( $here === $link ? '/' : $link );
					holds( in_array( $answer->status, array( 200, 301, 302, 405 ), true ), "$link answers: $answer->status" );
					$checked[] = $link;
				}
			}
			same( 404, $visitor->request( '/no-such-post/' )->status, "a post that $branch has not" );
		}
	}
);

test(
	'a redirect stays on the branch',
	function () use ( $site, $browsers ) {
		foreach ( $browsers as $branch => $browser ) {
			$here = 'http://' . $site->host( $branch );
			foreach ( array(
				'/wp-admin'     => "$here/wp-admin/",
				'/?p=1'         => "$here/hello-world/",
				'/hello-world'  => "$here/hello-world/",
				'/wp-login.php' => "$here/wp-admin/",
				'/login'        => "$here/wp-login.php",
			) as $from => $to ) {
				$answer = $browser->request( $from );
				holds( in_array( $answer->status, array( 301, 302 ), true ), "$from of $branch redirects: $answer->status" );
				$location = $answer->headers['location'] ?? '';
				same( $to, ( str_starts_with( $location, '/' ) ? $here : '' ) . $location, "where $from of $branch leads" );
			}
		}
	}
);

test(
	'a post that is saved on a branch is on no other, wherever it is saved',
	function () use ( $browsers ) {
		$titles = array_map( static fn ( $browser ) => $browser->titles(), $browsers );
		foreach ( $browsers as $branch => $browser ) {
			$post = $browser->rest( 'POST', '/wp/v2/posts', array( 'title' => "Written on $branch", 'status' => 'publish' ), 201 );
			holds( str_contains( $browser->request( $post['link'] )->body, "Written on $branch" ), "its own page shows it on $branch" );
		}
		foreach ( $browsers as $branch => $browser ) {
			same( array( "Written on $branch", ...$titles[ $branch ] ), $browser->titles(), "posts on $branch" );
		}
	}
);

test(
	'a plugin that is activated on a branch runs on no other',
	function () use ( $browsers ) {
		$browsers['zebrafish']->rest( 'PUT', '/wp/v2/plugins/greeting/greeting', array( 'status' => 'active' ) );
		foreach ( $browsers as $branch => $browser ) {
			$runs = 'zebrafish' === $branch;
			same( $runs ? 'active' : 'inactive', $browser->rest( 'GET', '/wp/v2/plugins/greeting/greeting' )['status'], "plugin on $branch" );
			same( $runs, str_contains( $browser->request( '/' )->body, 'Greetings from the plugin' ), "its effect on $branch" );
		}
	}
);

test(
	'a file that is uploaded on a branch is served there, and is on no other',
	function () use ( $site, $browsers ) {
		$browser = $browsers['zebrafish'];
		$before  = $browser->rest( 'GET', '/wp/v2/media' );
		$headers = array( 'Content-Type' => 'image/png', 'Content-Disposition' => 'attachment; filename="pixel.png"' );
		$headers['X-WP-Nonce'] = trim( $browser->request( '/wp-admin/admin-ajax.php?action=rest-nonce' )->body );
		$answer                = $browser->request( '/wp-json/wp/v2/media', 'POST', base64_decode( PIXEL ), $headers );
		same( 201, $answer->status, 'uploading: ' . substr( $answer->body, 0, 300 ) );
		$url  = json_decode( $answer->body, true )['source_url'];
		$path = parse_url( $url, PHP_URL_PATH );
		same( "http://{$site->host( 'zebrafish' )}$path", $url, 'its address' );
		$file = $browser->request( $path );
		same( array( 200, 'image/png', PIXEL ), array( $file->status, $file->headers['content-type'] ?? null, base64_encode( $file->body ) ), 'the file' );
		same( count( $before ) + 1, count( $browser->rest( 'GET', '/wp/v2/media' ) ), 'files in the library' );
		foreach ( array( 'main', 'quokka_2' ) as $other ) {
			same( 404, $browsers[ $other ]->request( $path )->status, "the file on $other" );
			holds( ! file_exists( "$site->dir/$other$path" ), "$other has no such file" );
			same( count( $before ), count( $browsers[ $other ]->rest( 'GET', '/wp/v2/media' ) ), "files in the library of $other" );
		}
	}
);

test(
	'with one worker a page of every branch reaches its own site, over cURL and over sockets, and site health agrees',
	function () use ( $browsers ) {
		foreach ( $browsers as $branch => $browser ) {
			foreach ( array( 'curl', 'sockets' ) as $transport ) {
				$answer = $browser->request( "/wp-json/probe/fetch?transport=$transport" );
				same( array( 200, json_encode( $branch ) ), array( $answer->status, $answer->body ), "$branch over $transport" );
			}
			$health = $browser->rest( 'GET', '/wp-site-health/v1/tests/loopback-requests' );
			same( 'good', $health['status'], "site health of $branch: " . json_encode( $health ) );
		}
	}
);

test(
	'with one worker an event that is due runs when somebody visits its branch, and on no other',
	function () use ( $browsers ) {
		foreach ( $browsers as $branch => $browser ) {
			$mark = bin2hex( random_bytes( 4 ) );
			same( 'true', $browser->request( "/wp-json/probe/schedule?mark=$mark" )->body, "scheduling on $branch" );
			$marked = static function () use ( $browser, $mark ) {
				// A visitor's page starts what is due, once in a minute at most.
				$browser->request( '/?doing=' . $mark );
				return 'false' !== $browser->request( "/wp-json/probe/mark?mark=$mark" )->body;
			};
			eventually( $marked, "the event runs on $branch" );
			foreach ( $browsers as $other => $its_browser ) {
				$expected = json_encode( $other === $branch ? $branch : false );
				same( $expected, $its_browser->request( "/wp-json/probe/mark?mark=$mark" )->body, "the mark of $branch on $other" );
			}
		}
	}
);

test(
	'after all that, still nothing on a branch says where it lies',
	function () use ( $site ) {
		foreach ( BRANCHES as $branch ) {
			same( array(), files_with( "$site->dir/$branch", $site->dir ), "files of $branch with its path" );
			same( array(), values_with( $site->database( $branch ), $site->dir ), "values in $branch's database with its path" );
		}
	}
);

test(
	'nobody complained',
	function () use ( $site ) {
		$site->has_no_complaints();
	}
);

test(
	'with FORKPRESS_AUTO_LOGIN=0 every branch asks for the password that init was given',
	function () use ( $site ) {
		$site->done( 'stop' );
		$site->serve( 1, array( 'FORKPRESS_AUTO_LOGIN' => '0' ) );
		foreach ( BRANCHES as $branch ) {
			$browser = new Browser( $site, $branch );
			$answer  = $browser->request( '/wp-admin/' );
			same( 302, $answer->status, "the dashboard of $branch" );
			holds( str_starts_with( $answer->headers['location'] ?? '', "http://{$site->host( $branch )}/wp-login.php" ), 'it leads to the form' );
			same( 200, $browser->request( '/wp-login.php' )->status, "the form of $branch" );
			$form  = array( 'Content-Type' => 'application/x-www-form-urlencoded' );
			$wrong = $browser->request( '/wp-login.php', 'POST', 'log=admin&pwd=wrong', $form );
			same( 200, $wrong->status, "a wrong password on $branch" );
			$right = $browser->request( '/wp-login.php', 'POST', "log=admin&pwd=$site->password", $form );
			same( 302, $right->status, "the right password on $branch" );
			same( 200, $browser->request( '/wp-admin/' )->status, "the dashboard of $branch afterwards" );
		}
	}
);

test(
	'an imported site names its own address on every branch, at each port and root host, and is told of paths that are not its own',
	function () use ( $site ) {
		$site->done( 'stop' );
		$dir    = temp_dir();
		$copied = new Process( array( 'cp', '-R', "$site->dir/main", "$dir/imported" ) );
		same( 0, $copied->wait(), 'copying a site: ' . $copied->output() );
		$open  = static fn ( string $tree ) => new \PDO( "sqlite:$tree/wp-content/database/.ht.sqlite", null, null, array( \PDO::ATTR_ERRMODE => \PDO::ERRMODE_EXCEPTION ) );
		$ports = array( free_port(), free_port() );
		$texts = "https://shop.example.com/store/a http://gone.wp.localhost:$ports[0]/b http://wp.localhost:9/c";
		$open( "$dir/imported" )->exec( "UPDATE wp_options SET option_value = 'https://shop.example.com/store/' WHERE option_name IN ( 'siteurl', 'home' )" );
		$open( "$dir/imported" )->prepare( 'UPDATE wp_posts SET post_content = ? WHERE post_name = ?' )->execute( array( $texts, 'hello-world' ) );
		$config = file_get_contents( "$dir/imported/wp-config.php" );
		put( "$dir/imported/wp-config.php", preg_replace( "/^.*define\( 'WP_(HOME|SITEURL)'.*$/m", '', $config ) );

		mkdir( "$dir/site" );
		Run::$at_end[] = static fn () => $site->run( 'stop', '--force', '--work-dir', "$dir/site/.forkpress" );
		$here = array( '--work-dir', "$dir/site/.forkpress" );
		$site->done( 'init', ...$here, ...array( '--wordpress', "$dir/imported", '--port', (string) $ports[0] ) );
		$record = file_get_contents( "$dir/site/.forkpress/cow/addresses" );
		foreach ( array( 'root wp.localhost', "port $ports[0]", 'home shop.example.com/store' ) as $line ) {
			holds( str_contains( $record, "\n$line\n" ), "$line is recorded" );
		}
		// Whoever saves the general settings of a branch makes the database forget the former host.
		$open( "$dir/site/main" )->exec( "UPDATE wp_options SET option_value = 'http://wp.localhost' WHERE option_name IN ( 'siteurl', 'home' )" );
		$open( "$dir/site/main" )->exec( "UPDATE wp_options SET option_value = '$dir/site/main/files' WHERE option_name = 'upload_path'" );
		$created = $site->run( ...$here, ...array( 'branch', 'create', 'sale' ) );
		holds( str_contains( $created->errors, "the option upload_path of branch 'sale' is a path of branch 'main': $dir/site/main/files; it is served with its own" ), "a create tells: {$created->text()}" );
		$report = $site->run( ...$here, ...array( 'doctor', 'branches' ) );
		same( array( 0, 1 ), array( $report->status, preg_match_all( '/^mapped:  the option upload_path of branch \'sale\'/m', $report->out ) ), $report->text() );
		put( "$dir/site/sale/wp-config.php", str_replace( '<?php', "<?php define( 'WPCACHEHOME', '$dir/site/main/wp-content/cache/' );", file_get_contents( "$dir/site/sale/wp-config.php" ) ) );
		$report = $site->run( ...$here, ...array( 'doctor', 'branches' ) );
		same( array( 1, 1 ), array( $report->status, preg_match_all( '/^wrong:   WPCACHEHOME in wp-config.php of branch \'sale\'/m', $report->out ) ), $report->text() );
		$created = $site->run( ...$here, ...array( 'branch', 'create', 'sale-2', '--from', 'sale' ) );
		holds( str_contains( $created->errors, "WPCACHEHOME in wp-config.php of branch 'sale-2' is a path of branch 'main'" ), "a create tells: {$created->text()}" );

		foreach ( array( array( $ports[0], 'wp.localhost' ), array( $ports[1], 'shop.localhost' ) ) as list( $port, $root ) ) {
			$site->done( 'serve', ...$here, ...array( '--port', (string) $port, '--root-host', $root, '--workers', '1' ) );
			$client = new class( $port ) {
				use Requests;

				/** Takes the port. */
				public function __construct( int $port ) {
					$this->port = $port;
				}
			};
			foreach ( array( $root, "sale.$root" ) as $host ) {
				$page = $client->request( '/hello-world/', array( 'Host' => "$host:$port" ) );
				same( array( 200, null ), array( $page->status, $page->headers['location'] ?? null ), "a page of $host" );
				holds( str_contains( $page->body, "http://$host:$port/a http://$host:$port/b http://wp.localhost:9/c" ), "the text on $host names its own" );
				same( array(), preg_grep( '/example\.com|gone/', explode( "\n", $page->body ) ), "other addresses on $host" );
				holds( str_contains( $page->body, "http://$host:$port/wp-includes/" ), "the files of $host are its own" );
			}
			$site->done( 'stop', ...$here );
		}
	}
);
