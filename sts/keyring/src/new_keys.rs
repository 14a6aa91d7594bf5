//! Keys that one change makes, and keys that cannot sign because their device is not configured.

use std::sync::Arc;

use serde_json::Value;
use sts_jose::{SignError, Signer, Signing, SigningInput, SigningKey, VerifyingKey};
use sts_types::{Algorithm, Kid, UnixTime};

use crate::{DeviceKey, KeyDevice, KeyMaterial, KeyringError, StoredKey, StoredKeys};

/// The keys that one change makes. A change that starts over because another process was faster
/// takes the same keys again, since a device needs long to make one.
pub(crate) struct NewKeys<'a> {
    device: Option<&'a dyn KeyDevice>,
    made: Vec<KeyMaterial>,
    failure: Option<KeyringError>,
}

impl<'a> NewKeys<'a> {
    pub(crate) fn new(device: Option<&'a dyn KeyDevice>) -> Self {
        Self { device, made: Vec::new(), failure: None }
    }

    /// A key for each of `wanted`. One that cannot be made is left out, and [`Self::settle`] says
    /// why.
    pub(crate) fn make(&mut self, wanted: impl Iterator<Item = (Algorithm, UnixTime)>) -> Vec<StoredKey> {
        self.failure = None;
        let mut keys = Vec::new();
        for (algorithm, created) in wanted {
            match self.key(algorithm) {
                Ok(key) => keys.push(StoredKey { key, created }),
                Err(error) => self.failure = Some(error),
            }
        }
        keys
    }

    fn key(&mut self, algorithm: Algorithm) -> Result<KeyMaterial, KeyringError> {
        let is_wanted = |key: &&KeyMaterial| key.algorithm() == algorithm;
        if let Some(made) = self.made.iter().find(is_wanted) {
            return Ok(made.clone());
        }
        let key = match self.device {
            Some(device) => KeyMaterial::OnDevice(Arc::new(device.generate(algorithm)?)),
            None => {
                let key = SigningKey::generate(algorithm).map_err(|_| KeyringError::Generate(algorithm))?;
                KeyMaterial::InMemory(Arc::new(key))
            }
        };
        self.made.push(key.clone());
        Ok(key)
    }

    /// Destroys the keys on the device that are not among `kept`. `None` if it is not known which are
    /// kept: then none is destroyed.
    pub(crate) fn settle(self, kept: Option<&StoredKeys>) -> Settled {
        let mut settled = Settled { made: Vec::new(), not_made: self.failure, unrecorded: Vec::new() };
        for key in self.made {
            let kid = key.kid().clone();
            let on_device = if let KeyMaterial::OnDevice(_) = key { self.device } else { None };
            match (kept, on_device) {
                (Some(kept), _) if kept.keys.iter().any(|kept| *kept.kid() == kid) => settled.made.push(kid),
                (Some(_), Some(device)) => {
                    if let Err(error) = device.destroy(&kid) {
                        settled.not_made = Some(error);
                        settled.unrecorded.push(kid);
                    }
                }
                (None, Some(_)) => settled.unrecorded.push(kid),
                (_, None) => {}
            }
        }
        settled
    }
}

/// What became of the keys that a change made.
pub(crate) struct Settled {
    /// The kids of those on record.
    pub(crate) made: Vec<Kid>,
    /// Why one could not be made, or not be destroyed again.
    pub(crate) not_made: Option<KeyringError>,
    /// Those on the device that may be on no record.
    pub(crate) unrecorded: Vec<Kid>,
}

/// A key on a device, where no device is configured. It is published and signs nothing.
pub(crate) struct WithoutDevice {
    key: Arc<DeviceKey>,
    public_jwk: Value,
}

impl WithoutDevice {
    pub(crate) fn new(key: &Arc<DeviceKey>) -> Self {
        Self { key: Arc::clone(key), public_jwk: key.public().public_jwk() }
    }
}

impl Signer for WithoutDevice {
    fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    fn kid(&self) -> &Kid {
        self.key.kid()
    }

    fn verifying_key(&self) -> VerifyingKey {
        self.key.public().clone()
    }

    fn public_jwk(&self) -> &Value {
        &self.public_jwk
    }

    fn sign<'a>(&'a self, _: SigningInput<'a>) -> Signing<'a, Vec<u8>> {
        Signing::Done(Err(SignError::Unavailable))
    }

    fn check(&self) -> Signing<'_, ()> {
        Signing::Done(Err(SignError::Unavailable))
    }
}
