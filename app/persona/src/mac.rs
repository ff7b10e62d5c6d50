//! Hardware addresses whose vendor fits the machine.
//!
//! Source of the prefixes: the IEEE's public MA-L register. Few of each vendor are enough; what matters is that a
//! scanner's vendor column says what the rest of the machine says.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{PersonaError, Rng};

/// A hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// An address of `vendor`, the rest drawn.
    #[must_use]
    pub fn of(vendor: Vendor, rng: &mut Rng) -> Self {
        let [a, b, c] = rng.pick(vendor.prefixes()).copied().unwrap_or_default();
        let [d, e, f] = rng.bytes();
        Self([a, b, c, d, e, f])
    }

    /// The last three bytes as six upper-case hex digits, as devices put them into their default names.
    #[must_use]
    pub fn tail(&self) -> String {
        let [_, _, _, d, e, f] = self.0;
        format!("{d:02X}{e:02X}{f:02X}")
    }

    /// All six bytes as twelve upper-case hex digits.
    #[must_use]
    pub fn digits(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02X}")).collect()
    }

    /// Who the prefix belongs to, where the table knows it.
    #[must_use]
    pub fn vendor(&self) -> Option<Vendor> {
        let [a, b, c, ..] = self.0;
        Vendor::ALL
            .iter()
            .copied()
            .find(|v| v.prefixes().contains(&[a, b, c]))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl std::str::FromStr for Mac {
    type Err = PersonaError;

    /// Six pairs of hex digits, divided by `:` or `-`. A group address cannot be a machine's own.
    fn from_str(s: &str) -> Result<Self, PersonaError> {
        let fault = || PersonaError::Mac {
            given: crate::head(s),
        };
        let mut bytes = [0_u8; 6];
        let mut parts = s.split([':', '-']);
        for slot in &mut bytes {
            let part = parts.next().ok_or_else(fault)?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(fault());
            }
            *slot = u8::from_str_radix(part, 16).map_err(|_| fault())?;
        }
        let [first, ..] = bytes;
        if parts.next().is_some() || first & 1 == 1 || bytes == [0; 6] {
            return Err(fault());
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Mac {
    type Error = PersonaError;
    fn try_from(s: String) -> Result<Self, PersonaError> {
        s.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

macro_rules! vendors {
    ($($(#[$doc:meta])* $name:ident = [$([$a:literal, $b:literal, $c:literal]),* $(,)?]),* $(,)?) => {
        /// Who made a network card.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Vendor { $($(#[$doc])* $name),* }

        impl Vendor {
            /// Every vendor of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The prefixes of its cards.
            #[must_use]
            pub const fn prefixes(self) -> &'static [[u8; 3]] {
                match self { $(Self::$name => &[$([$a, $b, $c]),*],)* }
            }
        }
    };
}

vendors! {
    /// Dell.
    Dell = [[0xb0, 0x83, 0xfe], [0x18, 0x66, 0xda], [0xf8, 0xbc, 0x12], [0xd0, 0x94, 0x66], [0x14, 0x18, 0x77]],
    /// Hewlett Packard Enterprise and HP.
    Hp = [[0x3c, 0xd9, 0x2b], [0x94, 0x18, 0x82], [0x48, 0xdf, 0x37], [0xec, 0xb1, 0xd7]],
    /// Supermicro.
    Supermicro = [[0x0c, 0xc4, 0x7a], [0xac, 0x1f, 0x6b], [0x3c, 0xec, 0xef]],
    /// VMware virtual machines.
    Vmware = [[0x00, 0x50, 0x56], [0x00, 0x0c, 0x29]],
    /// Hyper-V virtual machines.
    Microsoft = [[0x00, 0x15, 0x5d]],
    /// Intel cards.
    Intel = [[0xa0, 0x36, 0x9f], [0x00, 0x1b, 0x21], [0x68, 0x05, 0xca], [0x3c, 0xfd, 0xfe]],
    /// Lenovo.
    Lenovo = [[0x98, 0xfa, 0x9b], [0x6c, 0x4b, 0x90]],
    /// Raspberry Pi.
    RaspberryPi = [[0xb8, 0x27, 0xeb], [0xdc, 0xa6, 0x32], [0xe4, 0x5f, 0x01]],
    /// Espressif modules.
    Espressif = [[0x24, 0x0a, 0xc4], [0x30, 0xae, 0xa4], [0xa4, 0xcf, 0x12]],
    /// Hikvision cameras.
    Hikvision = [[0xc0, 0x56, 0xe3], [0x44, 0x19, 0xb6], [0xbc, 0xad, 0x28], [0x4c, 0xbd, 0x8f]],
    /// Dahua cameras.
    Dahua = [[0x3c, 0xef, 0x8c], [0x90, 0x02, 0xa9], [0xe0, 0x50, 0x8b]],
    /// Axis cameras.
    Axis = [[0x00, 0x40, 0x8c], [0xac, 0xcc, 0x8e], [0xb8, 0xa4, 0x4f]],
    /// Siemens controllers.
    Siemens = [[0x00, 0x1b, 0x1b], [0x28, 0x63, 0x36], [0x00, 0x0e, 0x8c]],
    /// Schneider Electric controllers.
    Schneider = [[0x00, 0x80, 0xf4], [0x00, 0x00, 0x54]],
    /// Brother printers.
    Brother = [[0x00, 0x80, 0x77], [0x30, 0x05, 0x5c]],
    /// Kyocera printers.
    Kyocera = [[0x00, 0xc0, 0xee], [0x00, 0x17, 0xc8]],
    /// Cisco.
    Cisco = [[0x00, 0x1a, 0xa1], [0x58, 0xac, 0x78], [0x70, 0x69, 0x5a]],
    /// Yealink telephones.
    Yealink = [[0x00, 0x15, 0x65], [0x80, 0x5e, 0xc0]],
    /// Grandstream telephones.
    Grandstream = [[0x00, 0x0b, 0x82], [0xc0, 0x74, 0xad]],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_globally_unique_unicast_ones_and_belong_to_one_vendor() {
        let mut seen = std::collections::BTreeSet::new();
        for vendor in Vendor::ALL {
            for prefix in vendor.prefixes() {
                assert_eq!(prefix[0] & 0b11, 0, "{vendor:?}: not a vendor's prefix");
                assert!(seen.insert(*prefix), "{vendor:?}: {prefix:x?} twice");
            }
        }
    }

    #[test]
    fn an_address_round_trips_and_a_bad_one_is_refused() {
        let mac: Mac = "B8-27-EB-01-02-0a".parse().unwrap();
        assert_eq!(mac.to_string(), "b8:27:eb:01:02:0a");
        assert_eq!(mac.vendor(), Some(Vendor::RaspberryPi));
        for bad in [
            "",
            "b8:27:eb:01:02",
            "b8:27:eb:01:02:0a:0b",
            "01:00:5e:00:00:01",
            "b8:27:eb:01:02:+a",
            "00:00:00:00:00:00",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }
}
