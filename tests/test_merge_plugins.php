<?php
/**
 * Plugins with tables of their own: their schema comes home, and what they say of their data in forkpress-merge.json holds.
 *
 *     FORKPRESS_BIN=PATH php -d "extension=$(pwd)/ext/branchfs.so" tests/test_merge_plugins.php
 *
 * @package ForkPress
 */

declare( strict_types=1 );

namespace ForkPress\Tests;

require __DIR__ . '/merging.php';

$merging = new Merging(
	static function ( Person $person ): void {
		$person->activate( 'orders/orders.php' );
		ask_wordpress( $person->site, 'main', 'orders_add( "First", array( "Tea" => 3 ) );' );
	}
);
$site    = $merging->site;

/**
 * Returns what the driver says of tables whose name has a text in it.
 *
 * @param string $branch The branch.
 * @param string $like   The text.
 * @return array[]
 */
$described = static function ( string $branch, string $like ) use ( $site ): array {
	$found = array();
	foreach ( array( 'columns', 'statistics', 'tables' ) as $kind ) {
		$rows = $site->database( $branch )->query( "SELECT * FROM _wp_sqlite_mysql_information_schema_$kind WHERE table_name LIKE '%$like%'" )->fetchAll( \PDO::FETCH_ASSOC );
		$rows = array_map( static fn ( $row ) => array_diff_key( array_change_key_case( $row ), array( 'create_time' => 1, 'update_time' => 1, 'auto_increment' => 1 ) ), $rows );
		usort( $rows, static fn ( $one, $other ) => serialize( $one ) <=> serialize( $other ) );
		$found[ $kind ] = $rows;
	}
	return $found;
};

/** Returns the orders of a branch, by their titles: total, and the names of items. */
const ORDERS = 'global $wpdb; $orders = array();
	foreach ( $wpdb->get_results( "SELECT * FROM {$wpdb->prefix}orders ORDER BY title" ) as $order ) {
		$orders[ $order->title ] = array( (int) $order->total_cached, $wpdb->get_col( "SELECT name FROM {$wpdb->prefix}order_items WHERE order_id = $order->id ORDER BY name" ) );
	}
	return $orders;';

test(
	'a column and a table that a plugin adds come home with their rows and with what the driver knows of them',
	function () use ( $merging, $described ) {
		list( $main, $person ) = $merging->part( 's' );
		$person->activate( 'refunds/refunds.php' );
		$main->publish( 'post', array( 'title' => 'Meanwhile' ) );
		$merging->ask( 'main', 'orders_add( "Of main", array( "Milk" => 2 ) );' );
		$merging->merged( 's', 'main' );
		same( array(), differences( $described( 's', 'order' ), $described( 'main', 'order' ) ), 'what the driver says of the tables on s, and says otherwise on main' );
		$found = $merging->ask(
			'main',
			'global $wpdb;
			$first  = $wpdb->get_row( "SELECT * FROM {$wpdb->prefix}orders WHERE title = \'First\'" );
			$rows   = $wpdb->get_results( "SELECT order_id, reason FROM {$wpdb->prefix}order_refunds", ARRAY_N );
			$of_main = $wpdb->get_var( "SELECT refunded FROM {$wpdb->prefix}orders WHERE title = \'Of main\'" );
			$wpdb->insert( "{$wpdb->prefix}order_refunds", array( "order_id" => $first->id, "reason" => "Late" ) );
			$inserted = $wpdb->insert_id;
			$wpdb->insert( "{$wpdb->prefix}orders", array( "title" => "New", "refunded" => 2 ) );
			return array(
				$first->refunded, $rows === array( array( $first->id, "Broken" ) ), $of_main, $wpdb->last_error, $inserted > 0,
				$wpdb->get_col( "SELECT reason FROM {$wpdb->prefix}order_refunds ORDER BY id" ), $wpdb->get_var( "SELECT refunded FROM {$wpdb->prefix}orders WHERE title = \'New\'" ),
				array_column( $wpdb->get_results( "DESCRIBE {$wpdb->prefix}orders", ARRAY_A ), "Field" ), in_array( "refunds/refunds.php", get_option( "active_plugins" ), true ),
			);'
		);
		same( array( '5', true, '0', '', true, array( 'Broken', 'Late' ), '2', array( 'id', 'title', 'status', 'total_cached', 'refunded' ), true ), $found, 'what WordPress has' );
	}
);

test(
	'a table that a plugin drops is gone in main, unless main wrote to it',
	function () use ( $merging ) {
		list( $main ) = $merging->part( 's' );
		$drop         = 'global $wpdb; $wpdb->query( "DROP TABLE {$wpdb->prefix}order_items" ); return $wpdb->last_error;';
		same( '', $merging->ask( 's', $drop ), 'dropping' );
		$merging->merged( 's', 'main' );
		same( array(), $merging->ask( 'main', 'global $wpdb; return $wpdb->get_col( "SHOW TABLES LIKE \'%order_items\'" );' ), 'tables' );
		$merging->part( 's' );
		$merging->ask( 's', $drop );
		$merging->ask( 'main', 'orders_add( "Of main", array( "Milk" => 2 ) );' );
		holds( count( $merging->refused( 's', 'main' ) ) > 0, 'there is a conflict' );
	}
);

