//! The name of a function that stays when it is compiled again: without return type, parameters, template
//! arguments and clones; a lambda counts as the function that it stands in.

use whofreed_names::ANONYMOUS;
use whofreed_names::MOST_NESTED;
use whofreed_names::balanced;
use whofreed_names::behind_parameters;
use whofreed_names::is_rust_hash;
use whofreed_names::operator_at;
use whofreed_names::own_type;
use whofreed_names::without_clone;
use whofreed_trace::Language;

/// How functions without a name of their own begin: they are numbered, and the numbers move.
const NAMELESS: [&str; 6] = [
    "{lambda",
    "{closure",
    "{{closure",
    "{unnamed",
    "'lambda",
    "$_",
];

/// What a member function is for.
const QUALIFIERS: [&str; 4] = [" const", " &", " &&", " const &"];

/// The stable form of a demangled name.
pub(super) fn stable_name(function: &str, language: Language) -> String {
    if language == Language::Python {
        return function.to_owned();
    }
    let function = without_clone(function);
    let mut name = native(function.trim_end(), 0);
    if let Some((before, last)) = name.rsplit_once("::")
        && is_rust_hash(last)
    {
        name.truncate(before.len());
    }
    // Of a name that is nothing but a lambda, something has to stay.
    if name.is_empty() {
        function.chars().filter(|c| !c.is_ascii_digit()).collect()
    } else {
        name
    }
}

fn native(name: &str, depth: usize) -> String {
    // `<Type as Trait>::method` is a method of the type.
    if depth < MOST_NESTED && name.starts_with('<') {
        // Of a name that was cut there may be no more than the type.
        let (own, after) = own_type(name).unwrap_or((&name[1..], ""));
        let after = native(after, depth + 1);
        return format!("{}{after}", native(own, depth + 1));
    }
    let mut stable = String::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        if let Some(symbol) = operator_at(&stable, rest) {
            stable.push_str(symbol);
            return stable;
        }
        if NAMELESS.iter().any(|start| rest.starts_with(start)) {
            break;
        }
        match first {
            '(' if rest.starts_with(ANONYMOUS) => {
                stable.push_str("(anonymous)");
                rest = &rest[ANONYMOUS.len()..];
            }
            '<' => rest = balanced(rest, '<', '>').1,
            // `[abi:cxx11]`, `[clone .part.0]`.
            '[' => rest = balanced(rest, '[', ']').1,
            '(' => match behind_parameters(rest) {
                Some(inner) => rest = inner,
                None => break,
            },
            ' ' if QUALIFIERS.contains(&rest) => break,
            ' ' => {
                // What stands before was the return type.
                stable.clear();
                rest = &rest[1..];
            }
            _ => {
                stable.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    stable.trim_end_matches(':').trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_one_function_read_alike() {
        for (stable, names) in [
            (
                "device::ProgramCache::evict",
                &[
                    "device::ProgramCache::evict",
                    "device::ProgramCache<int>::evict(std::vector<Key> const&) const",
                    "void device::ProgramCache<std::pair<int, long> >::evict<3>(int)",
                    "device::ProgramCache::evict[abi:cxx11](int)",
                    "device::ProgramCache::evict(int) [clone .part.0]",
                    "device::ProgramCache::evict const",
                    "device::ProgramCache::evict(int)::{lambda(int)#2}::operator()(int) const",
                    "device::ProgramCache::evict::{lambda()#1}::operator()",
                    "device::ProgramCache::evict::$_0::operator()() const",
                ][..],
            ),
            (
                "free_all",
                &["free_all", "free_all.part.0", "free_all.constprop.1.isra.0"],
            ),
            ("(anonymous)::drop", &["(anonymous namespace)::drop(int)"]),
            (
                "host::run",
                &["host::run::h0123456789abcdef", "host::run::{{closure}}"],
            ),
            (
                "host::Cache::drop",
                &["<host::Cache<T> as core::ops::Drop>::drop"],
            ),
            (
                "a::Less::operator<",
                &["a::Less::operator<(a::Less const&)"],
            ),
            (
                "a::Call::operator()",
                &["a::Call::operator()(int) const", "a::Call::operator()<int>"],
            ),
            (
                "operator delete[]",
                &["operator delete[](void*, unsigned long)"],
            ),
            (
                "operators::run",
                &["operators::run(int)", "operators::run<int>(int)"],
            ),
            ("my_operator", &["my_operator<int>(int)"]),
            (
                "outer::Local::free",
                &[
                    "outer(int)::Local::free()",
                    "outer(int) const::Local::free()",
                ],
            ),
            ("outer", &["outer(int) [of std::something]"]),
            // Only almost hashes.
            ("host::a0123456789abcdef", &["host::a0123456789abcdef"]),
            ("host::h0123456789abcdex", &["host::h0123456789abcdex"]),
            ("host::hade", &["host::hade"]),
            ("host::fade", &["host::fade"]),
        ] {
            for name in names {
                assert_eq!(stable_name(name, Language::Native), stable, "{name}");
            }
        }
    }

    #[test]
    fn python_names_stay_as_they_are() {
        let name = "Model.<locals>.step";
        assert_eq!(stable_name(name, Language::Python), name);
    }

    #[test]
    fn names_of_any_form_and_length_have_a_stable_form() {
        for part in [
            "<",
            ">",
            "(",
            ")",
            "::",
            "operator",
            "{",
            " ",
            "<a as b>::",
            "<a>",
            "漢",
            "[",
            "{lambda",
            ".",
        ] {
            for name in [
                part.repeat(50_000),
                format!("a{}b", part.repeat(50_000)),
                part.to_owned(),
            ] {
                // Nothing to compare with: it comes to an end, and does not panic.
                let _ = stable_name(&name, Language::Native);
            }
        }
        for (name, stable) in [("{lambda()#1}", "{lambda()#}"), ("", "")] {
            assert_eq!(stable_name(name, Language::Native), stable);
        }
    }
}
