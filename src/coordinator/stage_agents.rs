//! The agent of each stage: its input from the candidates, and where its output goes.
//!
//! A new stage needs a variant of [`Stage`], an arm in [`Run::call_agent`], and a field of [`Candidate`].

use super::candidate::Candidate;
use super::event::EventKind;
use super::options::Options;
use super::run::Run;
use super::stage::Stage;
use super::stage_router::StageRouter;
use crate::agents::{
    Advocate, AdvocateInput, Answer, Batch, Critic, DimensionScores, ImproveInput, Inference, LogicalInferenceEngine,
    MultiDimensionalEvaluator, Skeptic, SkepticInput, StructuredIdeaGenerator, is_fatal,
};
use crate::error::Result;

impl Stage {
    /// Whether `candidate` has the input of the stage. The stage that failed to produce it has reported that already.
    pub(super) fn has_input(self, candidate: &Candidate) -> bool {
        !matches!(self, Self::ReEvaluation | Self::ReMultiDimensional) || candidate.improved_idea.is_some()
    }
}

impl Run<'_> {
    /// Calls the agent of `stage` for `ideas` and stores its output in their candidates.
    pub(super) async fn call_agent(&self, stage: Stage, router: &StageRouter<'_>, ideas: &[usize]) -> Result<()> {
        let brief = self.brief(stage);
        let language = brief.answer_language();
        match stage {
            // Has no ideas yet: see `Run::generate`.
            Stage::IdeaGeneration => Ok(()),
            Stage::Evaluation => {
                let texts = self.map(ideas, |candidate| candidate.idea.clone());
                let answer = Critic { router }.score(&texts, &brief).await;
                self.record(stage, answer, ideas, Candidate::evaluate)
            }
            Stage::MultiDimensional => {
                let texts = self.map(ideas, |candidate| candidate.idea.clone());
                let answer = MultiDimensionalEvaluator { router }.evaluate(&texts, &brief).await;
                self.record(stage, answer, ideas, |candidate, scores| {
                    candidate.multi_dimensional_evaluation = Some(scores);
                })
            }
            Stage::LogicalInference => {
                let texts = self.map(ideas, |candidate| candidate.idea.clone());
                let Options { inference_type, confidence_threshold, .. } = *self.options;
                let answer = LogicalInferenceEngine { router }.infer(&texts, inference_type, &brief).await;
                // An inference below the threshold reaches neither the improver nor the caller.
                self.record(stage, answer, ideas, |candidate, inference: Inference| {
                    candidate.logical_inference = Some(inference).filter(|one| one.passes(confidence_threshold));
                })
            }
            Stage::Advocacy => {
                let inputs = self.map(ideas, |candidate| AdvocateInput {
                    idea: candidate.idea.clone(),
                    evaluation: candidate.evaluation(),
                });
                let answer = Advocate { router }.advocate_batch(&inputs, &brief).await;
                self.record(stage, answer, ideas, |candidate, advocacy| {
                    candidate.advocacy = Some(advocacy.formatted_in(language));
                })
            }
            Stage::Skepticism => {
                let inputs = self.map(ideas, |candidate| SkepticInput {
                    idea: candidate.idea.clone(),
                    advocacy: candidate.advocacy.clone().unwrap_or_default(),
                });
                let answer = Skeptic { router }.criticize_batch(&inputs, &brief).await;
                self.record(stage, answer, ideas, |candidate, skepticism| {
                    candidate.skepticism = Some(skepticism.formatted_in(language));
                })
            }
            Stage::Improvement => {
                let inputs = self.map(ideas, |candidate| ImproveInput {
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
                let answer = StructuredIdeaGenerator { router }.improve_batch(&inputs, &brief).await;
                self.record(stage, answer, ideas, |candidate, improvement| candidate.improve(improvement.text()))
            }
            Stage::ReEvaluation => {
                let texts = self.map(ideas, |candidate| candidate.improved_idea.clone().unwrap_or_default());
                let answer = Critic { router }.score(&texts, &brief).await;
                self.record(stage, answer, ideas, Candidate::re_evaluate)
            }
            Stage::ReMultiDimensional => {
                let texts = self.map(ideas, |candidate| candidate.improved_idea.clone().unwrap_or_default());
                let answer = MultiDimensionalEvaluator { router }.evaluate(&texts, &brief).await;
                self.record(stage, answer, ideas, |candidate, scores| {
                    candidate.improved_multi_dimensional_evaluation = Some(scores);
                })
            }
        }
    }

    fn map<T>(&self, ideas: &[usize], read: impl Fn(&Candidate) -> T) -> Vec<T> {
        self.handle.read(|state| state.ideas.map(ideas, read))
    }

    /// Stores each item of a stage's answer in its candidate, or the reason why there is none.
    ///
    /// # Errors
    ///
    /// Returns an error that must end the run.
    fn record<T>(
        &self,
        stage: Stage,
        answer: Result<Answer<Batch<T>>>,
        ideas: &[usize],
        apply: impl Fn(&mut Candidate, T),
    ) -> Result<()> {
        let outputs: Vec<Result<T, String>> = match answer {
            Ok(answer) => answer.value.into_iter().collect(),
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => {
                tracing::warn!(stage = stage.as_str(), kind = error.kind().as_str(), "a stage failed: {error}");
                let reason = error.to_string();
                ideas.iter().map(|_| Err(reason.clone())).collect()
            }
        };
        let failed = outputs.iter().filter(|output| output.is_err()).count();
        let reason = outputs.iter().find_map(|output| output.as_ref().err()).cloned();
        self.handle.update(|state| state.stages.add_ideas(stage, outputs.len() - failed, failed, reason.as_deref()));
        for (&idea, output) in ideas.iter().zip(outputs) {
            let event = self.handle.update(|state| {
                let is_ok = output.is_ok();
                state.ideas.record(idea, stage, output, &apply);
                state.progress.reach(&[idea], stage.progress_range().1);
                if !is_ok {
                    return None;
                }
                state.ideas.map(&[idea], |candidate| output_event(stage, idea, candidate)).pop().flatten()
            });
            if let Some(event) = event {
                self.report(event, None);
            }
        }
        Ok(())
    }
}

/// The event for the output of `stage` in `candidate`; only scores and improvements have one.
fn output_event(stage: Stage, idea_index: usize, candidate: &Candidate) -> Option<EventKind> {
    let scored = |score| EventKind::IdeaScored { stage, idea_index, score, improvement_kept: None };
    match stage {
        Stage::Evaluation => candidate.initial_score.map(scored),
        Stage::ReEvaluation => candidate.improved_score.map(|score| EventKind::IdeaScored {
            stage,
            idea_index,
            score,
            improvement_kept: candidate.improvement_kept,
        }),
        Stage::MultiDimensional => {
            candidate.multi_dimensional_evaluation.as_ref().map(|scores| scored(scores.overall()))
        }
        Stage::ReMultiDimensional => {
            candidate.improved_multi_dimensional_evaluation.as_ref().map(|scores| scored(scores.overall()))
        }
        Stage::Improvement => candidate.improved_idea.clone().map(|idea| EventKind::IdeaImproved { idea_index, idea }),
        Stage::IdeaGeneration | Stage::LogicalInference | Stage::Advocacy | Stage::Skepticism => None,
    }
}
