//! The pages of each kind of site, written for DECNET and filled from the persona.

use std::{collections::BTreeMap, sync::Arc};

use decnet_persona::{Persona, bait};
use time::OffsetDateTime;

use super::{
    SiteKind, coding,
    dialect::{Dialect, File, Product, escaped, http_date},
};

/// A site: its files, and what its programs are.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) kind: SiteKind,
    files: BTreeMap<&'static str, Arc<File>>,
    /// Folders that exist and may not be listed.
    folders: &'static [&'static str],
    /// Title of login pages.
    pub(super) title: String,
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
        };
        let front = match kind {
            SiteKind::Company | SiteKind::Wordpress => {
                site.folders = &[
                    "/wp-content/",
                    "/wp-includes/",
                    "/wp-content/uploads/",
                    "/wp-content/plugins/",
                ];
                company_page(persona, kind == SiteKind::Wordpress)
            }
            SiteKind::Login => site.login_page("/login", "username", "password", ""),
            SiteKind::Router => site.login_page("/login.cgi", "username", "password", ""),
            SiteKind::Tomcat => tomcat_page(persona),
            SiteKind::Default | SiteKind::Auto => default_page(persona, dialect),
        };
        let mut put = |path: &'static str, content_type: &'static str, body: Vec<u8>| {
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
            site.files.insert(path, Arc::new(file));
        };
        let index = match (kind, dialect.product) {
            (SiteKind::Default, Product::Nginx) => "/index.nginx-debian.html",
            (_, Product::Iis) => "/iisstart.htm",
            _ => "/index.html",
        };
        put(index, "text/html", front.into_bytes());
        if kind != SiteKind::Default {
            let robots = match kind {
                SiteKind::Company | SiteKind::Wordpress => {
                    "User-agent: *\nDisallow: /wp-admin/\nAllow: /wp-admin/admin-ajax.php\n"
                }
                _ => "User-agent: *\nDisallow: /\n",
            };
            put("/robots.txt", "text/plain", robots.as_bytes().to_vec());
            put("/favicon.ico", "image/x-icon", favicon(persona));
        }
        // The folder's page is the file, whichever name it is asked for by.
        if let Some(front) = site.files.get(index).cloned() {
            site.files.insert("/", front);
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

    /// A page that asks for account and password.
    pub(super) fn login_page(&self, action: &str, user: &str, password: &str, message: &str) -> String {
        let title = &self.title;
        let message = if message.is_empty() {
            String::new()
        } else {
            format!("<p class=\"error\" role=\"alert\">{message}</p>\n")
        };
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\">\n<title>{title} - Log In</title>\n<style>\nbody {{ \
             font-family: sans-serif; background: #eef1f4; }}\nform {{ max-width: 20em; margin: 6em auto; padding: \
             2em; background: #fff; }}\nlabel, input {{ display: block; width: 100%; margin-top: .5em; \
             }}\n</style>\n</head>\n<body>\n<form method=\"post\" action=\"{action}\">\n<h1>{title}</h1>\n{message}\
             <label for=\"u\">User name</label>\n<input id=\"u\" name=\"{user}\" autocomplete=\"username\">\n<label \
             for=\"p\">Password</label>\n<input id=\"p\" name=\"{password}\" type=\"password\" \
             autocomplete=\"current-password\">\n<input type=\"submit\" name=\"submit\" value=\"Log In\">\n</form>\n\
             </body>\n</html>\n"
        )
    }

    /// What somebody sees who got in.
    pub(super) fn inside_page(&self, user: &[u8]) -> String {
        let (title, user) = (&self.title, escaped(user));
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Dashboard - {title}</title>\n\
             </head>\n<body>\n<h1>{title}</h1>\n<p>Signed in as {user}. <a href=\"/logout\">Log out</a></p>\n<ul>\n\
             <li><a href=\"/admin/users\">Users</a></li>\n<li><a href=\"/admin/backup\">Backup</a></li>\n<li><a \
             href=\"/admin/upload\">Upload</a></li>\n</ul>\n</body>\n</html>\n"
        )
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

