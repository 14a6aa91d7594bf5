//! The contract of a ledger, one function per promise.

use sts_types::{
    AccountId, ApiKeyId, ApiKeyProof, Clock as _, Digest256, FederatedProof, Jti, Proof, RequestId, StatusWindow,
};

use super::placed::reaches;
use super::{Rig, START, claim, federated, record, replayed, revocation, rule};
use crate::{
    EarlierUse, Entry, Issued, Lease, LedgerError, Listing, ReplayClaim, Revocation, STATUS_BLOCK, TakenClaim,
    TokenRecord,
};

/// All fields come back, foreign text and nested claims included.
pub async fn a_record_is_read_as_it_was_written(rig: &Rig) {
    let full = record("full", "octo-deploy");
    let bare = FederatedProof { subject_kid: None, subject_jti_digest: None, ..federated() };
    let mut bare = TokenRecord { proof: Proof::Federated(bare), status_index: None, ..record("bare", "a") };
    bare.claims.clear();
    let key = Proof::ApiKey(ApiKeyProof { id: ApiKeyId::new("0123456789aB").unwrap() });
    let of_key = TokenRecord { proof: key.clone(), ..record("of a key", "a") };
    let jti = |text| Jti::new(text).unwrap();
    let child = TokenRecord { proof: key.descendant(jti("of a key")), ..record("child", "a") };
    let deep = full.proof.descendant(jti("full")).descendant(jti("x")).descendant(jti("y"));
    let deep = TokenRecord { proof: deep, ..record("deep", "a") };
    for record in [full, bare, of_key, child, deep] {
        assert_eq!(rig.issue(record.clone()).await, Issued::Recorded);
        assert_eq!(rig.look_up(record.jti.as_str()).await, Some(Entry { record, revoked: None }));
    }
}

/// A jti is compared byte for byte, and none is part of another.
pub async fn a_jti_is_one_exact_text(rig: &Rig) {
    let long = "j".repeat(1024);
    let texts = ["a", "A", "a:b", "a/b", "a b", "*", "{a}", "\u{e9}", "e\u{301}", "\u{202e}x", &long];
    for text in texts {
        assert_eq!(rig.issue(record(text, "octo")).await, Issued::Recorded, "{text:?}");
    }
    for text in texts {
        assert_eq!(rig.look_up(text).await.unwrap().record.jti.as_str(), text);
    }
    for other in ["b", "a:", ":b", "?", "\u{c9}", &long[1..]] {
        assert_eq!(rig.look_up(other).await, None, "{other:?}");
    }
}

/// The first record stays, and the claim of the second issue is free.
pub async fn c146_a_second_record_of_a_jti_is_refused_and_spends_no_claim(rig: &Rig) {
    let taken = claim(1, START.plus(1000));
    rig.issue(record("one", "first")).await;
    let second = rig.ledger.issue(record("one", "second"), vec![taken.clone()]).await;
    assert!(matches!(second, Err(LedgerError::Duplicate)), "{second:?}");
    assert_eq!(rig.look_up("one").await.unwrap().record.account.as_str(), "first");
    assert_eq!(rig.ledger.issue(record("two", "second"), vec![taken]).await.unwrap(), Issued::Recorded);
}

/// 100 issues at once, then one more: one record in all.
pub async fn c057_of_many_issues_that_take_one_claim_exactly_one_is_recorded(rig: &Rig) {
    let taken = claim(1, START.plus(1000));
    let attempts = (0..100).map(|n| rig.ledger.issue(record(&format!("t{n}"), "octo"), vec![taken.clone()]));
    let outcomes = futures_util::future::join_all(attempts).await;
    let recorded: Vec<usize> = (0..100).filter(|n| matches!(outcomes[*n], Ok(Issued::Recorded))).collect();
    assert_eq!(recorded.len(), 1, "{outcomes:?}");
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(rig.ledger.issue(record("late", "octo"), vec![taken]).await.unwrap(), replayed(1));
    let listed = rig.list(None, None, 200).await;
    assert_eq!(listed, [format!("t{}", recorded[0])], "what was replayed is not recorded");
}

fn request(number: u64) -> EarlierUse {
    EarlierUse { at_millis: number, request_id: RequestId::new(&format!("01J{number:023}")).unwrap() }
}

