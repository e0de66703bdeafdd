//! A scripted router that records its requests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use madspark::attempt::Change;
use madspark::config::Provider;
use madspark::error::{Error, ErrorKind, Result};
use madspark::message::Request;
use madspark::router::{CallHooks, Generate, PreferredTarget, Response};
use serde_json::{Value, json};

/// Ideas that have no words in common, with their scores. Some have several lines.
pub(crate) const IDEAS: [(&str, &str, f64); 7] = [
    ("Shared fridges", "Neighbours leave surplus food in a public refrigerator.", 6.0),
    ("Roof gardens", "Pupils grow vegetables above their classrooms.\nThe kitchen cooks them.", 8.5),
    ("Repair van", "A workshop on wheels mends toasters.\n\n- idea_index: 1\n- Mondays only", 4.0),
    ("Night library", "Shift workers borrow novels after midnight.", 9.1),
    ("Bike bus", "Parents cycle with thirty children to lessons.", 7.7),
    ("Quiet map", "An app charts streets without traffic noise.", 2.2),
    ("Seed bank", "Farmers swap old varieties of wheat by post.", 5.3),
];

/// A request sent to the router.
#[derive(Debug, Clone)]
pub(crate) struct SentRequest {
    pub(crate) schema: String,
    pub(crate) document: Value,
    pub(crate) system: String,
    pub(crate) prompt: String,
    pub(crate) temperature: Option<f64>,
    pub(crate) max_tokens: Option<u32>,
    pub(crate) parts: usize,
    /// The index and the text of every idea that is shown under an index.
    pub(crate) ideas: Vec<(u64, String)>,
}

impl SentRequest {
    fn new(request: &Request) -> Self {
        let schema = request.schema.as_ref().expect("every request has a schema");
        Self {
            schema: schema.name().to_owned(),
            document: schema.document().clone(),
            system: request.system.to_string(),
            prompt: request.prompt.to_string(),
            temperature: request.temperature,
            max_tokens: request.max_tokens,
            parts: request.parts.len(),
            ideas: shown_ideas(&request.prompt),
        }
    }

    pub(crate) fn indices(&self) -> Vec<u64> {
        self.ideas.iter().map(|(index, _)| *index).collect()
    }

    /// Returns whether the ideas are improved ones.
    pub(crate) fn is_about_improvements(&self) -> bool {
        self.ideas.iter().any(|(_, text)| text.contains("Better "))
    }
}

/// The outcome of a call.
pub(crate) enum Reply {
    Json(Value),
    Fail(Error),
    /// A delayed reply.
    After(Duration, Value),
    Never,
}

type Script = dyn Fn(usize, &SentRequest) -> Reply + Send + Sync;

/// A router whose script decides each outcome.
pub(crate) struct Double {
    script: Box<Script>,
    pub(crate) sent: Mutex<Vec<SentRequest>>,
    pub(crate) in_flight: Arc<AtomicUsize>,
    pub(crate) most_in_flight: AtomicUsize,
    preferred: Option<PreferredTarget>,
    /// The changes that the validators of accepted replies made.
    pub(crate) changes: Mutex<Vec<Change>>,
}

impl Double {
    /// Creates a router. `script` gets the number of the call, from 0, and the request.
    pub(crate) fn new(script: impl Fn(usize, &SentRequest) -> Reply + Send + Sync + 'static) -> Self {
        Self {
            script: Box::new(script),
            sent: Mutex::default(),
            in_flight: Arc::default(),
            most_in_flight: AtomicUsize::default(),
            preferred: None,
            changes: Mutex::default(),
        }
    }

    /// Makes it a router with a known target, as opposed to a custom router.
    pub(crate) fn with_target(self, provider: Provider, is_local: bool) -> Self {
        let model = Arc::from("double-1");
        Self { preferred: Some(PreferredTarget { provider, model, is_local }), ..self }
    }

    /// Creates a router that answers every request correctly.
    pub(crate) fn honest() -> Self {
        Self::new(|_, sent| Reply::Json(honest(sent)))
    }

    /// Returns the requests so far.
    pub(crate) fn calls(&self) -> Vec<SentRequest> {
        self.sent.lock().unwrap().clone()
    }

    /// Returns the names of the requested schemas, in order.
    pub(crate) fn schemas(&self) -> Vec<String> {
        self.calls().into_iter().map(|sent| sent.schema).collect()
    }
}

impl Generate for Double {
    fn preferred_target(&self) -> Option<PreferredTarget> {
        self.preferred.clone()
    }

    fn generate<'a>(&'a self, request: Request, hooks: CallHooks<'a>) -> BoxFuture<'a, Result<Response>> {
        Box::pin(async move {
            let _guard = InFlight::new(self);
            let sent = SentRequest::new(&request);
            let number = {
                let mut calls = self.sent.lock().unwrap();
                calls.push(sent.clone());
                calls.len() - 1
            };
            let value = match (self.script)(number, &sent) {
                Reply::Json(value) => value,
                Reply::Fail(error) => return Err(error),
                Reply::After(wait, value) => {
                    tokio::time::sleep(wait).await;
                    value
                }
                Reply::Never => std::future::pending().await,
            };
            let text = value.to_string();
            if let Err(rejection) = hooks.validator.validate(&text) {
                return Err(Error::new(ErrorKind::InvalidOutput, rejection.faults.join("; ")));
            }
            self.changes.lock().unwrap().extend(hooks.validator.changes());
            Ok(Response {
                text,
                provider: Arc::from("double"),
                model: Arc::from("double-1"),
                tokens: 10,
                cost: Some(0.5),
                latency: Duration::ZERO,
                is_cached: false,
                finish: None,
                finish_detail: None,
                reasoning: None,
                attempts: Vec::new(),
            })
        })
    }
}

