//! A server with Microsoft's limits, and servers that misbehave.

use std::fmt::Write as _;
use std::time::Duration;

use sts_directory::{DirectorySpec, FailureCause, ServerUrl};
use sts_testkit::{LdapBehaviour, LdapLimits, LdapProxy, Samba, Slapd, timed};

use crate::support::{World, samba_spec, server, slapd_spec, spec};

fn through(proxy: &LdapProxy, mut directory: DirectorySpec) -> DirectorySpec {
    directory.urls = vec![ServerUrl::parse(&proxy.url()).unwrap()];
    directory.ca_file = Some(proxy.ca_file());
    directory
}

/// A thousand people in forty groups, in four groups, in `deployers`.
fn thousand() -> String {
    let mut ldif = String::new();
    for index in 0..1000 {
        ldif.push_str(&Samba::user(&format!("p{index}"), ""));
    }
    let dns =
        |names: &dyn Fn(usize) -> String, range: std::ops::Range<usize>| -> Vec<String> { range.map(names).collect() };
    let mut group = |name: String, members: Vec<String>| {
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        ldif.push_str(&Samba::group(&name, &members));
    };
    for team in 0..40 {
        let people = dns(&|index| Samba::user_dn(&format!("p{index}")), team * 25..team * 25 + 25);
        group(format!("team{team}"), people);
    }
    for unit in 0..4 {
        group(format!("unit{unit}"), dns(&|team| Samba::group_dn(&format!("team{team}")), unit * 10..unit * 10 + 10));
    }
    group("deployers".to_owned(), dns(&|unit| Samba::group_dn(&format!("unit{unit}")), 0..4));
    ldif
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_accounts_take_few_searches() {
    let samba = server!(Samba::start(&thousand()));
    let proxy = LdapProxy::start(&samba.url(), &samba.ca_file(), LdapLimits::MICROSOFT);
    let logins: Vec<String> = (0..1000).map(|index| format!("p{index}@corp.example.com")).collect();
    let logins: Vec<&str> = logins.iter().map(String::as_str).collect();
    let deployers = Samba::group_dn("deployers");
    let config = spec(through(&proxy, samba_spec(&samba)), &logins, &[&deployers]);
    let world = World::start(config).await;
    assert_eq!(world.status().last_failure, None);
    for account in 0..1000 {
        assert_eq!(world.groups(&format!("a{account}")).unwrap(), [deployers.as_str()], "{account}");
    }
    // The base, the configured group, ten times a hundred logins, and a few levels.
    assert!(proxy.searches() <= 16, "{}", proxy.searches());
    assert_eq!(proxy.searches(), world.status().searches);
    let runtime = tokio::runtime::Handle::current();
    let ((), time) = tokio::task::block_in_place(|| timed(|| runtime.block_on(world.refresh())));
    println!("a refresh of 1,000 accounts: {} ms, {} searches", time.as_millis(), proxy.searches() / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_ranges_are_read_to_their_end() {
    let mut ldif: String = (0..30).map(|index| Slapd::user(&format!("p{index}"), "")).collect();
    for group in 0..23 {
        ldif.push_str(&Slapd::group(&format!("g{group}"), &[&Slapd::user_dn("p7")]));
    }
    let slapd = server!(Slapd::start(&ldif));
    let proxy = LdapProxy::start(&slapd.url(), &slapd.ca_file(), LdapLimits { entries: 4, values: 5 });
    let logins: Vec<String> = (0..30).map(|index| format!("p{index}")).collect();
    let logins: Vec<&str> = logins.iter().map(String::as_str).collect();
    let groups: Vec<String> = (0..23).map(|group| Slapd::group_dn(&format!("g{group}"))).collect();
    let mut groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let world = World::start(spec(through(&proxy, slapd_spec(&slapd, "(uid={name})")), &logins, &groups)).await;
    assert_eq!(world.status().last_failure, None);
    groups.sort_unstable();
    assert_eq!(world.groups("a7").unwrap(), groups);
    assert!(world.groups("a29").unwrap().is_empty());
    // Eight pages of accounts, four more ranges, six pages of groups: it was strict.
    assert!(proxy.searches() >= 18, "{}", proxy.searches());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_misbehaves_fails_by_its_deadline_and_the_next_one_answers() {
    let people = [Slapd::user("ann", ""), Slapd::group("deployers", &[&Slapd::user_dn("ann")])].concat();
    let slapd = server!(Slapd::start(&people));
    let proxy = LdapProxy::start(&slapd.url(), &slapd.ca_file(), LdapLimits::MICROSOFT);
    let mut directory = through(&proxy, slapd_spec(&slapd, "(uid={name})"));
    // Deadlines of two seconds.
    directory.max_age = Duration::from_secs(16);
    let deployers = Slapd::group_dn("deployers");
    let config = |directory: &DirectorySpec| spec(directory.clone(), &["ann"], &[&deployers]);
    let world = World::start(config(&directory)).await;
    assert_eq!(world.groups("a0").unwrap(), [deployers.as_str()]);
    let nested = {
        let mut octets = String::new();
        (0..2000).for_each(|_| write!(octets, "\x30\x04").unwrap());
        octets.into_bytes()
    };
    for (behaviour, cause) in [
        (LdapBehaviour::Silent, FailureCause::Timeout),
        (LdapBehaviour::FreezeSearches, FailureCause::Timeout),
        (LdapBehaviour::Drip, FailureCause::Timeout),
        (LdapBehaviour::Garbage(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), FailureCause::Protocol),
        (LdapBehaviour::Garbage(b"\x30\x84\x7f\xff\xff\xff".to_vec()), FailureCause::Limit),
        (LdapBehaviour::Garbage(b"\x30\x05\x02\x01\x02\x65\x00".to_vec()), FailureCause::Protocol),
        (LdapBehaviour::Garbage(nested), FailureCause::Protocol),
    ] {
        proxy.behave(behaviour.clone());
        world.refresh().await;
        let (actual, message) = world.failure();
        assert_eq!(actual, cause, "{behaviour:?}: {message}");
        assert_eq!(world.groups("a0").unwrap(), [deployers.as_str()], "what was known before counts");
        world.clock.advance(Duration::from_secs(4));
        proxy.behave(LdapBehaviour::Pass);
        world.refresh().await;
        assert_eq!(world.status().last_failure, None, "{behaviour:?}");
    }

    // The next server is asked, and the one that answered comes first from then on.
    let authorities = tempfile::NamedTempFile::new().unwrap();
    let both = [proxy.ca_file(), slapd.ca_file()].map(|path| std::fs::read_to_string(path).unwrap());
    std::fs::write(authorities.path(), both.concat()).unwrap();
    let mut two = directory.clone();
    two.ca_file = Some(authorities.path().to_owned());
    two.urls.push(ServerUrl::parse(&slapd.url()).unwrap());
    proxy.behave(LdapBehaviour::FreezeSearches);
    slapd.apply(&Slapd::user("bob", ""));
    slapd.apply(&Slapd::membership("deployers", "add", &Slapd::user_dn("bob")));
    world.after(|directories| directories.reconfigure(spec(two, &["bob"], &[&deployers]))).await;
    assert_eq!(world.status().last_failure, None);
    assert_eq!(world.groups("a0").unwrap(), [deployers.as_str()]);
    let searches = proxy.searches();
    world.refresh().await;
    assert_eq!(proxy.searches(), searches);

    // Two names of one proxy with one authority: the certificate is for the address only.
    proxy.behave(LdapBehaviour::Pass);
    directory.urls = vec![ServerUrl::parse(&format!("ldaps://localhost:{}", proxy.port())).unwrap()];
    world.after(|directories| directories.reconfigure(config(&directory))).await;
    let (cause, message) = world.failure();
    assert_eq!(cause, FailureCause::Tls);
    assert!(message.contains("localhost") && message.contains("127.0.0.1"), "{message}");
}
