//! Taking functions that never run out of WebAssembly that is linked with relocations (`--emit-relocs`).
//!
//! The body of such a function becomes a trap, and what it refers to is forgotten. It keeps its length, so that nothing
//! else moves; whoever splits the module then finds what only it needed unreachable, and leaves that out. Nothing is decided
//! here: the caller names the functions, and answers for them.
//!
//! Relocations:
//! <https://github.com/WebAssembly/tool-conventions/blob/main/Linking.md>.

use std::ops::Range;

use anyhow::{Context, Result, bail};

use crate::wasm::{
    CODE, FUNCTION, FUNCTION_NAMES, HEADER, Reader, custom, imports, names, sections, write_number,
    write_section,
};

const UNREACHABLE: u8 = 0x00;
const NOP: u8 = 0x01;
const END: u8 = 0x0b;

/// What was taken out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shorn {
    /// The module without it.
    pub(crate) module: Vec<u8>,
    /// How many functions.
    pub(crate) functions: usize,
}

/// `module` without the bodies of the functions whose (mangled) names `never_runs` knows.
pub(crate) fn shear(module: &[u8], never_runs: impl Fn(&str) -> bool) -> Result<Shorn> {
    let sections = sections(module).context("this is no WebAssembly")?;
    let code = sections
        .iter()
        .find(|s| s.id == CODE)
        .context("there is no code in it")?;
    let imported = imports(module, &sections)
        .context("its imports are unreadable")?
        .iter()
        .filter(|import| import.kind == FUNCTION)
        .count();
    let bodies = bodies(&mut code.reader(module)).context("its code is unreadable")?;
    let named = custom(module, &sections, "name").context("its functions have no names")?;
    let mut shorn: Vec<Range<usize>> = names(named, FUNCTION_NAMES)
        .context("the names of its functions are unreadable")?
        .into_iter()
        .filter(|(_, name)| never_runs(name))
        .filter_map(|(index, _)| bodies.get(index.checked_sub(imported)?).cloned())
        // The shortest trap.
        .filter(|body| body.len() >= 3)
        .collect();
    shorn.sort_by_key(|body| body.start);
    let mut out = Vec::with_capacity(module.len());
    out.extend_from_slice(HEADER);
    for section in &sections {
        let payload = module.get(section.payload.clone()).context("it ends early")?;
        let payload = if section.id == CODE {
            trapped(payload, section.payload.start, &shorn)
        } else if section.name(module) == Some("reloc.CODE") {
            let base = code.payload.start;
            without_relocations(payload, &|offset| {
                let after = shorn.partition_point(|body| body.start <= base + offset);
                let body = after.checked_sub(1).and_then(|at| shorn.get(at));
                body.is_some_and(|body| body.contains(&(base + offset)))
            })
            .context("its relocations are unreadable")?
        } else {
            payload.to_vec()
        };
        write_section(&mut out, section.id, &payload);
    }
    Ok(Shorn {
        module: out,
        functions: shorn.len(),
    })
}

/// Where the bodies of the functions are in the module.
fn bodies(reader: &mut Reader<'_>) -> Option<Vec<Range<usize>>> {
    (0..reader.number()?)
        .map(|_| {
            let length = reader.number()?;
            let start = reader.at;
            reader.skip(length)?;
            Some(start..reader.at)
        })
        .collect()
}

/// The code with a trap in the place of each of `shorn`, which are in the module, as its start is.
fn trapped(code: &[u8], start: usize, shorn: &[Range<usize>]) -> Vec<u8> {
    let mut code = code.to_vec();
    for body in shorn {
        let here = body.start - start..body.end - start;
        if let Some([locals, trap, rest @ .., end]) = code.get_mut(here) {
            *locals = 0;
            *trap = UNREACHABLE;
            rest.fill(NOP);
            *end = END;
        }
    }
    code
}

