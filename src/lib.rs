//! `docker registry`: prune a private registry and get its space back.
#![allow(dead_code, unused_imports, clippy::allow_attributes, reason = "skeleton")]

mod age;
mod cancel;
mod cli;
mod config;
mod credentials;
mod engine;
mod error;
mod model;
mod plan;
mod plugin;
mod policy;
mod reference;
mod registry;
