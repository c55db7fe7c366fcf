//! The accounts: buffers, calls, what was never freed, who was recorded, and what could not be seen.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use whofreed_analysis::Analysis;
use whofreed_analysis::Leak;
use whofreed_analysis::WorstBuffer;
use whofreed_trace::Coverage;

use super::TextOptions;
use super::device;
use super::names::base;
use super::names::fit_end;
use super::names::fit_middle;
use super::names::printable;
use super::names::site;
use super::numbers::bytes;
use super::numbers::counted;
use super::numbers::number;
use super::page::Page;
use super::page::Tone;
use super::page::plain;
use super::page::strong;
use super::processes;
use super::stack::stack;

/// So many of the worst buffers are shown.
const WORST: usize = 4;
/// So many call sites of leaks are shown.
const LEAKS: usize = 5;
/// So many things that cannot be seen are shown.
const FEW: usize = 3;

pub(super) fn set(page: &mut Page, analysis: &Analysis, options: &TextOptions) {
    if analysis.totals.events > 0 {
        page.blank();
        worst(page, analysis, options);
        leaks(page, analysis, options);
        sums(page, analysis);
    }
    processes::tree(page, analysis, options);
    coverage(page, analysis, options);
}

fn worst(page: &mut Page, analysis: &Analysis, options: &TextOptions) {
    let most = if options.verbose { usize::MAX } else { WORST };
    let buffers: Vec<&WorstBuffer> = analysis.worst_buffers.iter().take(most).collect();
    if buffers.is_empty() {
        return;
    }
    // Hexadecimal for whoever compares with a pointer, decimal for whoever compares with the host's own logs; the
    // columns that can be told from others go first where the page is narrow.
    let blocked = buffers.iter().any(|buffer| buffer.blocked > 0);
    let forms = [
        (true, true, blocked),
        (false, true, blocked),
        (false, false, blocked),
        (false, false, false),
    ];
    let rows = forms
        .map(|(named, hexadecimal, forwarded)| {
            rows(analysis, &buffers, named, hexadecimal, forwarded, blocked)
        })
        .into_iter()
        .reduce(|wide, narrow| {
            if fits(&wide, page.width) {
                wide
            } else {
                narrow
            }
        })
        .unwrap_or_default();
    table(page, &rows);
}

/// The worst buffers in cells, under their heads.
fn rows(
    analysis: &Analysis,
    buffers: &[&WorstBuffer],
    named: bool,
    hexadecimal: bool,
    forwarded: bool,
    blocked: bool,
) -> Vec<Vec<String>> {
    let several = analysis.processes.len() > 1;
    let mut head = vec!["worst buffers", "address", "allocated", "freed", "excess"];
    if !hexadecimal {
        head[0] = "worst";
    }
    head.extend(forwarded.then_some("forwarded"));
    head.extend(blocked.then_some("blocked"));
    let mut rows = vec![head.into_iter().map(str::to_owned).collect()];
    for buffer in buffers {
        let mut place = if named {
            device(analysis, buffer.device)
        } else {
            format!("device {}", buffer.device)
        };
        if several {
            place.push_str(&format!(", pid {}", buffer.pid));
        }
        let mut address = buffer.address.to_string();
        if hexadecimal {
            address = format!("{:#x} = {address}", buffer.address);
        }
        let mut row = vec![place, address];
        row.extend([buffer.allocated, buffer.freed, buffer.excess].map(number));
        row.extend(forwarded.then(|| number(buffer.forwarded)));
        row.extend(blocked.then(|| number(buffer.blocked)));
        rows.push(row);
    }
    rows
}

/// The width of each column of a table.
fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    (0..rows.first().map_or(0, Vec::len))
        .map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0))
        .collect()
}

/// Whether a table fits, with one space between its columns.
pub(super) fn fits(rows: &[Vec<String>], width: usize) -> bool {
    let widths = widths(rows);
    widths.iter().sum::<usize>() + widths.len() <= width + 1
}

/// Columns under their heads, numbers to the right.
pub(super) fn table(page: &mut Page, rows: &[Vec<String>]) {
    let widths = widths(rows);
    let needed = widths.iter().sum::<usize>() + 2 * widths.len();
    let gap = if needed > page.width + 2 { " " } else { "  " };
    for (number, row) in rows.iter().enumerate() {
        let mut line = format!("{:<width$}", row[0], width = widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            line.push_str(gap);
            line.push_str(&format!("{cell:>width$}"));
        }
        let tone = if number == 0 {
            Tone::Strong
        } else {
            Tone::Plain
        };
        page.line(&[(tone, line)]);
    }
}

