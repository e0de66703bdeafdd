//! Reads a configuration from environment variables.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::choice::{choose, named};
use super::{
    BaseUrl, CacheConfig, Config, Effort, KeepAlive, MB, ModelTier, OpenAiApi, ProviderChoice, Secret, Think, Thinking,
    ThinkingLevel, cache, check_temperature, is_header, is_seconds, parse_host,
};

/// Malformed environment variables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct EnvironmentError {
    faults: Vec<Fault>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    variable: &'static str,
    /// Begins with the name of the variable. Does not repeat its value, which may be a key under the wrong name.
    message: String,
}

impl EnvironmentError {
    /// The names of the variables, in the order in which they were read.
    pub fn variables(&self) -> impl Iterator<Item = &'static str> {
        self.faults.iter().map(|fault| fault.variable)
    }
}

impl fmt::Display for EnvironmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [_, _, ..] = self.faults.as_slice() {
            write!(f, "{} environment variables are malformed: ", self.faults.len())?;
        }
        for (index, fault) in self.faults.iter().enumerate() {
            f.write_str(if index > 0 { "; " } else { "" })?;
            f.write_str(&fault.message)?;
        }
        Ok(())
    }
}

impl Config {
    /// Like [`Config::from_env`], with `lookup` as the source of variables. A blank variable counts as absent.
    ///
    /// # Errors
    ///
    /// Returns an error that lists every malformed variable.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, EnvironmentError> {
        let mut reader = Reader { lookup: &lookup, faults: Vec::new() };
        let config = reader.config(Self::default());
        if reader.faults.is_empty() { Ok(config) } else { Err(EnvironmentError { faults: reader.faults }) }
    }
}

struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<OsString>,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn config(&mut self, default: Config) -> Config {
        Config {
            default_provider: self
                .choice("MADSPARK_LLM_PROVIDER", ProviderChoice::all())
                .unwrap_or(default.default_provider),
            model_tier: self
                .choice("MADSPARK_MODEL_TIER", named(ModelTier::ALL, ModelTier::as_str))
                .unwrap_or(default.model_tier),
            fallback_enabled: self.flag("MADSPARK_FALLBACK_ENABLED").unwrap_or(default.fallback_enabled),
            ollama_host: self.address("OLLAMA_HOST", BaseUrl::ollama).unwrap_or(default.ollama_host),
            ollama_model_fast: self.text("OLLAMA_MODEL_FAST").unwrap_or(default.ollama_model_fast),
            ollama_model_balanced: self.text("OLLAMA_MODEL_BALANCED").unwrap_or(default.ollama_model_balanced),
            ollama_timeout: self.seconds("OLLAMA_REQUEST_TIMEOUT").unwrap_or(default.ollama_timeout),
            ollama_load_timeout: self.seconds("MADSPARK_OLLAMA_LOAD_TIMEOUT").unwrap_or(default.ollama_load_timeout),
            ollama_num_ctx: self.count("MADSPARK_OLLAMA_NUM_CTX"),
            ollama_keep_alive: self.keep_alive("MADSPARK_OLLAMA_KEEP_ALIVE"),
            ollama_think: self.choice("MADSPARK_OLLAMA_THINK", named(Think::ALL, Think::as_str)),
            ollama_api_key: self.secret("OLLAMA_API_KEY"),
            // In the order of Google's own clients.
            gemini_api_key: self.secret("GOOGLE_API_KEY").or_else(|| self.secret("GEMINI_API_KEY")),
            gemini_model: self.text("GOOGLE_GENAI_MODEL").unwrap_or(default.gemini_model),
            gemini_base_url: self.address("GEMINI_BASE_URL", BaseUrl::local).unwrap_or(default.gemini_base_url),
            gemini_thinking: self.gemini_thinking(),
            openai_api_key: self.secret("OPENAI_API_KEY"),
            openai_model: self.text("OPENAI_MODEL"),
            openai_api: self
                .choice("MADSPARK_OPENAI_API", named(OpenAiApi::ALL, OpenAiApi::as_str))
                .unwrap_or(default.openai_api),
            openai_reasoning_effort: self
                .choice("MADSPARK_OPENAI_REASONING_EFFORT", named(Effort::ALL, Effort::as_str)),
            openai_service_tier: self.text("MADSPARK_OPENAI_SERVICE_TIER"),
            openai_key_header: self.parsed(
                "MADSPARK_OPENAI_KEY_HEADER",
                "the name of a header, such as api-key",
                |name| is_header(name).then(|| name.to_owned()),
            ),
            openai_base_url: self.address("OPENAI_BASE_URL", BaseUrl::local).unwrap_or(default.openai_base_url),
            anthropic_api_key: self.secret("ANTHROPIC_API_KEY"),
            anthropic_model: self.text("ANTHROPIC_MODEL"),
            anthropic_effort: self.choice("MADSPARK_ANTHROPIC_EFFORT", named(Effort::ANTHROPIC, Effort::as_str)),
            anthropic_base_url: self
                .address("ANTHROPIC_BASE_URL", BaseUrl::local)
                .unwrap_or(default.anthropic_base_url),
            request_timeout: self.seconds("MADSPARK_REQUEST_TIMEOUT").unwrap_or(default.request_timeout),
            max_prompt_chars: self.count("MADSPARK_MAX_PROMPT_CHARS"),
            default_temperature: self.temperature("MADSPARK_DEFAULT_TEMPERATURE", default.default_temperature),
            cache: self.cache(default.cache),
            page_hosts: self.hosts("MADSPARK_PAGE_HOSTS").unwrap_or(default.page_hosts),
            // Tables have no form that people write into a variable.
            limits: default.limits,
            prices: default.prices,
        }
    }

    fn cache(&mut self, default: CacheConfig) -> CacheConfig {
        // `seconds` returns only what a `Duration` can hold.
        let ttl = self.seconds("MADSPARK_CACHE_TTL").and_then(|ttl| Duration::try_from_secs_f64(ttl).ok());
        let megabytes = |value: &str| value.parse::<u64>().ok()?.checked_mul(MB).filter(|bytes| *bytes > 0);
        let folder = |value: &str| Some(PathBuf::from(value)).filter(|path| cache::is_folder(path));
        let server = |value: &str| cache::check_url("", value).is_ok().then(|| Secret::new(value));
        CacheConfig {
            enabled: self.flag("MADSPARK_CACHE_ENABLED").unwrap_or(default.enabled),
            ttl: ttl.unwrap_or(default.ttl),
            max_bytes: self.parsed("MADSPARK_CACHE_MAX_SIZE_MB", COUNT, megabytes).unwrap_or(default.max_bytes),
            dir: self.parsed("MADSPARK_CACHE_DIR", "the name of a folder", folder).unwrap_or(default.dir),
            url: self.parsed("MADSPARK_CACHE_URL", "a URL such as redis://host:port/0", server),
        }
    }

    fn gemini_thinking(&mut self) -> Option<Thinking> {
        const LEVEL: &str = "MADSPARK_GEMINI_THINKING_LEVEL";
        let level = self.choice(LEVEL, named(ThinkingLevel::ALL, ThinkingLevel::as_str)).map(Thinking::Level);
        let budget = self.parsed(
            "MADSPARK_GEMINI_THINKING_BUDGET",
            "a number of tokens, 0 for none or -1 for the model's own",
            |value| value.parse().ok().map(Thinking::Budget).filter(|budget| budget.validate().is_ok()),
        );
        if level.is_some() && budget.is_some() {
            self.fault(
                LEVEL,
                "excludes MADSPARK_GEMINI_THINKING_BUDGET: newer models take a level, Gemini 2.5 takes a budget",
            );
        }
        level.or(budget)
    }

    fn keep_alive(&mut self, variable: &'static str) -> Option<KeepAlive> {
        self.parsed(variable, "a number of seconds or a duration such as 10m", |value| {
            let seconds = value.parse().ok().map(KeepAlive::Seconds);
            Some(seconds.unwrap_or_else(|| KeepAlive::Text(Arc::from(value)))).filter(|it| it.validate().is_ok())
        })
    }

    fn temperature(&mut self, variable: &'static str, default: Option<f64>) -> Option<f64> {
        let parsed = self.parsed(variable, "a number from 0.0 to 2.0, or none", |value| {
            if value.eq_ignore_ascii_case("none") {
                return Some(Temperature::None);
            }
            value.parse().ok().filter(|it| check_temperature(*it).is_ok()).map(Temperature::Number)
        });
        match parsed {
            Some(Temperature::Number(number)) => Some(number),
            Some(Temperature::None) => None,
            None => default,
        }
    }

    fn hosts(&mut self, variable: &'static str) -> Option<Vec<String>> {
        self.parsed(variable, "a list of hosts with ports, such as intranet:8080,wiki:443", |value| {
            let hosts = value.split(',').map(str::trim).filter(|host| !host.is_empty());
            hosts.map(|host| parse_host(host).is_ok().then(|| host.to_owned())).collect()
        })
    }

    fn secret(&mut self, variable: &'static str) -> Option<Secret> {
        self.text(variable).map(|value| Secret::new(&value))
    }

    fn text(&mut self, variable: &'static str) -> Option<String> {
        let value = (self.lookup)(variable)?;
        let Some(value) = value.to_str() else {
            self.fault(variable, "is not UTF-8 text");
            return None;
        };
        // Files of variables for containers keep the quotes around a value.
        let value = value.trim();
        let unquoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        Some(unquoted.unwrap_or(value).trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn parsed<T>(
        &mut self,
        variable: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = parse(&self.text(variable)?);
        if value.is_none() {
            self.fault(variable, &format!("must be {expected}"));
        }
        value
    }

    fn choice<T>(&mut self, variable: &'static str, choices: impl IntoIterator<Item = (&'static str, T)>) -> Option<T> {
        let chosen = choose(&self.text(variable)?.to_ascii_lowercase(), choices);
        chosen.map_err(|names| self.fault(variable, &format!("must be {names}"))).ok()
    }

    fn flag(&mut self, variable: &'static str) -> Option<bool> {
        self.parsed(variable, "true or false", |value| match value.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Some(true),
            "0" | "false" | "no" | "off" => Some(false),
            _ => None,
        })
    }

    fn seconds(&mut self, variable: &'static str) -> Option<f64> {
        self.parsed(variable, "a positive number of seconds", |value| {
            value.parse().ok().filter(|seconds| is_seconds(*seconds))
        })
    }

    fn count<T: TryFrom<u64>>(&mut self, variable: &'static str) -> Option<T> {
        self.parsed(variable, COUNT, |value| value.parse::<u64>().ok().filter(|count| *count > 0)?.try_into().ok())
    }

    fn address(&mut self, variable: &'static str, parse: impl FnOnce(&str) -> BaseUrl) -> Option<BaseUrl> {
        let address = parse(&self.text(variable)?);
        match address.check(variable) {
            Ok(()) => Some(address),
            Err(error) => {
                self.faults.push(Fault { variable, message: error.message().to_owned() });
                None
            }
        }
    }

    fn fault(&mut self, variable: &'static str, what: &str) {
        self.faults.push(Fault { variable, message: format!("{variable} {what}") });
    }
}

