<?php
/**
 * The branch page: who may see it and act, what its actions do, and what it says of a branch that is broken.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_page_access.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';
require __DIR__ . '/accounts.php';

/** A client of the branch page, with cookies, as a browser is one: it says which page a form comes from. */
final class Visitor {
	/** @var array<string, string> */
	public array $cookies = array();

	/** The token of the last page's forms. */
	public string $token = '';

	/**
	 * Comes to look.
	 *
	 * @param Site                  $site  The site.
	 * @param array<string, string> $extra Headers that each request has.
	 */
	public function __construct( private Site $site, private array $extra = array() ) {}

	/** Returns the page's origin. */
	public function origin(): string {
		return 'http://' . $this->site->host( 'admin' );
	}

	/**
	 * Asks for something.
	 *
	 * @param string                $path    The path.
	 * @param string                $method  The method.
	 * @param string                $body    The body.
	 * @param array<string, string> $headers Further headers.
	 */
	public function ask( string $path, string $method = 'GET', string $body = '', array $headers = array() ): Response {
		$cookies = array();
		foreach ( $this->cookies as $name => $value ) {
			$cookies[] = "$name=$value";
		}
		$own = array( 'Host' => $this->site->host( 'admin' ) ) + ( $cookies ? array( 'Cookie' => implode( '; ', $cookies ) ) : array() );
		if ( '' !== $body ) {
			$own['Content-Type'] = 'application/x-www-form-urlencoded';
		}
		$response = $this->site->request( $path, array_merge( $own, $this->extra, $headers ), $method, $body );
		if ( preg_match( '/^([^=]+)=([^;]*)/', $response->headers['set-cookie'] ?? '', $match ) ) {
			$this->cookies[ $match[1] ] = $match[2];
		}
		if ( preg_match( '/name="token" value="([0-9a-f]{64})"/', $response->body, $match ) ) {
			$this->token = $match[1];
		}
		return $response;
	}

	/**
	 * Sends a form of the page.
	 *
	 * @param string                $path    Where to.
	 * @param array<string, string> $fields  Its fields.
	 * @param array<string, string> $headers Further headers.
	 */
	public function send( string $path, array $fields, array $headers = array() ): Response {
		return $this->ask( $path, 'POST', http_build_query( $fields + array( 'token' => $this->token ) ), $headers + array( 'Origin' => $this->origin() ) );
	}

	/**
	 * Sends a form that starts a job, waits until that has ended, and returns its page.
	 *
	 * @param string                $path   Where to.
	 * @param array<string, string> $fields Its fields.
	 */
	public function act( string $path, array $fields ): string {
		$sent = $this->send( $path, $fields );
		same( 303, $sent->status, "the form of $path: " . strip_tags( $sent->body ) );
		return $this->ended( $sent->headers['location'] );
	}

	/**
	 * Waits until a job has ended, and returns its page.
	 *
	 * @param string $job Its path.
	 */
	public function ended( string $job ): string {
		return eventually(
			function () use ( $job ) {
				$page = $this->ask( $job )->body;
				return str_contains( $page, '>running<' ) ? false : $page;
			},
			"the end of $job"
		);
	}
}

/**
 * Returns the site's jobs.
 *
 * @param Site $site The site.
 */
function jobs( Site $site ): array {
	return $site->json( 'jobs' );
}

/**
 * Returns the names of the site's branches.
 *
 * @param Site $site The site.
 * @return string[]
 */
function branches( Site $site ): array {
	return array_column( $site->json( 'branch', 'list' ), 'name' );
}

/** Each form that changes something, filled in as it would be taken. */
const FORMS = array(
	'/do/create'      => array(
		'name' => 'evil',
		'from' => 'main',
	),
	'/do/create-many' => array(
		'prefix' => 'evil',
		'count'  => '2',
		'from'   => 'main',
	),
	'/do/reset'       => array(
		'name' => 'main',
		'from' => 'kept',
		'sure' => '1',
	),
	'/do/delete'      => array( 'name' => 'kept' ),
	'/do/undo'        => array( 'id' => '1' ),
	'/do/import'      => array(
		'name' => 'evil',
		'path' => '/nowhere',
	),
	'/do/export'      => array(
		'name'   => 'main',
		'format' => 'sql',
	),
	'/do/gc'          => array(),
	'/merge'          => array(
		'source' => 'kept',
		'into'   => 'main',
	),
	'/jobs/1'         => array(),
);

$site = new Site();
$site->done( 'branch', 'create', 'kept' );
$site->serve( 4 );
$owner = new Visitor( $site );

