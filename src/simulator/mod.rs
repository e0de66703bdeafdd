//! An HTTP server that speaks the dialects of Ollama, Gemini, OpenAI and Anthropic on loopback, for tests and benchmarks.
//!
//! It answers any request for a completion: with an instance of the schema the request carries (see
//! [`sample()`]), else with a few sentences. It keeps every request as it arrived, and it
//! misbehaves where a [`Rule`] says so: errors, delays, cut or malformed replies, stalls, closed connections.
//!
//! ```
//! use madspark::simulator::{Fault, Route, Rule, Simulator};
//! use madspark::Provider;
//!
//! # fn main() -> madspark::Result<()> {
//! let simulator = Simulator::start()?;
//! // The first Gemini request is turned away, the second one loses its connection; all others are answered.
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
mod dialect;
mod gemini;
mod ollama;
mod openai;
mod record;
mod reply;
mod sample;
mod script;
mod server;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::config::Provider;
use crate::error::{Error, ErrorKind, Result};

pub use record::RecordedRequest;
pub use sample::sample;
pub use script::{Fault, Route, Rule};

use record::Log;
use script::Script;

/// A running server. It has one thread of its own, so that blocking callers and busy runtimes do not disturb it; dropping
/// it stops the server.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
}

/// What connections and the owner both see.
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
    /// Starts a server on a free port of 127.0.0.1. Fails with `Internal` where the system gives no port or no thread.
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

    /// Closes every connection, frees the port and waits for the thread to end. The requests stay readable; a second call
    /// does nothing. Fails with `Internal` where the server's thread had panicked.
    pub fn stop(&self) -> Result<()> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { stop, thread }) = running else { return Ok(()) };
        // The receiver is gone only where the thread has ended already.
        let _ = stop.send(());
        thread.join().map_err(|_| Error::new(ErrorKind::Internal, "the simulator's thread panicked"))
    }

    /// The address the server listens on, or listened on before it was stopped.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL for an Ollama client, without a path.
    pub fn ollama_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The base URL for a Gemini client, with the version part.
    pub fn gemini_url(&self) -> String {
        format!("http://{}/v1beta", self.address)
    }

    /// The base URL for an OpenAI client, with the version part.
    pub fn openai_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The base URL for an Anthropic client, with the version part. Anthropic shares its paths with OpenAI; a listing of
    /// models is Anthropic's where the request has the header `anthropic-version`.
    pub fn anthropic_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Adds a rule after those there are. For each request the first rule that matches and has turns left is taken. Fails
    /// with `InvalidInput` where a value cannot be sent: a status outside 200 to 599, a malformed header, a rate that is
    /// not positive.
    pub fn on(&self, rule: Rule) -> Result<()> {
        self.shared.script.add(rule)
    }

    /// Forgets all rules.
    pub fn clear_rules(&self) {
        self.shared.script.clear();
    }

    /// How long every answer waits whose rule names no latency. Default: not at all.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.script.settings().latency = latency;
    }

    /// How fast every answer is written whose rule names no rate; `None`, the default, is at once. Fails with
    /// `InvalidInput` unless the rate is positive.
    pub fn set_tokens_per_second(&self, rate: Option<f64>) -> Result<()> {
        script::check_rate(rate)?;
        self.shared.script.settings().tokens_per_second = rate;
        Ok(())
    }

    /// The models that every dialect lists, in place of each dialect's own default.
    pub fn set_models(&self, models: Vec<String>) {
        self.shared.script.settings().models = Some(models);
    }

    /// Whether a model that is not listed is answered with the dialect's 404. Default: every model is answered.
    pub fn restrict_models(&self, restricted: bool) {
        self.shared.script.settings().restricted = restricted;
    }

    /// From now on `provider` takes only `key`; another or none gets the dialect's own error (Gemini 400 or 403, else
    /// 401). Without this call any key will do, but Gemini and Anthropic want one as the real services do. Fails with `InvalidInput`
    /// for a provider without a wire.
    pub fn require_key(&self, provider: Provider, key: impl Into<String>) -> Result<()> {
        if dialect::of(provider).is_none() {
            return Err(Error::invalid_input(format!("the simulator does not speak {provider}")));
        }
        let mut settings = self.shared.script.settings();
        settings.keys.retain(|(known, _)| *known != provider);
        settings.keys.push((provider, key.into()));
        Ok(())
    }

    /// Every request so far, in the order their bodies were complete.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.log.requests()
    }

    /// Requests that are being answered now.
    pub fn in_flight(&self) -> usize {
        self.shared.log.in_flight()
    }

    /// The most requests that were being answered at one time.
    pub fn max_in_flight(&self) -> usize {
        self.shared.log.max_in_flight()
    }

    /// Forgets the requests so far; rules stay.
    pub fn clear(&self) {
        self.shared.log.clear();
    }

    /// Blocks until the requests fulfil `predicate`; `false` when `timeout` passes first. The predicate is called at
    /// every change, under a lock: it must not call the simulator.
    pub fn wait_for(&self, timeout: Duration, predicate: impl Fn(&[RecordedRequest]) -> bool) -> bool {
        self.shared.log.wait(timeout, predicate)
    }

    /// [`Simulator::wait_for`] without blocking the thread. Cancel-safe.
    pub async fn wait_for_async(
        &self,
        timeout: Duration,
        predicate: impl Fn(&[RecordedRequest]) -> bool + Send,
    ) -> bool {
        self.shared.log.wait_async(timeout, predicate).await
    }

    /// Blocks until `count` requests have arrived; `false` when `timeout` passes first.
    pub fn wait_for_requests(&self, count: usize, timeout: Duration) -> bool {
        self.wait_for(timeout, |requests| requests.len() >= count)
    }

    /// Blocks until `count` clients have hung up on a pending reply; `false` when `timeout` passes first.
    pub fn wait_for_hang_ups(&self, count: usize, timeout: Duration) -> bool {
        self.wait_for(timeout, |requests| requests.iter().filter(|request| request.hung_up).count() >= count)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // A panic of the server's thread has been printed by the thread itself.
        let _ = self.stop();
    }
}

fn failed(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Internal, format!("the simulator could not start: {error}"))
}
