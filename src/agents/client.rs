//! Sends an agent's prompts to its router and parses the replies.
//!
//! A reply is parsed once: the validator that the router calls keeps the parsed value for the agent.

use std::fmt;
use std::sync::Arc;

use super::answer::{Answer, Batch};
use super::batch::{self, BatchState, Portion};
use super::bounds::{self, Length};
use super::form::{ItemForm, Reshape};
use super::language::Language;
use super::matching::match_items;
use super::output::{self, Output};
use super::prompt::{self, Brief, Instruction};
use crate::attempt::Change;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Part, Request};
use crate::router::{CallHooks, Generate, Rejection, ReplyValidator};
use crate::schema::Schema;
use crate::sync::{Mutex, lock};

/// Returns whether `error` is the caller's own failure or a defect, which a retry or a degraded result would only hide.
pub(crate) fn is_fatal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::External | ErrorKind::Internal | ErrorKind::InvalidInput)
}

/// A router together with what all requests of one agent call have in common.
pub(super) struct AgentClient<'a> {
    router: &'a dyn Generate,
    brief: &'a Brief<'a>,
    pub(super) form: ItemForm,
    parts: &'a [Part],
    reshape: Reshape,
    /// The order in which ideas are shown; `None` means as given.
    order: Option<Vec<usize>>,
}

impl<'a> AgentClient<'a> {
    /// Creates a client. Fails with `InvalidInput` if the brief is invalid.
    pub(super) fn new(router: &'a dyn Generate, brief: &'a Brief<'a>) -> Result<Self> {
        brief.check()?;
        Ok(Self { router, brief, form: ItemForm::of(router), parts: &[], reshape: |_| (), order: None })
    }

    /// Attaches `parts` to every request.
    pub(super) fn with_parts(self, parts: &'a [Part]) -> Self {
        Self { parts, ..self }
    }

    /// Changes the schema of an item with `reshape`. What fits it must also be accepted as an item.
    pub(super) fn reshaped(self, reshape: Reshape) -> Self {
        Self { reshape, ..self }
    }

    /// Shows the ideas of a batch in `order`, a permutation of their indices.
    pub(super) fn in_order(self, order: Vec<usize>) -> Self {
        Self { order: Some(order), ..self }
    }

