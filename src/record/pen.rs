//! A thread's place to write: one chunk of events and one of data, appended to without a lock.
//!
//! The commit word of a chunk is stored after what it covers; whoever reads the file later believes nothing
//! beyond it. That is all it takes to survive SIGKILL at any instant: the pages are the kernel's.

use std::ptr;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::sync::atomic::compiler_fence;

use whofreed_trace::blob::BLOB_HEADER_SIZE;
use whofreed_trace::blob::BlobHeader;
use whofreed_trace::blob::blob_size;
use whofreed_trace::blob::checksum;
use whofreed_trace::layout::CHUNK_HEADER_SIZE;
use whofreed_trace::layout::CHUNK_SIZE;
use whofreed_trace::layout::EVENT_SIZE;
use whofreed_trace::layout::EventRecord;
use whofreed_trace::layout::KIND_THREAD;
use whofreed_trace::layout::chunk_kind;
use zerocopy::IntoBytes;

use crate::primitive::prefetch_to_write;
use crate::record::Recorder;
use crate::record::chunks::unmap;
use crate::record::chunks::words_of;
use crate::sys;

/// The bytes that a chunk has for content.
pub const CAPACITY: usize = CHUNK_SIZE - CHUNK_HEADER_SIZE;

/// A chunk, or several in a row, that one thread writes to; or none. Valid as zeros: none.
#[derive(Debug)]
pub struct Page {
    base: *mut u8,
    used: usize,
    /// With its header.
    size: usize,
}

impl Page {
    /// No chunk.
    pub const NONE: Self = Self {
        base: ptr::null_mut(),
        used: 0,
        size: 0,
    };

    /// What was taken from the recorder, empty.
    #[must_use]
    pub const fn new(base: NonNull<u8>, size: usize) -> Self {
        Self {
            base: base.as_ptr(),
            used: 0,
            size,
        }
    }

    /// In a forked child, in the middle of an event of its parent's: what is still to be written to the chunk goes
    /// nowhere.
    fn part(&self) {
        if self.base.is_null() {
            return;
        }
        // SAFETY: the chunk is mapped as a whole, and used by this thread alone, which goes on with memory of the same
        // size that it can write to; where the kernel has none, nothing changes.
        unsafe {
            libc::mmap(
                self.base.cast(),
                self.size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                -1,
                0,
            );
        }
    }

    /// Whether so many bytes more fit in.
    #[must_use]
    pub const fn has_room(&self, len: usize) -> bool {
        self.used + len + CHUNK_HEADER_SIZE <= self.size
    }

    /// Lets go of it; the kernel has its content.
    pub fn unmap(self) {
        if let Some(base) = NonNull::new(self.base) {
            unmap(base, self.size);
        }
    }

    /// Forgets what was begun and not committed.
    fn begin_anew(&mut self) {
        if let Some(base) = NonNull::new(self.base) {
            // SAFETY: a chunk that is not sealed is mapped.
            self.used = unsafe { words_of(base) }.committed() as usize;
        }
    }

    /// Writes an event to the end of the chunk and commits it.
    fn append_event(&mut self, event: &EventRecord) {
        debug_assert!(self.has_room(EVENT_SIZE), "the caller has looked for room");
        // SAFETY: as in `append`; the content of a chunk is aligned to its words. Volatile, field by field: some of
        // them were written a moment ago, and a wider load would wait until they have left for memory.
        unsafe {
            let start = self.base.add(CHUNK_HEADER_SIZE + self.used);
            let place = start.cast::<EventRecord>();
            macro_rules! copy {
                ($($field:ident),+) => {
                    $((&raw mut (*place).$field).write_volatile(event.$field);)+
                };
            }
            copy!(
                kind, verdict, flags, device, address, owner, extra, time, step, epoch, label,
                stack, scope
            );
            // The next one's place is where the writer thread looked last.
            prefetch_to_write(start.wrapping_add(EVENT_SIZE));
        }
        self.commit(EVENT_SIZE);
    }

    /// What was written behind what is committed is, from now on.
    fn commit(&mut self, len: usize) {
        self.used += len;
        // SAFETY: a page that was written to is mapped, and so is not null.
        unsafe { words_of(NonNull::new_unchecked(self.base)) }.commit(self.used as u64);
    }

