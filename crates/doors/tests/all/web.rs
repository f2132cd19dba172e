//! The pages for persons, over real HTTP: who gets in, what a hostile page or a stranger can do, what is shown of what.

use std::time::Instant;

use reqwest::{RequestBuilder, Response, StatusCode};
use sm2tp_rules::access::Role;

use super::node::{Node, TempDir, client, describe};

pub const PASSWORD: &str = "correct horse battery";

/// A browser: one cookie jar, and no more.
pub struct Browser {
    pub origin: String,
    pub cookies: Vec<(String, String)>,
}

impl Browser {
    pub fn new(node: &Node) -> Self {
        Self { origin: node.origin.clone(), cookies: Vec::new() }
    }

    fn with_cookies(&self, request: RequestBuilder) -> RequestBuilder {
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if pairs.is_empty() { request } else { request.header("cookie", pairs.join("; ")) }
    }

    pub async fn get(&mut self, path: &str) -> Page {
        let request = self.with_cookies(client().get(format!("{}{path}", self.origin)));
        self.keep(request.send().await.unwrap()).await
    }

    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.post_with(path, fields, &[]).await
    }

    pub async fn post_with(&mut self, path: &str, fields: &[(&str, &str)], header: &[(&str, &str)]) -> Page {
        let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let request = client()
            .post(format!("{}{path}", self.origin))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.join("&"));
        let request = header.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.keep(self.with_cookies(request).send().await.unwrap()).await
    }

    /// A form of a page: what it hides goes along.
    pub async fn submit(&mut self, page: &Page, path: &str, fields: &[(&str, &str)]) -> Page {
        let token = page.token();
        let all: Vec<(&str, &str)> = [("form", &token[..])].into_iter().chain(fields.iter().copied()).collect();
        self.post(path, &all).await
    }

    /// A form with a file, as browsers send it (RFC 7578).
    pub async fn upload(&mut self, page: &Page, path: &str, fields: &[(&str, &str)], file: Option<&str>) -> Page {
        let token = page.token();
        let mut body = String::new();
        for (name, value) in [("form", &token[..])].iter().chain(fields) {
            body.push_str(&format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
        }
        let (chosen, content) = file.map_or(("", ""), |content| ("list.csv", content));
        body.push_str(&format!(
            "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{chosen}\"\r\n\
             Content-Type: text/csv\r\n\r\n{content}\r\n--xyz--\r\n"
        ));
        let request = client()
            .post(format!("{}{path}", self.origin))
            .header("content-type", "multipart/form-data; boundary=xyz")
            .body(body);
        self.keep(self.with_cookies(request).send().await.unwrap()).await
    }

    pub async fn login(&mut self, name: &str, password: &str) -> Page {
        self.post("/login", &[("name", name), ("password", password), ("next", "/")]).await
    }

    async fn keep(&mut self, response: Response) -> Page {
        let set: Vec<String> =
            response.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap().to_owned()).collect();
        for cookie in &set {
            let (pair, attributes) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            if !attributes.contains("Max-Age=0") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        let header = |name: &str| {
            response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        let (status, location, policy) = (response.status(), header("location"), header("content-security-policy"));
        Page { status, location, policy, set, text: response.text().await.unwrap() }
    }
}

/// What a browser got.
pub struct Page {
    pub status: StatusCode,
    pub location: String,
    pub policy: String,
    pub set: Vec<String>,
    pub text: String,
}

impl Page {
    /// The token of its forms.
    pub fn token(&self) -> String {
        let (_, rest) = self.text.split_once("name=\"form\" value=\"").unwrap_or_else(|| panic!("{}", self.text));
        rest.split('"').next().unwrap().to_owned()
    }
}

pub fn encoded(text: &str) -> String {
    text.bytes()
        .map(|octet| match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(octet).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

async fn with_anna(dir: &TempDir) -> Node {
    let node = Node::start(dir, "a").await;
    node.house.persons.add("anna", Role::Owner, PASSWORD, sm2tp_doors::now()).await.unwrap();
    node
}

pub async fn logged_in(node: &Node, name: &str) -> Browser {
    let mut browser = Browser::new(node);
    assert_eq!(browser.login(name, PASSWORD).await.status, StatusCode::SEE_OTHER);
    browser
}

#[tokio::test]
async fn without_an_account_the_machine_sees_the_status_and_how_to_make_one() {
    let dir = TempDir::new();
    let node = Node::start(&dir, "a").await;
    let mut browser = Browser::new(&node);
    let page = browser.get("/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("sm2tp account add NAME --role owner"), "{}", page.text);
    for path in ["/accounts", "/account"] {
        assert!(browser.get(path).await.location.starts_with("/login"), "{path}");
    }
    assert_eq!(browser.get("/login").await.location, "/");
}

#[tokio::test]
async fn with_accounts_everything_is_behind_the_login() {
    let dir = TempDir::new();
    let node = with_anna(&dir).await;
    let mut browser = Browser::new(&node);
    assert_eq!(browser.get("/").await.location, "/login");
    assert_eq!(browser.get("/accounts").await.location, "/login?next=%2Faccounts");
    let page = browser.get("/login?next=/accounts").await;
    assert!(page.text.contains("name=\"next\" value=\"/accounts\""), "{}", page.text);
    let page = browser.post("/login", &[("name", "anna"), ("password", PASSWORD), ("next", "/accounts")]).await;
    assert_eq!((page.status, &page.location[..]), (StatusCode::SEE_OTHER, "/accounts"));
    let page = browser.get("/accounts").await;
    assert!(page.text.contains("anna") && page.text.contains("Owner"), "{}", page.text);
    // Afterwards one goes to pages of ours only.
    for foreign in ["https://evil.example/", "//evil.example", "/\\evil.example"] {
        let mut other = Browser::new(&node);
        let page = other.post("/login", &[("name", "anna"), ("password", PASSWORD), ("next", foreign)]).await;
        assert_eq!(page.location, "/", "{foreign}");
    }
}

#[tokio::test]
async fn the_providers_that_people_ask_for_are_named_on_a_day_without_mail() {
    let dir = TempDir::new();
    let node = with_anna(&dir).await;
    let mut browser = Browser::new(&node);
    browser.login("anna", PASSWORD).await;
    let page = browser.get("/").await.text;
    let places: Vec<usize> = ["Google", "Microsoft", "Yahoo", "Orange", "SFR", "Free", "La Poste"]
        .iter()
        .map(|name| page.find(&format!("scope=\"row\">{name}")).unwrap_or_else(|| panic!("{name} is missing: {page}")))
        .collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[tokio::test]
async fn a_session_cookie_is_for_this_site_alone_and_no_script_reads_it() {
    let dir = TempDir::new();
    let node = with_anna(&dir).await;
    let mut browser = Browser::new(&node);
    let here = browser.login("anna", PASSWORD).await;
    let cookie = &here.set[0];
    assert!(cookie.starts_with("sm2tp=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
    // Through the web server in front: over TLS only, and bound to the host.
    let mut browser = Browser::new(&node);
    let fields = [("name", "anna"), ("password", PASSWORD)];
    let public = browser.post_with("/login", &fields, &[("host", "relay.example.org")]).await;
    let cookie = &public.set[0];
    assert!(cookie.starts_with("__Host-sm2tp="), "{cookie}");
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{cookie}");
    // Under another name nothing is shown: it may be that of another site, which points here.
    for host in ["evil.example", "relay.example.org.evil.example", "127.0.0.1.evil.example"] {
        let page = browser.post_with("/login", &fields, &[("host", host)]).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{host}");
    }
}

#[tokio::test]
async fn a_number_that_was_there_before_the_login_opens_nothing_afterwards() {
    let dir = TempDir::new();
    let node = with_anna(&dir).await;
    let planted = "x".repeat(43);
    let mut browser = Browser::new(&node);
    browser.cookies.push(("sm2tp".into(), planted.clone()));
    browser.login("anna", PASSWORD).await;
    assert_ne!(browser.cookies[0].1, planted);
    let mut attacker = Browser::new(&node);
    attacker.cookies.push(("sm2tp".into(), planted));
    assert!(attacker.get("/").await.location.starts_with("/login"));
    // A second login ends the first session of the same browser.
    let first = browser.cookies.clone();
    browser.login("anna", PASSWORD).await;
    assert_ne!(browser.cookies, first);
    attacker.cookies = first;
    assert!(attacker.get("/").await.location.starts_with("/login"));
}

#[tokio::test]
async fn a_form_of_another_page_changes_nothing() {
    let dir = TempDir::new();
    let node = with_anna(&dir).await;
    let mut browser = logged_in(&node, "anna").await;
    let page = browser.get("/accounts").await;
    let token = page.token();
    let fields = |token: &str| {
        let fields = [("name", "eve"), ("role", "owner"), ("password", PASSWORD), ("again", PASSWORD), ("form", token)];
        fields.map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let mut other = logged_in(&node, "anna").await;
    let others_token = other.get("/accounts").await.token();
    let one_letter = format!("{}{}", &token[..token.len() - 1], if token.ends_with('A') { 'B' } else { 'A' });
    for bad in ["", "x", &others_token, &one_letter] {
        let fields = fields(bad);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let refused = browser.post("/accounts", &fields).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{bad}");
    }
    let right = fields(&token);
    let right: Vec<(&str, &str)> = right.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let refused = browser.post_with("/accounts", &right, &[(name, value)]).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{name}: {value}");
        let fields = [("name", "anna"), ("password", PASSWORD)];
        let refused = browser.post_with("/login", &fields, &[(name, value)]).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
    assert_eq!(node.house.persons.list().len(), 1);
    let done = browser.post("/accounts", &right).await;
    assert_eq!((done.status, &done.location[..]), (StatusCode::SEE_OTHER, "/accounts?done=account"));
    assert!(browser.get(&done.location).await.text.contains("The account is there."));
    assert_eq!(node.house.persons.list().len(), 2);
}

#[tokio::test]
async fn to_look_changes_nothing() {
    let dir = TempDir::new();
    let node = with_anna(&dir).await;
    node.house.persons.add("bob", Role::ReadOnly, PASSWORD, sm2tp_doors::now()).await.unwrap();
    let mut browser = logged_in(&node, "anna").await;
    let token = browser.get("/accounts").await.token();
    let query = format!("?form={token}&name=bob&what=remove&role=owner&password={0}&again={0}", encoded(PASSWORD));
    for path in ["/logout", "/accounts/change", "/accounts", "/account/sessions", "/account/factor/drop", "/language"] {
        let page = browser.get(&format!("{path}{query}")).await;
        assert!(page.status == StatusCode::OK || page.status == StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert!(page.set.is_empty(), "{path}");
    }
    let persons = node.house.persons.list();
    assert_eq!(persons.iter().map(|person| person.role.as_str()).collect::<Vec<_>>(), ["owner", "read-only"]);
    assert_eq!(browser.get("/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn who_guesses_must_wait_and_who_is_right_need_not() {
    let dir = TempDir::new();
    let node = with_anna(&dir).await;
    let mut browser = Browser::new(&node);
    let mut tried = 0;
    let waits = loop {
        let page = browser.login("nobody", "wrong password").await;
        if page.status == StatusCode::TOO_MANY_REQUESTS {
            break page;
        }
        assert_eq!(page.status, StatusCode::UNAUTHORIZED);
        assert!(page.text.contains("Name, password or code is wrong."), "{}", page.text);
        tried += 1;
        assert!(tried <= 20, "twenty an hour");
    };
    assert!(waits.text.contains("Too many wrong passwords"), "{}", waits.text);
    assert_eq!(tried, 20);
    // The name that was guessed at waits, another one from the same address does not yet.
    assert_eq!(browser.login("anna", PASSWORD).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_unknown_name_takes_as_long_as_a_wrong_password() {
    let dir = TempDir::new();
    let node = with_anna(&dir).await;
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..8 {
        for (which, name) in ["anna", "nobody"].into_iter().enumerate() {
            let began = Instant::now();
            assert_eq!(Browser::new(&node).login(name, "wrong password").await.status, StatusCode::UNAUTHORIZED);
            times[which].push(began.elapsed());
        }
    }
    let [known, unknown] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    // Both hash once; without that the unknown name would be told a hundred times faster.
    assert!(known < unknown * 3 && unknown < known * 3, "{known:?} and {unknown:?}");
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_the_present_one_and_all_others_are_logged_out() {
    let dir = TempDir::new();
    let node = with_anna(&dir).await;
    let (mut browser, mut elsewhere) = (logged_in(&node, "anna").await, logged_in(&node, "anna").await);
    let page = browser.get("/account").await;
    let new = "another long password";
    for (now, again, why) in [("wrong", new, "The present password is another one"), (PASSWORD, "x", "differ")] {
        let fields = [("password", now), ("new", new), ("again", again)];
        let refused = browser.submit(&page, "/account/password", &fields).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.text.contains(why), "{}", refused.text);
    }
    let fields = [("password", PASSWORD), ("new", new), ("again", new)];
    assert_eq!(browser.submit(&page, "/account/password", &fields).await.location, "/account?done=password");
    assert_eq!(browser.get("/account").await.status, StatusCode::OK);
    assert!(elsewhere.get("/").await.location.starts_with("/login"));
    assert_eq!(Browser::new(&node).login("anna", PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(Browser::new(&node).login("anna", new).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_second_factor_is_set_up_on_the_pages_and_asked_for_afterwards() {
    let dir = TempDir::new();
    let node = with_anna(&dir).await;
    let mut browser = logged_in(&node, "anna").await;
    let page = browser.get("/account/factor").await;
    let secret = page.text.split_once("name=\"secret\" value=\"").unwrap().1.split('"').next().unwrap().to_owned();
    assert!(page.text.contains(&format!("secret={secret}")), "{}", page.text);
    let code = || sm2tp_store::persons::Factor::from_text(&secret).unwrap().code(sm2tp_doors::now());
    let wrong = [("secret", &secret[..]), ("code", "abcdef"), ("password", PASSWORD)];
    let refused = browser.submit(&page, "/account/factor", &wrong).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let now = code();
    let right = [("secret", &secret[..]), ("code", &now), ("password", PASSWORD)];
    assert_eq!(browser.submit(&page, "/account/factor", &right).await.location, "/account?done=factor");
    let mut other = Browser::new(&node);
    assert_eq!(other.login("anna", PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    let with_code = [("name", "anna"), ("password", PASSWORD), ("code", &now[..])];
    assert_eq!(other.post("/login", &with_code).await.status, StatusCode::UNAUTHORIZED, "it was used up");
    let page = browser.get("/account").await;
    assert_eq!(
        browser.submit(&page, "/account/factor/drop", &[("password", PASSWORD)]).await.location,
        "/account?done=factor-off"
    );
    assert_eq!(other.login("anna", PASSWORD).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn each_role_sees_and_changes_what_is_its_own() {
    let dir = TempDir::new();
    let node = with_anna(&dir).await;
    node.house.accounts.put_org("asso", vec![], sm2tp_rules::Stream::Bulk, 1).await.unwrap();
    let of_asso = Role::OrgAdministrator { org: "asso".into() };
    for (name, role) in [("olga", of_asso), ("rita", Role::ReadOnly), ("otto", Role::Operator)] {
        node.house.persons.add(name, role, PASSWORD, sm2tp_doors::now()).await.unwrap();
    }
    for (name, sees_accounts) in [("olga", false), ("rita", true), ("otto", true)] {
        let mut browser = logged_in(&node, name).await;
        let page = browser.get("/").await;
        assert_eq!(page.status, StatusCode::OK, "{name}");
        assert_eq!(page.text.contains("href=\"/accounts\""), sees_accounts, "{name}: {}", page.text);
        let accounts = browser.get("/accounts").await;
        let want = if sees_accounts { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(accounts.status, want, "{name}");
        let fields = [("name", "eve"), ("role", "owner"), ("password", PASSWORD), ("again", PASSWORD)];
        let refused = browser.submit(&page, "/accounts", &fields).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{name}: {}", refused.text);
        let fields = [("name", "anna"), ("what", "remove")];
        assert_eq!(browser.submit(&page, "/accounts/change", &fields).await.status, StatusCode::FORBIDDEN, "{name}");
    }
    assert_eq!(node.house.persons.list().len(), 4);
}

#[tokio::test]
async fn what_strangers_say_is_text_on_every_page() {
    let dir = TempDir::new();
    let node = with_anna(&dir).await;
    let hostile = "<img src=x onerror=alert(1)>\"'&{{ f.w }}";
    let keys = |n| ed25519_dalek::SigningKey::from_bytes(&[n; 32]);
    node.befriend(&describe(&keys(5), &keys(6), hostile, "https://x.example/fed/v1")).await;
    node.house.accounts.put_org(hostile, vec![], sm2tp_rules::Stream::Bulk, 1).await.unwrap();
    node.house.persons.add(hostile, Role::ReadOnly, PASSWORD, sm2tp_doors::now()).await.unwrap();
    let mut browser = logged_in(&node, "anna").await;
    let change = format!("/accounts/change?name={}", encoded(hostile));
    let next = format!("/login?next={}", encoded("/\"><script>alert(1)</script>"));
    let done = format!("/?done={}", encoded(hostile));
    for path in ["/", "/accounts", "/account", &change, &done] {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(!page.text.contains("<img") && !page.text.contains("<script>alert"), "{path}: {}", page.text);
        assert!(page.policy.contains("default-src 'none'") && !page.policy.contains("unsafe"), "{path}");
        for inline in [" style=", "<style", " onclick", " onload", "javascript:"] {
            assert!(!page.text.contains(inline), "{path} has {inline}: {}", page.text);
        }
    }
    let page = Browser::new(&node).get(&next).await;
    assert!(!page.text.contains("<script>alert"), "{}", page.text);
    let page = Browser::new(&node).login(hostile, "wrong password").await;
    assert!(!page.text.contains("<img"), "{}", page.text);
}

#[tokio::test]
async fn the_language_is_chosen_on_the_page_and_stays() {
    let dir = TempDir::new();
    let node = with_anna(&dir).await;
    let mut browser = logged_in(&node, "anna").await;
    assert!(browser.get("/").await.text.contains("<html lang=\"en\">"));
    let page = browser.post("/language", &[("language", "fr"), ("next", "/account")]).await;
    assert_eq!(page.location, "/account");
    let page = browser.get("/account").await;
    assert!(page.text.contains("<html lang=\"fr\">") && page.text.contains("Mot de passe actuel"), "{}", page.text);
    let page = browser.post("/language", &[("language", "<x>"), ("next", "/")]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert!(browser.get("/").await.text.contains("<html lang=\"fr\">"));
}
