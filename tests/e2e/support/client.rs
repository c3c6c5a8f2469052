//! A plain HTTP client of a registry: pushes what tests need and pulls strictly, verifying every byte.

use std::collections::BTreeSet;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::content::{
    Content, DOCKER_LIST, DOCKER_MANIFEST, Image, OCI_INDEX, OCI_MANIFEST, Recipe, digest_of, index,
};

const MANIFEST_TYPES: [&str; 4] = [DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX];

pub(crate) struct Client {
    address: String,
    login: Option<(String, String)>,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Everything a pull of one reference brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pulled {
    pub(crate) manifests: BTreeSet<String>,
    pub(crate) blobs: BTreeSet<String>,
}

impl Client {
    pub(crate) fn new(address: &str, login: Option<(String, String)>) -> Self {
        // The product names its TLS provider itself; a client of its own crates needs one too, even for plain HTTP.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            address: address.to_owned(),
            login,
            http: reqwest::Client::builder()
                .no_proxy()
                // The server is restarted between two requests of a test: a connection kept open would be a dead one.
                .pool_max_idle_per_host(0)
                .user_agent("docker-registry-prune-tests")
                .build()
                .expect("an HTTP client"),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"),
        }
    }

    /// One request; `Err` is a connection that failed.
    pub(crate) fn send(
        &self,
        method: &Method,
        path: &str,
        content: Option<&Content>,
    ) -> Result<Reply, reqwest::Error> {
        let url =
            if path.starts_with("http") { path.to_owned() } else { format!("http://{}{path}", self.address) };
        let mut request = self.http.request(method.clone(), url);
        for kind in MANIFEST_TYPES {
            request = request.header(ACCEPT, kind);
        }
        if let Some((user, password)) = &self.login {
            request = request.basic_auth(user, Some(password));
        }
        if let Some(content) = content {
            request = request.header(CONTENT_TYPE, content.media_type).body(content.bytes.clone());
        }
        self.runtime.block_on(async {
            let response = request.send().await?;
            Ok(Reply {
                status: response.status(),
                headers: response.headers().clone(),
                body: response.bytes().await?.to_vec(),
            })
        })
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.send(&Method::GET, path, None).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    #[track_caller]
    fn expect(&self, status: StatusCode, method: &Method, path: &str, content: Option<&Content>) -> Reply {
        let reply =
            self.send(method, path, content).unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        assert_eq!(reply.status, status, "{method} {path}: {}", String::from_utf8_lossy(&reply.body));
        reply
    }

    #[track_caller]
    pub(crate) fn push_blob(&self, repository: &str, blob: &Content) {
        let started = self.expect(
            StatusCode::ACCEPTED,
            &Method::POST,
            &format!("/v2/{repository}/blobs/uploads/"),
            None,
        );
        let location = started.headers["location"].to_str().expect("a location");
        let separator = if location.contains('?') { '&' } else { '?' };
        let bytes = Content { media_type: "application/octet-stream", ..blob.clone() };
        self.expect(
            StatusCode::CREATED,
            &Method::PUT,
            &format!("{location}{separator}digest={}", blob.digest),
            Some(&bytes),
        );
    }

    /// Puts a manifest under a tag, or under its own digest.
    #[track_caller]
    pub(crate) fn put_manifest(&self, repository: &str, reference: &str, manifest: &Content) {
        self.expect(
            StatusCode::CREATED,
            &Method::PUT,
            &format!("/v2/{repository}/manifests/{reference}"),
            Some(manifest),
        );
    }

    /// Pushes all of an image and puts every tag on it; without tags it is there by its digest only.
    #[track_caller]
    pub(crate) fn push(&self, repository: &str, tags: &[&str], image: &Image) {
        for blob in image.layers.iter().chain([&image.config]) {
            self.push_blob(repository, blob);
        }
        if tags.is_empty() {
            self.put_manifest(repository, &image.manifest.digest, &image.manifest);
        }
        for tag in tags {
            self.put_manifest(repository, tag, &image.manifest);
        }
    }

    /// Pushes an image as far as the server lets it: `None`, or the status with which it refused. `Err`: nobody answered.
    pub(crate) fn try_push(
        &self,
        repository: &str,
        tag: &str,
        image: &Image,
    ) -> Result<Option<u16>, reqwest::Error> {
        for blob in image.layers.iter().chain([&image.config]) {
            let begun = self.send(&Method::POST, &format!("/v2/{repository}/blobs/uploads/"), None)?;
            if begun.status != StatusCode::ACCEPTED {
                return Ok(Some(begun.status.as_u16()));
            }
            let location = begun.headers["location"].to_str().expect("a location");
            let separator = if location.contains('?') { '&' } else { '?' };
            let path = format!("{location}{separator}digest={}", blob.digest);
            let bytes = Content { media_type: "application/octet-stream", ..blob.clone() };
            let stored = self.send(&Method::PUT, &path, Some(&bytes))?;
            if stored.status != StatusCode::CREATED {
                return Ok(Some(stored.status.as_u16()));
            }
        }
        let path = format!("/v2/{repository}/manifests/{tag}");
        let stored = self.send(&Method::PUT, &path, Some(&image.manifest))?;
        Ok((stored.status != StatusCode::CREATED).then(|| stored.status.as_u16()))
    }

    /// Pushes the images by digest and an OCI index over them under a tag.
    #[track_caller]
    pub(crate) fn push_index(&self, repository: &str, tag: &str, images: &[&Image]) -> Content {
        for image in images {
            self.push(repository, &[], image);
        }
        let index = index(OCI_INDEX, images);
        self.put_manifest(repository, tag, &index);
        index
    }

    /// Deletes a manifest as the how-tos do.
    #[track_caller]
    pub(crate) fn delete(&self, repository: &str, digest: &str) {
        self.expect(
            StatusCode::ACCEPTED,
            &Method::DELETE,
            &format!("/v2/{repository}/manifests/{digest}"),
            None,
        );
    }

    /// Pushes an image and deletes it: nothing refers to it any more, and all of it is still in the store.
    #[track_caller]
    pub(crate) fn leave_garbage(&self, repository: &str, seed: &str) {
        let image = Recipe::new(&format!("{seed} garbage")).build();
        self.push(repository, &["garbage"], &image);
        self.delete(repository, &image.manifest.digest);
    }

    /// The tags, sorted; none where the repository has none or is not known.
    pub(crate) fn tags(&self, repository: &str) -> Vec<String> {
        let reply = self.get(&format!("/v2/{repository}/tags/list"));
        if reply.status == StatusCode::NOT_FOUND {
            return Vec::new();
        }
        assert_eq!(reply.status, StatusCode::OK, "tags of {repository}");
        let list: Value = serde_json::from_slice(&reply.body).expect("a tag list");
        let mut tags: Vec<String> = list["tags"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|tag| tag.as_str().expect("a tag").to_owned())
            .collect();
        tags.sort_unstable();
        tags
    }

    pub(crate) fn has_manifest(&self, repository: &str, reference: &str) -> bool {
        self.get(&format!("/v2/{repository}/manifests/{reference}")).status.is_success()
    }

    /// Fetches everything a reference needs, through indexes to the last layer, and checks size and content of each.
    pub(crate) fn pull(&self, repository: &str, reference: &str) -> Result<Pulled, String> {
        let mut pulled = Pulled::default();
        let mut waiting = vec![reference.to_owned()];
        while let Some(reference) = waiting.pop() {
            let reply = self.fetch(&format!("/v2/{repository}/manifests/{reference}"))?;
            let digest = digest_of(&reply.body);
            let announced = reply.headers.get("docker-content-digest").and_then(|value| value.to_str().ok());
            if announced != Some(digest.as_str()) || reference.starts_with("sha256:") && reference != digest {
                return Err(format!("{repository}@{reference}: content {digest}, announced {announced:?}"));
            }
            let manifest: Value = serde_json::from_slice(&reply.body)
                .map_err(|error| format!("{repository}@{reference}: {error}"))?;
            for child in manifest["manifests"].as_array().into_iter().flatten() {
                waiting.push(child["digest"].as_str().unwrap_or_default().to_owned());
            }
            let layers = manifest["layers"].as_array().into_iter().flatten();
            for blob in layers.chain(manifest.get("config")) {
                pulled.blobs.insert(self.fetch_blob(repository, blob)?);
            }
            pulled.manifests.insert(digest);
        }
        Ok(pulled)
    }

    fn fetch_blob(&self, repository: &str, descriptor: &Value) -> Result<String, String> {
        let digest = descriptor["digest"].as_str().unwrap_or_default();
        let body = self.fetch(&format!("/v2/{repository}/blobs/{digest}"))?.body;
        if Some(body.len() as u64) != descriptor["size"].as_u64() || digest_of(&body) != digest {
            return Err(format!("{repository}@{digest}: {} bytes of something else", body.len()));
        }
        Ok(digest.to_owned())
    }

    fn fetch(&self, path: &str) -> Result<Reply, String> {
        let reply = self.send(&Method::GET, path, None).map_err(|error| format!("GET {path}: {error}"))?;
        if reply.status.is_success() {
            Ok(reply)
        } else {
            let body = String::from_utf8_lossy(&reply.body);
            Err(format!("GET {path}: {} {body}", reply.status))
        }
    }
}
