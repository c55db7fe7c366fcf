//! Functions that hand out pointers to functions by name: dlsym, and what an adapter calls a resolver.
//!
//! A pointer to a function that the table has a stub for is exchanged for a spare stub, which stands for that hook and
//! this very original. Where nothing is to be exchanged, the resolver is jumped to, so that it sees its caller: dlsym
//! looks at it for RTLD_NEXT and RTLD_DEFAULT.
//!
//! **Architecture Invariant:** resolving is no event; a process that only resolves leaves nothing.

use std::ffi::CStr;
use std::ptr::with_exposed_provenance;
use std::ptr::with_exposed_provenance_mut;

use whofreed_hooktable::Event;
use whofreed_hooktable::SPARES;
use whofreed_hooktable::STUB_LEN;
use whofreed_hooktable::THUNKS;
use whofreed_hooktable::Table;
use whofreed_hooktable::flags;

use super::Frame;
use super::audit;
use super::engine;
use super::expression::Call;
use super::expression::is_plausible;
use super::machine;
use super::originals;
use super::spare;
use super::table::Hooked;
use super::told;
use super::told::Told;
use crate::hook;
use crate::linkmap;
use crate::primitive::AtomicU64;
use crate::sys;

static TAKEN: [[AtomicU64; SPARES]; THUNKS.len()] =
    [const { [const { AtomicU64::new(0) }; SPARES] }; THUNKS.len()];

/// `RTLD_DEFAULT` and `RTLD_NEXT`: handles that mean "as seen from the caller".
const CALLERS_VIEW: [u64; 2] = [0, RTLD_NEXT];
const RTLD_NEXT: u64 = u64::MAX;

/// The stub and the original that a spare stands for, by its number after those of the table's stubs.
pub(super) fn spare(number: usize) -> Option<(usize, usize)> {
    spare::look(TAKEN.get(number / SPARES)?, number % SPARES)
}

/// Keeps errno as the host's: getters of an adapter may change it.
struct Errno(libc::c_int);

impl Errno {
    fn keep() -> Self {
        // SAFETY: errno's place is valid for the thread's life.
        Self(unsafe { *sys::errno_location() })
    }
}

impl Drop for Errno {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { *sys::errno_location() = self.0 };
    }
}

/// Before a resolver runs: leaves a ticket when it is asked for a function that the table hooks.
pub(super) fn before(hooked: &Hooked, frame: &mut Frame) {
    let _errno = Errno::keep();
    let name = if hooked.hook.event == Event::SymbolLookup as u32 {
        let [handle, name, ..] = frame.arguments;
        if CALLERS_VIEW.contains(&handle) {
            note_view(hooked, frame, handle == RTLD_NEXT, name);
            return;
        }
        Some(name)
    } else {
        let call = Call {
            hooked,
            frame,
            has_returned: false,
        };
        match call.holds(hooked.expressions.when) {
            Some(false) => None,
            Some(true) => call
                .value(hooked.expressions.name)
                .or_else(|| unreadable(hooked)),
            None => unreadable(hooked),
        }
    };
    let stub = name.and_then(text_at).and_then(|name| {
        let name = name.to_bytes();
        let any = || hooked.table.stubs_versioned(name).next();
        let plain = hooked.table.stub_named(name);
        plain.or_else(|| any().map(|(stub, _)| stub))
    });
    if let Some(stub) = stub {
        frame.ticket = engine::RESOLVED | (stub as u64) << engine::TICKET_BITS;
    }
}

/// What is looked up as seen from the caller is left as it is; whether that is seen is told at the end.
fn note_view(hooked: &Hooked, frame: &Frame, is_next: bool, name: u64) {
    let stub = text_at(name).and_then(|name| hooked.table.stub_named(name.to_bytes()));
    if let Some(stub) = stub {
        audit::asked(
            stub,
            is_next,
            originals::return_address(frame).wrapping_sub(1),
        );
    }
}

