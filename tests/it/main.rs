//! The built binary and the scripts around it, as their users meet them.

mod access;
mod attachments;
mod choice;
mod counting;
mod deep;
mod dry_run;
mod explain;
mod fake_registry;
mod faults;
mod guards;
mod help;
mod imports;
mod install;
mod json;
mod meanwhile;
mod odd_servers;
mod policy_accidents;
mod policy_file;
mod policy_flags;
mod readme;
mod record;
mod refusals;
mod run;
mod undo;
mod unreadable;
mod untag;
