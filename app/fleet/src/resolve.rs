//! From what was asked for to deckies with names, addresses and personas; or every fault at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    path::Path,
};

use decnet_decoys::{Port, knob::Misfit};
use decnet_model::{
    fleet::{DeckySpec, Egress, FleetSpec, OwnImage, ServiceSpec},
    name::{DeckyName, ServiceSlug},
};
use decnet_persona::{
    Distro, Mac, OsFamily, Overrides, Persona, PersonaError, PersonaSpec, Seed,
    archetype::{self, Archetype, MAX_SERVICES},
    bait::{self, Bait},
};
use ipnet::IpNet;
use time::OffsetDateTime;

use crate::{DesiredDecky, mutation, own_image};

/// What is wrong with a specification, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecFault {
    /// The field, such as `deckies[1].services[0].knobs.banner`.
    pub field: String,
    /// The line of an INI text, from 1.
    pub line: Option<usize>,
    /// What is wrong, with what is allowed.
    pub problem: String,
}

impl SpecFault {
    pub(crate) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            line: None,
            problem: problem.into(),
        }
    }
}

impl fmt::Display for SpecFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.problem),
            None => write!(f, "{}: {}", self.field, self.problem),
        }
    }
}

impl std::error::Error for SpecFault {}

/// The bounds of a fleet.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most deckies, those that are there included.
    pub deckies: u32,
    /// Where addresses are taken from.
    pub network: IpNet,
    /// Addresses of it that somebody else has.
    pub reserved: BTreeSet<IpAddr>,
    /// The hardware addresses of other machines on that network, and where each is.
    pub macs: BTreeMap<Mac, IpAddr>,
    /// Addresses of deckies that are being taken down, which have them until they are gone.
    pub leaving: BTreeMap<IpAddr, DeckyName>,
    /// Whether the engine runs an operator's own images.
    pub own_images: bool,
    /// Whether the engine decides what a decky may begin by itself. One that does not lets none begin anything.
    pub contains: bool,
}

impl Default for Limits {
    /// 200 deckies in 127.66.0.0/16: a network of the loopback interface that nobody else is likely to use, by an engine
    /// that runs nobody's images and contains nobody.
    fn default() -> Self {
        Self {
            deckies: 200,
            network: IpNet::V4(ipnet::Ipv4Net::new_assert([127, 66, 0, 0].into(), 16)),
            reserved: BTreeSet::new(),
            macs: BTreeMap::new(),
            leaving: BTreeMap::new(),
            own_images: false,
            contains: false,
        }
    }
}

/// How many addresses there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// That deckies have.
    pub taken: u64,
    /// That somebody else has.
    pub reserved: u64,
    /// For new deckies.
    pub free: u64,
}

impl Limits {
    /// The first address for a decky that nobody has, where deckies have those that are `taken`.
    #[must_use]
    pub fn free(&self, taken: &BTreeSet<IpAddr>) -> Option<IpAddr> {
        let has =
            |ip: &IpAddr| taken.contains(ip) || self.reserved.contains(ip) || self.leaving.contains_key(ip);
        hosts(self).find(|ip| !has(ip))
    }

    /// How many addresses for deckies the network has, where deckies have those that are `taken`.
    #[must_use]
    pub fn room(&self, taken: &BTreeSet<IpAddr>) -> Room {
        let number = |ip| match ip {
            IpAddr::V4(ip) => u128::from(u32::from(ip)),
            IpAddr::V6(ip) => u128::from(ip),
        };
        let mut all = self.network.hosts();
        let all = match (all.next(), all.next_back()) {
            (Some(gateway), Some(last)) => u64::try_from(number(last) - number(gateway)).unwrap_or(u64::MAX),
            _ => 0,
        };
        let has = |ip: &&IpAddr| is_host(self, **ip);
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let reserved = count(self.reserved.difference(taken).filter(has).count());
        let taken = count(taken.iter().filter(has).count());
        Room {
            taken,
            reserved,
            free: all.saturating_sub(taken + reserved),
        }
    }
}

/// The services that there are, as far as planning needs to know them.
pub trait Catalogue: Sync {
    /// Every service.
    fn slugs(&self) -> Vec<ServiceSlug>;
    /// The ports of a service; `None` where there is no such service.
    fn ports(&self, slug: &ServiceSlug) -> Option<Vec<Port>>;
    /// The knobs of a service with their defaults, where it has any.
    fn default_knobs(&self, slug: &ServiceSlug) -> BTreeMap<String, serde_json::Value>;
    /// Whether a service takes `value` for its knob `name`.
    ///
    /// # Errors
    /// What is wrong with it.
    fn check_knob(&self, slug: &ServiceSlug, name: &str, value: &serde_json::Value) -> Result<(), String>;
    /// Whether a service with these `knobs` can be had on the machine `persona`; it can where no knob says who answers.
    ///
    /// # Errors
    /// The knob that contradicts the persona.
    fn check_fit(
        &self,
        _slug: &ServiceSlug,
        _knobs: &BTreeMap<String, serde_json::Value>,
        _persona: &Persona,
    ) -> Result<(), Misfit> {
        Ok(())
    }
}

/// The catalogue of `decnet-decoys`.
#[derive(Debug, Clone, Copy, Default)]
pub struct BuiltIn;

