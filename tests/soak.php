<?php
/**
 * Traffic, mutations and kills for as long as it is told; then everything is checked against a model.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/soak.php [SECONDS] [SEED]
 *
 * Four clients save posts on `main` all the while. Branches are created, reset, deleted and brought back, one mutation after
 * another, every third of them killed at a random moment. The seed, which is printed, makes the same choices again.
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/mutations.php';

$seconds = (int) ( $argv[1] ?? 60 );
$seed    = (int) ( $argv[2] ?? random_int( 0, PHP_INT_MAX ) );
mt_srand( $seed );
echo "soak: $seconds s, seed $seed\n";

$site = new Site();
$site->serve( 4 );
$mutations = new Mutations( $site, new Load( $site ) );

test(
	"nothing is lost and nothing is torn in $seconds seconds of traffic, mutations and kills (seed $seed)",
	function () use ( $mutations, $seconds ) {
		$until = hrtime( true ) + $seconds * 1000000000;
		while ( hrtime( true ) < $until ) {
			0 === mt_rand( 0, 2 ) ? $mutations->kill_one() : $mutations->finish_one();
		}
		$mutations->end();
	}
);
