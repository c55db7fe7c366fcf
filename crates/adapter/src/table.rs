//! Adapters to one table: every check that an adapter's text has to pass is made here.

mod build_id;
mod keys;
mod loader;
mod resolver;
mod simd;

use std::cell::Cell;

use toml::Spanned;
use whofreed_hooktable::Adapter;
use whofreed_hooktable::Builder;
use whofreed_hooktable::Event;
use whofreed_hooktable::Hook;
use whofreed_hooktable::MAX_DEVICE_PARTS;
use whofreed_hooktable::Part;
use whofreed_hooktable::Stub;
use whofreed_hooktable::flags;

use self::keys::check_keys;
use self::keys::event;
use self::resolver::check_name;
use crate::compile::Names;
use crate::compile::compile;
use crate::compile::uses_result;
use crate::define::Definitions;
use crate::define::Texts;
use crate::define::definitions;
use crate::error::Error;
use crate::error::Place;
use crate::signature;
use crate::source::AdapterSource;
use crate::source::HookSource;
use crate::source::read;
use crate::unfit::unfit;

/// How many words of stack arguments a calling thunk hands on where the adapter does not say.
const DEFAULT_STACK_WORDS: u32 = 16;
const MAX_STACK_WORDS: u32 = 256;

/// A table and the stubs that go with it.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) table: Vec<u8>,
    pub(crate) exports: Vec<Export>,
}

/// One hooked symbol; its place in the list is its stub's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Export {
    /// `name` or `name@VERSION`.
    pub(crate) symbol: String,
    /// The place of its stub's thunk.
    pub(crate) thunk: usize,
    pub(crate) is_exported: bool,
}

impl Export {
    pub(crate) fn name(&self) -> (&str, Option<&str>) {
        named(&self.symbol)
    }
}

/// The name and the version of a symbol as adapters give it; tools write two signs before the default version.
pub(crate) fn named(symbol: &str) -> (&str, Option<&str>) {
    match symbol.split_once('@') {
        Some((name, version)) => (name, Some(version.strip_prefix('@').unwrap_or(version))),
        None => (symbol, None),
    }
}

/// Compiles adapters, given as (file name, text).
pub(crate) fn compile_adapters(sources: &[(String, String)]) -> Result<Compiled, Error> {
    let mut output = Output {
        table: Builder::default(),
        exports: Vec::new(),
        places: Vec::new(),
    };
    for (file, text) in sources {
        let place = Place { file, text };
        output.adapter(place, &read(place)?)?;
    }
    output.loader();
    Ok(Compiled {
        table: output.table.build(),
        exports: output.exports,
    })
}

#[derive(Debug)]
struct Output {
    table: Builder,
    exports: Vec<Export>,
    /// Where each of the adapters' exports is named: file, line and column.
    places: Vec<(String, usize, usize)>,
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "counts of lines that somebody wrote by hand"
)]
impl Output {
    fn adapter(&mut self, place: Place<'_>, source: &AdapterSource) -> Result<(), Error> {
        for (text, what) in [(&source.name, "name"), (&source.library, "library")] {
            if text.get_ref().is_empty() {
                return Err(place.error(text.span().start, format!("the {what} is empty")));
            }
        }
        if source.hook.is_empty() {
            return Err(place.error(0, "an adapter without a [[hook]] hooks nothing"));
        }
        if source.device.len() > MAX_DEVICE_PARTS {
            let at = source.device[MAX_DEVICE_PARTS].value.span().start;
            return Err(place.error(at, format!("a device has at most {MAX_DEVICE_PARTS} parts")));
        }
        let kinds_first = self.table.next_listed();
        for kind in &source.kinds {
            self.table.listed(kind);
        }
        let mut parts_first = 0;
        for (index, part) in source.device.iter().enumerate() {
            let names_first = self.table.next_listed();
            for name in &part.names {
                self.table.listed(name);
            }
            let part = self.table.part(Part {
                names_first,
                names_count: part.names.len() as u32,
            });
            parts_first = part - index as u32;
        }
        let name = self.table.text(source.name.get_ref());
        let library = self.table.text(source.library.get_ref());
        let adapter = self.table.adapter(Adapter {
            name,
            library,
            flags: if source.owner_unique {
                flags::UNIQUE_OWNERS
            } else {
                0
            },
            kinds_first,
            kinds_count: source.kinds.len() as u32,
            parts_first,
            parts_count: source.device.len() as u32,
        });
        let definitions = definitions(place, &source.define)?;
        for hook in &source.hook {
            let at = hook.span().start;
            self.hook(place, source, &definitions, adapter, hook.get_ref(), at)?;
        }
        Ok(())
    }