impl Catalogue for BuiltIn {
    fn slugs(&self) -> Vec<ServiceSlug> {
        decnet_decoys::catalogue::ALL
            .iter()
            .map(decnet_decoys::Meta::slug)
            .collect()
    }

    fn ports(&self, slug: &ServiceSlug) -> Option<Vec<Port>> {
        decnet_decoys::catalogue::find(slug.as_str()).map(|meta| meta.listen.to_vec())
    }

    fn default_knobs(&self, slug: &ServiceSlug) -> BTreeMap<String, serde_json::Value> {
        match decnet_decoys::catalogue::default_knobs(slug.as_str()) {
            Some(serde_json::Value::Object(knobs)) => knobs.into_iter().collect(),
            _ => BTreeMap::new(),
        }
    }

    fn check_knob(&self, slug: &ServiceSlug, name: &str, value: &serde_json::Value) -> Result<(), String> {
        decnet_decoys::catalogue::check_knob(slug.as_str(), name, value).map_err(|fault| fault.problem)
    }

    fn check_fit(
        &self,
        slug: &ServiceSlug,
        knobs: &BTreeMap<String, serde_json::Value>,
        persona: &Persona,
    ) -> Result<(), Misfit> {
        decnet_decoys::catalogue::check_fit(slug.as_str(), knobs, persona)
    }
}

/// The services of `archetype` that there are, in its order of preference.
pub(crate) fn available(archetype: &Archetype, catalogue: &dyn Catalogue) -> Vec<ServiceSlug> {
    let there: BTreeSet<ServiceSlug> = catalogue.slugs().into_iter().collect();
    archetype
        .services
        .iter()
        .filter_map(|s| s.parse().ok())
        .filter(|s| there.contains(s))
        .collect()
}

/// The services of `archetype` that a decky has where nothing is said.
#[must_use]
pub fn usual(archetype: &Archetype, catalogue: &dyn Catalogue) -> Vec<ServiceSlug> {
    let mut services = available(archetype, catalogue);
    services.truncate(archetype.usual);
    services
}

/// The most deckies of one specification.
const MAX_AMOUNT: u32 = 1000;

/// What a decky's specification says, read. Where it has a fault, the nearest thing stands in for what could not be
/// read, so that all other faults are found too.
struct Read<'a> {
    /// The field of the decky.
    at: String,
    archetype: &'static Archetype,
    services: Vec<ServiceSlug>,
    distro: Option<Distro>,
    os: Option<OsFamily>,
    mac: Option<Mac>,
    seed: Option<Seed>,
    egress: Option<Egress>,
    hostname: Option<&'a str>,
    amount: u32,
    /// Whether everything could be read that decides which machine it is.
    is_known: bool,
    spec: &'a DeckySpec,
}

/// What is wrong with `spec` in itself, whatever else is deployed.
#[must_use]
pub fn check(spec: &FleetSpec, catalogue: &dyn Catalogue) -> Vec<SpecFault> {
    let mut faults = Vec::new();
    let reads = read_all(spec, catalogue, &mut faults);
    let mut redraws = ALL_REDRAWS;
    for read in reads.iter().filter(|read| read.is_known) {
        let name = read.spec.name.as_ref();
        let name = name.map_or(read.archetype.slug, DeckyName::as_str);
        let seed = seed_of(read, 1).or_else(|| fitting_seed(read, 1, catalogue, &mut redraws));
        // What makes it no machine at all is told by its fields.
        if let Some(persona) = persona_of(read, seed.unwrap_or_else(draw_seed)) {
            faults.extend(unfit(read, name, &read.spec.services, &persona, catalogue));
        }
    }
    faults
}

/// Each decky's specification.
fn read_all<'a>(
    spec: &'a FleetSpec,
    catalogue: &dyn Catalogue,
    faults: &mut Vec<SpecFault>,
) -> Vec<Read<'a>> {
    if spec.deckies.is_empty() && !spec.replace {
        faults.push(SpecFault::new("deckies", "there is none; name at least one"));
    }
    let deckies = spec.deckies.iter().enumerate();
    deckies
        .map(|(i, decky)| read(decky, format!("deckies[{i}]"), catalogue, faults))
        .collect()
}