/// 100 callers at once, then one more: each loser learns who has it.
pub async fn dp1_of_many_that_take_a_claim_without_a_record_exactly_one_has_it(rig: &Rig) {
    let taken = claim(1, START.plus(1000));
    let attempts = (0..100).map(|number| rig.ledger.take_claim(taken.clone(), request(number)));
    let outcomes = futures_util::future::join_all(attempts).await;
    let winners: Vec<u64> = (0..100).filter(|n| matches!(outcomes[*n as usize], Ok(None))).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    let held = TakenClaim { key: taken.key, earlier_use: Some(request(winners[0])) };
    let losers = outcomes.into_iter().filter_map(Result::unwrap);
    assert_eq!(losers.filter(|outcome| *outcome == held).count(), 99);
    assert_eq!(rig.ledger.take_claim(taken, request(100)).await.unwrap(), Some(held));
    assert_eq!(rig.list(None, None, 200).await, Vec::<String>::new());
    assert_eq!(rig.ledger.take_claim(claim(2, START.plus(1000)), request(101)).await.unwrap(), None, "another is free");
}

/// What a record took is taken here, and the other way round.
pub async fn dp1_a_claim_without_a_record_is_one_with_those_of_records(rig: &Rig) {
    let (first, second) = (claim(1, START.plus(1000)), claim(2, START.plus(1000)));
    rig.ledger.issue(record("one", "octo"), vec![first.clone()]).await.unwrap();
    let taken = rig.ledger.take_claim(first, request(7)).await.unwrap();
    assert_eq!(taken.map(Issued::Replayed), Some(replayed(1)));
    assert_eq!(rig.ledger.take_claim(second.clone(), request(8)).await.unwrap(), None);
    let held = TakenClaim { key: second.key, earlier_use: Some(request(8)) };
    let issued = rig.ledger.issue(record("two", "octo"), vec![second.clone()]).await.unwrap();
    assert_eq!(issued, Issued::Replayed(held.clone()));
    assert_eq!(rig.ledger.find_claim(second.key).await.unwrap(), Some(held));
    assert!(rig.look_up("two").await.is_none());
}

/// The claim as request `number` took it.
fn held(claim: &ReplayClaim, number: u64) -> Option<TakenClaim> {
    Some(TakenClaim { key: claim.key, earlier_use: Some(request(number)) })
}

/// To the last second, and a sweep at that second leaves it.
pub async fn dp1_a_claim_without_a_record_stands_to_its_last_second_and_through_sweeps(rig: &Rig) {
    let taken = claim(1, START.plus(400));
    assert_eq!(rig.take(&taken, 1).await, None);
    for seconds in [399, 1] {
        rig.clock.advance(seconds);
        rig.ledger.sweep(rig.clock.now()).await.unwrap();
        assert_eq!(rig.take(&taken, 2).await, held(&taken, 1));
    }
}

/// After its end the claim is free, once.
pub async fn dp1_a_claim_without_a_record_may_be_taken_again_once_its_time_has_passed(rig: &Rig) {
    assert_eq!(rig.take(&claim(1, START.plus(10)), 1).await, None);
    rig.clock.advance(11);
    let again = claim(1, START.plus(100));
    assert_eq!(rig.take(&again, 2).await, None);
    rig.ledger.sweep(START.plus(50)).await.unwrap();
    assert_eq!(rig.take(&again, 3).await, held(&again, 2));
}

/// One may be asked for twice, and some may not be there.
pub async fn several_records_are_looked_up_at_once_in_the_order_asked_for(rig: &Rig) {
    for name in ["a", "b", "c"] {
        rig.issue(record(name, "octo")).await;
    }
    rig.ledger.revoke(revocation("b", "leaked")).await.unwrap();
    let ask = async |names: &[&str]| {
        let jtis = names.iter().map(|name| Jti::new(name).unwrap()).collect();
        rig.ledger.look_up_all(jtis).await.unwrap()
    };
    let names = ["c", "nothing", "b", "a", "c"];
    let mut one_by_one = Vec::new();
    for name in names {
        one_by_one.push(rig.look_up(name).await);
    }
    let found = ask(&names).await;
    assert_eq!(found, one_by_one);
    assert!(found[1].is_none() && found[2].as_ref().unwrap().revoked.is_some(), "{found:?}");
    assert_eq!(ask(&[]).await, []);
    rig.clock.advance(961);
    assert_eq!(ask(&["a", "b"]).await, [None, None], "dead records are not answered");
}

/// The claim outlives the subject token by leeway and margin, to the last second.
pub async fn c058_a_claim_stands_to_its_last_second(rig: &Rig) {
    let taken = claim(1, START.plus(960));
    assert_eq!(rig.ledger.issue(record("one", "octo"), vec![taken.clone()]).await.unwrap(), Issued::Recorded);
    for seconds in [899, 60, 1] {
        rig.clock.advance(seconds);
        let late = TokenRecord { iat: START.plus(900), exp: START.plus(1900), ..record("two", "octo") };
        assert_eq!(rig.ledger.issue(late, vec![taken.clone()]).await.unwrap(), replayed(1));
    }
}

