//! The router of one stage: permits, timeouts and the accounting of its calls.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::event::EventKind;
use super::options::{OutputTokens, OutputTokensRule};
use super::provider_gate::Admissions;
use super::result::StopReason;
use super::run::Run;
use super::run_handle::RunHandle;
use super::spending::Spending;
use super::stage::Stage;
use crate::attempt::Attempt;
use crate::config::Provider;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Page, Part, Request};
use crate::router::{AttemptObserver, CallHooks, Generate, PreferredTarget, ProviderUse, Response};
use crate::sync::lock;

/// The router as one group of ideas uses it in a stage: every call waits for a permit, and ends when the group has used up the
/// time of the stage, or at the run's deadline.
///
/// These limits end calls, not the future of the stage, so the stage keeps what earlier calls returned. Only the time from the
/// first request of a call counts, not the wait for a permit or for the limits of the target.
pub(super) struct StageRouter<'a> {
    pub(super) run: Run<'a>,
    pub(super) stage: Stage,
    limit: Duration,
    /// The time that earlier calls took.
    used: Mutex<Duration>,
}

impl<'a> StageRouter<'a> {
    pub(super) fn new(run: Run<'a>, stage: Stage, limit: Duration) -> Self {
        Self { run, stage, limit, used: Mutex::default() }
    }

    async fn call(&self, mut request: Request, hooks: CallHooks<'_>) -> Result<Response> {
        let Run { router, permits, handle, options, .. } = self.run;
        match options.max_output_tokens {
            OutputTokens::Limit(tokens) => request.max_tokens = Some(tokens),
            OutputTokens::Rule(OutputTokensRule::Unlimited) => request.max_tokens = None,
            OutputTokens::Rule(OutputTokensRule::Auto) => {}
        }
        let left = self.limit.saturating_sub(*lock(&self.used));
        // A timer polls the call once even after the deadline, which would start it.
        if self.run.deadline.has_passed() {
            return Err(self.run_timeout());
        }
        if left.is_zero() {
            return Err(self.stage_timeout());
        }
        let first_request = Arc::new(Notify::new());
        let recorder = AttemptRecorder {
            handle: Arc::clone(handle),
            stage: self.stage,
            parts: request.parts.clone(),
            attempts: Mutex::default(),
            first_request: Arc::clone(&first_request),
            admissions: self.run.hooks.admissions.cloned(),
        };
        let recorder = Arc::new(recorder);
        let observer: Arc<dyn AttemptObserver> = Arc::<AttemptRecorder>::clone(&recorder);
        let hooks = CallHooks { observer: Some(&observer), ..hooks };
        let call = async {
            handle.wait_for_readers().await;
            let closed = |_| Error::new(ErrorKind::Internal, "the semaphore of the coordinator is closed");
            let _permit = permits.acquire().await.map_err(closed)?;
            // A custom router does not report its requests.
            if router.preferred_target().is_none() {
                first_request.notify_one();
            }
            router.generate(request, hooks).await
        };
        let outcome = self.within_limits(left, &first_request, call).await;
        recorder.finish(&outcome);
        outcome
    }

    /// Awaits `call` until the run's deadline, and for at most `left` from its `first_request` on.
    async fn within_limits(
        &self,
        left: Duration,
        first_request: &Notify,
        call: impl Future<Output = Result<Response>>,
    ) -> Result<Response> {
        let run_deadline = self.run.deadline.at;
        let mut call = std::pin::pin!(call);
        tokio::select! {
            biased;
            outcome = &mut call => return outcome,
            () = first_request.notified() => {}
            () = sleep_until(run_deadline) => return Err(self.run_timeout()),
        }
        let began = Instant::now();
        let stage_deadline = began + left;
        let outcome = timeout_at(run_deadline.min(stage_deadline), call).await;
        *lock(&self.used) += began.elapsed();
        outcome.unwrap_or_else(|_| {
            Err(if run_deadline <= stage_deadline { self.run_timeout() } else { self.stage_timeout() })
        })
    }

    fn run_timeout(&self) -> Error {
        self.run.handle.update(|state| state.stop(StopReason::Deadline));
        self.run.deadline.run_error()
    }

    fn stage_timeout(&self) -> Error {
        let (seconds, stage) = (self.limit.as_secs_f64(), self.stage);
        Error::new(ErrorKind::DeadlineExceeded, format!("the limit of {seconds} s for {stage} was reached"))
    }
}

impl Generate for StageRouter<'_> {
    fn generate<'a>(&'a self, request: Request, hooks: CallHooks<'a>) -> BoxFuture<'a, Result<Response>> {
        Box::pin(self.call(request, hooks))
    }

    fn max_prompt_chars(&self) -> usize {
        self.run.router.max_prompt_chars()
    }

    fn supports_concurrency(&self) -> bool {
        self.run.router.supports_concurrency()
    }

    fn preferred_target(&self) -> Option<PreferredTarget> {
        self.run.router.preferred_target()
    }
}

/// A router that reports the completed parts of its replies, for agents that do not.
pub(super) struct WithPartials<'a, F> {
    pub(super) router: &'a StageRouter<'a>,
    pub(super) on_partial: F,
}

impl<F: Fn(&str) + Send + Sync> Generate for WithPartials<'_, F> {
    fn generate<'a>(&'a self, request: Request, hooks: CallHooks<'a>) -> BoxFuture<'a, Result<Response>> {
        self.router.generate(request, CallHooks { on_partial: Some(&self.on_partial), ..hooks })
    }

    fn max_prompt_chars(&self) -> usize {
        self.router.max_prompt_chars()
    }

    fn supports_concurrency(&self) -> bool {
        self.router.supports_concurrency()
    }

    fn preferred_target(&self) -> Option<PreferredTarget> {
        self.router.preferred_target()
    }
}