/// A temperature, or that none is sent.
enum Temperature {
    Number(f64),
    None,
}

const COUNT: &str = "a whole number of at least 1";

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(pairs: &[(&str, &str)]) -> Result<Config, EnvironmentError> {
        Config::from_lookup(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value)))
    }

    fn from_pairs(pairs: &[(&str, &str)]) -> Config {
        lookup(pairs).unwrap()
    }

    #[test]
    fn an_empty_environment_is_the_default() {
        assert_eq!(from_pairs(&[]), Config::default());
        assert_eq!(from_pairs(&[("OLLAMA_HOST", "  "), ("GOOGLE_API_KEY", "")]), Config::default());
    }

    #[test]
    fn every_malformed_variable_is_named_with_what_it_must_be() {
        let malformed = [
            (
                "MADSPARK_LLM_PROVIDER",
                "olama",
                "must be auto, ollama, gemini, openai, anthropic or mock; did you mean ollama?",
            ),
            ("MADSPARK_MODEL_TIER", "sk-pasted", "must be fast, balanced or quality"),
            ("MADSPARK_FALLBACK_ENABLED", "sk-pasted", "must be true or false"),
            ("OLLAMA_HOST", "sk-pasted:port", "is not a URL"),
            ("OLLAMA_REQUEST_TIMEOUT", "1e300", "must be a positive number of seconds"),
            ("MADSPARK_OLLAMA_LOAD_TIMEOUT", "0", "must be a positive number of seconds"),
            ("MADSPARK_OLLAMA_NUM_CTX", "4294967296", "must be a whole number"),
            ("MADSPARK_OLLAMA_KEEP_ALIVE", "sk-pasted", "must be a number of seconds or a duration"),
            ("MADSPARK_OLLAMA_THINK", "hgih", "must be false, true, low, medium, high or max; did you mean high?"),
            ("GEMINI_BASE_URL", "ftp://sk-pasted", "has no scheme"),
            ("MADSPARK_GEMINI_THINKING_LEVEL", "much", "must be minimal, low, medium or high"),
            ("MADSPARK_GEMINI_THINKING_BUDGET", "-2", "must be a number of tokens"),
            ("MADSPARK_OPENAI_API", "response", "must be chat or responses; did you mean responses?"),
            ("MADSPARK_OPENAI_REASONING_EFFORT", "sk-pasted", "must be none, minimal"),
            ("MADSPARK_OPENAI_KEY_HEADER", "sk pasted", "must be the name of a header"),
            ("OPENAI_BASE_URL", "sk-pasted:8000/v1", "has no scheme"),
            ("MADSPARK_ANTHROPIC_EFFORT", "none", "must be low, medium, high, xhigh or max"),
            ("ANTHROPIC_BASE_URL", "sk-pasted", "has no scheme"),
            ("MADSPARK_REQUEST_TIMEOUT", "nan", "must be a positive number of seconds"),
            ("MADSPARK_MAX_PROMPT_CHARS", "0", "must be a whole number of at least 1"),
            ("MADSPARK_DEFAULT_TEMPERATURE", "2.1", "must be a number from 0.0 to 2.0, or none"),
            ("MADSPARK_CACHE_TTL", "0", "must be a positive number of seconds"),
            ("MADSPARK_CACHE_ENABLED", "sometimes", "must be true or false"),
            ("MADSPARK_CACHE_MAX_SIZE_MB", "0.5", "must be a whole number of at least 1"),
            ("MADSPARK_CACHE_DIR", "a\0b", "must be the name of a folder"),
            ("MADSPARK_CACHE_URL", "http://sk-pasted", "must be a URL such as redis://"),
            ("MADSPARK_PAGE_HOSTS", "intranet", "must be a list of hosts"),
        ];
        for (variable, value, expected) in malformed {
            let error = lookup(&[(variable, value)]).unwrap_err();
            assert_eq!(error.variables().collect::<Vec<_>>(), [variable]);
            assert!(error.to_string().starts_with(&format!("{variable} {expected}")), "{error}");
        }
        let pairs: Vec<_> = malformed.iter().map(|(variable, value, _)| (*variable, *value)).collect();
        let error = lookup(&pairs).unwrap_err();
        let mut named: Vec<_> = error.variables().collect();
        let mut all: Vec<_> = malformed.iter().map(|(variable, ..)| *variable).collect();
        named.sort_unstable();
        all.sort_unstable();
        assert_eq!(named, all);
        let message = error.to_string();
        assert!(message.starts_with("27 environment variables are malformed: "), "{message}");
        assert!(!message.contains("sk-pasted") && !message.contains("olama,"), "{message}");
    }

    #[test]
    fn a_budget_and_a_level_of_thinking_exclude_each_other() {
        let both = [("MADSPARK_GEMINI_THINKING_LEVEL", "low"), ("MADSPARK_GEMINI_THINKING_BUDGET", "0")];
        let error = lookup(&both).unwrap_err().to_string();
        assert!(error.contains("MADSPARK_GEMINI_THINKING_LEVEL excludes MADSPARK_GEMINI_THINKING_BUDGET"), "{error}");
        assert_eq!(from_pairs(&both[..1]).gemini_thinking, Some(Thinking::Level(ThinkingLevel::Low)));
        assert_eq!(from_pairs(&both[1..]).gemini_thinking, Some(Thinking::Budget(0)));
    }

    #[test]
    fn the_cache_has_its_own_variables() {
        let config = from_pairs(&[
            ("MADSPARK_CACHE_ENABLED", "no"),
            ("MADSPARK_CACHE_TTL", "60.5"),
            ("MADSPARK_CACHE_MAX_SIZE_MB", "5"),
            ("MADSPARK_CACHE_DIR", "/tmp/answers"),
            ("MADSPARK_CACHE_URL", "redis://:word@cache:6380/2"),
        ]);
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
            let error = lookup(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
            assert!(error.contains("such as http://"), "{error}");
        }
    }

    #[test]
    fn addresses_are_completed() {
        assert_eq!(from_pairs(&[("OLLAMA_HOST", "box")]).ollama_host.as_str(), "http://box:11434");
        assert_eq!(from_pairs(&[("OLLAMA_HOST", "\"0.0.0.0:1\"")]).ollama_host.as_str(), "http://127.0.0.1:1");
        let local = from_pairs(&[("OPENAI_BASE_URL", "localhost:8000/v1")]);
        assert_eq!(local.openai_base_url.as_str(), "http://localhost:8000/v1");
    }
}