test(
	'the page has a host of its own, to which every branch leads, and its answers keep others out',
	function () use ( $site, $owner ): void {
		$page = $owner->ask( '/' );
		same( 200, $page->status );
		holds( str_contains( $page->body, '/branch/kept' ), 'the branches' );
		same( "{$owner->origin()}/", trim( $site->done( 'page' ) ), 'forkpress page' );
		foreach ( array( 'main', 'kept' ) as $branch ) {
			$led = $site->request( '/_forkpress/branch/kept?a=b', array( 'Host' => $site->host( $branch ) ) );
			same( array( 302, "{$owner->origin()}/branch/kept?a=b" ), array( $led->status, $led->headers['location'] ) );
			same( 405, $site->request( '/_forkpress/do/create', array( 'Host' => $site->host( $branch ) ), 'POST', 'a=b' )->status );
		}
		same( 2, $site->run( 'branch', 'create', 'admin' )->status, 'a branch with the name of the host' );
		foreach ( array( '/', '/nothing', '/branch/none', '/do/create' ) as $path ) {
			$headers = $owner->ask( $path )->headers;
			foreach ( array( "default-src 'none';", "script-src 'self';", "frame-ancestors 'none'", "form-action 'self';" ) as $rule ) {
				holds( str_contains( $headers['content-security-policy'], $rule ), "$rule at $path" );
			}
			same( array( 'DENY', 'nosniff', 'same-origin', 'same-origin', 'same-origin', 'no-store' ), array( $headers['x-frame-options'], $headers['x-content-type-options'], $headers['cross-origin-opener-policy'], $headers['cross-origin-resource-policy'], $headers['referrer-policy'], $headers['cache-control'] ), "headers of $path" );
		}
		$cookie = ( new Visitor( $site ) )->ask( '/' )->headers['set-cookie'];
		foreach ( array( 'HttpOnly', 'SameSite=Strict', 'Path=/' ) as $word ) {
			holds( str_contains( $cookie, $word ), "$word in $cookie" );
		}
		holds( ! str_contains( $cookie, 'Domain' ), 'no branch gets the cookie' );
	}
);

test(
	'no form counts but one that the page itself sent in this session',
	function () use ( $site, $owner ): void {
		$owner->ask( '/do/create' );
		$other = new Visitor( $site );
		$other->ask( '/do/create' );
		$own     = $owner->origin();
		$foreign = array(
			'a page of main'      => array( 'Origin' => 'http://' . $site->host( 'main' ) ),
			'a page of a branch'  => array(
				'Origin'         => 'http://' . $site->host( 'kept' ),
				'Sec-Fetch-Site' => 'same-site',
			),
			'a sandboxed frame'   => array( 'Origin' => 'null' ),
			'another site'        => array(
				'Origin'         => 'https://evil.example',
				'Sec-Fetch-Site' => 'cross-site',
			),
			'a lying origin'      => array( 'Sec-Fetch-Site' => 'same-site' ),
			'another port'        => array( 'Origin' => 'http://admin.wp.localhost:1' ),
			'another scheme'      => array( 'Origin' => str_replace( 'http:', 'https:', $own ) ),
			'a longer host'       => array( 'Origin' => "$own.evil.example" ),
		);
		foreach ( FORMS as $path => $fields ) {
			foreach ( $foreign as $what => $headers ) {
				same( 403, $owner->send( $path, $fields, $headers )->status, "$what to $path" );
			}
			$body = http_build_query( array( 'token' => $owner->token ) + $fields );
			same( 403, $owner->ask( $path, 'POST', $body )->status, "no origin to $path" );
			foreach ( array( '', str_repeat( '0', 64 ), $other->token ) as $token ) {
				same( 403, $owner->send( $path, array( 'token' => $token ) + $fields )->status, "token '$token' to $path" );
			}
			same( 403, ( new Visitor( $site ) )->ask( $path, 'POST', $body, array( 'Origin' => $own ) )->status, "no session at $path" );
			foreach ( array( 'PUT', 'DELETE', 'PATCH' ) as $method ) {
				holds( in_array( $owner->ask( $path, $method, $body, array( 'Origin' => $own ) )->status, array( 403, 405 ), true ), "$method $path" );
			}
			// A link changes nothing, whatever it has.
			$owner->ask( $path . '?' . $body );
			$owner->ask( $path, 'HEAD' );
		}
		same( array(), jobs( $site ), 'the jobs' );
		same( array( 'main', 'kept' ), branches( $site ) );
	}
);

