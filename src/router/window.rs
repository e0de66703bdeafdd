//! The requests and tokens admitted at one target within the last minute.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Limits;

/// The period of `requests_per_minute` and `tokens_per_minute`.
const MINUTE: Duration = Duration::from_secs(60);

/// Admissions this close together share a slot, which bounds the number of slots.
const RESOLUTION: Duration = Duration::from_millis(500);

/// A sliding window over the requests and tokens of the last minute.
///
/// A slot expires a minute after its last admission, so nothing expires early: with a call of [`Window::ready_in`] before each
/// [`Window::add`], no minute exceeds the limit. Single requests have a slot each and expire in time; the first of a burst expires
/// up to [`RESOLUTION`] late.
#[derive(Debug, Default)]
pub(super) struct Window {
    slots: VecDeque<Slot>,
    /// The number of expired slots: slot `number` is at `number - expired`.
    expired: u64,
    requests: u64,
    tokens: u64,
}

#[derive(Debug)]
struct Slot {
    first: Instant,
    last: Instant,
    requests: u64,
    tokens: u64,
}

impl Window {
    /// Returns the time until `limits` admit one more request of `tokens` tokens; zero if they do now.
    ///
    /// A request larger than the whole limit is admitted when the window is empty.
    pub(super) fn ready_in(&mut self, limits: Limits, tokens: u64, now: Instant) -> Duration {
        self.expire(now);
        let most_requests = limits.requests_per_minute.map_or(u64::MAX, |limit| u64::from(limit).saturating_sub(1));
        let most_tokens = limits.tokens_per_minute.map_or(u64::MAX, |limit| limit.saturating_sub(tokens));
        let (mut requests, mut left) = (self.requests, self.tokens);
        let mut slots = self.slots.iter();
        let mut ready = now;
        while requests > most_requests || left > most_tokens {
            let Some(slot) = slots.next() else { break };
            requests -= slot.requests;
            left = left.saturating_sub(slot.tokens);
            ready = slot.last + MINUTE;
        }
        ready.saturating_duration_since(now)
    }

    /// Adds an admission and returns the number of its slot.
    pub(super) fn add(&mut self, requests: u64, tokens: u64, now: Instant) -> u64 {
        self.expire(now);
        self.requests += requests;
        self.tokens = self.tokens.saturating_add(tokens);
        match self.slots.back_mut() {
            Some(slot) if now.saturating_duration_since(slot.first) < RESOLUTION => {
                slot.last = slot.last.max(now);
                slot.requests += requests;
                slot.tokens = slot.tokens.saturating_add(tokens);
            }
            _ => self.slots.push_back(Slot { first: now, last: now, requests, tokens }),
        }
        self.expired + self.slots.len() as u64 - 1
    }

    /// Replaces the `estimate` in slot `number` by the actual `tokens`. Tokens above the estimate count from `now` on, as the
    /// provider counts them.
    pub(super) fn settle(&mut self, number: u64, estimate: u64, tokens: u64, now: Instant) {
        if tokens > estimate {
            self.add(0, tokens - estimate, now);
        } else if let Some(slot) = self.slot(number) {
            // The slot holds less than the estimate only if a sum was saturated.
            let unused = (estimate - tokens).min(slot.tokens);
            slot.tokens -= unused;
            self.tokens = self.tokens.saturating_sub(unused);
        }
    }

    fn slot(&mut self, number: u64) -> Option<&mut Slot> {
        let index = number.checked_sub(self.expired)?;
        self.slots.get_mut(usize::try_from(index).ok()?)
    }

    fn expire(&mut self, now: Instant) {
        while let Some(slot) = self.slots.front()
            && now.saturating_duration_since(slot.last) >= MINUTE
        {
            self.requests -= slot.requests;
            self.tokens = self.tokens.saturating_sub(slot.tokens);
            self.slots.pop_front();
            self.expired += 1;
        }
    }
}
