//! The kinds of change that turn a reply into JSON of its schema. A kind never contains text of the reply.

/// A kind of change that keeps the meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// A comma before a closing bracket was dropped.
    TrailingComma,
    /// A comma between two values was added.
    MissingComma,
    /// All but one of several commas between properties were dropped.
    RepeatedComma,
    /// Brackets were closed: before another one, or at the end of the reply. There the model may have meant to go on.
    MissingCloser,
    /// Single, typographic or back quotes became double ones.
    Quotes,
    /// Quotes inside a string were escaped.
    InnerQuotes,
    /// Quotes were put around a property's name.
    UnquotedKey,
    /// A comment was dropped.
    Comment,
    /// Full-width colons or commas became ASCII.
    WidePunctuation,
    /// White space that JSON does not know was replaced.
    WhiteSpace,
    /// A line break or another control character in a string was escaped.
    ControlCharacter,
    /// A backslash that starts no escape of JSON was dropped before `'`, doubled elsewhere.
    Escape,
    /// `True`, `None` and their like became JSON's words.
    Literal,
    /// `+1`, `.5` or `5.` was completed.
    NumberForm,
    /// The whole value stood in the reply with its quotes escaped.
    EscapedText,
    /// `NaN` or an infinity became null.
    NotFiniteToNull,
    /// A number in quotes became a number.
    TextToNumber,
    /// `8.0` became `8`.
    FloatToInteger,
    /// A number became a string of its digits.
    NumberToText,
    /// `"true"`, `"yes"`, `"false"` or `"no"` became a boolean.
    TextToBoolean,
    /// `"null"`, `"none"` or an empty string became null.
    TextToNull,
    /// A value was put into a list of its own.
    ItemToList,
    /// A value was taken out of a list of its own.
    ListToItem,
    /// JSON inside a string was taken out of it.
    TextToValue,
    /// An enumerated value was spelt as the schema does.
    EnumSpelling,
    /// A property's name was spelt as the schema does.
    PropertyName,
    /// A list was put into the object whose only required property it is.
    WrapperAdded,
    /// A list was taken out of an object that held nothing else.
    WrapperRemoved,
}

impl Change {
    /// The name in `snake_case`, for logs and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TrailingComma => "trailing_comma",
            Self::MissingComma => "missing_comma",
            Self::RepeatedComma => "repeated_comma",
            Self::MissingCloser => "missing_closer",
            Self::Quotes => "quotes",
            Self::InnerQuotes => "inner_quotes",
            Self::UnquotedKey => "unquoted_key",
            Self::Comment => "comment",
            Self::WidePunctuation => "wide_punctuation",
            Self::WhiteSpace => "white_space",
            Self::ControlCharacter => "control_character",
            Self::Escape => "escape",
            Self::Literal => "literal",
            Self::NumberForm => "number_form",
            Self::EscapedText => "escaped_text",
            Self::NotFiniteToNull => "not_finite_to_null",
            Self::TextToNumber => "text_to_number",
            Self::FloatToInteger => "float_to_integer",
            Self::NumberToText => "number_to_text",
            Self::TextToBoolean => "text_to_boolean",
            Self::TextToNull => "text_to_null",
            Self::ItemToList => "item_to_list",
            Self::ListToItem => "list_to_item",
            Self::TextToValue => "text_to_value",
            Self::EnumSpelling => "enum_spelling",
            Self::PropertyName => "property_name",
            Self::WrapperAdded => "wrapper_added",
            Self::WrapperRemoved => "wrapper_removed",
        }
    }
}
