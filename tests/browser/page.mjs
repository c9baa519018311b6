/**
 * The branch page in a real browser, as a person uses it: a branch is created, a page is edited, its changes are seen, it is
 * merged with a conflict that is decided, and that is undone; while somebody else looks on; over a slow network; by the keyboard
 * alone; on a narrow screen; without JavaScript. And what a page of a branch can not do.
 *
 *     node page.mjs ORIGIN FOLDER       http://wp.localhost:18080, and the folder of a site that tests/test_page_browser.php made
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Person, becomes, claim, end, launch, same } from './lib.mjs';

const root = new URL( process.argv[ 2 ] );
const folder = process.argv[ 3 ];
const origin = ( branch ) => `http://${ 'main' === branch ? '' : `${ branch }.` }${ root.host }`;
const admin = origin( 'admin' );
const browser = await launch();
const NARROW = { viewport: { width: 360, height: 740 } };

/**
 * Opens a place of the page, as somebody who was never there.
 *
 * @param {string} path    The place.
 * @param {Object} options Playwright's, of a context. What axe-core needs is put past the page's own policy.
 */
async function look( path, options = {} ) {
	const person = await Person.at( browser, { bypassCSP: true, ...options } );
	await person.open( admin + path );
	return person;
}

/** Waits for the end of the job at whose page somebody is, and says whether it is done. */
async function ended( page ) {
	await page.waitForURL( /\/jobs\/\d+$/ );
	await page.locator( '[data-live=job] .good, [data-live=job] .bad' ).first().waitFor();
	return 'done' === await page.locator( '[data-live=job] [role=status] > span' ).first().textContent();
}

/** Fails where a page is wider than its window. */
async function fits( page ) {
	same( false, await page.evaluate( () => document.documentElement.scrollWidth > window.innerWidth ), 'whether the page is too wide' );
}

/** Edits the sample page of a branch in the block editor: its title, and a paragraph at its end. */
async function edit( branch, title, text ) {
	const person = await Person.at( browser );
	const page = await person.open( `${ origin( branch ) }/wp-admin/post.php?post=2&action=edit` );
	const canvas = page.frameLocator( 'iframe[name=editor-canvas]' );
	const heading = canvas.getByRole( 'textbox', { name: 'Add title' } ).or( page.getByRole( 'textbox', { name: 'Add title' } ) ).first();
	await heading.waitFor();
	await page.evaluate( ( [ newTitle, newText ] ) => {
		const { select, dispatch } = window.wp.data;
		// The editor welcomes whoever comes for the first time.
		[ 'core', 'core/edit-post' ].forEach( ( scope ) => dispatch( 'core/preferences' ).set( scope, 'welcomeGuide', false ) );
		dispatch( 'core/editor' ).editPost( { title: newTitle } );
		const block = window.wp.blocks.createBlock( 'core/paragraph', { content: newText } );
		dispatch( 'core/block-editor' ).insertBlocks( block, select( 'core/block-editor' ).getBlockCount() );
	}, [ title, text ] );
	await page.getByRole( 'button', { name: 'Save', exact: true } ).or( page.getByRole( 'button', { name: 'Update', exact: true } ) ).first().click();
	await page.waitForFunction( () => ! window.wp.data.select( 'core/editor' ).isSavingPost() && ! window.wp.data.select( 'core/editor' ).isEditedPostDirty() );
	await person.context.close();
}

await claim( 'a site with one branch says what to do next, and nothing is wrong with it for anybody', async () => {
	for ( const [ name, options ] of [ [ 'one', {} ], [ 'one-dark', { colorScheme: 'dark' } ], [ 'one-narrow', NARROW ] ] ) {
		const person = await look( '/', options );
		await fits( person.page );
		await person.isAccessible();
		await person.picture( `page-${ name }` );
		person.hasNoComplaint();
		await person.context.close();
	}
} );

