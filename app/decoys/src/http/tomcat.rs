//! What a Tomcat 9 answers that stands behind the machine's web server: its front page, its manager, its faults.
//!
//! The server passes on what Coyote says, also that its status lines have no reason (since 8.5), and that lengths are known. Faults have
//! the form of `ErrorReportValve`, byte by byte, because scanners read the release off them; the pages are written here, with
//! the titles, names and forms that clients look at (`webapps/ROOT/index.jsp`, `webapps/manager`).

use decnet_persona::Persona;
use time::OffsetDateTime;

use super::{
    credentials::Credentials,
    dialect::{Answer, File, escaped},
    request::Request,
};

const UTF8: &str = "text/html;charset=UTF-8";
/// What a servlet may do that only reads.
const ALLOWED: &str = "GET, HEAD, POST, OPTIONS";

/// One visitor's sight of the container.
pub(super) struct Tomcat<'a> {
    pub(super) persona: &'a Persona,
    /// Release of Tomcat.
    pub(super) version: &'static str,
    pub(super) favicon: Option<&'a File>,
}

/// Whether account and password are asked for at `path`.
pub(super) fn is_guarded(path: &[u8]) -> bool {
    let guarded = [
        &b"/manager/html"[..],
        b"/manager/text",
        b"/manager/jmxproxy",
        b"/manager/status",
        b"/host-manager/html",
        b"/host-manager/text",
    ];
    guarded.iter().any(|of| {
        path.strip_prefix(*of)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    })
}

