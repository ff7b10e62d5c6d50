//! Packets of the MySQL client/server protocol, version 10 (dev.mysql.com/doc/dev/mysql-server, "Client/Server Protocol").

use std::sync::Arc;

/// Capability: a database stands in the handshake response.
pub const CONNECT_WITH_DB: u32 = 1 << 3;
/// Capability: the protocol of 4.1, without which nobody is served.
pub const PROTOCOL_41: u32 = 1 << 9;
/// Capability: TLS.
pub const SSL: u32 = 1 << 11;
/// Capability: authentication data with a length.
pub const SECURE_CONNECTION: u32 = 1 << 15;
/// Capability: authentication plugins.
pub const PLUGIN_AUTH: u32 = 1 << 19;
/// Capability: attributes of the client.
pub const CONNECT_ATTRS: u32 = 1 << 20;
/// Capability: authentication data with a length-encoded length.
pub const PLUGIN_AUTH_LENENC: u32 = 1 << 21;
/// Capability: results end in an OK packet.
pub const DEPRECATE_EOF: u32 = 1 << 24;

/// Capability: attributes stand before a query.
pub const QUERY_ATTRIBUTES: u32 = 1 << 27;

/// Capability of MariaDB: columns are described with more than their type.
pub const EXTENDED_METADATA: u32 = 1 << 3;
/// Capability of MariaDB: columns are described only where they changed.
pub const CACHE_METADATA: u32 = 1 << 4;

/// The most attributes of a client that are looked at.
const ATTRIBUTES_MAX: usize = 64;

/// What a client says of itself in its first packet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// Capability flags.
    pub capabilities: u32,
    /// Number of the collation that the connection begins with.
    pub charset: u8,
    /// MariaDB's further capability flags; zero from a client of MySQL.
    pub extended: u32,
    /// Account.
    pub user: Vec<u8>,
    /// Response to the challenge.
    pub response: Vec<u8>,
    /// Database to begin in; empty where there is none.
    pub database: Vec<u8>,
    /// Authentication plugin; empty where the client knows none.
    pub plugin: Vec<u8>,
    /// Names and values, such as `_client_name` and `libmysql`.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A client's first packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum First {
    /// It wants TLS before it says more.
    Tls,
    /// It signs in.
    Login(Login),
}

impl First {
    /// The client's first packet; `None` where it is a bad handshake.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut r = Reader(payload);
        let capabilities = u32::from_le_bytes(r.array()?);
        if capabilities & PROTOCOL_41 == 0 {
            return None;
        }
        // The longest packet, the character set and the filler.
        r.take(4)?;
        let charset = r.u8()?;
        r.take(19)?;
        let filler = r.array()?;
        if capabilities & SSL != 0 && r.0.is_empty() {
            return Some(Self::Tls);
        }
        let mut login = Login {
            capabilities,
            charset,
            // MySQL's clients set CLIENT_LONG_PASSWORD, which MariaDB gave this meaning.
            extended: if capabilities & 1 == 0 {
                u32::from_le_bytes(filler)
            } else {
                0
            },
            user: r.until_nul()?.to_vec(),
            ..Login::default()
        };
        login.response = if capabilities & PLUGIN_AUTH_LENENC != 0 {
            r.lenenc_bytes()?.to_vec()
        } else if capabilities & SECURE_CONNECTION != 0 {
            let len = r.u8()?;
            r.take(len.into())?.to_vec()
        } else {
            r.until_nul()?.to_vec()
        };
        // What follows is left out by careless clients; the real server takes that.
        if capabilities & CONNECT_WITH_DB != 0 {
            login.database = r.until_nul_or_end().to_vec();
        }
        if capabilities & PLUGIN_AUTH != 0 {
            login.plugin = r.until_nul_or_end().to_vec();
        }
        login.attributes = r.attributes(capabilities);
        Some(Self::Login(login))
    }
}

impl Login {
    /// What a client that is signed in says of whom it wants to be from now on, in a COM_CHANGE_USER; `None` where that is malformed.
    /// Its capabilities stay what they were.
    #[must_use]
    pub fn changed(payload: &[u8], capabilities: u32) -> Option<Self> {
        let mut r = Reader(payload);
        let mut login = Self {
            capabilities,
            user: r.until_nul()?.to_vec(),
            ..Self::default()
        };
        login.response = if capabilities & SECURE_CONNECTION != 0 {
            let len = r.u8()?;
            r.take(len.into())?.to_vec()
        } else {
            r.until_nul()?.to_vec()
        };
        login.database = r.until_nul()?.to_vec();
        if let Some([charset, _]) = r.array() {
            login.charset = charset;
        }
        if capabilities & PLUGIN_AUTH != 0 {
            if r.0.is_empty() {
                return None;
            }
            login.plugin = r.until_nul_or_end().to_vec();
        }
        login.attributes = r.attributes(capabilities);
        Some(login)
    }
}

