//! Which passwords are allowed: one rule, whether somebody types the password, an administrator gives it, or the configuration
//! has it.
//!
//! Deliberately absent: hashing, and drawing one; that is `decnet-domain`'s. Start at [`check`].

/// The fewest characters of a password.
pub const MIN_PASSWORD: usize = 12;
/// The most characters of a password. All of them count.
pub const MAX_PASSWORD: usize = 128;

/// Why a password is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFault {
    /// Fewer than [`MIN_PASSWORD`] characters.
    #[error("at least {MIN_PASSWORD} characters")]
    TooShort,
    /// More than [`MAX_PASSWORD`] characters.
    #[error("at most {MAX_PASSWORD} characters")]
    TooLong,
    /// One that everybody tries.
    #[error("this is among the first that an attacker tries; choose another")]
    Common,
}

/// Check a new password of `user`.
///
/// # Errors
/// The rule that it breaks.
pub fn check(password: &str, user: &str) -> Result<(), PasswordFault> {
    match password.chars().count() {
        n if n < MIN_PASSWORD => Err(PasswordFault::TooShort),
        n if n > MAX_PASSWORD => Err(PasswordFault::TooLong),
        _ if is_common(password, user) => Err(PasswordFault::Common),
        _ => Ok(()),
    }
}

/// What common passwords are made of. Leaked lists hold few literal passwords of twelve characters and more: nearly
/// all of those are one of these words doubled, joined, spelt with digits, or filled up with digits and punctuation.
/// So the list holds the words, and [`is_common`] undoes the filling; that covers far more than as many literals.
const COMMON: &str = include_str!("common.txt");

/// Whether nothing is left of `password` once common words, runs of keys and digits around them are taken away.
fn is_common(password: &str, user: &str) -> bool {
    let lower = password.to_lowercase();
    let mut distinct: Vec<char> = lower.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 5 || lower.chars().all(|c| c.is_ascii_digit()) || is_run(&lower) {
        return true;
    }
    let user = user.to_lowercase();
    let core = lower.trim_matches(|c: char| !c.is_alphabetic() && c != '@' && c != '$');
    let core_without_at = core.trim_matches(|c: char| !c.is_alphabetic());
    let spelt: String = core.chars().map(unleet).filter(|c| c.is_alphabetic()).collect();
    let spelt_inner: String = core_without_at
        .chars()
        .map(unleet)
        .filter(|c| c.is_alphabetic())
        .collect();
    let letters: String = lower.chars().filter(|c| c.is_alphabetic()).collect();
    [spelt, spelt_inner, letters]
        .iter()
        .any(|text| is_made_of_common_words(text, &user))
}

/// The letter that a digit or a sign stands for in a password.
fn unleet(c: char) -> char {
    match c {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        '8' => 'b',
        other => other,
    }
}

/// Whether every character follows its neighbour on a keyboard row or in the alphabet, one way or the other.
fn is_run(text: &str) -> bool {
    const ROWS: [&str; 6] = [
        "abcdefghijklmnopqrstuvwxyz",
        "01234567890",
        "qwertyuiop[]",
        "asdfghjkl;'",
        "zxcvbnm,./",
        "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
    ];
    let neighbours = |a: char, b: char| {
        ROWS.iter().any(|row| {
            let place = |c| row.chars().position(|r| r == c);
            matches!((place(a), place(b)), (Some(a), Some(b)) if a.abs_diff(b) <= 1)
        })
    };
    let chars: Vec<char> = text.chars().collect();
    let broken = chars
        .windows(2)
        .filter(|w| matches!(w, [a, b] if !neighbours(*a, *b)))
        .count();
    // A run may begin anew a few times: `qwertyuiopasdfgh`, `123456qwerty`.
    broken * 5 < chars.len()
}

/// Whether `text` can be cut into common words without a rest.
fn is_made_of_common_words(text: &str, user: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    let words = || {
        COMMON
            .lines()
            .filter(|w| !w.is_empty())
            .chain((user.len() >= 3).then_some(user))
    };
    let mut reachable = vec![false; text.len() + 1];
    if let Some(start) = reachable.first_mut() {
        *start = true;
    }
    for at in 0..text.len() {
        if reachable.get(at) != Some(&true) {
            continue;
        }
        let Some(rest) = text.get(at..) else { continue };
        for word in words().filter(|w| rest.starts_with(w)) {
            if let Some(end) = reachable.get_mut(at + word.len()) {
                *end = true;
            }
        }
    }
    reachable.last() == Some(&true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(text: &str) -> Result<(), PasswordFault> {
        check(text, "alice")
    }

    #[test]
    fn common_passwords_are_refused_however_they_are_dressed_up() {
        for bad in [
            "password1234",
            "Password12345!",
            "P@ssw0rd2024!!",
            "passwordpassword",
            "qwertyuiop123",
            "1q2w3e4r5t6y",
            "123456789012",
            "adminadmin123",
            "Welcome2024!!",
            "letmeinletmein",
            "iloveyou12345",
            "aaaaaaaaaaaa",
            "abcdefghijkl",
            "changeme1234",
            "alice1234567",
            "alicepassword",
            "Sommer2024!!!",
            "qwerty123456",
            "q1w2e3r4t5y6",
        ] {
            assert_eq!(check_text(bad), Err(PasswordFault::Common), "{bad}");
        }
    }

    #[test]
    fn ordinary_good_passwords_pass() {
        for good in [
            "correct horse battery staple",
            "vT9#kqLm2!xz",
            "Mein Hund frisst Tulpen",
            "пароль-из-трёх-слов",
            "blue-otter-41-canoe",
        ] {
            assert_eq!(check_text(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn length_is_counted_in_characters_at_both_ends() {
        assert_eq!(check_text("vT9#kqLm2!x"), Err(PasswordFault::TooShort));
        let long: String = "vT9#kqLm2!xä".chars().cycle().take(MAX_PASSWORD).collect();
        assert_eq!(check_text(&long), Ok(()));
        assert_eq!(check_text(&format!("{long}x")), Err(PasswordFault::TooLong));
    }
}
