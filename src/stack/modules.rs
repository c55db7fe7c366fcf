//! Which loaded object an address lies in: from a code address to a module of the trace.
//!
//! A module is told apart by where it is mapped, by the linker's own records of it, by its name and the first bytes of its
//! build id: a library that was closed and another one loaded at the same address are two modules.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use whofreed_trace::blob::PayloadWriter;
use whofreed_trace::blob::blob_kind;

use crate::arena::Arena;
use crate::arena::ZeroInit;
use crate::index::Index;
use crate::index::MappedSlots;
use crate::linkmap;
use crate::linkmap::FoundObject;
use crate::mix::mix;
use crate::record::Pen;
use crate::record::Recorder;
use crate::record::intern::hash_of;
use crate::stack::MAX_TEXT;

/// Frames carry 16 bits for the module.
const MAX_MODULES: u32 = (1 << 16) - 1;
/// Objects that one stack is likely to go through: with too few, a stack that goes back and forth between them asks the
/// linker anew at every frame.
const REMEMBERED: usize = 16;

const KEY_WORDS: usize = 7;
type Key = [u64; KEY_WORDS];

#[derive(Debug, Default)]
#[repr(C)]
struct Entry {
    key: [AtomicU64; KEY_WORDS],
}

// SAFETY: zeroed memory is an array of valid atomics, which may be shared.
unsafe impl ZeroInit for Entry {}

/// The modules of a trace, numbered from 1.
#[derive(Debug)]
pub struct Modules {
    entries: Arena<Entry>,
    index: Index<MappedSlots>,
}

/// Looks up the frames of one stack. While it lives the objects of the stack cannot be unloaded, so it may
/// remember where they lie.
#[derive(Debug)]
pub struct Finder<'modules> {
    modules: &'modules Modules,
    remembered: [(usize, usize, usize, u32); REMEMBERED],
    next: usize,
}

impl Modules {
    /// No modules yet.
    #[must_use]
    pub fn new() -> Option<Self> {
        Some(Self {
            entries: Arena::new(MAX_MODULES)?,
            index: Index::new(MappedSlots::new(MAX_MODULES as usize)?),
        })
    }

    /// Starts to look up the frames of a stack.
    #[must_use]
    pub const fn finder(&self) -> Finder<'_> {
        Finder {
            modules: self,
            remembered: [(0, 0, 0, 0); REMEMBERED],
            next: 0,
        }
    }

    fn is(&self, entry: u32, key: &Key) -> bool {
        let words = &self.entries.get(entry).key;
        // Relaxed: the index was read with Acquire, and the key was there before.
        words
            .iter()
            .zip(key)
            .all(|(word, part)| word.load(Ordering::Relaxed) == *part)
    }

    /// The number of a module, which is written to the trace when it is new; 0 when there is no room.
    fn number(
        &self,
        recorder: &Recorder,
        pen: &mut Pen,
        memory: &mut [u8; MAX_TEXT],
        found: &FoundObject,
    ) -> u32 {
        let key = key_of(found);
        let hash = key.iter().fold(0, |hash, word| mix(hash ^ *word));
        if let Some(entry) = self.index.find(hash, |entry| self.is(entry, &key)) {
            return entry + 1;
        }
        let Some(new) = self.entries.take() else {
            return 0;
        };
        for (word, part) in self.entries.get(new).key.iter().zip(key) {
            word.store(part, Ordering::Relaxed);
        }
        // The path is made in the second half, the payload in the first.
        let (memory, path) = memory.split_at_mut(MAX_TEXT / 2);
        let path = path_of(found, path);
        let mut payload = PayloadWriter::new(memory);
        payload.u64(found.load_bias as u64);
        payload.u64(found.start as u64);
        payload.u64(found.end as u64);
        payload.u32(new + 1);
        payload.text(path);
        payload.text(build_id(found));
        let Some(len) = payload.finish() else {
            return 0;
        };
        let written = pen.blob(recorder, blob_kind::MODULE, 0, new + 1, &memory[..len]);
        if written.is_none() {
            return 0;
        }
        match self.index.insert(hash, |entry| self.is(entry, &key), new) {
            crate::index::Inserted::Found(entry) => entry + 1,
            _ => new + 1,
        }
    }
}

impl Finder<'_> {
    /// The module of a code address and the offset in it; module 0 and the address itself outside of any.
    pub fn find(
        &mut self,
        recorder: &Recorder,
        pen: &mut Pen,
        memory: &mut [u8; MAX_TEXT],
        address: usize,
    ) -> (u32, u64) {
        let mut remembered = self.remembered[..self.next.min(REMEMBERED)].iter().rev();
        let known = remembered.find(|(start, end, ..)| (*start..*end).contains(&address));
        if let Some((_, _, load_bias, number)) = known {
            return (*number, address.wrapping_sub(*load_bias) as u64);
        }
        // A return address behind a call that never returns may be the first byte of something else.
        let Some(found) = linkmap::find_object(address.wrapping_sub(1)) else {
            return (0, address as u64);
        };
        match self.modules.number(recorder, pen, memory, &found) {
            0 => (0, address as u64),
            number => {
                let place = (found.start, found.end, found.load_bias, number);
                self.remembered[self.next % REMEMBERED] = place;
                self.next += 1;
                (number, address.wrapping_sub(found.load_bias) as u64)
            }
        }
    }
}

fn build_id(found: &FoundObject) -> &'static [u8] {
    let id = linkmap::build_id_of(found).unwrap_or(&[]);
    &id[..id.len().min(64)]
}

fn key_of(found: &FoundObject) -> Key {
    let mut start_of_id = [0; 16];
    let id = build_id(found);
    let len = id.len().min(16);
    start_of_id[..len].copy_from_slice(&id[..len]);
    let (first, second) = start_of_id.split_at(8);
    let word = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_ne_bytes);
    // Not every library has a build id, and two can be the same but for their names.
    let name = hash_of(linkmap::name_of(found).to_bytes());
    [
        found.link_map as u64,
        found.start as u64,
        found.end as u64,
        found.load_bias as u64,
        found.eh_frame as u64,
        word(first),
        word(second) ^ name,
    ]
}

/// Where the file of a module lies. The linker knows the main program by no name, and other objects as the host named
/// them: a relative path is completed by the folder that the host is in now. These system calls happen once per module.
fn path_of<'memory>(found: &FoundObject, memory: &'memory mut [u8]) -> &'memory [u8] {
    let name = linkmap::name_of(found).to_bytes();
    let is_relative = !name.starts_with(b"/") && name.contains(&b'/');
    let mut len = 0;
    if name.is_empty() {
        let place = memory.as_mut_ptr().cast();
        // SAFETY: the link's name is NUL-terminated, and the length is the memory's.
        let got = unsafe { libc::readlink(c"/proc/self/exe".as_ptr(), place, memory.len()) };
        len = usize::try_from(got).unwrap_or(0);
    } else if is_relative {
        // SAFETY: the length is the memory's; the answer is NULL or a NUL-terminated string in it.
        let folder = unsafe { libc::getcwd(memory.as_mut_ptr().cast(), memory.len()) };
        if !folder.is_null() {
            len = memory.iter().position(|byte| *byte == 0).unwrap_or(0);
        }
        if let Some(slash) = memory.get_mut(len) {
            *slash = b'/';
            len += 1;
        }
    }
    let name = name.strip_prefix(b"./").unwrap_or(name);
    let taken = name.len().min(memory.len() - len);
    memory[len..len + taken].copy_from_slice(&name[..taken]);
    &memory[..len + taken]
}
