//! `decnet deploy`, `teardown`, `redeploy`, `stop`, `start`, `mutate`, `clear` and `status`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use decnet_decoys::config::Proof;
use decnet_domain::{DomainError, Machine};
use decnet_fleet::{
    BuiltIn, SpecFault, StepKind, draw_fitting_seed,
    spec::{BAIT, Described, adjust},
};
use decnet_model::{
    clock::{Clock, SystemClock},
    fleet::{DeckySpec, FleetSpec, ServiceSpec},
    name::{DeckyName, ServiceSlug},
    permission::{ManageFleet, ViewFleet},
    state::{DeckyState, WorkerState},
    topic::{Pattern, Topic},
    view::{DeckyView, FieldError, TaskAccepted, TaskReport, TaskView, WorkerView},
};
use decnet_persona::{Persona, PersonaSpec, Product, ProductKind, Seed, bait};
use decnet_runtime::{StartError, exit::chain};
use serde_json::json;
use time::OffsetDateTime;
use tokio::io::AsyncWriteExt as _;

use crate::{
    cli::{BaitArg, ClearArgs, DeployArgs, PlaceArgs, Said, StatusArgs, TargetArgs, TeardownArgs, WaitArgs},
    host::{self, Host, usage},
    output,
};

/// The most bytes of a fleet description.
const MAX_FILE: u64 = 512 * 1024;
/// How long a task may stand still before somebody asks whether anybody is at work.
const PATIENCE: Duration = Duration::from_secs(40);

/// `decnet deploy`
pub(crate) async fn deploy(place: &PlaceArgs, args: &DeployArgs) -> Result<()> {
    let asked = Asked::read(args)?;
    let host = match Host::open(&on_lan(place, args)).await {
        Ok(host) => host,
        Err(error) => {
            return Err(match asked.fault_of_itself() {
                Some(fault) => usage(format!("{fault}\n{}", chain(&*error))),
                None => error,
            });
        }
    };
    // What could not be read is refused there, with everything else that is wrong.
    if args.dry_run || !asked.is_read() {
        return preview(&host, asked, args.wait.json).await;
    }
    let permit = host.permit::<ManageFleet>()?;
    let accepted = asked.judged(host.domain.decky_deploy(&permit, asked.spec.clone()).await)?;
    finish(host, accepted, args.wait, "deployed").await
}

/// `place` with what `args` say of the network. It is the installation's and not that of one deployment, so it is said as
/// any other key of the configuration, and the installation says whether it is so.
fn on_lan(place: &PlaceArgs, args: &DeployArgs) -> PlaceArgs {
    let mut place = place.clone();
    let driver = args.ipvlan.then(|| "fleet-driver=ipvlan".to_owned());
    let interface = args.interface.as_ref();
    let interface = interface.map(|name| format!("fleet-interface={name}"));
    let gateway = args.gateway.as_ref();
    let gateway = gateway.map(|address| format!("fleet-gateway={address}"));
    place
        .set
        .extend([driver, interface, gateway].into_iter().flatten());
    place
}

