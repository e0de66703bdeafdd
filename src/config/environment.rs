//! Reads a configuration from environment variables.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result};

use super::{BaseUrl, CacheConfig, Config, MB, Secret, cache, is_seconds};

impl Config {
    /// Like [`Config::from_env`], with `lookup` as the source of variables. A blank variable counts as absent.
    ///
    /// # Errors
    ///
    /// `InvalidInput` that names the first variable with a malformed address.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Result<(Self, Vec<String>)> {
        let mut reader = Reader { lookup: &lookup, warnings: Vec::new(), malformed: None };
        let default = Self::default();
        let config = Self {
            default_provider: reader.choice(
                "MADSPARK_LLM_PROVIDER",
                default.default_provider,
                "auto, ollama, gemini, openai, anthropic or mock",
            ),
            model_tier: reader.choice("MADSPARK_MODEL_TIER", default.model_tier, "fast, balanced or quality"),
            fallback_enabled: reader.flag("MADSPARK_FALLBACK_ENABLED", default.fallback_enabled),
            ollama_host: reader.address("OLLAMA_HOST", default.ollama_host, |text| BaseUrl::ollama(&text)),
            ollama_model_fast: reader.text("OLLAMA_MODEL_FAST").unwrap_or(default.ollama_model_fast),
            ollama_model_balanced: reader.text("OLLAMA_MODEL_BALANCED").unwrap_or(default.ollama_model_balanced),
            ollama_timeout: reader.seconds("OLLAMA_REQUEST_TIMEOUT", default.ollama_timeout),
            // In the order of Google's own clients.
            gemini_api_key: reader
                .text("GOOGLE_API_KEY")
                .or_else(|| reader.text("GEMINI_API_KEY"))
                .map(|key| Secret::new(&key)),
            ollama_api_key: reader.text("OLLAMA_API_KEY").map(|key| Secret::new(&key)),
            gemini_model: reader.text("GOOGLE_GENAI_MODEL").unwrap_or(default.gemini_model),
            gemini_base_url: reader.address("GEMINI_BASE_URL", default.gemini_base_url, |text| BaseUrl::local(&text)),
            openai_api_key: reader.text("OPENAI_API_KEY").map(|key| Secret::new(&key)),
            openai_model: reader.text("OPENAI_MODEL"),
            openai_api: reader.choice("MADSPARK_OPENAI_API", default.openai_api, "chat or responses"),
            openai_base_url: reader.address("OPENAI_BASE_URL", default.openai_base_url, |text| BaseUrl::local(&text)),
            anthropic_api_key: reader.text("ANTHROPIC_API_KEY").map(|key| Secret::new(&key)),
            anthropic_model: reader.text("ANTHROPIC_MODEL"),
            anthropic_base_url: reader
                .address("ANTHROPIC_BASE_URL", default.anthropic_base_url, |text| BaseUrl::local(&text)),
            request_timeout: reader.seconds("MADSPARK_REQUEST_TIMEOUT", default.request_timeout),
            max_prompt_chars: reader.parsed(
                "MADSPARK_MAX_PROMPT_CHARS",
                default.max_prompt_chars,
                |value| value.parse().ok().filter(|chars| *chars > 0).map(Some),
                "a whole number of at least 1",
            ),
            cache: reader.cache(default.cache),
            ..default
        };
        reader.malformed.map_or(Ok((config, reader.warnings)), Err)
    }
}

struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<OsString>,
    warnings: Vec<String>,
    /// The error of the first malformed address. No default takes its place: prompts and keys would go elsewhere.
    malformed: Option<Error>,
}

