//! After the run: what a library's file tells of the calls of its own functions that the process could not know of.

use std::collections::BTreeSet;

use super::facts::State;
use super::library::Library;
use super::restored::restored;
use super::symbols::Look;
use super::symbols::symbol_in;
use crate::table::named;

/// For each symbol, what is to be said of the calls that the library makes of it and that no hook sees; none where it
/// makes none.
///
/// # Errors
/// Why the file tells nothing.
pub fn unseen_own_calls(bytes: &[u8], symbols: &[&str]) -> Result<Vec<Option<String>>, String> {
    let bytes = restored(bytes);
    let library = Library::read(&bytes)?;
    let wanted: BTreeSet<&str> = symbols.iter().map(|symbol| named(symbol).0).collect();
    let look = Look::new("", &library, &wanted);
    let unseen = symbols.iter().map(|symbol| {
        let mut facts = symbol_in(symbol, &look);
        let mut definitions = library
            .definitions
            .get(named(symbol).0)
            .into_iter()
            .flatten();
        let is_protected = definitions.any(|definition| definition.is_protected);
        match (facts.state, facts.direct_calls) {
            // Of a protected one the compiler may have put copies into its callers.
            (State::Seen, Some(0)) if !is_protected => None,
            (State::Seen, Some(_)) => facts.notes.pop(),
            _ => Some("its library's own calls, if there are any, are not seen".to_owned()),
        }
    });
    Ok(unseen.collect())
}
