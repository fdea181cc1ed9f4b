// The controls of a template's settings: each is a label and an input that says
// when it was changed.

import { t, type Key } from "../../i18n/i18n";
import { element } from "../dom";

export function button(className: string, key: Key, onClick: () => void): HTMLButtonElement {
  const made = element("button", className, t(key));
  made.type = "button";
  made.addEventListener("click", onClick);
  return made;
}

export function input(key: Key, type: "text" | "number" | "range", onChange: (value: string) => void, live = false): { label: HTMLLabelElement; field: HTMLInputElement } {
  const label = element("label", "field");
  const field = element("input", "");
  field.type = type;
  field.addEventListener(live ? "input" : "change", () => onChange(field.value));
  label.append(element("span", "", t(key)), field);
  return { label, field };
}

export function check(key: Key, checked: boolean, onChange: (checked: boolean) => void): HTMLLabelElement {
  const label = element("label", "switch");
  const field = element("input", "");
  field.type = "checkbox";
  field.checked = checked;
  field.addEventListener("change", () => onChange(field.checked));
  label.append(field, element("span", "", t(key)));
  return label;
}

export function select<T extends string>(key: Key, options: [T, Key][], chosen: T, onChange: (value: T) => void): HTMLLabelElement {
  const label = element("label", "field");
  const field = element("select", "");
  for (const [value, name] of options) field.append(new Option(t(name), value, false, value === chosen));
  field.addEventListener("change", () => onChange(field.value as T));
  label.append(element("span", "", t(key)), field);
  return label;
}

/** A group of radio buttons; name is what they have in common. */
export function radios<T extends string>(key: Key, name: string, options: [T, Key][], chosen: T, onChange: (value: T) => void): HTMLFieldSetElement {
  const group = element("fieldset", "radios");
  group.append(element("legend", "", t(key)));
  for (const [value, text] of options) {
    const label = element("label", "switch");
    const field = element("input", "");
    field.type = "radio";
    field.name = name;
    field.checked = value === chosen;
    field.addEventListener("change", () => onChange(value));
    label.append(field, element("span", "", t(text)));
    group.append(label);
  }
  return group;
}
