//! A real Chromium, driven over WebDriver (W3C): JSON over HTTP on loopback, in clear, by hand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::programs::program;

/// What a browser is like.
#[derive(Clone, Copy)]
pub struct Kind {
    pub lang: &'static str,
    pub scripts: Scripts,
    /// In CSS pixels.
    pub width: u32,
    pub dark: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scripts {
    On,
    Off,
}

/// As most have it.
pub const USUAL: Kind = Kind { lang: "en", scripts: Scripts::On, width: 1200, dark: false };

/// One window of one browser, gone with this.
pub struct Browser {
    driver: Child,
    at: SocketAddr,
    session: String,
}

impl Browser {
    #[track_caller]
    pub fn start(kind: Kind) -> Self {
        program("chromium");
        let (driver, port) =
            (0..STARTS).find_map(|_| start_driver()).expect("chromedriver ended each time before it listened");
        let mut browser = Self { driver, at: SocketAddr::from(([127, 0, 0, 1], port)), session: String::new() };
        let size = format!("--window-size={},900", kind.width);
        // Root in a container has no namespaces for Chromium's own walls; the pages come from this machine.
        let args =
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", &size];
        let scripts = if kind.scripts == Scripts::Off { 2 } else { 1 };
        let prefs = json!({
            "intl.accept_languages": kind.lang,
            "profile.managed_default_content_settings.javascript": scripts,
        });
        // What a click leads to may be a moment away: elements are waited for.
        let asked = json!({ "capabilities": { "alwaysMatch": {
            "timeouts": { "implicit": 20_000 },
            "goog:chromeOptions": { "args": args, "prefs": prefs } } } });
        let made = browser.call("POST", "/session", &asked);
        browser.session = made["sessionId"].as_str().unwrap().to_owned();
        // A window of Chromium has a least width; what it shows has none.
        if kind.width < WINDOW_WIDTH_MIN {
            let size = json!({ "width": kind.width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
            let params = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": size });
            browser.ask("POST", "/goog/cdp/execute", &params);
        }
        if kind.dark {
            let feature = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
            browser.ask(
                "POST",
                "/goog/cdp/execute",
                &json!({ "cmd": "Emulation.setEmulatedMedia", "params": feature }),
            );
        }
        browser
    }

    #[track_caller]
    pub fn open(&self, url: &str) {
        self.ask("POST", "/url", &json!({ "url": url }));
    }

    pub fn url(&self) -> String {
        self.ask("GET", "/url", &Value::Null).as_str().unwrap().to_owned()
    }

    /// What a reader sees of the first element that fits.
    #[track_caller]
    pub fn text(&self, css: &str) -> String {
        self.on(css, "GET", "text", &Value::Null).as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn write(&self, css: &str, text: &str) {
        self.on(css, "POST", "clear", &json!({}));
        self.on(css, "POST", "value", &json!({ "text": text }));
    }

    /// Waits until the page behind it is there.
    #[track_caller]
    pub fn click(&self, css: &str) {
        self.on(css, "POST", "click", &json!({}));
    }

    /// Types keys without looking where: what has the focus gets them.
    pub fn keys(&self, keys: &str) {
        let strokes: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() })))
            .collect();
        let actions = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": strokes }] });
        self.ask("POST", "/actions", &actions);
    }

    /// What has the focus: its text, or the name of its field.
    pub fn focused(&self) -> String {
        let script = "const e = document.activeElement; return e.name || e.textContent.trim();";
        self.run(script).as_str().unwrap_or_default().to_owned()
    }

    /// Runs a script in the page.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.ask("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Runs a script that calls its last argument with the answer.
    #[track_caller]
    pub fn run_later(&self, script: &str) -> Value {
        self.ask("POST", "/execute/async", &json!({ "script": script, "args": [] }))
    }

    /// A picture of the whole page, in `target/screenshots`.
    pub fn picture(&self, name: &str) {
        let size = self.ask("POST", "/goog/cdp/execute", &json!({ "cmd": "Page.getLayoutMetrics", "params": {} }));
        let (width, height) = (&size["cssContentSize"]["width"], &size["cssContentSize"]["height"]);
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        let params = json!({ "captureBeyondViewport": true, "clip": clip });
        let shot = self.ask("POST", "/goog/cdp/execute", &json!({ "cmd": "Page.captureScreenshot", "params": params }));
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let octets = STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), octets).unwrap();
    }

    /// One request about the first element that fits. Where its page goes away in between, that of the next page is meant.
    #[track_caller]
    fn on(&self, css: &str, method: &str, what: &str, body: &Value) -> Value {
        let ask = |_| {
            let path = format!("/session/{}/element/{}/{what}", self.session, self.find(css));
            let answer = self.answer(method, &path, body);
            (!is_stale(&answer)).then(|| checked(answer, method, &path, body))
        };
        (0..PAGES_MAX).find_map(ask).unwrap_or_else(|| panic!("{css}: one page follows the other"))
    }

    #[track_caller]
    fn find(&self, css: &str) -> String {
        let found = self.ask("POST", "/element", &json!({ "using": "css selector", "value": css }));
        let (_, id) = found.as_object().and_then(|found| found.iter().next()).unwrap();
        id.as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.call(method, &format!("/session/{}{path}", self.session), body)
    }

    /// One request, and its value.
    #[track_caller]
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        checked(self.answer(method, path, body), method, path, body)
    }

    /// The value, or an error as the driver words it.
    fn answer(&self, method: &str, path: &str, body: &Value) -> Value {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(self.at).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
            self.at,
            text.len()
        )
        .unwrap();
        let mut answer = BufReader::new(stream);
        let (mut length, mut line) = (0, String::new());
        loop {
            line.clear();
            answer.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut said = vec![0; length];
        answer.read_exact(&mut said).unwrap();
        let said: Value = serde_json::from_slice(&said).unwrap();
        said["value"].clone()
    }
}

/// The driver has two ways to say that the page of an element went away.
fn is_stale(answer: &Value) -> bool {
    let says = |word: &str| answer["message"].as_str().is_some_and(|message| message.contains(word));
    answer["error"] == "stale element reference" || says("does not belong to the document")
}

#[track_caller]
fn checked(value: Value, method: &str, path: &str, body: &Value) -> Value {
    assert!(value["error"].is_null(), "{method} {path} {body}: {}: {}", value["error"], value["message"]);
    value
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.call("DELETE", &format!("/session/{}", self.session), &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The driver and its port; none where it ended: it takes one port in IPv4 and in IPv6, and another program may have it in one
/// of the two.
fn start_driver() -> Option<(Child, u16)> {
    let mut driver = Command::new(program("chromedriver"))
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(driver.stdout.take().unwrap());
    let mut line = String::new();
    // "ChromeDriver was started successfully on port 40123."
    while lines.read_line(&mut line).unwrap() != 0 {
        if let Some((_, port)) = line.trim_end_matches(['.', '\n']).split_once("successfully on port ") {
            return Some((driver, port.parse().unwrap()));
        }
        line.clear();
    }
    driver.wait().unwrap();
    None
}

const STARTS: usize = 5;
const WINDOW_WIDTH_MIN: u32 = 500;
/// A click leads over two or three.
const PAGES_MAX: usize = 10;

/// A page that takes so long is none that anybody would wait for; a busy machine starts Chromium in some seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// Keys as WebDriver names them.
pub const TAB: &str = "\u{e004}";
pub const ENTER: &str = "\u{e007}";
