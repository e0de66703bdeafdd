//! The coordinator and the text similarity of the Python package. Options, events, candidates and results are JSON text.

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::agents::Source;
use super::attachments::{Attachments, FileInput};
use super::bridge::{self, Pending};
use super::callback::{AsyncCallback, Progress, PythonGate, PythonProviderGate};
use super::error;
use super::number::Whole;
use super::runtime::Process;
use crate::coordinator::{self, Admissions, Gate, Hooks, Options, RunHandle};
use crate::error::{Error, ErrorKind, Result};
use crate::progress::{ProgressSink, Silent};

/// Runs workflows with a limit of concurrent model calls.
#[pyclass(frozen, module = "madspark._core")]
pub(super) struct Coordinator {
    coordinator: Arc<coordinator::Coordinator>,
}

#[pymethods]
impl Coordinator {
    #[new]
    fn new(py: Python<'_>, max_concurrent_agents: Whole) -> PyResult<Self> {
        let coordinator = error::raise(py, coordinator::Coordinator::new(max_concurrent_agents.saturated()))?;
        Ok(Self { coordinator: Arc::new(coordinator) })
    }

    /// Raises the error that `start` would raise for these options, without running anything.
    #[staticmethod]
    fn check(py: Python<'_>, options: &str) -> PyResult<()> {
        parse(py, options).map(drop)
    }

    /// Starts a workflow. `emit(message, fraction)` receives the progress on the thread of the running loop and must return
    /// at once; `gate` is a coroutine function that takes a review and returns a decision, both as JSON text. `provider_gate` is
    /// one that takes a provider as JSON text and returns whether the run may use it. `events` is the
    /// number of events kept for readers, and a run that nobody waits for during `idle_timeout` seconds is cancelled; with 0
    /// events, there are no readers and no idle timeout.
    #[expect(clippy::too_many_arguments, reason = "one argument for each part of a run")]
    fn start(
        &self,
        py: Python<'_>,
        router: Source<'_>,
        options: &str,
        files: Vec<FileInput>,
        urls: Vec<String>,
        on_page_error: &str,
        emit: Option<Py<PyAny>>,
        gate: Option<Py<PyAny>>,
        provider_gate: Option<Py<PyAny>>,
        events: Whole,
        idle_timeout: f64,
    ) -> PyResult<Run> {
        let (process, events) = (Process::get(py)?, events.saturated());
        let options = parse(py, options)?;
        let attachments = Attachments::new(files, Vec::new(), urls, error::raise(py, on_page_error.parse())?);
        let engine = Arc::clone(&process.engine);
        let (core_router, router) = (router.routed(&process), router.generate(py, &process)?);
        let progress: Box<dyn ProgressSink> = match emit {
            Some(emit) => Box::new(Progress::new(py, &process, emit)?),
            None => Box::new(Silent),
        };
        let gate = gate.map(|gate| AsyncCallback::new(py, &process, gate).map(PythonGate)).transpose()?;
        let admissions = provider_gate
            .map(|gate| AsyncCallback::new(py, &process, gate).map(|gate| Admissions::new(PythonProviderGate(gate))))
            .transpose()?;
        let idle_timeout =
            Duration::try_from_secs_f64(idle_timeout).ok().filter(|_| events > 0).unwrap_or(Duration::MAX);
        let handle = {
            // The clock of the run is the runtime's.
            let _runtime = process.handle.enter();
            RunHandle::new(&*router, &options, events)
        };
        let (coordinator, run) = (Arc::clone(&self.coordinator), Arc::clone(&handle));
        let (sender, outcome) = watch::channel(None);
        let work = Box::pin(async move {
            let work = async {
                let loading = async {
                    match &core_router {
                        Some(native) => attachments.load_for_run(&native.router, &engine).await,
                        None => attachments.load_for_custom_router(&engine).await,
                    }
                };
                run.set_parts(run.before_deadline("the attachments were loaded", loading).await?);
                let gate = gate.as_ref().map(|gate| -> &dyn Gate { gate });
                coordinator
                    .conduct(&*router, &run, Hooks { progress: &*progress, gate, admissions: admissions.as_ref() })
                    .await
            };
            let outcome = tokio::select! {
                biased;
                outcome = bridge::guarded(work) => outcome,
                () = run.abandoned(idle_timeout) => {
                    Err(Error::new(ErrorKind::Cancelled, "nobody waited for the run within its idle timeout"))
                }
            };
            let failure = outcome.as_ref().err().filter(|failure| failure.kind() != ErrorKind::Cancelled);
            run.close(failure.map(ToString::to_string).as_deref());
            // The receiver is gone if the run object was dropped.
            drop(sender.send(Some(outcome)));
        });
        let task = bridge::spawn(py, &process, work)?;
        Ok(Run { process, handle, task, outcome })
    }
}

