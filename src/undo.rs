//! What a run deleted, as its record says, and what is to be done to put it back where the registry stands now. Pure:
//! `record` keeps the files, `commands::undo` asks the registry and puts.

mod contents;
mod record;
mod steps;
#[cfg(test)]
mod tests;

pub(crate) use contents::Contents;
pub(crate) use record::{Record, Removed, State, Sweep};
pub(crate) use steps::{Fate, Item, Place, Present, Undone};
