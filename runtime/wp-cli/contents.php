<?php
/**
 * Has `wp import` say what it does. `forkpress import` requires this file where it imports exports of contents (WXR).
 *
 * Environment:
 * - FORKPRESS_CONTENTS_NEW: 1 where WordPress was installed just now: the contents that it comes with go
 * - FORKPRESS_CONTENTS_WITHOUT_UPLOADS: 1 where no media are to be fetched
 *
 * On standard output are lines of JSON: `{"file":NAME,"posts":N}` as a file begins, `{"post":true}` as one of its posts does, and at
 * the end `{"contents":{...},"addresses":[...],"notes":[...]}`. Without this last one the import failed.
 *
 * @package ForkPress
 */

// So that the importer says why something is not imported.
define( 'IMPORT_DEBUG', true );

/** Notes what an import does. */
final class ForkPress_Contents {
	/** More notes of a kind than this help nobody. */
	const MOST_NOTES = 10;

	/** A host is not asked any more when it could not be reached so many times. */
	const MOST_FAILURES = 3;

	/** @var int[] How many rows there were before. */
	private array $before;

	/** @var string[] Which users were made. */
	private array $authors = array();

	/** @var int How many media the files have. */
	private int $media = 0;

	/** @var bool[][] Posts and terms of types that nobody here knows, by their type and what tells them apart. */
	private array $unknown = array();

	/** @var int How many posts were there already. */
	private int $existing = 0;

	/** @var bool[] What the importer says that is counted, too. */
	private array $counted = array();

	/** @var int[] How often each host could not be reached. */
	private array $failures = array();

	/** @var string[] Where the contents were. */
	private array $addresses = array();

	/** Begins: checks the files, and listens to what the importer does with them. */
	public function begin(): void {
		foreach ( WP_CLI::get_runner()->arguments as $place => $file ) {
			if ( $place > 0 ) {
				$this->check( $file );
			}
		}
		if ( '1' === getenv( 'FORKPRESS_CONTENTS_NEW' ) ) {
			self::remove_posts();
		} else {
			add_filter( 'wp_import_post_data_processed', array( $this, 'without_number' ) );
		}
		$this->before = self::count();
		add_filter( 'wp_import_posts', array( $this, 'posts' ) );
		add_filter( 'wp_import_terms', array( $this, 'terms' ) );
		add_filter( 'wp_import_existing_post', array( $this, 'existing' ), 10, 2 );
		add_filter( 'wp_import_post_data_raw', array( $this, 'post' ) );
		add_action( 'user_register', array( $this, 'author' ) );
		add_action( 'http_api_debug', array( $this, 'asked' ), 10, 5 );
		ob_start();
	}

	/** Says what came of it. */
	public function end(): void {
		$said  = (string) ob_get_clean();
		$after = self::count();
		$made  = array();
		foreach ( $after as $name => $count ) {
			$made[ $name ] = max( 0, $count - $this->before[ $name ] );
		}
		$left_out = max( 0, $this->media - $made['media'] );
		if ( '1' === getenv( 'FORKPRESS_CONTENTS_NEW' ) ) {
			// Else whoever opens an editor first would make it, on each branch another.
			wp_set_current_user( 1 );
			WP_Theme_JSON_Resolver::get_user_global_styles_post_id();
		}
		self::say(
			array(
				'contents'  => $made + array(
					'authors'        => $this->authors,
					'media_left_out' => $left_out,
				),
				'addresses' => array_values( array_unique( $this->addresses ) ),
				'notes'     => $this->notes( $said ),
			)
		);
	}

