<?php
/**
 * A person at a branch: logs in, writes in the block editor, uploads, and uses the forms of the dashboard, all over HTTP.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require_once __DIR__ . '/site.php';

/** Somebody who is logged in at a branch. */
final class Person {
	/** @var Browser Where the person is. */
	public readonly Browser $browser;

	/** @var string The nonce of requests to the REST API, as the editor had it; empty before it was opened. */
	private string $nonce = '';

	/**
	 * Logs in by the form.
	 *
	 * @param Site        $site     The site, which is served.
	 * @param string      $branch   The branch.
	 * @param string      $login    The name to log in with.
	 * @param string|null $password The password; null: that of admin.
	 */
	public function __construct( public readonly Site $site, public readonly string $branch, string $login = 'admin', ?string $password = null ) {
		$this->browser = new Browser( $site, $branch );
		$answer        = $this->send(
			'/wp-login.php',
			array(
				'log' => $login,
				'pwd' => $password ?? $site->password,
			)
		);
		same( 302, $answer->status, "$login logs in at $branch: status" );
	}

	/**
	 * Opens a page, which must be there, follows where it leads, and returns the text.
	 *
	 * @param string $target The request target.
	 */
	public function open( string $target ): string {
		$page = $this->browser->request( strtok( $target, '#' ) );
		if ( 302 === $page->status ) {
			return $this->open( $page->headers['location'] );
		}
		same( 200, $page->status, "$target on $this->branch: status" );
		return $page->body;
	}

	/**
	 * Sends the fields of a form.
	 *
	 * @param string   $target The request target.
	 * @param string[] $fields The fields.
	 */
	private function send( string $target, array $fields ): Response {
		$headers = array( 'Content-Type' => 'application/x-www-form-urlencoded' );
		return $this->browser->request( $target, 'POST', http_build_query( $fields ), $headers );
	}

	/**
	 * Fills in the form of a page that has all of some fields, sends it, and goes where that leads: it must lead on.
	 *
	 * @param string   $page   The request target of the page.
	 * @param string[] $fields What is filled in.
	 */
	public function submit( string $page, array $fields ): void {
		list( $action, $values ) = self::form( $this->open( $page ), array_keys( $fields ) );
		$folder                  = substr( $page, 0, strrpos( strtok( $page, '?' ), '/' ) + 1 );
		$target                  = match ( true ) {
			'' === $action                                          => $page,
			(bool) preg_match( '~^(https?:/)?/~', $action )         => $action,
			default                                                 => $folder . $action,
		};
		$answer = $this->send( $target, array( ...$values, ...$fields ) );
		$said   = trim( strip_tags( preg_replace( '~<(script|style).*?</\1>~s', '', $answer->body ) ) );
		same( 302, $answer->status, "sending the form of $page on $this->branch: " . substr( $said, 0, 1000 ) . ': status' );
		$next = $answer->headers['location'];
		$this->open( str_contains( $next, '/' ) ? $next : $folder . $next );
	}

	/**
	 * Returns where a form leads, and what a browser would send of it, untouched.
	 *
	 * @param string   $html  The page.
	 * @param string[] $names Fields that it has.
	 * @return array{string, string[]}
	 */
	private static function form( string $html, array $names ): array {
		$document = new \DOMDocument();
		libxml_use_internal_errors( true );
		$document->loadHTML( $html );
		libxml_clear_errors();
		$path = new \DOMXPath( $document );
		foreach ( $document->getElementsByTagName( 'form' ) as $form ) {
			$values = array();
			foreach ( $path->query( './/input[@name and not(@disabled)] | .//textarea[@name] | .//select[@name]', $form ) as $field ) {
				$type  = $field->getAttribute( 'type' );
				$value = match ( true ) {
					in_array( $type, array( 'submit', 'button', 'file' ), true ) => null,
					in_array( $type, array( 'checkbox', 'radio' ), true )        => $field->hasAttribute( 'checked' ) ? $field->getAttribute( 'value' ) : null,
					'select' === $field->nodeName                                => self::chosen( $path, $field ),
					'textarea' === $field->nodeName                              => $field->textContent,
					default                                                      => $field->getAttribute( 'value' ),
				};
				if ( null !== $value ) {
					$values[ $field->getAttribute( 'name' ) ] = $value;
				}
			}
			$has = $path->query( './/*[@name]/@name', $form );
			if ( ! array_diff( $names, array_map( static fn ( $name ) => $name->nodeValue, iterator_to_array( $has ) ) ) ) {
				return array( $form->getAttribute( 'action' ), $values );
			}
		}
		throw new Failure( 'no form has the fields ' . implode( ', ', $names ) );
	}

