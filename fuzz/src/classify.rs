//! The text of any server's refusal, and rule files that an administrator wrote.

use std::sync::LazyLock;

use sm2tp_rules::Classifier;
use sm2tp_rules::classify::Said;

/// Each text has a meaning, the same one each time.
pub fn classify(bytes: &[u8]) {
    static SHIPPED: LazyLock<Classifier> =
        LazyLock::new(|| Classifier::load(&[Classifier::shipped_source()]).expect("the shipped rules"));
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines() {
        let outcome = SHIPPED.classify(&Said::of_text(line));
        assert_eq!(SHIPPED.classify(&Said::of_text(line)), outcome);
        let mx = line.rsplit(' ').next();
        let _ = SHIPPED.classify(&Said { mx, ..Said::of_text(line) });
    }
}
