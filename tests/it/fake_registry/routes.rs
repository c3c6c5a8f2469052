//! The distribution API over the contents. What is not known here is a 404, and stands in the journal.

use axum::http::header;
use serde_json::{Value, json};

use super::contents::{Contents, Manifest, OCI_INDEX, digest_of};
use super::quirks::{Deletions, Quirks, Version};
use super::{Asked, Reply};

pub(super) fn reply(contents: &mut Contents, quirks: &Quirks, asked: &Asked) -> Reply {
    if quirks.is_a_web_page {
        let page = b"<!doctype html><title>Welcome</title>".to_vec();
        return Reply::new(200).header("content-type", "text/html").body(page);
    }
    let Some(path) = asked.path.strip_prefix("/v2/") else {
        return Reply::new(404);
    };
    let is_read = matches!(asked.method.as_str(), "GET" | "HEAD");
    let reply = match path {
        "" => Reply::json(200, &json!({})),
        "_catalog" if is_read => catalog(contents, quirks, asked),
        _ => {
            if let Some(repository) = path.strip_suffix("/tags/list") {
                tags(contents, quirks, repository, asked)
            } else if let Some(upload) = upload(quirks, path, &asked.method) {
                upload
            } else if let Some((repository, reference)) = path.rsplit_once("/manifests/") {
                match asked.method.as_str() {
                    "GET" | "HEAD" => manifest(contents, quirks, repository, reference, asked),
                    "PUT" => put(contents, quirks, repository, reference, asked),
                    "DELETE" => delete(contents, quirks, repository, reference),
                    _ => Reply::new(404),
                }
            } else if let Some((repository, digest)) = path.rsplit_once("/blobs/")
                && is_read
            {
                blob(contents, quirks, repository, digest)
            } else if let (Some((repository, subject)), Some(page), true) =
                (path.rsplit_once("/referrers/"), quirks.referrers_page, is_read)
            {
                referrers(contents, quirks, repository, subject, page, asked)
            } else {
                Reply::new(404)
            }
        }
    };
    reply.header("docker-distribution-api-version", "registry/2.0")
}

fn catalog(contents: &Contents, quirks: &Quirks, asked: &Asked) -> Reply {
    if let Some(status) = quirks.catalog_refused {
        return Reply::error(status, "DENIED", "requested access to the resource is denied");
    }
    let n = asked.query("n").and_then(|n| n.parse().ok()).unwrap_or(100);
    if quirks.catalog_limit.is_some_and(|limit| n > limit) {
        return Reply::error(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested");
    }
    if quirks.catalog_drops == Some(n) {
        super::cut();
    }
    let names: Vec<&String> = contents.repositories.keys().collect();
    paged("repositories", &names, n, json!({}), quirks, asked)
}

fn tags(contents: &Contents, quirks: &Quirks, repository: &str, asked: &Asked) -> Reply {
    let Some(found) = contents.repositories.get(repository) else {
        return Reply::error(404, "NAME_UNKNOWN", "repository name not known to registry");
    };
    if found.tags.is_empty() && quirks.tags_null {
        return Reply::json(200, &json!({ "name": repository, "tags": null }));
    }
    // 2.x gives them in the order of the disk: anything but sorted.
    let mut names: Vec<&String> = found.tags.keys().collect();
    let page = quirks.tags_page.unwrap_or(usize::MAX);
    if page == usize::MAX {
        names.reverse();
    }
    paged("tags", &names, page, json!({ "name": repository }), quirks, asked)
}

fn paged(key: &str, names: &[&String], n: usize, mut body: Value, quirks: &Quirks, asked: &Asked) -> Reply {
    let last = asked.query("last");
    let after: Vec<&&String> =
        names.iter().filter(|name| last.is_none_or(|last| name.as_str() > last)).collect();
    let page = &after[..n.min(after.len())];
    body[key] = json!(page);
    let reply = Reply::json(200, &body);
    let has_more = after.len() > page.len() || (quirks.links_to_empty_page && !page.is_empty());
    let link = match (&quirks.link, page.last()) {
        (Some(link), _) => link.clone(),
        (None, Some(last)) if has_more && !quirks.omits_link => format!("{}?last={last}&n={n}", asked.path),
        _ => return reply,
    };
    reply.header("link", format!("<{link}>; rel=\"next\""))
}

/// As zot answers: an index of what names `subject` as its own, with a link to the next page.
fn referrers(
    contents: &Contents,
    quirks: &Quirks,
    repository: &str,
    subject: &str,
    page: usize,
    asked: &Asked,
) -> Reply {
    let last = asked.query("last").unwrap_or_default();
    let found: Vec<(&String, &Manifest)> = contents
        .repositories
        .get(repository)
        .into_iter()
        .flat_map(|found| &found.manifests)
        .filter(|(digest, manifest)| {
            manifest.subject().as_deref() == Some(subject) || quirks.false_referrers.contains(digest)
        })
        .filter(|(digest, _)| digest.as_str() > last)
        .collect();
    let (shown, rest) = found.split_at(page.min(found.len()));
    let descriptors: Vec<Value> = shown
        .iter()
        .map(|(digest, manifest)| {
            json!({ "mediaType": manifest.media_type, "digest": digest, "size": manifest.bytes.len() })
        })
        .collect();
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": descriptors });
    let reply = Reply::new(200).header("content-type", OCI_INDEX).body(index.to_string().into_bytes());
    match shown.last() {
        Some((last, _)) if !rest.is_empty() => {
            reply.header("link", format!("<{}?last={last}>; rel=\"next\"", asked.path))
        }
        _ => reply,
    }
}

fn manifest(contents: &Contents, quirks: &Quirks, repository: &str, reference: &str, asked: &Asked) -> Reply {
    let unknown = || Reply::error(404, "MANIFEST_UNKNOWN", "manifest unknown");
    let Some(digest) = contents.resolve(repository, reference) else {
        return unknown();
    };
    let Some(manifest) = contents.manifest(repository, &digest) else {
        return unknown();
    };
    // 2.4 does not split at commas, so a line of its own is demanded for each type.
    let is_accepted = asked
        .headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|line| line.as_bytes() == manifest.media_type.as_bytes());
    if !is_accepted && !quirks.serves_any_type && !manifest.media_type.contains(".v1+prettyjws") {
        return Reply::error(
            404,
            "MANIFEST_UNKNOWN",
            "manifest found, but accept header does not support it",
        );
    }
    let reply = Reply::new(200).header("content-type", &manifest.media_type).body(manifest.bytes.clone());
    if quirks.head_without_digest && asked.method == "HEAD" {
        reply
    } else {
        reply.header("docker-content-digest", quirks.wrong_digest.clone().unwrap_or(digest))
    }
}

