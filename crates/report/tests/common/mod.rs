//! Analyses built by hand, as a run on the embedded example or on the real runtime would give them.
#![allow(dead_code, reason = "each test file uses its own part of it")]

pub mod page;

use std::collections::BTreeMap;
use std::sync::Arc;

use whofreed_analysis::Analysis;
use whofreed_analysis::Buffers;
use whofreed_analysis::Class;
use whofreed_analysis::Confidence;
use whofreed_analysis::Culprit;
use whofreed_analysis::Evidence;
use whofreed_analysis::Example;
use whofreed_analysis::Hits;
use whofreed_analysis::Leak;
use whofreed_analysis::Moment;
use whofreed_analysis::Reuse;
use whofreed_analysis::ScopeFrees;
use whofreed_analysis::Seen;
use whofreed_analysis::Site;
use whofreed_analysis::ThreadFrees;
use whofreed_analysis::Totals;
use whofreed_analysis::Unexplained;
use whofreed_analysis::Verdicts;
use whofreed_analysis::Victim;
use whofreed_analysis::WorstBuffer;
use whofreed_trace::Coverage;
use whofreed_trace::Exit;
use whofreed_trace::Frame;
use whofreed_trace::Language;
use whofreed_trace::Process;

/// A native frame with its source line.
pub fn native(function: &str, file: &str, line: u32) -> Frame {
    Frame {
        function: Some(function.to_owned()),
        module: Arc::from("/opt/runtime/lib/libdevice.so"),
        offset: 0x1000 + u64::from(line) * 16,
        file: (!file.is_empty()).then(|| Arc::from(file)),
        line,
        inlined: false,
        tail_called: false,
        language: Language::Native,
    }
}

/// A frame of the interpreter's own machine code.
pub fn glue(function: &str) -> Frame {
    Frame {
        module: Arc::from("/usr/bin/python3.12"),
        ..native(function, "", 0)
    }
}

/// A Python frame.
pub fn python(function: &str, file: &str, line: u32) -> Frame {
    Frame {
        module: Arc::from(""),
        offset: 0,
        language: Language::Python,
        ..native(function, file, line)
    }
}

pub fn site(frame: Frame) -> Site {
    Site { frame }
}

/// A culprit with three stacks that end in `frame`.
pub fn culprit(frame: &Frame, explains: u64, class: Class) -> Culprit {
    let main = native("main", "/src/host/main.cpp", 90);
    let free = native(
        "device::Allocator::deallocate(device::Buffer&)",
        "/src/device/allocator.cpp",
        77,
    );
    Culprit {
        site: site(frame.clone()),
        class,
        explains,
        observed: explains / 3,
        buffers: 1,
        devices: vec![4],
        confidence: Confidence::Counterfactual,
        alternatives: Vec::new(),
        evidence: evidence(explains),
        example: Example {
            pid: 4242,
            device: 4,
            address: 694_960_736,
            size: 2048,
            kind: "circular buffer".to_owned(),
            scope: String::new(),
            thread: 4243,
            verdict: None,
            allocated: Arc::from([
                native(
                    "device::Allocator::allocate(unsigned long)",
                    "/src/device/allocator.cpp",
                    41,
                ),
                native(
                    "device::Program::Program(device::Device&)",
                    "/src/device/program.cpp",
                    12,
                ),
                main.clone(),
            ]),
            freed: Arc::from([
                free.clone(),
                native("device::Program::~Program()", "/src/device/program.cpp", 19),
                main.clone(),
            ]),
            excess: Arc::from([free, frame.clone(), main]),
            reuse: Reuse {
                life: Some(3),
                freed_by: Some(4242),
                lives: 7,
                hit_life: Some(7),
                hit_site: Some(site(native(
                    "device::Tensor::Tensor(unsigned long)",
                    "/src/device/tensor.cpp",
                    9,
                ))),
                ..Reuse::default()
            },
        },
    }
}

/// What speaks against a culprit with so many frees.
fn evidence(frees: u64) -> Evidence {
    let moment = |thread, since_start_ns| Moment {
        pid: 4242,
        thread,
        time_ns: 7_000_000_000 + since_start_ns,
        since_start_ns,
    };
    let of_thread = |thread, frees| ThreadFrees {
        pid: 4242,
        thread,
        frees,
    };
    let hits = |function: &str, line, frees| Hits {
        site: site(native(function, "/src/device/tensor.cpp", line)),
        frees,
    };
    Evidence {
        hits_unknown: 0,
        innocence_costs: Some(8.25 * frees as f64),
        first: Some(moment(4243, 1_234_567)),
        last: Some(moment(4242, 61_000_200_000)),
        threads: vec![
            of_thread(4243, frees - frees / 3),
            of_thread(4242, frees / 3),
        ],
        thread_count: 2,
        scopes: vec![ScopeFrees {
            pid: 4242,
            scope: "tests/test_cache.py::test_evict".to_owned(),
            or_scope: None,
            frees,
            first_ns: 7_001_234_567,
            last_ns: 68_000_200_000,
        }],
        hits: vec![
            hits("device::Tensor::Tensor(unsigned long)", 9, frees / 2),
            hits("device::Program::Program(device::Device&)", 12, frees / 4),
            hits("device::Weights::load(std::string const&)", 30, frees / 8),
        ],
        hit_sites: 5,
    }
}

