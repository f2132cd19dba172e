//! The manual pages sm2tp(1) and sm2tp.toml(5), made from the words of the command line and from the example of a configuration,
//! so that they say what the program does.

use std::process::ExitCode;

use clap::{Arg, Command, CommandFactory, ValueEnum};

use crate::cli::Cli;
use crate::config::EXAMPLE;

/// Which page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Page {
    /// sm2tp(1)
    Command,
    /// sm2tp.toml(5)
    Configuration,
}

/// Prints a page as man(7) reads it.
pub fn run(page: Page) -> ExitCode {
    let text = match page {
        Page::Command => command(),
        Page::Configuration => configuration(EXAMPLE),
    };
    crate::say(text.trim_end());
    ExitCode::SUCCESS
}

fn command() -> String {
    let mut cli = Cli::command();
    cli.build();
    let mut page = title("SM2TP", 1, "sm2tp", "outgoing mail relay and federated bounce service");
    page += &section("SYNOPSIS");
    page += ".B sm2tp\n[\\fB\\-\\-config\\fR \\fIFILE\\fR] [\\fB\\-\\-json\\fR] \\fICOMMAND\\fR\n";
    page += &section("DESCRIPTION");
    page += &paragraph(
        "SM2TP sends outgoing mail, understands what the recipients' servers answer, stops what they would refuse, and shares \
         with nodes that it trusts which addresses are dead. All commands but demo, classify, report, tag and simulate are about \
         the node whose configuration they are given, and run as the user who owns its data directory: runuser -u sm2tp -- sm2tp …",
    );
    page += &section("OPTIONS");
    cli.get_arguments().filter(|arg| arg.is_global_set()).for_each(|arg| page += &option(arg));
    page += &section("COMMANDS");
    leaves(&cli).iter().for_each(|leaf| page += &of_command(leaf));
    page += &section("EXIT STATUS");
    EXITS.iter().for_each(|(code, words)| page += &tagged(&[(*code).to_owned()], &paragraph(words)));
    page += &section("ENVIRONMENT");
    page += &tagged(
        &["SM2TP_LOG".to_owned()],
        &paragraph("What serve writes to standard error: error, warn, info or debug."),
    );
    page += &tagged(
        &["NOTIFY_SOCKET, WATCHDOG_USEC".to_owned()],
        &paragraph("Set by systemd; serve tells it there when it is ready, and that it lives."),
    );
    page += &section("FILES");
    FILES.iter().for_each(|(file, words)| page += &tagged(&[(*file).to_owned()], &paragraph(words)));
    page += &section("SEE ALSO");
    page + "\\fBsm2tp.toml\\fR(5), \\fBpostconf\\fR(5), \\fBsystemctl\\fR(1), and the pages in /usr/share/doc/sm2tp\n"
}

/// The commands that can be typed, those under others too.
fn leaves(command: &Command) -> Vec<Command> {
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    shown
        .flat_map(|sub| match sub.has_subcommands() {
            true => leaves(sub),
            false => vec![sub.clone()],
        })
        .collect()
}

fn of_command(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").split_whitespace().collect::<Vec<_>>().join(" ");
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let mut text = format!(".SS \"{}\"\n{}", escape(&usage).replace('"', "\\(dq"), paragraph(&sentence(&about)));
    let own = command.get_arguments().filter(|arg| !arg.is_global_set() && !arg.is_hide_set());
    own.filter(|arg| !["help", "version"].contains(&arg.get_id().as_str())).for_each(|arg| text += &option(arg));
    text
}

fn option(arg: &Arg) -> String {
    let values: Vec<String> = arg.get_value_names().into_iter().flatten().map(ToString::to_string).collect();
    let takes = arg.get_action().takes_values();
    let name = match (arg.get_long(), takes) {
        (Some(long), true) => format!("--{long} {}", values.join(" ")),
        (Some(long), false) => format!("--{long}"),
        (None, _) => values.join(" "),
    };
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let possible: Vec<_> = arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    let mut words = sentence(&help);
    if takes && !possible.is_empty() {
        words = format!("{words} One of {}.", possible.join(", "));
    }
    if takes && !defaults.is_empty() {
        words = format!("{words} By default {}.", defaults.join(" "));
    }
    tagged(&[name], &paragraph(words.trim()))
}

/// clap takes the point at the end away.
fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', '?', ':', ')']) { text.to_owned() } else { format!("{text}.") }
}

