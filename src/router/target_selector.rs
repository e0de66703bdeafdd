//! Selects the target of each attempt of a call. No clock of its own and no I/O.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::plan::PlannedTarget;
use super::policy::{self, Fallback, OnRefusal, Retry};
use super::target_state::{TargetState, TargetStates};
use crate::error::{Error, ErrorKind};
use crate::message::{Headroom, Repair, Request, SchemaForm};
use crate::parameter::Adjustments;
use crate::provider::{FormScope, Target};
use crate::schema::Schema;

/// The targets of a call, in the order of its plan.
#[derive(Debug)]
pub(super) struct TargetSelector {
    targets: Vec<CallTarget>,
    on_refusal: OnRefusal,
    /// The index of the target that retries its last failure at once.
    immediate_retry: Option<usize>,
}

/// One target of a call and its state in the call.
#[derive(Debug)]
pub(super) struct CallTarget {
    pub(super) target: Arc<Target>,
    /// The state that the process shares; `None` for the mock, which has neither limits nor a breaker.
    pub(super) state: Option<Arc<TargetState>>,
    /// The call sends nothing to it before.
    ready_at: Instant,
    /// The number of attempts of this call.
    pub(super) attempts: u32,
    /// The number of failed attempts of each class.
    failures: Vec<(ErrorKind, u32)>,
    /// The call makes no further attempt at it.
    is_exhausted: bool,
    repair: Option<Repair>,
    form: SchemaForm,
    /// Whether the reply in the last form held no JSON, so that the schema is stated in the prompt.
    is_form_ignored: bool,
    headroom: Headroom,
    /// The changes that it requires of the requests of this call.
    adjustments: Adjustments,
    last_error: Option<Error>,
    /// When its server first reported in this call that it is loading its model.
    loading_since: Option<Instant>,
    /// The attempts of the call say already that it was skipped.
    is_skip_recorded: bool,
}

/// The target of the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// The target with this index is ready.
    Now(usize),
    /// No target is ready before `at`.
    Later {
        /// When the first target becomes ready.
        at: Instant,
        /// The longest wait for that target of a call without a deadline, all its waits together.
        max_wait: Duration,
    },
}

impl TargetSelector {
    /// Creates the selector of a call that sends `schema`.
    pub(super) fn new(
        targets: &[PlannedTarget],
        schema: Option<&Schema>,
        states: &TargetStates,
        on_refusal: OnRefusal,
        now: Instant,
    ) -> Self {
        let targets = targets.iter().map(|PlannedTarget { target, key }| {
            let state = key.map(|key| states.of(key));
            let form = state.as_ref().map_or(SchemaForm::Native, |state| state.forms.form(schema));
            CallTarget {
                target: Arc::clone(target),
                state,
                ready_at: now,
                attempts: 0,
                failures: Vec::new(),
                is_exhausted: false,
                repair: None,
                form,
                is_form_ignored: false,
                headroom: Headroom::Standard,
                adjustments: Adjustments::default(),
                last_error: None,
                loading_since: None,
                is_skip_recorded: false,
            }
        });
        Self { targets: targets.collect(), on_refusal, immediate_retry: None }
    }

    pub(super) fn target(&self, index: usize) -> &CallTarget {
        &self.targets[index]
    }

    /// Returns `request` as it is sent to the target with `index`.
    pub(super) fn request(&self, index: usize, request: &Request) -> Request {
        let target = &self.targets[index];
        let CallTarget { repair, form, headroom, .. } = target;
        let adjustments = target.adjustments();
        Request { repair: repair.clone(), form: *form, headroom: *headroom, adjustments, ..request.clone() }
    }

    /// Chooses the target of an attempt at `now`, except the one with index `except`; `None` if none is left.
    ///
    /// A target that retries at once comes first. Of the targets that are ready, the first one in the plan without a failure
    /// is next, then the first one with a failure, and last a demoted one.
    pub(super) fn choose(&self, now: Instant, except: Option<usize>) -> Option<Choice> {
        let (mut failed, mut demoted) = (None, None);
        let mut soonest: Option<(Instant, &CallTarget)> = None;
        let order = self.immediate_retry.into_iter().chain(0..self.targets.len());
        for index in order.filter(|index| Some(*index) != except) {
            let target = &self.targets[index];
            if target.is_exhausted {
                continue;
            }
            let ready_at = target.ready_at(now);
            if ready_at > now {
                soonest = soonest.filter(|(before, _)| *before <= ready_at).or(Some((ready_at, target)));
            } else if target.is_demoted(now) {
                demoted = demoted.or(Some(index));
            } else if target.last_error.is_none() || self.immediate_retry == Some(index) {
                return Some(Choice::Now(index));
            } else {
                failed = failed.or(Some(index));
            }
        }
        match (failed.or(demoted), soonest) {
            (Some(index), _) => Some(Choice::Now(index)),
            (None, Some((at, target))) => Some(Choice::Later { at, max_wait: target.max_wait(at, now) }),
            (None, None) => None,
        }
    }

