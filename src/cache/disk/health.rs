//! Whether the disk is used at the moment, and what was said about it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::database::Trouble;
use crate::sync::{Mutex, lock};

/// How long a disk is left alone that could not be used.
const REST: Duration = Duration::from_secs(30);

/// How long it is left alone where it only does not answer.
const LATE_REST: Duration = Duration::from_secs(5);

/// How many look-ups in a row have to be late before that is called trouble: a machine may be busy once.
const LATE: u32 = 3;

/// Shared by all who use one folder.
#[derive(Debug, Default)]
pub(super) struct DiskHealth {
    /// Neither read nor written before.
    reads_from: Mutex<Option<Instant>>,
    /// Not written before.
    writes_from: Mutex<Option<Instant>>,
    /// Whether the one who reads has the database open.
    is_open: AtomicBool,
    late: AtomicU32,
    errors: AtomicU64,
    is_told: AtomicBool,
}

impl DiskHealth {
    pub(super) fn may_read(&self) -> bool {
        is_over(&self.reads_from)
    }

    pub(super) fn may_write(&self) -> bool {
        self.may_read() && is_over(&self.writes_from)
    }

    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Takes note of what went wrong in `folder`.
    pub(super) fn failed(&self, folder: &Path, trouble: &Trouble) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        let folder = folder.display();
        match trouble {
            Trouble::Busy => tracing::debug!("the response cache in {folder} is in use for long by other processes"),
            Trouble::Damaged(text) => {
                self.tell(format_args!("the response cache in {folder} is damaged ({text}) and begun anew"));
            }
            Trouble::Newer => {
                rest(&self.reads_from, REST);
                self.tell(format_args!(
                    "the response cache in {folder} was written by a newer version: answers are not kept on disk"
                ));
            }
            Trouble::Unwritable(text) => {
                rest(&self.writes_from, REST);
                self.tell(format_args!("the response cache in {folder} takes no more ({text}): no answers are added"));
            }
            Trouble::Unusable(text) => {
                rest(&self.reads_from, REST);
                self.tell(format_args!(
                    "the response cache in {folder} cannot be used ({text}): answers are not kept on disk"
                ));
            }
        }
    }

    /// A new database has taken the place of one that was damaged.
    pub(super) fn replaced(&self, folder: &Path) {
        self.failed(folder, &Trouble::Damaged("put aside as answers.damaged".to_owned()));
    }

    /// Whether the database is open for reading. To open it may take longer than to read: other processes may be making it,
    /// or the last one was ended by force.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    pub(super) fn set_open(&self, is_open: bool) {
        self.is_open.store(is_open, Ordering::Relaxed);
    }

    /// A look-up was answered.
    pub(super) fn in_time(&self) {
        self.late.store(0, Ordering::Relaxed);
    }

    /// A look-up was given up.
    pub(super) fn late(&self, folder: &Path) {
        if self.late.fetch_add(1, Ordering::Relaxed) + 1 >= LATE {
            self.errors.fetch_add(1, Ordering::Relaxed);
            self.late.store(0, Ordering::Relaxed);
            rest(&self.reads_from, LATE_REST);
            let folder = folder.display();
            self.tell(format_args!("the disk of the response cache in {folder} does not answer: it is left alone"));
        }
    }

    /// Said once for each folder, not for each call.
    fn tell(&self, text: std::fmt::Arguments<'_>) {
        if self.is_told.swap(true, Ordering::Relaxed) {
            tracing::debug!("{text}");
        } else {
            tracing::warn!("{text}");
        }
    }
}

fn is_over(from: &Mutex<Option<Instant>>) -> bool {
    lock(from).is_none_or(|from| Instant::now() >= from)
}

fn rest(from: &Mutex<Option<Instant>>, pause: Duration) {
    *lock(from) = Some(Instant::now() + pause);
}
