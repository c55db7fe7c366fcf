//! What the hooks cannot see: looked for in the references of all loaded objects, and told to the trace.
//!
//! This is done when the process exits, and away from the way of an event: a walk over all relocations takes from some
//! microseconds to some milliseconds. It tells of a process in which no hook ever fired as well, where a library of an
//! adapter was loaded: silence would look like innocence.
//!
//! **Architecture Invariant:** a process that has neither an event nor a function of an adapter is left alone.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use whofreed_hooktable::STUB_LEN;
use whofreed_hooktable::Table;
use whofreed_hooktable::flags;

use super::engine;
use super::machine;
use super::table::Hooked;
use super::table::table;
use crate::hook;
use crate::identity;
use crate::linkmap;
use crate::linkmap::Object;
use crate::linkmap::Reference;
use crate::process;
use crate::thread::Inside;

/// How many stubs are looked after.
const MOST: usize = 4096;

const APART: &[u8] =
    b"in a namespace of its own (dlmopen), where no hook is: calls there are not seen";
const PROGRAM: &[u8] =
    b"defined by the program itself, which comes before the hooks: calls of it are not seen";
const PAST: &[u8] =
    b"bound past the hooks, as RTLD_DEEPBIND does: calls of this library are not seen";
const NEXT: &[u8] =
    b"asked for by dlsym(RTLD_NEXT), which looks behind this library: calls by that pointer are not seen";
const OWN: &[u8] = b"its library's own calls, if there are any, are not seen";
const PRESENT: &[u8] =
    b"present only because it is hooked: nobody defines it, and the program was led to believe so";
const UNLOADING: &[u8] =
    b"a library was being unloaded when the process ended: what else is not seen is not known";

/// The process in which the library was loaded, not one forked from it.
static STARTED_IN: AtomicU32 = AtomicU32::new(0);
static IS_AT_WORK: AtomicBool = AtomicBool::new(false);

/// Of each stub: what is known of the object that is being looked at.
static KNOWN: [AtomicU8; MOST] = [const { AtomicU8::new(0) }; MOST];
/// The object refers to it for calls.
const CALLS: u8 = 1;
/// It was told that the object's references lead past the hooks.
const PASSED: u8 = 2;

/// Of each stub: who asked dlsym for it, and how.
static ASKED_NEXT: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];
static ASKED_DEFAULT: [AtomicBool; MOST] = [const { AtomicBool::new(false) }; MOST];

/// Remembers which process this is. Called once, when the library is loaded.
pub(crate) fn start() {
    STARTED_IN.store(identity::number(), Ordering::Relaxed);
}

/// Makes ledger and trace when the library is loaded, where a function of an adapter is there already: the first event
/// may be that of a signal handler that interrupts the host's heap, and must not need it.
pub(crate) fn begin_early() {
    let Some(table) = table() else {
        return;
    };
    let held = linkmap::hold();
    let is_there = held.is_sure && Audit::new(table).is_there();
    drop(held);
    if is_there {
        process::world();
    }
}

/// dlsym is asked for a stub's symbol as seen from the caller, who is at this address.
pub(super) fn asked(stub: usize, is_next: bool, caller: usize) {
    if !is_next {
        if let Some(asked) = ASKED_DEFAULT.get(stub) {
            asked.store(true, Ordering::Relaxed);
        }
        return;
    }
    // The hooks lie behind the program.
    let library = linkmap::object_of(caller).filter(|object| !linkmap::is_program(object));
    if let (Some(asked), Some(library)) = (ASKED_NEXT.get(stub), library) {
        asked.store(library.link_map(), Ordering::Relaxed);
    }
}

/// Tells what could not be seen, when the process exits.
pub fn audit_at_exit() {
    let Some(table) = table() else {
        return;
    };
    let is_child = STARTED_IN.load(Ordering::Relaxed) != identity::number();
    let world = process::existing_world();
    // A child that has no event has nothing to tell that its parent does not.
    if world.map_or(is_child, |world| world.recorder.is_muted) {
        return;
    }
    if IS_AT_WORK.swap(true, Ordering::Acquire) {
        return;
    }
    {
        let held = linkmap::hold();
        let audit = Audit::new(table);
        let is_told = world.is_some() || (held.is_sure && audit.concerns_somebody());
        if is_told && let Some(mut inside) = engine::begin(&table, 0, || false) {
            if held.is_sure {
                audit.tell(&mut inside);
            } else {
                hook::coverage_unobservable_inside(&mut inside, b"*", UNLOADING, b"", true);
            }
        }
    }
    IS_AT_WORK.store(false, Ordering::Release);
}

struct Audit {
    table: Table<'static>,
    /// The generated library and this one.
    ours: [Option<Object>; 2],
    stubs: usize,
}

impl Audit {
    fn new(table: Table<'static>) -> Self {
        let this = audit_at_exit as *const () as usize;
        Self {
            table,
            ours: [machine::table_address(), this].map(linkmap::object_of),
            stubs: machine::stubs_address(),
        }
    }

    /// The stubs of functions that events are made of, with their numbers.
    fn hooks(&self) -> impl Iterator<Item = Hooked> {
        let all = 0..self.table.stub_count().min(MOST);
        all.filter_map(Hooked::find)
            .filter(|hooked| !self.table.text(hooked.adapter.name).is_empty())
    }

