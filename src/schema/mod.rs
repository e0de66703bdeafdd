//! JSON Schema: parses schemas, lowers them to each provider's dialect, and recovers JSON from replies.

mod change;
mod coerce;
mod extract;
mod graph;
mod lenient;
mod lower;
mod matcher;
mod nesting;
mod outline;
mod partial;
mod pattern;
mod recover;
mod restore;
mod scan;
mod unwrap;

use std::sync::{Arc, OnceLock};

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::error::Result;
use graph::Graph;
use matcher::Matcher;

pub use change::Change;
pub use extract::json_text;
pub(crate) use extract::{is_json, trim};
pub use partial::Partial;
pub use pattern::Pattern;
pub(crate) use recover::recover_until;
pub use recover::{Recovery, recover};

/// Precedes the outline of a schema.
const INSTRUCTION: &str = "Answer with JSON in this form:\n";

/// A JSON Schema and its lowered forms, each of which is built at most once.
#[derive(Debug)]
pub struct Schema {
    name: String,
    document: Value,
    graph: Arc<Graph>,
    /// Indexed by [`Dialect`].
    lowered: [OnceLock<Arc<Lowered>>; 9],
    digest: OnceLock<[u8; 32]>,
}

impl Schema {
    /// Creates a schema from a document. `name` is the name that providers see, usually that of a class; characters
    /// that providers reject are replaced by `_`.
    ///
    ///  # Errors
    ///
    /// Returns [`InvalidInput`](crate::ErrorKind::InvalidInput) if `document` is not a JSON Schema, if a reference does
    /// not resolve within it, or if no value matches it or one of its definitions.
    ///
    /// # Example
    ///
    /// ```
    /// use madspark::schema::{Dialect, Schema};
    ///
    /// let document = serde_json::json!({"type": "array", "items": {"type": "string"}});
    /// let schema = Schema::new("list[str]", document)?;
    /// assert_eq!(schema.name(), "list_str");
    /// let lowered = schema.lower(Dialect::OpenAiStrict);
    /// assert_eq!(lowered.restore(r#"{"value": ["a"]}"#.to_owned()), r#"["a"]"#);
    /// # Ok::<(), madspark::Error>(())
    /// ```
    pub fn new(name: impl Into<String>, document: Value) -> Result<Self> {
        let graph = Arc::new(Graph::build(&document)?);
        Ok(Self {
            name: provider_name(&name.into()),
            document,
            graph,
            lowered: Default::default(),
            digest: OnceLock::new(),
        })
    }

    /// Returns the name that providers see: 1 to 64 ASCII letters, digits, `_` and `-`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the document as the caller passed it.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Returns the schema in a provider's dialect. It is built on first use.
    pub fn lower(&self, dialect: Dialect) -> Arc<Lowered> {
        let cell = &self.lowered[dialect as usize];
        if let Some(lowered) = cell.get() {
            return Arc::clone(lowered);
        }
        // Built outside the cell: a process forked during initialisation would wait forever for a thread that it does
        // not have. If two threads build it at once, one result is dropped.
        let lowering = lower::lower(&self.graph, dialect);
        let json = to_raw_value(&lowering.document).ok();
        let instruction = format!("{INSTRUCTION}{}", outline::outline(&self.graph, &lowering));
        let instruction_json = to_raw_value(&instruction).ok();
        let lowered = Lowered { graph: Arc::clone(&self.graph), lowering, json, instruction, instruction_json };
        let lowered = Arc::new(lowered);
        Arc::clone(cell.get_or_init(|| lowered))
    }

    /// Returns a hash of the document. The order of members is included because it influences the model.
    pub fn digest(&self) -> [u8; 32] {
        if let Some(digest) = self.digest.get() {
            return *digest;
        }
        // Outside the cell, for the reason given in `lower`.
        let digest = *blake3::hash(self.document.to_string().as_bytes()).as_bytes();
        *self.digest.get_or_init(|| digest)
    }

    /// Returns an incremental reader of one reply in the form of this schema. See [`Lowered::partial`].
    pub fn partial(&self) -> Partial {
        Partial::new(Arc::clone(&self.graph), false, false, false)
    }
}

/// A provider's subset of JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Ollama's `format`: a grammar.
    Ollama,
    /// The same without bounds, lengths, patterns and formats.
    OllamaUnbounded,
    /// Gemini's `responseJsonSchema`.
    Gemini,
    /// Gemini's `responseSchema`, the older and smaller subset.
    GeminiOlder,
    /// `OpenAI`'s `json_schema` with `strict: true`, and the bounds that it supports.
    OpenAi,
    /// The same for compatible servers that compile it to a grammar, with more bounds.
    OpenAiGrammar,
    /// The same without bounds, which older and smaller servers reject.
    OpenAiStrict,
    /// Anthropic's `output_config.format`.
    Anthropic,
    /// The whole schema, for inclusion in a prompt. The root is an object, because servers that guarantee JSON without
    /// a schema guarantee an object.
    Prompted,
}

