//! Saying something to a server and hearing what it answers, within bounds of time and size.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    time::Duration,
};

use decnet_control::{Product, ssh};
use sha1::{Digest as _, Sha1};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::shown;

/// After this time without a word a server that waits for more is believed to have said all.
const SILENCE: Duration = Duration::from_secs(3);
/// How long an answer may take that has to come: PAM takes seconds for a refusal, and the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most that is read of an answer, in bytes.
const MOST: usize = 1 << 20;

/// What came back.
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    /// Whether the server hung up.
    pub(super) closed: bool,
}

/// Say `words`, and our end of stream if `end`; hear until the server hangs up or says nothing more.
pub(super) async fn say(server: SocketAddr, words: &[u8], end: bool) -> io::Result<Answer> {
    let mut client = Client::to(server).await?;
    client.write(words).await;
    if end {
        client.end().await;
    }
    client.rest(if end { PATIENCE } else { SILENCE }).await
}

/// What the server of a line protocol greets with and replies to each of `lines`, one after the other. Then our end of stream, and what
/// it says to that.
pub(super) async fn converse(server: SocketAddr, lines: &[String]) -> io::Result<Vec<Answer>> {
    let mut client = Client::to(server).await?;
    let mut all = vec![client.reply().await?];
    for line in lines {
        client.write(format!("{line}\r\n").as_bytes()).await;
        all.push(client.reply().await?);
    }
    client.end().await;
    all.push(client.rest(PATIENCE).await?);
    Ok(all)
}

/// What a server of MySQL's protocol greets with and answers to `words`, raw, in place of a login.
pub(super) async fn interrupt_mysql(server: SocketAddr, words: &[u8]) -> io::Result<Answer> {
    let mut client = Client::to(server).await?;
    client.packet().await?;
    client.write(words).await;
    client.end().await;
    client.rest(PATIENCE).await
}

/// Who signs in to a database.
#[derive(Clone, Copy)]
pub(super) struct Login {
    pub(super) user: &'static str,
    pub(super) password: &'static str,
    /// Empty for none.
    pub(super) database: &'static str,
}

/// What it answers to a login, to commands, each a packet's payload, and to a good-bye.
pub(super) async fn ask_mysql(server: SocketAddr, login: Login, commands: &[&[u8]]) -> io::Result<Answer> {
    let mut client = Client::to(server).await?;
    client.sign_in(login).await?;
    let mut answer = Answer {
        bytes: client.packet().await?,
        closed: false,
    };
    for command in commands.iter().copied().chain([&b"\x01"[..]]) {
        client.write(&packet(0, command)).await;
    }
    let rest = client.rest(PATIENCE).await?;
    answer.bytes.extend(rest.bytes);
    answer.closed = rest.closed;
    Ok(answer)
}

/// What `server` says of itself, as the decoy is told it: the SSH identification, the `Server` header, a version.
pub(super) async fn banner(product: Product, server: SocketAddr, version: &str) -> io::Result<String> {
    let (words, before) = match product {
        Product::OpenSsh => (&b""[..], ""),
        Product::Nginx | Product::Apache => (&b"HEAD / HTTP/1.0\r\n\r\n"[..], "\r\nServer: "),
        _ => return Ok(version.to_owned()),
    };
    let answer = say(server, words, true).await?;
    let text = String::from_utf8_lossy(&answer.bytes);
    let banner = text
        .split_once(before)
        .and_then(|(_, rest)| rest.split("\r\n").next());
    banner
        .map(str::to_owned)
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, format!("no banner in {text:?}")))
}

/// Whether an ssh server has its host keys: without them it does not begin the exchange.
pub(super) async fn offers_keys(server: SocketAddr) -> io::Result<bool> {
    let answer = say(server, ssh::CLIENT, false).await?;
    Ok(shown::ssh(&answer).contains("KEXINIT"))
}

