<?php
/**
 * Keeps the SQLite driver: nobody can deactivate or delete it, since the database is reached through it.
 *
 * New sites have the driver as a must-use plugin, loaded by the drop-in wp-content/db.php alone. Trees of other tools
 * have it among the plugins. There, deactivating it would delete that drop-in, and with it the site. So it stays active
 * and in its place, whether the dashboard, the REST API or PHP code asks. If it is gone all the same, the router brings
 * it back before WordPress loads.
 *
 * @package ForkPress
 */

/**
 * Returns the driver that this request's database is reached through, as WordPress names plugins.
 *
 * @return string|null Null where it is not among the plugins.
 */
function forkpress_driver_plugin(): ?string {
	static $plugin = false;
	if ( false === $plugin ) {
		$folder = forkpress_driver_folder();
		$inside = null !== $folder && dirname( $folder ) === realpath( WP_PLUGIN_DIR );
		$plugin = $inside && is_file( "$folder/load.php" ) ? basename( $folder ) . '/load.php' : null;
	}
	return $plugin;
}

/**
 * Returns the real folder of the driver that this request's database is reached through; null where it has another one.
 */
function forkpress_driver_folder(): ?string {
	$file = class_exists( 'WP_SQLite_DB', false ) ? ( new ReflectionClass( 'WP_SQLite_DB' ) )->getFileName() : false;
	return $file ? dirname( $file, 3 ) : null;
}

/**
 * Keeps the driver among the active plugins.
 *
 * @param mixed $plugins The active plugins, as they are or as they are to be.
 * @return mixed
 */
function forkpress_keep_driver_active( $plugins ) {
	$driver = forkpress_driver_plugin();
	if ( null === $driver || ! is_array( $plugins ) || in_array( $driver, $plugins, true ) ) {
		return $plugins;
	}
	return array( $driver, ...array_values( $plugins ) );
}

/**
 * Keeps the driver among the plugins that are active in a whole network, if it is one of those.
 *
 * @param mixed $plugins The plugins that are to be active.
 * @param mixed $before  Those that were.
 * @return mixed
 */
function forkpress_keep_driver_active_in_network( $plugins, $before ) {
	$driver = forkpress_driver_plugin();
	if ( null !== $driver && is_array( $plugins ) && isset( $before[ $driver ] ) ) {
		$plugins[ $driver ] ??= $before[ $driver ];
	}
	return $plugins;
}

/**
 * Denies everybody the driver's deactivation. WordPress then says so itself, and passes it over among others.
 *
 * @param string[] $needed     The capabilities that are needed.
 * @param string   $capability What is to be done.
 * @param int      $user       Not used.
 * @param array    $arguments  To what.
 * @return string[]
 */
function forkpress_deny_driver_deactivation( $needed, $capability, $user, $arguments ) {
	$denied = 'deactivate_plugin' === $capability && null !== forkpress_driver_plugin() && forkpress_driver_plugin() === ( $arguments[0] ?? null );
	return $denied ? array( 'do_not_allow' ) : $needed;
}

/**
 * Keeps a driver that is deactivated, the one in use or another one, from deleting the drop-in.
 *
 * @param string $plugin The plugin.
 */
function forkpress_keep_drop_in( $plugin ): void {
	remove_action( "deactivate_$plugin", 'sqlite_plugin_remove_db_file' );
}

/**
 * Refuses to delete the driver.
 *
 * @param string $plugin The plugin that is about to be deleted.
 */
function forkpress_refuse_driver_deletion( $plugin ): void {
	if ( null !== forkpress_driver_plugin() && dirname( forkpress_driver_plugin() ) === dirname( plugin_basename( $plugin ) ) ) {
		wp_die( 'ForkPress keeps this plugin: the database of the site is reached through it.', 'Plugin kept', array( 'response' => 403 ) );
	}
}

/**
 * Says beside the driver, in the list of plugins, why it has no links to deactivate or delete it.
 *
 * @param string[] $links  The links.
 * @param string   $plugin The plugin.
 * @return string[]
 */
function forkpress_driver_links( $links, $plugin ) {
	if ( forkpress_driver_plugin() !== $plugin ) {
		return $links;
	}
	unset( $links['activate'], $links['deactivate'], $links['delete'] );
	return array( 'forkpress' => 'Required: it holds this site&#8217;s database' ) + $links;
}

/**
 * Loads what a driver that is no plugin has to say about site health: that there is no MySQL to be looked for.
 *
 * @param array $value What is being filtered, which stays.
 * @return array
 */
function forkpress_load_driver_health( $value ) {
	$file = forkpress_driver_folder() . '/health-check.php';
	if ( ! function_exists( 'sqlite_plugin_filter_debug_data' ) && is_file( $file ) ) {
		require_once $file;
	}
	return $value;
}

add_filter( 'option_active_plugins', 'forkpress_keep_driver_active' );
add_filter( 'default_option_active_plugins', 'forkpress_keep_driver_active' );
add_filter( 'pre_update_option_active_plugins', 'forkpress_keep_driver_active', PHP_INT_MAX );
add_filter( 'pre_update_site_option_active_sitewide_plugins', 'forkpress_keep_driver_active_in_network', PHP_INT_MAX, 2 );
add_filter( 'map_meta_cap', 'forkpress_deny_driver_deactivation', PHP_INT_MAX, 4 );
add_action( 'deactivate_plugin', 'forkpress_keep_drop_in' );
add_action( 'delete_plugin', 'forkpress_refuse_driver_deletion' );
add_filter( 'plugin_action_links', 'forkpress_driver_links', PHP_INT_MAX, 2 );
add_filter( 'network_admin_plugin_action_links', 'forkpress_driver_links', PHP_INT_MAX, 2 );
add_filter( 'debug_information', 'forkpress_load_driver_health', 0 );
add_filter( 'site_status_tests', 'forkpress_load_driver_health', 0 );
