//! Histories of tokens that come from one another, compared with the model: by ID token, by API
//! key, narrowed, for another API, by an actor, bound to a key, while time passes, tokens are revoked
//! and keys end.

use proptest::prelude::*;

use crate::model::Model;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    IdToken(&'static str),
    /// An API key of `octo`, or one that is narrowed to `read`.
    ApiKey {
        is_narrow: bool,
    },
    /// An earlier token.
    Own(usize),
}

/// Who acts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Acting {
    Nobody,
    IdToken(&'static str),
    Own(usize),
}

/// Who proves to hold a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Holder {
    /// The holder of the token that is presented, if it is bound.
    AsNeeded,
    Nobody,
    Is(usize),
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) from: From,
    pub(crate) acting: Acting,
    /// Whose key the proof of possession is by.
    pub(crate) holder: Holder,
    pub(crate) api: &'static str,
    /// `""` for all there are.
    pub(crate) scope: &'static str,
    pub(crate) life: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Ask(Ask),
    Revoke(usize),
    Wait(u64),
    EndApiKey { is_narrow: bool },
}

/// Most requests are near to what is granted, or no chain would grow.
fn asks() -> impl Strategy<Value = Ask> {
    let from = prop_oneof![
        2 => proptest::sample::select(vec!["job:main", "job:reads", "job:robot", "job:relay"]).prop_map(From::IdToken),
        1 => any::<bool>().prop_map(|is_narrow| From::ApiKey { is_narrow }),
        9 => (0..NEWEST).prop_map(From::Own),
    ];
    let acting = prop_oneof![
        6 => Just(Acting::Nobody),
        2 => proptest::sample::select(vec!["job:robot", "job:relay", "job:robot", "job:main"]).prop_map(Acting::IdToken),
        2 => (0..NEWEST).prop_map(Acting::Own),
    ];
    let holder = prop_oneof![
        6 => Just(Holder::AsNeeded),
        1 => Just(Holder::Nobody),
        1 => (0_usize..2).prop_map(Holder::Is),
    ];
    let api = prop_oneof![5 => Just("deploy"), 1 => Just("other")];
    let scope = proptest::sample::select(vec!["", "", "", "read", "read", "write", "read write"]);
    let life = proptest::option::weighted(0.2, 60_i64..1200);
    (from, acting, holder, api, scope, life).prop_map(|(from, acting, holder, api, scope, life)| Ask {
        from,
        acting,
        holder,
        api,
        scope,
        life,
    })
}

/// From how many of the newest tokens a step chooses.
const NEWEST: usize = 6;

fn histories() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        30 => asks().prop_map(Step::Ask),
        2 => (0..NEWEST).prop_map(Step::Revoke),
        2 => (1_u64..200).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(|is_narrow| Step::EndApiKey { is_narrow }),
    ];
    let first = |from| {
        Step::Ask(Ask { from, acting: Acting::Nobody, holder: Holder::Nobody, api: "deploy", scope: "", life: None })
    };
    let start = [From::IdToken("job:main"), From::ApiKey { is_narrow: false }, From::IdToken("job:robot")].map(first);
    proptest::collection::vec(step, 4..40).prop_map(move |steps| [&start[..], &steps].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Every request of any history is granted or refused as the contract says, with exactly its
    /// scopes, end, actors and key; and after each step exactly those tokens are active that it says.
    #[test]
    fn c085_tx08_tx12_tx15_dp02_no_history_of_grants_gives_more_than_the_contract(history in histories()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut model = Model::new();
            for step in history {
                model.take(step).await;
                for index in 0..model.tokens.len() {
                    let is_active = model.is_really_active(index).await;
                    assert_eq!(is_active, model.is_active(index), "{index} after {step:?} of {:#?}", model.tokens);
                }
            }
        });
    }
}