/// A schema in a provider's dialect. Restores replies to the form of the original schema.
#[derive(Debug)]
pub struct Lowered {
    graph: Arc<Graph>,
    lowering: lower::Lowering,
    /// The serialized document, which is copied into each request.
    json: Option<Box<RawValue>>,
    /// [`INSTRUCTION`] and the outline.
    instruction: String,
    /// The serialized instruction, which is copied into each request.
    instruction_json: Option<Box<RawValue>>,
}

impl Lowered {
    /// Returns the document to send.
    pub fn document(&self) -> &Value {
        &self.lowering.document
    }

    /// Returns a short description of the values that match the document, for a model that does not see it: names, types,
    /// bounds and descriptions.
    pub fn outline(&self) -> &str {
        &self.instruction[INSTRUCTION.len()..]
    }

    /// Returns the instruction to answer with values of this outline.
    pub fn instruction(&self) -> &str {
        &self.instruction
    }

    /// Returns the instruction as a JSON string.
    pub fn instruction_json(&self) -> Option<&RawValue> {
        self.instruction_json.as_deref()
    }

    /// Whether the provider can enforce the document: `OpenAI`'s strict mode, Anthropic, and Gemini's older dialect. If
    /// false for the latter two, the schema has to be part of the prompt. Always false in the other dialects.
    pub fn is_strict(&self) -> bool {
        self.lowering.strict
    }

    /// Converts the JSON text of a reply that matches the lowered schema to the form of the original one: removes the
    /// wrapper of the root and nulls that stand for absent properties, and makes lists of objects that stand for them. The remaining text keeps its order, white space
    /// and number literals. Text that is not JSON is returned unchanged.
    pub fn restore(&self, text: String) -> String {
        if !self.lowering.is_changed() {
            return text;
        }
        restore::restore(&self.graph, &self.lowering, text)
    }

    /// Returns the part of `reply` that is the JSON of its answer; `None` if there is none or if it is ambiguous. The reply
    /// contains no reasoning.
    pub(crate) fn answer<'t>(&self, reply: &'t str) -> Option<&'t str> {
        extract::answer_text(reply, |json| self.fits(json))
    }

    /// Returns the part of a model's `reasoning` that is the JSON of its answer, if the model wrote the answer there.
    pub(crate) fn answer_in_reasoning<'t>(&self, reasoning: &'t str) -> Option<&'t str> {
        extract::answer_at_end(reasoning, |json| self.fits(json))
    }

    /// Whether the JSON text matches the schema once it is restored.
    fn fits(&self, json: &str) -> bool {
        let json = self.restore(json.to_owned());
        lenient::Parser::strict(&json).is_some_and(|json| Matcher::new(&self.graph).matches(&json, &self.graph.root))
    }

    /// Returns an incremental reader of one reply that matches the lowered schema.
    pub fn partial(&self) -> Partial {
        let lower::Lowering { wrapped, nullable, positional, .. } = self.lowering;
        Partial::new(Arc::clone(&self.graph), wrapped, nullable, positional)
    }
}

impl Serialize for Lowered {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match &self.json {
            Some(json) => json.serialize(serializer),
            None => self.document().serialize(serializer),
        }
    }
}

/// Replaces the characters that providers reject: `Response[int]` becomes `Response_int`.
fn provider_name(name: &str) -> String {
    const LONGEST: usize = 64;
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = name.chars().map(allowed).take(LONGEST).collect();
    match name.trim_end_matches('_') {
        "" => "output".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_for_every_provider() {
        assert_eq!(provider_name("Idea_List-2"), "Idea_List-2");
        assert_eq!(provider_name("Response[Idea]"), "Response_Idea");
        assert_eq!(provider_name("発想"), "output");
        assert_eq!(provider_name(""), "output");
        assert_eq!(provider_name(&"x".repeat(80)).len(), 64);
    }

    #[test]
    fn a_schema_is_lowered_once_per_dialect() {
        let schema = Schema::new("S", serde_json::json!({"type": "string"})).unwrap();
        assert!(Arc::ptr_eq(&schema.lower(Dialect::Gemini), &schema.lower(Dialect::Gemini)));
        assert!(!Arc::ptr_eq(&schema.lower(Dialect::Gemini), &schema.lower(Dialect::Ollama)));
    }
}
