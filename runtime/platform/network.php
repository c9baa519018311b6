<?php
/**
 * Makes every branch of a network of sites ("multisite") the network at its own host.
 *
 * WordPress keeps the network's host in its tables, and looks each request's host up there. What is stored stays as it is,
 * the same on each branch. What WordPress reads has the branch's host in place of the network's. So it finds its sites, and
 * all that it prints or redirects to stays on the branch. Folders tell the sites apart: a branch's host has no room for
 * subdomains.
 *
 * The router loads this file before WordPress looks the site up, and in networks only.
 *
 * @package ForkPress
 */

if ( defined( 'SUBDOMAIN_INSTALL' ) ? SUBDOMAIN_INSTALL : defined( 'VHOST' ) && 'yes' === VHOST ) {
	forkpress_refuse( 501, 'This branch is a WordPress network with subdomains, which a branch has no room for. In its wp-config.php, SUBDOMAIN_INSTALL says so; a network with subfolders works' );
}

/** The columns of the tables that hold hosts, but for the host itself, by the table's name without its prefix. */
const FORKPRESS_NETWORK_TABLES = array(
	'blogs'   => 'blog_id, site_id, path, registered, last_updated, public, archived, mature, spam, deleted, lang_id',
	'site'    => 'id, path',
	'signups' => 'signup_id, path, title, user_login, user_email, registered, activated, active, activation_key, meta',
);

/** In a query, the name that it gives to a table: a word that is none of SQL's after a table. */
const FORKPRESS_NETWORK_ALIAS = '(?:\s+(?:AS\s+)?(?!(?:WHERE|ORDER|GROUP|HAVING|LIMIT|LEFT|RIGHT|INNER|CROSS|NATURAL|STRAIGHT_JOIN|JOIN|ON|USING|UNION|FOR|USE|FORCE|IGNORE|INTO|LOCK|AS)\b)`?(\w+)`?)?';

/**
 * Returns the host that this request was sent to, as WordPress looks for it in its tables.
 */
function forkpress_network_host(): string {
	return preg_replace( '/:(?:80|443)$/D', '', strtolower( $_SERVER['HTTP_HOST'] ) );
}

/**
 * Has a query read this branch's host where the network's is stored, and write the network's for this branch's.
 *
 * @param mixed $query A query of any kind.
 * @return mixed
 */
function forkpress_network_query( $query ) {
	global $wpdb;
	static $pass = false;
	$tables      = '`?' . preg_quote( $wpdb->base_prefix, '/' ) . '(' . implode( '|', array_keys( FORKPRESS_NETWORK_TABLES ) ) . ')`?(?![\w.`])';
	if ( $pass || ! is_string( $query ) || ! preg_match( "/[\s,(]$tables/i", $query ) ) {
		return $query;
	}
	$host   = "'" . esc_sql( forkpress_network_host() ) . "'";
	$which  = defined( 'SITE_ID_CURRENT_SITE' ) ? 'WHERE id = ' . (int) SITE_ID_CURRENT_SITE : 'ORDER BY id LIMIT 1';
	$stored = "SELECT domain FROM {$wpdb->base_prefix}site $which";
	if ( preg_match( '/^[\s(]*SELECT\b/i', $query ) ) {
		return preg_replace_callback(
			"/\b(FROM|JOIN)\s+$tables" . FORKPRESS_NETWORK_ALIAS . '/i',
			static function ( array $found ) use ( $wpdb, $host, $stored ): string {
				$name    = strtolower( $found[2] );
				$columns = FORKPRESS_NETWORK_TABLES[ $name ];
				$domain  = "CASE WHEN domain = ( $stored ) THEN $host ELSE domain END AS domain";
				$table   = $wpdb->base_prefix . $name;
				$alias   = $found[3] ?? $table;
				return "$found[1] ( SELECT $columns, $domain FROM $table ) $alias";
			},
			$query
		);
	}
	if ( preg_match( '/^\s*(?:INSERT|REPLACE|UPDATE|DELETE)\b/i', $query ) && str_contains( $query, $host ) ) {
		$pass   = true;
		$stored = $wpdb->get_var( $stored );
		$pass   = false;
		return is_string( $stored ) ? str_replace( $host, "'" . esc_sql( $stored ) . "'", $query ) : $query;
	}
	return $query;
}

/**
 * Has the network that wp-config.php defines be at this branch's host, and returns how many folders of a path may name a site.
 *
 * @param int|null $segments As many as WordPress would look at.
 * @param string   $host     The host that a site is looked for at.
 * @return int|null
 */
function forkpress_network_define( $segments, $host ) {
	$network = $GLOBALS['current_site'] ?? null;
	if ( ! is_object( $network ) || forkpress_network_host() !== $host || $network->domain === $host ) {
		return $segments;
	}
	$network->domain = $host;
	// WordPress has compared the paths only where the hosts are the same: the network's own folders come first.
	return null === $segments ? null : count( array_filter( explode( '/', $network->path ) ) ) + 1;
}

/**
 * Has an address of a site that is at this branch's host name that host.
 *
 * @param mixed $url The address, as it is stored.
 * @return mixed
 */
function forkpress_network_address( $url ) {
	$parts = is_string( $url ) ? wp_parse_url( $url ) : false;
	$site  = isset( $parts['host'] ) ? get_site() : null;
	if ( null === $site || forkpress_network_host() !== $site->domain ) {
		return $url;
	}
	return ( is_ssl() ? 'https://' : 'http://' ) . $site->domain . ( $parts['path'] ?? '' );
}

add_filter( 'query', 'forkpress_network_query' );
add_filter( 'site_by_path_segments_count', 'forkpress_network_define', 10, 2 );
foreach ( array( 'option_home', 'option_siteurl', 'site_option_siteurl' ) as $forkpress_filter ) {
	add_filter( $forkpress_filter, 'forkpress_network_address' );
}
unset( $forkpress_filter );
