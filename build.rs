//! Has the program linked for one address on Linux, as most tools written in Go are: of a position-independent one
//! 0.16 MB are the list of places to be adjusted at every start.

use std::env;

#[expect(clippy::disallowed_methods, reason = "cargo names the target in the environment")]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, wanted: &str| env::var(name).is_ok_and(|value| value == wanted);
    // A static one is linked in another way.
    let is_static =
        env::var("CARGO_CFG_TARGET_FEATURE").is_ok_and(|features| features.contains("crt-static"));
    let is_glibc = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    if is_glibc && is("PROFILE", "release") && !is_static {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
