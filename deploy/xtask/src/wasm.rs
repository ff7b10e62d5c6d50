//! What is needed of WebAssembly's binary format: <https://webassembly.github.io/spec/core/binary/>.

use std::ops::Range;

pub(crate) const CUSTOM: u8 = 0;
pub(crate) const IMPORT: u8 = 2;
pub(crate) const EXPORT: u8 = 7;
pub(crate) const CODE: u8 = 10;
pub(crate) const DATA: u8 = 11;
/// Parts of the section of names.
pub(crate) const FUNCTION_NAMES: u8 = 1;
const DATA_NAMES: u8 = 9;

/// The kind of a function among what is imported.
pub(crate) const FUNCTION: u8 = 0;
const I32_CONST: u8 = 0x41;
const END: u8 = 0x0b;

/// `\0asm` and the version.
pub(crate) const HEADER: &[u8] = b"\0asm\x01\0\0\0";

/// A part of a module.
pub(crate) struct Section {
    pub(crate) id: u8,
    /// Where its content is in the module.
    pub(crate) payload: Range<usize>,
}

impl Section {
    /// Reads its content.
    pub(crate) fn reader<'m>(&self, module: &'m [u8]) -> Reader<'m> {
        Reader {
            bytes: module.get(..self.payload.end).unwrap_or_default(),
            at: self.payload.start,
        }
    }

    /// The name of a custom section.
    pub(crate) fn name<'m>(&self, module: &'m [u8]) -> Option<&'m str> {
        (self.id == CUSTOM).then(|| self.reader(module).text()).flatten()
    }
}

/// The sections of a module, if it is one.
pub(crate) fn sections(module: &[u8]) -> Option<Vec<Section>> {
    let mut reader = Reader {
        bytes: module,
        at: HEADER.len(),
    };
    let mut sections = Vec::new();
    while reader.at < module.len() {
        let id = reader.byte()?;
        let length = reader.number()?;
        let start = reader.at;
        reader.skip(length)?;
        sections.push(Section {
            id,
            payload: start..reader.at,
        });
    }
    module.starts_with(HEADER).then_some(sections)
}

/// What follows the name of a custom section.
pub(crate) fn custom<'m>(module: &'m [u8], sections: &[Section], name: &str) -> Option<Reader<'m>> {
    let section = sections.iter().find(|s| s.name(module) == Some(name))?;
    let mut reader = section.reader(module);
    reader.text()?;
    Some(reader)
}

/// What a module imports.
pub(crate) struct Import<'m> {
    pub(crate) from: &'m str,
    pub(crate) name: &'m str,
    /// [`FUNCTION`] or another.
    pub(crate) kind: u8,
    /// Its type, as it is written.
    pub(crate) form: &'m [u8],
}

pub(crate) fn imports<'m>(module: &'m [u8], sections: &[Section]) -> Option<Vec<Import<'m>>> {
    let Some(section) = sections.iter().find(|s| s.id == IMPORT) else {
        return Some(Vec::new());
    };
    let mut reader = section.reader(module);
    (0..reader.number()?)
        .map(|_| {
            let (from, name) = (reader.text()?, reader.text()?);
            let kind = reader.byte()?;
            let start = reader.at;
            match kind {
                FUNCTION => {
                    reader.number()?;
                }
                // A table.
                1 => {
                    reader.byte()?;
                    reader.limits()?;
                }
                // A memory.
                2 => reader.limits()?,
                // A global.
                3 => {
                    reader.byte()?;
                    reader.byte()?;
                }
                // A tag.
                4 => {
                    reader.byte()?;
                    reader.number()?;
                }
                _ => return None,
            }
            let form = module.get(start..reader.at)?;
            Some(Import {
                from,
                name,
                kind,
                form,
            })
        })
        .collect()
}

/// Write one.
pub(crate) fn write_import(out: &mut Vec<u8>, import: &Import<'_>) {
    write_text(out, import.from);
    write_text(out, import.name);
    out.push(import.kind);
    out.extend_from_slice(import.form);
}

/// Where in the memory a module puts data as it starts. Only addresses that are written out are understood.
pub(crate) fn data(module: &[u8], sections: &[Section]) -> Option<Vec<Range<usize>>> {
    let Some(section) = sections.iter().find(|s| s.id == DATA) else {
        return Some(Vec::new());
    };
    let mut reader = section.reader(module);
    (0..reader.number()?)
        .map(|_| {
            let in_first_memory = reader.byte()? == 0;
            let address = (reader.byte()? == I32_CONST).then(|| reader.number())??;
            let ends = reader.byte()? == END;
            let length = reader.number()?;
            reader.skip(length)?;
            (in_first_memory && ends).then(|| address..address + length)
        })
        .collect()
}

