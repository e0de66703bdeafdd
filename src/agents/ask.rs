//! Asking: for one object, for a list, or for an item about each of many ideas and once more for those that are missing.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use super::answer::{Answer, Batch};
use super::batch::{self, Placed};
use super::output::{self, Output};
use crate::config;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Part, Request};
use crate::router::{CallHooks, Generate, MAX_PROMPT_CHARS, Rejection, ReplyValidator};
use crate::schema::Schema;

/// Whether `error` is the caller's own or a defect: asking again or going on would only hide it.
pub(crate) fn is_fatal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::External | ErrorKind::Internal | ErrorKind::InvalidInput)
}

/// What stays the same in every call of one question.
pub(super) struct Ask<'a> {
    pub(super) router: &'a dyn Generate,
    pub(super) system: &'a str,
    pub(super) temperature: f64,
    pub(super) parts: &'a [Part],
}

impl Ask<'_> {
    /// Asks for one object.
    pub(super) async fn one<T: Output>(&self, name: &str, prompt: String) -> Result<Answer<T>> {
        let mut spent = Answer::nothing();
        let value = self.call(&mut spent, output::object_schema(name)?, prompt, &ObjectCheck::<T>(PhantomData)).await?;
        Ok(spent.map(|()| value))
    }

    /// Asks for `count` items that belong to no idea; `Ok` holds at least one.
    pub(super) async fn list<T: Output>(&self, name: &str, count: usize, prompt: String) -> Result<Answer<Vec<T>>> {
        let mut spent = Answer::nothing();
        let schema = output::list_schema(name, count, &[])?;
        let value = self.call(&mut spent, schema, prompt, &ListCheck::<T> { count, kind: PhantomData }).await?;
        Ok(spent.map(|()| value))
    }

    /// Asks for one item for each of the ideas 0 to `count`. `prompt` writes the question about the ideas it is given.
    ///
    /// Ideas without a usable item are asked about once more, together and alone; where that fails, its error is told
    /// as their reason. Fails where the first round gave nothing, and at once on an error that must end the run.
    pub(super) async fn batch<T: Output>(
        &self,
        name: &str,
        count: usize,
        prompt: impl Fn(&[usize]) -> String + Send + Sync,
    ) -> Result<Answer<Batch<T>>> {
        let mut spent = Answer::nothing();
        let all: Vec<usize> = (0..count).collect();
        let Round { mut found, mut missing, error } = self.round(&mut spent, name, &all, &prompt).await?;
        if let Some(error) = error.filter(|_| found.is_empty()) {
            return Err(error);
        }
        if !missing.is_empty() {
            let again: Vec<usize> = missing.keys().copied().collect();
            let second = self.round(&mut spent, name, &again, &prompt).await?;
            found.extend(second.found);
            missing = match second.error {
                None => second.missing,
                Some(_) => second
                    .missing
                    .into_iter()
                    .map(|(idea, reason)| {
                        let first = missing.remove(&idea).unwrap_or_default();
                        (idea, format!("{first}; asking again failed: {reason}"))
                    })
                    .collect(),
            };
        }
        let entries = all.iter().map(|idea| {
            let reason = || missing.get(idea).cloned().unwrap_or_else(|| "no item came back for it".to_owned());
            found.remove(idea).ok_or_else(reason)
        });
        let batch = Batch::new(entries.collect());
        Ok(spent.map(|()| batch))
    }

    /// Asks about every idea of `asked` once: in one call, or in several where one prompt would be too long.
    async fn round<T: Output>(
        &self,
        spent: &mut Answer<()>,
        name: &str,
        asked: &[usize],
        prompt: &(impl Fn(&[usize]) -> String + Send + Sync),
    ) -> Result<Round<T>> {
        let mut round = Round { found: BTreeMap::new(), missing: BTreeMap::new(), error: None };
        for (group, text) in fitting(asked, prompt) {
            match self.place(spent, name, group, text).await {
                Ok(placed) => {
                    round.found.extend(placed.found);
                    round.missing.extend(placed.missing);
                }
                Err(error) if is_fatal(&error) => return Err(error),
                Err(error) => {
                    round.missing.extend(group.iter().map(|idea| (*idea, error.to_string())));
                    round.error = Some(error);
                }
            }
        }
        Ok(round)
    }

    async fn place<T: Output>(
        &self,
        spent: &mut Answer<()>,
        name: &str,
        asked: &[usize],
        prompt: String,
    ) -> Result<Placed<T>> {
        let schema = output::list_schema(name, asked.len(), asked)?;
        self.call(spent, schema, prompt, &BatchCheck::<T> { asked, kind: PhantomData }).await
    }

    async fn call<C: Check>(
        &self,
        spent: &mut Answer<()>,
        schema: Schema,
        prompt: String,
        check: &C,
    ) -> Result<C::Value> {
        check_length(&prompt)?;
        config::check_temperature(self.temperature)?;
        let request = Request {
            system: Arc::from(self.system),
            parts: self.parts.to_vec(),
            schema: Some(Arc::new(schema)),
            temperature: self.temperature,
            ..Request::new(prompt)
        };
        let response = match self.router.generate(request, CallHooks::new(check)).await {
            Ok(response) => response,
            Err(error) => {
                spent.failed(&error);
                return Err(error);
            }
        };
        let value = check.read(&response.text);
        spent.answered(response);
        value.map_err(|faults| {
            // Only a router that does not keep its contract gets here.
            let message = format!("the router returned a reply that does not fit: {}", faults.join("; "));
            Error::new(ErrorKind::InvalidOutput, message)
        })
    }
}

