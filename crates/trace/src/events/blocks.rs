//! Blocks of a file as they were last read, and the next ones, which a thread of its own reads ahead: who goes through
//! a trace from its beginning to its end, as the replay does, then hardly waits for them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::clock::Clock;
use crate::layout::EventRecord;
use crate::segment::Block;

/// So many blocks are kept: threads take turns, and each is somewhere else.
const KEPT: usize = 64;
/// So many are read ahead.
pub(super) const AHEAD: usize = 4;
/// The thread begins when so many have been read: most traces are shorter.
const MANY: u64 = 16;

/// Who waits for so long helps itself.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where a block lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) size: u32,
}

/// Its events; `None` where they cannot be read.
type Events = Option<Arc<Vec<EventRecord>>>;

/// What was read of a block: nothing while the thread is at it.
#[derive(Debug)]
struct Kept {
    offset: u64,
    read: Option<Events>,
}

#[derive(Debug, Default)]
struct State {
    /// The latest at the end.
    kept: Vec<Kept>,
    reads: u64,
    /// The way to the thread, once there is one.
    thread: Option<Sender<Place>>,
    has_failed: bool,
}

impl State {
    /// Makes the block the latest one; whether it is kept or on its way.
    fn touch(&mut self, offset: u64) -> bool {
        let known = self.kept.iter().rposition(|kept| kept.offset == offset);
        if let Some(known) = known {
            self.kept[known..].rotate_left(1);
        }
        known.is_some()
    }

    fn add(&mut self, offset: u64, read: Option<Events>) {
        if self.kept.len() == KEPT {
            self.kept.remove(0);
        }
        self.kept.push(Kept { offset, read });
    }

    fn read_of(&self, offset: u64) -> Option<&Option<Events>> {
        let mut newest_first = self.kept.iter().rev();
        newest_first
            .find(|kept| kept.offset == offset)
            .map(|kept| &kept.read)
    }
}

#[derive(Debug)]
struct Shared {
    file: File,
    clock: Clock,
    state: Mutex<State>,
    has_read: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the events of a block, with their times in nanoseconds.
    fn decode(&self, place: Place) -> Events {
        let mut bytes = vec![0; place.size as usize];
        self.file.read_exact_at(&mut bytes, place.offset).ok()?;
        let mut events = Vec::new();
        Block::read(&bytes).ok()?.events(&mut events)?;
        for event in &mut events {
            event.time = self.clock.ns(event.time);
        }
        Some(Arc::new(events))
    }

    /// Reads what is asked for until nobody asks any more.
    fn read_ahead(self: &Arc<Self>) -> Option<Sender<Place>> {
        let (sender, receiver) = channel::<Place>();
        let shared = Arc::clone(self);
        let work = move || {
            for place in receiver {
                let events = shared.decode(place);
                let mut state = shared.lock();
                let mut kept = state.kept.iter_mut();
                if let Some(kept) = kept.find(|kept| kept.offset == place.offset) {
                    kept.read = Some(events);
                }
                drop(state);
                shared.has_read.notify_all();
            }
        };
        let thread = thread::Builder::new().name("whofreed-read".to_owned());
        thread.spawn(work).ok().map(|_| sender)
    }
}

/// The blocks of a file.
#[derive(Debug)]
pub(super) struct Blocks(Arc<Shared>);

impl Drop for Blocks {
    fn drop(&mut self) {
        // Nobody asks any more: the thread ends.
        self.0.lock().thread = None;
    }
}

impl Blocks {
    pub(super) fn of(file: File, clock: Clock) -> Self {
        Self(Arc::new(Shared {
            file,
            clock,
            state: Mutex::default(),
            has_read: Condvar::new(),
        }))
    }

    pub(super) fn file(&self) -> &File {
        &self.0.file
    }

    /// The events of a block; `next` are those that are likely to be asked for next.
    pub(super) fn at(&self, place: Place, next: impl Iterator<Item = Place>) -> Events {
        let shared = &self.0;
        let mut state = shared.lock();
        let is_latest = |state: &State| {
            state
                .kept
                .last()
                .is_some_and(|kept| kept.offset == place.offset)
        };
        if !is_latest(&state) {
            self.ask_ahead(&mut state, next);
        }
        if !state.touch(place.offset) {
            drop(state);
            let events = shared.decode(place);
            let mut state = shared.lock();
            state.reads += 1;
            if !state.touch(place.offset) {
                state.add(place.offset, Some(events.clone()));
            }
            return events;
        }
        loop {
            match state.read_of(place.offset) {
                Some(Some(events)) => return events.clone(),
                // The thread is at it.
                Some(None) => {
                    let waited = shared.has_read.wait_timeout(state, PATIENCE);
                    let (again, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                    if timeout.timed_out() {
                        break;
                    }
                    state = again;
                }
                // It had to make room meanwhile.
                None => break,
            }
        }
        shared.decode(place)
    }

    fn ask_ahead(&self, state: &mut State, next: impl Iterator<Item = Place>) {
        if state.reads < MANY || state.has_failed {
            return;
        }
        if state.thread.is_none() {
            state.thread = self.0.read_ahead();
            state.has_failed = state.thread.is_none();
        }
        let Some(thread) = state.thread.clone() else {
            return;
        };
        for place in next {
            if state.read_of(place.offset).is_none() && thread.send(place).is_ok() {
                state.add(place.offset, None);
            }
        }
    }
}
