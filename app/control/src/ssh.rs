//! What an ssh client says before anything is encrypted, made by hand: ordinary words, and such as no client says.

/// The identification of a client of OpenSSH.
pub const CLIENT: &[u8] = b"SSH-2.0-OpenSSH_9.2p1\r\n";

/// The lists of an ordinary KEXINIT, in their order (RFC 4253 section 7.1).
const LISTS: [&str; 10] = [
    "curve25519-sha256",
    "ssh-ed25519",
    "aes128-ctr",
    "aes128-ctr",
    "hmac-sha2-256",
    "hmac-sha2-256",
    "none",
    "none",
    "",
    "",
];

/// A packet around `payload` (RFC 4253 section 6).
#[must_use]
pub fn packet(payload: &[u8]) -> Vec<u8> {
    let mut padding = 8 - (5 + payload.len()) % 8;
    if padding < 4 {
        padding += 8;
    }
    let body = [payload, &vec![0; padding]].concat();
    framed(1 + body.len(), padding, &body)
}

/// A packet that says that it is so long and has so much padding, whatever follows.
#[must_use]
pub fn framed(len: usize, padding: usize, rest: &[u8]) -> Vec<u8> {
    let len = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
    [&len[..], &[u8::try_from(padding).unwrap_or(u8::MAX)], rest].concat()
}

/// A string after its length (RFC 4251 section 5).
#[must_use]
pub fn string(text: &[u8]) -> Vec<u8> {
    let len = u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&len[..], text].concat()
}

/// An ordinary KEXINIT.
#[must_use]
pub fn kexinit() -> Vec<u8> {
    kexinit_of(LISTS)
}

/// A KEXINIT with `names` in place of its list number `at`, counted from 0.
#[must_use]
pub fn kexinit_with(at: usize, names: &str) -> Vec<u8> {
    let mut lists = LISTS;
    if let Some(list) = lists.get_mut(at) {
        *list = names;
    }
    kexinit_of(lists)
}

fn kexinit_of(lists: [&str; 10]) -> Vec<u8> {
    let lists: Vec<u8> = lists.iter().flat_map(|list| string(list.as_bytes())).collect();
    packet(&[&[20][..], &[b'C'; 16], &lists, &[0; 5]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_whole_blocks_with_at_least_four_bytes_of_padding() {
        for len in 0..40 {
            let packet = packet(&vec![7; len]);
            assert_eq!(packet.len() % 8, 0, "{len}");
            let told = u32::from_be_bytes([packet[0], packet[1], packet[2], packet[3]]);
            assert_eq!(usize::try_from(told).unwrap(), packet.len() - 4, "{len}");
            assert!((4..12).contains(&packet[4]), "{len}");
        }
    }

    #[test]
    fn one_list_is_another_and_the_others_stay() {
        assert_eq!(kexinit_with(0, LISTS[0]), kexinit());
        let odd = kexinit_with(2, "nope");
        let text = String::from_utf8_lossy(&odd);
        assert!(text.contains("nope") && text.contains("curve25519-sha256") && text.contains("aes128-ctr"));
        assert_eq!(kexinit_with(10, "nope"), kexinit());
    }
}
