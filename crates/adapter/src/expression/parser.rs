//! A recursive-descent parser with operator strengths, over the characters themselves.

use super::Expression;
use super::ExpressionError;
use super::Operator;

/// How deep parentheses may be nested: an adapter is somebody's file, and must not overflow our stack.
const MAX_DEPTH: usize = 64;

/// How many values one text may have: a chain of operators is a tree as deep as it is long.
const MAX_VALUES: usize = 250;

/// Six in registers, then as many words on the stack as calls hand on where nothing else is said.
const LAST_ARGUMENT: u8 = 21;

struct Parser<'text> {
    text: &'text str,
    at: usize,
    depth: usize,
    values: usize,
    /// The names that were read so far, and where each is.
    names: Vec<(&'text str, usize)>,
}

/// Parses a whole text.
pub(crate) fn parse(text: &str) -> Result<Expression, ExpressionError> {
    Parser::new(text).whole()
}

/// Where in a text the expression first uses a name, in bytes.
pub(crate) fn place_of(name: &str, text: &str) -> Option<usize> {
    let mut parser = Parser::new(text);
    parser.whole().ok()?;
    let mut names = parser.names.iter();
    names.find(|(used, _)| *used == name).map(|(_, at)| *at)
}

impl<'text> Parser<'text> {
    fn new(text: &'text str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
            values: 0,
            names: Vec::new(),
        }
    }

    fn whole(&mut self) -> Result<Expression, ExpressionError> {
        let expression = self.binary(0)?;
        self.skip_space();
        if self.at < self.text.len() {
            return Err(self.error(format!("`{}` is not expected here", self.rest())));
        }
        Ok(expression)
    }

    fn error(&self, message: impl Into<String>) -> ExpressionError {
        self.error_at(self.at, message)
    }

    fn error_at(&self, offset: usize, message: impl Into<String>) -> ExpressionError {
        ExpressionError {
            offset,
            message: message.into(),
        }
    }

    fn rest(&self) -> &'text str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn accept(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), ExpressionError> {
        if self.accept(token) {
            return Ok(());
        }
        let found = match self.rest().chars().next() {
            Some(character) => format!("`{character}`"),
            None => "the end".to_owned(),
        };
        Err(self.error(format!("expected `{token}`, found {found}")))
    }

    fn word(&mut self) -> &'text str {
        self.skip_space();
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.' || c == '$';
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn operator(&mut self, weakest: u8) -> Option<Operator> {
        self.skip_space();
        let rest = self.rest();
        let mut all = Operator::ALL.iter();
        let (operator, text) = all.find(|(_, text)| rest.starts_with(text))?;
        (operator.strength() >= weakest).then(|| {
            self.at += text.len();
            *operator
        })
    }

    fn binary(&mut self, weakest: u8) -> Result<Expression, ExpressionError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("nested too deeply"));
        }
        let mut left = self.value()?;
        while let Some(operator) = self.operator(weakest) {
            let right = self.binary(operator.strength() + 1)?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn boxed(&mut self) -> Result<Box<Expression>, ExpressionError> {
        self.binary(0).map(Box::new)
    }

    fn value(&mut self) -> Result<Expression, ExpressionError> {
        self.values += 1;
        if self.values > MAX_VALUES {
            self.skip_space();
            let message = format!("more than {MAX_VALUES} values in one expression");
            return Err(self.error(message));
        }
        if self.accept("(") {
            let inner = self.binary(0)?;
            self.expect(")")?;
            return Ok(inner);
        }
        if self.accept("*") {
            return self.load();
        }
        self.skip_space();
        let start = self.at;
        let word = self.word();
        if word.is_empty() {
            let found = self.rest().chars().next();
            return Err(self.error(match found {
                Some(character) => format!("expected a value, found `{character}`"),
                None => "expected a value, found the end".to_owned(),
            }));
        }
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            return self.number(start, word).map(Expression::Constant);
        }
        if self.accept("(") {
            let call = self.function(start, word)?;
            self.expect(")")?;
            return Ok(call);
        }
        if word == "ret" {
            return Ok(Expression::Result);
        }
        match word.strip_prefix("arg").map(str::parse::<u8>) {
            Some(Ok(number)) if number <= LAST_ARGUMENT => Ok(Expression::Argument(number)),
            Some(Ok(_)) => {
                let message = format!("`{word}`: only arg0 to arg{LAST_ARGUMENT} are known");
                Err(self.error_at(start, message))
            }
            _ => {
                self.names.push((word, start));
                Ok(Expression::Name(word.to_owned()))
            }
        }
    }

    fn number(&self, start: usize, word: &str) -> Result<u64, ExpressionError> {
        let parsed = match word.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => word.parse(),
        };
        parsed.map_err(|error| self.error_at(start, format!("`{word}` is no number: {error}")))
    }

    fn load(&mut self) -> Result<Expression, ExpressionError> {
        let start = self.at;
        let width = match self.word() {
            "u8" => 1,
            "u16" => 2,
            "u32" => 4,
            "u64" => 8,
            other => {
                let message =
                    format!("`*{other}` is not known; write *u8(…), *u16(…), *u32(…) or *u64(…)");
                return Err(self.error_at(start, message));
            }
        };
        self.expect("(")?;
        let address = self.boxed()?;
        self.expect(")")?;
        Ok(Expression::Load(width, address))
    }

    fn function(&mut self, start: usize, name: &str) -> Result<Expression, ExpressionError> {
        Ok(match name {
            "call" => {
                let symbol = self.symbols()?;
                self.expect(",")?;
                Expression::Call(symbol, self.boxed()?)
            }
            "vcall" => {
                self.skip_space();
                let at = self.at;
                let word = self.word();
                let slot = self.number(at, word)?;
                let slot = u16::try_from(slot)
                    .map_err(|_| self.error_at(at, format!("slot {slot} is too large")))?;
                self.expect(",")?;
                Expression::VirtualCall(slot, self.boxed()?)
            }
            "symbol" => Expression::Symbol(self.symbols()?),
            "present" => Expression::Present(self.symbols()?),
            "select" => {
                let condition = self.boxed()?;
                self.expect(",")?;
                let yes = self.boxed()?;
                self.expect(",")?;
                Expression::Select(condition, yes, self.boxed()?)
            }
            "first" => {
                let first = self.boxed()?;
                self.expect(",")?;
                Expression::First(first, self.boxed()?)
            }
            other => {
                let known = ["call", "vcall", "symbol", "present", "select", "first"];
                let hint = crate::suggest::suggestion(other, known);
                return Err(self.error_at(start, format!("`{other}` is no function{hint}")));
            }
        })
    }

    fn symbols(&mut self) -> Result<String, ExpressionError> {
        let mut symbols = Vec::new();
        loop {
            let word = self.word();
            if word.is_empty() {
                return Err(self.error("expected a symbol"));
            }
            symbols.push(word);
            if !self.accept("|") {
                return Ok(symbols.join("|"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn operators_bind_as_they_should() {
        let parsed = |text| parse(text).expect("an expression").to_string();
        assert_eq!(parsed("arg0 + 8 - 4"), "((arg0 + 8) - 4)");
        assert_eq!(parsed("*u8(arg1) & 255 == 0"), "((*u8(arg1) & 255) == 0)");
        assert_eq!(
            parsed("a == 0 || b != 1 && c"),
            "((a == 0) || ((b != 1) && c))"
        );
        assert_eq!(parsed("1 << 4 + 1 | 2"), "((1 << (4 + 1)) | 2)");
        assert_eq!(
            parsed("1 + arg0 * *u64(arg1) * 2"),
            "(1 + ((arg0 * *u64(arg1)) * 2))"
        );
        assert_eq!(parsed("call(f|g, arg0+0x10)"), "call(f|g, (arg0 + 16))");
        assert_eq!(
            parsed("select(present(f), vcall(3, d), first(ret, 0))"),
            "select(present(f), vcall(3, d), first(ret, 0))"
        );
    }

    #[test]
    fn errors_say_where_and_what() {
        let failed = |text| {
            let error = parse(text).expect_err("no expression");
            (error.offset, error.message)
        };
        assert_eq!(failed("arg22").1, "`arg22`: only arg0 to arg21 are known");
        assert_eq!(
            failed("1 + "),
            (4, "expected a value, found the end".to_owned())
        );
        assert_eq!(
            failed("(1 + 2"),
            (6, "expected `)`, found the end".to_owned())
        );
        assert_eq!(failed("1 2"), (2, "`2` is not expected here".to_owned()));
        assert_eq!(failed("*i7(1)").0, 1);
        assert!(failed("calll(f, 1)").1.ends_with("did you mean `call`?"));
        assert!(failed("0xzz").1.contains("is no number"));
        assert!(failed(&"(".repeat(5000)).1.contains("too deeply"));
    }

    fn expressions() -> impl Strategy<Value = Expression> {
        let symbol = || "_Z[a-zA-Z0-9]{1,8}(\\|f[0-9]{1,3})?";
        let leaf = prop_oneof![
            (0_u8..6).prop_map(Expression::Argument),
            Just(Expression::Result),
            any::<u64>().prop_map(Expression::Constant),
            "n_[a-z]{1,5}".prop_map(Expression::Name),
            symbol().prop_map(Expression::Symbol),
            symbol().prop_map(Expression::Present),
        ];
        leaf.prop_recursive(5, 64, 3, move |inner| {
            let operator = (0..Operator::ALL.len()).prop_map(|index| Operator::ALL[index].0);
            prop_oneof![
                (
                    prop_oneof![Just(1_u8), Just(2), Just(4), Just(8)],
                    inner.clone()
                )
                    .prop_map(|(width, e)| Expression::Load(width, Box::new(e))),
                (operator, inner.clone(), inner.clone()).prop_map(|(o, a, b)| Expression::Binary(
                    o,
                    Box::new(a),
                    Box::new(b)
                )),
                (symbol(), inner.clone()).prop_map(|(s, e)| Expression::Call(s, Box::new(e))),
                (any::<u16>(), inner.clone())
                    .prop_map(|(slot, e)| Expression::VirtualCall(slot, Box::new(e))),
                (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| {
                    Expression::Select(Box::new(a), Box::new(b), Box::new(c))
                }),
                (inner.clone(), inner)
                    .prop_map(|(a, b)| Expression::First(Box::new(a), Box::new(b))),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(expression in expressions()) {
            prop_assert_eq!(parse(&expression.to_string()), Ok(expression));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[ a-z0-9()*+&|<=,]{0,40}|\\PC{0,20}") {
            let _ = parse(&text);
        }
    }
}
