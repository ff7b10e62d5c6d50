//! Names of organisations, people and hosts, from parts.
//!
//! Domains stand under endings that no public registry hands out, so that bait can never point at somebody real.
//! The words of [`GIVEAWAYS`] never come up.

use crate::{Mac, Rng, User, archetype::Archetype, distro::Distro, mac::Vendor, words};

/// What no name of a persona may contain.
pub const GIVEAWAYS: &[&str] = &[
    "honey", "decoy", "decky", "decnet", "bait", "trap", "canary", "lure", "fake",
];

/// An organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Company {
    /// As on its letterhead: `Halden Logistics GmbH`.
    pub(crate) name: String,
    /// DNS domain: `haldenlogistics.lan`.
    pub(crate) domain: String,
    /// Two to four letters that its host names begin with: `hl`.
    pub(crate) short: String,
}

pub(crate) fn company(rng: &mut Rng) -> Company {
    let first = rng.word(words::COMPANY_FIRST);
    // Two stems make several ten thousand names of a hundred words.
    let second = rng.word(words::COMPANY_SECOND);
    let trade = rng.word(words::COMPANY_TRADE);
    let form = rng.word(words::COMPANY_FORM);
    let stem = format!("{first}{second}");
    let name = if form.is_empty() {
        format!("{stem} {trade}")
    } else {
        format!("{stem} {trade} {form}")
    };
    let (lower, trade_lower) = (stem.to_lowercase(), trade.to_lowercase());
    let label = match rng.below(4) {
        0 => lower.clone(),
        1 => format!("{lower}-{trade_lower}"),
        2 => format!("{lower}{}", head(&trade_lower, 3)),
        _ => format!("{lower}{trade_lower}"),
    };
    let ending = rng.word(words::PRIVATE_ENDINGS);
    let domain = match rng.below(5) {
        0 => format!("corp.{label}.{ending}"),
        1 => format!("ad.{label}.{ending}"),
        _ => format!("{label}.{ending}"),
    };
    let short = match rng.below(3) {
        0 => head(&lower, 3),
        1 => format!("{}{}", head(&lower, 1), head(&trade_lower, 1)),
        _ => format!(
            "{}{}{}",
            head(&lower, 1),
            head(&second.to_lowercase(), 1),
            head(&trade_lower, 1)
        ),
    };
    Company { name, domain, short }
}

/// The first `n` characters of `s`.
fn head(s: &str, n: usize) -> String {
    s.chars().take(n).collect()
}

/// What names begin with that devices come with, and who makes those devices: nobody else's are called so.
const MAKERS: &[(&str, Vendor)] = &[
    ("NPI", Vendor::Hp),
    ("BRN", Vendor::Brother),
    ("KM", Vendor::Kyocera),
];

/// A host name in one of the archetype's styles. A style is text with `{parts}`: `{role}` what the machine is,
/// `{site}` a place, `{env}` an environment, `{floor}` a floor, `{co}` the organisation, `{thing}` a name out of a
/// theme as small shops use, `{last}` a person, `{n}` `{nn}` `{nnn}` `{nnnn}` numbers, `{id7}` `{id8}` `{id11}` what
/// Windows setup draws, `{tail}` the end of the MAC and `{mac}` all of it; in capitals where the part is.
pub(crate) fn hostname(
    archetype: &Archetype,
    distro: Distro,
    company: &Company,
    mac: Mac,
    rng: &mut Rng,
) -> String {
    let windows = distro.family().is_windows();
    let fits = |style: &&str| {
        let mut makers = MAKERS.iter();
        makers.all(|(begin, maker)| !style.starts_with(begin) || mac.vendor() == Some(*maker))
    };
    let styles: Vec<&str> = archetype.styles.iter().copied().filter(fits).collect();
    let style = rng.word(&styles);
    let mut out = String::new();
    let mut rest = style;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let (part, tail) = after.split_once('}').unwrap_or((after, ""));
        let drawn = part_of_hostname(&part.to_lowercase(), archetype, company, mac, rng);
        if part.chars().any(|c| c.is_ascii_uppercase()) {
            out.push_str(&drawn.to_uppercase());
        } else {
            out.push_str(&drawn);
        }
        rest = tail;
    }
    out.push_str(rest);
    if windows {
        // NetBIOS names have 15 characters (MS-NBTE section 2.2.1) and setup writes them in capitals.
        out = head(&out.to_uppercase(), 15);
    }
    out.trim_end_matches('-').to_owned()
}

fn part_of_hostname(part: &str, archetype: &Archetype, company: &Company, mac: Mac, rng: &mut Rng) -> String {
    const SETUP: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    match part {
        "role" => rng.word(archetype.roles).to_owned(),
        "site" => rng.word(words::SITES).to_owned(),
        "env" => rng.word(&["prod", "prd", "stg", "test", "int", "dev"]).to_owned(),
        "floor" => rng
            .word(&[
                "eg", "og1", "og2", "f1", "f2", "f3", "hall1", "hall2", "lager", "office",
            ])
            .to_owned(),
        "co" => company.short.clone(),
        "thing" => rng.word(words::THINGS).to_owned(),
        "last" => head(&rng.word(words::LAST_NAMES).to_lowercase(), 8),
        "n" => rng.range(1, 9).to_string(),
        "nn" => format!("{:02}", rng.range(1, 48)),
        "nnn" => format!("{:03}", rng.range(1, 260)),
        "nnnn" => format!("{:04}", rng.range(1, 2400)),
        "id7" => rng.text(7, SETUP),
        "id8" => rng.text(8, SETUP),
        "id11" => rng.text(11, SETUP),
        "tail" => mac.tail(),
        "mac" => mac.digits(),
        _ => String::new(),
    }
}

