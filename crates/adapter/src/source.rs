//! An adapter's text as TOML gives it, before anything is checked.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use crate::error::Error;
use crate::error::Place;
use crate::suggest::suggestion;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdapterSource {
    pub(crate) name: Spanned<String>,
    pub(crate) library: Spanned<String>,
    #[serde(default = "yes")]
    pub(crate) owner_unique: bool,
    pub(crate) layer: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) kinds: Vec<String>,
    #[serde(default)]
    pub(crate) machinery: Vec<Spanned<String>>,
    #[serde(default)]
    pub(crate) define: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    pub(crate) device: Vec<PartSource>,
    #[serde(default)]
    pub(crate) hook: Vec<Spanned<HookSource>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartSource {
    pub(crate) value: Spanned<String>,
    #[serde(default)]
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HookSource {
    pub(crate) event: Spanned<String>,
    pub(crate) symbols: Vec<Spanned<String>>,
    pub(crate) signature: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) define: BTreeMap<String, Spanned<String>>,
    pub(crate) when: Option<Spanned<String>>,
    pub(crate) ok: Option<Spanned<String>>,
    pub(crate) owner: Option<Spanned<String>>,
    pub(crate) address: Option<Spanned<String>>,
    pub(crate) from: Option<Spanned<String>>,
    pub(crate) layer: Option<Spanned<String>>,
    pub(crate) size: Option<Spanned<String>>,
    pub(crate) kind: Option<Spanned<String>>,
    pub(crate) handle: Option<Spanned<String>>,
    pub(crate) live: Option<Spanned<String>>,
    pub(crate) parent: Option<Spanned<String>>,
    pub(crate) group: Option<Spanned<String>>,
    pub(crate) name: Option<Spanned<String>>,
    pub(crate) out: Option<Spanned<String>>,
    pub(crate) export: Option<bool>,
    pub(crate) device: Option<Vec<Spanned<String>>>,
    pub(crate) label: Option<Spanned<String>>,
    pub(crate) label_at: Option<Spanned<String>>,
    pub(crate) guard: Option<i64>,
    pub(crate) stack_words: Option<Spanned<u32>>,
    pub(crate) simd: Option<bool>,
    pub(crate) build_id: Option<Spanned<Vec<Spanned<String>>>>,
}

fn yes() -> bool {
    true
}

/// Reads an adapter's TOML.
pub(crate) fn read(place: Place<'_>) -> Result<AdapterSource, Error> {
    toml::from_str(place.text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        place.error(offset, with_suggestion(error.message()))
    })
}

/// TOML's own message lists the known keys; the nearest one is worth saying.
fn with_suggestion(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match quoted.split_first() {
        Some((unknown, known)) if message.starts_with("unknown field") => {
            let hint = suggestion(unknown, known.iter().copied());
            format!(
                "`{unknown}` is not known here{hint} (known: {})",
                known.join(", ")
            )
        }
        _ => message.lines().collect::<Vec<_>>().join(" "),
    }
}
