//! Secrets that this program makes up: random texts, and a `wp-config.php` with some of them.

use crate::bundle;
use crate::failure::{During, Failure};

const SALT_CHARACTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A `wp-config.php` with secrets of its own.
pub fn new_config() -> Result<String, Failure> {
    let mut failed = None;
    let text =
        bundle::wp_config(|| secret(SALT_CHARACTERS, 64).map_err(|failure| failed = Some(failure)).unwrap_or_default());
    failed.map_or(Ok(text), Err)
}

/// A random text of these characters, each as likely as the others.
pub fn secret(characters: &[u8], length: usize) -> Result<String, Failure> {
    let fair = usize::from(u8::MAX) / characters.len() * characters.len();
    let mut text = String::with_capacity(length);
    let mut random = [0; 64];
    while text.len() < length {
        getrandom::fill(&mut random).during(|| "the system has no random numbers".to_owned())?;
        let usable = random.iter().map(|byte| usize::from(*byte)).filter(|value| *value < fair);
        text.extend(usable.map(|value| char::from(characters[value % characters.len()])).take(length - text.len()));
    }
    Ok(text)
}
