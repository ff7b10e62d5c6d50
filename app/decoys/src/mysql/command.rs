//! The commands of the protocol by their names, for evidence (dev.mysql.com/doc/dev/mysql-server, "Command Phase"; the names are
//! those of the `COM_` constants without it).

use std::borrow::Cow;

use super::packet::Reader;

/// By their numbers. Those that only servers use among themselves, or no longer, have a name all the same.
const NAMES: [&str; 33] = [
    "SLEEP",
    "QUIT",
    "INIT_DB",
    "QUERY",
    "FIELD_LIST",
    "CREATE_DB",
    "DROP_DB",
    "REFRESH",
    "SHUTDOWN",
    "STATISTICS",
    "PROCESS_INFO",
    "CONNECT",
    "PROCESS_KILL",
    "DEBUG",
    "PING",
    "TIME",
    "DELAYED_INSERT",
    "CHANGE_USER",
    "BINLOG_DUMP",
    "TABLE_DUMP",
    "CONNECT_OUT",
    "REGISTER_SLAVE",
    "PREPARE",
    "EXECUTE",
    "STMT_SEND_LONG_DATA",
    "STMT_CLOSE",
    "STMT_RESET",
    "SET_OPTION",
    "STMT_FETCH",
    "DAEMON",
    "BINLOG_DUMP_GTID",
    "RESET_CONNECTION",
    "CLONE",
];

/// The line that evidence has of a command: its name, and what it carries in words.
#[must_use]
pub fn line(command: u8, payload: &[u8]) -> Vec<u8> {
    let name = match NAMES.get(usize::from(command)) {
        Some(name) => Cow::Borrowed(*name),
        None if command == 0xfa => Cow::Borrowed("STMT_BULK_EXECUTE"),
        None => Cow::Owned(format!("COMMAND {command}")),
    };
    let words = words(command, &mut Reader(payload)).unwrap_or_else(|| payload.to_vec());
    let between: &[u8] = if words.is_empty() { b"" } else { b" " };
    [name.as_bytes(), between, &words].concat()
}

/// What a command of numbers carries; `None` where it is text, or shorter than it should be.
fn words(command: u8, r: &mut Reader<'_>) -> Option<Vec<u8>> {
    let number = |r: &mut Reader<'_>| r.array().map(u32::from_le_bytes);
    let short = |r: &mut Reader<'_>| r.array().map(u16::from_le_bytes);
    let told = match command {
        // A table, and a pattern for its columns.
        0x04 => {
            let table = r.until_nul()?;
            let between: &[u8] = if r.0.is_empty() { b"" } else { b" " };
            return Some([table, between, r.0].concat());
        }
        // Flags, and a level.
        0x07 | 0x08 => r.u8()?.to_string(),
        0x0c | 0x17 | 0x19 | 0x1a | 0xfa => number(r)?.to_string(),
        0x1b => short(r)?.to_string(),
        0x1c => format!("{} rows {}", number(r)?, number(r)?),
        0x12 => {
            let (position, flags, server) = (number(r)?, short(r)?, number(r)?);
            let head = format!("position {position} flags {flags} server {server} ");
            return Some([head.as_bytes(), r.0].concat());
        }
        0x15 => {
            let mut out = format!("server {}", number(r)?).into_bytes();
            for name in ["host", "user", "password"] {
                let len = r.u8()?;
                out.extend_from_slice(format!(" {name} ").as_bytes());
                out.extend_from_slice(r.take(len.into())?);
            }
            out.extend_from_slice(format!(" port {}", short(r)?).as_bytes());
            return Some(out);
        }
        0x18 => {
            let head = format!("{} parameter {} ", number(r)?, short(r)?);
            return Some([head.as_bytes(), r.0].concat());
        }
        _ => return None,
    };
    Some(told.into_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commands_are_told_by_name_and_what_they_carry_in_words() {
        for (command, payload, told) in [
            (0x0e, &b""[..], &b"PING"[..]),
            (0x05, b"shop", b"CREATE_DB shop"),
            (0x04, b"users\0", b"FIELD_LIST users"),
            (0x04, b"users\0i%", b"FIELD_LIST users i%"),
            (0x0c, b"\x07\x01\0\0", b"PROCESS_KILL 263"),
            (
                0x12,
                b"\x04\0\0\0\0\0\x09\0\0\0bin.000001",
                b"BINLOG_DUMP position 4 flags 0 server 9 bin.000001",
            ),
            (
                0x15,
                b"\x09\0\0\0\x01h\x01u\x02pw\xea\x0c\0\0\0\0\0\0\0\0",
                b"REGISTER_SLAVE server 9 host h user u password pw port 3306",
            ),
            (
                0x18,
                b"\x01\0\0\0\x02\0\x7fELF",
                b"STMT_SEND_LONG_DATA 1 parameter 2 \x7fELF",
            ),
            (0x1f, b"", b"RESET_CONNECTION"),
            (0x2a, b"x", b"COMMAND 42 x"),
            // Too short for what it should carry.
            (0x0c, b"ab", b"PROCESS_KILL ab"),
        ] {
            assert_eq!(line(command, payload), told);
        }
    }

    proptest! {
        #[test]
        fn no_command_makes_it_panic(command: u8, payload in prop::collection::vec(any::<u8>(), 0..60)) {
            prop_assert!(!line(command, &payload).is_empty());
        }
    }
}
