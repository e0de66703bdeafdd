//! The agents, as the Python package runs them: a task as JSON text in, an outcome as JSON text out.

use std::sync::Arc;

use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::attachments::{Attachments, FileInput};
use super::bridge::{self, Pending};
use super::callback::PythonRouter;
use super::router::Router;
use super::runtime::Process;
use crate::agents::{
    self, Advocate, AdvocateInput, Answer, Brief, Critic, DimensionScores, IdeaGenerator, IdeaRequest, ImproveInput,
    Indexed, InferenceType, Language, LogicalInferenceEngine, MultiDimensionalEvaluator, Skeptic, SkepticInput,
    StructuredIdeaGenerator,
};
use crate::error::{Error, ErrorKind, Result};
use crate::message::Part;
use crate::router::{Generate, Routed};

/// The router of a run: an `LLMRouter`'s core, or a coroutine function that calls a custom router.
#[derive(FromPyObject)]
pub(super) enum Source<'py> {
    Native(Bound<'py, Router>),
    Python(Bound<'py, PyAny>),
}

impl Source<'_> {
    /// Returns the core's own router, `None` for a custom one.
    pub(super) fn routed(&self, process: &Process) -> Option<Routed> {
        match self {
            Self::Native(router) => Some(routed(router, process)),
            Self::Python(_) => None,
        }
    }

    /// Returns the router as the core uses it. A custom one is bound to the running event loop.
    pub(super) fn generate(self, py: Python<'_>, process: &Process) -> PyResult<Arc<dyn Generate>> {
        Ok(match self {
            Self::Native(router) => Arc::new(routed(&router, process)),
            Self::Python(generate) => Arc::new(PythonRouter::new(py, process, generate.unbind())?),
        })
    }
}

/// Loads the attachments for the core's own router `native`, or for a custom one if there is none.
pub(super) async fn load(attachments: Attachments, native: Option<&Routed>) -> Result<Vec<Part>> {
    match native {
        Some(native) => attachments.load(&native.router, &native.engine, None).await,
        None => attachments.load_for_custom_router().await,
    }
}

/// Runs an agent and returns its outcome as JSON text; blocks.
#[pyfunction]
pub(super) fn run_agent(
    py: Python<'_>,
    router: &Bound<'_, Router>,
    task: &str,
    files: Vec<FileInput>,
    urls: Vec<String>,
) -> PyResult<String> {
    let process = Process::get(py)?;
    let (task, attachments) = (parse(task)?, Attachments::new(files, Vec::new(), urls));
    let native = routed(router, &process);
    bridge::block(py, &process, async move {
        let parts = attachments.load(&native.router, &native.engine, None).await?;
        task.run(&native, &parts).await
    })
}

/// Runs an agent; the result is the outcome as JSON text.
#[pyfunction]
pub(super) fn arun_agent(
    py: Python<'_>,
    router: Source<'_>,
    task: &str,
    files: Vec<FileInput>,
    urls: Vec<String>,
) -> PyResult<Pending> {
    let process = Process::get(py)?;
    let (task, attachments) = (parse(task)?, Attachments::new(files, Vec::new(), urls));
    let (native, router) = (router.routed(&process), router.generate(py, &process)?);
    let work = Box::pin(async move {
        let parts = load(attachments, native.as_ref()).await?;
        task.run(&*router, &parts).await
    });
    bridge::submit(py, &process, work, |py, outcome| Ok(outcome.into_pyobject(py)?.into_any().unbind()))
}

/// Returns the JSON Schema of the output `name` of an agent, as text. Raises `KeyError` for an unknown name.
#[pyfunction]
pub(super) fn schema_of(name: &str) -> PyResult<String> {
    agents::schema_of(name).map(|schema| schema.to_string()).ok_or_else(|| PyKeyError::new_err(name.to_owned()))
}

