//! The texts of expressions in an adapter's TOML, and the names that it gives to some.

use std::collections::BTreeMap;

use toml::Spanned;

use crate::error::Error;
use crate::error::Place;
use crate::expression::Expression;
use crate::expression::parse;

/// Names and what they stand for.
pub(crate) type Definitions = BTreeMap<String, Expression>;

/// Parses an expression of an adapter.
pub(crate) fn expression(place: Place<'_>, text: &Spanned<String>) -> Result<Expression, Error> {
    // The span includes the opening quote.
    parse(text.get_ref())
        .map_err(|error| place.error(text.span().start + 1 + error.offset, error.message))
}

/// Parses the names that an adapter or a hook defines.
pub(crate) fn definitions(
    place: Place<'_>,
    source: &BTreeMap<String, Spanned<String>>,
) -> Result<Definitions, Error> {
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
