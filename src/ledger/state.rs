//! The state of an address as words of a record, or as what fits into its cell.
//!
//! Of a record, word 0 is the number of events so far, word 1 holds epoch, number of holders and flags. In the close
//! form, for [`Few`] holders, word 1 also tells which are live, and their counts, a byte each, and their owners follow;
//! in the wide one two words for each holder: its owner, and its count with its standing.

use whofreed_lifecycle::Address;
use whofreed_lifecycle::FixedHolders;
use whofreed_lifecycle::Holder;
use whofreed_lifecycle::Holders;
use whofreed_lifecycle::Standing;

use crate::ledger::few;
use crate::ledger::few::Few;
use crate::ledger::small::Small;
use crate::primitive::AtomicU64;
use crate::primitive::Ordering;

/// Most holders, past and present, of one address: what the largest record takes.
pub const MAX_HOLDERS: usize = (super::pool::words_of(super::pool::CLASSES - 1) - HEADER_WORDS) / 2;

const HEADER_WORDS: usize = 2;
/// In the close form: words of counts and of owners, in the smallest records and in the next ones.
const CLOSE: [(usize, usize); 2] = [(1, 5), (2, few::MOST)];
const FLAG_SEEN: u64 = 1;
const FLAG_FORGOT: u64 = 2;
const FLAG_FORGOT_LATE: u64 = 4;
const FLAG_INCOMPLETE: u64 = 8;
const FLAG_CLOSE: u64 = 16;
const FLAGS_SHIFT: u32 = 56;
const LEN_SHIFT: u32 = 32;
const LIVE_SHIFT: u32 = 40;
const STANDING_PAST: u64 = 1 << 32;

/// Most holders of a record of the first class in the close form.
pub const MOST_IN_FIRST: usize = CLOSE[0].1;

/// The second word of a record.
#[derive(Clone, Copy, Debug)]
pub struct Header(pub u64);

impl Header {
    /// Whether the record is in the close form; of another, the rest means something else.
    #[inline(always)]
    pub const fn is_close(self) -> bool {
        self.0 >> FLAGS_SHIFT & FLAG_CLOSE != 0
    }

    /// The last reset that was applied.
    #[inline(always)]
    pub const fn epoch(self) -> u32 {
        self.0 as u32
    }

    /// How many holders there are.
    #[inline(always)]
    pub const fn len(self) -> usize {
        (self.0 >> LEN_SHIFT) as usize & 0xff
    }

    /// A bit for each live one.
    #[inline(always)]
    pub const fn live(self) -> u64 {
        self.0 >> LIVE_SHIFT & 0xffff
    }

    /// The word when a live holder has come to the end of `len`, where none was live.
    #[inline(always)]
    pub const fn allocated(self, len: usize) -> u64 {
        (self.0 + (1 << LEN_SHIFT)) | 1 << (LIVE_SHIFT as usize + len) | FLAG_SEEN << FLAGS_SHIFT
    }

    /// The word when the only live holder has become a past one, and whether the oldest was forgotten.
    #[inline(always)]
    pub const fn freed(self, is_forgotten: bool) -> u64 {
        let header = self.0 & !(0xffff << LIVE_SHIFT);
        if is_forgotten {
            (header - (1 << LEN_SHIFT)) | FLAG_FORGOT << FLAGS_SHIFT
        } else {
            header
        }
    }
}

/// The state of an address in a thread's own memory.
#[derive(Debug)]
pub struct State<H> {
    pub address: Address<H>,
    /// Events so far.
    pub step: u64,
}

/// Whether a record's words are in the close form.
#[inline(always)]
pub fn is_close(words: &[AtomicU64]) -> bool {
    Header(words[1].load(Ordering::Relaxed)).is_close()
}

