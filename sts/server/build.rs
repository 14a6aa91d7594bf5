//! What the linker is told for a release.

#![expect(clippy::disallowed_methods, reason = "cargo tells a build script by the environment alone")]

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|own| own == value);
    // Only LLVM's linker has these options, and only for this target does Rust bring it and use it.
    if is("PROFILE", "release") && is("TARGET", "x86_64-unknown-linux-gnu") {
        // Functions that have the same instructions become one function.
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
        // Most relocations take a bit each instead of 24 octets.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