/// After its end the claim is free, once.
pub async fn c058_a_claim_may_be_taken_again_once_its_time_has_passed(rig: &Rig) {
    let issue = |jti: &str, until: i64| {
        let late = TokenRecord { exp: START.plus(5000), ..record(jti, "octo") };
        rig.ledger.issue(late, vec![claim(1, START.plus(until))])
    };
    assert_eq!(issue("one", 10).await.unwrap(), Issued::Recorded);
    rig.clock.advance(11);
    assert_eq!(issue("two", 100).await.unwrap(), Issued::Recorded);
    assert_eq!(issue("three", 100).await.unwrap(), replayed(1));
}

/// The row of the first claim must not end the second one early.
pub async fn a_sweep_leaves_a_claim_that_was_taken_again(rig: &Rig) {
    let issue = |jti: &str, until: i64| rig.ledger.issue(record(jti, "octo"), vec![claim(1, START.plus(until))]);
    issue("one", 10).await.unwrap();
    rig.clock.advance(11);
    issue("two", 100).await.unwrap();
    rig.ledger.sweep(START.plus(50)).await.unwrap();
    assert_eq!(issue("three", 100).await.unwrap(), replayed(1));
}

/// Two keys for two tokens. An issue without a claim conflicts with neither.
pub async fn c059_claims_of_different_keys_do_not_meet(rig: &Rig) {
    let until = START.plus(1000);
    assert_eq!(rig.ledger.issue(record("one", "octo"), vec![claim(1, until)]).await.unwrap(), Issued::Recorded);
    assert_eq!(rig.ledger.issue(record("two", "octo"), vec![claim(2, until)]).await.unwrap(), Issued::Recorded);
    assert_eq!(rig.issue(record("three", "octo")).await, Issued::Recorded);
}

/// All claims or none, whichever of them is taken.
pub async fn c059_of_several_claims_one_that_is_taken_leaves_the_others_free_and_nothing_recorded(rig: &Rig) {
    let until = START.plus(1000);
    let claims = |round: u8| [1, 2, 3].map(|number| claim(10 * round + number, until));
    for round in 0..3 {
        let taken = claims(round)[usize::from(round)].clone();
        rig.ledger.issue(record(&format!("first-{round}"), "octo"), vec![taken.clone()]).await.unwrap();
        let refused = rig.ledger.issue(record("second", "octo"), claims(round).to_vec()).await.unwrap();
        assert_eq!(refused, replayed(10 * round + 1 + round));
        assert_eq!(rig.look_up("second").await, None);
        for free in claims(round).into_iter().filter(|own| *own != taken) {
            assert_eq!(rig.ledger.find_claim(free.key).await.unwrap(), None);
            let jti = format!("later-{}", free.key.0[0]);
            assert_eq!(rig.ledger.issue(record(&jti, "octo"), vec![free]).await.unwrap(), Issued::Recorded);
        }
    }
    let two = vec![claim(21, until), claim(99, until), claim(22, until)];
    assert_eq!(
        rig.ledger.issue(record("second", "octo"), two).await.unwrap(),
        replayed(21),
        "the first of those given"
    );
    assert_eq!(rig.ledger.find_claim(claim(99, until).key).await.unwrap(), None);
}

/// Afterwards each of them is used up. A token that appears twice in one request is not a replay of
/// itself.
pub async fn c059_several_claims_are_taken_together_and_one_key_is_one_claim(rig: &Rig) {
    let (short, long) = (START.plus(100), START.plus(1000));
    let claims = vec![claim(1, short), claim(2, long), claim(1, long), claim(3, long)];
    assert_eq!(rig.ledger.issue(record("one", "octo"), claims).await.unwrap(), Issued::Recorded);
    rig.clock.advance(200);
    for number in 1..=3 {
        let again = rig.ledger.issue(record("two", "octo"), vec![claim(number, long)]).await.unwrap();
        assert_eq!(again, replayed(number), "the later of its ends counts");
    }
    assert_eq!(rig.list(None, None, 9).await, ["one"]);
}