/// One run of one agent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Task {
    agent: Agent,
    topic: String,
    context: String,
    temperature: f64,
    /// The language of the output, by any of its names; `None` uses the language of the topic.
    #[serde(default)]
    language: Option<String>,
    /// The type of inference, by name.
    #[serde(default)]
    inference_type: Option<String>,
    /// How many ideas to generate.
    #[serde(default)]
    count: usize,
    /// The ideas that the other agents work on. Agents for a single idea use the first one.
    #[serde(default)]
    cases: Vec<Case>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Agent {
    Generate,
    Evaluate,
    Advocate,
    AdvocateBatch,
    Criticize,
    CriticizeBatch,
    Improve,
    ImproveBatch,
    Rate,
    Infer,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Case {
    idea: String,
    evaluation: String,
    advocacy: String,
    skepticism: String,
    weak_dimensions: String,
    inference: String,
}

impl Task {
    async fn run(&self, router: &dyn Generate, parts: &[Part]) -> Result<String> {
        let language = self.language.as_deref().map(Language::named).transpose()?;
        let brief = Brief { topic: &self.topic, context: &self.context, temperature: self.temperature, language };
        let heading = brief.answer_language();
        match self.agent {
            Agent::Generate => {
                let wanted = IdeaRequest { brief, count: self.count, minimum: 0, parts };
                outcome(IdeaGenerator { router }.generate(&wanted).await?, |ideas| to_value(&ideas))
            }
            Agent::Evaluate => outcome(Critic { router }.evaluate(&self.ideas(), &brief).await?, |batch| {
                to_value(&batch.indexed().collect::<Vec<_>>())
            }),
            Agent::Advocate => {
                outcome(Advocate { router }.advocate(&self.first()?.into(), &brief).await?, |advocacy| {
                    with_text(&advocacy, &advocacy.formatted_in(heading))
                })
            }
            Agent::AdvocateBatch => {
                let answer = Advocate { router }.advocate_batch(&self.cases(), &brief).await?;
                outcome(answer, |batch| {
                    batch.indexed().map(|one| with_text(&one, &one.item.formatted_in(heading))).collect()
                })
            }
            Agent::Criticize => {
                outcome(Skeptic { router }.criticize(&self.first()?.into(), &brief).await?, |skepticism| {
                    with_text(&skepticism, &skepticism.formatted_in(heading))
                })
            }
            Agent::CriticizeBatch => {
                let answer = Skeptic { router }.criticize_batch(&self.cases(), &brief).await?;
                outcome(answer, |batch| {
                    batch.indexed().map(|one| with_text(&one, &one.item.formatted_in(heading))).collect()
                })
            }
            Agent::Improve => {
                let answer = StructuredIdeaGenerator { router }.improve(&self.first()?.into(), &brief).await?;
                outcome(answer, |improvement| to_value(&improvement))
            }
            Agent::ImproveBatch => {
                let answer = StructuredIdeaGenerator { router }.improve_batch(&self.cases(), &brief).await?;
                outcome(answer, |batch| to_value(&batch.indexed().collect::<Vec<_>>()))
            }
            Agent::Rate => {
                let answer = MultiDimensionalEvaluator { router }.evaluate(&self.ideas(), &brief).await?;
                outcome(answer, |batch| batch.indexed().map(|one| rated(&one)).collect())
            }
            Agent::Infer => {
                let kind: InferenceType =
                    self.inference_type.as_deref().map_or(Ok(InferenceType::default()), str::parse)?;
                let answer = LogicalInferenceEngine { router }.infer(&self.ideas(), kind, &brief).await?;
                outcome(answer, |batch| to_value(&batch.indexed().collect::<Vec<_>>()))
            }
        }
    }

    fn ideas(&self) -> Vec<String> {
        self.cases.iter().map(|case| case.idea.clone()).collect()
    }

    fn first(&self) -> Result<Case> {
        self.cases.first().cloned().ok_or_else(|| Error::invalid_input("there is no idea"))
    }

    fn cases<T: From<Case>>(&self) -> Vec<T> {
        self.cases.iter().cloned().map(T::from).collect()
    }
}

impl From<Case> for AdvocateInput {
    fn from(case: Case) -> Self {
        Self { idea: case.idea, evaluation: case.evaluation }
    }
}

impl From<Case> for SkepticInput {
    fn from(case: Case) -> Self {
        Self { idea: case.idea, advocacy: case.advocacy }
    }
}

impl From<Case> for ImproveInput {
    fn from(case: Case) -> Self {
        let Case { idea, evaluation, advocacy, skepticism, weak_dimensions, inference } = case;
        Self { idea, evaluation, advocacy, skepticism, weak_dimensions, inference }
    }
}

pub(super) fn routed(router: &Bound<'_, Router>, process: &Process) -> Routed {
    Routed { router: Arc::clone(&router.get().router), engine: Arc::clone(&process.engine) }
}

fn parse(task: &str) -> PyResult<Task> {
    serde_json::from_str(task).map_err(|failure| PyValueError::new_err(failure.to_string()))
}

/// Returns the outcome as JSON text: the value, and the tokens, cost and calls that it took.
fn outcome<T>(answer: Answer<T>, shape: impl FnOnce(T) -> Result<Value>) -> Result<String> {
    let (tokens, cost, calls) = (answer.tokens, answer.cost, answer.calls);
    let value = shape(answer.value)?;
    Ok(json!({ "value": value, "tokens": tokens, "cost": cost, "calls": calls }).to_string())
}

fn to_value(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|failure| Error::new(ErrorKind::Internal, failure.to_string()))
}

/// Returns the evaluation of one idea, with its overall score.
fn rated(one: &Indexed<DimensionScores>) -> Result<Value> {
    Ok(with(to_value(&one.item.evaluation())?, "idea_index", one.idea_index))
}

/// Adds the text form as bullet points.
fn with_text(value: &impl Serialize, text: &str) -> Result<Value> {
    Ok(with(to_value(value)?, "formatted", text))
}

fn with(mut value: Value, name: &str, field: impl Into<Value>) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.insert(name.to_owned(), field.into());
    }
    value
}
