//! Which parts of an address may be shown, and which hosts may become known to a provider.

use std::net::IpAddr;

use url::{Host, Url};

/// The names of networks that are not the public internet. A name without a dot is one as well.
const PRIVATE_SUFFIXES: [&str; 12] = [
    "localhost",
    "local",
    "localdomain",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "arpa",
    "test",
    "onion",
];

/// Returns `url` without credentials, query and fragment, which may contain secrets, as users and models may see it.
pub(super) fn without_query(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or("?"), without_host(url))
}

/// Returns the path of `url`, as models see the name of a page whose host is private.
pub(super) fn without_host(url: &Url) -> String {
    let query = if url.query().is_some() { "?…" } else { "" };
    format!("{}{query}", url.path())
}

/// Returns the address `text`, which a provider has reported, without credentials, query and fragment.
pub fn redacted(text: &str) -> String {
    match Url::parse(text) {
        Ok(url) if url.has_host() => {
            let is_bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
            if is_bare && url.password().is_none() { text.to_owned() } else { without_query(&url) }
        }
        _ => {
            let end = text.find(['?', '#', '@']);
            end.map_or_else(|| text.to_owned(), |end| format!("{}…", &text[..end]))
        }
    }
}

/// Returns the IP address in place of a host name in `url`.
pub(super) fn ip_address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

/// Returns `host` as it is compared: a dot at its end only says that it is complete.
pub(super) fn normal_host(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

/// Whether a host name never belongs to the public internet.
pub(super) fn is_private_name(host: &str) -> bool {
    let host = normal_host(host);
    host.rsplit_once('.').is_none_or(|(_, last)| PRIVATE_SUFFIXES.contains(&last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_host_and_path_are_shown() {
        for (address, expected) in [
            ("https://user:passw0rd@example.org:8443/a/b?token=s3cret#part", "https://example.org:8443/a/b?…"),
            ("http://[::1]/", "http://[::1]/"),
            ("https://example.org/a", "https://example.org/a"),
            ("https://example.org", "https://example.org"),
            ("example.org/a?token=s3cret", "example.org/a…"),
            ("mailto:user@example.org", "mailto:user…"),
        ] {
            assert_eq!(redacted(address), expected);
        }
        assert_eq!(without_host(&Url::parse("http://wiki.corp:80/a?b").unwrap()), "/a?…");
    }

    #[test]
    fn private_names_are_recognised() {
        for name in
            ["intranet", "localhost", "wiki.corp", "a.b.internal", "printer.local.", "router.home.arpa", "x.test"]
        {
            assert!(is_private_name(name), "{name}");
        }
        for name in ["example.org", "local.example.org", "corp.com.", "intranet.example"] {
            assert!(!is_private_name(name), "{name}");
        }
    }
}
