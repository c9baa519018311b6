//! Shows the progress of long work: a bar on a terminal, a line a step elsewhere, and in a job also lines with how far it is.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use forkpress_engine::jobs::Measure;
use forkpress_engine::progress::{Progress, Silent};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{harmless, output, trace};

/// The variable by which the runner of a job asks for lines, and its value.
pub const FOR_JOB: (&str, &str) = ("FORKPRESS_PROGRESS", "lines");

/// How often a job says how far a step is.
const PAUSE: Duration = Duration::from_millis(300);

/// What suits the command: measures in a job, else nothing with `--json`, a bar where standard error is a terminal that has no
/// other lines, else lines.
pub fn shown(as_json: bool) -> Box<dyn Progress> {
    let (variable, lines) = FOR_JOB;
    if std::env::var_os(variable).is_some_and(|value| value == lines) {
        Box::new(Measures::default())
    } else if as_json {
        Box::new(Silent)
    } else if std::io::stderr().is_terminal() && !trace::is_on() {
        Box::new(Bar::default())
    } else {
        Box::new(Lines)
    }
}

/// One line as each step begins.
struct Lines;

impl Progress for Lines {
    fn begin(&self, step: &str, _total: Option<u64>) {
        output::note(format_args!("forkpress: {step}"));
    }

    fn advance(&self, _by: u64) {}

    fn end(&self) {}

    fn note(&self, line: &str) {
        output::note(format_args!("forkpress: {line}"));
    }
}

/// One line as each step begins, and now and then one with how far it is, where it is known how much there is to do.
#[derive(Default)]
struct Measures(Mutex<Option<Step>>);

/// A step whose length is known.
struct Step {
    name: String,
    done: u64,
    total: u64,
    in_bytes: bool,
    told: Option<Instant>,
}

impl Measures {
    fn begin(&self, step: &str, total: Option<u64>, in_bytes: bool) {
        Lines.begin(step, total);
        let step = |total| Step { name: step.to_owned(), done: 0, total, in_bytes, told: None };
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = total.map(step);
    }
}

impl Progress for Measures {
    fn begin(&self, step: &str, total: Option<u64>) {
        self.begin(step, total, false);
    }

    fn begin_bytes(&self, step: &str, total: Option<u64>) {
        self.begin(step, total, true);
    }

    fn advance(&self, by: u64) {
        if let Some(step) = &mut *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
            step.done += by;
            if step.told.is_none_or(|told| told.elapsed() > PAUSE) {
                step.told = Some(Instant::now());
                let Step { name, done, total, in_bytes, .. } = step;
                output::note(Measure { step: name, done: *done, total: *total, in_bytes: *in_bytes });
            }
        }
    }

    fn end(&self) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }

    fn note(&self, line: &str) {
        Lines.note(line);
    }
}

/// A bar for each step, gone when the step is over.
#[derive(Default)]
struct Bar {
    shown: Mutex<Option<ProgressBar>>,
    /// Whether a number is to be shown as soon as there is one.
    counts: AtomicBool,
}

impl Bar {
    fn show(&self, step: &str, total: Option<u64>, template: &str) {
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        bar.set_style(style(template));
        bar.set_message(harmless::line(step).into_owned());
        self.replace(Some(bar));
    }

    fn replace(&self, bar: Option<ProgressBar>) {
        let mut shown = self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(before) = std::mem::replace(&mut *shown, bar) {
            before.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is a constant")
}

impl Progress for Bar {
    fn begin(&self, step: &str, total: Option<u64>) {
        self.show(step, total, if total.is_some() { "{msg} {wide_bar} {pos}/{len}" } else { "{spinner} {msg}" });
        self.counts.store(total.is_none(), Ordering::Relaxed);
    }

    fn begin_bytes(&self, step: &str, total: Option<u64>) {
        let known = total.is_some();
        self.show(
            step,
            total,
            if known { "{msg} {wide_bar} {bytes}/{total_bytes}" } else { "{spinner} {msg} {bytes}" },
        );
        self.counts.store(false, Ordering::Relaxed);
    }

    fn advance(&self, by: u64) {
        if let Some(bar) = &*self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
            if self.counts.swap(false, Ordering::Relaxed) {
                bar.set_style(style("{spinner} {msg} {pos}"));
            }
            bar.inc(by);
        }
    }

    fn end(&self) {
        self.replace(None);
    }

    fn note(&self, line: &str) {
        self.replace(None);
        output::note(format_args!("forkpress: {line}"));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.replace(None);
    }
}
