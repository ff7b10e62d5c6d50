//! One file a group of commands.

mod account;
mod bench;
mod catalogue;
mod configuration;
pub(crate) mod daemon;
pub(crate) mod database;
mod evidence;
pub(crate) mod fleet;
mod spool;
mod worker;

use anyhow::{Context as _, Result};

use crate::{
    cli::{Cli, Command, LabCommand},
    host::block_on,
    lab, up,
};

/// Run what the command line says.
pub(crate) fn run(cli: Cli) -> Result<()> {
    let place = &cli.place;
    match cli.command {
        Command::Up(args) => block_on(up::run(place, &args)),
        Command::Init => block_on(database::init(place)),
        Command::Deploy(args) => block_on(fleet::deploy(place, &args)),
        Command::Teardown(args) => block_on(fleet::teardown(place, &args)),
        Command::Redeploy(args) => block_on(fleet::redeploy(place, &args)),
        Command::Stop(args) => block_on(fleet::stop(place, &args)),
        Command::Start(args) => block_on(fleet::start(place, &args)),
        Command::Mutate(args) => block_on(fleet::mutate(place, &args)),
        Command::Clear(args) => block_on(fleet::clear(place, &args)),
        Command::Status(args) => block_on(fleet::status(place, &args)),
        Command::Services(args) => catalogue::services(args),
        Command::Archetypes(args) => catalogue::archetypes(args),
        Command::Distros(args) => catalogue::distros(args),
        Command::Config(command) => configuration::run(place, &command),
        Command::Db(command) => block_on(database::run(place, &command)),
        Command::User(command) => block_on(account::run(place, &command)),
        Command::Worker(command) => block_on(worker::run(place, &command)),
        Command::Logs(args) => block_on(evidence::logs(place, &args)),
        Command::Spool(command) => spool::run(place, &command),
        Command::Ingest(args) => block_on(evidence::ingest(place, &args)),
        Command::Demo(command) => spool::demo(place, &command),
        Command::Lab(LabCommand::Compare(args)) => block_on(lab::compare(place, &args)),
        Command::Bench(command) => block_on(bench::run(place, &command)),
        Command::Completions { shell } => {
            let mut command = crate::documented_command();
            clap_complete::generate(shell, &mut command, "decnet", &mut std::io::stdout());
            Ok(())
        }
        Command::Man { out } => std::fs::create_dir_all(&out)
            .and_then(|()| clap_mangen::generate_to(crate::documented_command(), &out))
            .with_context(|| format!("man pages in {}", out.display())),
        Command::Daemon(words) => daemon::run(place, &words),
    }
}
