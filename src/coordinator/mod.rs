//! The workflow: from a topic to a few improved ideas.
//!
//! ```text
//! generate → novelty filter → evaluate all → keep the best → [advocate → doubt] → improve → re-evaluate
//! ```
//!
//! Ideas go through the stages in groups: in one, which asks about all its ideas in one call, or each by itself, at the
//! same time ([`Mode`]). Only the selection waits for all. A stage that fails takes nothing away from what is there: the
//! candidates it failed for say so ([`Candidate::status`], [`Candidate::problems`]) and the workflow goes on where that
//! makes sense. What is known of a run is in its [`Record`], during the run and after it, however it ended.
//!
//! Nothing runs on its own: dropping the future of [`Coordinator::run`] or [`Coordinator::conduct`] ends every call it
//! started.

mod board;
mod bounded;
mod candidate;
mod event;
mod gate;
mod journal;
mod ledger;
mod novelty;
mod options;
mod pace;
mod record;
mod result;
mod score;
mod shape;
mod stage;
mod written;

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;
use futures_util::future::{join_all, try_join, try_join_all};
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout_at;

use crate::agents::{
    Advocate, AdvocateCase, Answer, Batch, Brief, Critic, GenerateIdeas, IdeaGenerator, IdeaItem, ImproveCase, Skeptic,
    SkepticCase, StructuredIdeaGenerator, is_fatal,
};
use crate::error::{Error, Result};
use crate::progress::{ProgressSink, Silent};
use crate::router::Generate;
use bounded::{Bounded, Growing};
use stage::Deadline;

pub use board::{Mark, Numbered};
pub use candidate::{Candidate, Problem, Status};
pub use event::{Event, EventKind};
pub use gate::{Edited, Gate, Review, Verdict};
pub use journal::Journal;
pub use ledger::{Served, Spending, Tokens};
pub use novelty::similarity;
pub use options::{Options, StageTimeouts, Temperatures};
pub use record::Record;
pub use result::{AgentResult, Cut, StageResult, StageStatus, WorkflowResult};
pub use shape::{Mode, Shape};
pub use stage::Stage;

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
    /// Dropping the future drops the calls under way and gives their permits back.
    pub async fn run(
        &self,
        router: &dyn Generate,
        options: &Options,
        progress: &dyn ProgressSink,
    ) -> Result<Vec<Candidate>> {
        let record = Record::new(router, options, 0);
        self.conduct(router, options, &record, Hooks { progress, ..Hooks::default() }).await?;
        Ok(record.candidates())
    }

    /// Does as [`Coordinator::run`], and keeps `record` of everything: after an error, and after its future was dropped,
    /// too.
    pub async fn conduct(
        &self,
        router: &dyn Generate,
        options: &Options,
        record: &Arc<Record>,
        hooks: Hooks<'_>,
    ) -> Result<()> {
        let outcome = async { Run::new(router, &self.permits, options, record, hooks)?.whole().await }.await;
        let (end, message) = match outcome {
            Ok(message) => (Ok(()), Some(message)),
            Err(Halt::Stopped(reason)) => {
                record.cut(Cut::Stopped(reason));
                (Ok(()), Some("Stopped"))
            }
            Err(Halt::Failed(error)) => (Err(error), None),
        };
        let failure = end.as_ref().err().map(ToString::to_string);
        record.finish(failure, message.map(str::to_owned), None);
        if let Some(message) = message {
            hooks.progress.emit(message, 1.0);
        }
        end
    }
}

/// Who takes part in a run besides its router.
#[derive(Clone, Copy)]
pub struct Hooks<'a> {
    /// Takes the progress: those events that have a message.
    pub progress: &'a dyn ProgressSink,
    /// Looks at the ideas between the stages.
    pub gate: Option<&'a dyn Gate>,
}

impl Default for Hooks<'_> {
    fn default() -> Self {
        Self { progress: &Silent, gate: None }
    }
}