fn read<'a>(
    spec: &'a DeckySpec,
    at: String,
    catalogue: &dyn Catalogue,
    faults: &mut Vec<SpecFault>,
) -> Read<'a> {
    let amount = spec.amount.unwrap_or(1);
    if !(1..=MAX_AMOUNT).contains(&amount) {
        faults.push(SpecFault::new(
            format!("{at}.amount"),
            format!("{amount}: allowed are 1 to {MAX_AMOUNT}"),
        ));
    }
    if amount > 1 {
        for (field, given) in [
            ("ip", spec.ip.is_some()),
            ("mac", spec.mac.is_some()),
            ("hostname", spec.hostname.is_some()),
        ] {
            if given {
                let problem = format!("{amount} deckies cannot share one; leave it out or ask for one decky");
                faults.push(SpecFault::new(format!("{at}.{field}"), problem));
            }
        }
    }
    if let Some(minutes) = spec.mutate_interval_minutes
        && minutes > 525_600
    {
        let problem = format!("{minutes}: allowed are 1 to 525600 minutes, and 0 for never");
        faults.push(SpecFault::new(format!("{at}.mutate_interval_minutes"), problem));
    }
    let mut parsed = |field: &str, problem: Option<String>| {
        if let Some(problem) = problem {
            faults.push(SpecFault::new(format!("{at}.{field}"), problem));
        }
    };
    macro_rules! parse {
        ($field:ident: $type:ty) => {{
            let result = spec.$field.as_deref().map(str::parse::<$type>).transpose();
            parsed(stringify!($field), result.as_ref().err().map(ToString::to_string));
            result.ok().flatten()
        }};
    }
    for problem in spec.bait.as_deref().map(bait_faults).unwrap_or_default() {
        parsed("bait", Some(problem));
    }
    let distro = parse!(distro: Distro);
    let os = parse!(os: OsFamily);
    let mac = parse!(mac: Mac);
    let seed = parse!(seed: Seed);
    let egress = parse!(egress: Egress);
    let slugs: Vec<ServiceSlug> = spec.services.iter().map(|s| s.slug.clone()).collect();
    let archetype = match &spec.archetype {
        Some(slug) => match archetype::find(slug) {
            Ok(archetype) => Some(archetype),
            Err(error) => {
                faults.push(SpecFault::new(format!("{at}.archetype"), error.to_string()));
                None
            }
        },
        None if slugs.is_empty() => {
            let problem = "neither an archetype nor services: name one of them";
            faults.push(SpecFault::new(format!("{at}.archetype"), problem));
            None
        }
        None => Some(archetype::fitting(&slugs)),
    };
    if let (Some(archetype), Some(distro)) = (archetype, distro)
        && !archetype.suits(distro)
    {
        let fitting: Vec<&str> = archetype.distros.iter().map(|d| d.as_str()).collect();
        let problem = format!(
            "{distro} does not fit a {}; these do: {}",
            archetype.slug,
            fitting.join(", ")
        );
        faults.push(SpecFault::new(format!("{at}.distro"), problem));
    }
    if let (Some(archetype), Some(os)) = (archetype, os)
        && let Some(problem) = os_fault(archetype, distro, os)
    {
        faults.push(SpecFault::new(format!("{at}.os"), problem));
    }
    if spec.randomize_services && !spec.services.is_empty() {
        let named: Vec<&str> = slugs.iter().map(ServiceSlug::as_str).collect();
        let problem = format!(
            "the services are named ({}), so there are none to choose: leave one of both out",
            named.join(", ")
        );
        faults.push(SpecFault::new(format!("{at}.randomize_services"), problem));
    }
    check_services(spec, archetype, &at, catalogue, faults);
    if let Some(archetype) = archetype
        && slugs.is_empty()
        && available(archetype, catalogue).is_empty()
    {
        let problem = format!("none of the services of a {} can be run yet", archetype.slug);
        faults.push(SpecFault::new(format!("{at}.archetype"), problem));
    }
    let is_known = archetype.is_some_and(|archetype| distro.is_none_or(|distro| archetype.suits(distro)))
        && (spec.distro.is_some(), spec.os.is_some(), spec.seed.is_some())
            == (distro.is_some(), os.is_some(), seed.is_some());
    let mut read = Read {
        archetype: archetype.unwrap_or_else(|| archetype::fitting(&slugs)),
        at,
        services: slugs,
        distro,
        os,
        mac,
        seed,
        egress,
        hostname: spec.hostname.as_deref(),
        amount: amount.min(MAX_AMOUNT),
        is_known,
        spec,
    };
    if let Some(error) = hostname_fault(&read) {
        faults.push(SpecFault::new(format!("{}.hostname", read.at), error.to_string()));
        read.hostname = None;
    }
    read
}

/// Why an `archetype` with `distro`, where one is given, cannot have the network stack of `os`.
fn os_fault(archetype: &Archetype, distro: Option<Distro>, os: OsFamily) -> Option<String> {
    if let Some(distro) = distro {
        return (!archetype.agree(distro, os)).then(|| {
            format!(
                "{distro} is {} and no {os}: a machine that answers as one and behaves as the other is not believed; leave one of \
                 both out",
                distro.family()
            )
        });
    }
    if archetype.can_be(os) {
        return None;
    }
    let can: Vec<&str> = OsFamily::ALL
        .iter()
        .filter(|os| archetype.can_be(**os))
        .map(|os| os.as_str())
        .collect();
    let kinds: Vec<&str> = archetype::of_family(os).map(|kind| kind.slug).collect();
    let kinds = if kinds.is_empty() {
        format!("nothing answers like {os} yet")
    } else {
        format!("these can: {}", kinds.join(", "))
    };
    Some(format!(
        "{} can be {} and not {os}; {kinds}",
        archetype.slug,
        can.join(" or ")
    ))
}

/// What `read` says of its machine, made from `seed`.
fn persona_spec(read: &Read<'_>, seed: Seed) -> PersonaSpec {
    PersonaSpec {
        distro: read.distro,
        os: read.os,
        hostname: read.hostname.map(str::to_owned),
        mac: read.mac,
        ..PersonaSpec::new(seed, read.archetype.slug)
    }
}

/// The machine that `read` and `seed` make, where they make one.
fn persona_of(read: &Read<'_>, seed: Seed) -> Option<Persona> {
    Persona::derive(&persona_spec(read, seed)).ok()
}

