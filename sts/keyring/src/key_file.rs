//! The JSON of a stored key, in a file of its own or within what is sealed.

use std::sync::Arc;

use serde_json::Value;
use sts_jose::SigningKey;
use sts_types::{Algorithm, UnixTime};
use zeroize::Zeroizing;

use crate::{DeviceKey, KeyMaterial, StoredKey};

/// A key whose private half is in the JSON.
const IN_MEMORY: u32 = 1;
/// A key on a device.
const ON_DEVICE: u32 = 2;

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyFile {
    version: u32,
    algorithm: String,
    created: UnixTime,
    /// PKCS #8 (RFC 5958) in base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pkcs8: Option<Zeroizing<String>>,
    /// The public JWK of a key on a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<Value>,
}

impl KeyFile {
    pub(crate) fn of(stored: &StoredKey) -> Self {
        let (algorithm, created) = (stored.algorithm().name().to_owned(), stored.created);
        match &stored.key {
            KeyMaterial::InMemory(key) => {
                let pkcs8 = Some(Zeroizing::new(sts_jose::base64url(&key.to_pkcs8())));
                Self { version: IN_MEMORY, algorithm, created, pkcs8, device: None }
            }
            KeyMaterial::OnDevice(key) => {
                let device = Some(key.public().public_jwk());
                Self { version: ON_DEVICE, algorithm, created, pkcs8: None, device }
            }
        }
    }

    /// The key, or what is wrong with it.
    pub(crate) fn read(&self) -> Result<StoredKey, &'static str> {
        if self.version > ON_DEVICE {
            return Err("it was written by a newer version of sts");
        }
        let algorithm = Algorithm::from_name(&self.algorithm).ok_or("its algorithm is unknown")?;
        let key = match (&self.pkcs8, &self.device) {
            (Some(pkcs8), None) => {
                let der = Zeroizing::new(sts_jose::decode_base64url(pkcs8).ok_or("its key is not base64url")?);
                let key = SigningKey::from_pkcs8(algorithm, &der).map_err(|_| "its key is not one of its algorithm")?;
                KeyMaterial::InMemory(Arc::new(key))
            }
            (None, Some(jwk)) => {
                let key = DeviceKey::from_jwk(jwk, algorithm).ok_or("its key is not one of its algorithm")?;
                KeyMaterial::OnDevice(Arc::new(key))
            }
            _ => return Err("it is not the JSON that sts writes"),
        };
        Ok(StoredKey { key, created: self.created })
    }
}
