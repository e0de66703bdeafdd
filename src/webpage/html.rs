//! Extracts the visible text of an HTML page.

use html5gum::{DefaultEmitter, Token, Tokenizer};

/// Elements whose content is not text or not visible.
const HIDDEN: [&[u8]; 7] = [b"script", b"style", b"template", b"noscript", b"iframe", b"noembed", b"noframes"];

/// Returns the visible text of `html`, its title first. Invalid markup is parsed as in browsers. Takes linear time.
pub(super) fn visible_text(html: &str) -> String {
    let mut emitter = DefaultEmitter::default();
    // Makes the content of scripts and styles raw text instead of markup.
    emitter.naively_switch_states(true);
    let mut writer = TextWriter::default();
    for token in Tokenizer::new_with_emitter(html, emitter) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => {
                let alt = tag.attributes.get(&b"alt"[..]).map(|alt| String::from_utf8_lossy(alt).into_owned());
                writer.start(&tag.name, alt.as_deref(), tag.self_closing);
            }
            Token::EndTag(tag) => writer.end(&tag.name),
            Token::String(text) => writer.text(&String::from_utf8_lossy(&text)),
            Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
        }
    }
    writer.out
}

/// The separator between the text so far and the next text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    #[default]
    None,
    Space,
    Line,
    Blank,
}

/// Returns the separator between an element and its surroundings.
fn gap_around(element: &[u8]) -> Gap {
    match element {
        b"blockquote" | b"dl" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"ol" | b"p" | b"pre" | b"table"
        | b"textarea" | b"ul" => Gap::Blank,
        b"address" | b"article" | b"aside" | b"body" | b"br" | b"dd" | b"details" | b"div" | b"dt" | b"fieldset"
        | b"figcaption" | b"figure" | b"footer" | b"form" | b"header" | b"hr" | b"legend" | b"li" | b"main"
        | b"nav" | b"option" | b"section" | b"summary" | b"title" | b"tr" => Gap::Line,
        _ => Gap::None,
    }
}

/// Writes the text of a page from its tokens.
#[derive(Debug, Default)]
struct TextWriter {
    out: String,
    gap: Gap,
    /// The open hidden element and its nesting depth.
    hidden: Option<(Vec<u8>, usize)>,
    /// The number of open elements that preserve white space.
    preformatted: usize,
    /// Whether the table row already has a cell.
    has_cell: bool,
}

impl TextWriter {
    fn start(&mut self, name: &[u8], alt: Option<&str>, is_self_closing: bool) {
        if let Some((open, depth)) = &mut self.hidden {
            *depth += usize::from(*open == name);
            return;
        }
        // Browsers ignore the slash of `<script/>`.
        if HIDDEN.contains(&name) {
            self.hidden = Some((name.to_vec(), 1));
            return;
        }
        self.widen_gap(gap_around(name));
        match name {
            b"li" => self.mark("• "),
            b"tr" => self.has_cell = false,
            b"td" | b"th" if std::mem::replace(&mut self.has_cell, true) => self.mark(" | "),
            b"pre" | b"textarea" if !is_self_closing => self.preformatted += 1,
            b"img" | b"area" => self.text(alt.unwrap_or_default()),
            _ => {}
        }
    }

    fn end(&mut self, name: &[u8]) {
        if let Some((open, depth)) = &mut self.hidden {
            *depth -= usize::from(*open == name);
            if *depth == 0 {
                self.hidden = None;
            }
            return;
        }
        self.widen_gap(gap_around(name));
        if matches!(name, b"pre" | b"textarea") {
            self.preformatted = self.preformatted.saturating_sub(1);
        }
        if name == b"title" {
            self.widen_gap(Gap::Blank);
        }
    }

    fn text(&mut self, text: &str) {
        if self.hidden.is_some() {
            return;
        }
        for character in text.chars().filter(|character| !is_invisible(*character)) {
            if character == '\n' && self.preformatted > 0 {
                self.write_gap();
                self.out.push('\n');
            } else if character.is_whitespace() && self.preformatted > 0 {
                self.write_gap();
                self.out.push(' ');
            } else if character.is_whitespace() {
                self.widen_gap(Gap::Space);
            } else {
                self.write_gap();
                self.out.push(character);
            }
        }
    }

