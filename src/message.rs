//! The provider-neutral request to a model, and its reply.

mod page;

use std::sync::Arc;

use bytes::Bytes;

use crate::named_enum::named_enum;
use crate::parameter::{Adjustments, Parameter};
use crate::schema::Schema;

pub use crate::attempt::{Page, PageStatus, Usage};
pub use page::{OnPageError, WebPage};

/// A request to a model. Cheap to clone: texts and buffers are shared.
#[derive(Debug, Clone)]
pub struct Request {
    /// The prompt, as the user's turn.
    pub prompt: Arc<str>,
    /// The system instruction; empty if there is none.
    pub system: Arc<str>,
    /// The attachments, in order.
    pub parts: Vec<Part>,
    /// The schema the reply must fit; `None` for free text.
    pub schema: Option<Arc<Schema>>,
    /// The sampling temperature, 0.0 to 2.0. `None` sends none, so that the model's default applies. Anthropic's maximum is 1.0;
    /// reasoning models of OpenAI and newer models of Anthropic accept none.
    pub temperature: Option<f64>,
    /// The maximum number of output tokens. `None` means the default of the model, and 16 000 for Anthropic.
    pub max_tokens: Option<u32>,
    /// Whether the answer may come from the response cache, or from an equal request in flight, and is stored there. `None`
    /// means only at temperature 0: at any other, equal requests are samples of which the caller wants each.
    pub use_cache: Option<bool>,
    /// A rejected reply and the request for a correction, as the turns after the prompt.
    pub repair: Option<Repair>,
    /// Whether the prompt states the schema in words, so that a protocol whose schema is only a grammar does not outline it
    /// in the system instruction.
    pub states_schema: bool,
    /// The form of the schema.
    pub form: SchemaForm,
    /// The headroom for the prompt and the answer.
    pub headroom: Headroom,
    /// The changes that the target requires.
    pub adjustments: Adjustments,
}

impl Request {
    /// Returns a free-text request without attachments at temperature 0.
    pub fn new(prompt: impl Into<Arc<str>>) -> Self {
        Self {
            prompt: prompt.into(),
            system: Arc::from(""),
            parts: Vec::new(),
            schema: None,
            temperature: Some(0.0),
            max_tokens: None,
            use_cache: None,
            repair: None,
            states_schema: false,
            form: SchemaForm::Native,
            headroom: Headroom::Standard,
            adjustments: Adjustments::default(),
        }
    }

    /// Whether it may contain `parameter`: the target has not refused it.
    pub fn allows(&self, parameter: Parameter) -> bool {
        !self.adjustments.omits(parameter)
    }

    /// Returns the temperature to send.
    pub fn sent_temperature(&self) -> Option<f64> {
        self.temperature.filter(|_| self.allows(Parameter::Temperature))
    }

    /// Returns the size of the attachments in bytes.
    pub fn attached_bytes(&self) -> usize {
        self.parts.iter().map(Part::size).sum()
    }

    /// Returns an estimate of the tokens of its texts: one per four characters in alphabetic scripts, one per character in all
    /// others. Attachments without text do not count.
    pub fn estimated_tokens(&self) -> u64 {
        self.count_in_texts(estimated_tokens)
    }

    /// Returns a lower bound of the tokens of its texts for every tokeniser in use: none combines two words. Scripts without
    /// spaces count for almost nothing.
    pub fn least_tokens(&self) -> u64 {
        self.count_in_texts(words)
    }

    /// Returns the sum of `count` over the texts of the request.
    fn count_in_texts(&self, count: fn(&str) -> u64) -> u64 {
        let documents = self.parts.iter().map(|part| part.text().map_or(0, count));
        let repair = self.repair.as_ref().map_or(0, |repair| count(&repair.reply) + count(&repair.instruction));
        count(&self.system) + count(&self.prompt) + documents.sum::<u64>() + repair
    }
}

/// The headroom of a request for the prompt and the answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Headroom {
    /// The default of the target.
    #[default]
    Standard,
    /// More, after an attempt that exceeded it: a larger context window (Ollama).
    Extended,
}

/// The form in which a schema is sent. If a target rejects one, the next simpler form is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SchemaForm {
    /// The provider's newest form, enforced by it.
    #[default]
    Native,
    /// The same form with the structure alone: without bounds, lengths and patterns.
    Unbounded,
    /// An older, smaller form, enforced by the provider.
    Older,
    /// Text in the instructions.
    Prompted,
}

