// Formulas: the part of LaTeX that models write, as a tree of MathML. A formula
// with something that is not known here is null, and is then shown as it is
// written. Nothing here touches the document.
//
// Nodes: [name, attributes, ...kids], kids are nodes or strings.

const MAX_LENGTH = 4000;
const MAX_DEPTH = 30;

/** What stands for itself: names by their kind. */
const LETTERS = words(`alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι kappa κ lambda λ
  mu μ nu ν xi ξ pi π varpi ϖ rho ρ varrho ϱ sigma σ varsigma ς tau τ upsilon υ phi ϕ varphi φ chi χ psi ψ omega ω
  Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Upsilon Υ Phi Φ Psi Ψ Omega Ω
  infty ∞ partial ∂ nabla ∇ hbar ℏ ell ℓ Re ℜ Im ℑ aleph ℵ emptyset ∅ varnothing ∅ angle ∠ triangle △ degree ° imath ı jmath ȷ
  top ⊤ bot ⊥ dots … ldots … cdots ⋯ vdots ⋮ ddots ⋱ forall ∀ exists ∃ nexists ∄ neg ¬ lnot ¬ square □ checkmark ✓ prime ′`);
const OPERATORS = words(`times × div ÷ cdot ⋅ pm ± mp ∓ ast ∗ star ⋆ circ ∘ bullet ∙ oplus ⊕ ominus ⊖ otimes ⊗ odot ⊙ wedge ∧ land ∧ vee ∨ lor ∨
  cap ∩ cup ∪ setminus ∖ leq ≤ le ≤ geq ≥ ge ≥ neq ≠ ne ≠ equiv ≡ approx ≈ cong ≅ sim ∼ simeq ≃ propto ∝ ll ≪ gg ≫ prec ≺ succ ≻
  in ∈ notin ∉ ni ∋ subset ⊂ supset ⊃ subseteq ⊆ supseteq ⊇ mid ∣ nmid ∤ parallel ∥ perp ⊥ vdash ⊢ models ⊨
  to → rightarrow → leftarrow ← gets ← leftrightarrow ↔ Rightarrow ⇒ Leftarrow ⇐ Leftrightarrow ⇔ implies ⟹ iff ⟺ mapsto ↦
  longrightarrow ⟶ Longrightarrow ⟹ uparrow ↑ downarrow ↓ hookrightarrow ↪ therefore ∴ because ∵ colon : coloneqq ≔ lt < gt >`);
const FENCES = words(`langle ⟨ rangle ⟩ lfloor ⌊ rfloor ⌋ lceil ⌈ rceil ⌉ vert | Vert ‖ lvert | rvert | lVert ‖ rVert ‖ lbrace { rbrace } lbrack [ rbrack ]`);
const BIG = words(`sum ∑ prod ∏ coprod ∐ int ∫ iint ∬ iiint ∭ oint ∮ bigcup ⋃ bigcap ⋂ bigoplus ⨁ bigotimes ⨂ bigvee ⋁ bigwedge ⋀`);
const FUNCTIONS = new Set("sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln lg exp det dim ker deg gcd arg hom Pr".split(" "));
const LIMITS = words("lim lim max max min min sup sup inf inf argmax arg\u2009max argmin arg\u2009min limsup lim\u2009sup liminf lim\u2009inf");
const ACCENTS = words("hat ^ widehat ^ bar ¯ overline ¯ vec → overrightarrow → tilde ~ widetilde ~ dot ˙ ddot ¨ check ˇ overbrace ⏞");
const UNDER = words("underline _ underbrace ⏟");
const SPACES = { ",": "0.17em", ":": "0.22em", ";": "0.28em", "!": "-0.17em", " ": "0.3em", quad: "1em", qquad: "2em" };
const ALPHABETS = {
  mathbb: [0x1d538, 0x1d552, 0x1d7d8, "CℂHℍNℕPℙQℚRℝZℤ"], mathbf: [0x1d400, 0x1d41a, 0x1d7ce, ""], boldsymbol: [0x1d468, 0x1d482, 0x1d7ce, ""], bm: [0x1d468, 0x1d482, 0x1d7ce, ""],
  mathcal: [0x1d49c, 0x1d4b6, 0, "BℬEℰFℱHℋIℐLℒMℳRℛeℯgℊoℴ"], mathscr: [0x1d49c, 0x1d4b6, 0, "BℬEℰFℱHℋIℐLℒMℳRℛeℯgℊoℴ"],
  mathfrak: [0x1d504, 0x1d51e, 0, "CℭHℌIℑRℜZℨ"],
};
const TEXTS = new Set(["text", "textrm", "textbf", "textit", "mathrm", "operatorname", "mbox", "mathsf", "mathtt", "texttt", "mathit"]);
const MATRICES = { matrix: ["", ""], pmatrix: ["(", ")"], bmatrix: ["[", "]"], Bmatrix: ["{", "}"], vmatrix: ["|", "|"], Vmatrix: ["‖", "‖"], smallmatrix: ["", ""], array: ["", ""], cases: ["{", ""], aligned: ["", ""], align: ["", ""], "align*": ["", ""], gathered: ["", ""], gather: ["", ""], "gather*": ["", ""], split: ["", ""], equation: ["", ""], "equation*": ["", ""] };

