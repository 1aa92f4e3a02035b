//! The screens of a farmer, each with its key, and the parts of that of a harvester.

/// One screen. Their numbers are those of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Screen {
    Farm,
    Harvesters,
    Plots,
    Proofs,
    Pools,
    Messages,
    Alarms,
}

impl Screen {
    /// All, in order.
    pub(super) const ALL: [Self; 7] = [
        Self::Farm,
        Self::Harvesters,
        Self::Plots,
        Self::Proofs,
        Self::Pools,
        Self::Messages,
        Self::Alarms,
    ];

    /// Its key and its name.
    pub(super) const fn tab(self) -> (char, &'static str) {
        match self {
            Self::Farm => ('1', "Farm"),
            Self::Harvesters => ('2', "Harvesters"),
            Self::Plots => ('3', "Plots"),
            Self::Proofs => ('4', "Proofs"),
            Self::Pools => ('5', "Pools"),
            Self::Messages => ('6', "Messages"),
            Self::Alarms => ('7', "Alarms"),
        }
    }
}

/// One part of the only screen of a harvester. The keys go to the one that has the focus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pane {
    Drives,
    Lookups,
    Files,
    Log,
}

impl Pane {
    /// All, in the order of the tab key.
    pub(super) const ALL: [Self; 4] = [Self::Drives, Self::Lookups, Self::Files, Self::Log];
}
