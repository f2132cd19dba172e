//! The text of any server's refusal, and rule files that an administrator wrote.

use std::sync::LazyLock;

use sm2tp_rules::Classifier;
use sm2tp_rules::classify::{Said, shape};

/// Each text has a meaning, the same one each time; its link and its shape can be shown anywhere, and nobody is in the shape.
pub fn classify(bytes: &[u8]) {
    static SHIPPED: LazyLock<Classifier> =
        LazyLock::new(|| Classifier::load(&[Classifier::shipped_source()]).expect("the shipped rules"));
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines() {
        let outcome = SHIPPED.classify(&Said::of_text(line));
        assert_eq!(SHIPPED.classify(&Said::of_text(line)), outcome);
        assert!(
            outcome.link.is_none_or(|link| link.len() <= 300 && link.bytes().all(|octet| octet.is_ascii_graphic()))
        );
        let shape = shape(line, &["jean.dupont@example.org"]);
        assert!(
            shape.len() <= 240 && !shape.contains(['@', '"']) && !shape.to_lowercase().contains("dupont"),
            "{shape:?}"
        );
        assert!(!shape.chars().any(char::is_control), "{shape:?}");
        let mx = line.rsplit(' ').next();
        let _ = SHIPPED.classify(&Said { mx, ..Said::of_text(line) });
    }
}
