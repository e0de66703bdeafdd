//! Which item of a reply belongs to which idea.
//!
//! Every item names its idea by `idea_index`. Models drop items, repeat them, reorder them, invent some and count from
//! one; none of that may put an item on another idea. What cannot be placed for certain is not placed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::Value;

use super::output::{self, Output};

/// The items placed, and why the other ideas have none.
#[derive(Debug)]
pub(super) struct Placed<T> {
    pub(super) found: BTreeMap<usize, T>,
    pub(super) missing: BTreeMap<usize, String>,
    /// What is wrong with the reply, item by item, in words a model can act on.
    pub(super) faults: Vec<String>,
}

/// An item of the reply: its label and its content, or what is wrong with the content.
struct Item<T> {
    label: usize,
    content: Result<T, Vec<String>>,
}

/// Places the items of a reply about the ideas `asked`.
///
/// Labels outside of `asked` and of `asked` + 1 are dropped. If those left are all in `asked`, they are taken as they
/// are; if not, but all in `asked` + 1, the model counted from one and each is shifted; if mixed, only those in `asked`
/// are taken. Equal items of one label count once; different ones are all dropped, since nothing tells which is right.
/// A lone item without a label is taken where one idea was asked about. `Err` where the reply holds no list at all.
pub(super) fn place<T: Output>(json: &str, asked: &[usize]) -> Result<Placed<T>, Vec<String>> {
    let values = output::read_list(json, asked.len())?;
    let mut placed = Placed { found: BTreeMap::new(), missing: BTreeMap::new(), faults: Vec::new() };
    let items = labelled(values, asked, &mut placed.faults);
    let offset = offset(&items, asked, &mut placed.faults);

    let mut contents: BTreeMap<usize, Result<T, Vec<String>>> = BTreeMap::new();
    let mut conflicts = Vec::new();
    for Item { label, content } in items {
        let Some(idea) = offset.and_then(|offset| label.checked_sub(offset)).filter(|idea| asked.contains(idea)) else {
            continue;
        };
        match contents.entry(idea) {
            Entry::Vacant(entry) => {
                entry.insert(content);
            }
            Entry::Occupied(entry) if *entry.get() == content => {}
            Entry::Occupied(_) => conflicts.push(idea),
        }
    }
    for &idea in asked {
        if conflicts.contains(&idea) {
            placed.lose(idea, "different items came back for it");
            continue;
        }
        match contents.remove(&idea) {
            Some(Ok(item)) => {
                placed.found.insert(idea, item);
            }
            Some(Err(faults)) => {
                placed.missing.insert(idea, format!("its item was not valid: {}", faults.join("; ")));
                placed.faults.extend(faults);
            }
            None => placed.lose(idea, "no item came back for it"),
        }
    }
    Ok(placed)
}

impl<T> Placed<T> {
    fn lose(&mut self, idea: usize, reason: &str) {
        self.faults.push(format!("idea_index {idea}: {reason}"));
        self.missing.insert(idea, reason.to_owned());
    }
}

/// Takes the label off every item; items without one are left out, but for a lone item about a lone idea.
fn labelled<T: Output>(values: Vec<Value>, asked: &[usize], faults: &mut Vec<String>) -> Vec<Item<T>> {
    let alone = match asked {
        [idea] if values.len() == 1 => Some(*idea),
        _ => None,
    };
    let mut items = Vec::with_capacity(values.len());
    for (position, mut value) in values.into_iter().enumerate() {
        let label = value.as_object_mut().and_then(|object| object.shift_remove("idea_index"));
        let label = match label {
            None | Some(Value::Null) => alone,
            Some(label) => number(&label),
        };
        match label {
            Some(label) => items.push(Item { label, content: output::read(value, &format!("[{position}]")) }),
            None => faults.push(format!("[{position}].idea_index: missing, or not one of the numbers given")),
        }
    }
    items
}

/// A label as a number, also where it was written as text or with a decimal point.
fn number(label: &Value) -> Option<usize> {
    let text = match label {
        Value::String(text) => text.trim(),
        Value::Number(number) => &number.to_string(),
        _ => return None,
    };
    text.strip_suffix(".0").unwrap_or(text).parse().ok()
}

