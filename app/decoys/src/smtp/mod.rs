//! SMTP as the persona's mail server speaks it: mail for its own domain is taken and kept, other mail is refused.
//!
//! `words.rs` holds each product's wording, `line.rs` takes commands apart, `session.rs` is the conversation. The wording of
//! Postfix is that of 3.7.11's `smtpd`, Exim's that of 4.96 (`src/smtp_in.c`).
//!
//! Deliberately absent: delivery. Nothing that is taken ever leaves the artifact folder.

pub mod line;
#[cfg(feature = "serve")]
mod session;
#[cfg(feature = "serve")]
mod words;

use decnet_persona::{Persona, Product, ProductKind};

use crate::{
    Category, Meta, Port, Service,
    knob::{Accept, Misfit, knobs, said},
};

/// The service.
pub struct Smtp {
    #[cfg(feature = "serve")]
    server: session::Server,
}

knobs! {
    /// Knobs of smtp.
    pub struct SmtpConfig {
        /// Whether visitors may sign in.
        pub auth: bool = true,
        /// Who gets in. Who did may send mail to anywhere: it is taken and kept.
        pub accept: Accept = Accept::Listed,
        /// Whether STARTTLS is offered.
        pub starttls: bool = true,
        /// The longest mail, in bytes: `message_size_limit`.
        pub size: u32 = 10_240_000,
        /// Greeting, where the product's own is not wanted: the text after `220` and the server's name. It may not contradict the
        /// persona.
        pub banner: Option<String> = None,
    }
}

impl Service for Smtp {
    const META: Meta = Meta {
        slug: "smtp",
        label: "SMTP",
        category: Category::Mail,
        listen: &[Port::Tcp(25)],
        summary: "A mail server that takes its own domain's mail; credentials and mail are captured",
    };
    type Config = SmtpConfig;

    fn program(config: &SmtpConfig, persona: &Persona) -> Result<Product, Misfit> {
        let own = persona.product(ProductKind::Mail);
        said::<Self>(persona, own, "banner", config.banner.as_deref())
    }
}
