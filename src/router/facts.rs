//! The facts about models, and whether a target's model can serve a request.
//!
//! Facts are fetched only if the request depends on them, because fetching costs a request and most calls need none. Unknown
//! facts never cause an error.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::message::{Headroom, Part, Request};
use crate::provider::{Capability, Codec, ModelFacts, Target, is_same_model};
use crate::sync::{Arc, Mutex, MutexGuard, lock};
use crate::transport::{Transport, WireRequest};

/// How long facts are valid: a model may be replaced under the same name.
const LIFETIME: Duration = Duration::from_secs(600);

/// How long a failed lookup is not repeated.
const RETRY_AFTER_FAILURE: Duration = Duration::from_secs(30);

/// The time limit of a lookup.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum number of models in memory.
const CAPACITY: usize = 256;

/// Prompts up to this number of tokens fit the default context window of every server.
const SMALL_PROMPT: u64 = 4096;

/// The facts known to the process, by base URL and model. They do not depend on the API key.
#[derive(Debug, Default)]
pub(super) struct Facts {
    known: Mutex<HashMap<ModelKey, CachedFacts>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ModelKey {
    base_url: Arc<str>,
    model: Arc<str>,
}

#[derive(Debug)]
struct CachedFacts {
    /// `None` if the lookup failed.
    facts: Option<Arc<ModelFacts>>,
    until: Instant,
}

impl Facts {
    /// See [`Engine::prepare`](super::Engine::prepare).
    pub(super) async fn prepare(
        &self,
        transport: &dyn Transport,
        target: &mut Arc<Target>,
        request: &Request,
    ) -> Result<()> {
        let Some(codec) = target.codec() else { return Ok(()) };
        if codec.has_model_facts() && depends_on_facts(request) {
            let facts = self.of(transport, codec, target).await;
            Arc::make_mut(target).facts = facts;
        }
        check(codec, target, request)
    }

    /// Returns the facts about the model of `target`, from memory or from its server.
    async fn of(&self, transport: &dyn Transport, codec: &dyn Codec, target: &Target) -> Option<Arc<ModelFacts>> {
        let key = ModelKey { base_url: Arc::from(target.base_url.as_str()), model: Arc::clone(&target.model) };
        let now = Instant::now();
        if let Some(cached) = self.lock().get(&key).filter(|cached| now < cached.until) {
            return cached.facts.clone();
        }
        // Boxed: lookups are rare.
        let facts = match Box::pin(fetch(transport, target, codec.facts_request(target))).await {
            Some(body) => codec.decode_facts(&body).ok().map(Arc::new),
            None => None,
        };
        let lifetime = if facts.is_some() { LIFETIME } else { RETRY_AFTER_FAILURE };
        self.insert(key, CachedFacts { facts: facts.clone(), until: Instant::now() + lifetime });
        facts
    }

    /// Evicts expired entries if the memory is full, otherwise the entry that expires first.
    fn insert(&self, key: ModelKey, cached: CachedFacts) {
        let mut all = self.lock();
        if all.len() >= CAPACITY && !all.contains_key(&key) {
            let now = Instant::now();
            all.retain(|_, cached| now < cached.until);
            if all.len() >= CAPACITY
                && let Some(first) = all.iter().min_by_key(|(_, cached)| cached.until).map(|(key, _)| key.clone())
            {
                all.remove(&first);
            }
        }
        all.insert(key, cached);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ModelKey, CachedFacts>> {
        lock(&self.known)
    }
}

/// Whether the server of `target` has to load its model first; `false` if unknown.
///
/// Ollama lists a model as running as soon as it begins to load it, so the check is valid only right before the request is sent.
pub(super) async fn is_loading(transport: &dyn Transport, target: &Target) -> bool {
    let Some(codec) = target.codec() else { return false };
    let fetching = Box::pin(fetch(transport, target, codec.running_request(target)));
    let Some(body) = fetching.await else { return false };
    codec.decode_running(&body).is_ok_and(|running| !running.iter().any(|name| is_same_model(name, &target.model)))
}

/// Fails if `target` is known to be unable to serve `request`.
fn check(codec: &dyn Codec, target: &Target, request: &Request) -> Result<()> {
    let is_blind = target.facts.as_deref().is_some_and(|facts| facts.lacks(Capability::Vision));
    if is_blind && has_image(request) {
        let message = format!(
            "the model {} sees no images: choose one that does, such as gemma3:4b, or send the request without images",
            target.model
        );
        return Err(target.locate(Error::new(ErrorKind::Unsupported, message)));
    }
    let Some(length) = codec.context_length(target) else { return Ok(()) };
    // Half of the estimate, which may be wrong by as much: near the limit the server decides.
    let least = request.estimated_tokens() / 2;
    if least > length {
        let message = format!(
            "the prompt of at least {least} tokens does not fit the context of the model, which is {length} tokens long"
        );
        return Err(target.locate(Error::new(ErrorKind::ContextTooLong, message)));
    }
    Ok(())
}

pub(super) fn depends_on_facts(request: &Request) -> bool {
    request.headroom == Headroom::Extended || has_image(request) || request.estimated_tokens() > SMALL_PROMPT
}

fn has_image(request: &Request) -> bool {
    request.parts.iter().any(|part| matches!(part, Part::Image { .. }))
}

/// Returns the body of a successful reply to `wire`. Failures are ignored: the request itself will report them.
async fn fetch(transport: &dyn Transport, target: &Target, wire: Result<Option<WireRequest>>) -> Option<bytes::Bytes> {
    let reply = transport.send(wire.ok()??, LOOKUP_TIMEOUT.min(target.timeout)).await.ok()?;
    (reply.status == 200).then_some(reply.body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> ModelKey {
        ModelKey { base_url: Arc::from("http://h"), model: Arc::from(format!("model-{number}")) }
    }

    #[test]
    fn a_full_memory_evicts_the_entry_that_expires_first() {
        let facts = Facts::default();
        let now = Instant::now();
        for number in 0..=CAPACITY {
            // The model with the number 7 is the first to expire.
            let seconds = if number == 7 { 100 } else { 200 + number as u64 };
            facts.insert(key(number), CachedFacts { facts: None, until: now + Duration::from_secs(seconds) });
        }
        assert_eq!(facts.lock().len(), CAPACITY);
        assert!(!facts.lock().contains_key(&key(7)));
        facts.insert(key(9), CachedFacts { facts: None, until: now + LIFETIME });
        assert_eq!(facts.lock().len(), CAPACITY, "a known model is replaced");
    }

    #[test]
    fn expired_entries_are_evicted_first() {
        let facts = Facts::default();
        for number in 0..CAPACITY {
            facts.insert(key(number), CachedFacts { facts: None, until: Instant::now() });
        }
        facts.insert(key(CAPACITY), CachedFacts { facts: None, until: Instant::now() + LIFETIME });
        assert_eq!(facts.lock().len(), 1);
    }
}
