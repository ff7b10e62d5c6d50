//! What WordPress's own programs answer: pages, feed, REST, XML-RPC and login, made from the persona when they are asked for.
//!
//! Headers, status lines, names and structure follow WordPress 6 (`wp-includes/class-wp.php`, `feed-rss2.php`, `rest-api`,
//! `class-wp-xmlrpc-server.php`), which clients and scanners look at; the texts are the persona's, and the theme its own. What WordPress
//! says of a failed login is in its words, because tools that try passwords read them. Start at [`Blog::answer`].

use decnet_persona::{Persona, bait};
use serde_json::Value;
use time::OffsetDateTime;

use super::{
    dialect::{Answer, escaped, http_date},
    look::Look,
    request::Request,
};

const HTML: &str = "text/html; charset=UTF-8";
const JSON: &str = "application/json; charset=UTF-8";
const XML: &str = "text/xml; charset=UTF-8";
const MAP: &str = "application/xml; charset=UTF-8";

/// Paths of the package that run and say nothing: what only others include, and the `index.php` of folders.
const SILENT: &[&str] = &[
    "/wp-config.php",
    "/wp-content/",
    "/wp-content/index.php",
    "/wp-content/plugins/",
    "/wp-content/plugins/index.php",
    "/wp-content/themes/",
    "/wp-content/themes/index.php",
    "/wp-cron.php",
    "/wp-includes/version.php",
    "/wp-load.php",
];

/// The routes of the REST interface that are listed: each is answered. With their namespaces and methods.
const ROUTES: &[(&str, &str, &str)] = &[
    ("/oembed/1.0", "oembed/1.0", "GET"),
    ("/oembed/1.0/embed", "oembed/1.0", "GET"),
    ("/wp/v2", "wp/v2", "GET"),
    ("/wp/v2/posts", "wp/v2", "GET,POST"),
    ("/wp/v2/pages", "wp/v2", "GET,POST"),
    ("/wp/v2/media", "wp/v2", "GET,POST"),
    ("/wp/v2/categories", "wp/v2", "GET,POST"),
    ("/wp/v2/tags", "wp/v2", "GET,POST"),
    ("/wp/v2/users", "wp/v2", "GET,POST"),
    ("/wp/v2/users/me", "wp/v2", "GET,POST,PUT,PATCH,DELETE"),
    ("/wp/v2/comments", "wp/v2", "GET,POST"),
    ("/wp/v2/settings", "wp/v2", "GET,POST,PUT,PATCH"),
    ("/wp/v2/themes", "wp/v2", "GET"),
    ("/wp/v2/plugins", "wp/v2", "GET,POST"),
    ("/wp-site-health/v1", "wp-site-health/v1", "GET"),
    (
        "/wp-site-health/v1/tests/background-updates",
        "wp-site-health/v1",
        "GET",
    ),
    ("/wp-block-editor/v1", "wp-block-editor/v1", "GET"),
    ("/wp-block-editor/v1/url-details", "wp-block-editor/v1", "GET"),
];

/// What the REST interface tells: a status, a body, and of a list how many there are on how many pages.
type Told = (u16, String, Option<(usize, usize)>);

/// What a query says under a name.
type Asked<'a> = &'a dyn Fn(&str) -> Option<String>;

/// One visitor's sight of the blog.
pub(super) struct Blog<'a> {
    pub(super) persona: &'a Persona,
    pub(super) look: &'a Look,
    /// Release of WordPress.
    pub(super) version: &'static str,
    /// Where it is, as links have it: `http://web03.example.org`. HTML and XML.
    pub(super) home: String,
    /// Where it was asked for, for headers only: WordPress leads on from there.
    pub(super) asked: String,
}

/// Something that was published.
struct Post {
    id: u64,
    title: String,
    text: String,
    /// The last part of its address.
    slug: String,
    at: OffsetDateTime,
}

/// The only author.
struct Author {
    name: String,
    slug: String,
}

