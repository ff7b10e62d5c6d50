//! A network of its own on one machine: a host, with a Docker daemon where that is wanted, a gateway and an attacker, in
//! network namespaces that a switch connects. Nothing of it reaches the real network.
//!
//! ```text
//! NAME-host      10.66.0.1/24 on lan0, maybe a Docker daemon, whatever is tested
//! NAME-gateway   10.66.0.254/24, fd00:66::254/64 and 169.254.169.254; the host's default route
//! NAME-attacker  10.66.0.66/24, fd00:66::66/64; knows the way to 169.254.169.254
//! NAME-switch    a bridge that has all three and nothing else
//! ```
//!
//! Where the kernel speaks IPv6, all have addresses of the link, too.
//!
//! Needs root. [`Lab::up`] makes it, and dropping it takes it away; [`Lab::keep`] leaves it for `cargo xtask lab`.

mod docker;

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

pub use docker::Docker;

/// The variable that tells tests why they are left out.
pub const LEFT_OUT: &str = "DECNET_NO_LAB";
/// The host's interface.
pub const INTERFACE: &str = "lan0";
/// The network.
pub const NETWORK: &str = "10.66.0.0/24";
/// The host's address.
pub const HOST: &str = "10.66.0.1";
/// The gateway's address.
pub const GATEWAY: &str = "10.66.0.254";
/// The attacker's address.
pub const ATTACKER: &str = "10.66.0.66";
/// Where clouds tell their machines who they are: the gateway has it, too.
pub const METADATA: &str = "169.254.169.254";
/// The gateway's and the attacker's addresses where the kernel speaks IPv6.
pub const GATEWAY_V6: &str = "fd00:66::254";
/// See [`GATEWAY_V6`].
pub const ATTACKER_V6: &str = "fd00:66::66";
/// How long the daemon may take to begin and to end.
const DAEMON: Duration = Duration::from_secs(60);

/// Who is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// What runs the decoys.
    Host,
    /// The way out, which leads nowhere.
    Gateway,
    /// A visitor.
    Attacker,
    /// What connects them.
    Switch,
}

impl Place {
    /// Everybody.
    pub const ALL: [Self; 4] = [Self::Host, Self::Gateway, Self::Attacker, Self::Switch];

    /// The end of its namespace's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Gateway => "gateway",
            Self::Attacker => "attacker",
            Self::Switch => "switch",
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Lab {
    name: String,
    folder: PathBuf,
    docker: Option<Docker>,
    /// Where this value started it.
    daemon: Mutex<Option<Child>>,
    kept: bool,
}

impl Lab {
    /// Make the network `name`, and start the daemon of `docker` in it where there is one. `folder` is for its data.
    ///
    /// # Errors
    /// Where this is not root, or a command fails; what was made until then is taken away.
    pub fn up(name: &str, folder: &Path, docker: Option<Docker>) -> Result<Self> {
        if !nix::unistd::geteuid().is_root() {
            bail!("network namespaces are made by root: start this as root");
        }
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let lab = Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            docker,
            daemon: Mutex::default(),
            kept: false,
        };
        lab.network()?;
        if lab.docker.is_some() {
            lab.start_daemon()?;
        }
        Ok(lab)
    }

