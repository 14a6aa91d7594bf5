//! Managed objects and API keys.

use super::ManagedHealth;
use super::exposition::Exposition;
use super::families;

pub(super) fn render(managed: Option<&ManagedHealth>, out: &mut Exposition) {
    let Some(ManagedHealth { objects, set_aside, shadowed, is_behind, keys_to_expire }) = managed else { return };
    let is_behind = usize::from(*is_behind);
    for (family, value) in [
        (families::MANAGED_OBJECTS, objects),
        (families::MANAGED_SET_ASIDE, set_aside),
        (families::MANAGED_SHADOWED, shadowed),
        (families::MANAGED_STALE, &is_behind),
        (families::API_KEYS_EXPIRING, keys_to_expire),
    ] {
        out.family(family);
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
