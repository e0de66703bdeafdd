//! The record of a run, its events and its shapes, against a scripted router.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::agents_double::{Double, Reply, honest};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use madspark::coordinator::{
    Coordinator, Decision, Event, EventKind, Gate, Hooks, Mode, Options, Review, RunState, Stage, StageStatus, Status,
};
use madspark::error::{Error, ErrorKind, Result};

fn options(mode: Mode) -> Options {
    Options { num_top_candidates: 3, enhanced_reasoning: true, mode, ..Options::new("Less waste in our town", "") }
}

/// With every stage that there is.
fn every(mode: Mode) -> Options {
    Options { multi_dimensional_eval: true, logical_inference: true, ..options(mode) }
}

async fn conduct(double: &Double, options: &Options, hooks: Hooks<'_>) -> (Result<()>, Arc<RunState>) {
    let record = RunState::new(double, options, 1024);
    let outcome = Coordinator::new(10).unwrap().conduct(double, options, &record, hooks).await;
    (outcome, record)
}

async fn events(record: &RunState) -> Vec<Arc<Event>> {
    let mut all: Vec<Arc<Event>> = Vec::new();
    loop {
        let after = all.last().map_or(0, |event| event.sequence);
        let page = record.journal().read(after).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

#[tokio::test]
async fn a_router_of_an_unknown_kind_is_asked_in_batches() {
    let (outcome, record) = conduct(&Double::honest(), &options(Mode::Auto), Hooks::default()).await;
    outcome.unwrap();
    assert_eq!(record.result().spent.calls, 6);
}

#[tokio::test]
async fn both_shapes_find_the_same() {
    let (batch, fanout) = (Double::honest(), Double::honest());
    let (_, one) = conduct(&batch, &options(Mode::Batch), Hooks::default()).await;
    let (_, other) = conduct(&fanout, &options(Mode::Fanout), Hooks::default()).await;
    assert_eq!(one.candidates(), other.candidates());
    assert_eq!((batch.calls().len(), fanout.calls().len()), (6, 1 + 5 + 4 * 3));
    for record in [one, other] {
        let result = record.result();
        assert_eq!((result.status, result.partial, result.cut), (StageStatus::Ok, false, None));
        assert_eq!(result.spent.calls, if result.mode == madspark::coordinator::ResolvedMode::Batch { 6 } else { 18 });
        assert_eq!(result.spent.tokens, result.spent.calls * 10);
        let told = events(&record).await;
        assert!(told.windows(2).all(|pair| pair[0].fraction <= pair[1].fraction));
        assert!(told.iter().zip(1..).all(|(event, number)| event.sequence == number));
        assert!(matches!(told.last().unwrap().kind, EventKind::RunFinished { partial: false, .. }));
    }
}

#[tokio::test]
async fn with_every_stage_both_shapes_find_the_same() {
    let (batch, fanout) = (Double::honest(), Double::honest());
    let (_, one) = conduct(&batch, &every(Mode::Batch), Hooks::default()).await;
    let (_, other) = conduct(&fanout, &every(Mode::Fanout), Hooks::default()).await;
    assert_eq!(one.candidates(), other.candidates());
    assert_eq!((batch.calls().len(), fanout.calls().len()), (9, 1 + 5 + 7 * 3));
    for record in [one, other] {
        let result = record.result();
        assert_eq!(result.stages.iter().map(|stage| stage.stage).collect::<Vec<_>>(), Stage::ALL);
        assert!(result.stages.iter().all(|stage| stage.status == StageStatus::Ok));
        for candidate in record.candidates() {
            assert!(candidate.multi_dimensional_evaluation.is_some() && candidate.logical_inference.is_some());
            assert!(candidate.improved_multi_dimensional_evaluation.is_some());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn stages_that_need_nothing_of_each_other_go_side_by_side() {
    // A second for each call.
    let double = Double::new(|_, asked| Reply::After(Duration::from_secs(1), honest(asked)));
    let seconds = |mode| {
        let (double, options) = (&double, every(mode));
        async move {
            let record = RunState::new(double, &options, 1024);
            Coordinator::new(100).unwrap().conduct(double, &options, &record, Hooks::default()).await.unwrap();
            record.result().seconds.round()
        }
    };
    assert!((seconds(Mode::Batch).await - 9.0).abs() < f64::EPSILON);
    // Ideas, scores, the two of advocacy and skepticism, improvement, the two looks at it.
    assert!((seconds(Mode::Fanout).await - 6.0).abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn an_idea_waits_for_no_other_but_at_the_selection() {
    // The first idea's advocate takes an hour; every other call a second.
    let double = Double::new(|_, asked| {
        let is_slow = asked.schema == "AdvocacyBatch" && asked.ideas[0].1.starts_with("Roof gardens");
        let wait = Duration::from_secs(if is_slow { 3600 } else { 1 });
        Reply::After(wait, honest(asked))
    });
    let options = Options { timeout: 100.0, ..options(Mode::Fanout) };
    let (outcome, record) = conduct(&double, &options, Hooks::default()).await;
    outcome.unwrap();
    let result = record.result();
    assert_eq!((result.partial, result.cut), (true, Some("deadline")));
    let done = |candidate: &&madspark::coordinator::IndexedCandidate| candidate.candidate.status == Status::Ok;
    assert_eq!(result.candidates.iter().filter(done).count(), 2);
    let told = events(&record).await;
    let again = told.iter().filter(|event| {
        matches!(event.kind, EventKind::IdeaScored { stage: Stage::ReEvaluation, .. }) && event.seconds < 7.0
    });
    assert_eq!(again.count(), 2, "six seconds is the longest way of an idea");
}

#[tokio::test(start_paused = true)]
async fn dropping_a_fanout_ends_every_call_and_keeps_the_record() {
    let double = Double::new(|_, asked| match asked.schema.as_str() {
        "SkepticismBatch" => Reply::Never,
        _ => Reply::Json(honest(asked)),
    });
    let options = options(Mode::Fanout);
    let record = RunState::new(&double, &options, 1024);
    let coordinator = Coordinator::new(10).unwrap();
    {
        let mut run = Box::pin(coordinator.conduct(&double, &options, &record, Hooks::default()));
        assert!(run.as_mut().now_or_never().is_none());
        assert_eq!(double.in_flight.load(Ordering::SeqCst), 3);
        assert_eq!(record.result().cut, Some("running"));
    }
    assert_eq!(double.in_flight.load(Ordering::SeqCst), 0);
    record.close(None);
    record.close(Some("told once"));
    let result = record.result();
    assert_eq!((result.status, result.cut), (StageStatus::Degraded, Some("cancelled")));
    assert!(result.candidates.iter().all(|one| one.candidate.advocacy.is_some() && one.candidate.problems.len() == 3));
    assert!(matches!(events(&record).await.last().unwrap().kind, EventKind::RunFinished { partial: true, .. }));
}

#[tokio::test]
async fn a_failure_of_one_idea_is_its_own() {
    let double = Double::new(|_, asked| {
        if asked.schema == "ImprovementBatch" && asked.ideas[0].1.starts_with("Roof gardens") {
            Reply::Fail(Error::new(ErrorKind::Overloaded, "out of order"))
        } else {
            Reply::Json(honest(asked))
        }
    });
    let (outcome, record) = conduct(&double, &options(Mode::Fanout), Hooks::default()).await;
    outcome.unwrap();
    let result = record.result();
    let statuses: Vec<Status> = result.candidates.iter().map(|one| one.candidate.status).collect();
    assert_eq!(statuses, [Status::Ok, Status::Degraded, Status::Ok]);
    let [.., improvement, again] = result.stages.as_slice() else { panic!("{result:?}") };
    assert_eq!((improvement.status, improvement.ideas_ok, improvement.ideas_failed), (StageStatus::Degraded, 2, 1));
    assert_eq!((again.status, again.ideas_ok), (StageStatus::Ok, 2));
    assert_eq!(improvement.reason.as_deref(), Some("out of order"));
}

struct StopAfter(Stage);

impl Gate for StopAfter {
    fn review(&self, review: Review) -> BoxFuture<'_, Result<Decision>> {
        let stop = review.stage == self.0;
        Box::pin(async move { Ok(if stop { Decision::Stop("enough".to_owned()) } else { Decision::Approve }) })
    }
}

#[tokio::test]
async fn a_gate_ends_the_run_after_any_stage() {
    for mode in [Mode::Batch, Mode::Fanout] {
        for stage in Stage::ALL {
            let double = Double::honest();
            let gate = StopAfter(stage);
            let (outcome, record) =
                conduct(&double, &every(mode), Hooks { gate: Some(&gate), ..Hooks::default() }).await;
            outcome.unwrap();
            let result = record.result();
            assert_eq!((result.partial, result.cut), (true, Some("stopped")), "{stage}");
            assert_eq!(result.reason.as_deref(), Some("the run was stopped: enough"));
            let last = result.stages.iter().rfind(|one| one.began.is_some()).unwrap();
            assert_eq!(last.stage, stage, "{mode:?}");
            assert_eq!(result.candidates.len(), if stage == Stage::IdeaGeneration { 5 } else { 3 });
        }
    }
}
