//! Cuts the text of an address into pieces, so that only those around something unusual have to be kept.
//!
//! A *segment* lies between two moments at which, by count, nothing is open. One without an excess free that has been
//! seen often is *quiet*: it is counted, and the last few of them wait, for what comes next may be an excess free, of
//! which they can tell. Everything else goes into the current *piece*, together with the quiet ones that wait. A piece
//! ends when as many quiet segments follow as may wait. What was allocated before it is its context.
//!
//! A free that strikes the life of another can lie further back than that, with any number of ordinary lives between.
//! So of those that waited long enough, the last that did not end as most such lives do are part of the next piece.

use super::Rows;
use super::code::Code;
use super::code::Token;

/// How many quiet segments wait: as far as [`chains`](crate::blame) go back.
const WAITING: usize = 6;
/// How many lives before a piece are its context.
pub(super) const CONTEXT: usize = 10;
/// A longer segment is never quiet.
const MOST_QUIET: usize = 8;
/// A segment that gets so long has lives in it that will hardly end; half of it has to agree on which these are,
const LONG: usize = 32;
/// or it gets as long as that.
const TOO_LONG: usize = 64;
/// How many segments are remembered that did not end as most do, and for how many segments.
const ODD: usize = 4;
const ODD_FOR: u64 = 64;
/// How many lives may stay open below the segments; older ones are forgotten.
const MOST_OPEN: usize = 8;
/// A piece of an address with hardly a quiet segment.
const MOST_OF_PIECE: usize = 4096;

/// The end of an address's text, and what is still to be decided of it.
#[derive(Debug)]
pub(super) struct Cut {
    /// How many tokens at the front belong to the piece.
    piece: u32,
    /// The quiet segments behind it: length, and number for [`Rows::quiet`].
    waiting: [(u8, u32); WAITING],
    waiting_count: u8,
    /// The sum of their lengths.
    waiting_len: u8,
    /// How many lives are open in the current segment, and whether it has an excess free.
    open: u32,
    is_noisy: bool,
    /// Lives that were open before it and hardly end, the oldest first.
    below: Vec<Token>,
    /// The last segments that did not end as most such lives do, with the number of segments before.
    odd: Vec<Odd>,
    /// How many segments have waited long enough.
    passed: u64,
    /// The last lives before the piece, or before the first segment that waits; the oldest first. Resets stand for
    /// none.
    context: [Code; CONTEXT],
}

impl Default for Cut {
    fn default() -> Self {
        Self {
            piece: 0,
            waiting: [(0, 0); WAITING],
            waiting_count: 0,
            waiting_len: 0,
            open: 0,
            is_noisy: false,
            below: Vec::new(),
            odd: Vec::new(),
            passed: 0,
            context: [Code::RESET; CONTEXT],
        }
    }
}

#[derive(Debug)]
struct Odd {
    tokens: Vec<Token>,
    number: u32,
    passed: u64,
}

impl Cut {
    /// The lives before the piece.
    pub(super) fn context(&self) -> impl Iterator<Item = Code> {
        self.context
            .iter()
            .copied()
            .filter(|code| code.is_allocate())
    }

    /// Reads a little of all of it.
    pub(super) fn touch(&self) -> u64 {
        self.passed ^ u64::from(self.open ^ self.waiting[0].1 ^ self.waiting[WAITING - 1].1)
    }

    fn lived(&mut self, code: Code) {
        if code.is_allocate() {
            self.context.rotate_left(1);
            self.context[CONTEXT - 1] = code;
        }
    }

    /// How many tokens lie before the current segment.
    fn current(&self) -> usize {
        self.piece as usize + usize::from(self.waiting_len)
    }

    fn forget_waiting(&mut self) {
        self.waiting_count = 0;
        self.waiting_len = 0;
    }
}

/// One address at work.
pub(super) struct Cutter<'a> {
    pub(super) rows: &'a mut Rows,
    /// The index of the address.
    pub(super) place: u32,
    /// Whether what is quiet here is to be counted.
    pub(super) counts: bool,
    pub(super) tokens: &'a mut Vec<Token>,
    pub(super) cut: &'a mut Cut,
}

