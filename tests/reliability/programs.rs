//! Real programs, as others built them, run as they do alone while every call of their heap is recorded: the same
//! output, the same exit code, and nobody accused. Programs that are not installed are skipped.

use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::common;
use crate::common::Row;
use crate::common::Run;
use crate::common::Scratch;
use crate::common::root;
use crate::common::total;

/// What makes programs do the same twice.
const SETTLED: [(&str, &str); 8] = [
    ("PERL_HASH_SEED", "0"),
    ("PYTHONHASHSEED", "0"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("LC_ALL", "C"),
    ("TZ", "UTC"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("CARGO_TERM_COLOR", "never"),
];

/// A program: what it is in the document, the commands that it needs, and a script for bash that uses it.
struct Program {
    name: &'static str,
    needs: &'static [&'static str],
    script: &'static str,
    /// It refuses to run as root.
    as_nobody: bool,
}

impl Program {
    /// Runs the script alone and with every call of the heap recorded, in a folder each.
    fn check(&self) {
        for command in self.needs {
            if find(command).is_none() {
                let label = format!("program {}", self.name);
                return common::skip(&label, &format!("{command} is not installed"));
            }
        }
        let row = Row::new("programs", self.name, "P1");
        let runs = if common::soak() { 3 } else { 1 };
        let mut events = 0;
        let mut processes = 0;
        for _ in 0..runs {
            let alone = self.alone();
            let (tracked, report) = self.tracked();
            compare(&tracked, &alone);
            common::check_identities(&report);
            assert_eq!(total(&report, "excess"), 0, "{:#}", report["culprits"]);
            assert_eq!(total(&report, "dropped_events"), 0);
            events = total(&report, "allocations") + total(&report, "deallocations");
            processes = report["processes"].as_array().map_or(1, Vec::len);
        }
        assert!(events > 0, "nothing was recorded");
        row.held(
            runs,
            &format!("same output and exit code; {events} events of {processes} processes, none in excess"),
        );
    }

    /// A folder of the user who runs it.
    fn folder(&self, name: &str) -> Scratch {
        let scratch = Scratch::new(name);
        if self.is_other_user() {
            let mut chown = Command::new("chown");
            common::run(chown.arg("nobody").arg(scratch.path())).expect_code(0);
        }
        scratch
    }

    fn command(&self, program: &Path) -> Command {
        if !self.is_other_user() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=nobody", "--clear-groups", "--"])
            .arg(program);
        command
    }

    fn is_other_user(&self) -> bool {
        self.as_nobody && common::is_root()
    }

    fn alone(&self) -> Run {
        let scratch = self.folder("alone");
        let mut command = self.command(Path::new("bash"));
        command.args(["-euc", self.script]);
        common::run(settle(&mut command, &scratch))
    }

    fn tracked(&self) -> (Run, Value) {
        let scratch = self.folder("with");
        let traces = self.folder("traces");
        let file = traces.file("report.json");
        let mut command = self.command(&common::cli());
        command.arg("run").arg("--shim").arg(common::shim());
        command.arg("--trace").arg(traces.file("%p.wft"));
        command.arg("--report").arg(&file);
        command.args(["--format", "json", "--adapters", "libc"]);
        command.args(["--", "bash", "-euc", self.script]);
        let run = common::run(settle(&mut command, &scratch));
        let text = fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{error}\n{}\n{}", run.stdout, run.stderr));
        (
            run,
            serde_json::from_str(&text).expect("the report is JSON"),
        )
    }
}

fn settle<'command>(command: &'command mut Command, folder: &Scratch) -> &'command mut Command {
    command.envs(SETTLED);
    command.env("SOURCES", root().join("tests/reliability/programs"));
    command.env("ROOT", root());
    if let Some(python) = env::var_os("WHOFREED_TEST_PYTHON") {
        command.env("PYTHON", python);
    }
    // Programs put sockets there, whose paths are short.
    command
        .env("TMPDIR", folder.path())
        .env("HOME", folder.path());
    command.current_dir(folder.path())
}

