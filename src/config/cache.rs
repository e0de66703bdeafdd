//! Where answers are kept, for how long, and how many.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Secret;
use crate::error::{Error, Result};

/// Bytes of one MB, as the size bound counts them.
pub const MB: u64 = 1024 * 1024;

/// What a router may take from the response cache and leave there.
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    /// Whether answers are taken from it and kept in it at all.
    pub enabled: bool,
    /// How old an answer may be that is taken from it.
    pub ttl: Duration,
    /// Upper bound of the files in `dir`, in bytes; the memory of the process holds no more than that either.
    pub max_bytes: u64,
    /// The folder of the disk tier; `~` at its beginning is the user's home.
    pub dir: PathBuf,
    /// The Redis or Valkey server that several machines share; `None` for no such tier. May hold a password.
    pub url: Option<Secret>,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            enabled: true,
            ttl: Duration::from_secs(86_400),
            max_bytes: 1000 * MB,
            dir: PathBuf::from("~/.cache/madspark/llm"),
            url: None,
        }
    }
}

impl Cache {
    /// No answer is taken or kept.
    pub fn off() -> Self {
        Self { enabled: false, ..Self::default() }
    }

    /// The folder with `~` replaced; `None` where the user has no home. The home is the machine's, no choice of a request,
    /// so it is asked for where the folder is opened and is in no configuration.
    pub fn folder(&self) -> Option<PathBuf> {
        match self.dir.strip_prefix("~") {
            Err(_) => Some(self.dir.clone()),
            Ok(rest) => std::env::home_dir().filter(|home| !home.as_os_str().is_empty()).map(|home| home.join(rest)),
        }
    }

    pub(super) fn validate(&self) -> Result<()> {
        if self.ttl.is_zero() {
            return Err(Error::invalid_input("cache_ttl_seconds must be a positive number of seconds"));
        }
        if self.max_bytes < MB {
            return Err(Error::invalid_input("cache_max_size_mb must be at least 1"));
        }
        if !is_folder(&self.dir) {
            return Err(Error::invalid_input("cache_dir must name a folder"));
        }
        match &self.url {
            Some(url) => check_url("cache_url", url.expose()),
            None => Ok(()),
        }
    }
}

/// Whether `path` can be the name of a folder.
pub(super) fn is_folder(path: &Path) -> bool {
    let name = path.as_os_str().as_encoded_bytes();
    !name.trim_ascii().is_empty() && !name.contains(&0)
}

/// The URL is not repeated in the message: it may hold a password.
pub(super) fn check_url(field: &str, value: &str) -> Result<()> {
    const SCHEMES: [&str; 4] = ["redis", "rediss", "valkey", "valkeys"];
    let url = url::Url::parse(value)
        .map_err(|error| Error::invalid_input(format!("{field} is not a URL such as redis://host:port/0 ({error})")))?;
    if !SCHEMES.contains(&url.scheme()) || url.host_str().is_none_or(str::is_empty) {
        return Err(Error::invalid_input(format!(
            "{field} must start with redis://, rediss://, valkey:// or valkeys:// and name a host"
        )));
    }
    let database = url.path().trim_start_matches('/');
    if !database.is_empty() && database.parse::<u32>().is_err() {
        return Err(Error::invalid_input(format!("{field} must end with the number of a database, such as /0")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let base = Cache::default;
        for (cache, hint) in [
            (Cache { ttl: Duration::ZERO, ..base() }, "cache_ttl_seconds"),
            (Cache { max_bytes: 0, ..base() }, "cache_max_size_mb"),
            (Cache { dir: PathBuf::from(" "), ..base() }, "cache_dir"),
            (Cache { dir: PathBuf::from("a\0b"), ..base() }, "cache_dir"),
            (Cache { url: Some(Secret::new("http://:secret@h")), ..base() }, "cache_url"),
            (Cache { url: Some(Secret::new("redis://:secret@")), ..base() }, "cache_url"),
            (Cache { url: Some(Secret::new("redis://:secret@h/x")), ..base() }, "cache_url"),
        ] {
            let error = cache.validate().unwrap_err();
            assert!(error.message().contains(hint), "{hint}: {error}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
        for url in ["redis://h", "rediss://u:p@h:1/2", "valkey://[::1]:6379", "valkeys://h/"] {
            Cache { url: Some(Secret::new(url)), ..base() }.validate().unwrap();
        }
        base().validate().unwrap();
    }

    #[test]
    fn only_a_tilde_at_the_beginning_is_the_home() {
        let folder = |dir: &str| Cache { dir: PathBuf::from(dir), ..Cache::default() }.folder();
        assert_eq!(folder("/a/~/b").unwrap(), Path::new("/a/~/b"));
        assert_eq!(folder("~user/b").unwrap(), Path::new("~user/b"));
        let home = std::env::home_dir().unwrap();
        assert_eq!(folder("~/b").unwrap(), home.join("b"));
    }
}
