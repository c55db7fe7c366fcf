//! Names for people: hostile characters escaped, long names shortened.
//!
//! Every name in a report comes from the host (symbols, paths, labels), so none reaches a terminal as it is.

use unicode_width::UnicodeWidthChar;
use whofreed_names::ANONYMOUS;
use whofreed_names::MOST_NESTED;
use whofreed_names::balanced;
use whofreed_names::behind_parameters;
use whofreed_names::is_hostile;
use whofreed_names::is_rust_hash;
use whofreed_names::operator_symbol;
use whofreed_names::own_type;
use whofreed_trace::Frame;
use whofreed_trace::Language;

/// What stands for the part that was cut out.
const ELLIPSIS: &str = "…";

/// One character as it is shown. Shortening works on cells, so that no escape is ever cut in two.
struct Cell {
    shown: String,
    width: usize,
}

impl Cell {
    fn new(character: char) -> Self {
        let shown = match character {
            '\n' => "\\n".to_owned(),
            '\r' => "\\r".to_owned(),
            '\t' => "\\t".to_owned(),
            _ if is_hostile(character) => {
                let number = u32::from(character);
                if number <= 0xff {
                    format!("\\x{number:02x}")
                } else {
                    format!("\\u{{{number:x}}}")
                }
            }
            _ => {
                // A combining character counts as one column: rather too short a line than one too long.
                return Self {
                    width: character.width().unwrap_or(1).max(1),
                    shown: character.to_string(),
                };
            }
        };
        Self {
            width: shown.len(),
            shown,
        }
    }
}

/// `text` with everything escaped that a terminal would act on: control characters, bidi overrides, invisibles.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|character| Cell::new(character).shown)
        .collect()
}

/// The columns that a text without hostile characters takes.
pub(super) fn columns(text: &str) -> usize {
    text.chars()
        .map(|character| Cell::new(character).width)
        .sum()
}

/// `text`, escaped, in at most `most` columns; what is too long loses its middle.
#[must_use]
pub fn fit_middle(text: &str, most: usize) -> String {
    fit(text, most, |room| room.div_ceil(2))
}

/// `text`, escaped, in at most `most` columns; what is too long loses its beginning.
pub(super) fn fit_end(text: &str, most: usize) -> String {
    fit(text, most, |_| 0)
}

fn fit(text: &str, most: usize, share_of_head: impl Fn(usize) -> usize) -> String {
    let cells: Vec<Cell> = text.chars().map(Cell::new).collect();
    if cells.iter().map(|cell| cell.width).sum::<usize>() <= most {
        return cells.into_iter().map(|cell| cell.shown).collect();
    }
    let room = most.saturating_sub(1);
    let head_room = share_of_head(room);
    let head = that_fit(cells.iter(), head_room);
    let tail = that_fit(cells[head..].iter().rev(), room - head_room);
    let shown = |cells: &[Cell]| -> String { cells.iter().map(|cell| &*cell.shown).collect() };
    format!(
        "{}{ELLIPSIS}{}",
        shown(&cells[..head]),
        shown(&cells[cells.len() - tail..])
    )
}

/// How many of the cells, from the first, find room.
fn that_fit<'a>(cells: impl Iterator<Item = &'a Cell>, mut room: usize) -> usize {
    cells
        .take_while(|cell| match room.checked_sub(cell.width) {
            Some(left) => {
                room = left;
                true
            }
            None => false,
        })
        .count()
}

/// Shares `room` columns between a name and a place: each has half, and what the other does not need.
pub(super) fn share(room: usize, name: &str, place: &str) -> (usize, usize) {
    let name = columns(name);
    let place = columns(place);
    if name + place <= room {
        (name, place)
    } else {
        let half = room / 2;
        let most_place = place.min(room.saturating_sub(name.min(half)));
        (room.saturating_sub(most_place), most_place)
    }
}

/// The last component of a path.
pub(crate) fn base(path: &str) -> &str {
    path.rsplit('/')
        .find(|part| !part.is_empty())
        .unwrap_or(path)
}

/// How a sentence calls a frame: `ProgramCache::evict (cache.cpp:41)`, in about `most` columns.
#[must_use]
pub fn site(frame: &Frame, most: usize) -> String {
    let place = match &frame.file {
        Some(file) if frame.line > 0 => format!("{}:{}", base(file), frame.line),
        Some(file) => base(file).to_owned(),
        None if frame.module.is_empty() => format!("{:#x}", frame.offset),
        None => format!("{}+{:#x}", base(&frame.module), frame.offset),
    };
    let place = fit_end(&place, (most / 2).max(12));
    let room = most.saturating_sub(columns(&place) + 3).max(12);
    match &frame.function {
        Some(function) => {
            let short = short_function(function, frame.language);
            format!("{} ({place})", fit_middle(&short, room))
        }
        None => place,
    }
}

/// A function without template arguments, parameters, return type and outer namespaces:
/// `tt::ProgramCache<int>::evict(Key const&) const` is `ProgramCache::evict`.
pub(crate) fn short_function(name: &str, language: Language) -> String {
    if language == Language::Python {
        return name.to_owned();
    }
    if let Some((class, to)) = conversion(name) {
        let last = |name: &str| {
            let bare = without_arguments(name, 0);
            bare.rsplit("::").next().unwrap_or_default().to_owned()
        };
        return format!("{}::operator {}", last(class), last(to));
    }
    let bare = without_arguments(name, 0);
    let mut parts: Vec<&str> = bare.split("::").filter(|part| !part.is_empty()).collect();
    // Rust's legacy symbols end in a hash.
    if parts.len() > 1 && parts.last().is_some_and(|last| is_rust_hash(last)) {
        parts.pop();
    }
    let mut keep = 1;
    while keep < parts.len() && (keep < 2 || parts[parts.len() - keep].starts_with(['{', '('])) {
        keep += 1;
    }
    let short = parts[parts.len().saturating_sub(keep)..].join("::");
    if short.is_empty() {
        name.to_owned()
    } else {
        short
    }
}

