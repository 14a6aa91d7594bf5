//! The token as its one thread uses it. After a failure of the device or the session it is opened
//! anew, module and all, because a device that came back knows neither sessions nor handles from
//! before.

use std::collections::HashMap;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use serde_json::{Value, json};
use sts_jose::{SignError, base64url, sha256};
use sts_types::{Algorithm, Digest256, Kid, SecretFileError, SecretOwner, read_secret_file};
use zeroize::Zeroizing;

use crate::{DeviceKey, Pkcs11Spec};

/// DER of the object identifier of P-256 (RFC 5480 section 2.1.1.1).
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const RSA_BITS: u64 = 2048;
const RSA_EXPONENT: &[u8] = &[1, 0, 1];
/// The label of a key whose kid is not known yet.
const NEW: &[u8] = b"sts: being made";
/// Larger than any PIN.
const MAX_PIN: u64 = 4096;

/// Why the device did not do what it was asked. Never has the PIN.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenError {
    #[error("{doing}: {}", cause(error))]
    Device { doing: &'static str, error: Error },
    #[error("no token has the label `{0}` of `signing.pkcs11.token_label`")]
    NoToken(String),
    #[error("several tokens have the label `{0}` of `signing.pkcs11.token_label`")]
    SeveralTokens(String),
    #[error("the PIN: {0}")]
    PinFile(#[from] SecretFileError),
    #[error("the PIN file is empty or is no text")]
    PinText,
    #[error(
        "it refused the PIN; it is not asked again before the file has another or the server starts anew, since a device locks itself after a few attempts"
    )]
    PinRefused,
    #[error("it has no private key with the label `{0}`")]
    NoKey(Kid),
    #[error("it has several private keys with the label `{0}`")]
    SeveralKeys(Kid),
    #[error("keys of {0} are not made on devices")]
    Algorithm(Algorithm),
    #[error("its public key is none of {0}")]
    PublicKey(Algorithm),
    #[error("its signature does not verify with the public key")]
    Signature,
}

impl TokenError {
    /// Whether a new session may help. A request that the device cannot fulfil fails in every session,
    /// and a return value that is not known here may be of either kind.
    fn is_of_session(&self) -> bool {
        match self {
            Self::Device { error: Error::Pkcs11(value, _), .. } => !is_of_request(*value),
            _ => false,
        }
    }

    pub(super) fn as_sign_error(&self) -> SignError {
        match self {
            Self::Algorithm(_) | Self::Signature | Self::PublicKey(_) => SignError::Failed,
            _ => SignError::Unavailable,
        }
    }
}

/// Whether the device works, and cannot do what it was asked.
fn is_of_request(value: RvError) -> bool {
    matches!(
        value,
        RvError::ActionProhibited
            | RvError::ArgumentsBad
            | RvError::AttributeReadOnly
            | RvError::AttributeSensitive
            | RvError::AttributeTypeInvalid
            | RvError::AttributeValueInvalid
            | RvError::CurveNotSupported
            | RvError::DataInvalid
            | RvError::DataLenRange
            | RvError::DomainParamsInvalid
            | RvError::FunctionNotSupported
            | RvError::KeyFunctionNotPermitted
            | RvError::KeySizeRange
            | RvError::KeyTypeInconsistent
            | RvError::MechanismInvalid
            | RvError::MechanismParamInvalid
            | RvError::TemplateIncomplete
            | RvError::TemplateInconsistent
            | RvError::TokenWriteProtected
    )
}

/// The name of the return value, or what the library says. Its prose for return values does not name
/// them.
fn cause(error: &Error) -> String {
    match error {
        Error::Pkcs11(value, _) => format!("the device answers {value:?}"),
        error => error.to_string(),
    }
}

/// Names the operation that failed.
fn doing(doing: &'static str) -> impl Fn(Error) -> TokenError {
    move |error| TokenError::Device { doing, error }
}

/// The token, opened when it is needed.
pub(super) struct Token {
    spec: Pkcs11Spec,
    opened: Option<Opened>,
    /// Digest of the PIN that the device refused.
    refused_pin: Option<Digest256>,
}

/// A session in which the user is logged in.
struct Opened {
    session: Session,
    module: Pkcs11,
    private_keys: HashMap<Kid, ObjectHandle>,
}

