//! Authentication (RFC 4252, RFC 4256), as auth2.c of OpenSSH goes about it: every attempt is reported, and a password is
//! what opens the machine.

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use decnet_model::event::{Event, Secret};
use rand::Rng as _;
use sha2::{Digest as _, Sha256};

use super::{
    fields::{Fields, Message},
    kex,
    link::Link,
    messages::{
        SERVICE_ACCEPT, SERVICE_REQUEST, USERAUTH_BANNER, USERAUTH_FAILURE, USERAUTH_INFO_REQUEST,
        USERAUTH_INFO_RESPONSE, USERAUTH_REQUEST, USERAUTH_SUCCESS,
    },
    proposal::Dialogue,
    server::Visit,
    transport::over,
};
use crate::{
    serve::{SessionError, login::Offer},
    shell::{
        machine::Machine,
        strangers::{Left, Stranger},
    },
};

/// What OpenSSH makes every failure take at least, and past which it adds nothing any more (auth2.c).
const FAILURE_MIN: Duration = Duration::from_millis(5);
/// See [`FAILURE_MIN`].
const FAILURE_MAX: Duration = Duration::from_secs(5);

/// Who has signed in.
pub(super) struct Entered {
    pub(super) user: String,
    /// The password that let it in.
    pub(super) secret: Vec<u8>,
}

/// A request to authenticate.
#[derive(Debug, PartialEq, Eq)]
struct Request<'a> {
    user: &'a [u8],
    service: &'a [u8],
    method: Method<'a>,
}

#[derive(Debug, PartialEq, Eq)]
enum Method<'a> {
    None,
    Password(&'a [u8]),
    PublicKey { algorithm: &'a str, key: &'a [u8] },
    Interactive,
    Other,
}

impl<'a> Request<'a> {
    /// Read one behind its number. `None` where it is none that OpenSSH would go on with.
    fn parse(body: &'a [u8]) -> Option<Self> {
        let mut fields = Fields(body);
        let (user, service, method) = (fields.cstring()?, fields.cstring()?, fields.cstring()?);
        let method = match method {
            b"none" => Method::None,
            b"password" => {
                let _changes = fields.flag()?;
                Method::Password(fields.cstring()?)
            }
            b"publickey" => {
                let _signed = fields.flag()?;
                let algorithm = std::str::from_utf8(fields.cstring()?).unwrap_or_default();
                Method::PublicKey {
                    algorithm,
                    key: fields.bytes()?,
                }
            }
            b"keyboard-interactive" => Method::Interactive,
            _ => Method::Other,
        };
        Some(Self {
            user,
            service,
            method,
        })
    }
}

/// The first answer of those to keyboard-interactive's questions.
fn answer(body: &[u8]) -> Option<&[u8]> {
    let mut fields = Fields(body);
    match fields.u32()? {
        0 => Some(b""),
        _ => fields.bytes(),
    }
}

/// What an attempt has come to.
enum Outcome {
    Accepted(Vec<u8>),
    Refused,
    /// The first `none` only asks what there is, and costs no try.
    Told,
    /// A question was asked.
    Asked,
}

/// A visitor who signs in.
pub(super) struct Gate<'a> {
    link: &'a mut Link,
    visit: &'a Visit,
    /// Whom the first request was for, and which service.
    principal: Option<(Vec<u8>, Vec<u8>)>,
    /// Requests, and those of them that count as failed.
    requests: u32,
    failures: u32,
    /// Passwords that were wrong.
    wrong: u32,
}

impl<'a> Gate<'a> {
    pub(super) fn new(link: &'a mut Link, visit: &'a Visit) -> Self {
        Self {
            link,
            visit,
            principal: None,
            requests: 0,
            failures: 0,
            wrong: 0,
        }
    }

    /// Until somebody has signed in. What the machine's logs say of those who do not is what a later visitor reads.
    pub(super) async fn open(mut self) -> Result<Entered, SessionError> {
        let entered = self.ask().await;
        if entered.is_err() {
            let left = if self.failures >= self.visit.shared.proposal.tries {
                Left::TooOften
            } else {
                Left::Closed
            };
            let (machine, who) = self.stranger();
            machine.note_left(who, left, self.wrong, self.now());
        }
        entered
    }

