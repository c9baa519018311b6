<?php
/**
 * A branch's dashboard says from which branch it was made, and what was changed on it since.
 *
 * That is what the branch's own database tells quickly: a script asks for it once the dashboard is there. `forkpress branch
 * diff`, and the branch page, which the notice leads to, know the rest.
 *
 * @package ForkPress
 */

/**
 * Returns what the record of the branch at hand says about its making; null where nobody says, and for main.
 *
 * @return array|null `branch`, `from`, and `moment`, in seconds since 1970.
 */
function forkpress_making(): ?array {
	$branch = branchfs_get_branch();
	$record = branchfs_record( forkpress_cow_dir(), $branch );
	$moment = strtotime( $record['created'] ?? '' );
	$from   = $record['from'] ?? null;
	return 'main' === $branch || null === $from || false === $moment ? null : compact( 'branch', 'from', 'moment' );
}

/**
 * Returns how many posts of some types were added or changed since a moment.
 *
 * @param int $moment In seconds since 1970.
 * @return int[] By type; a type without any is left out.
 */
function forkpress_changed_posts( int $moment ): array {
	global $wpdb;
	// phpcs:disable WordPress.DB -- it is asked once a look at the dashboard.
	$rows = $wpdb->get_results(
		$wpdb->prepare(
			"SELECT post_type, COUNT(*) AS number FROM $wpdb->posts WHERE post_modified_gmt > %s AND post_status <> 'auto-draft' GROUP BY post_type",
			gmdate( 'Y-m-d H:i:s', $moment )
		)
	);
	// phpcs:enable
	return array_map( 'intval', array_column( $rows, 'number', 'post_type' ) );
}

/**
 * Says how many there are of each thing of which there is any.
 *
 * @param array[] $things Each: how many, what one is called, and what many are.
 */
function forkpress_counted( array $things ): string {
	$parts = array();
	foreach ( $things as list( $number, $one, $many ) ) {
		if ( $number > 0 ) {
			$parts[] = number_format_i18n( $number ) . ' ' . ( 1 === $number ? $one : $many );
		}
	}
	$last = array_pop( $parts );
	return $parts ? implode( ', ', $parts ) . " and $last" : (string) $last;
}

/**
 * Says what was added to the branch and changed on it since it was made, as far as its database tells quickly.
 *
 * @param array $making What forkpress_making() returned.
 */
function forkpress_differs( array $making ): string {
	global $wpdb;
	$posts = forkpress_changed_posts( $making['moment'] );
	$types = get_post_types( array( 'public' => true ) );
	$looks = array( 'wp_template', 'wp_template_part', 'wp_navigation', 'wp_global_styles', 'wp_block', 'nav_menu_item', 'custom_css' );
	$media = $posts['attachment'] ?? 0;
	unset( $types['attachment'], $posts['attachment'] );
	// phpcs:ignore WordPress.DB -- as above.
	$comments = (int) $wpdb->get_var( $wpdb->prepare( "SELECT COUNT(*) FROM $wpdb->comments WHERE comment_date_gmt > %s", gmdate( 'Y-m-d H:i:s', $making['moment'] ) ) );
	$counted  = forkpress_counted(
		array(
			array( array_sum( array_intersect_key( $posts, $types ) ), 'post or page', 'posts and pages' ),
			array( array_sum( array_intersect_key( $posts, array_flip( $looks ) ) ), 'template, style or menu entry', 'templates, styles and menu entries' ),
			array( $media, 'media file', 'media files' ),
			array( $comments, 'comment', 'comments' ),
		)
	);
	$moment   = wp_date( get_option( 'date_format' ) . ' ' . get_option( 'time_format' ), $making['moment'] );
	$since    = '' === $counted ? 'No post, page, media file or comment is new or changed' : "New or changed: $counted";
	return "{$making['branch']} was made from {$making['from']} on $moment. $since since then. Settings, code and what was deleted are not counted.";
}

/**
 * Answers what the notice says, and where it leads.
 */
function forkpress_send_difference(): void {
	$making = forkpress_making();
	if ( null === $making || ! current_user_can( 'edit_posts' ) ) {
		wp_send_json_error( null, 403 );
	}
	$is_told = static fn ( array $link ): bool => in_array( $link['does'], array( 'changes', 'merge' ), true );
	wp_send_json_success(
		array(
			'text'  => forkpress_differs( $making ),
			'links' => array_values( array_filter( forkpress_page_links( $making['branch'] ), $is_told ) ),
		)
	);
}
add_action( 'wp_ajax_forkpress_difference', 'forkpress_send_difference' );

/**
 * Makes room for the notice on the dashboard, and has it filled.
 */
function forkpress_show_notice(): void {
	if ( 'dashboard' !== get_current_screen()->id || ! current_user_can( 'edit_posts' ) ) {
		return;
	}
	$making = forkpress_making();
	// It is a setting of how pages look: no diff has it, and no merge. A branch that is made of this one has it, too, but is younger.
	if ( null === $making || get_user_setting( 'forkpress_notice' ) === (string) $making['moment'] ) {
		return;
	}
	echo '<div id="forkpress-notice" class="notice notice-info is-dismissible" hidden><p dir="auto"></p></div>';
	$given = array(
		'url'    => forkpress_ajax_url( 'forkpress_difference' ),
		'moment' => $making['moment'],
	);
	wp_print_inline_script_tag( forkpress_script( 'notice', $given ) );
}
add_action( 'admin_notices', 'forkpress_show_notice' );
