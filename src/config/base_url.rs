//! The base URL of a provider.

use std::fmt;
use std::sync::Arc;

use url::{Host, ParseError, Url};

use crate::error::{Error, Result};

/// The base URL of a provider, parsed once. It can hold any text; [`BaseUrl::check`] reports why a text is no base URL.
/// Equality is that of the text. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(Arc<Parsed>);

#[derive(PartialEq, Eq)]
struct Parsed {
    text: String,
    url: Result<Url, ParseError>,
}

impl BaseUrl {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The URL; `None` unless it is an absolute `http://` or `https://` URL.
    pub fn url(&self) -> Option<&Url> {
        self.0.url.as_ref().ok().filter(|url| is_usable(url))
    }

    /// Whether its host is this machine.
    pub fn is_loopback(&self) -> bool {
        self.0.url.as_ref().is_ok_and(|url| match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        })
    }

    /// Fails with `InvalidInput` unless it is an absolute `http://` or `https://` URL. `field` names it in the error, which
    /// does not repeat the URL: it may contain a password.
    pub fn check(&self, field: &str) -> Result<()> {
        match &self.0.url {
            Ok(url) if is_usable(url) => Ok(()),
            Ok(_) => Err(Error::invalid_input(format!("{field} must start with http:// or https:// and name a host"))),
            Err(error) => Err(Error::invalid_input(format!("{field} is not a URL such as http://host:port ({error})"))),
        }
    }
}

impl From<String> for BaseUrl {
    fn from(text: String) -> Self {
        let url = Url::parse(&text);
        Self(Arc::new(Parsed { text, url }))
    }
}

impl From<&str> for BaseUrl {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

/// Prints no password.
impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_str().rsplit_once('@') {
            None => self.as_str().fmt(f),
            Some((_, host)) => write!(f, "\"***@{host}\""),
        }
    }
}

fn is_usable(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.host_str().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_http_urls_are_valid() {
        for (text, is_address) in [
            ("http://h:1/v1/", true),
            ("https://user:pass@h", true),
            ("HTTPS://H", true),
            ("", false),
            ("host:1", false),
            ("ftp://h/", false),
            ("http://", false),
        ] {
            let base = BaseUrl::from(text);
            assert_eq!((base.as_str(), base.url().is_some()), (text, is_address));
            assert_eq!(base.check("field").is_ok(), is_address, "{text}");
        }
    }

    #[test]
    fn debug_does_not_print_a_password() {
        assert_eq!(format!("{:?}", BaseUrl::from("http://user:s3cret@h:1/v1")), "\"***@h:1/v1\"");
        assert_eq!(format!("{:?}", BaseUrl::from("http://h:1/v1")), "\"http://h:1/v1\"");
    }
}
