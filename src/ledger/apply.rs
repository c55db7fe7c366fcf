//! An event at an address: the state is read, judged and replaced, in one atomic transition.

use whofreed_lifecycle::Event;
use whofreed_lifecycle::FixedHolders;
use whofreed_lifecycle::Full;
use whofreed_lifecycle::Holder;
use whofreed_lifecycle::Holders;
use whofreed_lifecycle::Outcome;
use whofreed_lifecycle::Verdict;

use crate::ledger::Judged;
use crate::ledger::Ledger;
use crate::ledger::MARK_LOST;
use crate::ledger::Scratch;
use crate::ledger::cell;
use crate::ledger::cell::Next;
use crate::ledger::cell::Records as _;
use crate::ledger::cell::Seen;
use crate::ledger::few::Few;
use crate::ledger::one::One;
use crate::ledger::pool;
use crate::ledger::pool::Cache;
use crate::ledger::ring;
use crate::ledger::small;
use crate::ledger::small::Small;
use crate::ledger::small::Turn;
use crate::ledger::state;
use crate::ledger::state::State;
use crate::ledger::table::AddressEntry;
use crate::primitive::Ordering;

/// A state as it was read.
pub(super) enum Read<'few, 'buffer> {
    Few(State<&'few mut Few>),
    Many(State<FixedHolders<'buffer>>),
}

/// What an event came to, if it is the one that happens.
pub(super) struct Happened {
    pub(super) outcome: Result<Outcome, Full>,
    epoch: u32,
    step: u64,
}

impl Happened {
    #[inline(always)]
    fn judged(self, label: u32) -> Judged {
        let Self { epoch, step, .. } = self;
        // An event without a verdict takes a step as well: the replay sees the gap.
        match self.outcome {
            Ok(outcome) => Judged {
                outcome,
                step,
                epoch,
                label,
                untracked: false,
            },
            Err(Full) => Judged {
                step,
                ..untracked(epoch)
            },
        }
    }
}

/// The record of an attempt that lost, to be used by the next one, and its class.
type Spare = Option<(u32, usize)>;

/// The bits of a state that needs no record.
#[inline(always)]
fn bits_of(seen: Seen) -> Option<u64> {
    // Nothing was ever here: the state of zeros.
    if seen.is_empty() {
        return Some(0);
    }
    seen.small()
}

/// The state of a cell that needs no record.
#[inline(always)]
fn small_of(seen: Seen) -> Option<Small> {
    bits_of(seen).map(Small::decode)
}

/// What an event of nobody's is about.
#[inline(always)]
const fn turn(event: Event) -> Option<Turn> {
    match event {
        Event::Allocate { owner: 0 } => Some(Turn::Comes),
        Event::Deallocate { owner: 0 } => Some(Turn::Goes),
        _ => None,
    }
}

/// The answer to an allocate, or to a free of an instance of its owner's own.
#[inline(always)]
fn all_well(event: Event, step: u64, epoch: u32, label: u32) -> Judged {
    Judged {
        outcome: Outcome {
            verdict: Verdict::Ok,
            late: false,
            ended: match event {
                Event::Deallocate { owner } => Some(owner),
                _ => None,
            },
        },
        step,
        epoch,
        label,
        untracked: false,
    }
}

#[inline(always)]
pub(super) fn happen<H: Holders>(
    state: &mut State<H>,
    is_lost: bool,
    epoch: u32,
    event: Event,
) -> Happened {
    // The step that the lost event would have had stays out: the replay sees the gap.
    if is_lost && !state.address.incomplete {
        state.address.incomplete = true;
        state.step += 1;
    }
    // Another thread may have applied a later reset here already.
    let epoch = epoch.max(state.address.epoch);
    let outcome = state.address.apply(epoch, event);
    state.step += 1;
    Happened {
        outcome,
        epoch,
        step: state.step,
    }
}

impl Ledger {
    /// Lets `event` happen at an address, in one atomic transition.
    ///
    /// `label` is the host's label for the buffer, where the event tells one.
    pub fn apply(
        &self,
        scratch: &mut Scratch,
        device: u32,
        address: u64,
        label: Option<u32>,
        event: Event,
    ) -> Judged {
        let epoch = self.epoch(device);
        let Some(entry) = self.address_entry(device, address) else {
            return untracked(epoch);
        };
        if let Some(label) = label {
            entry.label.store(label, Ordering::Relaxed);
        }
        let label = label.unwrap_or_else(|| entry.label.load(Ordering::Relaxed));
        // Most states are in their cells, before and after.
        loop {
            let seen = cell::look(&entry.cell);
            if let Some(bits) = bits_of(seen)
                && let Some(turn) = turn(event)
                && let Some(next) = small::after_plain(bits, turn, epoch)
                && !entry.is_lost()
            {
                if cell::swing(&entry.cell, seen, Next::small(next)) {
                    return all_well(event, Small::step_of(next), epoch, label);
                }
                continue;
            }
            let Some(small) = small_of(seen) else {
                break;
            };
            // Relaxed: it was noted before the cell was swung to a state that says so.
            let owner = entry.owner.load(Ordering::Relaxed);
            let Some(one) = One::of(small, owner, event) else {
                break;
            };
            let mut state = state::unfold(small, one);
            let happened = happen(&mut state, entry.is_lost(), epoch, event);
            let one = state.address.holders;
            let Some(mut small) = state::without_holders(&state) else {
                break;
            };
            one.write_to(&mut small);
            let Some(bits) = small.encode() else {
                break;
            };
            if !entry.notes(one.owner()) {
                break;
            }
            if cell::swing(&entry.cell, seen, Next::small(bits)) {
                return happened.judged(label);
            }
        }
        if let Some(step) = self.apply_in_ring(&mut scratch.records, entry, epoch, event) {
            return all_well(event, step, epoch, label);
        }
        self.apply_larger(scratch, entry, epoch, event)
            .map_or_else(|| untracked(epoch), |happened| happened.judged(label))
    }

    /// As [`Ledger::apply`], where the state goes as [`ring`] says. Returns the event's number; `None` where it has not
    /// happened.
    #[inline]
    fn apply_in_ring(
        &self,
        records: &mut Cache,
        entry: &AddressEntry,
        epoch: u32,
        event: Event,
    ) -> Option<u64> {
        let seen = cell::look(&entry.cell);
        let record = seen.leaves()?;
        let next = ring::next(self.pool.second_class(record)?, event, epoch)?;
        if entry.is_lost() {
            return None;
        }
        let new = self.pool.take(ring::CLASS, records)?;
        next.store(self.pool.second_class(new)?);
        let has_happened = cell::swing(&entry.cell, seen, Next::record(next.step, new));
        self.pool
            .give(if has_happened { record } else { new }, records);
        has_happened.then_some(next.step)
    }

    /// As [`Ledger::apply`], where the state needs a record before or after. `None` when there is none.
    #[inline(never)]
    fn apply_larger(
        &self,
        scratch: &mut Scratch,
        entry: &AddressEntry,
        epoch: u32,
        event: Event,
    ) -> Option<Happened> {
        let Scratch {
            records,
            few,
            holders,
        } = scratch;
        let mut spare = None;
        loop {
            let seen = cell::look(&entry.cell);
            let (happened, next) = match self.read(entry, seen, few, holders) {
                None => continue,
                Some(Read::Few(mut state)) => {
                    let happened = happen(&mut state, entry.is_lost(), epoch, event);
                    (
                        happened,
                        self.next_of_few(entry, &state, &mut spare, records),
                    )
                }
                Some(Read::Many(mut state)) => {
                    let happened = happen(&mut state, entry.is_lost(), epoch, event);
                    let next = match state.closed(few) {
                        Some(state) => self.next_of_few(entry, &state, &mut spare, records),
                        None => self.next_of_many(&state, &mut spare, records),
                    };
                    (happened, next)
                }
            };
            let Some(next) = next else {
                entry.marks.fetch_or(MARK_LOST, Ordering::Relaxed);
                return None;
            };
            if cell::swing(&entry.cell, seen, next) {
                self.give(seen.leaves(), records);
                if !next.is_record() {
                    self.give(spare.map(|(record, _)| record), records);
                }
                return Some(happened);
            }
        }
    }

    /// The state that a cell was `seen` to hold; `None` where a record is being used for another one by now.
    #[inline(always)]
    pub(super) fn read<'few, 'buffer>(
        &self,
        entry: &AddressEntry,
        seen: Seen,
        few: &'few mut Few,
        holders: &'buffer mut [Holder],
    ) -> Option<Read<'few, 'buffer>> {
        if let Some(small) = small_of(seen) {
            // Relaxed: as in `apply`.
            let owner = entry.owner.load(Ordering::Relaxed);
            return Some(Read::Few(state::unfold(
                small,
                state::few_of(small, owner, few),
            )));
        }
        let words = self.pool.words(seen.record());
        if state::is_close(words) {
            state::load_close(words, few).map(Read::Few)
        } else {
            state::load(words, holders).map(Read::Many)
        }
    }

    /// What the cell is to hold for a state of few holders: itself, or a record that it was written to.
    #[inline(always)]
    fn next_of_few(
        &self,
        entry: &AddressEntry,
        state: &State<&mut Few>,
        spare: &mut Spare,
        records: &mut Cache,
    ) -> Option<Next> {
        if let Some((small, owner)) = state::fold(state)
            && let Some(bits) = small.encode()
            && entry.notes(owner)
        {
            return Some(Next::small(bits));
        }
        let Some(class) = state.close_class() else {
            return self.next_of_many(state, spare, records);
        };
        let record = self.record_of(class, spare, records)?;
        state.store_close(self.pool.words(record));
        Some(Next::record(state.step, record))
    }

    #[inline(never)]
    fn next_of_many<H: Holders>(
        &self,
        state: &State<H>,
        spare: &mut Spare,
        records: &mut Cache,
    ) -> Option<Next> {
        // A state that is larger than any record is none that was loaded from one and had no room.
        let class = pool::class_for(state.words())?;
        let record = self.record_of(class, spare, records)?;
        state.store(self.pool.words(record));
        Some(Next::record(state.step, record))
    }

    /// A record to write to, of the attempt before where it fits.
    #[inline(always)]
    fn record_of(&self, class: usize, spare: &mut Spare, records: &mut Cache) -> Option<u32> {
        match spare.take() {
            Some((record, its_class)) if its_class == class => *spare = Some((record, class)),
            other => {
                self.give(other.map(|(record, _)| record), records);
                *spare = Some((self.pool.take(class, records)?, class));
            }
        }
        spare.map(|(record, _)| record)
    }

    #[inline(always)]
    pub(super) fn give(&self, record: Option<u32>, records: &mut Cache) {
        if let Some(record) = record {
            self.pool.give(record, records);
        }
    }
}

#[cold]
fn untracked(epoch: u32) -> Judged {
    Judged {
        outcome: Outcome {
            verdict: Verdict::Unknown,
            late: false,
            ended: None,
        },
        step: 0,
        epoch,
        label: 0,
        untracked: true,
    }
}
