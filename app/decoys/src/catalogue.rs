//! The list of services: one line each, in the order in which they are shown.

use std::collections::BTreeMap;
#[cfg(feature = "serve")]
use std::sync::Arc;

use serde_json::Value;

#[cfg(feature = "serve")]
use crate::serve::{AnyDecoy, BuildError, Decoy, Host};
use crate::{
    Meta, Service,
    knob::{self, KnobFault},
};

/// Everything that has to know all services is generated from the one list.
macro_rules! catalogue {
    ($($module:ident :: $service:ident),* $(,)?) => {
        /// Every service that there is.
        pub const ALL: &[Meta] = &[$(<crate::$module::$service as Service>::META),*];

        /// The modules that the services stand in, in the order of [`ALL`].
        #[cfg(test)]
        const MODULES: &[&str] = &[$(stringify!($module)),*];

        /// Whether service `slug` takes `knobs`, as far as that can be said without a persona.
        ///
        /// # Errors
        /// Where there is no such service, an unknown knob, or a value of the wrong kind.
        pub fn check_knobs(slug: &str, knobs: &BTreeMap<String, Value>) -> Result<(), KnobFault> {
            $(if slug == <crate::$module::$service as Service>::META.slug {
                return knob::parse::<crate::$module::$service>(knobs).map(drop);
            })*
            Err(no_such_service(slug))
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
                return Ok(Arc::new(<crate::$module::$service as Decoy>::build(config, host)?));
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
    let known: Vec<&str> = ALL.iter().map(|meta| meta.slug).collect();
    KnobFault {
        service: slug.chars().take(40).collect(),
        problem: format!("no such service; there are: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
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
            let mut knobs: BTreeMap<String, Value> = defaults.into_iter().collect();
            assert_eq!(check_knobs(meta.slug, &knobs), Ok(()), "{}", meta.slug);
            knobs.insert("no_such_knob".into(), Value::Null);
            let fault = check_knobs(meta.slug, &knobs).unwrap_err();
            assert!(fault.problem.contains("no_such_knob"), "{fault}");
        }
    }

    #[test]
    fn an_unknown_service_is_named_with_the_known_ones() {
        let fault = check_knobs("gopher", &BTreeMap::new()).unwrap_err();
        assert!(
            fault.to_string().contains("gopher") && fault.problem.contains("redis"),
            "{fault}"
        );
    }
}
