//! The evaluator and the inference engine with a scripted router, and the use of their results by the improver.

use crate::agents_double::{Double, IDEAS, Reply, honest, inference};
use madspark::agents::{
    Brief, Dimension, ImproveInput, Inference, InferenceType, Language, LogicalInferenceEngine,
    MultiDimensionalEvaluator, StructuredIdeaGenerator,
};
use madspark::config::Provider;
use madspark::error::{Error, ErrorKind};
use serde_json::json;

const BRIEF: Brief<'static> = Brief {
    topic: "Less waste in our town",
    context: "No money",
    temperature: Some(0.0),
    language: None,
    use_cache: None,
};

fn ideas(count: usize) -> Vec<String> {
    IDEAS[..count].iter().map(|(title, description, _)| format!("{title}: {description}")).collect()
}

#[tokio::test]
async fn defect_16_one_call_scores_and_summarizes_every_idea() {
    let double = Double::honest();
    let answer = MultiDimensionalEvaluator { router: &double }.evaluate(&ideas(5), &BRIEF).await.unwrap();
    assert_eq!((answer.calls, double.calls().len()), (1, 1));
    assert_eq!(double.calls()[0].indices(), [0, 1, 2, 3, 4]);
    for (index, (title, _, score)) in IDEAS.iter().enumerate().take(5) {
        let scores = answer.value.get(index).unwrap().unwrap();
        assert_eq!(scores.summary, format!("Sides of {title}"));
        assert!((scores.of(Dimension::Feasibility) - score).abs() < 1e-9);
    }
    let sent = &double.calls()[0];
    assert!(sent.temperature == Some(0.0) && MultiDimensionalEvaluator::TEMPERATURE.abs() < f64::EPSILON);
    let items = &sent.document["items"];
    for dimension in Dimension::ALL {
        let bounds = &items["properties"][dimension.as_str()];
        assert_eq!((bounds["minimum"].as_f64(), bounds["maximum"].as_f64()), (Some(0.0), Some(10.0)));
        assert!(sent.prompt.contains(&format!("\n- {}: ", dimension.as_str())), "{}", sent.prompt);
    }
}

#[tokio::test]
async fn only_ideas_without_scores_are_requested_again() {
    let double = Double::new(|call, sent| {
        let mut reply = honest(sent);
        let items = reply.as_array_mut().unwrap();
        if call == 0 {
            // One item is missing, one has two versions, one is about an unknown idea, and the order is different.
            items.remove(1);
            items.push(json!({"idea_index": 9}));
            let mut second = items[1].clone();
            second["impact"] = json!(1.0);
            items.push(second);
            items.reverse();
        }
        Reply::Json(reply)
    });
    let answer = MultiDimensionalEvaluator { router: &double }.evaluate(&ideas(4), &BRIEF).await.unwrap();
    assert_eq!(double.calls()[1].indices(), [1, 2]);
    for (index, (title, ..)) in IDEAS.iter().enumerate().take(4) {
        assert_eq!(answer.value.get(index).unwrap().unwrap().summary, format!("Sides of {title}"));
    }
}

#[tokio::test]
async fn out_of_range_scores_are_clamped_and_invalid_ones_rejected() {
    let double = Double::new(|_, sent| {
        let mut reply = honest(sent);
        for item in reply.as_array_mut().unwrap() {
            match item["idea_index"].as_u64() {
                Some(0) => item["impact"] = json!(40),
                Some(1) => item["impact"] = json!(-1),
                _ => item["impact"] = json!("high"),
            }
        }
        Reply::Json(reply)
    });
    let batch = MultiDimensionalEvaluator { router: &double }.evaluate(&ideas(3), &BRIEF).await.unwrap().value;
    let impact = |index| batch.get(index).unwrap().map(|scores| scores.impact);
    assert!((impact(0).unwrap() - 10.0).abs() < 1e-9 && (impact(1).unwrap() - 1.0).abs() < 1e-9);
    assert!(impact(2).unwrap_err().contains("wrong type"), "{:?}", impact(2));
}