await claim( 'a branch is created by the keyboard alone, its name is checked as it is typed, and who looks on sees it come', async () => {
	const other = await look( '/' );
	const person = await look( '/' );
	const { page } = person;
	const to = async ( name ) => {
		for ( let press = 0; press < 40; press++ ) {
			await page.keyboard.press( 'Tab' );
			if ( name === await page.evaluate( () => ( document.activeElement.id || document.activeElement.textContent ).trim() ) ) {
				return;
			}
		}
		throw new Error( `Tab never came to ${ name }` );
	};
	await to( 'New branch' );
	await page.keyboard.press( 'Enter' );
	await page.waitForURL( /\/do\/create/ );
	await person.isAccessible();
	await to( 'name' );
	await page.keyboard.type( 'main' );
	await becomes( 'There is a branch main already.', () => page.locator( '#name-check' ).textContent(), 'what is said of a name that is taken' );
	await page.keyboard.press( 'Control+A' );
	await page.keyboard.type( 'Sale!' );
	await becomes( true, async () => ( await page.locator( '#name-check' ).textContent() ).startsWith( 'Use 1 to 63' ), 'whether it says what a name may have' );
	await person.picture( 'page-create-wrong' );
	await page.keyboard.press( 'Control+A' );
	await page.keyboard.type( 'sale' );
	await becomes( '', () => page.locator( '#name-check' ).textContent(), 'what is said of a good one' );
	await page.keyboard.press( 'Enter' );
	await page.waitForURL( /\/jobs\/\d+$/ );
	await person.picture( 'page-job-running' );
	same( true, await ended( page ), 'whether the job is done' );
	await person.isAccessible();
	await person.picture( 'page-job-done' );
	await other.page.locator( '[data-live=branches] a[href="/branch/sale"]' ).waitFor();
	other.hasNoComplaint();
	person.hasNoComplaint();
	await other.context.close();
	await person.context.close();
} );

await claim( 'a page that nobody looks at hears nothing, and hears again once somebody does', async () => {
	const person = await Person.at( browser );
	const { page } = person;
	const isNews = ( request ) => request.url().startsWith( `${ admin }/live` );
	await Promise.all( [ page.waitForRequest( isNews ), person.open( `${ admin }/` ) ] );
	const looks = ( state ) => page.evaluate( ( value ) => {
		Object.defineProperty( document, 'visibilityState', { value, configurable: true } );
		document.dispatchEvent( new Event( 'visibilitychange' ) );
	}, state );
	let asked = 0;
	page.on( 'request', ( request ) => ( asked += isNews( request ) ? 1 : 0 ) );
	const closed = page.waitForEvent( 'requestfailed', isNews );
	await looks( 'hidden' );
	await closed;
	// What was asked for before has come by then.
	await page.evaluate( () => fetch( '/log' ).then( ( answer ) => answer.text() ) );
	same( 0, asked, 'how often a page that nobody looks at asks' );
	const opened = page.waitForRequest( isNews );
	await looks( 'visible' );
	await opened;
	person.hasNoComplaint();
	await person.context.close();
} );

await claim( 'what was edited in the block editor is seen word by word, and as visitors see it', async () => {
	await edit( 'sale', 'Summer sale', 'Everything is half the price.' );
	const person = await look( '/branch/sale/changes' );
	const { page } = person;
	same( 1, await page.locator( 'ins', { hasText: 'Everything is half the price.' } ).count(), 'what came' );
	same( 1, await page.locator( 'ins', { hasText: 'Summer sale' } ).count(), 'the title' );
	same( 0, await page.locator( 'iframe[src]' ).count(), 'frames that load before they are asked for' );
	await page.locator( 'summary', { hasText: /sale/ } ).first().click();
	const frame = page.locator( `iframe[src^="${ origin( 'sale' ) }"]` ).first();
	await frame.waitFor();
	same( '', await frame.getAttribute( 'sandbox' ), 'what the frame may do' );
	await frame.contentFrame().getByText( 'Everything is half the price.' ).waitFor();
	await person.isAccessible();
	await person.picture( 'page-changes' );
	await page.setViewportSize( NARROW.viewport );
	await fits( page );
	await person.picture( 'page-changes-narrow' );
	await person.context.close();
} );

