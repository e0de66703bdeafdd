//! The kinds of change that turn a reply into JSON of its schema. A kind never contains text of the reply.

use crate::named_enum::named_enum;

named_enum! {
    /// A kind of change that keeps the meaning.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum Change {
        /// A comma before a closing bracket was dropped.
        TrailingComma = "trailing_comma",
        /// A comma between two values was added.
        MissingComma = "missing_comma",
        /// All but one of several commas between properties were dropped.
        RepeatedComma = "repeated_comma",
        /// Brackets were closed: before another one, or at the end of the reply. There the model may have meant to go on.
        MissingCloser = "missing_closer",
        /// Single, typographic or back quotes became double ones.
        Quotes = "quotes",
        /// Quotes inside a string were escaped.
        InnerQuotes = "inner_quotes",
        /// Quotes were put around a property's name.
        UnquotedKey = "unquoted_key",
        /// A comment was dropped.
        Comment = "comment",
        /// Full-width colons or commas became ASCII.
        WidePunctuation = "wide_punctuation",
        /// White space that JSON does not know was replaced.
        WhiteSpace = "white_space",
        /// A line break or another control character in a string was escaped.
        ControlCharacter = "control_character",
        /// A backslash that starts no escape of JSON was dropped before punctuation, as in Markdown's `\*`, and doubled elsewhere.
        Escape = "escape",
        /// `True`, `None` and their like became JSON's words.
        Literal = "literal",
        /// `+1`, `.5` or `5.` was completed.
        NumberForm = "number_form",
        /// The whole value stood in the reply with its quotes escaped.
        EscapedText = "escaped_text",
        /// The answer stood where the model reasons.
        AnswerInReasoning = "answer_in_reasoning",
        /// `NaN` or an infinity became null.
        NotFiniteToNull = "not_finite_to_null",
        /// A number in quotes became a number.
        TextToNumber = "text_to_number",
        /// `8.0` became `8`.
        FloatToInteger = "float_to_integer",
        /// A number became a string of its digits.
        NumberToText = "number_to_text",
        /// `"true"`, `"yes"`, `"false"` or `"no"` became a boolean.
        TextToBoolean = "text_to_boolean",
        /// `"null"`, `"none"` or an empty string became null.
        TextToNull = "text_to_null",
        /// A value was put into a list of its own.
        ItemToList = "item_to_list",
        /// A value was taken out of a list of its own.
        ListToItem = "list_to_item",
        /// JSON inside a string was taken out of it.
        TextToValue = "text_to_value",
        /// An enumerated value was spelt as the schema does.
        EnumSpelling = "enum_spelling",
        /// A property's name was spelt as the schema does.
        PropertyName = "property_name",
        /// A list was put into the object whose only required property it is.
        WrapperAdded = "wrapper_added",
        /// A value was taken out of an object that held nothing else, out of a call of a function, or out of the properties of
        /// its schema.
        WrapperRemoved = "wrapper_removed",
        /// A text that was too long was cut at the end of a sentence.
        TextShortened = "text_shortened",
    }
}