/// What is wrong with the host name that is given: what is allowed depends on the machine, and not on its seed.
fn hostname_fault(read: &Read<'_>) -> Option<PersonaError> {
    Persona::derive(&persona_spec(read, Seed::from_bytes([0; 16])))
        .err()
        .filter(|error| matches!(error, PersonaError::Hostname { .. }))
}

/// What is set on `services` that contradicts the machine `persona`.
fn misfits(
    services: &[ServiceSpec],
    persona: &Persona,
    catalogue: &dyn Catalogue,
) -> impl Iterator<Item = Misfit> {
    let services = services.iter().take(SERVICES_READ);
    let set = services.filter(|service| service.image.is_none() && !service.knobs.is_empty());
    set.filter_map(move |service| catalogue.check_fit(&service.slug, &service.knobs, persona).err())
}

/// [`misfits`] as faults of the decky called `name`, each at the knob that it is about, where `read` has it.
fn unfit(
    read: &Read<'_>,
    name: &str,
    services: &[ServiceSpec],
    persona: &Persona,
    catalogue: &dyn Catalogue,
) -> impl Iterator<Item = SpecFault> {
    misfits(services, persona, catalogue).map(move |misfit| {
        let Misfit {
            service,
            knob,
            problem,
        } = misfit;
        let mut asked = read.spec.services.iter();
        let place = asked.position(|asked| asked.slug.as_str() == service && asked.knobs.contains_key(knob));
        let field = match place {
            Some(place) => format!("{}.services[{place}].knobs.{knob}", read.at),
            // It has that from before.
            None => format!("{}.services", read.at),
        };
        let system = persona.release().pretty;
        SpecFault::new(
            field,
            format!("{service}.{knob} of {name}, which runs {system}: {problem}"),
        )
    })
}

/// A seed from the system's randomness whose `amount` machines fit what is set on their services; `None` where none came up among as
/// many as are left of `redraws`.
fn fitting_seed(read: &Read<'_>, amount: u32, catalogue: &dyn Catalogue, redraws: &mut u32) -> Option<Seed> {
    let fits = |persona: Persona| misfits(&read.spec.services, &persona, catalogue).next().is_none();
    let most = REDRAWS.min(*redraws);
    (0..most).find_map(|_| {
        *redraws = redraws.saturating_sub(1);
        let seed = draw_seed();
        let mut machines = (1..=amount).map(|nth| persona_of(read, numbered(&seed, amount, nth)));
        machines.all(|persona| persona.is_none_or(fits)).then_some(seed)
    })
}

/// What is wrong with a folder of bait, with what to do about it.
fn bait_faults(folder: &str) -> Vec<String> {
    if folder.is_empty() {
        return Vec::new();
    }
    let path = Path::new(folder);
    if !path.is_absolute() {
        return vec![format!(
            "{folder}: the decoys run elsewhere; name the folder from / on, or leave it empty for the built-in bait"
        )];
    }
    match Bait::load(path) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    }
}

/// What is wrong with a folder of bait for a single service.
fn service_bait_faults(slug: &ServiceSlug, folder: &str) -> Vec<String> {
    if bait::SERVICES.contains(&slug.as_str()) {
        return bait_faults(folder);
    }
    vec![format!(
        "it shows no bait; these do: {}",
        bait::SERVICES.join(", ")
    )]
}

/// The most services of a decky that are looked at one by one: more than any may have, and not any number, because each is held
/// against those before it.
pub(crate) const SERVICES_READ: usize = 100;

fn check_services(
    spec: &DeckySpec,
    archetype: Option<&Archetype>,
    at: &str,
    catalogue: &dyn Catalogue,
    faults: &mut Vec<SpecFault>,
) {
    if spec.services.len() > MAX_SERVICES {
        let problem = format!(
            "{} services; a machine with more than {MAX_SERVICES} is not believed",
            spec.services.len()
        );
        faults.push(SpecFault::new(format!("{at}.services"), problem));
    }
    for (i, service) in spec.services.iter().enumerate().take(SERVICES_READ) {
        let ServiceSpec {
            slug,
            knobs,
            bait,
            image,
        } = service;
        let field = format!("{at}.services[{i}]");
        if let Some(own) = image {
            check_own_image(service, own, &field, catalogue, faults);
        }
        if image.is_none() && catalogue.ports(slug).is_none() {
            let known: Vec<String> = catalogue.slugs().into_iter().map(String::from).collect();
            let problem = format!(
                "no service {slug}; there are: {}; an image of your own is described in a file, in [custom-{slug}]",
                known.join(", ")
            );
            faults.push(SpecFault::new(field, problem));
            continue;
        }
        if let Some(archetype) = archetype
            && spec.archetype.is_some()
            && image.is_none()
            && !archetype.fits(slug)
        {
            let problem = format!(
                "{slug} does not belong on a {}; these do: {}",
                archetype.slug,
                archetype.services.join(", ")
            );
            faults.push(SpecFault::new(field.clone(), problem));
        }
        let earlier = spec.services.get(..i).unwrap_or_default();
        if earlier.iter().any(|other| other.slug == *slug) {
            faults.push(SpecFault::new(field.clone(), format!("{slug} stands twice")));
        } else if let Some(problem) = earlier.iter().find_map(|other| clash(service, other, catalogue)) {
            let field = if image.is_some() {
                format!("{field}.image.ports")
            } else {
                field.clone()
            };
            faults.push(SpecFault::new(field, problem));
        }
        let bait = bait.as_deref().filter(|_| image.is_none());
        for problem in bait
            .map(|folder| service_bait_faults(slug, folder))
            .unwrap_or_default()
        {
            faults.push(SpecFault::new(
                format!("{field}.bait"),
                format!("{slug}: {problem}"),
            ));
        }
        for (name, value) in knobs.iter().filter(|_| image.is_none()) {
            if let Err(problem) = catalogue.check_knob(slug, name, value) {
                faults.push(SpecFault::new(
                    format!("{field}.knobs.{name}"),
                    format!("{slug}: {problem}"),
                ));
            }
        }
    }
}