test(
	'another page may link to it, and neither frames nor fetches it',
	function () use ( $owner ): void {
		$link = array(
			'Sec-Fetch-Site' => 'cross-site',
			'Sec-Fetch-Mode' => 'navigate',
			'Sec-Fetch-Dest' => 'document',
		);
		same( 200, $owner->ask( '/', 'GET', '', $link )->status, 'a link' );
		foreach ( array( array( 'navigate', 'iframe' ), array( 'cors', 'empty' ), array( 'no-cors', 'script' ) ) as list( $mode, $dest ) ) {
			$headers = array(
				'Sec-Fetch-Mode' => $mode,
				'Sec-Fetch-Dest' => $dest,
			);
			foreach ( array( '/', '/live?at=%2F', '/jobs' ) as $path ) {
				same( 403, $owner->ask( $path, 'GET', '', array( 'Sec-Fetch-Site' => 'same-site' ) + $headers )->status, "$dest of $path" );
			}
		}
	}
);

test(
	'who is not known signs in with the token, sees nothing before, and signs out',
	function () use ( $site ): void {
		$stranger = new Visitor( $site, array( 'X-Forwarded-For' => '192.0.2.1' ) );
		foreach ( array( '/', '/branch/kept', '/branch/kept/changes', '/log', '/jobs', '/now', '/merge', '/do/create', '/live?at=%2F' ) as $path ) {
			$page = $stranger->ask( $path );
			same( 403, $page->status, $path );
			holds( ! str_contains( $page->body, 'kept' ) && str_contains( $page->body, 'X-FORWARDED-FOR' ), "what $path says" );
		}
		same( '', $stranger->token, 'a token for forms' );
		foreach ( FORMS as $path => $fields ) {
			same( 403, $stranger->send( $path, $fields )->status, $path );
		}
		same( 403, $stranger->send( '/sign-in', array( 'secret' => 'wrong' ) )->status );
		$token = trim( $site->done( 'page', '--token' ) );
		same( 403, $stranger->send( '/sign-in', array( 'secret' => $token ), array( 'Origin' => 'http://' . $site->host( 'kept' ) ) )->status, 'from a branch' );
		same( 303, $stranger->send( '/sign-in', array( 'secret' => $token ) )->status );
		holds( str_contains( $stranger->ask( '/' )->body, 'kept' ), 'it sees the branches' );
		$cookies = $stranger->cookies;
		same( 303, $stranger->send( '/sign-out', array() )->status );
		same( 403, $stranger->ask( '/' )->status, 'after that' );
		// A cookie is a proof of nothing once a letter of it has changed.
		$stranger->cookies = array_map( static fn ( $cookie ) => substr( $cookie, 0, -1 ) . ( str_ends_with( $cookie, '0' ) ? '1' : '0' ), $cookies );
		same( 403, $stranger->ask( '/' )->status, 'a forged cookie' );
		$stranger->cookies = $cookies;
		same( 200, $stranger->ask( '/' )->status, 'the true one' );
		same( array(), jobs( $site ), 'the jobs' );
	}
);

test_as_root(
	'a cookie of somebody who has signed in proves nothing where another account has got it',
	function () use ( $site ): void {
		// Cookies know no ports: another account's server at this host is sent it, too.
		$stranger = new Visitor( $site, array( 'X-Forwarded-For' => '192.0.2.1' ) );
		$stranger->ask( '/sign-in' );
		$token = trim( $site->done( 'page', '--token' ) );
		same( 303, $stranger->send( '/sign-in', array( 'secret' => $token ) )->status );
		same( 200, $stranger->ask( '/' )->status, 'whoever has signed in' );
		$cookie = 'Cookie: ' . key( $stranger->cookies ) . '=' . current( $stranger->cookies );
		foreach ( array( '/', '/jobs', '/do/create' ) as $path ) {
			$page = ask( "tcp://127.0.0.1:$site->port", $path, true, array( $cookie ), false, 'admin.' );
			same( 403, $page->status, "$path for another account" );
			holds( ! str_contains( $page->body, 'kept' ) && str_contains( $page->body, 'user id ' . NOBODY ), "what $path says" );
		}
		same( 200, $stranger->ask( '/' )->status, 'whoever has signed in, again' );
	}
);

