//! A transport for tests: replies come from a function, in the time of tokio's clock, which can be paused.

use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use tokio::time::timeout;

use super::error::{headers_timeout, reply_timeout};
use super::{ResponseBody, Transport, WireReply, WireRequest};
use crate::error::Result;

type Reply = dyn Fn(WireRequest) -> BoxFuture<'static, Result<WireReply>> + Send + Sync;

/// Answers each request with a function.
pub(crate) struct Scripted(Box<Reply>);

impl Scripted {
    pub(crate) fn new(
        reply: impl Fn(WireRequest) -> BoxFuture<'static, Result<WireReply>> + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(reply))
    }
}

impl Transport for Scripted {
    fn send(&self, request: WireRequest, limit: Duration) -> BoxFuture<'_, Result<WireReply>> {
        let url = request.url.clone();
        Box::pin(async move {
            let reply = timeout(limit, (self.0)(request)).await;
            reply.unwrap_or_else(|_| Err(reply_timeout(&url, limit)))
        })
    }

    fn open(&self, request: WireRequest, limit: Duration) -> BoxFuture<'_, Result<WireReply<ResponseBody>>> {
        let url = request.url.clone();
        Box::pin(async move {
            let reply = timeout(limit, (self.0)(request)).await;
            let WireReply { status, headers, body } = reply.unwrap_or_else(|_| Err(headers_timeout(&url, limit)))?;
            let body = Full::new(body).map_err(|error: Infallible| match error {});
            Ok(WireReply { status, headers, body: ResponseBody::new(body) })
        })
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}