    /// Copies the pieces behind each other to the end of the chunk and commits them. Returns where they lie.
    pub fn append(&mut self, pieces: &[&[u8]], padded_len: usize) -> *const u8 {
        debug_assert!(self.has_room(padded_len), "the caller has looked for room");
        // SAFETY: `has_room` holds, so everything up to `used + padded_len` lies inside the chunk, which is mapped
        // and which this thread alone writes to.
        let start = unsafe {
            let start = self.base.add(CHUNK_HEADER_SIZE + self.used);
            let mut place = start;
            for piece in pieces {
                ptr::copy_nonoverlapping(piece.as_ptr(), place, piece.len());
                place = place.add(piece.len());
            }
            start
        };
        self.commit(padded_len);
        start
    }
}

/// Where a thread writes. Valid as zeros.
#[derive(Debug)]
pub struct Pen {
    recorder: *const Recorder,
    events: Page,
    data: Page,
    announced: bool,
}

impl Default for Pen {
    /// A pen without a chunk yet.
    fn default() -> Self {
        Self {
            recorder: ptr::null(),
            events: Page::NONE,
            data: Page::NONE,
            announced: false,
        }
    }
}

impl Pen {
    /// Another thread uses the pen from now on, whose events must say so; or the same one, after a signal handler has
    /// jumped out of an event at any place.
    pub fn begin_anew(&mut self) {
        self.announced = false;
        self.events.begin_anew();
        self.data.begin_anew();
    }

    /// In a forked child that a signal handler made in the middle of an event: the parent writes that event, and uses
    /// its chunks again, so the child must not touch them any more.
    pub fn part(&self) {
        self.events.part();
        self.data.part();
    }

    /// After a fork the chunks are the parent's: they are let go untouched.
    fn follow(&mut self, recorder: &Recorder) {
        if !ptr::eq(self.recorder, recorder) {
            self.events = Page::NONE;
            self.data = Page::NONE;
            self.announced = false;
            // Not the other way round: a signal handler may jump out of here.
            compiler_fence(Ordering::SeqCst);
            self.recorder = recorder;
        }
    }

    /// Appends an event. False when it could not be kept.
    pub fn event(&mut self, recorder: &Recorder, thread_id: u32, event: &EventRecord) -> bool {
        self.follow(recorder);
        if !self.events.has_room(EVENT_SIZE) {
            // A handler in between could fork, and the child would go on with a chunk that nobody knows it has; or
            // jump.
            let is_taken = sys::with_signals_blocked(|| {
                let full = std::mem::replace(&mut self.events, Page::NONE).base;
                if !full.is_null() {
                    recorder.seal(full, chunk_kind::EVENTS);
                }
                let chunk = recorder.take_chunk(chunk_kind::EVENTS);
                self.events = chunk.map_or(Page::NONE, |chunk| Page::new(chunk, CHUNK_SIZE));
                chunk.is_some()
            });
            if !is_taken {
                return false;
            }
            self.announced = false;
        }
        if !self.announced {
            let announcement = EventRecord {
                kind: KIND_THREAD,
                address: u64::from(thread_id),
                ..EventRecord::default()
            };
            self.events.append_event(&announcement);
            self.announced = true;
            if !self.events.has_room(EVENT_SIZE) {
                return self.event(recorder, thread_id, event);
            }
        }
        self.events.append_event(event);
        true
    }

    /// Appends what events refer to. Returns where the payload lies, for as long as the trace is mapped.
    pub fn blob(
        &mut self,
        recorder: &Recorder,
        kind: u16,
        flags: u16,
        id: u32,
        payload: &[u8],
    ) -> Option<*const u8> {
        self.follow(recorder);
        let size = blob_size(payload.len());
        if size > CAPACITY {
            return None;
        }
        if !self.data.has_room(size) {
            // The old chunk stays mapped: what is in it is compared with later.
            let chunk = sys::with_signals_blocked(|| recorder.take_chunk(chunk_kind::DATA));
            self.data = Page::new(chunk?, CHUNK_SIZE);
        }
        let header = BlobHeader {
            len: u32::try_from(payload.len()).ok()?,
            kind,
            flags,
            id,
            checksum: checksum(payload),
        };
        let start = self.data.append(&[header.as_bytes(), payload], size);
        // SAFETY: the payload was written behind the header, inside the same chunk.
        Some(unsafe { start.add(BLOB_HEADER_SIZE) })
    }
}