#[inline(always)]
fn flags<H>(address: &Address<H>) -> u64 {
    let flag = |is_set: bool, flag: u64| if is_set { flag } else { 0 };
    flag(address.seen, FLAG_SEEN)
        | flag(address.forgot, FLAG_FORGOT)
        | flag(address.forgot_late, FLAG_FORGOT_LATE)
        | flag(address.incomplete, FLAG_INCOMPLETE)
}

#[inline(always)]
fn with_header<H>(step: u64, header: u64, holders: H) -> State<H> {
    let has = |flag: u64| header >> FLAGS_SHIFT & flag != 0;
    State {
        address: Address {
            holders,
            epoch: header as u32,
            seen: has(FLAG_SEEN),
            forgot: has(FLAG_FORGOT),
            forgot_late: has(FLAG_FORGOT_LATE),
            incomplete: has(FLAG_INCOMPLETE),
        },
        step,
    }
}

impl<H: Holders> State<H> {
    /// The words that a record in the wide form needs.
    pub fn words(&self) -> usize {
        HEADER_WORDS + 2 * self.address.holders.all().count()
    }

    /// Writes the state in the wide form into a record that nobody else reads.
    pub fn store(&self, words: &[AtomicU64]) {
        let mut len = 0;
        let pairs = words[HEADER_WORDS..].chunks_exact(2);
        for (holder, pair) in self.address.holders.all().zip(pairs) {
            let standing = match holder.standing {
                Standing::Live => 0,
                Standing::Past => STANDING_PAST,
            };
            pair[0].store(holder.owner, Ordering::Relaxed);
            pair[1].store(u64::from(holder.count) | standing, Ordering::Relaxed);
            len += 1;
        }
        let address = &self.address;
        let header = u64::from(address.epoch) | len << 32 | flags(address) << FLAGS_SHIFT;
        words[0].store(self.step, Ordering::Relaxed);
        words[1].store(header, Ordering::Relaxed);
    }

    /// The state with its holders side by side, where there are few.
    pub fn closed<'few>(&self, few: &'few mut Few) -> Option<State<&'few mut Few>> {
        let mut few = few.cleared();
        for holder in self.address.holders.all() {
            if !few.has_room(1) || holder.count > u32::from(few::MOST_COUNT) {
                return None;
            }
            few.push(holder);
        }
        Some(self.with(few))
    }

    fn with<T>(&self, holders: T) -> State<T> {
        State {
            address: Address {
                holders,
                epoch: self.address.epoch,
                seen: self.address.seen,
                forgot: self.address.forgot,
                forgot_late: self.address.forgot_late,
                incomplete: self.address.incomplete,
            },
            step: self.step,
        }
    }
}

impl State<&mut Few> {
    /// The class of records that hold it in the close form, if one does.
    #[inline(always)]
    pub fn close_class(&self) -> Option<usize> {
        let few = &self.address.holders;
        few.fits().then_some(usize::from(few.len > CLOSE[0].1))
    }

    /// Writes the state into a record of that class that nobody else reads.
    #[inline(always)]
    pub fn store_close(&self, words: &[AtomicU64]) {
        let address = &self.address;
        let few = &address.holders;
        let header = u64::from(address.epoch)
            | (few.len as u64) << LEN_SHIFT
            | u64::from(few.live) << LIVE_SHIFT
            | (flags(address) | FLAG_CLOSE) << FLAGS_SHIFT;
        words[0].store(self.step, Ordering::Relaxed);
        words[1].store(header, Ordering::Relaxed);
        let counts = few.counts.map(|count| count as u8);
        let (counts, _) = counts.as_chunks::<8>();
        let (of_counts, of_owners) = CLOSE[usize::from(few.len > CLOSE[0].1)];
        let (first, second) =
            words[HEADER_WORDS..HEADER_WORDS + of_counts + of_owners].split_at(of_counts);
        for (word, counts) in first.iter().zip(counts) {
            word.store(u64::from_le_bytes(*counts), Ordering::Relaxed);
        }
        for (word, owner) in second.iter().zip(&few.owners) {
            word.store(*owner, Ordering::Relaxed);
        }
    }
}

