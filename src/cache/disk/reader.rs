//! The thread that reads. It has a connection of its own, so that it never stands behind a write.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::access::Access;
use super::database::{Database, Holdings};
use super::health::DiskHealth;
use super::place::Place;
use crate::cache::entry::{Entry, now};
use crate::cache::key::Key;
use crate::cache::worker::Work;

/// How long a read waits for other processes.
const PATIENCE: Duration = Duration::from_millis(200);

/// How coarsely it is noted when an entry was used, in milliseconds: most reads need no write.
const USE_GRAIN: u64 = 60 * 60 * 1000;

/// What is asked of the thread.
#[derive(Debug)]
pub(super) enum Read {
    Entry { key: Key, reply: oneshot::Sender<Found> },
    Holdings { reply: oneshot::Sender<Holdings> },
}

/// What was found under a key.
#[derive(Debug)]
pub(super) enum Found {
    Nothing,
    /// With whether its use has to be noted.
    Entry(Entry, bool),
    /// What is stored cannot be read.
    Garbage,
}

/// The thread's own.
#[derive(Debug)]
pub(super) struct Reader {
    access: Access,
}

impl Reader {
    pub(super) fn new(place: Place, health: Arc<DiskHealth>) -> Self {
        Self { access: Access::new(place, health, PATIENCE) }
    }

    fn find(&mut self, key: &Key) -> Found {
        if self.access.is_missing() || !self.access.health().may_read() {
            return Found::Nothing;
        }
        let found = self.access.with(|database| database.get(key));
        self.access.health().set_open(found.is_ok());
        let Ok(Some(stored)) = found else { return Found::Nothing };
        let is_noted = now().saturating_sub(stored.used) > USE_GRAIN;
        Entry::decode(key, &stored.entry).map_or(Found::Garbage, |entry| Found::Entry(entry, is_noted))
    }
}

impl Work for Reader {
    type Job = Read;

    /// A caller that has given up is told nothing; one that finds nothing told is told by that.
    fn run(&mut self, jobs: Vec<Read>) {
        for job in jobs {
            match job {
                Read::Entry { reply, .. } if reply.is_closed() => {}
                Read::Entry { key, reply } => {
                    let found = self.find(&key);
                    let _ = reply.send(found);
                }
                Read::Holdings { reply } if self.access.is_missing() => {
                    let _ = reply.send(Holdings::default());
                }
                Read::Holdings { reply } => {
                    if let Ok(holdings) = self.access.with(|database| Database::holdings(database)) {
                        let _ = reply.send(holdings);
                    }
                }
            }
        }
    }

    fn let_go(&mut self) {
        self.access.health().set_open(false);
        self.access.let_go();
    }
}
