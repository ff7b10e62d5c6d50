//! The list of services: one line each, in the order in which they are shown.

use std::collections::BTreeMap;
#[cfg(feature = "serve")]
use std::sync::Arc;

use decnet_persona::Persona;
use serde_json::Value;

#[cfg(feature = "serve")]
use crate::serve::{AnyDecoy, BuildError, Decoy, Host, tarpit::slowed};
use crate::{
    Meta, Service,
    knob::{self, KnobFault, Misfit},
};

/// Everything that has to know all services is generated from the one list.
macro_rules! catalogue {
    ($($module:ident :: $service:ident),* $(,)?) => {
        /// Every service that there is.
        pub const ALL: &[Meta] = &[$(<crate::$module::$service as Service>::META),*];

        /// Their names. What only says those holds nothing of what [`ALL`] says of each: a program in a decky must not.
        const SLUGS: &[&str] = &[$(<crate::$module::$service as Service>::META.slug),*];

        /// The modules that the services stand in, in the order of [`ALL`].
        #[cfg(test)]
        const MODULES: &[&str] = &[$(stringify!($module)),*];

        /// Whether service `slug` takes `value` for its knob `name`, as far as that can be said without a persona.
        ///
        /// # Errors
        /// Where there is no such service, an unknown knob, or a value of the wrong kind.
        pub fn check_knob(slug: &str, name: &str, value: &Value) -> Result<(), KnobFault> {
            $(if slug == <crate::$module::$service as Service>::META.slug {
                return knob::check::<crate::$module::$service>(name, value);
            })*
            Err(no_such_service(slug))
        }

        /// Whether service `slug` with these `knobs` can be had on the machine `persona`. What is wrong with a knob by itself is
        /// [`check_knob`]'s to tell.
        ///
        /// # Errors
        /// The knob that contradicts the persona.
        pub fn check_fit(
            slug: &str,
            knobs: &BTreeMap<String, Value>,
            persona: &Persona,
        ) -> Result<(), Misfit> {
            $(if slug == <crate::$module::$service as Service>::META.slug {
                let config = knob::parse_readable::<crate::$module::$service>(knobs);
                return <crate::$module::$service as Service>::program(&config, persona).map(drop);
            })*
            Ok(())
        }

        /// Whether service `slug` with these `knobs` connects to its visitors. Nothing else in the catalogue connects anywhere.
        #[must_use]
        pub fn calls_back(slug: &str, knobs: &BTreeMap<String, Value>) -> bool {
            $(if slug == <crate::$module::$service as Service>::META.slug {
                let config = knob::parse_readable::<crate::$module::$service>(knobs);
                return <crate::$module::$service as Service>::calls_back(&config);
            })*
            false
        }

        /// What is known of the knobs of service `slug`; nothing where there is no such service.
        #[must_use]
        pub fn knobs(slug: &str) -> &'static [knob::About] {
            $(if slug == <crate::$module::$service as Service>::META.slug {
                return <<crate::$module::$service as Service>::Config as knob::Knobs>::KNOBS;
            })*
            &[]
        }

        /// The knobs of service `slug` with their defaults, or `None` where there is no such service.
        #[must_use]
        pub fn default_knobs(slug: &str) -> Option<Value> {
            $(if slug == <crate::$module::$service as Service>::META.slug {
                return serde_json::to_value(<crate::$module::$service as Service>::Config::default()).ok();
            })*
            None
        }

        /// Make service `slug` ready to answer visitors.
        ///
        /// # Errors
        /// Where there is no such service, or its knobs are at fault or contradict the persona.
        #[cfg(feature = "serve")]
        pub fn build(
            slug: &str,
            knobs: &BTreeMap<String, Value>,
            host: &Arc<Host>,
        ) -> Result<Arc<dyn AnyDecoy>, BuildError> {
            $(if slug == <crate::$module::$service as Service>::META.slug {
                let config = knob::parse::<crate::$module::$service>(knobs)?;
                let tarpit = knob::Knobs::tarpit(&config).delay();
                let decoy = <crate::$module::$service as Decoy>::build(config, host)?;
                return Ok(slowed(Arc::new(decoy), tarpit));
            })*
            Err(no_such_service(slug).into())
        }
    };
}

catalogue! {
    redis::Redis,
    ftp::Ftp,
    ssh::Ssh,
    http::Http,
    smtp::Smtp,
    mysql::Mysql,
}

/// The metadata of service `slug`.
#[must_use]
pub fn find(slug: &str) -> Option<&'static Meta> {
    ALL.iter().find(|meta| meta.slug == slug)
}

