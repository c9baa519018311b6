/**
 * Commands of WordPress's palette: the same page on another branch, and what the branch page does. Which branches there are is
 * asked once the palette is used.
 */
function ( current ) {
	var element = window.wp.element;

	function go( url ) {
		return function ( palette ) {
			palette.close();
			window.location.assign( url );
		};
	}

	// An address with a nonce does something, and only once.
	function here( branch ) {
		var query = new URLSearchParams( window.location.search );
		return new URL( window.location.pathname + ( query.has( '_wpnonce' ) ? '' : window.location.search ), branch.url ).href;
	}

	function commands( answer ) {
		var others = answer.branches.filter( function ( branch ) {
			return branch.name !== current;
		} );
		return others.map( function ( branch ) {
			return {
				name: 'forkpress/switch-' + branch.name,
				label: 'Switch to branch ' + branch.name,
				callback: go( here( branch ) )
			};
		} ).concat( answer.links.map( function ( link ) {
			return {
				name: 'forkpress/' + link.does,
				label: link.command,
				callback: go( link.url )
			};
		} ) );
	}

	function useBranches( asked ) {
		var state = element.useState( null );
		var answer = state[ 0 ];
		element.useEffect( function () {
			var isWanted = true;
			function keep( found ) {
				if ( isWanted ) {
					state[ 1 ]( found );
				}
			}
			window.forkpress.branches( asked.search.trim().split( /\s+/ ).pop().toLowerCase() ).then( keep, function () {
				keep( { branches: [], links: [] } );
			} );
			return function () {
				isWanted = false;
			};
		}, [ asked.search ] );
		return {
			isLoading: null === answer,
			commands: element.useMemo( function () {
				return answer ? commands( answer ) : [];
			}, [ answer ] )
		};
	}

	window.wp.data.dispatch( 'core/commands' ).registerCommandLoader( {
		name: 'forkpress/branches',
		hook: useBranches,
		category: 'command'
	} );
}