	/**
	 * Returns what should be known.
	 *
	 * @param string $said What the importer said.
	 * @return string[]
	 */
	private function notes( string $said ): array {
		$notes = array();
		foreach ( $this->unknown as $type => $found ) {
			$count   = count( $found );
			$notes[] = "left out: $count of the type $type, which no plugin or theme here makes";
		}
		if ( $this->existing > 0 ) {
			$notes[] = "posts that were there already: $this->existing (the same title, type and date)";
		}
		$lines = array();
		// What stands in paragraphs is said at each end.
		foreach ( explode( '<br />', preg_replace( '~<p>.*?</p>~s', '', $said ) ) as $line ) {
			$line = trim( html_entity_decode( wp_strip_all_tags( $line ), ENT_QUOTES ) );
			if ( '' !== $line && ! isset( $this->counted[ $line ] ) ) {
				$lines[] = $line;
			}
		}
		$shown = array_slice( $lines, 0, self::MOST_NOTES );
		$more  = count( $lines ) - count( $shown );
		return array_merge( $notes, $shown, $more > 0 ? array( "and $more more of these" ) : array() );
	}

	/**
	 * Ends the import unless a file is well-formed, and takes down where its contents were. Nothing of it is kept in memory.
	 *
	 * @param string $file The file.
	 */
	private function check( string $file ): void {
		$name = basename( $file );
		if ( ! class_exists( 'XMLReader' ) ) {
			WP_CLI::error( "PHP needs its extension xmlreader to read $name (in Debian's package php-xml)" );
		}
		libxml_use_internal_errors( true );
		libxml_clear_errors();
		$reader = new XMLReader();
		// Nothing is fetched; and texts may be long.
		$reader->open( $file, null, LIBXML_NONET | LIBXML_PARSEHUGE );
		while ( $reader->read() ) {
			if ( XMLReader::DOC_TYPE === $reader->nodeType ) {
				WP_CLI::error( "$name, line {$this->line( $reader )}: it has a DOCTYPE, which no export of WordPress has" );
			}
			if ( 2 === $reader->depth && XMLReader::ELEMENT === $reader->nodeType && in_array( $reader->localName, array( 'base_site_url', 'base_blog_url' ), true ) ) {
				$this->addresses[] = untrailingslashit( trim( $reader->readString() ) );
			}
		}
		$reader->close();
		$error = libxml_get_last_error();
		if ( $error && $error->level >= LIBXML_ERR_ERROR ) {
			WP_CLI::error( "$name, line $error->line: " . trim( $error->message ) );
		}
	}

	/**
	 * Returns the line that a reader is on.
	 *
	 * @param XMLReader $reader The reader.
	 */
	private function line( XMLReader $reader ): int {
		$node = $reader->expand();
		return $node ? $node->getLineNo() : 1;
	}

	/** Removes what WordPress comes with. */
	private static function remove_posts(): void {
		$all = array(
			'post_type'   => array_values( get_post_types() ),
			'post_status' => 'any',
			'numberposts' => -1,
		);
		foreach ( get_posts( $all ) as $post ) {
			wp_delete_post( $post->ID, true );
		}
	}

	/** Returns how many rows of what is imported there are. */
	private static function count(): array {
		global $wpdb;
		$count = static fn ( string $from ): int => (int) $wpdb->get_var( "SELECT COUNT(*) FROM $from" );
		return array(
			'posts'    => $count( "$wpdb->posts WHERE post_type NOT IN ('attachment', 'revision')" ),
			'comments' => $count( $wpdb->comments ),
			'terms'    => $count( $wpdb->term_taxonomy ),
			'media'    => $count( "$wpdb->posts WHERE post_type = 'attachment'" ),
		);
	}

	/**
	 * Looks at the posts of a file before they are imported.
	 *
	 * @param array $posts The posts.
	 */
	public function posts( $posts ) {
		foreach ( $posts as $place => $post ) {
			if ( ! post_type_exists( $post['post_type'] ) ) {
				$this->unknown[ $post['post_type'] ][ $post['post_id'] ] = true;
				unset( $posts[ $place ] );
			} elseif ( 'attachment' === $post['post_type'] ) {
				++$this->media;
				if ( '1' === getenv( 'FORKPRESS_CONTENTS_WITHOUT_UPLOADS' ) ) {
					unset( $posts[ $place ] );
				}
			}
		}
		self::say(
			array(
				'file'  => $GLOBALS['wpcli_import_current_file'] ?? '',
				'posts' => count( $posts ),
			)
		);
		return $posts;
	}