	/** Returns the value of the option that a list of them has chosen. */
	private static function chosen( \DOMXPath $path, \DOMElement $select ): ?string {
		$option = $path->query( './/option[@selected]', $select )->item( 0 ) ?? $path->query( './/option', $select )->item( 0 );
		return $option?->getAttribute( 'value' );
	}

	/**
	 * Opens the block editor, and returns the id of what is in it. That of something new is an automatic draft.
	 *
	 * @param string   $type The type, such as `page`.
	 * @param int|null $id   What is opened; null: something new.
	 */
	public function editor( string $type = 'post', ?int $id = null ): int {
		$html = $this->open( null === $id ? "/wp-admin/post-new.php?post_type=$type" : "/wp-admin/post.php?post=$id&action=edit" );
		holds( 1 === preg_match( '/initializeEditor\( \'editor\', "([a-z_]+)", (\d+),/', $html, $opened ), "the editor of $type $id on $this->branch opens" );
		same( $type, $opened[1], 'what the editor has' );
		preg_match( '/createNonceMiddleware\( "([0-9a-f]+)" \)/', $html, $nonce );
		$this->nonce = $nonce[1];
		return (int) $opened[2];
	}

	/**
	 * Returns the raw title and content of what the editor opens with: what the page brings of the REST API.
	 *
	 * @param string $type The type.
	 * @param int    $id   What is opened.
	 * @return array{string, string}
	 */
	public function in_editor( string $type, int $id ): array {
		$html = $this->open( "/wp-admin/post.php?post=$id&action=edit" );
		holds( 1 === preg_match( '/createPreloadingMiddleware\( (\{.*\}) \)/', $html, $match ), "the editor of $type $id brings answers" );
		$answers = json_decode( $match[1], true, 512, JSON_THROW_ON_ERROR );
		foreach ( $answers as $route => $answer ) {
			if ( preg_match( "~^/wp/v2/[a-z]+/$id\\?context=edit$~", $route ) ) {
				return array( $answer['body']['title']['raw'], $answer['body']['content']['raw'] );
			}
		}
		throw new Failure( "the editor of $type $id brings its content" );
	}

	/**
	 * Asks the REST API, as the editor does.
	 *
	 * @param string $method The method.
	 * @param string $route  The route, such as `/wp/v2/posts`, with its query.
	 * @param array  $data   What is sent, as JSON.
	 * @param int    $status The status that is right.
	 */
	public function rest( string $method, string $route, array $data = array(), int $status = 200 ): array {
		return $this->ask( $method, $route, $data ? json_encode( $data ) : '', 'application/json', $status );
	}

	/** Sends a body to the REST API, and returns the answer. */
	private function ask( string $method, string $route, string $body, string $type, int $status ): array {
		if ( '' === $this->nonce ) {
			$this->editor();
		}
		$headers = array(
			'X-WP-Nonce'   => $this->nonce,
			'Content-Type' => $type,
		);
		$answer  = $this->browser->request( "/wp-json$route", $method, $body, $headers );
		same( $status, $answer->status, "$method $route on $this->branch: " . substr( $answer->body, 0, 300 ) . ': status' );
		return json_decode( $answer->body, true, 512, JSON_THROW_ON_ERROR );
	}

	/** Looks around: the front page, the dashboard, the editor of something new and of a post. */
	public function visit(): void {
		$this->open( '/' );
		$this->open( '/hello-world/' );
		$this->open( '/wp-admin/' );
		$this->open( '/wp-admin/edit.php' );
		$this->open( '/wp-admin/plugins.php' );
		$this->editor();
		$this->editor( 'post', 1 );
	}

