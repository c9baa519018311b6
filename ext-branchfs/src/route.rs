//! Gives PHP the routing: what a request asks for, and what answers it.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ext_php_rs::binary_slice::BinarySlice;
use ext_php_rs::boxed::ZBox;
use ext_php_rs::prelude::*;
use ext_php_rs::types::{ZendHashTable, Zval};
use forkpress_core::branchfs::SiteAddress;
use forkpress_core::layout::CowLayout;
use forkpress_core::route::{self, Branches, Conditions, Decision, RequestTarget, Response, RouteRefusal, Script};

use crate::{lock, request, shim, site};

type Array = ZBox<ZendHashTable>;

thread_local! {
    /// What was taken apart last, until it is used.
    static PARSED: RefCell<Option<Parsed>> = const { RefCell::new(None) };
}

/// What a request asks for, and what it was taken from.
struct Parsed {
    host: Vec<u8>,
    uri: Vec<u8>,
    root_host: String,
    target: RequestTarget,
}

/// Takes a request's `Host` header and its request target apart. Looks at no disk: call it before the lock is taken.
///
/// Returns `branch` and `path` (decoded, in the branch), or `status` and `message` for a request to be refused. Notes
/// `$method`, the branch and the path as what a command that waits for this request says it waits for.
#[php_function]
pub fn branchfs_route(
    host: BinarySlice<u8>,
    uri: BinarySlice<u8>,
    root_host: String,
    method: Option<String>,
) -> PhpResult<Array> {
    shim::leave(take_apart(&host, &uri, &root_host, method))
}

fn take_apart(host: &[u8], uri: &[u8], root_host: &str, method: Option<String>) -> PhpResult<Array> {
    let target = match route::parse(host, uri, root_host) {
        Ok(target) => target,
        Err(refusal) => return refused(&refusal),
    };
    let path = target.path.decoded();
    let method = method.as_deref().unwrap_or("GET");
    lock::describe(format!("{method} {} {}", target.branch, path.escape_ascii()));
    let answer = shim::build(|| {
        let mut answer = ZendHashTable::new();
        answer.insert("branch", target.branch.as_str())?;
        answer.insert("path", shim::string(&path))?;
        Ok(answer)
    });
    PARSED.set(Some(Parsed { host: host.to_vec(), uri: uri.to_vec(), root_host: root_host.to_owned(), target }));
    answer
}

/// Takes a request apart, unless [`branchfs_route`] has just done so.
fn parse(host: &[u8], uri: &[u8], root_host: &str) -> Result<RequestTarget, RouteRefusal> {
    let is_same = |parsed: &Parsed| parsed.host == host && parsed.uri == uri && parsed.root_host == root_host;
    match PARSED.take().filter(is_same) {
        Some(parsed) => Ok(parsed.target),
        None => route::parse(host, uri, root_host),
    }
}

/// Decides what answers a request. Looks at the disk: call it while the request has the lock.
///
/// The branches are the folders in `$branches_dir`; where a site is around `$cow_dir`, those with a record in it. `$server`
/// is `$_SERVER`, of which the method and the conditional headers count.
///
/// The first call of a request settles which branch and which site its code is in; another one only answers.
///
/// Returns one of
/// - `branch`, `script`, `script_name`, `path_info`, `root`: PHP to be run;
/// - `branch`, `file`, `status`, `headers`, and for an answer with a body `offset`, `length`, and the `size`, `modified`
///   and `inode` of the file when this was decided: a file to be sent;
/// - `branch`, `status`, `headers`: a redirect;
/// - `status`, `message`: a request to be refused;
/// - `again`: the branch has come since the locks were taken: take its lock, and ask again.
#[php_function]
pub fn branchfs_resolve(
    host: BinarySlice<u8>,
    uri: BinarySlice<u8>,
    root_host: String,
    branches_dir: BinarySlice<u8>,
    cow_dir: BinarySlice<u8>,
    server: &ZendHashTable,
) -> PhpResult<Array> {
    shim::leave(resolve(&host, &uri, root_host, path(&branches_dir), path(&cow_dir), server))
}

