// Light syntax highlighting, one line at a time, so that code which is still
// being written costs only its last line. It knows comments, strings, numbers,
// keywords and calls; it does not know grammars, and need not: it only tints.
//
// tokenizeLine(language, line, state) → {tokens: [[kind, text]], state}
// Kinds: "" plain, "k" keyword, "t" type or constant, "s" string, "n" number,
// "c" comment, "f" function, "a" attribute, "+" added, "-" removed, "@" place.
// state is null or the closer of a comment or string that goes on.

const MAX_LINE = 4000;

const words = (text) => new Set(text.split(/\s+/));

const C_LIKE = { line: ["//"], block: [["/*", "*/"]], quotes: ['"', "'"] };
const HASH = { line: ["#"], block: [], quotes: ['"', "'"] };

const LANGUAGES = {
  go: {
    ...C_LIKE, long: [["`", "`"]],
    keywords: words("break case chan const continue default defer else fallthrough for func go goto if import interface map package range return select struct switch type var"),
    types: words("any bool byte comparable complex64 complex128 error float32 float64 int int8 int16 int32 int64 rune string uint uint8 uint16 uint32 uint64 uintptr true false nil iota"),
  },
  javascript: {
    ...C_LIKE, long: [["`", "`"]],
    keywords: words("as async await break case catch class const continue debugger default delete do else enum export extends finally for from function get if implements import in instanceof interface let new of private protected public readonly return set static super switch this throw try type typeof var void while with yield"),
    types: words("true false null undefined NaN Infinity string number boolean any unknown never object Promise Array Map Set"),
  },
  python: {
    ...HASH, long: [['"""', '"""'], ["'''", "'''"]],
    keywords: words("and as assert async await break case class continue def del elif else except finally for from global if import in is lambda match nonlocal not or pass raise return try while with yield"),
    types: words("True False None self cls int float str bool list dict set tuple bytes object"),
  },
  rust: {
    ...C_LIKE, quotes: ['"'],
    keywords: words("as async await break const continue crate dyn else enum extern fn for if impl in let loop match mod move mut pub ref return static struct super trait type union unsafe use where while"),
    types: words("bool char f32 f64 i8 i16 i32 i64 i128 isize str u8 u16 u32 u64 u128 usize self Self true false Some None Ok Err String Vec Option Result Box"),
  },
  c: {
    ...C_LIKE, pre: true,
    keywords: words("alignas alignof asm auto break case catch class concept const consteval constexpr continue co_await co_return co_yield default delete do else enum explicit export extern final for friend goto if inline mutable namespace new noexcept operator override private protected public register requires return sizeof static static_assert struct switch template this throw try typedef typename union using virtual volatile while"),
    types: words("bool char double float int long short signed unsigned void size_t ssize_t int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t true false nullptr NULL std string vector"),
  },
  java: {
    ...C_LIKE, long: [['"""', '"""']],
    keywords: words("abstract as assert async await base break by case catch class companion const continue data default delegate do else enum event explicit extends extension fileprivate final finally for foreach fun func get goto guard if implements implicit import in init inner instanceof interface internal is lazy let lock namespace native new object open operator out override package params private protected protocol public readonly record ref return sealed set static struct super suspend switch synchronized this throw throws try typealias typeof using val var virtual volatile when where while yield"),
    types: words("boolean bool byte char decimal double dynamic float int Int long short string String void true false null nil Any Array Boolean Double Float List Map Object Set Unit"),
  },
  shell: {
    ...HASH, shell: true,
    keywords: words("case do done elif else esac export fi for function if in local return select set shift source then unset until while exit echo cd sudo"),
    types: words("true false"),
  },
  ruby: {
    ...HASH,
    keywords: words("alias and begin break case class def do else elsif end ensure for if in module next not or redo require rescue retry return self super then undef unless until when while yield"),
    types: words("true false nil"),
  },
  php: {
    ...C_LIKE, line: ["//", "#"],
    keywords: words("abstract as break case catch class clone const continue declare default do echo else elseif enum extends final finally fn for foreach function global if implements instanceof interface match namespace new private protected public readonly return static switch throw trait try use var while yield"),
    types: words("true false null int float string bool array mixed void self"),
  },
  lua: {
    line: ["--"], block: [["--[[", "]]"]], quotes: ['"', "'"], long: [["[[", "]]"]],
    keywords: words("and break do else elseif end for function goto if in local not or repeat return then until while"),
    types: words("true false nil"),
  },
  sql: {
    line: ["--"], block: [["/*", "*/"]], quotes: ["'", '"'], ignoreCase: true,
    keywords: words("add all alter and as asc begin between by case check column commit constraint create cross default delete desc distinct drop else end exists foreign from full group having if in index inner insert into is join key left like limit not null offset on or order outer primary references returning right rollback select set table then union unique update using values view when where with"),
    types: words("bigint blob boolean char date decimal float int integer numeric real serial text time timestamp varchar true false count sum avg min max"),
  },
  json: { line: [], block: [], quotes: ['"'], keywords: new Set(), types: words("true false null"), keys: true },
  yaml: { ...HASH, keywords: new Set(), types: words("true false null yes no on off"), yaml: true },
  ini: { line: ["#", ";"], block: [], quotes: ['"', "'"], long: [['"""', '"""']], keywords: new Set(), types: words("true false"), yaml: true },
  css: {
    line: [], block: [["/*", "*/"]], quotes: ['"', "'"], css: true,
    keywords: words("@media @import @supports @font-face @keyframes @layer @container important from to and not only"),
    types: words("auto none inherit initial unset flex grid block inline solid absolute relative fixed sticky"),
  },
  docker: { ...HASH, keywords: words("FROM RUN CMD LABEL EXPOSE ENV ADD COPY ENTRYPOINT VOLUME USER WORKDIR ARG ONBUILD STOPSIGNAL HEALTHCHECK SHELL AS"), types: new Set() },
  make: { ...HASH, keywords: words("ifeq ifneq ifdef ifndef else endif include define endef export override"), types: new Set(), shell: true },
};

