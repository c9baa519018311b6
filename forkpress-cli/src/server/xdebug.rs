//! `serve --xdebug`: a debugger in the person's editor.
//!
//! PHP connects to the editor where a request has the trigger, and nowhere else: to this machine, at the port that
//! editors know. Xdebug turns OPcache's optimizer off while it debugs; OPcache itself stays, and the JIT, which it
//! can't be used with, is off anyway.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use forkpress_core::layout::SiteLayout;
use forkpress_core::name::BranchName;
use serde_json::{Value, json};

use crate::child;
use crate::failure::{During, Failure};
use crate::php::Php;

/// What loads it, where PHP's own settings do not.
const MODULE: &str = "zend_extension=xdebug";

/// How it is used, whatever PHP's own settings say.
const SETTINGS: [&str; 5] = [
    "xdebug.mode=debug",
    "xdebug.start_with_request=trigger",
    "xdebug.client_host=127.0.0.1",
    "xdebug.client_port=9003",
    "xdebug.discover_client_host=0",
];

/// What is in its environment, and what is not (none): it would count for more than the settings, and be a trigger in
/// each request.
pub(super) fn environment() -> [(&'static str, Option<OsString>); 4] {
    let absent = |name| (name, None);
    [("XDEBUG_MODE", Some("debug".into())), absent("XDEBUG_CONFIG"), absent("XDEBUG_SESSION"), absent("XDEBUG_TRIGGER")]
}

/// The arguments of a PHP that debugs.
///
/// # Errors
/// Where PHP has no Xdebug: what to install.
pub(super) fn arguments(php: &Php, layout: &SiteLayout) -> Result<Vec<OsString>, Failure> {
    let has = |arguments: &[&str]| -> Result<bool, Failure> {
        let mut command = Command::new(&php.server);
        command.args(Php::arguments(layout, &php.program)).args(arguments).arg("-m").stdin(Stdio::null());
        let output = child::ran(&mut command).during(|| format!("cannot run {}", php.server.display()))?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().any(|line| line.eq_ignore_ascii_case("xdebug")))
    };
    let module: &[&str] = match has(&[])? {
        true => &[],
        false if has(&["-d", MODULE])? => &[MODULE],
        false => {
            let problem = format!("{} has no Xdebug", php.server.display());
            return Err(Failure::new(problem).hint(package(&php.version)));
        }
    };
    Ok(module.iter().chain(&SETTINGS).flat_map(|setting| ["-d".into(), (*setting).into()]).collect())
}

fn package(version: &str) -> String {
    if cfg!(target_os = "macos") {
        "pecl install xdebug".to_owned()
    } else {
        format!("apt-get install php{version}-xdebug; to load it with --xdebug only: phpdismod xdebug")
    }
}

/// What VS Code's `launch.json` has for the site, whose folder is open there. Breakpoints are in the folders of the branches.
pub fn launch(layout: &SiteLayout) -> Value {
    let mut configuration = json!({ "name": "ForkPress", "type": "php", "request": "launch", "port": 9003 });
    // Where a branch's folder is a link, PHP has its files elsewhere.
    let folder = |branch: std::path::PathBuf| branch.parent().map(|folder| folder.to_string_lossy().into_owned());
    let main = BranchName::main();
    let (real, open) = (folder(layout.branch(&main)), folder(layout.public_branch(&main)));
    if let (Some(real), Some(open)) = (real, open)
        && real != open
    {
        configuration["pathMappings"] = json!({ real: open });
    }
    json!({ "version": "0.2.0", "configurations": [configuration] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use forkpress_core::layout::ImageKind;
    use std::path::Path;

    #[test]
    fn an_editor_is_told_where_a_branch_is_that_its_folder_is_a_link_to() {
        let plain = SiteLayout::at(Path::new("/site"));
        let expected = json!({ "name": "ForkPress", "type": "php", "request": "launch", "port": 9003 });
        assert_eq!(launch(&plain)["configurations"], json!([expected]));
        let image = launch(&plain.with_image(Some(ImageKind::XfsLoop)));
        assert_eq!(
            image["configurations"][0]["pathMappings"],
            json!({ "/site/.forkpress/linux-cow/mount/branches": "/site" })
        );
    }
}
