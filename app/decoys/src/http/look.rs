//! How a machine's pages look: layout, style sheet, names of classes and the words of its forms, drawn for each machine. One look for
//! all would join them. Pages are written when they are asked for; what is kept is what was drawn.

use decnet_persona::{Persona, Rng};

use super::dialect::escaped;

/// The look of one machine's pages.
#[derive(Debug)]
pub(super) struct Look {
    font: String,
    /// The page, what stands on it, the text, and what is to be seen first.
    colours: [String; 4],
    /// Lengths in pixels: width of a page, of a form, of the text, of a heading, and five of what lies between.
    sizes: [u64; 9],
    /// Classes: the whole, its head, a part, its foot, a form, what is pressed, a fault.
    classes: [String; 7],
    /// The tags of head, part, its heading and foot.
    tags: [&'static str; 4],
    /// The language's words for account, password and what is pressed.
    words: [&'static str; 3],
    /// The ids of the two fields.
    ids: [String; 2],
    /// What is told of a wrong password.
    refusal: String,
    /// The menu of who got in: path and words.
    menu: Vec<(&'static str, &'static str)>,
    shape: Shape,
    viewport: bool,
    /// Whether each sentence is a paragraph.
    split: bool,
    /// Draws the order of what is listed.
    order: Rng,
}

/// How a style sheet is written.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// A line each declaration, set in by that.
    Open(&'static str),
    /// A line each rule.
    Lines,
    /// One line.
    Packed,
}

/// What a style sheet is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    Texts,
    Form,
}

impl Look {
    pub(super) fn of(persona: &Persona) -> Self {
        let mut rng = persona.rng("http/look");
        let mut fonts = [
            "Arial",
            "Helvetica",
            "Verdana",
            "Tahoma",
            "Calibri",
            "Candara",
            "Optima",
            "Roboto",
            "Ubuntu",
            "Cantarell",
            "Lato",
            "Futura",
            "Geneva",
            "Corbel",
            "Carlito",
            "Oxygen",
        ];
        rng.shuffle(&mut fonts);
        let fonts: Vec<&str> = fonts.into_iter().take(4).collect();
        // Light behind the parts, white or nearly so in them, dark the text and what is pressed.
        let colours = [(200, 245), (246, 255), (10, 60), (20, 140)].map(|(low, high)| {
            let [red, green, blue] = [(); 3].map(|()| rng.range(low, high));
            format!("#{red:02x}{green:02x}{blue:02x}")
        });
        let sizes = [
            (620, 1180),
            (260, 440),
            (13, 18),
            (20, 38),
            (12, 48),
            (6, 28),
            (4, 22),
            (40, 140),
            (1, 12),
        ];
        let classes = [
            ["wrap", "page", "main", "outer", "container", "site"],
            ["head", "top", "banner", "title", "masthead", "hdr"],
            ["card", "part", "box", "block", "item", "section"],
            ["foot", "bottom", "footer", "ftr", "end", "legal"],
            ["form", "login", "signin", "panel", "auth", "dialog"],
            ["btn", "button", "go", "submit", "send", "enter"],
            ["error", "alert", "msg", "warn", "note", "hint"],
        ];
        let joint = rng.word(&["-", "_", "__", "--"]).to_owned();
        let classes = classes.map(|names| format!("{}{joint}{}", rng.word(&names), rng.hex(4)));
        let pick = |rng: &mut Rng, words: &[&'static str]| rng.pick(words).copied().unwrap_or_default();
        let tags = [
            pick(&mut rng, &["header", "div"]),
            pick(&mut rng, &["section", "article", "div"]),
            pick(&mut rng, &["h2", "h2", "h3"]),
            pick(&mut rng, &["footer", "div"]),
        ];
        let words = [
            pick(
                &mut rng,
                &["User name", "Username", "User", "Login", "Account", "User ID"],
            ),
            pick(&mut rng, &["Password", "Password", "Passcode", "Pass word"]),
            pick(
                &mut rng,
                &["Log In", "Login", "Sign in", "Log in", "Submit", "Continue", "OK"],
            ),
        ];
        let bases = [
            ["u", "user", "username", "login-user", "txtUser", "name"],
            ["p", "pass", "password", "login-password", "txtPassword", "secret"],
        ];
        let ids = bases.map(|names| format!("{}{joint}{}", rng.word(&names), rng.hex(3)));
        let refusal = [
            &["Wrong", "Invalid", "Incorrect", "Unknown", "Bad"][..],
            &[" user name", " username", " user", " account", " login"],
            &[" or ", " and/or ", " / "],
            &["password", "pass word", "credentials"],
            &[".", "!", "", " (1)", ", try again.", ". Please retry."],
        ]
        .map(|words| rng.word(words))
        .concat();
        let mut menu = vec![
            (
                "/admin/users",
                pick(&mut rng, &["Users", "Accounts", "User list", "People"]),
            ),
            (
                "/admin/backup",
                pick(&mut rng, &["Backup", "Backups", "Save and restore", "Export"]),
            ),
            (
                "/admin/upload",
                pick(&mut rng, &["Upload", "Files", "Update", "Import"]),
            ),
            (
                "/admin/log",
                pick(&mut rng, &["Log", "Events", "History", "Journal"]),
            ),
            (
                "/admin/network",
                pick(&mut rng, &["Network", "Interfaces", "Addresses", "LAN"]),
            ),
            (
                "/admin/status",
                pick(&mut rng, &["Status", "Overview", "System", "Health"]),
            ),
        ];
        rng.shuffle(&mut menu);
        menu.truncate(usize::try_from(rng.range(3, 6)).unwrap_or(3));
        Self {
            font: format!("{}, sans-serif", fonts.join(", ")),
            colours,
            sizes: sizes.map(|(low, high)| rng.range(low, high)),
            classes,
            tags,
            words,
            ids,
            refusal,
            menu,
            shape: [
                Shape::Open("  "),
                Shape::Open("    "),
                Shape::Open("\t"),
                Shape::Lines,
                Shape::Packed,
            ]
            .get(rng.index(5))
            .copied()
            .unwrap_or(Shape::Lines),
            viewport: rng.chance(2, 3),
            split: rng.chance(1, 2),
            order: rng,
        }
    }

    /// What is told of a wrong password.
    pub(super) fn refusal(&self) -> &str {
        &self.refusal
    }

    /// The style sheet of pages of text.
    pub(super) fn sheet(&self) -> String {
        self.sheet_for(For::Texts)
    }

    fn sheet_for(&self, what: For) -> String {
        let [page, panel, ink, accent] = &self.colours;
        let [width, form_width, text, heading, gap, pad, small, above, round] = self.sizes;
        let [wrap, head, part, foot, form, button, fault] = &self.classes;
        let px = |name: &str, of: u64| format!("{name}: {of}px");
        let colour = |name: &str, of: &str| format!("{name}: {of}");
        let mut rules = vec![
            (
                "body".to_owned(),
                vec![
                    format!("font-family: {}", self.font),
                    px("font-size", text),
                    colour("color", ink),
                    colour("background", page),
                    "margin: 0".to_owned(),
                ],
            ),
            (
                "h1".to_owned(),
                vec![
                    px("font-size", heading),
                    colour("color", accent),
                    px("margin-bottom", small),
                ],
            ),
        ];
        let more = match what {
            For::Texts => vec![
                (
                    format!(".{wrap}"),
                    vec![
                        px("max-width", width),
                        format!("margin: {gap}px auto"),
                        px("padding", pad),
                    ],
                ),
                (
                    format!(".{head}"),
                    vec![
                        format!("border-bottom: {}px solid {accent}", 1 + round % 4),
                        px("padding-bottom", pad),
                    ],
                ),
                (
                    format!(".{part}"),
                    vec![
                        colour("background", panel),
                        px("border-radius", round),
                        px("padding", pad),
                        px("margin-top", gap),
                    ],
                ),
                (
                    format!(".{foot}"),
                    vec![
                        px("font-size", text.saturating_sub(2)),
                        px("margin-top", above),
                        colour("color", accent),
                    ],
                ),
                ("a".to_owned(), vec![colour("color", accent)]),
            ],
            For::Form => vec![
                (
                    format!(".{form}"),
                    vec![
                        px("max-width", form_width),
                        format!("margin: {above}px auto"),
                        px("padding", pad),
                        colour("background", panel),
                        px("border-radius", round),
                    ],
                ),
                (
                    "label".to_owned(),
                    vec![
                        "display: block".to_owned(),
                        px("margin-top", small),
                        colour("color", ink),
                    ],
                ),
                (
                    "input".to_owned(),
                    vec![
                        "width: 100%".to_owned(),
                        px("padding", small),
                        format!("border: 1px solid {accent}"),
                    ],
                ),
                (
                    format!(".{button}"),
                    vec![
                        colour("background", accent),
                        colour("color", panel),
                        px("margin-top", gap),
                        px("padding", pad),
                        "border: 0".to_owned(),
                    ],
                ),
                (
                    format!(".{fault}"),
                    vec![
                        format!("border-left: {}px solid {accent}", 2 + round % 5),
                        px("padding", small),
                    ],
                ),
            ],
        };
        rules.extend(more);
        let mut rng = self.order.clone();
        rng.shuffle(&mut rules);
        let mut out = String::new();
        for (selector, mut declarations) in rules {
            rng.shuffle(&mut declarations);
            match self.shape {
                Shape::Open(indent) => {
                    out.push_str(&format!("{selector} {{\n"));
                    for declaration in declarations {
                        out.push_str(&format!("{indent}{declaration};\n"));
                    }
                    out.push_str("}\n");
                }
                Shape::Lines => out.push_str(&format!("{selector} {{ {}; }}\n", declarations.join("; "))),
                Shape::Packed => {
                    let packed = declarations.join(";").replace(": ", ":").replace(", ", ",");
                    out.push_str(&format!("{selector}{{{packed}}}"));
                }
            }
        }
        if matches!(self.shape, Shape::Packed) {
            out.push('\n');
        }
        out
    }

    fn document(&self, title: &str, what: For, body: &str) -> String {
        let viewport = if self.viewport {
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        } else {
            ""
        };
        let sheet = self.sheet_for(what);
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n{viewport}<title>{title}</title>\n\
             <style>\n{sheet}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
        )
    }