/// The owner of a replayed token learns when it was used and by which request. A lost race and a
/// look-up tell the same.
pub async fn fld42_a_claim_tells_which_exchange_took_it(rig: &Rig) {
    let by = |jti: &str, number: u8, millis: u16| TokenRecord {
        request_id: RequestId::new(&format!("01J{number:023}")).unwrap(),
        iat_millis: millis,
        ..record(jti, "octo")
    };
    let (one, other) = (claim(1, START.plus(1000)), claim(2, START.plus(1000)));
    assert_eq!(rig.ledger.find_claim(one.key).await.unwrap(), None);
    rig.ledger.issue(by("one", 1, 7), vec![one.clone()]).await.unwrap();
    rig.ledger.issue(by("other", 2, 999), vec![other.clone()]).await.unwrap();
    for (taken, number, millis) in [(one, 1, 7), (other, 2, 999)] {
        let earlier_use = EarlierUse::of(&by("any", number, millis));
        assert_eq!(earlier_use.at_millis, START.as_secs().unsigned_abs() * 1000 + u64::from(millis));
        let wanted = TakenClaim { key: taken.key, earlier_use: Some(earlier_use) };
        for attempt in 3..5 {
            let again = rig.ledger.issue(by("again", attempt, 0), vec![taken.clone()]).await.unwrap();
            assert_eq!(again, Issued::Replayed(wanted.clone()), "the first use, not an attempt since");
            assert_eq!(rig.ledger.find_claim(taken.key).await.unwrap(), Some(wanted.clone()));
        }
    }
    assert_eq!(rig.ledger.find_claim(Digest256([3; 32])).await.unwrap(), None);
}

/// Not the exchange before it.
pub async fn fld42_a_claim_that_was_taken_again_tells_the_latest_exchange(rig: &Rig) {
    let first = claim(1, START.plus(10));
    rig.ledger.issue(record("one", "octo"), vec![first.clone()]).await.unwrap();
    rig.clock.advance(11);
    assert_eq!(rig.ledger.find_claim(first.key).await.unwrap(), None);
    let second = TokenRecord { iat: START.plus(11), ..record("two", "octo") };
    rig.ledger.issue(second.clone(), vec![claim(1, START.plus(100))]).await.unwrap();
    rig.ledger.sweep(START.plus(50)).await.unwrap();
    let wanted = TakenClaim { key: first.key, earlier_use: Some(EarlierUse::of(&second)) };
    assert_eq!(rig.ledger.find_claim(first.key).await.unwrap(), Some(wanted));
}

/// The other tokens are untouched, and the record stays readable.
pub async fn a_token_is_revoked_by_its_jti_alone(rig: &Rig) {
    for jti in ["a", "ab", "b"] {
        rig.issue(record(jti, "octo")).await;
    }
    rig.ledger.revoke(revocation("a", "leaked")).await.unwrap();
    assert_eq!(rig.look_up("a").await.unwrap().revoked, Some(revocation("a", "leaked")));
    assert_eq!(rig.look_up("ab").await.unwrap().revoked, None);
    assert_eq!(rig.look_up("b").await.unwrap().revoked, None);
    assert_eq!(*rig.ledger.rules().await.unwrap(), [], "it is no rule");
}

/// The first author and reason stay.
pub async fn the_first_revocation_of_a_token_stands(rig: &Rig) {
    rig.issue(record("a", "octo")).await;
    rig.ledger.revoke(revocation("a", "first")).await.unwrap();
    rig.ledger.revoke(revocation("a", "second")).await.unwrap();
    assert_eq!(rig.look_up("a").await.unwrap().revoked.unwrap().reason.as_deref(), Some("first"));
}

/// A later revocation can extend it, never shorten it.
pub async fn a_revocation_lasts_as_long_as_the_longest_asked_for(rig: &Rig) {
    let live = TokenRecord { exp: START.plus(3600), ..record("a", "octo") };
    rig.issue(live).await;
    for until in [10, 2000, 100] {
        rig.ledger.revoke(Revocation { until: START.plus(until), ..revocation("a", "leaked") }).await.unwrap();
    }
    rig.ledger.sweep(START.plus(1999)).await.unwrap();
    assert!(rig.look_up("a").await.unwrap().revoked.is_some());
}

/// No order of the two brings a revoked token back.
pub async fn a_revocation_may_come_before_its_record(rig: &Rig) {
    rig.ledger.revoke(revocation("a", "early")).await.unwrap();
    assert_eq!(rig.look_up("a").await, None);
    rig.issue(record("a", "octo")).await;
    assert!(rig.look_up("a").await.unwrap().revoked.is_some());
}

/// A rule is in force from the answer on, through its last second.
pub async fn rules_are_answered_oldest_first_until_their_time_has_passed(rig: &Rig) {
    let rules = [rule("c", START.plus(100)), rule("a", START.plus(10)), rule("b", START.plus(50))];
    let mut made = Vec::new();
    for rule in &rules {
        made.push(rig.ledger.revoke(rule.clone()).await.unwrap());
    }
    for (made, asked) in made.iter().zip(&rules) {
        let bare = Revocation { id: None, order: None, shard_orders: std::sync::Arc::default(), ..made.clone() };
        assert_eq!(bare, *asked);
    }
    let rules = made;
    assert_eq!(*rig.ledger.rules().await.unwrap(), rules);
    rig.clock.advance(10);
    assert_eq!(*rig.ledger.rules().await.unwrap(), rules);
    rig.clock.advance(1);
    assert_eq!(*rig.ledger.rules().await.unwrap(), [rules[0].clone(), rules[2].clone()]);
    rig.ledger.sweep(START.plus(60)).await.unwrap();
    assert_eq!(*rig.ledger.rules().await.unwrap(), [rules[0].clone()]);
}

