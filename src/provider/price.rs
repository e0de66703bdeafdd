//! The cost of tokens.

use crate::config::{Config, Price, Provider};
use crate::message::Usage;

/// The prices of a provider's models.
#[derive(Debug, Clone, Copy)]
pub enum Pricing {
    /// Every model is free.
    Free,
    /// Models outside the list have no known price.
    Listed(&'static [ListPrice]),
}

/// The list price of a model.
#[derive(Debug)]
pub struct ListPrice {
    pub(super) model: &'static str,
    pub(super) price: Price,
    /// The price of a call with a long prompt; `None` if the length makes no difference.
    pub(super) long: Option<LongPromptPrice>,
}

/// The price of every token in a call whose prompt exceeds a length.
#[derive(Debug)]
pub(super) struct LongPromptPrice {
    /// The longest prompt at the normal price, in tokens.
    pub(super) above: u64,
    pub(super) price: Price,
}

/// The cost of `usage` in US dollars; `None` if the price of the model is unknown. A price in the configuration takes
/// precedence over the provider's list.
pub fn cost(config: &Config, provider: Provider, model: &str, usage: &Usage) -> Option<f64> {
    if let Some(price) = find(config.prices.iter().map(|(name, price)| (name.as_str(), price)), model) {
        return Some(total(price, usage));
    }
    match super::protocol(provider).pricing() {
        Pricing::Free => Some(0.0),
        Pricing::Listed(list) => {
            let listed = find(list.iter().map(|listed| (listed.model, listed)), model)?;
            let prompt = usage.input + usage.cached_input + usage.tool;
            let long = listed.long.as_ref().filter(|long| prompt > long.above);
            Some(total(long.map_or(&listed.price, |long| &long.price), usage))
        }
    }
}

/// Whether the price of `model` is known.
pub fn is_priced(config: &Config, provider: Provider, model: &str) -> bool {
    cost(config, provider, model, &Usage::default()).is_some()
}

/// The entry of `model`, or of the model that it is a dated or numbered version of. The resource prefix `models/` is
/// ignored. Any other suffix is another model: a `-lite` has its own price.
fn find<'n, T>(entries: impl IntoIterator<Item = (&'n str, T)>, model: &str) -> Option<T> {
    let model = without_prefix(model);
    entries
        .into_iter()
        .map(|(name, entry)| (without_prefix(name), entry))
        .filter(|(name, _)| model.strip_prefix(name).is_some_and(|rest| rest.is_empty() || is_version(rest)))
        .max_by_key(|(name, _)| name.len())
        .map(|(_, entry)| entry)
}

#[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
fn total(price: &Price, usage: &Usage) -> f64 {
    let input = usage.input.saturating_add(usage.tool) as f64 * price.input;
    let cached = usage.cached_input as f64 * price.cached_input;
    let output = usage.output.saturating_add(usage.reasoning) as f64 * price.output;
    (input + cached + output) / 1e6
}

fn without_prefix(model: &str) -> &str {
    model.strip_prefix("models/").unwrap_or(model)
}

