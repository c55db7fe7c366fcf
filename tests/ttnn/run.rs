//! One run of a case under `whofreed run`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;

use super::setting::Setting;

/// A case that ran to its end, and the report on it.
pub struct Run {
    file: PathBuf,
    report: Value,
}

impl Run {
    /// Runs a case; `None` where the runtime cannot be had (and this is no CI run, which has to have it).
    pub fn of(
        release: &str,
        board: &str,
        file: &Path,
        arguments: &[&str],
        options: &[&str],
    ) -> Option<Self> {
        let name = format!(
            "{release}-{board}-{}",
            file.file_stem().expect("a name").to_string_lossy()
        );
        let name = [&[name.as_str()], arguments, options].concat().join("-");
        let setting = Setting::wanted(release, board, &name)?;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("ttnn")
            .join(name);
        // Of an earlier run, if there was one.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder for the trace");
        let (trace, report) = (folder.join("case.wft"), folder.join("report.json"));

        let mut command = Command::new(&setting.whofreed);
        command.arg("run").args(options).arg("--trace").arg(&trace);
        command
            .args(["--format", "json", "--report"])
            .arg(&report)
            .arg("--");
        command.arg(&setting.python).arg(file).args(arguments);
        command
            .envs(setting.variables)
            // Compiled programs of its own, with the slash at the end that the runtime wants: so no two tests write one file,
            // and the shim gets into compilers at each run.
            .env("TT_METAL_CACHE", folder.join("programs/"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(&folder)
            .stdin(Stdio::null());
        let output = command.output().expect("whofreed starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");

        let report = fs::read_to_string(&report)
            .unwrap_or_else(|error| panic!("no report: {error}\n{said}"));
        let report = serde_json::from_str(&report).expect("the report is JSON");
        // The compilers that the runtime starts free nothing: they leave no trace of their own.
        let left = fs::read_dir(&folder)
            .expect("the folder is there")
            .flatten();
        let traces = left.filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "wft")
        });
        assert_eq!(traces.count(), 1);
        fs::remove_dir_all(&folder).expect("the folder can go");
        Some(Self {
            file: file.to_owned(),
            report,
        })
    }

    /// What holds for every case: it was watched to its end, and each culprit can be read.
    pub fn assert_sound(&self) {
        let shown = self.shown();
        assert_eq!(self.report["process"]["exit"]["code"], 0, "{shown}");
        assert_eq!(
            self.report["process"]["adapters"],
            serde_json::json!(["tt-metal"]),
            "{shown}"
        );
        assert!(self.total("allocations") > 0, "{shown}");
        assert_eq!(self.total("dropped_events"), 0, "{shown}");
        assert_eq!(self.total("unexplained"), 0, "{shown}");
        for culprit in self.culprits() {
            assert_eq!(
                culprit["file"].as_str().map(Path::new),
                Some(self.file.as_path()),
                "{shown}"
            );
            for stack in ["allocated", "freed", "excess"] {
                let frames = culprit["stacks"][stack]
                    .as_array()
                    .expect("a list of frames");
                let own = |frame: &Value| {
                    frame["language"] == "python" && frame["file"] == culprit["file"]
                };
                assert!(
                    frames.iter().any(own),
                    "no line of the case in the {stack} stack\n{shown}"
                );
            }
        }
    }

    /// The excess frees that the culprits explain, by line.
    pub fn culprit_lines(&self) -> BTreeMap<u64, u64> {
        let mut lines = BTreeMap::new();
        for culprit in self.culprits() {
            *lines.entry(number(culprit, "line")).or_default() += number(culprit, "explains");
        }
        lines
    }

    fn culprits(&self) -> &[Value] {
        self.report["culprits"]
            .as_array()
            .expect("a list of culprits")
    }

    /// A total of the report.
    pub fn total(&self, name: &str) -> u64 {
        number(&self.report["totals"], name)
    }

    /// How many functions the report says could not be observed as they should.
    pub fn coverage_gaps(&self) -> usize {
        self.report["coverage"]["unobservable"]
            .as_array()
            .expect("a list of what was not observed")
            .len()
    }

    /// The report, for a message.
    pub fn shown(&self) -> String {
        format!(
            "totals: {}\nculprits: {:#}",
            self.report["totals"], self.report["culprits"]
        )
    }
}

fn number(object: &Value, key: &str) -> u64 {
    object[key]
        .as_u64()
        .unwrap_or_else(|| panic!("{key} is no number in {object}"))
}
