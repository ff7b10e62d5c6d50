//! Programs of the network. They show the persona's one interface and reach nothing: a fetch is reported, waits as
//! long as a dropped packet makes one wait, and fails.

use std::time::Duration;

use super::{Call, Shell};
use crate::shell::{distribution::Family, machine::Machine, reach::Reach};

/// How long a connection attempt hangs before we answer for it: the machine's own time, and a little that differs
/// each time. Intruders' tools rarely wait out the kernel's two minutes.
fn hang(shell: &Shell) -> Duration {
    Duration::from_millis(u64::from(shell.machine.hang_ms) + shell.random() % 90)
}

fn counters(machine: &Machine, now: i64) -> (i64, i64, i64, i64) {
    let up = machine.uptime(now);
    (up * 2, up * 911, up, up * 340)
}

fn broadcast(machine: &Machine) -> String {
    machine
        .address
        .rsplit_once('.')
        .map(|(head, _)| format!("{head}.255"))
        .unwrap_or_default()
}

fn link_local(machine: &Machine) -> String {
    let b: Vec<u8> = machine
        .mac
        .split(':')
        .filter_map(|p| u8::from_str_radix(p, 16).ok())
        .collect();
    match b.as_slice() {
        [a, b, c, d, e, f] => format!("fe80::{:02x}{b:02x}:{c:02x}ff:fe{d:02x}:{e:02x}{f:02x}", a ^ 2),
        _ => "fe80::1".to_owned(),
    }
}