    /// What stands between `<body>` and its end: a title, a line below it, `parts` and a foot. The latter two are HTML, the others text.
    pub(super) fn frame(&self, title: &str, line: &str, parts: &str, end: &str) -> String {
        let [wrap, head, _, foot, ..] = &self.classes;
        let [head_tag, .., foot_tag] = self.tags;
        let title = escaped(title.as_bytes());
        let line = if line.is_empty() {
            String::new()
        } else {
            format!("<p>{}</p>\n", escaped(line.as_bytes()))
        };
        format!(
            "<div class=\"{wrap}\">\n<{head_tag} class=\"{head}\">\n<h1>{title}</h1>\n{line}</{head_tag}>\n{parts}\
             <{foot_tag} class=\"{foot}\">{end}</{foot_tag}>\n</div>\n"
        )
    }

    /// Headed paragraphs.
    fn parts(&self, sections: &[(String, String)]) -> String {
        let [_, _, part, ..] = &self.classes;
        let [_, tag, heading_tag, _] = self.tags;
        let mut out = String::new();
        for (heading, text) in sections {
            let heading = escaped(heading.as_bytes());
            out.push_str(&format!(
                "<{tag} class=\"{part}\">\n<{heading_tag}>{heading}</{heading_tag}>\n{}</{tag}>\n",
                self.paragraphs(text)
            ));
        }
        out
    }

