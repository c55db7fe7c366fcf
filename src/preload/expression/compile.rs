//! From the code of an expression to a [`program`](super::program): what is known now is worked out now.
//!
//! The stack machine's code is gone through once, since jumps lead forward only. How deep the stack is at an
//! instruction, and where a failure goes, is the same on all ways to it; so a value's place on the stack is the
//! number of a register. Code in which that is not so is left to the machine.

use whofreed_hooktable::code;
use whofreed_hooktable::code::MAX_STACK;
use whofreed_hooktable::code::MAX_TRIES;

use super::IN_REGISTERS;
use super::Reader;
use super::program::MOST;
use super::program::NO_HANDLER;
use super::program::Op;

/// Most jumps that wait for the place that they lead to.
const MOST_WAITING: usize = 24;

/// Where failures go: instructions, the innermost last, and the depth of the stack there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tries {
    handlers: [(u16, u8); MAX_TRIES],
    open: usize,
}

/// An operation that leads to an instruction which has not been reached.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    op: u16,
    target: u16,
    depth: u8,
    tries: Tries,
}

struct Compiler<'ops, Find> {
    ops: &'ops mut [Op],
    len: usize,
    /// No operation before this one may be changed: somebody may jump behind it.
    fixed: usize,
    depth: usize,
    tries: Tries,
    waiting: [Option<Waiting>; MOST_WAITING],
    find: Find,
}

/// Writes what is left of `code` to `ops`, and returns how much that is. `find` looks for a symbol by its place in the
/// table's lists. None where the machine has to run the code as it is.
pub(super) fn compile(
    code: &[u8],
    ops: &mut [Op],
    find: impl FnMut(usize) -> Option<usize>,
) -> Option<usize> {
    let most = ops.len().min(MOST);
    let mut compiler = Compiler {
        ops: &mut ops[..most],
        len: 0,
        fixed: 0,
        depth: 0,
        tries: Tries::default(),
        waiting: [None; MOST_WAITING],
        find,
    };
    let mut at = 0;
    loop {
        compiler.arrive(at)?;
        let reader = &mut Reader { code, at };
        let opcode = reader.byte()?;
        let skips = match opcode {
            code::END => {
                let value = compiler.depth.checked_sub(1)?;
                compiler.push_op(Op::End { at: value as u8 })?;
                true
            }
            code::JUMP => {
                let to = jump(reader)?;
                if compiler.is_awaited_before(to) {
                    compiler.wait(Op::Jump { to: 0 }, to)?;
                    true
                } else {
                    // Nothing between here and there is reached.
                    at = to;
                    continue;
                }
            }
            code::JUMP_IF_ZERO => {
                let to = jump(reader)?;
                let at = compiler.pop()?;
                match compiler.take_constant(at) {
                    Some(0) if compiler.is_awaited_before(to) => {
                        compiler.wait(Op::Jump { to: 0 }, to)?;
                        true
                    }
                    Some(0) => {
                        reader.at = to;
                        false
                    }
                    Some(_) => false,
                    None => {
                        compiler.wait(Op::JumpIfZero { at, to: 0 }, to)?;
                        false
                    }
                }
            }
            other => {
                compiler.straight(other, reader)?;
                false
            }
        };
        at = if skips {
            // What follows is only reached from elsewhere.
            match compiler.next_awaited() {
                Some(next) => {
                    compiler.take_over(next);
                    next
                }
                None => return Some(compiler.len),
            }
        } else {
            reader.at
        };
    }
}

/// Where a jump leads, if it is short enough.
fn jump(reader: &mut Reader<'_>) -> Option<usize> {
    let distance = usize::from(reader.short()?);
    let to = reader.at + distance;
    (to < usize::from(NO_HANDLER)).then_some(to)
}