/// What one round of calls gave.
struct Round<T> {
    found: BTreeMap<usize, T>,
    missing: BTreeMap<usize, String>,
    /// The error of the last call that failed.
    error: Option<Error>,
}

/// The ideas `asked` in as few groups as have prompts within the limit; a lone idea is a group whatever its length.
fn fitting<'a>(asked: &'a [usize], prompt: &impl Fn(&[usize]) -> String) -> Vec<(&'a [usize], String)> {
    let text = prompt(asked);
    if asked.len() <= 1 || text.chars().count() <= MAX_PROMPT_CHARS {
        return vec![(asked, text)];
    }
    let (first, second) = asked.split_at(asked.len() / 2);
    let mut groups = fitting(first, prompt);
    groups.extend(fitting(second, prompt));
    groups
}

/// Reads a reply; what it cannot read, the router must not return.
trait Check: Send + Sync {
    type Value: Send;

    fn read(&self, json: &str) -> Result<Self::Value, Vec<String>>;
}

impl<C: Check> ReplyValidator for C {
    fn validate(&self, json: &str) -> Result<(), Rejection> {
        self.read(json).map(drop).map_err(|faults| Rejection { faults })
    }
}

struct ObjectCheck<T>(PhantomData<fn() -> T>);

impl<T: Output> Check for ObjectCheck<T> {
    type Value = T;

    fn read(&self, json: &str) -> Result<T, Vec<String>> {
        let value = serde_json::from_str(json).map_err(|_| vec!["the answer is not valid JSON".to_owned()])?;
        output::read(value, "answer")
    }
}

struct ListCheck<T> {
    count: usize,
    kind: PhantomData<fn() -> T>,
}

impl<T: Output> Check for ListCheck<T> {
    type Value = Vec<T>;

    fn read(&self, json: &str) -> Result<Vec<T>, Vec<String>> {
        let mut faults = Vec::new();
        let mut items = Vec::new();
        for (position, value) in output::read_list(json, self.count)?.into_iter().enumerate() {
            match output::read(value, &format!("[{position}]")) {
                Ok(item) => items.push(item),
                Err(found) => faults.extend(found),
            }
        }
        if items.is_empty() {
            faults.push(format!("the answer holds no usable item; {} were asked for", self.count));
            return Err(faults);
        }
        Ok(items)
    }
}

struct BatchCheck<'a, T> {
    asked: &'a [usize],
    kind: PhantomData<fn() -> T>,
}

impl<T: Output> Check for BatchCheck<'_, T> {
    type Value = Placed<T>;

    fn read(&self, json: &str) -> Result<Placed<T>, Vec<String>> {
        let placed = batch::place(json, self.asked)?;
        if placed.found.is_empty() { Err(placed.faults) } else { Ok(placed) }
    }
}

/// The router checks it too; this names the way out, and reaches callers who bring a router of their own.
fn check_length(prompt: &str) -> Result<()> {
    let length = prompt.chars().count();
    if length <= MAX_PROMPT_CHARS {
        return Ok(());
    }
    let message = format!(
        "topic, context and ideas make a prompt of {length} characters; the limit is {MAX_PROMPT_CHARS}: shorten the \
         context, or attach it as a file"
    );
    Err(Error::new(ErrorKind::PromptTooLong, message))
}
