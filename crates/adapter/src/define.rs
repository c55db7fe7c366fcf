//! The texts of expressions in an adapter's TOML, and the names that it gives to some.

use std::collections::BTreeMap;

use toml::Spanned;

use crate::compile::Names;
use crate::compile::resolve;
use crate::error::Error;
use crate::error::Place;
use crate::expression::Expression;
use crate::expression::parse;
use crate::expression::place_of;

/// Names and what they stand for.
pub(crate) type Definitions = BTreeMap<String, Expression>;

/// The texts that names are defined by.
pub(crate) type Source = BTreeMap<String, Spanned<String>>;

/// What the expressions of a hook may use, with where it was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Texts<'texts> {
    pub(crate) names: Names<'texts>,
    pub(crate) hook: &'texts Source,
    pub(crate) adapter: &'texts Source,
}

impl Texts<'_> {
    /// Parses an expression of a hook, and replaces its names.
    pub(crate) fn resolved(
        self,
        place: Place<'_>,
        text: &Spanned<String>,
    ) -> Result<Expression, Error> {
        let expression = expression(place, text)?;
        resolve(&expression, self.names).map_err(|why| {
            let within = why.within.as_deref().and_then(|within| {
                let own = self.hook.get(within);
                own.or_else(|| self.adapter.get(within))
            });
            let text = within.unwrap_or(text);
            let at = match place_of(&why.name, text.get_ref()) {
                Some(offset) => place.within(text, offset),
                None => text.span().start,
            };
            place.error(at, why.message)
        })
    }
}

/// Parses an expression of an adapter.
fn expression(place: Place<'_>, text: &Spanned<String>) -> Result<Expression, Error> {
    parse(text.get_ref())
        .map_err(|error| place.error(place.within(text, error.offset), error.message))
}

/// Parses the names that an adapter or a hook defines.
pub(crate) fn definitions(place: Place<'_>, source: &Source) -> Result<Definitions, Error> {
    let parsed = source.iter().map(|(name, text)| {
        let is_word =
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        match parse(name) {
            Ok(Expression::Name(_)) if is_word => Ok((name.clone(), expression(place, text)?)),
            _ => Err(place.error(
                text.span().start,
                format!("`{name}` cannot be used as a name"),
            )),
        }
    });
    parsed.collect()
}
