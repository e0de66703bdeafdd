//! The folder of the disk tier: its files, their rights, and the lock around all that only one process may do.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long another process may hold the lock.
const LOCK_LIMIT: Duration = Duration::from_secs(5);

/// How long to wait before the lock is tried again.
const LOCK_PAUSE: Duration = Duration::from_millis(2);

/// A folder that may not exist yet.
#[derive(Debug, Clone)]
pub(super) struct Place {
    folder: PathBuf,
}

/// Which file a name led to: device and number.
pub(super) type Identity = (u64, u64);

/// The right to make, judge and replace the database, among all processes.
pub(super) struct Lock(File);

impl Place {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn database(&self) -> PathBuf {
        self.folder.join("answers.sqlite3")
    }

    /// Where a damaged database is put aside; the next one takes its place.
    pub(super) fn damaged(&self) -> PathBuf {
        self.folder.join("answers.damaged")
    }

    /// Makes the folder where it is missing, for its owner alone, and waits for the lock. A folder that exists keeps its
    /// rights, and so does its owner's choice.
    pub(super) fn lock(&self) -> io::Result<Lock> {
        private_folder(&self.folder)?;
        let file = private_file(OpenOptions::new().create(true).append(true)).open(self.folder.join("lock"))?;
        let until = Instant::now() + LOCK_LIMIT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock(file)),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "another process holds its lock"));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            }
        }
    }

    /// Makes an empty database file where there is none, for its owner alone; what `SQLite` puts beside it gets the same
    /// rights. One that exists is not opened here: to close it again would give up the locks that `SQLite` has on it.
    pub(super) fn create(&self, lock: &Lock) -> io::Result<()> {
        if self.identity().is_none() {
            self.remove_logs(lock)?;
        }
        match private_file(OpenOptions::new().create_new(true).write(true)).open(self.database()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// Which file the database is now; `None` where there is none.
    pub(super) fn identity(&self) -> Option<Identity> {
        identity(&self.database())
    }

    /// Whether something that is no file has the database's name.
    pub(super) fn is_obstructed(&self) -> bool {
        fs::metadata(self.database()).is_ok_and(|found| !found.is_file())
    }

    /// Takes the database out of the way.
    pub(super) fn set_aside(&self, lock: &Lock) -> io::Result<()> {
        let (database, damaged) = (self.database(), self.damaged());
        self.remove_logs(lock)?;
        match fs::remove_file(&damaged) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => drop(fs::remove_dir(&damaged)),
            Ok(()) => {}
        }
        match fs::rename(&database, &damaged) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// What belonged to a database that is gone must never be read into the next one.
    fn remove_logs(&self, _: &Lock) -> io::Result<()> {
        for end in ["-wal", "-shm", "-journal"] {
            match fs::remove_file(beside(&self.database(), end)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Deletes what was put aside.
    pub(super) fn remove_damaged(&self) {
        // A cache goes on without having deleted it.
        drop(fs::remove_file(self.damaged()));
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file gives it up as well.
        drop(self.0.unlock());
    }
}

fn beside(database: &Path, end: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

#[cfg(unix)]
fn private_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(folder)
}

#[cfg(unix)]
fn private_file(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600)
}

#[cfg(not(unix))]
fn private_file(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(unix)]
fn identity(file: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(file).ok().map(|found| (found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn identity(file: &Path) -> Option<Identity> {
    // Files in use cannot be moved or deleted there.
    fs::metadata(file).ok().map(|_| (0, 0))
}
