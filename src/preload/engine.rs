//! The hook stop of an event's way, where a thunk comes in: before the real function, after it, and when it was left by
//! an exception.

use whofreed_hooktable::Event;
use whofreed_hooktable::Table;
use whofreed_hooktable::flags;

use super::Frame;
use super::originals;
use super::plain;
use super::resolver;
use super::session::Forward;
use super::session::Session;
use super::session::kind_number;
use super::table::Called;
use super::table::Hooked;
use super::told;
use crate::hook;
use crate::linkmap;
use crate::process;
use crate::stack;
use crate::sys;
use crate::thread::Inside;

/// In a frame's ticket: `leave` has to report the event.
pub(super) const REPORT: u64 = 1;
/// In a frame's ticket: `leave` has to see what came of the attempt.
pub(super) const ATTEMPT: u64 = 2;
/// In a frame's ticket: a right was used up that is to be given back when the call fails.
pub(super) const UNDO: u64 = 4;
/// In a frame's ticket: others may be nested in the call, and its end has to be told.
pub(super) const LAYER: u64 = 8;
/// In a frame's ticket: a library may have been unloaded.
const CLOSED: u64 = 16;
/// In a frame's ticket: the process's threads may follow again.
const ALONE: u64 = 64;
/// In a frame's ticket: `leave` has to exchange the pointer, for the hook of the stub whose number is above these bits.
pub(super) const RESOLVED: u64 = 32;
/// How many bits say what a ticket is for.
pub(super) const TICKET_BITS: u32 = 8;
/// The upper half of a frame's ticket holds the kind of the buffer that was given back.
pub(super) const KIND_SHIFT: u32 = 32;

/// Called by a thunk before the real function: returns its address, or 0 when `frame.result` is to be returned
/// instead of calling it.
///
/// # Safety
/// `frame` is a thunk's, for the stub with this number.
pub unsafe extern "C" fn enter(number: u32, frame: *mut Frame) -> usize {
    // SAFETY: the thunk made the frame on its own stack, for us alone.
    let frame = unsafe { &mut *frame };
    Called::with(number as usize, enter_called, frame).unwrap_or(0)
}

fn enter_called(called: Called<'_>, frame: &mut Frame) -> usize {
    if let Some(original) = plain::before(called, frame) {
        return original;
    }
    enter_other(called, frame)
}

/// As [`enter`], on the long way.
#[inline(never)]
fn enter_other(called: Called<'_>, frame: &mut Frame) -> usize {
    let original = before(called, frame);
    // Without a ticket nothing is copied.
    let most = called.hooked.hook.stack_words;
    if most != 0 && original != 0 && frame.ticket != 0 {
        let arguments = frame.return_address_slot + size_of::<u64>();
        frame.stack_words = words_there(arguments, u64::from(most), sys::may_be_readable);
    }
    original
}

/// How many of `most` words at the end of a caller's stack are there. Not all functions have so many arguments, and a
/// stack may end before: of a coroutine's, the page above need not be one that can be read. Asked each time, since
/// there may be another stack at the same place tomorrow.
fn words_there(start: usize, most: u64, may_be_readable: impl Fn(usize) -> bool) -> u64 {
    /// No machine has smaller pages.
    const PAGE: usize = 4096;
    const WORD: usize = size_of::<u64>();
    let end = start + most as usize * WORD;
    // The slot of the return address can be read, and so can the rest of its page.
    let mut page = (start - WORD) & !(PAGE - 1);
    while page + PAGE < end {
        page += PAGE;
        if !may_be_readable(page) {
            return ((page - start) / WORD) as u64;
        }
    }
    most
}

/// Before a call of what makes no event.
#[inline(never)]
fn before_no_event(called: Called<'_>, frame: &mut Frame) -> usize {
    let hooked = called.hooked;
    if hooked.event == Some(Event::LibraryClose) {
        let original = original(called, frame, &mut None);
        originals::forget(&hooked.table);
        stack::forget_code();
        if original != 0 {
            // Again afterwards: the destructors of the library may call what is hooked.
            frame.ticket = CLOSED;
            linkmap::unloading();
        }
        return original;
    }
    if hooked.event == Some(Event::Credentials) {
        let original = original(called, frame, &mut None);
        if original != 0 && process::threads_must_not_follow() {
            frame.ticket = ALONE;
        }
        return original;
    }
    resolver::before(hooked, frame);
    original(called, frame, &mut None)
}