impl Tomcat<'_> {
    /// What Tomcat answers; `admitted` who has proved to be somebody.
    pub(super) fn answer(&self, request: &Request<'_>, admitted: Option<&Credentials>) -> Answer<'static> {
        let path = request.path.as_slice();
        if is_guarded(path) {
            return match admitted {
                Some(_) => self.manager(request),
                None => Self::challenge(path),
            };
        }
        for folder in ["/manager", "/host-manager"] {
            if path == folder.as_bytes() {
                return Self::moved(&format!("{folder}/"));
            }
            if path == format!("{folder}/").as_bytes() || path == format!("{folder}/index.jsp").as_bytes() {
                return Self::kept(Self::moved(&format!("{folder}/html")));
            }
        }
        let front = matches!(path, b"/" | b"/index.jsp");
        match request.method {
            b"GET" | b"HEAD" | b"POST" if front => relayed(200, UTF8, self.front()),
            b"GET" | b"HEAD" | b"POST" if path == b"/favicon.ico" => self.icon(request),
            b"GET" | b"HEAD" | b"POST" => self.fault(
                404,
                &format!(
                    "The requested resource [{}] is not available",
                    in_html(request.target.split(|b| *b == b'?').next().unwrap_or_default())
                ),
            ),
            b"OPTIONS" => relayed(200, "", String::new()).with("Allow", ALLOWED),
            b"PUT" | b"DELETE" | b"PATCH" if front => self
                .fault(
                    405,
                    "JSPs only permit GET, POST or HEAD. Jasper also permits OPTIONS",
                )
                .with("Allow", ALLOWED),
            b"PUT" | b"DELETE" | b"PATCH" => {
                let method = String::from_utf8_lossy(request.method);
                self.fault(405, &format!("HTTP method {method} is not supported by this URL"))
                    .with("Allow", ALLOWED)
            }
            method => self.fault(
                501,
                &format!(
                    "Method [{}] is not implemented by this Servlet for this URI",
                    in_html(method)
                ),
            ),
        }
    }

    /// The page of `ErrorReportValve`. `message` is HTML.
    fn fault(&self, status: u16, message: &str) -> Answer<'static> {
        let (reason, description) = match status {
            404 => (
                "Not Found",
                "The origin server did not find a current representation for the target resource or is not willing to disclose \
                 that one exists.",
            ),
            405 => (
                "Method Not Allowed",
                "The method received in the request-line is known by the origin server but not supported by the target \
                 resource.",
            ),
            _ => (
                "Not Implemented",
                "The server does not support the functionality required to fulfill the request.",
            ),
        };
        let version = self.version;
        let title = format!("HTTP Status {status} \u{2013} {reason}");
        let page = format!(
            "<!doctype html><html lang=\"en\"><head><title>{title}</title><style type=\"text/css\">body \
             {{font-family:Tahoma,Arial,sans-serif;}} h1, h2, h3, b {{color:white;background-color:#525D76;}} h1 \
             {{font-size:22px;}} h2 {{font-size:16px;}} h3 {{font-size:14px;}} p {{font-size:12px;}} a {{color:black;}} \
             .line {{height:1px;background-color:#525D76;border:none;}}</style></head><body><h1>{title}</h1><hr \
             class=\"line\" /><p><b>Type</b> Status Report</p><p><b>Message</b> {message}</p><p><b>Description</b> \
             {description}</p><hr class=\"line\" /><h3>Apache Tomcat/{version}</h3></body></html>"
        );
        relayed(status, "text/html;charset=utf-8", page).with("Content-Language", "en")
    }

    fn challenge(path: &[u8]) -> Answer<'static> {
        let (realm, role) = if path.starts_with(b"/host-manager") {
            ("Tomcat Host Manager Application", "admin-gui")
        } else {
            ("Tomcat Manager Application", "manager-gui")
        };
        let page = format!(
            "<!DOCTYPE html PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \"http://www.w3.org/TR/html4/strict.dtd\">\n<html>\n <head>\n  \
             <title>401 Unauthorized</title>\n  <style type=\"text/css\">\n    <!--\n    BODY \
             {{font-family:Tahoma,Arial,sans-serif;color:black;background-color:white;font-size:12px;}}\n    H1 \
             {{font-family:Tahoma,Arial,sans-serif;color:white;background-color:#525D76;font-size:22px;}}\n    PRE, TT \
             {{border: 1px dotted #525D76}}\n    -->\n  </style>\n </head>\n <body>\n   <h1>401 Unauthorized</h1>\n   <p>\n    \
             Only accounts of <tt>conf/tomcat-users.xml</tt> with the role <tt>{role}</tt>\n    get in, such as:\n   \
             </p>\n<pre>\n&lt;role rolename=\"{role}\"/&gt;\n&lt;user username=\"tomcat\" password=\"s3cret\" \
             roles=\"{role}\"/&gt;\n</pre>\n </body>\n\n</html>\n"
        );
        relayed(401, "text/html;charset=ISO-8859-1", page)
            .with("Cache-Control", "private")
            .with("WWW-Authenticate", format!("Basic realm=\"{realm}\""))
    }

    fn moved(to: &str) -> Answer<'static> {
        relayed(302, "", String::new()).with("Location", to)
    }

    /// What the manager's filter adds to its answers.
    fn kept(answer: Answer<'static>) -> Answer<'static> {
        answer
            .with("X-Frame-Options", "DENY")
            .with("X-Content-Type-Options", "nosniff")
            .with("X-XSS-Protection", "1; mode=block")
    }

    fn icon(&self, request: &Request<'_>) -> Answer<'static> {
        let Some(file) = self.favicon else {
            return self.fault(404, "The requested resource [&#47;favicon.ico] is not available");
        };
        let etag = format!("W/\"{}-{}000\"", file.body.len(), file.modified);
        let known = request.header("if-none-match");
        let mut answer = if known.is_some_and(|tags| tags == etag.as_bytes()) {
            relayed(304, "", String::new())
        } else {
            Answer {
                body: file.body.clone().into(),
                ..relayed(200, "image/x-icon", String::new()).with("Accept-Ranges", "bytes")
            }
        };
        answer = answer.with("ETag", etag);
        answer.with("Last-Modified", file.last_modified.clone())
    }

    fn front(&self) -> String {
        let version = self.version;
        let year = OffsetDateTime::from_unix_timestamp(self.persona.boot_time)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
            .year();
        let links: String = [
            ("/manager/status", "Server Status"),
            ("/manager/html", "Manager App"),
            ("/host-manager/html", "Host Manager"),
        ]
        .map(|(path, name)| {
            format!("<a class=\"container shadow\" href=\"{path}\"><span>{name}</span></a>\n")
        })
        .concat();
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n    <head>\n        <meta charset=\"UTF-8\" />\n        <title>Apache \
             Tomcat/{version}</title>\n        <link href=\"favicon.ico\" rel=\"icon\" type=\"image/x-icon\" />\n    \
             </head>\n\n    <body>\n        <div id=\"wrapper\">\n            <div id=\"asf-box\">\n                <h1>Apache \
             Tomcat/{version}</h1>\n            </div>\n            <div id=\"upper\" class=\"curved container\">\n                \
             <div id=\"congrats\" class=\"curved container\">\n                    <h2>If you're seeing this, you've \
             successfully installed Tomcat. Congratulations!</h2>\n                </div>\n                <div \
             id=\"actions\">\n{links}                </div>\n            </div>\n            <p class=\"copyright\">Copyright \
             &copy;1999-{year} Apache Software Foundation.  All Rights Reserved</p>\n        </div>\n    \
             </body>\n\n</html>\n"
        )
    }

    /// What somebody gets who got in.
    fn manager(&self, request: &Request<'_>) -> Answer<'static> {
        let path = String::from_utf8_lossy(&request.path);
        let context = || {
            let query = request.query().split(|b| *b == b'&');
            let mut paths = query.filter_map(|pair| pair.strip_prefix(b"path="));
            let path = super::request::percent_decoded(paths.next().unwrap_or(b"/"), true);
            String::from_utf8_lossy(&path).into_owned()
        };
        if let Some(command) = path.strip_prefix("/manager/text") {
            let said = match command.trim_start_matches('/') {
                "list" => format!(
                    "OK - Listed applications for virtual host [localhost]\n{}",
                    Self::APPLICATIONS
                        .map(|(path, sessions, folder)| format!("{path}:running:{sessions}:{folder}\n"))
                        .concat()
                ),
                "serverinfo" => format!(
                    "OK - Server info\nTomcat Version: [Apache Tomcat/{}]\nOS Name: [Linux]\nOS Version: [{}]\nOS \
                     Architecture: [amd64]\n",
                    self.version,
                    self.persona.uname().split(' ').nth(2).unwrap_or_default()
                ),
                "deploy" => format!("OK - Deployed application at context path [{}]\n", context()),
                "undeploy" => format!("OK - Undeployed application at context path [{}]\n", context()),
                "reload" => format!("OK - Reloaded application at context path [{}]\n", context()),
                "start" => format!("OK - Started application at context path [{}]\n", context()),
                "stop" => format!("OK - Stopped application at context path [{}]\n", context()),
                command => format!("FAIL - Unknown command [/{command}]\n"),
            };
            let answer = relayed(200, "text/plain;charset=utf-8", said);
            return Self::kept(answer.with("Cache-Control", "private"));
        }
        let said = match path.rsplit('/').next().unwrap_or_default() {
            "upload" => "OK - Deployed application".to_owned(),
            "undeploy" | "stop" | "start" | "reload" | "deploy" => {
                format!("OK - {}", escaped(context().as_bytes()))
            }
            _ => "OK".to_owned(),
        };
        let name = if path.starts_with("/host-manager") {
            "Tomcat Virtual Host Manager"
        } else {
            "Tomcat Web Application Manager"
        };
        let rows: String = Self::APPLICATIONS
            .map(|(path, sessions, _)| {
                format!(
                    "<tr>\n <td><a href=\"{path}\">{path}</a></td>\n <td>None specified</td>\n <td>true</td>\n <td>{sessions}</td>\n\
                     </tr>\n"
                )
            })
            .concat();
        let page = format!(
            "<html>\n<head>\n<title>/manager</title>\n</head>\n\n<body bgcolor=\"#FFFFFF\">\n<h1>{name}</h1>\n<table \
             border=\"1\">\n<tr><td><strong>Message:</strong></td><td><pre>{said}</pre></td></tr>\n</table>\n<table \
             border=\"1\">\n<tr><td colspan=\"4\">Applications</td></tr>\n<tr><td>Path</td><td>Version</td><td>Running</td>\
             <td>Sessions</td></tr>\n{rows}</table>\n<form method=\"post\" action=\"/manager/html/upload\" \
             enctype=\"multipart/form-data\">\n<input type=\"file\" name=\"deployWar\" size=\"40\">\n<input type=\"submit\" \
             value=\"Deploy\">\n</form>\n<p>Apache Tomcat/{}</p>\n</body>\n</html>\n",
            self.version
        );
        let answer = relayed(200, "text/html;charset=utf-8", page);
        Self::kept(answer.with("Cache-Control", "private"))
    }

    /// Path, sessions and folder of what is deployed.
    const APPLICATIONS: [(&'static str, u8, &'static str); 3] = [
        ("/", 0, "ROOT"),
        ("/host-manager", 0, "host-manager"),
        ("/manager", 1, "manager"),
    ];
}

/// An answer that the server only passes on.
fn relayed(status: u16, content_type: &'static str, body: String) -> Answer<'static> {
    Answer {
        relayed: true,
        ..Answer::made(status, content_type, body.into_bytes())
    }
}

/// A visitor's bytes as Tomcat has them inside HTML.
fn in_html(bytes: &[u8]) -> String {
    escaped(bytes).replace('/', "&#47;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_manager_guards_is_its_programs_and_nothing_that_begins_like_them() {
        for path in ["/manager/html", "/manager/text/list", "/host-manager/html/"] {
            assert!(is_guarded(path.as_bytes()), "{path}");
        }
        for path in ["/manager", "/manager/", "/manager/htmlx", "/", "/managers/html"] {
            assert!(!is_guarded(path.as_bytes()), "{path}");
        }
    }
}
