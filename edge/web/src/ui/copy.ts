// A button that copies a link. Where there is no clipboard, as without a secure
// context, it gives way to a field with the link, ready to be copied by hand.

import { t } from "../i18n/i18n";
import { element } from "./dom";

export function copyButton(link: () => string): HTMLElement {
  const button = element("button", "link", t("inspector.copy"));
  button.type = "button";
  button.addEventListener("click", () => {
    const text = link();
    const byHand = () => {
      const field = element("input", "copied");
      field.readOnly = true;
      field.value = text;
      field.setAttribute("aria-label", t("inspector.copy"));
      button.replaceWith(field);
      field.select();
    };
    if (!navigator.clipboard) return byHand();
    navigator.clipboard.writeText(text).then(() => (button.textContent = t("inspector.copied")), byHand);
  });
  return button;
}
