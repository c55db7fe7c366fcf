//! The command's process: starts it, passes on the signals that are meant for it, and waits for its end.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::process::ExitStatus;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;

use whofreed_trace::Exit;

use super::pipes;
use crate::failure::Failure;
use crate::failure::NOT_EXECUTABLE;

/// What is set in the environment of the command.
pub(super) type Environment = Vec<(&'static str, OsString)>;

/// A process that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) pid: u32,
    pub(super) exit: Exit,
}

impl Ended {
    /// The code with which a shell would report this end.
    pub(super) fn code(&self) -> u8 {
        match (self.exit.code, self.exit.signal) {
            (_, Some(signal)) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
            // The kernel keeps eight bits.
            (Some(code), None) => code as u8,
            (None, None) => 0,
        }
    }
}

/// The process to pass signals on to, 0 while there is none.
static CHILD: AtomicI32 = AtomicI32::new(0);
/// A signal that came before there was a child.
static PENDING: AtomicI32 = AtomicI32::new(0);

/// Runs `arguments[0]`, which was found at `file`, until it ends.
pub(super) fn run(
    file: &Path,
    arguments: &[OsString],
    environment: &Environment,
) -> Result<Ended, Failure> {
    let signals = Signals::take();
    let ended = start(file, arguments, environment).and_then(wait);
    drop(signals);
    let (pid, status) = ended.map_err(|error| {
        let name = arguments[0].to_string_lossy();
        Failure::with(NOT_EXECUTABLE, format!("{name}: cannot be run: {error}"))
    })?;
    Ok(Ended {
        pid,
        exit: Exit {
            code: status.code(),
            signal: status.signal(),
        },
    })
}

fn start(
    file: &Path,
    arguments: &[OsString],
    environment: &Environment,
) -> io::Result<std::process::Child> {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(file);
    command
        .arg0(&arguments[0])
        .args(&arguments[1..])
        .envs(environment.iter().map(|(key, value)| (*key, value)));
    pipes::inherit(&mut command);
    match command.spawn() {
        // No `#!` line: what a shell does then.
        Err(error) if error.raw_os_error() == Some(libc::ENOEXEC) => {
            let mut shell = Command::new("/bin/sh");
            shell
                .arg(file)
                .args(&arguments[1..])
                .envs(environment.iter().map(|(key, value)| (*key, value)));
            pipes::inherit(&mut shell);
            shell.spawn()
        }
        result => result,
    }
}

fn wait(mut child: std::process::Child) -> io::Result<(u32, ExitStatus)> {
    let pid = child.id();
    CHILD.store(pid as i32, Ordering::SeqCst);
    let pending = PENDING.swap(0, Ordering::SeqCst);
    if pending != 0 {
        // SAFETY: the child has not been waited for, so the id is its own.
        unsafe { libc::kill(pid as i32, pending) };
    }
    // While the child is a zombie its id belongs to nobody else: only then may the handler forget it.
    loop {
        // SAFETY: `siginfo_t` is plain numbers, for which zero is a value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let flags = libc::WEXITED | libc::WNOWAIT;
        // SAFETY: `info` has room for what is written.
        let result = unsafe { libc::waitid(libc::P_PID, pid, &raw mut info, flags) };
        if result == 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            break;
        }
    }
    CHILD.store(0, Ordering::SeqCst);
    let status = child.wait()?;
    Ok((pid, status))
}

/// Signals from the keyboard reach the command by themselves, and the report is still wanted; those that are sent
/// to us alone are passed on.
struct Signals {
    before: Vec<(libc::c_int, libc::sigaction)>,
}

impl Signals {
    fn take() -> Self {
        let mut before = Vec::new();
        for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP] {
            let handler = match signal {
                libc::SIGINT | libc::SIGQUIT => nothing as extern "C" fn(libc::c_int),
                _ => pass_on as extern "C" fn(libc::c_int),
            };
            // SAFETY: `sigaction` is plain data, for which zero is a value: no flags, nothing masked.
            let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
            // SAFETY: as above.
            let mut new: libc::sigaction = unsafe { std::mem::zeroed() };
            // A handler, and not SIG_IGN, which the command would inherit.
            new.sa_sigaction = handler as *const () as usize;
            new.sa_flags = libc::SA_RESTART;
            // SAFETY: the signal exists, and `old` has room.
            let read = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut old) };
            // What was ignored before us (nohup) stays ignored, for the command too.
            if read == 0 && old.sa_sigaction != libc::SIG_IGN {
                // SAFETY: both handlers do only what a signal handler may.
                unsafe { libc::sigaction(signal, &raw const new, std::ptr::null_mut()) };
                before.push((signal, old));
            }
        }
        Self { before }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for (signal, old) in &self.before {
            // SAFETY: `old` is what the kernel gave for this signal.
            unsafe { libc::sigaction(*signal, old, std::ptr::null_mut()) };
        }
    }
}

extern "C" fn nothing(_signal: libc::c_int) {}

extern "C" fn pass_on(signal: libc::c_int) {
    let child = CHILD.load(Ordering::SeqCst);
    if child == 0 {
        PENDING.store(signal, Ordering::SeqCst);
        return;
    }
    // SAFETY: `kill` may be called in a handler; errno, which the interrupted code may be about to read, is put
    // back afterwards.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        libc::kill(child, signal);
        *errno = before;
    }
}