/// The folder is another one each time, and so are numbers of processes, in what programs say on stderr: none of the
/// scripts lets them say such things.
fn compare(tracked: &Run, alone: &Run) {
    assert_eq!(
        tracked.code(),
        alone.code(),
        "{}\n{}",
        tracked.stderr,
        alone.stderr
    );
    assert_eq!(tracked.stdout, alone.stdout, "{}", tracked.stderr);
    assert!(!alone.stdout.is_empty(), "{}", alone.stderr);
    let rest = tracked.stderr.strip_prefix(&alone.stderr);
    assert!(
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("whofreed: ")),
        "alone:\n{}\nwith whofreed:\n{}",
        alone.stderr,
        tracked.stderr
    );
}

/// A command on the PATH, or the interpreter that has the packages of the tests.
fn find(name: &str) -> Option<PathBuf> {
    if name == "numpy" {
        return env::var_os("WHOFREED_TEST_PYTHON").map(PathBuf::from);
    }
    if name.contains('/') {
        return Path::new(name).is_file().then(|| PathBuf::from(name));
    }
    let path = env::var_os("PATH")?;
    let found = env::split_paths(&path).map(|folder| folder.join(name));
    found.into_iter().find(|candidate| candidate.is_file())
}

macro_rules! programs {
    ($($test:ident: $name:literal, [$($needs:literal),*] $(as $user:ident)?, $script:literal;)*) => {
        $(
            #[test]
            fn $test() {
                let needs = &[$($needs),*];
                let as_nobody = false $(|| stringify!($user) == "nobody")?;
                Program { name: $name, needs, script: $script, as_nobody }.check();
            }
        )*
    };
}

