//! The rules of every dialect, transcribed from the providers' documentation, and their checks.

use madspark::schema::{Dialect, Schema};
use serde_json::{Map, Value, json};

use crate::schema_fixtures::assert_valid;
use crate::schema_nullable::without_flag;
use crate::schema_nulls::without_nulls;
use crate::schema_strict::as_strict;

type Node = Map<String, Value>;

/// Panics if a dialect of `schema` breaks its provider's rules, rejects a value as a model constrained by it writes
/// that, or does not restore the value.
pub(crate) fn check_all(name: &str, schema: &Schema, values: &[Value]) {
    let [ollama, unbounded, gemini, older, openai, anthropic, prompted] = [
        Dialect::Ollama,
        Dialect::OllamaUnbounded,
        Dialect::Gemini,
        Dialect::GeminiOlder,
        Dialect::OpenAiStrict,
        Dialect::Anthropic,
        Dialect::Prompted,
    ]
    .map(|dialect| schema.lower(dialect));
    check_ollama(name, ollama.document());
    check_ollama(name, unbounded.document());
    check_structure(name, unbounded.document());
    check_gemini(name, gemini.document());
    check_gemini_older(name, older.document(), older.is_strict());
    check_openai(name, openai.document(), openai.is_strict(), &[]);
    check_anthropic(name, anthropic.document(), anthropic.is_strict());
    check_openai(name, prompted.document(), prompted.is_strict(), &[]);
    let compatible =
        [(Dialect::OpenAi, &DOCUMENTED[..]), (Dialect::OpenAiGrammar, &GRAMMAR), (Dialect::OpenAiStrict, &[])];
    let compatible = compatible.map(|(dialect, keywords)| {
        let lowered = schema.lower(dialect);
        check_openai(name, lowered.document(), lowered.is_strict(), keywords);
        if dialect == Dialect::OpenAiGrammar {
            check_grammar(name, lowered.document());
        }
        let validator = Validator::of(name, lowered.document());
        (lowered, validator)
    });
    let [of_ollama, of_unbounded, of_gemini, of_anthropic, of_prompted] =
        [&ollama, &unbounded, &gemini, &anthropic, &prompted].map(|lowered| Validator::of(name, lowered.document()));
    let of_older = older.is_strict().then(|| Validator::of(name, &without_flag(older.document())));
    for value in values {
        assert_valid(name, schema.document(), value);
        for validator in [&of_ollama, &of_unbounded, &of_gemini].into_iter().chain(&of_older) {
            validator.assert_valid(value);
        }
        let wrapped = json!({ "value": value });
        let reply = if of_prompted.compiled.is_valid(value) { value } else { &wrapped };
        for (lowered, validator) in [(&anthropic, &of_anthropic), (&prompted, &of_prompted)] {
            validator.assert_valid(reply);
            assert_eq!(lowered.restore(reply.to_string()), value.to_string(), "{name}");
        }
        for (lowered, validator) in &compatible {
            let held = if lowered.is_strict() {
                let document = lowered.document();
                as_strict(document, document, reply)
                    .unwrap_or_else(|| panic!("{name}: {reply} matches no {document:#}"))
            } else {
                reply.clone()
            };
            validator.assert_valid(&held);
            let restored: Value = serde_json::from_str(&lowered.restore(held.to_string())).unwrap();
            assert_valid(name, schema.document(), &restored);
            assert_eq!(without_nulls(&restored), without_nulls(value), "{name}");
        }
    }
}

/// An independent validator of one document.
struct Validator<'n> {
    name: &'n str,
    document: Value,
    compiled: jsonschema::Validator,
}

impl<'n> Validator<'n> {
    fn of(name: &'n str, document: &Value) -> Self {
        let compiled =
            jsonschema::validator_for(document).unwrap_or_else(|error| panic!("{name}: {error}\n{document:#}"));
        Self { name, document: document.clone(), compiled }
    }

    fn assert_valid(&self, value: &Value) {
        if let Err(error) = self.compiled.validate(value) {
            let Self { name, document, .. } = self;
            panic!("{name}: {error} at {}\nvalue: {value:#}\nschema: {document:#}", error.instance_path());
        }
    }
}

