//! The stored form of a value: a version octet, the seal over place, key and payload, then the
//! payload as JSON.
//!
//! The seal binds a value to its place. A value of another table, or one that was moved to another
//! key, does not open.

use sts_types::{Seal, TokenRecord};

use crate::alert::{Fault, Place};
use crate::record_of_version_1::RecordOfVersion1;

const SEAL_LEN: usize = 32;

/// The version in which values of a place are written. A value of a later version is an error.
const fn version_of(place: Place) -> u8 {
    match place {
        Place::Record => 2,
        Place::Revocation
        | Place::Rule
        | Place::Epoch
        | Place::Refusal
        | Place::Claim
        | Place::Object
        | Place::Session
        | Place::File => 1,
    }
}

/// Seals `payload` for `key` in `place`.
pub fn seal(seal: &dyn Seal, place: Place, key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(1 + SEAL_LEN + payload.len());
    let version = version_of(place);
    let octets = sealed_octets(version, place, key);
    stored.push(version);
    stored.extend_from_slice(&seal.seal(&[&octets, key, payload]));
    stored.extend_from_slice(payload);
    stored
}

/// Like [`seal`], but encodes `value` straight into the result.
///
/// # Errors
/// If it cannot be encoded.
pub fn seal_value(
    seal: &dyn Seal,
    place: Place,
    key: &[u8],
    value: &impl serde::Serialize,
) -> serde_json::Result<Vec<u8>> {
    let mut stored = Vec::with_capacity(1536);
    let version = version_of(place);
    stored.push(version);
    stored.extend_from_slice(&[0; SEAL_LEN]);
    serde_json::to_writer(&mut stored, value)?;
    if let Some((head, payload)) = stored.split_at_mut_checked(1 + SEAL_LEN)
        && let [_, code @ ..] = head
    {
        code.copy_from_slice(&seal.seal(&[&sealed_octets(version, place, key), key, payload]));
    }
    Ok(stored)
}

/// Opens a value that [`seal`] made for this `key` and `place`, and decodes it. For records use
/// [`open_record`].
///
/// # Errors
/// The fault because of which the value counts as absent.
pub fn open<T: serde::de::DeserializeOwned>(
    seal: &dyn Seal,
    place: Place,
    key: &[u8],
    stored: &[u8],
) -> Result<T, Fault> {
    let (_, payload) = unseal(seal, place, key, stored)?;
    serde_json::from_slice(payload).map_err(|_| Fault::Form)
}

/// Opens a record of this version or any earlier one.
///
/// # Errors
/// The fault because of which the record counts as absent.
pub fn open_record(seal: &dyn Seal, key: &[u8], stored: &[u8]) -> Result<TokenRecord, Fault> {
    let (version, payload) = unseal(seal, Place::Record, key, stored)?;
    match version {
        1 => serde_json::from_slice::<RecordOfVersion1>(payload).map(TokenRecord::from),
        _ => serde_json::from_slice(payload),
    }
    .map_err(|_| Fault::Form)
}

/// Verifies the seal, and returns the version and the payload.
fn unseal<'a>(seal: &dyn Seal, place: Place, key: &[u8], stored: &'a [u8]) -> Result<(u8, &'a [u8]), Fault> {
    let (&version, sealed) = stored.split_first().ok_or(Fault::Form)?;
    if version > version_of(place) {
        return Err(Fault::Newer);
    }
    let (code, payload) = sealed.split_at_checked(SEAL_LEN).ok_or(Fault::Form)?;
    if !seal.verify(&[&sealed_octets(version, place, key), key, payload], code) {
        return Err(Fault::Seal);
    }
    Ok((version, payload))
}

/// The sealed octets before key and payload. The length of the key keeps the boundary between the
/// two unambiguous.
fn sealed_octets(version: u8, place: Place, key: &[u8]) -> [u8; 10] {
    let tag = match place {
        Place::Record => 1,
        Place::Revocation => 2,
        Place::Rule => 3,
        Place::Epoch => 4,
        Place::Refusal => 16,
        Place::Claim => 17,
        Place::Object => 18,
        // A file is checked as a whole. No value is sealed for it.
        Place::File => 19,
        Place::Session => 20,
    };
    let mut octets = [version, tag, 0, 0, 0, 0, 0, 0, 0, 0];
    octets[2..].copy_from_slice(&(key.len() as u64).to_be_bytes());
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells the octets that it was given, so that a test may look at them.
    struct Told;

    impl Seal for Told {
        fn seal(&self, parts: &[&[u8]]) -> [u8; 32] {
            let octets = parts.concat();
            std::array::from_fn(|at| octets.get(at).copied().unwrap_or_default())
        }

        fn verify(&self, parts: &[&[u8]], code: &[u8]) -> bool {
            self.seal(parts) == code
        }
    }

    #[test]
    fn what_was_stored_by_an_earlier_version_is_sealed_over_the_same_octets() {
        let sealed = b"\x01\x02\0\0\0\0\0\0\0\x03key{\"a\":1}";
        let mut stored = vec![1];
        stored.extend_from_slice(sealed);
        stored.resize(1 + SEAL_LEN, 0);
        stored.extend_from_slice(b"{\"a\":1}");
        let value = serde_json::json!({ "a": 1 });
        assert_eq!(seal(&Told, Place::Revocation, b"key", b"{\"a\":1}"), stored);
        assert_eq!(seal_value(&Told, Place::Revocation, b"key", &value).unwrap(), stored);
        assert_eq!(open::<serde_json::Value>(&Told, Place::Revocation, b"key", &stored), Ok(value));
    }
}
