<?php
/**
 * Runs a blueprint of WordPress Playground on a tree that nobody is served. Run by forkpress.
 *
 *     php run.php exec FILE --mode=apply-to-existing-site --site-path=TREE ...
 *
 * Environment: FORKPRESS_WP_TREE and FORKPRESS_WP_URL, as ../wp-cli/boot.php has them.
 *
 * The runner would fetch a WP-CLI for the steps that need one. They get the one that is here.
 *
 * @package ForkPress
 */

/**
 * Has each step of WP-CLI use ForkPress's.
 *
 * @param array $blueprint The blueprint, as the runner understood it.
 * @return array
 */
function forkpress_blueprint_use_wp_cli( array $blueprint ): array {
	$command = escapeshellarg( PHP_BINARY ) . ' ' . escapeshellarg( dirname( __DIR__ ) . '/wp-cli/boot.php' );
	$parts   = array( 'additionalStepsAfterExecution', 'additionalStepsBeforeExecution', 'steps' );
	foreach ( array_intersect( $parts, array_keys( $blueprint ) ) as $part ) {
		foreach ( $blueprint[ $part ] as $at => $step ) {
			if ( 'wp-cli' === ( $step['step'] ?? '' ) ) {
				$blueprint[ $part ][ $at ]['wpCliPath'] = $command;
			}
		}
	}
	return $blueprint;
}

$forkpress_phar = 'phar://' . dirname( __DIR__ ) . '/blueprints.phar';
require "$forkpress_phar/vendor/autoload.php";
add_filter( 'blueprint.resolved', 'forkpress_blueprint_use_wp_cli' );
require "$forkpress_phar/components/Blueprints/bin/blueprint.php";
