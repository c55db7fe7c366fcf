//! Who holds, or held, one address: the memory that an [`Address`](crate::Address) works on.

/// Whether a [`Holder`] entry stands for live instances or for an owner of the past.
/// Zeroed memory is a valid holder, so that a buffer of them needs no start-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Standing {
    /// `count` live instances in a row, allocated by this owner with nobody else's in between.
    Live = 0,
    /// An owner whose instances ended; `count` of them were ended by a reset and can still be freed, late.
    Past = 1,
}

/// One entry of an address's history. Live entries stand in the order of their allocation, the newest last;
/// past entries in the order in which they ended, the most recent last. The two kinds may be interleaved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The owner; 0 means not known.
    pub owner: u64,
    /// Live instances, or late rights.
    pub count: u32,
    /// Which of the two `count` counts.
    pub standing: Standing,
}

/// There is no room for one more holder; the address is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A growing list of holders, on whatever memory the caller has.
pub trait Holders {
    /// All entries.
    fn entries(&self) -> &[Holder];
    /// All entries, to be changed in place.
    fn entries_mut(&mut self) -> &mut [Holder];
    /// Appends an entry. The caller has made sure by [`Holders::has_room`] that there is room.
    fn push(&mut self, holder: Holder);
    /// Removes the entry at `index`, keeping the order of the others.
    fn remove(&mut self, index: usize);
    /// Whether `more` entries can be pushed.
    fn has_room(&self, more: usize) -> bool;
}

impl Holders for Vec<Holder> {
    fn entries(&self) -> &[Holder] {
        self
    }

    fn entries_mut(&mut self) -> &mut [Holder] {
        self
    }

    fn push(&mut self, holder: Holder) {
        Vec::push(self, holder);
    }

    fn remove(&mut self, index: usize) {
        Vec::remove(self, index);
    }

    fn has_room(&self, _more: usize) -> bool {
        true
    }
}

/// Holders in a buffer that the caller lends, for code that must not allocate.
#[derive(Debug)]
pub struct FixedHolders<'buffer> {
    buffer: &'buffer mut [Holder],
    len: usize,
}

impl<'buffer> FixedHolders<'buffer> {
    /// Takes the first `len` entries of `buffer` as the present content.
    ///
    /// # Panics
    /// When `len` is larger than the buffer.
    #[must_use]
    pub fn new(buffer: &'buffer mut [Holder], len: usize) -> Self {
        assert!(len <= buffer.len(), "more holders than the buffer has");
        Self { buffer, len }
    }
}

impl Holders for FixedHolders<'_> {
    fn entries(&self) -> &[Holder] {
        &self.buffer[..self.len]
    }

    fn entries_mut(&mut self) -> &mut [Holder] {
        &mut self.buffer[..self.len]
    }

    fn push(&mut self, holder: Holder) {
        self.buffer[self.len] = holder;
        self.len += 1;
    }

    fn remove(&mut self, index: usize) {
        self.buffer.copy_within(index + 1..self.len, index);
        self.len -= 1;
    }

    fn has_room(&self, more: usize) -> bool {
        self.buffer.len() - self.len >= more
    }
}
