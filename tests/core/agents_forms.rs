//! What agents request from a router with a known target: keyed objects, bounds, and less after a failure.

use crate::agents_double::{Double, IDEAS, Reply, SentRequest, honest};
use madspark::agents::{
    Advocate, AdvocateInput, Brief, Critic, IdeaGenerator, IdeaRequest, ImproveInput, InferenceType,
    LogicalInferenceEngine, MultiDimensionalEvaluator, Skeptic, SkepticInput, StructuredIdeaGenerator,
};
use madspark::attempt::Change;
use madspark::config::Provider;
use madspark::error::{Error, ErrorKind};
use serde_json::json;

const BRIEF: Brief<'static> = Brief {
    topic: "Less waste in our town",
    context: "No money",
    temperature: Some(0.3),
    language: None,
    use_cache: None,
};

fn ideas(count: usize) -> Vec<String> {
    IDEAS[..count].iter().map(|(title, description, _)| format!("{title}: {description}")).collect()
}

fn local(script: impl Fn(usize, &SentRequest) -> Reply + Send + Sync + 'static) -> Double {
    Double::new(script).with_target(Provider::Ollama, true)
}

fn improve_inputs(count: usize) -> Vec<ImproveInput> {
    ideas(count).into_iter().map(|idea| ImproveInput { idea, ..ImproveInput::default() }).collect()
}

#[tokio::test]
async fn several_ideas_are_keys_of_an_object_and_one_idea_is_the_object() {
    let double = local(|_, sent| Reply::Json(honest(sent)));
    let critic = Critic { router: &double };
    let batch = critic.evaluate(&ideas(3), &BRIEF).await.unwrap().value;
    for (index, (title, ..)) in IDEAS.iter().enumerate().take(3) {
        assert!(batch.get(index).unwrap().unwrap().comment.contains(title));
    }
    assert!(critic.evaluate(&ideas(1), &BRIEF).await.unwrap().value.get(0).unwrap().is_ok());
    let calls = double.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].document["required"], json!(["idea_0", "idea_1", "idea_2"]));
    assert!(calls[0].prompt.contains("\"idea_0\", \"idea_1\", \"idea_2\""), "{}", calls[0].prompt);
    assert_eq!(calls[1].document["required"], json!(["score", "comment"]));
    assert!(calls[1].prompt.contains("one JSON object about the idea"), "{}", calls[1].prompt);
}

#[tokio::test]
async fn one_idea_is_requested_as_an_object() {
    let double =
        local(|_, _| Reply::Json(json!({"idea_number": 1, "title": "Fridge", "description": "A shared fridge"})));
    let request = IdeaRequest { brief: BRIEF, count: 1, minimum: 0, parts: &[] };
    let answer = IdeaGenerator { router: &double }.generate(&request).await.unwrap();
    assert_eq!(answer.value[0].title, "Fridge");
    assert_eq!(double.calls()[0].document["type"], "object");
}

#[tokio::test]
async fn replies_are_bounded_on_a_local_server_only() {
    let double = local(|_, sent| Reply::Json(honest(sent)));
    Critic { router: &double }.evaluate(&ideas(1), &BRIEF).await.unwrap();
    Critic { router: &double }.evaluate(&ideas(5), &BRIEF).await.unwrap();
    let bounds: Vec<u32> = double.calls().iter().map(|sent| sent.max_tokens.unwrap()).collect();
    assert!(bounds[0] > 2500 && bounds[1] > bounds[0] + 2000, "{bounds:?}");
    for double in [Double::honest(), Double::honest().with_target(Provider::Gemini, false)] {
        Critic { router: &double }.evaluate(&ideas(1), &BRIEF).await.unwrap();
        assert_eq!(double.calls()[0].max_tokens, None);
    }
}

#[tokio::test]
async fn the_ideas_of_an_unusable_reply_are_requested_one_by_one() {
    let double = local(|_, sent| match sent.indices().len() {
        1 if sent.indices() != [1] => Reply::Json(honest(sent)),
        _ => Reply::Json(json!({"idea_0": {}, "idea_1": {}, "idea_2": {}})),
    });
    let batch = Critic { router: &double }.evaluate(&ideas(3), &BRIEF).await.unwrap().value;
    assert!(batch.get(0).unwrap().is_ok() && batch.get(2).unwrap().is_ok());
    assert!(batch.get(1).unwrap().unwrap_err().contains("the second request failed"));
    let asked: Vec<Vec<u64>> = double.calls().iter().map(SentRequest::indices).collect();
    assert_eq!(asked, [vec![0, 1, 2], vec![0], vec![1], vec![2]]);
}

