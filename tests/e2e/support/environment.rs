//! The only reader of this process's environment.

#[expect(clippy::disallowed_methods, reason = "the harness has no settings of the product")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
