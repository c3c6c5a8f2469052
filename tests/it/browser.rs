//! A headless Chromium, asked over its debugging pipe: messages of JSON that end with a zero byte.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// `no-browser` among its words leaves out what needs a browser; without it a missing one is a failure.
const SWITCH: &str = "DOCKER_REGISTRY_PRUNE_TESTS";
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the calling test is to return at once.
#[expect(clippy::disallowed_methods, reason = "a switch of the test itself")]
#[expect(clippy::print_stderr, reason = "whoever leaves tests out is told so")]
pub(crate) fn left_out() -> bool {
    let words = std::env::var(SWITCH).unwrap_or_default();
    let is_left_out = words.split(',').any(|word| word == "no-browser");
    if is_left_out {
        eprintln!("left out: {SWITCH}={words}");
    }
    is_left_out
}

fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser.sh");
        let output = Command::new(script).output().expect("run tests/browser.sh");
        assert!(
            output.status.success(),
            "these tests need Chromium (or leave them out with {SWITCH}=no-browser):\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("a path").trim().to_owned()
    })
}

/// A browser with one page.
pub(crate) struct Browser {
    process: Child,
    asking: RefCell<Asking>,
    answers: Receiver<Value>,
    _profile: TempDir,
}

struct Asking {
    input: ChildStdin,
    number: u64,
    session: Option<String>,
    /// What happened, as the browser told it.
    events: Vec<Value>,
}

impl Browser {
    /// Opens `page` and waits until it is loaded.
    pub(crate) fn open(page: &Path) -> Self {
        let profile = TempDir::new().expect("make a folder");
        // The browser reads from 3 and writes to 4.
        let mut process = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "sh", program()])
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--remote-debugging-pipe",
                "--no-first-run",
            ])
            .args(["--disable-background-networking", "--disable-dev-shm-usage", "--hide-scrollbars"])
            .arg("--window-size=1280,1000")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the browser");
        let input = process.stdin.take().expect("a pipe");
        let mut output = BufReader::new(process.stdout.take().expect("a pipe"));
        let (answered, answers) = channel();
        thread::spawn(move || {
            let mut message = Vec::new();
            while output.read_until(0, &mut message).is_ok_and(|length| length > 0) {
                let text = message.strip_suffix(&[0]).unwrap_or(&message);
                let Ok(value) = serde_json::from_slice(text) else { return };
                if answered.send(value).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let asking = RefCell::new(Asking { input, number: 0, session: None, events: Vec::new() });
        let browser = Self { process, asking, answers, _profile: profile };
        let target = browser.ask("Target.createTarget", &json!({ "url": "about:blank" }));
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.ask("Target.attachToTarget", &target);
        browser.asking.borrow_mut().session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Network", "Log", "Runtime"] {
            browser.ask(&format!("{domain}.enable"), &json!({}));
        }
        browser.ask("Page.navigate", &json!({ "url": format!("file://{}", page.display()) }));
        browser.wait_for("document.readyState === 'complete' && location.protocol === 'file:'");
        browser
    }

    /// One command of the protocol, to its answer.
    pub(crate) fn ask(&self, method: &str, parameters: &Value) -> Value {
        let mut asking = self.asking.borrow_mut();
        asking.number += 1;
        let number = asking.number;
        let mut message = json!({ "id": number, "method": method, "params": parameters });
        if let Some(session) = &asking.session {
            message["sessionId"] = json!(session);
        }
        write!(asking.input, "{message}\0")
            .and_then(|()| asking.input.flush())
            .expect("write to the browser");
        let asked = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(asked.elapsed());
            let answer = self
                .answers
                .recv_timeout(left)
                .unwrap_or_else(|_| panic!("the browser does not answer {method}"));
            if answer["id"] == number {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            asking.events.push(answer);
        }
    }

    /// The value of an expression in the page; what it promises is awaited.
    #[track_caller]
    pub(crate) fn value(&self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.ask("Runtime.evaluate", &asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, expression: &str) {
        let asked = Instant::now();
        while self.value(expression) != true {
            assert!(asked.elapsed() < PATIENCE, "it never came to {expression}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Moves the mouse to the middle of the first element that `selector` and `text` mean, and presses its button.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str, text: &str) {
        let (x, y) = self.middle(selector, text);
        self.mouse("mouseMoved", x, y);
        self.mouse("mousePressed", x, y);
        self.mouse("mouseReleased", x, y);
    }

    #[track_caller]
    pub(crate) fn hover(&self, selector: &str, text: &str) {
        let (x, y) = self.middle(selector, text);
        self.mouse("mouseMoved", x, y);
    }

    #[track_caller]
    fn middle(&self, selector: &str, text: &str) -> (f64, f64) {
        let place = self.value(&format!(
            "(() => {{ const found = [...document.querySelectorAll({})].find((one) => one.textContent.includes({}));
               found?.scrollIntoView({{ block: 'nearest' }});
               const box = found?.getBoundingClientRect();
               return box && [box.left + box.width / 2, box.top + box.height / 2]; }})()",
            json!(selector),
            json!(text)
        ));
        let coordinate =
            |number: usize| place[number].as_f64().unwrap_or_else(|| panic!("no {selector} with {text}"));
        (coordinate(0), coordinate(1))
    }

    fn mouse(&self, kind: &str, x: f64, y: f64) {
        let button = if kind == "mouseMoved" { "none" } else { "left" };
        let event = json!({ "type": kind, "x": x, "y": y, "button": button, "clickCount": 1 });
        self.ask("Input.dispatchMouseEvent", &event);
    }

    pub(crate) fn press(&self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Backspace" => (8, ""),
            other => panic!("nobody knows the key {other}"),
        };
        let mut event = json!({ "type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text });
        self.ask("Input.dispatchKeyEvent", &event);
        event["type"] = json!("keyUp");
        self.ask("Input.dispatchKeyEvent", &event);
    }

    /// What happened under this name so far.
    pub(crate) fn events(&self, method: &str) -> Vec<Value> {
        // Whatever was told before this answer has arrived.
        self.value("0");
        let asking = self.asking.borrow();
        let meant = asking.events.iter().filter(|event| event["method"] == method);
        meant.map(|event| event["params"].clone()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
