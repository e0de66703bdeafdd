//! Complete runs of the workflow against a scripted router.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::agents_double::{Double, IDEAS, Reply, SentRequest, honest};
use futures_util::FutureExt as _;
use madspark::coordinator::{Candidate, Coordinator, Options, Stage, Status, Temperatures};
use madspark::error::{Error, ErrorKind, Result};
use madspark::message::Part;
use madspark::progress::{ProgressSink, Silent};
use serde_json::{Value, json};
use tokio::time::Instant;

#[derive(Default)]
struct RecordedProgress(Mutex<Vec<(String, f64)>>);

impl ProgressSink for RecordedProgress {
    fn emit(&self, message: &str, fraction: f64) {
        self.0.lock().unwrap().push((message.to_owned(), fraction));
    }
}

fn options() -> Options {
    Options { num_top_candidates: 3, enhanced_reasoning: true, ..Options::new("Less waste in our town", "No money") }
}

async fn run(double: &Double, options: &Options) -> Result<Vec<Candidate>> {
    Coordinator::new(10).unwrap().run(double, options, &Silent).await
}

/// Asserts that every text of a candidate is about its own idea.
fn assert_about_itself(candidate: &Candidate) {
    let (title, _, score) = IDEAS.iter().find(|(title, ..)| candidate.idea.starts_with(title)).unwrap();
    let texts = [
        &candidate.initial_critique,
        &candidate.advocacy,
        &candidate.skepticism,
        &candidate.improved_idea,
        &candidate.improved_critique,
    ];
    for text in texts.into_iter().flatten() {
        assert!(text.contains(title), "{title}: {text}");
    }
    if let Some(initial) = candidate.initial_score {
        assert!((initial - score).abs() < 1e-9, "{title}: {initial}");
    }
    if let Some(improved) = candidate.improved_score {
        assert!((improved - score - 0.5).abs() < 1e-9, "{title}: {improved}");
    }
}

fn titles(candidates: &[Candidate]) -> Vec<&str> {
    candidates.iter().map(|candidate| candidate.idea.split(':').next().unwrap()).collect()
}

fn failed_stages(candidate: &Candidate) -> Vec<Stage> {
    candidate.problems.iter().map(|problem| problem.stage).collect()
}

/// A router that fails the calls with `schema` about improved ideas, or about original ones.
fn failing(schema: &'static str, improved: bool, kind: ErrorKind) -> Double {
    Double::new(move |_, sent| {
        if sent.schema == schema && sent.is_about_improvements() == improved {
            Reply::Fail(Error::new(kind, "out of order"))
        } else {
            Reply::Json(honest(sent))
        }
    })
}

const STAGES: [(&str, bool, Stage); 6] = [
    ("GeneratedIdeas", false, Stage::IdeaGeneration),
    ("CriticEvaluations", false, Stage::Evaluation),
    ("AdvocacyBatch", false, Stage::Advocacy),
    ("SkepticismBatch", false, Stage::Skepticism),
    ("ImprovementBatch", false, Stage::Improvement),
    ("CriticEvaluations", true, Stage::ReEvaluation),
];

