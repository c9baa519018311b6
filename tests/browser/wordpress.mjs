/**
 * What ForkPress adds to WordPress, in a real browser: the menu of branches, the commands of the palette, the notice on a
 * branch's dashboard; and that previews, the Customizer and autosaves stay on their branch.
 *
 *     node wordpress.mjs ORIGIN       http://wp.localhost:18080, of a site that tests/test_page_wordpress.php made
 */

import { Person, becomes, claim, end, launch, same } from './lib.mjs';

const root = new URL( process.argv[ 2 ] );
const origin = ( branch ) => `${ root.protocol }//${ 'main' === branch ? '' : `${ branch }.` }${ root.host }`;
const isSecure = 'https:' === root.protocol;
const admin = origin( 'admin' );
const browser = await launch();

/**
 * Opens a page of a branch, as somebody who was never there.
 *
 * @param {string} branch The branch.
 * @param {string} path   The page.
 */
async function visit( branch, path ) {
	const person = await Person.at( browser, { ignoreHTTPSErrors: isSecure } );
	await person.open( origin( branch ) + path );
	return person;
}

const MENU = '#wp-admin-bar-forkpress';
/** What axe-core finds in every menu of WordPress's bar: its entries are list items with the role of a group. */
const LIKE_WORDPRESS = [ 'aria-allowed-role' ];
const BOX = '#forkpress-filter';

/** The names that the menu shows. */
const shown = ( page ) => page.locator( `${ MENU } li[id^="wp-admin-bar-forkpress-branch-"] a:visible` ).allTextContents();

/** What has the focus. */
const focused = ( page ) => page.evaluate( () => document.activeElement.id || document.activeElement.textContent );

/** Opens the menu by the keyboard, and waits until it is filled. */
async function openMenu( page ) {
	await page.locator( `${ MENU } > a` ).focus();
	await page.keyboard.press( 'ArrowDown' );
	await page.locator( `${ MENU }-page` ).waitFor();
}

