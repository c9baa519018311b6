<?php
/**
 * Branches come and go while people work on `main`: no request fails, nothing that was saved is lost, and every branch is
 * a state in which `main` really was.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_create_under_load.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/load.php';

$site = new Site();
$site->serve( 4 );
$load = new Load( $site );

/**
 * Runs a mutation that takes main's state, under load, and checks what became of the branch.
 *
 * @param string   $branch  The branch.
 * @param string[] $command The command.
 */
$takes_main = function ( string $branch, array $command ) use ( $site, $load ): void {
	$load->goes_on();
	$before = array_keys( $load->saved );
	$site->done( ...$command );
	$posts = sound( $site, $branch );
	$load->read();
	is_a_state_of_main( $load, array_keys( $posts ), $before );
};

test(
	'a branch that is created while four clients save posts is sound, and a state in which main really was',
	function () use ( $takes_main ) {
		foreach ( array( 'one', 'two', 'three' ) as $branch ) {
			$takes_main( $branch, array( 'branch', 'create', $branch ) );
		}
	}
);

test(
	'so is one that is reset meanwhile',
	function () use ( $takes_main ) {
		$takes_main( 'one', array( 'branch', 'reset', 'one', '--from', 'main' ) );
	}
);

test(
	'a branch of a branch has just that one\'s posts, whatever happens on main meanwhile',
	function () use ( $site, $load ) {
		$load->goes_on();
		$posts = posts( $site, 'two' );
		$site->done( 'branch', 'create', 'two-a', '--from', 'two' );
		same( $posts, sound( $site, 'two-a' ), 'posts' );
		same( $posts, posts( $site, 'two' ), 'posts of the other' );
	}
);

test(
	'branches are deleted meanwhile, and a name can be had again',
	function () use ( $site, $load, $takes_main ) {
		foreach ( array( 'two', 'one' ) as $branch ) {
			$load->goes_on();
			$site->done( 'branch', 'delete', $branch );
			same( 404, $site->request( '/', array( 'Host' => $site->host( $branch ) ) )->status, "the front page of $branch" );
			holds( ! file_exists( "$site->dir/$branch" ), "$branch is gone" );
		}
		$takes_main( 'two', array( 'branch', 'create', 'two' ) );
	}
);

test(
	'no request failed, and every post that was acknowledged is on main',
	function () use ( $site, $load ) {
		$load->finish();
		same( array(), $load->failed, 'requests that failed' );
		$on_main = array_keys( sound( $site, 'main' ) );
		same( array(), array_values( array_diff( array_keys( $load->began ), array_keys( $load->saved ) ) ), 'posts that were sent and not acknowledged' );
		same( array(), array_values( array_diff( array_keys( $load->saved ), $on_main ) ), 'posts that were acknowledged and are not on main' );
		same( count( $load->saved ), count( $on_main ), 'number of posts on main' );
	}
);

test(
	'nothing is left over, and nothing was complained of',
	function () use ( $site ) {
		same( array( 'main', 'three', 'two', 'two-a' ), array_column( $site->json( 'branch', 'list' ), 'name' ), 'branches' );
		foreach ( array( 'staging', 'trash', 'journal' ) as $folder ) {
			$path = "$site->dir/.forkpress/cow/$folder";
			same( array(), is_dir( $path ) ? array_diff( scandir( $path ), array( '.', '..' ) ) : array(), $folder );
		}
		$site->has_no_complaints();
	}
);
