//! The files of each kind of site, filled from the persona. They were written for DECNET, but for the default pages of packages
//! (`pages`), which scanners know byte by byte. What programs answer is in `wordpress.rs`, `tomcat.rs` and `session.rs`.

use std::{collections::BTreeMap, sync::Arc};

use decnet_persona::{Persona, bait};
use time::{Date, OffsetDateTime, macros::date};

use super::{
    SiteKind, coding,
    dialect::{Dialect, File, Product, escaped, http_date},
    look::Look,
    wordpress::Blog,
};

/// A site: its files, and what its programs are.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) kind: SiteKind,
    files: BTreeMap<String, Arc<File>>,
    /// Folders that exist and may not be listed.
    folders: &'static [&'static str],
    /// Title of login pages, as HTML.
    pub(super) title: String,
    pub(super) look: Look,
    /// Release of WordPress or Tomcat, where the site is one.
    pub(super) release: &'static str,
}

impl Site {
    pub(super) fn new(kind: SiteKind, persona: &Persona, dialect: &Dialect) -> Self {
        let kind = match (kind, persona.archetype.as_str()) {
            (SiteKind::Auto, "web-server") => SiteKind::Company,
            (SiteKind::Auto, "printer" | "iot-device" | "ip-camera" | "industrial-control") => {
                SiteKind::Router
            }
            (SiteKind::Auto, "devops-host" | "monitoring-node" | "voip-server" | "mail-server") => {
                SiteKind::Login
            }
            (SiteKind::Auto, _) => SiteKind::Default,
            (kind, _) => kind,
        };
        let company = escaped(persona.company.as_bytes());
        let title = match (kind, persona.archetype.as_str()) {
            (SiteKind::Router, "printer") => "Printer Administration".to_owned(),
            (SiteKind::Router, "ip-camera") => "Network Camera".to_owned(),
            (SiteKind::Router, "industrial-control") => "Controller Service Page".to_owned(),
            (SiteKind::Router, _) => "Router Login".to_owned(),
            (SiteKind::Tomcat, _) => "Tomcat".to_owned(),
            (SiteKind::Login, "voip-server") => "PBX Administration".to_owned(),
            (SiteKind::Login, "mail-server") => format!("{company} Webmail"),
            (SiteKind::Login, _) => format!("{company} Portal"),
            _ => company,
        };
        let mut site = Self {
            kind,
            files: BTreeMap::new(),
            folders: &[],
            title,
            look: Look::of(persona),
            release: match kind {
                SiteKind::Tomcat => of_its_time(persona, "http/tomcat", TOMCAT),
                _ => of_its_time(persona, "http/wordpress", WORDPRESS),
            },
        };
        if matches!(kind, SiteKind::Company | SiteKind::Wordpress) {
            site.folders = &[
                "/wp-content/",
                "/wp-includes/",
                "/wp-content/uploads/",
                "/wp-content/plugins/",
                "/wp-content/themes/",
            ];
        }
        let front = match kind {
            SiteKind::Company => Some(company_page(persona, &site.look)),
            SiteKind::Login => Some(site.look.login_page(&site.title, "/login", "")),
            SiteKind::Router => Some(site.look.login_page(&site.title, "/login.cgi", "")),
            SiteKind::Default | SiteKind::Auto => Some(default_page(persona, dialect)),
            // A program makes it.
            SiteKind::Wordpress | SiteKind::Tomcat => None,
        };
        let sheet = site.look.sheet();
        let mut put = |path: &str, content_type: &'static str, body: Vec<u8>| {
            let mut rng = persona.rng(&format!("http/file{path}"));
            let age = i64::try_from(rng.below(200 * 86_400)).unwrap_or_default();
            let modified = persona.boot_time - age;
            let at = OffsetDateTime::from_unix_timestamp(modified).unwrap_or(OffsetDateTime::UNIX_EPOCH);
            let inode = u32::try_from(rng.range(1_000_000, 4_000_000_000)).unwrap_or_default();
            let file = File {
                content_type,
                last_modified: http_date(at),
                etag: dialect.etag(body.len(), modified, inode),
                packed: dialect
                    .compresses(200, content_type, body.len())
                    .then(|| coding::gzip(dialect.product, &body)),
                modified,
                body,
            };
            site.files.insert(path.to_owned(), Arc::new(file));
        };
        let index = match (kind, dialect.product) {
            (SiteKind::Default, Product::Nginx)
                if matches!(persona.release().id, "debian" | "ubuntu" | "kali") =>
            {
                "/index.nginx-debian.html"
            }
            (_, Product::Iis) => "/iisstart.htm",
            _ => "/index.html",
        };
        if let Some(front) = front {
            put(index, "text/html", front.into_bytes());
        }
        match kind {
            SiteKind::Wordpress => {
                // Without `readme.html` and `license.txt`, which an administrator who tidies up takes away: by their bytes scanners know
                // whether they are those of a release.
                let theme = Blog::theme(persona);
                let about = format!(
                    "/*\nTheme Name: {}\nVersion: 1.{}\n*/\n{sheet}",
                    persona.company,
                    persona.rng("http/theme").below(40)
                );
                let path = format!("/wp-content/themes/{theme}/style.css");
                put(&path, "text/css", about.into_bytes());
            }
            SiteKind::Company => put(
                "/robots.txt",
                "text/plain",
                b"User-agent: *\nDisallow: /wp-admin/\nAllow: /wp-admin/admin-ajax.php\n".to_vec(),
            ),
            SiteKind::Login | SiteKind::Router => {
                put(
                    "/robots.txt",
                    "text/plain",
                    b"User-agent: *\nDisallow: /\n".to_vec(),
                );
            }
            SiteKind::Tomcat | SiteKind::Default | SiteKind::Auto => {}
        }
        if kind != SiteKind::Default {
            put("/favicon.ico", "image/x-icon", favicon(persona));
        }
        // The folder's page is the file, whichever name it is asked for by.
        if let Some(front) = site.files.get(index).cloned() {
            site.files.insert("/".to_owned(), front);
        }
        site
    }

    /// The file at `path`.
    pub(super) fn file(&self, path: &[u8]) -> Option<&File> {
        self.files.get(std::str::from_utf8(path).ok()?).map(AsRef::as_ref)
    }

    /// Whether `path` is a folder that may not be listed.
    pub(super) fn folder(&self, path: &[u8]) -> bool {
        self.folders.iter().any(|folder| folder.as_bytes() == path)
    }
}

