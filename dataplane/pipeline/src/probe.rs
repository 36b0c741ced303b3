//! Where a bench looks into a burst.

/// A part of a burst's way, in the order in which they are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Parse, classify and decapsulate each packet.
    Parse,
    /// Look up all owners, and verify sources.
    Verify,
    /// Look up all routes.
    Route,
    /// Fit, police and write each packet.
    Write,
    /// Count what became of each packet.
    Count,
}

impl Stage {
    /// All, in their order.
    pub const ALL: [Self; 5] = [
        Self::Parse,
        Self::Verify,
        Self::Route,
        Self::Write,
        Self::Count,
    ];

    /// Name in the output of benches.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Verify => "verify",
            Self::Route => "route",
            Self::Write => "write",
            Self::Count => "count",
        }
    }
}

/// Is told when a burst has finished a stage. `()` ignores it and costs nothing.
pub trait Probe {
    /// The burst has finished this stage.
    fn mark(&mut self, stage: Stage);
}

impl Probe for () {
    #[inline]
    fn mark(&mut self, _: Stage) {}
}
