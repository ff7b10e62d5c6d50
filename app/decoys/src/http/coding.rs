//! Compression, as Debian's packages have it switched on: `gzip on` of nginx, mod_deflate of Apache.
//!
//! Which answers a product compresses is [`compresses`], for whom is [`is_wanted`]; `tests/http.rs` holds both against the real
//! servers. Deliberately absent: `deflate` and `br`, which neither of them speaks without more packages.

use std::io::Write as _;

use flate2::{Compression, GzBuilder};

use super::{
    dialect::Product,
    request::{Request, Version},
};

/// nginx's `gzip_min_length`.
const NGINX_MIN: usize = 20;
/// What mod_deflate leaves alone: no longer than the header (10), the trailer (8) and 50 bytes of what compression costs.
const APACHE_MIN: usize = 10 + 8 + 50 + 1;
/// mod_deflate's types in Debian's `deflate.conf` that a site here has.
const APACHE_TYPES: &[&str] = &[
    "text/html",
    "text/plain",
    "text/xml",
    "text/css",
    "text/javascript",
    "application/xml",
    "application/javascript",
];

/// Whether `product` compresses a body of `len` bytes.
pub(super) fn compresses(product: Product, status: u16, content_type: &str, len: usize) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default();
    match product {
        // `gzip_types` is text/html unless it is set, and its filter looks at no other status.
        Product::Nginx => matches!(status, 200 | 403 | 404) && kind == "text/html" && len >= NGINX_MIN,
        Product::Apache => status < 400 && APACHE_TYPES.contains(&kind) && len >= APACHE_MIN,
        Product::Lighttpd | Product::Iis => false,
    }
}

/// Whether `request` takes gzip from `product`.
pub(super) fn is_wanted(product: Product, request: &Request<'_>) -> bool {
    let Some(accepted) = request.header("accept-encoding") else {
        return false;
    };
    // `gzip_http_version 1.1` and `gzip_proxied off`, nginx's defaults.
    if product == Product::Nginx && (request.version < Version::V11 || request.header("via").is_some()) {
        return false;
    }
    accepted.split(|b| *b == b',').any(|coding| {
        let mut words = coding.split(|b| *b == b';').map(<[u8]>::trim_ascii);
        words
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(b"gzip"))
            && !words.any(is_refusal)
    })
}

/// `q=0`, `q=0.0`, … (RFC 9110 section 12.4.2).
fn is_refusal(word: &[u8]) -> bool {
    let weight = word.strip_prefix(b"q=").or_else(|| word.strip_prefix(b"Q="));
    weight.is_some_and(|weight| weight.starts_with(b"0") && weight.iter().all(|b| matches!(b, b'0' | b'.')))
}

/// `body` in gzip (RFC 1952), with the header that `product` writes.
pub(super) fn gzip(product: Product, body: &[u8]) -> Vec<u8> {
    let level = match product {
        Product::Nginx => Compression::new(1),
        _ => Compression::new(6),
    };
    // Operating system 3: Unix.
    let mut out = GzBuilder::new().operating_system(3).write(Vec::new(), level);
    // Writing to a Vec cannot fail, and an empty body would only be a wrong page.
    let _infallible = out.write_all(body);
    out.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::http::request::{Strictness, parse};

    #[test]
    fn gzip_is_wanted_by_those_who_say_so() {
        for (accepted, wanted) in [
            ("gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("br,GZIP", true),
            ("gzip;q=0", false),
            ("gzip; q=0.00", false),
            ("*", false),
            ("xgzip", false),
            ("", false),
        ] {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accepted}\r\n\r\n");
            let request = parse(head.as_bytes(), Strictness::Apache).unwrap();
            assert_eq!(is_wanted(Product::Apache, &request), wanted, "{accepted:?}");
        }
        let old = b"GET / HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n";
        let old = parse(old, Strictness::Apache).unwrap();
        assert!(is_wanted(Product::Apache, &old) && !is_wanted(Product::Nginx, &old));
    }

    #[test]
    fn what_is_compressed_comes_back_and_begins_as_the_products_begin() {
        let page = b"<p>hello</p>\n".repeat(100);
        for (product, head) in [
            (Product::Nginx, [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 3]),
            (Product::Apache, [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]),
        ] {
            let packed = gzip(product, &page);
            assert_eq!(packed[..10], head);
            let mut whole = Vec::new();
            flate2::read::GzDecoder::new(&packed[..])
                .read_to_end(&mut whole)
                .unwrap();
            assert_eq!(whole, page);
        }
    }
}
