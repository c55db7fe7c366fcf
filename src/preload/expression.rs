//! The values of an adapter's expressions over the registers of a call: of the short ones at once ([`short`]), of all
//! others by what is left of them when their symbols are known ([`program`]), and where that is not there, by a machine
//! that runs their code.

use whofreed_hooktable::code;
use whofreed_hooktable::code::MAX_STACK;
use whofreed_hooktable::code::MAX_TRIES;

use super::Frame;
use super::machine;
use super::originals;
use super::table::Hooked;

mod compile;
mod program;
mod short;
mod validity;

pub(super) use self::short::Expression;
pub(super) use self::short::Expressions;
pub(super) use self::short::Operand;

/// How many arguments are in registers, and so in a frame.
const IN_REGISTERS: usize = 6;

/// Where nothing that a host points to can be: the null pages, and what the kernel keeps for itself.
const LOWEST: u64 = 64 * 1024;
const HIGHEST: u64 = 1 << 47;

/// A call to evaluate expressions about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'call> {
    pub(super) hooked: &'call Hooked,
    pub(super) frame: &'call Frame,
    /// Whether the real function has returned.
    pub(super) has_returned: bool,
}

impl Call<'_> {
    /// The value of an expression; none when there is none, or when it cannot be had.
    #[inline]
    pub(super) fn value(&self, expression: Expression) -> Option<u64> {
        match expression {
            Expression::Absent => None,
            Expression::Plain(operand) => self.operand(operand),
            Expression::Code { offset, place } => self.value_of_code(offset, place),
            other => self.value_of_short(other),
        }
    }

    #[inline(never)]
    fn value_of_code(&self, offset: u32, place: u16) -> Option<u64> {
        match program::value(self, place, offset) {
            Some(value) => value,
            None => self.run(offset),
        }
    }

    #[inline(never)]
    fn value_of_short(&self, expression: Expression) -> Option<u64> {
        match expression {
            Expression::Absent | Expression::Code { .. } => None,
            Expression::Plain(operand) => self.operand(operand),
            Expression::Constant(constant) => Some(u64::from(constant)),
            Expression::Is {
                operand,
                half,
                constant,
            } => self.is(operand, half, constant).map(u64::from),
            Expression::IsNot {
                operand,
                half,
                constant,
            } => self.is(operand, half, constant).map(|is| u64::from(!is)),
        }
    }

    #[inline]
    pub(super) fn operand(&self, operand: Operand) -> Option<u64> {
        match operand {
            Operand::Argument(number) => self.frame.arguments.get(usize::from(number)).copied(),
            Operand::Result => self.has_returned.then_some(self.frame.result),
        }
    }

    #[inline]
    fn is(&self, operand: Operand, half: bool, constant: u32) -> Option<bool> {
        let mask = if half { u64::from(u32::MAX) } else { u64::MAX };
        let value = self.operand(operand)?;
        Some(value & mask == u64::from(constant))
    }

    /// The value of the expression whose code begins at an offset. The machine has its place on the stack only here.
    #[inline(never)]
    fn run(&self, offset: u32) -> Option<u64> {
        Machine {
            call: self,
            code: Reader {
                code: self.hooked.table.code(offset),
                at: 0,
            },
            stack: [0; MAX_STACK],
            depth: 0,
            tries: [(0, 0); MAX_TRIES],
            open: 0,
        }
        .run()
    }

    /// Like [`Call::value`], where none means 0.
    #[inline]
    pub(super) fn value_or_zero(&self, expression: Expression) -> u64 {
        self.value(expression).unwrap_or(0)
    }

    /// Whether a condition holds; one that is not given does. None when it cannot be had.
    #[inline]
    pub(super) fn holds(&self, condition: Expression) -> Option<bool> {
        if condition.is_absent() {
            return Some(true);
        }
        self.value(condition).map(|value| value != 0)
    }
}

/// The instructions of an expression, and where the next one begins.
struct Reader<'code> {
    code: &'code [u8],
    at: usize,
}

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = *self.code.get(self.at..)?.first_chunk()?;
        self.at += N;
        Some(bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.bytes().map(|[byte]| byte)
    }

    fn short(&mut self) -> Option<u16> {
        self.bytes().map(u16::from_le_bytes)
    }
}

struct Machine<'call> {
    call: &'call Call<'call>,
    code: Reader<'static>,
    stack: [u64; MAX_STACK],
    depth: usize,
    /// Where a failure goes, and how deep the stack was there.
    tries: [(usize, usize); MAX_TRIES],
    open: usize,
}

