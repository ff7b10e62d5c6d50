//! RFC 5424 lines: format and parse, and octet-counted framing (RFC 6587 section 3.4.1, RFC 5425).
//!
//! The spool, the collector and the decoys write and read evidence through this crate and nothing else, so a
//! line means the same everywhere. Attacker bytes come in as printable text (see `decnet_model::printable`).