/// A person who works there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) first: &'static str,
    pub(crate) last: &'static str,
}

pub(crate) fn person(rng: &mut Rng) -> Person {
    Person {
        first: rng.word(words::FIRST_NAMES),
        last: rng.word(words::LAST_NAMES),
    }
}

/// How an organisation makes account names of people's names.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LoginStyle {
    FirstDotLast,
    InitialLast,
    First,
    LastInitial,
}

impl LoginStyle {
    pub(crate) fn of(rng: &mut Rng) -> Self {
        rng.pick(&[
            Self::FirstDotLast,
            Self::InitialLast,
            Self::InitialLast,
            Self::First,
            Self::LastInitial,
        ])
        .copied()
        .unwrap_or(Self::InitialLast)
    }

    pub(crate) fn login(self, person: &Person) -> String {
        let (first, last) = (person.first.to_lowercase(), person.last.to_lowercase());
        match self {
            Self::FirstDotLast => format!("{first}.{last}"),
            Self::InitialLast => format!("{}{last}", head(&first, 1)),
            Self::First => first,
            Self::LastInitial => format!("{last}{}", head(&first, 1)),
        }
    }
}

/// A password as people choose them: words and a number. Weak for a person who knows the habit, and still of so
/// many that two machines do not share one.
pub(crate) fn password(rng: &mut Rng) -> String {
    let (a, b) = (rng.word(words::PASSWORD_WORDS), rng.word(words::PASSWORD_WORDS));
    let number = rng.digits(4);
    match rng.below(6) {
        0 => format!("{a}{}{number}", b.to_lowercase()),
        1 => format!("{a}-{b}-{number}"),
        2 => format!("{a}{b}{number}!"),
        3 => format!("{}_{}{number}", a.to_lowercase(), b.to_lowercase()),
        4 => format!("{a}.{}#{number}", b.to_lowercase()),
        _ => format!("{a}{b}@{number}"),
    }
}

/// The accounts of a machine: the administrator first, then people, then what its programs run as.
pub(crate) fn users(archetype: &Archetype, distro: Distro, rng: &mut Rng) -> Vec<User> {
    let windows = distro.family().is_windows();
    let (root, root_home) = if windows {
        ("Administrator", "C:\\Users\\Administrator")
    } else {
        ("root", "/root")
    };
    let device = matches!(distro, Distro::Firmware | Distro::Ios);
    let mut out = vec![User {
        name: root.to_owned(),
        full_name: root.to_owned(),
        uid: if windows { 500 } else { 0 },
        gid: if windows { 513 } else { 0 },
        home: root_home.to_owned(),
        shell: distro.shell().to_owned(),
        password: password(rng),
        admin: true,
    }];
    let style = LoginStyle::of(rng);
    let people = if device { 0 } else { rng.range(2, 6) };
    for i in 0..people {
        let person = person(rng);
        let name = style.login(&person);
        let password = password(rng);
        if out.iter().any(|u| u.name == name) {
            continue;
        }
        out.push(User {
            home: home(windows, &name),
            full_name: format!("{} {}", person.first, person.last),
            uid: 0,
            gid: 0,
            shell: distro.shell().to_owned(),
            password,
            admin: i == 0 || (i == 1 && rng.chance(1, 3)),
            name,
        });
    }
    let admin_like = if device { &["admin"][..] } else { &[] };
    let named = |name: &&'static str| match (*name, distro) {
        ("www-data", Distro::Rocky9 | Distro::Fedora) => "apache",
        ("www-data", Distro::Arch) => "http",
        (name, _) => name,
    };
    for name in &admin_like
        .iter()
        .chain(archetype.service_accounts)
        .map(named)
        .collect::<Vec<_>>()
    {
        let daemon = matches!(
            *name,
            "www-data" | "apache" | "http" | "mysql" | "vmail" | "zabbix" | "nagios" | "asterisk"
        );
        out.push(User {
            name: (*name).to_owned(),
            full_name: String::new(),
            uid: 0,
            gid: 0,
            home: if daemon {
                daemon_home(name).to_owned()
            } else {
                home(windows, name)
            },
            shell: if daemon {
                "/usr/sbin/nologin".to_owned()
            } else {
                distro.shell().to_owned()
            },
            password: password(rng),
            admin: *name == "admin",
        });
    }
    number(&mut out, windows);
    out
}

fn home(windows: bool, name: &str) -> String {
    if windows {
        format!("C:\\Users\\{name}")
    } else {
        format!("/home/{name}")
    }
}

fn daemon_home(name: &str) -> &'static str {
    match name {
        "www-data" => "/var/www",
        "apache" => "/usr/share/httpd",
        "http" => "/srv/http",
        "mysql" => "/var/lib/mysql",
        "vmail" => "/var/mail",
        _ => "/nonexistent",
    }
}

/// Give people ids from 1000 (Windows: 1001) on, programs ones below.
fn number(users: &mut [User], windows: bool) {
    let (mut person, mut program) = (if windows { 1001 } else { 1000 }, 110);
    for user in users.iter_mut().skip(1) {
        let next = if user.shell.ends_with("nologin") {
            &mut program
        } else {
            &mut person
        };
        user.uid = match user.name.as_str() {
            "www-data" | "http" => 33,
            "apache" => 48,
            _ => *next,
        };
        user.gid = if windows { 513 } else { user.uid };
        *next += 1;
    }
}