/// One connection.
pub(super) struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    pub(super) async fn to(server: SocketAddr) -> io::Result<Self> {
        let stream = timeout(PATIENCE, TcpStream::connect(server)).await??;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            unread: Vec::new(),
        })
    }

    /// A server that has hung up meanwhile has answered already: that is no fault of ours.
    pub(super) async fn write(&mut self, words: &[u8]) {
        let _hung_up = self.stream.write_all(words).await;
    }

    async fn end(&mut self) {
        let _hung_up = self.stream.shutdown().await;
    }

    /// Hear something more; `false` where the server has hung up.
    pub(super) async fn hear(&mut self, patience: Duration) -> io::Result<bool> {
        let mut chunk = [0; 4096];
        match timeout(patience, self.stream.read(&mut chunk)).await? {
            Ok(0) => Ok(false),
            Ok(n) if self.unread.len() < MOST => {
                self.unread.extend_from_slice(chunk.get(..n).unwrap_or_default());
                Ok(true)
            }
            Ok(_) => Err(io::Error::new(ErrorKind::InvalidData, "an answer without end")),
            // A server that closes with our words unread resets the connection.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Wait for something, and forget it; whether the server is still there.
    pub(super) async fn wait(&mut self) -> io::Result<bool> {
        let there = self.hear(PATIENCE).await;
        self.unread.clear();
        there
    }

    /// Everything until the server hangs up, or says nothing for so long.
    async fn rest(&mut self, silence: Duration) -> io::Result<Answer> {
        let closed = loop {
            match self.hear(silence).await {
                Ok(true) => {}
                Ok(false) => break true,
                Err(error) if error.kind() == ErrorKind::TimedOut => break false,
                Err(error) => return Err(error),
            }
        };
        Ok(Answer {
            bytes: std::mem::take(&mut self.unread),
            closed,
        })
    }

    /// The next reply of a line protocol: all its lines (RFC 5321, section 4.2.1; RFC 959, section 4.2).
    pub(super) async fn reply(&mut self) -> io::Result<Answer> {
        loop {
            if let Some(len) = reply_len(&self.unread) {
                let later = self.unread.split_off(len);
                return Ok(Answer {
                    bytes: std::mem::replace(&mut self.unread, later),
                    closed: false,
                });
            }
            if !self.hear(PATIENCE).await? {
                return Ok(Answer {
                    bytes: std::mem::take(&mut self.unread),
                    closed: true,
                });
            }
        }
    }

    /// The next packet of MySQL's protocol, with its header; what there is of it where the server hangs up.
    pub(super) async fn packet(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let [a, b, c, ..] = *self.unread {
                let len = 4 + usize::from(a) + (usize::from(b) << 8) + (usize::from(c) << 16);
                if self.unread.len() >= len {
                    let later = self.unread.split_off(len);
                    return Ok(std::mem::replace(&mut self.unread, later));
                }
            }
            if !self.hear(PATIENCE).await? {
                return Ok(std::mem::take(&mut self.unread));
            }
        }
    }

    /// Answer a greeting of MySQL's protocol with a login.
    pub(super) async fn sign_in(&mut self, login: Login) -> io::Result<()> {
        let greeting = self.packet().await?;
        let salt = shown::Greeting::of(&greeting)
            .map(|greeting| greeting.salt)
            .unwrap_or_default();
        self.write(&packet(1, &login.response(&salt))).await;
        Ok(())
    }
}

impl Login {
    /// HandshakeResponse41 of MySQL's protocol, with `mysql_native_password`.
    fn response(self, salt: &[u8]) -> Vec<u8> {
        const LONG_PASSWORD: u32 = 1;
        const CONNECT_WITH_DB: u32 = 1 << 3;
        const PROTOCOL_41: u32 = 1 << 9;
        const SECURE_CONNECTION: u32 = 1 << 15;
        const PLUGIN_AUTH: u32 = 1 << 19;
        let mut can = LONG_PASSWORD | PROTOCOL_41 | SECURE_CONNECTION | PLUGIN_AUTH;
        if !self.database.is_empty() {
            can |= CONNECT_WITH_DB;
        }
        let twice = Sha1::digest(Sha1::digest(self.password));
        let mask = Sha1::new().chain_update(salt).chain_update(twice).finalize();
        let proof: Vec<u8> = Sha1::digest(self.password)
            .iter()
            .zip(mask.iter())
            .map(|(a, b)| a ^ b)
            .collect();
        let mut out = can.to_le_bytes().to_vec();
        out.extend((1_u32 << 24).to_le_bytes());
        // utf8mb4_general_ci, and nothing that has been given a meaning.
        out.push(45);
        out.extend([0; 23]);
        out.extend(self.user.bytes());
        out.extend([0, 20]);
        out.extend(proof);
        if !self.database.is_empty() {
            out.extend(self.database.bytes());
            out.push(0);
        }
        out.extend(b"mysql_native_password\0");
        out
    }
}

/// A packet of MySQL's protocol.
pub(super) fn packet(number: u8, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut out: Vec<u8> = len.into_iter().take(3).collect();
    out.push(number);
    out.extend_from_slice(payload);
    out
}

/// How long the reply is that `heard` begins with; `None` while it is not whole. Its last line has a space, or nothing, behind the
/// code.
fn reply_len(heard: &[u8]) -> Option<usize> {
    let mut len = 0;
    for line in heard.split_inclusive(|byte| *byte == b'\n') {
        if !line.ends_with(b"\n") {
            return None;
        }
        len += line.len();
        if let [a, b, c, after, ..] = *line
            && [a, b, c].iter().all(u8::is_ascii_digit)
            && after != b'-'
        {
            return Some(len);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_whole_with_the_line_that_says_so() {
        assert_eq!(reply_len(b"220 x\r\n250"), Some(7));
        assert_eq!(
            reply_len(b"211-Features:\r\n EPRT\r\n 211 no\r\n211 End\r\n"),
            Some(40)
        );
        for part in [&b""[..], b"220", b"220 x", b"250-a\r\n", b"214-x\r\n y\r\n"] {
            assert_eq!(reply_len(part), None, "{part:?}");
        }
        assert_eq!(reply_len(b"250\r\n"), Some(5));
    }

    #[test]
    fn a_login_is_proven_as_the_protocol_has_it() {
        let login = Login {
            user: "r",
            password: "p",
            database: "b",
        };
        let response = login.response(&[7; 20]);
        assert_eq!(response.get(..4), Some(&[0x09, 0x82, 0x08, 0x00][..]));
        assert_eq!(response.get(32..35), Some(&b"r\0\x14"[..]));
        assert!(response.ends_with(b"b\0mysql_native_password\0"));
    }
}