/// The ports of a service; none where there is no such service.
fn ports_of(service: &ServiceSpec, catalogue: &dyn Catalogue) -> Vec<Port> {
    match &service.image {
        Some(own) => own.ports.iter().copied().map(Port::Tcp).collect(),
        None => catalogue.ports(&service.slug).unwrap_or_default(),
    }
}

/// Why a decky cannot have both services; nothing where it can.
fn clash(service: &ServiceSpec, other: &ServiceSpec, catalogue: &dyn Catalogue) -> Option<String> {
    let (ports, others) = (ports_of(service, catalogue), ports_of(other, catalogue));
    if let Some(port) = ports.iter().find(|port| others.contains(port)) {
        return Some(format!("{} and {} both need {port:?}", service.slug, other.slug));
    }
    for (own, other) in [(service, other), (other, service)] {
        if own.image.is_some() && !own_image::may_stand_beside(&other.slug) {
            return Some(format!(
                "{} opens further ports for its visitors, on which {} could be reached unseen: give one of them a decky of its own",
                other.slug, own.slug
            ));
        }
    }
    let (mut mine, mut theirs) = (ports.into_iter(), others.into_iter());
    let led = |own: &OwnImage, port| own_image::stands_in_the_way(own, port);
    let clash = match (&service.image, &other.image) {
        (Some(own), _) if theirs.any(|port| led(own, port)) => Some((service, other)),
        (_, Some(own)) if mine.any(|port| led(own, port)) => Some((other, service)),
        _ => None,
    };
    clash.map(|(own, other)| {
        format!(
            "the visitors of {} are led through a port that {} has: give the image another one",
            own.slug, other.slug
        )
    })
}

/// What is wrong with a service that is an operator's own image, but for ports that others need.
fn check_own_image(
    service: &ServiceSpec,
    own: &OwnImage,
    field: &str,
    catalogue: &dyn Catalogue,
    faults: &mut Vec<SpecFault>,
) {
    let slug = &service.slug;
    if catalogue.ports(slug).is_some() {
        let problem = format!("{slug} is a built-in service: give your image another name");
        faults.push(SpecFault::new(format!("{field}.image"), problem));
    }
    for (key, problem) in own_image::faults(own) {
        faults.push(SpecFault::new(
            format!("{field}.image.{key}"),
            format!("{slug}: {problem}"),
        ));
    }
    if service.bait.is_some() {
        let problem = format!("{slug} is an image, which shows what it brings: it takes no bait");
        faults.push(SpecFault::new(format!("{field}.bait"), problem));
    }
    if let Some(knob) = service.knobs.keys().next() {
        let problem = format!("{slug} is an image, which has no knobs: it is told things by its command");
        faults.push(SpecFault::new(format!("{field}.knobs.{knob}"), problem));
    }
}

/// What is taken already.
struct Taken {
    names: BTreeSet<DeckyName>,
    ips: BTreeSet<IpAddr>,
    macs: BTreeSet<Mac>,
    hostnames: BTreeSet<String>,
    seeds: BTreeSet<Seed>,
    /// How many machines may still be drawn instead of others.
    redraws: u32,
}

