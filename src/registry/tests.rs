//! The client against the fake registry, over real HTTP on loopback.

use std::time::Duration;

use super::error::Kind;
use super::fake_registry::FakeRegistry;
use super::*;
use crate::credentials::Secret;
use crate::model::{Digest, Repository, Tag};

mod access;
mod deletions;
mod lists;
mod reads;

fn access(host: &str) -> Access {
    Access {
        address: host.parse().unwrap(),
        credentials: None,
        is_insecure: false,
        certificates: None,
        concurrency: 16,
        trace: Trace::default(),
        timeouts: Timeouts {
            pause: Duration::from_millis(1),
            request: Duration::from_secs(5),
            ..Timeouts::at(crate::pace::Pace::Patient)
        },
    }
}

fn access_as(host: &str, username: &str, password: &str) -> Access {
    Access {
        credentials: Some(Credentials::Basic {
            username: username.to_owned(),
            password: Secret::from(password),
        }),
        ..access(host)
    }
}

/// Connected, with the requests of the greeting forgotten.
async fn connected(fake: &FakeRegistry) -> Registry {
    let registry = Registry::connect(&access(&fake.host())).await.unwrap();
    fake.forget_requests();
    registry
}

fn repository(name: &str) -> Repository {
    name.parse().unwrap()
}

fn tag(name: &str) -> Tag {
    name.parse().unwrap()
}

fn digest(text: &str) -> Digest {
    text.parse().unwrap()
}
