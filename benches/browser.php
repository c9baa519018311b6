<?php
/**
 * A headless Chromium, driven by the DevTools protocol over two pipes.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Bench;

require_once __DIR__ . '/lib.php';

/** Returns the path of the browser. */
function chromium(): string {
	foreach ( array_filter( array( (string) getenv( 'FORKPRESS_CHROMIUM' ), 'chromium', 'chromium-browser', 'google-chrome' ) ) as $name ) {
		$path = trim( (string) shell_exec( 'command -v ' . escapeshellarg( $name ) ) );
		if ( '' !== $path ) {
			return $path;
		}
	}
	missing( 'no Chromium: install the package chromium, or name the browser in FORKPRESS_CHROMIUM' );
}

/** A headless browser with one page, driven by the DevTools protocol over pipes. */
final class Browser {
	/** @var Process The browser. */
	private Process $process;

	/** @var string What was read and is no whole message yet. */
	private string $buffer = '';

	/** @var int The last command's number. */
	private int $number = 0;

	/** @var string The page's session. */
	private string $session = '';

	/** @var array[] Events of the page since the last navigation began, as `method` and `params`. */
	public array $events = array();

	/**
	 * Starts a browser with a profile of its own.
	 *
	 * @param string $program Its path.
	 */
	public function __construct( string $program ) {
		// No other host: how fast Gravatar answers, or fails to, is not what is measured.
		$flags = array( '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE wp.localhost', '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage' );
		$quiet = array( 'file', '/dev/null', 'a' );

		$this->process = new Process(
			array( $program, ...$flags, '--remote-debugging-pipe', '--user-data-dir=' . temp_dir(), 'about:blank' ),
			array( array( 'file', '/dev/null', 'r' ), $quiet, $quiet, array( 'pipe', 'r' ), array( 'pipe', 'w' ) )
		);
		$target        = $this->call( 'Target.createTarget', array( 'url' => 'about:blank' ) )['targetId'];
		$this->session = $this->call( 'Target.attachToTarget', array( 'targetId' => $target, 'flatten' => true ) )['sessionId'];
		foreach ( array( 'Page', 'Network', 'Runtime', 'Log' ) as $domain ) {
			$this->call( "$domain.enable" );
		}
		$this->call( 'Page.setLifecycleEventsEnabled', array( 'enabled' => true ) );
	}

	/** Reads the next message. */
	private function read(): array {
		while ( ! str_contains( $this->buffer, "\0" ) ) {
			$read  = array( $this->process->pipes[4] );
			$write = null;
			// Not a read that blocks: a signal would not end that.
			@stream_select( $read, $write, $write, 60 ) > 0 || missing( 'the browser says nothing any more' );
			$bytes = fread( $this->process->pipes[4], 1 << 20 );
			'' !== $bytes && false !== $bytes || missing( 'the browser ended' );
			$this->buffer .= $bytes;
		}
		list( $message, $this->buffer ) = explode( "\0", $this->buffer, 2 );
		return json_decode( $message, true, 512, JSON_THROW_ON_ERROR );
	}

	/** Reads the next message, and keeps it where it is an event of the page. */
	private function next(): array {
		$message = $this->read();
		if ( isset( $message['method'] ) && ( $message['sessionId'] ?? '' ) === $this->session ) {
			$this->events[] = $message;
		}
		return $message;
	}

	/**
	 * Gives a command, and returns its result.
	 *
	 * @param string $method     Its name.
	 * @param array  $parameters Its parameters.
	 */
	public function call( string $method, array $parameters = array() ): array {
		$command = array( 'id' => ++$this->number, 'method' => $method, 'params' => (object) $parameters );
		if ( '' !== $this->session ) {
			$command['sessionId'] = $this->session;
		}
		fwrite( $this->process->pipes[3], json_encode( $command ) . "\0" );
		do {
			$message = $this->next();
		} while ( ( $message['id'] ?? 0 ) !== $this->number );
		return $message['result'] ?? missing( "$method: {$message['error']['message']}" );
	}

	/**
	 * Opens a page, waits until the network is idle, and returns the milliseconds until its load event had ended.
	 *
	 * @param string $url Its address.
	 */
	public function open( string $url ): float {
		$this->events = array();
		$loader       = $this->call( 'Page.navigate', array( 'url' => $url ) )['loaderId'];
		do {
			$message = $this->next();
			$idle    = 'Page.lifecycleEvent' === ( $message['method'] ?? '' ) && 'networkIdle' === $message['params']['name'] && $loader === $message['params']['loaderId'];
		} while ( ! $idle );
		return (float) $this->call( 'Runtime.evaluate', array( 'expression' => "performance.getEntriesByType('navigation')[0].loadEventEnd" ) )['result']['value'];
	}

	/**
	 * Returns the events of a kind since the last navigation began.
	 *
	 * @param string $method Their name.
	 * @return array[] Their parameters.
	 */
	public function events( string $method ): array {
		return array_column( array_filter( $this->events, static fn ( $event ) => $method === $event['method'] ), 'params' );
	}

	/**
	 * Returns how many requests of the page were not answered from the browser's cache, and how many bytes came for them.
	 *
	 * @return array{int, int}
	 */
	public function requests(): array {
		$cached = array_column( $this->events( 'Network.requestServedFromCache' ), 'requestId', 'requestId' );
		$sent   = array_filter(
			$this->events( 'Network.responseReceived' ),
			static fn ( $event ) => str_starts_with( $event['response']['url'], 'http' ) && ! isset( $cached[ $event['requestId'] ] ) && ! $event['response']['fromDiskCache']
		);
		return array( count( $sent ), (int) array_sum( array_column( $this->events( 'Network.loadingFinished' ), 'encodedDataLength' ) ) );
	}

	/** Returns what the browser complains about in the page, but for other hosts: refused requests, errors, exceptions. */
	public function complaints(): array {
		$complaints = array();
		foreach ( $this->events( 'Network.responseReceived' ) as $event ) {
			if ( $event['response']['status'] >= 400 ) {
				$complaints[] = "{$event['response']['status']} {$event['response']['url']}";
			}
		}
		foreach ( $this->events( 'Log.entryAdded' ) as $event ) {
			if ( 'error' === $event['entry']['level'] && ! str_contains( $event['entry']['text'], 'ERR_NAME_NOT_RESOLVED' ) ) {
				$complaints[] = $event['entry']['text'] . ' ' . ( $event['entry']['url'] ?? '' );
			}
		}
		foreach ( $this->events( 'Runtime.exceptionThrown' ) as $event ) {
			$complaints[] = $event['exceptionDetails']['exception']['description'] ?? $event['exceptionDetails']['text'];
		}
		return $complaints;
	}
}