fn put(contents: &mut Contents, quirks: &Quirks, repository: &str, reference: &str, asked: &Asked) -> Reply {
    if quirks.deletion == Deletions::ReadOnly {
        return read_only();
    }
    let found = contents.repository(repository);
    let manifest: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
    let named = |list: &str| manifest[list].as_array().cloned().unwrap_or_default();
    let missing_blob = named("layers")
        .iter()
        .chain(manifest.get("config"))
        .any(|blob| blob["digest"].as_str().is_none_or(|digest| !found.blobs.contains_key(digest)));
    let missing_child = named("manifests")
        .iter()
        .any(|child| child["digest"].as_str().is_none_or(|digest| !found.manifests.contains_key(digest)));
    if missing_blob || missing_child {
        return Reply::error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry");
    }
    let digest = digest_of(&asked.body);
    contents.manifest_of(repository, asked.header("content-type").unwrap_or_default(), &asked.body);
    if reference != digest {
        contents.tag(repository, reference, &digest);
    }
    Reply::new(201).header("docker-content-digest", digest)
}

fn delete(contents: &mut Contents, quirks: &Quirks, repository: &str, reference: &str) -> Reply {
    match quirks.deletion {
        Deletions::Disabled => return Reply::error(405, "UNSUPPORTED", "The operation is unsupported."),
        Deletions::ReadOnly => return read_only(),
        Deletions::Enabled => {}
    }
    let is_known = contents.repositories.contains_key(repository);
    let was_there = if reference.contains(':') {
        is_known && contents.delete(repository, reference)
    } else if quirks.version == Version::Three {
        is_known && contents.repository(repository).tags.remove(reference).is_some()
    } else {
        return Reply::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
    };
    if was_there { Reply::new(202) } else { Reply::error(404, "MANIFEST_UNKNOWN", "manifest unknown") }
}

/// A push begins, or is given up; nothing is ever uploaded here.
fn upload(quirks: &Quirks, path: &str, method: &str) -> Option<Reply> {
    let (repository, upload) = path.split_once("/blobs/uploads/")?;
    Some(match (method, quirks.deletion) {
        ("POST" | "DELETE", Deletions::ReadOnly) => read_only(),
        ("POST", _) if upload.is_empty() => {
            let location = format!("/v2/{repository}/blobs/uploads/1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed");
            Reply::new(202).header("location", location)
        }
        ("DELETE", _) => Reply::new(204),
        _ => Reply::new(404),
    })
}

fn read_only() -> Reply {
    Reply::new(405)
        .header("allow", "GET, HEAD")
        .header("content-type", "text/plain; charset=utf-8")
        .body(b"Method not allowed\n".to_vec())
}

fn blob(contents: &Contents, quirks: &Quirks, repository: &str, digest: &str) -> Reply {
    let found = contents.repositories.get(repository).and_then(|found| found.blobs.get(digest));
    match (found, &quirks.blobs_at) {
        (None, _) => Reply::error(404, "BLOB_UNKNOWN", "blob unknown to registry"),
        (Some(_), Some(place)) => Reply::new(307)
            .header("location", format!("{place}/v2/{repository}/blobs/{digest}?signature=secret")),
        (Some(content), None) => Reply::new(200)
            .header("content-type", "application/octet-stream")
            .header("docker-content-digest", digest)
            .body(content.clone()),
    }
}
