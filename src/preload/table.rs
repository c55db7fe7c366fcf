//! The table of the generated library, as it lies in the host's memory.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::slice;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use whofreed_hooktable::Adapter;
use whofreed_hooktable::Event;
use whofreed_hooktable::HEADER_LEN;
use whofreed_hooktable::Hook;
use whofreed_hooktable::MAX_DEVICE_PARTS;
use whofreed_hooktable::Stub;
use whofreed_hooktable::Table;

use super::Frame;
use super::devices;
use super::expression::Expressions;
use super::machine;
use super::plain::Plain;
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

/// One symbol of a table and what belongs to it: all that does not depend on the call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hooked {
    /// The number of the symbol's own stub.
    pub(super) number: usize,
    /// What a call is; none for what a later launcher may know.
    pub(super) event: Option<Event>,
    pub(super) expressions: Expressions,
    pub(super) hook: Hook,
    pub(super) adapter_place: u32,
    pub(super) adapter: Adapter,
    /// What the numbers of the adapter's devices begin with.
    pub(super) device_seed: u64,
    /// The place of the only device that there is, where devices have no parts.
    pub(super) only_device: Option<usize>,
    /// Its calls go the short way.
    pub(super) plain: Option<Plain>,
    pub(super) stub: Stub,
    pub(super) table: Table<'static>,
}

/// A stub that was called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Called<'hooked> {
    /// The hook that it is of.
    pub(super) hooked: &'hooked Hooked,
    /// The real function, where the stub is a spare one and stands for that one alone.
    pub(super) bound: Option<usize>,
}

impl<'hooked> Called<'hooked> {
    /// Calls `then` with what the stub that was called stands for, if it stands for something.
    #[inline]
    pub(super) fn with<T>(
        number: usize,
        then: fn(Called<'_>, &mut Frame) -> T,
        frame: &mut Frame,
    ) -> Option<T> {
        match REMEMBERED_STUBS.get(number).and_then(Remembered::get) {
            Some(hooked) => Some(then(
                Called {
                    hooked,
                    bound: None,
                },
                frame,
            )),
            None => Self::with_other(number, then, frame),
        }
    }

    /// As [`Called::with`], of a stub that is not remembered: a spare one, or one that was never called. What is read
    /// of the table has no place in the frame of those that are.
    #[inline(never)]
    fn with_other<T>(
        number: usize,
        then: fn(Called<'_>, &mut Frame) -> T,
        frame: &mut Frame,
    ) -> Option<T> {
        let table = table()?;
        let (own, bound) = match number.checked_sub(table.stub_count()) {
            None => (number, None),
            Some(spare) => {
                let (own, original) = resolver::spare(spare)?;
                (own, Some(original))
            }
        };
        if let Some(hooked) = REMEMBERED_STUBS.get(own).and_then(Remembered::get) {
            return Some(then(Called { hooked, bound }, frame));
        }
        let hooked = &Hooked::find(own)?;
        Some(then(Called { hooked, bound }, frame))
    }
}

impl Hooked {
    /// What a symbol's own stub stands for.
    pub(super) fn find(number: usize) -> Option<Self> {
        let place = REMEMBERED_STUBS.get(number);
        if let Some(known) = place.and_then(Remembered::get) {
            return Some(*known);
        }
        let read = Self::read(table()?, number)?;
        if let Some(place) = place {
            place.set(read);
        }
        Some(read)
    }

    /// The same, as the table says.
    pub(super) fn read(table: Table<'static>, number: usize) -> Option<Self> {
        let stub = table.stub(number)?;
        let hook = table.hook(stub.hook as usize)?;
        let adapter = table.adapter(hook.adapter as usize)?;
        let device_seed = devices::seed(table.text(adapter.name));
        let has_parts = adapter.parts_count > 0 || hook.device() != [0; MAX_DEVICE_PARTS];
        let only = || devices::place(device_seed, &devices::Parts::default());
        let only_device = (!has_parts).then(only).flatten();
        let event = Event::from_number(hook.event);
        let expressions = Expressions::read(&table, &hook);
        Some(Self {
            plain: only_device.and_then(|device| Plain::of(event, &hook, &expressions, device)),
            only_device,
            event,
            expressions,
            hook,
            number,
            adapter_place: hook.adapter,
            adapter,
            device_seed,
            stub,
            table,
        })
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

// SAFETY: `hooked` is written by the one thread that has made `UNREAD` something else, and read only when it says
// `READ`.
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