impl Cutter<'_> {
    /// Takes the next token.
    pub(super) fn push(&mut self, token: Token) {
        if self.counts {
            self.rows.freed(token.code);
        }
        let is_empty = self.tokens.len() == self.cut.current();
        if token.code.is_allocate() {
            self.tokens.push(token);
            self.cut.open += 1;
            self.settle();
        } else if token.code == Code::RESET {
            self.tokens.push(token);
            // What was open below ends here: the piece tells.
            self.close(!self.cut.below.is_empty());
            self.cut.below.clear();
            self.cut.odd.clear();
        } else if !is_empty {
            self.tokens.push(token);
            self.cut.is_noisy |= token.code.is_excess();
            self.cut.open = self.cut.open.saturating_sub(1);
            if self.cut.open == 0 {
                self.close(self.cut.is_noisy);
            } else {
                self.settle();
            }
        } else {
            // Nothing is open here: it belongs to the segment before, and to what was open below.
            self.tokens.push(token);
            self.close(true);
            self.cut.below.pop();
        }
    }

    /// The current segment has come to its end.
    fn close(&mut self, is_noisy: bool) {
        self.cut.open = 0;
        self.cut.is_noisy = false;
        let segment = &self.tokens[self.cut.current()..];
        let quiet = if is_noisy || segment.len() > MOST_QUIET {
            None
        } else {
            self.rows.usual(segment, self.counts)
        };
        let Some(number) = quiet else {
            self.keep();
            return;
        };
        let len = segment.len() as u8;
        if usize::from(self.cut.waiting_count) == WAITING {
            self.end_piece();
            self.pass_first();
        }
        self.cut.waiting[usize::from(self.cut.waiting_count)] = (len, number);
        self.cut.waiting_count += 1;
        self.cut.waiting_len += len;
    }

    /// Everything so far belongs to the piece.
    fn keep(&mut self) {
        if self.cut.piece == 0 {
            let mut before = self.cut.below.clone();
            for odd in self.cut.odd.drain(..) {
                if self.cut.passed - odd.passed <= ODD_FOR {
                    self.rows.not_passed(odd.number, self.counts);
                    before.extend(odd.tokens);
                }
            }
            self.tokens.splice(0..0, before);
        }
        self.cut.piece = self.tokens.len() as u32;
        self.cut.forget_waiting();
        if self.tokens.len() > MOST_OF_PIECE {
            self.end_piece();
        }
    }

    /// Hands in the piece, if there is one.
    fn end_piece(&mut self) {
        if self.cut.piece == 0 {
            return;
        }
        let len = self.cut.piece as usize;
        self.rows.piece(self.place, self.cut, &self.tokens[..len]);
        for token in self.tokens.drain(..len) {
            self.cut.lived(token.code);
        }
        self.cut.piece = 0;
    }

    /// The first quiet segment has waited long enough.
    fn pass_first(&mut self) {
        let (short, number) = self.cut.waiting[0];
        let len = usize::from(short);
        self.rows.passed(number, self.counts);
        self.cut.passed += 1;
        if self.rows.is_odd(number) {
            if self.cut.odd.len() == ODD {
                self.cut.odd.remove(0);
            }
            self.cut.odd.push(Odd {
                tokens: self.tokens[..len].to_vec(),
                number,
                passed: self.cut.passed,
            });
        }
        for token in self.tokens.drain(..len) {
            self.cut.lived(token.code);
        }
        self.cut.waiting.rotate_left(1);
        self.cut.waiting_count -= 1;
        self.cut.waiting_len -= short;
    }

    /// A segment that does not end has lives in it that nobody ends. From here on they count as lying below.
    fn settle(&mut self) {
        let segment = &self.tokens[self.cut.current()..];
        if segment.len() < LONG {
            return;
        }
        let half = segment.len() - LONG / 2;
        let mut open: Vec<Token> = Vec::new();
        let mut least = usize::MAX;
        for (index, token) in segment.iter().enumerate() {
            if token.code.is_allocate() {
                open.push(*token);
            } else {
                open.pop();
            }
            if index >= half {
                least = least.min(open.len());
            }
        }
        if open.len() > least && segment.len() < TOO_LONG {
            return;
        }
        self.close(true);
        self.cut.below.append(&mut open);
        let old = self.cut.below.len().saturating_sub(MOST_OPEN);
        self.cut.below.drain(..old);
    }

    /// The text of the address ends here.
    pub(super) fn end(&mut self) {
        // One buffer that is still in use tells nothing.
        let segment = &self.tokens[self.cut.current()..];
        if segment.len() > 1 {
            self.close(true);
        }
        self.end_piece();
        while self.cut.waiting_count > 0 {
            self.pass_first();
        }
    }
}