test(
	'PHP of a branch gets no page, and neither does what it starts',
	function () use ( $site, $owner ): void {
		$owner->ask( '/do/create' );
		$asks   = '<?php $c = stream_socket_client( "tcp://127.0.0.1:' . $site->port . '" ); fwrite( $c, base64_decode( "%s" ) ); echo stream_get_contents( $c );';
		$cookie = key( $owner->cookies ) . '=' . current( $owner->cookies );
		$body   = http_build_query( array( 'token' => $owner->token ) + FORMS['/do/create'] );
		$get    = "GET / HTTP/1.1\r\nHost: {$site->host( 'admin' )}\r\nCookie: $cookie\r\nConnection: close\r\n\r\n";
		$post   = "POST /do/create HTTP/1.1\r\nHost: {$site->host( 'admin' )}\r\nCookie: $cookie\r\nOrigin: {$owner->origin()}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: " . strlen( $body ) . "\r\nConnection: close\r\n\r\n$body";
		foreach ( array( $get, $post ) as $request ) {
			$script = sprintf( $asks, base64_encode( $request ) );
			put( "$site->dir/kept/asks.php", $script );
			// The grandchild has lost its parent, and its session is its own.
			put( "$site->dir/kept/starts.php", '<?php passthru( "setsid sh -c " . escapeshellarg( "setsid " . ' . var_export( PHP_BINARY, true ) . ' . " " . __DIR__ . "/asks.php & wait" ) );' );
			foreach ( array( '/asks.php', '/starts.php' ) as $path ) {
				$answer = $site->request( $path, array( 'Host' => $site->host( 'kept' ) ) )->body;
				holds( str_contains( $answer, '403 Forbidden' ) && ! str_contains( $answer, '/branch/kept' ), "$path gets: $answer" );
			}
		}
		same( array(), jobs( $site ), 'the jobs' );
	}
);

test(
	'an action runs as a job and ends with what undoes it, and a form says what is wrong',
	function () use ( $site, $owner ): void {
		$owner->ask( '/do/create' );
		$refused = $owner->send( '/do/create', array( 'name' => 'www', 'from' => 'main' ) );
		same( 422, $refused->status );
		holds( str_contains( $refused->body, 'this name is reserved' ), 'why' );
		$page = $owner->act( '/do/create', array( 'name' => 'sale', 'from' => 'main' ) );
		same( array( 'main', 'kept', 'sale' ), branches( $site ) );
		same( 1, preg_match( '~href="/do/undo\?id=(\d+)"~', $page, $match ), "a link that undoes it in $page" );
		$again = $owner->act( '/do/create', array( 'name' => 'sale', 'from' => 'main' ) );
		holds( str_contains( $again, 'failed' ) && str_contains( $again, 'What to do:' ), 'a failure and its hint' );
		$job = jobs( $site )[0];
		same( array( 'ended', 'page', array( 'branch', 'create', 'sale', '--from', 'main' ) ), array( $job['state'], $job['by'], $job['command'] ), 'the command sees it too' );
		$bad = $owner->act( '/do/import', array( 'name' => 'bad', 'path' => '/nowhere/<b>' ) );
		holds( str_contains( $bad, 'failed' ) && str_contains( $bad, '/nowhere/&lt;b&gt;' ), "what was typed is in $bad" );
		holds( ! str_contains( $bad . $owner->ask( '/jobs' )->body, '<b>' ), 'none of it is markup' );
		$owner->act( '/do/undo', array( 'id' => $match[1] ) );
		same( array( 'main', 'kept' ), branches( $site ) );
		$owner->act( '/do/create-many', array( 'prefix' => 'agent', 'count' => '2', 'from' => 'kept' ) );
		same( array( 'main', 'agent-1', 'agent-2', 'kept' ), branches( $site ) );
		$owner->act( '/do/delete', array( 'name' => 'agent-1' ) );
		$owner->act( '/do/reset', array( 'name' => 'agent-2', 'from' => 'main' ) );
		same( 422, $owner->send( '/do/reset', array( 'name' => 'main', 'from' => 'kept' ) )->status, 'main without the tick' );
		$newest = $site->json( 'log' )[0];
		same( array( 'reset', 'agent-2', 'main' ), array( $newest['operation'], $newest['name'], $newest['from'] ) );
		holds( str_contains( $owner->act( '/do/gc', array() ), 'were freed' ), 'gc' );
	}
);

