/**
 * The menu of branches: a box that filters it, the other branches once it is first opened, and links to the branch page.
 *
 * ArrowDown on the menu's title opens it. In it, arrows go from one thing to the next, Enter in the box opens the first branch
 * that is left, and Escape empties the box, then closes the menu.
 */
function ( current ) {
	function prepare() {
		var menu = document.getElementById( 'wp-admin-bar-forkpress' );
		var more = document.getElementById( 'wp-admin-bar-forkpress-more' );
		if ( ! menu || ! more ) {
			return;
		}
		var title = menu.querySelector( '.ab-item' );
		var list = more.parentNode;
		var wrapper = list.parentNode;
		var box = document.createElement( 'input' );
		var said = document.createElement( 'span' );
		var items = Object.create( null );
		var events = [ 'mouseenter', 'focusin', 'touchstart' ];
		var ready = Promise.resolve();

		function text() {
			return box.value.trim().toLowerCase();
		}

		function link( id, words, url ) {
			var anchor = document.createElement( 'a' );
			anchor.className = 'ab-item';
			anchor.setAttribute( 'role', 'menuitem' );
			anchor.href = url;
			anchor.textContent = words;
			var item = document.createElement( 'li' );
			item.id = id;
			item.setAttribute( 'role', 'group' );
			item.appendChild( anchor );
			return item;
		}

		function add( branch ) {
			var id = 'wp-admin-bar-forkpress-branch-' + branch.name;
			items[ branch.name ] = items[ branch.name ] || document.getElementById( id ) || link( id, branch.name, branch.url );
			if ( ! items[ branch.name ].parentNode ) {
				list.insertBefore( items[ branch.name ], more );
			}
		}

		function addPage( links ) {
			if ( ! links.length || document.getElementById( 'wp-admin-bar-forkpress-page' ) ) {
				return;
			}
			var page = document.createElement( 'ul' );
			page.id = 'wp-admin-bar-forkpress-page';
			page.className = 'ab-sub-secondary ab-submenu';
			page.setAttribute( 'role', 'menu' );
			page.setAttribute( 'aria-label', 'ForkPress' );
			links.forEach( function ( one ) {
				page.appendChild( link( 'wp-admin-bar-forkpress-' + one.does, one.text, one.url ) );
			} );
			wrapper.appendChild( page );
		}

		// Shows what fits, and says how much that is; not where it is not known yet how many others there are (null).
		function show( others ) {
			var fitting = 0;
			Object.keys( items ).forEach( function ( name ) {
				items[ name ].hidden = ! name.includes( text() );
				fitting += items[ name ].hidden ? 0 : 1;
			} );
			var words = others > 0 ? 'and ' + others + ' more' : ( fitting ? '' : 'No branch has this in its name' );
			more.firstElementChild.textContent = null === others ? '…' : words;
			more.hidden = null !== others && '' === words;
			if ( null !== others ) {
				said.textContent = text() ? ( 1 === fitting + others ? '1 branch' : fitting + others + ' branches' ) : '';
			}
		}

		function fill() {
			var asked = text();
			ready = window.forkpress.branches( asked ).then( function ( answer ) {
				events.forEach( function ( event ) {
					menu.removeEventListener( event, fill );
				} );
				answer.branches.forEach( add );
				addPage( answer.links );
				if ( asked === text() ) {
					show( answer.more );
				}
			}, function () {} );
		}

		function open( is ) {
			menu.classList.toggle( 'hover', is );
			title.setAttribute( 'aria-expanded', is ? 'true' : 'false' );
		}

		function close() {
			title.focus();
			open( false );
		}

		function move( step ) {
			var all = Array.from( wrapper.querySelectorAll( 'input, a' ) ).filter( function ( one ) {
				return ! one.closest( '[hidden]' );
			} );
			var next = all[ all.indexOf( document.activeElement ) + step ];
			if ( next ) {
				next.focus();
			}
		}

		function follow() {
			var asked = text();
			ready.then( function () {
				var first = list.querySelector( 'li[id^="wp-admin-bar-forkpress-branch-"]:not([hidden]) a' );
				if ( asked && asked === text() && first ) {
					first.click();
				}
			} );
		}

		function escape() {
			if ( document.activeElement === box && box.value ) {
				box.value = '';
				fill();
			} else {
				close();
			}
		}

		var keys = {
			ArrowDown: move.bind( null, 1 ),
			ArrowUp: move.bind( null, -1 ),
			Escape: escape
		};

		box.id = 'forkpress-filter';
		box.type = 'search';
		box.placeholder = 'Filter branches';
		box.autocomplete = 'off';
		box.spellcheck = false;
		box.setAttribute( 'aria-label', 'Filter branches' );
		box.setAttribute( 'aria-controls', list.id );
		box.addEventListener( 'input', function () {
			// What is known already is shown at once.
			show( null );
			fill();
		} );
		said.className = 'screen-reader-text';
		said.setAttribute( 'role', 'status' );
		wrapper.insertBefore( said, list );
		wrapper.insertBefore( box, said );

		wrapper.addEventListener( 'keydown', function ( event ) {
			var key = 'Enter' === event.key && event.target === box ? follow : keys[ event.key ];
			if ( key && ! event.isComposing ) {
				event.preventDefault();
				event.stopPropagation();
				open( true );
				key();
			}
		} );
		title.addEventListener( 'keydown', function ( event ) {
			if ( 'ArrowDown' === event.key ) {
				event.preventDefault();
				open( true );
				box.focus();
			}
		} );
		menu.addEventListener( 'focusout', function ( event ) {
			if ( event.relatedTarget && ! menu.contains( event.relatedTarget ) && ! menu.matches( ':hover' ) ) {
				open( false );
			}
		} );
		[ 'main', current ].forEach( function ( name ) {
			add( { name: name, url: '' } );
		} );
		events.forEach( function ( event ) {
			menu.addEventListener( event, fill, { passive: true } );
		} );
	}
	if ( 'loading' === document.readyState ) {
		document.addEventListener( 'DOMContentLoaded', prepare );
	} else {
		prepare();
	}
}