#[tokio::test]
async fn a_truncated_reply_is_requested_again_for_less() {
    let truncated = || Reply::Fail(Error::new(ErrorKind::Truncated, "cut"));
    let double = local(move |call, sent| if call < 2 { truncated() } else { Reply::Json(honest(sent)) });
    let input = [
        AdvocateInput { idea: ideas(1).remove(0), ..AdvocateInput::default() },
        AdvocateInput { idea: ideas(2).remove(1), ..AdvocateInput::default() },
    ];
    let batch = Advocate { router: &double }.advocate_batch(&input, &BRIEF).await.unwrap().value;
    assert!(batch.get(0).unwrap().is_ok() && batch.get(1).unwrap().is_ok());
    let calls = double.calls();
    let asked: Vec<Vec<u64>> = calls.iter().map(SentRequest::indices).collect();
    assert_eq!(asked, [vec![0, 1], vec![0], vec![1], vec![0]]);
    let most = |sent: &SentRequest| sent.document["properties"]["strengths"]["maxItems"].clone();
    assert_eq!((most(&calls[1]), most(&calls[3])), (json!(3), json!(2)));
    assert!(calls[3].prompt.contains("Be brief") && !calls[1].prompt.contains("Be brief"));

    let double = local(move |call, sent| if call < 1 { truncated() } else { Reply::Json(honest(sent)) });
    let request = IdeaRequest { brief: BRIEF, count: 5, minimum: 0, parts: &[] };
    let answer = IdeaGenerator { router: &double }.generate(&request).await.unwrap();
    assert_eq!((answer.value.len(), answer.calls), (3, 2));
}

#[tokio::test]
async fn an_improvement_of_another_idea_is_requested_again_alone() {
    let rotated = |sent: &SentRequest| {
        let reply = honest(sent);
        json!({"idea_0": reply["idea_1"], "idea_1": reply["idea_2"], "idea_2": reply["idea_2"]})
    };
    let double = local(move |call, sent| Reply::Json(if call == 0 { rotated(sent) } else { honest(sent) }));
    let batch = StructuredIdeaGenerator { router: &double }.improve_batch(&improve_inputs(3), &BRIEF).await.unwrap();
    for (index, (title, ..)) in IDEAS.iter().enumerate().take(3) {
        assert!(batch.value.get(index).unwrap().unwrap().improved_title.contains(title));
    }
    let asked: Vec<Vec<u64>> = double.calls().iter().map(SentRequest::indices).collect();
    assert_eq!(asked, [vec![0, 1, 2], vec![0], vec![1]]);

    let stubborn = local(move |_, sent| {
        Reply::Json(if sent.indices().len() > 1 {
            rotated(sent)
        } else {
            json!({"improved_title": IDEAS[1].0, "improved_description": IDEAS[1].1, "key_improvements": ["x"]})
        })
    });
    let batch = StructuredIdeaGenerator { router: &stubborn }.improve_batch(&improve_inputs(3), &BRIEF).await.unwrap();
    assert_eq!(batch.value.get(0).unwrap().unwrap_err(), "the answer was about another idea");
    assert!(batch.value.get(1).unwrap().is_ok() && batch.value.get(2).unwrap().is_ok());
}

#[tokio::test]
async fn a_text_that_is_too_long_is_no_reason_to_refuse_an_answer() {
    let summary = "It is cheap, and it works. ".repeat(60);
    let double = local(move |_, sent| {
        let mut reply = honest(sent);
        for item in reply.as_object_mut().unwrap().values_mut() {
            item["summary"] = json!(summary);
        }
        Reply::Json(reply)
    });
    let answer = MultiDimensionalEvaluator { router: &double }.evaluate(&ideas(2), &BRIEF).await.unwrap();
    let short = &answer.value.get(1).unwrap().unwrap().summary;
    assert!((900..=1000).contains(&short.chars().count()) && short.ends_with("it works."), "{short}");
    assert_eq!(answer.calls, 1);
    assert_eq!(*double.changes.lock().unwrap(), [Change::TextShortened]);
}

/// Returns the bytes that the requests have in common at the beginning of their prompts.
fn common_prefix(prompts: &[&str]) -> usize {
    let first = prompts[0];
    let ends =
        prompts.iter().map(|prompt| first.bytes().zip(prompt.bytes()).take_while(|(one, two)| one == two).count());
    ends.min().unwrap()
}

#[tokio::test]
async fn the_prompts_of_all_stages_begin_with_topic_context_and_ideas() {
    let double = local(|_, sent| Reply::Json(honest(sent)));
    let two = ideas(2);
    Critic { router: &double }.evaluate(&two, &BRIEF).await.unwrap();
    MultiDimensionalEvaluator { router: &double }.evaluate(&two, &BRIEF).await.unwrap();
    LogicalInferenceEngine { router: &double }.infer(&two, InferenceType::Full, &BRIEF).await.unwrap();
    let input = |idea: &String| AdvocateInput { idea: idea.clone(), evaluation: "Fine".to_owned() };
    let inputs: Vec<_> = two.iter().map(input).collect();
    Advocate { router: &double }.advocate_batch(&inputs, &BRIEF).await.unwrap();
    let input = |idea: &String| SkepticInput { idea: idea.clone(), advocacy: "Cheap".to_owned() };
    let inputs: Vec<_> = two.iter().map(input).collect();
    Skeptic { router: &double }.criticize_batch(&inputs, &BRIEF).await.unwrap();
    StructuredIdeaGenerator { router: &double }.improve_batch(&improve_inputs(2), &BRIEF).await.unwrap();
    let calls = double.calls();
    assert!(calls.iter().all(|sent| sent.system == calls[0].system));
    let prompts: Vec<&str> = calls.iter().map(|sent| sent.prompt.as_str()).collect();
    let ideas_end = prompts[0].rfind("</idea>").unwrap();
    assert!(common_prefix(&prompts) > ideas_end, "{}", &prompts[0][..common_prefix(&prompts)]);
}