/// Returns an estimate of the tokens of `text`.
fn estimated_tokens(text: &str) -> u64 {
    if text.is_ascii() {
        return (text.len() as u64).div_ceil(4);
    }
    let (mut letters, mut ideographs) = (0_u64, 0_u64);
    for character in text.chars() {
        // From Hangul Jamo on, one character is about one token.
        if character < '\u{1100}' { letters += 1 } else { ideographs += 1 }
    }
    letters.div_ceil(4) + ideographs
}

fn words(text: &str) -> u64 {
    text.split_whitespace().filter(|piece| piece.contains(char::is_alphanumeric)).count() as u64
}

/// A reply that did not fit the schema, and the request for a correction.
#[derive(Debug, Clone)]
pub struct Repair {
    /// The text of the reply, as the assistant's turn.
    pub reply: Arc<str>,
    /// The request for a correction, as the user's next turn.
    pub instruction: Arc<str>,
    /// The form in which the schema is sent with it; `None` keeps the form of the rejected request.
    pub form: Option<SchemaForm>,
}

/// An attachment of a prompt.
#[derive(Debug, Clone)]
pub enum Part {
    /// A text document, sent as text to every provider.
    Text {
        /// The file name, shown to the model.
        name: Arc<str>,
        /// The whole text.
        text: Arc<str>,
    },
    /// An image.
    Image {
        /// The media type, such as `image/png`.
        mime: &'static str,
        /// The content of the file.
        data: Bytes,
    },
    /// A PDF.
    Pdf {
        /// The file name, shown to the model.
        name: Arc<str>,
        /// The content of the file.
        data: Bytes,
    },
    /// A web page. A request to a target contains one of the other kinds instead, as [`WebPage::part`] decides.
    Page(Arc<dyn WebPage>),
    /// The URL of a web page that the provider reads itself.
    Url(Arc<str>),
    /// A web page that could not be read; the prompt says so, by this name.
    MissingPage(Arc<str>),
}

impl Part {
    /// Returns the text of a text document or of a page that was fetched.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text { text, .. } => Some(text),
            Self::Page(page) => page.document()?.text(),
            Self::Image { .. } | Self::Pdf { .. } | Self::Url(_) | Self::MissingPage(_) => None,
        }
    }

    /// Returns the record of a web page that was tried to fetch without success.
    pub fn page_failure(&self) -> Option<Page> {
        match self {
            Self::Page(page) => page.failure(),
            _ => None,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Text { text, .. } | Self::Url(text) | Self::MissingPage(text) => text.len(),
            Self::Image { data, .. } | Self::Pdf { data, .. } => data.len(),
            Self::Page(page) => page.document().map_or(0, Self::size),
        }
    }

    /// Returns the plural name of its kind, for messages.
    pub const fn describe(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text documents",
            Self::Image { .. } => "images",
            Self::Pdf { .. } => "PDF files",
            Self::Page(_) | Self::MissingPage(_) => "web pages",
            Self::Url(_) => "web addresses",
        }
    }
}

/// The reply of a model.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The text without reasoning; of a structured reply the JSON in it, if there is any. Never empty.
    pub text: String,
    /// Whether the text is only the JSON of a structured reply.
    pub is_json: bool,
    /// The whole text around the JSON, if there is more.
    pub around: Option<String>,
    /// Whether the JSON was found in the reasoning, because the text has none.
    pub is_from_reasoning: bool,
    /// The model that the provider reports.
    pub model: Option<String>,
    /// Why the model stopped.
    pub finish: FinishReason,
    /// The provider's name for that reason; `None` if it reported none.
    pub finish_detail: Option<String>,
    /// The reasoning that the provider or the model returned next to the text; `None` if there is none.
    pub reasoning: Option<String>,
    /// The tokens counted by the provider.
    pub usage: Usage,
    /// The web pages that the provider was to read, and the outcome of each. Only Gemini reports them.
    pub pages: Vec<Page>,
}

named_enum! {
    /// Why a model stopped.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum FinishReason {
        /// It had finished.
        Stop = "stop",
        /// It reached the limit of output tokens or the context window.
        Length = "length",
        /// It refused.
        Refusal = "refusal",
        /// A content filter stopped it.
        ContentFilter = "content_filter",
        /// It called a tool. Requests offer none.
        ToolCalls = "tool_calls",
        /// Its server failed.
        Error = "error",
        /// Any other reason, or none reported.
        #[default]
        Other = "other",
    }
}
