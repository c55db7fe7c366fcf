//! Doors for `fuzz/` to what otherwise only files bring: names, a kept answer, and all questions about one ELF file.
//! Built where Cargo is told `--cfg fuzzing` alone.

use std::path::Path;

use object::Object;
use object::read::ReadCache;
use whofreed_trace::Module;

use crate::call_sites::Callee;
use crate::call_sites::Function;
use crate::debug_files::open_regular;
use crate::reader::Reader;
use crate::sources::Sources;
use crate::symbol_table::Elf;

pub use crate::kept::fuzzing::read_kept;
pub use crate::kept::fuzzing::reads_body;

/// The name that people read.
#[must_use]
pub fn readable(mangled: &str) -> String {
    crate::demangle::readable(mangled)
}

/// The name that the abridged demangler makes, where the full one gives up.
#[must_use]
pub fn abridged(mangled: &str) -> Option<String> {
    crate::abridged::abridged(mangled)
}

/// Asks a file everything about these addresses; returns how many answers there were.
#[must_use]
pub fn ask(path: &Path, addresses: &[u64]) -> usize {
    let build_id = || {
        let cache = ReadCache::new(open_regular(path)?);
        let elf = Elf::parse(&cache).ok()?;
        let id = elf.build_id().ok().flatten();
        Some(id.unwrap_or_default().to_vec())
    };
    let Some(build_id) = build_id() else { return 0 };
    let module = Module {
        path: path.display().to_string(),
        build_id,
        load_bias: 0,
        start: 0,
        end: 0,
        generation: 0,
    };
    let Ok(sources) = Sources::find(&module, 0, &mut Vec::new()) else {
        return 0;
    };
    let reader = Reader::new(sources);
    let mut answers = 0;
    for &address in addresses {
        answers += reader.lines(address).len();
        let mut callees: Vec<Callee> = Vec::new();
        callees.extend(reader.callee(address));
        callees.extend(reader.called_by_code(address));
        let function = reader.function_at(address);
        answers += function.as_deref().map_or(0, calls);
        for callee in &callees {
            answers += reader.definitions(callee).len();
            let _ = reader.declared_at(callee);
            if let Some(symbol) = &callee.symbol {
                answers += usize::from(reader.named(symbol).is_some());
                answers += usize::from(reader.imports(symbol));
            }
        }
    }
    let _ = reader.named("main");
    let _ = reader.imports("free");
    answers + usize::from(reader.is_sound())
}

fn calls(function: &Function) -> usize {
    function.tail_calls.len()
}