/// If a clock was set forward and goes back, an expired rule is in force again, as long as no sweep
/// has removed it.
pub async fn c142_a_clock_that_jumps_ends_no_revocation_rule_and_no_claim_for_good(rig: &Rig) {
    let taken = claim(1, START.plus(960));
    rig.ledger.issue(record("a", "octo"), vec![taken.clone()]).await.unwrap();
    rig.ledger.revoke(revocation("a", "leaked")).await.unwrap();
    let made = rig.ledger.revoke(rule("octo", START.plus(960))).await.unwrap();
    for _ in 0..2 {
        rig.clock.advance(7200);
        assert_eq!(*rig.ledger.rules().await.unwrap(), []);
        assert_eq!(rig.look_up("a").await, None);
        rig.clock.set_back(7200);
        assert_eq!(*rig.ledger.rules().await.unwrap(), *std::slice::from_ref(&made));
        assert!(rig.look_up("a").await.unwrap().revoked.is_some());
    }
    rig.clock.set_back(7200);
    assert_eq!(*rig.ledger.rules().await.unwrap(), [made]);
    assert!(rig.look_up("a").await.unwrap().revoked.is_some());
    assert_eq!(rig.ledger.issue(record("b", "octo"), vec![taken]).await.unwrap(), replayed(1));
}

/// A rule must outlive every record that it may cover, even if the configured lifetimes change.
pub async fn the_last_end_is_that_of_the_record_that_dies_last(rig: &Rig) {
    assert_eq!(rig.ledger.last_end().await.unwrap(), None);
    for (jti, life) in [("long", 86_400), ("short", 60)] {
        rig.ledger.issue(TokenRecord { exp: START.plus(life), ..record(jti, "a") }, vec![]).await.unwrap();
    }
    let last = rig.ledger.last_end().await.unwrap().unwrap();
    assert!(last >= START.plus(86_400) && last < START.plus(86_400 + 600));
}

/// Pages have no gap and no repetition.
pub async fn a_listing_is_newest_first_in_pages(rig: &Rig) {
    for n in 0..5 {
        rig.issue(TokenRecord { iat: START.plus(n), ..record(&format!("t{n}"), "octo") }).await;
    }
    rig.ledger.revoke(revocation("t3", "leaked")).await.unwrap();
    assert_eq!(rig.list(None, None, 2).await, ["t4", "t3"]);
    assert_eq!(rig.list(None, Some("t3"), 2).await, ["t2", "t1"]);
    assert_eq!(rig.list(None, Some("t1"), 2).await, ["t0"]);
    assert_eq!(rig.list(None, Some("t0"), 2).await, [""; 0]);
    assert_eq!(rig.list(None, None, 0).await, [""; 0]);
    assert_eq!(rig.list(None, Some("unknown"), 2).await, [""; 0]);
    let page = rig.ledger.list(Listing { account: None, after: None, limit: 2 }).await.unwrap();
    assert_eq!(page[1].revoked, Some(revocation("t3", "leaked")), "a listing shows what is revoked");
}

/// An account sees only its own records, even if its name begins another's.
pub async fn a_listing_keeps_to_its_account(rig: &Rig) {
    for (n, account) in ["a", "a-b", "a", "b", "a.b"].into_iter().enumerate() {
        let iat = START.plus(i64::try_from(n).unwrap());
        rig.issue(TokenRecord { iat, ..record(&format!("t{n}"), account) }).await;
    }
    assert_eq!(rig.list(Some("a"), None, 9).await, ["t2", "t0"]);
    assert_eq!(rig.list(Some("a"), Some("t2"), 9).await, ["t0"]);
    assert_eq!(rig.list(Some("a-b"), None, 9).await, ["t1"]);
    assert_eq!(rig.list(Some("nobody"), None, 9).await, [""; 0]);
}

/// The record expires a minute after its token.
pub async fn a_dead_record_is_not_answered(rig: &Rig) {
    rig.issue(record("a", "octo")).await;
    rig.clock.advance(960);
    assert!(rig.look_up("a").await.is_some());
    assert_eq!(rig.list(None, None, 9).await, ["a"]);
    rig.clock.advance(1);
    assert_eq!(rig.look_up("a").await, None);
    assert_eq!(rig.list(None, None, 9).await, [""; 0]);
    assert_eq!(rig.list(Some("octo"), None, 9).await, [""; 0]);
}

