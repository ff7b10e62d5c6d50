//! INFO: what the server says of itself, agreeing with the persona and with what a visitor did.

use std::{fmt::Write as _, sync::atomic::Ordering};

use decnet_persona::Release;

use super::{
    commands::{Visitor, lower},
    keyspace::Database,
    table::Version,
    wire::Reply,
};

/// Sections, in the order of the server; those of the default reply first of all.
const SECTIONS: [&str; 10] = [
    "server",
    "clients",
    "memory",
    "persistence",
    "stats",
    "replication",
    "cpu",
    "modules",
    "errorstats",
    "cluster",
];

/// A line of a section: field, first version that has it, value.
type Line = (&'static str, &'static str, String);

/// The reply of INFO.
pub(super) fn info(visitor: &Visitor<'_>, args: &[Vec<u8>]) -> Reply {
    let version = visitor.server.version;
    let wanted: Vec<String> = args.iter().take(32).map(|a| lower(Some(a))).collect();
    let all = wanted.is_empty()
        || wanted
            .iter()
            .any(|w| matches!(w.as_str(), "all" | "default" | "everything"));
    let mut text = String::new();
    for section in SECTIONS.into_iter().chain(["keyspace"]) {
        let known = match section {
            "modules" => version.at_least(6, 0),
            "errorstats" => version.at_least(6, 2),
            _ => true,
        };
        if !known || !(all || wanted.iter().any(|w| w == section)) {
            continue;
        }
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let title = match section {
            "cpu" => "CPU".to_owned(),
            _ => section
                .chars()
                .take(1)
                .map(|c| c.to_ascii_uppercase())
                .chain(section.chars().skip(1))
                .collect(),
        };
        // Writing to a String cannot fail.
        let _infallible = write!(text, "# {title}\r\n");
        for (field, since, value) in lines(visitor, section) {
            if Version::parse(since) <= version {
                let _infallible = write!(text, "{field}:{value}\r\n");
            }
        }
    }
    Reply::Verbatim(text.into_bytes())
}

fn lines(visitor: &Visitor<'_>, section: &str) -> Vec<Line> {
    match section {
        "server" => server(visitor),
        "clients" => clients(),
        "memory" => memory(visitor),
        "persistence" => persistence(visitor),
        "stats" => stats(visitor),
        "replication" => replication(visitor),
        "cpu" => cpu(visitor),
        "cluster" => vec![("cluster_enabled", "5", "0".to_owned())],
        "keyspace" => keyspace(visitor),
        _ => Vec::new(),
    }
}

/// Lines with the same value everywhere: `field since value` separated by spaces.
fn fixed(table: &'static str) -> Vec<Line> {
    let rows = table.lines().filter_map(|row| {
        let mut columns = row.trim().splitn(3, ' ');
        Some((
            columns.next()?,
            columns.next()?,
            columns.next().unwrap_or_default().to_owned(),
        ))
    });
    rows.collect()
}

