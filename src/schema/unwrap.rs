//! Recognises the wrappers in which models put their answer.

use super::lenient::{Json, Member};

/// The members that hold the arguments of a call.
const ARGUMENTS: [&str; 6] = ["arguments", "parameters", "args", "input", "tool_input", "kwargs"];

/// The other members of a call.
const CALL: [&str; 8] = ["name", "type", "id", "call_id", "tool", "tool_name", "recipient_name", "index"];

/// The members that hold a call.
const CALLS: [&str; 5] = ["function", "function_call", "tool_call", "tool_calls", "tool_uses"];

/// The members next to them.
const MESSAGE: [&str; 5] = ["type", "id", "index", "role", "content"];

/// The keywords next to `properties` in a schema.
const KEYWORDS: [&str; 9] =
    ["type", "required", "title", "description", "additionalProperties", "$defs", "definitions", "$schema", "$id"];

/// Names of members that hold no answer.
const NO_ANSWER: [&str; 12] = [
    "error", "errors", "example", "examples", "draft", "previous", "schema", "template", "format", "rejected",
    "invalid", "wrong",
];

/// Returns the value that `json` wraps: the only member of an object, the arguments of the call of a function, or values in
/// place of the properties of a schema.
pub(super) fn wrapped_value<'j, 't>(json: &'j Json<'t>) -> Option<&'j Json<'t>> {
    let members = match json {
        Json::Object(members) => members,
        // A list of one call.
        Json::Array(items) => match items.as_slice() {
            [Json::Object(members)] => return call(members),
            _ => return None,
        },
        _ => return None,
    };
    if let Some(value) = call(members) {
        return Some(value);
    }
    if let Some(Member { value: value @ Json::Object(_), .. }) = only(members, &["properties"], &KEYWORDS) {
        return Some(value);
    }
    match members.as_slice() {
        [member] if !NO_ANSWER.contains(&&*member.name().to_lowercase()) => Some(&member.value),
        _ => None,
    }
}

/// Returns the arguments of the call that `members` are, or the call within them.
fn call<'j, 't>(members: &'j [Member<'t>]) -> Option<&'j Json<'t>> {
    let has_name = members.iter().any(|member| CALL.contains(&&*member.name()));
    let arguments = only(members, &ARGUMENTS, &CALL).filter(|_| has_name);
    arguments.or_else(|| only(members, &CALLS, &MESSAGE)).map(|member| &member.value)
}

/// Returns the only member with one of `names`, if the others have one of `other_names`.
fn only<'j, 't>(members: &'j [Member<'t>], names: &[&str], other_names: &[&str]) -> Option<&'j Member<'t>> {
    let mut found = None;
    for member in members {
        let name = member.name();
        if names.contains(&&*name) && found.is_none() {
            found = Some(member);
        } else if !other_names.contains(&&*name) {
            return None;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::lenient::Parser;

    fn unwrapped(text: &str) -> Option<String> {
        wrapped_value(&Parser::strict(text).unwrap()).and_then(Json::to_text)
    }

    #[test]
    fn wrappers_are_recognised_by_their_members() {
        let answer = Some("{\"a\": 1}".to_owned());
        for text in [
            r#"{"output": {"a": 1}}"#,
            r#"{"Review": {"a": 1}}"#,
            r#"{"name": "Review", "arguments": {"a": 1}}"#,
            r#"{"type": "tool_use", "id": "t", "name": "Review", "input": {"a": 1}}"#,
            r#"[{"name": "Review", "arguments": {"a": 1}}]"#,
            r#"{"type": "object", "properties": {"a": 1}, "required": ["a"]}"#,
            r#"{"properties": {"a": 1}}"#,
        ] {
            assert_eq!(unwrapped(text), answer, "{text}");
        }
        let call = Some(r#"{"name": "f", "arguments": "{}"}"#.to_owned());
        assert_eq!(unwrapped(r#"{"type": "function", "function": {"name": "f", "arguments": "{}"}}"#), call);
    }

    #[test]
    fn other_objects_are_no_wrappers() {
        for text in [
            r#"{"a": {"b": 1}, "c": 2}"#,
            r#"{"error": {"a": 1}}"#,
            r#"{"Example": {"a": 1}}"#,
            r#"{"name": "f", "arguments": {"a": 1}, "score": 1}"#,
            r#"[{"a": 1}]"#,
            "{}",
            "1",
        ] {
            assert_eq!(unwrapped(text), None, "{text}");
        }
    }
}
