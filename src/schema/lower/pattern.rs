//! Rewrites a regular expression as one that every grammar converter reads alike.
//!
//! llama.cpp's converter copies classes and literals into its grammar. It has no look-around, no back reference and no
//! class such as `\d`: an unknown escape stops the server's process, and so may other constructs. Its strings are those
//! of JSON: a class that contains a quote or a backslash would match the end of the string. Therefore only anchored
//! expressions of ASCII literals, classes, groups and greedy repetitions are rewritten.

use serde_json::Value;

use crate::schema::graph::Node;

/// The maximum number of repetitions of one expression, all nested ones multiplied.
const MAX_REPETITIONS: u64 = 1000;

/// The maximum depth of groups.
const MAX_DEPTH: usize = 8;

/// The characters besides letters and digits that are the same inside and outside a grammar.
const PLAIN: &[u8] = b"-_:/@ ,#!%&';<=>~`";

/// Returns the pattern of `node` rewritten; `None` if it has none, or one beyond the subset.
pub(super) fn of(node: &Node) -> Option<String> {
    let pattern = node.constraints.get("pattern")?.as_str()?;
    let longest = node.constraints.get("maxLength").and_then(Value::as_u64);
    // A repetition without a maximum never ends in some models, and none is longer than the string.
    let bounded = longest.filter(|longest| *longest > 0).and_then(|longest| portable(pattern, Some(longest)));
    bounded.or_else(|| portable(pattern, None))
}

/// Returns `pattern` rewritten, with `longest` as the maximum of repetitions that have none; `None` if it is not anchored at
/// both ends or contains anything else than the subset.
fn portable(pattern: &str, longest: Option<u64>) -> Option<String> {
    let inner = pattern.strip_prefix('^')?.strip_suffix('$')?;
    if !inner.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return None;
    }
    let mut parser = Parser { rest: inner.as_bytes(), depth: 0, longest };
    let (text, size) = parser.sequence()?;
    (parser.rest.is_empty() && size <= MAX_REPETITIONS).then(|| format!("^{text}$"))
}

struct Parser<'p> {
    rest: &'p [u8],
    depth: usize,
    longest: Option<u64>,
}

