//! The context window: how large a one is asked for, and whether the prompt was read as a whole.
//!
//! A window that is asked for and is not the one the model is loaded with makes Ollama load the model anew, which takes
//! seconds to minutes. So none is asked for where the prompt fits the smallest default, and otherwise one of few sizes:
//! 4096 tokens, doubled until it is enough.

use super::super::Target;
use crate::message::{Headroom, Part, Request};

/// The smallest window that Ollama loads a model with by itself; with much video memory it takes a larger one.
const DEFAULT: u64 = 4096;

/// Tokens kept for the answer where the request sets no limit.
const ANSWER: u64 = 1024;

/// Tokens of the template around the turns.
const TEMPLATE: u64 = 128;

/// Tokens of one image. Gemma 3 takes 256, Ollama itself reckons with 768, some models take more for a large image.
const IMAGE: u64 = 1024;

/// How far from a limit a count may lie that is a cut at the limit: seen are half a window and 2 or 3.
const SLACK: u64 = 8;

/// The largest window looked for in a count; no model's is larger.
const LARGEST: u64 = 1 << 24;

/// The window to ask for; `None` leaves the server's default. What the configuration sets stands; else a request for
/// more room gets the next size up, and none is larger than the model was made for.
pub(super) fn num_ctx(target: &Target, request: &Request) -> Option<u64> {
    if let Some(window) = target.tuning.num_ctx {
        return Some(window.into());
    }
    let facts = target.facts.as_deref();
    let default = facts.and_then(|facts| facts.default_window).unwrap_or(DEFAULT);
    let needed = needed(request);
    let window = match request.room {
        Headroom::Standard if needed <= default => return None,
        Headroom::Standard => size(needed),
        Headroom::Extended => size(needed.max(default)).saturating_mul(2),
    };
    Some(facts.and_then(|facts| facts.context_length).map_or(window, |length| window.min(length)))
}

/// Whether `counted` tokens of the prompt are so few that a part of it must have been left out.
///
/// Newer servers reject what does not fit, because `truncate` and `shift` are off. Older ones, and those that do not know
/// the two, keep the window's worth of a prompt, or half of it and a few tokens (ollama#17427, #17889), and count what
/// they kept. So a count gives a cut away where it is one of these sizes and smaller than the prompt can be, or where the
/// prompt cannot fit the window that was asked for. A small count alone tells nothing: until 2024 tokens from the prompt
/// cache were not counted (ollama#2068), and a prompt that was cached as a whole still has no count.
pub(super) fn is_cut(target: &Target, request: &Request, counted: u64) -> bool {
    if counted == 0 {
        return false;
    }
    let asked = num_ctx(target, request);
    let default = target.facts.as_deref().and_then(|facts| facts.default_window);
    let sizes = std::iter::successors(Some(2048), |size| Some(size * 2)).take_while(|size| *size <= LARGEST);
    let is_size = sizes.chain(asked).chain(default).any(|window| is_worth_of(window, counted));
    // The words of a long prompt take longer to count than its reply to decode. They are never more than twice the
    // estimate, so most replies need no count.
    if !is_size && asked.is_none_or(|window| request.estimated_tokens() <= window) {
        return false;
    }
    let least = request.least_tokens();
    counted < least && (is_size || asked.is_some_and(|window| least / 2 > window))
}

/// 4096 tokens, doubled until they are enough for `tokens`.
fn size(tokens: u64) -> u64 {
    tokens.max(DEFAULT).checked_next_power_of_two().unwrap_or(u64::MAX)
}

/// About how many tokens the request and its answer take, rather too many: what is too little costs a second try.
fn needed(request: &Request) -> u64 {
    let images = request.parts.iter().filter(|part| matches!(part, Part::Image { .. })).count() as u64;
    let text = request.estimated_tokens();
    text + text / 4 + images * IMAGE + request.max_tokens.map_or(ANSWER, u64::from) + TEMPLATE
}