fn server(visitor: &Visitor<'_>) -> Vec<Line> {
    let server = visitor.server;
    let persona = &server.host.persona;
    let kernel = persona.kernel();
    let now_ms = server.now();
    let uptime = (now_ms / 1000 - server.started).max(1);
    let mut rng = persona.rng("redis/build");
    let port = visitor.local_port().to_string();
    vec![
        ("redis_version", "5", server.version_text.clone()),
        ("redis_git_sha1", "5", "00000000".to_owned()),
        ("redis_git_dirty", "5", "0".to_owned()),
        // One build of one distribution's package: it does not belong to the machine.
        ("redis_build_id", "5", build_id(&server.version_text)),
        ("redis_mode", "5", "standalone".to_owned()),
        (
            "os",
            "5",
            format!("{} {} {}", kernel.sysname, kernel.release, kernel.machine),
        ),
        ("arch_bits", "5", "64".to_owned()),
        ("monotonic_clock", "6.2", "POSIX clock_gettime".to_owned()),
        ("multiplexing_api", "5", "epoll".to_owned()),
        (
            "atomicvar_api",
            "5",
            if server.version.at_least(6, 2) {
                "c11-builtin"
            } else {
                "atomic-builtin"
            }
            .to_owned(),
        ),
        (
            "gcc_version",
            "5",
            gcc(server.host.persona.release(), server.version).to_owned(),
        ),
        ("process_id", "5", rng.range(420, 1900).to_string()),
        ("process_supervised", "6.2", "systemd".to_owned()),
        ("run_id", "5", server.run_id.clone()),
        ("tcp_port", "5", port),
        (
            "server_time_usec",
            "6.2",
            format!("{}{:03}", now_ms, rng.below(1000)),
        ),
        ("uptime_in_seconds", "5", uptime.to_string()),
        ("uptime_in_days", "5", (uptime / 86_400).to_string()),
        ("hz", "5", "10".to_owned()),
        ("configured_hz", "5", "10".to_owned()),
        ("lru_clock", "5", ((now_ms / 1000) & 0xff_ffff).to_string()),
        ("executable", "5", "/usr/bin/redis-server".to_owned()),
        ("config_file", "5", "/etc/redis/redis.conf".to_owned()),
        ("io_threads_active", "6.2", "0".to_owned()),
    ]
}

fn build_id(version: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::digest(version.as_bytes());
    hex::encode(digest.get(..8).unwrap_or_default())
        .trim_start_matches('0')
        .to_owned()
}

/// The compiler that the distribution's packages are built with.
fn gcc(release: &Release, version: Version) -> &'static str {
    match (release.id, release.version_id) {
        ("debian", "11") => "10.2.1",
        ("debian", _) => "12.2.0",
        ("ubuntu", "20.04") => "9.4.0",
        ("ubuntu", "22.04") => "11.4.0",
        ("ubuntu", _) => "13.2.0",
        ("kali", _) => "13.2.0",
        ("rocky", _) => "11.4.1",
        ("fedora", _) => "13.2.1",
        ("arch", _) => "14.1.1",
        ("alpine", _) => "13.2.1",
        _ if version.at_least(7, 0) => "12.2.0",
        _ => "10.2.1",
    }
}

fn clients() -> Vec<Line> {
    fixed(
        "connected_clients 5 1
         cluster_connections 7.0 0
         maxclients 6.2 10000
         client_recent_max_input_buffer 5 20480
         client_recent_max_output_buffer 5 0
         blocked_clients 5 0
         tracking_clients 6.0 0
         clients_in_timeout_table 6.0 0",
    )
}

