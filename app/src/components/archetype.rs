//! The marks of the kinds of deckies: a sign each, so that kinds are told apart at a glance.

use decnet_model::name::DeckyName;
use leptos::prelude::*;

use crate::live::use_live;

/// What stands for a kind that this build does not know: a hull with something in it.
const UNKNOWN: &str = "M12 3l8 4.5v9L12 21l-8-4.5v-9zM12 12h.01";

/// The strokes of an archetype's sign, on a grid of 24.
fn sign(slug: &str) -> &'static str {
    match slug {
        // Two units of a rack.
        "linux-server" => {
            "M4 4h16v6.5H4zM4 13.5h16V20H4zM7.5 7.25h.01M7.5 16.75h.01M11.5 7.25h5M11.5 16.75h5"
        }
        // A globe.
        "web-server" => {
            "M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18M3 12h18M12 3c-5.5 5.5-5.5 12.5 0 18M12 3c5.5 5.5 5.5 12.5 0 18"
        }
        // A drum.
        "database-server" => {
            "M4.5 6c0-1.7 3.4-3 7.5-3s7.5 1.3 7.5 3-3.4 3-7.5 3-7.5-1.3-7.5-3v12c0 1.7 3.4 3 7.5 3s7.5-1.3 7.5-3V6M4.5 12c0 1.7 3.4 3 7.5 3s7.5-1.3 7.5-3"
        }
        // An envelope.
        "mail-server" => "M3 5.5h18v13H3zM3 6.5l9 7 9-7",
        // A folder.
        "file-server" => "M3 5h6.5l2 3H21v11.5H3zM3 12h18",
        // A branch of a repository.
        "devops-host" => {
            "M7 3a2 2 0 1 0 0 4a2 2 0 1 0 0-4M7 17a2 2 0 1 0 0 4a2 2 0 1 0 0-4M17 6a2 2 0 1 0 0 4a2 2 0 1 0 0-4M7 7v10M17 10c0 4.5-10 2.5-10 7"
        }
        // A gauge.
        "monitoring-node" => {
            "M4.2 17.5a9 9 0 1 1 15.6 0M12 13l3.5-4M8 20.5h8M6.5 13h.01M12 7.5h.01M17.5 13h.01"
        }
        // A receiver.
        "voip-server" => {
            "M5 3.5h4l1.8 4.6-2.4 1.7a12.5 12.5 0 0 0 5.8 5.8l1.7-2.4 4.6 1.8v4c0 .9-.7 1.5-1.5 1.5C10.6 20.5 3.5 13.4 3.5 5c0-.9.7-1.5 1.5-1.5"
        }
        // A prompt.
        "deaddeck" => "M3 4.5h18v15H3zM7 9l3 3-3 3M12.5 15H17",
        // A window above a unit of a rack.
        "windows-server" => "M4 3.5h16v10H4zM4 7h16M12 7v6.5M4 16.5h16v4H4zM7 18.5h.01M11 18.5h6",
        // One above others.
        "domain-controller" => "M9 3h6v5H9zM3 16h6v5H3zM15 16h6v5h-6zM12 8v4M6 16v-4h12v4",
        // A screen with a window.
        "windows-workstation" => "M3 4h18v12H3zM8.5 7h7v6h-7zM12 7v6M8.5 10h7M12 16v4M8 20h8",
        // Paper goes in above and comes out below.
        "printer" => "M7 8V3.5h10V8M7 16.5H3.5V8h17v8.5H17M7 13.5h10v7H7zM17 10.8h.01",
        // A chip.
        "iot-device" => {
            "M7 7h10v10H7zM10 10h4v4h-4zM9.5 7V3.5M14.5 7V3.5M9.5 20.5V17M14.5 20.5V17M7 9.5H3.5M7 14.5H3.5M20.5 9.5H17M20.5 14.5H17"
        }
        // A camera on a wall.
        "ip-camera" => "M4 7l13-3 2 7-13 3zM18 7.5l3.2-.7M9.5 13.2v4.3h-6M3.5 14v7M13.5 8.5h.01",
        // A plant.
        "industrial-control" => {
            "M3 20.5V10l5.5 3.5V10l5.5 3.5V10l3 2V3.5h4v17zM7 17h.01M11.5 17h.01M16 17h.01"
        }
        _ => UNKNOWN,
    }
}

/// The mark of a kind of decky. It says nothing to a screen reader: the kind's name stands beside it as text.
#[component]
pub(crate) fn ArchetypeMark(slug: String) -> impl IntoView {
    view! {
        <svg class="archetype-mark" viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" focusable="false">
            <path d=sign(&slug) />
        </svg>
    }
}

/// The small mark of a decky of which only the name is at hand. Its kind is known once the stream has told of the fleet: until then its
/// place is empty, and one that is no more, or was never of this fleet, has the sign of no kind.
#[component]
pub(crate) fn DeckyMark(name: String) -> impl IntoView {
    let live = use_live();
    let name = name.parse::<DeckyName>().ok();
    let path = move || {
        live.deckies.with(|deckies| {
            let Some(deckies) = deckies else { return "" };
            let known = name.as_ref().and_then(|name| deckies.get(name));
            known.map_or(UNKNOWN, |decky| sign(&decky.archetype))
        })
    };
    view! {
        <svg class="archetype-mark of-name" viewBox="0 0 24 24" width="16" height="16" aria-hidden="true" focusable="false">
            <path d=path />
        </svg>
    }
    .into_any()
}

// The kinds are known to the server's half only.
#[cfg(all(test, feature = "ssr"))]
mod tests {
    use std::collections::BTreeSet;

    use super::{UNKNOWN, sign};

    #[test]
    fn every_archetype_has_a_sign_and_no_two_are_equal() {
        let kinds = decnet_domain::archetypes();
        let mut signs = BTreeSet::from([UNKNOWN]);
        for kind in &kinds {
            assert!(
                signs.insert(sign(&kind.slug)),
                "{} has no sign of its own",
                kind.slug
            );
        }
        assert_eq!(signs.len(), kinds.len() + 1);
        assert_eq!(sign("no-such-kind"), UNKNOWN);
    }
}
