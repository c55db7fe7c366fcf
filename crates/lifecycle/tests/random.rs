//! Long lives made up at random, of several kinds: the verdict machine against a naive reading of the contract.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod naive;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use naive::Happening;
use naive::Oracle;
use naive::answer;
use naive::lent::Lent;
use naive::notes::note;
use naive::notes::soak;
use whofreed_lifecycle::Address;
use whofreed_lifecycle::Event;
use whofreed_lifecycle::Holder;
use whofreed_lifecycle::Verdict;

/// A kind of life.
struct Configuration {
    name: &'static str,
    owners: RangeInclusive<u64>,
    /// Which share of the happenings are of which sort, in percent; the rest are deallocates.
    allocates: u64,
    retains: u64,
    views: u64,
    resets: u64,
    /// Happenings of one life.
    length: usize,
}

const FEW: Configuration = Configuration {
    name: "three owners and unknown ones",
    owners: 0..=3,
    allocates: 35,
    retains: 10,
    views: 5,
    resets: 4,
    length: 120,
};

const CONFIGURATIONS: [Configuration; 6] = [
    FEW,
    Configuration {
        name: "owners unknown",
        owners: 0..=0,
        ..FEW
    },
    Configuration {
        name: "more owners than are remembered",
        owners: 0..=14,
        ..FEW
    },
    Configuration {
        name: "every owner known",
        owners: 1..=5,
        resets: 0,
        ..FEW
    },
    Configuration {
        name: "a reset at every fifth happening",
        owners: 0..=4,
        resets: 20,
        ..FEW
    },
    Configuration {
        name: "more allocates than frees",
        owners: 0..=20,
        allocates: 60,
        length: 300,
        ..FEW
    },
];

/// A small generator of pseudo-random numbers (splitmix64), so that a seed is a life.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn life(configuration: &Configuration, random: &mut Random) -> Vec<Happening> {
    let Configuration {
        allocates,
        retains,
        views,
        resets,
        ..
    } = *configuration;
    let (first, last) = (*configuration.owners.start(), *configuration.owners.end());
    let mut one = || {
        let owner = first + random.below(last - first + 1);
        let mut dice = random.below(100);
        let mut is = |share: u64| {
            let hit = dice < share;
            dice = dice.wrapping_sub(share);
            hit
        };
        if is(allocates) {
            Happening::Event(Event::Allocate { owner })
        } else if is(retains) {
            Happening::Event(Event::Retain { owner })
        } else if is(views) {
            Happening::Event(Event::View { root: owner })
        } else if is(resets) {
            Happening::Reset
        } else {
            Happening::Event(Event::Deallocate { owner })
        }
    };
    (0..configuration.length).map(|_| one()).collect()
}

/// The verdicts of a life's events by name, or what first went wrong.
fn compare(life: &[Happening], room: usize) -> Result<BTreeMap<&'static str, u64>, String> {
    let mut verdicts = BTreeMap::new();
    let mut oracle = Oracle::default();
    let mut grown: Address<Vec<Holder>> = Address::default();
    let mut lent = Lent::new(room);
    let mut epoch = 0;
    for (step, &happening) in life.iter().enumerate() {
        let Happening::Event(event) = happening else {
            epoch += 1;
            oracle.reset();
            continue;
        };
        let expected = oracle.apply(event);
        let got = answer(grown.apply(epoch, event).unwrap());
        if !oracle.accepts(got, expected) || grown.live() != oracle.live() {
            return Err(format!(
                "step {step}, {event:?}: {got:?}, expected {expected:?}: {grown:?}"
            ));
        }
        let cramped = lent.apply(epoch, event);
        let is_wrong = match cramped {
            Err(_) => !lent.kept.incomplete,
            Ok(outcome) if lent.kept.incomplete => outcome.verdict.is_excess(),
            Ok(outcome) => outcome.verdict.is_excess() != expected.0.is_excess(),
        };
        if is_wrong {
            return Err(format!(
                "step {step}, {event:?} with room for {room}: {cramped:?}, expected {expected:?}: {lent:?}"
            ));
        }
        let name = if got.1 { "late" } else { got.0.name() };
        *verdicts.entry(name).or_default() += 1;
    }
    Ok(verdicts)
}

/// Leaves out what the fault does not need.
fn shortest(mut life: Vec<Happening>, room: usize) -> Vec<Happening> {
    let mut index = 0;
    while index < life.len() {
        let mut shorter = life.clone();
        shorter.remove(index);
        if compare(&shorter, room).is_err() {
            life = shorter;
            index = 0;
        } else {
            index += 1;
        }
    }
    life
}

#[test]
fn long_random_lifecycles_are_judged_as_by_the_oracle() {
    let wanted = if soak() { 10_000_000 } else { 200_000 } / CONFIGURATIONS.len() as u64;
    for (index, configuration) in CONFIGURATIONS.iter().enumerate() {
        let mut random = Random(index as u64);
        let mut all: BTreeMap<&str, u64> = BTreeMap::new();
        while all.values().sum::<u64>() < wanted {
            let room = 1 + random.below(24) as usize;
            let life = life(configuration, &mut random);
            match compare(&life, room) {
                Ok(verdicts) => {
                    for (verdict, count) in verdicts {
                        *all.entry(verdict).or_default() += count;
                    }
                }
                Err(why) => panic!(
                    "{}: {why}\nshortest: {:?}",
                    configuration.name,
                    shortest(life, room)
                ),
            }
        }
        // Each kind of life has a bit of everything that can come of it.
        assert!(all["ok"] > 0 && all["already_freed"] > 0 && all["unknown"] > 0);
        assert_eq!(all.contains_key("late"), configuration.resets > 0);
        let strangers = *configuration.owners.end() > 0;
        assert_eq!(all.contains_key("stale_owner"), strangers, "{all:?}");
        let verdicts: Vec<String> = all
            .iter()
            .map(|(verdict, count)| format!("{count} {verdict}"))
            .collect();
        note(
            &format!("random events as by the oracle, {}", configuration.name),
            &format!("{} ({})", all.values().sum::<u64>(), verdicts.join(", ")),
        );
    }
}

/// So many owners never free what a reset took from them that some of their rights are forgotten. Whoever may have one
/// is not accused, and all others are judged as ever.
#[test]
fn lifecycles_with_forgotten_late_rights_accuse_no_innocent() {
    let lives = if soak() { 40 } else { 2 };
    let mut random = Random(7);
    let (mut events, mut silent) = (0_u64, 0_u64);
    for _ in 0..lives {
        let mut oracle = Oracle::default();
        let mut machine: Address<Vec<Holder>> = Address::default();
        for epoch in 0..2000 {
            for _ in 0..random.below(5) {
                let owner = 1 + random.below(9_000);
                let event = if random.below(10) < 8 {
                    Event::Allocate { owner }
                } else {
                    Event::Deallocate { owner }
                };
                let expected = oracle.apply(event);
                let got = answer(machine.apply(epoch, event).unwrap());
                events += 1;
                if machine.forgot_late && got.0 == Verdict::Unknown {
                    silent += 1;
                } else {
                    assert!(
                        oracle.accepts(got, expected),
                        "{event:?}: {got:?}, expected {expected:?}"
                    );
                }
                assert_eq!(machine.live(), oracle.live());
            }
            oracle.reset();
        }
        assert!(machine.forgot_late);
    }
    assert!(silent > 0);
    note(
        "random events with forgotten late rights, nobody accused wrongly",
        &format!("{events} ({silent} not judged)"),
    );
}
