//! What a hook that is a resolver has to say.

use toml::Spanned;

use crate::compile::uses_result;
use crate::define::Texts;
use crate::error::Error;
use crate::error::Place;

/// The name that a resolver is asked for is looked at before it runs.
pub(super) fn check_name(
    place: Place<'_>,
    text: &Spanned<String>,
    texts: Texts<'_>,
) -> Result<(), Error> {
    if uses_result(&texts.resolved(place, text)?) {
        let message = "the name is read before the real function runs, so it cannot use `ret`";
        return Err(place.error(text.span().start, message));
    }
    Ok(())
}
