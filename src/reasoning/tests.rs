use proptest::prelude::*;

use super::*;
use crate::steps::testing::assert_linear;

const PURPOSES: [Purpose; 3] = [Purpose::Json, Purpose::Text, Purpose::ShownText];

/// Returns the answer and the reasoning of a text that arrives in `pieces`.
fn pushed<'t>(pieces: impl IntoIterator<Item = &'t str>, purpose: Purpose) -> (String, String) {
    let (mut answer, mut reasoning) = (String::new(), String::new());
    let mut splitter = ReasoningSplitter::new(purpose);
    for piece in pieces {
        splitter.push(piece, &mut answer, &mut reasoning);
    }
    splitter.finish(&mut answer, &mut reasoning);
    (answer, reasoning)
}

/// Texts with markup for every purpose: the text, its answer and its reasoning.
const MARKED: [(&str, &str, &str); 56] = [
    ("<think>\nlong thoughts\n</think>\n\nhello", "hello", "long thoughts"),
    ("\n <think>a</think>hello", "hello", "a"),
    ("\u{feff}<think>a</think>hello", "hello", "a"),
    ("<THINK>a</Think> hello", "hello", "a"),
    ("<thinking>a</thinking>{\"b\": 1}", "{\"b\": 1}", "a"),
    ("<thought>a</thought>b", "b", "a"),
    ("<thoughts>a</thoughts>b", "b", "a"),
    ("<reasoning>a</reasoning>\nb", "b", "a"),
    ("<mm:think>a</mm:think>b", "b", "a"),
    ("<seed:think>a</seed:think>b", "b", "a"),
    ("<chain_of_thought>a</chain_of_thought>b", "b", "a"),
    ("<thinking_process>a</thinking_process>b", "b", "a"),
    ("<think type=\"deep > x\" n='1'>a</think >b", "b", "a"),
    ("<think/>b", "b", ""),
    ("<think></think>b", "b", ""),
    ("</think>\n\nb", "b", ""),
    ("[THINK]a[/THINK]b", "b", "a"),
    ("[think]a[/think]\nb", "b", "a"),
    ("[Thinking]a[/Thinking]b", "b", "a"),
    ("◁think▷a◁/think▷b", "b", "a"),
    ("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>b<|END_RESPONSE|>", "b", "a"),
    ("<|begin_of_thought|>\na\n<|end_of_thought|>\n\n<|begin_of_solution|>\nb<|end_of_solution|>", "b", "a"),
    ("<｜begin▁of▁thinking｜>a<｜end▁of▁thinking｜>b", "b", "a"),
    ("<|think|>a<|/think|>b", "b", "a"),
    ("<|channel>thought\na<channel|>b", "b", "a"),
    ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|return|>", "b", "a"),
    (
        "<|start|>assistant<|channel|>analysis<|message|>a<|end|>\n<|start|>assistant<|channel|>final<|message|>b",
        "b",
        "a",
    ),
    ("<|channel|>analysis<|message|>a<|channel|>final<|message|>b", "b", "a"),
    ("<|channel|>final<|message|>b", "b", ""),
    ("<|channel|>final <|constrain|>json<|message|>{\"b\": 1}<|return|>", "{\"b\": 1}", ""),
    (
        "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary to=functions.f \
         <|constrain|>json<|message|>c<|call|><|start|>assistant<|channel|>final<|message|>b",
        "b",
        "a\nc",
    ),
    ("analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b", "b", "a"),
    ("final<|message|>b<|return|>", "b", ""),
    ("analysisThe user wants {\"b\": 2}.assistantfinalb", "b", "The user wants {\"b\": 2}."),
    ("analysis..assistantfinal{\"b\": 1}", "{\"b\": 1}", ".."),
    ("assistantanalysisWe do.assistantfinal{\"b\": 1}", "{\"b\": 1}", "We do."),
    ("analysisthe user wants b.assistantfinalb", "b", "the user wants b."),
    ("analysis\nWe do.\nassistantfinal\nb", "b", "We do."),
    ("analysis用户问好。assistantfinal你好", "你好", "用户问好。"),
    ("commentaryI look it up.assistantfinalb", "b", "I look it up."),
    ("analysisOne writes `assistantfinal` here.assistantfinalb", "b", "One writes `assistantfinal` here."),
    ("assistantfinalb", "b", ""),
    ("assistantfinal{\"b\": 1}", "{\"b\": 1}", ""),
    ("Here is my thought process:\na\n\nHere is my response:\nb", "b", "a"),
    ("<think>a</think>\n<think>b</think>\nc", "c", "a\nb"),
    ("<think>a<think>b</think>c</think>d", "d", "a<think>b</think>c"),
    ("<think>\n<think>\na</think>b", "b", "<think>\na</think>"),
    ("<think>a<thinking>b</thinking>c</think>d", "d", "a<thinking>b</thinking>c"),
    ("<think>one writes `</think>` here</think>b", "b", "one writes `</think>` here"),
    ("<think>{\"tag\": \"</think>\"}</think>b", "b", "{\"tag\": \"</think>\"}"),
    ("<think>The user asks about <think> tags.</think>b", "b", "The user asks about <think> tags.</think>"),
    ("<think>one <think>a</think> two</think>b", "b", "one <think>a</think> two"),
    ("Sure!\n<think>a</think>\nb", "Sure!\nb", "a"),
    ("Sure! <think>a</think> b", "Sure! b", "a"),
    ("{\"a\": 1}<think>b</think>", "{\"a\": 1}", "b"),
    ("Okay:\n\n<thinking>\n{\"a\": \"x\"}\n</thinking>\n{\"a\": 1}", "Okay:\n\n{\"a\": 1}", "{\"a\": \"x\"}"),
];