/// The payload of a section of relocations without those at offsets that `gone` knows.
fn without_relocations(payload: &[u8], gone: &impl Fn(usize) -> bool) -> Result<Vec<u8>> {
    let mut reader = Reader {
        bytes: payload,
        at: 0,
    };
    let mut head = || {
        reader.text()?;
        reader.number()?;
        let before = reader.at;
        Some((before, reader.number()?))
    };
    let (before, count) = head().context("it ends early")?;
    let mut kept = Vec::new();
    let mut left = 0;
    for _ in 0..count {
        let start = reader.at;
        let mut entry = || {
            let kind = reader.byte()?;
            let offset = reader.number()?;
            reader.number()?;
            Some((kind, offset))
        };
        let (kind, offset) = entry().context("it ends early")?;
        match has_addend(kind) {
            Some(true) => {
                reader.number().context("it ends early")?;
            }
            Some(false) => {}
            None => bail!("there is a relocation of kind {kind}, which nobody knew when this was written"),
        }
        if !gone(offset) {
            left += 1;
            kept.extend_from_slice(payload.get(start..reader.at).unwrap_or_default());
        }
    }
    let mut out = payload.get(..before).unwrap_or_default().to_vec();
    write_number(&mut out, left);
    out.extend(kept);
    Ok(out)
}

/// Whether a relocation of that kind carries a number that is added.
fn has_addend(kind: u8) -> Option<bool> {
    match kind {
        // R_WASM_MEMORY_ADDR_*, R_WASM_FUNCTION_OFFSET_*, R_WASM_SECTION_OFFSET_I32
        3..=5 | 8 | 9 | 11 | 14..=17 | 21..=23 | 25 => Some(true),
        // R_WASM_FUNCTION_INDEX_*, R_WASM_TABLE_*, R_WASM_TYPE_INDEX_LEB, R_WASM_GLOBAL_INDEX_*, R_WASM_TAG_INDEX_LEB
        0..=2 | 6 | 7 | 10 | 12 | 13 | 18..=20 | 24 | 26 => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm::{CUSTOM, IMPORT, write_text};

    fn section(id: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_section(&mut out, id, payload);
        out
    }

    fn named(name: &str, content: &[u8]) -> Vec<u8> {
        let mut payload = Vec::new();
        write_text(&mut payload, name);
        payload.extend_from_slice(content);
        section(CUSTOM, &payload)
    }

    /// An imported function, and two of its own that call it: the second and the third of the module.
    fn module() -> Vec<u8> {
        let body = [0, 0x10, 0x80, 0x80, 0x80, 0x80, 0, END];
        let mut code = vec![2];
        for _ in 0..2 {
            code.push(8);
            code.extend(body);
        }
        // Kind, offset in the code section, index.
        let relocations = [3, 2, 0, 3, 0, 0, 12, 0];
        [
            b"\0asm\x01\0\0\0".to_vec(),
            section(1, &[1, 0x60, 0, 0]),
            section(IMPORT, &[1, 1, b'm', 1, b'f', 0, 0]),
            section(3, &[2, 0, 0]),
            section(CODE, &code),
            named("reloc.CODE", &relocations),
            named(
                "name",
                &[FUNCTION_NAMES, 10, 3, 0, 1, b'f', 1, 1, b'g', 2, 1, b'h'],
            ),
        ]
        .concat()
    }

    #[test]
    fn a_function_that_never_runs_becomes_a_trap_of_the_same_length_without_relocations() {
        let before = module();
        let after = shear(&before, |name| name == "g").unwrap();
        assert_eq!(after.functions, 1);
        let trap = [0, UNREACHABLE, NOP, NOP, NOP, NOP, NOP, END];
        let at = before.windows(2).position(|w| w == [8, 0]).unwrap() + 1;
        assert_eq!(after.module[at..at + 8], trap);
        assert_eq!(
            after.module[at + 9..at + 17],
            before[at + 9..at + 17],
            "the other function stays"
        );
        let kept = named("reloc.CODE", &[3, 1, 0, 12, 0]);
        assert!(
            after.module.windows(kept.len()).any(|w| w == kept),
            "one relocation is left: {:?}",
            after.module
        );
    }

    #[test]
    fn a_module_without_such_functions_stays_as_it_is_and_another_file_is_refused() {
        let before = module();
        let after = shear(&before, |_| false).unwrap();
        assert_eq!((after.functions, after.module), (0, before));
        for cut in 0..module().len() {
            // Whatever is left of it: an answer, no panic.
            let _answer = shear(&module()[..cut], |name| name == "g");
        }
        assert!(shear(b"#!/bin/sh", |_| true).is_err());
    }
}
