//! What the process knows of each target.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::Breaker;
use super::latencies::Latencies;
use super::limit::Limiter;
use super::sync::{Arc, Mutex, lock};
use crate::config::Secret;
use crate::message::Form;
use crate::provider::Target;

/// Ollama unloads a model five minutes after its last request; a server under pressure does so earlier.
const WARM: Duration = Duration::from_secs(60);

/// Beyond so many targets, those are forgotten that were not asked for longest. A server that takes its users' own keys
/// sees a new target with each of them.
const MOST: usize = 4096;

/// The targets of the process. One lock: it is held for one look into a map.
#[derive(Default)]
pub(super) struct TargetStates {
    /// Its random keys are made once, so that fingerprints mean nothing outside this process.
    hasher: RandomState,
    known: Mutex<Known>,
}

impl TargetStates {
    /// The state of `target`; equal targets have the same one.
    pub(super) fn of(&self, target: &Target) -> Arc<TargetState> {
        let key = TargetKey::of(target, &self.hasher);
        let mut known = lock(&self.known);
        known.clock += 1;
        let clock = known.clock;
        if let Some(entry) = known.entries.get_mut(&key) {
            entry.used = clock;
            return Arc::clone(&entry.state);
        }
        if known.entries.len() >= MOST {
            known.forget_oldest();
        }
        let state = Arc::<TargetState>::default();
        known.entries.insert(key, Entry { state: Arc::clone(&state), used: clock });
        state
    }

    /// How many targets are known.
    pub(super) fn len(&self) -> usize {
        lock(&self.known).entries.len()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        lock(&self.known).entries.capacity()
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
    /// The [`Form`] of schema it takes, as a number.
    form: AtomicU8,
    /// When it last answered: until a while after that, its server keeps the model loaded.
    answered: Mutex<Option<Instant>>,
}

impl TargetState {
    /// It has answered at `now`.
    pub(super) fn answered(&self, now: Instant) {
        *lock(&self.answered) = Some(now);
    }

    /// Whether a server that unloads idle models may have to load this one.
    pub(super) fn may_be_cold(&self, now: Instant) -> bool {
        lock(&self.answered).is_none_or(|answered| now.saturating_duration_since(answered) > WARM)
    }

    /// The form of schema to send it.
    pub(super) fn form(&self) -> Form {
        match self.form.load(Ordering::Relaxed) {
            0 => Form::Native,
            1 => Form::Older,
            _ => Form::Told,
        }
    }

    /// It has rejected every form above `form`.
    pub(super) fn remember_form(&self, form: Form) {
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

#[derive(Default)]
struct Known {
    entries: HashMap<TargetKey, Entry>,
    /// Counts the look-ups; tells which entry was used last.
    clock: u64,
}

struct Entry {
    state: Arc<TargetState>,
    used: u64,
}

impl Known {
    /// Forgets the oldest of the targets that nobody uses, so many at a time that it is worth the walk.
    fn forget_oldest(&mut self) {
        // Only this map gives an `Arc` out, under its lock: what it holds alone, nobody can get meanwhile.
        let is_free = |entry: &Entry| Arc::strong_count(&entry.state) == 1 && entry.state.is_idle();
        let mut ages: Vec<_> = self.entries.values().filter(|entry| is_free(entry)).map(|entry| entry.used).collect();
        let Some(last) = ages.len().min(MOST / 8).checked_sub(1) else { return };
        let (_, newest, _) = ages.select_nth_unstable(last);
        let newest = *newest;
        // Into a new table: the traces of the forgotten ones would make the old one twice as large before long.
        let mut kept = HashMap::with_capacity(MOST);
        kept.extend(self.entries.drain().filter(|(_, entry)| entry.used > newest || !is_free(entry)));
        self.entries = kept;
    }
}
