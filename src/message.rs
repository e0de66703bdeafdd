//! What is asked of a model and what comes back, in no provider's terms.

use std::sync::Arc;

use bytes::Bytes;

use crate::schema::Schema;

pub use crate::attempt::{Page, PageStatus, Usage};

/// One question to a model. Cheap to clone: texts and buffers are shared.
#[derive(Debug, Clone)]
pub struct Request {
    /// The user's turn.
    pub prompt: Arc<str>,
    /// The system instruction; empty for none.
    pub system: Arc<str>,
    /// What travels with the prompt, in order.
    pub parts: Vec<Part>,
    /// The schema the reply must fit; `None` for free text.
    pub schema: Option<Arc<Schema>>,
    /// Sampling temperature, 0.0 to 2.0. Zero is a value, not "unset". Anthropic's scale ends at 1.0, and its newer models
    /// take none.
    pub temperature: f64,
    /// Upper bound of output tokens; `None` leaves it to the model, but for Anthropic, which is told 16 000.
    pub max_tokens: Option<u32>,
    /// Turns after the prompt: a rejected reply and what was wrong with it.
    pub repair: Option<Repair>,
    /// How the schema is sent.
    pub form: SchemaForm,
    /// How much of a target's room the request gets.
    pub room: Headroom,
}

impl Request {
    /// A free-text question without attachments at temperature 0.
    pub fn new(prompt: impl Into<Arc<str>>) -> Self {
        Self {
            prompt: prompt.into(),
            system: Arc::from(""),
            parts: Vec::new(),
            schema: None,
            temperature: 0.0,
            max_tokens: None,
            repair: None,
            form: SchemaForm::Native,
            room: Headroom::Standard,
        }
    }

    /// How many bytes travel with the prompt.
    pub fn attached_bytes(&self) -> usize {
        let bytes = self.parts.iter().map(|part| match part {
            Part::Text { text, .. } => text.len(),
            Part::Image { data, .. } | Part::Pdf { data, .. } => data.len(),
            Part::Url(url) => url.len(),
        });
        bytes.sum()
    }

    /// About how many tokens its texts are: four characters each in alphabetic scripts, one each in all others. Attachments
    /// that are no text do not count.
    pub fn estimated_tokens(&self) -> u64 {
        let documents = self.parts.iter().map(|part| match part {
            Part::Text { text, .. } => estimated_tokens(text),
            Part::Image { .. } | Part::Pdf { .. } | Part::Url(_) => 0,
        });
        let repair = self
            .repair
            .as_ref()
            .map_or(0, |repair| estimated_tokens(&repair.reply) + estimated_tokens(&repair.instruction));
        estimated_tokens(&self.system) + estimated_tokens(&self.prompt) + documents.sum::<u64>() + repair
    }

    /// How many tokens its texts are at the least, for every tokeniser in use: none makes one token of two words. Scripts
    /// without blanks between words count for next to nothing.
    pub fn least_tokens(&self) -> u64 {
        let documents = self.parts.iter().map(|part| match part {
            Part::Text { text, .. } => words(text),
            Part::Image { .. } | Part::Pdf { .. } | Part::Url(_) => 0,
        });
        let repair = self.repair.as_ref().map_or(0, |repair| words(&repair.reply) + words(&repair.instruction));
        words(&self.system) + words(&self.prompt) + documents.sum::<u64>() + repair
    }
}

/// How much of a target's room a request gets: for the prompt, and for the answer beside the model's thoughts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Headroom {
    /// What is usual for the target.
    #[default]
    Standard,
    /// More, after a try that ran out of it: a larger context window (Ollama), fewer thoughts (Gemini).
    Extended,
}

/// How a schema is sent to a target. One that rejects a form is asked in the next, simpler one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SchemaForm {
    /// In the provider's newest form, enforced by it.
    #[default]
    Native,
    /// In an older, smaller form, enforced by the provider.
    Older,
    /// In words, as a part of the instructions.
    Prompted,
}

impl SchemaForm {
    /// The next simpler form; `None` after the last.
    pub const fn simpler(self) -> Option<Self> {
        match self {
            Self::Native => Some(Self::Older),
            Self::Older => Some(Self::Prompted),
            Self::Prompted => None,
        }
    }
}

/// About how many tokens `text` is.
fn estimated_tokens(text: &str) -> u64 {
    if text.is_ascii() {
        return (text.len() as u64).div_ceil(4);
    }
    let (mut letters, mut signs) = (0_u64, 0_u64);
    for character in text.chars() {
        // From Hangul Jamo on, one character is about one token.
        if character < '\u{1100}' { letters += 1 } else { signs += 1 }
    }
    letters.div_ceil(4) + signs
}

fn words(text: &str) -> u64 {
    text.split_whitespace().filter(|piece| piece.contains(char::is_alphanumeric)).count() as u64
}

/// A reply that did not fit the schema, to be sent back once with the reason.
#[derive(Debug, Clone)]
pub struct Repair {
    /// The model's own text, as the assistant's turn.
    pub reply: Arc<str>,
    /// What to mend, as the user's next turn.
    pub instruction: Arc<str>,
}

/// What travels with a prompt.
#[derive(Debug, Clone)]
pub enum Part {
    /// A text document, sent as text to every provider.
    Text {
        /// The file's name, shown to the model.
        name: Arc<str>,
        /// The whole text.
        text: Arc<str>,
    },
    /// An image.
    Image {
        /// For example `image/png`.
        mime: &'static str,
        /// The file as it is.
        data: Bytes,
    },
    /// A PDF.
    Pdf {
        /// The file's name, shown to the model.
        name: Arc<str>,
        /// The file as it is.
        data: Bytes,
    },
    /// A web page the provider is asked to read by itself.
    Url(Arc<str>),
}

impl Part {
    /// What the part is, in words.
    pub const fn describe(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text documents",
            Self::Image { .. } => "images",
            Self::Pdf { .. } => "PDF files",
            Self::Url(_) => "web addresses",
        }
    }
}

/// A model's answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The text, thoughts left out; of a structured reply the JSON in it, where there is some. Never empty: an empty
    /// answer is an error.
    pub text: String,
    /// Whether the text is the JSON of a structured reply, and nothing else.
    pub is_json: bool,
    /// The whole text that the JSON was cut out of, where there is more to it.
    pub around: Option<String>,
    /// The model the provider says it used, where it says so.
    pub model: Option<String>,
    /// Why the model stopped.
    pub finish: FinishReason,
    /// What the provider counted.
    pub usage: Usage,
    /// The web pages the provider was to read, and what became of them. Gemini alone tells.
    pub pages: Vec<Page>,
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FinishReason {
    /// It was done.
    Stop,
    /// It reached the limit of output tokens or of its context.
    Length,
    /// The provider named another reason, or none.
    Other,
}