/// What to take off every label: 0 or 1; `None` where the labels are not to be trusted.
fn offset<T>(items: &[Item<T>], asked: &[usize], faults: &mut Vec<String>) -> Option<usize> {
    let literal = |label: &usize| asked.contains(label);
    let shifted = |label: &usize| label.checked_sub(1).is_some_and(|label| asked.contains(&label));
    let labels: Vec<usize> = items.iter().map(|item| item.label).collect();
    // Asked about ideas 1 and 3 alone, a model that answers 0 and 1 has numbered them anew: its 1 means 3.
    let first = asked.iter().min();
    let renumbered = labels.iter().any(|label| Some(label) < first) && !asked.iter().all(|idea| labels.contains(idea));
    if renumbered {
        faults.push("idea_index: the ideas were numbered anew; repeat the numbers given".to_owned());
        return None;
    }
    let known: Vec<usize> = labels.into_iter().filter(|label| literal(label) || shifted(label)).collect();
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

    fn item(label: usize, about: usize) -> Value {
        json!({"idea_index": label, "score": 5, "comment": format!("what there is to say about {about}")})
    }

    fn placed(items: &[Value], asked: &[usize]) -> Placed<CriticEvaluation> {
        place(&Value::from(items).to_string(), asked).unwrap()
    }

    /// Which idea the content put on each idea is really about.
    fn abouts(placed: &Placed<CriticEvaluation>) -> Vec<(usize, usize)> {
        let about = |item: &CriticEvaluation| item.comment.rsplit(' ').next().unwrap().parse().unwrap();
        placed.found.iter().map(|(idea, item)| (*idea, about(item))).collect()
    }

    #[test]
    fn labels_count_from_zero_or_from_one() {
        assert_eq!(abouts(&placed(&[item(1, 1), item(0, 0)], &[0, 1])), [(0, 0), (1, 1)]);
        assert_eq!(abouts(&placed(&[item(1, 0), item(2, 1)], &[0, 1])), [(0, 0), (1, 1)]);
        assert_eq!(abouts(&placed(&[item(1, 0)], &[0])), [(0, 0)]);
    }

    #[test]
    fn strangers_are_dropped() {
        let reply = [item(0, 0), item(1, 1), item(7, 7), item(2, 2), item(3, 3)];
        assert_eq!(abouts(&placed(&reply, &[0, 1, 2])), [(0, 0), (1, 1), (2, 2)]);
        assert_eq!(abouts(&placed(&[item(1, 0), item(2, 1), item(9, 9)], &[0, 1])), [(0, 0), (1, 1)]);
    }

    #[test]
    fn ideas_numbered_anew_are_not_trusted() {
        let reply = placed(&[item(0, 1), item(1, 3)], &[1, 3]);
        assert!(reply.found.is_empty() && !reply.faults.is_empty(), "{reply:?}");
        let everything: Vec<Value> = (0..4).map(|idea| item(idea, idea)).collect();
        assert_eq!(abouts(&placed(&everything, &[1, 3])), [(1, 1), (3, 3)]);
    }

    #[test]
    fn equal_duplicates_count_once_and_different_ones_not_at_all() {
        let reply = placed(&[item(0, 0), item(1, 1), item(0, 0), item(1, 2)], &[0, 1]);
        assert_eq!(abouts(&reply), [(0, 0)]);
        assert_eq!(reply.missing.keys().collect::<Vec<_>>(), [&1]);
    }

    #[test]
    fn one_bad_item_does_not_lose_the_others() {
        let bad = json!({"idea_index": 1, "score": 11, "comment": "far too good to be true"});
        let reply = placed(&[item(0, 0), bad, item(2, 2)], &[0, 1, 2]);
        assert_eq!(abouts(&reply), [(0, 0), (2, 2)]);
        assert_eq!(reply.missing[&1], "its item was not valid: [1].score: greater than 10");
    }

    #[test]
    fn a_label_may_lack_only_where_nothing_can_be_confused() {
        let bare = |about: usize| json!({"score": 5, "comment": format!("what there is to say about {about}")});
        assert_eq!(abouts(&placed(&[bare(4)], &[4])), [(4, 4)]);
        assert!(placed(&[bare(0), bare(1)], &[0, 1]).found.is_empty());
        assert!(placed(&[bare(0), bare(0)], &[0]).found.is_empty());
        assert!(placed(&[bare(0)], &[0, 1]).found.is_empty());
        let lone: Placed<CriticEvaluation> = place(&bare(0).to_string(), &[0]).unwrap();
        assert_eq!(abouts(&lone), [(0, 0)]);
    }

    #[test]
    fn a_label_may_be_written_as_text() {
        let mut items = [item(0, 0), item(1, 1), item(2, 2), item(3, 3)];
        items[1]["idea_index"] = json!("1");
        items[2]["idea_index"] = json!(2.0);
        items[3]["idea_index"] = json!(-3);
        assert_eq!(abouts(&placed(&items, &[0, 1, 2, 3])), [(0, 0), (1, 1), (2, 2)]);
    }

    #[test]
    fn a_reply_without_a_list_is_refused() {
        assert!(place::<CriticEvaluation>("[", &[0]).is_err());
        assert!(place::<CriticEvaluation>("3", &[0]).is_err());
        assert!(place::<CriticEvaluation>("{\"a\": 1, \"b\": []}", &[0, 1]).is_err());
        let wrapped = json!({"evaluations": [item(0, 0), item(1, 1)]}).to_string();
        assert_eq!(abouts(&place(&wrapped, &[0, 1]).unwrap()), [(0, 0), (1, 1)]);
    }

    /// Ideas asked about, those of them answered, the offset of the labels, and the items: some twice, some about
    /// strangers, in any order.
    fn reply() -> impl Strategy<Value = (Vec<usize>, Vec<usize>, usize, Vec<Value>)> {
        let asked = subsequence((0..9usize).collect::<Vec<_>>(), 1..6);
        let answered = asked.prop_flat_map(|asked| (subsequence(asked.clone(), 0..=asked.len()), Just(asked)));
        let twice = answered.prop_flat_map(|(answered, asked)| {
            (subsequence(answered.clone(), 0..=answered.len()), Just(answered), Just(asked))
        });
        let strangers = prop::collection::vec(20..30usize, 0..3);
        (twice, strangers, 0..2usize).prop_flat_map(|((twice, answered, asked), strangers, offset)| {
            let items = answered.iter().chain(&twice).chain(&strangers).map(|idea| item(idea + offset, *idea));
            let items = Just(items.collect::<Vec<_>>()).prop_shuffle();
            (Just(asked), Just(answered), Just(offset), items)
        })
    }

    proptest! {
        #[test]
        fn an_item_never_lands_on_another_idea((asked, answered, offset, items) in reply()) {
            // A short reply that counts from one can look exactly like one that counts from zero.
            prop_assume!(offset == 0 || !answered.iter().all(|idea| asked.contains(&(idea + 1))));
            let reply = placed(&items, &asked);
            let expected: Vec<(usize, usize)> = answered.iter().map(|idea| (*idea, *idea)).collect();
            prop_assert_eq!(abouts(&reply), expected);
            let missing: Vec<usize> = asked.iter().copied().filter(|idea| !answered.contains(idea)).collect();
            prop_assert_eq!(reply.missing.keys().copied().collect::<Vec<_>>(), missing);
        }

        #[test]
        fn every_idea_is_found_or_missing(
            asked in subsequence((0..9usize).collect::<Vec<_>>(), 1..6),
            labels in prop::collection::vec((0..12usize, 0..3usize), 0..12),
        ) {
            let items: Vec<Value> = labels.iter().map(|(label, about)| item(*label, *about)).collect();
            let reply = placed(&items, &asked);
            let found: BTreeSet<usize> = reply.found.keys().copied().collect();
            let missing: BTreeSet<usize> = reply.missing.keys().copied().collect();
            prop_assert!(found.is_disjoint(&missing));
            prop_assert_eq!(found.union(&missing).copied().collect::<Vec<_>>(), asked);
            // All of one reply is read by one rule: as it is, or shifted by one.
            let from = |offset: usize| abouts(&reply).iter().all(|(idea, about)| labels.contains(&(idea + offset, *about)));
            prop_assert!(from(0) || from(1));
        }
    }
}