await claim( 'a conflict is decided over a slow network, the merge shows what it did, and is undone', async () => {
	await edit( 'main', 'Winter sale', 'Gloves are cheap.' );
	const person = await look( '/merge?source=sale&into=main', NARROW );
	const { page } = person;
	// What visitors see of it is seen here, in both branches.
	await page.locator( 'summary', { hasText: 'See it in main and in sale' } ).first().click();
	for ( const [ branch, text ] of [ [ 'main', 'Gloves are cheap.' ], [ 'sale', 'Everything is half the price.' ] ] ) {
		const frame = page.locator( `fieldset iframe[src^="${ origin( branch ) }/"]` ).first();
		same( '', await frame.getAttribute( 'sandbox' ), `what the frame of ${ branch } may do` );
		await frame.contentFrame().getByText( text ).waitFor();
	}
	await person.picture( 'page-conflict-seen' );
	const network = await person.context.newCDPSession( page );
	await network.send( 'Network.emulateNetworkConditions', { offline: false, latency: 400, downloadThroughput: 50000, uploadThroughput: 20000 } );
	await person.isAccessible();
	await fits( page );
	await person.picture( 'page-conflict-narrow' );
	const conflicts = page.locator( 'main fieldset', { has: page.locator( 'input[type=radio]' ) } );
	const count = await conflicts.count();
	same( true, count >= 2, 'whether title and content are in conflict' );
	// Nothing is sent before all is decided, and what is left is counted.
	const left = () => page.locator( '[data-left]' ).textContent();
	await conflicts.first().locator( 'input[type=radio]' ).nth( 1 ).check();
	await becomes( true, async () => ( await left() ).startsWith( `${ count - 1 } ` ), 'whether one less is left' );
	await page.getByRole( 'button', { name: 'Merge sale into main' } ).click();
	same( true, page.url().includes( '/merge?' ), 'whether it is the same page' );
	for ( let number = 1; number < count; number++ ) {
		await conflicts.nth( number ).locator( 'input[type=radio]' ).nth( 1 ).check();
	}
	await page.getByRole( 'button', { name: 'Merge sale into main' } ).click();
	same( true, await ended( page ), 'whether the merge is done' );
	await person.picture( 'page-merged' );
	const shown = await Person.at( browser );
	await shown.open( `${ origin( 'main' ) }/?page_id=2` );
	await shown.page.getByText( 'Summer sale' ).first().waitFor();
	await page.getByRole( 'link', { name: /Undo/ } ).first().click();
	await page.getByRole( 'button', { name: 'Undo' } ).click();
	same( true, await ended( page ), 'whether it is undone' );
	await shown.open( `${ origin( 'main' ) }/?page_id=2` );
	await shown.page.getByText( 'Winter sale' ).first().waitFor();
	await shown.context.close();
	await person.context.close();
} );

await claim( 'a failure says what to do, and two people act at once', async () => {
	const people = await Promise.all( [ look( '/do/create' ), look( '/do/create' ) ] );
	const outcomes = await Promise.all( people.map( async ( { page } ) => {
		await page.locator( '#name' ).fill( 'both' );
		await page.getByRole( 'button', { name: 'Create the branch' } ).click();
		return ended( page );
	} ) );
	same( [ false, true ], outcomes.toSorted(), 'who made it' );
	const loser = people[ outcomes.indexOf( false ) ];
	await loser.page.getByText( 'What to do:' ).waitFor();
	await loser.isAccessible();
	await loser.picture( 'page-job-failed' );
	await Promise.all( people.map( ( person ) => person.context.close() ) );
} );

await claim( 'what somebody reads of a job that runs stays open with the news, and keeps the focus', async () => {
	const holder = spawn( 'flock', [ join( folder, '.forkpress/cow/mutation.lock' ), 'sh', '-c', 'echo held; read -r _' ] );
	await once( holder.stdout, 'data' );
	const person = await look( '/do/create' );
	const { page } = person;
	await page.locator( '#name' ).fill( 'held' );
	await page.getByRole( 'button', { name: 'Create the branch' } ).click();
	const lines = page.getByRole( 'region', { name: 'Progress' } );
	await lines.getByText( 'mutation.lock' ).waitFor();
	await lines.focus();
	holder.stdin.end();
	same( true, await ended( page ), 'whether the job is done' );
	const state = () => page.evaluate( () => [ document.activeElement.ariaLabel, document.activeElement.closest( 'details' )?.open ] );
	same( [ 'Progress', true ], await state(), 'what has the focus, and whether it is open' );
	person.hasNoComplaint();
	await person.context.close();
} );

await claim( 'all of it works without JavaScript', async () => {
	const person = await Person.at( browser, { javaScriptEnabled: false } );
	const page = await person.open( `${ admin }/do/create?from=main` );
	await page.locator( '#name' ).fill( 'plain' );
	await page.getByRole( 'button', { name: 'Create the branch' } ).click();
	await page.waitForURL( /\/jobs\/\d+$/ );
	// The page loads itself again while the job runs.
	await page.locator( 'main .good' ).first().waitFor();
	await page.getByRole( 'link', { name: 'plain' } ).first().click();
	await page.getByRole( 'link', { name: 'Delete…' } ).click();
	await page.getByRole( 'button', { name: 'Delete the branch' } ).click();
	await page.locator( 'main .good' ).first().waitFor();
	// What visitors see comes when its link is pressed, not before.
	const asked = [];
	page.on( 'request', ( request ) => asked.push( new URL( request.url() ).origin ) );
	await page.goto( `${ admin }/branch/sale/changes` );
	await page.locator( 'summary', { hasText: /See it in/ } ).first().click();
	same( [ admin ], [ ...new Set( asked ) ], 'who was asked for something' );
	await page.getByRole( 'link', { name: 'In sale', exact: true } ).first().click();
	await page.frameLocator( 'iframe[name$="-sale"]' ).first().getByText( 'Everything is half the price.' ).waitFor();
	same( `${ admin }/branch/sale/changes`, page.url(), 'where the page is' );
	await person.context.close();
} );

