//! Matches the items of a reply to the ideas they are about.
//!
//! An item is found under the key of its idea, or names it by `idea_index`. Models drop, repeat, reorder and invent items, and
//! some count from one. An item is matched only if its idea is certain, so that it never ends up with another idea.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::Value;

use super::form::index_of_key;
use super::output::{self, Output, Root};
use crate::attempt::Change;

/// The items of a reply by the index of their idea.
#[derive(Debug)]
pub(super) struct MatchedItems<T> {
    /// Every requested idea with its item, or with the reason why it has none.
    items: BTreeMap<usize, Result<T, String>>,
    /// What is wrong with the reply, item by item, in words a model can act on.
    faults: Vec<String>,
}

/// An item of the reply: the index it names and its content, or what is wrong with the content.
struct Item<T> {
    index: usize,
    content: Result<T, Vec<String>>,
}

/// Matches the items of `json`, a reply about the ideas `requested`.
///
/// - Indices outside of `requested` and of `requested` + 1 are dropped. If all others are in `requested`, they are taken
///   as they are. If not, but all are in `requested` + 1, the model counted from one and each is shifted. If mixed, only
///   those in `requested` are taken.
/// - Equal items with one index count once. Different ones are all dropped, as nothing shows which is right.
/// - A single item without an index is taken if a single idea was requested.
///
/// Fails with the faults of a reply that has no items.
pub(super) fn match_items<T: Output>(
    json: &str,
    requested: &[usize],
    changes: &mut Vec<Change>,
) -> Result<MatchedItems<T>, Vec<String>> {
    let values = indexed_values(output::read_root(json)?, requested.len())?;
    let mut faults = Vec::new();
    let items = read_items(values, requested, &mut faults, changes);
    let offset = offset(&items, requested, &mut faults);

    let mut contents: BTreeMap<usize, Result<T, Vec<String>>> = BTreeMap::new();
    let mut conflicts = Vec::new();
    for Item { index, content } in items {
        let idea = offset.and_then(|offset| index.checked_sub(offset)).filter(|idea| requested.contains(idea));
        let Some(idea) = idea else { continue };
        match contents.entry(idea) {
            Entry::Vacant(entry) => {
                entry.insert(content);
            }
            Entry::Occupied(entry) if *entry.get() == content => {}
            Entry::Occupied(_) => conflicts.push(idea),
        }
    }
    let mut matched = MatchedItems { items: BTreeMap::new(), faults };
    for &idea in requested {
        let item = match contents.remove(&idea) {
            _ if conflicts.contains(&idea) => matched.missing(idea, "different items came back for it"),
            None => matched.missing(idea, "no item came back for it"),
            Some(Ok(item)) => Ok(item),
            Some(Err(faults)) => {
                let reason = format!("its item was not valid: {}", faults.join("; "));
                matched.faults.extend(faults);
                Err(reason)
            }
        };
        matched.items.insert(idea, item);
    }
    Ok(matched)
}

impl<T> MatchedItems<T> {
    /// Returns the item of every requested idea, or the faults of a reply without any valid item.
    pub(super) fn into_usable(self) -> Result<BTreeMap<usize, Result<T, String>>, Vec<String>> {
        if self.items.values().any(Result::is_ok) { Ok(self.items) } else { Err(self.faults) }
    }

    /// Adds a fault for `idea` and returns `reason`.
    fn missing(&mut self, idea: usize, reason: &str) -> Result<T, String> {
        self.faults.push(format!("idea_index {idea}: {reason}"));
        Err(reason.to_owned())
    }
}

/// Returns the items of a reply about `count` ideas, each with the index in its key, if it has a key.
fn indexed_values(root: Root, count: usize) -> Result<Vec<(Option<usize>, Value)>, Vec<String>> {
    let root = match root {
        // `{"evaluations": {"idea_0": …}}`
        Root::Fields(mut fields) if is_wrapper(&fields) => match fields.pop() {
            Some((_, Value::Object(inner))) => Root::Fields(inner.into_iter().collect()),
            _ => Root::Scalar,
        },
        root => root,
    };
    let unkeyed = |root| Ok(output::list_items(root, count)?.into_iter().map(|value| (None, value)).collect());
    let Root::Fields(fields) = root else { return unkeyed(root) };
    let is_item =
        |(key, value): &(String, Value)| index_of_key(key).is_some() && (value.is_object() || value.is_null());
    if fields.iter().any(is_item) {
        let keyed = fields.into_iter().map(|(key, value)| (index_of_key(&key), value));
        return Ok(keyed.filter(|(index, value)| index.is_some() && !value.is_null()).collect());
    }
    if count > 1 && !matches!(fields.as_slice(), [(_, Value::Array(_))]) {
        return Err(vec!["the answer must have a key for each idea".to_owned()]);
    }
    unkeyed(Root::Fields(fields))
}

