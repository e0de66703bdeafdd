//! What a call has to do with the cache: an answer that was given before is taken in place of a request, one that is being
//! given is waited for, and the call's own answer is kept.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::attempt::{codec_for, encode};
use super::call_state::CallState;
use super::facts::depends_on_facts;
use super::{Engine, Router};
use crate::cache::{Entry, Kept, Key, Store};
use crate::message::{FinishReason, PageStatus, Reply, SchemaForm};
use crate::offload::offload;
use crate::provider::Target;
use crate::transport::WireRequest;

/// The cache, as one call uses it.
#[derive(Debug)]
pub(super) struct CacheLookup {
    store: Arc<Store>,
    max_age: Duration,
    /// What was looked for.
    questions: Vec<LookupKey>,
}

/// A request to one target, as it would be sent at first.
#[derive(Debug)]
struct LookupKey {
    /// Of the target in the call's route.
    index: usize,
    form: SchemaForm,
    key: Key,
    /// Until it is sent.
    wire: Option<WireRequest>,
}

/// Where an answer is on disk, or given up: what a kept answer waits for.
#[derive(Debug)]
pub struct CacheWrite {
    kept: Kept,
    deadline: Option<Instant>,
}

impl CacheLookup {
    /// `None` where neither the call nor its router wants the cache.
    pub(super) fn new(router: &Router, engine: &Engine, use_cache: Option<bool>) -> Option<Self> {
        let config = &router.config().cache;
        use_cache.unwrap_or(router.cache_enabled()).then(|| Self {
            store: engine.cache().store(config),
            max_age: config.ttl,
            questions: Vec::new(),
        })
    }

    /// The answer that was kept of a target that `walk` may ask next, the one that its plan prefers first: that target may
    /// be resting, or out of reach, and has answered all the same.
    pub(super) async fn find(&mut self, walk: &CallState) -> Option<(Key, Arc<Entry>)> {
        let (preferred, ready) = walk.ahead(Instant::now());
        let resting = preferred.filter(|_| preferred != ready);
        for (index, is_ready) in resting.map(|index| (index, false)).into_iter().chain(ready.map(|index| (index, true)))
        {
            let Some(key) = self.question(walk, index, is_ready).await else { continue };
            if let Some(entry) = self.store.recall(&key, self.max_age) {
                return Some((key, entry));
            }
            // Not in the future of every call: most answers that are found are in memory.
            let searching = Box::pin(self.store.look_up(&key, self.max_age));
            let found = match walk.deadline() {
                Some(deadline) => timeout_at(deadline, searching).await.ok().flatten(),
                None => searching.await,
            };
            if let Some(entry) = found {
                return Some((key, entry));
            }
        }
        None
    }

    /// What to ask the target with this index together with other calls; `None` where this call is to ask alone.
    pub(super) fn shareable(&mut self, walk: &CallState, index: usize) -> Option<(Key, Option<WireRequest>)> {
        let form = walk.first_form(index)?;
        let question = self.questions.iter_mut().find(|question| question.index == index && question.form == form)?;
        Some((question.key, question.wire.take()))
    }

    /// The answer of `key` that was kept a moment ago.
    pub(super) fn again(&self, key: &Key) -> Option<Arc<Entry>> {
        self.store.recall(key, self.max_age)
    }

    /// Keeps `reply`, the last answer of `walk`, as it was taken.
    pub(super) fn keep(&self, walk: &CallState, reply: &Reply) -> Option<CacheWrite> {
        let attempt = walk.last_answer().filter(|_| is_complete(reply))?;
        let index = walk.last()?;
        let key = self.questions.iter().rfind(|question| question.index == index)?.key;
        // Another call has asked, and keeps its answer itself, unless nobody waits for it any more.
        if attempt.is_shared && self.store.recall(&key, self.max_age).is_some() {
            return None;
        }
        let entry = Entry::new(reply.text.as_str(), attempt.provider, Arc::clone(&attempt.model), reply.usage);
        Some(CacheWrite { kept: self.store.keep(key, Arc::new(entry), self.max_age), deadline: walk.deadline() })
    }

    /// Forgets the answer of `key`: it does not fit what its caller wants.
    pub(super) fn forget(&self, key: &Key) {
        self.store.forget(key);
    }

    /// The key of what the target with this index would be asked first; `None` where it was looked for already, and where
    /// there is nothing to look for. Nothing is asked of a target that is not ready.
    async fn question(&mut self, walk: &CallState, index: usize, is_ready: bool) -> Option<Key> {
        let form = walk.first_form(index)?;
        if self.questions.iter().any(|question| question.index == index && question.form == form) {
            return None;
        }
        let (mut target, request) = (walk.target(index).clone(), walk.request_to(index));
        let codec = codec_for(&target, &request).ok()??;
        if !is_ready && codec.has_model_facts() && depends_on_facts(&request) {
            return None;
        }
        // What it takes to know the request may have to be asked for. Where that fails, so does the request: not here.
        let patience = patience(&target, walk.deadline());
        timeout(patience, walk.engine.prepare(&mut target, &request)).await.ok()?.ok()?;
        let wire = encode(codec, &target, &request).ok()?;
        let key = offload(wire.body.len(), || Key::of(&target, &wire, request.schema.as_deref()));
        self.questions.push(LookupKey { index, form, key, wire: Some(wire) });
        Some(key)
    }
}

impl CacheWrite {
    /// Ready when the answer is on disk, when it was given up, and at the deadline of its call.
    pub async fn settled(self) {
        match self.deadline {
            // It goes on without a waiter.
            Some(deadline) => drop(timeout_at(deadline, self.kept).await),
            None => drop(self.kept.await),
        }
    }
}

fn patience(target: &Target, deadline: Option<Instant>) -> Duration {
    let left = deadline.map_or(target.timeout, |deadline| deadline.saturating_duration_since(Instant::now()));
    left.min(target.timeout)
}

/// Whether nothing is missing in `reply`: what a provider left out, it may have next time. A provider that does not say why
/// its model stopped is believed where the reply is whole JSON.
fn is_complete(reply: &Reply) -> bool {
    let is_whole = match reply.finish {
        FinishReason::Stop => true,
        FinishReason::Length => false,
        FinishReason::Other => reply.is_json,
    };
    is_whole && reply.pages.iter().all(|page| page.status == PageStatus::Success)
}
