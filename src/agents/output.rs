//! The output types of agents: their JSON Schemas, and parsing replies into them.
//!
//! One `garde` attribute per field is both the bound in the schema and the validation of the reply, so the two cannot
//! drift. Requests ask for less: see [`bounds`](super::bounds). Doc comments of the output types are part of the schemas that
//! models see.

use std::fmt::{Debug, Write as _};

use garde::Validate;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::heading::Heading;
use super::language::Language;
use super::sentence;
use super::{
    Advocacy, CausalInference, ConstraintInference, ContradictionInference, CriticEvaluation, DimensionScores,
    FullInference, IdeaItem, ImplicationInference, Improvement, Indexed, Skepticism,
};
use crate::attempt::Change;

/// A type that a model fills in.
pub trait Output:
    Serialize + DeserializeOwned + JsonSchema + Validate<Context = ()> + Clone + PartialEq + Debug + Send + Sync + 'static
{
    /// The name of the schema for several of these.
    const BATCH: &'static str;

    /// The lists that a request asks at least one item for. [`Output::fault`] states which of them are necessary.
    const NEVER_EMPTY: &'static [&'static str] = &[];

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

/// The root of a reply.
#[derive(Debug)]
pub(super) enum Root {
    Items(Vec<Value>),
    /// In order, with repeated names.
    Fields(Vec<(String, Value)>),
    Scalar,
}

/// Parses a reply of one object.
pub(super) fn parse_object<T: Output>(json: &str, changes: &mut Vec<Change>) -> Result<T, Vec<String>> {
    match read_root(json)? {
        Root::Fields(fields) => parse(Value::Object(fields.into_iter().collect()), "answer", changes),
        Root::Items(_) | Root::Scalar => Err(vec!["the answer must be a JSON object".to_owned()]),
    }
}