impl std::fmt::Debug for Hooks<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks").field("gate", &self.gate.is_some()).finish_non_exhaustive()
    }
}

/// What ends a run early.
enum Halt {
    Failed(Error),
    /// The caller's gate says so, for this reason.
    Stopped(String),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// A number of ideas, in words.
fn counted(ideas: usize) -> String {
    format!("{ideas} {}", if ideas == 1 { "idea" } else { "ideas" })
}

/// One run: its options, its deadline, its record and the way to its router.
#[derive(Clone, Copy)]
struct Run<'a> {
    router: &'a dyn Generate,
    permits: &'a Semaphore,
    options: &'a Options,
    record: &'a Arc<Record>,
    hooks: Hooks<'a>,
    deadline: Deadline,
}

impl<'a> Run<'a> {
    fn new(
        router: &'a dyn Generate,
        permits: &'a Semaphore,
        options: &'a Options,
        record: &'a Arc<Record>,
        hooks: Hooks<'a>,
    ) -> Result<Self> {
        options.validate()?;
        let deadline = Deadline::new(options::seconds("timeout", options.timeout)?);
        Ok(Self { router, permits, options, record, hooks, deadline })
    }

    /// The whole story. Its result is the last word on it.
    async fn whole(&self) -> Result<&'static str, Halt> {
        let Record { board, shape, plan, .. } = &**self.record;
        self.tell(
            EventKind::RunStarted { mode: *shape, stages: plan.clone() },
            Some("Starting the workflow".to_owned()),
        );

        // A gate looks at all ideas before any goes on; without one, each is judged while the next is written.
        if *shape == Shape::Fanout && self.hooks.gate.is_none() {
            self.generate_and_judge().await?;
        } else {
            let ideas = self.generate(|_| ()).await?;
            let ideas = self.review(Stage::IdeaGeneration, &ideas).await?;
            self.flow(Stage::BEFORE_SELECTION, &ideas).await?;
        }
        if !board.has_scores() {
            if self.deadline.is_over() {
                return Err(self.deadline.reached().into());
            }
            board.select(self.options.num_top_candidates);
            return Ok("No idea could be evaluated");
        }
        let kept = board.select(self.options.num_top_candidates);
        self.at(0.6);
        let message = format!("Selected {}", counted(kept.len()));
        self.tell(EventKind::IdeasSelected { idea_indices: kept.clone() }, Some(message));
        let kept = self.review(Stage::Evaluation, &kept).await?;

        self.record.pace().place(&kept, 0.7);
        self.progress("Working on the selected ideas");
        self.flow(Stage::AFTER_SELECTION, &kept).await?;

