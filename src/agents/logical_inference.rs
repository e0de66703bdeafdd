//! The logical inference engine: draws conclusions about every idea, step by step, in one call.

use std::borrow::Cow;
use std::str::FromStr;

use super::answer::{Answer, Batch};
use super::client::AgentClient;
use super::inference::{
    CausalInference, ConstraintInference, ContradictionInference, FullInference, ImplicationInference, Inference,
};
use super::output::Output;
use super::prompt::{Brief, Instruction};
use crate::error::{Error, Result};
use crate::named_enum::named_enum;
use crate::router::Generate;

const ROLE: &str = "You are a logician. You draw conclusions about ideas step by step, each step from the ones before, and say how certain the end is.";
const FIELDS: &str = "\
- inference_chain: the steps of the reasoning, in order, one to five
- conclusion: what follows, one or two sentences
- confidence: how certain the conclusion is, from 0.0 to 1.0
- improvements: what the idea should change for it, one or two sentences
";

named_enum! {
    /// The question that an inference answers.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub enum InferenceType {
        /// Whether the idea reaches its aim.
        #[default]
        Full = "full",
        /// What causes what.
        Causal = "causal",
        /// Which constraints it keeps.
        Constraints = "constraints",
        /// Where it contradicts itself or the context.
        Contradiction = "contradiction",
        /// What it leads to.
        Implications = "implications",
    }
}

impl InferenceType {
    /// Returns the task in the prompt.
    const fn task(self) -> &'static str {
        match self {
            Self::Full => "Reason about each idea above: does it reach the aim of the topic, and why?",
            Self::Causal => "Reason about each idea above: what causes what, from the idea to the aim of the topic?",
            Self::Constraints => {
                "Reason about each idea above: which constraints of the topic and the context does it keep, and how well?"
            }
            Self::Contradiction => {
                "Reason about each idea above: where does it contradict itself, the topic or the context?"
            }
            Self::Implications => {
                "Reason about each idea above: what does it lead to, and what do the results lead to?"
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

impl FromStr for InferenceType {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            Error::invalid_input(format!("unknown type of inference {name:?}: use one of {names}"))
        })
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
        let instruction = Instruction {
            role: ROLE,
            task: kind.task(),
            batch_task: kind.task(),
            fields: Cow::Owned(format!("{FIELDS}{}", kind.fields())),
        };
        let blocks: Vec<_> = ideas.iter().map(|idea| [("idea", idea.as_str())]).collect();
        let client = AgentClient::new(self.router, brief)?;
        let answer: Answer<Batch<T>> = client.batch(&instruction, &blocks, |_, _| true).await?;
        Ok(answer.map(|batch| batch.map(T::into)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_parsed_by_name() {
        for kind in InferenceType::ALL {
            assert_eq!(kind.as_str().parse::<InferenceType>().unwrap(), kind);
        }
        let error = "magic".parse::<InferenceType>().unwrap_err();
        assert!(error.message().contains("full, causal, constraints, contradiction, implications"), "{error}");
    }
}
