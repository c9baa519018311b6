<?php
/**
 * The commands around Git with a site that is served: its own address, agents that the site makes itself, many at work at
 * once, and that nothing ever waits for an answer. What they do of their own is tested in forkpress-cli/tests/git.rs.
 *
 * php -d "extension=$(pwd)/ext/branchfs.so" tests/test_git_commands.php
 *
 * The binary is target/release/forkpress, or what FORKPRESS_BIN names.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

/** Nobody's settings but the test's. */
const SETTINGS = array( 'GIT_CONFIG_GLOBAL' => '/dev/null', 'GIT_CONFIG_NOSYSTEM' => '1' );

/** How many agents are at work at once. */
const AGENTS = 4;

foreach ( SETTINGS as $name => $value ) {
	putenv( "$name=$value" );
}
// Git takes it before any setting, and so before those of a checkout.
putenv( 'GIT_SSL_CAINFO' );

/**
 * Runs git, which must succeed, and returns what it prints.
 *
 * @param string $dir          The folder.
 * @param string ...$arguments Its arguments.
 */
function git( string $dir, string ...$arguments ): string {
	$outcome = ( new Command( array( 'git', ...$arguments ), $dir ) )->outcome();
	same( 0, $outcome->status, "git $arguments[0]: {$outcome->text()}: exit status" );
	return trim( $outcome->out );
}

/**
 * Returns a refusal, which must have a hint.
 *
 * @param Site   $site         The site.
 * @param string ...$arguments The arguments of forkpress.
 */
function refusal( Site $site, string ...$arguments ): string {
	$outcome = $site->run( ...$arguments );
	same( 1, $outcome->status, "forkpress $arguments[0]: {$outcome->text()}: exit status" );
	holds( str_contains( $outcome->errors, "\nhint: " ), "a hint in: $outcome->errors" );
	return $outcome->errors;
}

/**
 * Returns what a branch has at a path; null where it has nothing.
 *
 * @param Site   $site   The site.
 * @param string $branch The branch.
 * @param string $path   The path.
 */
function content( Site $site, string $branch, string $path ): ?string {
	$response = $site->request( $path, array( 'Host' => $site->host( $branch ) ) );
	return 200 === $response->status ? $response->body : null;
}

$site   = new Site();
$agents = "$site->dir/agents";

test(
	'a site that is not served says how it is served',
	function () use ( $site ) {
		foreach ( array( array( 'clone' ), array( 'agents', '--count', '1' ) ) as $command ) {
			holds( str_contains( refusal( $site, ...$command ), 'hint: forkpress serve' ), "$command[0] says so" );
		}
		same( array( '.forkpress', 'main' ), array_values( array_diff( scandir( $site->dir ), array( '.', '..' ) ) ), 'what is there' );
	}
);

$site->serve( 4 );

test(
	'clone and commit need no address in the folder of a site',
	function () use ( $site ) {
		$clone = $site->json( 'clone' );
		same( "$site->dir/site", $clone['dir'], 'the folder' );
		same( 'http://' . $site->host( 'main' ) . '/', $clone['url'], 'the address' );
		put( "$site->dir/site/wordpress/by-git.txt", 'by git' );
		$commit = $site->json( 'commit', 'site', '-m', 'A file' );
		same( array( 'main', true, true ), array( $commit['branch'], $commit['committed'], $commit['pushed'] ), 'commit' );
		same( 'by git', content( $site, 'main', '/by-git.txt' ), 'the file' );
		same( $commit['commit'], git( "$site->dir/site", 'rev-parse', 'origin/main' ), 'the commit of the site' );
	}
);

test(
	'agents whose source does not exist leave nothing, not even the checkout',
	function () use ( $site, $agents ) {
		holds( str_contains( refusal( $site, 'agents', '--from', 'nowhere' ), "branch 'nowhere' does not exist" ), 'it says why' );
		holds( ! file_exists( $agents ), 'there is no checkout' );
	}
);

test(
	'agents are made by the site itself, and each is ready to be seen',
	function () use ( $site, $agents ) {
		mkdir( "$site->dir/agent-2" );
		$made = $site->json( 'agents', '--count', (string) AGENTS );
		rmdir( "$site->dir/agent-2" );
		same( 'agent-3', $made[0]['branch'], 'the first name after what is in the way' );
		foreach ( $made as $agent ) {
			$branch = $agent['branch'];
			same( "$agents/$branch", $agent['worktree'], 'its worktree' );
			same( 'http://' . $site->host( $branch ) . '/', $agent['url'], 'its address' );
			same( 'by git', content( $site, $branch, '/by-git.txt' ), 'what it has of main' );
			same( '## ' . "$branch...origin/$branch", git( $agent['worktree'], 'status', '--short', '--branch' ), 'its status' );
		}
		same( 'create', $site->json( 'log' )[0]['operation'], 'the operation' );
	}
);

