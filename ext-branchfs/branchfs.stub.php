<?php
/**
 * What the PHP extension branchfs adds, for editors and static analysis. It is never run.
 *
 * Ini settings: `branchfs.lock_timeout` (seconds, default 30): for how long a request waits for the lock; 0 tries once.
 * `branchfs.write` (`own`, the default, `any` or `none`; not to be set by code): in which branches files may be changed through `branchfs://`.
 *
 * The stream wrapper `branchfs://BRANCH/path` names files of branches; `branchfs://./path` those of the branch that the code runs in.
 *
 * @package ForkPress
 */

namespace {

	/**
	 * Takes the site's operations lock shared, for the rest of the request. Does nothing if the request has it already.
	 *
	 * The lock ends after everything else in the request: shutdown functions, destructors, output callbacks, session writes.
	 *
	 * @param string|null $lock    The path of `operations.lock`. Null: the one in `FORKPRESS_COW_DIR`, else in `.forkpress/cow`
	 *                             in `FORKPRESS_BRANCHES_DIR`, else of the site around the current folder.
	 * @param float|null  $timeout Seconds to wait; 0 tries once. Null: `branchfs.lock_timeout`.
	 * @param string|null $token   The loopback token of a request that the site makes to itself, which need not wait behind a
	 *                             waiting writer. One that is not the site's is as good as none.
	 * @param string|null $branch  The branch that will serve the request, whose own lock is taken as well. Where there is no such
	 *                             branch, it has none.
	 * @return bool Always true.
	 * @throws Branchfs\LockTimeoutException Where the lock stayed busy; the message names the holder.
	 * @throws Branchfs\Exception            Where there is no such lock, or it can not be opened.
	 */
	function branchfs_lock_shared( ?string $lock = null, ?float $timeout = null, ?string $token = null, ?string $branch = null ): bool {}

	/**
	 * Lets the lock go before the request ends.
	 *
	 * @return bool Whether the request had it.
	 */
	function branchfs_unlock(): bool {}

	/**
	 * Lets the locks go as soon as a writer waits for them, from now on: for a request that will only send bytes of an open file.
	 *
	 * @return bool Whether the request has the lock now.
	 * @throws Branchfs\Exception Where the gate can not be opened; the request then keeps its lock.
	 */
	function branchfs_unlock_when_writer_waits(): bool {}

	/**
	 * Says whether a command waits for the running requests to end, in order to publish.
	 *
	 * @return bool False where the request has no lock.
	 * @throws Branchfs\Exception Where the gate can not be opened.
	 */
	function branchfs_writer_waits(): bool {}

	/**
	 * Waits until the requests of the server's other processes leave a processor free, for 20 milliseconds at most, and not while
	 * a writer waits.
	 *
	 * @throws Branchfs\Exception Where the gate can not be opened.
	 */
	function branchfs_yield(): void {}

	/**
	 * Returns what there is to know of the request's lock.
	 *
	 * @return array{held: bool, path?: string, waited?: float, held_for?: float, generation?: int, branches?: string[]} Times are
	 *         seconds; `generation` counts the publishes of the site; `branches` are those whose own locks the request has.
	 */
	function branchfs_lock_status(): array {}

	/**
	 * Returns the secret that a request sends as `X-ForkPress-Loopback` when it calls its own site.
	 *
	 * @return string|null Null where the request has no lock, or the secret can not be read.
	 */
	function branchfs_loopback_token(): ?string {}

	/**
	 * Says at which address the branch of this request is served. From now on branchfs_own_addresses() puts it in place of every
	 * other that the site ever had: those in the record in `$cow_dir`, the root host and every branch below it, and `$homes`.
	 *
	 * To say it again, with more homes say, is good for what has not been sent.
	 *
	 * @param string   $address   Such as `http://marketing.wp.localhost:18080`.
	 * @param string   $root_host The host name of the branch main.
	 * @param string   $cow_dir   The folder with the record `addresses`.
	 * @param string[] $homes     Further addresses, such as what the database calls `siteurl`.
	 * @param bool     $answer    Whether to map the request's answer, too: its headers, and its body where that is text.
	 * @return bool Whether that was an address.
	 */
	function branchfs_serve_as( string $address, string $root_host, string $cow_dir, array $homes = array(), bool $answer = true ): bool {}

	/**
	 * Returns a text with the address of this request's branch in place of every other that the site ever had.
	 *
	 * @param string $text Any bytes.
	 * @return string The text as it is where branchfs_serve_as() was not called.
	 */
	function branchfs_own_addresses( string $text ): string {}

	/**
	 * Says whether an address of the site has, or had, this host name.
	 *
	 * @param string $host Without a port.
	 */
	function branchfs_is_own_host( string $host ): bool {}

	/**
	 * Says up to which generation OPcache has no stale scripts: a branch that was published later, by its record, must not be
	 * served before branchfs_stale_since() was asked.
	 *
	 * @return int|null The generation; null where no branch has stale scripts.
	 */
	function branchfs_fresh_until(): ?int {}

	/**
	 * Says whether OPcache may have scripts from before the last publish. The request must then drop them, before it runs any
	 * code of a branch, and call branchfs_fresh(). Waits for another process of this server that is doing so.
	 *
	 * @param int $generation That of the record of the request's branch.
	 * @return int|null The generation whose scripts are good still; null where there is nothing to do.
	 */
	function branchfs_stale_since( int $generation ): ?int {}

	/**
	 * Says that OPcache has no scripts from before the last publish any more.
	 *
	 * @param int $generation As for branchfs_stale_since().
	 */
	function branchfs_fresh( int $generation ): void {}