fn memory(visitor: &Visitor<'_>) -> Vec<Line> {
    let server = visitor.server;
    let mut rng = server.host.persona.rng("redis/memory");
    let keys: usize = server.worlds.see(visitor.address, |w| {
        w.databases.iter().map(|d| d.sizes(server.now()).0).sum()
    });
    let startup = 862_000 + rng.below(60_000);
    let used = startup + 48_000 + u64::try_from(keys).unwrap_or_default() * 190 + rng.below(20_000);
    let peak = used + 20_000 + rng.below(900_000);
    let rss = used + 9_000_000 + rng.below(4_000_000);
    // Machines have whole gigabytes, less what the kernel keeps for itself.
    let gigabytes = 1 << rng.range(1, 5);
    let total = gigabytes * (1 << 30) - rng.range(40, 400) * (1 << 20);
    let own = server.setting(visitor.address, "maxmemory").unwrap_or_default();
    let allocated = used + rng.below(300_000);
    let resident = allocated + 1_200_000;
    let ratio = |a: u64, b: u64| {
        let hundredths = a * 100 / b.max(1);
        format!("{}.{:02}", hundredths / 100, hundredths % 100)
    };
    let mut out = vec![
        ("used_memory", "5", used.to_string()),
        ("used_memory_human", "5", human(used)),
        ("used_memory_rss", "5", rss.to_string()),
        ("used_memory_rss_human", "5", human(rss)),
        ("used_memory_peak", "5", peak.to_string()),
        ("used_memory_peak_human", "5", human(peak)),
        (
            "used_memory_peak_perc",
            "5",
            format!("{}%", ratio(used * 100, peak)),
        ),
        ("used_memory_overhead", "5", (startup + 40_000).to_string()),
        ("used_memory_startup", "5", startup.to_string()),
        (
            "used_memory_dataset",
            "5",
            (used - startup).saturating_sub(40_000).to_string(),
        ),
        (
            "used_memory_dataset_perc",
            "5",
            format!(
                "{}%",
                ratio((used - startup).saturating_sub(40_000) * 100, used - startup)
            ),
        ),
        ("allocator_allocated", "5", allocated.to_string()),
        ("allocator_active", "5", (allocated + 340_000).to_string()),
        ("allocator_resident", "5", resident.to_string()),
        ("total_system_memory", "5", total.to_string()),
        ("total_system_memory_human", "5", human(total)),
    ];
    out.extend(if server.version.at_least(7, 0) {
        fixed(
            "used_memory_lua 7.0 31744
             used_memory_vm_eval 7.0 31744
             used_memory_lua_human 7.0 31.00K
             used_memory_scripts_eval 7.0 0
             number_of_cached_scripts 7.0 0
             number_of_functions 7.0 0
             number_of_libraries 7.0 0
             used_memory_vm_functions 7.0 32768
             used_memory_vm_total 7.0 64512
             used_memory_vm_total_human 7.0 63.00K
             used_memory_functions 7.0 184
             used_memory_scripts 7.0 184
             used_memory_scripts_human 7.0 184B",
        )
    } else {
        fixed(
            "used_memory_lua 5 37888
             used_memory_lua_human 5 37.00K
             used_memory_scripts 5 0
             used_memory_scripts_human 5 0B
             number_of_cached_scripts 5 0",
        )
    });
    out.extend([
        ("maxmemory", "5", own.clone()),
        ("maxmemory_human", "5", human(own.parse().unwrap_or_default())),
        (
            "maxmemory_policy",
            "5",
            server
                .setting(visitor.address, "maxmemory-policy")
                .unwrap_or_default(),
        ),
        ("allocator_frag_ratio", "5", ratio(allocated + 340_000, allocated)),
        ("allocator_frag_bytes", "5", "340000".to_owned()),
        ("allocator_rss_ratio", "5", ratio(resident, allocated + 340_000)),
        (
            "allocator_rss_bytes",
            "5",
            (resident - allocated - 340_000).to_string(),
        ),
        ("rss_overhead_ratio", "5", ratio(rss, resident)),
        (
            "rss_overhead_bytes",
            "5",
            rss.saturating_sub(resident).to_string(),
        ),
        ("mem_fragmentation_ratio", "5", ratio(rss, used)),
        ("mem_fragmentation_bytes", "5", (rss - used).to_string()),
        ("mem_not_counted_for_evict", "5", "0".to_owned()),
        ("mem_replication_backlog", "5", "0".to_owned()),
        ("mem_total_replication_buffers", "7.0", "0".to_owned()),
        ("mem_clients_slaves", "5", "0".to_owned()),
        (
            "mem_clients_normal",
            "5",
            if server.version.at_least(7, 0) {
                "1800"
            } else {
                "20504"
            }
            .to_owned(),
        ),
        ("mem_cluster_links", "7.0", "0".to_owned()),
        ("mem_aof_buffer", "5", "0".to_owned()),
        (
            "mem_allocator",
            "5",
            if server.version.at_least(7, 0) {
                "jemalloc-5.3.0"
            } else {
                "jemalloc-5.2.1"
            }
            .to_owned(),
        ),
        ("active_defrag_running", "5", "0".to_owned()),
        ("lazyfree_pending_objects", "5", "0".to_owned()),
        ("lazyfreed_objects", "6.2", "0".to_owned()),
    ]);
    out
}

