//! What the name of a function says: without what the compiler adds, and which words are in it.

use whofreed_names::ANONYMOUS;
use whofreed_names::operator_length;

/// Words of at most so many letters are found inside of others.
const SHORT: usize = 4;

/// The name of a demangled function without return type, parameters and template arguments.
pub(crate) fn bare_name(demangled: &str) -> String {
    let name = demangled.replace(ANONYMOUS, "{anonymous}");
    // `<Type as Trait>::method` is a method of `Type`.
    if let Some(rest) = name.strip_prefix('<') {
        return bare_name(
            rest.split(" as ")
                .next()
                .unwrap_or(rest)
                .trim_end_matches('>'),
        );
    }
    let mut bare = String::with_capacity(name.len());
    let mut depth = 0usize;
    let mut rest = name.as_str();
    while let Some(c) = rest.chars().next() {
        if depth == 0
            && rest.starts_with("operator")
            && !bare.ends_with(|c: char| c.is_alphanumeric() || c == '_')
        {
            let end = operator_length(rest);
            // A return type stands before the qualified name, not inside of it.
            let start = bare.rfind(' ').map_or(0, |space| space + 1);
            return format!("{}{}", &bare[start..], &rest[..end]);
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            '(' if depth == 0 => break,
            _ if depth == 0 => bare.push(c),
            _ => {}
        }
    }
    let start = bare.trim_end().rfind(' ').map_or(0, |space| space + 1);
    bare[start..].trim_end().to_owned()
}

/// Whether `word` stands in `name`, in lower case. A short word has to begin one, so that `spool` is no pool.
pub(crate) fn has_word(name: &str, word: &str) -> bool {
    name.match_indices(word).any(|(at, _)| {
        let before = name[..at].chars().next_back();
        word.len() > SHORT || before.is_none_or(|c| !c.is_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_names() {
        for (demangled, bare) in [
            ("void std::_Destroy<Foo*>(Foo*, Foo*)", "std::_Destroy"),
            ("std::vector<int> mine::make<int>(int)", "mine::make"),
            ("operator delete(void*, unsigned long)", "operator delete"),
            ("main::{lambda()#1}::operator()() const", "main::{lambda"),
            ("(anonymous namespace)::evict(int)", "{anonymous}::evict"),
            (
                "<alloc::vec::Vec<T> as core::ops::Drop>::drop",
                "alloc::vec::Vec",
            ),
            (
                "ttnn::Tensor::operator=(ttnn::Tensor&&)",
                "ttnn::Tensor::operator=",
            ),
            ("bool ns::Less::operator()(int)", "ns::Less::operator()"),
            ("my_operator<int>(int)", "my_operator"),
            (
                "std::function<void (int)>::call(int)",
                "std::function::call",
            ),
            ("plain_c", "plain_c"),
        ] {
            assert_eq!(bare_name(demangled), bare, "{demangled}");
        }
    }

    #[test]
    fn words() {
        assert!(has_word("programcache::evict", "cache"));
        assert!(has_word("device::pool_give", "pool"));
        assert!(!has_word("spool::give", "pool"));
    }
}
