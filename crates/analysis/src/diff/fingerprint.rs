//! What a call site is called in every build and every run: no address, no line, no offset, no number of a
//! process, thread or device.

use std::fmt;

use whofreed_trace::Frame;
use whofreed_trace::Language;

use super::stable_name::stable_name;
use crate::Site;

/// A call site's name for comparisons: a hash over its function and its source file, by their names alone.
///
/// The callers are no part of it: through which of them a culprit was seen first changes from run to run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl Site {
    /// What the site is called in every build and every run.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.frame)
    }
}

/// The fingerprint of a frame: language, function, and the file's name or else the module's, for a program that
/// was built under another name is still the same code.
pub(super) fn fingerprint(frame: &Frame) -> Fingerprint {
    let language = match frame.language {
        Language::Native => "native",
        Language::Python => "python",
    };
    let function = frame.function.as_deref().unwrap_or("");
    let (sort, place) = match &frame.file {
        Some(file) => ("file", base(file)),
        None => ("module", without_version(base(&frame.module))),
    };
    let mut hash = Fnv::new();
    for field in [
        language,
        &stable_name(function, frame.language),
        sort,
        place,
    ] {
        hash.write(field.as_bytes());
        // No UTF-8 has this byte, so no two lists of fields read alike.
        hash.write(&[0xff]);
    }
    Fingerprint(hash.0)
}

/// The last component of a path.
fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// `libdevice.so.1.2` is `libdevice.so`.
fn without_version(module: &str) -> &str {
    match module.find(".so.") {
        Some(at) => &module[..at + ".so".len()],
        None => module,
    }
}

/// FNV-1a with 64 bits, by Fowler, Noll and Vo (RFC 9923): the same everywhere and for ever, which the standard
/// library's hashers do not promise. Nobody gains by a collision here.
struct Fnv(u64);

impl Fnv {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;

    const fn new() -> Self {
        Self(Self::OFFSET_BASIS)
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(Self::PRIME);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn evict() -> Frame {
        Frame {
            function: Some("device::ProgramCache<int>::evict(int)".to_owned()),
            module: Arc::from("/opt/lib/libdevice.so.1"),
            offset: 0x1234,
            file: Some(Arc::from("/src/device/cache.cpp")),
            line: 41,
            inlined: false,
            tail_called: false,
            language: Language::Native,
        }
    }

    #[test]
    fn the_hash_is_that_of_the_standard() {
        for (text, expected) in [
            ("", 0xcbf2_9ce4_8422_2325),
            ("a", 0xaf63_dc4c_8601_ec8c),
            ("foobar", 0x8594_4171_f739_67e8),
        ] {
            let mut hash = Fnv::new();
            hash.write(text.as_bytes());
            assert_eq!(hash.0, expected, "{text}");
        }
    }

    #[test]
    fn a_fingerprint_is_the_same_for_ever() {
        // Baselines are kept in files: who changes this makes every one of them worthless.
        assert_eq!(fingerprint(&evict()).to_string(), "984982d3b94ef29e");
    }

    #[test]
    fn other_lines_addresses_folders_and_program_names_make_no_difference() {
        let first = fingerprint(&evict());
        let again = Frame {
            function: Some("void device::ProgramCache<long>::evict(long)".to_owned()),
            module: Arc::from("/home/me/build/device_host_fixed"),
            offset: 0x99,
            file: Some(Arc::from("../device/cache.cpp")),
            line: 57,
            inlined: true,
            tail_called: false,
            ..evict()
        };
        assert_eq!(fingerprint(&again), first);
        let bare = |module: &str| Frame {
            file: None,
            line: 0,
            module: Arc::from(module),
            ..evict()
        };
        assert_eq!(
            fingerprint(&bare("/lib/libdevice.so.1.2")),
            fingerprint(&bare("/opt/libdevice.so"))
        );
    }

    #[test]
    fn other_functions_files_modules_and_languages_make_one() {
        let first = fingerprint(&evict());
        let changes: [fn(&mut Frame); 4] = [
            |frame| frame.function = Some("device::ProgramCache<int>::insert".to_owned()),
            |frame| frame.file = Some(Arc::from("/src/device/pool.cpp")),
            |frame| frame.file = None,
            |frame| frame.language = Language::Python,
        ];
        for change in changes {
            let mut other = evict();
            change(&mut other);
            assert_ne!(fingerprint(&other), first, "{other:?}");
        }
        let module = |name: &str| Frame {
            file: None,
            module: Arc::from(name),
            ..evict()
        };
        assert_ne!(
            fingerprint(&module("/lib/liba.so")),
            fingerprint(&module("/lib/libb.so"))
        );
    }
}
