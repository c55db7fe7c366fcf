//! Checks the signature that an adapter writes beside a mangled symbol.

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

pub(crate) fn demangled(symbol: &str) -> String {
    let parsed = Symbol::new(symbol).ok();
    let text = parsed.and_then(|symbol| symbol.demangle().ok());
    text.unwrap_or_else(|| symbol.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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
