//! The worker shell: what every DECNET process does in the same way, in one fixed order.
//!
//! Arguments, configuration (every fault at once, before anything is bound), logging, database, bus, `build`,
//! readiness to systemd, heartbeats, `run` until a signal or an order to stop, drain, exit. A worker is a type that
//! implements [`Worker`]; its `main` is one line:
//!
//! ```text
//! fn main() -> std::process::ExitCode {
//!     decnet_runtime::main::<Profiler>()
//! }
//! ```
//!
//! Start reading at [`Worker`], then [`settings`]. Deliberately absent: what any worker does, and HTTP.

pub mod exit;
pub mod heartbeat;
pub mod installed;
mod lock;
pub mod logging;
pub mod order;
pub mod quarantine;
mod recurring;
pub mod secret;
pub mod settings;
pub mod shutdown;
pub mod supervisor;
pub mod wake;
pub mod worker;

pub use exit::{Exit, RunError, StartError};
pub use heartbeat::Status;
pub use recurring::Recurring;
pub use settings::Settings;
pub use shutdown::Shutdown;
pub use wake::{Wake, Woken};
pub use worker::{Context, Worker, main};

/// The version that every process reports.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
