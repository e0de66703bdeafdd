//! Writes a [`Graph`] as a document in a provider's dialect of JSON Schema.

mod anthropic;
mod bounds;
mod gemini;
mod gemini_older;
mod inline_size;
mod ollama;
mod openai;
mod pattern;

use serde_json::{Map, Number, Value, json};

use super::Dialect;
use super::graph::{Additional, DefinitionId, Graph, Node, NodeKind, Property};
use openai::Bounds;

/// The result of lowering a schema.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about the document")]
pub(super) struct Lowering {
    pub(super) document: Value,
    /// Whether the document is in the subset that `OpenAI`'s strict mode, Anthropic, or Gemini's older dialect
    /// enforces.
    pub(super) strict: bool,
    /// Whether the root is the property `value` of a wrapper object.
    pub(super) wrapped: bool,
    /// Whether `null` may stand for an absent property.
    pub(super) nullable: bool,
    /// Whether an object with a property for each position stands for a tuple.
    pub(super) positional: bool,
}

impl Lowering {
    /// Returns a lowering whose values are those of the schema.
    fn plain(document: Value) -> Self {
        Self { document, strict: false, wrapped: false, nullable: false, positional: false }
    }

    /// Returns whether the values differ from those of the schema.
    pub(super) fn is_changed(&self) -> bool {
        self.wrapped || self.nullable || self.positional
    }
}

/// The name of the only property of a wrapper object.
pub(super) const WRAPPER: &str = "value";

pub(super) fn lower(graph: &Graph, dialect: Dialect) -> Lowering {
    match dialect {
        Dialect::Ollama => ollama::lower(graph),
        Dialect::OllamaUnbounded => ollama::unbounded(graph),
        Dialect::Gemini => gemini::lower(graph),
        Dialect::GeminiOlder => gemini_older::lower(graph),
        Dialect::OpenAi => openai::lower(graph, Bounds::Documented),
        Dialect::OpenAiGrammar => openai::lower(graph, Bounds::Grammar),
        Dialect::OpenAiStrict => openai::lower(graph, Bounds::Words),
        Dialect::Anthropic => anthropic::lower(graph),
        Dialect::Prompted => openai::permissive(graph),
    }
}

/// Writes nodes in one dialect.
trait Writer<'g> {
    fn references(&mut self) -> &mut References<'g>;

    fn node(&mut self, node: &Node) -> Value;

    /// Writes the definition `id`.
    fn definition(&mut self, id: DefinitionId) -> Value {
        let graph = self.references().graph;
        self.node(&graph.definitions[id].node)
    }

    fn members(&mut self, properties: &[Property]) -> Map<String, Value> {
        properties.iter().map(|property| (property.name.clone(), self.node(&property.node))).collect()
    }

    /// Writes `additionalProperties`.
    fn write_rest(&mut self, schema: &mut Value, additional: &Additional) {
        match additional {
            Additional::Unspecified => {}
            Additional::Forbidden => schema["additionalProperties"] = json!(false),
            Additional::Any => schema["additionalProperties"] = json!(true),
            Additional::Schema(values) => schema["additionalProperties"] = self.node(values),
        }
    }

    /// Adds all definitions that are referred to, directly or not, to `root`.
    fn document(&mut self, mut root: Value) -> Value {
        let graph = self.references().graph;
        let mut definitions = Map::new();
        let mut written = 0;
        while let Some(id) = self.references().used.get(written).copied() {
            definitions.insert(graph.definitions[id].name.clone(), self.definition(id));
            written += 1;
        }
        if !definitions.is_empty() {
            root["$defs"] = Value::Object(definitions);
        }
        root
    }
}

/// Writes references, and collects their targets.
struct References<'g> {
    graph: &'g Graph,
    /// The definitions referred to, in the order of first use.
    used: Vec<DefinitionId>,
}

impl<'g> References<'g> {
    fn new(graph: &'g Graph) -> Self {
        Self { graph, used: Vec::new() }
    }

    /// Returns a reference to the definition `id`.
    fn to(&mut self, id: DefinitionId) -> Value {
        if !self.used.contains(&id) {
            self.used.push(id);
        }
        json!({ "$ref": format!("#/$defs/{}", self.graph.definitions[id].name) })
    }
}

/// Wraps `schema`, which is that of `root`, unless it is an object. Returns whether it was wrapped.
fn as_object(root: &Node, schema: Value) -> (Value, bool) {
    if matches!(root.kind, NodeKind::Object { .. }) {
        return (schema, false);
    }
    let wrapper = json!({
        "type": "object",
        "properties": { WRAPPER: schema },
        "required": [WRAPPER],
        "additionalProperties": false,
    });
    (wrapper, true)
}

/// Returns the root with its reference resolved: some providers reject a reference there.
fn root(graph: &Graph) -> Node {
    let mut root = graph.resolve(&graph.root).clone();
    if graph.root.description.is_some() {
        root.description.clone_from(&graph.root.description);
    }
    root
}

