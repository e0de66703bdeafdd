//! What tokens cost.

use crate::config::Provider;
use crate::message::Usage;

/// US dollars per 1000 tokens in and out, as listed by Google in November 2025. Thoughts are billed as output, pages
/// read by a tool as input; tokens from the provider's cache are counted at the full input price, an upper bound.
const GEMINI: [(&str, f64, f64); 3] = [
    ("gemini-3-flash-preview", 0.0005, 0.003),
    ("gemini-3-pro-preview", 0.002, 0.012),
    ("gemini-2.5-flash", 0.000_075, 0.0003),
];

/// The price of `usage`; `None` for a model whose price is not known. Ollama and the mock cost nothing.
#[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
pub(super) fn is_known(_: &crate::Config, provider: Provider, model: &str) -> bool {
    cost(&crate::Config::default(), provider, model, &Usage::default()).is_some()
}
pub(super) fn cost(_: &crate::Config, provider: Provider, model: &str, usage: &Usage) -> Option<f64> {
    match provider {
        Provider::Ollama | Provider::Mock => Some(0.0),
        Provider::OpenAi | Provider::Anthropic => None,
        Provider::Gemini => GEMINI.iter().find(|(name, ..)| *name == model).map(|(_, input, output)| {
            let tokens_in = usage.input + usage.cached_input + usage.tool;
            let tokens_out = usage.output + usage.reasoning;
            (tokens_in as f64 * input + tokens_out as f64 * output) / 1000.0
        }),
    }
}
