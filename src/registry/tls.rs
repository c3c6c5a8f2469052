//! HTTP clients and whom they trust: the system's roots, the registry's own certificates as the engine keeps them in
//! `certs.d`, or, for loopback and insecure registries, anyone.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Certificate, Client, Identity, redirect};

pub(super) struct Trust {
    pub(super) verifies: bool,
    /// Environment proxies are for other machines; the engine leaves loopback alone too.
    pub(super) uses_proxy: bool,
    pub(super) authorities: Vec<Certificate>,
    pub(super) identity: Option<Identity>,
}

impl Trust {
    /// The engine's rule: certificates of one's own are for registries that are verified.
    pub(super) fn of_registry(verifies: bool, uses_proxy: bool, certificates: Option<&Path>) -> Result<Self> {
        let mut trust = Self { verifies, uses_proxy, authorities: Vec::new(), identity: None };
        if let Some(folder) = certificates.filter(|folder| verifies && folder.is_dir()) {
            trust.read(folder).with_context(|| {
                format!("the registry's certificates in `{}` cannot be used", folder.display())
            })?;
        }
        Ok(trust)
    }

    /// The engine's `certs.d/<host>`: every `*.crt` is an authority, every `*.cert` needs its `*.key`.
    fn read(&mut self, folder: &Path) -> Result<()> {
        let mut paths = fs::read_dir(folder)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<PathBuf>, _>>()?;
        paths.sort_unstable();
        for path in &paths {
            match path.extension().and_then(OsStr::to_str) {
                Some("crt") => self.authorities.extend(
                    Certificate::from_pem_bundle(&contents(path)?)
                        .with_context(|| format!("`{}` is no PEM certificate", path.display()))?,
                ),
                Some("cert") => {
                    let mut pem = contents(path)?;
                    pem.push(b'\n');
                    pem.extend(contents(&path.with_extension("key"))?);
                    let identity = Identity::from_pem(&pem)
                        .with_context(|| format!("`{}` and its key do not fit", path.display()))?;
                    self.identity.get_or_insert(identity);
                }
                Some("key") if !path.with_extension("cert").exists() => {
                    bail!("`{}` has no certificate (`*.cert`) beside it", path.display());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Redirects are not followed here: who may be told what is decided for each.
    pub(super) fn client(&self, connect_limit: Duration) -> Result<Client> {
        // A second installation is refused and changes nothing: the provider is the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            let mut builder = Client::builder()
                .user_agent(concat!("docker-registry-prune/", env!("CARGO_PKG_VERSION")))
                .redirect(redirect::Policy::none())
                .connect_timeout(connect_limit)
                .tls_danger_accept_invalid_certs(!self.verifies);
            if !self.uses_proxy {
                builder = builder.no_proxy();
            }
            match &self.identity {
                Some(identity) => builder.identity(identity.clone()),
                None => builder,
            }
        };
        let with_system_roots = if self.authorities.is_empty() {
            builder()
        } else {
            builder().tls_certs_merge(self.authorities.clone())
        };
        if let Ok(client) = with_system_roots.build() {
            return Ok(client);
        }
        // A machine without a CA bundle (a slim container): reqwest refuses to build, though plain HTTP needs none. What
        // then cannot be verified is refused when it is met.
        builder().tls_certs_only(self.authorities.clone()).build().context("no TLS client could be made")
    }
}

fn contents(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("`{}` cannot be read", path.display()))
}
