//! Many patterns at once: most are a name or its beginning, which are looked up, not tried one by one.

use std::collections::HashMap;
use std::collections::HashSet;

/// A set of patterns, in which `*` stands for anything.
#[derive(Clone, Debug, Default)]
pub(super) struct Patterns {
    whole: HashSet<String>,
    /// What names begin with, by the first byte.
    beginnings: HashMap<u8, Vec<String>>,
    others: Vec<String>,
}

impl Patterns {
    pub(super) fn add(&mut self, pattern: &str) {
        let beginning = pattern.trim_end_matches('*');
        match beginning.bytes().next() {
            _ if !pattern.contains('*') => drop(self.whole.insert(pattern.to_owned())),
            Some(first) if !beginning.contains('*') => {
                let all = self.beginnings.entry(first).or_default();
                all.push(beginning.to_owned());
            }
            _ => self.others.push(pattern.to_owned()),
        }
    }

    pub(super) fn fit(&self, text: &str) -> bool {
        let Some(first) = text.bytes().next() else {
            return false;
        };
        self.whole.contains(text)
            || self
                .beginnings
                .get(&first)
                .is_some_and(|all| all.iter().any(|beginning| text.starts_with(beginning)))
            || self.others.iter().any(|pattern| fits(pattern, text))
    }
}

/// Whether `text` is what `pattern` stands for, in which `*` is anything. Takes no more steps than the product of the
/// lengths: only the last star is ever tried again.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut of_text) = (0, 0);
    // Behind the last star, and where in the text what it stands for ends.
    let mut star: Option<(usize, usize)> = None;
    while of_text < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                at += 1;
                star = Some((at, of_text));
            }
            Some(byte) if *byte == text[of_text] => {
                at += 1;
                of_text += 1;
            }
            _ => {
                let Some((behind, end)) = star else {
                    return false;
                };
                star = Some((behind, end + 1));
                (at, of_text) = (behind, end + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text) in [
            ("*::DeviceStorage::*", "ttnn::DeviceStorage::deallocate"),
            ("std::*", "std::_Sp_counted_base::_M_release"),
            ("a*b*c", "a-b-b-c"),
            ("*", "x"),
            ("a**", "a"),
            ("größe*", "größer"),
            ("exit", "exit"),
        ] {
            let mut set = Patterns::default();
            set.add(pattern);
            assert!(fits(pattern, text) && set.fit(text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("std::*", "mystd::x"),
            ("exit", "exit_cache"),
            ("a*b", "a-b-c"),
            ("*x*", "abc"),
            ("ab*", "a"),
        ] {
            let mut set = Patterns::default();
            set.add(pattern);
            assert!(!fits(pattern, text) && !set.fit(text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        let pattern = "*a".repeat(400) + "b";
        let text = "a".repeat(4096);
        assert!(!fits(&pattern, &text));
    }
}