impl Token {
    pub(super) fn new(spec: Pkcs11Spec) -> Self {
        Self { spec, opened: None, refused_pin: None }
    }

    /// The signature over `message` in JWS form (RFC 7518 section 3). It is verified, so a faulty
    /// device gives no bad tokens away.
    pub(super) fn sign(&mut self, key: &DeviceKey, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        self.with_session(|opened| {
            let handle = opened.private_key(key.kid())?;
            let signature = sign(&opened.session, handle, key.algorithm(), message)?;
            key.public().verify(message, &signature).map_err(|_| TokenError::Signature)?;
            Ok(signature)
        })
    }

    /// Makes a key that never leaves the device, labelled with its kid.
    pub(super) fn generate(&mut self, algorithm: Algorithm) -> Result<DeviceKey, TokenError> {
        self.with_session(|opened| generate(&opened.session, algorithm))
    }

    /// Destroys the objects that have the label of `kid`.
    pub(super) fn destroy(&mut self, kid: &Kid) -> Result<(), TokenError> {
        let destroy = |opened: &mut Opened| opened.destroy(kid);
        if self.with_session(destroy)? == 0 {
            // A session may find nothing because its token was taken out. Only a new one tells the two
            // apart.
            self.close();
            self.with_session(destroy)?;
        }
        Ok(())
    }

    /// Those of `kids` of which the token has no private key.
    pub(super) fn missing(&mut self, kids: &[Kid]) -> Result<Vec<Kid>, TokenError> {
        let missing = self.with_session(|opened| {
            let mut missing = Vec::new();
            for kid in kids {
                match opened.private_key(kid) {
                    Ok(_) => {}
                    Err(TokenError::NoKey(kid)) => missing.push(kid),
                    Err(error) => return Err(error),
                }
            }
            Ok(missing)
        });
        self.close();
        missing
    }

    /// Runs `work` in a session. If one that was there already is of no use any more, `work` is tried
    /// once more in a new one.
    fn with_session<T>(&mut self, work: impl Fn(&mut Opened) -> Result<T, TokenError>) -> Result<T, TokenError> {
        if let Some(opened) = &mut self.opened {
            match work(opened) {
                Err(error) if error.is_of_session() => self.close(),
                outcome => return outcome,
            }
        }
        let mut opened = self.open()?;
        let outcome = work(&mut opened);
        self.opened = Some(opened);
        if outcome.as_ref().is_err_and(TokenError::is_of_session) {
            self.close();
        }
        outcome
    }

    fn open(&mut self) -> Result<Opened, TokenError> {
        let module = Pkcs11::new(&self.spec.module).map_err(doing("loading the module"))?;
        match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(doing("initializing the module")(error)),
        }
        match self.log_in(&module) {
            Ok(session) => Ok(Opened { session, module, private_keys: HashMap::new() }),
            Err(error) => {
                // A failure to end what did not begin tells nothing new.
                let _ = module.finalize();
                Err(error)
            }
        }
    }

    fn log_in(&mut self, module: &Pkcs11) -> Result<Session, TokenError> {
        let slot = self.slot(module)?;
        let session = module.open_rw_session(slot).map_err(doing("opening a session"))?;
        let pin = self.pin()?;
        let digest = sha256(pin.as_bytes());
        if self.refused_pin == Some(digest) {
            return Err(TokenError::PinRefused);
        }
        match session.login(UserType::User, Some(&AuthPin::from(pin.as_str()))) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
                self.refused_pin = None;
                Ok(session)
            }
            Err(Error::Pkcs11(
                RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange | RvError::PinLocked,
                _,
            )) => {
                self.refused_pin = Some(digest);
                Err(TokenError::PinRefused)
            }
            Err(error) => Err(doing("logging in")(error)),
        }
    }

    fn slot(&self, module: &Pkcs11) -> Result<Slot, TokenError> {
        let label = &self.spec.token_label;
        let mut found = None;
        for slot in module.get_slots_with_initialized_token().map_err(doing("listing the tokens"))? {
            // A token that was taken out meanwhile is not the one.
            let Ok(token) = module.get_token_info(slot) else { continue };
            if token.label().trim_end() == label && found.replace(slot).is_some() {
                return Err(TokenError::SeveralTokens(label.clone()));
            }
        }
        found.ok_or_else(|| TokenError::NoToken(label.clone()))
    }

    fn pin(&self) -> Result<Zeroizing<String>, TokenError> {
        let file = read_secret_file(&self.spec.pin_file, SecretOwner::Configured, MAX_PIN)?;
        let text = std::str::from_utf8(&file.bytes).map_err(|_| TokenError::PinText)?;
        let pin = Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());
        if pin.is_empty() { Err(TokenError::PinText) } else { Ok(pin) }
    }

    /// Ends the session and the module. Failures are those of a device that is gone.
    fn close(&mut self) {
        if let Some(Opened { session, module, .. }) = self.opened.take() {
            let _ = session.close();
            let _ = module.finalize();
        }
    }
}

