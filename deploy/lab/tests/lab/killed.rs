//! A mutator that is killed wherever it may be.

use std::{thread, time::Duration};

use crate::host::{Host, kill, until};

/// Killed wherever it may be, the mutator finishes what was wanted when it is back; nothing is there twice, and nothing
/// half-made stays. `there` says of each decky that there is whether it runs, `traces` what is left of them.
pub(crate) fn killed_anywhere(
    host: &mut Host<'_>,
    there: impl Fn() -> Vec<bool>,
    traces: impl Fn() -> String,
) {
    let before = traces();
    host.up();
    until("the mutator has looked", || {
        let tried = host.run(&[
            "deploy",
            "--archetype",
            "web-server",
            "--name",
            "zero",
            "--no-wait",
        ]);
        tried.status.success().then_some(())
    });
    // From before the first step to after the last, which is some two seconds away. Whoever is killed often is started
    // again later each time.
    for (round, delay) in [0, 300, 700, 1100, 1600].into_iter().enumerate() {
        let name = format!("round{round}");
        host.ok(&[
            "deploy",
            "--archetype",
            "linux-server",
            "--name",
            &name,
            "--deckies",
            "2",
            "--no-wait",
        ]);
        thread::sleep(Duration::from_millis(delay));
        for pid in host.pids("decnet-mutator") {
            kill(pid);
        }
        until("what was wanted runs", || {
            // After its fifth death it is left alone until somebody has it tried again; before, that is refused.
            let _tried = host.run(&["worker", "clear", "mutator"]);
            let fleet = host.fleet();
            let all = fleet.len() == 1 + 2 * (round + 1) && fleet.iter().all(|d| d["state"] == "running");
            let there = there();
            (all && there.len() == fleet.len() && there.iter().all(|runs| *runs)).then_some(())
        });
    }
    host.ok(&["teardown", "--all", "--no-wait"]);
    thread::sleep(Duration::from_millis(300));
    for pid in host.pids("decnet-mutator") {
        kill(pid);
    }
    until("nothing of it is left", || {
        let _tried = host.run(&["worker", "clear", "mutator"]);
        (traces() == before && host.fleet().is_empty()).then_some(())
    });
    host.down();
}
