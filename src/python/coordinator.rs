//! The coordinator, as the Python package drives it: options in JSON; events, candidates and results in JSON.

use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::agents::{self, Source};
use super::attachments::{Attachments, Given};
use super::bridge::{self, Pending};
use super::callback::Progress;
use super::error;
use super::gate::PythonGate;
use super::runtime::Process;
use crate::coordinator::{self, Gate, Hooks, Options, RunState};
use crate::error::{Error, ErrorKind, Result};
use crate::progress::{ProgressSink, Silent};

/// Runs workflows, no more than so many model calls at once.
#[pyclass(frozen, module = "madspark._core")]
pub(super) struct Coordinator {
    coordinator: Arc<coordinator::Coordinator>,
}

#[pymethods]
impl Coordinator {
    #[new]
    fn new(py: Python<'_>, max_concurrent_agents: usize) -> PyResult<Self> {
        let coordinator =
            coordinator::Coordinator::new(max_concurrent_agents).map_err(|failure| error::to_python(py, &failure))?;
        Ok(Self { coordinator: Arc::new(coordinator) })
    }

    /// Raises what `start` would raise for these options, without running anything.
    #[staticmethod]
    fn check(py: Python<'_>, options: &str) -> PyResult<()> {
        parse(py, options).map(drop)
    }

    /// Starts one workflow. `emit(message, fraction)` takes the progress on the running loop's thread and must return at
    /// once; `gate` is a coroutine function that is asked between the stages. `events` are kept for readers at least, and
    /// where nobody reads them for `patience` seconds, the run is cancelled; without `events`, nobody may read.
    #[expect(clippy::too_many_arguments, reason = "one argument for each part of a run")]
    fn start(
        &self,
        py: Python<'_>,
        router: Source<'_>,
        options: &str,
        files: Vec<Given>,
        urls: Vec<String>,
        emit: Option<Py<PyAny>>,
        gate: Option<Py<PyAny>>,
        events: usize,
        patience: f64,
    ) -> PyResult<Run> {
        let process = Process::get(py)?;
        let mut options = parse(py, options)?;
        let attachments = Attachments::new(files, Vec::new(), urls);
        let (ours, router) = (router.routed(&process), router.generate(py, &process)?);
        let progress: Box<dyn ProgressSink> = match emit {
            Some(emit) => Box::new(Progress::new(py, &process, emit)?),
            None => Box::new(Silent),
        };
        let gate = gate.map(|gate| PythonGate::new(py, &process, gate)).transpose()?;
        let patience = Duration::try_from_secs_f64(patience).ok().filter(|_| events > 0).unwrap_or(Duration::MAX);
        let record = {
            // Clocks and timers are the runtime's.
            let _runtime = process.handle.enter();
            RunState::new(&*router, &options, events)
        };
        let coordinator = Arc::clone(&self.coordinator);
        let (tell, outcome) = watch::channel(None);
        let kept = Arc::clone(&record);
        let work = Box::pin(async move {
            let work = async {
                options.parts = agents::load(attachments, ours.as_ref()).await?;
                let gate = gate.as_ref().map(|gate| -> &dyn Gate { gate });
                coordinator.conduct(&*router, &options, &kept, Hooks { progress: &*progress, gate }).await
            };
            let end = tokio::select! {
                biased;
                end = bridge::guarded(work) => end,
                () = kept.journal().abandoned(patience) => {
                    Err(Error::new(ErrorKind::Cancelled, "nobody read the events of the run any more"))
                }
            };
            let failure = end.as_ref().err().filter(|failure| failure.kind() != ErrorKind::Cancelled);
            kept.close(failure.map(ToString::to_string).as_deref());
            // Nobody waits where the run was let go of.
            drop(tell.send(Some(end)));
        });
        let task = bridge::spawn(py, &process, work)?;
        Ok(Run { process, record, task, outcome })
    }
}

