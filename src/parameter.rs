//! The optional parameters of a request, and the changes that a target requires.

use std::fmt;

use crate::named_enum::named_enum;

named_enum! {
    /// An optional parameter of a request, by its name on the wire in snake case.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum Parameter {
        /// The sampling temperature of every protocol.
        Temperature = "temperature",
        /// The limit of output tokens of OpenAI-compatible servers.
        MaxTokens = "max_tokens",
        /// The limit of output tokens of OpenAI and of reasoning models.
        MaxCompletionTokens = "max_completion_tokens",
        /// The limit of output tokens of Gemini and of OpenAI's responses.
        MaxOutputTokens = "max_output_tokens",
        /// Ollama's limit of output tokens.
        NumPredict = "num_predict",
        /// The request for token counts in a stream.
        StreamOptions = "stream_options",
        /// How much a model of an OpenAI-compatible server reasons.
        ReasoningEffort = "reasoning_effort",
        /// The processing tier of OpenAI.
        ServiceTier = "service_tier",
        /// How much an Anthropic model works on its answer, or a model reasons over OpenAI's responses.
        Effort = "effort",
        /// Whether an Anthropic model thinks.
        Thinking = "thinking",
        /// How much a Gemini model thinks.
        ThinkingConfig = "thinking_config",
        /// Whether an Ollama model thinks.
        Think = "think",
        /// How long Ollama keeps the model in memory.
        KeepAlive = "keep_alive",
        /// The version of Anthropic's API that is newer than the first one.
        AnthropicVersion = "anthropic_version",
    }
}

/// The words of an error that refuses the value of a parameter, not the parameter.
const VALUE_WORDS: [&str; 16] = [
    "too large",
    "too small",
    "too high",
    "too low",
    "minimum value",
    "maximum value",
    "must be",
    "should be",
    "range",
    "less than",
    "greater than",
    "at most",
    "at least",
    "exceed",
    "between",
    "supported values",
];

/// The words with which reasoning models refuse a temperature or the older limit of output tokens.
const REASONING_WORDS: [&str; 4] = ["with this model", "only the default", "max_completion_tokens", "reasoning model"];

/// The parameters that reasoning models do not take, as bits.
const REASONING_PARAMETERS: u16 = Parameter::Temperature.bit() | Parameter::MaxTokens.bit();

/// Both names of the limit of output tokens, as bits.
const LIMITS: u16 = Parameter::MaxTokens.bit() | Parameter::MaxCompletionTokens.bit();

impl Parameter {
    /// Returns the parameter with the name `name`, in any case and with any separators, possibly at the end of a path such as
    /// `options.temperature`. `None` for a parameter that is mandatory or never sent.
    pub fn parse(name: &str) -> Option<Self> {
        let pieces = name.split(['.', '/', '[', ']', '\'', '"']).filter(|piece| !piece.is_empty());
        // A part of a parameter, such as `thinking.budget_tokens`, stands for the whole of it.
        pieces.rev().find_map(|piece| {
            let name = squashed(piece);
            match name.as_str() {
                "thinkingbudget" | "thinkinglevel" => Some(Self::ThinkingConfig),
                "includeusage" => Some(Self::StreamOptions),
                "reasoning" => Some(Self::ReasoningEffort),
                _ => Self::ALL.into_iter().find(|parameter| squashed(parameter.as_str()) == name),
            }
        })
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// The refusal of parameters by a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The refused parameters, as bits.
    parameters: u16,
    /// Whether only the value is refused.
    is_of_value: bool,
    /// Whether the words are those of a reasoning model.
    is_of_reasoning: bool,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Adjustments { refused: self.parameters, ..Adjustments::default() }.fmt(f)
    }
}

impl Refusal {
    /// Returns the refusal of `parameters` with the words `message`; `None` without a parameter.
    pub fn new(parameters: impl IntoIterator<Item = Parameter>, message: &str) -> Option<Self> {
        let parameters = parameters.into_iter().fold(0, |bits, parameter| bits | parameter.bit());
        if parameters == 0 {
            return None;
        }
        let message = message.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|words| message.contains(words));
        let is_reasoning_parameter = parameters & REASONING_PARAMETERS != 0;
        let is_of_value = has(&VALUE_WORDS) && !message.contains("only the default");
        let is_of_reasoning = is_reasoning_parameter && !is_of_value && has(&REASONING_WORDS);
        Some(Self { parameters, is_of_value, is_of_reasoning })
    }

    /// Whether it holds for every request to the target, not only for the refused value.
    pub fn is_lasting(self) -> bool {
        !self.is_of_value
    }
}

/// The changes of a request that its target requires.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Adjustments {
    /// The parameters that the target has refused, as bits.
    refused: u16,
    /// The parameters that targets of its kind refuse, as bits.
    implied: u16,
    /// Whether the model is asked to think less than configured.
    pub less_thinking: bool,
}

impl Adjustments {
    /// Returns the changes for a target whose kind takes none of `parameters`.
    pub(crate) fn implied(parameters: &[Parameter]) -> Self {
        let implied = parameters.iter().fold(0, |bits, parameter| bits | parameter.bit());
        Self { implied, ..Self::default() }
    }

    /// Returns the changes that a target requires after `refusal` too.
    ///
    /// A target that refuses a temperature or `max_tokens` in the words of a reasoning model gets neither: it takes
    /// `max_completion_tokens`, unless it refuses that as well.
    #[must_use]
    pub fn after(self, refusal: Refusal) -> Self {
        let mut refused = self.refused | refusal.parameters;
        if refusal.parameters & LIMITS != 0 && refusal.is_of_value {
            // The value has the same meaning under both names.
            refused |= LIMITS;
        }
        let family = if refusal.is_of_reasoning { REASONING_PARAMETERS } else { 0 };
        Self { refused, implied: self.implied | family, ..self }
    }

