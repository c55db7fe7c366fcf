//! The library of hooks as a file that somebody may have put there: it is refused unless it would be loaded as it was
//! written.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use whofreed_adapter::fuzzing::Library;
use whofreed_fuzz::heap;
use whofreed_fuzz::made::Bytes;

const ADAPTER: &str = r#"
name = "fuzz"
library = "libfuzz.so*"

[[hook]]
symbols = ["fuzz_take@V1"]
event = "allocate"
address = "ret"
size = "arg0"

[[hook]]
symbols = ["fuzz_give"]
event = "deallocate"
address = "arg0"
"#;

const BASE: usize = 256 * 1024;

static WRITTEN: OnceLock<Library> = OnceLock::new();

/// The library with some of its bytes changed, or cut, or these bytes alone.
fn changed(data: &[u8], written: &[u8]) -> Vec<u8> {
    let mut from = Bytes(data);
    if from.u8() == 0xff {
        return from.0.to_vec();
    }
    let mut bytes = written.to_vec();
    let cut = usize::from(from.u8()) * usize::from(from.u8());
    while !from.is_empty() {
        let at = usize::from(from.u16()) % bytes.len();
        let new = from.take(4);
        let len = new.len().min(bytes.len() - at);
        bytes[at..at + len].copy_from_slice(&new[..len]);
    }
    bytes.truncate(bytes.len() - cut.min(bytes.len()));
    bytes
}

fuzz_target!(|data: &[u8]| {
    let library = WRITTEN.get_or_init(|| {
        let library = Library::of(ADAPTER).expect("an adapter that is right");
        assert_eq!(library.check(&library.bytes), Ok(()));
        library
    });
    let bytes = changed(data, &library.bytes);
    heap::within(BASE + 8 * bytes.len(), || {
        let _ = library.check(&bytes);
    });
});