/// More expired records than one step takes.
pub async fn a_sweep_forgets_what_is_dead_and_nothing_else(rig: &Rig) {
    let dead = (0..600).map(|n| rig.ledger.issue(record(&format!("dead{n}"), "octo"), vec![]));
    assert!(futures_util::future::join_all(dead).await.iter().all(Result::is_ok));
    let live = TokenRecord { exp: START.plus(3600), ..record("live", "octo") };
    let taken = claim(1, START.plus(3600));
    rig.ledger.issue(live.clone(), vec![taken.clone()]).await.unwrap();
    rig.ledger.revoke(Revocation { until: START.plus(3600), ..revocation("live", "leaked") }).await.unwrap();
    rig.clock.advance(961);
    assert_eq!(rig.ledger.sweep(START.plus(960)).await.unwrap(), 0, "not yet");
    assert_eq!(rig.ledger.sweep(START.plus(961)).await.unwrap(), 600);
    assert_eq!(rig.ledger.sweep(START.plus(961)).await.unwrap(), 0);
    assert_eq!(rig.look_up("live").await.unwrap().record, live);
    assert!(rig.look_up("live").await.unwrap().revoked.is_some());
    assert_eq!(rig.list(Some("octo"), None, 9).await, ["live"]);
    let replay = TokenRecord { exp: START.plus(3600), ..record("dead0", "octo") };
    assert_eq!(rig.ledger.issue(replay.clone(), vec![taken]).await.unwrap(), replayed(1));
    assert_eq!(rig.issue(replay).await, Issued::Recorded, "its jti is forgotten altogether");
}

/// A record that may still be answered is not forgotten, to the second.
pub async fn a_sweep_at_the_last_second_forgets_no_revocation(rig: &Rig) {
    rig.issue(record("a", "octo")).await;
    rig.ledger.revoke(Revocation { until: START.plus(960), ..revocation("a", "leaked") }).await.unwrap();
    let kept = rig.ledger.revoke(rule("octo", START.plus(900))).await.unwrap();
    let other = rig.ledger.revoke(rule("other", START.plus(900))).await.unwrap();
    rig.clock.advance(900);
    rig.ledger.sweep(START.plus(900)).await.unwrap();
    assert_eq!(*rig.ledger.rules().await.unwrap(), [kept, other.clone()]);
    assert_eq!(rig.ledger.undo_rule(other.id.clone().unwrap()).await.unwrap(), Some(other));
    rig.clock.advance(60);
    rig.ledger.sweep(START.plus(960)).await.unwrap();
    assert!(rig.look_up("a").await.unwrap().revoked.is_some());
}

/// However many ask at once, and whatever the count of the request before.
pub async fn no_index_is_leased_twice(rig: &Rig) {
    let (one, other) = (StatusWindow::of(START), StatusWindow::of(START.plus(3600)));
    let leases = (1..=100_u32).map(async |count| {
        let shard = rig.ledger.place(None, &Vec::new);
        let lease = rig.ledger.lease(shard, one, count).await.unwrap();
        assert_eq!(lease.era, rig.ledger.lease_era(shard), "nothing was lost");
        lease.first..lease.first + u64::from(count)
    });
    let mut taken = futures_util::future::join_all(leases).await;
    taken.sort_by_key(|range| range.start);
    assert!(taken.windows(2).all(|pair| pair[0].end <= pair[1].start), "{taken:?}");
    let shard = rig.ledger.place(None, &Vec::new);
    let first = rig.ledger.lease(shard, other, STATUS_BLOCK).await.unwrap().first;
    let leased = rig.ledger.status().await.unwrap().leased;
    assert_eq!(leased.keys().copied().collect::<Vec<_>>(), [one, other]);
    assert!(leased[&one] >= taken[99].end && leased[&other] >= first + u64::from(STATUS_BLOCK), "{leased:?}");
}

/// The lists of a window are as short as they can be.
pub async fn leased_indexes_have_no_gap(rig: &Rig) {
    let (one, other) = (StatusWindow::of(START), StatusWindow::of(START.plus(3600)));
    let leases = (1..=100_u32).map(|count| rig.ledger.lease(None, one, count));
    let leases = futures_util::future::try_join_all(leases).await.unwrap();
    let mut taken: Vec<_> =
        leases.into_iter().zip(1..=100_u64).map(|(Lease { first, .. }, count)| first..first + count).collect();
    taken.sort_by_key(|range| range.start);
    assert_eq!(taken[0].start, 0);
    assert!(taken.windows(2).all(|pair| pair[0].end == pair[1].start), "{taken:?}");
    assert_eq!(rig.ledger.lease(None, other, 1024).await.unwrap().first, 0, "each window counts from 0");
    assert_eq!(rig.ledger.status().await.unwrap().leased, [(one, 5050), (other, 1024)].into());
}