/// Make deckies of `spec`: names, addresses and personas are settled, services chosen.
///
/// `existing` is the fleet as it is wanted so far. A decky of `spec` that has the name of one of them is that one
/// changed: what the spec leaves open stays as it is. Seeds that are not given are drawn from the system's randomness.
///
/// # Errors
/// Every fault of the specification, by field.
pub fn resolve(
    spec: &FleetSpec,
    existing: &[DesiredDecky],
    limits: &Limits,
    catalogue: &dyn Catalogue,
    now: OffsetDateTime,
) -> Result<Vec<DesiredDecky>, Vec<SpecFault>> {
    let mut faults = Vec::new();
    let reads = read_all(spec, catalogue, &mut faults);
    let asked: u64 = spec
        .deckies
        .iter()
        .map(|d| u64::from(d.amount.unwrap_or(1)))
        .sum();
    let stays = |d: &&DesiredDecky| !spec.replace && !spec.deckies.iter().any(|s| named(s, &d.name));
    let staying: Vec<&DesiredDecky> = existing.iter().filter(stays).collect();
    let total = asked + u64::try_from(staying.len()).unwrap_or(u64::MAX);
    if total > u64::from(limits.deckies) {
        let problem = format!(
            "{asked} asked for and {} there make {total}; the limit is {} (deployment-limit)",
            staying.len(),
            limits.deckies
        );
        faults.push(SpecFault::new("deckies", problem));
    }
    // Addresses of deckies that are being replaced are not reused: they may still be on their way out.
    let mut taken = Taken {
        names: staying.iter().map(|d| d.name.clone()).collect(),
        ips: existing.iter().map(|d| d.ip).collect(),
        macs: staying
            .iter()
            .filter_map(|d| d.persona.mac)
            .chain(limits.macs.keys().copied())
            .collect(),
        hostnames: staying
            .iter()
            .filter_map(|d| d.persona.hostname.clone())
            .collect(),
        seeds: staying.iter().map(|d| d.persona.seed.clone()).collect(),
        redraws: ALL_REDRAWS,
    };
    if !limits.own_images {
        for (i, decky) in spec.deckies.iter().enumerate() {
            let services = decky.services.iter().enumerate();
            for (j, service) in services.filter(|(_, service)| service.image.is_some()) {
                let problem = format!(
                    "{}: an image of your own needs engine=docker, which this host was not started with",
                    service.slug
                );
                faults.push(SpecFault::new(format!("deckies[{i}].services[{j}]"), problem));
            }
        }
    }
    if !limits.contains {
        let asked = |read: &&Read<'_>| read.egress.is_some_and(|egress| egress != Egress::Deny);
        for read in reads.iter().filter(asked) {
            let problem = "deckies of engine=local begin nothing, whatever is said: leave it out, or start the host with \
                           engine=docker or engine=netns";
            faults.push(SpecFault::new(format!("{}.egress", read.at), problem));
        }
    }
    let readable = faults.is_empty();
    // Names and addresses that are given come first, so that none that is drawn takes them.
    for read in &reads {
        claim(read, existing, &mut taken, limits, &mut faults);
    }
    let mut out = Vec::new();
    for read in &reads {
        let settled = match (readable, read.is_known) {
            (true, _) => read.amount,
            // Nothing of it will be deployed; what does not fit is told in the same round.
            (false, known) => read.amount.min(known.into()),
        };
        for nth in 1..=settled {
            match settle(read, nth, existing, &mut taken, limits, catalogue, now) {
                Ok((decky, persona)) => {
                    // Of a knob that all of a group have, the first is told that it does not fit.
                    for fault in unfit(read, decky.name.as_str(), &decky.services, &persona, catalogue) {
                        if faults.iter().all(|told| told.field != fault.field) {
                            faults.push(fault);
                        }
                    }
                    out.push(decky);
                }
                Err(fault) => {
                    faults.extend(readable.then_some(fault));
                    break;
                }
            }
        }
    }
    if faults.is_empty() { Ok(out) } else { Err(faults) }
}

/// The name of number `nth` of a group, or the one of a single decky.
fn name_of(spec: &DeckySpec, amount: u32, nth: u32) -> Option<String> {
    let name = spec.name.as_ref()?;
    Some(if amount > 1 {
        format!("{name}-{nth:02}")
    } else {
        name.to_string()
    })
}

/// Whether `name` is one of those that `spec` gives.
fn named(spec: &DeckySpec, name: &DeckyName) -> bool {
    let amount = spec.amount.unwrap_or(1).min(MAX_AMOUNT);
    (1..=amount).any(|nth| name_of(spec, amount, nth).is_some_and(|n| n == name.as_str()))
}

/// Take what is given; a fault where it is taken already, or cannot be had.
fn claim(
    read: &Read<'_>,
    existing: &[DesiredDecky],
    taken: &mut Taken,
    limits: &Limits,
    faults: &mut Vec<SpecFault>,
) {
    let at = &read.at;
    for nth in 1..=read.amount {
        let Some(name) = name_of(read.spec, read.amount, nth) else {
            break;
        };
        match name.parse::<DeckyName>() {
            Ok(name) if !taken.names.insert(name.clone()) => {
                faults.push(SpecFault::new(
                    format!("{at}.name"),
                    format!("{name} stands twice"),
                ));
            }
            Ok(_) => {}
            Err(error) => {
                faults.push(SpecFault::new(format!("{at}.name"), error.to_string()));
                break;
            }
        }
    }
    let own = |d: &&DesiredDecky| named(read.spec, &d.name);
    if let Some(ip) = read.spec.ip {
        let mine = existing.iter().find(own).is_some_and(|d| d.ip == ip);
        if !limits.network.contains(&ip) {
            let problem = format!("{ip} is outside {} (fleet-network)", limits.network);
            faults.push(SpecFault::new(format!("{at}.ip"), problem));
        } else if !is_host(limits, ip) {
            faults.push(SpecFault::new(
                format!("{at}.ip"),
                format!("{ip} is not an address for a decky"),
            ));
        } else if let Some(name) = limits.leaving.get(&ip) {
            let problem =
                format!("{ip} is the address of {name}, which is being taken down: wait, or choose another");
            faults.push(SpecFault::new(format!("{at}.ip"), problem));
        } else if limits.reserved.contains(&ip) && !mine {
            let problem = format!("{ip} is in use by another machine on the network");
            faults.push(SpecFault::new(format!("{at}.ip"), problem));
        } else if !taken.ips.insert(ip) && !mine {
            faults.push(SpecFault::new(format!("{at}.ip"), format!("{ip} is taken")));
        }
    }
    if let Some(hostname) = read.hostname {
        // Names of hosts are the same however they are written (RFC 4343).
        if taken
            .hostnames
            .iter()
            .any(|other| other.eq_ignore_ascii_case(hostname))
        {
            let problem =
                format!("{hostname} is another decky's name, too: leave it out, or give one of them another");
            faults.push(SpecFault::new(format!("{at}.hostname"), problem));
        }
        taken.hostnames.insert(hostname.to_owned());
    }
    if let Some(mac) = read.mac {
        let problem = match limits.macs.get(&mac) {
            Some(ip) => Some(format!(
                "{mac} is the hardware address of {ip}, another machine on the network: both would lose their visitors"
            )),
            None => (!taken.macs.insert(mac)).then(|| format!("{mac} is taken")),
        };
        faults.extend(problem.map(|problem| SpecFault::new(format!("{at}.mac"), problem)));
    }
    let mut seeds = (1..=read.amount).filter_map(|nth| seed_of(read, nth));
    if !seeds.all(|seed| taken.seeds.insert(seed)) {
        let problem = "another decky has this seed: they would share their keys";
        faults.push(SpecFault::new(format!("{at}.seed"), problem));
    }
}

