//! Secrets in requests: the Authorization header (RFC 7617, 6750, 7616) and login forms.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use decnet_model::event::Secret;

use super::request::percent_decoded;

/// Names of form fields that hold an account.
const ACCOUNT_FIELDS: &[&[u8]] = &[
    b"log",
    b"username",
    b"user",
    b"login",
    b"email",
    b"userid",
    b"user_login",
    b"uname",
    b"account",
    b"pma_username",
    b"j_username",
    b"name",
];
/// Names of form fields that hold a password.
const PASSWORD_FIELDS: &[&[u8]] = &[
    b"pwd",
    b"password",
    b"pass",
    b"passwd",
    b"user_password",
    b"pma_password",
    b"j_password",
    b"psd",
    b"secret",
];

/// What a request offers to prove who it is from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credentials {
    /// An account and its password: from a form, or Basic.
    Password {
        user: Vec<u8>,
        password: Vec<u8>,
        mechanism: &'static str,
    },
    /// A token or a response to a challenge: account, kind, and the text as sent.
    Other {
        user: Vec<u8>,
        kind: &'static str,
        text: String,
        mechanism: &'static str,
    },
}

impl Credentials {
    pub(super) fn user(&self) -> &[u8] {
        match self {
            Self::Password { user, .. } | Self::Other { user, .. } => user,
        }
    }

    pub(super) fn mechanism(&self) -> &'static str {
        match self {
            Self::Password { mechanism, .. } | Self::Other { mechanism, .. } => mechanism,
        }
    }

    pub(super) fn secret(&self) -> Secret<'_> {
        match self {
            Self::Password { password, .. } => Secret::Plaintext(password),
            Self::Other { kind, text, .. } => Secret::Crackable {
                kind,
                text: text.clone(),
            },
        }
    }
}

/// The credentials of an Authorization header.
pub(super) fn of_header(value: &[u8]) -> Option<Credentials> {
    let blank = value.iter().position(|b| *b == b' ')?;
    let (scheme, rest) = value.split_at(blank);
    let rest = rest.trim_ascii();
    match scheme.to_ascii_lowercase().as_slice() {
        b"basic" => {
            let pair = STANDARD.decode(rest).ok()?;
            let colon = pair.iter().position(|b| *b == b':')?;
            let (user, password) = pair.split_at(colon);
            Some(Credentials::Password {
                user: user.to_vec(),
                password: password.get(1..).unwrap_or_default().to_vec(),
                mechanism: "Basic",
            })
        }
        b"bearer" | b"token" => Some(Credentials::Other {
            user: Vec::new(),
            kind: "http_bearer",
            text: String::from_utf8_lossy(rest).into_owned(),
            mechanism: "Bearer",
        }),
        // All parameters, because a cracker needs nonce, uri, realm and qop with the response.
        b"digest" => Some(Credentials::Other {
            user: parameter(rest, b"username=").unwrap_or_default(),
            kind: "http_digest_md5",
            text: String::from_utf8_lossy(rest).into_owned(),
            mechanism: "Digest",
        }),
        _ => None,
    }
}

fn parameter(text: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let at = text
        .windows(name.len())
        .position(|w| w.eq_ignore_ascii_case(name))?;
    let value = text.get(at + name.len()..)?;
    Some(match value.strip_prefix(b"\"") {
        Some(quoted) => quoted.split(|b| *b == b'"').next()?.to_vec(),
        None => value.split(|b| *b == b',').next()?.trim_ascii().to_vec(),
    })
}

/// The value of field `name` of a form or query.
pub(super) fn field(form: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    form.split(|b| *b == b'&').find_map(|pair| {
        let equals = pair.iter().position(|b| *b == b'=')?;
        let (key, value) = pair.split_at(equals);
        (percent_decoded(key, true) == name)
            .then(|| percent_decoded(value.get(1..).unwrap_or_default(), true))
    })
}

/// The credentials of a form: `application/x-www-form-urlencoded`, or a flat JSON object.
pub(super) fn of_form(content_type: &[u8], body: &[u8]) -> Option<Credentials> {
    let first = |names: &[&[u8]]| -> Option<Vec<u8>> {
        if content_type.to_ascii_lowercase().starts_with(b"application/json") {
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body).ok()?;
            names.iter().find_map(|name| {
                let value = object.get(std::str::from_utf8(name).ok()?)?;
                value.as_str().map(|text| text.as_bytes().to_vec())
            })
        } else if content_type
            .to_ascii_lowercase()
            .starts_with(b"application/x-www-form-urlencoded")
        {
            names.iter().find_map(|name| field(body, name))
        } else {
            None
        }
    };
    Some(Credentials::Password {
        password: first(PASSWORD_FIELDS)?,
        user: first(ACCOUNT_FIELDS).unwrap_or_default(),
        mechanism: "form",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(c: Option<Credentials>) -> Option<(Vec<u8>, Vec<u8>)> {
        match c {
            Some(Credentials::Password { user, password, .. }) => Some((user, password)),
            _ => None,
        }
    }

    #[test]
    fn basic_bearer_and_digest_are_recognised_and_nonsense_is_not() {
        assert_eq!(
            password(of_header(b"Basic dG9tY2F0OnMzY3I6ZXQ=")),
            Some((b"tomcat".to_vec(), b"s3cr:et".to_vec()))
        );
        let Some(Credentials::Other { kind, text, .. }) = of_header(b"Bearer abc.def") else {
            panic!("no bearer");
        };
        assert_eq!((kind, text.as_str()), ("http_bearer", "abc.def"));
        let digest = of_header(b"Digest username=\"eva\", realm=\"x\", response=\"00\"").unwrap();
        assert_eq!(digest.user(), b"eva");
        for bad in [&b"Basic"[..], b"Basic !!", b"Basic Og", b"Negotiate x", b""] {
            assert_eq!(of_header(bad), None);
        }
    }

    #[test]
    fn forms_give_account_and_password_decoded() {
        let form = b"log=admin&pwd=p%40ss+word&wp-submit=Log+In";
        let kind = b"application/x-www-form-urlencoded; charset=utf-8";
        assert_eq!(
            password(of_form(kind, form)),
            Some((b"admin".to_vec(), b"p@ss word".to_vec()))
        );
        assert_eq!(
            password(of_form(
                b"application/json",
                br#"{"username":"a","password":"b"}"#
            )),
            Some((b"a".to_vec(), b"b".to_vec()))
        );
        assert_eq!(of_form(b"text/plain", form), None);
        assert_eq!(of_form(kind, b"q=search"), None);
    }
}
