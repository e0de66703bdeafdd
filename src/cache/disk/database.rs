//! The database of the disk tier: one connection to it, and every statement.

use std::io;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior, params};

use super::place::{Identity, Lock, Place};
use crate::cache::key::Key;

/// Marks the file as ours: "madc".
const APPLICATION: i64 = 0x6d61_6463;

/// The layout of the tables.
const VERSION: i64 = 1;

/// How many entries are looked at for one step of eviction.
const STEP: u32 = 512;

/// How many free pages are given back to the file system in one go.
const GIVEN_BACK: u64 = 2048;

const TABLES: &str = "
    CREATE TABLE answers (
        key BLOB NOT NULL UNIQUE,
        used INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        entry BLOB NOT NULL
    ) STRICT;
    CREATE INDEX answers_by_use ON answers (used);
    CREATE INDEX answers_by_end ON answers (expires);
";

/// Why the database cannot be used.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It is no database, none of ours, or damaged: a new one has to take its place.
    Damaged(String),
    /// A newer version of this library has written it, and it must stay as it is.
    Newer,
    /// Another process has been writing for long.
    Busy,
    /// It can be read, and takes no change: the disk is full.
    Unwritable(String),
    /// Everything else: rights, a disk that fails.
    Unusable(String),
}

/// One change of the database.
#[derive(Debug)]
pub(super) enum Change {
    /// Times are milliseconds since 1970.
    Put { key: Key, used: u64, expires: u64, entry: Vec<u8> },
    /// The entry was used.
    Touch { key: Key, used: u64 },
    /// The entry is not to be used any more.
    Remove { key: Key },
}

/// An entry as it is stored.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) used: u64,
    pub(super) entry: Vec<u8>,
}

/// What the database holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Holdings {
    /// Entries, those that are too old for some readers among them.
    pub(crate) entries: u64,
    /// Bytes of the pages in use.
    pub(crate) bytes: u64,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Database {
    connection: Connection,
    identity: Option<Identity>,
}

impl Database {
    /// Opens the database of `place`, and makes it where there is none. A damaged one is put aside first; whether that was
    /// done is told beside it. `patience` is how long a statement waits for other processes.
    pub(super) fn open(place: &Place, patience: Duration) -> Result<(Self, bool), Trouble> {
        // Two that make a new database at the same time may fail with "database is locked" however long they would wait,
        // while the journal mode changes. So one at a time does.
        let lock = place.lock()?;
        match Self::open_locked(place, &lock, patience) {
            Err(Trouble::Damaged(_)) => {
                place.set_aside(&lock)?;
                Ok((Self::open_locked(place, &lock, patience)?, true))
            }
            opened => Ok((opened?, false)),
        }
    }

    fn open_locked(place: &Place, lock: &Lock, patience: Duration) -> Result<Self, Trouble> {
        if place.is_obstructed() {
            return Err(Trouble::Damaged("something else has its name".to_owned()));
        }
        place.create(lock)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(place.database(), flags)?;
        connection.busy_timeout(patience)?;
        set_up(&mut connection)?;
        Ok(Self { connection, identity: place.identity() })
    }

    /// Whether it still is what the name leads to: it may have been deleted, or put aside by another process.
    pub(super) fn is_current(&self, place: &Place) -> bool {
        self.identity.is_some() && self.identity == place.identity()
    }

    /// Takes it out of the way where it still is what the name leads to.
    pub(super) fn set_aside(self, place: &Place) -> io::Result<()> {
        let lock = place.lock()?;
        let is_current = self.is_current(place);
        drop(self);
        if is_current { place.set_aside(&lock) } else { Ok(()) }
    }

    pub(super) fn get(&self, key: &Key) -> Result<Option<Stored>, Trouble> {
        let mut statement = self.connection.prepare_cached("SELECT used, entry FROM answers WHERE key = ?1")?;
        let stored = statement.query_row([key.as_bytes().as_slice()], |row| {
            Ok(Stored { used: unsigned(row.get(0)?), entry: row.get(1)? })
        });
        Ok(stored.optional()?)
    }

