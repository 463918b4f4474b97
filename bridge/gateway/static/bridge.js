// Ghostlink Bridge: bridge('track', type, properties, fields), bridge('optout'), bridge('optin'), bridge('state').
(() => {
  'use strict';
  // Elements that a visitor wrote into the page can shadow the document's properties by their name.
  const page = (name) => Reflect.get(Document.prototype, name, document);
  const script = page('currentScript') || page('querySelector').call(document, 'script[src*="/bridge/"]');
  const place = /^(.*)\/bridge\/([^/?#]+)\.js/.exec(script?.src);
  const before = window.bridge;
  if (!place || before?.loaded === true) return;

  const MOST_EVENTS = 1000, MOST_CHARS = 1e6, EVENT_BYTES = 65e3;
  const BATCH_EVENTS = 50, BATCH_BYTES = 5e4, KEPT_BYTES = 6e4;
  const LINGER = 500, MOST_PAUSE = 6e4, MOST_ASKED = 36e5, LATE = 15e3, LAG = 5e3;
  const prefix = `bridge:${place[2]}:`, QUEUE = prefix + 'event:', SENT = prefix + 'sent:';
  const TOKEN = prefix + 'token', CHOICE = prefix + 'choice', WAIT = prefix + 'wait';
  const postUrl = `${place[1]}/api/bridge/${place[2]}/events`;
  const tokenUrl = `${place[1]}/bridge/${place[2]}/token`, NONE = { said: {} };
  // Entries that localStorage does not accept: all of them where it is disabled.
  const memory = {};
  // Events tracked by this page that are not acknowledged: a beacon sends them.
  const mine = new Set();
  // Functions that release the held locks.
  const held = new Set();
  let health = { state: 'delivering', since: Date.now(), reason: '' };
  let mostEvents = BATCH_EVENTS, failures = 0, timer = 0, due = 0, busy = false, leaving = false;

  const attempt = (work, otherwise) => { try { return work(); } catch (error) { return otherwise?.(error); } };
  const size = (text) => new Blob([text]).size;
  const read = (key) => memory[key] ?? attempt(() => localStorage.getItem(key)) ?? '';
  const remove = (key) => { delete memory[key]; attempt(() => localStorage.removeItem(key)); };
  const write = (key, text) => {
    remove(key);
    attempt(() => {
      localStorage.setItem(key, text);
      if (localStorage.getItem(key) != text) throw 0;
    }, () => { memory[key] = text; });
  };
  const drop = (key) => { mine.delete(key); remove(key); };
  // A key for each event, so that tabs don't overwrite each other's; ids and keys sort by time.
  const queued = () => Object.keys(memory).concat(attempt(() => Object.keys(localStorage)) || [])
    .filter((key) => key.startsWith(QUEUE)).sort();

  const warn = (text) => attempt(() => console.warn('bridge: ' + text));
  const turn = (state, reason) => {
    if (health.state != state) {
      health = { state, since: Date.now() };
      if (reason) warn(`events are ${state}: ${reason}`);
    }
    health.reason = reason;
  };
  // Old libraries add a toJSON method to arrays, objects and dates that turns them into text.
  const json = (value) => JSON.stringify(value, function (key, given) {
    const own = this[key];
    if (own instanceof Date && +own) return own.toISOString();
    return Array.isArray(own) || own?.toJSON == Object.prototype.toJSON ? own : given;
  });
  const uuid7 = () => {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    for (let i = 5, now = Date.now(); i >= 0; i--, now = Math.floor(now / 256)) bytes[i] = now % 256;
    bytes[6] = bytes[6] & 15 | 112;
    bytes[8] = bytes[8] & 63 | 128;
    return Array.from(bytes, (byte) => (byte + 256).toString(16).slice(1)).join('')
      .replace(/(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  };
  const optedOut = () => {
    const choice = read(CHOICE), respect = script.dataset.respect || '';
    return choice ? choice == 'out' : respect.includes('gpc') && navigator.globalPrivacyControl === true ||
      respect.includes('dnt') && navigator.doNotTrack == '1';
  };

  const commands = {
    __proto__: null,
    track(type, properties, fields) {
      if (optedOut()) return;
      if (!type || typeof type != 'string') throw 'an event has a type';
      const id = uuid7(), keys = queued(), text = json({
        event_id: id, event_type: type, occurred_at: Date.now(), url: location.href,
        referrer: page('referrer') || undefined, user_agent: navigator.userAgent, properties, ...fields
      });
      if (size(text) > EVENT_BYTES) throw 'the event is too large';
      let total = keys.reduce((sum, key) => sum + read(key).length, text.length);
      // The oldest event is removed, so that an unreachable gateway can't let a page fill the site's storage.
      for (let count = keys.length; count >= MOST_EVENTS || count && total > MOST_CHARS; count--) {
        total -= read(keys[0]).length;
        drop(keys.shift());
      }
      mine.add(QUEUE + id);
      write(QUEUE + id, text);
      leaving ? beacon() : schedule(LINGER);
      return id;
    },
    optout() {
      write(CHOICE, 'out');
      queued().forEach(drop);
      remove(TOKEN);
    },
    optin() { write(CHOICE, 'in'); },
    state() {
      const opted = optedOut() && { state: 'blocked', reason: 'the visitor opted out' };
      return { ...health, ...opted, queued: queued().length };
    }
  };
  const bridge = (command, ...words) => attempt(() => {
    if (!commands[command]) throw 'the commands are ' + Object.keys(commands);
    return commands[command](...words);
  }, (error) => warn(`${command} was ignored: ${error}`));

  const schedule = (ms) => {
    if (timer && due <= Date.now() + ms) return;
    clearTimeout(timer);
    due = Date.now() + ms;
    timer = setTimeout(flush, ms);
  };
  const flush = () => {
    timer = 0;
    if (busy || leaving || optedOut() || !next().keys.length) return;
    busy = true;
    // One tab sends at a time, or else each would send all queued events. The lock is released between tries.
    locked(prefix + 'send', sendAll).catch((error) => pause(NONE, error)).then((ms) => {
      busy = false;
      if (next().keys.length) schedule(ms || LINGER);
    });
  };
  // Some frames, and visitors who block cookies, have no locks: the work then runs without one.
  const locked = async (name, work) => {
    let begun;
    const inside = () => { begun = true; return work(); };
    try { return await navigator.locks.request(name, inside); } catch (error) { if (begun) throw error; }
    return inside();
  };
  // Resolves to the milliseconds until the next try, or to nothing when all events are sent.
  const sendAll = async () => {
    await forgetOthers();
    for (let batch; (batch = next()).keys.length;) {
      const asked = toWait(), ms = asked || await send(batch);
      if (asked && !health.reason) turn('waiting', 'as the gateway asked');
      if (ms) return ms;
      failures = 0;
      remove(WAIT);
    }
  };
  // The milliseconds until `moment`; a longer time than any pause means that the clock was set back meanwhile.
  const until = (moment) => {
    const left = moment - Date.now();
    return left > 0 && left < 2 * MOST_ASKED && left;
  };
  const toWait = () => until(read(WAIT));
  // Storage shows another tab's removals with a delay: until then its locks name the events that it has sent.
  const forgetOthers = async () => {
    const locks = await attempt(() => navigator.locks.query().catch(() => 0));
    locks?.held?.forEach(({ name }) => {
      if (name.startsWith(SENT)) name.slice(SENT.length).split(' ').forEach((id) => drop(QUEUE + id));
    });
  };
  const tellOthers = (keys) => new Promise((told) => {
    const name = SENT + keys.map((key) => key.slice(QUEUE.length)).join(' ');
    locked(name, () => new Promise((release) => {
      held.add(release);
      setTimeout(() => { held.delete(release); release(); }, LAG);
      told();
    })).then(told, told);
  });
  // The next events, each with the time of sending, by which the stream corrects this machine's clock.
  const next = (only) => {
    const keys = [], texts = [];
    let bytes = 20;
    for (const key of queued()) {
      const text = read(key), start = text.indexOf('{'), aside = text.slice(0, start);
      if (only && !only.has(key)) continue;
      if (start < 0 || isNaN(aside)) { drop(key); continue; }
      if (until(aside)) continue;
      texts.push(`${text.slice(start, -1)},"sent_at":${Date.now()}}`);
      bytes += size(texts[keys.length]) + 1;
      if (keys.length && (keys.length >= mostEvents || bytes > BATCH_BYTES)) { texts.pop(); break; }
      keys.push(key);
    }
    return { keys, events: `"events":[${texts}]}` };
  };
  const send = async (batch, again) => {
    const token = keptToken() || await newToken();
    if (!token.value) return token.pause;
    const probe = async () => isOwn(await post(postUrl, '{"events":[]}', token.value));
    // Where the browser hides the answer, every third failure probes whether the gateway is reachable before and after.
    const there = failures % 3 == 2 && await probe();
    const answer = await post(postUrl, '{' + batch.events, token.value), { status, said } = answer, own = isOwn(answer);
    if (status == 401 && own) {
      remove(TOKEN);
      return again ? pause(answer) : send(batch, true);
    }
    const taken = own && status == 202, refused = own && /^4(00|13|22)$/.test(status);
    // An intermediary refuses these events, or all requests: then it also refuses a post without events.
    const foreign = !own && (status ? !heals(status) : there) && await probe();
    if (!taken && !refused && !foreign) return pause(answer);
    turn('delivering', '');
    const { keys } = batch, text = read(keys[0]);
    if (taken) {
      if (said.rejected) warn('events were refused: ' + json(said.results));
    } else if (keys[1]) {
      mostEvents = keys.length >> 1;
      return;
    } else warn(`an event was refused: ${reasonOf(answer)}: ${text}`);
    mostEvents = BATCH_EVENTS;
    // An event that the gateway did not refuse stays queued, with the time of its next try before its text.
    if (foreign) return write(keys[0], Date.now() + MOST_ASKED + text.slice(text.indexOf('{')));
    keys.forEach(drop);
    await tellOthers(keys);
  };
  const isOwn = ({ said }) => said.error_code || said.accepted >= 0;
  const heals = (status) => /^(40[89]|42[59]|5..)$/.test(status);
  const reasonOf = ({ status, said }) => status ? `${status} ${said.error_code || "not the gateway's answer"}` :
    "no answer: offline, blocked, or an origin not on the script's list";
  const keptToken = () => {
    const kept = attempt(() => JSON.parse(read(TOKEN)));
    return kept?.until > Date.now() && kept;
  };
  const newToken = async () => {
    const answer = await post(tokenUrl), { token, expires_in } = answer.said;
    if (answer.status != 200 || !token) return { pause: pause(answer) };
    // The token is renewed after nine tenths of its lifetime, to allow for the transfer.
    const kept = { value: token, until: Date.now() + expires_in * 900 };
    write(TOKEN, json(kept));
    return kept;
  };
  // Always resolves; without a status if there was no answer.
  const post = (url, body = '', token) => {
    const aborter = new AbortController(), headers = {};
    if (token) Object.assign(headers, { 'Content-Type': 'application/json', Authorization: 'Bearer ' + token });
    const keepalive = page('hidden') && size(body) < KEPT_BYTES;
    const answered = async () => {
      const answer = await fetch(url, { method: 'POST', body, headers, keepalive, credentials: 'omit', signal: aborter.signal });
      const said = await answer.json().catch(() => 0) || {};
      return { status: answer.status, header: answer.headers.get('Retry-After'), said };
    };
    // The page's own tools may wrap fetch and drop the signal.
    const late = new Promise((resolve) => setTimeout(() => { resolve(NONE); aborter.abort(); }, LATE));
    return Promise.race([answered().catch(() => NONE), late]);
  };
  // The pause that the gateway requests applies to all tabs, and survives a reload.
  const pause = (answer, reason = reasonOf(answer)) => {
    const { status, header } = answer;
    const asked = Math.min(header >= 0 ? header * 1e3 : Date.parse(header) - Date.now() || 0, MOST_ASKED);
    const own = Math.min(MOST_PAUSE, 1e3 * 2 ** failures++) * (1 + Math.random()) / 2;
    const told = asked * (1 + Math.random() / 10);
    if (told > 0) write(WAIT, '' + (Date.now() + told));
    turn(!status || heals(status) ? 'waiting' : 'blocked', '' + reason);
    return Math.max(own, told);
  };
  // A beacon returns no answer: its events stay queued, and the next page sends them again under the same ids.
  const beacon = () => {
    const token = keptToken();
    if (optedOut() || !token || toWait()) return;
    for (let batch; (batch = next(mine)).keys.length;) {
      batch.keys.forEach((key) => mine.delete(key));
      if (!navigator.sendBeacon?.(`${postUrl}?token=${token.value}`, '{' + batch.events)) return;
    }
  };

  const listen = (target, name, handler) => addEventListener.call(target, name, () => attempt(handler));
  listen(window, 'pagehide', () => {
    leaving = true;
    beacon();
    // The back/forward cache does not keep a page that holds locks.
    held.forEach((release) => release());
  });
  listen(window, 'pageshow', () => { leaving = false; schedule(0); });
  listen(window, 'online', () => { failures = 0; schedule(0); });
  listen(document, 'visibilitychange', () => { if (page('hidden')) flush(); });

  bridge.loaded = true;
  window.bridge = bridge;
  attempt(() => before.q.forEach((call) => bridge(...call)));
  schedule(0);
})();
