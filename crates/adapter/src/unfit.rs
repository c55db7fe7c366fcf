//! Which symbols must not be exported by a generated library: they would not survive a stub in front of them.

use crate::table::named;

/// What libwhofreed calls before it knows whether a call is its own: hooked, it would call itself without end. Compilers
/// make calls of the first ones where nobody has written any.
const NEEDED: [&str; 8] = [
    "memcpy",
    "memmove",
    "memset",
    "memcmp",
    "bcmp",
    "strlen",
    "pthread_self",
    "getpid",
];

/// Why a symbol, `name` or `name@VERSION`, must not be exported by us.
pub(crate) fn unfit(symbol: &str) -> Option<&'static str> {
    let (symbol, version) = named(symbol);
    let is_in_version = |c: char| c.is_ascii_graphic() && c != '@';
    if version.is_some_and(|it| it.is_empty() || !it.chars().all(is_in_version)) {
        return Some("behind the @ there is no version");
    }
    const SPECIAL: [&str; 12] = [
        "__tls_get_addr",
        "_dl_runtime_resolve",
        "mcount",
        "__fentry__",
        "setjmp",
        "_setjmp",
        "__sigsetjmp",
        "sigsetjmp",
        "vfork",
        "getcontext",
        "swapcontext",
        "__vfork",
    ];
    if SPECIAL.contains(&symbol) {
        return Some("it does not follow the calling convention");
    }
    if NEEDED.contains(&symbol) {
        return Some("every hook needs it to run itself");
    }
    if symbol.starts_with("wf_") {
        return Some("names that begin with wf_ are ours");
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_.$".contains(c);
    (symbol.is_empty() || !symbol.chars().all(is_part))
        .then_some("this is no symbol (a C++ name is given mangled)")
}