/// The seed table's buffers with two culprits: the usual case.
pub fn usual() -> Analysis {
    let evict = native(
        "device::ProgramCache<device::Program>::evict(device::Key const&, std::shared_ptr<device::Program> const&)",
        "/src/device/cache.cpp",
        41,
    );
    let mut second = culprit(
        &native(
            "device::Pool::give_back(device::Buffer&)",
            "/src/device/pool.cpp",
            88,
        ),
        597,
        Class::Pool,
    );
    second.confidence = Confidence::Proven;
    second.evidence.innocence_costs = None;
    second.devices = vec![0, 1, 2];
    second.buffers = 937;
    Analysis {
        processes: vec![Process {
            pid: 4242,
            command: vec!["/opt/host/bin/device_host".to_owned()],
            exit: Some(Exit {
                code: Some(0),
                signal: None,
            }),
            adapters: vec!["device".to_owned()],
            ..Process::default()
        }],
        coverage: vec![
            Coverage::Bound {
                adapter: "device".to_owned(),
                symbol: "device_allocate".to_owned(),
                library: "/opt/runtime/lib/libdevice.so".to_owned(),
            },
            Coverage::Bound {
                adapter: "device".to_owned(),
                symbol: "device_free".to_owned(),
                library: "/opt/runtime/lib/libdevice.so".to_owned(),
            },
            Coverage::Unobservable {
                symbol: "device_free_inline".to_owned(),
                why: "bound inside its own library (DT_SYMBOLIC)".to_owned(),
                library: "/opt/runtime/lib/libdevice.so".to_owned(),
                is_certain: true,
            },
        ],
        totals: Totals {
            allocations: 12_000,
            deallocations: 13_594,
            ok: 11_976,
            excess: 1_618,
            leaked: 24,
            forwarded: 13_594,
            events: 25_594,
            ..Totals::default()
        },
        verdicts: Verdicts {
            already_freed: 1_021,
            stale_owner: 597,
            ..Verdicts::default()
        },
        buffers: Buffers {
            unique: 8_876,
            balanced: 7_914,
            under_freed: 24,
            over_freed: 938,
        },
        device_names: BTreeMap::from([(4, "chip 4 DRAM".to_owned())]),
        worst_buffers: (0..6)
            .map(|n| WorstBuffer {
                pid: 4242,
                device: 4 - n.min(4),
                address: 694_960_736 + u64::from(n) * 4096,
                allocated: 1_112 - u64::from(n),
                freed: 2_133 - u64::from(n) * 100,
                excess: 1_021 - u64::from(n) * 99,
                forwarded: 2_133 - u64::from(n) * 100,
                blocked: 0,
            })
            .collect(),
        culprits: vec![culprit(&evict, 1_021, Class::ProgramCache), second],
        victims: vec![Victim {
            site: site(native(
                "device::Tensor::~Tensor()",
                "/src/device/tensor.cpp",
                12,
            )),
            observed: 681,
            culprit: Some(0),
        }],
        leaks: vec![Leak {
            site: site(native(
                "device::Weights::load(std::string const&)",
                "/src/host/weights.cpp",
                30,
            )),
            count: 24,
            bytes: 24 * 1536 * 1024,
            stack: Arc::from([native(
                "device::Weights::load(std::string const&)",
                "/src/host/weights.cpp",
                30,
            )]),
        }],
        ..Analysis::default()
    }
}

/// No culprit, no excess.
pub fn clean() -> Analysis {
    let mut analysis = usual();
    analysis.culprits.clear();
    analysis.victims.clear();
    analysis.worst_buffers.clear();
    analysis.leaks.clear();
    analysis.totals = Totals {
        allocations: 27_624,
        deallocations: 27_624,
        ok: 27_624,
        forwarded: 27_624,
        events: 55_248,
        ..Totals::default()
    };
    analysis.verdicts = Verdicts::default();
    analysis.buffers = Buffers {
        unique: 910,
        balanced: 910,
        ..Buffers::default()
    };
    analysis
}

/// Excess frees seen at seven call sites, and nobody is blamed.
pub fn unexplained() -> Analysis {
    let mut analysis = usual();
    let stack = Arc::clone(&analysis.culprits[0].example.excess);
    analysis.culprits.clear();
    analysis.victims.clear();
    analysis.leaks.clear();
    analysis.totals.unexplained = analysis.totals.excess;
    analysis.totals.ownerless = analysis.totals.deallocations;
    analysis.totals.leaked = 0;
    analysis.unexplained = Unexplained {
        sites: (1..=7)
            .map(|n| Seen {
                site: site(if n == 1 {
                    stack[1].clone()
                } else {
                    native(&format!("host::Layer{n}::drop()"), "/src/host/layer.cpp", n)
                }),
                observed: 1_400 >> n,
                stack: if n == 1 {
                    Arc::clone(&stack)
                } else {
                    Arc::from([])
                },
            })
            .collect(),
        more_sites: 2,
        more_observed: 232,
    };
    analysis
}

