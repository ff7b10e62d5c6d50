//! The release dashboard's WebAssembly: without what never runs, and in pieces, one for each page.
//!
//! `pieces!` of `app/src/piece.rs` marks where a page can be cut off. wasm-split finds what only that page needs, what
//! several share, and leaves the rest in the main module, which every page loads. That makes hundreds of small modules; those
//! that a page needs are merged into one, with what several pages share in each of theirs: one transfer, one compilation, and what calls
//! each other in it does so directly. Development builds are not cut: they have to be quick to build, and the code is the same
//! but for when it arrives.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    thread,
};

use anyhow::{Context, Result, bail};

use crate::{
    place::{Place, Profile},
    programs,
    shear::shear,
    shell::{sh, sh_quiet},
    site::npm_program,
    wasm,
};

/// What rustc needs for it: to split a module is to know what refers to what.
pub(crate) const RELOCATIONS: &str = "-Clink-args=--emit-relocs";
/// The feature of `decnet-frontend` that marks where to cut.
pub(crate) const FEATURE: &str = "split";
/// Page by page, the pieces that it needs: for the server, which names them in the page's head.
pub(crate) const MANIFEST: &str = "pieces.json";

/// What rustc uses of WebAssembly. With more, wasm-opt writes what browsers do not read yet.
const WASM_FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// Files that wasm-split makes: the main module and what fetches the others.
pub(crate) const MAIN: &str = "decnet.wasm";
pub(crate) const LOADER: &str = "__wasm_split.js";

/// Cut `compiled` up and put what browsers load into `pkg`.
pub(crate) fn make(place: &Place, compiled: &Path, pkg: &Path) -> Result<()> {
    let scratch = place.target.join("pieces");
    if scratch.exists() {
        fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))?;
    }
    fs::create_dir_all(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
    let shorn = scratch.join("shorn.wasm");
    fs::write(&shorn, without_what_never_runs(compiled)?)
        .with_context(|| format!("cannot write {}", shorn.display()))?;
    let cut = scratch.join("cut");
    let program = programs::glue(place, Profile::Release);
    sh(Command::new(&program).arg("split").arg(&shorn).arg(&cut))?;
    let glued = scratch.join("glued");
    sh(Command::new(&program)
        .args(["bind", "--pieces"])
        .arg(cut.join(MAIN))
        .arg(&glued))?;
    name_shortly(&glued.join("decnet_bg.wasm"), &glued.join("decnet.js"))?;
    without_words(place, &glued.join("decnet.js"), &pkg.join("decnet.js"))?;
    let loader = fs::read_to_string(cut.join(LOADER)).with_context(|| format!("cannot read {LOADER}"))?;
    let needs = needs_of(&loader);
    let link = scratch.join(module("link"));
    fs::write(&link, link_of(&cut, &needs)?).with_context(|| format!("cannot write {}", link.display()))?;
    let variables = variables(&shorn)?;
    let main = || optimise(place, &glued.join("decnet_bg.wasm"), &pkg.join(MAIN), &[]);
    let page = |page: &str, pieces: &[String]| {
        let merged = scratch.join(module(page));
        merge(place, &link, &cut, pieces, &merged)?;
        let file = pkg.join(module(&file_of(page)));
        optimise(place, &merged, &file, PAGE_ONLY)?;
        leaves_variables_alone(&file, variables)
    };
    let mut work: Vec<Box<dyn Fn() -> Result<()> + Send>> = vec![Box::new(main)];
    for (name, pieces) in &needs {
        work.push(Box::new(|| page(name, pieces)));
    }
    all_of(work)?;
    let modules: Vec<_> = [pkg.join(MAIN)]
        .into_iter()
        .chain(needs.keys().map(|page| pkg.join(module(&file_of(page)))))
        .collect();
    compile(modules.iter())?;
    fs::write(pkg.join(LOADER), loader_of(&loader, &needs)?)
        .with_context(|| format!("cannot write {LOADER}"))?;
    let files: BTreeMap<_, _> = needs.keys().map(|page| (page, [file_of(page)])).collect();
    fs::write(pkg.join(MANIFEST), serde_json::to_vec_pretty(&files)?)
        .with_context(|| format!("cannot write {MANIFEST}"))
}

