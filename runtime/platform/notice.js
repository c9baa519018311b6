/**
 * Fills the notice of a branch's dashboard once that is there, and remembers for the user that it was dismissed.
 */
function ( given ) {
	window.addEventListener( 'load', function () {
		var notice = document.getElementById( 'forkpress-notice' );
		if ( ! notice ) {
			return;
		}
		notice.addEventListener( 'click', function ( event ) {
			if ( event.target.closest( '.notice-dismiss' ) ) {
				window.setUserSetting( 'forkpress_notice', given.moment );
			}
		} );
		window.fetch( given.url, { credentials: 'same-origin' } ).then( function ( response ) {
			return response.json();
		} ).then( function ( answer ) {
			if ( ! answer.success ) {
				return;
			}
			var words = notice.querySelector( 'p' );
			words.textContent = answer.data.text;
			answer.data.links.forEach( function ( link ) {
				var anchor = document.createElement( 'a' );
				anchor.href = link.url;
				anchor.textContent = link.text;
				words.append( ' ', anchor );
			} );
			notice.hidden = false;
		} ).catch( function () {} );
	} );
}
