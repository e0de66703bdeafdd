//! The context window: its size in a request, and detection of truncated prompts.
//!
//! A request for a window of another size makes Ollama reload the model, which takes seconds to minutes. So a request names
//! no window if the prompt fits the smallest default, and otherwise one of few sizes: 4096 tokens, doubled until it
//! suffices.

use super::super::Target;
use crate::message::{Headroom, Part, Request};

/// Ollama's smallest default window. With much video memory the default is larger.
const DEFAULT: u64 = 4096;

/// Tokens reserved for the answer if the request sets no limit.
const ANSWER: u64 = 1024;

/// Tokens of the chat template.
const TEMPLATE: u64 = 128;

/// Tokens of one image. Gemma 3 uses 256, Ollama's own estimate is 768, some models use more for a large image.
const IMAGE: u64 = 1024;

/// How much the count of a truncated prompt may exceed half a window. Observed: 2 or 3.
const SLACK: u64 = 8;

/// The largest window that a count is compared with. No model has a larger one.
const LARGEST: u64 = 1 << 24;

/// The window to request; `None` uses the server's default. A configured window takes precedence. Otherwise a request with
/// extended headroom gets the next size, and the context length of the model is the maximum.
pub(super) fn num_ctx(target: &Target, request: &Request) -> Option<u64> {
    if let Some(window) = target.options.num_ctx {
        return Some(window.into());
    }
    let facts = target.facts.as_deref();
    let default = facts.and_then(|facts| facts.default_window).unwrap_or(DEFAULT);
    let needed = needed(request);
    let window = match request.headroom {
        Headroom::Standard if needed <= default => return None,
        Headroom::Standard => size(needed),
        Headroom::Extended => size(needed.max(default)).saturating_mul(2),
    };
    Some(facts.and_then(|facts| facts.context_length).map_or(window, |length| window.min(length)))
}

/// Whether the server read only a part of the prompt, of which it counted `counted` tokens.
///
/// Newer servers reject a prompt that does not fit, because `truncate` and `shift` are off. Servers that do not know these
/// options keep as much of the prompt as fits the window, or half a window and a few tokens (ollama#17427, #17889), and
/// count what they kept. So a count proves truncation if it equals one of these sizes and is smaller than the prompt can
/// be, or if the prompt cannot fit the requested window. A small count alone proves nothing: until 2024 cached tokens were
/// not counted (ollama#2068), and a completely cached prompt still has no count.
pub(super) fn is_truncated(target: &Target, request: &Request, counted: u64) -> bool {
    if counted == 0 {
        return false;
    }
    let requested = num_ctx(target, request);
    let default = target.facts.as_deref().and_then(|facts| facts.default_window);
    let sizes = std::iter::successors(Some(2048), |size| Some(size * 2)).take_while(|size| *size <= LARGEST);
    let is_size = sizes.chain(requested).chain(default).any(|window| fills(window, counted));
    // Counting the words of a long prompt takes longer than decoding its reply. They are at most twice the estimate, so most
    // replies do not need the count.
    if !is_size && requested.is_none_or(|window| request.estimated_tokens() <= window) {
        return false;
    }
    let least = request.least_tokens();
    counted < least && (is_size || requested.is_some_and(|window| least / 2 > window))
}

/// 4096, doubled until it is at least `tokens`.
fn size(tokens: u64) -> u64 {
    tokens.max(DEFAULT).checked_next_power_of_two().unwrap_or(u64::MAX)
}

/// Estimates the tokens of the request and its answer, rather too high: a window that is too small costs another request.
fn needed(request: &Request) -> u64 {
    let images = request.parts.iter().filter(|part| matches!(part, Part::Image { .. })).count() as u64;
    let text = request.estimated_tokens();
    text + text / 4 + images * IMAGE + request.max_tokens.map_or(ANSWER, u64::from) + TEMPLATE
}

