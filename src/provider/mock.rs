//! Generated text without any server; only when the caller named it.

use crate::error::{Error, ErrorKind, Result};
use crate::message::{FinishReason, Part, Reply, Request, Usage};
use crate::simulator::sample;

/// How many of the prompt's words a free text repeats.
const WORDS: usize = 12;

/// Answers `request` from its own words: the same request always gets the same answer. A structured request gets an
/// instance of its schema. Tokens are estimated, four characters each. The limit of output tokens is not applied.
pub fn answer(request: &Request) -> Result<Reply> {
    let text = match &request.schema {
        Some(schema) => serde_json::to_string(&sample(schema.document(), &request.prompt))
            .map_err(|error| Error::new(ErrorKind::Internal, format!("the sample has no JSON form: {error}")))?,
        None => sentence(&request.prompt),
    };
    let documents = request.parts.iter().map(|part| match part {
        Part::Text { text, .. } => tokens(text),
        Part::Image { .. } | Part::Pdf { .. } | Part::Url(_) => 0,
    });
    let input = tokens(&request.system) + tokens(&request.prompt) + documents.sum::<u64>();
    let usage = Usage { input, output: tokens(&text), ..Usage::default() };
    Ok(Reply {
        text,
        is_json: request.schema.is_some(),
        around: None,
        model: Some("mock".to_owned()),
        finish: FinishReason::Stop,
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

    #[test]
    fn the_same_question_gets_the_same_answer_and_another_one_another() {
        let ask = |prompt: &str| answer(&Request::new(prompt)).unwrap();
        let reply = ask("How may a city\nstay cool?");
        assert_eq!(reply.text, "A generated answer to: How may a city stay cool?");
        assert_eq!(reply.text, ask("How may a city\nstay cool?").text);
        assert_ne!(reply.text, ask("How may a town stay warm?").text);
        assert_eq!((reply.model.as_deref(), reply.finish), (Some("mock"), FinishReason::Stop));
    }

    #[test]
    fn a_structured_answer_is_the_sample_of_the_schema() {
        let request = structured();
        let document = request.schema.as_ref().unwrap().document();
        let expected = sample(document, &request.prompt).to_string();
        assert_eq!(answer(&request).unwrap().text, expected);
    }

    #[test]
    fn tokens_are_a_quarter_of_the_characters() {
        let part = Part::Text { name: Arc::from("a"), text: Arc::from("äöüßäöüß") };
        let request = Request { system: Arc::from("abcd"), parts: vec![part], ..Request::new("12345") };
        let reply = answer(&request).unwrap();
        assert_eq!(reply.usage.input, 1 + 2 + 2);
        assert_eq!(reply.usage.output, (reply.text.len() as u64).div_ceil(4));
    }
}
