//! Outputs of a model: from a type to the schema that is sent, and from a reply's JSON back to the type.
//!
//! One `garde` attribute per field is both the bound in the schema and the check of the reply, so the two cannot drift.

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
    FullInference, IdeaItem, ImplicationInference, Improvement, Labelled, Skepticism,
};
use crate::error::Result;
use crate::schema::Schema;

/// A type that a model fills in.
pub trait Output:
    Serialize + DeserializeOwned + JsonSchema + Validate<Context = ()> + Clone + PartialEq + Debug + Send + Sync + 'static
{
    /// A fault that no single field shows; `None` where there is none.
    fn fault(&self) -> Option<&'static str> {
        None
    }

    /// The value in the form it is handed on, for example with its scores rounded.
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
    pub(super) fn pairs(points: &[Self]) -> Vec<(&str, &str)> {
        points.iter().map(|point| (&*point.title, &*point.description)).collect()
    }
}

/// The schemas of answers about many ideas.
pub const BATCHES: [&str; 11] = [
    "GeneratedIdeas",
    "CriticEvaluations",
    "AdvocacyBatch",
    "SkepticismBatch",
    "ImprovementBatch",
    "DimensionEvaluations",
    "FullInferences",
    "CausalInferences",
    "ConstraintInferences",
    "ContradictionInferences",
    "ImplicationInferences",
];

/// The schema the agents ask with under `name`, without the number of items, which each question adds for itself.
///
/// The names are [`BATCHES`] (root arrays), `Advocacy`, `Skepticism` and `Improvement` (objects). `None` for any other name.
pub fn schema_of(name: &str) -> Option<Value> {
    let array = |mut items: Value| {
        if let Some(items) = items.as_object_mut() {
            // The name and the description of a Rust type tell a model nothing.
            items.retain(|key, _| key != "title" && key != "description");
        }
        json!({ "title": name, "type": "array", "items": items, "minItems": 1 })
    };
    Some(match name {
        "GeneratedIdeas" => array(document::<IdeaItem>()),
        "CriticEvaluations" => array(document::<Labelled<CriticEvaluation>>()),
        "AdvocacyBatch" => array(document::<Labelled<Advocacy>>()),
        "SkepticismBatch" => array(document::<Labelled<Skepticism>>()),
        "ImprovementBatch" => array(document::<Labelled<Improvement>>()),
        "DimensionEvaluations" => array(document::<Labelled<DimensionScores>>()),
        "FullInferences" => array(document::<Labelled<FullInference>>()),
        "CausalInferences" => array(document::<Labelled<CausalInference>>()),
        "ConstraintInferences" => array(document::<Labelled<ConstraintInference>>()),
        "ContradictionInferences" => array(document::<Labelled<ContradictionInference>>()),
        "ImplicationInferences" => array(document::<Labelled<ImplicationInference>>()),
        "Advocacy" => document::<Advocacy>(),
        "Skepticism" => document::<Skepticism>(),
        "Improvement" => document::<Improvement>(),
        _ => return None,
    })
}

/// The schema `name` for exactly `count` items, about the ideas `labels` where the items carry labels.
pub(super) fn list_schema(name: &str, count: usize, labels: &[usize]) -> Result<Schema> {
    let mut document = schema_of(name).unwrap_or_default();
    document["minItems"] = json!(count);
    document["maxItems"] = json!(count);
    if let (Some(first), Some(last)) = (labels.iter().min(), labels.iter().max()) {
        let index = &mut document["items"]["properties"]["idea_index"];
        index["minimum"] = json!(first);
        index["maximum"] = json!(last);
    }
    Schema::new(name, document)
}

/// The schema `name` of one object.
pub(super) fn object_schema(name: &str) -> Result<Schema> {
    Schema::new(name, schema_of(name).unwrap_or_default())
}

/// Reads and checks one output. `path` is where it stands in the reply, for the faults; they hold no value of it.
pub(super) fn read<T: Output>(mut value: Value, path: &str) -> Result<T, Vec<String>> {
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

/// The list in a reply: a root array, an array wrapped in an object of one key, or a lone object where one was asked for.
pub(super) fn read_list(json: &str, count: usize) -> Result<Vec<Value>, Vec<String>> {
    let value: Value = serde_json::from_str(json).map_err(|_| vec!["the answer is not valid JSON".to_owned()])?;
    match value {
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

/// An argument as bullet text, a heading over each section; empty sections are left out. The headings are in the
/// language of the argument, and in `otherwise` where it is too short to tell; in English where that is none of those
/// there are headings in: Arabic, Chinese, German and Japanese.
pub(super) fn formatted(sections: &[(Heading, Vec<(&str, &str)>)], otherwise: Option<Language>) -> String {
    let words: Vec<&str> =
        sections.iter().flat_map(|(_, pairs)| pairs).flat_map(|(lead, detail)| [*lead, *detail]).collect();
    let language = Language::of(&words.join("\n"), "").or(otherwise);
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

fn document<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    });
    // `format: double` and the like tell about Rust, not about the reply; some providers reject them.
    let settings = settings.with_transform(RecursiveTransform(|schema: &mut schemars::Schema| {
        schema.remove("format");
    }));
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Blanks around a text are no content: a title of blanks must count as empty.
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

/// Serde's sentence without the offending value, which may repeat the caller's data.
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
    fn the_bounds_are_in_the_schema() {
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
        for name in BATCHES.into_iter().chain(["Advocacy", "Skepticism", "Improvement"]) {
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
        let point = |title: &str| read::<Point>(json!({"title": title, "description": "あ"}), "[0]");
        assert!(point(&"語".repeat(200)).is_ok());
        assert_eq!(point(&"語".repeat(201)).unwrap_err(), ["[0].title: length is greater than 200"]);
        assert_eq!(point("  \n ").unwrap_err(), ["[0].title: length is lower than 1"]);
    }

    #[test]
    fn faults_do_not_repeat_values() {
        let faults = read::<Point>(json!({"title": ["secret"], "description": "x"}), "[3]").unwrap_err();
        assert_eq!(faults, ["[3]: a value is of the wrong type; expected a string"]);
        let faults = read::<Point>(json!({"description": "x"}), "[3]").unwrap_err();
        assert_eq!(faults, ["[3]: missing field `title`"]);
    }

    impl Output for Point {}
}
