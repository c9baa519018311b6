/**
 * Lets the scripts of a page ask which branches there are, as forkpress.branches( search ). It promises what the server
 * answers: the newest branches, or of more than those the ones with the search in their names; how many more; and links.
 */
function ( url ) {
	var minute = 60000;
	var pause = 150;
	var kept = Object.create( null );
	var newest = '';

	function load( search ) {
		var known = kept[ search ];
		if ( known && Date.now() - known.since < minute ) {
			return known.answer;
		}
		var asked = url + ( search ? '&search=' + encodeURIComponent( search ) : '' );
		var answer = window.fetch( asked, { credentials: 'same-origin' } ).then( function ( response ) {
			return response.json();
		} );
		kept[ search ] = { since: Date.now(), answer: answer };
		answer.catch( function () {
			delete kept[ search ];
		} );
		return answer;
	}

	// The server is asked about what was typed once nothing more is typed.
	function search( text, all ) {
		return new Promise( function ( resolve ) {
			window.setTimeout( resolve, pause );
		} ).then( function () {
			return text === newest ? load( text ) : all;
		} );
	}

	window.forkpress = window.forkpress || {};
	window.forkpress.branches = function ( text ) {
		newest = text;
		return load( '' ).then( function ( all ) {
			return text && all.more > 0 ? search( text, all ) : all;
		} );
	};
}
