//! Trees to code for the machine of `whofreed_hooktable::code`.

use std::collections::BTreeMap;

use whofreed_hooktable::Builder;
use whofreed_hooktable::code;

use crate::expression::Expression;
use crate::expression::Operator;

/// The names that an expression may use, the hook's own before the adapter's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'names> {
    pub(crate) hook: &'names BTreeMap<String, Expression>,
    pub(crate) adapter: &'names BTreeMap<String, Expression>,
}

impl<'names> Names<'names> {
    fn get(&self, name: &str) -> Option<&'names Expression> {
        self.hook.get(name).or_else(|| self.adapter.get(name))
    }

    fn all(&self) -> impl Iterator<Item = &'names str> {
        let names = self.hook.keys().chain(self.adapter.keys());
        names.map(String::as_str).chain(["ret", "arg0", "arg1"])
    }
}

/// How many parts an expression may have once its names are replaced: names that stand for two names each double it
/// with every level.
const MAX_PARTS: usize = 2000;

/// How deep its parts may lie in each other, the names with them: our stack must not overflow.
const MAX_LEVELS: usize = 300;

/// Why the names of an expression cannot be replaced.
#[derive(Debug)]
pub(crate) struct Unresolved {
    /// The name that it is about.
    pub(crate) name: String,
    /// The definition that uses it; none where the expression itself does.
    pub(crate) within: Option<String>,
    pub(crate) message: String,
}

/// Replaces names by what they stand for.
///
/// # Errors
/// [`Unresolved`], when a name is unknown or defined by itself, or what comes of it is too large.
pub(crate) fn resolve(expression: &Expression, names: Names<'_>) -> Result<Expression, Unresolved> {
    let mut resolver = Resolver {
        names,
        open: Vec::new(),
        parts: 0,
        levels: 0,
    };
    resolver.resolve(expression)
}

struct Resolver<'names> {
    names: Names<'names>,
    /// The names that are being replaced, each within the one before it.
    open: Vec<&'names str>,
    parts: usize,
    levels: usize,
}

impl<'names> Resolver<'names> {
    fn resolve(&mut self, expression: &'names Expression) -> Result<Expression, Unresolved> {
        self.parts += 1;
        self.levels += 1;
        if self.parts > MAX_PARTS || self.levels > MAX_LEVELS {
            return Err(self.too_large());
        }
        let mut inner = |e: &'names Expression| self.resolve(e).map(Box::new);
        let resolved = match expression {
            Expression::Name(name) => self.named(name)?,
            Expression::Load(width, e) => Expression::Load(*width, inner(e)?),
            Expression::Binary(o, a, b) => Expression::Binary(*o, inner(a)?, inner(b)?),
            Expression::Call(symbol, e) => Expression::Call(symbol.clone(), inner(e)?),
            Expression::VirtualCall(slot, e) => Expression::VirtualCall(*slot, inner(e)?),
            Expression::Select(a, b, c) => Expression::Select(inner(a)?, inner(b)?, inner(c)?),
            Expression::First(a, b) => Expression::First(inner(a)?, inner(b)?),
            leaf @ (Expression::Argument(_)
            | Expression::Result
            | Expression::Constant(_)
            | Expression::Symbol(_)
            | Expression::Present(_)) => leaf.clone(),
        };
        self.levels -= 1;
        Ok(resolved)
    }

    fn named(&mut self, name: &'names str) -> Result<Expression, Unresolved> {
        let Some(meaning) = self.names.get(name) else {
            let hint = crate::suggest::suggestion(name, self.names.all());
            let message = format!("`{name}` is neither built in nor in a `define`{hint}");
            return Err(self.about(name, message));
        };
        if self.open.contains(&name) {
            return Err(self.about(name, format!("`{name}` is defined by itself")));
        }
        self.open.push(name);
        let resolved = self.resolve(meaning)?;
        self.open.pop();
        Ok(resolved)
    }

    fn about(&self, name: &str, message: String) -> Unresolved {
        Unresolved {
            name: name.to_owned(),
            within: self.open.last().map(|&within| within.to_owned()),
            message,
        }
    }

    fn too_large(&self) -> Unresolved {
        // The outermost one is what the expression itself uses.
        let name = self.open.first().copied().unwrap_or_default();
        Unresolved {
            name: name.to_owned(),
            within: None,
            message: format!(
                "`{name}` makes this too large: once names are replaced there may be {MAX_PARTS} parts, {MAX_LEVELS} within each other"
            ),
        }
    }
}

/// Whether the value of a resolved expression is only known once the real function has returned.
pub(crate) fn uses_result(expression: &Expression) -> bool {
    match expression {
        Expression::Result => true,
        Expression::Load(_, e) | Expression::Call(_, e) | Expression::VirtualCall(_, e) => {
            uses_result(e)
        }
        Expression::Binary(_, a, b) | Expression::First(a, b) => uses_result(a) || uses_result(b),
        Expression::Select(a, b, c) => uses_result(a) || uses_result(b) || uses_result(c),
        _ => false,
    }
}

