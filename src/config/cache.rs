//! The configuration of the response cache.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Secret;
use crate::error::{Error, Result};

/// The bytes of one MB.
pub const MB: u64 = 1024 * 1024;

/// The configuration of the response cache.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheConfig {
    /// Whether the cache is read and written.
    pub enabled: bool,
    /// The maximum age of a cached answer.
    pub ttl: Duration,
    /// The maximum size of the files in `dir`, and of the answers in memory, in bytes.
    pub max_bytes: u64,
    /// The folder of the disk tier. A leading `~` is the home directory of the user.
    pub dir: PathBuf,
    /// The URL of a Redis or Valkey server shared by several machines; `None` disables this tier. May contain a password.
    pub url: Option<Secret>,
}

impl Default for CacheConfig {
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

impl CacheConfig {
    /// A disabled cache.
    pub fn off() -> Self {
        Self { enabled: false, ..Self::default() }
    }

    /// The folder with `~` expanded; `None` if the user has no home directory. The home directory belongs to the machine,
    /// not to a request, so it is looked up when the folder is opened.
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

/// Whether `path` can name a folder.
pub(super) fn is_folder(path: &Path) -> bool {
    let name = path.as_os_str().as_encoded_bytes();
    !name.trim_ascii().is_empty() && !name.contains(&0)
}

/// Fails unless `value` is the URL of a Redis or Valkey server. The error does not repeat it: it may contain a password.
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
    fn an_invalid_field_is_rejected_by_name() {
        let base = CacheConfig::default;
        for (cache, hint) in [
            (CacheConfig { ttl: Duration::ZERO, ..base() }, "cache_ttl_seconds"),
            (CacheConfig { max_bytes: 0, ..base() }, "cache_max_size_mb"),
            (CacheConfig { dir: PathBuf::from(" "), ..base() }, "cache_dir"),
            (CacheConfig { dir: PathBuf::from("a\0b"), ..base() }, "cache_dir"),
            (CacheConfig { url: Some(Secret::new("http://:secret@h")), ..base() }, "cache_url"),
            (CacheConfig { url: Some(Secret::new("redis://:secret@")), ..base() }, "cache_url"),
            (CacheConfig { url: Some(Secret::new("redis://:secret@h/x")), ..base() }, "cache_url"),
        ] {
            let error = cache.validate().unwrap_err();
            assert!(error.message().contains(hint), "{hint}: {error}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
        for url in ["redis://h", "rediss://u:p@h:1/2", "valkey://[::1]:6379", "valkeys://h/"] {
            CacheConfig { url: Some(Secret::new(url)), ..base() }.validate().unwrap();
        }
        base().validate().unwrap();
    }

    #[test]
    fn only_a_leading_tilde_is_expanded() {
        let folder = |dir: &str| CacheConfig { dir: PathBuf::from(dir), ..CacheConfig::default() }.folder();
        assert_eq!(folder("/a/~/b").unwrap(), Path::new("/a/~/b"));
        assert_eq!(folder("~user/b").unwrap(), Path::new("~user/b"));
        let home = std::env::home_dir().unwrap();
        assert_eq!(folder("~/b").unwrap(), home.join("b"));
    }
}
