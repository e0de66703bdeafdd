//! A network for tests: answers from a function, in the time of tokio's clock.

use std::fmt;

use futures_util::future::BoxFuture;

use super::{Http, WireReply, WireRequest};
use crate::error::Result;

type Answer = dyn Fn(WireRequest) -> BoxFuture<'static, Result<WireReply>> + Send + Sync;

pub(crate) struct Script(Box<Answer>);

impl Script {
    pub(super) fn answer(&self, request: WireRequest) -> BoxFuture<'static, Result<WireReply>> {
        (self.0)(request)
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

impl Http {
    /// A client whose requests go to `answer`.
    pub(crate) fn scripted(
        answer: impl Fn(WireRequest) -> BoxFuture<'static, Result<WireReply>> + Send + Sync + 'static,
    ) -> Self {
        Self { script: Some(Script(Box::new(answer))), ..Self::default() }
    }
}
