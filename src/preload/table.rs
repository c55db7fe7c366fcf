//! The table of the generated library, as it lies in the host's memory.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::slice;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use whofreed_hooktable::Adapter;
use whofreed_hooktable::HEADER_LEN;
use whofreed_hooktable::Hook;
use whofreed_hooktable::Stub;
use whofreed_hooktable::Table;

use super::devices;
use super::machine;
use super::resolver;

/// How many stubs are remembered; what others stand for is read anew in each call.
const REMEMBERED: usize = 4096;

/// The table, when the launcher has preloaded one.
pub(super) fn table() -> Option<Table<'static>> {
    let start = machine::table_address();
    if start == 0 {
        return None;
    }
    let start = std::ptr::with_exposed_provenance::<u8>(start);
    // SAFETY: a symbol of this name is the table of the generated library (names that begin with wf_ are ours),
    // which the launcher has checked, and which is never unloaded (DF_1_NODELETE); a table has a header.
    let header = unsafe { slice::from_raw_parts(start, HEADER_LEN) };
    let length = Table::length_in(header.first_chunk()?)?;
    // SAFETY: as above; the table is as long as it says.
    Table::new(unsafe { slice::from_raw_parts(start, length) })
}

/// One symbol of a table and what belongs to it, as the stub that was called says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hooked {
    pub(super) table: Table<'static>,
    pub(super) adapter_place: u32,
    pub(super) adapter: Adapter,
    pub(super) hook: Hook,
    pub(super) stub: Stub,
    /// The number of the symbol's own stub.
    pub(super) number: usize,
    /// What the numbers of the adapter's devices begin with.
    pub(super) device_seed: u64,
    /// The real function, where the stub is a spare one and stands for that one alone.
    pub(super) bound: Option<usize>,
}

impl Hooked {
    /// What the stub that was called stands for, without a copy. `place` is for one that is not remembered.
    #[inline]
    pub(super) fn of_call(number: usize, place: &mut Option<Self>) -> Option<&Self> {
        if let Some(known) = REMEMBERED_STUBS.get(number).and_then(Remembered::get) {
            return Some(known);
        }
        *place = Self::find(number);
        place.as_ref()
    }

    /// What the stub with this number stands for.
    pub(super) fn find(number: usize) -> Option<Self> {
        let table = table()?;
        let Some(spare) = number.checked_sub(table.stub_count()) else {
            return Self::own(table, number);
        };
        let (number, original) = resolver::spare(spare)?;
        let bound = Some(original);
        Some(Self {
            bound,
            ..Self::own(table, number)?
        })
    }

    /// What a symbol's own stub stands for.
    fn own(table: Table<'static>, number: usize) -> Option<Self> {
        let place = REMEMBERED_STUBS.get(number);
        if let Some(known) = place.and_then(Remembered::get) {
            return Some(*known);
        }
        let stub = table.stub(number)?;
        let hook = table.hook(stub.hook as usize)?;
        let adapter = table.adapter(hook.adapter as usize)?;
        let read = Self {
            table,
            adapter_place: hook.adapter,
            adapter,
            hook,
            stub,
            number,
            device_seed: devices::seed(table.text(adapter.name)),
            bound: None,
        };
        if let Some(place) = place {
            place.set(read);
        }
        Some(read)
    }

    pub(super) fn symbol(&self) -> &'static [u8] {
        self.table.text(self.stub.symbol)
    }

    /// The patterns of the libraries that the adapter is for.
    pub(super) fn library(&self) -> &'static [u8] {
        self.table.text(self.adapter.library)
    }

    pub(super) fn has(&self, flag: u32) -> bool {
        self.hook.flags & flag != 0
    }
}

/// What one stub stands for, once somebody has read it.
struct Remembered {
    state: AtomicU32,
    hooked: UnsafeCell<MaybeUninit<Hooked>>,
}

const UNREAD: u32 = 0;
const READ: u32 = 2;

// SAFETY: `hooked` is written by the one thread that has made `UNREAD` something else, and read only when it says `READ`.
unsafe impl Sync for Remembered {}

static REMEMBERED_STUBS: [Remembered; REMEMBERED] = [const {
    Remembered {
        state: AtomicU32::new(UNREAD),
        hooked: UnsafeCell::new(MaybeUninit::uninit()),
    }
}; REMEMBERED];

impl Remembered {
    #[inline]
    fn get(&self) -> Option<&Hooked> {
        // Acquire: what it stands for is seen whole.
        let is_read = self.state.load(Ordering::Acquire) == READ;
        // SAFETY: it was written before, and is not written again.
        is_read.then(|| unsafe { (*self.hooked.get()).assume_init_ref() })
    }

    /// A handler that interrupts the one who writes reads for itself, as everybody does meanwhile.
    fn set(&self, hooked: Hooked) {
        const WRITING: u32 = 1;
        let claim =
            self.state
                .compare_exchange(UNREAD, WRITING, Ordering::Relaxed, Ordering::Relaxed);
        if claim.is_ok() {
            // SAFETY: only the winner comes here, and nobody reads before `READ`.
            unsafe { (*self.hooked.get()).write(hooked) };
            self.state.store(READ, Ordering::Release);
        }
    }
}
