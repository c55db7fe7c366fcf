//! Paths for people: from the folder where the reader stands, and cut only between components; and words for a shell.

use super::names::columns;
use super::names::fit_end;
use super::names::fit_middle;
use super::names::printable;
use super::names::share;

/// The path as it is called in the folder `here`, where it lies below it.
pub(crate) fn from_here<'path>(path: &'path str, here: Option<&str>) -> &'path str {
    here.map(|here| here.trim_end_matches('/'))
        .filter(|here| !here.is_empty())
        .and_then(|here| path.strip_prefix(here)?.strip_prefix('/'))
        .unwrap_or(path)
}

/// `path`, escaped, in at most `most` columns; what is too long loses whole components in its middle:
/// `/home/…/cache/evict.cpp:41`.
pub(super) fn fit_path(path: &str, most: usize) -> String {
    let whole = printable(path);
    if columns(&whole) <= most {
        return whole;
    }
    let parts: Vec<&str> = whole.split('/').collect();
    let first = usize::from(parts[0].is_empty());
    // The first component tells whose the file is; the last ones tell which.
    for head in [first + 1, 0] {
        let Some(behind) = parts.get(head..).filter(|behind| !behind.is_empty()) else {
            continue;
        };
        let start = match head {
            0 => "…/".to_owned(),
            _ => format!("{}/…/", parts[..head].join("/")),
        };
        let mut room = most.saturating_sub(columns(&start));
        let kept = behind
            .iter()
            .rev()
            .take_while(|part| {
                let left = room.checked_sub(columns(part));
                // The slash before the next one.
                room = left.unwrap_or(0).saturating_sub(1);
                left.is_some()
            })
            .count();
        if kept > 0 && kept < behind.len() {
            return start + &behind[behind.len() - kept..].join("/");
        }
    }
    fit_end(path.rsplit('/').next().unwrap_or(path), most)
}

/// `cache.cpp:41`, from the folder `here`; without the line where it is not known.
pub(super) fn source(file: &str, line: u32, here: Option<&str>) -> String {
    match (from_here(file, here), line) {
        (path, 0) => path.to_owned(),
        (path, line) => format!("{path}:{line}"),
    }
}

/// A name and its place, both cut so that they take `room` columns together.
pub(super) fn named_in(room: usize, name: &str, place: &str) -> (String, String) {
    let place = fit_path(place, share(room, name, place).1);
    let name = fit_middle(name, room.saturating_sub(columns(&place)));
    (name, place)
}

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./+,:=@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_below_the_current_folder_are_told_from_there() {
        let path = "/home/me/pool/src/cache.cpp";
        assert_eq!(from_here(path, Some("/home/me/pool")), "src/cache.cpp");
        assert_eq!(from_here(path, Some("/home/me/pool/")), "src/cache.cpp");
        for elsewhere in [Some("/home/me/poo"), Some("/"), Some(""), None] {
            assert_eq!(from_here(path, elsewhere), path, "{elsewhere:?}");
        }
        assert_eq!(from_here("src/cache.cpp", Some("/src")), "src/cache.cpp");
    }

    #[test]
    fn what_is_too_long_loses_whole_components_in_the_middle() {
        let path = "/home/me/pool/src/cache.cpp:41";
        for (most, shown) in [
            (30, path),
            (29, "/home/…/pool/src/cache.cpp:41"),
            (28, "/home/…/src/cache.cpp:41"),
            (23, "/home/…/cache.cpp:41"),
            (19, "…/src/cache.cpp:41"),
            (17, "…/cache.cpp:41"),
            (13, "cache.cpp:41"),
            (10, "…he.cpp:41"),
        ] {
            assert_eq!(fit_path(path, most), shown, "{most}");
        }
        assert_eq!(
            fit_path("examples/pool/deep/caches.hpp:40", 30),
            "examples/…/deep/caches.hpp:40"
        );
        assert_eq!(fit_path("/a_long_name_alone.cpp", 10), "…alone.cpp");
        assert_eq!(fit_path("a_long_name_alone.cpp", 10), "…alone.cpp");
    }

    #[test]
    fn no_path_is_too_wide_or_hostile() {
        for path in [
            "/a/\u{1b}[2J/\u{202e}b/c.cpp:1",
            "////////////",
            "/漢/漢漢/漢.cpp:1",
            "…",
            "",
        ] {
            for most in 1..40 {
                let shown = fit_path(path, most);
                assert!(columns(&shown) <= most, "{most}: {shown}");
                assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
            }
        }
    }

    #[test]
    fn words_can_be_pasted() {
        assert_eq!(quoted("target/a.4711.wft"), "target/a.4711.wft");
        assert_eq!(quoted("my traces/a.wft"), "'my traces/a.wft'");
        assert_eq!(quoted("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }
}
