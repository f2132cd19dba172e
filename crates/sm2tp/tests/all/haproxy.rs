//! haproxy before a node, for a test.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::programs::program;
use crate::wait::{Folder, wait_until};

pub struct Haproxy {
    child: Child,
    _folder: Folder,
}

impl Haproxy {
    /// `mode`: `tcp` or `http`. `more`: the lines behind the times that it waits, among them one that listens at `front`.
    pub fn start(front: SocketAddr, mode: &str, more: &str) -> Self {
        let folder = Folder::new("haproxy");
        let config = format!(
            "defaults\n mode {mode}\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n\
             {more}"
        );
        let config = folder.write("haproxy.cfg", &config);
        let child = Command::new(program("haproxy")).arg("-db").arg("-f").arg(config).stdout(Stdio::null()).spawn();
        wait_until("haproxy listens", Duration::from_secs(20), || TcpStream::connect(front).is_ok());
        Self { child: child.unwrap(), _folder: folder }
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