impl<'a> Blog<'a> {
    /// What WordPress answers at a path that no file of its folder has; also where it finds nothing.
    pub(super) fn answer(&self, request: &Request<'_>) -> Answer<'static> {
        let path = String::from_utf8_lossy(&request.path);
        let query = String::from_utf8_lossy(request.query());
        let asked = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find_map(|(key, value)| (key == name).then(|| value.replace("%2F", "/")))
        };
        let posts = self.posts();
        let author = self.author();
        let whole = path.strip_prefix("/index.php").unwrap_or(&path);
        if SILENT.contains(&&*path) {
            return Answer::made(200, HTML, Vec::new());
        }
        if let Some(route) = asked("rest_route") {
            return self.rest(
                request.method,
                route.trim_end_matches('/'),
                &asked,
                &posts,
                &author,
            );
        }
        if let Some(route) = whole.strip_prefix("/wp-json")
            && (route.is_empty() || route.starts_with('/'))
        {
            return self.rest(
                request.method,
                route.trim_end_matches('/'),
                &asked,
                &posts,
                &author,
            );
        }
        if whole == "/robots.txt" {
            let rules = format!(
                "User-agent: *\nDisallow: /wp-admin/\nAllow: /wp-admin/admin-ajax.php\n\nSitemap: {}/wp-sitemap.xml\n",
                self.home
            );
            return Answer::made(200, "text/plain; charset=utf-8", rules.into_bytes());
        }
        let is_plain = request.target.starts_with(b"/") && request.target.iter().all(u8::is_ascii_graphic);
        if self.is_led_home() && is_plain && matches!(request.method, b"GET" | b"HEAD") {
            return self.moved(&String::from_utf8_lossy(request.target));
        }
        if let Some(map) = self.sitemap(whole, &posts, &author) {
            return map;
        }
        match whole {
            "/" | "" if asked("feed").is_some() => self.feed(&posts, &author),
            "/" | "" if asked("author").is_some_and(|id| id == "1") => {
                self.moved(&format!("/author/{}/", author.slug))
            }
            "/" | "" if asked("author").is_some_and(|id| id.parse::<u64>().is_ok_and(|id| id > 0)) => {
                self.missing()
            }
            "/" | "" if asked("p").is_some() => {
                let id = asked("p").and_then(|id| id.parse().ok());
                match posts.iter().find(|post| Some(post.id) == id) {
                    Some(post) => self.moved(&format!("/{}/", post.slug)),
                    None => self.missing(),
                }
            }
            "" => self.moved("/"),
            "/" if path.starts_with("/index.php") => self.moved("/"),
            "/" => self.page(&self.title(), "home blog", &posts.iter().collect::<Vec<_>>()),
            "/feed" | "/feed/rss2" => self.moved("/feed/"),
            "/feed/" | "/feed/rss2/" => self.feed(&posts, &author),
            "/wp-comments-post.php" => Answer::made(200, HTML, Vec::new()),
            _ => {
                let name = whole.trim_matches('/');
                let post = posts.iter().find(|post| post.slug == name);
                match post {
                    Some(_) if !whole.ends_with('/') => self.moved(&format!("/{name}/")),
                    Some(post) => {
                        let title = format!("{} &#8211; {}", escaped(post.title.as_bytes()), self.title());
                        self.page(&title, &format!("single postid-{}", post.id), &[post])
                    }
                    None if name == format!("author/{}", author.slug) => {
                        let title = format!("{} &#8211; {}", escaped(author.name.as_bytes()), self.title());
                        self.page(&title, "archive author", &posts.iter().collect::<Vec<_>>())
                    }
                    None if name == "category/uncategorized" => {
                        let title = format!("Uncategorized &#8211; {}", self.title());
                        let class = "archive category category-uncategorized category-1";
                        self.page(&title, class, &posts.iter().collect::<Vec<_>>())
                    }
                    None => self.missing(),
                }
            }
        }
    }

    /// Whether the server answers at `path`, where it would not list the folder, through the program that says nothing.
    pub(super) fn is_silent(path: &[u8]) -> bool {
        SILENT.iter().any(|silent| silent.as_bytes() == path)
    }

    /// Whether visitors are led to its name: WordPress does that where it was asked for with a `www.` too many or too few, and answers
    /// at every other name (`wp-includes/canonical.php`).
    fn is_led_home(&self) -> bool {
        let name = |url: &str| url.trim_start_matches("http://").to_ascii_lowercase();
        let (home, asked) = (name(&self.home), name(&self.asked));
        format!("www.{home}") == asked || format!("www.{asked}") == home
    }

