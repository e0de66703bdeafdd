//! The bounds of what agents ask for: the length of every text and list, and the tokens of a reply.
//!
//! The output types state what is accepted. What is asked for is shorter, and is part of the schema, so that a grammar ends
//! the output of a model that repeats itself. A reply beyond these bounds is still accepted within those of the types.

use serde_json::{Value, json};

use super::output::Output;

/// How much a model may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// The bounds below.
    Usual,
    /// Half of them, after a reply that was truncated.
    Short,
}

/// The characters of the texts with these names.
const TEXTS: [(&str, u64); 14] = [
    ("title", 100),
    ("improved_title", 100),
    ("category", 60),
    ("description", 500),
    ("improved_description", 1000),
    ("comment", 500),
    ("summary", 300),
    ("conclusion", 500),
    ("improvements", 500),
    ("response", 300),
    ("importance", 300),
    ("resolution", 500),
    ("root_cause", 300),
    ("explanation", 300),
];
/// The characters of every other text.
const TEXT: u64 = 200;
/// The items of a list of texts.
const TEXT_ITEMS: u64 = 5;
/// The items of a list of objects.
const OBJECT_ITEMS: u64 = 3;

/// Adds the bounds to `document`, a schema of one or several `T`.
pub(super) fn apply<T: Output>(document: &mut Value, length: Length) {
    // The number of items at the root is that of the ideas.
    let root = if document.get("items").is_some() { &mut document["items"] } else { document };
    bound(root, "", length, T::NEVER_EMPTY);
}

/// Returns the maximum number of tokens of a reply that fits `document`, with `per_char` tokens for each character.
pub(super) fn tokens(document: &Value, per_char: f64) -> u32 {
    /// Indentation, line breaks and a few words before the JSON.
    const SLACK: f64 = 1.2;
    const EXTRA: f64 = 64.0;
    let tokens = Tokens { root: document, per_char }.of(document).mul_add(SLACK, EXTRA);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates")]
    let tokens = tokens.ceil() as u32;
    tokens
}

fn bound(schema: &mut Value, name: &str, length: Length, never_empty: &[&str]) {
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (name, property) in properties {
            bound(property, name, length, never_empty);
        }
    }
    if let Some(items) = schema.get_mut("items") {
        let count = if items.get("properties").is_some() { OBJECT_ITEMS } else { TEXT_ITEMS };
        bound(items, "", length, never_empty);
        schema["maxItems"] = json!(scaled(count, length).max(least(schema, "minItems")));
        if never_empty.contains(&name) {
            schema["minItems"] = json!(1);
        }
    }
    if is_text(schema) {
        let most = TEXTS.iter().find(|(known, _)| *known == name).map_or(TEXT, |(_, most)| *most);
        let accepted = schema.get("maxLength").and_then(Value::as_u64).unwrap_or(u64::MAX);
        schema["maxLength"] = json!(scaled(most, length).min(accepted).max(least(schema, "minLength")));
    }
}

fn scaled(most: u64, length: Length) -> u64 {
    match length {
        Length::Usual => most,
        Length::Short => most.div_ceil(2),
    }
}

fn least(schema: &Value, keyword: &str) -> u64 {
    schema.get(keyword).and_then(Value::as_u64).unwrap_or(0)
}

fn is_text(schema: &Value) -> bool {
    schema.get("enum").is_none() && has_type(schema, "string")
}

fn has_type(schema: &Value, name: &str) -> bool {
    match &schema["type"] {
        Value::Array(names) => names.iter().any(|known| known == name),
        known => known == name,
    }
}

struct Tokens<'d> {
    root: &'d Value,
    per_char: f64,
}

