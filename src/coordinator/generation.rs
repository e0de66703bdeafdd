//! The idea generation, and the evaluation of ideas while the next ones are still being streamed.

use futures_util::StreamExt as _;
use futures_util::future::try_join;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::event::EventKind;
use super::mode::ResolvedMode;
use super::partial_ideas;
use super::run::{Halt, Run, counted};
use super::stage::Stage;
use super::stage_router::WithPartials;
use crate::agents::{IdeaGenerator, IdeaItem, IdeaRequest};
use crate::error::Result;
use crate::router::Generate;
use crate::similarity;

impl Run<'_> {
    /// Generates ideas and evaluates each as soon as its text is complete.
    pub(super) async fn generate_and_evaluate(&self) -> Result<(), Halt> {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let evaluation = async {
            let mut seen = Vec::new();
            let mut in_flight = FuturesUnordered::new();
            loop {
                tokio::select! {
                    Some(idea) = receiver.recv() => if !seen.contains(&idea) {
                        seen.push(idea);
                        in_flight.push(async move { self.run_stages(Stage::BEFORE_SELECTION, &[idea]).await });
                    },
                    Some(outcome) = in_flight.next() => outcome?,
                    else => return Ok(()),
                }
            }
        };
        self.handle.update(|state| {
            // One more group keeps these stages open until the generation is done.
            for stage in Stage::BEFORE_SELECTION {
                state.stages.add_groups(*stage, 1);
            }
            let expected: Vec<usize> = (0..self.options.ideas_to_generate()).collect();
            state.progress.restart(&expected, Stage::IdeaGeneration.progress_range().0);
        });
        let generation = async {
            // Dropped at the end of the generation, which ends the evaluation after its last idea.
            let sender = sender;
            let send = |idea| {
                // The receiver is gone if an evaluation has failed.
                let _ = sender.send(idea);
            };
            let ideas = self.generate(|text| self.add_if_novel(text).into_iter().for_each(send)).await?;
            ideas.iter().copied().for_each(send);
            Ok::<_, Halt>(ideas)
        };
        let (ideas, ()) = try_join(generation, evaluation).await?;
        for stage in Stage::BEFORE_SELECTION {
            self.finish_group(*stage, None);
        }
        self.handle.update(|state| state.ideas.retain(&ideas));
        Ok(())
    }

    /// Generates ideas and returns the novel ones. In fan-out mode `on_idea` receives each idea before the reply is
    /// complete, if the router streams.
    pub(super) async fn generate(&self, on_idea: impl Fn(String) + Send + Sync) -> Result<Vec<usize>> {
        let stage = Stage::IdeaGeneration;
        self.handle.update(|state| state.stages.add_groups(stage, 1));
        self.begin(stage, &[]);
        let input = IdeaRequest {
            brief: self.brief(stage),
            count: self.options.ideas_to_generate(),
            minimum: self.options.num_top_candidates,
            parts: &self.options.parts,
        };
        let plain = self.stage_router(stage)?;
        let streaming = WithPartials { router: &plain, on_partial: partial_ideas::listener(input.count, on_idea) };
        let router: &dyn Generate = if self.mode == ResolvedMode::Fanout { &streaming } else { &plain };
        let span = self.stage_span(stage, &[]);
        let answer = IdeaGenerator { router }.generate(&input).instrument(span).await.inspect_err(|error| {
            self.handle.update(|state| state.stages.add_ideas(stage, 0, 1, Some(&error.to_string())));
        })?;
        let mut texts: Vec<String> = answer.value.iter().map(IdeaItem::text).collect();
        let generated = texts.len();
        if self.options.enable_novelty_filter {
            texts = similarity::filter(texts, |text| text, self.options.novelty_threshold);
        }
        self.handle.update(|state| state.stages.add_ideas(stage, generated, 0, None));
        // Looked up before any is added: equal texts of one reply are separate ideas.
        let known = self.handle.read(|state| texts.iter().map(|text| state.ideas.find(text)).collect::<Vec<_>>());
        let ideas: Vec<usize> =
            known.into_iter().zip(texts).map(|(known, text)| known.unwrap_or_else(|| self.add(text))).collect();
        self.handle.update(|state| {
            // The ideas lack what these pages say.
            for reason in state.stages.missing_pages(stage) {
                state.ideas.add_problem(stage, reason);
            }
            state.progress.keep(&ideas, 0.3);
            state.progress.advance(0.3);
        });
        self.finish_group(stage, Some(format!("Generated {}", counted(generated))));
        Ok(ideas)
    }

    /// Adds an idea, unless it is known or the novelty filter finds it too similar to a known one.
    fn add_if_novel(&self, text: String) -> Option<usize> {
        let threshold = if self.options.enable_novelty_filter { self.options.novelty_threshold } else { f64::INFINITY };
        let is_known = self.handle.read(|state| {
            state.ideas.any(|known| known.idea == text || similarity::similarity(&known.idea, &text) >= threshold)
        });
        (!is_known).then(|| self.add(text))
    }

    fn add(&self, text: String) -> usize {
        let idea_index = self.handle.update(|state| state.ideas.add(text.clone()));
        self.report(EventKind::IdeaGenerated { idea_index, idea: text }, None);
        idea_index
    }
}
