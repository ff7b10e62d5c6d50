//! The mark of an attacker: drawn from what is known of their software, so that it is the same wherever it appears, and two
//! addresses with the same tool look related. Each part is drawn from one kind of thing and stays as it is when another becomes known:
//! the ring from TLS, the figure in it from SSH or else from what the client calls itself, and the colour from the product.
//!
//! Of whom nothing is known the address draws the figure, in a ring of dots.

use decnet_model::glyph::{Known, digest};
use leptos::prelude::*;

use super::ink::Ink;

/// Tints of the style sheet; the first is that of nothing known.
const TINTS: u32 = 6;

/// What a ring without gaps is, of clients whose TLS is not known.
const WHOLE: &str = "M12 1.5A10.5 10.5 0 1 1 12 22.5A10.5 10.5 0 1 1 12 1.5";

/// The strokes of a mark on a grid of 24.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Strokes {
    /// How the ring is drawn: `ring`, and `bare` where nothing is known.
    class: &'static str,
    /// An outer ring.
    ring: String,
    /// Inside it the right half of a figure, which is mirrored so that it reads as a sign and not as noise.
    figure: String,
    tint: u32,
}

impl Strokes {
    fn of(seed: &str) -> Self {
        let Ok(known) = seed.parse::<Known>() else {
            return Self {
                class: "ring bare",
                ring: WHOLE.to_owned(),
                figure: figure(digest(seed)),
                tint: 0,
            };
        };
        Self {
            class: if known.tls.is_some() { "ring" } else { "ring plain" },
            ring: known.tls.map_or_else(|| WHOLE.to_owned(), ring),
            figure: known
                .ssh
                .or(known.client)
                .map_or_else(|| POINT.to_owned(), figure),
            tint: known.product.map_or(0, |product| product % TINTS),
        }
    }
}

/// A ring with gaps.
fn ring(digest: u32) -> String {
    const POINTS: [&str; 12] = [
        "12 1.5",
        "17.25 2.91",
        "21.09 6.75",
        "22.5 12",
        "21.09 17.25",
        "17.25 21.09",
        "12 22.5",
        "6.75 21.09",
        "2.91 17.25",
        "1.5 12",
        "2.91 6.75",
        "6.75 2.91",
    ];
    // Nearly none and nearly all of them would look like no ring, and like a whole one.
    let mut arcs = digest & 0xfff;
    if !(3..=9).contains(&arcs.count_ones()) {
        arcs ^= 0b0101_1001_0110;
    }
    let mut out = String::new();
    for (i, pair) in POINTS.iter().zip(POINTS.iter().cycle().skip(1)).enumerate() {
        let (from, to) = pair;
        if (arcs >> i) & 1 == 1 {
            out.push_str(&format!("M{from}A10.5 10.5 0 0 1 {to}"));
        }
    }
    out
}

/// The figure of clients of which neither SSH nor a name is known.
const POINT: &str = "M12 10.5L13.5 12L12 13.5";

/// A figure on the points of a hexagon and its middle: the right half.
fn figure(digest: u32) -> String {
    const LINES: [&str; 12] = [
        "M12 6L17.2 9",
        "M17.2 9V15",
        "M17.2 15L12 18",
        "M12 12L17.2 9",
        "M12 12L17.2 15",
        "M12 6L17.2 15",
        "M12 18L17.2 9",
        "M12 9.5L14.6 12L12 14.5",
        "M12 6V12",
        "M12 12V18",
        "M14.6 7.5V16.5",
        "M12 12H17.2",
    ];
    let mut out = String::new();
    let mut drawn = 0;
    // From any of them on, so that all are drawn as often.
    let first = (digest >> 12) % 12;
    for i in 0..12 {
        let line = usize::try_from((first + i) % 12)
            .ok()
            .and_then(|line| LINES.get(line));
        if let (1, true, Some(line)) = ((digest >> i) & 1, drawn < 4, line) {
            out.push_str(line);
            drawn += 1;
        }
    }
    if drawn < 2 {
        out.push_str("M12 6L17.2 12L12 18");
    }
    out
}

