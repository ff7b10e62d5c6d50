//! The pieces that pages are put together from.
//!
//! No piece fetches anything: they show what they are given. Widths and positions that depend on data are attributes
//! of SVG elements, because the content security policy allows no inline styles.

pub(crate) mod chart;
pub(crate) mod dialog;
pub(crate) mod download;
pub(crate) mod filter;
pub(crate) mod frame;
pub(crate) mod glyph;
pub(crate) mod icon;
pub(crate) mod keys;
pub(crate) mod line;
pub(crate) mod log;
pub(crate) mod loom;
pub(crate) mod notice;
pub(crate) mod said;
pub(crate) mod stat;
pub(crate) mod task;
pub(crate) mod when;
