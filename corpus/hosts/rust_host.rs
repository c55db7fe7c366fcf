//! A Rust host with a known culprit, for the truth corpus: `corpus_rust_host PATTERN unknown|unique [SEED]`; without
//! arguments it lists its patterns. Its last line says by its own account which function freed too often.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::env;
use std::rc::Rc;

use whofreed::client;

const DEVICE: u32 = 0;
const STEPS: u64 = 1200;

/// What a holder keeps; it may be copied at will.
#[derive(Clone, Copy)]
struct Handle {
    address: u64,
    life: u64,
}

/// A device that hands out the block that came back last, and the account of who freed what.
struct Device {
    unique: bool,
    free: Vec<u64>,
    holders: BTreeMap<u64, u64>,
    lives: u64,
    allocations: u64,
    deallocations: u64,
    open: BTreeMap<u64, u64>,
    seen_at_addresses: u64,
    culprits: BTreeMap<&'static str, u64>,
    here: Option<&'static str>,
}

type Shared = Rc<RefCell<Device>>;

impl Device {
    fn owner(&self, handle: Handle) -> u64 {
        if self.unique { handle.life } else { 0 }
    }

    #[inline(never)]
    fn allocate(&mut self) -> Handle {
        let address = self.free.pop().expect("a block is free");
        self.lives += 1;
        self.allocations += 1;
        let handle = Handle {
            address,
            life: self.lives,
        };
        self.holders.insert(address, handle.life);
        *self.open.entry(address).or_default() += 1;
        client::allocate(DEVICE, address, 4096, 1, self.owner(handle));
        handle
    }

    #[inline(never)]
    fn deallocate(&mut self, handle: Handle) {
        self.deallocations += 1;
        client::deallocate(DEVICE, handle.address, self.owner(handle));
        let open = self.open.entry(handle.address).or_default();
        if *open > 0 {
            *open -= 1;
        } else {
            self.seen_at_addresses += 1;
        }
        if self.holders.get(&handle.address) == Some(&handle.life) {
            self.holders.remove(&handle.address);
            self.free.push(handle.address);
        } else {
            let culprit = self.here.expect("a surplus free has a culprit");
            *self.culprits.entry(culprit).or_default() += 1;
        }
    }
}

/// Stands in a function whose frees can be one too many, and has its name.
struct Culprit(Shared);

impl Culprit {
    fn new(device: &Shared, function: &'static str) -> Self {
        device.borrow_mut().here = Some(function);
        Self(Rc::clone(device))
    }
}

impl Drop for Culprit {
    fn drop(&mut self) {
        self.0.borrow_mut().here = None;
    }
}

/// A buffer that frees itself.
struct Buffer {
    device: Shared,
    handle: Handle,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.device.borrow_mut().deallocate(self.handle);
    }
}

/// Something to be freed at a later step.
struct Later<T>(VecDeque<(T, u64)>);

