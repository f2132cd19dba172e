//! The configuration file, as an administrator may have left it.

use crate::config;

/// Whatever stands there: a configuration, or an error that names the file.
pub fn settings(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Err(error) = config::parse("sm2tp.toml", &text) {
        assert!(error.to_string().contains("sm2tp.toml"), "{error}");
    }
}