/// Returns every schema inside `document`, with its path.
fn nodes(document: &Value) -> Vec<(String, &Node)> {
    fn walk<'v>(path: &str, schema: &'v Value, found: &mut Vec<(String, &'v Node)>) {
        let node = schema.as_object().unwrap_or_else(|| panic!("{path} is no object: {schema}"));
        found.push((path.to_owned(), node));
        for keyword in ["properties", "$defs"] {
            for (name, child) in node.get(keyword).and_then(Value::as_object).into_iter().flatten() {
                walk(&format!("{path}/{keyword}/{name}"), child, found);
            }
        }
        for keyword in ["anyOf", "prefixItems"] {
            for (index, child) in node.get(keyword).and_then(Value::as_array).into_iter().flatten().enumerate() {
                walk(&format!("{path}/{keyword}/{index}"), child, found);
            }
        }
        for keyword in ["items", "additionalProperties"] {
            if let Some(child) = node.get(keyword).filter(|child| !child.is_boolean()) {
                walk(&format!("{path}/{keyword}"), child, found);
            }
        }
    }
    let mut found = Vec::new();
    walk("#", document, &mut found);
    found
}

fn strings(value: Option<&Value>) -> Vec<&str> {
    value.and_then(Value::as_array).into_iter().flatten().map(|name| name.as_str().unwrap()).collect()
}

fn types(node: &Node) -> Vec<&str> {
    node.get("type").map_or_else(Vec::new, |name| name.as_str().map_or_else(|| strings(Some(name)), |name| vec![name]))
}

fn members(node: &Node) -> Vec<&str> {
    node["properties"].as_object().unwrap().keys().map(String::as_str).collect()
}

/// Checks that all keywords are supported by every dialect, or are in `more`.
fn check_common(name: &str, document: &Value, more: &[&str]) {
    const SHARED: [&str; 7] = ["type", "description", "properties", "required", "items", "enum", "anyOf"];
    const TYPES: [&str; 7] = ["string", "number", "integer", "boolean", "null", "array", "object"];
    for (path, node) in nodes(document) {
        for keyword in node.keys() {
            let allowed =
                SHARED.iter().chain(more).any(|known| known == keyword) || (keyword == "$defs" && path == "#");
            assert!(allowed, "{name}: {keyword} at {path}");
        }
        assert!(types(node).iter().all(|name| TYPES.contains(name)), "{name}: type at {path}");
        if let Some(reference) = node.get("$ref") {
            let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{name}: {reference} does not exist at {path}");
            assert!(path != "#", "{name}: a reference at the root");
        }
        for required in strings(node.get("required")) {
            assert!(node["properties"].get(required).is_some(), "{name}: unknown required {required} at {path}");
        }
        assert!(node.get("anyOf").is_none_or(|branches| branches[0].is_object()), "{name}: empty anyOf at {path}");
    }
}

fn check_typed(name: &str, document: &Value) {
    for (path, node) in nodes(document) {
        let forms = ["type", "anyOf", "$ref"].iter().filter(|form| node.contains_key(**form)).count();
        assert_eq!(forms, 1, "{name}: {path} must have one of type, anyOf and $ref: {node:?}");
    }
}

/// Returns the definitions that `schema` refers to, directly or not.
fn reached<'v>(document: &'v Value, schema: &'v Value) -> Vec<&'v str> {
    let mut found: Vec<&str> = Vec::new();
    let mut left = vec![schema];
    while let Some(schema) = left.pop() {
        for (path, node) in nodes(schema) {
            let Some(reference) = node.get("$ref").and_then(Value::as_str) else { continue };
            if !path.starts_with("#/$defs") && !found.contains(&reference) {
                found.push(reference);
                left.push(document.pointer(&reference[1..]).unwrap());
            }
        }
    }
    found
}

/// Keywords that Ollama and Gemini support as well.
const BOUNDED: [&str; 8] =
    ["additionalProperties", "prefixItems", "minItems", "maxItems", "minimum", "maximum", "format", "$ref"];

/// The bounds that `OpenAI` documents for strict mode.
const DOCUMENTED: [&str; 8] =
    ["minItems", "maxItems", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "pattern"];

/// The bounds that a compatible server may compile to a grammar. It ignores those of numbers.
const GRAMMAR: [&str; 10] = [
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "pattern",
    "minLength",
    "maxLength",
    "prefixItems",
];

