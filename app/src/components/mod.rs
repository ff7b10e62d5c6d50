//! The pieces that pages are put together from.
//!
//! No piece knows what it shows the rows of: they are given it, or a way to fetch it. Widths and positions that depend on data are attributes
//! of SVG elements, because the content security policy allows no inline styles. A drawing of many strokes is markup, made by `ink`. A link
//! that is an element of a `view!` stands in a `<g>` of the same `view!`: what is not seen to be below an element of SVG is made as one of
//! HTML in the browser, and shows nothing.

pub(crate) mod archetype;
pub(crate) mod bell;
pub(crate) mod brush;
pub(crate) mod chart;
pub(crate) mod dialog;
pub(crate) mod download;
pub(crate) mod drawer;
pub(crate) mod filter;
pub(crate) mod focus;
pub(crate) mod frame;
pub(crate) mod glyph;
pub(crate) mod guide;
pub(crate) mod icon;
pub(crate) mod ink;
pub(crate) mod keys;
pub(crate) mod line;
pub(crate) mod log;
pub(crate) mod loom;
pub(crate) mod metro;
pub(crate) mod notice;
pub(crate) mod pager;
pub(crate) mod palette;
pub(crate) mod range;
pub(crate) mod said;
pub(crate) mod sight;
pub(crate) mod stat;
pub(crate) mod store;
pub(crate) mod table;
pub(crate) mod task;
pub(crate) mod title;
pub(crate) mod toast;
pub(crate) mod when;

/// The parts that a page can come with, opened by its URL or by what it shows; and the one of a single page that is fetched later: what
/// knows whether a part is there is a variable, and has to be the main module's.
pub(crate) const PARTS: &[crate::piece::Named] = &[
    filter::CHIPS.named(),
    log::OPENED.named(),
    crate::pages::overview::QUIET.named(),
    crate::pages::overview::NEXT.named(),
];
