//! `whofreed top` on processes that are alive: found without their help, read while they write, on terminals of several
//! widths, by keys.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;

use crate::common;
use crate::common::Host;
use crate::common::Scratch;
use crate::setting;
use crate::window::Window;

/// A process that does something for each line it is given, and ends with its input.
struct Live {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Live {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut live = Self {
            child,
            input,
            output,
        };
        live.wait_for("ready");
        live
    }

    fn wait_for(&mut self, wanted: &str) {
        let mut line = String::new();
        while line.trim_end() != wanted {
            line.clear();
            let len = self.output.read_line(&mut line).expect("a line");
            assert!(len > 0, "it ended before it said {wanted}");
        }
    }

    /// Has it work, until it says this.
    fn work(&mut self, order: &str, until: &str) {
        let input = self.input.as_mut().expect("its input");
        input.write_all(order.as_bytes()).expect("an order");
        self.wait_for(until);
    }

    fn pid(&self) -> String {
        self.child.id().to_string()
    }

    fn end(mut self) -> i32 {
        self.input = None;
        let status = self.child.wait().expect("a child");
        status.code().expect("an exit code")
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Of a test that failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn host(scratch: &Scratch) -> PathBuf {
    Host::c("c_tests/watched.c").compile(scratch, "watched")
}

/// The host alone, which writes its trace into memory of its own; in the folder of the test.
fn linked(scratch: &Scratch) -> Command {
    let mut command = Command::new(host(scratch));
    command
        .env_remove("LD_LIBRARY_PATH")
        .env("WHOFREED_OPTIONS", "summary=0")
        .current_dir(scratch.path());
    command
}

/// The host under `whofreed run`.
fn under_run(scratch: &Scratch) -> Command {
    let mut command = Command::new(common::cli());
    command.arg("run").arg("--shim").arg(common::shim());
    command.arg("--trace").arg(scratch.file("host.wft"));
    command.args(["--report", "/dev/null", "--"]);
    command.arg(host(scratch)).env_remove("LD_LIBRARY_PATH");
    command
}

fn top(arguments: &[&str]) -> Command {
    let mut command = Command::new(common::cli());
    command
        .arg("top")
        .args(arguments)
        .env_remove("LD_LIBRARY_PATH");
    command
}

fn once(arguments: &[&str]) -> common::Run {
    common::run(top(arguments).arg("--once").env("COLUMNS", "100"))
}

#[test]
fn a_host_that_writes_into_its_memory_is_seen_without_its_help() {
    let scratch = Scratch::new("top-linked");
    let mut live = Live::start(&mut linked(&scratch));
    live.work("xx", "5");
    let text = once(&[&live.pid()]).expect_code(0).stdout;
    for words in [
        "running",
        "excess frees 2   explained 2   culprits 1   lost events 0",
        "allocations 5   frees 4   events 9",
        "live 12.0 KiB in 3 buffers   at most 12.0 KiB",
        "give_again (watched.c:",
    ] {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
    // What comes later is seen later.
    live.work("x", "7");
    let text = once(&[&live.pid()]).expect_code(0).stdout;
    assert!(text.contains("excess frees 3 "), "{text}");
    assert_eq!(live.end(), 0);
}

#[test]
fn a_run_is_seen_by_its_launcher_by_its_host_and_by_its_trace() {
    let scratch = Scratch::new("top-run");
    let mut live = Live::start(&mut under_run(&scratch));
    live.work("x", "3");
    let by_launcher = once(&[&live.pid()]).expect_code(0).stdout;
    let said = format!("/proc/{0}/task/{0}/children", live.pid());
    let children = fs::read_to_string(said).expect("children");
    let of_host = children.split_whitespace().find(|&child| {
        let name = fs::read_to_string(format!("/proc/{child}/comm"));
        name.is_ok_and(|name| name.trim_end() == "watched")
    });
    let by_host = once(&[of_host.expect("the host")]).expect_code(0).stdout;
    // It has another name as long as it is written.
    let trace = scratch.file("host.wft");
    let trace = trace.to_str().expect("a path");
    let by_trace = once(&[trace]).expect_code(0).stdout;
    for text in [&by_launcher, &by_host, &by_trace] {
        assert!(text.contains("watched  running"), "{text}");
        assert!(text.contains("excess frees 1 "), "{text}");
    }
    // Whoever names nothing gets the only run; where others go on as well, their list.
    let named_by_nobody = once(&[]);
    let said = format!("{}{}", named_by_nobody.stdout, named_by_nobody.stderr);
    assert!(said.contains("watched"), "{said}");
    assert_eq!(live.end(), 0);
    let after = once(&[trace]).expect_code(0).stdout;
    assert!(after.contains("watched  ended"), "{after}");
    assert!(after.contains("allocations 3   frees 3 "), "{after}");
}

#[test]
fn descriptors_that_the_host_has_closed_are_no_hindrance() {
    let scratch = Scratch::new("top-closed");
    let trace = scratch.file("closed.wft");
    let mut command = Command::new("python3");
    command.args(["-c", CLOSING, common::shim().to_str().expect("a path")]);
    command.env(
        "WHOFREED_OPTIONS",
        format!("summary=0:trace={}", trace.display()),
    );
    let mut live = Live::start(command.current_dir(scratch.path()));
    live.work("x", "done");
    let text = once(&[&live.pid()]).expect_code(0).stdout;
    assert!(text.contains("allocations 1   frees 2 "), "{text}");
    assert_eq!(live.end(), 0);
}

/// A host by ctypes, which closes what is not its own.
const CLOSING: &str = "
import ctypes, os, sys
library = ctypes.CDLL(sys.argv[1])
u32, u64 = ctypes.c_uint32, ctypes.c_uint64
print('ready', flush=True)
sys.stdin.read(1)
library.wf_allocate(u32(0), u64(4096), u64(64), u32(0), u64(1))
os.closerange(3, 4096)
library.wf_deallocate(u32(0), u64(4096), u64(1))
library.wf_deallocate(u32(0), u64(4096), u64(1))
print('done', flush=True)
sys.stdin.read()
";

#[test]
fn what_cannot_be_watched_is_told() {
    let scratch = Scratch::new("top-none");
    let refused = |named: &str| {
        let run = once(&[named]).expect_code(125);
        assert_eq!(run.stdout, "");
        run.stderr
    };
    let said = refused("4194303");
    assert_eq!(said, "whofreed: there is no process 4194303\n");
    let folder = scratch.path().to_str().expect("a path").to_owned();
    assert!(refused(&folder).contains("is no regular file"));
    let text = scratch.file("text");
    fs::write(&text, "no trace").expect("a file");
    let said = refused(text.to_str().expect("a path"));
    assert!(said.contains("at offset 0"), "{said}");
    // A process that was not started under whofreed.
    let mut other = Command::new("sleep").arg("60").spawn().expect("it starts");
    let said = refused(&other.id().to_string());
    other.kill().expect("it ends");
    other.wait().expect("it ended");
    assert!(said.contains("nothing is recorded there"), "{said}");
}

#[test]
fn another_users_process_is_not_looked_into() {
    if !common::is_root() {
        common::skip(
            "another_users_process_is_not_looked_into",
            "only root can be somebody else",
        );
        return;
    }
    let scratch = Scratch::new("top-others");
    let mut live = Live::start(&mut linked(&scratch));
    live.work("x", "3");
    // A copy that anybody may execute.
    let copy = scratch.file("whofreed");
    fs::copy(common::cli(), &copy).expect("a copy");
    let mut command = Command::new(&copy);
    command
        .args(["top", "--once", &live.pid()])
        .uid(65534)
        .gid(65534);
    let run = common::run(&mut command).expect_code(125);
    assert!(
        run.stderr.contains("may not be looked into"),
        "{}",
        run.stderr
    );
    assert_eq!(run.stdout, "");
    assert_eq!(live.end(), 0);
}

#[test]
fn a_screen_follows_what_the_host_does_and_keys_look_into_it() {
    for (columns, lines) in [(60, 20), (80, 24), (140, 40)] {
        let scratch = Scratch::new("top-screen");
        let mut live = Live::start(&mut linked(&scratch));
        let pid = live.pid();
        let mut screen = Window::start(&mut top(&[&pid, "--interval", "100"]), columns, lines);
        let text = screen.wait_for("a run without a culprit", |text| {
            text.contains("no culprit so far")
        });
        assert!(text.contains("excess frees 0"), "{text}");
        assert!(screen.is_full_screen());
        live.work("xxxx", "9");
        screen.wait_for("a culprit", |text| {
            text.contains("excess frees 4") && text.contains("give_again (watched.c:")
        });
        screen.press("\r");
        screen.wait_for("where it was freed again", |text| {
            text.contains("==ERROR: whofreed: excess free of 0x")
        });
        screen.press("\u{1b}");
        screen.wait_for("the list", |text| !text.contains("==ERROR"));
        screen.press("2");
        screen.wait_for("the excess frees", |text| {
            text.contains("[2 latest]") && text.matches("give_again").count() == 4
        });
        live.work("x", "11");
        screen.wait_for("one more", |text| text.matches("give_again").count() == 5);
        assert_eq!(live.end(), 0);
        screen.wait_for("the end", |text| text.contains("watched  ended"));
        screen.press("q");
        assert_eq!(screen.end().code(), Some(0));
        screen.wait_for("the screen before", |_| !screen.is_full_screen());
        assert!(screen.is_cooked());
    }
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    let scratch = Scratch::new("top-signal");
    let mut live = Live::start(&mut linked(&scratch));
    live.work("x", "3");
    for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGINT] {
        let screen_of = &mut top(&[&live.pid()]);
        let mut screen = Window::start(screen_of, 80, 24);
        screen.wait_for("a culprit", |text| text.contains("give_again"));
        assert!(screen.is_full_screen() && !screen.is_cooked());
        screen.signal(signal);
        assert_eq!(screen.end().code(), Some(0));
        screen.wait_for("the screen before", |_| !screen.is_full_screen());
        assert!(screen.is_cooked());
    }
    assert_eq!(live.end(), 0);
}

/// Whoever closes the terminal's window takes it away from below.
#[test]
fn a_terminal_that_is_closed_ends_it() {
    let scratch = Scratch::new("top-closed-window");
    let mut live = Live::start(&mut linked(&scratch));
    live.work("x", "3");
    let mut command = Command::new("python3");
    command
        .args(["-c", WINDOW])
        .arg(common::cli())
        .arg(live.pid());
    let run = common::run(command.env_remove("LD_LIBRARY_PATH")).expect_code(0);
    assert_eq!(run.stdout, "it has ended\n");
    assert_eq!(live.end(), 0);
}

/// A window that goes when there is something in it; the signal that tells of that is lost.
const WINDOW: &str = "
import fcntl, os, pty, signal, struct, sys, termios, time
pid, window = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.execv(sys.argv[1], [sys.argv[1], 'top', sys.argv[2]])
shown = b''
while b'culprits' not in shown:
    shown += os.read(window, 4096)
os.close(window)
for _ in range(600):
    if os.waitpid(pid, os.WNOHANG)[0]:
        print('it has ended')
        break
    time.sleep(0.05)
else:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    print('it goes on')
";

#[test]
fn a_host_that_is_watched_all_along_loses_nothing() {
    let scratch = Scratch::new("top-all-along");
    let trace = scratch.file("host.wft");
    let mut live = Live::start(&mut under_run(&scratch));
    let pid = live.pid();
    let mut screen = Window::start(&mut top(&[&pid, "--interval", "50"]), 100, 30);
    let turns = 2000;
    for turn in 1..=20 {
        let orders = "x".repeat(turns / 20);
        live.work(&orders, &(1 + 2 * turn * turns / 20).to_string());
    }
    let wanted = "excess frees 2,000";
    screen.wait_for(wanted, |text| text.contains(wanted));
    assert_eq!(live.end(), 0);
    screen.press("q");
    assert_eq!(screen.end().code(), Some(0));
    let report = common::report(&trace);
    common::check_identities(&report);
    assert_eq!(common::total(&report, "excess"), 2000);
    assert_eq!(common::total(&report, "dropped_events"), 0);
}

/// The real runtime, at work: what three widths show of it. At full size, the screens are written into docs/screens.
#[test]
fn top_on_a_live_ttnn_run_names_the_line_that_frees_again() {
    let test = "top_on_a_live_ttnn_run";
    let Some(setting) = setting::Setting::wanted(setting::NEWEST, "n150", test) else {
        return;
    };
    let scratch = Scratch::new("top-ttnn");
    let mut command = Command::new(&setting.whofreed);
    command
        .arg("run")
        .arg("--shim")
        .arg(common::shim())
        .arg("--trace")
        .arg(scratch.file("live.wft"));
    command.args(["--report", "/dev/null", "--"]);
    command.arg(&setting.python);
    command.arg(common::root().join("tests/terminal/ttnn_live.py"));
    command
        .envs(setting.variables)
        .env("TT_METAL_CACHE", scratch.file("programs/"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(scratch.path());
    let mut live = Live::start(&mut command);
    let pid = live.pid();
    let mut kept = 0;
    for columns in [60_u16, 100, 140] {
        let watching = &mut top(&[&pid, "--interval", "100"]);
        let mut screen = Window::start(watching, columns, 24);
        screen.wait_for("a screen", |text| text.contains("? help"));
        for _ in 0..3 {
            kept += 10;
            live.work("go\n", &kept.to_string());
        }
        let excess = format!("excess frees {kept}");
        let list = screen.wait_for(&excess, |text| text.contains(&excess));
        assert!(list.contains("evict (ttnn_live.py:15)"), "{list}");
        assert!(list.contains("live "), "{list}");
        screen.press("2");
        let latest = screen.wait_for("excess frees", |text| {
            text.contains("[2 latest]") && text.matches("evict (ttnn_live.py:15)").count() > 5
        });
        screen.press("1\r");
        let culprit = screen.wait_for("the culprit", |text| text.contains("freed again by thread"));
        assert!(
            culprit.contains("==ERROR: whofreed: excess free of 0x"),
            "{culprit}"
        );
        screen.press("q");
        assert_eq!(screen.end().code(), Some(0));
        if common::soak() {
            let screens = [list, latest, culprit].map(|text| text.trim_end().to_owned());
            keep(columns, &screens, &setting.python, scratch.path());
        }
    }
    assert_eq!(live.end(), 0);
}

/// Writes screens for the documentation, without the paths of this machine.
fn keep(columns: u16, screens: &[String], python: &Path, scratch: &Path) {
    let rule = format!("\n{}\n", "=".repeat(usize::from(columns)));
    let mut text = format!("{}\n", screens.join(&rule));
    let root = common::root();
    let release = python.ancestors().nth(2).expect("the release's folder");
    for (path, name) in [(release, "ttnn"), (&root, "whofreed"), (scratch, "scratch")] {
        text = text.replace(path.to_str().expect("a path"), name);
    }
    let folder = root.join("docs/screens");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(format!("top-{columns}.txt")), text).expect("a file");
}
