//! OpenAI's list prices of the current models for text, in the standard tier. Sources: <https://developers.openai.com/api/docs/pricing> and the pages of
//! the models below <https://developers.openai.com/api/docs/models>, November 2026.
//!
//! Other tiers (`flex`, `priority`, batch) and writes to the cache have other prices. Compatible servers set their own: add
//! those to the configured prices.

use super::super::price::{ListPrice, LongPromptPrice};
use crate::config::Price;

/// The longest prompt at the normal price, in tokens.
const LONG: u64 = 272_000;

/// In US dollars per million tokens.
pub(super) const PRICES: &[ListPrice] = &[
    long("gpt-6.2-astra", Price::new(8.0, 0.4, 40.0), Price::new(16.0, 0.8, 60.0)),
    long("gpt-6.2-sol", Price::new(2.0, 0.1, 10.0), Price::new(4.0, 0.2, 15.0)),
    long("gpt-6.1-sol", Price::new(2.0, 0.1, 10.0), Price::new(4.0, 0.2, 15.0)),
    long("gpt-6-astra", Price::new(10.0, 1.0, 50.0), Price::new(20.0, 2.0, 75.0)),
    long("gpt-6-sol", Price::new(2.0, 0.2, 10.0), Price::new(4.0, 0.4, 15.0)),
    long("gpt-6-luna", Price::new(0.1, 0.01, 0.5), Price::new(0.2, 0.02, 0.75)),
    flat("gpt-5.4-mini", Price::new(0.75, 0.075, 4.5)),
    flat("gpt-5.4-nano", Price::new(0.2, 0.02, 1.25)),
];

const fn flat(model: &'static str, price: Price) -> ListPrice {
    ListPrice { model, price, long: None }
}

const fn long(model: &'static str, price: Price, long: Price) -> ListPrice {
    ListPrice { model, price, long: Some(LongPromptPrice { above: LONG, price: long }) }
}
