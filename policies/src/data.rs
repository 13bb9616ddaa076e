//! What a piece of data is, and where such data may go.
//!
//! A request's [`Flow`] is the join of what its origins say; a destination has a [`Clearance`].
//! Nothing reaches a destination that does not dominate its flow: that rule has no switch.

pub mod detect;
pub mod mask;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt};

/// How sensitive data is, from least to most.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    #[default]
    Public,
    Internal,
    Confidential,
    Restricted,
}

impl Level {
    pub const ALL: [Self; 4] = [Self::Public, Self::Internal, Self::Confidential, Self::Restricted];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Confidential => "confidential",
            Self::Restricted => "restricted",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.word() == word)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.word())
    }
}

/// A branch of the label tree, such as `pci` or `pci.card`. A branch covers all below it.
pub type Label = String;

/// True if `branch` is `label` or lies above it in the tree.
pub fn covers(branch: &str, label: &str) -> bool {
    match label.strip_prefix(branch) {
        Some(rest) => rest.is_empty() || rest.starts_with('.'),
        None => false,
    }
}

/// The level of data that carries `label`.
pub fn level_of(label: &str) -> Level {
    if covers("secret", label) {
        Level::Restricted
    } else if covers("pci", label) {
        Level::Confidential
    } else {
        Level::Internal
    }
}

/// What a deployment, tool or sink may receive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clearance {
    /// Up to this level. `public` until somebody says more.
    #[serde(default)]
    pub level: Level,
    /// Labelled data that may come here as it is, by branch of the label tree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
}

impl Clearance {
    pub fn covers(&self, label: &str) -> bool {
        self.labels.iter().any(|branch| covers(branch, label))
    }
}

/// What is known of one request's data, by origin.
///
/// Levels are kept apart by origin, so that a transformation that takes labels away lets the
/// level be computed anew from what is still there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// The project's floor: what an unlabelled request is.
    pub floor: Level,
    /// What the caller declared; it only raises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Level>,
    /// What detectors found.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<Label>,
}

impl Flow {
    pub fn new(floor: Level) -> Self {
        Self { floor, caller: None, labels: BTreeSet::new() }
    }

    /// The join of all origins, as the request came.
    pub fn level(&self) -> Level {
        self.level_with(&self.labels)
    }

    fn level_with<'a>(&self, labels: impl IntoIterator<Item = &'a Label>) -> Level {
        let declared = self.caller.unwrap_or_default().max(self.floor);
        labels.into_iter().map(|label| level_of(label)).fold(declared, Level::max)
    }
}

/// What becomes of data with a label at a destination that is not cleared for it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is masked before it leaves.
    Mask,
    /// It goes to cleared destinations only.
    Restrict,
    /// It goes nowhere.
    Deny,
}

/// One line of a data policy: the longest matching branch decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A branch of the label tree: `pci`, `secret.aws`.
    pub label: Label,
    pub action: Action,
}

/// The data rules that bind a request: the org's ceiling, narrowed by its project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    pub org: Vec<Rule>,
    pub project: Vec<Rule>,
}

impl Rules {
    /// The stricter of what org and project say; masking where the org is silent.
    pub fn action(&self, label: &str) -> Action {
        let ceiling = strictest(&self.org, label).unwrap_or(Action::Mask);
        strictest(&self.project, label).map_or(ceiling, |narrowed| narrowed.max(ceiling))
    }
}

fn strictest(rules: &[Rule], label: &str) -> Option<Action> {
    let matching = rules.iter().filter(|rule| covers(&rule.label, label));
    matching.max_by_key(|rule| (rule.label.len(), rule.action)).map(|rule| rule.action)
}

/// Whether, and how, a flow may go to one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passage {
    AsIs,
    /// After these labels have been masked.
    Masked(BTreeSet<Label>),
    /// The level that is left is above the clearance.
    AboveClearance(Level),
    /// A label that may not be masked is not cleared here.
    LabelNotCleared(Label),
    /// A label that may go nowhere.
    Denied(Label),
}

