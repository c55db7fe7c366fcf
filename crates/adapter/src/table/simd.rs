//! Which functions take or return vectors of more than 16 bytes, as their mangled names tell.

use crate::source::HookSource;
use crate::table::named;

/// What every thunk keeps of a vector register.
const KEPT: usize = 16;

/// Whether one of the hook's symbols is such a function's.
pub(super) fn is_wide(hook: &HookSource) -> bool {
    let mut symbols = hook.symbols.iter();
    symbols.any(|symbol| has_wide_vector(named(symbol.get_ref()).0))
}

/// A vector is `Dv`, how many elements it has, `_` and their type.
fn has_wide_vector(symbol: &str) -> bool {
    if !symbol.starts_with("_Z") {
        return false;
    }
    symbol.split("Dv").skip(1).any(|vector| {
        let Some((count, of)) = vector.split_once('_') else {
            return false;
        };
        let size = count
            .parse::<usize>()
            .map(|count| count.saturating_mul(size(of)));
        size.is_ok_and(|size| size > KEPT)
    })
}

fn size(of: &str) -> usize {
    match of.as_bytes() {
        [b'a' | b'b' | b'c' | b'h', ..] => 1,
        [b's' | b't', ..] => 2,
        // Half-precision numbers, in both forms.
        [b'D', b'F' | b'h', ..] => 2,
        [b'f' | b'i' | b'j', ..] => 4,
        [b'e' | b'g' | b'n' | b'o', ..] => 16,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_measured() {
        for (symbol, is_wide) in [
            ("_Z3addDv4_dS_", true),
            ("_Z3addDv8_f", true),
            ("_ZN4Pool4takeEDv4_x", true),
            ("_Z3addDv32_c", true),
            ("_Z3addDv16_DF16_", true),
            ("_Z3addDv4_fDv8_i", true),
            ("_Z3addDv4_f", false),
            ("_Z3addDv2_d", false),
            ("_Z3addDv16_c", false),
            ("_Z3addDv8_DF16_", false),
            ("addDv4_d", false),
            ("_Z6Dv_oddv", false),
            ("_Z3addDv99999999999999999999999_f", false),
        ] {
            assert_eq!(has_wide_vector(symbol), is_wide, "{symbol}");
        }
    }
}
