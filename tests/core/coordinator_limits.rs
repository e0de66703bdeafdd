//! The limits of stages, the grouping of evaluations, and the tokens of calls.

use std::time::Duration;

use crate::agents_double::{Double, IDEAS, Reply, SentRequest, honest};
use madspark::config::Provider;
use madspark::coordinator::{
    Candidate, Coordinator, EvaluationMode, Mode, Options, OutputTokens, OutputTokensRule, Status,
};
use madspark::progress::Silent;
use serde_json::json;
use tokio::time::Instant;

fn options() -> Options {
    Options { num_top_candidates: 3, ..Options::new("Less waste in our town", "No money") }
}

async fn run(double: &Double, options: &Options) -> Vec<Candidate> {
    Coordinator::new(10).unwrap().run(double, options, &Silent).await.unwrap()
}

fn is_evaluation(sent: &SentRequest) -> bool {
    sent.schema.starts_with("CriticEvaluation")
}

fn assert_scores_are_its_own(candidates: &[Candidate]) {
    for candidate in candidates {
        let (_, _, score) = IDEAS.iter().find(|(title, ..)| candidate.idea.starts_with(title)).unwrap();
        assert!((candidate.initial_score.unwrap() - score).abs() < 1e-9, "{candidate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_permit_does_not_count_as_time_of_a_stage() {
    let double = Double::new(|_, sent| match sent.schema.as_str() {
        "AdvocacyBatch" => Reply::After(Duration::from_secs(5), honest(sent)),
        _ => Reply::Json(honest(sent)),
    });
    let mut options = Options { mode: Mode::Fanout, enhanced_reasoning: true, ..options() };
    options.stage_timeouts.advocacy = Some(7.0);
    let started = Instant::now();
    let candidates = Coordinator::new(1).unwrap().run(&double, &options, &Silent).await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 15, "the calls came one after the other");
    assert!(candidates.iter().all(|candidate| candidate.status == Status::Ok), "{candidates:?}");
}

#[tokio::test(start_paused = true)]
async fn the_calls_of_a_stage_for_one_group_share_its_time() {
    // The first reply lacks an idea, so that there is a second call.
    let double = Double::new(|_, sent| match (sent.schema.as_str(), sent.indices().len()) {
        ("AdvocacyBatch", 3) => {
            Reply::After(Duration::from_secs(5), honest(sent).as_array().unwrap()[1..].to_vec().into())
        }
        ("AdvocacyBatch", _) => Reply::Never,
        _ => Reply::Json(honest(sent)),
    });
    let mut options = Options { enhanced_reasoning: true, ..options() };
    options.stage_timeouts.advocacy = Some(7.0);
    let started = Instant::now();
    let candidates = run(&double, &options).await;
    assert_eq!(started.elapsed().as_secs(), 7);
    assert!(candidates[0].problems[0].reason.contains("the limit of 7 s for advocacy was reached"));
}

#[tokio::test]
async fn ideas_are_evaluated_one_by_one_on_a_local_server() {
    for (is_local, evaluation, calls) in [
        (true, EvaluationMode::Auto, 5),
        (true, EvaluationMode::Together, 1),
        (false, EvaluationMode::Auto, 1),
        (false, EvaluationMode::Each, 5),
    ] {
        let double = Double::honest().with_target(Provider::Ollama, is_local);
        let candidates = run(&double, &Options { mode: Mode::Batch, evaluation, ..options() }).await;
        assert_scores_are_its_own(&candidates);
        let sent = double.calls();
        let evaluations: Vec<_> = sent.iter().filter(|sent| is_evaluation(sent)).collect();
        let first = evaluations.iter().filter(|sent| !sent.is_about_improvements()).count();
        assert_eq!((first, evaluations.len() - first), (calls, if calls == 1 { 1 } else { 3 }), "{evaluation:?}");
        assert_eq!(sent.len() - evaluations.len(), 2, "the other stages follow the mode");
    }
}

#[tokio::test]
async fn ideas_evaluated_together_are_shown_in_an_order_of_their_own() {
    let double = Double::honest().with_target(Provider::Gemini, false);
    let candidates = run(&double, &Options { mode: Mode::Batch, ..options() }).await;
    assert_scores_are_its_own(&candidates);
    let sent = double.calls();
    let evaluation = sent.iter().find(|sent| is_evaluation(sent)).unwrap();
    let mut shown = evaluation.indices();
    assert_ne!(shown, [0, 1, 2, 3, 4]);
    shown.sort_unstable();
    assert_eq!(shown, [0, 1, 2, 3, 4]);
    assert_eq!(evaluation.document["$defs"]["CriticEvaluation"]["required"], json!(["score", "comment"]));
    assert!(evaluation.document["$defs"]["CriticEvaluation"]["properties"].get("strengths").is_none());
    let again = Double::honest().with_target(Provider::Gemini, false);
    run(&again, &Options { mode: Mode::Batch, ..options() }).await;
    assert!(again.calls().iter().any(|sent| sent.prompt == evaluation.prompt), "the order is the same in every run");
}

#[tokio::test]
async fn the_tokens_of_calls_can_be_set() {
    for (tokens, expected) in
        [(OutputTokens::Limit(700), Some(700)), (OutputTokens::Rule(OutputTokensRule::Unlimited), None)]
    {
        let double = Double::honest().with_target(Provider::Ollama, true);
        run(&double, &Options { max_output_tokens: tokens, ..options() }).await;
        assert!(double.calls().iter().all(|sent| sent.max_tokens == expected));
    }
}
