// What the page asks its server.
export const session = { csrf: "", user: null, role: null, logins: false, labels: {} };
const ROLES = ["view", "operate", "engineer"];

export const may = (role) => ROLES.indexOf(session.role) >= ROLES.indexOf(role);

export class Failed extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function answered(response) {
  if (response.ok) return response;
  let reason = response.statusText;
  try {
    reason = (await response.clone().json()).error ?? reason;
  } catch {
    reason = (await response.text()) || reason;
  }
  throw new Failed(response.status, reason);
}

export async function get(path, query = {}) {
  const text = new URLSearchParams(query).toString();
  return (await answered(await fetch(text ? `${path}?${text}` : path))).json();
}

export async function post(path, body = {}) {
  const headers = { "content-type": "application/json", "x-csrf-token": session.csrf };
  return (await answered(await fetch(path, { method: "POST", headers, body: JSON.stringify(body) }))).json();
}

export async function picture(path) {
  return URL.createObjectURL(await (await answered(await fetch(path))).blob());
}

export const readSession = async () => Object.assign(session, await get("/api/session"));

export async function logIn(name, password) {
  Object.assign(session, await post("/api/login", { name, password }));
}

export async function logOut() {
  await post("/api/logout");
  await readSession();
}

/** Lines of JSON from the server, until it ends or fails. */
export async function follow(take, signal) {
  const reader = (await answered(await fetch("/api/events", { signal }))).body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = lines.pop();
    for (const line of lines) take(JSON.parse(line));
  }
}
