//! How a run tells its caller how far it is, and how a call tells whoever began it what becomes of its requests.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Provider;
use crate::error::ErrorKind;
use crate::message::Usage;

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

/// Is told of every request of a call as it happens, also of one that nobody waits for any more. Called from wherever that
/// is, while a future is dropped too; must return at once.
pub trait AttemptSink: Send + Sync {
    /// `provider` is being asked.
    fn asking(&self, provider: Provider, model: &str);

    /// A request has ended. One whose reply turns out not to fit has ended well here: the call's answer tells of it.
    fn ended(&self, attempt: &Ended<'_>);
}

/// How a request ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    /// Who was asked.
    pub provider: Provider,
    /// The model that was asked.
    pub model: &'a str,
    /// The class of the failure; `None` where a reply came.
    pub error: Option<ErrorKind>,
    /// The failure in words.
    pub reason: Option<&'a str>,
    /// The HTTP status, where one came back.
    pub status: Option<u16>,
    /// Whether anything went on the wire.
    pub is_sent: bool,
    /// What was counted.
    pub usage: Usage,
    /// Whether the count is this side's estimate.
    pub is_estimated: bool,
    /// US dollars; `None` where the model's price is not known.
    pub cost: Option<f64>,
    /// How long it took.
    pub latency: Duration,
}

/// Who watches a call; by default nobody.
#[derive(Clone, Default)]
pub struct Watch(Option<Arc<dyn AttemptSink>>);

impl Watch {
    /// `sink` watches.
    pub fn by(sink: Arc<dyn AttemptSink>) -> Self {
        Self(Some(sink))
    }

    pub(crate) fn sink(&self) -> Option<&dyn AttemptSink> {
        self.0.as_deref()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.0.is_some()).finish()
    }
}