    /// `text`, of which each line is a sentence or two, as HTML.
    pub(super) fn paragraphs(&self, text: &str) -> String {
        let lines: Vec<String> = text.lines().map(|line| escaped(line.as_bytes())).collect();
        if self.split {
            lines.iter().map(|line| format!("<p>{line}</p>\n")).collect()
        } else {
            format!("<p>{}</p>\n", lines.join("\n"))
        }
    }

    /// A page of headed paragraphs: its title, a line below it, and a foot, which is HTML.
    pub(super) fn page(&self, title: &str, line: &str, sections: &[(String, String)], end: &str) -> String {
        let body = self.frame(title, line, &self.parts(sections), end);
        self.document(&escaped(title.as_bytes()), For::Texts, &body)
    }

    /// A page that asks for account and password. `title` is HTML; `message` is text, and empty where nothing is to be said.
    pub(super) fn login_page(&self, title: &str, action: &str, message: &str) -> String {
        let [.., form, button, fault] = &self.classes;
        let ([account, secret, enter], [account_id, secret_id]) = (self.words, &self.ids);
        let message = if message.is_empty() {
            String::new()
        } else {
            format!("<p class=\"{fault}\">{message}</p>\n")
        };
        let body = format!(
            "<form class=\"{form}\" method=\"post\" action=\"{action}\">\n<h1>{title}</h1>\n{message}\
             <label for=\"{account_id}\">{account}</label>\n<input id=\"{account_id}\" name=\"username\" \
             autocomplete=\"username\">\n<label for=\"{secret_id}\">{secret}</label>\n<input id=\"{secret_id}\" \
             name=\"password\" type=\"password\" autocomplete=\"current-password\">\n<input class=\"{button}\" \
             type=\"submit\" name=\"submit\" value=\"{enter}\">\n</form>\n"
        );
        self.document(&format!("{title} - {enter}"), For::Form, &body)
    }

