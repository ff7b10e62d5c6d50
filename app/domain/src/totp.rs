//! Codes from a clock (RFC 6238): HMAC-SHA-1, six digits, thirty seconds, and one step of skew either way. It is what every
//! authenticator program takes without being told.

use aws_lc_rs::hmac;

/// Seconds of a time step.
const STEP: i64 = 30;
/// Six digits.
const MODULUS: u32 = 1_000_000;
/// Steps that a clock may be off.
const SKEW: i64 = 1;
/// The letters of base32 (RFC 4648 section 6).
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The code of a time step: the dynamic truncation of RFC 4226 section 5.3.
pub(crate) fn code(secret: &[u8], step: i64) -> u32 {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag.last().copied().unwrap_or_default() & 0x0f);
    let word = tag.get(offset..offset + 4).unwrap_or_default();
    let word = word.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
    (word & 0x7fff_ffff) % MODULUS
}

/// The time step later than `after` whose code `typed` is at `unix_s`.
pub(crate) fn matching_step(secret: &[u8], typed: &str, unix_s: i64, after: i64) -> Option<i64> {
    if typed.len() != 6 || !typed.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let typed: u32 = typed.parse().ok()?;
    let now = unix_s.div_euclid(STEP);
    (now - SKEW..=now + SKEW).find(|step| *step > after && code(secret, *step) == typed)
}

/// What authenticator programs read from a picture, or a person types.
pub(crate) fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            let at = usize::try_from(held >> bits & 31).unwrap_or_default();
            text.extend(BASE32.get(at).map(|b| char::from(*b)));
        }
    }
    if bits > 0 {
        let at = usize::try_from(held << (5 - bits) & 31).unwrap_or_default();
        text.extend(BASE32.get(at).map(|b| char::from(*b)));
    }
    text
}

/// The address that an authenticator program takes (github.com/google/google-authenticator, Key URI Format). User names
/// need no escaping: see `UserName`.
pub(crate) fn uri(user: &str, secret: &str) -> String {
    let user = user.replace('@', "%40");
    format!("otpauth://totp/DECNET:{user}?secret={secret}&issuer=DECNET&algorithm=SHA1&digits=6&period=30")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 6238 appendix B, the last six of eight digits.
        for (at, expected) in [
            (59, 287_082),
            (1_111_111_109, 81_804),
            (1_111_111_111, 50_471),
            (1_234_567_890, 5_924),
            (2_000_000_000, 279_037),
            (20_000_000_000, 353_130),
        ] {
            assert_eq!(code(SECRET, at / STEP), expected, "{at}");
        }
    }

    #[test]
    fn a_code_is_taken_one_step_early_or_late_and_no_more() {
        let at = 1_234_567_890;
        let step = at / STEP;
        for (off, taken) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let typed = format!("{:06}", code(SECRET, step + off));
            assert_eq!(
                matching_step(SECRET, &typed, at, 0),
                taken.then_some(step + off),
                "{off}"
            );
        }
        assert_eq!(matching_step(SECRET, "005924", at, step - 1), Some(step));
        assert_eq!(matching_step(SECRET, "005924", at, step), None, "once");
        for bad in [
            "5924",
            "0005924",
            "00592a",
            "",
            "+05924",
            "00 592",
            "\u{663}\u{663}\u{663}",
        ] {
            assert_eq!(matching_step(SECRET, bad, at, 0), None, "{bad:?}");
        }
    }

    #[test]
    fn base32_is_that_of_the_rfc() {
        // RFC 4648 section 10, without its padding.
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
        assert_eq!(
            uri("a@b", "MY"),
            "otpauth://totp/DECNET:a%40b?secret=MY&issuer=DECNET&algorithm=SHA1&digits=6&period=30"
        );
    }
}
