//! `decnet-ingester`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    decnet_runtime::main::<decnet_ingester::IngesterWorker>()
}
