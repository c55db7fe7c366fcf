//! What can be listed: the rows and columns of each view.

use std::cmp::Ordering;
use std::cmp::Reverse;

use whofreed_analysis::Confidence;
use whofreed_report::bytes;
use whofreed_report::fit_middle;
use whofreed_report::number;
use whofreed_report::site;
use whofreed_trace::Frame;

use super::watch::Snapshot;

/// A list that can be looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum View {
    /// Who did it
    #[default]
    Culprits,
    /// Excess frees, the last one first
    Latest,
    /// Addresses, those with most excess frees first
    Buffers,
    /// Who allocates
    Allocators,
}

impl View {
    /// In the order of their keys.
    pub(super) const ALL: [Self; 4] = [
        Self::Culprits,
        Self::Latest,
        Self::Buffers,
        Self::Allocators,
    ];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Culprits => "culprits",
            Self::Latest => "latest",
            Self::Buffers => "buffers",
            Self::Allocators => "allocators",
        }
    }

    /// What an empty list means.
    pub(super) const fn nothing(self) -> &'static str {
        match self {
            Self::Culprits => "no culprit so far",
            Self::Latest => "no excess free so far",
            Self::Buffers => "no buffer so far",
            Self::Allocators => "no allocation so far",
        }
    }

    /// The columns; the last one takes the room that is left.
    pub(super) const fn columns(self) -> &'static [Column] {
        const fn column(title: &'static str, width: u16, from: u16) -> Column {
            Column { title, width, from }
        }
        match self {
            Self::Culprits => {
                const {
                    &[
                        column("#", 4, 0),
                        column("explains", 9, 0),
                        column("seen", 9, 70),
                        column("buffers", 8, 90),
                        column("confidence", 14, 100),
                        column("culprit", 0, 0),
                    ]
                }
            }
            Self::Latest => {
                const {
                    &[
                        column("after", 10, 0),
                        column("device", 6, 90),
                        column("address", 18, 70),
                        column("verdict", 13, 100),
                        column("thread", 8, 110),
                        column("#", 4, 0),
                        column("freed in excess at", 0, 0),
                    ]
                }
            }
            Self::Buffers => {
                const {
                    &[
                        column("excess", 9, 0),
                        column("allocated", 9, 90),
                        column("freed", 9, 70),
                        column("size", 12, 100),
                        column("live", 4, 0),
                        column("device", 6, 80),
                        column("address", 18, 0),
                        column("first allocated at", 0, 0),
                    ]
                }
            }
            Self::Allocators => {
                const {
                    &[
                        column("live", 9, 0),
                        column("allocated", 9, 0),
                        column("bytes", 12, 70),
                        column("excess", 9, 90),
                        column("buffers", 9, 110),
                        column("allocated at", 0, 0),
                    ]
                }
            }
        }
    }

    /// The rows, in the order in which a report has them.
    pub(super) fn rows(self, snapshot: &Snapshot) -> Vec<Row<'_>> {
        match self {
            Self::Culprits => culprits(snapshot),
            Self::Latest => latest(snapshot),
            Self::Buffers => buffers(snapshot),
            Self::Allocators => allocators(snapshot),
        }
    }
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    /// How wide it is; 0 for what is left.
    pub(super) width: u16,
    /// Narrower screens go without it.
    pub(super) from: u16,
}

/// A row of a list.
#[derive(Clone, Debug)]
pub(super) struct Row<'a> {
    /// What it is about, so that it is found again when there is more to see.
    pub(super) subject: Subject,
    pub(super) cells: Vec<Cell<'a>>,
}

/// What a row is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// A culprit, by what names it.
    Culprit(Box<Frame>),
    /// An excess free: when, by which thread, and at which address.
    Latest(u64, u32, u64),
    /// An address of a process and device.
    Buffer(u32, u32, u64),
    /// A call site that allocates.
    Allocator(Box<Frame>),
}

