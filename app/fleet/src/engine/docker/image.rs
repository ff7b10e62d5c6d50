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
    let digest: String = Sha256::digest(&bytes)
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
    let root = archive(&bytes).map_err(|source| EngineError::Program {
        path: program.to_owned(),
        source,
    })?;
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

/// Take away every image of the installation `id` but `keep`.
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
    add(PROGRAM, tar::EntryType::Regular, 0o755, program)?;
    tar.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_holds_the_program_and_nothing_that_could_be_run_beside_it() {
        let bytes = archive(b"\x7fELF program").unwrap();
        let mut files = Vec::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let entry = entry.unwrap();
            if entry.header().entry_type().is_file() {
                files.push((entry.path().unwrap().display().to_string(), entry.size()));
            }
        }
        assert_eq!(files, [("usr/sbin/netsvcd".to_owned(), 12)]);
        assert_eq!(
            archive(b"\x7fELF program").unwrap(),
            bytes,
            "the same program gives the same image"
        );
    }
}
