//! Errors of the database.

use std::io;

use rusqlite::ErrorCode;

/// Why the database cannot be used.
#[derive(Debug)]
pub(super) enum DatabaseError {
    /// The file is damaged, or belongs to another program, and has to be replaced.
    Damaged(String),
    /// The file was written by a newer version of this library and must not be changed.
    Newer,
    /// Other processes kept the database locked until the timeout.
    Busy,
    /// The database can be read but not written: the disk is full.
    Unwritable(String),
    /// Another error, such as missing permissions or a failing disk.
    Unusable(String),
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        match error {
            rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
                ErrorCode::DiskFull | ErrorCode::ReadOnly => Self::Unwritable(text),
                ErrorCode::SystemIoFailure if is_write_failure(failure.extended_code) => Self::Unwritable(text),
                // The code of a missing table or column is unknown.
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown => Self::Damaged(text),
                _ => Self::Unusable(text),
            },
            // The file has values of other types than were written.
            rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..) => {
                Self::Damaged(text)
            }
            _ => Self::Unusable(text),
        }
    }
}

impl From<io::Error> for DatabaseError {
    fn from(error: io::Error) -> Self {
        Self::Unusable(error.to_string())
    }
}

/// Returns whether a file could not be extended or synchronized.
fn is_write_failure(extended_code: i32) -> bool {
    use rusqlite::ffi;
    let codes =
        [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_TRUNCATE, ffi::SQLITE_IOERR_SHMSIZE];
    codes.contains(&extended_code)
}
