//! What no container of ours goes without, whoever made the program in it.

use std::collections::HashMap;

use bollard::models::{HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, ResourcesUlimits};

/// One processor, in billionths.
const NANO_CPUS: i64 = 1_000_000_000;
/// The most files that a process of it may have open.
const FILES: i64 = 8192;

/// A container that may do next to nothing: no capability, no new privileges, a root that cannot be written, a bound on everything.
/// Docker restarts none by itself: what it started would not be contained, or would stand in a network that is gone.
///
/// `memory` is in bytes, swap included; `processes` counts threads, too.
pub(super) fn hardened(memory: i64, processes: i64) -> HostConfig {
    HostConfig {
        readonly_rootfs: Some(true),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        ipc_mode: Some("private".to_owned()),
        memory: Some(memory),
        memory_swap: Some(memory),
        nano_cpus: Some(NANO_CPUS),
        pids_limit: Some(processes),
        ulimits: Some(vec![ResourcesUlimits {
            name: Some("nofile".to_owned()),
            soft: Some(FILES),
            hard: Some(FILES),
        }]),
        restart_policy: None,
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from(
                [("max-size", "256k"), ("max-file", "2")].map(|(k, v)| (k.to_owned(), v.to_owned())),
            )),
        }),
        ..HostConfig::default()
    }
}
