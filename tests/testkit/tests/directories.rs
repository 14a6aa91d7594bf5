//! The directory servers of the testkit start, take changes, and start again.

use sts_testkit::{Samba, Slapd};

#[test]
fn a_domain_controller_starts_and_takes_changes() {
    let people = [Samba::user("ann", ""), Samba::group("deployers", &[&Samba::user_dn("ann")])].concat();
    let mut samba = match Samba::start(&people) {
        Ok(samba) => samba,
        Err(missing) => return println!("{missing}"),
    };
    let sid = samba.sid(&Samba::group_dn("deployers"));
    assert!(sid.starts_with("S-1-5-21-"), "{sid}");
    samba.apply(&Samba::membership("deployers", "delete", &Samba::user_dn("ann")));
    samba.stop();
    samba.restart();
    samba.apply(&Samba::membership("deployers", "add", &Samba::user_dn("ann")));
}

#[test]
fn an_openldap_server_starts_and_takes_changes() {
    let people = [Slapd::user("ann", ""), Slapd::user("bob", ""), Slapd::group("deployers", &[&Slapd::user_dn("ann")])];
    let mut slapd = match Slapd::start(&people.concat()) {
        Ok(slapd) => slapd,
        Err(missing) => return println!("{missing}"),
    };
    slapd.apply(&Slapd::membership("deployers", "add", &Slapd::user_dn("bob")));
    slapd.stop();
    slapd.restart();
    slapd.apply(&Slapd::membership("deployers", "delete", &Slapd::user_dn("bob")));
}
