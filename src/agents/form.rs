//! The form in which a router is asked for an item about each of several ideas.
//!
//! The choice is made here alone, so that a measurement can change it for every agent, or for one provider.

use serde_json::{Map, Value, json};

use super::answer::Indexed;
use super::bounds::{self, Length};
use super::output::{self, Output};
use crate::error::Result;
use crate::router::Generate;
use crate::schema::Schema;

/// A change to the schema of an item.
pub(super) type Reshape = fn(&mut Value);

/// The form of a reply about several ideas. A reply in the other form is accepted too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ItemForm {
    /// An object with a required key for each idea, and the object itself for a single idea. A grammar can enforce it: the
    /// model cannot omit, repeat or swap items.
    Keyed,
    /// An array whose items state the index of their idea, also for a single idea.
    List,
}

impl ItemForm {
    /// Returns the form for `router`. A custom router gets the classes of `madspark.schemas`, which are arrays.
    pub(super) fn of(router: &dyn Generate) -> Self {
        if router.preferred_target().is_some() { Self::Keyed } else { Self::List }
    }

    /// Returns the schema of a reply about the ideas `indices`, whose items are changed by `reshape`, except for the classes of
    /// custom routers.
    pub(super) fn batch_schema<T: Output>(self, indices: &[usize], length: Length, reshape: Reshape) -> Result<Schema> {
        let (name, document) = match self {
            Self::Keyed if indices.len() == 1 => (T::schema_name().into_owned(), bounded::<T>(length, reshape)),
            Self::Keyed => (T::BATCH.to_owned(), keyed::<T>(indices, bounded::<T>(length, reshape))),
            Self::List => (T::BATCH.to_owned(), indexed::<T>(indices, length)),
        };
        Schema::new(name, document)
    }

    /// Returns the schema of a reply with exactly `count` items that belong to no idea.
    pub(super) fn list_schema<T: Output>(self, count: usize, length: Length) -> Result<Schema> {
        if self == Self::Keyed && count == 1 {
            return Schema::new(T::schema_name(), bounded::<T>(length, |_| ()));
        }
        let mut document = output::array::<T>(T::BATCH);
        bounds::apply::<T>(&mut document, length);
        Schema::new(T::BATCH, with_count(document, count))
    }

    /// Returns the line of a prompt that states the form of a reply about the ideas `indices`.
    pub(super) fn batch_line(self, indices: &[usize]) -> String {
        let listed = |name: fn(&usize) -> String| indices.iter().map(name).collect::<Vec<_>>().join(", ");
        match self {
            Self::Keyed if indices.len() == 1 => "Answer with one JSON object about the idea. Give:\n".to_owned(),
            Self::Keyed => format!(
                "Answer with one JSON object that has exactly these keys: {}. Each stands for the idea whose idea_index it \
                 ends with. Under each key give an object about that idea, with:\n",
                listed(|index| format!("\"{}\"", key(*index)))
            ),
            Self::List => format!(
                "Answer with a JSON array of exactly {} {}, one for each idea above. Give each the idea_index that stands \
                 above its idea, exactly as written: {}.\nFor each idea give:\n",
                indices.len(),
                if indices.len() == 1 { "item" } else { "items" },
                listed(ToString::to_string)
            ),
        }
    }

    /// Returns the line of a prompt that states the form of a reply with `count` items that belong to no idea.
    pub(super) fn list_line(self, count: usize) -> &'static str {
        if self == Self::Keyed && count == 1 {
            "Answer with one JSON object. Give:\n"
        } else {
            "Answer with a JSON array, one item for each idea. For each idea give:\n"
        }
    }
}

/// Returns the key of the idea `index` in a keyed reply.
fn key(index: usize) -> String {
    format!("idea_{index}")
}

/// Returns the index that a key of a keyed reply names, as models spell it: `idea_3`, `3`, `Idea 3`, `item-3`.
pub(super) fn index_of_key(key: &str) -> Option<usize> {
    const NAMES: [&str; 5] = ["", "idea", "idea_index", "index", "item"];
    let key = key.trim();
    let digits = key.len() - key.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (name, number) = key.split_at(digits);
    let name = name.trim_end_matches(['_', '-', ' ', '#']).to_lowercase().replace([' ', '-'], "_");
    NAMES.contains(&&*name).then(|| number.parse().ok()).flatten()
}