/// The name of a page's file, without its ending.
fn file_of(page: &str) -> String {
    format!("page_{page}")
}

fn module(name: &str) -> String {
    format!("{name}.wasm")
}

/// What of the main module the pieces need: they link against nothing else.
const SHARED: &str = "main";

/// Do all of `work`, as much at a time as there are processors. The first error is told.
fn all_of(work: Vec<Box<dyn Fn() -> Result<()> + Send + '_>>) -> Result<()> {
    let work = Mutex::new(work.into_iter());
    let next = || work.lock().ok()?.next();
    let some = || std::iter::from_fn(next).try_for_each(|task| task());
    thread::scope(|scope| {
        let threads: Vec<_> = (0..thread::available_parallelism().map_or(1, usize::from))
            .map(|_| scope.spawn(some))
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| bail!("a thread of it panicked")))
    })
}

/// A module that has what the pieces import from what it imports itself. They all import the same; merged with it they do so once.
fn link_of(cut: &Path, needs: &BTreeMap<String, Vec<String>>) -> Result<Vec<u8>> {
    let mut shared = BTreeMap::new();
    for name in needs.values().flatten() {
        let file = cut.join(module(name));
        let piece = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let imports = wasm::sections(&piece)
            .and_then(|sections| wasm::imports(&piece, &sections))
            .with_context(|| format!("cannot read what {} imports", file.display()))?;
        for import in imports {
            if import.kind == wasm::FUNCTION {
                bail!(
                    "{} imports the function {}; nobody expected that",
                    file.display(),
                    import.name
                );
            }
            shared.insert(import.name.to_owned(), (import.kind, import.form.to_vec()));
        }
    }
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    wasm::write_number(&mut imports, shared.len());
    wasm::write_number(&mut exports, shared.len());
    let mut of_kind = BTreeMap::<u8, usize>::new();
    for (name, (kind, form)) in &shared {
        let import = wasm::Import {
            from: SHARED,
            name,
            kind: *kind,
            form,
        };
        wasm::write_import(&mut imports, &import);
        wasm::write_text(&mut exports, name);
        exports.push(*kind);
        let index = of_kind.entry(*kind).or_default();
        wasm::write_number(&mut exports, *index);
        *index += 1;
    }
    let mut link = wasm::HEADER.to_vec();
    wasm::write_section(&mut link, wasm::IMPORT, &imports);
    wasm::write_section(&mut link, wasm::EXPORT, &exports);
    Ok(link)
}

/// Make one module of the `pieces` of a page.
fn merge(place: &Place, link: &Path, cut: &Path, pieces: &[String], to: &Path) -> Result<()> {
    let mut command = Command::new(npm_program(place, "wasm-merge"));
    command.arg(link).arg("__wasm_split");
    for piece in pieces {
        command.arg(cut.join(module(piece))).arg(piece);
    }
    command
        .args(WASM_FEATURES)
        .arg("--enable-multimemory")
        .arg("-o")
        .arg(to);
    sh_quiet(&mut command)
}

/// Where in the memory the data begins that the program changes; what is before that is constant.
fn variables(program: &Path) -> Result<usize> {
    let module = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let find = || {
        let sections = wasm::sections(&module)?;
        let data = wasm::data(&module, &sections)?;
        let names = wasm::data_names(&module, &sections)?;
        let (index, _) = names.into_iter().find(|(_, name)| *name == ".data")?;
        Some(data.get(index)?.start)
    };
    find().with_context(|| format!("{} does not tell where its variables are", program.display()))
}