pub(super) fn ifconfig(shell: &mut Shell, call: &mut Call) -> u8 {
    let m = &shell.machine;
    let (rxp, rxb, txp, txb) = counters(m, shell.now());
    let unit = |b: i64| {
        if b > 1_000_000_000 {
            format!("{b} ({:.1} GiB)", f64_of(b) / 1_073_741_824.0)
        } else {
            format!("{b} ({:.1} MiB)", f64_of(b) / 1_048_576.0)
        }
    };
    let eth = format!(
        "{}: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1500\n        inet {}  netmask 255.255.255.0  broadcast {}\n        inet6 {}  prefixlen 64  scopeid 0x20<link>\n        ether {}  txqueuelen 1000  (Ethernet)\n        RX packets {rxp}  bytes {}\n        RX errors 0  dropped 0  overruns 0  frame 0\n        TX packets {txp}  bytes {}\n        TX errors 0  dropped 0 overruns 0  carrier 0  collisions 0\n\n",
        m.interface,
        m.address,
        broadcast(m),
        link_local(m),
        m.mac,
        unit(rxb),
        unit(txb)
    );
    let lo = "lo: flags=73<UP,LOOPBACK,RUNNING>  mtu 65536\n        inet 127.0.0.1  netmask 255.0.0.0\n        inet6 ::1  prefixlen 128  scopeid 0x10<host>\n        loop  txqueuelen 1000  (Local Loopback)\n        RX packets 214  bytes 18212 (17.7 KiB)\n        RX errors 0  dropped 0  overruns 0  frame 0\n        TX packets 214  bytes 18212 (17.7 KiB)\n        TX errors 0  dropped 0 overruns 0  carrier 0  collisions 0\n\n";
    match call.operands("").first().map(String::as_str) {
        None => call.out(format!("{eth}{lo}")),
        Some("lo") => call.out(lo),
        Some(name) if name == m.interface => call.out(eth),
        Some(name) => {
            call.err(format!(
                "{name}: error fetching interface information: Device not found\n"
            ));
            return 1;
        }
    }
    0
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn f64_of(n: i64) -> f64 {
    n as f64
}

pub(super) fn ip(shell: &mut Shell, call: &mut Call) -> u8 {
    let m = &shell.machine;
    let object = call.operands("").first().cloned().unwrap_or_default();
    if object.is_empty() {
        call.err("Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }\n       ip [ -force ] -batch filename\n");
        return 255;
    }
    let brief = call
        .args
        .iter()
        .any(|a| "-brief".starts_with(a.as_str()) && a.len() > 2);
    let text = if brief && "address".starts_with(&object) {
        format!(
            "lo               UNKNOWN        127.0.0.1/8 ::1/128 \n{:<16} UP             {}/24 {}/64 \n",
            m.interface,
            m.address,
            link_local(m)
        )
    } else if brief && "link".starts_with(&object) {
        format!(
            "lo               UNKNOWN        00:00:00:00:00:00 <LOOPBACK,UP,LOWER_UP> \n{:<16} UP             {} <BROADCAST,MULTICAST,UP,LOWER_UP> \n",
            m.interface, m.mac
        )
    } else if "address".starts_with(&object) || object == "addr" {
        format!(
            "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000\n    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n    inet 127.0.0.1/8 scope host lo\n       valid_lft forever preferred_lft forever\n    inet6 ::1/128 scope host noprefixroute \n       valid_lft forever preferred_lft forever\n2: {0}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc fq_codel state UP group default qlen 1000\n    link/ether {1} brd ff:ff:ff:ff:ff:ff\n    inet {2}/24 brd {3} scope global {0}\n       valid_lft forever preferred_lft forever\n    inet6 {4}/64 scope link \n       valid_lft forever preferred_lft forever\n",
            m.interface,
            m.mac,
            m.address,
            broadcast(m),
            link_local(m)
        )
    } else if "route".starts_with(&object) {
        let net = m
            .address
            .rsplit_once('.')
            .map(|(h, _)| format!("{h}.0"))
            .unwrap_or_default();
        format!(
            "default via {} dev {2} onlink \n{net}/24 dev {2} proto kernel scope link src {1} \n",
            m.gateway, m.address, m.interface
        )
    } else if "link".starts_with(&object) {
        format!(
            "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN mode DEFAULT group default qlen 1000\n    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n2: {}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc fq_codel state UP mode DEFAULT group default qlen 1000\n    link/ether {} brd ff:ff:ff:ff:ff:ff\n",
            m.interface, m.mac
        )
    } else if "neighbour".starts_with(&object) || object == "neigh" {
        format!(
            "{} dev {} lladdr {} REACHABLE\n",
            m.gateway, m.interface, m.gateway_mac
        )
    } else {
        call.err(format!("Object \"{object}\" is unknown, try \"ip help\".\n"));
        return 1;
    };
    call.out(text);
    0
}

fn peer(shell: &Shell) -> Option<(String, String)> {
    let client = shell.env.text("SSH_CLIENT");
    let mut parts = client.split(' ');
    Some((
        parts.next().filter(|a| !a.is_empty())?.to_owned(),
        parts.next()?.to_owned(),
    ))
}

pub(super) fn netstat(shell: &mut Shell, call: &mut Call) -> u8 {
    if call.has('r') {
        return route(shell, call);
    }
    let m = &shell.machine;
    let program = call.has('p') && shell.env.uid == 0;
    let listening = call.has('l') || call.has('a');
    let tail = if call.has('p') { "PID/Program name    " } else { "" };
    let kind = match (call.has('l'), call.has('a')) {
        (true, _) => "(only servers)",
        (_, true) => "(servers and established)",
        _ => "(w/o servers)",
    };
    let mut out = format!(
        "Active Internet connections {kind}\nProto Recv-Q Send-Q Local Address           Foreign Address         State       {tail}\n"
    );
    let who = |pid: u32, name: &str| {
        if program {
            format!("{:<19} ", format!("{pid}/{name}"))
        } else if call.has('p') {
            "-                   ".to_owned()
        } else {
            String::new()
        }
    };
    if listening {
        for (port, name, pid) in &shell.running().listening {
            out.push_str(&format!(
                "tcp        0      0 {:<23} 0.0.0.0:*               LISTEN      {}\n",
                format!("0.0.0.0:{port}"),
                who(*pid, name)
            ));
        }
        for (port, name, pid) in shell
            .running()
            .listening
            .iter()
            .filter(|l| matches!(l.0, 22 | 80 | 443))
        {
            out.push_str(&format!(
                "tcp6       0      0 {:<23} :::*                    LISTEN      {}\n",
                format!(":::{port}"),
                who(*pid, name)
            ));
        }
    }
    if !call.has('l')
        && let Some((address, port)) = peer(shell)
    {
        out.push_str(&format!(
            "tcp        0      0 {:<23} {:<23} ESTABLISHED {}\n",
            format!("{}:22", m.address),
            format!("{address}:{port}"),
            who(shell.pid - 4, "sshd: ")
        ));
    }
    call.out(out);
    0
}

pub(super) fn ss(shell: &mut Shell, call: &mut Call) -> u8 {
    // State, local address and port, peer address and port, process.
    let mut rows: Vec<[String; 6]> = Vec::new();
    let word = |text: &str| text.to_owned();
    let tcp = !call.has('u') || call.has('t');
    if tcp && (call.has('l') || call.has('a')) {
        for (port, name, pid) in &shell.running().listening {
            for (address, fd) in [("0.0.0.0", 3), ("[::]", 4)] {
                if address == "[::]" && !matches!(port, 22 | 80 | 443) {
                    continue;
                }
                let process = if call.has('p') && shell.env.uid == 0 {
                    format!("users:((\"{name}\",pid={pid},fd={fd}))")
                } else {
                    String::new()
                };
                rows.push([
                    word("LISTEN"),
                    word(address),
                    port.to_string(),
                    word(address),
                    word("*"),
                    process,
                ]);
            }
        }
    }
    if tcp
        && !call.has('l')
        && let Some((address, port)) = peer(shell)
    {
        let process = if call.has('p') && shell.env.uid == 0 {
            format!("users:((\"sshd\",pid={},fd=4))", shell.login_pid - 4)
        } else {
            String::new()
        };
        rows.push([
            word("ESTAB"),
            shell.machine.address.clone(),
            word("22"),
            address,
            port,
            process,
        ]);
    }
    let width = |i: usize, least: usize| {
        rows.iter()
            .filter_map(|r| r.get(i))
            .map(String::len)
            .max()
            .unwrap_or(0)
            .max(least)
    };
    let (local, port, far, far_port) = (width(1, 13), width(2, 4), width(3, 12), width(4, 4));
    let mut out = format!(
        "State  Recv-Q Send-Q {:>local$}:{:<port$} {:>far$}:{:<far_port$}Process\n",
        "Local Address", "Port", "Peer Address", "Port"
    );
    for [state, a, b, c, d, process] in &rows {
        let queue = if state == "LISTEN" { "128" } else { "0" };
        let line =
            format!("{state:<6} 0      {queue:<6} {a:>local$}:{b:<port$} {c:>far$}:{d:<far_port$} {process}");
        out.push_str(line.trim_end());
        out.push('\n');
    }
    call.out(out);
    0
}

pub(super) fn route(shell: &mut Shell, call: &mut Call) -> u8 {
    let m = &shell.machine;
    if call.name == "arp" && call.has('a') {
        call.out(format!(
            "? ({}) at {} [ether] on {}\n",
            m.gateway, m.gateway_mac, m.interface
        ));
        return 0;
    }
    if call.name == "arp" {
        call.out(format!("Address                  HWtype  HWaddress           Flags Mask            Iface\n{:<24} ether   {}   C                     {}\n", m.gateway, m.gateway_mac, m.interface));
        return 0;
    }
    let net = m
        .address
        .rsplit_once('.')
        .map(|(h, _)| format!("{h}.0"))
        .unwrap_or_default();
    call.out(format!(
        "Kernel IP routing table\nDestination     Gateway         Genmask         Flags Metric Ref    Use Iface\n{:<15} {:<15} 0.0.0.0         UG    0      0        0 {3}\n{2:<15} 0.0.0.0         255.255.255.0   U     0      0        0 {3}\n",
        if call.has('n') { "0.0.0.0" } else { "default" }, m.gateway, net, m.interface
    ));
    0
}

pub(super) fn iptables(shell: &mut Shell, call: &mut Call) -> u8 {
    if shell.env.uid != 0 {
        let version = shell
            .machine
            .upstream(&["iptables", "iptables-nft", "iptables-libs"])
            .unwrap_or_else(|| "1.8.9".to_owned());
        call.err(format!("iptables v{version} (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)\n"));
        return 4;
    }
    if call.has('L') {
        call.out("Chain INPUT (policy ACCEPT)\ntarget     prot opt source               destination         \n\nChain FORWARD (policy ACCEPT)\ntarget     prot opt source               destination         \n\nChain OUTPUT (policy ACCEPT)\ntarget     prot opt source               destination         \n");
    } else if call.has('S') {
        call.out("-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n");
    }
    0
}

fn is_own(shell: &Shell, host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1")
        || host == shell.machine.hostname
        || host == shell.machine.address
}

fn is_address(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok()
}

pub(super) fn ping(shell: &mut Shell, call: &mut Call) -> u8 {
    let Some(host) = call.operands("ciWwst").first().cloned() else {
        call.err("ping: usage error: Destination address required\n");
        return 1;
    };
    let count = call
        .value("-c", "")
        .and_then(|c| c.parse::<u32>().ok())
        .unwrap_or(10)
        .clamp(1, 20);
    if !is_address(&host) && !is_own(shell, &host) {
        call.wait(Duration::from_secs(5));
        call.err(format!("ping: {host}: Temporary failure in name resolution\n"));
        return 2;
    }
    let own = is_own(shell, &host) || host == shell.machine.gateway;
    call.out(format!("PING {host} ({host}) 56(84) bytes of data.\n"));
    for i in 1..=count {
        if own {
            let time = 20 + shell.random() % 60;
            call.out(format!(
                "64 bytes from {host}: icmp_seq={i} ttl=64 time=0.0{time} ms\n"
            ));
        }
        call.wait(Duration::from_secs(1));
    }
    let (received, loss) = if own { (count, 0) } else { (0, 100) };
    call.out(format!("\n--- {host} ping statistics ---\n{count} packets transmitted, {received} received, {loss}% packet loss, time {}ms\n\n", count * 1_016 - 1_000));
    u8::from(!own)
}

/// Scheme, host, port and path of a URL as these programs take it.
fn url_parts(url: &str) -> (String, String, u16, String) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let host_port = authority.rsplit('@').next().unwrap_or(authority);
    let standard = match scheme {
        "https" => 443,
        "ftp" => 21,
        _ => 80,
    };
    let (host, port) = match host_port.rsplit_once(':') {
        Some((host, port)) if !host_port.ends_with(']') => (host, port.parse().unwrap_or(standard)),
        _ => (host_port, standard),
    };
    (scheme.to_owned(), host.to_owned(), port, path.to_owned())
}

