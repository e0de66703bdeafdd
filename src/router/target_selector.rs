//! The way of one call through its targets: who may be asked when. No clock of its own and no I/O.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::policy::{self, Fallback, OnRefusal, Retry};
use super::target_state::{TargetState, TargetStates};
use crate::error::{Error, ErrorKind};
use crate::message::{Headroom, Repair, Request, SchemaForm};
use crate::provider::{self, Target};

/// One target of a call, and how the call stands with it.
#[derive(Debug)]
pub(super) struct CallTarget {
    pub(super) target: Target,
    /// What the process knows of it; `None` for the mock, which has neither limits nor a bad day.
    pub(super) state: Option<Arc<TargetState>>,
    /// Not asked before.
    ready_at: Instant,
    /// Requests this call has sent to it.
    pub(super) tried: u32,
    /// It is not asked again by this call.
    is_out: bool,
    repair: Option<Repair>,
    form: SchemaForm,
    room: Headroom,
    /// Its last failure.
    error: Option<Error>,
    /// It stood aside, and the call's record says so.
    was_passed_over: bool,
}

/// All targets of a call, in the order of its plan.
#[derive(Debug)]
pub(super) struct TargetSelector {
    stops: Vec<CallTarget>,
    on_refusal: OnRefusal,
    /// The target that failed in a way it can mend at once.
    mending: Option<usize>,
}

/// Who is asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// The target with this index.
    Ask(usize),
    /// Nobody before then.
    Wait {
        /// When somebody is ready.
        at: Instant,
        /// Whether that is the time the target has named.
        is_told: bool,
    },
    /// Nobody any more.
    Nobody,
}

impl TargetSelector {
    /// The way over `targets`, none of which has been asked.
    pub(super) fn new(targets: Vec<Target>, states: &TargetStates, on_refusal: OnRefusal, now: Instant) -> Self {
        let stops = targets.into_iter().map(|target| {
            let state = target.is_remote().then(|| states.of(&target));
            let form = state.as_ref().map_or(SchemaForm::Native, |state| state.form());
            CallTarget {
                target,
                state,
                ready_at: now,
                tried: 0,
                is_out: false,
                repair: None,
                form,
                room: Headroom::Standard,
                error: None,
                was_passed_over: false,
            }
        });
        Self { stops: stops.collect(), on_refusal, mending: None }
    }

    pub(super) fn stop(&self, index: usize) -> &CallTarget {
        &self.stops[index]
    }

    /// `request` as the target with this index is to be asked.
    pub(super) fn request(&self, index: usize, request: &Request) -> Request {
        let CallTarget { repair, form, room, .. } = &self.stops[index];
        Request { repair: repair.clone(), form: *form, room: *room, ..request.clone() }
    }

    /// Who is asked at `now`, `but` excepted: who can mend its failure; else, of those that are ready, the first in the plan
    /// that has not failed, then the first that has, and last who is known to fail for a while.
    pub(super) fn choose(&self, now: Instant, but: Option<usize>) -> Choice {
        let (mut again, mut behind) = (None, None);
        let mut soonest: Option<(Instant, &CallTarget)> = None;
        let order = self.mending.into_iter().chain(0..self.stops.len());
        for index in order.filter(|index| Some(*index) != but) {
            let stop = &self.stops[index];
            if stop.is_out {
                continue;
            }
            let ready_at = stop.ready_at(now);
            if ready_at > now {
                soonest = soonest.filter(|(before, _)| *before <= ready_at).or(Some((ready_at, stop)));
            } else if stop.is_demoted(now) {
                behind = behind.or(Some(index));
            } else if stop.error.is_none() || self.mending == Some(index) {
                return Choice::Ask(index);
            } else {
                again = again.or(Some(index));
            }
        }
        match (again.or(behind), soonest) {
            (Some(index), _) => Choice::Ask(index),
            (None, Some((at, stop))) => Choice::Wait { at, is_told: stop.is_told(at, now) },
            (None, None) => Choice::Nobody,
        }
    }

    /// The first target of the plan that may still be asked, ready or not.
    pub(super) fn preferred(&self) -> Option<usize> {
        self.stops.iter().position(|stop| !stop.is_out)
    }

    /// A request goes to the target with this index.
    pub(super) fn ask(&mut self, index: usize) {
        self.stops[index].tried += 1;
        self.mending = None;
    }

