//! Rules of the caller's own: whom they name, and what they leave alone.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use whofreed_analysis::Analysis;
use whofreed_analysis::Class;
use whofreed_analysis::Rules;
use whofreed_analysis::analyse;
use whofreed_analysis::analyse_by;
use whofreed_corpus::Host;
use whofreed_corpus::Owners;
use whofreed_corpus::Reuse;
use whofreed_trace::Frame;

/// Everybody frees through a wrapper, and `Store::shrink` does it again.
fn host() -> Host {
    let mut host = Host::new(1, Owners::Unique, 1, Reuse::LastFirst, 8);
    for _ in 0..20 {
        let buffer = host.allocate("Context::make", 0);
        host.free("Wrapper::reset", buffer);
        host.free("Wrapper::drop < Store::shrink", buffer);
    }
    host
}

fn named(analysis: &Analysis) -> Vec<&str> {
    let culprits = analysis.culprits.iter();
    culprits
        .filter_map(|culprit| culprit.site.frame.function.as_deref())
        .collect()
}

#[test]
fn a_rule_moves_the_name_outward() {
    let host = host();
    let traces = [host.trace()];
    let plain = analyse(&traces, &host.names);
    assert_eq!(named(&plain), ["Wrapper::drop"]);
    assert_eq!(plain.culprits[0].class, Class::Explicit);

    let mine = Rules::parse("function Wrapper::*\nclass pool function Store::*\n").unwrap();
    let rules = Rules::of(&traces).and(mine);
    let ruled = analyse_by(&traces, &host.names, &rules);
    assert_eq!(named(&ruled), ["Store::shrink"]);
    assert_eq!(ruled.culprits[0].class, Class::Pool);
    assert_eq!(ruled.culprits[0].explains, plain.culprits[0].explains);
    assert_eq!(ruled.totals, plain.totals);
    // The stacks of the report keep what the rules take out.
    let excess = &ruled.culprits[0].example.excess;
    let has = |name| excess.iter().any(|f| f.function.as_deref() == Some(name));
    assert!(has("Wrapper::drop"));
}

#[test]
fn a_rule_keeps_what_another_would_take_out() {
    let mut host = Host::new(1, Owners::Unique, 1, Reuse::LastFirst, 8);
    let buffer = host.allocate("make", 0);
    host.free("first", buffer);
    host.free("absl::MyCache::drop < caller", buffer);
    let traces = [host.trace()];
    assert_eq!(named(&analyse(&traces, &host.names)), ["caller"]);
    let mine = Rules::parse("keep function absl::MyCache::*").unwrap();
    let ruled = analyse_by(&traces, &host.names, &Rules::of(&traces).and(mine));
    assert_eq!(named(&ruled), ["absl::MyCache::drop"]);
}

#[test]
fn where_everything_is_machinery_the_innermost_frame_is_named() {
    let host = host();
    let traces = [host.trace()];
    let mine = Rules::parse("module host").unwrap();
    let ruled = analyse_by(&traces, &host.names, &Rules::of(&traces).and(mine));
    assert_eq!(ruled.totals, analyse(&traces, &host.names).totals);
    assert_eq!(named(&ruled), ["wf_deallocate"]);
}

/// What Python's ctypes calls through is nobody's doing.
#[test]
fn foreign_function_glue_names_nobody() {
    let host = host();
    let names = InLibrary(&host.names, "/usr/lib/x86_64-linux-gnu/libffi.so.8");
    let analysis = analyse(&[host.trace()], &names);
    assert_eq!(named(&analysis), ["Store::shrink"]);
}

/// What is never freed was allocated by whoever called the runtime.
#[test]
fn a_leak_is_the_runtime_s_caller_s() {
    let mut host = Host::new(1, Owners::Unique, 1, Reuse::LastFirst, 8);
    let _ = host.allocate("Wrapper::make < Context::make", 0);
    let names = InLibrary(&host.names, "/opt/runtime/libmine.so.3");
    let traces = [host.trace()];
    let leaking = |rules: &str| {
        let rules = Rules::of(&traces).and(Rules::parse(rules).unwrap());
        let leaks = analyse_by(&traces, &names, &rules).leaks;
        leaks[0].site.frame.function.clone()
    };
    assert_eq!(
        leaking("runtime libmine.so*").as_deref(),
        Some("Context::make")
    );
    assert_eq!(leaking("runtime libother.so*"), None);
}

/// The names of a host whose wrapper is in a library without symbols.
struct InLibrary<'a>(&'a whofreed_corpus::Names, &'a str);

impl whofreed_trace::StackNames for InLibrary<'_> {
    fn frames(&self, trace: usize, stack: whofreed_trace::StackId) -> std::sync::Arc<[Frame]> {
        let mut frames = self.0.frames(trace, stack).to_vec();
        for frame in &mut frames {
            if frame
                .function
                .as_deref()
                .is_some_and(|f| f.starts_with("Wrapper"))
            {
                frame.function = None;
                frame.module = self.1.into();
            }
        }
        frames.into()
    }
}
