//! Steps over expressions, and knows the operators.

use super::Walk;

/// What an operator's two letters stand for, and how many operands it has in an expression.
const OPERATORS: [(&[u8; 2], &str, u8); 50] = [
    (b"nw", " new", 0),
    (b"na", " new[]", 0),
    (b"dl", " delete", 1),
    (b"da", " delete[]", 1),
    (b"aw", " co_await", 1),
    (b"ps", "+", 1),
    (b"ng", "-", 1),
    (b"ad", "&", 1),
    (b"de", "*", 1),
    (b"co", "~", 1),
    (b"nt", "!", 1),
    (b"pp", "++", 1),
    (b"mm", "--", 1),
    (b"pl", "+", 2),
    (b"mi", "-", 2),
    (b"ml", "*", 2),
    (b"dv", "/", 2),
    (b"rm", "%", 2),
    (b"an", "&", 2),
    (b"or", "|", 2),
    (b"eo", "^", 2),
    (b"aS", "=", 2),
    (b"pL", "+=", 2),
    (b"mI", "-=", 2),
    (b"mL", "*=", 2),
    (b"dV", "/=", 2),
    (b"rM", "%=", 2),
    (b"aN", "&=", 2),
    (b"oR", "|=", 2),
    (b"eO", "^=", 2),
    (b"ls", "<<", 2),
    (b"rs", ">>", 2),
    (b"lS", "<<=", 2),
    (b"rS", ">>=", 2),
    (b"eq", "==", 2),
    (b"ne", "!=", 2),
    (b"lt", "<", 2),
    (b"gt", ">", 2),
    (b"le", "<=", 2),
    (b"ge", ">=", 2),
    (b"ss", "<=>", 2),
    (b"aa", "&&", 2),
    (b"oo", "||", 2),
    (b"cm", ",", 2),
    (b"pm", "->*", 2),
    (b"pt", "->", 0),
    (b"cl", "()", 0),
    (b"ix", "[]", 2),
    (b"qu", "?", 3),
    (b"ds", ".*", 2),
];

impl Walk<'_> {
    pub(super) fn operator(&mut self) -> Option<&'static (&'static [u8; 2], &'static str, u8)> {
        let letters = self.bytes.get(self.at..self.at + 2)?;
        let operator = OPERATORS.iter().find(|(known, ..)| &known[..] == letters)?;
        self.at += 2;
        Some(operator)
    }

    pub(super) fn expression(&mut self) -> Option<()> {
        self.deeper(Self::expression_here)
    }

    pub(super) fn expression_here(&mut self) -> Option<()> {
        match (self.peek(), self.peek_at(1)) {
            (b'L', _) => return self.literal(),
            (b'T', _) => return self.ty(),
            (b'S' | b'N', _) => return self.ty(),
            (digit, _) if digit.is_ascii_digit() => return self.simple_id(),
            (b'f', b'p') => return self.function_parameter(),
            (b'f', b'L') if self.peek_at(2).is_ascii_digit() => return self.function_parameter(),
            (b'u', _) => {
                self.at += 1;
                self.source_name()?;
                return self.until_end(Self::template_argument);
            }
            _ => {}
        }
        let letters = [self.peek(), self.peek_at(1)];
        match &letters {
            b"cl" | b"cp" | b"il" => {
                self.at += 2;
                self.until_end(Self::expression)
            }
            b"tl" => {
                self.at += 2;
                self.ty()?;
                self.until_end(Self::expression)
            }
            b"cv" => {
                self.at += 2;
                self.ty()?;
                if self.next_is(b"_") {
                    self.until_end(Self::expression)
                } else {
                    self.expression()
                }
            }
            b"nw" | b"na" => self.new_expression(),
            b"gs" | b"sz" | b"az" | b"nx" | b"sp" | b"te" | b"tw" | b"sZ" => {
                self.at += 2;
                self.expression()
            }
            b"sP" => {
                self.at += 2;
                self.until_end(Self::template_argument)
            }
            b"ti" | b"st" | b"at" => {
                self.at += 2;
                self.ty()
            }
            b"dc" | b"sc" | b"cc" | b"rc" => {
                self.at += 2;
                self.ty()?;
                self.expression()
            }
            b"tr" => {
                self.at += 2;
                Some(())
            }
            b"sr" => self.scoped_name(),
            b"on" | b"dn" => self.base_name(),
            b"dt" | b"pt" => {
                self.at += 2;
                self.expression()?;
                self.expression()
            }
            b"rq" | b"rQ" => self.requirements(),
            b"fl" | b"fr" => {
                self.at += 2;
                self.operator()?;
                self.expression()
            }
            b"fL" | b"fR" => {
                self.at += 2;
                self.operator()?;
                self.expression()?;
                self.expression()
            }
            _ => {
                let (_, _, operands) = *self.operator()?;
                if matches!(&letters, b"pp" | b"mm") {
                    self.next_is(b"_");
                }
                for _ in 0..operands {
                    self.expression()?;
                }
                (operands > 0).then_some(())
            }
        }
    }

    pub(super) fn function_parameter(&mut self) -> Option<()> {
        if self.next_is(b"fpT") {
            return Some(());
        }
        if self.next_is(b"fL") {
            self.number()?;
            self.expect(b"p")?;
        } else {
            self.expect(b"fp")?;
        }
        self.skip_while(|byte| matches!(byte, b'r' | b'V' | b'K'));
        self.skip_while(|byte| byte.is_ascii_digit());
        self.expect(b"_")
    }

    pub(super) fn new_expression(&mut self) -> Option<()> {
        self.at += 2;
        while !self.next_is(b"_") {
            self.expression()?;
        }
        self.ty()?;
        if self.next_is(b"E") {
            return Some(());
        }
        self.expect(b"pi")?;
        self.until_end(Self::expression)
    }

    pub(super) fn simple_id(&mut self) -> Option<()> {
        self.source_name()?;
        self.optional_template_arguments()
    }

    /// The last part of a name in an expression.
    pub(super) fn base_name(&mut self) -> Option<()> {
        if self.next_is(b"on") {
            self.silently(Self::operator_name)?;
            return self.optional_template_arguments();
        }
        if self.next_is(b"dn") && !self.peek().is_ascii_digit() {
            return self.ty();
        }
        self.simple_id()
    }

    /// `std::is_same<T, U>::value` and the like. Behind a plain name, compilers differ in whether the list of
    /// qualifiers is closed by an `E`.
    pub(super) fn scoped_name(&mut self) -> Option<()> {
        self.expect(b"sr")?;
        if self.next_is(b"N") {
            self.ty()?;
            self.until_end(Self::simple_id)?;
            return self.base_name();
        }
        let start = self.at;
        if self.peek().is_ascii_digit() {
            let closed = self
                .until_end(Self::simple_id)
                .and_then(|()| self.base_name());
            if closed.is_some() {
                return closed;
            }
            self.at = start;
        }
        self.ty()?;
        self.base_name()
    }

    pub(super) fn requirements(&mut self) -> Option<()> {
        let with_parameters = self.peek_at(1) == b'Q';
        self.at += 2;
        while with_parameters && !self.next_is(b"_") {
            self.ty()?;
        }
        self.until_end(|walk| {
            if walk.next_is(b"X") {
                walk.expression()?;
                walk.next_is(b"N");
                if walk.next_is(b"R") {
                    return walk.silently(Self::name);
                }
                Some(())
            } else if walk.next_is(b"T") {
                walk.ty()
            } else {
                walk.expect(b"Q")?;
                walk.expression()
            }
        })
    }
}
