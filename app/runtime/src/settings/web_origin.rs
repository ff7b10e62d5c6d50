//! Origins of web sites, as a configuration names them.

use std::net::Ipv6Addr;

/// The origin of a site as browsers write it into `Origin` (RFC 6454 section 6.2): `http(s)://host[:port]`, in small
/// letters, without the scheme's own port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebOrigin(String);

impl WebOrigin {
    /// The origin that `text` is; none where no browser would write it so, and it would never be met.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let (scheme, place) = text.split_once("://")?;
        let own_port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let (host, port) = match place.rsplit_once(':') {
            // The colons of an address of version 6 stand in brackets.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (place, None),
        };
        let port_fits = port.is_none_or(|port| {
            let number = port.parse::<u16>().ok().filter(|n| ![0, own_port].contains(n));
            number.is_some_and(|n| n.to_string() == port)
        });
        let six = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host_fits = match six {
            Some(six) => six.parse::<Ipv6Addr>().is_ok_and(|ip| ip.to_string() == six),
            None => {
                !host.is_empty()
                    && host
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b))
            }
        };
        (port_fits && host_fits).then(|| Self(text.to_owned()))
    }

    /// As it stands in the header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
