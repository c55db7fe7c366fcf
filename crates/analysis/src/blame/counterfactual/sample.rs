//! Which rows of a long log the model is fitted to: of those that look alike, some stand for all.
//!
//! Labels are given to every row in the end; but a model is found by labelling again and again.

#[cfg(test)]
mod tests;

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
    if !text.tally.rows.are_cut() {
        return rows().map(|row| Sampled { row, weight: 1.0 }).collect();
    }
    let looks = rows().map(|row| (looks(text, sites, &row), row.codes.len()));
    let chosen = choose(&looks.collect::<Vec<_>>(), MOST_FITTED);
    let mut chosen = chosen.into_iter().peekable();
    let sampled = rows().enumerate().filter_map(|(index, row)| {
        let (_, weight) = chosen.next_if(|one| one.0 == index)?;
        Some(Sampled { row, weight })
    });
    sampled.collect()
}

/// Which of rows with these looks and lengths stand for all, and for how many each: so many tokens, if there are not
/// too few of those that look alike.
fn choose<L: Ord>(rows: &[(L, usize)], most_tokens: usize) -> Vec<(usize, f64)> {
    let mut alike: BTreeMap<&L, (usize, usize)> = BTreeMap::new();
    for (looks, row_len) in rows {
        let (count, len) = alike.entry(looks).or_default();
        *count += 1;
        *len += row_len;
    }
    let len_of = |most: usize| -> usize {
        let of = |&(count, len): &(usize, usize)| len * most.min(count) / count;
        alike.values().map(of).sum()
    };
    let mut most = alike.values().map(|(count, _)| *count).max().unwrap_or(0);
    while most > LEAST && len_of(most) > most_tokens {
        most = (most - most / 8 - 1).max(LEAST);
    }
    let mut seen: BTreeMap<&L, usize> = BTreeMap::new();
    let mut chosen = Vec::new();
    for (index, (looks, _)) in rows.iter().enumerate() {
        let count = alike[looks].0;
        let wanted = most.min(count);
        let seen = seen.entry(looks).or_default();
        // As many from every part of the log.
        if (*seen + 1) * wanted / count > *seen * wanted / count {
            chosen.push((index, count as f64 / wanted as f64));
        }
        *seen += 1;
    }
    chosen
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
