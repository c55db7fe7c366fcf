//! What sort of code a culprit is, from names alone: a hint for the reader.

use whofreed_trace::Frame;
use whofreed_trace::Language;

use crate::Class;
use crate::machinery::bare_name;

/// Words in the name of the naming frame, the first match counts.
const BY_WORD: &[(&str, Class)] = &[
    ("programcache", Class::ProgramCache),
    ("program_cache", Class::ProgramCache),
    ("kernelcache", Class::ProgramCache),
    ("kernel_cache", Class::ProgramCache),
    ("cache", Class::Cache),
    ("evict", Class::Cache),
    ("lru", Class::Cache),
    ("pool", Class::Pool),
    ("arena", Class::Pool),
    ("recycle", Class::Pool),
];

/// Functions under which a process tears itself down.
const TEARDOWN: &[&str] = &[
    "__run_exit_handlers",
    "__cxa_finalize",
    "_dl_fini",
    "__do_global_dtors_aux",
    "_dl_call_fini",
];

/// Functions under which an interpreter lets go of an object by itself.
const COLLECTOR: &[&str] = &[
    "gc_collect_main",
    "gc_collect_region",
    "gc_collect_generations",
    "subtype_dealloc",
    "inst_dealloc",
    "_Py_Dealloc",
    "Py_FinalizeEx",
    "finalize_modules",
];

/// Classes the culprit that `site` names, whose excess free had `stack`.
pub(crate) fn classify(site: &Frame, stack: &[Frame]) -> Class {
    let bare = stack
        .iter()
        .filter_map(|frame| frame.function.as_deref())
        .map(bare_name);
    let bare: Vec<String> = bare.collect();
    let under = |names: &[&str]| bare.iter().any(|name| names.contains(&name.as_str()));
    let Some(function) = site.function.as_deref() else {
        return Class::Other;
    };
    let name = bare_name(function);
    let lower = name.to_lowercase();
    // A template argument or a file is not what the code is.
    let by_word = BY_WORD.iter().find(|(word, _)| has_word(&lower, word));
    if under(TEARDOWN) {
        return Class::StaticTeardown;
    }
    if let Some(&(_, class)) = by_word {
        return class;
    }
    if name.contains('~') || is_drop(function) || name.ends_with("__del__") {
        return Class::Destructor;
    }
    if site.language == Language::Python && under(COLLECTOR) {
        return Class::Interpreter;
    }
    Class::Explicit
}

fn is_drop(function: &str) -> bool {
    function.ends_with(" as core::ops::drop::Drop>::drop") || function.ends_with(" as Drop>::drop")
}

/// Whether `word` stands in `name` at the start of a word or as a whole, so that `spool` is no pool.
fn has_word(name: &str, word: &str) -> bool {
    name.match_indices(word).any(|(at, _)| {
        let before = name[..at].chars().next_back();
        let short = word.len() <= 4;
        !short
            || before.is_none_or(|c| !c.is_ascii_lowercase())
            || word == "pool" && name[..at].ends_with("mem")
    })
}
