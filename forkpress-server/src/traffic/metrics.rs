//! Numbers of requests, as Prometheus reads them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Answered, Stage};

/// Upper bounds of how long requests take, in seconds.
const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// So many branches have numbers of their own. Others, those that there are not, and hosts of no branch, share one line.
const MOST_BRANCHES: usize = 1000;

/// What that line calls them.
const NO_BRANCH: &str = "-";

/// Of all requests that have ended.
#[derive(Debug, Default)]
pub(super) struct Totals {
    branches: BTreeMap<String, Branch>,
    /// How many took so long, or less: beyond the last bound, too.
    took: [u64; BOUNDS.len() + 1],
    seconds: f64,
    bytes: u64,
    queries: u64,
}

/// How often a branch answered: with 1xx to 5xx, and not at all.
type Branch = [u64; 6];

impl Totals {
    /// `is_of_branch`: a branch has answered, the one that the request named.
    pub(super) fn add(&mut self, answered: &Answered, is_of_branch: bool) {
        let name = answered.branch.as_ref().filter(|_| is_of_branch).map_or(NO_BRANCH, |name| name.as_str());
        let is_new = !self.branches.contains_key(name);
        let name = if is_new && self.branches.len() >= MOST_BRANCHES { NO_BRANCH } else { name };
        let class = answered.status.map_or(5, |status| usize::from(status.as_u16() / 100 - 1).min(4));
        self.branches.entry(name.to_owned()).or_default()[class] += 1;
        let seconds = answered.took.as_secs_f64();
        self.took[BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len())] += 1;
        self.seconds += seconds;
        self.bytes += answered.bytes;
        self.queries += answered.queries.map_or(0, |queries| queries.number);
    }

    pub(super) fn text(&self, stages: &[Stage], connections: usize) -> String {
        let mut text = String::new();
        head(
            &mut text,
            "forkpress_requests_total",
            "counter",
            "Requests that have ended, by branch and class of status.",
        );
        for (name, classes) in &self.branches {
            for (class, number) in ["1xx", "2xx", "3xx", "4xx", "5xx", "none"].iter().zip(classes) {
                if *number > 0 {
                    // Names of branches need no escape.
                    let _ = writeln!(text, "forkpress_requests_total{{branch=\"{name}\",status=\"{class}\"}} {number}");
                }
            }
        }
        let name = "forkpress_request_duration_seconds";
        head(&mut text, name, "histogram", "How long requests took until they were answered.");
        let mut all = 0;
        for (at, number) in self.took.iter().enumerate() {
            all += number;
            let bound = BOUNDS.get(at).map_or("+Inf".to_owned(), ToString::to_string);
            let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {all}");
        }
        let _ = writeln!(text, "{name}_sum {}\n{name}_count {all}", self.seconds);
        line(
            &mut text,
            "forkpress_response_bytes_total",
            "counter",
            "Bytes of bodies that clients took.",
            &[("", self.bytes as f64)],
        );
        head(
            &mut text,
            "forkpress_requests_in_flight",
            "gauge",
            "Requests that are being answered, by how far they are.",
        );
        for stage in Stage::ALL {
            let number = stages.iter().filter(|other| **other == stage).count();
            let _ = writeln!(text, "forkpress_requests_in_flight{{stage=\"{}\"}} {number}", stage.word());
        }
        line(&mut text, "forkpress_connections", "gauge", "Open connections.", &[("", connections as f64)]);
        let spooled = crate::spool::waiting_bytes();
        line(
            &mut text,
            "forkpress_spooled_bytes",
            "gauge",
            "Bytes of bodies and answers that wait for PHP or a client.",
            &[("", spooled as f64)],
        );
        text
    }
}

/// Adds a number, or one for each of some labels (`name="value"`; empty: none), with what it is.
pub fn line(text: &mut String, name: &str, kind: &str, what: &str, values: &[(&str, f64)]) {
    head(text, name, kind, what);
    for (labels, value) in values {
        let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}

fn head(text: &mut String, name: &str, kind: &str, what: &str) {
    let _ = writeln!(text, "# HELP {name} {what}\n# TYPE {name} {kind}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::{Method, StatusCode, Version};
    use std::time::{Duration, SystemTime};

    fn answered(branch: &str, status: Option<u16>, ms: u64) -> Answered {
        Answered {
            client: "127.0.0.1:5".parse().unwrap(),
            at: SystemTime::now(),
            method: Method::GET,
            host: String::new(),
            branch: branch.parse().ok(),
            path: "/".to_owned(),
            version: Version::HTTP_11,
            referer: None,
            agent: None,
            status: status.map(|status| StatusCode::from_u16(status).unwrap()),
            took: Duration::from_millis(ms),
            bytes: 10,
            cut: None,
            queries: None,
        }
    }

    #[test]
    fn requests_are_counted_by_branch_status_and_time() {
        let mut totals = Totals::default();
        totals.add(&answered("x", Some(200), 3), true);
        totals.add(&answered("x", Some(204), 70), true);
        totals.add(&answered("x", Some(503), 20_000), true);
        totals.add(&answered("no-such", Some(404), 1), false);
        totals.add(&answered("", None, 1), false);
        let text = totals.text(&[Stage::Queued], 3);
        for expected in [
            "forkpress_requests_total{branch=\"x\",status=\"2xx\"} 2\n",
            "forkpress_requests_total{branch=\"x\",status=\"5xx\"} 1\n",
            "forkpress_requests_total{branch=\"-\",status=\"4xx\"} 1\n",
            "forkpress_requests_total{branch=\"-\",status=\"none\"} 1\n",
            "forkpress_request_duration_seconds_bucket{le=\"0.005\"} 3\n",
            "forkpress_request_duration_seconds_bucket{le=\"0.1\"} 4\n",
            "forkpress_request_duration_seconds_bucket{le=\"10\"} 4\n",
            "forkpress_request_duration_seconds_bucket{le=\"+Inf\"} 5\n",
            "forkpress_request_duration_seconds_count 5\n",
            "forkpress_response_bytes_total 50\n",
            "forkpress_requests_in_flight{stage=\"queued\"} 1\n",
            "forkpress_connections 3\n",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        assert!(!text.contains("no-such"));
    }

    #[test]
    fn however_many_branches_there_are_the_lines_are_bounded() {
        let mut totals = Totals::default();
        for number in 0..3000 {
            totals.add(&answered(&format!("b{number}"), Some(200), 1), true);
        }
        assert!(totals.branches.len() <= MOST_BRANCHES + 1);
        assert_eq!(totals.branches[NO_BRANCH][1], 3000 - MOST_BRANCHES as u64);
    }
}
