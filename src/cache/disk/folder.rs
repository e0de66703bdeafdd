//! The files of the disk tier, their permissions, and the lock between processes.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long to wait for the lock if another process holds it.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// The interval between attempts to take the lock.
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(2);

/// The folder of the disk tier. It may not exist yet.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
}

/// Identifies a file whatever its name: device and inode number.
pub(super) type FileId = (u64, u64);

/// The exclusive right among all processes to create, set up and replace the database.
pub(super) struct FolderLock(File);

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join("answers.sqlite3")
    }

    /// Returns where the last damaged database is kept.
    pub(super) fn damaged_database(&self) -> PathBuf {
        self.path.join("answers.damaged")
    }

    /// Creates the folder if it is missing, for its owner only, and takes the lock. An existing folder keeps its
    /// permissions.
    pub(super) fn lock(&self) -> io::Result<FolderLock> {
        create_private_folder(&self.path)?;
        let file = private_file(OpenOptions::new().create(true).append(true)).open(self.path.join("lock"))?;
        let deadline = Instant::now() + LOCK_TIMEOUT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(FolderLock(file)),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "another process holds its lock"));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_RETRY_INTERVAL),
            }
        }
    }

    /// Creates an empty database file if it is missing, for its owner only. `SQLite` gives its other files the same
    /// permissions. An existing file is not opened: closing it would release the locks that `SQLite` has on it.
    pub(super) fn create_database(&self, lock: &FolderLock) -> io::Result<()> {
        if self.database_id().is_none() {
            self.remove_logs(lock)?;
        }
        match private_file(OpenOptions::new().create_new(true).write(true)).open(self.database()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns the identity of the database file, or `None` if it is missing.
    pub(super) fn database_id(&self) -> Option<FileId> {
        file_id(&self.database())
    }

    /// Returns whether the database's name belongs to something other than a file.
    pub(super) fn is_obstructed(&self) -> bool {
        fs::metadata(self.database()).is_ok_and(|found| !found.is_file())
    }

    /// Renames the database to [`Folder::damaged_database`], replacing an older one.
    pub(super) fn set_database_aside(&self, lock: &FolderLock) -> io::Result<()> {
        let (database, damaged) = (self.database(), self.damaged_database());
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

    /// Deletes the last damaged database, if possible.
    pub(super) fn remove_damaged_database(&self) {
        drop(fs::remove_file(self.damaged_database()));
    }

    /// Removes the logs of a database that is gone, which `SQLite` would apply to the next one.
    fn remove_logs(&self, _: &FolderLock) -> io::Result<()> {
        for suffix in ["-wal", "-shm", "-journal"] {
            let mut log = self.database().into_os_string();
            log.push(suffix);
            match fs::remove_file(log) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // If this fails, closing the file releases the lock.
        drop(self.0.unlock());
    }
}

#[cfg(unix)]
fn create_private_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn create_private_folder(folder: &Path) -> io::Result<()> {
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
fn file_id(file: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(file).ok().map(|found| (found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn file_id(file: &Path) -> Option<FileId> {
    // Open files cannot be moved or deleted on these systems.
    fs::metadata(file).ok().map(|_| (0, 0))
}
