//! The workflow: from a topic to a few improved ideas.
//!
//! ```text
//! generate → novelty filter → evaluate all → keep the best → [advocate → doubt] → improve → re-evaluate
//! ```
//!
//! Every stage asks about all its ideas in one call. A stage that fails takes nothing away from what is there: the
//! candidates it failed for say so ([`Candidate::status`], [`Candidate::problems`]) and the workflow goes on where that
//! makes sense. Nothing runs on its own: dropping the future of [`Coordinator::run`] ends every call it started.

mod candidate;
mod novelty;
mod options;
mod score;
mod stage;

use tokio::sync::Semaphore;

use crate::agents::{
    Advocate, AdvocateCase, Answer, Batch, Brief, Critic, CriticEvaluation, GenerateIdeas, IdeaGenerator, IdeaItem,
    ImproveCase, Skeptic, SkepticCase, StructuredIdeaGenerator, is_fatal,
};
use crate::error::{Error, ErrorKind, Result};
use crate::progress::ProgressSink;
use crate::router::Generate;

pub use candidate::{Candidate, Problem, Status};
pub use novelty::{Duplicate, duplicates, similarity};
pub use options::{Options, StageTimeouts, Temperatures};
pub use stage::Stage;
use stage::{Bounded, Deadline};

/// Runs workflows. All runs of one coordinator share its limit of concurrent calls, and nothing else.
#[derive(Debug)]
pub struct Coordinator {
    permits: Semaphore,
}

impl Coordinator {
    /// A coordinator whose runs together have at most `max_concurrent_agents` calls under way; 10 by default in the
    /// bindings. Fails with `InvalidInput` for 0.
    pub fn new(max_concurrent_agents: usize) -> Result<Self> {
        if max_concurrent_agents == 0 {
            return Err(Error::invalid_input("max_concurrent_agents must be at least 1"));
        }
        Ok(Self { permits: Semaphore::new(max_concurrent_agents.min(Semaphore::MAX_PERMITS)) })
    }

    /// Runs the workflow once and hands back the kept ideas, the highest initial score first, ideas without one last.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for options out of bounds. The error of the idea generation, as there is nothing without ideas.
    /// `DeadlineExceeded` where the run's deadline passes before ideas are kept; after that the finished part is handed
    /// back. `External`, `Internal` and `InvalidInput` of any stage end the run as they are.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the call under way and gives its permit back.
    pub async fn run(
        &self,
        router: &dyn Generate,
        options: &Options,
        progress: &dyn ProgressSink,
    ) -> Result<Vec<Candidate>> {
        let run = Run::new(router, &self.permits, options)?;
        progress.emit("Starting the workflow", 0.0);

        progress.emit("Generating ideas", 0.1);
        let mut ideas = run.generate().await?;
        progress.emit(&format!("Generated {}", counted(ideas.len())), 0.3);
        if options.enable_novelty_filter {
            ideas = novelty::filter(ideas, |idea| idea, options.novelty_threshold);
        }

        progress.emit(&format!("Evaluating {}", counted(ideas.len())), 0.4);
        let evaluations = run.evaluate(&ideas).await?;
        let mut candidates = keep_best(ideas, evaluations, options.num_top_candidates);
        if candidates.iter().all(|candidate| candidate.status == Status::Failed) {
            progress.emit("No idea could be evaluated", 1.0);
            return Ok(candidates);
        }
        progress.emit(&format!("Selected {}", counted(candidates.len())), 0.6);

        progress.emit("Working on the selected ideas", 0.7);
        if options.enhanced_reasoning {
            progress.emit("Weighing advocacy and skepticism", 0.72);
            run.advocate(&mut candidates).await?;
            run.doubt(&mut candidates).await?;
        }
        progress.emit("Improving ideas", 0.78);
        run.improve(&mut candidates).await?;
        progress.emit("Evaluating the improved ideas", 0.82);
        run.re_evaluate(&mut candidates).await?;

        progress.emit("Building the results", 0.88);
        let finished = candidates.iter().filter(|candidate| candidate.status == Status::Ok).count();
        progress.emit(&format!("Completed {finished} of {}", counted(candidates.len())), 0.9);
        progress.emit("Done", 1.0);
        Ok(candidates)
    }
}

