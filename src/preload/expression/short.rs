//! Expressions as short as most are (an argument, the result, a constant, a comparison of one of them), recognized in
//! their code when a hook is first called, so that its calls need no machine for them.

use std::array;

use whofreed_hooktable::Hook;
use whofreed_hooktable::MAX_DEVICE_PARTS;
use whofreed_hooktable::Table;
use whofreed_hooktable::code;

use super::IN_REGISTERS;
use super::program;

/// What a short expression looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::preload) enum Operand {
    /// An argument in a register.
    Argument(u8),
    /// What the real function returned; none before it has.
    Result,
}

/// An expression, as its evaluation wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::preload) enum Expression {
    /// There is none.
    Absent,
    /// The operand itself.
    Plain(Operand),
    /// A small constant.
    Constant(u32),
    /// Whether the operand, or its lower half alone, is a small constant.
    Is {
        operand: Operand,
        half: bool,
        constant: u32,
    },
    /// Whether it is not.
    IsNot {
        operand: Operand,
        half: bool,
        constant: u32,
    },
    /// Anything else: where its code begins, and where its [`program`] is.
    Code { offset: u32, place: u16 },
}

// A hook has many.
const _: () = assert!(size_of::<Expression>() == 8);

/// A constant at the beginning of code, and what follows.
fn constant(code: &[u8]) -> Option<(u64, &[u8])> {
    let (opcode, rest) = code.split_first()?;
    let (bytes, rest) = rest.split_first_chunk()?;
    (*opcode == code::CONSTANT).then_some((u64::from_le_bytes(*bytes), rest))
}

/// An operand at the beginning of code, and what follows.
fn operand(code: &[u8]) -> Option<(Operand, &[u8])> {
    match code {
        [code::ARGUMENT, number, rest @ ..] if usize::from(*number) < IN_REGISTERS => {
            Some((Operand::Argument(*number), rest))
        }
        [code::RESULT, rest @ ..] => Some((Operand::Result, rest)),
        _ => None,
    }
}

/// A short expression, if the code begins with one.
fn short(code: &[u8]) -> Option<Expression> {
    if let Some((value, [code::END, ..])) = constant(code) {
        return u32::try_from(value).ok().map(Expression::Constant);
    }
    let (operand, rest) = operand(code)?;
    if let [code::END, ..] = rest {
        return Some(Expression::Plain(operand));
    }
    let (half, rest) = match constant(rest)? {
        (mask, [code::AND, rest @ ..]) if mask == u64::from(u32::MAX) => (true, rest),
        _ => (false, rest),
    };
    let (constant, rest) = constant(rest)?;
    let constant = u32::try_from(constant).ok()?;
    match rest {
        [code::EQUAL, code::END, ..] => Some(Expression::Is {
            operand,
            half,
            constant,
        }),
        [code::UNEQUAL, code::END, ..] => Some(Expression::IsNot {
            operand,
            half,
            constant,
        }),
        _ => None,
    }
}

impl Expression {
    /// The expression whose code begins at an offset; 0 is none.
    pub(in crate::preload) fn read(table: &Table<'_>, offset: u32) -> Self {
        if offset == 0 {
            return Self::Absent;
        }
        let code = table.code(offset);
        short(code).unwrap_or_else(|| Self::Code {
            offset,
            place: program::place(code),
        })
    }

    pub(in crate::preload) fn is_absent(self) -> bool {
        self == Self::Absent
    }
}

macro_rules! expressions {
    ($($name:ident),+) => {
        /// The expressions of a hook, by the names of [`Hook`].
        #[derive(Clone, Copy, Debug)]
        pub(in crate::preload) struct Expressions {
            $(pub(in crate::preload) $name: Expression,)+
            /// The parts of the device.
            pub(in crate::preload) device: [Expression; MAX_DEVICE_PARTS],
        }

        impl Expressions {
            pub(in crate::preload) fn read(table: &Table<'_>, hook: &Hook) -> Self {
                let device = hook.device();
                Self {
                    $($name: Expression::read(table, hook.$name),)+
                    device: array::from_fn(|part| Expression::read(table, device[part])),
                }
            }
        }
    };
}

expressions!(
    when, ok, owner, address, size, kind, from, group, handle, live, parent, name, out, label_at
);

#[cfg(test)]
mod tests {
    use super::*;

    fn with(value: u64) -> Vec<u8> {
        [&[code::CONSTANT][..], &value.to_le_bytes()].concat()
    }

    fn read(parts: &[&[u8]]) -> Option<Expression> {
        short(&parts.concat())
    }

    #[test]
    fn what_is_short_is_recognized_and_nothing_else_is() {
        let (argument, result, end) = ([code::ARGUMENT, 2], [code::RESULT], [code::END]);
        let (half, zero) = (with(0xffff_ffff), with(0));
        assert_eq!(
            read(&[&argument, &end]),
            Some(Expression::Plain(Operand::Argument(2)))
        );
        assert_eq!(
            read(&[&result, &end]),
            Some(Expression::Plain(Operand::Result))
        );
        assert_eq!(read(&[&with(7), &end]), Some(Expression::Constant(7)));
        assert_eq!(
            read(&[&argument, &zero, &[code::UNEQUAL], &end]),
            Some(Expression::IsNot {
                operand: Operand::Argument(2),
                half: false,
                constant: 0
            })
        );
        assert_eq!(
            read(&[&result, &half, &[code::AND], &zero, &[code::EQUAL], &end]),
            Some(Expression::Is {
                operand: Operand::Result,
                half: true,
                constant: 0
            })
        );
        let others: [&[&[u8]]; 11] = [
            &[],
            &[&argument],
            &[&[code::ARGUMENT, IN_REGISTERS as u8], &end],
            &[&with(1 << 32), &end],
            &[&argument, &with(1 << 32), &[code::EQUAL], &end],
            &[&argument, &zero, &[code::EQUAL]],
            &[&argument, &zero, &[code::LESS], &end],
            &[&argument, &zero, &[code::EQUAL, code::TRUTH], &end],
            &[
                &argument,
                &with(0xffff),
                &[code::AND],
                &zero,
                &[code::EQUAL],
                &end,
            ],
            &[&argument, &half, &[code::AND], &end],
            &[&argument, &[code::LOAD, 8], &end],
        ];
        for other in others {
            assert_eq!(read(other), None, "{other:?}");
        }
    }
}