/// Reads the fields of a packet; everything is `None` past its end.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// The next byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(|[b]: [u8; 1]| b)
    }

    /// A string that ends in NUL.
    pub fn until_nul(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|b| *b == 0)?;
        let text = self.take(end)?;
        self.take(1)?;
        Some(text)
    }

    fn until_nul_or_end(&mut self) -> &'a [u8] {
        self.until_nul().unwrap_or_else(|| std::mem::take(&mut self.0))
    }

    /// What a client says of itself by names and values, where its capabilities have that.
    fn attributes(&mut self, capabilities: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut attributes = Vec::new();
        if capabilities & CONNECT_ATTRS != 0
            && let Some(all) = self.lenenc_bytes()
        {
            let mut all = Reader(all);
            while let (Some(key), Some(value)) = (all.lenenc_bytes(), all.lenenc_bytes()) {
                if attributes.len() == ATTRIBUTES_MAX {
                    break;
                }
                attributes.push((key.to_vec(), value.to_vec()));
            }
        }
        attributes
    }

    /// A length-encoded integer.
    pub fn lenenc(&mut self) -> Option<u64> {
        let width = match self.u8()? {
            small @ 0..=250 => return Some(small.into()),
            0xfc => 2,
            0xfd => 3,
            0xfe => 8,
            _ => return None,
        };
        let bytes = self.take(width)?;
        Some(bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    /// A string after its length-encoded length.
    pub fn lenenc_bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.lenenc()?).ok()?;
        self.take(len)
    }
}

/// Append a length-encoded integer.
pub fn put_lenenc(n: usize, out: &mut Vec<u8>) {
    let bytes = u64::try_from(n).unwrap_or(u64::MAX).to_le_bytes();
    let (mark, width) = match n {
        0..=250 => (None, 1),
        251..=0xffff => (Some(0xfc), 2),
        0x1_0000..=0xff_ffff => (Some(0xfd), 3),
        _ => (Some(0xfe), 8),
    };
    out.extend(mark);
    out.extend_from_slice(bytes.get(..width).unwrap_or(&bytes));
}

/// Append a string after its length.
pub fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_lenenc(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// Packets on their way out, numbered one after the other.
#[derive(Debug, Default)]
pub struct Out {
    /// Whole packets, ready to be sent.
    pub bytes: Vec<u8>,
    /// The number of the next packet.
    pub sequence: u8,
}

impl Out {
    /// Append a packet with `payload`, in parts where it is too long for one.
    pub fn packet(&mut self, payload: &[u8]) {
        const MAX: usize = 0xff_ffff;
        let mut rest = payload;
        loop {
            let part = rest.get(..MAX).unwrap_or(rest);
            rest = rest.get(part.len()..).unwrap_or_default();
            let [a, b, c, ..] = u32::try_from(part.len()).unwrap_or_default().to_le_bytes();
            self.bytes.extend_from_slice(&[a, b, c, self.sequence]);
            self.bytes.extend_from_slice(part);
            self.sequence = self.sequence.wrapping_add(1);
            if part.len() < MAX {
                return;
            }
        }
    }

    /// Append an ERR packet. `state` is left out before the handshake is over on a server that does not know the client.
    pub fn error(&mut self, code: u16, state: &str, text: &str) {
        let mut payload = vec![0xff];
        payload.extend_from_slice(&code.to_le_bytes());
        payload.push(b'#');
        payload.extend_from_slice(state.as_bytes());
        payload.extend_from_slice(text.as_bytes());
        self.packet(&payload);
    }

    /// Append an OK packet.
    pub fn ok(&mut self) {
        self.packet(&[0, 0, 0, 2, 0, 0, 0]);
    }

    /// Append what a prepared statement is: its number, its columns and how many values it waits for.
    pub fn prepared(
        &mut self,
        id: u32,
        columns: &[Column],
        parameters: usize,
        capabilities: u32,
        extended: u32,
    ) {
        let count = |n: usize| u16::try_from(n).unwrap_or(u16::MAX).to_le_bytes();
        let mut payload = vec![0];
        payload.extend_from_slice(&id.to_le_bytes());
        payload.extend_from_slice(&count(columns.len()));
        payload.extend_from_slice(&count(parameters));
        payload.extend_from_slice(&[0, 0, 0]);
        self.packet(&payload);
        let mark = Column::plain("?", Kind::text(0));
        let marks: Vec<&Column> = std::iter::repeat_n(&mark, parameters).collect();
        for described in [marks, columns.iter().collect()] {
            for column in &described {
                self.packet(&column.definition(extended));
            }
            if !described.is_empty() && capabilities & DEPRECATE_EOF == 0 {
                self.packet(&[0xfe, 0, 0, 2, 0]);
            }
        }
    }

    /// Append a result set for a client with these capabilities.
    pub fn result(
        &mut self,
        columns: &[Column],
        rows: &[Vec<Option<String>>],
        format: Format,
        capabilities: u32,
        extended: u32,
    ) {
        let deprecate_eof = capabilities & DEPRECATE_EOF != 0;
        let mut payload = Vec::new();
        put_lenenc(columns.len(), &mut payload);
        if extended & CACHE_METADATA != 0 {
            // The descriptions follow.
            payload.push(1);
        }
        self.packet(&payload);
        for column in columns {
            self.packet(&column.definition(extended));
        }
        if !deprecate_eof {
            self.packet(&[0xfe, 0, 0, 2, 0]);
        }
        for row in rows {
            payload.clear();
            match format {
                Format::Text => {
                    for field in row {
                        match field {
                            Some(text) => put_bytes(text.as_bytes(), &mut payload),
                            None => payload.push(0xfb),
                        }
                    }
                }
                Format::Binary => binary_row(columns, row, &mut payload),
            }
            self.packet(&payload);
        }
        if deprecate_eof {
            self.packet(&[0xfe, 0, 0, 2, 0, 0, 0]);
        } else {
            self.packet(&[0xfe, 0, 0, 2, 0]);
        }
    }
}

/// How the rows of a result are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As text, for COM_QUERY.
    Text,
    /// By their types, for COM_STMT_EXECUTE.
    Binary,
}

