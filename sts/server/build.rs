//! What the linker is told for a release.

#![expect(clippy::disallowed_methods, reason = "cargo tells a build script by the environment alone")]

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|own| own == value);
    // The options are of LLVM's linker, which is Rust's own for this target alone.
    if is("PROFILE", "release") && is("TARGET", "x86_64-unknown-linux-gnu") {
        // Functions of the same instructions are one.
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
        // Relocations in bits, not in 24 octets each.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
