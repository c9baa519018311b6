<?php
/**
 * The branch page shows what a branch changed, and merges it: a person decides the conflicts in a form.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_page_merge.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/merging.php';

/** The branch page, in a browser without JavaScript of the person who runs the server. */
final class Page {
	/** @var string[] Cookies, by name. */
	private array $cookies = array();

	/**
	 * Opens it.
	 *
	 * @param Site $site The site, which is served.
	 */
	public function __construct( private Site $site ) {}

	/** Returns the page's host and port. */
	private function host(): string {
		return "admin.wp.localhost:{$this->site->port}";
	}

	/**
	 * Asks for a place.
	 *
	 * @param string $target The request target.
	 */
	public function get( string $target ): Response {
		return $this->send( $target, 'GET', '', array() );
	}

	/**
	 * Sends fields.
	 *
	 * @param string   $target  The request target.
	 * @param string[] $fields  The fields.
	 * @param string[] $headers Headers beside, or in place of, those that a browser sends.
	 */
	public function post( string $target, array $fields, array $headers = array() ): Response {
		$headers += array(
			'Origin'         => "http://{$this->host()}",
			'Sec-Fetch-Site' => 'same-origin',
			'Content-Type'   => 'application/x-www-form-urlencoded',
		);
		return $this->send( $target, 'POST', http_build_query( $fields ), $headers );
	}

	/**
	 * Sends a request, and keeps the cookies.
	 *
	 * @param string   $target  The request target.
	 * @param string   $method  The method.
	 * @param string   $body    The body.
	 * @param string[] $headers Headers.
	 */
	private function send( string $target, string $method, string $body, array $headers ): Response {
		$headers += array( 'Host' => $this->host() );
		if ( $this->cookies ) {
			$pairs     = array_map( static fn ( $name, $value ) => "$name=$value", array_keys( $this->cookies ), $this->cookies );
			$headers  += array( 'Cookie' => implode( '; ', $pairs ) );
		}
		$answer = $this->site->request( $target, $headers, $method, $body );
		foreach ( $answer->cookies as $cookie ) {
			list( $name, $value )   = explode( '=', strtok( $cookie, ';' ), 2 );
			$this->cookies[ $name ] = $value;
		}
		return $answer;
	}

	/**
	 * Returns what a browser sends of the form that a page has for a place, if nobody touches it.
	 *
	 * @param Response $page   The page.
	 * @param string   $action Where the form leads.
	 * @return string[]
	 */
	public static function fields( Response $page, string $action ): array {
		$document = self::document( $page );
		$forms    = ( new \DOMXPath( $document ) )->query( "//form[@method='post'][@action='$action']" );
		same( 1, $forms->length, "forms for $action" );
		$fields = array();
		foreach ( ( new \DOMXPath( $document ) )->query( './/input | .//textarea', $forms->item( 0 ) ) as $field ) {
			$name = $field->getAttribute( 'name' );
			if ( 'textarea' === $field->nodeName ) {
				// The first line end is dropped, and the others become those of Windows.
				$text            = preg_replace( '/^\r?\n/', '', $field->textContent );
				$fields[ $name ] = preg_replace( '/\r\n|\r|\n/', "\r\n", $text );
			} elseif ( ! in_array( $field->getAttribute( 'type' ), array( 'radio', 'checkbox' ), true ) || $field->hasAttribute( 'checked' ) ) {
				$fields[ $name ] = $field->getAttribute( 'value' );
			}
		}
		return $fields;
	}

	/**
	 * Returns the ids of the conflicts that a page shows, by what they are about.
	 *
	 * @param Response $page The page.
	 * @return string[]
	 */
	public static function conflicts( Response $page ): array {
		$conflicts = array();
		$path      = new \DOMXPath( self::document( $page ) );
		foreach ( $path->query( "//fieldset[starts-with(@id,'c-')]" ) as $conflict ) {
			$conflicts[ $path->query( './/legend//bdi', $conflict )->item( 0 )->textContent ] = substr( $conflict->getAttribute( 'id' ), 2 );
		}
		return $conflicts;
	}

