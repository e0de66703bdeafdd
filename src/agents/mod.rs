//! The agents: typed input, prompt, typed output.
//!
//! Each of the seven agents borrows a router, validates its input before anything is sent, writes one prompt, and returns
//! typed items with their cost. Agents that work on several ideas request all of them in one call. Every item of the reply
//! stands under the key of its idea or carries its `idea_index`; nothing is matched by position.
//!
//! All prompts begin with the same bytes as far as they concern the same ideas: the system instruction, the topic, the context
//! and the ideas. The task comes last.
//!
//! | agent | single | all ideas in one call |
//! |---|---|---|
//! | [`IdeaGenerator`] | | [`generate`](IdeaGenerator::generate) |
//! | [`Critic`] | | [`evaluate`](Critic::evaluate) |
//! | [`Advocate`] | [`advocate`](Advocate::advocate) | [`advocate_batch`](Advocate::advocate_batch) |
//! | [`Skeptic`] | [`criticize`](Skeptic::criticize) | [`criticize_batch`](Skeptic::criticize_batch) |
//! | [`MultiDimensionalEvaluator`] | | [`evaluate`](MultiDimensionalEvaluator::evaluate) |
//! | [`LogicalInferenceEngine`] | | [`infer`](LogicalInferenceEngine::infer) |
//! | [`StructuredIdeaGenerator`] | [`improve`](StructuredIdeaGenerator::improve) | [`improve_batch`](StructuredIdeaGenerator::improve_batch) |

mod advocate;
mod answer;
mod batch;
mod bounds;
mod client;
mod critic;
mod dimensions;
mod form;
mod heading;
mod idea_generator;
mod inference;
mod language;
mod logical_inference;
mod matching;
mod output;
mod prompt;
mod resemblance;
mod sentence;
mod shuffle;
mod skeptic;
mod structured_idea_generator;

pub use advocate::{Advocacy, Advocate, AdvocateInput, ConcernResponse};
pub use answer::{Answer, Batch, Indexed};
pub(crate) use client::is_fatal;
pub use critic::{Critic, CriticEvaluation};
pub use dimensions::{Dimension, DimensionScores, MultiDimensionalEvaluation, MultiDimensionalEvaluator};
pub use idea_generator::{IdeaGenerator, IdeaItem, IdeaRequest};
pub use inference::{
    CausalInference, Constraint, ConstraintInference, Contradiction, ContradictionInference, FullInference,
    ImplicationInference, Inference, Severity,
};
pub use language::Language;
pub use logical_inference::{InferenceType, LogicalInferenceEngine};
pub use output::{Output, Point, schema_of};
pub use prompt::Brief;
pub use skeptic::{MissingConsideration, QuestionableAssumption, Skeptic, SkepticInput, Skepticism};
pub use structured_idea_generator::{ImproveInput, Improvement, StructuredIdeaGenerator};