/// Show what would be deployed, what would go, and by which steps. A machine is what its seed makes of it, so those that are new get
/// theirs here, and it is told: with it, what is shown is what will be deployed.
async fn preview(host: &Host, mut asked: Asked, as_json: bool) -> Result<()> {
    let permit = host.permit::<ViewFleet>()?;
    let unsown = asked.judged(host.domain.decky_preview(&permit, asked.spec.clone()).await)?;
    let there = host.domain.decky_list(&permit).await?;
    let sown = sow(&mut asked.spec, &unsown, &there);
    let plan = asked.judged(host.domain.decky_plan(&permit, asked.spec.clone()).await)?;
    let deckies = asked.spec.deckies.iter();
    let specs = deckies.flat_map(|decky| std::iter::repeat_n(decky, amount(decky)));
    let steps = |decky: &DeckyView| -> Vec<&'static str> {
        let own = plan.steps.iter().filter(|(name, _)| *name == decky.name);
        own.map(|(_, kind)| word_of(*kind)).collect()
    };
    if as_json {
        let mut listed = serde_json::to_value(&plan.deckies)?;
        for (decky, spec) in listed.as_array_mut().into_iter().flatten().zip(specs) {
            let Some(decky) = decky.as_object_mut() else {
                continue;
            };
            if let Some(seed) = &spec.seed {
                decky.insert("seed".to_owned(), seed.as_str().into());
            }
            if let Some(bait) = &spec.bait {
                decky.insert("bait".to_owned(), bait.as_str().into());
            }
            let of_services: serde_json::Map<String, serde_json::Value> = service_bait(spec)
                .map(|(slug, folder)| (slug.to_string(), folder.into()))
                .collect();
            if !of_services.is_empty() {
                decky.insert("service_bait".to_owned(), of_services.into());
            }
        }
        let mut leaving = serde_json::to_value(&plan.leaving)?;
        for decky in leaving.as_array_mut().into_iter().flatten() {
            if let Some(desired) = decky.get_mut("desired") {
                *desired = false.into();
            }
        }
        if let (Some(listed), Some(leaving)) = (listed.as_array_mut(), leaving.as_array_mut()) {
            listed.append(leaving);
        }
        let all = plan.deckies.iter().chain(&plan.leaving);
        for (decky, view) in listed.as_array_mut().into_iter().flatten().zip(all) {
            if let Some(decky) = decky.as_object_mut() {
                decky.insert("steps".to_owned(), steps(view).into());
            }
        }
        return output::json(&listed);
    }
    let all: Vec<DeckyView> = plan.deckies.iter().chain(&plan.leaving).cloned().collect();
    let told = |decky: &DeckyView| match steps(decky) {
        none if none.is_empty() => "nothing: it is so".to_owned(),
        some => some.join(", "),
    };
    print_deckies(&all, "STEPS", told, "Nothing would be deployed.");
    for (decky, spec) in plan.deckies.iter().zip(specs) {
        let whole = spec.bait.as_deref().map(|folder| match folder {
            "" => "the built-in one".to_owned(),
            folder => folder.to_owned(),
        });
        let of_services = service_bait(spec).map(|(slug, folder)| match folder {
            "" => format!("{slug} as the decky"),
            folder => format!("{slug} {folder}"),
        });
        let told: Vec<_> = whole.into_iter().chain(of_services).collect();
        if !told.is_empty() {
            println!("Bait of {}: {}", decky.name, told.join(", "));
        }
    }
    if !plan.leaving.is_empty() {
        let names: Vec<_> = plan.leaving.into_iter().map(|decky| decky.name).collect();
        println!("{}", counted(&names, "would be taken down (--replace)"));
    }
    println!("Nothing was changed (--dry-run).");
    for (field, seed) in sown {
        println!(
            "To deploy these very machines: {}",
            asked.seed_given(field, &seed)
        );
    }
    Ok(())
}

/// What a step of a plan is called in a list of them.
fn word_of(kind: StepKind) -> &'static str {
    match kind {
        StepKind::Create => "create",
        StepKind::Start => "start",
        StepKind::Reconfigure => "change services",
        StepKind::Stop => "stop",
        StepKind::Remove => "remove",
    }
}

/// What is said of the bait of single services.
fn service_bait(spec: &DeckySpec) -> impl Iterator<Item = (&ServiceSlug, &str)> {
    let services = spec.services.iter();
    services.filter_map(|service| Some((&service.slug, service.bait.as_deref()?)))
}

/// How many deckies `spec` stands for.
fn amount(spec: &DeckySpec) -> usize {
    usize::try_from(spec.amount.unwrap_or(1)).unwrap_or(usize::MAX)
}

/// Draw a seed for each specification without one, and tell which got which. One that is about deckies which are there
/// gets none: they stay who they are. Nor does a group of which no one seed makes what its knobs ask for. `unsown` is what
/// `spec` was settled as without.
fn sow(spec: &mut FleetSpec, unsown: &[DeckyView], there: &[DeckyView]) -> Vec<(usize, Seed)> {
    let is_there = |decky: &&DeckyView| there.iter().any(|other| other.name == decky.name);
    let mut unsown = unsown.iter();
    let mut sown = Vec::new();
    for (at, decky) in spec.deckies.iter_mut().enumerate() {
        let known = unsown.by_ref().take(amount(decky)).filter(is_there).count();
        if known == 0
            && decky.seed.is_none()
            && let Some(seed) = draw_fitting_seed(decky, &BuiltIn)
        {
            decky.seed = Some(seed.to_string());
            sown.push((at, seed));
        }
    }
    sown
}

/// The fleet that is asked for.
struct Asked {
    spec: FleetSpec,
    source: Source,
}

/// What it is asked for by.
enum Source {
    /// The words of the command line, which named these services, and what could not be read of them, by option.
    Words(Vec<ServiceSlug>, Vec<FieldError>),
    /// A JSON file, whose faults are told by field.
    Json(PathBuf, Described),
    /// An INI file, whose faults are told by line.
    Ini(PathBuf, Described),
}