    /// Returns the first target of the plan that is not exhausted, ready or not.
    pub(super) fn preferred(&self) -> Option<usize> {
        self.targets.iter().position(|target| !target.is_exhausted)
    }

    /// Notes that an attempt at the target with `index` begins.
    pub(super) fn begin(&mut self, index: usize) {
        self.targets[index].attempts += 1;
        self.immediate_retry = None;
    }

    /// Applies the policy to `error` of the target with `index`, to which `request` was sent. `repair` corrects the reply if the
    /// policy allows that. Returns whether the call may continue; [`TargetSelector::choose`] returns the target.
    pub(super) fn fail(
        &mut self,
        index: usize,
        request: &Request,
        error: Error,
        repair: Option<Repair>,
        now: Instant,
    ) -> bool {
        let kind = error.kind();
        let target = &mut self.targets[index];
        let rule = policy::rule(kind, target.target.provider);
        // A preflight error needs no request to recur.
        let is_final = target.count_failure(kind) >= rule.max_attempts || error.is_preflight();
        let retry = if is_final { Retry::Never } else { rule.retry };
        target.repair = if retry == Retry::WithCorrection { repair } else { target.repair.take() };
        let retries_at_once = match retry {
            Retry::Never => false,
            Retry::AfterPause | Retry::WhenLoaded => {
                target.ready_at = now + policy::retry_delay(&error, target.attempts);
                false
            }
            Retry::WithCorrection => target.correct(),
            Retry::SimplerSchema => target.simplify(request, &error),
            Retry::WithoutParameter => target.adjust(&error),
            Retry::LessThinking => target.think_less(),
            Retry::MoreHeadroom => std::mem::replace(&mut target.headroom, Headroom::Extended) == Headroom::Standard,
        };
        let waits = match retry {
            Retry::AfterPause => true,
            Retry::WhenLoaded => target.is_loading(&error, now),
            _ => false,
        };
        target.is_exhausted = !waits && !retries_at_once;
        target.last_error = Some(error);
        self.immediate_retry = retries_at_once.then_some(index);
        !self.is_fatal(index, kind)
    }

    /// Notes that a reply of the target with `index` was accepted.
    pub(super) fn succeed(&self, index: usize) {
        let target = &self.targets[index];
        // The target ignored the enforced form and followed the prompt.
        if let Some(state) = target.state.as_ref().filter(|_| target.is_form_ignored) {
            state.forms.remember(target.form, FormScope::Target, None);
        }
    }

    /// Whether a failure of class `kind` at the target with `index` ends the call.
    pub(super) fn is_fatal(&self, index: usize, kind: ErrorKind) -> bool {
        match policy::rule(kind, self.targets[index].target.provider).fallback {
            Fallback::Allowed => false,
            Fallback::OnRefusal => self.on_refusal == OnRefusal::Stop,
            Fallback::Never => true,
        }
    }

    /// Sends nothing to the target with `index` before `at`. Not a failure.
    pub(super) fn defer(&mut self, index: usize, at: Instant) {
        self.targets[index].ready_at = at;
    }

    /// Returns the targets before `index` that are skipped because they are not ready; each one once in a call.
    pub(super) fn take_skipped(&mut self, index: usize, now: Instant) -> Vec<(Arc<Target>, Error)> {
        let mut skipped = Vec::new();
        for target in &mut self.targets[..index] {
            let is_new = !target.is_exhausted && target.last_error.is_none() && !target.is_skip_recorded;
            if is_new && target.ready_at(now) > now {
                target.is_skip_recorded = true;
                skipped.push((Arc::clone(&target.target), target.skip_error(now)));
            }
        }
        skipped
    }

    /// Returns why each target has not answered, in the order of the plan.
    pub(super) fn causes(&self, now: Instant) -> Vec<Error> {
        (0..self.targets.len()).filter_map(|index| self.cause(index, now)).collect()
    }

    /// Returns why the target with `index` has not answered; `None` if it is ready and has not failed.
    pub(super) fn cause(&self, index: usize, now: Instant) -> Option<Error> {
        let target = &self.targets[index];
        let Some(error) = &target.last_error else {
            return (target.ready_at(now) > now).then(|| target.skip_error(now));
        };
        let ready_in = if target.is_exhausted {
            target.breaker_wait(now)
        } else {
            target.ready_at(now).saturating_duration_since(now)
        };
        Some(error.clone().with_ready_in((!ready_in.is_zero()).then_some(ready_in)))
    }
}

impl CallTarget {
    /// Returns the schema form and the changes of a first request to it; `None` if the next request is a correction, or has
    /// more headroom or less thinking.
    pub(super) fn first_variant(&self) -> Option<(SchemaForm, Adjustments)> {
        let is_first = self.repair.is_none() && self.headroom == Headroom::Standard && !self.adjustments.less_thinking;
        is_first.then(|| (self.form, self.adjustments()))
    }