pub(super) fn wget(shell: &mut Shell, call: &mut Call) -> u8 {
    let urls = call.operands("OoPTtUei");
    if shell.machine.distribution.is_busybox() {
        return busybox_wget(shell, call, &urls);
    }
    if urls.is_empty() {
        call.err(
            "wget: missing URL\nUsage: wget [OPTION]... [URL]...\n\nTry `wget --help' for more options.\n",
        );
        return 1;
    }
    let quiet = call.has('q');
    for url in urls {
        let (scheme, host, port, path) = url_parts(&url);
        let whole = if url.contains("://") {
            url.clone()
        } else {
            format!(
                "{scheme}://{host}{}{path}",
                if port == 80 {
                    String::new()
                } else {
                    format!(":{port}")
                }
            )
        };
        call.fetched.push((whole.clone(), "wget".to_owned()));
        let at = stamp(shell.now());
        let say = |call: &mut Call, text: String| {
            if !quiet {
                call.err(text);
            }
        };
        say(call, format!("--{at}--  {whole}\n"));
        let reach = shell.reach(&host, port);
        if let Some(own) = shell.own_address(&host) {
            if own != host {
                say(call, format!("Resolving {host} ({host})... {own}\n"));
                say(call, format!("Connecting to {host} ({host})|{own}|:{port}... "));
            } else {
                say(call, format!("Connecting to {host}:{port}... "));
            }
            if reach == Reach::Refused {
                say(call, "failed: Connection refused.\n".to_owned());
            } else {
                say(
                    call,
                    "connected.\nHTTP request sent, awaiting response... No data received.\nGiving up.\n\n"
                        .to_owned(),
                );
            }
        } else if reach == Reach::Unknown {
            say(call, format!("Resolving {host} ({host})... "));
            call.wait(Duration::from_secs(5));
            say(
                call,
                format!(
                    "failed: Temporary failure in name resolution.\nwget: unable to resolve host address ‘{host}’\n"
                ),
            );
        } else {
            say(call, format!("Connecting to {host}:{port}... "));
            call.wait(hang(shell));
            say(call, "failed: Connection timed out.\nGiving up.\n\n".to_owned());
        }
    }
    4
}

