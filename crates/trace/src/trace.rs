//! What a trace says once it has been read: the input of the analysis.

use std::collections::BTreeMap;

pub use whofreed_lifecycle::Verdict;

use crate::loss::Loss;

/// A stack's number inside one trace; 0 means that none was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StackId(pub u32);

/// What happened, with the numbers of the trace format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EventKind {
    /// A buffer was handed out.
    Allocate = 1,
    /// A buffer was freed, or somebody tried to.
    Deallocate = 2,
    /// A reference was added.
    Retain = 3,
    /// An object began to share a buffer; `root_owner` tells whose.
    View = 4,
    /// The device came up.
    DeviceOpen = 5,
    /// The runtime released everything on the device at once.
    DeviceReset = 6,
    /// The device went away, and everything on it.
    DeviceClose = 7,
    /// An attempt on a live handle that the host itself did not carry out.
    Declined = 8,
}

impl EventKind {
    /// The kind with this number, or `None` where there is none.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Allocate),
            2 => Some(Self::Deallocate),
            3 => Some(Self::Retain),
            4 => Some(Self::View),
            5 => Some(Self::DeviceOpen),
            6 => Some(Self::DeviceReset),
            7 => Some(Self::DeviceClose),
            8 => Some(Self::Declined),
            _ => None,
        }
    }

    /// The name as `history` and JSON write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allocate => "allocate",
            Self::Deallocate => "deallocate",
            Self::Retain => "retain",
            Self::View => "view",
            Self::DeviceOpen => "device_open",
            Self::DeviceReset => "device_reset",
            Self::DeviceClose => "device_close",
            Self::Declined => "declined",
        }
    }
}

/// One recorded event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The verdict that the host was given.
    pub verdict: Verdict,
    /// The deallocate was not forwarded to the real function (guard).
    pub blocked: bool,
    /// The first free of an instance that a reset or close had ended.
    pub late: bool,
    /// The caller did not know the address; `address` is the one that its owner held last.
    pub address_was_unknown: bool,
    /// The ledger had no room: `verdict` is not an answer, and `step` is not an order.
    pub untracked: bool,
    /// The address space.
    pub device: u32,
    /// The address in it. The address of the root where the event came through a view.
    pub address: u64,
    /// Who acted, 0 where not known.
    pub owner: u64,
    /// Whose instance it is about: `owner`, but the root's where `owner` is a view.
    pub root_owner: u64,
    /// The size in bytes of an allocation; 0 elsewhere. The capacity for `DeviceOpen`.
    pub size: u64,
    /// The number of the event at its address, from 1, in the order in which the ledger judged. 0 for events
    /// of a device.
    pub step: u64,
    /// How many resets and closes of the device came before (a reset or close: itself included).
    pub epoch: u32,
    /// The host's label for the buffer; see [`Trace::kind_names`].
    pub kind_label: u32,
    /// The innermost scope of the thread, 0 for none; see [`Trace::scopes`].
    pub scope: u32,
    /// Where the event came from.
    pub stack: StackId,
    /// The kernel's id of the thread.
    pub thread: u32,
    /// Nanoseconds on the monotonic clock.
    pub time_ns: u64,
}

impl Event {
    /// An event that was all right, and of which nothing else is told yet.
    #[must_use]
    pub const fn of(kind: EventKind) -> Self {
        Self {
            kind,
            verdict: Verdict::Ok,
            blocked: false,
            late: false,
            address_was_unknown: false,
            untracked: false,
            device: 0,
            address: 0,
            owner: 0,
            root_owner: 0,
            size: 0,
            step: 0,
            epoch: 0,
            kind_label: 0,
            scope: 0,
            stack: StackId(0),
            thread: 0,
            time_ns: 0,
        }
    }
}

/// A loaded object of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// The path under which the dynamic linker knows it; the executable's own path for the main program.
    pub path: String,
    /// The GNU build id, empty where the object has none.
    pub build_id: Vec<u8>,
    /// The difference between addresses in the process and those in the file.
    pub load_bias: u64,
    /// The first mapped address in the process.
    pub start: u64,
    /// The first address behind it.
    pub end: u64,
    /// Counts up with every module that was met; two loads of one file are two modules.
    pub generation: u32,
}

/// A native return address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NativeFrame {
    /// Index into [`Trace::modules`]; `None` where the address lies in no module.
    pub module: Option<u32>,
    /// The return address minus the module's load bias, or the address itself. The call is before it: look up
    /// `offset - 1`, but in the innermost frame of a signal.
    pub offset: u64,
}