/// A run under way, and what is known of it. Dropping it cancels the run.
#[pyclass(frozen, module = "madspark._core")]
pub(super) struct Run {
    process: Arc<Process>,
    record: Arc<RunState>,
    task: AbortHandle,
    /// How the run ended; `None` before its end, and for ever where it was cancelled.
    outcome: watch::Receiver<Option<Result<()>>>,
}

#[pymethods]
impl Run {
    /// The name of the run.
    #[getter]
    fn id(&self) -> &str {
        self.record.id()
    }

    /// How many events are kept now.
    #[getter]
    fn kept_events(&self) -> usize {
        self.record.journal().len()
    }

    /// The events after number `after`, waited for, as a JSON list; None at the end of the run.
    fn events(&self, py: Python<'_>, after: u64) -> PyResult<Pending> {
        let record = Arc::clone(&self.record);
        let work = async move {
            let events = record.journal().read(after).await?;
            if events.is_empty() {
                Ok(None)
            } else {
                json(&events.iter().map(|event| &**event).collect::<Vec<_>>()).map(Some)
            }
        };
        bridge::submit(py, &self.process, Box::pin(work), |py, text| Ok(text.into_pyobject(py)?.into_any().unbind()))
    }

    /// The candidates as JSON text once the run has ended. Raises what ended it early.
    fn candidates(&self, py: Python<'_>) -> PyResult<Pending> {
        let (record, mut outcome) = (Arc::clone(&self.record), self.outcome.clone());
        let work = async move {
            record.journal().until(ended(&mut outcome)).await?;
            json(&record.candidates())
        };
        bridge::submit(py, &self.process, Box::pin(work), |py, text| Ok(text.into_pyobject(py)?.into_any().unbind()))
    }

    /// The result as JSON text once the run has ended, with the finished part where time, budget or the caller ended it
    /// early. Raises what ended it where there is no part.
    fn result(&self, py: Python<'_>) -> PyResult<Pending> {
        let (record, mut outcome) = (Arc::clone(&self.record), self.outcome.clone());
        let work = async move {
            match record.journal().until(ended(&mut outcome)).await {
                Err(failure) if !is_early(&failure) || record.candidates().is_empty() => Err(failure),
                _ => json(&record.result()),
            }
        };
        bridge::submit(py, &self.process, Box::pin(work), |py, text| Ok(text.into_pyobject(py)?.into_any().unbind()))
    }

    /// What there is of the result now, as JSON text.
    fn snapshot(&self, py: Python<'_>) -> PyResult<String> {
        json(&self.record.result()).map_err(|failure| error::to_python(py, &failure))
    }

    /// Cancels the run if it has not ended; its sockets close. Safe to call again.
    fn close(&self) {
        self.task.abort();
        self.record.close(None);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.close();
    }
}

/// Waits for the end of a run; that of one that was cancelled is no failure.
async fn ended(outcome: &mut watch::Receiver<Option<Result<()>>>) -> Result<()> {
    match outcome.wait_for(Option::is_some).await {
        Ok(end) => match &*end {
            Some(Err(failure)) if failure.kind() != ErrorKind::Cancelled => Err(failure.clone()),
            _ => Ok(()),
        },
        // The sender is gone with the task.
        Err(_) => Ok(()),
    }
}

/// Whether the run was to go on, had there been more time or a larger budget.
fn is_early(failure: &Error) -> bool {
    matches!(failure.kind(), ErrorKind::DeadlineExceeded | ErrorKind::BudgetReached)
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|failure| Error::new(ErrorKind::Internal, failure.to_string()))
}

fn parse(py: Python<'_>, options: &str) -> PyResult<Options> {
    // By way of a value: what is wrong with an option is told without a place in a text that the caller never saw.
    let options: Options = serde_json::from_str(options)
        .and_then(serde_json::from_value::<Options>)
        .map_err(|failure| PyValueError::new_err(failure.to_string()))?;
    options.validate().map_err(|failure| error::to_python(py, &failure))?;
    Ok(options)
}
