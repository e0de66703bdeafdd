//! The base URL of a provider.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, OnceLock};

use url::{Host, ParseError, Url};

use crate::error::{Error, Result};

/// The base URL of a provider, parsed once. It can hold any text; [`BaseUrl::check`] reports why a text is no base URL.
/// Equality is that of the text. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(Arc<Parsed>);

struct Parsed {
    text: String,
    url: Result<Url, ParseError>,
    /// The first endpoint that was requested. Most requests go to one endpoint.
    endpoint: OnceLock<Endpoint>,
}

struct Endpoint {
    segments: Box<[Box<str>]>,
    url: Url,
}

impl BaseUrl {
    /// Reads Ollama's address by the rules of Ollama's own tools for `OLLAMA_HOST`: the scheme, the host and the port are
    /// optional, and the port is 11434 unless there is a scheme. An address that a server listens on, such as `0.0.0.0` or
    /// `:11434`, stands for this machine. A path is kept.
    pub fn ollama(text: &str) -> Self {
        Self::parsed(ollama_address(unquoted(text)))
    }

    /// Reads an address that may lack the scheme if it is one of this machine, such as `localhost:8000/v1`. Of another machine it
    /// is not known whether the connection is encrypted.
    pub fn local(text: &str) -> Self {
        let address = unquoted(text);
        let (authority, path) = split_path(address);
        match this_machine(authority).filter(|_| !address.contains("://")) {
            Some(authority) => Self::parsed(format!("http://{authority}{path}")),
            None => Self::parsed(address.to_owned()),
        }
    }

