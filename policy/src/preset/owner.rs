//! How a platform's tokens name their owner. The signature of a shared issuer proves nothing about
//! the tenant, so a rule must fix the owner.

use crate::pattern::Pattern;

/// How the tokens of a platform name their owner.
pub(crate) struct OwnerGrammar {
    /// Forms of `sub` that name the owner.
    pub(crate) subjects: &'static [OwnerText],
    /// Whether any exact subject fixes the owner. False if a tenant can produce the subject of
    /// another, as with GitHub's customised templates.
    pub(crate) exact_subject: bool,
    /// Patterns of whole subjects, to find examples that the platform could send.
    pub(crate) shapes: &'static [&'static str],
    /// Claims (names or pointers) that fix the owner, with the form of their value.
    pub(crate) claims: &'static [(&'static str, OwnerText)],
    /// Claims that name the owner or its property by an id that is never reused. Empty if names are
    /// never reused either.
    pub(crate) ids: &'static [&'static str],
    /// Those of `claims` that name something the owner has or belongs to, such as a repository or an
    /// enterprise. The others name the owner.
    pub(crate) beside: &'static [&'static str],
    /// Ids that tell where a job runs, each with the id that tells where its code comes from. They
    /// differ when the job runs somebody else's code. Where a job runs names no owner.
    pub(crate) runs_in: &'static [(&'static str, &'static str)],
    /// Whether a subject with this literal head contains such an id.
    pub(crate) subject_has_id: fn(&str) -> bool,
    /// The owner's id in a subject that begins with this text, if the id is whole in it.
    pub(crate) subject_owner_id: fn(&str) -> Option<&str>,
    /// What to write in a rule, for people.
    pub(crate) advice: &'static str,
}

/// `subject_has_id` of platforms whose subjects have no ids.
pub(super) fn never(_: &str) -> bool {
    false
}

/// `subject_owner_id` of platforms whose subjects do not name the owner by id.
pub(super) fn no_id(_: &str) -> Option<&str> {
    None
}

/// A form of text that names the owner.
#[derive(Clone, Copy)]
pub(crate) enum OwnerText {
    /// The whole text: any exact value fixes the owner.
    Whole,
    /// `prefix`, the owner, then one of the `ends`.
    Between {
        /// The text before the owner.
        prefix: &'static str,
        /// The characters that may follow the owner. An owner's name contains none of them.
        ends: &'static [char],
    },
}

/// How many owners a pattern accepts, when it matches texts that name an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnerScope {
    /// It matches texts of one owner only.
    OneOwner,
    /// It has this form, and matches texts of many owners.
    ManyOwners,
    /// It has another form, which says nothing about the owner.
    Elsewhere,
}

impl OwnerText {
    /// How many owners `pattern` accepts among texts of this form.
    pub(crate) fn reach(self, pattern: &Pattern) -> OwnerScope {
        let head = pattern.literal_head();
        match self {
            Self::Whole if pattern.is_exact() && !head.is_empty() => OwnerScope::OneOwner,
            Self::Whole => OwnerScope::ManyOwners,
            Self::Between { prefix, ends } => match head.strip_prefix(prefix) {
                Some(rest) => match rest.find(ends) {
                    Some(1..) => OwnerScope::OneOwner,
                    Some(0) => OwnerScope::Elsewhere,
                    None if pattern.is_exact() && !rest.is_empty() => OwnerScope::OneOwner,
                    None if pattern.is_exact() => OwnerScope::Elsewhere,
                    None => OwnerScope::ManyOwners,
                },
                None if !pattern.is_exact() && prefix.starts_with(head) => OwnerScope::ManyOwners,
                None => OwnerScope::Elsewhere,
            },
        }
    }
}

impl OwnerText {
    /// The owner that `text` names, if it has this form. Without an end character, the owner is the
    /// rest of the text.
    pub(crate) fn owner(self, text: &str) -> Option<&str> {
        let owner = match self {
            Self::Whole => text,
            Self::Between { prefix, ends } => {
                let rest = text.strip_prefix(prefix)?;
                rest.find(ends).and_then(|end| rest.get(..end)).unwrap_or(rest)
            }
        };
        (!owner.is_empty()).then_some(owner)
    }

    /// Patterns that together match every text of this form that names `owner`.
    pub(crate) fn texts_of(self, owner: &str) -> Vec<Pattern> {
        match self {
            Self::Whole => vec![Pattern::literal(owner)],
            Self::Between { prefix, ends } => {
                let bare = Pattern::literal(&format!("{prefix}{owner}"));
                let rest = |end: &char| Pattern::parse(&format!("{}{end}**", bare.as_str())).ok();
                ends.iter().filter_map(rest).chain([bare.clone()]).collect()
            }
        }
    }

