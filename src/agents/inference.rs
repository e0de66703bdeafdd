//! Inferences about ideas: the outputs of the logical inference engine.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::output::Output;

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

// Without doc comments, which the schema would contain: some providers reject documented values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Severity {
    Low,
    Medium,
    High,
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
}
