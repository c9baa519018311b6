<?php
/**
 * Links to the branch page: ForkPress's own pages about branches, which its server serves at an address of their own.
 *
 * There is no such page where another server runs the router: there, FORKPRESS_PAGE is not set. And it opens without a token
 * only for the person who runs the server, so nobody else gets links to it.
 *
 * @package ForkPress
 */

/**
 * Returns the branch that a branch came from; null where nobody says, or where it is gone.
 *
 * @param string $branch Its name.
 */
function forkpress_parent( string $branch ): ?string {
	$parent = branchfs_record( forkpress_cow_dir(), $branch )['from'] ?? null;
	return null !== $parent && null !== branchfs_record( forkpress_cow_dir(), $parent ) ? $parent : null;
}

/**
 * Returns the links to what the branch page says about a branch and does with it, for the client of this request: none where
 * there is no page, or for somebody else than the person who runs the server.
 *
 * @param string $branch Its name.
 * @return array[] What each leads to (`does`), what it says beside the branch's name (`text`) and alone (`command`), and `url`.
 */
function forkpress_page_links( string $branch ): array {
	if ( '1' !== getenv( 'FORKPRESS_PAGE' ) || null !== forkpress_stranger() ) {
		return array();
	}
	// No branch has this host, so it is sent as it is.
	$page  = strtolower( (string) preg_replace( '#^https?://#', '$0admin.', forkpress_branch_url( 'main', false ) ) );
	$link  = static function ( string $does, string $text, string $command, string $path, array $query = array() ) use ( $page ): array {
		$url = $page . $path . ( $query ? '?' . http_build_query( $query ) : '' );
		return compact( 'does', 'text', 'command', 'url' );
	};
	$links = array( $link( 'create', 'New branch from this one…', 'New branch…', 'do/create', array( 'from' => $branch ) ) );
	// What main was made from, if anything, is no branch that it comes home to.
	if ( 'main' !== $branch ) {
		$links[] = $link( 'changes', 'What changed', 'What this branch changed', 'branch/' . rawurlencode( $branch ) . '/changes' );
		$parent  = forkpress_parent( $branch );
		if ( null !== $parent ) {
			$query   = array(
				'source' => $branch,
				'into'   => $parent,
			);
			$links[] = $link( 'merge', "Merge into {$parent}…", 'Merge this branch…', 'merge', $query );
		}
	}
	$links[] = $link( 'all', 'All branches', 'All branches', '' );
	return $links;
}
