//! Why a model stopped, in the words of all providers.

use crate::message::FinishReason;

/// The longest word that is looked up.
const MAX_WORD: usize = 40;

/// Google's prefixes of a reason.
const PREFIXES: [&str; 2] = ["finishreason", "image"];

const STOP: [&str; 14] = [
    "stop",
    "endturn",
    "stopsequence",
    "eos",
    "eostoken",
    "endoftext",
    "complete",
    "completed",
    "end",
    "finished",
    "finish",
    "done",
    "success",
    "stoptoken",
];

const LENGTH: [&str; 13] = [
    "length",
    "maxtokens",
    "maxlength",
    "modellength",
    "maxoutputtokens",
    "maxnewtokens",
    "maxcompletiontokens",
    "tokenlimit",
    "lengthlimit",
    "modelcontextwindowexceeded",
    "contextwindowexceeded",
    "contextlengthexceeded",
    "truncated",
];

const CONTENT_FILTER: [&str; 16] = [
    "contentfilter",
    "contentfiltered",
    "contentpolicy",
    "contentpolicyviolation",
    "contentmoderation",
    "moderation",
    "filtered",
    "sensitive",
    "guardrailintervened",
    "safety",
    "recitation",
    "blocklist",
    "prohibitedcontent",
    "spii",
    "modelarmor",
    "errortoxic",
];

const REFUSAL: [&str; 2] = ["refusal", "refused"];

const TOOL_CALLS: [&str; 4] = ["toolcalls", "toolcall", "tooluse", "functioncall"];

const ERROR: [&str; 14] = [
    "error",
    "failed",
    "failure",
    "insufficientsystemresource",
    "internalerror",
    "servererror",
    "engineerror",
    "networkerror",
    "abort",
    "aborted",
    "cancelled",
    "canceled",
    "timeout",
    "errorlimit",
];

/// Returns the reason that the provider's `word` stands for, in any case and spelling. `None` for the name of no reason.
pub(super) fn finish_reason(word: &str) -> Option<FinishReason> {
    // Most replies have one of these words.
    match word {
        "stop" | "STOP" | "end_turn" => return Some(FinishReason::Stop),
        "length" => return Some(FinishReason::Length),
        _ => {}
    }
    let mut letters = [0; MAX_WORD];
    let mut len = 0;
    for letter in word.bytes().filter(u8::is_ascii_alphanumeric) {
        let Some(place) = letters.get_mut(len) else { return Some(FinishReason::Other) };
        *place = letter.to_ascii_lowercase();
        len += 1;
    }
    let mut name = std::str::from_utf8(&letters[..len]).unwrap_or_default();
    for prefix in PREFIXES {
        name = name.strip_prefix(prefix).unwrap_or(name);
    }
    if name == "unspecified" {
        return None;
    }
    let table: [(&[&str], FinishReason); 6] = [
        (&STOP, FinishReason::Stop),
        (&LENGTH, FinishReason::Length),
        (&CONTENT_FILTER, FinishReason::ContentFilter),
        (&REFUSAL, FinishReason::Refusal),
        (&TOOL_CALLS, FinishReason::ToolCalls),
        (&ERROR, FinishReason::Error),
    ];
    let known = table.into_iter().find(|(names, _)| names.contains(&name));
    Some(known.map_or(FinishReason::Other, |(_, reason)| reason))
}

/// Returns the explanation of a failure that the provider reports by its reason alone.
pub(super) fn explanation(finish: FinishReason) -> Option<String> {
    (finish == FinishReason::Error).then(|| "the server failed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_all_providers_are_known_in_any_case() {
        for (words, reason) in [
            (
                &["stop", "STOP", "end_turn", "stop_sequence", "eos", "EOS_TOKEN", "COMPLETE", "FINISH_REASON_STOP"][..],
                FinishReason::Stop,
            ),
            (
                &["length", "MAX_TOKENS", "max_tokens", "maxTokens", "Max-Tokens", "model_length", "max_output_tokens"],
                FinishReason::Length,
            ),
            (&["model_context_window_exceeded"], FinishReason::Length),
            (
                &["content_filter", "SAFETY", "IMAGE_SAFETY", "RECITATION", "BLOCKLIST", "SPII"],
                FinishReason::ContentFilter,
            ),
            (&["PROHIBITED_CONTENT", "MODEL_ARMOR", "guardrail_intervened"], FinishReason::ContentFilter),
            (&["refusal"], FinishReason::Refusal),
            (&["tool_calls", "tool_use", "function_call", "TOOL_CALL"], FinishReason::ToolCalls),
            (&["error", "ERROR", "insufficient_system_resource", "abort"], FinishReason::Error),
            (&["OTHER", "LANGUAGE", "load", "1", "a_new_one", "", "ä"], FinishReason::Other),
        ] {
            for word in words {
                assert_eq!(finish_reason(word), Some(reason), "{word}");
            }
        }
        assert_eq!(finish_reason(&"stop".repeat(100)), Some(FinishReason::Other));
        assert_eq!(finish_reason("FINISH_REASON_UNSPECIFIED"), None);
    }
}
