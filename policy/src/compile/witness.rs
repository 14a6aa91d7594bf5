//! Proves that a pattern reaches across owners: finds a text of another owner that it accepts, by a
//! search through its automaton.

use crate::finding::quoted;
use crate::pattern::{Pattern, shortest};
use crate::preset::OwnerText;

/// Accepted texts that show how far a pattern reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Witness {
    /// The owner that the pattern's author seems to mean. `text` does not belong to it.
    pub(super) meant: Option<String>,
    /// An accepted text.
    pub(super) text: String,
    /// If the author means no particular owner: an accepted text of a second owner.
    pub(super) other: Option<String>,
}

impl Witness {
    /// Searches a witness against `pattern`, where `forms` are the forms of text that name an
    /// owner. Texts of one of the `shapes` are preferred, because the platform could send them.
    /// `None` if the pattern fits one owner only, or the search gave up.
    pub(super) fn against(pattern: &Pattern, forms: &[OwnerText], shapes: &[&str]) -> Option<Self> {
        let mut shapes: Vec<Pattern> = shapes.iter().filter_map(|text| Pattern::parse(text).ok()).collect();
        if let Some((form, owner)) = owner_of(forms, pattern.literal_head()) {
            let text = accepted(pattern, &shapes, &form.texts_of(owner))?;
            return Some(Self { meant: Some(owner.to_owned()), text, other: None });
        }
        shapes.extend(forms.iter().flat_map(|form| form.texts()));
        let text = accepted(pattern, &shapes, &[])?;
        let owned = owner_of(forms, &text);
        let other = owned.and_then(|(form, owner)| accepted(pattern, &shapes, &form.texts_of(owner)));
        // One word as a name and as an id would not look like two owners.
        let other =
            other.filter(|other| owner_of(forms, other).map(|(_, owner)| owner) != owned.map(|(_, owner)| owner));
        Some(Self { meant: None, text, other })
    }

    /// Describes the witness, for people.
    pub(super) fn say(&self) -> String {
        let text = quoted(&self.text);
        match (&self.meant, &self.other) {
            (Some(owner), _) => format!("it accepts {text}, which is not of {}", quoted(owner)),
            (None, Some(other)) => format!("it accepts {text} and {} alike", quoted(other)),
            (None, None) => format!("it accepts {text}"),
        }
    }
}

/// The owner that `text` names, with the form that matched.
fn owner_of<'a>(forms: &[OwnerText], text: &'a str) -> Option<(OwnerText, &'a str)> {
    forms.iter().find_map(|form| Some((*form, form.owner(text)?)))
}

/// A shortest text that `pattern` accepts and no pattern of `own` does. It has the first shape that
/// allows one; otherwise it is any text but the empty one.
fn accepted(pattern: &Pattern, shapes: &[Pattern], owners: &[Pattern]) -> Option<String> {
    let shaped = shapes.iter().find_map(|shape| shortest([pattern, shape], owners).text());
    shaped.or_else(|| shortest([pattern], owners.iter().chain([&Pattern::literal("")])).text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Preset;
    use crate::preset::OwnerScope;
    use proptest::prelude::*;

    fn against(preset: Preset, pattern: &str) -> Option<String> {
        let owner = preset.owner().unwrap();
        Witness::against(&Pattern::parse(pattern).unwrap(), owner.subjects, owner.shapes).map(|witness| witness.say())
    }

    #[test]
    fn c061_c064_a_stranger_is_named() {
        for (preset, pattern, wanted) in [
            (Preset::GithubActions, "repo:acme*", "it accepts `repo:acmex`, which is not of `acme`"),
            (Preset::GithubActions, "repo:acme**", "it accepts `repo:acmex/x:x`, which is not of `acme`"),
            (
                Preset::GithubActions,
                "repo:acme*/app:ref:refs/heads/main",
                "it accepts `repo:acmex/app:ref:refs/heads/main`, which is not of `acme`",
            ),
            (
                Preset::GithubActions,
                "repo:*/app:ref:refs/heads/main",
                "it accepts `repo:x/app:ref:refs/heads/main` and `repo:y/app:ref:refs/heads/main` alike",
            ),
            (Preset::GithubActions, "repo:**", "it accepts `repo:x/x:x` and `repo:y/y:y` alike"),
            (Preset::GithubActions, "*", "it accepts `x`"),
            (
                Preset::Gitlab,
                "project_path:acme*/app:**",
                "it accepts `project_path:acmex/app:ref_type:x:ref:x`, which is not of `acme`",
            ),
            (
                Preset::TerraformCloud,
                "organization:acme*:**",
                "it accepts `organization:acmex:project:x:workspace:x:run_phase:x`, which is not of `acme`",
            ),
            (Preset::Google, "1000*", "it accepts `1000x`, which is not of `1000`"),
        ] {
            assert_eq!(against(preset, pattern).as_deref(), Some(wanted), "{pattern}");
        }
        for one in
            ["repo:acme/**", "repo:acme/app*:ref:refs/heads/**", "repo:acme@*/app@*:**", "repo:acme/app:pull_request"]
        {
            assert_eq!(against(Preset::GithubActions, one), None, "{one}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn c061_the_proof_agrees_with_the_refusal_and_holds(
            parts in proptest::collection::vec(
                proptest::sample::select(vec!["repo:", "acme", "-evil", "@1", "/", "app", ":", "ref", "*", "**", "?", "\\*"]),
                0..7,
            ),
            beginning in proptest::sample::select(vec!["", "repo:", "repo:acme", "repository_owner:"]),
        ) {
            let Ok(pattern) = Pattern::parse(&format!("{beginning}{}", parts.concat())) else { return Ok(()) };
            let owner = Preset::GithubActions.owner().unwrap();
            let witness = Witness::against(&pattern, owner.subjects, owner.shapes);
            let owner_of = |text: &str| owner_of(owner.subjects, text).map(|(_, owner)| owner.to_owned());
            if let Some(witness) = &witness {
                prop_assert!(pattern.matches(&witness.text), "{} {:?}", pattern, witness);
                prop_assert!(witness.other.as_ref().is_none_or(|other| pattern.matches(other)), "{} {:?}", pattern, witness);
                prop_assert!(witness.meant.is_none() || owner_of(&witness.text) != witness.meant, "{} {:?}", pattern, witness);
                prop_assert!(witness.other.is_none() || witness.other.as_deref().and_then(owner_of) != owner_of(&witness.text), "{:?}", witness);
            }
            match owner.subject_reach(&pattern) {
                OwnerScope::ManyOwners => prop_assert!(witness.is_some(), "{} is refused without proof", pattern),
                OwnerScope::OneOwner => prop_assert!(witness.is_none(), "{} is accepted in spite of {:?}", pattern, witness),
                OwnerScope::Elsewhere => {}
            }
        }
    }
}
