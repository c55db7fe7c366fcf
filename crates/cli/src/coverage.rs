//! What the process could not know of itself: whether a library calls its own functions past the hooks. Its file tells.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use whofreed_trace::Coverage;

/// Larger files are not looked into: the report says then that there may be such calls.
const LARGEST: u64 = 1 << 30;

/// Replaces what is not certain by what the libraries' files tell; what proves to be no gap goes.
pub(crate) fn settle(coverage: &mut Vec<Coverage>) {
    let mut asked: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in &*coverage {
        if let Coverage::Unobservable {
            symbol,
            library,
            is_certain: false,
            ..
        } = entry
        {
            asked
                .entry(library.clone())
                .or_default()
                .insert(symbol.clone());
        }
    }
    let told: BTreeMap<String, BTreeMap<String, Option<String>>> = asked
        .into_iter()
        .filter_map(|(library, symbols)| {
            let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
            let told = told_by(&library, &symbols)?;
            let names = symbols.into_iter().map(str::to_owned);
            Some((library, names.zip(told).collect()))
        })
        .collect();
    coverage.retain_mut(|entry| {
        let Coverage::Unobservable {
            symbol,
            why,
            library,
            is_certain: false,
        } = entry
        else {
            return true;
        };
        match told.get(library).and_then(|told| told.get(symbol)) {
            Some(Some(text)) => why.clone_from(text),
            Some(None) => return false,
            None => {}
        }
        true
    });
}

/// What a library's file says of these symbols, where it can be read.
fn told_by(library: &str, symbols: &[&str]) -> Option<Vec<Option<String>>> {
    let about = fs::metadata(library).ok()?;
    if !about.is_file() || about.len() > LARGEST {
        return None;
    }
    let bytes = fs::read(library).ok()?;
    let mut told = whofreed_adapter::check::unseen_own_calls(&bytes, symbols).ok()?;
    let inlined = whofreed_symbols::inlined(Path::new(library), symbols);
    for (symbol, told) in symbols.iter().zip(&mut told) {
        if told.is_none() && inlined.contains(*symbol) {
            let text = "inlined into callers inside its library, which are not seen";
            *told = Some(text.to_owned());
        }
    }
    Some(told)
}
