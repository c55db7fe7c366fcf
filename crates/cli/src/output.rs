//! Where a report goes, how wide the page is there, and whether it may be coloured.

use std::env;
use std::fs;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::path::Path;

use clap::ValueEnum;
use flate2::Compression;
use flate2::write::GzEncoder;
use whofreed_analysis::Analysis;
use whofreed_analysis::Rules;
use whofreed_analysis::Timeline;
use whofreed_report::TextOptions;
use whofreed_report::printable;
use whofreed_trace::StackNames;

use crate::failure::Failure;
use crate::here;
use crate::html;
use crate::progress;
use crate::traces::FileTrace;

/// Columns where nobody tells how many there are.
const DEFAULT_WIDTH: usize = 100;

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// For programs; schema whofreed-report/1
    Json,
    /// For people, in a browser: one file, with source code where it is there
    Html,
    /// Folded stacks, for flame graphs
    Folded,
    /// JUnit's XML, for CI servers
    Junit,
    /// SARIF 2.1.0, for code hosts and editors
    Sarif,
    /// pprof's profile, compressed
    Pprof,
    /// Firefox Profiler's processed profile
    Firefox,
    /// Trace events, for Perfetto and Chrome
    Chrome,
    /// Every event, a table
    Csv,
    /// Every event and stack, a line of JSON each
    Jsonl,
}

impl Format {
    /// Whether it is no report, but what there is to report on.
    pub(crate) const fn is_of_events(self) -> bool {
        matches!(self, Self::Csv | Self::Jsonl)
    }

    /// Whether it is nothing for a terminal that shows what a command says.
    pub(crate) const fn needs_file(self) -> bool {
        matches!(self, Self::Html | Self::Pprof | Self::Csv | Self::Jsonl)
    }
}

/// The forms of what is no report on a whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlainFormat {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// What is to be reported.
pub(crate) struct Findings {
    /// The analysis.
    pub(crate) analysis: Analysis,
    /// The run over time, where the format draws it.
    pub(crate) timeline: Option<Timeline>,
}

impl Findings {
    /// All that a report in this format needs to know of the traces.
    pub(crate) fn of(
        traces: &[FileTrace],
        names: &dyn StackNames,
        rules: &Rules,
        format: Format,
    ) -> Self {
        if format == Format::Html {
            let (analysis, timeline) =
                whofreed_analysis::analyse_with_timeline(traces, names, rules);
            let timeline = Some(timeline);
            Self { analysis, timeline }
        } else {
            whofreed_analysis::analyse_by(traces, names, rules).into()
        }
    }
}

impl From<Analysis> for Findings {
    fn from(analysis: Analysis) -> Self {
        Self {
            analysis,
            timeline: None,
        }
    }
}

/// The report in the form that was asked for; of the events themselves, [`events`](crate::events) writes one after the other.
pub(crate) fn render(findings: &Findings, format: Format, options: &TextOptions) -> Vec<u8> {
    let analysis = &findings.analysis;
    let text = match format {
        Format::Text => whofreed_report::to_text(analysis, options),
        Format::Json => whofreed_report::to_json(analysis),
        Format::Html => html::render(analysis, findings.timeline.as_ref(), options),
        Format::Folded => whofreed_report::to_folded(analysis),
        Format::Junit => whofreed_report::to_junit(analysis, options),
        Format::Sarif => whofreed_report::to_sarif(analysis, options.here.as_deref()),
        Format::Pprof => return compressed(&whofreed_report::to_pprof(analysis)),
        Format::Firefox => whofreed_report::to_firefox(analysis),
        Format::Chrome => whofreed_report::to_chrome(analysis),
        Format::Csv | Format::Jsonl => String::new(),
    };
    text.into_bytes()
}

/// As gzip has it.
fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// The page that `stream` offers.
pub(crate) fn page_of(stream: &(impl AsFd + IsTerminal)) -> TextOptions {
    let is_terminal = stream.is_terminal();
    TextOptions {
        width: columns_wanted()
            .or_else(|| columns_of(stream))
            .unwrap_or(DEFAULT_WIDTH),
        color: is_terminal && colors_wanted(),
        ..page_of_file()
    }
}

/// The page of a file: never coloured.
pub(crate) fn page_of_file() -> TextOptions {
    TextOptions {
        width: columns_wanted().unwrap_or(DEFAULT_WIDTH),
        program: here::program(),
        here: here::folder(),
        ..TextOptions::default()
    }
}

pub(crate) fn columns_wanted() -> Option<usize> {
    let columns = env::var("COLUMNS").ok()?.parse().ok()?;
    (columns > 0).then_some(columns)
}

fn columns_of(stream: &impl AsFd) -> Option<usize> {
    // SAFETY: `winsize` is plain numbers, for which zero is a value.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    let descriptor = stream.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open while `stream` is borrowed, and TIOCGWINSZ writes one `winsize`.
    let result = unsafe { libc::ioctl(descriptor, libc::TIOCGWINSZ, &raw mut size) };
    (result == 0 && size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// NO_COLOR counts when it is there and not empty (no-color.org).
pub(crate) fn colors_wanted() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

/// Writes to stdout. That nobody reads it any more is no error.
pub(crate) fn to_stdout(text: &(impl AsRef<[u8]> + ?Sized)) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_ref())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::ours(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a report to stderr, in one go where the kernel allows. That nobody reads it is no error.
pub(crate) fn to_stderr(text: &(impl AsRef<[u8]> + ?Sized)) -> Result<(), Failure> {
    match io::stderr().lock().write_all(text.as_ref()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::ours(format!("cannot write to stderr: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a file, in the place of what it was before.
pub(crate) fn to_file(path: &Path, text: &(impl AsRef<[u8]> + ?Sized)) -> Result<(), Failure> {
    fs::write(path, text)
        .map_err(|error| Failure::ours(format!("{}: cannot be written: {error}", shown(path))))
}

/// Writes a file that is not there yet: what somebody has worked on is not lost by the same command again.
pub(crate) fn to_new_file(path: &Path, text: &str) -> Result<(), Failure> {
    fs::File::create_new(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| {
            let why = match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    "it is there already, and may have been worked on: remove it, or name another file".to_owned()
                }
                _ => error.to_string(),
            };
            Failure::ours(format!("{}: cannot be written: {why}", shown(path)))
        })
}

/// Makes sure that a file can be written, before somebody waits for what is to be in it.
pub(crate) fn check_file(path: &Path) -> Result<(), Failure> {
    fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .map(drop)
        .map_err(|error| Failure::ours(format!("{}: cannot be written: {error}", shown(path))))
}

/// A complaint on stderr; names in it may come from anywhere.
pub(crate) fn complain(message: &str) {
    let line = format!("whofreed: {}\n", printable(message));
    // What cannot be told there cannot be told at all.
    let _ = progress::aside(|| io::stderr().lock().write_all(line.as_bytes()));
}

/// A path as it is shown.
pub(crate) fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}