/// The seed that is given to number `nth` of a group, or to a single decky. Those of a group do not tell of each other:
/// an intruder finds the one of the machine that it is on.
fn seed_of(read: &Read<'_>, nth: u32) -> Option<Seed> {
    let seed = read.seed.as_ref()?;
    Some(numbered(seed, read.amount, nth))
}

/// The seed of number `nth` of `amount` deckies that are made from `seed`.
fn numbered(seed: &Seed, amount: u32, nth: u32) -> Seed {
    if amount > 1 { seed.nth(nth) } else { seed.clone() }
}

/// Whether `before` was made when the seeds of a group were the given one with their numbers: it stays who it is.
fn is_numbered(before: &DesiredDecky, seed: &Seed, nth: u32) -> bool {
    before.persona.seed.as_str() == format!("{seed}/{nth}")
}

/// Addresses for deckies: those of the network but its first host, which is left to a gateway.
fn hosts(limits: &Limits) -> impl Iterator<Item = IpAddr> {
    limits.network.hosts().skip(1)
}

/// Whether `ip` is one of [`hosts`], of which there may be millions.
fn is_host(limits: &Limits, ip: IpAddr) -> bool {
    let mut all = limits.network.hosts();
    match (all.next(), all.next_back()) {
        (Some(gateway), Some(last)) => gateway < ip && ip <= last,
        _ => false,
    }
}

/// Number `nth` of `read`, with the machine that it is.
fn settle(
    read: &Read<'_>,
    nth: u32,
    existing: &[DesiredDecky],
    taken: &mut Taken,
    limits: &Limits,
    catalogue: &dyn Catalogue,
    now: OffsetDateTime,
) -> Result<(DesiredDecky, Persona), SpecFault> {
    let fault = |field: &str, problem: String| SpecFault::new(format!("{}.{field}", read.at), problem);
    let name: DeckyName = match name_of(read.spec, read.amount, nth) {
        Some(name) => name.parse().map_err(|e| fault("name", format!("{e}")))?,
        None => {
            free_name(read.archetype, taken).ok_or_else(|| fault("name", "no name is free".to_owned()))?
        }
    };
    let before = existing
        .iter()
        .find(|d| d.name == name && d.persona.archetype == read.archetype.slug);
    let (ip, ip_drawn) = match (read.spec.ip, before) {
        (Some(ip), _) => (ip, false),
        (None, Some(before)) => (before.ip, before.ip_drawn),
        (None, None) => {
            let none = || fault("ip", format!("no address of {} is free", limits.network));
            (limits.free(&taken.ips).ok_or_else(none)?, true)
        }
    };
    taken.ips.insert(ip);
    let (persona, drawn) = settle_persona(read, nth, before, taken, catalogue, now).map_err(|e| match e {
        PersonaError::Hostname { .. } => fault("hostname", e.to_string()),
        _ => fault("seed", e.to_string()),
    })?;
    let slugs = choose(read, &drawn, before, catalogue);
    let decky = DesiredDecky {
        name,
        persona,
        services: match before {
            Some(before) if read.services.is_empty() => before.services.clone(),
            // Its bait is the machine's, which is made with it.
            _ => read
                .spec
                .services
                .iter()
                .map(|service| ServiceSpec {
                    bait: None,
                    ..service.clone()
                })
                .collect(),
        },
        ip,
        ip_drawn,
        mutate_interval_minutes: read
            .spec
            .mutate_interval_minutes
            .or_else(|| before.and_then(|b| b.mutate_interval_minutes)),
        egress: read
            .egress
            .or_else(|| before.map(|b| b.egress))
            .unwrap_or_default(),
        generation: before.map_or(0, |b| b.generation),
        stopped: false,
    };
    Ok((decky.with_services(&slugs), drawn))
}

fn free_name(archetype: &Archetype, taken: &mut Taken) -> Option<DeckyName> {
    let name = (1..10_000)
        .filter_map(|n| format!("{}-{n:02}", archetype.slug).parse::<DeckyName>().ok())
        .find(|name| !taken.names.contains(name))?;
    taken.names.insert(name.clone());
    Some(name)
}

/// A seed that nobody has, from the system's randomness.
fn draw_seed() -> Seed {
    Seed::from_bytes(rand::random())
}

