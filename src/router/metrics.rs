//! The metrics of one router.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use super::Response;
use super::budget::{PICO, picodollars, saturating_add};
use super::latencies::Latencies;
use crate::attempt::Attempt;
use crate::config::Provider;
use crate::error::ErrorKind;
use crate::provider::codec;

/// The counters of one router. Each is atomic, so that recording never waits.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Calls started.
    pub(super) requests: Counter,
    /// Attempts at another provider.
    pub(super) fallbacks: Counter,
    /// Failed calls.
    pub(super) failed: Counter,
    /// Calls that were dropped before their end.
    pub(super) cancelled: Counter,
    /// Calls answered from the cache or by another call.
    pub(super) cache_hits: Counter,
    tokens: Counter,
    cost_picodollars: Counter,
    latency_micros: Counter,
    answers: Counter,
    /// In the order of [`Provider::ALL`]; the mock has none. Allocated at the first request to a provider.
    tallies: [OnceLock<Box<Tally>>; Provider::ALL.len()],
}

/// The counters of one provider.
#[derive(Debug)]
pub(super) struct Tally {
    /// Calls with an attempt at it.
    pub(super) calls: Counter,
    /// Requests sent.
    pub(super) attempts: Counter,
    /// Requests for a correction.
    pub(super) repairs: Counter,
    /// By class, in the order of [`ErrorKind::ALL`]. Lock-free, because a fork would keep a lock locked forever.
    failures: [Counter; ErrorKind::ALL.len()],
    latencies: Latencies,
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn add(&self, amount: u64) {
        saturating_add(&self.0, amount);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// A snapshot of the metrics of a router.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MetricsSnapshot {
    /// Calls started.
    pub total_requests: u64,
    /// Calls answered from the cache or by an identical concurrent call.
    pub cache_hits: u64,
    /// `cache_hits` divided by `total_requests`; 0 without requests.
    pub cache_hit_rate: f64,
    /// Requests sent to Ollama.
    pub ollama_calls: u64,
    /// Requests sent to Gemini.
    pub gemini_calls: u64,
    /// Requests sent to the OpenAI-compatible server.
    pub openai_calls: u64,
    /// Requests sent to Anthropic.
    pub anthropic_calls: u64,
    /// Attempts at another provider than the one before, or than the first of the plan.
    pub fallback_triggers: u64,
    /// Calls that failed; cancelled calls are not included.
    pub failed_requests: u64,
    /// Cancelled calls.
    pub cancelled_requests: u64,
    /// Tokens of every attempt.
    pub total_tokens: u64,
    /// The cost in US dollars of every attempt with a known price.
    pub total_cost: f64,
    /// The total latency of the answered calls in milliseconds.
    pub total_latency_ms: f64,
    /// `total_latency_ms` divided by the number of answered calls; 0 without answers.
    pub avg_latency_ms: f64,
    /// The providers that were used, without the mock.
    #[serde(skip)]
    pub providers: Vec<ProviderSnapshot>,
}

/// A snapshot of the metrics of one provider.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderSnapshot {
    /// The provider.
    pub provider: Provider,
    /// Calls with at least one attempt at it.
    pub calls: u64,
    /// Requests sent to it.
    pub attempts: u64,
    /// Requests for the correction of a reply.
    pub repairs: u64,
    /// Failed attempts by class, sorted by the names of the classes; including attempts that sent nothing.
    pub failures: Vec<(ErrorKind, u64)>,
    /// The median latency of its answers, without answers from the cache; `None` without answers.
    pub p50_latency: Option<Duration>,
    /// The 95th percentile of the latency of its answers.
    pub p95_latency: Option<Duration>,
}

impl Metrics {
    /// Increments one counter of `provider`.
    pub(super) fn increment(&self, provider: Provider, counter: impl FnOnce(&Tally) -> &Counter) {
        self.tally(provider, |tally| counter(tally).increment());
    }

    /// Records the end of `attempt`.
    pub(super) fn record_attempt(&self, attempt: &Attempt, cost: Option<f64>) {
        self.tokens.add(attempt.usage.total());
        self.cost_picodollars.add(picodollars(cost.unwrap_or(0.0)));
        self.record_error(attempt);
    }

    /// Records the error of `attempt`, if it has one: also of a reply that was rejected after it was recorded as a success.
    pub(super) fn record_error(&self, attempt: &Attempt) {
        if let Some(kind) = attempt.error {
            self.increment(attempt.provider, |tally| &tally.failures[kind as usize]);
        }
    }

