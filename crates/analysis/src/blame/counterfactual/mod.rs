//! Owners are not known.
use super::Accused;
use super::Engine;
use super::Log;
use crate::sites::Sites;

/// The engine for the rest.
#[derive(Debug)]
pub(crate) struct Counterfactual;

impl Engine for Counterfactual {
    fn accuse(&self, _log: &Log<'_>, _sites: &mut Sites<'_>) -> Vec<Accused> {
        Vec::new()
    }
}