/// Returns whether `node` consists of typed values and closed objects only. Does not follow references.
fn is_closed(node: &Node) -> bool {
    let mut closed = true;
    node.for_each(&mut |node| {
        closed &= match &node.kind {
            NodeKind::Any => false,
            NodeKind::Object { additional, .. } => {
                matches!(additional, Additional::Unspecified | Additional::Forbidden)
            }
            NodeKind::Array { prefix, additional } => match additional {
                Additional::Any | Additional::Unspecified => false,
                Additional::Forbidden => !prefix.is_empty(),
                Additional::Schema(_) => true,
            },
            NodeKind::Enum(values) => !values.iter().any(|value| value.is_object() || value.is_array()),
            _ => true,
        }
    });
    closed
}

/// Appends the description of `node` and the `constraints` to the description of `schema`.
fn describe(mut schema: Value, node: &Node, constraints: &[(&str, &Value)]) -> Value {
    let notes: Vec<String> =
        constraints.iter().map(|(keyword, value)| format!("{keyword}: {}", plain(value))).collect();
    let notes = if notes.is_empty() { None } else { Some(format!("({})", notes.join(", "))) };
    let own = schema.get("description").and_then(Value::as_str).filter(|own| node.description.as_deref() != Some(*own));
    let parts: Vec<&str> = node.description.as_deref().into_iter().chain(notes.as_deref()).chain(own).collect();
    if !parts.is_empty() {
        schema["description"] = Value::String(parts.join(" "));
    }
    schema
}

/// Formats a value for a description: a string without its quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Returns a union of `branches`. A nullable scalar becomes a list of two types.
fn any_of(mut branches: Vec<Value>) -> Value {
    match branches.as_slice() {
        [_] => branches.remove(0),
        [scalar, null] if is_null(null) && is_plain_scalar(scalar) => with_null_type(scalar.clone()),
        [null, scalar] if is_null(null) && is_plain_scalar(scalar) => with_null_type(scalar.clone()),
        _ => json!({ "anyOf": branches }),
    }
}

fn is_null(schema: &Value) -> bool {
    *schema == json!({"type": "null"})
}

fn is_plain_scalar(schema: &Value) -> bool {
    schema.get("enum").is_none()
        && schema.get("type").and_then(Value::as_str).is_some_and(|name| !matches!(name, "object" | "array" | "null"))
}

fn with_null_type(mut schema: Value) -> Value {
    schema["type"] = json!([schema["type"], "null"]);
    schema
}

/// Returns the schemas of an enumeration, one per type among its values.
fn enumeration(values: &[Value]) -> Vec<Value> {
    let mut groups: Vec<(&str, Vec<Value>)> = Vec::new();
    for value in values {
        let name = type_of(value);
        match groups.iter_mut().find(|(other, _)| *other == name) {
            Some((_, group)) => group.push(value.clone()),
            None => groups.push((name, vec![value.clone()])),
        }
    }
    let schema = |(name, values)| match name {
        "null" => json!({"type": "null"}),
        _ => json!({"type": name, "enum": values}),
    };
    groups.into_iter().map(schema).collect()
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Writes the bounds of an integer as `minimum` and `maximum`. Bounds beyond `i64` are omitted.
fn write_integer_bounds(schema: &mut Value, node: &Node) {
    let (least, most) = integer_bounds(node);
    if let Some(least) = least {
        schema["minimum"] = json!(least);
    }
    if let Some(most) = most {
        schema["maximum"] = json!(most);
    }
}

/// Returns the least and the greatest integer within the bounds of `node`.
fn integer_bounds(node: &Node) -> (Option<i64>, Option<i64>) {
    let bound = |keyword: &str| node.constraints.get(keyword).and_then(Value::as_number);
    let least = [
        bound("minimum").and_then(|number| whole(number, f64::ceil)),
        bound("exclusiveMinimum").and_then(|number| whole(number, f64::floor)?.checked_add(1)),
    ];
    let most = [
        bound("maximum").and_then(|number| whole(number, f64::floor)),
        bound("exclusiveMaximum").and_then(|number| whole(number, f64::ceil)?.checked_sub(1)),
    ];
    (least.into_iter().flatten().max(), most.into_iter().flatten().min())
}

fn whole(number: &Number, round: fn(f64) -> f64) -> Option<i64> {
    /// Beyond 2^53 a float stands for more than one integer.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    number.as_i64().or_else(|| {
        let rounded = round(number.as_f64()?);
        #[expect(clippy::cast_possible_truncation, reason = "a whole number within ±2^53")]
        (rounded.abs() <= EXACT).then_some(rounded as i64)
    })
}

/// Returns the names of the required properties whose node satisfies `keep`.
fn required(properties: &[Property], keep: impl Fn(&Node) -> bool) -> Vec<&str> {
    let kept = properties.iter().filter(|property| property.required && keep(&property.node));
    kept.map(|property| property.name.as_str()).collect()
}
