<?php
/**
 * Git clients that are not `git` clone, fetch, commit and push: libgit2, dulwich and isomorphic-git.
 *
 * php -d "extension=$(pwd)/ext/branchfs.so" tests/test_git_clients.php
 *
 * They are installed into target/git-clients, from PyPI and npm, where they are not there yet.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/site.php';

/** Clones, hears of what is new, commits a file to `main` and pushes: argv is the remote and a folder. */
const LIBGIT2 = <<<'PY'
import os, sys, pygit2
remote, folder = sys.argv[1:]
repo = pygit2.clone_repository(remote, folder)
print(open(os.path.join(folder, 'wordpress/first.txt')).read(), flush=True)
sys.stdin.readline()
origin = repo.remotes['origin']
origin.fetch()
repo.reset(repo.references['refs/remotes/origin/main'].target, pygit2.enums.ResetMode.HARD)
print(open(os.path.join(folder, 'wordpress/second.txt')).read(), flush=True)
open(os.path.join(folder, 'wordpress/pushed.txt'), 'w').write('libgit2')
repo.index.add('wordpress/pushed.txt')
repo.index.write()
who = pygit2.Signature('Test', 'test@example.test')
print(repo.create_commit('HEAD', who, who, 'A change', repo.index.write_tree(), [repo.head.target]))
origin.push(['refs/heads/main'])
PY;

const DULWICH = <<<'PY'
import os, sys
from dulwich import porcelain
remote, folder = sys.argv[1:]
repo = porcelain.clone(remote, folder, errstream=porcelain.NoneStream())
print(open(os.path.join(folder, 'wordpress/first.txt')).read(), flush=True)
sys.stdin.readline()
porcelain.fetch(repo, 'origin', errstream=porcelain.NoneStream())
porcelain.reset(repo, 'hard', repo.refs[b'refs/remotes/origin/main'])
print(open(os.path.join(folder, 'wordpress/second.txt')).read(), flush=True)
path = os.path.join(folder, 'wordpress/pushed.txt')
open(path, 'w').write('dulwich')
porcelain.add(repo, [path])
who = b'Test <test@example.test>'
print(porcelain.commit(repo, message=b'A change', author=who, committer=who).decode())
porcelain.push(repo, remote, 'refs/heads/main', outstream=porcelain.NoneStream(), errstream=porcelain.NoneStream())
PY;

const ISOMORPHIC = <<<'JS'
const fs = require( 'fs' ), git = require( 'isomorphic-git' ), http = require( 'isomorphic-git/http/node' );
const [ url, dir ] = process.argv.slice( 2 );
const author = { name: 'Test', email: 'test@example.test' };
( async () => {
	await git.clone( { fs, http, dir, url, ref: 'main' } );
	console.log( fs.readFileSync( `${ dir }/wordpress/first.txt`, 'utf8' ) );
	await new Promise( ( resolve ) => process.stdin.once( 'data', resolve ) );
	process.stdin.destroy();
	await git.pull( { fs, http, dir, ref: 'main', author } );
	console.log( fs.readFileSync( `${ dir }/wordpress/second.txt`, 'utf8' ) );
	fs.writeFileSync( `${ dir }/wordpress/pushed.txt`, 'isomorphic-git' );
	await git.add( { fs, dir, filepath: 'wordpress/pushed.txt' } );
	console.log( await git.commit( { fs, dir, message: 'A change', author } ) );
	await git.push( { fs, http, dir, ref: 'main' } );
} )();
JS;

$clients = ROOT . '/target/git-clients';
@mkdir( $clients, 0755, true );

/**
 * Returns whether a program works; where it does not, after it was installed.
 *
 * @param string $works   Succeeds where it does.
 * @param string $install Installs it.
 */
$have = static function ( string $works, string $install ) use ( $clients ): bool {
	foreach ( array( $works, "{ $install; } && $works" ) as $script ) {
		$process = new Process( array( 'sh', '-c', $script ), array(), $clients );
		// The registry may be far away.
		while ( $process->runs() ) {
			usleep( 50000 );
		}
		if ( 0 === $process->wait() ) {
			return true;
		}
	}
	return false;
};
$has_python = $have(
	'venv/bin/python -c "import pygit2, dulwich"',
	'python3 -m venv --clear venv && timeout 300 venv/bin/pip install --quiet --disable-pip-version-check pygit2 dulwich'
);
$has_node   = $have( 'node -e "require( \'isomorphic-git\' )"', 'timeout 300 npm install --silent --no-fund --no-audit --prefix . isomorphic-git' );

$site = new Site();
$main = "$site->dir/main";
$site->serve( 4 );
$remote = "http://127.0.0.1:$site->port/site.git";

test(
	'refs are sent with their length, to whoever asks',
	function () use ( $site ) {
		foreach ( array( 'git-upload-pack' => '', 'git-receive-pack' => '', 'git-upload-pack&x' => 'version=2' ) as $service => $protocol ) {
			$headers = '' === $protocol ? array() : array( 'Git-Protocol' => $protocol );
			$answer  = $site->request( "/site.git/info/refs?service=$service", $headers );
			same( 200, $answer->status, "$service: status" );
			same( (string) strlen( $answer->body ), $answer->headers['content-length'] ?? null, "$service: its length" );
			holds( '' !== $answer->body, "$service: there is something" );
		}
	}
);

$each = array(
	'libgit2'        => array( $has_python, array( 'venv/bin/python', 'libgit2.py' ), LIBGIT2 ),
	'dulwich'        => array( $has_python, array( 'venv/bin/python', 'dulwich-client.py' ), DULWICH ),
	'isomorphic-git' => array( $has_node, array( 'node', 'isomorphic-git.js' ), ISOMORPHIC ),
);
foreach ( $each as $client => list( $is_there, $command, $script ) ) {
	if ( ! $is_there ) {
		echo "SKIPPED: $client: it is not there and can't be installed: python3-venv and npm, and a way to their registries, are needed\n";
		continue;
	}
	test(
		"$client clones, fetches, commits and pushes",
		function () use ( $site, $main, $remote, $client, $clients, $command, $script ) {
			put( "$clients/$command[1]", $script );
			put( "$main/first.txt", "first for $client" );
			@unlink( "$main/second.txt" );
			$process = new Process( array( ...$command, $remote, temp_dir() . '/checkout' ), array(), $clients );
			$process->wait_for( "first for $client" );
			put( "$main/second.txt", "second for $client" );
			fwrite( $process->stdin, "go\n" );
			fclose( $process->stdin );
			same( 0, $process->wait(), "$client: " . $process->output() . ': exit status' );
			holds( str_contains( $process->output(), "second for $client" ), 'what is new is there: ' . $process->output() );
			same( $client, file_get_contents( "$main/pushed.txt" ), 'what was pushed' );
			holds( 1 === preg_match( '/^[0-9a-f]{40}$/m', $process->output(), $commit ), 'there is a commit: ' . $process->output() );
			same( substr( $commit[0], 0, 10 ), $site->json( 'log' )[0]['with'], 'the log' );
		}
	);
}

test( 'nobody complained', fn () => $site->has_no_complaints() );
