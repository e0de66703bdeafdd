//! The TLS configuration of every connection: certificates are verified by the platform's verifier.

use std::sync::OnceLock;

use hyper_rustls::ConfigBuilderExt;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs::default_provider;

/// Returns the TLS configuration of the process. Loads the platform's root certificates on first use.
pub(super) fn client_config() -> Result<ClientConfig, rustls::Error> {
    static CONFIG: OnceLock<ClientConfig> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let config = ClientConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()?
        .try_with_platform_verifier()?
        .with_no_client_auth();
    // Two first connections at once may both load the certificates. Filling the cell with a closure would block a process
    // that is forked meanwhile.
    Ok(CONFIG.get_or_init(|| config).clone())
}
