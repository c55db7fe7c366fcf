//! Longer expressions as what is left of them once it is known which of their symbols exist: operations on numbered
//! registers, without a stack to keep, a symbol to look up, or a choice that was made long ago.
//!
//! Most of what an adapter asks is which release of a library this is, at each call anew, and that does not change as
//! long as nothing is unloaded. What is left of an expression is right for one generation of loaded libraries, and
//! where a symbol was missing for one number of them; then it is made again.

use std::ptr;
use std::ptr::NonNull;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use whofreed_hooktable::code::MAX_STACK;

use super::Call;
use super::compile::compile;
use super::load;
use super::validity::Turn;
use super::validity::Validity;
use super::validity::WHATEVER;
use crate::linkmap;
use crate::preload::machine;
use crate::preload::originals;
use crate::sys;

/// How many expressions have a place; others are left to the machine.
const PLACES: usize = 1024;
/// Most operations of one.
pub(super) const MOST: usize = 512;
/// Operations that there is memory for; only what is used is ever backed.
const ROOM: usize = 1 << 17;
/// The place of an operation that does not exist: where a failure goes that nothing handles.
pub(super) const NO_HANDLER: u16 = u16::MAX;

/// A register. Masked, so that no index need be looked at twice.
pub(super) type Register = u8;

/// One operation: what becomes of the register `at`, or where to go on. `fail` is where to go when it has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Op {
    Constant {
        at: Register,
        value: u64,
    },
    Argument {
        at: Register,
        number: u8,
    },
    StackArgument {
        at: Register,
        number: u8,
        fail: u16,
    },
    Result {
        at: Register,
        fail: u16,
    },
    /// From what the register holds plus `offset`.
    Load {
        at: Register,
        width: u8,
        fail: u16,
        offset: u64,
    },
    Add {
        at: Register,
        value: u64,
    },
    And {
        at: Register,
        value: u64,
    },
    Equal {
        at: Register,
        value: u64,
    },
    Unequal {
        at: Register,
        value: u64,
    },
    /// Any operation of two, on the register and the next one.
    Two {
        at: Register,
        what: u8,
    },
    Truth {
        at: Register,
    },
    Call {
        at: Register,
        fail: u16,
        function: usize,
    },
    VirtualCall {
        at: Register,
        fail: u16,
        slot: u16,
    },
    JumpIfZero {
        at: Register,
        to: u16,
    },
    Jump {
        to: u16,
    },
    End {
        at: Register,
    },
}

/// What is left of an expression, in memory that is never given back.
#[derive(Debug)]
#[repr(C, align(16))]
struct Program {
    validity: Validity,
    len: usize,
    // The operations follow.
}

/// Where an expression's program is: null before there is one.
static PROGRAMS: [AtomicPtr<Program>; PLACES] = [const { AtomicPtr::new(ptr::null_mut()) }; PLACES];
/// Where the code of each place lies.
static CODES: [AtomicUsize; PLACES] = [const { AtomicUsize::new(0) }; PLACES];

/// The memory for all of them, how many operations' worth of it is used, and whether somebody is writing there.
static MEMORY: AtomicPtr<Op> = AtomicPtr::new(ptr::null_mut());
static USED: AtomicUsize = AtomicUsize::new(0);
static TURN: Turn = Turn(AtomicBool::new(false));

const HEADER: usize = size_of::<Program>() / size_of::<Op>();
const _: () = assert!(size_of::<Op>() == 16 && size_of::<Program>() == HEADER * size_of::<Op>());

/// The place of an expression with this code, the same each time; [`PLACES`] where there is none.
pub(super) fn place(code: &[u8]) -> u16 {
    let wanted = code.as_ptr().addr();
    let start = (wanted as u32).wrapping_mul(0x9e37_79b1) as usize >> 16;
    for step in 0..PLACES {
        let place = (start + step) % PLACES;
        let claimed =
            CODES[place].compare_exchange(0, wanted, Ordering::Relaxed, Ordering::Relaxed);
        if claimed.is_ok() || claimed == Err(wanted) {
            return place as u16;
        }
    }
    PLACES as u16
}

/// The value of the expression with this place and code; the outer None where the machine has to find it.
#[inline]
pub(super) fn value(call: &Call<'_>, place: u16, offset: u32) -> Option<Option<u64>> {
    let program = PROGRAMS.get(usize::from(place))?;
    // SAFETY: null or a program, which is whole before it is published and never given back.
    if let Some(program) = unsafe { program.load(Ordering::Acquire).as_ref() }
        && program.is_right()
    {
        return Some(run(program.ops(), call));
    }
    let program = make(call, usize::from(place), offset)?;
    Some(run_anew(program.ops(), call))
}

#[cold]
#[inline(never)]
fn run_anew(ops: &[Op], call: &Call<'_>) -> Option<u64> {
    run(ops, call)
}

