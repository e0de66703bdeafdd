//! The record of each stage: its times, its ideas, its usage and the models that answered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::result::{AgentResult, StageResult, StageStatus};
use super::spending::{ServedBy, Spending, add_answers};
use super::stage::Stage;
use crate::router::Response;

/// The records of the stages of one run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct StageRecords(BTreeMap<Stage, StageRecord>);

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct StageRecord {
    spent: Spending,
    served_by: Vec<ServedBy>,
    /// Seconds from the start of the run to the first idea that entered the stage.
    began: Option<f64>,
    /// Seconds from the start of the run to the last idea that left it.
    ended: Option<f64>,
    /// The number of groups of ideas that have not left the stage.
    pending_groups: usize,
    ideas_ok: usize,
    ideas_failed: usize,
    /// The first failure.
    reason: Option<String>,
    /// What its answers lack: the web pages that could not be read, and why.
    #[serde(default)]
    missing_pages: Vec<String>,
}

impl StageRecords {
    /// Adds usage to `stage`.
    pub(super) fn add_spending(&mut self, stage: Stage, spent: &Spending) {
        self.record(stage).spent.add(spent);
    }

    /// Counts an answer used by `stage`.
    pub(super) fn add_answer(&mut self, stage: Stage, response: &Response) {
        let record = self.record(stage);
        record.spent.cached += u64::from(response.is_cached);
        add_answers(&mut record.served_by, &ServedBy::of_response(response));
    }

    /// Adds a web page that an answer of `stage` lacks, once.
    pub(super) fn add_missing_page(&mut self, stage: Stage, reason: String) {
        let missing = &mut self.record(stage).missing_pages;
        if !missing.contains(&reason) {
            missing.push(reason);
        }
    }

    /// The web pages that the answers of `stage` lack.
    pub(super) fn missing_pages(&self, stage: Stage) -> &[String] {
        self.0.get(&stage).map_or(&[], |record| &record.missing_pages)
    }

    /// Announces `count` more groups of ideas for `stage`.
    pub(super) fn add_groups(&mut self, stage: Stage, count: usize) {
        self.record(stage).pending_groups += count;
    }

    /// Marks `stage` as begun at `now` seconds and returns whether it had not begun before.
    pub(super) fn begin(&mut self, stage: Stage, now: f64) -> bool {
        let began = &mut self.record(stage).began;
        let is_first = began.is_none();
        began.get_or_insert(now);
        is_first
    }

    /// Counts the ideas that `stage` succeeded and failed for.
    pub(super) fn add_ideas(&mut self, stage: Stage, ok: usize, failed: usize, reason: Option<&str>) {
        let record = self.record(stage);
        record.ideas_ok += ok;
        record.ideas_failed += failed;
        if record.reason.is_none() {
            record.reason = reason.map(str::to_owned);
        }
    }

    /// Marks one group as having left `stage` at `now` seconds. Returns the status of the stage if it was the last group.
    pub(super) fn finish_group(&mut self, stage: Stage, now: f64) -> Option<(StageStatus, Option<String>)> {
        let record = self.0.get_mut(&stage)?;
        record.pending_groups = record.pending_groups.saturating_sub(1);
        if record.pending_groups > 0 || record.began.is_none() {
            return None;
        }
        record.ended = Some(now);
        Some((record.status(), record.reason()))
    }

    /// The usage of all stages.
    pub(super) fn spent(&self) -> Spending {
        let mut total = Spending::default();
        self.0.values().for_each(|record| total.add(&record.spent));
        total
    }

    /// The models that answered, the most used first.
    pub(super) fn served_by(&self) -> Vec<ServedBy> {
        let mut total = Vec::new();
        for one in self.0.values().flat_map(|record| &record.served_by) {
            add_answers(&mut total, one);
        }
        total.sort_by_key(|one| std::cmp::Reverse(one.answers));
        total
    }

    /// The result of each stage of `plan`, in order, for a run that ended `now` seconds after its start because of
    /// `stop_reason`.
    pub(super) fn results(&self, plan: &[Stage], stop_reason: Option<&str>, now: f64) -> Vec<StageResult> {
        plan.iter()
            .map(|stage| self.0.get(stage).cloned().unwrap_or_default().result(*stage, stop_reason, now))
            .collect()
    }

    /// The usage of each agent over its stages, in the order of the workflow.
    pub(super) fn agents(&self, plan: &[Stage]) -> Vec<AgentResult> {
        let mut agents: Vec<AgentResult> = Vec::new();
        for stage in plan {
            let spent = self.0.get(stage).map(|record| record.spent).unwrap_or_default();
            match agents.iter_mut().find(|known| known.agent == stage.agent()) {
                Some(known) => known.spent.add(&spent),
                None => agents.push(AgentResult { agent: stage.agent(), spent }),
            }
        }
        agents
    }

    fn record(&mut self, stage: Stage) -> &mut StageRecord {
        self.0.entry(stage).or_default()
    }
}

impl StageRecord {
    fn status(&self) -> StageStatus {
        match (self.ideas_ok, self.ideas_failed) {
            (_, 0) if self.missing_pages.is_empty() => StageStatus::Ok,
            (0, _) => StageStatus::Failed,
            _ => StageStatus::Degraded,
        }
    }

    /// Why the status is not `Ok`.
    fn reason(&self) -> Option<String> {
        self.reason.clone().or_else(|| self.missing_pages.first().cloned())
    }

    fn result(self, stage: Stage, stop_reason: Option<&str>, now: f64) -> StageResult {
        let (status, reason) = match (self.began, self.ended) {
            (None, _) => (StageStatus::Skipped, Some(stop_reason.unwrap_or("no idea reached this stage").to_owned())),
            (Some(_), Some(_)) => (self.status(), self.reason()),
            // The run ended during the stage.
            (Some(_), None) => {
                let status = if self.ideas_ok == 0 { StageStatus::Failed } else { StageStatus::Degraded };
                (status, self.reason().or_else(|| stop_reason.map(str::to_owned)))
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
            spent: self.spent,
            served_by: self.served_by,
        }
    }
}