fn leaks(page: &mut Page, analysis: &Analysis, options: &TextOptions) {
    let leaked = analysis.totals.leaked;
    if leaked == 0 {
        return;
    }
    let most = if options.verbose { usize::MAX } else { LEAKS };
    let shown: Vec<&Leak> = analysis.shown_leaks().map(|(_, leak)| leak).collect();
    let sites = shown.len();
    let silenced = match analysis.leaks.len() - sites {
        0 => String::new(),
        some => format!(", of {} more suppressed", number(some as u64)),
    };
    page.line(&[
        strong("never freed"),
        plain(format!(
            ": {} from {}{silenced}",
            counted(leaked, "allocation"),
            counted(sites as u64, "call site")
        )),
    ]);
    for leak in shown.iter().take(most) {
        let count = format!("  {:>9}  {:>9}  ", number(leak.count), bytes(leak.bytes));
        let room = page.width.saturating_sub(count.len());
        page.line(&[plain(count), plain(site(&leak.site.frame, room))]);
        if options.verbose {
            stack(page, &leak.stack, Some(&leak.site.frame), None);
        }
    }
    if sites > most {
        let text = format!(
            "  … and {}",
            counted((sites - most) as u64, "more call site")
        );
        page.line(&[(Tone::Faint, text)]);
    }
}

fn sums(page: &mut Page, analysis: &Analysis) {
    let buffers = &analysis.buffers;
    let text = format!(
        "{}: {} balanced, {} freed too seldom, {} freed too often",
        counted(buffers.unique, "buffer"),
        number(buffers.balanced),
        number(buffers.under_freed),
        number(buffers.over_freed)
    );
    page.prose(0, 2, &[plain(text)]);
    let totals = &analysis.totals;
    let mut text = counted(totals.allocations, "allocation");
    if totals.retains > 0 {
        text.push_str(&format!(", {}", counted(totals.retains, "retain")));
    }
    text.push_str(&format!(
        ", {}: {} ok, {} excess",
        counted(totals.deallocations, "free"),
        number(totals.ok),
        number(totals.excess)
    ));
    let verdicts = &analysis.verdicts;
    let kinds: Vec<String> = [
        (verdicts.already_freed, "already freed"),
        (verdicts.stale_owner, "stale owner"),
        (verdicts.foreign_owner, "foreign owner"),
    ]
    .iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{} {what}", number(*count)))
    .collect();
    if !kinds.is_empty() {
        text.push_str(&format!(" ({})", kinds.join(", ")));
    }
    if totals.blocked > 0 {
        text.push_str(&format!(
            "; {} forwarded, {} blocked",
            number(totals.forwarded),
            number(totals.blocked)
        ));
    }
    page.prose(0, 2, &[plain(text)]);
}

fn coverage(page: &mut Page, analysis: &Analysis, options: &TextOptions) {
    let mut bound: BTreeMap<&str, (BTreeSet<&str>, BTreeSet<&str>)> = BTreeMap::new();
    let mut unseen: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for entry in &analysis.coverage {
        match entry {
            Coverage::Bound {
                adapter,
                symbol,
                library,
            } => {
                let (symbols, libraries) = bound.entry(adapter).or_default();
                symbols.insert(symbol);
                libraries.insert(library);
            }
            Coverage::Unobservable {
                symbol,
                why,
                library,
                ..
            } => {
                let symbols: &mut BTreeSet<&str> = unseen.entry((library, why)).or_default();
                symbols.insert(symbol);
            }
        }
    }
    for (adapter, (symbols, libraries)) in &bound {
        let libraries: Vec<String> = libraries
            .iter()
            .map(|path| fit_end(base(path), 40))
            .collect();
        let text = format!(
            "hooks: {} of {} called, in {}",
            counted(symbols.len() as u64, "function"),
            fit_middle(adapter, 40),
            libraries.join(", ")
        );
        page.prose(0, 2, &[plain(text)]);
        if options.verbose {
            for symbol in symbols {
                page.line(&[plain(format!("  {}", printable(symbol)))]);
            }
        }
    }
    let idle: BTreeSet<&str> = analysis
        .processes
        .iter()
        .flat_map(|process| &process.adapters)
        .map(String::as_str)
        .filter(|adapter| !bound.contains_key(adapter))
        .collect();
    if !idle.is_empty() && analysis.totals.events > 0 {
        let names: Vec<String> = idle.iter().map(|name| fit_middle(name, 40)).collect();
        let text = format!("bound nothing: adapter {}", names.join(", "));
        page.prose(0, 2, &[plain(text)]);
    }
    let most = if options.verbose { usize::MAX } else { FEW };
    for ((library, why), symbols) in unseen.iter().take(most) {
        let shown = if options.verbose { usize::MAX } else { FEW };
        let mut names: Vec<String> = symbols
            .iter()
            .take(shown)
            .map(|symbol| fit_middle(symbol, page.width.saturating_sub(20)))
            .collect();
        if symbols.len() > shown {
            names.push(format!("{} more", symbols.len() - shown));
        }
        let place = match *library {
            "" => String::new(),
            library => format!(" in {}", fit_end(base(library), 40)),
        };
        let names = names.join(", ");
        let text = format!("cannot be seen{place}: {names} ({})", printable(why));
        page.prose(0, 2, &[plain(text)]);
    }
    if unseen.len() > most {
        let text = format!("… and {} more that cannot be seen", unseen.len() - most);
        page.line(&[(Tone::Faint, text)]);
    }
}
