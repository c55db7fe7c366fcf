//! As much of Protocol Buffers' encoding as a profile needs: numbers, strings, and messages within messages.

/// A message that is being written.
#[derive(Debug, Default)]
pub(super) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// A number; zero is what a field is that is not there.
    pub(super) fn number(&mut self, field: u32, value: u64) {
        if value != 0 {
            varint(&mut self.bytes, u64::from(field) << 3);
            varint(&mut self.bytes, value);
        }
    }

    /// A list of numbers, packed.
    pub(super) fn numbers(&mut self, field: u32, values: &[u64]) {
        let mut packed = Vec::with_capacity(values.len());
        for value in values {
            varint(&mut packed, *value);
        }
        self.bytes(field, &packed);
    }

    /// A string, or what is one for the encoding.
    pub(super) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        const LENGTH_DELIMITED: u64 = 2;
        varint(&mut self.bytes, u64::from(field) << 3 | LENGTH_DELIMITED);
        varint(&mut self.bytes, bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    /// A message within this one.
    pub(super) fn message(&mut self, field: u32, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.bytes(field, &inner.bytes);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Seven bits a byte, the lowest first; the eighth says that there are more.
fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_encoded_as_the_description_of_the_encoding_has_it() {
        let mut message = Message::default();
        message.number(1, 150);
        message.number(2, 0);
        message.bytes(2, b"testing");
        message.message(3, |inner| inner.number(1, 150));
        message.numbers(4, &[3, 270, 86_942]);
        let expected =
            b"\x08\x96\x01\x12\x07testing\x1a\x03\x08\x96\x01\x22\x06\x03\x8e\x02\x9e\xa7\x05";
        assert_eq!(message.finish(), expected);
        let mut most = Vec::new();
        varint(&mut most, u64::MAX);
        assert_eq!(most, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    }
}
