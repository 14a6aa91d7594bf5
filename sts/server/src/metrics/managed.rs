//! Managed objects and API keys.

use super::ManagedHealth;
use super::exposition::{Exposition, Kind};

pub(super) fn render(managed: Option<&ManagedHealth>, out: &mut Exposition) {
    let Some(ManagedHealth { objects, set_aside, shadowed, is_behind, keys_to_expire }) = managed else { return };
    for (name, help, value) in [
        ("sts_managed_objects", "Managed objects in the store, API keys among them.", objects),
        (
            "sts_managed_objects_set_aside",
            "Managed objects that are not in force, because they do not compile beside the files.",
            set_aside,
        ),
        (
            "sts_managed_objects_shadowed",
            "Managed objects that are not in force, because a file declares an object of that name.",
            shadowed,
        ),
        (
            "sts_managed_objects_stale",
            "Whether changes of managed objects are not in force here, because the files do not load (1).",
            &usize::from(*is_behind),
        ),
        ("sts_api_keys_expiring", "API keys that expire within 14 days.", keys_to_expire),
    ] {
        out.family(name, Kind::Gauge, help);
        out.sample(&[], value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_lags_behind_the_store_is_a_metric_of_its_own() {
        for (is_behind, value) in [(false, "0"), (true, "1")] {
            let mut out = Exposition::default();
            let managed = ManagedHealth { objects: 7, set_aside: 0, shadowed: 0, is_behind, keys_to_expire: 0 };
            render(Some(&managed), &mut out);
            let text = out.into_text();
            assert!(text.contains(&format!("\nsts_managed_objects_stale {value}\n")), "{text}");
        }
    }
}