/// Whether `suffix` marks a version of a model: `-001` (Gemini), `-0613` and `-2025-08-07` (OpenAI), `-20250929`
/// (Anthropic; `@20250929` at other hosts), `-09-2025` (previews of Gemini). A single digit is another model.
fn is_version(suffix: &str) -> bool {
    let Some(digits) = suffix.strip_prefix(['-', '@']) else { return false };
    let mut lengths = [0_usize; 3];
    for (index, group) in digits.split('-').enumerate() {
        let Some(length) = lengths.get_mut(index) else { return false };
        if !group.bytes().all(|byte| byte.is_ascii_digit()) {
            return false;
        }
        *length = group.len();
    }
    matches!(lengths, [3 | 4 | 8, 0, 0] | [2, 4, 0] | [4, 2, 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLION: u64 = 1_000_000;
    const LONG_PROMPT: u64 = 200_000;

    fn assert_costs(provider: Provider, model: &str, usage: Usage, expected: Option<f64>) {
        assert_eq!(cost(&Config::default(), provider, model, &usage), expected, "{model}: {usage:?}");
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "a million tokens cost the table's own numbers")]
    fn each_kind_of_token_has_its_price() {
        let cost_of = |bucket: fn(&mut Usage) -> &mut u64| {
            let mut usage = Usage::default();
            *bucket(&mut usage) = MILLION;
            cost(&Config::default(), Provider::Gemini, "gemini-3-flash-preview", &usage).unwrap()
        };
        let costs = [
            cost_of(|usage| &mut usage.input),
            cost_of(|usage| &mut usage.tool),
            cost_of(|usage| &mut usage.cached_input),
            cost_of(|usage| &mut usage.output),
            cost_of(|usage| &mut usage.reasoning),
        ];
        assert_eq!(costs, [0.5, 0.5, 0.05, 3.0, 3.0]);
    }

    #[test]
    fn a_thousand_tokens_cost_the_list_price() {
        for (model, input, output) in [
            ("gemini-3-flash-preview", 0.0005, 0.003),
            ("gemini-3-pro-preview", 0.002, 0.012),
            ("gemini-2.5-flash", 0.0003, 0.0025),
        ] {
            let close = |usage: Usage, expected: f64| {
                let cost = cost(&Config::default(), Provider::Gemini, model, &usage).unwrap();
                assert!((cost - expected).abs() < 1e-15, "{model}: {cost}");
            };
            close(Usage { input: 1000, ..Usage::default() }, input);
            close(Usage { output: 1000, ..Usage::default() }, output);
        }
    }

    #[test]
    fn a_long_prompt_raises_the_price_of_every_token() {
        let call = |input, cached_input| Usage { input, cached_input, output: MILLION, ..Usage::default() };
        let model = "gemini-3-pro-preview";
        assert_costs(Provider::Gemini, model, call(LONG_PROMPT, 0), Some(0.4 + 12.0));
        assert_costs(Provider::Gemini, model, call(0, LONG_PROMPT + 1), Some(0.080_000_4 + 18.0));
        assert_costs(Provider::Gemini, "gemini-3-flash-preview", call(MILLION, 0), Some(0.5 + 3.0));
    }

    #[test]
    fn unknown_models_have_no_price_and_local_models_are_free() {
        let usage = Usage { input: 5, output: 5, ..Usage::default() };
        for provider in [Provider::OpenAi, Provider::Anthropic, Provider::Gemini] {
            assert_costs(provider, "some-model", usage, None);
        }
        for provider in [Provider::Ollama, Provider::Mock] {
            assert_costs(provider, "some-model", usage, Some(0.0));
        }
    }

    #[test]
    fn a_configured_price_takes_precedence() {
        let own = Price::new(1.0, 0.5, 2.0);
        let usage = Usage { input: MILLION, cached_input: MILLION, output: MILLION, ..Usage::default() };
        for (provider, model) in [
            (Provider::Ollama, "gemma3:12b"),
            (Provider::Gemini, "gemini-3-flash-preview"),
            (Provider::OpenAi, "some-model"),
        ] {
            let config = Config { prices: [(model.to_owned(), own)].into(), ..Config::default() };
            assert_eq!(cost(&config, provider, model, &usage), Some(3.5), "{provider}");
        }
    }

    #[test]
    fn versions_of_a_model_share_its_price() {
        let names = ["gemini-2.5-flash", "claude-sonnet-4", "claude-sonnet-4-5", "gpt-4", "models/own"];
        let found = |model| find(names.iter().map(|name| (*name, *name)), model);
        for (model, name) in [
            ("gemini-2.5-flash", "gemini-2.5-flash"),
            ("models/gemini-2.5-flash", "gemini-2.5-flash"),
            ("models/gemini-2.5-flash-001", "gemini-2.5-flash"),
            ("gemini-2.5-flash-09-2025", "gemini-2.5-flash"),
            ("claude-sonnet-4-20250514", "claude-sonnet-4"),
            ("claude-sonnet-4@20250514", "claude-sonnet-4"),
            ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
            ("gpt-4-0613", "gpt-4"),
            ("gpt-4-2025-08-07", "gpt-4"),
            ("own", "models/own"),
        ] {
            assert_eq!(found(model), Some(name), "{model}");
        }
        for model in [
            "gemini-2.5-flash-lite",
            "gemini-2.5-flash-preview-09-2025",
            "gemini-2.5",
            "gemini-2.5-flash-",
            "gemini-2.5-flash-0x1",
            "claude-sonnet-4-6",
            "claude-sonnet-4-6-20260101",
            "gpt-4o",
            "gpt-4-1-1-1",
            "my-gpt-4",
            "",
        ] {
            assert_eq!(found(model), None, "{model}");
        }
    }
}
