//! `decnet-server`: the API and the dashboard.

use std::{process::ExitCode, sync::Arc};

use axum::Router;
use decnet_domain::{Domain, Options};
use decnet_model::clock::SharedClock;
use decnet_pki::ServerCertificate;
use decnet_runtime::{Context, RunError, Shutdown, StartError, Worker, exit::chain};
use decnet_server::{
    AppState, Config,
    serve::{Limits, serve},
    throttle::Throttle,
    tls, ui,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;

/// File descriptors that the process needs beside its connections: the database, the bus, the site's files.
const OTHER_FILES: u64 = 256;

struct Server {
    listener: TcpListener,
    certificate: Option<Arc<ServerCertificate>>,
    clock: SharedClock,
    limits: Limits,
    router: Router,
    domain: Domain,
    throttle: Throttle,
    /// Ends the open streams, which nothing else would end.
    streams: Shutdown,
}

impl Worker for Server {
    const NAME: &'static str = "server";
    const ABOUT: &'static str = "The API and the dashboard";
    const DATABASE: bool = true;
    const MIGRATES: bool = true;
    const THREADS: usize = 4;

    async fn build(ctx: Context) -> Result<Self, StartError> {
        let settings = &ctx.settings;
        let options = Options {
            jwt_secret: Some(settings.jwt_secret()?),
            second_factor_key: settings.totp_key()?,
            ..Options::of(settings)
        };
        let domain = Domain::new(ctx.store()?, ctx.bus.clone(), ctx.clock.clone(), options)
            .map_err(|error| StartError::config(chain(&error)))?;
        let admin = domain
            .ensure_admin()
            .await
            .map_err(|error| StartError::config(chain(&error)))?;
        if let Some(password) = admin.generated_password {
            tell_password(
                admin.username.as_str(),
                secrecy::ExposeSecret::expose_secret(&password),
            );
        }
        if let Some(name) = admin.passed_over.filter(|_| settings.is_given("admin-user")) {
            tracing::warn!(
                "admin-user {name} has no effect: it names the account of a fresh installation, and {} administers this one",
                admin.username
            );
        }
        // On a disk that is full the dashboard says so; a note that has not changed needs no room.
        if let Err(error) = domain.fleet_network_note().await {
            tracing::warn!(error = chain(&error), "the fleet's network not noted");
        }
        let certificate = tls::certificate(settings, &ctx.clock)
            .map_err(|error| StartError::config(format!("tls: {}", chain(&error))))?;
        let limits = Limits {
            connections: settings.server.max_connections,
            proxies: settings.server.trusted_proxies.clone(),
            ..Limits::default()
        };
        raise_file_limit(limits.connections);
        let listen = settings.server.listen;
        let bound = TcpListener::bind(listen).await;
        let listener = bound.map_err(|error| StartError::listen(listen, &error))?;
        let streams = Shutdown::new();
        let state = AppState {
            domain: domain.clone(),
            config: Arc::new(Config::of(settings)),
            shutdown: streams.clone(),
        };
        let throttle = Throttle::default();
        let router = ui::router(&state, &throttle)
            .map_err(|error| StartError::config(format!("public-url: {}", chain(&error))))?;
        ctx.status.set("listen", listen.to_string());
        tracing::info!(%listen, url = settings.server.public_url, "listening");
        Ok(Self {
            listener,
            certificate,
            clock: ctx.clock,
            limits,
            router,
            domain,
            throttle,
            streams,
        })
    }

    async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let Self {
            listener,
            certificate,
            clock,
            limits,
            router,
            domain,
            throttle,
            streams,
        } = self;
        let config = certificate.as_ref().map(ServerCertificate::config).transpose();
        let config = config.map_err(|error| RunError::new("serving by TLS", error))?;
        let end_streams = async {
            shutdown.requested().await;
            streams.request();
            std::future::pending().await
        };
        tokio::select! {
            () = serve(listener, router, config, limits, shutdown.clone()) => Ok(()),
            () = end_streams => Ok(()),
            () = tls::keep(certificate, clock) => Ok(()),
            () = domain.background() => Ok(()),
            () = throttle.sweep() => Ok(()),
        }
    }
}

/// A connection is a file descriptor, of which a process may have 1024 unless it asks for more.
fn raise_file_limit(connections: usize) {
    let wanted = connections as u64 + OTHER_FILES;
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if hard < wanted {
            tracing::warn!(
                limit = hard,
                wanted,
                "fewer open files are allowed (ulimit -n) than max-connections needs"
            );
        }
        setrlimit(Resource::RLIMIT_NOFILE, soft.max(wanted.min(hard)), hard)
    });
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Say the first password to whoever started the server by hand. `decnet up` makes it before, and tells it itself.
#[expect(
    clippy::print_stderr,
    reason = "it is told once, to a person, and must not be in a log file"
)]
fn tell_password(user: &str, password: &str) {
    eprintln!("Log in as {user} with {password} (told once; it has to be changed).");
}

fn main() -> ExitCode {
    decnet_runtime::main::<Server>()
}
