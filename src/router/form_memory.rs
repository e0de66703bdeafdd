//! The schema forms that a target accepts, as its rejections show.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use hashlink::LruCache;

use crate::message::SchemaForm;
use crate::provider::FormScope;
use crate::schema::Schema;
use crate::sync::{Mutex, lock};

/// The maximum number of schemas with a form of their own; the least recently used one is forgotten.
const MAX_SCHEMAS: usize = 64;

/// The forms of one target.
#[derive(Debug)]
pub(super) struct FormMemory {
    /// The first form of every schema, as a number.
    target: AtomicU8,
    /// Whether `schemas` has an entry.
    has_schemas: AtomicBool,
    /// The forms of single schemas, by digest.
    schemas: Mutex<LruCache<[u8; 32], SchemaForm>>,
}

impl Default for FormMemory {
    fn default() -> Self {
        Self {
            target: AtomicU8::new(0),
            has_schemas: AtomicBool::new(false),
            schemas: Mutex::new(LruCache::new(MAX_SCHEMAS)),
        }
    }
}

impl FormMemory {
    /// Returns the form in which to send `schema`.
    pub(super) fn form(&self, schema: Option<&Schema>) -> SchemaForm {
        let form = match self.target.load(Ordering::Relaxed) {
            0 => SchemaForm::Native,
            1 => SchemaForm::Unbounded,
            2 => SchemaForm::Older,
            _ => SchemaForm::Prompted,
        };
        // A digest takes longer than the rest of the lookup.
        let Some(schema) = schema.filter(|_| self.has_schemas.load(Ordering::Relaxed)) else { return form };
        lock(&self.schemas).get(&schema.digest()).map_or(form, |own| form.max(*own))
    }

    /// Notes that the target accepts no form before `form`: of any schema, or of `schema`.
    pub(super) fn remember(&self, form: SchemaForm, scope: FormScope, schema: Option<&Schema>) {
        match (scope, schema) {
            (FormScope::Schema, Some(schema)) => {
                let digest = schema.digest();
                let mut schemas = lock(&self.schemas);
                let form = schemas.get(&digest).map_or(form, |own| form.max(*own));
                schemas.insert(digest, form);
                self.has_schemas.store(true, Ordering::Relaxed);
            }
            _ => {
                self.target.fetch_max(form as u8, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_is_remembered_for_the_target_or_for_one_schema() {
        let memory = FormMemory::default();
        let [first, second] = ["string", "integer"].map(|name| Schema::new("S", json!({"type": name})).unwrap());
        assert_eq!(memory.form(Some(&first)), SchemaForm::Native);
        memory.remember(SchemaForm::Older, FormScope::Schema, Some(&first));
        memory.remember(SchemaForm::Unbounded, FormScope::Schema, Some(&first));
        assert_eq!(
            [Some(&first), Some(&second), None].map(|schema| memory.form(schema)),
            [SchemaForm::Older, SchemaForm::Native, SchemaForm::Native]
        );
        memory.remember(SchemaForm::Unbounded, FormScope::Target, Some(&second));
        assert_eq!(
            [&first, &second].map(|schema| memory.form(Some(schema))),
            [SchemaForm::Older, SchemaForm::Unbounded]
        );
        memory.remember(SchemaForm::Prompted, FormScope::Target, None);
        assert_eq!(memory.form(Some(&first)), SchemaForm::Prompted);
    }

    #[test]
    fn the_number_of_remembered_schemas_is_bounded() {
        let memory = FormMemory::default();
        for number in 0..MAX_SCHEMAS + 10 {
            let schema = Schema::new("S", json!({"type": "string", "maxLength": number})).unwrap();
            memory.remember(SchemaForm::Unbounded, FormScope::Schema, Some(&schema));
        }
        assert_eq!(lock(&memory.schemas).len(), MAX_SCHEMAS);
    }
}
