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

/// Who holds an address and who held it, on whatever memory the caller has. An entry goes by its index until one is
/// removed.
pub trait Holders {
    /// The entry at `index`, which one of the searches has found.
    fn get(&self, index: usize) -> Holder;
    /// Changes the count of an entry.
    fn set_count(&mut self, index: usize, count: u32);
    /// Appends an entry. The caller has made sure by [`Holders::has_room`] that there is room.
    fn push(&mut self, holder: Holder);
    /// Removes the entry at `index`, keeping the order of the others.
    fn remove(&mut self, index: usize);
    /// Whether `more` entries can be pushed.
    fn has_room(&self, more: usize) -> bool;
    /// The newest live entry, of this owner where one is given.
    fn newest_live(&self, owner: Option<u64>) -> Option<usize>;
    /// The past entry of an owner.
    fn past(&self, owner: u64) -> Option<usize>;
    /// How many past entries have no right, and how many have late ones.
    fn count_past(&self) -> (usize, usize);
    /// The oldest past entry without a right, or with late ones.
    fn oldest_past(&self, is_late: bool) -> Option<usize>;
    /// All entries.
    fn all(&self) -> impl Iterator<Item = Holder>;
}

/// Holders that lie one behind the other.
pub trait Listed {
    /// All entries.
    fn entries(&self) -> &[Holder];
    /// All entries, to be changed in place.
    fn entries_mut(&mut self) -> &mut [Holder];
    /// As [`Holders::push`].
    fn append(&mut self, holder: Holder);
    /// As [`Holders::remove`].
    fn take_out(&mut self, index: usize);
    /// As [`Holders::has_room`].
    fn has_space(&self, more: usize) -> bool;
}

impl<L: Listed> Holders for L {
    fn get(&self, index: usize) -> Holder {
        self.entries()[index]
    }

    fn set_count(&mut self, index: usize, count: u32) {
        self.entries_mut()[index].count = count;
    }

    fn push(&mut self, holder: Holder) {
        self.append(holder);
    }

    fn remove(&mut self, index: usize) {
        self.take_out(index);
    }

    fn has_room(&self, more: usize) -> bool {
        self.has_space(more)
    }

    fn newest_live(&self, owner: Option<u64>) -> Option<usize> {
        let mut entries = self.entries().iter();
        entries.rposition(|holder| {
            holder.standing == Standing::Live && owner.is_none_or(|owner| owner == holder.owner)
        })
    }

    fn past(&self, owner: u64) -> Option<usize> {
        let mut entries = self.entries().iter();
        entries.position(|holder| holder.standing == Standing::Past && holder.owner == owner)
    }

    fn count_past(&self) -> (usize, usize) {
        let (mut rightless, mut late) = (0, 0);
        for holder in self.entries() {
            let is_past = holder.standing == Standing::Past;
            rightless += usize::from(is_past && holder.count == 0);
            late += usize::from(is_past && holder.count > 0);
        }
        (rightless, late)
    }

    fn oldest_past(&self, is_late: bool) -> Option<usize> {
        let mut entries = self.entries().iter();
        entries
            .position(|holder| holder.standing == Standing::Past && (holder.count > 0) == is_late)
    }

    fn all(&self) -> impl Iterator<Item = Holder> {
        self.entries().iter().copied()
    }
}

impl Listed for Vec<Holder> {
    fn entries(&self) -> &[Holder] {
        self
    }

    fn entries_mut(&mut self) -> &mut [Holder] {
        self
    }

    fn append(&mut self, holder: Holder) {
        Vec::push(self, holder);
    }

    fn take_out(&mut self, index: usize) {
        Vec::remove(self, index);
    }

    fn has_space(&self, _more: usize) -> bool {
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

impl Listed for FixedHolders<'_> {
    #[inline]
    fn entries(&self) -> &[Holder] {
        &self.buffer[..self.len]
    }

    #[inline]
    fn entries_mut(&mut self) -> &mut [Holder] {
        &mut self.buffer[..self.len]
    }

    #[inline]
    fn append(&mut self, holder: Holder) {
        self.buffer[self.len] = holder;
        self.len += 1;
    }

    #[inline]
    fn take_out(&mut self, index: usize) {
        self.len -= 1;
        // Mostly it is the last one: then nothing moves.
        if index < self.len {
            self.buffer.copy_within(index + 1..=self.len, index);
        }
    }

    #[inline]
    fn has_space(&self, more: usize) -> bool {
        self.buffer.len() - self.len >= more
    }
}