impl Machine<'_> {
    fn run(mut self) -> Option<u64> {
        loop {
            // Jumps go forward only, so that this ends at the latest with the code.
            let opcode = self.code.byte()?;
            if opcode == code::END {
                return self.pop();
            }
            if self.step(opcode).is_none() {
                self.open = self.open.checked_sub(1)?;
                (self.code.at, self.depth) = self.tries[self.open];
            }
        }
    }

    fn push(&mut self, value: u64) -> Option<()> {
        *self.stack.get_mut(self.depth)? = value;
        self.depth += 1;
        Some(())
    }

    fn pop(&mut self) -> Option<u64> {
        self.depth = self.depth.checked_sub(1)?;
        Some(self.stack[self.depth])
    }

    fn step(&mut self, opcode: u8) -> Option<()> {
        match opcode {
            code::ARGUMENT => {
                let number = self.code.byte()?;
                let frame = self.call.frame;
                self.push(match frame.arguments.get(usize::from(number)) {
                    Some(argument) => *argument,
                    None => stack_argument(frame, number)?,
                })
            }
            code::RESULT if self.call.has_returned => self.push(self.call.frame.result),
            code::CONSTANT => {
                let bytes = self.code.bytes()?;
                self.push(u64::from_le_bytes(bytes))
            }
            code::LOAD => {
                let width = self.code.byte()?;
                let address = self.pop()?;
                self.push(load(address, width)?)
            }
            code::TRUTH => {
                let value = self.pop()?;
                self.push(u64::from(value != 0))
            }
            code::CALL => {
                let place = usize::from(self.code.short()?);
                let argument = self.pop()?;
                let function = originals::symbol(place, self.call.hooked)?;
                // SAFETY: the adapter says that this is a getter of one argument.
                self.push(unsafe { machine::call(function, argument) }?)
            }
            code::VIRTUAL_CALL => {
                let slot = usize::from(self.code.short()?);
                let object = self.pop()?;
                self.push(call_virtually(object, slot)?)
            }
            code::SYMBOL => {
                let place = usize::from(self.code.short()?);
                self.push(originals::symbol(place, self.call.hooked)? as u64)
            }
            code::PRESENT => {
                let place = usize::from(self.code.short()?);
                self.push(u64::from(
                    originals::symbol(place, self.call.hooked).is_some(),
                ))
            }
            code::JUMP_IF_ZERO => {
                let distance = usize::from(self.code.short()?);
                if self.pop()? == 0 {
                    self.code.at += distance;
                }
                Some(())
            }
            code::JUMP => {
                self.code.at += usize::from(self.code.short()?);
                Some(())
            }
            code::TRY => {
                let distance = usize::from(self.code.short()?);
                *self.tries.get_mut(self.open)? = (self.code.at + distance, self.depth);
                self.open += 1;
                Some(())
            }
            code::TRIED => {
                self.open = self.open.checked_sub(1)?;
                Some(())
            }
            _ => {
                let right = self.pop()?;
                let left = self.pop()?;
                self.push(two(opcode, left, right)?)
            }
        }
    }
}

/// What an operation makes of two values; none when it is not one of two.
#[inline]
fn two(opcode: u8, left: u64, right: u64) -> Option<u64> {
    let shifted = |shift: fn(u64, u32) -> Option<u64>| {
        let by = u32::try_from(right).ok();
        by.and_then(|by| shift(left, by)).unwrap_or(0)
    };
    Some(match opcode {
        code::ADD => left.wrapping_add(right),
        code::SUBTRACT => left.wrapping_sub(right),
        code::MULTIPLY => left.saturating_mul(right),
        code::AND => left & right,
        code::OR => left | right,
        code::SHIFT_LEFT => shifted(u64::checked_shl),
        code::SHIFT_RIGHT => shifted(u64::checked_shr),
        code::EQUAL => u64::from(left == right),
        code::UNEQUAL => u64::from(left != right),
        code::LESS => u64::from(left < right),
        _ => return None,
    })
}

/// An argument that is not in a register.
fn stack_argument(frame: &Frame, number: u8) -> Option<u64> {
    load(machine::stack_argument(frame, number)?, 8)
}

/// What the virtual function in a slot of an object's table returns.
fn call_virtually(object: u64, slot: usize) -> Option<u64> {
    let table = load(object, 8)?;
    let function = load(table.wrapping_add(slot as u64 * 8), 8)?;
    if !is_plausible(function, 1) {
        return None;
    }
    // SAFETY: the adapter says that the object has a getter without arguments in this slot.
    unsafe { machine::call(usize::try_from(function).ok()?, object) }
}

/// Whether a value of this width can lie at an address.
pub(super) fn is_plausible(address: u64, width: u64) -> bool {
    address >= LOWEST && address <= HIGHEST - width
}

pub(super) fn load(address: u64, width: u8) -> Option<u64> {
    if !is_plausible(address, u64::from(width)) {
        return None;
    }
    let place = std::ptr::with_exposed_provenance::<u8>(usize::try_from(address).ok()?);
    // SAFETY: the adapter says that the host keeps a value of this width here; an address where nothing can be has
    // been refused above.
    unsafe {
        Some(match width {
            1 => u64::from(place.read()),
            2 => u64::from(place.cast::<u16>().read_unaligned()),
            4 => u64::from(place.cast::<u32>().read_unaligned()),
            8 => place.cast::<u64>().read_unaligned(),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;