#[tokio::test]
async fn a_complete_run_calls_every_stage_with_the_outputs_of_earlier_stages() {
    let double = Double::honest();
    let parts = vec![Part::Url(Arc::from("https://example.org/plan"))];
    let temperatures = [1.0, 1.3, 0.4, 1.0, 1.0].map(Some);
    let [base, idea_generation, evaluation, advocacy, skepticism] = temperatures;
    let temperatures = Temperatures { base, idea_generation, evaluation, advocacy, skepticism };
    let options = Options { temperatures, parts, ..options() };
    let candidates = run(&double, &options).await.unwrap();

    assert_eq!(titles(&candidates), ["Night library", "Roof gardens", "Bike bus"]);
    for candidate in &candidates {
        assert_about_itself(candidate);
        assert_eq!(candidate.status, Status::Ok);
        assert_eq!(candidate.text, candidate.idea);
        assert_eq!(candidate.score_delta, Some(0.5));
        assert_eq!(candidate.is_meaningful_improvement, Some(true));
        let similarity = candidate.similarity_score.unwrap();
        assert!(similarity > 0.0 && similarity < 0.9, "{similarity}");
    }

    let calls = double.calls();
    assert_eq!(calls.iter().map(|sent| sent.schema.as_str()).collect::<Vec<_>>(), STAGES.map(|stage| stage.0));
    let temperatures: Vec<_> = calls.iter().map(|sent| sent.temperature).collect();
    assert_eq!(temperatures, [1.3, 0.4, 1.0, 1.0, 1.3, 0.4].map(Some));
    assert_eq!(calls.iter().map(|sent| sent.parts).collect::<Vec<_>>(), [1, 0, 0, 0, 0, 0]);
    assert!(calls.iter().all(|sent| sent.prompt.contains("<context>\nNo money\n</context>")));
    let mut evaluated = calls[1].indices();
    evaluated.sort_unstable();
    assert_eq!(evaluated, [0, 1, 2, 3, 4]);
    let shown = |call: usize, text: &str| assert!(calls[call].prompt.contains(text), "{}", calls[call].prompt);
    shown(2, "Score: 9.1 of 10\nJudgement of Night library");
    shown(3, "For Night library");
    for said in ["Judgement of Night library", "For Night library", "Against Night library"] {
        shown(4, said);
    }
    shown(5, "Better Night library: All of Night library, and a plan for winter.");
}

#[tokio::test]
async fn candidates_have_the_keys_of_the_contract() {
    let candidates = run(&Double::honest(), &options()).await.unwrap();
    let value = serde_json::to_value(&candidates[0]).unwrap();
    let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "idea",
            "text",
            "initial_score",
            "initial_critique",
            "advocacy",
            "skepticism",
            "multi_dimensional_evaluation",
            "improved_idea",
            "improved_score",
            "improved_critique",
            "improved_multi_dimensional_evaluation",
            "score_delta",
            "is_meaningful_improvement",
            "similarity_score",
            "improvement_kept",
            "final_idea",
            "final_score",
            "status",
            "problems"
        ]
    );
    assert_eq!((&value["status"], &value["problems"]), (&json!("ok"), &json!([])));
    assert_eq!(value["multi_dimensional_evaluation"], Value::Null);
}

#[tokio::test]
async fn advocacy_and_skepticism_require_enhanced_reasoning() {
    let double = Double::honest();
    let candidates = run(&double, &Options { enhanced_reasoning: false, ..options() }).await.unwrap();
    assert_eq!(double.schemas(), ["GeneratedIdeas", "CriticEvaluations", "ImprovementBatch", "CriticEvaluations"]);
    assert!(candidates.iter().all(|candidate| candidate.advocacy.is_none() && candidate.skepticism.is_none()));
    assert!(candidates.iter().all(|candidate| candidate.status == Status::Ok && candidate.improved_score.is_some()));
}

#[tokio::test]
async fn distorted_replies_do_not_affect_other_ideas() {
    type Distort = fn(&SentRequest, Vec<Value>) -> Vec<Value>;
    let distortions: [(&str, Distort); 6] = [
        ("reversed", |_, items| items.into_iter().rev().collect()),
        ("counted from one", |_, items| {
            items
                .into_iter()
                .map(|mut item| {
                    item["idea_index"] = json!(item["idea_index"].as_u64().unwrap() + 1);
                    item
                })
                .collect()
        }),
        ("short at first", |sent, items| {
            let skipped = usize::from(sent.indices().len() > 1);
            items.into_iter().skip(skipped).collect()
        }),
        ("every item twice", |_, items| items.iter().chain(&items).cloned().collect()),
        ("two different items at first", |sent, mut items| {
            if items.len() > 2 {
                items[0]["idea_index"] = json!(sent.indices()[1]);
            }
            items
        }),
        ("over-long", |sent, mut items| {
            for stranger in 1..=3 {
                let mut item = items[0].clone();
                item["idea_index"] = json!(sent.indices().last().unwrap() + 1 + stranger);
                items.insert(0, item);
            }
            items
        }),
    ];
    for (name, distort) in distortions {
        let double = Double::new(move |_, sent| match honest(sent) {
            Value::Array(items) if sent.schema != "GeneratedIdeas" => Reply::Json(distort(sent, items).into()),
            other => Reply::Json(other),
        });
        let candidates = run(&double, &options()).await.unwrap();
        assert_eq!(titles(&candidates), ["Night library", "Roof gardens", "Bike bus"], "{name}");
        for candidate in &candidates {
            assert_about_itself(candidate);
            assert_eq!(candidate.status, Status::Ok, "{name}: {:?}", candidate.problems);
        }
    }
}