    fn hook(
        &mut self,
        place: Place<'_>,
        adapter: &AdapterSource,
        shared: &Definitions,
        adapter_place: u32,
        source: &HookSource,
        at: usize,
    ) -> Result<(), Error> {
        let event = event(place, &source.event)?;
        check_keys(place, source, event, at)?;
        let own = definitions(place, &source.define)?;
        let texts = Texts {
            names: Names {
                hook: &own,
                adapter: shared,
            },
            hook: &source.define,
            adapter: &adapter.define,
        };
        if let Some(name) = &source.name {
            check_name(place, name, texts)?;
        }
        let has_after = matches!(
            event,
            Event::Attempt
                | Event::Realloc
                | Event::Scope
                | Event::LibraryClose
                | Event::Resolver
                | Event::SymbolLookup
                | Event::Credentials
        );
        let after = Cell::new(has_after || source.ok.is_some());
        let mut code = |text: Option<&Spanned<String>>| -> Result<u32, Error> {
            let Some(text) = text else { return Ok(0) };
            let resolved = texts.resolved(place, text)?;
            if uses_result(&resolved) {
                after.set(true);
            }
            let compiled = compile(&resolved, &mut self.table)
                .map_err(|why| place.error(text.span().start, why))?;
            Ok(self.table.code(&compiled))
        };
        // A realloc gives back, and a scope begins, before the real function runs.
        if matches!(event, Event::Realloc | Event::Scope) {
            after.set(false);
            for text in [&source.when, &source.from, &source.owner, &source.label_at] {
                code(text.as_ref())?;
                if let Some(text) = text.as_ref().filter(|_| after.get()) {
                    let message = format!(
                        "this is asked for before the real function of a {} runs, so it cannot use `ret`",
                        source.event.get_ref()
                    );
                    return Err(place.error(text.span().start, message));
                }
            }
            after.set(true);
        }
        let mut hook = Hook {
            adapter: adapter_place,
            event: event as u32,
            when: code(source.when.as_ref())?,
            ok: code(source.ok.as_ref())?,
            owner: code(source.owner.as_ref())?,
            address: code(source.address.as_ref())?,
            size: code(source.size.as_ref())?,
            kind: code(source.kind.as_ref())?,
            handle: code(source.handle.as_ref())?,
            live: code(source.live.as_ref())?,
            parent: code(source.parent.as_ref())?,
            group: code(source.group.as_ref())?,
            from: code(source.from.as_ref())?,
            name: code(source.name.as_ref())?,
            out: code(source.out.as_ref())?,
            label_at: code(source.label_at.as_ref())?,
            ..Hook::default()
        };
        let shared_parts: Vec<_> = adapter.device.iter().map(|part| &part.value).collect();
        let parts: Vec<_> = match (&source.device, event) {
            (Some(parts), _) => parts.iter().collect(),
            // An attempt's device is that of its owner; a reset may name a group only; a resolver has none.
            (None, Event::Attempt | Event::Resolver) => Vec::new(),
            (None, Event::DeviceReset | Event::DeviceClose) if source.group.is_some() => Vec::new(),
            (None, _) => shared_parts.clone(),
        };
        if !parts.is_empty() && parts.len() != shared_parts.len() {
            let message = format!(
                "the adapter's [[device]] has {} parts, not {}",
                shared_parts.len(),
                parts.len()
            );
            return Err(place.error(parts[0].span().start, message));
        }
        let fields = [
            &mut hook.device_0,
            &mut hook.device_1,
            &mut hook.device_2,
            &mut hook.device_3,
        ];
        for (field, part) in fields.into_iter().zip(parts) {
            *field = code(Some(part))?;
        }
        let after = after.get();
        let label = source.label.as_ref();
        hook.label = label.map_or(0, |label| self.table.text(label.get_ref()));
        let layer = source.layer.as_ref().or(adapter.layer.as_ref());
        hook.layer = layer.map_or(0, |layer| self.table.text(layer.get_ref()));
        self.calling(place, source, event, after, &mut hook, at)?;
        if source.simd.unwrap_or_else(|| self::simd::is_wide(source)) {
            hook.flags |= flags::WIDE;
        }
        hook.build_id = match &source.build_id {
            Some(ids) => self.table.text(&self::build_id::joined(place, ids)?),
            None => 0,
        };
        let thunk = hook.thunk();
        let hook_place = self.table.hook(hook);
        self.symbols(place, source, hook_place, thunk)
    }

