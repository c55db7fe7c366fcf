//! A terminal's window of a certain size, with a program in it, as a person has one: what it shows, and keys.

use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::num::NonZeroU16;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// Nobody waits longer for something to be shown.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program in a terminal.
pub struct Window {
    child: Child,
    keys: File,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Window {
    /// Starts a program in a terminal of so many columns and lines.
    pub fn start(command: &mut Command, columns: u16, lines: u16) -> Self {
        let size = libc::winsize {
            ws_row: lines,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let (mut ours, mut theirs) = (-1, -1);
        // SAFETY: two descriptors are written, a size is read, and neither a name nor settings are asked for.
        let result = unsafe {
            libc::openpty(
                &raw mut ours,
                &raw mut theirs,
                std::ptr::null_mut(),
                std::ptr::null(),
                &raw const size,
            )
        };
        assert_eq!(result, 0, "a terminal");
        // SAFETY: both were just opened, and are nobody else's.
        let (ours, theirs) = unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) };
        let another = || theirs.try_clone().expect("a descriptor");
        command
            .stdin(another())
            .stdout(another())
            .stderr(another())
            .env("TERM", "xterm-256color")
            .env_remove("COLUMNS")
            .env_remove("NO_COLOR");
        // SAFETY: both calls are allowed between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            });
        }
        let of = |size| NonZeroU16::new(size).expect("a size");
        let child = command.spawn().expect("the program starts");
        // Its end of the terminal is its own now: so we are told when it has closed it.
        drop(theirs);
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null());
        let screen = Arc::new(Mutex::new(vt100::Parser::new(of(lines), of(columns), 0)));
        let seen = Arc::clone(&screen);
        let mut output = ours.try_clone().expect("a descriptor");
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // An error is the end: nobody has the other side any more.
            while let Ok(len @ 1..) = output.read(&mut bytes) {
                seen.lock().expect("a screen").process(&bytes[..len]);
            }
        });
        Self {
            child,
            keys: ours,
            screen,
        }
    }

    /// What is shown now, without what is blank at the ends of lines.
    pub fn text(&self) -> String {
        let screen = self.screen.lock().expect("a screen");
        let (_, columns) = screen.screen().size();
        let rows = screen.screen().rows(0, columns.get());
        rows.map(|row| format!("{}\n", row.trim_end())).collect()
    }

    /// Waits until what is shown is as wanted, and returns it.
    #[track_caller]
    pub fn wait_for(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let text = self.text();
            if is_so(&text) {
                // It may be in the middle of a drawing.
                thread::sleep(Duration::from_millis(50));
                if self.text() == text {
                    return text;
                }
            }
            assert!(start.elapsed() < PATIENCE, "{what} is never shown:\n{text}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Types.
    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("a key");
    }

    /// Whether the program has a screen of its own, beside what was there before.
    pub fn is_full_screen(&self) -> bool {
        let screen = self.screen.lock().expect("a screen");
        screen.screen().alternate_screen()
    }

    /// Whether what is typed is shown and taken line by line, as shells want it.
    pub fn is_cooked(&self) -> bool {
        use std::os::fd::AsRawFd;
        // SAFETY: the settings are plain numbers, for which zero is a value.
        let mut settings: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is open, and one `termios` is written.
        let result = unsafe { libc::tcgetattr(self.keys.as_raw_fd(), &raw mut settings) };
        assert_eq!(result, 0, "settings");
        settings.c_lflag & libc::ICANON != 0 && settings.c_lflag & libc::ECHO != 0
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        // SAFETY: no memory is touched; the child has not been waited for, so the number is its own.
        unsafe { libc::kill(pid, signal) };
    }

    /// Waits for the end.
    #[track_caller]
    pub fn end(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "it goes on:\n{}", self.text());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // Of a test that failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
