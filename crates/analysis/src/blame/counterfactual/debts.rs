//! Which surplus free an excess free is the doing of, free by free along an address: each explains one, and the oldest
//! goes first.

use std::collections::VecDeque;

/// Surplus frees that took a live instance, whose owner's free will look excessive; `None` where nobody knows whose
/// they were.
#[derive(Debug, Default)]
pub(super) struct Debts(VecDeque<Option<usize>>);

impl Debts {
    /// The surplus free that is charged with this free, where this one is excessive: itself, or the one whose debt it
    /// pays. `surplus` is itself where the labels call it surplus.
    pub(super) fn charged(
        &mut self,
        is_excess: bool,
        ends_life: bool,
        surplus: Option<usize>,
    ) -> Option<usize> {
        match (is_excess, ends_life) {
            (false, true) => None,
            (false, false) => {
                self.0.push_back(surplus);
                None
            }
            (true, true) => self.0.pop_front().flatten(),
            (true, false) => surplus,
        }
    }

    /// Nothing of what was before goes on.
    pub(super) fn reset(&mut self) {
        self.0.clear();
    }
}