impl Asked {
    fn read(args: &DeployArgs) -> Result<Self> {
        let Some(path) = &args.file else {
            let (decky, faults) = from_args(args);
            let named = args.services.iter().filter_map(Said::read).cloned();
            return Ok(Self {
                spec: FleetSpec {
                    deckies: vec![decky],
                    replace: args.replace,
                },
                source: Source::Words(named.collect(), faults),
            });
        };
        let (options, keys): (Vec<_>, Vec<_>) = args.of_deckies().unzip();
        if !options.is_empty() {
            return Err(usage(format!(
                "{} cannot be used with --file, because {} says what its deckies are: write {} there, or leave --file out",
                options.join(", "),
                path.display(),
                keys.join(", ")
            )));
        }
        let text = text_of(path)?;
        let is_json = path.extension().is_some_and(|e| e == "json");
        let (mut described, source): (_, fn(PathBuf, Described) -> Source) = if is_json {
            (Described::read_json(&text), Source::Json)
        } else {
            (Described::read(&text, &BuiltIn), Source::Ini)
        };
        described.spec.replace |= args.replace;
        Ok(Self {
            spec: described.spec.clone(),
            source: source(path.clone(), described),
        })
    }

    /// How the specification number `at` is given a seed.
    fn seed_given(&self, at: usize, seed: &Seed) -> String {
        let section = self.spec.deckies.get(at).and_then(|decky| decky.name.as_ref());
        match (&self.source, section) {
            (Source::Words(..), _) => format!("--seed {seed}"),
            (Source::Ini(..), Some(section)) => format!("seed = {seed} below [{section}]"),
            _ => format!("deckies[{at}].seed {seed}"),
        }
    }

    /// Whether there is nothing in the file, or among the words, that could not be read.
    fn is_read(&self) -> bool {
        match &self.source {
            Source::Ini(_, described) | Source::Json(_, described) => described.is_read(),
            Source::Words(_, faults) => faults.is_empty(),
        }
    }

    /// What is wrong with the file, or the words, by itself, for those who have no installation to ask.
    fn fault_of_itself(&self) -> Option<anyhow::Error> {
        let found = decnet_fleet::check(&self.spec, &BuiltIn);
        let (path, described) = match &self.source {
            Source::Words(named, faults) => {
                let found = found.into_iter().map(|fault| FieldError {
                    field: fault.field,
                    message: fault.problem,
                });
                let all = self.by_option(named, faults, found.collect());
                return (!all.is_empty()).then(|| DomainError::Invalid(all).into());
            }
            Source::Ini(path, described) | Source::Json(path, described) => (path, described),
        };
        let faults = described.faults(found);
        (!faults.is_empty()).then(|| refused(path, &faults))
    }

    /// What could not be read of the words, and what was `found` to be wrong with the rest of them, each by its option. What an option
    /// that could not be read leaves out is not missing.
    fn by_option(
        &self,
        named: &[ServiceSlug],
        faults: &[FieldError],
        found: Vec<FieldError>,
    ) -> Vec<FieldError> {
        let found = found.into_iter().map(|fault| FieldError {
            field: option_of(&fault.field, &self.spec, named),
            ..fault
        });
        let is_named = self.spec.deckies.iter().any(|decky| decky.archetype.is_some());
        let left_out = |option: &str| faults.iter().any(|fault| fault.field.starts_with(option));
        let missing = is_named || !(left_out("--services") || left_out("--knob"));
        let found = found.filter(|fault| missing || fault.field != "--archetype");
        faults.iter().cloned().chain(found).collect()
    }

    /// What the installation made of it. Where that or the file has faults, all of them, by line where it has lines.
    fn judged<T>(&self, outcome: Result<T, DomainError>) -> Result<T> {
        let (path, described, outcome) = match (&self.source, outcome) {
            (Source::Words(named, faults), Err(DomainError::Invalid(found))) => {
                return Err(DomainError::Invalid(self.by_option(named, faults, found)).into());
            }
            (Source::Words(_, faults), Ok(_)) if !faults.is_empty() => {
                return Err(DomainError::Invalid(faults.clone()).into());
            }
            (Source::Words(..), outcome) => return Ok(outcome?),
            (Source::Ini(path, described) | Source::Json(path, described), outcome) => {
                (path, described, outcome)
            }
        };
        let fields = match outcome {
            Ok(value) if described.is_read() => return Ok(value),
            Ok(_) => Vec::new(),
            Err(DomainError::Invalid(fields)) => fields,
            Err(error) => return Err(error.into()),
        };
        let found = fields.into_iter().map(|fault| SpecFault {
            field: fault.field,
            line: None,
            problem: fault.message,
        });
        Err(refused(path, &described.faults(found)))
    }
}