/// A 16 by 16 icon in one colour of the persona's own, so that its hash joins no two deckies.
fn favicon(persona: &Persona) -> Vec<u8> {
    let mut rng = persona.rng("http/favicon");
    let colour: [u8; 3] = rng.bytes();
    let mut icon = vec![
        0, 0, 1, 0, 1, 0, 16, 16, 0, 0, 1, 0, 32, 0, 0x68, 4, 0, 0, 22, 0, 0, 0,
    ];
    // BITMAPINFOHEADER: 40 bytes, 16 by 32 because the mask is counted, one plane, 32 bits.
    icon.extend_from_slice(&[40, 0, 0, 0, 16, 0, 0, 0, 32, 0, 0, 0, 1, 0, 32, 0]);
    icon.extend_from_slice(&[0; 24]);
    for _ in 0..256 {
        icon.extend_from_slice(&colour);
        icon.push(255);
    }
    icon.extend_from_slice(&[0; 64]);
    icon
}

/// A page without a style of its own.
fn plain(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n</head>\n<body>\n{body}</body>\n\
         </html>\n"
    )
}

fn default_page(persona: &Persona, dialect: &Dialect) -> String {
    let release = persona.release();
    match (dialect.product, release.id) {
        (Product::Nginx, _) if dialect.is_from([1, 22, 0]) => include_str!("pages/nginx.html").to_owned(),
        (Product::Nginx, _) => include_str!("pages/nginx-1.20.html").to_owned(),
        (Product::Iis, _) => plain(
            "IIS Windows Server",
            "<div id=\"container\">\n<a href=\"http://go.microsoft.com/fwlink/?linkid=66138&amp;clcid=0x409\"><img \
             src=\"iisstart.png\" alt=\"IIS\" width=\"960\" height=\"600\" /></a>\n</div>\n",
        ),
        (Product::Apache, "debian" | "kali") => include_str!("pages/apache2-debian.html").to_owned(),
        // Ubuntu's is made from it, and differs in more than its name.
        (Product::Apache, "ubuntu") => include_str!("pages/apache2-debian.html").replace("Debian", "Ubuntu"),
        (Product::Apache, "rocky" | "fedora") => plain(
            &format!("HTTP Server Test Page powered by: {}", release.name),
            &format!(
                "<h1>HTTP Server <strong>Test Page</strong></h1>\n<p>{}</p>\n",
                release.name
            ),
        ),
        _ => "<html><body><h1>It works!</h1></body></html>\n".to_owned(),
    }
}

