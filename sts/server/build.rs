//! What the linker is told for a release, and the schemas that a release carries.

#![expect(clippy::disallowed_methods, reason = "cargo tells a build script by the environment alone")]

use std::fs::{self, File};
use std::io;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

/// The files of `deploy/schema`. `src/schemas.rs` reads them.
const SCHEMAS: [&str; 3] = ["openapi.json", "sts.schema.json", "decision-event.schema.json"];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    tell_linker();
    compress_schemas()
}

fn tell_linker() {
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|own| own == value);
    // Only LLVM's linker has these options, and only for this target does Rust bring it and use it.
    if is("PROFILE", "release") && is("TARGET", "x86_64-unknown-linux-gnu") {
        // Functions that have the same instructions become one function.
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
        // Most relocations take a bit each instead of 24 octets.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

fn compress_schemas() -> io::Result<()> {
    let target = std::env::var("OUT_DIR").map_err(io::Error::other)?;
    for name in SCHEMAS {
        let source = Path::new("../../deploy/schema").join(name);
        println!("cargo::rerun-if-changed={}", source.display());
        let target = File::create(Path::new(&target).join(format!("{name}.gz")))?;
        let mut encoder = GzEncoder::new(target, Compression::best());
        io::copy(&mut fs::read(&source)?.as_slice(), &mut encoder)?;
        encoder.finish()?;
    }
    Ok(())
}