	/**
	 * Writes something new in the editor, and publishes it. Returns its id.
	 *
	 * @param string $type   The type.
	 * @param array  $fields What it has, as the REST API names it.
	 */
	public function publish( string $type, array $fields ): int {
		$id = $this->editor( $type );
		$this->rest( 'PUT', "/wp/v2/{$type}s/$id", array( 'status' => 'publish' ) + $fields );
		return $id;
	}

	/**
	 * Opens a post in the editor and changes it.
	 *
	 * @param int    $id     Which.
	 * @param array  $fields What changes, as the REST API names it.
	 * @param string $type   Its type.
	 */
	public function edit( int $id, array $fields, string $type = 'post' ): void {
		$this->editor( $type, $id );
		$this->rest( 'PUT', "/wp/v2/{$type}s/$id", $fields );
	}

	/**
	 * Uploads a file, as a form with a file in it, and returns what the library says of it.
	 *
	 * @param string $name  Its name.
	 * @param string $bytes What is in it.
	 */
	public function upload( string $name, string $bytes ): array {
		$edge = 'edge-' . bin2hex( random_bytes( 8 ) );
		$body = "--$edge\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\n" . pathinfo( $name, PATHINFO_FILENAME ) . "\r\n"
			. "--$edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"$name\"\r\nContent-Type: image/png\r\n\r\n$bytes\r\n--$edge--\r\n";
		return $this->ask( 'POST', '/wp/v2/media', $body, "multipart/form-data; boundary=$edge", 201 );
	}

	/**
	 * Publishes a page with an uploaded picture: as a block, as the only one of a gallery, in a shortcode, and as the featured image.
	 *
	 * @param string $title   The page's title.
	 * @param string $picture The name of the picture's file.
	 * @return array{page: int, image: int} The ids of the page and of the picture.
	 */
	public function page_with_picture( string $title, string $picture ): array {
		$image = $this->upload( $picture, picture( $title ) );
		$block = "<!-- wp:image {\"id\":{$image['id']},\"sizeSlug\":\"full\"} -->\n<figure class=\"wp-block-image size-full\">"
			. "<img src=\"{$image['source_url']}\" alt=\"\" class=\"wp-image-{$image['id']}\"/></figure>\n<!-- /wp:image -->";
		$page  = $this->publish(
			'page',
			array(
				'title'          => $title,
				'featured_media' => $image['id'],
				'content'        => "$block\n\n<!-- wp:gallery -->\n<figure class=\"wp-block-gallery\">$block</figure>\n<!-- /wp:gallery -->\n\n"
					. "<!-- wp:shortcode -->\n[gallery ids=\"{$image['id']}\"]\n<!-- /wp:shortcode -->",
			)
		);
		return array(
			'page'  => $page,
			'image' => $image['id'],
		);
	}

	/**
	 * Makes a category, and returns its id.
	 *
	 * @param string $name Its name.
	 */
	public function category( string $name ): int {
		return $this->rest( 'POST', '/wp/v2/categories', array( 'name' => $name ), 201 )['id'];
	}

	/**
	 * Activates or deactivates a plugin on the page of plugins.
	 *
	 * @param string $plugin Its file, such as `akismet/akismet.php`.
	 * @param string $action What is done: `activate` or `deactivate`.
	 */
	public function activate( string $plugin, string $action = 'activate' ): void {
		$page  = $this->open( '/wp-admin/plugins.php' );
		$found = preg_match( '~href="(plugins\.php\?action=' . $action . '&amp;plugin=' . preg_quote( rawurlencode( $plugin ), '~' ) . '[^"]*)"~', $page, $link );
		same( 1, $found, "links that $action $plugin on $this->branch" );
		$answer = $this->browser->request( '/wp-admin/' . html_entity_decode( $link[1] ) );
		same( 302, $answer->status, "$action $plugin on $this->branch: status" );
		$next = $answer->headers['location'];
		holds( str_contains( $next, "$action=true" ), "$action $plugin: $next" );
		$this->open( '/wp-admin/' . basename( $next ) );
	}

