//! The naming stop of an event's way: raw frames of a trace become functions, files and lines.
//!
//! Nothing is resolved inside the host, so this happens later, from the files on disk, and only for the stacks
//! that somebody asks for. A file that is no longer the one that was recorded gives no names: an address is
//! better than a wrong name. Everything that is read here may have been written by anybody.
//!
//! [`Resolver`] keeps what it has found: each stack, each address of a module and each file is looked at once. Below
//! it, a `Binary` stands for a module, and a `Reader` for its files; between the two are the answers that are known
//! already, of this process or, by way of a [`Store`], of one before.

mod abridged;
mod ahead;
mod answers;
mod binary;
mod call_sites;
mod debug_files;
mod demangle;
mod found;
#[cfg(fuzzing)]
pub mod fuzzing;
mod kept;
mod mixed;
mod reader;
mod sources;
mod symbol_table;
mod tail_calls;

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use whofreed_trace::Event;
use whofreed_trace::Frame;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;
use whofreed_trace::Trace;

pub use crate::call_sites::inlined;
use crate::found::Found;
pub use crate::kept::Store;

/// Is told how far the reading of names is, by any thread: so somebody who waits can be told.
pub trait Watcher: Sync {
    /// So many more call sites are going to be looked up.
    fn will_look_up(&self, call_sites: usize);

    /// So many of them were.
    fn has_looked_up(&self, call_sites: usize);
}

/// Resolves the stacks of several traces, each stack at most once.
pub struct Resolver<'traces, E = Vec<Event>> {
    traces: &'traces [Trace<E>],
    /// As many threads may read files, this one included.
    threads: usize,
    watcher: Option<&'traces dyn Watcher>,
    found: RefCell<Found<'traces>>,
}

impl<E> fmt::Debug for Resolver<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.found.borrow();
        f.debug_struct("Resolver")
            .field("traces", &self.traces.len())
            .field("stacks", &found.stacks.len())
            .field("files", &found.files.len())
            .field("notes", &found.notes)
            .finish_non_exhaustive()
    }
}

impl<'traces, E> Resolver<'traces, E> {
    /// Prepares to resolve stacks of `traces`. Nothing is read before the first stack is asked for.
    #[must_use]
    pub fn new(traces: &'traces [Trace<E>]) -> Self {
        Self {
            traces,
            threads: 1,
            watcher: None,
            found: RefCell::default(),
        }
    }

    /// Lets as many threads read files, the caller's included. In a host it has to be that one alone.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// Tells `watcher` how far it is.
    #[must_use]
    pub fn with_watcher(self, watcher: &'traces dyn Watcher) -> Self {
        Self {
            watcher: Some(watcher),
            ..self
        }
    }

    /// Believes what `store` has kept of earlier resolvers, where it is still true.
    #[must_use]
    pub fn with_store(self, store: &'traces dyn Store) -> Self {
        self.found.borrow_mut().store = Some(store);
        self
    }

    /// Hands the store what it did not have.
    pub fn keep(&self) {
        self.found.borrow().keep();
    }

    /// What a reader of the names should know, such as modules that changed since the recording; about the
    /// stacks that were asked for so far.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.found.borrow().notes.clone()
    }
}

impl<E> StackNames for Resolver<'_, E> {
    fn frames(&self, trace: usize, stack: StackId) -> Arc<[Frame]> {
        let mut found = self.found.borrow_mut();
        if let Some(frames) = found.stacks.get(&(trace, stack)) {
            return Arc::clone(frames);
        }
        let frames = self
            .traces
            .get(trace)
            .map(|recorded| found.resolve(trace, recorded, stack))
            .unwrap_or_default();
        found.stacks.insert((trace, stack), Arc::clone(&frames));
        frames
    }

    fn prepare(&self, stacks: &mut dyn Iterator<Item = (usize, StackId)>) {
        let mut found = self.found.borrow_mut();
        ahead::read(&mut found, self.traces, stacks, self.threads, self.watcher);
    }
}
