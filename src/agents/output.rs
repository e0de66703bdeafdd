//! The output types of agents: their JSON Schemas, and parsing replies into them.
//!
//! One `garde` attribute per field is both the bound in the schema and the validation of the reply, so the two cannot
//! drift. Doc comments of the output types are part of the schemas that models see.

use std::fmt::{Debug, Write as _};

use garde::Validate;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::heading::Heading;
use super::language::Language;
use super::{
    Advocacy, CausalInference, ConstraintInference, ContradictionInference, CriticEvaluation, DimensionScores,
    FullInference, IdeaItem, ImplicationInference, Improvement, Indexed, Skepticism,
};
use crate::error::Result;
use crate::schema::Schema;

/// A type that a model fills in.
pub trait Output:
    Serialize + DeserializeOwned + JsonSchema + Validate<Context = ()> + Clone + PartialEq + Debug + Send + Sync + 'static
{
    /// The name of the schema for an array of these.
    const BATCH: &'static str;

    /// Returns a fault that spans several fields, if there is one.
    fn fault(&self) -> Option<&'static str> {
        None
    }

    /// Returns the value in its final form, for example with rounded scores.
    #[must_use]
    fn normalised(self) -> Self {
        self
    }
}

/// One point of an argument.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
pub struct Point {
    /// The point in a few words.
    #[garde(length(chars, min = 1, max = 200))]
    pub title: String,
    /// The point explained.
    #[garde(length(chars, min = 1, max = 2000))]
    pub description: String,
}

impl Point {
    /// Returns the titles and descriptions of `points`.
    pub(super) fn pairs(points: &[Self]) -> Vec<(&str, &str)> {
        points.iter().map(|point| (&*point.title, &*point.description)).collect()
    }
}

/// Returns the schema document with a name.
type Document = fn(&str) -> Value;

/// The schemas that agents send, by name: arrays without their number of items, and single objects.
const SCHEMAS: [(&str, Document); 14] = [
    (IdeaItem::BATCH, array::<IdeaItem>),
    (CriticEvaluation::BATCH, array::<Indexed<CriticEvaluation>>),
    (Advocacy::BATCH, array::<Indexed<Advocacy>>),
    (Skepticism::BATCH, array::<Indexed<Skepticism>>),
    (Improvement::BATCH, array::<Indexed<Improvement>>),
    (DimensionScores::BATCH, array::<Indexed<DimensionScores>>),
    (FullInference::BATCH, array::<Indexed<FullInference>>),
    (CausalInference::BATCH, array::<Indexed<CausalInference>>),
    (ConstraintInference::BATCH, array::<Indexed<ConstraintInference>>),
    (ContradictionInference::BATCH, array::<Indexed<ContradictionInference>>),
    (ImplicationInference::BATCH, array::<Indexed<ImplicationInference>>),
    ("Advocacy", |_| document::<Advocacy>()),
    ("Skepticism", |_| document::<Skepticism>()),
    ("Improvement", |_| document::<Improvement>()),
];

/// Returns the schema that agents send under `name`, without the number of items, which depends on the request. `None` means
/// that the name is unknown.
pub fn schema_of(name: &str) -> Option<Value> {
    SCHEMAS.iter().find(|(known, _)| *known == name).map(|(name, schema)| schema(name))
}

/// Returns the schema of one object.
pub(super) fn object_schema<T: Output>() -> Result<Schema> {
    Schema::new(T::schema_name(), document::<T>())
}

/// Returns the schema of an array of exactly `count` items.
pub(super) fn list_schema<T: Output>(count: usize) -> Result<Schema> {
    Schema::new(T::BATCH, with_count(array::<T>(T::BATCH), count))
}

/// Returns the schema of an array with one item for each of the ideas `indices`.
pub(super) fn batch_schema<T: Output>(indices: &[usize]) -> Result<Schema> {
    let mut document = with_count(array::<Indexed<T>>(T::BATCH), indices.len());
    let index = &mut document["items"]["properties"]["idea_index"];
    index["minimum"] = json!(indices.iter().min());
    index["maximum"] = json!(indices.iter().max());
    Schema::new(T::BATCH, document)
}

/// Parses a reply of one object.
pub(super) fn parse_object<T: Output>(json: &str) -> Result<T, Vec<String>> {
    parse(read_json(json)?, "answer")
}

/// Parses a reply of `count` items. Invalid items are dropped as long as a valid one is left.
pub(super) fn parse_list<T: Output>(json: &str, count: usize) -> Result<Vec<T>, Vec<String>> {
    let mut faults = Vec::new();
    let mut items = Vec::new();
    for (position, value) in read_items(json, count)?.into_iter().enumerate() {
        match parse(value, &format!("[{position}]")) {
            Ok(item) => items.push(item),
            Err(found) => faults.extend(found),
        }
    }
    if items.is_empty() {
        faults.push(format!("the answer holds no usable item; {count} were asked for"));
        return Err(faults);
    }
    Ok(items)
}

/// Parses and validates one output. Faults start with `path`, the position in the reply, and never contain its values.
pub(super) fn parse<T: Output>(mut value: Value, path: &str) -> Result<T, Vec<String>> {
    trim(&mut value);
    let output: T = serde_json::from_value(value).map_err(|error| vec![format!("{path}: {}", describe(&error))])?;
    if let Err(report) = output.validate() {
        return Err(report.iter().map(|(field, error)| format!("{path}.{field}: {error}")).collect());
    }
    match output.fault() {
        Some(fault) => Err(vec![format!("{path}: {fault}")]),
        None => Ok(output.normalised()),
    }
}