#[tokio::test]
async fn defect_18_every_type_is_requested_for_every_idea() {
    for kind in InferenceType::ALL {
        let double = Double::honest();
        let answer = LogicalInferenceEngine { router: &double }.infer(&ideas(4), kind, &BRIEF).await.unwrap();
        assert_eq!((answer.calls, double.calls()[0].indices()), (1, vec![0, 1, 2, 3]), "{kind}");
        for (index, (title, ..)) in IDEAS.iter().enumerate().take(4) {
            let inference = answer.value.get(index).unwrap().unwrap();
            assert_eq!(inference.conclusion(), format!("{title} works"), "{kind}");
            assert_eq!(inference.inference_chain().len(), 2);
        }
    }
}

#[tokio::test]
async fn each_type_has_its_own_fields() {
    let mut keys = Vec::new();
    for kind in InferenceType::ALL {
        let double = Double::honest();
        let batch = LogicalInferenceEngine { router: &double }.infer(&ideas(1), kind, &BRIEF).await.unwrap().value;
        let value = serde_json::to_value(batch.get(0).unwrap().unwrap()).unwrap();
        let own = value.as_object().unwrap().keys().skip(4).cloned();
        keys.push((kind.as_str(), own.collect::<Vec<_>>().join(" ")));
        let required = double.calls()[0].document["items"]["required"].clone();
        assert_eq!(
            required.as_array().unwrap()[..4],
            ["idea_index", "inference_chain", "conclusion", "confidence"],
            "{kind}"
        );
    }
    assert_eq!(
        keys,
        [
            ("full", String::new()),
            ("causal", "causal_chain feedback_loops root_cause".to_owned()),
            ("constraints", "constraints trade_offs".to_owned()),
            ("contradiction", "contradictions resolution".to_owned()),
            ("implications", "implications second_order_effects".to_owned()),
        ]
    );
}

#[tokio::test]
async fn a_failed_inference_is_a_reason_and_not_a_placeholder() {
    let double = Double::new(|_, sent| {
        let about = |(index, text): &(u64, String)| {
            let title = text.split(':').next().unwrap();
            let confidence = if *index == 1 { 1.7 } else { 0.8 };
            inference(*index, title, confidence)
        };
        Reply::Json(sent.ideas.iter().map(about).collect())
    });
    let engine = LogicalInferenceEngine { router: &double };
    let batch = engine.infer(&ideas(2), InferenceType::Full, &BRIEF).await.unwrap().value;
    assert!(batch.get(0).unwrap().unwrap().passes(Inference::THRESHOLD));
    assert!(batch.get(1).unwrap().unwrap_err().starts_with("its item was not valid: [1].confidence: greater than 1"));
}

#[tokio::test]
async fn blank_inputs_are_rejected_before_anything_is_sent() {
    let double = Double::honest();
    let blank = Brief { topic: " ", ..BRIEF };
    let evaluator = MultiDimensionalEvaluator { router: &double };
    let engine = LogicalInferenceEngine { router: &double };
    let errors = [
        evaluator.evaluate(&ideas(1), &blank).await.unwrap_err(),
        evaluator.evaluate(&[], &BRIEF).await.unwrap_err(),
        engine.infer(&ideas(1), InferenceType::Full, &blank).await.unwrap_err(),
        engine.infer(&[" ".to_owned()], InferenceType::Causal, &BRIEF).await.unwrap_err(),
    ];
    assert!(errors.iter().all(|error| error.kind() == ErrorKind::InvalidInput), "{errors:?}");
    assert!(double.calls().is_empty());
}