/// A window is forgotten once none of its tokens is answered any more.
pub async fn a_sweep_forgets_the_leases_of_dead_windows_alone(rig: &Rig) {
    let (dead, live) = (StatusWindow::of(START), StatusWindow::of(START.plus(3600)));
    let shard = rig.ledger.place(None, &Vec::new);
    rig.ledger.lease(shard, dead, 8).await.unwrap();
    rig.ledger.lease(shard, live, 8).await.unwrap();
    rig.ledger.sweep(dead.end().plus(60)).await.unwrap();
    assert_eq!(rig.ledger.status().await.unwrap().leased.len(), 2, "not yet");
    rig.ledger.sweep(dead.end().plus(61)).await.unwrap();
    let left = rig.ledger.status().await.unwrap().leased;
    assert_eq!(left.keys().copied().collect::<Vec<_>>(), [live]);
}

/// Both kinds of revocation raise the number, so that a reader of it misses none.
pub async fn every_revocation_raises_the_number(rig: &Rig) {
    rig.issue(record("one", "octo")).await;
    let before = rig.ledger.status().await.unwrap().revocations;
    rig.ledger.revoke(revocation("one", "leaked")).await.unwrap();
    let token = rig.ledger.status().await.unwrap().revocations;
    rig.ledger.revoke(rule("octo", START.plus(900))).await.unwrap();
    let rule = rig.ledger.status().await.unwrap().revocations;
    assert!(before < token && token < rule, "{before} {token} {rule}");
}

/// The clock of the issuing server may be ahead of the revoking one, or behind it.
pub async fn f3_a_rule_covers_what_was_recorded_before_it_whatever_the_clocks_say_and_nothing_later(rig: &Rig) {
    for (name, iat) in [("ahead", 5000), ("here", 0), ("behind", -5000)] {
        rig.issue(TokenRecord { iat: START.plus(iat), exp: START.plus(9000), ..record(name, "octo") }).await;
    }
    let made = rig.ledger.revoke(rule("octo", START.plus(9000))).await.unwrap();
    for (name, iat) in [("late ahead", 5000), ("late", 0), ("late behind", -5000)] {
        rig.issue(TokenRecord { iat: START.plus(iat), exp: START.plus(9000), ..record(name, "octo") }).await;
    }
    for name in ["ahead", "here", "behind"] {
        assert!(reaches(&made, &rig.look_up(name).await.unwrap().record), "{name}");
    }
    for name in ["late ahead", "late", "late behind"] {
        assert!(!reaches(&made, &rig.look_up(name).await.unwrap().record), "{name}");
    }
    assert_eq!(*rig.ledger.rules().await.unwrap(), [made]);
}

/// An explicit moment is compared with `iat`, to the millisecond.
pub async fn f3_a_rule_with_a_moment_goes_by_the_time_of_issue(rig: &Rig) {
    rig.issue(record("a", "octo")).await;
    let held = rig.look_up("a").await.unwrap().record;
    for (before_millis, is_reached) in [(7, false), (8, true)] {
        let moment = Revocation { before: Some(START), before_millis, ..rule("octo", START.plus(1000)) };
        let made = rig.ledger.revoke(moment).await.unwrap();
        assert_eq!((made.before, made.before_millis), (Some(START), before_millis));
        assert_eq!(reaches(&made, &held), is_reached);
    }
    rig.issue(record("later", "octo")).await;
    let later = rig.look_up("later").await.unwrap().record;
    assert!(reaches(&rig.ledger.rules().await.unwrap()[1], &later), "whenever it was recorded");
}

