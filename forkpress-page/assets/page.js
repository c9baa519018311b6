// What makes the branch page handier. All of it works without.
'use strict';

// Moments are shown in the time zone of the browser.
function showMoments( root ) {
	const format = new Intl.DateTimeFormat( undefined, { dateStyle: 'medium', timeStyle: 'short' } );
	for ( const time of root.querySelectorAll( 'time[datetime]' ) ) {
		const moment = new Date( time.dateTime );
		if ( ! Number.isNaN( moment.getTime() ) ) {
			time.textContent = format.format( moment );
		}
	}
}

// The name of a new branch is checked as it is typed.
function checkNames() {
	const input = document.querySelector( '[data-new-branch]' );
	const said = document.getElementById( 'name-check' );
	const taken = document.getElementById( 'taken' );
	if ( ! input || ! said || ! taken ) {
		return;
	}
	const names = new Set( Array.from( taken.options, ( option ) => option.value ) );
	const reserved = new Set( input.dataset.reserved.split( ' ' ) );
	const check = () => {
		const name = input.value;
		let problem = '';
		if ( names.has( name ) ) {
			problem = `There is a branch ${ name } already.`;
		} else if ( reserved.has( name ) ) {
			problem = 'This name is reserved.';
		} else if ( name !== '' && ! input.validity.valid ) {
			problem = 'Use 1 to 63 lower-case letters, digits, - or _, without a - at either end.';
		}
		input.setCustomValidity( names.has( name ) || reserved.has( name ) ? problem : '' );
		input.setAttribute( 'aria-invalid', problem === '' ? 'false' : 'true' );
		said.textContent = problem;
	};
	input.addEventListener( 'input', () => {
		input.setCustomValidity( '' );
		check();
	} );
	check();
}

// How many conflicts are left to decide is counted as they are. Who writes another text wants it.
function countConflicts() {
	const left = document.querySelector( '[data-left]' );
	const form = left && left.closest( 'form' );
	if ( ! form ) {
		return;
	}
	const shown = new Set( Array.from( form.querySelectorAll( 'input[type=radio]' ), ( radio ) => radio.name ) );
	const before = Number.parseInt( left.textContent, 10 );
	const chosen = () => new Set( Array.from( form.querySelectorAll( 'input[type=radio]:checked' ), ( radio ) => radio.name ) ).size;
	// Of those that the page does not show, some may be left as well.
	const elsewhere = before - ( shown.size - chosen() );
	const count = () => {
		const open = shown.size - chosen() + elsewhere;
		left.textContent = left.textContent.replace( /^\d+/, String( open ) );
	};
	form.addEventListener( 'change', count );
	form.addEventListener( 'input', ( event ) => {
		const id = event.target.dataset.take;
		const radio = id && form.querySelector( `input[name="take.${ id }"][value=value]` );
		if ( radio ) {
			radio.checked = true;
			count();
		}
	} );
}

// What visitors see in branches is loaded once somebody opens it. Without this, its links load it.
function showFrames() {
	document.addEventListener( 'toggle', ( { target } ) => {
		if ( target.matches( 'details[data-frames][open]' ) ) {
			for ( const frame of target.querySelectorAll( 'iframe[data-src]' ) ) {
				frame.src = frame.dataset.src;
				delete frame.dataset.src;
			}
		}
	}, true );
}

// What is new is shown while somebody looks. The server tells it, region by region. No region has a form in it, so nobody who
// types is disturbed.
function showNews() {
	const regions = new Map( Array.from( document.querySelectorAll( '[data-live]' ), ( region ) => [ region.dataset.live, region ] ) );
	if ( regions.size === 0 ) {
		return;
	}
	// What a person opens, scrolls or stands in, by its name.
	const parts = ( region ) => {
		const found = Array.from( region.querySelectorAll( 'summary, [tabindex]' ) );
		return new Map( found.map( ( part ) => [ part.ariaLabel ?? part.textContent, part ] ) );
	};
	const show = ( { region: name, mark, html } ) => {
		const region = regions.get( name );
		if ( ! region || region.dataset.mark === mark ) {
			return;
		}
		// What has the focus is found again by where its link leads, or by its name; so is what was scrolled, opened or closed.
		const used = document.activeElement;
		const href = region.contains( used ) ? used.getAttribute( 'href' ) : null;
		const before = Array.from( parts( region ), ( [ name, part ] ) => ( {
			name,
			left: part.scrollLeft,
			top: part.scrollTop,
			isOpen: part.parentElement.open,
			isUsed: part === used,
		} ) );
		const content = document.createElement( 'template' );
		// The server has escaped it, as it does in the page.
		content.innerHTML = html;
		showMoments( content.content );
		region.replaceChildren( content.content );
		region.dataset.mark = mark;
		const after = parts( region );
		for ( const { name, left, top, isOpen, isUsed } of before ) {
			const part = after.get( name );
			if ( part?.matches( 'summary' ) ) {
				part.parentElement.open = isOpen;
			}
			part?.scrollTo( left, top );
			if ( isUsed ) {
				part?.focus( { preventScroll: true } );
			}
		}
		if ( href !== null ) {
			region.querySelector( `[href="${ CSS.escape( href ) }"]` )?.focus( { preventScroll: true } );
		}
	};
	let source = null;
	const listen = () => {
		source?.close();
		source = null;
		// A browser has few connections for all of its tabs: one that nobody sees needs none.
		if ( document.visibilityState === 'hidden' ) {
			return;
		}
		source = new EventSource( `/live?at=${ encodeURIComponent( location.pathname + location.search ) }` );
		source.addEventListener( 'fragment', ( event ) => show( JSON.parse( event.data ) ) );
	};
	document.addEventListener( 'visibilitychange', listen );
	window.addEventListener( 'pagehide', () => source?.close() );
	window.addEventListener( 'pageshow', ( event ) => event.persisted && listen() );
	listen();
}

showMoments( document );
countConflicts();
checkNames();
showFrames();
showNews();
