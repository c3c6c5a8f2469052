//! Which registries the engine was told to reach without a verified certificate: by name, or by network.

use std::net::IpAddr;

use anyhow::{Context, Result};

use super::Engine;
use crate::model::RegistryAddress;

impl Engine {
    /// The engine's own rule: an entry for `host[:port]` decides, else any address of the host in one of its networks.
    pub(crate) async fn calls_insecure(&self, address: &RegistryAddress) -> Result<bool> {
        let info = self.info().await.context("ask the engine for its registries")?;
        let Some(configuration) = info.registry_config else {
            return Ok(false);
        };
        let entries = configuration.index_configs.unwrap_or_default();
        if let Some(is_secure) = entries.get(address.host()).and_then(|entry| entry.secure) {
            return Ok(!is_secure);
        }
        let networks = configuration.insecure_networks.unwrap_or_default();
        let port = address.port().unwrap_or(443);
        let addresses = tokio::net::lookup_host((address.hostname(), port)).await;
        Ok(addresses
            .is_ok_and(|mut found| found.any(|at| networks.iter().any(|network| holds(network, at.ip())))))
    }
}

/// Whether `address` is in `network`, written as `192.168.0.0/16`.
fn holds(network: &str, address: IpAddr) -> bool {
    let Some((start, length)) = network.split_once('/') else {
        return false;
    };
    let (Ok(start), Ok(length)) = (start.parse::<IpAddr>(), length.parse::<u32>()) else {
        return false;
    };
    let (start, address, bits) = match (start, address) {
        (IpAddr::V4(start), IpAddr::V4(address)) => {
            (u128::from(start.to_bits()), u128::from(address.to_bits()), 32)
        }
        (IpAddr::V6(start), IpAddr::V6(address)) => (start.to_bits(), address.to_bits(), 128),
        _ => return false,
    };
    length <= bits && (length == 0 || (start ^ address) >> (bits - length) == 0)
}

#[cfg(test)]
mod tests {
    use super::holds;

    #[test]
    fn networks_hold_their_addresses() {
        for (network, address, is_in) in [
            ("127.0.0.0/8", "127.9.9.9", true),
            ("127.0.0.0/8", "128.0.0.1", false),
            ("10.1.2.3/32", "10.1.2.3", true),
            ("10.1.2.3/32", "10.1.2.4", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("::1/128", "::1", true),
            ("fd00::/8", "fd12::1", true),
            ("10.0.0.0/33", "10.0.0.1", false),
            ("nonsense", "10.0.0.1", false),
        ] {
            assert_eq!(holds(network, address.parse().unwrap()), is_in, "{network} {address}");
        }
    }
}
