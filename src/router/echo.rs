//! Removes the text of a request from the message of an error: some servers repeat it, and messages are logged.

use std::collections::{HashMap, HashSet};

use crate::error::Error;
use crate::message::{Part, Request};
use crate::steps;

/// A run of so many letters and digits is text of the request if it occurs there.
const RUN: usize = 16;

/// A shorter text of a request counts only as a whole, and from this number of letters and digits on.
const MIN_TEXT: usize = 8;

/// The letters of one text of a request that are compared.
const MAX_TEXT: usize = 4 * 1024 * 1024;

/// What replaces a run.
const GAP: &str = "…";

/// The base of the rolling hash.
const BASE: u64 = 0x0100_0000_01b3;

/// Returns `error` without runs of text of `request` in its message.
pub(super) fn remove(error: Error, request: &Request) -> Error {
    let error = match without_queries(error.message(), request) {
        Some(message) => error.with_message(message),
        None => error,
    };
    match without(error.message(), request) {
        Some(message) => error.with_message(message),
        None => error,
    }
}

/// Returns `message` without the queries of the URLs of `request`, which may contain secrets; `None` if it has none.
fn without_queries(message: &str, request: &Request) -> Option<String> {
    let queries = request.parts.iter().filter_map(|part| match part {
        Part::Url(url) => url.split_once(['?', '#']).map(|(_, query)| query).filter(|query| !query.is_empty()),
        _ => None,
    });
    queries.fold(None, |found, query| {
        let text = found.as_deref().unwrap_or(message);
        if text.contains(query) { Some(text.replace(query, GAP)) } else { found }
    })
}

/// Returns `message` without the text of `request`; `None` if it has none.
fn without(message: &str, request: &Request) -> Option<String> {
    let letters = Letters::of(message);
    let mut is_echo = vec![false; letters.all.len()];
    let documents = request.parts.iter().filter_map(Part::text);
    let repair = request.repair.iter().flat_map(|repair| [&*repair.reply, &*repair.instruction]);
    for text in [&*request.prompt, &*request.system].into_iter().chain(documents).chain(repair) {
        letters.mark(text, &mut is_echo);
    }
    is_echo.contains(&true).then(|| letters.replace(message, &is_echo))
}

/// The letters and digits of a message, in lower case, and where they are.
struct Letters {
    all: Vec<(usize, char)>,
    /// Where each run begins, by its hash.
    runs: HashMap<u64, Vec<usize>>,
}

impl Letters {
    fn of(message: &str) -> Self {
        let mut all = Vec::with_capacity(message.len());
        let mut characters = message.char_indices();
        while let Some((at, character)) = characters.next() {
            // The line breaks and quotes of a text within JSON.
            if character == '\\' {
                characters.next();
            } else if character.is_alphanumeric() {
                all.push((at, lower(character)));
            }
        }
        let mut runs: HashMap<u64, Vec<usize>> = HashMap::new();
        let mut hash = RollingHash::default();
        for (index, (_, letter)) in all.iter().enumerate() {
            let leaving = index.checked_sub(RUN).map(|before| all[before].1);
            hash.push(*letter, leaving);
            if let Some(start) = (index + 1).checked_sub(RUN) {
                runs.entry(hash.0).or_default().push(start);
            }
        }
        Self { all, runs }
    }

    /// Marks the letters that are part of a run of `text`.
    fn mark(&self, text: &str, is_echo: &mut [bool]) {
        if self.all.len() < MIN_TEXT {
            return;
        }
        let letters = || text.chars().filter(|character| character.is_alphanumeric()).map(lower).take(MAX_TEXT);
        let beginning: Vec<char> = letters().take(RUN).collect();
        if beginning.len() < RUN {
            if beginning.len() >= MIN_TEXT {
                self.mark_whole(&beginning, is_echo);
            }
            return;
        }
        let (mut hash, mut leaving) = (RollingHash::default(), letters());
        // A run that both texts repeat is marked once.
        let mut marked = HashSet::new();
        for (index, letter) in letters().enumerate() {
            steps::count(1);
            hash.push(letter, if index < RUN { None } else { leaving.next() });
            if index + 1 < RUN {
                continue;
            }
            if let Some(starts) = self.runs.get(&hash.0).filter(|_| marked.insert(hash.0)) {
                steps::count(RUN * starts.len());
                for start in starts {
                    is_echo[*start..*start + RUN].fill(true);
                }
            }
        }
    }

    fn mark_whole(&self, text: &[char], is_echo: &mut [bool]) {
        for (start, run) in self.all.windows(text.len()).enumerate() {
            if run.iter().map(|(_, letter)| letter).eq(text) {
                is_echo[start..start + text.len()].fill(true);
            }
        }
    }