    /// Records a call answered by a provider.
    pub(super) fn record_answer(&self, response: &Response) {
        self.answers.increment();
        self.latency_micros.add(u64::try_from(response.latency.as_micros()).unwrap_or(u64::MAX));
        // The latency of the last attempt, without failed ones before it.
        if let Some(attempt) = response.attempts.iter().rfind(|attempt| attempt.ok()) {
            self.tally(attempt.provider, |tally| tally.latencies.record(attempt.latency));
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "sums shown to people")]
    pub(super) fn snapshot(&self) -> MetricsSnapshot {
        let (requests, answered) = (self.requests.get(), self.answers.get());
        let total_latency_ms = self.latency_micros.get() as f64 / 1000.0;
        let providers: Vec<_> = Provider::ALL
            .into_iter()
            .zip(&self.tallies)
            .filter_map(|(provider, tally)| tally.get()?.snapshot(provider))
            .collect();
        let attempts = |provider| providers.iter().find(|one| one.provider == provider).map_or(0, |one| one.attempts);
        MetricsSnapshot {
            total_requests: requests,
            cache_hits: self.cache_hits.get(),
            ollama_calls: attempts(Provider::Ollama),
            gemini_calls: attempts(Provider::Gemini),
            openai_calls: attempts(Provider::OpenAi),
            anthropic_calls: attempts(Provider::Anthropic),
            fallback_triggers: self.fallbacks.get(),
            failed_requests: self.failed.get(),
            cancelled_requests: self.cancelled.get(),
            total_tokens: self.tokens.get(),
            total_cost: self.cost_picodollars.get() as f64 / PICO,
            total_latency_ms,
            cache_hit_rate: if requests == 0 { 0.0 } else { self.cache_hits.get() as f64 / requests as f64 },
            avg_latency_ms: if answered == 0 { 0.0 } else { total_latency_ms / answered as f64 },
            providers,
        }
    }

    pub(super) fn reset(&self) {
        for counter in [
            &self.requests,
            &self.fallbacks,
            &self.failed,
            &self.cancelled,
            &self.tokens,
            &self.cost_picodollars,
            &self.latency_micros,
            &self.answers,
            &self.cache_hits,
        ] {
            counter.reset();
        }
        self.tallies.iter().filter_map(OnceLock::get).for_each(|tally| tally.reset());
    }

    fn tally(&self, provider: Provider, count: impl FnOnce(&Tally)) {
        let index = Provider::ALL.iter().position(|one| *one == provider);
        if let Some(index) = index.filter(|_| codec(provider).is_some()) {
            let cell = &self.tallies[index];
            count(cell.get().unwrap_or_else(|| {
                // Allocated outside the cell: after a fork meanwhile, the child would wait forever for the initialisation.
                let empty = Box::default();
                cell.get_or_init(|| empty)
            }));
        }
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            calls: Counter::default(),
            attempts: Counter::default(),
            repairs: Counter::default(),
            failures: std::array::from_fn(|_| Counter::default()),
            latencies: Latencies::default(),
        }
    }
}

impl Tally {
    /// Returns `None` if nothing was recorded since the last reset.
    fn snapshot(&self, provider: Provider) -> Option<ProviderSnapshot> {
        let counted = ErrorKind::ALL.into_iter().zip(self.failures.each_ref().map(Counter::get));
        let mut failures: Vec<_> = counted.filter(|(_, count)| *count > 0).collect();
        failures.sort_unstable_by_key(|(kind, _)| kind.as_str());
        let snapshot = ProviderSnapshot {
            provider,
            calls: self.calls.get(),
            attempts: self.attempts.get(),
            repairs: self.repairs.get(),
            failures,
            p50_latency: self.latencies.observed_quantile(0.5),
            p95_latency: self.latencies.observed_quantile(0.95),
        };
        let is_used = snapshot.calls + snapshot.attempts + snapshot.repairs > 0
            || !snapshot.failures.is_empty()
            || snapshot.p50_latency.is_some();
        is_used.then_some(snapshot)
    }

