//! Signing keys on a PKCS#11 device.
//!
//! One thread talks to the device, since a call may take as long as the device wants. It takes
//! requests from a bounded queue: a device that hangs fills the queue, and then signatures are refused
//! at once. Whoever asked for a signature waits for a deadline of its own and abandons the request,
//! which is then skipped.

#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SendError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use serde_json::Value;
use sts_jose::{SignError, Signer, Signing, SigningInput, VerifyingKey};
use sts_types::{Algorithm, Kid};
use tokio::sync::oneshot;

use self::token::{Token, TokenError};
use crate::{DeviceKey, KeyDevice, KeyringError, Pkcs11Spec};

/// How many requests may wait for the device.
const QUEUE: usize = 256;
/// Longest wait for a key to be made or destroyed. An RSA key takes some devices many seconds.
const DEADLINE: Duration = Duration::from_secs(60);
/// What readiness lets the device sign. It is no JWS signing input, so the signature is good for
/// nothing.
const CHECK: &[u8] = b"sts checks whether its signing key can sign";

/// A request to the device.
enum Request {
    Sign { key: Arc<DeviceKey>, message: Vec<u8>, answer: oneshot::Sender<Result<Vec<u8>, SignError>> },
    Generate { algorithm: Algorithm, answer: SyncSender<Result<DeviceKey, TokenError>> },
    Destroy { kid: Kid, answer: SyncSender<Result<(), TokenError>> },
}

/// A token of a PKCS#11 module.
pub struct Pkcs11Device {
    requests: SyncSender<Request>,
}

impl std::fmt::Debug for Pkcs11Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pkcs11Device")
    }
}

impl Pkcs11Device {
    /// Starts the device's thread. The device is not asked before the first request.
    ///
    /// # Errors
    /// [`KeyringError::Device`] if the thread cannot be started.
    pub fn start(spec: Pkcs11Spec) -> Result<Self, KeyringError> {
        let (requests, queue) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("pkcs11".to_owned());
        thread
            .spawn(move || serve(&mut Token::new(spec), &queue))
            .map_err(|error| KeyringError::Device(format!("its thread cannot be started: {error}")))?;
        Ok(Self { requests })
    }

    /// Sends a request and waits for its answer.
    fn ask<T>(&self, request: impl FnOnce(SyncSender<Result<T, TokenError>>) -> Request) -> Result<T, KeyringError> {
        // Without room for an answer, one is sent only if somebody takes it.
        let (answer, answered) = sync_channel(0);
        self.requests
            .try_send(request(answer))
            .map_err(|_| KeyringError::Device("it does not answer, and too many requests wait for it".to_owned()))?;
        answered
            .recv_timeout(DEADLINE)
            .map_err(|_| KeyringError::Device(format!("it does not answer within {} s", DEADLINE.as_secs())))?
            .map_err(|error| KeyringError::Device(error.to_string()))
    }
}

impl KeyDevice for Pkcs11Device {
    fn generate(&self, algorithm: Algorithm) -> Result<DeviceKey, KeyringError> {
        self.ask(|answer| Request::Generate { algorithm, answer })
    }

    fn signer(&self, key: &Arc<DeviceKey>) -> Arc<dyn Signer> {
        let public_jwk = key.public().public_jwk();
        Arc::new(Pkcs11Signer { requests: self.requests.clone(), key: Arc::clone(key), public_jwk })
    }

    fn destroy(&self, kid: &Kid) -> Result<(), KeyringError> {
        self.ask(|answer| Request::Destroy { kid: kid.clone(), answer })
    }
}

/// Answers requests until every sender is gone. Whoever abandoned a request does not read the answer.
fn serve(token: &mut Token, queue: &Receiver<Request>) {
    let mut health = Health::default();
    while let Ok(request) = queue.recv() {
        match request {
            Request::Sign { answer, .. } if answer.is_closed() => {}
            Request::Sign { key, message, answer } => {
                let signed = health.observe(token.sign(&key, &message));
                let _ = answer.send(signed.map_err(|error| error.as_sign_error()));
            }
            Request::Generate { algorithm, answer } => {
                if let Err(SendError(Ok(key))) = answer.send(health.observe(token.generate(algorithm))) {
                    destroy_abandoned(token, key.kid());
                }
            }
            Request::Destroy { kid, answer } => {
                let _ = answer.send(health.observe(token.destroy(&kid)));
            }
        }
    }
}

/// Destroys a key that was made too late: nobody waits for it any more.
fn destroy_abandoned(token: &mut Token, kid: &Kid) {
    match token.destroy(kid) {
        Ok(()) => tracing::warn!(%kid, "a key that the device made too late was destroyed on it"),
        Err(error) => {
            tracing::error!(%error, %kid, "a key that the device made too late is used by nobody: destroy the key with this label on the device");
        }
    }
}

/// Opens the device, logs in once, and looks for private keys. Returns those of `kids` that it does
/// not have. Changes nothing. Blocks for as long as the device wants.
///
/// # Errors
/// [`KeyringError::Device`] if the device cannot be used.
pub fn missing_on_device(spec: Pkcs11Spec, kids: &[Kid]) -> Result<Vec<Kid>, KeyringError> {
    Token::new(spec).missing(kids).map_err(|error| KeyringError::Device(error.to_string()))
}

/// Logs why the device fails, once for each cause.
#[derive(Default)]
struct Health {
    fault: Option<String>,
}

impl Health {
    fn observe<T>(&mut self, outcome: Result<T, TokenError>) -> Result<T, TokenError> {
        let fault = outcome.as_ref().err().map(ToString::to_string);
        match (&self.fault, &fault) {
            (Some(_), None) => tracing::info!("the device with the signing keys works again"),
            (before, Some(error)) if before.as_ref() != Some(error) => {
                tracing::error!(%error, "the device with the signing keys failed");
            }
            _ => {}
        }
        self.fault = fault;
        outcome
    }
}

/// Signs with one key of the device.
struct Pkcs11Signer {
    requests: SyncSender<Request>,
    key: Arc<DeviceKey>,
    public_jwk: Value,
}

impl Pkcs11Signer {
    fn ask(&self, message: &[u8]) -> Signing<'_, Vec<u8>> {
        let (answer, answered) = oneshot::channel();
        let request = Request::Sign { key: Arc::clone(&self.key), message: message.to_vec(), answer };
        match self.requests.try_send(request) {
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Signing::Done(Err(SignError::Unavailable)),
            Ok(()) => Signing::Pending(Box::pin(async { answered.await.unwrap_or(Err(SignError::Unavailable)) })),
        }
    }
}

impl Signer for Pkcs11Signer {
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

    fn sign<'a>(&'a self, input: SigningInput<'a>) -> Signing<'a, Vec<u8>> {
        self.ask(input.bytes())
    }

    fn check(&self) -> Signing<'_, ()> {
        match self.ask(CHECK) {
            Signing::Done(outcome) => Signing::Done(outcome.map(drop)),
            Signing::Pending(pending) => Signing::Pending(Box::pin(async { pending.await.map(drop) })),
        }
    }
}