fn before(called: Called<'_>, frame: &mut Frame) -> usize {
    let hooked = called.hooked;
    if let Some(Event::LibraryClose | Event::Resolver | Event::SymbolLookup | Event::Credentials) =
        hooked.event
    {
        return before_no_event(called, frame);
    }
    // None when this thread asks the host for something: what the shim's own getters cause are no events.
    let mut inside = hook::enter_for_hook_of(frame.return_address_slot, || is_hosts(frame));
    // The adapters are told of before what is bound. Who is not inside may be making the trace.
    let is_new = inside.is_some() && !told::BOUND.is_told(hooked.number);
    if is_new && let Some(inside) = &mut inside {
        announce_once(inside, &hooked.table);
    }
    let original = original(called, frame, &mut inside);
    if original == 0 {
        return 0;
    }
    if !originals::is_of_build(hooked, original) {
        if let Some(inside) = &mut inside
            && told::UNOBSERVABLE.is_first(hooked.number)
        {
            let why = b"called, but the hook is for other builds of the library";
            hook::coverage_unobservable_inside(inside, hooked.symbol(), why, b"", true);
        }
        return original;
    }
    if is_new
        && let Some(inside) = &mut inside
        && told::BOUND.is_first(hooked.number)
    {
        tell_bound(inside, hooked, original);
    }
    let Some(inside) = &mut inside else {
        return original;
    };
    match Session::new(hooked, inside).before(frame) {
        Forward::Yes => original,
        Forward::No => {
            frame.result = hooked.hook.guard_value();
            0
        }
    }
}

/// The real function; 0, and what to return instead, when nobody defines it. Who is not inside does not tell of it.
fn original(called: Called<'_>, frame: &mut Frame, inside: &mut Option<Inside>) -> usize {
    if let Some(address) = originals::known(called) {
        return address;
    }
    look_up(called.hooked, frame, inside)
}

#[cold]
#[inline(never)]
fn look_up(hooked: &Hooked, frame: &mut Frame, inside: &mut Option<Inside>) -> usize {
    let Some(original) = originals::original(hooked, frame) else {
        // A probe by a weak reference found our stub, and calls it: the host must not die of it.
        if let Some(inside) = inside
            && told::UNOBSERVABLE.is_first(hooked.number)
        {
            let why = b"called, but no loaded library defines it";
            hook::coverage_unobservable_inside(inside, hooked.symbol(), why, b"", true);
        }
        frame.result = hooked.hook.guard_value();
        return 0;
    };
    if let Some(why) = original.doubt
        && let Some(inside) = inside
        && told::GUESSED.is_first(hooked.number)
    {
        hook::coverage_unobservable_inside(inside, hooked.symbol(), why, b"", true);
    }
    original.address
}

/// Called by the calling thunk after the real function returned.
///
/// # Safety
/// `frame` is a thunk's, for the stub with this number, and [`enter`] has returned an address for it.
pub unsafe extern "C" fn leave(number: u32, frame: *mut Frame) {
    // SAFETY: the thunk made the frame on its own stack, for us alone.
    let frame = unsafe { &mut *frame };
    Called::with(number as usize, leave_called, frame);
}

fn leave_called(Called { hooked, .. }: Called<'_>, frame: &mut Frame) {
    if !plain::after(hooked, frame) {
        leave_other(hooked, frame);
    }
}

/// As [`leave`], on the long way.
#[inline(never)]
fn leave_other(hooked: &Hooked, frame: &mut Frame) {
    match frame.ticket & ((1 << TICKET_BITS) - 1) {
        CLOSED => closed(&hooked.table),
        RESOLVED => resolver::after(hooked, frame),
        ALONE => process::threads_may_follow(),
        _ => {
            if let Some(inside) = &mut hook::enter_for_hook(frame.return_address_slot) {
                Session::new(hooked, inside).after(frame);
            }
        }
    }
}

/// Called when an exception or the end of the thread passes the calling thunk, so that [`leave`] will not be.
///
/// # Safety
/// As for [`leave`].
pub unsafe extern "C" fn left(number: u32, frame: *mut Frame) {
    // SAFETY: the thunk made the frame on its own stack, for us alone.
    let frame = unsafe { &mut *frame };
    Called::with(number as usize, left_called, frame);
}

