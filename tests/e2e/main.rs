//! The program against the real registry server in real containers, with the real docker command.
//!
//! Every test has its own server and its own images; nothing is left behind. They need a Docker engine;
//! `DOCKER_REGISTRY_PRUNE_TESTS=no-engine` leaves them out.

mod again;
mod clients;
mod compose;
mod credentials;
mod damage;
mod deep;
mod df;
mod docker;
mod harness;
mod hazards;
mod indexes;
mod input;
mod leftovers;
mod objects;
mod outside;
mod quiet;
mod read_only;
mod recovery;
mod redis;
mod refusals;
mod retention;
mod retention_attachments;
mod retention_in_use;
mod rules;
mod service;
mod shapes;
mod stopped;
mod store;
mod story;
mod support;
mod tags;
mod undo;
mod untagged;
