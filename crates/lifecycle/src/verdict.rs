//! The words of a judgement, with the numbers that the C header and the trace format use.

/// How an event at an address is judged. The numbers are those of `wf_verdict` and of the trace format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Verdict {
    /// A right to deallocate was there and has been used.
    Ok = 0,
    /// The address is known and not live: a double free.
    AlreadyFreed = 1,
    /// This owner's own right is used up; the address now lives under another owner.
    StaleOwner = 2,
    /// The address was never allocated while tracking.
    Unknown = 3,
    /// The address is live, and this owner never held it.
    ForeignOwner = 4,
    /// The call does not name an address: nothing to judge.
    Invalid = 5,
}

impl Verdict {
    /// Whether a deallocate with this verdict is an excess free in the sense of the contract.
    #[must_use]
    pub const fn is_excess(self) -> bool {
        matches!(
            self,
            Self::AlreadyFreed | Self::StaleOwner | Self::ForeignOwner
        )
    }

    /// The verdict with this number, or `None` where there is none.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Ok),
            1 => Some(Self::AlreadyFreed),
            2 => Some(Self::StaleOwner),
            3 => Some(Self::Unknown),
            4 => Some(Self::ForeignOwner),
            5 => Some(Self::Invalid),
            _ => None,
        }
    }

    /// The name as reports and JSON write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::AlreadyFreed => "already_freed",
            Self::StaleOwner => "stale_owner",
            Self::Unknown => "unknown",
            Self::ForeignOwner => "foreign_owner",
            Self::Invalid => "invalid",
        }
    }
}