fn left_called(Called { hooked, .. }: Called<'_>, frame: &mut Frame) {
    match frame.ticket & ((1 << TICKET_BITS) - 1) {
        0 | RESOLVED => {}
        CLOSED => closed(&hooked.table),
        ALONE => process::threads_may_follow(),
        _ => {
            if let Some(inside) = &mut hook::enter_for_hook(frame.return_address_slot) {
                Session::new(hooked, inside).left(frame);
            }
        }
    }
}

/// A library may be gone, and another one may lie where it was.
fn closed(table: &Table<'_>) {
    linkmap::unloaded();
    originals::forget(table);
    stack::forget_code();
}

/// Whether a call while ledger and trace are being made is the host's, of a signal handler of it: not one of ours, nor
/// of those that we call then, who may be hooked too. One that a handler makes through these is not told apart.
fn is_hosts(frame: &Frame) -> bool {
    const CALLED: &[u8] =
        b"libc.so*|libc.musl*|ld-linux*|ld64*|ld-musl*|libpthread.so*|libdl.so*|libgcc_s.so*";
    let caller = originals::return_address(frame).wrapping_sub(1);
    let Some(caller) = linkmap::object_of(caller) else {
        return true;
    };
    // The heap may be another one than the C library's.
    let heap = originals::find(b"malloc", b"*").and_then(linkmap::object_of);
    let ours = linkmap::object_of(is_hosts as *const () as usize);
    ![ours, heap].contains(&Some(caller)) && !caller.matches(CALLED)
}

/// Goes inside; the first time in a process it says which adapters are in force there.
pub(super) fn begin(
    table: &Table<'_>,
    slot: usize,
    is_hosts: impl FnOnce() -> bool,
) -> Option<Inside> {
    let mut inside = hook::enter_for_hook_of(slot, is_hosts)?;
    announce_once(&mut inside, table);
    Some(inside)
}

fn announce_once(inside: &mut Inside, table: &Table<'_>) {
    if told::ADAPTERS.is_first(0) {
        announce(inside, table);
    }
}

/// Says which adapters there is something to hook for. Of the others nobody wants to read; they come when they are
/// used.
#[cold]
fn announce(inside: &mut Inside, table: &Table<'_>) {
    let _held = linkmap::hold();
    for place in 0..table.adapter_count() {
        let library = table
            .adapter(place)
            .map(|adapter| table.text(adapter.library));
        let mut objects = linkmap::objects();
        if library.is_some_and(|library| objects.any(|object| object.matches(library))) {
            announce_one(inside, table, place);
        }
    }
}

fn announce_one(inside: &mut Inside, table: &Table<'_>, place: usize) {
    let Some(adapter) = table.adapter(place) else {
        return;
    };
    // The first is for all of them.
    if !told::ADAPTERS.is_first(1 + place) {
        return;
    }
    if !table.text(adapter.name).is_empty() {
        hook::adapter_in_force_inside(inside, table.text(adapter.name));
    }
    for kind in 0..adapter.kinds_count {
        let name = table.listed((adapter.kinds_first + kind) as usize);
        let number = kind_number(u32::try_from(place).unwrap_or(0), u64::from(kind));
        hook::name_kind_inside(inside, number, name.unwrap_or_default());
    }
}

#[cold]
fn tell_bound(inside: &mut Inside, hooked: &Hooked, address: usize) {
    let library = linkmap::object_of(address);
    let library = library
        .as_ref()
        .map_or(&b""[..], |library| library.name().to_bytes());
    announce_one(inside, &hooked.table, hooked.adapter_place as usize);
    if hooked.hook.owner != 0 && hooked.adapter.flags & flags::UNIQUE_OWNERS == 0 {
        process::set_owners_are_pointers(true);
    }
    let adapter = hooked.table.text(hooked.adapter.name);
    hook::coverage_bound_inside(inside, adapter, hooked.symbol(), library);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_of_a_stack_is_copied_than_there_is() {
        let nothing = |_: usize| false;
        let first_only = |page: usize| page == 0x9000;
        for (start, most, expected) in [
            (0x8100, 16, 16),
            (0x8f80, 16, 16),
            (0x8f88, 16, 15),
            (0x9000, 16, 0),
            (0x9000, 0, 0),
            (0x8ff8, 256, 1),
        ] {
            assert_eq!(words_there(start, most, nothing), expected, "{start:x}");
            assert_eq!(words_there(start, most, first_only), most, "{start:x}");
        }
    }
}