    /// Its maps for search engines, and the sheets by which browsers show them.
    fn sitemap(&self, path: &str, posts: &[Post], author: &Author) -> Option<Answer<'static>> {
        let home = &self.home;
        let newest = posts.first().map(|post| post.at);
        let (root, of, sheet) = match path {
            "/wp-sitemap.xml" => ("sitemapindex", "sitemap", "wp-sitemap-index.xsl"),
            "/wp-sitemap.xsl" => return Some(Answer::made(200, MAP, sheet("url").into_bytes())),
            "/wp-sitemap-index.xsl" => return Some(Answer::made(200, MAP, sheet("sitemap").into_bytes())),
            _ => ("urlset", "url", "wp-sitemap.xsl"),
        };
        let places: Vec<(String, Option<OffsetDateTime>)> = match path {
            "/wp-sitemap.xml" => MAPS.iter().map(|map| ((*map).to_owned(), None)).collect(),
            "/wp-sitemap-posts-post-1.xml" => posts
                .iter()
                .map(|post| (format!("/{}/", post.slug), Some(post.at)))
                .collect(),
            "/wp-sitemap-posts-page-1.xml" => vec![("/".to_owned(), newest)],
            "/wp-sitemap-taxonomies-category-1.xml" => vec![("/category/uncategorized/".to_owned(), None)],
            "/wp-sitemap-users-1.xml" => vec![(format!("/author/{}/", author.slug), None)],
            _ => return None,
        };
        // It tells when a post was changed since 6.5.
        let dates = !["6.2.", "6.3.", "6.4."]
            .iter()
            .any(|old| self.version.starts_with(old));
        let places: String = places
            .iter()
            .map(|(place, at)| {
                let at = at.filter(|_| dates).map(http_day);
                let at = at.map_or_else(String::new, |at| format!("<lastmod>{at}+00:00</lastmod>"));
                format!("<{of}><loc>{home}{place}</loc>{at}</{of}>")
            })
            .collect();
        let map = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<?xml-stylesheet type=\"text/xsl\" href=\"{home}/{sheet}\" ?>\n<{root} \
             xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">{places}</{root}>\n"
        );
        Some(Answer::made(200, MAP, map.into_bytes()))
    }

    /// The name of the blog, as HTML.
    fn title(&self) -> String {
        escaped(self.persona.company.as_bytes())
    }

    /// The folder of its theme.
    pub(super) fn theme(persona: &Persona) -> String {
        let mut name = persona.company.to_lowercase();
        name.retain(|c| c.is_ascii_alphanumeric());
        let name: String = name.chars().take(12).collect();
        if name.is_empty() { "theme".to_owned() } else { name }
    }

    fn posts(&self) -> Vec<Post> {
        let mut rng = self.persona.rng("http/posts");
        let (mut id, mut age) = (rng.range(7, 40), rng.range(3, 40) * 86_400 + rng.below(86_400));
        let mut posts = Vec::new();
        for (title, text) in bait::site(self.persona).sections {
            let at = self.persona.boot_time - i64::try_from(age).unwrap_or_default();
            let slug: String = title
                .to_lowercase()
                .split(|c: char| !c.is_ascii_alphanumeric())
                .filter(|word| !word.is_empty())
                .collect::<Vec<_>>()
                .join("-");
            posts.push(Post {
                id,
                slug,
                title,
                text,
                at: OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH),
            });
            // The newest stands first.
            id = id.saturating_sub(rng.range(1, 2));
            age += rng.range(2, 60) * 86_400 + rng.below(80_000);
        }
        posts
    }

    fn author(&self) -> Author {
        let admin = self.persona.admin();
        let slug = admin.map_or_else(|| "admin".to_owned(), |admin| admin.name.replace('.', "-"));
        let name = admin
            .map(|admin| admin.full_name.clone())
            .filter(|name| !name.is_empty());
        Author {
            name: name.unwrap_or_else(|| slug.clone()),
            slug,
        }
    }

    /// The header by which every page leads to the REST interface.
    fn linked(&self, answer: Answer<'static>) -> Answer<'static> {
        answer.with(
            "Link",
            format!("<{}/wp-json/>; rel=\"https://api.w.org/\"", self.home),
        )
    }

    fn moved(&self, to: &str) -> Answer<'static> {
        let at = match self.is_led_home() {
            true => &self.home,
            false => &self.asked,
        };
        Answer::made(301, HTML, Vec::new())
            .with("X-Redirect-By", "WordPress")
            .with("Location", format!("{at}{to}"))
    }

    fn page(&self, title: &str, class: &str, posts: &[&Post]) -> Answer<'static> {
        let mut parts = String::new();
        for post in posts {
            let (id, slug, home) = (post.id, &post.slug, &self.home);
            let heading = escaped(post.title.as_bytes());
            let day = post.at.date();
            parts.push_str(&format!(
                "<article id=\"post-{id}\" class=\"post-{id} post type-post status-publish format-standard hentry\">\n<h2 \
                 class=\"entry-title\"><a href=\"{home}/{slug}/\" rel=\"bookmark\">{heading}</a></h2>\n<time \
                 datetime=\"{day}\">{day}</time>\n<div class=\"entry-content\">\n{}</div>\n</article>\n",
                self.look.paragraphs(&post.text)
            ));
        }
        self.linked(Answer::made(
            200,
            HTML,
            self.document(title, class, &parts).into_bytes(),
        ))
    }

    fn missing(&self) -> Answer<'static> {
        let title = format!("Page not found &#8211; {}", self.title());
        let body = format!("<p><a href=\"{}/\">{}</a></p>\n", self.home, self.title());
        let page = self.document(&title, "error404", &body);
        let answer = Answer::made(404, HTML, page.into_bytes());
        self.linked(
            answer
                .with("Expires", "Wed, 11 Jan 1984 05:00:00 GMT")
                .with("Cache-Control", "no-cache, must-revalidate, max-age=0"),
        )
    }

    fn document(&self, title: &str, class: &str, parts: &str) -> String {
        let (home, version, theme) = (&self.home, self.version, Self::theme(self.persona));
        let (name, slogan) = (self.title(), bait::site(self.persona).slogan);
        let end = format!("<a href=\"{home}/\">{name}</a> - <a href=\"{home}/wp-login.php\">Log in</a>");
        let body = self.look.frame(&self.persona.company, &slogan, parts, &end);
        format!(
            "<!DOCTYPE html>\n<html lang=\"en-US\">\n<head>\n<meta charset=\"UTF-8\" />\n<meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\" />\n<meta name='robots' content='max-image-preview:large' />\n\
             <title>{title}</title>\n<link rel=\"alternate\" type=\"application/rss+xml\" title=\"{name} &raquo; Feed\" \
             href=\"{home}/feed/\" />\n<link rel='stylesheet' id='{theme}-style-css' \
             href='{home}/wp-content/themes/{theme}/style.css?ver={version}' media='all' />\n<link \
             rel=\"https://api.w.org/\" href=\"{home}/wp-json/\" /><link rel=\"EditURI\" type=\"application/rsd+xml\" \
             title=\"RSD\" href=\"{home}/xmlrpc.php?rsd\" />\n<meta name=\"generator\" content=\"WordPress {version}\" \
             />\n</head>\n<body class=\"{class} wp-theme-{theme}\">\n{body}</body>\n</html>\n"
        )
    }

    fn feed(&self, posts: &[Post], author: &Author) -> Answer<'static> {
        let (home, name) = (&self.home, self.title());
        let slogan = escaped(bait::site(self.persona).slogan.as_bytes());
        let dated = |at: OffsetDateTime| http_date(at).replace("GMT", "+0000");
        let newest = posts.first().map_or(OffsetDateTime::UNIX_EPOCH, |post| post.at);
        let mut items = String::new();
        for post in posts {
            let (id, slug) = (post.id, &post.slug);
            let (title, text) = (escaped(post.title.as_bytes()), escaped(post.text.as_bytes()));
            items.push_str(&format!(
                "\t\t<item>\n\t\t<title>{title}</title>\n\t\t<link>{home}/{slug}/</link>\n\t\t\n\t\t<dc:creator>\
                 <![CDATA[{}]]></dc:creator>\n\t\t<pubDate>{}</pubDate>\n\t\t\t\t<category>\
                 <![CDATA[Uncategorized]]></category>\n\t\t<guid \
                 isPermaLink=\"false\">{home}/?p={id}</guid>\n\n\t\t\t\t\t<description><![CDATA[{text}]]></description>\n\t\t\
                 \t\t\t\t\t<content:encoded><![CDATA[<p>{text}</p>\n]]></content:encoded>\n\t\t\t\t\t\n\t\t\n\t\t\n\
                 \t\t\t</item>\n",
                escaped(author.name.as_bytes()),
                dated(post.at),
            ));
        }
        let xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><rss version=\"2.0\"\n\
             \txmlns:content=\"http://purl.org/rss/1.0/modules/content/\"\n\
             \txmlns:wfw=\"http://wellformedweb.org/CommentAPI/\"\n\txmlns:dc=\"http://purl.org/dc/elements/1.1/\"\n\
             \txmlns:atom=\"http://www.w3.org/2005/Atom\"\n\
             \txmlns:sy=\"http://purl.org/rss/1.0/modules/syndication/\"\n\
             \txmlns:slash=\"http://purl.org/rss/1.0/modules/slash/\"\n\t>\n\n<channel>\n\t<title>{name}</title>\n\t<atom:link \
             href=\"{home}/feed/\" rel=\"self\" type=\"application/rss+xml\" />\n\t<link>{home}</link>\n\
             \t<description>{slogan}</description>\n\t<lastBuildDate>{}</lastBuildDate>\n\t<language>en-US</language>\n\
             \t<sy:updatePeriod>\n\thourly\t</sy:updatePeriod>\n\t<sy:updateFrequency>\n\t1\t</sy:updateFrequency>\n\
             \t<generator>https://wordpress.org/?v={}</generator>\n{items}\t</channel>\n</rss>\n",
            dated(newest),
            self.version,
        );
        let tag = self.persona.rng("http/feed").hex(32);
        self.linked(
            Answer::made(200, "application/rss+xml; charset=UTF-8", xml.into_bytes())
                .with("Last-Modified", http_date(newest))
                .with("ETag", format!("\"{tag}\"")),
        )
    }

    /// The REST interface; `route` is without the `/` at its end.
    fn rest(
        &self,
        method: &[u8],
        route: &str,
        asked: Asked<'_>,
        posts: &[Post],
        author: &Author,
    ) -> Answer<'static> {
        let reads = matches!(method, b"GET" | b"HEAD" | b"OPTIONS");
        let (status, body, total) = match reads {
            true => self.rest_read(route, asked, posts, author),
            false => rest_written(route),
        };
        let mut answer = Answer::made(status, JSON, body.into_bytes()).with("X-Robots-Tag", "noindex");
        answer = self
            .linked(answer)
            .with("X-Content-Type-Options", "nosniff")
            .with(
                "Access-Control-Expose-Headers",
                "X-WP-Total, X-WP-TotalPages, Link",
            )
            .with(
                "Access-Control-Allow-Headers",
                "Authorization, X-WP-Nonce, Content-Disposition, Content-MD5, Content-Type",
            );
        if let Some((total, pages)) = total {
            answer = answer
                .with("X-WP-Total", total.to_string())
                .with("X-WP-TotalPages", pages.to_string());
        }
        if status == 404 {
            answer
        } else {
            answer.with("Allow", "GET")
        }
    }

    /// What there is to read at a route.
    fn rest_read(&self, route: &str, asked: Asked<'_>, posts: &[Post], author: &Author) -> Told {
        let one = |body: String| (200, body, None);
        match route {
            "" => one(self.rest_index()),
            "/oembed/1.0/embed" => self.rest_embed(asked, posts, author),
            "/wp/v2/posts" => {
                let all: Vec<String> = posts.iter().map(|post| self.rest_post(post)).collect();
                rest_list(&all, true, asked)
            }
            "/wp/v2/users" => rest_list(&[self.rest_author(author)], false, asked),
            "/wp/v2/users/1" => one(self.rest_author(author)),
            "/wp/v2/categories" => rest_list(&[self.rest_category(posts.len())], false, asked),
            "/wp/v2/categories/1" => one(self.rest_category(posts.len())),
            "/wp/v2/pages" | "/wp/v2/media" | "/wp/v2/comments" | "/wp/v2/tags" => {
                rest_list(&[], false, asked)
            }
            _ => {
                if let Some(namespace) = namespaces().find(|name| route.strip_prefix('/') == Some(*name)) {
                    return one(self.rest_namespace(namespace));
                }
                let id = route.strip_prefix("/wp/v2/posts/").and_then(|id| id.parse().ok());
                match posts.iter().find(|post| Some(post.id) == id) {
                    Some(post) => one(self.rest_post(post)),
                    None if id.is_some() => rest_refused("rest_post_invalid_id", "Invalid post ID.", 404),
                    None => rest_closed(route),
                }
            }
        }
    }

    /// How another site shows the post at an address.
    fn rest_embed(&self, asked: Asked<'_>, posts: &[Post], author: &Author) -> Told {
        let Some(url) = asked("url") else {
            let body = "{\"code\":\"rest_missing_callback_param\",\"message\":\"Missing parameter(s): url\",\"data\":\
                        {\"status\":400,\"params\":[\"url\"]}}";
            return (400, body.to_owned(), None);
        };
        let url = url.replace("%3A", ":").replace("%3a", ":").replace("%2f", "/");
        let path = url.strip_prefix(&self.home).map(|path| path.trim_matches('/'));
        let Some(post) = posts.iter().find(|post| Some(post.slug.as_str()) == path) else {
            return rest_refused("oembed_invalid_url", "Not Found", 404);
        };
        let body = format!(
            "{{\"version\":\"1.0\",\"provider_name\":{},\"provider_url\":{},\"author_name\":{},\"author_url\":{},\"title\":{},\
             \"type\":\"link\"}}",
            text(&self.persona.company),
            text(&self.home),
            text(&author.name),
            text(&format!("{}/author/{}/", self.home, author.slug)),
            text(&post.title),
        );
        (200, body, None)
    }

    /// The routes of a namespace, or all, as an object of JSON.
    fn rest_routes(&self, of: Option<&str>) -> String {
        let root = ("/", "", "GET");
        let first = of.is_none().then_some(&root);
        let listed = ROUTES
            .iter()
            .filter(|(_, namespace, _)| of.is_none_or(|of| of == *namespace));
        let routes: Vec<String> = first
            .into_iter()
            .chain(listed)
            .map(|(route, of, methods)| {
                let methods: Vec<String> = methods.split(',').map(text).collect();
                let methods = methods.join(",");
                format!(
                    "{}:{{\"namespace\":{},\"methods\":[{methods}],\"endpoints\":[{{\"methods\":[{methods}],\"args\":[]}}],\
                     \"_links\":{{\"self\":[{{\"href\":{}}}]}}}}",
                    text(route),
                    text(of),
                    text(&format!("{}/wp-json{route}", self.home))
                )
            })
            .collect();
        format!("{{{}}}", routes.join(","))
    }

    fn rest_namespace(&self, namespace: &str) -> String {
        format!(
            "{{\"namespace\":{},\"routes\":{},\"_links\":{{\"up\":[{{\"href\":{}}}]}}}}",
            text(namespace),
            self.rest_routes(Some(namespace)),
            text(&format!("{}/wp-json/", self.home))
        )
    }

    fn rest_index(&self) -> String {
        let namespaces: Vec<String> = namespaces().map(text).collect();
        format!(
            "{{\"name\":{},\"description\":{},\"url\":{},\"home\":{},\"gmt_offset\":\"0\",\"timezone_string\":\"\",\
             \"page_for_posts\":0,\"page_on_front\":0,\"show_on_front\":\"posts\",\"namespaces\":[{}],\"authentication\":[],\
             \"routes\":{},\"site_logo\":0,\"site_icon\":0,\"site_icon_url\":\"\",\"_links\":{{\"help\":[{{\"href\":\
             \"https:\\/\\/developer.wordpress.org\\/rest-api\\/\"}}]}}}}",
            text(&self.persona.company),
            text(&bait::site(self.persona).slogan),
            text(&self.home),
            text(&self.home),
            namespaces.join(","),
            self.rest_routes(None)
        )
    }

    /// The only category.
    fn rest_category(&self, count: usize) -> String {
        let all = format!("{}/wp-json/wp/v2/categories", self.home);
        format!(
            "{{\"id\":1,\"count\":{count},\"description\":\"\",\"link\":{},\"name\":\"Uncategorized\",\"slug\":\
             \"uncategorized\",\"taxonomy\":\"category\",\"parent\":0,\"meta\":[],\"_links\":{{\"self\":[{{\"href\":{}}}],\
             \"collection\":[{{\"href\":{}}}]}}}}",
            text(&format!("{}/category/uncategorized/", self.home)),
            text(&format!("{all}/1")),
            text(&all)
        )
    }

    fn rest_author(&self, author: &Author) -> String {
        let (name, slug) = (text(&author.name), text(&author.slug));
        let link = text(&format!("{}/author/{}/", self.home, author.slug));
        let own = text(&format!("{}/wp-json/wp/v2/users/1", self.home));
        let all = text(&format!("{}/wp-json/wp/v2/users", self.home));
        let hash = self.persona.rng("http/gravatar").hex(64);
        let avatar = |size: u8| {
            let url = format!("https://secure.gravatar.com/avatar/{hash}?s={size}&d=mm&r=g");
            format!("\"{size}\":{}", text(&url))
        };
        format!(
            "{{\"id\":1,\"name\":{name},\"url\":\"\",\"description\":\"\",\"link\":{link},\"slug\":{slug},\"avatar_urls\":\
             {{{}}},\"meta\":[],\"_links\":{{\"self\":[{{\"href\":{own}}}],\"collection\":[{{\"href\":{all}}}]}}}}",
            [24, 48, 96].map(avatar).join(",")
        )
    }

    fn rest_post(&self, post: &Post) -> String {
        let Post { id, slug, at, .. } = post;
        let date = http_day(*at);
        let link = format!("{}/{slug}/", self.home);
        let own = text(&format!("{}/wp-json/wp/v2/posts/{id}", self.home));
        format!(
            "{{\"id\":{id},\"date\":\"{date}\",\"date_gmt\":\"{date}\",\"guid\":{{\"rendered\":{}}},\"modified\":\"{date}\",\
             \"modified_gmt\":\"{date}\",\"slug\":{},\"status\":\"publish\",\"type\":\"post\",\"link\":{},\"title\":\
             {{\"rendered\":{}}},\"content\":{{\"rendered\":{},\"protected\":false}},\"author\":1,\"featured_media\":0,\
             \"comment_status\":\"closed\",\"ping_status\":\"open\",\"sticky\":false,\"template\":\"\",\"format\":\"standard\",\
             \"meta\":{{\"footnotes\":\"\"}},\"categories\":[1],\"tags\":[],\"_links\":{{\"self\":[{{\"href\":{own}}}]}}}}",
            text(&format!("{}/?p={id}", self.home)),
            text(slug),
            text(&link),
            text(&escaped(post.title.as_bytes())),
            text(&self.look.paragraphs(&post.text)),
        )
    }

    /// How clients find XML-RPC (Really Simple Discovery).
    pub(super) fn discovery(&self) -> String {
        let home = &self.home;
        let apis: String = [("WordPress", true), ("Movable Type", false), ("MetaWeblog", false), ("Blogger", false)]
            .map(|(name, preferred)| {
                format!(
                    "\t\t\t<api name=\"{name}\" blogID=\"1\" preferred=\"{preferred}\" apiLink=\"{home}/xmlrpc.php\" />\n"
                )
            })
            .concat();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><rsd version=\"1.0\" \
             xmlns=\"http://archipelago.phrasewise.com/rsd\">\n\t<service>\n\t\t<engineName>WordPress</engineName>\n\t\t\
             <engineLink>https://wordpress.org/</engineLink>\n\t\t<homePageLink>{home}</homePageLink>\n\t\t<apis>\n{apis}\
             \t\t</apis>\n\t</service>\n</rsd>\n"
        )
    }

    /// What XML-RPC answers to a call; `admitted` whether its account and password are right.
    pub(super) fn xmlrpc(&self, body: &[u8], admitted: bool) -> Answer<'static> {
        let call = String::from_utf8_lossy(body);
        let method = call
            .split_once("<methodName>")
            .and_then(|(_, rest)| rest.split_once("</methodName>"))
            .map(|(method, _)| method.trim());
        let xml = match method {
            None => rpc_fault(-32700, "parse error. not well formed"),
            Some("demo.sayHello") => rpc_value("<string>Hello!</string>"),
            Some("system.listMethods") => {
                let all: String = METHODS
                    .iter()
                    .map(|name| format!("  <value><string>{name}</string></value>\n"))
                    .collect();
                rpc_value(&format!("<array><data>\n{all}</data></array>"))
            }
            Some("system.getCapabilities") => rpc_value(
                "<struct>\n  <member><name>xmlrpc</name><value><struct>\n  \
                 <member><name>specUrl</name><value><string>http://www.xmlrpc.com/spec</string></value></member>\n  \
                 <member><name>specVersion</name><value><int>1</int></value></member>\n</struct></value></member>\n</struct>",
            ),
            Some("pingback.ping") => rpc_fault(0, ""),
            Some("wp.getUsersBlogs" | "blogger.getUsersBlogs") if admitted => {
                let (home, name) = (&self.home, self.title());
                rpc_value(&format!(
                    "<array><data>\n  <value><struct>\n  \
                     <member><name>isAdmin</name><value><boolean>1</boolean></value></member>\n  \
                     <member><name>url</name><value><string>{home}/</string></value></member>\n  \
                     <member><name>blogid</name><value><string>1</string></value></member>\n  \
                     <member><name>blogName</name><value><string>{name}</string></value></member>\n  \
                     <member><name>xmlrpc</name><value><string>{home}/xmlrpc.php</string></value></member>\n\
                     </struct></value>\n</data></array>"
                ))
            }
            Some("system.multicall") => {
                let one = format!("<value>{}</value>\n", rpc_fault_struct(403, REFUSED));
                let calls = call.matches("<name>methodName</name>").count().clamp(1, 200);
                rpc_value(&format!("<array><data>\n{}</data></array>", one.repeat(calls)))
            }
            Some(method) if METHODS.contains(&method) && !admitted => rpc_fault(403, REFUSED),
            Some(method) if METHODS.contains(&method) => {
                rpc_fault(401, "Sorry, you are not allowed to edit posts as this user.")
            }
            Some(method) => {
                let method = escaped(method.as_bytes());
                rpc_fault(
                    -32601,
                    &format!("server error. requested method {method} does not exist."),
                )
            }
        };
        Answer::made(200, XML, xml.into_bytes())
    }

    /// What the login says to `user`, whose password is not right: HTML.
    pub(super) fn refusal(&self, user: &[u8]) -> String {
        let name = escaped(user);
        let known = user == b"admin" || user == self.author().slug.as_bytes();
        let lost = format!(
            "<a href=\"{}/wp-login.php?action=lostpassword\">Lost your password?</a>",
            self.home
        );
        match (user.is_empty(), known) {
            (true, _) => "<strong>Error:</strong> The username field is empty.".to_owned(),
            (false, true) => format!(
                "<strong>Error:</strong> The password you entered for the username <strong>{name}</strong> is incorrect. \
                 {lost}"
            ),
            (false, false) => format!(
                "<strong>Error:</strong> The username <strong>{name}</strong> is not registered on this site. If you are \
                 unsure of your username, try your email address instead."
            ),
        }
    }

    /// The login, with the names and ids that WordPress's own has: tools that try passwords look for them.
    pub(super) fn login(&self, message: &str) -> String {
        let (title, home) = (self.title(), &self.home);
        let message = if message.is_empty() {
            String::new()
        } else {
            format!("<div id=\"login_error\" class=\"notice notice-error\"><p>{message}</p></div>\n")
        };
        format!(
            "<!DOCTYPE html>\n<html lang=\"en-US\">\n<head>\n<meta http-equiv=\"Content-Type\" content=\"text/html; \
             charset=UTF-8\" />\n<title>Log In &lsaquo; {title} &#8212; WordPress</title>\n<meta name='robots' \
             content='max-image-preview:large, noindex, noarchive' />\n<meta name=\"viewport\" \
             content=\"width=device-width\" />\n</head>\n<body class=\"login no-js login-action-login wp-core-ui \
             locale-en-us\">\n<div id=\"login\">\n<h1><a href=\"https://wordpress.org/\">Powered by \
             WordPress</a></h1>\n{message}<form name=\"loginform\" id=\"loginform\" action=\"{home}/wp-login.php\" \
             method=\"post\">\n<p>\n<label for=\"user_login\">Username or Email Address</label>\n<input type=\"text\" \
             name=\"log\" id=\"user_login\" class=\"input\" value=\"\" size=\"20\" autocapitalize=\"off\" \
             autocomplete=\"username\" required=\"required\" />\n</p>\n<p>\n<label \
             for=\"user_pass\">Password</label>\n<input type=\"password\" name=\"pwd\" id=\"user_pass\" class=\"input \
             password-input\" value=\"\" size=\"20\" autocomplete=\"current-password\" required=\"required\" \
             />\n</p>\n<p class=\"forgetmenot\"><input name=\"rememberme\" type=\"checkbox\" id=\"rememberme\" \
             value=\"forever\" /> <label for=\"rememberme\">Remember Me</label></p>\n<p class=\"submit\">\n<input \
             type=\"submit\" name=\"wp-submit\" id=\"wp-submit\" class=\"button button-primary button-large\" \
             value=\"Log In\" />\n<input type=\"hidden\" name=\"redirect_to\" value=\"{home}/wp-admin/\" />\n<input \
             type=\"hidden\" name=\"testcookie\" value=\"1\" />\n</p>\n</form>\n<p id=\"nav\"><a \
             href=\"{home}/wp-login.php?action=lostpassword\">Lost your password?</a></p>\n<p id=\"backtoblog\"><a \
             href=\"{home}/\">&larr; Go to {title}</a></p>\n</div>\n</body>\n</html>\n"
        )
    }

    /// What somebody sees who got in.
    pub(super) fn dashboard(&self, user: &[u8]) -> String {
        let (title, user, home) = (self.title(), escaped(user), &self.home);
        let entry = |page: &str, name: &str| {
            format!("<li class=\"menu-top\"><a href=\"{page}\" class=\"menu-top\">{name}</a></li>\n")
        };
        let menu: String = [
            ("index.php", "Dashboard"),
            ("edit.php", "Posts"),
            ("upload.php", "Media"),
            ("edit.php?post_type=page", "Pages"),
            ("themes.php", "Appearance"),
            ("plugins.php", "Plugins"),
            ("users.php", "Users"),
            ("tools.php", "Tools"),
            ("options-general.php", "Settings"),
        ]
        .map(|(page, name)| entry(page, name))
        .concat();
        format!(
            "<!DOCTYPE html>\n<html class=\"wp-toolbar\" lang=\"en-US\">\n<head>\n<meta http-equiv=\"Content-Type\" \
             content=\"text/html; charset=UTF-8\" />\n<title>Dashboard &lsaquo; {title} &#8212; \
             WordPress</title>\n</head>\n<body class=\"wp-admin wp-core-ui no-js index-php\">\n<div id=\"wpwrap\">\n<div \
             id=\"adminmenuwrap\">\n<ul id=\"adminmenu\">\n{menu}</ul>\n</div>\n<div id=\"wpadminbar\">\n<a \
             href=\"{home}/\">{title}</a> <a href=\"{home}/wp-admin/profile.php\">Howdy, <span \
             class=\"display-name\">{user}</span></a> <a href=\"{home}/wp-login.php?action=logout\">Log Out</a>\n</div>\n<div \
             class=\"wrap\">\n<h1>Dashboard</h1>\n</div>\n<p id=\"footer-upgrade\">Version {}</p>\n</div>\n</body>\n</html>\n",
            self.version
        )
    }
}

