//! The form in which a schema is sent after a target has rejected another one.

use super::{Codec, Target};
use crate::error::Error;
use crate::message::{Request, SchemaForm};
use crate::schema::{Dialect, Schema};

/// The schemas that a target does not accept in a form, as far as one rejection shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormScope {
    /// All schemas: the target does not know the form.
    Target,
    /// The rejected schema alone.
    Schema,
}

/// Words in the rejection of a form as a whole: the field, its type, or the JSON mode.
const FORM: [&str; 13] = [
    "response_format",
    "response format",
    "text.format",
    "json_schema",
    "json_object",
    "json mode",
    "mime type",
    "responsejsonschema",
    "output_config",
    "output_format",
    "extra inputs",
    "expected \"json\"",
    "for format",
];

/// Words in the rejection of what a schema contains.
const CONTENT: [&str; 15] = [
    "schema for",
    "format.schema",
    "in context=",
    "grammar",
    "conversion",
    "features",
    "keyword",
    "too many states",
    "too complex",
    "complexity",
    "too large",
    "too deep",
    "failed to validate json",
    "unexpectedly stopped",
    "terminated",
];

/// Words in the rejection of a schema whose structure the server cannot convert. It converts the bounds that it is sent.
const STRUCTURE: [&str; 2] = ["invalid json schema in format", "unrecognized schema"];

/// The keywords that the simpler form omits. A server that does not know one rejects it in every schema.
const KEYWORDS: [&str; 14] = [
    "minitems",
    "maxitems",
    "prefixitems",
    "minlength",
    "maxlength",
    "pattern",
    "exclusiveminimum",
    "exclusivemaximum",
    "minimum",
    "maximum",
    "multipleof",
    "uniqueitems",
    "minproperties",
    "maxproperties",
];

/// Returns the form to try after `target` rejected the schema of `request` with `error`, and the schemas for which it is
/// remembered; `None` if there is no simpler form.
pub(super) fn simpler_form<C: Codec + ?Sized>(
    codec: &C,
    target: &Target,
    request: &Request,
    error: &Error,
) -> Option<(SchemaForm, FormScope)> {
    let schema = request.schema.as_deref()?;
    let rejected = codec.schema_form(target, request)?;
    let rejection = Rejection::of(error);
    let mut simpler = codec.forms(target).iter().copied().skip_while(|form| *form <= rejected);
    let form = simpler.find(|form| {
        *form != SchemaForm::Unbounded
            || (!matches!(rejection, Rejection::Form | Rejection::Structure)
                && differ(schema, codec.dialect(target, rejected), codec.dialect(target, *form)))
    })?;
    let scope = match rejection {
        Rejection::Structure | Rejection::Schema => FormScope::Schema,
        Rejection::Form | Rejection::Keyword | Rejection::Unknown => FormScope::Target,
    };
    Some((form, scope))
}

/// What a target rejects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rejection {
    Form,
    Structure,
    Keyword,
    Schema,
    Unknown,
}

impl Rejection {
    fn of(error: &Error) -> Self {
        let message = error.message().to_lowercase();
        let mentions = |words: &[&str]| words.iter().any(|word| message.contains(word));
        if mentions(&STRUCTURE) {
            Self::Structure
        } else if mentions(&KEYWORDS) {
            Self::Keyword
        } else if mentions(&CONTENT) {
            Self::Schema
        } else if mentions(&FORM) {
            Self::Form
        } else if error.status() == Some(500) {
            Self::Schema
        } else {
            Self::Unknown
        }
    }
}

fn differ(schema: &Schema, first: Dialect, second: Dialect) -> bool {
    first != second && schema.lower(first).document() != schema.lower(second).document()
}
