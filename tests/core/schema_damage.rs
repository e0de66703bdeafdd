//! The kinds of damage that models do to their replies.

use serde_json::{Map, Value, json};

use crate::schema_style::{PLAIN, PRETTY, Quote, Style};

/// The name of a kind of damage, and a function that applies it; `None` if it does not apply to the value.
pub(crate) type Kind = (&'static str, fn(&Value) -> Option<String>);

/// Damage to the syntax.
pub(crate) const SYNTAX: [Kind; 36] = [
    ("prose around", |value| Some(format!("Sure! Here is the result:\n\n{}\n\nLet me know.", PRETTY.write(value)))),
    ("fence", |value| Some(format!("```json\n{}\n```", PRETTY.write(value)))),
    ("fence in prose", |value| {
        Some(format!("The result [as asked]:\n```JSON\n{}\n```\nBye {{now}}!", PLAIN.write(value)))
    }),
    ("open fence", |value| Some(format!("```json\n{}", PRETTY.write(value)))),
    ("thoughts", |value| Some(format!("<think>maybe {{\"a\": [1, 2]}}?</think>\n{}", PLAIN.write(value)))),
    ("said twice", |value| Some(format!("{0}\n\nFinal answer:\n{0}", PLAIN.write(value)))),
    ("byte order mark", |value| Some(format!("\u{feff}{}\r\n", PRETTY.write(value).replace('\n', "\r\n")))),
    ("extra closers", |value| Some(format!("{}}}]", PLAIN.write(value)))),
    ("semicolon", |value| Some(format!("const result = {};", PLAIN.write(value)))),
    ("trailing comma", |value| is_filled(value).then(|| Style { trailing_comma: true, ..PLAIN }.write(value))),
    ("trailing comma, pretty", |value| is_filled(value).then(|| Style { trailing_comma: true, ..PRETTY }.write(value))),
    ("python repr", |value| Some(Style { key: Quote::Repr, text: Quote::Repr, python: true, ..PLAIN }.write(value))),
    ("single quotes", |value| Some(Style { key: Quote::Single, text: Quote::Single, ..PRETTY }.write(value))),
    ("single-quoted keys", |value| has_keys(value).then(|| Style { key: Quote::Single, ..PLAIN }.write(value))),
    ("typographic quotes", |value| {
        Some(Style { key: Quote::Typographic, text: Quote::Typographic, ..PLAIN }.write(value))
    }),
    ("back quotes", |value| {
        let is_apt = has_text(value, |text| !text.is_empty()) && !has_text(value, |text| text.contains('`'));
        is_apt.then(|| Style { text: Quote::Back, raw_breaks: true, ..PRETTY }.write(value))
    }),
    ("unquoted keys", |value| has_keys(value).then(|| Style { key: Quote::None, ..PLAIN }.write(value))),
    ("unquoted keys, single quotes", |value| {
        has_keys(value).then(|| Style { key: Quote::None, text: Quote::Single, ..PRETTY }.write(value))
    }),
    ("line comments", |value| has_keys(value).then(|| Style { comment: " // as asked", ..PRETTY }.write(value))),
    ("hash comments", |value| has_keys(value).then(|| Style { comment: " # it's here", ..PRETTY }.write(value))),
    ("block comments", |value| has_keys(value).then(|| Style { comment: "/* the item */", ..PLAIN }.write(value))),
    ("words of python", |value| {
        has(value, |v| v.is_boolean() || v.is_null()).then(|| Style { python: true, ..PLAIN }.write(value))
    }),
    // After a raw line break, a fence and a closing tag are those of the reply.
    ("raw line breaks", |value| {
        let is_framed = has_text(value, |text| text.contains("\n```") && text.contains("</think>"));
        let has_breaks = has_text(value, |text| text.contains(['\n', '\t']));
        (has_breaks && !is_framed).then(|| Style { raw_breaks: true, ..PRETTY }.write(value))
    }),
    ("inner quotes", |value| {
        has_text(value, |text| text.contains('"')).then(|| Style { raw_quotes: true, ..PLAIN }.write(value))
    }),
    ("escaped apostrophes", |value| {
        has_text(value, |text| text.contains('\'')).then(|| Style { escaped_apostrophe: true, ..PLAIN }.write(value))
    }),
    ("last closer missing", |value| Some(without_closers(PRETTY.write(value), 1))),
    ("closers missing", |value| Some(without_closers(PRETTY.write(value), usize::MAX))),
    ("closers missing in fence", |value| {
        Some(format!("```json\n{}\n```", without_closers(PRETTY.write(value), usize::MAX).trim_end()))
    }),
    ("list left open", |value| has(value, is_member_list).then(|| Style { close_list: "", ..PLAIN }.write(value))),
    ("commas missing between members", |value| {
        has(value, |v| v.as_object().is_some_and(|v| v.len() > 1))
            .then(|| Style { member_comma: "", ..PRETTY }.write(value))
    }),
    ("commas missing between objects", |value| {
        let is_apt = value.as_array().is_some_and(|items| items.len() > 1 && items[0].is_object());
        is_apt.then(|| Style { item_comma: "", ..PRETTY }.write(value))
    }),
    ("commas doubled", |value| {
        has(value, |v| v.as_object().is_some_and(|v| v.len() > 1))
            .then(|| Style { member_comma: ",,", ..PLAIN }.write(value))
    }),
    ("full-width punctuation", |value| {
        has_keys(value).then(|| Style { colon: "：", member_comma: "，", ..PLAIN }.write(value))
    }),
    ("no-break spaces", |value| is_filled(value).then(|| Style { indent: "\u{a0}\u{a0}", ..PRETTY }.write(value))),
    ("escaped as a whole", |value| {
        let quoted = Value::from(PRETTY.write(value)).to_string();
        has(value, Value::is_string).then(|| quoted[1..quoted.len() - 1].to_owned())
    }),
    ("several at once", |value| {
        let style = Style {
            key: Quote::None,
            text: Quote::Repr,
            trailing_comma: true,
            python: true,
            comment: " // item",
            ..PRETTY
        };
        Some(format!("Here you go:\n```json5\n{}\n```\n", style.write(value)))
    }),
];

/// Values of another type than the schema's. A result that is still valid is not damage.
pub(crate) const TYPES: [Kind; 16] = [
    ("numbers as strings", |value| Some(PLAIN.write(&mapped(value, &|v| v.as_number().map(|n| json!(n.to_string())))))),
    ("integers with a fraction", |value| {
        let text =
            |n: &serde_json::Number| n.as_i64().filter(|n| n.unsigned_abs() < 1 << 50).and(n.as_f64()).map(Value::from);
        Some(PLAIN.write(&mapped(value, &|v| v.as_number().and_then(text))))
    }),
    ("integers as strings with a fraction", |value| {
        Some(PLAIN.write(&mapped(value, &|v| v.as_i64().map(|n| json!(format!("{n}.0"))))))
    }),
    ("digits as numbers", |value| {
        let is_number =
            |text: &str| !text.is_empty() && !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
        Some(
            PLAIN.write(&mapped(value, &|v| {
                v.as_str().filter(|t| is_number(t)).and_then(|t| serde_json::from_str(t).ok())
            })),
        )
    }),
    ("booleans as strings", |value| Some(PLAIN.write(&mapped(value, &|v| v.as_bool().map(|b| json!(b.to_string())))))),
    ("booleans as words", |value| {
        Some(PLAIN.write(&mapped(value, &|v| v.as_bool().map(|b| json!(if b { "Yes" } else { "no" })))))
    }),
    ("null as a string", |value| Some(PLAIN.write(&mapped(value, &|v| v.is_null().then(|| json!("null")))))),
    ("null as none", |value| Some(PLAIN.write(&mapped(value, &|v| v.is_null().then(|| json!("None")))))),
    ("null as nothing", |value| Some(PLAIN.write(&mapped(value, &|v| v.is_null().then(|| json!("")))))),
    ("null as NaN", |value| has(value, Value::is_null).then(|| Style { nan: true, ..PLAIN }.write(value))),
    ("lists of one left out", |value| {
        let only = |v: &Value| v.as_array().filter(|items| items.len() == 1).map(|items| items[0].clone());
        Some(PLAIN.write(&mapped(value, &only)))
    }),
    ("plus signs", |value| has(value, Value::is_number).then(|| Style { plus: true, ..PLAIN }.write(value))),
    ("other case in words", |value| {
        let words = [
            "low_risk",
            "medium_risk",
            "high_risk",
            "python",
            "rust",
            "sql",
            "on_sale",
            "circle",
            "square",
            "USD",
            "EUR",
            "JPY",
        ];
        let other = |text: &str| {
            if text.contains('_') {
                text.replace('_', " ").to_uppercase()
            } else if text < "a" {
                text.to_lowercase()
            } else {
                text[..1].to_uppercase() + &text[1..]
            }
        };
        Some(
            PLAIN.write(&mapped(value, &|v| {
                v.as_str().filter(|text| words.contains(text)).map(|text| json!(other(text)))
            })),
        )
    }),
    ("other case in names", |value| Some(PLAIN.write(&renamed(value)))),
    ("wrapper left out", |value| {
        let only = value.as_object().filter(|members| members.len() == 1).and_then(|members| members.values().next());
        only.filter(|only| only.is_array()).map(|only| PLAIN.write(only))
    }),
    ("text instead of the value", |value| {
        let inner = |v: &Value| v.is_object().then(|| json!(PLAIN.write(v)));
        match value {
            Value::Object(members) => {
                let members: Map<String, Value> =
                    members.iter().map(|(name, v)| (name.clone(), inner(v).unwrap_or_else(|| v.clone()))).collect();
                Some(PLAIN.write(&Value::Object(members)))
            }
            other => Some(Value::from(PLAIN.write(other)).to_string()),
        }
    }),
];

/// Damage that loses part of the value, or makes it ambiguous.
pub(crate) const LOSSES: [Kind; 8] = [
    ("cut in a key", |value| cut(value, |text| text.rfind("\":").filter(|at| *at > 2 && !text[..*at].ends_with('"')))),
    ("cut after a colon", |value| cut(value, |text| text.rfind("\": ").map(|at| at + 2))),
    ("cut after a comma", |value| cut(value, |text| text.rfind(", ").map(|at| at + 1))),
    ("cut at a third", |value| cut(value, |text| inside_text(text, text.len() / 3))),
    ("cut at two thirds in a fence", |value| {
        cut(value, |text| inside_text(text, 2 * text.len() / 3)).map(|text| format!("```json\n{text}"))
    }),
    ("left out by a comment", |value| {
        is_filled(value).then(|| {
            let text = PLAIN.write(value);
            format!("{}\n// ... and the rest\n{}", &text[..text.len() - 1], &text[text.len() - 1..])
        })
    }),
    ("left out by dots", |value| {
        is_filled(value).then(|| {
            let text = PLAIN.write(value);
            format!("{}, ...{}", &text[..text.len() - 1], &text[text.len() - 1..])
        })
    }),
    ("a quote lost", |value| {
        let text = PLAIN.write(value);
        text.rfind("\", ")
            .filter(|at| !text[..*at].ends_with('\\'))
            .map(|at| format!("{}{}", &text[..at], &text[at + 1..]))
    }),
];

fn cut(value: &Value, position: impl Fn(&str) -> Option<usize>) -> Option<String> {
    let text = PLAIN.write(value);
    let at = position(&text)?;
    Some(text[..at].to_owned())
}

/// Returns the first position at or after `at` inside a string of letters.
fn inside_text(text: &str, at: usize) -> Option<usize> {
    let around = |at: &usize| {
        let letter = |c: Option<char>| c.is_some_and(char::is_alphabetic);
        text.is_char_boundary(*at) && letter(text[..*at].chars().next_back()) && letter(text[*at..].chars().next())
    };
    (at..text.len()).find(around)
}

/// Removes the last `most` closing brackets and trailing white space.
fn without_closers(mut text: String, most: usize) -> String {
    for _ in 0..most {
        let kept = text.trim_end();
        // An empty container has no complete value either.
        if !kept.ends_with(['}', ']']) || kept.ends_with("[]") || kept.ends_with("{}") {
            break;
        }
        text.truncate(kept.len() - 1);
    }
    text
}

fn has(value: &Value, test: impl Fn(&Value) -> bool + Copy) -> bool {
    test(value)
        || match value {
            Value::Array(items) => items.iter().any(|item| has(item, test)),
            Value::Object(members) => members.values().any(|value| has(value, test)),
            _ => false,
        }
}

fn has_text(value: &Value, test: impl Fn(&str) -> bool + Copy) -> bool {
    has(value, |value| value.as_str().is_some_and(test))
}

fn has_keys(value: &Value) -> bool {
    has(value, |value| value.as_object().is_some_and(|members| !members.is_empty()))
}

fn is_filled(value: &Value) -> bool {
    value.as_array().is_some_and(|items| !items.is_empty())
        || value.as_object().is_some_and(|members| !members.is_empty())
}

/// Returns whether it is an object whose last member is a list.
fn is_member_list(value: &Value) -> bool {
    value.as_object().and_then(|members| members.values().next_back()).is_some_and(Value::is_array)
}

/// Replaces each part of `value` for which `change` returns a replacement.
fn mapped(value: &Value, change: &dyn Fn(&Value) -> Option<Value>) -> Value {
    if let Some(changed) = change(value) {
        return changed;
    }
    match value {
        Value::Array(items) => items.iter().map(|item| mapped(item, change)).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), mapped(value, change))).collect(),
        other => other.clone(),
    }
}

/// Returns `value` with property names in camel case.
fn renamed(value: &Value) -> Value {
    let camel = |name: &str| {
        let mut words = name.split('_');
        let first = words.next().unwrap_or_default().to_owned();
        words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
    };
    match value {
        Value::Array(items) => items.iter().map(renamed).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (camel(name), renamed(value))).collect(),
        other => other.clone(),
    }
}