/// A workflow run. Dropping it cancels the run.
#[pyclass(frozen, module = "madspark._core")]
pub(super) struct Run {
    process: Arc<Process>,
    handle: Arc<RunHandle>,
    task: AbortHandle,
    /// The outcome of the run; `None` until it has ended, and forever if it was cancelled.
    outcome: watch::Receiver<Option<Result<()>>>,
}

#[pymethods]
impl Run {
    /// The unique id of the run.
    #[getter]
    fn id(&self) -> &str {
        self.handle.id()
    }

    /// The number of events kept for readers.
    #[getter]
    fn kept_events(&self) -> usize {
        self.handle.kept_events()
    }

    /// Awaits the events after number `after`: a JSON list, or None at the end of the run.
    fn events(&self, py: Python<'_>, after: Whole) -> PyResult<Pending> {
        let (handle, after) = (Arc::clone(&self.handle), after.saturated() as u64);
        let work = async move {
            let events = handle.read_events(after).await?;
            (!events.is_empty()).then(|| json(&events)).transpose()
        };
        bridge::submit_text(py, &self.process, work)
    }

    /// Awaits the end of the run and returns the candidates as JSON text. Raises the error that ended the run.
    fn candidates(&self, py: Python<'_>) -> PyResult<Pending> {
        let (handle, mut outcome) = (Arc::clone(&self.handle), self.outcome.clone());
        let work = async move {
            handle.await_result(ended(&mut outcome)).await?;
            json(&handle.candidates())
        };
        bridge::submit_text(py, &self.process, work)
    }

    /// Awaits the end of the run and returns the result as JSON text: the finished part if a deadline, the budget or the
    /// caller ended it early. Raises the error that ended the run if there is no such part.
    fn result(&self, py: Python<'_>) -> PyResult<Pending> {
        let (handle, mut outcome) = (Arc::clone(&self.handle), self.outcome.clone());
        let work = async move {
            match handle.await_result(ended(&mut outcome)).await {
                Err(failure) if !is_early(&failure) || handle.candidates().is_empty() => Err(failure),
                _ => json(&handle.result()),
            }
        };
        bridge::submit_text(py, &self.process, work)
    }

    /// The result so far, as JSON text.
    fn snapshot(&self, py: Python<'_>) -> PyResult<String> {
        error::raise(py, json(&self.handle.result()))
    }

    /// Cancels the run if it has not ended; its sockets close. Safe to call again.
    fn close(&self) {
        self.task.abort();
        self.handle.close(None);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.close();
    }
}

/// Returns the similarity of two texts in any script, 0.0 to 1.0.
#[pyfunction]
pub(super) fn similarity(py: Python<'_>, one: &str, two: &str) -> f64 {
    py.detach(|| coordinator::similarity(one, two))
}

/// Returns the texts at least `threshold` similar to an earlier one, as (index, index of the earlier text, similarity).
#[pyfunction]
pub(super) fn duplicates(py: Python<'_>, texts: Vec<String>, threshold: f64) -> Vec<(usize, usize, f64)> {
    py.detach(move || {
        let found = coordinator::duplicates(texts.iter().map(String::as_str), threshold);
        found.into_iter().map(|one| (one.index, one.of, one.similarity)).collect()
    })
}

/// Waits for the end of a run and returns the error that ended it. Cancellation is not an error here.
async fn ended(outcome: &mut watch::Receiver<Option<Result<()>>>) -> Result<()> {
    match outcome.wait_for(Option::is_some).await {
        Ok(outcome) => match &*outcome {
            Some(Err(failure)) if failure.kind() != ErrorKind::Cancelled => Err(failure.clone()),
            _ => Ok(()),
        },
        // The task was aborted.
        Err(_) => Ok(()),
    }
}

/// Whether the run would have continued with more time or a larger budget.
fn is_early(failure: &Error) -> bool {
    matches!(failure.kind(), ErrorKind::DeadlineExceeded | ErrorKind::BudgetReached)
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|failure| Error::new(ErrorKind::Internal, failure.to_string()))
}

fn parse(py: Python<'_>, options: &str) -> PyResult<Options> {
    // Through a `Value`, whose errors do not name a line and a column of text that the caller never saw.
    let options: Options = serde_json::from_str(options)
        .and_then(serde_json::from_value::<Options>)
        .map_err(|failure| error::invalid_input(py, failure.to_string()))?;
    error::raise(py, options.validate()).map(|()| options)
}
