// The frame of the page: views by the address, the connection, who is logged in, language and colours.
import { follow, logIn, logOut, readSession, session } from "./api.js";
import * as live from "./live.js";
import * as parts from "./parts.js";
import * as rejects from "./rejects.js";
import * as theme from "./theme.js";
import * as thresholds from "./thresholds.js";
import { h } from "./dom.js";
import { currentLanguage, switchLanguage, word } from "./words.js";

const VIEWS = { "#live": live, "#rejects": rejects, "#threshold": thresholds, "#parts": parts };
const SILENT_MS = 15000; // the server says something every five seconds
const FIRST_PAUSE_MS = 500, LONGEST_PAUSE_MS = 10000;
const at = (id) => document.getElementById(id);
const main = at("main"), notice = at("notice"), login = at("login");
let close = () => {};
let following = null;

const maySee = () => session.role !== null;

function show() {
  close();
  const name = location.hash in VIEWS ? location.hash : "#live";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (maySee()) close = VIEWS[name].open(main) ?? (() => {});
  else {
    close = () => {};
    main.replaceChildren(h("section", { class: "card stack" }, h("h1", {}, word("logIn")), h("p", {}, word("mustLogIn")),
      h("p", {}, h("button", { type: "button", class: "primary", onclick: () => login.showModal() }, word("logIn")))));
  }
}

function speak() {
  document.documentElement.lang = currentLanguage();
  for (const each of document.querySelectorAll("[data-word]")) each.textContent = word(each.dataset.word);
  at("language").textContent = word("other");
  at("language").lang = currentLanguage() === "en" ? "de" : "en";
  at("theme").textContent = word(theme.isDark() ? "light" : "dark");
  at("account").hidden = !session.logins;
  at("account").textContent = session.user && session.logins ? `${session.user}: ${word("logOut")}` : word("logIn");
  at("place").textContent = Object.values(session.labels).filter(Boolean).join(" · ");
  show();
}

function tell(text) {
  if (notice.textContent !== text) notice.textContent = text;
  notice.hidden = !text;
}

/** Follow the server's news for as long as somebody may see them; what breaks is tried again. */
async function connect() {
  following?.abort();
  const mine = following = new AbortController();
  live.forget();
  for (let pause = FIRST_PAUSE_MS; !mine.signal.aborted && maySee(); pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    const attempt = new AbortController();
    const stop = () => attempt.abort();
    mine.signal.addEventListener("abort", stop);
    let timer = setTimeout(stop, SILENT_MS);
    try {
      await follow((news) => {
        clearTimeout(timer);
        timer = setTimeout(stop, SILENT_MS);
        pause = FIRST_PAUSE_MS;
        const isFirst = live.currentState() === null;
        live.take(news);
        tell("");
        if (isFirst && ["#threshold", "#parts"].includes(location.hash)) show();
      }, attempt.signal);
    } catch (error) {
      if (mine.signal.aborted) return;
      if (error.status === 401) {
        await refresh();
        return;
      }
      tell(error.status === 503 ? error.message : word("lost"));
    } finally {
      clearTimeout(timer);
      mine.signal.removeEventListener("abort", stop);
    }
    await new Promise((done) => setTimeout(done, pause));
    if (!mine.signal.aborted) await readSession().catch(() => {}); // a page's process that starts anew knows no session
  }
  if (!mine.signal.aborted) { // it does not know this browser any more
    tell("");
    speak();
  }
}

async function refresh() {
  await readSession().catch(() => tell(word("lost")));
  speak();
  connect();
}

at("language").addEventListener("click", () => {
  switchLanguage();
  speak();
});
at("theme").addEventListener("click", () => {
  theme.switchTheme();
  at("theme").textContent = word(theme.isDark() ? "light" : "dark");
});
at("account").addEventListener("click", async () => {
  if (session.user === null) {
    login.showModal();
    return;
  }
  await logOut();
  following?.abort();
  speak();
});
login.querySelector(".cancel").addEventListener("click", () => login.close());
login.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target, error = form.querySelector(".error"), button = form.querySelector(".primary");
  button.disabled = true;
  error.textContent = "";
  try {
    await logIn(form.elements.name.value, form.elements.password.value);
    login.close();
    speak();
    connect();
  } catch (failure) {
    if (failure.status === 403) await readSession().catch(() => {}); // the token was of a session that is over
    error.textContent = failure.message;
  } finally {
    form.elements.password.value = "";
    button.disabled = false;
  }
});
window.addEventListener("hashchange", () => {
  show();
  main.focus();
});
window.addEventListener("proctor-error", (event) => tell(event.detail.message));
theme.begin(speak);
refresh();
