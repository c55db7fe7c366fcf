//! The builds of a library that a hook is for.

use toml::Spanned;

use crate::error::Error;
use crate::error::Place;

/// The beginnings of build ids as the table has them.
pub(super) fn joined(
    place: Place<'_>,
    ids: &Spanned<Vec<Spanned<String>>>,
) -> Result<String, Error> {
    let (at, ids) = (ids.span().start, ids.get_ref());
    if ids.is_empty() {
        return Err(place.error(at, "a `build_id` without entries is one of no library"));
    }
    for id in ids {
        let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if id.get_ref().is_empty() || !id.get_ref().chars().all(is_digit) {
            let message = "a build id is written in hexadecimal digits: 0 to 9, a to f";
            return Err(place.error(id.span().start, message));
        }
    }
    let ids: Vec<&str> = ids.iter().map(|id| id.get_ref().as_str()).collect();
    Ok(ids.join("|"))
}