impl Reader<'_> {
    fn text(&mut self, name: &str) -> Option<String> {
        let value = (self.lookup)(name)?;
        let Some(value) = value.to_str() else {
            self.warn(name, "UTF-8 text");
            return None;
        };
        // Files of variables for containers keep the quotes around a value.
        let value = value.trim();
        let unquoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        Some(unquoted.unwrap_or(value).trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// Adds a warning. It does not repeat the value, which may be a key under the wrong name.
    fn warn(&mut self, name: &str, expected: &str) {
        self.warnings.push(format!("{name} is not {expected}; the default is used"));
    }

    fn parsed<T>(&mut self, name: &str, default: T, parse: impl FnOnce(String) -> Option<T>, expected: &str) -> T {
        let Some(value) = self.text(name) else { return default };
        parse(value).unwrap_or_else(|| {
            self.warn(name, expected);
            default
        })
    }

    fn choice<T: FromStr>(&mut self, name: &str, default: T, expected: &str) -> T {
        self.parsed(name, default, |value| value.to_ascii_lowercase().parse().ok(), expected)
    }

    fn flag(&mut self, name: &str, default: bool) -> bool {
        let parse = |value: String| match value.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Some(true),
            "0" | "false" | "no" | "off" => Some(false),
            _ => None,
        };
        self.parsed(name, default, parse, "true or false")
    }

    fn seconds(&mut self, name: &str, default: f64) -> f64 {
        let parse = |value: String| value.parse().ok().filter(|seconds| is_seconds(*seconds));
        self.parsed(name, default, parse, "a positive number of seconds")
    }

    fn address(&mut self, name: &str, default: BaseUrl, parse: impl FnOnce(String) -> BaseUrl) -> BaseUrl {
        if (self.lookup)(name).is_some_and(|value| value.to_str().is_none()) {
            self.malformed.get_or_insert_with(|| Error::invalid_input(format!("{name} is not UTF-8 text")));
            return default;
        }
        let Some(value) = self.text(name) else { return default };
        let address = parse(value);
        if let Err(error) = address.check(name) {
            self.malformed.get_or_insert(error);
        }
        address
    }

    fn cache(&mut self, default: CacheConfig) -> CacheConfig {
        let ttl = self.seconds("MADSPARK_CACHE_TTL", default.ttl.as_secs_f64());
        let megabytes = |value: String| value.parse::<u64>().ok()?.checked_mul(MB).filter(|bytes| *bytes > 0);
        let folder = |value: String| Some(PathBuf::from(value)).filter(|path| cache::is_folder(path));
        let server = |value: String| cache::check_url("", &value).is_ok().then(|| Some(Secret::new(&value)));
        CacheConfig {
            enabled: self.flag("MADSPARK_CACHE_ENABLED", default.enabled),
            // `seconds` returns only what a `Duration` can hold.
            ttl: Duration::try_from_secs_f64(ttl).unwrap_or(default.ttl),
            max_bytes: self.parsed(
                "MADSPARK_CACHE_MAX_SIZE_MB",
                default.max_bytes,
                megabytes,
                "a whole number of at least 1",
            ),
            dir: self.parsed("MADSPARK_CACHE_DIR", default.dir, folder, "the name of a folder"),
            url: self.parsed("MADSPARK_CACHE_URL", default.url, server, "a URL such as redis://host:port/0"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_pairs(pairs: &[(&str, &str)]) -> (Config, Vec<String>) {
        lookup(pairs).unwrap()
    }

    fn lookup(pairs: &[(&str, &str)]) -> Result<(Config, Vec<String>)> {
        Config::from_lookup(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value)))
    }

    #[test]
    fn an_empty_environment_is_the_default() {
        assert_eq!(from_pairs(&[]), (Config::default(), Vec::new()));
        assert_eq!(from_pairs(&[("OLLAMA_HOST", "  "), ("GOOGLE_API_KEY", "")]).0, Config::default());
    }

    #[test]
    fn a_malformed_variable_is_reported_and_its_default_used() {
        let (config, warnings) = from_pairs(&[
            ("MADSPARK_LLM_PROVIDER", "clippy"),
            ("MADSPARK_MODEL_TIER", "best"),
            ("MADSPARK_FALLBACK_ENABLED", "perhaps"),
            ("MADSPARK_OPENAI_API", "assistants"),
            ("OLLAMA_REQUEST_TIMEOUT", "1e300"),
            ("MADSPARK_CACHE_ENABLED", "sometimes"),
            ("MADSPARK_CACHE_TTL", "0"),
            ("MADSPARK_CACHE_MAX_SIZE_MB", "0.5"),
            ("MADSPARK_CACHE_DIR", "a\0b"),
            ("MADSPARK_CACHE_URL", "http://h"),
        ]);
        assert_eq!(config, Config::default());
        assert_eq!(warnings.len(), 10, "{warnings:?}");
        assert!(!warnings.concat().contains("clippy"), "{warnings:?}");
    }

    #[test]
    fn the_cache_has_its_own_variables() {
        let (config, warnings) = from_pairs(&[
            ("MADSPARK_CACHE_ENABLED", "no"),
            ("MADSPARK_CACHE_TTL", "60.5"),
            ("MADSPARK_CACHE_MAX_SIZE_MB", "5"),
            ("MADSPARK_CACHE_DIR", "/tmp/answers"),
            ("MADSPARK_CACHE_URL", "redis://:word@cache:6380/2"),
        ]);
        assert_eq!(warnings, Vec::<String>::new());
        let expected = CacheConfig {
            enabled: false,
            ttl: Duration::from_millis(60_500),
            max_bytes: 5 * MB,
            dir: PathBuf::from("/tmp/answers"),
            url: Some(Secret::new("redis://:word@cache:6380/2")),
        };
        assert_eq!(config.cache, expected);
        assert!(!format!("{config:?}").contains("word"));
    }

    #[test]
    fn a_malformed_address_is_an_error_that_names_the_variable() {
        for (name, value) in [
            ("OLLAMA_HOST", "http://"),
            ("OLLAMA_HOST", "box:port"),
            ("GEMINI_BASE_URL", "ftp://x"),
            ("OPENAI_BASE_URL", "box:8000/v1"),
            ("ANTHROPIC_BASE_URL", "x"),
        ] {
            let error = lookup(&[(name, value)]).unwrap_err();
            assert!(error.message().starts_with(name), "{error}");
            assert!(error.message().contains("such as http://"), "{error}");
        }
    }

    #[test]
    fn addresses_are_completed() {
        assert_eq!(from_pairs(&[("OLLAMA_HOST", "box")]).0.ollama_host.as_str(), "http://box:11434");
        assert_eq!(from_pairs(&[("OLLAMA_HOST", "\"0.0.0.0:1\"")]).0.ollama_host.as_str(), "http://127.0.0.1:1");
        let local = from_pairs(&[("OPENAI_BASE_URL", "localhost:8000/v1")]).0;
        assert_eq!(local.openai_base_url.as_str(), "http://localhost:8000/v1");
    }
}
