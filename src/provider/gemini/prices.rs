//! Google's list prices for text on the paid tier. Source: <https://ai.google.dev/gemini-api/docs/pricing>, November 2026.
//!
//! Cached tokens cost a tenth of the input. Storage of explicit caches is not included: the router creates none.

use super::super::price::{ListPrice, LongPromptPrice};
use crate::config::Price;

/// In US dollars per million tokens.
pub(super) const PRICES: &[ListPrice] = &[
    ListPrice { model: "gemini-3-flash-preview", price: Price::new(0.5, 0.05, 3.0), long: None },
    ListPrice {
        model: "gemini-3-pro-preview",
        price: Price::new(2.0, 0.2, 12.0),
        long: Some(LongPromptPrice { above: 200_000, price: Price::new(4.0, 0.4, 18.0) }),
    },
    ListPrice { model: "gemini-2.5-flash", price: Price::new(0.3, 0.03, 2.5), long: None },
];