/// Compiles a resolved expression.
///
/// # Errors
/// A sentence, when the expression is too large for the machine.
pub(crate) fn compile(expression: &Expression, table: &mut Builder) -> Result<Vec<u8>, String> {
    let mut compiler = Compiler {
        code: Vec::new(),
        tries: 0,
        table,
    };
    compiler.emit(expression, 0)?;
    compiler.code.push(code::END);
    if compiler.code.len() > code::MAX_LEN {
        return Err("the expression is too long once its names are replaced".to_owned());
    }
    Ok(compiler.code)
}

struct Compiler<'table> {
    code: Vec<u8>,
    tries: usize,
    table: &'table mut Builder,
}

impl Compiler<'_> {
    /// Emits code that leaves one more value on a stack of `depth`.
    fn emit(&mut self, expression: &Expression, depth: usize) -> Result<(), String> {
        if depth >= code::MAX_STACK {
            return Err(format!(
                "the expression needs more than {} values at once",
                code::MAX_STACK
            ));
        }
        match expression {
            Expression::Argument(number) => self.code.extend([code::ARGUMENT, *number]),
            Expression::Result => self.code.push(code::RESULT),
            Expression::Constant(value) => self.constant(*value),
            Expression::Load(width, address) => {
                self.emit(address, depth)?;
                self.code.extend([code::LOAD, *width]);
            }
            Expression::Binary(Operator::Both, left, right) => {
                self.emit(left, depth)?;
                let no = self.jump(code::JUMP_IF_ZERO);
                self.emit(right, depth)?;
                self.code.push(code::TRUTH);
                let end = self.jump(code::JUMP);
                self.land(no)?;
                self.constant(0);
                self.land(end)?;
            }
            Expression::Binary(Operator::Either, left, right) => {
                self.emit(left, depth)?;
                let no = self.jump(code::JUMP_IF_ZERO);
                self.constant(1);
                let end = self.jump(code::JUMP);
                self.land(no)?;
                self.emit(right, depth)?;
                self.code.push(code::TRUTH);
                self.land(end)?;
            }
            Expression::Binary(operator, left, right) => {
                self.emit(left, depth)?;
                self.emit(right, depth + 1)?;
                self.code.push(opcode(*operator));
            }
            Expression::Call(symbol, argument) => {
                self.emit(argument, depth)?;
                self.symbol(code::CALL, symbol)?;
            }
            Expression::VirtualCall(slot, object) => {
                self.emit(object, depth)?;
                self.code.push(code::VIRTUAL_CALL);
                self.code.extend(slot.to_le_bytes());
            }
            Expression::Symbol(symbol) => self.symbol(code::SYMBOL, symbol)?,
            Expression::Present(symbol) => self.symbol(code::PRESENT, symbol)?,
            Expression::Select(condition, yes, no) => {
                self.emit(condition, depth)?;
                let other = self.jump(code::JUMP_IF_ZERO);
                self.emit(yes, depth)?;
                let end = self.jump(code::JUMP);
                self.land(other)?;
                self.emit(no, depth)?;
                self.land(end)?;
            }
            Expression::First(first, second) => self.first(first, second, depth)?,
            Expression::Name(name) => return Err(format!("`{name}` was not resolved")),
        }
        Ok(())
    }

    fn first(
        &mut self,
        first: &Expression,
        second: &Expression,
        depth: usize,
    ) -> Result<(), String> {
        self.tries += 1;
        if self.tries > code::MAX_TRIES {
            return Err(format!(
                "more than {} `first` within each other",
                code::MAX_TRIES
            ));
        }
        let failed = self.jump(code::TRY);
        self.emit(first, depth)?;
        self.code.push(code::TRIED);
        self.tries -= 1;
        let end = self.jump(code::JUMP);
        self.land(failed)?;
        self.emit(second, depth)?;
        self.land(end)
    }

    fn constant(&mut self, value: u64) {
        self.code.push(code::CONSTANT);
        self.code.extend(value.to_le_bytes());
    }

    fn symbol(&mut self, opcode: u8, symbol: &str) -> Result<(), String> {
        let place = u16::try_from(self.table.listed_once(symbol))
            .map_err(|_| "too many symbols in expressions".to_owned())?;
        self.code.push(opcode);
        self.code.extend(place.to_le_bytes());
        Ok(())
    }

    /// Emits a jump and returns where its operand is.
    fn jump(&mut self, opcode: u8) -> usize {
        self.code.extend([opcode, 0, 0]);
        self.code.len() - 2
    }

    /// Makes the jump whose operand is at `operand` lead here.
    fn land(&mut self, operand: usize) -> Result<(), String> {
        let distance = u16::try_from(self.code.len() - operand - 2)
            .map_err(|_| "the expression is too long once its names are replaced".to_owned())?;
        self.code[operand..operand + 2].copy_from_slice(&distance.to_le_bytes());
        Ok(())
    }
}

fn opcode(operator: Operator) -> u8 {
    match operator {
        Operator::Equal => code::EQUAL,
        Operator::Unequal => code::UNEQUAL,
        Operator::Less => code::LESS,
        Operator::Or | Operator::Either => code::OR,
        Operator::And | Operator::Both => code::AND,
        Operator::ShiftLeft => code::SHIFT_LEFT,
        Operator::ShiftRight => code::SHIFT_RIGHT,
        Operator::Add => code::ADD,
        Operator::Subtract => code::SUBTRACT,
        Operator::Multiply => code::MULTIPLY,
    }
}