	/**
	 * Reads a page as a browser does.
	 *
	 * @param Response $page The page.
	 */
	public static function document( Response $page ): \DOMDocument {
		$document = new \DOMDocument();
		libxml_use_internal_errors( true );
		$document->loadHTML( '<?xml encoding="utf-8">' . $page->body );
		return $document;
	}

	/**
	 * Waits for the job that an answer leads to, which must succeed, and returns its page.
	 *
	 * @param Response $answer The answer.
	 */
	public function follow( Response $answer ): Response {
		same( 303, $answer->status, 'the answer to a form: ' . trim( strip_tags( $answer->body ) ) . ': status' );
		holds( 1 === preg_match( '~^/jobs/(\d+)$~', $answer->headers['location'], $id ), 'it leads to a job' );
		$outcome = $this->site->run( 'jobs', '--follow', $id[1] );
		same( 0, $outcome->status, "the job: {$outcome->text()}: exit status" );
		return $this->get( $answer->headers['location'] );
	}
}

$merging = new Merging();
$site    = $merging->site;

test(
	'what a branch changed is shown word by word, with frames of both branches, files with their lines, and options',
	function () use ( $merging, $site ) {
		list( $main, $person ) = $merging->part( 's' );
		$page                  = new Page( $site );
		$nothing               = $page->get( '/branch/s/changes' );
		same( 200, $nothing->status, 'status' );
		holds( str_contains( $nothing->body, 'Nothing changed since s parted from main' ), "it says so: $nothing->body" );
		$person->edit( 1, array( 'content' => '<!-- wp:paragraph --><p>Welcome to our new <em>shop</em>.</p><!-- /wp:paragraph -->' ) );
		put( "$site->dir/s/wp-content/plugins/hello<b>.php", "<?php\n// <script>alert( 1 )</script>\n" );
		$merging->ask( 's', 'update_option( "blogname", "A <i>shop</i>" ); return 1;' );
		$changes = $page->get( '/branch/s/changes' );
		same( 200, $changes->status, 'status' );
		$html = $changes->body;
		foreach ( array( 'Changed:', 'post 1 ', 'our new', 'wp-content/plugins/hello&lt;b&gt;.php', 'option blogname', '/merge?source=s&amp;into=main' ) as $part ) {
			holds( str_contains( $html, $part ), "it has $part: $html" );
		}
		holds( ! str_contains( $html, '<script>alert' ) && ! str_contains( $html, '<i>shop' ) && ! str_contains( $html, 'hello<b>' ), 'nothing of the site is markup' );
		$path   = new \DOMXPath( Page::document( $changes ) );
		$frames = $path->query( '//iframe' );
		same( 2, $frames->length, 'frames' );
		foreach ( array( 'main', 's' ) as $at => $branch ) {
			$frame = $frames->item( $at );
			same( "http://{$site->host( $branch )}/?p=1", $frame->getAttribute( 'data-src' ), 'the address' );
			same( '', $frame->getAttribute( 'src' ), 'what it loads before it is asked for' );
			same( array( true, '' ), array( $frame->hasAttribute( 'sandbox' ), $frame->getAttribute( 'sandbox' ) ), 'what the frame may do' );
			holds( '' !== $frame->getAttribute( 'title' ), 'it has a title' );
			$shown = $site->request( '/?p=1', array( 'Host' => $site->host( $branch ) ) );
			holds( in_array( $shown->status, array( 200, 301 ), true ), "$branch shows it: $shown->status" );
			holds( ! isset( $shown->headers['x-frame-options'] ), 'in a frame as well' );
		}
		holds( str_contains( $changes->headers['content-security-policy'], "frame-src http://wp.localhost:$site->port http://*.wp.localhost:$site->port" ), 'the policy lets it' );
		// Main has not changed, so it is the same.
		$against = $page->get( '/branch/s/changes?against=main' );
		holds( str_contains( $against->body, 'branch diff s --base main' ) && str_contains( $against->body, 'our new' ), 'compared with main as it is now' );
		$of_main = $page->get( '/branch/main/changes' );
		same( 200, $of_main->status, 'status of main' );
		holds( str_contains( $of_main->body, 'Nothing changed since main parted from pristine' ), "it says so: $of_main->body" );
		same( array( 404, 404, 404 ), array_map( static fn ( $target ) => $page->get( $target )->status, array( '/branch/none/changes', '/branch/s/changes?against=none', '/branch/..%2fs/changes' ) ), 'of what is not there' );
	}
);

