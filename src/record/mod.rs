//! The record stop of an event's way: from a thread's hands into a mapping that outlives the process.
//!
//! A [`Recorder`] is one trace. Threads write to `chunks` of their own by a [`pen`]; full ones are sealed. The writer
//! thread ([`writer`]) makes chunks ahead of need and compresses the sealed ones ([`compress`]), which are used again
//! then; where there is none, as in a child forked behind our back, a thread makes its own, and they stay as they are.
//!
//! `words` are those that a chunk begins with, `ready` holds chunks that wait for a thread, `supply` is what a thread does
//! when there are none. `losses` tells what found no room. `errand` is what the writer does for somebody who waits, `aside`
//! how it makes way for the host, and `alone` how it ends with it.
//!
//! **Architecture Invariant:** nothing is lost silently. What cannot be written is counted in the trace's header.

mod alone;
mod aside;
mod chunks;
mod compress;
pub mod dump;
pub mod errand;
pub mod intern;
mod losses;
pub mod pen;
mod ready;
mod sealed;
pub mod sink;
mod supply;
mod words;
pub mod writer;

use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use whofreed_trace::blob::blob_kind;
use whofreed_trace::layout;
use whofreed_trace::layout::Anchor;
use whofreed_trace::layout::CHUNK_SIZE;
use whofreed_trace::layout::EVENT_SIZE;
use whofreed_trace::layout::FileHeader;

use self::chunks::READY;
use self::intern::Interner;
use self::ready::Ready;
use self::sealed::Sealed;
use self::sink::Sink;
use self::supply::Asking;
use crate::clock;
use crate::identity;
use crate::options;
use crate::options::Options;
use crate::stack::known::Known;
use crate::stack::modules::Modules;
use crate::sys;
use crate::tally;

pub use self::losses::Lost;
pub use self::pen::Pen;

/// Most different stacks.
const MAX_STACKS: u32 = 1 << 22;
/// Most different Python functions, and most labels of scopes.
const MAX_NAMES: u32 = 1 << 18;

/// Where a forked child left its parent.
#[derive(Clone, Copy, Debug)]
pub struct Fork {
    /// The parent's trace.
    pub parent_trace: u64,
    /// The monotonic clock at the fork, or at the child's first event.
    pub time: u64,
}

/// One trace that is being written.
#[derive(Debug)]
pub struct Recorder {
    /// The number of the trace.
    pub trace_id: u64,
    /// The process that it belongs to, by our number ([`identity::number`]).
    pub process: u32,
    /// The same, by the kernel's.
    pub pid: u32,
    /// The user does not want this process to be recorded.
    pub is_muted: bool,
    /// Every stack that was seen.
    pub stacks: Interner,
    /// The numbers of stacks as they are in this process.
    pub known: Known,
    /// Every Python function.
    pub codes: Interner,
    /// Every label of a scope.
    pub labels: Interner,
    /// Every loaded object that a stack went through.
    pub modules: Modules,
    /// The way to the writer thread, where there is one.
    pub mail: writer::Mailbox,
    sink: Sink,
    header: Option<NonNull<FileHeader>>,
    ready: Ready<READY>,
    sealed: Sealed,
    asking: Asking,
    /// How often a chunk was begun that will be used again.
    fills: AtomicU64,
    dropped: AtomicU64,
    /// How often in a row the sink had no chunk, and until when it is not asked again, by the monotonic clock.
    refusals: AtomicU32,
    refused_until: AtomicU64,
    complained: AtomicBool,
    spoke_of_python: AtomicBool,
}

// SAFETY: the header is a mapping that is never given back and is written by atomics only; chunks are handed out
// to one thread each.
unsafe impl Send for Recorder {}
// SAFETY: as above.
unsafe impl Sync for Recorder {}