/// Bytes as the server abbreviates them (`bytesToHuman`).
fn human(bytes: u64) -> String {
    let (unit, letter) = match bytes {
        0..=1023 => return format!("{bytes}B"),
        1024..=0xf_ffff => (1 << 10, 'K'),
        0x10_0000..=0x3fff_ffff => (1 << 20, 'M'),
        _ => (1 << 30, 'G'),
    };
    let hundredths = bytes * 100 / unit;
    format!("{}.{:02}{letter}", hundredths / 100, hundredths % 100)
}

fn persistence(visitor: &Visitor<'_>) -> Vec<Line> {
    let (last_save, changes) = visitor
        .server
        .worlds
        .see(visitor.address, |w| (w.last_save, w.changes));
    let mut out = fixed(
        "loading 5 0
         async_loading 7.0 0
         current_cow_peak 7.0 0
         current_cow_size 6.2 0
         current_cow_size_age 6.2 0
         current_fork_perc 6.2 0.00
         current_save_keys_processed 6.2 0
         current_save_keys_total 6.2 0",
    );
    out.push(("rdb_changes_since_last_save", "5", changes.to_string()));
    out.push(("rdb_bgsave_in_progress", "5", "0".to_owned()));
    out.push(("rdb_last_save_time", "5", last_save.to_string()));
    out.extend(fixed(
        "rdb_last_bgsave_status 5 ok
         rdb_last_bgsave_time_sec 5 0
         rdb_current_bgsave_time_sec 5 -1
         rdb_saves 7.0 12
         rdb_last_cow_size 5 409600
         rdb_last_load_keys_expired 7.0 0
         rdb_last_load_keys_loaded 7.0 0
         aof_enabled 5 0
         aof_rewrite_in_progress 5 0
         aof_rewrite_scheduled 5 0
         aof_last_rewrite_time_sec 5 -1
         aof_current_rewrite_time_sec 5 -1
         aof_last_bgrewrite_status 5 ok
         aof_rewrites 7.0 0
         aof_rewrites_consecutive_failures 7.0 0
         aof_last_write_status 5 ok
         aof_last_cow_size 5 0
         module_fork_in_progress 6.0 0
         module_fork_last_cow_size 6.0 0",
    ));
    out
}

fn stats(visitor: &Visitor<'_>) -> Vec<Line> {
    let connections = visitor.server.connections.load(Ordering::Relaxed);
    let commands = visitor.server.commands.load(Ordering::Relaxed);
    let mut out = vec![
        ("total_connections_received", "5", connections.to_string()),
        ("total_commands_processed", "5", commands.to_string()),
        ("instantaneous_ops_per_sec", "5", "0".to_owned()),
        ("total_net_input_bytes", "5", (commands * 61).to_string()),
        ("total_net_output_bytes", "5", (commands * 243).to_string()),
    ];
    out.extend(fixed(
        "total_net_repl_input_bytes 7.0 0
         total_net_repl_output_bytes 7.0 0
         instantaneous_input_kbps 5 0.02
         instantaneous_output_kbps 5 0.05
         instantaneous_input_repl_kbps 7.0 0.00
         instantaneous_output_repl_kbps 7.0 0.00
         rejected_connections 5 0
         sync_full 5 0
         sync_partial_ok 5 0
         sync_partial_err 5 0",
    ));
    out.push(("expired_keys", "5", (commands / 37).to_string()));
    out.extend(fixed(
        "expired_stale_perc 5 0.00
         expired_time_cap_reached_count 5 0
         expire_cycle_cpu_milliseconds 6.0 1423
         evicted_keys 5 0
         evicted_clients 7.0 0
         total_eviction_exceeded_time 6.2 0
         current_eviction_exceeded_time 6.2 0",
    ));
    out.push(("keyspace_hits", "5", (commands / 3).to_string()));
    out.push(("keyspace_misses", "5", (commands / 41).to_string()));
    out.extend(fixed(
        "pubsub_channels 5 0
         pubsub_patterns 5 0
         pubsubshard_channels 7.0 0
         latest_fork_usec 5 312
         total_forks 6.2 12
         migrate_cached_sockets 5 0
         slave_expires_tracked_keys 5 0
         active_defrag_hits 5 0
         active_defrag_misses 5 0
         active_defrag_key_hits 5 0
         active_defrag_key_misses 5 0
         total_active_defrag_time 7.0 0
         current_active_defrag_time 7.0 0
         tracking_total_keys 6.0 0
         tracking_total_items 6.0 0
         tracking_total_prefixes 6.0 0
         unexpected_error_replies 6.0 0
         total_error_replies 6.2 0
         dump_payload_sanitizations 6.2 0",
    ));
    out.push((
        "total_reads_processed",
        "6.0",
        (commands + connections).to_string(),
    ));
    out.push(("total_writes_processed", "6.0", commands.to_string()));
    out.extend(fixed(
        "io_threaded_reads_processed 6.0 0
         io_threaded_writes_processed 6.0 0
         reply_buffer_shrinks 7.0 41
         reply_buffer_expands 7.0 0",
    ));
    out
}

