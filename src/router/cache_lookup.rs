//! The response cache as one call uses it: looks up earlier answers, shares identical concurrent requests, writes the answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::call_state::CallState;
use super::facts::depends_on_facts;
use super::send::{codec_for, encode};
use super::{Engine, Router, pages};
use crate::cache::{Entry, Key, PendingWrite, Store};
use crate::message::{FinishReason, PageStatus, Reply, Request, SchemaForm};
use crate::offload::offload;
use crate::parameter::Adjustments;
use crate::provider::Target;
use crate::transport::WireRequest;

/// The lookups of one call.
#[derive(Debug)]
pub(super) struct CacheLookup {
    store: Arc<Store>,
    max_age: Duration,
    lookups: Vec<LookupKey>,
}

/// The first request to one target, and its key.
#[derive(Debug)]
struct LookupKey {
    /// The index of the target in its call.
    index: usize,
    variant: (SchemaForm, Adjustments),
    key: Key,
    /// The encoded request, until it is sent.
    wire: Option<WireRequest>,
}

/// A write of an answer to the cache.
#[derive(Debug)]
pub struct CacheWrite {
    pending: PendingWrite,
    deadline: Option<Instant>,
}

impl CacheLookup {
    /// Returns `None` if `request` does not use the cache. The temperature that the caller asked for decides, also for models
    /// that take none.
    pub(super) fn new(router: &Router, engine: &Engine, request: &Request) -> Option<Self> {
        let config = &router.config().cache;
        let is_default = || router.cache_enabled() && request.temperature == Some(0.0);
        request.use_cache.unwrap_or_else(is_default).then(|| Self {
            store: engine.cache().store(config),
            max_age: config.ttl,
            lookups: Vec::new(),
        })
    }

    /// Returns the cached answer of a target that `call` may use next. The target that the plan prefers is looked up first:
    /// it may be in cooldown or unreachable and have answered earlier.
    pub(super) async fn find(&mut self, call: &CallState) -> Option<(Key, Arc<Entry>)> {
        let (preferred, ready) = call.next_targets(Instant::now());
        let unready = preferred.filter(|_| preferred != ready).map(|index| (index, false));
        for (index, is_ready) in unready.into_iter().chain(ready.map(|index| (index, true))) {
            let Some(key) = self.key(call, index, is_ready).await else { continue };
            if let Some(entry) = self.in_memory(&key) {
                return Some((key, entry));
            }
            // Boxed: most answers that are found are in memory.
            let searching = Box::pin(self.store.load(&key, self.max_age));
            let found = match call.deadline {
                Some(deadline) => timeout_at(deadline, searching).await.ok().flatten(),
                None => searching.await,
            };
            if let Some(entry) = found {
                return Some((key, entry));
            }
        }
        None
    }

    /// Returns the key of the next request to the target with `index`, and the request if it is not sent yet. `None` if the
    /// request cannot be shared.
    pub(super) fn shareable(&mut self, call: &CallState, index: usize) -> Option<(Key, Option<WireRequest>)> {
        let variant = call.first_variant(index)?;
        let lookup = self.lookups.iter_mut().find(|lookup| lookup.index == index && lookup.variant == variant)?;
        Some((lookup.key, lookup.wire.take()))
    }

    /// Drops the requests that are not sent, which hold the attachments.
    pub(super) fn drop_requests(&mut self) {
        self.lookups.iter_mut().for_each(|lookup| lookup.wire = None);
    }

    /// Returns the answer of `key` if it is in memory.
    pub(super) fn in_memory(&self, key: &Key) -> Option<Arc<Entry>> {
        self.store.get(key, self.max_age)
    }

    /// Writes `reply`, the accepted reply of the last attempt of `call`. `None` if it is not cacheable.
    pub(super) fn write(&self, call: &CallState, reply: &Reply) -> Option<CacheWrite> {
        let attempt = call.attempts.last().filter(|attempt| attempt.ok() && is_complete(reply))?;
        let index = call.last_index?;
        let key = self.lookups.iter().rfind(|lookup| lookup.index == index)?.key;
        // The call that sent a shared request writes the answer, unless it was cancelled.
        if attempt.is_shared && self.in_memory(&key).is_some() {
            return None;
        }
        let entry = Entry {
            finish: reply.finish,
            finish_detail: reply.finish_detail.as_deref().map(Arc::from),
            reasoning: reply.reasoning.as_deref().map(Arc::from),
            ..Entry::new(reply.text.as_str(), attempt.provider, Arc::clone(&attempt.model), reply.usage)
        };
        Some(CacheWrite { pending: self.store.put(key, Arc::new(entry), self.max_age), deadline: call.deadline })
    }

    /// Removes the answer of `key`, which its caller has rejected.
    pub(super) fn forget(&self, key: &Key) {
        self.store.remove(key);
    }

    /// Returns the key of the first request to the target with `index`. `None` if it was looked up before or has no key. Sends
    /// nothing to a target that is not ready.
    async fn key(&mut self, call: &CallState, index: usize, is_ready: bool) -> Option<Key> {
        let variant = call.first_variant(index)?;
        if self.lookups.iter().any(|lookup| lookup.index == index && lookup.variant == variant) {
            return None;
        }
        let (mut target, mut request) = (Arc::clone(call.target(index)), call.request_to(index));
        if pages::are_in(&request) {
            let limit = time_left(&target, call.deadline);
            // Boxed: few calls have pages.
            timeout(limit, Box::pin(pages::resolve(&mut request, &target, index))).await.ok()?.ok()?;
        }
        let codec = codec_for(&target, &request).ok()??;
        if !is_ready && codec.has_model_facts() && depends_on_facts(&request) {
            return None;
        }
        // Encoding may need the facts of the model. If fetching them fails, the attempt fails too and reports it.
        let limit = time_left(&target, call.deadline);
        timeout(limit, call.engine.prepare(&mut target, &request)).await.ok()?.ok()?;
        let wire = encode(codec, &target, &request).ok()?;
        let key = offload(wire.body.len(), || Key::of(&target, &wire, request.schema.as_deref()));
        self.lookups.push(LookupKey { index, variant, key, wire: Some(wire) });
        Some(key)
    }
}

impl CacheWrite {
    /// Waits until the answer is on disk or its write has failed, at most until the deadline of its call. The write continues without a
    /// waiter.
    pub async fn settled(self) {
        match self.deadline {
            Some(deadline) => drop(timeout_at(deadline, self.pending.written()).await),
            None => drop(self.pending.written().await),
        }
    }
}

fn time_left(target: &Target, deadline: Option<Instant>) -> Duration {
    let left = deadline.map_or(target.timeout, |deadline| deadline.saturating_duration_since(Instant::now()));
    left.min(target.timeout)
}

/// Whether `reply` is complete. A part that is missing now may be there in the next reply. If the provider does not report why
/// its model stopped, complete JSON is taken as complete.
fn is_complete(reply: &Reply) -> bool {
    let has_finished = match reply.finish {
        FinishReason::Stop => true,
        FinishReason::Other => reply.is_json && reply.finish_detail.is_none(),
        _ => false,
    };
    has_finished && reply.pages.iter().all(|page| page.status == PageStatus::Success)
}