/// A number of ideas, in words.
fn counted(ideas: usize) -> String {
    format!("{ideas} {}", if ideas == 1 { "idea" } else { "ideas" })
}

/// The best `count` ideas by score; of equals the earlier first; ideas without a score last. Where no idea has one, the
/// first `count` ideas, all failed.
fn keep_best(ideas: Vec<String>, evaluations: Vec<Result<CriticEvaluation, String>>, count: usize) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> =
        ideas.into_iter().zip(evaluations).map(|(idea, evaluation)| Candidate::new(idea, evaluation)).collect();
    // A stable sort; a missing score is below every score.
    let rank = |candidate: &Candidate| candidate.initial_score.unwrap_or(f64::NEG_INFINITY);
    candidates.sort_by(|one, two| rank(two).total_cmp(&rank(one)));
    candidates.truncate(count);
    if candidates.iter().all(|candidate| candidate.initial_score.is_none()) {
        for candidate in &mut candidates {
            candidate.status = Status::Failed;
        }
    }
    candidates
}

/// One run: its options, its deadline and the way to its router.
struct Run<'a> {
    router: &'a dyn Generate,
    permits: &'a Semaphore,
    options: &'a Options,
    deadline: Deadline,
}

impl<'a> Run<'a> {
    fn new(router: &'a dyn Generate, permits: &'a Semaphore, options: &'a Options) -> Result<Self> {
        options.validate()?;
        Ok(Self { router, permits, options, deadline: Deadline::new(options::seconds("timeout", options.timeout)?) })
    }

    async fn generate(&self) -> Result<Vec<String>> {
        let wanted = GenerateIdeas {
            brief: self.brief(Stage::IdeaGeneration),
            count: self.options.ideas_to_generate(),
            minimum: self.options.num_top_candidates,
            parts: &self.options.parts,
        };
        let router = self.bounded(Stage::IdeaGeneration)?;
        let answer = IdeaGenerator { router: &router }.generate(&wanted).await?;
        Ok(answer.value.iter().map(IdeaItem::text).collect())
    }

    /// Fails where the run's deadline leaves nothing to select from.
    async fn evaluate(&self, ideas: &[String]) -> Result<Vec<Result<CriticEvaluation, String>>> {
        let router = self.bounded(Stage::Evaluation)?;
        let answer = Critic { router: &router }.evaluate(ideas, &self.brief(Stage::Evaluation)).await;
        match answer {
            Err(error) if error.kind() == ErrorKind::DeadlineExceeded && self.deadline.is_over() => Err(error),
            answer => per_idea(Stage::Evaluation, answer, ideas.len()),
        }
    }

    async fn advocate(&self, candidates: &mut [Candidate]) -> Result<()> {
        let cases: Vec<AdvocateCase> = candidates
            .iter()
            .map(|candidate| AdvocateCase { idea: candidate.idea.clone(), evaluation: candidate.evaluation() })
            .collect();
        let router = self.bounded(Stage::Advocacy)?;
        let answer = Advocate { router: &router }.advocate_batch(&cases, &self.brief(Stage::Advocacy)).await;
        let language = self.brief(Stage::Advocacy).answer_language();
        settle(Stage::Advocacy, answer, candidates, |candidate, advocacy| {
            candidate.advocacy = Some(advocacy.formatted_in(language));
        })
    }

