//! Operators: the one sort of function whose name has brackets and blanks in it.

use crate::is_in_word;

const OPERATOR: &str = "operator";

/// What the symbols of operators are made of, but for `()` and `[]`.
const SYMBOLS: &str = "+-*/%^&|~!=<>,";

/// The name of an operator that `rest` begins with, up to its parameters, where `before` is what stands before it:
/// `operator<`, `operator delete[]`, `operator()`. Nothing where `operator` is but a part of a word.
#[must_use]
pub fn operator_at<'a>(before: &str, rest: &'a str) -> Option<&'a str> {
    let after = rest.strip_prefix(OPERATOR)?;
    if before.ends_with(is_in_word) || after.starts_with(is_in_word) {
        return None;
    }
    Some(rest[..operator_length(rest)].trim_end())
}

/// How long the name of the operator is that `text` begins with: up to its parameters, whatever brackets are in it. None
/// of those behind `operator()` is.
#[must_use]
pub fn operator_length(text: &str) -> usize {
    const CALL: &str = "operator()";
    if text.starts_with(CALL) {
        return CALL.len();
    }
    text.find('(').unwrap_or(text.len())
}

/// The symbol of an operator, where `before` ends in the word for it and `rest` goes on with the symbol: `<`, `()`,
/// ` delete[]`. Where the name goes on behind the operator without parameters between, this one does not run over it.
#[must_use]
pub fn operator_symbol<'a>(before: &str, rest: &'a str) -> Option<&'a str> {
    let before = before.strip_suffix(OPERATOR)?;
    if before.ends_with(is_in_word) {
        return None;
    }
    let end = if rest.starts_with("()") || rest.starts_with("[]") {
        2
    } else if rest.starts_with(' ') {
        rest.find('(').unwrap_or(rest.len())
    } else {
        rest.find(|c: char| !SYMBOLS.contains(c))
            .unwrap_or(rest.len())
    };
    (end > 0).then(|| &rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Operators without their parameters.
    const NAMES: [&str; 16] = [
        "operator<",
        "operator>",
        "operator->",
        "operator->*",
        "operator<<",
        "operator>>=",
        "operator<=>",
        "operator==",
        "operator()",
        "operator[]",
        "operator,",
        "operator~",
        "operator new",
        "operator delete[]",
        "operator bool",
        "operator std::vector<int>",
    ];

    #[test]
    fn an_operator_ends_where_its_parameters_begin() {
        for name in NAMES {
            for parameters in ["", "(int)", "(a::Less<int> const&) const"] {
                let whole = format!("{name}{parameters}");
                assert_eq!(operator_at("a::Less::", &whole), Some(name), "{whole}");
                assert_eq!(operator_length(&whole), name.len(), "{whole}");
                let symbol = &whole[OPERATOR.len()..];
                assert_eq!(
                    operator_symbol("a::Less::operator", symbol),
                    Some(&name[OPERATOR.len()..]),
                    "{whole}"
                );
            }
        }
    }

    #[test]
    fn template_arguments_end_the_call_operator_and_belong_to_others() {
        assert_eq!(operator_at("", "operator()<int>(int)"), Some("operator()"));
        assert_eq!(
            operator_at("", "operator<< <...>(int)"),
            Some("operator<< <...>")
        );
        assert_eq!(operator_symbol("operator", "()<int>"), Some("()"));
        assert_eq!(operator_symbol("operator", "+::{lambda"), Some("+"));
    }

    #[test]
    fn a_word_with_operator_in_it_is_none() {
        for (before, rest) in [
            ("", "operators::run(int)"),
            ("", "operator_table"),
            ("my_", "operator<"),
            ("", "operato"),
            ("", ""),
        ] {
            assert_eq!(operator_at(before, rest), None, "{before}{rest}");
        }
        for (before, rest) in [
            ("myoperator", "<int>"),
            ("operator", "s::run"),
            ("operator", ""),
            ("", "<"),
        ] {
            assert_eq!(operator_symbol(before, rest), None, "{before}{rest}");
        }
    }
}
