//! Mangled names to names that people use: `ProgramCache::evict`, not its parameters, not its hash.
//!
//! Names come from files that anybody may have written, so all work on them is bounded: what is read, how
//! deep it may nest, and how long the result may get.

use std::fmt;
use std::fmt::Write as _;

use cpp_demangle::DemangleOptions;
use cpp_demangle::ParseOptions;
use cpp_demangle::Symbol;
use whofreed_names::without_clone;

use crate::abridged::abridged;

/// The longest name that is handed on, in characters.
pub(crate) const LONGEST_NAME: usize = 4096;

/// The longest mangled name that is looked at, in bytes. Templates of templates reach ten thousand and more.
pub(crate) const LONGEST_MANGLED: usize = 32 * 1024;

/// Deep enough for real templates, and shallow enough for the stack of any thread.
const DEEPEST: u32 = 96;

/// Writes at most [`LONGEST_NAME`] characters, then refuses.
struct Bounded {
    text: String,
    room: usize,
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fits = text
            .char_indices()
            .nth(self.room)
            .map_or(text, |(end, _)| &text[..end]);
        self.text.push_str(fits);
        self.room -= fits.chars().count();
        if fits.len() < text.len() {
            return Err(fmt::Error);
        }
        Ok(())
    }
}

/// `text`, or its first [`LONGEST_NAME`] characters.
pub(crate) fn capped(text: &str) -> &str {
    text.char_indices()
        .nth(LONGEST_NAME)
        .map_or(text, |(end, _)| &text[..end])
}

/// Whether `name` looks like one that a C++ or Rust compiler made.
pub(crate) fn is_mangled(name: &str) -> bool {
    name.starts_with("_Z") || name.starts_with("_R")
}

/// The readable form of `raw`, or `raw` itself where it is not mangled or does not parse.
pub(crate) fn readable(raw: &str) -> String {
    let name = without_clone(without_version(raw));
    if is_mangled(name) && name.len() <= LONGEST_MANGLED {
        let demangled = if is_rust(name) {
            rust(name)
        } else {
            cpp(name).or_else(|| abridged(name).map(|text| capped(&text).to_owned()))
        };
        if let Some(demangled) = demangled {
            return demangled;
        }
    }
    capped(name).to_owned()
}

/// `memcpy@@GLIBC_2.14` is `memcpy`.
fn without_version(name: &str) -> &str {
    match name.find('@') {
        Some(at) if at > 0 => &name[..at],
        _ => name,
    }
}

