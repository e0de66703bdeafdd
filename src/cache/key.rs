//! What makes two calls the same question.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::config::Secret;
use crate::provider::Target;
use crate::schema::Schema;
use crate::transport::WireRequest;

/// Part of every key: entries of another layout, or made from other fields, are never found.
const VERSION: &[u8] = b"madspark answer 1";

/// Apart from every other use of a hash, so that this one of an API key is found nowhere else.
const FINGERPRINT: &[u8; 32] = b"madspark API key, in a cache key";

/// A hash of everything that may change the answer to a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of `wire`, a request to `target` whose answer has to fit `schema`, the document that the caller gave: two of
    /// them may look the same on the wire.
    ///
    /// It covers the request as it is sent: every byte that the provider sees is in it. How long it may take is not.
    pub fn of(target: &Target, wire: &WireRequest, schema: Option<&Schema>) -> Self {
        // What is left out is in the request, or is no part of the question.
        let Target { provider, model, base_url: _, key, timeout: _, tuning: _, facts: _ } = target;
        let WireRequest { method, url, headers, body } = wire;
        let mut fields = Fields { short: Vec::with_capacity(LONG), ..Fields::default() };
        fields.add(VERSION);
        fields.add(provider.as_str().as_bytes());
        fields.add(model.as_bytes());
        fields.add_option(key.as_ref().map(Secret::expose).map(fingerprint));
        fields.add(method.as_str().as_bytes());
        fields.add(url.as_str().as_bytes());
        fields.add(&headers.len().to_le_bytes());
        for (name, value) in headers {
            fields.add(name.as_str().as_bytes());
            if value.is_sensitive() {
                fields.add(&fingerprint(value.as_bytes()));
            } else {
                fields.add(value.as_bytes());
            }
        }
        fields.add(body);
        fields.add_option(schema.map(Schema::digest));
        Self(*fields.finish().as_bytes())
    }

    /// The bytes, as they name an entry in a file.
    pub(super) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The whole hash in hexadecimal.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// Its first bytes are as good a hash as any.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0[..8]);
        state.write_u64(u64::from_le_bytes(first));
    }
}

/// One way: nothing but this hash of a secret is hashed any further.
fn fingerprint(secret: impl AsRef<[u8]>) -> [u8; 32] {
    *blake3::keyed_hash(FINGERPRINT, secret.as_ref()).as_bytes()
}

/// Fields, each behind its length, so that no two lists of them run into the same bytes.
#[derive(Default)]
struct Fields {
    hasher: blake3::Hasher,
    /// Short fields, gathered: each turn of the hasher costs more than they do.
    short: Vec<u8>,
}

/// From so many bytes on a field is not copied.
const LONG: usize = 512;

impl Fields {
    fn add(&mut self, field: &[u8]) {
        self.short.extend_from_slice(&(field.len() as u64).to_le_bytes());
        if field.len() < LONG {
            self.short.extend_from_slice(field);
        } else {
            self.hasher.update(&self.short);
            self.hasher.update(field);
            self.short.clear();
        }
    }

    fn finish(mut self) -> blake3::Hash {
        self.hasher.update(&self.short);
        self.hasher.finalize()
    }

    fn add_option(&mut self, field: Option<[u8; 32]>) {
        self.add(field.as_ref().map_or(&[], |field| field.as_slice()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_into_each_other() {
        let hash = |fields: &[&[u8]]| {
            let mut all = Fields::default();
            for field in fields {
                all.add(field);
            }
            all.finish()
        };
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
        assert_ne!(hash(&[b"ab"]), hash(&[b"ab", b""]));
        assert_ne!(hash(&[b"", b"ab"]), hash(&[b"ab", b""]));
    }

    #[test]
    fn the_fingerprint_of_a_secret_is_no_plain_hash_of_it() {
        assert_ne!(&fingerprint("sk-1"), blake3::hash(b"sk-1").as_bytes());
        assert_ne!(fingerprint("sk-1"), fingerprint("sk-2"));
    }
}
