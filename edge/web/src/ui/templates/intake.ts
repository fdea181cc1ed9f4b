// The ways in: a file, an address, something dropped on the page or pasted.

import { t } from "../../i18n/i18n";
import { byID } from "../dom";
import { toast } from "../toasts";

export interface IntakePorts {
  file(file: File): void;
  /** Reports whether there was a template in it. */
  text(text: string): Promise<boolean>;
}

export function bindIntake(ports: IntakePorts): void {
  const files = byID<HTMLInputElement>("template-file");
  files.addEventListener("change", () => {
    for (const file of files.files ?? []) ports.file(file);
    files.value = ""; // the same file may be chosen again
  });
  byID("template-choose").addEventListener("click", () => files.click());
  const address = byID<HTMLInputElement>("template-url");
  byID("template-from").addEventListener("submit", (e) => {
    e.preventDefault();
    const { value } = address;
    if (value.trim() === "") return;
    // What was wrong can be mended, and what was typed meanwhile stays.
    void ports.text(value).then((added) => {
      if (added && address.value === value) address.value = "";
    });
  });
  bindDrop(ports);
  document.addEventListener("paste", (e) => {
    // Text that is pasted into a field is for that field.
    if ((e.target as HTMLElement).closest?.("input, textarea")) return;
    if (take(e.clipboardData, ports)) e.preventDefault();
  });
}

function bindDrop(ports: IntakePorts): void {
  const sign = byID("template-drop");
  let inside = 0; // elements that the thing dragged is over
  const hide = () => {
    inside = 0;
    sign.hidden = true;
  };
  addEventListener("dragenter", (e) => {
    e.preventDefault();
    inside++;
    sign.hidden = false;
  });
  addEventListener("dragleave", () => --inside <= 0 && hide());
  addEventListener("dragover", (e) => e.preventDefault()); // or the browser would open it in place of the page
  addEventListener("drop", (e) => {
    e.preventDefault();
    hide();
    if (!take(e.dataTransfer, ports)) toast(t("template.trouble.text"), "bad");
  });
}

/** Takes what is in there; reports whether there was anything. */
function take(data: DataTransfer | null, ports: IntakePorts): boolean {
  const files = [...(data?.files ?? [])];
  if (files.length > 0) {
    files.forEach((file) => ports.file(file));
    return true;
  }
  const text = data?.getData("text/uri-list") || data?.getData("text/plain") || "";
  if (text.trim() === "") return false;
  void ports.text(text.trim().split("\n")[0]);
  return true;
}