/// The page of a configuration from its example: a line `# …` is a sentence, `#key = value` a key with its default.
fn configuration(example: &str) -> String {
    let mut page = title("SM2TP.TOML", 5, "sm2tp.toml", "configuration of SM2TP");
    page += &section("DESCRIPTION");
    // The first lines speak to who copies the file, and of signs that the page does not have.
    let rest = example.split_once("\n\n").map_or(example, |(_, rest)| rest);
    page += &paragraph(
        "/etc/sm2tp/sm2tp.toml is written in TOML: keys belong to the section above them. Only hostname has to be set. The value \
         that is shown with a key holds when the key is missing; where there is none, it is an example, and the text says so. \
         Durations are texts with units: \"30s\", \"5m\", \"4h\", \"400d\", \"1h30m\". Sizes too: \"512 KiB\", \"25 MiB\", \"10MB\". \
         After a change: sm2tp check, then systemctl restart sm2tp.",
    );
    page += &section("KEYS BEFORE THE FIRST SECTION");
    rest.split("\n\n").map(block).for_each(|block| page += &block);
    page += &section("SEE ALSO");
    page + "\\fBsm2tp\\fR(1)\n"
}

/// Lines without an empty one between them.
fn block(lines: &str) -> String {
    let (mut words, mut keys, mut heading) = (String::new(), Vec::new(), String::new());
    for line in lines.lines() {
        let bare = line.strip_prefix('#').unwrap_or(line);
        match line.strip_prefix("# ").or((line == "#").then_some("")) {
            // Lines that are set in are to be typed.
            Some(typed) if typed.starts_with(' ') => words += &format!(".br\n{}\n.br\n", escape(typed.trim_end())),
            Some(said) => words += &format!("{}\n", escape(said)),
            None if bare.starts_with('[') => heading = format!(".SH \"{}\"\n", escape(bare)),
            None if bare.is_empty() => {}
            None => keys.push(bare.to_owned()),
        }
    }
    if keys.is_empty() {
        let begin = if heading.is_empty() && !words.is_empty() { ".PP\n" } else { "" };
        return format!("{heading}{begin}{words}");
    }
    heading + &tagged(&keys, &words)
}

fn title(name: &str, number: u8, command: &str, what: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(".TH {name} {number} \"\" \"SM2TP {version}\" \"SM2TP\"\n.SH NAME\n{command} \\- {what}\n")
}

fn section(name: &str) -> String {
    format!(".SH \"{name}\"\n")
}

fn tagged(names: &[String], words: &str) -> String {
    let names: Vec<String> = names.iter().map(|name| format!(".B {}\n", escape(name).replace('"', "\\(dq"))).collect();
    let words = if words.trim().is_empty() { "\\&\n" } else { words };
    format!(".TP\n{}{words}", names.join(".TQ\n"))
}

fn paragraph(text: &str) -> String {
    format!("{}\n", escape(text.trim()))
}

/// roff(7): a point or an apostrophe begins a line of commands, a backslash a command in a line; `-` alone is a hyphen.
fn escape(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// As README.md has them.
const EXITS: &[(&str, &str)] = &[
    ("0", "Done."),
    ("64", "The command line is wrong."),
    ("65", "What was asked is wrong: no such mail, login, peer; a bad address. The queue is damaged."),
    ("69", "Not there: no node was started here, another node cannot be reached, a port is taken."),
    ("75", "May work later: the disk, a node that does not answer, another program in the data directory."),
    ("77", "This user may not: run it as the user of the node."),
    ("78", "The configuration, or a file that it names, is wrong."),
];

const FILES: &[(&str, &str)] = &[
    ("/etc/sm2tp/sm2tp.toml", "The configuration, sm2tp.toml(5)."),
    (
        "/etc/sm2tp/replies.toml, /etc/sm2tp/sites.toml",
        "Rules of your own for replies and sites, before the shipped ones.",
    ),
    ("/var/lib/sm2tp", "Waiting mail, the ledger, keys. It belongs to the user sm2tp, and nobody else reads it."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_every_key_has_its_place() {
        let page = command();
        for word in
            ["sm2tp queue list", "sm2tp serve", "sm2tp suppress import", "\\-\\-password\\-file FILE", ".B 78\n"]
        {
            assert!(page.contains(word), "{word}\n{page}");
        }
        let page = configuration(EXAMPLE);
        for word in [".SH \"[smtp]\"", ".B listen = [\\(dq127.0.0.1:2525\\(dq]", ".SH \"[milter]\"", ".B hostname = "] {
            assert!(page.contains(word), "{word}\n{page}");
        }
    }

    #[test]
    fn what_roff_would_take_for_a_command_is_text() {
        assert_eq!(escape(".x\n'y\n--all \\0"), "\\&.x\n\\&'y\n\\-\\-all \\e0");
    }

    #[test]
    fn keys_that_share_their_text_stand_together() {
        let shown = block("# Both or none.\n#   like = this\n#a = 1\n#b = \"2\"");
        let expected = ".TP\n.B a = 1\n.TQ\n.B b = \\(dq2\\(dq\nBoth or none.\n.br\n  like = this\n.br\n";
        assert_eq!(shown, expected);
        assert_eq!(block("# Of it.\n#[x]"), ".SH \"[x]\"\nOf it.\n");
        assert_eq!(block("# Alone."), ".PP\nAlone.\n");
    }
}
