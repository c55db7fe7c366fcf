//! Which keys a hook has to have, by its event, and which it has no use for.

use toml::Spanned;
use whofreed_hooktable::Event;

use crate::error::Error;
use crate::error::Place;
use crate::source::HookSource;
use crate::suggest::suggestion;

pub(super) fn event(place: Place<'_>, text: &Spanned<String>) -> Result<Event, Error> {
    let mut all = Event::ALL.iter();
    if let Some((_, event)) = all.find(|(name, _)| name == text.get_ref()) {
        return Ok(*event);
    }
    let hint = suggestion(text.get_ref(), Event::ALL.iter().map(|(name, _)| *name));
    Err(place.error(
        text.span().start,
        format!("`{}` is no event{hint}", text.get_ref()),
    ))
}

/// Each event needs its own keys, and has no use for some others.
pub(super) fn check_keys(
    place: Place<'_>,
    source: &HookSource,
    event: Event,
    at: usize,
) -> Result<(), Error> {
    if source.symbols.is_empty() {
        return Err(place.error(at, "a hook needs at least one of `symbols`"));
    }
    let has = [
        ("owner", source.owner.is_some()),
        ("address", source.address.is_some()),
        ("from", source.from.is_some()),
        ("size", source.size.is_some()),
        ("kind", source.kind.is_some()),
        ("handle", source.handle.is_some()),
        ("live", source.live.is_some()),
        ("parent", source.parent.is_some()),
        ("group", source.group.is_some()),
        ("name", source.name.is_some()),
        ("out", source.out.is_some()),
        ("ok", source.ok.is_some()),
        ("label", source.label.is_some()),
        ("label_at", source.label_at.is_some()),
    ];
    let (needed, useful): (&[&str], &[&str]) = match event {
        Event::Allocate => (&["address"], &["owner", "size", "kind", "group", "ok"]),
        Event::Deallocate | Event::Release => (&["address"], &["owner"]),
        Event::Realloc => (
            &["from", "address"],
            &["owner", "size", "kind", "group", "ok"],
        ),
        Event::Retain => (&["address"], &["owner", "ok"]),
        Event::View => (&["address", "owner", "parent"], &["ok"]),
        Event::Attempt => (&["handle", "live"], &["owner", "address"]),
        Event::DeviceOpen => (&[], &["size", "group", "ok"]),
        Event::DeviceReset | Event::DeviceClose => (&[], &["group", "ok"]),
        Event::Resolver => (&["name"], &["out", "ok"]),
        Event::Scope => (&[], &["label", "label_at"]),
        Event::LibraryClose | Event::SymbolLookup | Event::Credentials => (&[], &[]),
    };
    if event == Event::Scope && source.label.is_some() == source.label_at.is_some() {
        let message = "a hook of event `scope` needs either `label` or `label_at`";
        return Err(place.error(at, message));
    }
    for (key, is_there) in has {
        let name = source.event.get_ref();
        if !is_there && needed.contains(&key) {
            return Err(place.error(at, format!("a hook of event `{name}` needs `{key}`")));
        }
        if is_there && !needed.contains(&key) && !useful.contains(&key) {
            return Err(place.error(
                at,
                format!("a hook of event `{name}` has no use for `{key}`"),
            ));
        }
    }
    Ok(())
}
