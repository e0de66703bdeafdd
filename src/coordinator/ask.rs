//! The table of the stages: what each asks about ideas, and where its answer goes.
//!
//! A stage more is a [`Stage`] with its place in the order, an arm in [`Run::ask`], and a field of [`Candidate`].

use super::Run;
use super::candidate::Candidate;
use super::event::EventKind;
use super::options::Options;
use super::stage::Stage;
use super::stage_router::StageRouter;
use crate::agents::{
    Advocate, AdvocateInput, Answer, Batch, Critic, DimensionScores, ImproveInput, Inference, LogicalInferenceEngine,
    MultiDimensionalEvaluator, Skeptic, SkepticInput, StructuredIdeaGenerator, is_fatal,
};
use crate::error::Result;

/// Whether there is something for `stage` to ask about `candidate`. An idea without an improvement has said so already.
pub(super) fn can_ask(stage: Stage, candidate: &Candidate) -> bool {
    !matches!(stage, Stage::ReEvaluation | Stage::ReMultiDimensional) || candidate.improved_idea.is_some()
}

impl Run<'_> {
    /// Asks the agent of `stage` about `ideas`, which become richer by what it says. The table of the stages.
    pub(super) async fn ask(&self, stage: Stage, router: &StageRouter<'_>, ideas: &[usize]) -> Result<()> {
        let board = &self.record.board;
        let brief = self.brief(stage);
        let language = brief.answer_language();
        match stage {
            // Generation has no ideas yet: `generate` begins the story.
            Stage::IdeaGeneration => Ok(()),
            Stage::Evaluation => {
                let texts = board.read(ideas, |candidate| candidate.idea.clone());
                let answer = Critic { router }.evaluate(&texts, &brief).await;
                self.settle(stage, answer, ideas, Candidate::evaluate)
            }
            Stage::MultiDimensional => {
                let texts = board.read(ideas, |candidate| candidate.idea.clone());
                let answer = MultiDimensionalEvaluator { router }.evaluate(&texts, &brief).await;
                self.settle(stage, answer, ideas, |candidate, scores| {
                    candidate.multi_dimensional_evaluation = Some(scores);
                })
            }
            Stage::LogicalInference => {
                let texts = board.read(ideas, |candidate| candidate.idea.clone());
                let Options { inference_type, confidence_threshold, .. } = *self.options;
                let answer = LogicalInferenceEngine { router }.infer(&texts, inference_type, &brief).await;
                // What is not certain enough is nobody's: not the improver's, and not the caller's.
                self.settle(stage, answer, ideas, |candidate, inference: Inference| {
                    candidate.logical_inference = Some(inference).filter(|one| one.passes(confidence_threshold));
                })
            }
            Stage::Advocacy => {
                let cases = board.read(ideas, |candidate| AdvocateInput {
                    idea: candidate.idea.clone(),
                    evaluation: candidate.evaluation(),
                });
                let answer = Advocate { router }.advocate_batch(&cases, &brief).await;
                self.settle(stage, answer, ideas, |candidate, advocacy| {
                    candidate.advocacy = Some(advocacy.formatted_in(language));
                })
            }
            // The skeptic sees the advocacy, where there is one.
            Stage::Skepticism => {
                let cases = board.read(ideas, |candidate| SkepticInput {
                    idea: candidate.idea.clone(),
                    advocacy: candidate.advocacy.clone().unwrap_or_default(),
                });
                let answer = Skeptic { router }.criticize_batch(&cases, &brief).await;
                self.settle(stage, answer, ideas, |candidate, doubt| {
                    candidate.skepticism = Some(doubt.formatted_in(language));
                })
            }
            Stage::Improvement => {
                let cases = board.read(ideas, |candidate| ImproveInput {
                    idea: candidate.idea.clone(),
                    evaluation: candidate.evaluation(),
                    advocacy: candidate.advocacy.clone().unwrap_or_default(),
                    skepticism: candidate.skepticism.clone().unwrap_or_default(),
                    weak_dimensions: candidate
                        .multi_dimensional_evaluation
                        .as_ref()
                        .map(DimensionScores::weak_points)
                        .unwrap_or_default(),
                    inference: candidate.logical_inference.as_ref().map(Inference::insight).unwrap_or_default(),
                });
                let answer = StructuredIdeaGenerator { router }.improve_batch(&cases, &brief).await;
                self.settle(stage, answer, ideas, |candidate, improvement| candidate.improve(improvement.text()))
            }
            // In the original context.
            Stage::ReEvaluation => {
                let texts = board.read(ideas, |candidate| candidate.improved_idea.clone().unwrap_or_default());
                let answer = Critic { router }.evaluate(&texts, &brief).await;
                self.settle(stage, answer, ideas, Candidate::re_evaluate)
            }
            Stage::ReMultiDimensional => {
                let texts = board.read(ideas, |candidate| candidate.improved_idea.clone().unwrap_or_default());
                let answer = MultiDimensionalEvaluator { router }.evaluate(&texts, &brief).await;
                self.settle(stage, answer, ideas, |candidate, scores| {
                    candidate.improved_multi_dimensional_evaluation = Some(scores);
                })
            }
        }
    }

    /// Puts each item of a stage's answer on its idea, and the reason on each idea that has none; `Err` for what must end
    /// the run.
    fn settle<T>(
        &self,
        stage: Stage,
        answer: Result<Answer<Batch<T>>>,
        ideas: &[usize],
        put: impl Fn(&mut Candidate, T),
    ) -> Result<()> {
        let entries: Vec<Result<T, String>> = match answer {
            Ok(answer) => answer.value.into_iter().collect(),
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => {
                tracing::warn!(stage = stage.as_str(), kind = error.kind().as_str(), "a stage failed: {error}");
                let reason = error.to_string();
                ideas.iter().map(|_| Err(reason.clone())).collect()
            }
        };
        let failed = entries.iter().filter(|entry| entry.is_err()).count();
        let reason = entries.iter().find_map(|entry| entry.as_ref().err()).cloned();
        self.record.ledger.settle(stage, entries.len() - failed, failed, reason.as_deref());
        for (idea, entry) in ideas.iter().zip(entries) {
            let is_ok = entry.is_ok();
            self.record.board.put(*idea, stage, entry, &put);
            self.record.pace().reach(&[*idea], stage.span().1);
            if is_ok {
                self.tell_of(stage, *idea);
            }
        }
        Ok(())
    }

    /// Tells what `stage` made of an idea.
    fn tell_of(&self, stage: Stage, idea_index: usize) {
        let scored = |score| EventKind::IdeaScored { stage, idea_index, score };
        let told = self.record.board.read(&[idea_index], |candidate| match stage {
            Stage::Evaluation => candidate.initial_score.map(scored),
            Stage::ReEvaluation => candidate.improved_score.map(scored),
            Stage::MultiDimensional => {
                candidate.multi_dimensional_evaluation.as_ref().map(|scores| scored(scores.overall()))
            }
            Stage::ReMultiDimensional => {
                candidate.improved_multi_dimensional_evaluation.as_ref().map(|scores| scored(scores.overall()))
            }
            Stage::Improvement => {
                candidate.improved_idea.clone().map(|idea| EventKind::IdeaImproved { idea_index, idea })
            }
            Stage::IdeaGeneration | Stage::LogicalInference | Stage::Advocacy | Stage::Skepticism => None,
        });
        for kind in told.into_iter().flatten() {
            self.tell(kind, None);
        }
    }
}
