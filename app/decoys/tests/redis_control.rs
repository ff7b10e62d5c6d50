//! The same words to our redis and to a real one (Debian's `redis-server`), and the same answers back.
//!
//! Where no redis-server is installed, the test says so and proves nothing.

#![cfg(feature = "serve")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report; clippy's own exception stops at helper functions"
)]

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use decnet_control::{Control, Product, Words};
use decnet_decoys::{
    config::{DeckyConfig, Limits, ServiceEntry},
    serve::{runner::Decky, sink::Sink},
};
use decnet_model::clock::SystemClock;
use decnet_persona::{Distro, PersonaSpec, Seed};

mod support;

/// A real server of the series that the transcripts are those of.
fn control() -> Option<Control> {
    support::control(Product::Redis, "7.0.", Words::default())
}

/// Our server in the given version, in a thread that lives as long as the test.
fn ours(version: &str) -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    let knobs = BTreeMap::from([
        ("version".to_owned(), version.into()),
        ("guarded".to_owned(), true.into()),
    ]);
    let archetype = decnet_persona::archetype::ALL.first().unwrap().slug;
    let persona = PersonaSpec {
        // Its Redis is of the series of the control.
        distro: Some(Distro::Debian12),
        ..PersonaSpec::new(Seed::from_bytes([9; 16]), archetype)
    };
    let config = DeckyConfig {
        name: "control".parse().unwrap(),
        persona,
        services: vec![ServiceEntry {
            slug: "redis".parse().unwrap(),
            knobs,
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            relays: Vec::new(),
        }],
        artifacts: None,
        transcripts: None,
        evidence: None,
        pulse: None,
        user: decnet_decoys::config::NOBODY,
        reach: Vec::new(),
        limits: Limits::default(),
    };
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let sink = Arc::new(Sink::to(std::io::sink()));
            let decky = Decky::start(config, sink, Arc::new(SystemClock)).unwrap();
            tell.send(decky.listening().first().unwrap().1).unwrap();
            std::future::pending::<()>().await;
        });
    });
    told.recv().unwrap()
}

