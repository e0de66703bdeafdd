//! Samples of objects: declared properties, dictionaries, dependent names.

use serde_json::{Map, Value};

use super::{Place, Sampler, hash, limit, merge, mix, pattern, string};

/// The default number of entries of a dictionary.
const ENTRIES: usize = 3;

impl Sampler<'_> {
    pub(super) fn object(&self, keywords: &Map<String, Value>, place: &Place<'_>) -> Value {
        let empty = Map::new();
        let declared = keywords.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let required = required(keywords);
        let most = limit(keywords, "maxProperties").unwrap_or(usize::MAX);
        let least = limit(keywords, "minProperties").unwrap_or(0);

        let mut object = Map::new();
        let mut spare = most.saturating_sub(required.len());
        for (name, schema) in declared {
            let is_required = required.contains(&name.as_str());
            if !is_required && (place.tight || spare == 0 || *schema == Value::Bool(false)) {
                continue;
            }
            spare -= usize::from(!is_required);
            let label = label_of(name);
            let own_words = label.and_then(|label| self.prompt.words_of(label));
            let mut here = place.property(name);
            here.label = label.or(here.label);
            if let Some(words) = &own_words {
                here.words = words;
            }
            object.insert(name.clone(), self.value(schema, &here));
        }
        for name in required.iter().filter(|name| !declared.contains_key(**name)) {
            object.insert((*name).to_owned(), self.value(undeclared(keywords), &place.property(name)));
        }
        self.fill(keywords, place, &mut object, least, most);
        Value::Object(object)
    }

    /// Adds entries with arbitrary names: all of a dictionary, or as many as `minProperties` requires.
    fn fill(
        &self,
        keywords: &Map<String, Value>,
        place: &Place<'_>,
        object: &mut Map<String, Value>,
        least: usize,
        most: usize,
    ) {
        let patterns = keywords.get("patternProperties").and_then(Value::as_object).and_then(|all| all.iter().next());
        let is_dictionary = object.is_empty()
            && !keywords.contains_key("properties")
            && (patterns.is_some() || keywords.get("additionalProperties").is_some_and(Value::is_object));
        let wanted = if is_dictionary && !place.tight { ENTRIES } else { 0 }.max(least).min(most);
        let schema = patterns.map_or_else(|| undeclared(keywords), |(_, schema)| schema);
        if *schema == Value::Bool(false) {
            return;
        }
        for turn in 0..(wanted as u64 * 8) {
            self.grow(1);
            if object.len() >= wanted || self.is_full() {
                break;
            }
            let here = Place { seed: mix(place.seed, 0x5eed + turn), ..*place };
            let name = match (patterns, keywords.get("propertyNames")) {
                (Some((pattern, _)), _) => pattern::matching(pattern, here.seed, 0, usize::MAX),
                (None, Some(names)) if names.is_object() => {
                    let names = merge::both(names, &serde_json::json!({"type": "string"}));
                    self.value(&names, &here).as_str().map(str::to_owned)
                }
                _ => None,
            };
            let name = name.unwrap_or_else(|| string::key(&here, turn));
            if object.contains_key(&name) {
                continue;
            }
            let inner = Place { seed: mix(place.seed, hash(&name)), ..place.item(object.len()) };
            let value = self.value(schema, &Place { lists: place.lists, ..inner });
            object.insert(name, value);
        }
    }
}

/// The label in the name of a property: `idea_3` is the property of the input with the label 3.
fn label_of(name: &str) -> Option<i64> {
    name.strip_prefix("idea_")?.parse().ok()
}

/// The schema of an undeclared property.
fn undeclared(keywords: &Map<String, Value>) -> &Value {
    match keywords.get("additionalProperties") {
        Some(schema @ (Value::Object(_) | Value::Bool(false))) => schema,
        _ => &Value::Bool(true),
    }
}

/// The required names and their dependencies.
fn required(keywords: &Map<String, Value>) -> Vec<&str> {
    let mut names: Vec<&str> = strings(keywords.get("required")).collect();
    let Some(dependent) = keywords.get("dependentRequired").and_then(Value::as_object) else { return names };
    let mut at = 0;
    while let Some(name) = names.get(at).copied() {
        for next in strings(dependent.get(name)) {
            if !names.contains(&next) {
                names.push(next);
            }
        }
        at += 1;
    }
    names
}

fn strings(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}