    /// Replaces each run of marked letters, and what is between them, in `message`.
    fn replace(&self, message: &str, is_echo: &[bool]) -> String {
        let mut kept = String::with_capacity(message.len());
        let (mut from, mut index) = (0, 0);
        while index < is_echo.len() {
            if is_echo[index] {
                let first = index;
                while is_echo.get(index) == Some(&true) {
                    index += 1;
                }
                kept.push_str(&message[from..self.all[first].0]);
                kept.push_str(GAP);
                let last = self.all[index - 1].0;
                from = last + message[last..].chars().next().map_or(0, char::len_utf8);
            } else {
                index += 1;
            }
        }
        kept.push_str(&message[from..]);
        kept
    }
}

/// The hash of the last [`RUN`] letters.
#[derive(Default)]
struct RollingHash(u64);

impl RollingHash {
    /// Adds `letter`. `leaving` is the letter that is no longer part of the run.
    fn push(&mut self, letter: char, leaving: Option<char>) {
        const OLDEST: u64 = power(RUN);
        self.0 = self.0.wrapping_mul(BASE).wrapping_add(u64::from(letter));
        if let Some(leaving) = leaving {
            self.0 = self.0.wrapping_sub(u64::from(leaving).wrapping_mul(OLDEST));
        }
    }
}

const fn power(exponent: usize) -> u64 {
    let (mut result, mut left) = (1_u64, exponent);
    while left > 0 {
        result = result.wrapping_mul(BASE);
        left -= 1;
    }
    result
}

fn lower(character: char) -> char {
    character.to_lowercase().next().unwrap_or(character)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;
    use crate::message::Repair;
    use crate::steps::testing::counted;

    const PROMPT: &str = "Design a garden on the roof of our secret\nheadquarters in \"Narnia\", with bees.";

    fn shown(message: &str, request: &Request) -> String {
        remove(Error::new(ErrorKind::Rejected, message), request).message().to_owned()
    }

    #[test]
    fn the_prompt_is_removed_and_the_words_stay() {
        let request = Request { system: Arc::from("Be brief and talk like a pirate."), ..Request::new(PROMPT) };
        for (message, expected) in [
            (format!("cannot parse: {PROMPT}"), "cannot parse: …."),
            (format!("bad request '{PROMPT}' (E7)"), "bad request '….' (E7)"),
            (format!("bad request {} (E7)", serde_json::json!(PROMPT)), "bad request \"….\" (E7)"),
            ("invalid: Design a garden on the roof of our sec".to_owned(), "invalid: …"),
            ("invalid: …of our secret headquarters in Narnia…".to_owned(), "invalid: ………"),
            ("BE BRIEF AND TALK LIKE A PIRATE is odd".to_owned(), "… is odd"),
        ] {
            assert_eq!(shown(&message, &request), expected, "{message}");
        }
    }

    #[test]
    fn a_message_without_text_of_the_request_stays() {
        let request = Request::new(PROMPT);
        for message in ["a garden on Mars", "", "the model is overloaded", "on the roof"] {
            assert_eq!(shown(message, &request), message);
        }
        // Too short to be distinguished from the words of the server.
        assert_eq!(shown("unknown model", &Request::new("model")), "unknown model");
        assert_eq!(shown("no: Name a moss", &Request::new("Name a moss.")), "no: …");
    }

    #[test]
    fn documents_and_repairs_are_removed() {
        let document = Part::Text { name: Arc::from("a.md"), text: Arc::from("The vault is below the old well.") };
        let request = Request { parts: vec![document], ..Request::new("Hello") };
        assert_eq!(shown("refused: the vault is below the old well", &request), "refused: …");
    }

    proptest! {
        #[test]
        fn no_run_of_the_prompt_is_left(before in "[a-z]{0,9}: ", prompt in "\\PC{0,80}", after in " [0-9]{0,9}") {
            let request = Request::new(&*prompt);
            let message = shown(&format!("{before}{prompt}{after}"), &request);
            let letters = |text: &str| text.chars().filter(|it| it.is_alphanumeric()).map(lower).collect::<Vec<_>>();
            let (left, prompt) = (letters(&message), letters(&prompt));
            if prompt.len() >= RUN && !request.prompt.contains('\\') {
                prop_assert!(!left.windows(RUN).any(|run| prompt.windows(RUN).any(|other| run == other)), "{}", message);
            }
        }
    }

    #[test]
    fn texts_that_repeat_one_run_take_linear_time() {
        let steps = |count: usize| {
            let letters = "a".repeat(count);
            let repair = Repair { reply: Arc::from(&*letters), instruction: Arc::from(""), form: None };
            let request = Request { repair: Some(repair), ..Request::new("Hello") };
            counted(|| assert_eq!(shown(&letters, &request), "…"))
        };
        assert!(2 * steps(20_000) <= 5 * steps(10_000));
    }
}