/// What WordPress says where an account or its password is not right.
const REFUSED: &str = "Incorrect username or password.";

/// The methods of XML-RPC that are asked for, of the some eighty that there are.
const METHODS: &[&str] = &[
    "system.multicall",
    "system.listMethods",
    "system.getCapabilities",
    "demo.addTwoNumbers",
    "demo.sayHello",
    "pingback.extensions.getPingbacks",
    "pingback.ping",
    "mt.publishPost",
    "mt.supportedMethods",
    "mt.getCategoryList",
    "mt.getRecentPostTitles",
    "metaWeblog.getUsersBlogs",
    "metaWeblog.deletePost",
    "metaWeblog.newMediaObject",
    "metaWeblog.getCategories",
    "metaWeblog.getRecentPosts",
    "metaWeblog.getPost",
    "metaWeblog.editPost",
    "metaWeblog.newPost",
    "blogger.deletePost",
    "blogger.editPost",
    "blogger.newPost",
    "blogger.getRecentPosts",
    "blogger.getPost",
    "blogger.getUserInfo",
    "blogger.getUsersBlogs",
    "wp.getOptions",
    "wp.setOptions",
    "wp.getComments",
    "wp.newComment",
    "wp.getMediaLibrary",
    "wp.uploadFile",
    "wp.getPages",
    "wp.getPageList",
    "wp.getTags",
    "wp.getAuthors",
    "wp.getCategories",
    "wp.getProfile",
    "wp.getUsers",
    "wp.getUser",
    "wp.getTaxonomies",
    "wp.getPosts",
    "wp.getPost",
    "wp.deletePost",
    "wp.editPost",
    "wp.newPost",
    "wp.getUsersBlogs",
];