fn replication(visitor: &Visitor<'_>) -> Vec<Line> {
    let server = visitor.server;
    let mut out = match server.worlds.see(visitor.address, |w| w.master.clone()) {
        None => vec![("role", "5", "master".to_owned())],
        Some((host, port)) => {
            let mut out = vec![
                ("role", "5", "slave".to_owned()),
                ("master_host", "5", host),
                ("master_port", "5", port.to_string()),
            ];
            out.extend(fixed(
                "master_link_status 5 down
                 master_last_io_seconds_ago 5 -1
                 master_sync_in_progress 5 0
                 slave_read_repl_offset 7.0 0
                 slave_repl_offset 5 0
                 master_link_down_since_seconds 5 -1
                 slave_priority 5 100
                 slave_read_only 5 1
                 replica_announced 6.2 1",
            ));
            out
        }
    };
    out.extend(fixed(
        "connected_slaves 5 0
         master_failover_state 6.2 no-failover",
    ));
    out.push(("master_replid", "5", server.replication_id.clone()));
    out.extend(fixed(
        "master_replid2 5 0000000000000000000000000000000000000000
         master_repl_offset 5 0
         second_repl_offset 5 -1
         repl_backlog_active 5 0
         repl_backlog_size 5 1048576
         repl_backlog_first_byte_offset 5 0
         repl_backlog_histlen 5 0",
    ));
    out
}

fn cpu(visitor: &Visitor<'_>) -> Vec<Line> {
    let server = visitor.server;
    let uptime = u64::try_from(server.now() / 1000 - server.started).unwrap_or(1);
    let mut rng = server.host.persona.rng("redis/cpu");
    // An idle server uses about a thousandth of a processor: `serverCron` runs ten times a second.
    let mut spent = |per_million: u64| {
        let micros = uptime * per_million + rng.below(900_000);
        format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    };
    vec![
        ("used_cpu_sys", "5", spent(620)),
        ("used_cpu_user", "5", spent(540)),
        ("used_cpu_sys_children", "5", spent(2)),
        ("used_cpu_user_children", "5", spent(3)),
        ("used_cpu_sys_main_thread", "6.2", spent(619)),
        ("used_cpu_user_main_thread", "6.2", spent(538)),
    ]
}

fn keyspace(visitor: &Visitor<'_>) -> Vec<Line> {
    const NAMES: [&str; super::keyspace::DATABASES] = [
        "db0", "db1", "db2", "db3", "db4", "db5", "db6", "db7", "db8", "db9", "db10", "db11", "db12", "db13",
        "db14", "db15",
    ];
    let now = visitor.server.now();
    let sizes: Vec<(usize, usize)> = visitor.server.worlds.see(visitor.address, |w| {
        w.databases.iter().map(|d: &Database| d.sizes(now)).collect()
    });
    let filled = NAMES.into_iter().zip(sizes).filter(|(_, (keys, _))| *keys > 0);
    filled
        .map(|(name, (keys, expires))| {
            let ttl = if expires == 0 { 0 } else { 1_791_334 };
            (name, "5", format!("keys={keys},expires={expires},avg_ttl={ttl}"))
        })
        .collect()
}
