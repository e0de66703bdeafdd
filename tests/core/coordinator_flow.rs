//! The state, events, modes and gates of a run, against a scripted router.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::agents_double::{Double, Reply, honest};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use madspark::coordinator::{
    Coordinator, Decision, Event, EventKind, Gate, Hooks, Mode, Options, Review, RunHandle, RunState, Stage,
    StageStatus, Status,
};
use madspark::error::{Error, ErrorKind, Result};

fn options(mode: Mode) -> Options {
    Options { num_top_candidates: 3, enhanced_reasoning: true, mode, ..Options::new("Less waste in our town", "") }
}

/// Options with every stage.
fn all_stages(mode: Mode) -> Options {
    Options { multi_dimensional_eval: true, logical_inference: true, ..options(mode) }
}

async fn conduct(double: &Double, options: &Options, hooks: Hooks<'_>) -> (Result<()>, Arc<RunHandle>) {
    let run = RunHandle::new(double, options, 1024);
    let outcome = Coordinator::new(10).unwrap().conduct(double, &run, hooks).await;
    (outcome, run)
}

async fn events(run: &RunHandle) -> Vec<Event> {
    let mut all: Vec<Event> = Vec::new();
    loop {
        let after = all.last().map_or(0, |event| event.sequence);
        let page = run.read_events(after).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

#[tokio::test]
async fn auto_mode_uses_batches_for_a_custom_router() {
    let (outcome, run) = conduct(&Double::honest(), &options(Mode::Auto), Hooks::default()).await;
    outcome.unwrap();
    assert_eq!(run.result().spent.calls, 6);
}

#[tokio::test]
async fn both_modes_have_the_same_candidates() {
    let (batch, fanout) = (Double::honest(), Double::honest());
    let (_, one) = conduct(&batch, &options(Mode::Batch), Hooks::default()).await;
    let (_, other) = conduct(&fanout, &options(Mode::Fanout), Hooks::default()).await;
    assert_eq!(one.candidates(), other.candidates());
    assert_eq!((batch.calls().len(), fanout.calls().len()), (6, 1 + 5 + 4 * 3));
    for run in [one, other] {
        let result = run.result();
        assert_eq!((result.status, result.partial, result.cut), (StageStatus::Ok, false, None));
        assert_eq!(result.spent.calls, if result.mode == madspark::coordinator::ResolvedMode::Batch { 6 } else { 18 });
        assert_eq!(result.spent.tokens, result.spent.calls * 10);
        let events = events(&run).await;
        assert!(events.windows(2).all(|pair| pair[0].fraction <= pair[1].fraction));
        assert!(events.iter().zip(1..).all(|(event, number)| event.sequence == number));
        assert!(matches!(events.last().unwrap().kind, EventKind::RunFinished { partial: false, .. }));
    }
}

#[tokio::test]
async fn both_modes_have_the_same_candidates_with_all_stages() {
    let (batch, fanout) = (Double::honest(), Double::honest());
    let (_, one) = conduct(&batch, &all_stages(Mode::Batch), Hooks::default()).await;
    let (_, other) = conduct(&fanout, &all_stages(Mode::Fanout), Hooks::default()).await;
    assert_eq!(one.candidates(), other.candidates());
    assert_eq!((batch.calls().len(), fanout.calls().len()), (9, 1 + 5 + 7 * 3));
    for run in [one, other] {
        let result = run.result();
        assert_eq!(result.stages.iter().map(|stage| stage.stage).collect::<Vec<_>>(), Stage::ALL);
        assert!(result.stages.iter().all(|stage| stage.status == StageStatus::Ok));
        for candidate in run.candidates() {
            assert!(candidate.multi_dimensional_evaluation.is_some() && candidate.logical_inference.is_some());
            assert!(candidate.improved_multi_dimensional_evaluation.is_some());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn independent_stages_run_concurrently_in_fanout_mode() {
    // Each call takes one second.
    let double = Double::new(|_, sent| Reply::After(Duration::from_secs(1), honest(sent)));
    let seconds = |mode| {
        let (double, options) = (&double, all_stages(mode));
        async move {
            let run = RunHandle::new(double, &options, 1024);
            Coordinator::new(100).unwrap().conduct(double, &run, Hooks::default()).await.unwrap();
            run.result().seconds.round()
        }
    };
    assert!((seconds(Mode::Batch).await - 9.0).abs() < f64::EPSILON);
    // Generation, evaluation, advocacy and skepticism, improvement, re-evaluation next to the second rating.
    assert!((seconds(Mode::Fanout).await - 6.0).abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn ideas_wait_for_each_other_only_at_the_selection() {
    // The advocacy of one idea takes an hour, every other call one second.
    let double = Double::new(|_, sent| {
        let is_slow = sent.schema == "AdvocacyBatch" && sent.ideas[0].1.starts_with("Roof gardens");
        let wait = Duration::from_secs(if is_slow { 3600 } else { 1 });
        Reply::After(wait, honest(sent))
    });
    let options = Options { timeout: 100.0, ..options(Mode::Fanout) };
    let (outcome, run) = conduct(&double, &options, Hooks::default()).await;
    outcome.unwrap();
    let result = run.result();
    assert_eq!((result.partial, result.cut), (true, Some("deadline")));
    let done = |candidate: &&madspark::coordinator::IndexedCandidate| candidate.candidate.status == Status::Ok;
    assert_eq!(result.candidates.iter().filter(done).count(), 2);
    let events = events(&run).await;
    let re_evaluated = events.iter().filter(|event| {
        matches!(event.kind, EventKind::IdeaScored { stage: Stage::ReEvaluation, .. }) && event.seconds < 7.0
    });
    assert_eq!(re_evaluated.count(), 2, "an idea needs six seconds");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_future_drops_every_call_and_keeps_the_state() {
    let double = Double::new(|_, sent| match sent.schema.as_str() {
        "SkepticismBatch" => Reply::Never,
        _ => Reply::Json(honest(sent)),
    });
    let options = options(Mode::Fanout);
    let run = RunHandle::new(&double, &options, 1024);
    let coordinator = Coordinator::new(10).unwrap();
    {
        let mut conducted = Box::pin(coordinator.conduct(&double, &run, Hooks::default()));
        assert!(conducted.as_mut().now_or_never().is_none());
        assert_eq!(double.in_flight.load(Ordering::SeqCst), 3);
        assert_eq!(run.result().cut, Some("running"));
    }
    assert_eq!(double.in_flight.load(Ordering::SeqCst), 0);
    run.close(None);
    run.close(Some("closed before"));
    let result = run.result();
    assert_eq!((result.status, result.cut), (StageStatus::Degraded, Some("cancelled")));
    assert!(result.candidates.iter().all(|one| one.candidate.advocacy.is_some() && one.candidate.problems.len() == 3));
    assert!(matches!(events(&run).await.last().unwrap().kind, EventKind::RunFinished { partial: true, .. }));
}

#[tokio::test]
async fn a_failed_idea_does_not_affect_the_others() {
    let double = Double::new(|_, sent| {
        if sent.schema == "ImprovementBatch" && sent.ideas[0].1.starts_with("Roof gardens") {
            Reply::Fail(Error::new(ErrorKind::Overloaded, "out of order"))
        } else {
            Reply::Json(honest(sent))
        }
    });
    let (outcome, run) = conduct(&double, &options(Mode::Fanout), Hooks::default()).await;
    outcome.unwrap();
    let result = run.result();
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
async fn a_gate_can_stop_the_run_after_any_stage() {
    for mode in [Mode::Batch, Mode::Fanout] {
        for stage in Stage::ALL {
            let double = Double::honest();
            let gate = StopAfter(stage);
            let (outcome, run) =
                conduct(&double, &all_stages(mode), Hooks { gate: Some(&gate), ..Hooks::default() }).await;
            outcome.unwrap();
            let result = run.result();
            assert_eq!((result.partial, result.cut), (true, Some("stopped")), "{stage}");
            assert_eq!(result.reason.as_deref(), Some("the run was stopped: enough"));
            let last = result.stages.iter().rfind(|one| one.began.is_some()).unwrap();
            assert_eq!(last.stage, stage, "{mode:?}");
            assert_eq!(result.candidates.len(), if stage == Stage::IdeaGeneration { 5 } else { 3 });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_saved_run_is_restored_with_its_result_and_its_events() {
    let double = Double::new(|_, sent| match sent.schema.as_str() {
        "SkepticismBatch" => Reply::Never,
        _ => Reply::After(Duration::from_secs(1), honest(sent)),
    });
    let run = RunHandle::new(&double, &all_stages(Mode::Fanout), 1024);
    let coordinator = Coordinator::new(10).unwrap();
    let conducted = coordinator.conduct(&double, &run, Hooks::default());
    assert!(tokio::time::timeout(Duration::from_secs(10), conducted).await.is_err(), "it waits for the skeptic");

    let saved = serde_json::to_string(&run.state()).unwrap();
    let restored = RunHandle::restore(serde_json::from_str::<RunState>(&saved).unwrap());
    let result = restored.result();
    assert_eq!(result, run.result());
    assert_eq!((result.cut, result.candidates.len()), (Some("running"), 3));
    let complete = |candidate: &madspark::coordinator::Candidate| {
        candidate.multi_dimensional_evaluation.is_some() && candidate.logical_inference.is_some()
    };
    assert!(result.candidates.iter().all(|one| complete(&one.candidate) && one.candidate.advocacy.is_some()));
    assert_eq!(restored.read_events(0).await.unwrap(), run.read_events(0).await.unwrap());
    assert_eq!(serde_json::to_string(&restored.state()).unwrap(), saved, "nothing is lost");

    // Its clock and the numbers of its events continue.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let last = restored.read_events(0).await.unwrap().last().unwrap().sequence;
    restored.close(None);
    let result = restored.result();
    assert_eq!((result.run_id.as_str(), result.cut, result.seconds.round()), (run.id(), Some("cancelled"), 15.0));
    let [end] = &restored.read_events(last).await.unwrap()[..] else { panic!("one event follows") };
    assert_eq!(end.sequence, last + 1);
}
