//! What is known about models, and whether a request suits a target's model.
//!
//! Looked up where a request depends on it alone: the facts of a model cost a request of their own, and most calls do not
//! need them. A server that does not tell is asked all the same: nothing is refused because of what is not known.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::message::{Headroom, Part, Request};
use crate::provider::{self, Capability, Codec, ModelFacts, Target, is_same_model};
use crate::transport::{Transport, WireRequest};

/// How long facts hold: a model may be pulled anew under the same name.
const LIFETIME: Duration = Duration::from_secs(600);

/// How long a server that did not tell is not asked again.
const PAUSE: Duration = Duration::from_secs(30);

/// How long a look-up may take. A server too busy to answer it has other worries.
const PATIENCE: Duration = Duration::from_secs(5);

/// Models that are remembered at most.
const CAPACITY: usize = 256;

/// Prompts up to this size, in tokens, fit every window that a server loads a model with by itself.
const SMALL: u64 = 4096;

/// The facts of the process, by address and model. They hold for every key, so no key is part of them.
#[derive(Debug, Default)]
pub(super) struct Facts {
    known: Mutex<HashMap<Place, Known>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    base_url: Arc<str>,
    model: Arc<str>,
}

#[derive(Debug)]
struct Known {
    /// `None` where the server did not tell.
    facts: Option<Arc<ModelFacts>>,
    until: Instant,
}

impl Facts {
    /// Gives `target` the facts that `request` depends on, and checks that its model can take the request.
    ///
    /// Fails with `Unsupported` for an image to a model that is known to see none, and with `ContextTooLong` for a prompt
    /// that cannot fit the model's context window. Cancel safety: dropping the future closes the socket of the look-up.
    pub(super) async fn prepare(
        &self,
        transport: &dyn Transport,
        target: &mut Target,
        request: &Request,
    ) -> Result<()> {
        let Some(codec) = provider::codec(target.provider) else { return Ok(()) };
        if codec.has_model_facts() && depends_on_facts(request) {
            target.facts = self.of(transport, codec, target).await;
        }
        check(codec, target, request)
    }

    /// What is known about the model of `target`, from memory or from its server.
    async fn of(&self, transport: &dyn Transport, codec: &dyn Codec, target: &Target) -> Option<Arc<ModelFacts>> {
        let place = Place { base_url: Arc::from(target.base_url.as_str()), model: Arc::clone(&target.model) };
        let now = Instant::now();
        if let Some(known) = self.lock().get(&place).filter(|known| now < known.until) {
            return known.facts.clone();
        }
        // Seldom made, so it takes no room in the future of every call.
        let facts = match Box::pin(ask(transport, target, codec.facts_request(target))).await {
            Some(body) => codec.decode_facts(&body).ok().map(Arc::new),
            None => None,
        };
        let lifetime = if facts.is_some() { LIFETIME } else { PAUSE };
        self.keep(place, Known { facts: facts.clone(), until: Instant::now() + lifetime });
        facts
    }

    fn keep(&self, place: Place, known: Known) {
        let mut all = self.lock();
        if all.len() >= CAPACITY && !all.contains_key(&place) {
            let now = Instant::now();
            all.retain(|_, known| now < known.until);
            // Nothing has expired: the one that will be the first to makes room.
            if all.len() >= CAPACITY
                && let Some(soonest) = all.iter().min_by_key(|(_, known)| known.until).map(|(place, _)| place.clone())
            {
                all.remove(&soonest);
            }
        }
        all.insert(place, known);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the model of `target` is one that its server has yet to load; `false` where the server does not tell.
///
/// Ollama lists a model as running as soon as it has begun to load it. So it is to be asked at the time the request is
/// sent: later, the model that is being loaded cannot be told from one that is slow.
///
/// Cancel safety: dropping the future closes the socket.
pub(super) async fn is_loading(transport: &dyn Transport, target: &Target) -> bool {
    let Some(codec) = provider::codec(target.provider) else { return false };
    let asking = Box::pin(ask(transport, target, codec.running_request(target)));
    let Some(body) = asking.await else { return false };
    codec.decode_running(&body).is_ok_and(|running| !running.iter().any(|name| is_same_model(name, &target.model)))
}

/// Whether `target` can take `request`, as far as is known.
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
    // Half of an estimate that may be wrong by as much: what is near the limit is for the server to judge.
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
    request.room == Headroom::Extended || has_image(request) || request.estimated_tokens() > SMALL
}

fn has_image(request: &Request) -> bool {
    request.parts.iter().any(|part| matches!(part, Part::Image { .. }))
}

/// The body of a good answer to `wire`. A failure tells nothing: the request itself will show what is wrong.
async fn ask(transport: &dyn Transport, target: &Target, wire: Result<Option<WireRequest>>) -> Option<bytes::Bytes> {
    let reply = transport.send(wire.ok()??, PATIENCE.min(target.timeout)).await.ok()?;
    (reply.status == 200).then_some(reply.body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: usize) -> Place {
        Place { base_url: Arc::from("http://h"), model: Arc::from(format!("model-{number}")) }
    }

    #[test]
    fn memory_is_bounded_and_what_expires_first_makes_room() {
        let facts = Facts::default();
        let now = Instant::now();
        for number in 0..=CAPACITY {
            // The model with the number 7 is the first to expire.
            let seconds = if number == 7 { 100 } else { 200 + number as u64 };
            facts.keep(place(number), Known { facts: None, until: now + Duration::from_secs(seconds) });
        }
        assert_eq!(facts.lock().len(), CAPACITY);
        assert!(!facts.lock().contains_key(&place(7)));
        facts.keep(place(9), Known { facts: None, until: now + LIFETIME });
        assert_eq!(facts.lock().len(), CAPACITY, "what is known anew takes its old place");
    }

    #[test]
    fn what_has_expired_makes_room_first() {
        let facts = Facts::default();
        for number in 0..CAPACITY {
            facts.keep(place(number), Known { facts: None, until: Instant::now() });
        }
        facts.keep(place(CAPACITY), Known { facts: None, until: Instant::now() + LIFETIME });
        assert_eq!(facts.lock().len(), 1);
    }
}
