//! What the page shows, as one JSON object.

use std::collections::BTreeMap;

use serde::Serialize;
use whofreed_analysis::Analysis;
use whofreed_analysis::Timeline;
use whofreed_trace::Coverage;

use super::HtmlOptions;
use super::table::Number;
use super::table::Table;
use super::timeline::TimelineView;
use super::views::CulpritView;
use super::views::LeakView;
use super::views::SeenView;
use super::views::VictimView;
use super::views::ids;
use crate::json::inert;
use crate::text::names::printable;

/// Everything; the scripts know it by these keys.
#[derive(Serialize)]
struct Data {
    table: Table,
    totals: BTreeMap<&'static str, u64>,
    devices: BTreeMap<u32, String>,
    culprits: Vec<CulpritView>,
    victims: Vec<VictimView>,
    unexplained: Vec<SeenView>,
    unexplained_rest: (u64, u64),
    leaks: Vec<LeakView>,
    timeline: TimelineView,
    processes: Vec<ProcessView>,
    bound: Vec<(Number, Number, Number)>,
    unseen: Vec<(Number, Number, Number)>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct ProcessView {
    pid: u32,
    parent: u32,
    command: String,
    code: Option<i32>,
    signal: Option<i32>,
    adapters: String,
}

/// The object, in which nothing can end the script block that it stands in.
pub(super) fn json(analysis: &Analysis, timeline: &Timeline, options: &HtmlOptions<'_>) -> String {
    let mut table = Table::new(options.snippets);
    let ids = ids(&analysis.culprits);
    let culprits = (ids.into_iter().enumerate())
        .map(|(index, id)| CulpritView::new(&mut table, analysis, index, id))
        .collect();
    let victims = (analysis.victims.iter())
        .map(|victim| VictimView::new(&mut table, victim))
        .collect();
    let unexplained = (analysis.unexplained.sites.iter())
        .map(|seen| SeenView::new(&mut table, seen))
        .collect();
    let leaks = (analysis.leaks.iter())
        .map(|leak| LeakView::new(&mut table, leak))
        .collect();
    let (mut bound, mut unseen) = (Vec::new(), Vec::new());
    for entry in &analysis.coverage {
        let (rows, cells) = match entry {
            Coverage::Bound {
                adapter,
                symbol,
                library,
            } => (&mut bound, [symbol, adapter, library]),
            Coverage::Unobservable {
                symbol,
                why,
                library,
                ..
            } => (&mut unseen, [symbol, why, library]),
        };
        let [first, second, third] = cells.map(|cell| table.name(cell));
        rows.push((first, second, third));
    }
    let data = Data {
        totals: totals(analysis),
        devices: (analysis.device_names.iter())
            .map(|(&device, name)| (device, printable(name)))
            .collect(),
        culprits,
        victims,
        unexplained,
        unexplained_rest: (
            analysis.unexplained.more_sites,
            analysis.unexplained.more_observed,
        ),
        leaks,
        timeline: TimelineView::new(&mut table, timeline),
        processes: processes(analysis),
        bound,
        unseen,
        notes: notes(analysis, options),
        table,
    };
    // Only a map with keys that are no strings, or a failing `Serialize`, can fail here; there is neither.
    enclosed(&serde_json::to_string(&data).unwrap_or_default())
}

/// JSON that is no markup wherever it stands: the same strings, with other escapes.
fn enclosed(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            _ => text.push(character),
        }
    }
    inert(&text)
}

fn totals(analysis: &Analysis) -> BTreeMap<&'static str, u64> {
    let totals = &analysis.totals;
    BTreeMap::from([
        ("allocations", totals.allocations),
        ("retains", totals.retains),
        ("deallocations", totals.deallocations),
        ("ok", totals.ok),
        ("excess", totals.excess),
        ("unknown", totals.unknown),
        ("late", totals.late),
        ("declined", totals.declined),
        ("invalid", totals.invalid),
        ("leaked", totals.leaked),
        ("blocked", totals.blocked),
        ("unexplained", totals.unexplained),
        ("events", totals.events),
        ("dropped", totals.dropped_events),
        ("buffers", analysis.buffers.unique),
        ("already_freed", analysis.verdicts.already_freed),
        ("stale_owner", analysis.verdicts.stale_owner),
        ("foreign_owner", analysis.verdicts.foreign_owner),
    ])
}

fn processes(analysis: &Analysis) -> Vec<ProcessView> {
    (analysis.processes.iter())
        .map(|process| {
            let exit = process.exit.unwrap_or_default();
            ProcessView {
                pid: process.pid,
                parent: process.parent_pid,
                command: printable(&process.command.join(" ")),
                code: exit.code,
                signal: exit.signal,
                adapters: printable(&process.adapters.join(", ")),
            }
        })
        .collect()
}

/// What else a reader should know, as at the end of the text report.
fn notes(analysis: &Analysis, options: &HtmlOptions<'_>) -> Vec<String> {
    let own = crate::text::short_stacks(analysis);
    own.iter()
        .chain(&options.text.notes)
        .map(|note| printable(note))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::enclosed;

    #[test]
    fn json_in_a_page_is_no_markup_and_reads_the_same() {
        let hostile = "</script><!--&amp;\u{2028}\u{2029}\u{202e}\u{1b}";
        let json = serde_json::to_string(hostile).unwrap_or_default();
        let shown = enclosed(&json);
        assert!(shown.is_ascii(), "{shown}");
        assert!(!shown.contains(['<', '>', '&']), "{shown}");
        let read: String = serde_json::from_str(&shown).unwrap_or_default();
        assert_eq!(read, hostile);
    }
}
