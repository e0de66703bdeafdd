//! The regular expressions of schemas (ECMA-262), matched in linear time.
//!
//! An expression is translated to the syntax of `regex-syntax` and compiled to a state machine without backtracking, so that no
//! text takes more than the states of the machine for each of its characters. Look-around and back references need
//! backtracking and are refused.

mod machine;
mod translate;

use crate::error::{Error, Result};
use machine::Machine;

/// A compiled expression.
///
/// # Example
///
/// ```
/// use madspark::schema::Pattern;
///
/// let pattern = Pattern::new(r"^(a+)+$")?;
/// assert_eq!(pattern.find("aaaa", 1000).0, Some(true));
/// assert_eq!(pattern.find(&("a".repeat(10_000) + "!"), 1_000_000).0, Some(false));
/// assert!(Pattern::new("a(?=b)").is_err());
/// # Ok::<(), madspark::Error>(())
/// ```
#[derive(Debug)]
pub struct Pattern {
    machine: Machine,
}

impl Pattern {
    /// Compiles the expression `source`.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](crate::ErrorKind::InvalidInput) if it is no regular expression, if it has look-around or back
    /// references, or if it is too large.
    pub fn new(source: &str) -> Result<Self> {
        let expression = translate::translate(source).map_err(Error::invalid_input)?;
        let parsed = regex_syntax::Parser::new().parse(&expression);
        let parsed = parsed.map_err(|error| {
            let reason = match &error {
                regex_syntax::Error::Parse(error) => error.kind().to_string(),
                regex_syntax::Error::Translate(error) => error.kind().to_string(),
                _ => "it is no regular expression".to_owned(),
            };
            Error::invalid_input(reason)
        })?;
        let machine = Machine::compile(&parsed)
            .ok_or_else(|| Error::invalid_input("it is too large after its repetitions are expanded"))?;
        Ok(Self { machine })
    }

    /// Returns whether the expression matches a part of `text`, and the number of steps that this took; `None` if it would take
    /// more than `most`.
    pub fn find(&self, text: &str, most: usize) -> (Option<bool>, usize) {
        self.machine.find(text, most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")).find(text, 1_000_000).0.unwrap()
    }

    #[test]
    fn patterns_mean_what_they_mean_in_javascript() {
        for (pattern, valid, invalid) in [
            ("^a$", &["a"][..], &["a\n", "ab", ""][..]),
            (r"^\d\w$", &["1a"], &["\u{661}a", "1é"]),
            (r"^\s$", &[" ", "\u{a0}", "\u{feff}", "\t"], &["x", "\u{200b}"]),
            (r"^[\s\d]$", &["\u{2003}", "7"], &["x"]),
            (r"^[^\s\d]$", &["x"], &["\u{2003}", "7"]),
            (r"^[\W]$", &["é", "-"], &["x", "_"]),
            ("[$]", &["a$"], &["a"]),
            (r"\$[[&&]", &["$[", "$&"], &["$"]),
            ("^[a-c-e]$", &["b", "-", "e"], &["d"]),
            ("^[+--]$", &["+", ",", "-"], &["."]),
            ("^[]$", &[], &["", "a", "]"]),
            ("^[^]$", &["a", "\n"], &[""]),
            (r"^[\]\-\\]$", &["]", "-", "\\"], &["a"]),
            (r"^[\b]$", &["\u{8}"], &["b"]),
            ("^a{2}$", &["aa"], &["a"]),
            ("^a{,2}$", &["", "aa"], &["aaa"]),
            ("^a{x}$", &["a{x}"], &["a"]),
            ("^{}]$", &["{}]"], &[]),
            ("^.$", &["a", "é", "👍"], &["\n", "\r", "\u{2028}", "ab"]),
            ("(?s)^.$", &["\n"], &[]),
            ("(?i)^straße$", &["STRAßE"], &["x"]),
            (r"^\u00e9\x41\ud83d\udc4d\u{1F44D}$", &["éA👍👍"], &[]),
            (r"^\p{Lu}\P{L}$", &["É1"], &["éa"]),
            (r"\bcat\b", &["a cat!", "cat"], &["cats", "concat"]),
            (r"a\Bb", &["ab"], &["a b"]),
            ("^(?<year>[0-9]{4})-(?:0[1-9]|1[0-2])$", &["2024-12"], &["2024-13"]),
            ("^(?:ab|a|)c$", &["abc", "ac", "c"], &["bc"]),
            (r"^\/\<\@\#$", &["/<@#"], &[]),
            (r"\A[a-z]+\Z", &["abc"], &["abc\n"]),
            ("^(a|b)*?c+?$", &["abacc"], &["ab"]),
            ("", &["", "x"], &[]),
            ("^(a*)*$", &["", "aa"], &["b"]),
        ] {
            for text in valid {
                assert!(matches(pattern, text), "{pattern} {text:?}");
            }
            for text in invalid {
                assert!(!matches(pattern, text), "{pattern} {text:?}");
            }
        }
    }

    #[test]
    fn what_needs_backtracking_or_is_no_expression_is_refused() {
        for (pattern, reason) in [
            ("^(?!a)", "look-around"),
            ("(?<=a)b", "look-around"),
            (r"(a)\1", "back reference"),
            (r"(?<n>a)\k<n>", "back reference"),
            ("a**", "nothing to repeat"),
            ("(", "unclosed"),
            ("a)", "unopened"),
            ("[a", "class"),
            ("[b-a]", "range"),
            ("a{2,1}", "range"),
            (r"\q", "escape"),
            (r"\ud800", "surrogate"),
            ("((a{1000}){1000}){1000}", "too large"),
        ] {
            let error = Pattern::new(pattern).unwrap_err().to_string();
            assert!(error.contains(reason), "{pattern}: {error}");
        }
    }

    #[test]
    fn steps_are_linear_in_the_text_and_limited() {
        for pattern in
            [r"^(a+)+$", r"^(a|aa)+$", r"(a*)*b", r"^(\w+\s?)*$", "(x+x+)+y", "^a{0,200}$", r"(.*)(.*)(.*)=$"]
        {
            let compiled = Pattern::new(pattern).unwrap();
            let steps = |count: usize| {
                let (found, steps) = compiled.find(&("a".repeat(count) + "!"), usize::MAX);
                assert_eq!(found, Some(false), "{pattern}");
                steps
            };
            assert!(2 * steps(2000) <= 5 * steps(1000), "{pattern}");
        }
        assert_eq!(Pattern::new("a{0,200}$").unwrap().find(&"a".repeat(10_000), 5000).0, None);
    }
}
