//! Reports the progress of long work to whoever shows it. The engine prints nothing.

/// Is told of the steps of a long piece of work, one at a time, from any thread.
pub trait Progress: Sync {
    /// A step begins. `total` is how much there is to do in it, where that is known beforehand.
    fn begin(&self, step: &str, total: Option<u64>);

    /// The same of a step that is counted in bytes.
    fn begin_bytes(&self, step: &str, total: Option<u64>) {
        self.begin(step, total);
    }

    /// So much more of the step is done.
    fn advance(&self, by: u64);

    /// The step is over.
    fn end(&self);

    /// Something that whoever asked for the work should know, in a line.
    fn note(&self, _line: &str) {}
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _step: &str, _total: Option<u64>) {}
    fn advance(&self, _by: u64) {}
    fn end(&self) {}
}
