//! The coordinator, as the Python package drives it: options in JSON, candidates in JSON.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::agents::{self, Source};
use super::attachments::{Attachments, Given};
use super::bridge::{self, Pending};
use super::callback::Progress;
use super::error;
use super::runtime::Process;
use crate::coordinator::{self, Options};
use crate::error::{Error, ErrorKind};

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

    /// Raises what `arun` would raise for these options, without running anything.
    #[staticmethod]
    fn check(py: Python<'_>, options: &str) -> PyResult<()> {
        parse(py, options).map(drop)
    }

    /// Runs one workflow; its result is the candidates as JSON text. `emit(message, fraction)` takes the progress on the
    /// running loop's thread and must return at once.
    fn arun(
        &self,
        py: Python<'_>,
        router: Source<'_>,
        options: &str,
        files: Vec<Given>,
        urls: Vec<String>,
        emit: Py<PyAny>,
    ) -> PyResult<Pending> {
        let process = Process::get(py)?;
        let mut options = parse(py, options)?;
        let attachments = Attachments::new(files, Vec::new(), urls);
        let (ours, router) = (router.routed(&process), router.generate(py, &process)?);
        let progress = Progress::new(py, &process.lane, emit)?;
        let coordinator = Arc::clone(&self.coordinator);
        let work = async move {
            options.parts = agents::load(attachments, ours.as_ref()).await?;
            let candidates = coordinator.run(&*router, &options, &progress).await?;
            serde_json::to_string(&candidates).map_err(|failure| Error::new(ErrorKind::Internal, failure.to_string()))
        };
        bridge::submit(py, &process, work, |py, text| Ok(text.into_pyobject(py)?.into_any().unbind()))
    }
}

fn parse(py: Python<'_>, options: &str) -> PyResult<Options> {
    let options: Options =
        serde_json::from_str(options).map_err(|failure| PyValueError::new_err(failure.to_string()))?;
    options.validate().map_err(|failure| error::to_python(py, &failure))?;
    Ok(options)
}