/// Checks that a document has no bound besides the lengths of tuples.
fn check_structure(name: &str, document: &Value) {
    for (path, node) in nodes(document) {
        for keyword in GRAMMAR.iter().filter(|keyword| **keyword != "prefixItems") {
            let is_tuple = node.contains_key("prefixItems") || node.get("maxItems") == Some(&json!(0));
            assert!(is_tuple || !node.contains_key(*keyword), "{name}: {keyword} at {path}");
        }
    }
}

/// Checks that no bound stops a server that compiles `document` to a grammar.
fn check_grammar(name: &str, document: &Value) {
    let mut sum = 0;
    for (path, node) in nodes(document) {
        for (least, most) in [("minItems", "maxItems"), ("minLength", "maxLength")] {
            let [least, most] = [least, most].map(|keyword| node.get(keyword).map(|bound| bound.as_u64().unwrap()));
            assert!(least.unwrap_or(0) <= most.unwrap_or(1000), "{name}: {path}");
            assert!(most.unwrap_or(0) <= 1000, "{name}: {path}");
            sum += most.or(least).unwrap_or(0);
        }
        if let Some(pattern) = node.get("pattern").and_then(Value::as_str) {
            let is_plain = pattern.starts_with('^') && pattern.ends_with('$') && pattern.is_ascii();
            let has_escape = pattern.split('\\').skip(1).any(|rest| !rest.starts_with('x'));
            assert!(is_plain && !has_escape && !pattern.contains("(?"), "{name}: {pattern} at {path}");
        }
        assert!(!(node.contains_key("items") && node.contains_key("prefixItems")), "{name}: {path}");
    }
    assert!(sum <= 50_000, "{name}: {sum} repetitions");
}

fn check_ollama(name: &str, document: &Value) {
    check_common(name, document, &[&BOUNDED[..], &["minLength", "maxLength", "pattern"]].concat());
    check_typed(name, document);
    check_grammar(name, document);
    for (path, node) in nodes(document) {
        if let Some(reference) = node.get("$ref").and_then(Value::as_str) {
            let target = document.pointer(&reference[1..]).unwrap();
            assert!(reached(document, target).contains(&reference), "{name}: {reference} at {path} is not recursive");
        }
        for keyword in ["minimum", "maximum"] {
            let is_known = node.get(keyword).is_none_or(|n| n.is_i64() && types(node).contains(&"integer"));
            assert!(is_known, "{name}: {keyword} at {path}");
        }
        if let Some(format) = node.get("format").and_then(Value::as_str) {
            let is_known = ["date", "time", "date-time"].contains(&format) || format.starts_with("uuid");
            assert!(is_known && types(node).contains(&"string"), "{name}: format {format} at {path}");
        }
    }
}

fn check_gemini(name: &str, document: &Value) {
    check_common(name, document, &BOUNDED);
    check_typed(name, document);
    for (path, node) in nodes(document) {
        if node.contains_key("$ref") {
            let siblings = node.keys().filter(|keyword| !["$ref", "description"].contains(&keyword.as_str())).count();
            assert_eq!(siblings, 0, "{name}: siblings of $ref at {path}");
        }
        for value in node.get("enum").and_then(Value::as_array).into_iter().flatten() {
            assert!(value.is_string() || value.is_number(), "{name}: enum value {value} at {path}");
        }
        if let Some(format) = node.get("format").and_then(Value::as_str) {
            let known = ["date-time", "date", "time", "float", "double", "int32", "int64"];
            assert!(known.contains(&format), "{name}: format {format} at {path}");
        }
        if types(node).contains(&"array") {
            assert!(node.contains_key("items"), "{name}: array without items at {path}");
        }
    }
    for (definition, schema) in document.get("$defs").and_then(Value::as_object).into_iter().flatten() {
        let own = format!("#/$defs/{definition}");
        for (path, node) in nodes(schema) {
            for required in strings(node.get("required")) {
                let is_recursive = reached(document, &node["properties"][required]).contains(&own.as_str());
                assert!(!is_recursive, "{name}: {definition} recurs in the required {required} at {path}");
            }
        }
    }
}

