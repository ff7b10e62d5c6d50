//! How long answers take: the spread of many runs, of both by turns, so that a busy machine slows both down.

use std::{
    fs::{self, Permissions},
    io::{self, ErrorKind},
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use decnet_control::{Product, ssh};
use futures::future::join_all;
use serde::Serialize;
use tokio::{process::Command, time::timeout};

use super::{
    Pair,
    report::Progress,
    talk::{self, Client, Login},
};

/// How many refused logins are waited for at a time where each takes seconds.
const AT_A_TIME: usize = 6;
/// How long a client of ssh may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    /// From connecting to the first word of the server; of one that does not greet, to its first answer.
    Banner,
    /// One cheap request on a connection that is there.
    Request,
    /// From connecting to the refusal of a login; of a web server, of a page that there is not.
    Refusal,
}

/// The spread of the runs against one server, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) p10_ms: f64,
    pub(super) median_ms: f64,
    pub(super) p90_ms: f64,
}

impl Spread {
    fn of(mut runs: Vec<Duration>) -> Option<Self> {
        runs.sort_unstable();
        let at = |percent: usize| {
            let nth = (runs.len().checked_sub(1)? * percent + 50) / 100;
            // To the microsecond, which is as fine as the clock is worth.
            Some((runs.get(nth)?.as_secs_f64() * 1e6).round() / 1e3)
        };
        Some(Self {
            p10_ms: at(10)?,
            median_ms: at(50)?,
            p90_ms: at(90)?,
        })
    }
}

/// What was timed of both.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Timed {
    pub(super) what: What,
    /// How it was asked for.
    pub(super) how: &'static str,
    pub(super) runs: usize,
    pub(super) control: Spread,
    pub(super) ours: Spread,
    /// Ours by the control's, of the medians.
    pub(super) ratio: f64,
}

/// Time everything there is to time. `folder` is for what is needed besides.
pub(super) async fn measure(
    pair: &Pair,
    runs: usize,
    folder: &Path,
    progress: &Progress,
) -> io::Result<Vec<Timed>> {
    let asking = Asking {
        product: pair.product,
        askpass: askpass(pair.product, folder)?,
    };
    let asking = &asking;
    let mut timed = Vec::new();
    for what in [What::Banner, What::Request, What::Refusal] {
        progress.say(&format!("timing: {}", asking.how(what)));
        let (mut control, mut ours) = (Vec::new(), Vec::new());
        // The first of each pays for what later ones find done.
        for server in [pair.control, pair.ours] {
            asking.once(what, server).await?;
        }
        while control.len() < runs {
            let some = asking.at_a_time(what).min(runs - control.len());
            let both = (0..some).map(|_| async move {
                if some == 1 {
                    return Ok((
                        asking.once(what, pair.control).await?,
                        asking.once(what, pair.ours).await?,
                    ));
                }
                tokio::try_join!(asking.once(what, pair.control), asking.once(what, pair.ours))
            });
            for run in join_all(both).await {
                let run: io::Result<(Duration, Duration)> = run;
                let (its, our) = run?;
                control.push(its);
                ours.push(our);
            }
        }
        let (Some(control), Some(ours)) = (Spread::of(control), Spread::of(ours)) else {
            continue;
        };
        timed.push(Timed {
            what,
            how: asking.how(what),
            runs,
            control,
            ours,
            ratio: (ours.median_ms / control.median_ms * 1e3).round() / 1e3,
        });
    }
    Ok(timed)
}

/// The program that gives a client of ssh its password: a wrong one.
fn askpass(product: Product, folder: &Path) -> io::Result<PathBuf> {
    let file = folder.join("askpass");
    if product == Product::OpenSsh {
        fs::write(&file, "#!/bin/sh\necho wrong\n")?;
        fs::set_permissions(&file, Permissions::from_mode(0o700))?;
    }
    Ok(file)
}

struct Asking {
    product: Product,
    askpass: PathBuf,
}

