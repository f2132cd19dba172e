//! `sm2tp exim config`: prints what makes Exim ask this node, and where it goes.

use std::process::ExitCode;

use serde_json::json;

use crate::beside::preferred;
use crate::config::{Config, Place};
use crate::{Exit, Failure, say};

pub fn run(config: &Config, as_json: bool) -> Result<ExitCode, Failure> {
    let listen = config.policy.as_ref().map_or(&[][..], |policy| &policy.listen);
    let Some(place) = preferred(listen) else {
        let message = "[policy] is not in the configuration of the node: Exim would have nobody to ask";
        return Err(Failure::new(Exit::Configuration, message));
    };
    let main = MAIN.replace("{socket}", &socket(place));
    if as_json {
        let file = |path: &str, text: &str| json!({ "path": path, "text": text });
        say(&json!({ "files": [file(MAIN_PATH, &main), file(ACL_PATH, ACL)], "notes": [UNSPLIT, AFTER] }).to_string());
    } else {
        say(&format!("# {MAIN_PATH}\n{main}\n# {ACL_PATH}\n{ACL}\n# {UNSPLIT}\n# {AFTER}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// A place where the node answers, as Exim names it.
pub fn socket(place: &Place) -> String {
    match place {
        Place::Unix(path) => path.display().to_string(),
        Place::Tcp(address) => format!("inet:{address}"),
    }
}

const MAIN_PATH: &str = "/etc/exim4/conf.d/main/000_sm2tp";
const ACL_PATH: &str = "/etc/exim4/conf.d/acl/05_sm2tp";
const UNSPLIT: &str = "Without Debian's split configuration: the first file is /etc/exim4/exim4.conf.localmacros, and the second \
                       goes behind \"begin acl\" in /etc/exim4/exim4.conf.template.";
const AFTER: &str = "Then: update-exim4.conf && systemctl reload exim4. When the node is down, Exim goes on at once; when it \
                     hangs, after two seconds.";

/// Debian's own ACL takes clients that logged in before any local file is looked at, so ours goes around it.
const MAIN: &str = "\
MAIN_ACL_CHECK_RCPT = acl_sm2tp_rcpt
SM2TP_POLICY = {socket}
";

/// Texts keep their code because the message begins with one; the variables of `match` are gone by then.
const ACL: &str = r"acl_sm2tp_rcpt:
  warn    set acl_m_sm2tp = ${readsocket{SM2TP_POLICY}{request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=$sender_host_address\nclient_name=$sender_host_name\nhelo_name=$sender_helo_name\nsender=$sender_address\nrecipient=$local_part@$domain\nsasl_username=$authenticated_id\nqueue_id=$message_exim_id\npolicy_context=exim\n\n}{2s}{ }{action=DUNNO}}
  deny    condition = ${if match{$acl_m_sm2tp}{\N^action=(?i)(?:reject|5\d\d)\s+(.*?)\s*$\N}}
          message   = ${sg{$acl_m_sm2tp}{\N^action=(?i)(reject\s*)?|\s+$\N}{}}
  defer   condition = ${if match{$acl_m_sm2tp}{\N^action=(?i)(?:defer\w*|4\d\d)\s+(.*?)\s*$\N}}
          message   = ${sg{$acl_m_sm2tp}{\N^action=(?i)(defer\w*\s*)?|\s+$\N}{}}
  warn    condition = ${if match{$acl_m_sm2tp}{\N^action=(?i)hold\N}}
          control   = freeze/no_tell
  require acl = acl_check_rcpt
  accept
";
