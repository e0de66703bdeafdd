//! A state machine that reads a text once, in all of its states at a time.

use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// The largest number of states. A repetition has the states of its expression so many times.
const MAX_STATES: usize = 50_000;

/// A state by its index.
type StateId = usize;

#[derive(Debug)]
enum State {
    /// Reads one character of the class, and continues.
    Read(ClassId, StateId),
    /// Continues in both states.
    Split(StateId, StateId),
    /// Continues if the position satisfies the assertion.
    Assert(Look, StateId),
    /// The expression matches.
    Match,
}

/// A class by its index.
type ClassId = usize;

/// The ranges of characters of a class, in order.
type Ranges = Vec<(char, char)>;

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Machine {
    states: Vec<State>,
    classes: Vec<Ranges>,
    start: StateId,
}

impl Machine {
    /// Compiles `expression`; `None` if it is too large.
    pub(super) fn compile(expression: &Hir) -> Option<Self> {
        let mut machine = Self { states: vec![State::Match], classes: Vec::new(), start: 0 };
        machine.start = machine.add(expression, 0)?;
        Some(machine)
    }

    /// Returns whether a part of `text` matches, and the number of steps; `None` if that takes more than `most`.
    pub(super) fn find(&self, text: &str, most: usize) -> (Option<bool>, usize) {
        // Some for the sets of states.
        let mut steps = self.states.len() / 16;
        let mut before = None;
        let mut characters = text.chars();
        // The states at the current position; those that read a character; those after it.
        let (mut active, mut reading, mut next) = (States::new(self.states.len()), Vec::new(), Vec::new());
        loop {
            let character = characters.next();
            active.clear();
            reading.clear();
            // A match may begin at each position.
            next.push(self.start);
            while let Some(id) = next.pop() {
                steps += 1;
                if !active.insert(id) {
                    continue;
                }
                match &self.states[id] {
                    State::Match => return (Some(true), steps),
                    State::Read(class, target) => reading.push((*class, *target)),
                    State::Split(one, other) => next.extend([*other, *one]),
                    State::Assert(look, target) if is_satisfied(*look, before, character) => next.push(*target),
                    State::Assert(..) => {}
                }
            }
            steps += reading.len();
            if steps > most {
                return (None, steps);
            }
            let Some(character) = character else { return (Some(false), steps) };
            let is_read = |(class, _): &&(ClassId, StateId)| is_in(&self.classes[*class], character);
            next.extend(reading.iter().filter(is_read).map(|(_, target)| *target));
            before = Some(character);
        }
    }

    /// Adds the states of `expression`, after which the machine continues in `next`. Returns the first of them.
    fn add(&mut self, expression: &Hir, next: StateId) -> Option<StateId> {
        match expression.kind() {
            HirKind::Empty => Some(next),
            HirKind::Literal(literal) => {
                let text = std::str::from_utf8(&literal.0).ok()?;
                text.chars().rev().try_fold(next, |next, character| self.read(vec![(character, character)], next))
            }
            HirKind::Class(Class::Unicode(class)) => {
                self.read(class.ranges().iter().map(|range| (range.start(), range.end())).collect(), next)
            }
            HirKind::Class(Class::Bytes(class)) => {
                let range = |range: &regex_syntax::hir::ClassBytesRange| (range.start().into(), range.end().into());
                self.read(class.ranges().iter().map(range).collect(), next)
            }
            HirKind::Look(look) => self.push(State::Assert(*look, next)),
            HirKind::Capture(capture) => self.add(&capture.sub, next),
            HirKind::Concat(parts) => parts.iter().rev().try_fold(next, |next, part| self.add(part, next)),
            HirKind::Alternation(parts) => {
                let (last, parts) = parts.split_last()?;
                let last = self.add(last, next)?;
                parts.iter().rev().try_fold(last, |other, part| {
                    let one = self.add(part, next)?;
                    self.push(State::Split(one, other))
                })
            }
            HirKind::Repetition(repetition) => {
                let mut first = match repetition.max {
                    // A loop: one state that leads back to itself through the expression.
                    None => {
                        let again = self.push(State::Split(next, next))?;
                        let inner = self.add(&repetition.sub, again)?;
                        self.states[again] = State::Split(inner, next);
                        again
                    }
                    Some(most) => (repetition.min..most).try_fold(next, |rest, _| {
                        let inner = self.add(&repetition.sub, rest)?;
                        self.push(State::Split(inner, next))
                    })?,
                };
                for _ in 0..repetition.min {
                    let added = self.add(&repetition.sub, first)?;
                    // An empty expression adds nothing, however often.
                    if std::mem::replace(&mut first, added) == added {
                        break;
                    }
                }
                Some(first)
            }
        }
    }

    fn read(&mut self, class: Ranges, next: StateId) -> Option<StateId> {
        let id = self.classes.len();
        self.classes.push(class);
        self.push(State::Read(id, next))
    }

    fn push(&mut self, state: State) -> Option<StateId> {
        let id = self.states.len();
        (id < MAX_STATES).then(|| self.states.push(state))?;
        Some(id)
    }
}

/// A set of states that is cleared in constant time.
struct States {
    /// For each state the round in which it was inserted last.
    inserted: Vec<u64>,
    round: u64,
}

impl States {
    fn new(count: usize) -> Self {
        Self { inserted: vec![0; count], round: 0 }
    }

    fn clear(&mut self) {
        self.round += 1;
    }

    /// Inserts `id`. Returns false if it was there.
    fn insert(&mut self, id: StateId) -> bool {
        std::mem::replace(&mut self.inserted[id], self.round) != self.round
    }
}

fn is_in(class: &[(char, char)], character: char) -> bool {
    let after = class.partition_point(|(start, _)| *start <= character);
    after.checked_sub(1).is_some_and(|range| character <= class[range].1)
}

/// Returns whether the position between `before` and `after` satisfies `look`.
fn is_satisfied(look: Look, before: Option<char>, after: Option<char>) -> bool {
    let is_ascii = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    match look {
        Look::Start => before.is_none(),
        Look::End => after.is_none(),
        Look::StartLF | Look::StartCRLF => before.is_none_or(|c| c == '\n'),
        Look::EndLF | Look::EndCRLF => after.is_none_or(|c| c == '\n'),
        Look::WordAscii => is_ascii(before) != is_ascii(after),
        Look::WordAsciiNegate => is_ascii(before) == is_ascii(after),
        Look::WordStartAscii => !is_ascii(before) && is_ascii(after),
        Look::WordEndAscii => is_ascii(before) && !is_ascii(after),
        Look::WordStartHalfAscii => !is_ascii(before),
        Look::WordEndHalfAscii => !is_ascii(after),
        Look::WordUnicode => is_word(before) != is_word(after),
        Look::WordUnicodeNegate => is_word(before) == is_word(after),
        Look::WordStartUnicode => !is_word(before) && is_word(after),
        Look::WordEndUnicode => is_word(before) && !is_word(after),
        Look::WordStartHalfUnicode => !is_word(before),
        Look::WordEndHalfUnicode => !is_word(after),
    }
}