/// Reads a state in the close form; `None` when what stands there is no state, because the record is being used for
/// another one by now.
#[inline(always)]
pub fn load_close<'few>(words: &[AtomicU64], few: &'few mut Few) -> Option<State<&'few mut Few>> {
    let step = words[0].load(Ordering::Relaxed);
    let header = words[1].load(Ordering::Relaxed);
    few.len = Header(header).len();
    let is_next = few.len > CLOSE[0].1;
    let (of_counts, of_owners) = CLOSE[usize::from(is_next)];
    if few.len > of_owners {
        return None;
    }
    few.live = (header >> LIVE_SHIFT) as u32 & ((1 << few.len) - 1);
    let (first, second) = words
        .get(HEADER_WORDS..HEADER_WORDS + of_counts + of_owners)?
        .split_at(of_counts);
    let (counts, _) = few.counts.as_chunks_mut::<8>();
    for (word, counts) in first.iter().zip(counts) {
        *counts = word.load(Ordering::Relaxed).to_le_bytes().map(u16::from);
    }
    for (word, owner) in second.iter().zip(&mut few.owners) {
        *owner = word.load(Ordering::Relaxed);
    }
    Some(with_header(step, header, few))
}

/// Reads a state in the wide form into `buffer`; `None` as in [`load_close`].
pub fn load<'buffer>(
    words: &[AtomicU64],
    buffer: &'buffer mut [Holder],
) -> Option<State<FixedHolders<'buffer>>> {
    let step = words[0].load(Ordering::Relaxed);
    let header = words[1].load(Ordering::Relaxed);
    let len = (header >> 32) as usize & 0xff_ffff;
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
    Some(with_header(step, header, FixedHolders::new(buffer, len)))
}

/// Unfolds the state of a cell: `holders` are those that it tells.
#[inline(always)]
pub fn unfold<H>(small: Small, holders: H) -> State<H> {
    State {
        address: Address {
            holders,
            epoch: small.epoch,
            seen: small.is_seen,
            forgot: false,
            forgot_late: false,
            incomplete: small.is_incomplete,
        },
        step: small.step,
    }
}

/// All of a state that fits into a cell but for its holders, where it may fit.
#[inline(always)]
pub fn without_holders<H>(state: &State<H>) -> Option<Small> {
    let address = &state.address;
    let is_plain = !address.forgot && !address.forgot_late;
    is_plain.then(|| Small {
        is_seen: address.seen,
        is_incomplete: address.incomplete,
        epoch: address.epoch,
        step: state.step,
        ..Small::default()
    })
}

/// The state as one that fits into a cell, with the owner that must be noted beside it, if it is one.
pub fn fold(state: &State<&mut Few>) -> Option<(Small, u64)> {
    let few = &state.address.holders;
    let is_of_one = match few.len {
        0 | 1 => true,
        2 => few.owners[0] == few.owners[1] && few.live.count_ones() == 1,
        _ => false,
    };
    if !is_of_one {
        return None;
    }
    let mut small = without_holders(state)?;
    for holder in few.all() {
        match holder.standing {
            Standing::Live => small.live = holder.count,
            Standing::Past => {
                small.is_past = true;
                small.late = holder.count;
            }
        }
    }
    let owner = if few.len == 0 { 0 } else { few.owners[0] };
    small.is_owned = owner != 0;
    Some((small, owner))
}

/// The holders of a small state whose noted owner is `owner`.
pub fn few_of(small: Small, owner: u64, few: &mut Few) -> &mut Few {
    let owner = if small.is_owned { owner } else { 0 };
    let mut few = few.cleared();
    // The order of the two kinds tells nothing.
    if small.is_past {
        few.push(Holder {
            owner,
            count: small.late,
            standing: Standing::Past,
        });
    }
    if small.live > 0 {
        few.push(Holder {
            owner,
            count: small.live,
            standing: Standing::Live,
        });
    }
    few
}
