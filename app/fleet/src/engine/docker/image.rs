//! The image that deckies run: made here, from nothing but the decoy program, and loaded into the daemon. No registry is
//! asked.

use std::path::Path;

use bollard::{
    Docker, body_full,
    query_parameters::{CreateImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder},
};
use futures::TryStreamExt as _;
use sha2::{Digest as _, Sha256};

use super::{
    LABEL,
    daemon::{ours, unavailable},
};
use crate::EngineError;

/// The program in the image.
pub(super) const PROGRAM: &str = "/usr/sbin/netsvcd";
/// Where a decky's folder is.
pub(super) const HOME: &str = "/var/lib/netsvcd";
/// What is only in memory.
pub(super) const RUN: &str = "/run";

/// The image with this program, for the installation `id`; made where it is not there. The same program gives the same
/// name.
pub(super) async fn ensure(docker: &Docker, id: &str, program: &Path) -> Result<String, EngineError> {
    let path = program.to_owned();
    let read = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
    let bytes = read
        .map_err(std::io::Error::other)
        .and_then(|read| read)
        .map_err(|source| EngineError::Program {
            path: program.to_owned(),
            source,
        })?;
    if let Some(loader) = loader(&bytes) {
        return Err(EngineError::Program {
            path: program.to_owned(),
            source: std::io::Error::other(format!(
                "it is linked dynamically and starts by {loader}, which no container of it has: build it static \
                 (RUSTFLAGS=-Ctarget-feature=+crt-static with an explicit --target), or name one with decoy-program"
            )),
        });
    }
    let root = archive(&bytes).map_err(|source| EngineError::Program {
        path: program.to_owned(),
        source,
    })?;
    let digest: String = Sha256::digest(&root)
        .iter()
        .take(6)
        .map(|b| format!("{b:02x}"))
        .collect();
    let (repo, tag) = (format!("netsvc-{id}"), digest);
    let name = format!("{repo}:{tag}");
    match docker.inspect_image(&name).await {
        Ok(_) => return Ok(name),
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => {}
        Err(error) => return Err(unavailable("look for the image", &error)),
    }
    let options = CreateImageOptionsBuilder::default()
        .from_src("-")
        .repo(&repo)
        .tag(&tag)
        .changes(vec![format!("LABEL {LABEL}={id}")])
        .build();
    let made = docker.create_image(Some(options), Some(body_full(root.into())), None);
    made.try_collect::<Vec<_>>()
        .await
        .map_err(|error| unavailable("make the image", &error))?;
    Ok(name)
}

/// Take away every image of the installation `id` but `keep`, and those that a container runs.
pub(super) async fn remove(docker: &Docker, id: &str, keep: Option<&str>) -> Result<(), EngineError> {
    let options = ListImagesOptionsBuilder::default().filters(&ours(id)).build();
    let images = docker
        .list_images(Some(options))
        .await
        .map_err(|error| unavailable("list images", &error))?;
    for image in images {
        if keep.is_some_and(|keep| image.repo_tags.iter().any(|tag| tag == keep)) {
            continue;
        }
        let options = RemoveImageOptionsBuilder::default().force(true).build();
        match docker.remove_image(&image.id, Some(options), None).await {
            // Something still runs it, or it is gone.
            Err(bollard::errors::Error::DockerResponseServerError {
                status_code: 404 | 409,
                ..
            }) => {}
            done => {
                done.map_err(|error| unavailable("remove an image", &error))?;
            }
        }
    }
    Ok(())
}

/// The loader that an ELF program of 64 bits asks for; a static one asks for none.
fn loader(program: &[u8]) -> Option<String> {
    /// The kind of segment that names it (PT_INTERP).
    const NAMES_LOADER: u32 = 3;
    let number = |at: usize, size: usize| -> Option<usize> {
        let bytes = program.get(at..at.checked_add(size)?)?;
        let value = bytes
            .iter()
            .rev()
            .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        usize::try_from(value).ok()
    };
    if !program.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, size, count) = (number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?);
    (0..count).find_map(|nth| {
        let segment = table.checked_add(nth.checked_mul(size)?)?;
        if number(segment, 4)? != usize::try_from(NAMES_LOADER).ok()? {
            return None;
        }
        let (from, length) = (
            number(segment.checked_add(8)?, 8)?,
            number(segment.checked_add(32)?, 8)?,
        );
        let name = program.get(from..from.checked_add(length)?)?;
        Some(String::from_utf8_lossy(name).trim_end_matches('\0').to_owned())
    })
}

/// The root file system: the program, and the folders that something is mounted on.
fn archive(program: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::with_capacity(program.len() + 16 * 1024));
    let mut add = |path: &str, kind: tar::EntryType, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(u64::try_from(content.len()).unwrap_or_default());
        // Like a distribution's: with no time it would be of 1970.
        header.set_mtime(1_735_689_600);
        tar.append_data(&mut header, path.trim_start_matches('/'), content)
    };
    for folder in [
        "/usr",
        "/usr/sbin",
        "/var",
        "/var/lib",
        HOME,
        "/etc",
        "/dev",
        "/proc",
        "/sys",
        RUN,
    ] {
        add(folder, tar::EntryType::Directory, 0o755, &[])?;
    }
    // Whoever is in it may run it, and not read what it says.
    add(PROGRAM, tar::EntryType::Regular, 0o711, program)?;
    tar.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_asks_for_a_loader_is_known_and_torn_ones_are_passed_over() {
        // This test is an ordinary program of this machine.
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let loader_of_own = loader(&own);
        assert_eq!(loader_of_own.is_some(), cfg!(not(target_feature = "crt-static")));
        assert!(loader_of_own.is_none_or(|name| name.starts_with("/lib")));
        let mut torn: Vec<u8> = own.iter().take(4096).copied().collect();
        for at in 0..64 {
            torn[at] = 0xff;
            let _told_or_not = loader(&torn);
        }
        assert_eq!(loader(b"#!/bin/sh"), None);
    }

    #[test]
    fn the_image_holds_the_program_and_nothing_that_could_be_run_beside_it() {
        let bytes = archive(b"\x7fELF program").unwrap();
        let mut files = Vec::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let entry = entry.unwrap();
            if entry.header().entry_type().is_file() {
                let mode = entry.header().mode().unwrap();
                files.push((entry.path().unwrap().display().to_string(), entry.size(), mode));
            }
        }
        assert_eq!(files, [("usr/sbin/netsvcd".to_owned(), 12, 0o711)]);
        assert_eq!(
            archive(b"\x7fELF program").unwrap(),
            bytes,
            "the same program gives the same image"
        );
    }
}