/// The class and the type of an operator that converts: `C::operator std::vector<int>() const`.
fn conversion(name: &str) -> Option<(&str, &str)> {
    let (class, to) = name.split_once("::operator ")?;
    let (to, _) = to.rsplit_once("()")?;
    let is_balanced = class.matches('<').count() == class.matches('>').count();
    let is_other = ["new", "delete", "co_await"]
        .iter()
        .any(|word| to.starts_with(word));
    (is_balanced && !is_other).then_some((class, to.trim()))
}

/// The name with what stands in `<>` and `()` left out, up to the end of its last parameter list.
fn without_arguments(name: &str, depth: usize) -> String {
    // `<Type as Trait>::method`: the type says more than nothing.
    if depth < MOST_NESTED
        && let Some((own, after)) = own_type(name)
    {
        return format!(
            "{}{}",
            without_arguments(own, depth + 1),
            without_arguments(after, depth + 1)
        );
    }
    let mut bare = String::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        if let Some(symbol) = operator_symbol(&bare, rest) {
            bare.push_str(symbol);
            rest = &rest[symbol.len()..];
            continue;
        }
        match first {
            '(' if rest.starts_with(ANONYMOUS) => {
                bare.push_str("(anonymous)");
                rest = &rest[ANONYMOUS.len()..];
            }
            '{' => {
                let (inside, after) = balanced(rest, '{', '}');
                bare.push_str(inside);
                rest = after;
            }
            '<' => rest = balanced(rest, '<', '>').1,
            '(' => match behind_parameters(rest) {
                Some(inner) => rest = inner,
                None => break,
            },
            ' ' if !bare.ends_with("operator") => {
                // What stands before was the return type.
                bare.clear();
                rest = &rest[1..];
            }
            _ => {
                bare.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_characters_are_escaped() {
        assert_eq!(printable("a\u{1b}[31mb"), "a\\x1b[31mb");
        assert_eq!(printable("x\ny\t\u{9b}z\u{7f}"), "x\\ny\\t\\x9bz\\x7f");
        assert_eq!(printable("evil\u{202e}cod.exe"), "evil\\u{202e}cod.exe");
        assert_eq!(printable("\u{200b}\u{feff}"), "\\u{200b}\\u{feff}");
        assert_eq!(printable("größe 漢"), "größe 漢");
    }

    #[test]
    fn what_is_too_long_loses_its_middle_or_its_beginning() {
        assert_eq!(fit_middle("abcdefghij", 10), "abcdefghij");
        assert_eq!(fit_middle("abcdefghij", 7), "abc…hij");
        assert_eq!(fit_end("/a/long/path.cpp:41", 12), "…path.cpp:41");
        assert_eq!(fit_middle("漢漢漢漢漢", 6), "漢…漢");
    }

    #[test]
    fn an_escape_is_never_cut_in_two() {
        let name = "\u{202e}".repeat(9);
        for most in 1..90 {
            let shown = fit_middle(&name, most);
            assert!(columns(&shown) <= most, "{most}: {shown}");
            assert_eq!(shown.replace("\\u{202e}", "").replace(ELLIPSIS, ""), "");
        }
    }

    #[test]
    fn names_of_any_form_and_length_have_a_short_form() {
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
            "漢",
            "operator<",
            "h",
        ] {
            let name = part.repeat(100_000);
            assert!(
                !short_function(&name, Language::Native).is_empty(),
                "{part}"
            );
            let mixed = format!("a{name}b");
            assert!(
                !short_function(&mixed, Language::Native).is_empty(),
                "{part}"
            );
        }
    }

    #[test]
    fn functions_are_called_by_their_last_two_names() {
        let short = |name| short_function(name, Language::Native);
        assert_eq!(
            short("tt::tt_metal::ProgramCache<int>::evict(std::vector<Key> const&) const"),
            "ProgramCache::evict"
        );
        assert_eq!(
            short("rt::View::operator std::vector<int, std::allocator<int> >() const"),
            "View::operator vector"
        );
        assert_eq!(short("View<int>::operator bool()"), "View::operator bool");
        assert_eq!(short("main"), "main");
        assert_eq!(short("void free_all<float>(float*)"), "free_all");
        assert_eq!(
            short("(anonymous namespace)::drop(int)"),
            "(anonymous)::drop"
        );
        assert_eq!(short("operator delete(void*)"), "operator delete");
        assert_eq!(
            short("a::Less::operator<(a::Less const&)"),
            "Less::operator<"
        );
        assert_eq!(short("a::Call::operator()(int) const"), "Call::operator()");
        assert_eq!(
            short("ns::run(int)::{lambda(int)#1}::operator()(int) const"),
            "run::{lambda(int)#1}::operator()"
        );
        assert_eq!(
            short("<alloc::vec::Vec<T,A> as core::ops::drop::Drop>::drop"),
            "Vec::drop"
        );
        // The arrow in a type closes none of its brackets.
        assert_eq!(
            short("<host::Lazy<Pool, fn() -> host::Pool<u32>>>::get"),
            "Lazy::get"
        );
        assert_eq!(short("host::main::{{closure}}"), "main::{{closure}}");
        assert_eq!(short("host::run::h0123456789abcdef"), "host::run");
        assert_eq!(
            short_function("Model.<locals>.step", Language::Python),
            "Model.<locals>.step"
        );
    }
}
