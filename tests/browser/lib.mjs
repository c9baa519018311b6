/**
 * What the tests in a real browser share: claims, a Chromium that finds every branch's host on this machine, what it complains
 * about, what axe-core finds, and pictures.
 *
 * Each claim is a line, `ok      CLAIM` or `FAILED  CLAIM`; the last line counts them. The pictures go to the folder that
 * FORKPRESS_SCREENSHOTS names; default: target/screenshots.
 */

import { existsSync, mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const here = dirname( fileURLToPath( import.meta.url ) );
const pictures = process.env.FORKPRESS_SCREENSHOTS || join( here, '../../target/screenshots' );
mkdirSync( pictures, { recursive: true } );

/** How long something that must happen is waited for, in milliseconds. Nothing depends on its being short. */
const PATIENCE = 60000;

let passed = 0;
let failed = 0;

/**
 * Shows that something is true. It is not where the function throws.
 *
 * @param {string}   words What is true, as a sentence.
 * @param {Function} show  Shows it.
 */
export async function claim( words, show ) {
	if ( ! words.includes( process.env.FORKPRESS_TEST_ONLY || '' ) ) {
		return;
	}
	try {
		await show();
		passed++;
		console.log( `ok      ${ words }` );
	} catch ( failure ) {
		failed++;
		console.log( `FAILED  ${ words }\n        ${ String( failure.stack || failure ).replaceAll( '\n', '\n        ' ) }` );
	}
}

/** Prints how many claims held, and makes a failure, or a run without claims, the exit status. */
export function end() {
	console.log( `${ passed } passed, ${ failed } failed` );
	process.exitCode = 0 === failed && passed > 0 ? 0 : 1;
}

/** Starts Chromium. */
export async function launch() {
	const places = [ process.env.FORKPRESS_CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome' ];
	return chromium.launch( {
		executablePath: places.find( ( place ) => place && existsSync( place ) ),
		args: [ '--no-sandbox', '--host-resolver-rules=MAP *.localhost 127.0.0.1' ],
	} );
}

/** Somebody at a browser without a past: who runs the server, and so needs no password. */
export class Person {
	/** What the browser complained about, and what pages said on its console. */
	complaints = [];

	/** Each address that was asked for. */
	asked = [];

	/**
	 * Opens a browser.
	 *
	 * @param {Object} browser What launch() returned.
	 * @param {Object} options Playwright's, of a context.
	 */
	static async at( browser, options = {} ) {
		const person = new Person();
		person.context = await browser.newContext( { viewport: { width: 1280, height: 800 }, ...options } );
		person.context.setDefaultTimeout( PATIENCE );
		person.context.on( 'console', ( message ) => person.complaints.push( `${ message.type() }: ${ message.text() }` ) );
		person.context.on( 'weberror', ( error ) => person.complaints.push( `exception: ${ error.error() }` ) );
		person.context.on( 'request', ( request ) => person.asked.push( request.url() ) );
		// Other sites, such as the one that has WordPress's avatars, are out of reach, without a complaint.
		await person.context.route( ( url ) => ! url.hostname.endsWith( 'localhost' ), ( route ) => route.fulfill( { status: 204 } ) );
		person.page = await person.context.newPage();
		return person;
	}

	/**
	 * Opens a page.
	 *
	 * @param {string} url Its address.
	 */
	async open( url ) {
		const answer = await this.page.goto( url );
		if ( ! answer.ok() ) {
			throw new Error( `${ url } answers ${ answer.status() }` );
		}
		return this.page;
	}

	/**
	 * Makes a picture of what is seen.
	 *
	 * @param {string} name Its file's, without the suffix.
	 * @param {Object} page The page.
	 */
	async picture( name, page = this.page ) {
		await page.screenshot( { path: join( pictures, `${ name }.png` ), animations: 'disabled' } );
	}

	/**
	 * Fails where axe-core finds something in a part of the page.
	 *
	 * @param {string}   part  The part, as a selector.
	 * @param {string[]} usual Rules that what others made of the part does not keep.
	 */
	async isAccessible( part = 'html', usual = [] ) {
		await this.page.evaluate( await readFile( join( here, 'node_modules/axe-core/axe.min.js' ), 'utf8' ) );
		const found = await this.page.evaluate( ( selector ) => window.axe.run( selector ), part );
		const words = found.violations.filter( ( one ) => ! usual.includes( one.id ) ).map( ( one ) => `${ one.id }: ${ one.help }: ${ one.nodes.map( ( node ) => node.html ).join( ' | ' ) }` );
		same( [], words, `what axe-core finds in ${ part }` );
	}

	/** Fails where there was a complaint. That WordPress has its jQuery Migrate is none. */
	hasNoComplaint() {
		same( [], this.complaints.filter( ( complaint ) => ! complaint.startsWith( 'log: JQMIGRATE: Migrate is installed' ) ), 'what is said on the console' );
	}
}

/**
 * Fails unless two values are the same, as JSON.
 *
 * @param {*}      expected The value that is right.
 * @param {*}      actual   The value that was found.
 * @param {string} what     What it is the value of.
 */
export function same( expected, actual, what = 'value' ) {
	if ( JSON.stringify( expected ) !== JSON.stringify( actual ) ) {
		throw new Error( `${ what }: expected ${ JSON.stringify( expected ) }, found ${ JSON.stringify( actual ) }` );
	}
}

/**
 * Waits until a function's value is the right one.
 *
 * @param {*}        expected The value that is right.
 * @param {Function} ask      Returns the value that there is.
 * @param {string}   what     What it is the value of.
 */
export async function becomes( expected, ask, what ) {
	const until = Date.now() + PATIENCE;
	for ( ;; ) {
		const actual = await ask();
		if ( JSON.stringify( expected ) === JSON.stringify( actual ) || Date.now() > until ) {
			return same( expected, actual, what );
		}
		await new Promise( ( resolve ) => setTimeout( resolve, 20 ) );
	}
}
