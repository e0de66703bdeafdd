//! Probes the providers of a router on demand. Calls do not depend on it.

use std::time::Duration;

use serde::Serialize;

use super::{Engine, Router};
use crate::config::{Provider, ProviderChoice};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::{self, Codec, Target, is_same_model};

/// The time limit of a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// The result of the probe of one provider.
#[derive(Debug, Clone, Serialize)]
pub struct ProviderHealth {
    /// The provider.
    #[serde(skip)]
    pub provider: Provider,
    /// The model that a call would use.
    pub model: String,
    /// Whether the provider is configured.
    pub available: bool,
    /// Whether the provider answered and has the model.
    pub healthy: bool,
    /// Why the provider is not healthy.
    pub reason: Option<String>,
}

/// Probes at once every provider that the router may use: the automatic ones, the configured ones and the pinned one.
pub(super) async fn probe(router: &Router, engine: &Engine) -> Vec<ProviderHealth> {
    let is_probed = |provider: &Provider| {
        let protocol = provider::protocol(*provider);
        let is_configured = provider::codec(*provider).is_some() && protocol.is_configured(router.config());
        protocol.is_automatic() || is_configured || router.choice() == ProviderChoice::Pinned(*provider)
    };
    let providers = Provider::ALL.into_iter().filter(is_probed);
    futures_util::future::join_all(providers.map(|provider| probe_one(router, engine, provider))).await
}

async fn probe_one(router: &Router, engine: &Engine, provider: Provider) -> ProviderHealth {
    let protocol = provider::protocol(provider);
    let target = protocol.target(router.config(), router.tier());
    let outcome = match target.codec() {
        Some(codec) => find_model(codec, &target, engine).await,
        None => Ok(()),
    };
    ProviderHealth {
        provider,
        model: target.model.to_string(),
        available: protocol.is_configured(router.config()),
        healthy: outcome.is_ok(),
        reason: outcome.err().map(|error| error.message().to_owned()),
    }
}

/// Fails unless the target's server lists the target's model.
async fn find_model(codec: &dyn Codec, target: &Target, engine: &Engine) -> Result<()> {
    let wire = codec.models_request(target)?;
    let reply = engine.transport.send(wire, PROBE_TIMEOUT.min(target.timeout)).await?;
    if !reply.is_success() {
        return Err(codec.decode_error(target, reply.status, &reply.headers, &reply.body));
    }
    let models = codec.decode_models(&reply.body)?;
    // Gateways that list no models still serve calls.
    if models.is_empty() || models.iter().any(|name| is_same_model(name, &target.model)) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::ModelMissing, format!("answers, but does not list the model {}", target.model)))
}
