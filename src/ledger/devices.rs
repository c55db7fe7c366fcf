//! How often each device was reset or closed so far.

use crate::arena::Arena;
use crate::arena::ZeroInit;
use crate::ledger::wide::Wide;
use crate::primitive::AtomicU32;
use crate::primitive::Ordering;

/// Most devices with large numbers whose resets are counted, and the first large number.
pub const MAX_DEVICES: u32 = if cfg!(modelled) { 2 } else { 1 << 16 };

#[derive(Debug, Default)]
#[repr(transparent)]
struct Resets(AtomicU32);

// SAFETY: zeroed memory is a valid atomic, which may be shared.
unsafe impl ZeroInit for Resets {}

/// The resets of devices: small numbers have their place, others are looked for, once there is one.
#[derive(Debug)]
pub struct Devices {
    small: Arena<Resets>,
    large: Arena<Resets>,
    numbers: Wide,
    /// Without any reset of a large number, none needs to be looked for.
    is_used: AtomicU32,
}

impl Devices {
    pub fn new() -> Option<Self> {
        Some(Self {
            small: Arena::new(MAX_DEVICES)?,
            large: Arena::new(MAX_DEVICES)?,
            numbers: Wide::new(MAX_DEVICES)?,
            is_used: AtomicU32::new(0),
        })
    }

    /// The number of resets of a device so far.
    #[inline(always)]
    pub fn resets(&self, device: u32) -> u32 {
        match self.small.at(device) {
            Some(Resets(resets)) => resets.load(Ordering::Acquire),
            None => self.resets_of_large(device),
        }
    }

    #[inline(never)]
    fn resets_of_large(&self, device: u32) -> u32 {
        if self.is_used.load(Ordering::Acquire) == 0 {
            return 0;
        }
        let resets = self.numbers.find(device, 0);
        let resets = resets.and_then(|item| self.large.at(item));
        resets.map_or(0, |Resets(resets)| resets.load(Ordering::Acquire))
    }

    /// Counts a reset, and says how many there are now; `None` when there is no room.
    pub fn reset(&self, device: u32) -> Option<u32> {
        let resets = match self.small.at(device) {
            Some(resets) => resets,
            None => {
                let item = self.numbers.item_for(device, 0)?;
                self.is_used.store(1, Ordering::Release);
                self.large.at(item)?
            }
        };
        Some(resets.0.fetch_add(1, Ordering::AcqRel) + 1)
    }
}
