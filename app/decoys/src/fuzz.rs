//! Doors for the fuzz targets (`fuzz/`) into parsers that nothing else outside this crate calls.

/// Parse a shell script.
pub fn shell_parse(bytes: &[u8]) {
    // A tree and a refusal are equally fine; what is looked for is a panic or no end.
    let _either = crate::shell::parse::parse(bytes);
}

/// Feed bytes to an SFTP server over a small file system.
pub fn sftp_packet(bytes: &[u8]) {
    crate::ssh::sftp::fuzz(bytes);
}

/// Read an SSH identification, a KEXINIT and the packets of a key exchange.
pub fn ssh_hello(bytes: &[u8]) {
    let _seen = crate::ssh::fuzz::hello(bytes);
}

/// Serve an SSH client whose keys are exchanged: messages of at most 255 bytes, each behind its length. What the first byte
/// says first is whether it has signed in.
pub fn ssh_session(bytes: &[u8]) {
    crate::ssh::fuzz::session(bytes);
}

/// Answer statements of SQL, one a line, in one session with a MariaDB and one with a MySQL.
pub fn mysql_statement(bytes: &[u8]) {
    crate::mysql::fuzz(bytes);
}
