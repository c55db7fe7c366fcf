//! Brackets: where one closes, and what stands behind it.

/// `text`, which begins with `open`, up to its partner, and what follows. All of it where there is none.
/// The `>` of an arrow closes nothing.
#[must_use]
pub fn balanced(text: &str, open: char, close: char) -> (&str, &str) {
    let end = partner(text, open, close).unwrap_or(text.len());
    text.split_at(end)
}

/// Where the partner of the bracket that `text` begins with ends.
fn partner(text: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        if character == open {
            depth += 1;
        } else if character == close && before != '-' {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return Some(at + character.len_utf8());
            }
        }
        before = character;
    }
    None
}

/// `Type` and `::method` of `<Type as Trait>::method` or `<Type>::method`. Nothing where the name begins otherwise, or
/// its bracket has no partner.
#[must_use]
pub fn own_type(name: &str) -> Option<(&str, &str)> {
    if !name.starts_with('<') {
        return None;
    }
    let end = partner(name, '<', '>')?;
    let inside = &name[1..end - 1];
    let own = inside.split(" as ").next().unwrap_or(inside);
    Some((own, &name[end..]))
}

/// What follows the parameters that `text` begins with, where it goes on with the name of a function inside of this
/// one: `(int) const::Local::free()` with `::Local::free()`. Nothing where the name has ended.
#[must_use]
pub fn behind_parameters(text: &str) -> Option<&str> {
    let rest = balanced(text, '(', ')').1;
    let at = rest.find("::")?;
    let are_qualifiers = rest[..at].chars().all(|c| c == ' ' || c.is_alphabetic());
    are_qualifiers.then(|| &rest[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bracket_ends_at_its_own_partner() {
        for (text, inside, after) in [
            ("<int>::evict", "<int>", "::evict"),
            ("<a<b>, c<d<e>>>x<y>", "<a<b>, c<d<e>>>", "x<y>"),
            ("<fn(A) -> B>::call", "<fn(A) -> B>", "::call"),
            ("<a<b>", "<a<b>", ""),
            ("<", "<", ""),
        ] {
            assert_eq!(balanced(text, '<', '>'), (inside, after), "{text}");
        }
        let text = "(void (*)(int), 漢) const";
        assert_eq!(balanced(text, '(', ')'), ("(void (*)(int), 漢)", " const"));
        assert_eq!(balanced("{lambda()#1}::x", '{', '}').1, "::x");
    }

    #[test]
    fn a_method_of_a_trait_is_one_of_the_type() {
        for (name, own) in [
            ("<Cache as Drop>::drop", Some(("Cache", "::drop"))),
            ("<Cache<T> as Drop>::drop", Some(("Cache<T>", "::drop"))),
            ("<Cache>::drop", Some(("Cache", "::drop"))),
            (
                "<fn(A) -> B as FnOnce<A>>::call",
                Some(("fn(A) -> B", "::call")),
            ),
            ("<Cache as Drop", None),
            ("Cache::drop", None),
            ("", None),
        ] {
            assert_eq!(own_type(name), own, "{name}");
        }
    }

    #[test]
    fn only_a_function_inside_of_a_function_goes_on_behind_its_parameters() {
        for (text, rest) in [
            ("(int)::Local::free()", Some("::Local::free()")),
            ("(int) const::Local::free()", Some("::Local::free()")),
            ("(std::vector<int>)::{lambda()#1}", Some("::{lambda()#1}")),
            ("(int) const", None),
            ("(int) [clone .part.0]::x", None),
            ("(a::b", None),
        ] {
            assert_eq!(behind_parameters(text), rest, "{text}");
        }
    }
}
