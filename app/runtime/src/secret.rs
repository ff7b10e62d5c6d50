//! Secrets: redacted in `Debug`, not serialisable, wiped when dropped; key files are 0600 or refused, and so is their folder
//! where others may write to it.

use std::{
    fs::{self, OpenOptions},
    io::{Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

pub use secrecy::{ExposeSecret, SecretString};

use crate::exit::StartError;

/// The fewest bytes of a signing secret.
pub const MIN_LEN: usize = 32;

/// What people leave in examples and forget to change: refused wherever it stands in a secret, in any case.
const KNOWN_BAD: &[&str] = &[
    "secret",
    "changeme",
    "change-me",
    "change_me",
    "password",
    "default",
    "example",
    "decnet",
    "12345678",
    "qwerty",
    "letmein",
];

/// Why a secret is not good enough; `None` where it is.
#[must_use]
pub fn weakness(secret: &str) -> Option<String> {
    let lower = secret.to_ascii_lowercase();
    if let Some(bad) = KNOWN_BAD.iter().find(|bad| lower.contains(**bad)) {
        return Some(format!("contains {bad:?}, which anybody would guess"));
    }
    if secret.len() < MIN_LEN {
        return Some(format!(
            "is {} bytes long; at least {MIN_LEN} are needed",
            secret.len()
        ));
    }
    let distinct = lower.bytes().collect::<std::collections::BTreeSet<_>>().len();
    (distinct < 8).then(|| format!("has only {distinct} different characters"))
}

/// A secret of the configuration, or of the key file at `path` where the configuration has none.
///
/// # Errors
/// Where there is neither, the file can be read by others or its folder be written to, or the secret is weak.
pub fn load(what: &str, configured: Option<&SecretString>, path: &Path) -> Result<SecretString, StartError> {
    let (secret, from) = match configured {
        Some(secret) => (strong(secret.clone()), "the configuration".to_owned()),
        None => (of_file(path), path.display().to_string()),
    };
    secret.map_err(|problem| StartError::config(format!("{what} ({from}): {problem}")))
}

/// The secret in the key file at `path`; what is wrong with it, and the way out, where it cannot be taken.
pub(crate) fn of_file(path: &Path) -> Result<SecretString, String> {
    read_key_file(path).and_then(strong)
}

fn strong(secret: SecretString) -> Result<SecretString, String> {
    match weakness(secret.expose_secret()) {
        Some(why) => Err(format!("{why}; make one with `openssl rand -base64 48`")),
        None => Ok(secret),
    }
}

/// Make the key file at `path` with a random secret, unless it is there.
///
/// # Errors
/// Where it cannot be written, or the kernel has no randomness.
pub fn ensure_key_file(path: &Path) -> Result<(), StartError> {
    if path.exists() {
        return Ok(());
    }
    let fault = |error: &std::io::Error| StartError::io(&format!("secret file {}", path.display()), error);
    let mut raw = [0_u8; 48];
    fs::File::open("/dev/urandom")
        .and_then(|mut f| f.read_exact(&mut raw))
        .map_err(|e| fault(&e))?;
    let text: String = raw.iter().map(|b| format!("{b:02x}")).collect();
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|e| fault(&e))?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(|e| fault(&e))?;
    }
    // Written whole under another name first: another process never reads half a secret.
    let draft = path.with_extension(format!("draft.{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .map_err(|e| fault(&e))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|e| fault(&e))?;
    // hard_link fails where another process was faster; its secret stands then.
    match fs::hard_link(&draft, path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(fault(&error)),
    }
    fs::remove_file(&draft).map_err(|e| fault(&e))
}

/// Refuse the folder of secrets at `folder` where others may write to it: they could put a secret of their own in the place
/// of ours.
///
/// # Errors
/// Where they may, or the folder cannot be looked at.
pub fn check_folder(folder: &Path) -> Result<(), StartError> {
    let meta = fs::metadata(folder)
        .map_err(|error| StartError::io(&format!("folder of secrets {}", folder.display()), &error))?;
    if meta.mode() & 0o022 != 0 {
        return Err(StartError::config(format!(
            "{} can be written to by others (mode {:04o}); run `chmod 700` on it, and change the secrets in it if somebody did",
            folder.display(),
            meta.mode() & 0o7777
        )));
    }
    Ok(())
}

fn read_key_file(path: &Path) -> Result<SecretString, String> {
    let problem = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            "there is none; set it in the environment, or let `decnet up` or `decnet init` make one"
                .to_owned()
        }
        _ => format!("cannot be read: {error}"),
    };
    let mut file = fs::File::open(path).map_err(problem)?;
    if let Some(folder) = path.parent() {
        check_folder(folder).map_err(|fault| fault.message)?;
    }
    let meta = file.metadata().map_err(problem)?;
    if meta.mode() & 0o077 != 0 {
        return Err(format!(
            "can be read by others (mode {:04o}); run `chmod 600` on it, and change the secret if somebody did",
            meta.mode() & 0o7777
        ));
    }
    let mut text = String::new();
    Read::by_ref(&mut file)
        .take(4096)
        .read_to_string(&mut text)
        .map_err(problem)?;
    Ok(SecretString::from(text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_guessable_and_monotonous_secrets_are_refused() {
        for bad in [
            "",
            "short",
            &"a".repeat(64),
            "changeme-changeme-changeme-changeme",
            "my-Secret-is-long-enough-really-it-is",
        ] {
            assert!(weakness(bad).is_some(), "{bad}");
        }
        assert_eq!(weakness("f3a9c1d4b7e6805912ab34cd56ef7890a1b2c3d4"), None);
    }

    #[test]
    fn a_made_key_file_is_private_strong_and_stays_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets/jwt.key");
        ensure_key_file(&path).unwrap();
        let first = load("jwt-secret", None, &path).unwrap();
        ensure_key_file(&path).unwrap();
        assert_eq!(
            load("jwt-secret", None, &path).unwrap().expose_secret(),
            first.expose_secret()
        );
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jwt.key");
        ensure_key_file(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = load("jwt-secret", None, &path).unwrap_err();
        assert!(error.message.contains("chmod 600"), "{error}");
        assert_eq!(error.exit, crate::Exit::Config);
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("secrets");
        let path = folder.join("jwt.key");
        ensure_key_file(&path).unwrap();
        let load_with = |mode| {
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
            load("jwt-secret", None, &path)
        };
        for open in [0o777, 0o770, 0o702, 0o1777] {
            let error = load_with(open).unwrap_err();
            assert!(
                error.message.contains("chmod 700") && error.message.contains(&format!("{open:04o}")),
                "{error}"
            );
            assert_eq!(error.exit, crate::Exit::Config);
        }
        load_with(0o755).unwrap();
    }

    #[test]
    fn a_secret_does_not_show_in_debug() {
        assert!(!format!("{:?}", SecretString::from("hunter2hunter2")).contains("hunter2"));
    }
}
