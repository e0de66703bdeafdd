//! An HTTP server on the loopback interface with the APIs of Ollama, Gemini, OpenAI and Anthropic, for tests and
//! benchmarks.
//!
//! The completion is an instance of the schema of the request (see [`sample()`]), or a few sentences without a schema. The
//! simulator records every request. A [`Rule`] makes it fail: errors, delays, truncated or malformed replies, stalls,
//! closed connections. A [`RawReply`] is sent byte for byte.
//!
//! ```
//! use madspark::simulator::{Fault, Route, Rule, Simulator};
//! use madspark::Provider;
//!
//! # fn main() -> madspark::Result<()> {
//! let simulator = Simulator::start()?;
//! // The first Gemini request gets status 429, the second loses its connection; all others succeed.
//! let gemini = Route::Provider(Provider::Gemini);
//! simulator.on(Rule { route: gemini.clone(), status: Some(429), times: Some(1), ..Rule::default() })?;
//! simulator.on(Rule { route: gemini, fault: Some(Fault::Disconnect), times: Some(1), ..Rule::default() })?;
//! assert!(simulator.gemini_url().ends_with("/v1beta"));
//! assert!(simulator.requests().is_empty());
//! simulator.stop()?;
//! # Ok(())
//! # }
//! ```

mod anthropic;
mod body;
mod gemini;
mod ollama;
mod openai;
mod openai_responses;
mod protocol;
mod raw;
mod record;
mod reply;
mod sample;
mod script;
mod server;
mod socket;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::config::Provider;
use crate::error::{Error, ErrorKind, Result};

pub use raw::{RawEnd, RawPart, RawReply};
pub use record::RecordedRequest;
pub use sample::sample;
pub use script::{Fault, Route, Rule};

use record::Log;
use script::Script;

/// A running server on its own thread, so that blocking callers and busy runtimes do not delay it. Dropping it stops the
/// server.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
}

/// State shared by the connections and the owner.
#[derive(Debug)]
struct Shared {
    log: Arc<Log>,
    script: Script,
}

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Simulator {
    /// Starts a server on a free port of 127.0.0.1. Fails with `Internal` if the system has no port or thread.
    pub fn start() -> Result<Self> {
        let shared = Arc::new(Shared { log: Arc::new(Log::new()), script: Script::default() });
        let (stop, stopped) = oneshot::channel();
        let (started, address) = mpsc::sync_channel(1);
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("madspark-simulator".to_owned())
            .spawn(move || server::run(&served, &started, stopped))
            .map_err(|error| failed(&error))?;
        let address = address
            .recv()
            .map_err(|_| Error::new(ErrorKind::Internal, "the simulator's thread ended at its start"))?
            .map_err(|error| failed(&error))?;
        Ok(Self { address, shared, running: Mutex::new(Some(Running { stop, thread })) })
    }

    /// Closes every connection, frees the port and joins the thread. The requests stay readable; a second call does nothing.
    /// Fails with `Internal` if the thread panicked.
    pub fn stop(&self) -> Result<()> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { stop, thread }) = running else { return Ok(()) };
        // The receiver is dropped only if the thread has ended.
        let _ = stop.send(());
        thread.join().map_err(|_| Error::new(ErrorKind::Internal, "the simulator's thread panicked"))
    }

    /// The address of the server, also after it stopped.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL for an Ollama client, without a path.
    pub fn ollama_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The base URL for a Gemini client, including the version.
    pub fn gemini_url(&self) -> String {
        format!("http://{}/v1beta", self.address)
    }

    /// The base URL for an OpenAI client, including the version.
    pub fn openai_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The base URL for an Anthropic client, including the version. Anthropic shares its paths with OpenAI: a list of
    /// models is Anthropic's if the request has the header `anthropic-version`.
    pub fn anthropic_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Adds a rule. The first rule that matches a request and has uses left applies. Fails with `InvalidInput` for a status
    /// outside 200 to 599, a malformed header, a rate that is not positive, or a raw reply with other contents.
    pub fn on(&self, rule: Rule) -> Result<()> {
        self.shared.script.add(rule)
    }

    /// Removes all rules.
    pub fn clear_rules(&self) {
        self.shared.script.clear();
    }

    /// Sets the delay of replies whose rule has none. Default: no delay.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.script.settings().latency = latency;
    }

    /// Sets the rate of replies whose rule has none; `None`, the default, means no limit. Fails with `InvalidInput` unless
    /// the rate is positive.
    pub fn set_tokens_per_second(&self, rate: Option<f64>) -> Result<()> {
        script::check_rate(rate)?;
        self.shared.script.settings().tokens_per_second = rate;
        Ok(())
    }

    /// Sets the models that every API lists, instead of its default ones.
    pub fn set_models(&self, models: Vec<String>) {
        self.shared.script.settings().models = Some(models);
    }

    /// Sets whether a request to a model that is not listed gets status 404. Default: every model exists.
    pub fn restrict_models(&self, restricted: bool) {
        self.shared.script.settings().restricted = restricted;
    }

    /// Makes `provider` reject every key but `key`, as its real API does (Gemini with 400 or 403, the others with 401). By
    /// default any key is valid, and Gemini and Anthropic require one. Fails with `InvalidInput` for the mock.
    pub fn require_key(&self, provider: Provider, key: impl Into<String>) -> Result<()> {
        if protocol::protocol(provider).is_none() {
            return Err(Error::invalid_input(format!("the simulator does not speak {provider}")));
        }
        let mut settings = self.shared.script.settings();
        settings.keys.retain(|(known, _)| *known != provider);
        settings.keys.push((provider, key.into()));
        Ok(())
    }

    /// The requests so far, in the order in which their bodies were complete.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.log.requests()
    }

    /// The number of requests whose reply is not complete.
    pub fn in_flight(&self) -> usize {
        self.shared.log.in_flight()
    }

    /// The maximum of [`Simulator::in_flight`] so far.
    pub fn max_in_flight(&self) -> usize {
        self.shared.log.max_in_flight()
    }

    /// Removes the recorded requests; rules stay.
    pub fn clear(&self) {
        self.shared.log.clear();
    }

    /// Blocks until the requests fulfil `predicate`; returns false after `timeout`. The predicate is called on every change
    /// under a lock: it must not call the simulator.
    pub fn wait_for(&self, timeout: Duration, predicate: impl Fn(&[RecordedRequest]) -> bool) -> bool {
        self.shared.log.wait(timeout, predicate)
    }

    /// Like [`Simulator::wait_for`], without blocking the thread. Cancel-safe.
    pub async fn wait_for_async(
        &self,
        timeout: Duration,
        predicate: impl Fn(&[RecordedRequest]) -> bool + Send,
    ) -> bool {
        self.shared.log.wait_async(timeout, predicate).await
    }

    /// Blocks until `count` requests have arrived; returns false after `timeout`.
    pub fn wait_for_requests(&self, count: usize, timeout: Duration) -> bool {
        self.wait_for(timeout, |requests| requests.len() >= count)
    }

    /// Blocks until `count` clients have closed the connection during a reply; returns false after `timeout`.
    pub fn wait_for_hang_ups(&self, count: usize, timeout: Duration) -> bool {
        self.wait_for(timeout, |requests| requests.iter().filter(|request| request.hung_up).count() >= count)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // The panic hook has reported a panic of the thread.
        let _ = self.stop();
    }
}

fn failed(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Internal, format!("the simulator could not start: {error}"))
}