fn resolve(
    host: &[u8],
    uri: &[u8],
    root_host: String,
    branches_dir: &Path,
    cow_dir: &Path,
    server: &ZendHashTable,
) -> PhpResult<Array> {
    let target = match parse(host, uri, &root_host) {
        Ok(target) => target,
        Err(refusal) => return refused(&refusal),
    };
    let cow = CowLayout::new(cow_dir);
    let decision =
        route::resolve(&target, &Branches { dir: branches_dir, is_real: false, cow: &cow }, &conditions(server));
    if let Decision::Refuse(refusal) = &decision {
        return refused(refusal);
    }
    let again = lock::lacks_branch(&cow, &target.branch);
    let answer = shim::build(|| {
        let mut answer = ZendHashTable::new();
        if again {
            answer.insert("again", true)?;
            return Ok(answer);
        }
        answer.insert("branch", target.branch.as_str())?;
        match &decision {
            Decision::Run(script) => insert_script(&mut answer, script)?,
            Decision::Send { file, response } => {
                answer.insert("file", shim::string(file.as_os_str().as_bytes()))?;
                insert_response(&mut answer, response)?;
            }
            Decision::Redirect(location) => {
                let mut headers = ZendHashTable::new();
                headers.insert("Location", location.as_str())?;
                answer.insert("status", 301)?;
                answer.insert("headers", headers)?;
            }
            Decision::Elsewhere(url) => {
                let mut headers = ZendHashTable::new();
                headers.insert("Location", url.as_str())?;
                // The file may come to the branch any time.
                headers.insert("Cache-Control", "no-store")?;
                answer.insert("status", 302)?;
                answer.insert("headers", headers)?;
            }
            Decision::Refuse(_) => {}
        }
        Ok(answer)
    })?;
    if !again && request::settle(target.branch) {
        site::serve(branches_dir, cow, address(server, target.port, root_host));
    }
    Ok(answer)
}

/// Adds the functions to the module.
pub fn register(module: ModuleBuilder) -> ModuleBuilder {
    module.function(wrap_function!(branchfs_route)).function(wrap_function!(branchfs_resolve))
}

fn refused(refusal: &RouteRefusal) -> PhpResult<Array> {
    shim::build(|| {
        let mut answer = ZendHashTable::new();
        answer.insert("status", i64::from(refusal.status))?;
        answer.insert("message", refusal.message.as_str())?;
        Ok(answer)
    })
}

fn insert_script(answer: &mut ZendHashTable, script: &Script) -> PhpResult<()> {
    answer.insert("script", shim::string(script.file.as_os_str().as_bytes()))?;
    answer.insert("script_name", shim::string(&script.name))?;
    answer.insert("path_info", shim::string(&script.path_info))?;
    answer.insert("root", shim::string(script.root.as_os_str().as_bytes()))?;
    Ok(())
}

fn insert_response(answer: &mut ZendHashTable, response: &Response) -> PhpResult<()> {
    let mut headers = ZendHashTable::new();
    for (name, value) in &response.headers {
        headers.insert(*name, value.as_str())?;
    }
    answer.insert("status", i64::from(response.status))?;
    answer.insert("headers", headers)?;
    if let Some(body) = &response.body {
        let version = &body.version;
        for (key, number) in [
            ("offset", body.offset),
            ("length", body.length),
            ("size", version.size),
            ("modified", version.modified),
            ("inode", version.inode),
        ] {
            answer.insert(key, number.cast_signed())?;
        }
    }
    Ok(())
}

/// Where the site is, as this request has it.
fn address(server: &ZendHashTable, port: Option<String>, root_host: String) -> SiteAddress {
    let https = server.get("HTTPS").and_then(Zval::binary_slice).unwrap_or_default();
    let scheme = if https.is_empty() || https.eq_ignore_ascii_case(b"off") { "http" } else { "https" };
    SiteAddress { scheme, root_host, port }
}

fn conditions(server: &ZendHashTable) -> Conditions<'_> {
    let value = |key: &str| server.get(key).and_then(Zval::binary_slice);
    Conditions {
        method: value("REQUEST_METHOD").unwrap_or(b"GET"),
        if_match: value("HTTP_IF_MATCH"),
        if_unmodified_since: value("HTTP_IF_UNMODIFIED_SINCE"),
        if_none_match: value("HTTP_IF_NONE_MATCH"),
        if_modified_since: value("HTTP_IF_MODIFIED_SINCE"),
        if_range: value("HTTP_IF_RANGE"),
        range: value("HTTP_RANGE"),
        codings: None,
    }
}

fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
