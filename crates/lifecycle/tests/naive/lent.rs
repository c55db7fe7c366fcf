//! An address whose holders lie in a buffer that is lent to it at each event, as the ledger does it.

use whofreed_lifecycle::Address;
use whofreed_lifecycle::Event;
use whofreed_lifecycle::FixedHolders;
use whofreed_lifecycle::Full;
use whofreed_lifecycle::Holder;
use whofreed_lifecycle::Outcome;
use whofreed_lifecycle::Standing;

/// More than any test lends.
const LARGEST: usize = 24;

#[derive(Clone, Debug)]
pub struct Lent {
    buffer: [Holder; LARGEST],
    room: usize,
    pub len: usize,
    /// What is kept besides the holders.
    pub kept: Address<()>,
    /// Live instances after the last event.
    pub live: u64,
}

impl Lent {
    /// An address with room for so many holders.
    pub fn new(room: usize) -> Self {
        let nobody = Holder {
            owner: 0,
            count: 0,
            standing: Standing::Past,
        };
        assert!(room <= LARGEST);
        Self {
            buffer: [nobody; LARGEST],
            room,
            len: 0,
            kept: Address::default(),
            live: 0,
        }
    }

    pub fn holders(&self) -> &[Holder] {
        &self.buffer[..self.len]
    }

    /// Lends the buffer for one event.
    pub fn apply(&mut self, epoch: u32, event: Event) -> Result<Outcome, Full> {
        let mut address = Address {
            holders: FixedHolders::new(&mut self.buffer[..self.room], self.len),
            epoch: self.kept.epoch,
            seen: self.kept.seen,
            forgot: self.kept.forgot,
            forgot_late: self.kept.forgot_late,
            incomplete: self.kept.incomplete,
        };
        let outcome = address.apply(epoch, event);
        self.live = address.live();
        self.kept = Address {
            holders: (),
            epoch: address.epoch,
            seen: address.seen,
            forgot: address.forgot,
            forgot_late: address.forgot_late,
            incomplete: address.incomplete,
        };
        self.len = whofreed_lifecycle::Listed::entries(&address.holders).len();
        outcome
    }
}