    /// Returns the changes with less thinking.
    #[must_use]
    pub fn with_less_thinking(self) -> Self {
        Self { less_thinking: true, ..self }
    }

    /// Returns both changes together.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            refused: self.refused | other.refused,
            implied: self.implied | other.implied,
            less_thinking: self.less_thinking || other.less_thinking,
        }
    }

    /// Whether the request must not contain `parameter`.
    pub const fn omits(self, parameter: Parameter) -> bool {
        let is_refused = self.refused & parameter.bit() != 0;
        let is_implied = self.implied & parameter.bit() != 0;
        // The older name of the limit is better than no limit.
        let has_other_name =
            !matches!(parameter, Parameter::MaxTokens) || self.refused & Parameter::MaxCompletionTokens.bit() == 0;
        is_refused || (is_implied && has_other_name)
    }

    /// Whether nothing is changed.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Returns the refusals as bits; [`Adjustments::from_bits`] reads them.
    pub fn bits(self) -> u32 {
        u32::from(self.refused) | u32::from(self.implied) << 16
    }

    /// Returns the refusals of `bits`.
    #[expect(clippy::cast_possible_truncation, reason = "each half is one set")]
    pub fn from_bits(bits: u32) -> Self {
        Self { refused: bits as u16, implied: (bits >> 16) as u16, less_thinking: false }
    }

    /// Returns the parameters that are left out.
    pub fn omitted(self) -> impl Iterator<Item = Parameter> {
        Parameter::ALL.into_iter().filter(move |parameter| self.omits(*parameter))
    }
}

impl fmt::Display for Adjustments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, parameter) in self.omitted().enumerate() {
            write!(f, "{}{parameter}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Returns the letters of `name` in lower case: `maxOutputTokens` and `max_output_tokens` are one name.
fn squashed(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_TOKENS: &str =
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
    const TEMPERATURE: &str = "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default \
                               (1) value is supported.";

    fn after(refusals: &[(Parameter, &str)]) -> Adjustments {
        refusals.iter().fold(Adjustments::default(), |all, (parameter, words)| {
            all.after(Refusal::new([*parameter], words).unwrap())
        })
    }

    #[test]
    fn names_are_parsed_in_any_notation() {
        for (name, parameter) in [
            ("temperature", Some(Parameter::Temperature)),
            ("options.temperature", Some(Parameter::Temperature)),
            ("body.max_tokens", Some(Parameter::MaxTokens)),
            ("generation_config.thinking_config.thinking_budget", Some(Parameter::ThinkingConfig)),
            ("generationConfig.maxOutputTokens", Some(Parameter::MaxOutputTokens)),
            ("thinking.type.enabled", Some(Parameter::Thinking)),
            ("output_config.effort", Some(Parameter::Effort)),
            ("reasoning-effort", Some(Parameter::ReasoningEffort)),
            ("reasoning", Some(Parameter::ReasoningEffort)),
            ("reasoning.effort", Some(Parameter::Effort)),
            ("stream_options", Some(Parameter::StreamOptions)),
            ("messages[0].content", None),
            ("model", None),
            ("", None),
        ] {
            assert_eq!(Parameter::parse(name), parameter, "{name}");
        }
    }

    #[test]
    fn a_reasoning_model_gets_neither_a_temperature_nor_the_older_limit() {
        for refusal in [(Parameter::MaxTokens, MAX_TOKENS), (Parameter::Temperature, TEMPERATURE)] {
            let adjusted = after(&[refusal]);
            assert_eq!(adjusted.to_string(), "temperature, max_tokens");
            assert!(!adjusted.omits(Parameter::MaxCompletionTokens));
        }
    }

    #[test]
    fn the_older_limit_is_used_if_the_newer_one_is_refused() {
        let unknown = "Unknown parameter: max_completion_tokens";
        let adjusted = after(&[(Parameter::Temperature, TEMPERATURE), (Parameter::MaxCompletionTokens, unknown)]);
        assert!(!adjusted.omits(Parameter::MaxTokens) && adjusted.omits(Parameter::MaxCompletionTokens));
        let all = adjusted.after(Refusal::new([Parameter::MaxTokens], "unknown parameter").unwrap());
        assert!(all.omits(Parameter::MaxTokens) && all.omits(Parameter::MaxCompletionTokens));
    }

    #[test]
    fn a_refused_value_is_not_a_refused_parameter() {
        for (words, is_lasting) in [
            (TEMPERATURE, true),
            ("`temperature` is deprecated for this model.", true),
            ("temperature: Extra inputs are not permitted", true),
            ("temperature: range: 0..1", false),
            ("max_tokens is too large: 200000", false),
            ("Invalid 'temperature': decimal above maximum value. Expected a value <= 2", false),
        ] {
            assert_eq!(Refusal::new([Parameter::Temperature], words).unwrap().is_lasting(), is_lasting, "{words}");
        }
        let large = after(&[(Parameter::MaxTokens, "max_tokens is too large: 200000")]);
        assert_eq!(large.to_string(), "max_tokens, max_completion_tokens");
    }

    #[test]
    fn refusals_survive_as_bits() {
        let adjusted = after(&[(Parameter::MaxTokens, MAX_TOKENS), (Parameter::KeepAlive, "unknown")]);
        assert_eq!(Adjustments::from_bits(adjusted.bits()), adjusted);
        assert!(!adjusted.is_empty() && Adjustments::from_bits(0).is_empty());
    }
}