    /// How the stub of the hook calls: by which thunk, with what of the stack, blocked with what value.
    fn calling(
        &mut self,
        place: Place<'_>,
        source: &HookSource,
        event: Event,
        after: bool,
        hook: &mut Hook,
        at: usize,
    ) -> Result<(), Error> {
        if after {
            hook.flags |= flags::REPORT_AFTER;
        }
        // The end of a call that others may be nested in has to be seen.
        if after || hook.layer != 0 {
            hook.flags |= flags::CALL_THROUGH;
        }
        if after && matches!(event, Event::Deallocate | Event::Release) {
            let message = format!(
                "a {} is recorded before the real function runs, so it can use neither `ret` nor `ok`",
                source.event.get_ref()
            );
            return Err(place.error(at, message));
        }
        if source.export == Some(false) {
            hook.flags |= flags::NOT_EXPORTED;
        }
        if let Some(guard) = source.guard {
            if !matches!(
                event,
                Event::Deallocate | Event::Release | Event::Realloc | Event::Attempt
            ) {
                let message = "`guard` is for a deallocate, a release, a realloc or an attempt";
                return Err(place.error(at, message));
            }
            hook.flags |= flags::CAN_GUARD;
            let value = guard.cast_unsigned();
            hook.guard_low = value as u32;
            hook.guard_high = (value >> 32) as u32;
        }
        hook.stack_words = match &source.stack_words {
            Some(words) if *words.get_ref() > MAX_STACK_WORDS => {
                let message = format!("`stack_words` is at most {MAX_STACK_WORDS}");
                return Err(place.error(words.span().start, message));
            }
            Some(words) => *words.get_ref(),
            None => DEFAULT_STACK_WORDS,
        };
        Ok(())
    }

    fn symbols(
        &mut self,
        place: Place<'_>,
        source: &HookSource,
        hook: u32,
        thunk: usize,
    ) -> Result<(), Error> {
        for spanned in &source.symbols {
            let (at, symbol) = (spanned.span().start, spanned.get_ref());
            if let Some(why) = unfit(symbol) {
                return Err(place.error(at, format!("`{symbol}` cannot be hooked: {why}")));
            }
            let (name, version) = named(symbol);
            let symbol = match version {
                Some(version) => format!("{name}@{version}"),
                None => name.to_owned(),
            };
            let mut exports = self.exports.iter();
            if let Some(first) = exports.position(|export| export.symbol == symbol) {
                let (file, line, column) = &self.places[first];
                let file = if file == place.file {
                    String::new()
                } else {
                    format!("in {file}, ")
                };
                let message = format!("`{symbol}` is hooked twice, first {file}at {line}:{column}");
                return Err(place.error(at, message));
            }
            if let Some(expected) = &source.signature {
                signature::check(name, expected.get_ref())
                    .map_err(|why| place.error(expected.span().start, why))?;
            }
            let text = self.table.text(&symbol);
            self.table.stub(Stub { symbol: text, hook });
            self.exports.push(Export {
                symbol,
                thunk,
                is_exported: source.export != Some(false),
            });
            let (line, column) = place.line_and_column(at);
            self.places.push((place.file.to_owned(), line, column));
        }
        Ok(())
    }
}