/// The mark for `seed`, `size` pixels wide.
#[component]
pub(crate) fn Glyph(#[prop(into)] seed: String, #[prop(default = 24)] size: u32) -> impl IntoView {
    let Strokes {
        class,
        ring,
        figure,
        tint,
    } = Strokes::of(&seed);
    let mut ink = Ink::default();
    ink.mark("path", &[("class", &class), ("d", &ring)]);
    ink.mark("path", &[("d", &figure)]);
    ink.mark("path", &[("d", &figure), ("transform", &"matrix(-1 0 0 1 24 0)")]);
    view! {
        <svg
            class=format!("glyph tint-{tint}")
            viewBox="0 0 24 24"
            width=size
            height=size
            aria-hidden="true"
            inner_html=ink.markup()
        ></svg>
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn known(n: u32) -> Known {
        let part = |bit: u32| (n & (1 << bit) != 0).then(|| digest(&format!("{bit} of {}", n >> 3)));
        Known {
            ssh: part(0),
            tls: part(1),
            client: part(2),
            product: part(2),
        }
    }

    fn strokes(known: Known) -> Strokes {
        Strokes::of(&known.to_string())
    }

    #[test]
    fn a_seed_always_gives_the_same_mark_and_near_seeds_differ() {
        assert_eq!(Strokes::of("203.0.113.7"), Strokes::of("203.0.113.7"));
        assert_ne!(Strokes::of("203.0.113.7"), Strokes::of("203.0.113.8"));
    }

    #[test]
    fn one_more_fingerprint_leaves_every_part_that_another_draws() {
        for n in 0..800 {
            let all = known((n << 3) | 0b111);
            let without_ssh = Known { ssh: None, ..all };
            let without_tls = Known { tls: None, ..all };
            let (whole, no_ssh, no_tls) = (strokes(all), strokes(without_ssh), strokes(without_tls));
            assert_eq!((&no_ssh.ring, no_ssh.tint), (&whole.ring, whole.tint));
            assert_eq!((&no_tls.figure, no_tls.tint), (&whole.figure, whole.tint));
            assert_ne!(no_tls.ring, whole.ring, "TLS is seen");
            // What the client calls itself draws where SSH does not, and only there.
            let unnamed = Known {
                client: None,
                product: None,
                ..all
            };
            assert_eq!(strokes(unnamed).figure, whole.figure);
            assert_eq!(strokes(unnamed).ring, whole.ring);
        }
    }

    #[test]
    fn the_same_client_has_the_same_mark_from_every_address_and_others_are_told_apart() {
        let of = |agent: &str| {
            strokes(Known {
                client: Some(digest(agent)),
                product: Some(digest("curl")),
                ..Known::default()
            })
        };
        assert_eq!(of("curl/8.5.0"), of("curl/8.5.0"));
        assert_ne!(of("curl/8.5.0").figure, of("curl/7.88.1").figure);
        assert_eq!(of("curl/8.5.0").tint, of("curl/7.88.1").tint, "they look related");
        let figures: BTreeSet<_> = (0..200).map(|n| of(&format!("agent {n}")).figure).collect();
        assert!(figures.len() > 120, "{} of 200", figures.len());
        let rings: BTreeSet<_> = (0..200).map(|n| ring(digest(&n.to_string()))).collect();
        assert!(rings.len() > 160, "{} of 200", rings.len());
    }

    #[test]
    fn no_mark_is_empty_and_a_ring_has_arcs_and_gaps() {
        for n in 0..4_096_u32 {
            let arcs = ring(n).matches('M').count();
            assert!((3..=9).contains(&arcs), "{n:b}: {arcs}");
            assert!(!figure(n).is_empty());
        }
        assert!(!strokes(known(0b010)).figure.is_empty());
    }

    #[test]
    fn of_whom_nothing_is_known_the_ring_says_so() {
        assert_eq!(Strokes::of("192.0.2.7").class, "ring bare");
        assert_eq!(strokes(known(0b001)).class, "ring plain");
        assert_eq!(strokes(known(0b011)).class, "ring");
        // What older versions stored is drawn as nothing known until they come again.
        assert_eq!(Strokes::of("0123456789abcdef0123456789abcdef").class, "ring bare");
    }
}
