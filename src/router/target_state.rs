//! The state that the process shares for each target.

use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hashlink::LinkedHashMap;
use tokio::time::Instant;

use super::breaker::Breaker;
use super::form_memory::FormMemory;
use super::latencies::Latencies;
use super::limit::Limiter;
use crate::config::Secret;
use crate::parameter::{Adjustments, Refusal};
use crate::provider::Target;
use crate::sync::{Arc, Mutex, lock};

/// How long a model is certain to stay loaded. Ollama unloads it five minutes after its last request, or earlier under memory
/// pressure.
const KEPT_LOADED: Duration = Duration::from_secs(60);

/// The maximum number of targets; the least recently used one is evicted. A server that accepts its users' own keys sees a new
/// target for each user. Less than half of the 8192 slots of the table, so it rehashes in place and never grows.
const MAX_TARGETS: usize = 3072;

/// The maximum number of targets checked for one to evict. Targets in use were used recently, so the first one is usually idle.
const MAX_EVICTION_CHECKS: usize = 8;

type KnownTargets = LinkedHashMap<TargetKey, Arc<TargetState>, BuildHasherDefault<KeyHasher>>;

/// The targets of the process, behind one lock that is held for one map operation.
#[derive(Default)]
pub(super) struct TargetStates {
    /// In the order of their last use.
    known: Mutex<KnownTargets>,
}

impl TargetStates {
    /// Returns the state of the target with `key`; equal targets share it.
    pub(super) fn of(&self, key: TargetKey) -> Arc<TargetState> {
        let mut known = lock(&self.known);
        if let Some(state) = known.to_back(&key) {
            return Arc::clone(state);
        }
        evict(&mut known);
        let state = Arc::<TargetState>::default();
        known.insert(key, Arc::clone(&state));
        state
    }

    /// Returns the number of targets.
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

/// The shared state of one target. Of requests it contains only the digests of schemas that it rejected.
#[derive(Debug, Default)]
pub(super) struct TargetState {
    pub(super) breaker: Breaker,
    pub(super) limiter: Limiter,
    /// The latencies of its replies to calls, without streams.
    pub(super) latencies: Latencies,
    /// The schema forms that it accepts.
    pub(super) forms: FormMemory,
    /// The parameters that it refused, as [`Adjustments::bits`].
    refused: AtomicU32,
    /// The time of its last reply.
    answered: Mutex<Option<Instant>>,
}

impl TargetState {
    /// Notes that the target answered at `now`.
    pub(super) fn record_answer(&self, now: Instant) {
        *lock(&self.answered) = Some(now);
    }

    /// Whether the server may have to load the model first.
    pub(super) fn may_be_cold(&self, now: Instant) -> bool {
        lock(&self.answered).is_none_or(|answered| now.saturating_duration_since(answered) > KEPT_LOADED)
    }

    /// Returns the changes that the target requires of every request.
    pub(super) fn adjustments(&self) -> Adjustments {
        Adjustments::from_bits(self.refused.load(Ordering::Relaxed))
    }

    /// Notes that the target refused a parameter of every request.
    pub(super) fn remember_refusal(&self, refusal: Refusal) {
        self.refused.fetch_or(Adjustments::default().after(refusal).bits(), Ordering::Relaxed);
    }

    fn is_idle(&self) -> bool {
        self.breaker.is_idle() && self.limiter.is_idle()
    }
}

/// The fingerprint of the provider, its API, base URL, API key and model of a target.
///
/// `SipHash` with random keys of this process, once for each half: unpredictable from outside, so that no tenant can construct a
/// collision, and 128 bits long, so that none happens by chance. The API key cannot be recovered from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TargetKey([u64; 2]);

impl TargetKey {
    pub(super) fn of(target: &Target) -> Self {
        /// With random keys, so that fingerprints are meaningless outside this process.
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let key = target.key.as_ref().map(Secret::expose);
        let address = target.base_url.as_str().trim_end_matches('/');
        Self(
            [0_u8, 1]
                .map(|half| HASHER.hash_one((half, target.provider, target.options.api, address, key, &*target.model))),
        )
    }
}

/// A fingerprint is as good as random, so one half of it is its hash.
impl Hash for TargetKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[0]);
    }
}

/// The hasher of a [`TargetKey`], which returns the number that was written to it.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 ^= number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Evicts idle targets, least recently used first, until there is room for one more.
fn evict(known: &mut KnownTargets) {
    for _ in 0..MAX_EVICTION_CHECKS {
        if known.len() < MAX_TARGETS {
            return;
        }
        let Some(mut oldest) = known.front_entry() else { return };
        // The map is locked and only it clones the `Arc`, so the only owner is the map.
        if Arc::strong_count(oldest.get()) == 1 && oldest.get().is_idle() {
            oldest.remove();
        } else {
            oldest.to_back();
        }
    }
}
