//! The logical inference engine: draws conclusions about every idea, step by step, in one call.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use garde::Validate;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Batch};
use super::client::AgentClient;
use super::output::Output;
use super::prompt::Brief;
use crate::error::{Error, Result};
use crate::router::Generate;

const ROLE: &str = "You are a logician. You draw conclusions about ideas step by step, each step from the ones before, and say how certain the end is.";
const FIELDS: &str = "\
- inference_chain: the steps of the reasoning, in order, at least one
- conclusion: what follows, at most 2000 characters
- confidence: how certain the conclusion is, from 0.0 to 1.0
- improvements: what the idea should change for it, at most 5000 characters
";

/// The question that an inference answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum InferenceType {
    /// Whether the idea reaches its aim.
    #[default]
    Full,
    /// What causes what.
    Causal,
    /// Which constraints it keeps.
    Constraints,
    /// Where it contradicts itself or the context.
    Contradiction,
    /// What it leads to.
    Implications,
}

impl InferenceType {
    /// Every type, in the order of the documentation.
    pub const ALL: [Self; 5] = [Self::Full, Self::Causal, Self::Constraints, Self::Contradiction, Self::Implications];

    /// Returns the name that users write.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Causal => "causal",
            Self::Constraints => "constraints",
            Self::Contradiction => "contradiction",
            Self::Implications => "implications",
        }
    }

    /// Returns the task in the prompt.
    const fn task(self) -> &'static str {
        match self {
            Self::Full => "Reason about each idea below: does it reach the aim of the topic, and why?",
            Self::Causal => "Reason about each idea below: what causes what, from the idea to the aim of the topic?",
            Self::Constraints => {
                "Reason about each idea below: which constraints of the topic and the context does it keep, and how well?"
            }
            Self::Contradiction => {
                "Reason about each idea below: where does it contradict itself, the topic or the context?"
            }
            Self::Implications => {
                "Reason about each idea below: what does it lead to, and what do the results lead to?"
            }
        }
    }

    /// Returns the fields of the reply in addition to [`FIELDS`].
    const fn fields(self) -> &'static str {
        match self {
            Self::Full => "",
            Self::Causal => {
                "- causal_chain: each cause with its effect, in order, at least one\n\
                 - feedback_loops: effects that come back to their cause\n\
                 - root_cause: the first cause of the problem\n"
            }
            Self::Constraints => {
                "- constraints: each with its satisfaction, from 0.0 (broken) to 1.0 (kept), and an explanation\n\
                 - trade_offs: what is given up for what\n"
            }
            Self::Contradiction => {
                "- contradictions: each with what stands against what, and its severity: low, medium or high; empty where \
                 there are none\n\
                 - resolution: how they can be resolved\n"
            }
            Self::Implications => {
                "- implications: what follows directly, at least one\n\
                 - second_order_effects: what follows from that\n"
            }
        }
    }
}

impl fmt::Display for InferenceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for InferenceType {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            Error::invalid_input(format!("unknown type of inference {name:?}: use one of {names}"))
        })
    }
}

/// Defines the output of each inference type: the common fields and its own fields, in one flat object, so that faults
/// name fields as the model knows them.
macro_rules! inferences {
    ($(
        $(#[$doc:meta])*
        $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }
    )*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
        pub struct $name {
            /// The steps of the reasoning, in order.
            #[garde(length(min = 1))]
            pub inference_chain: Vec<String>,
            /// What follows.
            #[garde(length(chars, min = 1, max = 2000))]
            pub conclusion: String,
            /// How certain that is, from 0.0 to 1.0.
            #[garde(range(min = 0.0, max = 1.0))]
            pub confidence: f64,
            /// What the idea should change for it.
            #[garde(length(chars, max = 5000))]
            pub improvements: Option<String>,
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl Output for $name {
            const BATCH: &'static str = concat!(stringify!($name), "s");
        }

        impl From<$name> for Inference {
            fn from(value: $name) -> Self {
                Self::$name(value)
            }
        }
    )*

        /// An inference of any type about one idea.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(untagged)]
        pub enum Inference {
            $($(#[$doc])* $name($name),)*
        }

        impl Inference {
            /// Returns the steps of the reasoning, in order. There is at least one.
            pub fn inference_chain(&self) -> &[String] {
                match self { $(Self::$name(inference) => &inference.inference_chain,)* }
            }

            /// Returns the conclusion.
            pub fn conclusion(&self) -> &str {
                match self { $(Self::$name(inference) => &inference.conclusion,)* }
            }

            /// Returns how certain the conclusion is, from 0.0 to 1.0.
            pub const fn confidence(&self) -> f64 {
                match self { $(Self::$name(inference) => inference.confidence,)* }
            }

            /// Returns how the idea should change because of the conclusion.
            pub fn improvements(&self) -> Option<&str> {
                match self { $(Self::$name(inference) => inference.improvements.as_deref(),)* }
            }
        }
    };
}

inferences! {
    /// What causes what.
    CausalInference {
        /// Each cause with its effect, in order.
        #[garde(length(min = 1))]
        causal_chain: Vec<String>,
        /// Effects that come back to their cause.
        #[garde(skip)]
        feedback_loops: Option<Vec<String>>,
        /// The first cause of the problem.
        #[garde(length(chars, max = 2000))]
        root_cause: Option<String>,
    }

    /// Which constraints the idea keeps.
    ConstraintInference {
        /// Each constraint and how well it is kept.
        #[garde(length(min = 1), dive)]
        constraints: Vec<Constraint>,
        /// What is given up for what.
        #[garde(skip)]
        trade_offs: Option<Vec<String>>,
    }

    /// Where the idea contradicts itself or the context.
    ContradictionInference {
        /// Each contradiction; empty where there are none.
        #[garde(dive)]
        contradictions: Vec<Contradiction>,
        /// How they can be resolved.
        #[garde(length(chars, max = 2000))]
        resolution: Option<String>,
    }

    /// What the idea leads to.
    ImplicationInference {
        /// What follows directly.
        #[garde(length(min = 1))]
        implications: Vec<String>,
        /// What follows from that.
        #[garde(skip)]
        second_order_effects: Option<Vec<String>>,
    }

    // The last one, because an untagged enum is read as its first variant that fits, and this one fits every inference.
    /// Whether the idea reaches its aim.
    FullInference {}
}

/// A constraint and how well an idea keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
pub struct Constraint {
    /// The constraint.
    #[garde(length(chars, min = 1, max = 500))]
    pub constraint: String,
    /// How well it is kept, from 0.0 (broken) to 1.0 (kept).
    #[garde(range(min = 0.0, max = 1.0))]
    pub satisfaction: f64,
    /// Why.
    #[garde(length(chars, max = 1000))]
    pub explanation: Option<String>,
}

/// Two things that cannot both be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
pub struct Contradiction {
    /// What stands against what.
    #[garde(length(chars, min = 1, max = 1000))]
    pub conflict: String,
    /// How bad it is.
    #[garde(skip)]
    pub severity: Severity,
}

/// How bad a contradiction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It can stay.
    Low,
    /// It should be resolved.
    Medium,
    /// The idea fails by it.
    High,
}

/// Lists the plain names. The derived schema would document each of them, which some providers reject.
impl JsonSchema for Severity {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Severity".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": ["low", "medium", "high"] })
    }
}