impl Tokens<'_> {
    #[expect(clippy::cast_precision_loss, reason = "lengths and counts are small")]
    fn of(&self, schema: &Value) -> f64 {
        /// Brackets, quotes, colons and commas.
        const MARKS: f64 = 3.0;
        const NUMBER: f64 = 8.0;
        let definition = schema["$ref"].as_str().and_then(|target| self.root.pointer(target.trim_start_matches('#')));
        if let Some(definition) = definition {
            return self.of(definition);
        }
        if let Value::Object(properties) = &schema["properties"] {
            let members = properties.iter().map(|(name, value)| name.len() as f64 / 3.0 + MARKS + self.of(value));
            return MARKS + members.sum::<f64>();
        }
        if let Some(items) = schema.get("items") {
            let count = schema["maxItems"].as_u64().unwrap_or(TEXT_ITEMS);
            return MARKS + count as f64 * (self.of(items) + 1.0);
        }
        match &schema["maxLength"] {
            Value::Number(most) => MARKS + most.as_f64().unwrap_or_default() * self.per_char,
            _ => NUMBER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::form::ItemForm;
    use super::*;
    use crate::agents::output::schema_of;
    use crate::agents::{
        Advocacy, CausalInference, ConstraintInference, ContradictionInference, CriticEvaluation, DimensionScores,
        FullInference, IdeaItem, ImplicationInference, Improvement, Skepticism,
    };

    fn asked<T: Output>(length: Length) -> Value {
        ItemForm::Keyed.batch_schema::<T>(&[0], length, |_| ()).unwrap().document().clone()
    }

    /// The schemas below the root that are texts or lists.
    fn parts<'s>(schema: &'s Value, found: &mut Vec<&'s Value>) {
        if is_text(schema) || schema.get("items").is_some() {
            found.push(schema);
        }
        schema["properties"].as_object().into_iter().flat_map(|all| all.values()).for_each(|part| parts(part, found));
        schema.get("items").into_iter().for_each(|item| parts(item, found));
    }

    #[test]
    fn every_text_and_list_of_every_agent_is_bounded() {
        let documents = [
            asked::<IdeaItem>(Length::Usual),
            asked::<CriticEvaluation>(Length::Usual),
            asked::<Advocacy>(Length::Usual),
            asked::<Skepticism>(Length::Usual),
            asked::<Improvement>(Length::Usual),
            asked::<DimensionScores>(Length::Usual),
            asked::<FullInference>(Length::Usual),
            asked::<CausalInference>(Length::Usual),
            asked::<ConstraintInference>(Length::Usual),
            asked::<ContradictionInference>(Length::Usual),
            asked::<ImplicationInference>(Length::Usual),
        ];
        for document in &documents {
            let mut found = Vec::new();
            parts(document, &mut found);
            assert!(!found.is_empty());
            for part in found {
                let bounds = (part["maxLength"].as_u64(), part["maxItems"].as_u64());
                assert!(matches!(bounds, (Some(1..=1000), None) | (None, Some(1..=5))), "{part} in {document}");
            }
        }
    }

    #[test]
    fn what_is_asked_for_is_within_what_is_accepted() {
        let (asked, accepted) = (asked::<Improvement>(Length::Usual), schema_of("Improvement").unwrap());
        let most = |schema: &Value| schema["properties"]["improved_description"]["maxLength"].as_u64().unwrap();
        assert!(most(&asked) < most(&accepted));
        assert_eq!(asked["properties"]["key_improvements"]["minItems"], json!(1));
    }

    #[test]
    fn a_short_answer_has_half_the_bounds_and_half_the_tokens() {
        let (usual, short) = (asked::<Skepticism>(Length::Usual), asked::<Skepticism>(Length::Short));
        assert_eq!(short["properties"]["critical_flaws"]["maxItems"], json!(2));
        assert!(tokens(&short, 0.5) < tokens(&usual, 0.5) / 2);
    }

    #[test]
    fn the_token_bound_grows_with_ideas_and_script() {
        let schema = |indices: &[usize]| {
            ItemForm::Keyed.batch_schema::<CriticEvaluation>(indices, Length::Usual, |_| ()).unwrap().document().clone()
        };
        let (one, three) = (tokens(&schema(&[0]), 0.4), tokens(&schema(&[0, 1, 2]), 0.4));
        assert!(three > 2 * one && three < 3 * one, "{one} {three}");
        assert!(tokens(&schema(&[0]), 1.5) > 3 * one);
        assert!((300..1500).contains(&one), "{one}");
    }
}
