//! Writes almost-JSON, with one option per habit of models.

use serde_json::Value;

/// A style of writing a value.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "one for each habit")]
pub(crate) struct Style {
    pub(crate) pretty: bool,
    pub(crate) key: Quote,
    pub(crate) text: Quote,
    pub(crate) trailing_comma: bool,
    pub(crate) member_comma: &'static str,
    pub(crate) item_comma: &'static str,
    pub(crate) colon: &'static str,
    /// After the opening bracket of an object.
    pub(crate) comment: &'static str,
    pub(crate) python: bool,
    pub(crate) nan: bool,
    pub(crate) plus: bool,
    pub(crate) raw_breaks: bool,
    pub(crate) raw_quotes: bool,
    pub(crate) escaped_apostrophe: bool,
    pub(crate) indent: &'static str,
    pub(crate) close_list: &'static str,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Quote {
    Double,
    /// Like Python's `repr`: double quotes if the text has a single one.
    Repr,
    Single,
    Typographic,
    Back,
    None,
}

pub(crate) const PLAIN: Style = Style {
    pretty: false,
    key: Quote::Double,
    text: Quote::Double,
    trailing_comma: false,
    member_comma: ",",
    item_comma: ",",
    colon: ":",
    comment: "",
    python: false,
    nan: false,
    plus: false,
    raw_breaks: false,
    raw_quotes: false,
    escaped_apostrophe: false,
    indent: "  ",
    close_list: "]",
};
pub(crate) const PRETTY: Style = Style { pretty: true, ..PLAIN };

impl Style {
    pub(crate) fn write(&self, value: &Value) -> String {
        let mut out = String::new();
        self.value(value, 0, &mut out);
        out
    }

    fn value(&self, value: &Value, depth: usize, out: &mut String) {
        match value {
            Value::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    self.line(depth + 1, out);
                    self.value(item, depth + 1, out);
                    let is_last = index + 1 == items.len();
                    out.push_str(if !is_last {
                        self.item_comma
                    } else if self.trailing_comma {
                        ","
                    } else {
                        ""
                    });
                }
                if !items.is_empty() {
                    self.line(depth, out);
                }
                out.push_str(if depth > 0 { self.close_list } else { "]" });
            }
            Value::Object(members) => {
                out.push('{');
                out.push_str(self.comment);
                for (index, (name, value)) in members.iter().enumerate() {
                    self.line(depth + 1, out);
                    self.text(name, self.key, out);
                    out.push_str(self.colon);
                    out.push(' ');
                    self.value(value, depth + 1, out);
                    let is_last = index + 1 == members.len();
                    out.push_str(if !is_last {
                        self.member_comma
                    } else if self.trailing_comma {
                        ","
                    } else {
                        ""
                    });
                }
                if !members.is_empty() {
                    self.line(depth, out);
                }
                out.push('}');
            }
            Value::String(text) => self.text(text, self.text, out),
            Value::Bool(true) if self.python => out.push_str("True"),
            Value::Bool(false) if self.python => out.push_str("False"),
            Value::Null if self.python => out.push_str("None"),
            Value::Null if self.nan => out.push_str("NaN"),
            Value::Number(number) if self.plus && !number.to_string().starts_with('-') => {
                out.push('+');
                out.push_str(&number.to_string());
            }
            other => out.push_str(&other.to_string()),
        }
    }

    fn line(&self, depth: usize, out: &mut String) {
        if self.pretty {
            out.push('\n');
            (0..depth).for_each(|_| out.push_str(self.indent));
        } else if out.ends_with(',') {
            out.push(' ');
        }
    }

    fn text(&self, text: &str, quote: Quote, out: &mut String) {
        let (open, close) = match quote {
            Quote::Double => ('"', '"'),
            Quote::Repr if text.contains('\'') => ('"', '"'),
            Quote::Repr | Quote::Single => ('\'', '\''),
            Quote::Typographic => ('“', '”'),
            Quote::Back => ('`', '`'),
            Quote::None => return out.push_str(text),
        };
        out.push(open);
        for c in text.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '\n' | '\t' if self.raw_breaks => out.push(c),
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '"' if self.raw_quotes => out.push('"'),
                '\'' if self.escaped_apostrophe => out.push_str("\\'"),
                _ if c == open || c == close => {
                    out.push('\\');
                    out.push(c);
                }
                _ => out.push(c),
            }
        }
        out.push(close);
    }
}
