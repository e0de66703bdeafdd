//! A JSON tree whose leaves are JSON text, so that number literals and escapes stay as the model wrote them.

use std::borrow::Cow;

/// A value of a reply.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::schema) enum Json<'t> {
    /// The JSON text of a string, a number, `true`, `false` or `null`.
    Scalar(Cow<'t, str>),
    /// `NaN` or an infinity, which JSON cannot represent.
    NotFinite,
    Array(Vec<Self>),
    Object(Vec<Member<'t>>),
}

/// A member of an object.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::schema) struct Member<'t> {
    /// The name, with its quotes.
    pub(in crate::schema) quoted: Cow<'t, str>,
    pub(in crate::schema) value: Json<'t>,
}

impl Json<'_> {
    /// Returns the content of a string; `None` for other values, and for strings with a lone surrogate.
    pub(in crate::schema) fn as_text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Scalar(literal) if literal.starts_with('"') => unquoted(literal),
            _ => None,
        }
    }

    /// Returns the literal of a number.
    pub(in crate::schema) fn as_number(&self) -> Option<&str> {
        match self {
            Self::Scalar(literal) if literal.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => Some(literal),
            _ => None,
        }
    }

    pub(in crate::schema) fn is_null(&self) -> bool {
        matches!(self, Self::Scalar(literal) if literal == "null")
    }

    /// Returns whether JSON can represent the value.
    pub(in crate::schema) fn is_finite(&self) -> bool {
        match self {
            Self::Scalar(_) => true,
            Self::NotFinite => false,
            Self::Array(items) => items.iter().all(Self::is_finite),
            Self::Object(members) => members.iter().all(|member| member.value.is_finite()),
        }
    }

    /// Returns the number of its values, including itself.
    pub(in crate::schema) fn size(&self) -> usize {
        match self {
            Self::Scalar(_) | Self::NotFinite => 1,
            Self::Array(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Self::Object(members) => 1 + members.iter().map(|member| member.value.size()).sum::<usize>(),
        }
    }

    /// Returns the value as JSON text; `None` if JSON cannot represent it.
    pub(in crate::schema) fn to_text(&self) -> Option<String> {
        let mut out = String::new();
        self.write(&mut out).then_some(out)
    }

    fn write(&self, out: &mut String) -> bool {
        match self {
            Self::Scalar(literal) => out.push_str(literal),
            Self::NotFinite => return false,
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    if !item.write(out) {
                        return false;
                    }
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, member) in members.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    out.push_str(&member.quoted);
                    out.push_str(": ");
                    if !member.value.write(out) {
                        return false;
                    }
                }
                out.push('}');
            }
        }
        true
    }

    /// Returns a copy that does not borrow from the text.
    pub(in crate::schema) fn into_owned(self) -> Json<'static> {
        match self {
            Self::Scalar(literal) => Json::Scalar(Cow::Owned(literal.into_owned())),
            Self::NotFinite => Json::NotFinite,
            Self::Array(items) => Json::Array(items.into_iter().map(Json::into_owned).collect()),
            Self::Object(members) => Json::Object(
                members
                    .into_iter()
                    .map(|Member { quoted, value }| Member {
                        quoted: Cow::Owned(quoted.into_owned()),
                        value: value.into_owned(),
                    })
                    .collect(),
            ),
        }
    }
}

impl Member<'_> {
    /// Returns the name without quotes and escapes. A name with a lone surrogate is returned as written.
    pub(in crate::schema) fn name(&self) -> Cow<'_, str> {
        unquoted(&self.quoted).unwrap_or(Cow::Borrowed(&self.quoted))
    }
}

/// Returns the content of the string `literal`; `None` if it has a lone surrogate.
pub(in crate::schema) fn unquoted(literal: &str) -> Option<Cow<'_, str>> {
    if literal.contains('\\') {
        return serde_json::from_str(literal).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(&literal[1..literal.len() - 1]))
}
