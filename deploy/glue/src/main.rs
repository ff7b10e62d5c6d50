//! wasm-split and wasm-bindgen, as far as the dashboard needs them, in one program that is built with all others: their own
//! programs bring a test runner with its servers and clients, and take minutes to install. Cargo.lock holds them to the
//! versions that the code was compiled with. `deploy/xtask/src/site.rs` and `pieces.rs` call it.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use wasm_bindgen_cli_support::Bindgen;

/// What the modules and their glue are called: the page asks for `decnet.js`.
const NAME: &str = "decnet";

/// Makes of compiled WebAssembly what a browser loads.
#[derive(Parser)]
enum Glue {
    /// Cut a module up where it is marked: `decnet.wasm`, its pieces and what fetches them
    Split {
        /// The compiled module
        module: PathBuf,
        /// Folder that the pieces go to
        out: PathBuf,
    },
    /// Make a module callable: `decnet_bg.wasm` and `decnet.js`
    Bind {
        /// The compiled module
        module: PathBuf,
        /// Folder that both go to
        out: PathBuf,
        /// Keep the names that pieces of it link against, and all others: without, a development build is less than half as large, and a
        /// page of it is there in a fifth of the time
        #[arg(long)]
        pieces: bool,
    },
}

fn main() -> Result<()> {
    match Glue::parse() {
        Glue::Split { module, out } => {
            let bytes = fs::read(&module).with_context(|| format!("cannot read {}", module.display()))?;
            let main = out.join(format!("{NAME}.wasm"));
            let script = format!("./{NAME}.js");
            let mut options = wasm_split_cli_support::Options::new(&bytes);
            options.output_dir = &out;
            options.main_out_path = &main;
            options.main_module = &script;
            options.target.web();
            wasm_split_cli_support::transform(options)
                .map_err(|error| anyhow!("cannot cut {} up: {error:#}", module.display()))?;
            Ok(())
        }
        Glue::Bind { module, out, pieces } => Bindgen::new()
            .input_path(&module)
            .out_name(NAME)
            .web(true)?
            .typescript(false)
            .keep_lld_exports(pieces)
            .demangle(!pieces)
            .remove_name_section(!pieces)
            .omit_default_module_path(false)
            .generate(&out)
            .with_context(|| format!("cannot make {} callable", module.display())),
    }
}