const ALIASES = {
  js: "javascript", jsx: "javascript", mjs: "javascript", cjs: "javascript", ts: "javascript", tsx: "javascript", typescript: "javascript",
  py: "python", python3: "python", pyi: "python", golang: "go", rs: "rust", h: "c", cc: "c", cpp: "c", "c++": "c", hpp: "c", cxx: "c", objc: "c", cuda: "c", zig: "c",
  kotlin: "java", kt: "java", swift: "java", scala: "java", dart: "java", cs: "java", csharp: "java", "c#": "java", groovy: "java",
  sh: "shell", bash: "shell", zsh: "shell", fish: "shell", console: "shell", powershell: "shell", ps1: "shell", rb: "ruby", elixir: "ruby",
  jsonc: "javascript", json5: "javascript", jsonl: "json", yml: "yaml", toml: "ini", conf: "ini", properties: "ini", env: "ini", dotenv: "ini",
  scss: "css", less: "css", dockerfile: "docker", makefile: "make", mysql: "sql", postgresql: "sql", sqlite: "sql", gbnf: "ini", r: "python", julia: "python",
  patch: "diff", htm: "html", xml: "html", svg: "html", vue: "html", svelte: "html",
};

/** The definition for a name after a fence, or null. "diff" and "html" are special. */
export function languageOf(name) {
  const key = name.toLowerCase();
  const known = Object.hasOwn(ALIASES, key) ? ALIASES[key] : key;
  if (known === "diff" || known === "html") return { special: known };
  return Object.hasOwn(LANGUAGES, known) ? LANGUAGES[known] : null;
}

/** Cuts one line into tokens. */
export function tokenizeLine(language, line, state = null) {
  if (!language || line.length > MAX_LINE) return { tokens: [["", line]], state };
  if (language.special === "diff") return { tokens: [[diffKind(line), line]], state: null };
  if (language.special === "html") return tokenizeMarkup(line, state);
  return tokenizeCode(language, line, state);
}

function diffKind(line) {
  if (line.startsWith("+++") || line.startsWith("---") || line.startsWith("@@")) return "@";
  return line[0] === "+" ? "+" : line[0] === "-" ? "-" : "";
}

class Out {
  tokens = [];
  add(kind, text) {
    if (text === "") return;
    const last = this.tokens[this.tokens.length - 1];
    if (last && last[0] === kind) last[1] += text;
    else this.tokens.push([kind, text]);
  }
}

const WORD = /[\p{L}_$@][\p{L}\p{N}_$]*/uy;
const NUMBER = /(?:0[xX][\da-fA-F_]+|0[bB][01_]+|\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?)\w{0,3}/y;
const KEY = /^(\s*(?:- )*)([\w.-]+|"[^"]*")(\s*[:=])(?=\s|$|.)/;

function tokenizeCode(language, line, state) {
  const out = new Out();
  let at = 0;
  if (state) {
    const end = line.indexOf(state.close);
    if (end < 0) {
      out.add(state.kind, line);
      return { tokens: out.tokens, state };
    }
    at = end + state.close.length;
    out.add(state.kind, line.slice(0, at));
  } else if (language.yaml) {
    const section = /^\s*\[.*\]\s*$/.exec(line);
    if (section) return { tokens: [["k", line]], state: null };
    const key = KEY.exec(line);
    if (key) {
      out.add("", key[1]);
      out.add("a", key[2]);
      out.add("", key[3]);
      at = key[0].length;
    }
  } else if (language.pre && /^\s*#/.test(line)) {
    const end = /^\s*#\s*\w*/.exec(line)[0].length;
    out.add("k", line.slice(0, end));
    at = end;
  }
  while (at < line.length) {
    const step = codeToken(language, line, at);
    out.add(step.kind, line.slice(at, step.end));
    at = step.end;
    if (step.state) return { tokens: out.tokens, state: step.state };
  }
  return { tokens: out.tokens, state: null };
}

