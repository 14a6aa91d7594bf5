//! One refresh of one directory, over a session: accounts, their groups, and the groups above.
//!
//! A thousand accounts take about a dozen searches: a hundred logins a search, then the groups that
//! turned up, a hundred a search, level by level.

use std::collections::{HashMap, HashSet};

use ldap3::Scope;
use sts_types::UnixTime;

use crate::dialect::Identity;
use crate::dn::Dn;
use crate::failure::{DirectoryError, FailureCause};
use crate::filter::{Filter, escape};
use crate::group_ref::GroupRef;
use crate::login::Login;
use crate::membership::MembershipState;
use crate::session::{Entry, Search, Session};
use crate::sid::Sid;
use crate::spec::DirectorySpec;

/// Logins or groups in one search.
const BATCH: usize = 100;
/// The most groups that one account may be in, nested ones included.
const MAX_GROUPS_OF_ACCOUNT: usize = 5_000;
/// The most groups above all accounts of a directory.
const MAX_GROUPS: usize = 20_000;
/// The most levels of nesting that are followed.
const MAX_DEPTH: usize = 64;

/// What a directory says.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) accounts: Vec<(Login, MembershipState)>,
    pub(crate) groups: HashMap<GroupRef, FoundGroup>,
}

/// What a directory says of a configured group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FoundGroup {
    Identity(Identity),
    NotFound,
    NoIdentity,
}

/// Asks for `logins` and `groups`.
pub(crate) async fn look_up(
    session: &mut Session,
    spec: &DirectorySpec,
    logins: &[Login],
    groups: &[GroupRef],
    now: UnixTime,
) -> Result<Answer, DirectoryError> {
    // A base that is gone would otherwise look like accounts that are gone.
    if session.read(spec.base.as_str(), &["objectClass".to_owned()], MAX_GROUPS_OF_ACCOUNT).await?.is_none() {
        let what = format!("the base `{}` does not exist, or the bind account does not see it", spec.base);
        return Err(DirectoryError::new(FailureCause::Base, what));
    }
    let mut lookup = Lookup { session, spec, graph: Graph::default(), asked: HashSet::new(), has_name_filter: None };
    let accounts = lookup.accounts(logins).await?;
    lookup.climb(&accounts).await?;
    let graph = std::mem::take(&mut lookup.graph);
    // Last, so that a group that still has its identity now had it in everything read before.
    lookup.asked.clear();
    lookup.read_groups(groups.iter().map(Wanted::from).collect(), true).await?;
    let found: HashMap<GroupRef, FoundGroup> =
        groups.iter().map(|group| (group.clone(), lookup.graph.found(group))).collect();
    let state = |account: &Account| graph.state(spec, account, &found, now);
    let accounts = accounts.iter().map(|(login, account)| (login.clone(), state(account))).collect();
    Ok(Answer { accounts, groups: found })
}

/// The entries that a login found.
enum Account {
    None,
    One(Box<Entry>),
    Several,
}

/// A group to ask for.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Wanted {
    Name(Dn),
    Sid(Sid),
}

impl From<&GroupRef> for Wanted {
    fn from(group: &GroupRef) -> Self {
        match group {
            GroupRef::Name(dn) => Self::Name(dn.clone()),
            GroupRef::Sid(sid) => Self::Sid(sid.clone()),
        }
    }
}

struct Lookup<'l> {
    session: &'l mut Session,
    spec: &'l DirectorySpec,
    graph: Graph,
    /// What was asked for, found or not.
    asked: HashSet<Wanted>,
    /// Whether the server finds entries by a filter on their name. If not, they are read one by
    /// one. `None` until an entry tells.
    has_name_filter: Option<bool>,
}