/// `text` as WordPress writes it in JSON: with `\/`.
fn text(text: &str) -> String {
    Value::from(text).to_string().replace('/', "\\/")
}

/// The namespaces of the routes, each once.
fn namespaces() -> impl Iterator<Item = &'static str> {
    ROUTES
        .iter()
        .filter(|(route, namespace, _)| route.strip_prefix('/') == Some(*namespace))
        .map(|(_, namespace, _)| *namespace)
}

/// The maps that the first one lists.
const MAPS: &[&str] = &[
    "/wp-sitemap-posts-post-1.xml",
    "/wp-sitemap-posts-page-1.xml",
    "/wp-sitemap-taxonomies-category-1.xml",
    "/wp-sitemap-users-1.xml",
];

/// A sheet by which a browser shows a map of places that are called `of`.
fn sheet(of: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<xsl:stylesheet version=\"1.0\" \
         xmlns:xsl=\"http://www.w3.org/1999/XSL/Transform\" xmlns:sitemap=\"http://www.sitemaps.org/schemas/sitemap/0.9\" \
         exclude-result-prefixes=\"sitemap\">\n<xsl:output method=\"html\" encoding=\"UTF-8\" indent=\"yes\"/>\n<xsl:template \
         match=\"/\">\n<html lang=\"en-US\">\n<head><title>XML Sitemap</title></head>\n<body>\n<h1>XML \
         Sitemap</h1>\n<table>\n<xsl:for-each select=\"//sitemap:{of}\">\n<tr><td><a \
         href=\"{{sitemap:loc}}\"><xsl:value-of select=\"sitemap:loc\"/></a></td></tr>\n</xsl:for-each>\n\
         </table>\n</body>\n</html>\n</xsl:template>\n</xsl:stylesheet>\n"
    )
}