await claim( 'a page of a branch, main as well, can neither frame, fetch nor act on the branch page', async () => {
	for ( const branch of [ 'main', 'sale' ] ) {
		const person = await Person.at( browser );
		await person.open( `${ admin }/` );
		const page = await person.open( `${ origin( branch ) }/` );
		const found = await page.evaluate( async ( address ) => {
			const tried = {};
			tried.fetch = await fetch( `${ address }/`, { credentials: 'include' } ).then( ( answer ) => answer.text(), () => 'refused' );
			tried.opaque = await fetch( `${ address }/`, { mode: 'no-cors', credentials: 'include' } ).then( ( answer ) => answer.type, () => 'refused' );
			const form = new URLSearchParams( { name: 'stolen', from: 'main', token: '0'.repeat( 64 ) } );
			tried.post = await fetch( `${ address }/do/create`, { method: 'POST', mode: 'no-cors', credentials: 'include', body: form } ).then( ( answer ) => answer.type, () => 'refused' );
			const frame = document.createElement( 'iframe' );
			frame.src = `${ address }/do/delete?name=sale`;
			document.body.append( frame );
			await new Promise( ( done ) => frame.addEventListener( 'load', done ) );
			return tried;
		}, admin );
		same( { fetch: 'refused', opaque: 'refused', post: 'refused' }, found, `what a page of ${ branch } gets` );
		// What the browser has in place of a page that lets nobody frame it.
		same( [ 'chrome-error://chromewebdata/' ], page.mainFrame().childFrames().map( ( frame ) => frame.url() ), `a frame in ${ branch }` );
		// A form that another page sends by itself.
		await page.evaluate( ( address ) => {
			const form = document.createElement( 'form' );
			form.method = 'post';
			form.action = `${ address }/do/delete`;
			form.innerHTML = '<input name="name" value="sale">';
			document.body.append( form );
			form.submit();
		}, admin );
		await page.waitForURL( /\/do\/delete$/ );
		same( true, ( await page.textContent( 'body' ) ).includes( 'This form was sent from another page' ), 'what the page says' );
		await person.context.close();
	}
	const person = await look( '/' );
	await person.page.locator( 'a[href="/branch/sale"]' ).first().waitFor();
	same( 0, await person.page.locator( 'a[href="/branch/stolen"]' ).count(), 'branches that a page of a branch made' );
	await person.context.close();
} );

await claim( 'two hundred branches, some with long names, are shown at any width', async () => {
	const person = await look( '/' );
	// As branches are known: a record, and a folder.
	for ( let number = 0; number < 197; number++ ) {
		const name = 0 === number % 2 ? `agent-${ number }` : `a-${ 'very-'.repeat( 9 ) }long-name-${ number }`;
		mkdirSync( join( folder, name ) );
		writeFileSync( join( folder, '.forkpress/cow/branches', `${ name }.toml` ), "created_at = '2026-01-01T00:00:00Z'\ngeneration = 0\nfrom = 'main'\n" );
	}
	await person.page.getByText( /19\d branches|20\d branches/ ).first().waitFor();
	for ( const [ name, options ] of [ [ 'many', {} ], [ 'many-narrow', NARROW ], [ 'many-dark', { colorScheme: 'dark' } ] ] ) {
		const other = await look( '/', options );
		await fits( other.page );
		// Where columns would be a letter wide, each cell has a line of its own.
		same( NARROW === options ? 'block' : 'table-cell', await other.page.locator( 'table.rows td' ).first().evaluate( ( cell ) => getComputedStyle( cell ).display ), 'what a cell is' );
		await other.isAccessible();
		await other.picture( `page-${ name }` );
		other.hasNoComplaint();
		await other.context.close();
	}
	await person.context.close();
} );

await claim( 'each place is accessible and fits, also from right to left', async () => {
	for ( const path of [ '/branch/sale', '/log', '/now', '/jobs', '/merge', '/do/create', '/do/create-many', '/do/reset?name=sale', '/do/delete?name=sale', '/do/undo?id=1', '/do/import', '/do/export?name=sale', '/do/gc' ] ) {
		const person = await look( path, NARROW );
		await fits( person.page );
		await person.isAccessible();
		await person.page.evaluate( () => document.documentElement.setAttribute( 'dir', 'rtl' ) );
		await fits( person.page );
		person.hasNoComplaint();
		await person.context.close();
	}
} );

await browser.close();
end();
