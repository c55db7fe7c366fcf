//! What the labels make of every free: which are one too many, and which excess frees each of these explains.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::collections::HashSet;

use super::debts::Debts;
use super::label;
use super::label::Fact;
use super::label::Label;
use super::model;
use super::problem::Text;
use super::problem::Token;
use crate::blame::Case;
use crate::blame::Charge;
use crate::blame::Counts;
use crate::blame::Lives;
use crate::rows::Meaning;
use crate::rows::Row;
use crate::sites::ChainId;
use crate::sources::EventRef;

/// So many of a kind are considered for the example that is shown.
const MOST_CASES: u64 = 1024;
/// So many surplus frees are kept.
const MOST_SURPLUS: usize = 1 << 20;

/// What excess frees have in common that the labels make the same of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    /// The group of the surplus free, and its chain.
    pub(super) group: u32,
    chain: ChainId,
    /// Those of the excess free.
    excess_group: u32,
    pub(super) excess_chain: ChainId,
}

/// Excess frees and what the labels make of them.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) chain: ChainId,
    pub(super) excess_group: u32,
    pub(super) charge: Charge,
    /// The same as the other story has it: the surplus free was the owner's, the excess one came again.
    pub(super) swapped: Charge,
}

/// All labelled rows, as far as the accusations need them.
#[derive(Debug, Default)]
pub(super) struct Stories {
    pub(super) told: BTreeMap<Kind, Told>,
    pub(super) guilty: Counts,
    pub(super) innocent: Counts,
    /// Excess frees, whatever the labels make of them.
    pub(super) excess: Counts,
    /// The guilty ones, as far as they are not too many.
    pub(super) surplus: HashSet<EventRef>,
}

impl Stories {
    pub(super) fn add(
        &mut self,
        text: &Text<'_>,
        row: &Row<'_>,
        context: &[u32],
        tokens: &[Token],
        labels: &[Label],
        model: &model::Model,
    ) {
        // By token: what ended the life that it began, what began the life that it ended, and what began the life that
        // it freed again.
        let mut ended_at: Vec<Option<usize>> = vec![None; tokens.len()];
        let mut began_by_end = ended_at.clone();
        let mut surplus_origin = ended_at.clone();
        let mut surplus_struck = ended_at.clone();
        let mut surplus_before = ended_at.clone();
        label::tell(model, context, tokens, labels, |fact| match fact {
            Fact::Ended { token, began, .. } => {
                ended_at[began] = Some(token);
                began_by_end[token] = Some(began);
            }
            Fact::Surplus(surplus) => {
                surplus_origin[surplus.token] = surplus.origin_began;
                surplus_struck[surplus.token] = surplus.struck_began;
                surplus_before[surplus.token] = surplus.origin_before;
            }
            _ => {}
        });
        let event = |token: usize| row.event(token);
        let numbers: OnceCell<Vec<u32>> = OnceCell::new();
        let number = |token: usize| numbers.get_or_init(|| row.lives())[token];
        let case = |surplus: usize, [allocated, freed, hit]: [Option<usize>; 3]| {
            let lives = Lives {
                own: allocated.map(number),
                never_held: false,
                hit: hit.map(|began| (number(began), event(began))),
                was_dead: row.codes[surplus].is_excess(),
                all: number(surplus),
            };
            let (allocated, freed) = (allocated.map(event), freed.map(event));
            Case::new(text.tally.sources, event(surplus), allocated, freed, lives)
        };
        let mut debts = Debts::default();
        for (index, (&token, &label)) in tokens.iter().zip(labels).enumerate() {
            let Token::Free(group) = token else {
                if token == Token::Reset {
                    debts.reset();
                }
                continue;
            };
            let chain = text.chain(row.codes[index]);
            let is_excess = matches!(row.codes[index].meaning(), Meaning::Excess(_));
            let ends_life = began_by_end[index].is_some();
            if is_excess {
                *self.excess.entry(chain).or_default() += 1;
            }
            if ends_life {
                *self.innocent.entry(chain).or_default() += 1;
            }
            if label == Label::Surplus {
                *self.guilty.entry(chain).or_default() += 1;
                if self.surplus.len() < MOST_SURPLUS {
                    self.surplus.insert(row.event(index));
                }
            }
            let surplus = (label == Label::Surplus).then_some(index);
            let Some(by) = debts.charged(is_excess, ends_life, surplus) else {
                continue;
            };
            let Token::Free(by_group) = tokens[by] else {
                continue;
            };
            let origin = surplus_origin[by];
            let freed = origin.and_then(|began| ended_at[began]);
            let freed = freed.filter(|&end| end < by);
            let struck = began_by_end[index].or(origin);
            // By the verdict nothing was there to be hit, though somebody believes to hold it still.
            let hit = surplus_struck[by].filter(|_| !row.codes[by].is_excess());
            let freed_before = if by == index { freed } else { Some(by) };
            let kind = Kind {
                group: by_group,
                chain: text.chain(row.codes[by]),
                excess_group: group,
                excess_chain: chain,
            };
            let told = self.told.entry(kind).or_insert_with(|| Told {
                chain: kind.chain,
                excess_group: group,
                charge: Charge::new(chain, kind.chain),
                swapped: Charge::new(chain, chain),
            });
            let (mut own, mut swapped) = (None, None);
            if told.charge.count < MOST_CASES {
                own = Some(case(by, [origin, freed, hit]));
                swapped = Some(case(index, [struck, freed_before, None]));
            }
            let chain_of = |began: usize| text.chain(row.codes[began]);
            let before = surplus_before[by].map(|life| text.chain(row.context[life]));
            let allocated_by = hit.or(origin).map(chain_of).or(before);
            told.charge.add(row.place(), event(by), allocated_by, own);
            // A free that is excessive itself has its rival in the one that ended the life before.
            let other = |of: usize| if by == index { freed } else { Some(of) };
            told.charge.others.push(other(index).map(event));
            told.swapped.others.push(other(by).map(event));
            let allocated_by = struck.map(chain_of).or(before);
            told.swapped
                .add(row.place(), event(index), allocated_by, swapped);
        }
    }
}
