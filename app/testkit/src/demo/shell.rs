//! What the terminal of an invented session shows: keys as a person types them, and what a small machine answers.

use std::sync::Arc;

use decnet_decoys::evidence::{
    Tap,
    recorder::{Channel, Recorder, sid},
};
use decnet_model::clock::{Clock as _, ManualClock};
use decnet_persona::Rng;
use time::Duration;

/// The account that somebody came in with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    pub(super) name: &'static str,
    pub(super) home: &'static str,
}

/// Those that there are.
pub(super) const ACCOUNTS: &[Account] = &[
    Account {
        name: "root",
        home: "/root",
    },
    Account {
        name: "admin",
        home: "/home/admin",
    },
    Account {
        name: "ubuntu",
        home: "/home/ubuntu",
    },
];

/// One session. Dropping it ends and reports it.
pub(super) struct Shell<'a> {
    clock: &'a Arc<ManualClock>,
    recorder: Recorder,
    account: Account,
    decky: &'a str,
}

impl<'a> Shell<'a> {
    /// Begin one that is recorded into `transcripts`, where that is given. Only a `terminal` has a prompt.
    pub(super) fn begin(
        clock: &'a Arc<ManualClock>,
        tap: &Tap,
        rng: &mut Rng,
        (decky, account): (&'a str, Account),
        transcripts: Option<&std::path::Path>,
        terminal: Option<(&str, (u32, u32))>,
    ) -> Self {
        let (name, size) = terminal.unwrap_or(("dumb", (80, 24)));
        let (began, shown) = (clock.now(), Arc::clone(clock));
        let recorder = Recorder::begin(
            transcripts,
            tap,
            account.name.as_bytes(),
            sid(tap, rng.next_u64()),
            "/bin/bash",
            name,
            size,
        )
        .invented(move || (shown.now() - began).try_into().unwrap_or_default());
        Self {
            clock,
            recorder,
            account,
            decky,
        }
    }

    /// Whether it is recorded.
    pub(super) fn is_recorded(&self) -> bool {
        self.recorder.is_recording()
    }

    /// What comes in at once, as from a program.
    pub(super) fn feed(&mut self, text: &str) {
        self.recorder.record(Channel::Input, text.as_bytes());
    }

    /// What a program prints that has no terminal.
    pub(super) fn print(&mut self, text: &str) {
        self.recorder.record(Channel::Output, text.as_bytes());
    }

    /// What a terminal shows of it: every newline returns the carriage.
    pub(super) fn show(&mut self, text: &str) {
        self.print(&text.replace('\n', "\r\n"));
    }

    /// The window gets another size.
    pub(super) fn resize(&mut self, columns: u32, rows: u32) {
        self.recorder.resize(columns, rows);
    }

    /// The machine waits for a line.
    pub(super) fn prompt(&mut self) {
        let Account { name, .. } = self.account;
        let sign = if name == "root" { '#' } else { '$' };
        self.print(&format!("{name}@{}:~{sign} ", self.decky));
    }

    /// A person types `line`: key by key, slower before a new word, with a slip now and then.
    pub(super) fn type_line(&mut self, rng: &mut Rng, line: &str) {
        for key in line.chars() {
            let pause = if key == ' ' { (170, 620) } else { (45, 190) };
            self.wait(rng, pause);
            if rng.chance(1, 70) {
                self.key("q", "q");
                self.wait(rng, (180, 520));
                self.key("\x7f", "\x08 \x08");
                self.wait(rng, (90, 260));
            }
            let key = key.to_string();
            self.key(&key, &key);
        }
        self.wait(rng, (120, 640));
        self.key("\r", "\r\n");
    }

    fn key(&mut self, typed: &str, shown: &str) {
        self.feed(typed);
        self.clock.advance(Duration::microseconds(410));
        self.print(shown);
    }

    fn wait(&self, rng: &mut Rng, (low_ms, high_ms): (u64, u64)) {
        let ms = i64::try_from(rng.range(low_ms, high_ms)).unwrap_or(0);
        self.clock.advance(Duration::milliseconds(ms));
    }
}

/// What a machine says to who signs in at a terminal.
pub(super) fn greeting(decky: &str) -> String {
    format!(
        "Linux {decky} 6.1.0-18-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01) x86_64\n\n\
         The programs included with the Debian GNU/Linux system are free software;\n\
         the exact distribution terms for each program are described in the\n\
         individual files in /usr/share/doc/*/copyright.\n\n"
    )
}

/// What the machine answers to a command; nothing to one that prints nothing.
pub(super) fn answer(line: &str, decky: &str, account: Account) -> String {
    let Account { name, home } = account;
    let is_root = name == "root";
    let word = line.split(' ').next().unwrap_or_default();
    match line {
        "whoami" => format!("{name}\n"),
        "id" if is_root => "uid=0(root) gid=0(root) groups=0(root)\n".to_owned(),
        "id" => format!("uid=1000({name}) gid=1000({name}) groups=1000({name}),27(sudo)\n"),
        "uname -a" => format!(
            "Linux {decky} 6.1.0-18-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01) x86_64 GNU/Linux\n"
        ),
        "cat /proc/cpuinfo | grep name | wc -l" | "nproc" => "2\n".to_owned(),
        "free -m" => "               total        used        free      shared  buff/cache   available\n\
                      Mem:            3915         612        2188           3        1340        3303\n\
                      Swap:            974           0         974\n"
            .to_owned(),
        "ls -la" => format!(
            "total 20\ndrwx------ 2 {name} {name} 4096 Jan  9 08:12 .\ndrwxr-xr-x 3 root root 4096 Jan  9 08:12 ..\n\
             -rw------- 1 {name} {name}  310 Jan 12 17:40 .bash_history\n-rw-r--r-- 1 {name} {name} 3526 Jan  9 08:12 .bashrc\n\
             -rw-r--r-- 1 {name} {name}  807 Jan  9 08:12 .profile\n"
        ),
        "cat /etc/passwd" => format!(
            "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
             sshd:x:102:65534::/run/sshd:/usr/sbin/nologin\n{}:x:1000:1000::{}:/bin/bash\n",
            if is_root { "admin" } else { name },
            if is_root { "/home/admin" } else { home },
        ),
        "w" => format!(
            " 10:02:11 up 12 days,  3:20,  1 user,  load average: 0.08, 0.03, 0.01\n\
             USER     TTY      LOGIN@   IDLE   JCPU   PCPU WHAT\n{name:<8} pts/0    10:01    0.00s  0.02s  0.00s w\n"
        ),
        "ps aux" => "USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n\
                     root           1  0.0  0.3 168140 12660 ?        Ss   Jan02   0:09 /sbin/init\n\
                     root         412  0.0  0.2  15436  9204 ?        Ss   Jan02   0:00 sshd: /usr/sbin/sshd -D\n"
            .to_owned(),
        "ss -tlnp" => "State   Recv-Q  Send-Q   Local Address:Port   Peer Address:Port\n\
                       LISTEN  0       128            0.0.0.0:22          0.0.0.0:*\n"
            .to_owned(),
        "cat ~/.bash_history" => "apt update\napt upgrade -y\nsystemctl restart ssh\ndf -h\n".to_owned(),
        "find / -name '*.conf' 2>/dev/null | head" => {
            "/etc/adduser.conf\n/etc/deluser.conf\n/etc/host.conf\n/etc/resolv.conf\n/etc/sysctl.conf\n".to_owned()
        }
        "sudo -l" => format!("Sorry, user {name} may not run sudo on {decky}.\n"),
        "ip a" => "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000\n\
                   2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc fq_codel state UP group default qlen 1000\n"
            .to_owned(),
        "cat /etc/shadow" if is_root => "root:*:19725:0:99999:7:::\ndaemon:*:19725:0:99999:7:::\n".to_owned(),
        "cat /etc/shadow" => "cat: /etc/shadow: Permission denied\n".to_owned(),
        "cat .env" | "cat /var/www/html/config.php" => {
            let file = line.strip_prefix("cat ").unwrap_or_default();
            format!("cat: {file}: No such file or directory\n")
        }
        "crontab -l" => format!("no crontab for {name}\n"),
        "echo -e \"\\x6F\\x6B\"" => "ok\n".to_owned(),
        "/bin/busybox MIRAI" => "MIRAI: applet not found\n".to_owned(),
        "exit" => "logout\n".to_owned(),
        _ => match word {
            "mysql" => "bash: mysql: command not found\n".to_owned(),
            "ping" => "ping: connect: Network is unreachable\n".to_owned(),
            "ssh" => "ssh: Could not resolve hostname db-02: Temporary failure in name resolution\n".to_owned(),
            "curl" => "curl: (28) Failed to connect to 203.0.113.44 port 80: Connection timed out\n".to_owned(),
            _ => String::new(),
        },
    }
}
