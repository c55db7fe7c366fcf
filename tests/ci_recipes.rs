//! docs/ci.md, carried out: its YAML can be read, and every line of it that calls whofreed or pytest is run on a program and
//! on a suite with a bug. It fails where the page says, and no more once what was found is known.

mod common;

use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use common::Host;
use common::Scratch;
use common::page;
use common::root;
use serde_json::Value;

/// The page.
const PAGE: &str = "docs/ci.md";

/// Reads YAML from standard input's file, and says as JSON which lines of shell its jobs have and which files they hand on.
const READER: &str = "
import json, sys, yaml
read = yaml.safe_load(open(sys.argv[1]))
lines, files = [], []
if 'jobs' in read:
    # YAML takes GitHub's `on` for a truth value.
    assert set(read) <= {'name', True, 'permissions', 'jobs'}, set(read)
    for job in read['jobs'].values():
        assert 'runs-on' in job and all(('run' in step) != ('uses' in step) for step in job['steps']), job
        for step in job['steps']:
            lines += step.get('run', '').splitlines()
            given = step.get('with', {})
            files += given.get('path', '').split() + given.get('sarif_file', '').split()
else:
    for job in read.values():
        assert set(job) <= {'stage', 'script', 'after_script', 'artifacts'}, set(job)
        lines += job['script'] + job.get('after_script', [])
        artifacts = job.get('artifacts', {})
        files += artifacts.get('paths', []) + list(artifacts.get('reports', {}).values())
print(json.dumps({'lines': lines, 'files': files}))
";

/// The lines of a block that call whofreed or pytest, as they are typed.
fn commands(block: &str) -> Vec<String> {
    let lines = block.lines().map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("- ").unwrap_or(line);
        line.strip_prefix("run: ").unwrap_or(line)
    });
    let ours = lines.filter(|line| line.starts_with("whofreed ") || line.starts_with("pytest "));
    ours.map(str::to_owned).collect()
}

/// The commands of all blocks in a language.
fn commands_in(language: &str) -> Vec<String> {
    let text = page::read(PAGE);
    let blocks = page::blocks(&text).into_iter();
    let wanted = blocks.filter(|(found, _)| *found == language);
    wanted.flat_map(|(_, block)| commands(block)).collect()
}

#[test]
fn the_recipes_are_yaml_of_their_servers_and_hand_on_files_that_are_made() {
    let Some(python) = common::provided("the_recipes_are_yaml", "WHOFREED_TEST_READERS") else {
        return;
    };
    let scratch = Scratch::new("recipes");
    let text = page::read(PAGE);
    let made = commands_in("yaml").join("\n");
    let mut recipes = 0;
    for (language, block) in page::blocks(&text) {
        if language != "yaml" {
            continue;
        }
        let file = scratch.file("recipe.yml");
        fs::write(&file, block).expect("a file");
        let mut command = Command::new(&python);
        command.args(["-c", READER]).arg(&file);
        let said = common::run(&mut command).expect_code(0).stdout;
        let read: Value = serde_json::from_str(&said).expect("JSON");
        let texts = |key: &str| -> Vec<String> {
            let rows = common::rows(&read, key).iter();
            rows.map(|row| row.as_str().expect("a text").to_owned())
                .collect()
        };
        // What the other test runs is what a server would.
        let ours: Vec<String> = commands(&texts("lines").join("\n"));
        assert_eq!(ours, commands(block), "{block}");
        for file in texts("files") {
            let is_made = made.contains(&file) || file == ".pytest_cache/whofreed";
            assert!(is_made, "nobody makes {file}");
        }
        recipes += 1;
    }
    assert!(recipes >= 6, "{recipes} recipes");
}

