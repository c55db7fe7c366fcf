//! Which rows of a long log the model is fitted to: of those that look alike, some stand for all.
//!
//! Labels are given to every row in the end; but a model is found by labelling again and again.

use std::collections::BTreeMap;

use super::problem::Text;
use crate::rows::Code;
use crate::rows::Row;
use crate::sites::SiteId;
use crate::sites::Sites;

/// So many tokens of a log that was cut are fitted.
const MOST_FITTED: usize = 1 << 16;
/// At least so many of those that look alike.
const LEAST: usize = 8;

/// A row, and for how many it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampled<'a> {
    pub(super) row: Row<'a>,
    pub(super) weight: f64,
}

/// Rows that look alike: with the same sites at the last excess free and at the free before it, or where there is
/// none, at the first allocate and the last free.
type Alike = (bool, Option<SiteId>, Option<SiteId>);

/// The rows to fit, in their order.
pub(super) fn sample<'a>(text: &Text<'a>, sites: &Sites<'_>) -> Vec<Sampled<'a>> {
    let rows = || text.tally.rows.iter();
    let mut alike: BTreeMap<Alike, (usize, usize)> = BTreeMap::new();
    let mut tokens = 0;
    for row in rows() {
        let (count, len) = alike.entry(looks(text, sites, &row)).or_default();
        *count += 1;
        *len += row.codes.len();
        tokens += row.codes.len();
    }
    if tokens <= MOST_FITTED || !text.tally.rows.are_cut() {
        return rows().map(|row| Sampled { row, weight: 1.0 }).collect();
    }
    let mut most = alike.values().map(|(count, _)| *count).max().unwrap_or(0);
    let len_of = |most: usize| -> usize {
        let of = |&(count, len): &(usize, usize)| len * most.min(count) / count;
        alike.values().map(of).sum()
    };
    while most > LEAST && len_of(most) > MOST_FITTED {
        most = (most - most / 8 - 1).max(LEAST);
    }
    let mut seen: BTreeMap<Alike, usize> = BTreeMap::new();
    let mut sampled = Vec::new();
    for row in rows() {
        let looks = looks(text, sites, &row);
        let count = alike[&looks].0;
        let wanted = most.min(count);
        let seen = seen.entry(looks).or_default();
        // As many from every part of the log.
        if (*seen + 1) * wanted / count > *seen * wanted / count {
            let weight = count as f64 / wanted as f64;
            sampled.push(Sampled { row, weight });
        }
        *seen += 1;
    }
    sampled
}

fn looks(text: &Text<'_>, sites: &Sites<'_>, row: &Row<'_>) -> Alike {
    let site = |code: &Code| sites.innermost(text.chain(*code));
    let excess = row.codes.iter().rposition(|code| code.is_excess());
    let before = &row.codes[..excess.unwrap_or(row.codes.len())];
    let free = before.iter().rfind(|code| code.freed_by().is_some());
    let other = match excess {
        Some(excess) => row.codes.get(excess),
        None => row.codes.iter().find(|code| code.is_allocate()),
    };
    (excess.is_some(), other.map(site), free.map(site))
}
