//! Several servers that share a Redis: what is recorded and revoked at one, all know (DESIGN section 6, corpus F).

use crate::support::*;
use serde_json::json;
use sts_testkit::{Config, RedisServer, Request, Server, Site};

/// [`world`] on a Redis, with the keys that all replicas share.
pub(crate) fn shared_world(redis: &RedisServer, keys: &Site) -> Config {
    world()
        // As patient as a machine with other work to do wants it.
        .with("store", json!({ "url": redis.url(), "timeout": "5s" }))
        .with("signing/keys_dir", keys.root().to_str().unwrap())
}

/// Servers one after the other, since the first makes the keys.
fn replicas<const N: usize>(config: &Config) -> [Server; N] {
    std::array::from_fn(|_| Server::start_in(STS, world_site(config)))
}

#[test]
fn rv3_a_revocation_at_one_replica_is_seen_by_the_next_introspection_at_any_other() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let [one, two, three] = replicas(&shared_world(&redis, &keys));
    for (revoker, asker) in [(&one, &two), (&two, &three), (&three, &one)] {
        let access = one.token(&token("svc:octo"), &[]);
        for server in [&one, &two, &three] {
            assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
        }
        assert_eq!(revoker.revoke(&access).status, 200);
        assert_eq!(asker.introspect("deploy", DEPLOY_SECRET, &access), json!({ "active": false }));
        // And by a rule.
        let access = one.token(&token("svc:octo"), &[]);
        assert_eq!(asker.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
        let rule = json!({ "account": "octo", "reason": "incident" });
        assert_eq!(revoker.send_admin(Request::post_json("/admin/v1/revocations", &rule)).status, 200);
        assert_eq!(asker.introspect("deploy", DEPLOY_SECRET, &access), json!({ "active": false }));
    }
}
