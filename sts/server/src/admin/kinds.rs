//! The kinds of objects, each with its paths. The operations on objects are written once for all.

use sts_types::ObjectKind;

/// A kind of object as paths and the OpenAPI document name it.
pub(crate) trait Kind: std::fmt::Debug + Clone + Copy + Default + 'static {
    const KIND: ObjectKind;
    /// The path of all objects, below `/admin/v1`.
    const ALL: &'static str;
    /// The path of one.
    const ONE: &'static str;
    /// The operation ids: list, create, show, replace, change, delete.
    const IDS: [&'static str; 6];
    /// What they do, in the same order.
    const SUMMARIES: [&'static str; 6];
}

macro_rules! kinds {
    ($($type:ident $kind:ident $path:literal $one:literal $many:literal $noun:literal $article:literal)+) => {
        $(
            #[derive(Clone, Copy, Debug, Default)]
            pub(crate) struct $type;

            impl Kind for $type {
                const KIND: ObjectKind = ObjectKind::$kind;
                const ALL: &'static str = concat!("/", $path);
                const ONE: &'static str = concat!("/", $path, "/{name}");
                const IDS: [&'static str; 6] = [
                    concat!("list", $many),
                    concat!("create", $one),
                    concat!("show", $one),
                    concat!("replace", $one),
                    concat!("change", $one),
                    concat!("delete", $one),
                ];
                const SUMMARIES: [&'static str; 6] = [
                    concat!("The ", $noun, "s that are in force, page by page"),
                    concat!("Create ", $article, " ", $noun),
                    concat!("One ", $noun),
                    concat!("Replace ", $article, " ", $noun),
                    concat!("Change ", $article, " ", $noun, " by a merge patch (RFC 7396)"),
                    concat!("Delete ", $article, " ", $noun),
                ];
            }
        )+
    };
}

kinds! {
    ServiceAccounts ServiceAccount "service-accounts" "ServiceAccount" "ServiceAccounts" "service account" "a"
    Teams Team "teams" "Team" "Teams" "team" "a"
    Apis Api "apis" "Api" "Apis" "API" "an"
    Issuers Issuer "issuers" "Issuer" "Issuers" "issuer" "an"
}

/// Does something with the type of a kind: `with_kind!(kind, K => list::<K>())`.
macro_rules! with_kind {
    ($kind:expr, $type:ident => $body:expr) => {
        match $kind {
            sts_types::ObjectKind::ServiceAccount => {
                type $type = $crate::admin::ServiceAccounts;
                $body
            }
            sts_types::ObjectKind::Team => {
                type $type = $crate::admin::Teams;
                $body
            }
            sts_types::ObjectKind::Api => {
                type $type = $crate::admin::Apis;
                $body
            }
            sts_types::ObjectKind::Issuer => {
                type $type = $crate::admin::Issuers;
                $body
            }
        }
    };
}

pub(crate) use with_kind;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_at_the_path_of_its_name() {
        for kind in ObjectKind::ALL {
            let (of, all) = with_kind!(kind, K => (K::KIND, K::ALL));
            assert_eq!((of, all), (kind, format!("/{}", kind.name()).as_str()));
        }
    }
}