/// After it has returned: exchanges the pointer.
pub(super) fn after(hooked: &Hooked, frame: &mut Frame) {
    let _errno = Errno::keep();
    let Ok(stub) = usize::try_from(frame.ticket >> engine::TICKET_BITS) else {
        return;
    };
    let call = Call {
        hooked,
        frame,
        has_returned: true,
    };
    match call.holds(hooked.expressions.ok) {
        Some(true) => {}
        Some(false) => return,
        None => {
            unreadable(hooked);
            return;
        }
    }
    if hooked.hook.out == 0 {
        frame.result = exchanged(&hooked.table, stub, frame.result);
        return;
    }
    match call
        .value(hooked.expressions.out)
        .filter(|out| is_plausible(*out, 8))
    {
        Some(out) => {
            let place = with_exposed_provenance_mut::<u64>(out as usize);
            // SAFETY: the adapter says that the resolver has just written a pointer here.
            unsafe {
                let pointer = place.read_unaligned();
                place.write_unaligned(exchanged(&hooked.table, stub, pointer));
            }
        }
        None => {
            unreadable(hooked);
        }
    }
}

/// What to hand out instead of a pointer to a function that `stub` is the hook of.
fn exchanged(table: &Table<'static>, stub: usize, pointer: u64) -> u64 {
    match usize::try_from(pointer) {
        Ok(original) if pointer != 0 => match in_version(table, stub, original) {
            Some(stub) => stand_in(table, stub, original) as u64,
            None => pointer,
        },
        _ => pointer,
    }
}

/// The stub of the version that `original` is, where there is one, else the one of all others.
fn in_version(table: &Table<'static>, stub: usize, original: usize) -> Option<usize> {
    let symbol = table.text(table.stub(stub)?.symbol);
    let mut parts = symbol.splitn(2, |byte| *byte == b'@');
    let (name, has_version) = (parts.next()?, parts.next().is_some());
    let is_it = |(_, version): &(usize, &[u8])| {
        let library = linkmap::object_of(original);
        library.is_some_and(|it| it.find_symbol(name, Some(version)) == Some(original))
    };
    let versioned = table.stubs_versioned(name).find(is_it);
    let plain = (!has_version).then_some(stub);
    versioned.map(|(stub, _)| stub).or(plain)
}

fn stand_in(table: &Table<'static>, stub: usize, original: usize) -> usize {
    let (Some(hooked), stubs) = (Hooked::find(stub), machine::stubs_address()) else {
        return original;
    };
    let count = table.stub_count();
    let all = stubs..stubs + (count + THUNKS.len() * SPARES) * STUB_LEN;
    // A stub already: the resolver asked another one, or took the address of a function that is hooked.
    if stubs == 0 || all.contains(&original) {
        return original;
    }
    // The function that everybody means by this name is the exported stub, as `&name` is in the host.
    if !hooked.has(flags::NOT_EXPORTED) && originals::everybodys(&hooked) == Some(original) {
        return stubs + stub * STUB_LEN;
    }
    let thunk = hooked.hook.thunk();
    let claimed = TAKEN
        .get(thunk)
        .and_then(|spares| spare::claim(spares, stub, original));
    if let Some(place) = claimed {
        return stubs + (count + thunk * SPARES + place) * STUB_LEN;
    }
    let why = b"more pointers to it were handed out than there are spare stubs: calls by the others are not seen";
    tell_once(&told::SPARED, &hooked, why);
    original
}

/// The C string at an address.
fn text_at(address: u64) -> Option<&'static CStr> {
    let address = usize::try_from(address)
        .ok()
        .filter(|_| is_plausible(address, 1))?;
    // SAFETY: the resolver is about to read the same string; it is looked at only until then.
    Some(unsafe { CStr::from_ptr(with_exposed_provenance(address)) })
}

fn unreadable(hooked: &Hooked) -> Option<u64> {
    let why = b"called, but the adapter's expressions have no value";
    tell_once(&told::UNOBSERVABLE, hooked, why);
    None
}

fn tell_once(told: &Told, hooked: &Hooked, why: &[u8]) {
    if let Some(mut inside) = hook::enter_for_hook(0)
        && told.is_first(hooked.number)
    {
        hook::coverage_unobservable_inside(&mut inside, hooked.symbol(), why, b"", true);
    }
}