#[test]
fn the_recipes_fail_on_what_is_new_and_pass_once_it_is_known() {
    let recipes = Recipes::new();
    let yaml = commands_in("yaml");
    let once = commands_in("sh");
    assert!(yaml.len() >= 12 && once.len() == 3, "{yaml:?} {once:?}");

    recipes.know_nothing();
    for command in &yaml {
        recipes.run(command, fails_with(command));
    }
    // Here it says what is known, which changes nothing where nobody asks for that.
    recipes.remove_traces();
    for command in &once {
        recipes.run(command, i32::from(command.starts_with("pytest")));
    }
    for command in &yaml {
        let asks = command.contains("baseline");
        recipes.run(command, if asks { 0 } else { fails_with(command) });
    }
    for name in ["whofreed.html", "whofreed.xml", "whofreed.sarif", "new.xml"] {
        let size = fs::metadata(recipes.scratch.file(name)).map_or(0, |data| data.len());
        assert!(size > 100, "{name} has {size} bytes");
    }
}

/// What a command ends with on something that has a bug of which nobody knows.
fn fails_with(command: &str) -> i32 {
    match command {
        _ if command.starts_with("pytest") => 1,
        _ if command.contains("--error-exitcode 7") => 7,
        _ => 0,
    }
}

/// A folder as CI has it: the program, the suite, and the files of what is known.
struct Recipes {
    scratch: Scratch,
    variables: Vec<(String, String)>,
    has_pytest: bool,
}

impl Recipes {
    fn new() -> Self {
        let scratch = Scratch::new("recipes");
        let pool = Host::cxx(&["examples/pool_runtime/main.cpp"]);
        pool.compile(&scratch, "model");
        let python = common::provided("the_recipes_fail_on_what_is_new", "WHOFREED_TEST_PYTEST");
        let mut folders = vec![folder_of(&common::cli())];
        folders.extend(python.as_deref().map(folder_of));
        folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        let path = env::join_paths(folders).expect("folders without a colon");
        let library = Host::c("tests/pytest/pool.c").flags(&["-shared", "-fPIC"]);
        let library = library.unlinked().compile(&scratch, "libsuite_pool.so");
        for name in ["pool_host.py", "pool.toml"] {
            let from = root().join("tests/pytest").join(name);
            fs::copy(from, scratch.file(name)).expect("a copy");
        }
        let settings = "[pytest]\nwhofreed_adapters = ./pool.toml\n";
        fs::write(scratch.file("pytest.ini"), settings).expect("a file");
        let text = |path: &Path| path.display().to_string();
        let variables = vec![
            ("PATH".to_owned(), path.into_string().expect("plain names")),
            ("SUITE_POOL".to_owned(), text(&library)),
            ("PYTHONPATH".to_owned(), text(scratch.path())),
            ("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned()),
            ("XDG_CACHE_HOME".to_owned(), text(&scratch.file("cache"))),
        ];
        Self {
            scratch,
            variables,
            has_pytest: python.is_some(),
        }
    }

    /// Files of what is known that know nothing, of a run and of a suite without a bug; then the suite gets its bugs.
    fn know_nothing(&self) {
        fs::write(self.scratch.file("known.supp"), "# nothing yet\n").expect("a file");
        self.run(
            "whofreed run --trace clean.wft --format json --report baseline.json -- ./model clean",
            0,
        );
        self.suite("clean/test_clean.py");
        self.run("pytest --whofreed --whofreed-report tests-baseline.json", 0);
        self.suite("pool/test_buffers.py");
    }

    fn suite(&self, file: &str) {
        let from = root().join("tests/pytest").join(file);
        fs::copy(from, self.scratch.file("test_suite.py")).expect("a copy");
    }

    /// As a checkout of its own would be.
    fn remove_traces(&self) {
        for entry in fs::read_dir(self.scratch.path()).expect("the folder") {
            let path = entry.expect("an entry").path();
            if path.extension() == Some("wft".as_ref()) {
                fs::remove_file(path).expect("it can be removed");
            }
        }
    }

    #[track_caller]
    fn run(&self, command: &str, code: i32) {
        if command.starts_with("pytest") && !self.has_pytest {
            return;
        }
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(self.scratch.path());
        shell.envs(self.variables.iter().map(|(name, value)| (name, value)));
        for name in ["WHOFREED_OPTIONS", "PYTEST_ADDOPTS"] {
            shell.env_remove(name);
        }
        let ran = common::run(&mut shell);
        assert_eq!(
            ran.code(),
            code,
            "$ {command}\n{}{}",
            ran.stdout,
            ran.stderr
        );
    }
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().expect("a folder").to_path_buf()
}
