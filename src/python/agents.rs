//! The agents, as the Python package runs them: a task as JSON text in, an outcome as JSON text out.

use std::sync::Arc;

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::attachments::{Attachments, FileInput};
use super::bridge::{self, Pending};
use super::callback::{AsyncCallback, PythonRouter};
use super::error;
use super::router::Router;
use super::runtime::Process;
use crate::agents::{
    self, Advocate, AdvocateInput, Answer, Batch, Brief, Critic, DimensionScores, IdeaGenerator, IdeaRequest,
    ImproveInput, Indexed, InferenceType, Language, LogicalInferenceEngine, MultiDimensionalEvaluator, Skeptic,
    SkepticInput, StructuredIdeaGenerator,
};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{OnPageError, Part};
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
            Self::Python(generate) => Arc::new(PythonRouter(AsyncCallback::new(py, process, generate.unbind())?)),
        })
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
    let (task, attachments) = (parse(py, task)?, Attachments::new(files, Vec::new(), urls, OnPageError::Fail));
    let native = routed(router, &process);
    bridge::block(py, &process, async move {
        let parts = attachments.load_for_call(&native.router, &native.engine, None, Instant::now()).await?;
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
    let (task, attachments) = (parse(py, task)?, Attachments::new(files, Vec::new(), urls, OnPageError::Fail));
    let (native, router) = (router.routed(&process), router.generate(py, &process)?);
    let engine = Arc::clone(&process.engine);
    bridge::submit_text(py, &process, async move {
        let parts = match &native {
            Some(native) => attachments.load_for_call(&native.router, &engine, None, Instant::now()).await?,
            None => attachments.load_for_custom_router(&engine).await?,
        };
        task.run(&*router, &parts).await
    })
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
    #[serde(default)]
    temperature: Option<f64>,
    /// The language of the output, by any of its names; `None` uses the language of the topic.
    #[serde(default)]
    language: Option<String>,
    /// The type of inference, by name.
    #[serde(default)]
    inference_type: Option<String>,
    /// Whether the replies may come from the response cache; `None` means at temperature 0.
    #[serde(default)]
    use_cache: Option<bool>,
    /// How many ideas to generate.
    #[serde(default)]
    count: usize,
    /// The ideas that the other agents work on. Agents for a single idea use the first one.
    #[serde(default)]
    cases: Vec<ImproveInput>,
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

impl Task {
    async fn run(&self, router: &dyn Generate, parts: &[Part]) -> Result<String> {
        let language = self.language.as_deref().map(Language::named).transpose()?;
        let brief = Brief {
            topic: &self.topic,
            context: &self.context,
            temperature: self.temperature,
            language,
            use_cache: self.use_cache,
        };
        let heading = brief.answer_language();
        match self.agent {
            Agent::Generate => {
                let wanted = IdeaRequest { brief, count: self.count, minimum: 0, parts };
                outcome(IdeaGenerator { router }.generate(&wanted).await?, |ideas| to_value(&ideas))
            }
            Agent::Evaluate => batch_outcome(Critic { router }.evaluate(&self.ideas(), &brief).await?, to_value),
            Agent::Advocate => {
                outcome(Advocate { router }.advocate(&self.first()?.into(), &brief).await?, |advocacy| {
                    with_text(&advocacy, &advocacy.formatted_in(heading))
                })
            }
            Agent::AdvocateBatch => {
                let answer = Advocate { router }.advocate_batch(&self.cases(), &brief).await?;
                batch_outcome(answer, |one| with_text(one, &one.item.formatted_in(heading)))
            }
            Agent::Criticize => {
                outcome(Skeptic { router }.criticize(&self.first()?.into(), &brief).await?, |skepticism| {
                    with_text(&skepticism, &skepticism.formatted_in(heading))
                })
            }
            Agent::CriticizeBatch => {
                let answer = Skeptic { router }.criticize_batch(&self.cases(), &brief).await?;
                batch_outcome(answer, |one| with_text(one, &one.item.formatted_in(heading)))
            }
            Agent::Improve => {
                let answer = StructuredIdeaGenerator { router }.improve(&self.first()?, &brief).await?;
                outcome(answer, |improvement| to_value(&improvement))
            }
            Agent::ImproveBatch => {
                batch_outcome(StructuredIdeaGenerator { router }.improve_batch(&self.cases, &brief).await?, to_value)
            }
            Agent::Rate => {
                batch_outcome(MultiDimensionalEvaluator { router }.evaluate(&self.ideas(), &brief).await?, rated)
            }
            Agent::Infer => {
                let kind: InferenceType =
                    self.inference_type.as_deref().map_or(Ok(InferenceType::default()), str::parse)?;
                batch_outcome(LogicalInferenceEngine { router }.infer(&self.ideas(), kind, &brief).await?, to_value)
            }
        }
    }

    fn ideas(&self) -> Vec<String> {
        self.cases.iter().map(|case| case.idea.clone()).collect()
    }

    fn first(&self) -> Result<ImproveInput> {
        self.cases.first().cloned().ok_or_else(|| Error::invalid_input("there is no idea"))
    }

    fn cases<T: From<ImproveInput>>(&self) -> Vec<T> {
        self.cases.iter().cloned().map(T::from).collect()
    }
}

impl From<ImproveInput> for AdvocateInput {
    fn from(case: ImproveInput) -> Self {
        Self { idea: case.idea, evaluation: case.evaluation }
    }
}

impl From<ImproveInput> for SkepticInput {
    fn from(case: ImproveInput) -> Self {
        Self { idea: case.idea, advocacy: case.advocacy }
    }
}

pub(super) fn routed(router: &Bound<'_, Router>, process: &Process) -> Routed {
    Routed { router: Arc::clone(&router.get().router), engine: Arc::clone(&process.engine) }
}

fn parse(py: Python<'_>, task: &str) -> PyResult<Task> {
    serde_json::from_str(task).map_err(|failure| error::invalid_input(py, failure.to_string()))
}

/// Returns the outcome as JSON text: the value, and the tokens, cost and calls that it took.
fn outcome<T>(answer: Answer<T>, shape: impl FnOnce(T) -> Result<Value>) -> Result<String> {
    let (tokens, cost, calls) = (answer.tokens, answer.cost, answer.calls);
    let value = shape(answer.value)?;
    Ok(json!({ "value": value, "tokens": tokens, "cost": cost, "calls": calls }).to_string())
}

/// Returns the outcome of a batch as JSON text, each item as `shape` returns it.
fn batch_outcome<T>(answer: Answer<Batch<T>>, shape: impl Fn(&Indexed<T>) -> Result<Value>) -> Result<String> {
    outcome(answer, |batch| batch.indexed().map(|one| shape(&one)).collect())
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