impl Asking {
    fn how(&self, what: What) -> &'static str {
        match (self.product.service(), what) {
            ("http", What::Banner) => "connect and GET /",
            ("redis", What::Banner) => "connect and PING",
            (_, What::Banner) => "connect to the greeting",
            ("ssh", What::Request) => "identification to KEXINIT",
            ("http", What::Request) => "HEAD / once more",
            ("redis" | "mysql", What::Request) => "ping",
            ("smtp", What::Request) => "NOOP",
            (_, What::Request) => "SYST",
            ("http", What::Refusal) => "connect and a page that is not there",
            ("redis" | "mysql", What::Refusal) => "connect to a refused login",
            ("smtp", What::Refusal) => "connect to a refused AUTH",
            (_, What::Refusal) => "connect to a refused password",
        }
    }

    /// PAM, or what stands for it, takes its time, most of which is spent asleep.
    fn at_a_time(&self, what: What) -> usize {
        let sleeps = matches!(
            self.product,
            Product::OpenSsh | Product::VsFtpd | Product::ProFtpd
        );
        if sleeps && what == What::Refusal {
            AT_A_TIME
        } else {
            1
        }
    }

    /// One run.
    async fn once(&self, what: What, server: SocketAddr) -> io::Result<Duration> {
        match what {
            What::Banner => self.banner(server).await,
            What::Request => self.request(server).await,
            What::Refusal => self.refusal(server).await,
        }
    }

    async fn banner(&self, server: SocketAddr) -> io::Result<Duration> {
        let began = Instant::now();
        let mut client = Client::to(server).await?;
        match self.product.service() {
            "http" => client.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await,
            "redis" => client.write(b"PING\r\n").await,
            _ => {}
        }
        there(client.wait().await?)?;
        Ok(began.elapsed())
    }

    async fn request(&self, server: SocketAddr) -> io::Result<Duration> {
        const KNOWN: Login = Login {
            user: "r",
            password: "p",
            database: "",
        };
        let mut client = Client::to(server).await?;
        let head: &[u8] = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
        let ping = talk::packet(0, b"\x0e");
        let words: &[u8] = match self.product.service() {
            "http" => {
                client.write(head).await;
                head
            }
            "redis" => {
                client.write(b"PING\r\n").await;
                b"PING\r\n"
            }
            "mysql" => {
                client.sign_in(KNOWN).await?;
                &ping
            }
            "ssh" => ssh::CLIENT,
            "smtp" => b"NOOP\r\n",
            _ => b"SYST\r\n",
        };
        // The greeting, or the answer to what came before.
        there(client.wait().await?)?;
        let began = Instant::now();
        client.write(words).await;
        there(client.wait().await?)?;
        Ok(began.elapsed())
    }

    async fn refusal(&self, server: SocketAddr) -> io::Result<Duration> {
        let began = Instant::now();
        match self.product.service() {
            "ssh" => self.refused_by_ssh(server).await?,
            "http" => {
                let mut client = Client::to(server).await?;
                client.write(b"GET /nope HTTP/1.1\r\nHost: a\r\n\r\n").await;
                there(client.wait().await?)?;
            }
            "redis" => {
                let mut client = Client::to(server).await?;
                client.write(b"AUTH nobody wrong\r\n").await;
                there(client.wait().await?)?;
            }
            "mysql" => {
                let mut client = Client::to(server).await?;
                let wrong = Login {
                    user: "r",
                    password: "wrong",
                    database: "",
                };
                client.sign_in(wrong).await?;
                client.packet().await?;
            }
            "smtp" => conversed(server, &["EHLO a", "AUTH PLAIN AGEAYg=="]).await?,
            _ => conversed(server, &["USER nobody9", "PASS wrong"]).await?,
        }
        Ok(began.elapsed())
    }

    /// OpenSSH's own client tries a password once.
    async fn refused_by_ssh(&self, server: SocketAddr) -> io::Result<()> {
        let mut ssh = Command::new("ssh");
        for option in [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "GlobalKnownHostsFile=/dev/null",
            "PreferredAuthentications=password",
            "NumberOfPasswordPrompts=1",
            "IdentityAgent=none",
        ] {
            ssh.args(["-o", option]);
        }
        let tried = ssh
            .args(["-F", "/dev/null", "-p", &server.port().to_string()])
            .args([&format!("root@{}", server.ip()), "true"])
            .env("SSH_ASKPASS", &self.askpass)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .output();
        let tried = timeout(PATIENCE, tried).await??;
        let told = String::from_utf8_lossy(&tried.stderr);
        if told.contains("Permission denied") {
            return Ok(());
        }
        Err(io::Error::new(
            ErrorKind::InvalidData,
            format!("ssh says {}", told.trim()),
        ))
    }
}

/// A conversation in a line protocol, up to the reply to the last of `lines`.
async fn conversed(server: SocketAddr, lines: &[&str]) -> io::Result<()> {
    let mut client = Client::to(server).await?;
    client.reply().await?;
    for line in lines {
        client.write(format!("{line}\r\n").as_bytes()).await;
        client.reply().await?;
    }
    Ok(())
}

fn there(answered: bool) -> io::Result<()> {
    if answered {
        return Ok(());
    }
    Err(io::Error::new(
        ErrorKind::UnexpectedEof,
        "a server hung up that was timed",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_told_by_its_tenths() {
        let runs: Vec<_> = (1..=11).rev().map(Duration::from_millis).collect();
        let spread = Spread::of(runs).unwrap();
        assert_eq!((spread.p10_ms, spread.median_ms, spread.p90_ms), (2.0, 6.0, 10.0));
        let one = Spread::of(vec![Duration::from_micros(1_500)]).unwrap();
        assert_eq!((one.p10_ms, one.p90_ms), (1.5, 1.5));
        assert!(Spread::of(Vec::new()).is_none());
    }
}