function words(text) {
  const list = text.trim().split(/[ \n]+/);
  return Object.fromEntries(list.filter((_, i) => i % 2 === 0).map((name, i) => [name, list[2 * i + 1]]));
}

const has = (table, name) => Object.hasOwn(table, name);

/** The MathML of a formula with its marks ($…$, $$…$$, \(…\), \[…\]), or null. */
export function mathTree(source) {
  const [, mark, body] = /^(\$\$|\$|\\\(|\\\[)([^]*?)(?:\$\$|\$|\\\)|\\\])$/.exec(source.trim()) ?? [];
  if (body === undefined || body.trim() === "" || body.length > MAX_LENGTH) return null;
  try {
    const display = mark === "$$" || mark === "\\[";
    return ["math", { ...(display ? { display: "block" } : {}), alttext: body.trim() }, new Parser(body, display).all()];
  } catch (error) {
    if (error instanceof Unknown) return null;
    throw error;
  }
}

class Unknown extends Error {}

class Parser {
  constructor(text, display) {
    this.tokens = text.match(/\\[a-zA-Z]+|\\[^]|\d+(?:,\d{3})*(?:\.\d+)?|\s+|[^]/gu) ?? [];
    this.at = 0;
    this.depth = 0;
    this.display = display;
  }

  get next() {
    return this.tokens[this.at];
  }

  skip() {
    while (/^\s/.test(this.next ?? "")) this.at++;
  }

  take(token) {
    this.skip();
    if (this.next !== token) return false;
    this.at++;
    return true;
  }

  need(token) {
    if (!this.take(token)) throw new Unknown();
  }

  all() {
    const rows = this.rows(() => this.next === undefined);
    // Lines at the top are as in aligned.
    return rows.length === 1 && rows[0].length === 1 ? rows[0][0] : this.table(rows, "aligned");
  }

  /** Rows of cells up to where end says. */
  rows(end) {
    const rows = [[]];
    for (;;) {
      const cell = this.row((token) => token === "&" || token === "\\\\" || end());
      rows.at(-1).push(cell);
      if (this.next === "&") this.at++;
      else if (this.next === "\\\\") {
        this.at++;
        if (this.take("[")) while (this.next !== undefined && this.tokens[this.at++] !== "]"); // extra space between lines
        this.skip();
        if (end()) return rows;
        rows.push([]);
      } else return rows;
    }
  }

  /** Everything up to a token that ends it. */
  row(ends) {
    if (++this.depth > MAX_DEPTH) throw new Unknown();
    const kids = [];
    for (;;) {
      this.skip();
      if (this.next === undefined || ends(this.next)) break;
      kids.push(this.scripts());
    }
    this.depth--;
    return kids.length === 1 ? kids[0] : ["mrow", {}, ...kids];
  }

  /** A part with what is above and below it. */
  scripts() {
    const base = /^[\^_]$/.test(this.next) ? ["mrow", {}] : this.atom();
    let sub = null;
    let sup = null;
    let limits = base[1].limits && this.display;
    if (this.take("\\limits")) limits = true;
    else if (this.take("\\nolimits")) limits = false;
    for (;;) {
      this.skip();
      if (this.next === "'") {
        let primes = "";
        while (this.take("'")) primes += "′";
        const mark = ["mo", {}, primes];
        sup = sup ? ["mrow", {}, mark, sup] : mark;
      } else if (this.next === "^" && (!sup || sup[0] === "mo")) {
        this.at++;
        const more = this.argument();
        sup = sup ? ["mrow", {}, sup, more] : more;
      } else if (this.next === "_" && !sub) {
        this.at++;
        sub = this.argument();
      } else if (/^[\^_]$/.test(this.next ?? "")) throw new Unknown();
      else break;
    }
    const { limits: _, ...attributes } = base[1];
    const plain = [base[0], attributes, ...base.slice(2)];
    const [both, under, over] = limits ? ["munderover", "munder", "mover"] : ["msubsup", "msub", "msup"];
    if (sub && sup) return [both, {}, plain, sub, sup];
    if (sub) return [under, {}, plain, sub];
    return sup ? [over, {}, plain, sup] : plain;
  }

