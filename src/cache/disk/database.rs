//! The `SQLite` database of the disk tier, with all its statements.

use std::io;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};

use super::error::DatabaseError;
use super::folder::{FileId, Folder, FolderLock};
use crate::cache::key::Key;

/// Identifies the file as a cache of this library: "madc".
const APPLICATION_ID: i64 = 0x6d61_6463;

/// The version of the tables.
const VERSION: i64 = 1;

/// The number of entries that one statement may delete.
const DELETE_BATCH: u32 = 512;

/// The number of free pages that are returned to the file system at a time.
const SHRINK_BATCH: u64 = 2048;

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

/// A change of the database. Times are milliseconds since 1970.
#[derive(Debug)]
pub(super) enum Change {
    Put {
        key: Key,
        used: u64,
        expires: u64,
        entry: Vec<u8>,
    },
    /// Sets the time of the last use.
    Touch {
        key: Key,
        used: u64,
    },
    Remove {
        key: Key,
    },
}

/// A stored entry.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) used: u64,
    pub(super) entry: Vec<u8>,
}

/// The size of the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DatabaseSize {
    /// The number of entries, including those that are too old for some readers.
    pub(crate) entries: u64,
    /// The number of bytes of the pages in use.
    pub(crate) bytes: u64,
}

/// A connection to the database.
#[derive(Debug)]
pub(super) struct Database {
    connection: Connection,
    file_id: Option<FileId>,
}

impl Database {
    /// Opens the database in `folder`, or creates it if it is missing. Sets a damaged one aside first, and returns whether it
    /// did. `busy_timeout` is how long a statement waits for other processes.
    pub(super) fn open(folder: &Folder, busy_timeout: Duration) -> Result<(Self, bool), DatabaseError> {
        // While the journal mode changes, concurrent processes fail with "database is locked" without any wait.
        let lock = folder.lock()?;
        match Self::open_locked(folder, &lock, busy_timeout) {
            Err(DatabaseError::Damaged(_)) => {
                folder.set_database_aside(&lock)?;
                Ok((Self::open_locked(folder, &lock, busy_timeout)?, true))
            }
            opened => Ok((opened?, false)),
        }
    }

    fn open_locked(folder: &Folder, lock: &FolderLock, busy_timeout: Duration) -> Result<Self, DatabaseError> {
        if folder.is_obstructed() {
            return Err(DatabaseError::Damaged("its name belongs to something other than a file".to_owned()));
        }
        folder.create_database(lock)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(folder.database(), flags)?;
        connection.busy_timeout(busy_timeout)?;
        set_up(&mut connection)?;
        Ok(Self { connection, file_id: folder.database_id() })
    }

    /// Returns whether the open file still has the database's name. It may have been deleted or replaced.
    pub(super) fn is_current(&self, folder: &Folder) -> bool {
        self.file_id.is_some() && self.file_id == folder.database_id()
    }

    /// Sets the database aside, unless another process already did.
    pub(super) fn set_aside(self, folder: &Folder) -> io::Result<()> {
        let lock = folder.lock()?;
        let is_current = self.is_current(folder);
        drop(self);
        if is_current { folder.set_database_aside(&lock) } else { Ok(()) }
    }

    pub(super) fn get(&self, key: &Key) -> Result<Option<Row>, DatabaseError> {
        let mut statement = self.connection.prepare_cached("SELECT used, entry FROM answers WHERE key = ?1")?;
        let row = statement
            .query_row([key.as_bytes().as_slice()], |row| Ok(Row { used: unsigned(row.get(0)?), entry: row.get(1)? }));
        Ok(row.optional()?)
    }

    /// Applies all of `changes` or none.
    pub(super) fn apply(&mut self, changes: &[Change]) -> Result<(), DatabaseError> {
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

    /// Deletes a bounded number of entries that have expired at `now`. Returns the number.
    pub(super) fn expire(&mut self, now: u64) -> Result<usize, DatabaseError> {
        const SQL: &str = "DELETE FROM answers WHERE rowid IN (SELECT rowid FROM answers WHERE expires < ?1 LIMIT ?2)";
        let deleted = self.connection.prepare_cached(SQL)?.execute(params![signed(now), DELETE_BATCH])?;
        Ok(deleted)
    }

    /// Deletes the least recently used entries if the database uses more than `max_bytes`, until it uses at most nine tenths
    /// of that. Returns the number. Each step is a transaction of its own, so that other processes can write in between.
    pub(super) fn evict(&mut self, max_bytes: u64) -> Result<u64, DatabaseError> {
        if used_bytes(&self.connection)? <= max_bytes {
            return Ok(0);
        }
        let target = max_bytes / 10 * 9;
        let mut evicted = 0;
        loop {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            // Another process may have evicted entries meanwhile.
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

    /// Returns free pages to the file system if there are many.
    pub(super) fn shrink(&self) -> Result<(), DatabaseError> {
        let (pages, free) = (number(&self.connection, "page_count")?, number(&self.connection, "freelist_count")?);
        if free > pages / 4 && free > 64 {
            vacuum(&self.connection, free.min(SHRINK_BATCH))?;
        }
        Ok(())
    }

    pub(super) fn size(&self) -> Result<DatabaseSize, DatabaseError> {
        let mut count = self.connection.prepare_cached("SELECT count(*) FROM answers")?;
        let entries = unsigned(count.query_row([], |row| row.get(0))?);
        Ok(DatabaseSize { entries, bytes: used_bytes(&self.connection)? })
    }

    /// Deletes every entry, overwrites it and shrinks the files. Returns the number of entries.
    pub(super) fn clear(&mut self) -> Result<u64, DatabaseError> {
        // Otherwise the pages that the empty table keeps still contain answers.
        self.connection.execute_batch("PRAGMA secure_delete = ON")?;
        let cleared = self.delete_all();
        self.connection.execute_batch("PRAGMA secure_delete = OFF")?;
        cleared
    }

    fn delete_all(&mut self) -> Result<u64, DatabaseError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let count: i64 = transaction.query_row("SELECT count(*) FROM answers", [], |row| row.get(0))?;
        transaction.execute("DELETE FROM answers", [])?;
        transaction.commit()?;
        vacuum(&self.connection, u64::from(u32::MAX >> 1))?;
        // Fails while another process reads. The log then keeps its size and is overwritten.
        drop(self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
        Ok(unsigned(count))
    }
}

fn set_up(connection: &mut Connection) -> Result<(), DatabaseError> {
    let version = signed_number(connection, "user_version")?;
    let application = signed_number(connection, "application_id")?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, version) {
        (APPLICATION_ID, VERSION) => {}
        (0, 0) if tables == 0 => {}
        (APPLICATION_ID, newer) if newer > VERSION => return Err(DatabaseError::Newer),
        _ => return Err(DatabaseError::Damaged("it belongs to another program".to_owned())),
    }
    if version == 0 {
        // Has no effect after the first page is written.
        connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
    }
    // Some network file systems do not support a log. The database is slower without it but still correct.
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
            .execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};"))?;
        transaction.commit()?;
    }
    Ok(())
}

/// Returns the least recently used rows that use about `bytes` together.
fn oldest(connection: &Connection, bytes: u64) -> rusqlite::Result<Vec<i64>> {
    const SQL: &str = "SELECT rowid, length(entry) FROM answers ORDER BY used LIMIT ?1";
    let mut statement = connection.prepare_cached(SQL)?;
    let mut rows = statement.query([DELETE_BATCH])?;
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

/// Returns at most `pages` free pages to the file system, one for each row of the result.
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
