//! How a run tells its caller how far it is.

/// Takes the progress of one run. Called from the run's own task, in order; must return at once.
pub trait ProgressSink: Send + Sync {
    /// `fraction` is 0.0 to 1.0 and never goes backwards within a run.
    fn emit(&self, message: &str, fraction: f64);
}

/// Nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl ProgressSink for Silent {
    fn emit(&self, _message: &str, _fraction: f64) {}
}
