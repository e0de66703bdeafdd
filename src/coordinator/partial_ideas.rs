//! The complete ideas of a reply that is still being streamed.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::agents::IdeaItem;

/// Returns a callback for the closed JSON of a generator's reply so far. It passes each idea to `on_idea` once the next one
/// has begun, `most` of them; the last idea is in the complete reply.
pub(super) fn listener(most: usize, on_idea: impl Fn(String) + Send + Sync) -> impl Fn(&str) + Send + Sync {
    let reported = AtomicUsize::new(0);
    move |json| {
        let items = items(json);
        let complete = items.len().saturating_sub(1).min(most);
        // A list that is shorter than before belongs to a restarted stream.
        let from = match reported.swap(complete, Ordering::Relaxed) {
            before if before > complete => 0,
            before => before,
        };
        items[from..complete].iter().filter_map(text).for_each(&on_idea);
    }
}

/// The items of a root list, or of the list in an object with one key.
fn items(json: &str) -> Vec<Value> {
    match serde_json::from_str(json) {
        Ok(Value::Array(items)) => items,
        Ok(Value::Object(object)) if object.len() == 1 => match object.into_values().next() {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// The text of a valid idea, trimmed as in the generator's answer.
fn text(item: &Value) -> Option<String> {
    let field = |key: &str| Some(item.get(key)?.as_str()?.trim().to_owned());
    let (title, description) = (field("title")?, field("description")?);
    let idea = IdeaItem { idea_number: 1, title, description, key_features: None, category: None };
    garde::Validate::validate(&idea).is_ok().then(|| idea.text())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn reported(replies: &[&str]) -> Vec<String> {
        let ideas = Mutex::new(Vec::new());
        let listener = listener(3, |idea| ideas.lock().unwrap().push(idea));
        for reply in replies {
            listener(reply);
        }
        drop(listener);
        ideas.into_inner().unwrap()
    }

    const ONE: &str = r#"{"idea_number":1,"title":" Moss ","description":"Walls that drink rain. "}"#;
    const TWO: &str = r#"{"idea_number":2,"title":"Felt","description":"Roofs of old wool."}"#;

    #[test]
    fn an_idea_is_reported_once_the_next_has_begun() {
        let replies = ["[]", "[{}]", &format!("[{ONE}]"), &format!("[{ONE},{{}}]"), &format!("[{ONE},{TWO}]")];
        assert_eq!(reported(&replies), ["Moss: Walls that drink rain."]);
        assert_eq!(reported(&[&format!("[{ONE},{TWO},{{}}]")]).len(), 2);
        assert_eq!(reported(&[&format!(r#"{{"ideas":[{ONE},{{}}]}}"#)]), ["Moss: Walls that drink rain."]);
    }

    #[test]
    fn the_ideas_of_a_restarted_stream_are_reported_again() {
        let replies = [&*format!("[{ONE},{TWO},{{}}]"), "[{}]", &*format!("[{TWO},{{}}]")];
        assert_eq!(reported(&replies).last().unwrap(), "Felt: Roofs of old wool.");
        assert_eq!(reported(&replies).len(), 3);
    }

    #[test]
    fn an_invalid_idea_is_not_reported() {
        for item in ["3", r#"{"title":"Moss"}"#, r#"{"title":"","description":"Walls that drink rain."}"#] {
            assert!(reported(&[&format!("[{item},{{}}]"), "{", "{\"a\":1,\"b\":2}"]).is_empty(), "{item}");
        }
    }
}
