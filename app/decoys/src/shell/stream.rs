//! A shell that reads its commands from its standard input: `bash -s`, `… | sh`, a login without a terminal.
//!
//! It takes one whole command at a time, as a real one does: what a command reads are the lines behind it, and each
//! command is evidence of its own. Start at [`Shell::follow`]. What is typed at a prompt is `interactive.rs`'s.

use super::{
    interactive::Rest,
    parse::OpenHere,
    run::{Fds, Input, Report, Shell, Stop},
    vfs::MAX_BYTES,
};

/// Bytes that are parsed again because a command goes on; one that takes more gets all that is left of the input.
const REREAD: usize = 4 << 20;
/// Commands that are reported of what one command line pipes into shells: a loop makes a script of any length.
const PIPED: u32 = 1_000;

impl Shell {
    /// A login shell without a terminal, from its first command to the end of its input.
    pub(crate) async fn login_stream(&mut self) {
        self.env.arg0 = format!("-{}", self.machine.distribution.shell_name());
        self.env.from_input = true;
        let fds = Fds::session();
        while let Ok(Some(command)) = self.next_command(&fds).await {
            self.report_read(&command, &fds);
            if self.run_line(&command).await {
                break;
            }
            self.pass(&command);
        }
        self.finish().await;
    }

    /// Run the commands of the input up to its end.
    pub(super) async fn follow(&mut self, fds: &Fds) -> Result<(), Stop> {
        while let Some(command) = self.next_command(fds).await? {
            self.report_read(&command, fds);
            self.run_script(&command, fds).await?;
            self.pass(&command);
        }
        Ok(())
    }

    /// The next whole command; `None` where nothing is left.
    async fn next_command(&mut self, fds: &Fds) -> Result<Option<Vec<u8>>, Stop> {
        let mut command = Vec::new();
        let mut here: Option<OpenHere> = None;
        let mut reread = 0;
        while let (Some(line), ended) = self.input_until(fds, true, b'\n', None).await? {
            command.extend_from_slice(&line);
            if !ended {
                break;
            }
            let whole = command.len();
            command.push(b'\n');
            if command.len() > MAX_BYTES {
                return Err(Stop::Killed);
            }
            if here.as_ref().is_some_and(|h| !h.is_closed_by(&line)) {
                continue;
            }
            if command.trim_ascii().is_empty() {
                self.pass(&command);
                command.clear();
                continue;
            }
            reread += whole;
            here = match Self::rest_of(command.get(..whole).unwrap_or_default()) {
                Rest::Nothing => break,
                _ if reread > REREAD => {
                    command.extend(self.input_all(fds).await?);
                    break;
                }
                Rest::Lines => None,
                Rest::Here(open) => Some(open),
            };
        }
        Ok((!command.trim_ascii().is_empty()).then_some(command))
    }

    fn report_read(&mut self, command: &[u8], fds: &Fds) {
        if matches!(fds.input, Input::Session) {
            // The visitor sent it itself, and may go on for as long as it sends.
            self.renew_budget();
        } else {
            self.piped += 1;
            if self.piped > PIPED {
                return;
            }
        }
        self.outside.report(Report::Command {
            line: command.trim_ascii(),
            user: &self.env.user,
            cwd: &self.env.cwd,
        });
    }

    /// Count the lines of what was read.
    fn pass(&mut self, command: &[u8]) {
        let lines = command.iter().filter(|b| **b == b'\n').count();
        self.lines_before += u32::try_from(lines).unwrap_or(0);
    }
}