test(
	'a branch without conflicts is merged by one button, after it was said what will come, and the merge is undone',
	function () use ( $merging, $site ) {
		list( , $person ) = $merging->part( 's' );
		$before           = $merging->post( 'main', 1, 'post_title' );
		$person->edit( 1, array( 'title' => 'From the branch' ) );
		$page = new Page( $site );
		$form = $page->get( '/merge?source=s&into=main' );
		same( 200, $form->status, "the form: $form->body: status" );
		holds( str_contains( $form->body, 'There are no conflicts' ) && str_contains( $form->body, 'Merge s into main</button>' ), "it says so: $form->body" );
		same( $before, $merging->post( 'main', 1, 'post_title' ), 'nothing has changed yet' );
		$fields = Page::fields( $form, '/merge' );
		same( 403, $page->post( '/merge', array_diff_key( $fields, array( 'token' => 1 ) ) )->status, 'without the token: status' );
		same( 403, $page->post( '/merge', $fields, array( 'Origin' => "http://{$site->host( 's' )}" ) )->status, 'from a branch: status' );
		same( 403, $page->post( '/merge', $fields, array( 'Sec-Fetch-Site' => 'same-site' ) )->status, 'from a branch, as a browser says it: status' );
		same( $before, $merging->post( 'main', 1, 'post_title' ), 'nothing has changed yet' );
		$job = $page->follow( $page->post( '/merge', $fields ) );
		same( array( 'From the branch' ), $merging->post( 'main', 1, 'post_title' ), 'the title' );
		holds( 1 === preg_match( '~href="(/do/undo\?id=\d+)"~', $job->body, $undo ), "the job leads to an undo: $job->body" );
		$page->follow( $page->post( '/do/undo', Page::fields( $page->get( $undo[1] ), '/do/undo' ) + array( 'id' => explode( '=', $undo[1] )[1] ) ) );
		same( $before, $merging->post( 'main', 1, 'post_title' ), 'the title after the undo' );
	}
);

test(
	'conflicts are decided one by one; what is not decided is asked for again, and what was chosen is kept',
	function () use ( $merging, $site ) {
		list( $main, $person ) = $merging->part( 's' );
		$main->edit( 1, array( 'title' => 'Main <b>title</b>', 'content' => "One\nmain\nthree" ) );
		$person->edit( 1, array( 'title' => 'Branch title', 'content' => "One\nbranch\nthree" ) );
		put( "$site->dir/main/wp-content/plugins/both.php", "<?php\n// main\n" );
		put( "$site->dir/s/wp-content/plugins/both.php", "<?php\n// branch\n" );
		$before = $merging->contents( 'main' );
		$page   = new Page( $site );
		$form   = $page->get( '/merge?source=s&into=main' );
		same( 200, $form->status, "the form: $form->body: status" );
		$conflicts = Page::conflicts( $form );
		same( 3, count( $conflicts ), 'conflicts: ' . implode( ', ', array_keys( $conflicts ) ) . ': how many' );
		$id      = static fn ( string $what ) => current( array_filter( $conflicts, static fn ( $about ) => str_contains( $about, $what ), ARRAY_FILTER_USE_KEY ) );
		$title   = $id( ': title' );
		$content = $id( ': content' );
		$file    = $id( 'both.php' );
		$fields  = Page::fields( $form, '/merge' );
		same( array(), array_filter( array_keys( $fields ), static fn ( $name ) => str_starts_with( $name, 'take' ) ), 'what is chosen at first' );
		same( "One\r\nmain\r\nthree", $fields[ "value.$content" ], 'the text to begin with' );

		// Nothing is decided, then two of three.
		$again = $page->post( '/merge', $fields );
		same( 422, $again->status, 'nothing decided: status' );
		holds( str_contains( $again->body, '3 conflicts' ) && str_contains( $again->body, 'Nothing was merged yet' ), "it says so: $again->body" );
		$mine  = "One\r\n<!-- wp:x {\"a\":\"<\"} -->\r\n\u{a0}ü & three";
		$some  = array( "take.$title" => 'theirs', "take.$content" => 'value', "value.$content" => $mine ) + $fields;
		$again = $page->post( '/merge', $some );
		same( 422, $again->status, 'one is left: status' );
		$fields = Page::fields( $again, '/merge' );
		same( array( 'theirs', 'value', false, $mine ), array( $fields[ "take.$title" ], $fields[ "take.$content" ], isset( $fields[ "take.$file" ] ), $fields[ "value.$content" ] ), 'what was chosen' );
		same( $before, $merging->contents( 'main' ), 'main meanwhile' );

		$job = $page->follow( $page->post( '/merge', array( "take.$file" => 'ours' ) + $fields ) );
		$right = array( 'Branch title', "One\n<!-- wp:x {\"a\":\"<\"} -->\n\u{a0}ü & three" );
		same( $right, $merging->post( 'main', 1, 'post_title', 'post_content' ), 'the post' );
		same( "<?php\n// main\n", file_get_contents( "$site->dir/main/wp-content/plugins/both.php" ), 'the file' );
		holds( 1 === preg_match( '~/do/undo\?id=(\d+)~', $job->body, $undo ), "the job leads to an undo: $job->body" );
		$page->follow( $page->post( '/do/undo', array( 'id' => $undo[1] ) + Page::fields( $page->get( "/do/undo?id=$undo[1]" ), '/do/undo' ) ) );
		same( array( 'Main <b>title</b>' ), $merging->post( 'main', 1, 'post_title' ), 'the title after the undo' );
	}
);