programs! {
    bash_with_jobs_and_pipes: "bash: jobs, traps, pipes, substitutions", ["bash"], r#"
        trap 'echo leaving' EXIT
        declare -A sums
        for n in {1..200}; do sums[$((n % 7))]=$(( ${sums[$((n % 7))]:-0} + n )); done
        for key in $(printf '%s\n' "${!sums[@]}" | sort); do echo "$key ${sums[$key]}"; done
        diff <(seq 1 50) <(seq 1 51) || echo "differ $?"
        (sleep 0.05; exit 9) & wait $! || echo "job $?"
        cat <<< "$(for n in 1 2 3; do echo "$n" | tr 1-3 a-c; done)"
        exit 3"#;
    dash_as_a_shell: "dash: subshells and functions", ["dash"], r#"
        dash -c 'f() { echo "$1" | sed s/a/b/; }; for w in cat hat mat; do f $w; done; (exit 4); echo $?; exit 5'"#;
    ldd_and_an_empty_environment: "ldd (what we preload left out), env -i", ["ldd"], r#"
        ldd /bin/bash | sed 's/(0x.*//' | grep -v 'whofreed\|libgcc_s\|libm\.' | sort
        env -i /bin/sh -c 'echo $((6 * 7))'"#;
    perl_that_forks: "perl: fork, pipes, sorting", ["perl"], r#"
        perl -e '$| = 1; for my $n (1..4) { my $pid = fork; if (!$pid) { my %h; $h{$_} = [$_] for 1..1000; exit $n }
            waitpid $pid, 0; print $? >> 8, "\n" } open my $in, "-|", "seq 1 1000 | sort -r"; my @l = <$in>;
            print scalar(@l), " $l[0]"; exit 2'"#;
    python_with_numpy: "Python with numpy: linear algebra", ["numpy"], r#"$PYTHON $SOURCES/arrays.py"#;
    python_with_processes: "Python: multiprocessing by fork and spawn, threads, os.fork", ["/usr/bin/python3"],
        r#"/usr/bin/python3 $SOURCES/processes.py"#;
    a_threaded_server_under_load: "a threaded HTTP server, 8 clients, 800 requests", ["/usr/bin/python3"],
        r#"/usr/bin/python3 $SOURCES/server.py"#;
    node_with_workers: "node: 4 workers, zlib, a child", ["node"], r#"node $SOURCES/workers.js"#;
    a_jvm_that_compiles_and_collects: "a JVM: javac, then 4 threads", ["java", "javac"], r#"
        javac -d . $SOURCES/Collected.java
        java -Xmx64m -cp . Collected"#;
    git_from_init_to_gc: "git: init, commits, gc, clone, fsck", ["git"], r#"
        export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
        git init -q -b main one && cd one
        for n in 1 2 3 4 5; do
            seq 1 $((n * 100)) > file$n; git add -A
            GIT_AUTHOR_DATE="2020-01-0$n 00:00:00" GIT_COMMITTER_DATE="2020-01-0$n 00:00:00" git commit -q -m "change $n"
        done
        git gc -q; cd ..; git clone -q one two; cd two
        git log --stat --format=%H; git fsck --no-progress; git grep -c 77; git diff --stat HEAD~2"#;
    a_cxx_compiler_and_what_it_makes: "g++: compile, assemble, link; then the program", ["g++"], r#"
        g++ -std=c++17 -O2 -o tree $SOURCES/tree.cpp; ./tree; g++ -fsyntax-only nothing.cpp 2>&1 || echo "refused $?""#;
    make_with_parallel_jobs: "make -j4", ["make", "cc"], r#"
        for n in 1 2 3 4 5 6; do echo "int f$n(void) { return $n; }" > f$n.c; done
        printf 'OBJECTS = f1.o f2.o f3.o f4.o f5.o f6.o\nlib.a: $(OBJECTS)\n\t@ar rcsD $@ $^\n%%.o: %%.c\n\t@cc -c -o $@ $<\n' > Makefile
        make -s -j4; nm lib.a | grep ' T '; make -s missing 2>/dev/null || echo "make $?""#;
    cargo_test_of_a_real_crate: "cargo test of strsim", ["cargo"], r#"
        manifest=$(cargo metadata --offline --filter-platform "$(rustc -vV | sed -n "s/^host: //p")" --format-version 1 --manifest-path $ROOT/Cargo.toml |
            grep -o '"manifest_path":"[^"]*/strsim-[^"]*"' | head -n 1 | cut -d'"' -f4)
        cp -r "$(dirname "$manifest")" strsim; cd strsim; rm -f Cargo.lock
        cargo test -q --offline 2>/dev/null | sed 's/finished in .*//' | grep . "#;
    an_openmp_program: "an OpenMP program, buffers across threads", ["cc"], r#"
        cc -fopenmp -O1 -o parallel $SOURCES/parallel.c; ./parallel"#;
    sqlite_with_an_index: "sqlite3: inserts, an index, a join", ["sqlite3"], r#"
        sqlite3 data.db "create table a(id integer primary key, name text); create index by_name on a(name);
            with recursive n(x) as (select 1 union all select x + 1 from n where x < 20000)
            insert into a select x, 'name ' || (x * 7919 % 1000) from n;"
        sqlite3 data.db "select name, count(*), sum(id) from a group by name order by name limit 20; pragma integrity_check;""#;
    postgres_that_serves: "PostgreSQL: initdb, a server of processes, queries", ["initdb", "pg_ctl", "psql", "setpriv"] as nobody, r#"
        mkdir db
        initdb -D db/data -A trust -N --no-instructions > /dev/null
        pg_ctl -D db/data -o "-k $PWD/db -h ''" -l db/log -w start > /dev/null
        for n in 1 2 3 4; do
            psql -h $PWD/db -d postgres -Atc "select $n, sum(x), md5(string_agg(x::text, ',')) from generate_series(1, 20000) x" &
            wait $!
        done
        pg_ctl -D db/data -m fast stop > /dev/null; echo stopped"#;
    tmux_whose_server_daemonizes: "tmux: a server that daemonizes", ["tmux"], r#"
        tmux -S socket -f /dev/null new-session -d 'seq 1 100 | sort > out; tmux -S socket wait-for -S done; exec cat'
        tmux -S socket wait-for done; md5sum < out; tmux -S socket kill-server 2>/dev/null || true"#;
    a_daemon_of_gpg: "gpg and its agent, a daemon", ["gpg", "gpgconf"], r#"
        mkdir -m 700 keys; export GNUPGHOME=$PWD/keys
        gpg --batch --quiet --passphrase '' --quick-generate-key somebody default default never 2>/dev/null
        echo secret | gpg --batch --quiet --trust-model always -e -r somebody | gpg --batch --quiet -d 2>/dev/null
        gpgconf --kill all"#;
    compressors_with_threads: "xz -T2, zstd -T2, bzip2, gzip", ["xz", "zstd", "bzip2", "gzip"], r#"
        seq 1 200000 > numbers
        xz -T2 -k numbers; zstd -q -T2 numbers; bzip2 -k numbers; gzip -kn numbers
        xzcat numbers.xz | md5sum; zstdcat numbers.zst | md5sum; bzcat numbers.bz2 | md5sum; zcat numbers.gz | md5sum
        md5sum numbers.bz2 numbers.gz"#;
    sort_find_and_xargs: "sort --parallel=4, find, xargs -P4, sed, awk", ["sort", "find", "xargs", "awk"], r#"
        seq 1 100000 | awk '{ print $1 * 7919 % 100003 }' | sort -n --parallel=4 -S 1M | md5sum
        mkdir -p a/b/c; touch a/{1..50} a/b/{1..50}; find a -type f | sort | xargs -P4 -n 10 sh -c 'echo $#' | sort | uniq -c
        sed -n 's/1/one/p' <(seq 1 30)"#;
    openssl_and_its_keys: "openssl: keys, signatures, ciphers", ["openssl"], r#"
        openssl genrsa -out key.pem 2048 2>/dev/null; seq 1 10000 > text
        openssl dgst -sha256 -sign key.pem -out signature text; openssl rsa -in key.pem -pubout -out public.pem 2>/dev/null
        openssl dgst -sha256 -verify public.pem -signature signature text
        openssl enc -aes-256-ctr -pbkdf2 -pass pass:x -in text -out secret
        openssl enc -d -aes-256-ctr -pbkdf2 -pass pass:x -in secret | md5sum"#;
    gdb_on_a_program: "gdb: a breakpoint in a program, and its stack", ["gdb", "cc"], r#"
        printf 'int g(int n) { return n ? g(n - 1) : 0; }\nint main(void) { return g(3); }\n' > g.c; cc -g -O0 -o g g.c
        gdb -nx -batch -ex 'set startup-with-shell off' -ex 'break g if n == 0' -ex run -ex bt ./g 2>/dev/null |
            grep '^#' | sed 's/0x[0-9a-f]*//'"#;
    strace_of_a_program: "strace -f: a traced tree of processes", ["strace"], r#"
        strace -f -qq -e trace=none -e signal=none -o log sh -c 'seq 1 10 | sort -r | head -n 3; exit 6'"#;
    jq_on_a_document: "jq", ["jq"], r#"
        seq 1 5000 | jq -s 'map({id: ., odd: (. % 2 == 1)}) | group_by(.odd) | map({n: length, s: (map(.id) | add)})'
        echo '{' | jq . 2>/dev/null || echo "refused $?""#;
    tcl_with_children: "tclsh: lists and a pipe", ["tclsh"], r#"
        echo 'for {set n 0} {$n < 5000} {incr n} {lappend l [expr {$n * 7 % 1001}]}; puts [lrange [lsort -integer $l] 0 20]
            puts [exec seq 1 5 | sort -r]; exit 8' | tclsh"#;
    vim_as_an_editor: "vim: a script of edits", ["vim"], r#"
        seq 1 2000 > text; vim -u NONE -i NONE -n -es text -c '%s/1/one/g' -c 'g/5/d' -c 'sort!' -c 'wq'; md5sum < text"#;
    redis_with_threads: "redis: I/O threads, scripts, pipelining", ["redis-server", "redis-cli"], r#"
        redis-server --port 0 --unixsocket $PWD/socket --save '' --io-threads 2 --daemonize yes > /dev/null
        for n in {1..100}; do redis-cli -s socket ping > /dev/null 2>&1 && break; sleep 0.05; done
        for n in {1..2000}; do echo "SET key$n $((n * n))"; echo "LPUSH list $n"; done | redis-cli -s socket --pipe 2>/dev/null | tail -n 1
        redis-cli -s socket eval 'local s = 0 for i = 1, 2000 do s = s + redis.call("get", "key" .. i) end return s' 0
        redis-cli -s socket lrange list 0 5; redis-cli -s socket shutdown nosave 2>/dev/null; echo done"#;
    nginx_with_workers: "nginx: a master that daemonizes and two workers, 400 requests", ["nginx", "curl"], r#"
        mkdir www logs; seq 1 1000 > www/index.html
        printf 'user root; worker_processes 2; pid %s/pid; error_log /dev/null; events {}\nhttp { access_log off; server { listen unix:%s/socket; root %s/www; gzip on; } }\n' \
            "$PWD" "$PWD" "$PWD" > conf
        nginx -c $PWD/conf -p $PWD 2>/dev/null
        for n in {1..20}; do curl -s --unix-socket socket "http://a/?[1-20]" --compressed; done | md5sum
        nginx -c $PWD/conf -p $PWD -s quit 2>/dev/null; for n in {1..100}; do [ -e pid ] || break; sleep 0.05; done; echo stopped"#;
}