test(
	'two plugins that alter one table in different ways are one conflict of the schema',
	function () use ( $merging ) {
		list( $main, $person ) = $merging->part( 's' );
		$person->activate( 'refunds/refunds.php' );
		$main->activate( 'ratings/ratings.php' );
		$conflicts = $merging->refused( 's', 'main' );
		same( array( 'schema' ), array_column( $conflicts, 'kind' ), 'kinds of conflicts: ' . json_encode( $conflicts ) );
		holds( str_contains( json_encode( $conflicts ), 'wp_orders' ), 'the table is named' );
	}
);

test(
	'the same plugin activated on both branches is no conflict',
	function () use ( $merging ) {
		list( $main, $person ) = $merging->part( 's' );
		$person->activate( 'ratings/ratings.php' );
		$main->activate( 'ratings/ratings.php' );
		$merging->merged( 's', 'main' );
		same( array( 'orders/orders.php', 'ratings/ratings.php' ), $merging->ask( 'main', 'return get_option( "active_plugins" );' ), 'active plugins' );
	}
);

test(
	'what a plugin calls noise is neither shown nor merged',
	function () use ( $merging, $site ) {
		list( $main, $person ) = $merging->part( 's' );
		$person->visit();
		$main->visit();
		holds( (int) $site->database( 's' )->query( 'SELECT count(*) FROM wp_order_log' )->fetchColumn() > 5, 'the log of s grew' );
		$diff = $site->done( 'branch', 'diff', 's' );
		holds( str_contains( $diff, 'nothing changed since' ), "the diff is empty: $diff" );
		$merging->nothing_to_merge( 's', 'main' );
	}
);

test(
	'orders of both are there, with their items',
	function () use ( $merging ) {
		$merging->part( 's' );
		$merging->ask( 's', 'orders_add( "Of s", array( "Cake" => 5, "Coffee" => 4 ) );' );
		$merging->ask( 'main', 'orders_add( "Of main", array( "Milk" => 2 ) );' );
		$merging->merged( 's', 'main' );
		$right = array(
			'First'   => array( 3, array( 'Tea' ) ),
			'Of main' => array( 2, array( 'Milk' ) ),
			'Of s'    => array( 9, array( 'Cake', 'Coffee' ) ),
		);
		same( $right, $merging->ask( 'main', ORDERS ), 'orders' );
		$shown = $merging->site->done( 'branch', 'diff', 'main', 's' );
		holds( str_contains( $shown, 'Of main' ), "an order has its title in the diff: $shown" );
	}
);

test(
	'two items for one order are both there, and its total, which is derived, is no conflict',
	function () use ( $merging ) {
		$merging->part( 's' );
		$add = 'global $wpdb; orders_add_item( (int) $wpdb->get_var( "SELECT id FROM {$wpdb->prefix}orders WHERE title = \'First\'" ), $given[0], $given[1] );';
		$merging->ask( 's', $add, array( 'Cake', 5 ) );
		$merging->ask( 'main', $add, array( 'Milk', 2 ) );
		$merging->merged( 's', 'main' );
		same( array( 'Cake', 'Milk', 'Tea' ), $merging->ask( 'main', ORDERS )['First'][1], 'items' );
	}
);

test(
	'one removes an order to which the other adds an item: that is one conflict',
	function () use ( $merging ) {
		$merging->part( 's' );
		$merging->ask( 's', 'global $wpdb; $id = $wpdb->get_var( "SELECT id FROM {$wpdb->prefix}orders" ); $wpdb->delete( "{$wpdb->prefix}orders", array( "id" => $id ) ); $wpdb->delete( "{$wpdb->prefix}order_items", array( "order_id" => $id ) );' );
		$merging->ask( 'main', 'global $wpdb; orders_add_item( (int) $wpdb->get_var( "SELECT id FROM {$wpdb->prefix}orders" ), "Milk", 2 );' );
		same( 1, count( $merging->refused( 's', 'main' ) ), 'conflicts' );
	}
);

test(
	'an option and a meta value that a plugin calls sets are merged as sets',
	function () use ( $merging ) {
		$merging->part( 's' );
		$merging->ask( 'main', 'update_post_meta( 1, "_orders_tags", array( "base" ) );' );
		$merging->site->done( 'branch', 'reset', 's', '--from', 'main' );
		foreach ( array( 's' => 'FR', 'main' => 'DE' ) as $branch => $country ) {
			$merging->ask( $branch, 'update_option( "orders_countries", array( "CH", $given ) ); update_post_meta( 1, "_orders_tags", array( "base", $given ) );', $country );
		}
		$merging->merged( 's', 'main' );
		$found = $merging->ask( 'main', 'return array( get_option( "orders_countries" ), get_post_meta( 1, "_orders_tags", true ) );' );
		array_walk( $found, static fn ( &$set ) => sort( $set ) );
		same( array( array( 'CH', 'DE', 'FR' ), array( 'DE', 'FR', 'base' ) ), $found, 'the sets' );
	}
);

test(
	'a forkpress-merge.json that says what nobody understands is named, and nothing is merged by it',
	function () use ( $merging, $site ) {
		list( , $person ) = $merging->part( 's' );
		$person->publish( 'post', array( 'title' => 'New' ) );
		put( "$site->dir/main/wp-content/plugins/orders/forkpress-merge.json", '{ "nois": {} }' );
		$outcome = $site->run( 'branch', 'merge', 's', '--into', 'main' );
		holds( str_contains( $outcome->text(), 'forkpress-merge.json' ), "the file is named: {$outcome->text()}" );
		same( 1, $outcome->status, 'exit status' );
	}
);

test(
	'nobody complained',
	function () use ( $site ) {
		$site->has_no_complaints();
	}
);
