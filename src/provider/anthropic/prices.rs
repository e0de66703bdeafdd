//! Anthropic's list prices of the current models. Sources: <https://platform.claude.com/docs/en/about-claude/pricing> and the overviews of the models,
//! November 2026.
//!
//! Writes to the cache are not included: the router requests none. Inference that is bound to a region costs more.

use super::super::price::{ListPrice, LongPromptPrice};
use crate::config::Price;

/// In US dollars per million tokens.
pub(super) const PRICES: &[ListPrice] = &[
    flat("claude-fable-5-1", Price::new(10.0, 0.25, 50.0)),
    flat("claude-opus-5-5", Price::new(4.0, 0.2, 20.0)),
    flat("claude-opus-5", Price::new(5.0, 0.5, 25.0)),
    flat("claude-sonnet-5-5", Price::new(2.0, 0.1, 10.0)),
    flat("claude-sonnet-5", Price::new(2.0, 0.2, 10.0)),
    ListPrice {
        model: "claude-haiku-5-5",
        price: Price::new(0.1, 0.01, 0.5),
        long: Some(LongPromptPrice { above: 100_000, price: Price::new(0.5, 0.05, 2.5) }),
    },
    flat("claude-haiku-4-5", Price::new(1.0, 0.1, 5.0)),
];

const fn flat(model: &'static str, price: Price) -> ListPrice {
    ListPrice { model, price, long: None }
}
