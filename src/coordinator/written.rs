//! The ideas of a reply that is still being written.

use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::agents::IdeaItem;

/// Takes what is closed of a generator's reply, again and again, and tells `written` each idea once it is whole: when the
/// next one has begun. The last one is told by the answer.
pub(super) fn listener(written: impl Fn(String) + Send + Sync) -> impl Fn(&str) + Send + Sync {
    let told = Mutex::new(0);
    move |json| {
        let items = items(json);
        let whole = items.len().saturating_sub(1);
        let fresh = {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            // A list that is shorter than before is another one: the stream has begun anew.
            let from = if *told > whole { 0 } else { *told };
            *told = whole;
            from..whole
        };
        for item in &items[fresh] {
            if let Some(idea) = text(item) {
                written(idea);
            }
        }
    }
}

/// The items of a root list, or of a list in an object of one key.
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

/// The idea as the generator's answer will have it: without blanks around its texts.
fn text(item: &Value) -> Option<String> {
    let of = |key: &str| Some(item.get(key)?.as_str()?.trim().to_owned());
    let (title, description) = (of("title")?, of("description")?);
    let idea = IdeaItem { idea_number: 1, title, description, key_features: None, category: None };
    garde::Validate::validate(&idea).is_ok().then(|| idea.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(steps: &[&str]) -> Vec<String> {
        let heard = Mutex::new(Vec::new());
        let listener = listener(|idea| heard.lock().unwrap().push(idea));
        for step in steps {
            listener(step);
        }
        drop(listener);
        heard.into_inner().unwrap()
    }

    const ONE: &str = r#"{"idea_number":1,"title":" Moss ","description":"Walls that drink rain. "}"#;
    const TWO: &str = r#"{"idea_number":2,"title":"Felt","description":"Roofs of old wool."}"#;

    #[test]
    fn an_idea_is_told_once_the_next_has_begun() {
        let steps = ["[]", "[{}]", &format!("[{ONE}]"), &format!("[{ONE},{{}}]"), &format!("[{ONE},{TWO}]")];
        assert_eq!(told(&steps), ["Moss: Walls that drink rain."]);
        assert_eq!(told(&[&format!("[{ONE},{TWO},{{}}]")]).len(), 2);
        assert_eq!(told(&[&format!(r#"{{"ideas":[{ONE},{{}}]}}"#)]), ["Moss: Walls that drink rain."]);
    }

    #[test]
    fn a_stream_that_begins_anew_is_told_anew() {
        let steps = [&*format!("[{ONE},{TWO},{{}}]"), "[{}]", &*format!("[{TWO},{{}}]")];
        assert_eq!(told(&steps).last().unwrap(), "Felt: Roofs of old wool.");
        assert_eq!(told(&steps).len(), 3);
    }

    #[test]
    fn what_is_no_idea_is_not_told() {
        for item in ["3", r#"{"title":"Moss"}"#, r#"{"title":"","description":"Walls that drink rain."}"#] {
            assert!(told(&[&format!("[{item},{{}}]"), "{", "{\"a\":1,\"b\":2}"]).is_empty(), "{item}");
        }
    }
}