    /// The skeptic sees the advocacy, where there is one.
    async fn doubt(&self, candidates: &mut [Candidate]) -> Result<()> {
        let cases: Vec<SkepticCase> = candidates
            .iter()
            .map(|candidate| SkepticCase {
                idea: candidate.idea.clone(),
                advocacy: candidate.advocacy.clone().unwrap_or_default(),
            })
            .collect();
        let router = self.bounded(Stage::Skepticism)?;
        let answer = Skeptic { router: &router }.criticize_batch(&cases, &self.brief(Stage::Skepticism)).await;
        let language = self.brief(Stage::Skepticism).answer_language();
        settle(Stage::Skepticism, answer, candidates, |candidate, skepticism| {
            candidate.skepticism = Some(skepticism.formatted_in(language));
        })
    }

    async fn improve(&self, candidates: &mut [Candidate]) -> Result<()> {
        let cases: Vec<ImproveCase> = candidates
            .iter()
            .map(|candidate| ImproveCase {
                idea: candidate.idea.clone(),
                evaluation: candidate.evaluation(),
                advocacy: candidate.advocacy.clone().unwrap_or_default(),
                skepticism: candidate.skepticism.clone().unwrap_or_default(),
                ..ImproveCase::default()
            })
            .collect();
        let router = self.bounded(Stage::Improvement)?;
        let improver = StructuredIdeaGenerator { router: &router };
        let answer = improver.improve_batch(&cases, &self.brief(Stage::Improvement)).await;
        settle(Stage::Improvement, answer, candidates, |candidate, improvement| candidate.improve(improvement.text()))
    }

    /// Evaluates the improved ideas there are, in the original context. An idea without one has said so already.
    async fn re_evaluate(&self, candidates: &mut [Candidate]) -> Result<()> {
        let mut improved: Vec<&mut Candidate> =
            candidates.iter_mut().filter(|candidate| candidate.improved_idea.is_some()).collect();
        if improved.is_empty() {
            return Ok(());
        }
        let ideas: Vec<String> = improved.iter().filter_map(|candidate| candidate.improved_idea.clone()).collect();
        let router = self.bounded(Stage::ReEvaluation)?;
        let answer = Critic { router: &router }.evaluate(&ideas, &self.brief(Stage::ReEvaluation)).await;
        settle(Stage::ReEvaluation, answer, &mut improved, Candidate::re_evaluate)
    }

    fn brief(&self, stage: Stage) -> Brief<'a> {
        Brief {
            topic: &self.options.topic,
            context: &self.options.context,
            temperature: self.options.temperatures.of(stage),
            language: None,
        }
    }

    /// The router as `stage` sees it; the stage's time begins now.
    fn bounded(&self, stage: Stage) -> Result<Bounded<'a>> {
        let limit = options::seconds(stage.as_str(), self.options.stage_timeouts.of(stage))?;
        Ok(Bounded {
            router: self.router,
            permits: self.permits,
            stage,
            stage_deadline: Deadline::new(limit),
            run_deadline: self.deadline,
        })
    }
}

/// Puts each item of a stage's answer on its candidate, and the reason on each candidate that has none.
fn settle<T>(
    stage: Stage,
    answer: Result<Answer<Batch<T>>>,
    candidates: &mut [impl std::borrow::BorrowMut<Candidate>],
    put: impl Fn(&mut Candidate, T),
) -> Result<()> {
    let entries = per_idea(stage, answer, candidates.len())?;
    for (candidate, entry) in candidates.iter_mut().zip(entries) {
        let candidate = candidate.borrow_mut();
        match entry {
            Ok(item) => put(candidate, item),
            Err(reason) => candidate.lack(stage, reason),
        }
    }
    Ok(())
}

/// One result per idea, also where the whole stage failed; `Err` for what must end the run.
fn per_idea<T>(stage: Stage, answer: Result<Answer<Batch<T>>>, count: usize) -> Result<Vec<Result<T, String>>> {
    match answer {
        Ok(answer) => Ok(answer.value.into_iter().collect()),
        Err(error) if is_fatal(&error) => Err(error),
        Err(error) => {
            tracing::warn!(stage = stage.as_str(), kind = error.kind().as_str(), "a stage failed: {error}");
            let reason = error.to_string();
            Ok((0..count).map(|_| Err(reason.clone())).collect())
        }
    }
}