    /// The lab that [`Lab::keep`] left.
    #[must_use]
    pub fn of(name: &str, folder: &Path, docker: Option<Docker>) -> Self {
        Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            docker,
            daemon: Mutex::default(),
            kept: false,
        }
    }

    /// Leave it when this value is gone.
    pub fn keep(mut self) {
        self.kept = true;
    }

    /// Whether it is there.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.namespace(Place::Host).exists()
    }

    fn namespace_name(&self, place: Place) -> String {
        format!("{}-{}", self.name, place.as_str())
    }

    fn namespace(&self, place: Place) -> PathBuf {
        Path::new("/run/netns").join(self.namespace_name(place))
    }

    /// The daemon's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    /// Run `program` somewhere in it, with its Docker at hand where it has one.
    #[must_use]
    pub fn command(&self, place: Place, program: impl AsRef<OsStr>) -> Command {
        let mut net = std::ffi::OsString::from("--net=");
        net.push(self.namespace(place));
        // Not `ip netns exec`: that mounts another /sys, and a daemon loses its control groups.
        let mut command = Command::new("nsenter");
        command
            .arg(net)
            .arg("--")
            .arg(program)
            .env("PATH", Docker::path(self.docker.as_ref()))
            .env("DOCKER_HOST", format!("unix://{}", self.socket().display()));
        command
    }

    /// Do `work` on a thread that is somewhere in it. The sockets that it opens stay there, whoever uses them.
    ///
    /// # Errors
    /// Where that place cannot be entered, or `work` panics.
    pub fn within<T: Send>(&self, place: Place, work: impl FnOnce() -> T + Send) -> Result<T> {
        let path = self.namespace(place);
        let namespace = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let enter = || {
            nix::sched::setns(&namespace, nix::sched::CloneFlags::CLONE_NEWNET)
                .with_context(|| format!("cannot enter {}", path.display()))?;
            Ok(work())
        };
        let done = thread::scope(|scope| scope.spawn(enter).join());
        done.unwrap_or_else(|_| bail!("what was to be done in {} panicked", path.display()))
    }

    /// The docker client.
    #[must_use]
    pub fn docker(&self) -> Command {
        self.command(Place::Host, "docker")
    }

    /// The daemon's process.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn daemon_pid(&self) -> Result<i32> {
        let file = self.folder.join("docker.pid");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        text.trim().parse().context("no number")
    }

    fn network(&self) -> Result<()> {
        for place in Place::ALL {
            let name = self.namespace_name(place);
            run(Command::new("ip").args(["netns", "add", &name])).with_context(|| {
                format!("{name}: is there an old lab? `cargo xtask lab down` takes it away")
            })?;
            self.ip(place, &["link", "set", "lo", "up"])?;
        }
        self.ip(Place::Switch, &["link", "add", "br0", "type", "bridge"])?;
        // What is joined now is reached now.
        self.ip(
            Place::Switch,
            &["link", "set", "br0", "type", "bridge", "forward_delay", "0"],
        )?;
        self.ip(Place::Switch, &["link", "set", "br0", "up"])?;
        for (place, interface, address) in [
            (Place::Host, INTERFACE, HOST),
            (Place::Gateway, "eth0", GATEWAY),
            (Place::Attacker, "eth0", ATTACKER),
        ] {
            let (there, port) = (self.namespace_name(place), format!("p-{}", place.as_str()));
            let switch = self.namespace_name(Place::Switch);
            run(Command::new("ip").args([
                "link", "add", interface, "netns", &there, "type", "veth", "peer", "name", &port, "netns",
                &switch,
            ]))?;
            self.ip(Place::Switch, &["link", "set", &port, "master", "br0", "up"])?;
            self.ip(
                place,
                &["addr", "add", &format!("{address}/24"), "dev", interface],
            )?;
            self.ip(place, &["link", "set", interface, "up"])?;
        }
        self.ip(Place::Host, &["route", "add", "default", "via", GATEWAY])?;
        let metadata = format!("{METADATA}/32");
        self.ip(Place::Gateway, &["addr", "add", &metadata, "dev", "eth0"])?;
        // No default route: what asks for a name there would wait for an answer.
        self.ip(Place::Attacker, &["route", "add", &metadata, "via", GATEWAY])?;
        if speaks_v6() {
            for (place, address) in [(Place::Gateway, GATEWAY_V6), (Place::Attacker, ATTACKER_V6)] {
                // Nobody else can have it, so nobody is asked first.
                let address = format!("{address}/64");
                self.ip(place, &["addr", "add", &address, "dev", "eth0", "nodad"])?;
            }
        }
        Ok(())
    }

    fn ip(&self, place: Place, arguments: &[&str]) -> Result<()> {
        let namespace = self.namespace_name(place);
        run(Command::new("ip").args(["-n", &namespace]).args(arguments))
    }

    /// Start the daemon and wait until it answers.
    ///
    /// # Errors
    /// Where it does not come; with what it said.
    pub fn start_daemon(&self) -> Result<()> {
        let log = self.folder.join("dockerd.log");
        let said = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        // An empty one: the machine's own configuration is not the lab's.
        fs::write(self.folder.join("daemon.json"), "{}")?;
        let mut command = self.command(Place::Host, "dockerd");
        for (option, file) in [
            ("--data-root", "data"),
            ("--exec-root", "exec"),
            ("--pidfile", "docker.pid"),
            ("--config-file", "daemon.json"),
        ] {
            command.arg(option).arg(self.folder.join(file));
        }
        let started = command
            .arg("--host")
            .arg(format!("unix://{}", self.socket().display()))
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()
            .context("cannot start dockerd")?;
        let mut daemon = self.daemon();
        let daemon = daemon.insert(started);
        let begun = Instant::now();
        while !self.answers() {
            let ended = daemon.try_wait()?.is_some();
            if ended || begun.elapsed() > DAEMON {
                let said = fs::read_to_string(&log).unwrap_or_default();
                let tail: Vec<&str> = said.lines().rev().take(5).collect();
                bail!(
                    "dockerd did not come:\n{}",
                    tail.into_iter().rev().collect::<Vec<_>>().join("\n")
                );
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn daemon(&self) -> MutexGuard<'_, Option<Child>> {
        self.daemon.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answers(&self) -> bool {
        let asked = self
            .docker()
            .arg("version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        asked.is_ok_and(|status| status.success())
    }

    /// End the daemon with `signal`, and wait until it is gone.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn end_daemon(&self, signal: nix::sys::signal::Signal) -> Result<()> {
        let Ok(pid) = self.daemon_pid() else {
            return Ok(());
        };
        let process = nix::unistd::Pid::from_raw(pid);
        match nix::sys::signal::kill(process, signal) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
            Err(e) => bail!("cannot end dockerd ({pid}): {e}"),
        }
        let mut started = self.daemon();
        let begun = Instant::now();
        loop {
            let gone = match &mut *started {
                Some(daemon) => daemon.try_wait()?.is_some(),
                None => nix::sys::signal::kill(process, None).is_err(),
            };
            if gone {
                break;
            }
            if begun.elapsed() > DAEMON {
                bail!("dockerd ({pid}) does not end");
            }
            thread::sleep(Duration::from_millis(50));
        }
        *started = None;
        remove_file(&self.folder.join("docker.pid"))?;
        Ok(())
    }

    /// Take everything away.
    ///
    /// # Errors
    /// The first thing that could not be taken away; the others were tried all the same.
    pub fn down(&mut self) -> Result<()> {
        let mut faults = Vec::new();
        let mut tried = |done: Result<()>| faults.extend(done.err());
        if self.docker.is_some() && self.namespace(Place::Host).exists() && self.answers() {
            tried(self.remove_containers());
        }
        tried(self.end_daemon(nix::sys::signal::Signal::SIGTERM));
        for place in Place::ALL {
            if self.namespace(place).exists() {
                let name = self.namespace_name(place);
                tried(run(Command::new("ip").args(["netns", "del", &name])));
            }
        }
        tried(self.unmount());
        match fs::remove_dir_all(&self.folder) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                tried(Err(e).with_context(|| format!("cannot remove {}", self.folder.display())));
            }
            _ => {}
        }
        match faults.into_iter().next() {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    /// Unmount what a daemon that was killed left mounted, the innermost first.
    fn unmount(&self) -> Result<()> {
        let table = fs::read_to_string("/proc/self/mountinfo").context("cannot read what is mounted")?;
        let folder = self.folder.display().to_string();
        let places = table.lines().filter_map(|line| line.split(' ').nth(4));
        let mut ours: Vec<&str> = places.filter(|place| place.starts_with(&folder)).collect();
        ours.reverse();
        for place in ours {
            run(Command::new("umount").args(["--lazy", place]))?;
        }
        Ok(())
    }

    fn remove_containers(&self) -> Result<()> {
        let all = self.docker().args(["ps", "-aq"]).output().context("docker ps")?;
        let all = String::from_utf8_lossy(&all.stdout).into_owned();
        let ids: Vec<&str> = all.split_whitespace().collect();
        if ids.is_empty() {
            return Ok(());
        }
        run(self.docker().args(["rm", "-f"]).args(ids))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let Err(error) = self.down() {
            #[expect(clippy::print_stderr, reason = "nobody else hears of it")]
            {
                eprintln!("the lab {} is not gone: {error:#}", self.name);
            }
        }
    }
}

/// Whether this kernel speaks IPv6.
#[must_use]
pub fn speaks_v6() -> bool {
    Path::new("/proc/net/if_inet6").exists()
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Run a command; what it says is in the error where it fails.
///
/// # Errors
/// Where it cannot be started, or ends unsuccessfully.
pub fn run(command: &mut Command) -> Result<()> {
    let words = words(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {words}"))?;
    if output.status.success() {
        return Ok(());
    }
    bail!(
        "{words} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
}

fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|w| w.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
