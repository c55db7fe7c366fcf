//! The state of an address as words of a record.
//!
//! Word 0 is the number of events so far, word 1 holds epoch, number of holders and flags; then two words for
//! each holder: its owner, and its count with its standing.

use whofreed_lifecycle::Address;
use whofreed_lifecycle::FixedHolders;
use whofreed_lifecycle::Holder;
use whofreed_lifecycle::Holders;
use whofreed_lifecycle::Standing;

use crate::ledger::cell::NO_RECORD;
use crate::ledger::cell::Records;
use crate::primitive::AtomicU64;
use crate::primitive::Ordering;

/// Most holders, past and present, of one address: what the largest record takes.
pub const MAX_HOLDERS: usize = (super::pool::words_of(super::pool::CLASSES - 1) - HEADER_WORDS) / 2;

const HEADER_WORDS: usize = 2;
const FLAG_SEEN: u64 = 1;
const FLAG_FORGOT: u64 = 2;
const FLAG_FORGOT_LATE: u64 = 4;
const FLAG_INCOMPLETE: u64 = 8;
const STANDING_PAST: u64 = 1 << 32;

/// The state of an address in a thread's own memory.
#[derive(Debug)]
pub struct State<'buffer> {
    pub address: Address<FixedHolders<'buffer>>,
    /// Events so far.
    pub step: u64,
}

impl State<'_> {
    /// The words that a record for this state needs.
    pub fn words(&self) -> usize {
        HEADER_WORDS + 2 * self.address.holders.entries().len()
    }

    /// Writes the state into a record that nobody else reads.
    pub fn store(&self, words: &[AtomicU64]) {
        let entries = self.address.holders.entries();
        let mut flags = 0;
        if self.address.seen {
            flags |= FLAG_SEEN;
        }
        if self.address.forgot {
            flags |= FLAG_FORGOT;
        }
        if self.address.forgot_late {
            flags |= FLAG_FORGOT_LATE;
        }
        if self.address.incomplete {
            flags |= FLAG_INCOMPLETE;
        }
        let header = u64::from(self.address.epoch) | ((entries.len() as u64) << 32) | (flags << 56);
        words[0].store(self.step, Ordering::Relaxed);
        words[1].store(header, Ordering::Relaxed);
        for (holder, pair) in entries.iter().zip(words[HEADER_WORDS..].chunks_exact(2)) {
            let standing = match holder.standing {
                Standing::Live => 0,
                Standing::Past => STANDING_PAST,
            };
            pair[0].store(holder.owner, Ordering::Relaxed);
            pair[1].store(u64::from(holder.count) | standing, Ordering::Relaxed);
        }
    }
}

/// Reads the state out of a record into `buffer`; `None` when what stands there is no state, because the record
/// is being used for another one by now.
pub fn load<'buffer>(
    records: &impl Records,
    record: u32,
    buffer: &'buffer mut [Holder],
) -> Option<State<'buffer>> {
    if record == NO_RECORD {
        return Some(State {
            address: Address {
                holders: FixedHolders::new(buffer, 0),
                epoch: 0,
                seen: false,
                forgot: false,
                forgot_late: false,
                incomplete: false,
            },
            step: 0,
        });
    }
    let words = records.words(record);
    let step = words[0].load(Ordering::Relaxed);
    let header = words[1].load(Ordering::Relaxed);
    let len = (header >> 32) as usize & 0xff_ffff;
    let flags = header >> 56;
    let pairs = words.get(HEADER_WORDS..HEADER_WORDS + 2 * len)?;
    for (holder, pair) in buffer.get_mut(..len)?.iter_mut().zip(pairs.chunks_exact(2)) {
        let count = pair[1].load(Ordering::Relaxed);
        *holder = Holder {
            owner: pair[0].load(Ordering::Relaxed),
            count: count as u32,
            standing: if count & STANDING_PAST == 0 {
                Standing::Live
            } else {
                Standing::Past
            },
        };
    }
    Some(State {
        address: Address {
            holders: FixedHolders::new(buffer, len),
            epoch: header as u32,
            seen: flags & FLAG_SEEN != 0,
            forgot: flags & FLAG_FORGOT != 0,
            forgot_late: flags & FLAG_FORGOT_LATE != 0,
            incomplete: flags & FLAG_INCOMPLETE != 0,
        },
        step,
    })
}