/// BusyBox's own, which says less.
fn busybox_wget(shell: &Shell, call: &mut Call, urls: &[String]) -> u8 {
    if urls.is_empty() {
        let head = shell.machine.distribution.busybox();
        call.err(format!("{head}\n\nUsage: wget [-c|--continue] [--spider] [-q|--quiet] [-O|--output-document FILE]\n\t[--header 'header: value'] [-Y|--proxy on/off] [-P DIR]\n\t[-S|--server-response] [-U|--user-agent AGENT] [-T SEC] URL...\n"));
        return 1;
    }
    for url in urls {
        let (scheme, host, port, path) = url_parts(url);
        let whole = if url.contains("://") {
            url.clone()
        } else {
            format!("{scheme}://{host}{path}")
        };
        call.fetched.push((whole, "wget".to_owned()));
        let reach = shell.reach(&host, port);
        if reach == Reach::Unknown {
            call.wait(Duration::from_secs(5));
            call.err(format!("wget: bad address '{host}'\n"));
            return 1;
        }
        if !call.has('q') {
            let at = shell.own_address(&host).unwrap_or_else(|| host.clone());
            call.err(format!("Connecting to {host} ({at}:{port})\n"));
        }
        match reach {
            Reach::Refused => {
                call.err(format!(
                    "wget: can't connect to remote host ({host}): Connection refused\n"
                ));
                return 1;
            }
            Reach::Open(_) => {
                call.err("wget: error getting response\n");
                return 1;
            }
            _ => call.wait(hang(shell)),
        }
        call.err(format!(
            "wget: can't connect to remote host ({host}): Connection timed out\n"
        ));
    }
    1
}

