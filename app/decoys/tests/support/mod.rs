//! One service of a decky on a 127.x port, and its evidence.
#![allow(dead_code, reason = "not every test looks at everything")]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use decnet_control::{Absence, Control, Product, Words};
use decnet_decoys::{
    config::{DeckyConfig, Limits, ServiceEntry},
    serve::{runner::Decky, sink::Sink},
};
use decnet_model::clock::SystemClock;
use decnet_persona::PersonaSpec;

/// A real `product` whose version begins with `series`; where there is none, the reason is printed.
pub(crate) fn control(product: Product, series: &str, words: Words<'_>) -> Option<Control> {
    let server = match decnet_control::installed(product) {
        Ok(server) if server.version.starts_with(series) => server,
        Ok(server) => {
            let (name, version) = (product.name(), server.version);
            decnet_testkit::skipped(&format!("{name} {series} is wanted, and {version} is installed"));
            return None;
        }
        Err(absence) => {
            decnet_testkit::skipped(&absence.to_string());
            return None;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    match runtime.block_on(decnet_control::start(&server, words)) {
        Ok(control) => Some(control),
        Err(absence @ (Absence::NotInstalled(..) | Absence::NeedsRoot(_))) => {
            decnet_testkit::skipped(&absence.to_string());
            None
        }
        Err(absence) => panic!("{absence}"),
    }
}

/// Evidence, as a test reads it.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// All of it.
    pub(crate) fn all(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    /// The lines so far that hold all of `parts`, waited for with a bound.
    pub(crate) fn wait(&self, parts: &[&str]) -> String {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let all = self.all();
            if let Some(line) = all
                .lines()
                .find(|line| parts.iter().all(|part| line.contains(part)))
            {
                return line.to_owned();
            }
            assert!(Instant::now() < until, "no line with {parts:?} in:\n{all}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A running decky with one service.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    pub(crate) lines: Lines,
    _decky: Decky,
    _runtime: tokio::runtime::Runtime,
    artifacts: tempfile::TempDir,
}

/// Start service `slug` of the machine `spec`.
pub(crate) fn start(slug: &str, spec: PersonaSpec, knobs: &[(&str, &str)]) -> Site {
    let knobs: Vec<_> = knobs.iter().map(|(k, v)| (*k, (*v).into())).collect();
    start_with(slug, spec, &knobs)
}

/// As [`start`], with knobs of any kind.
pub(crate) fn start_with(slug: &str, spec: PersonaSpec, knobs: &[(&str, serde_json::Value)]) -> Site {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let artifacts = tempfile::tempdir().unwrap();
    let lines = Lines::default();
    let knobs: BTreeMap<String, serde_json::Value> =
        knobs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    let config = DeckyConfig {
        name: "decky-01".parse().unwrap(),
        persona: spec,
        services: vec![ServiceEntry {
            slug: slug.parse().unwrap(),
            knobs,
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            relays: Vec::new(),
        }],
        artifacts: Some(artifacts.path().to_owned()),
        transcripts: None,
        evidence: None,
        pulse: None,
        user: decnet_decoys::config::NOBODY,
        reach: Vec::new(),
        limits: Limits::default(),
    };
    let decky = {
        let _inside = runtime.enter();
        Decky::start(config, Arc::new(Sink::to(lines.clone())), Arc::new(SystemClock)).unwrap()
    };
    Site {
        address: decky.listening()[0].1,
        lines,
        _decky: decky,
        _runtime: runtime,
        artifacts,
    }
}

impl Site {
    /// Files that were captured, and what stands beside them.
    pub(crate) fn kept(&self) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(self.artifacts.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}
