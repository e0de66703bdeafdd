//! `OpenAI`'s `json_schema`, with `strict: true` if the schema allows it.
//!
//! In strict mode all properties of an object are required and known. An optional property therefore becomes nullable,
//! and a root that is not an object is wrapped. All bounds also go into the description, which the model reads. Without `prefixItems`, a
//! tuple becomes an object with a property for each position. Strict mode has no objects with arbitrary keys and no values
//! of any type; for such schemas `strict` is false.

use serde_json::{Map, Value, json};

use super::bounds::{self, GrammarBounds};
use super::{
    Lowering, References, Writer, any_of, as_object, describe, enumeration, is_closed, is_null, is_plain_scalar,
    ollama, pattern, root, with_null_type, write_integer_bounds,
};
use crate::schema::graph::{Additional, Graph, Node, NodeKind, Property};

const FORMATS: [&str; 9] = ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"];
/// Documented limits of a strict schema.
const MAX_PROPERTIES: usize = 5000;
const MAX_ENUM_VALUES: usize = 1000;
const MAX_LEVELS: usize = 10;

/// The bounds that are written as keywords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bounds {
    /// Those that OpenAI documents for strict mode.
    Documented,
    /// Those that a grammar holds.
    Grammar,
    /// None: all are stated in words.
    Words,
    /// All, for a reader that enforces nothing.
    All,
}

pub(super) fn lower(graph: &Graph, bounds: Bounds) -> Lowering {
    if graph.roots().all(is_closed) {
        let lowering = GrammarBounds::fitted(|sizes| lower_as(graph, true, bounds, sizes));
        if Usage::of(&lowering.document, 0).is_allowed() {
            return lowering;
        }
    }
    match bounds {
        Bounds::Grammar => ollama::lower_as_object(graph),
        Bounds::Words => lower_as(graph, false, Bounds::Words, &mut GrammarBounds::none()),
        Bounds::Documented | Bounds::All => permissive(graph),
    }
}

/// Writes everything that the graph contains, for a reader that enforces nothing.
pub(super) fn permissive(graph: &Graph) -> Lowering {
    lower_as(graph, false, Bounds::All, &mut GrammarBounds::none())
}

fn lower_as(graph: &Graph, strict: bool, bounds: Bounds, sizes: &mut GrammarBounds) -> Lowering {
    let references = References::new(graph);
    let mut writer = OpenAi { strict, bounds, sizes, nullable: false, positional: false, references };
    let root = root(graph);
    let (schema, wrapped) = as_object(&root, writer.node(&root));
    let document = writer.document(schema);
    Lowering { document, strict, wrapped, nullable: writer.nullable, positional: writer.positional }
}

struct OpenAi<'g, 's> {
    strict: bool,
    bounds: Bounds,
    /// Writes the bounds of a grammar.
    sizes: &'s mut GrammarBounds,
    /// Whether an optional property became nullable.
    nullable: bool,
    /// Whether a tuple became an object.
    positional: bool,
    references: References<'g>,
}

impl<'g> Writer<'g> for OpenAi<'g, '_> {
    fn references(&mut self) -> &mut References<'g> {
        &mut self.references
    }

    fn node(&mut self, node: &Node) -> Value {
        let mut schema = match &node.kind {
            NodeKind::Any => json!({}),
            NodeKind::Null => json!({"type": "null"}),
            NodeKind::Boolean => json!({"type": "boolean"}),
            NodeKind::Integer => json!({"type": "integer"}),
            NodeKind::Number => json!({"type": "number"}),
            NodeKind::String => json!({"type": "string"}),
            NodeKind::Enum(values) => any_of(enumeration(values)),
            NodeKind::Array { prefix, additional } => self.array(node, prefix, additional),
            NodeKind::Object { properties, additional } => self.object(properties, additional),
            NodeKind::AnyOf(branches) => any_of(branches.iter().map(|branch| self.node(branch)).collect()),
            // A reference has no siblings.
            NodeKind::Ref(id) if node.description.is_some() => json!({"anyOf": [self.references.to(*id)]}),
            NodeKind::Ref(id) => self.references.to(*id),
        };
        if self.strict && node.is_fixed_tuple() {
            return describe(schema, node, &[]);
        }
        self.write_bounds(&mut schema, node);
        let mut described = Vec::new();
        for (keyword, value) in &node.constraints {
            let is_format = keyword == "format";
            let is_known = is_format && node.kind == NodeKind::String && FORMATS.iter().any(|known| value == known);
            if self.bounds == Bounds::All || is_known {
                schema[keyword] = value.clone();
            } else if !is_format || node.kind == NodeKind::String {
                described.push((keyword.as_str(), value));
            }
        }
        describe(schema, node, &described)
    }
}

