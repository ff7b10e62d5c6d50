//! What is shown of knobs is what the real services have.

use decnet_fleet::spec::from_ini;

/// The sections of knobs in an example of a fleet, each with its lines. The example begins with `[general]` and ends with the text
/// that it stands in.
fn knobs(source: &str) -> Vec<(String, String)> {
    let (_, example) = source.split_once("[general]").unwrap();
    let ends = ["\";", "```"].iter().filter_map(|end| example.find(end)).min();
    let mut sections = Vec::new();
    for line in example.get(..ends.unwrap()).unwrap().lines() {
        let line = line.trim_start_matches("//!").trim();
        if let Some(section) = line.strip_prefix('[') {
            let name = section.split(']').next().unwrap();
            sections.push((name.to_owned(), String::new()));
        } else if let Some((_, lines)) = sections.last_mut() {
            lines.push_str(line);
            lines.push('\n');
        }
    }
    sections.retain(|(name, _)| name.contains('.'));
    sections
}

#[test]
fn every_knob_of_the_help_and_of_the_documentation_exists_and_takes_what_is_shown() {
    for (place, source) in [
        (
            "the help of the deploy dialog",
            include_str!("../../../src/pages/fleet/deploy/description.rs"),
        ),
        ("the documentation of the text", include_str!("../../src/spec.rs")),
    ] {
        let shown = knobs(source);
        assert!(
            shown.iter().any(|(_, lines)| lines.contains(" = ")),
            "{place}: {shown:?}"
        );
        for (section, lines) in shown {
            let text = format!("[web]\narchetype = web-server\n[{section}]\n{lines}");
            let read = from_ini(&text);
            assert!(read.is_ok(), "{place}: {text}\n{read:?}");
        }
    }
}
