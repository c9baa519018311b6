//! `forkpress page`: where the branch page is, and the token that others sign in with.

use std::path::Path;

use serde_json::json;

use crate::cli::PageArgs;
use crate::failure::{During, Failure};
use crate::output;
use crate::site::{self, Address};

/// Prints the address, or the token.
pub fn run(work_dir: Option<&Path>, args: &PageArgs, as_json: bool) -> Result<(), Failure> {
    let site = site::open(work_dir)?;
    let url = Address::of(&site).page();
    let token = match args.token {
        true => Some(forkpress_page::secret(site.layout.cow()).during(|| "cannot read the token".to_owned())?),
        false => None,
    };
    match (token, as_json) {
        (Some(token), true) => output::json(&json!({ "url": url, "token": token.as_str() }))?,
        (None, true) => output::json(&json!({ "url": url }))?,
        (Some(token), false) => output::line(token.as_str())?,
        (None, false) => {
            output::line(&url)?;
            if site::server_of(&site)?.is_none() {
                output::note("forkpress: the site is not served: forkpress serve");
            }
        }
    }
    Ok(())
}
