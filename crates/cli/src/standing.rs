//! What the user says of findings beforehand: files of suppressions, and the report of an earlier run.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use whofreed_analysis::Analysis;
use whofreed_analysis::Suppressions;
use whofreed_analysis::all_suppressions;

use crate::failure::Failure;
use crate::output;
use crate::output::shown;
use crate::rules;

/// The arguments of the commands that report on a run.
#[derive(Debug, Args)]
pub(crate) struct StandingArgs {
    /// Lines excess:PATTERN and leak:PATTERN of what is not to be reported: docs/suppressions.md
    #[arg(long, value_name = "FILE")]
    suppressions: Vec<PathBuf>,
    /// Write lines that would silence all that is reported to FILE; without it, to stdout, in the place of a report there
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    gen_suppressions: Option<PathBuf>,
    /// A JSON report of an earlier run: --error-exitcode is for what that one does not know
    #[arg(long, value_name = "REPORT")]
    baseline: Option<PathBuf>,
}

/// What the files say.
pub(crate) struct Standing {
    suppressions: Option<Suppressions>,
    baseline: Option<Analysis>,
}

impl StandingArgs {
    /// Reads the files, and makes sure that the one to be written can be: before anybody waits for a run.
    pub(crate) fn read(&self) -> Result<Standing, Failure> {
        let mut all = Suppressions::default();
        for path in &self.suppressions {
            all = all.and(suppressions(path)?);
        }
        let baseline = self.baseline.as_deref().map(baseline).transpose()?;
        if let Some(path) = self.lines_to_file() {
            output::check_file(path)?;
        }
        Ok(Standing {
            suppressions: (!self.suppressions.is_empty()).then_some(all),
            baseline,
        })
    }

    /// Whether lines are to be written.
    pub(crate) fn wants_lines(&self) -> bool {
        self.gen_suppressions.is_some()
    }

    /// Whether lines go to stdout.
    pub(crate) fn lines_to_stdout(&self) -> bool {
        self.wants_lines() && self.lines_to_file().is_none()
    }

    fn lines_to_file(&self) -> Option<&Path> {
        let path = self.gen_suppressions.as_deref();
        path.filter(|path| *path != Path::new("-"))
    }

    /// Writes the lines that were asked for.
    pub(crate) fn write_lines(&self, analysis: &Analysis) -> Result<(), Failure> {
        match self.lines_to_file() {
            Some(path) => output::to_file(path, &all_suppressions(analysis)),
            None if self.lines_to_stdout() => output::to_stdout(&all_suppressions(analysis)),
            None => Ok(()),
        }
    }
}

impl Standing {
    /// Marks the findings that somebody has spoken for.
    pub(crate) fn apply(&self, analysis: &mut Analysis) {
        if let Some(suppressions) = &self.suppressions {
            suppressions.apply(analysis);
        }
        if let Some(baseline) = &self.baseline {
            analysis.hold_against(baseline);
        }
    }
}

fn suppressions(path: &Path) -> Result<Suppressions, Failure> {
    let text = rules::read(path).map_err(|why| Failure::ours(format!("{}: {why}", shown(path))))?;
    Suppressions::parse(&text, &path.to_string_lossy()).map_err(|error| {
        let (line, message) = (error.line, error.message);
        Failure::ours(format!("{}:{line}: {message}", shown(path)))
    })
}

fn baseline(path: &Path) -> Result<Analysis, Failure> {
    let fail = |why: String| Failure::ours(format!("{}: {why}", shown(path)));
    // A pipe would keep us waiting.
    let is_file = fs::metadata(path).map(|metadata| metadata.is_file());
    match is_file {
        Ok(true) => {}
        Ok(false) => return Err(fail("is no regular file".to_owned())),
        Err(error) => return Err(fail(format!("cannot be read: {error}"))),
    }
    let text =
        fs::read_to_string(path).map_err(|error| fail(format!("cannot be read: {error}")))?;
    whofreed_report::from_json(&text).map_err(fail)
}
