//! One thread's way to the database: opened when it is needed, opened anew when it was replaced.

use std::sync::Arc;
use std::time::Duration;

use super::database::{Database, Trouble};
use super::health::DiskHealth;
use super::place::Place;

#[derive(Debug)]
pub(super) struct Access {
    place: Place,
    health: Arc<DiskHealth>,
    /// How long a statement waits for other processes.
    patience: Duration,
    database: Option<Database>,
}

impl Access {
    pub(super) fn new(place: Place, health: Arc<DiskHealth>, patience: Duration) -> Self {
        Self { place, health, patience, database: None }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn health(&self) -> &DiskHealth {
        &self.health
    }

    /// Whether there is no database yet, and so nothing to read: reading makes none.
    pub(super) fn is_missing(&self) -> bool {
        self.place.identity().is_none() && !self.place.is_obstructed()
    }

    /// Does `work` with the database. A damaged one is put aside; a new one takes its place at the next time.
    pub(super) fn with<T>(&mut self, work: impl FnOnce(&mut Database) -> Result<T, Trouble>) -> Result<T, Trouble> {
        let outcome = self.open().and_then(work);
        if let Err(trouble) = &outcome {
            self.failed(trouble);
        }
        outcome
    }

    /// Closes every file.
    pub(super) fn let_go(&mut self) {
        self.database = None;
    }

    fn open(&mut self) -> Result<&mut Database, Trouble> {
        if let Some(database) = self.database.take().filter(|database| database.is_current(&self.place)) {
            return Ok(self.database.insert(database));
        }
        let (database, is_replaced) = Database::open(&self.place, self.patience)?;
        if is_replaced {
            self.health.replaced(self.place.folder());
        }
        Ok(self.database.insert(database))
    }

    fn failed(&mut self, trouble: &Trouble) {
        self.health.failed(self.place.folder(), trouble);
        match (trouble, self.database.take()) {
            (Trouble::Damaged(_), Some(database)) => {
                if let Err(error) = database.set_aside(&self.place) {
                    self.health.failed(self.place.folder(), &Trouble::from(error));
                }
            }
            (Trouble::Busy | Trouble::Unwritable(_), database) => self.database = database,
            _ => {}
        }
    }
}