/// Reads the items of a reply: an array, an array in an object with one key, or a single object if `count` is 1.
pub(super) fn read_items(json: &str, count: usize) -> Result<Vec<Value>, Vec<String>> {
    match read_json(json)? {
        Value::Array(items) => Ok(items),
        Value::Object(mut object) => {
            if object.len() == 1
                && let Some(Value::Array(items)) = object.values_mut().next()
            {
                return Ok(std::mem::take(items));
            }
            if count == 1 {
                return Ok(vec![Value::Object(object)]);
            }
            Err(vec!["the answer must be a JSON array, not an object".to_owned()])
        }
        _ => Err(vec!["the answer must be a JSON array".to_owned()]),
    }
}

/// Formats an argument as bullet text with a heading over each section. Empty sections are left out.
///
/// The headings are in the language of the argument if it is long enough to detect that, otherwise in `fallback`. English
/// replaces languages other than Arabic, Chinese, German and Japanese.
pub(super) fn formatted(sections: &[(Heading, Vec<(&str, &str)>)], fallback: Option<Language>) -> String {
    let words: Vec<&str> =
        sections.iter().flat_map(|(_, pairs)| pairs).flat_map(|(lead, detail)| [*lead, *detail]).collect();
    let language = Language::of(&words.join("\n"), "").or(fallback);
    let mut text = String::new();
    for (heading, pairs) in sections.iter().filter(|(_, pairs)| !pairs.is_empty()) {
        let gap = if text.is_empty() { "" } else { "\n\n" };
        let _ = write!(text, "{gap}{}:", heading.text(language));
        for (lead, detail) in pairs {
            let _ = write!(text, "\n• {lead}: {detail}");
        }
    }
    text
}

/// Returns the schema document of an array called `name`.
fn array<T: JsonSchema>(name: &str) -> Value {
    let mut items = document::<T>();
    if let Some(items) = items.as_object_mut() {
        // The name and the doc comment of a Rust type are of no use to a model.
        items.retain(|key, _| key != "title" && key != "description");
    }
    json!({ "title": name, "type": "array", "items": items, "minItems": 1 })
}

fn with_count(mut array: Value, count: usize) -> Value {
    array["minItems"] = json!(count);
    array["maxItems"] = json!(count);
    array
}

fn document<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    });
    // Formats such as `double` describe the Rust type, not the reply, and some providers reject them.
    let settings = settings.with_transform(RecursiveTransform(|schema: &mut schemars::Schema| {
        schema.remove("format");
    }));
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

fn read_json(json: &str) -> Result<Value, Vec<String>> {
    serde_json::from_str(json).map_err(|_| vec!["the answer is not valid JSON".to_owned()])
}

/// Trims every text, so that a blank title counts as empty.
fn trim(value: &mut Value) {
    match value {
        Value::String(text) => {
            let trimmed = text.trim();
            if trimmed.len() != text.len() {
                *text = trimmed.to_owned();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(trim),
        Value::Object(object) => object.values_mut().for_each(trim),
        _ => {}
    }
}

/// Returns serde's message without the invalid value, which may repeat the caller's data.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(", expected ") {
        Some((_, expected)) => format!("a value is of the wrong type; expected {expected}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_contain_the_bounds() {
        let ideas = schema_of("GeneratedIdeas").unwrap();
        let title = &ideas["items"]["properties"]["title"];
        assert_eq!((&title["minLength"], &title["maxLength"]), (&json!(1), &json!(200)));
        let advocacy = schema_of("AdvocacyBatch").unwrap();
        let point = &advocacy["items"]["properties"]["strengths"]["items"]["properties"]["description"];
        assert_eq!(point["maxLength"], json!(2000));
        assert_eq!(advocacy["items"]["required"][0], json!("idea_index"));
        let score = &schema_of("CriticEvaluations").unwrap()["items"]["properties"]["score"];
        assert_eq!((score["minimum"].as_f64(), score["maximum"].as_f64()), (Some(0.0), Some(10.0)));
        assert_eq!(schema_of("Improvement").unwrap()["properties"]["key_improvements"]["minItems"], json!(1));
    }

    #[test]
    fn schemas_are_self_contained() {
        for (name, _) in SCHEMAS {
            let document = schema_of(name).unwrap();
            let text = document.to_string();
            assert!(!text.contains("$ref") && !text.contains("\"format\""), "{name}: {text}");
            assert!(jsonschema::meta::is_valid(&document), "{name}: {text}");
            assert_eq!(document["title"], json!(name));
        }
        assert!(schema_of("Advocate").is_none());
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        let point = |title: &str| parse::<Point>(json!({"title": title, "description": "あ"}), "[0]");
        assert!(point(&"語".repeat(200)).is_ok());
        assert_eq!(point(&"語".repeat(201)).unwrap_err(), ["[0].title: length is greater than 200"]);
        assert_eq!(point("  \n ").unwrap_err(), ["[0].title: length is lower than 1"]);
    }

    #[test]
    fn faults_do_not_contain_values() {
        let faults = parse::<Point>(json!({"title": ["secret"], "description": "x"}), "[3]").unwrap_err();
        assert_eq!(faults, ["[3]: a value is of the wrong type; expected a string"]);
        let faults = parse::<Point>(json!({"description": "x"}), "[3]").unwrap_err();
        assert_eq!(faults, ["[3]: missing field `title`"]);
    }

    impl Output for Point {
        const BATCH: &'static str = "Points";
    }
}
