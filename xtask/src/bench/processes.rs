//! The processor time of whole processes: what a host's own figures leave out.

use std::mem::MaybeUninit;
use std::process::Command;

use super::host;
use super::host::Figures;
use crate::run::Outcome;

/// A run, and all the processor time that it took: of every process that the command has waited for, start and end
/// included.
#[derive(Clone, Copy, Debug)]
pub struct Ran {
    pub figures: Figures,
    pub processes_ns: f64,
}

impl Ran {
    /// What is not the host's loop.
    pub fn elsewhere_ns(&self) -> f64 {
        self.processes_ns - self.figures.processor_ns
    }
}

/// Runs a host, alone or under something.
pub fn run(command: &mut Command) -> Outcome<Ran> {
    let (figures, processes_ns) = spent(|| host::figures(command))?;
    Ok(Ran {
        figures,
        processes_ns,
    })
}

/// The processor time of the processes that were waited for while `run` ran. Nobody else may wait for one meanwhile.
pub fn spent<T>(run: impl FnOnce() -> Outcome<T>) -> Outcome<(T, f64)> {
    let before = of_children()?;
    let result = run()?;
    Ok((result, of_children()? - before))
}

/// Nanoseconds of all children that ended and were waited for, and of those that they waited for.
fn of_children() -> Outcome<f64> {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a whole `rusage` that is ours alone; the call fills it or fails.
    let failed = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) } != 0;
    if failed {
        return Err(format!("getrusage: {}", std::io::Error::last_os_error()));
    }
    // SAFETY: it was zeroed, which is a valid `rusage`, and the call has succeeded.
    let usage = unsafe { usage.assume_init() };
    let nanoseconds = |time: libc::timeval| 1e9 * time.tv_sec as f64 + 1e3 * time.tv_usec as f64;
    Ok(nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run;

    #[test]
    fn processes_of_processes_are_counted() {
        let mut shell = Command::new("sh");
        // The inner shell is no tail call, so that the outer one waits for it.
        shell.args([
            "-c",
            "sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done'; true",
        ]);
        let (_, spent) = spent(|| run::quiet(&mut shell)).expect("a shell runs");
        assert!(spent > 1e6, "{spent}");
    }
}