/// Texts without markup of reasoning, if they are free text.
const PLAIN: [&str; 36] = [
    "",
    "hello",
    "a < b and c > d",
    "<b>bold</b>",
    "<thin",
    "<think",
    "[1, 2] [link](url)",
    "[\"<think>\"]",
    "{\"tag\": \"<think>a</think>\"}",
    "{'tag': '</think>'}",
    "{\"a\": \"\\\"<think>b</think>\"}",
    "Models wrap it in `<think>` and `</think>`.",
    "Models use <think> to think.",
    "Models use <think> and </think> to think.",
    "Use the tags \"<think>\" and \"</think>\".",
    "Wrap it as <think>your thoughts</think> and then answer.",
    "Tags! <think> and </think>.",
    "Like this:\n```xml\n<think>a</think>\nb\n```\nDone.",
    "~~~\n<think>a</think>\n~~~",
    "The tag:\n<think>\nIt is never closed.",
    "<review><reasoning>a</reasoning><score>1</score></review>",
    "The token </think> ends it.",
    "[Reasoning]\nIt is so.",
    "analysis of the market",
    "analysis",
    "final answer",
    "Here is my plan:",
    "The <|end|> token and <|channel|> too.",
    "<think about it>",
    "analysis: it is never final",
    "analysisparalysis is one word",
    "analysis\n\nThe market grows.",
    "commentary on the market",
    "analysis and then assistantfinal are the words that remain",
    "analysis: the words that remain are \"assistantfinal\"",
    "assistantfinal is what remains",
];

#[test]
fn markup_of_every_family_is_split_for_every_purpose() {
    for (text, answer, reasoning) in MARKED {
        for purpose in PURPOSES {
            let split = split(text, purpose).unwrap_or_else(|| panic!("{purpose:?}: {text}"));
            assert_eq!(split, (answer.to_owned(), reasoning.to_owned()), "{purpose:?}: {text}");
        }
    }
}