/// The option that a field of the specification was given by, where `named` are the services that have one.
fn option_of(field: &str, spec: &FleetSpec, named: &[ServiceSlug]) -> String {
    let Some(own) = field.strip_prefix("deckies[0].") else {
        return field.to_owned();
    };
    let of_service = own.strip_prefix("services[").and_then(|rest| {
        let (place, part) = rest.split_once(']')?;
        let service = spec.deckies.first()?.services.get(place.parse::<usize>().ok()?)?;
        Some((service, part))
    });
    if let Some((service, part)) = of_service {
        let slug = &service.slug;
        if let Some(knob) = part.strip_prefix(".knobs.") {
            return format!("--knob {slug}.{knob}");
        }
        if part.strip_prefix('.') == Some(BAIT) {
            return format!("--bait {slug}");
        }
        // That brought it.
        if !named.contains(slug) && !service.knobs.is_empty() {
            return format!("--knob {slug}");
        }
        if !named.contains(slug) && service.bait.is_some() {
            return format!("--bait {slug}");
        }
    }
    let own = own.split(['[', '.']).next().unwrap_or(own);
    match own {
        "amount" => "--deckies".to_owned(),
        "mutate_interval_minutes" => "--mutate-interval".to_owned(),
        other => format!("--{}", other.replace('_', "-")),
    }
}

fn refused(path: &Path, faults: &[SpecFault]) -> anyhow::Error {
    let told: String = faults.iter().map(|fault| format!("\n  {fault}")).collect();
    let word = if faults.len() == 1 { "fault" } else { "faults" };
    usage(format!("{} has {} {word}:{told}", path.display(), faults.len()))
}

/// `decnet teardown`
pub(crate) async fn teardown(place: &PlaceArgs, args: &TeardownArgs) -> Result<()> {
    let host = Host::open(place).await?;
    let names = [args.names.as_slice(), &args.id].concat();
    let accepted = host
        .domain
        .decky_teardown(&host.permit::<ManageFleet>()?, &names)
        .await?;
    finish(host, accepted, args.wait, "taken down").await
}

/// `decnet redeploy`
pub(crate) async fn redeploy(place: &PlaceArgs, args: &TargetArgs) -> Result<()> {
    let host = Host::open(place).await?;
    let names = targets(&host, args, |decky| !decky.stopped).await?;
    let accepted = host
        .domain
        .decky_redeploy(&host.permit::<ManageFleet>()?, &names)
        .await?;
    finish(host, accepted, args.wait, "made anew").await
}

/// `decnet stop`
pub(crate) async fn stop(place: &PlaceArgs, args: &TargetArgs) -> Result<()> {
    let host = Host::open(place).await?;
    let names = targets(&host, args, |decky| !decky.stopped).await?;
    let accepted = host
        .domain
        .decky_stop(&host.permit::<ManageFleet>()?, &names)
        .await?;
    finish(host, accepted, args.wait, "stopped").await
}

/// `decnet start`
pub(crate) async fn start(place: &PlaceArgs, args: &TargetArgs) -> Result<()> {
    let host = Host::open(place).await?;
    let names = targets(&host, args, |decky| decky.stopped).await?;
    let accepted = host
        .domain
        .decky_start(&host.permit::<ManageFleet>()?, &names)
        .await?;
    finish(host, accepted, args.wait, "started").await
}

/// `decnet mutate`
pub(crate) async fn mutate(place: &PlaceArgs, args: &TargetArgs) -> Result<()> {
    let host = Host::open(place).await?;
    let names = if args.all {
        let all = host.domain.decky_mutable(&host.permit::<ViewFleet>()?).await?;
        for (names, why) in [
            (&all.without_choice, "because no other services fit"),
            (&all.quarantined, "because they are in quarantine"),
            (&all.unreadable, "because what is wanted of them cannot be read"),
        ] {
            if !names.is_empty() {
                eprintln!("{}", counted(names, &format!("left out, {why}")));
            }
        }
        all.mutable
    } else {
        args.names.clone()
    };
    let accepted = host
        .domain
        .decky_mutate(&host.permit::<ManageFleet>()?, &names)
        .await?;
    finish(host, accepted, args.wait, "mutated").await
}

