// Tells somebody who looks elsewhere that the next pixel is ready: a short soft
// tone, and a notification of the system. Both only for who asked for them.

import { t } from "../i18n/i18n";
import { preference } from "../preferences";

const earlyMS = 300; // the page and the server need not agree to the millisecond

/** Finds the moment in which a countdown has run out. */
export class ReadyEdge {
  /** When the pixel that is waited for is due, or null. */
  dueMS: number | null = null;

  /** True once for every countdown that ran out; not for a pixel that was given back. */
  update(nowMS: number, available: number, remainingMS: number): boolean {
    if (available === 0) {
      this.dueMS = remainingMS > 0 ? nowMS + remainingMS : this.dueMS;
      return false;
    }
    const ready = this.dueMS !== null && nowMS >= this.dueMS - earlyMS;
    this.dueMS = null;
    return ready;
  }
}

/** Rings and notifies as the preferences say. */
export function announceReady(): void {
  if (preference("sound")) ring();
  if (preference("notify") && (document.hidden || !document.hasFocus())) void notify();
}

let audio: AudioContext | null = null;

/** Makes the tone possible: browsers let a page sound only from a touch or a key on. */
export function prepareSound(): void {
  if (!preference("sound") || audio?.state === "running") return;
  audio ??= new AudioContext();
  void audio.resume();
}

/** Two soft tones, the second a fourth above. */
export function ring(): void {
  audio ??= new AudioContext();
  void audio.resume(); // without effect until somebody has touched the page
  const from = audio.currentTime;
  for (const [hertz, after] of [[523.25, 0], [698.46, 0.11]]) {
    const tone = audio.createOscillator();
    const loudness = audio.createGain();
    tone.frequency.value = hertz;
    loudness.gain.setValueAtTime(0, from + after);
    loudness.gain.linearRampToValueAtTime(0.09, from + after + 0.02);
    loudness.gain.exponentialRampToValueAtTime(0.0001, from + after + 0.38);
    tone.connect(loudness).connect(audio.destination);
    tone.start(from + after);
    tone.stop(from + after + 0.4);
  }
}

/** Asks for leave to notify, after a click only. False: the browser will not. */
export async function mayNotify(): Promise<boolean> {
  if (!("Notification" in globalThis)) return false;
  return (await Notification.requestPermission()) === "granted";
}

async function notify(): Promise<void> {
  if (!("Notification" in globalThis) || Notification.permission !== "granted") return;
  const title = t("ready.title");
  const options: NotificationOptions = { body: t("ready.text"), tag: "ready", icon: document.querySelector<HTMLLinkElement>("link[rel=icon]")?.href ?? "" };
  // Phones notify by a service worker only, other browsers also without one.
  try {
    const worker = await navigator.serviceWorker?.getRegistration();
    if (worker?.active) return await worker.showNotification(title, options);
    const shown = new Notification(title, options);
    shown.addEventListener("click", () => {
      window.focus();
      shown.close();
    });
  } catch (err) {
    console.info("pixelwall: no notification", err);
  }
}