#[test]
fn text_about_markup_is_text() {
    for text in PLAIN {
        for purpose in [Purpose::Text, Purpose::ShownText] {
            assert_eq!(split(text, purpose), None, "{purpose:?}: {text}");
            assert_eq!(pushed([text], purpose), (text.to_owned(), String::new()), "{purpose:?}: {text}");
        }
    }
}

#[test]
fn a_block_that_does_not_end_is_reasoning_at_the_start_only() {
    let of = split;
    let expected = Some((String::new(), "so I should".to_owned()));
    for text in ["<think>\nso I should", "[THINK]so I should", "<|channel|>analysis<|message|>so I should"] {
        for purpose in PURPOSES {
            assert_eq!(of(text, purpose), expected, "{text}");
        }
    }
    let text = "Well.\n<think>\nso {\"a\": 1}";
    assert_eq!(of(text, Purpose::Text), None);
    assert_eq!(of(text, Purpose::Json), Some(("Well.\n".to_owned(), "so {\"a\": 1}".to_owned())));
}

#[test]
fn a_channel_before_a_space_is_recognised_unless_the_text_is_shown() {
    let text = "analysis We do. assistantfinalb";
    for purpose in [Purpose::Json, Purpose::Text] {
        assert_eq!(split(text, purpose), Some(("b".to_owned(), "We do.".to_owned())), "{purpose:?}");
    }
    let mut splitter = ReasoningSplitter::new(Purpose::ShownText);
    let (mut answer, mut reasoning) = (String::new(), String::new());
    splitter.push("analysis of", &mut answer, &mut reasoning);
    assert_eq!(answer, "analysis of");
}

#[test]
fn a_closing_tag_alone_ends_the_reasoning() {
    for text in ["maybe {\"a\": [2]}\n</think>\n\n{\"a\": 1}", "maybe {\"a\": [2]}</think>{\"a\": 1}"] {
        let expected = Some(("{\"a\": 1}".to_owned(), "maybe {\"a\": [2]}".to_owned()));
        assert_eq!(split(text, Purpose::Json), expected);
        assert_eq!(split(text, Purpose::Text), expected);
        // It has been shown.
        assert_eq!(split(text, Purpose::ShownText), None);
    }
    let text = "maybe<|end|><|start|>assistant<|channel|>final<|message|>yes";
    assert_eq!(split(text, Purpose::Text), Some(("yes".to_owned(), "maybe<|end|>".to_owned())));
    let mut splitter = ReasoningSplitter::new(Purpose::Json);
    let (mut answer, mut reasoning) = (String::new(), String::new());
    splitter.push("maybe", &mut answer, &mut reasoning);
    assert!(splitter.take_retracted().is_empty());
    splitter.push("</think>1", &mut answer, &mut reasoning);
    assert_eq!(splitter.take_retracted().len(), 1);
    assert!(splitter.take_retracted().is_empty());
    assert_eq!((answer.as_str(), reasoning.as_str()), ("1", "maybe"));
}

#[test]
fn tags_within_damaged_json_are_content() {
    for text in [
        "\n[null,[null,[null,\"<think>\"]]]\na",
        r#"{\"title\": \"<think><think>\", \"b\": \"</think>\"}"#,
        "{“a”: “<think>b</think>”}",
        "{a: <think>1</think>}",
    ] {
        assert_eq!(split(text, Purpose::Json), None, "{text}");
    }
}

#[test]
fn every_split_of_a_text_has_the_same_result() {
    let texts = MARKED.iter().map(|(text, ..)| *text).chain(PLAIN);
    for text in texts.chain(["a</think>b", "a\n</think>\nb", "x<|end|><|start|>assistant<|channel|>final<|message|>y"])
    {
        for purpose in PURPOSES {
            let whole = pushed([text], purpose);
            for (at, _) in text.char_indices().filter(|(at, _)| !shows_letter(&text[..*at], purpose)) {
                assert_eq!(pushed([&text[..at], &text[at..]], purpose), whole, "{purpose:?}: {at}: {text}");
            }
            let pairs = text.chars().collect::<Vec<_>>();
            let pairs: Vec<String> = pairs.chunks(2).map(|pair| pair.iter().collect()).collect();
            assert_eq!(pushed(pairs.iter().map(String::as_str), purpose), whole, "{purpose:?}: {text}");
        }
    }
}

