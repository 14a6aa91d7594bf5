//! Against SoftHSM. Its module finds its tokens by the environment, which a process has once. So each
//! test starts a process of its own.

use std::path::PathBuf;
use std::process::Command;

use sts_testkit::SoftHsm;

use super::*;

/// Names the test to the process that has the device.
const MODULE: &str = "STS_TEST_PKCS11_MODULE";
const PIN_FILE: &str = "STS_TEST_PKCS11_PIN_FILE";

/// Runs `test`, which is the one of that name, in a process with a device. Then `check` looks at the
/// device.
fn with_device(name: &str, test: impl FnOnce(Pkcs11Spec), check: impl FnOnce(&SoftHsm)) {
    if let (Some(module), Some(pin_file)) = (std::env::var_os(MODULE), std::env::var_os(PIN_FILE)) {
        let token_label = SoftHsm::LABEL.to_owned();
        return test(Pkcs11Spec { module: module.into(), token_label, pin_file: pin_file.into() });
    }
    let device = match SoftHsm::start() {
        Ok(device) => device,
        Err(why) => {
            println!("not run: {why}");
            return;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let pin_file: PathBuf = folder.path().join("pin");
    std::fs::write(&pin_file, SoftHsm::PIN).unwrap();
    std::fs::set_permissions(&pin_file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", &format!("pkcs11::tests::{name}")]);
    command.env("SOFTHSM2_CONF", device.config()).env(MODULE, device.module()).env(PIN_FILE, &pin_file);
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}{}", String::from_utf8_lossy(&output.stderr));
    check(&device);
}

#[test]
fn a_key_that_the_device_made_too_late_does_not_stay_there() {
    let test = |spec| {
        let device = Pkcs11Device::start(spec).unwrap();
        let (answer, answered) = sync_channel(0);
        drop(answered);
        device.requests.send(Request::Generate { algorithm: Algorithm::ES256, answer }).unwrap();
        // The requests are done in turn.
        device.generate(Algorithm::ES256).unwrap();
    };
    let check = |device: &SoftHsm| assert_eq!(device.objects(), 2, "both halves of the second key");
    with_device("a_key_that_the_device_made_too_late_does_not_stay_there", test, check);
}

#[test]
fn a_request_that_the_device_cannot_fulfil_leaves_the_session_open() {
    let test = |spec: Pkcs11Spec| {
        let mut token = Token::new(spec.clone());
        let key = token.generate(Algorithm::ES256).unwrap();
        let gone = token.generate(Algorithm::ES256).unwrap();
        token.destroy(gone.kid()).unwrap();
        // A new session would need the PIN.
        std::fs::remove_file(&spec.pin_file).unwrap();
        assert!(matches!(token.sign(&gone, b"x"), Err(TokenError::NoKey(_))));
        assert!(matches!(token.generate(Algorithm::EdDSA), Err(TokenError::Algorithm(_))));
        token.sign(&key, b"x").unwrap();
    };
    with_device("a_request_that_the_device_cannot_fulfil_leaves_the_session_open", test, |_| {});
}

#[test]
fn a_look_at_the_device_names_the_keys_that_it_does_not_have() {
    let test = |spec: Pkcs11Spec| {
        let mut token = Token::new(spec.clone());
        let [key, gone] = [(); 2].map(|()| token.generate(Algorithm::ES256).unwrap());
        token.destroy(gone.kid()).unwrap();
        let kids = [key.kid().clone(), gone.kid().clone()];
        assert_eq!(missing_on_device(spec, &kids).unwrap(), kids[1..]);
    };
    with_device("a_look_at_the_device_names_the_keys_that_it_does_not_have", test, |_| {});
}