    /// Makes all of `changes`, or none.
    pub(super) fn apply(&mut self, changes: &[Change]) -> Result<(), Trouble> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for change in changes {
            match change {
                Change::Put { key, used, expires, entry } => transaction
                    .prepare_cached(
                        "INSERT INTO answers (key, used, expires, entry) VALUES (?1, ?2, ?3, ?4)
                         ON CONFLICT (key) DO UPDATE
                         SET used = excluded.used, expires = excluded.expires, entry = excluded.entry",
                    )?
                    .execute(params![key.as_bytes().as_slice(), signed(*used), signed(*expires), entry])?,
                Change::Touch { key, used } => transaction
                    .prepare_cached("UPDATE answers SET used = ?2 WHERE key = ?1")?
                    .execute(params![key.as_bytes().as_slice(), signed(*used)])?,
                Change::Remove { key } => transaction
                    .prepare_cached("DELETE FROM answers WHERE key = ?1")?
                    .execute([key.as_bytes().as_slice()])?,
            };
        }
        Ok(transaction.commit()?)
    }

    /// Deletes what nobody takes any more at `now`, a number of entries at a time; how many.
    pub(super) fn expire(&mut self, now: u64) -> Result<usize, Trouble> {
        const SQL: &str = "DELETE FROM answers WHERE rowid IN (SELECT rowid FROM answers WHERE expires < ?1 LIMIT ?2)";
        let deleted = self.connection.prepare_cached(SQL)?.execute(params![signed(now), STEP])?;
        Ok(deleted)
    }

    /// Deletes the entries that were used the longest ago until all take at most nine tenths of `max_bytes`, where they take
    /// more than that bound; how many. Each step is a change of its own, so that others can write in between.
    pub(super) fn evict(&mut self, max_bytes: u64) -> Result<u64, Trouble> {
        if self.used_bytes()? <= max_bytes {
            return Ok(0);
        }
        let target = max_bytes / 10 * 9;
        let mut evicted = 0;
        loop {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            // Looked at again: another process may have evicted meanwhile.
            let excess = used_bytes(&transaction)?.saturating_sub(target);
            let oldest = if excess == 0 { Vec::new() } else { oldest(&transaction, excess)? };
            for row in &oldest {
                transaction.prepare_cached("DELETE FROM answers WHERE rowid = ?1")?.execute([row])?;
            }
            transaction.commit()?;
            evicted += oldest.len() as u64;
            if oldest.is_empty() {
                return Ok(evicted);
            }
        }
    }

    /// Gives free pages back to the file system, where there are many.
    pub(super) fn give_back(&self) -> Result<(), Trouble> {
        let (pages, free) = (number(&self.connection, "page_count")?, number(&self.connection, "freelist_count")?);
        if free > pages / 4 && free > 64 {
            vacuum(&self.connection, free.min(GIVEN_BACK))?;
        }
        Ok(())
    }

    pub(super) fn holdings(&self) -> Result<Holdings, Trouble> {
        let mut count = self.connection.prepare_cached("SELECT count(*) FROM answers")?;
        let entries = unsigned(count.query_row([], |row| row.get(0))?);
        Ok(Holdings { entries, bytes: self.used_bytes()? })
    }

    /// Deletes every entry and makes the files small; how many entries there were.
    pub(super) fn clear(&mut self) -> Result<u64, Trouble> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let count: i64 = transaction.query_row("SELECT count(*) FROM answers", [], |row| row.get(0))?;
        transaction.execute("DELETE FROM answers", [])?;
        transaction.commit()?;
        vacuum(&self.connection, u64::from(u32::MAX >> 1))?;
        // Fails while another process reads; then the log stays as long as it is and is written over.
        drop(self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
        Ok(unsigned(count))
    }

    fn used_bytes(&self) -> Result<u64, Trouble> {
        Ok(used_bytes(&self.connection)?)
    }
}

fn set_up(connection: &mut Connection) -> Result<(), Trouble> {
    let version = signed_number(connection, "user_version")?;
    let application = signed_number(connection, "application_id")?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, version) {
        (APPLICATION, VERSION) | (0, 0) => {}
        (APPLICATION, newer) if newer > VERSION => return Err(Trouble::Newer),
        _ => return Err(Trouble::Damaged("it belongs to another program".to_owned())),
    }
    if version == 0 && tables > 0 {
        return Err(Trouble::Damaged("it belongs to another program".to_owned()));
    }
    if version == 0 {
        // Before the first page is written; later it has no effect.
        connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
    }
    // Without a log beside it (some network folders) it would be slower and still right.
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.execute_batch(
        "PRAGMA synchronous = NORMAL;
         PRAGMA journal_size_limit = 4194304;
         PRAGMA trusted_schema = OFF;
         PRAGMA temp_store = MEMORY;",
    )?;
    if version == 0 {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(TABLES)?;
        transaction
            .execute_batch(&format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};"))?;
        transaction.commit()?;
    }
    Ok(())
}

/// The rows that were used the longest ago and take about `bytes` together.
fn oldest(connection: &Connection, bytes: u64) -> rusqlite::Result<Vec<i64>> {
    const SQL: &str = "SELECT rowid, length(entry) FROM answers ORDER BY used LIMIT ?1";
    let mut statement = connection.prepare_cached(SQL)?;
    let mut rows = statement.query([STEP])?;
    let (mut found, mut size) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        found.push(row.get(0)?);
        size += unsigned(row.get(1)?);
        if size >= bytes {
            break;
        }
    }
    Ok(found)
}

/// Gives at most `pages` free ones back, one with every row of the answer.
fn vacuum(connection: &Connection, pages: u64) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

fn used_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let pages = number(connection, "page_count")?.saturating_sub(number(connection, "freelist_count")?);
    Ok(pages * number(connection, "page_size")?)
}

fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<u64> {
    signed_number(connection, pragma).map(unsigned)
}

fn signed_number(connection: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    connection.prepare_cached(&format!("PRAGMA {pragma}"))?.query_row([], |row| row.get(0))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// Whether a file could not be made longer, or its content not be brought to the disk.
fn is_write(extended_code: i32) -> bool {
    use rusqlite::ffi;
    let codes =
        [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_TRUNCATE, ffi::SQLITE_IOERR_SHMSIZE];
    codes.contains(&extended_code)
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        match error {
            rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
                ErrorCode::DiskFull | ErrorCode::ReadOnly => Self::Unwritable(text),
                ErrorCode::SystemIoFailure if is_write(failure.extended_code) => Self::Unwritable(text),
                // The unknown one is that of a table or a column that is missing.
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown => Self::Damaged(text),
                _ => Self::Unusable(text),
            },
            // The file holds values of other types than were written.
            rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..) => {
                Self::Damaged(text)
            }
            _ => Self::Unusable(text),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Unusable(error.to_string())
    }
}