if ( ! isSecure ) {
	await claim( 'the menu opens, filters and leads to a branch by the keyboard alone', async () => {
		const person = await visit( 'main', '/wp-admin/' );
		const { page } = person;
		await openMenu( page );
		same( 'forkpress-filter', await focused( page ), 'what has the focus' );
		same( 'true', await page.locator( `${ MENU } > a` ).getAttribute( 'aria-expanded' ), 'whether it says that it is open' );
		same( 50, ( await shown( page ) ).length, 'branches that are listed' );
		await person.picture( 'menu-open' );
		await person.isAccessible( MENU, LIKE_WORDPRESS );

		await page.keyboard.type( 'MARKET' );
		await becomes( [ 'marketing-2', 'marketing' ], () => shown( page ), 'what fits' );
		await becomes( '2 branches', () => page.locator( `${ MENU } [role=status]` ).textContent(), 'what a screen reader says' );
		await person.picture( 'menu-filtered' );
		await person.isAccessible( MENU, LIKE_WORDPRESS );
		await page.keyboard.press( 'ArrowDown' );
		same( 'marketing-2', await focused( page ), 'below the box' );
		await page.keyboard.press( 'ArrowDown' );
		same( 'marketing', await focused( page ), 'below that' );
		await page.keyboard.press( 'ArrowDown' );
		same( 'New branch from this one…', await focused( page ), 'below that' );
		for ( let times = 0; times < 3; times++ ) {
			await page.keyboard.press( 'ArrowUp' );
		}
		same( 'forkpress-filter', await focused( page ), 'above all' );

		await page.keyboard.press( 'Escape' );
		await becomes( [ 50, 'forkpress-filter' ], async () => [ ( await shown( page ) ).length, await focused( page ) ], 'after Escape' );
		await page.keyboard.press( 'Escape' );
		same( [ false, 'Branch: main' ], [ await page.locator( BOX ).isVisible(), await focused( page ) ], 'after another Escape' );

		await page.keyboard.press( 'ArrowDown' );
		await page.keyboard.type( 'keting-2' );
		await page.keyboard.press( 'Enter' );
		await page.waitForURL( `${ origin( 'marketing-2' ) }/wp-admin/` );
		person.hasNoComplaint();
	} );

	await claim( 'a branch that is older than the listed ones is found by its name, and what is in no name is said to be', async () => {
		const person = await visit( 'main', '/wp-admin/edit.php' );
		const { page } = person;
		await openMenu( page );
		same( false, ( await shown( page ) ).includes( 'eldest' ), 'whether it is listed' );
		same( 'and 16 more', await page.locator( `${ MENU }-more` ).innerText(), 'what is said of it' );
		await page.keyboard.type( 'eldes' );
		await becomes( [ 'eldest' ], () => shown( page ), 'what fits' );
		await page.keyboard.type( 'tx' );
		await becomes( 'No branch has this in its name', () => page.locator( `${ MENU }-more` ).innerText(), 'what is said where none fits' );
		same( [], await shown( page ), 'what fits then' );
		await person.picture( 'menu-nothing-fits' );
		person.hasNoComplaint();
	} );

	await claim( 'the menu stays while its box is used, wherever the mouse is, also on the front page', async () => {
		const person = await visit( 'marketing', '/wp-admin/' );
		const { page } = person;
		await person.open( `${ origin( 'marketing' ) }/` );
		await page.hover( `${ MENU } > a` );
		await page.locator( BOX ).click();
		await page.mouse.move( 900, 700 );
		await becomes( false, () => page.locator( MENU ).evaluate( ( menu ) => menu.classList.contains( 'hover' ) ), 'whether WordPress has closed it' );
		await page.keyboard.type( 'main' );
		await becomes( [ 'main' ], () => shown( page ), 'what fits' );
		await person.picture( 'menu-front-page' );
		await page.mouse.click( 900, 700 );
		await becomes( false, () => page.locator( BOX ).isVisible(), 'whether it is open once something else is clicked' );
		person.hasNoComplaint();
	} );

	await claim( 'the menu and the notice are right where the language is written from right to left', async () => {
		const person = await visit( 'rtl', '/wp-admin/' );
		same( 'rtl', await person.page.evaluate( () => document.dir || getComputedStyle( document.body ).direction ), 'direction' );
		await person.page.locator( '#forkpress-notice' ).waitFor();
		await openMenu( person.page );
		const box = await person.page.locator( BOX ).boundingBox();
		const menu = await person.page.locator( `${ MENU } > .ab-sub-wrapper` ).boundingBox();
		same( true, box.x >= menu.x && box.x + box.width <= menu.x + menu.width, 'whether the box is within the menu' );
		await person.picture( 'menu-rtl' );
		person.hasNoComplaint();
	} );

	/** Opens the palette, and waits for a command that fits what is typed. */
	const command = async ( person, text, label ) => {
		await person.page.waitForFunction( () => window.wp?.data?.select( 'core/keyboard-shortcuts' )?.getShortcutKeyCombination( 'core/commands' ) );
		await person.page.keyboard.press( 'Control+k' );
		await person.page.locator( '.commands-command-menu input' ).fill( text );
		const option = person.page.getByRole( 'option', { name: label } );
		await option.waitFor();
		return option;
	};

	await claim( 'Ctrl-K switches to another branch, on the same page', async () => {
		const person = await visit( 'main', '/wp-admin/edit.php?post_type=page' );
		same( [], person.asked.filter( ( url ) => url.includes( 'forkpress_branches' ) ), 'what was asked before' );
		await command( person, 'marketing', 'Switch to branch marketing-2' );
		await person.picture( 'palette' );
		// WordPress writes what kind of command each is in too pale a grey.
		await person.isAccessible( '.commands-command-menu', [ 'color-contrast' ] );
		const option = await command( await visit( 'main', '/wp-admin/edit.php?post_type=page' ), 'eldest', 'Switch to branch eldest' );
		same( 1, await option.count(), 'one that is not listed' );
		await person.page.getByRole( 'option', { name: 'Switch to branch marketing-2' } ).click();
		await person.page.waitForURL( `${ origin( 'marketing-2' ) }/wp-admin/edit.php?post_type=page` );
		person.hasNoComplaint();
	} );

	await claim( 'Ctrl-K leads to the branch page, also in the block editor', async () => {
		for ( const [ path, text, label, url ] of [
			[ '/wp-admin/', 'merge', 'Merge this branch…', '/merge?source=marketing&into=main' ],
			[ '/wp-admin/plugins.php', 'changed', 'What this branch changed', '/branch/marketing/changes' ],
			[ '/wp-admin/post.php?post=1&action=edit', 'new branch', 'New branch…', '/do/create?from=marketing' ],
		] ) {
			const person = await visit( 'marketing', path );
			await person.page.evaluate( () => window.wp.data.dispatch( 'core/preferences' ).set( 'core/edit-post', 'welcomeGuide', false ) );
			const option = await command( person, text, label );
			const asked = person.page.waitForRequest( admin + url );
			await option.click();
			await asked;
		}
	} );

	await claim( 'the notice says what was changed on a branch, until its user dismisses it', async () => {
		const person = await visit( 'marketing', '/wp-admin/' );
		const { page } = person;
		const notice = page.locator( '#forkpress-notice' );
		await notice.waitFor();
		await person.picture( 'notice' );
		await person.isAccessible( '#forkpress-notice' );
		const words = await notice.locator( 'p' ).textContent();
		same( true, / was made from main on /.test( words ) && words.includes( ' New or changed: 2 posts and pages, 1 media file and 1 comment since then.' ), words );
		const links = await notice.locator( 'p a' ).evaluateAll( ( all ) => all.map( ( one ) => one.href ) );
		same( [ `${ admin }/branch/marketing/changes`, `${ admin }/merge?source=marketing&into=main` ], links, 'links' );
		await notice.locator( '.notice-dismiss' ).click();
		await notice.waitFor( { state: 'detached' } );
		await page.reload();
		same( 0, await notice.count(), 'notices after it was dismissed' );
		const elsewhere = await visit( 'marketing', '/wp-admin/' );
		same( 0, await elsewhere.page.locator( '#forkpress-notice' ).count(), 'notices in another browser' );
		const other = await visit( 'marketing-2', '/wp-admin/' );
		await other.page.locator( '#forkpress-notice' ).waitFor();
		same( true, ( await other.page.locator( '#forkpress-notice p' ).textContent() ).includes( 'No post, page, media file or comment is new or changed since then.' ), 'what another branch says' );
		same( 0, await ( await visit( 'main', '/wp-admin/' ) ).page.locator( '#forkpress-notice' ).count(), 'notices on main' );
		same( 0, await ( await visit( 'marketing-2', '/wp-admin/edit.php' ) ).page.locator( '#forkpress-notice' ).count(), 'notices on another page' );
		person.hasNoComplaint();
	} );
}