test(
	'agents commit at the same time',
	function () use ( $site, $agents ) {
		$commits = array();
		foreach ( range( 3, AGENTS + 1 ) as $number ) {
			put( "$agents/agent-$number/wordpress/work.txt", "by $number" );
			$commits[ $number ] = $site->command( array( 'commit', '-m', "By $number", "$agents/agent-$number" ) );
		}
		foreach ( $commits as $number => $commit ) {
			$outcome = $commit->outcome();
			same( 0, $outcome->status, "agent-$number: {$outcome->text()}: exit status" );
			same( "by $number", content( $site, "agent-$number", '/work.txt' ), "the work of agent-$number" );
			same( '', git( "$agents/agent-$number", 'status', '--porcelain' ), 'what is not committed' );
		}
	}
);

test(
	'a checkout by a loopback address shows addresses as the site names them, whatever proxies and settings there are',
	function () use ( $site ) {
		$hostile = temp_dir() . '/gitconfig';
		put( $hostile, "[url \"https://nowhere.invalid/\"]\n\tinsteadOf = http://\n[http]\n\tproxy = http://127.0.0.1:9\n\textraHeader = X: y\n[status]\n\tshowUntrackedFiles = no\n" );
		$proxies = array_fill_keys( array( 'http_proxy', 'https_proxy', 'all_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY' ), 'http://127.0.0.1:9' );
		$env     = $proxies + array( 'GIT_CONFIG_GLOBAL' => $hostile, 'no_proxy' => null, 'NO_PROXY' => null );
		$json    = static function ( string ...$arguments ) use ( $site, $env ) {
			$outcome = $site->command( array( '--json', ...$arguments ), $env )->outcome();
			same( 0, $outcome->status, "forkpress $arguments[0]: {$outcome->text()}: exit status" );
			same( '', $outcome->errors, "what forkpress $arguments[0] complains of" );
			return json_decode( $outcome->out, true, 512, JSON_THROW_ON_ERROR );
		};
		foreach ( array( '127.0.0.1', 'localhost', 'main.wp.localhost', 'WP.localhost' ) as $host ) {
			$dir   = temp_dir() . '/checkout';
			$name  = 'by-' . preg_replace( '/[^a-z0-9]/', '-', strtolower( $host ) );
			$main  = 'http://' . $site->host( 'main' ) . '/';
			$own   = 'http://' . $site->host( $name ) . '/';
			$agent = 'http://' . $site->host( "$name-1" ) . '/';
			same( $main, $json( 'clone', "http://$host:$site->port/site.git", $dir )['url'], "clone by $host" );
			same( $own, $json( 'git', 'branch', 'create', $name, $dir )['url'], "git branch create by $host" );
			put( "$dir/wordpress/$name.txt", $host );
			same( $own, $json( 'commit', $dir, '-m', 'x' )['url'], "commit by $host" );
			same( $host, content( $site, $name, "/$name.txt" ), 'the new file' );
			same( $own, $json( 'pull', $dir )['url'], "pull by $host" );
			same( array( $agent ), array_column( $json( 'agents', $dir, '--count', '1', '--prefix', $name ), 'url' ), "agents by $host" );
			same( 'create', $site->json( 'log' )[0]['operation'], 'the site itself made the agent' );
			put( "$dir/$name-1/wordpress/work.txt", 'work' );
			$outcome = $site->command( array( 'agents', $dir, '--prefix', $name, '--remove' ), $env )->outcome();
			holds( str_contains( $outcome->errors, "caused by: $name-1: not committed: wordpress/work.txt" ), $outcome->text() );
			unlink( "$dir/$name-1/wordpress/work.txt" );
			same( array( $agent ), array_column( $json( 'agents', $dir, '--prefix', $name, '--remove' ), 'url' ), "agents --remove by $host" );
			$site->done( 'branch', 'delete', $name );
		}
	}
);

test(
	'agents that are removed can be had back, and those with work stay',
	function () use ( $site, $agents ) {
		git( $agents, 'merge', '--quiet', '--no-edit', 'agent-3' );
		$site->done( 'commit', $agents, '-m', 'x' );
		// A post that was saved in the browser is work, too.
		$last = 'agent-' . ( AGENTS + 2 );
		( new Browser( $site, $last ) )->rest( 'POST', '/wp/v2/posts', array( 'title' => 'Draft', 'status' => 'draft' ), 201 );
		// Work that was taken back is none, even where main has gone on.
		$idle = 'agent-' . ( AGENTS + 1 );
		unlink( "$site->dir/$idle/work.txt" );
		$said = refusal( $site, 'agents', $agents, '--remove' );
		holds( str_contains( $said, sprintf( '%d of %d agents hold work', AGENTS - 2, AGENTS ) ), "$said" );
		$changed = "$last: its branch on the site has changes that main has not: database.sql\n";
		holds( str_contains( $said, "caused by: $changed" ), $said );
		holds( ! str_contains( $said, $idle ), "$idle is not among them" );
		same( null, content( $site, $idle, '/by-git.txt' ), "the branch of $idle is gone" );
		holds( ! str_contains( $said, 'agent-3' ), 'agent-3 is not among them' );
		holds( ! file_exists( "$agents/agent-3" ), 'its worktree is gone' );
		same( null, content( $site, 'agent-3', '/work.txt' ), 'its branch is gone' );
		same( 'by 4', content( $site, 'agent-4', '/work.txt' ), 'the work of agent-4' );
		$site->done( 'undo' );
		$site->done( 'undo' );
		same( 'by 3', content( $site, 'agent-3', '/work.txt' ), 'the work of agent-3, after undo' );
	}
);

