//! The harness: real servers in containers, real images, the real docker command, and the program under test.

pub(crate) mod access;
pub(crate) mod answer;
pub(crate) mod client;
pub(crate) mod compose;
pub(crate) mod content;
pub(crate) mod engine;
pub(crate) mod environment;
pub(crate) mod network;
pub(crate) mod redis;
pub(crate) mod registry;
pub(crate) mod tool;