fn company_page(persona: &Persona, look: &Look) -> String {
    let site = bait::site(persona);
    let company = escaped(persona.company.as_bytes());
    let end = format!("{company} - <a href=\"/wp-login.php\">Log in</a>");
    look.page(&site.title, &site.slogan, &site.sections, &end)
}

/// Releases of WordPress, by the day on which they came out (wordpress.org/news/category/releases).
const WORDPRESS: &[(Date, &str)] = &[
    (date!(2023 - 05 - 20), "6.2.2"),
    (date!(2023 - 08 - 29), "6.3.1"),
    (date!(2023 - 10 - 12), "6.3.2"),
    (date!(2023 - 11 - 09), "6.4.1"),
    (date!(2023 - 12 - 06), "6.4.2"),
    (date!(2024 - 01 - 30), "6.4.3"),
    (date!(2024 - 04 - 09), "6.5.2"),
    (date!(2024 - 05 - 07), "6.5.3"),
    (date!(2024 - 06 - 24), "6.5.5"),
    (date!(2024 - 07 - 23), "6.6.1"),
    (date!(2024 - 09 - 10), "6.6.2"),
    (date!(2024 - 11 - 21), "6.7.1"),
    (date!(2025 - 02 - 11), "6.7.2"),
    (date!(2025 - 04 - 30), "6.8.1"),
    (date!(2025 - 07 - 15), "6.8.2"),
    (date!(2025 - 09 - 30), "6.8.3"),
];

/// Releases of Tomcat 9, by about the day on which they came out (tomcat.apache.org/tomcat-9.0-doc/changelog.html).
const TOMCAT: &[(Date, &str)] = &[
    (date!(2022 - 12 - 05), "9.0.70"),
    (date!(2023 - 03 - 03), "9.0.73"),
    (date!(2023 - 07 - 10), "9.0.78"),
    (date!(2023 - 10 - 16), "9.0.82"),
    (date!(2023 - 11 - 15), "9.0.83"),
    (date!(2024 - 02 - 19), "9.0.86"),
    (date!(2024 - 04 - 16), "9.0.88"),
    (date!(2024 - 10 - 09), "9.0.96"),
    (date!(2024 - 12 - 09), "9.0.98"),
    (date!(2025 - 02 - 18), "9.0.100"),
    (date!(2025 - 05 - 12), "9.0.105"),
    (date!(2025 - 09 - 08), "9.0.109"),
];

/// Releases that are in use at a time: nobody has what comes later, and few have what is long past.
const IN_USE: usize = 5;

/// One of `releases` that the machine could have had when it was booted last, drawn for each.
fn of_its_time(persona: &Persona, label: &str, releases: &'static [(Date, &'static str)]) -> &'static str {
    let booted = OffsetDateTime::from_unix_timestamp(persona.boot_time).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let out = releases.partition_point(|(day, _)| *day <= booted.date()).max(1);
    let in_use = releases.get(out.saturating_sub(IN_USE)..out).unwrap_or_default();
    persona
        .rng(label)
        .pick(in_use)
        .map_or("", |(_, version)| *version)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use decnet_persona::{PersonaSpec, Seed};

    use super::*;

    #[test]
    fn programs_have_versions_of_their_machines_time_and_not_all_the_same() {
        for releases in [WORDPRESS, TOMCAT] {
            assert!(releases.is_sorted_by_key(|(day, _)| *day));
            for (deployed, first, last) in [
                (date!(2000 - 01 - 01), 0, 0),
                (date!(2024 - 05 - 07), 0, 7),
                (date!(2035 - 01 - 01), releases.len() - IN_USE, releases.len() - 1),
            ] {
                let at = deployed.midnight().assume_utc().unix_timestamp();
                let drawn: BTreeSet<_> = (0..=200)
                    .map(|n| {
                        let mut spec = PersonaSpec::new(Seed::from_bytes([n; 16]), "web-server");
                        spec.overrides.deployed_at = Some(at);
                        let persona = Persona::derive(&spec).unwrap();
                        let version = of_its_time(&persona, "http/test", releases);
                        releases.iter().position(|(_, of)| *of == version).unwrap()
                    })
                    .collect();
                assert!(
                    drawn.iter().all(|n| (first..=last).contains(n)),
                    "{deployed}: {drawn:?}"
                );
                assert!(first == last || drawn.len() >= 3, "{deployed}: {drawn:?}");
            }
        }
    }
}