/// A page of a list. Past the last page a list of posts is refused, and others are empty (`class-wp-rest-posts-controller.php`,
/// `class-wp-rest-users-controller.php`).
fn rest_list(items: &[String], is_of_posts: bool, asked: Asked<'_>) -> Told {
    let number = |name: &str, otherwise: usize| match asked(name) {
        None => Ok(otherwise),
        Some(given) => rest_number(name, &given),
    };
    let (page, size) = match (number("page", 1), number("per_page", 10)) {
        (Ok(page), Ok(size)) => (page, size),
        (Err(refused), _) | (_, Err(refused)) => return (400, refused, None),
    };
    let pages = items.len().div_ceil(size);
    if is_of_posts && page > pages && !items.is_empty() {
        return rest_refused(
            "rest_post_invalid_page_number",
            "The page number requested is larger than the number of pages available.",
            400,
        );
    }
    let before = page.saturating_sub(1).saturating_mul(size);
    let some: Vec<&str> = items.iter().skip(before).take(size).map(String::as_str).collect();
    (200, format!("[{}]", some.join(",")), Some((items.len(), pages)))
}

/// The number that a parameter of a list says: at least 1, of `per_page` at most 100; or the refusal.
fn rest_number(name: &str, given: &str) -> Result<usize, String> {
    let most = if name == "per_page" { 100 } else { i64::MAX };
    let (code, why) = match given.parse::<i64>() {
        Ok(n) if (1..=most).contains(&n) => return Ok(usize::try_from(n).unwrap_or(usize::MAX)),
        Ok(_) if name == "per_page" => (
            "rest_out_of_bounds",
            "per_page must be between 1 (inclusive) and 100 (inclusive)".to_owned(),
        ),
        Ok(_) => (
            "rest_out_of_bounds",
            format!("{name} must be greater than or equal to 1"),
        ),
        Err(_) => ("rest_invalid_type", format!("{name} is not of type integer.")),
    };
    let (name, why) = (text(name), text(&why));
    Err(format!(
        "{{\"code\":\"rest_invalid_param\",\"message\":{},\"data\":{{\"status\":400,\"params\":{{{name}:{why}}},\"details\":\
         {{{name}:{{\"code\":\"{code}\",\"message\":{why},\"data\":null}}}}}}}}",
        text(&format!("Invalid parameter(s): {}", name.trim_matches('"')))
    ))
}

