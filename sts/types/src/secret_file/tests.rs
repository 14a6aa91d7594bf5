use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

const US: u32 = 999;
const OUR_GROUP: u32 = 2000;
const STRANGER: u32 = 1234;

fn us() -> Process {
    Process { uid: US, also: None, groups: vec![US, OUR_GROUP] }
}

fn access(uid: u32, gid: u32, mode: u32) -> Access {
    Access { uid, gid, mode }
}

#[test]
fn f8_a_file_belongs_to_us_or_root_and_is_open_to_nobody_else() {
    for (own, fits) in [
        (access(US, US, 0o600), true),
        (access(US, STRANGER, 0o400), true),
        (access(0, 0, 0o400), true),
        (access(STRANGER, US, 0o600), false),
        (access(STRANGER, OUR_GROUP, 0o440), false),
        (access(US, US, 0o604), false),
        (access(US, US, 0o602), false),
        (access(US, US, 0o601), false),
        (access(0, OUR_GROUP, 0o644), false),
        (access(US, STRANGER, 0o640), false),
        (access(US, STRANGER, 0o620), false),
        (access(0, 0, 0o440), false),
    ] {
        let judged = us().check(&own, "file", 0o077);
        assert_eq!(matches!(judged, Ok(None)), fits, "{} {} {:o}: {judged:?}", own.uid, own.gid, own.mode);
    }
}

#[test]
fn fld14_access_of_a_group_that_we_are_in_is_taken_and_told() {
    for own in [access(0, OUR_GROUP, 0o440), access(US, OUR_GROUP, 0o660), access(US, US, 0o2640)] {
        assert_eq!(us().check(&own, "file", 0o077).unwrap(), Some((own.gid, own.mode)));
    }
    assert!(us().check(&access(0, OUR_GROUP, 0o2775), "folder", 0o022).unwrap().is_some());
    assert!(us().check(&access(US, STRANGER, 0o755), "folder", 0o022).unwrap().is_none());
}

#[test]
fn f8_a_folder_that_others_can_write_to_is_refused_with_the_sticky_bit_too() {
    for own in [
        access(US, US, 0o777),
        access(US, US, 0o1777),
        access(0, OUR_GROUP, 0o2777),
        access(US, STRANGER, 0o770),
        access(STRANGER, US, 0o700),
    ] {
        assert!(us().check(&own, "folder", 0o022).is_err(), "{} {} {:o}", own.uid, own.gid, own.mode);
    }
}

#[test]
fn f8_a_link_counts_where_only_we_and_root_can_change_it() {
    for (folder, entry, fits) in [
        (access(0, 0, 0o755), access(0, 0, 0o777), true),
        (access(US, US, 0o700), access(STRANGER, 0, 0o777), true),
        // A secret's mount in Kubernetes, without and with `fsGroup`.
        (access(0, 0, 0o1777), access(0, 0, 0o777), true),
        (access(0, OUR_GROUP, 0o3777), access(0, OUR_GROUP, 0o777), true),
        (access(0, 0, 0o1777), access(STRANGER, 0, 0o777), false),
        (access(0, 0, 0o777), access(0, 0, 0o777), false),
        (access(0, STRANGER, 0o775), access(0, 0, 0o777), false),
        (access(STRANGER, 0, 0o755), access(0, 0, 0o777), false),
    ] {
        assert_eq!(us().trusts_link(&folder, &entry), fits, "{:o} of {}", folder.mode, folder.uid);
    }
}

fn made(folder: &Path, name: &str, mode: u32) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, "secret").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn f8_what_we_write_ourselves_is_never_reached_through_a_link() {
    let folder = tempfile::tempdir().unwrap();
    made(folder.path(), "real", 0o600);
    let link = folder.path().join("link");
    symlink("real", &link).unwrap();
    let error = read_secret_file(&link, SecretOwner::Ours, 100).err().unwrap();
    assert!(error.message().contains("symbolic link"), "{error}");
    assert_eq!(&**read_secret_file(&link, SecretOwner::Configured, 100).unwrap().bytes, b"secret");
}