#[tokio::test]
async fn a_failed_stage_affects_only_the_stages_that_require_it() {
    for (schema, improved, stage) in STAGES {
        let outcome = run(&failing(schema, improved, ErrorKind::AllTargetsFailed), &options()).await;
        if stage == Stage::IdeaGeneration {
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::AllTargetsFailed);
            continue;
        }
        let candidates = outcome.unwrap();
        assert_eq!(candidates.len(), 3, "{stage}");
        for candidate in &candidates {
            assert_about_itself(candidate);
            assert_eq!(failed_stages(candidate), [stage]);
            assert_eq!(candidate.problems[0].reason, "out of order");
            let expected = if stage == Stage::Evaluation { Status::Failed } else { Status::Degraded };
            assert_eq!(candidate.status, expected, "{stage}");
            assert_eq!(candidate.initial_score.is_some(), stage != Stage::Evaluation);
            assert_eq!(candidate.advocacy.is_some(), !matches!(stage, Stage::Evaluation | Stage::Advocacy));
            assert_eq!(candidate.skepticism.is_some(), !matches!(stage, Stage::Evaluation | Stage::Skepticism));
            assert_eq!(candidate.improved_idea.is_some(), !matches!(stage, Stage::Evaluation | Stage::Improvement));
            let re_evaluated = matches!(stage, Stage::Advocacy | Stage::Skepticism);
            assert_eq!(candidate.improved_score.is_some(), re_evaluated, "{stage}");
            assert_eq!(candidate.score_delta.is_some(), re_evaluated);
            assert_eq!(candidate.is_meaningful_improvement.is_some(), re_evaluated);
        }
    }
}

#[tokio::test]
async fn fatal_errors_end_the_run_in_every_stage() {
    for kind in [ErrorKind::External, ErrorKind::Internal, ErrorKind::InvalidInput] {
        for (schema, improved, stage) in STAGES {
            let error = run(&failing(schema, improved, kind), &options()).await.unwrap_err();
            assert_eq!((error.kind(), error.message()), (kind, "out of order"), "{stage}");
        }
    }
}

#[tokio::test]
async fn an_output_too_long_for_the_next_prompt_affects_its_candidate_only() {
    let double = Double::new(|_, sent| {
        let mut reply = honest(sent);
        if sent.schema == "AdvocacyBatch" {
            let point = json!({ "concern": "c", "response": "r".repeat(1000) });
            reply[1]["addressing_concerns"] = Value::Array(vec![point; 120]);
        }
        Reply::Json(reply)
    });
    let candidates = run(&double, &options()).await.unwrap();
    let degraded: Vec<_> = candidates.iter().filter(|candidate| candidate.status == Status::Degraded).collect();
    assert_eq!(degraded.len(), 1);
    assert_eq!(failed_stages(degraded[0]), [Stage::Skepticism, Stage::Improvement]);
    assert!(degraded[0].problems[0].reason.contains("100000"), "{:?}", degraded[0].problems);
    assert_eq!(candidates.iter().filter(|candidate| candidate.improved_score.is_some()).count(), 2);
}