/// Whether `counted` is what a server keeps of a prompt that exceeds `window`.
fn fills(window: u64, counted: u64) -> bool {
    let half = window / 2;
    (half..=half + SLACK).contains(&counted) || counted == window || counted + 1 == window
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::super::super::tests::target;
    use super::super::super::{ModelFacts, ModelOptions};
    use super::*;
    use crate::config::Provider;

    fn ollama() -> Target {
        target(Provider::Ollama, "http://localhost:11434", None)
    }

    fn with_facts(context_length: Option<u64>, default_window: Option<u64>) -> Target {
        let facts = ModelFacts { context_length, default_window, ..ModelFacts::default() };
        Target { facts: Some(Arc::new(facts)), ..ollama() }
    }

    /// A prompt of about `tokens` tokens: as many words of three letters.
    fn prompt(tokens: usize) -> Request {
        Request::new("abc ".repeat(tokens))
    }

    #[test]
    fn a_prompt_that_fits_the_smallest_default_requests_no_window() {
        assert_eq!(num_ctx(&ollama(), &prompt(0)), None);
        // 2355 and a quarter, the answer and the template are 4095 tokens.
        assert_eq!(num_ctx(&ollama(), &prompt(2355)), None);
        assert_eq!(num_ctx(&ollama(), &prompt(2357)), Some(8192));
    }

    #[test]
    fn the_window_is_one_of_few_sizes() {
        for (tokens, window) in [(3000, 8192), (5600, 8192), (5700, 16_384), (40_000, 65_536), (200_000, 262_144)] {
            assert_eq!(num_ctx(&ollama(), &prompt(tokens)), Some(window), "{tokens}");
        }
    }

    #[test]
    fn images_and_the_answer_count_towards_the_window() {
        let image = Part::Image { mime: "image/png", data: Bytes::new() };
        let with_images = |count| Request { parts: vec![image.clone(); count], ..prompt(10) };
        assert_eq!(num_ctx(&ollama(), &with_images(2)), None);
        assert_eq!(num_ctx(&ollama(), &with_images(3)), Some(8192));
        assert_eq!(num_ctx(&ollama(), &Request { max_tokens: Some(6000), ..prompt(10) }), Some(8192));
        assert_eq!(num_ctx(&ollama(), &Request { max_tokens: Some(100), ..prompt(3000) }), None);
    }

    #[test]
    fn the_context_length_bounds_the_window() {
        assert_eq!(num_ctx(&with_facts(Some(40_960), None), &prompt(30_000)), Some(40_960));
        assert_eq!(num_ctx(&with_facts(Some(131_072), None), &prompt(30_000)), Some(65_536));
        let extended = Request { headroom: Headroom::Extended, ..prompt(10) };
        assert_eq!(num_ctx(&with_facts(Some(2048), None), &extended), Some(2048));
    }

    #[test]
    fn the_window_of_the_model_is_its_default() {
        let target = with_facts(None, Some(16_384));
        assert_eq!(num_ctx(&target, &prompt(9000)), None);
        assert_eq!(num_ctx(&target, &prompt(20_000)), Some(32_768));
        assert_eq!(num_ctx(&target, &Request { headroom: Headroom::Extended, ..prompt(10) }), Some(32_768));
        assert_eq!(num_ctx(&with_facts(None, Some(2048)), &prompt(1500)), Some(4096));
    }

    #[test]
    fn extended_headroom_is_the_next_size() {
        let extended = |tokens| num_ctx(&ollama(), &Request { headroom: Headroom::Extended, ..prompt(tokens) });
        assert_eq!(extended(10), Some(8192));
        assert_eq!(extended(3000), Some(16_384));
    }

    #[test]
    fn a_configured_window_takes_precedence() {
        let target = Target {
            options: ModelOptions { num_ctx: Some(5000), ..ModelOptions::default() },
            ..with_facts(Some(4096), Some(2048))
        };
        for request in [prompt(1), prompt(30_000), Request { headroom: Headroom::Extended, ..prompt(1) }] {
            assert_eq!(num_ctx(&target, &request), Some(5000));
        }
    }

    #[test]
    fn counts_of_truncated_prompts_are_recognized() {
        let configured =
            Target { options: ModelOptions { num_ctx: Some(6000), ..ModelOptions::default() }, ..ollama() };
        for (target, tokens, counted, truncated) in [
            // Half of a window of 4096 and 2 or 3, as in ollama#17889.
            (ollama(), 7900, 2050, true),
            (ollama(), 7900, 2051, true),
            // Half of 32 768 and 2.
            (ollama(), 50_000, 16_386, true),
            // The whole window, as older versions keep it.
            (ollama(), 3940, 2048, true),
            (ollama(), 9000, 4096, true),
            (ollama(), 9000, 4095, true),
            // The requested window, and half of it.
            (configured.clone(), 7000, 6000, true),
            (configured.clone(), 7000, 3002, true),
            (configured.clone(), 7000, 3500, false),
            // Twice what can fit.
            (configured.clone(), 12_100, 5400, true),
            // No count, or a count of uncached tokens only.
            (ollama(), 7900, 0, false),
            (ollama(), 7900, 17, false),
            (ollama(), 7900, 3000, false),
            // The whole prompt was read.
            (ollama(), 2050, 2050, false),
            (ollama(), 1900, 2050, false),
            (ollama(), 4000, 4096, false),
        ] {
            assert_eq!(is_truncated(&target, &prompt(tokens), counted), truncated, "{tokens} counted as {counted}");
        }
    }

    #[test]
    fn a_text_without_words_is_never_truncated() {
        for text in ["字".repeat(9000), "-".repeat(90_000), " ".repeat(90_000), "=+ ".repeat(9000)] {
            assert!(!is_truncated(&ollama(), &Request::new(text), 2050));
        }
    }
}
