//! What a network stack can be told in its own namespace, so that it behaves like that of another system.
//!
//! This is the part that sysctls reach. What they do not reach, such as the order of TCP options and the IP identifier of
//! a SYN-ACK, is the cloak's.

use std::{fs, io};

use decnet_persona::OsFamily;

/// Keys under `net.ipv4.` and values.
///
/// The window scale that Linux offers follows from the most that it would buffer: 2^(15+n) bytes give a scale of n.
pub(super) fn sysctls(os: OsFamily) -> Vec<(String, String)> {
    let stack = match os {
        OsFamily::Linux => Stack {
            ttl: 64,
            timestamps: true,
            sack: true,
            scaling: true,
            ecn: 2,
            pmtu: true,
            icmp_ms: 1000,
            icmp_mask: 6168,
            buffer: [4096, 131_072, 6_291_456],
        },
        // Neither answers with timestamps unless asked by a domain's policy.
        OsFamily::Windows | OsFamily::WindowsServer => Stack {
            ttl: 128,
            timestamps: false,
            sack: true,
            scaling: true,
            ecn: 0,
            pmtu: true,
            icmp_ms: 0,
            icmp_mask: 0,
            buffer: [4096, 65_536, 8_388_608],
        },
        OsFamily::Bsd => Stack {
            ttl: 64,
            timestamps: true,
            sack: true,
            scaling: true,
            ecn: 2,
            pmtu: true,
            icmp_ms: 5,
            icmp_mask: 6168,
            buffer: [4096, 65_536, 2_097_152],
        },
        OsFamily::Embedded => Stack {
            ttl: 64,
            timestamps: false,
            sack: true,
            scaling: false,
            ecn: 0,
            pmtu: false,
            icmp_ms: 1000,
            icmp_mask: 6168,
            buffer: [4096, 16_384, 65_536],
        },
        OsFamily::Cisco => Stack {
            ttl: 255,
            timestamps: false,
            sack: false,
            scaling: false,
            ecn: 0,
            pmtu: false,
            icmp_ms: 500,
            icmp_mask: 6168,
            buffer: [4096, 8_192, 16_384],
        },
    };
    stack.keys()
}

/// Let the network of this thread behave like that of `os`: `/proc/sys/net` is that of whoever opens it.
pub(super) fn set(os: OsFamily) -> io::Result<()> {
    sysctls(os)
        .into_iter()
        .try_for_each(|(key, value)| write(&key, &value))
}

/// Give one key its value.
pub(super) fn write(key: &str, value: &str) -> io::Result<()> {
    let told = |e: io::Error| io::Error::new(e.kind(), format!("set {key}: {e}"));
    fs::write(format!("/proc/sys/{}", key.replace('.', "/")), value).map_err(told)
}

/// Let `interface` of this thread's network have no IPv6 address, or with `all` every one that comes; where there is IPv6.
pub(super) fn without_ipv6(interface: &str) -> io::Result<()> {
    if fs::exists("/proc/sys/net/ipv6")? {
        write(&format!("net.ipv6.conf.{interface}.disable_ipv6"), "1")?;
    }
    Ok(())
}

struct Stack {
    ttl: u8,
    timestamps: bool,
    sack: bool,
    scaling: bool,
    /// 0: never; 2: where the other side asks.
    ecn: u8,
    /// Whether it looks for the path's MTU.
    pmtu: bool,
    /// Least time between two ICMP errors of one kind, …
    icmp_ms: u32,
    /// … for the kinds of this mask.
    icmp_mask: u32,
    /// Least, usual and most bytes that a connection buffers.
    buffer: [u32; 3],
}

impl Stack {
    fn keys(&self) -> Vec<(String, String)> {
        let flag = |on: bool| u8::from(on).to_string();
        let [least, usual, most] = self.buffer;
        [
            ("ip_default_ttl", self.ttl.to_string()),
            ("tcp_timestamps", flag(self.timestamps)),
            ("tcp_sack", flag(self.sack)),
            ("tcp_window_scaling", flag(self.scaling)),
            ("tcp_ecn", self.ecn.to_string()),
            ("ip_no_pmtu_disc", flag(!self.pmtu)),
            ("icmp_ratelimit", self.icmp_ms.to_string()),
            ("icmp_ratemask", self.icmp_mask.to_string()),
            ("tcp_rmem", format!("{least} {usual} {most}")),
        ]
        .map(|(key, value)| (format!("net.ipv4.{key}"), value))
        .into()
    }
}
