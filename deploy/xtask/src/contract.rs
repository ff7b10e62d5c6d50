//! `cargo xtask contract`: schemathesis holds a running server against the API's description, as an administrator and as
//! a viewer.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{
    place::{Place, Profile},
    programs, setup,
    shell::{output, sh, step},
    test::Count,
};

const LISTEN: &str = "127.0.0.1:18077";
const FIRST_PASSWORD: &str = "first-Light-2026-harbour";
const PASSWORD: &str = "correct-horse-battery-42";
/// Who looks on.
const VIEWER: &str = "looker-on";
/// A stream does not end.
const NEVER: &str = "^/api/v1/stream";
/// These may end the session that asks: asked by an account that is there for that.
const SESSIONS: &str = "^/api/v1/(auth/sessions|users/.id./sessions)";
/// This does: after its first success, by another such account, all that is left to see is that nobody is signed in.
const LOGOUT: &str = "^/api/v1/auth/logout";
/// What an administrator may do to himself, and to the bus over which workers are told: asked last.
const LAST: &str = "^/api/v1/(users/.id.|workers/.name./stop)";
/// Requests of each kind for each route, and with `--full`.
const EXAMPLES: u32 = 15;
const MANY_EXAMPLES: u32 = 150;

/// What `cargo xtask contract` takes.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Ten times as many requests
    #[arg(long)]
    full: bool,
}

/// `cargo xtask contract`.
pub(crate) fn run(place: &Place, options: &Options) -> Result<()> {
    setup::for_build(place)?;
    step("Building the programs", || programs::build(place, Profile::Dev))?;
    let count = hold(place, options.full)?;
    println!("{} passed, {} failed", count.passed, count.failed);
    if count.failed > 0 {
        bail!("the server and its description disagree");
    }
    Ok(())
}

/// Ask the server that is built for everything that its description allows, and for much that it does not.
pub(crate) fn hold(place: &Place, full: bool) -> Result<Count> {
    let schemathesis = setup::python(place, &setup::SCHEMATHESIS)?.join("bin/st");
    let host = Host::start(place)?;
    let first = host.session("admin", FIRST_PASSWORD)?;
    host.change_password(&first)?;
    let admin = host.session("admin", PASSWORD)?;
    // All sessions begin before the first wrong login, after the tenth of which nobody gets in from here.
    let viewer = host.account(&admin, VIEWER, "viewer")?;
    let passer_by = host.account(&admin, "passer-by", "admin")?;
    let leaver = host.account(&admin, "leaver", "viewer")?;
    let examples = if full { MANY_EXAMPLES } else { EXAMPLES };
    let mut count = Count::default();
    let mut ask = |who: &str, token: &str, routes: &[&str]| {
        let held = step(
            &format!("Holding the API against its description as {who}"),
            || ask(place, &schemathesis, token, examples, routes),
        );
        match held {
            Ok(()) => count.passed += 1,
            Err(error) => {
                println!("{error:#}");
                count.failed += 1;
            }
        }
    };
    let leaving = format!("{NEVER}|{SESSIONS}|{LOGOUT}");
    let all_but_last = format!("{leaving}|{LAST}");
    ask("a viewer", &viewer, &["--exclude-path-regex", &leaving]);
    ask(
        "an administrator",
        &admin,
        &["--exclude-path-regex", &all_but_last],
    );
    ask(
        "an administrator who ends sessions",
        &passer_by,
        &["--include-path-regex", SESSIONS],
    );
    ask(
        "somebody who signs out",
        &leaver,
        &["--include-path-regex", LOGOUT],
    );
    host.lives(&admin)
        .context("the administrator was signed out midway, and all after that was asked as nobody")?;
    ask(
        "an administrator who may undo himself",
        &admin,
        &["--include-path-regex", LAST, "--exclude-path-regex", SESSIONS],
    );
    Ok(count)
}