/// The names of the data, by its place among it.
pub(crate) fn data_names<'m>(module: &'m [u8], sections: &[Section]) -> Option<Vec<(usize, &'m str)>> {
    names(custom(module, sections, "name")?, DATA_NAMES)
}

/// The names of one kind in a section of names.
pub(crate) fn names(mut reader: Reader<'_>, kind: u8) -> Option<Vec<(usize, &str)>> {
    while reader.at < reader.bytes.len() {
        let id = reader.byte()?;
        let length = reader.number()?;
        if id == kind {
            return (0..reader.number()?)
                .map(|_| Some((reader.number()?, reader.text()?)))
                .collect();
        }
        reader.skip(length)?;
    }
    None
}

/// Reads a module from a place on; nothing where it ends early or is another thing.
pub(crate) struct Reader<'m> {
    pub(crate) bytes: &'m [u8],
    pub(crate) at: usize,
}

impl<'m> Reader<'m> {
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// A number in LEB128. Where it is a signed one, only its length is right.
    pub(crate) fn number(&mut self) -> Option<usize> {
        let mut number = 0_usize;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= usize::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(crate) fn text(&mut self) -> Option<&'m str> {
        let length = self.number()?;
        let text = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        std::str::from_utf8(text).ok()
    }

    pub(crate) fn skip(&mut self, length: usize) -> Option<()> {
        self.at = self.at.checked_add(length).filter(|at| *at <= self.bytes.len())?;
        Some(())
    }

    fn limits(&mut self) -> Option<()> {
        let has_maximum = self.byte()? & 1 == 1;
        self.number()?;
        if has_maximum {
            self.number()?;
        }
        Some(())
    }
}

/// Put a section behind what `out` has.
pub(crate) fn write_section(out: &mut Vec<u8>, id: u8, payload: &[u8]) {
    out.push(id);
    write_number(out, payload.len());
    out.extend_from_slice(payload);
}

pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    write_number(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn write_number(out: &mut Vec<u8>, mut number: usize) {
    loop {
        // Seven bits fit.
        let low = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Imports a memory, a table and a variable; puts "abc" at 1,048,576 and a zero behind it.
    fn module() -> Vec<u8> {
        let imports = [
            &[3][..],
            b"\x01s\x01m\x02\0\x14",
            b"\x01s\x01t\x01\x70\0\xe7\x47",
            b"\x01s\x01g\x03\x7f\x01",
        ];
        let data = [
            &[2][..],
            b"\0\x41\x80\x80\xc0\0\x0b\x03abc",
            b"\0\x41\x83\x80\xc0\0\x0b\x01\0",
        ];
        let names = [b"\x04name".as_slice(), b"\x09\x11\x02\0\x07.rodata\x01\x05.data"];
        let mut module = HEADER.to_vec();
        write_section(&mut module, IMPORT, &imports.concat());
        write_section(&mut module, DATA, &data.concat());
        write_section(&mut module, CUSTOM, &names.concat());
        module
    }

    #[test]
    fn what_a_module_imports_and_where_its_data_goes_is_read() {
        let module = module();
        let sections = sections(&module).unwrap();
        let imports = imports(&module, &sections).unwrap();
        let told: Vec<_> = imports.iter().map(|i| (i.name, i.kind, i.form)).collect();
        let table: &[u8] = b"\x70\0\xe7\x47";
        assert_eq!(
            told,
            [
                ("m", 2, b"\0\x14".as_slice()),
                ("t", 1, table),
                ("g", 3, b"\x7f\x01")
            ]
        );
        assert_eq!(
            data(&module, &sections).unwrap(),
            [0x10_0000..0x10_0003, 0x10_0003..0x10_0004]
        );
        assert_eq!(
            data_names(&module, &sections).unwrap(),
            [(0, ".rodata"), (1, ".data")]
        );
    }

    #[test]
    fn a_module_that_ends_early_is_nothing_or_less_and_no_panic() {
        for cut in 0..module().len() {
            let module = &module()[..cut];
            let Some(sections) = sections(module) else {
                continue;
            };
            let _read = (
                imports(module, &sections),
                data(module, &sections),
                data_names(module, &sections),
            );
        }
    }
}