/// Whether `fields` are one object with the items, under a name that is not that of an idea.
fn is_wrapper(fields: &[(String, Value)]) -> bool {
    let [(name, Value::Object(inner))] = fields else { return false };
    index_of_key(name).is_none() && inner.iter().all(|(key, value)| index_of_key(key).is_some() && value.is_object())
}

/// Takes the index off every item. Items without one are dropped, except for a single item about a single idea, and so are
/// those whose index contradicts their key.
fn read_items<T: Output>(
    values: Vec<(Option<usize>, Value)>,
    requested: &[usize],
    faults: &mut Vec<String>,
    changes: &mut Vec<Change>,
) -> Vec<Item<T>> {
    let only_idea = match requested {
        [idea] if values.len() == 1 => Some(*idea),
        _ => None,
    };
    let mut items = Vec::with_capacity(values.len());
    for (position, (key, mut value)) in values.into_iter().enumerate() {
        let path = key.map_or_else(|| format!("[{position}]"), |key| format!("idea_{key}"));
        let named = value.as_object_mut().and_then(|object| object.shift_remove("idea_index"));
        let index = match (key, named) {
            (None, None | Some(Value::Null)) => only_idea,
            (key, None | Some(Value::Null)) => key,
            (None, Some(named)) => number(&named),
            (Some(key), Some(named)) => number(&named).filter(|named| *named == key),
        };
        match index {
            Some(index) => items.push(Item { index, content: output::parse(value, &path, changes) }),
            None => faults.push(format!("{path}.idea_index: missing, or not one of the numbers given")),
        }
    }
    items
}

/// Returns an index as a number, even if it is written as text or with a decimal point.
fn number(index: &Value) -> Option<usize> {
    let text = match index {
        Value::String(text) => text.trim(),
        Value::Number(number) => &number.to_string(),
        _ => return None,
    };
    text.strip_suffix(".0").unwrap_or(text).parse().ok()
}

