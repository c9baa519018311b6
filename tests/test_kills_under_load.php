<?php
/**
 * 30 mutations, or as many as it is told, are killed at random moments while people work on `main`: no request fails, nothing that was saved is
 * lost, and every branch is served and is a state in which `main` really was.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_kills_under_load.php [KILLS] [SEED]
 *
 * The seed, which is printed, makes the same choices again.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/mutations.php';

$kills = (int) ( $argv[1] ?? 30 );
$seed  = (int) ( $argv[2] ?? random_int( 0, PHP_INT_MAX ) );
mt_srand( $seed );

$site     = new Site();
$settings = "$site->dir/.forkpress/site.toml";
// A copy of WordPress for each of many would fill a small disk.
file_put_contents( $settings, preg_replace( '/^trees = \d+$/m', 'trees = 5', file_get_contents( $settings ) ) );
$site->serve( 4 );
$mutations = new Mutations( $site, new Load( $site ) );

test(
	"nothing is lost and nothing is torn where $kills mutations are killed under load (seed $seed)",
	function () use ( $mutations, $kills ) {
		// As many as it is told, and as many more as it takes until a merge was among them.
		while ( $mutations->done['killed'] < $kills || ! isset( $mutations->killed['merge'] ) ) {
			// What is let finish tells how long its kind takes just now, and its cleaning up empties the trash.
			0 === mt_rand( 0, 9 ) ? $mutations->finish_one() : $mutations->kill_one();
		}
		$mutations->end();
	}
);
