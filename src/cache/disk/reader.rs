//! The thread that reads the database, on a connection of its own so that it never waits for a write.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::database::{Database, DatabaseSize};
use super::folder::Folder;
use super::health::DiskHealth;
use super::lazy_database::LazyDatabase;
use crate::cache::entry::{Entry, now};
use crate::cache::key::Key;
use crate::cache::worker::Work;

/// How long a read waits for other processes.
const BUSY_TIMEOUT: Duration = Duration::from_millis(200);

/// The resolution of the time of an entry's last use, in milliseconds. It is coarse, so that most reads need no write.
const LAST_USE_RESOLUTION: u64 = 60 * 60 * 1000;

/// A job of the reader. A reply that is dropped unsent means that the database cannot be used.
#[derive(Debug)]
pub(super) enum Read {
    Entry { key: Key, reply: oneshot::Sender<ReadResult> },
    Size { reply: oneshot::Sender<DatabaseSize> },
}

#[derive(Debug)]
pub(super) enum ReadResult {
    Missing,
    /// The stored bytes are not a valid entry.
    Invalid,
    Found {
        entry: Entry,
        /// Whether the time of its last use has to be updated.
        is_touch_due: bool,
    },
}

#[derive(Debug)]
pub(super) struct Reader {
    database: LazyDatabase,
}

impl Reader {
    pub(super) fn new(folder: Folder, health: Arc<DiskHealth>) -> Self {
        Self { database: LazyDatabase::new(folder, health, BUSY_TIMEOUT) }
    }

    fn read(&mut self, key: &Key) -> ReadResult {
        if self.database.is_missing() || !self.database.health.can_read() {
            return ReadResult::Missing;
        }
        let row = self.database.with(|database| database.get(key));
        self.database.health.set_open(row.is_ok());
        let Ok(Some(row)) = row else { return ReadResult::Missing };
        let is_touch_due = now().saturating_sub(row.used) > LAST_USE_RESOLUTION;
        Entry::decode(key, &row.entry).map_or(ReadResult::Invalid, |entry| ReadResult::Found { entry, is_touch_due })
    }
}

impl Work for Reader {
    type Job = Read;

    fn run(&mut self, jobs: Vec<Read>) {
        for job in jobs {
            match job {
                // The caller has given up.
                Read::Entry { reply, .. } if reply.is_closed() => {}
                Read::Entry { key, reply } => {
                    let result = self.read(&key);
                    let _ = reply.send(result);
                }
                Read::Size { reply } if self.database.is_missing() => {
                    let _ = reply.send(DatabaseSize::default());
                }
                Read::Size { reply } => {
                    if let Ok(size) = self.database.with(|database| Database::size(database)) {
                        let _ = reply.send(size);
                    }
                }
            }
        }
    }

    fn close_files(&mut self) {
        self.database.health.set_open(false);
        self.database.close();
    }
}