#[tokio::test]
async fn the_improver_gets_weak_dimensions_and_conclusions() {
    let double = Double::honest();
    let scores = MultiDimensionalEvaluator { router: &double }.evaluate(&ideas(1), &BRIEF).await.unwrap().value;
    let engine = LogicalInferenceEngine { router: &double };
    let inferred = engine.infer(&ideas(1), InferenceType::Full, &BRIEF).await.unwrap().value;
    let with_reasoning = ImproveInput {
        idea: ideas(1).remove(0),
        weak_dimensions: scores.get(0).unwrap().unwrap().weak_points(),
        inference: inferred.get(0).unwrap().unwrap().insight(),
        ..ImproveInput::default()
    };
    let plain = ImproveInput { idea: ideas(2).remove(1), ..ImproveInput::default() };
    let improver = StructuredIdeaGenerator { router: &double };
    improver.improve_batch(&[with_reasoning, plain.clone()], &BRIEF).await.unwrap();
    let prompt = &double.calls()[2].prompt;
    assert!(prompt.contains("Mend the weak dimensions first"), "{prompt}");
    assert!(prompt.contains("<weak_dimensions>\ninnovation: 2 of 10\n</weak_dimensions>"), "{prompt}");
    let conclusion = "• People use it\n→ Shared fridges works\nBegin in May\n</inference>";
    assert!(prompt.contains(conclusion), "{prompt}");
    assert!(
        prompt.contains("\nOn idea 0:\n<inference>") && prompt.contains("\nOn idea 0:\n<weak_dimensions>"),
        "{prompt}"
    );
    assert!(!prompt.contains("On idea 1:"), "{prompt}");

    improver.improve_batch(&[plain], &BRIEF).await.unwrap();
    assert!(!double.calls()[3].prompt.contains("weak dimensions"), "{}", double.calls()[3].prompt);
}

#[tokio::test]
async fn a_given_language_overrides_that_of_the_topic() {
    let double = Double::honest();
    let brief = Brief { language: Some(Language::named("ja").unwrap()), ..BRIEF };
    MultiDimensionalEvaluator { router: &double }.evaluate(&ideas(1), &brief).await.unwrap();
    let prompt = &double.calls()[0].prompt;
    assert!(prompt.contains("Write every text in Japanese, whatever the language of the topic."), "{prompt}");
    assert!(!prompt.contains("language of the topic, which"), "{prompt}");
}

/// Snapshots of one prompt of every type.
#[tokio::test]
async fn prompts_match_their_snapshots() {
    let double = Double::new(|_, sent| match sent.schema.as_str() {
        "Improvement" => Reply::Fail(Error::new(ErrorKind::Overloaded, "not needed")),
        _ => Reply::Json(honest(sent)),
    })
    .with_target(Provider::Ollama, true);
    let brief = Brief { topic: "Wie können wir Lebensmittelabfälle in unserer Stadt verringern?", ..BRIEF };
    let two = ideas(2);
    let evaluator = MultiDimensionalEvaluator { router: &double };
    let rated = evaluator.evaluate(&two, &brief).await.unwrap().value;
    for kind in InferenceType::ALL {
        LogicalInferenceEngine { router: &double }.infer(&two, kind, &brief).await.unwrap();
    }
    let input = ImproveInput {
        idea: two[0].clone(),
        weak_dimensions: rated.get(0).unwrap().unwrap().weak_points(),
        inference: "• It is cheap\n→ It will last".to_owned(),
        ..ImproveInput::default()
    };
    StructuredIdeaGenerator { router: &double }.improve(&input, &brief).await.unwrap_err();
    let recorded = [
        ("DimensionEvaluations", include_str!("fixtures/prompts/DimensionEvaluations.txt")),
        ("FullInferences", include_str!("fixtures/prompts/FullInferences.txt")),
        ("CausalInferences", include_str!("fixtures/prompts/CausalInferences.txt")),
        ("ConstraintInferences", include_str!("fixtures/prompts/ConstraintInferences.txt")),
        ("ContradictionInferences", include_str!("fixtures/prompts/ContradictionInferences.txt")),
        ("ImplicationInferences", include_str!("fixtures/prompts/ImplicationInferences.txt")),
        ("Improvement", include_str!("fixtures/prompts/ImprovementOfWeakness.txt")),
    ];
    for ((name, recorded), sent) in recorded.into_iter().zip(double.calls()) {
        assert_eq!(sent.schema, name);
        let said = format!("{}\n\n{}", sent.system, sent.prompt);
        assert!(said == recorded, "the prompt of {name} is now:\n{said}\n<end>");
    }
}