        self.at(0.88);
        self.progress("Building the results");
        let candidates = board.candidates();
        let finished = candidates.iter().filter(|candidate| candidate.status == Status::Ok).count();
        self.at(0.9);
        self.progress(&format!("Completed {finished} of {}", counted(candidates.len())));
        Ok("Done")
    }

    /// The ideas that are new, each judged as soon as its text is there.
    async fn generate_and_judge(&self) -> Result<(), Halt> {
        let Record { board, ledger, .. } = &**self.record;
        let (tell, mut written) = mpsc::unbounded_channel();
        let judging = async {
            let mut under_way = FuturesUnordered::new();
            loop {
                tokio::select! {
                    Some(idea) = written.recv() => {
                        under_way.push(async move { self.flow(Stage::BEFORE_SELECTION, &[idea]).await });
                    }
                    Some(outcome) = under_way.next() => outcome?,
                    else => return Ok(()),
                }
            }
        };
        // The last idea of these stages is not known before the generation is done.
        for stage in Stage::BEFORE_SELECTION {
            ledger.expect(*stage, 1);
        }
        let expected: Vec<usize> = (0..self.options.ideas_to_generate()).collect();
        self.record.pace().place(&expected, Stage::IdeaGeneration.span().0);
        let early = Mutex::new(Vec::new());
        let generation = async {
            // Moved in, so that the judging ends after the generation.
            let tell = tell;
            // On the board at once, where the whole answer finds it.
            let hear = |idea: String| {
                if let Some(idea) = self.add_new(idea) {
                    early.lock().unwrap_or_else(PoisonError::into_inner).push(idea);
                    // Nobody hears it where the run has failed meanwhile.
                    let _ = tell.send(idea);
                }
            };
            let ideas = self.generate(hear).await?;
            let early = std::mem::take(&mut *early.lock().unwrap_or_else(PoisonError::into_inner));
            for idea in ideas.iter().filter(|idea| !early.contains(idea)) {
                let _ = tell.send(*idea);
            }
            Ok::<_, Halt>(ideas)
        };
        let (ideas, ()) = try_join(generation, judging).await?;
        for stage in Stage::BEFORE_SELECTION {
            self.end(*stage, None);
        }
        board.drop_but(&ideas);
        Ok(())
    }

    /// Adds an idea that none on the board is like, where that is asked for.
    fn add_new(&self, idea: String) -> Option<usize> {
        let threshold = if self.options.enable_novelty_filter { self.options.novelty_threshold } else { f64::INFINITY };
        let is_known = self.record.board.any(|known| known.idea == idea || similarity(&known.idea, &idea) >= threshold);
        (!is_known).then(|| self.add(idea))
    }

    fn add(&self, idea: String) -> usize {
        let idea_index = self.record.board.add(idea.clone());
        self.tell(EventKind::IdeaGenerated { idea_index, idea }, None);
        idea_index
    }

    /// The ideas that are new, on the board; `written` is told of each while the next is written, where the router can tell.
    async fn generate(&self, written: impl Fn(String) + Send + Sync) -> Result<Vec<usize>> {
        let stage = Stage::IdeaGeneration;
        self.record.ledger.expect(stage, 1);
        self.begin(stage, &[], 0);
        let wanted = GenerateIdeas {
            brief: self.brief(stage),
            count: self.options.ideas_to_generate(),
            minimum: self.options.num_top_candidates,
            parts: &self.options.parts,
        };
        let bounded = self.bounded(stage)?;
        let growing = Growing { router: &bounded, closed: written::listener(written) };
        let router: &dyn Generate = if self.record.shape == Shape::Fanout { &growing } else { &bounded };
        let answer = IdeaGenerator { router }.generate(&wanted).await.inspect_err(|error| {
            self.record.ledger.settle(stage, 0, 1, Some(&error.to_string()));
        })?;
        let mut ideas: Vec<String> = answer.value.iter().map(IdeaItem::text).collect();
        let generated = ideas.len();
        if self.options.enable_novelty_filter {
            ideas = novelty::filter(ideas, |idea| idea, self.options.novelty_threshold);
        }
        self.record.ledger.settle(stage, generated, 0, None);
        let known = self.record.board.find(&ideas);
        let numbers: Vec<usize> =
            known.into_iter().zip(ideas).map(|(known, idea)| known.unwrap_or_else(|| self.add(idea))).collect();
        self.record.pace().keep(&numbers, 0.3);
        self.at(0.3);
        self.end(stage, Some(format!("Generated {}", counted(generated))));
        Ok(numbers)
    }

    /// Sends the ideas through `stages`, in groups that do not wait for each other.
    async fn flow(&self, stages: &[Stage], ideas: &[usize]) -> Result<(), Halt> {
        let stages: Vec<Stage> = stages.iter().copied().filter(|stage| self.options.wants(*stage)).collect();
        let groups: Vec<&[usize]> = self.record.shape.groups(ideas).collect();
        for stage in &stages {
            self.record.ledger.expect(*stage, groups.len());
        }
        if let Some(first) = stages.first() {
            self.record.pace().reach(ideas, first.span().0);
        }
        let ways = groups.into_iter().map(|group| async {
            let mut group = group.to_vec();
            for stage in &stages {
                self.pass(*stage, &group).await?;
                if Stage::AFTER_SELECTION.contains(stage) {
                    group = self.review(*stage, &group).await?;
                }
            }
            Ok::<_, Halt>(())
        });
        try_join_all(ways).await.map(drop)
    }

    /// Takes `group` through one stage: in one call, or in several at a time where one would be too long.
    async fn pass(&self, stage: Stage, group: &[usize]) -> Result<()> {
        let board = &self.record.board;
        let present =
            board.present(group, |candidate| stage != Stage::ReEvaluation || candidate.improved_idea.is_some());
        self.begin(stage, &present, group.len());
        let router = self.bounded(stage)?;
        let portions = shape::portions(board, &present, self.options.batch_tokens);
        let outcomes = join_all(portions.iter().map(|portion| self.ask(stage, &router, portion))).await;
        outcomes.into_iter().collect::<Result<()>>()?;
        self.record.pace().reach(group, stage.span().1);
        self.end(stage, None);
        Ok(())
    }

    /// Asks the agent of `stage` about `ideas`, which become richer by what it says. The table of the stages.
    async fn ask(&self, stage: Stage, router: &Bounded<'_>, ideas: &[usize]) -> Result<()> {
        let board = &self.record.board;
        let brief = self.brief(stage);
        match stage {
            // Generation has no ideas yet: `generate` begins the story.
            Stage::IdeaGeneration => Ok(()),
            Stage::Evaluation => {
                let texts = board.read(ideas, |candidate| candidate.idea.clone());
                let answer = Critic { router }.evaluate(&texts, &brief).await;
                self.settle(stage, answer, ideas, Candidate::evaluate)
            }
            Stage::Advocacy => {
                let cases = board.read(ideas, |candidate| AdvocateCase {
                    idea: candidate.idea.clone(),
                    evaluation: candidate.evaluation(),
                });
                let answer = Advocate { router }.advocate_batch(&cases, &brief).await;
                self.settle(stage, answer, ideas, |candidate, advocacy| candidate.advocacy = Some(advocacy.formatted()))
            }
            // The skeptic sees the advocacy, where there is one.
            Stage::Skepticism => {
                let cases = board.read(ideas, |candidate| SkepticCase {
                    idea: candidate.idea.clone(),
                    advocacy: candidate.advocacy.clone().unwrap_or_default(),
                });
                let answer = Skeptic { router }.criticize_batch(&cases, &brief).await;
                self.settle(stage, answer, ideas, |candidate, doubt| candidate.skepticism = Some(doubt.formatted()))
            }
            Stage::Improvement => {
                let cases = board.read(ideas, |candidate| ImproveCase {
                    idea: candidate.idea.clone(),
                    evaluation: candidate.evaluation(),
                    advocacy: candidate.advocacy.clone().unwrap_or_default(),
                    skepticism: candidate.skepticism.clone().unwrap_or_default(),
                });
                let answer = StructuredIdeaGenerator { router }.improve_batch(&cases, &brief).await;
                self.settle(stage, answer, ideas, |candidate, improvement| candidate.improve(improvement.text()))
            }
            // In the original context. An idea without an improvement has said so already.
            Stage::ReEvaluation => {
                let texts = board.read(ideas, |candidate| candidate.improved_idea.clone().unwrap_or_default());
                let answer = Critic { router }.evaluate(&texts, &brief).await;
                self.settle(stage, answer, ideas, Candidate::re_evaluate)
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
        let told = self.record.board.read(&[idea_index], |candidate| match stage {
            Stage::Evaluation => {
                candidate.initial_score.map(|score| EventKind::IdeaScored { stage, idea_index, score })
            }
            Stage::ReEvaluation => {
                candidate.improved_score.map(|score| EventKind::IdeaScored { stage, idea_index, score })
            }
            Stage::Improvement => {
                candidate.improved_idea.clone().map(|idea| EventKind::IdeaImproved { idea_index, idea })
            }
            Stage::IdeaGeneration | Stage::Advocacy | Stage::Skepticism => None,
        });
        for kind in told.into_iter().flatten() {
            self.tell(kind, None);
        }
    }

    /// The ideas of `group` that the caller's gate lets go on.
    async fn review(&self, stage: Stage, group: &[usize]) -> Result<Vec<usize>, Halt> {
        let board = &self.record.board;
        let Some(gate) = self.hooks.gate else { return Ok(group.to_vec()) };
        let present = board.present(group, |_| true);
        if present.is_empty() {
            return Ok(present);
        }
        let review = Review { stage, candidates: board.numbered(&present) };
        let Ok(verdict) = timeout_at(self.deadline.at, gate.review(review)).await else {
            // Whoever was asked has not answered: the stages ahead find the time over.
            self.record.cut(Cut::Deadline);
            return Ok(present);
        };
        match verdict? {
            Verdict::Approve => Ok(present),
            Verdict::Stop(reason) => Err(Halt::Stopped(reason)),
            Verdict::Keep(edited) => {
                board.edit(&present, edited)?;
                let left = board.present(&present, |_| true);
                if left.is_empty() && self.record.shape == Shape::Batch {
                    return Err(Halt::Stopped("no idea was left".to_owned()));
                }
                Ok(left)
            }
        }
    }

    fn begin(&self, stage: Stage, ideas: &[usize], group: usize) {
        // A stage that none of its ideas can come to does not begin.
        if ideas.is_empty() && group > 0 {
            return;
        }
        let start = stage.span().0;
        let message = match stage {
            Stage::IdeaGeneration => {
                self.at(start);
                Some("Generating ideas".to_owned())
            }
            Stage::Evaluation => Some(format!("Evaluating {}", counted(self.record.pace().ideas()))),
            Stage::Advocacy => Some("Weighing advocacy and skepticism".to_owned()),
            Stage::Skepticism => None,
            Stage::Improvement => Some("Improving ideas".to_owned()),
            Stage::ReEvaluation => Some("Evaluating the improved ideas".to_owned()),
        };
        self.record.pace().reach(ideas, start);
        if self.record.ledger.enter(stage, self.record.seconds()) {
            self.tell(EventKind::StageStarted { stage }, message);
        }
    }

    fn end(&self, stage: Stage, message: Option<String>) {
        let now = self.record.seconds();
        let Some((status, reason)) = self.record.ledger.leave(stage, now) else { return };
        self.record.pace().finished(stage, now);
        self.tell(EventKind::StageFinished { stage, status, reason }, message);
        let spent = self.record.ledger.total();
        self.tell(EventKind::Budget { spent, is_reached: false }, None);
    }

    /// The run as a whole has come to `fraction`.
    fn at(&self, fraction: f64) {
        self.record.pace().advance(fraction);
    }

    fn progress(&self, message: &str) {
        self.tell(EventKind::Progress, Some(message.to_owned()));
    }

    fn tell(&self, kind: EventKind, message: Option<String>) {
        let fraction = self.record.tell(kind, message.clone());
        if let Some(message) = message {
            self.hooks.progress.emit(&message, fraction);
        }
    }

    fn brief(&self, stage: Stage) -> Brief<'a> {
        Brief {
            topic: &self.options.topic,
            context: &self.options.context,
            temperature: self.options.temperatures.of(stage),
        }
    }

    /// The router as `stage` sees it; the stage's time begins now.
    fn bounded(&self, stage: Stage) -> Result<Bounded<'a>> {
        let limit = options::seconds(stage.as_str(), self.options.stage_timeouts.of(stage))?;
        Ok(Bounded {
            router: self.router,
            permits: self.permits,
            record: self.record,
            stage,
            stage_deadline: Deadline::new(limit),
            run_deadline: self.deadline,
        })
    }
}
