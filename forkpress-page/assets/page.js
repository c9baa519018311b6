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

showMoments( document );
countConflicts();
checkNames();