/// `decnet clear`
pub(crate) async fn clear(place: &PlaceArgs, args: &ClearArgs) -> Result<()> {
    let host = Host::open(place).await?;
    let permit = host.permit::<ManageFleet>()?;
    for name in &args.names {
        host.domain.decky_clear_quarantine(&permit, name).await?;
    }
    host.close().await;
    if args.list.json {
        return output::json(&args.names);
    }
    println!("{}", counted(&args.names, "tried again"));
    Ok(())
}

/// `decnet status`
pub(crate) async fn status(place: &PlaceArgs, args: &StatusArgs) -> Result<()> {
    let host = Host::open(place).await?;
    let permit = host.permit::<ViewFleet>()?;
    if let Some(name) = &args.persona {
        let manage = host.permit::<ManageFleet>()?;
        let machine = host.domain.decky_machine(&manage, name).await?;
        let program = host::settings(place)?.fleet.decoy_program;
        let proofs = proofs(&program, &machine.spec).await?;
        return print_machine(&machine, proofs, args.list.json);
    }
    let deckies = host.domain.decky_list(&permit).await?;
    let workers = host.domain.worker_list(&permit).await?;
    super::worker::tell_alarms(&workers);
    let unheard = unheard(&workers);
    // What is at rest is that until a mutator moves it; of the others nobody knows without one.
    let unknown = |decky: &DeckyView| {
        let at_rest = matches!(
            decky.state,
            DeckyState::Pending | DeckyState::Stopped | DeckyState::Failed
        );
        unheard.filter(|_| !at_rest)
    };
    if args.list.json {
        let mut listed = serde_json::to_value(&deckies)?;
        for (decky, listed) in deckies.iter().zip(listed.as_array_mut().into_iter().flatten()) {
            if let Some(state) = listed.get_mut("state").filter(|_| unknown(decky).is_some()) {
                *state = "unknown".into();
            }
        }
        return output::json(&listed);
    }
    let state = |decky: &DeckyView| match unknown(decky) {
        Some(at) => format!("unknown (mutator not heard since {})", output::time(at)),
        None => decky.state.to_string(),
    };
    print_deckies(
        &deckies,
        "STATE",
        state,
        "There is no decky yet: `decnet deploy --archetype linux-server` makes one.",
    );
    host.close().await;
    Ok(())
}

/// When the mutator was last heard, where it is gone without a word: the states that it wrote down are those of then. One
/// that takes its leave ends the deckies before, and writes that down.
fn unheard(workers: &[WorkerView]) -> Option<OffsetDateTime> {
    let mutator = workers.iter().find(|worker| worker.name.as_str() == "mutator")?;
    mutator.last_heard.filter(|_| mutator.state == WorkerState::Stale)
}

/// The deckies that are named; or every one that is wanted and `fits` the order.
async fn targets(
    host: &Host,
    args: &TargetArgs,
    fits: impl Fn(&DeckyView) -> bool,
) -> Result<Vec<DeckyName>> {
    if !args.all {
        return Ok(args.names.clone());
    }
    let deckies = host.domain.decky_list(&host.permit::<ViewFleet>()?).await?;
    Ok(deckies
        .into_iter()
        .filter(|d| d.desired && fits(d))
        .map(|d| d.name)
        .collect())
}

/// What was said of a decky, and what of it cannot be read: also where a knob or a folder is given twice, as one of the two would be
/// lost.
fn from_args(args: &DeployArgs) -> (DeckySpec, Vec<FieldError>) {
    let mut faults = Vec::new();
    let services = read_all("--services", &args.services, &mut faults);
    let given = read_all("--knob", &args.knobs, &mut faults);
    let name = read_all("--name", args.name.as_slice(), &mut faults);
    let ip = read_all("--ip", args.ip.as_slice(), &mut faults);
    let amount = read_all("--deckies", args.deckies.as_slice(), &mut faults);
    let interval = read_all("--mutate-interval", args.mutate_interval.as_slice(), &mut faults);
    let mut knobs: BTreeMap<&ServiceSlug, BTreeMap<&str, &str>> = BTreeMap::new();
    let mut bait = None;
    let mut twice = |field: String| {
        faults.push(FieldError {
            field,
            message: "it stands twice".to_owned(),
        });
    };
    for knob in &given {
        let of_service = knobs.entry(&knob.service).or_default();
        if of_service.insert(&knob.key, &knob.value).is_some() {
            twice(format!("--knob {}.{}", knob.service, knob.key));
        }
    }
    for BaitArg { service, folder } in &args.bait {
        let before = match service {
            Some(service) => knobs.entry(service).or_default().insert(BAIT, folder),
            None => bait.replace(folder.as_str()),
        };
        if before.is_some() {
            let of = service.as_ref().map(|service| format!(" {service}"));
            twice(format!("--bait{}", of.unwrap_or_default()));
        }
    }
    let mut spec = DeckySpec {
        name: name.first().cloned(),
        amount: Some(amount.first().copied().unwrap_or(1)),
        archetype: args.archetype.clone(),
        services: services.into_iter().map(ServiceSpec::of).collect(),
        randomize_services: args.randomize_services,
        distro: args.distro.clone(),
        os: args.os.clone(),
        ip: ip.first().copied(),
        mac: args.mac.clone(),
        hostname: args.hostname.clone(),
        seed: args.seed.clone(),
        egress: args.egress.clone(),
        bait: bait.map(str::to_owned),
        mutate_interval_minutes: interval.first().copied(),
    };
    for (slug, knobs) in knobs {
        adjust(&mut spec, slug, knobs, &BuiltIn);
    }
    (spec, faults)
}