fn no_such_service(slug: &str) -> KnobFault {
    KnobFault {
        service: slug.chars().take(40).collect(),
        problem: format!("no such service; there are: {}", SLUGS.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use decnet_persona::{Distro, PersonaSpec, Seed};

    use super::*;

    #[test]
    fn a_service_stands_in_the_file_that_its_slug_names() {
        for (meta, module) in ALL.iter().zip(MODULES) {
            assert_eq!(meta.slug, *module);
            assert_eq!(meta.slug().as_str(), meta.slug);
        }
    }

    #[test]
    fn no_slug_stands_twice() {
        let slugs: std::collections::BTreeSet<_> = ALL.iter().map(|meta| meta.slug).collect();
        assert_eq!(slugs.len(), ALL.len());
    }

    #[test]
    fn knobs_round_trip_and_unknown_ones_are_refused() {
        for meta in ALL {
            let Some(Value::Object(defaults)) = default_knobs(meta.slug) else {
                panic!("the knobs of {} are not an object", meta.slug);
            };
            let told: Vec<_> = knobs(meta.slug).iter().map(|knob| knob.name).collect();
            assert_eq!(defaults.len(), told.len(), "{}", meta.slug);
            for (name, value) in &defaults {
                assert!(told.contains(&name.as_str()), "{name} of {}", meta.slug);
                assert_eq!(
                    check_knob(meta.slug, name, value),
                    Ok(()),
                    "{name} of {}",
                    meta.slug
                );
            }
            let fault = check_knob(meta.slug, "no_such_knob", &Value::Null).unwrap_err();
            assert!(fault.problem.contains("no_such_knob"), "{fault}");
        }
    }

    #[test]
    fn only_ftp_connects_to_its_visitors_and_only_where_its_operator_allows_it() {
        let callers = |knobs: &BTreeMap<String, Value>| -> Vec<_> {
            let slugs = ALL.iter().map(|meta| meta.slug);
            slugs.filter(|slug| calls_back(slug, knobs)).collect()
        };
        assert!(callers(&BTreeMap::new()).is_empty());
        assert_eq!(
            callers(&BTreeMap::from([("active".to_owned(), true.into())])),
            ["ftp"]
        );
        assert!(!calls_back("intranet", &BTreeMap::new()));
    }

    #[test]
    fn a_knob_takes_the_words_that_are_told_of_it() {
        for meta in ALL {
            for knob in knobs(meta.slug) {
                for word in knob.words {
                    let value = Value::String((*word).to_owned());
                    assert_eq!(
                        check_knob(meta.slug, knob.name, &value),
                        Ok(()),
                        "{word} for {}",
                        knob.name
                    );
                }
                assert!(
                    knob.summary.trim().ends_with('.'),
                    "{} of {}",
                    knob.name,
                    meta.slug
                );
            }
        }
    }

    #[test]
    fn a_value_of_another_kind_is_refused_with_what_is_allowed() {
        let refused = |slug, name, value: Value| check_knob(slug, name, &value).unwrap_err().problem;
        assert_eq!(
            refused("ssh", "refusal_ms", "soon".into()),
            "\"soon\": a whole number from 0 to 4294967295"
        );
        assert_eq!(
            refused("mysql", "tarpit_ms", 20_000.into()),
            "20000: a whole number from 0 to 10000"
        );
        assert_eq!(refused("ftp", "tls", "maybe".into()), "\"maybe\": true or false");
        assert!(refused("http", "site", "shop".into()).contains("wordpress"));
        assert!(refused("ssh", "accept", "after_0".into()).contains("after_1 to after_100"));
    }

    #[test]
    fn what_no_machine_can_have_is_told_of_each_service_with_what_the_machine_has() {
        let persona = PersonaSpec {
            distro: Some(Distro::Debian12),
            ..PersonaSpec::new(Seed::from_bytes([3; 16]), "linux-server")
        };
        let persona = Persona::derive(&persona).unwrap();
        for meta in ALL {
            let default = BTreeMap::new();
            assert_eq!(check_fit(meta.slug, &default, &persona), Ok(()));
            let of_itself = if meta.slug == "ssh" || default_knobs(meta.slug).unwrap().get("banner").is_none()
            {
                "version"
            } else {
                "banner"
            };
            // What is wrong with another knob hides nothing.
            let knobs = BTreeMap::from([
                (of_itself.to_owned(), Value::from("two\nlines")),
                ("accept".to_owned(), Value::from("after_0")),
                ("no_such_knob".to_owned(), Value::Null),
            ]);
            let misfit = check_fit(meta.slug, &knobs, &persona).unwrap_err();
            assert_eq!((misfit.service, misfit.knob), (meta.slug, of_itself));
            // What would do does.
            let (_, way_out) = misfit.problem.split_once(" out for \"").unwrap();
            let (would_do, _) = way_out.split_once('"').unwrap();
            let knobs = BTreeMap::from([(of_itself.to_owned(), Value::from(would_do))]);
            assert_eq!(check_fit(meta.slug, &knobs, &persona), Ok(()), "{would_do}");
        }
    }

    #[test]
    fn an_unknown_service_is_named_with_the_known_ones() {
        let fault = check_knob("gopher", "site", &Value::Null).unwrap_err();
        assert!(
            fault.to_string().contains("gopher") && fault.problem.contains("redis"),
            "{fault}"
        );
    }
}
