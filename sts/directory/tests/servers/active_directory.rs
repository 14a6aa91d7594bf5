use std::time::Duration;

use sts_directory::{FailureCause, GroupState, MembershipState, NoMembershipError, ServerUrl};
use sts_testkit::Samba;

use crate::support::{World, samba_spec, server, spec};

fn deployers() -> String {
    Samba::group_dn("deployers")
}

/// `ann` is in `deployers`.
fn people() -> String {
    [Samba::user("ann", ""), Samba::group("deployers", &[&Samba::user_dn("ann")])].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn direct_nested_cyclic_and_primary_groups_count() {
    let ldif = [
        Samba::user("ann", ""),
        Samba::user("bob", ""),
        Samba::user("carl", ""),
        Samba::user("dan", ""),
        Samba::group("inner", &[&Samba::user_dn("bob")]),
        Samba::group("middle", &[&Samba::group_dn("inner")]),
        Samba::group("deployers", &[&Samba::user_dn("ann"), &Samba::group_dn("middle")]),
        Samba::group("home", &[&Samba::user_dn("carl")]),
        Samba::group("above-home", &[&Samba::group_dn("home")]),
        Samba::group("empty", &[]),
    ];
    let samba = server!(Samba::start(&ldif.concat()));
    samba.apply(&Samba::membership("inner", "add", &deployers()));
    let home = samba.sid(&Samba::group_dn("home"));
    let home_number = home.rsplit('-').next().unwrap();
    samba.apply(&format!(
        "dn: {}\nchangetype: modify\nreplace: primaryGroupID\nprimaryGroupID: {home_number}\n-\n",
        Samba::user_dn("carl")
    ));
    let logins = ["ANN@corp.example.com", "Bob", &samba.sid(&Samba::user_dn("carl")), "dan"];
    let names = [deployers().to_lowercase(), home.clone(), Samba::group_dn("above-home"), Samba::group_dn("empty")];
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = World::start(spec(samba_spec(&samba), &logins, &names)).await;

    assert_eq!(world.status().last_failure, None);
    assert_eq!(world.groups("a0").unwrap(), [names[0]]);
    assert_eq!(world.groups("a1").unwrap(), [names[0]]);
    assert_eq!(world.groups("a2").unwrap(), [names[2], names[1]]);
    assert!(world.groups("a3").unwrap().is_empty());
    assert!(world.status().searches <= 6, "{}", world.status().searches);

    samba.apply(&Samba::membership("deployers", "delete", &Samba::user_dn("ann")));
    world.refresh().await;
    assert!(world.groups("a0").unwrap().is_empty());
    assert_eq!(world.groups("a1").unwrap(), [names[0]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_expired_or_deleted_account_has_no_groups() {
    let users: Vec<String> = ["ann", "bob", "carl"].iter().map(|name| Samba::user(name, "")).collect();
    let members = ["ann", "bob", "carl"].map(Samba::user_dn);
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    let samba = server!(Samba::start(&[users.concat(), Samba::group("deployers", &members)].concat()));
    let logins = ["ann", "bob", "carl", "nobody", "deployers"];
    let world = World::start(spec(samba_spec(&samba), &logins, &[&deployers()])).await;
    for account in ["a0", "a1", "a2"] {
        assert_eq!(world.groups(account).unwrap(), [deployers()]);
    }
    assert_eq!(world.state("a3"), MembershipState::NotFound);
    // A group has a sAMAccountName, too, and is no account.
    assert_eq!(world.state("a4"), MembershipState::NotFound);

    let replace = |name: &str, attribute: &str, value: &str| {
        format!("dn: {}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n-\n\n", Samba::user_dn(name))
    };
    samba.apply(&replace("ann", "userAccountControl", "546"));
    samba.apply(&replace("bob", "accountExpires", "133000000000000000"));
    samba.apply(&format!("dn: {}\nchangetype: delete\n\n", Samba::user_dn("carl")));
    world.refresh().await;
    assert_eq!(world.state("a0"), MembershipState::Disabled);
    assert_eq!(world.state("a1"), MembershipState::Expired);
    assert_eq!(world.state("a2"), MembershipState::NotFound);
    assert!(matches!(world.groups("a0"), Err(NoMembershipError::Unusable { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_with_every_special_character_find_their_own_entry() {
    let odd = r"a(b)*\c&|!";
    let group = format!(r"CN=x\, y\; (z)* \#1\=\\\+,OU=Groups,{}", Samba::BASE);
    let user = Samba::user("odd", "").replace("odd@corp", &format!("{odd}@corp"));
    let ldif = format!(
        "{user}{}dn: {group}\nobjectClass: group\nsAMAccountName: odd-group\ngroupType: -2147483646\nmember: {}\n\n",
        Samba::user("other", ""),
        Samba::user_dn("odd")
    );
    let samba = server!(Samba::start(&ldif));
    let login = format!("{odd}@corp.example.com");
    // The same name in other escapes.
    let written = format!(r"cn=X\2C y\3b (z)* #1\3D\5C\2b,ou=groups,{}", Samba::BASE);
    let logins = [login.as_str(), "*@corp.example.com", "a*", "other)(objectClass=*"];
    let world = World::start(spec(samba_spec(&samba), &logins, &[&written])).await;
    assert_eq!(world.group(&written), GroupState::Found);
    assert_eq!(world.groups("a0").unwrap(), [written]);
    for account in ["a1", "a2", "a3"] {
        assert_eq!(world.state(account), MembershipState::NotFound, "{account}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_beyond_ascii_are_compared_without_letter_case() {
    let group = format!("CN=Größe Ñ,OU=Groups,{}", Samba::BASE);
    let ldif = format!(
        "{}dn: {group}\nobjectClass: group\nsAMAccountName: size\ngroupType: -2147483646\nmember: {}\n\n",
        Samba::user("ann", "").replace("ann@corp", "Jürgen.ÉÖ@corp"),
        Samba::user_dn("ann")
    );
    // LDIF is ASCII.
    let encode = |line: &str| match line.split_once(": ") {
        Some((name, value)) if !value.is_ascii() => {
            format!("{name}:: {}\n", data_encoding::BASE64.encode(value.as_bytes()))
        }
        _ => format!("{line}\n"),
    };
    let samba = server!(Samba::start(&ldif.lines().map(encode).collect::<String>()));
    let written = group.to_lowercase();
    let config = spec(samba_spec(&samba), &["jÜRGEN.éö@corp.example.com"], &[&written]);
    let world = World::start(config).await;
    assert_eq!(world.groups("a0").unwrap(), [written]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_made_anew_under_its_name_gives_nothing_until_it_is_confirmed() {
    let samba = server!(Samba::start(&people()));
    let folder = tempfile::tempdir().unwrap();
    let sid = samba.sid(&deployers());
    let config = || spec(samba_spec(&samba), &["ann"], &[&deployers(), &sid]);
    let world = World::kept_in(config(), folder.path()).await;
    assert_eq!(world.groups("a0").unwrap(), [deployers(), sid.clone()]);

    samba.apply(&format!("dn: {}\nchangetype: delete\n\n", deployers()));
    world.refresh().await;
    assert_eq!(world.group(&deployers()), GroupState::NotFound);
    assert!(world.groups("a0").unwrap().is_empty());

    samba.apply(&Samba::group("deployers", &[&Samba::user_dn("ann")]));
    world.refresh().await;
    assert_eq!(world.group(&deployers()), GroupState::Replaced);
    assert!(world.groups("a0").unwrap().is_empty());

    // A restart confirms nothing, and neither does a change of the configuration.
    drop(world);
    let world = World::kept_in(config(), folder.path()).await;
    assert_eq!(world.group(&deployers()), GroupState::Replaced);
    world
        .after(|directories| directories.reconfigure(spec(samba_spec(&samba), &["ann", "bob"], &[&deployers()])))
        .await;
    assert_eq!(world.group(&deployers()), GroupState::Replaced);
    assert!(world.groups("a0").unwrap().is_empty());

    world.after(sts_directory::Directories::confirm_groups).await;
    assert_eq!(world.group(&deployers()), GroupState::Found);
    assert_eq!(world.groups("a0").unwrap(), [deployers()]);
    // The SID never names the new group.
    world.after(|directories| directories.reconfigure(config())).await;
    assert_eq!(world.group(&sid), GroupState::NotFound);
    assert_eq!(world.groups("a0").unwrap(), [deployers()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_fail_has_its_cause_and_the_next_server_is_asked() {
    let samba = server!(Samba::start(&people()));
    let good = samba_spec(&samba);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path
    };
    let stranger = sts_testkit::RedisCertificates::make();
    let url = |text: &str| vec![ServerUrl::parse(text).unwrap()];
    let world = World::start(spec(good.clone(), &["ann"], &[&deployers()])).await;
    let mut cases = Vec::new();
    let mut case = |cause, text, change: &dyn Fn(&mut sts_directory::DirectorySpec)| {
        let mut bad = good.clone();
        change(&mut bad);
        cases.push((cause, text, bad));
    };
    case(FailureCause::Tls, "authority is not trusted", &|bad| bad.ca_file = Some(stranger.path("ca.crt")));
    case(FailureCause::Tls, "authority is not trusted", &|bad| bad.ca_file = None);
    case(FailureCause::File, "no certificate", &|bad| bad.ca_file = Some(file("empty.pem", "")));
    case(FailureCause::File, "password file", &|bad| bad.bind.password_file = folder.path().join("missing"));
    case(FailureCause::File, "is empty", &|bad| bad.bind.password_file = file("empty", "\n"));
    case(FailureCause::Bind, "invalidCredentials", &|bad| bad.bind.password_file = file("wrong", "wrong"));
    case(FailureCause::Base, "DC=other", &|bad| bad.base = sts_directory::Dn::parse("DC=other").unwrap());
    case(FailureCause::Connection, "no connection", &|bad| bad.urls = url("ldaps://127.0.0.1:1"));
    case(FailureCause::Tls, "does this port speak TLS", &|bad| {
        bad.urls = url(&format!("{}:389", samba.url()));
    });
    for (cause, text, bad) in cases {
        world.after(|directories| directories.reconfigure(spec(bad.clone(), &["ann"], &[&deployers()]))).await;
        let (actual, message) = world.failure();
        assert_eq!(actual, cause, "{message}");
        assert!(message.contains(text) && message.contains(bad.urls[0].as_str()), "{message}");
        assert!(!message.contains("wrong") || cause != FailureCause::Bind, "{message}");
    }

    let mut two = good.clone();
    two.urls.insert(0, ServerUrl::parse("ldaps://127.0.0.1:1").unwrap());
    world.after(|directories| directories.reconfigure(spec(two.clone(), &["ann"], &[&deployers()]))).await;
    assert_eq!(world.status().last_failure, None);
    assert_eq!(world.groups("a0").unwrap(), [deployers()]);
    let failures =
        |world: &World| world.status().failures.iter().find(|(cause, _)| *cause == FailureCause::Connection).unwrap().1;
    let before = failures(&world);
    // The server that answered is asked first from now on.
    world.refresh().await;
    assert_eq!(failures(&world), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn start_tls_comes_before_anything_else_and_the_password_is_read_for_each_bind() {
    let samba = server!(Samba::start(&people()));
    let mut directory = samba_spec(&samba);
    directory.urls = vec![ServerUrl::parse(&samba.start_tls_url()).unwrap()];
    let world = World::start(spec(directory, &["ann"], &[&deployers()])).await;
    assert_eq!(world.groups("a0").unwrap(), [deployers()]);

    let password = samba.password_file();
    std::fs::write(&password, "wrong").unwrap();
    world.refresh().await;
    assert_eq!(world.failure().0, FailureCause::Bind);
    // What the directory said before still counts.
    assert_eq!(world.groups("a0").unwrap(), [deployers()]);
    std::fs::write(&password, format!("{}\n", Samba::BIND_PASSWORD)).unwrap();
    world.refresh().await;
    assert_eq!(world.status().last_failure, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_membership_outlives_the_directory_and_a_restart_up_to_its_age() {
    let mut samba = server!(Samba::start(&people()));
    let folder = tempfile::tempdir().unwrap();
    let config = || spec(samba_spec(&samba), &["ann"], &[&deployers()]);
    let config_at_start = config();
    let world = World::kept_in(config_at_start.clone(), folder.path()).await;
    samba.stop();
    world.refresh().await;
    assert_eq!(world.failure().0, FailureCause::Connection);
    assert_eq!(world.groups("a0").unwrap(), [deployers()]);
    world.clock.advance(Duration::from_secs(3599));
    assert!(matches!(world.groups("a0"), Err(NoMembershipError::Stale { .. })));
    drop(world);

    let world = World::kept_in(config_at_start.clone(), folder.path()).await;
    assert_eq!(world.failure().0, FailureCause::Connection);
    assert_eq!(world.groups("a0").unwrap(), [deployers()]);
    world.clock.advance(Duration::from_secs(3601));
    assert!(matches!(world.groups("a0"), Err(NoMembershipError::Stale { .. })));
    drop(world);

    // A file that was changed, or is of another base, is not used.
    let path = folder.path().join("corp.json");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("deployers") && !text.contains(Samba::BIND_PASSWORD), "{text}");
    std::fs::write(&path, text.replace("ann", "bob")).unwrap();
    let mut other = config_at_start.clone();
    other.logins[0].login = sts_directory::Login::parse("bob").unwrap();
    let world = World::kept_in(other, folder.path()).await;
    assert_eq!(world.state("a0"), MembershipState::Never);
    drop(world);
    std::fs::write(&path, text).unwrap();
    let mut other = config_at_start;
    other.directories[0].base = sts_directory::Dn::parse(&format!("CN=Users,{}", Samba::BASE)).unwrap();
    let world = World::kept_in(other, folder.path()).await;
    assert_eq!(world.state("a0"), MembershipState::Never);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_names_each_fault_with_its_cure() {
    let disabled = Samba::user("off", "").replace("544", "546");
    let samba = server!(Samba::start(&[people(), disabled].concat()));
    let mut directory = samba_spec(&samba);
    directory.urls.push(ServerUrl::parse("ldaps://127.0.0.1:1").unwrap());
    let missing = Samba::group_dn("missing");
    let all = spec(directory.clone(), &["ann", "off", "nobody"], &[&deployers(), &missing]);
    let now = sts_types::UnixTime::from_secs(sts_testkit::now());
    let lines = |probes: Vec<sts_directory::Probe>| -> Vec<String> {
        let line = |probe: sts_directory::Probe| match probe.outcome {
            Ok(text) => format!("ok {}: {text}", probe.subject),
            Err(fault) => format!("{}: {fault}", probe.subject),
        };
        let mut lines: Vec<String> = probes.into_iter().map(line).collect();
        lines.sort_unstable();
        lines
    };
    let found = lines(sts_directory::probe(&all, now).await);
    let expected = [
        format!("group `{missing}`: no group below `base` has this name"),
        "login `nobody`: no entry has this login; correct `external_login.name`".to_owned(),
        "login `off`: the account is disabled; enable the account".to_owned(),
        format!("ok group `{}`: it is there", deployers()),
        format!("ok login `ann`: it is in `{}`", deployers()),
        format!("ok server `{}`: it answers", samba.url()),
        "server `ldaps://127.0.0.1:1`: no connection".to_owned(),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(&expected) {
        assert!(found.starts_with(expected.as_str()), "{found}\n{expected}");
    }

    std::fs::write(samba.password_file(), "wrong").unwrap();
    directory.urls.pop();
    let found = lines(sts_directory::probe(&spec(directory, &["ann"], &[]), now).await);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("invalidCredentials") && found[0].contains("check `bind.dn`"), "{}", found[0]);
}