/// Returns what to subtract from every index: 0 or 1. `None` means that the indices are not reliable.
fn offset<T>(items: &[Item<T>], requested: &[usize], faults: &mut Vec<String>) -> Option<usize> {
    let literal = |index: &usize| requested.contains(index);
    let shifted = |index: &usize| index.checked_sub(1).is_some_and(|index| requested.contains(&index));
    let indices: Vec<usize> = items.iter().map(|item| item.index).collect();
    // A model that answers 0 and 1 for the ideas 1 and 3 has renumbered them: its 1 means 3.
    let first = requested.iter().min();
    let is_renumbered =
        indices.iter().any(|index| Some(index) < first) && !requested.iter().all(|idea| indices.contains(idea));
    if is_renumbered {
        faults.push("idea_index: the ideas were numbered anew; repeat the numbers given".to_owned());
        return None;
    }
    let known: Vec<usize> = indices.into_iter().filter(|index| literal(index) || shifted(index)).collect();
    Some(usize::from(!known.iter().all(literal) && known.iter().all(shifted)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use proptest::sample::subsequence;
    use serde_json::json;

    use super::*;
    use crate::agents::CriticEvaluation;

    fn item(index: usize, about: usize) -> Value {
        json!({"idea_index": index, "score": 5, "comment": format!("what there is to say about {about}")})
    }

    fn matched(items: &[Value], requested: &[usize]) -> MatchedItems<CriticEvaluation> {
        matched_in(&Value::from(items), requested)
    }

    fn matched_in(reply: &Value, requested: &[usize]) -> MatchedItems<CriticEvaluation> {
        match_items(&reply.to_string(), requested, &mut Vec::new()).unwrap()
    }

    fn is_rejected(json: &str, requested: &[usize]) -> bool {
        match_items::<CriticEvaluation>(json, requested, &mut Vec::new()).is_err()
    }

    fn bare(about: usize) -> Value {
        json!({"score": 5, "comment": format!("what there is to say about {about}")})
    }

    impl MatchedItems<CriticEvaluation> {
        /// Each idea that has an item, with the idea that the item is really about.
        fn subjects(&self) -> Vec<(usize, usize)> {
            let subject = |item: &CriticEvaluation| item.comment.rsplit(' ').next().unwrap().parse().unwrap();
            self.items.iter().filter_map(|(idea, item)| Some((*idea, subject(item.as_ref().ok()?)))).collect()
        }

        /// The ideas without an item.
        fn missing_ideas(&self) -> Vec<usize> {
            self.items.iter().filter(|(_, item)| item.is_err()).map(|(idea, _)| *idea).collect()
        }
    }

    #[test]
    fn indices_count_from_zero_or_from_one() {
        assert_eq!(matched(&[item(1, 1), item(0, 0)], &[0, 1]).subjects(), [(0, 0), (1, 1)]);
        assert_eq!(matched(&[item(1, 0), item(2, 1)], &[0, 1]).subjects(), [(0, 0), (1, 1)]);
        assert_eq!(matched(&[item(1, 0)], &[0]).subjects(), [(0, 0)]);
    }

    #[test]
    fn items_about_unknown_ideas_are_dropped() {
        let reply = [item(0, 0), item(1, 1), item(7, 7), item(2, 2), item(3, 3)];
        assert_eq!(matched(&reply, &[0, 1, 2]).subjects(), [(0, 0), (1, 1), (2, 2)]);
        assert_eq!(matched(&[item(1, 0), item(2, 1), item(9, 9)], &[0, 1]).subjects(), [(0, 0), (1, 1)]);
    }

    #[test]
    fn renumbered_ideas_are_rejected() {
        let reply = matched(&[item(0, 1), item(1, 3)], &[1, 3]);
        assert!(reply.subjects().is_empty() && !reply.faults.is_empty(), "{reply:?}");
        let everything: Vec<Value> = (0..4).map(|idea| item(idea, idea)).collect();
        assert_eq!(matched(&everything, &[1, 3]).subjects(), [(1, 1), (3, 3)]);
    }

    #[test]
    fn equal_duplicates_count_once_and_conflicting_ones_are_dropped() {
        let reply = matched(&[item(0, 0), item(1, 1), item(0, 0), item(1, 2)], &[0, 1]);
        assert_eq!(reply.subjects(), [(0, 0)]);
        assert_eq!(reply.missing_ideas(), [1]);
    }

    #[test]
    fn an_invalid_item_does_not_affect_the_others() {
        let bad = json!({"idea_index": 1, "score": 11, "comment": "far too good to be true"});
        let reply = matched(&[item(0, 0), bad, item(2, 2)], &[0, 1, 2]);
        assert_eq!(reply.subjects(), [(0, 0), (2, 2)]);
        assert_eq!(reply.items[&1].as_ref().unwrap_err(), "its item was not valid: [1].score: greater than 10");
    }

    #[test]
    fn an_index_may_be_missing_only_for_a_single_idea() {
        assert_eq!(matched(&[bare(4)], &[4]).subjects(), [(4, 4)]);
        assert!(matched(&[bare(0), bare(1)], &[0, 1]).subjects().is_empty());
        assert!(matched(&[bare(0), bare(0)], &[0]).subjects().is_empty());
        assert!(matched(&[bare(0)], &[0, 1]).subjects().is_empty());
        assert_eq!(matched_in(&bare(0), &[0]).subjects(), [(0, 0)]);
    }

    #[test]
    fn an_index_may_be_written_as_text() {
        let mut items = [item(0, 0), item(1, 1), item(2, 2), item(3, 3)];
        items[1]["idea_index"] = json!("1");
        items[2]["idea_index"] = json!(2.0);
        items[3]["idea_index"] = json!(-3);
        assert_eq!(matched(&items, &[0, 1, 2, 3]).subjects(), [(0, 0), (1, 1), (2, 2)]);
    }

    #[test]
    fn a_reply_without_a_list_is_rejected() {
        assert!(is_rejected("[", &[0]));
        assert!(is_rejected("3", &[0]));
        assert!(is_rejected("{\"a\": 1, \"b\": []}", &[0, 1]));
        assert!(
            is_rejected(&json!({"first": bare(0), "second": bare(1)}).to_string(), &[0, 1]),
            "the order is no index"
        );
        let wrapped = json!({"evaluations": [item(0, 0), item(1, 1)]});
        assert_eq!(matched_in(&wrapped, &[0, 1]).subjects(), [(0, 0), (1, 1)]);
    }

    #[test]
    fn items_are_found_under_the_keys_of_their_ideas() {
        let reply = json!({"idea_3": bare(3), "idea_1": bare(1)});
        assert_eq!(matched_in(&reply, &[1, 3]).subjects(), [(1, 1), (3, 3)]);
        for reply in [
            json!({"0": bare(0), "1": bare(1)}),
            json!({"Idea 1": bare(0), "Idea 2": bare(1)}),
            json!({"evaluations": {"idea_0": bare(0), "idea_1": bare(1)}}),
            json!({"idea_0": item(0, 0), "idea_1": item(1, 1), "idea_9": bare(9), "note": "done"}),
        ] {
            assert_eq!(matched_in(&reply, &[0, 1]).subjects(), [(0, 0), (1, 1)], "{reply}");
        }
        assert_eq!(matched_in(&json!({"idea_4": bare(4)}), &[4]).subjects(), [(4, 4)]);
    }

    #[test]
    fn keys_that_are_missing_repeated_or_contradicted_lose_only_their_idea() {
        assert_eq!(matched_in(&json!({"idea_0": bare(0), "idea_1": null}), &[0, 1]).missing_ideas(), [1]);
        assert_eq!(matched_in(&json!({"idea_0": bare(0)}), &[0, 1]).missing_ideas(), [1]);
        assert_eq!(matched_in(&json!({"idea_0": bare(0), "idea_1": item(0, 0)}), &[0, 1]).missing_ideas(), [1]);
        let repeated = format!(r#"{{"idea_0": {}, "idea_1": {}, "idea_1": {}}}"#, bare(0), bare(1), bare(2));
        let reply: MatchedItems<CriticEvaluation> = match_items(&repeated, &[0, 1], &mut Vec::new()).unwrap();
        assert_eq!((reply.subjects(), reply.missing_ideas()), (vec![(0, 0)], vec![1]));
        let invalid = matched_in(&json!({"idea_0": {"score": 11, "comment": "far too good to be true"}}), &[0, 1]);
        assert_eq!(invalid.items[&0].as_ref().unwrap_err(), "its item was not valid: idea_0.score: greater than 10");
    }

    /// The requested ideas, those of them answered, the offset of the indices, and the items in any order: some repeated,
    /// some about unknown ideas.
    fn reply() -> impl Strategy<Value = (Vec<usize>, Vec<usize>, usize, Vec<Value>)> {
        let requested = subsequence((0..9usize).collect::<Vec<_>>(), 1..6);
        let answered =
            requested.prop_flat_map(|requested| (subsequence(requested.clone(), 0..=requested.len()), Just(requested)));
        let repeated = answered.prop_flat_map(|(answered, requested)| {
            (subsequence(answered.clone(), 0..=answered.len()), Just(answered), Just(requested))
        });
        let unknown = prop::collection::vec(20..30usize, 0..3);
        (repeated, unknown, 0..2usize).prop_flat_map(|((repeated, answered, requested), unknown, offset)| {
            let items = answered.iter().chain(&repeated).chain(&unknown).map(|idea| item(idea + offset, *idea));
            let items = Just(items.collect::<Vec<_>>()).prop_shuffle();
            (Just(requested), Just(answered), Just(offset), items)
        })
    }

    proptest! {
        #[test]
        fn an_item_is_never_matched_to_another_idea((requested, answered, offset, items) in reply()) {
            // A short reply that counts from one can look exactly like one that counts from zero.
            prop_assume!(offset == 0 || !answered.iter().all(|idea| requested.contains(&(idea + 1))));
            let reply = matched(&items, &requested);
            let expected: Vec<(usize, usize)> = answered.iter().map(|idea| (*idea, *idea)).collect();
            prop_assert_eq!(reply.subjects(), expected);
            let missing: Vec<usize> = requested.iter().copied().filter(|idea| !answered.contains(idea)).collect();
            prop_assert_eq!(reply.missing_ideas(), missing);
        }

        #[test]
        fn every_idea_has_an_item_or_a_reason(
            requested in subsequence((0..9usize).collect::<Vec<_>>(), 1..6),
            indices in prop::collection::vec((0..12usize, 0..3usize), 0..12),
        ) {
            let items: Vec<Value> = indices.iter().map(|(index, about)| item(*index, *about)).collect();
            let reply = matched(&items, &requested);
            let found: BTreeSet<usize> = reply.subjects().into_iter().map(|(idea, _)| idea).collect();
            let missing: BTreeSet<usize> = reply.missing_ideas().into_iter().collect();
            prop_assert!(found.is_disjoint(&missing));
            prop_assert_eq!(found.union(&missing).copied().collect::<Vec<_>>(), requested);
            // One rule applies to the whole reply: all indices as they are, or all shifted by one.
            let from = |offset: usize| reply.subjects().iter().all(|(idea, about)| indices.contains(&(idea + offset, *about)));
            prop_assert!(from(0) || from(1));
        }
    }
}
