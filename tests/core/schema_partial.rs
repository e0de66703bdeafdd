//! Snapshots of a reply that is still arriving: closed values only, and each includes the earlier ones.

use madspark::schema::{Dialect, Partial, Schema, json_text};
use proptest::collection::{hash_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn schema(document: Value) -> Schema {
    Schema::new("S", document).unwrap()
}

/// A schema of any object.
fn any_object() -> Schema {
    schema(json!({"type": "object"}))
}

/// Returns every snapshot of `reply`, pushed one character at a time.
fn snapshots(mut partial: Partial, reply: &str) -> Vec<String> {
    let mut shown = Vec::new();
    for character in reply.chars() {
        partial.push(character.encode_utf8(&mut [0; 4]));
        shown.extend(partial.snapshot());
    }
    assert_eq!(partial.snapshot(), None, "nothing new is shown twice");
    shown
}

fn last(partial: Partial, reply: &str) -> Option<String> {
    snapshots(partial, reply).pop()
}

/// Returns whether `later` includes all of `earlier`, at the same positions.
fn grows(earlier: &Value, later: &Value) -> bool {
    match (earlier, later) {
        (Value::Object(earlier), Value::Object(later)) => {
            earlier.iter().zip(later).all(|((name, value), (other, more))| name == other && grows(value, more))
                && earlier.len() <= later.len()
        }
        (Value::Array(earlier), Value::Array(later)) => {
            earlier.iter().zip(later).all(|(value, more)| grows(value, more)) && earlier.len() <= later.len()
        }
        _ => earlier == later,
    }
}

#[test]
fn snapshots_never_include_an_unfinished_value() {
    let reply = r#"{"a": "one\"two", "b": [12, {"c": true}, []], "d": {"e": null}}"#;
    let expected = [
        r#"{"a":"one\"two"}"#,
        r#"{"a":"one\"two","b":[12]}"#,
        r#"{"a":"one\"two","b":[12,{"c":true}]}"#,
        r#"{"a":"one\"two","b":[12,{"c":true},[]]}"#,
        r#"{"a":"one\"two","b":[12,{"c":true},[]],"d":{"e":null}}"#,
    ];
    assert_eq!(snapshots(any_object().partial(), reply), expected);
}

#[test]
fn a_number_is_closed_by_the_next_token() {
    let mut partial = any_object().partial();
    for piece in [r#"{"a": 1"#, "2", ".5", "e", "3"] {
        partial.push(piece);
        assert_eq!(partial.snapshot(), None);
    }
    partial.push(",");
    assert_eq!(partial.snapshot().as_deref(), Some(r#"{"a":12.5e3}"#));
}

#[test]
fn an_unescaped_quote_does_not_close_a_string() {
    let shown = snapshots(any_object().partial(), r#"{"a": 1, "b": "so called "ideas", and more", "c": 2}"#);
    assert_eq!(shown, [r#"{"a":1}"#]);
}

#[test]
fn a_container_appears_with_its_first_closed_value() {
    let mut partial = any_object().partial();
    partial.push(r#"{"a": 1, "b": [{"c": ["#);
    assert_eq!(partial.snapshot().as_deref(), Some(r#"{"a":1}"#));
    partial.push(r#""x","#);
    assert_eq!(partial.snapshot().as_deref(), Some(r#"{"a":1,"b":[{"c":["x"]}]}"#));
    assert_eq!(last(any_object().partial(), "{}").as_deref(), Some("{}"));
    assert_eq!(snapshots(any_object().partial(), r#"{"a": {"#), [""; 0]);
}

#[test]
fn fences_prose_and_reasoning_are_skipped() {
    let schema = schema(json!({"type": "object", "properties": {"a": {}, "b": {}}}));
    let json = r#"{"a": "``` [not a fence] }", "b": 1}"#;
    for reply in [
        format!(" \n\u{feff}{json}"),
        format!("```json\n{json}\n```"),
        format!("```\n{json}```"),
        format!("```json {json}```"),
        format!("Sure! Here is [the result], see {{note}} (1):\n\n```JSON\n{json}\n```\n\nShall I [go on]?"),
        format!("The answer: {json}"),
        format!("**The answer:** {json}"),
        format!("答案：{json}"),
        format!("As [1] says, a \"{{\" opens.\n{json} [2]\n{{\"a\": 2}}"),
        format!("Note: {{this}} is it\n{json}"),
        format!("<think>{{\"a\": [1, 2]}}</think>\n{json}"),
        format!("<think>1</think><think>\n{{\"a\": 1}}</think>{json}"),
        format!("It may be {{\"a\": 3}}.</think>{json}"),
    ] {
        let shown = last(schema.partial(), &reply).unwrap_or_else(|| panic!("nothing of {reply}"));
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown, serde_json::from_str::<Value>(json_text(&reply).unwrap()).unwrap(), "{reply}");
    }
}

#[test]
fn values_that_are_not_the_answer_are_omitted() {
    let object = schema(json!({"type": "object", "properties": {"a": {}}}));
    let list = schema(json!({"type": "array", "items": {"type": "object"}}));
    for reply in [
        "",
        "No JSON here.",
        "42",
        "\"{\"",
        "{a: 1}",
        "{'a': 1}",
        r#"{\"a\": 1}"#,
        "see [1] and {2}",
        "<think>{\"a\": 1}",
    ] {
        assert_eq!(last(object.partial(), reply), None, "{reply}");
        assert_eq!(last(list.partial(), reply), None, "{reply}");
    }
    // A list instead of an object, an example in the prose, an unexpected wrapper.
    for reply in
        ["[{\"a\": 1}]", "[\n{\"a\": 1}\n]", "Like this: {\"x\": 1}", "So:\n{\"idea\":\n{\"a\": 1}}", "a {\"a\": 1}"]
    {
        assert_eq!(last(object.partial(), reply), None, "{reply}");
    }
    for reply in ["Sources:\n[1] A book\n[2] Another", "{\"list\": [{}]}", "see [{}]"] {
        assert_eq!(last(list.partial(), reply), None, "{reply}");
    }
}

#[test]
fn snapshots_end_at_invalid_json() {
    for damage in
        [",}", ", b: 2}", ", \"a\": 3}", "]", ", \"b\": 01}", ", \"b\": \"\\ud800\", \"c\": 1}", ", \"b\": NaN}"]
    {
        let reply = format!("{{\"a\": 1{damage}, \"z\": 9}}");
        let shown = snapshots(any_object().partial(), &reply);
        assert!(shown.iter().all(|shown| shown == "{\"a\":1}"), "{reply}: {shown:?}");
    }
}

#[test]
fn values_that_readers_reject_are_omitted() {
    let deep = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(last(any_object().partial(), &deep(126)), Some(deep(126)));
    assert_eq!(last(any_object().partial(), &deep(127)), None);
    let number = |digits: usize| format!("{{\"a\":{}}}", "1".repeat(digits));
    assert_eq!(last(any_object().partial(), &number(4300)), Some(number(4300)));
    assert_eq!(last(any_object().partial(), &number(4301)), None);
}

#[test]
fn a_wrapped_root_is_unwrapped() {
    let list = schema(json!({"type": "array", "items": {"type": "string"}}));
    for dialect in [Dialect::OpenAiStrict, Dialect::Anthropic] {
        let partial = || list.lower(dialect).partial();
        let expected = [r#"["a"]"#, r#"["a","b"]"#];
        assert_eq!(snapshots(partial(), r#"{"value": ["a", "b"]}"#), expected);
        // The model omitted the wrapper, or mentions it in the prose.
        assert_eq!(last(partial(), r#"["a", "b"]"#).as_deref(), Some(expected[1]));
        assert_eq!(last(partial(), "Here:\n{\"value\": [\"a\", \"b\"]}").as_deref(), Some(expected[1]));
    }
    assert_eq!(last(list.lower(Dialect::Ollama).partial(), r#"{"value": ["a"]}"#), None);
    let text = schema(json!({"type": "string"})).lower(Dialect::OpenAiStrict);
    // A scalar is never partial.
    assert_eq!(last(text.partial(), r#"{"value": "a"}"#), None);
}

#[test]
fn an_object_for_each_position_is_a_list() {
    let pair = json!({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2, "maxItems": 2});
    let list = schema(json!({"type": "object", "properties": {"pairs": {"type": "array", "items": pair}}}));
    let partial = || list.lower(Dialect::OpenAi).partial();
    let reply = r#"{"pairs": [{"0": 1, "1": "a"}, {"0": 2, "1": "b"}]}"#;
    assert_eq!(last(partial(), reply).as_deref(), Some(r#"{"pairs":[[1,"a"],[2,"b"]]}"#));
    assert_eq!(last(partial(), &reply[..33]).as_deref(), Some(r#"{"pairs":[[1,"a"]]}"#));
    assert_eq!(last(partial(), &reply[..19]).as_deref(), Some(r#"{"pairs":[[1]]}"#));
    // In another order the positions are unknown.
    assert_eq!(last(partial(), r#"{"pairs": [{"1": "a", "0": 1}]}"#), None);
    let root = schema(pair).lower(Dialect::OpenAiStrict).partial();
    assert_eq!(last(root, r#"{"value": {"0": 1, "1": "a"}}"#).as_deref(), Some(r#"[1,"a"]"#));
}

#[test]
fn an_ambiguous_wrapper_is_omitted() {
    let branch = |name: &str| json!({"type": "object", "properties": {name: {"type": "object"}}});
    let unclear = schema(json!({"anyOf": [branch("value"), branch("b")]})).lower(Dialect::OpenAiStrict);
    assert_eq!(last(unclear.partial(), r#"{"value": {"value": {"x": 1}}}"#), None);
    assert_eq!(last(unclear.partial(), "So:\n{\"value\":\n{\"value\": {\"x\": 1}}}"), None);
    let clear = schema(json!({"anyOf": [branch("a"), branch("b")]})).lower(Dialect::OpenAiStrict);
    assert_eq!(last(clear.partial(), r#"{"value": {"a": {}}}"#).as_deref(), Some(r#"{"a":{}}"#));
}

#[test]
fn a_null_that_may_stand_for_an_absent_property_is_omitted() {
    let item = json!({
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": ["integer", "null"]}, "c": {"type": "integer"}},
        "required": ["c"],
        "additionalProperties": false,
    });
    let list = schema(json!({"type": "array", "items": item}));
    let reply = r#"{"value": [{"a": null, "b": null, "c": 1}, {"a": 2, "b": 3, "c": 4}]}"#;
    let lowered = list.lower(Dialect::OpenAiStrict);
    assert_eq!(last(lowered.partial(), reply).as_deref(), Some(r#"[{"b":null,"c":1},{"a":2,"b":3,"c":4}]"#));
    // If no property became nullable, a null is a value.
    assert_eq!(
        last(list.lower(Dialect::Anthropic).partial(), r#"{"value": [{"a": null}]}"#).as_deref(),
        Some(r#"[{"a":null}]"#)
    );
}

/// Quadratic time would take about 10^11 steps.
#[test]
fn a_long_reply_in_single_bytes_takes_linear_time() {
    const SIZE: usize = 1 << 18;
    let schema = schema(json!({"type": "object", "properties": {"a": {}}}));
    let item = r#"{"id":1,"text":"caf\u00e9 \n"},"#;
    for (opening, repeated) in [
        (r#"{"a":["#, item),
        (r#"{"a":["#, "null,"),
        (r#"{"a":""#, "\\\\"),
        (r#"{"a":"#, "1"),
        ("", "\n{\""),
        ("x", "\n{\"b\":1}"),
        ("", "{a}: "),
        ("", "</think>{\"a"),
        ("<think>", "</think"),
    ] {
        let reply = format!("{opening}{}", repeated.repeat(SIZE / repeated.len()));
        let mut partial = schema.partial();
        let mut shown = 0;
        for at in 0..reply.len() {
            partial.push(&reply[at..=at]);
            shown += partial.snapshot().map_or(0, |snapshot| snapshot.len());
        }
        assert!(shown <= 300 * SIZE, "{repeated}: {} times the text was written", shown / SIZE);
        assert_eq!(shown > 0, opening.ends_with('['), "{repeated}");
    }
}

#[test]
fn snapshots_of_a_large_reply_are_not_late() {
    let mut partial = any_object().partial();
    partial.push("{\"a\": [1");
    let mut unseen = 0;
    for number in 0..20_000 {
        let piece = format!(", \"item {number}\"");
        partial.push(&piece);
        unseen = if partial.snapshot().is_some() { 0 } else { unseen + piece.len() };
        assert!(unseen <= 400_000 / 256, "{unseen} bytes were not shown");
    }
}

/// Pieces of texts that look like an answer at some of their positions.
const FRAGMENTS: [&str; 33] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\"",
    ":",
    ",",
    "\\",
    "\n",
    "\r\n",
    "\t",
    " ",
    "a",
    "1",
    "-",
    "true",
    "nul",
    "null",
    "é",
    "\\u00e9",
    "\\ud800",
    "\\\"",
    "```",
    "json",
    "Note",
    "{\"a\":",
    "{\"v\r\n:",
    "[{\"a\": 1}",
    "\n{\"a\": \"b\"",
    "{\"value\":[\"x\"",
    "**",
    "\n[",
];

/// Pieces that are an answer, or almost.
const ANSWERS: [&str; 6] =
    ["{\"a\": 1}", "{\"v\r\n:", "{\"v\n{\"a\": 2}", "[\"x\n[\"y\"]", "[{\"a\": 1}]", "{\"value\": [\"x\"]}"];

/// The first string is invalid, and the answer begins inside it.
#[test]
fn the_search_continues_at_the_character_that_is_no_json() {
    for reply in ["So:\n{\"v\r\n:{\"a\": 1}", "See:\n{\"v\t:{\"a\": 1}"] {
        let schema = schema(json!({"type": "object", "properties": {"a": {}}}));
        for cut in (0..reply.len()).filter(|at| reply.is_char_boundary(*at)) {
            let mut partial = schema.partial();
            partial.push(&reply[..cut]);
            let first = partial.snapshot();
            partial.push(&reply[cut..]);
            let snapshot = partial.snapshot().or(first);
            assert_eq!(snapshot.as_deref(), Some(r#"{"a":1}"#), "{reply:?} cut at {cut}");
        }
    }
}

/// What was shown of a reasoning cannot be taken back, and what would have been is not replaced either.
#[test]
fn snapshots_after_shown_reasoning_do_not_depend_on_the_pieces() {
    let reply = r#"{"a": 1}</think>{"a": 2}"#;
    for cut in 0..reply.len() {
        let mut partial = any_object().partial();
        let mut shown = Vec::new();
        for piece in [&reply[..cut], &reply[cut..]] {
            partial.push(piece);
            shown.extend(partial.snapshot());
        }
        assert!(shown.iter().all(|shown| shown == r#"{"a":1}"#), "{shown:?} cut at {cut}");
    }
    // Nothing of it looks like the answer.
    let reply = r#"Maybe [1], I see.</think>{"a": 2}"#;
    for cut in 0..reply.len() {
        let mut partial = any_object().partial();
        partial.push(&reply[..cut]);
        partial.push(&reply[cut..]);
        assert_eq!(partial.snapshot().as_deref(), Some(r#"{"a":2}"#), "cut at {cut}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!("\"{[,:]}\\ ```\n</think>\u{1f980}\u{e9}")),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            hash_map(any::<String>(), inner, 0..5)
                .prop_map(|members| members.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

/// Splits `text` at any of its characters.
fn pieces<'t>(text: &'t str, cuts: &[prop::sample::Index]) -> Vec<&'t str> {
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| starts[cut.index(starts.len())]).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn snapshots_grow_up_to_the_whole_reply(
        value in any_json(),
        pretty in any::<bool>(),
        around in prop::sample::select(vec![("", ""), ("```json\n", "\n```"), ("Here it is:\n", "\nEnjoy!")]),
        cuts in vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let whole = json!({"a": value});
        let text = if pretty { serde_json::to_string_pretty(&whole) } else { serde_json::to_string(&whole) }.unwrap();
        let reply = format!("{}{text}{}", around.0, around.1);
        let schema = schema(json!({"type": "object", "properties": {"a": {}}}));
        let mut partial = schema.partial();
        let mut before = json!({});
        for piece in pieces(&reply, &cuts) {
            partial.push(piece);
            if let Some(snapshot) = partial.snapshot() {
                let shown: Value = serde_json::from_str(&snapshot).unwrap();
                prop_assert!(grows(&before, &shown), "{before} became {shown}");
                prop_assert_ne!(&before, &shown);
                prop_assert!(grows(&shown, &whole), "{shown} is not the beginning of {whole}");
                before = shown;
            }
        }
        prop_assert_eq!(before, whole);
    }

    #[test]
    fn snapshots_do_not_depend_on_the_pieces(
        value in any_json(),
        cut in any::<prop::sample::Index>(),
        cuts in vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let text = json!({"a": value}).to_string();
        let text = pieces(&text, &[cut])[0];
        let schema = any_object();
        let shown = last(schema.partial(), text);
        let mut partial = schema.partial();
        let mut other = None;
        for piece in pieces(&format!(" {text}"), &cuts) {
            partial.push(piece);
            other = partial.snapshot().or(other);
        }
        prop_assert_eq!(shown, other);
    }

    /// Also of text that is no JSON: where the search for the start of the answer continues depends on the text only.
    #[test]
    fn snapshots_of_any_text_do_not_depend_on_the_pieces(
        prefix in prop::sample::select(vec!["", "So:\n", "See: ", "```json\n"]),
        fragments in vec(prop_oneof![prop::sample::select(FRAGMENTS.as_slice()), prop::sample::select(ANSWERS.as_slice())], 0..12),
        closes in vec(any::<prop::sample::Index>(), 0..3),
        cuts in vec(any::<prop::sample::Index>(), 1..12),
        form in 0..4_usize,
    ) {
        let make = || match form {
            0 => any_object().partial(),
            1 => schema(json!({"type": "object", "properties": {"a": {}}})).partial(),
            2 => schema(json!({"type": "array", "items": {"type": "object"}})).partial(),
            _ => schema(json!({"type": "array", "items": {"type": "string"}})).lower(Dialect::OpenAiStrict).partial(),
        };
        let mut fragments = fragments;
        fragments.insert(0, prefix);
        let plain = fragments.concat();
        for close in closes {
            fragments.insert(close.index(fragments.len() + 1), "</think>");
        }
        for text in [plain, fragments.concat()] {
            if text.is_empty() {
                continue;
            }
            let shown = snapshots(make(), &text);
            let splits = text.char_indices().map(|(at, _)| vec![&text[..at], &text[at..]]);
            for split in splits.chain([pieces(&text, &cuts)]) {
                let mut remaining = shown.iter();
                let mut partial = make();
                let mut last = None;
                for piece in &split {
                    partial.push(piece);
                    if let Some(snapshot) = partial.snapshot() {
                        prop_assert!(remaining.any(|shown| *shown == snapshot), "{snapshot} is not one of {shown:?}: {split:?}");
                        last = Some(snapshot);
                    }
                }
                // Parts of a text that turns out to be reasoning are shown only if they arrived before.
                if !text.contains("</think>") {
                    prop_assert_eq!(last.as_ref(), shown.last(), "{:?}", split);
                }
            }
        }
    }

    #[test]
    fn no_text_panics(text in any::<String>(), json in "[\\[\\]{}\",:a1\\\\ \n`<>/think-]{0,60}") {
        for text in [text, json] {
            for snapshot in snapshots(any_object().lower(Dialect::OpenAiStrict).partial(), &text) {
                prop_assert!(serde_json::from_str::<Value>(&snapshot).is_ok(), "{snapshot}");
            }
        }
    }

    /// Snapshots are a beginning of the restored reply.
    #[test]
    fn snapshots_have_the_form_of_the_original_schema(
        rows in vec((any::<Option<u8>>(), any::<Option<u8>>(), any::<u8>()), 0..6),
    ) {
        let row = json!({
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": ["integer", "null"]}, "c": {"type": "integer"}},
            "required": ["c"],
            "additionalProperties": false,
        });
        let schema = schema(json!({"type": "array", "items": row}));
        let lowered = schema.lower(Dialect::OpenAiStrict);
        let rows: Vec<Value> = rows.into_iter().map(|(a, b, c)| json!({"a": a, "b": b, "c": c})).collect();
        let reply = json!({"value": rows}).to_string();
        let restored: Value = serde_json::from_str(&lowered.restore(reply.clone())).unwrap();
        let mut before = json!([]);
        for snapshot in snapshots(lowered.partial(), &reply) {
            let shown: Value = serde_json::from_str(&snapshot).unwrap();
            prop_assert!(grows(&before, &shown) && grows(&shown, &restored), "{shown}");
            before = shown;
        }
        prop_assert_eq!(before, restored);
    }
}