impl Opened {
    /// Destroys the objects that have the label of `kid`. Returns how many there were.
    fn destroy(&mut self, kid: &Kid) -> Result<usize, TokenError> {
        self.private_keys.remove(kid);
        let label = Attribute::Label(kid.as_str().as_bytes().to_vec());
        let objects = self.session.find_objects(&[Attribute::Token(true), label]).map_err(doing("searching a key"))?;
        for object in &objects {
            self.session.destroy_object(*object).map_err(doing("destroying a key"))?;
        }
        Ok(objects.len())
    }

    fn private_key(&mut self, kid: &Kid) -> Result<ObjectHandle, TokenError> {
        if let Some(handle) = self.private_keys.get(kid) {
            return Ok(*handle);
        }
        let wanted = [
            Attribute::Token(true),
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::Label(kid.as_str().as_bytes().to_vec()),
        ];
        let found = self.session.find_objects(&wanted).map_err(doing("searching a key"))?;
        match found.as_slice() {
            [] => Err(TokenError::NoKey(kid.clone())),
            [handle] => {
                self.private_keys.insert(kid.clone(), *handle);
                Ok(*handle)
            }
            _ => Err(TokenError::SeveralKeys(kid.clone())),
        }
    }
}

fn sign(session: &Session, handle: ObjectHandle, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, TokenError> {
    let signed = match algorithm {
        // PKCS#11 has an ECDSA signature in the form of JWS: both numbers, without DER.
        Algorithm::ES256 => session.sign(&Mechanism::Ecdsa, handle, &sha256(message).0),
        Algorithm::RS256 => session.sign(&Mechanism::Sha256RsaPkcs, handle, message),
        _ => return Err(TokenError::Algorithm(algorithm)),
    };
    signed.map_err(doing("signing"))
}

fn generate(session: &Session, algorithm: Algorithm) -> Result<DeviceKey, TokenError> {
    let (mechanism, parameters) = match algorithm {
        Algorithm::ES256 => (Mechanism::EccKeyPairGen, vec![Attribute::EcParams(P256.to_vec())]),
        Algorithm::RS256 => {
            let parameters =
                vec![Attribute::ModulusBits(RSA_BITS.into()), Attribute::PublicExponent(RSA_EXPONENT.to_vec())];
            (Mechanism::RsaPkcsKeyPairGen, parameters)
        }
        _ => return Err(TokenError::Algorithm(algorithm)),
    };
    let label = Attribute::Label(NEW.to_vec());
    let public =
        [vec![Attribute::Token(true), Attribute::Private(false), Attribute::Verify(true), label.clone()], parameters];
    let private = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        label,
    ];
    let (public, private) =
        session.generate_key_pair(&mechanism, &public.concat(), &private).map_err(doing("making a key"))?;
    let named = name(session, public, private, algorithm);
    if named.is_err() && [private, public].map(|half| session.destroy_object(half)).iter().any(Result::is_err) {
        // The failure that is returned says why.
        tracing::error!(
            "a key that was not completed is left on the device: destroy the key there whose label is `sts: being made`, \
             or none that `sts keys list` shows"
        );
    }
    named
}