/// A row by the types of its columns: a bitmap of NULLs that begins at its third bit, then the values.
fn binary_row(columns: &[Column], row: &[Option<String>], out: &mut Vec<u8>) {
    let mut nulls = vec![0_u8; (row.len() + 2).div_ceil(8)];
    let mut values = Vec::new();
    for (i, field) in row.iter().enumerate() {
        match (field, columns.get(i)) {
            (None, _) => {
                if let Some(byte) = nulls.get_mut((i + 2) / 8) {
                    *byte |= 1 << ((i + 2) % 8);
                }
            }
            (Some(text), Some(column)) => column.kind.binary(text, &mut values),
            (Some(text), None) => put_bytes(text.as_bytes(), &mut values),
        }
    }
    out.push(0);
    out.extend_from_slice(&nulls);
    out.extend_from_slice(&values);
}

/// What values of a column are, as its definition tells: type, length, flags and decimal places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    code: u8,
    length: u32,
    flags: u16,
    decimals: u8,
}

const LONG: u8 = 3;
const DOUBLE: u8 = 5;
const LONGLONG: u8 = 8;
const DATE: u8 = 10;
const DATETIME: u8 = 12;
const DECIMAL: u8 = 246;
const BLOB: u8 = 252;
const VAR_STRING: u8 = 253;

const NOT_NULL: u16 = 1;
const PRIMARY: u16 = 2;
const IS_BLOB: u16 = 16;
const UNSIGNED: u16 = 32;
const BINARY: u16 = 128;
const PART_OF_KEY: u16 = 16_384;
const NUMBER: u16 = 32_768;

impl Kind {
    /// Nothing is known, because all values are NULL.
    pub const UNKNOWN: Self = Self::new(6, 0, BINARY, 0);
    /// Whole numbers of 64 bits.
    pub const BIGINT: Self = Self::new(LONGLONG, 21, NUMBER | BINARY, 0);
    /// A system variable that is a whole number without a sign.
    pub const UNSIGNED_VARIABLE: Self = Self::new(LONGLONG, 21, BINARY | UNSIGNED, 0);
    /// A system variable that is a whole number with a sign.
    pub const SIGNED_VARIABLE: Self = Self::new(LONGLONG, 21, BINARY, 0);
    /// A system variable that is on or off.
    pub const SWITCH_VARIABLE: Self = Self::new(LONGLONG, 1, BINARY, 0);
    /// A system variable that is a floating-point number.
    pub const DOUBLE_VARIABLE: Self = Self::new(DOUBLE, 21, BINARY, 6);
    /// Floating-point numbers.
    pub const DOUBLE: Self = Self::new(DOUBLE, 23, NUMBER | BINARY, 31);

