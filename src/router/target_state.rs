//! What the process knows of each target.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use hashlink::LinkedHashMap;
use tokio::time::Instant;

use super::breaker::Breaker;
use super::latencies::Latencies;
use super::limit::Limiter;
use crate::config::Secret;
use crate::message::SchemaForm;
use crate::provider::Target;
use crate::sync::{Arc, Mutex, lock};

/// Ollama unloads a model five minutes after its last request; a server under pressure does so earlier.
const WARM: Duration = Duration::from_secs(60);

/// Beyond so many targets, those are forgotten that were not asked for longest. A server that takes its users' own keys
/// sees a new target with each of them. The traces of the forgotten are cleared in place where less than half of a table
/// is in use, and this is less than half of one with 8192 places: it never becomes larger.
const MOST: usize = 3072;

/// How many of the oldest targets are looked at for one to forget. Those in use are as many as calls are under way, and
/// were asked for lately, so the first one will mostly do.
const LOOKS: usize = 8;

/// The targets of the process. One lock: it is held for one look into a map.
#[derive(Default)]
pub(super) struct TargetStates {
    /// Its random keys are made once, so that fingerprints mean nothing outside this process.
    hasher: RandomState,
    /// In the order in which they were last asked for. One is forgotten for each new one: memory that is let go of is
    /// taken again at once, and the heap stays as it is.
    known: Mutex<LinkedHashMap<TargetKey, Arc<TargetState>>>,
}

impl TargetStates {
    /// The state of `target`; equal targets have the same one.
    pub(super) fn of(&self, target: &Target) -> Arc<TargetState> {
        let key = TargetKey::of(target, &self.hasher);
        let mut known = lock(&self.known);
        if let Some(state) = known.to_back(&key) {
            return Arc::clone(state);
        }
        make_room(&mut known);
        let state = Arc::<TargetState>::default();
        known.insert(key, Arc::clone(&state));
        state
    }

    /// How many targets are known.
    pub(super) fn len(&self) -> usize {
        lock(&self.known).len()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        lock(&self.known).capacity()
    }
}

impl fmt::Debug for TargetStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetStates").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// What the process knows of one target. Holds nothing that a request chose.
#[derive(Debug, Default)]
pub(super) struct TargetState {
    pub(super) breaker: Breaker,
    pub(super) limiter: Limiter,
    /// Of its answers to calls.
    pub(super) latencies: Latencies,
    /// The [`SchemaForm`] of schema it takes, as a number.
    form: AtomicU8,
    /// When it last answered: until a while after that, its server keeps the model loaded.
    answered: Mutex<Option<Instant>>,
}

impl TargetState {
    /// Notes that the target answered at `now`.
    pub(super) fn record_answer(&self, now: Instant) {
        *lock(&self.answered) = Some(now);
    }

    /// Whether a server that unloads idle models may have to load this one.
    pub(super) fn may_be_cold(&self, now: Instant) -> bool {
        lock(&self.answered).is_none_or(|answered| now.saturating_duration_since(answered) > WARM)
    }

    /// The form of schema to send it.
    pub(super) fn form(&self) -> SchemaForm {
        match self.form.load(Ordering::Relaxed) {
            0 => SchemaForm::Native,
            1 => SchemaForm::Older,
            _ => SchemaForm::Prompted,
        }
    }

    /// It has rejected every form above `form`.
    pub(super) fn remember_form(&self, form: SchemaForm) {
        self.form.fetch_max(form as u8, Ordering::Relaxed);
    }

    fn is_idle(&self) -> bool {
        self.breaker.is_idle() && self.limiter.is_idle()
    }
}

/// Stands for dialect, address, key and model of a target.
///
/// `SipHash`, keyed with random numbers of this process, once for each half: a keyed hash whose values nobody outside
/// can foresee, so that no choice of keys and addresses makes two tenants meet; 128 bits, so that chance does not
/// either. It is in the standard library, and the API key cannot be read back from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct TargetKey([u64; 2]);

impl TargetKey {
    fn of(target: &Target, hasher: &RandomState) -> Self {
        let key = target.key.as_ref().map(Secret::expose);
        let address = target.base_url.trim_end_matches('/');
        Self([0_u8, 1].map(|half| hasher.hash_one((half, target.provider, address, key, &*target.model))))
    }
}

/// Forgets the oldest targets that nobody uses, until one more has its place.
fn make_room(known: &mut LinkedHashMap<TargetKey, Arc<TargetState>>) {
    for _ in 0..LOOKS {
        if known.len() < MOST {
            return;
        }
        let Some(mut oldest) = known.front_entry() else { return };
        // Only this map gives an `Arc` out, under its lock: what it holds alone, nobody can get meanwhile.
        if Arc::strong_count(oldest.get()) == 1 && oldest.get().is_idle() {
            oldest.remove();
        } else {
            oldest.to_back();
        }
    }
}
