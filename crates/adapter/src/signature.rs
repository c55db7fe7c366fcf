//! Checks the signature that an adapter writes beside a mangled symbol.

use core::fmt;

use cpp_demangle::DemangleOptions;
use cpp_demangle::Symbol;

/// Compares, with no regard to white space.
///
/// # Errors
/// A sentence with both sides, when `symbol` is not what `expected` says.
pub(crate) fn check(symbol: &str, expected: &str) -> Result<(), String> {
    let actual = demangled(symbol);
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    if squeezed(&actual) == squeezed(expected) {
        return Ok(());
    }
    Err(format!("`{symbol}` is `{actual}`, not `{expected}`"))
}

/// The readable form, or the symbol itself where there is none of sensible length.
pub(crate) fn demangled(symbol: &str) -> String {
    let mut text = Bounded(String::new());
    let parsed = Symbol::new(symbol).ok();
    let written = parsed.and_then(|symbol| {
        let options = DemangleOptions::default();
        symbol.structured_demangle(&mut text, &options).ok()
    });
    written.map_or_else(|| symbol.to_owned(), |()| text.0)
}

/// No signature is longer; a symbol that somebody made up may be, without end.
const LONGEST: usize = 1 << 14;

/// Takes up to [`LONGEST`] bytes, then refuses.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > LONGEST {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every level doubles the text.
    #[test]
    fn a_symbol_that_would_fill_the_memory_stays_as_it_is() {
        let mut bomb = String::from("_Z1fI1pIiiE");
        for level in 0..15 {
            let before = char::from_digit(2 * level + 1, 36).map(|it| it.to_ascii_uppercase());
            let before = before.expect("fewer than 36 substitutions");
            bomb.push_str(&format!("1pIS{before}_S{before}_E"));
        }
        bomb.push_str("Evv");
        assert_eq!(demangled(&bomb), bomb);
    }

    #[test]
    fn a_signature_has_to_be_that_of_the_symbol() {
        assert_eq!(check("_ZN4Pool7releaseEPv", "Pool::release(void*)"), Ok(()));
        assert_eq!(
            check("_ZN4Pool7releaseEPv", "Pool::release(void *)"),
            Ok(())
        );
        assert_eq!(check("pool_free", "pool_free"), Ok(()));
        let wrong = check("_ZN4Pool7releaseEPv", "Pool::release(int)").expect_err("another type");
        assert!(
            wrong.contains("`Pool::release(void*)`, not `Pool::release(int)`"),
            "{wrong}"
        );
    }
}