    fn reset(&self) {
        for counter in [&self.calls, &self.attempts, &self.repairs].into_iter().chain(&self.failures) {
            counter.reset();
        }
        self.latencies.reset();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::message::Usage;

    fn attempt(provider: Provider, error: Option<ErrorKind>, millis: u64) -> Attempt {
        let usage = Usage { input: 3, output: 4, ..Usage::default() };
        let latency = Duration::from_millis(millis);
        Attempt { error, sent: true, latency, usage, ..Attempt::new(provider, Arc::from("m")) }
    }

    fn response(attempts: Vec<Attempt>) -> Response {
        let latency = attempts.iter().map(|attempt| attempt.latency).sum();
        let (text, provider, model) = (String::new(), Arc::from("p"), Arc::from("m"));
        Response {
            text,
            provider,
            model,
            tokens: 0,
            cost: None,
            latency,
            is_cached: false,
            finish: None,
            finish_detail: None,
            reasoning: None,
            attempts,
        }
    }

    fn is_close(reported: Option<Duration>, millis: f64) -> bool {
        reported.is_some_and(|reported| (reported.as_secs_f64() * 1000.0 / millis - 1.0).abs() < 0.05)
    }

    #[test]
    fn each_provider_has_its_own_counts() {
        let metrics = Metrics::default();
        for _ in 0..2 {
            metrics.increment(Provider::Gemini, |tally| &tally.calls);
            for kind in [ErrorKind::RateLimited, ErrorKind::Connect] {
                metrics.increment(Provider::Gemini, |tally| &tally.attempts);
                metrics.record_attempt(&attempt(Provider::Gemini, Some(kind), 5000), Some(0.5));
            }
        }
        metrics.increment(Provider::Ollama, |tally| &tally.calls);
        metrics.increment(Provider::Ollama, |tally| &tally.attempts);
        metrics.record_attempt(&attempt(Provider::Ollama, None, 40), None);
        metrics.record_error(&attempt(Provider::Ollama, Some(ErrorKind::InvalidOutput), 40));
        metrics.increment(Provider::Ollama, |tally| &tally.repairs);
        metrics.increment(Provider::Ollama, |tally| &tally.attempts);
        metrics.record_attempt(&attempt(Provider::Ollama, None, 30), None);
        metrics.record_answer(&response(vec![
            attempt(Provider::Gemini, Some(ErrorKind::Connect), 5000),
            attempt(Provider::Ollama, Some(ErrorKind::InvalidOutput), 40),
            attempt(Provider::Ollama, None, 30),
            // A hedged request that was cancelled.
            attempt(Provider::Gemini, Some(ErrorKind::Cancelled), 30),
        ]));

        let snapshot = metrics.snapshot();
        assert_eq!((snapshot.gemini_calls, snapshot.ollama_calls, snapshot.openai_calls), (4, 2, 0));
        assert_eq!((snapshot.total_tokens, snapshot.total_cost), (42, 2.0));
        let [ollama, gemini] = &snapshot.providers[..] else { panic!("{snapshot:?}") };
        assert_eq!(
            (ollama.provider, ollama.calls, ollama.attempts, ollama.repairs, &ollama.failures[..]),
            (Provider::Ollama, 1, 2, 1, &[(ErrorKind::InvalidOutput, 1)][..])
        );
        assert!(is_close(ollama.p50_latency, 30.0) && is_close(ollama.p95_latency, 30.0), "{ollama:?}");
        assert_eq!(
            gemini,
            &ProviderSnapshot {
                provider: Provider::Gemini,
                calls: 2,
                attempts: 4,
                repairs: 0,
                failures: vec![(ErrorKind::Connect, 2), (ErrorKind::RateLimited, 2)],
                p50_latency: None,
                p95_latency: None,
            }
        );
    }

    #[test]
    fn p50_and_p95_differ_for_slow_answers() {
        let metrics = Metrics::default();
        for millis in (1..=90).map(|_| 10).chain((1..=10).map(|_| 900)) {
            metrics.record_answer(&response(vec![attempt(Provider::OpenAi, None, millis)]));
        }
        let snapshot = metrics.snapshot();
        assert!(
            is_close(snapshot.providers[0].p50_latency, 10.0) && is_close(snapshot.providers[0].p95_latency, 900.0),
            "{snapshot:?}"
        );
        assert!((snapshot.avg_latency_ms - 99.0).abs() < 1e-9, "{snapshot:?}");
    }

    #[test]
    fn a_reset_clears_every_counter() {
        let metrics = Metrics::default();
        assert_eq!(metrics.snapshot(), MetricsSnapshot::default());
        for provider in Provider::ALL {
            metrics.requests.increment();
            metrics.increment(provider, |tally| &tally.calls);
            metrics.increment(provider, |tally| &tally.attempts);
            metrics.increment(provider, |tally| &tally.repairs);
            metrics.fallbacks.increment();
            metrics.failed.increment();
            metrics.cancelled.increment();
            metrics.record_attempt(&attempt(provider, Some(ErrorKind::Server), 1), Some(1.0));
            metrics.record_answer(&response(vec![attempt(provider, None, 1)]));
        }
        let snapshot = metrics.snapshot();
        let wired = Provider::ALL.into_iter().filter(|provider| codec(*provider).is_some());
        assert!(snapshot.providers.iter().map(|one| one.provider).eq(wired), "the mock has no wire");
        assert_eq!((snapshot.cancelled_requests, snapshot.failed_requests, snapshot.fallback_triggers), (5, 5, 5));
        metrics.reset();
        assert_eq!(metrics.snapshot(), MetricsSnapshot::default());
    }

    #[test]
    fn no_count_is_lost_between_threads() {
        let metrics = Metrics::default();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        metrics.increment(Provider::Anthropic, |tally| &tally.attempts);
                        metrics
                            .record_attempt(&attempt(Provider::Anthropic, Some(ErrorKind::Overloaded), 1), Some(0.25));
                    }
                });
            }
        });
        let snapshot = metrics.snapshot();
        assert_eq!((snapshot.anthropic_calls, snapshot.total_tokens, snapshot.total_cost), (4000, 28_000, 1000.0));
        assert_eq!(snapshot.providers[0].failures, [(ErrorKind::Overloaded, 4000)]);
    }
}