pub fn passage(flow: &Flow, rules: &Rules, clearance: &Clearance) -> Passage {
    if let Some(label) = flow.labels.iter().find(|label| rules.action(label) == Action::Deny) {
        return Passage::Denied(label.clone());
    }
    let (kept, foreign): (BTreeSet<_>, BTreeSet<_>) =
        flow.labels.iter().cloned().partition(|label| clearance.covers(label));
    if let Some(label) = foreign.iter().find(|label| rules.action(label) == Action::Restrict) {
        return Passage::LabelNotCleared(label.clone());
    }
    let left = flow.level_with(&kept);
    if clearance.level < left {
        // A label that is cleared by name may still weigh too much; masking it may be enough.
        let bare = flow.level_with([]);
        let maskable = kept.iter().all(|label| rules.action(label) == Action::Mask);
        if clearance.level < bare || !maskable {
            return Passage::AboveClearance(left);
        }
        return Passage::Masked(flow.labels.clone());
    }
    if foreign.is_empty() { Passage::AsIs } else { Passage::Masked(foreign) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(level: Level, labels: &[&str]) -> Flow {
        Flow { labels: labels.iter().map(ToString::to_string).collect(), ..Flow::new(level) }
    }

    fn cleared(level: Level, labels: &[&str]) -> Clearance {
        Clearance { level, labels: labels.iter().map(ToString::to_string).collect() }
    }

    fn rule(label: &str, action: Action) -> Rule {
        Rule { label: label.to_owned(), action }
    }

    #[test]
    fn a_branch_covers_what_lies_below_it_and_no_namesake() {
        assert!(covers("pci", "pci.card"));
        assert!(covers("pci.card", "pci.card"));
        assert!(!covers("pci", "pcie"));
        assert!(!covers("pci.card", "pci"));
    }

    #[test]
    fn the_caller_can_raise_the_level_and_never_lower_it() {
        for (declared, level) in
            [(Level::Public, Level::Internal), (Level::Restricted, Level::Restricted)]
        {
            let flow = Flow { caller: Some(declared), ..Flow::new(Level::Internal) };
            assert_eq!(flow.level(), level);
        }
    }

    #[test]
    fn what_is_not_cleared_is_masked_and_weighs_no_more() {
        let flow = flow(Level::Internal, &["pci.card"]);
        let clearance = cleared(Level::Internal, &[]);

        let passage = passage(&flow, &Rules::default(), &clearance);

        assert_eq!(passage, Passage::Masked(flow.labels.clone()));
    }

    #[test]
    fn what_is_cleared_goes_as_it_is() {
        let flow = flow(Level::Internal, &["pci.card"]);
        let clearance = cleared(Level::Confidential, &["pci"]);

        assert_eq!(passage(&flow, &Rules::default(), &clearance), Passage::AsIs);
    }

    #[test]
    fn a_cleared_label_above_the_level_is_masked_after_all() {
        let flow = flow(Level::Internal, &["pci.card"]);
        let clearance = cleared(Level::Internal, &["pci"]);

        let passage = passage(&flow, &Rules::default(), &clearance);

        assert_eq!(passage, Passage::Masked(flow.labels.clone()));
    }

    #[test]
    fn a_level_above_the_clearance_stays_out_whatever_the_labels() {
        let passage =
            passage(&flow(Level::Restricted, &[]), &Rules::default(), &Clearance::default());

        assert_eq!(passage, Passage::AboveClearance(Level::Restricted));
    }

    #[test]
    fn a_project_narrows_its_org_and_never_widens_it() {
        let rules = Rules {
            org: vec![rule("secret", Action::Deny), rule("pci", Action::Mask)],
            project: vec![rule("secret", Action::Mask), rule("pci", Action::Restrict)],
        };

        assert_eq!(rules.action("secret.aws"), Action::Deny);
        assert_eq!(rules.action("pci.card"), Action::Restrict);
        assert_eq!(rules.action("other"), Action::Mask);
    }

    #[test]
    fn the_longest_branch_decides() {
        let org = vec![rule("secret", Action::Deny), rule("secret.jwt", Action::Mask)];
        let rules = Rules { org, project: Vec::new() };

        assert_eq!(rules.action("secret.jwt"), Action::Mask);
        assert_eq!(rules.action("secret.jwtish"), Action::Deny);
    }
}
