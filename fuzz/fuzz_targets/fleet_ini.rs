//! Any text is a fleet or has faults with lines of it; a small fleet is settled or told what it cannot have.
#![cfg_attr(not(test), no_main)]

use decnet_fleet::{BuiltIn, Limits, resolve, spec::from_ini};
use decnet_model::clock::from_micros;

libfuzzer_sys::fuzz_target!(|text: &str| {
    match from_ini(text) {
        Err(faults) => {
            assert!(!faults.is_empty());
            let lines = text.lines().count();
            assert!(
                faults
                    .iter()
                    .filter_map(|f| f.line)
                    .all(|line| (1..=lines).contains(&line))
            );
        }
        // Each decky has a persona made, which takes its time.
        Ok(spec) if spec.deckies.iter().all(|d| d.amount.unwrap_or(1) <= 2) && spec.deckies.len() <= 3 => {
            drop(resolve(&spec, &[], &Limits::default(), &BuiltIn, from_micros(0)));
        }
        Ok(_) => {}
    }
});