    async fn ask(&mut self) -> Result<Entered, SessionError> {
        let mut begun = false;
        let mut asked = false;
        loop {
            let packet = self.link.next().await?;
            let outcome = match packet.kind() {
                SERVICE_REQUEST => {
                    let service = Fields(packet.body()).cstring().ok_or_else(over)?;
                    if service != b"ssh-userauth" {
                        let words = format!("bad service request {}", String::from_utf8_lossy(service));
                        return Err(self.link.transport.hang_up(&words).await);
                    }
                    begun = true;
                    let accept = Message::new(SERVICE_ACCEPT).string(service);
                    self.link.transport.send(accept).await?;
                    continue;
                }
                USERAUTH_REQUEST if begun => {
                    let request = Request::parse(packet.body()).ok_or_else(over)?;
                    self.begin(&request).await?;
                    self.attempt(&request).await?
                }
                USERAUTH_INFO_RESPONSE if asked => {
                    let answer = answer(packet.body()).ok_or_else(over)?;
                    self.password(answer, "keyboard-interactive").await
                }
                _ => {
                    self.link.transport.unimplemented(&packet).await?;
                    continue;
                }
            };
            asked = matches!(outcome, Outcome::Asked);
            match outcome {
                Outcome::Accepted(secret) => {
                    let (user, _) = self.principal.take().unwrap_or_default();
                    let transport = &mut self.link.transport;
                    transport.push(Message::new(USERAUTH_SUCCESS));
                    self.link.kex.compress(transport);
                    transport.flush().await?;
                    return Ok(Entered {
                        user: String::from_utf8_lossy(&user).into_owned(),
                        secret,
                    });
                }
                Outcome::Asked => {}
                Outcome::Told | Outcome::Refused => {
                    if matches!(outcome, Outcome::Refused) {
                        self.failures += 1;
                    }
                    let proposal = &self.visit.shared.proposal;
                    if self.failures >= proposal.tries {
                        let words = "Too many authentication failures";
                        return Err(self.link.transport.hang_up(words).await);
                    }
                    let failure = Message::new(USERAUTH_FAILURE)
                        .string(proposal.methods.as_bytes())
                        .flag(false);
                    self.link.transport.send(failure).await?;
                }
            }
        }
    }

    /// The machine, and whom it sees at its door.
    fn stranger(&self) -> (&Machine, Stranger<'_>) {
        let machine: &Machine = &self.visit.shared.template.machine;
        let (user, from) = (self.user(), self.visit.address);
        (machine, Stranger { user, from })
    }

    fn now(&self) -> i64 {
        self.visit.tap.clock().now().unix_timestamp()
    }

    fn user(&self) -> &[u8] {
        self.principal.as_ref().map_or(&[], |(user, _)| user)
    }

    /// Another request. OpenSSH hangs up where it is for somebody else than before.
    async fn begin(&mut self, request: &Request<'_>) -> Result<(), SessionError> {
        self.requests += 1;
        let shared = &self.visit.shared;
        let Some((user, service)) = &self.principal else {
            self.principal = Some((request.user.to_vec(), request.service.to_vec()));
            let (machine, who) = self.stranger();
            machine.note_name(who, self.now());
            let transport = &mut self.link.transport;
            if let Some(text) = &shared.config.banner {
                let text = format!("{text}\r\n");
                transport.push(Message::new(USERAUTH_BANNER).string(text.as_bytes()).string(b""));
            }
            if shared.proposal.repeats && self.link.takes_extensions {
                let first = shared.proposal.extensions.get(..1).unwrap_or_default();
                transport.push(kex::extensions(first));
            }
            return Ok(());
        };
        if user == request.user && service == request.service {
            return Ok(());
        }
        let [user, service, other, another] =
            [user, service, request.user, request.service].map(|name| String::from_utf8_lossy(name));
        let words =
            format!("Change of username or service not allowed: ({user},{service}) -> ({other},{another})");
        Err(self.link.transport.hang_up(&words).await)
    }

    async fn attempt(&mut self, request: &Request<'_>) -> Result<Outcome, SessionError> {
        let began = Instant::now();
        Ok(match request.method {
            Method::None if self.requests == 1 => Outcome::Told,
            Method::None => Outcome::Refused,
            Method::Password(password) => self.password(password, "password").await,
            Method::PublicKey { algorithm, key } => {
                let hash = STANDARD_NO_PAD.encode(Sha256::digest(key));
                self.report(
                    Secret::PublicKey {
                        algorithm,
                        fingerprint: &format!("SHA256:{hash}"),
                    },
                    "publickey",
                    false,
                );
                self.refuse(began).await
            }
            Method::Interactive => {
                let Dialogue::Asks(question) = self.visit.shared.proposal.dialogue else {
                    return Ok(self.refuse(began).await);
                };
                let host = &self.visit.shared.host.persona.hostname;
                let question = question
                    .replace("{user}", &String::from_utf8_lossy(request.user))
                    .replace("{host}", host);
                // No name, no instruction, no language; one question, whose answer is not shown.
                let ask = Message::new(USERAUTH_INFO_REQUEST)
                    .string(b"")
                    .string(b"")
                    .string(b"")
                    .u32(1)
                    .string(question.as_bytes())
                    .flag(false);
                self.link.transport.send(ask).await?;
                Outcome::Asked
            }
            Method::Other => self.refuse(began).await,
        })
    }

