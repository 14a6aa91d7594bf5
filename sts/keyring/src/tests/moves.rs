//! Keys that move from a directory into a sealed value.

use super::*;

#[test]
fn keys_in_a_directory_are_taken_over_where_there_are_none_and_the_seal_with_them() {
    let place = Place::sealed();
    let directory = in_directory(&place.earlier()).unwrap();
    directory.raise_longest_life(86_400).unwrap();
    directory.rotate(T0).unwrap();
    let sealed = |ring: &Keyring| ring.seal().seal(&[b"x"]);
    let ring = place.open(spec(), T0);
    assert_eq!((ring.document(), sealed(&ring)), (directory.document(), sealed(&directory)));
    assert_eq!(in_directory(&place.earlier()).unwrap().document(), directory.document(), "the directory is as it was");
    std::fs::remove_dir_all(place.earlier()).unwrap();
    let other = place.open(spec(), T0);
    assert_eq!((other.document(), sealed(&other)), (ring.document(), sealed(&ring)));
    let first = kids(&ring)[0].clone();
    let last_token_dies = T0.plus(LEAD + 86_400);
    other.maintain(last_token_dies).unwrap();
    assert!(other.verifying_key(&first, last_token_dies).is_some(), "the longest life came, too");
}

#[test]
fn a_directory_that_cannot_be_read_is_no_reason_for_new_keys() {
    let place = Place::sealed();
    drop(in_directory(&place.earlier()).unwrap());
    std::fs::write(place.earlier().join("seal.key"), "no key").unwrap();
    let error = place.open_as(0, &["key"], spec(), T0).err().unwrap().to_string();
    assert!(error.contains("seal.key") && error.contains("32 bytes"), "{error}");
    assert_eq!(*place.value().value.lock().unwrap(), None);
}

#[test]
fn keys_in_a_directory_change_nothing_where_there_are_keys_already() {
    let place = Place::sealed();
    let before = kids(&place.open(spec(), T0));
    drop(in_directory(&place.earlier()).unwrap());
    assert_eq!(kids(&place.open(spec(), T0)), before);
    std::fs::write(place.earlier().join("seal.key"), "no key").unwrap();
    assert_eq!(kids(&place.open(spec(), T0)), before);
}