test(
	'what visitors see of a conflict is shown in each branch: a post that is published, and a picture',
	function () use ( $merging, $site ) {
		list( $main, $person ) = $merging->part( 's' );
		$main->edit( 1, array( 'title' => 'Main title' ) );
		$person->edit( 1, array( 'title' => 'Branch title' ) );
		// A page that only one branch shows.
		foreach ( array( 'main' => 'publish', 's' => 'draft' ) as $branch => $status ) {
			$site->database( $branch )->prepare( 'UPDATE wp_posts SET post_title = ?, post_status = ? WHERE ID = 2' )->execute( array( "Page of $branch", $status ) );
		}
		$merging->ask( 'main', 'update_option( "blogname", "of main" ); return 1;' );
		$merging->ask( 's', 'update_option( "blogname", "of s" ); return 1;' );
		foreach ( array( 'main', 's' ) as $branch ) {
			put( "$site->dir/$branch/wp-content/uploads/pic ä.png", "\x89PNG\r\n\x1a\n\0\xff of $branch" );
		}
		$form = ( new Page( $site ) )->get( '/merge?source=s&into=main' );
		$path = new \DOMXPath( Page::document( $form ) );
		$seen = array();
		foreach ( Page::conflicts( $form ) as $what => $id ) {
			$frames = array();
			foreach ( $path->query( "//fieldset[@id='c-$id']//iframe" ) as $frame ) {
				same( array( true, '' ), array( $frame->hasAttribute( 'sandbox' ), $frame->getAttribute( 'sandbox' ) ), 'what a frame may do' );
				$frames[] = $frame->getAttribute( 'data-src' );
			}
			$seen[ $what ] = $frames;
		}
		$of   = static fn ( string $what ) => current( array_filter( $seen, static fn ( $about ) => str_contains( $about, $what ), ARRAY_FILTER_USE_KEY ) );
		$both = array( "http://{$site->host( 'main' )}/", "http://{$site->host( 's' )}/" );
		same( array( "$both[0]?p=1", "$both[1]?p=1" ), $of( 'post 1 ' ), 'the post' );
		same( array( "$both[0]?p=2" ), $of( 'page 2 ' ), 'the page that s does not show' );
		same( array(), $of( 'option blogname' ), 'the option' );
		$picture = 'wp-content/uploads/pic%20%C3%A4.png';
		same( array( $both[0] . $picture, $both[1] . $picture ), $of( '.png' ), 'the picture' );
		foreach ( array( 'main', 's' ) as $branch ) {
			$shown = $site->request( "/$picture", array( 'Host' => $site->host( $branch ) ) );
			same( array( 200, 'image/png' ), array( $shown->status, $shown->headers['content-type'] ), "the picture of $branch" );
		}
	}
);

