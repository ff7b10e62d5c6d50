//! The mark of an attacker: drawn from the text that seeds it, so that it is the same wherever it appears, and two
//! addresses with the same tool look the same.

use leptos::prelude::*;

use super::ink::Ink;

/// FNV-1a, 64 bits, and a final mix so that short texts differ in every bit.
fn hash(seed: &str) -> u64 {
    let mut h = 0xcbf2_9ce4_8422_2325_u64;
    for byte in seed.bytes() {
        h = (h ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    h ^= h >> 33;
    h = h.wrapping_mul(0xff51_afd7_ed55_8ccd);
    h ^ (h >> 33)
}

/// The strokes of a mark on a grid of 24: an outer ring with gaps, and inside it a figure on the points of a
/// hexagon and its middle, mirrored left to right so that it reads as a sign and not as noise.
fn strokes(h: u64) -> (String, String, u64) {
    const RING: [&str; 12] = [
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
    // The right half of the figure; the left half is its mirror image.
    const FIGURE: [&str; 12] = [
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
    let mut ring = String::new();
    for (i, pair) in RING.iter().zip(RING.iter().cycle().skip(1)).enumerate() {
        let (from, to) = pair;
        if (h >> i) & 1 == 1 {
            ring.push_str(&format!("M{from}A10.5 10.5 0 0 1 {to}"));
        }
    }
    let mut figure = String::new();
    let mut drawn = 0;
    for (i, stroke) in FIGURE.iter().enumerate() {
        if (h >> (12 + i)) & 1 == 1 && drawn < 4 {
            figure.push_str(stroke);
            drawn += 1;
        }
    }
    if drawn < 2 {
        figure.push_str("M12 6L17.2 12L12 18");
    }
    (ring, figure, (h >> 40) % 6)
}

/// The mark for `seed`, `size` pixels wide.
#[component]
pub(crate) fn Glyph(#[prop(into)] seed: String, #[prop(default = 24)] size: u32) -> impl IntoView {
    let (ring, figure, tint) = strokes(hash(&seed));
    let mut ink = Ink::default();
    ink.mark("path", &[("class", &"ring"), ("d", &ring)]);
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
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_mark_and_near_seeds_differ() {
        assert_eq!(strokes(hash("203.0.113.7")), strokes(hash("203.0.113.7")));
        assert_ne!(strokes(hash("203.0.113.7")), strokes(hash("203.0.113.8")));
    }

    #[test]
    fn no_mark_is_empty() {
        for seed in 0..500 {
            assert!(!strokes(hash(&seed.to_string())).1.is_empty());
        }
    }
}
