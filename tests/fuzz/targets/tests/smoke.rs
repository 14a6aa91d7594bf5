//! Every fuzz target over its seeds and what a seeded generator makes of them: short, the same on every machine.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests: what cannot go on is a failed test")]

use std::path::{Path, PathBuf};

use sts_fuzz::TARGETS;

/// Bent inputs for each seed.
const BENT: usize = 1000;
/// A configuration is written and read as a file, and judged by its tests.
const BENT_FILES: usize = 50;

#[test]
fn no_seed_and_nothing_near_one_breaks_what_must_always_hold() {
    for (name, target) in TARGETS {
        let files = ["condition", "preset", "configuration"].contains(&name);
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for (path, seed) in &seeds {
            println!("{}", path.display());
            target(seed);
            for _ in 0..if files { BENT_FILES } else { BENT } {
                let other = &seeds[random.below(seeds.len())].1;
                target(&bend(&mut random, seed.clone(), other));
            }
        }
        target(b"");
    }
}

#[test]
fn good_seeds_are_good() {
    let seed = |place: &str| std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../seeds").join(place)).unwrap();
    serde_json::from_slice::<sts_types::TokenRecord>(&seed("record/record")).unwrap();
    serde_json::from_slice::<sts_store::Revocation>(&seed("record/revocation")).unwrap();
    sts_claims::ClaimSet::parse(&seed("claims/all")).unwrap();
    assert_eq!(sts_jose::KeySet::parse(&seed("jwk_set/two"), &sts_jose::Algorithm::ALL).unwrap().keys.len(), 2);
    assert!(sts_service::Parameters::from_form(&seed("form/honest")).is_ok());
    assert!(sts_service::Parameters::from_json(&seed("json_body/honest")).is_ok());
    for platform in ["github", "gitlab", "buildkite", "terraform", "kubernetes", "google"] {
        assert_eq!(sts_fuzz::let_in(&seed(&format!("preset/{platform}"))), Some((true, false)), "{platform}");
    }
}

#[test]
fn every_target_is_built_for_the_fuzzer() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz_targets");
    let mut built: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let mut listed: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    built.sort_unstable();
    listed.sort_unstable();
    assert_eq!(built, listed);
}

fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../seeds").join(target);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

fn bend(random: &mut Random, mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        let end = at + random.below(bytes.len() - at + 1).min(bytes.len() - at);
        match random.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 => drop(bytes.drain(at..end)),
            2 => bytes.insert(at, b"\"{}[],:\\*?%&=./#\n\0\xff"[random.below(19)]),
            3 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => bytes.truncate(at),
            _ => {
                let from = random.below(other.len());
                let piece = &other[from..from + random.below(other.len() - from)];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
    bytes
}

/// xorshift64*: the same inputs on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % u64::try_from(end.max(1)).unwrap()).unwrap()
    }
}
