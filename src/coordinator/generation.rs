//! The beginning of a run: its ideas, and how they are judged while the next ones are written.

use std::sync::{Mutex, PoisonError};

use futures_util::StreamExt as _;
use futures_util::future::try_join;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::event::EventKind;
use super::resolved_mode::ResolvedMode;
use super::run_state::RunState;
use super::stage::Stage;
use super::stage_router::Growing;
use super::{Halt, Run, counted, novelty, written};
use crate::agents::{IdeaGenerator, IdeaItem, IdeaRequest};
use crate::error::Result;
use crate::router::Generate;

impl Run<'_> {
    /// The ideas that are new, each judged as soon as its text is there.
    pub(super) async fn generate_and_judge(&self) -> Result<(), Halt> {
        let RunState { board, ledger, .. } = &**self.record;
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
        let is_known =
            self.record.board.any(|known| known.idea == idea || novelty::similarity(&known.idea, &idea) >= threshold);
        (!is_known).then(|| self.add(idea))
    }

    fn add(&self, idea: String) -> usize {
        let idea_index = self.record.board.add(idea.clone());
        self.tell(EventKind::IdeaGenerated { idea_index, idea }, None);
        idea_index
    }

    /// The ideas that are new, on the board; `written` is told of each while the next is written, where the router can tell.
    pub(super) async fn generate(&self, written: impl Fn(String) + Send + Sync) -> Result<Vec<usize>> {
        let stage = Stage::IdeaGeneration;
        self.record.ledger.expect(stage, 1);
        self.begin(stage, &[], 0);
        let wanted = IdeaRequest {
            brief: self.brief(stage),
            count: self.options.ideas_to_generate(),
            minimum: self.options.num_top_candidates,
            parts: &self.options.parts,
        };
        let bounded = self.bounded(stage)?;
        let growing = Growing { router: &bounded, closed: written::listener(written) };
        let router: &dyn Generate = if self.record.shape == ResolvedMode::Fanout { &growing } else { &bounded };
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
}