#[test]
fn f8_links_as_kubernetes_mounts_them_are_followed_and_those_that_others_can_change_are_not() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("..2026")).unwrap();
    made(&folder.path().join("..2026"), "s", 0o600);
    symlink("..2026", folder.path().join("..data")).unwrap();
    symlink("..data/s", folder.path().join("s")).unwrap();
    let path = folder.path().join("s");
    assert_eq!(&**read_secret_file(&path, SecretOwner::Configured, 100).unwrap().bytes, b"secret");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let error = read_secret_file(&path, SecretOwner::Configured, 100).err().unwrap();
    for part in ["0777", "symbolic link", "chmod go-w"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o1777)).unwrap();
    assert!(read_secret_file(&path, SecretOwner::Configured, 100).is_ok());
    let endless = folder.path().join("loop");
    symlink("loop", &endless).unwrap();
    assert!(read_secret_file(&endless, SecretOwner::Configured, 100).is_err());
}

#[test]
fn f8_what_is_no_regular_file_or_too_large_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    let made_fifo = std::process::Command::new("mkfifo").args(["-m", "600"]).arg(&fifo).status().unwrap();
    assert!(made_fifo.success());
    for owner in [SecretOwner::Ours, SecretOwner::Configured] {
        for (path, part) in [
            (fifo.as_path(), "not a regular file"),
            (folder.path(), "not a regular file"),
            (Path::new("/dev/zero"), "not a regular file"),
        ] {
            let error = read_secret_file(path, owner, 100).err().unwrap();
            assert!(error.message().contains(part), "{error}");
        }
        let large = made(folder.path(), "large", 0o600);
        assert!(read_secret_file(&large, owner, 6).is_ok());
        assert!(read_secret_file(&large, owner, 5).err().unwrap().message().contains("larger"));
        let missing = read_secret_file(&folder.path().join("no"), owner, 5).err().unwrap();
        assert!(missing.is_missing() && missing.message().contains("`"), "{missing}");
    }
}

#[test]
fn f8_an_error_names_path_actual_and_expected_and_the_command_to_run() {
    let folder = tempfile::tempdir().unwrap();
    let open = made(folder.path(), "it's open", 0o644);
    let error = read_secret_file(&open, SecretOwner::Configured, 100).err().unwrap().to_string();
    for part in ["it's open", "0644", "0600", "chmod 600", r"it'\''s open'"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn f8_root_takes_the_owner_of_the_folder_for_the_servers_user_and_nobody_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let owner = std::fs::metadata(folder.path()).unwrap().uid();
    let by = |uid: u32| Process { uid, ..us() }.on_behalf_of(&folder.path().join("key")).also;
    assert_eq!((by(0), by(US)), (Some(owner), None));
    let root = Process { also: Some(US), uid: 0, groups: vec![] };
    assert!(root.trusts(US) && root.trusts(0) && !root.trusts(STRANGER) && !us().trusts(STRANGER));
}

#[test]
fn f8_a_folder_of_ours_is_judged_as_it_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(check_private_folder(folder.path()).unwrap(), None);
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o1777)).unwrap();
    assert_eq!(check_private_folder(folder.path()).unwrap_err().code(), CheckCode::ExposedFolder);
    let file = made(folder.path(), "file", 0o600);
    assert_eq!(check_private_folder(&file).unwrap_err().code(), CheckCode::InvalidSecret);
    let missing = check_private_folder(&folder.path().join("none")).unwrap_err();
    assert!(missing.is_missing() && !missing.is_denied());
}

#[test]
fn fld58_what_is_not_there_may_be_a_secret_and_is_not_repeated() {
    let secret = "sts_9w8e7r6t5y4u3i2o1p0aSDFGHJKLqwertzuiop";
    let error = read_secret_file(Path::new(secret), SecretOwner::Configured, 10).err().unwrap();
    assert!(error.is_missing() && !error.message().contains(secret), "{}", error.message());
    let folder = tempfile::tempdir().unwrap();
    let large = made(folder.path(), "large", 0o600);
    std::fs::write(&large, [b'x'; 11]).unwrap();
    let error = read_secret_file(&large, SecretOwner::Configured, 10).err().unwrap();
    assert!(error.message().contains(&large.display().to_string()), "{}", error.message());
}
