use sts_directory::{DirectoryKind, GroupState, MembershipState, ServerUrl};
use sts_testkit::Slapd;

use crate::support::{World, server, slapd_spec, spec};

fn deployers() -> String {
    Slapd::group_dn("deployers")
}

fn person(name: &str) -> String {
    Slapd::user(name, "")
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_and_cyclic_groups_count() {
    let ldif = [
        person("ann"),
        person("bob"),
        person("dan"),
        Slapd::group("deployers", &[&Slapd::user_dn("ann")]),
        Slapd::group("inner", &[&Slapd::user_dn("bob")]),
        Slapd::membership("deployers", "add", &Slapd::group_dn("inner")),
        Slapd::membership("inner", "add", &deployers()),
    ];
    let slapd = server!(Slapd::start(&ldif.concat()));
    let mut directory = slapd_spec(&slapd, "(&(objectClass=person)(uid={name}))");
    directory.urls.push(ServerUrl::parse(&slapd.start_tls_url()).unwrap());
    let written = "CN=Deployers, ou=Groups, dc=example, dc=org";
    let world = World::start(spec(directory.clone(), &["ANN", "bob", "dan", "*", "ann)(uid=bob"], &[written])).await;
    assert_eq!(world.status().last_failure, None);
    assert_eq!(world.groups("a0").unwrap(), [written]);
    assert_eq!(world.groups("a1").unwrap(), [written]);
    assert!(world.groups("a2").unwrap().is_empty());
    assert_eq!(world.state("a3"), MembershipState::NotFound);
    assert_eq!(world.state("a4"), MembershipState::NotFound);
    // The base, the group, all logins, and two levels of groups.
    assert!(world.status().searches <= 6, "{}", world.status().searches);

    directory.urls.remove(0);
    slapd.apply(&Slapd::membership("inner", "delete", &Slapd::user_dn("bob")));
    world.after(|directories| directories.reconfigure(spec(directory, &["ann", "bob"], &[written]))).await;
    assert_eq!(world.status().last_failure, None);
    assert_eq!(world.groups("a0").unwrap(), [written]);
    assert!(world.groups("a1").unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_must_find_exactly_one_entry() {
    let mail = |name: &str, mail: &str| Slapd::user(name, &format!("mail: {mail}"));
    let ldif = [mail("ann", "x@corp"), mail("bob", "x@corp"), mail("carl", "c@corp"), mail("dan", "carl")];
    let members = ["ann", "bob", "carl", "dan"].map(Slapd::user_dn);
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    let slapd = server!(Slapd::start(&[ldif.concat(), Slapd::group("deployers", &members)].concat()));
    let directory = slapd_spec(&slapd, "(|(uid={name})(mail={name}))");
    // Entries that match several logins, and logins that match several entries.
    let logins = ["x@corp", "ann", "carl", "c@corp", "nobody"];
    let world = World::start(spec(directory, &logins, &[&deployers()])).await;
    assert_eq!(world.state("a0"), MembershipState::Ambiguous);
    assert_eq!(world.groups("a1").unwrap(), [deployers()]);
    assert_eq!(world.state("a2"), MembershipState::Ambiguous);
    assert_eq!(world.groups("a3").unwrap(), [deployers()]);
    assert_eq!(world.state("a4"), MembershipState::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_locked_or_expired_has_no_groups() {
    let expired = "objectClass: shadowAccount\nshadowExpire: 10";
    let open = "objectClass: shadowAccount\nshadowExpire: -1";
    let ldif = [person("ann"), Slapd::user("bob", expired), Slapd::user("carl", open)];
    let members = ["ann", "bob", "carl"].map(Slapd::user_dn);
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    let slapd = server!(Slapd::start(&[ldif.concat(), Slapd::group("deployers", &members)].concat()));
    slapd.apply(&format!(
        "dn: {}\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n-\n",
        Slapd::user_dn("ann")
    ));
    let directory = slapd_spec(&slapd, "(uid={name})");
    let world = World::start(spec(directory, &["ann", "bob", "carl"], &[&deployers()])).await;
    assert_eq!(world.state("a0"), MembershipState::Locked);
    assert_eq!(world.state("a1"), MembershipState::Expired);
    assert_eq!(world.groups("a2").unwrap(), [deployers()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn referrals_are_not_followed_and_a_group_made_anew_gives_nothing() {
    let slapd = server!(Slapd::start(&[person("ann"), Slapd::group("deployers", &[&Slapd::user_dn("ann")])].concat()));
    let config = || spec(slapd_spec(&slapd, "(uid={name})"), &["ann"], &[&deployers()]);
    slapd.apply(&format!(
        "dn: ou=elsewhere,{}\nobjectClass: referral\nobjectClass: extensibleObject\nou: elsewhere\nref: ldap://127.0.0.1:1/ou=elsewhere\n\n",
        Slapd::BASE
    ));
    let world = World::start(config()).await;
    assert_eq!(world.status().last_failure, None);
    assert_eq!(world.groups("a0").unwrap(), [deployers()]);

    slapd.apply(&format!("dn: {}\nchangetype: delete\n\n", deployers()));
    slapd.apply(&Slapd::group("deployers", &[&Slapd::user_dn("ann")]));
    world.refresh().await;
    assert_eq!(world.group(&deployers()), GroupState::Replaced);
    assert!(world.groups("a0").unwrap().is_empty());
    world.after(sts_directory::Directories::confirm_groups).await;
    assert_eq!(world.groups("a0").unwrap(), [deployers()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_attribute_may_name_the_groups() {
    let described = format!("description: {}", deployers());
    let ldif = [Slapd::user("ann", &described), person("bob"), Slapd::group("deployers", &[&Slapd::user_dn("bob")])];
    let slapd = server!(Slapd::start(&ldif.concat()));
    let mut directory = slapd_spec(&slapd, "(uid={name})");
    if let DirectoryKind::Ldap { group_attribute, .. } = &mut directory.kind {
        "description".clone_into(group_attribute);
    }
    let world = World::start(spec(directory, &["ann", "bob"], &[&deployers()])).await;
    assert_eq!(world.groups("a0").unwrap(), [deployers()]);
    assert!(world.groups("a1").unwrap().is_empty());
}