    /// Books `error` against the target with this index. `repair` is what to tell it where it may mend its reply. True where
    /// the call may go on; [`TargetSelector::choose`] tells with whom.
    pub(super) fn fail(&mut self, index: usize, error: Error, repair: Option<Repair>, now: Instant) -> bool {
        let kind = error.kind();
        let stop = &mut self.stops[index];
        let rule = policy::after(kind, stop.target.provider);
        // What no request was needed for to know, another one would not change.
        let is_final = stop.tried >= rule.tries || error.is_foreseen();
        let again = if is_final { Retry::Never } else { rule.again };
        stop.repair = if again == Retry::Corrected { repair } else { stop.repair.take() };
        let mends = match again {
            Retry::Never => false,
            Retry::Later => {
                stop.ready_at = now + policy::pause(&error, stop.tried);
                false
            }
            Retry::Corrected => stop.repair.is_some(),
            Retry::Simpler => stop.simplify(),
            Retry::Roomier => std::mem::replace(&mut stop.room, Headroom::Extended) == Headroom::Standard,
        };
        stop.is_out = again != Retry::Later && !mends;
        stop.error = Some(error);
        self.mending = mends.then_some(index);
        !self.ends_with(index, kind)
    }

    /// Whether no target would answer otherwise, once the one with this index has failed in this way.
    pub(super) fn ends_with(&self, index: usize, kind: ErrorKind) -> bool {
        match policy::after(kind, self.stops[index].target.provider).onward {
            Fallback::Next => false,
            Fallback::IfWanted => self.on_refusal == OnRefusal::Stop,
            Fallback::Stop => true,
        }
    }

    /// The target with this index is not asked before `at`; no failure of its own.
    pub(super) fn hold(&mut self, index: usize, at: Instant) {
        self.stops[index].ready_at = at;
    }

    /// The targets before `index` that stand aside now, told for the first time.
    pub(super) fn passed_over(&mut self, index: usize, now: Instant) -> Vec<(Target, Error)> {
        let mut told = Vec::new();
        for stop in &mut self.stops[..index] {
            if !stop.is_out && stop.error.is_none() && !stop.was_passed_over && stop.ready_at(now) > now {
                stop.was_passed_over = true;
                told.push((stop.target.clone(), stop.skipped_error(now)));
            }
        }
        told
    }

    /// Why each target gave no answer, in the order of the plan.
    pub(super) fn causes(&self, now: Instant) -> Vec<Error> {
        let cause = |stop: &CallTarget| {
            let Some(error) = &stop.error else { return stop.skipped_error(now) };
            let ready_in = if stop.is_out { stop.rest(now) } else { stop.ready_at(now).saturating_duration_since(now) };
            error.clone().with_ready_in((!ready_in.is_zero()).then_some(ready_in))
        };
        self.stops.iter().filter(|stop| stop.error.is_some() || stop.ready_at(now) > now).map(cause).collect()
    }
}

impl CallTarget {
    /// The form in which any other call would ask it first; `None` where it is to correct its answer.
    pub(super) fn first_form(&self) -> Option<SchemaForm> {
        (self.repair.is_none() && self.room == Headroom::Standard).then_some(self.form)
    }

    fn ready_at(&self, now: Instant) -> Instant {
        self.ready_at.max(now + self.rest(now))
    }

    /// How long no call of the process asks it.
    fn rest(&self, now: Instant) -> Duration {
        self.state.as_ref().map_or(Duration::ZERO, |state| state.breaker.ready_in(now))
    }

    /// Whether it is the target that has asked not to be asked before `ready_at`.
    fn is_told(&self, ready_at: Instant, now: Instant) -> bool {
        let resting = self.state.as_ref().map_or(Duration::ZERO, |state| state.breaker.resting_in(now));
        let was_told = self.error.as_ref().is_some_and(|error| error.retry_after().is_some());
        (was_told && self.ready_at >= ready_at) || now + resting >= ready_at
    }

    fn is_demoted(&self, now: Instant) -> bool {
        self.state.as_ref().is_some_and(|state| state.breaker.is_demoted(now))
    }

    /// Goes over to a simpler form of schema, where the protocol has one, for every later call too.
    fn simplify(&mut self) -> bool {
        let codec = provider::codec(self.target.provider);
        let Some(form) = codec.and_then(|codec| codec.simpler_form(&self.target, self.form)) else { return false };
        self.form = form;
        if let Some(state) = &self.state {
            state.remember_form(form);
        }
        true
    }

    fn skipped_error(&self, now: Instant) -> Error {
        let ready_at = self.ready_at(now);
        let wait = Some(ready_at.saturating_duration_since(now));
        let error = if self.is_told(ready_at, now) {
            Error::new(ErrorKind::Cooldown, "was not asked: it has asked to be left alone").with_retry_after(wait)
        } else {
            Error::new(ErrorKind::BreakerOpen, "was not asked: it has failed again and again").with_ready_in(wait)
        };
        self.target.locate(error)
    }
}
