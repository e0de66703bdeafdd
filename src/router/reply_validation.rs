//! Validates the reply of an attempt together with the owner of the schema.
//!
//! A structured reply that cannot be used as received is read once more, leniently, before another request is sent.

use std::sync::Arc;

use super::Rejection;
use super::call_state::CallState;
use crate::attempt::Change;
use crate::error::{Error, ErrorKind, Rejected, Result};
use crate::message::{FinishReason, Repair, Reply, SchemaForm};
use crate::offload::offload;
use crate::schema::{self, Dialect, Recovery};

/// How many times as much work it is to read a byte leniently as strictly, if a hostile text has it read again and again.
const WORK_PER_BYTE: usize = 16;

/// The validation of the last reply of a call.
#[derive(Debug, Default)]
pub(super) struct ReplyValidation {
    candidate: Option<PendingReply>,
}

#[derive(Debug)]
struct PendingReply {
    reply: Reply,
    /// The text as received, if it was recovered.
    received: Option<String>,
}

impl ReplyValidation {
    /// Returns the text to validate; `None` without a candidate.
    pub(super) fn text(&self) -> Option<&str> {
        self.candidate.as_ref().map(|candidate| candidate.reply.text.as_str())
    }

    /// Returns the valid reply, with the text that was validated.
    pub(super) fn accept(&mut self) -> Option<Reply> {
        self.candidate.take().map(|candidate| candidate.reply)
    }

    /// Makes `reply`, the last one of `call`, the candidate. Returns false if there is nothing in it to validate.
    pub(super) fn begin(&mut self, call: &mut CallState, reply: Reply) -> bool {
        let is_usable = call.request.schema.is_none() || reply.is_json;
        if reply.is_from_reasoning
            && let Some(attempt) = call.attempts.last_mut()
        {
            attempt.changes.push(Change::AnswerInReasoning);
        }
        self.candidate = Some(PendingReply { reply, received: None });
        is_usable || self.recover(call)
    }

    /// Reads the candidate leniently, once. Returns whether there is another text to validate.
    pub(super) fn recover(&mut self, call: &mut CallState) -> bool {
        let (Some(candidate), Some(schema)) = (&mut self.candidate, &call.request.schema) else { return false };
        if candidate.received.is_some() {
            return false;
        }
        // What looked like the JSON may be a part of almost valid JSON.
        let reply = candidate.reply.around.as_ref().unwrap_or(&candidate.reply.text);
        let work = WORK_PER_BYTE * reply.len();
        let (json, changes) = match offload(work, || schema::recover_until(reply, schema, call.deadline)) {
            Recovery::Repaired { json, changes } => (json, changes),
            // One of several values, which only coercion could tell from the others.
            Recovery::Strict(json) if !candidate.reply.is_json => (json, Vec::new()),
            Recovery::Strict(_) | Recovery::Truncated | Recovery::NoJson => return false,
        };
        // A missing bracket may be added only if the model had finished.
        if changes.contains(&Change::MissingCloser) && candidate.reply.finish != FinishReason::Stop {
            return false;
        }
        candidate.received = Some(std::mem::replace(&mut candidate.reply.text, json));
        if let Some(attempt) = call.attempts.last_mut() {
            attempt.changes.extend(changes);
        }
        true
    }

    /// Rejects the candidate: the last attempt of `call` has failed. Returns its error, and the request for a correction.
    pub(super) fn reject(&mut self, call: &mut CallState, rejection: &Rejection) -> Result<(Error, Repair)> {
        let (Some(candidate), Some(attempt)) = (self.candidate.take(), call.attempts.last_mut()) else {
            return Err(Error::new(ErrorKind::Internal, "a rejection without a candidate"));
        };
        let holds_json = candidate.reply.is_json || candidate.received.is_some();
        let text = candidate.received.unwrap_or(candidate.reply.text);
        let kind = ErrorKind::InvalidOutput;
        let message = format!("the reply does not fit the schema: {}", rejection.faults.join("; "));
        attempt.error = Some(kind);
        attempt.message = Some(message.clone());
        if let Some(observer) = &call.observer {
            observer.rejected(attempt);
        }
        let error = Error::new(kind, message).at(attempt.provider, Arc::clone(&attempt.model));
        let error = match attempt.status {
            Some(status) => error.with_status(status),
            None => error,
        };
        let repair = repair(call, &text, holds_json, rejection);
        Ok((error.with_rejected(Rejected { text, faults: rejection.faults.clone() }), repair))
    }
}

/// Returns the rejection of a reply without JSON.
pub(super) fn no_json() -> Rejection {
    Rejection { faults: vec!["it holds no complete JSON value, or several that differ".to_owned()] }
}

/// Returns the request for a correction of `reply`, the last one of `call`. A reply without JSON shows that the target does
/// not enforce the schema that it was sent: the next request states it in the prompt.
fn repair(call: &CallState, reply: &str, holds_json: bool, rejection: &Rejection) -> Repair {
    let faults = rejection.faults.join("\n- ");
    let mut instruction = format!(
        "Your answer could not be used. What is wrong with it:\n- {faults}\n\
         Answer again with the corrected JSON alone, keeping everything that was right."
    );
    let sent = call.last_index.map(|index| (call.target(index), call.request_to(index)));
    let codec = sent.as_ref().and_then(|(target, _)| target.codec());
    let form = codec.zip(sent.as_ref()).and_then(|(codec, (target, request))| codec.schema_form(target, request));
    let next = form.filter(|form| !holds_json && *form != SchemaForm::Prompted).map(|_| SchemaForm::Prompted);
    if let Some(schema) = &call.request.schema {
        let dialect = match (codec, sent, next.or(form)) {
            (Some(codec), Some((target, _)), Some(form)) => codec.dialect(target, form),
            _ => Dialect::Prompted,
        };
        instruction.push_str("\nIt has this form:\n");
        instruction.push_str(schema.lower(dialect).outline());
    }
    Repair { reply: Arc::from(reply), instruction: Arc::from(instruction), form: next }
}
