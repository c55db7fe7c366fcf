//! All rows labelled under one model, and which of the labels stand under the next.
//!
//! From one model to the next, most costs hardly change. The search does nothing but hold costs against each other; so
//! after every token the closest decision is kept, and as long as no cost of a story can have moved by half of that,
//! the search would come to the same labels, and is spared. Only the other rows are labelled again.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::rc::Rc;

use super::super::model::Counts;
use super::super::model::Model;
use super::super::problem::Pattern;
use super::super::problem::Problem;
use super::super::problem::Token;
use super::super::shift::Shift;
use super::Label;
use super::Labeller;
use super::Teller;
use super::ahead::MOST_OPEN;
use super::search::Row;

/// What sums of costs may be off, in nats for each token: far more than they can be.
const ROUNDING: f64 = 1e-9;

/// The labels of all patterns under a model.
#[derive(Debug)]
pub(in super::super) struct Labelled {
    model: Rc<Model>,
    /// Those of all patterns, one behind the other.
    labels: Vec<Label>,
    /// How close the closest decision was, for each token and for each end of a pattern.
    spare: Vec<f64>,
    /// How many patterns had their labels already.
    #[cfg(test)]
    taken_over: usize,
}

impl Labelled {
    /// Labels everything, with the labels under models that are `near` wherever they stand.
    pub(in super::super) fn new(problem: &Problem, model: Rc<Model>, near: &[&Self]) -> Self {
        let shifts: Vec<Shift> = near
            .iter()
            .map(|near| Shift::new(problem, &near.model, &model))
            .collect();
        let mut labeller = Labeller::new(problem, &model);
        let mut labels = Vec::new();
        let mut spare = Vec::new();
        let mut row = Row::default();
        #[cfg(test)]
        let mut taken_over = 0;
        for pattern in &problem.patterns {
            let (of_labels, of_spare) = (labels.len(), spare.len());
            let len = pattern.tokens.len();
            let mut known = near.iter().zip(&shifts);
            let known = known.find_map(|(near, shift)| {
                let stands = stands(&near.spare[of_spare..][..=len], shift, pattern, &mut spare);
                stands.then(|| &near.labels[of_labels..][..len])
            });
            #[cfg(test)]
            {
                taken_over += usize::from(known.is_some());
            }
            if let Some(known) = known {
                labels.extend_from_slice(known);
            } else {
                labeller.label_into(&pattern.context, &pattern.tokens, &mut row);
                labels.extend_from_slice(&row.labels);
                spare.extend_from_slice(&row.spare);
            }
        }
        Self {
            model,
            labels,
            spare,
            #[cfg(test)]
            taken_over,
        }
    }

    #[cfg(test)]
    pub(super) fn labels(&self) -> &[Label] {
        &self.labels
    }

    #[cfg(test)]
    pub(super) fn taken_over(&self) -> usize {
        self.taken_over
    }

    /// Counts what the labels tell.
    pub(in super::super) fn count(&self, problem: &Problem) -> Counts {
        let mut counts = Counts::new(problem);
        let mut teller = Teller::default();
        let mut at = 0;
        for pattern in &problem.patterns {
            let (context, tokens) = (&pattern.context, &pattern.tokens);
            let labels = &self.labels[at..at + tokens.len()];
            at += tokens.len();
            let weight = pattern.weight;
            teller.tell(&self.model, context, tokens, labels, |fact| {
                counts.add(fact, weight)
            });
        }
        counts
    }
}

/// Whether the labels of a pattern stand when the costs have shifted, and its decisions were as close as `known`. If so,
/// tells how close they are at least now.
fn stands(known: &[f64], shift: &Shift, pattern: &Pattern, spare: &mut Vec<f64>) -> bool {
    let before = spare.len();
    // How far the cost of any story can have moved so far, and how many lives can be open.
    let (mut moved, mut open) = (0.0, 0);
    let mut lives = pattern.context.len();
    let (mut begun, mut lived) = (0, pattern.lived_before);
    for (index, &known) in known.iter().enumerate() {
        match pattern.tokens.get(index) {
            Some(&Token::Allocate(a)) => {
                moved += shift.pass(&pattern.begun[..begun]) * open as f64;
                if open == MOST_OPEN {
                    moved += shift.leak(&pattern.begun[..begun]);
                }
                open = MOST_OPEN.min(open + 1);
                lives += 1;
                begun += usize::from(pattern.begun.get(begun) == Some(&a));
                lived += usize::from(pattern.lived.get(lived) == Some(&a));
            }
            Some(&Token::Free(f)) => {
                let (begun, lived) = (&pattern.begun[..begun], &pattern.lived[..lived]);
                moved += shift.free(f, begun, lived, lives);
            }
            Some(Token::Reset) => {}
            // Some of the lives that are open were ended by nobody, and one of them may be spared that.
            None => moved += shift.leak(&pattern.begun) * (open + 1) as f64,
        }
        let left = if moved == 0.0 {
            known
        } else {
            known - 2.0 * moved - ROUNDING * (index + 1) as f64
        };
        // Where it is not a number, nothing is known.
        if moved != 0.0 && !matches!(left.partial_cmp(&0.0), Some(Ordering::Greater)) {
            spare.truncate(before);
            return false;
        }
        spare.push(left);
    }
    true
}