    /// Writes a list marker or a cell separator.
    fn mark(&mut self, mark: &str) {
        if mark.starts_with(' ') {
            self.gap = Gap::None;
        }
        self.write_gap();
        self.out.push_str(mark);
    }

    fn widen_gap(&mut self, gap: Gap) {
        self.gap = self.gap.max(gap);
    }

    /// Writes the pending separator.
    fn write_gap(&mut self) {
        let gap = std::mem::take(&mut self.gap);
        if self.out.is_empty() {
            return;
        }
        self.out.push_str(match gap {
            Gap::None => "",
            Gap::Space if self.out.ends_with(' ') => "",
            Gap::Space => " ",
            Gap::Line => "\n",
            Gap::Blank => "\n\n",
        });
    }
}

/// Whether `character` is invisible. A page could use such characters to hide instructions for a model.
fn is_invisible(character: char) -> bool {
    let is_control = character.is_control() && !character.is_whitespace();
    is_control
        || matches!(character, '\u{ad}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn block_elements_begin_new_lines() {
        let html = "<!doctype html><html><head><title>Fridges &amp; roofs</title><meta charset=utf-8></head><body>\
                    <h1>Fridges</h1><p>For   all,\n free.</p><ul><li>one<li>two</ul>\
                    <table><tr><th>a<th>b<tr><td>1</td><td>2</td></tr></table>\
                    <p>x<br>y <b>bold</b><i>er</i> <img alt='A fridge' src=x> end</body></html>";
        assert_eq!(
            visible_text(html),
            "Fridges & roofs\n\nFridges\n\nFor all, free.\n\n• one\n• two\n\na | b\n1 | 2\n\nx\ny bolder A fridge end"
        );
    }

    #[test]
    fn hidden_elements_and_comments_are_removed() {
        for html in [
            "a<script>if (a < b) { '<p>no</p>' }</script> b",
            "a<style>p > a { color: red }</style> b",
            "a<script>'<!--'</script> b",
            "a<style>/* <!-- */</style> b",
            "a<!-- no --> b",
            "a<template>no<template>no</template>no</template> b",
            "a<SCRIPT type=x>no</sCript > b",
            "a<noscript>no</noscript> b",
            "a<iframe>no</iframe> b",
            "a<![CDATA[no]]> b",
            "a b<script>no",
            "a b<!-- no",
            "a b<script/>no",
        ] {
            assert_eq!(visible_text(html), "a b", "{html}");
        }
    }

    #[test]
    fn invalid_markup_is_parsed_as_in_browsers() {
        for (html, expected) in [
            ("<p>one<p>two</b></i>", "one\n\ntwo"),
            ("<div <p>one</div", "one"),
            ("1 < 2 && 3 > 2", "1 < 2 && 3 > 2"),
            ("<a href='x>one</a>two", ""),
            ("</p></div>one", "one"),
            ("<b>bold<i>er</b>ish</i>", "bolderish"),
            ("one</script>two", "onetwo"),
            ("no markup at all", "no markup at all"),
            ("", ""),
            ("<", "<"),
            ("<pre>a\n  b</pre>c", "a\n  b\n\nc"),
        ] {
            assert_eq!(visible_text(html), expected, "{html}");
        }
    }

    #[test]
    fn entities_are_decoded() {
        assert_eq!(
            visible_text("&lt;b&gt; &eacute; &#233; &#xe9; &ampamp &copy;2025 &nosuch; &"),
            "<b> é é é &amp ©2025 &nosuch; &"
        );
        assert_eq!(visible_text("a&nbsp;&nbsp;b&#0;"), "a b\u{fffd}");
    }

    #[test]
    fn invisible_characters_are_removed() {
        assert_eq!(
            visible_text("free\u{200b}zer\u{ad}s\u{e0049}\u{e0067} می‌روم"),
            "freezers می‌روم",
            "Persian needs its joiners"
        );
    }

    proptest! {
        #[test]
        fn any_input_has_at_most_one_blank_line_in_a_row(html in "(<|>|/|&|;|!|-|p|script|style|template|pre|li|td| |\n|a|=|'|\"){0,60}") {
            let text = visible_text(&html);
            prop_assert!(!text.contains("\n\n\n") || html.contains("pre"), "{:?}", text);
        }
    }
}