fn is_worth_of(window: u64, counted: u64) -> bool {
    let half = window / 2;
    (half..=half + SLACK).contains(&counted) || counted == window || counted + 1 == window
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::super::super::model::ModelFacts;
    use super::super::super::tests::target;
    use super::*;
    use crate::config::{Provider, Tuning};

    fn ollama() -> Target {
        target(Provider::Ollama, "http://localhost:11434", None)
    }

    fn knowing(context_length: Option<u64>, default_window: Option<u64>) -> Target {
        let facts = ModelFacts { context_length, default_window, ..ModelFacts::default() };
        Target { facts: Some(Arc::new(facts)), ..ollama() }
    }

    /// A prompt of about `tokens` tokens: as many words of three letters.
    fn prompt(tokens: usize) -> Request {
        Request::new("abc ".repeat(tokens))
    }

    #[test]
    fn a_prompt_that_fits_the_smallest_default_asks_for_no_window() {
        assert_eq!(num_ctx(&ollama(), &prompt(0)), None);
        // 2355 and a quarter, the answer and the template are 4095 tokens.
        assert_eq!(num_ctx(&ollama(), &prompt(2355)), None);
        assert_eq!(num_ctx(&ollama(), &prompt(2357)), Some(8192));
    }

    #[test]
    fn the_window_grows_with_the_prompt_in_few_sizes() {
        for (tokens, window) in [(3000, 8192), (5600, 8192), (5700, 16_384), (40_000, 65_536), (200_000, 262_144)] {
            assert_eq!(num_ctx(&ollama(), &prompt(tokens)), Some(window), "{tokens}");
        }
    }

    #[test]
    fn images_and_the_answer_need_room_too() {
        let image = Part::Image { mime: "image/png", data: Bytes::new() };
        let seeing = |count| Request { parts: vec![image.clone(); count], ..prompt(10) };
        assert_eq!(num_ctx(&ollama(), &seeing(2)), None);
        assert_eq!(num_ctx(&ollama(), &seeing(3)), Some(8192));
        assert_eq!(num_ctx(&ollama(), &Request { max_tokens: Some(6000), ..prompt(10) }), Some(8192));
        assert_eq!(num_ctx(&ollama(), &Request { max_tokens: Some(100), ..prompt(3000) }), None);
    }

    #[test]
    fn no_window_is_larger_than_the_model_was_made_for() {
        assert_eq!(num_ctx(&knowing(Some(40_960), None), &prompt(30_000)), Some(40_960));
        assert_eq!(num_ctx(&knowing(Some(131_072), None), &prompt(30_000)), Some(65_536));
        let more = Request { room: Headroom::Extended, ..prompt(10) };
        assert_eq!(num_ctx(&knowing(Some(2048), None), &more), Some(2048));
    }

    #[test]
    fn a_models_own_window_is_its_default() {
        let target = knowing(None, Some(16_384));
        assert_eq!(num_ctx(&target, &prompt(9000)), None);
        assert_eq!(num_ctx(&target, &prompt(20_000)), Some(32_768));
        assert_eq!(num_ctx(&target, &Request { room: Headroom::Extended, ..prompt(10) }), Some(32_768));
        assert_eq!(num_ctx(&knowing(None, Some(2048)), &prompt(1500)), Some(4096));
    }

    #[test]
    fn more_room_is_the_next_size() {
        let more = |tokens| num_ctx(&ollama(), &Request { room: Headroom::Extended, ..prompt(tokens) });
        assert_eq!(more(10), Some(8192));
        assert_eq!(more(3000), Some(16_384));
    }

    #[test]
    fn a_configured_window_stands() {
        let target =
            Target { tuning: Tuning { num_ctx: Some(5000), ..Tuning::default() }, ..knowing(Some(4096), Some(2048)) };
        for request in [prompt(1), prompt(30_000), Request { room: Headroom::Extended, ..prompt(1) }] {
            assert_eq!(num_ctx(&target, &request), Some(5000));
        }
    }

    #[test]
    fn counts_of_a_cut_prompt_are_told_from_others() {
        let asking = Target { tuning: Tuning { num_ctx: Some(6000), ..Tuning::default() }, ..ollama() };
        for (target, tokens, counted, cut) in [
            // Half of a window of 4096 and 2 or 3, as in ollama#17889.
            (ollama(), 7900, 2050, true),
            (ollama(), 7900, 2051, true),
            // Half of 32 768 and 2.
            (ollama(), 50_000, 16_386, true),
            // The whole window, as older versions keep it.
            (ollama(), 3940, 2048, true),
            (ollama(), 9000, 4096, true),
            (ollama(), 9000, 4095, true),
            // The window that was asked for, and half of it.
            (asking.clone(), 7000, 6000, true),
            (asking.clone(), 7000, 3002, true),
            (asking.clone(), 7000, 3500, false),
            // Twice what can fit.
            (asking.clone(), 12_100, 5400, true),
            // No count, or one of the tokens that were not cached.
            (ollama(), 7900, 0, false),
            (ollama(), 7900, 17, false),
            (ollama(), 7900, 3000, false),
            // Everything was read.
            (ollama(), 2050, 2050, false),
            (ollama(), 1900, 2050, false),
            (ollama(), 4000, 4096, false),
        ] {
            assert_eq!(is_cut(&target, &prompt(tokens), counted), cut, "{tokens} counted as {counted}");
        }
    }

    #[test]
    fn a_text_without_words_proves_nothing() {
        for text in ["字".repeat(9000), "-".repeat(90_000), " ".repeat(90_000), "=+ ".repeat(9000)] {
            assert!(!is_cut(&ollama(), &Request::new(text), 2050));
        }
    }
}
