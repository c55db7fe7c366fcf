//! The types that cross the C boundary, on the first stop of an event's way.
//!
//! cbindgen reads this file and `crates/shared/src/ffi.rs`, and writes `include/whofreed.h` from them: what is
//! documented here is what users of the header read. The structs start with their own size and end in zeroed
//! reserved bytes; they grow only there, so their size never changes.

use std::ffi::c_void;

use whofreed_lifecycle::Verdict;

/// In a deallocate: the dead handle no longer tells its address. What is meant is the instance that this owner got last
/// among those that it still holds, views counted as what they share; where it holds none any more, the one that it
/// got last of all. For owners of more than seven buffers at once that may not be known: then it is `WF_UNKNOWN`.
/// Anywhere else it is `WF_INVALID`.
pub const WF_ADDRESS_UNKNOWN: u64 = u64::MAX;

/// How an event is judged. Numbers keep their meaning forever; new ones may be added at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub enum WfVerdict {
    /// A right to deallocate was there, and has been used.
    #[default]
    WfOk = 0,
    /// A double free: the address is known and not live.
    WfAlreadyFreed = 1,
    /// This owner's own right is used up, the address now lives under another owner: forwarding this free would
    /// release somebody else's buffer.
    WfStaleOwner = 2,
    /// The address was never allocated while tracking. Not an excess free.
    WfUnknown = 3,
    /// The address is live, and this owner never held it.
    WfForeignOwner = 4,
    /// Only: WF_ADDRESS_UNKNOWN in allocate, retain or view, or together with owner 0.
    WfInvalid = 5,
}

impl From<Verdict> for WfVerdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Ok => Self::WfOk,
            Verdict::AlreadyFreed => Self::WfAlreadyFreed,
            Verdict::StaleOwner => Self::WfStaleOwner,
            Verdict::Unknown => Self::WfUnknown,
            Verdict::ForeignOwner => Self::WfForeignOwner,
            Verdict::Invalid => Self::WfInvalid,
        }
    }
}

/// One excess free, as the callback of `wf_on_excess` sees it. It is valid only until the callback returns.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct WfExcess {
    /// The size of this struct in bytes.
    pub size: u32,
    /// WF_ALREADY_FREED, WF_STALE_OWNER or WF_FOREIGN_OWNER.
    pub verdict: WfVerdict,
    /// The address space.
    pub device: u32,
    /// The kind that the buffer was last allocated with.
    pub kind: u32,
    /// The address that was freed.
    pub address: u64,
    /// Who freed; 0 means not known.
    pub owner: u64,
    /// The freeing thread, by the number that the operating system gives it.
    pub thread: u64,
    /// The number of this event among all events at this address, from 1.
    pub sequence: u64,
    /// The stack, innermost first: return addresses in this process. Null when there is none.
    pub frames: *const u64,
    /// The number of entries in `frames`.
    pub frame_count: u64,
    /// Zero, for later growth.
    pub reserved: [u64; 8],
}

/// Totals so far, over all threads. Each number is exact for the events whose call has returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct WfStats {
    /// The size of this struct in bytes; 0 when the library is absent.
    pub size: u64,
    /// Calls of `wf_allocate` that named an address.
    pub allocations: u64,
    /// Calls of `wf_deallocate`, whatever the verdict.
    pub deallocations: u64,
    /// Deallocates with the verdict WF_ALREADY_FREED, WF_STALE_OWNER or WF_FOREIGN_OWNER.
    pub excess: u64,
    /// Deallocates of addresses that were never allocated while tracking.
    pub unknown: u64,
    /// First deallocates of instances that a reset or close of their device had already ended.
    pub late: u64,
    /// Attempts on live handles that the host itself did not carry out.
    pub declined: u64,
    /// Calls with the verdict WF_INVALID.
    pub invalid: u64,
    /// Excess frees that were not forwarded to the real function, or that a linked host was told to skip (`guard=1`).
    pub blocked: u64,
    /// Instances that no deallocate of their own has ended yet, those that a reset or close ended among them.
    pub live: u64,
    /// Events that could not be recorded in full: no memory, no disk, or a signal handler that interrupted an event of
    /// another signal handler.
    pub dropped_events: u64,
    /// Pairs of device and address that were ever seen.
    pub distinct_addresses: u64,
    /// Different call stacks that were seen.
    pub distinct_stacks: u64,
    /// Zero, for later growth.
    pub reserved: [u64; 8],
}

/// Called once for each excess free, on the freeing thread, while the call that freed has not returned yet. It must
/// not throw and not longjmp. Calls of this library made inside it are no events.
pub type WfExcessCallback = Option<unsafe extern "C" fn(event: *const WfExcess, user: *mut c_void)>;

#[cfg(test)]
mod tests {
    use super::WfExcess;
    use super::WfStats;

    /// The layout is a promise to hosts that were compiled long ago: 64-bit hosts must never see it move.
    #[test]
    fn layout_has_no_padding_and_never_moves() {
        assert_eq!(size_of::<WfExcess>(), 4 * 4 + 6 * 8 + 8 * 8);
        assert_eq!(size_of::<WfStats>(), 13 * 8 + 8 * 8);
        assert_eq!(std::mem::offset_of!(WfExcess, address), 16);
        assert_eq!(std::mem::offset_of!(WfExcess, frames), 48);
        assert_eq!(std::mem::offset_of!(WfStats, distinct_stacks), 96);
    }
}
