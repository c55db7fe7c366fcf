//! A Rust host that is instrumented for good: a pool that hands out numbered blocks, and a cache with a bug.
//!
//! Alone it runs as if nothing were there. Under `whofreed run` it is tracked, and the cache is the culprit:
//! `cargo run --example rust_host`, or `whofreed run -- target/debug/examples/rust_host`.

use whofreed::client;
use whofreed::client::Verdict;

const DEVICE: u32 = 0;
const BLOCK: u64 = 4096;
const ROUNDS: u64 = 300;

/// Hands out the block that came back last.
struct Pool {
    free: Vec<u64>,
    lives: u64,
}

#[derive(Clone, Copy)]
struct Block {
    address: u64,
    id: u64,
}

impl Pool {
    fn allocate(&mut self) -> Block {
        let address = self.free.pop().expect("a block is free");
        self.lives += 1;
        let block = Block {
            address,
            id: self.lives,
        };
        client::allocate(DEVICE, block.address, BLOCK, 1, block.id);
        block
    }

    fn free(&mut self, block: Block) -> Verdict {
        let verdict = client::deallocate(DEVICE, block.address, block.id);
        // Alone every verdict is Ok, and the bug would hand a block out twice: the pool looks for itself.
        if client::should_forward(verdict) && !self.free.contains(&block.address) {
            self.free.push(block.address);
        }
        verdict
    }
}

/// Keeps the last block that it saw, and frees it when it sees another.
#[derive(Default)]
struct Cache {
    stale: Option<Block>,
}

impl Cache {
    #[inline(never)]
    fn evict(&mut self, pool: &mut Pool, next: Block) -> Option<Verdict> {
        let stale = self.stale.replace(next)?;
        Some(pool.free(stale))
    }
}

#[inline(never)]
fn run_operator(pool: &mut Pool) -> Block {
    let block = pool.allocate();
    assert_eq!(pool.free(block), Verdict::Ok, "the holder's own free");
    block
}

fn main() {
    client::device_open(DEVICE, "pool", 8 * BLOCK);
    client::name_kind(1, "block");
    let _scope = client::Scope::enter("rust_host");
    let mut pool = Pool {
        free: (1..=8).map(|number| number * BLOCK).collect(),
        lives: 0,
    };
    let mut cache = Cache::default();
    let mut excess = 0;
    for _ in 0..ROUNDS {
        let block = run_operator(&mut pool);
        let verdict = cache.evict(&mut pool, block);
        excess += u64::from(verdict.is_some_and(Verdict::is_excess));
    }
    let totals = client::stats();
    assert_eq!(totals.excess, excess);
    println!(
        "{{\"host\": \"rust_host\", \"loaded\": {}, \"allocations\": {ROUNDS}, \"excess\": {excess}, \"version\": \"{}\"}}",
        client::is_loaded(),
        client::version()
    );
}
