//! What tokens cost.

use crate::config::{Config, Price, Provider};
use crate::message::Usage;

/// A model's entry in the table.
struct Listed {
    model: &'static str,
    price: Price,
    /// The price of the whole call where its prompt is longer than [`LONG_PROMPT`]; `None` where that changes nothing.
    long: Option<Price>,
}

/// How many tokens a prompt may have at a model's plain price.
const LONG_PROMPT: u64 = 200_000;

/// Google's prices of text for paid use, as of November 2026. Caches are billed at a tenth of the input; their storage is
/// not counted here, because nothing here asks for it.
const GEMINI: [Listed; 3] = [
    Listed { model: "gemini-3-flash-preview", price: price(0.5, 0.05, 3.0), long: None },
    Listed { model: "gemini-3-pro-preview", price: price(2.0, 0.2, 12.0), long: Some(price(4.0, 0.4, 18.0)) },
    Listed { model: "gemini-2.5-flash", price: price(0.075, 0.0075, 0.3), long: None },
];

/// The price of `usage` in US dollars; `None` for a model whose price is not known, never a guess. A price of the
/// configuration's own beats the table. Ollama and the mock cost nothing.
pub(super) fn cost(config: &Config, provider: Provider, model: &str, usage: &Usage) -> Option<f64> {
    if let Some(price) = named(config.prices.iter().map(|(name, price)| (name.as_str(), price)), model) {
        return Some(of(price, usage));
    }
    match provider {
        Provider::Ollama | Provider::Mock => Some(0.0),
        Provider::OpenAi | Provider::Anthropic => None,
        Provider::Gemini => {
            let listed = named(GEMINI.iter().map(|listed| (listed.model, listed)), model)?;
            let is_long = usage.input + usage.cached_input + usage.tool > LONG_PROMPT;
            let price = listed.long.as_ref().filter(|_| is_long).unwrap_or(&listed.price);
            Some(of(price, usage))
        }
    }
}

/// Whether the price of `model` is known.
pub(super) fn is_known(config: &Config, provider: Provider, model: &str) -> bool {
    cost(config, provider, model, &Usage::default()).is_some()
}

/// The entry that names `model`: the name itself, else a name of which the model is a dated or numbered version. The
/// resource prefix `models/` makes no difference. Nothing else is taken for the same model: a `-lite` has another price.
fn named<'n, T>(entries: impl IntoIterator<Item = (&'n str, T)>, model: &str) -> Option<T> {
    let model = bare(model);
    entries
        .into_iter()
        .map(|(name, entry)| (bare(name), entry))
        .filter(|(name, _)| model.strip_prefix(name).is_some_and(|rest| rest.is_empty() || is_version(rest)))
        .max_by_key(|(name, _)| name.len())
        .map(|(_, entry)| entry)
}

#[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
fn of(price: &Price, usage: &Usage) -> f64 {
    let input = (usage.input + usage.tool) as f64 * price.input;
    let cached = usage.cached_input as f64 * price.cached_input;
    let output = (usage.output + usage.reasoning) as f64 * price.output;
    (input + cached + output) / 1e6
}

const fn price(input: f64, cached_input: f64, output: f64) -> Price {
    Price { input, cached_input, output }
}

fn bare(model: &str) -> &str {
    model.strip_prefix("models/").unwrap_or(model)
}

/// How providers mark the versions of one model: `-001` (Gemini), `-0613` and `-2025-08-07` (`OpenAI`), `-20250929`
/// (Anthropic; `@20250929` where others host it), `-09-2025` (previews of Gemini). A single digit is another model.
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

    fn assert_costs(provider: Provider, model: &str, usage: Usage, expected: Option<f64>) {
        assert_eq!(cost(&Config::default(), provider, model, &usage), expected, "{model}: {usage:?}");
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "a million tokens cost the table's own numbers")]
    fn each_bucket_has_its_price() {
        let of = |bucket: fn(&mut Usage) -> &mut u64| {
            let mut usage = Usage::default();
            *bucket(&mut usage) = MILLION;
            cost(&Config::default(), Provider::Gemini, "gemini-3-flash-preview", &usage).unwrap()
        };
        let costs = [
            of(|usage| &mut usage.input),
            of(|usage| &mut usage.tool),
            of(|usage| &mut usage.cached_input),
            of(|usage| &mut usage.output),
            of(|usage| &mut usage.reasoning),
        ];
        assert_eq!(costs, [0.5, 0.5, 0.05, 3.0, 3.0]);
    }

    #[test]
    fn the_contract_prices_of_a_thousand_tokens_stand() {
        for (model, input, output) in [
            ("gemini-3-flash-preview", 0.0005, 0.003),
            ("gemini-3-pro-preview", 0.002, 0.012),
            ("gemini-2.5-flash", 0.000_075, 0.0003),
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
    fn a_long_prompt_raises_the_price_of_the_whole_call() {
        let call = |input, cached_input| Usage { input, cached_input, output: MILLION, ..Usage::default() };
        let model = "gemini-3-pro-preview";
        assert_costs(Provider::Gemini, model, call(LONG_PROMPT, 0), Some(0.4 + 12.0));
        assert_costs(Provider::Gemini, model, call(0, LONG_PROMPT + 1), Some(0.080_000_4 + 18.0));
        assert_costs(Provider::Gemini, "gemini-3-flash-preview", call(MILLION, 0), Some(0.5 + 3.0));
    }

    #[test]
    fn what_is_not_known_has_no_price_and_what_is_local_costs_nothing() {
        let usage = Usage { input: 5, output: 5, ..Usage::default() };
        for provider in [Provider::OpenAi, Provider::Anthropic, Provider::Gemini] {
            assert_costs(provider, "some-model", usage, None);
        }
        for provider in [Provider::Ollama, Provider::Mock] {
            assert_costs(provider, "some-model", usage, Some(0.0));
        }
    }

    #[test]
    fn the_callers_own_price_beats_the_table() {
        let own = price(1.0, 0.5, 2.0);
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
    fn versions_of_a_model_share_its_entry_and_other_models_do_not() {
        let names = ["gemini-2.5-flash", "claude-sonnet-4", "claude-sonnet-4-5", "gpt-4", "models/own"];
        let found = |model| named(names.iter().map(|name| (*name, *name)), model);
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