/// A frame of the Python interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PythonFrame {
    /// Index into [`Trace::codes`].
    pub code: u32,
    /// The line that was being run, 0 where not known.
    pub line: u32,
    /// The outermost frame of one run of the interpreter's loop: the next native evaluation frame belongs to
    /// the frames behind this one.
    pub is_entry: bool,
}

/// A captured stack, innermost frame first in both lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    /// Return addresses.
    pub native: Vec<NativeFrame>,
    /// What the interpreter was doing.
    pub python: Vec<PythonFrame>,
    /// More native frames were there than the depth allows.
    pub truncated: bool,
}

/// A Python function.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PythonCode {
    /// `co_filename`.
    pub file: String,
    /// `co_qualname`, or `co_name` before 3.11.
    pub function: String,
    /// `co_firstlineno`.
    pub first_line: u32,
}

/// How the process ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// The exit code of a process that ended by itself.
    pub code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
}

/// Who was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// The id of its parent.
    pub parent_pid: u32,
    /// `argv`: the first word alone, unless `record_args=1`.
    pub command: Vec<String>,
    /// The end, as the launcher saw it; `None` where nobody was there to see.
    pub exit: Option<Exit>,
    /// The adapters that were in force.
    pub adapters: Vec<String>,
    /// Whether owners are object pointers, which can be used again: then nothing is proven by them.
    pub owners_are_pointers: bool,
    /// Whether this process was forked from a recorded one, whose live instances it inherited.
    pub fork: Option<ForkPoint>,
    /// Wall clock at the start of the recording, nanoseconds since the epoch.
    pub started_at_ns: u64,
}

/// Where a forked child left its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForkPoint {
    /// The id that the parent's trace carries; see [`Trace::id`].
    pub parent_trace: u64,
    /// The parent's monotonic clock at the child's first event, or at the fork where that was seen.
    pub time_ns: u64,
}

/// A hook that was bound, or why one could not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// An adapter's symbol that was called and forwarded to a library.
    Bound {
        /// The adapter.
        adapter: String,
        /// The mangled symbol.
        symbol: String,
        /// The library that has the original.
        library: String,
    },
    /// Something that cannot be seen.
    Unobservable {
        /// The symbol, or what else it is.
        symbol: String,
        /// Why.
        why: String,
        /// Whose, where it is one library's; else empty.
        library: String,
        /// Not certain is what depends on whether the library calls its own function, which only its file tells.
        is_certain: bool,
    },
}

/// A fault of the file, with the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Bytes from the start of the file.
    pub offset: u64,
    /// What is wrong there.
    pub what: String,
}

/// Everything one process recorded. Its events lie in memory, or wherever else an [`Events`](crate::Events) has them.
#[derive(Clone, Debug, Default)]
pub struct Trace<E = Vec<Event>> {
    /// A random number that tells traces apart.
    pub id: u64,
    /// The number that the launcher gave to everything it started, 0 without a launcher.
    pub session: u64,
    /// Who was recorded.
    pub process: Process,
    /// Every event that the host had returned from; in the order of the threads' chunks, not of time.
    pub events: E,
    /// Stacks by [`StackId`]; number 0 is the empty stack.
    pub stacks: Vec<Stack>,
    /// Loaded objects.
    pub modules: Vec<Module>,
    /// Python functions.
    pub codes: Vec<PythonCode>,
    /// Names of devices.
    pub device_names: BTreeMap<u32, String>,
    /// Names of buffer kinds.
    pub kind_names: BTreeMap<u32, String>,
    /// Labels of scopes.
    pub scopes: BTreeMap<u32, String>,
    /// What was hooked and what could not be.
    pub coverage: Vec<Coverage>,
    /// Events that were lost, by their own count.
    pub dropped_events: u64,
    /// Those of them that were not even judged: what came after them may look excessive and not be.
    pub unjudged_events: u64,
    /// Who lost them and when. Of traces that do not tell there are none.
    pub losses: Vec<Loss>,
    /// Where the file is broken; a file that merely ends early because the host was killed has none.
    pub damage: Vec<Damage>,
}

impl<E> Trace<E> {
    /// The same trace with other events, which `to` makes of its own.
    #[must_use]
    pub fn map_events<F>(self, to: impl FnOnce(E) -> F) -> Trace<F> {
        Trace {
            id: self.id,
            session: self.session,
            process: self.process,
            events: to(self.events),
            stacks: self.stacks,
            modules: self.modules,
            codes: self.codes,
            device_names: self.device_names,
            kind_names: self.kind_names,
            scopes: self.scopes,
            coverage: self.coverage,
            dropped_events: self.dropped_events,
            unjudged_events: self.unjudged_events,
            losses: self.losses,
            damage: self.damage,
        }
    }
}
