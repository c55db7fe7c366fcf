//! What every table hooks besides what its adapters name: the functions by which a host unloads libraries, looks
//! symbols up, and changes who it is.

use whofreed_hooktable::Adapter;
use whofreed_hooktable::Event;
use whofreed_hooktable::Hook;
use whofreed_hooktable::Stub;
use whofreed_hooktable::flags;

use super::Export;
use super::Output;

/// The functions, and what they mean. All are called through, where there is anything to do.
const FUNCTIONS: [(&str, Event); 15] = [
    ("dlclose", Event::LibraryClose),
    ("dlsym", Event::SymbolLookup),
    ("dlvsym", Event::SymbolLookup),
    ("setuid", Event::Credentials),
    ("setgid", Event::Credentials),
    ("seteuid", Event::Credentials),
    ("setegid", Event::Credentials),
    ("setreuid", Event::Credentials),
    ("setregid", Event::Credentials),
    ("setresuid", Event::Credentials),
    ("setresgid", Event::Credentials),
    ("setgroups", Event::Credentials),
    ("initgroups", Event::Credentials),
    ("unshare", Event::Credentials),
    ("setns", Event::Credentials),
];

/// The place of the thunk that calls through.
const CALLS: usize = 1;

impl Output {
    /// Hooks those of them that no adapter has hooked.
    pub(super) fn loader(&mut self) {
        let library = self.table.text("libc.so*|libdl.so*");
        let adapter = self.table.adapter(Adapter {
            library,
            ..Adapter::default()
        });
        for (name, event) in FUNCTIONS {
            if self.exports.iter().any(|export| export.symbol == name) {
                continue;
            }
            let hook = self.table.hook(Hook {
                adapter,
                event: event as u32,
                flags: flags::CALL_THROUGH,
                ..Hook::default()
            });
            let symbol = self.table.text(name);
            self.table.stub(Stub { symbol, hook });
            self.exports.push(Export {
                symbol: name.to_owned(),
                thunk: CALLS,
                is_exported: true,
            });
        }
    }
}
