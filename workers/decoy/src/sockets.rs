//! Which sockets the program may still make: those of TCP, and streams between its own threads.
//!
//! A socket of this host with a path, such as a daemon's, can be connected to by whoever may write to that path. A network namespace
//! does not keep anybody from it, and Landlock does only in kernels that are newer than most. So the kernel is told to make no such
//! socket at all: whoever takes the program over has nothing to connect with. Nor has a bus of netlink, a hypervisor or the kernel's
//! own ciphers.
//!
//! Where those of TCP may connect is for Landlock to say (`confine.rs`), which is asked at connect(2) about TCP and about nothing else. So
//! of IP there is no datagram, which would ask the host's resolver or leave by itself; no stream of a protocol that Landlock does not take
//! for TCP, of which multipath TCP reaches every TCP server; and no connection that begins with what is sent (`MSG_FASTOPEN`).

use std::{io, ptr};

use nix::libc::{self, sock_filter, sock_fprog};

/// The system calls of this processor, as audit(7) numbers them: of another one on the same machine the numbers mean something else.
#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xc000_00b7;
#[cfg(target_arch = "riscv64")]
const ARCH: u32 = 0xc000_00f3;

/// Where struct `seccomp_data` of seccomp(2) has the number of the call, the processor, and the lower half of the first four arguments.
const NUMBER: u32 = 0;
const PROCESSOR: u32 = 4;
const FIRST: u32 = 16;
const SECOND: u32 = 24;
const THIRD: u32 = 32;
const FOURTH: u32 = 40;
/// From here on calls of x86-64 are those of x32, which are the same under other numbers.
const X32: u32 = 0x4000_0000;
/// The bits of a socket's type that are no flags.
const TYPE: u32 = 0xf;

/// Load a word of the call, compare it with a number, look for some bits in it, keep some of them, and end: the operations of a filter.
const LOAD: u16 = 0x20;
const IS: u16 = 0x15;
const AT_LEAST: u16 = 0x35;
const HAS: u16 = 0x45;
const KEEP: u16 = 0x54;
const END: u16 = 0x06;