    const fn new(code: u8, length: u32, flags: u16, decimals: u8) -> Self {
        Self {
            code,
            length,
            flags,
            decimals,
        }
    }

    /// Exact numbers with so many decimal places.
    #[must_use]
    pub fn decimal(scale: u32) -> Self {
        let places = u8::try_from(scale).unwrap_or(30);
        Self::new(DECIMAL, 33, NUMBER | BINARY, places)
    }

    /// Text of so many characters.
    #[must_use]
    pub fn text(characters: usize) -> Self {
        let bytes = u32::try_from(characters).unwrap_or(u32::MAX).saturating_mul(4);
        Self::new(VAR_STRING, bytes, 0, 39)
    }

    /// A type as CREATE TABLE has it; `key` where it is the primary one.
    #[must_use]
    pub fn declared(sql_type: &str, key: bool) -> Self {
        let (name, rest) = sql_type.split_once('(').unwrap_or((sql_type, ""));
        let mut numbers = rest.split([',', ')']).map(|n| n.trim().parse::<u32>().ok());
        let (length, places) = (numbers.next().flatten(), numbers.next().flatten());
        let mut out = match name.split(' ').next().unwrap_or_default() {
            "bigint" => Self::new(LONGLONG, length.unwrap_or(20), NUMBER, 0),
            "int" | "mediumint" | "smallint" | "tinyint" => Self::new(LONG, length.unwrap_or(11), NUMBER, 0),
            "decimal" => Self::new(
                DECIMAL,
                length.unwrap_or(10) + 2,
                NUMBER,
                u8::try_from(places.unwrap_or(0)).unwrap_or_default(),
            ),
            "double" | "float" => Self::new(DOUBLE, 22, NUMBER, 31),
            "datetime" | "timestamp" => Self::new(DATETIME, 19, BINARY, 0),
            "date" => Self::new(DATE, 10, BINARY, 0),
            "text" => Self::new(BLOB, 65_535 * 4, IS_BLOB, 0),
            "longtext" => Self::new(BLOB, u32::MAX, IS_BLOB, 0),
            _ => Self {
                decimals: 0,
                ..Self::text(usize::try_from(length.unwrap_or(255)).unwrap_or(255))
            },
        };
        if sql_type.contains("unsigned") {
            out.flags |= UNSIGNED;
        }
        if key {
            out.flags |= NOT_NULL | PRIMARY | PART_OF_KEY;
        }
        out
    }

    /// What values of both kinds can be.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        let number = |kind: Self| matches!(kind.code, LONG | LONGLONG | DECIMAL | DOUBLE);
        match (self, other) {
            (Self::UNKNOWN, kind) | (kind, Self::UNKNOWN) => kind,
            (a, b) if a.code == b.code => Self {
                length: a.length.max(b.length),
                decimals: a.decimals.max(b.decimals),
                ..a
            },
            (a, b) if number(a) && number(b) => {
                // The wider of a whole, an exact and a floating-point number.
                let rank = |kind: Self| match kind.code {
                    LONG => 0,
                    LONGLONG => 1,
                    DECIMAL => 2,
                    _ => 3,
                };
                if rank(a) >= rank(b) { a } else { b }
            }
            (a, b) => Self::new(VAR_STRING, a.length.max(b.length), 0, 39),
        }
    }

    /// Append a value as the binary protocol writes it.
    fn binary(self, text: &str, out: &mut Vec<u8>) {
        match self.code {
            LONG => {
                let n = text.parse::<i64>().unwrap_or_default();
                let [a, b, c, d, ..] = n.to_le_bytes();
                out.extend_from_slice(&[a, b, c, d]);
            }
            LONGLONG => {
                let n = text.parse::<i128>().unwrap_or_default();
                out.extend_from_slice(n.to_le_bytes().get(..8).unwrap_or_default());
            }
            DOUBLE => out.extend_from_slice(&text.parse::<f64>().unwrap_or_default().to_le_bytes()),
            DATE | DATETIME => {
                let mut parts = text
                    .split(['-', ' ', ':'])
                    .map(|n| n.parse::<u16>().unwrap_or_default());
                let mut next = || parts.next().unwrap_or_default();
                let [year_low, year_high] = next().to_le_bytes();
                let mut small = || u8::try_from(next()).unwrap_or_default();
                let (date, time) = ([small(), small()], [small(), small(), small()]);
                let with_time = self.code == DATETIME && time != [0; 3];
                out.push(if with_time { 7 } else { 4 });
                out.extend_from_slice(&[year_low, year_high]);
                out.extend_from_slice(&date);
                if with_time {
                    out.extend_from_slice(&time);
                }
            }
            _ => put_bytes(text.as_bytes(), out),
        }
    }
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Schema of the table; empty for an expression.
    pub schema: Arc<str>,
    /// Alias of the table; empty for an expression.
    pub table: Arc<str>,
    /// The table itself; empty for an expression.
    pub original_table: Arc<str>,
    /// Its name in the result.
    pub name: Arc<str>,
    /// What it holds.
    pub kind: Kind,
}

