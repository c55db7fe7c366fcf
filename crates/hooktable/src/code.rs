//! The instructions of expressions: a stack machine of `u64` values. Operands follow the opcode, little-endian.
//!
//! Jumps are forward only, so that every expression ends. An instruction that cannot be carried out (an implausible
//! address, a symbol that nobody defines, a getter that threw) fails: control goes to the innermost [`TRY`] with the
//! stack as deep as it was there, and without one the whole expression has no value.

/// The value on top of the stack is the expression's.
pub const END: u8 = 0;
/// Pushes an integer argument; operand: u8, its number. Those that follow the registers' are the words on the stack.
pub const ARGUMENT: u8 = 1;
/// Pushes what the real function returned.
pub const RESULT: u8 = 2;
/// Pushes a constant; operand: u64.
pub const CONSTANT: u8 = 3;
/// Replaces an address by the value there; operand: u8, its width in bytes (1, 2, 4 or 8).
pub const LOAD: u8 = 4;
/// Pops two values and pushes their sum, wrapping.
pub const ADD: u8 = 5;
/// Pops two values and pushes their difference, wrapping.
pub const SUBTRACT: u8 = 6;
/// Pops two values and pushes their bitwise and.
pub const AND: u8 = 7;
/// Pops two values and pushes their bitwise or.
pub const OR: u8 = 8;
/// Pops two values and shifts the first left by the second; 0 when that is 64 or more.
pub const SHIFT_LEFT: u8 = 9;
/// Pops two values and shifts the first right by the second; 0 when that is 64 or more.
pub const SHIFT_RIGHT: u8 = 10;
/// Pops two values and pushes 1 when they are equal, else 0.
pub const EQUAL: u8 = 11;
/// Pops two values and pushes 1 when they differ, else 0.
pub const UNEQUAL: u8 = 12;
/// Pops two values and pushes 1 when the first is less (unsigned), else 0.
pub const LESS: u8 = 13;
/// Replaces a value by 1 when it is not 0.
pub const TRUTH: u8 = 14;
/// Replaces a value by what an exported function returns for it; operand: u16, the symbol's place in `lists`.
pub const CALL: u8 = 15;
/// Replaces a pointer to an object by what its virtual function returns; operand: u16, the slot.
pub const VIRTUAL_CALL: u8 = 16;
/// Pushes the address of an exported symbol; operand: u16, as for [`CALL`].
pub const SYMBOL: u8 = 17;
/// Pushes 1 when somebody defines the symbol, else 0; operand: u16, as for [`CALL`].
pub const PRESENT: u8 = 18;
/// Pops a value and jumps when it is 0; operand: u16, bytes from the end of the instruction.
pub const JUMP_IF_ZERO: u8 = 19;
/// Jumps; operand: u16, bytes from the end of the instruction.
pub const JUMP: u8 = 20;
/// Until [`TRIED`], a failure jumps; operand: u16, bytes from the end of the instruction.
pub const TRY: u8 = 21;
/// Ends the innermost [`TRY`].
pub const TRIED: u8 = 22;

/// Pops two values and pushes their product; the largest value when that is larger.
pub const MULTIPLY: u8 = 23;

/// How many values an expression may have on its stack.
pub const MAX_STACK: usize = 16;
/// How many [`TRY`] may be open at once.
pub const MAX_TRIES: usize = 4;
/// How many bytes one expression may have.
pub const MAX_LEN: usize = 32 * 1024;