    async fn password(&mut self, password: &[u8], mechanism: &'static str) -> Outcome {
        let began = Instant::now();
        let shared = &self.visit.shared;
        let ip = self.visit.address.ip().to_canonical();
        let is_there = shared.proposal.has_method(mechanism.as_bytes());
        let accepted = is_there && shared.logins.admits(ip, self.user(), &Offer::Password(password));
        self.report(Secret::Plaintext(password), mechanism, accepted);
        if accepted {
            return Outcome::Accepted(password.to_vec());
        }
        if is_there {
            let mean = Duration::from_millis(shared.config.refusal_ms.into());
            self.wrong += 1;
            let (machine, who) = self.stranger();
            machine.note_check(who, self.wrong, self.now());
            tokio::time::sleep(pam_delay(mean)).await;
            machine.note_refusal(who, mechanism == "password", self.now());
        }
        self.refuse(began).await
    }

    /// Refuse a request that began at `began`, in the time that it takes.
    async fn refuse(&self, began: Instant) -> Outcome {
        let shared = &self.visit.shared;
        if shared.proposal.evens_out {
            let elapsed = began.elapsed();
            let time = evened_out(elapsed, &shared.refusal_secret, self.user());
            tokio::time::sleep(time.saturating_sub(elapsed)).await;
        }
        Outcome::Refused
    }

    fn report(&self, secret: Secret<'_>, mechanism: &str, accepted: bool) {
        self.visit.tap.emit(Event::AuthAttempt {
            principal: self.user(),
            secret,
            mechanism,
            accepted,
        });
    }
}

/// How long OpenSSH makes a refusal take that was found after `elapsed`: the time that belongs to the user, doubled until
/// it is long enough (`ensure_minimum_time_since` and `user_specific_delay` of auth2.c).
fn evened_out(elapsed: Duration, secret: &[u8; 32], user: &[u8]) -> Duration {
    if elapsed > FAILURE_MAX {
        return elapsed;
    }
    let digest: [u8; 32] = Sha256::new()
        .chain_update(user)
        .chain_update(secret)
        .finalize()
        .into();
    let [a, b, c, d, ..] = digest;
    let mut time = FAILURE_MIN + Duration::from_nanos(u64::from(u32::from_be_bytes([a, b, c, d])) / 1_000);
    while time < elapsed {
        time *= 2;
    }
    time
}

/// How long PAM makes a wrong password take: half to one and a half times `mean`, and most often about that.
fn pam_delay(mean: Duration) -> Duration {
    let mut rng = rand::rng();
    let thirds: f64 = (0..3).map(|_| rng.random::<f64>()).sum();
    mean.mul_f64(0.5 + thirds / 3.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_openssh_reads_them() {
        let head = |method: &[u8]| {
            Message::default()
                .string(b"root")
                .string(b"ssh-connection")
                .string(method)
        };
        let password = head(b"password").flag(false).string(b"\xff\xfe");
        let request = Request::parse(&password.0).unwrap();
        assert_eq!(request.user, b"root");
        assert_eq!(
            request.method,
            Method::Password(b"\xff\xfe"),
            "it need not be UTF-8"
        );
        let zero = head(b"password").flag(false).string(b"a\0b");
        assert_eq!(Request::parse(&zero.0), None);
        let other = head(b"hostbased");
        assert_eq!(Request::parse(&other.0).unwrap().method, Method::Other);
        assert_eq!(Request::parse(&head(b"publickey").0), None);
    }

    #[test]
    fn a_refusal_takes_the_time_of_its_user_doubled_until_it_is_long_enough() {
        let secret = [7; 32];
        let own = evened_out(Duration::ZERO, &secret, b"root");
        assert!(own >= FAILURE_MIN && own < FAILURE_MIN * 2, "{own:?}");
        for ms in [1, 6, 40, 1_900, 4_900] {
            let elapsed = Duration::from_millis(ms);
            let time = evened_out(elapsed, &secret, b"root");
            let times = (0..12).map(|n| own * (1 << n)).collect::<Vec<_>>();
            assert!(times.contains(&time) && time >= elapsed && (time == own || time / 2 < elapsed));
        }
        assert_ne!(own, evened_out(Duration::ZERO, &secret, b"admin"));
        assert_ne!(own, evened_out(Duration::ZERO, &[8; 32], b"root"));
        let long = Duration::from_secs(6);
        assert_eq!(evened_out(long, &secret, b"root"), long);
    }

    #[test]
    fn pam_takes_half_to_one_and_a_half_times_its_mean() {
        let mean = Duration::from_secs(2);
        for _ in 0..1_000 {
            let delay = pam_delay(mean);
            assert!(delay >= mean / 2 && delay <= mean * 3 / 2, "{delay:?}");
        }
    }
}