test(
	'a text keeps the line ends of Windows that the branches have',
	function () use ( $merging, $site ) {
		$merging->part( 's' );
		foreach ( array( 'main', 's' ) as $branch ) {
			$site->database( $branch )->prepare( 'UPDATE wp_posts SET post_content = ? WHERE ID = 1' )->execute( array( "One\r\n$branch\r\nthree" ) );
		}
		$page      = new Page( $site );
		$form      = $page->get( '/merge?source=s&into=main' );
		$conflicts = array_values( Page::conflicts( $form ) );
		same( 1, count( $conflicts ), 'conflicts' );
		$fields = array( "take.$conflicts[0]" => 'value', "value.$conflicts[0]" => "One\r\nboth\r\nthree" ) + Page::fields( $form, '/merge' );
		$page->follow( $page->post( '/merge', $fields ) );
		same( array( "One\r\nboth\r\nthree" ), $merging->post( 'main', 1, 'post_content' ), 'the content' );
	}
);

test(
	'all that is left is filled in by a button, which merges nothing',
	function () use ( $merging, $site ) {
		list( $main, $person ) = $merging->part( 's' );
		$main->edit( 1, array( 'title' => 'Main title', 'content' => 'Main' ) );
		$person->edit( 1, array( 'title' => 'Branch title', 'content' => 'Branch' ) );
		$before = $merging->contents( 'main' );
		$page   = new Page( $site );
		$form   = $page->get( '/merge?source=s&into=main' );
		$title  = current( array_filter( Page::conflicts( $form ), static fn ( $what ) => str_contains( $what, ': title' ), ARRAY_FILTER_USE_KEY ) );
		$filled = $page->post( '/merge', array( 'all' => 'theirs', "take.$title" => 'ours' ) + Page::fields( $form, '/merge' ) );
		same( 200, $filled->status, 'the form: status' );
		same( $before, $merging->contents( 'main' ), 'main' );
		$page->follow( $page->post( '/merge', Page::fields( $filled, '/merge' ) ) );
		same( array( 'Main title', 'Branch' ), $merging->post( 'main', 1, 'post_title', 'post_content' ), 'the post' );
	}
);

test(
	'a decision about what has changed since is not used',
	function () use ( $merging, $site ) {
		list( $main, $person ) = $merging->part( 's' );
		$main->edit( 1, array( 'title' => 'Main title' ) );
		$person->edit( 1, array( 'title' => 'Branch title' ) );
		$page   = new Page( $site );
		$form   = $page->get( '/merge?source=s&into=main' );
		$ids    = array_values( Page::conflicts( $form ) );
		$fields = array( "take.$ids[0]" => 'theirs' ) + Page::fields( $form, '/merge' );
		$main->edit( 1, array( 'title' => 'A later title' ) );
		$again = $page->post( '/merge', $fields );
		same( 422, $again->status, 'an old form: status' );
		holds( str_contains( $again->body, 'The branches have changed since' ) && str_contains( $again->body, 'later title</ins>' ), "it says so: $again->body" );
		same( array( 'A later title' ), $merging->post( 'main', 1, 'post_title' ), 'the title' );
	}
);

test(
	'a merge of nothing, into itself, or of what is not there is none',
	function () use ( $merging, $site ) {
		$merging->part( 's' );
		$log    = $merging->log();
		$page   = new Page( $site );
		$choose = $page->get( '/merge' );
		same( 200, $choose->status, 'where both are chosen: status' );
		holds( str_contains( $choose->body, '<option value="s">' ), 's can be chosen' );
		holds( str_contains( $page->get( '/merge?source=s&into=main' )->body, 'main has all that s changed' ), 'nothing to merge' );
		$token = array( 'token' => Page::fields( $page->get( '/do/gc' ), '/do/gc' )['token'] );
		foreach ( array( 's main 422', 's s 422', 's ../main 422', ' main 422', 'none main 404' ) as $line ) {
			list( $source, $into, $status ) = explode( ' ', $line );
			$answer = $page->post( '/merge', $token + compact( 'source', 'into' ) );
			same( (int) $status, $answer->status, "$line: status" );
		}
		same( $log, $merging->log(), 'the log' );
	}
);
