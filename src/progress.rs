//! Reports the progress of a run.

/// Receives the progress of one run. Called from the run's task, in order; must return at once.
pub trait ProgressSink: Send + Sync {
    /// Reports `message` and `fraction`, which is 0.0 to 1.0 and never decreases within a run.
    fn emit(&self, message: &str, fraction: f64);
}

/// A sink that discards progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl ProgressSink for Silent {
    fn emit(&self, _message: &str, _fraction: f64) {}
}