/// What nobody may write who is not signed in, which here is everybody.
fn rest_written(route: &str) -> Told {
    let (code, why) = match route {
        "/wp/v2/posts" | "/wp/v2/pages" | "/wp/v2/media" | "/wp/v2/comments" => (
            "rest_cannot_create",
            "Sorry, you are not allowed to create posts as this user.",
        ),
        "/wp/v2/categories" | "/wp/v2/tags" => (
            "rest_cannot_create",
            "Sorry, you are not allowed to create terms in this taxonomy.",
        ),
        "/wp/v2/users" => (
            "rest_cannot_create_user",
            "Sorry, you are not allowed to create new users.",
        ),
        _ => return rest_closed(route),
    };
    rest_refused(code, why, 401)
}

/// What is open to nobody who is not signed in, and what is not there.
fn rest_closed(route: &str) -> Told {
    let user = route.strip_prefix("/wp/v2/users/");
    match route {
        _ if user.is_some_and(|id| id.parse::<u64>().is_ok()) => {
            rest_refused("rest_user_invalid_id", "Invalid user ID.", 404)
        }
        "/wp/v2/users/me" => rest_refused("rest_not_logged_in", "You are not currently logged in.", 401),
        "/wp/v2/settings"
        | "/wp/v2/plugins"
        | "/wp/v2/themes"
        | "/wp-site-health/v1/tests/background-updates" => {
            rest_refused("rest_forbidden", "Sorry, you are not allowed to do that.", 401)
        }
        "/wp-block-editor/v1/url-details" => rest_refused(
            "rest_cannot_view_url_details",
            "Sorry, you are not allowed to process remote URLs.",
            401,
        ),
        _ => rest_refused(
            "rest_no_route",
            "No route was found matching the URL and request method.",
            404,
        ),
    }
}