	/**
	 * Looks at the terms of a file before they are imported.
	 *
	 * @param array $terms The terms.
	 */
	public function terms( $terms ) {
		foreach ( $terms as $place => $term ) {
			if ( ! taxonomy_exists( $term['term_taxonomy'] ) ) {
				$this->unknown[ $term['term_taxonomy'] ][ $term['slug'] ] = true;
				unset( $terms[ $place ] );
			}
		}
		return $terms;
	}

	/**
	 * Counts a post that is there already.
	 *
	 * @param int   $existing Its number here, or 0.
	 * @param array $post     The post.
	 */
	public function existing( $existing, $post ) {
		if ( $existing ) {
			++$this->existing;
			// The importer says so, too.
			$name = get_post_type_object( $post['post_type'] )->labels->singular_name;
			$line = sprintf( __( '%1$s &#8220;%2$s&#8221; already exists.', 'wordpress-importer' ), $name, esc_html( $post['post_title'] ) ); // phpcs:ignore WordPress.WP.I18n.MissingTranslatorsComment, WordPress.WP.I18n.TextDomainMismatch

			$this->counted[ trim( html_entity_decode( wp_strip_all_tags( $line ), ENT_QUOTES ) ) ] = true;
		}
		return $existing;
	}

	/**
	 * Has a post get a number of the branch's own. One that is free here may be given to another post on another branch, and both
	 * be merged.
	 *
	 * @param array $data The post, as it is inserted.
	 */
	public function without_number( $data ) {
		unset( $data['import_id'] );
		return $data;
	}

	/**
	 * Says that a post begins.
	 *
	 * @param array $post The post.
	 */
	public function post( $post ) {
		self::say( array( 'post' => true ) );
		return $post;
	}

	/**
	 * Takes down a new user.
	 *
	 * @param int $id Its number.
	 */
	public function author( $id ): void {
		$this->authors[] = get_userdata( $id )->user_login;
	}

	/**
	 * Answers a request in its place where it is no medium that is fetched, or its host could not be reached several times.
	 *
	 * @param mixed  $answer False, or another filter's answer, which stays.
	 * @param array  $args   WordPress's settings of the request.
	 * @param string $url    The URL.
	 */
	public function may_ask( $answer, $args, $url ) {
		if ( false !== $answer ) {
			return $answer;
		}
		if ( empty( $args['stream'] ) || empty( $args['reject_unsafe_urls'] ) ) {
			return new WP_Error( 'http_request_not_executed', 'nothing but media is fetched while contents are imported' );
		}
		$is_dead = ( $this->failures[ self::host( $url ) ] ?? 0 ) >= self::MOST_FAILURES;
		return $is_dead ? new WP_Error( 'http_request_failed', 'its host could not be reached before' ) : false;
	}

	/**
	 * Counts requests that failed.
	 *
	 * @param array|WP_Error $response  What came of it.
	 * @param string         $context   Not used.
	 * @param string         $transport Not used.
	 * @param array          $args      Not used.
	 * @param string         $url       The URL.
	 */
	public function asked( $response, $context, $transport, $args, $url ): void {
		$host = self::host( $url );

		$this->failures[ $host ] = is_wp_error( $response ) ? ( $this->failures[ $host ] ?? 0 ) + 1 : 0;
	}

	/**
	 * Returns the host of a URL with its port.
	 *
	 * @param string $url The URL.
	 */
	private static function host( string $url ): string {
		return wp_parse_url( $url, PHP_URL_HOST ) . ':' . wp_parse_url( $url, PHP_URL_PORT );
	}

	/**
	 * Prints a line, past what keeps what the importer prints.
	 *
	 * @param array $line What is in it.
	 */
	private static function say( array $line ): void {
		fwrite( STDOUT, json_encode( $line, JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_SLASHES ) . "\n" );
	}
}

$forkpress_contents = new ForkPress_Contents();
WP_CLI::add_hook( 'before_invoke:import', array( $forkpress_contents, 'begin' ) );
WP_CLI::add_wp_hook( 'pre_http_request', array( $forkpress_contents, 'may_ask' ), 10, 3 );
WP_CLI::add_hook( 'after_invoke:import', array( $forkpress_contents, 'end' ) );
