//! WHOFREED_OPTIONS: `key=value:key=value`, where `%3A` is a colon and `%25` a percent sign inside a value, and
//! `%p` in a path stays, since the shim puts the process id there.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;

/// The variable's name.
pub(super) const VARIABLE: &str = "WHOFREED_OPTIONS";

/// Options on their way to the shim. Of two with the same key, the later one counts.
#[derive(Debug, Default)]
pub(super) struct Options {
    text: Vec<u8>,
}

impl Options {
    /// What the user had in the environment comes first.
    pub(super) fn new(user: Option<OsString>) -> Self {
        Self {
            text: user.map(OsString::into_vec).unwrap_or_default(),
        }
    }

    /// The last value of `key`, decoded.
    pub(super) fn get(&self, key: &str) -> Option<OsString> {
        self.text
            .split(|byte| *byte == b':')
            .rev()
            .find_map(|option| {
                let rest = option.strip_prefix(key.as_bytes())?;
                rest.strip_prefix(b"=").map(decode)
            })
    }

    /// Adds an option, encoded already.
    pub(super) fn add(&mut self, key: &str, value: &[u8]) {
        if !self.text.is_empty() {
            self.text.push(b':');
        }
        self.text.extend_from_slice(key.as_bytes());
        self.text.push(b'=');
        self.text.extend_from_slice(value);
    }

    pub(super) fn finish(self) -> OsString {
        OsString::from_vec(self.text)
    }
}

/// Encodes a value in which `%p` means the process id.
pub(super) fn encode_pattern(value: &OsStr) -> Vec<u8> {
    let bytes = value.as_bytes();
    let mut encoded = Vec::with_capacity(bytes.len());
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'%' if bytes.get(at + 1) == Some(&b'p') => encoded.push(b'%'),
            _ => encode_byte(*byte, &mut encoded),
        }
    }
    encoded
}

/// Encodes a value that is meant as it is.
pub(super) fn encode_literal(value: &OsStr) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(value.len());
    for byte in value.as_bytes() {
        encode_byte(*byte, &mut encoded);
    }
    encoded
}

fn encode_byte(byte: u8, encoded: &mut Vec<u8>) {
    match byte {
        b':' => encoded.extend_from_slice(b"%3A"),
        b'%' => encoded.extend_from_slice(b"%25"),
        _ => encoded.push(byte),
    }
}

fn decode(value: &[u8]) -> OsString {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, after @ ..] = rest {
        if let Some(behind) = rest.strip_prefix(b"%3A") {
            decoded.push(b':');
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix(b"%25") {
            decoded.push(b'%');
            rest = behind;
        } else {
            decoded.push(*first);
            rest = after;
        }
    }
    OsString::from_vec(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_counts() {
        let options = Options::new(Some("trace=a:guard=1:trace=b%3Ac%25d%p".into()));
        assert_eq!(options.get("trace"), Some("b:c%d%p".into()));
        assert_eq!(options.get("guard"), Some("1".into()));
        assert_eq!(options.get("guar"), None);
        assert_eq!(Options::new(None).get("trace"), None);
    }

    #[test]
    fn colons_and_percents_are_encoded_but_not_the_process_id() {
        assert_eq!(
            encode_pattern(OsStr::new("/a:b/50%/x.%p.wft")),
            b"/a%3Ab/50%25/x.%p.wft"
        );
        assert_eq!(encode_literal(OsStr::new("/a%p/:")), b"/a%25p/%3A");
    }

    #[test]
    fn options_are_appended_to_those_of_the_user() {
        let mut options = Options::new(Some("guard=1".into()));
        options.add("depth", b"9");
        assert_eq!(options.finish(), "guard=1:depth=9");
        let mut options = Options::new(None);
        options.add("run", b"1");
        assert_eq!(options.finish(), "run=1");
    }
}