fn page(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<style>\nbody \
         {{ font-family: sans-serif; max-width: 42em; margin: 2em auto; line-height: 1.5; \
         }}\n</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

fn default_page(persona: &Persona, dialect: &Dialect) -> String {
    let release = persona.release();
    match (dialect.product, release.id) {
        (Product::Nginx, _) => page(
            "Welcome to nginx!",
            "<h1>Welcome to nginx!</h1>\n<p>The nginx web server runs on this machine and has no site of its own \
             yet.</p>\n<p>How to set it up stands at <a href=\"http://nginx.org/\">nginx.org</a>.</p>\n<p><em>Thank you \
             for using nginx.</em></p>\n",
        ),
        (Product::Iis, _) => page(
            "IIS Windows Server",
            "<h1>Internet Information Services</h1>\n<p><a href=\"http://go.microsoft.com/fwlink/?linkid=66138\">IIS</a> \
             is installed.</p>\n",
        ),
        (Product::Apache, "debian" | "ubuntu" | "kali") => {
            let name = if release.id == "ubuntu" {
                "Ubuntu"
            } else {
                "Debian"
            };
            page(
                &format!("Apache2 {name} Default Page: It works"),
                &format!(
                    "<h1>Apache2 {name} Default Page</h1>\n<h2>It works!</h2>\n<p>This page shows that the Apache2 server \
                     of this {name} system runs. Replace <tt>/var/www/html/index.html</tt> before you use \
                     it.</p>\n<h2>Configuration</h2>\n<p>The files are below <tt>/etc/apache2/</tt>:</p>\n<pre>\n\
                     apache2.conf\nports.conf\nmods-enabled/*.load, *.conf\nconf-enabled/*.conf\n\
                     sites-enabled/*.conf\n</pre>\n<p>Enable and disable them with <tt>a2enmod</tt>, <tt>a2dismod</tt>, \
                     <tt>a2ensite</tt> and <tt>a2dissite</tt>.</p>\n"
                ),
            )
        }
        (Product::Apache, "rocky" | "fedora") => page(
            &format!("HTTP Server Test Page powered by: {}", release.name),
            &format!(
                "<h1>HTTP Server Test Page</h1>\n<p>This page tests the HTTP server of {} after its \
                 installation.</p>\n",
                release.name
            ),
        ),
        _ => "<html><body><h1>It works!</h1></body></html>\n".to_owned(),
    }
}

fn company_page(persona: &Persona, wordpress: bool) -> String {
    let site = bait::site(persona);
    let title = escaped(site.title.as_bytes());
    let mut body = format!(
        "<header>\n<h1>{title}</h1>\n<p>{}</p>\n</header>\n",
        escaped(site.slogan.as_bytes())
    );
    for (heading, text) in &site.sections {
        let (heading, text) = (escaped(heading.as_bytes()), escaped(text.as_bytes()));
        body.push_str(&format!(
            "<section>\n<h2>{heading}</h2>\n<p>{text}</p>\n</section>\n"
        ));
    }
    body.push_str("<footer>\n<p><a href=\"/wp-login.php\">Log in</a></p>\n</footer>\n");
    let mut page = page(&title, &body);
    if wordpress {
        page = page.replacen(
            "<style>",
            "<meta name=\"generator\" content=\"WordPress 6.4.3\">\n<link rel=\"https://api.w.org/\" \
             href=\"/wp-json/\">\n<style>",
            1,
        );
    }
    page
}

fn tomcat_page(persona: &Persona) -> String {
    let company = escaped(persona.company.as_bytes());
    page(
        "Apache Tomcat/9.0.70",
        &format!(
            "<h1>Apache Tomcat/9.0.70</h1>\n<p>The servlet container of {company} runs.</p>\n<ul>\n<li><a \
             href=\"/manager/status\">Server Status</a></li>\n<li><a href=\"/manager/html\">Manager App</a></li>\n<li><a \
             href=\"/host-manager/html\">Host Manager</a></li>\n</ul>\n"
        ),
    )
}
