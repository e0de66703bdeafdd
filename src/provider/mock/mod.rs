//! Generated text without a server. Only used when the caller names it.

use super::{Pricing, Protocol, Target};
use crate::config::{Config, ModelTier, Provider};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{FinishReason, Reply, Request, Usage};
use crate::simulator::sample;

/// The number of words of the prompt that a text answer repeats.
const WORDS: usize = 12;

/// The provider.
#[derive(Debug)]
pub(super) struct Mock;

impl Protocol for Mock {
    fn target(&self, config: &Config, _tier: ModelTier) -> Target {
        // No request goes to the address.
        Target::new(Provider::Mock, "mock", &config.ollama_host, None)
    }

    fn pricing(&self) -> Pricing {
        Pricing::Free
    }

    fn is_configured(&self, _config: &Config) -> bool {
        true
    }

    fn is_concurrent(&self, _target: &Target) -> bool {
        false
    }

    /// The same request always gets the same answer.
    fn can_recover(&self, _kind: ErrorKind) -> bool {
        false
    }
}

/// Answers `request` from the words of its prompt. Equal requests get equal answers. A structured request gets an instance
/// of its schema. Token counts are estimates: four characters each. `max_tokens` is ignored.
pub fn answer(request: &Request) -> Result<Reply> {
    let text = match &request.schema {
        Some(schema) => serde_json::to_string(&sample(schema.document(), &request.prompt))
            .map_err(|error| Error::new(ErrorKind::Internal, format!("the sample has no JSON form: {error}")))?,
        None => sentence(&request.prompt),
    };
    let documents = request.parts.iter().map(|part| part.text().map_or(0, tokens));
    let input = tokens(&request.system) + tokens(&request.prompt) + documents.sum::<u64>();
    let usage = Usage { input, output: tokens(&text), ..Usage::default() };
    Ok(Reply {
        text,
        is_json: request.schema.is_some(),
        around: None,
        is_from_reasoning: false,
        model: Some("mock".to_owned()),
        finish: FinishReason::Stop,
        finish_detail: None,
        reasoning: None,
        usage,
        pages: Vec::new(),
    })
}

fn sentence(prompt: &str) -> String {
    let words: Vec<&str> = prompt.split_whitespace().take(WORDS).collect();
    format!("A generated answer to: {}", words.join(" "))
}

fn tokens(text: &str) -> u64 {
    (text.chars().count() as u64).div_ceil(4)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tests::structured;
    use super::*;
    use crate::message::Part;

    #[test]
    fn equal_requests_get_equal_answers() {
        let ask = |prompt: &str| answer(&Request::new(prompt)).unwrap();
        let reply = ask("How may a city\nstay cool?");
        assert_eq!(reply.text, "A generated answer to: How may a city stay cool?");
        assert_eq!(reply.text, ask("How may a city\nstay cool?").text);
        assert_ne!(reply.text, ask("How may a town stay warm?").text);
        assert_eq!((reply.model.as_deref(), reply.finish), (Some("mock"), FinishReason::Stop));
    }

    #[test]
    fn a_structured_answer_is_a_sample_of_the_schema() {
        let request = structured();
        let document = request.schema.as_ref().unwrap().document();
        let expected = sample(document, &request.prompt).to_string();
        assert_eq!(answer(&request).unwrap().text, expected);
    }

    #[test]
    fn four_characters_count_as_one_token() {
        let part = Part::Text { name: Arc::from("a"), text: Arc::from("äöüßäöüß") };
        let request = Request { system: Arc::from("abcd"), parts: vec![part], ..Request::new("12345") };
        let reply = answer(&request).unwrap();
        assert_eq!(reply.usage.input, 1 + 2 + 2);
        assert_eq!(reply.usage.output, (reply.text.len() as u64).div_ceil(4));
    }
}
