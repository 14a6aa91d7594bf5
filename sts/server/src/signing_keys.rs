//! Opens our signing keys where the settings keep them.

use std::path::Path;
use std::sync::Arc;

use sts_config::Settings;
use sts_jose::HmacSeal;
use sts_keyring::{
    Directory, KeyDevice, KeyStore, KeyStoreSpec, Keyring, Pkcs11Device, SealedKeyStore, SealedStoreParts, SharedValue,
    StoredKeys, read_directory_keys, read_sealed_keys,
};
use sts_store::spec::StoreSpec;
use sts_store_redis::RedisSigningKeys;
use sts_types::{Entropy, UnixTime, shown_path};

use crate::audit::TrailOwner;
use crate::start_error::StartError;

/// The file in `data_dir` with what was last seen of signing keys in Redis.
const COPY: &str = "keys.sealed";

/// Opens the signing keys. A server makes those that are missing.
pub(crate) fn open(
    settings: &Settings,
    owner: TrailOwner,
    entropy: &dyn Entropy,
    now: UnixTime,
) -> Result<Keyring, StartError> {
    let spec = settings.keyring.clone();
    let store: Arc<dyn KeyStore> = match &spec.store {
        KeyStoreSpec::Directory(directory) => {
            check_not_in_redis(settings, directory)?;
            Arc::new(Directory::open(directory)?)
        }
        KeyStoreSpec::Redis { seal_key_files, earlier } => {
            let parts = SealedStoreParts {
                value: Arc::new(in_redis(&settings.store)?),
                seal_key_files,
                copy: settings.data_dir.join(COPY),
                // Otherwise a command that names the wrong Redis would make keys there.
                may_create: owner != TrailOwner::CommandLine,
                earlier,
                entropy,
            };
            Arc::new(SealedKeyStore::open(parts)?)
        }
    };
    let device = spec.device.clone().map(Pkcs11Device::start).transpose()?;
    let device = device.map(|device| Arc::new(device) as Arc<dyn KeyDevice>);
    Ok(Keyring::open(spec, store, device, entropy, now)?)
}

/// Refuses a directory without keys at a server whose keys are in Redis. New keys would end every token,
/// and what is stored would seem forged.
fn check_not_in_redis(settings: &Settings, directory: &Path) -> Result<(), StartError> {
    let copy = settings.data_dir.join(COPY);
    let (None, StoredKeys { keys, .. }) = read_directory_keys(directory)? else { return Ok(()) };
    if !keys.is_empty() || !copy.exists() {
        return Ok(());
    }
    Err(StartError::Usage(format!(
        "the signing keys of this server are in Redis, as {} shows, and {} has none: write `signing.store: redis`, or remove \
         that file to begin with new keys, which ends every token",
        shown_path(&copy),
        shown_path(directory)
    )))
}

/// Reads the key that seals what the store holds, and the signing keys. The seal is `None` if there is
/// none yet. Changes nothing.
pub(crate) fn read(settings: &Settings) -> Result<(Option<HmacSeal>, StoredKeys), StartError> {
    let KeyStoreSpec::Redis { seal_key_files, earlier } = &settings.keyring.store else {
        return Ok(read_directory_keys(settings.keyring.store.directory_or_earlier())?);
    };
    Ok(match read_sealed_keys(&in_redis(&settings.store)?, seal_key_files)? {
        Some((seal, stored)) => (Some(seal), stored),
        // A server takes them over.
        None => read_directory_keys(earlier)?,
    })
}

fn in_redis(store: &StoreSpec) -> Result<InRedis, StartError> {
    match store {
        StoreSpec::Redis(redis) => Ok(InRedis(RedisSigningKeys::new((**redis).clone())?)),
        StoreSpec::Embedded => Err(StartError::Usage("`signing.store` is `redis`, and `store` is no Redis".to_owned())),
    }
}

struct InRedis(RedisSigningKeys);

impl SharedValue for InRedis {
    fn read(&self) -> Result<Option<Vec<u8>>, String> {
        self.0.read()
    }

    fn replace(&self, expected: Option<&[u8]>, new: &[u8]) -> Result<bool, String> {
        self.0.replace(expected, new)
    }

    fn name(&self) -> &str {
        self.0.name()
    }
}
