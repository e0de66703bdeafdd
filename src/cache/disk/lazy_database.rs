//! A thread's connection to the database: opened on first use, and reopened after the file was replaced.

use std::sync::Arc;
use std::time::Duration;

use super::database::Database;
use super::error::DatabaseError;
use super::folder::Folder;
use super::health::DiskHealth;

#[derive(Debug)]
pub(super) struct LazyDatabase {
    pub(super) folder: Folder,
    pub(super) health: Arc<DiskHealth>,
    /// How long a statement waits for other processes.
    busy_timeout: Duration,
    database: Option<Database>,
}

impl LazyDatabase {
    pub(super) fn new(folder: Folder, health: Arc<DiskHealth>, busy_timeout: Duration) -> Self {
        Self { folder, health, busy_timeout, database: None }
    }

    /// Returns whether there is no database yet. Reading does not create one.
    pub(super) fn is_missing(&self) -> bool {
        self.folder.database_id().is_none() && !self.folder.is_obstructed()
    }

    /// Calls `work` with the database. A damaged database is set aside; the next call creates a new one.
    pub(super) fn with<T>(
        &mut self,
        work: impl FnOnce(&mut Database) -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        let outcome = self.open().and_then(work);
        if let Err(error) = &outcome {
            self.on_error(error);
        }
        outcome
    }

    /// Closes every file.
    pub(super) fn close(&mut self) {
        self.database = None;
    }

    fn open(&mut self) -> Result<&mut Database, DatabaseError> {
        if let Some(database) = self.database.take().filter(|database| database.is_current(&self.folder)) {
            return Ok(self.database.insert(database));
        }
        let (database, is_replacement) = Database::open(&self.folder, self.busy_timeout)?;
        if is_replacement {
            self.health.replaced(self.folder.path());
        }
        Ok(self.database.insert(database))
    }

    fn on_error(&mut self, error: &DatabaseError) {
        self.health.failed(self.folder.path(), error);
        match (error, self.database.take()) {
            (DatabaseError::Damaged(_), Some(database)) => {
                if let Err(error) = database.set_aside(&self.folder) {
                    self.health.failed(self.folder.path(), &DatabaseError::from(error));
                }
            }
            (DatabaseError::Busy | DatabaseError::Unwritable(_), database) => self.database = database,
            _ => {}
        }
    }
}