/// Tokens that another rule covers stay revoked.
pub async fn f3_fld41_a_rule_can_be_taken_back_and_made_again(rig: &Rig) {
    rig.issue(record("a", "octo")).await;
    let one = rig.ledger.revoke(rule("octo", START.plus(1000))).await.unwrap();
    let two = rig.ledger.revoke(rule("other", START.plus(1000))).await.unwrap();
    let id = |rule: &Revocation| rule.id.clone().unwrap();
    assert_ne!(id(&one), id(&two));
    let before = rig.ledger.status().await.unwrap().revocations;
    assert_eq!(rig.ledger.undo_rule(id(&one)).await.unwrap(), Some(one.clone()));
    assert!(rig.ledger.status().await.unwrap().revocations > before, "other processes are to see it");
    assert_eq!(*rig.ledger.rules().await.unwrap(), *std::slice::from_ref(&two));
    assert_eq!(rig.ledger.undo_rule(id(&one)).await.unwrap(), None, "it is gone");
    rig.issue(record("b", "octo")).await;
    let again = rig.ledger.revoke(rule("octo", START.plus(1000))).await.unwrap();
    assert_eq!(again.id, one.id);
    for name in ["a", "b"] {
        assert!(reaches(&again, &rig.look_up(name).await.unwrap().record), "{name}");
    }
    assert_eq!(*rig.ledger.rules().await.unwrap(), [two.clone(), again]);
    rig.clock.advance(1001);
    assert_eq!(rig.ledger.undo_rule(id(&two)).await.unwrap(), None, "it is over");
}

/// For example after a lost answer: there is one rule, and one call removes it.
pub async fn f3_a_rule_that_is_made_again_is_the_same_rule_and_covers_what_came_since(rig: &Rig) {
    let first = rig.ledger.revoke(rule("octo", START.plus(2000))).await.unwrap();
    rig.issue(record("since", "octo")).await;
    let again = rig.ledger.revoke(Revocation { reason: None, ..rule("octo", START.plus(1000)) }).await.unwrap();
    assert_eq!(again.id, first.id);
    assert!(again.until >= first.until, "never shorter");
    assert!(reaches(&again, &rig.look_up("since").await.unwrap().record));
    assert_eq!(*rig.ledger.rules().await.unwrap(), *std::slice::from_ref(&again));
    // Another moment makes another rule.
    let other = Revocation { before: Some(START), ..rule("octo", START.plus(1000)) };
    assert_ne!(rig.ledger.revoke(other).await.unwrap().id, first.id);
    rig.ledger.undo_rule(again.id.unwrap()).await.unwrap();
    assert_eq!(rig.ledger.rules().await.unwrap().len(), 1);
}

/// A rule covers every record that was answered before it was asked for, and none that was
/// requested after its answer.
pub async fn f3_rules_and_records_at_once_have_one_order(rig: &Rig) {
    let mut made = Vec::new();
    for round in 0..20 {
        let issue = async |n: usize| rig.issue(record(&format!("{round}-{n}"), "octo")).await;
        issue(0).await;
        let rule = async |n: usize| rig.ledger.revoke(rule(&format!("{round}-{n}"), START.plus(1000))).await.unwrap();
        let issues = futures_util::future::join_all((1..5).map(issue));
        let (_, rules) = futures_util::future::join(issues, futures_util::future::join_all((0..3).map(rule))).await;
        for rule in &rules {
            assert!(reaches(rule, &rig.look_up(&format!("{round}-0")).await.unwrap().record));
        }
        made.extend(rules);
        issue(5).await;
        let late = rig.look_up(&format!("{round}-5")).await.unwrap().record;
        assert!(made.iter().all(|rule| !reaches(rule, &late)));
    }
    let mut orders: Vec<_> = made.iter().map(|rule| rule.order.unwrap()).collect();
    orders.sort_unstable();
    orders.dedup();
    assert_eq!(orders.len(), made.len(), "no two have one place");
}

/// A new ledger is empty.
pub async fn an_empty_ledger_is_ready_and_holds_nothing(rig: &Rig) {
    rig.ledger.ready().await.unwrap();
    rig.clock.advance(3600);
    rig.ledger.ready().await.unwrap();
    assert_eq!(rig.look_up("a").await, None);
    assert_eq!(rig.list(None, None, 9).await, [""; 0]);
    assert_eq!(*rig.ledger.rules().await.unwrap(), []);
    assert_eq!(rig.ledger.sweep(START.plus(1_000_000)).await.unwrap(), 0);
}

impl Rig {
    async fn take(&self, claim: &ReplayClaim, number: u64) -> Option<TakenClaim> {
        self.ledger.take_claim(claim.clone(), request(number)).await.unwrap()
    }

    async fn issue(&self, record: TokenRecord) -> Issued {
        self.ledger.issue(record, vec![]).await.unwrap()
    }

    async fn look_up(&self, jti: &str) -> Option<Entry> {
        self.ledger.look_up(Jti::new(jti).unwrap()).await.unwrap()
    }

    async fn list(&self, account: Option<&str>, after: Option<&str>, limit: usize) -> Vec<String> {
        let account = account.map(|account| AccountId::new(account).unwrap());
        let after = after.map(|after| Jti::new(after).unwrap());
        let page = self.ledger.list(Listing { account, after, limit }).await.unwrap();
        page.iter().map(|entry| entry.record.jti.as_str().to_owned()).collect()
    }
}