/// Rust's first mangling is C++'s with a hash as the last part: `17h` and 16 hexadecimal digits.
fn is_rust(name: &str) -> bool {
    if name.starts_with("_R") {
        return true;
    }
    let Some(hash) = name
        .strip_suffix('E')
        .and_then(|rest| rest.get(rest.len().checked_sub(19)?..))
    else {
        return false;
    };
    hash.strip_prefix("17h")
        .is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

fn rust(name: &str) -> Option<String> {
    let demangled = rustc_demangle::try_demangle(name).ok()?;
    let mut out = bounded();
    // An error means that the bound was reached: what fitted is still the best name there is.
    let _ = write!(out, "{demangled:#}");
    finished(out)
}

fn cpp(name: &str) -> Option<String> {
    let parsing = ParseOptions::default().recursion_limit(DEEPEST);
    let symbol = Symbol::new_with_options(name.as_bytes(), &parsing).ok()?;
    let options = DemangleOptions::new()
        .no_params()
        .no_return_type()
        .hide_expression_literal_types()
        .recursion_limit(DEEPEST);
    let mut out = bounded();
    let result = symbol.structured_demangle(&mut out, &options);
    if result.is_err() && out.room > 0 {
        // Not the bound: the name itself is at odds with the grammar.
        return None;
    }
    // What a member function is for (`const`, `&`) goes the way of its parameters; the crate leaves it in some.
    for qualifier in [" &&", " &", " const"] {
        if is_member(name) && out.text.ends_with(qualifier) {
            out.text.truncate(out.text.len() - qualifier.len());
        }
    }
    finished(out)
}

/// Whether the name is one of a member function with qualifiers, or one in a function, where they are further in.
fn is_member(name: &str) -> bool {
    name.starts_with("_ZZ")
        || name
            .strip_prefix("_ZN")
            .is_some_and(|rest| rest.starts_with(['r', 'V', 'K', 'R', 'O']))
}

fn bounded() -> Bounded {
    Bounded {
        text: String::new(),
        room: LONGEST_NAME,
    }
}

fn finished(out: Bounded) -> Option<String> {
    (!out.text.is_empty()).then_some(out.text)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::expect_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn cpp_names_lose_parameters_and_return_types() {
        for (raw, expected) in [
            ("_ZN12ProgramCache5evictEm", "ProgramCache::evict"),
            (
                "_ZN2tt8tt_metal6Buffer10deallocateEv",
                "tt::tt_metal::Buffer::deallocate",
            ),
            (
                "_ZNK2tt8tt_metal6Buffer7addressEv",
                "tt::tt_metal::Buffer::address",
            ),
            ("_ZN2ns4pickIiEET_S1_S1_", "ns::pick<int>"),
            ("_ZN6WidgetD2Ev", "Widget::~Widget"),
            (
                "_ZNKR4ttnn6Tensor14device_storageEv",
                "ttnn::Tensor::device_storage",
            ),
            ("_ZNR6WidgetanEi", "Widget::operator&"),
            ("_ZZ4mainENKUlvE_clEv", "main::{lambda()#1}::operator()"),
            (
                "_ZN12_GLOBAL__N_16hiddenEi",
                "(anonymous namespace)::hidden",
            ),
        ] {
            assert_eq!(readable(raw), expected, "{raw}");
        }
    }

    #[test]
    fn rust_names_lose_their_hash() {
        assert_eq!(
            readable("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE"),
            "core::fmt::Formatter::pad"
        );
        assert_eq!(
            readable("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE.llvm.123"),
            "core::fmt::Formatter::pad"
        );
        assert_eq!(readable("_RNvCs1234_7mycrate3foo"), "mycrate::foo");
    }

    #[test]
    fn parts_copies_and_versions_of_a_function_are_the_function() {
        for (raw, expected) in [
            ("_ZN12ProgramCache5evictEm.cold", "ProgramCache::evict"),
            (
                "_ZN12ProgramCache5evictEm.part.0.cold",
                "ProgramCache::evict",
            ),
            ("helper.constprop.0.isra.0", "helper"),
            (
                "_PyEval_EvalFrameDefault.cold.23",
                "_PyEval_EvalFrameDefault",
            ),
            ("memcpy@@GLIBC_2.14", "memcpy"),
        ] {
            assert_eq!(readable(raw), expected, "{raw}");
        }
    }

    #[test]
    fn what_is_not_mangled_stays() {
        for raw in [
            "main",
            "_Zebra",
            "_Rust",
            "_Z",
            "_R",
            "",
            "@odd",
            ".cold",
            "\u{1b}[31mred",
            "naïve",
        ] {
            assert_eq!(readable(raw), raw);
        }
    }

    #[test]
    fn names_are_capped() {
        assert_eq!(readable(&"ö".repeat(10_000)).chars().count(), LONGEST_NAME);
        let long = format!("_ZN1a{}{}Ev", 9000, "x".repeat(9000));
        assert_eq!(readable(&long).chars().count(), LONGEST_NAME);
    }

    #[test]
    fn bombs_and_garbage_end_soon() {
        // Every level names the one before it twice: the text doubles, the symbol grows by a few bytes.
        let mut bomb = String::from("_Z1fI1pIiiE");
        for level in 0..15 {
            let before =
                char::from_digit(2 * level + 1, 36).map(|digit| digit.to_ascii_uppercase());
            let before = before.expect("fewer than 36 substitutions");
            bomb.push_str(&format!("1pIS{before}_S{before}_E"));
        }
        bomb.push_str("Evv");
        let text = readable(&bomb);
        assert!(
            text.starts_with("f<p<int, int>, p<p<int, int>, p<int, int> >"),
            "{text}"
        );
        assert_eq!(text.chars().count(), LONGEST_NAME);

        let deep = [
            format!("_Z1f{}i", "P".repeat(20_000)),
            format!("_Z{}", "N".repeat(30_000)),
            format!("_Z1fI{}", "1aI".repeat(10_000)),
            format!("_RN{}", "N".repeat(30_000)),
            format!("_R{}", "INvC1a1b".repeat(3_000)),
            format!("_ZN{}17h0123456789abcdefE", "1a".repeat(10_000)),
            format!("_Z1fIX{}", "sr1aIX".repeat(5_000)),
            format!("_Z1fIX{}", "aasr1aTy".repeat(4_000)),
            format!("_Z1fIN{}", "1aIX".repeat(8_000)),
        ];
        for raw in deep {
            assert!(readable(&raw).chars().count() <= LONGEST_NAME);
        }
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            let mut raw = String::from(if state & 1 == 0 { "_ZN" } else { "_R" });
            for _ in 0..24 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let letters = b"NSt0123456789EIJRKPFDTLXvic_ZsaMQCY.h";
                let at = (state >> 33) as usize % letters.len();
                raw.push(char::from(letters[at]));
            }
            assert!(readable(&raw).chars().count() <= LONGEST_NAME);
        }
    }
}
