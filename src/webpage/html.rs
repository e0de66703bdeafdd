//! The text of an HTML page: what a reader would see, without markup, scripts and styles.

use html5gum::{DefaultEmitter, Token, Tokenizer};

/// What is not text, or not shown.
const DROPPED: [&[u8]; 7] = [b"script", b"style", b"template", b"noscript", b"iframe", b"noembed", b"noframes"];

/// What begins a line of its own.
const LINES: [&[u8]; 25] = [
    b"address",
    b"article",
    b"aside",
    b"body",
    b"br",
    b"dd",
    b"details",
    b"div",
    b"dt",
    b"fieldset",
    b"figcaption",
    b"figure",
    b"footer",
    b"form",
    b"header",
    b"hr",
    b"legend",
    b"li",
    b"main",
    b"nav",
    b"option",
    b"section",
    b"summary",
    b"title",
    b"tr",
];

/// What is set apart by a blank line.
const PARAGRAPHS: [&[u8]; 14] =
    [b"blockquote", b"dl", b"h1", b"h2", b"h3", b"h4", b"h5", b"h6", b"ol", b"p", b"pre", b"table", b"textarea", b"ul"];

/// The text of `html`, its title first. Broken markup is read as browsers read it. Takes time linear in its length.
pub(super) fn text(html: &str) -> String {
    let mut emitter = DefaultEmitter::default();
    // So that a script's text is no markup.
    emitter.naively_switch_states(true);
    let mut page = Page::default();
    for token in Tokenizer::new_with_emitter(html, emitter) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => {
                let alt = tag.attributes.get(&b"alt"[..]).map(|alt| String::from_utf8_lossy(alt).into_owned());
                page.start(&tag.name, alt.as_deref(), tag.self_closing);
            }
            Token::EndTag(tag) => page.end(&tag.name),
            Token::String(text) => page.text(&String::from_utf8_lossy(&text)),
            Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
        }
    }
    page.out
}

/// What stands between what was written and what comes next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    #[default]
    None,
    Space,
    Line,
    Blank,
}

#[derive(Debug, Default)]
struct Page {
    out: String,
    gap: Gap,
    /// The dropped element that is open, and how many of its name are inside each other.
    dropped: Option<(Vec<u8>, usize)>,
    /// How many elements are open that keep their blanks.
    preserved: usize,
    /// Whether the row has a cell already.
    has_cell: bool,
}

impl Page {
    fn start(&mut self, name: &[u8], alt: Option<&str>, is_self_closing: bool) {
        if let Some((open, depth)) = &mut self.dropped {
            *depth += usize::from(*open == name);
            return;
        }
        // Browsers take no notice of the slash of `<script/>`.
        if DROPPED.contains(&name) {
            self.dropped = Some((name.to_vec(), 1));
            return;
        }
        self.part(name);
        match name {
            b"li" => self.mark("• "),
            b"tr" => self.has_cell = false,
            b"td" | b"th" if std::mem::replace(&mut self.has_cell, true) => self.mark(" | "),
            b"pre" | b"textarea" if !is_self_closing => self.preserved += 1,
            b"img" | b"area" => self.text(alt.unwrap_or_default()),
            _ => {}
        }
    }

    fn end(&mut self, name: &[u8]) {
        if let Some((open, depth)) = &mut self.dropped {
            *depth -= usize::from(*open == name);
            if *depth == 0 {
                self.dropped = None;
            }
            return;
        }
        self.part(name);
        if matches!(name, b"pre" | b"textarea") {
            self.preserved = self.preserved.saturating_sub(1);
        }
        if name == b"title" {
            self.leave(Gap::Blank);
        }
    }

    fn text(&mut self, text: &str) {
        if self.dropped.is_some() {
            return;
        }
        for character in text.chars().filter(|character| !is_invisible(*character)) {
            if character == '\n' && self.preserved > 0 {
                self.settle();
                self.out.push('\n');
            } else if character.is_whitespace() && self.preserved > 0 {
                self.settle();
                self.out.push(' ');
            } else if character.is_whitespace() {
                self.leave(Gap::Space);
            } else {
                self.settle();
                self.out.push(character);
            }
        }
    }

    /// What a tag of this name puts between the texts around it.
    fn part(&mut self, name: &[u8]) {
        if PARAGRAPHS.contains(&name) {
            self.leave(Gap::Blank);
        } else if LINES.contains(&name) {
            self.leave(Gap::Line);
        }
    }

    fn mark(&mut self, mark: &str) {
        if mark.starts_with(' ') {
            self.gap = Gap::None;
        }
        self.settle();
        self.out.push_str(mark);
    }

    fn leave(&mut self, gap: Gap) {
        self.gap = self.gap.max(gap);
    }

    fn settle(&mut self) {
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

/// Characters no reader sees, with which a page could tell a model what it does not show.
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
    fn markup_becomes_lines() {
        let html = "<!doctype html><html><head><title>Fridges &amp; roofs</title><meta charset=utf-8></head><body>\
                    <h1>Fridges</h1><p>For   all,\n free.</p><ul><li>one<li>two</ul>\
                    <table><tr><th>a<th>b<tr><td>1</td><td>2</td></tr></table>\
                    <p>x<br>y <b>bold</b><i>er</i> <img alt='A fridge' src=x> end</body></html>";
        assert_eq!(
            text(html),
            "Fridges & roofs\n\nFridges\n\nFor all, free.\n\n• one\n• two\n\na | b\n1 | 2\n\nx\ny bolder A fridge end"
        );
    }

    #[test]
    fn scripts_styles_and_comments_are_no_text() {
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
            assert_eq!(text(html), "a b", "{html}");
        }
    }

    #[test]
    fn broken_markup_is_read_as_browsers_read_it() {
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
            assert_eq!(text(html), expected, "{html}");
        }
    }

    #[test]
    fn entities_are_their_characters() {
        assert_eq!(
            text("&lt;b&gt; &eacute; &#233; &#xe9; &ampamp &copy;2025 &nosuch; &"),
            "<b> é é é &amp ©2025 &nosuch; &"
        );
        assert_eq!(text("a&nbsp;&nbsp;b&#0;"), "a b\u{fffd}");
    }

    #[test]
    fn what_no_reader_sees_is_left_out() {
        assert_eq!(
            text("free\u{200b}zer\u{ad}s\u{e0049}\u{e0067} می‌روم"),
            "freezers می‌روم",
            "Persian keeps its joiners"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_text(html in "(<|>|/|&|;|!|-|p|script|style|template|pre|li|td| |\n|a|=|'|\"){0,60}") {
            let text = text(&html);
            prop_assert!(!text.contains("\n\n\n") || html.contains("pre"), "{:?}", text);
        }
    }
}