/// What could be read of what an option was given; the rest is among the faults.
fn read_all<T: Clone>(option: &str, said: &[Said<T>], faults: &mut Vec<FieldError>) -> Vec<T> {
    let mut read = Vec::new();
    for said in said {
        match said {
            Said::Read(it) => read.push(it.clone()),
            Said::Wrong(text, why) => faults.push(FieldError {
                field: option.to_owned(),
                message: format!("{text}: {why}"),
            }),
        }
    }
    read
}

fn text_of(path: &Path) -> Result<String> {
    let size = fs::metadata(path)
        .with_context(|| format!("cannot read {}", path.display()))?
        .len();
    if size > MAX_FILE {
        return Err(usage(format!(
            "{} has {size} bytes; a fleet description has {MAX_FILE} at most",
            path.display()
        )));
    }
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// What the machine of `spec` proves itself with, told by the program that makes it.
async fn proofs(program: &Path, spec: &PersonaSpec) -> Result<Vec<Proof>> {
    let told = async {
        let mut child = tokio::process::Command::new(program)
            .arg("--proofs")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut input = child.stdin.take().context("it takes nothing")?;
        input.write_all(&serde_json::to_vec(spec)?).await?;
        drop(input);
        let output = child.wait_with_output().await?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    };
    told.await
        .with_context(|| format!("asking {} for keys and certificates", program.display()))
}

/// Who a decky pretends to be, its accounts with their passwords and what lies around on it: only who may manage the fleet gets here.
fn print_machine(machine: &Machine, proofs: Vec<Proof>, as_json: bool) -> Result<()> {
    let persona = &machine.persona;
    let release = persona.release();
    let rows: Vec<(&str, String)> = vec![
        ("host name", persona.fqdn()),
        ("company", persona.company.clone()),
        ("archetype", persona.archetype.clone()),
        ("passes for", release.pretty.to_owned()),
        (
            "kernel",
            format!("{} {}", release.kernel_release, release.kernel_version),
        ),
        ("MAC", persona.mac.to_string()),
        ("machine id", persona.machine_id()),
        (
            "up for",
            format!(
                "{} days",
                persona.uptime_s(SystemClock.now().unix_timestamp()) / 86_400
            ),
        ),
    ];
    let programs = programs(persona);
    let bait = Lying::on(persona);
    if as_json {
        let about: serde_json::Map<String, serde_json::Value> = rows
            .into_iter()
            .map(|(k, v)| (k.replace(' ', "_").to_lowercase(), v.into()))
            .collect();
        let users: Vec<_> = persona
            .users
            .iter()
            .map(|u| json!({ "name": u.name, "full_name": u.full_name, "uid": u.uid, "home": u.home, "password": u.password }))
            .collect();
        let programs: Vec<_> = programs
            .iter()
            .map(|(service, p)| json!({ "service": service, "name": p.name, "version": p.version, "banner": p.banner }))
            .collect();
        return output::json(&json!({
            "persona": about, "users": users, "programs": programs, "proofs": proofs,
            "bait": {
                "folder": machine.bait, "service_folders": machine.service_bait, "faults": machine.faults,
                "files": bait.files, "redis": bait.keys, "tables": bait.tables, "site": bait.site,
            },
        }));
    }
    for (what, value) in rows {
        println!("{what:<12} {value}");
    }
    println!();
    let programs: Vec<_> = programs
        .into_iter()
        .map(|(service, p)| vec![service, p.name.to_owned(), p.version, p.banner])
        .collect();
    output::table(
        &["SERVICE", "PROGRAM", "VERSION", "SAYS"],
        &programs,
        "It has no built-in service.",
    );
    println!();
    let proofs: Vec<_> = proofs.into_iter().map(|p| vec![p.what, p.fingerprint]).collect();
    output::table(
        &["KEY OR CERTIFICATE", "FINGERPRINT"],
        &proofs,
        "Its services have no key and no certificate.",
    );
    println!();
    let users: Vec<_> = persona
        .users
        .iter()
        .map(|u| {
            vec![
                u.name.clone(),
                u.full_name.clone(),
                u.uid.to_string(),
                u.home.clone(),
                u.password.clone(),
            ]
        })
        .collect();
    output::table(&["USER", "FULL NAME", "UID", "HOME", "PASSWORD"], &users, "");
    println!();
    println!("Bait: {}", machine.bait.as_deref().unwrap_or("the built-in one"));
    for (service, folder) in &machine.service_bait {
        println!("Bait of {service}: {folder}");
    }
    for fault in &machine.faults {
        println!("Not read now: {fault}");
    }
    bait.print();
    Ok(())
}

/// The program that answers for each service of a machine, as long as no knob says otherwise.
fn programs(persona: &Persona) -> Vec<(String, Product)> {
    let program = |slug: &str| {
        Some(match slug {
            "ssh" => persona.product(ProductKind::Ssh),
            "http" => persona.product(ProductKind::Web),
            "redis" => persona.product(ProductKind::Redis),
            "ftp" => persona.product(ProductKind::Ftp),
            "smtp" => persona.product(ProductKind::Mail),
            "mysql" => persona.sql_product(),
            // An operator's own image.
            _ => return None,
        })
    };
    let services = persona.services.iter();
    services
        .filter_map(|slug| Some((slug.to_string(), program(slug.as_str())?)))
        .collect()
}

/// What lies around on a machine, where its services show it.
struct Lying {
    files: Vec<String>,
    keys: Vec<String>,
    /// Each as `database.table`, with how many rows it has.
    tables: BTreeMap<String, usize>,
    site: Option<String>,
}

impl Lying {
    fn on(persona: &Persona) -> Self {
        let has = |slug: &str| persona.services.iter().any(|service| service.as_str() == slug);
        let mut files = Vec::new();
        if has("ssh") {
            files = bait::files(persona);
        } else if has("ftp") {
            files = bait::ftp_files(persona);
        }
        let databases = has("mysql").then(|| bait::database(persona));
        let tables = databases.into_iter().flatten().flat_map(|database| {
            let name = database.name;
            let of = move |table: bait::Table| (format!("{name}.{}", table.name), table.rows.len());
            database.tables.into_iter().map(of)
        });
        let keys = has("redis").then(|| bait::redis(persona));
        Self {
            files: files.into_iter().map(|file| file.path).collect(),
            keys: keys.into_iter().flatten().map(|entry| entry.key).collect(),
            tables: tables.collect(),
            site: has("http").then(|| bait::site(persona).title),
        }
    }

    fn print(&self) {
        for (what, names) in [("file", &self.files), ("redis key", &self.keys)] {
            for name in names {
                println!("{what:<12} {name}");
            }
        }
        for (table, rows) in &self.tables {
            println!("{:<12} {table} ({rows} rows)", "table");
        }
        if let Some(title) = &self.site {
            println!("{:<12} {title}", "web site");
        }
    }
}

/// A line for each decky; `told` is what stands below `heading`.
fn print_deckies(deckies: &[DeckyView], heading: &str, told: impl Fn(&DeckyView) -> String, empty: &str) {
    let rows: Vec<_> = deckies
        .iter()
        .map(|d| {
            let services: Vec<_> = d
                .services
                .iter()
                .map(|s| {
                    let image = s.image.as_ref().map(|image| format!("[{image}]"));
                    let listen = s.listen.first().map(|listen| format!("@{listen}"));
                    format!(
                        "{}{}{}",
                        s.slug,
                        image.unwrap_or_default(),
                        listen.unwrap_or_default()
                    )
                })
                .collect();
            vec![
                d.name.to_string(),
                told(d),
                d.ip.to_string(),
                d.hostname.clone(),
                d.distro.clone(),
                services.join(" "),
                d.last_error.clone().unwrap_or_default(),
            ]
        })
        .collect();
    output::table(
        &[
            "DECKY",
            heading,
            "ADDRESS",
            "HOST NAME",
            "PASSES FOR",
            "SERVICES",
            "LAST ERROR",
        ],
        &rows,
        empty,
    );
}

async fn finish(host: Host, accepted: TaskAccepted, args: WaitArgs, done: &str) -> Result<()> {
    wait(&host, &accepted, args, done).await?;
    host.close().await;
    Ok(())
}

async fn wait(host: &Host, accepted: &TaskAccepted, args: WaitArgs, done: &str) -> Result<()> {
    if args.no_wait {
        if args.json {
            return output::json(accepted);
        }
        println!("Accepted as task {}.", accepted.task);
        return Ok(());
    }
    let task = watch(host, accepted, |task| {
        if !args.json {
            eprintln!("[{}/{}] {}", task.done, task.total, task.step);
        }
    })
    .await?;
    let permit = host.permit::<ViewFleet>()?;
    let report = host.domain.task_report(&permit, task.id).await?;
    if args.json {
        output::json(&report)?;
    } else {
        let reached = match task.status.as_str() {
            "succeeded" => report.deckies.clone(),
            _ => reached(&report, &host.domain.decky_list(&permit).await?),
        };
        if task.status == "succeeded" || !reached.is_empty() {
            println!("{}", counted(&reached, done));
        }
        if !report.reaped.is_empty() {
            println!("{}", counted(&report.reaped, "reaped that nobody wanted"));
        }
    }
    match task.error {
        Some(error) if task.status == "failed" => bail!("{error}"),
        _ => Ok(()),
    }
}

/// How many deckies had what `done` says, and which.
fn counted(deckies: &[DeckyName], done: &str) -> String {
    let names: Vec<_> = deckies.iter().map(ToString::to_string).collect();
    match names.as_slice() {
        [] => format!("0 {done}"),
        names => format!("{} {done}: {}", names.len(), names.join(", ")),
    }
}

/// Which deckies of an order that failed came where they were to: those that its error, where each fault begins with its decky, does not
/// name, and that do now as ordered.
fn reached(report: &TaskReport, there: &[DeckyView]) -> Vec<DeckyName> {
    let (error, operation) = (report.task.error.as_deref(), report.task.operation.as_str());
    let failed = |name: &DeckyName| {
        let mut faults = error.unwrap_or_default().split("; ");
        faults.any(|fault| {
            fault
                .split_once(": ")
                .is_some_and(|(decky, _)| decky == name.as_str())
        })
    };
    let does = |name: &DeckyName| match there.iter().find(|decky| decky.name == *name) {
        None => operation == "teardown",
        Some(decky) if operation == "stop" => decky.state == DeckyState::Stopped,
        Some(decky) => operation != "teardown" && decky.state == DeckyState::Running,
    };
    let named = report.deckies.iter();
    named
        .filter(|name| !failed(name) && does(name))
        .cloned()
        .collect()
}

/// What there is to say of a task that stands still at `step`; without one, nobody has begun it.
fn still(step: &str) -> String {
    if step.is_empty() {
        "waits for its turn: the mutator is at work on something else".to_owned()
    } else {
        format!("still at: {step}")
    }
}

/// Follow a task to its end, telling each step that is new.
pub(crate) async fn watch(
    host: &Host,
    accepted: &TaskAccepted,
    mut each: impl FnMut(&TaskView),
) -> Result<TaskView> {
    let permit = host.permit::<ViewFleet>()?;
    let mut events = host
        .bus
        .subscribe(Pattern::exactly(&Topic::fleet_task(accepted.task)));
    let mut last = None;
    let mut told = tokio::time::Instant::now();
    loop {
        let task = host.domain.task_get(&permit, accepted.task).await?;
        // A task that nobody has begun has no step yet.
        if !task.step.is_empty() && last.as_ref() != Some(&(task.done, task.step.clone())) {
            each(&task);
            last = Some((task.done, task.step.clone()));
            told = tokio::time::Instant::now();
        }
        if task.status != "running" {
            return Ok(task);
        }
        if task.done == 0 && told.elapsed() > PATIENCE {
            if task.step.starts_with("waiting") {
                bail!(
                    "task {} is not done yet, and goes on by itself: {}",
                    task.id,
                    task.step
                );
            }
            if !host.domain.fleet_is_tended(&permit).await? {
                let nobody = format!(
                    "nobody works on task {}: is the mutator running? (`decnet worker list`)",
                    accepted.task
                );
                return Err(StartError::unavailable(nobody).into());
            }
            each(&TaskView {
                step: still(&task.step),
                ..task
            });
            told = tokio::time::Instant::now();
        }
        // The bus says when to look; without it, look now and then.
        let _woken = tokio::time::timeout(Duration::from_millis(500), events.recv()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_stands_still_says_at_what() {
        assert!(still("").starts_with("waits for its turn"));
        assert_eq!(still("start front"), "still at: start front");
    }
}
