//! Whom an intruder would find: the other machines of the lab, with services that answer whoever reaches them.

use std::{
    io::{ErrorKind, Write as _},
    net::{TcpListener, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use decnet_lab::{ATTACKER, GATEWAY, GATEWAY_V6, HOST, INTERFACE, Lab, METADATA, Place, speaks_v6};

use crate::{host::until, visitor::said};

/// What the host plays on its address of the network: the API (whose own server is on the loopback interface), the bus, anything.
pub(crate) const OF_HOST: [u16; 3] = [8080, 4222, 8081];
/// What the gateway plays, where clouds have their metadata, too.
pub(crate) const OF_GATEWAY: [u16; 1] = [80];
/// And over UDP: DNS, DHCP, NTP.
pub(crate) const OF_GATEWAY_UDP: [u16; 3] = [53, 67, 123];
/// What another machine of the network plays.
pub(crate) const OF_ATTACKER: [u16; 1] = [8081];

/// They answer until this is dropped.
pub(crate) struct Neighbours {
    ends: Arc<AtomicBool>,
    serving: Vec<JoinHandle<()>>,
}

impl Neighbours {
    pub(crate) fn answering(lab: &Lab) -> Self {
        let mut all = Self {
            ends: Arc::default(),
            serving: Vec::new(),
        };
        all.serve(lab, Place::Host, &[HOST], &OF_HOST, &[]);
        all.serve(
            lab,
            Place::Gateway,
            &[GATEWAY, METADATA],
            &OF_GATEWAY,
            &OF_GATEWAY_UDP,
        );
        all.serve(lab, Place::Attacker, &[ATTACKER], &OF_ATTACKER, &[]);
        if speaks_v6() {
            for (place, ports) in [
                (Place::Host, OF_HOST.as_slice()),
                (Place::Gateway, &OF_GATEWAY),
                (Place::Attacker, &OF_ATTACKER),
            ] {
                let (link, index) = of_the_link(lab, place);
                all.serve(lab, place, &[&format!("[{link}%{index}]")], ports, &[]);
            }
            let other = format!("[{GATEWAY_V6}]");
            all.serve(lab, Place::Gateway, &[&other], &OF_GATEWAY, &[]);
        }
        all
    }

    fn serve(&mut self, lab: &Lab, place: Place, addresses: &[&str], tcp: &[u16], udp: &[u16]) {
        let at = |ports: &[u16]| -> Vec<String> {
            let all = ports
                .iter()
                .flat_map(|port| addresses.iter().map(move |ip| format!("{ip}:{port}")));
            all.collect()
        };
        let (tcp, udp) = (at(tcp), at(udp));
        let (listeners, sockets) = lab
            .within(place, || {
                let listeners = tcp.iter().map(|at| {
                    let listener = TcpListener::bind(at).unwrap_or_else(|e| panic!("{place:?} {at}: {e}"));
                    listener.set_nonblocking(true).unwrap();
                    listener
                });
                let sockets = udp.iter().map(|at| {
                    let socket = UdpSocket::bind(at).unwrap_or_else(|e| panic!("{place:?} {at}: {e}"));
                    socket.set_nonblocking(true).unwrap();
                    socket
                });
                (listeners.collect::<Vec<_>>(), sockets.collect::<Vec<_>>())
            })
            .unwrap();
        let ends = self.ends.clone();
        self.serving.push(thread::spawn(move || {
            while !ends.load(Ordering::SeqCst) {
                let answered = listeners.iter().map(greet).chain(sockets.iter().map(reply));
                if answered.filter(|came| *came).count() == 0 {
                    thread::sleep(Duration::from_millis(2));
                }
            }
        }));
    }
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        for serving in self.serving.drain(..) {
            // A panic of it was printed; another one here would end all tests.
            let _printed = serving.join();
        }
    }
}

/// Whether somebody came, who hears a word and the end.
fn greet(listener: &TcpListener) -> bool {
    match listener.accept() {
        Ok((mut visitor, _)) => {
            // A scanner may be gone already.
            let _unheard = visitor.write_all(b"welcome\r\n");
            true
        }
        // So it does where a scanner was gone before it was let in.
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// Whether somebody asked. A question that comes back as a reply is an empty answer in DNS (RFC 1035 section 4.1.1).
fn reply(socket: &UdpSocket) -> bool {
    let mut question = [0; 2048];
    match socket.recv_from(&mut question) {
        Ok((length, from)) => {
            if let Some(flags) = question.get_mut(2) {
                *flags |= 0x80;
            }
            // Nothing is an answer that nobody sees.
            let _unheard = socket.send_to(&question[..length.max(4)], from);
            true
        }
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// The address of a machine that only its neighbours know, and the number of its own interface there.
pub(crate) fn of_the_link(lab: &Lab, place: Place) -> (String, u32) {
    let interface = if place == Place::Host { INTERFACE } else { "eth0" };
    until("an address of the link is settled", || {
        let shown = lab
            .command(place, "ip")
            .args(["-6", "-o", "addr", "show", "dev", interface, "scope", "link"])
            .output()
            .unwrap();
        let shown = said(&shown);
        // While it is only tried, nobody answers for it.
        if shown.contains("tentative") {
            return None;
        }
        let index = shown.split(':').next()?.trim().parse().ok()?;
        let address = shown.split_whitespace().find(|word| word.starts_with("fe80:"))?;
        Some((address.split('/').next()?.to_owned(), index))
    })
}