    /// What somebody sees who got in. `title` is HTML.
    pub(super) fn inside_page(&self, title: &str, user: &[u8]) -> String {
        let [wrap, head, part, foot, ..] = &self.classes;
        let user = escaped(user);
        let links: String = self
            .menu
            .iter()
            .map(|(path, words)| format!("<li class=\"{part}\"><a href=\"{path}\">{words}</a></li>\n"))
            .collect();
        let body = format!(
            "<div class=\"{wrap}\">\n<div class=\"{head}\"><h1>{title}</h1></div>\n<ul>\n{links}</ul>\n<p \
             class=\"{foot}\">{user} - <a href=\"/logout\">Log out</a></p>\n</div>\n"
        );
        self.document(title, For::Texts, &body)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use decnet_persona::{PersonaSpec, Seed};

    use super::*;

    /// What stands on every such page in these words.
    const REAL: &[(&str, &str)] = &[
        ("<meta charset=\"utf-8\">", "HTML's own way to name its coding"),
        (
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">",
            "what every page says that is made for telephones, too",
        ),
    ];

    #[test]
    fn no_two_machines_share_a_line_of_their_pages_or_style_sheets() {
        let mut owners = BTreeMap::new();
        let mut shared = Vec::new();
        for n in 0..60 {
            let spec = PersonaSpec::new(Seed::from_bytes([n; 16]), "web-server");
            let persona = Persona::derive(&spec).unwrap();
            let look = Look::of(&persona);
            let company = escaped(persona.company.as_bytes());
            let site = decnet_persona::bait::site(&persona);
            let pages = [
                look.page(&site.title, &site.slogan, &site.sections, &company),
                look.login_page(&company, "/login", look.refusal()),
                look.inside_page(&company, b"admin"),
                look.sheet(),
            ];
            for line in pages.iter().flat_map(|page| page.lines()).map(str::trim) {
                // A declaration is CSS's, not its author's: only longer ones tell of him.
                let of_css = line.ends_with(';') && !line.contains('{') && line.len() <= 40;
                if line.len() <= 24 || of_css || REAL.iter().any(|(real, _)| *real == line) {
                    continue;
                }
                if *owners.entry(line.to_owned()).or_insert(n) != n {
                    shared.push(line.to_owned());
                }
            }
        }
        assert!(owners.len() > 1500, "{}", owners.len());
        assert!(shared.is_empty(), "{shared:#?}");
    }

    #[test]
    fn a_machine_looks_the_same_each_time() {
        let spec = PersonaSpec::new(Seed::from_bytes([7; 16]), "mail-server");
        let [a, b] = [(); 2].map(|()| Look::of(&Persona::derive(&spec).unwrap()));
        assert_eq!(a.sheet(), b.sheet());
        assert_eq!(
            a.login_page("Mail", "/login", a.refusal()),
            b.login_page("Mail", "/login", b.refusal())
        );
    }
}