impl<Find: FnMut(usize) -> Option<usize>> Compiler<'_, Find> {
    /// An instruction that goes on to the next one.
    fn straight(&mut self, opcode: u8, reader: &mut Reader<'_>) -> Option<()> {
        match opcode {
            code::ARGUMENT => {
                let number = reader.byte()?;
                let at = self.push()?;
                if usize::from(number) < IN_REGISTERS {
                    return self.push_op(Op::Argument { at, number });
                }
                let fail = NO_HANDLER;
                self.failing(Op::StackArgument { at, number, fail })
            }
            code::RESULT => {
                let (at, fail) = (self.push()?, NO_HANDLER);
                self.failing(Op::Result { at, fail })
            }
            code::CONSTANT => {
                let value = u64::from_le_bytes(reader.bytes()?);
                self.constant(value)
            }
            code::LOAD => {
                let width = reader.byte()?;
                let (at, fail) = (self.top()?, NO_HANDLER);
                let offset = match self.last() {
                    Some(Op::Add { at: added, value }) if added == at => {
                        self.len -= 1;
                        value
                    }
                    _ => 0,
                };
                self.failing(Op::Load {
                    at,
                    width,
                    fail,
                    offset,
                })
            }
            code::TRUTH => {
                let at = self.top()?;
                match self.take_constant(at) {
                    Some(value) => self.push_op(Op::Constant {
                        at,
                        value: u64::from(value != 0),
                    }),
                    None => self.push_op(Op::Truth { at }),
                }
            }
            code::CALL => {
                let place = reader.short()?;
                let (at, fail) = (self.top()?, NO_HANDLER);
                match (self.find)(place.into()) {
                    Some(function) => self.failing(Op::Call { at, fail, function }),
                    None => self.fails(at),
                }
            }
            code::VIRTUAL_CALL => {
                let slot = reader.short()?;
                let (at, fail) = (self.top()?, NO_HANDLER);
                self.failing(Op::VirtualCall { at, fail, slot })
            }
            code::SYMBOL => {
                let place = reader.short()?;
                match (self.find)(place.into()) {
                    Some(address) => self.constant(address as u64),
                    None => {
                        let at = self.push()?;
                        self.fails(at)
                    }
                }
            }
            code::PRESENT => {
                let place = reader.short()?;
                let is_there = (self.find)(place.into()).is_some();
                self.constant(u64::from(is_there))
            }
            code::TRY => {
                let to = jump(reader)?;
                let tries = &mut self.tries;
                *tries.handlers.get_mut(tries.open)? = (to as u16, self.depth as u8);
                tries.open += 1;
                Some(())
            }
            code::TRIED => {
                let tries = &mut self.tries;
                tries.open = tries.open.checked_sub(1)?;
                // So that two that are alike compare as such.
                tries.handlers[tries.open] = (0, 0);
                Some(())
            }
            _ => self.two(opcode),
        }
    }

    fn two(&mut self, what: u8) -> Option<()> {
        // Whether it is one.
        super::two(what, 0, 0)?;
        let right = self.pop()?;
        let at = self.top()?;
        let Some(value) = self.take_constant(right) else {
            return self.push_op(Op::Two { at, what });
        };
        if let Some(left) = self.take_constant(at) {
            let value = super::two(what, left, value)?;
            return self.push_op(Op::Constant { at, value });
        }
        match what {
            code::ADD => self.push_op(Op::Add { at, value }),
            code::SUBTRACT => self.push_op(Op::Add {
                at,
                value: value.wrapping_neg(),
            }),
            code::AND => self.push_op(Op::And { at, value }),
            code::EQUAL => self.push_op(Op::Equal { at, value }),
            code::UNEQUAL => self.push_op(Op::Unequal { at, value }),
            _ => {
                self.push_op(Op::Constant { at: right, value })?;
                self.push_op(Op::Two { at, what })
            }
        }
    }

    fn constant(&mut self, value: u64) -> Option<()> {
        let at = self.push()?;
        self.push_op(Op::Constant { at, value })
    }

    /// The register of a new value on the stack.
    fn push(&mut self) -> Option<u8> {
        let at = self.depth;
        self.depth += 1;
        (at < MAX_STACK).then_some(at as u8)
    }

    fn pop(&mut self) -> Option<u8> {
        self.depth = self.depth.checked_sub(1)?;
        Some(self.depth as u8)
    }

    fn top(&self) -> Option<u8> {
        self.depth.checked_sub(1).map(|at| at as u8)
    }

    fn push_op(&mut self, op: Op) -> Option<()> {
        *self.ops.get_mut(self.len)? = op;
        self.len += 1;
        Some(())
    }

    /// An operation that may have no value; where that leads is filled in when it is reached.
    fn failing(&mut self, op: Op) -> Option<()> {
        let Some(last) = self.tries.open.checked_sub(1) else {
            return self.push_op(op);
        };
        let (target, depth) = self.tries.handlers[last];
        let mut tries = self.tries;
        tries.open = last;
        tries.handlers[last] = (0, 0);
        self.wait_at(op, target, depth, tries)
    }

    /// The value that would be in the register is none.
    fn fails(&mut self, at: u8) -> Option<()> {
        // Of no width: it has none.
        self.failing(Op::Load {
            at,
            width: 0,
            fail: NO_HANDLER,
            offset: 0,
        })
    }

    fn last(&self) -> Option<Op> {
        let last = self.len.checked_sub(1)?;
        (last >= self.fixed).then(|| self.ops[last])
    }

    /// Takes back the last operation, if it made a constant of the register.
    fn take_constant(&mut self, register: u8) -> Option<u64> {
        match self.last() {
            Some(Op::Constant { at, value }) if at == register => {
                self.len -= 1;
                Some(value)
            }
            _ => None,
        }
    }

    fn wait(&mut self, op: Op, target: usize) -> Option<()> {
        self.wait_at(op, target as u16, self.depth as u8, self.tries)
    }

    fn wait_at(&mut self, op: Op, target: u16, depth: u8, tries: Tries) -> Option<()> {
        let free = self.waiting.iter_mut().find(|place| place.is_none())?;
        *free = Some(Waiting {
            op: self.len as u16,
            target,
            depth,
            tries,
        });
        self.push_op(op)
    }

    fn is_awaited_before(&self, instruction: usize) -> bool {
        let mut waiting = self.waiting.iter().flatten();
        waiting.any(|waiting| usize::from(waiting.target) < instruction)
    }

    fn next_awaited(&self) -> Option<usize> {
        let waiting = self.waiting.iter().flatten();
        waiting.map(|waiting| usize::from(waiting.target)).min()
    }

    /// Goes on as those do that wait for an instruction, which is not reached from the one before.
    fn take_over(&mut self, instruction: usize) {
        let mut waiting = self.waiting.iter().flatten();
        if let Some(first) = waiting.find(|waiting| usize::from(waiting.target) == instruction) {
            (self.depth, self.tries) = (first.depth.into(), first.tries);
        }
    }

    /// An instruction is reached: those that wait for it lead here. None where they come with another stack.
    fn arrive(&mut self, instruction: usize) -> Option<()> {
        let here = self.len as u16;
        for place in &mut self.waiting {
            let Some(waiting) = place else { continue };
            if usize::from(waiting.target) != instruction {
                continue;
            }
            if usize::from(waiting.depth) != self.depth || waiting.tries != self.tries {
                return None;
            }
            match &mut self.ops[usize::from(waiting.op)] {
                Op::Jump { to } | Op::JumpIfZero { to, .. } => *to = here,
                Op::StackArgument { fail, .. }
                | Op::Result { fail, .. }
                | Op::Load { fail, .. }
                | Op::Call { fail, .. }
                | Op::VirtualCall { fail, .. } => *fail = here,
                _ => {}
            }
            *place = None;
            self.fixed = self.len;
        }
        Some(())
    }
}
