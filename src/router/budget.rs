//! The budget of a router.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, ErrorKind, Result};

/// Upper bounds for all calls of one router together.
///
/// They are checked before each request. The requests in flight at that moment may exceed a bound; no further one is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Budget {
    /// Tokens of prompts and replies, including failed requests. `None` means no limit.
    pub max_tokens: Option<u64>,
    /// US dollars. A target with an unknown price is skipped. `None` means no limit.
    pub max_cost: Option<f64>,
    /// Requests to providers; never exceeded. `None` means no limit.
    pub max_calls: Option<u64>,
}

impl Budget {
    /// # Errors
    ///
    /// Returns `InvalidInput` if a bound is not an amount.
    pub fn validate(&self) -> Result<()> {
        match self.max_cost {
            Some(cost) if !(cost.is_finite() && cost >= 0.0) => {
                Err(Error::invalid_input(format!("max_cost must be a number of US dollars, not {cost}")))
            }
            _ => Ok(()),
        }
    }
}

/// What a router has spent.
#[derive(Debug, Default)]
pub(super) struct Spent {
    tokens: AtomicU64,
    picodollars: AtomicU64,
    calls: AtomicU64,
}

impl Spent {
    /// Reserves one request of `budget`, or fails with `BudgetReached`; [`Spent::refund`] returns it.
    pub(super) fn take(&self, budget: &Budget) -> Result<()> {
        let tokens = self.tokens.load(Ordering::Relaxed);
        if let Some(max) = budget.max_tokens.filter(|max| tokens >= *max) {
            return Err(reached(&format!("{tokens} of {max} tokens")));
        }
        let cost = self.picodollars.load(Ordering::Relaxed);
        if let Some(max) = budget.max_cost.filter(|max| cost >= picodollars(*max)) {
            #[expect(clippy::cast_precision_loss, reason = "a sum shown to people")]
            let dollars = cost as f64 / PICO;
            return Err(reached(&format!("{dollars:.6} of {max:.6} US dollars")));
        }
        let Some(max) = budget.max_calls else { return Ok(()) };
        let taken =
            self.calls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |calls| (calls < max).then(|| calls + 1));
        taken.map(|_| ()).map_err(|calls| reached(&format!("{calls} of {max} calls")))
    }

    /// Returns a request that was not sent.
    pub(super) fn refund(&self, budget: &Budget) {
        if budget.max_calls.is_some() {
            self.calls.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Adds the tokens and the cost of a request, successful or not.
    pub(super) fn add(&self, tokens: u64, cost: Option<f64>) {
        saturating_add(&self.tokens, tokens);
        saturating_add(&self.picodollars, picodollars(cost.unwrap_or(0.0)));
    }
}

/// Costs are integers of this fraction of a dollar, so that small ones add up exactly.
pub(super) const PICO: f64 = 1e12;

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "amounts are not negative; casts saturate")]
pub(super) fn picodollars(dollars: f64) -> u64 {
    (dollars * PICO).round() as u64
}

/// Adds `amount` to `sum`, which a server that reports absurd amounts must not wrap around.
pub(super) fn saturating_add(sum: &AtomicU64, amount: u64) {
    if amount > 0 {
        // Never fails: the closure always returns a value.
        let _ = sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |sum| Some(sum.saturating_add(amount)));
    }
}

fn reached(spent: &str) -> Error {
    let message = format!("the budget of this router is used up ({spent}): create a router with a larger budget");
    Error::new(ErrorKind::BudgetReached, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_ends_the_budget() {
        let budgets = [
            Budget { max_tokens: Some(100), ..Budget::default() },
            Budget { max_cost: Some(0.01), ..Budget::default() },
            Budget { max_calls: Some(1), ..Budget::default() },
        ];
        for budget in budgets {
            let spent = Spent::default();
            spent.take(&budget).unwrap();
            spent.add(100, Some(0.01));
            assert_eq!(spent.take(&budget).unwrap_err().kind(), ErrorKind::BudgetReached, "{budget:?}");
            spent.take(&Budget::default()).unwrap();
        }
    }

    #[test]
    fn absurd_amounts_do_not_wrap_around() {
        let budget = Budget { max_tokens: Some(100), max_cost: Some(0.01), ..Budget::default() };
        let spent = Spent::default();
        for _ in 0..2 {
            spent.add(u64::MAX / 2 + 1, Some(1e7));
            spent.take(&budget).unwrap_err();
        }
        spent.take(&Budget { max_cost: Some(0.01), ..Budget::default() }).unwrap_err();
    }

    #[test]
    fn many_small_costs_add_up_exactly() {
        let (spent, budget) = (Spent::default(), Budget { max_cost: Some(0.1), ..Budget::default() });
        for _ in 0..999_999 {
            spent.add(0, Some(1e-7));
        }
        spent.take(&budget).unwrap();
        spent.add(0, Some(1e-7));
        spent.take(&budget).unwrap_err();
    }

    #[test]
    fn an_unsent_request_is_refunded() {
        let (spent, budget) = (Spent::default(), Budget { max_calls: Some(1), ..Budget::default() });
        spent.take(&budget).unwrap();
        spent.refund(&budget);
        spent.take(&budget).unwrap();
        spent.take(&budget).unwrap_err();
    }

    #[test]
    fn max_cost_must_be_a_non_negative_number() {
        for cost in [f64::NAN, f64::INFINITY, -0.01] {
            Budget { max_cost: Some(cost), ..Budget::default() }.validate().unwrap_err();
        }
        Budget { max_cost: Some(0.0), ..Budget::default() }.validate().unwrap();
    }
}