/// A seed that nobody has for the deckies of `spec`, with which they fit what is set on their services: each of a group has to. `None`
/// where no such seed came up.
#[must_use]
pub fn draw_fitting_seed(spec: &DeckySpec, catalogue: &dyn Catalogue) -> Option<Seed> {
    let read = read(spec, String::new(), catalogue, &mut Vec::new());
    let mut redraws = REDRAWS;
    fitting_seed(&read, read.amount, catalogue, &mut redraws)
}

/// How often another seed is drawn where a host name or an address comes up that is taken, or a machine that does not fit what is set
/// on its services: of seven distributions and two programs for the same purpose one may be meant.
const REDRAWS: u32 = 256;
/// The same of all deckies of a specification together, so that what no machine can have does not cost any time.
const ALL_REDRAWS: u32 = 20_000;

fn settle_persona(
    read: &Read<'_>,
    nth: u32,
    before: Option<&DesiredDecky>,
    taken: &mut Taken,
    catalogue: &dyn Catalogue,
    now: OffsetDateTime,
) -> Result<(PersonaSpec, Persona), PersonaError> {
    let mut tries = 0;
    loop {
        let given = match (&read.seed, before) {
            (Some(seed), Some(before)) if is_numbered(before, seed, nth) => Some(before.persona.seed.clone()),
            (Some(_), _) => seed_of(read, nth),
            (None, Some(before)) => Some(before.persona.seed.clone()),
            (None, None) => None,
        };
        let fixed = given.is_some();
        let seed = given.unwrap_or_else(draw_seed);
        let kept = before.filter(|b| b.persona.seed == seed).map(|b| &b.persona);
        let own = persona_spec(read, seed.clone());
        // What it was before stays as far as it agrees with what is said now.
        let agree = |distro: &Distro, os: &OsFamily| read.archetype.agree(*distro, *os);
        let was = kept.and_then(|k| k.distro);
        let distro = own
            .distro
            .or_else(|| was.filter(|distro| own.os.as_ref().is_none_or(|os| agree(distro, os))));
        let was = kept.and_then(|k| k.os);
        let os = own
            .os
            .or_else(|| was.filter(|os| distro.as_ref().is_none_or(|distro| agree(distro, os))));
        let mut spec = PersonaSpec {
            distro,
            os,
            hostname: own.hostname.or_else(|| kept.and_then(|k| k.hostname.clone())),
            mac: own.mac.or_else(|| kept.and_then(|k| k.mac)),
            overrides: Overrides {
                deployed_at: kept.map_or(Some(now.unix_timestamp()), |k| k.overrides.deployed_at),
                bait: match &read.spec.bait {
                    Some(folder) => Some(folder.clone()).filter(|folder| !folder.is_empty()),
                    None => kept.and_then(|k| k.overrides.bait.clone()),
                },
                service_bait: service_bait(read, kept),
                ..Overrides::default()
            },
            ..own
        };
        let persona = Persona::derive(&spec)?;
        let clash = (read.mac.is_none() && taken.macs.contains(&persona.mac))
            || (read.hostname.is_none() && taken.hostnames.contains(&persona.hostname));
        let is_no_use = || clash || misfits(&read.spec.services, &persona, catalogue).next().is_some();
        tries += 1;
        if !fixed && tries < REDRAWS && taken.redraws > 0 && is_no_use() {
            taken.redraws -= 1;
            continue;
        }
        spec.distro = Some(persona.distro);
        spec.os = Some(persona.os);
        spec.hostname = Some(persona.hostname.clone());
        spec.mac = Some(persona.mac);
        taken.macs.insert(persona.mac);
        taken.hostnames.insert(persona.hostname.clone());
        taken.seeds.insert(seed);
        return Ok((spec, persona));
    }
}

/// The bait of single services: what is said of them, and what was, for those that there are after it.
fn service_bait(read: &Read<'_>, kept: Option<&PersonaSpec>) -> BTreeMap<ServiceSlug, String> {
    let mut bait = kept
        .map(|kept| kept.overrides.service_bait.clone())
        .unwrap_or_default();
    bait.retain(|slug, _| read.services.is_empty() || read.services.contains(slug));
    for service in &read.spec.services {
        match service.bait.as_deref() {
            None => {}
            Some("") => {
                bait.remove(&service.slug);
            }
            Some(folder) => {
                bait.insert(service.slug.clone(), folder.to_owned());
            }
        }
    }
    bait
}

fn choose(
    read: &Read<'_>,
    persona: &Persona,
    before: Option<&DesiredDecky>,
    catalogue: &dyn Catalogue,
) -> Vec<ServiceSlug> {
    if !read.services.is_empty() {
        return read.services.clone();
    }
    if read.spec.randomize_services {
        let mut rng = persona.rng("services");
        // Images are no choice of the archetype: they stay.
        let (own, images): (Vec<_>, Vec<_>) = before
            .into_iter()
            .flat_map(DesiredDecky::own_images)
            .map(|(slug, image)| (slug.clone(), image))
            .unzip();
        if let Some(mut chosen) = mutation::choose_beside(&images, read.archetype, catalogue, &[], &mut rng) {
            chosen.extend(own);
            return chosen;
        }
    }
    if let Some(before) = before {
        return before.slugs().cloned().collect();
    }
    usual(read.archetype, catalogue)
}
