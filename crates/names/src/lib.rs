//! What a demangled name of C++ or Rust is made of: brackets and their partners, operators, parameters, and what
//! compilers add. In one place that depends on nothing.
//!
//! What a name is shortened to is the business of who shortens it: the rules look for words in it, `diff` knows
//! a function again in another build, a report has little room. How a name is read, all of them ask here.
//!
//! **Architecture Invariant:** names come from files that anybody may have written. Nothing here panics, and nothing
//! walks along a name more than a few times.

mod brackets;
mod operators;

pub use brackets::balanced;
pub use brackets::behind_parameters;
pub use brackets::own_type;
pub use operators::operator_at;
pub use operators::operator_length;
pub use operators::operator_symbol;

/// How demanglers call the namespace that has no name. Its bracket opens no parameters.
pub const ANONYMOUS: &str = "(anonymous namespace)";

/// Types that stand in each other deeper than this are somebody's joke.
pub const MOST_NESTED: usize = 8;

/// What compilers add to the name of a part or copy of a function; the person knows the function.
const CLONES: [&str; 8] = [
    ".cold",
    ".part.",
    ".isra.",
    ".constprop.",
    ".lto_priv.",
    ".llvm.",
    ".localalias",
    ".__uniq.",
];

/// The name before what a compiler added to that of a part or copy of the function: `free_all.part.0` is `free_all`.
#[must_use]
pub fn without_clone(name: &str) -> &str {
    let end = CLONES.iter().filter_map(|clone| name.find(clone)).min();
    match end {
        Some(end) if end > 0 => &name[..end],
        _ => name,
    }
}

/// Whether the last part of a name is the hash in which Rust's first mangling ends.
#[must_use]
pub fn is_rust_hash(part: &str) -> bool {
    part.len() == 17
        && part.starts_with('h')
        && part[1..].bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a terminal would act on the character, or hide it, or turn the text around behind it.
#[must_use]
pub fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether a word that `character` stands next to goes on with it.
fn is_in_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_copies_of_a_function_are_the_function() {
        for (name, function) in [
            ("free_all", "free_all"),
            ("free_all.part.0", "free_all"),
            ("free_all.constprop.1.isra.0.cold", "free_all"),
            ("evict.llvm.17", "evict"),
            ("a.b", "a.b"),
            // Of a name that is nothing else, something has to stay.
            (".cold", ".cold"),
            ("", ""),
        ] {
            assert_eq!(without_clone(name), function, "{name}");
        }
    }

    #[test]
    fn a_hash_has_sixteen_hexadecimal_digits() {
        assert!(is_rust_hash("h0123456789abcdef"));
        let no_digits = format!("h{}", "ß".repeat(8));
        for part in [
            "h0123456789abcde",
            "h0123456789abcdeg",
            "x0123456789abcdef",
            &no_digits,
        ] {
            assert!(!is_rust_hash(part), "{part}");
        }
    }
}
