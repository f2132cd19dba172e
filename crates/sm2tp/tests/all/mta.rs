//! A throw-away Postfix of this machine's package: own configuration, queue, log and port, all in one folder.

use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::node::said;
use crate::programs::{need_root, program, run};
use crate::wait::{Folder, files, free_address, wait_until};

/// A running instance; it is stopped and removed with the value.
pub struct Postfix {
    pub address: SocketAddr,
    folder: Folder,
    program: PathBuf,
}

impl Postfix {
    /// Starts an instance with these lines added to its main.cf.
    pub fn start(hostname: &str, settings: &str) -> Self {
        Self::with_files(hostname, settings, &[])
    }

    /// As [`Postfix::start`]; `{dir}` in the settings is the folder in which `files` lie.
    pub fn with_files(hostname: &str, settings: &str, files: &[(&str, &str)]) -> Self {
        need_root();
        let (program, folder, address) = (program("postfix"), Folder::new("postfix"), free_address());
        let dir = folder.path().display().to_string();
        for (name, text) in files {
            folder.write(name, text);
        }
        let daemons = run("postconf", &["-dh", "daemon_directory"], "");
        let main = MAIN.replace("{hostname}", hostname).replace("{daemons}", daemons.trim());
        folder.write("main.cf", &format!("{main}{settings}").replace("{dir}", &dir));
        folder.write("master.cf", &MASTER.replace("{address}", &address.to_string()));
        // Postfix changes users: they all pass through here, and two of its folders have owners of their own.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        for (name, owner) in [("queue", "root"), ("data", "postfix"), ("mail", "nobody")] {
            fs::create_dir(folder.join(name)).unwrap();
            run("chown", &[owner, &folder.join(name).display().to_string()], "");
        }
        let postfix = Self { address, folder, program };
        postfix.run();
        postfix
    }

    /// Starts an instance whose files somebody else has made in this folder; its log goes there, too.
    pub fn made_in(folder: Folder, address: SocketAddr, settings: &str) -> Self {
        let (program, main) = (program("postfix"), folder.join("main.cf"));
        let dir = folder.path().display().to_string();
        let log = format!("maillog_file_prefixes = {dir}\nmaillog_file = {dir}/maillog\n");
        let text = fs::read_to_string(&main).unwrap();
        fs::write(&main, format!("{text}{log}{settings}")).unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let postfix = Self { address, folder, program };
        postfix.run();
        postfix
    }

    fn run(&self) {
        let started = self.command("start");
        assert_eq!(started.exit, 0, "{}{}\n{}", started.stdout, started.stderr, self.log());
        wait_until("Postfix listens", Duration::from_secs(20), || TcpStream::connect(self.address).is_ok());
    }

    /// Gives a mail to this instance as a program on its machine does.
    pub fn sendmail(&self, from: &str, to: &[&str], message: &str) {
        let dir = self.folder.path().display().to_string();
        run("sendmail", &[&["-C", &dir, "-i", "-f", from, "--"][..], to].concat(), message);
    }

    /// The mails in a mailbox below `mail/`.
    pub fn mailbox(&self, name: &str) -> Vec<String> {
        let mails = files(&self.folder.join("mail").join(name).join("new"));
        mails.iter().map(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()).collect()
    }

    /// Where main.cf and master.cf are.
    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// Takes over what was changed in them.
    pub fn reload(&self) {
        let said = self.command("reload");
        assert_eq!(said.exit, 0, "{}{}", said.stdout, said.stderr);
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("maillog")).unwrap_or_default()
    }

    fn command(&self, word: &str) -> crate::node::Said {
        said(Command::new(&self.program).arg("-c").arg(self.folder.path()).arg(word), "")
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- log of Postfix at {}\n{}", self.address, self.log());
        }
        self.command("stop");
    }
}

const MAIN: &str = "\
compatibility_level = 3.6
myhostname = {hostname}
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
queue_directory = {dir}/queue
data_directory = {dir}/data
daemon_directory = {daemons}
maillog_file_prefixes = {dir}
maillog_file = {dir}/maillog
biff = no
smtputf8_enable = no
alias_maps =
local_recipient_maps =
";

const MASTER: &str = "\
{address} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
";