test(
	'a file goes out by an export, and comes in as a branch by an import',
	function () use ( $site, $owner ): void {
		$page = $owner->act( '/do/export', array( 'name' => 'kept', 'format' => 'sql' ) );
		same( 1, preg_match( '~href="(/jobs/\d+/file)"~', $page, $match ), "a link to the file in $page" );
		$file = $owner->ask( $match[1] );
		same( array( 200, 'attachment; filename="kept.sql"' ), array( $file->status, $file->headers['content-disposition'] ) );
		holds( str_contains( $file->body, 'CREATE TABLE' ), 'a dump' );
		$boundary = 'b0undary';
		$part     = static fn ( string $name, string $value, string $more = '' ) => "--$boundary\r\nContent-Disposition: form-data; name=\"$name\"$more\r\n\r\n$value\r\n";
		$body     = $part( 'token', $owner->token ) . $part( 'name', 'data' ) . $part( 'file', $file->body, '; filename="my dump.sql"' ) . $part( 'path', '' ) . "--$boundary--\r\n";
		$headers  = array(
			'Content-Type' => "multipart/form-data; boundary=$boundary",
			'Origin'       => $owner->origin(),
		);
		$sent     = $owner->ask( '/do/import', 'POST', $body, $headers );
		same( 303, $sent->status, strip_tags( $sent->body ) );
		$page = $owner->ended( $sent->headers['location'] );
		holds( str_contains( $page, '>done<' ), "the import: $page" );
		holds( in_array( 'data', branches( $site ), true ), 'the branch' );
		same( 200, $site->request( '/', array( 'Host' => $site->host( 'data' ) ) )->status, 'its front page' );
	}
);

test(
	'a branch that is broken says why, to the person who runs the server alone, and what mends it',
	function () use ( $site, $owner ): void {
		$host       = array( 'Host' => $site->host( 'kept' ) );
		$navigation = $host + array( 'Accept' => 'text/html' );
		put( "$site->dir/kept/wp-content/mu-plugins/harmless.php", '<?php // It is there while the page works.' );
		same( 200, $site->request( '/?works', $navigation )->status );
		put( "$site->dir/kept/wp-content/mu-plugins/broken.php", '<?php no_such_function_as_this();' );
		$page = $site->request( '/', $navigation );
		same( array( 500, 'kept' ), array( $page->status, $page->headers['x-forkpress-branch'] ) );
		foreach ( array( 'no_such_function_as_this', '<bdi>wp-content/mu-plugins/broken.php</bdi>', "{$owner->origin()}/branch/kept/changes", "{$owner->origin()}/do/reset?name=kept" ) as $part ) {
			holds( str_contains( $page->body, $part ), "$part in $page->body" );
		}
		holds( str_contains( $page->body, 'since it last worked' ) && ! str_contains( $page->body, 'harmless.php' ), "what changed since: $page->body" );
		// Nobody has seen this one work.
		$page = $site->request( '/sample-page/', $navigation );
		holds( 500 === $page->status && str_contains( $page->body, 'harmless.php' ) && ! str_contains( $page->body, 'since it last worked' ), "what changed last: $page->body" );
		foreach ( array( 'a program' => $host, 'a stranger' => $navigation + array( 'Via' => '1.1 proxy' ) ) as $who => $headers ) {
			$other = $site->request( '/', $headers );
			same( 500, $other->status, $who );
			holds( ! str_contains( $other->body, 'no_such_function' ) && ! str_contains( $other->body, 'is broken' ), "$who sees $other->body" );
		}
		$branch = $owner->ask( '/branch/kept' );
		holds( 200 === $branch->status && str_contains( $branch->body, 'no_such_function_as_this' ), 'the branch\'s page' );
		// What it changed can't be known without a database, only which files are newer.
		put( "$site->dir/kept/wp-content/database/.ht.sqlite", 'no database' );
		$page = $site->request( '/', $navigation );
		holds( 500 === $page->status && str_contains( $page->body, '<bdi>wp-content/mu-plugins/broken.php</bdi>' ), "without a database: $page->body" );
	}
);

test(
	'the page is there while main is broken, also from the start',
	function () use ( $site, $owner ): void {
		$site->stop();
		put( "$site->dir/main/wp-content/mu-plugins/broken.php", '<?php no_such_function_either();' );
		$site->serve( 2 );
		same( 500, $site->request( '/' )->status, 'main' );
		same( 200, $owner->ask( '/' )->status, 'the page' );
		unlink( "$site->dir/main/wp-content/mu-plugins/broken.php" );
		$navigation = array( 'Accept' => 'text/html' );
		same( 200, $site->request( '/', $navigation )->status, 'main again' );
		// It came from no other branch, so only a moment tells what changed.
		put( "$site->dir/main/wp-content/mu-plugins/worse.php", '<?php no_such_function_again();' );
		$page = $site->request( '/', $navigation );
		preg_match_all( '~<li><code><bdi>([^<]*)~', $page->body, $named );
		same( array( 500, array( 'wp-content/mu-plugins/worse.php' ) ), array( $page->status, $named[1] ), 'what changed in main' );
		unlink( "$site->dir/main/wp-content/mu-plugins/worse.php" );
	}
);
