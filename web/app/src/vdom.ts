// Trees of elements as plain values: made by pure functions, put into a document by `patch`, or into a string by `text`.
//
// Text never becomes markup: it is set as text, or escaped. There is no innerHTML anywhere in the page.

export type Handler = (event: Event) => void;
export type Attr = string | number | boolean | null | undefined | Handler;
export interface Element_ {
  readonly tag: string;
  readonly key: string | undefined;
  readonly attrs: Readonly<Record<string, Attr>>;
  readonly kids: readonly Tree[];
}
export type Tree = Element_ | string;
type Kid = Tree | number | null | undefined | false | readonly Kid[];

/** An element. Attributes that begin with `on` and hold a function are handlers; `key` names an element among its siblings. */
export function h(tag: string, attrs?: Record<string, Attr> | null, ...kids: Kid[]): Element_ {
  const flat: Tree[] = [];
  flatten(kids, flat);
  const { key, ...rest } = attrs ?? {};
  return { tag, key: key === undefined || key === null ? undefined : String(key), attrs: rest, kids: flat };
}

function flatten(kids: readonly Kid[], into: Tree[]): void {
  for (const kid of kids) {
    if (kid === null || kid === undefined || kid === false) continue;
    if (Array.isArray(kid)) flatten(kid as readonly Kid[], into);
    else if (typeof kid === "number") into.push(String(kid));
    else into.push(kid as Tree);
  }
}

const SVG = "http://www.w3.org/2000/svg";
/** These are states of an element, not of its markup. */
const PROPERTIES = new Set(["value", "checked", "disabled", "open"]);
const drawn = new WeakMap<Node, Element_>();

/** Makes the children of `parent` those of a list of trees, and keeps the nodes that it can. */
export function patch(parent: Node, trees: readonly Tree[]): void {
  const keyed = new Map<string, Node>();
  for (let node = parent.firstChild; node; node = node.nextSibling) {
    const key = drawn.get(node)?.key;
    if (key !== undefined) keyed.set(key, node);
  }
  let at: Node | null = parent.firstChild;
  for (const tree of trees) {
    const key = typeof tree === "string" ? undefined : tree.key;
    const known: Node | null | undefined = key === undefined ? at : keyed.get(key);
    const node: Node = known && fits(known, tree) ? update(known, tree) : create(tree, parent);
    if (node === at) {
      at = at.nextSibling;
    } else {
      parent.insertBefore(node, at);
      if (known && known === at && known !== node) {
        at = known.nextSibling;
        parent.removeChild(known);
      }
    }
  }
  while (at) {
    const next: Node | null = at.nextSibling;
    parent.removeChild(at);
    at = next;
  }
}

function fits(node: Node, tree: Tree): boolean {
  if (typeof tree === "string") return node.nodeType === 3;
  const was = drawn.get(node);
  return was !== undefined && was.tag === tree.tag && was.key === tree.key;
}

function create(tree: Tree, parent: Node): Node {
  if (typeof tree === "string") return document.createTextNode(tree);
  const inSvg = tree.tag === "svg" || (parent as Element).namespaceURI === SVG;
  const node = inSvg ? document.createElementNS(SVG, tree.tag) : document.createElement(tree.tag);
  drawn.set(node, { tag: tree.tag, key: tree.key, attrs: {}, kids: [] });
  return update(node, tree);
}

function update(node: Node, tree: Tree): Node {
  if (typeof tree === "string") {
    if (node.nodeValue !== tree) node.nodeValue = tree;
    return node;
  }
  const was = drawn.get(node);
  if (was === tree) return node;
  const element = node as Element;
  for (const name of Object.keys(was?.attrs ?? {})) {
    if (!(name in tree.attrs)) set(element, name, undefined);
  }
  for (const [name, value] of Object.entries(tree.attrs)) {
    if (PROPERTIES.has(name) || was?.attrs[name] !== value) set(element, name, value);
  }
  drawn.set(node, tree);
  patch(node, tree.kids);
  return node;
}

function set(element: Element, name: string, value: Attr): void {
  if (name.startsWith("on")) {
    (element as unknown as Record<string, unknown>)[name] = typeof value === "function" ? value : null;
  } else if (PROPERTIES.has(name)) {
    const object = element as unknown as Record<string, unknown>;
    const wanted = value ?? (name === "value" ? "" : false);
    if (object[name] !== wanted) object[name] = wanted;
  } else if (value === undefined || value === null || value === false) {
    element.removeAttribute(name);
  } else {
    element.setAttribute(name, value === true ? "" : String(value));
  }
}

/** A tree as markup, for a poster and for tests. */
export function text(tree: Tree): string {
  if (typeof tree === "string") return escape(tree);
  const attrs = Object.entries(tree.attrs)
    .filter(([, value]) => value !== undefined && value !== null && value !== false && typeof value !== "function")
    .map(([name, value]) => ` ${name}="${value === true ? "" : escape(String(value))}"`);
  return `<${tree.tag}${attrs.join("")}>${tree.kids.map(text).join("")}</${tree.tag}>`;
}

function escape(plain: string): string {
  const signs: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return plain.replace(/[&<>"]/g, (sign) => signs[sign] ?? sign);
}
