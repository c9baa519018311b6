<?php
/**
 * Access without a password: for the person who runs the server, and for nobody else.
 *
 * @package ForkPress
 */

/**
 * Says why the client of this request has to sign in, or to give a token. The one place that decides it: for the dashboard,
 * for pushes, and for whatever else ForkPress lets be done.
 *
 * It costs a look at the system's table of connections, so it is asked last.
 *
 * @return string|null A sentence without its full stop; null for the person who runs the server.
 */
function forkpress_stranger(): ?string {
	if ( '0' === getenv( 'FORKPRESS_AUTO_LOGIN' ) ) {
		return 'this server asks everybody (FORKPRESS_AUTO_LOGIN=0)';
	}
	return branchfs_stranger( forkpress_server_variables(), forkpress_root_host() );
}
