//! The targets of a call, in order.

use std::iter;
use std::sync::Arc;

use super::target_state::TargetKey;
use super::{MAX_PROMPT_CHARS, Router};
use crate::config::{Config, Provider, ProviderChoice};
use crate::provider::{Target, codec, protocol};

/// The provider of calls that name none, unless another one is preferred for their tier.
const DEFAULT: Provider = Provider::Ollama;

/// A target of a call, and the key of the state that the process shares for it; `None` for the mock.
#[derive(Debug, Clone)]
pub(super) struct PlannedTarget {
    pub(super) target: Arc<Target>,
    pub(super) key: Option<TargetKey>,
}

impl PlannedTarget {
    pub(super) fn new(target: Target) -> Self {
        let key = target.is_remote().then(|| TargetKey::of(&target));
        Self { target: Arc::new(target), key }
    }
}

/// Returns the targets of one call; never empty.
///
/// `force` is the only target. Otherwise the pinned or preferred provider comes first and, with fallback enabled, the
/// other automatic providers follow. The mock has no fallback.
pub(super) fn targets(router: &Router, force: Option<Provider>) -> Vec<Target> {
    let first = force.unwrap_or_else(|| first_choice(router));
    let has_fallback = force.is_none() && router.fallback_enabled() && codec(first).is_some();
    let fallbacks = Provider::ALL
        .into_iter()
        .filter(|provider| has_fallback && *provider != first && protocol(*provider).is_automatic());
    let providers = iter::once(first).chain(fallbacks);
    providers.map(|provider| protocol(provider).target(router.config(), router.tier())).collect()
}

/// Returns the pinned provider, otherwise the one preferred for the tier. Without fallback a preferred provider that is not configured
/// would fail every call, so the default is used.
fn first_choice(router: &Router) -> Provider {
    if let ProviderChoice::Pinned(provider) = router.choice() {
        return provider;
    }
    let is_preferred = |provider: &Provider| {
        let protocol = protocol(*provider);
        protocol.is_preferred_for(router.tier())
            && (router.fallback_enabled() || protocol.is_configured(router.config()))
    };
    Provider::ALL.into_iter().find(is_preferred).unwrap_or(DEFAULT)
}

/// Returns the maximum length of a prompt in characters: the configured one, or the default unless the context window of every
/// target is known without a request. `None` leaves it to the windows.
pub(super) fn prompt_limit(config: &Config, targets: &[PlannedTarget]) -> Option<usize> {
    let has_known_window = |PlannedTarget { target, .. }: &PlannedTarget| {
        target.codec().is_some_and(|codec| codec.context_length(target).is_some())
    };
    config.max_prompt_chars.or_else(|| (!targets.iter().all(has_known_window)).then_some(MAX_PROMPT_CHARS))
}