struct InFlight(Arc<AtomicUsize>);

impl InFlight {
    fn new(double: &Double) -> Self {
        let now = double.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        double.most_in_flight.fetch_max(now, Ordering::SeqCst);
        Self(Arc::clone(&double.in_flight))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Returns a correct reply. Every item mentions the title of its idea.
pub(crate) fn honest(sent: &SentRequest) -> Value {
    match sent.schema.as_str() {
        "GeneratedIdeas" => {
            let count = usize::try_from(sent.document["minItems"].as_u64().unwrap()).unwrap();
            (1..).zip(&IDEAS[..count]).map(|(number, idea)| idea_item(number, idea)).collect()
        }
        _ if sent.document["type"] == "array" => {
            sent.ideas.iter().map(|(index, text)| item(&sent.schema, *index, text)).collect()
        }
        _ if sent.document.get("$defs").is_none() => bare_item(sent, &sent.ideas[0]),
        _ => sent.ideas.iter().map(|idea| (format!("idea_{}", idea.0), bare_item(sent, idea))).collect(),
    }
}

/// Returns an item without an index, as it stands under the key of its idea.
fn bare_item(sent: &SentRequest, (index, text): &(u64, String)) -> Value {
    let mut item = item(&sent.schema, *index, text);
    item.as_object_mut().unwrap().shift_remove("idea_index");
    item
}

pub(crate) fn idea_item(number: u32, (title, description, _): &(&str, &str, f64)) -> Value {
    json!({"idea_number": number, "title": title, "description": description, "category": null})
}

fn item(schema: &str, index: u64, text: &str) -> Value {
    let (title, _, score) = IDEAS.iter().find(|(title, ..)| text.contains(title)).expect("a known idea");
    let gain = if text.contains("Better ") { 0.5 } else { 0.0 };
    match schema {
        "CriticEvaluations" | "CriticEvaluation" => json!({
            "idea_index": index, "score": score + gain, "comment": format!("Judgement of {title} as it stands"),
        }),
        "AdvocacyBatch" | "Advocacy" => json!({
            "idea_index": index,
            "strengths": [{"title": format!("For {title}"), "description": "It is cheap."}],
            "opportunities": [],
            "addressing_concerns": [{"concern": "Too few people", "response": "They will come."}],
        }),
        "SkepticismBatch" | "Skepticism" => json!({
            "idea_index": index,
            "critical_flaws": [{"title": format!("Against {title}"), "description": "Nobody pays."}],
            "risks_and_challenges": [],
            "questionable_assumptions": [],
            "missing_considerations": [{"aspect": "Rain", "importance": "It is wet."}],
        }),
        "ImprovementBatch" | "Improvement" => json!({
            "idea_index": index,
            "improved_title": format!("Better {title}"),
            "improved_description": format!("All of {title}, and a plan for winter."),
            "key_improvements": ["winter"],
        }),
        "DimensionEvaluations" | "DimensionScores" => json!({
            "idea_index": index, "feasibility": score, "innovation": 2.0, "impact": 7.0, "cost_effectiveness": 7.0,
            "scalability": 7.0, "risk_assessment": 7.0, "timeline": 7.0, "summary": format!("Sides of {title}"),
        }),
        _ if schema.trim_end_matches('s').ends_with("Inference") => inference(index, title, 0.8),
        other => panic!("no reply for {other}"),
    }
}

/// Returns an inference with the fields of every type. Each type ignores the fields of the others.
pub(crate) fn inference(index: u64, title: &str, confidence: f64) -> Value {
    json!({
        "idea_index": index,
        "inference_chain": [format!("{title} exists"), "People use it"],
        "conclusion": format!("{title} works"),
        "confidence": confidence,
        "improvements": "Begin in May",
        "causal_chain": ["Use → less waste"],
        "constraints": [{"constraint": "No money", "satisfaction": 0.5}],
        "contradictions": [{"conflict": "Free, but costly", "severity": "low"}],
        "implications": ["Less waste"],
    })
}

/// Returns the ideas in a prompt: each is a line `idea_index: N`, then `<idea>`, then the text up to `</idea>`.
fn shown_ideas(prompt: &str) -> Vec<(u64, String)> {
    let mut ideas = Vec::new();
    let mut index = None;
    let mut lines = prompt.lines();
    while let Some(line) = lines.next() {
        if let Some(number) = line.strip_prefix("idea_index: ") {
            index = number.parse().ok();
        } else if line == "<idea>"
            && let Some(index) = index.take()
        {
            let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "</idea>").collect();
            ideas.push((index, text.join("\n")));
        } else if line != "<idea>" {
            index = None;
        }
    }
    ideas
}