/// Records the attempts of one call in the run: their usage, failures and fallbacks.
struct AttemptRecorder {
    handle: Arc<RunHandle>,
    stage: Stage,
    /// The attachments of the call.
    parts: Vec<Part>,
    attempts: Mutex<Attempts>,
    /// Notified when the first request is sent.
    first_request: Arc<Notify>,
    admissions: Option<Arc<Admissions>>,
}

/// The observed attempts of one call.
#[derive(Default)]
struct Attempts {
    /// The target of the latest attempt.
    latest: Option<(Provider, String)>,
    in_flight: usize,
    has_ended: bool,
    has_fallen_back: bool,
    /// The reported failures, by what distinguishes them.
    reported: Vec<(Duration, Option<ErrorKind>)>,
}

impl AttemptRecorder {
    /// Records the outcome of the call, and those of its attempts that were not observed.
    fn finish(&self, outcome: &Result<Response>) {
        let Attempts { has_ended, has_fallen_back, reported, .. } = std::mem::take(&mut *lock(&self.attempts));
        let attempts = match outcome {
            Ok(response) => {
                // An answer from the cache or of another call sent no request for this one.
                let is_accounted = has_ended || response.is_cached || !response.attempts.is_empty();
                self.handle.update(|state| {
                    if !is_accounted {
                        state.stages.add_spending(self.stage, &Spending::of_response(response));
                    }
                    state.stages.add_answer(self.stage, response);
                    for page in self.missing_pages(response) {
                        if let Some(problem) = page.problem() {
                            state.stages.add_missing_page(self.stage, format!("the page at {} {problem}", page.url));
                        }
                    }
                });
                &response.attempts[..]
            }
            Err(error) => error.attempts(),
        };
        for attempt in attempts.iter().filter(|attempt| !attempt.ok()) {
            if !reported.contains(&(attempt.latency, attempt.error)) {
                self.report_failure(attempt);
            }
        }
        // A target that was skipped without a request is only visible here.
        if let (Ok(response), false, Some(first)) = (outcome, has_fallen_back, attempts.first())
            && (first.provider.as_str(), &*first.model) != (&*response.provider, &*response.model)
            && !first.sent
        {
            self.report_fallback(&response.provider, &response.model, first.provider.as_str());
        }
        if outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::BudgetReached) {
            self.handle.update(|state| {
                state.stop(StopReason::Budget);
                let spent = state.stages.spent();
                state.report(EventKind::Budget { spent, is_reached: true }, None)
            });
        }
    }

    /// Returns the web pages that `response` lacks. An answer from the cache has no attempt that says so.
    fn missing_pages(&self, response: &Response) -> Vec<Page> {
        match response.attempts.last() {
            Some(attempt) if attempt.ok() => attempt.pages.clone(),
            _ => self.parts.iter().filter_map(Part::page_failure).collect(),
        }
    }

    fn report_failure(&self, attempt: &Attempt) {
        let Some(error) = attempt.error else { return };
        self.report(EventKind::AttemptFailed {
            stage: self.stage,
            provider: attempt.provider.as_str().to_owned(),
            model: attempt.model.to_string(),
            error: error.as_str().into(),
            reason: attempt.message.clone(),
            status: attempt.status,
        });
    }

    fn report_fallback(&self, provider: &str, model: &str, instead_of: &str) {
        self.report(EventKind::FallbackTaken {
            stage: self.stage,
            provider: provider.to_owned(),
            model: model.to_owned(),
            instead_of: instead_of.to_owned(),
        });
    }

    fn report(&self, kind: EventKind) {
        self.handle.update(|state| state.report(kind, None));
    }
}

impl AttemptObserver for AttemptRecorder {
    fn admit(&self, provider: ProviderUse) -> Option<BoxFuture<'static, Result<bool>>> {
        self.admissions.as_ref()?.admit(self.stage, provider)
    }

    fn started(&self, provider: Provider, model: &str) {
        self.first_request.notify_one();
        let before = {
            let mut attempts = lock(&self.attempts);
            // An attempt concurrent with another one is a hedge, not a fallback.
            let is_alone = attempts.in_flight == 0;
            attempts.in_flight += 1;
            let before = attempts.latest.replace((provider, model.to_owned()));
            let before = before.filter(|(latest, known)| is_alone && (*latest != provider || known != model));
            attempts.has_fallen_back |= before.is_some();
            before
        };
        if let Some((before, _)) = before {
            self.report_fallback(provider.as_str(), model, before.as_str());
        }
    }

    fn ended(&self, attempt: &Attempt, cost: Option<f64>) {
        {
            let mut attempts = lock(&self.attempts);
            attempts.has_ended = true;
            attempts.in_flight = attempts.in_flight.saturating_sub(1);
            if attempt.error.is_some() {
                attempts.reported.push((attempt.latency, attempt.error));
            }
        }
        self.handle.update(|state| state.stages.add_spending(self.stage, &Spending::of_attempt(attempt, cost)));
        if attempt.error.is_some_and(|kind| kind != ErrorKind::Cancelled) {
            self.report_failure(attempt);
        }
    }

    fn rejected(&self, attempt: &Attempt) {
        lock(&self.attempts).reported.push((attempt.latency, attempt.error));
        self.report_failure(attempt);
    }
}
