//! Any bytes parse or are refused; what parses formats to a line that parses to the same, and holds no control character.
#![cfg_attr(not(test), no_main)]

use decnet_syslog::{Message, fields_of, source_address};

libfuzzer_sys::fuzz_target!(|raw: &[u8]| {
    let Ok(message) = Message::parse(raw) else { return };
    let (_fields, _source) = (fields_of(&message), source_address(&message));
    let mut once = Vec::new();
    message.format(&mut once);
    let (line_end, line) = once.split_last().expect("a line is never empty");
    assert_eq!(*line_end, b'\n');
    assert!(
        !std::str::from_utf8(line)
            .expect("lines are UTF-8")
            .contains(char::is_control)
    );
    let again = Message::parse(&once).expect("our own lines parse");
    assert_eq!(again.sd.len(), message.sd.len());
    for (a, b) in again.sd.iter().zip(&message.sd) {
        assert_eq!(a.params.len(), b.params.len(), "no value ends an element");
    }
    let mut twice = Vec::new();
    again.format(&mut twice);
    // A byte order mark at the start of the message is taken off by each parse.
    if !again.msg.starts_with('\u{feff}') && !message.msg.starts_with('\u{feff}') {
        assert_eq!(once, twice);
    }
});
