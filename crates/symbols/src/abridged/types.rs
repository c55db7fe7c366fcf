//! Steps over types and template arguments.

use super::Walk;

impl Walk<'_> {
    pub(super) fn substitution(&mut self) -> Option<()> {
        self.expect(b"S")?;
        self.skip_while(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
        self.expect(b"_")
    }

    pub(super) fn template_parameter(&mut self) -> Option<()> {
        self.expect(b"T")?;
        if self.next_is(b"L") {
            self.skip_while(|byte| byte.is_ascii_digit());
            self.expect(b"_")?;
        }
        self.skip_while(|byte| byte.is_ascii_digit());
        self.expect(b"_")
    }

    pub(super) fn template_arguments(&mut self) -> Option<()> {
        self.expect(b"I")?;
        self.until_end(Self::template_argument)
    }

    pub(super) fn optional_template_arguments(&mut self) -> Option<()> {
        if self.peek() == b'I' {
            self.template_arguments()?;
        }
        Some(())
    }

    pub(super) fn template_argument(&mut self) -> Option<()> {
        self.deeper(|walk| match (walk.peek(), walk.peek_at(1)) {
            (b'X', _) => {
                walk.at += 1;
                walk.expression()?;
                walk.expect(b"E")
            }
            (b'L', _) => walk.literal(),
            (b'I', _) => walk.template_arguments(),
            (b'J', _) => {
                walk.at += 1;
                walk.until_end(Self::template_argument)
            }
            // The constraint comes last.
            (b'Q', _) => {
                walk.at += 1;
                walk.expression()
            }
            // The argument itself follows its declaration.
            (b'T', b'y' | b'n' | b't' | b'p' | b'k') => walk.parameter_declaration(),
            _ => walk.ty(),
        })
    }

    pub(super) fn parameter_declaration(&mut self) -> Option<()> {
        self.deeper(|walk| {
            walk.expect(b"T")?;
            let kind = walk.peek();
            walk.at += 1;
            match kind {
                b'y' => Some(()),
                b'n' => walk.ty(),
                b'p' => walk.parameter_declaration(),
                b'k' => walk.name(),
                b't' => walk.until_end(|walk| {
                    if walk.next_is(b"Q") {
                        walk.expression()
                    } else {
                        walk.parameter_declaration()
                    }
                }),
                _ => None,
            }
        })
    }

    pub(super) fn literal(&mut self) -> Option<()> {
        self.expect(b"L")?;
        if self.next_is(b"_Z") || self.peek() == b'Z' {
            self.name()?;
            return self.signature();
        }
        self.ty()?;
        self.skip_while(|byte| byte != b'E');
        self.expect(b"E")
    }

    pub(super) fn ty(&mut self) -> Option<()> {
        self.deeper(|walk| match (walk.peek(), walk.peek_at(1)) {
            (b'r' | b'V' | b'K' | b'P' | b'R' | b'O' | b'C' | b'G', _) => {
                walk.at += 1;
                walk.ty()
            }
            (b'u', _) => {
                walk.at += 1;
                walk.source_name()?;
                walk.optional_template_arguments()
            }
            (b'a'..=b'z', _) => {
                walk.at += 1;
                Some(())
            }
            (b'D', _) => walk.extended_type(),
            (b'F', _) => walk.function_type(),
            (b'A', _) => {
                walk.at += 1;
                if walk.peek().is_ascii_digit() {
                    walk.number()?;
                } else if walk.peek() != b'_' {
                    walk.expression()?;
                }
                walk.expect(b"_")?;
                walk.ty()
            }
            (b'M', _) => {
                walk.at += 1;
                walk.ty()?;
                walk.ty()
            }
            (b'T', b's' | b'u' | b'e') => {
                walk.at += 2;
                walk.name()
            }
            (b'T', _) => {
                walk.template_parameter()?;
                walk.optional_template_arguments()
            }
            (b'S', letter) if !letter.is_ascii_lowercase() => {
                walk.substitution()?;
                walk.optional_template_arguments()
            }
            (b'U', letter) if !matches!(letter, b'l' | b't') => {
                walk.at += 1;
                walk.source_name()?;
                walk.optional_template_arguments()?;
                walk.ty()
            }
            _ => walk.silently(Self::name),
        })
    }

    pub(super) fn function_type(&mut self) -> Option<()> {
        self.expect(b"F")?;
        self.next_is(b"Y");
        self.until_end(|walk| {
            if matches!((walk.peek(), walk.peek_at(1)), (b'R' | b'O', b'E')) {
                walk.at += 1;
                Some(())
            } else {
                walk.ty()
            }
        })
    }

    /// The types that begin with `D`.
    pub(super) fn extended_type(&mut self) -> Option<()> {
        self.expect(b"D")?;
        let kind = self.peek();
        self.at += 1;
        match kind {
            b'd' | b'e' | b'f' | b'h' | b'i' | b'u' | b's' | b'a' | b'c' | b'n' => Some(()),
            b'F' => {
                self.number()?;
                (self.next_is(b"_") || self.next_is(b"b") || self.next_is(b"x")).then_some(())
            }
            b'B' | b'U' => {
                self.number()?;
                self.expect(b"_")
            }
            b'p' => self.ty(),
            b't' | b'T' => {
                self.expression()?;
                self.expect(b"E")
            }
            b'v' => {
                if self.next_is(b"_") {
                    self.expression()?;
                } else {
                    self.number()?;
                }
                self.expect(b"_")?;
                self.ty()
            }
            b'o' | b'x' => self.ty(),
            b'O' => {
                self.expression()?;
                self.expect(b"E")?;
                self.ty()
            }
            b'w' => {
                self.until_end(Self::ty)?;
                self.ty()
            }
            b'k' | b'K' => self.silently(Self::name),
            _ => None,
        }
    }
}
