//! The checker that runs a model: loom, every interleaving and every value that a load may see, up to a bound; or shuttle,
//! many interleavings of larger models, at random.

#[cfg(loom)]
pub use loom::thread;
#[cfg(shuttle)]
pub use shuttle::thread;
pub use whofreed::primitive::AtomicU64;
pub use whofreed::primitive::AtomicUsize;
pub use whofreed::primitive::Ordering;
pub use whofreed::primitive::fence;

/// Full size.
fn is_soak() -> bool {
    std::env::var("WHOFREED_TEST_SIZE").is_ok_and(|size| size == "soak")
}

/// What the ledger needs of a stack is more than checkers give their threads.
#[cfg(loom)]
const STACK_WORDS: usize = 1 << 16;

/// A thread with a large stack.
#[cfg(loom)]
pub fn spawn<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    let builder = thread::Builder::new().stack_size(STACK_WORDS);
    builder.spawn(run).expect("a thread")
}

/// A thread with a large stack.
#[cfg(shuttle)]
pub fn spawn<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::spawn(run)
}

/// Checks a model that is small enough for every interleaving.
#[cfg(loom)]
pub fn model(run: impl Fn() + Sync + Send + 'static) {
    check(loom::model::Builder::new(), run);
}

/// So long loom goes on with a larger model at the most, where it has not come to an end.
#[cfg(loom)]
const LONGEST: [std::time::Duration; 2] = [
    std::time::Duration::from_secs(8),
    std::time::Duration::from_secs(40),
];

/// A model of which loom finds but one interleaving is none.
#[cfg(loom)]
fn check(builder: loom::model::Builder, run: impl Fn() + Sync + Send + 'static) {
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&count);
    builder.check(move || {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        run();
    });
    let count = counted.load(std::sync::atomic::Ordering::Relaxed);
    println!("{count} interleavings");
    assert!(count > 1);
}

/// Checks a larger model, with so many preemptions at the most; one less where it is not the full size that is wanted.
#[cfg(loom)]
pub fn bounded(run: impl Fn() + Sync + Send + 'static, preemptions: usize) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions - usize::from(!is_soak()));
    builder.max_branches = 10_000;
    builder.max_duration = Some(LONGEST[usize::from(is_soak())]);
    let run = std::sync::Arc::new(run);
    check(builder, move || {
        let run = std::sync::Arc::clone(&run);
        spawn(move || run()).join().expect("no panic");
    });
}

/// How many interleavings are tried of each model.
#[cfg(shuttle)]
const SCHEDULES: [usize; 2] = [10_000, 1_000_000];

/// Checks a model in random interleavings, half of them with few preemptions.
#[cfg(shuttle)]
pub fn model(run: impl Fn() + Sync + Send + 'static) {
    use shuttle::scheduler::PctScheduler;
    use shuttle::scheduler::RandomScheduler;
    let run = std::sync::Arc::new(run);
    let half = SCHEDULES[usize::from(is_soak())] / 2;
    let mut config = shuttle::Config::new();
    config.stack_size = 1 << 24;
    let again = std::sync::Arc::clone(&run);
    shuttle::Runner::new(RandomScheduler::new(half), config.clone()).run(move || run());
    shuttle::Runner::new(PctScheduler::new(3, half), config).run(move || again());
}

/// As [`model`].
#[cfg(shuttle)]
pub fn bounded(run: impl Fn() + Sync + Send + 'static, _preemptions: usize) {
    model(run);
}