impl Recorder {
    /// Starts a trace as the options say. A trace that cannot be made is said on stderr, once; everything is
    /// then lost, and counted.
    #[must_use]
    pub fn start(options: &Options, fork: Option<Fork>) -> Option<Self> {
        let pid = sys::process_id();
        let muted = fork.is_some() && !options.follow_children;
        // Before the trace: a file must not stay behind that nothing will be written to.
        let stacks = Interner::new(blob_kind::STACK, sys::affordable(MAX_STACKS))?;
        let known = Known::new()?;
        let codes = Interner::new(blob_kind::CODE, sys::affordable(MAX_NAMES))?;
        let labels = Interner::new(blob_kind::SCOPE, sys::affordable(MAX_NAMES))?;
        let modules = Modules::new()?;
        let made = match &options.trace {
            _ if muted => Ok((Sink::Nowhere, None)),
            Some(path) => {
                let path = options::expand_path(path, pid);
                let session = tally::names_traces().then_some(options.session);
                let made = Sink::create_file(&path, pid, session);
                made.map(|(sink, header)| (sink, Some(header)))
                    .map_err(|error| format!("cannot write the trace {}: {error}", path.display()))
            }
            None => Sink::create_memory()
                .map(|(sink, header)| (sink, Some(header)))
                .map_err(|error| format!("no memory for the trace: {error}")),
        };
        let (sink, header) = made.unwrap_or_else(|complaint| {
            sys::complain(&format!("{complaint}; events are counted, not kept"));
            (Sink::Nowhere, None)
        });
        let is_memory = matches!(sink, Sink::Memory(_));
        let places = if is_memory {
            sink::MEMORY_EVENT_CHUNKS
        } else {
            0
        };
        let recorder = Self {
            trace_id: sys::random_number(),
            process: identity::number(),
            pid,
            is_muted: muted,
            stacks,
            known,
            codes,
            labels,
            modules,
            mail: writer::Mailbox::default(),
            sink,
            header,
            ready: Ready::default(),
            sealed: Sealed::new(places),
            asking: Asking::default(),
            fills: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            refusals: AtomicU32::new(0),
            refused_until: AtomicU64::new(0),
            complained: AtomicBool::new(false),
            spoke_of_python: AtomicBool::new(false),
        };
        recorder.write_header(options, fork);
        recorder.write_preamble(options);
        recorder.tell_clocks();
        Some(recorder)
    }

