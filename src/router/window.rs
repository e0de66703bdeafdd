//! What was admitted at one target within the last minute.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Limits;

/// What `requests_per_minute` and `tokens_per_minute` look back on.
const MINUTE: Duration = Duration::from_secs(60);

/// Admissions this close together share a slot, which bounds a window to some hundred slots.
const GRAIN: Duration = Duration::from_millis(500);

/// The requests and tokens of the last minute.
///
/// A slot is forgotten a minute after its last admission, so nothing is forgotten early: whoever asks
/// [`Window::ready_in`] before each [`Window::add`] never has more than the limit within any minute. Calls that come
/// one at a time have a slot each and lose nothing by that; the first of a burst is forgotten up to [`GRAIN`] late.
#[derive(Debug, Default)]
pub(super) struct Window {
    slots: VecDeque<Slot>,
    /// How many slots were forgotten: slot `number` is at `number - forgotten`.
    forgotten: u64,
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
    /// How long until `limits` let one more request of `tokens` tokens in; zero if they do now.
    ///
    /// A request larger than the whole limit is let in when no tokens are counted: it then has a minute to itself.
    pub(super) fn ready_in(&mut self, limits: Limits, tokens: u64, now: Instant) -> Duration {
        self.forget(now);
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

    /// Counts an admission and gives the number of its slot.
    pub(super) fn add(&mut self, requests: u64, tokens: u64, now: Instant) -> u64 {
        self.forget(now);
        self.requests += requests;
        self.tokens = self.tokens.saturating_add(tokens);
        match self.slots.back_mut() {
            Some(slot) if now.saturating_duration_since(slot.first) < GRAIN => {
                slot.last = slot.last.max(now);
                slot.requests += requests;
                slot.tokens = slot.tokens.saturating_add(tokens);
            }
            _ => self.slots.push_back(Slot { first: now, last: now, requests, tokens }),
        }
        self.forgotten + self.slots.len() as u64 - 1
    }

    /// Replaces the `estimate` that slot `number` was told by what the request really took. What it took more counts
    /// from `now` on: the provider counted it by now.
    pub(super) fn settle(&mut self, number: u64, estimate: u64, tokens: u64, now: Instant) {
        if tokens > estimate {
            self.add(0, tokens - estimate, now);
        } else if let Some(slot) = self.slot(number) {
            // Less than the estimate is there only where a sum ended at its ceiling.
            let back = (estimate - tokens).min(slot.tokens);
            slot.tokens -= back;
            self.tokens = self.tokens.saturating_sub(back);
        }
    }

    fn slot(&mut self, number: u64) -> Option<&mut Slot> {
        let index = number.checked_sub(self.forgotten)?;
        self.slots.get_mut(usize::try_from(index).ok()?)
    }

    fn forget(&mut self, now: Instant) {
        while let Some(slot) = self.slots.front()
            && now.saturating_duration_since(slot.last) >= MINUTE
        {
            self.requests -= slot.requests;
            self.tokens = self.tokens.saturating_sub(slot.tokens);
            self.slots.pop_front();
            self.forgotten += 1;
        }
    }
}