  /** What a command is given: a group or the next part. Of a number without braces it is the first digit. */
  argument() {
    this.skip();
    if (this.next === undefined || /^[}&^_]$/.test(this.next)) throw new Unknown();
    if (/^\d./.test(this.next)) {
      const [digit] = this.next;
      this.tokens[this.at] = this.next.slice(1);
      return ["mn", {}, digit];
    }
    if (++this.depth > MAX_DEPTH) throw new Unknown();
    const [name, { limits: _, ...attributes }, ...kids] = this.atom();
    this.depth--;
    return [name, attributes, ...kids];
  }

  atom() {
    const token = this.tokens[this.at++];
    if (token === "{") {
      const inner = this.row((other) => other === "}");
      this.need("}");
      return inner[0] === "mrow" ? inner : ["mrow", {}, inner];
    }
    if (/^\d/.test(token)) return ["mn", {}, token];
    if (/^\p{L}$/u.test(token)) return ["mi", {}, token];
    if (token[0] !== "\\" || token.length === 1) {
      if (/^[}&#%$~\\]$/.test(token)) {
        if (token === "~") return space("0.3em");
        throw new Unknown();
      }
      const sign = { "-": "−", "*": "∗", "'": "′" }[token] ?? token;
      return ["mo", /^[()[\]|/]$/.test(token) ? { stretchy: "false" } : {}, sign];
    }
    return this.command(token.slice(1));
  }

  command(name) {
    if (has(LETTERS, name)) return ["mi", /^[A-Z]/.test(name) || !/^\p{L}$/u.test(LETTERS[name]) ? { mathvariant: "normal" } : {}, LETTERS[name]];
    if (has(OPERATORS, name)) return ["mo", {}, OPERATORS[name]];
    if (has(FENCES, name)) return ["mo", { stretchy: "false" }, FENCES[name]];
    if (has(BIG, name)) return ["mo", /int$/.test(name) ? { largeop: "true" } : { largeop: "true", limits: true }, BIG[name]];
    if (FUNCTIONS.has(name)) return ["mrow", {}, ["mi", {}, name], space("0.1em")];
    if (has(LIMITS, name)) return ["mi", { limits: true }, LIMITS[name]];
    if (has(SPACES, name)) return space(SPACES[name]);
    if (/^[{}%$#&_]$/.test(name)) return ["mo", { stretchy: "false" }, name];
    if (name === "|") return ["mo", { stretchy: "false" }, "‖"];
    if (has(ACCENTS, name)) return ["mover", { accent: "true", limits: name === "overbrace" }, this.argument(), ["mo", { stretchy: /^(wide|over)/.test(name) ? "true" : "false" }, ACCENTS[name]]];
    if (has(UNDER, name)) return ["munder", { limits: name === "underbrace" }, this.argument(), ["mo", { stretchy: "true" }, UNDER[name]]];
    if (has(ALPHABETS, name)) return alphabet(this.argument(), ALPHABETS[name]);
    if (TEXTS.has(name)) return this.words(name);
    switch (name) {
      case "frac": case "dfrac": case "tfrac": case "cfrac":
        return ["mfrac", {}, this.argument(), this.argument()];
      case "binom": case "dbinom": case "tbinom":
        return ["mrow", {}, ["mo", {}, "("], ["mfrac", { linethickness: "0" }, this.argument(), this.argument()], ["mo", {}, ")"]];
      case "sqrt": {
        if (!this.take("[")) return ["msqrt", {}, this.argument()];
        const root = this.row((token) => token === "]");
        this.need("]");
        return ["mroot", {}, this.argument(), root];
      }
      case "left": {
        const open = this.fence();
        const inner = this.row((token) => token === "\\right");
        this.need("\\right");
        return ["mrow", {}, ...open, inner, ...this.fence()];
      }
      case "middle":
        return this.fence()[0] ?? ["mrow", {}];
      case "big": case "Big": case "bigg": case "Bigg": case "bigl": case "bigr": case "Bigl": case "Bigr": case "biggl": case "biggr":
        return this.fence()[0] ?? ["mrow", {}];
      case "begin":
        return this.environment();
      case "boxed":
        return ["mrow", { class: "boxed" }, this.argument()];
      case "stackrel": case "overset": {
        const over = this.argument();
        return ["mover", {}, this.argument(), over];
      }
      case "underset": {
        const under = this.argument();
        return ["munder", {}, this.argument(), under];
      }
      case "pmod":
        return ["mrow", {}, space("0.6em"), ["mo", { stretchy: "false" }, "("], ["mi", {}, "mod"], space("0.3em"), this.argument(), ["mo", { stretchy: "false" }, ")"]];
      case "bmod": case "mod":
        return ["mo", { lspace: "0.3em", rspace: "0.3em" }, "mod"];
      case "not": {
        const negated = { "=": "≠", "\\in": "∉", "\\equiv": "≢", "\\subset": "⊄" }[this.next];
        if (!negated) throw new Unknown();
        this.at++;
        return ["mo", {}, negated];
      }
      case "displaystyle": case "textstyle": case "nonumber": case "notag": case "hline":
        return ["mrow", {}];
    }
    throw new Unknown();
  }

  /** The words of \text{…}, with their spaces. */
  words(name) {
    this.need("{");
    let text = "";
    for (let depth = 1; ; ) {
      const token = this.tokens[this.at++];
      if (token === undefined) throw new Unknown();
      if (token === "{") depth++;
      else if (token === "}" && --depth === 0) break;
      else text += /^\\[{}%$#&_ ]$/.test(token) ? token[1] : token;
    }
    if (text.includes("\\") || text.includes("$")) throw new Unknown();
    const bold = name === "textbf" ? { class: "bold" } : {};
    return name === "operatorname" ? ["mi", {}, text] : ["mtext", bold, text.replaceAll(" ", "\u00a0")];
  }

  fence() {
    this.skip();
    const token = this.tokens[this.at++];
    if (token === undefined) throw new Unknown();
    if (token === ".") return [];
    const name = token.slice(1);
    const sign = /^[()[\]|/<>]$/.test(token) ? ({ "<": "⟨", ">": "⟩" }[token] ?? token) : token[0] !== "\\" ? null : /^[{}]$/.test(name) ? name : name === "|" ? "‖" : (FENCES[name] ?? { uparrow: "↑", downarrow: "↓" }[name]);
    if (!sign) throw new Unknown();
    return [["mo", { fence: "true", stretchy: "true" }, sign]];
  }

  name() {
    this.need("{");
    let name = "";
    while (this.next !== undefined && this.next !== "}") name += this.tokens[this.at++];
    this.need("}");
    return name;
  }

  environment() {
    const name = this.name();
    if (!has(MATRICES, name)) throw new Unknown();
    if (name === "array") this.name(); // the alignment of its columns
    const rows = this.rows(() => this.next === "\\end" || this.next === undefined);
    this.need("\\end");
    if (this.name() !== name) throw new Unknown();
    const [open, close] = MATRICES[name];
    const fence = (sign) => (sign ? [["mo", { fence: "true", stretchy: "true" }, sign]] : []);
    return ["mrow", {}, ...fence(open), this.table(rows, name), ...fence(close)];
  }

  table(rows, name) {
    const kind = /^(align|split|aligned)/.test(name) ? "aligned" : name === "cases" ? "cases" : "matrix";
    return ["mtable", { class: kind, ...(kind === "aligned" ? { displaystyle: "true" } : {}) }, ...rows.map((row) => ["mtr", {}, ...row.map((cell) => ["mtd", {}, cell])])];
  }
}

function space(width) {
  return ["mspace", { width }];
}

/** The letters and digits of a part in another alphabet. */
function alphabet(node, [upper, lower, digits, exceptions]) {
  const map = (char) => {
    const at = exceptions.indexOf(char);
    if (at >= 0 && at % 2 === 0) return exceptions[at + 1];
    if (/[A-Z]/.test(char)) return String.fromCodePoint(upper + char.charCodeAt(0) - 65);
    if (/[a-z]/.test(char)) return String.fromCodePoint(lower + char.charCodeAt(0) - 97);
    return /[0-9]/.test(char) && digits ? String.fromCodePoint(digits + Number(char)) : char;
  };
  const [name, attributes, ...kids] = node;
  return [name, attributes, ...kids.map((kid) => (typeof kid === "string" ? Array.from(kid, map).join("") : alphabet(kid, [upper, lower, digits, exceptions])))];
}