fn ask(place: &Place, schemathesis: &Path, token: &str, examples: u32, routes: &[&str]) -> Result<()> {
    sh(Command::new(schemathesis)
        .arg("--config-file")
        .arg(place.root.join("server/tests/schemathesis.toml"))
        .arg("run")
        .arg(format!("http://{LISTEN}/api/v1/openapi.json"))
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args([
            "--checks",
            "all",
            "--seed",
            "1",
            "--continue-on-failure",
            "--no-color",
        ])
        .args(["--max-examples", &examples.to_string()])
        .args(routes)
        .current_dir(place.cache.as_path()))
}

/// A host of its own, ended with the value.
struct Host {
    child: Child,
    data: PathBuf,
}

impl Host {
    fn start(place: &Place) -> Result<Self> {
        let data = std::env::temp_dir().join(format!("decnet-contract-{}", std::process::id()));
        let decnet = || {
            let mut command = Command::new(place.programs(Profile::Dev).join("decnet"));
            command
                .arg("--data-dir")
                .arg(&data)
                .env("DECNET_ADMIN_PASSWORD", FIRST_PASSWORD)
                .env(
                    "DECNET_BUS_URL",
                    format!("unix://{}", data.join("run/bus.sock").display()),
                );
            command
        };
        sh(decnet()
            .args(["demo", "seed", "--events", "5000"])
            .stdout(Stdio::null()))?;
        let mut child = decnet()
            .args([
                "up",
                "--demo",
                "--listen",
                LISTEN,
                "--set",
                "fleet-network=127.97.0.0/24",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start decnet up")?;
        let stdout = child.stdout.take().context("decnet up has no output")?;
        let host = Self { child, data };
        let mut lines = BufReader::new(stdout).lines().map_while(std::io::Result::ok);
        if !lines.any(|line| line.contains("DECNET is up")) {
            bail!("decnet up ended before it was up: is {LISTEN} in use?");
        }
        // Its words after that go nowhere, but a full pipe would hold it up.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(host)
    }

    fn send(&self, path: &str, token: Option<&str>, body: &Value) -> Result<Value> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail-with-body", "--max-time", "30"])
            .args(["--json", &body.to_string()])
            .arg(format!("http://{LISTEN}/api/v1{path}"));
        if let Some(token) = token {
            curl.args(["--header", &format!("Authorization: Bearer {token}")]);
        }
        let text = output(&mut curl).with_context(|| format!("{path} was not answered with a success"))?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    fn session(&self, username: &str, password: &str) -> Result<String> {
        let login = json!({ "username": username, "password": password });
        let session = self.send("/auth/login", None, &login)?;
        let token = session.get("access_token").and_then(Value::as_str);
        Ok(token.context("a login without a token")?.to_owned())
    }

    /// An account that an administrator makes, and a session of it.
    fn account(&self, admin: &str, name: &str, role: &str) -> Result<String> {
        let new = json!({ "username": name, "password": FIRST_PASSWORD, "role": role });
        self.send("/users", Some(admin), &new)?;
        self.change_password(&self.session(name, FIRST_PASSWORD)?)?;
        self.session(name, PASSWORD)
    }

    fn lives(&self, token: &str) -> Result<()> {
        sh(Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--fail",
                "--output",
                "/dev/null",
                "--max-time",
                "30",
            ])
            .args(["--header", &format!("Authorization: Bearer {token}")])
            .arg(format!("http://{LISTEN}/api/v1/auth/me")))
    }

    fn change_password(&self, token: &str) -> Result<()> {
        let change = json!({ "old_password": FIRST_PASSWORD, "new_password": PASSWORD });
        self.send("/auth/change-password", Some(token), &change)?;
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended by itself; waiting tells.
        let _ended = Command::new("kill").arg(self.child.id().to_string()).status();
        let _reaped = self.child.wait();
        let _removed = fs::remove_dir_all(&self.data);
    }
}
