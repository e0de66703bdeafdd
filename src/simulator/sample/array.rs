//! Samples of arrays: the number of items and their labels.

use serde_json::{Map, Value};

use super::prompt::is_label_name;
use super::{Place, Sampler, limit, merge, resolve};

/// The default number of items.
const ITEMS: usize = 3;
/// The largest number of items that a prompt can request. A schema may require more.
const MAX_REQUESTED: usize = 1000;

impl Sampler<'_> {
    pub(super) fn array(&self, keywords: &Map<String, Value>, place: &Place<'_>) -> Value {
        let any = Value::Bool(true);
        let (first, rest) = match (keywords.get("prefixItems"), keywords.get("items")) {
            (Some(Value::Array(first)), rest) => (first.as_slice(), rest),
            (_, Some(Value::Array(first))) => (first.as_slice(), keywords.get("additionalItems")),
            (_, rest) => (&[][..], rest),
        };
        let labels = rest.map(|item| self.labels(item)).unwrap_or_default();
        let mut count = self.count(keywords, place, first.len(), rest, &labels);
        let contained = keywords.get("contains").filter(|_| limit(keywords, "minContains") != Some(0));
        let must_contain = contained.map_or(0, |_| limit(keywords, "minContains").unwrap_or(1));
        count = count.max(must_contain).min(limit(keywords, "maxItems").unwrap_or(usize::MAX));

        let unique = keywords.get("uniqueItems") == Some(&Value::Bool(true));
        let mut items: Vec<Value> = Vec::new();
        for ordinal in 0..count {
            self.grow(1);
            if self.is_full() {
                break;
            }
            let schema = first.get(ordinal).or(rest).unwrap_or(&any);
            let label = labels.get(ordinal).copied();
            let own_words = label.and_then(|label| self.prompt.words_of(label));
            let mut here = place.item(ordinal);
            here.label = label;
            if let Some(words) = &own_words {
                here.words = words;
            }
            let wanted = match contained {
                Some(contained) if ordinal >= first.len() && ordinal < first.len() + must_contain => {
                    &merge::both(schema, contained)
                }
                _ => schema,
            };
            let item = self.value(wanted, &here);
            if unique {
                self.grow(items.len());
            }
            if unique && items.contains(&item) {
                match self.distinct(wanted, &here, &items) {
                    Some(item) => items.push(item),
                    // If no other value exists, a shorter array is valid from `minItems` on.
                    None if items.len() >= limit(keywords, "minItems").unwrap_or(0) => break,
                    None => items.push(item),
                }
            } else {
                items.push(item);
            }
        }
        Value::Array(items)
    }

    /// A value that differs from all `items`. Other positions are tried, because choices depend on the position.
    fn distinct(&self, schema: &Value, place: &Place<'_>, items: &[Value]) -> Option<Value> {
        (1..256)
            .map(|turn| {
                let here = Place { ordinal: place.ordinal + turn, seed: super::mix(place.seed, turn as u64), ..*place };
                self.value(schema, &here)
            })
            .take_while(|_| !self.is_full())
            .inspect(|_| self.grow(items.len()))
            .find(|item| !items.contains(item))
    }

    fn count(
        &self,
        keywords: &Map<String, Value>,
        place: &Place<'_>,
        first: usize,
        rest: Option<&Value>,
        labels: &[i64],
    ) -> usize {
        let least = limit(keywords, "minItems").unwrap_or(0);
        let most = limit(keywords, "maxItems").unwrap_or(usize::MAX);
        if place.tight {
            return least.max(first).min(most);
        }
        if first > 0 && rest.is_none_or(|rest| *rest == Value::Bool(false)) {
            return first.max(least).min(most);
        }
        if rest == Some(&Value::Bool(false)) {
            return 0;
        }
        let is_recursive = place.refs.is_some_and(|frame| place.times_inside(frame.target) > 1);
        let default = if is_recursive { 1 } else { ITEMS };
        let requested = self.prompt.requested(place.name, place.lists == 0).map(|count| count.min(MAX_REQUESTED));
        let wanted = match (labels.len(), requested) {
            (0, requested) => requested.unwrap_or(default),
            (labelled, requested) => requested.map_or(labelled, |count| count.min(labelled)),
        };
        wanted.max(first).max(least).min(most)
    }

    /// The labels in the prompt for the index property of the items.
    fn labels(&self, item: &Value) -> Vec<i64> {
        let mut item = item;
        for _ in 0..8 {
            match item.get("$ref").and_then(Value::as_str).and_then(|target| resolve(self.root, target)) {
                Some(target) => item = target,
                None => break,
            }
        }
        let Some(properties) = item.get("properties").and_then(Value::as_object) else { return Vec::new() };
        properties
            .iter()
            .filter(|(name, schema)| is_label_name(name) && accepts_integers(schema))
            .map(|(name, _)| self.prompt.labels(name))
            .find(|labels| !labels.is_empty())
            .unwrap_or_default()
    }
}

fn accepts_integers(schema: &Value) -> bool {
    let is_integer = |kind: &Value| kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("integer"));
    match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(is_integer),
        Some(kind) => is_integer(kind),
        None => schema.get("anyOf").and_then(Value::as_array).is_some_and(|all| all.iter().any(accepts_integers)),
    }
}
