//! `decnet deploy`, `teardown`, `redeploy`, `stop`, `start`, `mutate`, `clear` and `status`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use decnet_domain::DomainError;
use decnet_fleet::{
    BuiltIn, SpecFault, draw_fitting_seed,
    spec::{BAIT, Described, adjust},
};
use decnet_model::{
    clock::{Clock, SystemClock},
    fleet::{DeckySpec, FleetSpec, ServiceSpec},
    name::{DeckyName, ServiceSlug},
    permission::{ManageFleet, ViewFleet},
    state::{DeckyState, WorkerState},
    topic::{Pattern, Topic},
    view::{DeckyView, TaskAccepted, TaskView, WorkerView},
};
use decnet_persona::{Persona, Seed};
use time::OffsetDateTime;

use crate::{
    cli::{BaitArg, ClearArgs, DeployArgs, PlaceArgs, StatusArgs, TargetArgs, WaitArgs},
    host::{Host, usage},
    output,
};

/// The most bytes of a fleet description.
const MAX_FILE: u64 = 512 * 1024;

/// `decnet deploy`
pub(crate) async fn deploy(place: &PlaceArgs, args: &DeployArgs) -> Result<()> {
    let asked = Asked::read(args)?;
    let host = match Host::open(&on_lan(place, args)).await {
        Ok(host) => host,
        Err(error) => return Err(asked.fault_of_itself().unwrap_or(error)),
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
    let gateway = args.gateway.map(|address| format!("fleet-gateway={address}"));
    place
        .set
        .extend([driver, interface, gateway].into_iter().flatten());
    place
}

/// Show what would be deployed. A machine is what its seed makes of it, so those that are new get theirs here, and it is
/// told: with it, what is shown is what will be deployed.
async fn preview(host: &Host, mut asked: Asked, as_json: bool) -> Result<()> {
    let permit = host.permit::<ViewFleet>()?;
    let unsown = asked.judged(host.domain.decky_preview(&permit, asked.spec.clone()).await)?;
    let there = host.domain.decky_list(&permit).await?;
    let sown = sow(&mut asked.spec, &unsown, &there);
    let plan = asked.judged(host.domain.decky_preview(&permit, asked.spec.clone()).await)?;
    let deckies = asked.spec.deckies.iter();
    let specs = deckies.flat_map(|decky| std::iter::repeat_n(decky, amount(decky)));
    if as_json {
        let mut listed = serde_json::to_value(&plan)?;
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
        return output::json(&listed);
    }
    print_deckies(
        &plan,
        |decky| decky.state.to_string(),
        "Nothing would be deployed.",
    );
    for (decky, spec) in plan.iter().zip(specs) {
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
    println!("Nothing was changed (--dry-run).");
    for (field, seed) in sown {
        println!(
            "To deploy these very machines: {}",
            asked.seed_given(field, &seed)
        );
    }
    Ok(())
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
    /// The words of the command line, which named these services.
    Words(Vec<ServiceSlug>),
    /// A JSON file, whose faults are told by field.
    Json(PathBuf, Described),
    /// An INI file, whose faults are told by line.
    Ini(PathBuf, Described),
}

impl Asked {
    fn read(args: &DeployArgs) -> Result<Self> {
        let Some(path) = &args.file else {
            return Ok(Self {
                spec: FleetSpec {
                    deckies: vec![from_args(args)?],
                    replace: args.replace,
                },
                source: Source::Words(args.services.clone()),
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
            (Source::Words(_), _) => format!("--seed {seed}"),
            (Source::Ini(..), Some(section)) => format!("seed = {seed} below [{section}]"),
            _ => format!("deckies[{at}].seed {seed}"),
        }
    }

    /// Whether there is nothing in the file that could not be read.
    fn is_read(&self) -> bool {
        match &self.source {
            Source::Ini(_, described) | Source::Json(_, described) => described.is_read(),
            Source::Words(_) => true,
        }
    }

    /// What is wrong with the file by itself, for those who have no installation to ask.
    fn fault_of_itself(&self) -> Option<anyhow::Error> {
        let (Source::Ini(path, described) | Source::Json(path, described)) = &self.source else {
            return None;
        };
        let faults = described.faults(decnet_fleet::check(&described.spec, &BuiltIn));
        (!faults.is_empty()).then(|| refused(path, &faults))
    }

    /// What the installation made of it. Where that or the file has faults, all of them, by line where it has lines.
    fn judged<T>(&self, outcome: Result<T, DomainError>) -> Result<T> {
        let (path, described, outcome) = match (&self.source, outcome) {
            (Source::Words(named), Err(DomainError::Invalid(mut faults))) => {
                for fault in &mut faults {
                    fault.field = option_of(&fault.field, &self.spec, named);
                }
                return Err(DomainError::Invalid(faults).into());
            }
            (Source::Words(_), outcome) => return Ok(outcome?),
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
pub(crate) async fn teardown(place: &PlaceArgs, args: &TargetArgs) -> Result<()> {
    let host = Host::open(place).await?;
    let accepted = host
        .domain
        .decky_teardown(&host.permit::<ManageFleet>()?, &args.names)
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
    let names = targets(&host, args, |decky| !decky.stopped).await?;
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
        let persona = host
            .domain
            .decky_persona(&host.permit::<ManageFleet>()?, name)
            .await?;
        return print_persona(&persona, args.list.json);
    }
    let deckies = host.domain.decky_list(&permit).await?;
    let unheard = unheard(&host.domain.worker_list(&permit).await?);
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

/// # Errors
/// Where a knob or a folder is given twice: one of the two would be lost.
fn from_args(args: &DeployArgs) -> Result<DeckySpec> {
    let mut knobs: BTreeMap<&ServiceSlug, BTreeMap<&str, &str>> = BTreeMap::new();
    let mut bait = None;
    let twice = |option: String| Err(usage(format!("{option}: it stands twice")));
    for knob in &args.knobs {
        let of_service = knobs.entry(&knob.service).or_default();
        if of_service.insert(&knob.key, &knob.value).is_some() {
            return twice(format!("--knob {}.{}", knob.service, knob.key));
        }
    }
    for BaitArg { service, folder } in &args.bait {
        let before = match service {
            Some(service) => knobs.entry(service).or_default().insert(BAIT, folder),
            None => bait.replace(folder.as_str()),
        };
        if before.is_some() {
            let of = service.as_ref().map(|service| format!(" {service}"));
            return twice(format!("--bait{}", of.unwrap_or_default()));
        }
    }
    let mut spec = DeckySpec {
        name: args.name.clone(),
        amount: Some(args.deckies.unwrap_or(1)),
        archetype: args.archetype.clone(),
        services: args.services.iter().cloned().map(ServiceSpec::of).collect(),
        randomize_services: args.randomize_services,
        distro: args.distro.clone(),
        os: args.os.clone(),
        ip: args.ip,
        mac: args.mac.clone(),
        hostname: args.hostname.clone(),
        seed: args.seed.clone(),
        egress: args.egress.clone(),
        bait: bait.map(str::to_owned),
        mutate_interval_minutes: args.mutate_interval,
    };
    for (slug, knobs) in knobs {
        adjust(&mut spec, slug, knobs, &BuiltIn);
    }
    Ok(spec)
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

/// Who a decky pretends to be, its accounts with their passwords: only who may manage the fleet gets here.
fn print_persona(persona: &Persona, as_json: bool) -> Result<()> {
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
    if as_json {
        let about: serde_json::Map<String, serde_json::Value> = rows
            .into_iter()
            .map(|(k, v)| (k.replace(' ', "_").to_lowercase(), v.into()))
            .collect();
        let users: Vec<_> = persona
            .users
            .iter()
            .map(|u| serde_json::json!({ "name": u.name, "full_name": u.full_name, "uid": u.uid, "home": u.home, "password": u.password }))
            .collect();
        return output::json(&serde_json::json!({ "persona": about, "users": users }));
    }
    for (what, value) in rows {
        println!("{what:<12} {value}");
    }
    println!();
    output::table(&["USER", "FULL NAME", "UID", "HOME", "PASSWORD"], &users, "");
    Ok(())
}

fn print_deckies(deckies: &[DeckyView], state: impl Fn(&DeckyView) -> String, empty: &str) {
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
                state(d),
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
            "STATE",
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
        if task.status == "succeeded" {
            println!("{}", counted(&report.deckies, done));
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
    format!("{} {done}: {}", names.len(), names.join(", "))
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
        if task.done == 0 && told.elapsed() > Duration::from_secs(40) {
            if task.step.starts_with("waiting") {
                bail!(
                    "task {} is not done yet, and goes on by itself: {}",
                    task.id,
                    task.step
                );
            }
            bail!(
                "nobody works on task {}: is the mutator running? (`decnet worker list`)",
                accepted.task
            );
        }
        // The bus says when to look; without it, look now and then.
        let _woken = tokio::time::timeout(Duration::from_millis(500), events.recv()).await;
    }
}