function codeToken(language, line, at) {
  const char = line[at];
  for (const mark of language.line) {
    if (line.startsWith(mark, at) && (mark !== "#" || at === 0 || /\s/.test(line[at - 1]))) {
      if (!(language.block ?? []).some(([open]) => open.length > mark.length && line.startsWith(open, at))) {
        return { kind: "c", end: line.length };
      }
    }
  }
  for (const [open, close] of language.block) if (line.startsWith(open, at)) return spanning(line, at, open, close, "c");
  for (const [open, close] of language.long ?? []) if (line.startsWith(open, at)) return spanning(line, at, open, close, "s");
  if (language.quotes.includes(char)) {
    let end = at + 1;
    while (end < line.length && line[end] !== char) end += line[end] === "\\" ? 2 : 1;
    end = Math.min(line.length, end + 1);
    const isKey = language.keys && /^\s*:/.test(line.slice(end, end + 8));
    return { kind: isKey ? "a" : "s", end };
  }
  if (language.shell && char === "$") {
    const match = /^\$(?:\{[^}]*\}?|\w+|.)?/.exec(line.slice(at, at + 200));
    return { kind: "t", end: at + match[0].length };
  }
  if (char >= "0" && char <= "9") {
    NUMBER.lastIndex = at;
    return { kind: "n", end: at + NUMBER.exec(line)[0].length };
  }
  WORD.lastIndex = at;
  const word = WORD.exec(line)?.[0];
  if (word) {
    const end = at + word.length;
    const key = language.ignoreCase ? word.toLowerCase() : word;
    if (language.keywords.has(key)) return { kind: "k", end };
    if (language.types.has(key)) return { kind: "t", end };
    if (language.css) return { kind: /^[\w-]*\s*:/.test(line.slice(end, end + 40)) ? "a" : "", end };
    if (word[0] === "@") return { kind: "a", end };
    if (line[end] === "(" || (line[end] === "!" && line[end + 1] === "(")) return { kind: "f", end };
    return { kind: "", end };
  }
  return { kind: "", end: at + 1 };
}

function spanning(line, at, open, close, kind) {
  const end = line.indexOf(close, at + open.length);
  if (end < 0) return { kind, end: line.length, state: { close, kind } };
  return { kind, end: end + close.length };
}

const TAG = /<\/?[A-Za-z][\w:.-]*/y;
const ATTRIBUTE = /[^\s=<>"'/]+/y;

function tokenizeMarkup(line, state) {
  const out = new Out();
  let at = 0;
  let inTag = state?.tag ?? false;
  if (state?.close) {
    const end = line.indexOf(state.close);
    if (end < 0) return { tokens: [[state.kind, line]], state };
    at = end + state.close.length;
    out.add(state.kind, line.slice(0, at));
    inTag = state.inTag ?? false;
  }
  while (at < line.length) {
    const char = line[at];
    if (inTag) {
      if (char === '"' || char === "'") {
        const end = line.indexOf(char, at + 1);
        if (end < 0) {
          out.add("s", line.slice(at));
          return { tokens: out.tokens, state: { close: char, kind: "s", inTag: true } };
        }
        out.add("s", line.slice(at, end + 1));
        at = end + 1;
        continue;
      }
      if (char === ">" || (char === "/" && line[at + 1] === ">")) {
        const end = char === ">" ? at + 1 : at + 2;
        out.add("k", line.slice(at, end));
        at = end;
        inTag = false;
        continue;
      }
      ATTRIBUTE.lastIndex = at;
      const name = ATTRIBUTE.exec(line)?.[0];
      out.add(name ? "a" : "", name ?? char);
      at += name ? name.length : 1;
      continue;
    }
    if (line.startsWith("<!--", at)) {
      const end = line.indexOf("-->", at);
      if (end < 0) {
        out.add("c", line.slice(at));
        return { tokens: out.tokens, state: { close: "-->", kind: "c" } };
      }
      out.add("c", line.slice(at, end + 3));
      at = end + 3;
      continue;
    }
    TAG.lastIndex = at;
    const tag = TAG.exec(line)?.[0];
    if (tag) {
      out.add("k", tag);
      at += tag.length;
      inTag = true;
      continue;
    }
    out.add("", char);
    at++;
  }
  return { tokens: out.tokens, state: inTag ? { tag: true } : null };
}
