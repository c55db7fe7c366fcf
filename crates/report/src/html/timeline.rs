//! The run over time, with numbers for names.

use serde::Serialize;
use whofreed_analysis::Timeline;

use super::table::Number;
use super::table::Table;
use crate::text::names::printable;

/// Times are nanoseconds since the first event.
#[derive(Default, Serialize)]
pub(super) struct TimelineView {
    end: u64,
    bin: u64,
    levels: Vec<LevelView>,
    excess: Vec<u64>,
    moment: u64,
    stacks: Vec<(Number, Vec<u64>)>,
    more_stacks: u64,
    lines: Vec<LineView>,
    more_lines: u64,
    buffers: Vec<BufferRow>,
    more_buffers: u64,
    allocated: Vec<AllocatedRow>,
    more_allocated: u64,
    /// Frames that `sites` of lives, strikes and buffers refer to by index.
    sites: Vec<Number>,
}

#[derive(Serialize)]
struct LevelView {
    device: u32,
    kind: String,
    live: Vec<u64>,
    most: Vec<u64>,
}

#[derive(Serialize)]
struct LineView {
    pid: u32,
    device: u32,
    address: String,
    excess: u64,
    lives: Vec<LifeRow>,
    more_lives: u64,
    strikes: Vec<StrikeRow>,
    more_strikes: u64,
}

/// Number, owner, size, kind, begin, thread, site, and of the end: time or −1, thread or −1, site, culprit or −1.
type LifeRow = (
    u32,
    String,
    u64,
    Number,
    u64,
    u32,
    u32,
    (i64, i64, u32, i64),
);

/// Time, thread, site, verdict, the life freed again or 0, the life hit or 0, culprit or −1.
type StrikeRow = (u64, u32, u32, &'static str, u32, u32, i64);

/// Process, device, address, size, allocated, freed, excess, whether it lives, site or −1.
type BufferRow = (u32, u32, String, u64, u64, u64, u64, u8, i64);

/// Site, buffers, allocations, bytes, excess, live.
type AllocatedRow = (u32, u64, u64, u64, u64, u64);

impl TimelineView {
    pub(super) fn new(table: &mut Table, timeline: &Timeline) -> Self {
        let lines = (timeline.lines.iter())
            .map(|line| LineView {
                pid: line.pid,
                device: line.device,
                address: format!("{:#x}", line.address),
                excess: line.excess,
                lives: lives(table, line),
                more_lives: line.more_lives,
                strikes: strikes(line),
                more_strikes: line.more_strikes,
            })
            .collect();
        Self {
            end: timeline.end_ns,
            bin: timeline.bin_ns,
            levels: (timeline.levels.iter())
                .map(|level| LevelView {
                    device: level.device,
                    kind: printable(&level.kind),
                    live: level.live.clone(),
                    most: level.most.clone(),
                })
                .collect(),
            excess: timeline.excess.clone(),
            moment: timeline.moment_ns,
            stacks: (timeline.stacks.iter())
                .map(|of| (table.stack(&of.stack), of.live.clone()))
                .collect(),
            more_stacks: timeline.more_stacks,
            lines,
            more_lines: timeline.more_lines,
            buffers: buffers(timeline),
            more_buffers: timeline.more_buffers,
            allocated: (timeline.allocated.iter())
                .map(|of| {
                    (
                        of.site,
                        of.buffers,
                        of.allocations,
                        of.bytes,
                        of.excess,
                        of.live,
                    )
                })
                .collect(),
            more_allocated: timeline.more_allocated,
            sites: (timeline.sites.iter())
                .map(|site| table.frame(&site.frame))
                .collect(),
        }
    }
}

fn lives(table: &mut Table, line: &whofreed_analysis::LifeLine) -> Vec<LifeRow> {
    (line.lives.iter())
        .map(|life| {
            let end = life.end.map_or((-1, -1, 0, -1), |end| {
                let (thread, site) = end
                    .by
                    .map_or((-1, 0), |(thread, site)| (thread.into(), site));
                let culprit = end.culprit.map_or(-1, i64::from);
                (signed(end.time_ns), thread, site, culprit)
            });
            let owner = match life.owner {
                0 => String::new(),
                owner => format!("{owner:#x}"),
            };
            (
                life.number,
                owner,
                life.size,
                table.name(&life.kind),
                life.began_ns,
                life.thread,
                life.site,
                end,
            )
        })
        .collect()
}

fn strikes(line: &whofreed_analysis::LifeLine) -> Vec<StrikeRow> {
    (line.strikes.iter())
        .map(|strike| {
            (
                strike.time_ns,
                strike.thread,
                strike.site,
                strike.verdict.name(),
                strike.again.unwrap_or(0),
                strike.hit.unwrap_or(0),
                strike.culprit.map_or(-1, i64::from),
            )
        })
        .collect()
}

fn buffers(timeline: &Timeline) -> Vec<BufferRow> {
    (timeline.buffers.iter())
        .map(|buffer| {
            (
                buffer.pid,
                buffer.device,
                format!("{:#x}", buffer.address),
                buffer.size,
                buffer.allocated,
                buffer.freed,
                buffer.excess,
                u8::from(buffer.is_live),
                buffer.site.map_or(-1, i64::from),
            )
        })
        .collect()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