test(
	'an agent whose work was merged holds none, even where main has gone on',
	function () use ( $site, $agents ) {
		$last = 'agent-' . ( AGENTS + 2 );
		( new Browser( $site, 'main' ) )->rest( 'POST', '/wp/v2/posts', array( 'title' => 'Of main', 'status' => 'draft' ), 201 );
		$site->done( 'branch', 'merge', $last, '--into', 'main' );
		$said = refusal( $site, 'agents', $agents, '--remove' );
		holds( ! str_contains( $said, $last ), "$last is not among them: $said" );
		holds( ! file_exists( "$agents/$last" ), 'its worktree is gone' );
	}
);

test(
	'a site that is served by HTTPS is cloned, changed and named by HTTPS, and a checkout outlives the change to it and back',
	function () use ( $site ) {
		$site->stop();
		$site->done( 'serve', '--https', '--workers', '4' );
		$url    = static fn ( string $branch, string $scheme = 'https' ) => "$scheme://{$site->host( $branch )}/";
		$before = temp_dir() . '/before';
		rename( "$site->dir/site", $before );
		same( $url( 'main' ), $site->json( 'clone' )['url'], 'clone' );
		$dir = "$site->dir/site";
		same( $url( 'main' ) . 'site.git', git( $dir, 'remote', 'get-url', 'origin' ), 'the address in the checkout' );
		put( "$dir/wordpress/by-https.txt", 'one' );
		same( $url( 'main' ), $site->json( 'commit', $dir, '-m', 'By HTTPS' )['url'], 'commit' );
		same( 'one', content( $site, 'main', '/by-https.txt' ), 'the file' );
		put( "$site->dir/main/by-https.txt", 'two' );
		same( $url( 'main' ), $site->json( 'pull', $dir )['url'], 'pull' );
		same( 'two', file_get_contents( "$dir/wordpress/by-https.txt" ), 'what was pulled' );
		same( $url( 'secure' ), $site->json( 'git', 'branch', 'create', 'secure', $dir )['url'], 'git branch create' );
		git( $dir, 'switch', '--quiet', 'main' );
		git( $dir, 'fetch', 'origin' );
		same( $url( 'safe-1' ), $site->json( 'agents', "$site->dir/safe", '--count', '1', '--prefix', 'safe' )[0]['url'], 'agents' );
		git( "$site->dir/safe/safe-1", 'fetch', 'origin' );
		same( $url( 'main' ), $site->json( 'clone', "https://127.0.0.1:$site->port/site.git", temp_dir() . '/ip' )['url'], 'clone by an address of IP' );
		$outcome = ( new Command( array( program(), 'clone' ), temp_dir(), array( 'FORKPRESS_STATE_DIR' => $site->state_dir ) ) )->outcome();
		holds( str_contains( $outcome->errors, "hint: name the site, as in: forkpress clone {$url( 'main' )}site.git" ), $outcome->text() );

		put( "$before/wordpress/by-http.txt", 'three' );
		$site->json( 'pull', $before );
		same( $url( 'main' ), $site->json( 'commit', $before, '-m', 'By HTTP' )['url'], 'commit in a checkout that came by HTTP' );
		$site->stop();
		$site->done( 'serve', '--workers', '4' );
		same( $url( 'main', 'http' ), $site->json( 'pull', $dir )['url'], 'pull, when it is served by HTTP alone' );
		same( 'three', file_get_contents( "$dir/wordpress/by-http.txt" ), 'what was pulled' );
	}
);

test(
	'a site that wants a token is not asked for one at a prompt',
	function () use ( $site ) {
		$site->stop();
		$outcome = $site->run( 'serve', '--host', '0.0.0.0' );
		same( 0, $outcome->status, "serve: {$outcome->text()}: exit status" );
		$remote = 'http://' . $site->host( 'main' ) . '/site.git';
		put( "$site->dir/site/wordpress/by-git.txt", 'with a token' );
		$site->done( 'pull', 'site' );
		$said = refusal( $site, 'commit', 'site', '-m', 'With a token' );
		holds( str_contains( $said, 'hint: forkpress git token' ), $said );
		same( 'by git', content( $site, 'main', '/by-git.txt' ), 'the file' );

		$token = trim( $site->done( 'git', 'token' ) );
		git( "$site->dir/site", 'remote', 'set-url', 'origin', str_replace( '://', "://any:$token@", $remote ) );
		$outcome = $site->run( 'commit', 'site', '-m', 'x' );
		same( 0, $outcome->status, "commit: {$outcome->text()}: exit status" );
		holds( ! str_contains( $outcome->text(), $token ), 'the token is not shown' );
		same( 'with a token', content( $site, 'main', '/by-git.txt' ), 'the file' );
	}
);

test( 'nothing of it made WordPress or PHP complain', fn () => $site->has_no_complaints() );