	/**
	 * Takes a request's `Host` header and request target apart. Looks at no disk: call it before the lock is taken.
	 *
	 * @param string      $host      The `Host` header.
	 * @param string      $uri       The request target.
	 * @param string      $root_host The host name of the branch main.
	 * @param string|null $method    The method, for those who wait for this request.
	 * @return array{branch: string, path: string}|array{status: int, message: string} The second for a request to be refused.
	 */
	function branchfs_route( string $host, string $uri, string $root_host, ?string $method = null ): array {}

	/**
	 * Decides what answers a request. Looks at the disk: call it while the request has the lock. The first call of a request
	 * settles which branch its code is in; another one only answers.
	 *
	 * @param string $host         The `Host` header.
	 * @param string $uri          The request target.
	 * @param string $root_host    The host name of the branch main.
	 * @param string $branches_dir The folder with a folder for each branch.
	 * @param string $cow_dir      The folder of the lock and the branches' records.
	 * @param array  $server       `$_SERVER`: the method and the conditional headers count.
	 * @return array One of: `branch`, `script`, `script_name`, `path_info`, `root` (PHP to be run); `branch`, `file`, `status`,
	 *               `headers`, and with a body `offset`, `length`, `size`, `modified`, `inode` (a file to be sent); `branch`,
	 *               `status`, `headers` (a redirect); `status`, `message` (to be refused).
	 */
	function branchfs_resolve( string $host, string $uri, string $root_host, string $branches_dir, string $cow_dir, array $server ): array {}

	/**
	 * Brings back what a WordPress needs to reach its database: its SQLite driver and the drop-in. Call it under the lock.
	 *
	 * @param string $root     The branch's folder.
	 * @param string $spare    A whole driver, to take missing files from.
	 * @param bool|null $thorough Whether to look at each file of the driver, and not at its first one only; null: no.
	 * @return bool Whether anything was brought back.
	 * @throws Branchfs\Exception Where that is not possible.
	 */
	function branchfs_heal_driver( string $root, string $spare, ?bool $thorough = null ): bool {}

	/**
	 * Says why the client of the request is not the person who runs this server, who needs no password. It is that person where
	 * it connects over the loopback address, from the server's own account, through no proxy, and asks for a host of the site.
	 *
	 * @param array  $server    `$_SERVER`, as the server made it. This process, or the server of ForkPress in front of it, must have
	 *                           accepted the connection.
	 * @param string $root_host The host name of the branch main.
	 * @return string|null A sentence without its full stop; null for the person who runs the server.
	 */
	function branchfs_stranger( array $server, string $root_host ): ?string {}

	/**
	 * Returns whether the request came past the server of ForkPress, where that one is in front of PHP's built-in server.
	 */
	function branchfs_is_astray(): bool {}

	/**
	 * Returns the branch that the request is served from, or that `forkpress exec` runs the script in.
	 *
	 * @return string|null Null elsewhere.
	 */
	function branchfs_get_branch(): ?string {}

	/**
	 * Returns every branch, `main` first, then by name. Takes the lock, if the request has not got it.
	 *
	 * @return array<array{name: string, created: ?string, from: ?string, generation: ?int, url: ?string}> `created` is in UTC, as RFC 3339
	 *         has it; `from` is the branch that it was made from. Null where nobody says.
	 * @throws Branchfs\Exception Where there is no site, or the lock can not be had.
	 */
	function branchfs_branches(): array {}

	/**
	 * Returns the address of a branch's front page, as branchfs_branches() has it. Takes the lock, if the request has not got it.
	 *
	 * @param string $name The branch. Whether there is such a branch is not asked.
	 * @return string|null Null where nobody says, or where that is no name of a branch.
	 * @throws Branchfs\Exception Where there is no site, or the lock can not be had.
	 */
	function branchfs_branch_url( string $name ): ?string {}

	/**
	 * Returns what the record of a branch says. Call it while the request has the lock.
	 *
	 * @param string $cow_dir The folder with the records.
	 * @param string $name    The branch.
	 * @return array{created: ?string, from: ?string, generation: ?int}|null Each is null where the record can not be read; all of it is
	 *         where there is no record.
	 */
	function branchfs_record( string $cow_dir, string $name ): ?array {}

	/**
	 * Returns the real folders that have a folder for each branch: in an image, where the site has one that is mounted, and the one
	 * that is served. Each ends in a slash; one inside of another comes before it.
	 *
	 * @param string $branches_dir The folder that is served.
	 * @param string $cow_dir      The folder with the records.
	 * @return string[]
	 */
	function branchfs_tree_roots( string $branches_dir, string $cow_dir ): array {}

	/**
	 * Returns the real path of a `branchfs://` URL, every symlink followed; the last name need not exist. It is the file's path
	 * for as long as the request has the lock.
	 *
	 * @param string $url The URL.
	 * @throws Branchfs\Exception Where it leads nowhere, out of the branch, or to what is out of reach.
	 */
	function branchfs_path( string $url ): string {}

	/**
	 * Returns the URLs that match a pattern, as glob() does the paths; the pattern may stand for branches, too.
	 *
	 * @param string $pattern The pattern, such as `branchfs://main/*.php`.
	 * @param int    $flags   Those of glob().
	 * @return string[]|false False, after a warning, for a flag that is not known or a pattern that is no URL; also, with `GLOB_ERR`,
	 *         where a folder can not be read.
	 */
	function branchfs_glob( string $pattern, int $flags = 0 ): mixed {}
}

namespace Branchfs {

	/** What every exception of the extension is. */
	class Exception extends \Exception {}

	/** The lock stayed busy. */
	class LockTimeoutException extends Exception {}
}
