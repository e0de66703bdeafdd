//! The agents: typed input, prompt, typed output.
//!
//! Seven agents share one shape. Each borrows a router for as long as it asks, checks its input before anything is sent,
//! writes one prompt, and hands back typed items with what they cost. Agents that judge many ideas ask for all of them
//! in one call; every item of the reply carries the `idea_index` of its idea, and nothing is matched by position.
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
mod ask;
mod batch;
mod critic;
mod dimensions;
mod heading;
mod idea_generator;
mod inference;
mod language;
mod output;
mod prompt;
mod skeptic;
mod structured_idea_generator;

pub use advocate::{Advocacy, Advocate, AdvocateCase, ConcernResponse};
pub use answer::{Answer, Batch, Labelled};
pub(crate) use ask::is_fatal;
pub use critic::{Critic, CriticEvaluation};
pub use dimensions::{Dimension, DimensionScores, MultiDimensionalEvaluation, MultiDimensionalEvaluator};
pub use idea_generator::{GenerateIdeas, IdeaGenerator, IdeaItem};
pub use inference::{
    CausalInference, Constraint, ConstraintInference, Contradiction, ContradictionInference, FullInference,
    ImplicationInference, Inference, InferenceType, LogicalInferenceEngine, Severity,
};
pub use language::Language;
pub use output::{BATCHES, Output, Point, schema_of};
pub use prompt::Brief;
pub use skeptic::{MissingConsideration, QuestionableAssumption, Skeptic, SkepticCase, Skepticism};
pub use structured_idea_generator::{ImproveCase, Improvement, StructuredIdeaGenerator};
