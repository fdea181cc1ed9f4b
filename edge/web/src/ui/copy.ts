// Links to be copied. Where there is no clipboard, as without a secure context, a
// field holds the link, ready to be copied by hand.

import { t } from "../i18n/i18n";
import { element } from "./dom";

/** Whether text is in the clipboard now. */
export async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text); // undefined without a secure context
    return true;
  } catch {
    return false;
  }
}

export function linkField(text: string): HTMLInputElement {
  const field = element("input", "copied");
  field.readOnly = true;
  field.value = text;
  field.setAttribute("aria-label", t("inspector.copy"));
  return field;
}

/** A button that copies a link, and gives way to the field where it cannot. */
export function copyButton(link: () => string): HTMLElement {
  const button = element("button", "link", t("inspector.copy"));
  button.type = "button";
  button.addEventListener("click", () => void press());
  const press = async () => {
    const text = link();
    if (await copied(text)) return void (button.textContent = t("inspector.copied"));
    const field = linkField(text);
    button.replaceWith(field);
    field.select();
  };
  return button;
}
