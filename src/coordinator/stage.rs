//! The stages, and what stands between a stage and the router: the deadlines and the limit of concurrent calls.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Serialize, Serializer};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, ErrorKind, Result};
use crate::message::Request;
use crate::router::{Generate, ReplyCheck, Response};

/// A stage of the workflow that asks a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// From the topic to ideas.
    IdeaGeneration,
    /// A score for every idea.
    Evaluation,
    /// The case for the kept ideas.
    Advocacy,
    /// The case against them.
    Skepticism,
    /// A better version of each.
    Improvement,
    /// A score for every better version.
    ReEvaluation,
}

impl Stage {
    /// Every stage, in the order of the workflow.
    pub const ALL: [Self; 6] = [
        Self::IdeaGeneration,
        Self::Evaluation,
        Self::Advocacy,
        Self::Skepticism,
        Self::Improvement,
        Self::ReEvaluation,
    ];

    /// A stable snake-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IdeaGeneration => "idea_generation",
            Self::Evaluation => "evaluation",
            Self::Advocacy => "advocacy",
            Self::Skepticism => "skepticism",
            Self::Improvement => "improvement",
            Self::ReEvaluation => "re_evaluation",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Stage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A moment and the limit it came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    after: Duration,
}

impl Deadline {
    /// `after` from now.
    pub(super) fn new(after: Duration) -> Self {
        Self { at: Instant::now() + after, after }
    }

    /// Whether it has passed.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.at
    }

    /// Its length in seconds, for people.
    pub(super) fn seconds(&self) -> f64 {
        self.after.as_secs_f64()
    }
}

/// The router as one stage sees it: every call waits for a permit and ends at the nearer of two deadlines.
///
/// The deadlines end calls, not the stage's future, so what a stage got before one passed is kept.
#[derive(Clone, Copy)]
pub(super) struct Bounded<'a> {
    pub(super) router: &'a dyn Generate,
    pub(super) permits: &'a Semaphore,
    pub(super) stage: Stage,
    pub(super) stage_deadline: Deadline,
    pub(super) run_deadline: Deadline,
}

impl Bounded<'_> {
    fn expired(&self) -> Error {
        let message = if self.run_deadline.at <= self.stage_deadline.at {
            format!("the run's deadline of {} s was reached", self.run_deadline.seconds())
        } else {
            format!("the limit of {} s for {} was reached", self.stage_deadline.seconds(), self.stage)
        };
        Error::new(ErrorKind::DeadlineExceeded, message)
    }
}

impl Generate for Bounded<'_> {
    fn generate<'a>(&'a self, request: Request, check: &'a dyn ReplyCheck) -> BoxFuture<'a, Result<Response>> {
        Box::pin(async move {
            let at = self.run_deadline.at.min(self.stage_deadline.at);
            // A future is polled once even when its deadline has passed: without this a call would begin and be cut.
            if Instant::now() >= at {
                return Err(self.expired());
            }
            let call = async {
                let closed = |_| Error::new(ErrorKind::Internal, "the limit of concurrent calls is closed");
                let _permit = self.permits.acquire().await.map_err(closed)?;
                self.router.generate(request, check).await
            };
            timeout_at(at, call).await.unwrap_or_else(|_| Err(self.expired()))
        })
    }
}
