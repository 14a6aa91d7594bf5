//! The PKCS#11 device of the signing keys: as the running server finds it, or by one login.

use sts_config::Settings;
use sts_keyring::{KeyMaterial, Pkcs11Spec, missing_on_device};
use sts_types::Kid;

use super::bounded;
use super::row::Row;
use super::running::Running;
use crate::signing_keys;

const CHECK: &str = "signing device";

/// The row of the device, if the configuration names one.
pub(super) async fn rows(settings: Option<&Settings>, running: &Running) -> Vec<Row> {
    let Some((settings, spec)) = settings.and_then(|settings| Some((settings, settings.keyring.device.clone()?)))
    else {
        return Vec::new();
    };
    let subject = format!("token `{}`", spec.token_label);
    if let Running::Yes { readiness, .. } = running {
        return vec![match readiness.signing.as_str() {
            "ok" => Row::ok(CHECK, subject, "the server signs with it"),
            fault => Row::fault(CHECK, subject, fault, "see the server's log"),
        }];
    }
    let settings = settings.clone();
    bounded(CHECK, "see why the device, or what keeps the signing keys, does not answer", move || {
        vec![look(&settings, spec, subject)]
    })
    .await
}

/// Logs in once, and looks for the private key of each key on record.
fn look(settings: &Settings, spec: Pkcs11Spec, subject: String) -> Row {
    let stored = match signing_keys::read(settings) {
        Ok((_, stored)) => stored,
        Err(error) => return Row::fault(CHECK, subject, error.to_string(), "restore the signing keys"),
    };
    let on_device = stored.keys.iter().filter(|key| matches!(key.key, KeyMaterial::OnDevice(_)));
    let kids: Vec<Kid> = on_device.map(|key| key.kid().clone()).collect();
    match missing_on_device(spec, &kids) {
        Err(error) => {
            let cure = "correct `signing.pkcs11` or the PIN in its file, or make the device answer; a few wrong PINs lock a device";
            Row::fault(CHECK, subject, error.to_string(), cure)
        }
        Ok(missing) if !missing.is_empty() => {
            let labels = missing.iter().map(Kid::as_str).collect::<Vec<_>>().join(", ");
            let found =
                format!("it answers and takes the PIN, but keys on record are not there; their labels are {labels}");
            Row::fault(CHECK, subject, found, "restore the token from its backup, or withdraw the keys")
        }
        Ok(_) if kids.is_empty() => {
            Row::ok(CHECK, subject, "it answers and takes the PIN; a server makes its keys when it starts")
        }
        Ok(_) => Row::ok(CHECK, subject, "it answers, takes the PIN, and has every key that is on record"),
    }
}