/// Fail where a page's module would set variables as it starts: what several pages share starts once with each of them.
fn leaves_variables_alone(page: &Path, variables: usize) -> Result<()> {
    let module = fs::read(page).with_context(|| format!("cannot read {}", page.display()))?;
    let data = wasm::sections(&module)
        .and_then(|sections| wasm::data(&module, &sections))
        .with_context(|| format!("cannot read the data of {}", page.display()))?;
    if data.iter().any(|data| !data.is_empty() && data.end > variables) {
        bail!(
            "{} sets a variable as it starts, and would do so again with every page that shares it: \
             let that variable begin with zeros, or use it in `app/src/lib.rs`, too",
            page.display()
        );
    }
    Ok(())
}

/// What fetches the pieces of a page and calls back: the runtime that wasm-split wrote, and how they lie in our files.
fn loader_of(written: &str, needs: &BTreeMap<String, Vec<String>>) -> Result<String> {
    let runtime: String = written
        .lines()
        .take_while(|line| {
            !line.starts_with("/* ") && !line.contains("const __chunk_") && !line.contains(ENTRY)
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    if needs.is_empty()
        || !runtime.contains("function wrapAsyncCb(")
        || !runtime.contains("function getSharedImports(")
    {
        bail!("wasm-split writes another {LOADER} than it did when this was written");
    }
    let mut loader = runtime + LOAD;
    for page in needs.keys() {
        // Writing to a string cannot fail.
        let _written = writeln!(
            loader,
            "export const {ENTRY}{page} = wrapAsyncCb(() => load(\"{}\"));",
            module(&file_of(page))
        );
    }
    Ok(loader)
}

/// How the WebAssembly calls the function that loads a page; its name follows.
const ENTRY: &str = "__wasm_split_load_";

/// Start a page's module, once. One that fails may be tried again.
const LOAD: &str = r"
const there = new Map();
function load(file) {
    if (!there.has(file)) {
        const fetched = fetch(new URL(file, import.meta.url));
        const coming = WebAssembly.instantiateStreaming(fetched, { main: getSharedImports().__wasm_split });
        coming.catch(() => there.delete(file));
        there.set(file, coming);
    }
    return there.get(file);
}
";

/// The module without the asynchronous hydration of erased views.
///
/// Leptos keeps it for each type of view although nothing calls it: pages are taken over in one go, once their piece is
/// there (leptos-rs/leptos, issue 4852; gone in 0.9). Were it called all the same, no release page would come alive, which
/// the browser tests see.
fn without_what_never_runs(compiled: &Path) -> Result<Vec<u8>> {
    let module = fs::read(compiled).with_context(|| format!("cannot read {}", compiled.display()))?;
    let shorn = shear(&module, |name| {
        ["any_view", "into_any", "hydrate_async"]
            .iter()
            .all(|part| name.contains(part))
    })
    .with_context(|| format!("cannot read {}", compiled.display()))?;
    if shorn.functions == 0 {
        bail!("there is no asynchronous hydration of erased views any more: take its removal out");
    }
    println!("    {} functions that never run are taken out", shorn.functions);
    Ok(shorn.module)
}

/// For size, as brotli leaves it: rustc has put functions into each other where that pays, and doing it again, like naming what is
/// computed twice, takes half of the time for more bytes (a sixteenth more of the main module). `-Oz` makes less of it, of which brotli
/// leaves more, and so does a second time. Below 1,024 there is the end of the stack and nothing else, so an offset may be a part of an
/// access to memory.
const OPTIMISE: [&str; 4] = [
    "-Os",
    "--skip-pass=inlining-optimizing",
    "--skip-pass=local-cse",
    "--low-memory-unused",
];

/// What is said to the optimiser of a page's module alone: its variables are zero before it starts, so it need not set them; and nobody
/// changes the table's entries that it fills in, so it may call what stands there.
const PAGE_ONLY: &[&str] = &[
    "--zero-filled-memory",
    "--pass-arg=directize-initial-contents-immutable",
    "--directize",
];

fn optimise(place: &Place, from: &Path, to: &Path, more: &[&str]) -> Result<()> {
    let mut command = Command::new(npm_program(place, "wasm-opt"));
    command
        .args(more)
        .args(OPTIMISE)
        .args(WASM_FEATURES)
        .arg(from)
        .arg("-o")
        .arg(to);
    // It warns of a name section that is newer than it, for each piece; the section is not kept anyway.
    sh_quiet(&mut command)
}

/// Give what the glue hands to the `program` short names in both: wasm-bindgen's end in sixteen digits that no compression shortens.
fn name_shortly(program: &Path, glue: &Path) -> Result<()> {
    let module = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let mut script = fs::read_to_string(glue).with_context(|| format!("cannot read {}", glue.display()))?;
    let (module, renamed) = with_short_names(&module).context("cannot read what the program imports")?;
    if renamed.is_empty() {
        bail!(
            "wasm-bindgen names what it hands to the program in another way than it did when this was written"
        );
    }
    for (name, short) in renamed {
        script = script.replace(&name, &short);
    }
    fs::write(program, module).with_context(|| format!("cannot write {}", program.display()))?;
    fs::write(glue, script).with_context(|| format!("cannot write {}", glue.display()))
}

/// The module with other names in the place of those, and which ones.
fn with_short_names(module: &[u8]) -> Option<(Vec<u8>, BTreeMap<String, String>)> {
    let is_long = |name: &str| {
        let digits = name
            .strip_prefix("__wbg_")
            .and_then(|rest| rest.rsplit('_').next());
        digits.is_some_and(|digits| digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let sections = wasm::sections(module)?;
    let mut renamed = BTreeMap::new();
    let mut imports = Vec::new();
    let all = wasm::imports(module, &sections)?;
    wasm::write_number(&mut imports, all.len());
    for mut import in all {
        let short = format!("_{}", renamed.len());
        if is_long(import.name) {
            renamed.insert(import.name.to_owned(), short.clone());
            import.name = &short;
        }
        wasm::write_import(&mut imports, &import);
    }
    let mut out = wasm::HEADER.to_vec();
    for section in sections {
        let payload = module.get(section.payload.clone())?;
        let payload = if section.id == wasm::IMPORT {
            &imports
        } else {
            payload
        };
        wasm::write_section(&mut out, section.id, payload);
    }
    Some((out, renamed))
}

/// A module of JavaScript without what only people read.
fn without_words(place: &Place, from: &Path, to: &Path) -> Result<()> {
    let out = format!("--outfile={}", to.display());
    sh_quiet(
        Command::new(npm_program(place, "esbuild"))
            .args(["--minify", "--format=esm", "--log-level=error"])
            .arg(out)
            .arg(from),
    )
}

/// Fail where node, which reads what browsers read, does not take one of the modules.
fn compile<'m>(modules: impl Iterator<Item = &'m PathBuf>) -> Result<()> {
    let script = "const f=require('node:fs');\
        Promise.all(process.argv.slice(1).map((p)=>WebAssembly.compile(f.readFileSync(p))\
        .catch((error)=>{throw new Error(p+': '+error.message)})))\
        .catch((error)=>{console.error(error.message);process.exit(1)})";
    sh(Command::new("node").args(["-e", script]).args(modules))
        .context("no browser would read the optimised WebAssembly")
}

/// Page by page, the modules that `loader` fetches for it, without their endings.
///
/// What several pages share stands in it as `/* one, another */`, then the line that fetches it; a page's own piece
/// stands behind the name of its function, `__wasm_split_load_PAGE`.
fn needs_of(loader: &str) -> BTreeMap<String, Vec<String>> {
    let mut needs = BTreeMap::<String, Vec<String>>::new();
    let mut pages = Vec::new();
    for line in loader.lines() {
        if let Some(shared) = line.strip_prefix("/* ").and_then(|l| l.strip_suffix(" */")) {
            pages = shared.split(", ").map(str::to_owned).collect();
        } else if let Some((_, rest)) = line.split_once(ENTRY) {
            let page = rest.split(' ').next().unwrap_or_default();
            needs.entry(page.to_owned()).or_default();
            pages = vec![page.to_owned()];
        } else if let Some((_, rest)) = line.split_once("new URL(\"./")
            && let Some((module, _)) = rest.split_once(".wasm\"")
        {
            for page in pages.drain(..) {
                needs.entry(page).or_default().push(module.to_owned());
            }
        }
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_needs_what_it_shares_and_its_own_piece_if_it_has_one() {
        let loader = r#"import { initSync } from "./decnet.js";
/* fleet, live */
const __chunk_3 = makeLoad(() => {
    const src = fetch(new URL("./chunk_3.wasm", import.meta.url));
    return async (imports) => (WebAssembly.instantiateStreaming(src, imports));
}
, []);
export const __wasm_split_load_live = wrapAsyncCb(makeLoad(() => {
    const src = fetch(new URL("./split_live.wasm", import.meta.url));
    return async (imports) => (WebAssembly.instantiateStreaming(src, imports));
}
, [__chunk_3]));
export const __wasm_split_load_fleet = wrapAsyncCb(makeLoad(() => async (_imp) => ({}), [__chunk_3]));
"#;
        let needs = needs_of(loader);
        assert_eq!(needs["live"], ["chunk_3", "split_live"]);
        assert_eq!(needs["fleet"], ["chunk_3"]);
        assert_eq!(needs.len(), 2);
    }

    #[test]
    fn pieces_are_linked_by_one_module_that_hands_on_what_all_of_them_import() {
        let cut = std::env::temp_dir().join(format!("xtask-pieces-{}", std::process::id()));
        fs::create_dir_all(&cut).unwrap();
        let piece = |name: &str, imports: &[u8]| {
            let mut piece = wasm::HEADER.to_vec();
            wasm::write_section(&mut piece, wasm::IMPORT, imports);
            fs::write(cut.join(module(name)), piece).unwrap();
        };
        piece("chunk_1", b"\x01\x01s\x01m\x02\0\x14");
        piece("split_live", b"\x02\x01s\x01g\x03\x7f\x01\x01s\x01m\x02\0\x14");
        let needs =
            |piece: &str| BTreeMap::from([("live".to_owned(), vec!["chunk_1".to_owned(), piece.to_owned()])]);
        let link = link_of(&cut, &needs("split_live")).unwrap();
        let sections = wasm::sections(&link).unwrap();
        let imports = wasm::imports(&link, &sections).unwrap();
        let told: Vec<_> = imports.iter().map(|i| (i.name, i.kind)).collect();
        assert_eq!(told, [("g", 3), ("m", 2)]);
        let exports = &link[sections.last().unwrap().payload.clone()];
        assert_eq!(exports, b"\x02\x01g\x03\0\x01m\x02\0");
        piece("split_odd", b"\x01\x01s\x01f\0\0");
        assert!(
            link_of(&cut, &needs("split_odd")).is_err(),
            "a function that is imported is told"
        );
        fs::remove_dir_all(&cut).unwrap();
    }

    #[test]
    fn what_the_glue_hands_over_has_short_names_and_everything_else_its_own() {
        let mut imports = vec![3];
        for (from, name) in [
            ("./glue.js", "__wbg_new_bb74001155cb8ca8"),
            ("./glue.js", "__wbindgen_throw"),
            ("./glue.js", "__wbg_new_0000000000000001"),
        ] {
            wasm::write_import(
                &mut imports,
                &wasm::Import {
                    from,
                    name,
                    kind: wasm::FUNCTION,
                    form: &[0],
                },
            );
        }
        let mut module = wasm::HEADER.to_vec();
        wasm::write_section(&mut module, 1, b"\x01\x60\0\0");
        wasm::write_section(&mut module, wasm::IMPORT, &imports);
        let (short, renamed) = with_short_names(&module).unwrap();
        let pairs: Vec<_> = renamed.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("__wbg_new_0000000000000001", "_1"),
                ("__wbg_new_bb74001155cb8ca8", "_0")
            ]
        );
        let sections = wasm::sections(&short).unwrap();
        let names: Vec<_> = wasm::imports(&short, &sections)
            .unwrap()
            .iter()
            .map(|i| i.name)
            .collect();
        assert_eq!(names, ["_0", "__wbindgen_throw", "_1"]);
        assert_eq!(sections[0].payload, 10..14, "what is before it stays");
    }
}