/// One element of a sequence, and how many elements it stands for.
struct Atom {
    text: String,
    size: u64,
    /// Whether a repetition after `text` applies to all of it.
    is_unit: bool,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.rest.first() == Some(&byte);
        if is_next {
            self.rest = &self.rest[1..];
        }
        is_next
    }

    /// Parses elements up to `|`, `)` or the end.
    fn sequence(&mut self) -> Option<(String, u64)> {
        let (mut text, mut size) = (String::new(), 0_u64);
        while !matches!(self.rest.first(), None | Some(b'|' | b')')) {
            let atom = self.atom()?;
            let (repeated, times) = self.repeat(&atom)?;
            text.push_str(&repeated);
            size = size.saturating_add(atom.size.saturating_mul(times));
        }
        Some((text, size))
    }

    fn atom(&mut self) -> Option<Atom> {
        match self.next()? {
            b'(' => self.group(),
            b'[' => self.class().map(unit),
            b'\\' => match self.next()? {
                b'd' => Some(unit("[0-9]".to_owned())),
                b'w' => Some(unit("[A-Za-z0-9_]".to_owned())),
                b's' => Some(unit(format!("[{}]", member(b' ')?))),
                byte if byte.is_ascii_punctuation() => literal(byte),
                _ => None,
            },
            b'.' | b'*' | b'+' | b'?' | b'{' | b'^' | b'$' => None,
            byte => literal(byte),
        }
    }

    /// Parses the alternatives of a group, after its opening parenthesis.
    fn group(&mut self) -> Option<Atom> {
        if self.take(b'?') && !self.take(b':') {
            return None;
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let mut alternatives = Vec::new();
        let mut size = 0;
        loop {
            let (text, longest) = self.sequence()?;
            if text.is_empty() {
                return None;
            }
            size = longest.max(size);
            alternatives.push(text);
            match self.next()? {
                b'|' => {}
                _ => break,
            }
        }
        self.depth -= 1;
        Some(Atom { text: format!("({})", alternatives.join("|")), size, is_unit: true })
    }

    /// Parses a class, after its opening bracket.
    fn class(&mut self) -> Option<String> {
        let mut members = String::new();
        loop {
            let first = match self.next()? {
                b']' => break,
                b'[' => return None,
                b'^' if members.is_empty() => return None,
                // `&&`, `~~` and `--` combine classes.
                byte @ (b'&' | b'~' | b'-') if self.rest.first() == Some(&byte) => return None,
                b'\\' => match self.next()? {
                    b'd' => {
                        members.push_str("0-9");
                        continue;
                    }
                    b'w' => {
                        members.push_str("A-Za-z0-9_");
                        continue;
                    }
                    b's' => b' ',
                    byte if byte.is_ascii_punctuation() => byte,
                    _ => return None,
                },
                byte => byte,
            };
            members.push_str(&member(first)?);
            if self.rest.len() < 2 || self.rest[0] != b'-' || self.rest[1] == b']' {
                continue;
            }
            self.next();
            let last = match self.next()? {
                b'\\' => self.next().filter(u8::is_ascii_punctuation)?,
                b'[' => return None,
                byte => byte,
            };
            if last < first || (first..=last).any(|byte| member(byte).is_none()) {
                return None;
            }
            members.push('-');
            members.push_str(&member(last)?);
        }
        (!members.is_empty()).then(|| format!("[{members}]"))
    }

    /// Parses the repetition after `atom`. Returns the repeated text and the most repetitions.
    fn repeat(&mut self, atom: &Atom) -> Option<(String, u64)> {
        let (least, most) = match self.rest.first() {
            Some(b'*') => (0, None),
            Some(b'+') => (1, None),
            Some(b'?') => (0, Some(1)),
            Some(b'{') => self.counts()?,
            _ => return Some((atom.text.clone(), 1)),
        };
        // Consumes the last byte of the repetition.
        self.next();
        if matches!(self.rest.first(), Some(b'*' | b'+' | b'?' | b'{')) {
            return None;
        }
        let most = most.or(self.longest.map(|longest| longest.max(least)));
        if least > MAX_REPETITIONS || most.is_some_and(|most| most < least || most > MAX_REPETITIONS) {
            return None;
        }
        let text = &atom.text;
        let single = if atom.is_unit { text.clone() } else { format!("[{text}]") };
        let repeated = match (least, most) {
            (_, Some(0)) => String::new(),
            (1, Some(1)) => text.clone(),
            (0, Some(1)) => format!("{single}?"),
            (0, None) => format!("{single}*"),
            (1, None) => format!("{single}+"),
            // Converters disagree about a count without a maximum.
            (least, None) => format!("{single}{{{least}}}{single}*"),
            (least, Some(most)) if least == most => format!("{single}{{{least}}}"),
            (least, Some(most)) => format!("{single}{{{least},{most}}}"),
        };
        Some((repeated, most.unwrap_or(least + 1)))
    }

    /// Parses the counts in braces, up to the closing brace.
    fn counts(&mut self) -> Option<(u64, Option<u64>)> {
        self.next();
        let end = self.rest.iter().position(|byte| *byte == b'}')?;
        let counts = std::str::from_utf8(&self.rest[..end]).ok()?;
        self.rest = &self.rest[end..];
        let number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?;
        match counts.split_once(',') {
            None => number(counts).map(|count| (count, Some(count))),
            Some((least, "")) => number(least).map(|least| (least, None)),
            Some((least, most)) => Some((number(least)?, Some(number(most)?))),
        }
    }
}

fn unit(text: String) -> Atom {
    Atom { text, size: 1, is_unit: true }
}

