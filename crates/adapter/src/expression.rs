//! The expression language: text to tree. What a tree means is in `compile`; what users are told is in
//! docs/adapters.md.

use core::fmt;

mod parser;

pub(crate) use parser::parse;
pub(crate) use parser::place_of;

/// Operators of two values, in the order of their precedence, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Either,
    Both,
    Equal,
    Unequal,
    Less,
    Or,
    And,
    ShiftLeft,
    ShiftRight,
    Add,
    Subtract,
    Multiply,
}

impl Operator {
    pub(crate) const ALL: [(Self, &'static str); 12] = [
        (Self::Either, "||"),
        (Self::Both, "&&"),
        (Self::Equal, "=="),
        (Self::Unequal, "!="),
        (Self::ShiftLeft, "<<"),
        (Self::ShiftRight, ">>"),
        (Self::Less, "<"),
        (Self::Or, "|"),
        (Self::And, "&"),
        (Self::Add, "+"),
        (Self::Subtract, "-"),
        (Self::Multiply, "*"),
    ];

    fn strength(self) -> u8 {
        match self {
            Self::Either => 0,
            Self::Both => 1,
            Self::Equal | Self::Unequal | Self::Less => 2,
            Self::Or => 3,
            Self::And => 4,
            Self::ShiftLeft | Self::ShiftRight => 5,
            Self::Add | Self::Subtract => 6,
            Self::Multiply => 7,
        }
    }

    fn text(self) -> &'static str {
        let mut all = Self::ALL.iter();
        all.find(|(operator, _)| *operator == self)
            .map_or("", |(_, text)| text)
    }
}

/// One expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expression {
    /// `arg0` to `arg5`, in registers; `arg6` and on: words on the stack.
    Argument(u8),
    /// `ret`.
    Result,
    /// A number.
    Constant(u64),
    /// `*u64(e)`: the width in bytes.
    Load(u8, Box<Self>),
    Binary(Operator, Box<Self>, Box<Self>),
    /// `call(symbol|symbol, e)`.
    Call(String, Box<Self>),
    /// `vcall(slot, e)`.
    VirtualCall(u16, Box<Self>),
    /// `symbol(symbol|symbol)`.
    Symbol(String),
    /// `present(symbol|symbol)`.
    Present(String),
    /// `select(condition, e, e)`.
    Select(Box<Self>, Box<Self>, Box<Self>),
    /// `first(e, e)`.
    First(Box<Self>, Box<Self>),
    /// A name from `define`.
    Name(String),
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(number) => write!(f, "arg{number}"),
            Self::Result => write!(f, "ret"),
            Self::Constant(value) if *value < 1024 => write!(f, "{value}"),
            Self::Constant(value) => write!(f, "{value:#x}"),
            Self::Load(width, address) => write!(f, "*u{}({address})", u32::from(*width) * 8),
            Self::Binary(operator, left, right) => {
                write!(f, "({left} {} {right})", operator.text())
            }
            Self::Call(symbol, argument) => write!(f, "call({symbol}, {argument})"),
            Self::VirtualCall(slot, object) => write!(f, "vcall({slot}, {object})"),
            Self::Symbol(symbol) => write!(f, "symbol({symbol})"),
            Self::Present(symbol) => write!(f, "present({symbol})"),
            Self::Select(condition, yes, no) => write!(f, "select({condition}, {yes}, {no})"),
            Self::First(first, second) => write!(f, "first({first}, {second})"),
            Self::Name(name) => write!(f, "{name}"),
        }
    }
}

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExpressionError {
    /// Where in the text, in bytes.
    pub(crate) offset: usize,
    pub(crate) message: String,
}