#[tokio::test]
async fn no_stage_runs_after_a_failed_evaluation() {
    let double = failing("CriticEvaluations", false, ErrorKind::Overloaded);
    let candidates = run(&double, &options()).await.unwrap();
    assert_eq!(double.schemas(), ["GeneratedIdeas", "CriticEvaluations"]);
    assert_eq!(titles(&candidates), ["Shared fridges", "Roof gardens", "Repair van"]);
}

#[tokio::test]
async fn scored_ideas_are_selected_before_unscored_ones() {
    // Four of six ideas are selected; two early ones, the best, never get a score.
    let double = Double::new(|_, sent| {
        let mut reply = honest(sent);
        if sent.schema == "CriticEvaluations" && !sent.is_about_improvements() {
            reply.as_array_mut().unwrap().retain(|item| ![1, 3].contains(&item["idea_index"].as_u64().unwrap()));
        }
        Reply::Json(reply)
    });
    let candidates = run(&double, &Options { num_top_candidates: 4, ..options() }).await.unwrap();
    assert_eq!(titles(&candidates), ["Bike bus", "Shared fridges", "Repair van", "Quiet map"]);
    assert!(candidates.iter().all(|candidate| candidate.status == Status::Ok));
}

#[tokio::test]
async fn an_unscored_idea_is_improved_without_a_delta() {
    let double = Double::new(|_, sent| {
        let mut reply = honest(sent);
        if sent.schema == "CriticEvaluations" && !sent.is_about_improvements() {
            reply.as_array_mut().unwrap().retain(|item| item["idea_index"] == json!(2));
        }
        Reply::Json(reply)
    });
    let candidates = run(&double, &Options { num_top_candidates: 2, ..options() }).await.unwrap();
    // The score of its improvement is the higher one.
    assert_eq!(titles(&candidates), ["Shared fridges", "Repair van"]);
    assert_eq!(candidates[1].status, Status::Ok);
    let unscored = &candidates[0];
    assert_about_itself(unscored);
    assert_eq!((unscored.status, failed_stages(unscored)), (Status::Degraded, vec![Stage::Evaluation]));
    assert_eq!((unscored.initial_score, unscored.score_delta, unscored.is_meaningful_improvement), (None, None, None));
    assert_eq!((unscored.improvement_kept, unscored.final_score), (None, unscored.improved_score));
    assert_eq!(Some(&unscored.final_idea), unscored.improved_idea.as_ref());
    assert!(unscored.final_score.is_some());
}

#[tokio::test]
async fn a_missing_improvement_does_not_affect_the_others() {
    let double = Double::new(|_, sent| {
        let mut reply = honest(sent);
        if sent.schema == "ImprovementBatch" {
            let items = reply.as_array_mut().unwrap();
            items.retain(|item| !item.to_string().contains("Roof gardens"));
        }
        Reply::Json(reply)
    });
    let candidates = run(&double, &options()).await.unwrap();
    let [best, roof, third] = candidates.as_slice() else { panic!("{candidates:?}") };
    assert_eq!((best.status, third.status), (Status::Ok, Status::Ok));
    assert_eq!(failed_stages(roof), [Stage::Improvement]);
    assert_eq!((&roof.improved_idea, roof.improved_score, roof.similarity_score), (&None, None, None));
    candidates.iter().for_each(assert_about_itself);
    assert_eq!(double.calls().last().unwrap().indices(), [0, 1], "only the improved ideas are evaluated again");
}

#[tokio::test]
async fn duplicates_are_removed_before_the_evaluation() {
    let double = Double::new(|_, sent| {
        let mut reply = honest(sent);
        if sent.schema == "GeneratedIdeas" {
            for index in 2..5 {
                reply[index] = reply[1].clone();
            }
            reply[4]["title"] = json!("Roof gardens!");
        }
        Reply::Json(reply)
    });
    let candidates = run(&double, &options()).await.unwrap();
    assert_eq!(titles(&candidates), ["Roof gardens", "Shared fridges"]);
    let off = Options { enable_novelty_filter: false, ..options() };
    run(&double, &off).await.unwrap();
    let evaluated: Vec<usize> = double
        .calls()
        .iter()
        .filter(|sent| sent.schema == "CriticEvaluations" && !sent.is_about_improvements())
        .map(|sent| sent.indices().len())
        .collect();
    assert_eq!(evaluated, [2, 5]);
}

