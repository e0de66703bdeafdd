//! A reply on trial: read, mended where it can be, and judged by whoever owns the schema.
//!
//! A structured reply that cannot be used as it is, is read once more, leniently, before anybody is asked again.

use std::sync::Arc;

use super::Rejection;
use super::call_state::CallState;
use crate::error::{Error, ErrorKind, Rejected, Result};
use crate::message::{FinishReason, Repair, Reply};
use crate::offload::offload;
use crate::schema::{self, Change, Recovery};

/// Where the last reply of a walk is judged.
#[derive(Debug, Default)]
pub(super) struct ReplyValidation {
    candidate: Option<PendingReply>,
}

#[derive(Debug)]
struct PendingReply {
    reply: Reply,
    /// The text before it was mended.
    written: Option<String>,
}

impl ReplyValidation {
    /// The text to judge; `None` where no reply is on trial.
    pub(super) fn text(&self) -> Option<&str> {
        self.candidate.as_ref().map(|candidate| candidate.reply.text.as_str())
    }

    /// Ends the trial for the reply: it, with the text that was judged.
    pub(super) fn accept(&mut self) -> Option<Reply> {
        self.candidate.take().map(|candidate| candidate.reply)
    }

    /// Puts `reply`, the last answer of `walk`, on trial; false where there is nothing in it to judge.
    pub(super) fn open(&mut self, walk: &mut CallState, reply: Reply) -> bool {
        let is_usable = walk.request.schema.is_none() || reply.is_json;
        self.candidate = Some(PendingReply { reply, written: None });
        is_usable || self.mend(walk)
    }

    /// Reads the reply leniently; true where that gives another text to judge. Each reply is mended once at most.
    pub(super) fn mend(&mut self, walk: &mut CallState) -> bool {
        let (Some(candidate), Some(schema)) = (&mut self.candidate, &walk.request.schema) else { return false };
        if candidate.written.is_some() {
            return false;
        }
        // What looked like the JSON may be a part of what is not quite JSON.
        let reply = candidate.reply.around.as_ref().unwrap_or(&candidate.reply.text);
        let Recovery::Repaired { json, changes } = offload(reply.len(), || schema::recover(reply, schema)) else {
            return false;
        };
        // Closing what a model did not close is right only where it had no more to say.
        if changes.contains(&Change::MissingCloser) && candidate.reply.finish != FinishReason::Stop {
            return false;
        }
        candidate.written = Some(std::mem::replace(&mut candidate.reply.text, json));
        if let Some(attempt) = walk.last_attempt() {
            attempt.changes = changes;
        }
        true
    }

    /// Ends the trial against the reply: the last attempt of `walk` has failed. Gives that failure, and what to tell the
    /// model that is to mend it.
    pub(super) fn reject(&mut self, walk: &mut CallState, rejection: &Rejection) -> Result<(Error, Repair)> {
        let (Some(candidate), Some(attempt)) = (self.candidate.take(), walk.last_attempt()) else {
            return Err(Error::new(ErrorKind::Internal, "a rejection without a candidate"));
        };
        let text = candidate.written.unwrap_or(candidate.reply.text);
        let kind = ErrorKind::InvalidOutput;
        let message = format!("the reply does not fit the schema: {}", rejection.faults.join("; "));
        attempt.error = Some(kind);
        attempt.message = Some(message.clone());
        let error = Error::new(kind, message).at(attempt.provider, Arc::clone(&attempt.model));
        let error = match attempt.status {
            Some(status) => error.with_status(status),
            None => error,
        };
        let repair = repair(&text, rejection);
        Ok((error.with_rejected(Rejected { text, faults: rejection.faults.clone() }), repair))
    }
}

/// The rejection of a reply in which there is nothing to judge.
pub(super) fn no_json() -> Rejection {
    Rejection { faults: vec!["it holds no complete JSON value".to_owned()] }
}

fn repair(reply: &str, rejection: &Rejection) -> Repair {
    let faults = rejection.faults.join("\n- ");
    let instruction = format!(
        "Your answer could not be used. What is wrong with it:\n- {faults}\n\
         Answer again with the corrected JSON alone, keeping everything that was right."
    );
    Repair { reply: Arc::from(reply), instruction: Arc::from(instruction) }
}