/// A culprit in Python, deep below interpreter glue.
pub fn interpreted() -> Analysis {
    let step = python("Model.step", "/home/me/model_like.py", 54);
    let mut analysis = usual();
    analysis.culprits.truncate(1);
    analysis.victims.clear();
    analysis.leaks.clear();
    analysis.worst_buffers.truncate(1);
    let culprit = &mut analysis.culprits[0];
    culprit.site = site(step.clone());
    culprit.class = Class::Explicit;
    culprit.confidence = Confidence::Proven;
    culprit.evidence = evidence(8);
    culprit.evidence.innocence_costs = None;
    culprit.explains = 8;
    culprit.observed = 8;
    culprit.example.scope = "layer 3".to_owned();
    let mut stack = vec![native("ttnn::Tensor::deallocate(bool)", "", 0)];
    stack.extend(
        [
            "nanobind::detail::nb_func_vectorcall_simple",
            "_PyObject_Vectorcall",
        ]
        .map(glue),
    );
    stack.push(step);
    stack.extend(
        [
            "_PyEval_EvalFrameDefault",
            "PyEval_EvalCode",
            "run_mod",
            "_PyRun_SimpleFileObject",
            "Py_RunMain",
        ]
        .map(glue),
    );
    stack.push(python("<module>", "/home/me/model_like.py", 90));
    stack.extend(["pymain_main", "Py_BytesMain", "__libc_start_main"].map(glue));
    culprit.example.excess = Arc::from(stack);
    culprit.example.freed = Arc::from([]);
    analysis.totals = Totals {
        allocations: 1_000,
        deallocations: 1_008,
        ok: 1_000,
        excess: 8,
        forwarded: 1_008,
        events: 2_008,
        late: 3,
        declined: 12,
        ..Totals::default()
    };
    analysis.verdicts = Verdicts {
        already_freed: 8,
        ..Verdicts::default()
    };
    analysis
}

/// Names that try to take over the terminal, or to be longer than it.
pub fn hostile() -> Analysis {
    let mut analysis = usual();
    let evil = Frame {
        module: Arc::from("/opt/\u{1b}]0;owned\u{7}/lib\u{202e}so.x\n.so"),
        ..native(
            &format!(
                "evil\u{1b}[2J\u{202e}::{}::free\r\nwhofreed: no excess frees",
                "long_".repeat(200)
            ),
            "/src/\u{9b}31m/\u{feff}a\tb.cpp",
            7,
        )
    };
    analysis.culprits = vec![culprit(&evil, 1_618, Class::Other)];
    analysis.culprits[0].evidence.hits[0].site = site(evil.clone());
    analysis.culprits[0].example.reuse.hit_site = Some(site(evil.clone()));
    analysis.culprits[0].example.kind = "kind\u{1b}[31m\u{2066}".to_owned();
    analysis.culprits[0].example.scope = "scope\n==1==ERROR: forged".to_owned();
    analysis.victims[0].site = site(Frame {
        file: None,
        ..evil.clone()
    });
    analysis.leaks[0].site = site(Frame {
        function: None,
        file: None,
        ..evil
    });
    analysis
        .device_names
        .insert(4, "chip\u{1b}[H 4\n".to_owned());
    analysis.processes[0].command = vec!["\u{1b}cbash\u{200b}".to_owned()];
    analysis.processes[0].adapters = vec!["ad\u{7}apter".to_owned()];
    analysis.coverage.push(Coverage::Bound {
        adapter: "x\u{1b}[0m".to_owned(),
        symbol: "s".to_owned(),
        library: "/l\u{8}ib.so".to_owned(),
    });
    analysis.coverage.push(Coverage::Unobservable {
        symbol: "\u{1b}[1m".repeat(40),
        why: "\u{85}why".to_owned(),
        library: "/l\u{8}ib.so".to_owned(),
        is_certain: true,
    });
    analysis
}

/// More culprits than a screen has room for.
pub fn many() -> Analysis {
    let mut analysis = usual();
    analysis.culprits = (0..12)
        .map(|n| {
            let frame = native(
                &format!("host::Layer{n}::release(host::Tensor&)"),
                &format!("/src/host/layer{n}.cpp"),
                10 + n,
            );
            culprit(&frame, 1_000 >> n, Class::Explicit)
        })
        .collect();
    analysis.culprits[1].confidence = Confidence::Undecided;
    analysis.culprits[1].alternatives = vec![site(native(
        "host::Other::drop()",
        "/src/host/other.cpp",
        3,
    ))];
    analysis.victims = (0..7)
        .map(|n| Victim {
            site: site(native(
                &format!("host::Victim{n}::~Victim{n}()"),
                "/src/host/victim.cpp",
                n,
            )),
            observed: 10,
            culprit: (n < 6).then_some(n as usize),
        })
        .collect();
    let explained: u64 = analysis
        .culprits
        .iter()
        .map(|culprit| culprit.explains)
        .sum();
    analysis.totals.excess = explained + 100;
    analysis.totals.unexplained = 100;
    analysis
}