    fn foreign(&self) -> impl Iterator<Item = Object> {
        linkmap::objects().filter(|object| !self.ours.contains(&Some(*object)))
    }

    fn is_defined(&self, hooked: &Hooked) -> bool {
        self.foreign().any(|object| object.defines(hooked.symbol()))
    }

    /// Whether a library of an adapter is here.
    fn is_there(&self) -> bool {
        let mut all = self.foreign().chain(linkmap::objects_apart());
        all.any(|object| self.hooks().any(|hooked| object.defines(hooked.symbol())))
    }

    /// Whether a library of an adapter is here, or somebody was misled by a stub.
    fn concerns_somebody(&self) -> bool {
        self.is_there()
            || self.hooks().any(|hooked| self.was_asked_in_vain(&hooked))
            || self.foreign().any(|object| {
                let mut is_misled = false;
                object.references(|reference| {
                    is_misled = is_misled || self.misled(reference).is_some();
                });
                is_misled
            })
    }

    /// What a reference by name is a hook's, if it is one's.
    fn hooked(&self, reference: &Reference<'_>) -> Option<Hooked> {
        let number = self.table.stub_named(reference.name.to_bytes())?;
        let hooked = Hooked::find(number).filter(|_| number < MOST)?;
        let is_ours = self.table.text(hooked.adapter.name).is_empty();
        (!is_ours && !hooked.has(flags::NOT_EXPORTED)).then_some(hooked)
    }

    /// A weak reference that is there because of a stub alone.
    fn misled(&self, reference: &Reference<'_>) -> Option<Hooked> {
        if !reference.is_weak || !self.is_stub(reference.target) {
            return None;
        }
        self.hooked(reference)
            .filter(|hooked| !self.is_defined(hooked))
    }

    fn was_asked_in_vain(&self, hooked: &Hooked) -> bool {
        let was_asked = ASKED_DEFAULT[hooked.number].load(Ordering::Relaxed);
        was_asked && !hooked.has(flags::NOT_EXPORTED) && !self.is_defined(hooked)
    }

    fn is_stub(&self, target: usize) -> bool {
        let end = self.stubs + self.table.stub_count() * STUB_LEN;
        (self.stubs..end).contains(&target)
    }

    fn tell(&self, inside: &mut Inside) {
        for object in self.foreign() {
            self.tell_of(&object, inside);
        }
        for object in linkmap::objects_apart() {
            let defined = self
                .hooks()
                .filter(|hooked| object.defines(hooked.symbol()));
            defined.for_each(|hooked| tell(inside, &hooked, APART, &object));
        }
        for hooked in self.hooks() {
            if self.was_asked_in_vain(&hooked) {
                let symbol = hooked.symbol();
                hook::coverage_unobservable_inside(inside, symbol, PRESENT, b"", true);
            }
            let asked = ASKED_NEXT[hooked.number].load(Ordering::Relaxed);
            let mut loaded = self.foreign();
            if let Some(library) = loaded.find(|object| object.link_map() == asked) {
                tell(inside, &hooked, NEXT, &library);
            }
        }
    }

    fn tell_of(&self, object: &Object, inside: &mut Inside) {
        let stubs = KNOWN.iter().take(self.table.stub_count());
        stubs.for_each(|known| known.store(0, Ordering::Relaxed));
        object.references(|reference| self.look_at(object, reference, inside));
        for hooked in self.hooks() {
            if hooked.has(flags::NOT_EXPORTED) || !object.defines(hooked.symbol()) {
                continue;
            }
            if linkmap::is_program(object) {
                tell(inside, &hooked, PROGRAM, object);
            } else if KNOWN[hooked.number].load(Ordering::Relaxed) & CALLS == 0 {
                let (symbol, library) = (hooked.symbol(), object.name().to_bytes());
                hook::coverage_unobservable_inside(inside, symbol, OWN, library, false);
            }
        }
    }

    fn look_at(&self, object: &Object, reference: &Reference<'_>, inside: &mut Inside) {
        let Some(hooked) = self.hooked(reference) else {
            return;
        };
        let known = &KNOWN[hooked.number];
        let before = known.load(Ordering::Relaxed);
        let mut now = before;
        if reference.is_call {
            now |= CALLS;
        }
        if self.is_stub(reference.target) {
            if before & PASSED == 0 && self.misled(reference).is_some() {
                tell(inside, &hooked, PRESENT, object);
                now |= PASSED;
            }
        } else if before & PASSED == 0 && self.passes(object, &hooked, reference.target) {
            tell(inside, &hooked, PAST, object);
            now |= PASSED;
        }
        known.store(now, Ordering::Relaxed);
    }

    /// Whether a reference of an object leads to somebody's definition. If it is to the object's own code instead, it
    /// is one that the linker has not been asked for yet; and what the program defines is told of the program.
    fn passes(&self, object: &Object, hooked: &Hooked, target: usize) -> bool {
        let Some(owner) = linkmap::object_of(target) else {
            return false;
        };
        if self.ours.contains(&Some(owner)) || linkmap::is_program(&owner) {
            return false;
        }
        match owner.address_of(hooked.symbol()) {
            Some(address) => owner != *object || address == target,
            None => false,
        }
    }
}

fn tell(inside: &mut Inside, hooked: &Hooked, why: &[u8], library: &Object) {
    let library = library.name().to_bytes();
    hook::coverage_unobservable_inside(inside, hooked.symbol(), why, library, true);
}