/// Makes the program anew for what is loaded now. None where it cannot be, or somebody is making one.
#[cold]
#[inline(never)]
fn make(call: &Call<'_>, place: usize, offset: u32) -> Option<&'static Program> {
    TURN.take(|| write(call, place, offset))
}

/// The same; nobody else writes.
fn write(call: &Call<'_>, place: usize, offset: u32) -> Option<&'static Program> {
    let memory = match NonNull::new(MEMORY.load(Ordering::Relaxed)) {
        Some(memory) => memory,
        None => {
            let memory = sys::reserve(ROOM * size_of::<Op>())?.cast();
            MEMORY.store(memory.as_ptr(), Ordering::Relaxed);
            memory
        }
    };
    let used = USED.load(Ordering::Relaxed);
    if used + HEADER + MOST > ROOM {
        return None;
    }
    // SAFETY: there is room, and as long as it is our turn nobody else writes behind what is used. Memory of zeros
    // is an operation: the first kind is a constant.
    let ops = unsafe { std::slice::from_raw_parts_mut(memory.add(used + HEADER).as_ptr(), MOST) };
    // Asked before the symbols are looked for: what is unloaded or opened meanwhile makes it wrong again.
    let (generation, loaded) = (originals::generation(), linkmap::loaded());
    let mut is_any_missing = false;
    let code = call.hooked.table.code(offset);
    let len = compile(code, ops, |place| {
        let found = originals::symbol(place, call.hooked);
        is_any_missing |= found.is_none();
        found
    })?;
    let loaded = if is_any_missing { loaded } else { WHATEVER };
    // SAFETY: as in `value`.
    if let Some(before) = unsafe { PROGRAMS[place].load(Ordering::Acquire).as_ref() }
        && before.ops() == &ops[..len]
    {
        before.validity.renew(generation, loaded);
        return Some(before);
    }
    // SAFETY: the room before the operations is the header's.
    let program = unsafe {
        let program = memory.add(used).cast::<Program>();
        program.write(Program {
            validity: Validity::new(generation, loaded),
            len,
        });
        program.as_ref()
    };
    USED.store(used + HEADER + len, Ordering::Relaxed);
    // Release: who finds it sees all of it.
    PROGRAMS[place].store(ptr::from_ref(program).cast_mut(), Ordering::Release);
    Some(program)
}

impl Program {
    #[inline]
    fn is_right(&self) -> bool {
        self.validity.is_for(originals::generation, linkmap::loaded)
    }

    #[inline]
    fn ops(&self) -> &[Op] {
        // SAFETY: the operations lie behind the header, written before it was published, and never change.
        unsafe {
            let first = ptr::from_ref(self).add(1).cast();
            std::slice::from_raw_parts(first, self.len)
        }
    }
}

/// What the operations make of a call.
#[inline]
pub(super) fn run(ops: &[Op], call: &Call<'_>) -> Option<u64> {
    let mut registers = [0_u64; MAX_STACK];
    macro_rules! register {
        ($at:expr) => {
            registers[usize::from($at) % MAX_STACK]
        };
    }
    let mut next = 0;
    // Jumps go forward only, so that this ends at the latest with the operations.
    loop {
        let op = ops.get(next)?;
        next += 1;
        let (at, value, fail) = match *op {
            Op::Constant { at, value } => {
                register!(at) = value;
                continue;
            }
            Op::Argument { at, number } => {
                register!(at) = *call.frame.arguments.get(usize::from(number))?;
                continue;
            }
            Op::Add { at, value } => {
                register!(at) = register!(at).wrapping_add(value);
                continue;
            }
            Op::And { at, value } => {
                register!(at) &= value;
                continue;
            }
            Op::Equal { at, value } => {
                register!(at) = u64::from(register!(at) == value);
                continue;
            }
            Op::Unequal { at, value } => {
                register!(at) = u64::from(register!(at) != value);
                continue;
            }
            Op::Two { at, what } => {
                register!(at) = super::two(what, register!(at), register!(at + 1))?;
                continue;
            }
            Op::Truth { at } => {
                register!(at) = u64::from(register!(at) != 0);
                continue;
            }
            Op::JumpIfZero { at, to } => {
                if register!(at) == 0 {
                    next = usize::from(to);
                }
                continue;
            }
            Op::Jump { to } => {
                next = usize::from(to);
                continue;
            }
            Op::End { at } => return Some(register!(at)),
            Op::StackArgument { at, number, fail } => {
                (at, super::stack_argument(call.frame, number), fail)
            }
            Op::Result { at, fail } => (at, call.has_returned.then_some(call.frame.result), fail),
            Op::Load {
                at,
                width,
                fail,
                offset,
            } => (at, load(register!(at).wrapping_add(offset), width), fail),
            Op::Call { at, fail, function } => {
                // SAFETY: the adapter says that this is a getter of one argument.
                (at, unsafe { machine::call(function, register!(at)) }, fail)
            }
            Op::VirtualCall { at, fail, slot } => {
                (at, super::call_virtually(register!(at), slot.into()), fail)
            }
        };
        match value {
            Some(value) => register!(at) = value,
            None => next = usize::from(fail),
        }
    }
}