    /// Returns the changes that it requires: those of this call, and those that the process knows.
    fn adjustments(&self) -> Adjustments {
        self.state.as_ref().map_or(self.adjustments, |state| self.adjustments.union(state.adjustments()))
    }

    /// Counts a failure of class `kind`. Returns the number of such failures.
    fn count_failure(&mut self, kind: ErrorKind) -> u32 {
        if let Some((_, count)) = self.failures.iter_mut().find(|(class, _)| *class == kind) {
            *count += 1;
            return *count;
        }
        self.failures.push((kind, 1));
        1
    }

    fn ready_at(&self, now: Instant) -> Instant {
        self.ready_at.max(now + self.breaker_wait(now))
    }

    /// Returns how long its breaker admits no call of the process.
    fn breaker_wait(&self, now: Instant) -> Duration {
        self.state.as_ref().map_or(Duration::ZERO, |state| state.breaker.ready_in(now))
    }

    /// Whether the target itself requested the wait until `ready_at`.
    fn is_requested(&self, ready_at: Instant, now: Instant) -> bool {
        let cooldown = self.state.as_ref().map_or(Duration::ZERO, |state| state.breaker.cooldown(now));
        let has_retry_after = self.last_error.as_ref().is_some_and(|error| error.retry_after().is_some());
        (has_retry_after && self.ready_at >= ready_at) || now + cooldown >= ready_at
    }

    /// Returns how long a call without a deadline waits for it until `ready_at`.
    fn max_wait(&self, ready_at: Instant, now: Instant) -> Duration {
        match &self.last_error {
            // Bounded by the time limit for loading.
            Some(error) if error.kind() == ErrorKind::Loading => Duration::MAX,
            _ if self.is_requested(ready_at, now) => policy::MAX_REQUESTED_WAIT,
            _ => policy::MAX_WAIT,
        }
    }

    /// Whether its server reports with `error` that it is loading its model, and may be ready before the time limit for that
    /// is over. Not if the request itself waited for the model: its time limit was that of loading.
    fn is_loading(&mut self, error: &Error, now: Instant) -> bool {
        let since = *self.loading_since.get_or_insert(now);
        let limit = self.target.options.load_timeout.unwrap_or(self.target.timeout);
        error.status().is_some() && self.ready_at.saturating_duration_since(since) < limit
    }

    fn is_demoted(&self, now: Instant) -> bool {
        self.state.as_ref().is_some_and(|state| state.breaker.is_demoted(now))
    }

    /// Switches to the form of the correction, if there is one. Returns false without a correction.
    fn correct(&mut self) -> bool {
        let Some(repair) = &self.repair else { return false };
        if let Some(form) = repair.form {
            self.is_form_ignored = true;
            self.form = form;
        }
        true
    }

    /// Switches to a simpler schema form after `error`, also for later calls. Returns false if the protocol has none.
    fn simplify(&mut self, request: &Request, error: &Error) -> bool {
        let request = Request { form: self.form, ..request.clone() };
        let codec = self.target.codec();
        let simpler = codec.and_then(|codec| codec.simpler_form(&self.target, &request, error));
        let Some((form, scope)) = simpler else { return false };
        self.form = form;
        if let Some(state) = &self.state {
            state.forms.remember(form, scope, request.schema.as_deref());
        }
        true
    }

    /// Asks for less thinking. Returns false if that changes nothing.
    fn think_less(&mut self) -> bool {
        let before = Request { adjustments: self.adjustments(), ..Request::new("?") };
        let adjustments = before.adjustments.with_less_thinking();
        let codec = self.target.codec();
        let is_change = codec.is_some_and(|codec| codec.changes(&self.target, &before, adjustments));
        self.adjustments.less_thinking |= is_change;
        is_change
    }

    /// Leaves out the parameter that it refused, also in later calls. Returns false if that changes nothing.
    fn adjust(&mut self, error: &Error) -> bool {
        let Some(refusal) = error.refusal() else { return false };
        let before = self.adjustments;
        self.adjustments = before.after(refusal);
        if let Some(state) = &self.state
            && refusal.is_lasting()
        {
            state.remember_refusal(refusal);
        }
        self.adjustments != before
    }

    fn skip_error(&self, now: Instant) -> Error {
        let ready_at = self.ready_at(now);
        let wait = Some(ready_at.saturating_duration_since(now));
        let error = if self.is_requested(ready_at, now) {
            Error::new(ErrorKind::Cooldown, "skipped: in cooldown after its Retry-After").with_retry_after(wait)
        } else {
            Error::new(ErrorKind::BreakerOpen, "skipped: its circuit breaker is open after repeated failures")
                .with_ready_in(wait)
        };
        self.target.locate(error)
    }
}