/// What stands in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell<'a> {
    /// A number.
    Count(u64),
    /// Which one, counted from one; or none.
    Number(Option<u64>),
    /// A size.
    Bytes(u64),
    /// Nanoseconds since the first event.
    Time(u64),
    /// An address.
    Address(u64),
    /// A word of ours.
    Word(&'static str),
    /// A place in the host's code.
    Site(Option<&'a Frame>),
}

impl Cell<'_> {
    /// As it is shown in so many columns.
    pub(super) fn text(self, width: u16) -> String {
        let text = match self {
            Self::Count(value) => number(value),
            Self::Number(value) => value.map_or("-".to_owned(), |value| value.to_string()),
            Self::Bytes(value) => bytes(value),
            Self::Time(ns) => time(ns),
            Self::Address(address) => format!("{address:#x}"),
            Self::Word(word) => word.to_owned(),
            Self::Site(Some(frame)) => site(frame, usize::from(width)),
            Self::Site(None) => "-".to_owned(),
        };
        fit_middle(&text, usize::from(width))
    }

    /// Numbers stand at the right.
    pub(super) const fn is_number(self) -> bool {
        !matches!(self, Self::Word(_) | Self::Site(_))
    }

    /// The most first, and names by the alphabet.
    fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Site(a), Self::Site(b)) => a.cmp(&b),
            (Self::Word(a), Self::Word(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => a.unwrap_or(u64::MAX).cmp(&b.unwrap_or(u64::MAX)),
            (a, b) => Reverse(a.value()).cmp(&Reverse(b.value())),
        }
    }

    const fn value(self) -> u64 {
        match self {
            Self::Count(value) | Self::Bytes(value) | Self::Time(value) | Self::Address(value) => {
                value
            }
            Self::Number(_) | Self::Word(_) | Self::Site(_) => 0,
        }
    }
}

/// Sorts rows by a column; what is equal there stays as it is.
pub(super) fn sort(rows: &mut [Row<'_>], column: usize, is_reversed: bool) {
    rows.sort_by(|a, b| {
        let order = a.cells[column].order(b.cells[column]);
        if is_reversed { order.reverse() } else { order }
    });
}

/// A time, in the unit that a person reads.
pub(super) fn time(ns: u64) -> String {
    let ms = ns / 1_000_000;
    let (seconds, minutes) = (ms / 1000, ms / 60_000);
    if minutes == 0 {
        format!("{seconds}.{:03} s", ms % 1000)
    } else {
        format!("{minutes} min {:02} s", seconds % 60)
    }
}

fn culprits(snapshot: &Snapshot) -> Vec<Row<'_>> {
    let all = snapshot.analysis.culprits.iter().zip(1..);
    all.map(|(culprit, index)| Row {
        subject: Subject::Culprit(Box::new(culprit.site.frame.clone())),
        cells: vec![
            Cell::Number(Some(index)),
            Cell::Count(culprit.explains),
            Cell::Count(culprit.observed),
            Cell::Count(culprit.buffers),
            Cell::Word(match culprit.confidence {
                Confidence::Proven => "proven",
                Confidence::Counterfactual => "counterfactual",
                Confidence::Undecided => "undecided",
            }),
            Cell::Site(Some(&culprit.site.frame)),
        ],
    })
    .collect()
}

fn latest(snapshot: &Snapshot) -> Vec<Row<'_>> {
    let timeline = &snapshot.timeline;
    let newest_first = timeline.latest.iter().rev();
    newest_first
        .map(|late| Row {
            subject: Subject::Latest(late.time_ns, late.thread, late.address),
            cells: vec![
                Cell::Time(late.time_ns),
                Cell::Count(u64::from(late.device)),
                Cell::Address(late.address),
                Cell::Word(late.verdict.name()),
                Cell::Number(Some(u64::from(late.thread))),
                Cell::Number(late.culprit.map(|culprit| u64::from(culprit) + 1)),
                Cell::Site(site_of(snapshot, late.site)),
            ],
        })
        .collect()
}

fn buffers(snapshot: &Snapshot) -> Vec<Row<'_>> {
    let all = snapshot.timeline.buffers.iter();
    all.map(|buffer| Row {
        subject: Subject::Buffer(buffer.pid, buffer.device, buffer.address),
        cells: vec![
            Cell::Count(buffer.excess),
            Cell::Count(buffer.allocated),
            Cell::Count(buffer.freed),
            Cell::Bytes(buffer.size),
            Cell::Word(if buffer.is_live { "yes" } else { "no" }),
            Cell::Count(u64::from(buffer.device)),
            Cell::Address(buffer.address),
            Cell::Site(buffer.site.and_then(|site| site_of(snapshot, site))),
        ],
    })
    .collect()
}

fn allocators(snapshot: &Snapshot) -> Vec<Row<'_>> {
    let all = snapshot.timeline.allocated.iter();
    all.filter_map(|of| {
        let frame = site_of(snapshot, of.site)?;
        Some(Row {
            subject: Subject::Allocator(Box::new(frame.clone())),
            cells: vec![
                Cell::Count(of.live),
                Cell::Count(of.allocations),
                Cell::Bytes(of.bytes),
                Cell::Count(of.excess),
                Cell::Count(of.buffers),
                Cell::Site(Some(frame)),
            ],
        })
    })
    .collect()
}

fn site_of(snapshot: &Snapshot, index: u32) -> Option<&Frame> {
    let site = snapshot.timeline.sites.get(index as usize)?;
    Some(&site.frame)
}
