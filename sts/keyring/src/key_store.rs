//! What the keyring needs of the place that keeps the keys, and of a device that holds private ones.

use std::sync::Arc;

use serde_json::{Value, json};
use sts_jose::{Signer, SigningKey, VerifyingKey, parse_jwk};
use sts_types::{Algorithm, Entropy, Kid, UnixTime};
use zeroize::Zeroizing;

use crate::KeyringError;

/// The key of the store's seal.
pub type SealKey = Zeroizing<[u8; 32]>;

/// Keeps what servers agree on that sign for one issuer: their signing keys, the key of the store's
/// seal, and the longest lifetime of a token.
///
/// Its methods may block. The keyring calls them at start, for maintenance, for a rotation and for a
/// withdrawal, never while an exchange waits.
pub trait KeyStore: Send + Sync + 'static {
    /// What is kept now.
    ///
    /// # Errors
    /// [`KeyringError`] if it cannot be read.
    fn load(&self) -> Result<StoredKeys, KeyringError>;

    /// Reads what is kept, lets `change` change it, and keeps the result, unless another process made
    /// a change meanwhile: then it reads again, so `change` may be called more than once. Returns
    /// what is kept now.
    ///
    /// # Errors
    /// [`KeyringError`] if it cannot be read or kept. A part of the change may be kept.
    fn update(&self, change: &mut dyn FnMut(&mut StoredKeys)) -> Result<StoredKeys, KeyringError>;

    /// The key of the store's seal. It is made once.
    ///
    /// # Errors
    /// [`KeyringError`] if it cannot be read or kept.
    fn seal_key(&self, entropy: &dyn Entropy) -> Result<SealKey, KeyringError>;
}

/// What a [`KeyStore`] keeps.
#[derive(Clone, Debug, Default)]
pub struct StoredKeys {
    /// The signing keys, in no particular order.
    pub keys: Vec<StoredKey>,
    /// The longest token lifetime that any server was ever configured with, in seconds. A retired
    /// key stays published that long.
    pub longest_life: u32,
}

impl StoredKeys {
    /// The keys that `other` has not.
    pub(crate) fn keys_beyond<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a StoredKey> {
        self.keys.iter().filter(|key| !other.keys.iter().any(|other| other.kid() == key.kid()))
    }
}

/// A signing key and its creation time.
#[derive(Clone, Debug)]
pub struct StoredKey {
    /// The key.
    pub key: KeyMaterial,
    /// When it was created.
    pub created: UnixTime,
}

impl StoredKey {
    /// The key's thumbprint.
    #[must_use]
    pub fn kid(&self) -> &Kid {
        self.key.kid()
    }

    /// The key's one algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }
}

/// A signing key, by where its private half is.
#[derive(Clone, Debug)]
pub enum KeyMaterial {
    /// Here.
    InMemory(Arc<SigningKey>),
    /// On a device, which knows it by its kid.
    OnDevice(Arc<DeviceKey>),
}

impl KeyMaterial {
    pub(crate) fn kid(&self) -> &Kid {
        match self {
            Self::InMemory(key) => key.kid(),
            Self::OnDevice(key) => key.kid(),
        }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::InMemory(key) => key.algorithm(),
            Self::OnDevice(key) => key.algorithm(),
        }
    }
}

/// The public half of a key on a device.
#[derive(Clone, Debug)]
pub struct DeviceKey {
    kid: Kid,
    public: VerifyingKey,
}

impl DeviceKey {
    /// Reads the members of a public JWK that its key type requires (RFC 7638 section 3.2). `None` if
    /// it is not a usable key of `algorithm`.
    #[must_use]
    pub fn from_jwk(jwk: &Value, algorithm: Algorithm) -> Option<Self> {
        let mut jwk = jwk.as_object()?.clone();
        jwk.remove("kid");
        let unnamed = parse_jwk(&Value::Object(jwk.clone()), &[algorithm]).ok()?;
        let kid = Kid::new(unnamed.thumbprint()).ok()?;
        jwk.insert("kid".to_owned(), json!(kid));
        let public = parse_jwk(&Value::Object(jwk), &[algorithm]).ok()?;
        Some(Self { kid, public })
    }

    /// The key's thumbprint.
    #[must_use]
    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    /// The key's one algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    /// The public half, with its kid.
    #[must_use]
    pub fn public(&self) -> &VerifyingKey {
        &self.public
    }
}

/// A device that makes signing keys and never reveals them.
pub trait KeyDevice: Send + Sync + 'static {
    /// Makes a key, which the device knows by its kid from then on. May block.
    ///
    /// # Errors
    /// [`KeyringError`] if the device does not answer or cannot make such a key.
    fn generate(&self, algorithm: Algorithm) -> Result<DeviceKey, KeyringError>;

    /// Signs with the key. The device is not asked before the first signature.
    fn signer(&self, key: &Arc<DeviceKey>) -> Arc<dyn Signer>;

    /// Destroys the key of that kid. It may be gone already. May block.
    ///
    /// # Errors
    /// [`KeyringError`] if the key may still be there.
    fn destroy(&self, kid: &Kid) -> Result<(), KeyringError>;
}
