//! Drawings as markup: hundreds of strokes that follow from a few numbers are written as text and set at once, by `inner_html`. The
//! browser's half need not build, and on a page of the server's not even walk, each of them.

use std::fmt::{Display, Write};

/// An attribute with its value.
pub(crate) type Attribute<'a> = (&'static str, &'a dyn Display);

/// The inside of an `<svg>`, or of another element. Values and texts are escaped, whoever wrote them.
#[derive(Debug, Default)]
pub(crate) struct Ink(String);

impl Ink {
    /// Begin an element; what follows stands in it until it is closed.
    pub(crate) fn open(&mut self, name: &'static str, attributes: &[Attribute<'_>]) {
        self.0.push('<');
        self.0.push_str(name);
        for (name, value) in attributes {
            self.0.push(' ');
            self.0.push_str(name);
            self.0.push_str("=\"");
            self.text(value);
            self.0.push('"');
        }
        self.0.push('>');
    }

    /// End the element of this name.
    pub(crate) fn close(&mut self, name: &'static str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    /// An element with nothing in it.
    pub(crate) fn mark(&mut self, name: &'static str, attributes: &[Attribute<'_>]) {
        self.open(name, attributes);
        self.close(name);
    }

    /// An element with these words in it.
    pub(crate) fn words(&mut self, name: &'static str, attributes: &[Attribute<'_>], words: &str) {
        self.open(name, attributes);
        self.text(&words);
        self.close(name);
    }

    /// An element that says what the one around it is.
    pub(crate) fn title(&mut self, title: &str) {
        self.words("title", &[], title);
    }

    /// What was drawn.
    pub(crate) fn markup(self) -> String {
        self.0
    }

    fn text(&mut self, value: &dyn Display) {
        // Writing to a String never fails; an implementation of Display that gives up leaves less to see.
        let _written = write!(Escaped(&mut self.0), "{value}");
    }
}

/// Writes text as text of an element or of an attribute in double quotes.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_markup_and_what_is_said_stays_text() {
        let mut ink = Ink::default();
        let hostile = "\"><script>alert('x')</script>&amp;";
        ink.open("a", &[("href", &hostile), ("tabindex", &-1)]);
        ink.mark("rect", &[("x", &format_args!("{}", 2)), ("class", &"bar")]);
        ink.title(hostile);
        ink.close("a");
        let said = "&quot;&gt;&lt;script&gt;alert('x')&lt;/script&gt;&amp;amp;";
        assert_eq!(
            ink.markup(),
            format!(
                "<a href=\"{said}\" tabindex=\"-1\"><rect x=\"2\" class=\"bar\"></rect><title>{said}</title></a>"
            )
        );
    }
}
