//! Cache keys, which identify requests.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::config::Secret;
use crate::provider::Target;
use crate::schema::Schema;
use crate::transport::WireRequest;

/// Part of every key, so that a change of the covered fields invalidates all entries.
const VERSION: &[u8] = b"madspark answer 1";

/// The hash key for API keys, so that their fingerprints differ from every other hash of them.
const FINGERPRINT_KEY: &[u8; 32] = b"madspark API key, in a cache key";

/// A hash of everything that affects the answer to a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// Returns the key of `wire`, a request to `target` whose answer has to fit `schema`.
    ///
    /// It covers every byte that is sent, and the caller's schema, as two schemas may look the same on the wire. It does not
    /// cover timeouts.
    pub fn of(target: &Target, wire: &WireRequest, schema: Option<&Schema>) -> Self {
        // The other fields are part of the request, or do not affect the answer.
        let Target { provider, model, base_url: _, key, timeout: _, options: _, facts: _ } = target;
        let WireRequest { method, url, headers, body } = wire;
        let mut fields = Fields { buffer: Vec::with_capacity(MIN_UNBUFFERED), ..Fields::default() };
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

    /// Returns the bytes, which identify an entry in the database.
    pub(super) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Writes the whole hash in hexadecimal.
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

/// Uses the first bytes, as a key is a hash already.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0[..8]);
        state.write_u64(u64::from_le_bytes(first));
    }
}

/// Returns a one-way hash of a secret, which stands for it in keys.
fn fingerprint(secret: impl AsRef<[u8]>) -> [u8; 32] {
    *blake3::keyed_hash(FINGERPRINT_KEY, secret.as_ref()).as_bytes()
}

/// Hashes fields with their lengths, so that different lists of fields are never the same bytes.
#[derive(Default)]
struct Fields {
    hasher: blake3::Hasher,
    /// Buffers short fields, as each update of the hasher is expensive.
    buffer: Vec<u8>,
}

/// The length from which on fields are not copied to the buffer.
const MIN_UNBUFFERED: usize = 512;

impl Fields {
    fn add(&mut self, field: &[u8]) {
        self.buffer.extend_from_slice(&(field.len() as u64).to_le_bytes());
        if field.len() < MIN_UNBUFFERED {
            self.buffer.extend_from_slice(field);
        } else {
            self.hasher.update(&self.buffer);
            self.hasher.update(field);
            self.buffer.clear();
        }
    }

    fn finish(mut self) -> blake3::Hash {
        self.hasher.update(&self.buffer);
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
    fn field_boundaries_affect_the_hash() {
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
    fn a_fingerprint_is_not_a_plain_hash() {
        assert_ne!(&fingerprint("sk-1"), blake3::hash(b"sk-1").as_bytes());
        assert_ne!(fingerprint("sk-1"), fingerprint("sk-2"));
    }
}
