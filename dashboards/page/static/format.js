// Formats numbers and times for display. Times are event time in UTC.

const whole = new Intl.NumberFormat("en");
const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

const two = (number) => String(number).padStart(2, "0");

export const count = (number) => whole.format(number);

export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/** A share in [0, 1]: "7.5%", "42%". One decimal below 10%. */
export function percent(share) {
  const value = share * 100;
  if (value > 0 && value < 0.05) return "<0.1%";
  const text = value < 9.95 ? value.toFixed(1).replace(/\.0$/, "") : String(Math.round(value));
  return `${text}%`;
}

/** "14:05" */
export function clock(ms) {
  const at = new Date(ms);
  return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
}

/** "18 Nov" */
export function day(ms) {
  const at = new Date(ms);
  return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}`;
}

/** "Tue 18 Nov 2025, 14:05 UTC" */
export function moment(ms) {
  const at = new Date(ms);
  return `${DAYS[at.getUTCDay()]} ${day(ms)} ${at.getUTCFullYear()}, ${clock(ms)} UTC`;
}

/** "14:05 UTC" on the day of *reference*; otherwise "18 Nov, 14:05 UTC". */
export function near(ms, reference) {
  const same = reference !== null && Math.floor(ms / DAY) === Math.floor(reference / DAY);
  return same ? `${clock(ms)} UTC` : `${day(ms)}, ${clock(ms)} UTC`;
}

/** "under a minute", "35 min", "2 h 10 min", "3 d 4 h" */
export function span(ms) {
  const minutes = Math.floor(ms / MINUTE);
  if (minutes < 1) return "under a minute";
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours % 24 && hours < 24 * 14 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${Math.floor(hours / 24)} d`;
}

/** "share_spike" -> "Share spike" */
export function words(name) {
  const text = name.replace(/[_-]+/g, " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** "posted 21 times by 21 accounts, 19 of them new"; null for a text with one post. */
export function copies({ copies = null, accounts = null, new_accounts: fresh = null, at_least: least = false }) {
  if (copies === null || copies < 2) return null;
  const one = accounts === 1;
  const part = fresh === accounts ? "all" : fresh === 0 ? "none" : count(fresh ?? 0);
  const known = fresh === null ? "" : one ? (fresh ? ", a new one" : "") : `, ${part} of them new`;
  return `posted ${least ? "at least " : ""}${count(copies)} times by ${plural(accounts, "account")}${known}`;
}

/** A baseline number of people: whole from 10 up, otherwise one decimal. */
export const people = (many) => (many >= 10 ? count(Math.round(many)) : many.toFixed(1));
