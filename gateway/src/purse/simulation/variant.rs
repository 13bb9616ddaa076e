//! Mistakes made on purpose: each must be caught.

/// Where a mistake lies: on the way to the store or in it, or in what a gateway does around the
/// purse. No shipped code knows of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variant {
    // In messages and in the store.
    /// A boot that is given up for its silence gets its money freed.
    TimeFrees,
    /// `returned` is taken for a difference.
    ReturnedIsADifference,
    /// What is still held is told as given back.
    ReturnedWhileHeld,
    /// The boot adds up what each copy of a message was granted.
    GrantsAddedUp,
    /// A boot that is closed is granted money.
    ClosedBootIsGranted,
    /// A chain is granted in part.
    ChainInPart,
    /// Rows that come again are counted again.
    ShippedTwice,
    /// A shipment counts as arrived when it was sent.
    ShippedWhenSent,
    /// Little that is free is said to be little that is left.
    ExhaustedByFree,
    /// All that could be recalled has answered, and it is too little: final.
    ExhaustedWhenAllAnswered,

    // In gateways.
    /// Recovery closes a boot before it ships its rows.
    CloseBeforeShip,
    /// A torn journal is believed.
    TornIsTrusted,
    /// Open intents of a torn journal count in full, besides what is unattributed.
    TornCountsTwice,
    /// An intent without an ending costs nothing.
    CrashIsFree,
    /// The first byte goes upstream before the intent is committed.
    SendBeforeIntent,
    /// A hold is settled before the ending is committed.
    SettleBeforeEnding,
    /// An attempt with an unknown end counts nothing.
    UnknownIsFree,
    /// What is above the hold is forgotten.
    OverrunIsForgotten,
    /// The hold of an attempt is used for the next one.
    OneHoldForAll,
    /// An ending that could not be written frees its hold.
    LostEndingIsFree,
    /// A process that starts again goes on as the boot before.
    SameBootAgain,
    /// Callers choose the ids of records.
    ChosenIds,
    /// A correction forgets what was settled before it.
    ResolvedTwice,
    /// The boot's own clock makes periods.
    OwnClock,
    /// No recall is answered.
    RecallsUnanswered,
    /// A boot that nobody heard for long goes on.
    NoFence,
    /// A boot is closed while attempts of it are open.
    ClosedAlive,
    /// A boot that was given up never ends in the ledger.
    RetiredForgotten,
    /// A change of settings is not told to the purse.
    SettingsUntold,
}

pub(super) const ALL: &[Variant] = &[
    Variant::TimeFrees,
    Variant::ReturnedIsADifference,
    Variant::ReturnedWhileHeld,
    Variant::GrantsAddedUp,
    Variant::ClosedBootIsGranted,
    Variant::ChainInPart,
    Variant::ShippedTwice,
    Variant::ShippedWhenSent,
    Variant::ExhaustedByFree,
    Variant::ExhaustedWhenAllAnswered,
    Variant::CloseBeforeShip,
    Variant::TornIsTrusted,
    Variant::TornCountsTwice,
    Variant::CrashIsFree,
    Variant::SendBeforeIntent,
    Variant::SettleBeforeEnding,
    Variant::UnknownIsFree,
    Variant::OverrunIsForgotten,
    Variant::OneHoldForAll,
    Variant::LostEndingIsFree,
    Variant::SameBootAgain,
    Variant::ChosenIds,
    Variant::ResolvedTwice,
    Variant::OwnClock,
    Variant::RecallsUnanswered,
    Variant::NoFence,
    Variant::ClosedAlive,
    Variant::RetiredForgotten,
    Variant::SettingsUntold,
];
