//! What a hook that is a resolver has to say.

use toml::Spanned;

use super::expression;
use crate::compile::Names;
use crate::compile::resolve;
use crate::compile::uses_result;
use crate::error::Error;
use crate::error::Place;

/// The name that a resolver is asked for is looked at before it runs.
pub(super) fn check_name(
    place: Place<'_>,
    text: &Spanned<String>,
    names: Names<'_>,
) -> Result<(), Error> {
    let at = text.span().start;
    let name = resolve(&expression(place, text)?, names).map_err(|why| place.error(at, why))?;
    if uses_result(&name) {
        let message = "the name is read before the real function runs, so it cannot use `ret`";
        return Err(place.error(at, message));
    }
    Ok(())
}
