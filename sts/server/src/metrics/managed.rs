//! Managed objects and API keys.

use super::ManagedHealth;
use super::exposition::{Exposition, Kind};

pub(super) fn render(managed: Option<&ManagedHealth>, out: &mut Exposition) {
    let Some(ManagedHealth { objects, set_aside, shadowed, keys_to_expire }) = managed else { return };
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
        ("sts_api_keys_expiring", "API keys that expire within 14 days.", keys_to_expire),
    ] {
        out.family(name, Kind::Gauge, help);
        out.sample(&[], value);
    }
}