/// Whether the letter is shown, although it may be the start of a phrase.
fn shows_letter(start: &str, purpose: Purpose) -> bool {
    purpose == Purpose::ShownText && start.trim_start_matches(is_blank) == "H"
}

#[test]
fn text_is_held_back_only_while_it_may_be_markup() {
    let mut splitter = ReasoningSplitter::new(Purpose::ShownText);
    let (mut answer, mut reasoning) = (String::new(), String::new());
    for (piece, shown) in [
        ("He", ""),
        ("llo", "Hello"),
        (" <", "Hello "),
        ("b", "Hello "),
        (">x<", "Hello <b>x"),
        ("/b>", "Hello <b>x</b>"),
        (".\n[TH", "Hello <b>x</b>.\n"),
        ("INK]hm[/THINK]", "Hello <b>x</b>.\n"),
        ("y", "Hello <b>x</b>.\ny"),
    ] {
        splitter.push(piece, &mut answer, &mut reasoning);
        assert_eq!(answer, shown, "{piece}");
    }
    assert_eq!(reasoning, "hm");
}

/// Quadratic time would take about 10^10 steps.
#[test]
fn a_hundred_kilobytes_of_markup_take_linear_time() {
    for piece in [
        "<",
        "[",
        "<think>",
        "</think>",
        "<think",
        "<|channel|>",
        "`<think>",
        "a <b",
        "analysis",
        "<think a=",
        "{\"<think>",
    ] {
        let text = piece.repeat((1 << 17) / piece.len());
        for purpose in PURPOSES {
            let (answer, reasoning) = pushed([text.as_str()], purpose);
            assert!(answer.len() + reasoning.len() <= text.len() + 1, "{piece}");
            pushed(text.as_bytes().chunks(16).filter_map(|piece| std::str::from_utf8(piece).ok()), purpose);
        }
    }
}

proptest! {
    #[test]
    fn pieces_of_arbitrary_markup_have_the_result_of_the_whole(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "<think>", "</think>", "<thinking>", "</mm:think>", "[THINK]", "[/THINK]", "◁think▷", "◁/think▷", "<", "[",
                "<|channel|>", "analysis", "final", "<|message|>", "<|end|>", "<|start|>", "assistant", "<|channel>thought",
                "<channel|>", "assistantfinal", " ", "\n", "`", "```", "\"", "'", "{", "}", "word", ". ", "<b>", "é", ",", ":",
                "<|END_THINKING|>", "<think a=\"b\">", "<think/>", "Here is my thought process:", "Here is my response:",
            ]),
            0..14,
        ),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        purpose in prop::sample::select(PURPOSES.to_vec()),
    ) {
        let text = words.concat();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).filter(|at| text.is_char_boundary(*at)).collect();
        cuts.retain(|at| !shows_letter(&text[..*at], purpose));
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]);
        let whole = pushed([text.as_str()], purpose);
        prop_assert_eq!(pushed(pieces, purpose), whole.clone());
        prop_assert_eq!(split(&text, purpose).map_or_else(|| text.clone(), |(answer, _)| answer), whole.0);
    }
}

#[test]
fn splitting_takes_linear_time() {
    for purpose in [Purpose::Json, Purpose::Text, Purpose::ShownText] {
        assert_linear(|text| drop(split(text, purpose)));
        assert_linear(|text| {
            let mut splitter = ReasoningSplitter::new(purpose);
            let (mut answer, mut reasoning) = (String::new(), String::new());
            for character in text.chars() {
                splitter.push(character.encode_utf8(&mut [0; 4]), &mut answer, &mut reasoning);
            }
            splitter.finish(&mut answer, &mut reasoning);
        });
    }
}