fn check_gemini_older(name: &str, document: &Value, strict: bool) {
    if !strict {
        return;
    }
    check_common(name, document, &["nullable", "propertyOrdering"]);
    check_typed(name, document);
    for (path, node) in nodes(document) {
        assert!(node.get("type").is_none_or(|kind| kind.is_string() && kind != "null"), "{name}: type at {path}");
        if node.contains_key("anyOf") {
            assert_eq!(node.len(), 1, "{name}: siblings of anyOf at {path}");
            assert!(node["anyOf"].as_array().unwrap().len() > 1, "{name}: a union of one at {path}");
            assert!(!path.ends_with("/anyOf/0"), "{name}: a union within a union at {path}");
        }
        assert!(node.get("nullable").is_none_or(|flag| *flag == true), "{name}: nullable at {path}");
        for value in node.get("enum").and_then(Value::as_array).into_iter().flatten() {
            assert!(value.as_str().is_some_and(|text| !text.is_empty()), "{name}: enum value {value} at {path}");
            assert_eq!(node["type"], "string", "{name}: enum at {path}");
        }
        assert!(types(node) != ["array"] || node["items"].is_object(), "{name}: array without items at {path}");
        if types(node) == ["object"] {
            let properties = members(node);
            assert!(!properties.is_empty(), "{name}: no members at {path}");
            assert_eq!(strings(node.get("propertyOrdering")), properties, "{name}: order at {path}");
        }
    }
}

/// Checks the rules of grammars with closed objects: `OpenAI`'s strict mode and Anthropic's.
fn check_closed(name: &str, document: &Value) {
    for (path, node) in nodes(document) {
        if node.contains_key("$ref") {
            assert_eq!(node.len(), 1, "{name}: siblings of $ref at {path}");
        }
        if types(node).contains(&"object") {
            assert_eq!(node["additionalProperties"], json!(false), "{name}: open object at {path}");
        }
        if types(node).contains(&"array") {
            let is_tuple = node.contains_key("prefixItems");
            assert!(is_tuple || node["items"].is_object(), "{name}: array without items at {path}");
        }
    }
}

fn check_openai(name: &str, document: &Value, strict: bool, bounds: &[&str]) {
    assert_eq!(document["type"], "object", "{name}: the root must be an object");
    assert!(document.get("anyOf").is_none(), "{name}: anyOf at the root");
    for (path, node) in nodes(document) {
        for noise in ["title", "default", "oneOf", "allOf", "const", "discriminator", "$schema"] {
            assert!(!node.contains_key(noise), "{name}: {noise} at {path}");
        }
    }
    if !strict {
        return;
    }
    let keywords = [&["additionalProperties", "format", "$ref"], bounds].concat();
    check_common(name, document, &keywords);
    check_typed(name, document);
    check_closed(name, document);
    for (path, node) in nodes(document) {
        if types(node).contains(&"object") {
            let properties = members(node);
            assert_eq!(strings(node.get("required")), properties, "{name}: required at {path}");
        }
    }
}

fn check_anthropic(name: &str, document: &Value, strict: bool) {
    if !strict {
        return;
    }
    let keywords = ["additionalProperties", "minItems", "format", "$ref"];
    assert_eq!(document["type"], "object", "{name}: the root must be an object");
    check_common(name, document, &keywords);
    check_typed(name, document);
    check_closed(name, document);
    let (mut optional, mut unions) = (0, 0);
    for (path, node) in nodes(document) {
        if types(node).contains(&"object") {
            let properties = members(node);
            let required = strings(node.get("required"));
            assert!(required.iter().all(|name| properties.contains(name)), "{name}: required at {path}");
            optional += properties.len() - required.len();
        }
        if let Some(least) = node.get("minItems") {
            assert!(types(node).contains(&"array") && (0..=1).contains(&least.as_i64().unwrap()), "{name}: {path}");
        }
        if let Some(format) = node.get("format").and_then(Value::as_str) {
            let known = ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];
            assert!(known.contains(&format), "{name}: format {format} at {path}");
        }
        for value in node.get("enum").and_then(Value::as_array).into_iter().flatten() {
            assert!(!value.is_object() && !value.is_array(), "{name}: enum value {value} at {path}");
        }
        unions += usize::from(node.contains_key("anyOf") || types(node).len() > 1);
    }
    assert!(optional <= 24 && unions <= 16, "{name}: {optional} optional, {unions} unions");
    for (definition, schema) in document.get("$defs").and_then(Value::as_object).into_iter().flatten() {
        let own = format!("#/$defs/{definition}");
        assert!(!reached(document, schema).contains(&own.as_str()), "{name}: {definition} recurs");
    }
}