	/**
	 * Changes settings.
	 *
	 * @param string[] $settings Their new values, by name.
	 * @param string   $page     The page that they are on.
	 */
	public function settings( array $settings, string $page = 'general' ): void {
		$this->submit( "/wp-admin/options-$page.php", $settings );
	}

	/**
	 * Adds a user, and returns the password.
	 *
	 * @param string $login The name.
	 * @param string $role  The role.
	 * @param string $email The address; that of the name at a domain unless it is here.
	 */
	public function add_user( string $login, string $role, string $email = '' ): string {
		$password = bin2hex( random_bytes( 12 ) );
		$fields   = array(
			'user_login' => $login,
			'email'      => '' === $email ? "$login@example.test" : $email,
			'pass1'      => $password,
			'pass2'      => $password,
			'role'       => $role,
		);
		$this->submit( '/wp-admin/user-new.php', $fields );
		return $password;
	}

	/**
	 * Comments on a post, by the form under it.
	 *
	 * @param string $page The post's request target.
	 * @param string $text The comment.
	 */
	public function comment( string $page, string $text ): void {
		$this->submit( $page, array( 'comment' => $text ) );
	}

	/**
	 * Puts a post into the trash, or deletes it for good.
	 *
	 * @param int    $id      Which.
	 * @param bool   $forever Whether it is deleted.
	 * @param string $type    Its type.
	 */
	public function remove( int $id, bool $forever = false, string $type = 'post' ): void {
		$this->rest( 'DELETE', "/wp/v2/{$type}s/$id" . ( $forever ? '?force=true' : '' ) );
	}

	/**
	 * Makes a menu of pages, and returns its id.
	 *
	 * @param string $name  Its name.
	 * @param int[]  $pages The pages, in their order.
	 */
	public function menu( string $name, array $pages ): int {
		$menu = $this->rest( 'POST', '/wp/v2/menus', array( 'name' => $name ), 201 )['id'];
		foreach ( $pages as $at => $page ) {
			$this->menu_item( $menu, $page, $at + 1 );
		}
		return $menu;
	}

	/**
	 * Puts a page into a menu.
	 *
	 * @param int $menu The menu.
	 * @param int $page The page.
	 * @param int $at   Its place.
	 */
	public function menu_item( int $menu, int $page, int $at ): int {
		$item = array(
			'menus'      => $menu,
			'menu_order' => $at,
			'type'       => 'post_type',
			'object'     => 'page',
			'object_id'  => $page,
			'status'     => 'publish',
		);
		return $this->rest( 'POST', '/wp/v2/menu-items', $item, 201 )['id'];
	}
}

/**
 * Returns a PNG that is large enough for WordPress to make smaller ones of it.
 *
 * @param string $text What makes it another picture than others.
 */
function picture( string $text ): string {
	$image = imagecreatetruecolor( 640, 480 );
	imagefill( $image, 0, 0, crc32( $text ) & 0xffffff );
	imagestring( $image, 5, 10, 10, $text, 0xffffff );
	ob_start();
	imagepng( $image );
	return ob_get_clean();
}

/**
 * Asks the WordPress of a branch itself, in a process of its own, and returns the answer.
 *
 * @param Site   $site   The site.
 * @param string $branch The branch.
 * @param string $code   The body of a function that returns something that JSON can hold.
 * @param mixed  $given  What the function finds as `$given`.
 */
function ask_wordpress( Site $site, string $branch, string $code, mixed $given = null ): mixed {
	$script = 'require "wp-load.php"; require_once ABSPATH . "wp-admin/includes/admin.php";'
		. '$answer = ( static function ( $given ) { ' . $code . ' } )( json_decode( $argv[1], true ) ); echo "\n", json_encode( $answer );';
	$said   = $site->done( 'exec', $branch, '--', PHP_BINARY, '-r', $script, '--', json_encode( $given, JSON_THROW_ON_ERROR ) );
	return json_decode( substr( $said, strrpos( $said, "\n" ) + 1 ), true, 512, JSON_THROW_ON_ERROR );
}
