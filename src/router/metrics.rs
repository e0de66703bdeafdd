//! What one router has done.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Attempt, Response};
use crate::config::Provider;

/// The counters of one router. Every field is its own atomic: a reader sees each number whole, and a call never waits.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    requests: AtomicU64,
    ollama: AtomicU64,
    gemini: AtomicU64,
    openai: AtomicU64,
    anthropic: AtomicU64,
    fallbacks: AtomicU64,
    failed: AtomicU64,
    tokens: AtomicU64,
    cost_picodollars: AtomicU64,
    latency_micros: AtomicU64,
    answered: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MetricsSnapshot {
    /// Calls started.
    pub total_requests: u64,
    /// Requests sent to Ollama.
    pub ollama_calls: u64,
    /// Requests sent to Gemini.
    pub gemini_calls: u64,
    /// Requests sent to the OpenAI-compatible server.
    pub openai_calls: u64,
    /// Requests sent to Anthropic.
    pub anthropic_calls: u64,
    /// Times a call went on to another provider.
    pub fallback_triggers: u64,
    /// Calls that ended without an answer; cancelled ones are not among them.
    pub failed_requests: u64,
    /// Tokens of every attempt.
    pub total_tokens: u64,
    /// US dollars of every attempt whose price is known.
    pub total_cost: f64,
    /// Milliseconds of every answered call, added up.
    pub total_latency_ms: f64,
    /// `total_latency_ms` over the number of answered calls; 0 before the first.
    pub avg_latency_ms: f64,
}

impl Metrics {
    pub(super) fn started(&self) {
        add(&self.requests, 1);
    }

    pub(super) fn sent(&self, provider: Provider) {
        match provider {
            Provider::Ollama => add(&self.ollama, 1),
            Provider::Gemini => add(&self.gemini, 1),
            Provider::OpenAi => add(&self.openai, 1),
            Provider::Anthropic => add(&self.anthropic, 1),
            Provider::Mock => {}
        }
    }

    pub(super) fn attempted(&self, attempt: &Attempt, cost: Option<f64>) {
        add(&self.tokens, attempt.usage.total());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a price is small and positive")]
        add(&self.cost_picodollars, (cost.unwrap_or(0.0) * PICO).round() as u64);
    }

    pub(super) fn fell_back(&self) {
        add(&self.fallbacks, 1);
    }

    pub(super) fn failed(&self) {
        add(&self.failed, 1);
    }

    pub(super) fn answered(&self, response: &Response) {
        add(&self.answered, 1);
        add(&self.latency_micros, u64::try_from(response.latency.as_micros()).unwrap_or(u64::MAX));
    }

    #[expect(clippy::cast_precision_loss, reason = "sums shown to people")]
    pub(super) fn snapshot(&self) -> MetricsSnapshot {
        let answered = self.answered.load(Ordering::Relaxed);
        let total_latency_ms = self.latency_micros.load(Ordering::Relaxed) as f64 / 1000.0;
        MetricsSnapshot {
            total_requests: self.requests.load(Ordering::Relaxed),
            ollama_calls: self.ollama.load(Ordering::Relaxed),
            gemini_calls: self.gemini.load(Ordering::Relaxed),
            openai_calls: self.openai.load(Ordering::Relaxed),
            anthropic_calls: self.anthropic.load(Ordering::Relaxed),
            fallback_triggers: self.fallbacks.load(Ordering::Relaxed),
            failed_requests: self.failed.load(Ordering::Relaxed),
            total_tokens: self.tokens.load(Ordering::Relaxed),
            total_cost: self.cost_picodollars.load(Ordering::Relaxed) as f64 / PICO,
            total_latency_ms,
            avg_latency_ms: if answered == 0 { 0.0 } else { total_latency_ms / answered as f64 },
        }
    }

    pub(super) fn reset(&self) {
        for counter in [
            &self.requests,
            &self.ollama,
            &self.gemini,
            &self.openai,
            &self.anthropic,
            &self.fallbacks,
            &self.failed,
            &self.tokens,
            &self.cost_picodollars,
            &self.latency_micros,
            &self.answered,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

/// Whole numbers add up exactly where dollars as floats would not.
const PICO: f64 = 1e12;

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}
