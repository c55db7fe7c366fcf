//! A generated library as bytes that may be anything.

/// The bytes; a file offset is an address.
#[derive(Clone, Copy)]
pub(super) struct Image<'bytes>(pub(super) &'bytes [u8]);

impl<'bytes> Image<'bytes> {
    pub(super) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// # Errors
    /// A sentence, when the file is shorter.
    pub(super) fn bytes(&self, at: u64, len: u64) -> Result<&'bytes [u8], String> {
        let range = usize::try_from(at).ok().zip(usize::try_from(len).ok());
        let bytes = range.and_then(|(at, len)| self.0.get(at..at.checked_add(len)?));
        bytes.ok_or_else(|| format!("it has no {len} bytes at {at:#x}"))
    }

    fn chunk<const LEN: usize>(&self, at: u64) -> Result<[u8; LEN], String> {
        let bytes = self.bytes(at, LEN as u64)?;
        // There are as many as were asked for.
        Ok(bytes.first_chunk().copied().unwrap_or([0; LEN]))
    }

    pub(super) fn half(&self, at: u64) -> Result<u16, String> {
        self.chunk(at).map(u16::from_le_bytes)
    }

    pub(super) fn word(&self, at: u64) -> Result<u32, String> {
        self.chunk(at).map(u32::from_le_bytes)
    }

    pub(super) fn double(&self, at: u64) -> Result<u64, String> {
        self.chunk(at).map(u64::from_le_bytes)
    }

    /// The string that begins at `at` and ends with a NUL before `end`.
    pub(super) fn text(&self, at: u64, end: u64) -> Result<&'bytes str, String> {
        let bytes = self.bytes(at, end.saturating_sub(at))?;
        let text = bytes.split(|byte| *byte == 0).next();
        let text = text.filter(|text| text.len() < bytes.len());
        let text = text.and_then(|text| std::str::from_utf8(text).ok());
        text.ok_or_else(|| "a name does not end".to_owned())
    }
}

pub(super) fn require(condition: bool, otherwise: &str) -> Result<(), String> {
    if condition {
        Ok(())
    } else {
        Err(otherwise.to_owned())
    }
}