impl<T> Later<T> {
    fn take(&mut self, now: u64) -> Option<T> {
        let due = self.0.iter().position(|&(_, due)| due <= now)?;
        self.0.remove(due).map(|(entry, _)| entry)
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// The program: innocent parts, and one pattern.
struct Machine {
    device: Shared,
    random: Random,
    now: u64,
    pattern: String,
    kept: Later<Buffer>,
    activations: Later<Handle>,
    stale: Later<Handle>,
    copies: Later<Buffer>,
    callbacks: Later<Rc<dyn Fn()>>,
}

impl Machine {
    fn allocate(&mut self) -> Handle {
        self.device.borrow_mut().allocate()
    }

    fn buffer(&mut self) -> Buffer {
        Buffer {
            handle: self.allocate(),
            device: Rc::clone(&self.device),
        }
    }

    fn soon(&mut self, within: u64) -> u64 {
        self.now + 1 + self.random.below(within)
    }

    #[inline(never)]
    fn embed(&mut self) {
        let table = self.buffer();
        self.tick();
        drop(table);
    }

    #[inline(never)]
    fn matmul(&mut self) {
        let sums = self.allocate();
        let kept = (self.allocate(), self.soon(7));
        self.activations.0.push_back(kept);
        self.tick();
        self.device.borrow_mut().deallocate(sums);
    }

    #[inline(never)]
    fn sample(&mut self) {
        let kept = (self.buffer(), self.soon(11));
        self.kept.0.push_back(kept);
        self.tick();
    }

    #[inline(never)]
    fn retire(&mut self, now: u64) {
        while let Some(handle) = self.activations.take(now) {
            self.device.borrow_mut().deallocate(handle);
        }
        while let Some(buffer) = self.kept.take(now) {
            drop(buffer);
        }
    }

    fn tick(&mut self) {
        if self.random.below(100) < 30 {
            self.step();
        }
    }

    fn step(&mut self) {
        match self.pattern.as_str() {
            "evict" => {
                let handle = self.allocate();
                let freed = (handle, self.soon(4));
                self.activations.0.push_back(freed);
                if self.random.below(2) == 0 {
                    let due = self.now + 5 + self.random.below(5);
                    self.stale.0.push_back((handle, due));
                }
                self.evict(self.now);
            }
            "bitwise_copy" => {
                let buffer = self.buffer();
                if self.random.below(2) == 0 {
                    // SAFETY: on purpose not what `read` asks for; a buffer has no memory that could be freed twice
                    // but its count of the device, which is raised for the copy.
                    let copy = unsafe { std::ptr::read(&raw const buffer) };
                    std::mem::forget(Rc::clone(&copy.device));
                    let due = self.now + 5 + self.random.below(5);
                    self.copies.0.push_back((copy, due));
                }
                drop(buffer);
                self.drop_copies(self.now);
            }
            "closure" => {
                let handle = self.allocate();
                let device = Rc::clone(&self.device);
                let free: Rc<dyn Fn()> = Rc::new(move || {
                    let name = "corpus_rust_host::Machine::step::{{closure}}";
                    let _here = Culprit::new(&device, name);
                    device.borrow_mut().deallocate(handle);
                });
                let due = self.soon(4);
                self.callbacks.0.push_back((Rc::clone(&free), due));
                if self.random.below(2) == 0 {
                    let due = self.now + 5 + self.random.below(5);
                    self.callbacks.0.push_back((free, due));
                }
                self.call(self.now);
            }
            _ => drop(self.buffer()),
        }
    }

    #[inline(never)]
    fn evict(&mut self, now: u64) {
        let _here = Culprit::new(&self.device, "corpus_rust_host::Machine::evict");
        while let Some(handle) = self.stale.take(now) {
            self.device.borrow_mut().deallocate(handle);
        }
    }

    #[inline(never)]
    fn drop_copies(&mut self, now: u64) {
        let _here = Culprit::new(&self.device, "corpus_rust_host::Machine::drop_copies");
        while let Some(copy) = self.copies.take(now) {
            drop(copy);
        }
    }

    #[inline(never)]
    fn call(&mut self, now: u64) {
        while let Some(callback) = self.callbacks.take(now) {
            callback();
        }
    }

    fn run(&mut self) {
        while self.now < STEPS {
            match self.random.below(3) {
                0 => self.embed(),
                1 => self.matmul(),
                _ => self.sample(),
            }
            self.retire(self.now);
            self.now += 1;
        }
        self.retire(u64::MAX);
        self.evict(u64::MAX);
        self.drop_copies(u64::MAX);
        self.call(u64::MAX);
    }
}

fn print(machine: &Machine, owners: &str, seed: u64) {
    let device = machine.device.borrow();
    let surplus: u64 = device.culprits.values().sum();
    let excess = if device.unique {
        surplus
    } else {
        device.seen_at_addresses
    };
    let culprits: Vec<String> = device
        .culprits
        .iter()
        .map(|(name, count)| format!("\"{name}\": {count}"))
        .collect();
    println!(
        "{{\"pattern\": \"{}\", \"seed\": {seed}, \"owners\": \"{owners}\", \"allocations\": {}, \"deallocations\": {}, \
         \"excess\": {excess}, \"culprits\": {{{}}}, \"pair\": [], \"clean\": {}}}",
        machine.pattern,
        device.allocations,
        device.deallocations,
        culprits.join(", "),
        culprits.is_empty()
    );
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [pattern, owners, rest @ ..] = arguments.as_slice() else {
        println!("evict\nbitwise_copy\nclosure\nclean");
        return;
    };
    let seed = rest.first().map_or(1, |seed| seed.parse().unwrap_or(1));
    client::device_open(DEVICE, "pool", 0);
    let device = Device {
        unique: owners == "unique",
        free: (1..=256).map(|block| block * 4096).collect(),
        holders: BTreeMap::new(),
        lives: 0,
        allocations: 0,
        deallocations: 0,
        open: BTreeMap::new(),
        seen_at_addresses: 0,
        culprits: BTreeMap::new(),
        here: None,
    };
    let mut machine = Machine {
        device: Rc::new(RefCell::new(device)),
        random: Random(seed),
        now: 0,
        pattern: pattern.clone(),
        kept: Later(VecDeque::new()),
        activations: Later(VecDeque::new()),
        stale: Later(VecDeque::new()),
        copies: Later(VecDeque::new()),
        callbacks: Later(VecDeque::new()),
    };
    machine.run();
    print(&machine, owners, seed);
}
