//! The HTML report's files: source code around the frames of culprits, where it is there.
//!
//! Names of files come from the trace, and a page may be given to others. So only what is named like source code is
//! read, of regular files, and a few lines of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use whofreed_analysis::Analysis;
use whofreed_analysis::Timeline;
use whofreed_report::HtmlOptions;
use whofreed_report::Snippet;
use whofreed_report::Snippets;
use whofreed_report::TextOptions;

/// So many lines stand before and behind the one that it is about.
const AROUND: u32 = 3;
/// A longer file is no source code that a person wrote.
const LARGEST: u64 = 8 << 20;
/// What source code is called.
const ENDINGS: [&str; 34] = [
    "c", "h", "cc", "cpp", "cxx", "c++", "hh", "hpp", "hxx", "h++", "inl", "ipp", "tpp", "tcc",
    "inc", "cu", "cuh", "hip", "cl", "py", "pyx", "pxd", "pyi", "rs", "go", "zig", "swift", "m",
    "mm", "f", "f90", "d", "s", "nim",
];

/// The report as a page.
pub(crate) fn render(
    analysis: &Analysis,
    timeline: Option<&Timeline>,
    text: &TextOptions,
) -> String {
    let nothing = Timeline::default();
    let began = analysis.processes.iter().map(|it| it.started_at_ns).min();
    let snippets = snippets(analysis, began.unwrap_or(0));
    let options = HtmlOptions {
        text,
        snippets: &snippets,
    };
    whofreed_report::to_html(analysis, timeline.unwrap_or(&nothing), &options)
}

/// The lines around the places that the page has room for.
fn snippets(analysis: &Analysis, began_ns: u64) -> Snippets {
    let mut files: BTreeMap<Arc<str>, Option<(Vec<String>, bool)>> = BTreeMap::new();
    let mut snippets = Snippets::new();
    for (file, line) in whofreed_report::places(analysis) {
        let read = files
            .entry(Arc::clone(&file))
            .or_insert_with(|| read(Path::new(&*file), began_ns));
        let Some((lines, is_newer)) = read else {
            continue;
        };
        if let Some(snippet) = around(lines, line, *is_newer) {
            snippets.insert((file, line), snippet);
        }
    }
    snippets
}

fn around(lines: &[String], line: u32, is_newer: bool) -> Option<Snippet> {
    let first = line.saturating_sub(AROUND).max(1);
    let (from, to) = (first as usize - 1, line as usize + AROUND as usize);
    // A file that is shorter is another one.
    (line as usize <= lines.len()).then(|| Snippet {
        first,
        lines: lines[from..to.min(lines.len())].to_vec(),
        is_newer,
    })
}

/// The lines of a file, and whether they were written since the recording began.
fn read(path: &Path, began_ns: u64) -> Option<(Vec<String>, bool)> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    // A path from where the compiler ran says nothing of where we are.
    if !path.is_absolute() || !ENDINGS.contains(&ending.as_str()) {
        return None;
    }
    // Nobody waits for a pipe that is called like a file.
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .ok()?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let began = SystemTime::UNIX_EPOCH + Duration::from_nanos(began_ns);
    let is_newer = metadata.modified().is_ok_and(|written| written > began);
    Some((text.lines().map(str::to_owned).collect(), is_newer))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_snippet_is_the_line_and_what_is_around_it_as_far_as_the_file_goes() {
        let lines: Vec<String> = (1..=9).map(|line| line.to_string()).collect();
        let of = |line| around(&lines, line, false).map(|it| (it.first, it.lines.join(" ")));
        assert_eq!(of(5), Some((2, "2 3 4 5 6 7 8".to_owned())));
        assert_eq!(of(1), Some((1, "1 2 3 4".to_owned())));
        assert_eq!(of(9), Some((6, "6 7 8 9".to_owned())));
        assert_eq!(of(10), None);
    }

    #[test]
    fn only_regular_files_that_are_called_like_source_code_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        std::fs::write(file("a.cpp"), "one\ntwo\n").unwrap();
        std::fs::write(file("id_rsa"), "secret\n").unwrap();
        std::fs::write(file("key.pem"), "secret\n").unwrap();
        symlink("/dev/zero", file("zero.c")).unwrap();
        std::fs::create_dir(file("folder.h")).unwrap();
        let lines = vec!["one".to_owned(), "two".to_owned()];
        assert_eq!(
            read(&file("a.cpp"), u64::MAX / 2),
            Some((lines.clone(), false))
        );
        assert_eq!(read(&file("a.cpp"), 1), Some((lines, true)));
        for name in ["id_rsa", "key.pem", "zero.c", "folder.h", "missing.c"] {
            assert_eq!(read(&file(name), 0), None, "{name}");
        }
        assert_eq!(read(Path::new("src/main.rs"), 0), None);
    }
}
