//! What a run has asked, what that took, and who answered: by stage, counted where the requests end.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::result::{AgentResult, StageResult, StageStatus};
use super::stage::Stage;
use crate::attempt::Attempt;
use crate::message::Usage;
use crate::router::Response;

/// What requests took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spending {
    /// Requests that went on the wire, with repairs, repetitions and fallbacks. Of a router of the caller's own, answers.
    pub calls: u64,
    /// Tokens of all of them.
    pub tokens: u64,
    /// Those tokens by kind; a router of the caller's own does not tell.
    pub usage: Tokens,
    /// US dollars; `None` where a price is not known.
    pub cost: Option<f64>,
    /// Whether some of the tokens are an estimate, because a request was given up before they were counted.
    pub is_estimated: bool,
}

/// Tokens by kind, in disjoint buckets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// Prompt tokens, without those read from the provider's cache.
    pub input: u64,
    /// Prompt tokens read from the provider's cache.
    pub cached_input: u64,
    /// Tokens of the answers, without thoughts.
    pub output: u64,
    /// Tokens of the models' thoughts.
    pub reasoning: u64,
    /// Prompt tokens of the provider's own tools.
    pub tool: u64,
}

/// Who answered, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Served {
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Answers of it that were taken.
    pub answers: u64,
}

/// The books of one run, by stage. Never locked across an await.
#[derive(Debug, Default)]
pub(super) struct UsageLedger(Mutex<BTreeMap<Stage, Page>>);

#[derive(Debug, Clone, Default)]
struct Page {
    spending: Spending,
    served: Vec<Served>,
    began: Option<f64>,
    ended: Option<f64>,
    /// Groups of ideas that have still to go through.
    ahead: usize,
    ideas_ok: usize,
    ideas_failed: usize,
    reason: Option<String>,
}

impl Default for Spending {
    fn default() -> Self {
        Self { calls: 0, tokens: 0, usage: Tokens::default(), cost: Some(0.0), is_estimated: false }
    }
}

impl Spending {
    fn add(&mut self, other: &Self) {
        let (own, usage) = (&mut self.usage, &other.usage);
        own.input += usage.input;
        own.cached_input += usage.cached_input;
        own.output += usage.output;
        own.reasoning += usage.reasoning;
        own.tool += usage.tool;
        self.calls += other.calls;
        self.tokens += other.tokens;
        self.cost = self.cost.zip(other.cost).map(|(one, two)| one + two);
        self.is_estimated |= other.is_estimated;
    }
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        let Usage { input, cached_input, output, reasoning, tool } = usage;
        Self { input, cached_input, output, reasoning, tool }
    }
}

impl UsageLedger {
    fn pages(&self) -> MutexGuard<'_, BTreeMap<Stage, Page>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Books a request of `stage` that has ended.
    pub(super) fn ended(&self, stage: Stage, attempt: &Attempt, cost: Option<f64>) {
        self.pages().entry(stage).or_default().spending.add(&Spending {
            calls: u64::from(attempt.sent),
            tokens: attempt.usage.total(),
            usage: attempt.usage.into(),
            cost,
            is_estimated: attempt.is_estimated,
        });
    }

    /// Books an answer to `stage`; `is_booked` tells that its requests are booked already.
    pub(super) fn answered(&self, stage: Stage, response: &Response, is_booked: bool) {
        let mut pages = self.pages();
        let page = pages.entry(stage).or_default();
        if !is_booked {
            let (tokens, cost) = (response.tokens, response.cost);
            page.spending.add(&Spending { calls: 1, tokens, cost, ..Spending::default() });
        }
        serve(&mut page.served, &response.provider, &response.model, 1);
    }

    /// `groups` more of ideas are to go through `stage`.
    pub(super) fn expect(&self, stage: Stage, groups: usize) {
        self.pages().entry(stage).or_default().ahead += groups;
    }

    /// A group has come to `stage`, `now` seconds after the run began; whether it is the first.
    pub(super) fn enter(&self, stage: Stage, now: f64) -> bool {
        let mut pages = self.pages();
        let page = pages.entry(stage).or_default();
        let is_first = page.began.is_none();
        page.began.get_or_insert(now);
        is_first
    }

