//! Shows the keys of an issuer: `cargo run -p jwks-cache --example keys -- https://accounts.google.com`.

#![expect(clippy::print_stdout, reason = "this is what it is for")]

use std::error::Error;

use jwks_cache::{EntrySpec, Environment, JwksCache, KeySource};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let issuer = std::env::args().nth(1).unwrap_or_else(|| "https://token.actions.githubusercontent.com".to_owned());
    let mut spec = EntrySpec::new("issuer", &issuer, KeySource::Discovery)?;
    // On this machine, for trying things out.
    spec.network.allow_http = issuer.starts_with("http://");
    let entry = spec.name.clone();
    let cache = JwksCache::new(vec![spec], Environment::system("jwks-cache-example/1"))
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;

    let report = cache.refresh(&entry).await.map_err(|error| error.to_string())?;
    println!("{} usable keys, fresh for {:?}", report.keys, report.fresh_for.unwrap_or_default());
    for status in cache.status() {
        for key in status.keys {
            println!("{:?} {} {}", key.kid, key.algorithm.name(), key.thumbprint);
        }
        for key in status.skipped {
            println!("{:?} is not used: {}", key.kid, key.message);
        }
    }
    Ok(())
}