#[tokio::test]
async fn progress_never_decreases_and_ends_at_one() {
    let everything = [0.0, 0.1, 0.3, 0.4, 0.6, 0.7, 0.72, 0.78, 0.82, 0.88, 0.9, 1.0];
    let progress = RecordedProgress::default();
    let coordinator = Coordinator::new(1).unwrap();
    coordinator.run(&Double::honest(), &options(), &progress).await.unwrap();
    let reported = progress.0.into_inner().unwrap();
    assert_eq!(reported.iter().map(|(_, fraction)| *fraction).collect::<Vec<_>>(), everything);
    assert!(reported[2].0.contains('5') && reported[4].0.contains('3'), "{reported:?}");

    for (schema, improved, stage) in STAGES.into_iter().skip(1) {
        let progress = RecordedProgress::default();
        coordinator.run(&failing(schema, improved, ErrorKind::Server), &options(), &progress).await.unwrap();
        let reported: Vec<f64> = progress.0.into_inner().unwrap().into_iter().map(|(_, fraction)| fraction).collect();
        assert!(reported.is_sorted() && reported.last() == Some(&1.0), "{stage}: {reported:?}");
    }
}

#[tokio::test]
async fn invalid_options_fail_before_any_call() {
    let double = Double::honest();
    let error = run(&double, &Options { num_top_candidates: 6, ..options() }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(double.calls().is_empty());
    assert_eq!(Coordinator::new(0).unwrap_err().kind(), ErrorKind::InvalidInput);
}

/// A router that never answers the calls with `schema` about improved ideas, or about original ones.
fn hanging(schema: &'static str, improved: bool) -> Double {
    Double::new(move |_, sent| {
        if sent.schema == schema && sent.is_about_improvements() == improved {
            Reply::Never
        } else {
            Reply::Json(honest(sent))
        }
    })
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_run_applies_in_every_stage() {
    for (schema, improved, stage) in STAGES {
        let double = hanging(schema, improved);
        let started = Instant::now();
        let outcome = run(&double, &Options { timeout: 1.0, ..options() }).await;
        let elapsed = started.elapsed();
        assert!(elapsed >= Duration::from_secs(1) && elapsed < Duration::from_millis(1200), "{stage}: {elapsed:?}");
        assert_eq!(double.in_flight.load(Ordering::SeqCst), 0, "the call was dropped");
        if matches!(stage, Stage::IdeaGeneration | Stage::Evaluation) {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
            assert_eq!(error.message(), "the run's deadline of 1 s was reached");
            continue;
        }
        let calls = double.calls();
        assert_eq!(calls.last().unwrap().schema, schema, "no call starts after the deadline");
        for candidate in outcome.unwrap() {
            assert_about_itself(&candidate);
            assert_eq!(candidate.status, Status::Degraded);
            assert_eq!(candidate.problems[0].stage, stage);
            assert!(candidate.problems.iter().all(|problem| problem.reason.contains("the run's deadline of 1 s")));
            assert_eq!(candidate.improved_idea.is_some(), stage == Stage::ReEvaluation);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stage_timeout_fails_only_that_stage() {
    let mut options = options();
    options.stage_timeouts.advocacy = Some(7.0);
    let started = Instant::now();
    let candidates = run(&hanging("AdvocacyBatch", false), &options).await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 7);
    for candidate in candidates {
        assert_eq!(failed_stages(&candidate), [Stage::Advocacy]);
        assert_eq!(candidate.problems[0].reason, "the limit of 7 s for advocacy was reached");
        assert!(candidate.skepticism.is_some() && candidate.improved_score.is_some());
    }

    options.stage_timeouts.evaluation = Some(3.0);
    let candidates = run(&hanging("CriticEvaluations", false), &options).await.unwrap();
    assert!(candidates.iter().all(|candidate| candidate.status == Status::Failed));
    options.stage_timeouts.idea_generation = Some(2.0);
    let error = run(&hanging("GeneratedIdeas", false), &options).await.unwrap_err();
    assert_eq!(error.message(), "the limit of 2 s for idea_generation was reached");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_a_second_call_keeps_the_first_answer() {
    let double = Double::new(|_, sent| match (sent.schema.as_str(), sent.indices().len()) {
        ("AdvocacyBatch", 3) => Reply::Json(honest(sent).as_array().unwrap()[1..].to_vec().into()),
        ("AdvocacyBatch", _) => Reply::Never,
        _ => Reply::Json(honest(sent)),
    });
    let candidates = run(&double, &options()).await.unwrap();
    assert_eq!(failed_stages(&candidates[0]), [Stage::Advocacy]);
    assert!(candidates[0].problems[0].reason.contains("the limit of 240 s"), "{:?}", candidates[0].problems);
    assert!(candidates[1..].iter().all(|candidate| candidate.status == Status::Ok && candidate.advocacy.is_some()));
}

#[tokio::test(start_paused = true)]
async fn runs_of_one_coordinator_share_its_concurrency_limit() {
    for limit in [1, 2] {
        let coordinator = Coordinator::new(limit).unwrap();
        let double = Double::new(|_, sent| Reply::After(Duration::from_millis(50), honest(sent)));
        let options = options();
        let runs = (0..4).map(|_| coordinator.run(&double, &options, &Silent));
        let results = futures_util::future::join_all(runs).await;
        assert!(results.iter().all(|result| result.as_ref().is_ok_and(|candidates| candidates.len() == 3)));
        assert_eq!(double.most_in_flight.load(Ordering::SeqCst), limit);
    }
}

#[tokio::test(start_paused = true)]
async fn runs_of_two_coordinators_do_not_wait_for_each_other() {
    let (one, two) = (Coordinator::new(1).unwrap(), Coordinator::new(1).unwrap());
    let stuck = hanging("GeneratedIdeas", false);
    let options = options();
    let mut hangs = Box::pin(one.run(&stuck, &options, &Silent));
    assert!(hangs.as_mut().now_or_never().is_none());
    assert_eq!(two.run(&Double::honest(), &options, &Silent).await.unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_run_drops_its_call_and_releases_its_permit() {
    let coordinator = Coordinator::new(1).unwrap();
    let options = options();
    for (schema, improved, stage) in STAGES {
        let double = hanging(schema, improved);
        {
            let run = coordinator.run(&double, &options, &Silent);
            let outcome = tokio::time::timeout(Duration::from_secs(1), run).await;
            assert!(outcome.is_err(), "{stage}");
        }
        assert_eq!(double.in_flight.load(Ordering::SeqCst), 0, "{stage}");
        assert_eq!(double.calls().last().unwrap().schema, schema);
    }
    assert!(coordinator.run(&Double::honest(), &options, &Silent).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_permit_counts_towards_the_deadline() {
    let coordinator = Coordinator::new(1).unwrap();
    let stuck = hanging("GeneratedIdeas", false);
    let defaults = options();
    let mut holds = Box::pin(coordinator.run(&stuck, &defaults, &Silent));
    assert!(holds.as_mut().now_or_never().is_none());
    let double = Double::honest();
    let one_second = Options { timeout: 1.0, ..options() };
    let started = Instant::now();
    let error = coordinator.run(&double, &one_second, &Silent).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    assert!(started.elapsed() < Duration::from_millis(1200));
    assert!(double.calls().is_empty());
}

#[test]
fn a_run_can_be_sent_to_another_thread() {
    fn is_send<T: Send>(_: &T) {}
    let coordinator = Coordinator::new(1).unwrap();
    let (double, options) = (Double::honest(), options());
    is_send(&coordinator.run(&double, &options, &Silent));
}