    fn parsed(text: String) -> Self {
        let url = Url::parse(&text);
        Self(Arc::new(Parsed { text, url, endpoint: OnceLock::new() }))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The URL; `None` unless it is an absolute `http://` or `https://` URL.
    pub fn url(&self) -> Option<&Url> {
        self.0.url.as_ref().ok().filter(|url| is_usable(url))
    }

    /// The URL with `segments` appended to its path, each of which is percent-encoded. `None` like [`BaseUrl::url`].
    pub fn endpoint(&self, segments: &[&str]) -> Option<Url> {
        let make = || {
            let mut url = self.url()?.clone();
            url.set_fragment(None);
            url.path_segments_mut().ok()?.pop_if_empty().extend(segments);
            Some(url)
        };
        match self.0.endpoint.get() {
            Some(kept) if kept.segments.iter().map(|segment| &**segment).eq(segments.iter().copied()) => {
                Some(kept.url.clone())
            }
            Some(_) => make(),
            None => {
                let url = make()?;
                self.0.endpoint.get_or_init(|| {
                    let segments = segments.iter().map(|segment| Box::from(*segment)).collect();
                    Endpoint { segments, url: url.clone() }
                });
                Some(url)
            }
        }
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
        let problem = match &self.0.url {
            Ok(url) if is_usable(url) => return Ok(()),
            Ok(_) | Err(ParseError::RelativeUrlWithoutBase) => "has no scheme".to_owned(),
            Err(error) => format!("is not a URL ({error})"),
        };
        let example = "write http:// or https:// and the host, such as http://localhost:8000 or https://host/v1";
        Err(Error::invalid_input(format!("{field} {problem}: {example}")))
    }
}

impl PartialEq for Parsed {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Parsed {}

impl From<String> for BaseUrl {
    fn from(text: String) -> Self {
        Self::parsed(text)
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

/// `text` without white space and quotes around it, which files of environment variables may keep.
fn unquoted(text: &str) -> &str {
    text.trim().trim_matches(['"', '\'']).trim()
}

fn split_path(address: &str) -> (&str, &str) {
    address.split_at(address.find(['/', '?', '#']).unwrap_or(address.len()))
}

/// Splits `authority` into host and port; `None` if it is malformed. An IPv6 address needs brackets only before a port.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if authority.parse::<Ipv6Addr>().is_ok() {
        return Some((authority, None));
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let is_number = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    port.is_none_or(is_number).then_some((host, port.filter(|port| !port.is_empty())))
}

/// `authority` as the address of this machine; `None` if it names another one, or none.
fn this_machine(authority: &str) -> Option<String> {
    let (host, port) = split_port(authority)?;
    let host = match host {
        "0.0.0.0" => "127.0.0.1",
        "::1" => "[::1]",
        _ if host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|it: Ipv4Addr| it.is_loopback()) => host,
        _ => return None,
    };
    Some(port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

fn ollama_address(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, _)) if !matches!(&*scheme.to_ascii_lowercase(), "http" | "https") => return text.to_owned(),
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, text),
    };
    let (authority, path) = split_path(rest);
    let (user, authority) = authority.rfind('@').map_or(("", authority), |at| authority.split_at(at + 1));
    let address = split_port(authority).filter(|(host, port)| scheme.is_none() || !host.is_empty() || port.is_some());
    let Some((host, port)) = address else {
        // Malformed, which the parser of URLs reports.
        return if scheme.is_some() { text.to_owned() } else { format!("http://{text}") };
    };
    let host = match host {
        "0.0.0.0" => "127.0.0.1".to_owned(),
        // A server that listens on all addresses may have no IPv6 address, and the other way round.
        "" | "::" => "localhost".to_owned(),
        _ if host.contains(':') => format!("[{host}]"),
        _ => host.to_owned(),
    };
    let (scheme, default) = match scheme {
        Some(scheme) => (scheme, None),
        None if host == "ollama.com" => ("https", None),
        None => ("http", Some("11434")),
    };
    let path = if path == "/" && default.is_some() { "" } else { path };
    match port.or(default) {
        Some(port) => format!("{scheme}://{user}{host}:{port}{path}"),
        None => format!("{scheme}://{user}{host}{path}"),
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
    fn an_endpoint_is_the_same_whether_it_is_kept_or_not() {
        let base = BaseUrl::from("http://h:1/v1/?a=b#c");
        for segments in [["models", "a/b?"], ["chat", "completions"], ["models", "a/b?"], ["chat", "completions"]] {
            let path = segments.join("/").replace("a/b?", "a%2Fb%3F");
            let expected = format!("http://h:1/v1/{path}?a=b");
            assert_eq!(base.endpoint(&segments).map(String::from), Some(expected));
        }
        assert_eq!(base.endpoint(&[]).map(String::from).as_deref(), Some("http://h:1/v1?a=b"));
        assert!(BaseUrl::from("h:1").endpoint(&["chat"]).is_none());
    }

    #[test]
    fn ollama_addresses_follow_ollamas_rules() {
        for (text, url) in [
            ("localhost", "http://localhost:11434"),
            ("gpu-box", "http://gpu-box:11434"),
            ("gpu-box:8080", "http://gpu-box:8080"),
            ("gpu-box:", "http://gpu-box:11434"),
            ("10.0.0.7", "http://10.0.0.7:11434"),
            ("0.0.0.0", "http://127.0.0.1:11434"),
            ("0.0.0.0:1", "http://127.0.0.1:1"),
            (":11435", "http://localhost:11435"),
            ("::1", "http://[::1]:11434"),
            ("[::1]", "http://[::1]:11434"),
            ("[::1]:1", "http://[::1]:1"),
            ("::", "http://localhost:11434"),
            ("[::]:11434", "http://localhost:11434"),
            ("http://[::]:1", "http://localhost:1"),
            ("fe80::7", "http://[fe80::7]:11434"),
            (" \"gpu-box\" ", "http://gpu-box:11434"),
            ("'http://gpu-box:1'", "http://gpu-box:1"),
            ("box/ollama", "http://box:11434/ollama"),
            ("box/", "http://box:11434"),
            ("https://box", "https://box"),
            ("https://box/ollama", "https://box/ollama"),
            ("http://box", "http://box"),
            ("HTTP://box:1/", "HTTP://box:1/"),
            ("http://0.0.0.0:1/x", "http://127.0.0.1:1/x"),
            ("user:pass@box", "http://user:pass@box:11434"),
            ("ollama.com", "https://ollama.com"),
        ] {
            let base = BaseUrl::ollama(text);
            assert_eq!(base.as_str(), url, "{text}");
            assert!(base.check("ollama_host").is_ok(), "{text}");
        }
    }

    #[test]
    fn a_malformed_ollama_address_is_rejected_and_not_repeated() {
        for text in ["http://", "ftp://secret", "secret:port", "secret:99999", "a:b:secret", "[::secret", "secret box"]
        {
            let error = BaseUrl::ollama(text).check("OLLAMA_HOST").unwrap_err();
            assert!(error.message().starts_with("OLLAMA_HOST "), "{text}: {error}");
            assert!(!error.message().contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_scheme_is_optional_for_this_machine_only() {
        for (text, url) in [
            ("localhost:8000/v1", Some("http://localhost:8000/v1")),
            ("127.0.0.1:8000", Some("http://127.0.0.1:8000")),
            ("0.0.0.0:8000/v1", Some("http://127.0.0.1:8000/v1")),
            ("[::1]:8000/v1", Some("http://[::1]:8000/v1")),
            (" 'https://h/v1' ", Some("https://h/v1")),
            ("host:8000/v1", None),
            ("host/v1", None),
            ("/v1", None),
            ("localhost:port/v1", None),
        ] {
            let base = BaseUrl::local(text);
            assert_eq!(base.url().map(|_| base.as_str()), url, "{text}");
        }
    }

    #[test]
    fn debug_does_not_print_a_password() {
        assert_eq!(format!("{:?}", BaseUrl::from("http://user:s3cret@h:1/v1")), "\"***@h:1/v1\"");
        assert_eq!(format!("{:?}", BaseUrl::from("http://h:1/v1")), "\"http://h:1/v1\"");
    }
}
