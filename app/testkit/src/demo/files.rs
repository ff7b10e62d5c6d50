//! What intruders leave, invented: it looks like what it would be, and does nothing wherever it is run.

/// A program of the kind `tool`: a head of ELF (System V ABI, chapter 4) with nothing that a system could load, and words behind it.
pub(super) fn program(tool: usize) -> Vec<u8> {
    // EM_X86_64, EM_AARCH64, EM_ARM.
    let machine: u16 = [62, 183, 40].get(tool % 3).copied().unwrap_or(62);
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // ET_EXEC.
    elf.extend(2_u16.to_le_bytes());
    elf.extend(machine.to_le_bytes());
    elf.extend(1_u32.to_le_bytes());
    // No entry, no program headers, no section headers, no flags.
    elf.extend([0_u8; 8 + 8 + 8 + 4]);
    // The sizes of this head, of a program header and of a section header, and that there are none of these.
    for half in [64_u16, 56, 0, 64, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    for n in 1..=6 {
        elf.extend(
            format!("{n}: invented for a demonstration, kind {tool}; there is no program in here.\n").bytes(),
        );
    }
    elf
}

/// A shell script of the kind `tool` that says what an intruder's would do.
pub(super) fn script(tool: usize) -> String {
    format!(
        "#!/bin/sh\n\
         # Kind {tool}. Invented for a demonstration: it only says what an intruder's script would do.\n\
         for dir in /tmp /var/tmp /dev/shm; do\n    \
         echo \"would look whether $dir takes programs\"\n\
         done\n\
         echo 'would fetch http://198.51.100.77/x86 and run it'\n\
         echo 'would take others of its kind away'\n"
    )
}

/// A page that stands where a site's own would.
pub(super) fn page(tool: usize) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Somebody was here</title></head>\n\
         <body>\n<h1>Somebody was here</h1>\n<p>Invented for a demonstration, kind {tool}: \
         see <a href=\"http://203.0.113.80/\">203.0.113.80</a>.</p>\n</body>\n</html>\n"
    )
}

/// A mail from `from` to `to`, as it would have come over SMTP.
pub(super) fn mail(from: &str, to: &str, subject: &str) -> String {
    format!(
        "From: {from}\r\nTo: {to}\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
         Invented for a demonstration. An intruder's mail would ask you to open http://198.51.100.21/invoice.\r\n"
    )
}

/// The path and the content that a shell's `echo '…' > path` leaves.
pub(super) fn redirected(line: &str) -> Option<(&str, String)> {
    let (text, path) = line.strip_prefix("echo '")?.split_once("' > ")?;
    Some((path, format!("{text}\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_has_a_whole_head_of_elf_and_nothing_to_load() {
        let elf = program(1);
        assert!(elf.starts_with(b"\x7fELF"));
        let half = |at: usize| u16::from_le_bytes([elf[at], elf[at + 1]]);
        // e_type, e_machine, e_ehsize, e_phnum, e_shnum.
        assert_eq!([16, 18, 52, 56, 60].map(half), [2, 183, 64, 0, 0]);
        assert!((64..1_000).contains(&elf.len()), "{}", elf.len());
        assert_ne!(program(0), program(2));
    }

    #[test]
    fn what_a_redirection_leaves_is_what_it_says() {
        assert_eq!(
            redirected("echo '* * * * * root true' > /etc/cron.d/x"),
            Some(("/etc/cron.d/x", "* * * * * root true\n".to_owned()))
        );
        assert_eq!(redirected("cat /etc/passwd"), None);
    }
}
