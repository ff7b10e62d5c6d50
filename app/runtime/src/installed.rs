//! Whether a worker is installed on this host, and who starts it again when it dies.
//!
//! What systemd makes of its units it knows itself: here is only looked whether it has one.

use std::path::{Path, PathBuf};

use decnet_model::{name::WorkerName, state::KeptBy};

use crate::supervisor;

/// Where systemd looks for units, strongest first (systemd.unit(5)).
const UNITS: &[&str] = &[
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// Where the workers of a host are looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// The folder of their programs, `decnet-<worker>`.
    pub programs: PathBuf,
    /// The folders of units of systemd, `decnet-<worker>.service`; none where it does not run.
    pub units: Vec<PathBuf>,
}

impl Places {
    /// Those of this process: programs stand beside each other, and systemd runs where it says so (sd_booted(3)).
    #[must_use]
    pub fn here() -> Self {
        let me = std::env::current_exe().unwrap_or_else(|error| {
            tracing::warn!(%error, "this program does not know where it is: other programs are looked for by their name");
            PathBuf::new()
        });
        let units: &[&str] = match Path::new("/run/systemd/system").is_dir() {
            true => UNITS,
            false => &[],
        };
        Self {
            programs: me.parent().unwrap_or(Path::new("")).to_owned(),
            units: units.iter().map(PathBuf::from).collect(),
        }
    }

    /// Where the program of `worker` has to be.
    #[must_use]
    pub fn program(&self, worker: &str) -> PathBuf {
        self.programs.join(format!("decnet-{worker}"))
    }

    /// Whether `worker` is installed, and who keeps it on the host whose workers share the folder `run`. `decnet up` starts
    /// programs, so a unit alone is nothing to it.
    #[must_use]
    pub fn kept_by(&self, run: &Path, worker: &WorkerName) -> KeptBy {
        let program = self.program(worker.as_str()).is_file();
        let unit = format!("decnet-{worker}.service");
        if program && supervisor::runs(run) {
            KeptBy::Up
        } else if self.has_unit(&unit) {
            KeptBy::Systemd
        } else if program {
            KeptBy::Nobody
        } else {
            KeptBy::Missing
        }
    }

    /// Whether systemd would load `unit`: the strongest file of it counts, and one that is empty or leads to `/dev/null` masks it.
    fn has_unit(&self, unit: &str) -> bool {
        let mut files = self.units.iter().map(|folder| folder.join(unit));
        let strongest = files.find(|file| file.symlink_metadata().is_ok());
        let loaded = strongest.and_then(|file| file.metadata().ok());
        loaded.is_some_and(|file| file.is_file() && file.len() > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;
    use crate::settings::{Settings, Sources};

    #[test]
    fn a_worker_is_kept_by_the_host_that_runs_else_by_systemd_else_by_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let (data, units) = (dir.path().join("data"), dir.path().join("units"));
        let run = data.join("run");
        for folder in [&run, &units] {
            fs::create_dir_all(folder).unwrap();
        }
        let stronger = dir.path().join("stronger");
        let places = Places {
            programs: dir.path().to_owned(),
            units: vec![stronger.clone(), units.clone()],
        };
        let kept = |name: &str| places.kept_by(&run, &name.parse().unwrap());
        assert_eq!(kept("profiler"), KeptBy::Missing);
        fs::write(dir.path().join("decnet-profiler"), "").unwrap();
        assert_eq!(kept("profiler"), KeptBy::Nobody);
        for unit in ["profiler", "mutator"] {
            fs::write(units.join(format!("decnet-{unit}.service")), "[Unit]\n").unwrap();
        }
        assert_eq!(
            (kept("profiler"), kept("mutator")),
            (KeptBy::Systemd, KeptBy::Systemd)
        );
        let mut sources = Sources::default();
        sources.flags.insert("data-dir", data.display().to_string());
        let up = supervisor::Lock::take(&Settings::read(&sources).unwrap()).unwrap();
        assert_eq!(kept("profiler"), KeptBy::Up);
        assert_eq!(kept("mutator"), KeptBy::Systemd, "it has no program to start");
        drop(up);
        assert_eq!(kept("profiler"), KeptBy::Systemd);
        // One that is masked is not started by anybody.
        fs::create_dir(&stronger).unwrap();
        symlink("/dev/null", stronger.join("decnet-profiler.service")).unwrap();
        assert_eq!(kept("profiler"), KeptBy::Nobody);
    }
}
