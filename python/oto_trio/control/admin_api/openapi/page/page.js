// Shows the OpenAPI document of the admin API, and sends requests. Loads nothing but the document.
"use strict";

const VERBS = ["get", "post", "put", "patch", "delete"];
const DEEPEST = 6; // levels of a schema that are written out

let api = {};

/** Make an element; everything from the document is set as text, never as markup. */
function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Follow a reference into the document. */
function resolve(part) {
  if (!part || !part.$ref) return part || {};
  const steps = part.$ref.slice(2).split("/");
  const { $ref, ...beside } = part;
  return { ...steps.reduce((at, step) => at[step], api), ...beside };
}

/** Write a schema as lines of text: one key a line, with type and meaning. */
function outline(schema, depth = 0, seen = []) {
  if (schema && schema.$ref) {
    if (seen.includes(schema.$ref)) return schema.$ref.split("/").pop();
    seen = [...seen, schema.$ref];
    schema = resolve(schema);
  }
  if (!schema || depth > DEEPEST) return "…";
  if (schema.anyOf) return schema.anyOf.map((one) => outline(one, depth, seen)).join(" or ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.type === "array") return `list of ${outline(schema.items, depth, seen)}`;
  const keys = Object.entries(schema.properties || {});
  if (!keys.length) return [].concat(schema.type || "anything").join(" or ");
  const indent = "  ".repeat(depth + 1);
  const lines = keys.map(([key, value]) => {
    const mark = (schema.required || []).includes(key) ? " (required)" : "";
    const meaning = resolve(value).description;
    return `${indent}${key}${mark}: ${outline(value, depth + 1, seen)}${meaning ? `  // ${meaning}` : ""}`;
  });
  return `{\n${lines.join("\n")}\n${"  ".repeat(depth)}}`;
}

/** Show the schemas of a body or an answer, by media type. */
function contents(content) {
  const shown = new Map();
  for (const [type, { schema }] of Object.entries(content || {})) {
    const text = outline(schema);
    shown.set(text, [...(shown.get(text) || []), type]);
  }
  return [...shown].map(([text, types]) =>
    make("details", {}, make("summary", {}, make("code", {}, types.join(", "))), make("pre", {}, text)));
}

/** Show the parameters of an operation, each with a field to fill in. */
function parameterTable(parameters, fields) {
  const rows = parameters.map((parameter) => {
    const field = make("input", { "aria-label": parameter.name, placeholder: parameter.style === "form" ? "name=value&name=value" : "" });
    fields.push([parameter, field]);
    return make("tr", {}, make("td", {}, make("code", {}, parameter.name), ` (${parameter.in})`),
      make("td", {}, parameter.description || ""), make("td", {}, field));
  });
  return make("table", {}, make("tbody", {}, ...rows));
}

/** Put a request's address together from the fields. */
function address(path, fields) {
  const query = new URLSearchParams();
  for (const [parameter, field] of fields) {
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(field.value));
    else if (!field.value) continue;
    else if (parameter.style === "form") for (const [key, value] of new URLSearchParams(field.value)) query.append(key, value);
    else query.append(parameter.name, field.value);
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

/** Give the header with the API key that was typed in; it is kept nowhere else. */
function keyHeaders() {
  const id = document.getElementById("client-id").value;
  const secret = document.getElementById("client-secret").value;
  if (!id) return {};
  const bytes = new TextEncoder().encode(`${id}:${secret}`);
  return { "Otoroshi-Authorization": `Basic ${btoa(String.fromCharCode(...bytes))}` };
}

/** Show how to send the operation, and what came back. */
function trial(verb, path, operation, fields) {
  const body = operation.requestBody;
  const type = body ? make("select", { "aria-label": "media type" },
    ...Object.keys(body.content).map((kind) => make("option", {}, kind))) : null;
  const text = body ? make("textarea", { "aria-label": "body", spellcheck: "false" }) : null;
  const button = make("button", { type: "button" }, "Send");
  const outcome = make("pre", { hidden: "" });
  button.addEventListener("click", async () => {
    outcome.hidden = false;
    outcome.textContent = "…";
    try {
      const headers = { Accept: "application/json", ...keyHeaders() };
      if (body) headers["Content-Type"] = type.value;
      const options = { method: verb.toUpperCase(), headers, credentials: "omit" };
      const answer = await fetch(address(path, fields), body ? { ...options, body: text.value } : options);
      const told = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
      outcome.textContent = `${answer.status} ${answer.statusText}\n${told}\n\n${await answer.text()}`;
    } catch (error) {
      outcome.textContent = `No answer: ${error.message}`;
    }
  });
  return [type, text, button, outcome];
}

/** Fill in the details of an operation, the first time it is opened. */
function fill(box, verb, path, operation, shared) {
  const fields = [];
  const parameters = [...shared, ...(operation.parameters || [])].map(resolve);
  if (operation.description) box.append(make("p", {}, operation.description));
  if (parameters.length) box.append(make("h3", {}, "Parameters"), parameterTable(parameters, fields));
  if (operation.requestBody) {
    box.append(make("h3", {}, "Body"), make("p", {}, operation.requestBody.description || ""), ...contents(operation.requestBody.content));
  }
  box.append(make("h3", {}, "Answers"));
  for (const [status, part] of Object.entries(operation.responses)) {
    const answer = resolve(part);
    const headers = Object.keys(answer.headers || {}).join(", ");
    box.append(make("p", {}, make("strong", {}, status), ` ${answer.description}${headers ? ` Headers: ${headers}.` : ""}`),
      ...contents(answer.content));
  }
  box.append(make("h3", {}, "Try it"), ...trial(verb, path, operation, fields).filter(Boolean));
}

/** Show one operation, closed. */
function operationBox(verb, path, operation, shared) {
  const box = make("details", { class: "operation", "data-text": `${verb} ${path} ${operation.summary} ${operation.tags.join(" ")}`.toLowerCase() },
    make("summary", {}, make("span", { class: `verb ${verb}` }, verb.toUpperCase()),
      make("span", { class: "path" }, path), make("span", {}, operation.summary)));
  box.addEventListener("toggle", () => fill(box, verb, path, operation, shared), { once: true });
  return box;
}

/** Show all operations, by tag. */
function show() {
  document.title = document.getElementById("title").textContent = `${api.info.title} ${api.info.version}`;
  const sections = new Map(api.tags.map(({ name }) => [name, make("section", {}, make("h2", {}, name))]));
  for (const [path, item] of Object.entries(api.paths)) {
    for (const verb of VERBS.filter((one) => item[one])) {
      sections.get(item[verb].tags[0]).append(operationBox(verb, path, item[verb], item.parameters || []));
    }
  }
  document.getElementById("operations").replaceChildren(...sections.values());
}

/** Leave only what contains the text. */
function narrow(text) {
  for (const section of document.querySelectorAll("section")) {
    const boxes = [...section.querySelectorAll(".operation")];
    for (const box of boxes) box.hidden = !box.dataset.text.includes(text.toLowerCase().trim());
    section.hidden = boxes.every((box) => box.hidden);
  }
}

async function start() {
  try {
    api = await (await fetch("/apis/openapi.json")).json();
    show();
  } catch (error) {
    document.getElementById("state").textContent = `The document cannot be shown: ${error.message}`;
  }
}

document.getElementById("find").addEventListener("input", (event) => narrow(event.target.value));
start();
