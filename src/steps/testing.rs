//! Counts steps in tests, over texts that are meant to take many.

use std::cell::Cell;

thread_local! {
    static COUNTED: Cell<u64> = const { Cell::new(0) };
}

/// What the texts repeat.
const PIECES: [&str; 64] = [
    // Comments that may end far away, or not at all.
    "[/*",
    "[//",
    "[#",
    "{a:1 /*",
    "{a:1 /*}",
    "{a:1 //}",
    "{a:1 #}",
    "[1,/*",
    "[\"a\",/*",
    "//",
    "/**/",
    // Quotes that may close far away, or not at all.
    "[“",
    "[‘",
    "[’",
    "[`",
    "['",
    "[\"",
    "{“a”:“",
    "{‘a’:",
    "[\" \"a[",
    "[' a",
    "[`${",
    "“”",
    "‘’",
    "\" \"a",
    "'a'b",
    // Escapes.
    "\\_",
    "[\"a\\_",
    "{\"a\": \"\\_",
    "\\\"[",
    "[\"\\d\\n",
    "\\u00",
    "[\"\\",
    // Brackets.
    "{",
    "[",
    "[{",
    "{\"a\":",
    "{a:",
    "[[1]",
    "[]",
    "{}",
    "[ ]",
    "}",
    "]",
    "[1,",
    "[]x[",
    "[x",
    "[1 2",
    "{\"a\":1,",
    "{\"a\":[1],\"a\":",
    "{\"b\":{\"a\":1,",
    "```json\n[",
    "`",
    "[1]\n\n\n        ",
    // Markup.
    "<think>",
    "</think>",
    "</think>[",
    "<|",
    "|",
    "<|constrain|>",
    "<think a",
    "[THINK]",
    "analysis",
    " ",
];

/// What precedes and follows them: nothing, prose, the start of a value, special tokens; what closes the first of them and is no
/// end of a value.
const SURROUNDINGS: [(&str, &str); 5] =
    [("", ""), ("", " \"*/ x"), ("so: [", "”x ’x `x 'x \"x"), ("{\"a\": \"", "\n...\n"), ("<|channel|>", "{\"a\": 1}")];

pub(super) fn add(steps: usize) {
    COUNTED.set(COUNTED.get() + steps as u64);
}

/// Returns the number of steps that `work` takes on this thread.
pub(crate) fn counted<T>(work: impl FnOnce() -> T) -> u64 {
    let before = COUNTED.get();
    work();
    COUNTED.get() - before
}

/// Returns hostile texts of about `length` bytes, each with its name.
pub(crate) fn hostile_texts(length: usize) -> impl Iterator<Item = (String, String)> {
    SURROUNDINGS.into_iter().flat_map(move |(before, after)| {
        PIECES.into_iter().map(move |piece| {
            let text = format!("{before}{}{after}", piece.repeat(length / piece.len()));
            (format!("{before:?} {piece:?} {after:?}"), text)
        })
    })
}

/// Asserts that `work` takes linear time on every hostile text: at most two and a half times as many steps if the text is twice
/// as long.
pub(crate) fn assert_linear(work: impl Fn(&str)) {
    const LENGTH: usize = 1000;
    // So few steps need no comparison.
    const FEW: u64 = 4000;
    let mut most = 0;
    for ((name, short), (_, long)) in hostile_texts(LENGTH).zip(hostile_texts(2 * LENGTH)) {
        let (once, twice) = (counted(|| work(&short)), counted(|| work(&long)));
        most = most.max(once);
        assert!(2 * twice <= 5 * once.max(FEW), "{once} and {twice} steps for {name}");
    }
    assert!(most > LENGTH as u64 / 2, "only {most} steps are counted");
}