impl Column {
    /// A column of no table.
    #[must_use]
    pub fn plain(name: &str, kind: Kind) -> Self {
        Self {
            schema: "".into(),
            table: "".into(),
            original_table: "".into(),
            name: name.into(),
            kind,
        }
    }

    /// The column definition packet for a client with these further capabilities.
    #[must_use]
    pub fn definition(&self, extended: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        for text in [
            "def",
            &self.schema,
            &self.table,
            &self.original_table,
            &self.name,
            if self.original_table.is_empty() {
                ""
            } else {
                &self.name
            },
        ] {
            put_bytes(text.as_bytes(), &mut out);
        }
        if extended & EXTENDED_METADATA != 0 {
            put_bytes(b"", &mut out);
        }
        let Kind {
            code,
            length,
            flags,
            decimals,
        } = self.kind;
        // utf8mb4_general_ci for text, binary for the rest.
        let charset: u16 = if matches!(code, VAR_STRING | BLOB) { 45 } else { 63 };
        out.push(0x0c);
        out.extend_from_slice(&charset.to_le_bytes());
        out.extend_from_slice(&length.to_le_bytes());
        out.push(code);
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(&[decimals, 0, 0]);
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn length_encoded_strings_come_back(text in prop::collection::vec(any::<u8>(), 0..70_000)) {
            let mut out = Vec::new();
            put_bytes(&text, &mut out);
            prop_assert_eq!(Reader(&out).lenenc_bytes(), Some(text.as_slice()));
        }

        #[test]
        fn no_first_packet_makes_it_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let _any = First::parse(&payload);
        }

        #[test]
        fn no_change_of_the_user_makes_it_panic(
            payload in prop::collection::vec(any::<u8>(), 0..200),
            capabilities: u32,
        ) {
            let _any = Login::changed(&payload, capabilities);
        }
    }

    #[test]
    fn a_login_is_taken_apart() {
        let mut raw = (PROTOCOL_41 | SECURE_CONNECTION | CONNECT_WITH_DB | PLUGIN_AUTH | CONNECT_ATTRS)
            .to_le_bytes()
            .to_vec();
        raw.extend_from_slice(&[0; 28]);
        raw.extend_from_slice(b"root\0\x03abcshop\0mysql_native_password\0\x05\x02_a\x01b");
        let Some(First::Login(login)) = First::parse(&raw) else {
            panic!("no login");
        };
        assert_eq!(
            (login.user.as_slice(), login.response.as_slice()),
            (&b"root"[..], &b"abc"[..])
        );
        assert_eq!(login.database, b"shop");
        assert_eq!(login.attributes, [(b"_a".to_vec(), b"b".to_vec())]);
    }

    #[test]
    fn a_change_of_the_user_is_taken_apart_or_refused() {
        let capabilities = PROTOCOL_41 | SECURE_CONNECTION | PLUGIN_AUTH;
        let login =
            Login::changed(b"root\0\x03abcshop\0\x2d\0mysql_native_password\0", capabilities).unwrap();
        assert_eq!(
            (login.user.as_slice(), login.response.as_slice()),
            (&b"root"[..], &b"abc"[..])
        );
        assert_eq!((login.database.as_slice(), login.charset), (&b"shop"[..], 45));
        assert_eq!(login.plugin, b"mysql_native_password");
        // Without plugins there is less that can be missing.
        for (payload, plain) in [
            (&b""[..], false),
            (b"r", false),
            (b"r\0", false),
            (b"r\0\x14abc", false),
            (b"r\0\x03abcno_end", false),
            (b"r\0\x03abc\0", true),
            (b"r\0\x03abc\0\x2d\0", true),
        ] {
            assert!(Login::changed(payload, capabilities).is_none(), "{payload:?}");
            assert_eq!(
                Login::changed(payload, PROTOCOL_41 | SECURE_CONNECTION).is_some(),
                plain,
                "{payload:?}"
            );
        }
    }
}