fn rest_refused(code: &str, message: &str, status: u16) -> Told {
    (status, rest_fault(code, message, status), None)
}

fn rest_fault(code: &str, message: &str, status: u16) -> String {
    format!(
        "{{\"code\":{},\"message\":{},\"data\":{{\"status\":{status}}}}}",
        text(code),
        text(message)
    )
}

/// `2025-03-01T09:30:00`.
fn http_day(at: OffsetDateTime) -> String {
    format!(
        "{}T{:02}:{:02}:{:02}",
        at.date(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

fn rpc_value(value: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<methodResponse>\n  <params>\n    <param>\n      <value>\n      \
         {value}\n      </value>\n    </param>\n  </params>\n</methodResponse>\n"
    )
}

fn rpc_fault_struct(code: i32, message: &str) -> String {
    format!(
        "<struct>\n        <member>\n          <name>faultCode</name>\n          <value><int>{code}</int></value>\n        \
         </member>\n        <member>\n          <name>faultString</name>\n          \
         <value><string>{message}</string></value>\n        </member>\n      </struct>"
    )
}

fn rpc_fault(code: i32, message: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<methodResponse>\n  <fault>\n    <value>\n      {}\n    </value>\n  \
         </fault>\n</methodResponse>\n",
        rpc_fault_struct(code, message)
    )
}