/// Labels both halves with the kid, and tries the key once.
fn name(
    session: &Session,
    public: ObjectHandle,
    private: ObjectHandle,
    algorithm: Algorithm,
) -> Result<DeviceKey, TokenError> {
    const TEST: &[u8] = b"sts signing key self-test";
    let wrong = || TokenError::PublicKey(algorithm);
    let jwk = public_jwk(session, public, algorithm)?.ok_or_else(wrong)?;
    let key = DeviceKey::from_jwk(&jwk, algorithm).ok_or_else(wrong)?;
    let kid = key.kid().as_str().as_bytes();
    for half in [public, private] {
        let names = [Attribute::Label(kid.to_vec()), Attribute::Id(kid.to_vec())];
        session.update_attributes(half, &names).map_err(doing("labelling a key"))?;
    }
    let signature = sign(session, private, algorithm, TEST)?;
    key.public().verify(TEST, &signature).map_err(|_| TokenError::Signature)?;
    Ok(key)
}

/// The public half as the members of a JWK, or `None` if the device tells it in another form.
fn public_jwk(session: &Session, public: ObjectHandle, algorithm: Algorithm) -> Result<Option<Value>, TokenError> {
    let wanted: &[AttributeType] = match algorithm {
        Algorithm::RS256 => &[AttributeType::Modulus, AttributeType::PublicExponent],
        _ => &[AttributeType::EcPoint],
    };
    let attributes = session.get_attributes(public, wanted).map_err(doing("reading a public key"))?;
    Ok(match attributes.as_slice() {
        [Attribute::Modulus(n), Attribute::PublicExponent(e)] => {
            Some(json!({ "kty": "RSA", "n": number(n), "e": number(e) }))
        }
        [Attribute::EcPoint(point)] => uncompressed(point)
            .map(|(x, y)| json!({ "kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y) })),
        _ => None,
    })
}

/// A number as a JWK has it: without leading zeros.
fn number(octets: &[u8]) -> String {
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    base64url(octets.get(zeros..).unwrap_or_default())
}

/// The coordinates of an uncompressed point (SEC 1 section 2.3.3). PKCS#11 wraps it in a DER OCTET
/// STRING, which some devices leave out.
fn uncompressed(point: &[u8]) -> Option<(&[u8], &[u8])> {
    let point = match point {
        [0x04, 0x41, point @ ..] if point.len() == 65 => point,
        point => point,
    };
    match point {
        [0x04, coordinates @ ..] if coordinates.len() == 64 => coordinates.split_at_checked(32),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_opened_anew_after_failures_of_the_device_or_the_session_alone() {
        use cryptoki::context::Function;
        let of_device = |value| doing("signing")(Error::Pkcs11(value, Function::Sign)).is_of_session();
        for value in [
            RvError::DeviceError,
            RvError::DeviceRemoved,
            RvError::TokenNotPresent,
            RvError::SessionHandleInvalid,
            RvError::SessionClosed,
            RvError::UserNotLoggedIn,
            RvError::KeyHandleInvalid,
            RvError::ObjectHandleInvalid,
            RvError::CryptokiNotInitialized,
            RvError::GeneralError,
            RvError::FunctionFailed,
            RvError::VendorDefined(1),
        ] {
            assert!(of_device(value), "{value:?}");
        }
        for value in [
            RvError::MechanismInvalid,
            RvError::KeyTypeInconsistent,
            RvError::KeyFunctionNotPermitted,
            RvError::TemplateInconsistent,
            RvError::CurveNotSupported,
        ] {
            assert!(!of_device(value), "{value:?}");
        }
        assert!(!TokenError::NoKey(Kid::new("k").unwrap()).is_of_session());
        assert!(!TokenError::Algorithm(Algorithm::EdDSA).is_of_session());
        assert!(!doing("signing")(Error::NotSupported).is_of_session());
    }

    #[test]
    fn a_point_is_read_with_and_without_its_der_and_in_no_other_form() {
        let raw = [&[4][..], &[7; 32], &[9; 32]].concat();
        let wrapped = [&[4, 65][..], &raw].concat();
        for point in [&raw, &wrapped] {
            assert_eq!(uncompressed(point), Some((&[7; 32][..], &[9; 32][..])));
        }
        // Cut to 65 octets it has the shape of another point, which is not on the curve.
        for length in (0..wrapped.len()).filter(|length| *length != 65) {
            assert_eq!(uncompressed(&wrapped[..length]), None, "{length}");
        }
        assert_eq!(uncompressed(&[&[2][..], &[7; 32]].concat()), None, "a compressed point");
    }
}
