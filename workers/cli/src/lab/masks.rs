//! What differs between any two servers of one product and version, and is no sign of a decoy: rules that are printed with the answers.

use std::net::SocketAddr;

use decnet_control::Product;

/// Something that is hidden before answers are compared.
pub(super) struct Mask {
    /// What stands in its place.
    pub(super) name: &'static str,
    /// What is hidden, and why it differs.
    pub(super) why: &'static str,
    rule: Rule,
}

enum Rule {
    /// What stands behind these words, up to one of these characters or the end.
    Behind(String, &'static [char]),
    /// The server's own port behind these words.
    Port(&'static str),
    /// These words, which stand in no answer then.
    Word(&'static str),
}

impl Mask {
    fn new(name: &'static str, rule: Rule, why: &'static str) -> Self {
        Self { name, why, rule }
    }

    /// `text` of `server` without it.
    pub(super) fn over(&self, text: &str, server: SocketAddr) -> String {
        let name = format!("{{{}}}", self.name);
        match &self.rule {
            Rule::Port(before) => {
                let port = server.port();
                text.replace(&format!("{before}{port}"), &format!("{before}{name}"))
            }
            Rule::Word(word) => text.replace(word, ""),
            Rule::Behind(before, until) => {
                let mut parts = text.split(before.as_str());
                let mut out = parts.next().unwrap_or_default().to_owned();
                for part in parts {
                    let end = part.find(*until).unwrap_or(part.len());
                    let (_, after) = part.split_at_checked(end).unwrap_or_default();
                    out.push_str(before);
                    out.push_str(&name);
                    out.push_str(after);
                }
                out
            }
        }
    }
}

const LINE: &[char] = &['\r', '\n'];
const WORD: &[char] = &[' ', '\r', '\n'];

/// The masks of a product in this version.
pub(super) fn of(product: Product, version: &str) -> Vec<Mask> {
    let behind = |name, words: &str, until, why| Mask::new(name, Rule::Behind(words.to_owned(), until), why);
    let web = || {
        vec![
            behind("date", "\r\nDate: ", LINE, "the time of the answer"),
            behind(
                "modified",
                "\r\nLast-Modified: ",
                LINE,
                "when the page was written on that machine",
            ),
            behind("tag", "\r\nETag: ", LINE, "made of when the page was written"),
            Mask::new("port", Rule::Port(":"), "each listens on a port of its own"),
            Mask::new("port", Rule::Port("Port "), "each listens on a port of its own"),
        ]
    };
    match product {
        Product::OpenSsh => vec![behind("cookie", "cookie=", WORD, "drawn for each connection")],
        Product::Nginx => web(),
        Product::Apache => {
            let newer = "changed in a release after 2.4.62, the newest that a persona has";
            let mut masks = web();
            masks.extend([
                behind("document type", "<!DOCTYPE", &['>'], newer),
                behind(
                    "length",
                    "\r\nContent-Length: ",
                    LINE,
                    "that of an error's page goes with its document type",
                ),
                behind("order of methods", "\r\nAllow: ", LINE, newer),
            ]);
            masks
        }
        Product::Redis => vec![behind(
            "connection",
            "$2\r\nid\r\n:",
            LINE,
            "connections are counted from the start of the server on",
        )],
        Product::MariaDb => vec![
            behind(
                "connection",
                "connection=",
                WORD,
                "connections are counted from the start of the server on",
            ),
            behind("salt", "salt=", WORD, "drawn for each connection"),
        ],
        Product::Postfix => vec![behind(
            "queue id",
            "queued as ",
            WORD,
            "made of when the mail was queued",
        )],
        Product::Exim => vec![
            Mask::new(
                "date",
                Rule::Behind(format!(" ESMTP Exim {version} "), LINE),
                "the time of the answer",
            ),
            behind("id", "OK id=", WORD, "made of when the mail was taken"),
        ],
        Product::VsFtpd => Vec::new(),
        Product::ProFtpd => vec![Mask::new(
            "IPv6",
            Rule::Word("::ffff:"),
            "how an IPv4 address is written depends on whether the server listens on IPv6, too; the control listens on one address",
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_hides_what_it_names_wherever_that_stands_and_nothing_else() {
        let server = SocketAddr::from(([127, 0, 0, 1], 8080));
        let over = |product, version, text: &str| {
            of(product, version)
                .iter()
                .fold(text.to_owned(), |text, mask| mask.over(&text, server))
        };
        let answer =
            "HTTP/1.1 200 OK\r\nDate: Mon\r\nETag: \"1\"\r\nLocation: http://a:8080/8080\r\n\r\nx Date: Mon";
        assert_eq!(
            over(Product::Nginx, "1.22.1", answer),
            "HTTP/1.1 200 OK\r\nDate: {date}\r\nETag: {tag}\r\nLocation: http://a:{port}/8080\r\n\r\nx Date: Mon"
        );
        assert_eq!(
            over(Product::Exim, "4.96", "220 a ESMTP Exim 4.96 Mon, 1\r\n"),
            "220 a ESMTP Exim 4.96 {date}\r\n"
        );
        assert_eq!(
            over(Product::Exim, "4.97", "220 a ESMTP Exim 4.96 Mon, 1\r\n"),
            "220 a ESMTP Exim 4.96 Mon, 1\r\n"
        );
        assert_eq!(
            over(Product::MariaDb, "", "connection=7 salt=00 x"),
            "connection={connection} salt={salt} x"
        );
    }
}