impl OpenAi<'_, '_> {
    /// Writes the bounds that the server enforces as keywords.
    fn write_bounds(&mut self, schema: &mut Value, node: &Node) {
        match (self.bounds, &node.kind) {
            (Bounds::Grammar, NodeKind::Integer) => bounds::write_integer(schema, node),
            (Bounds::Grammar, NodeKind::String) => self.sizes.write_string(schema, node),
            (Bounds::Grammar, NodeKind::Array { .. }) => self.sizes.write_items(schema, node),
            (Bounds::Documented, NodeKind::Integer) => {
                write_integer_bounds(schema, node);
                copy(schema, node, &["multipleOf"]);
            }
            (Bounds::Documented | Bounds::Grammar, NodeKind::Number) => {
                copy(schema, node, &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]);
                if self.bounds == Bounds::Documented {
                    copy(schema, node, &["multipleOf"]);
                }
            }
            (Bounds::Documented, NodeKind::String) => {
                if let Some(pattern) = pattern::of(node) {
                    schema["pattern"] = json!(pattern);
                }
            }
            (Bounds::Documented, NodeKind::Array { .. }) => copy(schema, node, &["minItems", "maxItems"]),
            _ => {}
        }
    }

    fn array(&mut self, node: &Node, prefix: &[Node], additional: &Additional) -> Value {
        let mut schema = json!({"type": "array"});
        let mut items: Vec<Value> = prefix.iter().map(|item| self.node(item)).collect();
        if self.strict && node.is_fixed_tuple() {
            let length = items.len();
            if self.bounds == Bounds::Grammar {
                return json!({"type": "array", "prefixItems": items, "minItems": length, "maxItems": length});
            }
            self.positional = true;
            let names: Vec<String> = (0..length).map(|position| position.to_string()).collect();
            let members: Map<String, Value> = names.iter().cloned().zip(items).collect();
            return json!({"type": "object", "properties": members, "required": names, "additionalProperties": false});
        }
        if self.strict {
            // A list of several lengths keeps only the types of its items, not their positions.
            items.extend(additional.node().map(|additional| self.node(additional)));
            items.dedup();
            schema["items"] = any_of(items);
            return schema;
        }
        if !items.is_empty() {
            schema["prefixItems"] = Value::Array(items);
        }
        match additional {
            Additional::Schema(additional) => schema["items"] = self.node(additional),
            Additional::Forbidden => schema["items"] = json!(false),
            Additional::Any => schema["items"] = json!({}),
            Additional::Unspecified => {}
        }
        schema
    }

    fn object(&mut self, properties: &[Property], additional: &Additional) -> Value {
        let mut members = Map::new();
        for property in properties {
            let mut schema = self.node(&property.node);
            if self.strict && self.references.graph.null_is_absence(property) {
                self.nullable = true;
                schema = or_null(schema);
            }
            members.insert(property.name.clone(), schema);
        }
        let required: Vec<&str> = properties
            .iter()
            .filter(|property| self.strict || property.required)
            .map(|property| property.name.as_str())
            .collect();
        let mut schema = json!({"type": "object", "properties": members, "required": required});
        // Strict mode requires the keyword.
        self.write_rest(
            &mut schema,
            if self.strict && *additional == Additional::Unspecified { &Additional::Forbidden } else { additional },
        );
        schema
    }
}

fn copy(schema: &mut Value, node: &Node, keywords: &[&str]) {
    for keyword in keywords {
        if let Some(value) = node.constraints.get(*keyword) {
            schema[*keyword] = value.clone();
        }
    }
}

/// Makes `schema` nullable.
fn or_null(mut schema: Value) -> Value {
    if is_plain_scalar(&schema) {
        return with_null_type(schema);
    }
    let absent = json!({"type": "null"});
    if let Some(branches) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        if !branches.iter().any(is_null) {
            branches.push(absent);
        }
        return schema;
    }
    let description = schema.as_object_mut().and_then(|schema| schema.shift_remove("description"));
    let mut schema = json!({"anyOf": [schema, absent]});
    if let Some(description) = description {
        schema["description"] = description;
    }
    schema
}

/// How much of the documented limits a document uses.
#[derive(Debug, Default)]
struct Usage {
    properties: usize,
    values: usize,
    levels: usize,
}

impl Usage {
    fn of(schema: &Value, level: usize) -> Self {
        let mut count = Self { levels: level, ..Self::default() };
        let Some(schema) = schema.as_object() else { return count };
        count.values = schema.get("enum").and_then(Value::as_array).map_or(0, Vec::len);
        let maps = ["properties", "$defs"].into_iter().filter_map(|keyword| {
            let children = schema.get(keyword)?.as_object()?;
            Some(children.values().map(move |child| (child, level + usize::from(keyword == "properties"))))
        });
        let branches = schema.get("anyOf").and_then(Value::as_array).into_iter().flatten();
        let others = branches.chain(schema.get("items")).map(|child| (child, level));
        count.properties = schema.get("properties").and_then(Value::as_object).map_or(0, Map::len);
        for (child, level) in maps.flatten().chain(others) {
            let child = Self::of(child, level);
            count.properties += child.properties;
            count.values += child.values;
            count.levels = count.levels.max(child.levels);
        }
        count
    }

    fn is_allowed(&self) -> bool {
        self.properties <= MAX_PROPERTIES && self.values <= MAX_ENUM_VALUES && self.levels <= MAX_LEVELS
    }
}
