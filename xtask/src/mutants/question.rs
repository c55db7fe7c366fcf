// What the root of a crate with mutants gets.

/// No mutant is tried: it is written down which ones are reached, or have another value than the original.
const WATCHED: u32 = u32::MAX - 2;

/// The mutant that is tried.
#[inline]
fn tried_mutant() -> u32 {
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering;
    static TRIED: AtomicU32 = AtomicU32::new(u32::MAX);
    #[cold]
    fn first() -> u32 {
        let tried = match std::env::var("WHOFREED_MUTANT").as_deref() {
            Ok("watch") => WATCHED,
            Ok(number) => number.parse().unwrap_or(u32::MAX - 1),
            Err(_) => u32::MAX - 1,
        };
        TRIED.store(tried, Ordering::Relaxed);
        tried
    }
    match TRIED.load(Ordering::Relaxed) {
        u32::MAX => first(),
        tried => tried,
    }
}

/// Whether this is the mutant that is tried.
#[inline]
pub(crate) fn is_mutant(number: u32) -> bool {
    let tried = tried_mutant();
    if tried == WATCHED {
        told_mutant(number, || true);
    }
    tried == number
}

/// The value of a mutant if it is the one that is tried.
#[inline]
pub(crate) fn chosen<T: PartialEq>(
    number: u32,
    mutant: impl FnOnce() -> T,
    original: impl FnOnce() -> T,
) -> T {
    let tried = tried_mutant();
    if tried == number {
        return mutant();
    }
    let value = original();
    if tried == WATCHED {
        told_mutant(number, || mutant() != value);
    }
    value
}

/// Writes down a mutant that is told from the original, once.
#[cold]
fn told_mutant(number: u32, is_told: impl FnOnce() -> bool) {
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering;
    static TOLD: [AtomicU64; 1 << 8] = [const { AtomicU64::new(0) }; 1 << 8];
    let bit = 1 << (number % 64);
    let Some(word) = TOLD.get(number as usize / 64) else {
        panic!("there are too many mutants to watch");
    };
    if word.load(Ordering::Relaxed) & bit != 0 {
        return;
    }
    let is_told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(is_told));
    if is_told.unwrap_or(true) && word.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
        let file = std::env::var("WHOFREED_MUTANTS_TOLD").expect("there is a file for it");
        let mut file = std::fs::File::options()
            .append(true)
            .create(true)
            .open(file)
            .expect("it can be written");
        let line = format!("{number}\n");
        std::io::Write::write_all(&mut file, line.as_bytes()).expect("it can be written");
    }
}