    /// Whether it is the calling process's, and not its parent's: neither that of a child's copy, nor that of a child that
    /// shares the memory.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.process == identity::number() && self.pid == sys::process_id()
    }

    fn write_header(&self, options: &Options, fork: Option<Fork>) {
        let Some(header) = self.header else {
            return;
        };
        // SAFETY: getppid has no preconditions.
        let parent_pid = unsafe { libc::getppid() } as u32;
        let content = FileHeader {
            magic: [0; 8],
            version: layout::VERSION,
            byte_order: layout::BYTE_ORDER_MARK,
            header_size: layout::HEADER_SIZE as u32,
            chunk_size: CHUNK_SIZE as u32,
            event_size: EVENT_SIZE as u32,
            machine: MACHINE,
            trace_id: self.trace_id,
            session: options.session,
            pid: self.pid,
            parent_pid,
            started_realtime: sys::realtime_ns(),
            started_monotonic: sys::monotonic_ns(),
            flags: layout::FLAG_UNJUDGED_COUNTED | fork.map_or(0, |_| layout::FLAG_FORKED),
            fork_parent: fork.map_or(0, |fork| fork.parent_trace),
            fork_time: fork.map_or(0, |fork| fork.time),
            dropped_events: 0,
            untracked_events: 0,
            chunks: 0,
            exit_kind: 0,
            exit_value: 0,
            clock: if clock::is_ticking() {
                layout::CLOCK_TICKS
            } else {
                0
            },
            unjudged_events: 0,
            anchors: [clock::anchor(); 3],
            anchor: 0,
            reserved: 0,
        };
        // SAFETY: the header's mapping is large enough, and no other thread knows the recorder yet.
        unsafe { header.write(content) };
        // Last, in one store: what is killed before has left no trace, and nothing that looks like half of one.
        if let Some(magic) = self.atomic_in_header(std::mem::offset_of!(FileHeader, magic)) {
            magic.store(u64::from_ne_bytes(layout::MAGIC), Ordering::Release);
        }
    }

    /// Tells whose trace this is.
    fn write_preamble(&self, options: &Options) {
        let mut pen = Pen::default();
        let command = std::fs::read("/proc/self/cmdline").unwrap_or_default();
        let words = command
            .split(|byte| *byte == 0)
            .filter(|word| !word.is_empty());
        let told = if options.record_args { 4096 } else { 1 };
        for (number, word) in (0..).zip(words.take(told)) {
            let word = &word[..word.len().min(4096)];
            pen.blob(self, blob_kind::COMMAND_WORD, 0, number, word);
        }
    }

    fn atomic_in_header(&self, offset: usize) -> Option<&AtomicU64> {
        let header = self.header?;
        // SAFETY: the offset is that of a u64 field of the header, which is aligned, mapped for ever, and from now
        // on written by atomics only.
        Some(unsafe { header.cast::<u8>().add(offset).cast::<AtomicU64>().as_ref() })
    }

    /// Writes down both clocks as they are now. For one thread at a time: who starts the trace, then the writer.
    fn tell_clocks(&self) {
        let Some(header) = self.header else {
            return;
        };
        let header = header.cast::<u8>();
        let word = |offset: usize| {
            // SAFETY: the offset is that of an aligned u64 of the header, which is mapped for ever, and written by
            // atomics only.
            unsafe { header.add(offset).cast::<AtomicU64>().as_ref() }
        };
        // SAFETY: as above, for a u32.
        let which = unsafe {
            let offset = std::mem::offset_of!(FileHeader, anchor);
            header.add(offset).cast::<AtomicU32>().as_ref()
        };
        let next = 1 - (which.load(Ordering::Relaxed) & 1);
        let place =
            std::mem::offset_of!(FileHeader, anchors) + (1 + next as usize) * size_of::<Anchor>();
        let now = clock::anchor();
        word(place + std::mem::offset_of!(Anchor, ticks)).store(now.ticks, Ordering::Relaxed);
        word(place + std::mem::offset_of!(Anchor, ns)).store(now.ns, Ordering::Relaxed);
        which.store(next, Ordering::Release);
    }

    /// Counts events that are judged and not recorded.
    pub fn lose(&self, lost: &Lost) {
        self.dropped.fetch_add(lost.events, Ordering::Relaxed);
        self.count_in_header(
            std::mem::offset_of!(FileHeader, dropped_events),
            lost.events,
        );
        match self.header {
            Some(header) => losses::tell(header, lost),
            None if !self.is_muted => tally::count_untold(lost.events),
            None => {}
        }
    }

    /// Counts events that are lost before they were judged.
    pub fn lose_unjudged(&self, lost: &Lost) {
        self.lose(lost);
        self.count_in_header(
            std::mem::offset_of!(FileHeader, unjudged_events),
            lost.events,
        );
    }

    fn count_in_header(&self, offset: usize, events: u64) {
        if let Some(counter) = self.atomic_in_header(offset) {
            counter.fetch_add(events, Ordering::Relaxed);
        }
    }

    /// Whether nobody has told yet why there are no frames of Python. True once.
    pub fn first_word_on_python(&self) -> bool {
        !self.spoke_of_python.swap(true, Ordering::Relaxed)
    }

    /// How many events were lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// How many of them the trace does not tell of, since there is none.
    #[must_use]
    pub fn untold(&self) -> u64 {
        if self.header.is_none() && !self.is_muted {
            self.lost()
        } else {
            0
        }
    }

    /// Notes in the trace that owners are pointers, or are not.
    pub fn set_owners_are_pointers(&self, yes: bool) {
        if let Some(flags) = self.atomic_in_header(std::mem::offset_of!(FileHeader, flags)) {
            if yes {
                flags.fetch_or(layout::FLAG_OWNERS_ARE_POINTERS, Ordering::Relaxed);
            } else {
                flags.fetch_and(!layout::FLAG_OWNERS_ARE_POINTERS, Ordering::Relaxed);
            }
        }
    }

    /// Puts what was recorded so far on the disk. 0 or a negative errno.
    #[must_use]
    pub fn sync(&self) -> i32 {
        let _no_cancel = sys::NoCancel::new();
        match self.sink.sync() {
            Ok(()) => 0,
            Err(error) => -error.raw_os_error().unwrap_or(libc::EIO),
        }
    }

    /// Tells the launcher, where there is one, that this is the process's trace.
    pub fn tell_launcher(&self) {
        if let Some(descriptor) = self.sink.descriptor() {
            tally::tell_of_trace(self.pid, descriptor);
            self.sink.settle(self.pid);
        }
    }

    /// Gives up a trace that is not going to be the process's.
    pub fn discard(&self) {
        self.sink.discard();
    }

    /// The file, if there is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.sink.path()
    }
}

#[cfg(target_arch = "x86_64")]
const MACHINE: u32 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u32 = 183;
