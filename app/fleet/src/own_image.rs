//! What an operator's own image may say of itself as a service, and where it stands on a decky.
//!
//! The image answers on a port of the loopback interface. Visitors of that port are led to the decoy program, which passes on
//! what they say and records it: see `engine/contain.rs` for the rules and `serve/relay.rs` of `decnet-decoys` for the program.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use decnet_decoys::{Port, config::Relay};
use decnet_model::{fleet::OwnImage, name::ServiceSlug};

/// The most ports of one image.
const MAX_PORTS: usize = 8;
/// The longest name of an image.
const MAX_NAME: usize = 255;
/// The most words of a command, and bytes of all of them.
const MAX_WORDS: usize = 64;
const MAX_COMMAND: usize = 4096;
/// What it may use of memory, in MiB: the least, the most, and what it gets where nothing is said.
const MEMORY_MB: (u32, u32, u32) = (16, 16_384, 256);
/// The one port that the decoy program may connect to. On a network nobody answers there (RFC 863); on a decky's loopback
/// interface it leads to its images.
pub(crate) const REACH: u16 = 9;

/// The service that opens ports of its own for its visitors' data (RFC 959 section 3.2). An image that opened one would be reached
/// on it as well, and nobody would know.
const OPENS_PORTS: &str = "ftp";

/// Whether images may stand beside the service.
pub(crate) fn may_stand_beside(slug: &ServiceSlug) -> bool {
    slug.as_str() != OPENS_PORTS
}

/// The most memory that `own` gets, in MiB.
pub(crate) fn memory_mb(own: &OwnImage) -> u32 {
    own.memory_mb.unwrap_or(MEMORY_MB.2)
}

/// Where the decoy program listens for the visitors of `port`, which it cannot do on the port itself: each port has another
/// one, whatever else the decky runs.
pub(crate) fn door(port: u16) -> u16 {
    u16::MAX - port
}

/// How the decoy program reaches what answers on `port`: an address of the loopback interface stands for each port.
pub(crate) fn way(port: u16) -> SocketAddr {
    let [high, low] = port.to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 99, high, low)), REACH)
}

/// How the visitors of `own` are led on.
pub(crate) fn relays(own: &OwnImage) -> Vec<Relay> {
    let relay = |port: &u16| Relay {
        listen: door(*port),
        port: *port,
        to: way(*port),
    };
    own.ports.iter().map(relay).collect()
}

/// Whether a service cannot have `port` beside `own`.
pub(crate) fn stands_in_the_way(own: &OwnImage, port: Port) -> bool {
    let Port::Tcp(port) = port else { return false };
    own.ports.iter().any(|own| *own == port || door(*own) == port)
}

/// What is wrong with `own` by itself: the key, and the problem.
pub(crate) fn faults(own: &OwnImage) -> Vec<(&'static str, String)> {
    let mut faults = Vec::new();
    if let Some(problem) = name_fault(&own.image) {
        faults.push(("image", problem));
    }
    let bytes: usize = own.command.iter().map(|word| word.len() + 1).sum();
    if own.command.len() > MAX_WORDS || bytes > MAX_COMMAND {
        let problem = format!(
            "{} words with {bytes} bytes; allowed are {MAX_WORDS} with {MAX_COMMAND}",
            own.command.len()
        );
        faults.push(("command", problem));
    }
    if own.command.iter().any(|word| word.contains('\0')) {
        faults.push(("command", "no word of it may have a byte that is zero".to_owned()));
    }
    if own.command.first().is_some_and(String::is_empty) {
        faults.push(("command", "its first word names no program".to_owned()));
    }
    if own.ports.is_empty() {
        faults.push((
            "ports",
            "name at least one TCP port that the image answers on".to_owned(),
        ));
    }
    if own.ports.len() > MAX_PORTS {
        faults.push((
            "ports",
            format!("{} ports; allowed are {MAX_PORTS}", own.ports.len()),
        ));
        return faults;
    }
    for (nth, port) in own.ports.iter().enumerate() {
        if own.ports.iter().take(nth).any(|earlier| earlier == port) {
            faults.push(("ports", format!("{port} stands twice")));
        }
        if let Some(led) = own.ports.iter().take(nth).find(|led| door(**led) == *port) {
            let problem = format!("the visitors of {led} are led through {port}: give the image another one");
            faults.push(("ports", problem));
        }
        if [0, u16::MAX].contains(port) {
            faults.push((
                "ports",
                format!("{port}: a port is a number from 1 to {}", u16::MAX - 1),
            ));
        }
    }
    let (least, most, _) = MEMORY_MB;
    if let Some(given) = own.memory_mb
        && !(least..=most).contains(&given)
    {
        faults.push(("memory_mb", format!("{given}: allowed are {least} to {most}")));
    }
    faults
}