    /// Patterns that match texts of this form, for any owner.
    pub(crate) fn texts(self) -> Vec<Pattern> {
        let written = match self {
            Self::Whole => vec!["?**".to_owned()],
            Self::Between { prefix, ends } => ends.iter().map(|end| format!("{prefix}?*{end}**")).collect(),
        };
        written.iter().filter_map(|text| Pattern::parse(text).ok()).collect()
    }
}

impl OwnerGrammar {
    /// How many owners a subject pattern accepts.
    pub(crate) fn subject_reach(&self, pattern: &Pattern) -> OwnerScope {
        let reaches = || self.subjects.iter().map(|form| form.reach(pattern));
        let is_exact = self.exact_subject && pattern.is_exact() && !pattern.literal_head().is_empty();
        if is_exact || reaches().any(|reach| reach == OwnerScope::OneOwner) {
            OwnerScope::OneOwner
        } else if (!pattern.is_exact() && pattern.literal_head().is_empty())
            || reaches().any(|reach| reach == OwnerScope::ManyOwners)
        {
            OwnerScope::ManyOwners
        } else {
            OwnerScope::Elsewhere
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Preset;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn c061_a_pattern_of_one_owner_never_matches_two(
            parts in proptest::collection::vec(
                proptest::sample::select(vec!["repo:", "acme", "-evil", "evil", "@1", "/", "app", ":", "ref", "*", "**", "?", "\\*"]),
                0..8,
            ),
            beginning in proptest::sample::select(vec!["", "repo:", "repo:acme"]),
        ) {
            let Ok(pattern) = Pattern::parse(&format!("{beginning}{}", parts.concat())) else { return Ok(()) };
            let owner = Preset::GithubActions.owner().unwrap();
            if owner.subject_reach(&pattern) != OwnerScope::OneOwner {
                return Ok(());
            }
            let matched = ["acme", "acme-evil", "evil", "a", "acmex", "xacme"].into_iter().filter(|owner| {
                let ids = ["", "@1", "@23"];
                let repositories = ids.iter().flat_map(|id| ["app", "x"].map(|name| format!("repo:{owner}{id}/{name}{id}")));
                let mut subjects = repositories.flat_map(|repository| ["pull_request", "ref:refs/heads/acme/app", "environment:acme"].map(|rest| format!("{repository}:{rest}")));
                subjects.any(|subject| pattern.matches(&subject))
            });
            prop_assert!(matched.count() <= 1, "{}", pattern);
        }
    }

    #[test]
    fn a_text_that_is_the_owner_fixes_it_when_it_is_exact() {
        let reach = |text: &str| OwnerText::Whole.reach(&Pattern::parse(text).unwrap());
        assert_eq!(reach("65"), OwnerScope::OneOwner);
        assert_eq!(reach("6\\*"), OwnerScope::OneOwner);
        for many in ["6*", "**", "?", ""] {
            assert_eq!(reach(many), OwnerScope::ManyOwners, "{many}");
        }
    }

    #[test]
    fn a_text_with_the_owner_between_two_others_fixes_it_once_it_has_ended() {
        let form = OwnerText::Between { prefix: "repo:", ends: &['/'] };
        let reach = |text: &str| form.reach(&Pattern::parse(text).unwrap());
        for one in ["repo:acme/**", "repo:acme/app", "repo:acme"] {
            assert_eq!(reach(one), OwnerScope::OneOwner, "{one}");
        }
        for many in ["repo:**", "repo:acme**", "re**", "**", "?epo:acme/app"] {
            assert_eq!(reach(many), OwnerScope::ManyOwners, "{many}");
        }
        for elsewhere in ["repo:/app", "repo:", "re", "other:acme/**", ""] {
            assert_eq!(reach(elsewhere), OwnerScope::Elsewhere, "{elsewhere}");
        }
    }

    #[test]
    fn an_exact_subject_fixes_the_owner_where_it_is_there() {
        const SUBJECTS: &[OwnerText] = &[OwnerText::Between { prefix: "team:", ends: &[':'] }];
        let of = |exact_subject: bool| {
            let grammar = OwnerGrammar { subjects: SUBJECTS, exact_subject, ..*Preset::GithubActions.owner().unwrap() };
            move |text: &str| grammar.subject_reach(&Pattern::parse(text).unwrap())
        };
        assert_eq!(of(true)("anything"), OwnerScope::OneOwner);
        assert_eq!(of(false)("anything"), OwnerScope::Elsewhere);
        assert_eq!(of(true)(""), OwnerScope::Elsewhere);
        assert_eq!(of(true)("any*"), OwnerScope::Elsewhere);
        for exact_subject in [true, false] {
            assert_eq!(of(exact_subject)("*thing"), OwnerScope::ManyOwners);
            assert_eq!(of(exact_subject)("team:*"), OwnerScope::ManyOwners);
            assert_eq!(of(exact_subject)("team:a:*"), OwnerScope::OneOwner);
        }
    }
}