fn bounded<T: Output>(length: Length, reshape: Reshape) -> Value {
    let mut document = output::document::<T>();
    bounds::apply::<T>(&mut document, length);
    reshape(&mut document);
    document
}

/// Returns the schema of an object with a key for each of `indices`, whose values fit `item`.
fn keyed<T: Output>(indices: &[usize], mut item: Value) -> Value {
    let name = T::schema_name();
    if let Some(item) = item.as_object_mut() {
        // The name and the doc comment of a Rust type are of no use to a model.
        item.retain(|key, _| key != "title" && key != "description");
    }
    let reference = json!({ "$ref": format!("#/$defs/{name}") });
    let properties: Map<String, Value> = indices.iter().map(|index| (key(*index), reference.clone())).collect();
    let required: Vec<&String> = properties.keys().collect();
    json!({
        "title": T::BATCH,
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": false,
        "$defs": { name: item },
    })
}

/// Returns the schema of an array with one item for each of `indices`.
fn indexed<T: Output>(indices: &[usize], length: Length) -> Value {
    let mut document = output::array::<Indexed<T>>(T::BATCH);
    bounds::apply::<T>(&mut document, length);
    let index = &mut document["items"]["properties"]["idea_index"];
    index["minimum"] = json!(indices.iter().min());
    index["maximum"] = json!(indices.iter().max());
    with_count(document, indices.len())
}

fn with_count(mut array: Value, count: usize) -> Value {
    array["minItems"] = json!(count);
    array["maxItems"] = json!(count);
    array
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::{Advocacy, CriticEvaluation};

    fn document(form: ItemForm, indices: &[usize]) -> Value {
        form.batch_schema::<CriticEvaluation>(indices, Length::Usual, |_| ()).unwrap().document().clone()
    }

    #[test]
    fn a_keyed_schema_has_a_required_key_for_each_idea() {
        let schema = document(ItemForm::Keyed, &[1, 3]);
        assert_eq!(schema["required"], json!(["idea_1", "idea_3"]));
        assert_eq!(schema["additionalProperties"], json!(false));
        let valid = json!({"score": 5, "comment": "long enough"});
        let fits = |value: &Value| jsonschema::is_valid(&schema, value);
        assert!(fits(&json!({"idea_1": valid, "idea_3": valid})));
        assert!(!fits(&json!({"idea_1": valid})), "an idea is missing");
        assert!(!fits(&json!({"idea_1": valid, "idea_2": valid, "idea_3": valid})), "an idea is unknown");
    }

    #[test]
    fn one_idea_is_one_object() {
        let schema = document(ItemForm::Keyed, &[4]);
        assert_eq!(schema["title"], json!("CriticEvaluation"));
        assert!(jsonschema::is_valid(&schema, &json!({"score": 5, "comment": "long enough"})));
        assert_eq!(document(ItemForm::List, &[4])["maxItems"], json!(1));
    }

    #[test]
    fn an_argument_cannot_be_empty() {
        let schema = ItemForm::Keyed.batch_schema::<Advocacy>(&[0], Length::Usual, |_| ()).unwrap();
        let empty = json!({"strengths": [], "opportunities": [], "addressing_concerns": []});
        assert!(!jsonschema::is_valid(schema.document(), &empty));
    }

    #[test]
    fn keys_are_recognised_in_every_spelling() {
        for (key, index) in [
            ("idea_3", Some(3)),
            ("3", Some(3)),
            ("Idea 12", Some(12)),
            ("item-0", Some(0)),
            ("idea_index_2", Some(2)),
            ("IDEA#1", Some(1)),
            (" idea_1 ", Some(1)),
            ("idea", None),
            ("score", None),
            ("top_3", None),
            ("3rd", None),
            ("idea_99999999999999999999999", None),
        ] {
            assert_eq!(index_of_key(key), index, "{key}");
        }
    }
}