    /// Requests one object about an idea, the first of `blocks`.
    pub(super) async fn object<T: Output>(
        &self,
        instruction: &Instruction<'_>,
        blocks: &[(&'static str, &str)],
    ) -> Result<Answer<T>> {
        prompt::check_text("the idea", blocks.first().map_or("", |(_, idea)| idea))?;
        let material = prompt::blocks(blocks);
        let mut spent = Answer::nothing();
        let mut length = Length::Usual;
        loop {
            let text = instruction.text(1, "Answer with one JSON object. Give:\n", length);
            let schema = ItemForm::Keyed.batch_schema::<T>(&[0], length, self.reshape)?;
            let prompt = self.brief.prompt(&material, &text);
            match self.send(&mut spent, schema, prompt, length, output::parse_object).await {
                Ok(value) => return Ok(spent.map(|()| value)),
                Err(error) if length == Length::Usual && batch::is_too_long(&error) => length = Length::Short,
                Err(error) => return Err(error),
            }
        }
    }

    /// Requests `count` items that belong to no idea. The returned list has at least one item. `prompt` writes the prompt for a
    /// number of items and a length.
    ///
    /// A truncated reply is requested once more, with half the items.
    pub(super) async fn list<T: Output>(
        &self,
        count: usize,
        prompt: impl Fn(usize, Length) -> String + Send + Sync,
    ) -> Result<Answer<Vec<T>>> {
        let mut spent = Answer::nothing();
        let (mut asked, mut length) = (count, Length::Usual);
        loop {
            let schema = self.form.list_schema::<T>(asked, length)?;
            let parse = |json: &str, changes: &mut Vec<Change>| output::parse_list(json, asked, changes);
            match self.send(&mut spent, schema, prompt(asked, length), length, parse).await {
                Ok(value) => return Ok(spent.map(|()| value)),
                Err(error) if length == Length::Usual && batch::is_too_long(&error) => {
                    (asked, length) = (count.div_ceil(2), Length::Short);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Requests one item for each idea, the first of its `blocks`. Ideas whose items may take more tokens than a reply of a local
    /// model holds are requested in several portions.
    ///
    /// Items that come are kept. Ideas without a valid item, and those whose item `is_own` finds to be about another idea, are
    /// requested again without the others; see [`BatchState`]. Fails with the first error if no idea has an item, and with any
    /// fatal error at once. Other errors become the reason why an idea has no item.
    pub(super) async fn batch<T: Output, const N: usize>(
        &self,
        instruction: &Instruction<'_>,
        blocks: &[[(&'static str, &str); N]],
        is_own: impl Fn(usize, &T) -> bool + Send + Sync,
    ) -> Result<Answer<Batch<T>>> {
        prompt::check_texts("ideas", blocks.iter().map(|blocks| blocks.first().map_or("", |(_, idea)| *idea)))?;
        let mut spent = Answer::nothing();
        let order = self.order.clone().unwrap_or_else(|| (0..blocks.len()).collect());
        let mut state = BatchState::new(self.portions::<T>(order)?);
        while let Some(portion) = state.next() {
            let Portion { indices, length, .. } = &portion;
            let write = |indices: &[usize]| {
                let text = instruction.text(indices.len(), &self.form.batch_line(indices), *length);
                self.brief.prompt(&prompt::ideas(indices, blocks), &text)
            };
            for (group, text) in split_by_length(indices, self.router.max_prompt_chars(), &write) {
                let schema = self.form.batch_schema::<T>(group, *length, self.reshape)?;
                let parse = |json: &str, changes: &mut Vec<Change>| match_items(json, group, changes)?.into_usable();
                match self.send(&mut spent, schema, text, *length, parse).await {
                    Ok(items) => state.answered(&portion, group, items, &is_own),
                    Err(error) if is_fatal(&error) => return Err(error),
                    Err(error) => state.failed(&portion, group, error),
                }
            }
        }
        let items = state.finish()?;
        Ok(spent.map(|()| Batch::new(items)))
    }

    /// Sends one request, adds its cost to `spent`, and returns the reply as `parse` reads it.
    async fn send<V: Send>(
        &self,
        spent: &mut Answer<()>,
        schema: Schema,
        prompt: String,
        length: Length,
        parse: impl Fn(&str, &mut Vec<Change>) -> Result<V, Vec<String>> + Send + Sync,
    ) -> Result<V> {
        check_length(&prompt, self.router.max_prompt_chars())?;
        let request = Request {
            system: Arc::from(prompt::SYSTEM),
            parts: self.parts.to_vec(),
            max_tokens: self.token_bound(&schema, length),
            schema: Some(Arc::new(schema)),
            temperature: self.brief.temperature,
            use_cache: self.brief.use_cache,
            states_schema: true,
            ..Request::new(prompt)
        };
        let parser = ReplyParser { parse, value: Mutex::new(None) };
        let response = match self.router.generate(request, CallHooks::new(&parser)).await {
            Ok(response) => response,
            Err(error) => {
                spent.failed(&error);
                return Err(error);
            }
        };
        let value = parser.value(&response.text);
        spent.answered(response);
        value.map_err(|faults| {
            let message = format!("the router returned a reply that does not fit its schema: {}", faults.join("; "));
            Error::new(ErrorKind::InvalidOutput, message)
        })
    }

    /// Returns the maximum number of tokens of a reply that fits `schema`. Only models on local servers need it: hosted ones
    /// end by themselves, and many count their reasoning.
    fn token_bound(&self, schema: &Schema, length: Length) -> Option<u32> {
        self.router.preferred_target().filter(|target| target.is_local)?;
        let thinking = match length {
            Length::Usual => 2048,
            Length::Short => 8192,
        };
        Some(bounds::tokens(schema.document(), self.tokens_per_char()).saturating_add(thinking))
    }

    fn tokens_per_char(&self) -> f64 {
        Language::tokens_per_char(self.brief.answer_language(), self.brief.topic)
    }

    /// Splits ideas, in the order `indices`, into as few portions of a similar size as have replies of at most
    /// [`MAX_REPLY_TOKENS`]. Hosted models get all at once.
    fn portions<T: Output>(&self, indices: Vec<usize>) -> Result<Vec<Vec<usize>>> {
        let is_local = self.router.preferred_target().is_some_and(|target| target.is_local);
        if !is_local || indices.len() <= 1 {
            return Ok(vec![indices]);
        }
        let one = self.form.batch_schema::<T>(&[0], Length::Usual, self.reshape)?;
        let tokens = bounds::tokens(one.document(), self.tokens_per_char()).max(1);
        let most = usize::try_from(MAX_REPLY_TOKENS / tokens).unwrap_or(1).max(1);
        let size = indices.len().div_ceil(indices.len().div_ceil(most));
        Ok(indices.chunks(size).map(<[usize]>::to_vec).collect())
    }
}

/// The most tokens of items that a local model is asked for at once. Together with the prompt and thoughts they fit a context window
/// of 65 536 tokens; larger ones take more memory than many machines have.
const MAX_REPLY_TOKENS: u32 = 36_000;

/// Validates a reply by parsing it, and keeps the value of the reply that was accepted.
struct ReplyParser<P, V> {
    parse: P,
    /// The value, and the changes it took to read it.
    value: Mutex<Option<(V, Vec<Change>)>>,
}

impl<V, P: Fn(&str, &mut Vec<Change>) -> Result<V, Vec<String>>> ReplyParser<P, V> {
    /// Returns the value of the accepted reply, whose text is `json`. The reply of a router
    /// that did not validate it is parsed here.
    fn value(&self, json: &str) -> Result<V, Vec<String>> {
        let value = lock(&self.value).take();
        value.map_or_else(|| (self.parse)(json, &mut Vec::new()), |(value, _)| Ok(value))
    }
}

impl<V: Send, P> ReplyValidator for ReplyParser<P, V>
where
    P: Fn(&str, &mut Vec<Change>) -> Result<V, Vec<String>> + Send + Sync,
{
    fn validate(&self, json: &str) -> Result<(), Rejection> {
        let mut changes = Vec::new();
        let (value, outcome) = match (self.parse)(json, &mut changes) {
            Ok(value) => (Some((value, changes)), Ok(())),
            Err(faults) => (None, Err(Rejection { faults })),
        };
        *lock(&self.value) = value;
        outcome
    }

    fn changes(&self) -> Vec<Change> {
        lock(&self.value).as_ref().map(|(_, changes)| changes.clone()).unwrap_or_default()
    }
}

/// Lets agents, which borrow a router, derive `Debug`. Shows nothing of the router, which may hold keys.
impl fmt::Debug for dyn Generate + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Generate")
    }
}

/// Splits `indices` into as few groups as have prompts of at most `limit` characters. A group of one may exceed it.
fn split_by_length<'a>(
    indices: &'a [usize],
    limit: usize,
    prompt: &impl Fn(&[usize]) -> String,
) -> Vec<(&'a [usize], String)> {
    let text = prompt(indices);
    if indices.len() <= 1 || text.chars().count() <= limit {
        return vec![(indices, text)];
    }
    let (first, second) = indices.split_at(indices.len() / 2);
    let mut groups = split_by_length(first, limit, prompt);
    groups.extend(split_by_length(second, limit, prompt));
    groups
}

/// The core's router checks the length too. This check also covers custom routers, and its message says what to shorten.
fn check_length(prompt: &str, limit: usize) -> Result<()> {
    let length = prompt.chars().count();
    if length <= limit {
        return Ok(());
    }
    let message = format!(
        "topic, context and ideas make a prompt of {length} characters; the limit is {limit}: shorten the \
         context, or attach it as a file"
    );
    Err(Error::new(ErrorKind::PromptTooLong, message))
}