/// Parses a reply of `count` items. Invalid items are dropped as long as a valid one is left.
pub(super) fn parse_list<T: Output>(
    json: &str,
    count: usize,
    changes: &mut Vec<Change>,
) -> Result<Vec<T>, Vec<String>> {
    let mut faults = Vec::new();
    let mut items = Vec::new();
    for (position, value) in list_items(read_root(json)?, count)?.into_iter().enumerate() {
        match parse(value, &format!("[{position}]"), changes) {
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
/// Texts that are too long are shortened, which is noted in `changes`.
pub(super) fn parse<T: Output>(mut value: Value, path: &str, changes: &mut Vec<Change>) -> Result<T, Vec<String>> {
    trim(&mut value);
    let mut output: T = read(&value, path)?;
    // Only an invalid output pays for the comparison with its schema.
    if output.validate().is_err() && shorten(&mut value, &document::<T>()) {
        output = read(&value, path)?;
        if !changes.contains(&Change::TextShortened) {
            changes.push(Change::TextShortened);
        }
    }
    if let Err(report) = output.validate() {
        return Err(report.iter().map(|(field, error)| format!("{path}.{field}: {error}")).collect());
    }
    match output.fault() {
        Some(fault) => Err(vec![format!("{path}: {fault}")]),
        None => Ok(output.normalised()),
    }
}

/// Reads the root of a reply.
pub(super) fn read_root(json: &str) -> Result<Root, Vec<String>> {
    serde_json::from_str(json).map_err(|_| vec!["the answer is not valid JSON".to_owned()])
}

/// Returns the items of a list: an array, an array in an object with one key, a single object if `count` is 1, or otherwise the
/// objects under the keys of an object.
pub(super) fn list_items(root: Root, count: usize) -> Result<Vec<Value>, Vec<String>> {
    match root {
        Root::Items(items) => Ok(items),
        Root::Fields(mut fields) => {
            if let [(_, Value::Array(items))] = fields.as_mut_slice() {
                return Ok(std::mem::take(items));
            }
            if count == 1 {
                return Ok(vec![Value::Object(fields.into_iter().collect())]);
            }
            if fields.iter().all(|(_, value)| value.is_object()) {
                return Ok(fields.into_iter().map(|(_, value)| value).collect());
            }
            Err(vec!["the answer must be a JSON array, not an object".to_owned()])
        }
        Root::Scalar => Err(vec!["the answer must be a JSON array".to_owned()]),
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
pub(super) fn array<T: JsonSchema>(name: &str) -> Value {
    let mut items = document::<T>();
    if let Some(items) = items.as_object_mut() {
        // The name and the doc comment of a Rust type are of no use to a model.
        items.retain(|key, _| key != "title" && key != "description");
    }
    json!({ "title": name, "type": "array", "items": items, "minItems": 1 })
}

/// Returns the schema document of one output.
pub(super) fn document<T: JsonSchema>() -> Value {
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

fn read<T: Output>(value: &Value, path: &str) -> Result<T, Vec<String>> {
    T::deserialize(value).map_err(|error| vec![format!("{path}: {}", describe(&error))])
}

impl<'de> Deserialize<'de> for Root {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RootVisitor)
    }
}

struct RootVisitor;

impl<'de> Visitor<'de> for RootVisitor {
    type Value = Root;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Root, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Root::Items(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Root, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Root::Fields(fields))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Root, E> {
        Ok(Root::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Root, E> {
        Ok(Root::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Root, E> {
        Ok(Root::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Root, E> {
        Ok(Root::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Root, E> {
        Ok(Root::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Root, E> {
        Ok(Root::Scalar)
    }
}

/// Shortens every text of `value` that is longer than `schema` allows. Returns whether there was one.
fn shorten(value: &mut Value, schema: &Value) -> bool {
    match value {
        Value::String(text) => {
            let most = schema["maxLength"].as_u64().and_then(|most| usize::try_from(most).ok());
            let Some(short) = most.and_then(|most| sentence::shortened(text, most)) else { return false };
            *text = short;
            true
        }
        // Every text is shortened, not only the first.
        Value::Array(items) => {
            items.iter_mut().map(|item| shorten(item, &schema["items"])).filter(|cut| *cut).count() > 0
        }
        Value::Object(fields) => {
            let cuts = fields.iter_mut().map(|(name, field)| shorten(field, &schema["properties"][name]));
            cuts.filter(|cut| *cut).count() > 0
        }
        _ => false,
    }
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
        let mut changes = Vec::new();
        let mut point = |title: &str| parse::<Point>(json!({"title": title, "description": "あ"}), "[0]", &mut changes);
        assert!(point(&"語".repeat(200)).is_ok());
        assert_eq!(point("  \n ").unwrap_err(), ["[0].title: length is lower than 1"]);
        assert!(changes.is_empty());
    }

    #[test]
    fn a_text_that_is_too_long_is_shortened() {
        let mut changes = Vec::new();
        let text = "A sentence about it. ".repeat(110);
        let value = json!({"title": "語".repeat(201), "description": text});
        let point: Point = parse(value, "[0]", &mut changes).unwrap();
        assert_eq!(point.title.chars().count(), 200);
        assert!(point.description.chars().count() <= 2000 && point.description.ends_with("about it."));
        assert_eq!(changes, [Change::TextShortened]);
    }

    #[test]
    fn only_the_invalid_part_of_an_output_is_a_fault() {
        let mut changes = Vec::new();
        let value = json!({"title": "", "description": "x".repeat(2001)});
        let faults = parse::<Point>(value, "[0]", &mut changes).unwrap_err();
        assert_eq!(faults, ["[0].title: length is lower than 1"]);
    }

    #[test]
    fn faults_do_not_contain_values() {
        let mut changes = Vec::new();
        let faults = parse::<Point>(json!({"title": ["secret"], "description": "x"}), "[3]", &mut changes).unwrap_err();
        assert_eq!(faults, ["[3]: a value is of the wrong type; expected a string"]);
        let faults = parse::<Point>(json!({"description": "x"}), "[3]", &mut changes).unwrap_err();
        assert_eq!(faults, ["[3]: missing field `title`"]);
    }

    impl Output for Point {
        const BATCH: &'static str = "Points";
    }
}
