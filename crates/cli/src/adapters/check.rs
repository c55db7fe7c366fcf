//! `whofreed adapters check`: what an adapter would see of these libraries, before anything is run.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use whofreed_adapter::check;
use whofreed_adapter::check::AdapterFacts;
use whofreed_adapter::check::Check;
use whofreed_adapter::check::HookFacts;
use whofreed_adapter::check::State;
use whofreed_report::inert;
use whofreed_report::printable;

use crate::failure::Failure;
use crate::output;
use crate::output::PlainFormat;
use crate::output::shown;

/// The largest file that is read.
const MAX_SIZE: u64 = 4 << 30;

/// Exit code: an adapter would not see what is allocated, or not what is freed; or there is none.
const NOT_USABLE: u8 = 1;

/// The arguments of `whofreed adapters check`.
#[derive(Debug, Args)]
#[command(after_help = "\
The exit code is 0 when there is an adapter for the libraries, and for each such adapter at least one
hook that allocates and one that deallocates is served; 1 when not; 125 for what cannot be read.")]
pub(crate) struct CheckArgs {
    /// The libraries, all that a run would load
    #[arg(required = true, value_name = "LIB")]
    libraries: Vec<PathBuf>,
    /// Adapters as for `run`; without it, all that have a name and are for one of the libraries
    #[arg(long, value_name = "LIST")]
    adapters: Option<String>,
    /// The form of the answer; JSON has the schema whofreed-adapters-check/1
    #[arg(long, value_enum, default_value_t)]
    format: PlainFormat,
}

/// Checks, and says what came of it.
pub(crate) fn check(args: &CheckArgs) -> Result<u8, Failure> {
    let mut files = Vec::new();
    let mut messages = Vec::new();
    for path in &args.libraries {
        match read(path) {
            Ok(file) => files.push(file),
            Err(message) => messages.push(message),
        }
    }
    let failed = |messages| Failure {
        messages,
        ..Failure::ours("")
    };
    if !messages.is_empty() {
        return Err(failed(messages));
    }
    let found = check::check(&files, args.adapters.as_deref()).map_err(failed)?;
    let text = match args.format {
        PlainFormat::Text => text(&found),
        PlainFormat::Json => {
            let json = serde_json::to_string_pretty(&found).map_err(Failure::ours)?;
            format!("{}\n", inert(&json))
        }
    };
    output::to_stdout(&text)?;
    Ok(if found.usable { 0 } else { NOT_USABLE })
}

/// Reads a file whole; `Err` is a line for the user.
pub(super) fn read(path: &Path) -> Result<check::File, String> {
    let bytes = read_bytes(path).map_err(|error| format!("{}: {error}", shown(path)))?;
    Ok(check::File {
        path: path.to_string_lossy().into_owned(),
        bytes,
    })
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe would otherwise wait for its other end.
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(io::Error::other("is larger than any library (4 GiB)"));
    }
    Ok(bytes)
}

fn text(found: &Check) -> String {
    let mut text = String::new();
    for library in &found.libraries {
        let id = library.build_id.as_deref().unwrap_or("none");
        line(&mut text, 0, &format!("{} (build id {id})", library.path));
        for note in &library.notes {
            line(&mut text, 2, note);
        }
    }
    for adapter in &found.adapters {
        text.push('\n');
        of_adapter(&mut text, adapter);
    }
    if found.adapters.is_empty() {
        text.push('\n');
        line(
            &mut text,
            0,
            "no adapter is for any of these files: `whofreed adapters init LIB` drafts one",
        );
    }
    for note in &found.notes {
        line(&mut text, 0, note);
    }
    text
}

fn of_adapter(text: &mut String, adapter: &AdapterFacts) {
    let (name, file) = (&adapter.name, &adapter.file);
    let from = if name == file {
        String::new()
    } else {
        format!(" ({file})")
    };
    let fits = if adapter.fits.is_empty() {
        format!("is for {}", adapter.library)
    } else {
        let names: Vec<&str> = adapter.fits.iter().map(|path| file_name(path)).collect();
        format!("is for {}", names.join(", "))
    };
    line(text, 0, &format!("adapter {name}{from} {fits}"));
    if !adapter.fits.is_empty() {
        for hook in &adapter.hooks {
            of_hook(text, hook, adapter.fits.len() > 1);
        }
    }
    for program in &adapter.programs {
        let path = &program.path;
        for (names, what) in [
            (
                &program.exported,
                "exports: all calls of these are bound to it, and not seen",
            ),
            (
                &program.inside,
                "has for itself: its own calls of these are not seen",
            ),
        ] {
            if !names.is_empty() {
                line(text, 2, &format!("{path} {what}: {}", names.join(", ")));
            }
        }
    }
    for missing in &adapter.expressions {
        let symbols = missing.symbols.join("|");
        let told = format!(
            "`{}` of {} (line {}): {}({symbols}) is not there: {}",
            missing.key, missing.event, missing.line, missing.word, missing.meaning
        );
        line(text, 2, &told);
    }
    match &adapter.why_not {
        None => line(
            text,
            0,
            "usable: what is allocated and what is freed would be seen",
        ),
        Some(why) => line(text, 0, &format!("not usable: {why}")),
    }
}

fn of_hook(text: &mut String, hook: &HookFacts, several: bool) {
    let mut event = format!("{:13}", hook.event);
    for symbol in &hook.symbols {
        // That another alternative is not there says nothing, but that it cannot be seen does.
        if symbol.state == State::Missing {
            continue;
        }
        let signature = match &hook.signature {
            Some(signature) => format!(" = {signature}"),
            None => String::new(),
        };
        let mut told = format!("{event} {}{signature}", symbol.versioned());
        if let Some(library) = symbol.library.as_deref().filter(|_| several) {
            told.push_str(&format!(" in {}", file_name(library)));
        }
        if !matches!(symbol.state, State::Seen | State::Resolved) {
            told.push_str(": NOT SEEN");
        }
        line(text, 2, &told);
        for note in &symbol.notes {
            line(text, 18, note);
        }
        event = " ".repeat(13);
    }
    if hook.symbols.iter().all(|it| it.state == State::Missing) {
        let all: Vec<&str> = hook.symbols.iter().map(|it| it.symbol.as_str()).collect();
        let told = format!("{event} not served: nothing defines {}", all.join(" or "));
        line(text, 2, &told);
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Names come from files that anybody may have made.
fn line(text: &mut String, indent: usize, told: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{:indent$}{}", "", printable(told).trim_end());
}