    /// Notes what `stage` gave for ideas: for how many something, and for how many nothing, and why.
    pub(super) fn settle(&self, stage: Stage, ok: usize, failed: usize, reason: Option<&str>) {
        let mut pages = self.pages();
        let page = pages.entry(stage).or_default();
        page.ideas_ok += ok;
        page.ideas_failed += failed;
        if page.reason.is_none() {
            page.reason = reason.map(str::to_owned);
        }
    }

    /// A group has left `stage`; what the stage was where it is the last one.
    pub(super) fn leave(&self, stage: Stage, now: f64) -> Option<(StageStatus, Option<String>)> {
        let mut pages = self.pages();
        let page = pages.get_mut(&stage)?;
        page.ahead = page.ahead.saturating_sub(1);
        if page.ahead > 0 || page.began.is_none() {
            return None;
        }
        page.ended = Some(now);
        Some((page.status(), page.reason.clone()))
    }

    /// What everything took so far.
    pub(super) fn total(&self) -> Spending {
        let mut total = Spending::default();
        self.pages().values().for_each(|page| total.add(&page.spending));
        total
    }

    /// Who answered, the most often first.
    pub(super) fn served(&self) -> Vec<Served> {
        let mut all = Vec::new();
        for one in self.pages().values().flat_map(|page| &page.served) {
            serve(&mut all, &one.provider, &one.model, one.answers);
        }
        all.sort_by_key(|one| std::cmp::Reverse(one.answers));
        all
    }

    /// The stages of `plan`, in order; `cut` is why the run ended early, `now` when it did.
    pub(super) fn stages(&self, plan: &[Stage], cut: Option<&str>, now: f64) -> Vec<StageResult> {
        let pages = self.pages();
        plan.iter().map(|stage| pages.get(stage).cloned().unwrap_or_default().result(*stage, cut, now)).collect()
    }

    /// What each agent took, over its stages, in the order of the workflow.
    pub(super) fn agents(&self, plan: &[Stage]) -> Vec<AgentResult> {
        let pages = self.pages();
        let mut agents: Vec<AgentResult> = Vec::new();
        for stage in plan {
            let spent = pages.get(stage).map(|page| page.spending).unwrap_or_default();
            match agents.iter_mut().find(|one| one.agent == stage.agent()) {
                Some(known) => known.spent.add(&spent),
                None => agents.push(AgentResult { agent: stage.agent(), spent }),
            }
        }
        agents
    }
}

impl Page {
    fn status(&self) -> StageStatus {
        match (self.ideas_ok, self.ideas_failed) {
            (_, 0) => StageStatus::Ok,
            (0, _) => StageStatus::Failed,
            _ => StageStatus::Degraded,
        }
    }

    fn result(self, stage: Stage, cut: Option<&str>, now: f64) -> StageResult {
        let (status, reason) = match (self.began, self.ended) {
            (None, _) => {
                let reason = cut.unwrap_or("no idea came to it");
                (StageStatus::Skipped, Some(reason.to_owned()))
            }
            (Some(_), Some(_)) => (self.status(), self.reason.clone()),
            // It was under way when the run ended.
            (Some(_), None) => {
                let status = if self.ideas_ok == 0 { StageStatus::Failed } else { StageStatus::Degraded };
                (status, self.reason.clone().or_else(|| cut.map(str::to_owned)))
            }
        };
        StageResult {
            stage,
            status,
            reason,
            began: self.began,
            seconds: self.began.map_or(0.0, |began| self.ended.unwrap_or(now) - began),
            ideas_ok: self.ideas_ok,
            ideas_failed: self.ideas_failed,
            spent: self.spending,
            served_by: self.served,
        }
    }
}

fn serve(all: &mut Vec<Served>, provider: &str, model: &str, answers: u64) {
    match all.iter_mut().find(|one| one.provider == provider && one.model == model) {
        Some(known) => known.answers += answers,
        None => all.push(Served { provider: provider.to_owned(), model: model.to_owned(), answers }),
    }
}