/// Have the kernel refuse this thread, and those that it makes, every other socket from now on, and to connect one but by connect(2). They must not be able to gain
/// privileges (`PR_SET_NO_NEW_PRIVS`).
pub(crate) fn allow_tcp_alone() -> io::Result<()> {
    let mut filter = filter()?;
    let len = u16::try_from(filter.len()).map_err(io::Error::other)?;
    let program = sock_fprog {
        len,
        filter: filter.as_mut_ptr(),
    };
    #[expect(unsafe_code, reason = "nothing that is linked here offers this call")]
    // SAFETY: the kernel reads `len` instructions behind a pointer that is valid for as many, and keeps a copy.
    let done = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::c_ulong::from(libc::SECCOMP_MODE_FILTER),
            ptr::from_ref(&program),
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The program that the kernel runs at each system call. A jump is told by how many instructions are left out.
fn filter() -> io::Result<Vec<sock_filter>> {
    let call = |number: libc::c_long| u32::try_from(number).map_err(io::Error::other);
    let word = |number: libc::c_int| u32::try_from(number).map_err(io::Error::other);
    let then = |code, k, jt, jf| sock_filter { code, jt, jf, k };
    let refuse = libc::SECCOMP_RET_ERRNO | word(libc::EACCES)?;
    Ok(vec![
        then(LOAD, PROCESSOR, 0, 0),
        then(IS, ARCH, 0, 23),
        then(LOAD, NUMBER, 0, 0),
        then(AT_LEAST, X32, 21, 0),
        // What it makes is made by the kernel's own threads, which nobody asks.
        then(IS, call(libc::SYS_io_uring_setup)?, 20, 0),
        then(IS, call(libc::SYS_socket)?, 5, 0),
        then(IS, call(libc::SYS_socketpair)?, 10, 0),
        then(IS, call(libc::SYS_sendto)?, 12, 0),
        then(IS, call(libc::SYS_sendmmsg)?, 11, 0),
        then(IS, call(libc::SYS_sendmsg)?, 12, 0),
        then(END, libc::SECCOMP_RET_ALLOW, 0, 0),
        // A socket is of IP, and of its streams' usual protocol or TCP by name, …
        then(LOAD, FIRST, 0, 0),
        then(IS, word(libc::AF_INET)?, 1, 0),
        then(IS, word(libc::AF_INET6)?, 0, 11),
        then(LOAD, THIRD, 0, 0),
        then(IS, 0, 1, 0),
        then(IS, word(libc::IPPROTO_TCP)?, 0, 8),
        // … and a stream, as are two that are connected with each other: others can be connected anew.
        then(LOAD, SECOND, 0, 0),
        then(KEEP, TYPE, 0, 0),
        then(IS, word(libc::SOCK_STREAM)?, 4, 5),
        // What is sent connects nowhere, whichever of its arguments says how it is sent.
        then(LOAD, FOURTH, 0, 0),
        then(HAS, word(libc::MSG_FASTOPEN)?, 3, 2),
        then(LOAD, THIRD, 0, 0),
        then(HAS, word(libc::MSG_FASTOPEN)?, 1, 0),
        then(END, libc::SECCOMP_RET_ALLOW, 0, 0),
        then(END, refuse, 0, 0),
    ])
}

#[cfg(test)]
mod tests {
    use std::{
        io::{IoSlice, Write as _},
        net::{TcpListener, TcpStream},
        os::{
            fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
            unix::net::{UnixDatagram, UnixListener, UnixStream},
        },
        thread,
    };

    use nix::{
        errno::Errno,
        sys::{
            prctl,
            socket::{
                AddressFamily, MsgFlags, MultiHeaders, SockFlag, SockType, SockaddrStorage, sendmmsg,
                sendmsg, sendto, socket,
            },
        },
    };

    use super::*;

    #[test]
    fn from_within_no_socket_of_the_host_is_reached_and_those_of_tcp_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bus.sock");
        let _host = UnixListener::bind(&path).unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let (at, path) = (other.local_addr().unwrap(), path.as_path());
        // It is kept for each thread, so this one alone is kept from anything.
        let within = move || {
            // Its path and its user keep nobody from it.
            UnixStream::connect(path).unwrap();
            prctl::set_no_new_privs().unwrap();
            allow_tcp_alone().unwrap();
            let refused = [
                UnixStream::connect(path).map(drop),
                UnixDatagram::unbound().map(drop),
                UnixDatagram::pair().map(drop),
            ];
            for refused in refused {
                assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            }
            let netlink = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::empty(), None);
            assert_eq!(netlink.unwrap_err(), Errno::EACCES);
            // A relay's way, a visitor's, and that of a signal.
            let mut led = TcpStream::connect(at).unwrap();
            led.write_all(b"hello").unwrap();
            TcpListener::bind("[::1]:0")
                .or_else(|_| TcpListener::bind("127.0.0.1:0"))
                .unwrap();
            UnixStream::pair().unwrap();
        };
        thread::scope(|scope| scope.spawn(within).join()).unwrap();
        UnixStream::connect(path).unwrap();
    }

    /// What the kernel says to this kind of socket, whether or not it knows it.
    fn made(family: i32, kind: i32, protocol: i32) -> Result<OwnedFd, Errno> {
        #[expect(unsafe_code, reason = "nix knows fewer protocols than the kernel")]
        // SAFETY: three numbers, and what comes of them is owned by nobody else.
        unsafe {
            Errno::result(libc::socket(family, kind, protocol)).map(|made| OwnedFd::from_raw_fd(made))
        }
    }

    #[test]
    fn from_within_nothing_leaves_by_ip_but_what_landlock_takes_for_tcp() {
        let within = || {
            prctl::set_no_new_privs().unwrap();
            allow_tcp_alone().unwrap();
            for family in [libc::AF_INET, libc::AF_INET6] {
                for flags in [0, libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC] {
                    for protocol in [0, libc::IPPROTO_TCP] {
                        // There may be no IPv6 here; it is not the filter that says so.
                        let stream = made(family, libc::SOCK_STREAM | flags, protocol).map(drop);
                        assert!(
                            stream.is_ok() || (family == libc::AF_INET6 && stream != Err(Errno::EACCES)),
                            "{stream:?}"
                        );
                    }
                    for (kind, protocol) in [
                        (libc::SOCK_DGRAM, 0),
                        (libc::SOCK_DGRAM, libc::IPPROTO_UDP),
                        // The kernel pings for whoever may have it do so.
                        (libc::SOCK_DGRAM, libc::IPPROTO_ICMP),
                        (libc::SOCK_RAW, libc::IPPROTO_TCP),
                        (libc::SOCK_SEQPACKET, libc::IPPROTO_SCTP),
                        (libc::SOCK_STREAM, libc::IPPROTO_SCTP),
                        (libc::SOCK_STREAM, libc::IPPROTO_MPTCP),
                    ] {
                        let refused = made(family, kind | flags, protocol).map(drop);
                        assert_eq!(refused, Err(Errno::EACCES), "{family} {kind} {protocol}");
                    }
                }
            }
        };
        thread::scope(|scope| scope.spawn(within).join()).unwrap();
    }

    #[test]
    fn from_within_no_connection_begins_with_what_is_sent() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = SockaddrStorage::from(other.local_addr().unwrap());
        let within = move || {
            prctl::set_no_new_privs().unwrap();
            allow_tcp_alone().unwrap();
            let begin = MsgFlags::from_bits_retain(libc::MSG_FASTOPEN);
            let words = [IoSlice::new(b"hello")];
            let stream = || made(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap();
            let one = sendto(stream().as_raw_fd(), b"hello", &at, begin);
            let parts = sendmsg(stream().as_raw_fd(), &words, &[], begin, Some(&at));
            let mut headers = MultiHeaders::preallocate(1, None);
            let all = sendmmsg(
                stream().as_raw_fd(),
                &mut headers,
                [&words],
                [Some(at)],
                [],
                begin,
            );
            for refused in [one.map(drop), parts.map(drop), all.map(drop)] {
                assert_eq!(refused, Err(Errno::EACCES));
            }
        };
        thread::scope(|scope| scope.spawn(within).join()).unwrap();
    }
}