/// Send `words` at once and read until the server, which sees our end of stream, closes.
fn ask(server: SocketAddr, words: &[u8]) -> String {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(words).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => answer.extend_from_slice(chunk.get(..n).unwrap()),
            // A server that hung up with our words unread resets the connection.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}"),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Conversations: each is sent whole on a connection of its own, after FLUSHALL.
const CONVERSATIONS: &[&str] = &[
    "PING\r\nping hello\r\nPING a b\r\nECHO hi\r\n",
    "FOO bar baz\r\nget\r\nset a\r\nconfig\r\nconfig foo\r\nconfig get\r\nclient foo\r\n",
    "*1\r\n$4\r\nPING\r\n*0\r\n*-1\r\n\r\nPING\r\n",
    "*abc\r\n",
    "*2\r\n$-1\r\n",
    "*1\r\nPING\r\n",
    "*1\r\n$x\r\n",
    "SET a \"unbalanced\r\n",
    "GET / HTTP/1.1\r\n",
    "GET / HTTP/1.1\r\nHost: localhost\r\n\r\nPING\r\n",
    "POST / HTTP/1.1\r\n\r\nPING\r\n",
    "SSH-1337-OpenSSH\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nPING\r\n",
    "QUIT\r\nPING\r\n",
    "HELLO 4\r\nHELLO x\r\nHELLO 2 foo\r\nHELLO 3 AUTH default\r\n",
    "AUTH x\r\nAUTH a b\r\nAUTH default b\r\nAUTH a b c\r\nACL WHOAMI\r\nACL LIST\r\nACL USERS\r\n",
    "SET a 1\r\nINCR a\r\nINCRBY a x\r\nGET a\r\nAPPEND a x\r\nINCR a\r\nSTRLEN a\r\nGETRANGE a 0 -1\r\nTYPE a\r\n",
    "SET a 1 EX 100\r\nTTL a\r\nPERSIST a\r\nTTL a\r\nTTL none\r\nSET a 1 EX 0\r\nSET a 1 FOO\r\nEXPIRE a x\r\nSET a 2 NX\r\nSET b 2 XX\r\n",
    "MSET a 1 b 2\r\nMGET a b c\r\nDEL a b c\r\nEXISTS a\r\nMSET a\r\nMSET a 1 b\r\n",
    "RPUSH l 1 2 3\r\nLRANGE l 0 -1\r\nLPOP l\r\nLLEN l\r\nLINDEX l -1\r\nLSET l 9 x\r\nGET l\r\nLTRIM l 1 0\r\nEXISTS l\r\nLREM l 0 a\r\n",
    "HSET h f v\r\nHGET h f\r\nHGETALL h\r\nHLEN h\r\nHINCRBY h f 1\r\nHDEL h f\r\nHSET h f\r\nHEXISTS h f\r\n",
    "SADD s a\r\nSISMEMBER s a\r\nSCARD s\r\nSMEMBERS s\r\nSREM s a\r\nSADD s 1\r\nOBJECT ENCODING s\r\n",
    "ZADD z 1 a 2 b\r\nZRANGE z 0 -1 WITHSCORES\r\nZSCORE z a\r\nZRANK z b\r\nZADD z x y\r\nZCOUNT z (1 +inf\r\nZREVRANGE z 0 0\r\n",
    "SELECT 1\r\nSELECT 99\r\nSELECT x\r\nDBSIZE\r\nSELECT 0\r\n",
    "SET k v\r\nKEYS *\r\nSCAN 0\r\nSCAN x\r\nSCAN 0 COUNT 0\r\nSCAN 0 MATCH\r\nRANDOMKEY\r\nRENAME none a\r\nRENAME k m\r\nOBJECT ENCODING m\r\nOBJECT ENCODING none\r\n",
    "MULTI\r\nSET a 1\r\nINCR a\r\nEXEC\r\nEXEC\r\nDISCARD\r\nMULTI\r\nFOO\r\nEXEC\r\nMULTI\r\nMULTI\r\nDISCARD\r\n",
    "SUBSCRIBE c\r\nGET a\r\nPING\r\nUNSUBSCRIBE c\r\nPING\r\nUNSUBSCRIBE\r\n",
    "CONFIG SET dir /nonexistent\r\nCONFIG SET dbfilename a/b\r\nCONFIG SET nonsense 1\r\nCONFIG SET maxmemory\r\nCONFIG GET maxmemory\r\nCONFIG GET nothing*\r\n",
    "MODULE LOAD /tmp/x.so\r\nMODULE LIST\r\nDEBUG SLEEP 0\r\nSLAVEOF x\r\nSLAVEOF 127.0.0.1 x\r\nSLAVEOF NO ONE\r\nROLE\r\n",
    "EVAL \"return 1\" 0\r\nEVAL \"return 'x'\" 0\r\nEVAL \"return x\" x\r\nEVAL \"return 1\" 3\r\nEVALSHA abc 0\r\nSCRIPT EXISTS a\r\nSCRIPT KILL\r\n",
    "EVAL \"local io_l = package.loadlib('/usr/lib/x86_64-linux-gnu/liblua5.1.so.0', 'luaopen_io'); return 1\" 0\r\n",
    "SLOWLOG LEN\r\nCOMMAND COUNT\r\nCLIENT GETNAME\r\nCLIENT SETNAME x\r\nCLIENT GETNAME\r\nCLIENT SETNAME \"a b\"\r\nCLUSTER INFO\r\nWAIT 0 0\r\nLATENCY RESET\r\n",
    "COMMAND INFO foo\r\nTIME x\r\nLASTSAVE x\r\nRESET\r\n",
    "SETBIT b 7 1\r\nSETBIT b 7 0\r\nSETBIT b 100 1\r\nGETBIT b 100\r\nGETBIT b 9\r\nSTRLEN b\r\nBITCOUNT b\r\nBITCOUNT b 0 -2\r\nBITCOUNT b 96 103 BIT\r\nBITCOUNT b 1\r\nSETBIT b x 1\r\nSETBIT b 1 2\r\nGETBIT none 3\r\n",
    "XADD x 1-1 a 1 b 2\r\nXADD x 1-* c 3\r\nXADD x 1-1 d 4\r\nXADD x 0-0 d 4\r\nXADD x bad d 4\r\nXADD x 5 d\r\nXADD x MAXLEN 2 7 e 5\r\nXLEN x\r\nXRANGE x - +\r\nXRANGE x (1-2 + COUNT 1\r\nXREVRANGE x + -\r\nXDEL x 7-0 9-9\r\nTYPE x\r\nOBJECT ENCODING x\r\nGET x\r\nXADD none NOMKSTREAM * a b\r\n",
    "PFADD p a b c\r\nPFADD p a\r\nPFCOUNT p\r\nPFADD q d a\r\nPFCOUNT p q\r\nPFMERGE r p q\r\nPFCOUNT r none\r\nTYPE p\r\n",
    "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania\r\nGEOADD g 13.361389 38.115556 Palermo\r\nGEOPOS g Palermo nobody Catania\r\nGEODIST g Palermo Catania\r\nGEODIST g Palermo Catania km\r\nGEODIST g Palermo x\r\nZSCORE g Palermo\r\nGEOADD g 200 100 x\r\nTYPE g\r\n",
    "EVAL 'return redis.call(\"ping\")' 0\r\nEVAL \"return redis.call('set', KEYS[1], ARGV[1])\" 1 k v\r\nEVAL \"return redis.call('get', 'k')\" 0\r\nEVAL \"return {1, 'two', KEYS[1], {3}}\" 1 k\r\nEVAL \"local v = redis.call('get', 'k'); return v\" 0\r\nEVAL \"redis.call('del', 'k')\" 0\r\nEXISTS k\r\nEVAL \"return redis.sha1hex('x')\" 0\r\nEVAL \"return nothing\" 0\r\nEVAL \"return redis.pcall('lpush')\" 0\r\nEVAL \"return redis.call('nope')\" 0\r\nEVAL \"return redis.call('get')\" 0\r\nEVAL \"return redis.call('subscribe', 'a')\" 0\r\n",
    "SET s 1\r\nEVAL \"return redis.call('lpush', 's', 'x')\" 0\r\nEVAL 'return -5' 0\r\nEVAL 'return 3.9' 0\r\nEVAL 'return ARGV' 0 a b\r\nEVAL 'return' 0\r\nEVAL '' 0\r\n",
    "RPUSH l 1 2 3\r\nLMOVE l m LEFT RIGHT\r\nLMOVE l m x y\r\nLMOVE none m LEFT LEFT\r\nRPOPLPUSH l m\r\nLRANGE m 0 -1\r\nLMOVE l l RIGHT LEFT\r\nBLMOVE l m LEFT LEFT 0\r\nBLPOP m 1\r\nBRPOP none m 1\r\nBLPOP m x\r\nBLPOP m -1\r\nSET s 1\r\nBLPOP s 1\r\nLMOVE m s LEFT LEFT\r\nLLEN m\r\n",
    "RPUSH l a b c a\r\nLPOS l a\r\nLPOS l a RANK -1\r\nLPOS l a COUNT 0\r\nLPOS l x\r\nLPOS l a RANK 0\r\nLINSERT l BEFORE b x\r\nLINSERT l AFTER z y\r\nLINSERT none BEFORE a b\r\nLINSERT l x b c\r\nLRANGE l 0 -1\r\nLMPOP 1 l LEFT COUNT 2\r\nLMPOP 0 l LEFT\r\nLMPOP 1 none RIGHT\r\nBLMPOP 1 1 l RIGHT\r\n",
    "SADD a 1 2 3\r\nSADD b 2 3 4\r\nSINTERSTORE c a b\r\nSCARD c\r\nSUNIONSTORE d a b\r\nSDIFFSTORE e a b\r\nSMEMBERS e\r\nSMOVE a b 1\r\nSMOVE a b 9\r\nSINTERCARD 2 a b\r\nSINTERCARD 0 a\r\nSINTERCARD 2 a b LIMIT 1\r\nSDIFFSTORE e a a\r\nEXISTS e\r\n",
    "ZADD z 1 a 2 b 3 c 4 d\r\nZPOPMIN z\r\nZPOPMAX z 2\r\nZPOPMIN none\r\nBZPOPMIN z 1\r\nEXISTS z\r\nZADD z 1 a 2 b 3 c\r\nZREMRANGEBYRANK z 0 0\r\nZREMRANGEBYSCORE z (2 3\r\nZMSCORE z b nobody\r\nZADD y 5 b\r\nZUNIONSTORE w 2 z y\r\nZSCORE w b\r\nZINTERSTORE v 2 z y\r\nZPOPMIN z -1\r\nHINCRBYFLOAT h f 1.5\r\nHINCRBYFLOAT h f x\r\n",
    "XGROUP CREATE x g $\r\nXGROUP CREATE x g $ MKSTREAM\r\nXGROUP CREATE x g 0\r\nXADD x 1-1 a 1\r\nXADD x 2-1 b 2\r\nXREADGROUP GROUP g c COUNT 1 STREAMS x >\r\nXPENDING x g\r\nXREADGROUP GROUP g c STREAMS x 0\r\nXREADGROUP GROUP g c STREAMS x >\r\nXREADGROUP GROUP g c STREAMS x >\r\nXACK x g 1-1 9-9\r\nXREADGROUP GROUP nog c STREAMS x >\r\nXGROUP CREATECONSUMER x g d\r\nXGROUP DELCONSUMER x g c\r\nXGROUP SETID x g 0\r\nXGROUP SETID x nog 0\r\nXGROUP DESTROY x g\r\nXGROUP DESTROY x g\r\nXGROUP FOO x\r\n",
    "XADD x 1-1 a 1\r\nXADD x 2-1 b 2\r\nXREAD STREAMS x 0\r\nXREAD COUNT 1 STREAMS x 1-1\r\nXREAD STREAMS x $\r\nXREAD STREAMS x\r\nXREAD STREAMS x bad\r\nXTRIM x MAXLEN 1\r\nXLEN x\r\nXTRIM x FOO 1\r\nXPENDING x nog\r\nXSETID x 9-9\r\nXSETID none 1-1\r\n",
    "SET a 1\r\nOBJECT REFCOUNT a\r\nOBJECT IDLETIME a\r\nOBJECT FREQ a\r\nOBJECT ENCODING a\r\nOBJECT FOO a\r\nOBJECT ENCODING\r\nOBJECT REFCOUNT none\r\nRPUSH l 1\r\nOBJECT ENCODING l\r\nHSET h f v\r\nOBJECT ENCODING h\r\nZADD z 1 a\r\nOBJECT ENCODING z\r\nSET t abc\r\nOBJECT ENCODING t\r\nOBJECT HELP\r\n",
    "EVAL \"if 1 == 1 then return 'yes' else return 'no' end\" 0\r\nEVAL \"local s = 0 for i = 1, 10 do s = s + i end return s\" 0\r\nEVAL \"local t = {} for i = 1, 3 do table.insert(t, i * 2) end return t\" 0\r\nEVAL \"for i, k in ipairs(KEYS) do redis.call('set', k, ARGV[i]) end return #KEYS\" 2 a b 1 2\r\nMGET a b\r\nEVAL \"local n = redis.call('incrby', 'a', 5) if n > 3 then return redis.call('get', 'a') end return nil\" 0\r\nEVAL \"return redis.call('get', 'none') == false\" 0\r\nEVAL \"return 'a' .. 1 .. 'b'\" 0\r\nEVAL \"return tostring(1 + 0.5)\" 0\r\nEVAL \"return {1, nil, 3}\" 0\r\nEVAL \"return {ok='FINE'}\" 0\r\nEVAL \"return {err='BAD thing'}\" 0\r\nEVAL \"return redis.status_reply('X')\" 0\r\nEVAL \"return redis.error_reply('MY err')\" 0\r\nEVAL \"return redis.error_reply('alone')\" 0\r\n",
    "EVAL \"x = 1\" 0\r\nEVAL \"return 1 + nil\" 0\r\nEVAL \"local t = nil return t.x\" 0\r\nEVAL \"return #KEYS + tonumber(ARGV[1])\" 1 k 41\r\nEVAL \"local i = 0 while i < 5 do i = i + 1 if i == 3 then break end end return i\" 0\r\nEVAL \"local i = 0 repeat i = i + 2 until i > 6 return i\" 0\r\nEVAL \"return string.upper('abc') .. string.sub('hello', 2, 3) .. string.rep('x', 3)\" 0\r\nEVAL \"return {KEYS[1], #ARGV, 2 ^ 3, 7 % 3, not nil, 1 < 2 and 'a' or 'b'}\" 1 k v\r\nEVAL \"return redis.call('ping')\" 0\r\nEVAL \"return redis.call('lpush', 'l', unpack({'a', 'b'}))\" 0\r\nEVAL \"local r = redis.pcall('incr', 'l') return r.err\" 0\r\nEVAL \"return math.max(1, 5, 3)\" 0\r\nEVAL \"return type({})\" 0\r\nEVAL \"return redis.call({})\" 0\r\nEVAL \"return string.format('%s-%d', 'a', 5)\" 0\r\n",
    "INFO nothing\r\nINFO cluster\r\nINFO modules\r\n",
];

#[test]
fn the_same_words_get_the_same_answers_as_from_a_real_server() {
    let Some(real) = control() else {
        return;
    };
    let decoy = ours(real.version());
    let mut differences = Vec::new();
    for words in CONVERSATIONS {
        for server in [real.address(), decoy] {
            assert_eq!(ask(server, b"FLUSHALL\r\n"), "+OK\r\n");
        }
        let (theirs, ours) = (
            ask(real.address(), words.as_bytes()),
            ask(decoy, words.as_bytes()),
        );
        if theirs != ours {
            differences.push(format!("--- {words:?}\nreal: {theirs:?}\nours: {ours:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn info_has_the_fields_of_a_real_server_in_its_order() {
    let Some(real) = control() else {
        return;
    };
    let decoy = ours(real.version());
    let fields = |server| -> Vec<String> {
        let text = ask(server, b"INFO\r\n");
        text.lines()
            .skip(1)
            .filter(|line| !line.starts_with("db"))
            .map(|line| line.split(':').next().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(fields(real.address()), fields(decoy));
}
