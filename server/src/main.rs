//! `decnet-server`: the API and the dashboard.

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use axum::Router;
use decnet_domain::{Domain, Options};
use decnet_runtime::{Context, RunError, Shutdown, StartError, Worker};
use decnet_server::{AppState, Config, throttle::Throttle, ui};
use tokio::net::TcpListener;

struct Server {
    listener: TcpListener,
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
            ..Options::of(settings)
        };
        let domain = Domain::new(ctx.store()?, ctx.bus.clone(), ctx.clock.clone(), options)
            .map_err(|error| StartError::config(decnet_server::problem::chain(&error)))?;
        let admin = domain
            .ensure_admin()
            .await
            .map_err(|error| StartError::config(decnet_server::problem::chain(&error)))?;
        if let Some(password) = admin.generated_password {
            tell_password(
                admin.username.as_str(),
                secrecy::ExposeSecret::expose_secret(&password),
            );
        }
        let listen = settings.server.listen;
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            StartError::io(&format!("address {listen} (set `listen` to another)"), &error)
        })?;
        let streams = Shutdown::new();
        let state = AppState {
            domain: domain.clone(),
            config: Arc::new(Config::of(settings)),
            shutdown: streams.clone(),
        };
        let throttle = Throttle::default();
        let router = ui::router(&state, &throttle)
            .map_err(|error| StartError::config(format!("public-url: {error}")))?;
        ctx.status.set("listen", listen.to_string());
        tracing::info!(%listen, url = settings.server.public_url, "listening");
        Ok(Self {
            listener,
            router,
            domain,
            throttle,
            streams,
        })
    }

    async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let Self {
            listener,
            router,
            domain,
            throttle,
            streams,
        } = self;
        let stop = async move {
            shutdown.requested().await;
            streams.request();
        };
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let serve = axum::serve(listener, service).with_graceful_shutdown(stop);
        tokio::select! {
            served = serve => served.map_err(|error| RunError::new("serving", error)),
            () = domain.background() => Ok(()),
            () = throttle.sweep() => Ok(()),
        }
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
