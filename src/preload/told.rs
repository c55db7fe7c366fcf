//! What has been told to the trace once, in which process: a forked child begins a trace of its own, which has to hold
//! all that its events refer to.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use crate::process;

/// How many things of a sort are told; of what lies beyond, nothing is.
const MOST: usize = 4096;

/// The things of one sort, each with the process that told it last.
#[derive(Debug)]
pub(super) struct Told([AtomicU32; MOST]);

/// The adapters in force: one thing, all of them.
pub(super) static ADAPTERS: Told = Told::new();
/// Where the real function of each stub was found.
pub(super) static BOUND: Told = Told::new();
/// What is wrong with each stub.
pub(super) static UNOBSERVABLE: Told = Told::new();
/// Which stubs have more originals than there are spare stubs.
pub(super) static SPARED: Told = Told::new();
/// Of which stubs calls go to an original that nobody can be sure of.
pub(super) static GUESSED: Told = Told::new();
/// Of which stubs there is nothing left to tell ([`Plain`](super::plain::Plain)).
pub(super) static ALL: Told = Told::new();
/// The name of each device.
pub(super) static DEVICES: Told = Told::new();

impl Told {
    const fn new() -> Self {
        Self([const { AtomicU32::new(0) }; MOST])
    }

    /// Whether a thing has been told in this process.
    #[inline]
    pub(super) fn is_told(&self, thing: usize) -> bool {
        let (Some(told_by), Some(world)) = (self.0.get(thing), process::made_world()) else {
            return false;
        };
        told_by.load(Ordering::Relaxed) == world.recorder.process
    }

    /// True once in each process, for each thing: it is to be told now.
    #[inline]
    pub(super) fn is_first(&self, thing: usize) -> bool {
        let (Some(told_by), Some(world)) = (self.0.get(thing), process::world()) else {
            return false;
        };
        let process = world.recorder.process;
        told_by.load(Ordering::Relaxed) != process
            && told_by.swap(process, Ordering::Relaxed) != process
    }
}
