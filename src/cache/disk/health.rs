//! Whether the disk tier is usable, and what was logged about it.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::error::DatabaseError;
use crate::sync::{Mutex, lock};

/// How long a disk is not used after an error.
const ERROR_COOLDOWN: Duration = Duration::from_secs(30);

/// How long a disk is not used after it responded too late.
const TIMEOUT_COOLDOWN: Duration = Duration::from_secs(5);

/// The number of consecutive timeouts that start a cooldown. A busy machine may cause one.
const MAX_TIMEOUTS: u32 = 3;

/// The health of a folder, shared by its reader and its writer.
#[derive(Debug, Default)]
pub(super) struct DiskHealth {
    /// The end of the cooldown of all access.
    unusable_until: Mutex<Option<Instant>>,
    /// The end of the cooldown of writes.
    unwritable_until: Mutex<Option<Instant>>,
    /// Whether the reader has the database open.
    is_open: AtomicBool,
    timeouts: AtomicU32,
    errors: AtomicU64,
    has_warned: AtomicBool,
}

impl DiskHealth {
    pub(super) fn can_read(&self) -> bool {
        is_over(&self.unusable_until)
    }

    pub(super) fn can_write(&self) -> bool {
        self.can_read() && is_over(&self.unwritable_until)
    }

    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Records and logs an error of the database in `folder`.
    pub(super) fn failed(&self, folder: &Path, error: &DatabaseError) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        let folder = folder.display();
        match error {
            DatabaseError::Busy => tracing::debug!("other processes keep the response cache in {folder} locked"),
            DatabaseError::Damaged(text) => {
                self.log(format_args!("the response cache in {folder} is damaged ({text}); a new one replaces it"));
            }
            DatabaseError::Newer => {
                start_cooldown(&self.unusable_until, ERROR_COOLDOWN);
                self.log(format_args!(
                    "the response cache in {folder} was written by a newer version; answers are not stored on disk: \
                     upgrade this version, or set another cache_dir"
                ));
            }
            DatabaseError::Unwritable(text) => {
                start_cooldown(&self.unwritable_until, ERROR_COOLDOWN);
                self.log(format_args!(
                    "the response cache in {folder} cannot be written ({text}); new answers are not stored on disk: \
                     free space, or set another cache_dir"
                ));
            }
            DatabaseError::Unusable(text) => {
                start_cooldown(&self.unusable_until, ERROR_COOLDOWN);
                self.log(format_args!(
                    "the response cache in {folder} cannot be used ({text}); answers are not stored on disk: check its \
                     permissions, or set another cache_dir"
                ));
            }
        }
    }

    /// Records and logs that a new database has replaced a damaged one.
    pub(super) fn replaced(&self, folder: &Path) {
        self.failed(folder, &DatabaseError::Damaged("moved to answers.damaged".to_owned()));
    }

    /// Returns whether the database is open for reading. Opening it may take longer than reading: other processes may be
    /// creating it, or the last one was killed.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    pub(super) fn set_open(&self, is_open: bool) {
        self.is_open.store(is_open, Ordering::Relaxed);
    }

    /// Records a lookup that was answered in time.
    pub(super) fn responded(&self) {
        self.timeouts.store(0, Ordering::Relaxed);
    }

    /// Records a lookup that timed out.
    pub(super) fn timed_out(&self, folder: &Path) {
        if self.timeouts.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_TIMEOUTS {
            self.errors.fetch_add(1, Ordering::Relaxed);
            self.timeouts.store(0, Ordering::Relaxed);
            start_cooldown(&self.unusable_until, TIMEOUT_COOLDOWN);
            let (folder, seconds) = (folder.display(), TIMEOUT_COOLDOWN.as_secs());
            self.log(format_args!(
                "the disk of the response cache in {folder} does not respond; it is not used for {seconds} seconds"
            ));
        }
    }

    /// Logs a warning the first time, so that not every call repeats it.
    fn log(&self, text: fmt::Arguments<'_>) {
        if self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::debug!("{text}");
        } else {
            tracing::warn!("{text}");
        }
    }
}

fn is_over(until: &Mutex<Option<Instant>>) -> bool {
    lock(until).is_none_or(|until| Instant::now() >= until)
}

fn start_cooldown(until: &Mutex<Option<Instant>>, cooldown: Duration) {
    *lock(until) = Some(Instant::now() + cooldown);
}