fn stamp(now: i64) -> String {
    let at = time::OffsetDateTime::from_unix_timestamp(now).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    format!(
        "{} {:02}:{:02}:{:02}",
        at.date(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

pub(super) fn curl(shell: &mut Shell, call: &mut Call) -> u8 {
    let urls = call.operands("oHdXAubeTmFxr");
    if urls.is_empty() {
        call.err("curl: try 'curl --help' or 'curl --manual' for more information\n");
        return 2;
    }
    let silent = call.has('s') && !call.has('S');
    let mut status = 0;
    for url in urls {
        let (scheme, host, port, path) = url_parts(&url);
        let whole = if url.contains("://") {
            url.clone()
        } else {
            format!("{scheme}://{host}:{port}{path}")
        };
        call.fetched.push((whole, "curl".to_owned()));
        let reach = shell.reach(&host, port);
        let text = if let Reach::Open(greeting) = &reach {
            // Whatever speaks first does not speak HTTP.
            let (code, why) = if greeting.is_empty() {
                (52, "Empty reply from server")
            } else {
                (1, "Received HTTP/0.9 when not allowed")
            };
            status = code;
            format!("curl: ({code}) {why}\n")
        } else if reach == Reach::Refused {
            status = 7;
            let version = shell.machine.upstream(&["curl", "curl-minimal", "libcurl"]);
            let minor = version
                .as_deref()
                .and_then(|v| v.split('.').nth(1)?.parse::<u32>().ok());
            let eighth = version.is_none_or(|v| v.starts_with('8'));
            // What it says of a refusal changed with 7.79 and with 7.85.
            let why = match minor {
                Some(0..79) if !eighth => ": Connection refused",
                Some(79..85) if !eighth => " after 0 ms: Connection refused",
                _ => " after 0 ms: Couldn't connect to server",
            };
            format!("curl: (7) Failed to connect to {host} port {port}{why}\n")
        } else if reach == Reach::Silent {
            // What the caller allows, in seconds; curl tells which of the two limits it was.
            let limit = |short: &str, long: &str| {
                let seconds = call.value(short, long)?.parse::<f64>().ok()?;
                Duration::try_from_secs_f64(seconds).ok()
            };
            let own = hang(shell);
            let late = Duration::from_millis(shell.random() % 3);
            let whole = limit("-m", "--max-time").filter(|t| *t < own).map(|t| t + late);
            let connect = limit("--connect-timeout", "--connect-timeout")
                .filter(|t| *t < whole.unwrap_or(own))
                .map(|t| t + late);
            let waited = connect.or(whole).unwrap_or(own);
            call.wait(waited);
            status = 28;
            let ms = waited.as_millis();
            match (connect, whole) {
                (Some(_), _) => format!(
                    "curl: (28) Failed to connect to {host} port {port} after {ms} ms: Timeout was reached\n"
                ),
                (None, Some(_)) => format!("curl: (28) Connection timed out after {ms} milliseconds\n"),
                (None, None) => format!(
                    "curl: (28) Failed to connect to {host} port {port} after {ms} ms: Couldn't connect to server\n"
                ),
            }
        } else {
            call.wait(Duration::from_secs(5));
            status = 6;
            format!("curl: (6) Could not resolve host: {host}\n")
        };
        if !silent {
            call.err(text);
        }
    }
    status
}

pub(super) fn other(shell: &mut Shell, call: &mut Call) -> u8 {
    let operands = call.operands("lrgpucPioF");
    let name = call.name.clone();
    let target = operands.join(" ");
    if target.is_empty() {
        let head = shell.machine.distribution.busybox();
        call.err(match name.as_str() {
            "tftp" if shell.machine.distribution.is_busybox() => format!("{head}\n\nUsage: tftp [OPTIONS] HOST [PORT]\n\nTransfer a file from/to tftp server\n\n\t-l FILE\tLocal FILE\n\t-r FILE\tRemote FILE\n\t-g\tGet file\n\t-p\tPut file\n\t-b SIZE\tTransfer blocks of SIZE octets\n"),
            "ssh" => "usage: ssh [-46AaCfGgKkMNnqsTtVvXxYy] [-B bind_interface] [-b bind_address]\n           [-c cipher_spec] [-D [bind_address:]port] destination [command [argument ...]]\n".to_owned(),
            "nc" => "usage: nc [-46CDdFhklNnrStUuvZz] [destination] [port]\n".to_owned(),
            _ => format!("usage: {name} host\n"),
        });
        return 1;
    }
    call.fetched.push((call.args.join(" "), name.clone()));
    match name.as_str() {
        "nc" => return nc(shell, call),
        "telnet" => return telnet(shell, call, &operands),
        _ => {}
    }
    let host = operands
        .iter()
        .find(|o| is_address(o))
        .or(operands.first())
        .cloned()
        .unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default().to_owned();
    let port = call
        .value(if name == "scp" { "-P" } else { "-p" }, "")
        .and_then(|p| p.parse().ok())
        .unwrap_or(if name == "ftp" { 21 } else { 22 });
    let reach = shell.reach(&host, port);
    match (name.as_str(), reach) {
        ("tftp" | "ftpget", _) | (_, Reach::Silent) => call.wait(hang(shell)),
        (_, Reach::Unknown) => call.wait(Duration::from_secs(5)),
        ("ssh" | "scp" | "rsync" | "git", Reach::Open(_)) => {
            call.err("Host key verification failed.\n");
            return 255;
        }
        ("ssh" | "scp" | "rsync" | "git", Reach::Refused) => {
            call.err(format!(
                "ssh: connect to host {host} port {port}: Connection refused\n"
            ));
            return 255;
        }
        (_, Reach::Refused) => {
            call.err("ftp: connect: Connection refused\n");
            return 0;
        }
        _ => {}
    }
    match name.as_str() {
        "ssh" | "scp" | "rsync" | "git" if !is_address(&host) => {
            call.err(format!(
                "ssh: Could not resolve hostname {host}: Temporary failure in name resolution\n"
            ));
            255
        }
        "ssh" | "scp" | "rsync" | "git" => {
            call.err(format!(
                "ssh: connect to host {host} port {port}: Connection timed out\n"
            ));
            255
        }
        "tftp" | "ftpget" => {
            call.err(if name == "tftp" && shell.machine.distribution.is_busybox() {
                "tftp: timeout\n".to_owned()
            } else if name == "tftp" {
                "Transfer timed out.\n\n".to_owned()
            } else {
                format!("ftpget: can't connect to remote host ({host}): Connection timed out\n")
            });
            1
        }
        _ => 1,
    }
}

/// The name of a TCP port, as `/etc/services` has it.
fn service_name(port: u16) -> &'static str {
    match port {
        21 => "ftp",
        22 => "ssh",
        23 => "telnet",
        25 => "smtp",
        53 => "domain",
        80 => "http",
        110 => "pop3",
        143 => "imap2",
        443 => "https",
        587 => "submission",
        3_306 => "mysql",
        5_432 => "postgresql",
        6_379 => "redis",
        8_080 => "http-alt",
        _ => "*",
    }
}

/// The most ports that one call of `nc` tries.
const NC_PORTS: usize = 1_024;

/// `nc` as OpenBSD's and BusyBox's, or Nmap's where that is packaged.
fn nc(shell: &Shell, call: &mut Call) -> u8 {
    if call.has('l') {
        return call.never_end();
    }
    let operands = call.operands("wpsiTqXxOIVPme");
    let [host, ports, ..] = operands.as_slice() else {
        call.err("usage: nc [-46CDdFhklNnrStUuvZz] [-I length] [-i interval] [-M ttl]\n\t  [-m minttl] [-O length] [-P proxy_username] [-p source_port]\n\t  [-q seconds] [-s sourceaddr] [-T keyword] [-V rtable] [-W recvlimit]\n\t  [-w timeout] [-X proxy_protocol] [-x proxy_address[:port]]\n\t  [destination] [port]\n");
        return 1;
    };
    let (first, last) = ports.split_once('-').unwrap_or((ports.as_str(), ports.as_str()));
    let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) else {
        return call.fail(format!("port number invalid: {ports}"));
    };
    let ncat = shell.machine.distribution.family == Family::RedHat;
    let limit = call
        .value("-w", "")
        .and_then(|w| w.parse().ok())
        .map(Duration::from_secs);
    let address = shell.own_address(host).unwrap_or_else(|| host.clone());
    let shown = if address == *host {
        host.clone()
    } else {
        format!("{host} ({address})")
    };
    let mut status = 1;
    for port in (first..=last).take(NC_PORTS) {
        let why = match shell.reach(host, port) {
            Reach::Open(greeting) => {
                status = 0;
                if call.has('v') && ncat {
                    call.err(format!("Ncat: Connected to {address}:{port}.\n"));
                } else if call.has('v') {
                    let name = if call.has('n') { "*" } else { service_name(port) };
                    call.err(format!(
                        "Connection to {shown} {port} port [tcp/{name}] succeeded!\n"
                    ));
                }
                if !call.has('z') {
                    call.out(greeting);
                }
                continue;
            }
            Reach::Refused => "Connection refused",
            Reach::Silent => {
                let own = hang(shell);
                call.wait(limit.map_or(own, |limit| limit.min(own)));
                "Connection timed out"
            }
            Reach::Unknown => {
                call.wait(Duration::from_secs(5));
                call.err(if ncat {
                    format!("Ncat: Could not resolve hostname \"{host}\": Temporary failure in name resolution. QUITTING.\n")
                } else {
                    format!("nc: getaddrinfo for host \"{host}\" port {port}: Temporary failure in name resolution\n")
                });
                return 1;
            }
        };
        if ncat {
            call.err(format!("Ncat: {why}.\n"));
        } else if shell.machine.distribution.is_busybox() {
            call.err(format!("nc: can't connect to remote host ({address}): {why}\n"));
        } else if call.has('v') {
            let through = if address == *host {
                String::new()
            } else {
                format!(" ({address})")
            };
            call.err(format!(
                "nc: connect to {host}{through} port {port} (tcp) failed: {why}\n"
            ));
        }
    }
    status
}

fn telnet(shell: &Shell, call: &mut Call, operands: &[String]) -> u8 {
    let host = operands.first().cloned().unwrap_or_default();
    let port = operands.get(1).and_then(|p| p.parse().ok()).unwrap_or(23);
    let reach = shell.reach(&host, port);
    if reach == Reach::Unknown {
        call.wait(Duration::from_secs(5));
        call.err(format!(
            "telnet: could not resolve {host}/{port}: Temporary failure in name resolution\n"
        ));
        return 1;
    }
    let address = shell.own_address(&host).unwrap_or(host);
    call.out(format!("Trying {address}...\n"));
    let why = match reach {
        Reach::Open(greeting) => {
            call.out(format!("Connected to {address}.\nEscape character is '^]'.\n"));
            call.out(greeting);
            call.out("Connection closed by foreign host.\n");
            return 1;
        }
        Reach::Refused => "Connection refused",
        _ => {
            call.wait(hang(shell));
            "Connection timed out"
        }
    };
    call.err(format!("telnet: Unable to connect to remote host: {why}\n"));
    1
}

pub(super) fn lookup(_: &mut Shell, call: &mut Call) -> u8 {
    call.wait(Duration::from_secs(5));
    call.out(";; communications error to server: timed out\n;; no servers could be reached\n\n");
    9
}