/// What is wrong with an image's name, by the grammar of references of the OCI distribution specification.
fn name_fault(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("name the image, such as registry.example/intranet:2".to_owned());
    }
    if name.len() > MAX_NAME {
        return Some(format!(
            "its name has {} characters; allowed are {MAX_NAME}",
            name.len()
        ));
    }
    let (rest, digest) = match name.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (name, None),
    };
    let is_digest = |digest: &str| {
        digest
            .strip_prefix("sha256:")
            .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
    };
    let (path, tag) = tagged(rest);
    let is_tag = |tag: &str| {
        (1..=128).contains(&tag.len())
            && !tag.starts_with(['.', '-'])
            && tag
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    let mut parts = path.split('/').peekable();
    if let Some(first) = parts.peek()
        && path.contains('/')
        && (first.contains(['.', ':']) || *first == "localhost")
    {
        let is_host = first
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".:-".contains(&b));
        if !is_host {
            return Some(bad(name));
        }
        parts.next();
    }
    let is_part = |part: &str| {
        let ends = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        ends(part.as_bytes().first())
            && ends(part.as_bytes().last())
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
    };
    let fits = parts.all(is_part) && tag.is_none_or(is_tag) && digest.is_none_or(is_digest);
    (!fits).then(|| bad(name))
}

fn bad(name: &str) -> String {
    let name: String = name.chars().take(80).collect();
    format!(
        "{name:?} is no name of an image: [registry/]name[:tag] or [registry/]name@sha256:…, the name in lower case"
    )
}

/// An image's name without its tag, and the tag.
pub(crate) fn tagged(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        // What follows a port of the registry is a path.
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (name, None),
    }
}

/// The words of a command line: they are divided by white space, and what stands in quotes, '' or "", is one.
///
/// # Errors
/// Where a quote is not closed.
pub(crate) fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                // Even an empty one is a word.
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(open) = quote {
        return Err(format!("the quote {open} is not closed"));
    }
    words.extend(word);
    Ok(words)
}

/// A line of which [`words`] makes these words again.
pub(crate) fn line(words: &[String]) -> String {
    let quoted = |word: &String| {
        let is_plain = !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || "'\";".contains(c));
        if is_plain {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r#"'"'"'"#))
        }
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(image: &str) -> OwnImage {
        OwnImage {
            image: image.to_owned(),
            command: Vec::new(),
            ports: vec![8080],
            memory_mb: None,
        }
    }

    #[test]
    fn names_of_images_are_told_from_what_is_none() {
        let digest = "0123456789abcdef".repeat(4);
        for good in [
            "busybox",
            "library/nginx:1.27-alpine",
            "registry.example/intranet:2",
            "localhost:5000/a/b_c.d:x",
            "localhost/a",
            &format!("registry.example:443/intranet@sha256:{digest}"),
        ] {
            assert_eq!(faults(&own(good)), [], "{good}");
        }
        for bad in [
            "",
            "Busybox",
            "a b",
            "a:",
            "a:-x",
            "/a",
            "a/",
            "a//b",
            "-a",
            "a@sha256:12",
            "re_g.example/a",
            "$(id)",
            "a\0",
            &"a".repeat(256),
        ] {
            let faults = faults(&own(bad));
            assert!(matches!(faults.as_slice(), [("image", _)]), "{bad:?}: {faults:?}");
        }
    }

    #[test]
    fn each_port_has_a_door_and_a_way_that_no_other_port_has() {
        let mut doors = std::collections::BTreeSet::new();
        let mut ways = std::collections::BTreeSet::new();
        for port in 1..u16::MAX {
            assert!(door(port) != 0 && door(port) != port);
            assert!(doors.insert(door(port)) && ways.insert(way(port)));
            assert!(way(port).ip().is_loopback());
        }
        assert!(stands_in_the_way(&own("a"), Port::Tcp(8080)));
        assert!(stands_in_the_way(&own("a"), Port::Tcp(65535 - 8080)));
        assert!(
            !stands_in_the_way(&own("a"), Port::Tcp(80)) && !stands_in_the_way(&own("a"), Port::Udp(8080))
        );
    }

    #[test]
    fn an_image_has_no_port_by_which_visitors_of_another_are_led_and_not_too_many() {
        let with = |ports: Vec<u16>| OwnImage { ports, ..own("a") };
        for (ports, told) in [
            (vec![8080, door(8080)], "are led through 57455"),
            (vec![8080, 8080], "stands twice"),
            (vec![0], "from 1 to"),
            ((1..1000).collect(), "999 ports"),
        ] {
            let faults = faults(&with(ports));
            assert!(
                matches!(faults.as_slice(), [("ports", problem)] if problem.contains(told)),
                "{faults:?}"
            );
        }
    }

    #[test]
    fn a_command_is_split_at_spaces_and_not_within_quotes() {
        let split = |line| words(line).unwrap();
        assert_eq!(split("/srv/app --port 8080"), ["/srv/app", "--port", "8080"]);
        assert_eq!(
            split(r#" sh  -c "a 'b'; c" '' d'e 'f "#),
            ["sh", "-c", "a 'b'; c", "", "de f"]
        );
        assert_eq!(split("  "), [""; 0]);
        assert!(words("a 'b").is_err());
    }

    #[test]
    fn the_words_of_a_command_are_those_of_the_line_that_is_made_of_them() {
        let given = ["sh", "-c", "echo 'a b'; \"c\"", "", "d\te", ";"].map(str::to_owned);
        assert_eq!(words(&line(&given)).unwrap(), given);
        assert_eq!(
            line(&["/srv/app".to_owned(), "--port=1".to_owned()]),
            "/srv/app --port=1"
        );
    }
}
