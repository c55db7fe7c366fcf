//! What there is to say of one thing that somebody looks into.

use unicode_width::UnicodeWidthChar;
use whofreed_analysis::LifeLine;
use whofreed_report::TextOptions;
use whofreed_report::bytes;
use whofreed_report::culprit_text;
use whofreed_report::number;
use whofreed_report::printable;
use whofreed_report::site;
use whofreed_trace::Frame;

use super::tables::Subject;
use super::tables::time;
use super::watch::Snapshot;

/// The lines about a subject, on a page of so many columns.
pub(super) fn lines(
    snapshot: &Snapshot,
    subject: &Subject,
    width: u16,
    verbose: bool,
) -> Vec<String> {
    let options = TextOptions {
        width: usize::from(width),
        verbose,
        here: crate::here::folder(),
        ..TextOptions::default()
    };
    let text = match subject {
        Subject::Culprit(frame) => {
            let all = &snapshot.analysis.culprits;
            match all.iter().position(|it| it.site.frame == **frame) {
                Some(index) => culprit_text(&snapshot.analysis, index, &options),
                None => {
                    "It is no culprit any more: what came since speaks against that.".to_owned()
                }
            }
        }
        Subject::Latest(time_ns, thread, address) => {
            of_latest(snapshot, (*time_ns, *thread, *address), &options)
        }
        Subject::Buffer(pid, device, address) => of_buffer(snapshot, (*pid, *device, *address)),
        Subject::Allocator(frame) => of_frame(frame),
    };
    text.lines()
        .flat_map(|line| wrapped(line, usize::from(width)))
        .collect()
}

/// A line in pieces that fit: names are longer than any screen.
fn wrapped(line: &str, width: usize) -> Vec<String> {
    const HANGING: usize = 8;
    let mut lines = Vec::new();
    let (mut now, mut used) = (String::new(), 0);
    for character in line.chars() {
        let columns = character.width().unwrap_or(0);
        if used + columns > width && used > 0 {
            let hanging = if width > 3 * HANGING { HANGING } else { 0 };
            lines.push(std::mem::replace(&mut now, " ".repeat(hanging)));
            used = hanging;
        }
        now.push(character);
        used += columns;
    }
    lines.push(now);
    lines
}

/// An excess free: its culprit; or whose victim it may be.
fn of_latest(
    snapshot: &Snapshot,
    (time_ns, thread, address): (u64, u32, u64),
    options: &TextOptions,
) -> String {
    let mut all = snapshot.timeline.latest.iter();
    let found =
        all.find(|late| (late.time_ns, late.thread, late.address) == (time_ns, thread, address));
    let Some(late) = found else {
        return "So many others came since that it is not kept any more.".to_owned();
    };
    if let Some(culprit) = late.culprit {
        return culprit_text(&snapshot.analysis, culprit as usize, options);
    }
    let frame = snapshot.timeline.sites.get(late.site as usize);
    let mut victims = snapshot.analysis.victims.iter();
    let victim = victims.find(|victim| frame.is_some_and(|site| *site == victim.site));
    match victim.and_then(|victim| victim.culprit) {
        Some(culprit) => format!(
            "Nobody is accused of this free of {address:#x}: its place only looks guilty, since #{} took buffers away from under \
             it.\n\n{}",
            culprit + 1,
            culprit_text(&snapshot.analysis, culprit, options)
        ),
        None => format!(
            "Nobody is accused of this free of {address:#x}: it is explained by no culprit, or by what others did there before."
        ),
    }
}

fn of_frame(frame: &Frame) -> String {
    let mut text = String::new();
    let function = frame
        .function
        .as_deref()
        .unwrap_or("a function without a name");
    text.push_str(&printable(function));
    if let Some(file) = &frame.file {
        text.push_str(&format!("\n  in {}:{}", printable(file), frame.line));
    }
    if !frame.module.is_empty() {
        let module = printable(&frame.module);
        text.push_str(&format!("\n  of {module} at {:#x}", frame.offset));
    }
    text
}

fn of_buffer(snapshot: &Snapshot, (pid, device, address): (u32, u32, u64)) -> String {
    let mut text = format!("{address:#x} on device {device} of process {pid}\n");
    let lines = &snapshot.timeline.lines;
    let line = lines
        .iter()
        .find(|line| (line.pid, line.device, line.address) == (pid, device, address));
    match line {
        Some(line) => of_line(snapshot, line, &mut text),
        None => text.push_str(
            "\nIts lives are not followed here, since nothing struck it, or many others more.",
        ),
    }
    text.push_str(&format!(
        "\n\nEvery event of it: whofreed history TRACE --device {device} --address {address:#x}"
    ));
    text
}

/// What began, ended and struck, by time.
fn of_line(snapshot: &Snapshot, line: &LifeLine, text: &mut String) {
    let place = |index: u32| {
        let of = snapshot.timeline.sites.get(index as usize);
        of.map_or_else(|| "-".to_owned(), |it| site(&it.frame, 90))
    };
    let culprit = |index: Option<u32>| {
        index.map_or_else(String::new, |index| format!(", charged to #{}", index + 1))
    };
    let mut steps: Vec<(u64, String)> = Vec::new();
    for life in &line.lives {
        let size = match life.size {
            0 => String::new(),
            size => format!(", {}", bytes(size)),
        };
        let number = life.number;
        let began = place(life.site);
        steps.push((
            life.began_ns,
            format!("life {number} begins{size}: {began}"),
        ));
        if let Some(end) = life.end {
            let by = match end.by {
                Some((_, site)) => place(site),
                None => "a reset or close of the device".to_owned(),
            };
            let charged = culprit(end.culprit);
            steps.push((end.time_ns, format!("life {number} ends{charged}: {by}")));
        }
    }
    for strike in &line.strikes {
        let (what, charged) = (strike.verdict.name(), culprit(strike.culprit));
        let by = place(strike.site);
        steps.push((
            strike.time_ns,
            format!("EXCESS FREE, {what}{charged}: {by}"),
        ));
    }
    steps.sort_by_key(|(when, _)| *when);
    for (when, what) in steps {
        text.push_str(&format!("\n{:>11}  {what}", time(when)));
    }
    let more = [
        (line.more_lives, "lives"),
        (line.more_strikes, "excess frees"),
    ];
    for (count, what) in more.into_iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!(
            "\n             … and {} more {what}",
            number(count)
        ));
    }
}