fn literal(byte: u8) -> Option<Atom> {
    if byte.is_ascii_alphanumeric() || byte == b'_' {
        return Some(Atom { text: char::from(byte).to_string(), size: 1, is_unit: false });
    }
    let written = member(byte)?;
    Some(if PLAIN.contains(&byte) {
        Atom { text: char::from(byte).to_string(), size: 1, is_unit: false }
    } else {
        unit(format!("[{written}]"))
    })
}

/// Returns `byte` as a member of a class; `None` if a JSON string does not contain it as it is.
fn member(byte: u8) -> Option<String> {
    match byte {
        b'"' | b'\\' => None,
        b' '..=b'~' if byte.is_ascii_alphanumeric() || byte == b'_' => Some(char::from(byte).to_string()),
        b' '..=b'~' => Some(format!("\\x{byte:02X}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::graph::NodeKind;

    #[test]
    fn classes_literals_groups_and_repetitions_are_rewritten() {
        for (pattern, expected) in [
            ("^[A-Z]{3}-[0-9]{2}$", "^[A-Z]{3}-[0-9]{2}$"),
            (r"^\d{4}-\d{2}$", "^[0-9]{4}-[0-9]{2}$"),
            (r"^\w+$", "^[A-Za-z0-9_]+$"),
            (r"^[\w.-]+@[\w-]+\.[a-z]{2,}$", r"^[A-Za-z0-9_\x2E\x2D]+@[A-Za-z0-9_\x2D]+[\x2E][a-z]{2}[a-z]*$"),
            (r"^a\sb$", r"^a[\x20]b$"),
            ("^(?:red|green)$", "^(red|green)$"),
            ("^(ab){1,3}c*$", "^(ab){1,3}[c]*$"),
            ("^-+$", "^[-]+$"),
            (r"^\+?[0-9]{0,3}$", r"^[\x2B]?[0-9]{0,3}$"),
            ("^a{1}b{0}c{0,1}$", "^a[c]?$"),
            ("^$", "^$"),
        ] {
            assert_eq!(portable(pattern, None).as_deref(), Some(expected), "{pattern}");
        }
    }

    #[test]
    fn the_longest_string_limits_repetitions_without_a_maximum() {
        let of = |pattern: &str, longest: u64| {
            let mut node = Node::new(NodeKind::String);
            node.constraints = [("pattern", json!(pattern)), ("maxLength", json!(longest))]
                .map(|(keyword, value)| (keyword.to_owned(), value))
                .into_iter()
                .collect();
            super::of(&node).unwrap()
        };
        assert_eq!(of("^[a-z]+-[0-9]*$", 12), "^[a-z]{1,12}-[0-9]{0,12}$");
        assert_eq!(of("^([a-z]+ )*$", 600), "^([a-z]+ )*$", "600 times 601 repetitions");
        assert_eq!(of("^a{3,}$", 2), "^[a]{3}$");
    }

    #[test]
    fn anything_else_is_left_to_words() {
        for pattern in [
            "a",
            "^a",
            "a$",
            "^a|b$",
            "^(?=a)b$",
            "^(?<n>a)$",
            "^(?i)a$",
            r"^(a)\1$",
            "^a+?$",
            "^a++$",
            "^a{2}{3}$",
            r"^\bword\b$",
            r"^\p{L}+$",
            r"^\D$",
            r"^\S+$",
            "^.+$",
            "^[^,]+$",
            "^[[:alpha:]]$",
            "^[a&&b]$",
            "^[A-z]$",
            "^[ -~]+$",
            r#"^"$"#,
            r"^\\$",
            "^é+$",
            "^a{1001}$",
            "^(a{100}){100}$",
            "^a{3,2}$",
            "^(a$",
            "^a)$",
            "^[a$",
            "^(a|)$",
            "^()$",
            r"^\n$",
            "^*$",
            r"^a\$",
            "^a{,3}$",
            "^a{x}$",
            "^]$|a$",
        ] {
            assert_eq!(portable(pattern, None), None, "{pattern}");
        }
    }
}
