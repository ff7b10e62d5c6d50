//! HTTP/1.1 as the web server of the persona's distribution speaks it.
//!
//! `request.rs` reads requests with the strictness of each product, `dialect.rs` writes answers with its headers, order
//! and error pages, `coding.rs` compresses them, `site.rs` holds the files, `look.rs` how pages look, `wordpress.rs` and `tomcat.rs` are
//! the programs behind the server, `credentials.rs` and `exploit.rs` recognise what visitors leave.
//! `tests/http.rs` sends the same transcript to a real nginx and a real Apache and compares.
//!
//! Deliberately absent: HTTP/2, multipart ranges, and anything that runs what a visitor sends.

#[cfg(feature = "serve")]
mod coding;
#[cfg(feature = "serve")]
mod credentials;
#[cfg(feature = "serve")]
mod dialect;
#[cfg(feature = "serve")]
mod exploit;
#[cfg(feature = "serve")]
mod look;
#[cfg(feature = "serve")]
pub mod request;
#[cfg(feature = "serve")]
mod session;
#[cfg(feature = "serve")]
mod site;
#[cfg(feature = "serve")]
mod tomcat;
#[cfg(feature = "serve")]
mod wordpress;

use decnet_model::fleet::KnobKind;
use decnet_persona::{Persona, Product, ProductKind};
use serde::{Deserialize, Serialize};

use crate::{
    Category, Meta, Port, Service,
    knob::{Accept, Knob, Misfit, knobs, said},
};

/// The service.
pub struct Http {
    #[cfg(feature = "serve")]
    server: session::Server,
}

/// Which site a visitor finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SiteKind {
    /// What fits the archetype: a company's site on a web server, a device's login on a device, else the default page.
    #[default]
    Auto,
    /// The page that the distribution's package brings.
    Default,
    /// A small company site with a login for its editors.
    Company,
    /// A login and nothing else.
    Login,
    /// A blog with its login, administration and XML-RPC.
    Wordpress,
    /// A servlet container with its manager.
    Tomcat,
    /// The login of a router, printer, camera or controller.
    Router,
}

impl Knob for SiteKind {
    const KIND: KnobKind = KnobKind::Choice;
    const WORDS: &'static [&'static str] = &[
        "auto",
        "default",
        "company",
        "login",
        "wordpress",
        "tomcat",
        "router",
    ];
}

knobs! {
    /// Knobs of http.
    pub struct HttpConfig {
        /// Which site a visitor finds.
        pub site: SiteKind = SiteKind::Auto,
        /// Who gets in at a login.
        pub accept: Accept = Accept::Listed,
        /// `Server` header, where the product's own is not wanted: of the same program, and of the series of versions and the system
        /// of the persona where it names them.
        pub banner: Option<String> = None,
    }
}

impl Service for Http {
    const META: Meta = Meta {
        slug: "http",
        label: "HTTP",
        category: Category::Web,
        listen: &[Port::Tcp(80)],
        summary: "A web server with a site or a login; credentials, uploads and exploits are captured",
    };
    type Config = HttpConfig;

    fn program(config: &HttpConfig, persona: &Persona) -> Result<Product, Misfit> {
        let own = persona.product(ProductKind::Web);
        said::<Self>(persona, own, "banner", config.banner.as_deref())
    }
}
