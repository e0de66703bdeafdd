//! Shortens texts at the end of a sentence.

/// Returns `text` shortened to at most `most` characters: to its last whole sentence if that is at least half of it, otherwise
/// to its last whole word and an ellipsis. `None` if it is short enough.
pub(super) fn shortened(text: &str, most: usize) -> Option<String> {
    let (end, _) = text.char_indices().nth(most)?;
    let (kept, rest) = text.split_at(end);
    let half = kept.char_indices().nth(most / 2).map_or(0, |(at, _)| at);
    if let Some(at) = sentence_end(kept, rest).filter(|at| *at > half) {
        return Some(kept[..at].to_owned());
    }
    // Room for the ellipsis.
    let room = kept.char_indices().next_back().map_or(0, |(at, _)| at);
    let words = kept[..room].rfind(char::is_whitespace).filter(|at| *at > half).unwrap_or(room);
    Some(format!("{}…", kept[..words].trim_end()))
}

/// Returns the end of the last sentence of `text`, which continues with `rest`.
fn sentence_end(text: &str, rest: &str) -> Option<usize> {
    let mut next = rest.chars().next();
    for (at, c) in text.char_indices().rev() {
        let is_end = match c {
            '.' | '!' | '?' | '؟' | '।' | '…' => next.is_none_or(|next| next.is_whitespace() || is_closing(next)),
            '。' | '！' | '？' => true,
            _ => false,
        };
        if is_end {
            let end = at + c.len_utf8();
            let closing: usize = text[end..].chars().take_while(|c| is_closing(*c)).map(char::len_utf8).sum();
            return Some(end + closing);
        }
        next = Some(c);
    }
    None
}

const fn is_closing(c: char) -> bool {
    matches!(c, '"' | '\'' | ')' | ']' | '”' | '’' | '»' | '」' | '』' | '）')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_ends_with_a_whole_sentence() {
        for (text, most, short) in [
            ("It works. It is cheap. It is new.", 25, "It works. It is cheap."),
            ("It costs 3.50 in all and more than that", 12, "It costs…"),
            ("He said \"no.\" Then he left the house", 20, "He said \"no.\""),
            ("安い。丈夫だ。新しい。", 8, "安い。丈夫だ。"),
            ("Short. A very long second sentence without an end", 40, "Short. A very long second sentence…"),
            ("abcdefghij", 4, "abc…"),
        ] {
            assert_eq!(shortened(text, most).as_deref(), Some(short), "{text}");
        }
        assert_eq!(shortened("Fits.", 5), None);
    }

    proptest! {
        #[test]
        fn a_shortened_text_fits_and_begins_like_the_text(text in "(\\PC|[.!? 。]){0,60}", most in 1..40usize) {
            match shortened(&text, most) {
                None => prop_assert!(text.chars().count() <= most),
                Some(short) => {
                    prop_assert!(short.chars().count() <= most, "{short:?}");
                    let kept = short.strip_suffix('…').unwrap_or(&short);
                    prop_assert!(text.starts_with(kept), "{short:?}");
                }
            }
        }
    }
}
