//! The built binary and the scripts around it, as their users meet them.

mod install;
