//! Whole stacks of the machine that the tests do not run on, taken by an emulator, unwound by its rules and held
//! against what the C++ runtime's unwinder said there.

#![expect(clippy::expect_used, reason = "a test may panic")]

use std::collections::HashMap;
use std::fs;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use gimli::BaseAddresses;
use object::Object;
use object::ObjectSection;

use super::eh_frame::Frames;
use super::machine::AARCH64;
use super::machine::without_signature;
use super::machine_tests::functions;
use super::rule::Kind;
use super::rule::Rule;

/// Where the other machine's libraries are.
const ROOT: &str = "/usr/aarch64-linux-gnu";

/// Rules of the loaded objects, each with the address that it is loaded at.
struct Rules<'files> {
    objects: Vec<(u64, Frames<'files>)>,
    known: HashMap<u64, Rule>,
}

impl Rules<'_> {
    /// The rule for the very instruction.
    fn find(&mut self, address: u64) -> Rule {
        let objects = &self.objects;
        let make = || {
            let found = objects.iter().find_map(|(base, frames)| {
                let address = address.checked_sub(*base)?;
                let functions = functions(frames);
                let mut around = functions
                    .iter()
                    .filter(|function| function.contains(address));
                let way = frames.way(around.next()?, address)?;
                Some(way.rule(&AARCH64))
            });
            found.unwrap_or(Rule::plain(Kind::Other))
        };
        *self.known.entry(address).or_insert_with(make)
    }
}

/// Registers, and the words of the stack from the stack pointer on.
struct Snapshot {
    instruction: u64,
    stack_pointer: u64,
    frame_pointer: u64,
    link: u64,
    start: u64,
    words: Vec<u64>,
}

impl Snapshot {
    fn word(&self, address: u64) -> u64 {
        self.words[((address - self.start) / 8) as usize]
    }

    /// The return addresses, and how many of them were signed.
    fn unwind(mut self, rules: &mut Rules<'_>) -> (Vec<u64>, usize) {
        let (mut addresses, mut signed) = (Vec::new(), 0);
        let mut at = self.instruction;
        loop {
            let rule = rules.find(at);
            let (offset, returns) = rule.offset_and_return();
            let from = match rule.kind() {
                Kind::End => return (addresses, signed),
                Kind::StackPointer => self.stack_pointer,
                Kind::FramePointer => self.frame_pointer,
                other => panic!("{other:?} at {at:x} behind {addresses:x?}"),
            };
            let frame = from.wrapping_add_signed(offset as i64);
            let near = |distance: isize| self.word(frame.wrapping_add_signed(distance as i64));
            let found = returns.map_or(self.link, near);
            let address = without_signature(found as usize) as u64;
            signed += usize::from(address != found);
            if let Some(saved) = rule.saved() {
                self.frame_pointer = near(saved);
            }
            self.stack_pointer = frame;
            addresses.push(address);
            at = address - 1;
        }
    }
}

/// Says that a test did not run, and why: `cargo xtask test` lists it.
pub(super) fn skip(name: &str, reason: &str) {
    eprintln!("skipped: {name}: {reason}");
    if let Some(path) = std::env::var_os("WHOFREED_TEST_SKIPS") {
        let mut file = OpenOptions::new();
        let file = file.create(true).append(true).open(path);
        writeln!(file.expect("the file for notes"), "{name}: {reason}").expect("a line");
    }
}

fn numbers(text: &str) -> Vec<u64> {
    let numbers = text.split_whitespace();
    numbers
        .map(|number| u64::from_str_radix(number, 16).expect("a number"))
        .collect()
}

/// What the host says when it is compiled so. `None` where there is no compiler or emulator.
fn run(host: &Path, flags: &[&str]) -> Option<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stacks/snapshot.c");
    let mut compiler = Command::new("aarch64-linux-gnu-gcc");
    compiler.args(["-std=c11", "-funwind-tables"]).args(flags);
    let compiled = compiler.arg(source).arg("-o").arg(host).status().ok()?;
    assert!(compiled.success(), "{compiler:?}");
    let mut emulator = Command::new("qemu-aarch64");
    let said = emulator
        .args(["-cpu", "max", "-L", ROOT])
        .arg(host)
        .output()
        .ok()?;
    assert!(said.status.success(), "{emulator:?}");
    Some(String::from_utf8(said.stdout).expect("text"))
}

/// Compares all snapshots. Returns how many frames there were, and how many of their addresses were signed.
fn compare(host: &Path, said: &str) -> (usize, usize) {
    let lines = |word: &'static str| said.lines().filter_map(move |line| line.strip_prefix(word));
    let files: Vec<(u64, Vec<u8>)> = lines("object ")
        .filter_map(|line| {
            let (base, path) = line.split_once(' ')?;
            let path = if path.is_empty() {
                host.to_owned()
            } else {
                format!("{ROOT}{path}").into()
            };
            Some((numbers(base)[0], fs::read(path).ok()?))
        })
        .collect();
    let files: Vec<_> = files
        .iter()
        .map(|(base, bytes)| (*base, object::File::parse(&**bytes).expect("an object")))
        .collect();
    let objects = files.iter().map(|(base, file)| {
        let section = file.section_by_name(".eh_frame").expect("a section");
        let bases = BaseAddresses::default().set_eh_frame(section.address());
        let data = section.data().expect("its bytes");
        (*base, Frames::new(data, bases, AARCH64))
    });
    let mut rules = Rules {
        objects: objects.collect(),
        known: HashMap::new(),
    };
    let (mut frames, mut all_signed) = (0, 0);
    for one in said.split("snapshot ").skip(1) {
        let mut lines = one.lines();
        let registers = numbers(lines.next().expect("registers"));
        let [instruction, stack_pointer, frame_pointer, link] = registers[..] else {
            panic!("{registers:x?}");
        };
        let stack = lines.next().and_then(|line| line.strip_prefix("stack"));
        let snapshot = Snapshot {
            instruction,
            stack_pointer,
            frame_pointer,
            link,
            start: stack_pointer,
            words: numbers(stack.expect("a stack")),
        };
        let expected = lines.map_while(|line| line.strip_prefix("frame "));
        let expected: Vec<u64> = expected.map(|line| numbers(line)[0]).collect();
        // The first is in the function that asks.
        let expected: Vec<u64> = expected[1..]
            .iter()
            .copied()
            .filter(|address| *address != 0)
            .collect();
        let (addresses, signed) = snapshot.unwind(&mut rules);
        assert_eq!(addresses, expected, "{addresses:x?} {expected:x?}");
        frames += addresses.len();
        all_signed += signed;
    }
    (frames, all_signed)
}

#[test]
fn stacks_of_aarch64_are_what_the_runtimes_unwinder_says_there() {
    let folder = std::env::temp_dir().join(format!("whofreed-snapshot.{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let all: [(&[&str], bool); 4] = [
        (&["-O0"], false),
        (&["-O2"], false),
        (&["-O2", "-fomit-frame-pointer"], false),
        (&["-O2", "-mbranch-protection=standard"], true),
    ];
    for (flags, is_signed) in all {
        let host = folder.join("host");
        let Some(said) = run(&host, flags) else {
            skip("stacks of aarch64", "no compiler for it, or no emulator");
            break;
        };
        let (frames, signed) = compare(&host, &said);
        println!("{flags:?}: {frames} frames, {signed} of them signed");
        assert!(frames > 500, "{frames}");
        assert_eq!(signed > 0, is_signed, "{signed}");
    }
    fs::remove_dir_all(&folder).expect("it was there");
}