await claim( `by ${ root.protocol } the menu leads the person who runs the server to the branch page`, async () => {
	const { page } = await visit( 'marketing', '/wp-admin/' );
	await openMenu( page );
	const links = await page.locator( `${ MENU }-page a` ).evaluateAll( ( all ) => all.map( ( one ) => [ one.textContent, one.href ] ) );
	same( [
		[ 'New branch from this one…', `${ admin }/do/create?from=marketing` ],
		[ 'What changed', `${ admin }/branch/marketing/changes` ],
		[ 'Merge into main…', `${ admin }/merge?source=marketing&into=main` ],
		[ 'All branches', `${ admin }/` ],
	], links, 'links' );
} );

/** Fails where an address was asked for that is not on the branch, other than outside of the site. */
function staysOn( person, branch ) {
	const inSite = ( url ) => new URL( url ).hostname.endsWith( root.hostname );
	same( [], person.asked.filter( ( url ) => inSite( url ) && ! url.startsWith( `${ origin( branch ) }/` ) ), 'what was asked of others' );
}

await claim( `by ${ root.protocol } the block editor's autosave and preview stay on their branch`, async () => {
	const person = await visit( 'marketing', '/wp-admin/post.php?post=1&action=edit' );
	const { page } = person;
	await page.evaluate( () => window.wp.data.dispatch( 'core/preferences' ).set( 'core/edit-post', 'welcomeGuide', false ) );
	await page.waitForFunction( () => window.wp.data.select( 'core/editor' ).__unstableIsEditorReady() );
	await page.evaluate( () => window.wp.data.dispatch( 'core/editor' ).editPost( { title: 'Seen in the preview' } ) );
	await page.getByRole( 'button', { name: 'View', exact: true } ).click();
	const opened = person.context.waitForEvent( 'page' );
	const saved = page.waitForResponse( ( answer ) => answer.url().includes( '/autosaves' ) && 'POST' === answer.request().method() );
	await page.getByRole( 'menuitem', { name: /Preview in new tab/ } ).click();
	same( true, ( await saved ).ok(), 'whether it was saved' );
	const preview = await opened;
	await preview.getByRole( 'heading', { name: 'Seen in the preview' } ).first().waitFor();
	same( origin( 'marketing' ), new URL( preview.url() ).origin, 'where the preview is' );
	same( 'true', new URL( preview.url() ).searchParams.get( 'preview' ), 'whether it is a preview' );
	await person.picture( `preview-${ root.protocol.slice( 0, -1 ) }`, preview );
	staysOn( person, 'marketing' );
} );

await claim( `by ${ root.protocol } the Customizer shows and saves its own branch`, async () => {
	const person = await visit( 'customized', '/wp-admin/customize.php' );
	const { page } = person;
	const frame = page.frameLocator( '#customize-preview iframe' );
	await frame.locator( 'body.customize-partial-edit-shortcuts-shown, body' ).first().waitFor();
	await page.waitForFunction( () => window.wp.customize.previewer && 'resolved' === window.wp.customize.previewer.deferred.active.state() );
	const seen = page.frames().filter( ( one ) => one.url().includes( 'customize_messenger_channel' ) ).map( ( one ) => new URL( one.url() ).origin );
	same( [ origin( 'customized' ) ], seen, 'where the frame is' );
	const saved = page.waitForResponse( ( answer ) => ( answer.request().postData() || '' ).includes( 'customize_save' ) );
	await page.evaluate( () => {
		window.wp.customize( 'blogname' ).set( 'Renamed in the Customizer' );
		window.wp.customize.previewer.save();
	} );
	same( true, ( await ( await saved ).json() ).success, 'whether it was saved' );
	const front = await person.context.newPage();
	await front.goto( `${ origin( 'customized' ) }/` );
	same( true, ( await front.title() ).includes( 'Renamed in the Customizer' ), 'the title' );
	await person.picture( `customizer-${ root.protocol.slice( 0, -1 ) }` );
	staysOn( person, 'customized' );
} );

await browser.close();
end();
