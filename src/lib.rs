//! `docker registry`: prune a private registry and get its space back.
#![allow(dead_code, unused_imports, clippy::allow_attributes, reason = "skeleton")]

mod age;
mod cancel;
mod certificate;
mod cli;
mod config;
mod credentials;
mod engine;
mod error;
mod model;
mod plugin;
mod reference;
mod registry;