impl Inference {
    /// The default minimum confidence of an inference.
    pub const THRESHOLD: f64 = 0.5;

    /// Returns whether the confidence reaches `threshold`. A confidence of 0.0 is a placeholder for a missing answer and
    /// never passes, not even with a threshold of 0.0.
    pub fn passes(&self, threshold: f64) -> bool {
        self.confidence() > 0.0 && self.confidence() >= threshold
    }

    /// Formats the inference for [`ImproveInput::inference`](super::ImproveInput::inference).
    pub fn insight(&self) -> String {
        let steps = self.inference_chain().iter().map(|step| format!("• {step}\n"));
        let improvements = self.improvements().map(|improvements| format!("\n{improvements}")).unwrap_or_default();
        format!("{}→ {}{improvements}", steps.collect::<String>(), self.conclusion())
    }
}

/// Draws conclusions about ideas.
#[derive(Debug, Clone, Copy)]
pub struct LogicalInferenceEngine<'a> {
    /// The router used for requests.
    pub router: &'a dyn Generate,
}

impl LogicalInferenceEngine<'_> {
    /// The temperature in the workflow.
    pub const TEMPERATURE: f64 = 0.7;

    /// Draws conclusions of type `kind` about every idea in one call.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` for a blank topic or idea, or without ideas, before anything is sent, otherwise the router's
    /// errors.
    pub async fn infer(
        &self,
        ideas: &[String],
        kind: InferenceType,
        brief: &Brief<'_>,
    ) -> Result<Answer<Batch<Inference>>> {
        match kind {
            InferenceType::Full => self.request::<FullInference>(ideas, kind, brief).await,
            InferenceType::Causal => self.request::<CausalInference>(ideas, kind, brief).await,
            InferenceType::Constraints => self.request::<ConstraintInference>(ideas, kind, brief).await,
            InferenceType::Contradiction => self.request::<ContradictionInference>(ideas, kind, brief).await,
            InferenceType::Implications => self.request::<ImplicationInference>(ideas, kind, brief).await,
        }
    }

    async fn request<T: Output + Into<Inference>>(
        &self,
        ideas: &[String],
        kind: InferenceType,
        brief: &Brief<'_>,
    ) -> Result<Answer<Batch<Inference>>> {
        let client = AgentClient::new(self.router, ROLE, brief)?;
        let fields = format!("{FIELDS}{}", kind.fields());
        let prompt =
            |indices: &[usize]| brief.batch_prompt(kind.task(), &fields, indices, |index| [("idea", &*ideas[index])]);
        let answer: Answer<Batch<T>> = client.batch(ideas.iter().map(String::as_str), prompt).await?;
        Ok(answer.map(|batch| batch.map(T::into)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inference(confidence: f64) -> Inference {
        let improvements = Some("Add a roof".to_owned());
        let inference_chain = vec!["It rains".to_owned(), "Bread gets wet".to_owned()];
        FullInference { inference_chain, conclusion: "It needs a roof".to_owned(), confidence, improvements }.into()
    }

    #[test]
    fn defect_18_a_placeholder_never_passes() {
        for threshold in [0.0, -1.0, 0.5] {
            assert!(!inference(0.0).passes(threshold), "{threshold}");
        }
        assert!(inference(0.01).passes(0.0) && inference(0.5).passes(0.5) && !inference(0.49).passes(0.5));
        assert!(!inference(f64::NAN).passes(0.0));
    }

    #[test]
    fn an_insight_contains_steps_conclusion_and_improvements() {
        assert_eq!(inference(1.0).insight(), "• It rains\n• Bread gets wet\n→ It needs a roof\nAdd a roof");
    }

    #[test]
    fn types_are_parsed_by_name() {
        for kind in InferenceType::ALL {
            assert_eq!(kind.as_str().parse::<InferenceType>().unwrap(), kind);
        }
        let error = "magic".parse::<InferenceType>().unwrap_err();
        assert!(error.message().contains("full, causal, constraints, contradiction, implications"), "{error}");
    }
}