impl Lookup<'_> {
    /// The entries of all logins, in batches.
    async fn accounts(&mut self, logins: &[Login]) -> Result<Vec<(Login, Account)>, DirectoryError> {
        let mut found = Vec::with_capacity(logins.len());
        let mut wanted = Vec::with_capacity(logins.len());
        for login in logins {
            match self.spec.kind.filter(login) {
                Some(filter) => wanted.push((login.clone(), filter)),
                None => found.push((login.clone(), Account::None)),
            }
        }
        let mut batches: Vec<&[(Login, Filter)]> = wanted.chunks(BATCH).collect();
        while let Some(batch) = batches.pop() {
            match self.batch(batch).await? {
                Some(accounts) => found.extend(accounts),
                None => {
                    let (left, right) = batch.split_at(batch.len() / 2);
                    batches.extend([left, right]);
                }
            }
        }
        Ok(found)
    }

    /// The entries of a batch. `None` if it cannot be told which login an entry belongs to, so that
    /// smaller batches must be asked for.
    async fn batch(&mut self, batch: &[(Login, Filter)]) -> Result<Option<Vec<(Login, Account)>>, DirectoryError> {
        let attributes = self.spec.kind.account_attributes(batch.iter().map(|(_, filter)| filter));
        let any = Filter::Or(batch.iter().map(|(_, filter)| filter.clone()).collect()).to_string();
        let entries = self.subtree(&any, &attributes).await?;
        let mut accounts: Vec<Account> = batch.iter().map(|_| Account::None).collect();
        for entry in entries {
            let known = |name: &str| entry.values(name);
            let mut owners =
                batch.iter().enumerate().filter(|(_, (_, filter))| batch.len() == 1 || filter.may_match(&known));
            let (Some((owner, _)), None) = (owners.next(), owners.next()) else { return Ok(None) };
            if let Some(account) = accounts.get_mut(owner) {
                *account = match account {
                    Account::None => Account::One(Box::new(entry)),
                    _ => Account::Several,
                };
            }
        }
        Ok(Some(batch.iter().map(|(login, _)| login.clone()).zip(accounts).collect()))
    }

    /// Reads the groups above all accounts, level by level.
    async fn climb(&mut self, accounts: &[(Login, Account)]) -> Result<(), DirectoryError> {
        let mut wanted = HashSet::new();
        for (_, account) in accounts {
            if let Account::One(entry) = account {
                wanted.extend(names(entry, self.spec).map(Wanted::Name));
                wanted.extend(self.spec.kind.primary_group(entry).map(Wanted::Sid));
            }
        }
        // The groups above configured groups are of interest only if an account is in them.
        for _ in 0..MAX_DEPTH {
            let level: Vec<Wanted> = wanted.drain().collect();
            let unknown = level.iter().filter(|group| !self.graph.knows(group)).cloned().collect();
            self.read_groups(unknown, false).await?;
            for group in &level {
                let parents = self.graph.start_climb(group);
                wanted.extend(parents.into_iter().map(Wanted::Name));
            }
            if wanted.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Reads groups into the graph, in batches. Those that are not there are noted as well.
    async fn read_groups(&mut self, wanted: Vec<Wanted>, configured: bool) -> Result<(), DirectoryError> {
        if self.graph.by_name.len() + wanted.len() > MAX_GROUPS {
            return Err(DirectoryError::new(
                FailureCause::Limit,
                format!("the accounts are in over {MAX_GROUPS} groups"),
            ));
        }
        let mut fresh = Vec::with_capacity(wanted.len());
        for group in wanted {
            // A name outside of the base finds nothing there.
            let is_outside = matches!(&group, Wanted::Name(dn) if !dn.is_within(&self.spec.base));
            if !is_outside && self.asked.insert(group.clone()) {
                fresh.push(group);
            }
        }
        let attributes = self.spec.kind.group_attributes();
        for batch in fresh.chunks(BATCH) {
            if self.has_name_filter != Some(false) {
                let filter = Filter::Or(batch.iter().map(|group| self.group_filter(group)).collect()).to_string();
                for entry in self.subtree(&filter, &attributes).await? {
                    self.has_name_filter = Some(true);
                    self.graph.add(self.spec, &entry);
                }
            }
            self.read_missing(batch, configured, &attributes).await?;
        }
        Ok(())
    }

    /// Reads one by one what a search did not find: every group if the server lacks the filter, else
    /// configured groups only, whose names are written by people.
    async fn read_missing(
        &mut self,
        batch: &[Wanted],
        configured: bool,
        attributes: &[String],
    ) -> Result<(), DirectoryError> {
        for group in batch {
            let Wanted::Name(dn) = group else { continue };
            if self.graph.knows(group) || (self.has_name_filter == Some(true) && !configured) {
                continue;
            }
            if let Some(entry) = self.session.read(dn.as_str(), attributes, MAX_GROUPS_OF_ACCOUNT).await? {
                self.has_name_filter.get_or_insert(false);
                self.graph.add(self.spec, &entry);
            }
        }
        Ok(())
    }

    fn group_filter(&self, group: &Wanted) -> Filter {
        match group {
            Wanted::Name(dn) => {
                Filter::Other(format!("{}={}", self.spec.kind.name_attribute(), escape(dn.as_str().as_bytes())))
            }
            Wanted::Sid(sid) => Filter::Equal("objectSid".to_owned(), sid.to_bytes()),
        }
    }

    async fn subtree(&mut self, filter: &str, attributes: &[String]) -> Result<Vec<Entry>, DirectoryError> {
        let search = Search { base: self.spec.base.as_str(), scope: Scope::Subtree, filter, attributes };
        self.session.search(&search, MAX_GROUPS_OF_ACCOUNT).await
    }
}

/// The groups that were read.
#[derive(Default)]
struct Graph {
    groups: Vec<Group>,
    by_name: HashMap<Dn, usize>,
    by_sid: HashMap<Sid, usize>,
}

struct Group {
    identity: Option<Identity>,
    /// The names of the groups it is in.
    parents: Vec<Dn>,
    is_climbed: bool,
}

impl Graph {
    fn add(&mut self, spec: &DirectorySpec, entry: &Entry) {
        // A name that cannot be read cannot be compared, so the entry gives nothing.
        let Ok(dn) = Dn::parse(&entry.dn) else { return };
        if self.by_name.contains_key(&dn) {
            return;
        }
        let index = self.groups.len();
        self.by_name.insert(dn, index);
        if let Some(sid) = entry.first("objectSid").and_then(Sid::from_bytes) {
            self.by_sid.insert(sid, index);
        }
        let identity = spec.kind.identity(entry);
        self.groups.push(Group { identity, parents: names(entry, spec).collect(), is_climbed: false });
    }

    fn index(&self, group: &Wanted) -> Option<usize> {
        match group {
            Wanted::Name(dn) => self.by_name.get(dn),
            Wanted::Sid(sid) => self.by_sid.get(sid),
        }
        .copied()
    }

    fn knows(&self, group: &Wanted) -> bool {
        self.index(group).is_some()
    }

    /// The groups that a group is in, once: a cycle ends here.
    fn start_climb(&mut self, group: &Wanted) -> Vec<Dn> {
        match self.index(group).and_then(|index| self.groups.get_mut(index)) {
            Some(group) if !group.is_climbed => {
                group.is_climbed = true;
                group.parents.clone()
            }
            _ => Vec::new(),
        }
    }

    fn found(&self, group: &GroupRef) -> FoundGroup {
        let found = self.index(&group.into()).and_then(|index| self.groups.get(index));
        match found.map(|group| group.identity.clone()) {
            None => FoundGroup::NotFound,
            Some(None) => FoundGroup::NoIdentity,
            Some(Some(identity)) => FoundGroup::Identity(identity),
        }
    }

    /// What to say of an account: in which of the `found` groups it is, or why in none.
    fn state(
        &self,
        spec: &DirectorySpec,
        account: &Account,
        found: &HashMap<GroupRef, FoundGroup>,
        now: UnixTime,
    ) -> MembershipState {
        let entry = match account {
            Account::None => return MembershipState::NotFound,
            Account::Several => return MembershipState::Ambiguous,
            Account::One(entry) => entry,
        };
        if let Some(refusal) = spec.kind.refusal(entry, now) {
            return refusal;
        }
        let Some(reached) = self.closure(spec, entry) else { return MembershipState::TooManyGroups };
        let is_in = |group: &GroupRef, found: &FoundGroup| {
            let is_reached = self.index(&group.into()).is_some_and(|index| reached.contains(&index));
            // A group that was made anew meanwhile is another one.
            is_reached && self.found(group) == *found
        };
        let groups = found.iter().filter(|(group, found)| is_in(group, found));
        let mut groups: Vec<GroupRef> = groups.map(|(group, _)| group.clone()).collect();
        // So that equal memberships compare as equal.
        groups.sort_by_cached_key(GroupRef::key);
        MembershipState::Member(groups)
    }

    /// All groups that an account is in. `None` if there are too many.
    fn closure(&self, spec: &DirectorySpec, account: &Entry) -> Option<HashSet<usize>> {
        let direct = account.values(spec.kind.group_attribute()).map_or(0, <[_]>::len);
        if direct > MAX_GROUPS_OF_ACCOUNT {
            return None;
        }
        let primary = spec.kind.primary_group(account).and_then(|sid| self.by_sid.get(&sid)).copied();
        let mut open: Vec<usize> =
            names(account, spec).filter_map(|dn| self.by_name.get(&dn).copied()).chain(primary).collect();
        let mut reached = HashSet::new();
        while let Some(index) = open.pop() {
            if !reached.insert(index) {
                continue;
            }
            if reached.len() > MAX_GROUPS_OF_ACCOUNT {
                return None;
            }
            let parents = self.groups.get(index).map(|group| group.parents.as_slice()).unwrap_or_default();
            open.extend(parents.iter().filter_map(|dn| self.by_name.get(dn)));
        }
        Some(reached)
    }
}

/// The names of the groups that an entry is in.
fn names<'e>(entry: &'e Entry, spec: &'e DirectorySpec) -> impl Iterator<Item = Dn> + 'e {
    entry.texts(spec.kind.group_attribute()).filter_map(|text| Dn::parse(text).ok())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{BindSpec, DirectoryKind, UserFilter};

    fn spec() -> DirectorySpec {
        DirectorySpec {
            name: sts_types::DirectoryName::new("corp").unwrap(),
            urls: Vec::new(),
            ca_file: None,
            bind: BindSpec { dn: "cn=sts".to_owned(), password_file: "secret".into() },
            base: Dn::parse("dc=corp").unwrap(),
            kind: DirectoryKind::Ldap {
                user_filter: UserFilter::parse("(uid={name})").unwrap(),
                group_attribute: "memberOf".to_owned(),
            },
            refresh: Duration::from_secs(60),
            max_age: Duration::from_secs(600),
        }
    }

    fn entry(dn: &str, attributes: &[(&str, &str)]) -> Entry {
        let mut entry = Entry::with(attributes);
        dn.clone_into(&mut entry.dn);
        entry
    }

    #[test]
    fn a_group_that_is_made_anew_while_it_is_read_has_no_members_yet() {
        let spec = spec();
        let group = GroupRef::parse("cn=deployers,dc=corp").unwrap();
        let account = Account::One(Box::new(entry("uid=ann,dc=corp", &[("memberOf", "CN=Deployers,dc=corp")])));
        let [before, after] = ["1", "2"].map(|id| {
            let mut graph = Graph::default();
            graph.add(&spec, &entry("cn=deployers,dc=corp", &[("entryUUID", id)]));
            graph
        });
        let found = |graph: &Graph| HashMap::from([(group.clone(), graph.found(&group))]);
        let now = UnixTime::from_secs(0);
        let member = MembershipState::Member(vec![group.clone()]);
        assert_eq!(before.state(&spec, &account, &found(&before), now), member);
        assert_eq!(before.state(&spec, &account, &found(&after), now), MembershipState::Member(Vec::new()));
        assert_eq!(before.state(&spec, &account, &found(&Graph::default()), now), MembershipState::Member(Vec::new()));
    }

    #[test]
    fn an_account_in_too_many_groups_is_in_none() {
        let spec = spec();
        let mut graph = Graph::default();
        // A ladder: each group is in the next.
        for index in 0..=MAX_GROUPS_OF_ACCOUNT {
            let above = format!("cn=g{},dc=corp", index + 1);
            graph.add(&spec, &entry(&format!("cn=g{index},dc=corp"), &[("entryUUID", "1"), ("memberOf", &above)]));
        }
        let state = |first: &str| {
            let account = Account::One(Box::new(entry("uid=ann,dc=corp", &[("memberOf", first)])));
            graph.state(&spec, &account, &HashMap::new(), UnixTime::from_secs(0))
        };
        assert_eq!(state("cn=g0,dc=corp"), MembershipState::TooManyGroups);
        assert_eq!(state("cn=g1,dc=corp"), MembershipState::Member(Vec::new()));
    }
}
